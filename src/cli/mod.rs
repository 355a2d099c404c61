//! One file per subcommand; `main` parses the arguments and decides the exit status.

mod completions;
mod emulate;
pub mod exit;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Options that every subcommand takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The project file; without it, d365map.yaml is looked for here and in the folders above.
    #[arg(long, global = true, value_name = "FILE")]
    pub project: Option<PathBuf>,
    /// Say less: errors and results only.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more on standard error; twice for every request.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Keeps Adobe Campaign Standard in step with Microsoft Dynamics 365, by mapping files.
#[derive(Debug, Parser)]
#[command(name = "d365map", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Run local stand-ins for Dataverse and Campaign.
    Emulate(emulate::Args),
}

/// Runs the command line and returns the exit status (0 clean, 1 findings, 2 usage or I/O).
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match cli.command {
        Command::Completions(args) => completions::run(&args),
        Command::Emulate(args) => emulate::run(&args, &cli.global),
    };
    exit.into()
}
