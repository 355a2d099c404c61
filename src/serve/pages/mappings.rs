//! Mappings: what they say, what differs from what runs, and what their tests show.

mod changes;
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::editor::findings;
use super::parts::prose;
use super::{frame, page};
use crate::app::operate;
use crate::count::{counted, noun_for};
use crate::plan::changes::WorkflowChange;
use crate::report::{Grid, Section};
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure, blocking};
use crate::serve::files::Files;

/// Findings that the list shows.
const MOST_FINDINGS: usize = 20;

/// What a section is, by its title (`report::collect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'s> {
    /// A mapping, by its name.
    Mapping(&'s str),
    /// The opt-outs of a mapping.
    OptOuts(&'s str),
    /// A block of events.
    Events(&'s str),
    /// What several mappings share.
    Shared,
}

impl What<'_> {
    fn of(section: &Section) -> What<'_> {
        match section.title.split_once(' ') {
            None => What::Mapping(&section.title),
            Some(("Events", name)) => What::Events(name),
            Some(("Opt-outs", rest)) => What::OptOuts(rest.strip_prefix("of ").unwrap_or(rest)),
            Some(_) => What::Shared,
        }
    }
}

/// The workflow that a name in an address or in a plan belongs to: `contacts.optout` is part of `contacts`.
fn mapping_of(workflow: &str) -> &str {
    workflow.split_once('.').map_or(workflow, |(mapping, _)| mapping)
}

/// How many records each workflow has.
async fn records(at: &At) -> Result<BTreeMap<String, u64>, Failure> {
    let status = operate::status(&at.served.project()).await?.status;
    let count = |mapping: &crate::store::MappingStatus| mapping.pairs.as_ref().map_or(mapping.ledger_rows, |p| p.linked + p.single);
    Ok(status.mappings.iter().map(|mapping| (mapping.mapping.clone(), count(mapping))).collect())
}

async fn differences(at: &At, files: &Arc<Files>) -> Result<Vec<WorkflowChange>, Failure> {
    let (now, files, records) = (at.served.now(), files.clone(), records(at).await?);
    blocking(move || Ok::<_, Failure>(files.differences(&now, &records))).await
}

/// Lists mappings and blocks of events.
pub async fn list(at: At) -> Result<Markup, Failure> {
    let files = at.served.files().await?;
    let changes = differences(&at, &files).await?;
    let changed = |name: &str| changes.iter().any(|change| mapping_of(&change.name) == name);
    let sections = &files.document.sections;
    let shown: Vec<(&str, &Section)> = sections
        .iter()
        .filter_map(|section| match What::of(section) {
            What::Mapping(name) | What::Events(name) => Some((name, section)),
            What::OptOuts(_) | What::Shared => None,
        })
        .collect();
    let content = html! {
        (state_of_files(&at, &files))
        @if shown.is_empty() { p { "This project has no mappings yet." } } @else {
            div.wide tabindex="0" role="region" aria-label="Mappings" {
                table.cards {
                    caption.hidden { "Mappings" }
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "Tables" } th scope="col" { "File" } th scope="col" { "Tests" }
                        th scope="col" { "Runs" }
                    } }
                    tbody { @for (name, section) in &shown { tr {
                        th scope="row" { a href=(at.path(&format!("/mappings/{name}"))) { (name) } }
                        td data-label="Tables" { @if let What::Events(_) = What::of(section) { "marketing events" } @else { (section.intro.first().map_or("", String::as_str)) } }
                        td data-label="File" { a href=(super::editor::address(&at, &section.file)) { (section.file) } }
                        td data-label="Tests" { (tests::short(&files, name)) }
                        td data-label="Runs" { @if changed(name) { span.badge.warn { "files have changed" } } @else { span.quiet { "as in the files" } } }
                    } } }
                }
            }
        }
        (tests::form(&at, &files, None))
        (changes::gone(&changes))
        @let shared: Vec<&Section> = sections.iter().filter(|section| What::of(section) == What::Shared).collect();
        @if !shared.is_empty() {
            h2 { "Shared by mappings" }
            @for section in shared { details { summary { (section.title) " " span.quiet { (section.file) } } (body(section, Level::Part)) } }
        }
    };
    Ok(page(&at, "/mappings", "Mappings", &content))
}

/// What is wrong with the files, if anything is.
fn state_of_files(at: &At, files: &Files) -> Markup {
    let (errors, warnings) = files.counts();
    html! {
        @if errors > 0 {
            section.notice.bad {
                h2 { "The mapping files have " (counted(errors, "error")) }
                p { "What runs goes on by the files as they were. It cannot be started again before they are corrected." }
                (findings(at, &files.compiled, None, MOST_FINDINGS))
            }
        } @else if warnings > 0 {
            details.notice.warn {
                summary { (counted(warnings, "warning")) " in the mapping files" }
                (findings(at, &files.compiled, None, MOST_FINDINGS))
            }
        }
    }
}

/// What was done before the page is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Done {
    done: Option<String>,
}

/// Shows a mapping or a block of events.
pub async fn show(at: At, Path((_, name)): Path<(String, String)>, Query(query): Query<Done>) -> Result<Markup, Failure> {
    let files = at.served.files().await?;
    let wanted = mapping_of(&name);
    let own = |section: &&Section| match What::of(section) {
        What::Mapping(name) | What::Events(name) | What::OptOuts(name) => name == wanted,
        What::Shared => false,
    };
    let sections: Vec<&Section> = files.document.sections.iter().filter(own).collect();
    let changes = differences(&at, &files).await?;
    let changes: Vec<&WorkflowChange> = changes.iter().filter(|change| mapping_of(&change.name) == wanted).collect();
    if sections.is_empty() && changes.is_empty() {
        return Err(Failure::not_found(format!("the mapping files have no mapping `{wanted}`"))
            .hint("If a file has errors, the list of mappings shows them."));
    }
    let content = html! {
        @if query.done.as_deref() == Some("tests") { p.notice.good role="status" { "The tests have run." } }
        (state_of_files(&at, &files))
        (changes::shown(&at, &changes))
        @for section in &sections {
            section {
                @let level = if let What::OptOuts(_) = What::of(section) { Level::Part } else { Level::Page };
                @if let Level::Part = level { h2 #opt-outs { "Opt-outs" } }
                p.quiet { a href=(super::editor::address(&at, &section.file)) { (section.file) } }
                (body(section, level))
            }
        }
        (tests::shown(&at, &files, wanted))
    };
    Ok(page(&at, "/mappings", wanted, &content))
}

/// Below which headings tables are.
#[derive(Clone, Copy)]
enum Level {
    /// That of the page.
    Page,
    /// One of the page's.
    Part,
}

/// What a section says.
fn body(section: &Section, level: Level) -> Markup {
    html! {
        @if !section.remark.is_empty() { p { (prose(&section.remark)) } }
        @for line in &section.intro { p { (prose(line)) } }
        @for grid in &section.tables { (table(grid, level)) }
    }
}

fn table(grid: &Grid, level: Level) -> Markup {
    let rows = grid.rows.len();
    html! {
        @let title = html! { (grid.title) " " span.quiet { (rows) " " (noun_for(rows, "line")) } };
        @match level { Level::Page => h2 { (title) }, Level::Part => h3 { (title) }, }
        div.wide tabindex="0" role="region" aria-label=(grid.title) {
            table {
                caption.hidden { (grid.title) }
                thead { tr { @for head in &grid.head {
                    @if head.is_empty() { td { span.hidden { "Direction" } } } @else { th scope="col" { (head) } }
                } } }
                tbody { @for row in &grid.rows { tr { @for (cell, head) in row.iter().zip(&grid.head) { td class=[head.is_empty().then_some("nowrap")] { (cell) } } } } }
            }
        }
    }
}

/// The form that runs tests.
#[derive(Debug, Deserialize)]
pub struct TestForm {
    mapping: Option<String>,
}

/// Runs the tests of the files.
pub async fn run_tests(at: At, Form(form): Form<TestForm>) -> Result<Redirect, Failure> {
    let files = at.served.files().await?;
    blocking(move || files.test().map(|_| ())).await?;
    Ok(match form.mapping.as_deref() {
        Some(name) => at.back(&format!("/mappings/{}?done=tests#tests", frame::segment(name))),
        None => at.back("/mappings"),
    })
}

/// Whether the caller may restart workflows.
fn may_restart(at: &At) -> bool {
    at.may(Right::Operate)
}
