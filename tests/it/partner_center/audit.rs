//! What an opportunity says of its referral for people: the Audit column and the link to the portal.

use reqwest::Method;
use serde_json::json;

use super::deal::Deal;

const AUDIT: &str = "msft_microsoftpartnercenterreferralsyncaudit";
const LINK: &str = "msft_microsoftpartnercenterreferrallink";

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_column_says_why_a_deal_is_not_in_step_and_that_it_is_again_and_is_written_once_for_each() {
    let deal = Deal::new().await;
    let id = deal.referral_named("Data platform", "Active", "Accepted").await;
    let id = id.as_str().unwrap();
    deal.run().await;
    let opportunity = deal.opportunity_of(&json!(id)).await;
    assert_eq!(opportunity[AUDIT], format!("created from referral {id}"));
    assert_eq!(opportunity[LINK], format!("https://partner.microsoft.com/dashboard/referrals/v2/coselldeals/{id}"));

    // Somebody writes another CRM ID into the referral.
    let path = format!("partner/referrals/{id}");
    deal.admin(Method::PATCH, &path, json!({"externalReferenceId": "d0000000-0000-4000-8000-000000000001"})).await;
    deal.writes().await;
    let letters = deal.run_with_dead_letters().await;
    assert_eq!(letters[0]["code"], "crm-id-taken");
    let audit = deal.opportunity_of(&json!(id)).await[AUDIT].as_str().unwrap().to_owned();
    assert_eq!(audit, format!("Not in step: {}", letters[0]["message"].as_str().unwrap()));
    assert_eq!(deal.writes().await, (1, 0));

    // Our own write of the column leads to nothing, and the same reason is not written again.
    deal.run().await;
    deal.admin(Method::PATCH, &path, json!({"name": "Renamed"})).await;
    deal.run_with_dead_letters().await;
    assert_eq!(deal.writes().await, (0, 0));

    deal.admin(Method::PATCH, &path, json!({"externalReferenceId": opportunity["opportunityid"]})).await;
    deal.run().await;
    let opportunity = deal.opportunity_of(&json!(id)).await;
    assert_eq!((&opportunity[AUDIT], &opportunity["name"]), (&json!(format!("in step again with referral {id}")), &json!("Renamed")));
    assert_eq!(deal.writes().await, (2, 0));
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opportunity_that_becomes_no_referral_says_why() {
    let deal = Deal::new().await;
    let body = json!({"name": "From Dynamics", "msft_microsoftpartnercenterreferralsync": true});
    deal.dynamics(Method::POST, "opportunities", body).await;
    deal.run_with_dead_letters().await;
    let all = deal.opportunities().await;
    let opportunity = all.iter().find(|one| one["name"] == "From Dynamics").expect("the opportunity");
    let audit = opportunity[AUDIT].as_str().unwrap_or_default();
    assert!(audit.starts_with("Not in step: Partner Center requires") && audit.contains("the customer's name"), "{audit}");
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}
