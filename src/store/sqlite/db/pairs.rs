//! Pairs of records that are kept in step both ways, and what is to be looked at.
//!
//! A pair waits in the outbox as a `refetch` under its anchor, the id by which it was met first. So it waits once however often it is
//! reported, is claimed, postponed, given back and counted as any other operation, and `dead-letters retry` works as for records.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::dead_letter::NewDeadLetter;
use super::error::Inside;
use super::fingerprint::Fingerprint;
use super::outbox::NewOp;
use super::store::Store;
use super::tx::{Tx, load_slots, mapping_id};
use super::types::{instant, millis};
use crate::store::{
    ClaimedPair, Fingerprinter, Joined, Op, Pair, PairEnd, PairIntake, PairMark, PairNotice, PairSide, PairsStatus, RunId, StoreError,
};
use crate::time::Instant;

impl PairSide {
    fn bit(self) -> i64 {
        match self {
            PairSide::Left => 1,
            PairSide::Right => 2,
        }
    }

    fn id_column(self) -> &'static str {
        match self {
            PairSide::Left => "left_id",
            PairSide::Right => "right_id",
        }
    }
}

const BOTH: i64 = 3;

/// Where readings are kept: a table with `mapping`, `plan` and `link`, and its column that names what is read.
pub(super) struct Readings {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
}

/// The readings of the two sides.
const SIDES: Readings = Readings { table: "pair_cursor", column: "side" };

/// The pairs of a mapping; `None` if neither of its sides has been read.
pub(super) fn pairs_status(conn: &Connection, mapping: i64) -> Inside<Option<PairsStatus>> {
    let read: bool =
        conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM pair_cursor WHERE mapping = ?1)")?.query_row([mapping], |row| row.get(0))?;
    if !read {
        return Ok(None);
    }
    let count = "SELECT COUNT(*), COUNT(left_id IS NOT NULL AND right_id IS NOT NULL OR NULL) FROM pair WHERE mapping = ?1";
    let (all, linked): (i64, i64) = conn.prepare_cached(count)?.query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Some(PairsStatus { linked: linked.unsigned_abs(), single: (all - linked).unsigned_abs() }))
}

const COLUMNS: &str = "id, left_id, right_id, left_version, right_version, look | looking, create_until, left_prints, right_prints,
  left_sent, right_sent";

/// The fingerprints of a row by slot: left, right, sent to the left, sent to the right.
type Prints = [Fingerprint; 4];

fn from_row(row: &Row<'_>) -> rusqlite::Result<(Pair, Prints)> {
    let look: i64 = row.get(5)?;
    let pair = Pair {
        number: row.get(0)?,
        left: row.get(1)?,
        right: row.get(2)?,
        left_version: row.get(3)?,
        right_version: row.get(4)?,
        left_prints: Vec::new(),
        right_prints: Vec::new(),
        left_sent: Vec::new(),
        right_sent: Vec::new(),
        look_left: look & PairSide::Left.bit() != 0,
        look_right: look & PairSide::Right.bit() != 0,
        create_until: row.get::<_, Option<i64>>(6)?.map(instant),
    };
    let print = |column: usize| -> rusqlite::Result<Fingerprint> { Ok(Fingerprint::from_blob(row.get_ref(column)?.as_blob()?)) };
    Ok((pair, [print(7)?, print(8)?, print(9)?, print(10)?]))
}

/// A pair with its fingerprints in the order of these fields.
fn with_fields(conn: &Connection, mapping: i64, fields: &[String], (pair, prints): (Pair, Prints)) -> Inside<Pair> {
    let slots = load_slots(conn, mapping)?;
    let [left_prints, right_prints, left_sent, right_sent] =
        prints.map(|stored| fields.iter().map(|field| slots.get(field.as_str()).and_then(|slot| stored.at(*slot))).collect());
    Ok(Pair { left_prints, right_prints, left_sent, right_sent, ..pair })
}

fn pair_where(conn: &Connection, condition: &str, mapping: i64, value: &str) -> Inside<Option<(Pair, Prints)>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pair WHERE mapping = ?1 AND {condition} = ?2"))?;
    Ok(statement.query_row(params![mapping, value], from_row).optional()?)
}

impl Store {
    /// What makes fingerprints that pairs are compared by.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fingerprinter(&self) -> Result<Fingerprinter, StoreError> {
        self.read("read its key", |_, key| Ok(Fingerprinter(*key)))
    }

    /// The position of the reading of a side. If the plan is another one than before, it begins again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pair_cursor(&self, flow: &str, side: PairSide, plan: &str) -> Result<Option<String>, StoreError> {
        self.write("begin to read a side", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.begin_reading(&SIDES, mapping, &side, plan)
        })
    }

    /// Stores what a side reported, and how far it was read. A reported pair is queued once.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the page was read from another place; when the file cannot be written.
    pub fn take_pairs(
        &self,
        flow: &str,
        side: PairSide,
        notices: &[PairNotice],
        mark: Option<&PairMark>,
    ) -> Result<PairIntake, StoreError> {
        self.write("store notices of a side", |tx| {
            let mapping = tx.mapping(flow)?;
            if let Some(mark) = mark
                && !tx.advance_reading(&SIDES, mapping, &side, mark)?
            {
                let detail = format!("another page of the {side} side was committed");
                return Err(StoreError::CursorMoved { mapping: flow.to_owned(), detail }.into());
            }
            let mut intake = PairIntake::default();
            for notice in notices {
                tx.take_pair(mapping, side, notice, &mut intake)?;
            }
            intake.backlog = tx.backlog_of(mapping)?;
            Ok(intake)
        })
    }

    /// The pair of a record.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn pair_of(&self, flow: &str, side: PairSide, id: &str, fields: &[String]) -> Result<Option<Pair>, StoreError> {
        self.read("read a pair", |conn, _| {
            let Some(mapping) = mapping_id(conn, flow)? else { return Ok(None) };
            let found = pair_where(conn, side.id_column(), mapping, id)?;
            found.map(|row| with_fields(conn, mapping, fields, row)).transpose()
        })
    }

    /// Takes up to `limit` pairs into a run's hands that are due at `now`. A pair without a notice is read on both sides.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn claim_pairs(
        &self,
        run: RunId,
        flow: &str,
        fields: &[String],
        limit: usize,
        now: Instant,
    ) -> Result<Vec<ClaimedPair>, StoreError> {
        let ops = self.claim(run, flow, limit, now)?;
        self.write("claim pairs", |tx| {
            let mapping = tx.mapping(flow)?;
            let mut claimed = Vec::with_capacity(ops.len());
            for op in ops {
                tx.conn
                    .prepare_cached(
                        "UPDATE pair SET looking = CASE WHEN look | looking = 0 THEN ?3 ELSE look | looking END, look = 0
                         WHERE mapping = ?1 AND anchor = ?2",
                    )?
                    .execute(params![mapping, op.source_id, BOTH])?;
                let pair = pair_where(tx.conn, "anchor", mapping, &op.source_id)?;
                let pair = pair.map(|row| with_fields(tx.conn, mapping, fields, row)).transpose()?;
                claimed.push(ClaimedPair { seq: op.seq, anchor: op.source_id, attempts: op.attempts, pair });
            }
            Ok(claimed)
        })
    }

    /// Makes two records a pair. `number` is the row in the worker's hands, which has one of them; a row that has the other one becomes
    /// part of it. If the other row is a pair already, knows what was sent, or is that of the left record and in another worker's hands,
    /// it is the one that stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn join_pair(&self, flow: &str, number: i64, left: &str, right: &str) -> Result<Joined, StoreError> {
        self.write("make two records a pair", |tx| {
            let mapping = tx.mapping(flow)?;
            struct Other {
                number: i64,
                anchor: String,
                left: Option<String>,
                right: Option<String>,
                begun: bool,
                claimed: bool,
            }
            let other: Option<Other> = tx
                .conn
                .prepare_cached(
                    "SELECT id, anchor, left_id, right_id, length(left_prints) + length(right_prints) > 0,
                       EXISTS (SELECT 1 FROM outbox WHERE mapping = ?1 AND key = anchor AND state = 'claimed')
                     FROM pair WHERE mapping = ?1 AND id <> ?2 AND (left_id = ?3 OR right_id = ?4)
                     ORDER BY left_id IS NULL OR right_id IS NULL LIMIT 1",
                )?
                .query_row(params![mapping, number, left, right], |row| {
                    Ok(Other {
                        number: row.get(0)?,
                        anchor: row.get(1)?,
                        left: row.get(2)?,
                        right: row.get(3)?,
                        begun: row.get(4)?,
                        claimed: row.get(5)?,
                    })
                })
                .optional()?;
            let anchor: Option<(String, bool)> = tx
                .conn
                .prepare_cached("SELECT anchor, length(left_prints) + length(right_prints) > 0 FROM pair WHERE mapping = ?1 AND id = ?2")?
                .query_row(params![mapping, number], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((anchor, begun)) = anchor else { return Ok(Joined::TakenOver) };
            let Some(other) = other else {
                tx.set_ids(number, left, right)?;
                return Ok(Joined::Done);
            };
            let is_pair = other.left.is_some() && other.right.is_some();
            if is_pair || (other.begun && !begun && !other.claimed) || (other.claimed && other.left.is_some()) {
                tx.drop_pair(mapping, number)?;
                // One in another worker's hands finds its counterpart by itself.
                if !is_pair && !other.claimed {
                    tx.set_ids(other.number, left, right)?;
                }
                tx.look_again(mapping, other.number, &other.anchor)?;
                return Ok(Joined::TakenOver);
            }
            if other.claimed {
                return Ok(Joined::Busy);
            }
            tx.drop_pair(mapping, other.number)?;
            tx.set_ids(number, left, right)?;
            // What was reported for the other row is still to be checked.
            tx.look_again(mapping, number, &anchor)?;
            Ok(Joined::Done)
        })
    }

    /// Stores, before something is sent, what a pair shows if it takes effect, and until when a create may do so if its answer is not
    /// seen; and the versions that are known. Returns `false` if the pair is gone, so that nothing may be sent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_sent(&self, flow: &str, fields: &[String], pair: &Pair) -> Result<bool, StoreError> {
        self.write("note what is about to be sent", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.put_prints(mapping, fields, pair)?;
            let noted = tx
                .conn
                .prepare_cached(
                    "UPDATE pair SET create_until = ?3, left_version = COALESCE(?4, left_version), right_version = COALESCE(?5, right_version)
                     WHERE mapping = ?1 AND id = ?2",
                )?
                .execute(params![mapping, pair.number, pair.create_until.map(millis), pair.left_version, pair.right_version])?;
            Ok(noted > 0)
        })
    }

    /// Settles claimed pairs. What was reported of them in the meantime is still to be checked.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle_pairs(&self, run: RunId, flow: &str, fields: &[String], ends: Vec<(i64, PairEnd)>) -> Result<(), StoreError> {
        self.write("store answers about pairs", |tx| {
            let mapping = tx.mapping(flow)?;
            for (seq, end) in ends {
                tx.settle_pair(run, mapping, fields, seq, end)?;
            }
            Ok(())
        })
    }
}

impl Tx<'_> {
    /// Returns the link by which a reading goes on; `None` at its beginning. If the plan is another one than before, it begins again.
    pub(super) fn begin_reading(&mut self, readings: &Readings, mapping: i64, name: &dyn ToSql, plan: &str) -> Inside<Option<String>> {
        let Readings { table, column } = readings;
        let known: Option<(String, Option<String>)> = self
            .conn
            .prepare_cached(&format!("SELECT plan, link FROM {table} WHERE mapping = ?1 AND {column} = ?2"))?
            .query_row(params![mapping, name], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((_, link)) = known.filter(|(known, _)| known == plan) {
            return Ok(link);
        }
        self.conn
            .prepare_cached(&format!("INSERT OR REPLACE INTO {table} (mapping, {column}, plan, link) VALUES (?1, ?2, ?3, NULL)"))?
            .execute(params![mapping, name, plan])?;
        Ok(None)
    }

    /// Moves a reading on; `false` if it is at another place than the page was read from.
    pub(super) fn advance_reading(&mut self, readings: &Readings, mapping: i64, name: &dyn ToSql, mark: &PairMark) -> Inside<bool> {
        let Readings { table, column } = readings;
        let moved = self
            .conn
            .prepare_cached(&format!("UPDATE {table} SET link = ?3 WHERE mapping = ?1 AND {column} = ?2 AND link IS ?4"))?
            .execute(params![mapping, name, mark.to, mark.from])?;
        Ok(moved > 0)
    }

    /// How many pairs wait.
    pub(super) fn backlog_of(&mut self, mapping: i64) -> Inside<u64> {
        let rows = "SELECT COUNT(*) FROM outbox WHERE mapping = ?1";
        Ok(self.conn.prepare_cached(rows)?.query_row([mapping], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    pub(super) fn take_pair(&mut self, mapping: i64, side: PairSide, notice: &PairNotice, intake: &mut PairIntake) -> Inside<()> {
        if self.is_forgotten(&notice.id)? {
            intake.forgotten += 1;
            return Ok(());
        }
        let column = side.id_column();
        let version = format!("{side}_version");
        let known: Option<(i64, String, Option<String>)> = self
            .conn
            .prepare_cached(&format!("SELECT id, anchor, {version} FROM pair WHERE mapping = ?1 AND {column} = ?2"))?
            .query_row(params![mapping, notice.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let anchor = match known {
            Some((_, _, version)) if version.is_some() && version == notice.version => {
                intake.unchanged += 1;
                return Ok(());
            }
            Some((number, anchor, _)) => {
                self.conn.prepare_cached("UPDATE pair SET look = look | ?2 WHERE id = ?1")?.execute(params![number, side.bit()])?;
                anchor
            }
            None if notice.begins => {
                self.conn
                    .prepare_cached(&format!("INSERT INTO pair (mapping, anchor, {column}, look) VALUES (?1, ?2, ?2, ?3)"))?
                    .execute(params![mapping, notice.id, side.bit()])?;
                notice.id.clone()
            }
            None => {
                intake.apart += 1;
                return Ok(());
            }
        };
        intake.queued += 1;
        self.queue_pair(mapping, &anchor)
    }

    fn queue_pair(&mut self, mapping: i64, anchor: &str) -> Inside<()> {
        let change_no = self.next_change()?;
        self.enqueue(
            mapping,
            &NewOp {
                key: anchor,
                source_id: anchor,
                op: Op::Refetch,
                payload: None,
                with_initial: false,
                rewrite: false,
                generation: 0,
                change_no,
            },
        )?;
        Ok(())
    }

    /// Removes a pair, and what waits for it. What a worker has in its hands finds that the pair is gone.
    fn drop_pair(&mut self, mapping: i64, number: i64) -> Inside<()> {
        let anchor: Option<String> = self
            .conn
            .prepare_cached("DELETE FROM pair WHERE mapping = ?1 AND id = ?2 RETURNING anchor")?
            .query_row(params![mapping, number], |row| row.get(0))
            .optional()?;
        let Some(anchor) = anchor else { return Ok(()) };
        let waiting: Option<i64> = self
            .conn
            .prepare_cached("SELECT seq FROM outbox WHERE mapping = ?1 AND key = ?2 AND state = 'ready'")?
            .query_row(params![mapping, anchor], |row| row.get(0))
            .optional()?;
        if let Some(seq) = waiting {
            self.remove_op(mapping, seq)?;
        }
        let change_no = self.next_change()?;
        self.remove_dead_letter(mapping, &anchor, change_no)?;
        Ok(())
    }

    fn settle_pair(&mut self, run: RunId, mapping: i64, fields: &[String], seq: i64, end: PairEnd) -> Inside<()> {
        let Some((anchor, change_no, attempts)) = self.claimed_unit(run, mapping, seq)? else { return Ok(()) };
        let failure = match end {
            PairEnd::Retry { not_before, error } => return self.requeue(seq, false, Some((not_before, &error))),
            PairEnd::Released => return self.requeue(seq, false, None),
            PairEnd::Forget => {
                self.conn
                    .prepare_cached("DELETE FROM pair WHERE mapping = ?1 AND anchor = ?2 AND look = 0")?
                    .execute(params![mapping, anchor])?;
                None
            }
            PairEnd::Gone => None,
            PairEnd::Done(pair) => {
                self.put_pair(mapping, fields, &anchor, &pair)?;
                None
            }
            PairEnd::Undecided(pair, failure) => {
                self.put_pair(mapping, fields, &anchor, &pair)?;
                Some(failure)
            }
            PairEnd::Failed(failure) => Some(failure),
        };
        // A create that was refused cannot take effect any more.
        self.conn
            .prepare_cached(
                "UPDATE pair SET looking = 0, create_until = CASE WHEN left_id IS NULL OR right_id IS NULL THEN NULL ELSE create_until END
                 WHERE mapping = ?1 AND anchor = ?2",
            )?
            .execute(params![mapping, anchor])?;
        self.remove_op(mapping, seq)?;
        let Some(failure) = failure else {
            self.remove_dead_letter(mapping, &anchor, change_no)?;
            return Ok(());
        };
        // Nothing is kept of a person who was forgotten meanwhile.
        if self.is_forgotten(&anchor)? {
            return Ok(());
        }
        self.put_dead_letter(&NewDeadLetter::of_unit(mapping, &anchor, &failure, run, attempts, change_no))
    }

    /// Stores what a worker knows of a pair.
    fn put_pair(&mut self, mapping: i64, fields: &[String], anchor: &str, pair: &Pair) -> Inside<()> {
        self.put_prints(mapping, fields, pair)?;
        self.conn
            .prepare_cached(
                "UPDATE pair SET left_version = ?3, right_version = ?4, create_until = NULL WHERE mapping = ?1 AND anchor = ?2 AND id = ?5",
            )?
            .execute(params![mapping, anchor, pair.left_version, pair.right_version, pair.number])?;
        Ok(())
    }

    /// Stores the fingerprints of a pair. Those of fields that the mapping does not have now are kept.
    fn put_prints(&mut self, mapping: i64, fields: &[String], pair: &Pair) -> Inside<()> {
        let mut statement = self.conn.prepare_cached(&format!("SELECT {COLUMNS} FROM pair WHERE mapping = ?1 AND id = ?2"))?;
        let Some((_, mut stored)) = statement.query_row(params![mapping, pair.number], from_row).optional()? else { return Ok(()) };
        drop(statement);
        let new = [&pair.left_prints, &pair.right_prints, &pair.left_sent, &pair.right_sent];
        for (place, field) in fields.iter().enumerate() {
            let slot = self.slot_or_new(mapping, &field.as_str().into())?;
            for (stored, new) in stored.iter_mut().zip(new) {
                match new.get(place).copied().flatten() {
                    Some(print) => stored.write(slot, print),
                    None => stored.forget(slot),
                }
            }
        }
        let [left, right, left_sent, right_sent] = stored.map(|print| print.to_blob());
        self.conn
            .prepare_cached("UPDATE pair SET left_prints = ?2, right_prints = ?3, left_sent = ?4, right_sent = ?5 WHERE id = ?1")?
            .execute(params![pair.number, left, right, left_sent, right_sent])?;
        Ok(())
    }

    fn set_ids(&mut self, number: i64, left: &str, right: &str) -> Inside<()> {
        self.conn.prepare_cached("UPDATE pair SET left_id = ?2, right_id = ?3 WHERE id = ?1")?.execute(params![number, left, right])?;
        Ok(())
    }

    /// Both sides of a pair are to be looked at.
    fn look_again(&mut self, mapping: i64, number: i64, anchor: &str) -> Inside<()> {
        self.conn.prepare_cached("UPDATE pair SET look = ?2 WHERE id = ?1")?.execute(params![number, BOTH])?;
        self.queue_pair(mapping, anchor)
    }
}
