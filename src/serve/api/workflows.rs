//! Workflows: their state, and to start, stop, restart and replay them.

use axum::extract::Path;
use axum::http::StatusCode;

use super::documents::{CountDocument, ReplayChoice, VERSION, WishDocument, WorkflowDocument, WorkflowsDocument};
use super::exchange::{Answer, Asked, Body, Document, Problem};
use crate::app::{operate, state};
use crate::plan::IngressFlow;
use crate::run::workflows as planned;
use crate::serve::answer::{At, Failure, blocking};
use crate::store::Wish;
use crate::time;

/// Lists the workflows of a project.
pub async fn list(Asked(at): Asked) -> Answer<WorkflowsDocument> {
    let found = operate::status(&at.served.project()).await?;
    let plan = at.served.now().plan;
    let mut names: Vec<String> = plan.as_deref().map(|plan| planned(plan).into_iter().map(|w| w.name).collect()).unwrap_or_default();
    let of_plan = names.len();
    names.extend(operate::known(&found.status).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let outbox = at.served.stores().await?.outbox;
    let mut workflows = Vec::new();
    for (n, name) in names.into_iter().enumerate() {
        workflows.push(WorkflowDocument {
            planned: n < of_plan,
            replayable: plan.as_deref().is_some_and(|plan| plan.flow(&name).is_some()),
            record: found.status.workflows.iter().find(|w| w.name == name).cloned(),
            held: outbox.mass_change(&name).await?,
            name,
        });
    }
    Ok(Document::of(WorkflowsDocument { version: VERSION, process: found.process, workflows }))
}

/// Refuses the name of a workflow that neither the state nor the mapping files have.
async fn known(at: &At, name: &str) -> Result<(), Problem> {
    let stores = at.served.stores().await?;
    let known = operate::known(&stores.control.status().await?);
    let (project, asked) = (at.served.project(), vec![name.to_owned()]);
    let meant = blocking(move || operate::meant(&asked, false, &project, known)).await;
    meant.map_err(|failure| Problem::from(failure).with_status(StatusCode::NOT_FOUND))?;
    Ok(())
}

/// Notes who did something and what came of it, and has pages look again.
async fn noted<T>(at: &At, action: &str, name: &str, done: Result<T, Failure>) -> Result<T, Problem> {
    at.audit(action, name, &done).await;
    at.served.live.changed();
    Ok(done?)
}

async fn wish(at: At, name: String, action: &str, wish: Wish, again: bool) -> Answer<WishDocument> {
    known(&at, &name).await?;
    let control = at.served.stores().await?.control;
    // The state from before the wish must not be taken for its effect.
    let asked = time::now();
    let done = control.wish(std::slice::from_ref(&name), wish, again).await.map_err(Failure::from);
    let changed = noted(&at, action, &name, done).await?;
    let process = state::run_in_progress(&at.served.project()).await?;
    Ok(Document::accepted(WishDocument { version: VERSION, changed: changed.contains(&name), workflow: name, asked, process }))
}

/// Starts a workflow.
pub async fn start(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<WishDocument> {
    wish(at, name, "start", Wish::Run, false).await
}

/// Stops a workflow and starts it by the mapping files as they are now.
pub async fn restart(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<WishDocument> {
    wish(at, name, "restart", Wish::Run, true).await
}

/// Stops a workflow.
pub async fn stop(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<WishDocument> {
    wish(at, name, "stop", Wish::Stop, false).await
}

fn flow(at: &At, name: &str) -> Result<IngressFlow, Failure> {
    let plan = at.served.now().plan.ok_or_else(|| Failure::conflict("the project is not running"))?;
    Ok(operate::replayable(&plan, name)?.clone())
}

/// Has all records of a mapping read again.
pub async fn replay(Asked(at): Asked, Path((_, name)): Path<(String, String)>, Body(choice): Body<ReplayChoice>) -> Answer<WishDocument> {
    known(&at, &name).await?;
    let asked = time::now();
    let done = async {
        let (project, flow) = (at.served.project(), flow(&at, &name)?);
        blocking(move || operate::request_replay(&project, &flow, choice.ignore_limits)).await
    };
    let done = done.await;
    noted(&at, "replay", &name, done).await?;
    let process = state::run_in_progress(&at.served.project()).await?;
    Ok(Document::accepted(WishDocument { version: VERSION, changed: true, workflow: name, asked, process }))
}

/// Approves what a workflow holds.
pub async fn approve_mass_change(Asked(at): Asked, Path((_, name)): Path<(String, String)>) -> Answer<CountDocument> {
    known(&at, &name).await?;
    let outbox = at.served.stores().await?.outbox;
    let held = outbox.mass_change(&name).await?;
    let done = match held {
        Some(_) => operate::approve_mass_change(&*outbox, &name).await.map_err(Failure::from),
        None => Err(Failure::conflict(operate::nothing_held(&name).to_string())),
    };
    let count = noted(&at, "approve", &name, done).await?;
    Ok(Document::accepted(CountDocument { version: VERSION, count }))
}
