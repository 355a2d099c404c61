//! What the emulators hold, kept in a folder: an SQLite file, written before each answer.
//!
//! A killed process leaves the state of the last request that was answered, or was about to be. Rows, definitions and history are kept;
//! what an administrator or a test set up (faults, limits, privileges) is not.

use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::campaign::store::World;
use super::campaign::{Campaign, keep as records};
use super::dataverse::store::Store;
use super::dataverse::{Dataverse, keep as rows};
use super::lock;

/// The file in the folder.
const FILE: &str = "emulators.sqlite";
/// Raised when a state of an earlier kind can be read no more.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tables (place INTEGER PRIMARY KEY, definition TEXT NOT NULL, valid_from INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS rows (place INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT, PRIMARY KEY (place, id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS records (resource TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (resource, id)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS history (profile INTEGER PRIMARY KEY, events TEXT NOT NULL);
";

/// The open file.
pub(super) struct Data(Mutex<Connection>);

type Sql<T> = rusqlite::Result<T>;

/// The version counter, the definitions with the versions from which delta tokens are good, and the rows.
type Organization = (u64, Vec<(String, u64)>, Vec<rows::Kept>);

/// A counter of ours never reaches the sign bit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn set(sql: &Transaction<'_>, name: &str, value: i64) -> Sql<()> {
    sql.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?.execute(params![name, value]).map(|_| ())
}

fn get(sql: &Connection, name: &str) -> Sql<Option<i64>> {
    sql.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

impl Data {
    /// Opens or makes the file in a folder. One process at a time.
    pub(super) fn open(folder: &Path) -> Result<Data, String> {
        let path = folder.join(FILE);
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        std::fs::create_dir_all(folder).map_err(|error| said(&error))?;
        let open = || -> Sql<(Connection, Option<i64>)> {
            let connection = Connection::open(&path)?;
            connection.busy_timeout(std::time::Duration::ZERO)?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // Safe against the end of the process; the machine's own end may lose the last requests.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(SCHEMA)?;
            let format = get(&connection, "format")?;
            Ok((connection, format))
        };
        let (connection, format) = open().map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                format!("{}: another process uses it; end it, or take another folder", path.display())
            }
            _ => said(&error),
        })?;
        match format {
            None | Some(FORMAT) => Ok(Data(Mutex::new(connection))),
            Some(other) => Err(format!("{}: its format is {other}, this version reads {FORMAT}; take another folder", path.display())),
        }
    }

    /// Dataverse's organization as it was kept; none in a new file.
    pub(super) fn organization(&self, users: Vec<Uuid>) -> Result<Option<Store>, String> {
        let sql = lock(&self.0);
        let read = || -> Sql<Option<Organization>> {
            let Some(version) = get(&sql, "version")? else { return Ok(None) };
            let mut query = sql.prepare("SELECT definition, valid_from FROM tables ORDER BY place")?;
            let tables = query.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?.collect::<Sql<_>>()?;
            let mut query = sql.prepare("SELECT place, id, version, body FROM rows")?;
            let row = |row: &rusqlite::Row<'_>| -> Sql<rows::Kept> {
                let id: String = row.get(1)?;
                let id = Uuid::try_parse(&id)
                    .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, error.into()))?;
                Ok((usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX), id, unsigned(row.get(2)?), row.get(3)?))
            };
            let kept = query.query_map([], row)?.collect::<Sql<_>>()?;
            Ok(Some((unsigned(version), tables, kept)))
        };
        match read().map_err(|error| format!("the kept state cannot be read: {error}"))? {
            None => Ok(None),
            Some((version, tables, kept)) => Store::restore(version, tables, kept, users).map(Some),
        }
    }

    /// Campaign's records as they were kept, into a world of the seed's definitions. Whether there were any.
    pub(super) fn instance(&self, world: &mut World) -> Result<bool, String> {
        let sql = lock(&self.0);
        let read = || -> Sql<Option<records::Changes>> {
            let (Some(next), Some(epoch)) = (get(&sql, "next")?, get(&sql, "epoch")?) else { return Ok(None) };
            let mut query = sql.prepare("SELECT resource, id, body FROM records ORDER BY id")?;
            let kept = query.query_map([], |row| Ok((row.get(0)?, unsigned(row.get(1)?), row.get(2)?)))?.collect::<Sql<_>>()?;
            let mut query = sql.prepare("SELECT profile, events FROM history")?;
            let history = query.query_map([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?.collect::<Sql<_>>()?;
            Ok(Some(records::Changes { next: unsigned(next), epoch: unsigned(epoch), records: kept, history: Some(history) }))
        };
        match read().map_err(|error| format!("the kept state cannot be read: {error}"))? {
            None => Ok(false),
            Some(kept) => world.restore(kept).map(|()| true),
        }
    }

    /// Writes what changed since the last time.
    pub(super) fn save(&self, dataverse: &Dataverse, campaign: &Campaign) -> Result<(), String> {
        // The file first: of two requests, the later one to come here writes the later state.
        let mut sql = lock(&self.0);
        let organization = super::write(&dataverse.store).changes()?;
        let instance = super::write(&campaign.world).changes()?;
        let mut write = || -> Sql<()> {
            let sql = sql.transaction()?;
            set(&sql, "format", FORMAT)?;
            set(&sql, "version", signed(organization.version))?;
            if let Some(tables) = &organization.tables {
                for (place, (definition, valid_from)) in tables.iter().enumerate() {
                    sql.prepare_cached("INSERT OR REPLACE INTO tables VALUES (?1, ?2, ?3)")?.execute(params![
                        signed(place as u64),
                        definition,
                        signed(*valid_from)
                    ])?;
                }
            }
            for place in &organization.dropped {
                sql.execute("DELETE FROM rows WHERE place = ?1", [signed(*place as u64)])?;
            }
            for (place, id, version, body) in &organization.rows {
                sql.prepare_cached("INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    signed(*place as u64),
                    id.to_string(),
                    signed(*version),
                    body
                ])?;
            }
            set(&sql, "next", signed(instance.next))?;
            set(&sql, "epoch", signed(instance.epoch))?;
            for (resource, id, body) in &instance.records {
                match body {
                    Some(body) => sql.prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3)")?.execute(params![
                        resource,
                        signed(*id),
                        body
                    ])?,
                    None => sql
                        .prepare_cached("DELETE FROM records WHERE resource = ?1 AND id = ?2")?
                        .execute(params![resource, signed(*id)])?,
                };
            }
            if let Some(history) = &instance.history {
                sql.execute("DELETE FROM history", [])?;
                for (profile, events) in history {
                    sql.prepare_cached("INSERT INTO history VALUES (?1, ?2)")?.execute(params![signed(*profile), events])?;
                }
            }
            sql.commit()
        };
        write().map_err(|error| format!("the state cannot be written: {error}"))
    }
}
