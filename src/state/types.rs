//! The small words of the state: run numbers, operations, and how they are spelled in the file.

use chrono::TimeDelta;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// The number of a run, unique in a state file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub(super) i64);

impl RunId {
    /// The number, as `status` prints it.
    #[cfg(any(test, feature = "internals"))]
    pub fn number(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

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

/// An enum that is a word in the file, so that a person with the `sqlite3` shell can read it.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word in the state file and in output.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }

        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> { Ok(self.as_str().into()) }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                match value.as_str()? {
                    $($word => Ok($name::$variant),)+
                    other => Err($crate::state::types::unknown_word(stringify!($name), other)),
                }
            }
        }
    };
}
pub(super) use words;

pub(super) fn unknown_word(of: &str, word: &str) -> FromSqlError {
    FromSqlError::Other(format!("`{word}` is not a {of}").into())
}

words! {
    /// What an operation does at the target.
    pub enum Op {
        /// Create the record, or bring it to these values.
        Upsert = "upsert",
        /// Remove the record.
        Delete = "delete",
        /// Read the source record again, evaluate it, and queue the result: how a dead letter is retried.
        Refetch = "refetch",
    }
}

/// The longest time for which an operation or a page is postponed: the longest back-off of a watch, and the longest
/// `request-timeout-seconds` (600) while a request may still arrive, with a minute for the difference of clocks. Back-offs of operations
/// (128 s) and the longest `Retry-After` that is waited for (300 s) are within it.
pub const LONGEST_POSTPONEMENT: TimeDelta = TimeDelta::seconds(660);

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
