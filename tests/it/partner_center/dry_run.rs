//! `run --dry-run` of a two-way mapping.

use reqwest::Method;
use serde_json::{Value, json};

use super::deal::{Deal, SYNC};

async fn dry(deal: &Deal, status: i32) -> Value {
    let text = deal.output(&["run", "--dry-run", "--format", "json"], status).await;
    let dry: Value = serde_json::from_str(&text).expect("JSON");
    dry["dry_run"]["two_way"][0].clone()
}

/// Creates and updates of a table that a dry run names.
fn of(dry: &Value, table: &str) -> (u64, u64) {
    let count = |what: &str| dry["tables"][table][what].as_u64().unwrap_or_default();
    (count("create"), count("update"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_writes_of_the_run_that_follows_and_makes_none() {
    let deal = Deal::new().await;
    let open = deal.referral_named("Data platform", "Active", "Accepted").await;
    let account = json!({"name": "Fabrikam", "address1_postalcode": "10115", "address1_country": "DE"});
    let account = deal.create("accounts", "accountid", account).await;
    let body = json!({
        "name": "Cloud move", SYNC: true, "estimatedvalue": 900, "description": "From Dynamics",
        "parentaccountid@odata.bind": format!("/accounts({account})"),
    });
    deal.create("opportunities", "opportunityid", body).await;
    deal.writes().await;

    let first = dry(&deal, 0).await;
    assert_eq!(deal.writes().await, (0, 0), "nothing is written: {first}");
    assert_eq!(first["full_load"], true, "{first}");
    assert_eq!(first["failed"], 0, "{first}");
    let planned = |dry: &Value| {
        let tables = dry["tables"].as_object().expect("tables").values();
        let writes =
            |table: &Value| ["create", "update", "delete"].map(|what| table[what].as_u64().unwrap_or_default()).iter().sum::<u64>();
        tables.map(writes).sum::<u64>()
    };
    assert_eq!(dry(&deal, 0).await["tables"], first["tables"], "a dry run changes nothing, so the next one finds the same");
    deal.run().await;
    let (to_dynamics, to_partner) = deal.writes().await;
    assert_eq!(planned(&first), to_dynamics + to_partner, "{first}");
    assert_eq!(of(&first, "referral"), (1, 1), "{first}");
    assert_eq!(of(&first, "opportunity").0, 1, "{first}");
    assert_eq!(of(&first, "account"), (1, 0), "{first}");

    let path = format!("partner/referrals/{}", open.as_str().unwrap());
    deal.admin(Method::PATCH, &path, json!({"name": "Data platform, phase 1"})).await;
    let opportunity = deal.opportunity_of(&open).await;
    let path = format!("opportunities({})", opportunity["opportunityid"].as_str().unwrap());
    deal.dynamics(Method::PATCH, &path, json!({"estimatedvalue": 1500})).await;
    deal.writes().await;
    let second = dry(&deal, 0).await;
    assert_eq!(
        (second["full_load"].clone(), of(&second, "opportunity"), of(&second, "referral")),
        (json!(false), (0, 1), (0, 1)),
        "{second}"
    );
    assert_eq!(second["tables"]["opportunity"]["changed_fields"]["name"], 1, "{second}");
    assert_eq!(second["tables"]["referral"]["changed_fields"]["details.dealValue"], 1, "{second}");
    deal.run().await;
    assert_eq!(deal.writes().await, (1, 1));
    let third = dry(&deal, 0).await;
    assert_eq!(planned(&third), 0, "{third}");

    let text = deal.output(&["run", "--dry-run"], 0).await;
    assert!(text.contains("referrals: would read the changes since the last run"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_of_dead_letters_and_ends_with_findings() {
    let deal = Deal::new().await;
    let body = json!({"name": "Without a customer", SYNC: true, "estimatedvalue": 900});
    deal.create("opportunities", "opportunityid", body).await;
    deal.writes().await;
    let found = dry(&deal, 1).await;
    assert_eq!((deal.writes().await, &found["failed"]), ((0, 0), &json!(1)), "{found}");
    assert_eq!(found["rejections"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(of(&found, "opportunity"), (0, 1), "the reason would be written into the Audit column: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_records_are_not_shown_and_the_output_names_the_mapping() {
    let deal = Deal::new().await;
    let text = deal.output(&["run", "--dry-run", "--sample", "1", "--format", "json"], 0).await;
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&shown["records"], shown["not_shown"].as_array().map(Vec::len)), (&json!([]), Some(1)), "{shown}");
}
