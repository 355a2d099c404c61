//! What a target field admits.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a target field admits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// True or false.
    Boolean,
    /// A whole number in bounds.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A decimal number in bounds with at most this many digits after the point.
    Decimal {
        /// Digits after the point.
        scale: u32,
        /// The least.
        min: Decimal,
        /// The greatest.
        max: Decimal,
    },
    /// A 64-bit floating-point number.
    Double,
    /// Text of at most this many UTF-16 code units.
    Text {
        /// The length, where there is a limit.
        max: Option<u32>,
    },
    /// A day.
    Date,
    /// An instant.
    Instant,
    /// One of these names.
    Enumeration(Vec<String>),
    /// One of these numbers.
    Options(Vec<i64>),
    /// A record of another resource, by this field of it.
    Link {
        /// The field that identifies the record.
        key: String,
    },
}

/// The range in which every number with `scale` decimals survives a 64-bit float: fifteen significant digits.
pub fn exact_in_double(scale: u32) -> (Decimal, Decimal) {
    let bound = Decimal::new(999_999_999_999_999, scale.min(28));
    (-bound, bound)
}
