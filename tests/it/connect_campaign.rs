//! The Campaign connector: against the emulator, which was written from the vendor's documents, and against answers by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use d365map::connect::{AdobeServiceAccount, ConnectError, Http, HttpConfig};
use d365map::schema::{FieldType, pull};
use d365map::systems::campaign::{AttributeType, Campaign, CampaignConfig, Filter, Key, Link, LinkForm, Linked, Query, Target, Written};
use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::connect_server::{Reply, Seen, Server};

const ID: &str = "c0000000-0000-4000-8000-000000000001";
const OTHER_ID: &str = "c0000000-0000-4000-8000-000000000002";
const LONG_PKEY: &str = "@4W1bK-5q0Icicnaf4EHUhZWyb-oXBTw1cSen3YxvSokZS26Vu";

fn http() -> Http {
    let config =
        HttpConfig { backoff_min: Duration::from_millis(1), backoff_max: Duration::from_millis(5), attempts: 4, ..HttpConfig::default() };
    Http::new(config).unwrap()
}

fn config(running: &Running) -> CampaignConfig {
    let credentials = running.credentials();
    let secret = SecretString::from(credentials.campaign.secret);
    let config = CampaignConfig::new(running.campaign_url().parse().unwrap(), credentials.campaign.id, secret, credentials.campaign_scope);
    CampaignConfig { token_url: running.campaign_token_url().parse().unwrap(), ..config }
}

pub fn campaign(running: &Running) -> Campaign {
    Campaign::new(http(), config(running)).unwrap()
}

fn seed() -> Value {
    json!({"campaign": {
        "fields": [
            {"name": "cusCategory", "type": "string"},
            {"name": "cusCrmId", "type": "string"},
            {"name": "cusTransactions", "type": "collection", "target": "cusTransaction", "via": "buyer"},
        ],
        "keys": [["cusCategory", "cusCrmId"]],
        "filters": [
            {"name": "byidentification_key", "parameters": [
                {"name": "category_parameter", "fields": ["cusCategory"]},
                {"name": "crm_id_parameter", "fields": ["cusCrmId"]},
            ]},
            {"name": "byModified", "parameters": [{"name": "from_parameter", "fields": ["lastModified"], "operator": "at-least"}]},
        ],
        "profiles": [{"externalId": ID, "cusCategory": "spring", "cusCrmId": "12 & 3+4", "lastName": "Doe", "email": "doe@example.com"}],
        "resources": {
            "cusTransaction": {
                "label": "Transactions",
                "fields": [
                    {"name": "code", "type": "string"},
                    {"name": "amount", "type": "number", "sortable": true},
                    {"name": "state", "type": "enumeration", "values": [["Open", "open", 0], ["Paid", "paid", 1]]},
                    {"name": "buyer", "type": "link", "target": "profile"},
                    {"name": "shop", "type": "link", "target": "cusShop"},
                ],
                "keys": [["code"]],
            },
            "cusShop": {"fields": [{"name": "region", "type": "string"}, {"name": "number", "type": "integer"}],
                        "keys": [["region", "number"]],
                        "filters": [{"name": "byRegionNumber", "parameters": [
                            {"name": "region", "fields": ["region"]}, {"name": "number", "fields": ["number"]}]}],
                        "rows": [{"region": "north", "number": 7}]},
            "cusBrand": {"fields": [{"name": "name", "type": "string"}], "keys": [["name"]]},
        },
    }})
}

async fn seeded(config: Config) -> Running {
    start(Config { seed_text: Some(seed().to_string()), ..config }).await.unwrap()
}

async fn admin(running: &Running, path: &str, body: Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("{}/{path}", running.admin_url())).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
}

fn no_pkey(shown: impl std::fmt::Debug) {
    let text = format!("{shown:?}");
    assert!(!text.contains("PKey") && !text.contains("href") && !text.contains("/@"), "{text}");
}

#[tokio::test]
async fn a_custom_resource_is_written_by_its_key_at_the_endpoint_that_has_it() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    for (resource, key, body) in [
        ("cusTransaction", "T 1/2", json!({"code": "T 1/2", "amount": 1})),
        ("profileAndServicesExt/cusTransaction", "T2", json!({"code": "T2"})),
        ("cusBrand", "Acmé", json!({"name": "Acmé"})),
        ("customResources/cusBrand", "Beta", json!({"name": "Beta"})),
    ] {
        assert!(campaign.get(resource, key).await.unwrap().is_none());
        campaign.create(resource, None, body.to_string()).await.unwrap();
        let twice = campaign.create(resource, None, body.to_string()).await.unwrap_err();
        assert!(matches!(twice, ConnectError::Duplicate { .. }), "{twice}");
        let record = campaign.get(resource, key).await.unwrap().unwrap();
        no_pkey(&record);
        assert_eq!(campaign.update(resource, key, "{}").await.unwrap(), Written::Done);
        assert_eq!(campaign.delete(resource, key).await.unwrap(), Written::Done);
        assert_eq!(campaign.update(resource, key, "{}").await.unwrap(), Written::Missing);
        assert_eq!(campaign.delete(resource, key).await.unwrap(), Written::Missing);
    }
    // A resource that is not there is no missing record. The service's words for it are those of a gateway in trouble too.
    let wrong = campaign.create("profileAndServicesExt/cusBrand", None, "{}").await.unwrap_err();
    assert!(matches!(wrong, ConnectError::OutcomeUnknown { .. }), "{wrong}");
    let wrong = campaign.get("profileAndServicesExt/cusBrand", "Acmé").await.unwrap_err();
    assert!(matches!(wrong, ConnectError::Unavailable { .. }), "{wrong}");
    let wrong = campaign.resource_metadata("profileAndServicesExt/cusBrand").await.unwrap_err();
    assert!(matches!(wrong, ConnectError::NotFound { .. }), "{wrong}");
}

#[tokio::test]
async fn which_endpoint_has_a_custom_resource_is_asked_once_and_never_for_the_products_own() {
    let (server, campaign) = answering(|seen| {
        let listing = r#"{"apiName":"resourceType","cusTransaction":{"name":"cusTransaction"}}"#;
        let one = r#"{"PKey":"@p","name":"x"}"#;
        Reply::json(
            200,
            if seen.target.ends_with("profileAndServicesExt/") || seen.target.ends_with("profileAndServicesExt") { listing } else { one },
        )
    })
    .await;
    campaign.get("profile", "k").await.unwrap();
    assert_eq!(server.calls().len(), 1);
    for resource in ["cusBrand", "cusTransaction", "cusBrand", "profileAndServicesExt/cusBrand"] {
        campaign.get(resource, "k").await.unwrap();
    }
    let targets: Vec<String> = server.calls()[1..].iter().map(|call| call.target.replace("/org/campaign/", "")).collect();
    assert_eq!(
        targets,
        [
            "profileAndServicesExt",
            "customResources/cusBrand/k",
            "profileAndServicesExt/cusTransaction/k",
            "customResources/cusBrand/k",
            "profileAndServicesExt/cusBrand/k"
        ]
    );
}

#[tokio::test]
async fn a_key_of_two_parts_is_looked_up_by_its_filter() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    let key =
        |category: &str| Filter::new("byidentification_key").with("category_parameter", category).with("crm_id_parameter", "12 & 3+4");
    let (there, not_there) = (key("spring"), key("autumn"));
    let record = campaign.get("profile", &there).await.unwrap().unwrap();
    assert_eq!(record["externalId"], ID);
    no_pkey(&record);
    assert_eq!(campaign.update("profile", &there, r#"{"lastName":"Roe"}"#).await.unwrap(), Written::Done);
    assert_eq!(campaign.get("profile", ID).await.unwrap().unwrap()["lastName"], "Roe");
    assert!(campaign.get("profile", &not_there).await.unwrap().is_none());
    assert_eq!(campaign.update("profile", &not_there, "{}").await.unwrap(), Written::Missing);
    // A filter that finds several is not a key.
    campaign.create("profile", None, r#"{"externalId":"x","lastName":"Roe"}"#).await.unwrap();
    let vague = Filter::new("byText").with("text", "roe");
    let error = campaign.delete("profile", &vague).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }) && error.to_string().contains("byText"), "{error}");
    assert_eq!(campaign.delete("profile", &there).await.unwrap(), Written::Done);
    assert_eq!(campaign.delete("profile", &there).await.unwrap(), Written::Missing);
    assert!(!format!("{there:?}").contains("spring"), "a filter's values may be personal data");
}

#[tokio::test]
async fn a_link_is_written_in_each_form_and_emptied() {
    let running = seeded(Config::default()).await;
    for (form, code) in [(LinkForm::PKey, "a"), (LinkForm::Key, "b"), (LinkForm::Href, "c")] {
        let campaign = Campaign::new(http(), CampaignConfig { link_form: form, ..config(&running) }).unwrap();
        let shop = Filter::new("byRegionNumber").with("region", "north").with("number", "7");
        let buyer = Target { resource: "profile", attribute: "externalId", key: Key::from(ID) };
        let links = [
            Link { name: "buyer", to: Some(buyer), lasting: false },
            Link { name: "shop", to: Some(Target { resource: "cusShop", attribute: "number", key: Key::from(&shop) }), lasting: false },
        ];
        let body = format!(r#"{{"code":"{code}","amount":12.50}}"#);
        let Linked::Ready(payload) = campaign.linked(&body, &links).await.unwrap() else { panic!("{form:?}") };
        no_pkey(&payload);
        campaign.create("cusTransaction", None, payload).await.unwrap();
        let record = campaign.get("cusTransaction", code).await.unwrap().unwrap();
        assert_eq!(
            (&record["buyer"], &record["shop"]["title"], &record["amount"]),
            (&json!({"title": "Doe (doe@example.com)"}), &json!(""), &json!(12.5)),
            "{form:?}"
        );
        let nobody = [Link { name: "buyer", to: None, lasting: false }];
        let Linked::Ready(payload) = campaign.linked("{}", &nobody).await.unwrap() else { panic!("{form:?}") };
        assert_eq!(campaign.update("cusTransaction", code, payload).await.unwrap(), Written::Done);
        assert!(campaign.get("cusTransaction", code).await.unwrap().unwrap().get("buyer").is_none());
        // A missing parent: found by the lookup, or reported by the service.
        let absent = [Link { name: "buyer", to: Some(Target { key: Key::from(OTHER_ID), ..buyer }), lasting: false }];
        match (form, campaign.linked("{}", &absent).await.unwrap()) {
            (LinkForm::PKey | LinkForm::Href, linked) => assert_eq!(linked, Linked::Absent { link: "buyer".to_owned() }),
            (LinkForm::Key, Linked::Ready(payload)) => {
                let error = campaign.update("cusTransaction", code, payload).await.unwrap_err();
                assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
            }
            (LinkForm::Key, Linked::Absent { link }) => panic!("{link}: nothing was looked up"),
        }
        assert!(matches!(campaign.linked("[]", &[]).await, Err(ConnectError::Rejected { .. })));
    }
}

#[tokio::test]
async fn a_link_goes_to_the_record_of_now_though_pkeys_have_changed() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    let links =
        [Link { name: "buyer", to: Some(Target { resource: "profile", attribute: "externalId", key: Key::from(ID) }), lasting: false }];
    for code in ["a", "b"] {
        let Linked::Ready(payload) = campaign.linked(&format!(r#"{{"code":"{code}"}}"#), &links).await.unwrap() else { panic!() };
        campaign.create("cusTransaction", None, payload).await.unwrap();
        admin(&running, "expire-pkeys", json!({})).await;
    }
    let bought = campaign.collection("profile", ID, "cusTransactions", None).await.unwrap().unwrap().all().await.unwrap();
    let codes: Vec<&str> = bought.iter().filter_map(|record| record["code"].as_str()).collect();
    assert_eq!(codes, ["a", "b"]);
    assert!(campaign.collection("profile", "nobody", "cusTransactions", None).await.unwrap().is_none());
    assert!(campaign.collection("profile", ID, "nosuch", None).await.unwrap().unwrap().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_is_read_to_its_end_ordered_filtered_and_counted_on_a_big_table() {
    let mut seed = seed();
    let rows: Vec<Value> = (0..120).map(|n| json!({"code": format!("t{n:03}"), "amount": (n * 7) % 120})).collect();
    seed["campaign"]["resources"]["cusTransaction"]["rows"] = json!(rows);
    let running = start(Config { seed_text: Some(seed.to_string()), big_table_threshold: 50, ..Config::default() }).await.unwrap();
    let campaign = campaign(&running);
    let mut pages = campaign.list("cusTransaction", &Query::new().lines(50)).await.unwrap();
    let (mut codes, mut sizes) = (BTreeSet::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
        no_pkey(&page);
        codes.extend(page.iter().map(|record| record["code"].as_str().unwrap().to_owned()));
    }
    assert_eq!((codes.len(), sizes), (120, vec![50, 50, 20]));
    assert!(pages.next().await.unwrap().is_none(), "the end stays the end");
    let descending = campaign.list("cusTransaction", &Query::new().order("amount", true).lines(50)).await.unwrap().all().await.unwrap();
    let amounts: Vec<i64> = descending.iter().map(|record| record["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, (0..120).rev().collect::<Vec<_>>());
    assert_eq!(campaign.count("cusTransaction", &Query::new()).await.unwrap(), 120);
    // A page that is full and the last one is not an incomplete list.
    assert_eq!(campaign.list("cusTransaction", &Query::new().lines(120)).await.unwrap().all().await.unwrap().len(), 120);
    let wrong = campaign.list("cusTransaction", &Query::new().order("code", false)).await.unwrap().all().await.unwrap_err();
    assert!(matches!(wrong, ConnectError::Rejected { .. }), "{wrong}");
    assert!(!format!("{pages:?}").contains("http"));
}

#[tokio::test]
async fn an_incremental_read_brings_what_a_filter_on_last_modified_lets_through() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let since = chrono::Utc::now();
    campaign.create("profile", None, r#"{"externalId":"new","lastName":"New"}"#).await.unwrap();
    let changed = Query::new().filter(Filter::new("byModified").since("from_parameter", since));
    let found = campaign.list("profile", &changed).await.unwrap().all().await.unwrap();
    assert_eq!(found.iter().map(|record| record["externalId"].as_str().unwrap()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(campaign.count("profile", &changed).await.unwrap(), 1);
    let both = changed.filter(Filter::new("byEmail").with("email", "doe@example.com"));
    assert!(campaign.list("profile", &both).await.unwrap().all().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_resource_is_described_with_its_links_and_filters_and_pulled_as_a_table() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    let described = campaign.describe("cusTransaction").await.unwrap();
    assert_eq!(
        (described.name.as_str(), described.label.as_str(), described.schema.as_str()),
        ("cusTransaction", "Transactions", "cus:transaction")
    );
    let of = |name: &str| described.attributes.iter().find(|attribute| attribute.name == name).unwrap();
    assert_eq!((&of("buyer").kind, of("buyer").target.as_deref()), (&AttributeType::Link, Some("profile")));
    assert_eq!(of("state").kind, AttributeType::Enumeration(vec!["open".into(), "paid".into()]));
    assert!(of("amount").sortable && !of("code").sortable);
    let profile = campaign.describe("profile").await.unwrap();
    let email = profile.attributes.iter().find(|attribute| attribute.name == "email").unwrap();
    assert_eq!(email.data_policy.as_deref(), Some("email"));
    let filters = campaign.filters("profile").await.unwrap();
    let key = filters.iter().find(|filter| filter.name == "byidentification_key").unwrap();
    assert_eq!(key.parameters, ["category_parameter", "crm_id_parameter"]);
    assert!(campaign.resources("customResources").await.unwrap().contains(&"cusBrand".to_owned()));

    let document = campaign.resource_metadata("cusTransaction").await.unwrap();
    assert!(document.get("filters").is_none(), "the filters' address holds a PKey");
    let table = pull::campaign("cusTransaction", &document, None).unwrap().table;
    assert!(matches!(&table.fields["buyer"].ty, FieldType::Link { target: Some(target) } if target == "profile"));
    let missing = campaign.describe("cusNothing").await.unwrap_err();
    assert!(matches!(missing, ConnectError::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn a_profiles_history_is_read_by_our_key_and_shows_no_pkey() {
    let running = seeded(Config::default()).await;
    let campaign = campaign(&running);
    admin(&running, "campaign/history", json!({"profile": ID, "date": "2018-05-17 08:44:49.366Z", "repeat": 60})).await;
    admin(
        &running,
        "campaign/history",
        json!({"profile": ID, "date": "2017-01-01T00:00:00Z", "label": "SMS", "category": "sms", "mirror": false}),
    )
    .await;
    let mut history = campaign.history(ID, Some(25)).await.unwrap().unwrap();
    let (mut events, mut pages) = (Vec::new(), 0);
    while let Some(page) = history.next().await.unwrap() {
        pages += 1;
        events.extend(page);
    }
    assert_eq!((events.len(), pages), (61, 3));
    no_pkey(&events);
    let (first, last) = (&events[59], &events[60]);
    assert_eq!((first.category.as_str(), first.kind.as_str(), first.label.as_str()), ("email", "outbound", "Send via email"));
    assert_eq!(first.date.unwrap().to_rfc3339(), "2018-05-17T08:44:49.366+00:00");
    assert_eq!((last.category.as_str(), last.mirror_page.is_some()), ("sms", false));
    let mirror = campaign.mirror_page(first.mirror_page.as_ref().unwrap()).await.unwrap().unwrap();
    assert_eq!(mirror.host_str(), Some("mirror.example"));
    assert!(campaign.history("nobody", None).await.unwrap().is_none());
    campaign.create("profile", None, format!(r#"{{"externalId":"{OTHER_ID}"}}"#)).await.unwrap();
    let mut none = campaign.history(OTHER_ID, None).await.unwrap().unwrap();
    assert!(none.next().await.unwrap().is_some_and(|page| page.is_empty()));
}

#[tokio::test]
async fn a_profile_that_a_unit_hides_is_missing_and_a_duplicate_at_once() {
    let seed = json!({"campaign": {"orgUnitRequired": true, "fields": [{"name": "orgUnit", "type": "link", "target": "orgUnitBase"}]}});
    let running = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.unwrap();
    let campaign = campaign(&running);
    let body = format!(r#"{{"externalId":"{ID}"}}"#);
    campaign.create("profile", None, &body).await.unwrap();
    assert!(campaign.get("profile", ID).await.unwrap().is_none());
    assert!(matches!(campaign.create("profile", None, &body).await, Err(ConnectError::Duplicate { .. })));
    let unit =
        Link { name: "orgUnit", to: Some(Target { resource: "orgUnitBase", attribute: "name", key: Key::from("all") }), lasting: false };
    let Linked::Ready(payload) = campaign.linked(&format!(r#"{{"externalId":"{OTHER_ID}"}}"#), &[unit]).await.unwrap() else { panic!() };
    campaign.create("profile", None, payload).await.unwrap();
    assert_eq!(campaign.get("profile", OTHER_ID).await.unwrap().unwrap()["orgUnit"]["title"], "All (all)");
}

#[tokio::test]
async fn statuses_that_no_document_names_do_not_mislead() {
    let running = seeded(Config { refusal_status: 500, missing_status: 400, duplicate_status: 500, ..Config::default() }).await;
    let campaign = campaign(&running);
    assert!(campaign.get("profile", "nobody").await.unwrap().is_none());
    assert_eq!(campaign.delete("profile", "nobody").await.unwrap(), Written::Missing);
    let refused = campaign.update("profile", ID, r#"{"age":3}"#).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Rejected { .. }), "{refused}");
    let twice = campaign.create("profile", None, format!(r#"{{"externalId":"{ID}"}}"#)).await.unwrap_err();
    assert!(matches!(twice, ConnectError::Duplicate { .. }), "{twice}");
}

#[tokio::test]
async fn a_service_account_signs_in_and_one_with_another_key_is_refused() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let running = seeded(Config { jwt_keys: vec![certificate.pem()], ..Config::default() }).await;
    let account = |pem: String| {
        let credentials = running.credentials();
        let meant = credentials.campaign_account;
        let secret = SecretString::from(credentials.campaign.secret);
        AdobeServiceAccount::new(secret, meant.organization, meant.account, meant.metascopes, &SecretString::from(pem)).unwrap()
    };
    let with = |account| {
        let token_url = running.campaign_exchange_url().parse().unwrap();
        let config = CampaignConfig { credential: d365map::connect::Credential::AdobeJwt(account), token_url, ..config(&running) };
        Campaign::new(http(), config).unwrap()
    };
    let campaign = with(account(key.serialize_pem()));
    assert_eq!(campaign.get("profile", ID).await.unwrap().unwrap()["lastName"], "Doe");
    // Expired at the service while the connector thinks it good: a new one is asked for.
    admin(&running, "expire-tokens", json!({})).await;
    assert!(campaign.get("profile", ID).await.unwrap().is_some());
    let stranger = with(account(rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()));
    let error = stranger.get("profile", ID).await.unwrap_err();
    assert!(matches!(error, ConnectError::Token { .. }), "{error}");
    assert_eq!(error.vendor_code(), Some("invalid_token"));
}

#[tokio::test]
async fn throttling_is_waited_out_with_and_without_retry_after_and_so_is_503() {
    for retry_after in [Some(0), None] {
        let running = seeded(Config::default()).await;
        let http = http();
        let campaign = Campaign::new(http.clone(), config(&running)).unwrap();
        admin(&running, "fail-next", json!({"api": "campaign", "kind": "throttle", "count": 2, "retry_after": retry_after})).await;
        admin(&running, "fail-next", json!({"api": "campaign", "kind": "status", "status": 503, "count": 1})).await;
        // A create too: a 429 and a 503 are answered in place of working on the request.
        campaign.create("profileAndServicesExt/cusTransaction", None, r#"{"code":"once"}"#).await.unwrap();
        let stats = http.stats().api("campaign");
        assert_eq!((stats.outcomes["throttled"], stats.calls), (2, 4));
        assert_eq!(campaign.count("cusTransaction", &Query::new()).await.unwrap(), 1);
    }
    let running = seeded(Config::default()).await;
    admin(&running, "fail-next", json!({"api": "campaign", "kind": "throttle", "count": 4})).await;
    let error = campaign(&running).get("profile", ID).await.unwrap_err();
    assert!(matches!(error, ConnectError::Throttled { .. }), "{error}");
    assert_eq!((error.status(), error.vendor_code()), (Some(429), Some("429050")));
}

// Answers by hand.

pub async fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Server, Campaign) {
    let server = Server::with_tokens(move |seen, _| answer(seen)).await;
    let campaign = at(&server);
    (server, campaign)
}

fn at(server: &Server) -> Campaign {
    let config = CampaignConfig {
        token_url: server.token_url(),
        ..CampaignConfig::new(server.url.join("org").unwrap(), "client", SecretString::from("s"), "openid")
    };
    Campaign::new(http(), config).unwrap()
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_is_not_followed_from_any_answer() {
    let stranger = Server::with_tokens(|_, _| Reply::json(200, r#"{"content":[],"count":1}"#)).await;
    let elsewhere = stranger.url.join("org/campaign/profileAndServicesExt/profile/@x").unwrap().to_string();
    // The same host, another organization.
    let neighbor = |seen: &Seen| format!("http://{}/other/campaign/x", seen.header("host").unwrap());
    for which in ["href", "next", "count", "events", "mirrorPage", "filters", "subscriptions"] {
        for near in [false, true] {
            let elsewhere = elsewhere.clone();
            let (server, campaign) = answering(move |seen| {
                let foreign = if near { neighbor(seen) } else { elsewhere.clone() };
                let own = |path: &str| format!("http://{}/org/campaign/{path}", seen.header("host").unwrap());
                let link = |name: &str, path: &str| json!({"href": if name == which { foreign.clone() } else { own(path) }});
                let path = seen.target.split('?').next().unwrap();
                let href = link("href", "profileAndServicesExt/profile/@p")["href"].clone();
                let body = if path.ends_with("/history/@p") {
                    json!({"PKey": "@p", "events": link("events", "profileAndServices/history/@p/events/")})
                } else if path.ends_with("/events/") {
                    json!({"content": [{"PKey": "@e", "category": "email", "mirrorPage": link("mirrorPage", "x")}]})
                } else if path.contains("resourceType") {
                    json!({"content": {}, "filters": link("filters", "x")})
                } else if path.ends_with("/byEmail") || path.ends_with("/profile") {
                    json!({"content": [{"PKey": "@p", "href": href}], "next": link("next", "x"), "count": link("count", "c")})
                } else {
                    json!({"PKey": "@p", "href": href, "subscriptions": link("subscriptions", "x"), "count": 3, "content": []})
                };
                Reply::json(200, body.to_string())
            })
            .await;
            let by = Filter::new("byEmail").with("email", "a@b.example");
            let error = match which {
                "href" => campaign.update("profile", &by, "{}").await.err(),
                "next" => campaign.list("profile", &Query::new()).await.unwrap().next().await.err(),
                "count" => campaign.count("profile", &Query::new()).await.err(),
                "filters" => campaign.filters("profile").await.err(),
                "subscriptions" => campaign.collection("profile", "k", "subscriptions", None).await.err(),
                _ => match campaign.history("k", None).await {
                    Ok(history) => history.unwrap().next().await.err(),
                    Err(error) => Some(error),
                },
            };
            let error = error.unwrap_or_else(|| panic!("{which} was followed"));
            assert!(matches!(error, ConnectError::ForeignLink { .. }), "{which}: {error}");
            assert!(server.calls().iter().all(|call| call.target.starts_with("/org/")), "{which}");
        }
    }
    assert!(stranger.calls().is_empty() && stranger.tokens().is_empty());
}

#[tokio::test]
async fn pages_that_form_a_cycle_or_end_too_early_are_faults() {
    let (server, campaign) = answering(|seen| {
        let host = seen.header("host").unwrap();
        let next = if seen.target.contains("page=2") { "page=1" } else { "page=2" };
        let next = if seen.target.contains("page=1") { "page=2" } else { next };
        let body = json!({"content": [{"PKey": "@p"}], "next": {"href": format!("http://{host}/org/campaign/x/profile?{next}")}});
        Reply::json(200, body.to_string())
    })
    .await;
    let error = campaign.list("profile", &Query::new()).await.unwrap().all().await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }) && error.to_string().contains("cycle"), "{error}");
    assert!(server.calls().len() <= 4);

    let (_server, campaign) = answering(|seen| {
        let host = seen.header("host").unwrap();
        let body = if seen.target.contains("_count") {
            json!({"count": 100_001})
        } else {
            json!({"content": [{"PKey": "@p"}, {"PKey": "@q"}], "count": {"href": format!("http://{host}/org/campaign/x/profile/_count")}})
        };
        Reply::json(200, body.to_string())
    })
    .await;
    let error = campaign.list("profile", &Query::new().lines(2)).await.unwrap().all().await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }) && error.to_string().contains("XtkBigTableThreshold"), "{error}");
    // Fewer than asked for is the end, and costs no count.
    assert_eq!(campaign.list("profile", &Query::new().lines(3)).await.unwrap().all().await.unwrap().len(), 2);
}

#[tokio::test]
async fn parameters_are_sent_as_the_documents_write_them() {
    let (server, campaign) = answering(|_| Reply::json(200, r#"{"content":[]}"#)).await;
    let at = "2019-09-25T23:20:35Z".parse().unwrap();
    let query = Query::new()
        .filter(Filter::new("byChannel").with("channel", "email"))
        .filter(Filter::new("byModified").since("from_parameter", at))
        .order("lastName", true)
        .lines(10);
    campaign.list("service", &query).await.unwrap().all().await.unwrap();
    let target = &server.calls()[0].target;
    assert_eq!(
        target,
        "/org/campaign/profileAndServicesExt/service/byChannel/byModified?channel=email&from_parameter=2019-09-25%2023%3A20%3A35.000Z\
         &_order=lastName%20desc&_lineCount=10&_forcePagination=true"
    );
}

#[tokio::test]
async fn a_key_that_the_service_would_take_for_something_else_is_refused() {
    let (server, campaign) = answering(|_| Reply::json(200, r#"{"content":["a@b.example"],"serverSidePagination":true}"#)).await;
    for error in [campaign.delete("profile", "@x").await.unwrap_err(), campaign.update("profile", "@x", "{}").await.unwrap_err()] {
        assert!(matches!(error, ConnectError::Rejected { .. }) && error.to_string().contains("filter"), "{error}");
    }
    assert!(server.calls().is_empty());
    let error = campaign.get("profile", "email").await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }) && error.to_string().contains("attribute"), "{error}");
}

#[tokio::test]
async fn a_single_record_in_a_list_of_one_as_an_example_of_the_documents_shows_is_read() {
    let (_server, campaign) = answering(|_| Reply::json(200, r#"{"content":[{"PKey":"@p","firstName":"Amy"}]}"#)).await;
    assert_eq!(campaign.get("profile", "k").await.unwrap().unwrap(), json!({"firstName": "Amy"}));
}

#[tokio::test]
async fn an_error_names_no_pkey_though_its_address_and_the_services_words_do() {
    let (server, campaign) = answering(|seen| {
        if seen.method == "GET" {
            let host = seen.header("host").unwrap();
            let href = format!("http://{host}/org/campaign/profileAndServicesExt/profile/{LONG_PKEY}");
            return Reply::json(200, json!({"content": [{"PKey": LONG_PKEY, "href": href}]}).to_string());
        }
        Reply::json(400, json!({"error_code": "400", "message": format!("'{LONG_PKEY}' of me@example.com is locked")}).to_string())
    })
    .await;
    let by = Filter::new("byEmail").with("email", "me@example.com");
    let error = campaign.update("profile", &by, "{}").await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(&LONG_PKEY[1..]) && shown.contains("is locked"), "{shown}");
    assert!(server.calls()[1].target.ends_with(LONG_PKEY), "the address was followed as it was given");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_a_fault_and_never_an_empty_list() {
    for body in [r#"{"content":{}}"#, "{}", "[]", "null", r#"{"content":[]"#] {
        let (_server, campaign) = answering(move |_| Reply::json(200, body)).await;
        let error = campaign.list("profile", &Query::new()).await.unwrap().next().await.unwrap_err();
        assert!(matches!(error, ConnectError::Protocol { .. }), "{body}: {error}");
    }
}
