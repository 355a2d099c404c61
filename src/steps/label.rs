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
            gives: "the label, or several with a text between them, whatever `picklists` says",
        },
        Row {
            signature: "`label(\", \", sorted)`",
            takes: "several options",
            gives: "their labels in alphabetical order with a text between them, without regard to case and accents; otherwise they are in the order in which Dynamics has the options",
        },
        Row {
            signature: "`label`",
            takes: "a lookup",
            gives: "the name of the record that it points to, as Dynamics shows it; none where it is empty. A changed name is written with the next change of the record that has the lookup, or by the comparison of `reconcile every 7d` (`D126`)",
        },
    ],
    samples: &["label", "label(\", \")", "label(\"/\", sorted)"],
    rule: Rule::Checker,
};
