//! What a dry run shows: the operations that a page would queue, compared with what was last written.

use rusqlite::{Connection, params};

use super::error::Inside;
use super::store::Store;
use super::tx::{ledger_row, load_slots, mapping_id};
use crate::store::{Comparison, Op, Payload, QueuedChange, StoreError, fingerprint::HashKey};

/// Operations that are taken out of the outbox in one transaction: values of records are not collected in memory.
const CHUNK: i64 = 1000;

impl Store {
    /// The number of the last change that was read.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_change(&self) -> Result<i64, StoreError> {
        self.read("read the number of the last change", |conn, _| {
            Ok(conn.query_row("SELECT value FROM meta WHERE name = 'change_no'", [], |row| row.get(0))?)
        })
    }

    /// Takes operations that were queued after a change out of the outbox; none when there are no more. For a copy, whose operations
    /// are never carried out. With `round_over` also those of records of which something was held in the round; before its end, that may
    /// still become part of them.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_queued(&self, mapping: &str, after: i64, round_over: bool) -> Result<Vec<QueuedChange>, StoreError> {
        self.write("take out what was queued", |tx| {
            let (id, key) = (tx.mapping(mapping)?, tx.key());
            let rows: Vec<(i64, String, Op, Option<String>, bool, String)> = {
                let mut statement = tx.conn.prepare_cached(
                    "SELECT seq, key, op, payload, with_initial, source_id FROM outbox AS o
                     WHERE mapping = ?1 AND change_no > ?2
                       AND (?3 OR NOT EXISTS (SELECT 1 FROM held AS h WHERE h.mapping = ?1 AND h.key = o.key)) LIMIT ?4",
                )?;
                let rows = statement.query_map(params![id, after, round_over, CHUNK], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                })?;
                rows.collect::<Result<_, _>>()?
            };
            let mut changes = Vec::with_capacity(rows.len());
            for (seq, target, op, payload, with_initial, source_id) in rows {
                let (upsert, new) = match (op, payload) {
                    (Op::Upsert, Some(payload)) => {
                        let payload = Payload::from_json(&payload)?;
                        let comparison = compare(tx.conn, &key, id, &target, &payload, with_initial)?;
                        let new = (comparison == Comparison::New).then_some(payload);
                        (Some(comparison), new)
                    }
                    (Op::Upsert | Op::Delete | Op::Refetch, _) => (None, None),
                };
                tx.remove_op(id, seq)?;
                changes.push(QueuedChange { key: target, source_id, new, upsert });
            }
            Ok(changes)
        })
    }

    /// Compares a payload with what was last written for its key, and changes nothing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn compare(&self, mapping: &str, key: &str, payload: &Payload, with_initial: bool) -> Result<Comparison, StoreError> {
        self.read("compare a record", |conn, hash_key| match mapping_id(conn, mapping)? {
            Some(mapping) => compare(conn, hash_key, mapping, key, payload, with_initial),
            None => Ok(Comparison::New),
        })
    }

    /// How many changes of a workflow are held, approved or not.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn held_changes(&self, mapping: &str) -> Result<u64, StoreError> {
        self.read("count held changes", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => {
                let count: i64 = conn.query_row("SELECT COUNT(*) FROM held WHERE mapping = ?1", [id], |row| row.get(0))?;
                Ok(u64::try_from(count).unwrap_or(0))
            }
            None => Ok(0),
        })
    }
}

fn compare(conn: &Connection, hash_key: &HashKey, mapping: i64, key: &str, payload: &Payload, with_initial: bool) -> Inside<Comparison> {
    let Some(row) = ledger_row(conn, mapping, key)? else {
        return Ok(Comparison::New);
    };
    let slots = load_slots(conn, mapping)?;
    let mut changed = Vec::new();
    for field in payload.fields().iter().filter(|field| !field.create_only && (with_initial || !field.initial_only)) {
        let hash = hash_key.hash(&field.path, field.value.get());
        if row.doubtful || !slots.get(&field.path).is_some_and(|slot| row.fingerprint.has(*slot, hash)) {
            changed.push(field.path.to_string());
        }
    }
    Ok(if changed.is_empty() { Comparison::Unchanged } else { Comparison::Changed(changed) })
}
