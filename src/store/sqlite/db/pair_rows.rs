//! Rows of lists of a two-way mapping: which record each leads to, and how far their table was read.

use rusqlite::{OptionalExtension, params};

use super::pairs::Readings;
use super::store::Store;
use crate::store::{PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, StoreError};

/// The readings of tables with rows.
const TABLES: Readings = Readings { table: "pair_row_cursor", column: "source" };

impl Store {
    /// Returns the link by which the reading of a table of rows goes on. If the plan is another one than before, it begins again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pair_row_cursor(&self, flow: &str, table: &str, plan: &str) -> Result<Option<String>, StoreError> {
        self.write("begin to read rows", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.begin_reading(&TABLES, mapping, &table, plan)
        })
    }

    /// Stores what a table of rows reported, and how far it was read: the records that the rows lead to, or led to, are to be looked at.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the page was read from another place; when the file cannot be written.
    pub fn take_pair_rows(&self, flow: &str, table: &str, notices: &[PairRowNotice], mark: &PairMark) -> Result<PairIntake, StoreError> {
        self.write("store notices of rows", |tx| {
            let mapping = tx.mapping(flow)?;
            if !tx.advance_reading(&TABLES, mapping, &table, mark)? {
                let detail = format!("another page of {table} was committed");
                return Err(StoreError::CursorMoved { mapping: flow.to_owned(), detail }.into());
            }
            let mut intake = PairIntake::default();
            for notice in notices {
                let before: Option<String> = tx
                    .conn
                    .prepare_cached("SELECT right_id FROM pair_row WHERE mapping = ?1 AND row_id = ?2")?
                    .query_row(params![mapping, notice.row], |row| row.get(0))
                    .optional()?;
                match &notice.leads_to {
                    Some(right) => tx
                        .conn
                        .prepare_cached("INSERT OR REPLACE INTO pair_row (mapping, row_id, right_id) VALUES (?1, ?2, ?3)")?
                        .execute(params![mapping, notice.row, right])?,
                    None => tx
                        .conn
                        .prepare_cached("DELETE FROM pair_row WHERE mapping = ?1 AND row_id = ?2")?
                        .execute(params![mapping, notice.row])?,
                };
                let before = before.filter(|before| Some(before) != notice.leads_to.as_ref());
                for id in before.into_iter().chain(notice.leads_to.clone()) {
                    tx.take_pair(mapping, PairSide::Right, &PairNotice { id, version: None, begins: false }, &mut intake)?;
                }
            }
            intake.backlog = tx.backlog_of(mapping)?;
            Ok(intake)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(from: Option<&str>, to: &str) -> PairMark {
        PairMark { from: from.map(str::to_owned), to: Some(to.to_owned()) }
    }

    fn row(row: &str, leads_to: Option<&str>) -> PairRowNotice {
        PairRowNotice { row: row.to_owned(), leads_to: leads_to.map(str::to_owned) }
    }

    #[test]
    fn a_row_causes_a_check_of_its_record_also_when_it_is_gone_or_leads_elsewhere() {
        let store = Store::in_memory().unwrap();
        let begin = |id: &str| PairNotice { id: id.to_owned(), version: None, begins: true };
        store.take_pairs("deals", PairSide::Right, &[begin("a"), begin("b")], None).unwrap();
        assert_eq!(store.pair_row_cursor("deals", "rows", "1").unwrap(), None);
        let queued = |notices: &[PairRowNotice], from: Option<&str>, to: &str| {
            store.take_pair_rows("deals", "rows", notices, &mark(from, to)).unwrap().queued
        };
        assert_eq!(queued(&[row("1", Some("a")), row("2", Some("x"))], None, "p1"), 1, "`x` is in no pair");
        assert_eq!(queued(&[row("1", Some("b"))], Some("p1"), "p2"), 2, "from `a` to `b`");
        assert_eq!(queued(&[row("1", None)], Some("p2"), "p3"), 1, "`b` has lost it");
        assert_eq!(queued(&[row("1", None)], Some("p3"), "p4"), 0);
        assert!(store.take_pair_rows("deals", "rows", &[], &mark(Some("p1"), "p2")).is_err(), "read from another place");
        assert_eq!(store.pair_row_cursor("deals", "rows", "1").unwrap().as_deref(), Some("p4"));
        assert_eq!(store.pair_row_cursor("deals", "rows", "2").unwrap(), None, "another plan reads all again");
    }
}
