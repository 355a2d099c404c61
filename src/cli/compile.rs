//! `d365map compile`: the execution plan, for the runner.

use std::path::PathBuf;

use super::output::{print_json, say_styled, stderr_style};
use super::{Exit, Global};
use crate::app::{CommandError, files};
use crate::count::counted;
use crate::diagnostics::render::{Format, render};
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
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let plan = load(&args.paths, global)?;
    let Some(path) = &args.output else {
        print_json(&plan.to_json());
        return Ok(Exit::Clean);
    };
    // Private: a plan holds filters and constants.
    disk::write(path, plan.to_json().as_bytes(), disk::Access::Private).map_err(|e| CommandError::file(path.display(), e))?;
    if !global.quiet {
        say!("wrote {} ({}); run it with `d365map run --plan {}`", path.display(), counted(plan.ingress.len(), "flow"), path.display());
    }
    Ok(Exit::Clean)
}

/// Compiles the given files or the project's; prints the findings where there are any.
pub fn load(paths: &[PathBuf], global: &Global) -> Result<ExecutionPlan, CommandError> {
    compile_group(files::one_group(paths, global.project.as_deref())?)
}

/// Compiles one group; findings go to standard error.
pub fn compile_group(group: files::Group) -> Result<ExecutionPlan, CommandError> {
    let compiled = group.compile();
    say_styled(&render(&compiled.diagnostics, &compiled.sources, Format::Human, stderr_style()));
    compiled.plan.ok_or_else(|| CommandError::findings("no plan was made, since there are errors"))
}
