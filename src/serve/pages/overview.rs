//! The overview of a project: its workflows, and what can be done with them.

use axum::Form;
use axum::extract::{Path, Query};
use axum::response::Redirect;
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::segment;
use super::parts::{done, instant, maybe_instant, number, prose, state_badge, text_of};
use super::{frame, page as framed};
use crate::app::operate::{self, ProjectStatus};
use crate::count::counted;
use crate::run::workflows as planned;
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure, blocking};
use crate::serve::live::Part;
use crate::store::{FINISHED, Holder, MappingStatus, MassChange, Phase, Wish, WorkflowRecord, WorkflowState};
use crate::time;

/// What was done before the page is shown.
#[derive(Debug, Default, Deserialize)]
pub struct Done {
    done: Option<String>,
}

/// The texts that follow an action, by its name in the address: an address holds no text that is shown.
const DONE: &[(&str, &str)] = &[
    ("start", "The workflow is being started."),
    ("restart", "The workflow is being restarted by the mapping files as they are now."),
    ("stop", "The workflow is being stopped. Requests in flight are finished first."),
    ("replay", "All records of the mapping are being read again."),
    ("approve", "The held changes are approved. They are written in the next round."),
    ("try-again", "The project is being started again."),
];

/// Shows the overview.
pub async fn page(at: At, Query(query): Query<Done>) -> Result<Markup, Failure> {
    let text = text_of(query.done.as_ref(), DONE);
    let part = workflows(&at).await?;
    let content = html! {
        (done(text))
        // The buttons of the part below belong to this form, so the part is the same for everybody with the same role.
        form #act method="post" { (frame::csrf(&at)) }
        section data-live={ "/live/" (at.served.name) "/" (Part::Workflows.name()) } data-part=(Part::Workflows.name()) aria-live="off" { (part) }
    };
    Ok(framed(&at, "", "Overview", &content))
}

/// A workflow with all that is known of it.
struct Shown<'a> {
    name: &'a str,
    record: Option<&'a WorkflowRecord>,
    status: Option<&'a MappingStatus>,
    /// What it holds for approval.
    held: Option<MassChange>,
    /// It is a mapping that can be replayed.
    replayable: bool,
}

/// The workflows, as a part of the page that is updated.
pub async fn workflows(at: &At) -> Result<Markup, Failure> {
    let ProjectStatus { process, status } = operate::status(&at.served.project()).await?;
    let plan = at.served.now().plan;
    let mut names: Vec<String> = plan.as_deref().map(|plan| planned(plan).into_iter().map(|w| w.name).collect()).unwrap_or_default();
    names.extend(operate::known(&status).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let stores = at.served.stores().await?;
    let mut shown = Vec::new();
    for name in &names {
        shown.push(Shown {
            name,
            record: status.workflows.iter().find(|w| w.name == *name),
            status: status.mappings.iter().find(|m| m.mapping == *name),
            held: stores.outbox.mass_change(name).await?,
            replayable: plan.as_deref().is_some_and(|plan| plan.flow(name).is_some()),
        });
    }
    let waiting: u64 = shown.iter().filter_map(|s| s.status).map(|s| s.backlog.total()).sum();
    let letters: u64 = shown.iter().filter_map(|s| s.status).map(|s| s.dead_letters).sum();
    Ok(html! {
        dl.facts {
            div { dt { "Process" } dd { @match &process { Some(holder) => (holds(holder)), None => "nothing runs now" } } }
            div { dt { "Backlog" } dd { (number(waiting)) } }
            div { dt { "Dead letters" } dd { a href=(at.path("/dead-letters")) { (number(letters)) } } }
        }
        @if shown.is_empty() {
            p { "This project has no workflows yet." }
        } @else {
            div.wide tabindex="0" role="region" aria-label="Workflows" {
                table.workflows.cards {
                    caption.hidden { "Workflows" }
                    thead { tr {
                        th scope="col" { "Workflow" } th scope="col" { "State" } th.number scope="col" { "Backlog" }
                        th.number scope="col" { "Per minute" } th.number scope="col" { "Records" } th.number scope="col" { "Dead letters" }
                        th scope="col" { "Last round (UTC)" } th scope="col" { "Next round (UTC)" }
                        @if at.may(Right::Operate) { th scope="col" { "Actions" } }
                    } }
                    @for workflow in &shown { tbody { (row(at, workflow)) } }
                }
            }
        }
    })
}

/// The process that does what is shown.
fn holds(holder: &Holder) -> Markup {
    html! {
        @match holder.pid { Some(pid) => { (pid) } None => { "not known" } }
        @if let Some(host) = &holder.host { " on " (host) }
        @if let Some(began) = holder.started_at { span.quiet { " since " (instant(began)) " UTC" } }
    }
}

fn row(at: &At, w: &Shown<'_>) -> Markup {
    let state = w.record.map_or(WorkflowState::Stopped, |r| r.state);
    let notes = notes(w);
    let columns = 8 + u8::from(at.may(Right::Operate));
    html! {
        tr {
            th scope="row" { (w.name) @if let Some(position) = w.status.and_then(position) { div.quiet { (position) } } }
            td data-label="State" { (state_badge(state)) @if let Some(r) = w.record { div.quiet { "since " (instant(r.since)) } } }
            td.number data-label="Backlog" { @if let Some(s) = w.status {
                (number(s.backlog.total()))
                @if s.backlog.delayed > 0 { div.quiet { (number(s.backlog.delayed)) " postponed" } }
            } }
            td.number data-label="Per minute" { @match at.served.live.per_minute(w.name) { Some(rate) => (number(rate)), None => span.quiet { "–" } } }
            td.number data-label="Records" { @if let Some(s) = w.status { (number(s.pairs.as_ref().map_or(s.ledger_rows, |p| p.linked))) } }
            td.number data-label="Dead letters" { @if let Some(s) = w.status {
                @if s.dead_letters > 0 { a href=(at.path(&format!("/dead-letters?mapping={}", segment(w.name)))) { (number(s.dead_letters)) } }
                @else { "0" }
            } }
            td data-label="Last round (UTC)" { (maybe_instant(w.record.and_then(|r| r.round_ended))) }
            td data-label="Next round (UTC)" { (maybe_instant(w.record.and_then(|r| r.next_round))) }
            @if at.may(Right::Operate) { td.actions { (actions(at, w, state)) } }
        }
        @if !notes.is_empty() {
            tr.notes { td colspan=(columns) { ul { @for (class, note) in &notes { li class=(class) { (prose(note)) } } } } }
        }
        @if let Some(held) = &w.held {
            tr.notes { td colspan=(columns) {
                p.bad { "Held for approval: it would " (held) "." }
                @if at.may(Right::Operate) {
                    button form="act" formaction=(at.path(&format!("/workflows/{}/approve-mass-change", segment(w.name)))) { "Approve what " (w.name) " holds" }
                }
            } }
        }
    }
}

/// The position of a workflow in its source.
fn position(status: &MappingStatus) -> Option<&'static str> {
    Some(match (&status.cursor, &status.pairs, &status.events) {
        (_, Some(_), _) => "follows changes on both sides",
        (_, _, Some(_)) => "reads events",
        (Some(cursor), ..) => match (cursor.phase, cursor.link.is_some()) {
            (Phase::Delta, _) => "follows changes",
            (Phase::Full, true) => "in a full load",
            (Phase::Full, false) => "at the start of a full load",
        },
        (None, None, None) => return None,
    })
}

/// What somebody should know of a workflow, each with a class.
fn notes(w: &Shown<'_>) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    if let Some(record) = w.record {
        let finished = record.state == WorkflowState::Stopped && record.reason.as_deref() == Some(FINISHED);
        if let Some(reason) = record.reason.as_ref().filter(|_| !finished) {
            let class = if record.state == WorkflowState::Failed { "bad" } else { "" };
            notes.push((class, reason.clone()));
        }
        if let (Some(error), Some(error_at)) = (&record.last_error, record.error_at)
            && record.reason.as_ref() != Some(error)
            && record.round_ended.is_none_or(|ended| ended < error_at)
        {
            notes.push(("bad", format!("last error, {}: {error}", time::format_instant(error_at))));
        }
        if let Some(due) = &record.restart_due {
            notes.push(("warn", format!("Restart due: {due}")));
        }
        if record.replay {
            notes.push(("", "A replay was requested: the next start reads all records again.".to_owned()));
        }
        if record.wish == Wish::Stop && matches!(record.state, WorkflowState::Running | WorkflowState::Starting) {
            notes.push(("", "Is being stopped; requests in flight are finished first.".to_owned()));
        }
    }
    for status in w.status.iter() {
        notes.extend(status.notes.iter().map(|note| ("warn", note.clone())));
        notes.extend(
            status
                .backlog
                .waiting_for
                .iter()
                .map(|waiting| ("", format!("{} for records of `{}`", counted(waiting.records, "operation") + " waiting", waiting.parent))),
        );
    }
    notes
}

fn actions(at: &At, w: &Shown<'_>, state: WorkflowState) -> Markup {
    let path = |action: &str| at.path(&format!("/workflows/{}/{action}", segment(w.name)));
    let button = |action: &str, text: &str| {
        html! { button form="act" formaction=(path(action)) { (text) span.hidden { " " (w.name) } } }
    };
    html! {
        @match state {
            WorkflowState::Running | WorkflowState::Starting => { (button("stop", "Stop")) (button("restart", "Restart")) }
            WorkflowState::Stopped | WorkflowState::Failed => (button("start", "Start")),
        }
        @if w.replayable { a.button href=(path("replay")) { "Replay…" span.hidden { " " (w.name) } } }
    }
}

async fn wish(at: &At, name: &str, wish: Wish, again: bool) -> Result<(), Failure> {
    let stores = at.served.stores().await?;
    let known = operate::known(&stores.control.status().await?);
    let (project, asked) = (at.served.project(), vec![name.to_owned()]);
    let names = blocking(move || operate::meant(&asked, false, &project, known)).await?;
    stores.control.wish(&names, wish, again).await?;
    Ok(())
}

/// Does something with a workflow, notes who did it, and shows the overview.
async fn act(at: At, name: &str, action: &'static str, done: Result<(), Failure>) -> Result<Redirect, Failure> {
    at.audit(action, name, &done).await;
    done?;
    at.served.live.changed();
    Ok(at.back(&format!("?done={action}")))
}

/// Starts a workflow.
pub async fn start(at: At, Path((_, name)): Path<(String, String)>) -> Result<Redirect, Failure> {
    let done = wish(&at, &name, Wish::Run, false).await;
    act(at, &name, "start", done).await
}

/// Stops a workflow and starts it by the mapping files as they are now.
pub async fn restart(at: At, Path((_, name)): Path<(String, String)>) -> Result<Redirect, Failure> {
    let done = wish(&at, &name, Wish::Run, true).await;
    act(at, &name, "restart", done).await
}

/// Stops a workflow.
pub async fn stop(at: At, Path((_, name)): Path<(String, String)>) -> Result<Redirect, Failure> {
    let done = wish(&at, &name, Wish::Stop, false).await;
    act(at, &name, "stop", done).await
}

/// Asks before a replay.
pub async fn replay_page(at: At, Path((_, name)): Path<(String, String)>) -> Result<Markup, Failure> {
    let flow = flow(&at, &name)?;
    let content = html! {
        p { "A replay reads all records of " code { (flow.source.table) } " again and compares each with what was last written. Records that are the same are not written." }
        p { "Fields with " code { "@initial" } " are written again. If the mapping deletes, records that the full load does not find are deleted; a large share needs approval first." }
        form.panel method="post" action=(at.path(&format!("/workflows/{name}/replay"))) {
            (frame::csrf(&at))
            label { input type="checkbox" name="ignore_limits" value="yes"; " Replay 2,000,000 records or more too" }
            div.actions { button.primary { "Replay " (name) } a.button href=(at.path("")) { "Cancel" } }
        }
    };
    Ok(framed(&at, "", &format!("Replay {name}"), &content))
}

fn flow(at: &At, name: &str) -> Result<crate::plan::IngressFlow, Failure> {
    let plan = at.served.now().plan.ok_or_else(|| Failure::conflict("the project is not running"))?;
    Ok(operate::replayable(&plan, name)?.clone())
}

/// The form of a replay.
#[derive(Debug, Deserialize)]
pub struct ReplayForm {
    ignore_limits: Option<String>,
}

/// Has all records of a mapping read again.
pub async fn replay(at: At, Path((_, name)): Path<(String, String)>, Form(form): Form<ReplayForm>) -> Result<Redirect, Failure> {
    let done = async {
        let (project, flow) = (at.served.project(), flow(&at, &name)?);
        let ignore_limits = form.ignore_limits.is_some();
        blocking(move || operate::request_replay(&project, &flow, ignore_limits)).await
    };
    let done = done.await;
    act(at, &name, "replay", done).await
}

/// Approves what a workflow holds.
pub async fn approve_mass_change(at: At, Path((_, name)): Path<(String, String)>) -> Result<Redirect, Failure> {
    let done = async {
        let stores = at.served.stores().await?;
        operate::approve_mass_change(&*stores.outbox, &name).await?;
        Ok(())
    };
    let done = done.await;
    act(at, &name, "approve", done).await
}

/// Has a project that could not start try again.
pub async fn try_again(at: At) -> Result<Redirect, Failure> {
    at.served.try_again();
    act(at, "", "try-again", Ok(())).await
}
