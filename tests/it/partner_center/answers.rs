//! What happens to an invitation, and of a private deal with which Microsoft is asked to help later.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::Deal;
use super::linked::{add_solution, opportunity};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_deal_becomes_a_co_sell_deal_when_microsoft_is_asked_to_help() {
    let deal = Deal::new().await;
    let id = opportunity(&deal).await;
    add_solution(&deal, &id, "SOL-1").await;
    deal.run().await;
    let private = deal.referrals().await.into_iter().find(|referral| referral["externalReferenceId"] == *id).expect("its referral");
    assert_eq!((&private["type"], &private["inviteContext"]["assistanceRequestCode"]), (&json!("Independent"), &json!("Unknown")));

    let help = json!({"msft_microsoftpartnercenterhelp": 299_600_003, "msft_microsoftpartnercenterreferralvisible": true});
    deal.dynamics(Method::PATCH, &format!("opportunities({id})"), help).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 1));
    let shared = deal.referral(&private["id"]).await;
    assert_eq!((&shared["type"], &shared["inviteContext"]["assistanceRequestCode"]), (&json!("Shared"), &json!("QuotesOrLicensing")));
    assert_eq!(shared["consent"]["consentToShareReferralWithMicrosoftSellers"], true);
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_accepted_stays_an_open_opportunity_and_one_that_is_declined_is_lost() {
    let deal = Deal::new().await;
    let invitation = |name: &str| {
        json!({
            "name": name, "type": "Independent", "qualification": "SalesQualified", "status": "New", "substatus": "Received",
            "customerProfile": {"name": name, "address": {"country": "US", "postalCode": "98052"}}, "consent": {},
            "details": {"dealValue": 10, "currency": "USD"},
        })
    };
    let accepted = deal.admin(Method::POST, "partner/referrals", invitation("Accepted")).await;
    let declined = deal.admin(Method::POST, "partner/referrals", invitation("Declined")).await;
    deal.run().await;
    let path = |referral: &Value| format!("partner/referrals/{}", referral["id"].as_str().unwrap());
    deal.admin(Method::PATCH, &path(&accepted), json!({"status": "Active", "substatus": "Accepted"})).await;
    deal.admin(Method::PATCH, &path(&declined), json!({"status": "Closed", "substatus": "Declined"})).await;
    deal.run().await;
    assert_eq!(deal.opportunity_of(&accepted["id"]).await["statecode"], 0);
    assert_eq!(deal.opportunity_of(&declined["id"]).await["statecode"], 2);
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
    assert_eq!(deal.referral(&accepted["id"]).await["substatus"], "Accepted");
}
