//! What the tests of the state share: one flow on one file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use d365map::store::{
    Absence, Change, ClaimedOp, Cursor, CursorMove, DeadLetter, DeadLetterFilter, Failure, PageCommit, PageOutcome, Payload, Recovery,
    RunId, RunKind, SettleOutcome, Settlement, Stores, Unseen, Work,
};
use d365map::time::{Instant, now};
use serde_json::Value;

use crate::conformance::{Factory, New, OnDisk, wait};

pub const FLOW: &str = "contacts";

/// A flow of a run on a store.
pub struct Flow {
    factory: Box<dyn Factory>,
    pub stores: Stores,
    pub run: RunId,
    pub recovery: Recovery,
    pub rewrite: bool,
}

impl Flow {
    /// A flow on an empty store.
    pub fn new(store: New) -> Flow {
        Flow::started(store(), Duration::ZERO)
    }

    /// A flow on a state file.
    pub fn open(path: &Path) -> Flow {
        Flow::started(Box::new(OnDisk::at(path)), Duration::ZERO)
    }

    /// A flow past its (empty) first load.
    pub fn in_delta(store: New) -> Flow {
        let flow = Flow::new(store);
        flow.end_of_load(vec![], Unseen::Keep);
        flow
    }

    fn started(mut factory: Box<dyn Factory>, request_lifetime: Duration) -> Flow {
        let stores = factory.open();
        Flow::on(factory, stores, request_lifetime)
    }

    fn on(factory: Box<dyn Factory>, stores: Stores, request_lifetime: Duration) -> Flow {
        let (run, recovery) = wait(stores.runs.start_run(RunKind::Once, &[FLOW.to_owned()], request_lifetime)).unwrap();
        Flow { factory, stores, run, recovery, rewrite: false }
    }

    /// Another run of the same process.
    pub fn next_run(self) -> Flow {
        Flow::on(self.factory, self.stores, Duration::ZERO)
    }

    /// The process dies, and another one begins a run.
    pub fn after_a_crash(self, request_lifetime: Duration) -> Flow {
        let Flow { factory, stores, .. } = self;
        drop(stores);
        Flow::started(factory, request_lifetime)
    }

    /// How many rows the ledger and the outbox have, counted without the store.
    pub fn rows(&self) -> Option<(u64, u64)> {
        self.factory.rows()
    }

    pub fn cursor(&self) -> Cursor {
        wait(self.stores.cursors.cursor_or_first(FLOW, "plan-1")).unwrap()
    }

    pub fn commit(&self, changes: Vec<Change>, to: CursorMove) -> PageOutcome {
        let page = PageCommit {
            run: self.run,
            mapping: FLOW.to_owned(),
            from: self.cursor(),
            changes,
            rewrite: self.rewrite,
            times: d365map::store::PageTimes::default(),
            guard: None,
            to,
        };
        wait(self.stores.cursors.commit_page(page)).unwrap()
    }

    /// A page in the middle of a round.
    pub fn page(&self, changes: Vec<Change>) -> PageOutcome {
        self.commit(changes, CursorMove::Next("next".into()))
    }

    /// The last page of a round.
    pub fn end_of_load(&self, changes: Vec<Change>, unseen: Unseen) -> PageOutcome {
        self.commit(changes, CursorMove::RoundEnd { link: Some("delta".into()), unseen })
    }

    pub fn claim(&self, limit: usize) -> Vec<ClaimedOp> {
        self.claim_at(limit, now())
    }

    pub fn claim_at(&self, limit: usize, at: Instant) -> Vec<ClaimedOp> {
        wait(self.stores.outbox.claim(self.run, FLOW, limit, at)).unwrap()
    }

    pub fn claim_one(&self) -> ClaimedOp {
        let mut ops = self.claim(2);
        assert_eq!(ops.len(), 1, "{ops:?}");
        ops.remove(0)
    }

    pub fn settle(&self, settlements: Vec<Settlement>) -> SettleOutcome {
        wait(self.stores.outbox.settle(self.run, settlements)).unwrap()
    }

    /// Stores these values and writes the backlog, as creations or deletions.
    pub fn write_all(&self, changes: Vec<Change>) {
        self.page(changes);
        loop {
            let ops = self.claim(100);
            if ops.is_empty() {
                return;
            }
            self.settle(ops.iter().map(|op| if matches!(op.work, Work::Delete) { op.deleted() } else { op.written(!op.known) }).collect());
        }
    }

    pub fn backlog(&self) -> u64 {
        wait(self.stores.outbox.backlog_size(FLOW)).unwrap()
    }
}

/// `(path, value)`; a path that begins with `@` is an initial one.
pub fn payload(fields: &[(&str, Value)]) -> Payload {
    let mut payload = Payload::default();
    for (path, value) in fields {
        payload.push_value(path.trim_start_matches('@'), value, path.starts_with('@')).unwrap();
    }
    payload
}

/// An upsert of the source record `id`, whose key is `K-id`.
pub fn upsert(id: &str, fields: &[(&str, Value)]) -> Change {
    Change::Upsert { source_id: id.into(), key: format!("K-{id}"), payload: payload(fields) }
}

pub fn tombstone(id: &str) -> Change {
    Change::Absent { source_id: id.into(), why: Absence::Deleted, remove: true }
}

pub fn filtered_out(id: &str, remove: bool) -> Change {
    Change::Absent { source_id: id.into(), why: Absence::FilteredOut, remove }
}

pub fn reject(id: &str) -> Change {
    Change::Reject { source_id: id.into(), key: Some(format!("K-{id}")), failure: failure("too-long") }
}

pub fn failure(code: &str) -> Failure {
    Failure { code: code.into(), message: format!("it is {code}"), ..Failure::default() }
}

/// The paths and values that a worker would send.
pub fn sent(op: &ClaimedOp, create: bool) -> Vec<(String, String)> {
    op.write_set(create).map(|field| (field.path.to_string(), field.value.get().to_owned())).collect()
}

pub fn field(path: &str, json: &str) -> (String, String) {
    (path.to_owned(), json.to_owned())
}

pub struct TempFile {
    _dir: tempfile::TempDir,
    pub path: PathBuf,
}

pub fn temp_file() -> TempFile {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub").join("state.db");
    TempFile { _dir: dir, path }
}

/// Puts a flow at the start of a replay.
pub fn replay(stores: &Stores, flow: &str, plan_fingerprint: &str) -> Cursor {
    wait(stores.control.request_replay(flow)).unwrap();
    wait(stores.control.take_replay(flow, plan_fingerprint)).unwrap().unwrap()
}

pub fn dead_letters(flow: &Flow) -> Vec<DeadLetter> {
    wait(flow.stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 100)).unwrap()
}
