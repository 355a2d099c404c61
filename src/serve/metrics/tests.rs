use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::history::History;
use super::*;
use crate::connect::HttpConfig;
use crate::connect::http::Request;
use crate::run::{Note, Problem, RunEvent};
use crate::store::{WorkflowNote, in_memory};
use crate::time::{Instant, parse_instant};

fn noon() -> Instant {
    parse_instant("2026-05-01T12:00:00Z").unwrap()
}

fn http() -> Http {
    Http::new(HttpConfig { attempts: 1, ..HttpConfig::default() }).unwrap()
}

/// Calls an address at which nothing listens.
async fn call(http: &Http) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert!(http.send(&Request::new("campaign", reqwest::Method::GET, url)).await.is_err());
}

/// Each event that there is, for one workflow.
fn everything(receiver: &dyn Receiver, record: &str) {
    let problem = Problem { place: "contacts.d365map:1:1", field: "email", code: "D901", message: "m", record };
    for event in [
        RunEvent::RoundBegan { at: Duration::ZERO },
        RunEvent::PagesRead(1),
        RunEvent::Read(9),
        RunEvent::Unchanged(1),
        RunEvent::FilteredOut(1),
        RunEvent::Forgotten(1),
        RunEvent::Created(2),
        RunEvent::Updated(1),
        RunEvent::Deleted(1),
        RunEvent::DeletedWithoutEffect(1),
        RunEvent::Rejected(1),
        RunEvent::Failed(1),
        RunEvent::Postponed(1),
        RunEvent::Backlog(1),
        RunEvent::Problem(problem),
        RunEvent::Noted(Note::Tasks, 1),
        RunEvent::RoundEnded { at: Duration::from_secs(2), failed: false },
    ] {
        receiver.receive(&event);
    }
}

/// The names of metrics in a text, without the suffixes of series.
fn names(text: &str) -> BTreeSet<String> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    let without = |name: String| {
        ["_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .map_or(name.clone(), str::to_owned)
    };
    series.map(name).map(without).collect()
}

#[tokio::test]
async fn the_text_has_exactly_the_metrics_that_are_documented_with_their_labels() {
    let (metrics, http, stores) = (Metrics::default(), http(), in_memory().unwrap());
    let project = metrics.add("main", stores.clone(), http.clone(), Clock::stopped(noon()));
    everything(&*project.workflow("contacts"), "c-1");
    stores.control.note_workflow("contacts", &WorkflowNote::Round).await.unwrap();
    stores.cursors.cursor_or_first("contacts", "plan").await.unwrap();
    call(&http).await;
    let text = metrics.render().await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(names(&text), known);
    for metric in METRICS {
        let line = text.lines().find(|line| line.starts_with(metric.name) && !line.starts_with('#')).unwrap();
        for label in metric.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line}");
        }
        assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)));
    }
    let page = include_str!("../../../docs/serve-metrics.md");
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| `d365map_")).map(|line| line.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.len(), METRICS.len());
    for (metric, row) in METRICS.iter().zip(rows) {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let suffix = match metric.kind {
            exposition::Kind::Counter => "_total",
            exposition::Kind::Info => "_info",
            exposition::Kind::Gauge | exposition::Kind::Histogram => "",
        };
        assert_eq!(row[1], format!("`{}{suffix}`", metric.name));
        assert_eq!(row[3], labels, "{}", metric.name);
    }
}

#[tokio::test]
async fn the_number_of_series_does_not_grow_with_records_and_no_series_names_one() {
    let (metrics, stores) = (Metrics::default(), in_memory().unwrap());
    let project = metrics.add("main", stores, http(), Clock::stopped(noon()));
    everything(&*project.workflow("contacts"), "first");
    let before = metrics.render().await;
    for record in 0..1000 {
        everything(&*project.workflow("contacts"), &format!("record-{record}"));
    }
    let after = metrics.render().await;
    assert_eq!(before.lines().count(), after.lines().count());
    assert!(
        !after.contains("record-") && after.contains("d365map_records_read_total{project=\"main\",workflow=\"contacts\"} 9009"),
        "{after}"
    );
}

#[tokio::test]
async fn the_store_is_asked_again_only_after_five_seconds() {
    let (metrics, stores, clock) = (Metrics::default(), in_memory().unwrap(), Clock::stopped(noon()));
    metrics.add("main", stores.clone(), http(), clock.clone());
    assert!(!metrics.render().await.contains("d365map_workflow_state{"));
    stores.control.note_workflow("contacts", &WorkflowNote::Round).await.unwrap();
    clock.advance(TimeDelta::milliseconds(4999));
    assert!(!metrics.render().await.contains("d365map_workflow_state{"));
    clock.advance(TimeDelta::milliseconds(1));
    let running = "d365map_workflow_state{project=\"main\",workflow=\"contacts\",state=\"running\"} 1";
    assert!(metrics.render().await.contains(running));
}

#[tokio::test]
async fn the_last_good_round_is_known_from_the_state_and_a_failed_one_does_not_count() {
    let (metrics, stores, clock) = (Metrics::default(), in_memory().unwrap(), Clock::stopped(noon()));
    let project = metrics.add("main", stores.clone(), http(), clock.clone());
    let value = async || {
        clock.advance(TimeDelta::seconds(6));
        let text = metrics.render().await;
        let line = text.lines().find(|line| line.starts_with("d365map_last_good_round_timestamp_seconds")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let note = async |note: WorkflowNote, at: Instant| stores.control.note_workflows(&[("a".to_owned(), note, at)]).await.unwrap();
    note(WorkflowNote::Failed { reason: "r".to_owned(), next: None }, noon()).await;
    assert_eq!(value().await, 0.0);
    note(WorkflowNote::Rested { next: None }, noon() + TimeDelta::seconds(1)).await;
    assert_eq!(value().await, noon().timestamp() as f64 + 1.0);
    let ended = clock.now();
    project.workflow("a").receive(&RunEvent::RoundEnded { at: clock.elapsed(), failed: false });
    note(WorkflowNote::Failed { reason: "r".to_owned(), next: None }, ended + TimeDelta::seconds(1)).await;
    project.workflow("a").receive(&RunEvent::RoundEnded { at: clock.elapsed(), failed: true });
    assert_eq!(value().await, ended.timestamp() as f64);
}

#[tokio::test]
async fn the_history_has_what_was_done_in_each_minute_and_at_the_end() {
    let (stores, clock) = (in_memory().unwrap(), Clock::stopped(noon()));
    let project = Metrics::default().add("main", stores.clone(), http(), clock.clone());
    let history = History::start(project.clone());
    let contacts = project.workflow("contacts");
    clock.is_awaited().await;
    contacts.receive(&RunEvent::Read(5));
    clock.advance(TimeDelta::minutes(1));
    let read = async || {
        let (records, _) = stores.samples.samples(noon() - TimeDelta::days(7), noon() + TimeDelta::days(1)).await.unwrap();
        records.into_iter().map(|sample| (sample.name, sample.at, sample.counts.read)).collect::<Vec<_>>()
    };
    while read().await.is_empty() {
        tokio::task::yield_now().await;
    }
    clock.is_awaited().await;
    contacts.receive(&RunEvent::Read(3));
    clock.advance(TimeDelta::seconds(59));
    // A minute without anything leaves no trace; the end of the process comes within the same minute.
    history.end().await;
    assert_eq!(read().await, [("contacts".to_owned(), noon() + TimeDelta::minutes(1), 8)]);
}
