//! `label`: the label of an option, the name of the record that a lookup points to.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "label",
    usage: "label, or label(\", \") or label(\", \", sorted) for several options",
    summary: "the label of an option, the name of the record that a lookup points to",
    rows: &[
        Row {
            signature: "`label`, `label(\", \")`",
            takes: "options",
            gives: "the label, or several labels with a text between them, regardless of `picklists`",
        },
        Row {
            signature: "`label(\", \", sorted)`",
            takes: "several options",
            gives: "their labels in alphabetical order with a text between them, ignoring case and accents. Without `sorted`, they are in the order of the options in Dynamics",
        },
        Row {
            signature: "`label`",
            takes: "a lookup",
            gives: "the name of the record that it points to, as Dynamics shows it; empty if the lookup is empty. A changed name is written when the record with the lookup changes the next time, or by `reconcile every 7d` (`D126`)",
        },
    ],
    samples: &["label", "label(\", \")", "label(\"/\", sorted)"],
    rule: Rule::Checker,
};
