//! Mappings from and to the system in memory, run by the code of every run.

use std::sync::Arc;

use d365map_emulator::{Config, start};
use serde_json::{Value, json};

use super::Memory;
use crate::check::{Input, compile};
use crate::diagnostics::render::{Format, Style, render};
use crate::plan::ExecutionPlan;
use crate::run::{Clock, Memories, Options, OptoutSettings, Pace, Publisher, Services, run};
use crate::schema::Catalogue;
use crate::store::{Access, MassLimits, open};
use crate::system::SystemId;
use crate::systems::campaign::Campaign;
use crate::systems::dataverse::Dataverse;
use crate::systems::{Payload, RecordKey, Table, Target};

const SCHEMA: &str = "version: 1
table: memory.person
collection: people
primary-key: id
alternate-keys: { id: [id] }
fields:
  id: { type: guid }
  name: { type: string, max: 100 }
  town: { type: string, max: 50 }
";

const MAPPINGS: &str = "mapping into: d365.contact -> memory.person {
  key contactid -> id
  lastname -> name
  address1_city -> town | truncate(50)
  options { deletes propagate }
}

mapping out: memory.person -> campaign.profile {
  key id -> externalId
  name -> lastName | truncate(30)
  town -> location.city
  filter all { not name = \"Hidden\" }
  options { deletes propagate }
}
";

fn plan() -> Arc<ExecutionPlan> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("memory.person.yaml");
    crate::disk::write(&file, SCHEMA.as_bytes(), crate::disk::Access::Shared).expect("a file");
    let catalogue = Catalogue::with_dir(folder.path()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let input = Input { name: "mappings/memory.d365map".to_owned(), bytes: MAPPINGS.as_bytes().to_vec() };
    let compiled = compile(vec![input], &catalogue);
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{findings}")))
}

fn options() -> Options {
    Options {
        pace: Pace::Once,
        mappings: None,
        page_size: 2,
        concurrency: 3,
        backlog_high_water: 1000,
        mass_limits: MassLimits::unlimited(),
        optouts: OptoutSettings::default(),
        memories: Memories::default(),
        clock: Clock::default(),
    }
}

const CONTACTS: Table<'static> = Table { name: "contact", collection: "contacts" };

fn id(n: u32) -> String {
    format!("c0000000-0000-4000-8000-{n:012}")
}

fn contact(id: &str) -> RecordKey<'_> {
    RecordKey { table: CONTACTS, attribute: "contactid", value: id }
}

async fn profile(campaign: &Campaign, n: u32) -> Option<Value> {
    let id = id(n);
    let table = Table { name: "profile", collection: "profile" };
    let found = Target::get(campaign, RecordKey { table, attribute: "externalId", value: &id }).await.expect("an answer");
    found.map(|found| json!([found.record["lastName"], found.record["location"]["city"]]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_system_is_written_from_dynamics_and_read_into_campaign() {
    let running = start(Config::default()).await.expect("the emulators start");
    let (dataverse, campaign): (Dataverse, Campaign) = crate::systems::conformance::clients(&running);
    let memory = Memory::default();
    let services = Services::new(crate::systems::conformance::systems(&running).with(SystemId::Memory, memory.clone()));
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan();
    let round = async || {
        let stores = open(&folder.path().join("state.db"), Access::Run).await.expect("the state opens");
        let stop = tokio_util::sync::CancellationToken::new();
        let summary = run(plan.clone(), services.clone(), stores, options(), Publisher::default(), stop).await.expect("the run completes");
        assert!(!summary.needs_attention(), "{:?}", summary.flows);
    };
    // Each mapping takes a round: the second one reads what the first has written.
    let both = async || {
        round().await;
        round().await;
    };
    for (n, name) in (1..).zip(["Lovelace", "Byron", "Hidden"]) {
        let body = json!({"contactid": id(n), "lastname": name, "address1_city": "London"});
        Target::create(&dataverse, CONTACTS, "contactid", Payload::from(body.to_string())).await.expect("a contact");
    }
    both().await;
    assert_eq!(memory.records("people").len(), 3);
    assert_eq!(profile(&campaign, 1).await, Some(json!(["Lovelace", "London"])));
    assert_eq!(profile(&campaign, 3).await, None, "the filter keeps it out");

    let change = Payload::from(json!({"address1_city": "Paris"}).to_string());
    Target::update(&dataverse, contact(&id(1)), change, None).await.expect("a change");
    Target::delete(&dataverse, contact(&id(2))).await.expect("a deletion");
    both().await;
    assert_eq!(memory.records("people").len(), 2);
    assert_eq!(profile(&campaign, 1).await, Some(json!(["Lovelace", "Paris"])));
    assert_eq!(profile(&campaign, 2).await, None);

    // Nothing has changed: nothing is written.
    let before = memory.records("people");
    both().await;
    assert_eq!(memory.records("people"), before);
}
