//! Pages, and what they put into the outbox.

use std::time::Duration;

use d365map::store::{
    Change, Comparison, CursorMove, DeadLetterFilter, PageCommit, PageTimes, Phase, Reason, RefetchOutcome, StoreError, Unseen, Work,
};
use d365map::time::now;
use serde_json::json;

use super::{New, rules, wait};
use crate::state_support::{FLOW, Flow, dead_letters, failure, field, filtered_out, payload, reject, replay, sent, tombstone, upsert};

// --- pages and cursors -------------------------------------------------------------------------------------------------

fn a_page_read_from_an_old_cursor_changes_nothing_at_all(store: New) {
    let flow = Flow::new(store);
    let old = flow.cursor();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let late = PageCommit {
        run: flow.run,
        mapping: FLOW.into(),
        from: old,
        changes: vec![upsert("b", &[("x", json!(1))]), reject("c")],
        rewrite: false,
        times: PageTimes::default(),
        guard: None,
        to: CursorMove::Next("elsewhere".into()),
    };
    assert!(matches!(wait(flow.stores.cursors.commit_page(late)), Err(StoreError::CursorMoved { .. })));
    assert_eq!(flow.backlog(), 1);
    assert_eq!(flow.cursor().link.as_deref(), Some("next"));
    assert!(wait(flow.stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 10)).unwrap().is_empty());
}

fn a_flow_begins_with_a_full_load_and_goes_on_with_deltas_and_keeps_its_link_when_none_comes(store: New) {
    let flow = Flow::new(store);
    assert_eq!((flow.cursor().phase, flow.cursor().reason, flow.cursor().link), (Phase::Full, Reason::First, None));
    assert!(flow.cursor().with_initial());
    flow.end_of_load(vec![], Unseen::Keep);
    assert_eq!((flow.cursor().phase, flow.cursor().link.as_deref()), (Phase::Delta, Some("delta")));
    assert!(!flow.cursor().with_initial());
    flow.commit(vec![], CursorMove::RoundEnd { link: None, unseen: Unseen::Keep });
    assert_eq!((flow.cursor().phase, flow.cursor().link.as_deref()), (Phase::Delta, Some("delta")));
}

fn a_source_without_change_tracking_is_read_in_full_again_and_again(store: New) {
    let flow = Flow::new(store);
    flow.commit(vec![], CursorMove::RoundEnd { link: None, unseen: Unseen::Keep });
    let cursor = flow.cursor();
    assert_eq!((cursor.phase, cursor.reason, cursor.link, cursor.generation), (Phase::Full, Reason::Resync, None, 2));
}

fn an_expired_link_restarts_the_load_and_an_unfinished_first_load_stays_a_first_load(store: New) {
    let flow = Flow::new(store);
    let resync = || CursorMove::Restart { reason: Reason::Resync, plan_fingerprint: "plan-2".into() };
    flow.page(vec![]);
    flow.commit(vec![], resync());
    assert_eq!((flow.cursor().reason, flow.cursor().link, flow.cursor().generation), (Reason::First, None, 2));
    flow.end_of_load(vec![], Unseen::Keep);
    flow.commit(vec![], resync());
    assert_eq!((flow.cursor().phase, flow.cursor().reason, flow.cursor().generation), (Phase::Full, Reason::Resync, 3));
    assert!(!flow.cursor().with_initial());
    assert_eq!(flow.cursor().plan_fingerprint, "plan-2");
    assert_eq!(replay(&flow.stores, FLOW, "plan-3").reason, Reason::Replay);
}

// --- what is queued -------------------------------------------------------------------------------------------------------

fn an_upsert_that_equals_the_last_write_is_not_queued(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!("1")), ("y", json!(null))])]);
    let outcome = flow.page(vec![upsert("a", &[("x", json!("1")), ("y", json!(null))])]);
    assert_eq!((outcome.unchanged, outcome.upserts_queued, outcome.backlog), (1, 0, 0));
    let outcome = flow.page(vec![upsert("a", &[("x", json!("1")), ("y", json!(""))])]);
    assert_eq!((outcome.unchanged, outcome.upserts_queued, outcome.backlog), (0, 1, 1));
    assert_eq!(sent(&flow.claim_one(), false), [field("y", "\"\"")]);
}

fn an_upsert_that_equals_the_last_write_is_queued_while_an_older_value_waits_or_is_under_way(store: New) {
    let flow = Flow::in_delta(store);
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

fn an_initial_field_goes_with_creation_first_load_and_replay_and_not_with_an_increment(store: New) {
    let flow = Flow::new(store);
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

    replay(&flow.stores, FLOW, "plan-1");
    flow.page(vec![upsert("a", &[("x", json!(2)), ("@i", json!(2))])]);
    assert_eq!(sent(&flow.claim_one(), false), [field("i", "2")]);
}

fn a_rewriting_replay_sends_what_equals_the_last_write(store: New) {
    let mut flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    replay(&flow.stores, FLOW, "plan-1");
    flow.rewrite = true;
    assert_eq!(flow.page(vec![upsert("a", &[("x", json!(1))])]).upserts_queued, 1);
    assert_eq!(sent(&flow.claim_one(), false), [field("x", "1")]);
}

fn a_field_that_the_plan_has_gained_makes_a_record_changed(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    let now_with_y = [("y", json!(1)), ("x", json!(1))];
    assert_eq!(wait(flow.stores.ledger.compare(FLOW, "K-a", &payload(&now_with_y), false)).unwrap(), Comparison::Changed(vec!["y".into()]));
    flow.page(vec![upsert("a", &now_with_y)]);
    assert_eq!(sent(&flow.claim_one(), false), [field("y", "1")]);
}

fn a_partial_write_leaves_the_other_paths_known(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.write_all(vec![upsert("a", &[("x", json!(2))])]);
    assert_eq!(
        wait(flow.stores.ledger.compare(FLOW, "K-a", &payload(&[("x", json!(2)), ("y", json!(1))]), false)).unwrap(),
        Comparison::Unchanged
    );
}

fn a_record_created_again_at_the_target_is_known_by_its_new_values_only(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    let op = flow.claim_one();
    assert!(op.known);
    flow.settle(vec![op.written(true)]);
    assert_eq!(
        wait(flow.stores.ledger.compare(FLOW, "K-a", &payload(&[("y", json!(1))]), false)).unwrap(),
        Comparison::Changed(vec!["y".into()])
    );
}

fn a_dry_run_compares_and_changes_nothing(store: New) {
    let flow = Flow::in_delta(store);
    assert_eq!(wait(flow.stores.ledger.compare(FLOW, "K-a", &payload(&[("x", json!(1))]), true)).unwrap(), Comparison::New);
    assert_eq!(wait(flow.stores.ledger.compare("no such flow", "K-a", &payload(&[]), true)).unwrap(), Comparison::New);
    flow.write_all(vec![upsert("a", &[("x", json!(1)), ("@i", json!(1))])]);
    let changed = payload(&[("x", json!(1)), ("@i", json!(2))]);
    assert_eq!(wait(flow.stores.ledger.compare(FLOW, "K-a", &changed, false)).unwrap(), Comparison::Unchanged);
    assert_eq!(wait(flow.stores.ledger.compare(FLOW, "K-a", &changed, true)).unwrap(), Comparison::Changed(vec!["i".into()]));
    assert_eq!(wait(flow.stores.ledger.keys_of(FLOW, "a")).unwrap(), ["K-a"]);
    assert_eq!(flow.backlog(), 0);
}

// --- coalescing -------------------------------------------------------------------------------------------------------------

fn changes_of_a_waiting_record_coalesce_and_keep_its_place_in_the_order(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))]), upsert("b", &[("x", json!(1))])]);
    let outcome = flow.page(vec![upsert("a", &[("x", json!(2))])]);
    assert_eq!((outcome.upserts_coalesced, outcome.backlog), (1, 2));
    let ops = flow.claim(10);
    assert_eq!(ops.iter().map(|op| op.key.as_str()).collect::<Vec<_>>(), ["K-a", "K-b"]);
    assert_eq!(sent(&ops[0], true), [field("x", "2"), field("y", "1")], "y was waiting, and the newer change leaves it alone");
    let totals = wait(flow.stores.control.status()).unwrap().mappings[0].totals;
    assert_eq!((totals.queued, totals.coalesced), (3, 1));
}

fn a_delete_wins_over_a_waiting_upsert_and_an_upsert_over_a_waiting_delete(store: New) {
    let flow = Flow::in_delta(store);
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

fn an_increment_that_coalesces_with_an_initial_load_still_writes_initial_fields(store: New) {
    let flow = Flow::new(store);
    flow.end_of_load(vec![upsert("a", &[("@i", json!(1))])], Unseen::Keep);
    flow.page(vec![upsert("a", &[("@i", json!(2))])]);
    assert_eq!(sent(&flow.claim_one(), false), [field("i", "2")]);
}

fn a_newer_operation_waits_until_the_one_under_way_on_the_same_record_is_settled(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let first = flow.claim_one();
    flow.page(vec![upsert("a", &[("x", json!(2))]), upsert("b", &[("x", json!(1))])]);
    assert_eq!(flow.claim(10).iter().map(|op| op.key.clone()).collect::<Vec<_>>(), ["K-b"]);
    flow.page(vec![upsert("a", &[("x", json!(3))])]);
    flow.settle(vec![first.written(true)]);
    let second = flow.claim_one();
    assert_eq!(sent(&second, false), [field("x", "3")], "what waited behind has coalesced");
}

fn a_postponed_operation_is_not_claimed_before_its_time_and_merges_the_newer_one_after_it(store: New) {
    let flow = Flow::in_delta(store);
    flow.page(vec![upsert("a", &[("x", json!(1)), ("y", json!(1))])]);
    let op = flow.claim_one();
    flow.page(vec![upsert("a", &[("x", json!(2))])]);
    let later = now() + Duration::from_secs(60);
    flow.settle(vec![op.retry(later, "429 Too Many Requests", false)]);
    assert_eq!(flow.backlog(), 1);
    assert!(flow.claim(10).is_empty());
    let backlog = wait(flow.stores.outbox.backlog(FLOW)).unwrap();
    assert_eq!((backlog.ready, backlog.delayed, backlog.claimed), (1, 1, 0));
    assert_eq!(backlog.next_due.unwrap().timestamp_millis(), later.timestamp_millis());
    let op = flow.claim_at(10, later).remove(0);
    assert_eq!((op.attempts, op.uncertain), (1, false));
    assert_eq!(sent(&op, true), [field("x", "2"), field("y", "1")]);
}

// --- deletes ----------------------------------------------------------------------------------------------------------------

fn a_tombstone_for_an_unknown_id_is_a_no_op(store: New) {
    let flow = Flow::in_delta(store);
    let outcome = flow.page(vec![tombstone("a")]);
    assert_eq!((outcome.deletes_unknown, outcome.deletes_queued, outcome.backlog), (1, 0, 0));
}

fn a_tombstone_finds_its_key_in_the_ledger_or_in_the_outbox(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    flow.page(vec![upsert("b", &[("x", json!(1))])]);
    assert_eq!(flow.page(vec![tombstone("a"), tombstone("b")]).deletes_queued, 2);
    let ops = flow.claim(10);
    assert!(ops.iter().all(|op| matches!(op.work, Work::Delete)) && ops.len() == 2);
    assert_eq!(flow.settle(ops.iter().map(|op| op.deleted()).collect()).deleted, 2);
    assert_eq!(wait(flow.stores.control.status()).unwrap().mappings[0].ledger_rows, 0);
    assert_eq!(flow.page(vec![tombstone("a")]).deletes_unknown, 1);
}

fn a_record_that_leaves_the_filter_is_kept_or_deleted_as_the_mapping_says(store: New) {
    let flow = Flow::in_delta(store);
    flow.write_all(vec![upsert("a", &[("x", json!(1))])]);
    let kept = flow.page(vec![filtered_out("a", false)]);
    assert_eq!((kept.filtered_out, kept.deletes_queued), (1, 0));
    let deleted = flow.page(vec![filtered_out("a", true), filtered_out("never seen", true)]);
    assert_eq!((deleted.filtered_out, deleted.deletes_queued, deleted.deletes_unknown), (2, 1, 0));
}

fn a_tombstone_does_not_delete_a_target_record_that_another_source_record_has_taken_over(store: New) {
    let flow = Flow::in_delta(store);
    let with_key = |id: &str, x: i64| Change::Upsert { source_id: id.into(), key: "shared".into(), payload: payload(&[("x", json!(x))]) };
    flow.write_all(vec![with_key("old", 1)]);
    let outcome = flow.page(vec![with_key("new", 1), tombstone("old")]);
    assert_eq!((outcome.upserts_queued, outcome.deletes_queued, outcome.deletes_unknown), (1, 0, 1));
    flow.write_all(vec![]);
    assert_eq!(flow.page(vec![tombstone("old")]).deletes_queued, 0);
    assert_eq!(flow.page(vec![tombstone("new")]).deletes_queued, 1);
}

fn rekeyed(id: &str, key: &str, remove: bool) -> Change {
    Change::Rekeyed { source_id: id.into(), key: key.into(), payload: payload(&[("x", json!(1))]), remove }
}

/// The operations that wait: the key of each, and whether it deletes what was written.
fn waiting(flow: &Flow) -> Vec<(String, &'static str)> {
    let what = |op: &d365map::store::ClaimedOp| match (&op.work, op.known) {
        (Work::Delete, true) => "delete",
        (Work::Delete, false) => "nothing",
        (Work::Upsert(_), false) => "create",
        (Work::Upsert(_), true) => "update",
        (Work::Refetch, _) => "read",
    };
    let mut found: Vec<_> = flow.claim(10).iter().map(|op| (op.key.clone(), what(op))).collect();
    found.sort();
    found
}

fn a_record_with_another_key_leaves_the_one_under_its_old_key_as_a_deletion_would(store: New) {
    let is = |found: Vec<(String, &'static str)>, wanted: &[(&str, &'static str)]| {
        assert_eq!(found.iter().map(|(key, what)| (key.as_str(), *what)).collect::<Vec<_>>(), wanted);
    };
    for (remove, wanted) in [(true, &[("K-1", "delete"), ("K-2", "create")][..]), (false, &[("K-2", "create")])] {
        let flow = Flow::in_delta(store);
        flow.write_all(vec![rekeyed("a", "K-1", remove)]);
        assert_eq!(flow.page(vec![rekeyed("a", "K-1", remove)]).unchanged, 1, "the same key");
        assert_eq!(flow.page(vec![rekeyed("a", "K-2", remove)]).deletes_queued, u64::from(remove));
        is(waiting(&flow), wanted);
    }
    // What only waits under the old key is not written.
    let flow = Flow::in_delta(store);
    flow.page(vec![rekeyed("a", "K-1", false)]);
    flow.page(vec![rekeyed("a", "K-2", false)]);
    is(waiting(&flow), &[("K-1", "nothing"), ("K-2", "create")]);
    // Two records that exchange their keys.
    let flow = Flow::in_delta(store);
    flow.write_all(vec![rekeyed("a", "K-1", true), rekeyed("b", "K-2", true)]);
    flow.page(vec![rekeyed("a", "K-2", true), rekeyed("b", "K-1", true)]);
    is(waiting(&flow), &[("K-1", "update"), ("K-2", "update")]);
    // A deletion takes what is left under every key.
    let flow = Flow::in_delta(store);
    flow.write_all(vec![rekeyed("a", "K-1", false)]);
    flow.write_all(vec![rekeyed("a", "K-2", false)]);
    assert_eq!(flow.page(vec![tombstone("a")]).deletes_queued, 2);
}

// --- the end of a full load -------------------------------------------------------------------------------------------------

fn after_a_first_load(store: New, ids: &[&str]) -> Flow {
    let flow = Flow::new(store);
    flow.write_all(ids.iter().map(|id| upsert(id, &[("x", json!(1))])).collect());
    flow.end_of_load(vec![], Unseen::Delete);
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    flow
}

fn a_full_load_deletes_what_it_did_not_see_and_nothing_else(store: New) {
    let flow = after_a_first_load(store, &["same", "changed", "gone", "rejected", "filtered"]);
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

fn a_full_load_removes_the_dead_letters_of_records_that_are_gone_and_keeps_all_others(store: New) {
    for unseen in [Unseen::Delete, Unseen::Keep] {
        let flow = after_a_first_load(store, &["written"]);
        flow.end_of_load(vec![], Unseen::Keep);
        flow.page(["gone", "rejected again", "filtered", "queued", "written"].map(reject).into());
        wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
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

fn a_deletion_from_before_a_rejection_leaves_no_dead_letter_once_a_full_load_misses_the_record(store: New) {
    for (written, claimed) in [(false, false), (false, true), (true, false), (true, true)] {
        let flow = after_a_first_load(store, if written { &["a"] } else { &[] });
        flow.end_of_load(vec![], Unseen::Keep);
        if !written {
            flow.page(vec![upsert("a", &[("x", json!(1))])]);
        }
        flow.page(vec![tombstone("a")]);
        let early = if claimed { flow.claim(1) } else { Vec::new() };
        flow.page(vec![reject("a")]);
        wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
        flow.end_of_load(vec![upsert("b", &[("x", json!(1))])], Unseen::Delete);
        flow.settle(early.iter().map(|op| op.deleted()).collect());
        for op in flow.claim(10) {
            flow.settle(vec![if matches!(op.work, Work::Delete) { op.deleted() } else { op.written(true) }]);
        }
        assert!(dead_letters(&flow).is_empty(), "written {written}, claimed {claimed}");
    }
}

fn a_full_load_that_returns_nothing_removes_no_dead_letters(store: New) {
    let flow = after_a_first_load(store, &[]);
    flow.end_of_load(vec![reject("a")], Unseen::Delete);
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    flow.end_of_load(vec![], Unseen::Delete);
    assert_eq!(dead_letters(&flow).len(), 1);
}

fn a_write_that_fails_after_the_record_was_deleted_leaves_a_dead_letter_only_until_the_next_full_load(store: New) {
    let flow = after_a_first_load(store, &[]);
    flow.end_of_load(vec![upsert("a", &[("x", json!(1))]), upsert("b", &[("x", json!(1))])], Unseen::Delete);
    for op in flow.claim(10) {
        flow.settle(vec![op.failed(failure("refused"), false)]);
    }
    assert_eq!(dead_letters(&flow).len(), 2);
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    flow.end_of_load(vec![upsert("b", &[("x", json!(1))])], Unseen::Delete);
    let kept: Vec<_> = dead_letters(&flow).into_iter().map(|letter| letter.source_id).collect();
    assert_eq!(kept, ["b"], "it waits to be written again");
}

fn a_full_load_leaves_what_it_did_not_see_alone_where_deletes_are_ignored(store: New) {
    let flow = after_a_first_load(store, &["gone"]);
    let outcome = flow.end_of_load(vec![], Unseen::Keep);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (0, 0));
    assert_eq!(wait(flow.stores.control.status()).unwrap().mappings[0].ledger_rows, 1);
}

fn a_full_load_also_deletes_what_was_queued_before_it_and_is_gone_since(store: New) {
    let flow = after_a_first_load(store, &[]);
    flow.end_of_load(vec![upsert("under way", &[("x", json!(1))])], Unseen::Delete);
    let under_way = flow.claim_one();
    flow.page(vec![upsert("waiting", &[("x", json!(1))]), upsert("still there", &[("x", json!(1))])]);
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    let outcome = flow.end_of_load(vec![upsert("still there", &[("x", json!(1))])], Unseen::Delete);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (2, 4));
    flow.settle(vec![under_way.written(true)]);
    let ops = flow.claim(10);
    let works: Vec<_> = ops.iter().map(|op| (op.key.as_str(), matches!(op.work, Work::Delete))).collect();
    assert_eq!(works, [("K-waiting", true), ("K-still there", false), ("K-under way", true)]);
}

fn a_write_of_an_older_load_that_is_acknowledged_late_is_not_swept_when_the_record_was_seen(store: New) {
    let flow = after_a_first_load(store, &[]);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    let late = flow.claim_one();
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    flow.settle(vec![late.written(true)]);
    assert_eq!(flow.end_of_load(vec![], Unseen::Delete).unseen_deleted, 0);
}

fn a_full_load_that_did_not_see_a_record_makes_a_refetch_of_it_read_again(store: New) {
    let flow = after_a_first_load(store, &["a"]);
    flow.end_of_load(vec![reject("a")], Unseen::Delete);
    wait(flow.stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap();
    let refetch = flow.claim_one();
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    assert_eq!(flow.end_of_load(vec![], Unseen::Delete).unseen_deleted, 1);
    let read_before_it_went = upsert("a", &[("x", json!(2))]);
    assert_eq!(
        wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, refetch.seq, read_before_it_went, PageTimes::default(), false)).unwrap(),
        RefetchOutcome::Superseded
    );
    assert!(matches!(flow.claim_one().work, Work::Delete));
}

fn a_deletion_that_waits_already_is_not_counted_as_found_by_the_full_load(store: New) {
    let flow = after_a_first_load(store, &[]);
    flow.end_of_load(vec![upsert("under way", &[("x", json!(1))]), upsert("written", &[("x", json!(1))])], Unseen::Delete);
    let ops = flow.claim(2);
    flow.settle(vec![ops[1].written(true)]);
    flow.page(vec![tombstone("under way"), tombstone("written")]);
    wait(flow.stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
    let outcome = flow.end_of_load(vec![], Unseen::Delete);
    assert_eq!((outcome.unseen_deleted, outcome.backlog), (0, 3));
}

rules![
    a_page_read_from_an_old_cursor_changes_nothing_at_all,
    a_flow_begins_with_a_full_load_and_goes_on_with_deltas_and_keeps_its_link_when_none_comes,
    a_source_without_change_tracking_is_read_in_full_again_and_again,
    an_expired_link_restarts_the_load_and_an_unfinished_first_load_stays_a_first_load,
    an_upsert_that_equals_the_last_write_is_not_queued,
    an_upsert_that_equals_the_last_write_is_queued_while_an_older_value_waits_or_is_under_way,
    an_initial_field_goes_with_creation_first_load_and_replay_and_not_with_an_increment,
    a_rewriting_replay_sends_what_equals_the_last_write,
    a_field_that_the_plan_has_gained_makes_a_record_changed,
    a_partial_write_leaves_the_other_paths_known,
    a_record_created_again_at_the_target_is_known_by_its_new_values_only,
    a_dry_run_compares_and_changes_nothing,
    changes_of_a_waiting_record_coalesce_and_keep_its_place_in_the_order,
    a_delete_wins_over_a_waiting_upsert_and_an_upsert_over_a_waiting_delete,
    an_increment_that_coalesces_with_an_initial_load_still_writes_initial_fields,
    a_newer_operation_waits_until_the_one_under_way_on_the_same_record_is_settled,
    a_postponed_operation_is_not_claimed_before_its_time_and_merges_the_newer_one_after_it,
    a_tombstone_for_an_unknown_id_is_a_no_op,
    a_tombstone_finds_its_key_in_the_ledger_or_in_the_outbox,
    a_record_that_leaves_the_filter_is_kept_or_deleted_as_the_mapping_says,
    a_tombstone_does_not_delete_a_target_record_that_another_source_record_has_taken_over,
    a_record_with_another_key_leaves_the_one_under_its_old_key_as_a_deletion_would,
    a_full_load_deletes_what_it_did_not_see_and_nothing_else,
    a_full_load_removes_the_dead_letters_of_records_that_are_gone_and_keeps_all_others,
    a_deletion_from_before_a_rejection_leaves_no_dead_letter_once_a_full_load_misses_the_record,
    a_full_load_that_returns_nothing_removes_no_dead_letters,
    a_write_that_fails_after_the_record_was_deleted_leaves_a_dead_letter_only_until_the_next_full_load,
    a_full_load_leaves_what_it_did_not_see_alone_where_deletes_are_ignored,
    a_full_load_also_deletes_what_was_queued_before_it_and_is_gone_since,
    a_write_of_an_older_load_that_is_acknowledged_late_is_not_swept_when_the_record_was_seen,
    a_full_load_that_did_not_see_a_record_makes_a_refetch_of_it_read_again,
    a_deletion_that_waits_already_is_not_counted_as_found_by_the_full_load,
];
