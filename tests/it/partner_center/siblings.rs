//! Deals that are shared with Microsoft: two referrals with one engagement.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::Deal;

/// Our referral of a shared deal, and Microsoft's.
async fn shared(deal: &Deal) -> (Value, Value) {
    let person = json!({"firstName": "Ana", "lastName": "Bell", "phoneNumber": "+1 555 0100", "email": "ana@contoso.com"});
    let body = json!({
        "name": "Shared", "type": "Shared", "qualification": "SalesQualified", "status": "Active", "substatus": "Accepted",
        "customerProfile": {"name": "Contoso", "address": {"country": "US", "postalCode": "98052"}, "team": [person]},
        "consent": {"consentToToShareInfoWithOthers": true, "consentToContact": true, "consentToShareReferralWithMicrosoftSellers": true},
        "details": {"dealValue": 5000, "currency": "USD", "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
        "team": [person],
    });
    let ours = deal.admin(Method::POST, "partner/referrals", body.clone()).await;
    let mut theirs = body;
    theirs["engagementId"] = deal.referral(&ours["id"]).await["engagementId"].clone();
    theirs["target"] = json!([{"type": "BusinessProfileLocation", "id": "msft"}]);
    (theirs["status"], theirs["substatus"]) = (json!("New"), json!("Pending"));
    let theirs = deal.admin(Method::POST, "partner/referrals", theirs).await;
    (ours["id"].clone(), theirs["id"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_part_of_a_deal_gets_no_opportunity_and_what_it_says_reaches_ours() {
    let deal = Deal::new().await;
    let before = deal.opportunities().await.len();
    let (ours, theirs) = shared(&deal).await;
    deal.run().await;
    assert_eq!(deal.opportunities().await.len(), before + 1);
    assert_eq!(deal.opportunity_of(&ours).await["msft_microsoftcrmidentifier"], Value::Null);
    assert_eq!(deal.referral(&theirs).await["externalReferenceId"], Value::Null);

    deal.admin(Method::POST, "partner/seller", json!({"referral": ours, "action": "accept", "msx": "7-ABC"})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.opportunity_of(&ours).await["msft_microsoftcrmidentifier"], "7-ABC");
    assert_eq!(deal.writes().await, (1, 0));
    assert_eq!(deal.opportunities().await.len(), before + 1);
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}
