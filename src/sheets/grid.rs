//! A sheet as its cells, whatever file it comes from.

use std::collections::BTreeMap;

/// The cells of a sheet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// The rows that have a cell with text, in order.
    pub rows: Vec<GridRow>,
    /// Cells that span several columns, by the number of their row: the first and the last column of each.
    pub wide: BTreeMap<usize, Vec<(usize, usize)>>,
}

/// A row of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridRow {
    /// As a spreadsheet counts, from 1.
    pub number: usize,
    /// The cells with text, by the number of their column, from 0.
    pub cells: BTreeMap<usize, String>,
}

impl Grid {
    /// The text of the cell at this place, or of the one that spans it.
    pub fn spanning<'g>(&self, row: &'g GridRow, column: usize) -> Option<&'g str> {
        let spans = |(first, last): &&(usize, usize)| (*first..=*last).contains(&column);
        let first = || self.wide.get(&row.number)?.iter().find(spans).map(|(first, _)| first);
        row.cells.get(&column).or_else(|| row.cells.get(first()?)).map(String::as_str)
    }

    /// The text of a row that is a title over the rows below it: its only cell spans several columns.
    pub fn title<'g>(&self, row: &'g GridRow) -> Option<&'g str> {
        let (column, text) = row.cells.first_key_value()?;
        let alone = row.cells.len() == 1 && self.wide.get(&row.number)?.iter().any(|(first, _)| first == column);
        alone.then_some(text.as_str())
    }
}
