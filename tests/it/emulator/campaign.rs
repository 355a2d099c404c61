//! Profiles, lists, metadata and tokens of the emulated Campaign Standard.

use d365map_emulator::{Config, credentials};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, ok, turned_down};

const EXT: &str = "profileAndServicesExt/profile";
const STANDARD: &str = "profileAndServices/profile";

fn seed() -> Value {
    json!({"campaign": {
        "fields": [
            {"name": "cusOrigin", "type": "enumeration", "values": [["Web", "web", 1], ["Shop", "shop", 2]]},
            {"name": "cusCreditLimit", "type": "number"},
            {"name": "cusDisplayName", "type": "string", "length": 10},
        ],
        "profiles": [{"email": "not.ours@example.com", "firstName": "Not", "lastName": "Ours"}],
    }})
}

async fn create(bench: &Bench, body: Value) -> Value {
    ok(bench.ac(Method::POST, EXT).json(&body)).await
}

#[tokio::test]
async fn a_token_needs_the_right_client_and_secret() {
    let bench = Bench::new().await;
    let good = credentials().campaign;
    for (id, secret, scope, status) in [
        (good.id.as_str(), good.secret.as_str(), "openid", 200),
        (&good.id, "no", "openid", 401),
        ("x", &good.secret, "openid", 400),
        (&good.id, &good.secret, "", 400),
    ] {
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", scope)];
        let answer = bench.http.post(bench.running.campaign_token_url()).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), status, "{id} {secret} {scope}");
    }
}

#[tokio::test]
async fn access_needs_a_token_a_key_and_the_organization() {
    let bench = Bench::new().await;
    let url = format!("{}/campaign/{EXT}", bench.running.campaign_url());
    let key = credentials().campaign.id;
    assert_eq!(turned_down(bench.http.get(&url).header("X-Api-Key", &key)).await.0, 401);
    let made_up = bench.http.get(&url).header("X-Api-Key", &key).bearer_auth("x");
    assert_eq!(turned_down(made_up).await, (401, "401013".into(), "Oauth token is not valid".into()));
    assert_eq!(turned_down(bench.http.get(&url).bearer_auth(&bench.campaign)).await.0, 403);
    let elsewhere = bench.ac(Method::GET, &url.replace("emulated-org", "other-org"));
    assert_eq!(turned_down(elsewhere).await, (403, "403023".into(), "Profile is not valid".into()));
    let oops = (500, "500".to_owned(), "Oops. Something went wrong. Check your URI and try again.".to_owned());
    assert_eq!(turned_down(bench.ac(Method::GET, "profileAndServicesExt/nosuch")).await, oops);
    bench.admin("expire-tokens", json!({})).await;
    assert_eq!(turned_down(bench.ac(Method::GET, EXT)).await.1, "401013");
}

#[tokio::test]
async fn a_profile_is_created_read_changed_and_deleted_by_its_custom_key() {
    let bench = Bench::seeded(seed()).await;
    let made = create(&bench, json!({"externalId": ID, "firstName": "Zoë", "email": "Zoe@Example.COM", "gender": "female", "birthDate": "1980-10-24", "location": {"city": "Łódź"}, "cusCreditLimit": 12.50})).await;
    assert_eq!((&made["email"], &made["gender"], &made["domain"]), (&json!("zoe@example.com"), &json!("female"), &json!("example.com")));
    assert_eq!(made["postalAddress"]["serialized"], "Zoë\n\n\n\n\nŁódź");
    let href = made["href"].as_str().unwrap();
    assert!(href.ends_with(made["PKey"].as_str().unwrap()));
    let by_key = ok(bench.ac(Method::GET, &format!("{EXT}/{ID}"))).await;
    assert_eq!((&by_key, &ok(bench.ac(Method::GET, href)).await), (&made, &made));
    let changed =
        ok(bench.ac(Method::PATCH, &format!("{EXT}/{ID}")).json(&json!({"lastName": "Q", "location": {"zipCode": "90-001"}}))).await;
    assert_eq!(changed, json!({"PKey": made["PKey"], "href": made["href"]}));
    let read = ok(bench.ac(Method::GET, &format!("{EXT}/{ID}"))).await;
    assert_eq!(
        (&read["lastName"], &read["location"]["city"], &read["location"]["zipCode"]),
        (&json!("Q"), &json!("Łódź"), &json!("90-001"))
    );
    assert_eq!(ok(bench.ac(Method::GET, &format!("{EXT}/{ID}/email"))).await, "zoe@example.com");
    assert_eq!(bench.ac(Method::DELETE, &format!("{EXT}/{ID}")).send().await.unwrap().status(), 204);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(turned_down(bench.ac(method, &format!("{EXT}/{ID}"))).await.0, 404);
    }
    assert_eq!(turned_down(bench.ac(Method::PATCH, &format!("{EXT}/{ID}")).json(&json!({"lastName": "Q"}))).await.0, 404);
    let rest = bench.look("dump/profiles").await;
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(rest[0]["lastName"], "Ours");
}

#[tokio::test]
async fn a_key_is_unique_and_cannot_be_changed() {
    let bench = Bench::with(Config { duplicate_status: 500, ..Config::default() }).await;
    create(&bench, json!({"externalId": ID})).await;
    let twice = bench.ac(Method::POST, EXT).json(&json!({"externalId": ID, "lastName": "Second"}));
    assert_eq!(turned_down(twice).await.0, 500);
    assert_eq!(bench.look("dump/profiles").await.as_array().unwrap().len(), 1);
    let moved = bench.ac(Method::PATCH, &format!("{EXT}/{ID}")).json(&json!({"externalId": "other"}));
    assert_eq!(turned_down(moved).await.0, 400);
    // Profiles without a key are not held unique.
    create(&bench, json!({"lastName": "A"})).await;
    create(&bench, json!({"lastName": "A"})).await;
    assert_eq!(turned_down(Bench::new().await.ac(Method::GET, &format!("{EXT}/{ID}"))).await.0, 404);
}

#[tokio::test]
async fn the_standard_endpoint_knows_no_custom_attributes_and_no_custom_key() {
    let bench = Bench::seeded(seed()).await;
    let made = create(&bench, json!({"externalId": ID, "cusOrigin": "web"})).await;
    let pkey = made["PKey"].as_str().unwrap();
    let standard = ok(bench.ac(Method::GET, &format!("{STANDARD}/{pkey}"))).await;
    assert!(standard.get("cusOrigin").is_none() && standard["externalId"] == ID);
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{STANDARD}/{ID}"))).await.0, 500);
    assert_eq!(turned_down(bench.ac(Method::POST, STANDARD).json(&json!({"cusOrigin": "web"}))).await.0, 400);
}

#[tokio::test]
async fn a_body_is_checked_against_the_resource() {
    let bench = Bench::seeded(seed()).await;
    let cases = [
        json!({"firstName": "é".repeat(31)}),
        json!({"salutation": "Prof. Dr. Dr. h.c. mult."}),
        json!({"cusDisplayName": "12345678901"}),
        json!({"gender": "Female"}),
        json!({"gender": 2}),
        json!({"cusOrigin": "phone"}),
        json!({"blackList": "true"}),
        json!({"blackList": 1}),
        json!({"birthDate": "24.10.1980"}),
        json!({"birthDate": "1980-10-24T00:00:00Z"}),
        json!({"email": "no address"}),
        json!({"nosuch": 1}),
        json!({"location": {"nosuch": "x"}}),
        json!({"location": "x"}),
        json!({"location": {"city": "x".repeat(51)}}),
        json!({"postalAddress": {"line1": "x"}}),
        json!({"PKey": "@1"}),
        json!({"created": "2020-01-01 00:00:00.000Z"}),
        json!({"cusCreditLimit": "12"}),
        json!({"subscriptions": []}),
        json!([1]),
    ];
    for body in cases {
        let (status, _, message) = turned_down(bench.ac(Method::POST, EXT).json(&body)).await;
        assert_eq!(status, 400, "{body}: {message}");
    }
    create(&bench, json!({"firstName": "é".repeat(30), "birthDate": null, "email": ""})).await;
    assert_eq!(bench.look("dump/profiles").await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_name_of_a_bodys_type_matters_only_where_that_is_set() {
    for (strict, status) in [(false, 201), (true, 415)] {
        let bench = Bench::with(Config { strict_content_type: strict, ..Config::default() }).await;
        let plain = bench.ac(Method::POST, EXT).header("Content-Type", "text/plain;charset=UTF-8").body("{}");
        assert_eq!(plain.send().await.unwrap().status(), status);
        create(&bench, json!({"lastName": "A"})).await;
    }
}

#[tokio::test]
async fn lists_are_paged_by_next_filtered_counted_and_ordered() {
    let bench = Bench::with(Config { big_table_threshold: 30, ..Config::default() }).await;
    for index in 0..30 {
        create(&bench, json!({"externalId": format!("k{index:02}"), "email": format!("p{}@example.com", index % 10), "lastName": format!("N{:02}", 99 - index)})).await;
    }
    let mut seen = Vec::new();
    let mut link = format!("{EXT}?_lineCount=7");
    for _ in 0..10 {
        let page = ok(bench.ac(Method::GET, &link)).await;
        assert_eq!(page["serverSidePagination"], true);
        seen.extend(page["content"].as_array().unwrap().iter().map(|row| row["externalId"].as_str().unwrap().to_owned()));
        match page["next"]["href"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 30);
    let first = ok(bench.ac(Method::GET, EXT)).await;
    assert_eq!(first["content"].as_array().unwrap().len(), 25);
    assert_eq!(ok(bench.ac(Method::GET, first["count"]["href"].as_str().unwrap())).await, json!({"count": 30}));
    let found = ok(bench.ac(Method::GET, &format!("{EXT}/byEmail?email=P3@example.com"))).await;
    assert_eq!(found["content"].as_array().unwrap().len(), 3);
    assert_eq!(ok(bench.ac(Method::GET, found["count"]["href"].as_str().unwrap())).await, json!({"count": 3}));
    let both = ok(bench.ac(Method::GET, &format!("{EXT}/byEmail/byText?email=p3@example.com&text=n86"))).await;
    assert_eq!(both["content"][0]["externalId"], "k13");
    let ordered = ok(bench.ac(Method::GET, &format!("{EXT}?_order=lastName%20desc&_lineCount=2"))).await;
    assert_eq!(ordered["content"][0]["lastName"], "N99");
    let second = ok(bench.ac(Method::GET, ordered["next"]["href"].as_str().unwrap())).await;
    assert_eq!(second["content"][0]["lastName"], "N97");
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}?_order=salutation"))).await.0, 400);
    // One row more than the threshold: `next` needs to be forced.
    create(&bench, json!({"externalId": "last"})).await;
    assert!(ok(bench.ac(Method::GET, EXT)).await.get("next").is_none());
    assert!(ok(bench.ac(Method::GET, &format!("{EXT}?_forcePagination=true"))).await.get("next").is_some());
    let column = ok(bench.ac(Method::GET, &format!("{EXT}/email?_lineCount=1&_forcePagination=true"))).await;
    assert_eq!(column["content"], json!(["p0@example.com"]));
    let next = ok(bench.ac(Method::GET, column["next"]["href"].as_str().unwrap())).await;
    assert_eq!(next["content"], json!(["p1@example.com"]));
}

#[tokio::test]
async fn the_sample_seed_has_custom_attributes_and_foreign_profiles() {
    let bench = Bench::with(Config { seed_text: Some(d365map_emulator::SAMPLE_SEED.to_owned()), ..Config::default() }).await;
    create(&bench, json!({"externalId": ID, "cusCreditLimit": 10.5, "cusDisplayName": "A B", "cusOrigin": "crm"})).await;
    let keys: Vec<Value> = bench.look("dump/profiles").await.as_array().unwrap().iter().map(|row| row["externalId"].clone()).collect();
    assert_eq!(keys, [json!(""), json!(ID), json!("shop-000017")]);
}

#[tokio::test]
async fn a_stored_pkey_does_not_outlive_its_epoch() {
    let bench = Bench::new().await;
    let made = create(&bench, json!({"externalId": ID})).await;
    let href = made["href"].as_str().unwrap();
    ok(bench.ac(Method::GET, href)).await;
    bench.admin("expire-pkeys", json!({})).await;
    assert_eq!(turned_down(bench.ac(Method::GET, href)).await.0, 404);
    let again = ok(bench.ac(Method::GET, &format!("{EXT}/{ID}"))).await;
    assert_ne!(again["PKey"], made["PKey"]);
}

#[tokio::test]
async fn metadata_lists_standard_and_custom_attributes() {
    let bench = Bench::seeded(seed()).await;
    let metadata = ok(bench.ac(Method::GET, "profileAndServicesExt/resourceType/profile")).await;
    assert_eq!((&metadata["schema"], &metadata["name"], &metadata["type"]), (&json!("nms:recipient"), &json!("profile"), &json!("item")));
    let content = &metadata["content"];
    assert_eq!((&content["email"]["apiName"], &content["email"]["dataPolicy"]), (&json!("email"), &json!("email")));
    let names: Vec<&str> = content["gender"]["values"].as_array().unwrap().iter().filter_map(|value| value["name"].as_str()).collect();
    assert_eq!(names, ["unknown", "male", "female"]);
    assert_eq!(content["cusCreditLimit"]["type"], "number");
    ok(bench.ac(Method::GET, metadata["filters"]["href"].as_str().unwrap())).await;
    let standard = ok(bench.ac(Method::GET, "profileAndServices/resourceType/profile")).await;
    assert!(standard["content"].get("cusOrigin").is_none());
}
