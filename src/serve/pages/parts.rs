//! Pieces that several pages show.

use maud::{Markup, html};

use crate::count::{counted, grouped};
use crate::serve::jobs::State;
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

/// A text of ours, in which what is between backticks is code.
pub fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    html! {
        // A backtick without its other is a character as any other.
        @if parts.len().is_multiple_of(2) { (text) } @else {
            @for (n, part) in parts.iter().enumerate() { @if n.is_multiple_of(2) { (part) } @else { code { (part) } } }
        }
    }
}

/// A field of a form, if something is in it.
pub fn given(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The text that follows an action, by the action's name in the address: an address holds no text that is shown.
pub fn text_of(done: Option<&String>, texts: &[(&str, &'static str)]) -> Option<&'static str> {
    texts.iter().find(|(known, _)| done.is_some_and(|name| name == known)).map(|(_, text)| *text)
}

/// A note after an action was done.
pub fn done(text: Option<&str>) -> Markup {
    html! { @if let Some(text) = text { p.notice.good role="status" { (text) } } }
}

/// The words about a job: what is done, and what was done.
pub struct JobWords {
    /// At the beginning of a sentence: `Comparing the opt-outs of both sides`.
    pub doing: &'static str,
    /// At the beginning of a sentence: `Compared`.
    pub done: &'static str,
    /// If it has failed: `The comparison has failed`.
    pub failed: &'static str,
    /// If it was not done since the server started.
    pub never: &'static str,
}

/// How a job is: what is being done, or when the last one ended and with what fault. `path` is the page's.
pub fn job<T>(state: &State<T>, words: &JobWords, path: &str) -> Markup {
    html! {
        @if let Some(running) = &state.running {
            div.notice role="status" {
                p { (words.doing) " since " (instant(running.since)) " UTC, started by " (running.by) "."
                    @if let Some(calls) = running.calls() { " " (counted(calls, "call")) " to services so far." }
                }
                noscript { p { a href=(path) { "Show how far it is" } } }
            }
        }
        @if let Some(last) = &state.last {
            @if let Err(failure) = &last.result {
                div.notice.bad {
                    h2 { (words.failed) }
                    pre { (failure.message) }
                    @for hint in &failure.hints { p { (hint) } }
                }
            }
            p.quiet { (words.done) " " (instant(last.at)) " UTC in " (counted(seconds(last.began, last.at), "second")) ", started by " (last.by) "." }
        } @else if state.running.is_none() {
            p { (words.never) }
        }
    }
}

/// Whole seconds between two instants, at least one.
fn seconds(from: Instant, to: Instant) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or_default().max(1)
}

/// The head of a column.
#[derive(Clone, Copy)]
pub enum Column {
    /// Of texts.
    Text(&'static str),
    /// Of numbers.
    Number(&'static str),
}

/// A table that scrolls on narrow screens, with its name for screen readers.
pub fn table(name: &str, columns: &[Column], rows: &Markup) -> Markup {
    framed(name, columns, rows, false)
}

/// A table whose rows are cards on narrow screens: each cell has the name of its column as `data-label`.
pub fn cards(name: &str, columns: &[Column], rows: &Markup) -> Markup {
    framed(name, columns, rows, true)
}

fn framed(name: &str, columns: &[Column], rows: &Markup, cards: bool) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(name) {
            table class=[cards.then_some("cards")] {
                caption.hidden { (name) }
                thead { tr {
                    @for column in columns {
                        @match column { Column::Text(name) => th scope="col" { (name) }, Column::Number(name) => th.number scope="col" { (name) }, }
                    }
                } }
                tbody { (rows) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_backticks_is_code_and_nothing_is_markup() {
        for (text, shown) in [
            ("run `d365map <x>`, then `y`", "run <code>d365map &lt;x&gt;</code>, then <code>y</code>"),
            ("`a`", "<code>a</code>"),
            ("<b> a ` b", "&lt;b&gt; a ` b"),
            ("", ""),
        ] {
            assert_eq!(prose(text).into_string(), shown);
        }
    }
}
