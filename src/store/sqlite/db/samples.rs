//! What was done in each minute. Older samples are added up to coarser ones.

use rusqlite::{Connection, Row, params};

use super::error::Inside;
use super::store::Store;
use super::types::{instant, millis};
use crate::store::{CallCounts, RecordCounts, Sample, SampleRows, StoreError};
use crate::time::Instant;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Lengths of samples: those of the first length become one of the second length when they are older than the age.
const COARSER: [(i64, i64, i64); 2] = [(MINUTE, 10 * MINUTE, DAY), (10 * MINUTE, HOUR, 7 * DAY)];

/// How long samples are kept.
const KEPT: i64 = 90 * DAY;

/// The tables, each with the columns that are added up.
const RECORDS: (&str, &[&str]) = ("sample_records", &["read", "created", "updated", "deleted", "rejected", "failed"]);
const CALLS: (&str, &[&str]) = ("sample_calls", &["calls", "throttled", "failed", "milliseconds"]);

/// A number as SQLite has it.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The part of an INSERT that adds to a row that exists.
fn adding(columns: &[&str]) -> String {
    let sums: Vec<String> = columns.iter().map(|c| format!("{c} = {c} + excluded.{c}")).collect();
    format!("ON CONFLICT DO UPDATE SET {}", sums.join(", "))
}

impl Store {
    /// Adds to the samples of a minute, and makes older ones coarser.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_samples(&self, at: Instant, records: &[(String, RecordCounts)], calls: &[(String, CallCounts)]) -> Result<(), StoreError> {
        self.write("store the history", |tx| {
            let minute = millis(at).div_euclid(MINUTE) * MINUTE;
            for (name, c) in records {
                let row = params![
                    MINUTE,
                    minute,
                    name,
                    number(c.read),
                    number(c.created),
                    number(c.updated),
                    number(c.deleted),
                    number(c.rejected),
                    number(c.failed)
                ];
                tx.conn.prepare_cached(&insert(RECORDS))?.execute(row)?;
            }
            for (name, c) in calls {
                let row = params![MINUTE, minute, name, number(c.calls), number(c.throttled), number(c.failed), number(c.milliseconds)];
                tx.conn.prepare_cached(&insert(CALLS))?.execute(row)?;
            }
            [RECORDS, CALLS].into_iter().try_for_each(|table| make_coarser(tx.conn, table, minute))
        })
    }

    /// The samples that begin in a time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn samples(&self, from: Instant, until: Instant) -> Result<SampleRows, StoreError> {
        self.read("read the history", |conn, _| {
            let records = select(conn, RECORDS, from, until, |row, count| {
                Ok(RecordCounts {
                    read: count(row, 0)?,
                    created: count(row, 1)?,
                    updated: count(row, 2)?,
                    deleted: count(row, 3)?,
                    rejected: count(row, 4)?,
                    failed: count(row, 5)?,
                })
            })?;
            let calls = select(conn, CALLS, from, until, |row, count| {
                Ok(CallCounts { calls: count(row, 0)?, throttled: count(row, 1)?, failed: count(row, 2)?, milliseconds: count(row, 3)? })
            })?;
            Ok((records, calls))
        })
    }
}

fn insert((table, columns): (&str, &[&str])) -> String {
    let values: Vec<String> = (1..=columns.len() + 3).map(|n| format!("?{n}")).collect();
    format!("INSERT INTO {table} (span, at, name, {}) VALUES ({}) {}", columns.join(", "), values.join(", "), adding(columns))
}

fn make_coarser(conn: &Connection, (table, columns): (&str, &[&str]), now: i64) -> Inside<()> {
    let (list, sums) = (columns.join(", "), columns.iter().map(|c| format!("sum({c})")).collect::<Vec<_>>().join(", "));
    for (span, coarser, age) in COARSER {
        // Whole samples of the coarser length only.
        let before = (now - age).div_euclid(coarser) * coarser;
        conn.prepare_cached(&format!(
            "INSERT INTO {table} (span, at, name, {list}) SELECT ?2, at / ?2 * ?2, name, {sums} FROM {table} WHERE span = ?1 AND at < ?3
             GROUP BY at / ?2, name {}",
            adding(columns)
        ))?
        .execute(params![span, coarser, before])?;
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE span = ?1 AND at < ?2"))?.execute(params![span, before])?;
    }
    conn.prepare_cached(&format!("DELETE FROM {table} WHERE span = ?1 AND at < ?2"))?.execute(params![HOUR, now - KEPT])?;
    Ok(())
}

type Count = fn(&Row<'_>, usize) -> rusqlite::Result<u64>;

fn select<T>(
    conn: &Connection,
    (table, columns): (&str, &[&str]),
    from: Instant,
    until: Instant,
    read: impl Fn(&Row<'_>, Count) -> rusqlite::Result<T>,
) -> Inside<Vec<Sample<T>>> {
    let list = columns.join(", ");
    let sql = format!("SELECT {list}, at, name FROM {table} WHERE span IN (?1, ?2, ?3) AND at >= ?4 AND at < ?5 ORDER BY at, name, span");
    let mut statement = conn.prepare_cached(&sql)?;
    let count: Count = |row, column| Ok(row.get::<_, i64>(column)?.unsigned_abs());
    let rows = statement.query_map(params![MINUTE, 10 * MINUTE, HOUR, millis(from), millis(until)], |row| {
        Ok(Sample { at: instant(row.get(columns.len())?), name: row.get(columns.len() + 1)?, counts: read(row, count)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
