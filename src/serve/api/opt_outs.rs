//! Opt-outs: how far each workflow of them has come.
//!
//! A decision about differences belongs to a comparison that somebody has seen. It is made on the page or by `optout reconcile`, which show
//! one, and not here.

use super::documents::{OptOutDocument, OptOutsDocument, VERSION};
use super::exchange::{Answer, Asked, Document};
use crate::plan::Direction;

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
