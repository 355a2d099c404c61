//! `replace_matches`: replaces each match of a regular expression with a text.

use std::borrow::Cow;

use regex::{Captures, Regex};
use serde::{Deserialize, Serialize};

use super::shared::expression::{check_expression, ready_expression, shortest_match};
use super::shared::letters::comparable;
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::length;

/// The step.
pub const STEP: Step = Step {
    name: "replace_matches",
    usage: "replace_matches(\"\\\\s+\", \" \")",
    summary: "replaces each match of a regular expression with a text",
    rows: &[
        Row {
            signature: "`replace_matches(\"\\\\s+\", \" \")`",
            takes: "text",
            gives: "each match of the [expression](#regular-expressions) replaced with another text. `$1` to `$9` stand for the matches of the groups, `$0` for the whole match, `$$` for a dollar sign",
        },
    ],
    samples: &["replace_matches(\"[0-9]+\", \"\")", "replace_matches(\"(a)|b\", \"<$1>\")", "replace_matches(\"x*\", \"-\")"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplaceMatches {
    /// The regular expression.
    pattern: String,
    /// What takes the place of a match.
    with: String,
}

/// A piece of what takes the place of a match.
enum Piece<'w> {
    Text(&'w str),
    Group(usize),
}

/// The pieces of a replacement; `None` if a dollar sign is followed by anything but a digit or another dollar sign.
fn pieces(with: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = with;
    while let Some(at) = rest.find('$') {
        pieces.push(Piece::Text(&rest[..at]));
        let sign = *rest.as_bytes().get(at + 1)?;
        pieces.push(match sign {
            b'$' => Piece::Text("$"),
            b'0'..=b'9' => Piece::Group(usize::from(sign - b'0')),
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    pieces.push(Piece::Text(rest));
    Some(pieces)
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let pattern = call.text_at(0, "expected a regular expression in quotes")?;
    let with = call.text_at(1, "expected the text that replaces a match, in quotes")?;
    call.at_most(2)?;
    let expression = check_expression(pattern)?;
    let Some(parts) = pieces(with) else {
        return Err(Wrong::argument(1, "`$` is followed by the number of a group, 0 to 9; write `$$` for a dollar sign"));
    };
    let groups = expression.captures_len() - 1;
    let missing = parts.iter().find_map(|part| match part {
        Piece::Group(number) if *number > groups => Some(number),
        Piece::Group(_) | Piece::Text(_) => None,
    });
    if let Some(number) = missing {
        return Err(Wrong::argument(1, format!("the expression has no group {number}")));
    }
    let growth = Growth {
        shortest: shortest_match(pattern),
        texts: parts.iter().map(|part| if let Piece::Text(text) = part { length(text) } else { 0 }).sum(),
        groups: u32::try_from(parts.iter().filter(|part| matches!(part, Piece::Group(_))).count()).unwrap_or(u32::MAX),
    };
    // Words must become what the evaluation makes of them.
    let ready = ready_expression(pattern).map_err(|why| Wrong::Expression { label: why.0 })?;
    let ty = call.text(|word| replace(&ready, &parts, word).into_owned(), |most| growth.longest(most?))?;
    Ok(call.perhaps_empty(Operation::ReplaceMatches(ReplaceMatches { pattern: pattern.to_owned(), with: with.to_owned() }), ty))
}

/// What decides how much longer a text can become.
struct Growth {
    /// The least length of a match.
    shortest: u32,
    /// The length of the texts that take the place of one match.
    texts: u32,
    /// How many groups take the place of one match. None of them is longer than the match.
    groups: u32,
}

impl Growth {
    /// The greatest length after the step.
    ///
    /// Of L characters, k matches have S together. What comes out has L − S + groups × S + k × texts, with S at most L, S at least k × shortest,
    /// and k at most L / shortest, or L + 1 if a match can be empty.
    fn longest(&self, most: u32) -> Option<u32> {
        let Growth { shortest, texts, groups } = *self;
        let matches = most.checked_div(shortest).unwrap_or(most.saturating_add(1));
        if groups == 0 {
            // Each match takes at least its own length away.
            return most.checked_add(matches.checked_mul(texts.saturating_sub(shortest))?);
        }
        most.checked_mul(groups)?.checked_add(matches.checked_mul(texts)?)
    }
}

impl Operate for ReplaceMatches {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let pattern = ready_expression(&self.pattern)?;
        let pieces = pieces(&self.with).ok_or_else(|| NotReady("a `$` without a number".to_owned()))?;
        Ok(Ready::text(move |text| replace(&pattern, &pieces, text)))
    }

    fn written(&self) -> String {
        format!("replace_matches({:?}, {:?})", self.pattern, self.with)
    }
}

/// Replaces every match.
fn replace<'t>(pattern: &Regex, pieces: &[Piece<'_>], text: &'t str) -> Cow<'t, str> {
    let with = |found: &Captures<'_>| {
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(number) => out.push_str(found.get(*number).map_or("", |group| group.as_str())),
            }
        }
        out
    };
    match comparable(text) {
        Cow::Borrowed(text) => pattern.replace_all(text, with),
        Cow::Owned(text) => Cow::Owned(pattern.replace_all(&text, with).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};
    use crate::value::Ty;

    fn call(pattern: &str, with: &str, most: u32) -> Result<Checked, Wrong> {
        check(&STEP, &[text(pattern), text(with)], up_to(most))
    }

    #[test]
    fn each_match_is_replaced_and_groups_can_be_named() {
        assert_eq!(run_text(&call("\\s+", " ", 20), "a \t b  c").as_deref(), Some("a b c"));
        assert_eq!(run_text(&call("(\\w+), (\\w+)", "$2 $1", 20), "Lovelace, Ada").as_deref(), Some("Ada Lovelace"));
        assert_eq!(run_text(&call("[0-9]+", "$$$0", 20), "a12").as_deref(), Some("a$12"));
        // A digit after a group's number is text.
        assert_eq!(run_text(&call("(a)", "$10", 20), "a").as_deref(), Some("a0"));
        assert_eq!(run_text(&call("(a)|(b)", "<$2>", 20), "ab").as_deref(), Some("<><b>"));
    }

    #[test]
    fn the_type_after_it_is_as_long_as_the_worst_text() {
        for (pattern, with, most, longest) in [
            ("\\s+", " ", 10, 10),
            ("a", "xyz", 10, 30),
            ("aa", "xyz", 5, 7),
            ("(.)", "$1", 10, 10),
            ("(.)", "$1$1", 10, 20),
            ("(.)", "<$1>", 10, 30),
            ("", "-", 3, 7),
            ("[0-9]+", "", 4, 4),
        ] {
            assert_eq!(output(&call(pattern, with, most)), (up_to(longest), false), "{pattern} {with}");
        }
        assert_eq!(output(&check(&STEP, &[text("a"), text("b")], Ty::Text { max: None })).0, Ty::Text { max: None });
    }

    #[test]
    fn a_dollar_sign_needs_the_number_of_a_group_that_there_is() {
        for with in ["$", "$x", "$2", "a$"] {
            assert!(matches!(call("(a)", with, 9), Err(Wrong::Argument { index: 1, .. })), "{with}");
        }
        assert!(matches!(call("(", "", 9), Err(Wrong::Expression { .. })));
    }

    proptest! {
        #[test]
        fn no_text_becomes_longer_than_the_type_says(
            text in "[ab😀e\u{301}0-9]{0,12}",
            pattern in prop::sample::select(vec!["a", "(a)(b)?", "a*", "(.)", "((.)b)", "😀", "[0-9]{2}", "^", "\\b", "e\u{301}|a", "(?:a|bb)(.?)"]),
            with in prop::sample::select(vec!["", "xy", "$0", "$0$0-", "é", "$$"]),
        ) {
            let units = |text: &str| u32::try_from(text.encode_utf16().count()).expect("a short text");
            let checked = call(pattern, with, units(&text));
            let Ty::Text { max: Some(longest) } = output(&checked).0 else { panic!("{checked:?}") };
            let out = run_text(&checked, &text).unwrap_or_default();
            prop_assert!(units(&out) <= longest, "{text:?} became {out:?}, longer than {longest}");
        }
    }
}
