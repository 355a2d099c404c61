//! Several bulk requests in one `$batch`: one HTTP request, whose parts are carried out in order.
//!
//! Each part is a separate transaction. The first that fails ends the batch; what came before stays done (Dataverse Web API, *Execute
//! batch operations*). A batch counts as one request for the limit of requests in five minutes, and with each of its rows for the daily
//! limit.

use uuid::Uuid;

use super::bulk::{Bulk, Ids, Target};
use super::key::{Entity, RowKey};
use super::{Dataverse, Operation, Part, PartOutcome};
use crate::connect::{Call, ConnectError};

/// One bulk request of several.
#[derive(Clone, Copy, Debug)]
pub struct BulkPart<'a> {
    /// The table.
    pub entity: &'a Entity,
    /// What is done with the rows.
    pub bulk: Bulk,
    /// The rows.
    pub targets: &'a [Target],
}

/// What became of one bulk request of several.
#[derive(Debug)]
pub enum BulkPartOutcome {
    /// All rows were written.
    Done,
    /// None was written; the error does not name a row. After [`ConnectError::OutcomeUnknown`] ask which rows exist.
    Failed(ConnectError),
    /// It was not begun, since an earlier one failed.
    NotBegun,
}

impl Dataverse {
    /// Sends several bulk requests as one. The outcomes are in the order of the parts.
    ///
    /// # Errors
    /// If the batch as a whole failed, or its answer was not seen; then nothing is known about any part after
    /// [`ConnectError::OutcomeUnknown`].
    pub async fn together(&self, parts: &[BulkPart<'_>]) -> Result<Vec<BulkPartOutcome>, ConnectError> {
        let operations = parts
            .iter()
            .map(|part| Operation::bulk(part.entity, part.bulk, part.targets).map(Part::Single))
            .collect::<Result<Vec<_>, _>>()?;
        let outcomes = self.batch(&operations, false).await?;
        Ok(parts.iter().zip(outcomes).map(|(part, outcome)| of_part(part, outcome)).collect())
    }
}

fn of_part(part: &BulkPart<'_>, outcome: PartOutcome) -> BulkPartOutcome {
    let answers = match outcome {
        PartOutcome::Done(answers) => answers,
        PartOutcome::Failed { error, .. } => return BulkPartOutcome::Failed(error),
        PartOutcome::NotBegun => return BulkPartOutcome::NotBegun,
    };
    if part.bulk != Bulk::Create {
        return BulkPartOutcome::Done;
    }
    let made = answers.first().and_then(|answer| serde_json::from_slice::<Ids>(&answer.body).ok()).map(|ids| ids.ids);
    match made {
        Some(ids) if is_about(part.targets, &ids) => BulkPartOutcome::Done,
        Some(_) | None => BulkPartOutcome::Failed(other_rows()),
    }
}

/// Whether ids that came back are those of the rows that were sent: they come in the order of the request.
pub(super) fn is_about(targets: &[Target], made: &[Uuid]) -> bool {
    targets.len() == made.len()
        && targets.iter().zip(made).all(|(target, made)| match target.key {
            Some(RowKey::Id(id)) => id == *made,
            Some(RowKey::Alternate(_)) | None => true,
        })
}

/// The error of an answer that is about other rows.
pub(super) fn other_rows() -> ConnectError {
    let call = Call { api: super::API, message: Some("the answer is about other rows".to_owned()), ..Call::default() };
    ConnectError::OutcomeUnknown { call: Box::new(call) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_the_rows_that_were_sent_only_if_all_ids_come_in_order() {
        let id = Uuid::from_u128;
        let row = |n| Target { key: Some(RowKey::Id(id(n))), fields: "{}".to_owned() };
        let rows = [row(1), row(2)];
        assert!(is_about(&rows, &[id(1), id(2)]));
        for others in [vec![id(2), id(1)], vec![id(1)], vec![id(1), id(2), id(3)], Vec::new()] {
            assert!(!is_about(&rows, &others), "{others:?}");
        }
        assert!(is_about(&[Target { key: None, fields: String::new() }], &[id(7)]));
    }
}
