//! `d365map explain CODE`: the page of a code; without a code the list of all.

use super::Exit;
use super::output::print;
use crate::app::CommandError;
use crate::diagnostics::{Code, nearest};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A code such as D103; without one, all codes are listed.
    code: Option<String>,
}

/// Prints the page.
pub fn run(args: &Args) -> Result<Exit, CommandError> {
    let Some(name) = &args.code else {
        let lines: Vec<String> = Code::ALL.iter().map(|c| format!("{}  {}\n", c.name(), c.title())).collect();
        print(&lines.concat());
        return Ok(Exit::Clean);
    };
    match Code::from_name(name) {
        Some(code) => {
            print(code.page());
            Ok(Exit::Clean)
        }
        None => {
            let near = nearest(name, Code::ALL.iter().map(|c| c.name()));
            let help = near.map_or("`d365map explain` lists all codes".to_owned(), |n| format!("did you mean {n}?"));
            Err(CommandError::usage(format!("there is no code `{name}`; {help}")))
        }
    }
}
