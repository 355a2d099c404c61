//! `doctor` in a project of referrals alone.

use serde_json::Value;

use super::deal::Deal;

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_for_the_connections_that_the_mappings_need_and_for_no_others() {
    let deal = Deal::new().await;
    let text = deal.output(&["doctor", "--format", "json"], 0).await;
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let checks = found["checks"].as_array().expect("checks");
    let failed: Vec<&Value> = checks.iter().filter(|check| check["status"] == "failed" || check["outcome"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let subjects: Vec<&str> = checks.iter().filter_map(|check| check["subject"].as_str()).collect();
    for subject in ["table opportunity", "table account", "tracking opportunity", "sign-in"] {
        assert!(subjects.contains(&subject), "{subject}: {subjects:?}");
    }
    assert!(!subjects.iter().any(|subject| subject.starts_with("key opportunity.msft")), "{subjects:?}");
    assert!(!text.contains("no connection campaign"), "{text}");
}
