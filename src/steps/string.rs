//! `string`: the value as text.

use super::shared::ready::Failed;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "string",
    usage: "string",
    summary: "the value as text",
    rows: &[
        Row {
            signature: "`string`",
            takes: "anything",
            gives: "the value as text",
        },
    ],
    samples: &["string"],
    rule: Rule::Call(check),
};

/// The step in a plan. It is also the conversion of a value that goes into a text field.
#[derive(Clone, Debug, PartialEq)]
pub struct ToText;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    call.no_arguments()?;
    if matches!(call.input.ty, Ty::Text { .. } | Ty::Words(_)) {
        call.no_effect("the value is already text");
    }
    let Some(longest) = call.input.ty.text_length() else {
        return Err(Wrong::ty("a value that can be written as text", "choose another field"));
    };
    let ty = match &call.input.ty {
        Ty::Words(words) => Ty::Words(words.clone()),
        _ => Ty::Text { max: longest },
    };
    Ok(Checked::sure(Operation::ToText, call.typed(ty)))
}

impl Operate for ToText {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| value.into_text().map(Value::Text).ok_or(Failed("there is no value"))))
    }

    fn written(&self) -> String {
        "(as text)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run, up_to};

    #[test]
    fn a_value_becomes_the_text_of_its_literal() {
        let checked = check(&STEP, &[], Ty::Integer { min: -5, max: 100 });
        assert_eq!(output(&checked), (up_to(3), false));
        assert_eq!(run(&checked, Value::Integer(42)), Ok(Value::Text("42".into())));
        assert_eq!(run(&checked, Value::Boolean(true)), Ok(Value::Text("true".into())));
    }
}
