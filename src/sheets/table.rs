//! A table with one row of column names, from CSV, YAML or a workbook.
//!
//! Cells are text, without white space at both ends. Rows have the numbers that a spreadsheet shows; in YAML they are the items of the list.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::grid::{Grid, GridRow};
use super::workbook::{self, WorkbookError};
use crate::unicode::without_controls;
use crate::yaml;

/// Larger files are not read: 100,000 rows of 300 characters are as large.
pub const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The greatest number of rows, without that of the column names.
pub const MAX_ROWS: usize = 100_000;

/// The greatest number of columns.
const MAX_COLUMNS: usize = 1_000;

/// The endings of files that a table can be read from.
pub const ENDINGS: [&str; 4] = ["csv", "xlsx", "yaml", "yml"];

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of its columns, in order.
    pub columns: Vec<String>,
    /// Its rows in order, each with one cell for each column; an empty cell is an empty text.
    pub rows: Vec<Row>,
    /// What a row is called in this file: `row`, or `item` in a list of YAML.
    pub unit: &'static str,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As a spreadsheet counts, from 1; in YAML, the number of the item.
    pub number: usize,
    /// A cell for each column.
    pub cells: Vec<String>,
}

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The ending of the file is not known.
    #[error("the file name must end in `.csv`, `.xlsx`, `.yaml` or `.yml`")]
    Ending,
    /// A byte that UTF-8 does not have in this place.
    #[error("line {line} is not UTF-8 text")]
    NotUtf8 {
        /// The line of the first such byte, from 1.
        line: usize,
    },
    /// A workbook that cannot be read.
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
    /// Several sheets have cells, and none is named.
    #[error("the workbook has several sheets: {}", .0.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", "))]
    SeveralSheets(Vec<String>),
    /// A sheet is named, and the file is not a workbook.
    #[error("only a workbook (.xlsx) has sheets")]
    NoSheets,
    /// Not CSV, or not YAML.
    #[error("{0}")]
    Syntax(String),
    /// There is no row of column names.
    #[error("the file is empty")]
    Empty,
    /// A cell or a column that cannot be used.
    #[error("{unit} {row}{}: {problem}", .column.as_ref().map(|c| format!(", column {c}")).unwrap_or_default())]
    Place {
        /// What a row is called.
        unit: &'static str,
        /// The row.
        row: usize,
        /// The column, by its name in back-ticks or its number.
        column: Option<String>,
        /// What is wrong.
        problem: &'static str,
    },
    /// There are more rows than [`MAX_ROWS`].
    #[error("the file has more than 100,000 rows")]
    TooManyRows,
}

/// Reads a table. `sheet` is the name of the workbook's sheet; without it, the workbook may have one sheet with cells.
///
/// # Errors
///
/// [`TableError`].
pub fn read(file: &str, bytes: &[u8], sheet: Option<&str>) -> Result<Table, TableError> {
    let extension = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    if extension == "xlsx" {
        return of_grid(&sheet_of(bytes, sheet)?);
    }
    if sheet.is_some() {
        return Err(TableError::NoSheets);
    }
    match extension.as_str() {
        "csv" => of_csv(text(bytes)?),
        "yaml" | "yml" => of_yaml(file, text(bytes)?),
        _ => Err(TableError::Ending),
    }
}

fn text(bytes: &[u8]) -> Result<&str, TableError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(TableError::NotUtf8 { line: bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1 }),
    }
}

fn sheet_of(bytes: &[u8], sheet: Option<&str>) -> Result<Grid, TableError> {
    let wanted: Vec<String> = sheet.map(str::to_owned).into_iter().collect();
    let mut sheets = workbook::read(bytes, &wanted)?.sheets;
    sheets.retain(|sheet| !sheet.grid.rows.is_empty());
    match sheets.len() {
        0 => Err(TableError::Empty),
        1 => Ok(sheets.remove(0).grid),
        _ => Err(TableError::SeveralSheets(sheets.into_iter().map(|sheet| sheet.name).collect())),
    }
}

/// Collects the rows of a table under its column names.
struct Builder {
    table: Table,
}

impl Builder {
    /// Begins with the row of the column names.
    fn new(row: usize, names: Vec<String>) -> Result<Builder, TableError> {
        let at =
            |column: usize, problem: &'static str| TableError::Place { unit: "row", row, column: Some((column + 1).to_string()), problem };
        if names.len() > MAX_COLUMNS {
            return Err(at(MAX_COLUMNS, "the file has more than 1,000 columns"));
        }
        let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::new();
        for (column, name) in names.iter().enumerate() {
            if name.contains('`') || name.chars().any(char::is_control) {
                return Err(at(column, "the name of this column has a line end, a control character or a back-tick"));
            }
            if !name.is_empty() && seen.insert(crate::unicode::nfc(name), column).is_some() {
                return Err(at(column, "an earlier column has the same name"));
            }
        }
        drop(seen);
        Ok(Builder { table: Table { columns: names, rows: Vec::new(), unit: "row" } })
    }

    fn place(&self, row: usize, column: usize, problem: &'static str) -> TableError {
        let name = self.table.columns.get(column).filter(|name| !name.is_empty());
        let column = name.map_or_else(|| (column + 1).to_string(), |name| format!("`{name}`"));
        TableError::Place { unit: self.table.unit, row, column: Some(column), problem }
    }

    /// Adds a row, unless it has no text.
    fn row(&mut self, number: usize, cells: impl Iterator<Item = (usize, String)>) -> Result<(), TableError> {
        let mut row: Vec<String> = Vec::new();
        for (column, cell) in cells {
            let cell = if cell.trim().len() == cell.len() { cell } else { cell.trim().to_owned() };
            if cell.is_empty() {
                continue;
            }
            if self.table.columns.get(column).is_none_or(String::is_empty) {
                return Err(self.place(
                    number,
                    column,
                    "a value in a column without a name; a value with a separator in it must be in quotes",
                ));
            }
            if without_controls(Cow::Borrowed(&cell)).len() != cell.len() {
                return Err(self.place(number, column, "the value has a control character"));
            }
            if row.is_empty() {
                row = vec![String::new(); self.table.columns.len()];
            }
            row[column] = cell;
        }
        if row.is_empty() {
            return Ok(());
        }
        if self.table.rows.len() == MAX_ROWS {
            return Err(TableError::TooManyRows);
        }
        self.table.rows.push(Row { number, cells: row });
        Ok(())
    }

    /// The table without the columns that have no name, which have no cell either.
    fn finish(mut self) -> Table {
        if self.table.columns.iter().any(String::is_empty) {
            let named: Vec<bool> = self.table.columns.iter().map(|name| !name.is_empty()).collect();
            let keep = |list: &mut Vec<String>| {
                let mut named = named.iter();
                list.retain(|_| named.next().copied().unwrap_or(true));
            };
            keep(&mut self.table.columns);
            self.table.rows.iter_mut().for_each(|row| keep(&mut row.cells));
        }
        self.table
    }
}

fn of_grid(grid: &Grid) -> Result<Table, TableError> {
    let mut rows = grid.rows.iter();
    let Some(GridRow { number, cells }) = rows.next() else { return Err(TableError::Empty) };
    let width = cells.keys().next_back().map_or(0, |last| last + 1);
    let names = (0..width.min(MAX_COLUMNS + 1)).map(|column| cells.get(&column).map_or("", |name| name.trim()).to_owned());
    let mut table = Builder::new(*number, names.collect())?;
    for row in rows {
        table.row(row.number, row.cells.iter().map(|(column, cell)| (*column, cell.clone())))?;
    }
    Ok(table.finish())
}

fn of_csv(text: &str) -> Result<Table, TableError> {
    // Excel writes and reads such a line.
    let declared =
        text.strip_prefix("sep=").and_then(|rest| Some((rest.chars().next()?, rest.split_once('\n').map_or("", |(_, rest)| rest))));
    let (separator, text, skipped) = match declared {
        Some((sign @ (',' | ';' | '\t'), rest)) => (u8::try_from(sign).unwrap_or(b','), rest, 1),
        _ => (separator(text), text, 0),
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).from_reader(text.as_bytes());
    let mut table: Option<Builder> = None;
    // A spreadsheet shows a cell with line ends in one row.
    let mut folded = 0;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| TableError::Syntax(error.to_string()))? {
        // A record is said to begin before the empty lines above it.
        let (byte, line) = record.position().map_or((0, 1), |at| (at.byte(), at.line()));
        let above = text.as_bytes().get(usize::try_from(byte).unwrap_or(usize::MAX)..).unwrap_or_default();
        let above = above.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
        let number = (usize::try_from(line).unwrap_or(usize::MAX) + above).saturating_sub(folded) + skipped;
        folded += record.iter().map(|cell| cell.matches('\n').count()).sum::<usize>();
        match &mut table {
            Some(table) => table.row(number, record.iter().map(str::to_owned).enumerate())?,
            None if record.iter().all(|cell| cell.trim().is_empty()) => {}
            None => table = Some(Builder::new(number, record.iter().map(|name| name.trim().to_owned()).collect())?),
        }
    }
    table.map(Builder::finish).ok_or(TableError::Empty)
}

/// The separator by which the first row has most cells.
fn separator(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |sign: u8| {
        let (mut count, mut quoted) = (0, false);
        for byte in first.bytes() {
            quoted ^= byte == b'"';
            count += usize::from(byte == sign && !quoted);
        }
        count
    };
    [b';', b'\t'].into_iter().fold(b',', |best, sign| if count(sign) > count(best) { sign } else { best })
}

fn of_yaml(file: &str, text: &str) -> Result<Table, TableError> {
    let items: Vec<yaml::Map<Option<String>>> = yaml::rows_from_str(Path::new(file), &Arc::from(text)).map_err(|problem| {
        let (line, column) = problem.line_column();
        TableError::Syntax(format!("line {line}, column {column}: {}", problem.message))
    })?;
    let mut names: Vec<String> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (key, _) in items.iter().flat_map(|item| &item.0) {
        if !places.contains_key(key.value.trim()) && names.len() <= MAX_COLUMNS {
            places.insert(key.value.trim().to_owned(), names.len());
            names.push(key.value.trim().to_owned());
        }
    }
    if names.is_empty() {
        return Err(TableError::Empty);
    }
    let mut table = Builder::new(1, names)?;
    table.table.unit = "item";
    for (at, item) in items.into_iter().enumerate() {
        let cells = item.0.into_iter().filter_map(|(key, value)| Some((*places.get(key.value.trim())?, value.unwrap_or_default())));
        table.row(at + 1, cells)?;
    }
    Ok(table.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> Result<Table, String> {
        read("a.csv", text.as_bytes(), None).map_err(|e| e.to_string())
    }

    fn rows(table: &Table) -> Vec<(usize, Vec<&str>)> {
        table.rows.iter().map(|row| (row.number, row.cells.iter().map(String::as_str).collect())).collect()
    }

    #[test]
    fn rows_have_the_numbers_that_a_spreadsheet_shows() {
        let table = csv("\u{feff}code;label\n\nA;\"two\nlines\"\n;\n B ; x \n").unwrap();
        assert_eq!(table.columns, ["code", "label"]);
        assert_eq!(rows(&table), [(3, vec!["A", "two\nlines"]), (5, vec!["B", "x"])]);
        assert_eq!(rows(&csv("sep=\t\r\na\tb\r\n1\t\r\n").unwrap()), [(3, vec!["1", ""])]);
    }

    #[test]
    fn the_separator_is_the_one_by_which_the_first_row_has_most_cells() {
        assert_eq!(csv("\"a;b;c\",d\n1,2\n").unwrap().columns, ["a;b;c", "d"]);
        assert_eq!(csv("a\tb\tc,d\n").unwrap().columns, ["a", "b", "c,d"]);
    }

    #[test]
    fn a_faulty_cell_is_named_with_its_place() {
        let fault = |text: &str| csv(text).unwrap_err();
        assert_eq!(
            fault("a,b\n1,2\n1,2,3\n"),
            "row 3, column 3: a value in a column without a name; a value with a separator in it must be in quotes"
        );
        assert_eq!(
            fault("a,,b\n1,2,3\n"),
            "row 2, column 2: a value in a column without a name; a value with a separator in it must be in quotes"
        );
        assert_eq!(csv("a,,b\n1,,3\n").map(|t| t.columns), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(fault("a,b,a\n"), "row 1, column 3: an earlier column has the same name");
        assert_eq!(fault("a,b\n1,\u{1}\n"), "row 2, column `b`: the value has a control character");
        assert_eq!(fault(" \n"), "the file is empty");
        assert_eq!(read("a.csv", b"a\n\xff\n", None).unwrap_err().to_string(), "line 2 is not UTF-8 text");
        assert!(matches!(read("a.txt", b"", None), Err(TableError::Ending)));
        assert!(matches!(read("a.csv", b"a\n", Some("x")), Err(TableError::NoSheets)));
    }

    #[test]
    fn a_list_of_yaml_is_a_table_whose_values_are_as_they_are_written() {
        let table = read("a.yaml", b"- code: 007\n  rate: 1.50\n- {code: true, note: ~}\n- rate: \"x\"\n", None).unwrap();
        assert_eq!(table.columns, ["code", "rate", "note"]);
        assert_eq!(rows(&table), [(1, vec!["007", "1.50", ""]), (2, vec!["true", "", ""]), (3, vec!["", "x", ""])]);
        let fault = read("a.yaml", b"- code: 1\n- code: [2]\n", None).unwrap_err().to_string();
        assert!(fault.starts_with("line 2, column "), "{fault}");
    }

    #[test]
    fn a_hundred_thousand_rows_are_read_and_no_more() {
        let mut text = "a,b\n".to_owned();
        let mut list = String::new();
        for n in 0..MAX_ROWS {
            text.push_str(&format!("{n},x\n"));
            list.push_str(&format!("- {{a: {n}, b: x}}\n"));
        }
        assert_eq!(csv(&text).unwrap().rows.len(), MAX_ROWS);
        assert_eq!(read("a.yml", list.as_bytes(), None).unwrap().rows.len(), MAX_ROWS);
        text.push_str("1,x\n");
        assert!(matches!(read("a.csv", text.as_bytes(), None), Err(TableError::TooManyRows)));
    }
}
