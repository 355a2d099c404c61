//! One runner per state file: an OS lock on a file beside it, which the system releases when the process dies, however it dies.
//!
//! On Linux the state file itself is locked as well, so that a lock file which somebody removes lets no second runner in. That
//! lock (`flock`) and SQLite's (`fcntl`) do not know each other there. Elsewhere they do, or a lock keeps others from reading, so
//! that the lock file has to do.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::place::{expect_own, leads_to, open_private, refused};
use crate::store::{Holder, StoreError, Trouble};
use crate::time::now;

impl Holder {
    /// This process, from now on.
    pub(super) fn this_process() -> Holder {
        Holder { pid: Some(std::process::id()), host: Some(host_name()), started_at: Some(now()), trouble: None }
    }
}

/// The usual size of a lock file: one block of most file systems has room for it.
const LOCK_FILE_BYTES: usize = 1024;
/// The characters that are kept of a reason, so that the text fits into the file.
const LONGEST_REASON: usize = 600;

/// The lock, held as long as this lives. It must outlive the connection: when a process closes any descriptor of a file, the
/// system drops all `fcntl` locks that the process has on the file, SQLite's too.
#[derive(Debug)]
pub(super) struct RunLock {
    beside: File,
    /// The state file, on Linux.
    itself: Option<File>,
    pub holder: Holder,
}

/// `state.db` → `state.db.lock`.
fn lock_path(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// How often the lock file is opened again if it was replaced between opening and locking it.
const ATTEMPTS: usize = 10;

impl RunLock {
    /// Locks the state file of a resolved path, and creates it empty if it is missing.
    pub fn take(state: &Path) -> Result<Self, StoreError> {
        let path = lock_path(state);
        let io = |source| StoreError::Io { place: path.as_path().into(), source };
        let beside = RunLock::lock_beside(state, &path)?;
        let itself = if cfg!(any(target_os = "linux", target_os = "android")) { Some(RunLock::lock_itself(state)?) } else { None };
        let holder = Holder::this_process();
        // The text is for people only; the lock is what counts. The file is not removed at the end: that would let a third
        // process lock a new file of the same name while a second still waits for the old one.
        let mut lock = RunLock { beside, itself, holder };
        lock.write().map_err(io)?;
        Ok(lock)
    }

    /// Says in the lock file what keeps this process from writing the state file, or that nothing does (any more).
    pub fn note_trouble(&mut self, reason: Option<&str>) {
        let since = self.holder.trouble.as_ref().map_or_else(now, |trouble| trouble.since);
        self.holder.trouble = reason.map(|reason| Trouble { since, reason: reason.chars().take(LONGEST_REASON).collect() });
        if let Err(error) = self.write() {
            tracing::warn!(%error, "the lock file could not be written");
        }
    }

    /// Overwrites the text and fills it up with spaces. The file seldom gets longer: in place it can be written on a full disk too.
    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_string(&self.holder).unwrap_or_default();
        let text = format!("{text:<LOCK_FILE_BYTES$}");
        self.beside.seek(SeekFrom::Start(0))?;
        self.beside.write_all(text.as_bytes())?;
        self.beside.set_len(text.len() as u64)?;
        self.beside.flush()
    }

    fn lock_beside(state: &Path, path: &Path) -> Result<File, StoreError> {
        let io = |source| StoreError::Io { place: path.into(), source };
        for _ in 0..ATTEMPTS {
            // Not emptied on opening: until the lock is ours the text belongs to its holder.
            let mut file = open_private(path, true).map_err(|source| refused(path, source))?;
            expect_own(path, &file)?;
            match file.try_lock() {
                Ok(()) if leads_to(path, &file).map_err(io)? => return Ok(file),
                // Somebody removed the file after it was opened: the lock on it keeps no process out.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { place: state.into(), holder: read_holder(&mut file) }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        Err(io(std::io::Error::other("another process keeps replacing the lock file")))
    }

    fn lock_itself(state: &Path) -> Result<File, StoreError> {
        let file = open_private(state, true).map_err(|source| refused(state, source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            // Its lock file was removed, and with it the name of its process.
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { place: state.into(), holder: Holder::unknown() }),
            Err(TryLockError::Error(source)) => Err(StoreError::Io { place: state.into(), source }),
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Closing the files would do, unless a child process that is being started at this moment still has them open.
        if let Some(itself) = &self.itself {
            let _ = itself.unlock();
        }
        let _ = self.beside.unlock();
    }
}

/// On Windows a locked file cannot be read by others: then the holder stays nameless.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    match file.take(4096).read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).unwrap_or(Holder::unknown()),
        Err(_) => Holder::unknown(),
    }
}

/// The machine's name without a dependency for it; it is shown to people and decides nothing.
pub(super) fn host_name() -> String {
    let from_file = ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    let name = from_file.or_else(|| ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok()));
    match name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        Some(_) | None => "an unnamed host".to_owned(),
    }
}

/// Returns the process that runs on a state file at this moment, if any. Changes nothing: the check takes a shared lock for an
/// instant, and a run that begins in that very instant is refused and may be started again.
///
/// # Errors
/// [`StoreError::Io`] when the lock file is there and cannot be opened or locked.
pub fn run_in_progress(state: &Path) -> Result<Option<Holder>, StoreError> {
    let path = lock_path(&super::place::resolve(state)?.path);
    let io = |source| StoreError::Io { place: path.as_path().into(), source };
    let mut file = match open_private(&path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            // As with a run's lock, not left to the closing of the file.
            let _ = file.unlock();
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => Ok(Some(read_holder(&mut file))),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}
