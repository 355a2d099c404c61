//! Tables as CSV and as a workbook of Excel.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::{Sheet, Sheets};

/// Signs with which a spreadsheet program begins a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A table as CSV (RFC 4180), in UTF-8 with a byte order mark, which Excel needs for letters beyond ASCII. A cell that a spreadsheet program
/// would run as a formula begins with an apostrophe, which `import` removes.
///
/// # Errors
///
/// None in practice: memory can be written to.
pub fn csv(sheet: &Sheet) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer("\u{feff}".as_bytes().to_vec());
    writer.write_record(&sheet.head)?;
    for row in &sheet.rows {
        // An arrow is not a formula.
        let runs = |cell: &str| cell != "->" && cell.starts_with(FORMULA);
        let cell = |cell: &String| if runs(cell) { format!("'{cell}") } else { cell.clone() };
        writer.write_record(row.iter().map(cell))?;
    }
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

/// All tables as a workbook, a sheet for each. Every cell is text, so none runs as a formula.
///
/// # Errors
///
/// If a cell has more than 32,767 characters, the limit of Excel.
pub fn xlsx(sheets: &Sheets) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let bold = Format::new().set_bold();
    for sheet in &sheets.sheets {
        let worksheet = workbook.add_worksheet().set_name(sheet.name)?;
        for (column, heading) in (0..).zip(&sheet.head) {
            worksheet.write_string_with_format(0, column, *heading, &bold)?;
        }
        for (row, cells) in (1..).zip(&sheet.rows) {
            for (column, cell) in (0..).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
                worksheet.write_string(row, column, cell)?;
            }
        }
        worksheet.set_freeze_panes(1, 0)?;
        worksheet.autofit();
    }
    workbook.save_to_buffer()
}
