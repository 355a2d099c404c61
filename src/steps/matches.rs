//! `matches`: fails if the text does not match the expression.

use serde::{Deserialize, Serialize};

use super::shared::expression::{check_expression, ready_expression};
use super::shared::ready::{Failed, OTHER_TYPE};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode::nfc;
use crate::value::Value;

/// The step.
pub const STEP: Step = Step {
    name: "matches",
    usage: "matches(\"^[A-Z]{2}$\")",
    summary: "fails if the text does not match the expression",
    rows: &[
        Row {
            signature: "`matches(\"expression\")`",
            takes: "text",
            gives: "the text; fails if it does not match the [expression](#regular-expressions)",
        },
    ],
    samples: &["matches(\"^[a-z0-9 ]+$\")"],
    rule: Rule::Call(check),
};

/// The step in a plan: the regular expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matches(String);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let pattern = call.one_text("expected a regular expression in quotes")?;
    check_expression(pattern)?;
    let output = call.typed(call.same_text()?);
    Ok(Checked::fallible(Operation::Matches(Matches(pattern.to_owned())), output, "the text may not match the expression"))
}

impl Operate for Matches {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let pattern = ready_expression(&self.0)?;
        Ok(Ready::new(move |value| match value {
            Value::Text(text) if pattern.is_match(&nfc(&text)) => Ok(Value::Text(text)),
            Value::Text(_) => Err(Failed("the text does not match the expression")),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        format!("matches({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn a_text_that_matches_stays_and_any_other_fails() {
        let checked = check(&STEP, &[text("^[0-9]+$")], up_to(5));
        assert_eq!(output(&checked), (up_to(5), true));
        assert_eq!(run_text(&checked, "123").as_deref(), Some("123"));
        assert_eq!(run_text(&checked, "12a"), None);
        assert!(matches!(check(&STEP, &[text("[")], up_to(5)), Err(Wrong::Expression { .. })));
    }
}
