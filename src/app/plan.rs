//! Plans: read from a file that `compile` wrote, or compiled from the files of a project.

use std::path::Path;

use super::error::PlanFileError;
use super::{AppError, files};
use crate::diagnostics::Severity;
use crate::disk;
use crate::plan::ExecutionPlan;
use crate::project::Project;

/// Larger files are not plans: the plan of the largest mapping file is a tenth of this.
const MAX_PLAN_BYTES: u64 = 256 * 1024 * 1024;

/// Reads a compiled plan.
///
/// # Errors
/// [`PlanFileError`].
pub fn read_plan(path: &Path) -> Result<ExecutionPlan, PlanFileError> {
    let bytes = disk::read(path, MAX_PLAN_BYTES).map_err(|source| PlanFileError::Unreadable { path: path.to_path_buf(), source })?;
    let text = String::from_utf8(bytes).map_err(|_| PlanFileError::NotText(path.to_path_buf()))?;
    ExecutionPlan::from_json(&text).map_err(|source| PlanFileError::NotAPlan { path: path.to_path_buf(), source })
}

/// Leaves out the two-way mappings of a project that does not say how Partner Center is reached. Returns their names.
pub fn leave_out_two_way(project: &Project, plan: &mut ExecutionPlan) -> Vec<String> {
    if project.connections.partner_center.is_some() {
        return Vec::new();
    }
    plan.two_way.drain(..).map(|flow| flow.name).collect()
}

/// Compiles the mapping files of a project as they are on disk.
///
/// # Errors
/// The files cannot be read, or they have errors: then the first one with its place.
pub fn of_project(project: &Project) -> Result<ExecutionPlan, AppError> {
    let compiled = files::of_project(project.clone())?.compile();
    if let Some(plan) = compiled.plan {
        return Ok(plan);
    }
    let errors: Vec<_> = compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).collect();
    let first = errors.first().map(|d| {
        let (file, at) = compiled.sources.locate(d.span);
        format!("{file}:{}:{}: {} ({})", at.line, at.column, d.message, d.code)
    });
    Err(PlanFileError::Findings { errors: errors.len(), first }.into())
}

/// What to do about a block of events without a source.
pub const ADD_A_SOURCE: &str = "add `journal`, or `sftp` with `deliveries` or `tracking`, under `connections: campaign:` of d365map.yaml";

/// The blocks of events for which the project names neither a journal nor exported logs.
pub fn without_source<'p>(project: &Project, plan: &'p ExecutionPlan) -> Vec<&'p str> {
    let has_source = project.connections.campaign.as_ref().is_some_and(|campaign| {
        let logs = campaign.sftp.as_ref().is_some_and(|sftp| sftp.files.deliveries.is_some() || sftp.files.tracking.is_some());
        campaign.journal.is_some() || logs
    });
    if has_source { Vec::new() } else { plan.events.iter().map(|flow| flow.name.as_str()).collect() }
}
