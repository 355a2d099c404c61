//! `split`: one part of a text with separators.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::shared::letters::comparable;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode::nfc;

/// The step.
pub const STEP: Step = Step {
    name: "split",
    usage: "split(\"-\", 1)",
    summary: "one part of a text with separators",
    rows: &[
        Row {
            signature: "`split(\"-\", n)`",
            takes: "text",
            gives: "the n-th part between separators, counted from 1; empty if there are fewer",
        },
    ],
    samples: &["split(\" \", 2)"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// What separates the pieces; not empty.
    separator: String,
    /// Which piece, from 0.
    index: u32,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let separator = call.text_at(0, "expected the separator, in quotes")?;
    let index = call.number_at(1, 1..=1000, "expected the number of the part, counted from 1")? - 1;
    call.at_most(2)?;
    if separator.is_empty() {
        return Err(Wrong::arguments("the separator is empty"));
    }
    let ty = call.text(|w| piece(w, separator, index as usize), |max| max)?;
    Ok(call.perhaps_empty(Operation::Split(Split { separator: separator.to_owned(), index }), ty))
}

impl Operate for Split {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(|text| Cow::Owned(piece(text, &self.separator, self.index as usize))))
    }

    fn written(&self) -> String {
        format!("split({:?}, {})", self.separator, self.index + 1)
    }
}

/// One piece of a text between separators, counted from 0; empty if there are fewer.
pub fn piece(text: &str, separator: &str, index: usize) -> String {
    comparable(text).split(nfc(separator).as_ref()).nth(index).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, number, output, run_text, text, up_to};

    #[test]
    fn a_separator_is_found_however_its_accents_are_encoded() {
        assert_eq!(piece("a\u{e9}b", "e\u{301}", 1), "b");
        assert_eq!(piece("a-b", "-", 2), "");
    }

    #[test]
    fn pieces_are_counted_from_1() {
        let checked = check(&STEP, &[text("-"), number(2)], up_to(5));
        assert_eq!(output(&checked), (up_to(5), false));
        assert_eq!(run_text(&checked, "a-b-c").as_deref(), Some("b"));
        assert!(check(&STEP, &[text("-"), number(0)], up_to(5)).is_err());
        assert!(check(&STEP, &[text(""), number(1)], up_to(5)).is_err());
    }
}
