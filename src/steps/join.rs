//! `join`: the numbers of several options with a text between them.

use serde::{Deserialize, Serialize};

use super::shared::ready::{OTHER_TYPE, owned};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Ty, Value, length};

/// The step.
pub const STEP: Step = Step {
    name: "join",
    usage: "join(\", \")",
    summary: "the numbers of several options with a text between them",
    rows: &[
        Row {
            signature: "`join(\", \")`",
            takes: "several options",
            gives: "their numbers with a text between them",
        },
    ],
    samples: &["join(\"/\")"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// What is between two numbers.
    separator: String,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let separator = call.one_text("expected the text between two values, in quotes")?.to_owned();
    let Ty::Options(set) = &call.input.ty else {
        return Err(Wrong::ty(
            "a field with several options",
            "to join several fields, use the function: `join(\", \", city, country) -> …`",
        ));
    };
    let longest = set.options.iter().map(|o| length(&o.value.to_string()) + length(&separator)).sum();
    Ok(Checked::sure(Operation::Join(Join { separator }), call.typed(Ty::Text { max: Some(longest) })))
}

impl Operate for Join {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Text(text) => Ok(owned(text.replace(',', &self.separator))),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        format!("join({:?})", self.separator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Choice, ChoiceSet};
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn the_numbers_of_options_get_a_text_between_them() {
        let options = [(1, "Tea"), (900, "Coffee")].map(|(value, label)| Choice { value, label: label.to_owned() });
        let checked = check(&STEP, &[text(" + ")], Ty::Options(ChoiceSet { options: options.to_vec() }.into()));
        assert_eq!(output(&checked), (up_to(10), false));
        assert_eq!(run_text(&checked, "1,900").as_deref(), Some("1 + 900"));
        assert!(check(&STEP, &[text(" + ")], up_to(5)).is_err());
    }
}
