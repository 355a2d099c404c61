//! The guard against mass changes: what would delete records, or empty fields that have a value, is held beside the outbox until
//! the whole load has been seen. Then it is released, or it needs approval.
//!
//! A wrong filter, a right taken away, or a column that the user may no longer read looks like many people's data gone at once,
//! and Dynamics 365 reports none of them as an error: a secured column that the user cannot read is `null` in every row.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Inside;
use super::fingerprint::FilledColumns;
use super::outbox::NewOp;
use super::page::Intake;
use super::store::Store;
use super::tx::{LedgerRow, Tx, mapping_id};
use super::types::millis;
use crate::store::{EmptiedField, Field, HeldCause, Judged, MassChange, MassLimits, Op, PageOutcome, Payload, StoreError, mass::WINDOW};

/// Held changes that are released in one go; more than one go is still one transaction.
const CHUNK: usize = 1000;
/// Records that are named as examples.
const EXAMPLES: i64 = 3;
/// `mass_passed.path` of deletions.
const DELETIONS: &str = "";

impl Store {
    /// The changes of a workflow that need approval, if there are any.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn mass_change(&self, mapping: &str) -> Result<Option<MassChange>, StoreError> {
        self.read("look up held changes", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => mass_change(conn, id),
            None => Ok(None),
        })
    }

    /// Approves the changes of a workflow that are held: they go to the outbox. Gives how many; none if nothing needs approval.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn approve_mass_change(&self, mapping: &str) -> Result<Option<u64>, StoreError> {
        self.write("approve held changes", |tx| {
            let Some(id) = mapping_id(tx.conn, mapping)? else { return Ok(None) };
            if mass_change(tx.conn, id)?.is_none() {
                return Ok(None);
            }
            tx.conn.execute("DELETE FROM mass_change WHERE mapping = ?1", [id])?;
            tx.forget_passed(id)?;
            Ok(Some(tx.release_held(id)?))
        })
    }

    /// Judges what is held when a round is over and records that were read again on their own may have added to it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn judge_held(&self, mapping: &str, limits: MassLimits) -> Result<Judged, StoreError> {
        if !self.read("look up held changes", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => {
                Ok(conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM held WHERE mapping = ?1)")?.query_row([id], |row| row.get(0))?)
            }
            None => Ok(false),
        })? {
            return Ok(Judged::Released(0));
        }
        self.write("judge held changes", |tx| {
            let id = tx.mapping(mapping)?;
            match mass_change(tx.conn, id)? {
                Some(change) => Ok(Judged::Held(change)),
                None => tx.judge_held(id, limits, false),
            }
        })
    }
}

/// The changes of a workflow that need approval.
pub(super) fn mass_change(conn: &Connection, mapping: i64) -> Inside<Option<MassChange>> {
    let text: Option<String> =
        conn.prepare_cached("SELECT summary FROM mass_change WHERE mapping = ?1")?.query_row([mapping], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    let mut change: MassChange = serde_json::from_str(&text)
        .map_err(|e| StoreError::Damaged { what: format!("the summary of a mass change cannot be read: {e}") })?;
    change.examples = examples(conn, mapping)?;
    Ok(Some(change))
}

fn examples(conn: &Connection, mapping: i64) -> Inside<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT source_id FROM held WHERE mapping = ?1 ORDER BY key LIMIT ?2")?;
    Ok(statement.query_map([mapping, EXAMPLES], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

type HeldRow = (String, String, HeldCause, Option<String>, bool, bool, i64);

impl Tx<'_> {
    /// Whether anything is held for a flow: asked once for each page.
    pub fn has_held(&self, mapping: i64) -> Inside<bool> {
        Ok(self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM held WHERE mapping = ?1)")?.query_row([mapping], |row| row.get(0))?)
    }

    /// What was held of a target record is no longer so: the source says something newer of it.
    pub fn drop_held(&mut self, mapping: i64, key: &str) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM held WHERE mapping = ?1 AND key = ?2")?.execute(params![mapping, key])?;
        Ok(())
    }

    /// All that was held for a flow is moot: everything is read again.
    pub fn drop_all_held(&mut self, mapping: i64) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM held WHERE mapping = ?1")?.execute([mapping])?;
        self.conn.prepare_cached("DELETE FROM mass_change WHERE mapping = ?1")?.execute([mapping])?;
        Ok(())
    }

    /// Holds the deletion of a record that was written.
    pub fn hold_delete(&mut self, intake: &mut Intake, key: &str, source_id: &str, cause: HeldCause) -> Inside<()> {
        let change_no = self.next_change()?;
        self.hold(intake, key, source_id, cause, None, false, change_no)
    }

    /// Splits an upsert of a record that was written: what would empty fields that have a value is held, the rest goes its way.
    pub fn hold_emptied(
        &mut self,
        intake: &mut Intake,
        row: &LedgerRow,
        key: &str,
        source_id: &str,
        payload: &Payload,
        with_initial: bool,
    ) -> Inside<Option<Payload>> {
        let mapping = intake.mapping;
        // Nothing is known of what such a record has.
        if row.doubtful || row.source_id != source_id {
            return Ok(None);
        }
        let mut slots = Vec::new();
        let mut rest = Vec::new();
        for field in payload.fields() {
            let written = !field.create_only && (with_initial || !field.initial_only);
            let may_lose = written && (is_empty(field.value.get()) || field.filled.is_some());
            let slot = if may_lose { self.slot(mapping, &field.path)? } else { None };
            let losses = match slot {
                Some(slot) if self.has_value(row, slot, &field.path) => self.losses(row, slot, field),
                Some(_) | None => Vec::new(),
            };
            if losses.is_empty() {
                rest.push(field.clone());
            }
            slots.extend(losses);
        }
        if slots.is_empty() {
            return Ok(None);
        }
        let change_no = self.next_change()?;
        // The whole of it: should the record be gone at the target when it is released, it is created with all fields.
        self.hold(intake, key, source_id, HeldCause::Emptied, Some((payload, &slots)), with_initial, change_no)?;
        Ok(Some(Payload::from_fields(rest)))
    }

    /// What a field would lose that has a value: the value, or source columns that it came from.
    fn losses(&self, row: &LedgerRow, slot: u32, field: &Field) -> Vec<u32> {
        let json = field.value.get();
        if is_empty(json) {
            return vec![slot];
        }
        let lost = row.filled.lost(slot, field.filled);
        if lost == 0 || row.fingerprint.has(slot, self.key().hash(&field.path, json)) {
            return Vec::new();
        }
        (0..COLUMN_BITS).filter(|bit| lost & (1 << bit) != 0).map(|bit| slot | (bit + 1) << LOSS_SHIFT).collect()
    }

    /// Whether the last write to a path left a value there.
    fn has_value(&self, row: &LedgerRow, slot: u32, path: &str) -> bool {
        let key = self.key();
        row.fingerprint.at(slot).is_some_and(|hash| EMPTY.iter().all(|empty| key.hash(path, empty) != hash))
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn hold(
        &mut self,
        intake: &mut Intake,
        key: &str,
        source_id: &str,
        cause: HeldCause,
        emptied: Option<(&Payload, &[u32])>,
        with_initial: bool,
        change_no: i64,
    ) -> Inside<()> {
        // Each is a slot, with the number of the lost column in its highest byte.
        let slots: Option<Vec<u8>> = emptied.map(|(_, slots)| slots.iter().flat_map(|slot| slot.to_le_bytes()).collect());
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO held (mapping, key, source_id, cause, payload, slots, with_initial, rewrite, generation, change_no, held_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                intake.mapping,
                key,
                source_id,
                cause,
                emptied.map(|(payload, _)| payload.to_json()),
                slots,
                with_initial,
                intake.rewrite,
                intake.generation,
                change_no,
                millis(self.now)
            ])?;
        intake.has_held = true;
        Ok(())
    }

    /// Judges all that is held for a flow, together with what passed before within the window: releases it, or notes that it needs
    /// approval. `source_empty`: it is the end of a full load that returned no record.
    pub fn judge_held(&mut self, mapping: i64, limits: MassLimits, source_empty: bool) -> Inside<Judged> {
        let mut passed = self.passed(mapping)?;
        let earlier = passed.remove(DELETIONS).unwrap_or(0);
        let mut change = MassChange { source_empty, known: self.ledger_rows(mapping)?, earlier, ..MassChange::default() };
        {
            let mut statement = self.conn.prepare_cached("SELECT cause, COUNT(*) FROM held WHERE mapping = ?1 GROUP BY cause")?;
            let mut rows = statement.query([mapping])?;
            while let Some(row) = rows.next()? {
                let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
                match row.get(0)? {
                    HeldCause::Deleted => change.deleted = count,
                    HeldCause::Filtered => change.filtered = count,
                    HeldCause::Unseen => change.unseen = count,
                    HeldCause::Emptied => {}
                }
            }
        }
        let emptied = self.emptied_counts(mapping)?;
        change.emptied = self.emptied_fields(mapping, &emptied, &passed, limits)?;
        let deletions = change.deletions();
        // Deleted records are no longer in the ledger, but for those whose deletion is still queued.
        let before = change.known + earlier.saturating_sub(self.queued_deletes(mapping)?);
        let deletes = deletions > 0 && (limits.are_exceeded_by(deletions + earlier, before) || (source_empty && change.unseen > 0));
        if !deletes && change.emptied.is_empty() {
            if limits.approve_all() {
                self.forget_passed(mapping)?;
            } else {
                self.note_passed(mapping, DELETIONS, deletions)?;
                for (loss, (path, records)) in &emptied {
                    self.note_passed(mapping, &passed_path(*loss, path), *records)?;
                }
            }
            return Ok(Judged::Released(self.release_held(mapping)?));
        }
        self.conn.execute(
            "INSERT OR REPLACE INTO mass_change (mapping, since, summary) VALUES (?1, ?2, ?3)",
            params![mapping, millis(self.now), serde_json::to_string(&change).unwrap_or_default()],
        )?;
        // Not kept with the counts: a person who is forgotten meanwhile must not stay in them.
        change.examples = examples(self.conn, mapping)?;
        Ok(Judged::Held(change))
    }

    /// What passed within the window, by path. Older rows go.
    fn passed(&mut self, mapping: i64) -> Inside<BTreeMap<String, u64>> {
        let now = millis(self.now);
        // A row of the future was written before the clock was set back; it would count for too long.
        self.conn.prepare_cached("DELETE FROM mass_passed WHERE mapping = ?1 AND (at <= ?2 OR at > ?3)")?.execute(params![
            mapping,
            millis(self.now - WINDOW),
            now
        ])?;
        let mut statement = self.conn.prepare_cached("SELECT path, sum(records) FROM mass_passed WHERE mapping = ?1 GROUP BY path")?;
        let rows = statement.query_map([mapping], |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn note_passed(&mut self, mapping: i64, path: &str, records: u64) -> Inside<()> {
        if records > 0 {
            self.conn
                .prepare_cached(
                    "INSERT INTO mass_passed (mapping, path, at, records) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (mapping, path, at) DO UPDATE SET records = records + excluded.records",
                )?
                .execute(params![mapping, path, millis(self.now), i64::try_from(records).unwrap_or(i64::MAX)])?;
        }
        Ok(())
    }

    /// A person has approved what the flow does: counting begins again.
    pub fn forget_passed(&mut self, mapping: i64) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM mass_passed WHERE mapping = ?1")?.execute([mapping])?;
        Ok(())
    }

    fn queued_deletes(&self, mapping: i64) -> Inside<u64> {
        let mut statement = self.conn.prepare_cached("SELECT COUNT(*) FROM outbox WHERE mapping = ?1 AND op = 'delete'")?;
        Ok(u64::try_from(statement.query_row([mapping], |row| row.get::<_, i64>(0))?).unwrap_or(0))
    }

    fn ledger_rows(&mut self, mapping: i64) -> Inside<u64> {
        let before: i64 =
            self.conn.prepare_cached("SELECT ledger_rows FROM mapping WHERE id = ?1")?.query_row([mapping], |row| row.get(0))?;
        Ok(u64::try_from(before + self.tally(mapping).ledger_rows).unwrap_or(0))
    }

    /// In how many held records each field would lose its value or a source column: the loss, the field's path, records.
    fn emptied_counts(&mut self, mapping: i64) -> Inside<BTreeMap<u32, (String, u64)>> {
        let mut counts: BTreeMap<u32, (String, u64)> = BTreeMap::new();
        let mut statement = self.conn.prepare_cached("SELECT slots FROM held WHERE mapping = ?1 AND cause = 'emptied'")?;
        let mut rows = statement.query([mapping])?;
        while let Some(row) = rows.next()? {
            for slot in row.get_ref(0)?.as_blob().unwrap_or_default().as_chunks::<4>().0 {
                counts.entry(u32::from_le_bytes(*slot)).or_default().1 += 1;
            }
        }
        let mut statement = self.conn.prepare_cached("SELECT path FROM target_path WHERE mapping = ?1 AND slot = ?2")?;
        for (loss, (path, _)) in &mut counts {
            *path = statement.query_row(params![mapping, slot_of(*loss)], |row| row.get(0))?;
        }
        Ok(counts)
    }

    /// The fields that would become empty in too many of the records that have a value in them. Reads the flow's ledger once if
    /// that is possible at all.
    fn emptied_fields(
        &mut self,
        mapping: i64,
        counts: &BTreeMap<u32, (String, u64)>,
        passed: &BTreeMap<String, u64>,
        limits: MassLimits,
    ) -> Inside<Vec<EmptiedField>> {
        let key = self.key();
        let mut fields: Vec<(u32, EmptiedField, [u64; 2])> = Vec::new();
        for (loss, (path, records)) in counts {
            let earlier = passed.get(&passed_path(*loss, path)).copied().unwrap_or(0);
            if records + earlier >= limits.least() {
                let empty = EMPTY.map(|empty| key.hash(path, empty));
                let falls_back = column_of(*loss).is_some();
                fields.push((*loss, EmptiedField { path: path.clone(), records: *records, known: 0, earlier, falls_back }, empty));
            }
        }
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        {
            let mut statement = self.conn.prepare_cached("SELECT fingerprints, filled FROM ledger WHERE mapping = ?1 AND doubtful = 0")?;
            let mut rows = statement.query([mapping])?;
            while let Some(row) = rows.next()? {
                let hashes = row.get_ref(0)?.as_blob().unwrap_or_default().as_chunks::<8>().0;
                let filled = FilledColumns::from_blob(row.get_ref(1)?.as_blob().unwrap_or_default());
                for (loss, field, empty) in &mut fields {
                    let slot = slot_of(*loss);
                    let hash = hashes.get(slot as usize).map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    let from_column = column_of(*loss).is_none_or(|bit| filled.at(slot).is_some_and(|bits| bits & (1 << bit) != 0));
                    field.known += u64::from(hash != 0 && !empty.contains(&hash) && from_column);
                }
            }
        }
        let exceeded = |field: &EmptiedField| limits.are_exceeded_by(field.records + field.earlier, field.known + field.earlier);
        Ok(fields.into_iter().map(|(_, field, _)| field).filter(exceeded).collect())
    }

    /// Puts all that is held for a flow into the outbox.
    pub fn release_held(&mut self, mapping: i64) -> Inside<u64> {
        let mut released = 0;
        loop {
            let rows: Vec<HeldRow> = {
                let mut statement = self.conn.prepare_cached(&format!(
                    "SELECT key, source_id, cause, payload, with_initial, rewrite, generation FROM held WHERE mapping = ?1 LIMIT {CHUNK}"
                ))?;
                let rows = statement.query_map([mapping], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
                })?;
                rows.collect::<Result<_, _>>()?
            };
            if rows.is_empty() {
                return Ok(released);
            }
            for (key, source_id, cause, payload, with_initial, rewrite, generation) in rows {
                self.drop_held(mapping, &key)?;
                // Another source record has taken the key over since.
                if self.newest_owner(mapping, &key)?.is_some_and(|owner| owner != source_id) {
                    continue;
                }
                let payload = payload.as_deref().map(Payload::from_json).transpose()?;
                let op = if cause == HeldCause::Emptied { Op::Upsert } else { Op::Delete };
                let change_no = self.next_change()?;
                self.enqueue(
                    mapping,
                    &NewOp {
                        key: &key,
                        source_id: &source_id,
                        op,
                        payload: payload.as_ref(),
                        with_initial,
                        rewrite,
                        generation,
                        change_no,
                    },
                )?;
                released += 1;
            }
        }
    }

    /// The end of a round: judges what is held.
    pub fn end_round(&mut self, mapping: i64, limits: MassLimits, source_empty: bool, outcome: &mut PageOutcome) -> Inside<()> {
        if self.has_held(mapping)? {
            match self.judge_held(mapping, limits, source_empty)? {
                Judged::Released(_) => {}
                Judged::Held(change) => outcome.mass_change = Some(change),
            }
        }
        Ok(())
    }
}

/// Source columns of a field that are distinguished.
const COLUMN_BITS: u32 = 7;
/// A loss is a slot, with the number of the lost source column, from 1, from this bit on; 0 if the field becomes empty.
const LOSS_SHIFT: u32 = 24;

fn slot_of(loss: u32) -> u32 {
    loss & ((1 << LOSS_SHIFT) - 1)
}

/// The lost source column, from 0; none if the field becomes empty.
fn column_of(loss: u32) -> Option<u32> {
    (loss >> LOSS_SHIFT).checked_sub(1)
}

/// `mass_passed.path` of a loss.
fn passed_path(loss: u32, path: &str) -> String {
    column_of(loss).map_or_else(|| path.to_owned(), |column| format!("{path}\u{1f}{}", column + 1))
}

/// JSON texts of an empty value.
const EMPTY: [&str; 2] = ["null", "\"\""];

fn is_empty(json: &str) -> bool {
    EMPTY.contains(&json)
}
