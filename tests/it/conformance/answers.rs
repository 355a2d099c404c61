//! Answers, crashes, dead letters and leases.

use std::time::Duration;

use d365map::store::{
    Change, Claim, Comparison, CursorMove, DeadLetterFilter, PageCommit, PageTimes, Partition, RefetchOutcome, RunOutcome, StoreError,
    Unseen, Work,
};
use d365map::time::now;
use serde_json::json;

use super::{New, rules, wait};
use crate::state_support::{FLOW, Flow, dead_letters, failure, field, filtered_out, payload, reject, sent, tombstone, upsert};

// --- after a crash ----------------------------------------------------------------------------------------------------------

fn what_a_dead_run_had_in_its_hands_waits_again_and_must_be_looked_at_before_it_is_written(store: New) {
    let flow = Flow::new(store);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim(1)[0].written(true)]);
    flow.page(vec![upsert("a", &[("x", json!(2)), ("y", json!(1))])]);
    let in_hand = flow.claim(2);
    assert_eq!(in_hand.iter().map(|op| op.uncertain).collect::<Vec<_>>(), [false, false]);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    let dead_run = flow.run;
    // The process dies with both sent and no answer seen.
    let flow = flow.after_a_crash(Duration::ZERO);
    assert_eq!((flow.recovery.interrupted_runs, flow.recovery.recovered_operations), (1, 2));
    assert_eq!(flow.backlog(), 2);
    let ops = flow.claim(10);
    let a = ops.iter().find(|op| op.key == "K-a").unwrap();
    assert!(ops.iter().all(|op| op.uncertain));
    assert_eq!(sent(a, false), [field("x", "1"), field("y", "1")], "the ledger says 1, but 2 may be there");
    assert_eq!(
        wait(flow.stores.outbox.settle(dead_run, in_hand.iter().map(|op| op.released()).collect())).unwrap().stale,
        2,
        "an answer to the dead run's claim"
    );
    flow.settle(ops.iter().map(|op| op.written(false)).collect());
    assert_eq!(flow.backlog(), 0);
    let runs = wait(flow.stores.runs.runs(10)).unwrap();
    assert_eq!((runs.len(), runs[1].outcome), (2, Some(RunOutcome::Interrupted)));
}

fn an_answer_that_was_not_seen_makes_the_next_attempt_uncertain(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim_one().retry(now(), "the connection broke", true)]);
    let op = flow.claim_one();
    assert!(op.uncertain && op.attempts == 1);
}

fn a_write_given_up_with_its_answer_unseen_is_found_by_a_deletion_and_distrusted_by_a_change(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    flow.settle(flow.claim(10).iter().map(|op| op.failed(failure("timeout"), true)).collect());
    assert_eq!(flow.page(vec![tombstone("b")]).deletes_queued, 1, "it may have been created");
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]).unchanged, 0);
    let op = flow.claim(10).into_iter().find(|op| op.key == "K-a").unwrap();
    assert!(op.uncertain);
    assert_eq!(sent(&op, false).len(), 2);
}

fn a_run_that_stops_in_order_gives_back_what_it_never_sent_without_doubt(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let ops = flow.claim(2);
    assert_eq!(flow.settle(vec![ops[0].released()]).released, 1);
    wait(flow.stores.runs.end_run(flow.run, RunOutcome::Stopped, json!({"read": 2}))).unwrap();
    let flow = flow.next_run();
    assert_eq!(flow.recovery.interrupted_runs, 0);
    assert_eq!(flow.claim(2).iter().map(|op| op.uncertain).collect::<Vec<_>>(), [false, true]);
    let record = &wait(flow.stores.runs.runs(2)).unwrap()[1];
    assert_eq!((record.outcome, &record.counters["read"]), (Some(RunOutcome::Stopped), &json!(2)));
}

fn an_answer_that_does_not_fit_its_operation_is_refused_and_nothing_of_its_batch_is_stored(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let ops = flow.claim(2);
    let refused = wait(flow.stores.outbox.settle(flow.run, vec![ops[0].written(true), ops[1].deleted()]));
    assert!(matches!(refused, Err(StoreError::Misfit { op: "upsert", result: "deleted", .. })));
    assert_eq!(flow.backlog(), 2);
    assert_eq!(flow.settle(vec![ops[0].written(true)]).created, 1);
}

// --- dead letters -----------------------------------------------------------------------------------------------------------

fn a_newer_failure_of_the_same_record_takes_the_place_of_the_older(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![reject("a"), reject("b")]);
    let id = dead_letters(&flow)[0].id;
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim_one().failed(failure("refused"), false)]);
    let letters = dead_letters(&flow);
    assert_eq!(letters.iter().map(|d| d.failure.code.as_str()).collect::<Vec<_>>(), ["refused", "too-long"]);
    assert_eq!((letters[0].id, letters[0].run, letters[0].attempts), (id, Some(flow.run), 1));
    assert_eq!(flow.backlog(), 0);
}

fn a_dead_letter_keeps_request_answer_and_mapping_line(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let told = d365map::store::Failure {
        code: "RST-360000".into(),
        message: "the value is too long".into(),
        field: Some("email".into()),
        place: Some(d365map::store::Place { file: "mappings/contacts.d365map".into(), line: 7, column: 3 }),
        request: Some("{\"x\":1}".into()),
        status: Some(400),
        response: Some("{\"error_code\":\"RST-360000\"}".into()),
    };
    flow.settle(vec![flow.claim_one().failed(told.clone(), false)]);
    let letter = wait(flow.stores.dead_letters.dead_letter(dead_letters(&flow)[0].id)).unwrap().unwrap();
    assert_eq!((letter.mapping.as_str(), letter.key.as_deref(), letter.source_id.as_str()), (FLOW, Some("K-a"), "a"));
    assert_eq!(letter.failure, told);
}

fn a_successful_write_or_deletion_or_a_return_to_the_written_state_clears_the_dead_letter(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("back", &[("x", json!(1))]), upsert("gone", &[("x", json!(1))])]);
    flow.page(["fixed", "back", "gone", "never written", "filtered"].map(reject).into());
    assert_eq!(dead_letters(&flow).len(), 5);
    flow.write_all(vec![
        upsert("fixed", &[("x", json!(1))]),
        upsert("back", &[("x", json!(1))]),
        tombstone("gone"),
        tombstone("never written"),
        filtered_out("filtered", false),
    ]);
    assert!(dead_letters(&flow).is_empty());
}

fn a_write_of_an_older_state_does_not_clear_the_dead_letter_of_a_newer(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    let op = flow.claim_one();
    assert_eq!(flow.settle(vec![op.written(true)]).dead_letters_cleared, 0);
    assert_eq!(dead_letters(&flow).len(), 1);
}

fn the_failure_of_an_older_state_does_not_hide_that_of_a_newer(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    flow.settle(vec![flow.claim_one().failed(failure("refused"), false)]);
    assert_eq!(dead_letters(&flow)[0].failure.code, "too-long");
}

fn a_retry_reads_the_record_again_and_its_success_clears_the_dead_letter(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![reject("a"), Change::Reject { source_id: "keyless".into(), key: None, failure: failure("no-key") }]);
    assert_eq!(wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::mapping(FLOW))).unwrap(), 2);
    assert_eq!(wait(flow.stores.control.status()).unwrap().mappings[0].retrying, 2);
    let ops = flow.claim(10);
    assert!(ops.iter().all(|op| matches!(op.work, Work::Refetch)) && ops.len() == 2);
    for op in ops {
        let id = op.source_id.clone();
        let outcome =
            wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, op.seq, upsert(&id, &[("x", json!(1))]), PageTimes::default(), false))
                .unwrap();
        assert!(matches!(outcome, RefetchOutcome::Applied(page) if page.upserts_queued == 1));
    }
    assert_eq!(dead_letters(&flow).len(), 2, "until it is written");
    flow.write_all(vec![]);
    assert!(dead_letters(&flow).is_empty());
    assert_eq!(flow.backlog(), 0);
}

fn a_refetch_passes_on_the_doubt_of_the_operation_whose_place_it_took(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    flow.settle(vec![flow.claim_one().retry(now(), "no answer", true)]);
    wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
    let refetch = flow.claim_one();
    wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, refetch.seq, reject("a"), PageTimes::default(), false)).unwrap();
    assert_eq!(flow.page(vec![tombstone("a")]).deletes_queued, 1, "the lost answer may have been a creation");
}

/// A field that a refetch leaves out (`@present`) keeps the value that waits, wherever the two meet.
fn a_refetch_keeps_the_waiting_value_of_a_field_that_it_leaves_out(store: New) {
    let queued = || {
        let flow = Flow::in_delta(store);
        flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
        flow.page(vec![upsert("a", &[("x", json!(2)), ("y", json!(2))])]);
        flow
    };
    let resolve = |flow: &Flow, seq, change| {
        wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, seq, change, PageTimes::default(), false)).unwrap()
    };
    let written = |flow: &Flow, expected: &[(&str, &str)]| {
        let expected: Vec<_> = expected.iter().map(|(path, json)| field(path, json)).collect();
        assert_eq!(sent(&flow.claim_one(), false), expected);
    };
    let refetch = |flow: &Flow| {
        flow.page(vec![Change::Reject { source_id: "a".into(), key: Some("K-a".into()), failure: failure("x") }]);
        wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
    };

    // The refetch takes the place of what waits, and is resolved.
    let flow = queued();
    refetch(&flow);
    let op = flow.claim_one();
    assert!(matches!(op.work, Work::Refetch), "{op:?}");
    assert!(matches!(resolve(&flow, op.seq, upsert("a", &[("y", json!(3))])), RefetchOutcome::Applied(_)));
    written(&flow, &[("x", "2"), ("y", "3")]);

    // A page comes while it waits, or while it is under way.
    for claimed in [false, true] {
        let flow = queued();
        refetch(&flow);
        let op = claimed.then(|| flow.claim_one());
        flow.page(vec![upsert("a", &[("y", json!(4))])]);
        if let Some(op) = op {
            assert_eq!(resolve(&flow, op.seq, upsert("a", &[("y", json!(3))])), RefetchOutcome::Superseded);
        }
        written(&flow, &[("x", "2"), ("y", "4")]);
    }

    // What is in progress is postponed while a refetch waits.
    let flow = queued();
    let op = flow.claim_one();
    refetch(&flow);
    flow.settle(vec![op.released()]);
    let op = flow.claim_one();
    assert!(matches!(op.work, Work::Refetch), "{op:?}");
    assert!(matches!(resolve(&flow, op.seq, upsert("a", &[("y", json!(3))])), RefetchOutcome::Applied(_)));
    written(&flow, &[("x", "2"), ("y", "3")]);

    // Of another source record nothing is kept, and a deletion ends it.
    let flow = queued();
    refetch(&flow);
    let Change::Upsert { payload, .. } = upsert("b", &[("y", json!(5))]) else { unreachable!() };
    flow.page(vec![Change::Upsert { source_id: "b".into(), key: "K-a".into(), payload }]);
    written(&flow, &[("y", "5")]);
}

fn a_retry_that_fails_again_is_a_dead_letter_again(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![reject("a")]);
    wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
    let op = flow.claim_one();
    wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, op.seq, reject("a"), PageTimes::default(), false)).unwrap();
    assert!(dead_letters(&flow)[0].retry_requested_at.is_none());
    wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
    flow.settle(vec![flow.claim_one().failed(failure("source-refused"), false)]);
    assert_eq!(dead_letters(&flow)[0].failure.code, "source-refused");
    assert_eq!(flow.backlog(), 0);
}

fn a_refetch_never_overwrites_a_change_that_came_while_it_was_under_way(store: New) {
    for key in [Some("K-a".to_owned()), None] {
        let flow = Flow::in_delta(store);
        flow.page(vec![Change::Reject { source_id: "a".into(), key, failure: failure("too-long") }]);
        wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
        let op = flow.claim_one();
        flow.page(vec![upsert("a", &[("x", json!("newer"))])]);
        for newer in flow.claim(10) {
            flow.settle(vec![newer.written(true)]);
        }
        let late = wait(flow.stores.outbox.resolve_refetch(
            flow.run,
            FLOW,
            op.seq,
            upsert("a", &[("x", json!("older"))]),
            PageTimes::default(),
            false,
        ))
        .unwrap();
        assert_eq!(late, RefetchOutcome::Superseded);
        flow.write_all(vec![]);
        assert_eq!(
            wait(flow.stores.ledger.compare(FLOW, "K-a", &payload(&[("x", json!("newer"))]), false)).unwrap(),
            Comparison::Unchanged
        );
        assert!(dead_letters(&flow).is_empty());
        assert_eq!(
            wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, op.seq, tombstone("a"), PageTimes::default(), false)).unwrap(),
            RefetchOutcome::Stale
        );
    }
}

fn a_record_whose_initial_load_failed_is_still_owed_its_initial_fields(store: New) {
    let flow = Flow::new(store);
    flow.end_of_load(vec![reject("changed"), reject("retried")], Unseen::Keep);
    flow.page(vec![upsert("changed", &[("@i", json!(1))])]);
    wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter { code: Some("too-long".into()), ..DeadLetterFilter::default() }))
        .unwrap();
    for op in flow.claim(10) {
        assert!(op.with_initial, "{op:?}");
    }
}

fn a_dropped_dead_letter_is_gone_and_the_others_stay(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![reject("a"), reject("b"), reject("c")]);
    let ids: Vec<_> = dead_letters(&flow).iter().map(|d| d.id).collect();
    assert_eq!(wait(flow.stores.dead_letters.drop_dead_letters(&DeadLetterFilter::ids([ids[1], 9999]))).unwrap(), 1);
    assert_eq!(dead_letters(&flow).iter().map(|d| d.id).collect::<Vec<_>>(), [ids[0], ids[2]]);
    assert_eq!(wait(flow.stores.dead_letters.drop_dead_letters(&DeadLetterFilter::mapping("other"))).unwrap(), 0);
    let page = wait(flow.stores.dead_letters.dead_letters(&DeadLetterFilter::default(), ids[0], 1)).unwrap();
    assert_eq!(page[0].id, ids[2], "listed page by page");
}

// --- leases ----------------------------------------------------------------------------------------------------------------

fn page_of(lease: &d365map::store::Lease, changes: Vec<Change>) -> PageCommit {
    PageCommit {
        run: lease.run,
        mapping: lease.partition.mapping.clone(),
        from: lease.cursor.clone(),
        changes,
        rewrite: false,
        times: PageTimes::default(),
        guard: None,
        to: CursorMove::Next("page 2".into()),
    }
}

fn a_store_gives_a_partition_to_one_reader_at_a_time_and_moves_on_at_the_checkpoint(store: New) {
    let flow = Flow::new(store);
    let cursors = flow.stores.cursors.clone();
    let part = Partition::of(FLOW);
    let Claim::Page(lease) = wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap() else { panic!("no page") };
    assert_eq!(lease.cursor.link, None);
    assert_eq!(wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap(), Claim::Taken);
    let page = page_of(&lease, vec![upsert("a", &[("x", json!(1))])]);
    assert_eq!(wait(cursors.checkpoint(lease, page)).unwrap().backlog, 1);
    let Claim::Page(lease) = wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap() else { panic!("no page") };
    assert_eq!(lease.cursor.link.as_deref(), Some("page 2"));
    assert!(wait(cursors.partitions()).unwrap()[0].leased);
}

fn a_rescheduled_page_is_given_out_again_at_its_time_and_a_cancelled_flow_not_in_this_run(store: New) {
    let flow = Flow::new(store);
    let cursors = flow.stores.cursors.clone();
    let part = Partition::of(FLOW);
    let Claim::Page(lease) = wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap() else { panic!("no page") };
    let later = now() + Duration::from_secs(300);
    wait(cursors.reschedule(lease, later, "503 Service Unavailable")).unwrap();
    assert!(matches!(wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap(), Claim::Later(_)));
    let Claim::Page(lease) = wait(cursors.claim_page(flow.run, &part, "plan-1", later)).unwrap() else { panic!("no page") };
    assert_eq!(lease.attempts, 1);
    assert_eq!(wait(cursors.partitions()).unwrap()[0].last_error.as_deref(), Some("503 Service Unavailable"));

    wait(cursors.cancel(&part)).unwrap();
    let page = page_of(&lease, vec![]);
    wait(cursors.checkpoint(lease, page)).unwrap();
    assert_eq!(wait(cursors.claim_page(flow.run, &part, "plan-1", later)).unwrap(), Claim::Cancelled);
    let next = flow.next_run();
    assert!(matches!(wait(cursors.claim_page(next.run, &part, "plan-1", later)).unwrap(), Claim::Page(_)));
}

fn the_lease_of_a_dead_run_ends_with_it(store: New) {
    let flow = Flow::new(store);
    let cursors = flow.stores.cursors.clone();
    let part = Partition::of(FLOW);
    assert!(matches!(wait(cursors.claim_page(flow.run, &part, "plan-1", now())).unwrap(), Claim::Page(_)));
    let next = flow.next_run();
    assert!(matches!(wait(cursors.claim_page(next.run, &part, "plan-1", now())).unwrap(), Claim::Page(_)));
}

fn what_a_round_could_not_give_back_is_freed_before_the_next_and_counts_as_uncertain(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("1", &[("name", json!("A"))])]);
    let lost = flow.claim_one();
    assert!(flow.claim(10).is_empty(), "it is in somebody's hands");
    assert_eq!(wait(flow.stores.runs.free_flow(FLOW)).unwrap(), 1);
    let again = flow.claim_one();
    assert!(again.uncertain && again.key == lost.key && !lost.uncertain);
    assert_eq!(wait(flow.stores.runs.free_flow("another")).unwrap(), 0);
}

rules![
    what_a_dead_run_had_in_its_hands_waits_again_and_must_be_looked_at_before_it_is_written,
    an_answer_that_was_not_seen_makes_the_next_attempt_uncertain,
    a_write_given_up_with_its_answer_unseen_is_found_by_a_deletion_and_distrusted_by_a_change,
    a_run_that_stops_in_order_gives_back_what_it_never_sent_without_doubt,
    an_answer_that_does_not_fit_its_operation_is_refused_and_nothing_of_its_batch_is_stored,
    a_newer_failure_of_the_same_record_takes_the_place_of_the_older,
    a_dead_letter_keeps_request_answer_and_mapping_line,
    a_successful_write_or_deletion_or_a_return_to_the_written_state_clears_the_dead_letter,
    a_write_of_an_older_state_does_not_clear_the_dead_letter_of_a_newer,
    the_failure_of_an_older_state_does_not_hide_that_of_a_newer,
    a_retry_reads_the_record_again_and_its_success_clears_the_dead_letter,
    a_refetch_passes_on_the_doubt_of_the_operation_whose_place_it_took,
    a_refetch_keeps_the_waiting_value_of_a_field_that_it_leaves_out,
    a_retry_that_fails_again_is_a_dead_letter_again,
    a_refetch_never_overwrites_a_change_that_came_while_it_was_under_way,
    a_record_whose_initial_load_failed_is_still_owed_its_initial_fields,
    a_dropped_dead_letter_is_gone_and_the_others_stay,
    a_store_gives_a_partition_to_one_reader_at_a_time_and_moves_on_at_the_checkpoint,
    a_rescheduled_page_is_given_out_again_at_its_time_and_a_cancelled_flow_not_in_this_run,
    the_lease_of_a_dead_run_ends_with_it,
    what_a_round_could_not_give_back_is_freed_before_the_next_and_counts_as_uncertain,
];
