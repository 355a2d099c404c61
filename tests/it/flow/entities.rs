//! Custom entities: every type of column, twenty tables of fifty columns, names of lookups, tables without change tracking.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use d365map::check::{Input, compile};
use d365map::connect::Budget;
use d365map::diagnostics::render::{Format, Style, render};
use d365map::plan::ExecutionPlan;
use d365map::schema::Catalogue;
use d365map_emulator::Config;
use serde_json::{Value, json};

use super::support::World;

/// The plan of mappings against custom schemas beside the built-in ones.
pub fn plan_of(schemas: &[impl AsRef<str>], text: &str) -> Arc<ExecutionPlan> {
    let folder = tempfile::tempdir().expect("a folder");
    for (n, schema) in schemas.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{n}.yaml")), schema.as_ref()).expect("a schema");
    }
    let catalogue = Catalogue::with_dir(folder.path()).expect("the schemas are right");
    let input = Input { name: "mappings/entities.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    let compiled = compile(vec![input], &catalogue);
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{findings}")))
}

/// One kind of column: on both sides, in the mapping, and what a record's value comes to.
struct Kind {
    dynamics: fn(&str) -> Value,
    dynamics_schema: &'static str,
    campaign: &'static str,
    campaign_schema: &'static str,
    steps: &'static str,
    /// For the n-th record's c-th column: what Dynamics has, what Campaign is to have.
    value: fn(u32, u32) -> (Value, Value),
}

fn column(name: &str, kind: &str, more: Value) -> Value {
    let mut column = json!({"name": name, "schema": name.replace("new_c", "new_C"), "type": kind});
    if let (Value::Object(column), Value::Object(more)) = (&mut column, more) {
        column.extend(more);
    }
    column
}

const KINDS: &[Kind] = &[
    Kind {
        dynamics: |n| column(n, "String", json!({"length": 40})),
        dynamics_schema: "{ type: string, max: 40 }",
        campaign: "string",
        campaign_schema: "{ type: string, max: 40 }",
        steps: "",
        value: |n, c| (json!(format!("t{n}-{c} \"Ä\" \\")), json!(format!("t{n}-{c} \"Ä\" \\"))),
    },
    Kind {
        dynamics: |n| column(n, "Memo", json!({"length": 2000})),
        dynamics_schema: "{ type: memo, max: 2000 }",
        campaign: "string",
        campaign_schema: "{ type: string, max: 2000 }",
        steps: "",
        value: |n, c| (json!(format!("line {n}\nline {c}")), json!(format!("line {n}\nline {c}"))),
    },
    Kind {
        dynamics: |n| column(n, "Integer", json!({"min": -1000, "max": 100_000})),
        dynamics_schema: "{ type: integer, min: -1000, max: 100000 }",
        campaign: "integer",
        campaign_schema: "{ type: integer }",
        steps: "",
        value: |n, c| (json!(n * 100 + c), json!(n * 100 + c)),
    },
    Kind {
        dynamics: |n| column(n, "Decimal", json!({"precision": 3})),
        dynamics_schema: "{ type: decimal, scale: 3, min: -1000, max: 1000000 }",
        campaign: "number",
        campaign_schema: "{ type: double }",
        steps: " | round(2)",
        value: |n, c| (json!(f64::from(n + c) + 0.125), json!(f64::from((n + c) * 100 + 13) / 100.0)),
    },
    Kind {
        dynamics: |n| column(n, "Money", json!({"precision": 2})),
        dynamics_schema: "{ type: money, scale: 2, min: 0, max: 1000000 }",
        campaign: "number",
        campaign_schema: "{ type: double }",
        steps: "",
        value: |n, c| (json!(f64::from(c) + 0.5 + f64::from(n)), json!(f64::from(c) + 0.5 + f64::from(n))),
    },
    Kind {
        dynamics: |n| column(n, "Boolean", json!({})),
        dynamics_schema: "{ type: boolean }",
        campaign: "boolean",
        campaign_schema: "{ type: boolean }",
        steps: "",
        value: |n, c| (json!((n + c) % 2 == 0), json!((n + c) % 2 == 0)),
    },
    Kind {
        dynamics: |n| column(n, "Picklist", json!({"options": [[1, "Gold"], [2, "Silver"], [3, "Tin"]]})),
        dynamics_schema: "{ type: picklist, options: { 1: Gold, 2: Silver, 3: Tin } }",
        campaign: "string",
        campaign_schema: "{ type: string, max: 10 }",
        steps: " | label",
        value: |n, c| {
            let chosen = (n + c) % 3;
            (json!(chosen + 1), json!(["Gold", "Silver", "Tin"][chosen as usize]))
        },
    },
    Kind {
        dynamics: |n| column(n, "MultiSelect", json!({"options": [[1, "Wine"], [2, "Beer"], [3, "Tea"]]})),
        dynamics_schema: "{ type: multi-picklist, options: { 1: Wine, 2: Beer, 3: Tea } }",
        campaign: "string",
        campaign_schema: "{ type: string, max: 40 }",
        steps: " | label(\", \")",
        value: |n, _| if n % 2 == 0 { (json!("1,3"), json!("Wine, Tea")) } else { (json!("2"), json!("Beer")) },
    },
    Kind {
        dynamics: |n| column(n, "DateTime", json!({"behavior": "UserLocal"})),
        dynamics_schema: "{ type: datetime }",
        campaign: "datetime",
        campaign_schema: "{ type: datetime }",
        steps: "",
        value: |n, c| (json!(format!("2024-01-{:02}T10:{:02}:00Z", n + 1, c)), json!(format!("2024-01-{:02} 10:{:02}:00.000Z", n + 1, c))),
    },
    Kind {
        dynamics: |n| column(n, "DateTime", json!({"behavior": "DateOnly"})),
        dynamics_schema: "{ type: date }",
        campaign: "date",
        campaign_schema: "{ type: date }",
        steps: "",
        value: |n, _| (json!(format!("1990-05-{:02}", n + 1)), json!(format!("1990-05-{:02}", n + 1))),
    },
];

const ENTITIES: u32 = 20;
const COLUMNS: u32 = 50;
const RECORDS: u32 = 4;
/// Tables of the first and the second level.
const LEVEL: u32 = 7;

fn id(entity: u32, n: u32) -> String {
    format!("e{entity:07}-0000-4000-8000-{n:012}")
}

/// The table that one links to, a level above.
fn parent(entity: u32) -> Option<u32> {
    entity.checked_sub(LEVEL)
}

struct Generated {
    seed: Value,
    schemas: Vec<String>,
    mappings: String,
    /// What Campaign is to have: by resource the records in order of their keys.
    expected: BTreeMap<String, Vec<Value>>,
}

fn generated() -> Generated {
    let (mut tables, mut resources) = (json!({}), json!({}));
    let (mut schemas, mut mappings, mut expected) = (Vec::new(), String::new(), BTreeMap::new());
    for e in 0..ENTITIES {
        let (table, resource) = (format!("new_e{e:02}"), format!("cusE{e:02}"));
        // The key, and for a child the link and the name of the record that it leads to.
        let plain = COLUMNS - if parent(e).is_some() { 3 } else { 1 };
        let mut columns = Vec::new();
        let mut attributes = vec![json!({"name": "cusKey", "type": "string"})];
        let mut from = format!(
            "version: 1\ntable: d365.{table}\ncollection: {table}s\nprimary-key: {table}id\nchange-tracking: true\nfields:\n  {table}id: {{ type: guid, updatable: false }}\n"
        );
        let mut to = format!(
            "version: 1\ntable: campaign.{resource}\ncollection: {resource}\nprimary-key: PKey\nalternate-keys: {{ key: [cusKey] }}\nfields:\n  PKey: {{ type: string, read-only: true }}\n  cusKey: {{ type: string, max: 36 }}\n"
        );
        let _ = writeln!(mappings, "mapping e{e:02}: d365.{table} -> campaign.{resource} {{\n  key {table}id -> cusKey");
        let mut rows: Vec<Value> = (0..RECORDS).map(|n| json!({format!("{table}id"): id(e, n), "new_name": format!("E{e} {n}")})).collect();
        let mut wanted: Vec<Value> = (0..RECORDS).map(|n| json!({"cusKey": id(e, n)})).collect();
        for c in 0..plain {
            let kind = &KINDS[c as usize % KINDS.len()];
            let (name, attribute) = (format!("new_c{c:02}"), format!("cusC{c:02}"));
            columns.push((kind.dynamics)(&name));
            attributes.push(json!({"name": attribute, "type": kind.campaign}));
            let _ = writeln!(from, "  {name}: {}", kind.dynamics_schema);
            let _ = writeln!(to, "  {attribute}: {}", kind.campaign_schema);
            let _ = writeln!(mappings, "  {name} -> {attribute}{}", kind.steps);
            for n in 0..RECORDS {
                let (value, result) = (kind.value)(n, c);
                rows[n as usize][&name] = value;
                wanted[n as usize][&attribute] = result;
            }
        }
        if let Some(p) = parent(e) {
            columns.push(json!({"name": "new_parent", "schema": "new_Parent", "type": "Lookup", "targets": [format!("new_e{p:02}")]}));
            attributes.push(json!({"name": "cusParent", "type": "link", "target": format!("cusE{p:02}")}));
            attributes.push(json!({"name": "cusParentName", "type": "string"}));
            let _ = writeln!(from, "  new_parent: {{ type: lookup, targets: {{ new_e{p:02}: new_Parent }} }}");
            let _ = writeln!(to, "  cusParent: {{ type: link, target: cusE{p:02} }}\n  cusParentName: {{ type: string, max: 50 }}");
            let _ = writeln!(mappings, "  new_parent -> cusParent | link e{p:02}\n  new_parent -> cusParentName | label | truncate(50)");
            for n in 0..RECORDS {
                rows[n as usize]["new_Parent@odata.bind"] = json!(format!("/new_e{p:02}s({})", id(p, n)));
                wanted[n as usize]["cusParent"] = json!(id(p, n));
                wanted[n as usize]["cusParentName"] = json!(format!("E{p} {n}"));
            }
        }
        mappings.push_str("}\n");
        schemas.extend([from, to]);
        tables[&table] = json!({"new": {"schema": table.replace("new_e", "new_E")}, "tracking": true, "columns": columns, "rows": rows});
        resources[&resource] = json!({"fields": attributes, "keys": [["cusKey"]]});
        expected.insert(resource, wanted);
    }
    Generated { seed: json!({"dataverse": {"tables": tables}, "campaign": {"resources": resources}}), schemas, mappings, expected }
}

/// Whether a record has these values; the service adds others, and leaves out what is its type's empty value.
fn has(record: &Value, wanted: &Value) -> bool {
    let Value::Object(wanted) = wanted else { return false };
    wanted.iter().all(|(name, value)| match record.get(name) {
        Some(found) if found.is_number() && value.is_number() => found.as_f64() == value.as_f64(),
        Some(found) => found == value,
        None => value == &json!(false) || value == &json!(0),
    })
}

async fn rows(world: &World, resource: &str) -> Vec<Value> {
    match world.admin_get(&format!("dump/resource/{resource}")).await {
        Value::Array(rows) => rows,
        other => panic!("not a list: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_entities_of_fifty_columns_on_three_levels_share_one_budget_of_calls_and_every_value_arrives() {
    let Generated { seed, schemas, mappings, expected } = generated();
    let plan = plan_of(&schemas, &mappings);
    assert_eq!(plan.ingress.len(), ENTITIES as usize);
    assert!(plan.ingress.iter().all(|f| f.fields.len() + 1 == COLUMNS as usize));
    let mut world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;

    // A budget that the first two levels do not exhaust by themselves: the last one must not have a separate one.
    world.http.budgets.insert("campaign", Budget { per_day: Some(70), ..Budget::default() });
    let error = world.try_run(&plan).await.expect_err("the budget is spent").to_string();
    assert!(error.contains("budget") || error.contains("70"), "{error}");
    let total = world.admin_get("stats").await["apis"]["campaign"]["total"].as_u64().expect("a count");
    assert!(total <= 70, "{total} calls");

    world.http.budgets.clear();
    let run = world.try_run(&plan).await.expect("the run completes");
    assert!(!run.needs_attention(), "{run:?}");
    for (resource, wanted) in expected {
        let found = rows(&world, &resource).await;
        assert_eq!(found.len(), wanted.len(), "{resource}");
        for (record, wanted) in found.iter().zip(&wanted) {
            assert!(has(record, wanted), "{resource}:\n{record:#}\n{wanted:#}");
        }
    }
    world.admin("reset-stats", Value::Null).await;
    let again = world.try_run(&plan).await.expect("the run completes");
    assert!(again.flows.iter().all(|f| f.created + f.updated == 0));
    assert_eq!(world.campaign_writes().await, 0);
}

const CUSTOMERS: &str = "mapping accounts: d365.account -> campaign.cusAccount {
  key accountid -> cusAccountId
  name -> cusName
}
mapping people: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  parentcustomerid -> cusAccount | link accounts
  parentcustomerid -> cusCompany | label | truncate(20)
}
";

fn customers() -> (Value, Vec<&'static str>) {
    let seed = json!({"campaign": {
        "fields": [{"name": "cusAccount", "type": "link", "target": "cusAccount"}, {"name": "cusCompany", "type": "string"}],
        "resources": {"cusAccount": {"fields": [{"name": "cusAccountId", "type": "string"}, {"name": "cusName", "type": "string"}], "keys": [["cusAccountId"]]}},
    }});
    let schemas = vec![
        "version: 1
table: d365.account
collection: accounts
primary-key: accountid
change-tracking: true
fields:
  accountid: { type: guid, updatable: false }
  name: { type: string, max: 160 }
",
        "version: 1
table: campaign.cusAccount
collection: cusAccount
primary-key: PKey
alternate-keys: { key: [cusAccountId] }
fields:
  PKey: { type: string, read-only: true }
  cusAccountId: { type: string, max: 36 }
  cusName: { type: string, max: 160 }
",
        "version: 1
table: campaign.profile
extends: built-in
fields:
  cusAccount: { type: link, target: cusAccount }
  cusCompany: { type: string, max: 20 }
",
    ];
    (seed, schemas)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_a_contact_is_not_a_link_to_an_account_but_its_name_comes() {
    let (seed, schemas) = customers();
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    let plan = plan_of(&schemas, CUSTOMERS);
    let account = "a0000000-0000-4000-8000-000000000001";
    world.sales("POST", "accounts", json!({"accountid": account, "name": "Contoso of the long name"})).await;
    world.create(1, json!({"lastname": "Boss", "parentcustomerid_account@odata.bind": format!("/accounts({account})")})).await;
    let boss = format!("/contacts({})", super::support::id(1));
    world.create(2, json!({"lastname": "Aide", "firstname": "Ada", "parentcustomerid_contact@odata.bind": boss})).await;
    world.create(3, json!({"lastname": "Free"})).await;
    let run = world.try_run(&plan).await.expect("the run completes");
    assert!(!run.needs_attention(), "{run:?}");
    let first = world.profile(1).await.expect("written");
    assert_eq!((&first["cusAccount"], &first["cusCompany"]), (&json!(account), &json!("Contoso of the long ")));
    let second = world.profile(2).await.expect("written");
    assert_eq!((second.get("cusAccount"), &second["cusCompany"]), (None, &json!("Boss")));
    let third = world.profile(3).await.expect("written");
    assert_eq!((third.get("cusAccount"), &third["cusCompany"]), (None, &json!("")));

    // Changes bring their annotations too, and so does a record that is read by itself.
    world.update(3, json!({"parentcustomerid_account@odata.bind": format!("/accounts({account})")})).await;
    world.try_run(&plan).await.expect("the run completes");
    assert_eq!(world.profile(3).await.expect("written")["cusCompany"], "Contoso of the long ");
    assert_eq!(world.dry(&plan).await.flows.iter().map(|f| f.create + f.update).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_without_a_notice_is_written_by_the_comparison_and_equal_records_cost_no_call() {
    let (seed, schemas) = customers();
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    let people = CUSTOMERS.split_once("mapping people").map(|(_, people)| format!("mapping people{people}")).expect("the second mapping");
    let people = people.replace("  parentcustomerid -> cusAccount | link accounts\n", "  options { reconcile every 7d }\n");
    let plan = plan_of(&schemas, &people);
    let account = "a0000000-0000-4000-8000-000000000001";
    world.sales("POST", "accounts", json!({"accountid": account, "name": "Old name"})).await;
    world.create(1, json!({"lastname": "Boss", "parentcustomerid_account@odata.bind": format!("/accounts({account})")})).await;
    world.create(2, json!({"lastname": "Free"})).await;
    assert_eq!(world.run(&plan).await.created, 2);
    world.sales("PATCH", &format!("accounts({account})"), json!({"name": "New name"})).await;
    assert_eq!(world.run(&plan).await.read, 0, "Dynamics reports no change of the contact");
    world.options.clock.advance(chrono::TimeDelta::days(8));
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.full_load, dry.update, dry.unchanged), (true, 1, 1));
    world.admin("reset-stats", json!({})).await;
    let done = world.run(&plan).await;
    assert_eq!((done.read, done.updated, done.unchanged), (2, 1, 1));
    assert_eq!(world.campaign_writes().await, 1);
    assert_eq!(world.profile(1).await.expect("written")["cusCompany"], "New name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_changes_are_not_tracked_is_named_before_anything_is_read() {
    let (seed, schemas) = customers();
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    let plan = plan_of(&schemas, CUSTOMERS);
    world.admin("table", json!({"table": "account", "tracking": false})).await;
    let error = world.try_run(&plan).await.expect_err("nothing can be read").to_string();
    assert!(error.contains("`account`") && error.contains("`accounts`") && error.contains("Track changes"), "{error}");
    assert_eq!(world.campaign_writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_in_the_mapping_stops_the_flow_until_a_replay_and_makes_no_second_profile() {
    let seed = json!({"campaign": {"fields": [{"name": "cusCrmId", "type": "string"}], "keys": [["cusCrmId"]]}});
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    let schema = "version: 1
table: campaign.profile
extends: built-in
alternate-keys: { crm: [cusCrmId] }
fields:
  cusCrmId: { type: string, max: 36 }
";
    let plan = |key: &str| {
        plan_of(
            &[schema],
            &format!("mapping contacts: d365.contact -> campaign.profile {{ key contactid -> {key}; lastname -> lastName }}"),
        )
    };
    let (before, after) = (plan("externalId"), plan("cusCrmId"));
    world.create(1, json!({"lastname": "Able"})).await;
    world.try_run(&before).await.expect("the run completes");
    world.update(1, json!({"lastname": "Baker"})).await;
    let error = world.try_run(&after).await.expect_err("the flow stops").to_string();
    assert!(error.contains("`externalId`") && error.contains("`cusCrmId`") && error.contains("d365map replay contacts"), "{error}");
    assert_eq!(world.profile(1).await.expect("kept")["lastName"], "Able");

    // Somebody fills in the new key, and a replay goes on by it.
    let one = super::support::id(1);
    let url = format!("{}/campaign/rows/profile/{one}", world.emulators.admin_url().trim_end_matches('/'));
    assert!(world.client.patch(url).json(&json!({"cusCrmId": one})).send().await.expect("an answer").status().is_success());
    {
        let store = d365map::store::sqlite::db::Store::open_for_run(&world.state()).expect("the state opens");
        store.reset_for_replay("contacts", &after.ingress[0].fingerprint()).expect("the replay is noted");
    }
    world.try_run(&after).await.expect("the run completes");
    let profiles = world.profiles().await;
    assert_eq!((profiles.len(), &profiles[0]["lastName"]), (1, &json!("Baker")));
}

/// Copies a folder with all that is in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_custom_entities_runs_as_its_readme_says() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom-entities");
    let seed = std::fs::read_to_string(example.join("emulated.seed.json")).expect("the seed");
    let world = World::new(Config { seed_text: Some(seed), ..Config::default() }).await;
    copy(&example, world.folder.path());
    let project = world.folder.path().join("emulated.yaml");
    let text = std::fs::read_to_string(&project)
        .expect("the project file")
        .replace("http://127.0.0.1:8365/7e2f1c3a-0000-4000-8000-00000000d365/oauth2/v2.0/token", &world.emulators.dataverse_token_url())
        .replace("http://127.0.0.1:8366/ims/token/v3", &world.emulators.campaign_token_url())
        .replace("http://127.0.0.1:8366/emulated-org", &world.emulators.campaign_url())
        .replace("http://127.0.0.1:8365", world.emulators.dataverse_url().trim_end_matches('/'))
        .replace("D365MAP_DYNAMICS_SECRET", "TEST_DYNAMICS_SECRET")
        .replace("D365MAP_CAMPAIGN_SECRET", "TEST_CAMPAIGN_SECRET");
    std::fs::write(&project, text).expect("the project file");

    let (status, out, error) = world.call(&["run", "--project", "emulated.yaml"]).await;
    assert_eq!(status, 1, "{out}{error}");
    let waits =
        "for records of `accounts`, such as c0000000-0000-4000-8000-000000000002, which waits for a0000000-0000-4000-8000-000000000002";
    assert!(out.contains(waits), "{out}");
    let (status, out, _) = world.call(&["status", "--project", "emulated.yaml"]).await;
    assert!(status == 0 && out.contains(waits), "{out}");
    let orders = rows(&world, "cusOrder").await;
    let wanted = json!({"cusNumber": "O-1", "cusBuyer": "c0000000-0000-4000-8000-000000000001", "cusArticleName": "Analytical engine",
        "cusTotal": 19.9, "cusPlacedOn": "2024-05-06 07:08:09.000Z", "cusStatus": "Delivered", "cusChannels": "Web, Phone"});
    assert!(orders.len() == 1 && has(&orders[0], &wanted), "{orders:?}");
    assert_eq!(rows(&world, "cusArticle").await.len(), 1);

    world.sales("PATCH", "accounts(a0000000-0000-4000-8000-000000000002)", json!({"statecode": 0})).await;
    let (status, out, error) = world.call(&["run", "--project", "emulated.yaml"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(rows(&world, "cusOrder").await.len(), 2);
    let charles = world.profiles().await.into_iter().find(|p| p["firstName"] == "Charles").expect("written");
    assert_eq!(charles["cusAccount"], "a0000000-0000-4000-8000-000000000002");
}
