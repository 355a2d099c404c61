//! `pad`: fills up to a length, in front; with `right` behind.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "pad",
    usage: "pad(8, \"0\")",
    summary: "fills up to a length, in front; with `right` behind",
    rows: &[
        Row {
            signature: "`pad(n, \"0\")`",
            takes: "text",
            gives: "filled up to n characters in front; `pad(n, \" \", right)` behind",
        },
    ],
    samples: &["pad(7, \"0\")", "pad(3, \"é\", right)"],
    text: None,
};

/// Fills a text up to a length in UTF-16 code units.
pub fn pad(text: &str, length: u32, with: char, behind: bool) -> String {
    let missing = (length as usize).saturating_sub(text.encode_utf16().count()) / with.len_utf16();
    let filling = std::iter::repeat_n(with, missing);
    if behind { text.chars().chain(filling).collect() } else { filling.chain(text.chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_fills_up_to_a_length_and_leaves_longer_text_alone() {
        assert_eq!(pad("7", 3, '0', false), "007");
        assert_eq!(pad("7", 3, ' ', true), "7  ");
        assert_eq!(pad("1234", 3, '0', false), "1234");
    }
}
