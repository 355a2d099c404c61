//! Links between target records: which parents are there, who waits for them, who has been linked to them.
//!
//! A link's value is the source id of the record that it leads to (the *parent*), and so is its fingerprint: a link costs a
//! call only where it leads elsewhere than before. The parent's key is looked up in its own mapping's ledger when an operation
//! is claimed. An upsert whose parent is not at the target is not given out; it waits until the parent's row in the ledger is
//! written, in whose transaction it becomes due again.
//!
//! The links that were written are kept as well: when a parent is created again (it came back into the filter, somebody had
//! deleted it at the target, it has another key), the service has emptied the links that led to it, and the records that had
//! them are read and linked again.
//!
//! A record that others link to is deleted after them: Campaign hides a record whose link of cardinality 1 leads nowhere, so
//! that it can be neither changed nor deleted any more. Its delete waits until the last link to it on file is gone, and no
//! longer than until the flows that write those links have had their turn ([`Store::let_deletes_go`]).

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::value::RawValue;

use super::error::Inside;
use super::fingerprint::Fingerprint;
use super::outbox::NewOp;
use super::store::Store;
use super::tx::{Tx, mapping_id};
use super::types::millis;
use crate::store::{Op, Payload, StoreError, Waiting, WrittenLink};
use crate::time::Instant;

/// The source id in a link's value; none for no link.
pub(super) fn parent_id(json: &str) -> Option<String> {
    serde_json::from_str::<Option<String>>(json).ok().flatten().filter(|id| !id.is_empty())
}

impl Store {
    /// Which mappings' records a flow's operations wait for, the most waited for first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn waiting_for(&self, mapping: &str) -> Result<Vec<Waiting>, StoreError> {
        self.read("look for what waits", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => waiting_for(conn, id),
            None => Ok(Vec::new()),
        })
    }

    /// Deletes of a flow that wait for records which link to theirs wait no longer, where they were queued before that instant:
    /// those records had their turn, and link to it still. Gives how many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn let_deletes_go(&self, mapping: &str, queued_before: Instant) -> Result<u64, StoreError> {
        if self.waiting_size(mapping)? == 0 {
            return Ok(0);
        }
        self.write("let deletes go", |tx| {
            let mapping = tx.mapping(mapping)?;
            let gone = tx
                .conn
                .prepare_cached(
                    "UPDATE outbox SET waits = 0, held = 1 WHERE mapping = ?1 AND waits = 1 AND op = 'delete'
                       AND (enqueued_at <= ?2 OR enqueued_at > ?3)",
                )?
                // One from the future was queued while the clock ran ahead, and has waited since.
                .execute(params![mapping, millis(queued_before), millis(tx.now)])?;
            Ok(gone as u64)
        })
    }

    /// How many operations of a flow wait for a record that is not at the target. One lookup, however many there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn waiting_size(&self, mapping: &str) -> Result<u64, StoreError> {
        self.read("count what waits", |conn, _| {
            let mut statement = conn.prepare_cached("SELECT waiting_rows FROM mapping WHERE name = ?1")?;
            let rows: Option<i64> = statement.query_row([mapping], |row| row.get(0)).optional()?;
            Ok(u64::try_from(rows.unwrap_or(0)).unwrap_or(0))
        })
    }
}

pub(super) fn waiting_for(conn: &Connection, mapping: i64) -> Inside<Vec<Waiting>> {
    let mut statement = conn.prepare_cached(
        "SELECT m.name, COUNT(DISTINCT w.seq), o.source_id, w.parent_id, min(w.seq)
         FROM outbox AS o INDEXED BY outbox_waiting JOIN link_wait AS w ON w.seq = o.seq JOIN mapping AS m ON m.id = w.parent
         WHERE o.mapping = ?1 AND o.waits = 1 GROUP BY w.parent
         UNION ALL
         SELECT m.name, COUNT(DISTINCT o.seq), o.source_id, l.source_id, min(o.seq)
         FROM outbox AS o INDEXED BY outbox_waiting JOIN link AS k ON k.parent = o.mapping AND k.parent_id = o.source_id
         JOIN ledger AS l ON l.mapping = k.mapping AND l.key = k.key JOIN mapping AS m ON m.id = k.mapping
         WHERE o.mapping = ?1 AND o.waits = 1 AND o.op = 'delete' GROUP BY k.mapping
         ORDER BY 2 DESC, 1",
    )?;
    let rows = statement.query_map([mapping], |row| {
        let records: i64 = row.get(1)?;
        Ok(Waiting { parent: row.get(0)?, records: u64::try_from(records).unwrap_or(0), example: row.get(2)?, example_parent: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Tx<'_> {
    /// The key of a source record at the target, as far as that is certain. One that is about to be deleted is
    /// not there any more to be linked to.
    pub fn parent_key(&mut self, parent: &str, source_id: &str) -> Inside<Option<String>> {
        let parent = self.mapping(parent)?;
        let mut statement = self.conn.prepare_cached(
            "SELECT l.key FROM ledger AS l INDEXED BY ledger_source WHERE l.mapping = ?1 AND l.source_id = ?2 AND l.doubtful = 0
               AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = l.mapping AND o.key = l.key AND o.op = 'delete')
             ORDER BY l.written_at DESC LIMIT 1",
        )?;
        Ok(statement.query_row(params![parent, source_id], |row| row.get(0)).optional()?)
    }

    /// An operation waits until one of these parents is written; then it is looked at again.
    pub fn wait_for(&mut self, seq: i64, parents: &[(&str, String)]) -> Inside<()> {
        self.conn.prepare_cached("UPDATE outbox SET waits = 1 WHERE seq = ?1")?.execute([seq])?;
        for (parent, id) in parents {
            let parent = self.mapping(parent)?;
            self.note_wait();
            self.conn
                .prepare_cached("INSERT OR IGNORE INTO link_wait (parent, parent_id, seq) VALUES (?1, ?2, ?3)")?
                .execute(params![parent, id, seq])?;
        }
        Ok(())
    }

    /// A record is at the target: what waited for it is due.
    pub fn release(&mut self, parent: i64, source_id: &str) -> Inside<()> {
        if !self.has_waits()? {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE outbox SET waits = 0 WHERE seq IN (SELECT seq FROM link_wait WHERE parent = ?1 AND parent_id = ?2)")?
            .execute(params![parent, source_id])?;
        Ok(())
    }

    /// A record was written without links that follow: it is read and linked as soon as one of these parents is there. An operation that
    /// waits for it already is newer, and knows its links itself.
    pub fn link_later(
        &mut self,
        mapping: i64,
        (key, source_id): (&str, &str),
        (generation, with_initial): (i64, bool),
        parents: &[(String, String)],
    ) -> Inside<()> {
        if parents.is_empty() || self.is_waiting(mapping, key)? {
            return Ok(());
        }
        let change_no = self.next_change()?;
        let new = NewOp { key, source_id, op: Op::Refetch, payload: None, with_initial, rewrite: false, generation, change_no };
        self.enqueue_first(mapping, &new)?;
        let seq = self.conn.last_insert_rowid();
        let mut missing = Vec::new();
        for (parent, id) in parents {
            match self.parent_key(parent, id)? {
                // It has come meanwhile: the links are due.
                Some(_) => return Ok(()),
                None => missing.push((parent.as_str(), id.clone())),
            }
        }
        self.wait_for(seq, &missing)
    }

    /// Empties links that lead to a person who was forgotten.
    pub fn unlink_forgotten(&mut self, payload: &mut Payload) -> Inside<()> {
        for field in payload.links_mut() {
            if let Some(id) = parent_id(field.value.get())
                && self.is_forgotten(&id)?
            {
                field.value = RawValue::NULL.to_owned().into();
            }
        }
        Ok(())
    }

    /// Whether other target records link to this one, as far as it is on file.
    pub fn is_linked_to(&self, mapping: i64, key: &str, source_id: &str) -> Inside<bool> {
        let mut statement = self.conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM link WHERE parent = ?1 AND parent_id = ?2 AND NOT (mapping = ?1 AND key = ?3))",
        )?;
        Ok(statement.query_row(params![mapping, source_id, key], |row| row.get(0))?)
    }

    /// The records that a target record links to.
    pub fn links_of(&self, mapping: i64, key: &str) -> Inside<Vec<(i64, String)>> {
        let mut statement = self.conn.prepare_cached("SELECT DISTINCT parent, parent_id FROM link WHERE mapping = ?1 AND key = ?2")?;
        let rows = statement.query_map(params![mapping, key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes the deletes of records due to which nothing links any more.
    pub fn release_deletes(&mut self, parents: &[(i64, String)]) -> Inside<()> {
        for (parent, id) in parents {
            self.conn
                .prepare_cached(
                    "UPDATE outbox SET waits = 0 WHERE mapping = ?1 AND source_id = ?2 AND op = 'delete' AND waits = 1
                       AND NOT EXISTS (SELECT 1 FROM link AS k WHERE k.parent = ?1 AND k.parent_id = ?2 AND NOT (k.mapping = ?1 AND k.key = outbox.key))",
                )?
                .execute(params![parent, id])?;
        }
        Ok(())
    }

    /// Keeps what a record's links lead to now.
    pub fn note_links(&mut self, mapping: i64, key: &str, links: &[WrittenLink]) -> Inside<()> {
        if links.is_empty() {
            return Ok(());
        }
        let before = self.links_of(mapping, key)?;
        for link in links {
            match &link.parent_id {
                Some(id) => {
                    let parent = self.mapping(&link.parent)?;
                    self.note_link();
                    self.conn
                        .prepare_cached("INSERT OR REPLACE INTO link (mapping, key, slot, parent, parent_id) VALUES (?1, ?2, ?3, ?4, ?5)")?
                        .execute(params![mapping, key, link.slot, parent, id])?;
                }
                None => {
                    self.conn
                        .prepare_cached("DELETE FROM link WHERE mapping = ?1 AND key = ?2 AND slot = ?3")?
                        .execute(params![mapping, key, link.slot])?;
                }
            }
        }
        self.release_deletes(&before)
    }

    /// A record was created again: links that led to it are empty at the target now. Those who had them are read again, and what
    /// is on file of these links is forgotten, so that they are written. Costs nothing while no link is on file.
    pub fn link_again(&mut self, parent: i64, source_id: &str) -> Inside<()> {
        if !self.has_links()? {
            return Ok(());
        }
        type Row = (i64, String, u32, String, Vec<u8>, i64);
        let children: Vec<Row> = {
            let mut statement = self.conn.prepare_cached(
                "SELECT k.mapping, k.key, k.slot, l.source_id, l.fingerprints, l.generation
                 FROM link AS k JOIN ledger AS l ON l.mapping = k.mapping AND l.key = k.key WHERE k.parent = ?1 AND k.parent_id = ?2",
            )?;
            let rows = statement.query_map(params![parent, source_id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        for (mapping, key, slot, child_id, fingerprints, generation) in children {
            let mut fingerprint = Fingerprint::from_blob(&fingerprints);
            fingerprint.forget(slot);
            self.conn.prepare_cached("UPDATE ledger SET fingerprints = ?3 WHERE mapping = ?1 AND key = ?2")?.execute(params![
                mapping,
                key,
                fingerprint.to_blob()
            ])?;
            self.refetch(mapping, &key, &child_id, generation)?;
        }
        Ok(())
    }

    /// A worker found that a record is not at the target, though the ledger has it: it is read and written again, and what
    /// links to it waits for that.
    pub fn write_again(&mut self, parent: &str, source_id: &str) -> Inside<()> {
        let parent = self.mapping(parent)?;
        let rows: Vec<(String, i64)> = {
            let mut statement = self.conn.prepare_cached(
                "SELECT key, generation FROM ledger INDEXED BY ledger_source WHERE mapping = ?1 AND source_id = ?2 AND doubtful = 0",
            )?;
            let rows = statement.query_map(params![parent, source_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        for (key, generation) in rows {
            self.doubt_ledger(parent, &key, source_id, generation)?;
            self.refetch(parent, &key, source_id, generation)?;
        }
        Ok(())
    }

    /// Queues the reading of a source record whose target record is known.
    fn refetch(&mut self, mapping: i64, key: &str, source_id: &str, generation: i64) -> Inside<()> {
        let change_no = self.next_change()?;
        let new = NewOp { key, source_id, op: Op::Refetch, payload: None, with_initial: false, rewrite: false, generation, change_no };
        self.enqueue(mapping, &new).map(drop)
    }
}
