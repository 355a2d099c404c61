//! `d365map compile`: the execution plan, for the runner.

use std::path::{Path, PathBuf};

use super::output::{fail, print_json, say_styled, stderr_style};
use super::{Exit, Global, files};
use crate::count::counted;
use crate::diagnostics::render::{Format, Style, render};
use crate::disk;
use crate::plan::ExecutionPlan;

/// Arguments of `compile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// The file to write; without it, standard output.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// Compiles and writes the plan; nothing is written where a finding is an error.
pub fn run(args: &Args, global: &Global) -> Exit {
    let plan = match load(&args.paths, global) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let Some(path) = &args.output else {
        print_json(&plan.to_json());
        return Exit::Clean;
    };
    // Private: a plan holds filters and constants.
    match disk::write(path, plan.to_json().as_bytes(), disk::Access::Private) {
        Ok(()) => {
            if !global.quiet {
                say!(
                    "wrote {} ({}); run it with `d365map run --plan {}`",
                    path.display(),
                    counted(plan.ingress.len(), "flow"),
                    path.display()
                );
            }
            Exit::Clean
        }
        Err(error) => fail(&format!("{}: {error}", path.display())),
    }
}

/// Larger files are not plans: the plan of the largest mapping file is a tenth of this.
const MAX_PLAN_BYTES: u64 = 256 * 1024 * 1024;

/// Reads a compiled plan.
pub fn read_plan(path: &Path) -> Result<ExecutionPlan, String> {
    let bytes = disk::read(path, MAX_PLAN_BYTES).map_err(|e| format!("{}: {e}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8 text", path.display()))?;
    ExecutionPlan::from_json(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Compiles the given files or the project's; prints the findings where there are any.
pub fn load(paths: &[PathBuf], global: &Global) -> Result<ExecutionPlan, Exit> {
    let style = stderr_style();
    let explicit = global.project.as_deref();
    let group = if paths.is_empty() {
        files::project(explicit, style).and_then(|p| p.ok_or(files::FilesError::NoProject)).and_then(|p| files::of_project(p, style))
    } else {
        files::of_paths(paths, explicit, style).and_then(|mut groups| match (groups.pop(), groups.is_empty()) {
            (Some(group), true) => Ok(group),
            _ => Err(files::FilesError::Problems("the files belong to several projects; compile one project at a time".to_owned())),
        })
    };
    group.map_err(|e| fail(&e.to_string())).and_then(|group| compile_group(group, style))
}

/// Compiles one group; findings go to standard error.
pub fn compile_group(group: files::Group, style: Style) -> Result<ExecutionPlan, Exit> {
    let compiled = group.compile();
    say_styled(&render(&compiled.diagnostics, &compiled.sources, Format::Human, style));
    compiled.plan.ok_or_else(|| {
        say!("error: no plan was made, since there are errors");
        Exit::Findings
    })
}

/// The project's plan where its files have no error; findings are not shown.
pub fn compile_quietly(project: &crate::project::Project) -> Option<ExecutionPlan> {
    files::of_project(project.clone(), Style::PLAIN).ok().and_then(|group| group.compile().plan)
}
