//! The types of values on their way from source to target.
//!
//! A type is as narrow as the schemas allow: text knows its length, numbers their range, a replaced value the few words it
//! can be. That is what lets the checker prove that nothing is lost, rather than hope so.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::constant::Const;
use super::options::ChoiceSet;
use crate::count::counted;
use crate::unicode::is_blank;

/// What a value can be at one point of its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// The type of a value that is there.
    pub ty: Ty,
    /// Whether it can be missing.
    pub nullable: bool,
}

impl Typed {
    /// A type that can be missing or not.
    pub fn new(ty: Ty, nullable: bool) -> Typed {
        Typed { ty, nullable }
    }

    /// The labels of a set's options. An option without a label has no value.
    pub fn labels(set: &ChoiceSet, nullable: bool) -> Typed {
        let words: Vec<String> = set.options.iter().filter(|o| !is_blank(&o.label)).map(|o| o.label.clone()).collect();
        let nullable = nullable || words.len() < set.options.len();
        Typed::new(Ty::Words(words), nullable)
    }
}

/// The type of a value that is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Ty {
    /// Never there: only `null`.
    Null,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// An exact decimal number.
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
    /// Text.
    Text {
        /// The most UTF-16 code units; `None` if it has no limit.
        max: Option<u32>,
    },
    /// One of these texts.
    Words(Vec<String>),
    /// A day.
    Date,
    /// An instant.
    Instant,
    /// A wall-clock time of no zone.
    Local,
    /// A GUID.
    Guid,
    /// A number of an option set.
    Choice(Arc<ChoiceSet>),
    /// Numbers of an option set, as text: `1,9`.
    Options(Arc<ChoiceSet>),
}

/// The length of a text as both systems may count it: UTF-16 code units, never fewer than characters.
pub fn length(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

impl Ty {
    /// The type of a constant.
    pub fn of_constant(value: &Const) -> Ty {
        match value {
            Const::Null => Ty::Null,
            Const::Boolean(_) => Ty::Boolean,
            Const::Integer(n) => Ty::Integer { min: *n, max: *n },
            Const::Decimal(d) => Ty::Decimal { scale: d.scale(), min: *d, max: *d },
            // Text that is empty or only white space is not a value, wherever it comes from.
            Const::Text(text) if is_blank(text) => Ty::Null,
            Const::Text(text) => Ty::Words(vec![text.clone()]),
            Const::Date(_) => Ty::Date,
            Const::Instant(_) => Ty::Instant,
        }
    }

    /// A constant in the representation of the values of this type: 0 beside a decimal is a decimal.
    pub fn represent(&self, value: Const) -> Const {
        match (value, self) {
            (Const::Integer(n), Ty::Decimal { .. }) => Const::Decimal(n.into()),
            (value, _) => value,
        }
    }

    /// In words, for diagnostics.
    pub fn describe(&self) -> String {
        match self {
            Ty::Null => "no value".to_owned(),
            Ty::Boolean => "true or false".to_owned(),
            Ty::Integer { min, max } if min == max => format!("the number {min}"),
            Ty::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Ty::Decimal { scale, min, max } if min == max => format!("the number {min} with {scale} decimals"),
            Ty::Decimal { scale, min, max } => {
                format!("a number with up to {scale} decimals from {} to {}", min.normalize(), max.normalize())
            }
            Ty::Double => "a floating-point number".to_owned(),
            Ty::Text { max: Some(max) } => format!("text of up to {}", counted(*max, "character")),
            Ty::Text { max: None } => "text of any length".to_owned(),
            Ty::Words(words) => match words.as_slice() {
                [one] => format!("the text \"{one}\""),
                several => format!("one of {}", list(several.iter().map(String::as_str), 5)),
            },
            Ty::Date => "a date".to_owned(),
            Ty::Instant => "a date with time".to_owned(),
            Ty::Local => "a date with time of no time zone".to_owned(),
            Ty::Guid => "a GUID".to_owned(),
            Ty::Choice(_) => "the number of an option".to_owned(),
            Ty::Options(_) => "several options' numbers".to_owned(),
        }
    }

    /// The longest text of a text type; the outer `None` for every other type.
    pub fn as_text_max(&self) -> Option<Option<u32>> {
        match self {
            Ty::Text { max } => Some(*max),
            Ty::Words(words) => Some(Some(words.iter().map(|w| length(w)).max().unwrap_or(0))),
            _ => None,
        }
    }

    /// The longest text that a value of this type becomes; the outer `None` where it becomes none without a loss.
    pub fn text_length(&self) -> Option<Option<u32>> {
        Some(match self {
            Ty::Null => Some(0),
            Ty::Boolean => Some(5),
            Ty::Integer { min, max } => Some(length(&min.to_string()).max(length(&max.to_string()))),
            Ty::Decimal { scale, min, max } => {
                // A number between -1 and 0 has a sign that its whole part does not show.
                let whole = |d: &Decimal| length(&d.trunc().abs().to_string()) + u32::from(d.is_sign_negative());
                Some(whole(min).max(whole(max)) + if *scale > 0 { scale + 1 } else { 0 })
            }
            Ty::Double => Some(24),
            Ty::Text { .. } | Ty::Words(_) => return self.as_text_max(),
            Ty::Date => Some(10),
            Ty::Instant => Some(30),
            Ty::Local => Some(29),
            Ty::Guid => Some(36),
            Ty::Choice(set) => Some(set.options.iter().map(|o| length(&o.value.to_string())).max().unwrap_or(0)),
            Ty::Options(set) => Some(set.options.iter().map(|o| length(&o.value.to_string()) + 1).sum()),
        })
    }

    /// The type of values that come from either; `None` where the two have nothing in common.
    pub fn join(&self, other: &Ty) -> Option<Ty> {
        Some(match (self, other) {
            (a, b) if a == b => a.clone(),
            (Ty::Null, b) => b.clone(),
            (a, Ty::Null) => a.clone(),
            (Ty::Words(a), Ty::Words(b)) => {
                let mut words = a.clone();
                words.extend(b.iter().filter(|w| !a.contains(w)).cloned());
                Ty::Words(words)
            }
            (Ty::Text { .. } | Ty::Words(_), Ty::Text { .. } | Ty::Words(_)) => {
                let max = match (self.as_text_max()?, other.as_text_max()?) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
                Ty::Text { max }
            }
            (Ty::Integer { min: a, max: b }, Ty::Integer { min: c, max: d }) => Ty::Integer { min: *a.min(c), max: *b.max(d) },
            (Ty::Integer { .. } | Ty::Decimal { .. }, Ty::Integer { .. } | Ty::Decimal { .. }) => {
                let (a, b, c) = self.as_decimal()?;
                let (d, e, f) = other.as_decimal()?;
                Ty::Decimal { scale: a.max(d), min: b.min(e), max: c.max(f) }
            }
            (Ty::Choice(set), Ty::Integer { min, max }) | (Ty::Integer { min, max }, Ty::Choice(set)) => {
                let (low, high) = choice_range(set);
                Ty::Integer { min: low.min(*min), max: high.max(*max) }
            }
            (Ty::Choice(a), Ty::Choice(b)) => {
                let ((a, b), (c, d)) = (choice_range(a), choice_range(b));
                Ty::Integer { min: a.min(c), max: b.max(d) }
            }
            (Ty::Date | Ty::Instant, Ty::Date | Ty::Instant) => Ty::Instant,
            _ => return None,
        })
    }

    fn as_decimal(&self) -> Option<(u32, Decimal, Decimal)> {
        match self {
            Ty::Integer { min, max } => Some((0, Decimal::from(*min), Decimal::from(*max))),
            Ty::Decimal { scale, min, max } => Some((*scale, *min, *max)),
            _ => None,
        }
    }
}

/// The least and the greatest number of a set.
pub fn choice_range(set: &ChoiceSet) -> (i64, i64) {
    let values = || set.options.iter().map(|o| o.value);
    (values().min().unwrap_or(0), values().max().unwrap_or(0))
}

/// `"a", "b" or 3 more`.
pub fn list<'a>(words: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let shown: Vec<String> = words.iter().take(most).map(|w| format!("`{w}`")).collect();
    match words.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
