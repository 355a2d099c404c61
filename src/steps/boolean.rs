//! `boolean`: converts yes, no, true, false, 1 and 0 to true or false.

use super::shared::ready::Failed;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "boolean",
    usage: "boolean",
    summary: "converts yes, no, true, false, 1 and 0 to true or false",
    rows: &[
        Row {
            signature: "`boolean`",
            takes: "text, whole numbers",
            gives: "true for `true`, `yes`, `1`; false for `false`, `no`, `0`. Fails for any other text",
        },
    ],
    samples: &["boolean"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct ToBoolean;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    call.no_arguments()?;
    match &call.input.ty {
        Ty::Text { .. } | Ty::Words(_) | Ty::Integer { .. } => {}
        Ty::Boolean => {
            call.no_effect("the value is already true or false");
            return Ok(call.unchanged());
        }
        Ty::Null | Ty::Decimal { .. } | Ty::Double | Ty::Date | Ty::Instant | Ty::Local | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
            return Err(Wrong::ty("text or a whole number", "write which value is true: `| map { … => true; else => false }`"));
        }
    }
    let sure = match &call.input.ty {
        Ty::Words(words) => {
            words.iter().all(|w| matches!(w.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "1" | "false" | "no" | "0"))
        }
        Ty::Integer { min, max } => 0 <= *min && *max <= 1,
        _ => false,
    };
    let output = call.typed(Ty::Boolean);
    Ok(if sure {
        Checked::sure(Operation::ToBoolean, output)
    } else {
        Checked::fallible(Operation::ToBoolean, output, "the value may not be yes or no")
    })
}

impl Operate for ToBoolean {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| to_boolean(&value).map(Value::Boolean)))
    }

    fn written(&self) -> String {
        "boolean".to_owned()
    }
}

fn to_boolean(value: &Value<'_>) -> Result<bool, Failed> {
    let failed = Failed("the value is not yes or no");
    match value {
        Value::Boolean(b) => Ok(*b),
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ => Err(failed),
        },
        Value::Null | Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            Err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run, up_to};

    #[test]
    fn it_can_fail_unless_every_value_is_yes_or_no() {
        let words = |words: &[&str]| Ty::Words(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(output(&check(&STEP, &[], words(&["Yes", "no"]))), (Ty::Boolean, false));
        assert_eq!(output(&check(&STEP, &[], words(&["Yes", "maybe"]))), (Ty::Boolean, true));
        let checked = check(&STEP, &[], up_to(10));
        assert_eq!(run(&checked, Value::Text("YES".into())), Ok(Value::Boolean(true)));
        assert_eq!(run(&checked, Value::Integer(0)), Ok(Value::Boolean(false)));
        assert!(run(&checked, Value::Integer(2)).is_err());
    }
}
