//! What the tests of the state share: one flow on one file.

use std::path::{Path, PathBuf};

use d365map::state::{
    Absence, Change, ClaimedOp, Cursor, CursorMove, Failure, PageCommit, PageOutcome, Payload, Recovery, RunId, RunKind, SettleOutcome,
    Settlement, Store, Unseen, Work,
};
use d365map::time::{Instant, now};
use serde_json::Value;

pub const FLOW: &str = "contacts";

/// A flow of a run on a store.
pub struct Flow {
    pub store: Store,
    pub run: RunId,
    pub recovery: Recovery,
    pub rewrite: bool,
}

impl Flow {
    pub fn open(path: &Path) -> Flow {
        Flow::on(Store::open_for_run(path).unwrap())
    }

    pub fn on(store: Store) -> Flow {
        let (run, recovery) = store.start_run(RunKind::Once, &[FLOW.to_owned()]).unwrap();
        Flow { store, run, recovery, rewrite: false }
    }

    /// A flow past its (empty) first load.
    pub fn in_delta() -> Flow {
        let flow = Flow::on(Store::in_memory().unwrap());
        flow.end_of_load(vec![], Unseen::Keep);
        flow
    }

    pub fn cursor(&self) -> Cursor {
        self.store.cursor_or_first(FLOW, "plan-1").unwrap()
    }

    pub fn commit(&self, changes: Vec<Change>, to: CursorMove) -> PageOutcome {
        let page = PageCommit {
            run: self.run,
            mapping: FLOW.to_owned(),
            from: self.cursor(),
            changes,
            rewrite: self.rewrite,
            times: d365map::state::PageTimes::default(),
            guard: None,
            to,
        };
        self.store.commit_page(page).unwrap()
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
        self.store.claim(self.run, FLOW, limit, at).unwrap()
    }

    pub fn claim_one(&self) -> ClaimedOp {
        let mut ops = self.claim(2);
        assert_eq!(ops.len(), 1, "{ops:?}");
        ops.remove(0)
    }

    pub fn settle(&self, settlements: Vec<Settlement>) -> SettleOutcome {
        self.store.settle(self.run, settlements).unwrap()
    }

    /// Takes in these values and writes all that waits, as creations or deletions.
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
        self.store.backlog_size(FLOW).unwrap()
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
