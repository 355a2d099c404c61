//! The checks of `doctor`: what a run needs, whether it is there, and how to fix what is not.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};

use super::parts::Column::Text;
use super::parts::{Column, JobWords, job, prose, table};
use super::{frame, page as framed};
use crate::app::operate::{Examiner, examine};
use crate::doctor::{Check, Group, Outcome, json, tally};
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure};
use crate::serve::jobs::Work;
use crate::serve::live::Part;

/// How long the checks of one connection may take together, as with the command.
const LIMIT: Duration = Duration::from_secs(60);

const WORDS: JobWords = JobWords {
    doing: "Running the checks",
    done: "Checked",
    failed: "The checks could not be run",
    never: "The checks have not been run since the server started. They read from every service, and change nothing.",
};

const COLUMNS: &[Column] = &[Text("Result"), Text("Check"), Text("What was found, and what to do")];

/// Shows the checks.
pub async fn page(at: At) -> Markup {
    let content = html! {
        @if at.may(Right::Operate) {
            form.actions method="post" action=(at.path("/doctor/run")) { (frame::csrf(&at)) button.primary { "Run the checks" } }
        }
        section data-live={ "/live/" (at.served.name) "/" (Part::Checks.name()) } data-part=(Part::Checks.name()) { (part(&at)) }
    };
    framed(&at, "/doctor", "Doctor", &content)
}

/// The checks, as a part of the page that is updated.
pub fn part(at: &At) -> Markup {
    let state = at.served.jobs.checks.now();
    let checks = state.last.as_ref().and_then(|last| last.result.as_ref().ok());
    html! {
        (job(&state, &WORDS, &at.path("/doctor")))
        @if let Some(checks) = checks { (found(at, checks)) }
    }
}

fn found(at: &At, checks: &[Check]) -> Markup {
    let tally = tally(checks);
    html! {
        dl.facts {
            div { dt { "Failed" } dd { (tally.failed) } }
            div { dt { "Warnings" } dd { (tally.warnings) } }
            div { dt { "OK" } dd { (tally.ok) } }
            div { dt { "Skipped" } dd { (tally.skipped) } }
        }
        @for group in Group::ALL {
            @let of_group: Vec<&Check> = checks.iter().filter(|check| check.group == group).collect();
            @if !of_group.is_empty() {
                h2 { (group.title()) }
                (table(group.title(), COLUMNS, &html! { @for check in &of_group { (row(check)) } }))
            }
        }
        p { a href=(at.path("/doctor/report.json")) { "The same as JSON" } }
    }
}

fn row(check: &Check) -> Markup {
    let (class, word, text, fix) = match &check.outcome {
        Outcome::Ok { detail } => ("badge good", "ok", detail, None),
        Outcome::Warning { cause, mend } => ("badge warn", "warning", cause, Some(mend)),
        Outcome::Failed { cause, mend } => ("badge bad", "failed", cause, Some(mend)),
        Outcome::Skipped { reason } => ("badge quiet", "skipped", reason, None),
    };
    html! {
        tr {
            td { span class=(class) { (word) } }
            th scope="row" { (check.subject) div.quiet { code { (check.id) } } }
            td { pre.text { (prose(text)) } @if let Some(fix) = fix { pre.text.fix { "→ " (prose(fix)) } } }
        }
    }
}

/// Runs the checks.
pub async fn run(at: At) -> Result<Redirect, Failure> {
    let file = at.served.file.clone();
    let work = move |_: &Work<'_>| Ok::<_, Failure>(examine(Some(&file), &Examiner { connections: Vec::new(), limit: LIMIT }).0);
    let begun = at.served.jobs.checks.start(&at.caller.name, work);
    at.audit("run-checks", "", &begun).await;
    begun?;
    Ok(at.back("/doctor"))
}

/// The last result, as `doctor --format json` has it.
pub async fn report(at: At) -> Result<impl IntoResponse, Failure> {
    let last = at.served.jobs.checks.now().last;
    let checks = last.as_ref().and_then(|last| last.result.as_ref().ok());
    let checks = checks.ok_or_else(|| Failure::not_found("the checks have not been run since the server started"))?;
    Ok(([(CONTENT_TYPE, "application/json")], json(checks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_is_text() {
        let hostile = || "<img src=x onerror=alert(1)>".to_owned();
        for outcome in [
            Outcome::Ok { detail: hostile() },
            Outcome::Warning { cause: hostile(), mend: hostile() },
            Outcome::Failed { cause: hostile(), mend: hostile() },
            Outcome::Skipped { reason: hostile() },
        ] {
            let shown = row(&Check { id: "dynamics.token", group: Group::Dynamics, subject: hostile(), outcome }).into_string();
            assert!(!shown.contains("<img") && shown.contains("&lt;img"), "{shown}");
        }
    }
}
