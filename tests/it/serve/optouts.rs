//! The page of opt-outs: a comparison in the background, and a decision about what was shown.

use d365map::serve::access::Role;
use serde_json::json;

use super::support::Serving;
use crate::flow::optout::{mapping, world};
use crate::flow::support::id;

/// Contacts that disagree with their profiles, and a workflow that needs an approval.
async fn serving(direction: &str) -> Serving {
    let world = world().await;
    for n in 1..=3 {
        world.person(n, json!({})).await;
    }
    let serving = Serving::start(world, &[("contacts.d365map", &mapping("disabled"))]).await;
    serving.command(&["run", "--quiet"]).await;
    serving.world.marketing(1, json!({"blackListEmail": true})).await;
    serving.world.update(2, json!({"donotphone": true})).await;
    std::fs::write(serving.folder().join("mappings/contacts.d365map"), mapping(direction)).expect("a file");
    serving.command(&["run", "--quiet"]).await;
    serving
}

/// The address that the page offers to decide, with the comparison that it shows.
fn comparison(page: &str) -> String {
    let (_, rest) = page.split_once("/opt-outs/contacts/decide?comparison=").unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_compared_shown_with_examples_and_approved_by_the_comparison_that_was_shown() {
    let serving = serving("bidirectional").await;
    let (viewer, operator) = (serving.person(Role::Viewer), serving.person(Role::Operator));
    let page = viewer.see("/opt-outs").await;
    assert!(page.contains("needs approval") && page.contains("both ways") && page.contains("have not been compared"), "{page}");
    assert!(!page.contains("Compare now"), "{page}");
    serving.world.reset().await;

    assert_eq!(viewer.submit("/opt-outs/compare", &[]).await.status.as_u16(), 403);
    let begun = operator.submit("/opt-outs/compare", &[]).await;
    assert_eq!((begun.status.as_u16(), begun.header("location")), (303, "/p/contoso/opt-outs"));
    let page = operator.wait("/opt-outs", "With a difference").await;
    for text in [
        "becomes an opt-out in Dynamics: where the sides differ",
        "becomes an opt-out in Campaign",
        &*id(1),
        &*id(2),
        "started by operator",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(serving.world.writes().await, (0, 0), "a comparison writes nothing");
    let seen = viewer.see("/opt-outs").await;
    assert!(seen.contains(&id(1)) && !seen.contains("/decide"), "{seen}");

    // What was shown first is not what is decided about after another comparison.
    let first = comparison(&page);
    operator.submit("/opt-outs/compare", &[]).await;
    let began = std::time::Instant::now();
    let second = loop {
        let second = comparison(&operator.wait("/opt-outs", "/decide?comparison=").await);
        if second != first {
            break second;
        }
        assert!(began.elapsed().as_secs() < 60, "the second comparison never ends");
    };
    let decide =
        async |id: &str, approval: &str| operator.submit("/opt-outs/contacts/decide", &[("comparison", id), ("approval", approval)]).await;
    assert_eq!(operator.open(&format!("/opt-outs/contacts/decide?comparison={first}")).await.status.as_u16(), 409);
    assert_eq!(decide(&first, "write").await.status.as_u16(), 409);
    assert_eq!(decide(&second, "anything").await.status.as_u16(), 400);
    // An opt-out goes over from either side here: none can be left.
    assert_eq!(decide(&second, "leave").await.status.as_u16(), 400);
    assert_eq!(viewer.open(&format!("/opt-outs/contacts/decide?comparison={second}")).await.status.as_u16(), 403);
    let page = operator.see(&format!("/opt-outs/contacts/decide?comparison={second}")).await;
    assert!(page.contains("Approve and write") && !page.contains("Leave the opt-outs"), "{page}");

    let decided = decide(&second, "write").await;
    assert_eq!((decided.status.as_u16(), decided.header("location")), (303, "/p/contoso/opt-outs?done=write"), "{}", decided.body);
    assert!(operator.see("/opt-outs?done=write").await.contains("Approved."));
    assert_eq!(serving.world.writes().await, (0, 0), "the next round writes");
    serving.command(&["run", "--quiet"]).await;
    assert!(serving.world.flags(1).await.0 && serving.world.lists(2).await.1, "both opt-outs went over");
    assert!(operator.see("/opt-outs").await.contains("in sync"));
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opt_outs_that_only_campaign_has_can_be_left_where_dynamics_is_the_one_source() {
    let serving = serving("d365-to-campaign").await;
    let operator = serving.person(Role::Operator);
    operator.submit("/opt-outs/compare", &[]).await;
    let page = operator.wait("/opt-outs", "With a difference").await;
    assert!(page.contains("unless you approve that it is lifted"), "{page}");
    let shown = comparison(&page);
    assert!(operator.see(&format!("/opt-outs/contacts/decide?comparison={shown}")).await.contains("Leave the opt-outs in Campaign"));
    let decided = operator.submit("/opt-outs/contacts/decide", &[("comparison", &shown), ("approval", "leave")]).await;
    assert_eq!(decided.status.as_u16(), 303, "{}", decided.body);
    serving.command(&["run", "--quiet"]).await;
    assert!(serving.world.lists(1).await.0, "the opt-out in Campaign stays");
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_fails_says_why_and_offers_no_decision() {
    let serving = Serving::start(world().await, &[("contacts.d365map", &mapping("bidirectional"))]).await;
    serving.world.admin("fail-next", json!({"kind": "status", "status": 403, "api": "dataverse", "count": 1000})).await;
    let operator = serving.person(Role::Operator);
    operator.submit("/opt-outs/compare", &[]).await;
    let page = operator.wait("/opt-outs", "The opt-outs could not be compared").await;
    assert!(!page.contains("/decide"), "{page}");
    serving.end().await;
}
