//! Adoption: before a record is created, one of the target that has no key yet is found by the fields which the mapping names, and gets
//! the key with all other values in one write.
//!
//! A search and the write that follows it are not one step. What happens in between costs no record: a write whose answer was not seen is
//! looked up by our key before anything else (`writer.rs`), the target refuses to change a key that has a value, and within a round two
//! source records never write to one record that both have found.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::body;
use crate::connect::ConnectError;
use crate::count::counted;
use crate::plan::{AdoptBy, ExecutionPlan, IngressFlow};
use crate::run::failure::place;
use crate::store::Failure;
use crate::systems::{Match, Search, Target};

/// Records that a search returns at most.
const MOST: usize = 50;

/// What the target has for a record that it does not know by its key.
#[derive(Debug)]
pub(super) enum Candidate {
    /// Nothing to adopt.
    None,
    /// A record that has our key.
    Own,
    /// One record without a key.
    One {
        /// The record.
        found: Match,
        /// The field that found it.
        by: AdoptBy,
    },
    /// Several of them.
    Several {
        /// The field that found them.
        by: AdoptBy,
        /// How many; at least this number if there are more than a search returns.
        count: usize,
        /// There are more than a search returns.
        more: bool,
    },
}

/// Searches the target by one field after the other, until records without a key are found. `value_of` gives the JSON text that is to be
/// written to an attribute.
pub(super) async fn find<'v>(
    target: &dyn Target,
    flow: &IngressFlow,
    key: &str,
    value_of: impl Fn(&str) -> Option<&'v str>,
) -> Result<Candidate, ConnectError> {
    let attribute = flow.key.path.join(".");
    for by in &flow.adopt {
        let Some(value) = value_of(&by.attribute).and_then(searchable) else { continue };
        let search = Search { table: body::table(flow), by: &by.attribute, value: &value, key: &attribute, most: MOST };
        let matches = target.search(search).await?;
        let folded = |key: &str| key.trim().to_lowercase();
        if matches.records.iter().filter_map(|found| found.key.as_deref()).any(|known| folded(known) == folded(key)) {
            return Ok(Candidate::Own);
        }
        let mut free: Vec<Match> = matches.records.into_iter().filter(|found| found.key.is_none()).collect();
        let by = by.clone();
        match (free.len(), matches.more) {
            (0, false) => {}
            (1, false) => return Ok(free.pop().map_or(Candidate::None, |found| Candidate::One { found, by })),
            (count, more) => return Ok(Candidate::Several { by, count, more }),
        }
    }
    Ok(Candidate::None)
}

/// A value as it is searched for; `None` if it is empty.
pub(super) fn searchable(json: &str) -> Option<String> {
    let text = match serde_json::from_str(json).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The dead letter of a record for which there are several.
pub(super) fn ambiguous(plan: &ExecutionPlan, flow: &IngressFlow, by: &AdoptBy, count: usize, more: bool) -> Failure {
    let key = flow.key.path.join(".");
    let (records, attribute) = (if more { "too many records".to_owned() } else { counted(count as u64, "record") }, &by.attribute);
    let have = if more || count != 1 { "have" } else { "has" };
    Failure {
        code: "D907".to_owned(),
        message: format!(
            "{records} of `{}` {have} this `{attribute}` and no `{key}`, and it is not known which one is meant. Delete or merge those that \
             are not needed, or write the id into `{key}` of the right one; then run `d365map dead-letters retry`",
            flow.target.name()
        ),
        field: Some(attribute.clone()),
        place: Some(place(plan, by.at)),
        ..Failure::default()
    }
}

/// The records that are being adopted in a round, or were: which source record each of them is for.
#[derive(Debug, Default)]
pub(super) struct Adoptions(Mutex<HashMap<u64, u64>>);

/// A record that is reserved for a source record.
pub(super) struct Reserved<'a> {
    adoptions: &'a Adoptions,
    record: u64,
    keep: bool,
}

impl Adoptions {
    /// Reserves a record for a key; `None` if it is reserved for another one.
    pub fn reserve(&self, found: &Match, key: &str) -> Option<Reserved<'_>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let (record, owner) = (found.identity(), hasher.finish());
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = *taken.entry(record).or_insert(owner) == owner;
        // Not `then_some`: it would make a reservation that is dropped at once, and the drop waits for the lock that is held here.
        is_ours.then(|| Reserved { adoptions: self, record, keep: false })
    }
}

impl Reserved<'_> {
    /// The record stays reserved: it was adopted, or may have been.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.keep {
            self.adoptions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.record);
        }
    }
}
