//! Records that were read again: what a claimed refetch has read and evaluated is stored like a page of one record.

use rusqlite::{OptionalExtension, params};

use super::cursor::cursor_of;
use super::error::Inside;
use super::outbox::refetch_key;
use super::page::Intake;
use super::store::Store;
use super::tx::Tx;
use crate::store::{Change, PageOutcome, PageTimes, Payload, Phase, RefetchOutcome, RunId, StoreError};

/// `outbox.superseded`: a page has brought a newer state of the record than a claimed refetch may have read.
const NEWER_STATE: i64 = 1;
/// `outbox.superseded`: a full load has ended without the record; what a claimed refetch read may be from before that.
pub(super) const READ_AGAIN: i64 = 2;

impl Store {
    /// Hands in what a claimed refetch has read and evaluated.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[cfg(any(test, feature = "internals"))]
    pub fn resolve_refetch(&self, run: RunId, mapping: &str, seq: i64, change: Change) -> Result<RefetchOutcome, StoreError> {
        self.resolve_refetch_guarded(run, mapping, seq, change, PageTimes::default(), false)
    }

    /// As [`Store::resolve_refetch`]. `times`: when the record was evaluated, and when it is to be evaluated again. With `guarded`, what may be part of a mass
    /// change is held until [`Store::judge_held`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn resolve_refetch_guarded(
        &self,
        run: RunId,
        mapping: &str,
        seq: i64,
        change: Change,
        times: PageTimes,
        guarded: bool,
    ) -> Result<RefetchOutcome, StoreError> {
        self.write("store a refetched record", |tx| {
            let mapping = tx.mapping(mapping)?;
            type Row = (String, String, bool, i64, bool, bool, i64, Option<String>);
            let row: Option<Row> = tx
                .conn
                .prepare_cached(
                    "SELECT key, source_id, uncertain, superseded, with_initial, rewrite, generation, waited FROM outbox
                     WHERE seq = ?1 AND mapping = ?2 AND op = 'refetch' AND state = 'claimed' AND claimed_by = ?3",
                )?
                .query_row(params![seq, mapping, run], |row| {
                    let (rewrite, generation, waited) = (row.get(5)?, row.get(6)?, row.get(7)?);
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, rewrite, generation, waited))
                })
                .optional()?;
            let Some((key, source_id, uncertain, superseded, with_initial, rewrite, generation, waited)) = row else {
                return Ok(RefetchOutcome::Stale);
            };
            if uncertain {
                // It took the place of an operation whose answer was not seen. That doubt must outlive this row, whatever
                // becomes of the record now.
                tx.doubt_ledger(mapping, &key, &source_id, generation)?;
            }
            if superseded == READ_AGAIN {
                tx.requeue(seq, false, None)?;
                return Ok(RefetchOutcome::Superseded);
            }
            if superseded == NEWER_STATE && waited.is_some() && tx.is_waiting(mapping, &key)? {
                // The newer state takes over the values of fields that it leaves out.
                tx.requeue(seq, false, None)?;
                return Ok(RefetchOutcome::Superseded);
            }
            tx.remove_op(mapping, seq)?;
            if superseded == NEWER_STATE {
                return Ok(RefetchOutcome::Superseded);
            }
            let change = match (change, waited) {
                (Change::Upsert { source_id: id, key: target, payload }, Some(waited)) if id == source_id && target == key => {
                    let payload = Payload::from_json(&waited)?.followed_by(payload);
                    Change::Upsert { source_id: id, key: target, payload }
                }
                (Change::Rekeyed { source_id: id, key: target, payload, remove }, Some(waited)) if id == source_id && target == key => {
                    let payload = Payload::from_json(&waited)?.followed_by(payload);
                    Change::Rekeyed { source_id: id, key: target, payload, remove }
                }
                (change, _) => change,
            };
            let cursor = cursor_of(tx.conn, mapping)?;
            let full = cursor.as_ref().is_some_and(|cursor| cursor.phase == Phase::Full);
            let generation = cursor.as_ref().map_or(generation, |cursor| cursor.generation);
            let mut intake = Intake {
                run,
                mapping,
                generation,
                full,
                with_initial,
                rewrite,
                guarded,
                has_held: tx.has_held(mapping)?,
                has_refetches: true,
                has_waits: true,
                has_forgotten: true,
                has_due: true,
                seen: Vec::new(),
            };
            let mut outcome = PageOutcome { cursor, ..PageOutcome::default() };
            let due = times.due.get(change.source_id()).copied();
            tx.store_change(&mut intake, change, due, &mut outcome)?;
            tx.mark_seen(&mut intake)?;
            tx.note_page_uses(&intake, &times)?;
            outcome.backlog = tx.backlog(mapping)?;
            Ok(RefetchOutcome::Applied(Box::new(outcome)))
        })
    }
}

impl Tx<'_> {
    /// A page's state of a record is newer than what a refetch, under way or waiting, was asked for.
    pub(super) fn supersede_refetch(&mut self, mapping: i64, source_id: &str) -> Inside<()> {
        self.conn
            .prepare_cached(
                "UPDATE outbox SET superseded = ?3 WHERE mapping = ?1 AND source_id = ?2 AND op = 'refetch' AND state = 'claimed'",
            )?
            .execute(params![mapping, source_id, NEWER_STATE])?;
        // One that waits under the record's key coalesces like any other; one without a key would stay.
        let removed = self
            .conn
            .prepare_cached("DELETE FROM outbox WHERE mapping = ?1 AND key = ?2 AND op = 'refetch' AND state = 'ready'")?
            .execute(params![mapping, refetch_key(None, source_id)])?;
        self.tally(mapping).outbox_rows -= i64::try_from(removed).unwrap_or(0);
        Ok(())
    }
}
