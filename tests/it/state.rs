//! The rules of the durable state, one by one.

use std::time::Duration;

use d365map::state::{
    Change, Claim, Comparison, CursorMove, DeadLetterFilter, PageCommit, Partition, Phase, Reason, RefetchOutcome, RunKind, RunOutcome,
    StateError, Store, Unseen, Work,
};
use d365map::store::Stores;
use d365map::time::now;
use serde_json::json;

use crate::state_support::{FLOW, Flow, failure, field, filtered_out, payload, reject, sent, temp_file, tombstone, upsert};

// --- pages and cursors -------------------------------------------------------------------------------------------------

#[test]
fn a_page_read_from_an_old_cursor_changes_nothing_at_all() {
    let flow = Flow::on(Store::in_memory().unwrap());
    let old = flow.cursor();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let late = PageCommit {
        run: flow.run,
        mapping: FLOW.into(),
        from: old,
        changes: vec![upsert("b", &[("x", json!(1))]), reject("c")],
        rewrite: false,
        times: d365map::state::PageTimes::default(),
        guard: None,
        to: CursorMove::Next("elsewhere".into()),
    };
    assert!(matches!(flow.store.commit_page(late), Err(StateError::CursorMoved { .. })));
    assert_eq!(flow.backlog(), 1);
    assert_eq!(flow.cursor().link.as_deref(), Some("next"));
    assert!(flow.store.dead_letters(&DeadLetterFilter::default(), 0, 10).unwrap().is_empty());
}

#[test]
fn a_flow_begins_with_a_full_load_and_goes_on_with_deltas_and_keeps_its_link_when_none_comes() {
    let flow = Flow::on(Store::in_memory().unwrap());
    assert_eq!((flow.cursor().phase, flow.cursor().reason, flow.cursor().link), (Phase::Full, Reason::First, None));
    assert!(flow.cursor().with_initial());
    flow.end_of_load(vec![], Unseen::Keep);
    assert_eq!((flow.cursor().phase, flow.cursor().link.as_deref()), (Phase::Delta, Some("delta")));
    assert!(!flow.cursor().with_initial());
    flow.commit(vec![], CursorMove::RoundEnd { link: None, unseen: Unseen::Keep });
    assert_eq!((flow.cursor().phase, flow.cursor().link.as_deref()), (Phase::Delta, Some("delta")));
}

#[test]
fn a_source_without_change_tracking_is_read_in_full_again_and_again() {
    let flow = Flow::on(Store::in_memory().unwrap());
    flow.commit(vec![], CursorMove::RoundEnd { link: None, unseen: Unseen::Keep });
    let cursor = flow.cursor();
    assert_eq!((cursor.phase, cursor.reason, cursor.link, cursor.generation), (Phase::Full, Reason::Resync, None, 2));
}

#[test]
fn an_expired_link_restarts_the_load_and_an_unfinished_first_load_stays_a_first_load() {
    let flow = Flow::on(Store::in_memory().unwrap());
    let resync = || CursorMove::Restart { reason: Reason::Resync, plan_fingerprint: "plan-2".into() };
    flow.page(vec![]);
    flow.commit(vec![], resync());
    assert_eq!((flow.cursor().reason, flow.cursor().link, flow.cursor().generation), (Reason::First, None, 2));
    flow.end_of_load(vec![], Unseen::Keep);
    flow.commit(vec![], resync());
    assert_eq!((flow.cursor().phase, flow.cursor().reason, flow.cursor().generation), (Phase::Full, Reason::Resync, 3));
    assert!(!flow.cursor().with_initial());
    assert_eq!(flow.cursor().plan_fingerprint, "plan-2");
    assert_eq!(flow.store.reset_for_replay(FLOW, "plan-3").unwrap().reason, Reason::Replay);
}

// --- what is queued -------------------------------------------------------------------------------------------------------

#[test]
fn an_upsert_that_equals_the_last_write_is_not_queued() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!("1")), ("y", json!(null))])]);
    let outcome = flow.page(vec![upsert("a", &[("x", json!("1")), ("y", json!(null))])]);
    assert_eq!((outcome.unchanged, outcome.upserts_queued, outcome.backlog), (1, 0, 0));
    let outcome = flow.page(vec![upsert("a", &[("x", json!("1")), ("y", json!(""))])]);
    assert_eq!((outcome.unchanged, outcome.upserts_queued, outcome.backlog), (0, 1, 1));
    assert_eq!(sent(&flow.claim_one(), false), [field("y", "\"\"")]);
}

#[test]
fn an_upsert_that_equals_the_last_write_is_queued_while_an_older_value_waits_or_is_under_way() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1))])]).upserts_coalesced, 1);
    let back = flow.claim_one();
    assert!(sent(&back, false).is_empty(), "the target has 1 already");
    flow.settle(vec![back.written(false)]);

    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    let under_way = flow.claim_one();
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1))])]).upserts_queued, 1);
    flow.settle(vec![under_way.written(false)]);
    assert_eq!(sent(&flow.claim_one(), false), [field("x", "1")]);
}

#[test]
fn an_initial_field_goes_with_creation_first_load_and_replay_and_not_with_an_increment() {
    let flow = Flow::on(Store::in_memory().unwrap());
    flow.page(vec![upsert("a", &[("x", json!(1)), ("@i", json!(1))])]);
    let first = flow.claim_one();
    assert!(first.with_initial);
    assert_eq!(sent(&first, false).len(), 2, "in the first load even where the record exists");
    flow.settle(vec![first.written(true)]);
    flow.end_of_load(vec![], Unseen::Keep);

    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1)), ("@i", json!(2))])]).unchanged, 1);
    flow.page(vec![upsert("a", &[("x", json!(2)), ("@i", json!(2))]), upsert("b", &[("x", json!(1)), ("@i", json!(1))])]);
    let ops = flow.claim(2);
    assert_eq!(sent(&ops[0], false), [field("x", "2")]);
    assert_eq!(sent(&ops[1], true), [field("x", "1"), field("i", "1")], "created by an increment");
    flow.settle(ops.iter().map(|op| op.written(!op.known)).collect());

    flow.store.reset_for_replay(FLOW, "plan-1").unwrap();
    flow.page(vec![upsert("a", &[("x", json!(2)), ("@i", json!(2))])]);
    assert_eq!(sent(&flow.claim_one(), false), [field("i", "2")]);
}

#[test]
fn a_rewriting_replay_sends_what_equals_the_last_write() {
    let mut flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    flow.store.reset_for_replay(FLOW, "plan-1").unwrap();
    flow.rewrite = true;
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1))])]).upserts_queued, 1);
    assert_eq!(sent(&flow.claim_one(), false), [field("x", "1")]);
}

#[test]
fn a_field_that_the_plan_has_gained_makes_a_record_changed() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    let now_with_y = [("y", json!(1)), ("x", json!(1))];
    assert_eq!(flow.store.compare(FLOW, "K-a", &payload(&now_with_y), false).unwrap(), Comparison::Changed(vec!["y".into()]));
    flow.page(vec![upsert("a", &now_with_y)]);
    assert_eq!(sent(&flow.claim_one(), false), [field("y", "1")]);
}

#[test]
fn a_partial_write_leaves_the_other_paths_known() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.write_all(vec![upsert("a", &[("x", json!(2))])]);
    assert_eq!(flow.store.compare(FLOW, "K-a", &payload(&[("x", json!(2)), ("y", json!(1))]), false).unwrap(), Comparison::Unchanged);
}

#[test]
fn a_record_created_anew_at_the_target_is_known_by_its_new_values_only() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    let op = flow.claim_one();
    assert!(op.known);
    flow.settle(vec![op.written(true)]);
    assert_eq!(flow.store.compare(FLOW, "K-a", &payload(&[("y", json!(1))]), false).unwrap(), Comparison::Changed(vec!["y".into()]));
}

#[test]
fn a_dry_run_compares_and_changes_nothing() {
    let flow = Flow::in_delta();
    assert_eq!(flow.store.compare(FLOW, "K-a", &payload(&[("x", json!(1))]), true).unwrap(), Comparison::New);
    assert_eq!(flow.store.compare("no such flow", "K-a", &payload(&[]), true).unwrap(), Comparison::New);
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("@i", json!(1))])]);
    let changed = payload(&[("x", json!(1)), ("@i", json!(2))]);
    assert_eq!(flow.store.compare(FLOW, "K-a", &changed, false).unwrap(), Comparison::Unchanged);
    assert_eq!(flow.store.compare(FLOW, "K-a", &changed, true).unwrap(), Comparison::Changed(vec!["i".into()]));
    assert_eq!(flow.store.keys_of(FLOW, "a").unwrap(), ["K-a"]);
    assert_eq!(flow.backlog(), 0);
}

// --- coalescing -------------------------------------------------------------------------------------------------------------

#[test]
fn changes_of_a_waiting_record_coalesce_and_keep_its_place_in_the_order() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let outcome = flow.page(vec![upsert("a", &[("x", json!(2))])]);
    assert_eq!((outcome.upserts_coalesced, outcome.backlog), (1, 2));
    let ops = flow.claim(10);
    assert_eq!(ops.iter().map(|op| op.key.as_str()).collect::<Vec<_>>(), ["K-a", "K-b"]);
    assert_eq!(sent(&ops[0], true), [field("x", "2"), field("y", "1")], "y was waiting, and the newer change leaves it alone");
    let totals = flow.store.status().unwrap().mappings[0].totals;
    assert_eq!((totals.queued, totals.coalesced), (3, 1));
}

#[test]
fn a_delete_wins_over_a_waiting_upsert_and_an_upsert_over_a_waiting_delete() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2))]), tombstone("a")]);
    assert_eq!(flow.backlog(), 1);
    let op = flow.claim_one();
    assert!(matches!(op.work, Work::Delete));
    flow.settle(vec![op.released()]);
    flow.page(vec![upsert("a", &[("x", json!(3))])]);
    assert_eq!(flow.backlog(), 1);
    assert_eq!(sent(&flow.claim_one(), false), [field("x", "3")]);
}

#[test]
fn an_increment_that_coalesces_with_an_initial_load_still_writes_initial_fields() {
    let flow = Flow::on(Store::in_memory().unwrap());
    flow.end_of_load(vec![upsert("a", &[("@i", json!(1))])], Unseen::Keep);
    flow.page(vec![upsert("a", &[("@i", json!(2))])]);
    assert_eq!(sent(&flow.claim_one(), false), [field("i", "2")]);
}

#[test]
fn a_newer_operation_waits_until_the_one_under_way_on_the_same_record_is_settled() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let first = flow.claim_one();
    flow.page(vec![upsert("a", &[("x", json!(2))]), upsert("b", &[("x", json!(1))])]);
    assert_eq!(flow.claim(10).iter().map(|op| op.key.clone()).collect::<Vec<_>>(), ["K-b"]);
    flow.page(vec![upsert("a", &[("x", json!(3))])]);
    flow.settle(vec![first.written(true)]);
    let second = flow.claim_one();
    assert_eq!(sent(&second, false), [field("x", "3")], "what waited behind has coalesced");
}

#[test]
fn an_operation_put_off_is_not_claimed_before_its_time_and_takes_in_the_newer_one_behind_it() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    let op = flow.claim_one();
    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    let later = now() + Duration::from_secs(60);
    flow.settle(vec![op.retry(later, "429 Too Many Requests", false)]);
    assert_eq!(flow.backlog(), 1);
    assert!(flow.claim(10).is_empty());
    let backlog = flow.store.backlog(FLOW).unwrap();
    assert_eq!((backlog.ready, backlog.delayed, backlog.claimed), (1, 1, 0));
    assert_eq!(backlog.next_due.unwrap().timestamp_millis(), later.timestamp_millis());
    let op = flow.claim_at(10, later).remove(0);
    assert_eq!((op.attempts, op.uncertain), (1, false));
    assert_eq!(sent(&op, true), [field("x", "2"), field("y", "1")]);
}

// --- deletes ----------------------------------------------------------------------------------------------------------------

#[test]
fn a_tombstone_for_an_unknown_id_is_a_no_op() {
    let flow = Flow::in_delta();
    let outcome = flow.page(vec![tombstone("a")]);
    assert_eq!((outcome.deletes_unknown, outcome.deletes_queued, outcome.backlog), (1, 0, 0));
}

#[test]
fn a_tombstone_finds_its_key_in_the_ledger_or_in_the_outbox() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    flow.page(vec![upsert("b", &[("x", json!(1))])]);
    assert_eq!(flow.page(vec![tombstone("a"), tombstone("b")]).deletes_queued, 2);
    let ops = flow.claim(10);
    assert!(ops.iter().all(|op| matches!(op.work, Work::Delete)) && ops.len() == 2);
    assert_eq!(flow.settle(ops.iter().map(|op| op.deleted()).collect()).deleted, 2);
    assert_eq!(flow.store.status().unwrap().mappings[0].ledger_rows, 0);
    assert_eq!(flow.page(vec![tombstone("a")]).deletes_unknown, 1);
}

#[test]
fn a_record_that_leaves_the_filter_is_kept_or_deleted_as_the_mapping_says() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    let kept = flow.page(vec![filtered_out("a", false)]);
    assert_eq!((kept.filtered_out, kept.deletes_queued), (1, 0));
    let deleted = flow.page(vec![filtered_out("a", true), filtered_out("never seen", true)]);
    assert_eq!((deleted.filtered_out, deleted.deletes_queued, deleted.deletes_unknown), (2, 1, 0));
}

#[test]
fn a_tombstone_does_not_delete_a_target_record_that_another_source_record_has_taken_over() {
    let flow = Flow::in_delta();
    let with_key = |id: &str, x: i64| Change::Upsert { source_id: id.into(), key: "shared".into(), payload: payload(&[("x", json!(x))]) };
    flow.write_all(vec![with_key("old", 1)]);
    let outcome = flow.page(vec![with_key("new", 1), tombstone("old")]);
    assert_eq!((outcome.upserts_queued, outcome.deletes_queued, outcome.deletes_unknown), (1, 0, 1));
    flow.write_all(vec![]);
    assert_eq!(flow.page(vec![tombstone("old")]).deletes_queued, 0);
    assert_eq!(flow.page(vec![tombstone("new")]).deletes_queued, 1);
}

// --- the end of a full load -------------------------------------------------------------------------------------------------

fn after_a_first_load(ids: &[&str]) -> Flow {
    let flow = Flow::on(Store::in_memory().unwrap());
    flow.write_all(ids.iter().map(|id| upsert(id, &[("x", json!(1))])).collect());
    flow.end_of_load(vec![], Unseen::Delete);
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    flow
}

#[test]
fn a_full_load_deletes_what_it_did_not_see_and_nothing_else() {
    let flow = after_a_first_load(&["same", "changed", "gone", "rejected", "filtered"]);
    flow.page(vec![upsert("same", &[("x", json!(1))]), reject("rejected")]);
    let outcome = flow.end_of_load(
        vec![upsert("changed", &[("x", json!(2))]), upsert("new", &[("x", json!(1))]), filtered_out("filtered", false)],
        Unseen::Delete,
    );
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (1, 3));
    let ops = flow.claim(10);
    let deleted: Vec<_> = ops.iter().filter(|op| matches!(op.work, Work::Delete)).map(|op| op.key.as_str()).collect();
    assert_eq!(deleted, ["K-gone"]);
    assert_eq!(flow.cursor().phase, Phase::Delta);
}

#[test]
fn a_full_load_removes_the_dead_letters_of_records_that_are_gone_and_keeps_all_others() {
    for unseen in [Unseen::Delete, Unseen::Keep] {
        let flow = after_a_first_load(&["written"]);
        flow.end_of_load(vec![], Unseen::Keep);
        flow.page(["gone", "rejected again", "filtered", "queued", "written"].map(reject).into());
        flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
        flow.page(vec![reject("rejected again")]);
        flow.end_of_load(vec![filtered_out("filtered", false), upsert("queued", &[("x", json!(1))])], unseen);
        let kept: Vec<_> = dead_letters(&flow).into_iter().map(|letter| letter.source_id).collect();
        match unseen {
            // The deletion at the target removes that of the record that was written.
            Unseen::Delete => assert_eq!(kept, ["rejected again", "queued", "written"]),
            Unseen::Keep => assert_eq!(kept, ["rejected again", "queued"]),
        }
        for op in flow.claim(10) {
            flow.settle(vec![if matches!(op.work, Work::Delete) { op.deleted() } else { op.written(true) }]);
        }
        let kept: Vec<_> = dead_letters(&flow).into_iter().map(|letter| letter.source_id).collect();
        assert_eq!(kept, ["rejected again"], "{unseen:?}");
    }
}

#[test]
fn a_deletion_from_before_a_rejection_leaves_no_dead_letter_once_a_full_load_misses_the_record() {
    for (written, claimed) in [(false, false), (false, true), (true, false), (true, true)] {
        let flow = after_a_first_load(if written { &["a"] } else { &[] });
        flow.end_of_load(vec![], Unseen::Keep);
        if !written {
            flow.page(vec![upsert("a", &[("x", json!(1))])]);
        }
        flow.page(vec![tombstone("a")]);
        let early = if claimed { flow.claim(1) } else { Vec::new() };
        flow.page(vec![reject("a")]);
        flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
        flow.end_of_load(vec![upsert("b", &[("x", json!(1))])], Unseen::Delete);
        flow.settle(early.iter().map(|op| op.deleted()).collect());
        for op in flow.claim(10) {
            flow.settle(vec![if matches!(op.work, Work::Delete) { op.deleted() } else { op.written(true) }]);
        }
        assert!(dead_letters(&flow).is_empty(), "written {written}, claimed {claimed}");
    }
}

#[test]
fn a_full_load_that_returns_nothing_removes_no_dead_letters() {
    let flow = after_a_first_load(&[]);
    flow.end_of_load(vec![reject("a")], Unseen::Delete);
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    flow.end_of_load(vec![], Unseen::Delete);
    assert_eq!(dead_letters(&flow).len(), 1);
}

#[test]
fn a_write_that_fails_after_the_record_was_deleted_leaves_a_dead_letter_only_until_the_next_full_load() {
    let flow = after_a_first_load(&[]);
    flow.end_of_load(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])], Unseen::Delete);
    for op in flow.claim(10) {
        flow.settle(vec![op.failed(failure("refused"), false)]);
    }
    assert_eq!(dead_letters(&flow).len(), 2);
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    flow.end_of_load(vec![upsert("b", &[("x", json!(1))])], Unseen::Delete);
    let kept: Vec<_> = dead_letters(&flow).into_iter().map(|letter| letter.source_id).collect();
    assert_eq!(kept, ["b"], "it waits to be written once more");
}

#[test]
fn a_full_load_leaves_what_it_did_not_see_alone_where_deletes_are_ignored() {
    let flow = after_a_first_load(&["gone"]);
    let outcome = flow.end_of_load(vec![], Unseen::Keep);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (0, 0));
    assert_eq!(flow.store.status().unwrap().mappings[0].ledger_rows, 1);
}

#[test]
fn a_full_load_also_deletes_what_was_queued_before_it_and_is_gone_since() {
    let flow = after_a_first_load(&[]);
    flow.end_of_load(vec![upsert("under way", &[("x", json!(1))])], Unseen::Delete);
    let under_way = flow.claim_one();
    flow.page(vec![upsert("waiting", &[("x", json!(1))]), upsert("still there", &[("x", json!(1))])]);
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    let outcome = flow.end_of_load(vec![upsert("still there", &[("x", json!(1))])], Unseen::Delete);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (2, 4));
    flow.settle(vec![under_way.written(true)]);
    let ops = flow.claim(10);
    let works: Vec<_> = ops.iter().map(|op| (op.key.as_str(), matches!(op.work, Work::Delete))).collect();
    assert_eq!(works, [("K-waiting", true), ("K-still there", false), ("K-under way", true)]);
}

#[test]
fn a_write_of_an_older_load_that_is_acknowledged_late_is_not_swept_when_the_record_was_seen() {
    let flow = after_a_first_load(&[]);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let late = flow.claim_one();
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![late.written(true)]);
    assert_eq!(flow.end_of_load(vec![], Unseen::Delete).unseen_deleted, 0);
}

#[test]
fn a_full_load_that_did_not_see_a_record_makes_a_refetch_of_it_read_again() {
    let flow = after_a_first_load(&["a"]);
    flow.end_of_load(vec![reject("a")], Unseen::Delete);
    flow.store.retry_dead_letters(&DeadLetterFilter::default()).unwrap();
    let refetch = flow.claim_one();
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    assert_eq!(flow.end_of_load(vec![], Unseen::Delete).unseen_deleted, 1);
    let read_before_it_went = upsert("a", &[("x", json!(2))]);
    assert_eq!(flow.store.resolve_refetch(flow.run, FLOW, refetch.seq, read_before_it_went).unwrap(), RefetchOutcome::Superseded);
    assert!(matches!(flow.claim_one().work, Work::Delete));
}

#[test]
fn a_deletion_that_waits_already_is_not_counted_as_found_by_the_full_load() {
    let flow = after_a_first_load(&[]);
    flow.end_of_load(vec![upsert("under way", &[("x", json!(1))]), upsert("written", &[("x", json!(1))])], Unseen::Delete);
    let ops = flow.claim(2);
    flow.settle(vec![ops[1].written(true)]);
    flow.page(vec![tombstone("under way"), tombstone("written")]);
    flow.store.restart(FLOW, Reason::Resync, "plan-1").unwrap();
    let outcome = flow.end_of_load(vec![], Unseen::Delete);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (0, 3));
}

// --- after a crash ----------------------------------------------------------------------------------------------------------

#[test]
fn what_a_dead_run_had_in_its_hands_waits_again_and_must_be_looked_at_before_it_is_written() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim(1)[0].written(true)]);
    flow.page(vec![upsert("a", &[("x", json!(2)), ("y", json!(1))])]);
    let in_hand = flow.claim(2);
    assert_eq!(in_hand.iter().map(|op| op.uncertain).collect::<Vec<_>>(), [false, false]);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    let dead_run = flow.run;
    drop(flow); // the process dies with both sent and no answer seen

    let flow = Flow::open(&file.path);
    assert_eq!((flow.recovery.interrupted_runs, flow.recovery.recovered_operations), (1, 2));
    assert_eq!(flow.backlog(), 2);
    let ops = flow.claim(10);
    let a = ops.iter().find(|op| op.key == "K-a").unwrap();
    assert!(ops.iter().all(|op| op.uncertain));
    assert_eq!(sent(a, false), [field("x", "1"), field("y", "1")], "the ledger says 1, but 2 may stand there");
    assert_eq!(
        flow.store.settle(dead_run, in_hand.iter().map(|op| op.released()).collect()).unwrap().stale,
        2,
        "an answer to the dead run's claim"
    );
    flow.settle(ops.iter().map(|op| op.written(false)).collect());
    assert_eq!(flow.backlog(), 0);
    let runs = flow.store.runs(10).unwrap();
    assert_eq!((runs.len(), runs[1].outcome), (2, Some(RunOutcome::Interrupted)));
}

#[test]
fn a_copy_of_the_file_taken_in_the_middle_of_a_run_can_be_run_from_there() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page((0..50).map(|i| upsert(&i.to_string(), &[("x", json!(i))])).collect());
    let ops = flow.claim(20);
    flow.settle(ops[..10].iter().map(|op| op.written(true)).collect());
    // The process holds the file open; what a kill would leave behind is the file and its log.
    let copy = temp_file();
    std::fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        let with_suffix = |path: &std::path::Path| format!("{}{suffix}", path.display());
        std::fs::copy(with_suffix(&file.path), with_suffix(&copy.path)).unwrap();
    }
    let copied = Flow::open(&copy.path);
    assert_eq!((copied.recovery.recovered_operations, copied.backlog()), (10, 40));
    assert_eq!(copied.cursor().link.as_deref(), Some("next"));
    let ops = copied.claim(100);
    assert_eq!((ops.len(), ops.iter().filter(|op| op.uncertain).count()), (40, 10));
    copied.settle(ops.iter().map(|op| op.written(true)).collect());
    assert_eq!((copied.backlog(), copied.store.status().unwrap().mappings[0].ledger_rows), (0, 50));
}

#[test]
fn an_answer_that_was_not_seen_makes_the_next_attempt_uncertain() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim_one().retry(now(), "the connection broke", true)]);
    let op = flow.claim_one();
    assert!(op.uncertain && op.attempts == 1);
}

#[test]
fn a_write_given_up_with_its_answer_unseen_is_found_by_a_deletion_and_distrusted_by_a_change() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    flow.settle(flow.claim(10).iter().map(|op| op.failed(failure("timeout"), true)).collect());
    assert_eq!(flow.page(vec![tombstone("b")]).deletes_queued, 1, "it may have been created");
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]).unchanged, 0);
    let op = flow.claim(10).into_iter().find(|op| op.key == "K-a").unwrap();
    assert!(op.uncertain);
    assert_eq!(sent(&op, false).len(), 2);
}

#[test]
fn a_run_that_stops_in_order_gives_back_what_it_never_sent_without_doubt() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let ops = flow.claim(2);
    assert_eq!(flow.settle(vec![ops[0].released()]).released, 1);
    flow.store.end_run(flow.run, RunOutcome::Stopped, &json!({"read": 2})).unwrap();
    let flow = Flow::on(flow.store.clone());
    assert_eq!(flow.recovery.interrupted_runs, 0);
    assert_eq!(flow.claim(2).iter().map(|op| op.uncertain).collect::<Vec<_>>(), [false, true]);
    let record = &flow.store.runs(2).unwrap()[1];
    assert_eq!((record.outcome, &record.counters["read"]), (Some(RunOutcome::Stopped), &json!(2)));
}

#[test]
fn an_answer_that_does_not_fit_its_operation_is_refused_and_nothing_of_its_batch_is_taken_in() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let ops = flow.claim(2);
    let refused = flow.store.settle(flow.run, vec![ops[0].written(true), ops[1].deleted()]);
    assert!(matches!(refused, Err(StateError::Misfit { op: "upsert", result: "deleted", .. })));
    assert_eq!(flow.backlog(), 2);
    assert_eq!(flow.settle(vec![ops[0].written(true)]).created, 1);
}

// --- dead letters -----------------------------------------------------------------------------------------------------------

fn dead_letters(flow: &Flow) -> Vec<d365map::state::DeadLetter> {
    flow.store.dead_letters(&DeadLetterFilter::default(), 0, 100).unwrap()
}

#[test]
fn a_newer_failure_of_the_same_record_takes_the_place_of_the_older() {
    let flow = Flow::in_delta();
    flow.page(vec![reject("a"), reject("b")]);
    let id = dead_letters(&flow)[0].id;
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![flow.claim_one().failed(failure("refused"), false)]);
    let letters = dead_letters(&flow);
    assert_eq!(letters.iter().map(|d| d.failure.code.as_str()).collect::<Vec<_>>(), ["refused", "too-long"]);
    assert_eq!((letters[0].id, letters[0].run, letters[0].attempts), (id, Some(flow.run), 1));
    assert_eq!(flow.backlog(), 0);
}

#[test]
fn a_dead_letter_keeps_request_answer_and_mapping_line() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let told = d365map::state::Failure {
        code: "RST-360000".into(),
        message: "the value is too long".into(),
        field: Some("email".into()),
        place: Some(d365map::state::Place { file: "mappings/contacts.d365map".into(), line: 7, column: 3 }),
        request: Some("{\"x\":1}".into()),
        status: Some(400),
        response: Some("{\"error_code\":\"RST-360000\"}".into()),
    };
    flow.settle(vec![flow.claim_one().failed(told.clone(), false)]);
    let letter = flow.store.dead_letter(dead_letters(&flow)[0].id).unwrap().unwrap();
    assert_eq!((letter.mapping.as_str(), letter.key.as_deref(), letter.source_id.as_str()), (FLOW, Some("K-a"), "a"));
    assert_eq!(letter.failure, told);
}

#[test]
fn a_successful_write_or_deletion_or_a_return_to_the_written_state_clears_the_dead_letter() {
    let flow = Flow::in_delta();
    flow.write_all(vec![upsert("back", &[("x", json!(1))]), upsert("gone", &[("x", json!(1))])]);
    flow.page(["mended", "back", "gone", "never written", "filtered"].map(reject).into());
    assert_eq!(dead_letters(&flow).len(), 5);
    flow.write_all(vec![
        upsert("mended", &[("x", json!(1))]),
        upsert("back", &[("x", json!(1))]),
        tombstone("gone"),
        tombstone("never written"),
        filtered_out("filtered", false),
    ]);
    assert!(dead_letters(&flow).is_empty());
}

#[test]
fn a_write_of_an_older_state_does_not_clear_the_dead_letter_of_a_newer() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    let op = flow.claim_one();
    assert_eq!(flow.settle(vec![op.written(true)]).dead_letters_cleared, 0);
    assert_eq!(dead_letters(&flow).len(), 1);
}

#[test]
fn the_failure_of_an_older_state_does_not_hide_that_of_a_newer() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    flow.settle(vec![flow.claim_one().failed(failure("refused"), false)]);
    assert_eq!(dead_letters(&flow)[0].failure.code, "too-long");
}

#[test]
fn a_retry_reads_the_record_anew_and_its_success_clears_the_dead_letter() {
    let flow = Flow::in_delta();
    flow.page(vec![reject("a"), Change::Reject { source_id: "keyless".into(), key: None, failure: failure("no-key") }]);
    assert_eq!(flow.store.retry_dead_letters(&DeadLetterFilter::mapping(FLOW)).unwrap(), 2);
    assert_eq!(flow.store.status().unwrap().mappings[0].retrying, 2);
    let ops = flow.claim(10);
    assert!(ops.iter().all(|op| matches!(op.work, Work::Refetch)) && ops.len() == 2);
    for op in ops {
        let id = op.source_id.clone();
        let outcome = flow.store.resolve_refetch(flow.run, FLOW, op.seq, upsert(&id, &[("x", json!(1))])).unwrap();
        assert!(matches!(outcome, RefetchOutcome::Applied(page) if page.upserts_queued == 1));
    }
    assert_eq!(dead_letters(&flow).len(), 2, "until it is written");
    flow.write_all(vec![]);
    assert!(dead_letters(&flow).is_empty());
    assert_eq!(flow.backlog(), 0);
}

#[test]
fn a_refetch_passes_on_the_doubt_of_the_operation_whose_place_it_took() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("a")]);
    flow.settle(vec![flow.claim_one().retry(now(), "no answer", true)]);
    flow.store.retry_dead_letters(&DeadLetterFilter::default()).unwrap();
    let refetch = flow.claim_one();
    flow.store.resolve_refetch(flow.run, FLOW, refetch.seq, reject("a")).unwrap();
    assert_eq!(flow.page(vec![tombstone("a")]).deletes_queued, 1, "the lost answer may have been a creation");
}

#[test]
fn a_retry_that_fails_again_is_a_dead_letter_again() {
    let flow = Flow::in_delta();
    flow.page(vec![reject("a")]);
    flow.store.retry_dead_letters(&DeadLetterFilter::default()).unwrap();
    let op = flow.claim_one();
    flow.store.resolve_refetch(flow.run, FLOW, op.seq, reject("a")).unwrap();
    assert!(dead_letters(&flow)[0].retry_requested_at.is_none());
    flow.store.retry_dead_letters(&DeadLetterFilter::default()).unwrap();
    flow.settle(vec![flow.claim_one().failed(failure("source-refused"), false)]);
    assert_eq!(dead_letters(&flow)[0].failure.code, "source-refused");
    assert_eq!(flow.backlog(), 0);
}

#[test]
fn a_refetch_never_overwrites_a_change_that_came_while_it_was_under_way() {
    for key in [Some("K-a".to_owned()), None] {
        let flow = Flow::in_delta();
        flow.page(vec![Change::Reject { source_id: "a".into(), key, failure: failure("too-long") }]);
        flow.store.retry_dead_letters(&DeadLetterFilter::default()).unwrap();
        let op = flow.claim_one();
        flow.page(vec![upsert("a", &[("x", json!("newer"))])]);
        for newer in flow.claim(10) {
            flow.settle(vec![newer.written(true)]);
        }
        let late = flow.store.resolve_refetch(flow.run, FLOW, op.seq, upsert("a", &[("x", json!("older"))])).unwrap();
        assert_eq!(late, RefetchOutcome::Superseded);
        flow.write_all(vec![]);
        assert_eq!(flow.store.compare(FLOW, "K-a", &payload(&[("x", json!("newer"))]), false).unwrap(), Comparison::Unchanged);
        assert!(dead_letters(&flow).is_empty());
        assert_eq!(flow.store.resolve_refetch(flow.run, FLOW, op.seq, tombstone("a")).unwrap(), RefetchOutcome::Stale);
    }
}

#[test]
fn a_record_whose_initial_load_failed_is_still_owed_its_initial_fields() {
    let flow = Flow::on(Store::in_memory().unwrap());
    flow.end_of_load(vec![reject("changed"), reject("retried")], Unseen::Keep);
    flow.page(vec![upsert("changed", &[("@i", json!(1))])]);
    flow.store.retry_dead_letters(&DeadLetterFilter { code: Some("too-long".into()), ..DeadLetterFilter::default() }).unwrap();
    for op in flow.claim(10) {
        assert!(op.with_initial, "{op:?}");
    }
}

#[test]
fn a_dropped_dead_letter_is_gone_and_the_others_stay() {
    let flow = Flow::in_delta();
    flow.page(vec![reject("a"), reject("b"), reject("c")]);
    let ids: Vec<_> = dead_letters(&flow).iter().map(|d| d.id).collect();
    assert_eq!(flow.store.drop_dead_letters(&DeadLetterFilter::ids([ids[1], 9999])).unwrap(), 1);
    assert_eq!(dead_letters(&flow).iter().map(|d| d.id).collect::<Vec<_>>(), [ids[0], ids[2]]);
    assert_eq!(flow.store.drop_dead_letters(&DeadLetterFilter::mapping("other")).unwrap(), 0);
    let page = flow.store.dead_letters(&DeadLetterFilter::default(), ids[0], 1).unwrap();
    assert_eq!(page[0].id, ids[2], "listed page by page");
}

// --- the file ---------------------------------------------------------------------------------------------------------------

#[test]
fn a_second_runner_is_refused_with_the_name_of_the_first_and_readers_are_not() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("b")]);
    let refused = Store::open_for_run(&file.path).unwrap_err();
    assert!(matches!(&refused, StateError::InUse { holder, .. } if holder.pid == Some(std::process::id())), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");

    let reader = Store::open_read(&file.path).unwrap();
    let status = reader.status().unwrap();
    assert_eq!((status.mappings[0].backlog.ready, status.mappings[0].dead_letters), (1, 1));
    assert!(reader.drop_dead_letters(&DeadLetterFilter::default()).is_err(), "a reader writes nothing");
    let beside = Store::open(&file.path).unwrap();
    assert_eq!(beside.retry_dead_letters(&DeadLetterFilter::default()).unwrap(), 1);
    assert!(matches!(beside.start_run(RunKind::Once, &[]), Err(StateError::NotLocked { .. })));
    assert_eq!(flow.claim(10).len(), 2, "the runner sees what was asked for beside it");

    let clone = flow.store.clone();
    drop(flow);
    assert!(matches!(Store::open_for_run(&file.path), Err(StateError::InUse { .. })), "held by its last clone");
    drop(clone);
    Flow::open(&file.path);
}

#[test]
fn reading_where_there_is_no_state_file_says_so_and_makes_none() {
    let file = temp_file();
    assert!(matches!(Store::open_read(&file.path), Err(StateError::NotFound { .. })));
    assert!(!file.path.exists());
    std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
    std::fs::write(&file.path, "").unwrap();
    // A run has just made it, and not its tables yet.
    assert!(matches!(Store::open_read(&file.path), Err(StateError::NotFound { .. })));
}

#[test]
fn a_file_of_a_newer_format_or_of_another_program_is_refused_unchanged() {
    let file = temp_file();
    drop(Store::open(&file.path).unwrap());
    let raw = rusqlite::Connection::open(&file.path).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    for opened in [Store::open_for_run(&file.path), Store::open_read(&file.path)] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StateError::NewerFormat { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("newer d365map"), "{error}");
    }

    let foreign = temp_file();
    std::fs::create_dir_all(foreign.path.parent().unwrap()).unwrap();
    rusqlite::Connection::open(&foreign.path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&foreign.path).unwrap();
    assert!(matches!(Store::open(&foreign.path), Err(StateError::Foreign { .. })));
    assert_eq!(std::fs::read(&foreign.path).unwrap(), before);

    let text = temp_file();
    std::fs::create_dir_all(text.path.parent().unwrap()).unwrap();
    std::fs::write(&text.path, "not a database, but a text of more than a hundred characters ".repeat(10)).unwrap();
    assert!(matches!(Store::open(&text.path), Err(StateError::Sql { .. })));
}

#[cfg(unix)]
#[test]
fn the_state_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    for suffix in ["", "-wal"] {
        let mode = std::fs::metadata(format!("{}{suffix}", file.path.display())).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{suffix}");
    }
}

#[test]
fn the_ledger_holds_no_value_of_a_record() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.write_all(vec![upsert("a", &[("email", json!("ada@example.com"))])]);
    drop(flow);
    let raw = rusqlite::Connection::open(&file.path).unwrap();
    let (rows, bytes): (i64, i64) =
        raw.query_row("SELECT COUNT(*), sum(length(fingerprints)) FROM ledger", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!((rows, bytes), (1, 8), "one hash of 64 bits");
    let waiting: i64 = raw.query_row("SELECT COUNT(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0);
}

// --- leases ----------------------------------------------------------------------------------------------------------------

fn page_of(lease: &d365map::state::Lease, changes: Vec<Change>) -> PageCommit {
    PageCommit {
        run: lease.run,
        mapping: lease.partition.mapping.clone(),
        from: lease.cursor.clone(),
        changes,
        rewrite: false,
        times: d365map::state::PageTimes::default(),
        guard: None,
        to: CursorMove::Next("page 2".into()),
    }
}

#[tokio::test]
async fn a_store_gives_a_partition_to_one_reader_at_a_time_and_moves_on_at_the_checkpoint() {
    let flow = Flow::on(Store::in_memory().unwrap());
    let cursors = Stores::from(flow.store.clone()).cursors;
    let part = Partition::of(FLOW);
    let Claim::Page(lease) = cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap() else { panic!("no page") };
    assert_eq!(lease.cursor.link, None);
    assert_eq!(cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap(), Claim::Taken);
    let page = page_of(&lease, vec![upsert("a", &[("x", json!(1))])]);
    assert_eq!(cursors.checkpoint(lease, page).await.unwrap().backlog, 1);
    let Claim::Page(lease) = cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap() else { panic!("no page") };
    assert_eq!(lease.cursor.link.as_deref(), Some("page 2"));
    assert!(cursors.partitions().await.unwrap()[0].leased);
}

#[tokio::test]
async fn a_rescheduled_page_is_given_out_again_at_its_time_and_a_cancelled_flow_not_in_this_run() {
    let flow = Flow::on(Store::in_memory().unwrap());
    let cursors = Stores::from(flow.store.clone()).cursors;
    let part = Partition::of(FLOW);
    let Claim::Page(lease) = cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap() else { panic!("no page") };
    let later = now() + Duration::from_secs(300);
    cursors.reschedule(lease, later, "503 Service Unavailable").await.unwrap();
    assert!(matches!(cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap(), Claim::Later(_)));
    let Claim::Page(lease) = cursors.claim_page(flow.run, &part, "plan-1", later).await.unwrap() else { panic!("no page") };
    assert_eq!(lease.attempts, 1);
    assert_eq!(cursors.partitions().await.unwrap()[0].last_error.as_deref(), Some("503 Service Unavailable"));

    cursors.cancel(&part).await.unwrap();
    let page = page_of(&lease, vec![]);
    cursors.checkpoint(lease, page).await.unwrap();
    assert_eq!(cursors.claim_page(flow.run, &part, "plan-1", later).await.unwrap(), Claim::Cancelled);
    let next = Flow::on(flow.store.clone());
    assert!(matches!(cursors.claim_page(next.run, &part, "plan-1", later).await.unwrap(), Claim::Page(_)));
}

#[tokio::test]
async fn the_lease_of_a_dead_run_ends_with_it() {
    let flow = Flow::on(Store::in_memory().unwrap());
    let cursors = Stores::from(flow.store.clone()).cursors;
    let part = Partition::of(FLOW);
    assert!(matches!(cursors.claim_page(flow.run, &part, "plan-1", now()).await.unwrap(), Claim::Page(_)));
    let next = Flow::on(flow.store.clone());
    assert!(matches!(cursors.claim_page(next.run, &part, "plan-1", now()).await.unwrap(), Claim::Page(_)));
}

#[test]
fn what_a_round_could_not_give_back_is_freed_before_the_next_and_counts_as_uncertain() {
    let flow = Flow::in_delta();
    flow.page(vec![upsert("1", &[("name", json!("A"))])]);
    let lost = flow.claim_one();
    assert!(flow.claim(10).is_empty(), "it is in somebody's hands");
    assert_eq!(flow.store.free_flow(FLOW).unwrap(), 1);
    let again = flow.claim_one();
    assert!(again.uncertain && again.key == lost.key && !lost.uncertain);
    assert_eq!(flow.store.free_flow("another").unwrap(), 0);
}
