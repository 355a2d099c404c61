//! `suffix`: a text after the value.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::length;

/// The step.
pub const STEP: Step = Step {
    name: "suffix",
    usage: "suffix(\" km\")",
    summary: "a text after the value",
    rows: &[
        Row {
            signature: "`suffix(\" km\")`",
            takes: "text",
            gives: "the text with this text after it; an empty value stays empty",
        },
    ],
    samples: &["suffix(\" km\")", "suffix(\"é\")"],
    rule: Rule::Call(check),
};

/// The step in a plan: the text after the value; not empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suffix(String);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let suffix = call.one_text("expected the text after the value, in quotes")?;
    if suffix.is_empty() {
        return Err(Wrong::arguments("the text after the value is empty"));
    }
    let ty = call.text(|text| format!("{text}{suffix}"), |max| Some(max?.saturating_add(length(suffix))))?;
    Ok(Checked::sure(Operation::Suffix(Suffix(suffix.to_owned())), call.typed(ty)))
}

impl Operate for Suffix {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let suffix = &self.0;
        Ok(Ready::text(move |text| Cow::Owned(format!("{text}{suffix}"))))
    }

    fn written(&self) -> String {
        format!("suffix({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn the_type_after_it_is_longer_by_the_text() {
        let checked = check(&STEP, &[text(" km")], up_to(10));
        assert_eq!(output(&checked), (up_to(13), false));
        assert_eq!(run_text(&checked, "4711").as_deref(), Some("4711 km"));
        assert!(check(&STEP, &[text("")], up_to(10)).is_err());
    }
}
