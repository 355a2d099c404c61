//! Runs: what was done lately, as charts, and every run with its counts.

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::chart::{Chart, Line, Point, numbers};
use super::page;
use super::parts::{instant, maybe_instant, number};
use crate::serve::answer::{At, Failure};
use crate::store::{CallCounts, RecordCounts, RunKind, RunOutcome, RunRecord, Sample, Stores};
use crate::time::{self, Instant, format_instant};

/// Runs that are listed.
const MOST: usize = 100;

/// Which time the charts show.
#[derive(Debug, Default, Deserialize)]
pub struct Asked {
    span: Option<String>,
}

/// A time that charts show.
#[derive(Clone, Copy, Debug)]
struct Span {
    name: &'static str,
    title: &'static str,
    /// Minutes between two points.
    step: u32,
    /// How many points.
    points: u32,
    time: fn(Instant) -> String,
}

fn of_day(at: Instant) -> String {
    format_instant(at).get(11..16).unwrap_or_default().to_owned()
}

fn of_month(at: Instant) -> String {
    format_instant(at).get(5..10).unwrap_or_default().to_owned()
}

const SPANS: [Span; 3] = [
    Span { name: "hour", title: "Last hour", step: 1, points: 60, time: of_day },
    Span { name: "day", title: "Last day", step: 30, points: 48, time: of_day },
    Span { name: "week", title: "Last week", step: 180, points: 56, time: of_month },
];

impl Span {
    fn named(name: Option<&str>) -> Span {
        SPANS.into_iter().find(|span| name == Some(span.name)).unwrap_or(SPANS[0])
    }

    /// The beginnings of the steps up to now, the one that goes on now included.
    fn times(self, now: Instant) -> Vec<Instant> {
        let step = i64::from(self.step) * 60;
        let last = now.timestamp().div_euclid(step) * step;
        let back = |n: i64| Instant::from_timestamp(last - n * step, 0);
        (0..i64::from(self.points)).rev().filter_map(back).collect()
    }
}

/// What was done in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Whether anything is known of that time.
    known: bool,
    read: u64,
    written: u64,
    failed: u64,
    calls: u64,
    throttled: u64,
    milliseconds: u64,
}

/// The charts of what was done in each step.
fn charts(span: Span, done: &[(Instant, Done)]) -> Vec<Chart> {
    let minutes = f64::from(span.step);
    let line = |name: &'static str, class: &'static str, value: &dyn Fn(&Done) -> Option<f64>| Line {
        name,
        class,
        points: done.iter().map(|(at, done)| Point { at: *at, value: value(done).filter(|_| done.known) }).collect(),
    };
    let rate = |of: fn(&Done) -> u64| move |done: &Done| Some(of(done) as f64 / minutes);
    let chart = |title, unit, lines| Chart { title, unit, lines, time: span.time };
    let records = vec![
        line("written", "main", &rate(|done| done.written)),
        line("read", "other", &rate(|done| done.read)),
        line("not written", "wrong", &rate(|done| done.failed)),
    ];
    let latency = |done: &Done| (done.calls > 0).then(|| done.milliseconds as f64 / done.calls as f64);
    vec![
        chart("Records", "per minute", records),
        chart("Calls", "per minute", vec![line("calls", "main", &rate(|done| done.calls))]),
        chart("Throttled calls", "per minute", vec![line("throttled", "wrong", &rate(|done| done.throttled))]),
        chart("Latency", "milliseconds per call", vec![line("latency", "main", &latency)]),
    ]
}

/// Shows the charts and the runs.
pub async fn show(at: At, Query(asked): Query<Asked>) -> Result<Markup, Failure> {
    let stores = at.served.stores().await?;
    let span = Span::named(asked.span.as_deref());
    let runs = stores.runs.runs(MOST).await?;
    let done = history(&stores, span, time::now()).await?;
    let charts = charts(span, &done);
    let known = done.iter().any(|(_, done)| done.known);
    let content = html! {
        h2 { "Lately" }
        nav.pages.spans aria-label="Time of the charts" {
            @for one in SPANS { a href={ "?span=" (one.name) } aria-current=[(one.name == span.name).then_some("true")] { (one.title) } }
        }
        @if known {
            div.charts { @for chart in &charts { (chart.figure()) } }
            details { summary { "The charts as numbers" } (numbers(&charts)) }
        } @else {
            p { "Nothing was done in this time while the server ran." }
        }
        h2 { "Runs" }
        (listed(&runs))
    };
    Ok(page(&at, "/runs", "Runs", &content))
}

/// What was done in each step of a time. Before the first step of which anything is known, nothing is; after it, what has no sample was
/// nothing.
async fn history(stores: &Stores, span: Span, now: Instant) -> Result<Vec<(Instant, Done)>, Failure> {
    let mut done: Vec<(Instant, Done)> = span.times(now).into_iter().map(|at| (at, Done::default())).collect();
    let Some((first, _)) = done.first().copied() else { return Ok(done) };
    let (records, calls) = stores.samples.samples(first, now).await?;
    add(span, &mut done, &records, &calls);
    Ok(done)
}

/// Adds samples to the steps that they are in.
fn add(span: Span, done: &mut [(Instant, Done)], records: &[Sample<RecordCounts>], calls: &[Sample<CallCounts>]) {
    let Some((first, _)) = done.first().copied() else { return };
    let step = |at: Instant| usize::try_from((at - first).num_minutes() / i64::from(span.step)).ok();
    for sample in records {
        let Some((_, done)) = step(sample.at).and_then(|step| done.get_mut(step)) else { continue };
        let counts = &sample.counts;
        done.known = true;
        done.read += counts.read;
        done.written += counts.created + counts.updated + counts.deleted;
        done.failed += counts.rejected + counts.failed;
    }
    for sample in calls {
        let Some((_, done)) = step(sample.at).and_then(|step| done.get_mut(step)) else { continue };
        done.known = true;
        done.calls += sample.counts.calls;
        done.throttled += sample.counts.throttled;
        done.milliseconds += sample.counts.milliseconds;
    }
    let known = done.iter().position(|(_, done)| done.known).unwrap_or(done.len());
    done.iter_mut().skip(known).for_each(|(_, done)| done.known = true);
}

fn listed(runs: &[RunRecord]) -> Markup {
    const COUNTS: [(&str, &str); 6] = [
        ("read", "Read"),
        ("created", "Created"),
        ("updated", "Updated"),
        ("deleted", "Deleted"),
        ("rejected", "Rejected"),
        ("failed", "Failed"),
    ];
    html! {
        @if runs.is_empty() { p { "Nothing has run yet." } } @else {
            div.wide tabindex="0" role="region" aria-label="Runs" {
                table {
                    caption.hidden { "Runs, the newest first" }
                    thead { tr {
                        th.number scope="col" { "Number" } th scope="col" { "Kind" } th scope="col" { "Began (UTC)" } th scope="col" { "Ended (UTC)" }
                        th scope="col" { "Result" } th scope="col" { "Workflows" }
                        @for (_, title) in COUNTS { th.number scope="col" { (title) } }
                    } }
                    tbody { @for run in runs { tr {
                        th.number scope="row" { (run.id.number()) }
                        td { (kind(run.kind)) }
                        td { (instant(run.started_at)) }
                        td { (maybe_instant(run.ended_at)) }
                        td { (outcome(run.outcome)) }
                        td { (run.mappings.join(", ")) }
                        @for (key, _) in COUNTS { td.number { @match count(&run.counters, key) { Some(n) => (number(n)), None => "–" } } }
                    } } }
                }
            }
            @if runs.len() == MOST { p.quiet { "The last " (MOST) " runs are listed." } }
        }
    }
}

/// A count over all workflows of a run; none before the run has ended.
fn count(counters: &Value, key: &str) -> Option<u64> {
    let flows = counters.get("flows")?.as_array()?;
    Some(flows.iter().filter_map(|flow| flow.get(key)?.as_u64()).sum())
}

fn kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Once => "once",
        RunKind::Watch => "watch",
        RunKind::Replay => "replay",
    }
}

fn outcome(outcome: Option<RunOutcome>) -> Markup {
    let (class, word) = match outcome {
        None => ("badge", "running"),
        Some(RunOutcome::Completed) => ("badge good", "completed"),
        Some(RunOutcome::Stopped) => ("badge quiet", "stopped"),
        Some(RunOutcome::Failed) => ("badge bad", "failed"),
        Some(RunOutcome::Interrupted) => ("badge warn", "interrupted"),
    };
    html! { span class=(class) { (word) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_instant;

    #[test]
    fn the_steps_of_a_time_are_equal_and_end_with_the_one_that_goes_on() {
        let now = parse_instant("2026-01-02T03:04:05Z").unwrap();
        for span in SPANS {
            let times = span.times(now);
            assert_eq!(times.len(), span.points as usize);
            assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).num_minutes() == i64::from(span.step)), "{}", span.name);
            let last = *times.last().unwrap();
            assert!(last <= now && (now - last).num_minutes() < i64::from(span.step), "{}", span.name);
        }
    }

    #[test]
    fn rates_are_per_minute_latency_is_per_call_and_unknown_times_are_gaps() {
        let span = SPANS[1];
        let now = parse_instant("2026-01-02T03:04:05Z").unwrap();
        let known = Done { known: true, read: 60, written: 30, failed: 3, calls: 10, throttled: 0, milliseconds: 250 };
        let done: Vec<_> = span.times(now).into_iter().zip([known, Done { known: true, ..Done::default() }, Done::default()]).collect();
        let charts = charts(span, &done);
        let values = |chart: usize, line: usize| charts[chart].lines[line].points.iter().map(|p| p.value).collect::<Vec<_>>();
        assert_eq!(values(0, 0), [Some(1.0), Some(0.0), None]);
        assert_eq!(values(0, 1), [Some(2.0), Some(0.0), None]);
        assert_eq!(values(3, 0), [Some(25.0), None, None]);
    }

    #[test]
    fn samples_are_added_to_their_steps_and_what_follows_the_first_is_known() {
        let span = SPANS[0];
        let now = parse_instant("2026-01-02T03:04:05Z").unwrap();
        let mut done: Vec<_> = span.times(now).into_iter().map(|at| (at, Done::default())).collect();
        let sample = |minute: &str, counts| Sample { at: parse_instant(minute).unwrap(), name: "contacts".to_owned(), counts };
        let counts = RecordCounts { read: 3, created: 1, updated: 1, ..RecordCounts::default() };
        let records =
            [sample("2026-01-02T03:02:00Z", counts), sample("2026-01-02T03:02:00Z", counts), sample("2026-01-02T01:00:00Z", counts)];
        add(span, &mut done, &records, &[]);
        let last: Vec<(bool, u64, u64)> = done[56..].iter().map(|(_, done)| (done.known, done.read, done.written)).collect();
        assert_eq!(last, [(false, 0, 0), (true, 6, 4), (true, 0, 0), (true, 0, 0)]);
    }

    #[test]
    fn the_counts_of_a_run_are_those_of_all_its_workflows() {
        let counters = serde_json::json!({ "flows": [{ "read": 2, "created": 1 }, { "read": 3 }] });
        assert_eq!((count(&counters, "read"), count(&counters, "created"), count(&counters, "failed")), (Some(5), Some(1), Some(0)));
        assert_eq!(count(&serde_json::json!({}), "read"), None);
    }
}
