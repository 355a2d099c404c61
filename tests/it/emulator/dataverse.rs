//! Reads, writes, metadata and tokens of the emulated Dataverse.

use d365map_emulator::{Config, credentials};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, ok, refused};

fn keyed() -> Value {
    json!({"dataverse": {"tables": {"contact": {
        "columns": [{"name": "new_loyalty", "schema": "new_Loyalty", "type": "String", "label": "Loyalty", "length": 5}],
        "keys": [{"name": "new_byemail", "columns": ["emailaddress1"]}, {"name": "new_pending", "columns": ["employeeid"], "status": "Pending"}],
    }}}})
}

#[tokio::test]
async fn a_token_needs_the_right_secret_client_tenant_and_scope() {
    let bench = Bench::new().await;
    let good = credentials().dataverse;
    let scope = format!("{}/.default", bench.running.dataverse_url());
    let twice = format!("{}//.default", bench.running.dataverse_url());
    let cases = [
        (good.id.as_str(), good.secret.as_str(), scope.as_str(), 200, 0),
        (&good.id, &good.secret, &twice, 200, 0),
        (&good.id, "wrong", &scope, 401, 7_000_215),
        ("11111111-0000-4000-8000-000000000000", &good.secret, &scope, 400, 700_016),
        (&good.id, &good.secret, "https://other.crm.dynamics.com/.default", 400, 500_011),
        (&good.id, &good.secret, "user_impersonation", 400, 1_002_012),
    ];
    for (id, secret, scope, status, code) in cases {
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", scope)];
        let answer = bench.http.post(bench.running.dataverse_token_url()).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), status, "{id} {scope}");
        let body: Value = answer.json().await.unwrap();
        if status == 200 {
            assert_eq!(body["token_type"], "Bearer");
            assert_eq!(body["expires_in"], 3599);
        } else {
            assert_eq!(body["error_codes"], json!([code]));
            assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")));
        }
    }
    let elsewhere = format!("{}/wrong-tenant/oauth2/v2.0/token", bench.running.dataverse_url());
    let body: Value = bench.http.post(elsewhere).form(&[("grant_type", "client_credentials")]).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["error_codes"], json!([90002]));
}

#[tokio::test]
async fn without_a_good_token_the_answer_is_401_with_a_challenge() {
    let bench = Bench::new().await;
    let url = format!("{}/api/data/v9.2/WhoAmI", bench.running.dataverse_url());
    for request in [bench.http.get(&url), bench.http.get(&url).bearer_auth("made-up")] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer authorization_uri="));
    }
    bench.admin("expire-tokens", json!({})).await;
    assert_eq!(refused(bench.dv(Method::GET, "WhoAmI")).await.1, "0x8005F101");
}

#[tokio::test]
async fn who_am_i_names_the_user_of_the_client() {
    let mut bench = Bench::new().await;
    let first = bench.get("WhoAmI").await["UserId"].clone();
    bench.dataverse = bench.dataverse_token(&credentials().dataverse_other).await;
    let second = bench.get("WhoAmI").await["UserId"].clone();
    assert_eq!(first, json!(credentials().dataverse.user));
    assert_ne!(first, second);
    assert_eq!(bench.get("WhoAmI()").await["UserId"], second);
    assert_eq!(refused(bench.dv(Method::POST, "WhoAmI")).await.0, 404);
    bench.contact(ID, json!({"lastname": "A"})).await;
    assert_eq!(bench.get(&format!("contacts({ID})?$select=_modifiedby_value")).await["_modifiedby_value"], second);
}

#[tokio::test]
async fn a_read_gives_the_selected_columns_the_key_and_explicit_nulls() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "O'Brien", "creditlimit": 20000, "address1_city": "Łódź"})).await;
    let row = bench.get(&format!("contacts({ID})?$select=lastname,firstname,creditlimit,address1_city")).await;
    let expected = json!({
        "@odata.context": format!("{}/api/data/v9.2/$metadata#contacts(lastname,firstname,creditlimit,address1_city)/$entity", bench.running.dataverse_url()),
        "@odata.etag": row["@odata.etag"], "lastname": "O'Brien", "firstname": null, "creditlimit": 20000.0000, "address1_city": "Łódź",
        "_transactioncurrencyid_value": row["_transactioncurrencyid_value"], "address1_composite": "Łódź", "contactid": ID,
    });
    assert_eq!(row, expected);
    let text = bench.dv(Method::GET, &format!("contacts({ID})?$select=creditlimit")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"creditlimit\":20000.0000"), "{text}");
    let (status, _, message) = refused(bench.dv(Method::GET, "contacts?$select=lastName")).await;
    assert_eq!((status, message.as_str()), (400, "Could not find a property named 'lastName' on type 'Microsoft.Dynamics.CRM.contact'."));
    assert_eq!(refused(bench.dv(Method::GET, "contacts?$select=parentcustomerid")).await.0, 400);
    assert_eq!(
        refused(bench.dv(Method::GET, "ontacts")).await,
        (404, "0x8006088a".into(), "Resource not found for the segment 'ontacts'.".into())
    );
}

#[tokio::test]
async fn annotations_come_before_their_property() {
    let bench = Bench::with(Config { contacts: 40, ..Config::default() }).await;
    let request = bench.dv(Method::GET, "contacts?$select=statecode,creditlimit,birthdate,_parentcustomerid_value&$filter=_parentcustomerid_value ne null and creditlimit ne null and birthdate ne null");
    let answer = request.header("Prefer", "odata.include-annotations=\"*\"").send().await.unwrap();
    assert_eq!(answer.headers()["preference-applied"], "odata.include-annotations=\"*\"");
    let text = answer.text().await.unwrap();
    assert!(text.contains("\"statecode@OData.Community.Display.V1.FormattedValue\":\"Active\",\"statecode\":0"), "{text}");
    assert!(
        text.contains("\"_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname\":\"account\",\"_parentcustomerid_value\":\""),
        "{text}"
    );
    assert!(text.contains("associatednavigationproperty\":\"parentcustomerid_account\""), "{text}");
}

#[tokio::test]
async fn filters_select_rows() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "O'Brien", "creditlimit": 10.5, "birthdate": "1980-10-24", "donotemail": true})).await;
    bench.contact(OTHER_ID, json!({"lastname": "Müller", "firstname": "Eva", "gendercode": 2})).await;
    let cases = [
        ("lastname eq 'o''brien'", vec![ID]),
        ("contains(lastname,'BRI')", vec![ID]),
        ("startswith(lastname,'mü') or endswith(lastname,'EN')", vec![ID, OTHER_ID]),
        ("firstname eq null", vec![ID]),
        ("not (firstname eq null)", vec![OTHER_ID]),
        ("creditlimit ge 10.5 and birthdate lt 1990-01-01", vec![ID]),
        ("gendercode eq 2", vec![OTHER_ID]),
        ("donotemail eq true", vec![ID]),
        ("donotemail eq false", vec![OTHER_ID]),
        ("contactid eq c0000000-0000-4000-8000-000000000002", vec![OTHER_ID]),
        ("createdon gt 2020-01-01T00:00:00Z and (statecode eq 1 or lastname ne 'x')", vec![ID, OTHER_ID]),
        ("gendercode gt 2", vec![]),
    ];
    for (filter, expected) in cases {
        let page = ok(bench.dv(Method::GET, "contacts").query(&[("$select", "lastname"), ("$filter", filter)])).await;
        let ids: Vec<&str> = page["value"].as_array().unwrap().iter().filter_map(|row| row["contactid"].as_str()).collect();
        assert_eq!(ids, expected, "{filter}");
    }
    for filter in ["lastname eq 5", "nosuch eq 1", "lastname eq 'open", "(lastname eq 'a'", "lastname", "gendercode eq 'Male'"] {
        let (status, ..) = refused(bench.dv(Method::GET, "contacts").query(&[("$filter", filter)])).await;
        assert_eq!(status, 400, "{filter}");
    }
    for query in ["$skip=1", "$search=a", "$Select=lastname", "$format=json", "$top=x"] {
        assert_eq!(refused(bench.dv(Method::GET, &format!("contacts?{query}"))).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn order_top_and_count_work_together() {
    let bench = Bench::with(Config { contacts: 30, ..Config::default() }).await;
    let page = bench.get("contacts?$select=lastname&$orderby=lastname desc&$top=5&$count=true").await;
    assert_eq!(page["@odata.count"], 30);
    let names: Vec<String> = page["value"].as_array().unwrap().iter().map(|row| row["lastname"].as_str().unwrap().to_lowercase()).collect();
    let mut sorted = names.clone();
    sorted.sort_by(|a, b| b.cmp(a));
    assert_eq!((names.len(), names), (5, sorted));
}

#[tokio::test]
async fn the_matrix_of_create_update_and_upsert_answers() {
    let bench = Bench::new().await;
    let url = format!("contacts({ID})");
    let entity = format!("{}/api/data/v9.2/contacts({ID})", bench.running.dataverse_url());
    let patch = || bench.dv(Method::PATCH, &url).json(&json!({"lastname": "A"}));
    assert_eq!(refused(patch().header("If-Match", "*")).await.0, 404);
    let created = patch().send().await.unwrap();
    assert_eq!((created.status().as_u16(), created.headers()["odata-entityid"].to_str().unwrap()), (204, entity.as_str()));
    assert_eq!(patch().send().await.unwrap().status(), 204);
    assert_eq!(patch().header("If-Match", "*").send().await.unwrap().status(), 204);
    let (status, _, message) = refused(patch().header("If-None-Match", "*")).await;
    assert_eq!((status, message.as_str()), (412, "A record with matching key values already exists."));
    let updated = bench.dv(Method::PATCH, &format!("{url}?$select=contactid")).json(&json!({"lastname": "B"}));
    let updated = updated.header("Prefer", "return=representation").send().await.unwrap();
    assert_eq!(updated.status(), 200);
    assert!(updated.headers().contains_key("etag") && updated.headers()["preference-applied"] == "return=representation");
    let fresh = bench.dv(Method::PATCH, &format!("contacts({OTHER_ID})?$select=contactid")).json(&json!({"lastname": "B"}));
    assert_eq!(fresh.header("Prefer", "return=representation").send().await.unwrap().status(), 201);
    let posted = bench.dv(Method::POST, "contacts").json(&json!({"lastname": "C"})).header("Prefer", "return=representation");
    let posted = posted.send().await.unwrap();
    assert_eq!(posted.status(), 201);
    assert!(!posted.headers().contains_key("odata-entityid"));
    let twice = bench.dv(Method::POST, "contacts").json(&json!({"contactid": ID}));
    assert_eq!(refused(twice).await.1, "0x80040237");
    assert_eq!(bench.dv(Method::DELETE, &url).send().await.unwrap().status(), 204);
    let (status, code, message) = refused(bench.dv(Method::DELETE, &url)).await;
    assert_eq!((status, code.as_str(), message), (404, "0x80040217", format!("contact With Id = {ID} Does Not Exist")));
    assert_eq!(refused(bench.dv(Method::DELETE, "contacts")).await.0, 405);
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let url = format!("contacts({ID})");
    let etag = bench.get(&url).await["@odata.etag"].as_str().unwrap().to_owned();
    let unchanged = bench.dv(Method::GET, &url).header("If-None-Match", &etag).send().await.unwrap();
    assert_eq!(unchanged.status(), 304);
    let patch = || bench.dv(Method::PATCH, &url).header("If-Match", &etag).json(&json!({"lastname": "A"}));
    assert_eq!(patch().send().await.unwrap().status(), 204);
    let (status, code, message) = refused(patch()).await;
    assert_eq!((status, code.as_str()), (412, "0x80060882"));
    assert_eq!(message, "The version of the existing record doesn't match the RowVersion property provided.");
    assert_eq!(refused(bench.dv(Method::DELETE, &url).header("If-Match", &etag)).await.0, 412);
}

#[tokio::test]
async fn a_body_is_checked_against_the_table() {
    let bench = Bench::new().await;
    let long = "x".repeat(51);
    let cases = [
        (
            json!({"firstname": long}),
            "0x80044331",
            "A validation error occurred.  The length of the 'firstname' attribute of the 'contact' entity exceeded the maximum allowed length of '50'.",
        ),
        (json!({"gendercode": 7}), "0x8004431A", "outside the valid range"),
        (json!({"gendercode": "Male"}), "0x80048d19", "Edm.Int32"),
        (json!({"nosuch": 1}), "0x80048d19", "The property 'nosuch' does not exist on type 'Microsoft.Dynamics.CRM.contact'"),
        (json!({"FirstName": "A"}), "0x80048d19", "does not exist"),
        (json!({"statecode": 1}), "0x80040203", "statecode"),
        (json!({"fullname": "A B"}), "0x80040203", "fullname"),
        (json!({"createdon": "2020-01-01T00:00:00Z"}), "0x80040203", "createdon"),
        (json!({"donotemail": 1}), "0x80048d19", "Edm.Boolean"),
        (json!({"birthdate": "1990-02-30"}), "0x80048d19", "Edm.Date"),
        (json!({"birthdate": "1990-02-03T00:00:00Z"}), "0x80048d19", "Edm.Date"),
        (
            json!({"birthdate": "1752-12-31"}),
            "0x80040239",
            "Actual value: 12/31/1752 00:00:00, Minimum value supported: 01/01/1753 00:00:00",
        ),
        (json!({"lastonholdtime": "0001-01-01T00:00:00Z"}), "0x80040239", "Actual value: 01/01/0001 00:00:00"),
        (json!({"lastonholdtime": "1753-01-01T00:30:00+01:00"}), "0x80040239", "Actual value: 12/31/1752 23:30:00"),
        (json!({"lastonholdtime": "9999-12-31T00:00:00Z"}), "0x80040239", "Maximum value supported: 12/30/9999 23:59:59"),
        (json!({"lastname": "a\u{0}b"}), "0x80040278", "The field 'lastname' contains one or more invalid characters."),
        (json!({"description": "a\u{b}"}), "0x80040278", "description"),
        (json!({"description": "\u{ffff}"}), "0x80040278", "description"),
        (json!({"creditlimit": -1}), "0x80044330", "outside the valid range"),
        (json!({"creditlimit": "5"}), "0x80048d19", "Edm.Decimal"),
        (json!({"_parentcustomerid_value": ID}), "0x80048d19", "use Navigation properties"),
        (
            json!({"ParentCustomerid_account@odata.bind": "/accounts(x)"}),
            "0x80048d19",
            "An undeclared property 'ParentCustomerid_account' which only has property annotations",
        ),
        (json!({"parentcustomerid@odata.bind": "/accounts(x)"}), "0x80048d19", "An undeclared property"),
    ];
    for (body, code, text) in cases {
        let (status, found, message) = refused(bench.dv(Method::POST, "contacts").json(&body)).await;
        assert_eq!((status, found.as_str()), (400, code), "{body}: {message}");
        assert!(message.to_lowercase().contains(&text.to_lowercase()), "{body}: {message}");
    }
    let fits = json!({
        "firstname": "é".repeat(50), "description": "a\tb\r\nc\u{7f}\u{fffd}😀", "birthdate": "1753-01-01", "lastonholdtime": "9999-12-30T23:59:59Z",
    });
    assert_eq!(bench.dv(Method::POST, "contacts").json(&fits).send().await.unwrap().status(), 204);
    let plain = bench.dv(Method::POST, "contacts").header("Content-Type", "text/plain").body("{}");
    assert_eq!(refused(plain).await.0, 415);
    assert_eq!(bench.look("dump/contacts").await.as_array().unwrap().len(), 1, "a refused create leaves nothing behind");
}

#[tokio::test]
async fn lookups_are_bound_and_cleared_by_their_navigation_property() {
    let bench = Bench::new().await;
    let account = "a0000000-0000-4000-8000-000000000001";
    assert_eq!(
        bench.dv(Method::POST, "accounts").json(&json!({"accountid": account, "name": "Adatum"})).send().await.unwrap().status(),
        204
    );
    bench.contact(ID, json!({"lastname": "A", "parentcustomerid_account@odata.bind": format!("/accounts({account})")})).await;
    let read = format!("contacts({ID})?$select=_parentcustomerid_value");
    let annotated = ok(bench.dv(Method::GET, &read).header("Prefer", "odata.include-annotations=*")).await;
    assert_eq!(annotated["_parentcustomerid_value@OData.Community.Display.V1.FormattedValue"], "Adatum");
    assert_eq!(annotated["_parentcustomerid_value"], account);
    let clear = bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&json!({"parentcustomerid_account@odata.bind": null}));
    assert_eq!(clear.send().await.unwrap().status(), 204);
    assert_eq!(bench.get(&read).await["_parentcustomerid_value"], Value::Null);
    let nobody = json!({"parentcustomerid_account@odata.bind": format!("/accounts({ID})")});
    assert_eq!(refused(bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&nobody)).await.0, 404);
}

#[tokio::test]
async fn an_inactive_row_has_the_status_of_its_state() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let url = format!("contacts({ID})");
    let fresh = bench.get(&format!("{url}?$select=statecode,statuscode,donotemail,followemail")).await;
    assert_eq!((&fresh["statecode"], &fresh["statuscode"]), (&json!(0), &json!(1)));
    assert_eq!((&fresh["donotemail"], &fresh["followemail"]), (&json!(false), &json!(true)));
    bench.dv(Method::PATCH, &url).json(&json!({"statecode": 1})).send().await.unwrap();
    let row = bench.get(&format!("{url}?$select=statecode,statuscode")).await;
    assert_eq!((&row["statecode"], &row["statuscode"]), (&json!(1), &json!(2)));
    let clash = bench.dv(Method::PATCH, &url).json(&json!({"statecode": 0, "statuscode": 2}));
    assert_eq!(refused(clash).await.0, 400);
}

#[tokio::test]
async fn alternate_keys_address_rows_and_hold_them_unique() {
    let bench = Bench::seeded(keyed()).await;
    let url = "contacts(emailaddress1='Ann@example.com')";
    assert_eq!(refused(bench.dv(Method::GET, url)).await.1, "0x80060891");
    let created = bench.dv(Method::PATCH, url).json(&json!({"lastname": "Ann"})).send().await.unwrap();
    assert_eq!(created.status(), 204);
    assert!(created.headers()["odata-entityid"].to_str().unwrap().ends_with(url), "the key form is echoed");
    let row = bench.get("contacts(emailaddress1='ann@EXAMPLE.com')").await;
    assert_eq!((&row["lastname"], &row["emailaddress1"]), (&json!("Ann"), &json!("Ann@example.com")));
    // On an update the body's value for the key is dropped.
    bench.dv(Method::PATCH, url).json(&json!({"lastname": "Anna", "emailaddress1": "other@example.com"})).send().await.unwrap();
    assert_eq!(bench.get(url).await["lastname"], "Anna");
    let twice = bench.dv(Method::POST, "contacts").json(&json!({"emailaddress1": "ann@example.com"}));
    let (status, code, message) = refused(twice).await;
    assert_eq!((status, code.as_str()), (412, "0x80060892"));
    assert!(message.starts_with("Entity Key new_byemail violated."));
    for path in ["contacts(lastname='Ann')", "contacts(employeeid='1')", "contacts(emailaddress1='a%2Bb@example.com')"] {
        assert_eq!(refused(bench.dv(Method::GET, path)).await.0, 400, "{path}");
    }
    assert_eq!(bench.dv(Method::DELETE, url).send().await.unwrap().status(), 204);
    assert_eq!(refused(bench.dv(Method::GET, url)).await.0, 404);
}

#[tokio::test]
async fn metadata_describes_the_table_in_the_documented_shapes() {
    let bench = Bench::seeded(keyed()).await;
    let root = "EntityDefinitions(LogicalName='contact')";
    let table = bench.get(&format!("{root}?$select=EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled&$expand=Keys($select=LogicalName,KeyAttributes,EntityKeyIndexStatus)")).await;
    assert_eq!((&table["EntitySetName"], &table["ChangeTrackingEnabled"]), (&json!("contacts"), &json!(true)));
    assert_eq!(table["Keys"][0]["KeyAttributes"], json!(["emailaddress1"]));
    let attributes = bench.get(&format!("{root}/Attributes?$select=LogicalName,AttributeType,AttributeOf,IsValidODataAttribute")).await;
    assert_eq!(attributes["value"].as_array().unwrap().len(), 315);
    let strings =
        bench.get(&format!("{root}/Attributes/Microsoft.Dynamics.CRM.StringAttributeMetadata?$select=LogicalName,MaxLength")).await;
    let length =
        |name: &str| strings["value"].as_array().unwrap().iter().find(|row| row["LogicalName"] == name).map(|row| row["MaxLength"].clone());
    assert_eq!((length("firstname"), length("new_loyalty")), (Some(json!(50)), Some(json!(5))));
    let choices = bench
        .get(&format!(
            "{root}/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"
        ))
        .await;
    let gender = choices["value"].as_array().unwrap().iter().find(|row| row["LogicalName"] == "gendercode").unwrap();
    let options: Vec<(&Value, &Value)> = gender["OptionSet"]["Options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| (&option["Value"], &option["Label"]["UserLocalizedLabel"]["Label"]))
        .collect();
    assert_eq!(options, [(&json!(1), &json!("Male")), (&json!(2), &json!("Female"))]);
    let booleans = bench
        .get(&format!("{root}/Attributes/Microsoft.Dynamics.CRM.BooleanAttributeMetadata?$select=LogicalName&$expand=OptionSet"))
        .await;
    let flag = booleans["value"].as_array().unwrap().iter().find(|row| row["LogicalName"] == "donotemail").unwrap();
    assert_eq!(flag["OptionSet"]["TrueOption"]["Label"]["UserLocalizedLabel"]["Label"], "Do Not Allow");
    let links = bench
        .get(&format!(
            "{root}/ManyToOneRelationships?$select=ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
        ))
        .await;
    let nav: Vec<&str> = links["value"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["ReferencingAttribute"] == "parentcustomerid")
        .filter_map(|row| row["ReferencingEntityNavigationPropertyName"].as_str())
        .collect();
    assert_eq!(nav, ["parentcustomerid_account", "parentcustomerid_contact"]);
    let tracked = bench.get("EntityDefinitions?$select=LogicalName&$filter=ChangeTrackingEnabled eq true").await;
    assert_eq!(tracked["value"].as_array().unwrap().len(), 5);
    // A type's own property needs the cast.
    assert_eq!(refused(bench.dv(Method::GET, &format!("{root}/Attributes?$select=MaxLength"))).await.0, 400);
    assert_eq!(refused(bench.dv(Method::GET, "EntityDefinitions(LogicalName='nosuch')")).await.0, 404);
}

#[tokio::test]
async fn sample_contacts_are_the_same_for_the_same_seed() {
    let first = Bench::with(Config { contacts: 300, random_seed: 9, ..Config::default() }).await.look("dump/contacts").await;
    let second = Bench::with(Config { contacts: 300, random_seed: 9, ..Config::default() }).await.look("dump/contacts").await;
    let third = Bench::with(Config { contacts: 300, random_seed: 10, ..Config::default() }).await.look("dump/contacts").await;
    assert_eq!(first, second);
    assert_ne!(first, third);
    let rows = first.as_array().unwrap();
    let count = |test: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| test(row)).count();
    assert!(count(&|row| row["statecode"] == 1) > 0, "inactive");
    assert!(count(&|row| row.get("emailaddress1").is_none()) > 0, "without an address");
    assert!(count(&|row| row["firstname"].as_str().is_some_and(|name| name.chars().count() > 30)) > 0, "long names");
    assert!(count(&|row| row["emailaddress1"].as_str().is_some_and(|mail| mail.starts_with("  "))) > 0, "addresses with blanks");
}

#[tokio::test]
async fn a_client_may_authenticate_by_http_basic_authentication() {
    let bench = Bench::new().await;
    let good = credentials().dataverse;
    let scope = format!("{}/.default", bench.running.dataverse_url());
    let form = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
    for (secret, status) in [(good.secret.as_str(), 200), ("wrong", 401)] {
        let request = bench.http.post(bench.running.dataverse_token_url()).basic_auth(&good.id, Some(secret)).form(&form);
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn a_next_link_is_followed_however_it_is_escaped_and_ordered() {
    let bench = Bench::with(Config { contacts: 5, ..Config::default() }).await;
    let first = ok(bench.dv(Method::GET, "contacts?$select=lastname&$count=true").header("Prefer", "odata.maxpagesize=3")).await;
    let link = first["@odata.nextLink"].as_str().unwrap();
    let (address, query) = link.split_once('?').unwrap();
    let mut parts: Vec<&str> = query.split('&').collect();
    parts.reverse();
    let sorted = parts.join("&").replace('$', "%24");
    for link in [link.to_owned(), format!("{address}?{sorted}")] {
        let path = link.split("/api/data/v9.2/").nth(1).unwrap();
        let page = ok(bench.dv(Method::GET, path).header("Prefer", "odata.maxpagesize=3")).await;
        assert_eq!(page["value"].as_array().unwrap().len(), 2, "{link}");
    }
    // Another question is not answered from the middle.
    let other = format!("contacts?$select=firstname&{}", query.split('&').find(|part| part.starts_with("$skiptoken=")).unwrap());
    assert_eq!(refused(bench.dv(Method::GET, &other)).await.0, 400);
}

#[tokio::test]
async fn an_answer_names_the_version_that_was_asked() {
    let bench = Bench::with(Config { contacts: 3, ..Config::default() }).await;
    for version in ["9.0", "9.1", "9.2"] {
        let root = format!("{}/api/data/v{version}", bench.running.dataverse_url());
        let request = bench.dv(Method::GET, "contacts?$select=lastname").build().unwrap();
        let mut request = bench.http.get(format!("{root}/contacts?$select=lastname")).headers(request.headers().clone()).build().unwrap();
        request.headers_mut().insert("prefer", "odata.maxpagesize=2".parse().unwrap());
        let page: Value = bench.http.execute(request).await.unwrap().json().await.unwrap();
        for property in ["@odata.context", "@odata.nextLink"] {
            assert!(page[property].as_str().unwrap().starts_with(&format!("{root}/")), "{version}: {}", page[property]);
        }
    }
}

#[tokio::test]
async fn properties_that_are_there_twice_are_refused() {
    let bench = Bench::new().await;
    for body in [r#"{"lastname": "A", "lastname": "B"}"#, r#"{"lastname": "A", "parentcustomerid_account": {"name": "B", "name": "C"}}"#] {
        let request = bench.dv(Method::POST, "contacts").header("Content-Type", "application/json").body(body);
        let (status, code, message) = refused(request).await;
        assert_eq!((status, code.as_str()), (400, "0x80048d19"), "{message}");
        assert!(message.contains("duplicate property names"), "{message}");
    }
    assert_eq!(bench.look("dump/contacts").await, json!([]));
}

#[tokio::test]
async fn a_delta_token_that_was_never_given_out_is_another_error_than_an_expired_one() {
    let bench = Bench::new().await;
    let (status, code, _) = refused(bench.dv(Method::GET, "contacts?$deltatoken=nonsense")).await;
    assert_eq!((status, code.as_str()), (400, "0x80040203"));
}

#[tokio::test]
async fn documented_properties_of_metadata_can_be_selected_and_tables_counted() {
    let bench = Bench::new().await;
    let tables = "PrimaryImageAttribute,HasNotes,IsIntersect,IsCustomizable,HasActivities,IsValidForAdvancedFind,IsAuditEnabled,IsBPFEntity,\
                  EntityColor,IntroducedVersion,IsStateModelAware,CanCreateAttributes,ReportViewName,IsRetentionEnabled";
    let contact = ok(bench.dv(Method::GET, &format!("EntityDefinitions(LogicalName='contact')?$select={tables}"))).await;
    assert_eq!((&contact["PrimaryImageAttribute"], &contact["IsIntersect"]), (&json!("entityimage"), &json!(false)));
    assert_eq!(contact["IsCustomizable"]["Value"], true);
    let columns = "IsCustomizable,IsRenameable,IsAuditEnabled,IsValidForForm,IsValidForGrid,IsSearchable,IsFilterable,IsRetrievable,SourceType,\
                   CanBeSecuredForRead,CanBeSecuredForCreate,CanBeSecuredForUpdate,IsDataSourceSecret,IntroducedVersion,DeprecatedVersion";
    let path = format!("EntityDefinitions(LogicalName='contact')/Attributes(LogicalName='lastname')?$select={columns}");
    assert_eq!(ok(bench.dv(Method::GET, &path)).await["IsRetrievable"], true);
    let counted = ok(bench.dv(Method::GET, "EntityDefinitions?$select=LogicalName&$count=true")).await;
    assert_eq!(counted["@odata.count"], json!(counted["value"].as_array().unwrap().len()));
}

#[tokio::test]
async fn what_every_environment_has_and_the_emulator_does_not_play_is_said_to_be_missing_here() {
    let bench = Bench::new().await;
    for path in [
        "RetrieveAvailableLanguages",
        "RetrieveVersion()",
        "organizations",
        "teams",
        "businessunits?$select=name",
        "activitypointers",
        "GlobalOptionSetDefinitions",
        "contacts?$apply=aggregate($count%20as%20n)",
    ] {
        let (status, _, message) = refused(bench.dv(Method::GET, path)).await;
        assert_eq!(status, 501, "{path}: {message}");
        assert!(message.contains("emulator"), "{path}: {message}");
    }
    assert_eq!(refused(bench.dv(Method::GET, "nothings")).await.0, 404);
    for action in ["Merge", "GrantAccess", "PublishAllXml"] {
        let (status, _, message) = refused(bench.dv(Method::POST, action).json(&json!({}))).await;
        assert_eq!(status, 501, "{action}: {message}");
    }
}

#[tokio::test]
async fn impersonation_is_refused_in_plain_words_and_not_ignored() {
    let bench = Bench::new().await;
    for header in ["CallerObjectId", "MSCRMCallerID"] {
        let (status, _, message) = refused(bench.dv(Method::GET, "WhoAmI").header(header, ID)).await;
        assert_eq!(status, 501);
        assert!(message.contains("impersonation"), "{message}");
    }
}
