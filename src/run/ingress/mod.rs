//! Ingress: records of a Dynamics table to a Campaign resource.
//!
//! ```text
//! Dataverse page ─▶ evaluate ─▶ state (outbox + cursor, one transaction) ─▶ workers ─▶ Campaign
//!      reader.rs                                                            writer.rs
//! ```
//!
//! Reader and writer of a flow run side by side and know each other only by the state: a process that dies between any two
//! instructions is resumed from there.

mod adopt;
mod adopt_dry;
mod body;
mod dry;
mod due;
mod ended;
mod leftovers;
mod paging;
mod reader;
mod related;
mod show;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::TimeDelta;

pub use adopt_dry::DryAdoption;
pub use dry::DryFlow;
pub(super) use dry::dry_flow;
pub(super) use leftovers::leftovers;
pub use reader::{outline, payload};
pub use show::{FieldChange, Shown, ShownField, ShownRecord, ShownRecords, ShownResult, ShownSource, show};

use super::calls::CallKind;
use super::optout::announce_topics;
use super::{Context, Pace, RunError};
use crate::engine::refusals::Denials;
use crate::engine::signals::Signals;
use crate::plan::IngressFlow;
use crate::store::WrittenPath;
use crate::systems::{Source, Target};

/// How long a delete is held at most for records that link to its own: their flow may have been stopped.
const LONGEST_HOLD: TimeDelta = TimeDelta::hours(24);

/// What reader and writer of one flow share.
struct Shared {
    context: Context,
    flow: usize,
    /// The target's attribute with the key.
    key: String,
    source: Arc<dyn Source>,
    target: Arc<dyn Target>,
    signals: Signals,
    /// The reader has come to the end of its round: what is held can be judged.
    round_over: AtomicBool,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
    /// Records of the target that get a key.
    adoptions: adopt::Adoptions,
}

impl Shared {
    fn flow(&self) -> &IngressFlow {
        &self.context.plan.ingress[self.flow]
    }
}

/// Reads what there is to read and writes it. `flow` counts in the plan's list.
pub(super) async fn round(context: Context, flow: usize) -> Result<(), RunError> {
    if let Pace::Watch { interval } = context.options.pace {
        // Deletes that were held for the records which link to theirs, where those had a round since. A run that goes through
        // once looks after them when all flows are through (leftovers.rs).
        let name = context.plan.ingress[flow].name.clone();
        let children = context.plan.ingress.iter().filter(|child| child.name != name && child.depends_on.contains(&name));
        let children: Vec<String> = children.map(|child| child.name.clone()).collect();
        let longest = context.now() - LONGEST_HOLD;
        let before = context.now() - TimeDelta::from_std(interval).unwrap_or_default();
        let since = match children.as_slice() {
            // Only records of the same table: they came with the same pages.
            [] => Some(before),
            children => context.stores.control.rounds_since(children).await?.map(|at| at.min(before)),
        };
        context.stores.outbox.let_deletes_go(&name, since.map_or(longest, |at| at.max(longest))).await?;
    }
    drop_unwritten(&context, flow).await?;
    announce_topics(&context, &context.plan.ingress[flow].name).await?;
    let shared = Arc::new(Shared {
        source: context.services.source(&context.plan.ingress[flow])?,
        target: context.services.target(&context.plan.ingress[flow])?,
        key: context.plan.ingress[flow].key.path.join("."),
        context,
        flow,
        signals: Signals::default(),
        round_over: AtomicBool::new(false),
        denials: Denials::default(),
        adoptions: adopt::Adoptions::default(),
    });
    let reading = async {
        let result = reader::read(&shared).await;
        shared.signals.end_reading();
        result
    };
    let (read, written) = tokio::join!(reading, writer::write(shared.clone()));
    read.and(written)
}

/// Takes the fields out of what waits that the plan does not write, and the rows of tables out of the state that it does not follow. Once for
/// each plan of a process: the mapping may have been changed while records waited.
async fn drop_unwritten(context: &Context, flow: usize) -> Result<(), RunError> {
    let flow = &context.plan.ingress[flow];
    let fingerprint = flow.fingerprint();
    if context.memory.outbox_fits(&fingerprint) {
        return Ok(());
    }
    let programs = flow.fields.iter().chain(std::iter::once(&flow.key));
    let written = programs.map(|program| WrittenPath { path: program.path.join("."), link: program.link().map(str::to_owned) }).collect();
    context.stores.outbox.drop_unwritten(&flow.name, written).await?;
    let tables = flow.related.tables.iter().map(|table| table.table.clone()).collect();
    context.stores.related.retain_related(&flow.name, tables).await?;
    context.memory.note_outbox_fits(fingerprint);
    Ok(())
}
