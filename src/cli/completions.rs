//! `d365map completions SHELL`: the completion script, generated from the arguments' definition.

use clap::CommandFactory;

use super::{Cli, Exit};
use crate::app::CommandError;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete for.
    shell: clap_complete::Shell,
}

/// Prints the script on standard output.
pub fn run(args: &Args) -> Result<Exit, CommandError> {
    clap_complete::generate(args.shell, &mut Cli::command(), "d365map", &mut std::io::stdout());
    Ok(Exit::Clean)
}
