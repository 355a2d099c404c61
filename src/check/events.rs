//! Event blocks: which marketing events appear on the timeline.

use super::options::{self, EVENTS};
use super::{Context, names};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{EventFlow, EventType};
use crate::schema::{System, TableId};
use crate::syntax::ast::Events;

/// Checks an event block. Campaign's emails are no table of a schema, so their name is checked here.
pub(super) fn check(block: &Events, context: &mut Context<'_>) -> Option<EventFlow> {
    let from = (block.source.system.text.as_str(), block.source.table.text.as_str());
    if from != ("campaign", "email") {
        context.report(
            Diagnostic::new(Code::D112, block.source.span, "events are those of Campaign's emails", "not a source of events")
                .help("write `campaign.email -> d365.contact`")
                .fix("write `campaign.email`", block.source.span, "campaign.email"),
        );
    }
    let target = names::table(&block.target, context);
    let chosen = options::chosen(block.settings.iter(), EVENTS, context);
    let target = target?;
    if target.id != TableId::new(System::D365, "contact") {
        context.report(
            Diagnostic::new(Code::D112, block.target.span, "events appear on the timeline of contacts", "not a target of events")
                .help("write `campaign.email -> d365.contact`")
                .fix("write `d365.contact`", block.target.span, "d365.contact"),
        );
        return None;
    }
    let mut types: Vec<EventType> = chosen
        .into_iter()
        .filter(|(_, value)| *value == "on")
        .map(|(name, _)| match name {
            "send" => EventType::Send,
            "open" => EventType::Open,
            "click" => EventType::Click,
            _ => EventType::Bounce,
        })
        .collect();
    types.sort();
    types.dedup();
    let at = context.at(block.name.span.to(block.target.span));
    Some(EventFlow { name: block.name.text.clone(), at, table: target.id.to_string(), types })
}
