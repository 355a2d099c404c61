//! Errors within a transaction, and what SQLite's errors are for users of a port.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::{FailureKind, StoreError};

/// An error of SQLite, with what was being done.
pub(super) fn failed(path: &Path, doing: &'static str, source: rusqlite::Error) -> StoreError {
    StoreError::Failed { place: path.into(), doing, kind: kind(&source), source: Box::new(source) }
}

fn kind(error: &rusqlite::Error) -> FailureKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => FailureKind::Busy,
        Some(ErrorCode::DiskFull) => FailureKind::Full,
        Some(ErrorCode::SystemIoFailure) => FailureKind::Disk,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => FailureKind::Denied,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => FailureKind::Damaged,
        _ => FailureKind::Other,
    }
}

/// What the insides of a transaction return: SQLite's own error still without context, or one of ours.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    State(Box<StoreError>),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::State(Box::new(error))
    }
}

pub(super) type Inside<T> = Result<T, Fault>;

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_refusal_of_sqlite_is_of_a_kind_and_says_what_to_do() {
        for (code, kind, remedy) in [
            (ffi::SQLITE_BUSY, FailureKind::Busy, "close it and try again"),
            (ffi::SQLITE_LOCKED, FailureKind::Busy, "close it and try again"),
            (ffi::SQLITE_FULL, FailureKind::Full, "free some space"),
            (ffi::SQLITE_IOERR_WRITE, FailureKind::Disk, "check that disk"),
            (ffi::SQLITE_READONLY, FailureKind::Denied, "check the rights"),
            (ffi::SQLITE_PERM, FailureKind::Denied, "check the rights"),
            (ffi::SQLITE_CANTOPEN, FailureKind::Denied, "check the rights"),
            (ffi::SQLITE_CORRUPT, FailureKind::Damaged, "restore it from a copy"),
            (ffi::SQLITE_NOTADB, FailureKind::Damaged, "restore it from a copy"),
            (ffi::SQLITE_CONSTRAINT, FailureKind::Other, "failed to write"),
        ] {
            let error = failed(Path::new("s"), "write", rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert!(matches!(error, StoreError::Failed { kind: found, .. } if found == kind), "{error:?}");
            assert!(error.to_string().contains(remedy), "{error}");
            assert_eq!(error.needs_person(), kind == FailureKind::Damaged);
        }
    }
}
