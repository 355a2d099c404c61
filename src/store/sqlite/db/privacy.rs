//! Persons: every trace of one in the state file, and the end of all of them but a tombstone.
//!
//! A person is a source record: the contact, or a record linked to it. Its traces are rows that belong to it, rows of others
//! that name it (a child that waits for it), and words about it (a summary's example, an error's text).
//!
//! Where persons can be is said in one place, [`HOLDINGS`], of every table; a test keeps the list whole.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, params};

use super::error::Inside;
use super::holdings::{HOLDINGS, Holding, Removal};
use super::lock::run_in_progress;
use super::store::Store;
use super::tx::Tx;
use super::types::instant;
use crate::store::{Forgotten, Holder, StoreError, Trace, Traces};

/// Rows of one kind that are named one by one; the counts are of all.
const NAMED: usize = 100;
/// A key of a target record is looked for in texts only where it is as long as this: shorter ones are found in every other word.
const LONG_ENOUGH: usize = 8;
/// The text that replaces an id.
const IN_PLACE: &str = "(forgotten)";

impl Store {
    /// Every trace of a person: of a source record's id, a target record's key, or any text of theirs, such as an e-mail address.
    /// Reads the whole file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trace(&self, key: &str) -> Result<Traces, StoreError> {
        // Ids are in lower case in the state.
        let needle = key.to_ascii_lowercase();
        self.read("look for a person", |conn, hash_key| {
            let mut traces = Traces::default();
            for holding in HOLDINGS {
                let (columns, found): (Vec<&str>, Vec<String>) = holding.conditions().unzip();
                let mapping = holding.mapping.map_or("NULL".to_owned(), |m| format!("(SELECT name FROM mapping WHERE id = {m})"));
                let record = if holding.own.first().is_some_and(|(c, _)| *c == "source_id") { "source_id" } else { "NULL" };
                let sql = format!(
                    "SELECT {mapping}, {}, {record}, {} FROM {} WHERE {}",
                    holding.label,
                    found.join(", "),
                    holding.table,
                    format_args!("({}) AND ?2 IS NOT NULL AND ?3 IS NOT NULL", holding.anywhere())
                );
                let mut statement = conn.prepare(&sql)?;
                let mut rows = statement.query(params![needle, key, super::kept::hash(hash_key, key)])?;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    count += 1;
                    let record: Option<String> = row.get(2)?;
                    traces.records.extend(record.clone());
                    if count <= NAMED as u64 {
                        let mut hit = Vec::new();
                        for (at, column) in columns.iter().enumerate() {
                            if row.get::<_, Option<bool>>(3 + at)?.unwrap_or(false) {
                                hit.push(*column);
                            }
                        }
                        let label = row.get_ref(1)?;
                        let label = label.as_str().map_or_else(|_| label.as_i64().unwrap_or_default().to_string(), str::to_owned);
                        traces.found.push(Trace {
                            table: holding.table,
                            what: holding.what,
                            mapping: row.get(0)?,
                            row: label,
                            record,
                            columns: hit,
                        });
                    }
                }
                if count > 0 {
                    traces.counts.insert(holding.table, count);
                }
            }
            // The contact that another one was merged into is an id too.
            for table in HOLDINGS.iter().filter(|h| h.text.iter().all(|column| *column == "master")).map(|h| h.table) {
                let rows: i64 = conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
                if rows > 0 {
                    traces.by_id_only.insert(table, rows.unsigned_abs());
                }
            }
            let at: Option<i64> = conn
                .query_row("SELECT at FROM forgotten WHERE id_hash = ?1", [super::forgotten::hash(hash_key, key)], |row| row.get(0))
                .optional()?;
            traces.forgotten_at = at.map(instant);
            Ok(traces)
        })
    }

    /// Removes every trace of a source record, by its id or a target record's key, and leaves a tombstone, so that nothing of it
    /// is stored again. One transaction; then the log of the state file is emptied.
    ///
    /// # Errors
    /// [`StoreError::InFlight`] while a running process has an operation of the record in its hands;
    /// [`StoreError::Ambiguous`] where a key belongs to several records; when the file cannot be written.
    pub fn forget(&self, key: &str) -> Result<Forgotten, StoreError> {
        // A store in memory has no other process: what is claimed is in the hands of this one.
        let running = if self.is_on_disk() { run_in_progress(self.path())? } else { Some(Holder::this_process()) };
        let mut forgotten = self.write("forget a person", |tx| {
            let mut forgotten = Forgotten { ids: tx.ids_of(key)?, ..Forgotten::default() };
            let ids: Vec<String> = forgotten.ids.iter().cloned().collect();
            if let Some(holder) = running {
                for id in &ids {
                    let claimed: bool = tx.conn.query_row(
                        "SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'claimed'
                           AND (source_id IN (?1, ?2) OR key IN (?1, ?2) OR mentions(payload, ?1)))
                         OR EXISTS (SELECT 1 FROM event AS e JOIN run AS r ON r.id = e.claimed_by
                           WHERE e.contact = ?1 AND r.ended_at IS NULL)",
                        [&id.to_lowercase(), id],
                        |row| row.get(0),
                    )?;
                    if claimed {
                        return Err(StoreError::InFlight { key: key.to_owned(), holder }.into());
                    }
                }
            }
            for id in &ids {
                tx.forget_everywhere(id, &mut forgotten)?;
            }
            for id in &forgotten.ids {
                tx.forget_id(id)?;
            }
            Ok(forgotten)
        })?;
        forgotten.log_is_empty = self.empty_log()?;
        Ok(forgotten)
    }

    /// Takes a tombstone away: the record is stored again when it changes, or by a replay. Gives whether there was one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn lift_tombstone(&self, id: &str) -> Result<bool, StoreError> {
        self.write("lift a tombstone", |tx| {
            let hash = super::forgotten::hash(&tx.key(), id);
            Ok(tx.conn.execute("DELETE FROM forgotten WHERE id_hash = ?1", [hash])? > 0)
        })
    }
}

impl Tx<'_> {
    /// The ids under which a person is to be forgotten: the source record's, and keys long enough to belong to no other person.
    fn ids_of(&self, key: &str) -> Inside<BTreeSet<String>> {
        let mut records: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut by_id = false;
        for holding in HOLDINGS.iter().filter(|h| h.own.len() == 2 && h.own[0].0 == "source_id") {
            let mut statement = self.conn.prepare(&format!("SELECT source_id, key FROM {} WHERE {}", holding.table, holding.owned()))?;
            let mut rows = statement.query([&key.to_lowercase(), key])?;
            while let Some(row) = rows.next()? {
                let (id, other): (String, Option<String>) = (row.get(0)?, row.get(1)?);
                by_id |= id.eq_ignore_ascii_case(key);
                records.entry(id).or_default().extend(other);
            }
        }
        if by_id {
            // Of the record of that id, and not of another one that happens to have it as its key.
            records.retain(|id, _| id.eq_ignore_ascii_case(key));
        }
        if records.len() > 1 {
            let records = records.into_keys().collect();
            return Err(StoreError::Ambiguous { key: key.to_owned(), records }.into());
        }
        let Some((id, keys)) = records.pop_first() else { return Ok(BTreeSet::from([key.to_owned()])) };
        let mut ids = BTreeSet::from([id.clone()]);
        for key in keys {
            let long = key.chars().count() >= LONG_ENOUGH && !super::outbox::is_keyless(&key);
            if long && !self.is_of_others(&key, &id)? {
                ids.insert(key);
            }
        }
        Ok(ids)
    }

    /// Whether another source record has a key too, in another mapping or because it has taken it over.
    fn is_of_others(&self, key: &str, id: &str) -> Inside<bool> {
        for holding in HOLDINGS.iter().filter(|h| h.own.len() == 2 && h.own[0].0 == "source_id") {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE ({}) AND source_id <> ?3)", holding.table, holding.owned());
            if self.conn.query_row(&sql, params![key.to_ascii_lowercase(), key, id], |row| row.get::<_, bool>(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn forget_everywhere(&mut self, id: &str, forgotten: &mut Forgotten) -> Inside<()> {
        let needle = &id.to_ascii_lowercase();
        // With the dead letters of its events, which are under the ids of activities.
        *forgotten.removed.entry("event").or_default() += self.forget_events(id)?;
        self.evaluate_users_of(id)?;
        for holding in HOLDINGS {
            let table = holding.table;
            if !holding.own.is_empty() {
                let removed = self.remove_rows(holding, &holding.owned(), id)?;
                *forgotten.removed.entry(table).or_default() += removed;
            }
            let texts: Vec<String> = holding.text.iter().map(|c| format!("mentions({c}, ?1)")).collect();
            if texts.is_empty() {
                continue;
            }
            let texts = texts.join(" OR ");
            match holding.otherwise {
                Removal::Row => *forgotten.removed.entry(table).or_default() += self.remove_rows(holding, &texts, id)?,
                Removal::Refetch => {
                    // Only an upsert has values; what else there is are words about it.
                    let refetched = self.conn.execute(
                        "UPDATE outbox SET op = 'refetch', payload = NULL, last_error = NULL WHERE op = 'upsert' AND mentions(payload, ?1)",
                        [needle],
                    )?;
                    let waited = self.conn.execute("UPDATE outbox SET waited = NULL WHERE mentions(waited, ?1)", [needle])?;
                    let words = self.conn.execute("UPDATE outbox SET last_error = NULL WHERE mentions(last_error, ?1)", [needle])?;
                    *forgotten.cleaned.entry(table).or_default() += (refetched + waited + words) as u64;
                }
                Removal::Words => {
                    let mut cleaned = 0;
                    for column in holding.text {
                        cleaned += self.clean(table, column, needle)?;
                    }
                    *forgotten.cleaned.entry(table).or_default() += cleaned;
                }
            }
        }
        forgotten.removed.retain(|_, n| *n > 0);
        forgotten.cleaned.retain(|_, n| *n > 0);
        Ok(())
    }

    /// Removes rows and keeps the counts of their flows right.
    fn remove_rows(&mut self, holding: &Holding, condition: &str, id: &str) -> Inside<u64> {
        let table = holding.table;
        // A condition need not use both.
        let condition = format!("({condition}) AND ?2 IS NOT NULL AND ?3 IS NOT NULL");
        let hash = super::kept::hash(&self.key(), id);
        let values = params![id.to_lowercase(), id, hash];
        let counts: Vec<(i64, i64)> = match holding.mapping {
            Some(mapping) => {
                let counted = if table == "event" { "COUNT(*) FILTER (WHERE NOT dead)" } else { "COUNT(*)" };
                let sql = format!("SELECT {mapping}, {counted} FROM {table} WHERE {condition} GROUP BY {mapping}");
                let mut statement = self.conn.prepare(&sql)?;
                let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        };
        let removed = self.conn.execute(&format!("DELETE FROM {table} WHERE {condition}"), values)?;
        for (mapping, count) in counts {
            match table {
                "ledger" => self.tally(mapping).ledger_rows -= count,
                "outbox" | "event" => self.tally(mapping).outbox_rows -= count,
                _ => {}
            }
        }
        Ok(removed as u64)
    }

    /// Replaces an id, in upper or lower case, by other words.
    fn clean(&mut self, table: &str, column: &str, needle: &str) -> Inside<u64> {
        let texts: Vec<String> = {
            let mut statement = self.conn.prepare(&format!("SELECT DISTINCT {column} FROM {table} WHERE mentions({column}, ?1)"))?;
            statement.query_map([needle], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        let mut cleaned = 0;
        for text in texts {
            let mut changed = replace_ignoring_case(&text, needle);
            // What is there under escapes alone cannot be cut out of the text: the whole text goes.
            if crate::store::mentions(&changed, needle) {
                IN_PLACE.clone_into(&mut changed);
            }
            cleaned += self.conn.execute(&format!("UPDATE {table} SET {column} = ?2 WHERE {column} = ?1"), params![text, changed])?;
        }
        Ok(cleaned as u64)
    }
}

/// `needle` is in lower case, by ASCII's rule as SQLite's.
fn replace_ignoring_case(text: &str, needle: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(found) = lower[at..].find(needle) {
        out.push_str(&text[at..at + found]);
        out.push_str(IN_PLACE);
        at += found + needle.len();
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::db::holdings::NOBODY;
    use crate::store::{
        Change, CursorMove, EventMark, EventResult, Failure, Flags, NewEvent, PageCommit, PageOutcome, Payload, Person, RunId, RunKind,
    };

    const ADA: &str = "8f1d0000-0000-4000-8000-000000000001";
    const EVE: &str = "8f1d0000-0000-4000-8000-000000000002";

    fn payload(email: &str) -> Payload {
        let mut payload = Payload::default();
        payload.push_value("email", &serde_json::json!(email), false).unwrap();
        payload
    }

    fn upsert(id: &str, email: &str) -> Change {
        Change::Upsert { source_id: id.into(), key: id.into(), payload: payload(email) }
    }

    fn page(store: &Store, run: RunId, mapping: &str, changes: Vec<Change>) -> PageOutcome {
        let from = store.cursor_or_first(mapping, "p").unwrap();
        let to = CursorMove::Next(format!("next{}", crate::time::now().timestamp_nanos_opt().unwrap()));
        store
            .commit_page(PageCommit {
                run,
                mapping: mapping.into(),
                from,
                changes,
                rewrite: false,
                times: crate::store::PageTimes::default(),
                guard: None,
                to,
            })
            .unwrap()
    }

    /// Ada has a written record, a waiting operation in another flow and a dead letter in a third; Eve a waiting operation.
    fn store() -> (Store, RunId) {
        let store = Store::in_memory().unwrap();
        let names: Vec<String> = ["contacts", "others", "thirds"].map(str::to_owned).to_vec();
        let (run, _) = store.start_run(RunKind::Once, &names).unwrap();
        page(&store, run, "contacts", vec![upsert(ADA, "ada@example.com")]);
        let op = store.claim(run, "contacts", 10, crate::time::now()).unwrap().remove(0);
        store.settle(run, vec![op.written(true)]).unwrap();
        page(&store, run, "others", vec![upsert(ADA, "ada@example.com"), upsert(EVE, "eve@example.com")]);
        let failure = Failure {
            code: "D905".into(),
            message: "x".into(),
            response: Some("{\"no\":\"ada@example.com\"}".into()),
            ..Failure::default()
        };
        page(&store, run, "thirds", vec![Change::Reject { source_id: ADA.into(), key: None, failure }]);
        let summary = serde_json::json!({"flows": [{"rejections": [{"example": ADA.to_uppercase()}]}]});
        store.note_counters(run, &summary).unwrap();
        (store, run)
    }

    #[test]
    fn every_table_either_holds_persons_and_says_where_or_holds_no_person() {
        let store = Store::in_memory().unwrap();
        let tables: Vec<String> = store
            .read("list tables", |conn, _| {
                let mut statement = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            })
            .unwrap();
        for table in tables {
            let holds = HOLDINGS.iter().any(|h| h.table == table);
            assert!(holds != NOBODY.contains(&table.as_str()), "say of `{table}` whether it holds persons, and where");
        }
    }

    #[test]
    fn a_person_is_found_by_id_in_either_case_and_by_a_text_of_theirs() {
        let (store, _) = store();
        for key in [ADA.to_owned(), ADA.to_uppercase()] {
            let traces = store.trace(&key).unwrap();
            assert_eq!(traces.counts, BTreeMap::from([("ledger", 1), ("outbox", 1), ("dead_letter", 1), ("run", 1)]));
            assert_eq!(traces.records, BTreeSet::from([ADA.to_owned()]));
        }
        let by_address = store.trace("ADA@example.com").unwrap();
        assert_eq!(by_address.counts, BTreeMap::from([("outbox", 1), ("dead_letter", 1)]));
        assert_eq!(by_address.records, BTreeSet::from([ADA.to_owned()]));
        assert!(by_address.found.iter().any(|t| t.columns == ["response"] && t.mapping.as_deref() == Some("thirds")));
        let nobody = store.trace("unknown person").unwrap();
        assert_eq!((nobody.total(), nobody.by_id_only), (0, BTreeMap::from([("ledger", 1)])), "what no text finds is said");
    }

    #[test]
    fn a_text_of_a_person_is_found_and_removed_under_the_escapes_of_json() {
        let (store, run) = store();
        let response = r#"{"error":"no such address: zo\\u00eb\\u0040example.com of 8F1D0000\\u002d0000-4000-8000-000000000002"}"#;
        let failure = Failure { code: "D906".into(), message: "x".into(), response: Some(response.into()), ..Failure::default() };
        page(&store, run, "thirds", vec![Change::Reject { source_id: EVE.into(), key: None, failure }]);
        assert_eq!(store.trace("Zoë@example.com").unwrap().counts, BTreeMap::from([("dead_letter", 1)]));
        store.note_counters(run, &serde_json::json!({ "note": EVE.replace('-', "\\u002d") })).unwrap();
        store.forget(EVE).unwrap();
        assert_eq!((store.trace("Zoë@example.com").unwrap().total(), store.trace(EVE).unwrap().total()), (0, 0));
    }

    #[test]
    fn forgetting_removes_every_trace_keeps_the_counts_and_leaves_the_others() {
        let (store, run) = store();
        let forgotten = store.forget(ADA).unwrap();
        assert_eq!(forgotten.removed, BTreeMap::from([("ledger", 1), ("outbox", 1), ("dead_letter", 1)]));
        assert_eq!(forgotten.cleaned, BTreeMap::from([("run", 1)]));
        let traces = store.trace(ADA).unwrap();
        assert!(traces.total() == 0 && traces.forgotten_at.is_some(), "{traces:?}");
        assert_eq!(store.trace("ada@example.com").unwrap().total(), 0);
        let status = store.status().unwrap();
        let rows = |name: &str| status.mappings.iter().find(|m| m.mapping == name).map(|m| (m.ledger_rows, m.backlog.total())).unwrap();
        assert_eq!((rows("contacts"), rows("others")), ((0, 0), (0, 1)));
        assert_eq!(store.trace(EVE).unwrap().counts, BTreeMap::from([("outbox", 1)]));
        // What comes later of Ada is not stored, what comes of Eve is.
        let outcome = page(&store, run, "contacts", vec![upsert(ADA, "ada@example.com"), upsert(EVE, "eve@example.com")]);
        assert_eq!((outcome.records, outcome.upserts_queued), (2, 1));
        assert_eq!(store.trace(ADA).unwrap().total(), 0);
        // Unless it was a mistake.
        assert!(store.lift_tombstone(ADA).unwrap() && !store.lift_tombstone(ADA).unwrap());
        let outcome = page(&store, run, "contacts", vec![upsert(ADA, "ada@example.com")]);
        assert_eq!(outcome.upserts_queued, 1);
    }

    #[test]
    fn who_has_an_event_in_flight_is_not_forgotten_beside_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_for_run(&folder.path().join("state.db")).unwrap();
        let event = NewEvent {
            activity: "a0000000-0000-4000-8000-000000000001".to_owned(),
            contact: ADA.to_owned(),
            kind: "open".to_owned(),
            log_key: None,
            value_key: "values".to_owned(),
            payload: "{}".to_owned(),
        };
        // What a finished run had claimed is not claimed any more.
        let (old, _) = store.start_run(RunKind::Once, &["email".into()]).unwrap();
        store.take_events("email", &[event], &EventMark::None).unwrap();
        let seq = store.waiting_events("email", &["open"], 0, 10).unwrap()[0].seq;
        store.claim_events(old, "email", &[seq]).unwrap();
        let (run, _) = store.start_run(RunKind::Once, &["email".into()]).unwrap();
        store.claim_events(run, "email", &[seq]).unwrap();
        assert!(matches!(store.forget(ADA), Err(StoreError::InFlight { .. })));
        store.settle_events(run, "email", &[(seq, EventResult::Later)]).unwrap();
        store.claim_events(old, "email", &[seq]).unwrap();
        assert_eq!(store.forget(ADA).unwrap().removed["event"], 1);
    }

    #[test]
    fn events_of_a_person_go_with_their_dead_letters() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &["email".into()]).unwrap();
        let event = |contact: &str, n: u32| NewEvent {
            activity: format!("a0000000-0000-4000-8000-{n:012}"),
            contact: contact.to_owned(),
            kind: "open".to_owned(),
            log_key: None,
            value_key: format!("values {n}"),
            payload: format!("{{\"contact\":\"{contact}\"}}"),
        };
        store.take_events("email", &[event(ADA, 1), event(ADA, 2), event(EVE, 3)], &EventMark::None).unwrap();
        let waiting = store.waiting_events("email", &["open"], 0, 10).unwrap();
        let failure = Failure { code: "D906".into(), message: "no".into(), request: Some(ADA.into()), ..Failure::default() };
        store.settle_events(run, "email", &[(waiting[0].seq, EventResult::Failed(failure))]).unwrap();
        assert_eq!(store.trace(ADA).unwrap().counts, BTreeMap::from([("event", 2), ("dead_letter", 1)]));
        let seqs: Vec<i64> = waiting.iter().map(|e| e.seq).collect();
        let claimed = store.claim_events(run, "email", &seqs).unwrap();
        assert_eq!(claimed, seqs[1..], "a dead one is not claimed");
        let back = claimed.iter().map(|seq| (*seq, EventResult::Later)).collect::<Vec<_>>();
        store.settle_events(run, "email", &back).unwrap();
        let forgotten = store.forget(ADA).unwrap();
        assert_eq!(forgotten.removed["event"], 2);
        assert_eq!(store.claim_events(run, "email", &seqs).unwrap(), seqs[2..], "what is forgotten is not written");
        assert_eq!((store.trace(ADA).unwrap().total(), store.backlog_size("email").unwrap()), (0, 1));
        store.take_events("email", &[event(ADA, 4)], &EventMark::None).unwrap();
        assert_eq!(store.trace(ADA).unwrap().total(), 0);
        assert_eq!(store.trace(EVE).unwrap().counts, BTreeMap::from([("event", 1)]));
    }

    #[test]
    fn what_was_said_of_a_persons_opt_outs_goes_too() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts("contacts.optout", "pairs").unwrap();
        store
            .write("test", |tx| {
                let mapping = tx.mapping("contacts.optout")?;
                for id in [ADA, EVE] {
                    tx.conn
                        .execute("INSERT INTO optout (mapping, source_id, c_out, c_seen) VALUES (?1, ?2, 1, 1)", params![mapping, id])?;
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(store.trace(&ADA.to_uppercase()).unwrap().counts, BTreeMap::from([("optout", 1)]));
        assert_eq!(store.forget(&ADA.to_uppercase()).unwrap().removed, BTreeMap::from([("optout", 1)]));
        assert_eq!((store.trace(ADA).unwrap().total(), store.trace(EVE).unwrap().total()), (0, 1));
        assert!(store.is_forgotten(ADA).unwrap());
    }

    #[test]
    fn kept_opt_outs_and_the_name_of_a_merged_contact_are_found_and_go_too() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts("contacts.optout", "pairs").unwrap();
        let loser = |_| (Person { owed: Flags::of(1), master: Some(ADA.to_owned()), ..Person::default() }, true);
        store.keep_optouts("contacts", "contacts.optout", EVE, Flags::of(1), loser).unwrap();
        store.keep_optouts("contacts", "contacts.optout", ADA, Flags::of(1), |_| (Person::default(), false)).unwrap();
        let counts = BTreeMap::from([("optout", 2), ("optout_kept", 1)]);
        assert_eq!(store.trace(&ADA.to_uppercase()).unwrap().counts, counts);
        let forgotten = store.forget(ADA).unwrap();
        assert_eq!(forgotten.removed, BTreeMap::from([("optout", 1), ("optout_kept", 1)]));
        assert_eq!(forgotten.cleaned, BTreeMap::from([("optout", 1)]));
        assert_eq!((store.trace(ADA).unwrap().total(), store.kept_optouts("contacts", ADA).unwrap()), (0, Flags::NONE));
        assert_eq!(store.kept_optouts("contacts", EVE).unwrap(), Flags::of(1));
    }

    #[test]
    fn a_person_who_was_never_seen_still_gets_a_tombstone() {
        let store = Store::in_memory().unwrap();
        assert!(store.forget(ADA).unwrap().removed.is_empty());
        assert!(store.is_forgotten(ADA).unwrap());
    }

    #[test]
    fn a_key_of_several_records_is_not_guessed_at() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &["a".into(), "b".into()]).unwrap();
        for (mapping, id) in [("a", ADA), ("b", EVE)] {
            page(&store, run, mapping, vec![Change::Upsert { source_id: id.into(), key: "CUSTOMER-1".into(), payload: payload("x") }]);
        }
        let error = store.forget("CUSTOMER-1").unwrap_err();
        assert!(matches!(&error, StoreError::Ambiguous { records, .. } if records.len() == 2), "{error}");
        let forgotten = store.forget(ADA).unwrap();
        assert!(forgotten.ids.contains(ADA));
        assert_eq!(store.trace(EVE).unwrap().counts, BTreeMap::from([("outbox", 1)]), "the other record of that key stays");
    }

    #[test]
    fn the_tables_of_millions_of_rows_are_looked_up_and_not_searched() {
        let store = Store::in_memory().unwrap();
        for holding in HOLDINGS.iter().filter(|h| ["ledger", "event", "optout", "link", "link_wait"].contains(&h.table)) {
            let plan: Vec<String> = store
                .read("explain a query", |conn, _| {
                    let sql = format!("EXPLAIN QUERY PLAN DELETE FROM {} WHERE ({}) AND ?2 IS NOT NULL", holding.table, holding.owned());
                    let mut statement = conn.prepare(&sql)?;
                    Ok(statement.query_map(["x", "X"], |row| row.get(3))?.collect::<Result<_, _>>()?)
                })
                .unwrap();
            assert!(!plan.iter().any(|step| step.starts_with(&format!("SCAN {}", holding.table))), "{plan:?}");
        }
    }

    #[test]
    fn words_go_in_upper_and_lower_case() {
        assert_eq!(replace_ignoring_case("a ABC-1 b abc-1", "abc-1"), "a (forgotten) b (forgotten)");
        assert_eq!(replace_ignoring_case("äöü", "abc"), "äöü");
    }
}
