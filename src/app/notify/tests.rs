use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::TimeDelta;
use serde_json::Value;

use super::board::{Board, Cause, Look};
use super::*;
use crate::connect::HttpConfig;
use crate::disk;
use crate::project::NotifyEvent;
use crate::store::{WorkflowNote, in_memory};
use crate::time::{Instant, parse_instant};

fn noon() -> Instant {
    parse_instant("2026-05-01T12:00:00Z").unwrap()
}

fn look(hold: TimeDelta, subjects: &[&str]) -> Look {
    let cause = |subject: &&str| Cause { event: NotifyEvent::MassChange, subject: (*subject).to_owned(), summary: "s".to_owned(), hold };
    Look { causes: subjects.iter().map(cause).collect(), ..Look::default() }
}

/// Delivers all that is due to every channel; gives the ids of the messages.
fn deliver(board: &mut Board, channels: usize, now: Instant) -> Vec<String> {
    let due = board.due(now);
    for delivery in &due {
        (0..channels).for_each(|channel| board.sent(delivery, channel));
    }
    due.iter().map(|delivery| serde_json::to_value(delivery.message("p", now)).unwrap()["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cause_is_one_message_until_it_is_over_and_then_another_one() {
    let mut board = Board::new(Default::default(), 1);
    let mut at = noon();
    for _ in 0..3 {
        board.update(look(TimeDelta::zero(), &["a"]), at);
        let ids = deliver(&mut board, 1, at);
        let first = (at == noon()).then(|| "mass-change/a/2026-05-01T12:00:00Z/firing".to_owned());
        assert_eq!(ids, Vec::from_iter(first));
        at += TimeDelta::minutes(1);
    }
    assert_eq!(board.told(), [("mass-change/a".to_owned(), Some(noon()))]);
    board.noted("mass-change/a");
    board.update(Look::default(), at);
    assert_eq!(deliver(&mut board, 1, at), ["mass-change/a/2026-05-01T12:00:00Z/resolved"]);
    assert_eq!(board.told(), [("mass-change/a".to_owned(), None)]);
    board.update(Look::default(), at);
    assert!(deliver(&mut board, 1, at).is_empty());
}

#[test]
fn a_cause_that_passes_before_its_time_is_not_a_message_and_begins_again() {
    let mut board = Board::new(Default::default(), 1);
    let hold = TimeDelta::minutes(5);
    let minute = |n| noon() + TimeDelta::minutes(n);
    for (at, there, messages) in [(0, true, 0), (4, true, 0), (4, false, 0), (5, true, 0), (9, true, 0), (10, true, 1)] {
        board.update(look(hold, if there { &["a"] } else { &[] }), minute(at));
        assert_eq!(deliver(&mut board, 1, minute(at)).len(), messages, "{at}");
    }
}

#[test]
fn what_is_not_known_yet_after_a_restart_is_neither_new_nor_over() {
    let mut board = Board::new([("mass-change/a".to_owned(), noon())].into(), 1);
    let unknown = || Look { unknown: ["mass-change/a".to_owned()].into(), ..Look::default() };
    board.update(unknown(), noon());
    assert!(deliver(&mut board, 1, noon()).is_empty());
    board.update(look(TimeDelta::zero(), &["a"]), noon());
    assert!(deliver(&mut board, 1, noon()).is_empty());
    board.update(Look::default(), noon());
    assert_eq!(deliver(&mut board, 1, noon()).len(), 1);
}

#[test]
fn a_message_is_tried_again_less_and_less_often_and_only_where_it_has_not_arrived() {
    let mut board = Board::new(Default::default(), 2);
    let mut at = noon();
    board.update(look(TimeDelta::zero(), &["a"]), at);
    let delivery = board.due(at).remove(0);
    board.sent(&delivery, 0);
    board.failed(&delivery, at);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before = at;
        while board.due(at).is_empty() {
            at += TimeDelta::seconds(15);
        }
        waits.push((at - before).num_seconds());
        let delivery = board.due(at).remove(0);
        assert!(!delivery.is_left(0) && delivery.is_left(1));
        board.failed(&delivery, at);
    }
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 600, 600]);
    // One channel knows of it, so the other one must, too, before both learn that it is over.
    board.update(Look::default(), at);
    at += TimeDelta::hours(1);
    assert_eq!(deliver(&mut board, 2, at).len(), 1);
    board.update(Look::default(), at);
    assert!(deliver(&mut board, 2, at)[0].ends_with("/resolved"));
}

/// What an address has received: headers and bodies.
type Received = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// An address whose first answers are failures: this number of them.
async fn address(failures: usize) -> (String, Received, tokio::task::JoinHandle<()>) {
    let received = Received::default();
    let (kept, tries) = (received.clone(), Arc::new(Mutex::new(0)));
    let handler = post(move |headers: HeaderMap, body: String| async move {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        if *tries <= failures {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        kept.lock().unwrap().push((headers, serde_json::from_str(&body).unwrap()));
        StatusCode::NO_CONTENT
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", handler)).await.unwrap() });
    (url, received, server)
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    disk::write(&file, text.as_bytes(), disk::Access::Shared).unwrap();
    file
}

fn project_file(folder: &Path, notify: &str) -> PathBuf {
    write(folder, "d365map.yaml", &format!("version: 1\nnotify:\n{notify}"))
}

fn project(folder: &Path, notify: &str) -> Project {
    Project::load(&project_file(folder, notify)).unwrap()
}

fn notifier(project: &Project, stores: &Stores, clock: &Clock) -> Notifier {
    let http = Http::new(HttpConfig::default()).unwrap();
    Notifier::start(project, "crm", Channels::of(project).unwrap(), stores.clone(), http, clock.clone()).unwrap()
}

/// Advances the clock from one check for causes to the next until `done`.
async fn until(clock: &Clock, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            clock.is_awaited().await;
            clock.advance(TimeDelta::seconds(15));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("nothing came");
}

#[tokio::test]
async fn a_webhook_gets_signed_messages_after_failures_and_the_end_of_the_cause() {
    let (url, received, server) = address(2).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "token", "t0ken");
    write(folder.path(), "key", "k3y");
    let notify =
        format!("  webhook: {{ url: \"{url}\", token: {{ file: token }}, signing-secret: {{ file: key }} }}\n  failed-after-minutes: 1\n");
    let (project, stores, clock) = (project(folder.path(), &notify), in_memory().unwrap(), Clock::stopped(noon()));
    let fail = |at| {
        let next = Some(at + TimeDelta::seconds(4));
        vec![("contacts".to_owned(), WorkflowNote::Failed { reason: "no answer".to_owned(), next }, at)]
    };
    stores.control.note_workflows(&fail(noon() + TimeDelta::seconds(1))).await.unwrap();
    let running = notifier(&project, &stores, &clock);
    until(&clock, || received.lock().unwrap().len() == 1).await;
    let (headers, message) = received.lock().unwrap()[0].clone();
    assert_eq!(headers["authorization"], "Bearer t0ken");
    let signature = headers["x-d365map-signature"].to_str().unwrap();
    assert_eq!((signature.len(), &signature[..7]), (7 + 64, "sha256="));
    assert_eq!((message["event"].as_str(), message["status"].as_str()), (Some("workflow-failed"), Some("firing")));
    assert_eq!((message["project"].as_str(), message["subject"].as_str()), (Some("crm"), Some("contacts")));
    assert!(message["summary"].as_str().unwrap().ends_with("no answer"), "{message}");
    running.end().await;
    assert_eq!(stores.alerts.alerts().await.unwrap().len(), 1);
    // Another process: it does not repeat the message, and says that it is over when a round has succeeded.
    let running = notifier(&project, &stores, &clock);
    for _ in 0..10 {
        clock.is_awaited().await;
        clock.advance(TimeDelta::seconds(15));
    }
    assert_eq!(received.lock().unwrap().len(), 1);
    stores.control.note_workflows(&[("contacts".to_owned(), WorkflowNote::Rested { next: None }, clock.now())]).await.unwrap();
    until(&clock, || received.lock().unwrap().len() == 2).await;
    assert_eq!(received.lock().unwrap()[1].1["status"], "resolved");
    running.end().await;
    assert!(stores.alerts.alerts().await.unwrap().is_empty());
    server.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_gets_the_message_on_standard_input_in_the_folder_of_the_project() {
    let folder = tempfile::tempdir().unwrap();
    let notify = "  command: [sh, -c, \"cat >> \\\"$0\\\"\", messages]\n  events: [workflow-stopped]\n";
    let (project, stores, clock) = (project(folder.path(), notify), in_memory().unwrap(), Clock::stopped(noon()));
    let at = noon() + TimeDelta::seconds(1);
    let note = WorkflowNote::Failed { reason: "denied".to_owned(), next: Some(at + TimeDelta::hours(1)) };
    stores.control.note_workflows(&[("contacts".to_owned(), note, at)]).await.unwrap();
    let running = notifier(&project, &stores, &clock);
    let read = || disk::read_text(&folder.path().join("messages"), disk::SMALL).unwrap_or_default();
    until(&clock, || read().ends_with('\n')).await;
    running.end().await;
    let message: Value = serde_json::from_str(&read()).unwrap();
    assert_eq!((message["event"].as_str(), message["since"].as_str()), (Some("workflow-stopped"), Some("2026-05-01T12:00:00Z")));
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_does_not_end_does_not_keep_the_process_from_ending_and_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let notify =
        "  command: [sh, -c, \"echo $$ > started; sleep 600; true\"]\n  command-timeout-seconds: 600\n  events: [workflow-stopped]\n";
    let (project, stores, clock) = (project(folder.path(), notify), in_memory().unwrap(), Clock::stopped(noon()));
    let at = noon() + TimeDelta::seconds(1);
    let note = WorkflowNote::Failed { reason: "denied".to_owned(), next: Some(at + TimeDelta::hours(1)) };
    stores.control.note_workflows(&[("contacts".to_owned(), note, at)]).await.unwrap();
    let running = notifier(&project, &stores, &clock);
    let started = || disk::read_text(&folder.path().join("started"), disk::SMALL).unwrap_or_default();
    // While the command runs, the notifier does not wait for the clock.
    let waiting = async {
        while !started().ends_with('\n') {
            tokio::select! {
                () = clock.is_awaited() => clock.advance(TimeDelta::seconds(15)),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the command starts");
    tokio::time::timeout(Duration::from_secs(60), running.end()).await.expect("it ends");
    let group = rustix::process::Pid::from_raw(started().trim().parse().unwrap()).unwrap();
    // The system needs a moment to end the processes of the group.
    let is_over = || rustix::process::test_kill_process_group(group).is_err();
    tokio::time::timeout(Duration::from_secs(60), async {
        while !is_over() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the processes of the command end");
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_fails_or_does_not_end_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = Board::new(Default::default(), 1);
    board.update(look(TimeDelta::zero(), &["a"]), noon());
    let delivery = board.due(noon()).remove(0);
    for (command, expected) in [
        ("[\"false\"]", "failed (exit status: 1)"),
        ("[sleep, \"600\"]", "took longer than 1 s"),
        ("[no-such-program-here]", "cannot be started"),
    ] {
        let project = project(folder.path(), &format!("  command: {command}\n  command-timeout-seconds: 1\n"));
        let channels = Channels::of(&project).unwrap();
        let error = channels.send(0, &delivery.message("p", noon())).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_section_says_how_people_are_notified_and_names_known_events() {
    let folder = tempfile::tempdir().unwrap();
    let faults = |notify: &str| Project::load(&project_file(folder.path(), notify)).unwrap_err().to_string();
    assert!(faults("  dead-letters: 5\n").contains("does not say how people are notified"));
    let fault = faults("  command: [a]\n  events: [workflow-faild]\n");
    assert!(fault.contains("did you mean `workflow-failed`?"), "{fault}");
    assert!(faults("  command: []\n").contains("has no program"));
    let fault = faults("  webhook: { url: \"http://example.com\", token: hunter2 }\n");
    assert!(!fault.contains("hunter2"), "{fault}");
}
