//! This machine: whether the state can be written, is not damaged, not held by a run, and whether there is room for it.

use std::path::{Path, PathBuf};

use super::Bench;
use crate::count::counted;
use crate::store::{Holder, Status, StoreError};
use crate::time;

/// Free space below which a run is likely to stop: SQLite's log alone may grow to 64 MiB before it is folded in.
const LITTLE: u64 = 256 * 1024 * 1024;
/// Room below which nothing works.
const NONE: u64 = 16 * 1024 * 1024;

/// What the store itself says.
pub struct Found {
    /// The state of all workflows.
    pub status: Result<Status, StoreError>,
    /// The process that runs now, if there is one.
    pub running: Result<Option<Holder>, StoreError>,
}

/// Examines the state file and where it lies. `found` is missing if the store could not be asked.
pub fn examine(bench: &mut Bench, state: &Path, found: Option<Found>) {
    folder(bench, state);
    if let Some(found) = found {
        file(bench, state, found.status);
        lock(bench, found.running);
    }
    room(bench, state);
}

/// The nearest folder that exists.
fn existing(state: &Path) -> PathBuf {
    let mut folder = state.parent().unwrap_or(Path::new("."));
    while !folder.exists() {
        match folder.parent() {
            Some(above) => folder = above,
            None => break,
        }
    }
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() }
}

fn folder(bench: &mut Bench, state: &Path) {
    let (id, subject) = ("machine.folder", "state folder");
    let folder = existing(state);
    // Permissions and owners do not tell it all (read-only mounts, quotas), so a file is made and taken away again.
    let trial = folder.join(format!(".d365map-doctor.{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&trial).and_then(|mut file| {
        use std::io::Write as _;
        file.write_all(b"x")
    });
    let _ = std::fs::remove_file(&trial);
    match made {
        Ok(()) => bench.ok(id, subject, format!("{} can be written to", folder.display())),
        Err(error) => bench.fail(
            id,
            subject,
            format!("{} cannot be written to: {error}", folder.display()),
            "give this user write permission there, or set `state:` in the project file to another place on a local disk",
        ),
    }
}

fn file(bench: &mut Bench, state: &Path, status: Result<Status, StoreError>) {
    let (id, subject) = ("machine.state", "state");
    if !state.exists() {
        bench.ok(id, subject, "none yet: the first run creates it");
        return;
    }
    let status = match status {
        Ok(status) => status,
        Err(error @ StoreError::OlderFormat { .. }) => {
            bench.ok(id, subject, error.to_string());
            return;
        }
        Err(error) => {
            let text = error.to_string();
            let (cause, mend) = text.split_once("; ").map_or((text.as_str(), "restore it from a copy, or remove it"), |(c, m)| (c, m));
            bench.fail(id, subject, cause, mend);
            return;
        }
    };
    if open_to_all(state) {
        bench.warn(
            id,
            subject,
            format!("others on this machine can read {}, which holds people's data", state.display()),
            "`chmod 600` the file",
        );
        return;
    }
    // A file that was written later than now: the clock went back, or the file comes from a machine with another clock.
    if let Some(run) = &status.last_run
        && let ahead = (run.started_at - time::now()).num_seconds()
        && ahead > 60
    {
        bench.warn(
            id,
            subject,
            format!("the last run starts {} from now, by this machine's clock", super::reach::span(ahead)),
            "check this machine's clock (`date -u`)",
        );
        return;
    }
    let letters: u64 = status.mappings.iter().map(|m| m.dead_letters).sum();
    let waiting: u64 = status.mappings.iter().map(|m| m.backlog.total()).sum();
    bench.ok(
        id,
        subject,
        format!(
            "can be read: {}, {} waiting, {}",
            counted(status.mappings.len(), "flow"),
            counted(waiting, "operation"),
            counted(letters, "dead letter")
        ),
    );
}

#[cfg(unix)]
fn open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) -> bool {
    false
}

fn lock(bench: &mut Bench, running: Result<Option<Holder>, StoreError>) {
    let (id, subject) = ("machine.lock", "run lock");
    match running {
        Ok(None) => bench.ok(id, subject, "no run is under way"),
        Ok(Some(holder)) => bench.warn(
            id,
            subject,
            format!("a run is under way: {holder}"),
            "another run would be refused until it ends; stop it with Ctrl-C or SIGTERM, which loses nothing",
        ),
        Err(error) => {
            let text = error.to_string();
            let (cause, mend) = text.split_once("; ").map_or((text.as_str(), "check the file's rights"), |(c, m)| (c, m));
            bench.fail(id, subject, cause, mend);
        }
    }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

fn room(bench: &mut Bench, state: &Path) {
    let (id, subject) = ("machine.disk", "disk");
    let folder = existing(state);
    let mend = "free some space, or set `state:` in the project file to another disk";
    let Some(free) = free(&folder) else {
        bench.skip(id, subject, "the system does not say how much space is free");
        return;
    };
    let (id, subject, cause, few) = match free {
        0..NONE => (id, subject, format!("{} MiB are left at {}: a run would stop immediately", free >> 20, folder.display()), true),
        NONE..LITTLE => (id, subject, format!("only {} MiB are left at {}", free >> 20, folder.display()), false),
        _ => {
            bench.ok(id, subject, format!("{} are free", size(free)));
            return;
        }
    };
    if few { bench.fail(id, subject, cause, mend) } else { bench.warn(id, subject, cause, mend) }
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}
