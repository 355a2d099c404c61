//! Files of people and projects, opened with care.
//!
//! A mapping file may come from somebody else: a pull request, a customer. Neither it nor a link beside it may make this program
//! read what is not the project's, or wait for ever.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Path, PathBuf};

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
    let file = options.open(path)?;
    if !file.metadata()?.is_file() || is_of_kernel(&file) {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
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
    let mut bytes = Vec::new();
    open_regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {} MiB", most / 1024 / 1024)));
    }
    Ok(bytes)
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
    Err(Error::new(ErrorKind::PermissionDenied, format!("outside of the project folder {}", folder.display())))
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
}
