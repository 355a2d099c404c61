//! Opt-outs per topic: pairs whose right side is the subscription to a service of Campaign.
//!
//! Source: Campaign Standard API, *Performing subscriptions*, *Retrieving subscriptions*. A service has an internal name. When a
//! subscription ended, and whether one ended at all, is shown by no list: so Campaign is not a source of topics.

use super::{can_opt_out, is_own};
use crate::check::names::{self, SourceField};
use crate::check::{Context, entry, meanings};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Direction, OptoutFlow, OptoutPair};
use crate::schema::{SystemId, Table};
use crate::syntax::ast::{self, Optout, OptoutTarget, Subscription};

/// Topics of a block at most: the state has a limited number of places for them.
const MOST: usize = 32;

/// Checks one pair. Returns the field in Dynamics.
pub(super) fn check(
    pair: &ast::OptoutPair,
    to: &Subscription,
    source: &Table,
    direction: Option<Direction>,
    context: &mut Context<'_>,
) -> Option<SourceField> {
    let from = names::source_field(&pair.source, source, context);
    let service = to.service();
    let mut fits = true;
    if service.is_empty() || service.trim() != service || service.contains(char::is_control) {
        fits = false;
        context.report(
            Diagnostic::new(Code::D614, to.name.span, "this is not the name of a service", "not a name")
                .help("write the service's internal name as Campaign shows it: `subscription \"SVC1\"`"),
        );
    }
    let word = match direction {
        Some(Direction::CampaignToD365) => Some("campaign-to-d365"),
        Some(Direction::Bidirectional) => Some("bidirectional"),
        Some(Direction::Disabled | Direction::D365ToCampaign) | None => None,
    };
    if let Some(word) = word {
        fits = false;
        context.report(
            Diagnostic::new(
                Code::D613,
                to.span,
                format!("a subscription cannot be in a block with `direction {word}`"),
                "Campaign does not show when it ended",
            )
            .help("write `direction d365-to-campaign`, or remove the pair"),
        );
    }
    let from = from?;
    fits &= is_own(pair, &from, context)?;
    fits &= can_opt_out(pair, &from, context);
    fits.then_some(from)
}

/// Whether a block has no more topics than there are places.
pub(super) fn are_few(block: &Optout, context: &mut Context<'_>) -> bool {
    let mut topics = block.pairs.iter().filter(|pair| pair.target.is_subscription());
    let Some(pair) = topics.nth(MOST) else { return true };
    context.report(
        Diagnostic::new(Code::D614, pair.span, format!("an opt-out block can have only {MOST} subscriptions"), "one too many")
            .help("remove pairs from the block"),
    );
    false
}

/// The workflow of a block's topics. The inner one is `None` if it has none, the outer one if a pair is faulty.
#[expect(clippy::option_option, reason = "a block without topics is not a faulty one")]
pub(super) fn flow(
    topics: &[(&ast::OptoutPair, SourceField)],
    block: &Optout,
    mapping: &str,
    system: SystemId,
    context: &mut Context<'_>,
) -> Option<Option<OptoutFlow>> {
    let mut pairs = Vec::with_capacity(topics.len());
    for (pair, from) in topics {
        let OptoutTarget::Subscription(to) = &pair.target else { continue };
        let meaning = match &pair.cases {
            Some(cases) => {
                let kind = entry::kind_of(&from.field);
                Some(Box::new(meanings::check(pair, cases, from, kind, Direction::D365ToCampaign, context)?))
            }
            None => None,
        };
        let (source, target) = (from.field.wire_name(system), to.service().to_owned());
        pairs.push(OptoutPair { at: context.at(pair.span), source, target, inverted: pair.inverted, meaning });
    }
    let at = context.at(block.mapping.span);
    let flow = OptoutFlow { mapping: mapping.to_owned(), at, direction: Direction::D365ToCampaign, pairs, topics: true };
    Some((!flow.pairs.is_empty()).then_some(flow))
}
