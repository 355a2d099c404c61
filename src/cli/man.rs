//! `d365map man`: the manual pages, generated from the arguments' definition; one for each subcommand.

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_mangen::Man;

use super::output::print_file;
use super::{Cli, Exit};
use crate::app::{CommandError, ErrorKind};
use crate::disk;

/// A part that the definition of the arguments does not hold, see [`Exit`].
const EXIT_STATUS: &str = "\
.SH \"EXIT STATUS\"
.TP
\\fB0\\fR
Done, nothing to report.
.TP
\\fB1\\fR
Done, and something needs attention: findings, failed tests, rejected records.
.TP
\\fB2\\fR
Not done: the call was wrong, or a file, a service or the state could not be used.
";

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder for the pages, one file per subcommand; without it, the page of `d365map` itself is printed.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the pages, or prints the first.
pub fn run(args: &Args) -> Result<Exit, CommandError> {
    let failed = |error: std::io::Error| CommandError::new(ErrorKind::Bug, format!("the manual pages cannot be made: {error}"));
    let pages = pages().map_err(failed)?;
    match &args.out {
        Some(folder) => write(folder, &pages).map_err(|(path, error)| CommandError::file(path.display(), error))?,
        None => print_file(pages.first().map_or("", |p| &p.1)),
    }
    Ok(Exit::Clean)
}

/// The name of each page's file and its text, that of `d365map` itself first.
pub fn pages() -> std::io::Result<Vec<(String, String)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    page(&root, "d365map".to_owned(), &mut pages)?;
    Ok(pages)
}

fn page(command: &clap::Command, name: String, pages: &mut Vec<(String, String)>) -> std::io::Result<()> {
    // Subcommands are referred to by the names of their pages.
    let named = command.clone().display_name(name.clone());
    let man = Man::new(named).manual("d365map manual").source(concat!("d365map ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text)?;
    text.extend_from_slice(EXIT_STATUS.as_bytes());
    pages.push((man.get_filename(), tidied(&String::from_utf8_lossy(&text))));
    for subcommand in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        page(subcommand, format!("{name}-{}", subcommand.get_name()), pages)?;
    }
    Ok(())
}

/// Rewrites what mandoc warns about in the text of the library that makes the pages: the heading has no argument for a date that is not
/// known, so that the source takes its place; a paragraph is made of line breaks; lines end with spaces.
fn tidied(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for line in page.replace("\n.br\n\n.br\n", "\n.sp\n").lines() {
        let line = line.trim_end();
        match line.strip_prefix(".TH ").and_then(|heading| heading.split_once("  ")) {
            Some((name, rest)) => out.push_str(&format!(".TH {name} \"\" {rest}")),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn write(folder: &Path, pages: &[(String, String)]) -> Result<(), (PathBuf, std::io::Error)> {
    std::fs::create_dir_all(folder).map_err(|e| (folder.to_path_buf(), e))?;
    pages.iter().try_for_each(|(name, text)| {
        let path = folder.join(name);
        disk::write(&path, text.as_bytes(), disk::Access::Shared).map_err(|e| (path, e))
    })
}
