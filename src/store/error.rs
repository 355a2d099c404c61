//! What can go wrong with a store, with the remedy in the text.

use std::fmt;
use std::path::Path;

use super::{Holder, MassChange, Side};
use crate::count::counted;
use crate::system::SystemId;

/// Where a state is, in the words of the store that keeps it: the path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace(String);

impl From<&Path> for StorePlace {
    fn from(path: &Path) -> StorePlace {
        StorePlace(path.display().to_string())
    }
}

impl From<&str> for StorePlace {
    fn from(place: &str) -> StorePlace {
        StorePlace(place.to_owned())
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error of the durable state. Nothing was changed when one is returned: every method is one transaction.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state cannot be created or opened.
    #[error("cannot open the state in {place}: {source}; check that the folder exists and may be written to, or set another `state` path")]
    Io {
        /// Where it is.
        place: StorePlace,
        /// What the system said.
        source: std::io::Error,
    },
    /// The place of the state, or of its lock, leads to something that must not be written to.
    #[error("{place} {what}; {fix}")]
    Unsafe {
        /// Where it is.
        place: StorePlace,
        /// What it is.
        what: String,
        /// What to do.
        fix: String,
    },
    /// A command that only reads found no state.
    #[error("there is no state in {place}; the first `d365map run` creates it")]
    NotFound {
        /// Where it was looked for.
        place: StorePlace,
    },
    /// Another runner holds the state.
    #[error("the state in {place} is in use by {holder}; stop that run first, or give this one another `state` path")]
    InUse {
        /// Where it is.
        place: StorePlace,
        /// Who holds it.
        holder: Holder,
    },
    /// A workflow was to be dropped that keeps opt-outs of which nothing else has a copy.
    #[error(
        "`{name}` keeps the opt-outs of {count} deleted profiles, and nothing else has a copy of them: if one of these contacts came back, it would get email again. To keep them, give its state to another mapping: `d365map state rename {name} NEW`"
    )]
    KeepsOptOuts {
        /// The workflow.
        name: String,
        /// Contacts whose opt-outs are kept.
        count: i64,
    },
    /// A run was asked for on a store that was opened without the run lock.
    #[error("the state in {place} was opened without its run lock, so no run can start on it")]
    NotLocked {
        /// Where it is.
        place: StorePlace,
    },
    /// The state was written by a newer version of this program.
    #[error(
        "the state in {place} has format {found}, this version supports up to {known}; use the newer d365map that wrote it, or another `state` path"
    )]
    NewerFormat {
        /// Where it is.
        place: StorePlace,
        /// The format of the state.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The state is older than this program, and was opened for reading only.
    #[error("the state in {place} has the older format {found} (now {known}); the next `d365map run` brings it up to date")]
    OlderFormat {
        /// Where it is.
        place: StorePlace,
        /// The format of the state.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// There is a database, but not one of ours.
    #[error("{place} is a database of another program; set another `state` path")]
    Foreign {
        /// Where it is.
        place: StorePlace,
    },
    /// What keeps the store refused.
    #[error("the state in {place} failed to {doing}: {source}{}", kind.remedy())]
    Failed {
        /// Where it is.
        place: StorePlace,
        /// What was being done.
        doing: &'static str,
        /// What kind of failure it is.
        kind: FailureKind,
        /// What the library behind the store said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state holds something that this program never writes.
    #[error("the state is damaged: {what}; restore it from a copy, or remove it: the next run then loads everything again")]
    Damaged {
        /// What was found where.
        what: String,
    },
    /// The number of deletions, or of fields that would become empty, needs approval.
    #[error(
        "`{mapping}` stops before it writes: it would {change}. The cause may be a wrong filter, permission or environment. The held changes have not been written. If they are intended, run `d365map run --approve-mass-change {mapping}` (beside a watch: `d365map start {mapping} --approve-mass-change`). If not, correct the cause and read everything again with `d365map replay {mapping}`"
    )]
    MassChange {
        /// The workflow.
        mapping: String,
        /// What it would do.
        change: Box<MassChange>,
    },
    /// The project connects to other services than those that the state belongs to.
    #[error(
        "the state in {place} belongs to {} at {}, but the project connects to {} at {}. Nothing was read or written. If the address in the project file is wrong, correct it; for another environment set another `state` path; `d365map state rebind` moves this state to the new environment on purpose",
        system.title(), sides[0], system.title(), sides[1]
    )]
    OtherEnvironment {
        /// Where it is.
        place: StorePlace,
        /// The system.
        system: SystemId,
        /// The one that the state belongs to, then the one that the project connects to.
        sides: Box<[Side; 2]>,
    },
    /// A new workflow may be an old one under another name.
    #[error(
        "`{new}` is new, and the state still has `{name}` ({} at the target), which no mapping file has. `{new}` may be its new name, but {why}. Nothing was read or written. If it was renamed: `d365map state rename {name} {new}`; if not: `d365map state drop {name}`; `d365map state list` shows both",
        counted(*records, "record")
    )]
    Orphan {
        /// The old workflow.
        name: String,
        /// Its records at the target.
        records: u64,
        /// The new workflow.
        new: String,
        /// Why it is not certain.
        why: String,
    },
    /// A workflow that was renamed is running.
    #[error("`{new}` is the new name of `{name}`, which is still running: `d365map stop {name}` first")]
    Busy {
        /// The old name.
        name: String,
        /// The new name.
        new: String,
    },
    /// A workflow that the state does not have.
    #[error("the state has no workflow `{name}`; it has {}", list(known))]
    UnknownWorkflow {
        /// The name.
        name: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The new name of a workflow is another one's.
    #[error("the state has a workflow `{name}` already; `d365map state drop {name}` removes what it knows of that one")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A page was committed from a cursor that is no longer the current one.
    #[error("the cursor of `{mapping}` has moved since this page was read ({detail}); nothing was changed, read the cursor again")]
    CursorMoved {
        /// The flow.
        mapping: String,
        /// What differs.
        detail: String,
    },
    /// An answer does not fit the operation that it answers: a fault of the caller.
    #[error("operation {seq} is `{op}` and cannot be settled as `{result}`")]
    Misfit {
        /// The operation's number.
        seq: i64,
        /// What it was.
        op: &'static str,
        /// What was reported.
        result: &'static str,
    },
    /// A person cannot be forgotten while a running process writes something of theirs.
    #[error(
        "an operation of `{key}` is in flight in {holder}, and nothing was changed; try again in a moment, or `d365map stop --all` first"
    )]
    InFlight {
        /// Who.
        key: String,
        /// The process.
        holder: Holder,
    },
    /// A key that belongs to several source records.
    #[error("`{key}` is the key of several records, and nothing was changed; name the one that is meant: {}", records.join(", "))]
    Ambiguous {
        /// The key.
        key: String,
        /// The source records.
        records: Vec<String>,
    },
    /// A background task that should have written the state did not end properly.
    #[error("the task that writes the state ended early: {0}")]
    Task(String),
}

impl StoreError {
    /// Whether only a person can remove the reason. What the disk or another program does to the state passes: a full disk, a
    /// lock, rights that are being changed.
    pub fn needs_person(&self) -> bool {
        match self {
            StoreError::Failed { kind, .. } => *kind == FailureKind::Damaged,
            StoreError::Io { .. } | StoreError::InUse { .. } | StoreError::CursorMoved { .. } | StoreError::Task(_) => false,
            StoreError::InFlight { .. } => false,
            StoreError::NotFound { .. }
            | StoreError::NotLocked { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::OlderFormat { .. }
            | StoreError::Foreign { .. }
            | StoreError::Damaged { .. }
            | StoreError::MassChange { .. }
            | StoreError::Misfit { .. }
            | StoreError::Ambiguous { .. }
            | StoreError::OtherEnvironment { .. }
            | StoreError::Orphan { .. }
            | StoreError::Busy { .. }
            | StoreError::UnknownWorkflow { .. }
            | StoreError::NameTaken { .. }
            | StoreError::KeepsOptOuts { .. }
            | StoreError::Unsafe { .. } => true,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") }
}

/// What kind of failure of a store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Another program or process keeps it locked.
    Busy,
    /// There is no room for it.
    Full,
    /// The disk fails.
    Disk,
    /// It may not be read or written.
    Denied,
    /// It is damaged, or is not a store.
    Damaged,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// What to do, as the end of a sentence.
    fn remedy(self) -> &'static str {
        match self {
            FailureKind::Busy => "; another program keeps it locked: close it and try again",
            FailureKind::Full => "; free some space on that disk",
            FailureKind::Disk => "; check that disk and its free space",
            FailureKind::Denied => "; check the rights on the file and its folder",
            FailureKind::Damaged => "; restore it from a copy, or remove it: the next run then loads everything again",
            FailureKind::Other => "",
        }
    }
}
