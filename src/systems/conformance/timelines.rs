//! What every system with timelines must do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use d365map_emulator::{Config, Running, start};
use serde_json::{Map, json};
use uuid::Uuid;

use super::clients;
use crate::connect::ConnectError;
use crate::systems::memory::Memory;
use crate::systems::{Activity, ActivityBatch, ActivityState, ActivityTable, ActivityWrites, BatchOutcome, Connection, Timeline};

/// A system under test, with persons 1 and 2 and an empty table of activities.
struct Subject {
    timeline: Arc<dyn Timeline>,
    table: ActivityTable,
    /// Tables without bulk requests can be written together.
    loops: bool,
    _running: Option<Running>,
}

/// The column with a text.
const TEXT: &str = "subject";

fn person(n: u32) -> Uuid {
    format!("c0000000-0000-4000-8000-{n:012}").parse().expect("an id")
}

fn id(n: u32) -> Uuid {
    format!("a0000000-0000-4000-8000-{n:012}").parse().expect("an id")
}

impl Subject {
    fn activity(&self, n: u32, of: u32, text: &str) -> Activity {
        let columns: Map<String, serde_json::Value> = [(TEXT.to_owned(), json!(text))].into_iter().collect();
        Activity { id: id(n), body: self.timeline.activity(&self.table, person(of), columns) }
    }

    fn create<'a>(&'a self, activities: &'a [Activity], completed: bool) -> ActivityBatch<'a> {
        ActivityBatch { table: &self.table, writes: ActivityWrites::Create { activities: activities.iter().collect(), completed } }
    }

    fn complete<'a>(&'a self, ids: &'a [Uuid]) -> ActivityBatch<'a> {
        ActivityBatch { table: &self.table, writes: ActivityWrites::Complete(ids) }
    }

    async fn states(&self, numbers: impl IntoIterator<Item = u32>) -> HashMap<Uuid, ActivityState> {
        let ids: Vec<Uuid> = numbers.into_iter().map(id).collect();
        let found = self.timeline.states(&self.table, &ids, true).await.expect("an answer");
        found.into_iter().map(|(id, state)| (id, state.expect("a state"))).collect()
    }
}

async fn memory() -> Subject {
    let memory = Memory::default();
    [1, 2].into_iter().for_each(|n| memory.add_person(person(n)));
    let timeline = memory.timeline().expect("timelines");
    let table = timeline.activity_table("activity").await.expect("a table");
    Subject { timeline, table, loops: true, _running: None }
}

async fn dataverse_with(bulk: bool) -> Subject {
    let contacts: Vec<_> = [1, 2].map(|n| json!({"contactid": person(n), "lastname": "Ada"})).into();
    let activity = json!({"new": {"schema": "new_Sent", "label": "Sent", "activity": true}, "bulk": bulk});
    let seed = json!({"dataverse": {"tables": {"new_sent": activity, "contact": {"rows": contacts}}}});
    let running = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.expect("the emulators start");
    let timeline = clients(&running).0.timeline().expect("timelines");
    let table = timeline.activity_table("new_sent").await.expect("a table");
    assert_eq!(table.bulk, bulk);
    Subject { timeline, table, loops: false, _running: Some(running) }
}

/// A test for each system: `$rule` is run with a fresh one.
macro_rules! for_each_system {
    ($($rule:ident)*) => {$(
        mod $rule {
            #[tokio::test]
            async fn in_memory() {
                super::$rule(&super::memory().await).await;
            }

            #[tokio::test]
            async fn of_dataverse() {
                super::$rule(&super::dataverse_with(true).await).await;
            }

            #[tokio::test]
            async fn of_dataverse_without_bulk_requests() {
                super::$rule(&super::dataverse_with(false).await).await;
            }
        }
    )*};
}

for_each_system! {
    an_activity_is_created_once_under_its_id_and_then_completed
    an_activity_is_created_in_its_final_state_if_the_table_takes_it
    of_many_activities_one_that_is_refused_costs_none_of_the_others
    the_first_batch_that_fails_ends_the_request
    strangers_are_not_found_and_persons_have_the_activities_that_were_written_to_them
}

async fn an_activity_is_created_once_under_its_id_and_then_completed(subject: &Subject) {
    let (timeline, table, activity) = (&subject.timeline, &subject.table, subject.activity(1, 1, "One"));
    assert!(matches!(timeline.activity_table("nothing").await, Err(ConnectError::NotFound { .. })));
    assert!(subject.states([1]).await.is_empty());
    timeline.create(table, &activity, false).await.unwrap();
    assert_eq!(subject.states([1, 2]).await, HashMap::from([(id(1), ActivityState::Open)]));
    let again = timeline.create(table, &activity, false).await.unwrap_err();
    assert!(matches!(again, ConnectError::Duplicate { .. } | ConnectError::Rejected { .. }), "{again}");
    timeline.complete(table, id(1)).await.unwrap();
    assert_eq!(subject.states([1]).await, HashMap::from([(id(1), ActivityState::Completed)]));
    assert_eq!(timeline.states(table, &[id(1)], false).await.unwrap(), HashMap::from([(id(1), None)]));
    let missing = timeline.complete(table, id(2)).await.unwrap_err();
    assert!(matches!(missing, ConnectError::NotFound { .. }), "{missing}");
}

async fn an_activity_is_created_in_its_final_state_if_the_table_takes_it(subject: &Subject) {
    if subject.table.takes_final_state {
        subject.timeline.create(&subject.table, &subject.activity(1, 1, "One"), true).await.unwrap();
        assert_eq!(subject.states([1]).await, HashMap::from([(id(1), ActivityState::Completed)]));
    }
}

async fn of_many_activities_one_that_is_refused_costs_none_of_the_others(subject: &Subject) {
    let all: Vec<Activity> = (1..=4).map(|n| subject.activity(n, 1, "Many")).collect();
    subject.timeline.create(&subject.table, &all[1], false).await.unwrap();
    let done = |outcomes: Vec<BatchOutcome>| outcomes.iter().map(|outcome| matches!(outcome, BatchOutcome::Done)).collect::<Vec<_>>();
    let created = subject.timeline.write_each(&subject.create(&all, false)).await.unwrap();
    assert_eq!(done(created), [true, false, true, true]);
    let ids = [1, 9, 3].map(id);
    let completed = subject.timeline.write_each(&subject.complete(&ids)).await.unwrap();
    assert_eq!(done(completed), [true, false, true]);
    let (open, closed) = (ActivityState::Open, ActivityState::Completed);
    assert_eq!(subject.states(1..=4).await, HashMap::from([(id(1), closed), (id(2), open), (id(3), closed), (id(4), open)]));
}

async fn the_first_batch_that_fails_ends_the_request(subject: &Subject) {
    if !subject.table.bulk && !subject.loops {
        return;
    }
    let (first, second) = ([subject.activity(1, 1, "One")], [subject.activity(2, 1, "Two"), subject.activity(1, 1, "Again")]);
    let ids = [id(1)];
    let one = subject.timeline.write_together(&[subject.create(&first, false)]).await.unwrap();
    assert!(matches!(one[..], [BatchOutcome::Done]), "{one:?}");
    let third = [subject.activity(3, 1, "Three")];
    let batches = [subject.create(&third, false), subject.create(&second, false), subject.complete(&ids)];
    let outcomes = subject.timeline.write_together(&batches).await.unwrap();
    assert!(matches!(outcomes[..], [BatchOutcome::Done, BatchOutcome::Failed(_), BatchOutcome::NotBegun]), "{outcomes:?}");
    let states = subject.states(1..=3).await;
    assert_eq!((states[&id(1)], states[&id(3)]), (ActivityState::Open, ActivityState::Open));
    // A batch of a bulk request is written as a whole or not at all.
    assert_eq!(states.contains_key(&id(2)), !subject.table.bulk);
    let rest = [subject.activity(4, 1, "Four")];
    let outcomes = subject.timeline.write_together(&[subject.create(&rest, false), subject.complete(&ids)]).await.unwrap();
    assert!(matches!(outcomes[..], [BatchOutcome::Done, BatchOutcome::Done]), "{outcomes:?}");
    assert_eq!(subject.states([1, 4]).await, HashMap::from([(id(1), ActivityState::Completed), (id(4), ActivityState::Open)]));
}

async fn strangers_are_not_found_and_persons_have_the_activities_that_were_written_to_them(subject: &Subject) {
    let timeline = &subject.timeline;
    assert_eq!(timeline.persons(&[1, 2, 3].map(person)).await.unwrap(), HashSet::from([person(1), person(2)]));
    for (n, of, text) in [(1, 1, "One"), (2, 2, "Two"), (3, 1, "Three")] {
        timeline.create(&subject.table, &subject.activity(n, of, text), false).await.unwrap();
    }
    let expected = HashMap::from([(id(1), Some("One".to_owned())), (id(3), Some("Three".to_owned()))]);
    assert_eq!(timeline.on_timeline(&subject.table, person(1), TEXT).await.unwrap(), expected);
    assert!(timeline.on_timeline(&subject.table, person(3), TEXT).await.unwrap().is_empty());
    let stranger = timeline.create(&subject.table, &subject.activity(4, 3, "Four"), false).await.unwrap_err();
    assert!(matches!(stranger, ConnectError::NotFound { .. } | ConnectError::Rejected { .. }), "{stranger}");
}
