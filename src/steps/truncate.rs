//! `truncate`: at most this many characters; never splits a character.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::unicode;
use crate::value::Ty;

/// The step.
pub const STEP: Step = Step {
    name: "truncate",
    usage: "truncate(30)",
    summary: "at most this many characters; never splits a character",
    rows: &[
        Row {
            signature: "`truncate(n)`",
            takes: "text",
            gives: "at most n characters, counted in UTF-16 code units. It cuts only between visible characters: a flag, a letter with an accent or an emoji of several people is never split",
        },
    ],
    samples: &["truncate(5)", "truncate(40)", "truncate(1)"],
    rule: Rule::Call(check),
};

/// The step in a plan: the greatest length in UTF-16 code units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truncate(u32);

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let most = call.one_number(1..=1_000_000, "expected the maximum length, a number of at least 1")?;
    let short_enough = matches!(call.input.ty, Ty::Text { max: Some(max) } if max <= most);
    if short_enough {
        call.no_effect(format!("the value is {} anyway", call.input.ty.describe()));
    }
    let ty = call.text(|w| truncate(w, most).to_owned(), |max| Some(max.map_or(most, |m| m.min(most))))?;
    let operation = Operation::Truncate(Truncate(most));
    // What is cut off may leave only white space, or nothing if the first character alone is too long. Text that is short
    // enough is not cut.
    Ok(if short_enough { Checked::sure(operation, call.typed(ty)) } else { call.perhaps_empty(operation, ty) })
}

impl Operate for Truncate {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(|text| Cow::Borrowed(truncate(text, self.0))))
    }

    fn written(&self) -> String {
        format!("truncate({})", self.0)
    }
}

/// The longest beginning of at most `units` UTF-16 code units that ends between two characters as people see them.
pub fn truncate(text: &str, units: u32) -> &str {
    unicode::beginning(text, units as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, number, output, run_text, up_to};

    #[test]
    fn truncation_never_cuts_a_character_in_two() {
        assert_eq!(truncate("a😀b", 2), "a");
        assert_eq!(truncate("a😀b", 3), "a😀");
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("äöü", 2), "äö");
    }

    #[test]
    fn the_type_after_it_has_the_smaller_length_and_may_be_empty_only_if_something_is_cut() {
        let cut = check(&STEP, &[number(5)], up_to(10));
        assert_eq!(output(&cut), (up_to(5), false));
        assert_eq!(run_text(&cut, "Grace Hopper").as_deref(), Some("Grace"));
        assert!(cut.unwrap().output.nullable);
        let whole = check(&STEP, &[number(10)], up_to(5));
        assert_eq!(output(&whole), (up_to(5), false));
        assert!(!whole.unwrap().output.nullable);
    }
}
