//! Storing the answers to claimed operations: outbox, ledger and dead letters, in one transaction for a whole batch.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use super::dead_letter::NewDeadLetter;
use super::error::Inside;
use super::fingerprint::{FilledColumns, Fingerprint};
use super::outbox::is_keyless;
use super::store::Store;
use super::tx::{LedgerRow, Tx, json_list, ledger_columns};
use super::types::millis;
use crate::store::{Op, RunId, SettleOutcome, Settled, Settlement, StoreError};

/// What a write has left at the target.
struct Write {
    created: bool,
    hashes: Vec<(u32, u64)>,
    filled: Vec<(u32, Option<u8>)>,
}

struct Row {
    seq: i64,
    mapping: i64,
    key: String,
    source_id: String,
    op: Op,
    with_initial: bool,
    uncertain: bool,
    generation: i64,
    change_no: i64,
    attempts: u32,
}

impl Store {
    /// Stores answers: each operation leaves the outbox or waits again, the ledger has what was written, and a success
    /// clears the record's dead letter unless that is of a newer state. All of the batch or nothing.
    ///
    /// # Errors
    /// [`StoreError::Misfit`] when an answer does not fit its operation; when the file cannot be written.
    pub fn settle(&self, run: RunId, settlements: Vec<Settlement>) -> Result<SettleOutcome, StoreError> {
        self.write("store answers", |tx| {
            let mut outcome = SettleOutcome::default();
            let mut writes = Vec::new();
            for Settlement { seq, result } in settlements {
                match result {
                    Settled::Written { created, hashes, filled, links, later }
                        if links.is_empty() && later.is_empty() && !tx.has_links()? && !tx.has_waits()? =>
                    {
                        writes.push((seq, Write { created, hashes, filled }));
                    }
                    // What it changes may concern the records before and after it, so the order is kept.
                    result => {
                        tx.settle_writes(run, std::mem::take(&mut writes), &mut outcome)?;
                        match tx.claimed_row(run, seq)? {
                            Some(row) => tx.settle(run, &row, result, &mut outcome)?,
                            None => outcome.stale += 1,
                        }
                    }
                }
            }
            tx.settle_writes(run, writes, &mut outcome)?;
            Ok(outcome)
        })
    }
}

impl Store {
    /// Notes that the record of a claimed operation, which the ledger has, is about to be created again: somebody deleted it at the
    /// target, and the service emptied the links that led to it. From now on the ledger is not trusted for it, and the write that
    /// brings it back has those links written again, also when the answer to the create is never seen. Gives whether the
    /// operation is in the run's hands.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_remade(&self, run: RunId, seq: i64) -> Result<bool, StoreError> {
        self.write("note that a record is created again", |tx| {
            let Some(row) = tx.claimed_row(run, seq)? else { return Ok(false) };
            tx.conn
                .prepare_cached("UPDATE ledger SET doubtful = 1, remade = 1, fingerprints = x'' WHERE mapping = ?1 AND key = ?2")?
                .execute(params![row.mapping, row.key])?;
            Ok(true)
        })
    }
}

impl Tx<'_> {
    /// Stores writes, each of another record: what [`Tx::settle`] does for one, with one statement for all of them where that is
    /// possible.
    fn settle_writes(&mut self, run: RunId, writes: Vec<(i64, Write)>, outcome: &mut SettleOutcome) -> Inside<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let seqs = json_list(&writes.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
        let mut rows = self.claimed_rows(run, &seqs)?;
        let mut settled = Vec::with_capacity(writes.len());
        for (seq, write) in writes {
            // An answer that comes twice finds no row the second time.
            let Some((row, old)) = rows.remove(&seq) else {
                outcome.stale += 1;
                continue;
            };
            if row.op != Op::Upsert {
                return Err(misfit(seq, row.op, "written").into());
            }
            self.note_written(&row, old, &write, outcome)?;
            self.tally(row.mapping).outbox_rows -= 1;
            settled.push(seq);
        }
        self.conn.prepare_cached("DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?1))")?.execute([json_list(&settled)])?;
        Ok(())
    }

    /// The claimed operations among these, each with what the ledger has of its record.
    fn claimed_rows(&self, run: RunId, seqs: &str) -> Inside<HashMap<i64, (Row, Option<LedgerRow>)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT o.mapping, o.key, o.source_id, o.op, o.with_initial, o.uncertain, o.generation, o.change_no, o.attempts, o.seq,
               l.source_id, l.fingerprints, l.doubtful, l.generation, l.remade, l.filled
             FROM json_each(?1) AS j CROSS JOIN outbox AS o ON o.seq = j.value LEFT JOIN ledger AS l ON l.mapping = o.mapping AND l.key = o.key
             WHERE o.state = 'claimed' AND o.claimed_by = ?2",
        )?;
        let rows = statement.query_map(params![seqs, run], |row| {
            let ledger = if row.get_ref(10)? == ValueRef::Null { None } else { Some(ledger_columns(row, 10)?) };
            let seq = row.get(9)?;
            Ok((seq, (claimed_columns(row, seq)?, ledger)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn claimed_row(&self, run: RunId, seq: i64) -> Inside<Option<Row>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT mapping, key, source_id, op, with_initial, uncertain, generation, change_no, attempts FROM outbox
             WHERE seq = ?1 AND state = 'claimed' AND claimed_by = ?2",
        )?;
        Ok(statement.query_row(params![seq, run], |row| claimed_columns(row, seq)).optional()?)
    }

    fn settle(&mut self, run: RunId, row: &Row, result: Settled, outcome: &mut SettleOutcome) -> Inside<()> {
        match (result, row.op) {
            (Settled::Written { created, hashes, filled, links, later }, Op::Upsert) => {
                let old = self.ledger_row(row.mapping, &row.key)?;
                let appeared = self.note_written(row, old, &Write { created, hashes, filled }, outcome)?;
                self.note_links(row.mapping, &row.key, &links)?;
                self.release(row.mapping, &row.source_id)?;
                if appeared {
                    self.link_again(row.mapping, &row.source_id)?;
                }
                self.remove_op(row.mapping, row.seq)?;
                self.link_later(row.mapping, (row.key.as_str(), row.source_id.as_str()), (row.generation, row.with_initial), &later)?;
            }
            (Settled::Deleted, Op::Delete) => {
                let parents = self.links_of(row.mapping, &row.key)?;
                let gone = self
                    .conn
                    .prepare_cached("DELETE FROM ledger WHERE mapping = ?1 AND key = ?2")?
                    .execute(params![row.mapping, row.key])?;
                self.tally(row.mapping).ledger_rows -= i64::try_from(gone).unwrap_or(0);
                self.release_deletes(&parents)?;
                self.remove_op(row.mapping, row.seq)?;
                outcome.dead_letters_cleared += self.remove_dead_letter(row.mapping, &row.source_id, row.change_no)?;
                outcome.deleted += 1;
            }
            (Settled::Failed { failure, uncertain }, op) => {
                // Of a refetch only what it has taken the place of can be in doubt: it reads, and writes nothing.
                if row.uncertain || (uncertain && op != Op::Refetch) {
                    self.doubt_ledger(row.mapping, &row.key, &row.source_id, row.generation)?;
                }
                let key = Some(row.key.as_str()).filter(|key| !is_keyless(key));
                self.put_dead_letter(&NewDeadLetter {
                    mapping: row.mapping,
                    key,
                    source_id: &row.source_id,
                    operation: op,
                    failure: &failure,
                    run,
                    attempts: row.attempts.saturating_add(1),
                    with_initial: row.with_initial,
                    change_no: row.change_no,
                    generation: row.generation,
                })?;
                self.remove_op(row.mapping, row.seq)?;
                if op == Op::Delete {
                    // It is still there to be linked to.
                    self.release(row.mapping, &row.source_id)?;
                }
                outcome.failed += 1;
            }
            (Settled::Retry { not_before, error, uncertain }, _) => {
                self.requeue(row.seq, uncertain, Some((not_before, &error)))?;
                outcome.retried += 1;
            }
            (Settled::Unlinked { parent, parent_id, gone }, Op::Upsert) => {
                if gone {
                    self.write_again(&parent, &parent_id)?;
                }
                // The worker may have found that this record has to be created again: then all of its links are needed, and the
                // next claim must know.
                self.conn
                    .prepare_cached("UPDATE ledger SET doubtful = 1, fingerprints = x'' WHERE mapping = ?1 AND key = ?2")?
                    .execute(params![row.mapping, row.key])?;
                self.requeue(row.seq, false, None)?;
                outcome.released += 1;
            }
            (Settled::Released, _) => {
                self.requeue(row.seq, false, None)?;
                outcome.released += 1;
            }
            (Settled::Written { .. }, op @ (Op::Delete | Op::Refetch)) => return Err(misfit(row.seq, op, "written").into()),
            (Settled::Deleted, op @ (Op::Upsert | Op::Refetch)) => return Err(misfit(row.seq, op, "deleted").into()),
            (Settled::Unlinked { .. }, op @ (Op::Delete | Op::Refetch)) => return Err(misfit(row.seq, op, "unlinked").into()),
        }
        Ok(())
    }

    /// Notes a write of a record: in the ledger, what was kept for it, its dead letter, the counts. Gives what [`Tx::write_ledger`] gives.
    fn note_written(&mut self, row: &Row, old: Option<LedgerRow>, write: &Write, outcome: &mut SettleOutcome) -> Inside<bool> {
        let is_new = old.is_none();
        let appeared = self.write_ledger(row, old, write.created, &write.hashes, &write.filled)?;
        self.spend_kept(row.mapping, &row.source_id)?;
        // A profile whose key is not the contact's id does not belong to opt-outs.
        if (write.created || is_new) && row.key == row.source_id {
            self.note_profile(row.mapping, &row.source_id, write.created)?;
        }
        outcome.dead_letters_cleared += self.remove_dead_letter(row.mapping, &row.source_id, row.change_no)?;
        if write.created {
            outcome.created += 1;
        } else {
            outcome.updated += 1;
        }
        Ok(appeared)
    }

    /// Writes what the target record has now; `old` is what the ledger has of it. Gives whether the record may have come into being by
    /// this write, or by an earlier one whose answer was not seen: then links that led to its predecessor are empty.
    fn write_ledger(
        &mut self,
        row: &Row,
        old: Option<LedgerRow>,
        created: bool,
        hashes: &[(u32, u64)],
        filled: &[(u32, Option<u8>)],
    ) -> Inside<bool> {
        let is_new = old.is_none();
        let appeared = created || old.as_ref().is_none_or(|row| row.remade);
        let (mut fingerprint, mut columns, generation) = match old {
            // A partial write: the paths it left out keep what they had. Not so if that is not certain to be there:
            // a record made just now, an unseen answer, another source record's values.
            Some(old) => {
                let keep = !created && !row.uncertain && !old.doubtful && old.source_id == row.source_id;
                let generation = old.generation.max(row.generation);
                if keep {
                    (old.fingerprint, old.filled, generation)
                } else {
                    (Fingerprint::default(), FilledColumns::default(), generation)
                }
            }
            None => (Fingerprint::default(), FilledColumns::default(), row.generation),
        };
        for (slot, hash) in hashes {
            fingerprint.write(*slot, *hash);
        }
        for (slot, bits) in filled {
            columns.write(*slot, *bits);
        }
        self.conn
            .prepare_cached(
                "INSERT INTO ledger (mapping, key, source_id, fingerprints, doubtful, generation, written_at, filled)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)
                 ON CONFLICT (mapping, key) DO UPDATE SET source_id = excluded.source_id, fingerprints = excluded.fingerprints,
                   filled = excluded.filled, doubtful = 0, remade = 0, generation = excluded.generation, written_at = excluded.written_at",
            )?
            .execute(params![
                row.mapping,
                row.key,
                row.source_id,
                fingerprint.to_blob(),
                generation,
                millis(self.now),
                columns.as_blob()
            ])?;
        self.tally(row.mapping).ledger_rows += i64::from(is_new);
        Ok(appeared)
    }

    /// Something may have been written whose answer was not seen, and no one will check any more: from now on the ledger says
    /// of this record only that it may exist, so that the next change writes all fields and a deletion finds it.
    pub fn doubt_ledger(&mut self, mapping: i64, key: &str, source_id: &str, generation: i64) -> Inside<()> {
        let known = self
            .conn
            .prepare_cached("UPDATE ledger SET doubtful = 1, fingerprints = x'' WHERE mapping = ?1 AND key = ?2")?
            .execute(params![mapping, key])?;
        if known == 0 {
            self.conn
                .prepare_cached(
                    // It may have been created by what was given up, so what links to it is linked again once it is there.
                    "INSERT INTO ledger (mapping, key, source_id, fingerprints, doubtful, remade, generation, written_at)
                     VALUES (?1, ?2, ?3, x'', 1, 1, ?4, ?5)",
                )?
                .execute(params![mapping, key, source_id, generation, millis(self.now)])?;
            self.tally(mapping).ledger_rows += 1;
        }
        Ok(())
    }
}

/// Reads the columns of an operation in the order of [`Row`], without `seq`.
fn claimed_columns(row: &rusqlite::Row<'_>, seq: i64) -> rusqlite::Result<Row> {
    Ok(Row {
        seq,
        mapping: row.get(0)?,
        key: row.get(1)?,
        source_id: row.get(2)?,
        op: row.get(3)?,
        with_initial: row.get(4)?,
        uncertain: row.get(5)?,
        generation: row.get(6)?,
        change_no: row.get(7)?,
        attempts: row.get(8)?,
    })
}

fn misfit(seq: i64, op: Op, result: &'static str) -> StoreError {
    StoreError::Misfit { seq, op: op.as_str(), result }
}
