//! Files of people and projects, opened and written with care.
//!
//! A mapping file may come from somebody else: a pull request, a customer. Neither it nor a link beside it may make this program
//! read what does not belong to the project, or wait forever. What this program writes is there as a whole or not at all, and
//! what is private can be read by its owner alone from its first byte on.
//!
//! A test (`tests/it/architecture.rs`) forbids other ways to open a file in `src`.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Component, Path, PathBuf};

/// The largest certificate, list of host keys or other small text file, in bytes.
pub const SMALL: u64 = 4 * 1024 * 1024;

/// Opens a regular file for reading. Folders, devices, pipes and sockets are refused without waiting for them, and so are the files of
/// `/proc` and `/sys`, which look regular and hold the environment of processes.
///
/// # Errors
///
/// The file cannot be opened, or is not regular ([`ErrorKind::InvalidInput`]).
pub fn open_regular(path: &Path) -> Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default());
    let file = options.open(path).map_err(|error| if path.is_dir() { not_regular("a folder") } else { error })?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(not_regular("a folder"));
    }
    if !kind.is_file() {
        return Err(not_regular("a device, a pipe or a socket"));
    }
    if is_of_kernel(&file) {
        return Err(not_regular("a file of the kernel"));
    }
    Ok(file)
}

fn not_regular(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("this is {what}, not a regular file"))
}

#[cfg(target_os = "linux")]
fn is_of_kernel(file: &File) -> bool {
    const SYSFS: u64 = 0x6265_6572;
    let of = rustix::fs::fstatfs(file).ok().and_then(|s| u64::try_from(s.f_type).ok());
    of == u64::try_from(rustix::fs::PROC_SUPER_MAGIC).ok() || of == Some(SYSFS)
}

#[cfg(not(target_os = "linux"))]
fn is_of_kernel(_: &File) -> bool {
    false
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
///
/// As [`open_regular`], and [`ErrorKind::FileTooLarge`].
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    // The size is known before anything is read, but the file can grow meanwhile.
    let mut size = file.metadata()?.len();
    let mut bytes = Vec::new();
    if size <= most {
        file.take(most + 1).read_to_end(&mut bytes)?;
        size = bytes.len() as u64;
    }
    if size > most {
        let size = if most < 1024 * 1024 { format!("{} KiB", most / 1024) } else { format!("{} MiB", most / 1024 / 1024) };
        return Err(Error::new(ErrorKind::FileTooLarge, format!("the file is larger than {size}, the maximum for a file of this kind")));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `most` bytes as UTF-8 text.
///
/// # Errors
///
/// As [`read`], and [`ErrorKind::InvalidData`]; the error does not hold the text.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| Error::new(ErrorKind::InvalidData, "the file is not UTF-8 text"))
}

/// The resolved path of a file, if every link on the way to it stays within a folder.
///
/// # Errors
///
/// The file does not exist, or is outside ([`ErrorKind::PermissionDenied`]).
pub fn within(folder: &Path, path: &Path) -> Result<PathBuf> {
    let real = path.canonicalize()?;
    if real.starts_with(folder.canonicalize()?) {
        return Ok(real);
    }
    Err(Error::new(ErrorKind::PermissionDenied, format!("the path leads out of the project folder {}", folder.display())))
}

/// As [`within`] for a path whose end need not exist yet, such as a folder that is about to be created.
///
/// # Errors
///
/// The path is outside ([`ErrorKind::PermissionDenied`]), or ends at a link to something that does not exist
/// ([`ErrorKind::NotFound`]).
pub fn within_if_exists(folder: &Path, path: &Path) -> Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    let mut real = loop {
        match existing.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() == ErrorKind::NotFound && existing.symlink_metadata().is_err() => {
                let (Some(last), Some(above)) = (existing.components().next_back(), existing.parent()) else { return Err(error) };
                missing.push(last);
                existing = above;
            }
            Err(error) => return Err(error),
        }
    };
    for part in missing.into_iter().rev() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    if real.starts_with(folder.canonicalize()?) {
        return Ok(real);
    }
    Err(Error::new(ErrorKind::PermissionDenied, format!("the path leads out of the project folder {}", folder.display())))
}

/// Reads a regular file of at most `most` bytes that only its owner may read.
///
/// # Errors
///
/// As [`read`], and [`ErrorKind::PermissionDenied`] without a number of the system if others may read the file.
pub fn read_private(path: &Path, most: u64) -> Result<Vec<u8>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = open_regular(path)?.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::new(ErrorKind::PermissionDenied, format!("other users can read the file (mode {:o})", mode & 0o777)));
        }
    }
    read(path, most)
}

/// Locks a file against other processes, and creates it for its owner alone if it is missing; `None` if another one has the lock. The
/// lock ends when the file is dropped, or the process. The file stays: a second process may wait for it already.
///
/// # Errors
///
/// The file cannot be created, opened or locked, or it is a symbolic link.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // NONBLOCK: to open a pipe must not hang.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Creates a folder and those above it that are missing, each for its owner alone.
///
/// # Errors
///
/// As the system has it.
pub fn create_private_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// As the user's umask has it for new files; a file that is replaced keeps its own permissions.
    Shared,
    /// The owner alone, whatever the umask and the permissions of a file that is replaced: data of persons, secrets, plans.
    Private,
}

/// Writes a file as a whole or not at all: into a temporary file of the same folder, which then takes its place. Readers see the old
/// text or the new one, also after a power failure. A symbolic link at `path` is replaced, not followed: whoever made the link does not
/// decide what is overwritten.
///
/// # Errors
///
/// The folder cannot be written to, or `path` leads to something that is not a regular file ([`ErrorKind::InvalidInput`]): a device
/// such as `/dev/null` must not be replaced by a file.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<()> {
    let found = path.metadata().ok();
    match found.as_ref().map(std::fs::Metadata::file_type) {
        Some(kind) if kind.is_dir() => return Err(not_regular("a folder")),
        Some(kind) if !kind.is_file() => return Err(not_regular("a device, a pipe or a socket")),
        Some(_) | None => {}
    }
    let Some(name) = path.file_name() else { return Err(not_regular("a folder")) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // Without this, tempfile creates the file for its owner alone.
    #[cfg(unix)]
    if access == Access::Shared {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    #[cfg(unix)]
    if let (Access::Shared, Some(found)) = (access, path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)) {
        file.as_file().set_permissions(found.permissions())?;
    }
    #[cfg(not(unix))]
    let _ = (access, found);
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is on disk once the folder is. Not every file system lets a folder be opened; the file itself is still there.
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_a_pipe_does_not_hang() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for path in [&*pipe, Path::new("/dev/zero"), folder.path()] {
            assert_eq!(open_regular(path).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        #[cfg(target_os = "linux")]
        assert!(open_regular(Path::new("/proc/self/environ")).is_err());
        let file = folder.path().join("file");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(read(&file, 3).unwrap(), b"abc");
        assert_eq!(read(&file, 2).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused_and_one_inside_is_followed() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("secret"), "x").unwrap();
        std::fs::write(folder.path().join("own"), "x").unwrap();
        std::os::unix::fs::symlink(other.path().join("secret"), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("own", folder.path().join("in")).unwrap();
        assert_eq!(within(folder.path(), &folder.path().join("out")).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(within(folder.path(), &folder.path().join("in")).unwrap(), folder.path().canonicalize().unwrap().join("own"));
        assert!(within(folder.path(), &folder.path().join("../x")).is_err());
    }
    #[test]
    fn a_path_whose_end_does_not_exist_is_judged_by_what_exists_of_it() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |path: &str| within_if_exists(folder.path(), &folder.path().join(path));
        std::os::unix::fs::symlink(other.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("nothing", folder.path().join("dangling")).unwrap();
        for inside in ["schemas", "a/b/c", "a/../b", "."] {
            assert!(at(inside).is_ok(), "{inside}");
        }
        for outside in ["..", "out", "out/new", "../other", "a/../../b"] {
            assert_eq!(at(outside).unwrap_err().kind(), ErrorKind::PermissionDenied, "{outside}");
        }
        assert_eq!(at("dangling").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_written_file_has_the_permissions_of_its_kind_and_replaces_a_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        let (shared, private) = (folder.path().join("shared"), folder.path().join("private"));
        std::fs::write(&shared, "old").unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::fs::write(&private, "old").unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o644)).unwrap();
        write(&shared, b"new", Access::Shared).unwrap();
        write(&private, b"new", Access::Private).unwrap();
        assert_eq!((mode(&shared), mode(&private)), (0o640, 0o600));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&shared, &link).unwrap();
        write(&link, b"third", Access::Shared).unwrap();
        assert_eq!((std::fs::read(&link).unwrap(), std::fs::read(&shared).unwrap()), (b"third".to_vec(), b"new".to_vec()));
        assert!(link.symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_file_that_others_can_read_is_not_read_as_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        write(&path, b"x", Access::Private).unwrap();
        assert_eq!(read_private(&path, SMALL).unwrap(), b"x");
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&path, SMALL).unwrap_err().kind(), ErrorKind::PermissionDenied, "{mode:o}");
        }
    }

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let first = try_lock(&path).unwrap();
        assert!(first.is_some() && try_lock(&path).unwrap().is_none());
        drop(first);
        assert!(try_lock(&path).unwrap().is_some());
        let link = folder.path().join("b.lock");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(try_lock(&link).is_err());
    }

    #[test]
    fn only_a_regular_file_is_replaced_and_a_failed_write_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for path in [&*pipe, Path::new("/dev/null"), folder.path()] {
            assert_eq!(write(path, b"x", Access::Shared).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        assert!(write(&folder.path().join("missing/x"), b"x", Access::Shared).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
