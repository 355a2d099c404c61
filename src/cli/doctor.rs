//! `d365map doctor`: what a run needs and whether it is there. Reads only, wherever it looks.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::output::{print_json, print_styled, stdout_style};
use super::run::Format;
use super::{Exit, Global};
use crate::app::CommandError;
use crate::app::operate::{Examined, Examiner, examine};
use crate::doctor;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Examine this connection only; may be given several times. Without it, every connection of the project.
    #[arg(long, value_enum, value_name = "NAME")]
    connection: Vec<Name>,
    /// Seconds that the checks of one connection may take together.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The connections by their names in the project file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    Dynamics,
    Campaign,
    Sftp,
    PartnerCenter,
}

impl From<Name> for Examined {
    fn from(name: Name) -> Examined {
        match name {
            Name::Dynamics => Examined::Dynamics,
            Name::Campaign => Examined::Campaign,
            Name::Sftp => Examined::Sftp,
            Name::PartnerCenter => Examined::PartnerCenter,
        }
    }
}

/// Examines what was asked for and prints the findings.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let connections = args.connection.iter().copied().map(Examined::from).collect();
    let (checks, could) = examine(global.project.as_deref(), &Examiner { connections, limit: Duration::from_secs(args.timeout) });
    match args.format {
        Format::Human => print_styled(&doctor::human(&checks, stdout_style().color, terminal_width())),
        Format::Json => print_json(&doctor::json(&checks)),
    }
    Ok(match (could, doctor::tally(&checks).failed) {
        (false, _) => Exit::Failure,
        (true, 0) => Exit::Clean,
        (true, _) => Exit::Findings,
    })
}

/// The width of the terminal; none where there is no terminal, and lines stay whole for `grep`.
fn terminal_width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| stdout_style().width)
}
