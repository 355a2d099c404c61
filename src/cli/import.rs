//! `d365map import TABLE…`: spreadsheets become a mapping file.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::output::{print_file, say_styled};
use super::{Exit, Global};
use crate::app::{CommandError, files};
use crate::count::counted;
use crate::disk;
use crate::import::{DateOrder, Headings, Kind, Reading, heading, import, read};
use crate::schema::TableId;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tables as .xlsx, CSV or YAML: field mappings, replacements, filters, options. All of them make one mapping.
    #[arg(required = true)]
    tables: Vec<PathBuf>,
    /// The mapping file to write; without it, standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// The mapping's name; without it, that of exported tables, or `contacts`.
    #[arg(long)]
    name: Option<String>,
    /// The table that is read; without it, that of exported tables, or `d365.contact`.
    #[arg(long)]
    source: Option<String>,
    /// The table that is written; without it, that of exported tables, or `campaign.profile`.
    #[arg(long)]
    target: Option<String>,
    /// What the tables list, where their columns do not tell.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// The heading of a column that is not found by itself, such as source="CRM field". Roles: source, target, direction, steps, default,
    /// updates, empty, when, key, comment; field, old, new; comparison, join; option.
    #[arg(long, value_name = "ROLE=HEADING")]
    columns: Vec<String>,
    /// A sheet of a workbook to read, hidden or not; without it, all visible sheets that are tables.
    #[arg(long, value_name = "NAME")]
    sheet: Vec<String>,
    /// The order of day and month in dates such as 03/04/2024, where the other dates do not tell.
    #[arg(long, value_enum)]
    dates: Option<DateOrder>,
}

/// The largest size of a table's file.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Imports.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let project = files::project(global.project.as_deref())?;
    let catalogue = files::catalogue(project.as_ref())?;
    let table = |name: &str| {
        let id = TableId::parse(name).ok_or_else(|| CommandError::usage(format!("`{name}` is not a table such as d365.contact")))?;
        let unknown = || CommandError::usage(format!("no schema is known for `{id}`; fetch it with `d365map schema pull {id}`"));
        catalogue.get(&id).cloned().ok_or_else(unknown)
    };
    if let Some(path) = args.output.as_ref().filter(|p| !args.force && p.symlink_metadata().is_ok()) {
        let text = format!("{} is there already; nothing was written. Use --force to write over it", files::display(path));
        return Err(CommandError::usage(text));
    }
    let mut headings = Headings::default();
    args.columns.iter().try_for_each(|named| headings.add(named)).map_err(CommandError::usage)?;
    let reading = Reading { kind: args.kind, headings, sheets: args.sheet.clone(), dates: args.dates };
    let (mut tables, mut notes, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for path in &args.tables {
        let bytes = disk::read(path, MAX_BYTES).map_err(|e| CommandError::file(files::display(path), e))?;
        let found = read(path, &files::display(path), &bytes, &reading).map_err(CommandError::usage)?;
        tables.extend(found.tables);
        notes.extend(found.notes);
        named.extend(found.named);
    }
    if let [missing, ..] = reading.headings.unused(&named).as_slice() {
        return Err(CommandError::usage(format!(
            "no table has a column with the heading `{missing}`, which `--columns` names. Write the heading as it is in the table"
        )));
    }
    let usual = || ("contacts".to_owned(), "d365.contact".to_owned(), "campaign.profile".to_owned());
    let (name, source, target) = heading(&tables).unwrap_or_else(usual);
    let name = args.name.clone().unwrap_or(name);
    let (source, target) = (table(args.source.as_deref().unwrap_or(&source))?, table(args.target.as_deref().unwrap_or(&target))?);
    let imported = import(&name, &source, &target, &tables, reading.dates);
    match &args.output {
        Some(path) => {
            disk::write(path, imported.text.as_bytes(), disk::Access::Shared).map_err(|e| CommandError::file(files::display(path), e))?
        }
        None => print_file(&imported.text),
    }
    let mut report = String::new();
    // Writing into a String cannot fail.
    for note in &notes {
        let _ = writeln!(report, "{note}");
    }
    for note in &imported.notes {
        let _ = writeln!(report, "{}: {}", note.place, note.text);
    }
    // The paths of tables begin in the folder of the mapping file.
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from("import.d365map"));
    let compiled = files::as_if_at(&path, imported.draft.clone().into_bytes(), project.as_ref())?.compile();
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
        say!("imported {} of {}; {}", rows - imported.left.min(rows), counted(rows, "row"), counted(compiled.diagnostics.len(), "finding"));
    }
    Ok(if imported.left > 0 || !compiled.diagnostics.is_empty() { Exit::Findings } else { Exit::Clean })
}
