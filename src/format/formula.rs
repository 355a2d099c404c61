//! Spaces in formulas: around operators, and none after the sign of a number.

/// Where a formula begins and ends among the words of an entry.
#[derive(Debug, Default)]
pub(super) struct Formula {
    inside: bool,
    /// Whether the last word was an operand: what follows is an operator.
    operand: bool,
    /// Whether the last word was the sign of a number.
    sign: bool,
}

impl Formula {
    /// Notes a word, and says whether a space precedes it; `None` if the rules of all entries decide. `left` is the word
    /// before it in the same line.
    pub(super) fn blank_before(&mut self, left: Option<&str>, word: &str) -> Option<bool> {
        if word == "=" && matches!(left, None | Some("=>" | "<-")) {
            *self = Formula { inside: true, operand: false, sign: false };
            return None;
        }
        if matches!(word, "->" | "|" | "or") {
            self.inside = false;
        }
        if !self.inside {
            return None;
        }
        let behind_sign = std::mem::take(&mut self.sign);
        self.sign = word == "-" && !self.operand;
        self.operand = !matches!(word, "+" | "-" | "*" | "/" | "(" | ",");
        match (left, word) {
            _ if behind_sign => Some(false),
            (Some("("), _) => None,
            (_, "+" | "-" | "*" | "/") | (Some("+" | "-" | "*" | "/"), _) => Some(true),
            _ => None,
        }
    }
}
