//! `d365map man`: manual pages, generated from the arguments' definition.

use std::path::PathBuf;

use clap::CommandFactory;

use super::output::fail;
use super::{Cli, Exit, Global};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the pages, one for each command; without it the page of the whole goes to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes the pages.
pub fn run(args: &Args, global: &Global) -> Exit {
    let command = Cli::command();
    let written = match &args.out {
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout()),
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)).map(|()| {
            if !global.quiet {
                eprintln!("wrote the manual pages into {}", folder.display());
            }
        }),
    };
    match written {
        Ok(()) => Exit::Clean,
        // A reader that has gone away is no error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(error) => fail(&error.to_string()),
    }
}
