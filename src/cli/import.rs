//! `d365map import TABLE…`: spreadsheets become a mapping file.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::compile::write_whole;
use super::output::{fail, print_file, say_styled, stderr_style};
use super::{Exit, Global, files};
use crate::check::{Input, compile};
use crate::import::{Kind, import, read};
use crate::schema::TableId;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tables as CSV or YAML: field mappings, replacements, filters. All of them make one mapping.
    #[arg(required = true)]
    tables: Vec<PathBuf>,
    /// The mapping file to write; without it, standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// The mapping's name.
    #[arg(long, default_value = "contacts")]
    name: String,
    /// The table that is read.
    #[arg(long, default_value = "d365.contact")]
    source: String,
    /// The table that is written.
    #[arg(long, default_value = "campaign.profile")]
    target: String,
    /// What the tables list, where their columns do not tell.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

/// Imports.
pub fn run(args: &Args, global: &Global) -> Exit {
    match work(args, global) {
        Ok(exit) => exit,
        Err(message) => fail(&message),
    }
}

fn work(args: &Args, global: &Global) -> Result<Exit, String> {
    let project = files::project(global.project.as_deref(), stderr_style()).map_err(|e| e.to_string())?;
    let catalogue = files::catalogue(project.as_ref(), stderr_style()).map_err(|e| e.to_string())?;
    let table = |name: &str| {
        let id = TableId::parse(name).ok_or_else(|| format!("`{name}` is not a table such as d365.contact"))?;
        catalogue.get(&id).cloned().ok_or_else(|| format!("no schema is known for `{id}`; fetch it with `d365map schema pull {id}`"))
    };
    let (source, target) = (table(&args.source)?, table(&args.target)?);
    if let Some(path) = args.output.as_ref().filter(|p| !args.force && p.symlink_metadata().is_ok()) {
        return Err(format!("{} is there already; nothing was written. Use --force to write over it", files::display(path)));
    }
    let mut tables = Vec::new();
    for path in &args.tables {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", files::display(path)))?;
        tables.extend(read(path, &files::display(path), &bytes, args.kind).map_err(|e| e.to_string())?);
    }
    let imported = import(&args.name, &source, &target, &tables);
    match &args.output {
        Some(path) => write_whole(path, imported.text.as_bytes()).map_err(|e| format!("{}: {e}", files::display(path)))?,
        None => print_file(&imported.text),
    }
    let mut report = String::new();
    // Writing into a String cannot fail.
    for note in &imported.notes {
        let _ = writeln!(report, "{}: {}", note.place, note.text);
    }
    let input = Input { name: "import".to_owned(), bytes: imported.draft.clone().into_bytes() };
    let compiled = compile(vec![input], &catalogue);
    for finding in &compiled.diagnostics {
        let line = compiled.sources.locate(finding.span).1.line as usize;
        let place = imported
            .rows
            .get(line - 1)
            .and_then(Option::as_ref)
            .map_or("the mapping".to_owned(), |(file, row)| format!("{file} row {row}"));
        let help = finding.help.as_ref().map(|h| format!(". {h}")).unwrap_or_default();
        let _ = writeln!(report, "{place}: {} {}: {}{help}", finding.code, finding.message, finding.label);
    }
    if !global.quiet {
        say_styled(&report);
        let rows: usize = tables.iter().map(|t| t.rows.len()).sum();
        say!("imported {} of {rows} rows; {} findings", rows - imported.left.min(rows), compiled.diagnostics.len());
    }
    Ok(if imported.left > 0 || !compiled.diagnostics.is_empty() { Exit::Findings } else { Exit::Clean })
}
