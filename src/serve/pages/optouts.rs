//! Opt-outs: how far each workflow of opt-outs is, what the two sides disagree about, and the decision about it.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query};
use axum::response::Redirect;
use chrono::TimeDelta;
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::segment;
use super::parts::Column::{Number, Text};
use super::parts::{Column, JobWords, done, job, maybe_instant, number, prose, table, text_of};
use super::{frame, page as framed};
use crate::app::operate::{cannot_be_left, compare_optouts, decide_optouts, need_optouts};
use crate::app::{CommandError, plan as plans, runtime, services};
use crate::count::counted;
use crate::plan::{Direction, ExecutionPlan, OptoutFlow};
use crate::project::Project;
use crate::run::{AttributeReport, Reconciliation};
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure, blocking};
use crate::serve::jobs::{Comparison, Ended, Work};
use crate::serve::live::Part;
use crate::store::{Approval, OptoutStage, OptoutState};
use crate::time::{Instant, now};

/// How old a comparison may be when something is decided by it.
const FRESH: TimeDelta = TimeDelta::hours(1);

const WORDS: JobWords = JobWords {
    doing: "Comparing the opt-outs of both sides",
    done: "Compared",
    failed: "The opt-outs could not be compared",
    never: "The two sides have not been compared since the server started. A comparison reads all contacts and profiles, and writes nothing.",
};

const WORKFLOWS: &[Column] = &[
    Text("Workflow"),
    Text("Kind"),
    Text("Direction"),
    Text("State"),
    Number("Waiting for approval"),
    Text("Contacts read (UTC)"),
    Text("Profiles read (UTC)"),
];
const DIFFERENCES: &[Column] = &[Text("Field"), Text("Opt-out on"), Number("Contacts"), Text("What a run does, and why"), Text("Examples")];

/// What was done before the page is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Done {
    done: Option<String>,
}

/// The texts that follow an action.
const DONE: &[(&str, &str)] = &[
    ("write", "Approved. The next round compares again and writes the differences."),
    ("leave", "Noted. Opt-outs that only Campaign has stay, and no approval is needed for them."),
];

/// Shows the opt-outs.
pub async fn page(at: At, Query(query): Query<Done>) -> Result<Markup, Failure> {
    let text = text_of(query.done.as_ref(), DONE);
    let part = part(&at).await?;
    let content = html! {
        (done(text))
        @if at.may(Right::Operate) {
            form.actions method="post" action=(at.path("/opt-outs/compare")) { (frame::csrf(&at)) button.primary { "Compare now" } }
        }
        section data-live={ "/live/" (at.served.name) "/" (Part::Optouts.name()) } data-part=(Part::Optouts.name()) { (part) }
    };
    Ok(framed(&at, "/opt-outs", "Opt-outs", &content))
}

/// The plan that runs; if none does, that of the files.
async fn plan(at: &At) -> Result<Arc<ExecutionPlan>, Failure> {
    if let Some(plan) = at.served.now().plan {
        return Ok(plan);
    }
    let project = at.served.project();
    blocking(move || plans::of_project(&project).map(Arc::new)).await
}

/// The workflows and the last comparison, as a part of the page that is updated.
pub async fn part(at: &At) -> Result<Markup, Failure> {
    let state = at.served.jobs.optouts.now();
    let flows = match plan(at).await {
        Ok(plan) if plan.optouts.is_empty() => html! {
            p { "No mapping has an opt-out block. " code { "optout NAME { direction bidirectional … }" } " in a mapping file keeps the opt-outs of both sides in sync." }
        },
        Ok(plan) => workflows(at, &plan).await?,
        Err(failure) => html! { div.notice.bad { h2 { "The mapping files have errors" } pre { (failure.message) } } },
    };
    Ok(html! {
        (flows)
        h2 { "Comparison" }
        (job(&state, &WORDS, &at.path("/opt-outs")))
        @if let Some(last) = &state.last && let Ok(comparison) = &last.result { (compared(at, last, comparison)) }
    })
}

async fn workflows(at: &At, plan: &ExecutionPlan) -> Result<Markup, Failure> {
    let stores = at.served.stores().await?;
    let mut rows = Vec::new();
    for flow in &plan.optouts {
        let name = flow.workflow();
        let state = stores.optouts.optout_state(&name).await?;
        let waiting = match &state {
            Some(state) if state.stage == OptoutStage::Held => {
                stores.optouts.held_operations(&name).await? + stores.optouts.held_optouts(&name).await?
            }
            Some(_) => stores.optouts.held_optouts(&name).await?,
            None => 0,
        };
        rows.push(row(flow, &name, state.as_ref(), waiting));
    }
    Ok(table("Opt-outs", WORKFLOWS, &html! { @for row in &rows { (row) } }))
}

fn row(flow: &OptoutFlow, name: &str, state: Option<&OptoutState>, waiting: u64) -> Markup {
    let (class, stage) = match state.map(|state| state.stage) {
        None => ("badge quiet", "not begun"),
        Some(OptoutStage::Baseline) => ("badge", "first reading"),
        Some(OptoutStage::Held) => ("badge warn", "needs approval"),
        Some(OptoutStage::Live) => ("badge good", "in sync"),
    };
    html! {
        tr {
            th scope="row" { (name) }
            td { (kind(flow.topics)) div.quiet { (counted(flow.pairs.len(), "field")) } }
            td { (direction(flow.direction)) }
            td {
                span class=(class) { (stage) }
                @if let Some(state) = state {
                    @if let Some(note) = &state.note { div { (prose(note)) } }
                    @if let Some(warning) = &state.warning { div.warn { (prose(warning)) } }
                    // It is kept after it has been followed.
                    @if let Some(approval) = state.approval && (waiting > 0 || state.stage != OptoutStage::Live) {
                        div.quiet { (decided(approval)) }
                    }
                }
            }
            td.number { (number(waiting)) }
            td { (maybe_instant(state.and_then(|state| state.contacts_at))) }
            td { (maybe_instant(state.and_then(|state| state.polled_at.or(state.listed_at)))) }
        }
    }
}

fn kind(topics: bool) -> &'static str {
    if topics { "Topics" } else { "Opt-outs" }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Disabled => "disabled",
        Direction::D365ToCampaign => "Dynamics 365 to Campaign",
        Direction::CampaignToD365 => "Campaign to Dynamics 365",
        Direction::Bidirectional => "both ways",
    }
}

fn decided(approval: Approval) -> &'static str {
    match approval {
        Approval::Write => "Approved: the next round writes the differences.",
        Approval::Leave => "To be left as it is, from the next round on.",
    }
}

fn compared(at: &At, ended: &Ended<Comparison>, comparison: &Comparison) -> Markup {
    let mut mappings: Vec<&str> = comparison.reports.iter().map(|report| &*report.mapping).collect();
    mappings.dedup();
    html! {
        @for mapping in &mappings {
            @for report in of_mapping(comparison, mapping) { (describe(report)) }
            @if at.may(Right::Operate) && open(comparison, mapping) > 0 {
                @if is_fresh(ended.at, now()) {
                    p { a.button href=(at.path(&format!("/opt-outs/{}/decide?comparison={}", segment(mapping), ended.id))) { "Decide about " (mapping) "…" } }
                } @else {
                    p.quiet { "This comparison is more than an hour old. Compare again to decide about the differences." }
                }
            }
        }
    }
}

fn of_mapping<'c>(comparison: &'c Comparison, mapping: &str) -> impl Iterator<Item = &'c Reconciliation> {
    comparison.reports.iter().filter(move |report| report.mapping == mapping)
}

/// Values of a mapping that would be written now or with an approval.
fn open(comparison: &Comparison, mapping: &str) -> u64 {
    of_mapping(comparison, mapping).map(|report| report.writes() + report.held()).sum()
}

/// Whether something may be decided by a comparison of this time.
fn is_fresh(compared: Instant, now: Instant) -> bool {
    now - compared < FRESH
}

/// How the two sides compare.
fn describe(report: &Reconciliation) -> Markup {
    let name = format!("{} of {}", kind(report.topics), report.mapping);
    html! {
        h3 { (name) " " span.quiet { (direction(report.direction)) } }
        dl.facts {
            div { dt { "To write" } dd { (number(report.writes())) } }
            div { dt { "Needs approval" } dd { (number(report.held())) } }
            div { dt { "Contacts with a profile" } dd { (number(report.compared)) } }
            div { dt { "With a difference" } dd { (number(report.disagreeing)) } }
            div { dt { "Contacts without a profile" } dd { (number(report.without_profile)) } }
            div { dt { "Profiles without a contact" } dd { (number(report.without_contact)) } }
        }
        (table(&name, DIFFERENCES, &html! { @for attribute in &report.attributes { (attribute_rows(report, attribute)) } }))
    }
}

fn attribute_rows(report: &Reconciliation, attribute: &AttributeReport) -> Markup {
    let lines = attribute.lines(report.direction);
    html! {
        tr {
            th scope="row" rowspan=(lines.len() + 1) {
                code { (attribute.field) } " ↔ " @if attribute.inverted { "not " }
                @if report.topics { "subscription “" (attribute.attribute) "”" } @else { code { (attribute.attribute) } }
                div.quiet { (attribute.place) }
            }
            td { "both or neither" }
            td.number { (number(attribute.both_out + attribute.neither)) }
            td { (number(attribute.both_out)) " opted out on both sides, " (number(attribute.neither)) " on neither" }
            td { "–" }
        }
        @for line in &lines {
            tr {
                td { (line.side) }
                td.number { (number(line.count)) }
                td { (line.why) }
                td { @for example in line.examples { div { code { (example) } } } }
            }
        }
    }
}

/// Compares both sides.
pub async fn compare(at: At) -> Result<Redirect, Failure> {
    let project = at.served.project();
    let begun = at.served.jobs.optouts.start(&at.caller.name, move |work| read_both(&project, work));
    at.audit("compare-opt-outs", "", &begun).await;
    begun?;
    Ok(at.back("/opt-outs"))
}

/// Compares by the mapping files as they are now, as `optout reconcile` does. Blocks.
fn read_both(project: &Project, work: &Work<'_>) -> Result<Comparison, CommandError> {
    let mut plan = plans::of_project(project)?;
    plans::leave_out_two_way(project, &mut plan);
    need_optouts(&plan)?;
    let plan = Arc::new(plan);
    let (http, clients) = services::of_plan(project, &plan, Some(&[]), None)?;
    work.count(http);
    let reports = runtime()?.block_on(compare_optouts(project, &plan, &clients, None, work.stop))?;
    Ok(Comparison { plan, reports })
}

/// Which comparison was shown.
#[derive(Debug, Deserialize)]
pub struct Shown {
    comparison: String,
}

/// The comparison that was shown, if it is still the last one, is recent, and has this mapping.
fn shown(at: &At, id: &str, mapping: &str) -> Result<Arc<Ended<Comparison>>, Failure> {
    let hint = "Compare again, and decide about what you see then.";
    let last = at.served.jobs.optouts.now().last.filter(|last| last.id == id);
    let last = last.ok_or_else(|| {
        Failure::conflict("there is a newer comparison than the one that you saw, or the server was restarted").hint(hint)
    })?;
    if !is_fresh(last.at, now()) {
        return Err(Failure::conflict("the comparison is more than an hour old").hint(hint));
    }
    match &last.result {
        Ok(comparison) if of_mapping(comparison, mapping).next().is_some() => Ok(last),
        _ => Err(Failure::not_found("the comparison has no mapping of this name")),
    }
}

/// Asks before a decision.
pub async fn decide_page(at: At, Path((_, mapping)): Path<(String, String)>, Query(query): Query<Shown>) -> Result<Markup, Failure> {
    let ended = shown(&at, &query.comparison, &mapping)?;
    let Ok(comparison) = &ended.result else { return Err(Failure::bug("a comparison without a result")) };
    let (writes, held) = of_mapping(comparison, &mapping).fold((0, 0), |(w, h), report| (w + report.writes(), h + report.held()));
    let action = at.path(&format!("/opt-outs/{}/decide", segment(&mapping)));
    let form = |approval: Approval, text: Markup, button: &str| {
        html! {
            form.panel method="post" action=(action) {
                (frame::csrf(&at))
                input type="hidden" name="comparison" value=(ended.id);
                input type="hidden" name="approval" value=(approval.as_str());
                (text)
                div.actions { button.primary { (button) } a.button href=(at.path("/opt-outs")) { "Cancel" } }
            }
        }
    };
    let content = html! {
        h2 { "The differences" }
        @for report in of_mapping(comparison, &mapping) { (describe(report)) }
        h2 { "Approve the differences" }
        (form(Approval::Write, html! {
            p { (counted(writes + held, "value")) " would be written" @if held > 0 { ", " (number(held)) " of them only with an approval" } ". The next round compares again, and writes what differs then." }
        }, &format!("Approve and write for {mapping}")))
        @if cannot_be_left(&comparison.plan, Some(&mapping)).is_none() {
            h2 { "Leave the differences" }
            (form(Approval::Leave, html! {
                p { "Opt-outs that only Campaign has stay as they are, and rounds no longer ask about them. Opt-outs of Dynamics 365 are still written to Campaign." }
            }, &format!("Leave the opt-outs in Campaign for {mapping}")))
        }
    };
    Ok(framed(&at, "/opt-outs", &format!("Decide about {mapping}"), &content))
}

/// The form of a decision.
#[derive(Debug, Deserialize)]
pub struct Decision {
    comparison: String,
    approval: String,
}

/// Notes a decision.
pub async fn decide(at: At, Path((_, mapping)): Path<(String, String)>, Form(form): Form<Decision>) -> Result<Redirect, Failure> {
    let (action, approval) = match &*form.approval {
        "write" => ("approve-opt-outs", Approval::Write),
        "leave" => ("leave-opt-outs", Approval::Leave),
        _ => return Err(Failure::bad_request("the differences are either written or left")),
    };
    let done = note(&at, &mapping, &form.comparison, approval).await;
    at.audit(action, &mapping, &done).await;
    done?;
    Ok(at.back(&format!("/opt-outs?done={}", approval.as_str())))
}

async fn note(at: &At, mapping: &str, id: &str, approval: Approval) -> Result<(), Failure> {
    let ended = shown(at, id, mapping)?;
    let Ok(comparison) = &ended.result else { return Err(Failure::bug("a comparison without a result")) };
    if approval == Approval::Leave && cannot_be_left(&comparison.plan, Some(mapping)).is_some() {
        return Err(Failure::bad_request("only opt-outs that go from Dynamics 365 to Campaign alone can be left as they are"));
    }
    let stores = at.served.stores().await?;
    // A decision by other fields than the workflow compares would have it read both sides again.
    let names: Vec<String> = comparison.plan.optouts.iter().filter(|flow| flow.mapping == mapping).map(OptoutFlow::workflow).collect();
    let status = stores.control.status().await?;
    if let Some(other) = status.workflows.iter().find(|w| names.contains(&w.name) && w.restart_due.is_some()) {
        let text = format!("the mapping files have changed, and `{}` still runs by the earlier ones", other.name);
        return Err(Failure::conflict(text).hint("Restart the workflow on the overview, and compare again."));
    }
    let mut is_open = false;
    for name in &names {
        let state = stores.optouts.optout_state(name).await?;
        is_open |= state.is_none_or(|state| state.stage != OptoutStage::Live) || stores.optouts.held_optouts(name).await? > 0;
    }
    if !is_open {
        let text = format!("the opt-outs of `{mapping}` are in sync: there is nothing to decide about");
        return Err(Failure::conflict(text).hint("Compare again to see both sides as they are now."));
    }
    Ok(decide_optouts(&stores, &comparison.plan, [mapping], approval).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(direction: Direction) -> Reconciliation {
        let hostile = "<script>alert(1)</script>".to_owned();
        let attribute = AttributeReport {
            attribute: hostile.clone(),
            field: hostile.clone(),
            place: hostile.clone(),
            held: 2,
            to_campaign: 1,
            dynamics_only_examples: vec![hostile.clone()],
            campaign_only_examples: vec![hostile.clone()],
            ..AttributeReport::default()
        };
        Reconciliation {
            mapping: hostile,
            direction,
            topics: true,
            compared: 3,
            disagreeing: 3,
            without_profile: 0,
            without_contact: 0,
            attributes: vec![attribute],
        }
    }

    #[test]
    fn what_the_sides_disagree_about_is_text_and_says_why() {
        let shown = describe(&report(Direction::D365ToCampaign)).into_string();
        assert!(!shown.contains("<script") && shown.contains("&lt;script"), "{shown}");
        assert!(shown.contains("an opt-out in Dynamics always does") && shown.contains("unless you approve that it is lifted"), "{shown}");
    }

    #[test]
    fn nothing_is_decided_by_a_comparison_that_is_an_hour_old() {
        let at = now();
        assert!(is_fresh(at, at + TimeDelta::minutes(59)) && !is_fresh(at, at + TimeDelta::minutes(60)));
    }

    #[test]
    fn a_name_is_one_part_of_an_address() {
        assert_eq!(segment("a/b?c"), "a%2Fb%3Fc");
    }
}
