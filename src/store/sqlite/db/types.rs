//! How run numbers, words and instants are spelled in the file.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::store::{
    Approval, AuditResult, HeldCause, LONGEST_POSTPONEMENT, Op, OptoutStage, PairSide, Phase, Reason, RunId, RunKind, RunOutcome, Wish,
    WorkflowState,
};
use crate::time::Instant;

impl ToSql for RunId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for RunId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(RunId)
    }
}

/// An enum is its word in the file, so that a person with the `sqlite3` shell can read it.
macro_rules! stored_as_words {
    ($($name:ident),+ $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let word = value.as_str()?;
                $name::from_word(word).ok_or_else(|| unknown_word(stringify!($name), word))
            }
        }
    )+};
}

stored_as_words!(Approval, AuditResult, HeldCause, Op, OptoutStage, PairSide, Phase, Reason, RunKind, RunOutcome, Wish, WorkflowState,);

fn unknown_word(of: &str, word: &str) -> FromSqlError {
    FromSqlError::Other(format!("`{word}` is not a {of}").into())
}

/// The latest time to which anything can have been postponed, in milliseconds. A later one was written while the clock ran ahead
/// and was set back since; what has it is due, or it would wait for as long as the clock was wrong.
pub(super) fn latest_postponement(now: Instant) -> i64 {
    millis(now + LONGEST_POSTPONEMENT)
}

/// `not_before` of an operation that waits until a person approves it: the last day of the year 9999.
pub(super) const HELD: i64 = 253_402_214_400_000;

/// An instant as the file holds it: milliseconds since 1970 in UTC.
pub(super) fn millis(instant: Instant) -> i64 {
    instant.timestamp_millis()
}

/// The reverse of [`millis`]; a number that is not a date (a damaged file) shows as 1970.
pub(super) fn instant(millis: i64) -> Instant {
    Instant::from_timestamp_millis(millis).unwrap_or_default()
}
