//! `truncate`: at most this many characters; cuts no character in two.

use super::{Row, Step};
use crate::unicode;

/// The step.
pub const STEP: Step = Step {
    name: "truncate",
    usage: "truncate(30)",
    summary: "at most this many characters; cuts no character in two",
    rows: &[
        Row {
            signature: "`truncate(n)`",
            takes: "text",
            gives: "at most n characters, counted in UTF-16 code units. It cuts between characters as people see them: no flag, no letter with its accent and no emoji of several people is cut in two",
        },
    ],
    samples: &["truncate(5)", "truncate(40)", "truncate(1)"],
    text: None,
};

/// The longest beginning of at most `units` UTF-16 code units that ends between two characters as people see them.
pub fn truncate(text: &str, units: u32) -> &str {
    unicode::beginning(text, units as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_never_cuts_a_character_in_two() {
        assert_eq!(truncate("a😀b", 2), "a");
        assert_eq!(truncate("a😀b", 3), "a😀");
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("äöü", 2), "äö");
    }
}
