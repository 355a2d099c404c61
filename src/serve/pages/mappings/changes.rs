//! What differs between what runs and the files.

use maud::{Markup, html};

use super::may_restart;
use crate::count::counted;
use crate::plan::changes::{ChangeKind, Effect, WorkflowChange};
use crate::serve::answer::At;
use crate::serve::pages::frame;

/// The changes of one mapping, with what a restart leads to.
pub(super) fn shown(at: &At, changes: &[&WorkflowChange]) -> Markup {
    html! {
        @if !changes.is_empty() {
            section.notice.warn {
                h2 { "The files have changed since this was started" }
                @for change in changes {
                    @if changes.len() > 1 { h3 { (change.name) } }
                    p { (effect(change)) }
                    @if change.change == ChangeKind::Changed && !change.lines().is_empty() {
                        details { summary { "What differs" } (lines(change.lines())) }
                    }
                    @if may_restart(at) && change.change != ChangeKind::Removed && change.effect != Effect::KeyChanged {
                        form.actions method="post" action=(at.path(&format!("/workflows/{}/restart", frame::segment(&change.name)))) {
                            (frame::csrf(at)) button { "Restart " (change.name) " by the files" }
                        }
                    }
                }
            }
        }
    }
}

/// The workflows that run, but that the files no longer have.
pub(super) fn gone(changes: &[WorkflowChange]) -> Markup {
    let gone: Vec<&WorkflowChange> = changes.iter().filter(|change| change.change == ChangeKind::Removed).collect();
    html! {
        @if !gone.is_empty() {
            section.notice.warn {
                h2 { "Running, but no longer in the files" }
                ul { @for change in gone { li { (change.name) ": " (effect(change)) } } }
            }
        }
    }
}

/// What a restart leads to.
fn effect(change: &WorkflowChange) -> String {
    let records = change.records.map(|n| counted(n, "record"));
    let text = match (change.effect, records, change.read_calls) {
        (Effect::ReadAgain, Some(records), Some(calls)) => format!(
            "After a restart, all records are read again: {records} in {}. Those whose values differ are written.",
            counted(calls, "request")
        ),
        (Effect::ReadAgain, ..) => "After a restart, all records are read again. Those whose values differ are written.".to_owned(),
        (Effect::FirstLoad, ..) => "It is new. After its start, all records are read for the first time.".to_owned(),
        (Effect::KeyChanged, ..) => {
            "The key has changed. A restart is refused, because the records that exist have the old key.".to_owned()
        }
        (Effect::FromNowOn, ..) => "After a restart, what is written next is written in the new way. Nothing is read again.".to_owned(),
        (Effect::NoLongerRun, ..) => "The files no longer have it. What it has written stays.".to_owned(),
    };
    match &change.renamed_from {
        Some(before) => format!("It was called {before}, and continues with the state of that name. {text}"),
        None => text,
    }
}

/// Lines after `- ` or `+ `.
fn lines(lines: &[String]) -> Markup {
    html! {
        ul.plain.diff { @for line in lines {
            @let (word, class) = if line.starts_with('-') { ("removed: ", "delete") } else { ("added: ", "insert") };
            li { code class=(class) { span.hidden { (word) } (line) } }
        } }
    }
}
