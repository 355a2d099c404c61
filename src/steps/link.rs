//! `link`: the record that another mapping writes for the one that a lookup points to.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "link",
    usage: "link accounts",
    summary: "the record that another mapping writes for the one that a lookup points to",
    rows: &[
        Row {
            signature: "`link accounts`",
            takes: "a lookup",
            gives: "the record that another mapping writes for the one that it points to, see [links](#links)",
        },
        Row {
            signature: "`link campaign.orgUnitBase`, `link campaign.cusBrand by cusCode`",
            takes: "text, whole numbers",
            gives: "the record that Campaign has under this key, see [links by key](#links-by-key). Fails if there is none",
        },
    ],
    samples: &[],
    rule: Rule::Checker,
};
