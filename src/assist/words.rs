//! What the options, the flags and the settings of the language mean, for hovers.

use std::ops::Range;

use super::place::place;

/// Options of mappings, event blocks and opt-out blocks.
const OPTIONS: &[(&str, &str)] = &[
    ("deletes", "what happens to the target record when a record is deleted in Dynamics 365: `ignore` (default) or `propagate`"),
    ("filtered-out", "what happens to a target record whose source no longer passes the filter: `keep` (default) or `delete`"),
    ("picklists", "what the value of a picklist is: its number, `values` (default), or its label, `labels`"),
    (
        "rejected",
        "what happens to a record that cannot be mapped: it becomes a dead letter, `dead-letter` (default), or the run ends, `stop`",
    ),
    ("reconcile", "how often all records are compared with Dynamics 365, such as `reconcile every 7d`; never without this option"),
    ("refresh", "whether all records are evaluated once a day: `never` (default) or `daily`, for values that depend on the day"),
    ("scope", "which referrals are synchronized: `all` (default), or only those with `co-sell`"),
    ("conflicts", "which side wins if both have changed a field: `newest` (default), `partner`, `d365`, or `report` for a dead letter"),
    ("check-mark", "whether a mark before the name of an opportunity says if it is synchronized: `off` (default) or `on`"),
    ("send", "whether sent emails appear on the timeline: `on` or `off`"),
    ("open", "whether opened emails appear on the timeline: `on` or `off`"),
    ("click", "whether clicks appear on the timeline: `on` or `off`"),
    ("bounce", "whether hard bounces appear on the timeline: `on` or `off`"),
    ("completed", "whether activities are completed: `on` (default), or `off` to leave them open"),
    ("direction", "in which direction opt-outs are synchronized: `disabled`, `d365-to-campaign`, `campaign-to-d365` or `bidirectional`"),
];

/// The right side of a pair that is a topic.
const SUBSCRIPTION: &str = "`subscription`: the profile's subscription to the service with this name; true in Dynamics 365 means subscribed, with `not` it means not subscribed";

/// Flags at the end of a field mapping.
const FLAGS: &[(&str, &str)] = &[
    ("initial", "the value is written when a record is created, by the first full load and by a replay, but not by later changes"),
    ("present", "if the value is empty, the target field stays as it is"),
];

/// The option or flag under the cursor, with its meaning (Markdown).
pub fn of_word(text: &str, offset: usize) -> Option<(String, Range<usize>)> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let start = text.get(..offset)?.rfind(|c| !part(c)).map_or(0, |at| at + 1);
    let end = text.get(offset..)?.find(|c| !part(c)).map_or(text.len(), |at| offset + at);
    let word = text.get(start..end)?;
    let meaning = |list: &[(&str, &'static str)], word: &str| list.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
    if text[..start].ends_with('@') {
        return Some((format!("`@{word}`: {}", meaning(FLAGS, word)?), start - 1..end));
    }
    let place = place(text, start);
    let block = place.blocks.last()?.header.first().copied()?;
    if !matches!(block, "options" | "events" | "optout") {
        return None;
    }
    if (block, word) == ("optout", "subscription") {
        return Some((SUBSCRIPTION.to_owned(), start..end));
    }
    let option = place.entry.first().copied().unwrap_or(word);
    Some((format!("`{option}`: {}", meaning(OPTIONS, option)?), start..end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{DIRECTIONS, EVENTS, INGRESS, TWO_WAY};

    #[test]
    fn every_option_has_a_meaning() {
        for (name, _) in [INGRESS, TWO_WAY, EVENTS, DIRECTIONS].concat() {
            assert!(OPTIONS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
