//! `extract`: the part of a text that a regular expression finds.

use serde::{Deserialize, Serialize};

use super::shared::expression::{check_expression, ready_expression};
use super::shared::letters::comparable;
use super::shared::ready::{Failed, OTHER_TYPE, owned};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode::is_blank;
use crate::value::{Ty, Value, length};

/// The step.
pub const STEP: Step = Step {
    name: "extract",
    usage: "extract(\"KD-([0-9]+)\")",
    summary: "the part of the text that a regular expression finds",
    rows: &[
        Row {
            signature: "`extract(\"KD-([0-9]+)\")`",
            takes: "text",
            gives: "what the first group in parentheses of the [expression](#regular-expressions) matches; without a group, the whole match. Fails if nothing matches, or if that part is empty",
        },
    ],
    samples: &["extract(\"[0-9]+\")", "extract(\"a(.*)$\")"],
    rule: Rule::Call(check),
};

/// The step in a plan: the regular expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extract(String);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let pattern = call.one_text("expected a regular expression in quotes")?;
    check_expression(pattern)?;
    let ty = match call.same_text()? {
        // A part of a known text is not known.
        Ty::Words(words) => Ty::Text { max: words.iter().map(|w| length(w)).max() },
        other => other,
    };
    Ok(Checked::fallible(Operation::Extract(Extract(pattern.to_owned())), call.typed(ty), "the text may not match the expression"))
}

impl Operate for Extract {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let pattern = ready_expression(&self.0)?;
        Ok(Ready::new(move |value| {
            let Value::Text(text) = value else { return Err(OTHER_TYPE) };
            let text = comparable(&text);
            let found = pattern.captures(&text).ok_or(Failed("the text does not match the expression"))?;
            match found.get(usize::from(found.len() > 1)) {
                Some(part) if !is_blank(part.as_str()) => Ok(owned(part.as_str().to_owned())),
                _ => Err(Failed("the part that the expression finds is empty")),
            }
        }))
    }

    fn written(&self) -> String {
        format!("extract({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn the_first_group_is_taken_or_else_the_whole_match() {
        let group = check(&STEP, &[text("KD-([0-9]+)/([0-9]+)")], up_to(20));
        assert_eq!(output(&group), (up_to(20), true));
        assert_eq!(run_text(&group, "order KD-0815/7").as_deref(), Some("0815"));
        assert_eq!(run_text(&group, "order"), None);
        assert_eq!(run_text(&check(&STEP, &[text("[0-9]+")], up_to(9)), "ab12c3").as_deref(), Some("12"));
    }

    #[test]
    fn an_empty_part_is_a_failure() {
        for pattern in ["a(x*)", "a|b(c)"] {
            assert_eq!(run_text(&check(&STEP, &[text(pattern)], up_to(9)), "a"), None, "{pattern}");
        }
    }

    #[test]
    fn accents_are_found_however_they_are_encoded() {
        assert_eq!(run_text(&check(&STEP, &[text("caf(e\u{301}|e)")], up_to(9)), "caf\u{e9}").as_deref(), Some("\u{e9}"));
    }
}
