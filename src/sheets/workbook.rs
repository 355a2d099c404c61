//! Workbooks (`.xlsx`): each sheet as its cells.
//!
//! A workbook is a ZIP archive of XML. Before it is read, its files are unpacked once and thrown away, so that an archive that unpacks to
//! far more than it says is found out. Cells are then read one after the other: a sheet whose only cell is in its last row and column
//! takes no more memory than another.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use calamine::{DataRef, Reader, Sheet, SheetType, SheetVisible, Xlsx};

use super::grid::{Grid, GridRow};

/// The largest size of a workbook's files together when they are unpacked, and of the text of its cells, in bytes.
const MAX_UNPACKED: u64 = 32 * 1024 * 1024;

/// Cells with text in all sheets that are read, at most.
const MAX_CELLS: usize = 1_000_000;

/// The first bytes of a ZIP archive, which every `.xlsx` is.
const ZIP: &[u8] = b"PK\x03\x04";

/// The first bytes of an OLE file: a workbook of Excel 97 to 2003, or one with a password.
const OLE: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

/// Why a workbook cannot be read, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorkbookError(String);

/// Whether a file is, or says that it is, a workbook.
pub fn is_one(extension: Option<&str>, bytes: &[u8]) -> bool {
    let named = extension.is_some_and(|e| ["xlsx", "xlsm", "xls", "xlsb"].iter().any(|known| e.eq_ignore_ascii_case(known)));
    named || bytes.starts_with(ZIP) || bytes.starts_with(OLE)
}

/// The cells of a sheet, with its name.
#[derive(Debug)]
pub struct NamedGrid {
    /// The sheet's name, without control characters.
    pub name: String,
    /// Its cells.
    pub grid: Grid,
}

/// What a workbook holds.
#[derive(Debug, Default)]
pub struct Workbook {
    /// The sheets that are read, in order.
    pub sheets: Vec<NamedGrid>,
    /// The names of the hidden sheets, which are not read unless they are asked for.
    pub hidden: Vec<String>,
}

/// Reads the visible sheets, or those that are named (upper and lower case aside).
///
/// # Errors
///
/// [`WorkbookError`].
pub fn read(bytes: &[u8], wanted: &[String]) -> Result<Workbook, WorkbookError> {
    sheets(bytes, wanted).map_err(WorkbookError)
}

fn sheets(bytes: &[u8], wanted: &[String]) -> Result<Workbook, String> {
    if bytes.starts_with(OLE) {
        return Err("the workbook has a password or the old format .xls. Save it as .xlsx without a password, or as CSV (UTF-8)".to_owned());
    }
    if !bytes.starts_with(ZIP) {
        return Err("the file is not an .xlsx workbook. Save it in Excel as .xlsx, or as CSV (UTF-8) with the ending .csv".to_owned());
    }
    unpack(bytes)?;
    let damaged =
        |error: calamine::XlsxError| format!("the workbook cannot be read ({error}). Open it in Excel and save it as .xlsx again");
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let sheets: Vec<Sheet> = workbook.sheets_metadata().iter().filter(|s| s.typ == SheetType::WorkSheet).cloned().collect();
    let is_wanted = |sheet: &Sheet| wanted.iter().any(|w| w.trim().to_lowercase() == sheet.name.trim().to_lowercase());
    if !wanted.is_empty() && !sheets.iter().any(is_wanted) {
        let names: Vec<String> = sheets.iter().map(|s| format!("`{}`", shown(&s.name))).collect();
        return Err(format!("the workbook has no sheet {}. Its sheets are {}", quoted(wanted), names.join(", ")));
    }
    let mut found = Workbook::default();
    let mut budget = Budget { cells: MAX_CELLS, text: MAX_UNPACKED };
    for sheet in &sheets {
        if wanted.is_empty() && sheet.visible != SheetVisible::Visible {
            found.hidden.push(shown(&sheet.name));
        } else if wanted.is_empty() || is_wanted(sheet) {
            let merged = workbook.merge_cells_by_sheet_name(&sheet.name).map_err(damaged)?;
            let mut reader = workbook.worksheet_cells_reader(&sheet.name).map_err(damaged)?;
            let mut rows: BTreeMap<usize, BTreeMap<usize, String>> = BTreeMap::new();
            while let Some(cell) = reader.next_cell().map_err(damaged)? {
                let (row, column) = cell.get_position();
                let text = text(cell.get_value());
                if !text.is_empty() {
                    budget.spend(text.len())?;
                    rows.entry(row as usize + 1).or_default().insert(column as usize, text);
                }
            }
            let regions = merged.iter().map(|m| ((m.start.0 as usize + 1, m.start.1 as usize), (m.end.0 as usize + 1, m.end.1 as usize)));
            let wide = fill(&mut rows, regions, &mut budget)?;
            let rows = rows.into_iter().map(|(number, cells)| GridRow { number, cells }).collect();
            found.sheets.push(NamedGrid { name: shown(&sheet.name), grid: Grid { rows, wide } });
        }
    }
    Ok(found)
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" or ")
}

/// A name on one line.
fn shown(name: &str) -> String {
    name.replace(char::is_control, " ")
}

/// What may still be read.
struct Budget {
    cells: usize,
    text: u64,
}

impl Budget {
    fn spend(&mut self, text: usize) -> Result<(), String> {
        match (self.cells.checked_sub(1), self.text.checked_sub(text as u64)) {
            (Some(cells), Some(text)) => {
                (self.cells, self.text) = (cells, text);
                Ok(())
            }
            _ => Err(format!(
                "the workbook has more than {MAX_CELLS} cells or {} MiB of text. Keep only the sheets that are needed",
                MAX_UNPACKED / 1024 / 1024
            )),
        }
    }
}

/// Unpacks every file of the archive, and keeps none.
fn unpack(bytes: &[u8]) -> Result<(), String> {
    let damaged = |error: &dyn std::fmt::Display| format!("the workbook is damaged ({error}). Open it in Excel and save it as .xlsx again");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| damaged(&e))?;
    let mut left = MAX_UNPACKED;
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(|e| damaged(&e))?;
        // Not what the archive says of the size: that may be wrong on purpose.
        let size = io::copy(&mut file.take(left + 1), &mut io::sink()).map_err(|e| damaged(&e))?;
        left = left.checked_sub(size).ok_or_else(|| {
            format!("the workbook is larger than {} MiB when it is unpacked. Remove pictures and data from it, or save the sheet as CSV (UTF-8)", MAX_UNPACKED / 1024 / 1024)
        })?;
    }
    Ok(())
}

type Place = (usize, usize);

/// Gives the rows below the first one of a merged region the region's text: one field beside several is the field of each. Returns the
/// regions of several columns, as [`Grid::wide`] has them; their text is not repeated, since it is a title.
fn fill(
    rows: &mut BTreeMap<usize, BTreeMap<usize, String>>,
    regions: impl Iterator<Item = (Place, Place)>,
    budget: &mut Budget,
) -> Result<BTreeMap<usize, Vec<(usize, usize)>>, String> {
    let mut wide: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for ((first_row, first), (last_row, last)) in regions {
        if last > first {
            wide.entry(first_row).or_default().push((first, last));
            continue;
        }
        let Some(text) = rows.get(&first_row).and_then(|cells| cells.get(&first)).cloned() else { continue };
        for (_, cells) in rows.range_mut(first_row + 1..=last_row.max(first_row)) {
            let is_free = !cells.contains_key(&first);
            budget.spend(if is_free { text.len() } else { 0 })?;
            if is_free {
                cells.insert(first, text.clone());
            }
        }
    }
    Ok(wide)
}

/// A cell as text: numbers as they are written without a format, days as `2024-12-31`, times after them as `T14:30:00`.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
            let clock = if (hour, minute, second) == (0, 0, 0) { String::new() } else { format!("T{hour:02}:{minute:02}:{second:02}") };
            format!("{year:04}-{month:02}-{day:02}{clock}")
        }
        DataRef::DateTime(at) => at.as_f64().to_string(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.strip_suffix("T00:00:00").unwrap_or(text).to_owned(),
        // As the sheet shows it, such as `#N/A`: no field has this name, so the row is reported.
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_cells_count_for_each_row_but_not_for_each_column() {
        let row = |cells: &[(usize, &str)]| cells.iter().map(|(c, t)| (*c, (*t).to_owned())).collect::<BTreeMap<_, _>>();
        let mut rows =
            BTreeMap::from([(1, row(&[(0, "Title")])), (2, row(&[(0, "a"), (1, "x")])), (3, row(&[(1, "y")])), (5, row(&[(1, "z")]))]);
        let mut budget = Budget { cells: 10, text: 100 };
        let regions = [((1, 0), (1, 3)), ((2, 0), (5, 0)), ((9, 9), (8, 8))];
        assert_eq!(fill(&mut rows, regions.into_iter(), &mut budget), Ok(BTreeMap::from([(1, vec![(0, 3)])])));
        assert_eq!(rows[&1], row(&[(0, "Title")]));
        assert_eq!((&rows[&3], &rows[&5]), (&row(&[(0, "a"), (1, "y")]), &row(&[(0, "a"), (1, "z")])));
        assert_eq!(rows.len(), 4);
        assert_eq!(budget.cells, 8);
    }
}
