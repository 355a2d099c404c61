//! `d365map fmt [PATH…]`: the one canonical form.

use std::io::Read;
use std::path::PathBuf;

use similar::TextDiff;

use super::output::{print, print_file, say_styled, stdout_style};
use super::{Exit, Global};
use crate::app::{CommandError, files};
use crate::count::counted;
use crate::diagnostics::render::{Format, render};
use crate::diagnostics::{Diagnostics, Sources};
use crate::format::format;
use crate::syntax;

/// Arguments of `fmt`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project. `-` reads standard input and writes standard output.
    paths: Vec<PathBuf>,
    /// Write nothing; exit status 1 where a file has another form.
    #[arg(long)]
    check: bool,
    /// Write nothing and show what would change; exit status 1 where something would.
    #[arg(long)]
    diff: bool,
}

/// Formats.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    if args.paths == [PathBuf::from("-")] {
        return stream(args);
    }
    let groups = files::asked(&args.paths, global.project.as_deref())?;
    let (mut changed, mut faulty, mut count) = (0, 0, 0);
    for group in groups {
        for (input, path) in group.inputs.iter().zip(&group.paths).take(group.asked) {
            count += 1;
            let (text, fault) = syntax::decode(input.bytes.clone());
            let Some(formatted) = fault.is_none().then(|| format(&text)).flatten() else {
                faulty += 1;
                say_styled(&findings(&input.name, &text, fault));
                continue;
            };
            if formatted == text {
                continue;
            }
            changed += 1;
            if args.diff {
                print(&difference(&input.name, &text, &formatted));
            } else if args.check {
                print(&format!("{}\n", input.name));
            } else {
                files::overwrite(path, formatted.as_bytes()).map_err(|e| CommandError::file(&input.name, e))?;
            }
        }
    }
    let only_looked = args.check || args.diff;
    if !global.quiet {
        let verb = if only_looked { "would be put" } else { "put" };
        say!(
            "{changed} of {} {verb} into form{}",
            counted(count, "file"),
            if faulty > 0 { format!(", {faulty} cannot be read") } else { String::new() }
        );
    }
    Ok(if faulty > 0 || (only_looked && changed > 0) { Exit::Findings } else { Exit::Clean })
}

/// Standard input to standard output, for editors.
fn stream(args: &Args) -> Result<Exit, CommandError> {
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(syntax::MAX_FILE_BYTES as u64 + 1);
    input.read_to_end(&mut bytes).map_err(|e| CommandError::file("standard input", e))?;
    let (text, fault) = syntax::decode(bytes);
    let Some(formatted) = fault.is_none().then(|| format(&text)).flatten() else {
        say_styled(&findings("standard input", &text, fault));
        return Ok(Exit::Findings);
    };
    if args.diff {
        print(&difference("standard input", &text, &formatted));
    } else if !args.check {
        print_file(&formatted);
    }
    Ok(if (args.check || args.diff) && formatted != text { Exit::Findings } else { Exit::Clean })
}

/// Why a file has no form.
fn findings(name: &str, text: &str, fault: Option<syntax::Undecodable>) -> String {
    let mut sources = Sources::default();
    let id = sources.add(name, text);
    let mut diagnostics = Diagnostics::default();
    match fault {
        Some(fault) => diagnostics.push(fault.diagnostic(id)),
        None => {
            syntax::parse(id, text, &mut diagnostics);
        }
    }
    render(&diagnostics.into_sorted(), &sources, Format::Human, stdout_style())
}

fn difference(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string()
}
