//! `default`: the value, or this one if it is empty.

use serde::{Deserialize, Serialize};

use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Const, Ty, Typed, constant};

/// The step.
pub const STEP: Step = Step {
    name: "default",
    usage: "default(\"none\")",
    summary: "a value to use if the value is empty",
    rows: &[
        Row {
            signature: "`default(value)`",
            takes: "anything",
            gives: "the value, or this one if it is empty",
        },
    ],
    samples: &["default(\"none\")", "default(0)", "default(1.5)", "default(true)", "default(2024-01-31)"],
    rule: Rule::Call(check),
};

/// The step in a plan: the value instead of an empty one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Default(Const);

/// The operation that puts a value instead of an empty one.
pub fn default_to(value: Const) -> Operation {
    Operation::Default(Default(value))
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let value = call.one_literal("expected one value")?;
    let Some(value) = value.filter(|value| Ty::of_constant(value) != Ty::Null) else {
        return Err(Wrong::arguments("`null`, empty text and durations cannot be used as a default value"));
    };
    if !call.input.nullable {
        call.no_effect("the value is never empty");
    }
    let other = Ty::of_constant(value);
    let Some(ty) = call.input.ty.join(&other) else { return Err(Wrong::Mixture(other)) };
    let value = call.input.ty.represent(value.clone());
    Ok(Checked::sure(default_to(value), Typed::new(ty, false)))
}

impl Operate for Default {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| Ok(value)))
    }

    fn written(&self) -> String {
        format!("default({})", constant(&self.0))
    }

    fn instead_of_empty(&self) -> Option<&Const> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, number, output, text, up_to};

    #[test]
    fn the_type_after_it_is_never_empty_and_holds_both_values() {
        let checked = check(&STEP, &[number(0)], Ty::Decimal { scale: 2, min: 1.into(), max: 9.into() });
        assert_eq!(output(&checked), (Ty::Decimal { scale: 2, min: 0.into(), max: 9.into() }, false));
        let operation = checked.unwrap().operation.unwrap();
        assert_eq!(operation.instead_of_empty(), Some(&Const::Decimal(0.into())));
        assert!(matches!(check(&STEP, &[text("none")], Ty::Boolean), Err(Wrong::Mixture(_))));
        assert!(check(&STEP, &[text(" ")], up_to(5)).is_err(), "white space is not a value");
    }
}
