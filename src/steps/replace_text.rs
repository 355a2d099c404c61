//! `replace_text`: replaces a text with another one wherever it occurs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::shared::letters::comparable;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode::nfc;
use crate::value::length;

/// The step.
pub const STEP: Step = Step {
    name: "replace_text",
    usage: "replace_text(\"a\", \"b\")",
    summary: "replaces a text with another one wherever it occurs",
    rows: &[
        Row {
            signature: "`replace_text(\"a\", \"b\")`",
            takes: "text",
            gives: "each occurrence of a text replaced with another one",
        },
    ],
    samples: &["replace_text(\"a\", \"bcd\")", "replace_text(\" \", \"\")", "replace_text(\"a\", \"\")"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplaceText {
    /// What is looked for; not empty.
    from: String,
    /// What takes its place.
    to: String,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let from = call.text_at(0, "expected the text to replace, in quotes")?;
    let to = call.text_at(1, "expected the replacement, in quotes")?;
    call.at_most(2)?;
    if from.is_empty() {
        return Err(Wrong::arguments("the text to replace is empty"));
    }
    let (old, new) = (length(from), length(to));
    let longest = |max: Option<u32>| {
        let max = max?;
        if new <= old {
            return Some(max);
        }
        // Most of the text may consist of what is looked for.
        let times = max / old;
        Some(times.checked_mul(new)?.checked_add(max % old)?.max(max))
    };
    let ty = call.text(|w| replace(w, from, to), longest)?;
    Ok(call.perhaps_empty(Operation::ReplaceText(ReplaceText { from: from.to_owned(), to: to.to_owned() }), ty))
}

impl Operate for ReplaceText {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(|text| Cow::Owned(replace(text, &self.from, &self.to))))
    }

    fn written(&self) -> String {
        format!("replace_text({:?}, {:?})", self.from, self.to)
    }
}

/// Replaces every occurrence of one text by another.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    comparable(text).replace(nfc(from).as_ref(), to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn a_text_is_found_however_its_accents_are_encoded() {
        assert_eq!(replace("caf\u{e9} cafe\u{301}", "e\u{301}", "e"), "cafe cafe");
    }

    #[test]
    fn the_type_after_it_is_as_long_as_if_the_whole_text_were_replaced() {
        let checked = check(&STEP, &[text("ab"), text("xyz")], up_to(5));
        assert_eq!(output(&checked), (up_to(7), false));
        assert_eq!(run_text(&checked, "ababa").as_deref(), Some("xyzxyza"));
        assert_eq!(output(&check(&STEP, &[text("ab"), text("")], up_to(5))), (up_to(5), false));
    }
}
