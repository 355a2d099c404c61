//! `pad`: fills the text up to a length, on the left; with `right`, on the right.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::shared::call::Argument;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};

/// The step.
pub const STEP: Step = Step {
    name: "pad",
    usage: "pad(8, \"0\")",
    summary: "fills the text up to a length, on the left; with `right`, on the right",
    rows: &[
        Row {
            signature: "`pad(n, \"0\")`",
            takes: "text",
            gives: "filled up to n characters on the left; `pad(n, \" \", right)` fills on the right",
        },
    ],
    samples: &["pad(7, \"0\")", "pad(3, \"é\", right)"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// The length in UTF-16 code units.
    length: u32,
    /// What fills it.
    with: char,
    /// Whether the filling comes after the text.
    behind: bool,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let length = call.number_at(0, 1..=1_000_000, "expected the length, a number of at least 1")?;
    let mut letters = call.text_at(1, "expected one character in quotes")?.chars();
    let (Some(with), None) = (letters.next(), letters.next()) else {
        return Err(Wrong::arguments("expected one character in quotes"));
    };
    let behind = match call.arguments().get(2) {
        None => false,
        Some(Argument::Word(word)) if word == "right" => true,
        Some(Argument::Word(word)) if word == "left" => false,
        Some(_) => return Err(Wrong::argument(2, "expected `left` or `right`")),
    };
    call.at_most(3)?;
    let ty = call.text(|w| pad(w, length, with, behind), |max| max.map(|m| m.max(length)))?;
    Ok(Checked::sure(Operation::Pad(Pad { length, with, behind }), call.typed(ty)))
}

impl Operate for Pad {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(|text| Cow::Owned(pad(text, self.length, self.with, self.behind))))
    }

    fn written(&self) -> String {
        format!("pad({}, \"{}\"{})", self.length, self.with, if self.behind { ", right" } else { "" })
    }
}

/// Fills a text up to a length in UTF-16 code units.
pub fn pad(text: &str, length: u32, with: char, behind: bool) -> String {
    let missing = (length as usize).saturating_sub(text.encode_utf16().count()) / with.len_utf16();
    let filling = std::iter::repeat_n(with, missing);
    if behind { text.chars().chain(filling).collect() } else { filling.chain(text.chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, number, output, run_text, text, up_to, word};

    #[test]
    fn padding_fills_up_to_a_length_and_leaves_longer_text_alone() {
        assert_eq!(pad("7", 3, '0', false), "007");
        assert_eq!(pad("7", 3, ' ', true), "7  ");
        assert_eq!(pad("1234", 3, '0', false), "1234");
    }

    #[test]
    fn the_type_after_it_is_at_least_as_long_as_the_padded_text() {
        let checked = check(&STEP, &[number(6), text("0")], up_to(4));
        assert_eq!(output(&checked), (up_to(6), false));
        assert_eq!(run_text(&checked, "42").as_deref(), Some("000042"));
        let behind = check(&STEP, &[number(3), text("."), word("right")], up_to(10));
        assert_eq!(output(&behind), (up_to(10), false));
        assert_eq!(run_text(&behind, "a").as_deref(), Some("a.."));
    }

    #[test]
    fn what_fills_the_text_is_one_character_and_its_side_is_left_or_right() {
        assert_eq!(check(&STEP, &[number(6), text("00")], up_to(4)), Err(Wrong::arguments("expected one character in quotes")));
        assert_eq!(check(&STEP, &[number(6), text("0"), word("up")], up_to(4)), Err(Wrong::argument(2, "expected `left` or `right`")));
    }
}
