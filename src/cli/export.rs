//! `d365map export [PATH…]`: mappings as documentation.

use std::path::PathBuf;

use super::output::{print_file, say_styled, stderr_style};
use super::{Exit, Global};
use crate::app::{CommandError, files};
use crate::diagnostics::render::{self, render};
use crate::diagnostics::{Diagnostics, FileId, Sources};
use crate::disk;
use crate::report::{Document, collect, html, markdown};
use crate::syntax;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// The form of the documentation.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file to write; without it, standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The forms of documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a wiki or a repository.
    #[default]
    Markdown,
    /// One page for a browser.
    Html,
}

/// Exports.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let groups = files::asked(&args.paths, global.project.as_deref())?;
    let mut document = Document::default();
    for group in groups {
        for input in group.inputs.iter().take(group.asked) {
            let (text, fault) = syntax::decode(input.bytes.clone());
            let mut diagnostics = Diagnostics::default();
            let mut sources = Sources::default();
            sources.add(input.name.clone(), text.clone());
            match fault {
                Some(fault) => diagnostics.push(fault.diagnostic(FileId(0))),
                None => {
                    let file = syntax::parse(FileId(0), &text, &mut diagnostics);
                    document.sections.extend(collect(&input.name, &text, &file, &group.catalogue).sections);
                }
            }
            if !diagnostics.is_empty() {
                say_styled(&render(&diagnostics.into_sorted(), &sources, render::Format::Human, stderr_style()));
                return Err(CommandError::usage("nothing was exported: a file cannot be read"));
            }
        }
    }
    let text = match args.format {
        Format::Markdown => markdown(&document),
        Format::Html => html(&document),
    };
    match &args.output {
        None => print_file(&text),
        Some(path) => {
            disk::write(path, text.as_bytes(), disk::Access::Shared).map_err(|e| CommandError::file(files::display(path), e))?;
        }
    }
    Ok(Exit::Clean)
}
