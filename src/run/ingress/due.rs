//! Records that are due: the answer of their filter, or a row that they point to, has changed since they were evaluated, although they were not
//! changed. They are
//! fetched by their ids and take the usual way from there.

use serde_json::value::RawValue;

use super::Shared;
use super::paging::AT_ONCE;
use super::reader::{Evaluation, Rows, count, note_rejections, query, room};
use super::related::RelatedValues;
use crate::connect::ConnectError;
use crate::eval::Evaluator;
use crate::plan::IngressFlow;
use crate::run::RunError;
use crate::store::DueCommit;
use crate::systems::Source;

/// Fetches what is due and takes it in, after the round has read all changes.
pub(super) async fn read(shared: &Shared, evaluator: &mut Evaluator<'_>) -> Result<(), RunError> {
    let (context, flow) = (&shared.context, shared.flow());
    // All are compared with one instant, so that the loop ends: a record that is evaluated becomes due later.
    let now = context.options.clock.now();
    loop {
        if !room(shared).await? {
            return Ok(());
        }
        let ids = context.stores.cursors.due_records(&flow.name, now, AT_ONCE).await?;
        if ids.is_empty() {
            return Ok(());
        }
        let fetched = tokio::select! {
            fetched = fetch(&*shared.source, flow, &ids) => fetched?,
            () = context.stop.cancelled() => return Ok(()),
        };
        let texts = fetched.iter().filter_map(|(_, record)| record.as_deref().map(RawValue::get));
        let values = RelatedValues::of(flow, &*shared.source, &context.stores, texts).await?;
        let records = fetched.iter().map(|(id, record)| (id.as_str(), record.as_deref()));
        let rows = Rows::of_records(&context.plan, flow, evaluator, records, values.as_ref(), context.options.clock.now());
        let evaluation = rows.evaluation(&context.plan, flow, &*context.stores.privacy).await?;
        note_rejections(&context.plan, flow, &context.events, &evaluation);
        let Evaluation { changes, times, .. } = evaluation;
        let commit = DueCommit { run: context.run, mapping: flow.name.clone(), records: ids, changes, times };
        let outcome = context.stores.cursors.store_due(commit).await?;
        count(shared, &outcome);
    }
}

/// Returns records as they are now, each with its id; `None` for one that Dynamics does not have any more.
pub(super) async fn fetch(
    source: &dyn Source,
    flow: &IngressFlow,
    ids: &[String],
) -> Result<Vec<(String, Option<Box<RawValue>>)>, ConnectError> {
    // What cannot be an id has no record. It is dropped with those that are evaluated.
    let ids: Vec<String> = ids.iter().filter(|id| source.is_id(id)).cloned().collect();
    let query = query(flow);
    let mut rows = source.retrieve_many(&query, &ids).await?;
    let mut records = Vec::with_capacity(ids.len());
    for id in ids {
        let record = match rows.remove(&id) {
            Some(row) => Some(row),
            // The deletion of a record is not concluded from a list that lacks it.
            None => source.retrieve(&query, &id).await?,
        };
        records.push((id, record));
    }
    Ok(records)
}
