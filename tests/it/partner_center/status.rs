//! `status` of a two-way mapping.

use super::deal::{Deal, SYNC};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn status_counts_the_pairs_of_a_two_way_mapping() {
    let deal = Deal::new().await;
    deal.referral_named("Data platform", "Active", "Accepted").await;
    deal.create("opportunities", "opportunityid", json!({"name": "Without a customer", SYNC: true})).await;
    deal.run_with_dead_letters().await;
    let text = deal.output(&["status"], 0).await;
    assert!(text.contains("follows changes on both sides"), "{text}");
    let pairs = text.lines().find(|line| line.trim_start().starts_with("pairs")).unwrap_or_else(|| panic!("{text}"));
    assert!(pairs.ends_with("1 with a record on one side only"), "{text}");
    assert!(!text.contains("at the target"), "{text}");
}
