//! What pages have in common: who sees them, and what their actions ask for.

use d365map::serve::access::{Door, Role};
use d365map::serve::table;

use super::people::at;
use super::support::{NAME, Serving};
use crate::flow::support::{World, small_text};

async fn serving() -> Serving {
    Serving::start(World::empty().await, &[("contacts.d365map", &small_text(""))]).await
}

/// A path of the table with something in the place of each parameter, after the project's.
fn example(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/p/{project}")?;
    Some(rest.replace("{name}", "contacts").replace("{mapping}", "contacts").replace("{id}", "1").replace("{file}", "contacts.d365map"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_for_the_roles_that_the_table_says_and_no_action_is_done_without_the_right() {
    let serving = serving().await;
    for role in Role::ALL {
        let person = serving.person(role);
        for route in table() {
            let Some(path) = example(route.path) else { continue };
            let status = match route.door {
                Door::Page => person.open(&path).await.status.as_u16(),
                Door::Action if !role.may(route.right) => person.submit(&path, &[]).await.status.as_u16(),
                _ => continue,
            };
            assert_eq!(status == 403, !role.may(route.right), "{} {} as {}: {status}", route.method, route.path, role.name());
            assert!(status < 500, "{} {} as {}: {status}", route.method, route.path, role.name());
        }
    }
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_or_a_form_that_cannot_be_read_is_answered_by_a_page() {
    let serving = serving().await;
    let admin = serving.person(Role::Admin);
    for (path, status) in [("/dead-letters/abc", 400), ("/dead-letters?after=zz", 400), ("/opt-outs/contacts/decide", 400)] {
        let answer = admin.open(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.body.contains("this page cannot read") && answer.body.contains("<main"), "{path}: {}", answer.body);
    }
    let answer = admin.submit("/privacy/report", &[]).await;
    assert!(answer.status.is_client_error() && answer.body.contains("<main"), "{}", answer.body);
    let nothing = admin.submit("/dead-letters/retry", &[("which", "all"), ("code", "nope")]).await;
    assert_eq!(nothing.status.as_u16(), 409, "nothing was queued again: {}", nothing.body);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_the_pages_and_actions_that_its_reader_may_use_and_to_no_other() {
    let serving = serving().await;
    for role in Role::ALL {
        let person = serving.person(role);
        let links = |page: &str, start: &str| -> Vec<String> {
            page.split(start).skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect()
        };
        let tabs = links(&person.see("").await, "href=\"").into_iter().filter(|link| link.starts_with(&format!("/p/{NAME}/")));
        for tab in tabs.chain([at("")]) {
            let page = person.see(tab.strip_prefix(&at("")).expect("a page of the project")).await;
            assert!(page.contains("aria-current=\"page\""), "{tab} is not the page that the tabs mark: {page}");
            for action in links(&page, "action=\"").into_iter().filter(|action| action.starts_with("/p/")) {
                let route = table().into_iter().find(|r| r.door == Door::Action && r.path.replace("{project}", NAME) == action);
                if let Some(route) = route {
                    assert!(role.may(route.right), "{tab} offers {action} to a {}", role.name());
                }
            }
        }
    }
    serving.end().await;
}
