//! The audit log, as administrators see it.

use chrono::TimeDelta;
use d365map::serve::access::Role;
use d365map::store::{AuditEntry, AuditResult, DeadLetterFilter};
use d365map::time::parse_instant;
use reqwest::Method;

use super::api::with_dead_letters;
use super::support::{NAME, Serving};
use crate::flow::support::{World, small_text};

async fn serving() -> Serving {
    Serving::start(World::empty().await, &[("contacts.d365map", &small_text(""))]).await
}

/// Puts entries into the log: of `ada` with the object `started N`, and of another one.
async fn fill(serving: &Serving, each: i64) {
    let audit = serving.served().stores().await.expect("the state opens").audit;
    let began = parse_instant("2026-01-01T00:00:00Z").expect("a time");
    for n in 0..each {
        let entry = |who: &str, action: &str, object: String| AuditEntry {
            at: began + TimeDelta::minutes(n),
            who: who.to_owned(),
            role: Some("operator".to_owned()),
            action: action.to_owned(),
            object,
            result: AuditResult::Done,
            from: Some("192.0.2.1".to_owned()),
        };
        audit.note_audit(entry("ada@contoso.com", "start", format!("started {n}."))).await.expect("an entry");
        audit.note_audit(entry("<script>alert(1)</script>", "stop", format!("<b>stopped</b> {n}."))).await.expect("an entry");
    }
}

/// The address that a link of the page leads to.
fn link(page: &str, text: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!("\">{text}</a>"))?;
    Some(before.rsplit_once("href=\"")?.1.replace("&amp;", "&"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_in_the_audit_log_which_only_administrators_see() {
    let serving = serving().await;
    let operator = serving.person(Role::Operator);
    assert_eq!(operator.submit("/workflows/contacts/stop", &[]).await.status.as_u16(), 303);
    for role in [Role::Viewer, Role::Operator] {
        let person = serving.person(role);
        assert_eq!(person.open("/audit").await.status.as_u16(), 403, "{}", role.name());
        assert!(!person.see("").await.contains("Audit log"), "{}", role.name());
    }
    let admin = serving.person(Role::Admin);
    assert!(admin.see("").await.contains("href=\"/p/contoso/audit\""));
    let page = admin.see("/audit?action=stop").await;
    for text in ["operator", "<code>stop</code>", "contacts", "done", "127.0.0.1"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // That two people were refused the log is in it.
    let page = admin.see("/audit?who=viewer").await;
    assert!(page.contains("/p/contoso/audit") && page.contains("refused"), "{page}");
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_paged_backwards_and_filtered_by_person_and_action_over_all_entries() {
    let serving = serving().await;
    fill(&serving, 60).await;
    let admin = serving.person(Role::Admin);
    let page = admin.see("/audit").await;
    assert_eq!(page.matches("<time ").count(), 50);
    assert!(page.contains("started 59.") && !page.contains("started 34.") && link(&page, "Newest entries").is_none(), "{page}");
    assert!(page.contains("&lt;script&gt;alert") && page.contains("&lt;b&gt;stopped") && !page.contains("<script>alert"), "{page}");

    let first = admin.see("/audit?who=ada%40contoso.com&action=start").await;
    assert_eq!(first.matches("<time ").count(), 50);
    assert!(first.contains("started 10.") && !first.contains("stopped"), "{first}");
    let older = link(&first, "Older entries").expect("another page");
    // Entries that were added meanwhile move nothing.
    fill(&serving, 1).await;
    let second = admin.see(&format!("/audit{older}")).await;
    assert_eq!(second.matches("<time ").count(), 10);
    assert!(second.contains("started 9.") && second.contains("started 0.") && link(&second, "Older entries").is_none(), "{second}");
    assert_eq!(link(&second, "Newest entries").as_deref(), Some("?who=ada%40contoso.com&action=start"));

    let nothing = admin.see("/audit?who=%22%3E%3Cscript%3Ealert(2)").await;
    assert!(nothing.contains("There are no entries like this.") && !nothing.contains("<script>alert"), "{nothing}");
    assert_eq!(admin.open("/audit?before=x").await.status.as_u16(), 400);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_only_if_the_audit_log_has_who_sees_them() {
    let serving = with_dead_letters().await;
    let letters = serving.served().stores().await.expect("the state opens").dead_letters;
    let id = letters.dead_letters(&DeadLetterFilter::default(), 0, 1).await.expect("the state can be read")[0].id;
    let page = format!("/dead-letters/{id}?values=yes");
    let paths = ["/dead-letters?values=true".to_owned(), format!("/dead-letters/{id}?values=true")];
    let paths = paths.map(|path| format!("/api/v1/projects/{NAME}{path}"));
    let operator = serving.person(Role::Operator);

    let state = rusqlite::Connection::open(&serving.served().project().state).expect("the state opens");
    state.execute_batch("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END").expect("a trigger");
    let answer = operator.open(&page).await;
    assert!(answer.status.as_u16() == 503 && !answer.body.contains("Lovelace"), "{}", answer.body);
    for path in &paths {
        let answer = serving.ask(Role::Operator, Method::GET, path, None).await;
        assert!(answer.status.as_u16() == 503 && !answer.body.contains("Lovelace"), "{path}: {}", answer.body);
    }
    // What has no values is shown.
    operator.see(&format!("/dead-letters/{id}")).await;

    state.execute_batch("DROP TRIGGER full").expect("no trigger");
    assert!(operator.see(&page).await.contains("Lovelace"));
    for path in &paths {
        assert!(serving.ask(Role::Operator, Method::GET, path, None).await.body.contains("Lovelace"), "{path}");
    }
    let log = serving.person(Role::Admin).see("/audit?action=show-values").await;
    assert!(log.contains(&format!("dead letter {id}")) && log.contains("the operator"), "{log}");
    serving.end().await;
}
