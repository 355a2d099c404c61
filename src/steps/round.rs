//! `round`: rounds to a number of decimals, half away from zero.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::shared::ready::Failed;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Fit, Ty, Value, exact_in_double};

/// The step.
pub const STEP: Step = Step {
    name: "round",
    usage: "round(2)",
    summary: "rounds to a number of decimals, half away from zero",
    rows: &[
        Row {
            signature: "`round(n)`",
            takes: "a number",
            gives: "rounded to n decimals, half away from zero",
        },
    ],
    samples: &["round(0)", "round(2)"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Digits after the point.
    scale: u32,
    /// What the target's number type holds exactly. The step fails if the result is outside.
    bounds: Option<(Decimal, Decimal)>,
}

/// What a number must lie in to be held by the target; `None` if the target is not a number.
fn bounds(fit: &Fit, digits: u32) -> Option<(Decimal, Decimal)> {
    match fit {
        Fit::Integer { min, max } => Some((Decimal::from(*min), Decimal::from(*max))),
        Fit::Decimal { min, max, .. } => Some((*min, *max)),
        Fit::Double => Some(exact_in_double(digits)),
        Fit::Boolean | Fit::Text { .. } | Fit::Date | Fit::Instant | Fit::Enumeration(_) | Fit::Options(_) | Fit::Link { .. } => None,
    }
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let digits = call.one_number(0..=15, "expected the number of decimals, 0 to 15")?;
    // Only a number can be the target of a rounded value that must be bounded; text takes any.
    let bounds = bounds(call.fit, digits);
    let (min, max, scale) = match &call.input.ty {
        Ty::Decimal { scale, min, max } => {
            if *scale <= digits && bounds.is_none_or(|(low, high)| low <= *min && *max <= high) {
                call.no_effect(format!("the value has at most {scale} decimals"));
            }
            // Rounding may carry the bounds outwards by less than one unit of the last digit kept.
            (half_away(*min, digits), half_away(*max, digits), (*scale).min(digits))
        }
        Ty::Integer { min, max } => {
            if bounds.is_none_or(|(low, high)| low <= Decimal::from(*min) && Decimal::from(*max) <= high) {
                call.no_effect("the value is already a whole number");
            }
            (Decimal::from(*min), Decimal::from(*max), 0)
        }
        // A double may exceed every decimal.
        Ty::Double => (Decimal::MIN, Decimal::MAX, digits),
        Ty::Text { .. } | Ty::Words(_) => return Err(Wrong::ty("a number", "read the text as a number first: `| number or null`")),
        Ty::Null | Ty::Boolean | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
            return Err(Wrong::ty("a number", "remove the step, or apply it to a number"));
        }
    };
    let fits = bounds.is_none_or(|(low, high)| low <= min && max <= high);
    let double = matches!(call.input.ty, Ty::Double);
    let (min, max) = bounds.map_or((min, max), |(low, high)| (min.max(low), max.min(high)));
    let fallible = match (double, fits) {
        (true, _) => Some("a floating-point number may be too large".to_owned()),
        (false, true) => None,
        (false, false) => Some(format!(
            "the field can contain {}, but the target only {} to {}",
            call.input.ty.describe(),
            min.normalize(),
            max.normalize()
        )),
    };
    let bounds = if double || !fits { bounds } else { None };
    let output = call.typed(Ty::Decimal { scale, min, max });
    Ok(Checked { operation: Some(Operation::Round(Round { scale: digits, bounds })), output, fallible })
}

impl Operate for Round {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| round(value, self.scale, self.bounds.as_ref())))
    }

    fn written(&self) -> String {
        format!("round({})", self.scale)
    }
}

/// Rounds half away from zero, as invoices do.
fn half_away(value: Decimal, scale: u32) -> Decimal {
    value.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}

fn round<'a>(value: Value<'a>, scale: u32, bounds: Option<&(Decimal, Decimal)>) -> Result<Value<'a>, Failed> {
    let exact = match value {
        Value::Decimal(d) => d,
        Value::Integer(n) => n.into(),
        Value::Double(d) => Decimal::try_from(d).map_err(|_| Failed("the number is too large"))?,
        Value::Null | Value::Boolean(_) | Value::Text(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            return Err(Failed("the value is not a number"));
        }
    };
    let rounded = half_away(exact, scale);
    match bounds {
        Some((low, high)) if rounded < *low || *high < rounded => Err(Failed("the number is outside the range of the target")),
        _ => Ok(Value::Decimal(rounded)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, check_for, number, output, run};

    #[test]
    fn half_goes_away_from_zero() {
        assert_eq!(half_away(Decimal::new(2345, 3), 2), Decimal::new(235, 2));
        assert_eq!(half_away(Decimal::new(-2345, 3), 2), Decimal::new(-235, 2));
    }

    #[test]
    fn rounding_can_fail_only_if_the_result_may_not_fit_the_target() {
        let money = |max: i64| Ty::Decimal { scale: 4, min: Decimal::ZERO, max: max.into() };
        let fit = Fit::Decimal { scale: 2, min: Decimal::ZERO, max: 100.into() };
        let fitting = check_for(&STEP, &[number(2)], money(100), &fit);
        assert_eq!(output(&fitting), (Ty::Decimal { scale: 2, min: Decimal::ZERO, max: 100.into() }, false));
        assert_eq!(run(&fitting, Value::Decimal(Decimal::new(19_995, 3))), Ok(Value::Decimal(Decimal::new(2000, 2))));
        let larger = check_for(&STEP, &[number(2)], money(200), &fit);
        assert!(output(&larger).1);
        assert!(run(&larger, Value::Decimal(150.into())).is_err());
        assert!(output(&check(&STEP, &[number(2)], Ty::Double)).1);
    }
}
