//! The events of a run, as its subscribers receive them.

use std::sync::{Arc, Mutex};

use d365map::run::{Publisher, Receiver, RunEvent, Subscriber, run};
use d365map::store::sqlite::db::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{World, ada, small};

/// Writes down the events of all workflows, but for the text of problems.
#[derive(Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Pen {
    workflow: String,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for Notes {
    fn workflow(&self, name: &str) -> Arc<dyn Receiver> {
        Arc::new(Pen { workflow: name.to_owned(), notes: self.0.clone() })
    }
}

impl Receiver for Pen {
    fn receive(&self, event: &RunEvent<'_>) {
        let event = match event {
            RunEvent::RoundBegan { .. } => "round began".to_owned(),
            RunEvent::RoundEnded { failed, .. } => format!("round ended, failed: {failed}"),
            RunEvent::Problem(problem) => format!("problem {} at {}", problem.code, problem.place),
            other => format!("{other:?}"),
        };
        self.notes.lock().unwrap().push(format!("{}: {event}", self.workflow));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_receives_what_happens_in_a_round_from_its_beginning_to_its_end() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.create(2, ada()).await;
    // Longer than the field of the profile.
    world.create(3, json!({"lastname": "L".repeat(50), "firstname": "F".repeat(50), "emailaddress1": "no address"})).await;
    let notes = Arc::new(Notes::default());
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    let (services, options) = (world.services().1, world.options());
    let followed = Publisher::to(notes.clone());
    let summary = run(small(""), services, store.into(), options, followed, CancellationToken::new()).await.expect("the run completes");
    let notes = notes.0.lock().unwrap();
    assert_eq!(notes.first().map(String::as_str), Some("contacts: round began"));
    assert_eq!(notes.last().map(String::as_str), Some("contacts: round ended, failed: false"));
    let sum = |name: &str| -> u64 {
        let start = format!("contacts: {name}(");
        notes.iter().filter_map(|note| note.strip_prefix(&start)?.strip_suffix(')')?.parse::<u64>().ok()).sum()
    };
    let flow = &summary.flows[0];
    assert_eq!((sum("Read"), sum("Created"), sum("PagesRead")), (flow.read, flow.created, flow.pages));
    assert_eq!((sum("Rejected"), sum("Failed")), (flow.rejected, flow.failed));
    assert_eq!(notes.iter().filter(|note| note.contains("problem ")).count() as u64, flow.rejected + flow.failed);
    assert_eq!((flow.read, flow.created), (3, 2));
}
