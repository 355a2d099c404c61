//! The types of values on their way from source to target, and what converts without loss.
//!
//! A type is as narrow as the schemas allow: text knows its length, numbers their range, a replaced value the few words it
//! can be. That is what lets the checker prove that nothing is lost, rather than hope so.

use std::sync::Arc;

use rust_decimal::Decimal;

use crate::count::counted;
use crate::plan::{Const, Fit, Op};
use crate::schema::{ChoiceSet, Field, FieldType};
use crate::syntax::ast::LiteralValue;
use crate::time;
use crate::unicode::is_blank;

/// What a value can be at one point of its way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    pub(super) ty: Ty,
    /// Whether it can be missing.
    pub(super) nullable: bool,
}

impl Typed {
    pub(super) fn new(ty: Ty, nullable: bool) -> Typed {
        Typed { ty, nullable }
    }

    /// The labels of a set's options. An option without a label has no value.
    pub(super) fn labels(set: &ChoiceSet, nullable: bool) -> Typed {
        let words: Vec<String> = set.options.iter().filter(|o| !is_blank(&o.label)).map(|o| o.label.clone()).collect();
        let nullable = nullable || words.len() < set.options.len();
        Typed::new(Ty::Words(words), nullable)
    }
}

/// The type of a value that is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ty {
    /// Never there: only `null`.
    Null,
    Boolean,
    Integer {
        min: i64,
        max: i64,
    },
    Decimal {
        scale: u32,
        min: Decimal,
        max: Decimal,
    },
    Double,
    /// Text of at most `max` UTF-16 code units.
    Text {
        max: Option<u32>,
    },
    /// One of these texts.
    Words(Vec<String>),
    Date,
    Instant,
    Local,
    Guid,
    /// A number of an option set.
    Choice(Arc<ChoiceSet>),
    /// Numbers of an option set, as text: `1,9`.
    Options(Arc<ChoiceSet>),
}

/// Whole numbers that a 64-bit float holds exactly.
const EXACT_IN_DOUBLE: i64 = 1 << 53;

/// The length of a text as both systems may count it: UTF-16 code units, never fewer than characters.
pub(super) fn length(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

impl Ty {
    /// The type of a source field; `None` for what carries no single value.
    pub(super) fn of_source(field: &Field) -> Option<Ty> {
        Some(match &field.ty {
            FieldType::Boolean { .. } => Ty::Boolean,
            FieldType::Integer { min, max } => Ty::Integer { min: *min, max: *max },
            FieldType::Decimal { scale, min, max } => Ty::Decimal { scale: *scale, min: *min, max: *max },
            FieldType::Double => Ty::Double,
            FieldType::Text { max } => Ty::Text { max: *max },
            FieldType::Date => Ty::Date,
            FieldType::DateTime => Ty::Instant,
            FieldType::LocalDateTime => Ty::Local,
            FieldType::Guid | FieldType::Lookup { .. } => Ty::Guid,
            FieldType::Choice(set) => Ty::Choice(set.clone()),
            FieldType::MultiChoice(set) => Ty::Options(set.clone()),
            FieldType::Enumeration(values) => Ty::Words(values.iter().map(|v| v.name.clone()).collect()),
            FieldType::Unsupported => Ty::Text { max: None },
            FieldType::Link { .. } | FieldType::Collection { .. } | FieldType::Item(_) => return None,
        })
    }

    /// The type of a literal.
    pub(super) fn of_literal(value: &LiteralValue) -> Ty {
        match value {
            LiteralValue::Null => Ty::Null,
            LiteralValue::Boolean(_) => Ty::Boolean,
            LiteralValue::Integer(n) => Ty::Integer { min: *n, max: *n },
            LiteralValue::Decimal(d) => Ty::Decimal { scale: d.scale(), min: *d, max: *d },
            // Text that is empty or only white space is not a value, wherever it comes from.
            LiteralValue::Text(text) if is_blank(text) => Ty::Null,
            LiteralValue::Text(text) => Ty::Words(vec![text.clone()]),
            LiteralValue::Date(_) => Ty::Date,
            LiteralValue::Instant(_) => Ty::Instant,
            // A duration is no value of any field; the checker reports it before it asks for its type. A constant has its
            // value in its place long before.
            LiteralValue::Duration(n) => Ty::Words(vec![format!("{n}s")]),
            LiteralValue::Constant(name) => Ty::Words(vec![format!("${name}")]),
        }
    }

    /// In words, for diagnostics.
    pub(super) fn describe(&self) -> String {
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
            Ty::Choice(_) => "an option's number".to_owned(),
            Ty::Options(_) => "several options' numbers".to_owned(),
        }
    }

    /// The longest text of a text type; the outer `None` for every other type.
    pub(super) fn as_text_max(&self) -> Option<Option<u32>> {
        match self {
            Ty::Text { max } => Some(*max),
            Ty::Words(words) => Some(Some(words.iter().map(|w| length(w)).max().unwrap_or(0))),
            _ => None,
        }
    }

    /// The longest text that a value of this type becomes; the outer `None` where it becomes none without a loss.
    pub(super) fn text_length(&self) -> Option<Option<u32>> {
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
    pub(super) fn join(&self, other: &Ty) -> Option<Ty> {
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

pub(super) fn choice_range(set: &ChoiceSet) -> (i64, i64) {
    let values = || set.options.iter().map(|o| o.value);
    (values().min().unwrap_or(0), values().max().unwrap_or(0))
}

/// `"a", "b" or 3 more`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let shown: Vec<String> = words.iter().take(most).map(|w| format!("`{w}`")).collect();
    match words.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why a value does not fit a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// Text may be longer than the target holds: (how long, how much fits).
    TooLong(Option<u32>, u32),
    /// A number may lie outside the target's range or have more decimals.
    NumberLoss,
    /// An instant's time would be lost.
    TimeLoss,
    /// Words that the enumeration does not have.
    NotInEnumeration(Vec<String>),
    /// An option's number cannot be an enumeration's name.
    ChoiceToEnumeration,
    /// A wall-clock time names no instant.
    NoZone,
    /// Nothing converts the one into the other.
    Incompatible,
}

/// The target's side of a conversion: what it admits, for the plan; `None` for what a mapping cannot write.
pub(super) fn fit_of(ty: &FieldType) -> Option<Fit> {
    Some(match ty {
        FieldType::Boolean { .. } => Fit::Boolean,
        FieldType::Integer { min, max } => Fit::Integer { min: *min, max: *max },
        FieldType::Decimal { scale, min, max } => Fit::Decimal { scale: *scale, min: *min, max: *max },
        FieldType::Double => Fit::Double,
        FieldType::Text { max } => Fit::Text { max: *max },
        FieldType::Unsupported => Fit::Text { max: None },
        FieldType::Date => Fit::Date,
        FieldType::DateTime => Fit::Instant,
        FieldType::Enumeration(values) => Fit::Enumeration(values.iter().map(|v| v.name.clone()).collect()),
        FieldType::Guid => Fit::Text { max: Some(36) },
        FieldType::Choice(set) => Fit::Options(set.options.iter().map(|o| o.value).collect()),
        FieldType::LocalDateTime
        | FieldType::MultiChoice(_)
        | FieldType::Lookup { .. }
        | FieldType::Link { .. }
        | FieldType::Collection { .. }
        | FieldType::Item(_) => return None,
    })
}

/// The steps that turn a value into what the target holds, where nothing can be lost on the way.
pub(super) fn convert(from: &Ty, to: &Fit) -> Result<Vec<Op>, Mismatch> {
    match (from, to) {
        (Ty::Null, _) => Ok(Vec::new()),

        (_, Fit::Text { max }) => {
            let Some(longest) = from.text_length() else { return Err(Mismatch::Incompatible) };
            if let Some(max) = max
                && longest.is_none_or(|l| l > *max)
            {
                return Err(Mismatch::TooLong(longest, *max));
            }
            Ok(if matches!(from, Ty::Text { .. } | Ty::Words(_)) { Vec::new() } else { vec![Op::ToText] })
        }

        (Ty::Words(words), Fit::Enumeration(names)) => {
            let missing: Vec<String> = words.iter().filter(|w| !names.contains(w)).cloned().collect();
            if missing.is_empty() { Ok(Vec::new()) } else { Err(Mismatch::NotInEnumeration(missing)) }
        }
        (Ty::Choice(_) | Ty::Options(_) | Ty::Text { .. }, Fit::Enumeration(_)) => Err(Mismatch::ChoiceToEnumeration),

        (Ty::Choice(set), Fit::Options(values)) => {
            let missing: Vec<String> = set.options.iter().filter(|o| !values.contains(&o.value)).map(|o| o.value.to_string()).collect();
            if missing.is_empty() { Ok(Vec::new()) } else { Err(Mismatch::NotInEnumeration(missing)) }
        }
        (Ty::Integer { min, max }, Fit::Options(values)) if min == max => {
            if values.contains(min) {
                Ok(Vec::new())
            } else {
                Err(Mismatch::NotInEnumeration(vec![min.to_string()]))
            }
        }
        (_, Fit::Options(_) | Fit::Link { .. }) => Err(Mismatch::Incompatible),

        (Ty::Boolean, Fit::Boolean) | (Ty::Date, Fit::Date) | (Ty::Instant, Fit::Instant) | (Ty::Double, Fit::Double) => Ok(Vec::new()),
        (Ty::Date, Fit::Instant) => Ok(vec![Op::Midnight]),
        (Ty::Instant | Ty::Local, Fit::Date) => Err(Mismatch::TimeLoss),
        (Ty::Local, Fit::Instant) => Err(Mismatch::NoZone),

        (Ty::Choice(set), Fit::Integer { .. } | Fit::Decimal { .. } | Fit::Double) => {
            let (min, max) = choice_range(set);
            convert(&Ty::Integer { min, max }, to)
        }
        (Ty::Integer { min, max }, Fit::Integer { min: low, max: high }) => ok_if(low <= min && max <= high),
        (Ty::Integer { min, max }, Fit::Double) => ok_if(-EXACT_IN_DOUBLE <= *min && *max <= EXACT_IN_DOUBLE),
        (Ty::Integer { min, max }, Fit::Decimal { min: low, max: high, .. }) => {
            ok_if(*low <= Decimal::from(*min) && Decimal::from(*max) <= *high)
        }
        (Ty::Decimal { scale, min, max }, Fit::Decimal { scale: holds, min: low, max: high }) => {
            ok_if(scale <= holds && low <= min && max <= high)
        }
        (Ty::Decimal { scale: 0, min, max }, Fit::Integer { min: low, max: high }) => {
            ok_if(Decimal::from(*low) <= *min && *max <= Decimal::from(*high))
        }
        (Ty::Decimal { scale, min, max }, Fit::Double) => {
            let (low, high) = exact_in_double(*scale);
            ok_if(low <= *min && *max <= high)
        }
        (Ty::Decimal { .. } | Ty::Double, Fit::Integer { .. }) | (Ty::Double, Fit::Decimal { .. }) => Err(Mismatch::NumberLoss),

        (
            Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid,
            Fit::Enumeration(_),
        )
        | (
            Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Text { .. }
            | Ty::Words(_)
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_),
            Fit::Boolean,
        )
        | (
            Ty::Boolean | Ty::Text { .. } | Ty::Words(_) | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Options(_),
            Fit::Integer { .. } | Fit::Decimal { .. } | Fit::Double,
        )
        | (
            Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Text { .. }
            | Ty::Words(_)
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_),
            Fit::Date | Fit::Instant,
        ) => Err(Mismatch::Incompatible),
    }
}

fn ok_if(fits: bool) -> Result<Vec<Op>, Mismatch> {
    if fits { Ok(Vec::new()) } else { Err(Mismatch::NumberLoss) }
}

/// The range in which every number with `scale` decimals survives a 64-bit float: fifteen significant digits.
pub(super) fn exact_in_double(scale: u32) -> (Decimal, Decimal) {
    let bound = Decimal::new(999_999_999_999_999, scale.min(28));
    (-bound, bound)
}

/// A literal as a constant of the plan, in the representation that the target holds.
pub(super) fn constant(value: &LiteralValue) -> Const {
    match value {
        LiteralValue::Null => Const::Null,
        LiteralValue::Boolean(b) => Const::Boolean(*b),
        LiteralValue::Integer(n) => Const::Integer(*n),
        LiteralValue::Decimal(d) => Const::Decimal(*d),
        LiteralValue::Text(text) if is_blank(text) => Const::Null,
        LiteralValue::Text(text) => Const::Text(text.clone()),
        LiteralValue::Date(date) => Const::Date(*date),
        LiteralValue::Instant(instant) => Const::Instant(*instant),
        LiteralValue::Duration(seconds) => Const::Text(format!("{seconds}s")),
        LiteralValue::Constant(name) => Const::Text(format!("${name}")),
    }
}

/// A constant after the conversions that [`convert`] found for its type.
pub(super) fn convert_constant(value: Const, ops: &[Op]) -> Const {
    ops.iter().fold(value, |value, op| match (op, value) {
        (Op::ToText, Const::Boolean(b)) => Const::Text(b.to_string()),
        (Op::ToText, Const::Integer(n)) => Const::Text(n.to_string()),
        (Op::ToText, Const::Decimal(d)) => Const::Text(d.normalize().to_string()),
        (Op::ToText, Const::Date(date)) => Const::Text(date.to_string()),
        (Op::ToText, Const::Instant(instant)) => Const::Text(time::format_instant(instant)),
        (Op::Midnight, Const::Date(date)) => Const::Instant(time::midnight(date)),
        (_, value) => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_only_where_its_longest_value_does() {
        let fit = Fit::Text { max: Some(30) };
        assert_eq!(convert(&Ty::Text { max: Some(30) }, &fit), Ok(vec![]));
        assert_eq!(convert(&Ty::Text { max: Some(31) }, &fit), Err(Mismatch::TooLong(Some(31), 30)));
        assert_eq!(convert(&Ty::Text { max: None }, &fit), Err(Mismatch::TooLong(None, 30)));
        assert_eq!(convert(&Ty::Guid, &Fit::Text { max: Some(35) }), Err(Mismatch::TooLong(Some(36), 35)));
    }

    #[test]
    fn a_decimal_fits_a_double_up_to_fifteen_digits() {
        let money = |max: i64| Ty::Decimal { scale: 2, min: Decimal::ZERO, max: Decimal::from(max) };
        assert_eq!(convert(&money(9_999_999_999_999), &Fit::Double), Ok(vec![]));
        assert_eq!(exact_in_double(2).1.to_string(), "9999999999999.99");
        assert_eq!(convert(&money(10_000_000_000_000), &Fit::Double), Err(Mismatch::NumberLoss));
    }

    #[test]
    fn the_text_of_a_small_negative_number_counts_its_sign() {
        let ty = Ty::Decimal { scale: 2, min: Decimal::new(-50, 2), max: Decimal::new(50, 2) };
        assert_eq!(ty.text_length(), Some(Some(length("-0.50"))));
    }
}
