//! The differences between the opt-outs of both sides, and what is decided about them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::{CommandError, options, state};
use crate::plan::{Direction, ExecutionPlan, OptoutFlow};
use crate::project::Project;
use crate::run::{Pace, Reconciliation, Services, check_environment, decide_reconciliation, reconcile};
use crate::store::{Approval, StoreError, Stores};

/// Makes sure that a plan has opt-outs.
///
/// # Errors
/// It has none.
pub fn need_optouts(plan: &ExecutionPlan) -> Result<(), CommandError> {
    if plan.optouts.is_empty() {
        return Err(CommandError::usage("no mapping has an opt-out block; write `optout NAME { direction bidirectional … }`"));
    }
    Ok(())
}

/// The first opt-outs of a mapping, or of all without a name, whose differences cannot be left as they are: they do not go from Dynamics
/// to Campaign alone, so an opt-out of either side goes over to the other.
pub fn cannot_be_left<'p>(plan: &'p ExecutionPlan, mapping: Option<&str>) -> Option<&'p OptoutFlow> {
    plan.optouts.iter().find(|flow| flow.direction != Direction::D365ToCampaign && mapping.is_none_or(|name| *name == flow.mapping))
}

/// Reads both sides and tells what they disagree about, of one mapping or of all. Nothing is written anywhere.
///
/// # Errors
/// The state belongs to another environment, there is no such mapping, or a service cannot be read.
pub async fn compare_optouts(
    project: &Project,
    plan: &Arc<ExecutionPlan>,
    clients: &Services,
    mapping: Option<&str>,
    stop: &CancellationToken,
) -> Result<Vec<Reconciliation>, CommandError> {
    let options = options::of_project(project, Pace::Once, Vec::new());
    // What is approved later is approved for the environment that the state belongs to.
    if let Some(stores) = state::open_if_current(project).await? {
        check_environment(clients, &stores).await?;
    }
    Ok(reconcile(plan, clients, &options, mapping, stop).await?)
}

/// Notes what is to become of the differences of mappings; the next round carries it out.
///
/// # Errors
/// The state cannot be written.
pub async fn decide_optouts<'m>(
    stores: &Stores,
    plan: &ExecutionPlan,
    mappings: impl IntoIterator<Item = &'m str>,
    approval: Approval,
) -> Result<(), StoreError> {
    for mapping in mappings {
        decide_reconciliation(stores, plan, mapping, approval).await?;
    }
    Ok(())
}
