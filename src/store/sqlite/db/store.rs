//! Opening the state file, and the one door through which every transaction goes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::{Fault, Inside, failed};
use super::lock::RunLock;
use super::migrate;
use super::place::{self, Place};
use super::tx::{Caches, Tx};
use crate::store::{StoreError, fingerprint::HashKey};

/// How long a statement waits for another process (`dead-letters retry` beside a running flow) to end its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The durable state: one SQLite file, one connection, one transaction at a time. A clone is the same store.
///
/// The methods block (on the disk, and on each other): call them within `spawn_blocking` from async code.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
    path: Arc<Path>,
}

struct Inner {
    conn: Connection,
    caches: Caches,
    /// The environment was compared with the one on file since the store was opened.
    bound: bool,
    lock: Option<RunLock>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the file for a run, making it where there is none, and holds its run lock until the last clone is dropped.
    ///
    /// # Errors
    /// [`StoreError::InUse`] names the process that runs on this file; the others as for [`Store::open`].
    pub fn open_for_run(path: &Path) -> Result<Store, StoreError> {
        let place = place::resolve_or_make_folder(path)?;
        // First the lock, then the file: the loser of a race must not so much as migrate it.
        let lock = RunLock::take(&place.path)?;
        let mut store = Store::open_writable(&place)?;
        store.with_lock(lock);
        Ok(store)
    }

    /// Opens the file for a command that changes it beside a run that may be going on (`dead-letters retry`, `drop`),
    /// making it where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, is not ours, or is newer than this program.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        Store::open_writable(&place::resolve_or_make_folder(path)?)
    }

    /// Opens the file for reading only (`status`, `dead-letters list`, a dry run), beside a run that may be going on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none; when it cannot be opened, is not ours, is newer or older than this program.
    pub fn open_read(path: &Path) -> Result<Store, StoreError> {
        let place = place::resolve(path)?;
        let path = &*place.path;
        if !path.exists() {
            return Err(StoreError::NotFound { place: path.into() });
        }
        // Not SQLite's read-only mode: in WAL even a reader has to write to the shared memory file. `query_only` keeps the data.
        let conn = connect(path)?;
        let found = in_context(path, "read its format", || {
            conn.busy_timeout(BUSY_TIMEOUT)?;
            conn.execute_batch("PRAGMA query_only = ON")?;
            migrate::format_of(&conn, path)
        })?;
        if found == 0 {
            // Just made, by a run that has not come to its tables yet.
            return Err(StoreError::NotFound { place: path.into() });
        }
        if found < migrate::newest() {
            return Err(StoreError::OlderFormat { place: path.into(), found, known: migrate::newest() });
        }
        Store::from_connection(conn, path)
    }

    /// A store that ends with its last clone: for tests, and for a dry run where there is no state file yet.
    ///
    /// # Errors
    /// Only when memory runs out.
    pub fn in_memory() -> Result<Store, StoreError> {
        let path = Path::new(":memory:");
        let conn = Connection::open_in_memory().map_err(|source| failed(path, "open", source))?;
        Store::prepare(conn, path)
    }

    /// A store that ends with its last clone and may be larger than the memory: what does not fit there is in a file without a name,
    /// which SQLite deletes. For a dry run.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub(super) fn temporary() -> Result<Store, StoreError> {
        let path = Path::new(":memory:");
        // An empty name: a private temporary database (SQLite, *In-Memory Databases*).
        let conn = Connection::open("").map_err(|source| failed(path, "open", source))?;
        Store::prepare(conn, path)
    }

    /// Gives a store in memory the key of the file that it copies, so that hashes in copied rows are found.
    pub(super) fn set_hash_key(&self, key: HashKey) -> Result<(), StoreError> {
        self.write("take the key of a copy", |tx| {
            tx.conn.execute("UPDATE meta SET value = ?1 WHERE name = 'hash_key'", [key.as_bytes()])?;
            Ok(())
        })?;
        self.lock().caches.key = key;
        Ok(())
    }

    /// The state file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says in the lock file what keeps this process from writing the state file, for `status`; `None` where nothing does (any more).
    pub fn note_trouble(&self, reason: Option<&str>) {
        if let Some(lock) = &mut self.lock().lock {
            lock.note_trouble(reason);
        }
    }

    /// Sets how long a write waits for another process to end its transaction; 10 seconds unless set.
    ///
    /// # Errors
    /// Never, as SQLite documents it.
    #[cfg(any(test, feature = "internals"))]
    pub fn set_busy_timeout(&self, timeout: Duration) -> Result<(), StoreError> {
        in_context(&self.path, "set how long it waits for a lock", || Ok(self.lock().conn.busy_timeout(timeout)?))
    }

    /// Whether the environment was compared with the one on file since the store was opened.
    pub fn is_bound(&self) -> bool {
        self.lock().bound
    }

    pub(super) fn set_bound(&self) {
        self.lock().bound = true;
    }

    pub(super) fn is_on_disk(&self) -> bool {
        &*self.path != Path::new(":memory:")
    }

    /// Brings everything from the log (`-wal`) into the file and empties the log, so that nothing of older pages stays in it.
    /// Gives whether that could be done: not while another process reads.
    pub(super) fn empty_log(&self) -> Result<bool, StoreError> {
        let inner = &*self.lock();
        in_context(&self.path, "empty its log", || {
            let busy: i64 = inner.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            Ok(busy == 0)
        })
    }

    fn open_writable(place: &Place) -> Result<Store, StoreError> {
        let path = &*place.path;
        make_private(path)?;
        let conn = connect(path)?;
        if place.linked && in_context(path, "read its format", || migrate::format_of(&conn, path))? == 0 {
            return Err(StoreError::Foreign { place: path.into() });
        }
        Store::prepare(conn, path)
    }

    fn prepare(mut conn: Connection, path: &Path) -> Result<Store, StoreError> {
        in_context(path, "be prepared", || {
            conn.busy_timeout(BUSY_TIMEOUT)?;
            // Whose file it is comes first: not even its journal mode is touched when it is not ours.
            migrate::format_of(&conn, path)?;
            // WAL: readers (`status`) and the writer do not wait for each other.
            //
            // synchronous=NORMAL: no fsync at each commit. A killed process loses nothing, since what was written is with the
            // operating system; a power cut can lose the last commits, but never a part of one and never one before a kept
            // one. That is safe here: the state goes back as a whole, cursor, outbox and ledger together, so the runner reads
            // the same pages again and repeats writes that have been made, and those are idempotent: upserts by key, deletes,
            // and a read of the record first if an answer is not on file.
            //
            // wal_autocheckpoint: the pages that a load writes again and again are copied into the file once per 16 MiB of log, not once
            // per 4 MiB.
            //
            // secure_delete=ON: an operation's values are overwritten once it is done, also in pages that become free; FAST
            // leaves those as they were, and with them people's names in a file that holds none by its tables.
            use_wal(&conn)?;
            conn.execute_batch(
                "PRAGMA synchronous = NORMAL;
                 PRAGMA foreign_keys = ON;
                 PRAGMA temp_store = MEMORY;
                 PRAGMA cache_size = -4096;
                 PRAGMA journal_size_limit = 67108864;
                 PRAGMA wal_autocheckpoint = 4096;
                 PRAGMA secure_delete = ON;",
            )?;
            migrate::migrate(&mut conn, path)
        })?;
        Store::from_connection(conn, path)
    }

    fn from_connection(conn: Connection, path: &Path) -> Result<Store, StoreError> {
        conn.set_prepared_statement_cache_capacity(96);
        // Otherwise statements with a parameter beside a partial index are planned again whenever the parameter changes: at each claim.
        in_context(path, "be prepared", || Ok(conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?))?;
        in_context(path, "be prepared", || Ok(super::words::register(&conn)?))?;
        let key = in_context(path, "read its key", || migrate::hash_key(&conn))?;
        let caches = Caches::new(key);
        Ok(Store { inner: Arc::new(Mutex::new(Inner { conn, caches, bound: false, lock: None })), path: path.into() })
    }

    /// Sets how long a request may still reach its service after its sender has died or has given up. An operation that was in the
    /// hands of a dead sender rests for that long before it is handed out again: a write that arrives late would overwrite a newer
    /// one. Zero until it is set; [`crate::run`] sets it before each run.
    pub fn set_request_lifetime(&self, lifetime: Duration) {
        self.lock().caches.request_lifetime = chrono::TimeDelta::from_std(lifetime).unwrap_or(chrono::TimeDelta::MAX);
    }

    fn with_lock(&mut self, lock: RunLock) {
        self.lock().lock = Some(lock);
    }

    /// Refuses where another process could be running on the same file; a store in memory has no other process.
    pub(super) fn require_lock(&self) -> Result<(), StoreError> {
        if self.lock().lock.is_some() || !self.is_on_disk() { Ok(()) } else { Err(StoreError::NotLocked { place: (&*self.path).into() }) }
    }

    /// A panic inside a transaction has rolled it back on its way out; only the caches may have run ahead.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| {
            let mut guard = poisoned.into_inner();
            guard.caches.forget();
            self.inner.clear_poison();
            guard
        })
    }

    /// One writing transaction. All of `work` or nothing.
    pub(super) fn write<T>(&self, doing: &'static str, work: impl FnOnce(&mut Tx<'_>) -> Inside<T>) -> Result<T, StoreError> {
        let inner = &mut *self.lock();
        let Inner { conn, caches, .. } = inner;
        let result = in_context(&self.path, doing, || {
            // IMMEDIATE: the write lock at once, so that busy_timeout applies; a read transaction that wants to write later
            // is refused without waiting.
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut tx = Tx::new(&transaction, caches);
            let value = work(&mut tx)?;
            tx.finish()?;
            transaction.commit()?;
            Ok(value)
        });
        if result.is_err() {
            // They may know of mappings and slots that the roll-back has taken away.
            caches.forget();
        }
        result
    }

    /// One reading transaction: everything in it sees the same moment.
    pub(super) fn read<T>(&self, doing: &'static str, work: impl FnOnce(&Connection, &HashKey) -> Inside<T>) -> Result<T, StoreError> {
        let inner = &mut *self.lock();
        let Inner { conn, caches, .. } = inner;
        in_context(&self.path, doing, || {
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Deferred)?;
            let value = work(&transaction, &caches.key)?;
            transaction.finish()?;
            Ok(value)
        })
    }
}

/// Waiting and failed operations hold people's data: the file is for its owner alone. SQLite gives the files it puts
/// beside it (`-wal`, `-shm`) the same rights. A file that exists is not opened for this: to close it again would drop the
/// locks that SQLite has on it through another store of this process.
fn make_private(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    place::open_private(path, true).map(drop).map_err(|source| place::refused(path, source))
}

/// Opens a file that exists. The path is resolved, so that a link in it was put there since.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let flags = if cfg!(unix) { flags | OpenFlags::SQLITE_OPEN_NOFOLLOW } else { flags };
    Connection::open_with_flags(path, flags).map_err(|source| failed(path, "open", source))
}

fn in_context<T>(path: &Path, doing: &'static str, work: impl FnOnce() -> Inside<T>) -> Result<T, StoreError> {
    work().map_err(|fault| match fault {
        Fault::Sql(source) => failed(path, doing, source),
        Fault::State(error) => *error,
    })
}

/// Turns the write-ahead log on. SQLite refuses that at once while another process makes the file, whatever `busy_timeout` says.
fn use_wal(conn: &Connection) -> rusqlite::Result<()> {
    let ends = std::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && std::time::Instant::now() < ends => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other.map(drop),
        }
    }
}
