//! Which workflows are meant, and what is approved for them.

use std::collections::BTreeSet;

use crate::app::CommandError;
use crate::app::plan::of_project;
use crate::diagnostics::nearest;
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::workflows;
use crate::store::{Outbox, Status, StoreError};

/// The names of the workflows that a state has.
pub fn known(status: &Status) -> BTreeSet<String> {
    status.mappings.iter().map(|m| m.mapping.clone()).chain(status.workflows.iter().map(|w| w.name.clone())).collect()
}

/// The workflows that are meant, all of them known to the state or the mapping files. `all`: every one of the files; if these do not
/// compile, every one of the state.
///
/// # Errors
/// None is named, or one that neither the state nor the files have.
pub fn meant(names: &[String], all: bool, project: &Project, mut known: BTreeSet<String>) -> Result<Vec<String>, CommandError> {
    // Where the files do not compile, what ran before can still be stopped.
    let planned: Vec<String> = of_project(project).map(|p| workflows(&p).into_iter().map(|w| w.name).collect()).unwrap_or_default();
    if all {
        return if planned.is_empty() { Ok(known.into_iter().collect()) } else { Ok(planned) };
    }
    known.extend(planned);
    chosen(names, &known)
}

/// The workflows that are meant among those that are known.
///
/// # Errors
/// None is named, or one that is not known.
pub fn chosen(names: &[String], known: &BTreeSet<String>) -> Result<Vec<String>, CommandError> {
    if names.is_empty() {
        return Err(CommandError::usage("say which ones: workflows, or --all"));
    }
    if let Some(name) = names.iter().find(|n| !known.contains(*n)) {
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none; `d365map check` says what is wrong with the mapping files".to_owned(),
            None => format!("there are {}", known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
        };
        return Err(CommandError::usage(format!("there is no workflow `{name}`; {help}")));
    }
    Ok(names.to_vec())
}

/// Approves what a workflow holds, since it would delete many records or empty a field in many. Returns how many changes.
///
/// # Errors
/// It holds nothing, or the state cannot be written.
pub async fn approve_mass_change(outbox: &dyn Outbox, name: &str) -> Result<u64, CommandError> {
    let approved: Result<Option<u64>, StoreError> = outbox.approve_mass_change(name).await;
    approved?.ok_or_else(|| nothing_held(name))
}

/// The error for a workflow that holds nothing.
pub fn nothing_held(name: &str) -> CommandError {
    CommandError::usage(format!("`{name}` holds nothing for approval; `d365map status` shows what does"))
}

/// Refuses a schedule for a workflow that the plan does not have.
///
/// # Errors
/// The first such schedule.
pub fn refuse_unknown_schedule(project: &Project, plan: &ExecutionPlan) -> Result<(), CommandError> {
    let known: Vec<String> = workflows(plan).into_iter().map(|w| w.name).collect();
    let Some(name) = project.schedules.keys().find(|name| !known.contains(name)) else { return Ok(()) };
    let near = nearest(name, known.iter().map(String::as_str));
    let help = near.map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
    Err(CommandError::usage(format!("`schedules` of the project file has `{name}`, and there is no such workflow; {help}")))
}
