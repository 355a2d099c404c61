//! The types of fields and literals, and what converts without loss.

use rust_decimal::Decimal;

use crate::plan::{Const, Fit, Op};
use crate::schema::{Field, FieldType};
use crate::steps::Operation;
use crate::syntax::ast::LiteralValue;
use crate::time;
use crate::unicode::is_blank;
pub(super) use crate::value::{Ty, Typed, choice_range, exact_in_double, length, list};

/// Whole numbers that a 64-bit float holds exactly.
const EXACT_IN_DOUBLE: i64 = 1 << 53;

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
        Ty::of_constant(&constant(value))
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
            Ok(if matches!(from, Ty::Text { .. } | Ty::Words(_)) { Vec::new() } else { vec![Op::Step(Operation::ToText)] })
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
        (Op::Step(Operation::ToText), Const::Boolean(b)) => Const::Text(b.to_string()),
        (Op::Step(Operation::ToText), Const::Integer(n)) => Const::Text(n.to_string()),
        (Op::Step(Operation::ToText), Const::Decimal(d)) => Const::Text(d.normalize().to_string()),
        (Op::Step(Operation::ToText), Const::Date(date)) => Const::Text(date.to_string()),
        (Op::Step(Operation::ToText), Const::Instant(instant)) => Const::Text(time::format_instant(instant)),
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
