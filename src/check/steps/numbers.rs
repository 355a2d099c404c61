//! Steps that give numbers and truth values.

use rust_decimal::Decimal;

use super::{Checked, StepChecker};
use crate::check::types::{Ty, Typed, exact_in_double};
use crate::plan::{Fit, Op};

/// The numbers that a text may stand for where the target sets no bounds: eighteen digits, ten of them behind the point.
const UNBOUNDED: (i64, u32) = (99_999_999, 10);

impl StepChecker<'_, '_, '_> {
    /// What a number must lie in to be held by the target; `None` where the target is no number.
    fn bounds(&self, digits: u32) -> Option<(Decimal, Decimal)> {
        match self.fit {
            Fit::Integer { min, max } => Some((Decimal::from(*min), Decimal::from(*max))),
            Fit::Decimal { min, max, .. } => Some((*min, *max)),
            Fit::Double => Some(exact_in_double(digits)),
            Fit::Boolean | Fit::Text { .. } | Fit::Date | Fit::Instant | Fit::Enumeration(_) | Fit::Options(_) | Fit::Link { .. } => None,
        }
    }

    pub(super) fn round(&mut self) -> Option<Checked> {
        let digits = self.one_number(0, 15, "expected the number of decimals, 0 to 15")?;
        // Only a number can be the target of a rounded value that must be bounded; text takes any.
        let bounds = self.bounds(digits);
        let (min, max, scale) = match &self.input.ty {
            Ty::Decimal { scale, min, max } => {
                // Rounding may carry the bounds outwards by less than one unit of the last digit kept.
                let round = |d: &Decimal| crate::eval::number::round(*d, digits);
                if *scale <= digits && bounds.is_none_or(|(low, high)| low <= *min && *max <= high) {
                    self.no_effect(format!("the value has at most {scale} decimals anyway"));
                }
                (round(min), round(max), (*scale).min(digits))
            }
            Ty::Integer { min, max } => {
                if bounds.is_none_or(|(low, high)| low <= Decimal::from(*min) && Decimal::from(*max) <= high) {
                    self.no_effect("the value is a whole number anyway");
                }
                (Decimal::from(*min), Decimal::from(*max), 0)
            }
            // A double may exceed every decimal.
            Ty::Double => (Decimal::MIN, Decimal::MAX, digits),
            Ty::Text { .. } | Ty::Words(_) => return self.wrong_type("a number", "read the text as a number first: `| number or null`"),
            Ty::Null | Ty::Boolean | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
                return self.wrong_type("a number", "remove the step, or apply it to a number");
            }
        };
        let fits = bounds.is_none_or(|(low, high)| low <= min && max <= high);
        let double = matches!(self.input.ty, Ty::Double);
        let (min, max) = bounds.map_or((min, max), |(low, high)| (min.max(low), max.min(high)));
        let output = Typed::new(Ty::Decimal { scale, min, max }, self.input.nullable);
        let reason = match (double, fits) {
            (true, _) => Some("a floating-point number may be too large".to_owned()),
            (false, true) => None,
            (false, false) => Some(format!(
                "the field may hold {}, the target takes {} to {}",
                self.input.ty.describe(),
                min.normalize(),
                max.normalize()
            )),
        };
        let bounds = if double || !fits { bounds } else { None };
        Some(Checked { op: Some(Op::Round { scale: digits, bounds }), output, fallible: reason, settled: None })
    }

    pub(super) fn number(&mut self) -> Option<Checked> {
        let point = match self.step.arguments {
            None => '.',
            Some(_) => match self.one_text("expected the sign before the decimals: \".\" or \",\"")?.as_str() {
                "." => '.',
                "," => ',',
                _ => return self.wrong_arguments("expected the sign before the decimals: \".\" or \",\""),
            },
        };
        if !matches!(self.input.ty, Ty::Text { .. } | Ty::Words(_)) {
            return self.wrong_type("text", "remove the step: the value is no text");
        }
        let (scale, (min, max)) = match self.fit {
            Fit::Integer { min, max } => (0, (Decimal::from(*min), Decimal::from(*max))),
            Fit::Decimal { scale, min, max } => (*scale, (*min, *max)),
            // Nine digits on either side of the point, so that the fifteen of a float are not exceeded by much: what
            // is beyond fails.
            Fit::Double => (6, exact_in_double(6)),
            Fit::Boolean | Fit::Text { .. } | Fit::Date | Fit::Instant | Fit::Enumeration(_) | Fit::Options(_) | Fit::Link { .. } => {
                let bound = Decimal::from(UNBOUNDED.0);
                (UNBOUNDED.1, (-bound, bound))
            }
        };
        let output = Typed::new(Ty::Decimal { scale, min, max }, self.input.nullable);
        let why = format!("the text may not be a number from {} to {} with up to {scale} decimals", min.normalize(), max.normalize());
        Some(Checked::fallible(Op::ParseNumber { point, scale, bounds: (min, max) }, output, why))
    }

    pub(super) fn integer(&mut self) -> Option<Checked> {
        self.no_arguments()?;
        let (min, max) = match self.fit {
            Fit::Integer { min, max } => (*min, *max),
            Fit::Decimal { .. }
            | Fit::Double
            | Fit::Boolean
            | Fit::Text { .. }
            | Fit::Date
            | Fit::Instant
            | Fit::Enumeration(_)
            | Fit::Options(_)
            | Fit::Link { .. } => (-(1 << 53), 1 << 53),
        };
        match &self.input.ty {
            Ty::Text { .. } | Ty::Words(_) | Ty::Decimal { .. } | Ty::Double => {}
            Ty::Integer { min: low, max: high } => {
                if min <= *low && *high <= max {
                    self.no_effect("the value is a whole number that fits");
                    return Some(Checked { op: None, output: self.input.clone(), fallible: None, settled: None });
                }
            }
            Ty::Choice(_) => return self.wrong_type("text or a number", "an option's number needs no step; write `| value`"),
            Ty::Null | Ty::Boolean | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Options(_) => {
                return self.wrong_type("text or a number", "remove the step, or say what each value becomes: `| map { … }`");
            }
        }
        let output = Typed::new(Ty::Integer { min, max }, self.input.nullable);
        let why = format!("the value may not be a whole number from {min} to {max}; `round(0)` rounds decimals");
        Some(Checked::fallible(Op::ToInteger { min, max }, output, why))
    }

    pub(super) fn boolean(&mut self) -> Option<Checked> {
        self.no_arguments()?;
        match &self.input.ty {
            Ty::Text { .. } | Ty::Words(_) | Ty::Integer { .. } => {}
            Ty::Boolean => {
                self.no_effect("the value is true or false already");
                return Some(Checked { op: None, output: self.input.clone(), fallible: None, settled: None });
            }
            Ty::Null | Ty::Decimal { .. } | Ty::Double | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
                return self.wrong_type("text or a whole number", "say which value is true: `| map { … => true; else => false }`");
            }
        }
        let sure = match &self.input.ty {
            Ty::Words(words) => {
                words.iter().all(|w| matches!(w.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "1" | "false" | "no" | "0"))
            }
            Ty::Integer { min, max } => 0 <= *min && *max <= 1,
            _ => false,
        };
        let output = Typed::new(Ty::Boolean, self.input.nullable);
        Some(if sure {
            Checked::sure(Op::ToBoolean, output)
        } else {
            Checked::fallible(Op::ToBoolean, output, "the value may be neither yes nor no")
        })
    }
}
