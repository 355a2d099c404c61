//! What a referral shares with other tables of Dynamics 365: the customer's account and contact, the currency, the solutions.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::{Deal, IDENTIFIER, SYNC};

const SOLUTIONS: &str = "msft_microsoftpartnercentersolutions";

/// The solutions of an opportunity, by id.
async fn solutions(deal: &Deal, opportunity: &str) -> Vec<String> {
    let rows = deal.rows(SOLUTIONS).await;
    let of = |row: &&Value| row["_msft_opportunityid_value"] == *opportunity;
    let mut ids: Vec<String> = rows.iter().filter(of).map(|row| row["msft_solutionid"].as_str().unwrap_or_default().to_owned()).collect();
    ids.sort();
    ids
}

pub(super) async fn add_solution(deal: &Deal, opportunity: &str, id: &str) {
    let parent = format!("/opportunities({opportunity})");
    let body = json!({"msft_solutionid": id, "msft_name": format!("Solution {id}"), "msft_OpportunityId@odata.bind": parent});
    deal.create(SOLUTIONS, "msft_microsoftpartnercentersolutionid", body).await;
}

/// An opportunity of an account with a contact, which a seller has let take part.
pub(super) async fn opportunity(deal: &Deal) -> String {
    let account = json!({
        "name": "Contoso", "address1_line1": "1 Way", "address1_city": "Redmond", "address1_postalcode": "98052", "address1_country": "us",
    });
    let account = deal.create("accounts", "accountid", account).await;
    let contact = json!({"firstname": "Ann", "lastname": "Lee", "telephone1": "+1 425 555 0100", "emailaddress1": "ann@contoso.example"});
    let contact = deal.create("contacts", "contactid", contact).await;
    let body = json!({
        "name": "Data platform", "estimatedvalue": 5000, SYNC: true,
        "parentaccountid@odata.bind": format!("/accounts({account})"), "parentcontactid@odata.bind": format!("/contacts({contact})"),
    });
    deal.create("opportunities", "opportunityid", body).await
}

fn ids(referral: &Value) -> Vec<&str> {
    let solutions = referral["details"]["requirements"]["solutions"].as_array().expect("solutions");
    solutions.iter().map(|solution| solution["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opportunity_becomes_a_referral_with_its_customer_contact_currency_and_solutions() {
    let deal = Deal::new().await;
    let id = opportunity(&deal).await;
    add_solution(&deal, &id, "SOL-1").await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (1, 1), "the referral, and its id in the opportunity");

    let referrals = deal.referrals().await;
    let referral = referrals.iter().find(|referral| referral["externalReferenceId"] == *id).expect("its referral").clone();
    assert_eq!(referral["name"], "Data platform");
    assert_eq!((&referral["type"], &referral["details"]["currency"]), (&json!("Independent"), &json!("USD")));
    let customer = &referral["customerProfile"];
    assert_eq!(customer["name"], "Contoso");
    assert_eq!((&customer["address"]["postalCode"], &customer["address"]["country"]), (&json!("98052"), &json!("US")));
    assert_eq!(customer["team"][0]["email"], "ann@contoso.example");
    assert_eq!(ids(&referral), ["SOL-1"]);

    // A solution more, one less, and a changed contact: each is one write to the referral.
    add_solution(&deal, &id, "SOL-2").await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 1));
    assert_eq!(ids(&deal.referral(&referral["id"]).await), ["SOL-1", "SOL-2"]);
    let row = deal.rows(SOLUTIONS).await.into_iter().find(|row| row["msft_solutionid"] == "SOL-1").unwrap();
    let path = format!("{SOLUTIONS}({})", row["msft_microsoftpartnercentersolutionid"].as_str().unwrap());
    deal.dynamics(Method::DELETE, &path, json!(null)).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 1));
    assert_eq!(ids(&deal.referral(&referral["id"]).await), ["SOL-2"]);
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referral_finds_its_account_by_name_and_postal_code_or_creates_it() {
    let deal = Deal::new().await;
    let known = deal.create("accounts", "accountid", json!({"name": "Fabrikam", "address1_postalcode": "10115"})).await;
    deal.create("accounts", "accountid", json!({"name": "Fabrikam", "address1_postalcode": "80331"})).await;
    let referral = |customer: &str, postal: &str, solutions: &[&str]| {
        let solutions: Vec<Value> =
            solutions.iter().map(|id| json!({"id": id, "name": format!("Solution {id}"), "type": "Name"})).collect();
        json!({
            "name": format!("Deal with {customer}"), "type": "Independent", "qualification": "SalesQualified", "status": "Active",
            "substatus": "Accepted", "consent": {"consentToShareReferralWithMicrosoftSellers": true},
            "customerProfile": {
                "name": customer, "address": {"country": "DE", "postalCode": postal},
                "team": [{"firstName": "Eva", "lastName": "Kern", "email": format!("eva@{}.example", customer.to_lowercase()), "phoneNumber": "+49 30 123456"}],
            },
            "details": {"dealValue": 100, "currency": "EUR", "requirements": {"solutions": solutions}},
        })
    };
    let found = deal.admin(Method::POST, "partner/referrals", referral("fabrikam", "10115", &["SOL-1", "SOL-2"])).await;
    let created = deal.admin(Method::POST, "partner/referrals", referral("Northwind", "20095", &["SOL-3"])).await;
    let again = deal.admin(Method::POST, "partner/referrals", referral("Northwind", "20095", &["SOL-3"])).await;
    deal.run().await;

    let opportunities = deal.opportunities().await;
    let of = |referral: &Value| opportunities.iter().find(|one| one[IDENTIFIER] == referral["id"]).expect("its opportunity").clone();
    let (found_one, created_one, again_one) = (of(&found), of(&created), of(&again));
    assert_eq!(found_one["_parentaccountid_value"], *known, "whatever the case of the name");
    assert_eq!(created_one["_parentaccountid_value"], again_one["_parentaccountid_value"], "one account for both deals");
    let accounts = deal.rows("accounts").await;
    let northwind: Vec<&Value> = accounts.iter().filter(|account| account["name"] == "Northwind").collect();
    assert_eq!(northwind.len(), 1);
    assert_eq!(created_one["_parentaccountid_value"], northwind[0]["accountid"]);
    assert_eq!((&northwind[0]["address1_postalcode"], &northwind[0]["address1_country"]), (&json!("20095"), &json!("DE")));
    let contacts = deal.rows("contacts").await;
    assert_eq!(contacts.iter().filter(|contact| contact["emailaddress1"] == "eva@northwind.example").count(), 1);
    let euro = deal.rows("transactioncurrencies").await.into_iter().find(|currency| currency["isocurrencycode"] == "EUR").unwrap();
    assert_eq!(found_one["_transactioncurrencyid_value"], euro["transactioncurrencyid"]);
    assert_eq!(solutions(&deal, found_one["opportunityid"].as_str().unwrap()).await, ["SOL-1", "SOL-2"]);

    // In Partner Center a solution is removed and one is added.
    deal.writes().await;
    let path = format!("partner/referrals/{}", found["id"].as_str().unwrap());
    let body = json!({"details": {"requirements": {"solutions": [{"id": "SOL-2", "type": "Name"}, {"id": "SOL-4", "name": "Four", "type": "Name"}]}}});
    deal.admin(Method::PATCH, &path, body).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(solutions(&deal, found_one["opportunityid"].as_str().unwrap()).await, ["SOL-2", "SOL-4"]);
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referral_whose_account_is_not_clear_or_whose_currency_is_missing_becomes_a_dead_letter() {
    let deal = Deal::new().await;
    for _ in 0..2 {
        deal.create("accounts", "accountid", json!({"name": "Twin", "address1_postalcode": "1"})).await;
    }
    let referral = |customer: &str, currency: &str| {
        json!({
            "name": customer, "type": "Independent", "qualification": "SalesQualified", "status": "Active", "substatus": "Accepted",
            "consent": {}, "customerProfile": {"name": customer, "address": {"country": "DE", "postalCode": "1"}},
            "details": {"dealValue": 100, "currency": currency},
        })
    };
    let twin = deal.admin(Method::POST, "partner/referrals", referral("Twin", "EUR")).await;
    let yen = deal.admin(Method::POST, "partner/referrals", referral("Single", "JPY")).await;
    let (opportunities, accounts) = (deal.opportunities().await.len(), deal.rows("accounts").await.len());
    let rejections = deal.rejections().await;
    assert_eq!(rejections, ["no-linked-record", "several-linked-records"]);
    assert_eq!(deal.opportunities().await.len(), opportunities);
    assert!(deal.rows("accounts").await.len() <= accounts + 1);
    for referral in [twin, yen] {
        assert_eq!(deal.referral(&referral["id"]).await["externalReferenceId"], Value::Null);
    }
}
