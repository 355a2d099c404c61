//! Custom tables, activities, relationships, `$expand` and nested writes of the emulated Dataverse.

use d365map_emulator::Config;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, ok, refused};

const ACCOUNT: &str = "a0000000-0000-4000-8000-000000000001";
const VISIT: &str = "b0000000-0000-4000-8000-000000000001";

fn seed() -> Value {
    json!({"dataverse": {"tables": {
        "new_membership": {
            "new": {"schema": "new_Membership", "label": "Membership"},
            "tracking": true,
            "columns": [
                {"name": "new_code", "schema": "new_Code", "type": "String", "label": "Code", "length": 10},
                {"name": "new_note", "schema": "new_Note", "type": "Memo", "label": "Note", "length": 4000},
                {"name": "new_points", "schema": "new_Points", "type": "Integer", "label": "Points", "min": 0, "max": 1000},
                {"name": "new_rate", "schema": "new_Rate", "type": "Decimal", "label": "Rate", "precision": 3},
                {"name": "new_weight", "schema": "new_Weight", "type": "Double", "label": "Weight", "precision": 2},
                {"name": "new_fee", "schema": "new_Fee", "type": "Money", "label": "Fee", "precision": 2},
                {"name": "new_active", "schema": "new_Active", "type": "Boolean", "label": "Active", "default": 1, "options": [[0, "No"], [1, "Yes"]]},
                {"name": "new_since", "schema": "new_Since", "type": "DateTime", "label": "Since", "behavior": "DateOnly"},
                {"name": "new_seen", "schema": "new_Seen", "type": "DateTime", "label": "Seen", "behavior": "UserLocal"},
                {"name": "new_slot", "schema": "new_Slot", "type": "DateTime", "label": "Slot", "behavior": "TimeZoneIndependent"},
                {"name": "new_tier", "schema": "new_Tier", "type": "Picklist", "label": "Tier", "options": [[1, "Gold"], [2, "Silver"]]},
                {"name": "new_hobbies", "schema": "new_Hobbies", "type": "MultiSelect", "label": "Hobbies", "options": [[1, "Chess"], [9, "Tea"]]},
                {"name": "new_holderid", "schema": "new_HolderId", "type": "Lookup", "label": "Holder", "targets": ["contact"]},
                {"name": "new_payerid", "schema": "new_PayerId", "type": "Customer", "label": "Payer"},
                {"name": "new_contract", "schema": "new_Contract", "type": "File", "label": "Contract"},
                {"name": "new_photo", "schema": "new_Photo", "type": "Image", "label": "Photo"}
            ],
            "keys": [{"name": "new_bycode", "columns": ["new_code"]}, {"name": "new_byholder", "columns": ["new_holderid", "new_tier"]}]
        },
        "new_visit": {"new": {"schema": "new_Visit", "activity": true}},
        "task": {"new": {"schema": "Task", "activity": true, "standard": true}}
    }}})
}

#[tokio::test]
async fn a_table_of_a_seed_has_columns_of_all_types() {
    let bench = Bench::seeded(seed()).await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let body = json!({
        "new_name": "First", "new_code": "C-1", "new_note": "n", "new_points": 7, "new_rate": 1.2345, "new_weight": 2.5, "new_fee": 19.99,
        "new_since": "2024-02-29", "new_seen": "2024-02-29T10:00:00+02:00", "new_slot": "2024-02-29T10:00:00Z", "new_tier": 2, "new_hobbies": "1, 9",
        "new_HolderId@odata.bind": format!("/contacts({ID})"), "new_PayerId_contact@odata.bind": format!("contacts({ID})"),
    });
    let made = bench.dv(Method::POST, "new_memberships").json(&body).send().await.unwrap();
    assert_eq!(made.status(), 204, "{}", made.text().await.unwrap());
    let row = ok(bench.dv(Method::GET, "new_memberships(new_code='C-1')").header("Prefer", "odata.include-annotations=\"*\"")).await;
    for (name, value) in [
        ("new_points", json!(7)),
        ("new_rate", json!(1.234)),
        ("new_weight", json!(2.5)),
        ("new_fee", json!(19.99)),
        ("new_fee_base", json!(19.99)),
        ("new_active", json!(true)),
        ("new_since", json!("2024-02-29")),
        ("new_seen", json!("2024-02-29T08:00:00Z")),
        ("new_slot", json!("2024-02-29T10:00:00Z")),
        ("new_hobbies", json!("1,9")),
        ("new_hobbies@OData.Community.Display.V1.FormattedValue", json!("Chess; Tea")),
        ("new_tier@OData.Community.Display.V1.FormattedValue", json!("Silver")),
        ("_new_holderid_value", json!(ID)),
        ("_new_payerid_value@Microsoft.Dynamics.CRM.lookuplogicalname", json!("contact")),
        ("_new_payerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty", json!("new_PayerId_contact")),
        ("statecode", json!(0)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    assert!(row.get("new_contract").is_none() && row.get("new_photo").is_none(), "files and images are not among a row's values");
    let by_lookup = format!("new_memberships(_new_holderid_value={ID},new_tier=2)?$select=new_code");
    assert_eq!(bench.get(&by_lookup).await["new_code"], "C-1");
    let delta = ok(bench.dv(Method::GET, "new_memberships?$select=new_code").header("Prefer", "odata.track-changes")).await;
    assert!(delta["@odata.deltaLink"].is_string());

    let root = "EntityDefinitions(LogicalName='new_membership')";
    let table = bench.get(&format!("{root}?$select=SchemaName,EntitySetName,IsCustomEntity,IsActivity,PrimaryNameAttribute")).await;
    assert_eq!((&table["IsCustomEntity"], &table["PrimaryNameAttribute"]), (&json!(true), &json!("new_name")));
    let attributes = bench.get(&format!("{root}/Attributes?$select=LogicalName,AttributeType,AttributeTypeName")).await;
    let kind = |name: &str| {
        let found = attributes["value"].as_array().unwrap().iter().find(|row| row["LogicalName"] == name).unwrap();
        (found["AttributeType"].as_str().unwrap().to_owned(), found["AttributeTypeName"]["Value"].as_str().unwrap().to_owned())
    };
    assert_eq!(kind("new_hobbies"), ("Virtual".into(), "MultiSelectPicklistType".into()));
    assert_eq!(kind("new_contract"), ("Virtual".into(), "FileType".into()));
    assert_eq!(kind("new_payerid"), ("Customer".into(), "CustomerType".into()));
}

#[tokio::test]
async fn navigation_names_are_case_sensitive_and_polymorphic_ones_have_their_target() {
    let bench = Bench::seeded(seed()).await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    for name in ["new_holderid", "new_HolderID", "new_PayerId", "new_payerid_contact"] {
        let body = json!({format!("{name}@odata.bind"): format!("/contacts({ID})")});
        let (status, code, message) = refused(bench.dv(Method::POST, "new_memberships").json(&body)).await;
        assert_eq!((status, code.as_str()), (400, "0x80048d19"));
        assert!(
            message.contains(&format!("An undeclared property '{name}' which only has property annotations in the payload")),
            "{message}"
        );
    }
    let relations = bench.get("EntityDefinitions(LogicalName='new_membership')/ManyToOneRelationships").await;
    let navs: Vec<&str> =
        relations["value"].as_array().unwrap().iter().filter_map(|row| row["ReferencingEntityNavigationPropertyName"].as_str()).collect();
    for nav in ["new_HolderId", "new_PayerId_account", "new_PayerId_contact", "ownerid"] {
        assert!(navs.contains(&nav), "{nav}: {navs:?}");
    }
}

#[tokio::test]
async fn an_activity_is_regarding_a_contact_completed_by_a_second_request_and_then_read_only() {
    let bench = Bench::seeded(seed()).await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let body =
        json!({"activityid": VISIT, "subject": "Mailing", "regardingobjectid_contact_new_visit@odata.bind": format!("/contacts({ID})")});
    let mut early = body.clone();
    early["statecode"] = json!(1);
    assert_eq!(refused(bench.dv(Method::POST, "new_visits").json(&early)).await.0, 400, "statecode is not valid for create");
    let suffixless = json!({"regardingobjectid_contact@odata.bind": format!("/contacts({ID})")});
    assert_eq!(refused(bench.dv(Method::POST, "new_visits").json(&suffixless)).await.1, "0x80048d19");
    assert_eq!(bench.dv(Method::POST, "new_visits").json(&body).send().await.unwrap().status(), 204);
    let task = json!({"subject": "Call", "regardingobjectid_contact_task@odata.bind": format!("/contacts({ID})")});
    assert_eq!(bench.dv(Method::POST, "tasks").json(&task).send().await.unwrap().status(), 204);
    let url = format!("new_visits({VISIT})");
    let patch = |body: Value| bench.dv(Method::PATCH, &url).json(&body);
    assert_eq!(patch(json!({"statecode": 1, "statuscode": 2})).send().await.unwrap().status(), 204);
    assert_eq!(refused(patch(json!({"subject": "x"}))).await.0, 400);
    assert_eq!(patch(json!({"statecode": 0, "statuscode": 1})).send().await.unwrap().status(), 204);
    assert_eq!(patch(json!({"subject": "x"})).send().await.unwrap().status(), 204);
    let row = bench
        .get(&format!("contacts({ID})?$select=lastname&$expand=contact_new_Visits($select=subject),Contact_Tasks($select=subject)"))
        .await;
    assert_eq!((&row["contact_new_Visits"][0]["subject"], &row["Contact_Tasks"][0]["subject"]), (&json!("x"), &json!("Call")));
}

#[tokio::test]
async fn expand_gives_objects_arrays_and_nulls_with_inner_options() {
    let bench = Bench::new().await;
    let root = format!("{}/api/data/v9.2", bench.running.dataverse_url());
    let account = json!({"accountid": ACCOUNT, "name": "Adatum"});
    assert_eq!(bench.dv(Method::POST, "accounts").json(&account).send().await.unwrap().status(), 204);
    bench.contact(ID, json!({"lastname": "A", "parentcustomerid_account@odata.bind": format!("/accounts({ACCOUNT})")})).await;
    bench.contact(OTHER_ID, json!({"lastname": "B", "parentcustomerid_account@odata.bind": format!("/accounts({ACCOUNT})")})).await;
    let row = bench
        .get(&format!(
            "contacts({ID})?$select=lastname&$expand=parentcustomerid_account($select=name),parentcustomerid_contact($select=lastname)"
        ))
        .await;
    assert_eq!(
        row["parentcustomerid_account"],
        json!({"@odata.etag": row["parentcustomerid_account"]["@odata.etag"], "name": "Adatum", "accountid": ACCOUNT})
    );
    assert_eq!(row["parentcustomerid_contact"], Value::Null);
    assert_eq!(
        row["@odata.context"],
        format!("{root}/$metadata#contacts(lastname,parentcustomerid_account(name),parentcustomerid_contact(lastname))/$entity")
    );
    let query = "$select=name&$expand=contact_customer_accounts($select=lastname;$filter=lastname ne 'x';$orderby=lastname desc;$top=1)";
    let page = ok(bench.dv(Method::GET, &format!("accounts?{query}"))).await;
    let nested = &page["value"][0]["contact_customer_accounts"];
    assert_eq!((nested.as_array().unwrap().len(), &nested[0]["lastname"]), (1, &json!("B")));
    let link = page["value"][0]["contact_customer_accounts@odata.nextLink"].as_str().unwrap();
    assert!(link.starts_with(&format!("{root}/accounts({ACCOUNT})/contact_customer_accounts?$select=lastname")), "{link}");
    assert_eq!(bench.get(link).await["value"].as_array().unwrap().len(), 1);
    let all = ok(bench
        .dv(Method::GET, &format!("accounts({ACCOUNT})/contact_customer_accounts?$select=lastname"))
        .header("Prefer", "odata.maxpagesize=1"))
    .await;
    assert_eq!(bench.get(all["@odata.nextLink"].as_str().unwrap()).await["value"].as_array().unwrap().len(), 1);
    assert_eq!(bench.get(&format!("contacts({ID})/parentcustomerid_account?$select=name")).await["name"], "Adatum");
    let reference = bench.get(&format!("contacts({ID})/parentcustomerid_account/$ref")).await;
    assert_eq!(reference["@odata.id"], format!("{root}/accounts({ACCOUNT})"));
    let many = (0..16).map(|_| "parentcustomerid_account").collect::<Vec<_>>().join(",");
    for expand in [
        "nosuch",
        "ParentCustomerId_account",
        "contact_customer_accounts/$ref",
        "parentcustomerid_account($top=1)",
        "parentcustomerid_account($skip=1)",
        &many,
    ] {
        let table = if expand.starts_with("contact_c") { "accounts" } else { "contacts" };
        assert_eq!(refused(bench.dv(Method::GET, &format!("{table}?$expand={expand}"))).await.0, 400, "{expand}");
    }
    let bench = Bench::with(Config { expand_links: false, ..Config::default() }).await;
    bench.dv(Method::POST, "accounts").json(&account).send().await.unwrap();
    let row = bench.get("accounts?$expand=contact_customer_accounts").await["value"][0].clone();
    assert!(row["contact_customer_accounts"] == json!([]) && row.get("contact_customer_accounts@odata.nextLink").is_none());
}

#[tokio::test]
async fn references_associate_and_dissociate_rows() {
    let bench = Bench::new().await;
    let account = json!({"accountid": ACCOUNT, "name": "Adatum"});
    assert_eq!(bench.dv(Method::POST, "accounts").json(&account).send().await.unwrap().status(), 204);
    bench.contact(ID, json!({"lastname": "A"})).await;
    let holds = || async { bench.get(&format!("contacts({ID})?$select=_parentcustomerid_value")).await["_parentcustomerid_value"].clone() };
    let root = format!("{}/api/data/v9.2", bench.running.dataverse_url());
    let nav = format!("contacts({ID})/parentcustomerid_account/$ref");
    let put = bench.dv(Method::PUT, &nav).json(&json!({"@odata.id": format!("{root}/accounts({ACCOUNT})")}));
    assert_eq!((put.send().await.unwrap().status().as_u16(), holds().await), (204, json!(ACCOUNT)));
    assert_eq!((bench.dv(Method::DELETE, &nav).send().await.unwrap().status().as_u16(), holds().await), (204, Value::Null));
    let collection = format!("accounts({ACCOUNT})/contact_customer_accounts");
    let post = bench.dv(Method::POST, &format!("{collection}/$ref")).json(&json!({"@odata.id": format!("contacts({ID})")}));
    assert_eq!((post.send().await.unwrap().status().as_u16(), holds().await), (204, json!(ACCOUNT)));
    assert_eq!(bench.get(&format!("{collection}/$ref")).await["value"][0]["@odata.id"], format!("{root}/contacts({ID})"));
    let leave = bench.dv(Method::DELETE, &format!("{collection}({ID})/$ref"));
    assert_eq!((leave.send().await.unwrap().status().as_u16(), holds().await), (204, Value::Null));
    assert_eq!(refused(bench.dv(Method::POST, &nav).json(&json!({"@odata.id": format!("accounts({ACCOUNT})")}))).await.0, 405);
}

#[tokio::test]
async fn a_nested_create_makes_all_rows_or_none() {
    let bench = Bench::new().await;
    let body = |second: &str| {
        json!({
            "accountid": ACCOUNT, "name": "Adatum",
            "contact_customer_accounts": [{"contactid": ID, "lastname": "A"}, {"contactid": OTHER_ID, "lastname": second}],
        })
    };
    assert_eq!(refused(bench.dv(Method::POST, "accounts").json(&body(&"x".repeat(51)))).await.0, 400);
    assert_eq!((bench.look("dump/contacts").await, bench.look("dump/table/account").await), (json!([]), json!([])));
    assert_eq!(bench.dv(Method::POST, "accounts").json(&body("B")).send().await.unwrap().status(), 204);
    let rows = bench.look("dump/contacts").await;
    assert_eq!((&rows[0]["_parentcustomerid_value"], &rows[1]["_parentcustomerid_value"]), (&json!(ACCOUNT), &json!(ACCOUNT)));
    let with_parent = json!({"lastname": "C", "parentcustomerid_account": {"name": "New parent"}});
    assert_eq!(bench.dv(Method::POST, "contacts").json(&with_parent).send().await.unwrap().status(), 204);
    assert_eq!(bench.look("dump/table/account").await.as_array().unwrap().len(), 2);
    let on_update = bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&with_parent);
    assert_eq!(refused(on_update).await.1, "0x80048d19");
}

#[tokio::test]
async fn definitions_are_made_changed_and_removed_over_the_api() {
    let bench = Bench::new().await;
    let label = |text: &str| json!({"LocalizedLabels": [{"Label": text, "LanguageCode": 1033}]});
    let entity = json!({
        "@odata.type": "Microsoft.Dynamics.CRM.EntityMetadata", "SchemaName": "new_Visit", "DisplayName": label("Visit"),
        "DisplayCollectionName": label("Visits"), "ChangeTrackingEnabled": true,
        "Attributes": [{"@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata", "SchemaName": "new_Title", "IsPrimaryName": true, "MaxLength": 30}],
    });
    let made = bench.dv(Method::POST, "EntityDefinitions").json(&entity).send().await.unwrap();
    assert_eq!(made.status(), 204);
    let table = made.headers()["odata-entityid"].to_str().unwrap().to_owned();
    assert_eq!(bench.get(&table).await["PrimaryNameAttribute"], "new_title");
    assert_eq!(refused(bench.dv(Method::POST, "EntityDefinitions").json(&entity)).await.0, 400);
    let renamed = json!({"SchemaName": "new_Visit", "DisplayName": label("Call"), "DisplayCollectionName": label("Calls")});
    assert_eq!(bench.dv(Method::PUT, &table).json(&renamed).send().await.unwrap().status(), 204);
    let definition = bench.get(&table).await;
    assert_eq!(
        (&definition["DisplayName"]["UserLocalizedLabel"]["Label"], &definition["ChangeTrackingEnabled"]),
        (&json!("Call"), &json!(true))
    );
    assert_eq!(refused(bench.dv(Method::PUT, &table).json(&json!({"SchemaName": "new_Call"}))).await.0, 400);
    let column =
        json!({"@odata.type": "Microsoft.Dynamics.CRM.IntegerAttributeMetadata", "SchemaName": "new_Count", "MinValue": 0, "MaxValue": 9});
    let made = bench.dv(Method::POST, &format!("{table}/Attributes")).json(&column).send().await.unwrap();
    let column = made.headers()["odata-entityid"].to_str().unwrap().to_owned();
    assert_eq!(bench.dv(Method::POST, "new_visits").json(&json!({"new_title": "A", "new_count": 3})).send().await.unwrap().status(), 204);
    assert_eq!(refused(bench.dv(Method::POST, "new_visits").json(&json!({"new_count": 10}))).await.0, 400);
    let page = ok(bench.dv(Method::GET, "new_visits?$select=new_title,new_count").header("Prefer", "odata.track-changes")).await;
    assert_eq!(page["value"][0]["new_count"], 3);
    let wider =
        json!({"@odata.type": "Microsoft.Dynamics.CRM.IntegerAttributeMetadata", "SchemaName": "new_Count", "MinValue": 0, "MaxValue": 99});
    assert_eq!(bench.dv(Method::PUT, &column).json(&wider).send().await.unwrap().status(), 204);
    assert_eq!(bench.dv(Method::POST, "new_visits").json(&json!({"new_count": 10})).send().await.unwrap().status(), 204);
    assert_eq!(refused(bench.dv(Method::GET, page["@odata.deltaLink"].as_str().unwrap())).await.1, "0x80044352", "the definition changed");
    assert_eq!(bench.dv(Method::DELETE, &column).send().await.unwrap().status(), 204);
    assert_eq!(refused(bench.dv(Method::GET, "new_visits?$select=new_count")).await.0, 400);
    assert_eq!(refused(bench.dv(Method::DELETE, "EntityDefinitions(LogicalName='contact')")).await.0, 400);
    assert_eq!(bench.dv(Method::DELETE, &table).send().await.unwrap().status(), 204);
    assert_eq!(refused(bench.dv(Method::GET, "new_visits")).await.0, 404);
}

#[tokio::test]
async fn the_metadata_document_describes_types_keys_and_navigation() {
    let mut seed = seed();
    seed["dataverse"]["tables"]["contact"] = json!({"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]});
    let bench = Bench::seeded(seed).await;
    let request = bench.dv(Method::GET, "$metadata?annotations=true").header("Accept", "application/xml");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/xml");
    let text = answer.text().await.unwrap();
    let (mut reader, mut path, mut seen) = (quick_xml::Reader::from_str(&text), Vec::new(), std::collections::BTreeSet::new());
    loop {
        let attribute = |start: &quick_xml::events::BytesStart<'_>, name: &str| {
            let found = start.attributes().flatten().find(|attribute| attribute.key.as_ref() == name);
            found.map(|attribute| attribute.value.into_owned()).unwrap_or_default()
        };
        let note = |start: &quick_xml::events::BytesStart<'_>, path: &[String]| {
            let tag = start.name().as_ref().to_owned();
            format!("{} {tag} {} {}", path.last().cloned().unwrap_or_default(), attribute(start, "Name"), attribute(start, "Type"))
        };
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(start) => {
                seen.insert(note(&start, &path));
                path.push(attribute(&start, "Name"));
            }
            quick_xml::events::Event::Empty(start) => {
                seen.insert(note(&start, &path));
            }
            quick_xml::events::Event::End(_) => {
                path.pop();
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    for line in [
        "contact Property birthdate Edm.Date",
        "contact Property creditlimit Edm.Decimal",
        "contact Property _parentcustomerid_value Edm.Guid",
        "contact NavigationProperty parentcustomerid_account mscrm.account",
        "account NavigationProperty contact_customer_accounts Collection(mscrm.contact)",
        "new_membership NavigationProperty new_HolderId mscrm.contact",
        "new_visit NavigationProperty regardingobjectid_contact_new_visit mscrm.contact",
        "activitypointer Property subject Edm.String",
        "System EntitySet new_memberships ",
    ] {
        assert!(seen.contains(line), "{line}");
    }
    assert!(text.contains("<EntityType Name=\"new_visit\" BaseType=\"mscrm.activitypointer\">"));
    assert!(text.contains("OData.Community.Keys.V1.AlternateKeys") && text.contains("PropertyPath=\"employeeid\""));
    assert!(text.contains("Org.OData.Capabilities.V1.ChangeTracking"));
    let plain = bench.dv(Method::GET, "$metadata").send().await.unwrap().text().await.unwrap();
    assert!(!plain.contains("Org.OData.Capabilities.V1.ChangeTracking"));
}

#[tokio::test]
async fn a_url_has_a_longest_length() {
    let bench = Bench::new().await;
    let filter = |length: usize| format!("contacts?$filter=lastname eq '{}'", "x".repeat(length));
    bench.get(&filter(20_000)).await;
    assert_eq!(refused(bench.dv(Method::GET, &filter(33_000))).await.0, 414);
}

#[tokio::test]
async fn a_null_bind_clears_a_lookup_or_is_refused_by_setting() {
    for refuse_null_bind in [false, true] {
        let bench = Bench::with(Config { refuse_null_bind, ..Config::default() }).await;
        bench.contact(ID, json!({"lastname": "A"})).await;
        let clear = bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&json!({"parentcustomerid_account@odata.bind": null}));
        let status = clear.send().await.unwrap().status().as_u16();
        assert_eq!(status, if refuse_null_bind { 400 } else { 204 });
        let plain = bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&json!({"parentcustomerid_account": null}));
        assert_eq!(plain.send().await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn inactive_rows_are_read_only_by_setting() {
    for inactive_read_only in [false, true] {
        let bench = Bench::with(Config { inactive_read_only, ..Config::default() }).await;
        bench.contact(ID, json!({"lastname": "A"})).await;
        let patch = |body: Value| bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&body).send();
        assert_eq!(patch(json!({"statecode": 1, "statuscode": 2})).await.unwrap().status(), 204);
        assert_eq!(patch(json!({"lastname": "B"})).await.unwrap().status(), if inactive_read_only { 400 } else { 204 });
        assert_eq!(patch(json!({"statecode": 0, "lastname": "C"})).await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn counts_stop_at_five_thousand() {
    let bench = Bench::with(Config { contacts: 5003, ..Config::default() }).await;
    let request =
        bench.dv(Method::GET, "contacts?$select=contactid&$count=true&$top=1").header("Prefer", "odata.include-annotations=\"*\"");
    let page = ok(request).await;
    assert_eq!(page["@odata.count"], 5000);
    assert_eq!(page["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"], true);
    let all = bench.get("contacts?$select=contactid").await;
    assert_eq!((all["value"].as_array().unwrap().len(), all["@odata.nextLink"].is_string()), (5000, true));
}

#[tokio::test]
async fn a_bind_takes_an_alternate_key_in_any_form_of_address() {
    let seed = json!({"dataverse": {"tables": {"account": {"keys": [{"name": "new_bynumber", "columns": ["accountnumber"]}]}}}});
    let bench = Bench::seeded(seed).await;
    let account = json!({"accountid": ACCOUNT, "name": "Adatum", "accountnumber": "A'1"});
    assert_eq!(bench.dv(Method::POST, "accounts").json(&account).send().await.unwrap().status(), 204);
    let root = format!("{}/api/data/v9.2", bench.running.dataverse_url());
    let forms = [
        "accounts(accountnumber='A''1')".to_owned(),
        "/accounts(accountnumber='A%27%271')".to_owned(),
        format!("{root}/accounts({ACCOUNT})"),
    ];
    for link in forms {
        let body = json!({"contactid": ID, "parentcustomerid_account@odata.bind": link});
        assert_eq!(bench.dv(Method::POST, "contacts").json(&body).send().await.unwrap().status(), 204, "{link}");
        assert_eq!(bench.get(&format!("contacts({ID})?$select=_parentcustomerid_value")).await["_parentcustomerid_value"], ACCOUNT);
        assert_eq!(bench.dv(Method::DELETE, &format!("contacts({ID})")).send().await.unwrap().status(), 204);
    }
    for (link, status) in
        [("accounts(accountnumber='none')", 404), ("contacts(employeeid='x')", 400), ("nosuch(1)", 400), ("accounts", 400)]
    {
        let body = json!({"parentcustomerid_account@odata.bind": link});
        let (found, _, message) = refused(bench.dv(Method::POST, "contacts").json(&body)).await;
        assert_eq!(found, status, "{link}: {message}");
    }
}

#[tokio::test]
async fn a_seed_adds_columns_to_a_standard_table() {
    let columns = json!([
        {"name": "new_rating", "type": "Integer", "label": "Rating"},
        {"name": "industrycode", "schema": "IndustryCode", "type": "Picklist", "options": [[1, "Accounting"], [2, "Agriculture"]]}
    ]);
    let bench = Bench::seeded(json!({"dataverse": {"tables": {"account": {"columns": columns}}}})).await;
    let account = json!({"accountid": ACCOUNT, "name": "Adatum", "new_rating": 5, "industrycode": 2});
    assert_eq!(bench.dv(Method::POST, "accounts").json(&account).send().await.unwrap().status(), 204);
    let row = bench.get(&format!("accounts({ACCOUNT})?$select=new_rating,industrycode")).await;
    assert_eq!((&row["new_rating"], &row["industrycode"]), (&json!(5), &json!(2)));
    let of = |name: &str| format!("EntityDefinitions(LogicalName='account')/Attributes(LogicalName='{name}')?$select=IsCustomAttribute");
    assert_eq!(bench.get(&of("new_rating")).await["IsCustomAttribute"], true);
    assert_eq!(bench.get(&of("industrycode")).await["IsCustomAttribute"], false);
}
