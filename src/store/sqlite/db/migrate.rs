//! The versions of the file's format, and the way from each to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Fault, Inside};
use crate::store::{StoreError, fingerprint::HashKey};

/// "d365" in the header of the file: what makes it ours (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x6433_3635;

/// The steps; step `n` (from 0) brings format `n` to format `n + 1`. Published steps are never edited.
const STEPS: &[&str] = &[
    include_str!("schema_v1.sql"),
    include_str!("schema_v2.sql"),
    concat!(
        include_str!("schema_v3_exports.sql"),
        include_str!("schema_v3_links.sql"),
        include_str!("schema_v3_events.sql"),
        include_str!("schema_v3_optouts.sql"),
        include_str!("schema_v3_workflows.sql")
    ),
    concat!(
        include_str!("schema_v4_exports.sql"),
        include_str!("schema_v4_dead_letter.sql"),
        include_str!("schema_v4_due.sql"),
        include_str!("schema_v4_identity.sql"),
        include_str!("schema_v4_late.sql"),
        include_str!("schema_v4_mass.sql"),
        include_str!("schema_v4_optouts.sql")
    ),
    include_str!("schema_v5_environment.sql"),
    concat!(include_str!("schema_v6_notifications.sql"), include_str!("schema_v6_pairs.sql")),
    include_str!("schema_v7_pair_rows.sql"),
    include_str!("schema_v8_waited.sql"),
    include_str!("schema_v9_related.sql"),
    include_str!("schema_v10_topics.sql"),
    include_str!("schema_v11_serve.sql"),
    include_str!("schema_v12_audit.sql"),
];

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// The newest format that this program knows.
pub(super) fn newest() -> i64 {
    STEPS.len() as i64
}

/// Refuses a file that is not ours or is newer than we are; gives its format, 0 for an empty file.
pub(super) fn format_of(conn: &Connection, path: &Path) -> Inside<i64> {
    let found = pragma(conn, "user_version")?;
    if pragma(conn, "application_id")? != APPLICATION_ID {
        let tables: i64 = conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 || found != 0 {
            return Err(StoreError::Foreign { place: path.into() }.into());
        }
    }
    if found > newest() {
        return Err(StoreError::NewerFormat { place: path.into(), found, known: newest() }.into());
    }
    Ok(found)
}

/// Brings the file to the newest format, in one transaction: another process sees the old format or the new one.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Inside<()> {
    if format_of(conn, path)? == newest() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: two processes may have come here together.
    let found = format_of(&tx, path)?;
    for step in &STEPS[usize::try_from(found).unwrap_or(0)..] {
        tx.execute_batch(step)?;
    }
    if found == 0 {
        tx.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 0)", [HashKey::random().as_bytes()])?;
    }
    tx.execute_batch(&format!("PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}", newest()))?;
    tx.commit()?;
    Ok(())
}

pub(super) fn hash_key(conn: &Connection) -> Inside<HashKey> {
    let bytes: Vec<u8> = conn.query_row("SELECT value FROM meta WHERE name = 'hash_key'", [], |row| row.get(0))?;
    HashKey::from_bytes(&bytes)
        .ok_or_else(|| Fault::from(StoreError::Damaged { what: "the key of the fingerprints has the wrong length".into() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::db::Store;
    use crate::store::{Flags, Notification, OptoutStage};

    #[test]
    fn a_file_of_format_3_keeps_what_it_has_and_gets_the_newer_columns() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in &STEPS[..3] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 7)", [HashKey::random().as_bytes()]).unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO mapping (id, name, ledger_rows) VALUES (1, 'contacts', 1);
             INSERT INTO ledger (mapping, key, source_id, fingerprints, generation, written_at) VALUES (1, 'k', 's', x'', 1, 1);
             INSERT INTO cursor (mapping, phase, reason, link, generation, plan_fingerprint, updated_at) VALUES (1, 'delta', 'first', 'l', 1, 'p', 1);
             PRAGMA user_version = 3; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
        migrate(&mut conn, Path::new("state.db")).unwrap();
        assert_eq!(format_of(&conn, Path::new("state.db")).unwrap(), newest());
        let kept: (String, Option<String>, i64, String, i64) = conn
            .query_row(
                "SELECT m.name, m.identity, m.ledger_rows, c.link, c.records FROM mapping AS m JOIN cursor AS c ON c.mapping = m.id",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .unwrap();
        assert_eq!(kept, ("contacts".to_owned(), None, 1, "l".to_owned(), 0));
        for table in ["environment", "due_record"] {
            assert_eq!(conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        }
        assert_eq!(conn.query_row("SELECT full_at FROM cursor", [], |row| row.get::<_, Option<i64>>(0)).unwrap(), None);
    }

    #[test]
    fn a_file_of_format_4_keeps_the_environment_that_it_belongs_to_and_takes_further_systems() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in &STEPS[..4] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute_batch(&format!(
            "INSERT INTO environment (side, address, organization, bound_at) VALUES ('dynamics', 'https://a', 'o', 1), ('campaign', 'https://b', NULL, 2);
             PRAGMA user_version = 4; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
        let further = "INSERT INTO environment (side, address, organization, bound_at) VALUES ('partner-center', 'https://c', NULL, 3)";
        assert!(conn.execute(further, []).is_err());
        migrate(&mut conn, Path::new("state.db")).unwrap();
        conn.execute(further, []).unwrap();
        let mut sides = conn.prepare("SELECT side, address, organization, bound_at FROM environment ORDER BY bound_at").unwrap();
        let sides = sides.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let sides: Vec<(String, String, Option<String>, i64)> = sides.unwrap().collect::<Result<_, _>>().unwrap();
        let side =
            |name: &str, address: &str, organization: Option<&str>, at| (name.into(), address.into(), organization.map(Into::into), at);
        assert_eq!(
            sides,
            [
                side("dynamics", "https://a", Some("o"), 1),
                side("campaign", "https://b", None, 2),
                side("partner-center", "https://c", None, 3)
            ]
        );
    }

    #[test]
    fn a_file_of_format_5_keeps_what_it_has_and_takes_notifications() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let conn = Connection::open(&path).unwrap();
        for step in &STEPS[..5] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 7)", [HashKey::random().as_bytes()]).unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO environment (side, address, organization, bound_at) VALUES ('dynamics', 'https://a', 'o', 1);
             PRAGMA user_version = 5; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
        drop(conn);
        let store = Store::open(&path).unwrap();
        let notification = Notification { event: "e".to_owned(), resource: "r".to_owned(), changed: "c".to_owned() };
        assert!(store.take_notification(&notification, crate::time::now()).unwrap());
        let kept: String =
            store.read("test", |conn, _| Ok(conn.query_row("SELECT address FROM environment", [], |row| row.get(0))?)).unwrap();
        assert_eq!(kept, "https://a");
    }

    #[test]
    fn a_file_of_format_5_gets_tables_of_pairs_and_keeps_what_it_has() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in &STEPS[..5] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute_batch(&format!(
            "INSERT INTO mapping (id, name) VALUES (1, 'referrals'); PRAGMA user_version = 5; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
        migrate(&mut conn, Path::new("state.db")).unwrap();
        let pair = "INSERT INTO pair (mapping, anchor, left_id, right_id) VALUES (1, ?1, ?2, ?3)";
        conn.execute(pair, ["l", "l", "r"]).unwrap();
        assert!(conn.execute(pair, ["x", "x", "r"]).is_err(), "an opportunity belongs to one pair");
        assert!(conn.execute(pair, rusqlite::params!["y", None::<String>, None::<String>]).is_err(), "a pair has a record");
        conn.execute("INSERT INTO pair_cursor (mapping, side, plan) VALUES (1, 'left', 'p')", []).unwrap();
        assert_eq!(conn.query_row("SELECT name FROM mapping", [], |row| row.get::<_, String>(0)).unwrap(), "referrals");
    }

    /// A file as format 3 left it: a mapping and its opt-outs, in the middle of their work.
    fn format_3(path: &Path) {
        let conn = Connection::open(path).unwrap();
        for step in &STEPS[..3] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 7)", [HashKey::random().as_bytes()]).unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO mapping (id, name, ledger_rows, outbox_rows) VALUES (1, 'contacts', 1, 0), (2, 'contacts.optout', 0, 1);
             INSERT INTO ledger (mapping, key, source_id, fingerprints, doubtful, generation, written_at)
               VALUES (1, 'both', 'both', x'', 1, 1, 1);
             INSERT INTO cursor (mapping, phase, reason, link, generation, plan_fingerprint, updated_at)
               VALUES (2, 'delta', 'first', 'link', 1, 'Bidirectional pairs', 1);
             INSERT INTO optout_flow (mapping, pairs, stage, accepted_at, contacts_at, listed_at, polled_at, full_at, high_water, warning)
               VALUES (2, 'Bidirectional pairs', 'live', 1, 2, 3, 4, 5, 6, 'no new exports');
             INSERT INTO optout (mapping, source_id, d_out, d_ours, d_changed, d_version, c_out, c_seen, c_created, consents, fresh, look,
                 raising, lowering, generation) VALUES
               (2, 'both', 3, 1, 1000, 'v1', 7, 2000, 500, '[[3,1500]]', 4, 1, 2, 8, 1),
               (2, 'contact', 2, 0, 1000, 'v1', NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1),
               (2, 'profile', NULL, 0, NULL, NULL, 1, 2000, 500, NULL, 1, 0, 0, 0, 0);
             INSERT INTO outbox (mapping, key, source_id, op, payload, with_initial, rewrite, generation, change_no, uncertain, state, claimed_by,
                 enqueued_at) VALUES (2, 'both', 'both', 'refetch', NULL, 0, 0, 0, 5, 0, 'claimed', 1, 1);
             PRAGMA user_version = 3; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
    }

    #[test]
    fn opt_outs_of_format_3_keep_their_values_and_none_of_unknown_time_may_be_lifted() {
        const FLOW: &str = "contacts.optout";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        format_3(&path);
        let before = crate::time::now();
        let store = Store::open(&path).unwrap();
        let at = |ms: i64| crate::time::Instant::from_timestamp_millis(ms).unwrap();
        let both = store.optout(FLOW, "both").unwrap().unwrap();
        let (contact, profile) = (both.contact.unwrap(), both.profile.unwrap());
        assert_eq!((contact.out.len(), contact.ours.len(), contact.changed, contact.version.as_deref()), (2, 1, at(1000), Some("v1")));
        assert_eq!((profile.out.len(), profile.seen, profile.created), (3, at(2000), Some(at(500))));
        assert_eq!(profile.consent(Flags::of(3)), Some(at(1500)));
        // It is not known when Campaign got these opt-outs: only a consent after the migration is certain to be later.
        let migrated = before..=crate::time::now() + chrono::TimeDelta::seconds(1);
        assert!(migrated.contains(&profile.no_later), "{profile:?}");
        // What was perhaps under way is known to be, and the profile is read before anything is written.
        assert_eq!((both.fresh, both.look, both.raising, both.lowering), (Flags::of(2), true, Flags::of(1), Flags::of(3)));
        // What format 3 did not have: nothing is held, owed, or handed over.
        assert_eq!((both.held, both.lifting, both.owed, both.passed, both.master), Default::default());
        let profile = store.optout(FLOW, "profile").unwrap().unwrap().profile.unwrap();
        assert!(migrated.contains(&profile.no_later), "{profile:?}");
        assert_eq!(store.optout(FLOW, "contact").unwrap().unwrap().profile, None);

        let state = store.optout_state(FLOW).unwrap().unwrap();
        assert_eq!((state.stage, state.approval, state.warning.as_deref()), (OptoutStage::Live, None, Some("no new exports")));
        // The same pairs go on; with others, or in another direction, both sides are compared again and the differences need approval.
        assert_eq!(store.begin_optouts(FLOW, "Bidirectional pairs").unwrap().0.stage, OptoutStage::Live);
        assert_eq!(store.begin_optouts(FLOW, "D365ToCampaign pairs").unwrap().0.stage, OptoutStage::Baseline);
        let both = store.optout(FLOW, "both").unwrap().unwrap();
        assert!(both.contact.is_none() && migrated.contains(&both.profile.unwrap().no_later));
    }

    #[test]
    fn records_and_kept_opt_outs_of_format_3_are_not_taken_for_more_than_is_known_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        format_3(&path);
        let store = Store::open(&path).unwrap();
        assert!(store.kept_optouts("contacts", "both").unwrap().is_empty());
        // A record of unknown state stays so: it is looked up before it is written. None is known to have been created again.
        let ledger: (i64, i64) = store
            .read("test", |conn, _| Ok(conn.query_row("SELECT doubtful, remade FROM ledger", [], |row| Ok((row.get(0)?, row.get(1)?)))?))
            .unwrap();
        assert_eq!(ledger, (1, 0));
        // A second opening changes nothing: the time of the migration is noted once.
        let noted = || store.optout("contacts.optout", "both").unwrap().unwrap().profile.unwrap().no_later;
        let first = noted();
        drop(Store::open(&path).unwrap());
        assert_eq!(noted(), first);
    }
}
