//! Words that several ports use: runs, operations, and enums with a name in the store.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of a run, unique in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(pub(super) i64);

impl RunId {
    /// The number, as `status` prints it.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An enum that is a word in a store and in output, so that a person who looks into the store can read it.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word in the store and in output.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// What a word means; `None` if it is not one of these.
            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
    };
}
pub(super) use words;

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

words! {
    /// Whether a flow reads everything or just what has changed.
    pub enum Phase {
        /// All records, page by page; the last page brings the delta link.
        Full = "full",
        /// The changes since the delta link.
        Delta = "delta",
    }
}

/// The longest time for which an operation or a page is postponed: the longest back-off of a watch, and twice the longest
/// `request-timeout-seconds` (600) while a request may still arrive, with a minute for the difference of clocks. Back-offs of operations
/// (128 s) and the longest `Retry-After` that is waited for (300 s) are within it.
pub const LONGEST_POSTPONEMENT: TimeDelta = TimeDelta::seconds(1_260);
