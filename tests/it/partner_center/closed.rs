//! Deals that end: what is closed on one side is closed on the other, and does not change after that.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::Deal;

/// Status of the referral, and state and status reason of its opportunity.
async fn states(deal: &Deal, id: &Value) -> (String, i64, i64) {
    let (referral, opportunity) = (deal.referral(id).await, deal.opportunity_of(id).await);
    let text = |name: &str| referral[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| opportunity[name].as_i64().expect("a number");
    (format!("{}/{}", text("status"), text("substatus")), number("statecode"), number("statuscode"))
}

async fn partner(deal: &Deal, id: &Value, change: Value) {
    deal.admin(Method::PATCH, &format!("partner/referrals/{}", id.as_str().unwrap()), change).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_ends_in_partner_center_is_closed_in_dynamics() {
    let deal = Deal::new().await;
    let ends = [("Won", 1, 3), ("Lost", 2, 4), ("Declined", 2, 4), ("Expired", 2, 4)];
    let mut ids = Vec::new();
    for (end, ..) in ends {
        ids.push(deal.referral_named(end, "Active", "Accepted").await);
    }
    deal.run().await;
    for (id, (end, ..)) in ids.iter().zip(ends) {
        assert_eq!(states(&deal, id).await, ("Active/Accepted".to_owned(), 0, 1));
        partner(&deal, id, json!({"name": format!("{end} at last"), "status": "Closed", "substatus": end})).await;
    }
    deal.run().await;
    for (id, (end, state, status)) in ids.iter().zip(ends) {
        assert_eq!(states(&deal, id).await, (format!("Closed/{end}"), state, status));
        assert_eq!(deal.opportunity_of(id).await["name"], format!("{end} at last"), "what was changed with the end is carried over");
    }
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_is_won_in_dynamics_is_closed_in_partner_center_and_does_not_change_any_more() {
    let deal = Deal::new().await;
    let id = deal.referral_named("Data platform", "Active", "Accepted").await;
    deal.run().await;
    let opportunity = deal.opportunity_of(&id).await["opportunityid"].as_str().unwrap().to_owned();
    let close =
        json!({"Status": 3, "OpportunityClose": {"subject": "Won", "opportunityid@odata.bind": format!("/opportunities({opportunity})")}});
    deal.dynamics(Method::POST, "WinOpportunity", close).await;
    // The opportunity cannot take this any more.
    partner(&deal, &id, json!({"name": "Too late"})).await;
    deal.run().await;
    assert_eq!(states(&deal, &id).await, ("Closed/Won".to_owned(), 1, 3));
    assert_eq!(deal.opportunity_of(&id).await["name"], "Data platform");

    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));

    // It is reopened in Dynamics: the referral is closed permanently.
    deal.dynamics(Method::PATCH, &format!("opportunities({opportunity})"), json!({"statecode": 0})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(states(&deal, &id).await, ("Closed/Won".to_owned(), 0, 1));
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_becomes_an_open_opportunity_and_is_not_accepted_by_that() {
    let deal = Deal::new().await;
    let id = deal.referral_named("Invitation", "New", "Received").await;
    deal.run().await;
    assert_eq!(states(&deal, &id).await, ("New/Received".to_owned(), 0, 1));
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}
