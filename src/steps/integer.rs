//! `integer`: text or another number as a whole number.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use super::shared::ready::Failed;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Fit, Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "integer",
    usage: "integer",
    summary: "text or another number as a whole number",
    rows: &[
        Row {
            signature: "`integer`",
            takes: "text, numbers",
            gives: "a whole number. Fails if there are decimals, or if the number does not fit",
        },
    ],
    samples: &["integer"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToInteger {
    /// The least.
    min: i64,
    /// The greatest.
    max: i64,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    call.no_arguments()?;
    let (min, max) = match call.fit {
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
    match &call.input.ty {
        Ty::Text { .. } | Ty::Words(_) | Ty::Decimal { .. } | Ty::Double => {}
        Ty::Integer { min: low, max: high } => {
            if min <= *low && *high <= max {
                call.no_effect("the value is already a whole number that fits");
                return Ok(call.unchanged());
            }
        }
        Ty::Choice(_) => return Err(Wrong::ty("text or a number", "to get the number of an option, write `| value`")),
        Ty::Null | Ty::Boolean | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Options(_) => {
            return Err(Wrong::ty("text or a number", "remove the step, or write what each value becomes: `| map { … }`"));
        }
    }
    let why = format!("the value may not be a whole number from {min} to {max}; `round(0)` rounds decimals");
    Ok(Checked::fallible(Operation::ToInteger(ToInteger { min, max }), call.typed(Ty::Integer { min, max }), why))
}

impl Operate for ToInteger {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| to_integer(value, self.min, self.max)))
    }

    fn written(&self) -> String {
        "integer".to_owned()
    }
}

fn to_integer<'a>(value: Value<'a>, min: i64, max: i64) -> Result<Value<'a>, Failed> {
    let number = match value {
        Value::Integer(n) => n,
        Value::Decimal(d) if d.is_integer() => d.to_i64().ok_or(Failed("the number is too large"))?,
        Value::Double(d) => {
            let exact = Decimal::try_from(d).ok().filter(Decimal::is_integer);
            exact.and_then(|d| d.to_i64()).ok_or(Failed("the number is not a whole number"))?
        }
        Value::Text(text) => text.trim().parse().map_err(|_| Failed("the text is not a whole number"))?,
        Value::Decimal(_) => return Err(Failed("the number has decimals")),
        Value::Null | Value::Boolean(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            return Err(Failed("the value is not a number"));
        }
    };
    if (min..=max).contains(&number) { Ok(Value::Integer(number)) } else { Err(Failed("the number is outside the range of the target")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check_for, output, run, up_to};

    #[test]
    fn a_whole_number_must_have_no_decimals_and_fit_the_target() {
        let fit = Fit::Integer { min: 0, max: 100 };
        let checked = check_for(&STEP, &[], up_to(10), &fit);
        assert_eq!(output(&checked), (Ty::Integer { min: 0, max: 100 }, true));
        assert_eq!(run(&checked, Value::Text(" 42 ".into())), Ok(Value::Integer(42)));
        assert_eq!(run(&checked, Value::Decimal(Decimal::new(420, 1))), Ok(Value::Integer(42)));
        for value in [Value::Text("101".into()), Value::Decimal(Decimal::new(15, 1)), Value::Double(0.5)] {
            assert!(run(&checked, value.clone()).is_err(), "{value:?}");
        }
        assert_eq!(check_for(&STEP, &[], Ty::Integer { min: 1, max: 5 }, &fit).unwrap().operation, None);
    }
}
