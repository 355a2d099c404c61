//! The whole flow against two systems in memory: stories one by one, and generated histories of both sides with deaths of the process, lost
//! answers and repeated notices.

mod notified;
mod rows;
mod service;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::check::{Input, compile};
use crate::diagnostics::render::{Format, Style, render};
use crate::plan::ExecutionPlan;
use crate::run::{Clock, Memories, Options, OptoutSettings, Pace, Publisher, Services, Summary, run};
use crate::schema::Catalogue;
use crate::store::{DeadLetterFilter, MassLimits, Stores, in_memory};
use crate::system::SystemId;
use crate::systems::Systems;
use service::{Counts, Service, World};

const MAPPING: &str = "mapping referrals: partner.referral <-> d365.opportunity {
  key id <-> msft_microsoftpartnercenterreferralidentifier
  name -> name | truncate(300)
  name <- name
  details.dealValue <-> estimatedvalue
  details.closingDateTime -> estimatedclosedate | date
  details.notes <- description
  details.currency <- \"EUR\"
  options { conflicts newest }
}
";

fn plan(conflicts: &str) -> Arc<ExecutionPlan> {
    let text = MAPPING.replace("conflicts newest", &format!("conflicts {conflicts}"));
    let input = Input { name: "mappings/referrals.d365map".to_owned(), bytes: text.into_bytes() };
    let compiled = compile(vec![input], Catalogue::builtin());
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{findings}")))
}

struct Bench {
    plan: Arc<ExecutionPlan>,
    partner: Service,
    dynamics: Service,
    services: Services,
    stores: Stores,
    clock: Clock,
}

impl Bench {
    fn of(conflicts: &str) -> Bench {
        let world = Arc::new(World::default());
        world.lives.store(i64::MAX, Ordering::SeqCst);
        let (partner, dynamics) = (Service::partner(world.clone()), Service::dynamics(world));
        let systems = Systems::default().with(SystemId::Partner, partner.clone()).with(SystemId::D365, dynamics.clone());
        let services = Services::new(systems);
        let clock = Clock::stopped(crate::time::now());
        Bench { plan: plan(conflicts), partner, dynamics, services, stores: in_memory().unwrap(), clock }
    }

    fn new() -> Bench {
        Bench::of("newest")
    }

    /// A run that goes through once; `None` if the process died in it.
    async fn run(&self) -> Option<Summary> {
        let options = options(Pace::Once, self.clock.clone());
        let run =
            run(self.plan.clone(), self.services.clone(), self.stores.clone(), options, Publisher::default(), CancellationToken::new());
        let time_goes_on = async {
            loop {
                self.clock.is_awaited().await;
                self.clock.advance(TimeDelta::seconds(1));
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            summary = run => Some(summary.expect("the run completes")),
            () = time_goes_on => None,
            () = self.partner.0.dead.notified() => None,
        }
    }

    async fn letters(&self) -> Vec<(String, String)> {
        let letters = self.stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 100).await.unwrap();
        letters.into_iter().map(|letter| (letter.source_id, letter.failure.code)).collect()
    }

    fn opportunity(&self, id: &str) -> Value {
        self.dynamics.records().remove(id).unwrap_or_default()
    }

    fn referral(&self, id: &str) -> Value {
        self.partner.records().remove(id).unwrap_or_default()
    }

    fn writes(&self) -> (u64, u64) {
        let writes = |counts: Counts| counts.creates + counts.updates;
        (writes(self.partner.counts()), writes(self.dynamics.counts()))
    }
}

fn options(pace: Pace, clock: Clock) -> Options {
    Options {
        pace,
        mappings: None,
        page_size: 100,
        concurrency: 2,
        backlog_high_water: 1000,
        mass_limits: MassLimits::unlimited(),
        optouts: OptoutSettings::default(),
        memories: Memories::default(),
        clock,
    }
}

fn deal(name: &str, value: u32) -> Value {
    json!({"name": name, "status": "Active", "substatus": "Accepted", "details": {"dealValue": value, "closingDateTime": "2026-12-24T00:00:00Z"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referral_becomes_an_opportunity_with_one_create_and_one_write_back_and_then_costs_nothing() {
    let bench = Bench::new();
    let referral = bench.partner.add(&deal("Contoso", 500));
    bench.run().await.unwrap();
    let (id, opportunity) = bench.dynamics.records().pop_first().unwrap();
    assert_eq!((&opportunity["name"], &opportunity["estimatedvalue"]), (&json!("Contoso"), &json!(500)));
    assert_eq!(
        (&opportunity["estimatedclosedate"], &opportunity["msft_microsoftpartnercenterreferralsync"]),
        (&json!("2026-12-24"), &json!(true))
    );
    assert_eq!(opportunity["msft_microsoftpartnercenterreferralidentifier"], json!(referral));
    assert_eq!(bench.referral(&referral)["externalReferenceId"], json!(id));
    assert_eq!(bench.writes(), (1, 1));
    // Its own echo has a known version.
    let reads = |bench: &Bench| bench.partner.counts().reads + bench.dynamics.counts().reads;
    let before = reads(&bench);
    bench.run().await.unwrap();
    assert_eq!((bench.writes(), reads(&bench)), ((1, 1), before));
    // One change costs one write.
    bench.partner.set(&referral, &json!({"details": {"dealValue": 700}}));
    bench.run().await.unwrap();
    assert_eq!((bench.opportunity(&id)["estimatedvalue"].clone(), bench.writes()), (json!(700), (1, 2)));
    // A change of nothing that is mapped costs one read.
    let before = reads(&bench);
    bench.dynamics.set(&id, &json!({"closeprobability": 10}));
    bench.run().await.unwrap();
    assert_eq!((bench.writes(), reads(&bench)), ((1, 2), before + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opportunity_that_is_to_be_synchronized_becomes_a_referral_and_others_do_not() {
    let bench = Bench::new();
    bench.dynamics.add(&json!({"name": "Private", "estimatedvalue": 1}));
    let id = bench
        .dynamics
        .add(&json!({"name": "✔ Shared", "estimatedvalue": 2, "description": "text", "msft_microsoftpartnercenterreferralsync": true}));
    bench.run().await.unwrap();
    let (referral, record) = bench.partner.records().pop_first().unwrap();
    assert_eq!(bench.partner.records().len(), 1);
    assert_eq!((&record["name"], &record["details"]["notes"]), (&json!("Shared"), &json!("text")));
    assert_eq!(
        (&record["externalReferenceId"], bench.opportunity(&id)["msft_microsoftpartnercenterreferralidentifier"].clone()),
        (&json!(id), json!(referral))
    );
    assert_eq!(bench.writes(), (1, 1));
    bench.dynamics.set(&id, &json!({"description": "other"}));
    bench.run().await.unwrap();
    assert_eq!((bench.referral(&referral)["details"]["notes"].clone(), bench.writes()), (json!("other"), (2, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_value_is_written_with_the_create_of_a_referral_and_never_again() {
    let bench = Bench::new();
    let theirs = bench.partner.add(&deal("Theirs", 1));
    bench.dynamics.add(&json!({"name": "Ours", "estimatedvalue": 2, "msft_microsoftpartnercenterreferralsync": true}));
    bench.run().await.unwrap();
    let mut referrals = bench.partner.records();
    assert_eq!(referrals.remove(&theirs).unwrap()["details"]["currency"], Value::Null);
    assert_eq!(referrals.pop_first().unwrap().1["details"]["currency"], json!("EUR"));
    let before = bench.writes();
    bench.run().await.unwrap();
    assert_eq!(bench.writes(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crm_id_that_exists_links_and_one_that_does_not_is_a_dead_letter() {
    let bench = Bench::new();
    let id = bench.dynamics.add(&deal_of_dynamics());
    let linked = bench.partner.add(&with_crm_id(&id));
    let unknown = bench.partner.add(&with_crm_id("b0000000-0000-4000-8000-000000000099"));
    bench.run().await.unwrap();
    assert_eq!(bench.dynamics.records().len(), 1);
    assert_eq!(bench.opportunity(&id)["msft_microsoftpartnercenterreferralidentifier"], json!(linked));
    assert_eq!(bench.letters().await, [(unknown.clone(), "unknown-crm-id".to_owned())]);
    // Corrected, it goes through.
    bench.partner.set(&unknown, &json!({"externalReferenceId": null}));
    bench.run().await.unwrap();
    assert_eq!((bench.dynamics.records().len(), bench.letters().await), (2, vec![]));
}

fn deal_of_dynamics() -> Value {
    json!({"name": "Contoso", "estimatedvalue": 500})
}

fn with_crm_id(id: &str) -> Value {
    let mut deal = deal("Contoso", 500);
    deal["externalReferenceId"] = json!(id);
    deal
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_is_lost_is_looked_for_and_not_repeated() {
    let bench = Bench::new();
    bench.partner.add(&deal("Contoso", 500));
    bench.dynamics.lose(1);
    bench.run().await.unwrap();
    let bench_right = Bench::new();
    bench_right.dynamics.add(&json!({"name": "Contoso", "msft_microsoftpartnercenterreferralsync": true}));
    bench_right.partner.lose(1);
    bench_right.run().await.unwrap();
    for bench in [bench, bench_right] {
        assert_eq!((bench.partner.records().len(), bench.dynamics.records().len()), (1, 1));
        let (id, referral) = bench.partner.records().pop_first().unwrap();
        assert_eq!(
            bench.opportunity(referral["externalReferenceId"].as_str().unwrap())["msft_microsoftpartnercenterreferralidentifier"],
            json!(id)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_changed_follows_the_policy() {
    for (conflicts, expected) in [("partner", 1), ("d365", 2), ("newest", 2)] {
        let bench = Bench::of(conflicts);
        let referral = bench.partner.add(&deal("Contoso", 500));
        bench.run().await.unwrap();
        let id = bench.dynamics.records().pop_first().unwrap().0;
        bench.partner.set(&referral, &json!({"details": {"dealValue": 1}}));
        bench.dynamics.set(&id, &json!({"estimatedvalue": 2}));
        bench.run().await.unwrap();
        let values = (bench.referral(&referral)["details"]["dealValue"].clone(), bench.opportunity(&id)["estimatedvalue"].clone());
        assert_eq!(values, (json!(expected), json!(expected)), "{conflicts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_is_to_be_reported_changes_neither_side_until_a_person_decides() {
    let bench = Bench::of("report");
    let referral = bench.partner.add(&deal("Contoso", 500));
    bench.run().await.unwrap();
    let id = bench.dynamics.records().pop_first().unwrap().0;
    bench.partner.set(&referral, &json!({"name": "Fabrikam", "details": {"dealValue": 1}}));
    bench.dynamics.set(&id, &json!({"estimatedvalue": 2}));
    bench.run().await.unwrap();
    let values =
        |bench: &Bench| (bench.referral(&referral)["details"]["dealValue"].clone(), bench.opportunity(&id)["estimatedvalue"].clone());
    assert_eq!((values(&bench), bench.opportunity(&id)["name"].clone()), ((json!(1), json!(2)), json!("Fabrikam")));
    assert_eq!(bench.letters().await, [(referral.clone(), "conflict".to_owned())]);
    bench.dynamics.set(&id, &json!({"estimatedvalue": 1}));
    bench.run().await.unwrap();
    assert_eq!((values(&bench), bench.letters().await), ((json!(1), json!(1)), vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_referral_is_never_written_and_its_last_values_arrive() {
    let bench = Bench::new();
    let referral = bench.partner.add(&deal("Contoso", 500));
    bench.run().await.unwrap();
    let id = bench.dynamics.records().pop_first().unwrap().0;
    bench.partner.set(&referral, &json!({"status": "Closed", "substatus": "Lost", "details": {"dealValue": 9}}));
    bench.dynamics.set(&id, &json!({"description": "too late"}));
    bench.run().await.unwrap();
    assert_eq!(bench.opportunity(&id)["estimatedvalue"], json!(9));
    assert_eq!(bench.referral(&referral)["details"]["notes"], Value::Null);
    let writes = bench.writes();
    bench.partner.tell_again();
    bench.dynamics.tell_again();
    bench.run().await.unwrap();
    assert_eq!(bench.writes(), writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_reported_and_never_carried_over() {
    let bench = Bench::new();
    let referral = bench.partner.add(&deal("Contoso", 500));
    bench.run().await.unwrap();
    let id = bench.dynamics.records().pop_first().unwrap().0;
    bench.dynamics.remove(&id);
    bench.run().await.unwrap();
    assert_eq!(bench.letters().await, [(referral.clone(), "deleted".to_owned())]);
    bench.partner.set(&referral, &json!({"name": "Fabrikam"}));
    bench.run().await.unwrap();
    assert_eq!((bench.partner.records().len(), bench.dynamics.records().len()), (1, 0));
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    NewReferral(u32),
    NewOpportunity(u32),
    Left {
        deal: usize,
        name: Option<u8>,
        value: Option<u32>,
    },
    Right {
        deal: usize,
        name: Option<u8>,
        value: Option<u32>,
        notes: Option<u8>,
    },
    Close(usize),
    TellAgain,
    Lose {
        left: u32,
        right: u32,
    },
    Run,
    /// A run that dies after this number of calls.
    Die(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let (name, value) = (|| proptest::option::of(0..4_u8), || proptest::option::of(1..5_u32));
    prop_oneof![
        1 => (1..5_u32).prop_map(Event::NewReferral),
        1 => (1..5_u32).prop_map(Event::NewOpportunity),
        4 => (0..4_usize, name(), value()).prop_map(|(deal, name, value)| Event::Left { deal, name, value }),
        4 => (0..4_usize, name(), value(), name()).prop_map(|(deal, name, value, notes)| Event::Right { deal, name, value, notes }),
        1 => (0..4_usize).prop_map(Event::Close),
        1 => Just(Event::TellAgain),
        1 => (0..2_u32, 0..2_u32).prop_map(|(left, right)| Event::Lose { left, right }),
        3 => Just(Event::Run),
        3 => (1..30_u8).prop_map(Event::Die),
    ]
}

fn nth(service: &Service, deal: usize) -> Option<String> {
    service.records().keys().nth(deal).cloned()
}

async fn happens(bench: &Bench, event: &Event) {
    match event {
        Event::NewReferral(value) => {
            bench.partner.add(&deal("New", *value));
        }
        Event::NewOpportunity(value) => {
            bench.dynamics.add(&json!({"name": "New", "estimatedvalue": value, "msft_microsoftpartnercenterreferralsync": true}));
        }
        Event::Left { deal, name, value } => {
            if let Some(id) = nth(&bench.partner, *deal) {
                let mut fields = json!({"details": {}});
                name.iter().for_each(|name| fields["name"] = json!(format!("Name {name}")));
                value.iter().for_each(|value| fields["details"]["dealValue"] = json!(value));
                bench.partner.set(&id, &fields);
            }
        }
        Event::Right { deal, name, value, notes } => {
            if let Some(id) = nth(&bench.dynamics, *deal) {
                let mut fields = json!({});
                name.iter().for_each(|name| fields["name"] = json!(format!("Name {name}")));
                value.iter().for_each(|value| fields["estimatedvalue"] = json!(value));
                notes.iter().for_each(|notes| fields["description"] = json!(format!("Notes {notes}")));
                bench.dynamics.set(&id, &fields);
            }
        }
        Event::Close(deal) => {
            if let Some(id) = nth(&bench.partner, *deal) {
                bench.partner.set(&id, &json!({"status": "Closed", "substatus": "Won"}));
            }
        }
        Event::TellAgain => {
            bench.partner.tell_again();
            bench.dynamics.tell_again();
        }
        Event::Lose { left, right } => {
            bench.partner.lose(*left);
            bench.dynamics.lose(*right);
        }
        Event::Run => {
            bench.run().await;
        }
        Event::Die(calls) => {
            bench.partner.0.lives.store(i64::from(*calls), Ordering::SeqCst);
            bench.run().await;
            bench.partner.0.lives.store(i64::MAX, Ordering::SeqCst);
        }
    }
}

/// What must hold when everything has come to rest.
async fn at_rest(bench: &Bench) -> Result<(), TestCaseError> {
    bench.partner.lose(0);
    bench.dynamics.lose(0);
    for _ in 0..3 {
        bench.run().await;
    }
    let writes = bench.writes();
    bench.partner.tell_again();
    bench.dynamics.tell_again();
    bench.run().await;
    prop_assert_eq!(bench.writes(), writes, "told again, something is written");
    prop_assert_eq!(bench.letters().await, vec![]);
    let (referrals, opportunities) = (bench.partner.records(), bench.dynamics.records());
    let mut named = std::collections::BTreeSet::new();
    for (id, opportunity) in &opportunities {
        let referral = opportunity["msft_microsoftpartnercenterreferralidentifier"].as_str();
        prop_assert!(referral.is_some_and(|referral| referrals.contains_key(referral)), "{} has no referral", id);
        prop_assert!(named.insert(referral), "two opportunities of one referral");
    }
    for (id, referral) in &referrals {
        let closed = referral["status"] == json!("Closed");
        let Some(opportunity) =
            opportunities.values().find(|opportunity| opportunity["msft_microsoftpartnercenterreferralidentifier"] == json!(id))
        else {
            prop_assert!(closed, "{} has no opportunity", id);
            continue;
        };
        if closed {
            continue;
        }
        prop_assert_eq!(&referral["externalReferenceId"], &opportunity["opportunityid"]);
        prop_assert_eq!(&referral["name"], &opportunity["name"]);
        prop_assert_eq!(&referral["details"]["dealValue"], &opportunity["estimatedvalue"]);
        prop_assert_eq!(&referral["details"]["notes"], &opportunity["description"]);
    }
    Ok(())
}

#[test]
fn whatever_happens_both_sides_agree_in_the_end_with_one_referral_for_each_opportunity() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let histories = proptest::collection::vec(event(), 1..16);
    let result = TestRunner::new(config).run(&histories, |history| {
        runtime.block_on(async {
            let bench = Bench::new();
            for event in &history {
                happens(&bench, event).await;
            }
            at_rest(&bench).await
        })
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
