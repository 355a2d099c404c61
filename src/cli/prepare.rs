//! From the arguments of a command to a project and its plan, with what must be said before anything is moved.

use std::path::Path;
use std::sync::Arc;

use super::Global;
use super::compile::compile_group;
use super::output::{note, say_styled, stderr_style, warning};
use crate::app::plan::{self, ADD_A_SOURCE, read_plan, without_source};
use crate::app::{AppError, CommandError, ErrorKind, drift, files, metadata};
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::{Kind, workflows};

/// A project with its plan.
pub(super) struct Prepared {
    pub(super) project: Project,
    pub(super) plan: Arc<ExecutionPlan>,
    /// The mapping files that the plan was compiled from; none if it was read from a file.
    group: Option<files::Group>,
}

/// Finds the project and reads or compiles its plan; findings and what the plan cannot do are printed.
pub(super) fn prepare(plan: Option<&Path>, global: &Global) -> Result<Prepared, CommandError> {
    let project = files::need_project(global.project.as_deref())?;
    let (mut plan, group) = match plan {
        Some(path) => (read_plan(path).map_err(AppError::from)?, None),
        None => {
            let group = files::of_project(project.clone())?;
            (compile_group(group.clone())?, Some(group))
        }
    };
    let left_out = plan::leave_out_two_way(&project, &mut plan);
    not_moved(&left_out, global.quiet);
    warn_without_source(&project, &plan);
    Ok(Prepared { project, plan: Arc::new(plan), group })
}

/// Compares the services with the committed schemas before anything is read or written: a run that would fail midway,
/// or write unintended values, does not start.
pub(super) fn refuse_drift(
    prepared: &mut Prepared,
    mappings: Option<&[String]>,
    ignore: bool,
    watch: bool,
    quiet: bool,
) -> Result<(), CommandError> {
    if ignore {
        return Ok(());
    }
    let project = &prepared.project;
    let source = metadata::connect(project)?;
    let moved = moved(&prepared.plan, mappings);
    match drift::of_project(source.as_ref(), project, prepared.group.take(), &moved) {
        // A user who may move records but not read metadata does not stop the run.
        // Nor is a service that is down when a watch begins: its workflows wait for it, each by itself.
        Err(error) if watch || error.is_forbidden() => {
            warning(&format!("the services' schemas were not compared with the committed ones: {error}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(drift) if drift.is_breaking() => {
            say_styled(&drift.text(stderr_style()));
            Err(CommandError::new(
                ErrorKind::Service,
                "the services have changed in a way that breaks the mappings; nothing was read or written. `d365map schema diff` lists the changes; after the mappings are changed, `d365map schema pull` updates the committed schemas. `--ignore-drift` starts anyway",
            ))
        }
        Ok(drift) => {
            if !drift.is_none() && !quiet {
                note("the services have changed without touching a mapping; `d365map schema diff` shows it");
            }
            Ok(())
        }
    }
}

/// Warns of event blocks that move nothing, since the project has no source of events.
pub(super) fn warn_without_source(project: &Project, plan: &ExecutionPlan) {
    for flow in without_source(project, plan) {
        warning(&format!("`{flow}` has no source of events, so it moves none; {ADD_A_SOURCE}"));
    }
}

/// The part of a plan that a run moves: the tables of other mappings must not stop it.
fn moved(plan: &ExecutionPlan, mappings: Option<&[String]>) -> ExecutionPlan {
    let mut moved = plan.clone();
    if let Some(names) = mappings {
        let flows = workflows(plan).into_iter().filter(|w| names.contains(&w.name));
        let flows: Vec<(Kind, usize)> = flows.map(|w| (w.kind, w.index)).collect();
        let wanted = |kind, index| flows.contains(&(kind, index));
        let optouts: Vec<_> = plan.optouts.iter().enumerate().filter(|(i, _)| wanted(Kind::Optout, *i)).map(|(_, f)| f.clone()).collect();
        // Opt-outs read and write the tables of their mapping.
        let needed = |index: usize, name: &str| wanted(Kind::Ingress, index) || optouts.iter().any(|o| o.mapping == name);
        moved.ingress = plan.ingress.iter().enumerate().filter(|(i, f)| needed(*i, &f.name)).map(|(_, f)| f.clone()).collect();
        moved.events = plan.events.iter().enumerate().filter(|(i, _)| wanted(Kind::Events, *i)).map(|(_, f)| f.clone()).collect();
        moved.two_way.retain(|f| names.contains(&f.name));
        moved.optouts = optouts;
    }
    moved
}

/// Two-way mappings of a project that does not say how Partner Center is reached: said rather than skipped.
fn not_moved(names: &[String], quiet: bool) {
    if !quiet && !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        warning(&format!(
            "the project has no connection to Partner Center; not moved: {}; add `connections: partner-center:` to d365map.yaml",
            names.join(", ")
        ));
    }
}
