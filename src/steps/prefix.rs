//! `prefix`: a text before the value.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::length;

/// The step.
pub const STEP: Step = Step {
    name: "prefix",
    usage: "prefix(\"KD-\")",
    summary: "a text before the value",
    rows: &[
        Row {
            signature: "`prefix(\"KD-\")`",
            takes: "text",
            gives: "the text with this text before it; an empty value stays empty",
        },
    ],
    samples: &["prefix(\"KD-\")", "prefix(\"é\")"],
    rule: Rule::Call(check),
};

/// The step in a plan: the text before the value; not empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prefix(String);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let prefix = call.one_text("expected the text before the value, in quotes")?;
    if prefix.is_empty() {
        return Err(Wrong::arguments("the text before the value is empty"));
    }
    let ty = call.text(|text| format!("{prefix}{text}"), |max| Some(max?.saturating_add(length(prefix))))?;
    Ok(Checked::sure(Operation::Prefix(Prefix(prefix.to_owned())), call.typed(ty)))
}

impl Operate for Prefix {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let prefix = &self.0;
        Ok(Ready::text(move |text| Cow::Owned(format!("{prefix}{text}"))))
    }

    fn written(&self) -> String {
        format!("prefix({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn the_type_after_it_is_longer_by_the_text() {
        let checked = check(&STEP, &[text("KD-")], up_to(10));
        assert_eq!(output(&checked), (up_to(13), false));
        assert_eq!(run_text(&checked, "4711").as_deref(), Some("KD-4711"));
        assert!(check(&STEP, &[text("")], up_to(10)).is_err());
    }
}
