//! One runner per state file: an OS lock on a file beside it, which the system releases when the process dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StateError;
use crate::time::{Instant, format_instant, now};

/// Who holds the lock, as far as the lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process number; none when the lock file cannot be read.
    pub pid: Option<u32>,
    /// The machine's name.
    pub host: Option<String>,
    /// Since when.
    pub started_at: Option<Instant>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => write!(f, "another process")?,
        }
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        if let Some(started_at) = self.started_at {
            write!(f, " since {}", format_instant(started_at))?;
        }
        Ok(())
    }
}

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(super) struct RunLock {
    file: File,
    pub holder: Holder,
}

/// `state.db` → `state.db.lock`. The state file itself is not locked this way: SQLite has its own locks on it.
fn lock_path(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl RunLock {
    pub fn take(state: &Path) -> Result<Self, StateError> {
        let path = lock_path(state);
        let io = |source| StateError::Io { path: path.clone(), source };
        // Not truncated on opening: until the lock is ours the text belongs to its holder.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { path: state.to_owned(), holder: read_holder(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let holder = Holder { pid: Some(std::process::id()), host: Some(host_name()), started_at: Some(now()) };
        // The text is for people only; the lock is what counts. The file stays behind on purpose: removing it would let a
        // third process lock a new file of the same name while a second still waits on the old one.
        let text = serde_json::to_string(&holder).unwrap_or_default();
        file.set_len(0).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        file.flush().map_err(io)?;
        Ok(RunLock { file, holder })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Closing the file would do, were there no child that is being started at this moment and has the file still open.
        let _ = self.file.unlock();
    }
}

/// On Windows a locked file cannot be read by others: then the holder stays nameless.
fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let unknown = Holder { pid: None, host: None, started_at: None };
    match file.take(4096).read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).unwrap_or(unknown),
        Err(_) => unknown,
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

/// Who runs on a state file at this moment; none where nobody does. Changes nothing: a look takes a shared lock for an
/// instant, and a run that begins in that very instant is refused and may be started again.
///
/// # Errors
/// [`StateError::Io`] when the lock file is there and cannot be opened or locked.
pub fn run_in_progress(state: &Path) -> Result<Option<Holder>, StateError> {
    let path = lock_path(state);
    let io = |source| StateError::Io { path: path.clone(), source };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
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
