//! The pages of `doctor` and of the schemas' drift: both ask the services in the background.

use d365map::serve::access::Role;
use serde_json::json;

use super::support::Serving;
use crate::flow::support::World;

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  jobtitle -> salutation | truncate(20)\n}\n";

async fn serving() -> Serving {
    Serving::start(World::empty().await, &[("contacts.d365map", MAPPING)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_are_run_once_at_a_time_and_shown_with_what_to_do_until_the_next() {
    let serving = serving().await;
    let (viewer, operator) = (serving.person(Role::Viewer), serving.person(Role::Operator));
    let page = viewer.see("/doctor").await;
    assert!(page.contains("have not been run") && !page.contains("Run the checks"), "{page}");
    assert_eq!(viewer.submit("/doctor/run", &[]).await.status.as_u16(), 403);
    assert_eq!(viewer.open("/doctor/report.json").await.status.as_u16(), 404);

    // A secret that is wrong is a finding with its fix.
    std::fs::write(serving.folder().join("secrets/campaign"), "wrong").expect("a file");
    let begun = operator.submit("/doctor/run", &[]).await;
    assert_eq!((begun.status.as_u16(), begun.header("location")), (303, "/p/contoso/doctor"));
    let page = viewer.wait("/doctor", "This machine").await;
    for text in ["Dynamics 365", "Adobe Campaign", "badge bad", "campaign.token", "→ ", "started by operator"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let report = viewer.open("/doctor/report.json").await;
    let (by_page, by_command) = (report.json(), serving.command(&["doctor", "--format", "json"]).await);
    let ids = |document: &serde_json::Value| -> Vec<String> {
        let checks = document["checks"].as_array().expect("a list");
        checks.iter().map(|check| format!("{} {} {}", check["id"], check["subject"], check["outcome"])).collect()
    };
    assert_eq!(ids(&by_page), ids(&serde_json::from_str(&by_command).expect("JSON")));
    assert_eq!(report.header("content-type"), "application/json");
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_the_services_are_shown_with_the_lines_that_they_break_first() {
    let serving = serving().await;
    serving.command(&["schema", "pull", "d365.contact", "campaign.profile"]).await;
    let (viewer, operator) = (serving.person(Role::Viewer), serving.person(Role::Operator));
    assert_eq!(viewer.submit("/drift/compare", &[]).await.status.as_u16(), 403);
    operator.submit("/drift/compare", &[]).await;
    viewer.wait("/drift", "The committed schemas are those of the services").await;

    serving.world.admin("alter-column", json!({ "table": "contact", "column": "department", "length": 50 })).await;
    serving.world.admin("alter-column", json!({ "table": "contact", "column": "jobtitle", "remove": true })).await;
    operator.submit("/drift/compare", &[]).await;
    let page = viewer.wait("/drift", "The changes break the mappings").await;
    for text in ["mappings/contacts.d365map:4:", "jobtitle -&gt; salutation", "D103", "removed", "department", "String(50)"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(place("Lines that break") < place("String(50)") && place(">removed<") < place(">changed<"), "{page}");
    serving.end().await;
}
