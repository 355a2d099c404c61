//! Replays: all records of a mapping are read and compared again.

use crate::app::{CommandError, limits, runtime, state};
use crate::plan::{ExecutionPlan, IngressFlow};
use crate::project::Project;
use crate::run::workflows;
use crate::store::Access;

/// The mapping of this name, which must be one that can be replayed.
///
/// # Errors
/// There is no such mapping, or it is another kind of workflow.
pub fn replayable<'p>(plan: &'p ExecutionPlan, name: &str) -> Result<&'p IngressFlow, CommandError> {
    if let Some(flow) = plan.flow(name) {
        return Ok(flow);
    }
    if workflows(plan).iter().any(|w| w.name == name) {
        return Err(CommandError::usage(format!(
            "`{name}` is not a mapping to Campaign; opt-outs and events are not replayed (`d365map optout reconcile` compares, `d365map events repair` reads a history)"
        )));
    }
    let known: Vec<String> = plan.ingress.iter().map(|f| format!("`{}`", f.name)).collect();
    Err(CommandError::usage(format!("there is no mapping `{name}`; the plan has {}", known.join(", "))))
}

/// Notes that the next start of a mapping reads all of its records again; a process that watches it restarts it at once. Blocks.
///
/// # Errors
/// The mapping cannot be replayed, there are too many records, or the state cannot be written.
pub fn request_replay(project: &Project, flow: &IngressFlow, ignore_limits: bool) -> Result<(), CommandError> {
    if !ignore_limits {
        limits::refuse_replay(project, flow)?;
    }
    Ok(runtime()?.block_on(async { state::open(project, Access::Write).await?.control.request_replay(&flow.name).await })?)
}
