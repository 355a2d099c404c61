//! Marks in the names of opportunities: `check-mark on`.

use reqwest::Method;
use serde_json::json;

use super::deal::{Deal, SYNC};

#[tokio::test(flavor = "multi_thread")]
async fn with_check_mark_on_a_name_shows_whether_the_deal_is_in_step_and_no_mark_reaches_partner_center() {
    let deal = Deal::with(|mapping| mapping.replace("conflicts newest", "check-mark on; conflicts newest")).await;
    let open = deal.referral_named("Data platform", "Active", "Accepted").await;
    let bare = deal.create("opportunities", "opportunityid", json!({"name": "Without a customer", SYNC: true})).await;
    deal.run_with_dead_letters().await;
    assert_eq!(deal.opportunity_of(&open).await["name"], "✔ Data platform");
    let name_of =
        async |id: &str| deal.opportunities().await.into_iter().find(|one| one["opportunityid"] == *id).expect("it")["name"].clone();
    assert_eq!(name_of(&bare).await, "✖ Without a customer");

    // A person changes the name together with the mark: the mark does not go out.
    let opportunity = deal.opportunity_of(&open).await;
    let path = format!("opportunities({})", opportunity["opportunityid"].as_str().unwrap());
    deal.dynamics(Method::PATCH, &path, json!({"name": "✔ Data platform, phase 1"})).await;
    deal.run().await;
    assert_eq!(deal.referral(&open).await["name"], "Data platform, phase 1");
    assert_eq!(deal.opportunity_of(&open).await["name"], "✔ Data platform, phase 1");
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0), "a mark is not a change");

    // A change of Partner Center comes with the mark.
    let path = format!("partner/referrals/{}", open.as_str().unwrap());
    deal.admin(Method::PATCH, &path, json!({"name": "Data platform, phase 2"})).await;
    deal.run().await;
    assert_eq!(deal.opportunity_of(&open).await["name"], "✔ Data platform, phase 2");
}
