//! Custom resources, links, filters, organizational units, marketing history and the service account of the emulated Campaign Standard.

use d365map_emulator::{Config, LinkForms, credentials};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, ok, turned_down};

const EXT: &str = "profileAndServicesExt";

/// Transactions of profiles, products that nothing links to profiles, and a profile with a key of two parts.
fn seed() -> Value {
    json!({"campaign": {
        "fields": [
            {"name": "cusCategory", "type": "string"},
            {"name": "cusCrmId", "type": "string"},
            {"name": "cusShop", "type": "link", "target": "cusShop"},
            {"name": "cusTransactions", "type": "collection", "target": "cusTransaction", "via": "buyer"},
        ],
        "keys": [["cusCategory", "cusCrmId"]],
        "filters": [
            {"name": "byidentification_key", "parameters": [
                {"name": "category_parameter", "fields": ["cusCategory"]},
                {"name": "crm_id_parameter", "fields": ["cusCrmId"]},
            ]},
            {"name": "byModified", "parameters": [
                {"name": "from_parameter", "fields": ["lastModified"], "operator": "at-least"},
                {"name": "name_parameter", "fields": ["lastName"], "optional": true},
            ]},
        ],
        "profiles": [{"externalId": ID, "cusCategory": "spring", "cusCrmId": "123456", "lastName": "Doe"}],
        "resources": {
            "cusTransaction": {
                "label": "Transactions",
                "fields": [
                    {"name": "code", "type": "string", "policy": "upperCase"},
                    {"name": "amount", "type": "number"},
                    {"name": "buyer", "type": "link", "target": "profile", "cardinality": "1"},
                    {"name": "shop", "type": "link", "target": "cusShop"},
                ],
                "keys": [["code"]],
                "filters": [{"name": "byAmount", "parameters": [{"name": "amount_parameter", "fields": ["amount"], "operator": "at-least"}]}],
                "rows": [{"code": "T0", "amount": 5, "buyer": {"externalId": ID}}],
            },
            "cusShop": {"fields": [{"name": "number", "type": "integer"}, {"name": "label", "type": "string"}], "keys": [["number"]],
                        "rows": [{"number": 7, "label": "North"}]},
            "cusBrand": {"fields": [{"name": "name", "type": "string", "length": 10}], "keys": [["name"]]},
        },
    }})
}

async fn seeded(config: Config) -> Bench {
    Bench::with(Config { seed_text: Some(seed().to_string()), ..config }).await
}

#[tokio::test]
async fn a_resource_is_found_at_one_endpoint_by_whether_it_is_linked_to_profiles() {
    let bench = seeded(Config::default()).await;
    for (resource, at, not_at) in [
        ("cusTransaction", EXT, "customResources"),
        // Linked by way of transactions.
        ("cusShop", EXT, "customResources"),
        ("cusBrand", "customResources", EXT),
    ] {
        ok(bench.ac(Method::GET, &format!("{at}/{resource}"))).await;
        let metadata = ok(bench.ac(Method::GET, &format!("{at}/resourceType/{resource}"))).await;
        assert_eq!((&metadata["name"], &metadata["data"]), (&json!(resource), &json!(format!("/{at}/{resource}/"))));
        ok(bench.ac(Method::GET, metadata["href"].as_str().unwrap())).await;
        for wrong in [not_at, "profileAndServices"] {
            assert_eq!(turned_down(bench.ac(Method::GET, &format!("{wrong}/{resource}"))).await.1, "500");
            assert_eq!(turned_down(bench.ac(Method::GET, &format!("{wrong}/resourceType/{resource}"))).await.1, "500");
        }
        let listed = ok(bench.ac(Method::GET, &format!("{at}/"))).await;
        assert_eq!(listed[resource]["name"], resource);
    }
    assert_eq!(turned_down(bench.ac(Method::GET, "customResources/profile")).await.1, "500");
    let made = ok(bench.ac(Method::POST, "customResources/cusBrand").json(&json!({"name": "Acme"}))).await;
    assert!(made["href"].as_str().unwrap().contains("/campaign/customResources/cusBrand/@"), "{made}");
    assert_eq!(ok(bench.ac(Method::GET, "customResources/cusBrand/Acme")).await, made);
    assert_eq!(turned_down(bench.ac(Method::POST, "customResources/cusBrand").json(&json!({"name": "x".repeat(11)}))).await.0, 400);
}

#[tokio::test]
async fn a_record_of_ones_own_resource_is_created_read_changed_and_deleted_by_its_key() {
    let bench = seeded(Config::default()).await;
    let at = format!("{EXT}/cusTransaction");
    let made = ok(bench.ac(Method::POST, &at).json(&json!({"code": "t1", "amount": 12.50, "buyer": {"externalId": ID}}))).await;
    // The data policy has changed what was sent.
    assert_eq!(made["code"], "T1");
    let read = ok(bench.ac(Method::GET, &format!("{at}/T1"))).await;
    assert_eq!(read, made);
    assert_eq!(read["buyer"]["title"], "Doe");
    let buyer = ok(bench.ac(Method::GET, read["buyer"]["href"].as_str().unwrap())).await;
    assert_eq!(buyer["externalId"], ID);
    let changed = ok(bench.ac(Method::PATCH, &format!("{at}/T1")).json(&json!({"amount": 13}))).await;
    assert_eq!(changed, json!({"PKey": made["PKey"], "href": made["href"]}));
    assert_eq!(turned_down(bench.ac(Method::PATCH, &format!("{at}/T1")).json(&json!({"code": "T9"}))).await.0, 400);
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&json!({"code": "T1", "buyer": {"externalId": ID}}))).await.0, 409);
    // A PKey belongs to one resource.
    let pkey = made["PKey"].as_str().unwrap();
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/cusShop/{pkey}"))).await.0, 404);
    // A number can be a key.
    assert_eq!(ok(bench.ac(Method::GET, &format!("{EXT}/cusShop/7"))).await["label"], "North");
    assert_eq!(bench.ac(Method::DELETE, &format!("{at}/T1")).send().await.unwrap().status(), 204);
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{at}/T1"))).await.0, 404);
    assert_eq!(bench.look("dump/resource/cusTransaction").await, json!([{"code": "T0", "amount": 5, "buyer": ID, "title": "(T0)"}]));
}

#[tokio::test]
async fn a_link_is_written_by_pkey_key_or_address_and_emptied_by_null() {
    let bench = seeded(Config::default()).await;
    let shop = ok(bench.ac(Method::GET, &format!("{EXT}/cusShop/7"))).await;
    let profile = format!("{EXT}/profile/{ID}");
    for link in
        [json!({"PKey": shop["PKey"]}), json!({"number": "7"}), json!({"number": 7}), json!({"href": shop["href"]}), shop["href"].clone()]
    {
        ok(bench.ac(Method::PATCH, &profile).json(&json!({"cusShop": link}))).await;
        assert_eq!(ok(bench.ac(Method::GET, &profile)).await["cusShop"]["PKey"], shop["PKey"], "{link}");
        ok(bench.ac(Method::PATCH, &profile).json(&json!({"cusShop": null}))).await;
        assert!(ok(bench.ac(Method::GET, &profile)).await.get("cusShop").is_none());
    }
    for wrong in [
        json!({"number": 8}),
        json!({"PKey": "@x"}),
        json!({"label": "North"}),
        json!({"number": 7, "label": "North"}),
        json!({}),
        json!("7"),
        json!(7),
        json!({"href": shop["href"].as_str().unwrap().replace("127.0.0.1", "evil.example")}),
        // A PKey of another resource.
        json!({"PKey": ok(bench.ac(Method::GET, &profile)).await["PKey"]}),
    ] {
        assert_eq!(turned_down(bench.ac(Method::PATCH, &profile).json(&json!({"cusShop": wrong}))).await.0, 400, "{wrong}");
    }
    // Links of the product's own whose targets this instance does not hold.
    assert_eq!(turned_down(bench.ac(Method::PATCH, &profile).json(&json!({"country": {"isoA2": "FR"}}))).await.0, 400);
}

#[tokio::test]
async fn the_forms_of_links_that_are_not_documented_can_be_switched_off() {
    let link_forms = LinkForms { pkey: true, key: false, href: false };
    let mut seed = seed();
    seed["campaign"]["resources"]["cusTransaction"]["rows"] = json!([]);
    let bench = Bench::with(Config { link_forms, seed_text: Some(seed.to_string()), ..Config::default() }).await;
    let shop = ok(bench.ac(Method::GET, &format!("{EXT}/cusShop/7"))).await;
    let profile = format!("{EXT}/profile/{ID}");
    for refused in [json!({"number": 7}), json!({"href": shop["href"]}), shop["href"].clone()] {
        assert_eq!(turned_down(bench.ac(Method::PATCH, &profile).json(&json!({"cusShop": refused}))).await.0, 400, "{refused}");
    }
    ok(bench.ac(Method::PATCH, &profile).json(&json!({"cusShop": {"PKey": shop["PKey"]}}))).await;
}

#[tokio::test]
async fn a_child_of_cardinality_1_is_hidden_until_its_parent_is_there_and_holds_its_key_all_the_while() {
    let bench = seeded(Config::default()).await;
    let at = format!("{EXT}/cusTransaction");
    let early = json!({"code": "T1", "amount": 9, "buyer": {"externalId": OTHER_ID}});
    assert_eq!(bench.ac(Method::POST, &at).json(&early).send().await.unwrap().status(), 201);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(turned_down(bench.ac(method, &format!("{at}/T1"))).await.0, 404);
    }
    assert_eq!(turned_down(bench.ac(Method::PATCH, &format!("{at}/T1")).json(&json!({"amount": 1}))).await.0, 404);
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&early)).await.0, 409, "hidden, and still a duplicate");
    let list = ok(bench.ac(Method::GET, &at)).await;
    assert_eq!(list["content"].as_array().unwrap().len(), 1);
    assert_eq!(ok(bench.ac(Method::GET, list["count"]["href"].as_str().unwrap())).await, json!({"count": 1}));
    assert_eq!(bench.look("dump/resource/cusTransaction").await[1]["hidden"], true);

    ok(bench.ac(Method::POST, &format!("{EXT}/profile")).json(&json!({"externalId": OTHER_ID}))).await;
    assert_eq!(ok(bench.ac(Method::GET, &format!("{at}/T1"))).await["amount"], 9);
    bench.ac(Method::DELETE, &format!("{EXT}/profile/{OTHER_ID}")).send().await.unwrap();
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{at}/T1"))).await.0, 404, "its parent is gone");

    // Without any link at all, and with a link that may be empty but names no record.
    assert_eq!(bench.ac(Method::POST, &at).json(&json!({"code": "T2"})).send().await.unwrap().status(), 201);
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{at}/T2"))).await.0, 404);
    let nobody = json!({"code": "T3", "buyer": {"externalId": ID}, "shop": {"number": 99}});
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&nobody)).await.0, 400);
}

#[tokio::test]
async fn a_collection_is_reached_by_its_address_and_never_by_a_key() {
    let bench = seeded(Config::default()).await;
    for code in ["T1", "T2", "T3"] {
        ok(bench.ac(Method::POST, &format!("{EXT}/cusTransaction")).json(&json!({"code": code, "buyer": {"externalId": ID}}))).await;
    }
    let profile = ok(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}"))).await;
    let href = profile["cusTransactions"]["href"].as_str().unwrap();
    assert!(!href.contains(profile["PKey"].as_str().unwrap()), "a collection's address has a different key: {href}");
    let page = ok(bench.ac(Method::GET, &format!("{href}?_lineCount=3"))).await;
    assert_eq!(page["content"].as_array().unwrap().len(), 3);
    let rest = ok(bench.ac(Method::GET, page["next"]["href"].as_str().unwrap())).await;
    assert_eq!((rest["content"].as_array().unwrap().len(), rest.get("next")), (1, None));
    assert_eq!(ok(bench.ac(Method::GET, page["count"]["href"].as_str().unwrap())).await, json!({"count": 4}));
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}/cusTransactions"))).await.1, "500");
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}/subscriptions"))).await.1, "500");
}

#[tokio::test]
async fn a_key_of_two_parts_is_unique_and_found_by_its_filter() {
    let bench = seeded(Config::default()).await;
    let by = |category: &str, id: &str| format!("{EXT}/profile/byidentification_key?category_parameter={category}&crm_id_parameter={id}");
    let found = ok(bench.ac(Method::GET, &by("spring", "123456"))).await;
    assert_eq!(found["content"][0]["externalId"], ID);
    assert_eq!(ok(bench.ac(Method::GET, &by("autumn", "123456"))).await["content"], json!([]));
    let twin = json!({"cusCategory": "spring", "cusCrmId": "123456"});
    assert_eq!(turned_down(bench.ac(Method::POST, &format!("{EXT}/profile")).json(&twin)).await.0, 409);
    ok(bench.ac(Method::POST, &format!("{EXT}/profile")).json(&json!({"cusCategory": "autumn", "cusCrmId": "123456"}))).await;
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/profile/byidentification_key?category_parameter=spring"))).await.0, 400);
    let moved = bench.ac(Method::PATCH, &format!("{EXT}/profile/{ID}")).json(&json!({"cusCrmId": "7"}));
    assert_eq!(turned_down(moved).await.0, 400);
}

#[tokio::test]
async fn filters_compare_instants_and_numbers_and_an_absent_optional_parameter_filters_nothing() {
    let bench = seeded(Config::default()).await;
    let of = |path: &str| format!("{EXT}/{path}");
    let count = async |path: &str| ok(bench.ac(Method::GET, &of(path))).await["content"].as_array().unwrap().len();
    assert_eq!(count("profile/byModified?from_parameter=2020-01-01%2000:00:00.000Z").await, 1);
    assert_eq!(count("profile/byModified?from_parameter=2999-01-01").await, 0);
    assert_eq!(count("profile/byModified/byText?from_parameter=2020-01-01&text=doe").await, 1);
    assert_eq!(count("profile/byModified?from_parameter=2020-01-01&name_parameter=Roe").await, 0);
    assert_eq!(count("cusTransaction/byAmount?amount_parameter=5").await, 1);
    assert_eq!(count("cusTransaction/byAmount?amount_parameter=5.01").await, 0);
    assert_eq!(turned_down(bench.ac(Method::GET, &of("profile/byModified?from_parameter=soon"))).await.0, 400);
    assert_eq!(turned_down(bench.ac(Method::GET, &of("profile/byNothing?x=1"))).await.0, 404, "a word that is not a filter is a key");
}

#[tokio::test]
async fn metadata_names_links_collections_and_filters() {
    let bench = seeded(Config::default()).await;
    let metadata = ok(bench.ac(Method::GET, &format!("{EXT}/resourceType/cusTransaction"))).await;
    let buyer = &metadata["content"]["buyer"];
    assert_eq!((&buyer["type"], &buyer["resTarget"], &buyer["unbound"]), (&json!("link"), &json!("profile"), &json!(false)));
    let filters = ok(bench.ac(Method::GET, metadata["filters"]["href"].as_str().unwrap())).await;
    assert_eq!(filters["byAmount"]["data"], "/profileAndServicesExt/cusTransaction/byAmount?amount_parameter=$value");
    let profile = ok(bench.ac(Method::GET, &format!("{EXT}/resourceType/profile"))).await;
    let sold = &profile["content"]["cusTransactions"];
    assert_eq!((&sold["type"], &sold["resTarget"], &sold["unbound"]), (&json!("collection"), &json!("cusTransaction"), &json!(true)));
    let filters = ok(bench.ac(Method::GET, profile["filters"]["href"].as_str().unwrap())).await;
    let names: Vec<&String> = filters.as_object().unwrap().keys().collect();
    assert_eq!(names, ["byEmail", "byModified", "byText", "byidentification_key"]);
}

#[tokio::test]
async fn where_units_are_required_a_profile_without_one_is_invisible() {
    let seed = json!({"campaign": {
        "orgUnitRequired": true,
        "fields": [{"name": "orgUnit", "type": "link", "target": "orgUnitBase"}],
        "resources": {"orgUnitBase": {"fields": [{"name": "name", "type": "string"}, {"name": "label", "type": "string"}],
                                      "keys": [["name"]], "rows": [{"name": "brand4", "label": "Brand 4"}]}},
    }});
    let bench = Bench::seeded(seed).await;
    let at = format!("{EXT}/profile");
    assert_eq!(bench.ac(Method::POST, &at).json(&json!({"externalId": ID})).send().await.unwrap().status(), 201);
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{at}/{ID}"))).await.0, 404);
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&json!({"externalId": ID}))).await.0, 409);
    let units = ok(bench.ac(Method::GET, &format!("{EXT}/orgUnitBase/"))).await;
    let unit = &units["content"][0];
    assert_eq!((&unit["name"], &unit["title"]), (&json!("brand4"), &json!("Brand 4 (brand4)")));
    let body = json!({"externalId": OTHER_ID, "orgUnit": {"PKey": unit["PKey"]}});
    ok(bench.ac(Method::POST, &at).json(&body)).await;
    assert_eq!(ok(bench.ac(Method::GET, &format!("{at}/{OTHER_ID}"))).await["orgUnit"]["title"], "Brand 4 (brand4)");
    assert_eq!(ok(bench.ac(Method::GET, &at)).await["content"].as_array().unwrap().len(), 1);
    let missing = json!({"campaign": {"orgUnitRequired": true}}).to_string();
    assert!(d365map_emulator::start(Config { seed_text: Some(missing), ..Config::default() }).await.is_err());
}

#[tokio::test]
async fn a_history_is_read_by_pkey_in_two_steps_newest_event_first() {
    let bench = seeded(Config::default()).await;
    for (date, label, mirror) in [("2018-05-17 08:44:49.366Z", "Send via email", true), ("2018-05-18T09:00:00Z", "Send via SMS", false)] {
        bench.admin("campaign/history", json!({"profile": ID, "date": date, "label": label, "mirror": mirror})).await;
    }
    let profile = ok(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}"))).await;
    let pkey = profile["PKey"].as_str().unwrap();
    let history = ok(bench.ac(Method::GET, &format!("profileAndServices/history/{pkey}"))).await;
    assert_eq!((&history["lastName"], &history["countBroadLogEvents"]), (&json!("Doe"), &json!(2)));
    assert_eq!(history["minBroadLogEvents"], "2018-05-17 08:44:49.366Z");
    let events = ok(bench.ac(Method::GET, history["events"]["href"].as_str().unwrap())).await;
    let rows = events["content"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["label"], rows[0].get("mirrorPage")), (2, &json!("Send via SMS"), None));
    assert_eq!((&rows[1]["category"], &rows[1]["type"]), (&json!("email"), &json!("outbound")));
    assert_eq!(ok(bench.ac(Method::GET, rows[1]["href"].as_str().unwrap())).await, rows[1]);
    ok(bench.ac(Method::GET, rows[1]["mirrorPage"]["href"].as_str().unwrap())).await;
    assert_eq!(ok(bench.ac(Method::GET, events["count"]["href"].as_str().unwrap())).await, json!({"count": 2}));
    // By key it is no address, nor under the extended endpoint.
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("profileAndServices/history/{ID}"))).await.1, "500");
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/history/{pkey}"))).await.1, "500");
    // Many events come in pages.
    bench.admin("campaign/history", json!({"profile": ID, "date": "2019-01-01T00:00:00Z", "repeat": 60})).await;
    let (mut link, mut dates) = (history["events"]["href"].as_str().unwrap().to_owned(), Vec::new());
    for _ in 0..5 {
        let page = ok(bench.ac(Method::GET, &link)).await;
        dates.extend(page["content"].as_array().unwrap().iter().map(|event| event["date"].as_str().unwrap().to_owned()));
        match page["next"]["href"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(dates.len(), 62);
    assert!(dates.is_sorted_by(|a, b| a >= b), "newest first");
}

#[tokio::test]
async fn assumed_statuses_can_be_set() {
    let config = Config { refusal_status: 500, missing_status: 400, campaign_retry_after: false, ..Config::default() };
    let bench = seeded(config).await;
    let age = turned_down(bench.ac(Method::PATCH, &format!("{EXT}/profile/{ID}")).json(&json!({"age": 3}))).await;
    assert_eq!((age.0, age.2.as_str()), (500, "Cannot update the 'age' property that is read-only"));
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/profile/nobody"))).await.0, 400);
    bench.admin("throttle", json!({"requests": 0})).await;
    let answer = bench.ac(Method::GET, EXT).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("retry-after")), (429, None));
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({"error_code": "429050", "message": "Too many requests"}));
}

#[tokio::test]
async fn data_policies_check_and_change_what_is_sent_as_far_as_they_are_switched_on() {
    let body = json!({"externalId": ID, "email": " Zoe@Example.COM ", "firstName": "anna-LENA", "mobilePhone": "+44 (0)20 79"});
    let made = async |settings: Value| {
        let bench = Bench::seeded(json!({"campaign": {"settings": settings}})).await;
        let made = ok(bench.ac(Method::POST, &format!("{EXT}/profile")).json(&body)).await;
        ["email", "firstName", "mobilePhone"].map(|name| made[name].as_str().unwrap().to_owned())
    };
    assert_eq!(made(json!({})).await, ["zoe@example.com", "anna-LENA", "+44 (0)20 79"]);
    let on = made(json!({"lowerEmail": false, "smartCase": true, "stripPhone": true})).await;
    assert_eq!(on, ["Zoe@Example.COM", "Anna-Lena", "+4402079"]);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_or_cut_as_set() {
    for (cut, status) in [(false, 400), (true, 201)] {
        let bench = Bench::with(Config { cut_overlong: cut, ..Config::default() }).await;
        let body = json!({"externalId": ID, "firstName": "é".repeat(34)});
        let answer = bench.ac(Method::POST, &format!("{EXT}/profile")).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        if cut {
            assert_eq!(ok(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}"))).await["firstName"], "é".repeat(30));
        }
    }
}

#[tokio::test]
async fn services_are_listed_by_channel_and_described() {
    let bench = Bench::new().await;
    let at = "profileAndServices/service";
    for (name, channel) in [("SVC1", "email"), ("SVC2", "sms")] {
        ok(bench.ac(Method::POST, at).json(&json!({"name": name, "label": format!("Sport {name}"), "messageType": channel}))).await;
    }
    let found = ok(bench.ac(Method::GET, &format!("{at}/byChannel/byText?channel=sms&text=sport"))).await;
    assert_eq!((found["content"].as_array().unwrap().len(), &found["content"][0]["title"]), (1, &json!("Sport SVC2 (SVC2)")));
    assert_eq!(ok(bench.ac(Method::GET, found["count"]["href"].as_str().unwrap())).await, json!({"count": 1}));
    for resource in ["service", "history"] {
        assert_eq!(ok(bench.ac(Method::GET, &format!("profileAndServices/resourceType/{resource}"))).await["name"], resource);
    }
    let gibberish = turned_down(bench.ac(Method::PATCH, &format!("{EXT}/profile/@gibberish")).json(&json!({}))).await;
    assert_eq!(gibberish.2, "'@gibberish' is not a valid constant");
}

#[tokio::test]
async fn a_seed_can_hold_the_settings() {
    let settings = json!({"refusalStatus": 422, "missingStatus": 410, "duplicateStatus": 400, "linkForms": ["pkey"], "retryAfter": false,
                          "bigTableThreshold": 0, "jwtKeys": [keys().0]});
    let bench = Bench::seeded(json!({"campaign": {"settings": settings, "profiles": [{"externalId": ID}, {"externalId": "b"}]}})).await;
    let at = format!("{EXT}/profile");
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&json!({"nosuch": 1}))).await.0, 422);
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{at}/nobody"))).await.0, 410);
    assert_eq!(turned_down(bench.ac(Method::POST, &at).json(&json!({"externalId": ID}))).await.0, 400);
    assert!(ok(bench.ac(Method::GET, &format!("{at}?_lineCount=1"))).await.get("next").is_none());
    let wrong = json!({"campaign": {"settings": {"linkForms": ["name"]}}}).to_string();
    assert!(d365map_emulator::start(Config { seed_text: Some(wrong), ..Config::default() }).await.is_err());
}

#[tokio::test]
async fn somebody_else_changes_records_by_the_admin_interface() {
    let bench = seeded(Config::default()).await;
    bench.admin("campaign/rows/cusBrand", json!({"name": "Acme"})).await;
    assert_eq!(ok(bench.ac(Method::GET, "customResources/cusBrand/Acme")).await["name"], "Acme");
    let url = format!("{}/campaign/rows/profile/{ID}", bench.running.admin_url());
    let patched = bench.http.patch(&url).json(&json!({"blackListEmail": true})).send().await.unwrap();
    assert_eq!(patched.status(), 204);
    assert_eq!(ok(bench.ac(Method::GET, &format!("{EXT}/profile/{ID}"))).await["blackListEmail"], true);
    assert_eq!(bench.http.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(bench.http.delete(&url).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_seed_with_links_that_lead_nowhere_is_refused() {
    for (seed, why) in [
        (json!({"fields": [{"name": "cusX", "type": "link"}]}), "needs a `target`"),
        (json!({"fields": [{"name": "cusX", "type": "link", "target": "cusNo"}]}), "no resource to lead to"),
        (json!({"fields": [{"name": "cusX", "type": "collection", "target": "profile", "via": "email"}]}), "not a link back"),
        (json!({"resources": {"shop": {}}}), "begins with `cus`"),
        (json!({"resources": {"cusX": {"keys": [["no"]]}}}), "not an attribute"),
        (json!({"filters": [{"name": "byX", "parameters": [{"name": "p", "fields": ["location"]}]}]}), "not a plain attribute"),
        (json!({"history": [{"profile": "no", "date": "2020-01-01T00:00:00Z"}]}), "no profile"),
    ] {
        let config = Config { seed_text: Some(json!({"campaign": seed}).to_string()), ..Config::default() };
        let error = d365map_emulator::start(config).await.err().expect(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

// The service account.

fn keys() -> (String, EncodingKey, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap(), key.public_key_pem())
}

fn claims(bench: &Bench) -> Value {
    let account = credentials().campaign_account;
    let ims = bench.running.campaign_exchange_url().replace("/ims/exchange/jwt", "");
    json!({
        "iss": account.organization,
        "sub": account.account,
        "aud": format!("{ims}/c/{}", credentials().campaign.id),
        "exp": chrono::Utc::now().timestamp() + 300,
        format!("{ims}/s/ent_campaign_sdk"): true,
    })
}

async fn exchange(bench: &Bench, assertion: &str) -> (u16, Value) {
    let client = credentials().campaign;
    let form = [("client_id", client.id.as_str()), ("client_secret", &client.secret), ("jwt_token", assertion)];
    let answer = bench.http.post(bench.running.campaign_exchange_url()).form(&form).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn an_assertion_is_exchanged_for_a_token_whose_life_is_in_milliseconds() {
    let (certificate, key, public) = keys();
    for pem in [certificate, public] {
        let mut bench = Bench::with(Config { jwt_keys: vec![pem], ..Config::default() }).await;
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(&bench), &key).unwrap();
        // It may be used again while it lives.
        for _ in 0..2 {
            let (status, body) = exchange(&bench, &assertion).await;
            assert_eq!((status, &body["token_type"], &body["expires_in"]), (200, &json!("bearer"), &json!(3_598_999)), "{body}");
            bench.campaign = body["access_token"].as_str().unwrap().to_owned();
            ok(bench.ac(Method::GET, &format!("{EXT}/profile"))).await;
        }
    }
}

#[tokio::test]
async fn an_assertion_is_verified_for_real() {
    let (certificate, key, _) = keys();
    let (other, stranger, _) = keys();
    let bench = Bench::with(Config { jwt_keys: vec![certificate], ..Config::default() }).await;
    let sign = |claims: &Value, key: &EncodingKey| jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, key).unwrap();
    let good = claims(&bench);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let now = chrono::Utc::now().timestamp();
    let scope = good.as_object().unwrap().keys().find(|name| name.contains("/s/")).unwrap().clone();
    let mut unscoped = good.clone();
    unscoped.as_object_mut().unwrap().remove(&scope);
    for (assertion, error) in [
        (sign(&good, &stranger), "invalid_token"),
        (sign(&with("exp", json!(now - 1)), &key), "invalid_token"),
        (sign(&with("exp", json!(now + 90_000)), &key), "invalid_token"),
        (sign(&with("exp", json!("soon")), &key), "invalid_token"),
        (sign(&with("iss", json!("x@AdobeOrg")), &key), "invalid_token"),
        (sign(&with("sub", json!("x@techacct.adobe.com")), &key), "invalid_token"),
        (sign(&with("aud", json!("https://ims-na1.adobelogin.com/c/other")), &key), "invalid_token"),
        (sign(&with(&scope, json!(false)), &key), "invalid_scope"),
        (sign(&with(&scope.replace("campaign", "other"), json!(true)), &key), "invalid_scope"),
        (sign(&unscoped, &key), "invalid_scope"),
        ("a.b.c".to_owned(), "invalid_token"),
        (String::new(), "bad_request"),
        (jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good, &EncodingKey::from_secret(b"x")).unwrap(), "invalid_token"),
        (jsonwebtoken::encode(&Header::new(Algorithm::PS256), &good, &key).unwrap(), "invalid_token"),
    ] {
        let (status, body) = exchange(&bench, &assertion).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{body}");
    }
    assert_eq!(exchange(&bench, &sign(&good, &key)).await.0, 200);
    // A key that is bound later.
    let bound = bench.http.post(format!("{}/campaign/jwt-key", bench.running.admin_url())).body(other).send().await.unwrap();
    assert_eq!(bound.status(), 204);
    assert_eq!(exchange(&bench, &sign(&good, &stranger)).await.0, 200);
    assert!(d365map_emulator::start(Config { jwt_keys: vec!["no key".to_owned()], ..Config::default() }).await.is_err());
}
