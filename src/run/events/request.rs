//! One request that makes rows: what else goes along in it, and what is found out about a table by the first ones.
//!
//! A table may take its rows in their final state, and a service may take several bulk requests in one `$batch`. Neither is documented
//! for every table, so each is tried once; if it does not work, the rows are written without it, and it is not tried again.

use std::collections::HashSet;

use uuid::Uuid;

use super::job::{Job, Meaning, Row, meaning};
use super::trial::Known;
use crate::connect::ConnectError;
use crate::systems::{Activity, ActivityBatch, ActivityState, ActivityWrites, BatchOutcome};

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
    if !job.table.table.bulk {
        return send_each(job, rows).await;
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
    Way { closed, tasks: together && job.tasks.is_some_and(|tasks| tasks.table.bulk), completing: together && job.completed && !closed }
}

/// Which rows are completed that were made in this state. Only the first ones are looked at.
async fn look_at_states(job: &Job<'_>, made: &[Uuid]) -> HashSet<Uuid> {
    if job.table.closes.known() == Known::Works {
        return made.iter().copied().collect();
    }
    match job.table.states(made, true).await {
        Ok(states) => {
            let completed = |(id, state)| (state == Some(ActivityState::Completed)).then_some(id);
            let closed: HashSet<Uuid> = states.into_iter().filter_map(completed).collect();
            job.table.closes.note(made.iter().all(|id| closed.contains(id)));
            closed
        }
        // They are completed by a separate request, which does no harm to those that are completed already.
        Err(_) => HashSet::new(),
    }
}

async fn send_bulk(job: &Job<'_>, way: Way, rows: &[Row]) -> Sent {
    let begun = job.calls.sizes.begin();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let create = |activities, completed| ActivityWrites::Create { activities, completed };
    let made = create(rows.iter().map(|row| &row.activity).collect(), way.closed);
    let mut batches = vec![ActivityBatch { table: &job.table.table, writes: made }];
    if let Some(tasks) = job.tasks.filter(|_| way.tasks) {
        let made: Vec<&Activity> = rows.iter().filter_map(|row| row.task.as_ref()).collect();
        batches.push(ActivityBatch { table: &tasks.table, writes: create(made, false) });
    }
    if way.completing {
        batches.push(ActivityBatch { table: &job.table.table, writes: ActivityWrites::Complete(&ids) });
    }
    let (sent, error) = match job.table.timeline.write_together(&batches).await {
        Ok(outcomes) => of_outcomes(way, ids.iter().copied(), outcomes),
        Err(error) => (Sent::failed(error.clone()), Some(error)),
    };
    job.calls.sizes.ended(job.calls.kind, rows.len(), begun, error.as_ref());
    sent
}

/// What several requests in one did, and the first error of any. An error of tasks and completing is left to the requests that repeat
/// them alone, which tell whose it is.
fn of_outcomes(way: Way, ids: impl Iterator<Item = Uuid>, outcomes: Vec<BatchOutcome>) -> (Sent, Option<ConnectError>) {
    let mut outcomes = outcomes.into_iter();
    let mut sent = Sent::default();
    match outcomes.next() {
        Some(BatchOutcome::Done) => sent.done = ids.collect(),
        Some(BatchOutcome::Failed(error)) => return (Sent::failed(error.clone()), Some(error)),
        Some(BatchOutcome::NotBegun) | None => return (sent, None),
    }
    if way.tasks {
        match outcomes.next() {
            Some(BatchOutcome::Done) => sent.tasked = true,
            Some(BatchOutcome::Failed(error)) => return (sent, Some(error)),
            Some(BatchOutcome::NotBegun) | None => return (sent, None),
        }
    }
    if way.completing {
        match outcomes.next() {
            Some(BatchOutcome::Done) => sent.closed = sent.done.iter().copied().collect(),
            Some(BatchOutcome::Failed(error)) => return (sent, Some(error)),
            Some(BatchOutcome::NotBegun) | None => {}
        }
    }
    (sent, None)
}

/// Makes rows of a table without bulk requests, each by itself.
async fn send_each(job: &Job<'_>, rows: &[Row]) -> Sent {
    let begun = job.calls.sizes.begin();
    let activities = rows.iter().map(|row| &row.activity).collect();
    let batch = ActivityBatch { table: &job.table.table, writes: ActivityWrites::Create { activities, completed: false } };
    let outcomes = match job.table.timeline.write_each(&batch).await {
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
            BatchOutcome::Done => sent.done.push(row.id),
            BatchOutcome::Failed(error) => drop(sent.error.get_or_insert(error)),
            BatchOutcome::NotBegun => {}
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_of_a_batch_did_not_do_is_left_to_separate_requests() {
        let way = Way { closed: false, tasks: true, completing: true };
        let id = Uuid::from_u128(1);
        let error = || ConnectError::Rejected { call: Box::default() };
        let of = |outcomes| {
            let (sent, error) = of_outcomes(way, std::iter::once(id), outcomes);
            (sent.done.len(), sent.tasked, sent.closed.len(), sent.error.is_some(), error.is_some())
        };
        use BatchOutcome::{Done, Failed, NotBegun};
        assert_eq!(of(vec![Done, Done, Done]), (1, true, 1, false, false));
        assert_eq!(of(vec![Done, Done, Failed(error())]), (1, true, 0, false, true));
        assert_eq!(of(vec![Done, Failed(error()), NotBegun]), (1, false, 0, false, true));
        assert_eq!(of(vec![Failed(error()), NotBegun, NotBegun]), (0, false, 0, true, true));
    }
}
