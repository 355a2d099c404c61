//! What is settled before anything is read: that the services are those that the state belongs to, and which of its workflows
//! are the plan's.

use std::collections::BTreeMap;

use super::workflow::{Kind, Workflow, workflows};
use super::{RunError, Services};
use crate::plan::ExecutionPlan;
use crate::store::{Environment, PlannedWorkflow, Recognition, Side, Stores, WorkflowIdentity};
use crate::system::SystemId;

/// The environment that the services are in. Costs a call for each system whose address does not tell it.
///
/// # Errors
/// [`RunError::Service`].
pub async fn current_environment(services: &Services) -> Result<Environment, RunError> {
    let mut sides = BTreeMap::new();
    for (system, connection) in services.systems.iter() {
        let environment = connection.environment().await?;
        sides.insert(system, Side { address: environment.address, organization: environment.organization });
    }
    // Campaign's own interface does not name the organization; the journal's settings do.
    if let (Some(campaign), Some(journal)) = (sides.get_mut(&SystemId::Campaign), &services.journal) {
        campaign.organization = Some(journal.organization().to_owned());
    }
    Ok(Environment(sides))
}

/// Binds the state to the services' environment, once for each opened store.
///
/// # Errors
/// [`RunError::State`] with the refusal of another environment; [`RunError::Service`].
pub(super) async fn bind(services: &Services, stores: &Stores) -> Result<(), RunError> {
    if stores.control.is_bound() {
        return Ok(());
    }
    let environment = current_environment(services).await?;
    Ok(stores.control.bind_environment(&environment).await?)
}

/// Refuses another environment; changes nothing. A state that no run has bound yet costs no call.
///
/// # Errors
/// As [`bind`].
pub async fn check_environment(services: &Services, stores: &Stores) -> Result<(), RunError> {
    if stores.control.environment().await?.is_empty() {
        return Ok(());
    }
    let environment = current_environment(services).await?;
    Ok(stores.control.check_environment(&environment).await?)
}

/// Finds the workflows of a plan in the state, under whatever names they have there, and reports what it finds. `busy` are
/// workflows that run now.
///
/// # Errors
/// [`RunError::State`] if that is not certain.
pub(super) async fn recognize(
    plan: &ExecutionPlan,
    selected: &[Workflow],
    busy: Vec<String>,
    stores: &Stores,
) -> Result<Recognition, RunError> {
    let planned: Vec<PlannedWorkflow> = planned(plan, selected);
    let found = stores.control.recognize_workflows(&planned, &busy).await?;
    for renamed in &found.renamed {
        tracing::warn!("`{}` is now called `{}`: it continues with the state of its old name", renamed.from, renamed.to);
    }
    for orphan in &found.orphans {
        tracing::warn!("{}", orphan.describe_orphan());
    }
    Ok(found)
}

/// As [`recognize`], for a dry run: changes nothing and logs nothing.
///
/// # Errors
/// As [`recognize`].
pub(super) async fn find(plan: &ExecutionPlan, stores: &Stores) -> Result<Recognition, RunError> {
    let planned = planned(plan, &[]);
    Ok(stores.control.find_workflows(&planned).await?)
}

/// The workflows of a plan with their identities.
pub fn planned(plan: &ExecutionPlan, selected: &[Workflow]) -> Vec<PlannedWorkflow> {
    let all = workflows(plan).into_iter();
    all.map(|workflow| PlannedWorkflow { identity: identity(plan, &workflow), runs: selected.contains(&workflow), name: workflow.name })
        .collect()
}

/// What a workflow is apart from its name.
fn identity(plan: &ExecutionPlan, workflow: &Workflow) -> WorkflowIdentity {
    let of_flow = |kind: &str, flow: Option<&crate::plan::IngressFlow>| WorkflowIdentity {
        kind: kind.to_owned(),
        source: flow.map(|f| f.source.table.clone()).unwrap_or_default(),
        target: flow.map(|f| f.target.collection.clone()).unwrap_or_default(),
        key: flow.map(crate::plan::IngressFlow::key_identity).unwrap_or_default(),
    };
    match workflow.kind {
        Kind::Ingress => of_flow("mapping", plan.ingress.get(workflow.index)),
        Kind::Optout => {
            let flow = plan.optouts.get(workflow.index);
            let kind = if flow.is_some_and(|flow| flow.topics) { "topics" } else { "optout" };
            of_flow(kind, flow.and_then(|f| plan.flow(&f.mapping)))
        }
        Kind::TwoWay => {
            let flow = plan.two_way.get(workflow.index);
            WorkflowIdentity {
                kind: "two-way".to_owned(),
                source: flow.map(|f| f.left.table.clone()).unwrap_or_default(),
                target: flow.map(|f| f.right.table.clone()).unwrap_or_default(),
                key: flow.map(|f| f.right.key.clone()).unwrap_or_default(),
            }
        }
        Kind::Events => {
            let flow = plan.events.get(workflow.index);
            let mut tables: Vec<&str> = flow.iter().flat_map(|f| &f.activities).map(|a| a.table.as_str()).collect();
            tables.sort_unstable();
            tables.dedup();
            WorkflowIdentity {
                kind: "events".to_owned(),
                source: "campaign.email".to_owned(),
                target: tables.join(","),
                key: flow.map(|f| f.table.clone()).unwrap_or_default(),
            }
        }
    }
}
