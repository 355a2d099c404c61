//! How far the files of exports were read: kept in the same transaction as what they held. Which files were skipped.

use rusqlite::{Connection, params};

use super::error::Inside;
use super::store::Store;
use super::tx::Tx;
use super::types::{instant, millis};
use crate::store::{ExportMark, StoreError};

impl Store {
    /// How far a flow has read the files.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn exports(&self, flow: &str) -> Result<Vec<ExportMark>, StoreError> {
        self.read("read how far exports were read", |conn, _| {
            let mut statement = conn.prepare_cached("SELECT name, size, modified, position FROM export WHERE flow = ?1 ORDER BY name")?;
            let rows = statement.query_map([flow], |row| {
                Ok(ExportMark {
                    name: row.get(0)?,
                    size: row.get::<_, i64>(1)?.unsigned_abs(),
                    modified: instant(row.get(2)?),
                    position: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Forgets the marks of files that the server has no more: `names` are those that it has.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_exports(&self, flow: &str, names: &[String]) -> Result<(), StoreError> {
        self.write("forget exports that are gone", |tx| {
            let kept: Vec<String> = {
                let mut statement = tx.conn.prepare_cached("SELECT name FROM export WHERE flow = ?1")?;
                statement.query_map([flow], |row| row.get(0))?.collect::<Result<_, _>>()?
            };
            for name in kept.iter().filter(|name| !names.contains(name)) {
                tx.conn.prepare_cached("DELETE FROM export WHERE flow = ?1 AND name = ?2")?.execute(params![flow, name])?;
            }
            Ok(())
        })
    }

    /// Notes which files the last reading of a flow skipped, each with what is wrong with it. Replaces what was noted before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_skipped_exports(&self, flow: &str, files: &[(String, String)]) -> Result<(), StoreError> {
        let mut files = files.to_vec();
        files.sort_unstable();
        // The files of two kinds of exports may fit the same pattern.
        files.dedup_by(|a, b| a.0 == b.0);
        if self.read("read which exports were skipped", |conn, _| skipped(conn, flow))? == files {
            return Ok(());
        }
        self.write("note which exports were skipped", |tx| {
            tx.conn.prepare_cached("DELETE FROM export_problem WHERE flow = ?1")?.execute([flow])?;
            for (name, problem) in &files {
                tx.conn
                    .prepare_cached("INSERT INTO export_problem (flow, name, problem) VALUES (?1, ?2, ?3)")?
                    .execute(params![flow, name, problem])?;
            }
            Ok(())
        })
    }
}

fn skipped(conn: &Connection, flow: &str) -> Inside<Vec<(String, String)>> {
    let mut statement = conn.prepare_cached("SELECT name, problem FROM export_problem WHERE flow = ?1 ORDER BY name")?;
    let rows = statement.query_map([flow], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Files that `status` names one by one.
const SHOWN: usize = 3;

/// What an operator has to know about the exports of a flow: the files that the last reading skipped.
pub(super) fn export_notes(conn: &Connection, flow: &str) -> Inside<Vec<String>> {
    let skipped = skipped(conn, flow)?;
    let mut notes: Vec<String> = skipped.iter().take(SHOWN).map(|(name, problem)| format!("skipped export `{name}`: {problem}")).collect();
    let more = skipped.len().saturating_sub(SHOWN);
    if more > 0 {
        notes.push(format!("{more} more exports were skipped because they cannot be read"));
    }
    Ok(notes)
}

impl Tx<'_> {
    /// Notes how far a file was read, with what it held in the same transaction.
    pub fn note_export(&mut self, flow: &str, mark: &ExportMark) -> Inside<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO export (flow, name, size, modified, position, read_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (flow, name) DO UPDATE SET size = excluded.size, modified = excluded.modified,
                   position = excluded.position, read_at = excluded.read_at",
            )?
            .execute(params![
                flow,
                mark.name,
                i64::try_from(mark.size).unwrap_or(i64::MAX),
                millis(mark.modified),
                mark.position,
                millis(self.now)
            ])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_mark_moves_on_and_goes_with_the_file() {
        let store = Store::in_memory().unwrap();
        let mark = |name: &str, position: &str| ExportMark {
            name: name.to_owned(),
            size: 10,
            modified: instant(1_000),
            position: position.to_owned(),
        };
        let note = |mark: ExportMark| store.write("test", |tx| tx.note_export("email", &mark)).unwrap();
        note(mark("a.csv", "1"));
        note(mark("b.csv", "1"));
        note(mark("a.csv", "2"));
        assert_eq!(store.exports("email").unwrap(), [mark("a.csv", "2"), mark("b.csv", "1")]);
        assert!(store.exports("contacts.optout").unwrap().is_empty());
        store.keep_exports("email", &["b.csv".to_owned()]).unwrap();
        assert_eq!(store.exports("email").unwrap(), [mark("b.csv", "1")]);
    }

    #[test]
    fn what_the_last_reading_skipped_is_shown_for_its_flow_and_a_few_files_by_name() {
        let store = Store::in_memory().unwrap();
        let told = |flow: &str| store.read("test", |conn, _| export_notes(conn, flow)).unwrap();
        let files = |names: &[&str]| -> Vec<(String, String)> { names.iter().map(|n| ((*n).to_owned(), "no header".to_owned())).collect() };
        store.note_skipped_exports("email", &files(&["a.csv", "b.csv", "c.csv", "d.csv", "e.csv"])).unwrap();
        store.note_skipped_exports("contacts.optout", &files(&["a.csv"])).unwrap();
        assert_eq!((told("email").len(), told("email")[3].as_str()), (4, "2 more exports were skipped because they cannot be read"));
        store.note_skipped_exports("email", &[]).unwrap();
        assert!(told("email").is_empty());
        assert_eq!(told("contacts.optout"), ["skipped export `a.csv`: no header"]);
    }
}
