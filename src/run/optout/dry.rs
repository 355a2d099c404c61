//! A dry run of opt-outs: both sides are read on from where the workflow is, into a copy of its state, and nothing is written.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Reconciliation, compare, name_of};
use crate::plan::ExecutionPlan;
use crate::run::{Options, RunError, Services, binding};
use crate::store::Stores;

/// Finds out what a run would write of opt-outs, in either direction and with reversals. `store` is the state as it is, opened for reading;
/// an empty one in memory if there is none yet.
///
/// # Errors
/// [`RunError`].
pub async fn dry_run(
    plan: &Arc<ExecutionPlan>,
    services: &Services,
    stores: &Stores,
    options: &Options,
    stop: &CancellationToken,
) -> Result<Vec<Reconciliation>, RunError> {
    let mut reports = Vec::new();
    let found = binding::find(plan, stores).await?;
    for (index, flow) in plan.optouts.iter().enumerate() {
        let name = name_of(flow);
        if options.mappings.as_ref().is_none_or(|names| names.contains(&name)) {
            let before = found.name_in_state(&name);
            let copy = stores.previews.copy_of_optouts(before).await?;
            if before != name {
                copy.control.rename_workflow(before, &name).await?;
            }
            reports.push(compare(plan, services, options, index, copy, stop).await?);
        }
    }
    Ok(reports)
}
