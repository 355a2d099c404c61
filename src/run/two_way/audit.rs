//! What an opportunity shows people about its state: the Audit column, and a mark in its name.
//!
//! The reason of a dead letter is written into the Audit column of the opportunity, and that it is in step again when it is. Nothing is
//! written if the column says so already: otherwise each round would cause the next one.

use super::Shared;
use super::fields::Record;
use super::rule::{FieldValue, RightSight};
use super::values::{Body, without_mark};
use crate::plan::TwoWayFlow;
use crate::run::calls::CallKind;
use crate::store::{PairEnd, PairSide};
use crate::systems::{Payload, Written};

/// How the reason of a dead letter begins in the Audit column.
const NOT_IN_STEP: &str = "Not in step: ";
/// The most UTF-16 code units of the Audit column that are used: the length of the solution's column is not documented.
const LONGEST: usize = 1000;
/// The length of an opportunity's name in Dynamics 365, if the mapping does not say another one.
const NAME: u32 = 300;

/// The mark before a name. Which characters the low-code connector uses is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// In step.
    Check,
    /// A dead letter.
    Cross,
}

impl Mark {
    fn symbol(self) -> char {
        match self {
            Mark::Check => '✔',
            Mark::Cross => '✖',
        }
    }
}

/// What the Audit column says of a dead letter.
fn reason(message: &str) -> String {
    let text = format!("{NOT_IN_STEP}{message}");
    if text.encode_utf16().count() <= LONGEST {
        return text;
    }
    let mut left = LONGEST - 1;
    let fits = |character: &char| {
        let length = character.len_utf16();
        left.checked_sub(length).is_some_and(|rest| {
            left = rest;
            true
        })
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    short
}

/// A name with a mark; the name alone if it would be too long.
fn marked(name: &str, mark: Mark, longest: u32) -> String {
    let plain = without_mark(name);
    let text = format!("{} {plain}", mark.symbol());
    if text.encode_utf16().count() <= longest as usize { text } else { plain.to_owned() }
}

/// Puts a mark before the name in a body for the right side, or before the name that the record has, if the mapping asks for marks.
pub(super) fn mark(flow: &TwoWayFlow, body: &mut Body, right: Option<&Record>, mark: Mark) {
    if !flow.check_mark {
        return;
    }
    let name = body.text("name").or_else(|| right.and_then(|right| right.text("name")));
    if let Some(name) = name.filter(|name| !without_mark(name).trim().is_empty()) {
        body.set_text("name", &marked(&name, mark, flow.longest("name").unwrap_or(NAME)));
    }
}

/// What came of writing.
pub(super) struct Told {
    /// The version of the opportunity after it; `None` if somebody has changed it since, which is news.
    pub(super) version: Option<String>,
}

/// Writes what the end of an attempt means for people, if the opportunity does not say so already; `None` if nothing was written. A column
/// that cannot be written changes nothing about the pair. `seen`, `right`: the opportunity as it is.
pub(super) async fn tell(shared: &Shared, seen: &RightSight, right: &Record, end: &mut PairEnd) -> Option<Told> {
    let column = shared.fields.columns.audit?;
    // One that takes no part, or takes no change, is left alone.
    if seen.closed || seen.gate == Some(false) {
        return None;
    }
    let current = right.text(column).unwrap_or_default();
    let (text, symbol) = match &*end {
        PairEnd::Failed(failure) | PairEnd::Undecided(_, failure) => (reason(&failure.message), Mark::Cross),
        PairEnd::Done(pair) if current.starts_with(NOT_IN_STEP) => {
            (format!("in step again with referral {}", pair.left.as_ref()?), Mark::Check)
        }
        _ => return None,
    };
    if text.trim() == current.trim() {
        return None;
    }
    let mut body = Body::default();
    body.set_text(column, &text);
    mark(shared.flow(), &mut body, Some(right), symbol);
    let (key, body) = (shared.key(PairSide::Right, &seen.id), Payload::from(&body.to_json()));
    let answer = shared.right.target.update(key, body, seen.version.as_deref()).await;
    if !matches!(answer, Ok(Written::Done)) {
        return None;
    }
    shared.denials.passed(CallKind::Update);
    let version = version_after(shared, seen).await;
    if let (PairEnd::Done(pair) | PairEnd::Undecided(pair, _), Some(version)) = (end, &version) {
        pair.right_version = Some(version.clone());
    }
    Some(Told { version })
}

/// The version of the write by d365map, which is not news.
async fn version_after(shared: &Shared, seen: &RightSight) -> Option<String> {
    let raw = shared.right.source.retrieve(&shared.right.query, &seen.id).await.ok()??;
    let (_, now) = shared.reading().right(raw.get(), &[]).ok()?;
    // Rows of other tables have separate versions.
    let own = |values: &[Option<FieldValue>]| -> Vec<Option<FieldValue>> {
        shared.fields.list.iter().zip(values).filter(|(field, _)| field.list.is_none()).map(|(_, value)| *value).collect()
    };
    let same = now.identifier == seen.identifier && now.gate == seen.gate && now.closed == seen.closed;
    now.version.filter(|_| same && own(&now.values) == own(&seen.values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_before_a_name_once_and_is_left_out_if_the_name_would_be_too_long() {
        assert_eq!(marked("Deal", Mark::Check, 300), "✔ Deal");
        assert_eq!(marked("✔ Deal", Mark::Cross, 300), "✖ Deal");
        assert_eq!(marked("Deal", Mark::Check, 6), "✔ Deal");
        assert_eq!(marked("Deal", Mark::Check, 5), "Deal");
        assert_eq!(marked("✖ Deal", Mark::Check, 5), "Deal");
        assert_eq!(marked("𝒟eal", Mark::Check, 6), "𝒟eal", "a character may take two code units");
        assert_eq!(without_mark(&marked("Deal", Mark::Cross, 300)), "Deal");
    }

    #[test]
    fn a_reason_is_cut_to_what_the_column_holds_for_certain() {
        assert_eq!(reason("short"), "Not in step: short");
        let long = reason(&"𝒟".repeat(1000));
        assert!(long.encode_utf16().count() <= LONGEST && long.ends_with('…'), "{}", long.len());
        assert_eq!(reason(&"a".repeat(2000)).len(), LONGEST - 1 + '…'.len_utf8());
    }
}
