//! `d365map completions SHELL`: the completion script, generated from the arguments' definition.

use clap::CommandFactory;

use super::{Cli, Exit};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete for.
    shell: clap_complete::Shell,
}

/// Prints the script on standard output.
pub fn run(args: &Args) -> Exit {
    clap_complete::generate(args.shell, &mut Cli::command(), "d365map", &mut std::io::stdout());
    Exit::Clean
}
