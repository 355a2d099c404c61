//! `map`: what each value becomes; or the name of a shared replacement.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "map",
    usage: "map { a => b; else => keep }",
    summary: "what each value becomes; or the name of a shared replacement",
    rows: &[
        Row {
            signature: "`map { a => b; else => keep }`",
            takes: "anything",
            gives: "what each value becomes, as in a [replacement](#replacements), but only for this field mapping; `map name` uses a shared one",
        },
    ],
    samples: &["map { 1 => male; One => male; 2 => female; -7 => unknown; 100000000 => unknown; null => unknown }", "map { true => male; false => female; null => unknown }", "map { \"x\" => \"y\"; else => keep }", "map { 1 => \"a\"; else => reject }", "map { else => male; null => female }", "map { else => null }", "map { \"male\" => male; else => unknown; null => unknown }"],
    rule: Rule::Checker,
};
