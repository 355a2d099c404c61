//! `d365map export [PATH…]`: mappings as documentation, or as tables that `import` reads back.

use std::path::{Path, PathBuf};

use super::output::{print_file, say_styled, stderr_style};
use super::{Exit, Global};
use crate::app::{CommandError, files};
use crate::diagnostics::render::{self, render};
use crate::diagnostics::{Diagnostics, FileId, Sources};
use crate::disk;
use crate::report::{Document, Parsed, collect, csv, html, markdown, tables, xlsx};
use crate::schema::Catalogue;
use crate::syntax::{self, ast};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// The form of the documentation.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file to write; without it, standard output. For CSV the folder of the files.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The mapping whose tables are written, if there are several. For xlsx and csv.
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
}

/// The forms of documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a wiki or a repository.
    #[default]
    Markdown,
    /// One page for a browser.
    Html,
    /// A workbook with the tables of a mapping, which `import` reads back.
    Xlsx,
    /// The tables of a mapping, a file for each.
    Csv,
}

/// A file that was read without a finding.
struct ReadFile {
    name: String,
    text: String,
    file: ast::File,
    /// Whether it was asked for, and not only included.
    asked: bool,
}

/// Exports.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let groups = files::asked(&args.paths, global.project.as_deref())?;
    let mut document = Document::default();
    let mut read = Vec::new();
    for group in groups {
        let mut parsed = Vec::new();
        for (at, input) in group.inputs.iter().enumerate() {
            let (text, fault) = syntax::decode(input.bytes.clone());
            let mut diagnostics = Diagnostics::default();
            let mut sources = Sources::default();
            sources.add(input.name.clone(), text.clone());
            let file = match fault {
                Some(fault) => {
                    diagnostics.push(fault.diagnostic(FileId(0)));
                    ast::File::default()
                }
                None => syntax::parse(FileId(0), &text, &mut diagnostics),
            };
            if !diagnostics.is_empty() {
                say_styled(&render(&diagnostics.into_sorted(), &sources, render::Format::Human, stderr_style()));
                return Err(CommandError::usage("nothing was exported: a file cannot be read"));
            }
            parsed.push(ReadFile { name: input.name.clone(), text: text.to_string(), file, asked: at < group.asked });
        }
        for one in parsed.iter().filter(|one| one.asked) {
            document.sections.extend(collect(&one.name, &one.text, &one.file, &group.catalogue).sections);
        }
        read.push((group.catalogue, parsed));
    }
    let text = match args.format {
        Format::Markdown => markdown(&document),
        Format::Html => html(&document),
        Format::Xlsx | Format::Csv => return of_tables(args, &read),
    };
    match &args.output {
        None => print_file(&text),
        Some(path) => write(path, text.as_bytes())?,
    }
    Ok(Exit::Clean)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    disk::write(path, bytes, disk::Access::Shared).map_err(|e| CommandError::file(files::display(path), e))
}

/// Writes the tables of one mapping.
fn of_tables(args: &Args, read: &[(Catalogue, Vec<ReadFile>)]) -> Result<Exit, CommandError> {
    let names: Vec<&str> = read
        .iter()
        .flat_map(|(_, files)| files.iter().filter(|one| one.asked))
        .flat_map(|one| one.file.mappings.iter().filter_map(|mapping| mapping.head.as_ref()))
        .map(|head| head.name.text.as_str())
        .collect();
    let name = match (args.mapping.as_deref(), names.as_slice()) {
        (Some(name), names) if names.contains(&name) => name,
        (Some(name), names) => {
            return Err(CommandError::usage(format!("there is no mapping `{name}`; there are {}", names.join(", "))));
        }
        (None, [only]) => only,
        (None, []) => return Err(CommandError::usage("there is no mapping to export")),
        (None, names) => {
            return Err(CommandError::usage(format!("there are several mappings; choose one with `--mapping`: {}", names.join(", "))));
        }
    };
    let Some(output) = &args.output else {
        let hint = if args.format == Format::Csv { "a folder: `-o tables`" } else { "a file: `-o mapping.xlsx`" };
        return Err(CommandError::usage(format!("tables cannot be written to standard output; name {hint}")));
    };
    let found = read.iter().find_map(|(catalogue, files)| {
        let files: Vec<Parsed<'_>> = files.iter().map(|one| Parsed { text: &one.text, file: &one.file }).collect();
        tables(name, &files, catalogue)
    });
    let sheets = found.unwrap_or_default();
    let failed = |reason: String| CommandError::usage(format!("the tables cannot be written: {reason}"));
    if args.format == Format::Xlsx {
        write(output, &xlsx(&sheets).map_err(|e| failed(e.to_string()))?)?;
    } else {
        std::fs::create_dir_all(output).map_err(|e| CommandError::file(files::display(output), e))?;
        for sheet in &sheets.sheets {
            let path = output.join(format!("{}.csv", sheet.name.to_lowercase()));
            write(&path, &csv(sheet).map_err(|e| failed(e.to_string()))?)?;
        }
    }
    if !sheets.left_out.is_empty() {
        say!("not in the tables: {}", sheets.left_out.join(", "));
    }
    Ok(Exit::Clean)
}
