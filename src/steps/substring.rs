//! `substring`: a part of the text: the first character, and the maximum length.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::truncate::truncate;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode;

/// The step.
pub const STEP: Step = Step {
    name: "substring",
    usage: "substring(1, 3)",
    summary: "a part of the text: the first character, and the maximum length",
    rows: &[
        Row {
            signature: "`substring(from, n)`",
            takes: "text",
            gives: "at most n characters from the given one, counted from 1; empty if the text is shorter",
        },
    ],
    samples: &["substring(2, 3)"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Substring {
    /// The first character, in UTF-16 code units from 0.
    start: u32,
    /// The greatest length.
    length: u32,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let start = call.number_at(0, 1..=1_000_000, "expected the first character, counted from 1")? - 1;
    let length = call.number_at(1, 1..=1_000_000, "expected the maximum length, a number of at least 1")?;
    call.at_most(2)?;
    let longest = |max: Option<u32>| Some(max.map_or(length, |m| m.saturating_sub(start).min(length)));
    let ty = call.text(|w| substring(w, start, length).to_owned(), longest)?;
    Ok(call.perhaps_empty(Operation::Substring(Substring { start, length }), ty))
}

impl Operate for Substring {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(|text| Cow::Borrowed(substring(text, self.start, self.length))))
    }

    fn written(&self) -> String {
        format!("substring({}, {})", self.start + 1, self.length)
    }
}

/// A part of a text, counted in UTF-16 code units; a character that begins before `start` is left out.
pub fn substring(text: &str, start: u32, units: u32) -> &str {
    truncate(unicode::rest(text, start as usize), units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Ty;
    use crate::steps::shared::trial::{check, number, output, run_text, up_to};

    #[test]
    fn parts_of_a_text_never_cut_a_character_in_two() {
        assert_eq!(substring("a😀bc", 0, 2), "a");
        assert_eq!(substring("a😀bc", 2, 2), "bc");
        assert_eq!(substring("abc", 3, 2), "");
    }

    #[test]
    fn the_type_after_it_has_what_is_left_of_the_length() {
        let checked = check(&STEP, &[number(3), number(4)], up_to(5));
        assert_eq!(output(&checked), (up_to(3), false));
        assert_eq!(run_text(&checked, "abcde").as_deref(), Some("cde"));
        assert_eq!(output(&check(&STEP, &[number(3), number(4)], Ty::Text { max: None })), (up_to(4), false));
        assert!(check(&STEP, &[number(0), number(4)], up_to(5)).is_err());
    }
}
