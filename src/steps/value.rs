//! `value`: the number of an option.

use super::{Call, Checked, Row, Rule, Step, Wrong};
use crate::value::Ty;

/// The step.
pub const STEP: Step = Step {
    name: "value",
    usage: "value",
    summary: "the number of an option",
    rows: &[
        Row {
            signature: "`value`",
            takes: "options",
            gives: "the number, regardless of `picklists`",
        },
    ],
    samples: &["value"],
    rule: Rule::Call(check),
};

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    call.no_arguments()?;
    if matches!(call.input.ty, Ty::Choice(_) | Ty::Options(_)) { Ok(call.unchanged()) } else { Err(call.not_an_option()) }
}
