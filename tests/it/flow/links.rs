//! Links between records of custom resources: parents before children, children that wait, links that change.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::{FlowSummary, Summary};
use d365map::store::Status;
use d365map::store::sqlite::db::Store;
use d365map_emulator::Config;
use serde_json::{Value, json};

use super::support::World;

const SCHEMAS: &[&str] = &[
    "version: 1
table: d365.new_group
collection: new_groups
primary-key: new_groupid
change-tracking: true
fields:
  new_groupid: { type: guid, updatable: false }
  new_name: { type: string, max: 100 }
",
    "version: 1
table: d365.new_firm
collection: new_firms
primary-key: new_firmid
change-tracking: true
fields:
  new_firmid: { type: guid, updatable: false }
  new_name: { type: string, max: 100 }
  new_city: { type: string, max: 50 }
  new_group: { type: lookup, targets: { new_group: new_Group } }
  new_parent: { type: lookup, targets: { new_firm: new_Parent } }
",
    "version: 1
table: d365.new_order
collection: new_orders
primary-key: new_orderid
change-tracking: true
fields:
  new_orderid: { type: guid, updatable: false }
  new_name: { type: string, max: 100 }
  new_firm: { type: lookup, targets: { new_firm: new_Firm } }
",
    "version: 1
table: campaign.cusGroup
collection: cusGroup
primary-key: PKey
alternate-keys: { key: [cusGroupId] }
fields:
  PKey: { type: string, read-only: true }
  cusGroupId: { type: string, max: 36 }
  cusName: { type: string, max: 10 }
  cusNote: { type: integer }
",
    "version: 1
table: campaign.cusFirm
collection: cusFirm
primary-key: PKey
alternate-keys: { key: [cusFirmId] }
fields:
  PKey: { type: string, read-only: true }
  cusFirmId: { type: string, max: 36 }
  cusName: { type: string, max: 100 }
  cusCity: { type: string, max: 50 }
  cusGroup: { type: link, target: cusGroup }
  cusParent: { type: link, target: cusFirm }
",
    "version: 1
table: campaign.cusOrder
collection: cusOrder
primary-key: PKey
alternate-keys: { key: [cusOrderId] }
fields:
  PKey: { type: string, read-only: true }
  cusOrderId: { type: string, max: 36 }
  cusName: { type: string, max: 100 }
  cusFirm: { type: link, target: cusFirm }
",
];

const MAPPINGS: &str = "mapping groups: d365.new_group -> campaign.cusGroup {
  key new_groupid -> cusGroupId
  new_name -> cusName | truncate(10)
  filter all { new_name != \"Hidden\" }
  options { deletes propagate; filtered-out delete }
}
mapping firms: d365.new_firm -> campaign.cusFirm {
  key new_firmid -> cusFirmId
  new_name -> cusName
  new_city -> cusCity @initial
  new_group -> cusGroup | link groups
  new_parent -> cusParent | link firms
  options { deletes propagate }
}
mapping orders: d365.new_order -> campaign.cusOrder {
  key new_orderid -> cusOrderId
  new_name -> cusName
  new_firm -> cusFirm | link firms
  options { deletes propagate }
}
";

fn seed(cardinality: &str) -> Value {
    let table = |schema: &str, columns: Value| json!({"new": {"schema": schema}, "tracking": true, "columns": columns});
    let lookup = |name: &str, schema: &str, target: &str| json!({"name": name, "schema": schema, "type": "Lookup", "targets": [target]});
    json!({
        "dataverse": {"tables": {
            "new_group": table("new_Group", json!([])),
            "new_firm": table("new_Firm", json!([
                {"name": "new_city", "schema": "new_City", "type": "String", "length": 50},
                lookup("new_group", "new_Group", "new_group"), lookup("new_parent", "new_Parent", "new_firm"),
            ])),
            "new_order": table("new_Order", json!([lookup("new_firm", "new_Firm", "new_firm")])),
        }},
        "campaign": {"resources": {
            "cusGroup": {"fields": [{"name": "cusGroupId", "type": "string"}, {"name": "cusName", "type": "string", "length": 10}, {"name": "cusNote", "type": "integer"}], "keys": [["cusGroupId"]]},
            "cusFirm": {"fields": [
                {"name": "cusFirmId", "type": "string"}, {"name": "cusName", "type": "string"}, {"name": "cusCity", "type": "string"},
                {"name": "cusGroup", "type": "link", "target": "cusGroup"}, {"name": "cusParent", "type": "link", "target": "cusFirm"},
            ], "keys": [["cusFirmId"]]},
            "cusOrder": {"fields": [
                {"name": "cusOrderId", "type": "string"}, {"name": "cusName", "type": "string"},
                {"name": "cusFirm", "type": "link", "target": "cusFirm", "cardinality": cardinality},
            ], "keys": [["cusOrderId"]]},
        }},
    })
}

pub(super) async fn world() -> World {
    World::new(Config { seed_text: Some(seed("0..1").to_string()), ..Config::default() }).await
}

pub(super) fn plan() -> Arc<ExecutionPlan> {
    plan_of(MAPPINGS)
}

fn plan_of(text: &str) -> Arc<ExecutionPlan> {
    super::entities::plan_of(SCHEMAS, text)
}

/// The n-th record of a table.
pub(super) fn id(table: &str, n: u32) -> String {
    let first = match table {
        "new_group" => 'a',
        "new_firm" => 'b',
        _ => 'c',
    };
    format!("{first}0000000-0000-4000-8000-{n:012}")
}

pub(super) fn bind(table: &str, n: u32) -> Value {
    json!(format!("/{table}s({})", id(table, n)))
}

pub(super) trait Entities {
    async fn put(&self, table: &str, n: u32, values: Value);
    async fn change(&self, table: &str, n: u32, values: Value);
    async fn gone(&self, table: &str, n: u32);
    async fn rows(&self, resource: &str) -> Vec<Value>;
    async fn all(&self, plan: &Arc<ExecutionPlan>) -> Summary;
    async fn in_campaign_screens(&self, method: &str, path: &str);
    fn status(&self) -> Status;
}

impl Entities for World {
    async fn put(&self, table: &str, n: u32, mut values: Value) {
        values[format!("{table}id")] = id(table, n).into();
        self.sales("POST", &format!("{table}s"), values).await;
    }

    async fn change(&self, table: &str, n: u32, values: Value) {
        self.sales("PATCH", &format!("{table}s({})", id(table, n)), values).await;
    }

    async fn gone(&self, table: &str, n: u32) {
        self.sales("DELETE", &format!("{table}s({})", id(table, n)), Value::Null).await;
    }

    async fn rows(&self, resource: &str) -> Vec<Value> {
        match self.admin_get(&format!("dump/resource/{resource}")).await {
            Value::Array(rows) => rows,
            other => panic!("not a list: {other}"),
        }
    }

    async fn all(&self, plan: &Arc<ExecutionPlan>) -> Summary {
        self.try_run(plan).await.expect("the run completes")
    }

    async fn in_campaign_screens(&self, method: &str, path: &str) {
        let url = format!("{}/campaign/rows/{path}", self.emulators.admin_url().trim_end_matches('/'));
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = self.client.request(method, &url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    fn status(&self) -> Status {
        Store::open_read(&self.state()).and_then(|s| s.status()).expect("the state can be read")
    }
}

fn flow<'s>(summary: &'s Summary, name: &str) -> &'s FlowSummary {
    summary.flows.iter().find(|f| f.mapping == name).expect("a flow of this name")
}

fn waits(summary: &Summary, name: &str) -> Vec<(String, u64)> {
    flow(summary, name).waiting_for.iter().map(|w| (w.parent.clone(), w.records)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_are_written_before_children_over_three_levels_and_a_second_run_makes_no_write_call() {
    let world = world().await;
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    let plan = plan();
    let first = world.all(&plan).await;
    assert!(!first.needs_attention(), "{first:?}");
    assert_eq!(world.rows("cusOrder").await[0]["cusFirm"], id("new_firm", 1).as_str());
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
    world.admin("reset-stats", Value::Null).await;
    world.change("new_order", 1, json!({"new_name": "O"})).await;
    let second = world.all(&plan).await;
    assert_eq!(flow(&second, "orders").unchanged, 1);
    assert_eq!(world.campaign_writes().await, 0);
    // A link that did not change is not looked up either.
    world.change("new_order", 1, json!({"new_name": "P"})).await;
    world.admin("reset-stats", Value::Null).await;
    world.all(&plan).await;
    let stats = world.admin_get("stats").await;
    // One write; the read is the list of resources, once in a run.
    let campaign = &stats["apis"]["campaign"];
    assert_eq!((&campaign["writes"], &campaign["reads"]), (&json!(1), &json!(1)), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_waits_without_a_call_while_its_parent_is_kept_out_and_goes_when_it_comes() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "Hidden"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.put("new_firm", 2, json!({"new_name": "Free"})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    let first = world.all(&plan).await;
    assert_eq!((flow(&first, "firms").created, flow(&first, "orders").created), (1, 0));
    assert_eq!(waits(&first, "firms"), [("groups".to_owned(), 1)]);
    assert_eq!(waits(&first, "orders"), [("firms".to_owned(), 1)]);
    assert!(first.needs_attention());
    let text = flow(&first, "orders").describe();
    assert!(text.contains("1 for records of `firms`") && text.contains(&id("new_firm", 1)), "{text}");
    let status = world.status();
    let orders = status.mappings.iter().find(|m| m.mapping == "orders").expect("orders");
    assert_eq!((orders.backlog.ready, orders.backlog.waiting_for_parents, orders.backlog.due()), (1, 1, 0));
    assert_eq!(orders.backlog.waiting_for[0].example_parent, id("new_firm", 1));

    // Another run while nothing has changed makes no call to Campaign.
    world.admin("reset-stats", Value::Null).await;
    let second = world.all(&plan).await;
    assert_eq!(waits(&second, "orders"), [("firms".to_owned(), 1)]);
    assert_eq!(world.campaign_writes().await, 0);

    world.change("new_group", 1, json!({"new_name": "Shown"})).await;
    let third = world.all(&plan).await;
    assert!(!third.needs_attention(), "{third:?}");
    assert_eq!((flow(&third, "firms").created, flow(&third, "orders").created), (1, 1));
    assert_eq!(world.rows("cusOrder").await[0]["cusFirm"], id("new_firm", 1).as_str());
    assert_eq!(world.status().mappings.iter().map(|m| m.backlog.total()).sum::<u64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_does_not_wait_is_written_at_once_and_linked_when_its_parent_comes() {
    for (or, linked) in [("or later", true), ("or null", false)] {
        let world = world().await;
        let plan = plan_of(&MAPPINGS.replace("new_firm -> cusFirm | link firms", &format!("new_firm -> cusFirm | link firms {or}")));
        world.put("new_group", 1, json!({"new_name": "Hidden"})).await;
        world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
        world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
        let first = world.all(&plan).await;
        assert_eq!((flow(&first, "firms").created, flow(&first, "orders").created), (0, 1), "{or}");
        let link = async |world: &World| world.rows("cusOrder").await[0].get("cusFirm").cloned().unwrap_or_default();
        assert_eq!(link(&world).await, Value::Null);
        let waiting = if linked { vec![("firms".to_owned(), 1)] } else { vec![] };
        assert_eq!(waits(&first, "orders"), waiting, "{or}");

        world.change("new_group", 1, json!({"new_name": "Shown"})).await;
        let second = world.all(&plan).await;
        assert!(!second.needs_attention(), "{second:?}");
        let firm = Value::from(id("new_firm", 1));
        assert_eq!(link(&world).await, if linked { firm.clone() } else { Value::Null }, "{or}");
        world.change("new_order", 1, json!({"new_name": "O2"})).await;
        world.all(&plan).await;
        assert_eq!(link(&world).await, firm, "{or}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_key_changes_gets_a_new_record_and_the_old_one_goes_as_a_deletion_goes() {
    for (deletes, left) in [("propagate", 1), ("ignore", 2)] {
        let world = world().await;
        let text = MAPPINGS.replace(
            "key new_groupid -> cusGroupId\n  new_name -> cusName | truncate(10)",
            "key new_name -> cusGroupId\n  new_name -> cusName | truncate(10)",
        );
        let text = text.replacen("deletes propagate", &format!("deletes {deletes}"), 1);
        let schema = "alternate-keys: { name: [new_name] }\n";
        let schemas: Vec<String> = SCHEMAS
            .iter()
            .map(|s| if s.contains("d365.new_group") { s.replace("fields:", &format!("{schema}fields:")) } else { (*s).to_owned() })
            .collect();
        let schemas: Vec<&str> = schemas
            .iter()
            .map(|s| s.replace("new_name: { type: string, max: 100 }", "new_name: { type: string, max: 36 }"))
            .map(|s| &*s.leak())
            .collect();
        let plan = super::entities::plan_of(&schemas, &text);
        world.put("new_group", 1, json!({"new_name": "First"})).await;
        world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
        world.all(&plan).await;
        assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], "First");
        world.change("new_group", 1, json!({"new_name": "Second"})).await;
        let run = world.all(&plan).await;
        assert!(!run.needs_attention(), "{run:?}");
        let rows = world.rows("cusGroup").await;
        assert_eq!(rows.len(), left, "{rows:?}");
        assert!(rows.iter().any(|row| row["cusGroupId"] == "Second"));
        assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], "Second", "{deletes}");
        // A deletion in Dynamics takes every record of it, and nothing else.
        world.gone("new_group", 1).await;
        world.all(&plan).await;
        assert_eq!(world.rows("cusGroup").await.len(), if deletes == "propagate" { 0 } else { 2 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_within_one_table_is_written_from_its_top_whatever_the_order_of_the_page() {
    let world = world().await;
    // Each links to the next one, so the page begins with the lowest.
    for n in (1..=6).rev() {
        let mut firm = json!({"new_name": format!("F{n}")});
        if n < 6 {
            firm["new_Parent@odata.bind"] = bind("new_firm", n + 1);
        }
        world.put("new_firm", n, firm).await;
    }
    world.put("new_firm", 7, json!({"new_name": "separate", "new_city": "x"})).await;
    let run = world.all(&plan()).await;
    assert!(!run.needs_attention(), "{run:?}");
    let rows = world.rows("cusFirm").await;
    for n in 1..6 {
        let row = rows.iter().find(|r| r["cusFirmId"] == id("new_firm", n).as_str()).expect("written");
        assert_eq!(row["cusParent"], id("new_firm", n + 1).as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_changed_and_cleared_by_one_write_each_and_a_waiting_child_takes_the_newest_link() {
    let world = world().await;
    let plan = plan();
    for n in 1..=2 {
        world.put("new_group", n, json!({"new_name": format!("G{n}")})).await;
    }
    world.put("new_group", 3, json!({"new_name": "Hidden"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.all(&plan).await;
    world.change("new_firm", 1, json!({"new_Group@odata.bind": bind("new_group", 2)})).await;
    world.admin("reset-stats", Value::Null).await;
    assert_eq!(flow(&world.all(&plan).await, "firms").updated, 1);
    assert_eq!(world.campaign_writes().await, 1);
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 2).as_str());

    // To a parent that is not there: the whole change waits, and the value at the target stays.
    world.change("new_firm", 1, json!({"new_name": "F2", "new_Group@odata.bind": bind("new_group", 3)})).await;
    assert_eq!(waits(&world.all(&plan).await, "firms"), [("groups".to_owned(), 1)]);
    assert_eq!(world.rows("cusFirm").await[0]["cusName"], "F");
    // The next change links elsewhere: nothing is left to wait for.
    world.change("new_firm", 1, json!({"new_Group@odata.bind": bind("new_group", 1)})).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    let firm = &world.rows("cusFirm").await[0];
    assert_eq!((&firm["cusName"], &firm["cusGroup"]), (&json!("F2"), &json!(id("new_group", 1))));

    world.sales("DELETE", &format!("new_firms({})/new_Group/$ref", id("new_firm", 1)), Value::Null).await;
    assert_eq!(flow(&world.all(&plan).await, "firms").updated, 1);
    assert!(world.rows("cusFirm").await[0].get("cusGroup").is_none_or(Value::is_null), "{:?}", world.rows("cusFirm").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_child_that_is_deleted_leaves_nothing_behind() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "Hidden"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.all(&plan).await;
    world.gone("new_firm", 1).await;
    world.admin("reset-stats", Value::Null).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!(world.campaign_writes().await, 0);
    world.change("new_group", 1, json!({"new_name": "Shown"})).await;
    world.all(&plan).await;
    assert!(world.rows("cusFirm").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_left_the_filter_and_came_back_has_its_children_linked_again() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.all(&plan).await;
    world.change("new_group", 1, json!({"new_name": "Hidden"})).await;
    world.all(&plan).await;
    assert!(world.rows("cusGroup").await.is_empty());
    // The service has emptied the link; the firm itself did not change.
    assert!(world.rows("cusFirm").await[0].get("cusGroup").is_none_or(Value::is_null));
    world.change("new_group", 1, json!({"new_name": "G"})).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_somebody_deleted_in_campaign_is_written_again_before_a_new_child_is_linked() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.all(&plan).await;
    world.in_campaign_screens("DELETE", &format!("cusGroup/{}", id("new_group", 1))).await;
    world.put("new_firm", 2, json!({"new_name": "F2", "new_Group@odata.bind": bind("new_group", 1)})).await;
    // Detected by the lookup of the link, when the parent's flow is over; it is processed again.
    let fixed = world.all(&plan).await;
    assert!(!fixed.needs_attention(), "{fixed:?}");
    assert_eq!(world.rows("cusGroup").await.len(), 1);
    let firms = world.rows("cusFirm").await;
    assert_eq!(firms.len(), 2);
    for firm in firms {
        assert_eq!(firm["cusGroup"], id("new_group", 1).as_str(), "{firm}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_created_again_has_its_children_linked_again_though_the_answer_to_its_create_is_lost() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.all(&plan).await;
    world.in_campaign_screens("DELETE", &format!("cusGroup/{}", id("new_group", 1))).await;
    world.change("new_group", 1, json!({"new_name": "G2"})).await;
    world.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "path": "cusGroup"})).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!(world.rows("cusGroup").await[0]["cusName"], "G2");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_pkey_expires_before_the_write_arrives_is_looked_up_again() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_group", 2, json!({"new_name": "H"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.admin("fail-next", json!({"kind": "expired-pkeys", "api": "campaign", "method": "POST", "path": "cusFirm", "count": 2})).await;
    let first = world.all(&plan).await;
    assert!(!first.needs_attention(), "{first:?}");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
    world.change("new_firm", 1, json!({"new_Group@odata.bind": bind("new_group", 2)})).await;
    world.admin("fail-next", json!({"kind": "expired-pkeys", "api": "campaign", "method": "PATCH", "path": "cusFirm", "count": 2})).await;
    let second = world.all(&plan).await;
    assert!(!second.needs_attention(), "{second:?}");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 2).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_rejected_is_sent_once_if_the_pkeys_of_its_links_are_still_the_same() {
    let world = world().await;
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world
        .admin("fail-next", json!({"kind": "status", "status": 400, "api": "campaign", "method": "POST", "path": "cusFirm", "count": 1}))
        .await;
    let run = world.all(&plan()).await;
    assert_eq!(flow(&run, "firms").failed, 1);
    assert_eq!(world.rows("cusFirm").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_of_a_refused_parent_waits_until_the_parent_is_fixed() {
    let world = world().await;
    let plan = plan_of(
        &MAPPINGS
            .replace("new_name -> cusName | truncate(10)", "new_name -> cusName | truncate(10)\n  new_name -> cusNote | integer or reject"),
    );
    world.put("new_group", 1, json!({"new_name": "none"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    let first = world.all(&plan).await;
    assert_eq!(flow(&first, "groups").rejected, 1);
    assert_eq!(waits(&first, "firms"), [("groups".to_owned(), 1)]);
    world.change("new_group", 1, json!({"new_name": "12"})).await;
    let second = world.all(&plan).await;
    assert!(!second.needs_attention(), "{second:?}");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_the_target_had_before_is_taken_over_and_linked_to() {
    let world = world().await;
    world.admin("campaign/rows/cusGroup", json!({"cusGroupId": id("new_group", 1), "cusName": "old"})).await;
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    let run = world.all(&plan()).await;
    assert_eq!((flow(&run, "groups").updated, flow(&run, "firms").created), (1, 1));
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_state_was_lost_everything_is_written_again_parents_first() {
    let world = world().await;
    let plan = plan();
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    world.all(&plan).await;
    let before = (world.rows("cusGroup").await, world.rows("cusFirm").await, world.rows("cusOrder").await);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(world.folder.path().join(file));
    }
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!((world.rows("cusGroup").await, world.rows("cusFirm").await, world.rows("cusOrder").await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_waiting_children_than_the_backlog_may_have_do_not_stop_the_reading() {
    let mut world = world().await;
    world.options.backlog_high_water = 3;
    world.options.page_size = 2;
    world.put("new_group", 1, json!({"new_name": "Hidden"})).await;
    for n in 1..=9 {
        world.put("new_firm", n, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    }
    world.put("new_firm", 10, json!({"new_name": "Free"})).await;
    let run = tokio::time::timeout(std::time::Duration::from_secs(20), world.all(&plan())).await.expect("the run ends");
    assert_eq!(flow(&run, "firms").created, 1);
    assert_eq!(waits(&run, "firms"), [("groups".to_owned(), 9)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_is_deleted_after_the_children_that_link_to_it() {
    // Of cardinality 1: if the parent were deleted first, the child would be hidden and hold its key forever.
    let world = World::new(Config { seed_text: Some(seed("1").to_string()), ..Config::default() }).await;
    let plan = plan();
    world.put("new_firm", 1, json!({"new_name": "F"})).await;
    world.put("new_firm", 2, json!({"new_name": "F2", "new_Parent@odata.bind": bind("new_firm", 1)})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 2)})).await;
    world.put("new_order", 2, json!({"new_name": "O2", "new_Firm@odata.bind": bind("new_firm", 2)})).await;
    world.all(&plan).await;
    world.gone("new_order", 1).await;
    world.change("new_order", 2, json!({"new_Firm@odata.bind": bind("new_firm", 1)})).await;
    world.gone("new_firm", 2).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!((flow(&run, "firms").deleted, flow(&run, "orders").deleted), (1, 1));
    let orders = world.rows("cusOrder").await;
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!((&orders[0]["cusFirm"], orders[0].get("hidden")), (&json!(id("new_firm", 1)), None));
    assert_eq!(world.rows("cusFirm").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parents_delete_is_held_no_longer_than_the_childrens_round() {
    let world = world().await;
    let plan = plan_of(&MAPPINGS.replace(
        "new_firm -> cusFirm | link firms\n  options { deletes propagate }",
        "new_firm -> cusFirm | link firms\n  options { deletes ignore }",
    ));
    world.put("new_firm", 1, json!({"new_name": "F"})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    world.all(&plan).await;
    // The order stays in Campaign, and so does its link; the firm is still deleted.
    world.gone("new_order", 1).await;
    world.gone("new_firm", 1).await;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!((world.rows("cusFirm").await.len(), world.rows("cusOrder").await.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_parents_alone_holds_their_deletes_for_the_children_and_says_so() {
    let mut world = world().await;
    let plan = plan();
    world.put("new_firm", 1, json!({"new_name": "F"})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    world.all(&plan).await;
    world.gone("new_order", 1).await;
    world.gone("new_firm", 1).await;
    world.options.mappings = Some(vec!["firms".to_owned()]);
    let run = world.all(&plan).await;
    assert_eq!((flow(&run, "firms").deleted, waits(&run, "firms")), (0, vec![("orders".to_owned(), 1)]));
    world.options.mappings = None;
    let run = world.all(&plan).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!((world.rows("cusFirm").await.len(), world.rows("cusOrder").await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_form_without_a_lookup_costs_one_call_for_each_record() {
    let mut world = world().await;
    world.link_form = d365map::systems::campaign::LinkForm::Key;
    world.put("new_group", 1, json!({"new_name": "G"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    let run = world.all(&plan()).await;
    assert!(!run.needs_attention(), "{run:?}");
    assert_eq!(world.rows("cusFirm").await[0]["cusGroup"], id("new_group", 1).as_str());
    let campaign = world.admin_get("stats").await["apis"]["campaign"].clone();
    assert_eq!((&campaign["writes"], &campaign["reads"]), (&json!(2), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_watch_a_waiting_child_goes_as_soon_as_its_parent_is_there() {
    let world = world().await;
    world.put("new_group", 1, json!({"new_name": "Hidden"})).await;
    world.put("new_firm", 1, json!({"new_name": "F", "new_Group@odata.bind": bind("new_group", 1)})).await;
    world.put("new_order", 1, json!({"new_name": "O", "new_Firm@odata.bind": bind("new_firm", 1)})).await;
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    let stop = tokio_util::sync::CancellationToken::new();
    let interval = std::time::Duration::from_millis(500);
    let options = d365map::run::Options { pace: d365map::run::Pace::Watch { interval }, ..world.options() };
    let (services, kept, token) = (world.services().1, store.clone(), stop.clone());
    let watching =
        tokio::spawn(
            async move { d365map::run::run(plan(), services, kept.into(), options, d365map::run::Publisher::default(), token).await },
        );
    let waiting = |flow: &str| store.waiting_size(flow).expect("the state can be read");
    let patient = async |done: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if done() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it takes too long: {:?}", store.status());
    };
    patient(&|| waiting("firms") == 1 && waiting("orders") == 1).await;
    world.change("new_group", 1, json!({"new_name": "Shown"})).await;
    patient(&|| {
        ["groups", "firms", "orders"].iter().all(|f| {
            store.status().is_ok_and(|s| s.mappings.iter().any(|m| m.mapping == *f && m.ledger_rows == 1 && m.backlog.total() == 0))
        })
    })
    .await;
    stop.cancel();
    watching.await.expect("no panic").expect("the watch ends well");
    assert_eq!(world.rows("cusOrder").await[0]["cusFirm"], id("new_firm", 1).as_str());
}
