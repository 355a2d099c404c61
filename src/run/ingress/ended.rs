//! How an operation of the outbox ends: what the builder of bodies and the writer tell each other.

use crate::engine::refusals::Unclear;
use crate::run::RunError;
use crate::run::calls::CallKind;
use crate::store::{RefetchOutcome, Settlement};

/// How one operation ends.
pub(super) enum Ended {
    /// To be handed to the state.
    Settle(Settlement, Tally),
    /// A refetch, which the state has already stored.
    Refetched(RefetchOutcome),
    /// A refusal that may be about this record or about all.
    Unclear(Settlement, Box<Unclear<CallKind>>),
    /// The run ends; the operation was not carried out.
    Abort(Settlement, RunError),
}

/// What an operation counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tally {
    /// Created or updated by a call; the state counts which.
    Call,
    /// The target has these values already.
    NoCall,
    /// Deleted by a call.
    Deleted,
    /// Deleted before it was ever written.
    NothingToDelete,
    /// Not tried: the target does not have a record that it links to.
    Waits,
    /// Refused permanently.
    Failed,
    /// Postponed after this number of attempts.
    Retried { attempts: u32 },
}
