//! One request that makes rows: what else goes along in it, and what is found out about a table by the first ones.
//!
//! A table may take its rows in their final state, and a service may take several bulk requests in one `$batch`. Neither is documented
//! for every table, so each is tried once; if it does not work, the rows are written without it, and it is not tried again.

use std::collections::HashSet;

use uuid::Uuid;

use super::job::{COMPLETED, Job, Meaning, Row, meaning};
use super::trial::Known;
use crate::connect::ConnectError;
use crate::systems::dataverse::{Bulk, BulkPart, BulkPartOutcome, Operation, Part, PartOutcome, Target};

/// What goes along with the rows of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    /// The rows are made in their final state.
    closed: bool,
    /// Their tasks are made in the same request.
    tasks: bool,
    /// They are completed in the same request.
    completing: bool,
}

impl Way {
    fn is_together(self) -> bool {
        self.tasks || self.completing
    }
}

/// What one request did: the rows that were made, and the error of the others.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) done: Vec<Uuid>,
    /// Their tasks were made as well.
    pub(super) tasked: bool,
    /// Those that were completed as well.
    pub(super) closed: HashSet<Uuid>,
    pub(super) error: Option<ConnectError>,
}

impl Sent {
    fn failed(error: ConnectError) -> Sent {
        Sent { error: Some(error), ..Sent::default() }
    }
}

/// Makes rows in one request.
pub(super) async fn send(job: &Job<'_>, rows: &[Row]) -> Sent {
    if !job.table.bulk {
        return send_parts(job, rows).await;
    }
    let way = way(job);
    let trial =
        (way.closed && job.table.closes.known() == Known::Nothing) || (way.is_together() && job.table.together.known() == Known::Nothing);
    let mut sent = send_bulk(job, way, rows).await;
    match &sent.error {
        Some(error) if trial && matches!(meaning(error), Meaning::Row) => {
            // Is it about the way, or about a row?
            sent = send_bulk(job, Way::default(), rows).await;
            if sent.error.is_none() {
                // If both were tried, the second has its trial in the next request.
                let untested = if way.closed { &job.table.closes } else { &job.table.together };
                untested.note(false);
            }
        }
        Some(_) => {}
        None => {
            if way.is_together() {
                job.table.together.note(true);
            }
            if way.closed {
                sent.closed = look_at_states(job, &sent.done).await;
            }
        }
    }
    sent
}

fn way(job: &Job<'_>) -> Way {
    let closed = job.completed && job.table.closes.known() != Known::Fails;
    let together = job.table.together.known() != Known::Fails;
    Way { closed, tasks: together && job.tasks.is_some_and(|tasks| tasks.bulk), completing: together && job.completed && !closed }
}

/// Which rows are completed that were made in this state. Only the first ones are looked at.
async fn look_at_states(job: &Job<'_>, made: &[Uuid]) -> HashSet<Uuid> {
    if job.table.closes.known() == Known::Works {
        return made.iter().copied().collect();
    }
    match job.dataverse.existing(&job.table.entity, made, Some("statecode")).await {
        Ok(states) => {
            let closed: HashSet<Uuid> = states.into_iter().filter(|(_, state)| *state == Some(1)).map(|(id, _)| id).collect();
            job.table.closes.note(made.iter().all(|id| closed.contains(id)));
            closed
        }
        // They are completed by a separate request, which does no harm to those that are completed already.
        Err(_) => HashSet::new(),
    }
}

async fn send_bulk(job: &Job<'_>, way: Way, rows: &[Row]) -> Sent {
    let begun = job.calls.sizes.begin();
    let made: Vec<Target> = rows.iter().map(|row| if way.closed { closed(&row.target) } else { row.target.clone() }).collect();
    let ids = || rows.iter().map(|row| row.id);
    let (sent, error) = if way.is_together() {
        let tasks: Vec<Target> = rows.iter().filter_map(|row| row.task.clone()).collect();
        let done: Vec<Target> = ids().map(|id| Target { key: Some(id.into()), fields: COMPLETED.to_owned() }).collect();
        let mut parts = vec![BulkPart { entity: &job.table.entity, bulk: Bulk::Create, targets: &made }];
        if let Some(table) = job.tasks.filter(|_| way.tasks) {
            parts.push(BulkPart { entity: &table.entity, bulk: Bulk::Create, targets: &tasks });
        }
        if way.completing {
            parts.push(BulkPart { entity: &job.table.entity, bulk: Bulk::Update, targets: &done });
        }
        match job.dataverse.together(&parts).await {
            Ok(outcomes) => of_outcomes(way, ids(), outcomes),
            Err(error) => (Sent::failed(error.clone()), Some(error)),
        }
    } else {
        match job.dataverse.create_all(&job.table.entity, &made).await {
            Ok(()) => (Sent { done: ids().collect(), ..Sent::default() }, None),
            Err(error) => (Sent::failed(error.clone()), Some(error)),
        }
    };
    job.calls.sizes.ended(job.calls.kind, rows.len(), begun, error.as_ref());
    sent
}

/// What several requests in one did, and the first error of any. An error of tasks and completing is left to the requests that repeat
/// them alone, which tell whose it is.
fn of_outcomes(way: Way, ids: impl Iterator<Item = Uuid>, outcomes: Vec<BulkPartOutcome>) -> (Sent, Option<ConnectError>) {
    let mut outcomes = outcomes.into_iter();
    let mut sent = Sent::default();
    match outcomes.next() {
        Some(BulkPartOutcome::Done) => sent.done = ids.collect(),
        Some(BulkPartOutcome::Failed(error)) => return (Sent::failed(error.clone()), Some(error)),
        Some(BulkPartOutcome::NotBegun) | None => return (sent, None),
    }
    if way.tasks {
        match outcomes.next() {
            Some(BulkPartOutcome::Done) => sent.tasked = true,
            Some(BulkPartOutcome::Failed(error)) => return (sent, Some(error)),
            Some(BulkPartOutcome::NotBegun) | None => return (sent, None),
        }
    }
    if way.completing {
        match outcomes.next() {
            Some(BulkPartOutcome::Done) => sent.closed = sent.done.iter().copied().collect(),
            Some(BulkPartOutcome::Failed(error)) => return (sent, Some(error)),
            Some(BulkPartOutcome::NotBegun) | None => {}
        }
    }
    (sent, None)
}

/// The row in its final state.
fn closed(target: &Target) -> Target {
    let state = COMPLETED.trim_end_matches('}');
    let fields = target.fields.trim_start_matches('{');
    Target { key: target.key.clone(), fields: if fields == "}" { COMPLETED.to_owned() } else { format!("{state},{fields}") } }
}

/// Makes rows by single requests of a `$batch`, for a table that takes no bulk requests.
async fn send_parts(job: &Job<'_>, rows: &[Row]) -> Sent {
    let begun = job.calls.sizes.begin();
    let primary = &job.table.entity.primary_id;
    let parts: Vec<Part> = rows
        .iter()
        .map(|row| {
            let inner = row.target.fields.trim_start_matches('{');
            Part::Single(Operation::create(&job.table.entity, format!("{{\"{primary}\":\"{}\",{inner}", row.id)))
        })
        .collect();
    let outcomes = match job.dataverse.batch(&parts, true).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            job.calls.sizes.ended(job.calls.kind, job.rows_of(rows.len()), begun, Some(&error));
            return Sent::failed(error);
        }
    };
    job.calls.sizes.ended(job.calls.kind, job.rows_of(rows.len()), begun, None);
    let mut sent = Sent::default();
    for (row, outcome) in rows.iter().zip(outcomes) {
        match outcome {
            PartOutcome::Done(_) => sent.done.push(row.id),
            PartOutcome::Failed { error, .. } => drop(sent.error.get_or_insert(error)),
            PartOutcome::NotBegun => {}
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_its_final_state_has_the_state_beside_its_columns() {
        let target = |fields: &str| Target { key: None, fields: fields.to_owned() };
        assert_eq!(closed(&target(r#"{"subject":"a"}"#)).fields, r#"{"statecode":1,"statuscode":2,"subject":"a"}"#);
        assert_eq!(closed(&target("{}")).fields, COMPLETED);
    }

    #[test]
    fn what_a_part_of_a_batch_did_not_do_is_left_to_separate_requests() {
        let way = Way { closed: false, tasks: true, completing: true };
        let id = Uuid::from_u128(1);
        let error = || ConnectError::Rejected { call: Box::default() };
        let of = |outcomes| {
            let (sent, error) = of_outcomes(way, std::iter::once(id), outcomes);
            (sent.done.len(), sent.tasked, sent.closed.len(), sent.error.is_some(), error.is_some())
        };
        use BulkPartOutcome::{Done, Failed, NotBegun};
        assert_eq!(of(vec![Done, Done, Done]), (1, true, 1, false, false));
        assert_eq!(of(vec![Done, Done, Failed(error())]), (1, true, 0, false, true));
        assert_eq!(of(vec![Done, Failed(error()), NotBegun]), (1, false, 0, false, true));
        assert_eq!(of(vec![Failed(error()), NotBegun, NotBegun]), (0, false, 0, true, true));
    }
}
