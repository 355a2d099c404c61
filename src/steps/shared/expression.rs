//! Regular expressions in the arguments of steps.

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::call::Wrong;
use super::ready::NotReady;
use crate::unicode::nfc;
use crate::value::length;

/// Reads the expression of a call.
pub fn check_expression(pattern: &str) -> Result<Regex, Wrong> {
    Regex::new(pattern).map_err(|error| {
        // The last line of the message says what is wrong; the lines above show the expression again.
        let message = error.to_string();
        let label = message.lines().last().unwrap_or("not a regular expression").trim_start_matches("error: ").to_owned();
        Wrong::Expression { label }
    })
}

/// The expression of a plan. Texts are compared with it in normalization form C.
pub fn ready_expression(pattern: &str) -> Result<Regex, NotReady> {
    Regex::new(&nfc(pattern)).map_err(|error| NotReady(error.to_string()))
}

/// The least number of UTF-16 code units that a match has.
pub fn shortest_match(pattern: &str) -> u32 {
    regex_syntax::parse(&nfc(pattern)).map_or(0, |hir| shortest(&hir))
}

fn shortest(hir: &Hir) -> u32 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).map_or(0, length),
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => repetition.min.saturating_mul(shortest(&repetition.sub)),
        HirKind::Capture(capture) => shortest(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(shortest).fold(0, u32::saturating_add),
        HirKind::Alternation(ways) => ways.iter().map(shortest).min().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_match_is_counted_in_utf_16() {
        for (pattern, least) in
            [("a", 1), ("ab+", 2), ("a*", 0), ("(ab|c)d", 2), ("😀", 2), ("[0-9]{3,5}", 3), ("^$", 0), ("(?i)straße", 6), ("\\bx?", 0)]
        {
            assert_eq!(shortest_match(pattern), least, "{pattern}");
        }
    }
}
