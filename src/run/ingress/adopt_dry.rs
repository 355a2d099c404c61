//! The searches of a dry run: which of the records that would be created the target has already. Reads only.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use super::adopt::{self, Candidate};
use crate::connect::ConnectError;
use crate::plan::IngressFlow;
use crate::run::RunError;
use crate::store::{Comparison, Payload, QueuedChange};
use crate::systems::Target;

/// A record for which the target has one without a key, or several.
#[derive(Clone, Debug, Serialize)]
pub struct DryAdoption {
    /// The id of the source record.
    pub id: String,
    /// The field by which the record of the target was found.
    pub by: String,
    /// The value of that field. May be a person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// How many records of the target could be adopted. One is.
    pub records: usize,
    /// There are more than a search returns.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// The searches of a dry run of one flow.
pub(super) struct Searches {
    flow: Arc<IngressFlow>,
    target: Arc<dyn Target>,
    at_once: usize,
    /// Records of the target that were found once: a second source record does not get them.
    taken: HashSet<u64>,
    /// How many are named.
    listed: usize,
    pub(super) adopt: u64,
    pub(super) ambiguous: u64,
    pub(super) found: Vec<DryAdoption>,
}

impl Searches {
    pub fn new(flow: &IngressFlow, target: Arc<dyn Target>, at_once: usize, listed: usize) -> Searches {
        let (flow, at_once) = (Arc::new(flow.clone()), at_once.max(1));
        Searches { flow, target, at_once, taken: HashSet::new(), listed, adopt: 0, ambiguous: 0, found: Vec::new() }
    }

    /// Begins again: everything is read a second time.
    pub fn restart(&mut self) {
        self.taken.clear();
        self.found.clear();
        (self.adopt, self.ambiguous) = (0, 0);
    }

    /// Counts the records that would be adopted, or for which there are several, and returns the other changes.
    pub async fn of(&mut self, changes: Vec<QueuedChange>) -> Result<Vec<QueuedChange>, RunError> {
        let mut others = Vec::with_capacity(changes.len());
        let mut waiting = changes.into_iter().enumerate();
        let mut searches: JoinSet<(usize, QueuedChange, Result<Candidate, ConnectError>)> = JoinSet::new();
        let mut answers = Vec::new();
        loop {
            while searches.len() < self.at_once
                && let Some((number, change)) = waiting.next()
            {
                let Some(values) = change.new.clone() else {
                    others.push(change);
                    continue;
                };
                let (flow, target) = (self.flow.clone(), self.target.clone());
                searches.spawn(async move {
                    let candidate = adopt::find(&*target, &flow, &change.key, |path| value_of(&values, path)).await;
                    (number, change, candidate)
                });
            }
            match searches.join_next().await {
                Some(answer) => answers.push(answer.map_err(|error| RunError::Task(error.to_string()))?),
                None => break,
            }
        }
        // In the order of the records, so that two runs say the same.
        answers.sort_by_key(|(number, ..)| *number);
        for (_, change, candidate) in answers {
            others.extend(self.note(change, candidate?));
        }
        Ok(others)
    }

    /// Counts a record; returns it if it would not be adopted.
    fn note(&mut self, change: QueuedChange, candidate: Candidate) -> Option<QueuedChange> {
        let (by, records, more) = match candidate {
            Candidate::One { found, by } if self.taken.insert(found.identity()) => {
                self.adopt += 1;
                (by, 1, false)
            }
            Candidate::Several { by, count, more } => {
                self.ambiguous += 1;
                (by, count, more)
            }
            Candidate::Own => {
                let written = change.new.iter().flat_map(|values| values.fields()).filter(|field| !field.create_only);
                let fields = written.map(|field| field.path.to_string()).collect();
                return Some(QueuedChange { upsert: Some(Comparison::Changed(fields)), ..change });
            }
            Candidate::None | Candidate::One { .. } => return Some(change),
        };
        if self.found.len() < self.listed {
            let value = change.new.as_ref().and_then(|values| value_of(values, &by.attribute)).and_then(adopt::searchable);
            self.found.push(DryAdoption { id: change.source_id, by: by.attribute, value, records, more });
        }
        None
    }
}

fn value_of<'v>(values: &'v Payload, path: &str) -> Option<&'v str> {
    values.fields().iter().find(|field| *field.path == *path).map(|field| field.value.get())
}
