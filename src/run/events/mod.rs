//! Events: Campaign's email events to activities on the timelines of contacts.
//!
//! ```text
//! journal ────────┐
//! delivery logs ──┼─▶ one event, once ─▶ state (event + mark, one transaction) ─▶ batches ─▶ Dataverse
//! tracking logs ──┘   event.rs           source.rs                                writer.rs
//! ```
//!
//! Each source gives events at least once, and several give the same ones. What tells an event apart is in `event.rs`; the state keeps
//! it. An activity's id follows from its event, so that writing it again cannot make a second one.

mod batch;
mod dry;
mod event;
mod job;
mod repair;
mod request;
mod rows;
mod sizes;
mod source;
mod target;
mod trial;
mod writer;

use std::sync::Arc;

use super::{Context, RunError};
use crate::engine::signals::Signals;
use crate::plan::EventFlow;

pub use dry::DryEvents;
pub(super) use dry::dry_run;
pub use repair::{Repair, repair_events};

/// What readers and writer of one flow share.
struct Shared {
    context: Context,
    flow: usize,
    signals: Signals,
    /// Events that wait for their type to be switched on again. Their number does not change during a round, and they do not take room from other events.
    aside: u64,
}

impl Shared {
    fn new(context: Context, flow: usize) -> Shared {
        Shared { context, flow, signals: Signals::default(), aside: 0 }
    }

    /// The names of the types that are switched on.
    fn kinds(&self) -> Vec<&'static str> {
        self.flow().types.iter().map(|kind| kind.name()).collect()
    }

    fn flow(&self) -> &EventFlow {
        &self.context.plan.events[self.flow]
    }
}

/// Reads what there is to read and writes it. `flow` counts in the plan's list.
pub(super) async fn round(context: Context, flow: usize) -> Result<(), RunError> {
    let mut shared = Shared::new(context, flow);
    let (events, name) = (shared.context.stores.events.clone(), shared.flow().name.clone());
    events.begin_events(&name).await?;
    shared.aside = events.events_aside(&name, &shared.kinds()).await?;
    let mut prune = Some(i64::MIN);
    while let Some(from) = prune
        && !shared.context.stop.is_cancelled()
    {
        prune = events.prune_events(from).await?;
    }
    let shared = Arc::new(shared);
    let reading = async {
        // The journal is the one service that the sources ask.
        let result = source::read(&shared).await.map_err(|error| match error {
            RunError::Service(error) => RunError::Journal(error),
            other => other,
        });
        shared.signals.end_reading();
        result
    };
    let (read, written) = tokio::join!(reading, writer::write(shared.clone()));
    super::both(read, written)
}
