//! A dry run: what would be written, found out without changing anything.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::workflow::{self, Kind};
use super::{DryEvents, DryFlow, DryPairs, Options, RunError, Services, binding, events, ingress, two_way};
use crate::plan::ExecutionPlan;
use crate::store::{KnownWorkflow, RenamedWorkflow, Stores};

/// Adoptions that a dry run names.
const ADOPTIONS: usize = 10;

/// What a run would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryRun {
    /// By mapping.
    pub flows: Vec<DryFlow>,
    /// By two-way mapping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub two_way: Vec<DryPairs>,
    /// By event block.
    pub events: Vec<DryEvents>,
    /// Workflows that would continue with the state of their earlier name.
    pub renamed: Vec<RenamedWorkflow>,
    /// Workflows of the state that the mapping files no longer have: their records would no longer be updated or deleted.
    pub orphans: Vec<KnownWorkflow>,
}

impl DryRun {
    /// Whether records would be rejected, or would become dead letters.
    pub fn has_rejections(&self) -> bool {
        self.flows.iter().any(|flow| flow.rejected + flow.ambiguous.unwrap_or(0) > 0) || self.two_way.iter().any(|pairs| pairs.failed > 0)
    }
}

/// Finds out what a run would write. `stores` is the state as it is, opened for reading; an empty one in memory if there is none yet.
///
/// # Errors
/// [`RunError`], as a run would end with it before it reads, or while it reads.
pub async fn dry_run(
    plan: &Arc<ExecutionPlan>,
    services: &Services,
    stores: &Stores,
    options: &Options,
    stop: &CancellationToken,
) -> Result<DryRun, RunError> {
    super::check_environment(services, stores).await?;
    let flows = workflow::selected(plan, options.mappings.as_deref())?;
    let found = binding::find(plan, stores).await?;
    let mut result = DryRun { renamed: found.renamed.clone(), orphans: found.orphans.clone(), ..DryRun::default() };
    for workflow in flows.iter().filter(|w| matches!(w.kind, Kind::Ingress | Kind::TwoWay)) {
        let name = &workflow.name;
        let before = found.name_in_state(name);
        let copy = stores.previews.copy_of_mapping(before).await?;
        if before != name {
            copy.control.rename_workflow(before, name).await?;
        }
        let renamed_from = (before != name).then(|| before.to_owned());
        if workflow.kind == Kind::TwoWay {
            let dry = two_way::dry_run(plan, workflow.index, services, copy, options, stop).await?;
            result.two_way.push(DryPairs { renamed_from, ..dry });
        } else {
            let dry = ingress::dry_flow(plan, &plan.ingress[workflow.index], services, &copy, options, stop, ADOPTIONS).await?;
            result.flows.push(DryFlow { renamed_from, ..dry });
        }
    }
    result.events = events::dry_run(plan, &flows, services, stores, &found, options, stop).await?;
    Ok(result)
}

/// Finds out which records of the target a run would adopt, for each mapping with an `adopt` line; names all of them.
///
/// # Errors
/// As [`dry_run`].
pub async fn dry_run_of_adoptions(
    plan: &Arc<ExecutionPlan>,
    services: &Services,
    stores: &Stores,
    options: &Options,
    stop: &CancellationToken,
) -> Result<Vec<DryFlow>, RunError> {
    super::check_environment(services, stores).await?;
    let found = binding::find(plan, stores).await?;
    let mut flows = Vec::new();
    for flow in plan.ingress.iter().filter(|flow| !flow.adopt.is_empty()) {
        let before = found.name_in_state(&flow.name);
        let copy = stores.previews.copy_of_mapping(before).await?;
        if before != flow.name {
            copy.control.rename_workflow(before, &flow.name).await?;
        }
        flows.push(ingress::dry_flow(plan, flow, services, &copy, options, stop, usize::MAX).await?);
    }
    Ok(flows)
}
