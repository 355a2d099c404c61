//! Schema drift: what has changed in the services since the schemas were committed, and which lines of the mappings it breaks.

use axum::response::Redirect;
use maud::{Markup, html};

use super::parts::Column::Text;
use super::parts::{Column, JobWords, job, table};
use super::{frame, page as framed};
use crate::app::drift::{Break, Drift};
use crate::app::operate::compare_schemas;
use crate::count::counted;
use crate::schema::Change;
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure};
use crate::serve::live::Part;

const WORDS: JobWords = JobWords {
    doing: "Comparing the schemas",
    done: "Compared",
    failed: "The schemas could not be compared",
    never: "The schemas have not been compared since the server started. A comparison reads the services' descriptions of the tables that the mappings use.",
};

/// The most lines and changes that a page shows; `d365map schema diff` shows all.
const MOST: usize = 200;

const LINES: &[Column] = &[Text("Line"), Text("What is wrong, and what to do")];
const CHANGES: &[Column] = &[Text("Change"), Text("Field"), Text("Before"), Text("Now")];

/// Shows the changes.
pub async fn page(at: At) -> Markup {
    let content = html! {
        @if at.may(Right::Operate) {
            form.actions method="post" action=(at.path("/drift/compare")) { (frame::csrf(&at)) button.primary { "Compare now" } }
        }
        section data-live={ "/live/" (at.served.name) "/" (Part::Drift.name()) } data-part=(Part::Drift.name()) { (part(&at)) }
    };
    framed(&at, "/drift", "Schema drift", &content)
}

/// The changes, as a part of the page that is updated.
pub fn part(at: &At) -> Markup {
    let state = at.served.jobs.drift.now();
    let drift = state.last.as_ref().and_then(|last| last.result.as_ref().ok());
    html! {
        (job(&state, &WORDS, &at.path("/drift")))
        @if let Some(drift) = drift { (found(drift)) }
    }
}

fn found(drift: &Drift) -> Markup {
    html! {
        @if drift.is_none() {
            p.notice.good { "The committed schemas are those of the services." }
        } @else if drift.is_breaking() {
            div.notice.bad {
                h2 { "The changes break the mappings" }
                p { "A run would refuse to start. Change the mappings or the services, and then fetch the schemas: " code { "d365map schema pull" } }
            }
        } @else {
            p.notice { "The changes affect no mapping. " code { "d365map schema pull" } " updates the committed schemas." }
        }
        @if drift.is_breaking() {
            h2 { "Lines that break" }
            (table("Lines that break", LINES, &html! { @for line in drift.breaks().take(MOST) { (broken(&line)) } }))
        }
        @for (name, all, shown) in &shown(drift) {
            h2 { code { (name) } " " span.quiet { (counted(*all, "change")) } }
            (table(name, CHANGES, &html! { @for change in shown { (row(change)) } }))
        }
        @if drift.tables.iter().map(|(_, changes)| changes.len()).sum::<usize>().max(drift.breaking.len()) > MOST {
            p { "Not all are shown here; " code { "d365map schema diff" } " shows all." }
        }
    }
}

/// The changes that a page shows of each table, and how many the table has.
fn shown(drift: &Drift) -> Vec<(String, usize, Vec<&Change>)> {
    let mut left = MOST;
    let mut shown = Vec::new();
    for (name, changes) in &drift.tables {
        let of_table: Vec<&Change> = in_order(changes).into_iter().take(left).collect();
        left -= of_table.len();
        shown.push((name.to_string(), changes.len(), of_table));
    }
    shown
}

/// What is gone or is different comes first: what is new breaks nothing.
fn in_order(changes: &[Change]) -> Vec<&Change> {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| match change {
        Change::Removed(_) => 0,
        Change::Changed { .. } => 1,
        Change::Table(_) => 2,
        Change::Added(_) => 3,
    });
    sorted
}

fn row(change: &Change) -> Markup {
    let (class, word, field, parts) = match change {
        Change::Removed(field) => ("badge bad", "removed", field, None),
        Change::Added(field) => ("badge good", "added", field, None),
        Change::Table(what) => ("badge warn", "table", what, None),
        Change::Changed { field, before, after } => ("badge warn", "changed", field, Some((before, after))),
    };
    html! {
        tr {
            td { span class=(class) { (word) } }
            th scope="row" { code { (field) } }
            @match parts {
                None => { td { "–" } td { "–" } }
                Some((before, after)) if before == after => td colspan="2" { "options, labels or targets are different" },
                Some((before, after)) => { td { (before) } td { (after) } }
            }
        }
    }
}

fn broken(line: &Break<'_>) -> Markup {
    let finding = line.finding;
    html! {
        tr {
            th scope="row" {
                @if let Some(place) = line.at { (line.file) ":" (place.line) ":" (place.column) } @else { "–" }
                pre.quiet { (line.text.trim()) }
            }
            td {
                p { code { (finding.code.name()) } " " (finding.message) }
                @if !finding.label.is_empty() { p.quiet { (finding.label) } }
                @if let Some(help) = &finding.help { p { "→ " (help) } }
            }
        }
    }
}

/// Compares the schemas.
pub async fn compare(at: At) -> Result<Redirect, Failure> {
    let project = at.served.project();
    let begun = at.served.jobs.drift.start(&at.caller.name, move |_| compare_schemas(&project));
    at.audit("compare-schemas", "", &begun).await;
    begun?;
    Ok(at.back("/drift"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_comes_before_what_is_new() {
        let changes = [Change::Added("new".to_owned()), Change::Table("label".to_owned()), Change::Removed("old".to_owned())];
        assert_eq!(in_order(&changes), [&changes[2], &changes[1], &changes[0]]);
    }

    #[test]
    fn names_of_a_service_are_text() {
        let hostile = "<img src=x onerror=alert(1)>".to_owned();
        for change in [
            Change::Added(hostile.clone()),
            Change::Removed(hostile.clone()),
            Change::Table(hostile.clone()),
            Change::Changed { field: hostile.clone(), before: hostile.clone(), after: "text".to_owned() },
        ] {
            let shown = row(&change).into_string();
            assert!(!shown.contains("<img") && shown.contains("&lt;img"), "{shown}");
        }
    }
}
