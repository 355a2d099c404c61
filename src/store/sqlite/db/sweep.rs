//! The end of a full load: what was written for records that the load did not see is deleted.
//!
//! A record deleted while the delta link was dead has no tombstone any more; that it is missing from a full load is the
//! only sign. All of it runs inside SQLite: no row comes to memory, however many there are. It reads the flow's whole
//! ledger once.

use rusqlite::params;

use super::error::Inside;
use super::refetch::READ_AGAIN;
use super::tx::Tx;
use super::types::millis;
use crate::store::Unseen;

impl Tx<'_> {
    /// Queues the deletion of what has an older generation everywhere, or holds it (`guarded`) where something was written.
    /// Gives the number of target records.
    pub fn sweep(&mut self, mapping: i64, generation: i64, guarded: bool) -> Inside<u64> {
        let change_no = self.next_change()?;
        let now = millis(self.now);
        // What was written. A newer operation in the outbox says that the record was seen though its write is still to come.
        let written = if guarded {
            self.conn.execute(
                "INSERT INTO held (mapping, key, source_id, cause, with_initial, rewrite, generation, change_no, held_at)
                 SELECT ?1, l.key, l.source_id, 'unseen', 0, 0, ?2, ?3, ?4 FROM ledger AS l
                 WHERE l.mapping = ?1 AND l.generation < ?2
                   AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.key = l.key
                                   AND (o.generation >= ?2 OR (o.state = 'ready' AND o.op = 'delete')))
                 ON CONFLICT (mapping, key) DO NOTHING",
                params![mapping, generation, change_no, now],
            )?
        } else {
            self.conn.execute(
                "INSERT INTO outbox (mapping, key, source_id, op, payload, with_initial, rewrite, generation, change_no, enqueued_at)
             SELECT ?1, l.key, l.source_id, 'delete', NULL, 0, 0, ?2, ?3, ?4 FROM ledger AS l
             WHERE l.mapping = ?1 AND l.generation < ?2
               AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.key = l.key
                               AND (o.generation >= ?2 OR (o.state = 'ready' AND o.op = 'delete')))
             ON CONFLICT (mapping, key, state) DO UPDATE SET op = 'delete', payload = NULL, source_id = excluded.source_id,
               generation = excluded.generation, change_no = excluded.change_no",
                params![mapping, generation, change_no, now],
            )?
        };
        // What waits to be written for the first time, from before this load. A refetch finds out by itself. What waits to be
        // written again is deleted when its held deletion is released.
        let waiting = self.conn.execute(
            "UPDATE outbox SET op = 'delete', payload = NULL, generation = ?2, change_no = ?3
             WHERE mapping = ?1 AND state = 'ready' AND op = 'upsert' AND generation < ?2
               AND NOT (?4 AND EXISTS (SELECT 1 FROM ledger AS l WHERE l.mapping = ?1 AND l.key = outbox.key))",
            params![mapping, generation, change_no, guarded],
        )?;
        // A deletion that waits already is that of a state which the load confirms: what failed for a newer state goes with it.
        self.conn.execute(
            "UPDATE outbox SET generation = ?2, change_no = ?3
             WHERE mapping = ?1 AND state = 'ready' AND op = 'delete' AND generation < ?2",
            params![mapping, generation, change_no],
        )?;
        // What is being written for the first time right now: the deletion waits behind it, where nothing does yet.
        let in_flight = self.conn.execute(
            "INSERT INTO outbox (mapping, key, source_id, op, payload, with_initial, rewrite, generation, change_no, enqueued_at)
             SELECT ?1, c.key, c.source_id, 'delete', NULL, 0, 0, ?2, ?3, ?4 FROM outbox AS c
             WHERE c.mapping = ?1 AND c.state = 'claimed' AND c.op = 'upsert' AND c.generation < ?2
               AND NOT (?5 AND EXISTS (SELECT 1 FROM ledger AS l WHERE l.mapping = ?1 AND l.key = c.key))
               AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.key = c.key AND o.state = 'ready')",
            params![mapping, generation, change_no, now, guarded],
        )?;
        // A refetch under way may have read the record before it went. One that a newer state has superseded is over, unless it must say
        // what became of an earlier write: a newer state that was rejected writes nothing, and the load has not seen the record.
        self.conn.execute(
            "UPDATE outbox SET superseded = ?3
             WHERE mapping = ?1 AND state = 'claimed' AND op = 'refetch' AND (superseded = 0 OR uncertain) AND generation < ?2",
            params![mapping, generation, READ_AGAIN],
        )?;
        // Some rows were new and some were changed: they are counted again.
        let rows: i64 = self.conn.query_row("SELECT COUNT(*) FROM outbox WHERE mapping = ?1", [mapping], |row| row.get(0))?;
        let before: i64 = self.conn.query_row("SELECT outbox_rows FROM mapping WHERE id = ?1", [mapping], |row| row.get(0))?;
        let swept = written + waiting + in_flight;
        let tally = self.tally(mapping);
        tally.outbox_rows = rows - before;
        tally.queued += i64::try_from(swept).unwrap_or(i64::MAX);
        Ok(swept as u64)
    }

    /// Removes the dead letters of records that a full load did not see; after [`Tx::sweep`], which gives what it queues the load's
    /// generation. One whose record was written, or may have been, goes with the deletion that was queued or held; what was queued in
    /// this load settles its own.
    pub fn sweep_dead_letters(&mut self, mapping: i64, generation: i64, unseen: Unseen) -> Inside<()> {
        self.conn.execute(
            "DELETE FROM dead_letter WHERE mapping = ?1 AND generation < ?2
               AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.source_id = dead_letter.source_id AND o.generation >= ?2)
               AND NOT (?3 AND EXISTS (SELECT 1 FROM ledger AS l INDEXED BY ledger_source
                                       WHERE l.mapping = ?1 AND l.source_id = dead_letter.source_id))",
            params![mapping, generation, unseen == Unseen::Delete],
        )?;
        Ok(())
    }
}
