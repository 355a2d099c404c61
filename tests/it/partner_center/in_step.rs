//! A two-way mapping end to end: the commands against the emulated Dynamics 365 and Partner Center, over HTTP.

use reqwest::Method;
use serde_json::json;

use super::deal::{Deal, IDENTIFIER};

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_of_partner_center_stays_in_step_with_one_write_for_a_change_and_none_for_its_echo() {
    let deal = Deal::new().await;
    let body = json!({
        "name": "Data platform", "type": "Independent", "qualification": "SalesQualified", "status": "Active", "substatus": "Accepted",
        "customerProfile": {"name": "Contoso", "address": {"country": "US", "postalCode": "98052"}},
        "consent": {"consentToToShareInfoWithOthers": true, "consentToContact": true, "consentToShareReferralWithMicrosoftSellers": true},
        "details": {"dealValue": 5000, "currency": "USD", "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
    });
    let open = deal.admin(Method::POST, "partner/referrals", body).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (3, 1), "the customer's account, the opportunity and its solution; its id in the referral");
    let ours = || async { deal.opportunities().await.into_iter().find(|one| one[IDENTIFIER] == open["id"]).expect("its opportunity") };
    let opportunity = ours().await;
    assert_eq!(deal.referral(&open["id"]).await["externalReferenceId"], opportunity["opportunityid"]);
    let count = deal.opportunities().await.len();

    // Changed in Dynamics, then in Partner Center.
    let path = format!("opportunities({})", opportunity["opportunityid"].as_str().unwrap());
    deal.dynamics(Method::PATCH, &path, json!({"estimatedvalue": 1500})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 1));
    assert_eq!(deal.referral(&open["id"]).await["details"]["dealValue"].as_f64(), Some(1500.0));
    let path = format!("partner/referrals/{}", open["id"].as_str().unwrap());
    deal.admin(Method::PATCH, &path, json!({"name": "Data platform, phase 1"})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (1, 0));
    assert_eq!(ours().await["name"], "Data platform, phase 1");

    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
    assert_eq!(deal.opportunities().await.len(), count);
}
