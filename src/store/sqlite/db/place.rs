//! Where the state file is: one path for one file, whatever name it is reached by, and files that their owner alone can read.
//!
//! SQLite keeps its log beside the name by which a file was opened. Two names of one file are two logs, and two runners that
//! each believe to be alone; so a symbolic link is resolved first, and a file with a second name (a hard link) is refused.

use crate::store::StoreError;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A resolved path of the state file.
#[derive(Debug)]
pub(super) struct Place {
    /// Without symbolic links.
    pub path: PathBuf,
    /// The configured path is itself a symbolic link. The file it leads to must be a state file already: an empty one may be
    /// anybody's.
    pub linked: bool,
}

/// Resolves the configured path, and creates the folder of the file if it is missing.
///
/// # Errors
/// [`StoreError::Unsafe`] if the path leads to something that must not be written to; [`StoreError::Io`].
pub(super) fn resolve_or_make_folder(path: &Path) -> Result<Place, StoreError> {
    if let Some(folder) = folder_of(path) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|source| io(path, source))?;
    }
    resolve(path)
}

/// Resolves the configured path.
///
/// # Errors
/// [`StoreError::Unsafe`] if the path leads to something that must not be written to; [`StoreError::Io`].
pub(super) fn resolve(path: &Path) -> Result<Place, StoreError> {
    let refuse = |what: &str, fix: &str| Err(StoreError::Unsafe { place: path.into(), what: what.to_owned(), fix: fix.to_owned() });
    let named = in_resolved_folder(path)?;
    let linked = match std::fs::symlink_metadata(&named) {
        Ok(found) => found.file_type().is_symlink(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place { path: named, linked: false }),
        Err(source) => return Err(io(path, source)),
    };
    let resolved = if linked {
        match std::fs::canonicalize(&named) {
            Ok(resolved) => resolved,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return refuse(
                    "is a symbolic link to a file that does not exist",
                    "remove the link, or set `state` to the path of the file itself",
                );
            }
            Err(source) => return Err(io(path, source)),
        }
    } else {
        named
    };
    let found = std::fs::symlink_metadata(&resolved).map_err(|source| io(path, source))?;
    if !found.is_file() {
        return refuse("is not a regular file", "set another `state` path");
    }
    if names_of(&found) > 1 {
        return refuse(
            "has a second name (a hard link), and SQLite would keep a separate log for each name",
            "remove the other name, or copy the file instead of linking it",
        );
    }
    if linked && found.len() == 0 {
        return refuse(
            "is a symbolic link to an empty file that d365map did not create",
            "remove the link, or set `state` to the path of the file itself",
        );
    }
    Ok(Place { path: resolved, linked })
}

/// The path with its folder resolved. On Windows it stays as it is: resolved paths take a form there that not every program
/// understands.
fn in_resolved_folder(path: &Path) -> Result<PathBuf, StoreError> {
    if cfg!(windows) {
        return Ok(path.to_owned());
    }
    let folder = folder_of(path).unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else {
        return Err(io(path, std::io::Error::new(ErrorKind::InvalidInput, "the path does not end with a file name")));
    };
    match std::fs::canonicalize(folder) {
        Ok(folder) => Ok(folder.join(name)),
        // Nothing is there to be linked.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path.to_owned()),
        Err(source) => Err(io(path, source)),
    }
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(unix)]
fn names_of(found: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(found)
}

#[cfg(not(unix))]
fn names_of(_: &std::fs::Metadata) -> u64 {
    1
}

/// Whether a path still leads to the file that was opened.
#[cfg(unix)]
pub(super) fn leads_to(path: &Path, file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a path still leads to the file that was opened: a file that is open cannot be replaced on Windows.
#[cfg(not(unix))]
pub(super) fn leads_to(_: &Path, _: &File) -> std::io::Result<bool> {
    Ok(true)
}

/// Opens a file for reading and writing, and creates it for its owner alone if it is missing. Empties nothing, and follows no
/// symbolic link in the last part of the path.
pub(super) fn open_private(path: &Path, create: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // NONBLOCK: to open a pipe must not hang.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

/// Refuses what is not a regular file with one name: its text is about to be replaced.
pub(super) fn expect_own(path: &Path, file: &File) -> Result<(), StoreError> {
    let found = file.metadata().map_err(|source| io(path, source))?;
    if found.is_file() && names_of(&found) <= 1 {
        return Ok(());
    }
    Err(StoreError::Unsafe {
        place: path.into(),
        what: "is not a regular file with a single name".to_owned(),
        fix: "remove it: d365map creates it again".to_owned(),
    })
}

/// The error of [`open_private`] in words, if a link is why.
pub(super) fn refused(path: &Path, source: std::io::Error) -> StoreError {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink()) {
        return StoreError::Unsafe {
            place: path.into(),
            what: "is a symbolic link".to_owned(),
            fix: "remove it: d365map creates it again".to_owned(),
        };
    }
    io(path, source)
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { place: path.into(), source }
}
