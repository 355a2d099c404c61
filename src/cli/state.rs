//! `d365map state`: what the state file holds, by workflow, and what to do after a rename or a move to other services.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::output::print;
use super::prepare::{Prepared, prepare};
use super::run::Format;
use super::{Exit, Global};
use crate::app::plan::of_project;
use crate::app::{CommandError, files, runtime, services, state};
use crate::count::counted;
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::{current_environment, workflows};
use crate::store::{Access, Environment, KnownWorkflow, Side, StoreError};
use crate::system::SystemId;

/// Arguments of `state`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the workflows that the state holds, with those that no mapping file has any more.
    List {
        /// How the list is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Give a workflow's state a new name, after its mapping was renamed.
    Rename {
        /// The name in the state.
        old: String,
        /// The name in the mapping files.
        new: String,
    },
    /// Forget a workflow that no mapping file has any more. Its records at the target stay as they are.
    Drop {
        /// The name in the state.
        name: String,
    },
    /// Move the state to the services that the project file names now.
    Rebind {
        /// Only the addresses have changed: the services hold the same records as before.
        #[arg(long)]
        same_data: bool,
        /// A compiled plan; without it, the project's mappings are compiled.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
}

/// Does what was asked.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    if let Action::Rebind { same_data, plan } = &args.action {
        return rebind(*same_data, plan.as_deref(), global);
    }
    let project = files::need_project(global.project.as_deref())?;
    // Without a plan, because the files have errors, what the state holds can still be shown.
    let plan = of_project(&project).ok();
    match &args.action {
        Action::List { format } => list(&project, plan.as_ref(), *format),
        Action::Rename { old, new } => rename(&project, plan.as_ref(), old, new),
        Action::Drop { name } => drop_one(&project, plan.as_ref(), name),
        Action::Rebind { .. } => Ok(()),
    }?;
    Ok(Exit::Clean)
}

fn names(plan: &ExecutionPlan) -> Vec<String> {
    workflows(plan).into_iter().map(|workflow| workflow.name).collect()
}

fn list(project: &Project, plan: Option<&ExecutionPlan>, format: Format) -> Result<(), CommandError> {
    let (known, environment) = runtime()?.block_on(async {
        let control = state::open(project, Access::Read).await?.control;
        Ok::<_, StoreError>((control.known_workflows().await?, control.environment().await?))
    })?;
    let planned = plan.map(names);
    match format {
        Format::Human => print(&describe(&known, &environment, planned.as_deref())),
        Format::Json => {
            let workflows: Vec<_> = known
                .iter()
                .map(|workflow| {
                    let orphan = planned.as_ref().map(|names| !names.contains(&workflow.name));
                    json!({"workflow": workflow, "orphan": orphan})
                })
                .collect();
            let environment: Vec<_> = environment
                .iter()
                .map(|(system, side)| json!({"service": system.key(), "address": side.address, "organization": side.organization}))
                .collect();
            print(&format!("{}\n", json!({"version": 1, "environment": environment, "workflows": workflows})));
        }
    }
    Ok(())
}

fn describe(known: &[KnownWorkflow], environment: &BTreeMap<SystemId, Side>, planned: Option<&[String]>) -> String {
    let mut out = String::new();
    for (system, side) in environment {
        out.push_str(&format!("{}: {side}\n", system.title()));
    }
    if known.is_empty() {
        out.push_str("the state holds no workflow yet\n");
    }
    for workflow in known {
        let orphan = planned.is_some_and(|names| !names.contains(&workflow.name));
        let what = workflow
            .identity
            .as_ref()
            .map_or_else(|| format!("{}, not run since the last upgrade", workflow.kind), |i| format!("{}, {i}", workflow.kind));
        out.push_str(&format!("{}{}: {what}\n", workflow.name, if orphan { " (ORPHAN)" } else { "" }));
        out.push_str(&format!(
            "  {} at the target, {} or events waiting, {}\n",
            counted(workflow.records, "record"),
            counted(workflow.backlog, "operation"),
            counted(workflow.dead_letters, "dead letter")
        ));
        if orphan {
            let name = &workflow.name;
            out.push_str(&format!(
                "  no mapping file has it: its records are no longer updated or deleted. If it was renamed, run `d365map state rename {name} NEW`; to forget it, run `d365map state drop {name}`\n"
            ));
        }
    }
    if planned.is_none() {
        out.push_str("the mapping files have errors, so orphans are not shown; `d365map check` shows the errors\n");
    }
    out
}

fn rename(project: &Project, plan: Option<&ExecutionPlan>, old: &str, new: &str) -> Result<(), CommandError> {
    let planned = plan.map(names);
    if let Some(names) = &planned {
        if names.iter().any(|name| name == old) {
            return Err(CommandError::usage(format!("the mapping files still have `{old}`: rename it there first")));
        }
        if !names.iter().any(|name| name == new) {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            return Err(CommandError::usage(format!("the mapping files have no `{new}`; they have {}", names.join(", "))));
        }
    }
    runtime()?.block_on(async { state::open(project, Access::Run).await?.control.rename_workflow(old, new).await })?;
    print(&format!("`{new}` goes on with the state of `{old}`\n"));
    Ok(())
}

fn drop_one(project: &Project, plan: Option<&ExecutionPlan>, name: &str) -> Result<(), CommandError> {
    if plan.is_some_and(|plan| names(plan).iter().any(|planned| planned == name)) {
        return Err(CommandError::usage(format!(
            "the mapping files have `{name}`: without its state it would forget which records it wrote. To read all its records again, run `d365map replay {name}`; to drop it, remove it from the mapping files first"
        )));
    }
    let dropped = runtime()?.block_on(async { state::open(project, Access::Run).await?.control.drop_workflow(name).await })?;
    print(&format!(
        "dropped `{name}`; unchanged at the target: {}; not carried out: {} or events\n",
        counted(dropped.records, "record"),
        counted(dropped.backlog, "operation")
    ));
    Ok(())
}

fn rebind(same_data: bool, plan: Option<&std::path::Path>, global: &Global) -> Result<Exit, CommandError> {
    let Prepared { project, plan, .. } = prepare(plan, global)?;
    let (environment, moved) = runtime()?.block_on(async {
        let control = state::open(&project, Access::Run).await?.control;
        let (_, clients) = services::of_plan(&project, &plan, None, None)?;
        let environment = current_environment(&clients).await?;
        let moved = control.rebind_environment(&environment, same_data).await?;
        Ok::<_, CommandError>((environment, moved))
    })?;
    print(&told(&environment, &moved, same_data));
    Ok(Exit::Clean)
}

/// What a move means for the next run.
fn told(environment: &Environment, moved: &[SystemId], same_data: bool) -> String {
    let sides: Vec<String> = environment.0.iter().map(|(system, side)| format!("{} at {side}", system.title())).collect();
    let mut out = format!("the state belongs to {}\n", sides.join(" and "));
    if moved.is_empty() {
        out.push_str("it belonged to these services before: nothing else has changed\n");
        return out;
    }
    out.push_str("the next run reads all records again\n");
    if !same_data {
        if moved.contains(&SystemId::Campaign) {
            out.push_str("it looks up each record in Campaign and writes it in full\n");
        }
        if moved.contains(&SystemId::D365) {
            out.push_str("records that the new organization does not have are deleted as `deletes` says, within the limits of `limits.mass-change-percent`\n");
        }
        out.push_str("opt-outs are compared again, and their differences need approval: `d365map optout reconcile`\n");
    }
    out
}
