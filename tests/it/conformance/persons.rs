//! What belongs to persons and to workflows: events, opt-outs, tombstones, wishes, names, the environment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use d365map::store::{
    Change, CursorMove, Environment, EventMark, EventResult, Fate, Flags, Mark, NewEvent, OptoutStage, Person, PersonEnd, Phase,
    PlannedWorkflow, Reason, RunKind, RunOutcome, Side, Sightings, StoreError, Stores, Wish, WorkflowIdentity, WorkflowNote, WorkflowState,
};
use d365map::system::SystemId;
use d365map::time::now;
use serde_json::json;

use super::{New, rules, wait};
use crate::state_support::{FLOW, Flow, failure, reject, tombstone, upsert};

const ADA: &str = "c0000000-0000-4000-8000-00000000000a";
const BOB: &str = "c0000000-0000-4000-8000-00000000000b";
const OPTOUTS: &str = "contacts.optout";
const EVENTS: &str = "email";

// --- persons who were forgotten ---------------------------------------------------------------------------------------------

fn a_forgotten_person_is_named_as_asked_for_and_is_not_stored_again_by_any_port(store: New) {
    let flow = Flow::in_delta(store);
    let stores = &flow.stores;
    wait(stores.privacy.forget(ADA)).unwrap();
    let upper = ADA.to_uppercase();
    let forgotten = wait(stores.privacy.forgotten_among(vec![BOB.to_owned(), upper.clone(), ADA.to_owned()])).unwrap();
    assert_eq!(forgotten, [upper, ADA.to_owned()].into());

    let outcome = flow.page(vec![upsert(ADA, &[("x", json!(1))]), reject(ADA), tombstone(ADA), upsert(BOB, &[("x", json!(1))])]);
    assert_eq!((outcome.upserts_queued, outcome.backlog), (1, 1));
    assert!(wait(stores.dead_letters.dead_letters(&Default::default(), 0, 10)).unwrap().is_empty());
    let taken = wait(stores.events.take_events(EVENTS, vec![event(1, ADA), event(2, BOB)], EventMark::None)).unwrap();
    assert_eq!((taken.new, taken.forgotten), (1, 1));
    wait(stores.optouts.keep_optouts(FLOW, OPTOUTS, ADA, Flags::of(1), Box::new(|_| (owed(Flags::of(1)), true)))).unwrap();
    assert_eq!(wait(stores.optouts.optouts(OPTOUTS, "", 10)).unwrap(), []);

    assert!(wait(stores.privacy.lift_tombstone(ADA)).unwrap());
    assert!(!wait(stores.privacy.lift_tombstone(ADA)).unwrap(), "there is none any more");
    assert_eq!(flow.page(vec![upsert(ADA, &[("x", json!(1))])]).upserts_queued, 1);
}

fn a_person_is_not_forgotten_while_a_worker_has_the_record_in_its_hands(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert(ADA, &[("x", json!(1))])]);
    let op = flow.claim_one();
    assert!(matches!(wait(flow.stores.privacy.forget(ADA)), Err(StoreError::InFlight { .. })));
    flow.settle(vec![op.written(true)]);
    wait(flow.stores.privacy.forget(ADA)).unwrap();
    assert!(wait(flow.stores.ledger.keys_of(FLOW, ADA)).unwrap().is_empty());
}

// --- events -----------------------------------------------------------------------------------------------------------------

fn event(n: u32, contact: &str) -> NewEvent {
    NewEvent {
        activity: format!("a0000000-0000-4000-8000-{n:012}"),
        contact: contact.to_owned(),
        kind: "send".to_owned(),
        log_key: None,
        value_key: format!("event {n}"),
        payload: "{}".to_owned(),
    }
}

fn link(to: &str) -> EventMark {
    EventMark::Journal { link: Some(to.to_owned()), span: None, quiet_until: None }
}

fn an_event_is_stored_once_and_the_mark_moves_with_it(store: New) {
    let flow = Flow::new(store);
    let events = &flow.stores.events;
    let taken = wait(events.take_events(EVENTS, vec![event(1, ADA), event(2, BOB), event(1, ADA)], link("second"))).unwrap();
    assert_eq!((taken.new, taken.known, taken.backlog), (2, 1, 2));
    assert_eq!(wait(events.journal_cursor(EVENTS)).unwrap().link.as_deref(), Some("second"));
    assert_eq!(wait(events.unseen_events(EVENTS, vec![event(1, ADA), event(3, ADA)])).unwrap(), [false, true]);
    let taken = wait(events.take_events(EVENTS, vec![event(2, BOB), event(3, ADA)], link("third"))).unwrap();
    assert_eq!((taken.new, taken.known, taken.backlog), (1, 1, 3));

    assert!(wait(events.note_event_gap(EVENTS)).unwrap().is_some());
    assert!(wait(events.note_event_gap(EVENTS)).unwrap().is_none(), "it is the same gap");
    assert_eq!(wait(events.journal_cursor(EVENTS)).unwrap().link, None);
    assert_eq!(wait(events.event_gaps(EVENTS)).unwrap().len(), 1);
}

fn events_wait_in_their_order_until_they_are_settled_and_a_failed_one_until_its_retry(store: New) {
    let flow = Flow::new(store);
    let (events, run) = (&flow.stores.events, flow.run);
    wait(events.take_events(EVENTS, (1..=4).map(|n| event(n, ADA)).collect(), EventMark::None)).unwrap();
    let waiting = || wait(events.waiting_events(EVENTS, &["send"], 0, 10)).unwrap();
    let seqs: Vec<i64> = waiting().iter().map(|event| event.seq).collect();
    assert!(seqs.is_sorted() && seqs.len() == 4);
    assert_eq!(wait(events.waiting_events(EVENTS, &["send"], seqs[1], 1)).unwrap()[0].seq, seqs[2]);
    assert!(wait(events.waiting_events(EVENTS, &["open"], 0, 10)).unwrap().is_empty());
    assert_eq!(wait(events.events_aside(EVENTS, &["open"])).unwrap(), 4);

    assert_eq!(wait(events.claim_events(run, EVENTS, &[seqs[0], 9999])).unwrap(), [seqs[0]]);
    assert!(matches!(wait(flow.stores.privacy.forget(ADA)), Err(StoreError::InFlight { .. })), "they are being written");
    wait(events.claim_events(run, EVENTS, &seqs)).unwrap();
    let results = [EventResult::Written, EventResult::Gone, EventResult::Failed(failure("refused")), EventResult::Later];
    wait(events.settle_events(run, EVENTS, seqs.iter().copied().zip(results).collect())).unwrap();
    assert_eq!(waiting().iter().map(|event| event.seq).collect::<Vec<_>>(), [seqs[3]]);
    assert_eq!(wait(events.unwritten_events_of(EVENTS, ADA)).unwrap().len(), 2, "the failed one is kept");

    assert_eq!(wait(flow.stores.dead_letters.retry_dead_letters(&Default::default())).unwrap(), 1);
    assert_eq!(wait(events.begin_events(EVENTS)).unwrap(), 1);
    assert_eq!(waiting().len(), 2);
}

// --- topics ------------------------------------------------------------------------------------------------------------------

const TOPICS: &str = "contacts.topics";

fn places(stores: &Stores, services: &[&str]) -> Vec<Flags> {
    let names = services.iter().map(|name| (*name).to_owned()).collect();
    wait(stores.optouts.begin_topics(TOPICS, &services.join(" "), names)).unwrap().2
}

fn a_service_keeps_its_place_and_a_profile_that_is_made_begins_without_the_topics_that_were_kept(store: New) {
    let flow = Flow::in_delta(store);
    let stores = &flow.stores;
    let of = places(stores, &["A", "B"]);
    assert_eq!(places(stores, &["C", "B"])[1], of[1]);
    assert_eq!(places(stores, &["A", "B"]), of);
    let kept = of[1];
    wait(stores.optouts.keep_topics(TOPICS, ADA, Box::new(move |_| (None, kept)))).unwrap();
    for (id, created) in [(ADA, true), (BOB, false)] {
        let Change::Upsert { payload, .. } = upsert(id, &[("x", json!(1))]) else { panic!("an upsert") };
        flow.page(vec![Change::Upsert { source_id: id.into(), key: id.into(), payload }]);
        let op = flow.claim_one();
        flow.settle(vec![op.written(created)]);
    }
    let persons = wait(stores.optouts.optouts(TOPICS, "", 10)).unwrap();
    let shown: Vec<_> =
        persons.iter().map(|(id, person)| (id.as_str(), person.look, person.newborn.has(of[0]), person.newborn.has(of[1]))).collect();
    assert_eq!(shown, [(ADA, true, true, false), (BOB, true, false, false)]);
    // What was kept is used up.
    wait(stores.optouts.keep_topics(TOPICS, ADA, Box::new(|known| (known, Flags::NONE)))).unwrap();
}

// --- opt-outs ---------------------------------------------------------------------------------------------------------------

fn owed(flags: Flags) -> Person {
    Person { owed: flags, ..Person::default() }
}

/// A page of contacts, each with what it is owed.
fn contacts(stores: &Stores, sights: Vec<(&str, Flags)>, to: CursorMove) -> d365map::store::OptoutIntake {
    let from = wait(stores.optouts.begin_optouts(OPTOUTS, "pairs")).unwrap().1;
    let sights = sights.into_iter().map(|(id, flags)| (id.to_owned(), flags)).collect();
    let sightings = Sightings::new(sights, |_, flags| Fate::Keep { person: Box::new(owed(flags)), due: true });
    wait(stores.optouts.store_optouts(OPTOUTS, sightings, Mark::Contacts { from, to })).unwrap()
}

/// Both sides were read in full, and the work has begun.
fn live(stores: &Stores) {
    wait(stores.optouts.end_poll(OPTOUTS, now(), true, None)).unwrap();
    wait(stores.optouts.set_optout_stage(OPTOUTS, OptoutStage::Live, None)).unwrap();
}

fn a_rule_is_shown_each_person_once_in_order_with_what_is_known_and_no_forgotten_one(store: New) {
    let flow = Flow::new(store);
    let stores = &flow.stores;
    contacts(stores, vec![(ADA, Flags::of(1))], CursorMove::Next("next".to_owned()));
    wait(stores.privacy.forget(BOB)).unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = shown.clone();
    let sights = vec![("new".to_owned(), 1), (BOB.to_owned(), 2), (ADA.to_owned(), 3), ("new".to_owned(), 4)];
    let sightings = Sightings::new(sights, move |known: Option<Person>, sight: i32| {
        seen.lock().unwrap().push((sight, known.map(|person| person.owed)));
        Fate::Keep { person: Box::new(owed(Flags::of(2))), due: false }
    });
    let intake = wait(stores.optouts.store_optouts(OPTOUTS, sightings, Mark::Profiles)).unwrap();
    assert_eq!((intake.records, intake.forgotten), (4, 1));
    assert_eq!(*shown.lock().unwrap(), [(1, None), (3, Some(Flags::of(1))), (4, Some(Flags::of(2)))], "what came before is known");
}

fn contacts_that_were_read_from_an_old_cursor_change_nothing(store: New) {
    let flow = Flow::new(store);
    let stores = &flow.stores;
    let from = wait(stores.optouts.begin_optouts(OPTOUTS, "pairs")).unwrap().1;
    contacts(stores, vec![], CursorMove::Next("next".to_owned()));
    let sightings = Sightings::new(vec![(ADA.to_owned(), ())], |_, ()| Fate::Keep { person: Box::new(owed(Flags::of(1))), due: true });
    let mark = Mark::Contacts { from, to: CursorMove::Next("elsewhere".to_owned()) };
    assert!(matches!(wait(stores.optouts.store_optouts(OPTOUTS, sightings, mark)), Err(StoreError::CursorMoved { .. })));
    assert_eq!(wait(stores.optouts.optouts(OPTOUTS, "", 10)).unwrap(), []);
    assert_eq!(wait(stores.cursors.cursor(OPTOUTS)).unwrap().unwrap().link.as_deref(), Some("next"));
}

fn a_person_is_queued_once_both_sides_were_read_and_keeps_what_it_was_given_while_a_worker_had_it(store: New) {
    let flow = Flow::new(store);
    let (stores, run) = (&flow.stores, flow.run);
    contacts(stores, vec![(ADA, Flags::of(1)), (BOB, Flags::NONE)], CursorMove::Next("next".to_owned()));
    assert!(wait(stores.optouts.claim_optouts(run, OPTOUTS, 10, now())).unwrap().is_empty(), "the first reading is not over");
    live(stores);
    let due = Box::new(|person: &Person| !person.owed.is_empty());
    assert_eq!(wait(stores.optouts.queue_optouts(OPTOUTS, "", 10, false, due)).unwrap(), (Some(BOB.to_owned()), 1));

    let claimed = wait(stores.optouts.claim_optouts(run, OPTOUTS, 10, now())).unwrap();
    assert_eq!((claimed.len(), claimed[0].id.as_str()), (1, ADA));
    assert!(wait(stores.optouts.note_intent(OPTOUTS, ADA, &owed(Flags::of(1)))).unwrap());
    assert!(!wait(stores.optouts.note_intent(OPTOUTS, "nobody", &Person::default())).unwrap());
    // A mapping deletes the profile meanwhile, which had another opt-out.
    let after = |known: Option<Person>| (owed(known.unwrap_or_default().owed | Flags::of(2)), true);
    wait(stores.optouts.keep_optouts(FLOW, OPTOUTS, ADA, Flags::of(2), Box::new(after))).unwrap();
    let end = (claimed[0].seq, Flags::of(1), PersonEnd::Done(Person::default()));
    wait(stores.optouts.settle_optouts(run, OPTOUTS, vec![end])).unwrap();
    let known = wait(stores.optouts.optouts(OPTOUTS, "", 1)).unwrap();
    assert_eq!(known[0].1.owed, Flags::of(2), "the first is done, the second is not");
    assert_eq!(wait(stores.optouts.claim_optouts(run, OPTOUTS, 10, now())).unwrap().len(), 1);
}

// --- workflows --------------------------------------------------------------------------------------------------------------

fn planned(name: &str, source: &str) -> PlannedWorkflow {
    let identity = WorkflowIdentity {
        kind: "mapping".to_owned(),
        source: source.to_owned(),
        target: "profile".to_owned(),
        key: "externalId".to_owned(),
    };
    PlannedWorkflow { name: name.to_owned(), identity, runs: true }
}

fn a_wish_is_news_once_and_a_replay_that_was_asked_for_is_taken_once(store: New) {
    let flow = Flow::in_delta(store);
    let control = &flow.stores.control;
    let names = [FLOW.to_owned()];
    wait(control.note_workflow(FLOW, &WorkflowNote::Round)).unwrap();
    assert_eq!(wait(control.wish(&names, Wish::Stop, false)).unwrap(), names);
    assert_eq!(wait(control.wish(&names, Wish::Stop, false)).unwrap(), [""; 0]);
    assert_eq!(wait(control.workflows()).unwrap()[0].wish, Wish::Stop);

    assert_eq!(wait(control.take_replay(FLOW, "plan-1")).unwrap(), None);
    wait(control.request_replay(FLOW)).unwrap();
    assert_eq!(wait(control.take_replay(FLOW, "plan-1")).unwrap().unwrap().reason, Reason::Replay);
    assert_eq!(wait(control.take_replay(FLOW, "plan-1")).unwrap(), None);
}

fn states_of_workflows_are_noted_as_of_their_instants(store: New) {
    let flow = Flow::new(store);
    let control = &flow.stores.control;
    let at = now() - Duration::from_secs(600);
    let failed = WorkflowNote::Failed { reason: "the disk was full".to_owned(), next: None };
    wait(control.note_workflows(&[(FLOW.to_owned(), WorkflowNote::Round, at), (FLOW.to_owned(), failed, at)])).unwrap();
    let record = wait(control.workflows()).unwrap().remove(0);
    assert_eq!((record.state, record.last_error.as_deref()), (WorkflowState::Failed, Some("the disk was full")));
}

fn a_workflow_that_was_renamed_is_recognized_and_keeps_what_it_had(store: New) {
    let flow = Flow::in_delta(store);
    let control = &flow.stores.control;
    wait(control.recognize_workflows(&[planned(FLOW, "d365.contact")], &[])).unwrap();
    flow.write_all(vec![upsert(ADA, &[("x", json!(1))])]);
    wait(flow.stores.runs.end_run(flow.run, RunOutcome::Completed, json!({}))).unwrap();
    let found = wait(control.find_workflows(&[planned("people", "d365.contact")])).unwrap();
    assert_eq!(found.name_in_state("people"), FLOW, "and nothing has changed");
    let found = wait(control.recognize_workflows(&[planned("people", "d365.contact")], &[])).unwrap();
    assert_eq!((found.renamed[0].from.as_str(), found.renamed[0].to.as_str()), (FLOW, "people"));
    assert_eq!(wait(flow.stores.ledger.keys_of("people", ADA)).unwrap(), [format!("K-{ADA}")]);
    assert!(wait(flow.stores.cursors.cursor(FLOW)).unwrap().is_none());
    assert_eq!(wait(control.origin("people")).unwrap(), FLOW);
}

fn a_store_belongs_to_one_environment(store: New) {
    let environment = |organization: &str| {
        let address = "https://contoso.crm4.dynamics.com".to_owned();
        Environment([(SystemId::D365, Side { address, organization: Some(organization.to_owned()) })].into())
    };
    let flow = Flow::new(store);
    let control = &flow.stores.control;
    assert!(!control.is_bound() && wait(control.environment()).unwrap().is_empty());
    wait(control.bind_environment(&environment("one"))).unwrap();
    assert!(control.is_bound());
    wait(control.check_environment(&environment("one"))).unwrap();
    for refused in [wait(control.check_environment(&environment("two"))), wait(control.bind_environment(&environment("two")))] {
        assert!(matches!(refused, Err(StoreError::OtherEnvironment { .. })));
    }
    assert_eq!(wait(control.environment()).unwrap(), environment("one").0);
}

fn a_workflow_that_is_dropped_is_gone_and_says_what_was_held_of_it(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert(ADA, &[("x", json!(1))])]);
    flow.page(vec![upsert(BOB, &[("x", json!(1))]), reject(ADA)]);
    let control = &flow.stores.control;
    let dropped = wait(control.drop_workflow(FLOW)).unwrap();
    assert_eq!((dropped.name.as_str(), dropped.records, dropped.backlog, dropped.dead_letters), (FLOW, 1, 1, 1));
    assert_eq!(wait(control.known_workflows()).unwrap(), []);
    assert!(wait(flow.stores.cursors.cursor(FLOW)).unwrap().is_none());
    assert!(matches!(wait(control.drop_workflow(FLOW)), Err(StoreError::UnknownWorkflow { .. })));
}

fn a_store_that_moves_to_another_organization_reads_all_records_again_and_keeps_the_opt_outs_of_the_same_data(store: New) {
    let environment = |address: &str, organization: &str| {
        let side = Side { address: format!("https://{address}.crm4.dynamics.com"), organization: Some(organization.to_owned()) };
        Environment([(SystemId::D365, side)].into())
    };
    let flow = Flow::in_delta(store);
    let (control, optouts) = (&flow.stores.control, &flow.stores.optouts);
    wait(control.bind_environment(&environment("contoso", "one"))).unwrap();
    wait(optouts.keep_optouts(FLOW, OPTOUTS, ADA, Flags::of(1), Box::new(|_| (owed(Flags::of(1)), true)))).unwrap();

    assert_eq!(wait(control.rebind_environment(&environment("contoso", "two"), true)).unwrap(), [SystemId::D365]);
    assert_eq!(wait(control.environment()).unwrap(), environment("contoso", "two").0);
    assert_eq!(wait(flow.stores.cursors.cursor(FLOW)).unwrap().unwrap().phase, Phase::Full);
    assert_eq!(wait(optouts.optouts(OPTOUTS, "", 10)).unwrap().len(), 1, "the records are the same");

    assert_eq!(wait(control.rebind_environment(&environment("contoso", "two"), false)).unwrap(), []);
    assert_eq!(wait(control.rebind_environment(&environment("contoso", "three"), false)).unwrap(), [SystemId::D365]);
    assert_eq!(wait(optouts.optouts(OPTOUTS, "", 10)).unwrap(), []);
}

fn what_each_api_was_sent_on_a_day_never_shrinks_and_old_days_are_forgotten(store: New) {
    let mut store = store();
    let stores = store.open();
    let note = |api: &str, day, spent| wait(stores.usage.note_usage(&[(api.to_owned(), day, spent)])).unwrap();
    note("dataverse", 100, 5);
    note("dataverse", 100, 9);
    note("dataverse", 100, 7);
    note("campaign", 100, 1);
    note("campaign", 101, 2);
    let spent = |pairs: &[(&str, u64)]| pairs.iter().map(|(api, spent)| ((*api).to_owned(), *spent)).collect();
    assert_eq!(wait(stores.usage.usage(100)).unwrap(), spent(&[("campaign", 1), ("dataverse", 9)]));
    assert_eq!(wait(stores.usage.usage(101)).unwrap(), spent(&[("campaign", 2)]));
    note("campaign", 140, 1);
    assert_eq!(wait(stores.usage.usage(100)).unwrap(), spent(&[]));
}

// --- runs and copies --------------------------------------------------------------------------------------------------------

fn what_a_dead_run_had_rests_for_as_long_as_its_requests_may_live(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert(ADA, &[("x", json!(1))])]);
    flow.claim_one();
    let flow = flow.after_a_crash(Duration::from_secs(120));
    assert!(flow.claim(10).is_empty());
    assert!(flow.claim_at(10, now() + Duration::from_secs(110)).is_empty());
    assert!(flow.claim_at(10, now() + Duration::from_secs(121))[0].uncertain);
}

fn what_is_done_to_a_copy_leaves_the_store_alone(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert(ADA, &[("x", json!(1))])]);
    let copy = wait(flow.stores.previews.copy_of_mapping(FLOW)).unwrap();
    let since = wait(copy.previews.last_change()).unwrap();
    let (run, _) = wait(copy.runs.start_run(RunKind::Once, &[FLOW.to_owned()], Duration::ZERO)).unwrap();
    let from = wait(copy.cursors.cursor_or_first(FLOW, "plan-1")).unwrap();
    assert_eq!(from, flow.cursor());
    let page = d365map::store::PageCommit {
        run,
        mapping: FLOW.to_owned(),
        from,
        changes: vec![upsert(ADA, &[("x", json!(2))]), upsert(BOB, &[("x", json!(1))])],
        rewrite: false,
        times: d365map::store::PageTimes::default(),
        guard: None,
        to: CursorMove::Next("next".to_owned()),
    };
    assert_eq!(wait(copy.cursors.commit_page(page)).unwrap().upserts_queued, 2);
    let mut queued = Vec::new();
    loop {
        let part = wait(copy.previews.take_queued(FLOW, since, true)).unwrap();
        if part.is_empty() {
            break;
        }
        queued.extend(part.into_iter().map(|change| change.key));
    }
    assert_eq!(queued, [format!("K-{ADA}"), format!("K-{BOB}")]);
    assert_eq!((flow.backlog(), flow.cursor().link.as_deref()), (0, Some("next")));
    let keys = wait(flow.stores.ledger.keys_of(FLOW, BOB)).unwrap();
    assert!(keys.is_empty());
}

rules![
    a_forgotten_person_is_named_as_asked_for_and_is_not_stored_again_by_any_port,
    a_person_is_not_forgotten_while_a_worker_has_the_record_in_its_hands,
    an_event_is_stored_once_and_the_mark_moves_with_it,
    events_wait_in_their_order_until_they_are_settled_and_a_failed_one_until_its_retry,
    a_rule_is_shown_each_person_once_in_order_with_what_is_known_and_no_forgotten_one,
    contacts_that_were_read_from_an_old_cursor_change_nothing,
    a_person_is_queued_once_both_sides_were_read_and_keeps_what_it_was_given_while_a_worker_had_it,
    a_service_keeps_its_place_and_a_profile_that_is_made_begins_without_the_topics_that_were_kept,
    a_wish_is_news_once_and_a_replay_that_was_asked_for_is_taken_once,
    states_of_workflows_are_noted_as_of_their_instants,
    a_workflow_that_was_renamed_is_recognized_and_keeps_what_it_had,
    a_store_belongs_to_one_environment,
    a_workflow_that_is_dropped_is_gone_and_says_what_was_held_of_it,
    a_store_that_moves_to_another_organization_reads_all_records_again_and_keeps_the_opt_outs_of_the_same_data,
    what_each_api_was_sent_on_a_day_never_shrinks_and_old_days_are_forgotten,
    what_a_dead_run_had_rests_for_as_long_as_its_requests_may_live,
    what_is_done_to_a_copy_leaves_the_store_alone,
];
