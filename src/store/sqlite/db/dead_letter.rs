//! What could not be written, with all that is needed to understand it and to try again.

use rusqlite::{OptionalExtension, Row, params};

use super::cursor::cursor_of;
use super::error::Inside;
use super::outbox::{NewOp, refetch_key};
use super::store::Store;
use super::tx::Tx;
use super::types::{instant, millis};
use crate::store::{DeadLetter, DeadLetterFilter, Failure, Op, Place, RunId, StoreError};

/// The most of a service's answer that is kept, in bytes: error pages of gateways can be long, and say little.
const RESPONSE_LIMIT: usize = 64 * 1024;

pub(super) struct NewDeadLetter<'a> {
    pub mapping: i64,
    pub key: Option<&'a str>,
    pub source_id: &'a str,
    pub operation: Op,
    pub failure: &'a Failure,
    pub run: RunId,
    pub attempts: u32,
    pub with_initial: bool,
    pub change_no: i64,
    /// The load in which the source last had the record; 0 where no load decides whether it is still there.
    pub generation: i64,
}

impl<'a> NewDeadLetter<'a> {
    /// One of a unit of work that is settled as a whole, after an attempt that followed `attempts` others.
    pub fn of_unit(mapping: i64, id: &'a str, failure: &'a Failure, run: RunId, attempts: u32, change_no: i64) -> NewDeadLetter<'a> {
        NewDeadLetter {
            mapping,
            key: Some(id),
            source_id: id,
            operation: Op::Refetch,
            failure,
            run,
            attempts: attempts.saturating_add(1),
            with_initial: false,
            change_no,
            generation: 0,
        }
    }
}

const SELECT: &str = "SELECT d.id, m.name, d.key, d.source_id, d.operation, d.code, d.message, d.field, d.file, d.line, d.column_no,
  d.request, d.status, d.response, d.run_id, d.created_at, d.attempts, d.with_initial, d.retry_at
  FROM dead_letter AS d JOIN mapping AS m ON m.id = d.mapping";

const MATCHES: &str = "(?1 IS NULL OR mapping = (SELECT id FROM mapping WHERE name = ?1)) AND (?2 IS NULL OR code = ?2)
  AND (?3 IS NULL OR dead_letter.id IN (SELECT value FROM json_each(?3)))";

fn from_row(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let file: Option<String> = row.get(8)?;
    let place = match file {
        Some(file) => Some(Place { file, line: row.get(9)?, column: row.get(10)? }),
        None => None,
    };
    Ok(DeadLetter {
        id: row.get(0)?,
        mapping: row.get(1)?,
        key: row.get(2)?,
        source_id: row.get(3)?,
        operation: row.get(4)?,
        failure: Failure {
            code: row.get(5)?,
            message: row.get(6)?,
            field: row.get(7)?,
            place,
            request: row.get(11)?,
            status: row.get(12)?,
            response: row.get(13)?,
        },
        run: row.get(14)?,
        created_at: instant(row.get(15)?),
        attempts: row.get(16)?,
        with_initial: row.get(17)?,
        retry_requested_at: row.get::<_, Option<i64>>(18)?.map(instant),
    })
}

impl Store {
    /// Up to `limit` dead letters with a number above `after`, in the order of their numbers.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dead_letters(&self, filter: &DeadLetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.read("list dead letters", |conn, _| {
            let mut statement = conn.prepare_cached(&format!(
                "{SELECT} WHERE d.id IN (SELECT id FROM dead_letter WHERE {MATCHES} AND dead_letter.id > ?4 ORDER BY dead_letter.id LIMIT ?5)
                 ORDER BY d.id"
            ))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![filter.mapping, filter.code, filter.ids_json(), after, limit], from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, StoreError> {
        self.read("show a dead letter", |conn, _| {
            Ok(conn.prepare_cached(&format!("{SELECT} WHERE d.id = ?1"))?.query_row([id], from_row).optional()?)
        })
    }

    /// Queues a new attempt for each: the record is read again from the source and evaluated with the present plan, so that an
    /// old state never overwrites a newer one. The dead letter stays, marked, until the attempt has come to its end. Gives
    /// their number. May be called beside a run, which then carries it out.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn retry_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError> {
        /// Rows in memory at once.
        const BATCH: usize = 500;
        type Wanted = (i64, i64, Option<String>, String, bool);
        self.write("retry dead letters", |tx| {
            let (mut after, mut count) = (0, 0);
            loop {
                let batch: Vec<Wanted> = {
                    let mut statement = tx.conn.prepare_cached(&format!(
                        "SELECT id, mapping, key, source_id, with_initial FROM dead_letter WHERE {MATCHES} AND dead_letter.id > ?4
                         ORDER BY dead_letter.id LIMIT {BATCH}"
                    ))?;
                    let rows = statement.query_map(params![filter.mapping, filter.code, filter.ids_json(), after], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                    })?;
                    rows.collect::<Result<_, _>>()?
                };
                let Some(last) = batch.last() else {
                    return Ok(count);
                };
                after = last.0;
                for (id, mapping, key, source_id, with_initial) in &batch {
                    let generation = cursor_of(tx.conn, *mapping)?.map_or(0, |cursor| cursor.generation);
                    let change_no = tx.next_change()?;
                    let key = refetch_key(key.as_deref(), source_id);
                    let new = NewOp {
                        key: &key,
                        source_id,
                        op: Op::Refetch,
                        payload: None,
                        with_initial: *with_initial,
                        rewrite: false,
                        generation,
                        change_no,
                    };
                    tx.enqueue(*mapping, &new)?;
                    tx.conn.prepare_cached("UPDATE dead_letter SET retry_at = ?2 WHERE id = ?1")?.execute(params![id, millis(tx.now)])?;
                    count += 1;
                }
            }
        })
    }

    /// Removes dead letters: their records stay unwritten until they change again. Gives their number.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn drop_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError> {
        self.write("drop dead letters", |tx| {
            let dropped = tx
                .conn
                .execute(&format!("DELETE FROM dead_letter WHERE {MATCHES}"), params![filter.mapping, filter.code, filter.ids_json()])?;
            Ok(dropped as u64)
        })
    }
}

impl Tx<'_> {
    /// Keeps a failure; it takes the place of an older one of the same record, and gives way to a newer.
    pub fn put_dead_letter(&mut self, new: &NewDeadLetter<'_>) -> Inside<()> {
        let Failure { code, message, field, place, request, status, response } = new.failure;
        let response = response.as_deref().map(shortened);
        self.note_dead_letter(new.mapping);
        self.conn
            .prepare_cached(
                "INSERT INTO dead_letter (mapping, key, source_id, operation, code, message, field, file, line, column_no, request, status,
                   response, run_id, created_at, attempts, with_initial, change_no, generation)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
                 ON CONFLICT (mapping, source_id) DO UPDATE SET key = coalesce(excluded.key, key), operation = excluded.operation,
                   code = excluded.code, message = excluded.message, field = excluded.field, file = excluded.file, line = excluded.line,
                   column_no = excluded.column_no, request = excluded.request, status = excluded.status, response = excluded.response,
                   run_id = excluded.run_id, created_at = excluded.created_at, attempts = excluded.attempts,
                   with_initial = with_initial OR excluded.with_initial, change_no = excluded.change_no, generation = max(generation, excluded.generation),
                   retry_at = NULL
                 WHERE excluded.change_no >= change_no",
            )?
            .execute(params![
                new.mapping,
                new.key,
                new.source_id,
                new.operation,
                code,
                message,
                field,
                place.as_ref().map(|place| &place.file),
                place.as_ref().map(|place| place.line),
                place.as_ref().map(|place| place.column),
                request,
                status,
                response,
                new.run,
                millis(self.now),
                new.attempts,
                new.with_initial,
                new.change_no,
                new.generation
            ])?;
        Ok(())
    }

    /// Removes a record's dead letter unless it is of a newer state than `up_to`. Gives how many (0 or 1).
    pub fn remove_dead_letter(&mut self, mapping: i64, source_id: &str, up_to: i64) -> Inside<u64> {
        if !self.has_dead_letters(mapping)? {
            return Ok(0);
        }
        let removed = self
            .conn
            .prepare_cached("DELETE FROM dead_letter WHERE mapping = ?1 AND source_id = ?2 AND change_no <= ?3")?
            .execute(params![mapping, source_id, up_to])?;
        Ok(removed as u64)
    }

    pub fn dead_letter_with_initial(&self, mapping: i64, source_id: &str) -> Inside<bool> {
        let mut statement = self.conn.prepare_cached("SELECT with_initial FROM dead_letter WHERE mapping = ?1 AND source_id = ?2")?;
        Ok(statement.query_row(params![mapping, source_id], |row| row.get(0)).optional()?.unwrap_or(false))
    }
}

fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= RESPONSE_LIMIT {
        return text.into();
    }
    let end = (0..=RESPONSE_LIMIT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes in all)", &text[..end], text.len()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_at_a_character_and_says_so() {
        let long = "ä".repeat(RESPONSE_LIMIT);
        let kept = shortened(&long);
        assert!(kept.len() < RESPONSE_LIMIT + 60 && kept.ends_with(&format!("({} bytes in all)", long.len())));
        assert_eq!(shortened("short"), "short");
    }
}
