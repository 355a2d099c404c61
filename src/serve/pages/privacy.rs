//! Privacy: where a person is found, and the end of it.
//!
//! Ids and addresses of persons come in the bodies of forms and go out in pages: never in an address, a log or the audit log. So each
//! action answers with a page, and faults are shown on it.

use axum::Form;
use axum::http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::parts::Column::Text;
use super::parts::{Column, instant, number, table};
use super::{frame, page as framed};
use crate::app::CommandError;
use crate::app::operate::{can_be_forgotten, is_confirmed, not_forgotten, person_key, trace};
use crate::count::counted;
use crate::serve::answer::{At, Failure};
use crate::store::{Forgotten, Trace, Traces};

/// Whom the audit log names: not the person.
const PERSON: &str = "a person";

/// The most rows of a table that a report names; all are counted.
const MOST: usize = 20;

const COLUMNS: &[Column] = &[Text("Workflow"), Text("Row"), Text("Found in")];

/// An answer to an action.
type Answer = (StatusCode, Markup);

/// A person, as a form names one.
#[derive(Deserialize)]
pub struct Person {
    key: String,
}

/// A person who is to be forgotten.
#[derive(Deserialize)]
pub struct Confirmed {
    key: String,
    /// What was typed to confirm.
    again: String,
}

/// Shows the forms.
pub async fn page(at: At) -> Markup {
    framed(&at, "/privacy", "Privacy", &forms(&at))
}

fn answer(at: &At, status: StatusCode, content: &Markup) -> Answer {
    (status, framed(at, "/privacy", "Privacy", content))
}

/// A fault, as a page: its text may name the person, so it is not a [`Failure`], which is logged.
fn fault(at: &At, error: CommandError) -> Answer {
    let failure = Failure::from(error);
    let content = html! {
        div.notice.bad role="alert" {
            pre { (failure.message) }
            @for hint in &failure.hints { p { (hint) } }
        }
        (forms(at))
    };
    answer(at, failure.status, &content)
}

/// Notes that something was done or not, without any data of the person.
async fn note<T>(at: &At, action: &str, result: &Result<T, CommandError>) {
    let done = result.as_ref().map(|_| ()).map_err(|_| Failure::conflict("not done"));
    at.audit(action, PERSON, &done).await;
}

fn forms(at: &At) -> Markup {
    let field = |id: &str| {
        html! { input id=(id) name="key" required minlength="3" maxlength="1000" size="42" autocomplete="off" autocapitalize="off" spellcheck="false"; }
    };
    html! {
        h2 { "Report" }
        form.panel method="post" action=(at.path("/privacy/report")) {
            (frame::csrf(at))
            p { "Shows where a person is found in the state: places, not data." }
            label for="report-key" { "Id of the contact or another source record, key of a target record, or a text such as an email address" }
            (field("report-key"))
            div.actions { button.primary { "Report" } }
        }
        h2 { "Lift" }
        form.panel method="post" action=(at.path("/privacy/lift")) {
            (frame::csrf(at))
            p { "Takes the records of a forgotten person in again, after a mistake." }
            label for="lift-key" { "Id under which the person was forgotten" }
            (field("lift-key"))
            div.actions { button { "Lift" } }
        }
        p.quiet { "d365map keeps no logs, and forgets nothing in Campaign or Dynamics 365: send the privacy requests there as well." }
    }
}

/// Reports where a person is found.
pub async fn report(at: At, Form(form): Form<Person>) -> Result<Answer, Failure> {
    let key = person_key(&form.key);
    let privacy = at.served.stores().await?.privacy;
    let found = trace(&*privacy, &key).await;
    note(&at, "privacy-report", &found).await;
    Ok(match found {
        Ok(traces) => answer(&at, StatusCode::OK, &html! { (found_in(&at, &key, &traces)) (forms(&at)) }),
        Err(error) => fault(&at, error),
    })
}

fn found_in(at: &At, key: &str, traces: &Traces) -> Markup {
    let others: Vec<&String> = traces.records.iter().filter(|record| !record.eq_ignore_ascii_case(key)).collect();
    let is_id = uuid::Uuid::parse_str(key).is_ok();
    html! {
        section.notice role="status" {
            h2 { "What the state has of " code { (key) } }
            @if traces.total() == 0 { p { "The state has no trace." } } @else { p { (counted(traces.total(), "row")) "." } }
            @if let Some(at) = traces.forgotten_at { p { "Forgotten " (instant(at)) " UTC: the records are not stored any more." } }
            @if !others.is_empty() {
                p { "Source records that these rows belong to:" }
                ul.plain { @for record in others.iter().take(MOST) { li { code { (record) } } } }
                @if others.len() > MOST { p { "and " (number((others.len() - MOST) as u64)) " more" } }
            }
            @if !is_id && !traces.by_id_only.is_empty() {
                p { "Not searched, because these tables have ids, keys and keyed hashes only: "
                    @for (n, (table, count)) in traces.by_id_only.iter().enumerate() { @if n > 0 { ", " } (table) " (" (number(*count)) ")" }
                    ". Look up the contact's id in Dynamics 365, and report that id too." }
            }
        }
        @for (name, count) in &traces.counts { (of_table(name, *count, traces)) }
        @if can_be_forgotten(key, traces).is_ok() {
            h2 { "Forget" }
            form.panel method="post" action=(at.path("/privacy/forget")) {
                (frame::csrf(at))
                input type="hidden" name="key" value=(key);
                p { "Removes every row of the record from the state, and stores nothing of it any more. This cannot be undone." }
                label for="again" { "To confirm, type the id or key again" }
                input #again name="again" required maxlength="1000" size="42" autocomplete="off" autocapitalize="off" spellcheck="false";
                div.actions { button.danger { "Forget this person" } }
            }
            @if traces.forgotten_at.is_some() {
                form.actions method="post" action=(at.path("/privacy/lift")) {
                    (frame::csrf(at))
                    input type="hidden" name="key" value=(key);
                    button { "Lift: store this person's records again" }
                }
            }
        } @else if !others.is_empty() {
            p { "A person is forgotten by the id or the key of a record, because a text may be in the records of several persons. Report one of the ids above." }
        }
    }
}

fn of_table(name: &str, count: u64, traces: &Traces) -> Markup {
    let rows: Vec<&Trace> = traces.found.iter().filter(|trace| trace.table == name).take(MOST).collect();
    let more = count.saturating_sub(rows.len() as u64);
    html! {
        h3 { (name) " " span.quiet { (counted(count, "row")) @if let Some(first) = rows.first() { ", " (first.what) } } }
        (table(name, COLUMNS, &html! {
            @for trace in &rows {
                tr { td { (trace.mapping.as_deref().unwrap_or("–")) } td { code { (trace.row) } } td { (trace.columns.join(", ")) } }
            }
            @if more > 0 { tr { td colspan="3" { "and " (number(more)) " more" } } }
        }))
    }
}

/// Forgets a person.
pub async fn forget(at: At, Form(form): Form<Confirmed>) -> Result<Answer, Failure> {
    let key = person_key(&form.key);
    let privacy = at.served.stores().await?.privacy;
    let traced = trace(&*privacy, &key).await;
    let traces = match traced {
        Ok(traces) => traces,
        Err(error) => {
            let refused = Err::<(), CommandError>(error);
            note(&at, "forget", &refused).await;
            return Ok(refused.err().map_or_else(|| answer(&at, StatusCode::OK, &forms(&at)), |error| fault(&at, error)));
        }
    };
    if !is_confirmed(&form.again, &key) {
        note(&at, "forget", &Err::<(), CommandError>(CommandError::usage("the id was not typed again"))).await;
        let content = html! {
            p.notice.bad role="alert" { "Nothing was removed: what you typed is not the id or key of the report." }
            (found_in(&at, &key, &traces))
        };
        return Ok(answer(&at, StatusCode::CONFLICT, &content));
    }
    let forgotten = match can_be_forgotten(&key, &traces) {
        Ok(()) => privacy.forget(&key).await.map_err(CommandError::from),
        Err(error) => Err(error),
    };
    note(&at, "forget", &forgotten).await;
    Ok(match forgotten {
        Ok(forgotten) => {
            at.served.live.changed();
            answer(&at, StatusCode::OK, &html! { (removed(&key, &forgotten)) (forms(&at)) })
        }
        Err(error) => fault(&at, error),
    })
}

fn removed(key: &str, forgotten: &Forgotten) -> Markup {
    html! {
        section.notice.good role="status" {
            h2 { code { (key) } " is forgotten" }
            p { "No workflow stores it any more:" }
            ul.plain { @for id in &forgotten.ids { li { code { (id) } } } }
            ul {
                @for (table, count) in &forgotten.removed { li { (table) ": " (number(*count)) " removed" } }
                @for (table, count) in &forgotten.cleaned { li { (table) ": " (number(*count)) " without it now" } }
            }
            @if !forgotten.log_is_empty {
                p.warn { "The log of the state file (-wal) could not be emptied, because another process reads it. Forget the same id again." }
            }
            p { "Campaign and Dynamics 365 were not changed. Send the privacy requests there as well." }
        }
    }
}

/// Has a person's records stored again.
pub async fn lift(at: At, Form(form): Form<Person>) -> Result<Answer, Failure> {
    let key = person_key(&form.key);
    let privacy = at.served.stores().await?.privacy;
    let lifted = match privacy.lift_tombstone(&key).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_forgotten(&key)),
        Err(error) => Err(error.into()),
    };
    note(&at, "lift", &lifted).await;
    Ok(match lifted {
        Ok(()) => {
            let content = html! {
                p.notice.good role="status" { code { (key) } " is stored again when it changes, or by a replay." }
                (forms(&at))
            };
            answer(&at, StatusCode::OK, &content)
        }
        Err(error) => fault(&at, error),
    })
}
