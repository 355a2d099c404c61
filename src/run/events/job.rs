//! What is to be written: rows of a table, with what goes along with them, and what an error means for them.

use uuid::Uuid;

use super::sizes::BatchSizes;
use super::target::EventTable;
use crate::connect::ConnectError;
use crate::engine::policy::{self, Action, Doubt, Scope};
use crate::engine::refusals::{Denials, Unclear};
use crate::run::calls::CallKind;
use crate::systems::Activity;

/// The part of the rows of a bulk request that a request has for a table without bulk requests. Dataverse's documents advise small ones.
const PARTS: usize = 5;

/// A row that is to be made.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) contact: Uuid,
    pub(super) activity: Activity,
    /// The row of its follow-up task, which may be made in the same request.
    pub(super) task: Option<Activity>,
}

/// How rows are made.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) table: &'a EventTable,
    /// The table of the rows' tasks.
    pub(super) tasks: Option<&'a EventTable>,
    /// Whether the rows are to be completed.
    pub(super) completed: bool,
    pub(super) calls: Calls<'a>,
}

impl Job<'_> {
    /// The rows of one request.
    pub(super) fn rows(&self) -> usize {
        let rows = self.calls.sizes.rows(self.calls.kind);
        if self.table.table.bulk { rows } else { rows.div_ceil(PARTS) }
    }

    /// Returns the number of rows of a bulk request for which a request with this many rows counts.
    pub(super) fn rows_of(&self, rows: usize) -> usize {
        if self.table.table.bulk { rows } else { rows * PARTS }
    }
}

/// The kind of a call, how often its kind was denied, and how many rows it carries.
#[derive(Clone, Copy)]
pub(super) struct Calls<'a> {
    pub(super) kind: CallKind,
    pub(super) denials: &'a Denials<CallKind>,
    pub(super) sizes: &'a BatchSizes,
}

/// A refusal that may be about some rows or about all.
pub(super) fn unclear(doubt: Doubt, call: CallKind, error: ConnectError) -> Unclear<CallKind> {
    // The service is asked for any record, not for one of these rows: they need no key.
    Unclear { doubt, call, key: String::new(), error }
}

/// What a write's error means here.
pub(super) enum Meaning {
    /// Rows of the request may be there already, or may have been made by it.
    Look,
    /// A row binds a record that does not exist, or is faulty in another way.
    Row,
    /// It may be about one row or about all.
    Doubt(Doubt),
    /// Try again later.
    Moment,
    /// End.
    Run,
}

pub(super) fn meaning(error: &ConnectError) -> Meaning {
    // A row that is there already, or may be, is looked up before anything else is concluded.
    if matches!(error, ConnectError::Duplicate { .. } | ConnectError::OutcomeUnknown { .. }) {
        return Meaning::Look;
    }
    match (policy::doubt(error), policy::action(error, Scope::Record)) {
        (Some(doubt), _) => Meaning::Doubt(doubt),
        (None, Action::Reject) => Meaning::Row,
        (None, Action::Retry { .. }) => Meaning::Moment,
        (None, Action::Stop | Action::Pause) => Meaning::Run,
    }
}
