//! Pieces that several pages show.

use maud::{Markup, html};

use crate::count::grouped;
use crate::store::WorkflowState;
use crate::time::{Instant, format_instant};

/// A workflow's state as a badge: a word, with a color beside it.
pub fn state_badge(state: WorkflowState) -> Markup {
    let class = match state {
        WorkflowState::Running => "badge good",
        WorkflowState::Starting => "badge",
        WorkflowState::Stopped => "badge quiet",
        WorkflowState::Failed => "badge bad",
    };
    html! { span class=(class) { (state.as_str().to_lowercase()) } }
}

/// An instant, to the second.
pub fn instant(at: Instant) -> Markup {
    let text = format_instant(at);
    html! { time datetime=(text) { (text.replace('T', " ").trim_end_matches('Z').split('.').next().unwrap_or_default()) } }
}

/// An instant if there is one, a dash if not.
pub fn maybe_instant(at: Option<Instant>) -> Markup {
    match at {
        Some(at) => instant(at),
        None => html! { span.quiet { "–" } },
    }
}

/// A number with its thousands apart.
pub fn number(number: u64) -> Markup {
    html! { (grouped(number)) }
}

/// A note after an action was done.
pub fn done(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.notice.good role="status" { (text) } } }
}
