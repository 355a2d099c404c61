//! Opt-outs: how far each workflow of them has come, and the approval of what is held.

use axum::extract::Path;

use super::documents::{CountDocument, OptOutDocument, OptOutsDocument, VERSION};
use super::exchange::{Answer, Asked, Document};
use crate::plan::Direction;
use crate::serve::answer::{At, Failure};
use crate::store::{Approval, OptoutStage};

/// The direction in the words of mapping files.
fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Disabled => "disabled",
        Direction::D365ToCampaign => "d365-to-campaign",
        Direction::CampaignToD365 => "campaign-to-d365",
        Direction::Bidirectional => "bidirectional",
    }
}

/// Lists the workflows of opt-outs.
pub async fn list(Asked(at): Asked) -> Answer<OptOutsDocument> {
    let optouts = at.served.stores().await?.optouts;
    let plan = at.served.now().plan;
    let mut found = Vec::new();
    for flow in plan.iter().flat_map(|plan| &plan.optouts) {
        let workflow = flow.workflow();
        found.push(OptOutDocument {
            mapping: flow.mapping.clone(),
            direction: direction(flow.direction).to_owned(),
            state: optouts.optout_state(&workflow).await?,
            held: optouts.held_optouts(&workflow).await?,
            workflow,
        });
    }
    Ok(Document::of(OptOutsDocument { version: VERSION, opt_outs: found }))
}

/// Notes what is to become of what a workflow holds. Returns for how many persons.
async fn decide(at: &At, workflow: &str, approval: Approval) -> Result<u64, Failure> {
    let plan = at.served.now().plan.ok_or_else(|| Failure::conflict("the project is not running"))?;
    let flow = plan.optouts.iter().find(|flow| flow.workflow() == workflow);
    let flow = flow.ok_or_else(|| Failure::not_found(format!("there is no workflow of opt-outs with the name `{workflow}`")))?;
    if approval == Approval::Leave && flow.direction != Direction::D365ToCampaign {
        return Err(Failure::conflict(format!(
            "the opt-outs of `{}` are not written from Dynamics to Campaign only, so an opt-out of either side is written to the other",
            flow.mapping
        ))
        .hint("Approve the differences instead."));
    }
    let optouts = at.served.stores().await?.optouts;
    let state = optouts.optout_state(workflow).await?;
    if state.is_none_or(|state| state.stage != OptoutStage::Held) {
        return Err(Failure::conflict(format!("`{workflow}` holds nothing for approval")));
    }
    let held = optouts.held_optouts(workflow).await?;
    optouts.decide_optouts(workflow, approval).await?;
    Ok(held)
}

async fn decided(at: At, workflow: String, approval: Approval) -> Answer<CountDocument> {
    let done = decide(&at, &workflow, approval).await;
    let action = match approval {
        Approval::Write => "approve-opt-outs",
        Approval::Leave => "keep-opt-outs",
    };
    at.audit(action, &workflow, &done).await;
    at.served.live.changed();
    Ok(Document::accepted(CountDocument { version: VERSION, count: done? }))
}

/// Approves the differences that are held: the next round writes them.
pub async fn approve(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<CountDocument> {
    decided(at, name, Approval::Write).await
}

/// Leaves opt-outs that only Campaign has as they are.
pub async fn keep(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<CountDocument> {
    decided(at, name, Approval::Leave).await
}
