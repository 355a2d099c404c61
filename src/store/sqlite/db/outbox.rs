//! The outbox: what waits to be written, one operation at most per target record, and one more in a worker's hands.

use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};
use serde_json::value::RawValue;

use super::error::Inside;
use super::fingerprint::Fingerprint;
use super::links::parent_id;
use super::store::Store;
use super::tx::{Tx, json_list};
use super::types::{HELD, latest_postponement, millis};
use crate::store::{ClaimedField, ClaimedLink, ClaimedOp, Destination, Flags, IfAbsent, Op, Payload, RunId, StoreError, Work};
use crate::time::Instant;

/// What an enqueued operation met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    Inserted,
    Coalesced,
}

/// An operation to enqueue.
pub(super) struct NewOp<'a> {
    pub key: &'a str,
    pub source_id: &'a str,
    pub op: Op,
    pub payload: Option<&'a Payload>,
    pub with_initial: bool,
    pub rewrite: bool,
    pub generation: i64,
    pub change_no: i64,
}

/// A refetch of a record whose key is not known waits under this: no target key begins with a control character.
const KEYLESS: &str = "\u{1f}refetch:";

pub(super) fn refetch_key(key: Option<&str>, source_id: &str) -> String {
    key.map_or_else(|| format!("{KEYLESS}{source_id}"), str::to_owned)
}

pub(super) fn is_keyless(key: &str) -> bool {
    key.starts_with(KEYLESS)
}

/// Operations looked at in one transaction for one that need not wait.
const LOOKED_AT: usize = 4096;

/// An operation that is due, with what the ledger has of its record.
struct DueRow {
    seq: i64,
    key: String,
    source_id: String,
    op: Op,
    payload: Option<Arc<str>>,
    with_initial: bool,
    rewrite: bool,
    uncertain: bool,
    attempts: u32,
    held: bool,
    /// None where the ledger does not have the record.
    ledger: Option<(Fingerprint, bool)>,
}

/// What a waiting row has that a newer operation must take account of.
struct Waiting {
    seq: i64,
    op: Op,
    source_id: String,
    /// Its values; of a refetch, those of the upsert whose place it has taken.
    payload: Option<String>,
}

impl Tx<'_> {
    /// Queues an operation: it takes the place of the one that waits for the same record, or waits behind a claimed one.
    ///
    /// The newest operation counts. A refetch too: when it is carried out it reads what is newest then. It keeps the values that waited, for
    /// fields that what it reads leaves out.
    pub fn enqueue(&mut self, mapping: i64, new: &NewOp<'_>) -> Inside<Queued> {
        self.forget_ahead(new.key);
        let waiting = self
            .conn
            .prepare_cached(
                "SELECT seq, op, source_id, coalesce(payload, waited) FROM outbox WHERE mapping = ?1 AND key = ?2 AND state = 'ready'",
            )?
            .query_row(params![mapping, new.key], |row| {
                Ok(Waiting { seq: row.get(0)?, op: row.get(1)?, source_id: row.get(2)?, payload: row.get(3)? })
            })
            .optional()?;
        let Some(waiting) = waiting else {
            self.enqueue_first(mapping, new)?;
            return Ok(Queued::Inserted);
        };
        self.tally(mapping).queued += 1;
        let (payload, waited) = match (new.payload, new.op) {
            (Some(newer), _) => (Some(coalesced(&waiting, newer, new.source_id)?), None),
            // What is read then may leave fields out, and these keep the values that wait.
            (None, Op::Refetch) if waiting.source_id == new.source_id => (None, waiting.payload),
            (None, Op::Upsert | Op::Delete | Op::Refetch) => (None, None),
        };
        // It keeps its place in the order, its back-off, and the doubt about an earlier attempt.
        self.conn
            .prepare_cached(
                "UPDATE outbox SET source_id = ?2, op = ?3, payload = ?4, with_initial = with_initial OR ?5, rewrite = rewrite OR ?6,
                   generation = max(generation, ?7), change_no = ?8,
                   enqueued_at = CASE WHEN ?3 = 'delete' AND op <> 'delete' THEN ?9 ELSE enqueued_at END,
                   held = CASE WHEN ?3 = 'delete' AND op <> 'delete' THEN 0 ELSE held END, waited = ?10
                 WHERE seq = ?1",
            )?
            .execute(params![
                waiting.seq,
                new.source_id,
                new.op,
                payload,
                new.with_initial,
                new.rewrite,
                new.generation,
                new.change_no,
                millis(self.now),
                waited
            ])?;
        self.tally(mapping).coalesced += 1;
        Ok(Queued::Coalesced)
    }

    /// Queues an operation on a record of which none waits.
    pub fn enqueue_first(&mut self, mapping: i64, new: &NewOp<'_>) -> Inside<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO outbox (mapping, key, source_id, op, payload, with_initial, rewrite, generation, change_no, enqueued_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                mapping,
                new.key,
                new.source_id,
                new.op,
                new.payload.map(Payload::to_json),
                new.with_initial,
                new.rewrite,
                new.generation,
                new.change_no,
                millis(self.now)
            ])?;
        let tally = self.tally(mapping);
        tally.queued += 1;
        tally.outbox_rows += 1;
        Ok(())
    }

    /// Puts a claimed operation back among the waiting ones. If a newer one waits for the same record, that one takes over
    /// what this one knows: its place, its doubt, the fields that only it has.
    pub fn requeue(&mut self, seq: i64, uncertain: bool, failed: Option<(Instant, &str)>) -> Inside<()> {
        let (mapping, key, op, source_id, payload): (i64, String, Op, String, Option<String>) = self
            .conn
            .prepare_cached("SELECT mapping, key, op, source_id, coalesce(payload, waited) FROM outbox WHERE seq = ?1")?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        // Nothing has been sent for a refetch: it only reads.
        let uncertain = uncertain && op != Op::Refetch;
        type Newer = (i64, Op, String, Option<String>, bool, bool, i64, i64);
        let newer: Option<Newer> = self
            .conn
            .prepare_cached(
                "SELECT seq, op, source_id, coalesce(payload, waited), with_initial, rewrite, generation, change_no FROM outbox
                 WHERE mapping = ?1 AND key = ?2 AND state = 'ready'",
            )?
            .query_row(params![mapping, key], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?))
            })
            .optional()?;
        if let Some((newer_seq, newer_op, newer_source, newer_payload, with_initial, rewrite, generation, change_no)) = newer {
            let values = match newer_payload {
                Some(newer) => {
                    let older = Waiting { seq, op, source_id, payload };
                    Some(coalesced(&older, &Payload::from_json(&newer)?, &newer_source)?)
                }
                None if newer_op == Op::Refetch && newer_source == source_id => payload,
                None => None,
            };
            let (payload, waited) = if newer_op == Op::Refetch { (None, values) } else { (values, None) };
            self.conn.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([newer_seq])?;
            self.conn
                .prepare_cached(
                    "UPDATE outbox SET source_id = ?2, op = ?3, payload = ?4, with_initial = with_initial OR ?5, rewrite = rewrite OR ?6,
                       generation = max(generation, ?7), change_no = ?8, waited = ?9 WHERE seq = ?1",
                )?
                .execute(params![seq, newer_source, newer_op, payload, with_initial, rewrite, generation, change_no, waited])?;
            let tally = self.tally(mapping);
            tally.outbox_rows -= 1;
            tally.coalesced += 1;
        }
        let (not_before, error) = match failed {
            Some((at, error)) => (millis(at).max(1), Some(error)),
            None => (0, None),
        };
        self.conn
            .prepare_cached(
                "UPDATE outbox SET state = 'ready', claimed_by = NULL, superseded = 0, uncertain = uncertain OR ?2, not_before = ?3,
                   attempts = attempts + ?4, last_error = coalesce(?5, last_error) WHERE seq = ?1",
            )?
            .execute(params![seq, uncertain, not_before, i64::from(failed.is_some()), error])?;
        Ok(())
    }

    /// What an operation has that is settled as a whole: the id of its record, the number of its change, how often it was tried. None if
    /// it is not in the run's hands.
    pub fn claimed_unit(&self, run: RunId, mapping: i64, seq: i64) -> Inside<Option<(String, i64, u32)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT source_id, change_no, attempts FROM outbox WHERE seq = ?1 AND mapping = ?2 AND state = 'claimed' AND claimed_by = ?3",
        )?;
        Ok(statement.query_row(params![seq, mapping, run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
    }

    pub fn remove_op(&mut self, mapping: i64, seq: i64) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
        self.tally(mapping).outbox_rows -= 1;
        Ok(())
    }

    pub fn claim(&mut self, run: RunId, mapping: i64, limit: usize, now: Instant) -> Inside<Vec<ClaimedOp>> {
        // What was postponed and is due joins the queue again, each row once; so the search below never wades through rows
        // that are not due.
        self.conn
            .prepare_cached(
                "UPDATE outbox SET not_before = 0 WHERE mapping = ?1 AND state = 'ready' AND not_before > 0
                   AND (not_before <= ?2 OR (not_before > ?3 AND not_before < ?4))",
            )?
            .execute(params![mapping, millis(now), latest_postponement(now), HELD])?;
        let mut claimed = Vec::new();
        let mut looked_at = 0;
        // What has to wait for another record is put aside on the way; the next ones may be free to go.
        while claimed.is_empty() && looked_at < LOOKED_AT {
            let rows = self.due(mapping, limit)?;
            if rows.is_empty() {
                break;
            }
            looked_at += rows.len();
            for row in rows {
                claimed.extend(self.claim_row(mapping, row)?);
            }
        }
        let seqs: Vec<i64> = claimed.iter().map(|op| op.seq).collect();
        self.conn
            .prepare_cached("UPDATE outbox SET state = 'claimed', claimed_by = ?1 WHERE seq IN (SELECT value FROM json_each(?2))")?
            .execute(params![run, json_list(&seqs)])?;
        Ok(claimed)
    }

    fn due(&mut self, mapping: i64, limit: usize) -> Inside<Vec<DueRow>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT o.seq, o.key, o.source_id, o.op, o.payload, o.with_initial, o.rewrite, o.uncertain, o.attempts, o.held,
               l.fingerprints, l.doubtful
             FROM outbox AS o INDEXED BY outbox_due LEFT JOIN ledger AS l ON l.mapping = o.mapping AND l.key = o.key
             WHERE o.mapping = ?1 AND o.state = 'ready' AND o.not_before = 0 AND o.waits = 0
               AND NOT EXISTS (SELECT 1 FROM outbox AS c WHERE c.mapping = o.mapping AND c.key = o.key AND c.state = 'claimed')
             ORDER BY o.seq LIMIT ?2",
        )?;
        let rows = statement.query_map(params![mapping, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let ledger = match row.get_ref(10)? {
                ValueRef::Null => None,
                blob => Some((Fingerprint::from_blob(blob.as_blob()?), row.get(11)?)),
            };
            Ok(DueRow {
                seq: row.get(0)?,
                key: row.get(1)?,
                source_id: row.get(2)?,
                op: row.get(3)?,
                payload: row.get_ref(4)?.as_str_or_null()?.map(Arc::from),
                with_initial: row.get(5)?,
                rewrite: row.get(6)?,
                uncertain: row.get(7)?,
                attempts: row.get(8)?,
                held: row.get(9)?,
                ledger,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a worker needs for one operation, which the caller marks as claimed; none where it has to wait for a record that it links
    /// to, or for one that links to its record.
    fn claim_row(&mut self, mapping: i64, row: DueRow) -> Inside<Option<ClaimedOp>> {
        let DueRow { seq, key, source_id, op, payload, with_initial, rewrite, uncertain, attempts, held, ledger } = row;
        let uncertain = uncertain || ledger.as_ref().is_some_and(|(_, doubtful)| *doubtful);
        let work = match (op, payload) {
            (Op::Upsert, Some(payload)) => {
                let trusted = ledger.as_ref().filter(|_| !uncertain && !rewrite).map(|(fingerprint, _)| fingerprint);
                let mut slots = Vec::new();
                let payload = Payload::from_shared(&payload, |path| {
                    // What cannot be read is asked for again below, where it is an error.
                    let known = self.slot_at(mapping, slots.len(), path).ok().flatten();
                    slots.push(known.map(|(_, slot)| *slot));
                    known.map_or_else(|| path.into(), |(known, _)| known.clone())
                })?;
                let mut fields = Vec::with_capacity(payload.fields().len());
                let mut missing = Vec::new();
                for (field, slot) in payload.fields().iter().zip(slots) {
                    let slot = match slot {
                        Some(slot) => slot,
                        None => self.slot_or_new(mapping, &field.path)?,
                    };
                    let mut value = field.value.clone();
                    let mut hash = self.key().hash(&field.path, value.get());
                    let mut differs = !trusted.is_some_and(|known| known.has(slot, hash));
                    let mut link = match &field.link {
                        Some(parent) => Some(ClaimedLink { mapping: parent.clone(), to: self.destination(parent, field.value.get())? }),
                        None => None,
                    };
                    // A record that may have to be made needs all of its links, one that is there those that changed.
                    let needed = ledger.is_none() || uncertain || (differs && (with_initial || !field.initial_only));
                    let mut later = false;
                    if let (true, Some(ClaimedLink { to: Destination::Absent { source_id }, .. }), Some(parent)) =
                        (needed, &link, &field.link)
                    {
                        match field.absent {
                            IfAbsent::Wait => missing.push((&**parent, source_id.clone())),
                            IfAbsent::Later => later = true,
                            IfAbsent::Null => {
                                value = RawValue::NULL.to_owned().into();
                                hash = self.key().hash(&field.path, value.get());
                                differs = !trusted.is_some_and(|known| known.has(slot, hash));
                                link = Some(ClaimedLink { mapping: parent.clone(), to: Destination::Nowhere });
                            }
                        }
                    }
                    fields.push(ClaimedField {
                        path: field.path.clone(),
                        value,
                        initial_only: field.initial_only,
                        create_only: field.create_only,
                        differs,
                        link,
                        later,
                        slot,
                        hash,
                        filled: field.filled,
                    });
                }
                if !missing.is_empty() {
                    self.wait_for(seq, &missing)?;
                    return Ok(None);
                }
                Work::Upsert(fields)
            }
            (Op::Upsert, None) => return Err(StoreError::Damaged { what: format!("operation {seq} has no payload") }.into()),
            (Op::Delete, _) => {
                if !held && ledger.is_some() && self.is_linked_to(mapping, &key, &source_id)? {
                    self.wait_for(seq, &[])?;
                    return Ok(None);
                }
                Work::Delete
            }
            (Op::Refetch, _) => Work::Refetch,
        };
        let kept = if op == Op::Upsert { self.kept(mapping, &source_id)? } else { Flags::NONE };
        Ok(Some(ClaimedOp { seq, key, source_id, work, with_initial, rewrite, attempts, uncertain, known: ledger.is_some(), kept }))
    }

    /// Where a link of this value leads.
    fn destination(&mut self, parent: &str, json: &str) -> Inside<Destination> {
        let Some(source_id) = parent_id(json) else { return Ok(Destination::Nowhere) };
        Ok(match self.parent_key(parent, &source_id)? {
            Some(key) => Destination::Record { source_id, key },
            None => Destination::Absent { source_id },
        })
    }
}

/// The payload when a newer upsert takes the place of an older operation.
fn coalesced(older: &Waiting, newer: &Payload, newer_source: &str) -> Inside<String> {
    match (older.op, &older.payload) {
        // Of another source record nothing is taken over: it does not own the target record any more.
        (Op::Upsert | Op::Refetch, Some(text)) if older.source_id == newer_source => {
            Ok(Payload::from_json(text)?.followed_by(newer.clone()).to_json().into_owned())
        }
        (Op::Upsert | Op::Delete | Op::Refetch, _) => Ok(newer.to_json().into_owned()),
    }
}

impl Store {
    /// Takes up to `limit` operations of a flow that are due at `now`, in the order they came, none of a record of which
    /// another operation is in some worker's hands, and none that links to a record which is not at the target: such a one is
    /// put aside until that record is written. One transaction.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn claim(&self, run: RunId, mapping: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedOp>, StoreError> {
        self.write("claim operations", |tx| {
            let id = tx.mapping(mapping)?;
            tx.claim(run, id, limit, now)
        })
    }
}
