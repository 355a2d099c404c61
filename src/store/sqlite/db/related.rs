//! Rows of other tables that lookups of a mapping's records point to: how far each table was read, the named columns of its rows, and which
//! record was evaluated with which rows.
//!
//! If a row appears, changes or goes, the records that were evaluated with it become due in the same transaction (`due.rs`), so that they
//! are read and evaluated again.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Inside;
use super::store::Store;
use super::tx::{Tx, json_list, mapping_id};
use super::types::{instant, millis};
use crate::store::{FollowedTable, Phase, RelatedMove, RelatedOutcome, RelatedPage, RelatedPlace, RelatedRows, RelatedUses, StoreError};
use crate::time::Instant;

/// The tables that a mapping follows.
pub(super) fn followed(conn: &Connection, mapping: i64) -> Inside<Vec<FollowedTable>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, phase, updated_at,
           (SELECT COUNT(*) FROM related_row AS r WHERE r.mapping = s.mapping AND r.source = s.id),
           (SELECT COUNT(DISTINCT u.source_id) FROM related_use AS u WHERE u.mapping = s.mapping AND u.source = s.id)
         FROM related_source AS s WHERE mapping = ?1 ORDER BY name",
    )?;
    let rows = statement.query_map([mapping], |row| {
        let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
        Ok(FollowedTable {
            table: row.get(0)?,
            phase: row.get(1)?,
            updated_at: instant(row.get(2)?),
            rows: count(row.get(3)?),
            records: count(row.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A table in the file.
struct Source {
    id: i64,
    place: RelatedPlace,
}

fn source_of(conn: &Connection, mapping: i64, table: &str) -> Inside<Option<Source>> {
    let mut statement = conn.prepare_cached("SELECT id, phase, link, generation FROM related_source WHERE mapping = ?1 AND name = ?2")?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Source { id: row.get(0)?, place: RelatedPlace { phase: row.get(1)?, link: row.get(2)?, generation: row.get(3)? } })
    };
    Ok(statement.query_row(params![mapping, table], row).optional()?)
}

impl Store {
    /// Returns how far a table was read for a mapping. A table that was never read, or of which other columns are kept, is put to the
    /// start of a full load.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn related_place(&self, mapping: &str, table: &str, fingerprint: &str) -> Result<RelatedPlace, StoreError> {
        self.write("look for the place in a followed table", |tx| {
            let id = tx.mapping(mapping)?;
            let known: Option<String> = tx
                .conn
                .prepare_cached("SELECT fingerprint FROM related_source WHERE mapping = ?1 AND name = ?2")?
                .query_row(params![id, table], |row| row.get(0))
                .optional()?;
            match (known, source_of(tx.conn, id, table)?) {
                (Some(known), Some(source)) if known == fingerprint => Ok(source.place),
                _ => tx.restart_related(id, table, Some(fingerprint)),
            }
        })
    }

    /// Puts a table back to the start of a full load. Its rows stay until the load is over.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restart_related(&self, mapping: &str, table: &str) -> Result<RelatedPlace, StoreError> {
        self.write("read a followed table from the beginning", |tx| {
            let id = tx.mapping(mapping)?;
            tx.restart_related(id, table, None)
        })
    }

    /// Stores a page of a table: its rows, the place behind it, and that the records which were evaluated with changed rows are due.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the reading is not where the page was read; when the file cannot be written.
    pub fn store_related(&self, page: RelatedPage) -> Result<RelatedOutcome, StoreError> {
        self.write("store a page of a followed table", |tx| tx.store_related(page))
    }

    /// Returns the kept rows of these tables and ids.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn related_rows(&self, mapping: &str, wanted: &BTreeMap<String, BTreeSet<String>>) -> Result<RelatedRows, StoreError> {
        self.read("read rows of followed tables", |conn, _| {
            let mut found = RelatedRows::default();
            let Some(mapping) = mapping_id(conn, mapping)? else { return Ok(found) };
            let mut sources = conn.prepare_cached("SELECT id, version FROM related_source WHERE mapping = ?1 AND name = ?2")?;
            let mut rows = conn.prepare_cached(
                "SELECT row_id, columns FROM related_row WHERE mapping = ?1 AND source = ?2 AND row_id IN (SELECT value FROM json_each(?3))",
            )?;
            for (table, ids) in wanted {
                let source: Option<(i64, i64)> =
                    sources.query_row(params![mapping, table], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                let Some((source, version)) = source else { continue };
                found.versions.insert(table.clone(), version);
                let ids: Vec<&String> = ids.iter().collect();
                let mut rows = rows.query(params![mapping, source, json_list(&ids)])?;
                while let Some(row) = rows.next()? {
                    found.rows.insert((table.clone(), row.get(0)?), row.get(1)?);
                }
            }
            Ok(found)
        })
    }

    /// Deletes all tables of a mapping but these, with their rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn retain_related(&self, mapping: &str, tables: &[String]) -> Result<u64, StoreError> {
        self.write("delete tables that are not followed any more", |tx| {
            let mapping = tx.mapping(mapping)?;
            let mut statement = tx
                .conn
                .prepare_cached("SELECT id FROM related_source WHERE mapping = ?1 AND name NOT IN (SELECT value FROM json_each(?2))")?;
            let gone: Vec<i64> = statement.query_map(params![mapping, json_list(tables)], |row| row.get(0))?.collect::<Result<_, _>>()?;
            for source in &gone {
                for table in ["related_use", "related_row"] {
                    tx.conn.execute(&format!("DELETE FROM {table} WHERE mapping = ?1 AND source = ?2"), params![mapping, source])?;
                }
                tx.conn.execute("DELETE FROM related_source WHERE id = ?1", [source])?;
            }
            Ok(gone.len() as u64)
        })
    }
}

impl Tx<'_> {
    fn restart_related(&mut self, mapping: i64, table: &str, fingerprint: Option<&str>) -> Inside<RelatedPlace> {
        self.conn
            .prepare_cached(
                "INSERT INTO related_source (mapping, name, fingerprint, phase, link, generation, version, updated_at)
                 VALUES (?1, ?2, coalesce(?3, ''), 'full', NULL, 1, 0, ?4)
                 ON CONFLICT (mapping, name) DO UPDATE SET fingerprint = coalesce(?3, fingerprint), phase = 'full', link = NULL,
                   generation = generation + 1, updated_at = ?4",
            )?
            .execute(params![mapping, table, fingerprint, millis(self.now)])?;
        let generation = source_of(self.conn, mapping, table)?.map_or(1, |source| source.place.generation);
        Ok(RelatedPlace { phase: Phase::Full, link: None, generation })
    }

    fn store_related(&mut self, page: RelatedPage) -> Inside<RelatedOutcome> {
        let RelatedPage { mapping: name, table, from, rows, to, at } = page;
        let mapping = self.mapping(&name)?;
        let source = source_of(self.conn, mapping, &table)?.filter(|source| source.place == from);
        let Some(Source { id: source, .. }) = source else {
            let detail = format!("another page of `{table}` was stored");
            return Err(StoreError::CursorMoved { mapping: name, detail }.into());
        };
        let has_forgotten: bool = self.conn.query_row("SELECT EXISTS (SELECT 1 FROM forgotten)", [], |row| row.get(0))?;
        let mut changed: BTreeSet<String> = BTreeSet::new();
        for (id, columns) in rows {
            // Nothing of a forgotten person is kept.
            let is_forgotten = has_forgotten && self.is_forgotten(&id)?;
            if self.keep_row(mapping, source, &id, columns.as_deref().filter(|_| !is_forgotten), from.generation)? {
                changed.insert(id);
            }
        }
        let place = match to {
            RelatedMove::Next(link) => RelatedPlace { link: Some(link), ..from },
            RelatedMove::RoundEnd(link) => {
                if from.phase == Phase::Full {
                    changed.extend(self.drop_unseen_rows(mapping, source, from.generation)?);
                }
                match (link, from.phase) {
                    (Some(link), _) => RelatedPlace { phase: Phase::Delta, link: Some(link), ..from },
                    (None, Phase::Delta) => from,
                    // Nothing tells of changes: the next round is a full load again.
                    (None, Phase::Full) => RelatedPlace { link: None, generation: from.generation + 1, ..from },
                }
            }
        };
        let affected = self.make_users_due(mapping, &changed, at)?;
        self.conn
            .prepare_cached(
                "UPDATE related_source SET phase = ?2, link = ?3, generation = ?4, version = version + ?5, updated_at = ?6 WHERE id = ?1",
            )?
            .execute(params![source, place.phase, place.link, place.generation, i64::from(!changed.is_empty()), millis(self.now)])?;
        Ok(RelatedOutcome { changed: changed.len() as u64, affected, place })
    }

    /// Keeps a row, or deletes it. Returns whether that is a change.
    fn keep_row(&self, mapping: i64, source: i64, id: &str, columns: Option<&str>, generation: i64) -> Inside<bool> {
        let key = params![mapping, id, source];
        let Some(columns) = columns else {
            let deleted =
                self.conn.prepare_cached("DELETE FROM related_row WHERE mapping = ?1 AND row_id = ?2 AND source = ?3")?.execute(key)?;
            return Ok(deleted > 0);
        };
        let before: Option<String> = self
            .conn
            .prepare_cached("SELECT columns FROM related_row WHERE mapping = ?1 AND row_id = ?2 AND source = ?3")?
            .query_row(key, |row| row.get(0))
            .optional()?;
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO related_row (mapping, row_id, source, columns, generation) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![mapping, id, source, columns, generation])?;
        Ok(before.as_deref() != Some(columns))
    }

    /// Deletes the rows that a full load has not seen.
    fn drop_unseen_rows(&self, mapping: i64, source: i64, generation: i64) -> Inside<Vec<String>> {
        let mut statement =
            self.conn.prepare_cached("DELETE FROM related_row WHERE mapping = ?1 AND source = ?2 AND generation < ?3 RETURNING row_id")?;
        let rows = statement.query_map(params![mapping, source, generation], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes the records due that were evaluated with one of these rows.
    fn make_users_due(&self, mapping: i64, rows: &BTreeSet<String>, at: Instant) -> Inside<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&String> = rows.iter().collect();
        let due = self
            .conn
            .prepare_cached(
                "INSERT INTO due_record (mapping, source_id, due_at)
                 SELECT DISTINCT mapping, source_id, ?3 FROM related_use
                 WHERE mapping = ?1 AND row_id IN (SELECT value FROM json_each(?2))
                 ON CONFLICT (mapping, source_id) DO UPDATE SET due_at = min(due_at, excluded.due_at)",
            )?
            .execute(params![mapping, json_list(&ids), millis(at)])?;
        Ok(due as u64)
    }

    /// Makes the records due that were evaluated with a row of a person who is forgotten.
    pub fn evaluate_users_of(&self, id: &str) -> Inside<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO due_record (mapping, source_id, due_at)
                 SELECT DISTINCT mapping, source_id, ?2 FROM related_use WHERE mapping IN (SELECT id FROM mapping) AND row_id = ?1
                 ON CONFLICT (mapping, source_id) DO NOTHING",
            )?
            .execute(params![id.to_ascii_lowercase(), millis(self.now)])?;
        Ok(())
    }

    /// Notes which rows records were evaluated with. A record that was evaluated with older rows than the present ones is due at once:
    /// the page that changed them did not know that it would use them.
    pub fn note_uses(&mut self, mapping: i64, has_forgotten: bool, uses: &RelatedUses, at: Instant) -> Inside<()> {
        let mut sources: BTreeMap<&str, (i64, bool)> = BTreeMap::new();
        let mut known = self.conn.prepare_cached("SELECT id, name, version FROM related_source WHERE mapping = ?1")?;
        let found: Vec<(i64, String, i64)> =
            known.query_map([mapping], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
        for (id, name, version) in &found {
            let seen = uses.versions.get(name);
            sources.insert(name, (*id, seen.is_some_and(|seen| seen != version)));
        }
        let mut before = self.conn.prepare_cached("SELECT row_id, source FROM related_use WHERE mapping = ?1 AND source_id = ?2")?;
        let mut add =
            self.conn.prepare_cached("INSERT OR IGNORE INTO related_use (mapping, row_id, source_id, source) VALUES (?1, ?2, ?3, ?4)")?;
        let mut remove =
            self.conn.prepare_cached("DELETE FROM related_use WHERE mapping = ?1 AND row_id = ?2 AND source_id = ?3 AND source = ?4")?;
        let mut due = self.conn.prepare_cached(
            "INSERT INTO due_record (mapping, source_id, due_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (mapping, source_id) DO UPDATE SET due_at = min(due_at, excluded.due_at)",
        )?;
        for (record, rows) in &uses.records {
            if has_forgotten && self.is_forgotten(record)? {
                continue;
            }
            let mut wanted: BTreeSet<(&str, i64)> = BTreeSet::new();
            let mut outdated = false;
            for (table, row) in rows {
                let Some((source, changed)) = sources.get(table.as_str()) else { continue };
                outdated |= changed;
                if !has_forgotten || !self.is_forgotten(row)? {
                    wanted.insert((row, *source));
                }
            }
            let noted: BTreeSet<(String, i64)> =
                before.query_map(params![mapping, record], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            for (row, source) in noted.iter().filter(|(row, source)| !wanted.contains(&(row.as_str(), *source))) {
                remove.execute(params![mapping, row, record, source])?;
            }
            for (row, source) in wanted.iter().filter(|(row, source)| !noted.contains(&((*row).to_owned(), *source))) {
                add.execute(params![mapping, row, record, source])?;
            }
            if outdated {
                due.execute(params![mapping, record, millis(at)])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Absence, Change, CursorMove, PageCommit, PageTimes, RunKind};

    const FLOW: &str = "contacts";
    const USERS: &str = "d365.systemuser";
    const ADA: &str = "8f1d0000-0000-4000-8000-000000000001";

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn rows(store: &Store, rows: &[(&str, Option<&str>)], to: RelatedMove) -> RelatedOutcome {
        let from = store.related_place(FLOW, USERS, "columns").unwrap();
        let rows = rows.iter().map(|(id, columns)| ((*id).to_owned(), columns.map(str::to_owned))).collect();
        store.store_related(RelatedPage { mapping: FLOW.into(), table: USERS.into(), from, rows, to, at: at(0) }).unwrap()
    }

    fn end(link: &str) -> RelatedMove {
        RelatedMove::RoundEnd(Some(link.into()))
    }

    fn kept(store: &Store, id: &str) -> Option<String> {
        let wanted = BTreeMap::from([(USERS.to_owned(), BTreeSet::from([id.to_owned()]))]);
        store.related_rows(FLOW, &wanted).unwrap().rows.into_values().next()
    }

    /// Stores a page with a record that was evaluated with a row, when its table had changed so often.
    fn evaluated(store: &Store, record: &str, row: &str, version: i64) {
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        let from = store.cursor_or_first(FLOW, "plan").unwrap();
        let uses = RelatedUses {
            versions: BTreeMap::from([(USERS.to_owned(), version)]),
            records: BTreeMap::from([(record.to_owned(), BTreeSet::from([(USERS.to_owned(), row.to_owned())]))]),
        };
        let times = PageTimes { at: Some(at(1)), uses: Some(uses), ..PageTimes::default() };
        let changes = vec![Change::Absent { source_id: record.into(), why: Absence::FilteredOut, remove: false }];
        let to = CursorMove::Next(format!("after {record} {row}"));
        store.commit_page(PageCommit { run, mapping: FLOW.into(), from, changes, rewrite: false, times, guard: None, to }).unwrap();
    }

    fn due(store: &Store) -> Vec<String> {
        store.due_records(FLOW, at(9), 9).unwrap()
    }

    #[test]
    fn a_row_that_appears_changes_or_goes_makes_the_records_due_that_were_evaluated_with_it() {
        let store = Store::in_memory().unwrap();
        assert_eq!(rows(&store, &[("u1", Some("{}")), ("u2", Some("{}"))], end("d1")).affected, 0);
        for (record, row) in [("a", "u1"), ("b", "u1"), ("c", "u2"), ("d", "u3")] {
            evaluated(&store, record, row, 1);
        }
        assert!(due(&store).is_empty());
        assert_eq!(rows(&store, &[("u1", Some("{}"))], end("d2")).affected, 0, "nothing differs");
        let outcome = rows(&store, &[("u1", Some("{\"x\":1}"))], end("d3"));
        assert_eq!((outcome.changed, outcome.affected, due(&store)), (1, 2, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(rows(&store, &[("u3", Some("{}"))], end("d4")).affected, 1, "a row that was not there");
        assert_eq!(rows(&store, &[("u2", None), ("u9", None)], end("d5")).affected, 1);
        assert_eq!(due(&store), ["a", "b", "c", "d"]);
        assert_eq!((kept(&store, "u1").as_deref(), kept(&store, "u2")), (Some("{\"x\":1}"), None));
    }

    #[test]
    fn a_full_load_deletes_the_rows_that_it_did_not_see_and_other_columns_begin_one() {
        let store = Store::in_memory().unwrap();
        rows(&store, &[("u1", Some("{}")), ("u2", Some("{}"))], end("d1"));
        evaluated(&store, "a", "u2", 1);
        store.restart_related(FLOW, USERS).unwrap();
        assert_eq!(kept(&store, "u2").as_deref(), Some("{}"), "until the load is over");
        assert_eq!(rows(&store, &[("u1", Some("{}"))], RelatedMove::Next("p2".into())).affected, 0);
        assert_eq!(rows(&store, &[], end("d2")).affected, 1);
        assert_eq!((due(&store), kept(&store, "u2")), (vec!["a".to_owned()], None));
        let place = store.related_place(FLOW, USERS, "columns").unwrap();
        assert_eq!((place.phase, place.link.as_deref()), (Phase::Delta, Some("d2")));
        let place = store.related_place(FLOW, USERS, "other columns").unwrap();
        assert_eq!((place.phase, place.link), (Phase::Full, None));
    }

    #[test]
    fn a_record_that_was_evaluated_with_older_rows_is_due_at_once() {
        let store = Store::in_memory().unwrap();
        rows(&store, &[("u1", Some("{}"))], end("d1"));
        rows(&store, &[("u1", Some("{\"x\":1}"))], end("d2"));
        evaluated(&store, "a", "u1", 2);
        assert!(due(&store).is_empty());
        evaluated(&store, "b", "u1", 1);
        assert_eq!(due(&store), ["b"]);
    }

    #[test]
    fn a_record_that_leads_elsewhere_does_not_become_due_for_the_row_before() {
        let store = Store::in_memory().unwrap();
        rows(&store, &[("u1", Some("{}")), ("u2", Some("{}"))], end("d1"));
        evaluated(&store, "a", "u1", 1);
        evaluated(&store, "a", "u2", 1);
        assert_eq!(rows(&store, &[("u1", None)], end("d2")).affected, 0);
        assert_eq!(rows(&store, &[("u2", None)], end("d3")).affected, 1);
    }

    #[test]
    fn a_page_that_was_read_from_another_place_is_refused() {
        let store = Store::in_memory().unwrap();
        let from = store.related_place(FLOW, USERS, "columns").unwrap();
        rows(&store, &[], end("d1"));
        let page = RelatedPage { mapping: FLOW.into(), table: USERS.into(), from, rows: Vec::new(), to: end("d2"), at: at(0) };
        assert!(matches!(store.store_related(page), Err(StoreError::CursorMoved { .. })));
    }

    #[test]
    fn a_table_that_is_not_followed_any_more_goes_with_its_rows() {
        let store = Store::in_memory().unwrap();
        rows(&store, &[("u1", Some("{}"))], end("d1"));
        evaluated(&store, "a", "u1", 1);
        assert_eq!(store.retain_related(FLOW, &[USERS.to_owned()]).unwrap(), 0);
        assert_eq!(store.retain_related(FLOW, &[]).unwrap(), 1);
        let left: i64 = store
            .read("test", |conn, _| {
                let sql = "SELECT (SELECT COUNT(*) FROM related_row) + (SELECT COUNT(*) FROM related_use) + (SELECT COUNT(*) FROM related_source)";
                Ok(conn.query_row(sql, [], |row| row.get(0))?)
            })
            .unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn nothing_is_kept_of_a_forgotten_person_and_what_was_made_of_it_is_evaluated_again() {
        let store = Store::in_memory().unwrap();
        rows(&store, &[(ADA, Some("{\"mail\":\"ada@example.com\"}")), ("u2", Some("{\"mail\":\"x\"}"))], end("d1"));
        evaluated(&store, "a", ADA, 1);
        let found = store.trace(ADA).unwrap().counts;
        assert_eq!((found.get("related_row"), found.get("related_use")), (Some(&1), Some(&1)));
        assert_eq!(store.trace("ada@example.com").unwrap().counts.get("related_row"), Some(&1));
        store.forget(ADA).unwrap();
        let found = store.trace(ADA).unwrap().counts;
        assert_eq!((found.get("related_row"), found.get("related_use"), kept(&store, ADA)), (None, None, None));
        assert_eq!(store.due_records(FLOW, crate::time::now() + chrono::TimeDelta::seconds(1), 9).unwrap(), ["a"]);
        rows(&store, &[(ADA, Some("{\"mail\":\"ada@example.com\"}"))], end("d2"));
        evaluated(&store, "a", ADA, 1);
        let found = store.trace(ADA).unwrap().counts;
        assert_eq!((found.get("related_row"), found.get("related_use"), kept(&store, "u2").is_some()), (None, None, true));
    }
}
