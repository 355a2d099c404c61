//! Reading tables: columns by many names, rows with their numbers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::columns::{self, Headings};
use super::date::DateOrder;
use super::error::TableError;
use super::kind::Kind;
use crate::sheets::{Grid, GridRow, NamedGrid, is_workbook, read_workbook};
use crate::yaml;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The file's name, with the sheet's where it is a workbook.
    pub file: String,
    /// What it lists.
    pub kind: Kind,
    /// In order.
    pub rows: Vec<Row>,
    /// Whether the target's column is left of the source's, so that an arrow between them points the other way.
    pub mirrored: bool,
}

/// A row; its cells by the names that this module gives the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As a spreadsheet counts, from 1.
    pub number: usize,
    /// Without the empty ones.
    pub cells: BTreeMap<&'static str, String>,
}

impl Row {
    /// A cell; the empty text where there is none.
    pub fn cell(&self, column: &str) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// Whether the row only has a comment: a title over the rows that follow.
    pub fn is_comment(&self) -> bool {
        self.cells.keys().all(|column| *column == "comment")
    }

    /// The lines of the comment, as comments of a mapping file.
    pub fn comments(&self) -> impl Iterator<Item = String> {
        self.cell("comment").lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("# {line}"))
    }

    /// Adds a cell. Of several columns for one thing the first with text counts; of comments all.
    fn put(&mut self, role: &'static str, text: &str) {
        // Text of names may have been pasted with spaces that are not plain ones.
        let is_name = matches!(role, "source" | "target" | "field" | "direction" | "comparison" | "steps");
        let text = text.trim();
        // With an apostrophe, spreadsheet programs take a cell for text that would be a formula without it.
        let text = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(text);
        let text = if is_name { text.replace(['\u{a0}', '\u{202f}', '\u{2007}'], " ").trim().to_owned() } else { text.to_owned() };
        if text.is_empty() {
            return;
        }
        match self.cells.get_mut(role) {
            Some(comment) if role == "comment" => {
                comment.push('\n');
                comment.push_str(&text);
            }
            Some(_) => {}
            None => {
                self.cells.insert(role, text);
            }
        }
    }
}

/// How tables are to be read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What the tables list, where their columns do not tell.
    pub kind: Option<Kind>,
    /// The headings of columns that the author names.
    pub headings: Headings,
    /// The sheets of a workbook to read; the visible ones if there is none.
    pub sheets: Vec<String>,
    /// The order of day and month, where the dates of a table do not tell.
    pub dates: Option<DateOrder>,
}

/// What was read from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its tables.
    pub tables: Vec<Table>,
    /// What was not read, and why.
    pub notes: Vec<String>,
    /// The headings that the author named and the file has.
    pub named: Vec<String>,
}

/// Reads the tables of a file: one of CSV, up to three of YAML, one for each sheet of a workbook that is a table.
///
/// # Errors
///
/// [`TableError`].
pub fn read(path: &Path, file: &str, bytes: &[u8], reading: &Reading) -> Result<Found, TableError> {
    let extension = path.extension().and_then(|e| e.to_str());
    if is_workbook(extension, bytes) {
        return of_workbook(file, bytes, reading);
    }
    let text = decode(bytes);
    if extension.is_some_and(|e| e == "yaml" || e == "yml") {
        return of_yaml(path, file, &text, &reading.headings);
    }
    of_csv(file, &text, reading)
}

/// UTF-8 with or without a byte order mark, or UTF-16 with one (Excel's "Unicode Text"); what is neither is taken for the encoding that
/// spreadsheets on Windows save.
fn decode(bytes: &[u8]) -> String {
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(bytes) {
        return encoding.decode(bytes).0.into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

fn of_workbook(file: &str, bytes: &[u8], reading: &Reading) -> Result<Found, TableError> {
    let unreadable = |error: crate::sheets::WorkbookError| TableError::Workbook { file: file.to_owned(), reason: error.to_string() };
    let workbook = read_workbook(bytes, &reading.sheets).map_err(unreadable)?;
    let mut found = Found::default();
    for NamedGrid { name, grid } in &workbook.sheets {
        let place = format!("{file} sheet `{name}`");
        match table(&place, grid, reading) {
            Some((table, named)) => {
                found.tables.push(table);
                found.named.extend(named);
            }
            None if grid.rows.is_empty() => {}
            None if reading.sheets.is_empty() => found.notes.push(format!("{place}: not a table of the mapping; it was not read")),
            None => return Err(columns_error(place, grid)),
        }
    }
    found.notes.extend(
        workbook.hidden.iter().map(|name| {
            format!("{file} sheet `{name}`: the sheet is hidden; it was not read. Name it with `--sheet \"{name}\"` to read it")
        }),
    );
    if found.tables.is_empty() {
        return Err(match workbook.sheets.iter().find(|s| !s.grid.rows.is_empty()) {
            Some(NamedGrid { name, grid }) => columns_error(format!("{file} sheet `{name}`"), grid),
            None => {
                let reason = "the sheets are empty or hidden. Name a hidden sheet with `--sheet NAME`".to_owned();
                TableError::Workbook { file: file.to_owned(), reason }
            }
        });
    }
    Ok(found)
}

fn columns_error(file: String, grid: &Grid) -> TableError {
    let first = grid.rows.first().map(|row| row.cells.values().take(20).map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "));
    TableError::Columns { file, found: first.filter(|f| !f.is_empty()).unwrap_or_else(|| "empty".to_owned()) }
}

/// The table of a sheet, and the headings in it that the author named; `None` if no row is a heading.
fn table(file: &str, grid: &Grid, reading: &Reading) -> Option<(Table, Vec<String>)> {
    let header = columns::header(grid, reading.kind, &reading.headings)?;
    let heading = &grid.rows[header.row].cells;
    let mut rows = Vec::new();
    for row in &grid.rows[header.row + 1..] {
        // Long tables repeat their headings.
        if row.cells == *heading {
            continue;
        }
        let mut found = Row { number: row.number, cells: BTreeMap::new() };
        match grid.title(row) {
            Some(title) => found.put("comment", title),
            None => header.roles.iter().for_each(|(column, role)| found.put(role, row.cells.get(column).map_or("", String::as_str))),
        }
        if !found.cells.is_empty() {
            rows.push(found);
        }
    }
    let mirrored = header.is_mirrored();
    Some((Table { file: file.to_owned(), kind: header.kind, rows, mirrored }, header.named))
}

fn of_csv(file: &str, text: &str, reading: &Reading) -> Result<Found, TableError> {
    // Excel writes and reads such a line.
    let (declared, text, skipped) = match text.strip_prefix("sep=").and_then(|rest| Some((rest.as_bytes().first().copied()?, rest))) {
        Some((sign @ (b',' | b';' | b'\t'), rest)) => (Some(sign), rest[1..].trim_start_matches('\r').trim_start_matches('\n'), 1),
        _ => (None, text, 0),
    };
    let grids = match declared {
        Some(sign) => vec![grid(file, text, sign, skipped)?],
        None => [b',', b';', b'\t'].into_iter().map(|sign| grid(file, text, sign, 0)).collect::<Result<Vec<_>, _>>()?,
    };
    // The separator is the one by which most columns are found.
    let best = grids
        .iter()
        .filter_map(|grid| Some((columns::header(grid, reading.kind, &reading.headings)?.roles.len(), grid)))
        .reduce(|best, other| if other.0 > best.0 { other } else { best });
    match best.and_then(|(_, grid)| table(file, grid, reading)) {
        Some((table, named)) => Ok(Found { tables: vec![table], notes: Vec::new(), named }),
        None => {
            let widest = grids.iter().reduce(|a, b| if width(b) > width(a) { b } else { a });
            Err(columns_error(file.to_owned(), widest.unwrap_or(&Grid::default())))
        }
    }
}

fn width(grid: &Grid) -> usize {
    grid.rows.first().map_or(0, |row| row.cells.len())
}

fn grid(file: &str, text: &str, separator: u8, skipped: usize) -> Result<Grid, TableError> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut grid = Grid::default();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|e| TableError::Csv { file: file.to_owned(), reason: e.to_string() })?;
        let cells: BTreeMap<usize, String> =
            record.iter().enumerate().filter(|(_, cell)| !cell.is_empty()).map(|(column, cell)| (column, cell.to_owned())).collect();
        if !cells.is_empty() {
            grid.rows.push(GridRow { number: at + 1 + skipped, cells });
        }
    }
    Ok(grid)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    fields: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    replacements: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    filters: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    options: Vec<BTreeMap<String, String>>,
}

fn of_yaml(path: &Path, file: &str, text: &str, headings: &Headings) -> Result<Found, TableError> {
    let document: Document = yaml::from_str(path, &text.into()).map_err(TableError::Yaml)?;
    let mut tables = Vec::new();
    let mut named = Vec::new();
    for (kind, rows) in [
        (Kind::Fields, document.fields),
        (Kind::Replacements, document.replacements),
        (Kind::Filters, document.filters),
        (Kind::Options, document.options),
    ] {
        if rows.is_empty() {
            continue;
        }
        let mut found = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            let mut read = Row { number: i + 1, cells: BTreeMap::new() };
            for (heading, cell) in row {
                let role = columns::role(&heading, kind, headings);
                let role = role.ok_or_else(|| TableError::Columns { file: file.to_owned(), found: format!("`{heading}` among others") })?;
                read.put(role, &cell);
                named.push(heading);
            }
            found.push(read);
        }
        tables.push(Table { file: file.to_owned(), kind, rows: found, mirrored: false });
    }
    Ok(Found { tables, notes: Vec::new(), named })
}
