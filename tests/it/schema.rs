//! Schema files, the catalogue, and pulls: the rules that a project's schema folder lives by.

mod command;
mod files;
mod pulled;
mod standard;

use std::path::Path;
use std::sync::Arc;

use d365map::diagnostics::FileProblem;
use d365map::schema::{Table, file};

/// A file that describes a table wholly.
fn read(text: &str) -> Result<Table, Vec<FileProblem>> {
    file::read(Path::new("schemas/x.yaml"), &Arc::from(text))
}

/// Marked text, message and help of each fault.
fn faults(text: &str, problems: &[FileProblem]) -> Vec<(String, String, String)> {
    let row = |p: &FileProblem| (text[p.span.clone()].to_owned(), p.message.clone(), p.help.clone().unwrap_or_default());
    problems.iter().map(row).collect()
}
