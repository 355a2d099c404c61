//! Sheets of cells, whatever file they come from: [`workbook`] reads `.xlsx`, [`table`] reads a table with one row of column names from CSV,
//! YAML and `.xlsx`. Tables of mapping files and `d365map import` share it.

mod grid;
mod table;
mod workbook;

pub use grid::{Grid, GridRow};
pub use table::{ENDINGS, MAX_BYTES, MAX_ROWS, Row, Table, TableError, read};
pub use workbook::{NamedGrid, Workbook, WorkbookError, is_one as is_workbook, read as read_workbook};
