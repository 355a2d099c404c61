//! A writing transaction: what the operations of this module share while one is open.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::Inside;
use super::fingerprint::{FilledColumns, Fingerprint};
use crate::store::fingerprint::HashKey;
use crate::time::{Instant, now};

/// What is kept in memory of the file: small tables that only grow. Never rows of outbox or ledger.
pub(super) struct Caches {
    pub key: HashKey,
    /// How long a request may still reach its service after its sender is gone.
    pub request_lifetime: TimeDelta,
    mappings: HashMap<String, i64>,
    slots: HashMap<i64, HashMap<Arc<str>, u32>>,
    /// The mapping of `order`.
    order_of: i64,
    /// Target paths and their slots, in the order in which the last payload had them. The payloads of a mapping nearly always have the
    /// same paths in the same order, so that a path is found by one comparison.
    order: Vec<(Arc<str>, u32)>,
}

impl Caches {
    pub fn new(key: HashKey) -> Self {
        Caches { key, request_lifetime: TimeDelta::zero(), mappings: HashMap::new(), slots: HashMap::new(), order_of: 0, order: Vec::new() }
    }

    pub fn forget(&mut self) {
        self.mappings.clear();
        self.slots.clear();
        self.order.clear();
    }
}

/// What a transaction changes in a mapping's counts.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub outbox_rows: i64,
    pub ledger_rows: i64,
    pub queued: i64,
    pub coalesced: i64,
    pub unchanged: i64,
}

/// A row of the ledger.
pub(super) struct LedgerRow {
    pub source_id: String,
    pub fingerprint: Fingerprint,
    pub filled: FilledColumns,
    pub doubtful: bool,
    /// It was about to be created again, and what links to it was not linked again since.
    pub remade: bool,
    pub generation: i64,
}

pub(super) struct Tx<'a> {
    pub conn: &'a Connection,
    pub now: Instant,
    caches: &'a mut Caches,
    tallies: HashMap<i64, Tally>,
    /// The last change number given out; read at the first need.
    change_no: Option<i64>,
    rare: Rare,
    /// What a page's keys have in ledger and outbox, read in one statement; see [`Tx::read_ahead`].
    ahead: HashMap<Box<str>, Ahead>,
}

/// Whether tables that are nearly always empty have rows: asked once for each transaction, so that its records need not ask. What the
/// transaction itself adds is noted.
#[derive(Default)]
struct Rare {
    waits: Option<bool>,
    links: Option<bool>,
    kept: Option<bool>,
    topics: Option<bool>,
    dead_letters: HashMap<i64, bool>,
}

/// What ledger and outbox have of a target record.
pub(super) struct Ahead {
    pub ledger: Option<LedgerRow>,
    /// The outbox has an operation on it, waiting or claimed.
    pub is_queued: bool,
}

impl<'a> Tx<'a> {
    pub fn new(conn: &'a Connection, caches: &'a mut Caches) -> Self {
        Tx { conn, now: now(), caches, tallies: HashMap::new(), change_no: None, rare: Rare::default(), ahead: HashMap::new() }
    }

    /// Whether any operation waits for a record that it links to.
    pub fn has_waits(&mut self) -> Inside<bool> {
        exists(self.conn, &mut self.rare.waits, "SELECT EXISTS (SELECT 1 FROM link_wait)")
    }

    /// Whether any link was written.
    pub fn has_links(&mut self) -> Inside<bool> {
        exists(self.conn, &mut self.rare.links, "SELECT EXISTS (SELECT 1 FROM link)")
    }

    /// Whether opt-outs are kept of any deleted profile.
    pub fn has_kept(&mut self) -> Inside<bool> {
        exists(self.conn, &mut self.rare.kept, "SELECT EXISTS (SELECT 1 FROM optout_kept)")
    }

    /// Whether any mapping has opt-outs per topic.
    pub fn has_topics(&mut self) -> Inside<bool> {
        exists(self.conn, &mut self.rare.topics, "SELECT EXISTS (SELECT 1 FROM optout_topic)")
    }

    /// Whether a mapping has dead letters.
    pub fn has_dead_letters(&mut self, mapping: i64) -> Inside<bool> {
        if let Some(has) = self.rare.dead_letters.get(&mapping) {
            return Ok(*has);
        }
        let mut statement = self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM dead_letter WHERE mapping = ?1)")?;
        let has = statement.query_row([mapping], |row| row.get(0))?;
        self.rare.dead_letters.insert(mapping, has);
        Ok(has)
    }

    /// An operation waits from now on.
    pub fn note_wait(&mut self) {
        self.rare.waits = Some(true);
    }

    /// A link is on file from now on.
    pub fn note_link(&mut self) {
        self.rare.links = Some(true);
    }

    /// A mapping has a dead letter from now on.
    pub fn note_dead_letter(&mut self, mapping: i64) {
        self.rare.dead_letters.insert(mapping, true);
    }

    /// Reads what ledger and outbox have of these target records in one statement, for [`Tx::take_ahead`].
    ///
    /// What is read ahead is used once: whoever changes a record of it in the outbox, or has taken it, causes the next one to read again.
    pub fn read_ahead(&mut self, mapping: i64, keys: &[&str]) -> Inside<()> {
        let mut statement = self.conn.prepare_cached(
            "SELECT j.key, EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.key = j.value),
               l.source_id, l.fingerprints, l.doubtful, l.generation, l.remade, l.filled
             FROM json_each(?2) AS j LEFT JOIN ledger AS l ON l.mapping = ?1 AND l.key = j.value",
        )?;
        let mut rows = statement.query(params![mapping, json_list(keys)])?;
        while let Some(row) = rows.next()? {
            let ledger = if row.get_ref(2)? == ValueRef::Null { None } else { Some(ledger_columns(row, 2)?) };
            let index: u32 = row.get(0)?;
            if let Some(key) = keys.get(index as usize) {
                self.ahead.insert((*key).into(), Ahead { ledger, is_queued: row.get(1)? });
            }
        }
        Ok(())
    }

    /// What ledger and outbox have of a target record.
    pub fn take_ahead(&mut self, mapping: i64, key: &str) -> Inside<Ahead> {
        if let Some(ahead) = self.ahead.remove(key) {
            return Ok(ahead);
        }
        let mut statement = self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE mapping = ?1 AND key = ?2)")?;
        let is_queued = statement.query_row(params![mapping, key], |row| row.get(0))?;
        Ok(Ahead { ledger: self.ledger_row(mapping, key)?, is_queued })
    }

    /// A target record's row of the ledger or the outbox has changed.
    pub fn forget_ahead(&mut self, key: &str) {
        self.ahead.remove(key);
    }

    /// After mappings were renamed or removed: names and numbers are read from the file again.
    pub fn forget_caches(&mut self) {
        self.caches.forget();
    }

    pub fn key(&self) -> HashKey {
        self.caches.key
    }

    /// Until when a request that was sent up to now, and whose sender is gone, may still be carried out.
    pub fn requests_live_until(&self) -> Instant {
        self.now.checked_add_signed(self.caches.request_lifetime).unwrap_or(self.now)
    }

    /// The mapping's number, given out at its first use.
    pub fn mapping(&mut self, name: &str) -> Inside<i64> {
        if let Some(id) = self.caches.mappings.get(name) {
            return Ok(*id);
        }
        let id = match mapping_id(self.conn, name)? {
            Some(id) => id,
            None => {
                // A name that another workflow had before it was renamed: the ids of that one's events are derived from it.
                self.conn.execute(
                    "INSERT INTO mapping (name, origin) VALUES (?1, CASE WHEN EXISTS (SELECT 1 FROM mapping WHERE origin = ?1)
                       THEN ?1 || char(31) || (SELECT max(id) + 1 FROM mapping) END)",
                    [name],
                )?;
                self.conn.last_insert_rowid()
            }
        };
        self.caches.mappings.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The slot of a target path, if it has one yet.
    pub fn slot(&mut self, mapping: i64, path: &str) -> Inside<Option<u32>> {
        Ok(self.slots(mapping)?.get(path).copied())
    }

    /// A target path and its slot, if it has one yet; `index` is the path's place in its payload.
    pub fn slot_at(&mut self, mapping: i64, index: usize, path: &str) -> Inside<Option<&(Arc<str>, u32)>> {
        if self.caches.order_of != mapping {
            self.caches.order.clear();
            self.caches.order_of = mapping;
        }
        if self.caches.order.get(index).is_none_or(|(known, _)| **known != *path) {
            let Some((known, slot)) = self.slots(mapping)?.get_key_value(path) else { return Ok(None) };
            let found = (known.clone(), *slot);
            let order = &mut self.caches.order;
            if order.len() <= index {
                order.resize(index + 1, found.clone());
            }
            order[index] = found;
        }
        Ok(self.caches.order.get(index))
    }

    /// The slot of a target path, given out at its first use.
    pub fn slot_or_new(&mut self, mapping: i64, path: &Arc<str>) -> Inside<u32> {
        let slots = self.slots(mapping)?;
        if let Some(slot) = slots.get(&**path) {
            return Ok(*slot);
        }
        let slot = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        slots.insert(path.clone(), slot);
        self.conn.execute("INSERT INTO target_path (mapping, slot, path) VALUES (?1, ?2, ?3)", params![mapping, slot, path])?;
        Ok(slot)
    }

    /// The slots of a mapping's target paths that have one.
    pub fn slots(&mut self, mapping: i64) -> Inside<&mut HashMap<Arc<str>, u32>> {
        use std::collections::hash_map::Entry;
        Ok(match self.caches.slots.entry(mapping) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(load_slots(self.conn, mapping)?),
        })
    }

    /// The number of the next stored change: says which of two changes of a record is the newer, across rows that coalesce.
    pub fn next_change(&mut self) -> Inside<i64> {
        let last = match self.change_no {
            Some(last) => last,
            None => self.conn.query_row("SELECT value FROM meta WHERE name = 'change_no'", [], |row| row.get(0))?,
        };
        self.change_no = Some(last + 1);
        Ok(last + 1)
    }

    pub fn tally(&mut self, mapping: i64) -> &mut Tally {
        self.tallies.entry(mapping).or_default()
    }

    /// Writes the counts and the change number; the last step before the commit.
    pub fn finish(self) -> Inside<()> {
        if let Some(change_no) = self.change_no {
            self.conn.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'change_no'")?.execute([change_no])?;
        }
        for (mapping, tally) in self.tallies {
            self.conn
                .prepare_cached(
                    "UPDATE mapping SET outbox_rows = outbox_rows + ?2, ledger_rows = ledger_rows + ?3, queued_total = queued_total + ?4,
                       coalesced_total = coalesced_total + ?5, unchanged_total = unchanged_total + ?6 WHERE id = ?1",
                )?
                .execute(params![mapping, tally.outbox_rows, tally.ledger_rows, tally.queued, tally.coalesced, tally.unchanged])?;
        }
        Ok(())
    }

    pub fn ledger_row(&self, mapping: i64, key: &str) -> Inside<Option<LedgerRow>> {
        ledger_row(self.conn, mapping, key)
    }
}

pub(super) fn mapping_id(conn: &Connection, name: &str) -> Inside<Option<i64>> {
    Ok(conn.prepare_cached("SELECT id FROM mapping WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?)
}

pub(super) fn load_slots(conn: &Connection, mapping: i64) -> Inside<HashMap<Arc<str>, u32>> {
    let mut statement = conn.prepare_cached("SELECT path, slot FROM target_path WHERE mapping = ?1")?;
    let rows = statement.query_map([mapping], |row| Ok((Arc::from(row.get_ref(0)?.as_str()?), row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn ledger_row(conn: &Connection, mapping: i64, key: &str) -> Inside<Option<LedgerRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT source_id, fingerprints, doubtful, generation, remade, filled FROM ledger WHERE mapping = ?1 AND key = ?2",
    )?;
    let row = statement.query_row(params![mapping, key], |row| ledger_columns(row, 0));
    Ok(row.optional()?)
}

/// Reads `source_id, fingerprints, doubtful, generation, remade, filled` of the ledger, from the column `first` on.
pub(super) fn ledger_columns(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<LedgerRow> {
    Ok(LedgerRow {
        source_id: row.get(first)?,
        fingerprint: Fingerprint::from_blob(row.get_ref(first + 1)?.as_blob()?),
        doubtful: row.get(first + 2)?,
        generation: row.get(first + 3)?,
        remade: row.get(first + 4)?,
        filled: FilledColumns::from_blob(row.get_ref(first + 5)?.as_blob()?),
    })
}

/// A list as `json_each` reads it: for statements about many rows at once.
pub(super) fn json_list<T: serde::Serialize>(items: &[T]) -> String {
    // Texts and numbers: this cannot fail.
    serde_json::to_string(items).unwrap_or_default()
}

fn exists(conn: &Connection, known: &mut Option<bool>, question: &str) -> Inside<bool> {
    match *known {
        Some(known) => Ok(known),
        None => Ok(*known.insert(conn.prepare_cached(question)?.query_row([], |row| row.get(0))?)),
    }
}
