//! The metrics by name, and their text.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The labels of a series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, without the suffixes that its kind adds.
    pub name: &'static str,
    /// What kind.
    pub kind: Kind,
    /// The labels of its series.
    #[cfg_attr(not(feature = "internals"), allow(dead_code, reason = "a test compares the documents with it"))]
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up only, and begins at 0 with the process. Its series end with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations by their size. Its series end with `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Says something in its labels. Its series ends with `_info`.
    Info,
}

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

const WORKFLOW: &[&str] = &["project", "workflow"];

/// All metrics.
pub const METRICS: &[Metric] = &[
    metric("d365map_build", Kind::Info, &["version"], "The version of d365map"),
    metric("d365map_state_readable", Kind::Gauge, &["project"], "1 if the state file could be read at the last check, otherwise 0"),
    metric("d365map_records_read", Kind::Counter, WORKFLOW, "Source records that were read, including deletions"),
    metric("d365map_pages_read", Kind::Counter, WORKFLOW, "Pages that were read"),
    metric("d365map_records_written", Kind::Counter, &["project", "workflow", "operation"], "Records that were written to the target"),
    metric("d365map_records_skipped", Kind::Counter, &["project", "workflow", "reason"], "Records that needed no call"),
    metric(
        "d365map_records_not_written",
        Kind::Counter,
        &["project", "workflow", "reason"],
        "Records that the mapping rejected or the target refused",
    ),
    metric("d365map_attempts_postponed", Kind::Counter, WORKFLOW, "Attempts that were postponed"),
    metric("d365map_notes", Kind::Counter, &["project", "workflow", "note"], "What only some kinds of workflows count"),
    metric("d365map_rounds", Kind::Counter, &["project", "workflow", "outcome"], "Rounds that ended"),
    metric("d365map_round_duration_seconds", Kind::Histogram, WORKFLOW, "Time from the beginning to the end of a round"),
    metric(
        "d365map_last_good_round_timestamp_seconds",
        Kind::Gauge,
        WORKFLOW,
        "When the last successful round ended, or 0 if it is not known",
    ),
    metric(
        "d365map_workflow_state",
        Kind::Gauge,
        &["project", "workflow", "state"],
        "1 for the state of the workflow, 0 for the other states",
    ),
    metric("d365map_workflow_restart_due", Kind::Gauge, WORKFLOW, "1 if the mapping file has changed since the workflow started"),
    metric("d365map_backlog_operations", Kind::Gauge, &["project", "workflow", "state"], "Operations that are not finished"),
    metric(
        "d365map_backlog_oldest_timestamp_seconds",
        Kind::Gauge,
        WORKFLOW,
        "When the oldest unfinished operation was queued, or 0 if there is none",
    ),
    metric("d365map_dead_letters", Kind::Gauge, WORKFLOW, "Dead letters"),
    metric("d365map_mass_change_held", Kind::Gauge, WORKFLOW, "Changes that are held until a person approves them"),
    metric("d365map_exports_stale", Kind::Gauge, WORKFLOW, "1 if the exports of opt-outs have ceased"),
    metric("d365map_opt_out_differences", Kind::Gauge, WORKFLOW, "Differences of opt-outs that need approval"),
    metric("d365map_calls", Kind::Counter, &["project", "api", "outcome"], "Requests that were sent, including repeated ones"),
    metric("d365map_calls_repeated", Kind::Counter, &["project", "api"], "Requests that repeated an earlier one"),
    metric("d365map_call_duration_seconds", Kind::Histogram, &["project", "api"], "Time from sending a request to the end of its answer"),
];

/// The value of a series.
#[derive(Debug)]
pub(super) enum Value {
    Counter(u64),
    Gauge(f64),
    Distribution { sum: f64, buckets: Vec<(f64, u64)> },
    Info,
}

impl Value {
    /// `buckets`: upper bounds, the last one without a limit, each with the number of durations up to it and above the one before.
    pub fn distribution(sum: Duration, buckets: Vec<(f64, u64)>) -> Value {
        Value::Distribution { sum: sum.as_secs_f64(), buckets }
    }
}

/// The series of all projects at one moment.
#[derive(Debug, Default)]
pub(super) struct Exposition(BTreeMap<&'static str, Vec<(Labels, Value)>>);

impl Exposition {
    /// Adds a series. The name must be one of [`METRICS`].
    pub fn add(&mut self, name: &'static str, labels: Labels, value: Value) {
        self.0.entry(name).or_default().push((labels, value));
    }

    /// The text for Prometheus.
    pub fn text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in METRICS {
            let Some(series) = self.0.get(metric.name) else { continue };
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in series {
                match value {
                    Value::Counter(count) => family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?,
                    Value::Gauge(value) => family.encode_family(labels)?.encode_gauge(value)?,
                    Value::Distribution { sum, buckets } => {
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        family.encode_family(labels)?.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                    }
                    Value::Info => family.encode_info(labels)?,
                }
            }
        }
        Ok(())
    }
}
