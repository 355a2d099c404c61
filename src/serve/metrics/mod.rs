//! What monitoring sees of the projects that this process runs: `/metrics`, and the history for charts.
//!
//! [`Metrics`] holds a [`ProjectMetrics`] for each project. That is a subscriber of the project's run, and it asks the HTTP layer for its
//! calls and the store for what waits. A series is named by project, workflow and API, and by words of ours: never by a record, so
//! that their number does not grow with the records. `docs/serve-metrics.md` documents them all, and a test compares.

mod counts;
mod exposition;
pub mod history;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::counts::WorkflowCounts;
use self::exposition::{Exposition, Labels, Value};
use self::state::StateView;
use crate::connect::{CallStats, Http, LATENCY_BOUNDS};
use crate::run::{Clock, Receiver, Subscriber};
use crate::store::Stores;

pub use self::exposition::{Kind, METRICS, Metric};

/// The content type of [`Metrics::render`].
pub const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The store is asked at most once in this time, however often monitoring asks.
const FRESH: Duration = Duration::from_secs(5);

/// The metrics of all projects.
#[derive(Default)]
pub struct Metrics(Mutex<Vec<Arc<ProjectMetrics>>>);

impl Metrics {
    /// Adds a project, whose run begins. The result is to be made a subscriber of the run. `clock` is that of the run.
    pub fn add(&self, name: &str, stores: Stores, http: Http, clock: Clock) -> Arc<ProjectMetrics> {
        let project = Arc::new(ProjectMetrics::new(name, stores, http, clock));
        self.remove(name);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(project.clone());
        project
    }

    /// Removes a project, whose run has ended.
    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|project| project.name != name);
    }

    /// Returns all metrics as OpenMetrics text.
    pub async fn render(&self) -> String {
        let projects = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut exposition = Exposition::default();
        exposition.add("d365map_build", vec![("version", env!("CARGO_PKG_VERSION").to_owned())], Value::Info);
        for project in projects {
            project.expose(&mut exposition).await;
        }
        exposition.text()
    }
}

/// The metrics of a project.
pub struct ProjectMetrics {
    name: String,
    stores: Stores,
    http: Http,
    clock: Clock,
    workflows: Mutex<BTreeMap<String, Arc<WorkflowCounts>>>,
    /// What the store said last, and when it was asked, by the time since the clock was made.
    view: tokio::sync::Mutex<Option<(Duration, Arc<StateView>)>>,
}

impl Subscriber for ProjectMetrics {
    fn workflow(&self, name: &str) -> Arc<dyn Receiver> {
        let mut workflows = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        workflows.entry(name.to_owned()).or_insert_with(|| Arc::new(WorkflowCounts::new(self.clock.clone()))).clone()
    }
}

impl ProjectMetrics {
    fn new(name: &str, stores: Stores, http: Http, clock: Clock) -> ProjectMetrics {
        ProjectMetrics { name: name.to_owned(), stores, http, clock, workflows: Mutex::default(), view: tokio::sync::Mutex::default() }
    }

    /// The calls that were made so far.
    fn calls(&self) -> CallStats {
        self.http.stats()
    }

    /// What was counted of each workflow.
    fn counts(&self) -> Vec<(String, Arc<WorkflowCounts>)> {
        let workflows = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        workflows.iter().map(|(name, counts)| (name.clone(), counts.clone())).collect()
    }

    /// What the store says, from at most [`FRESH`] ago. Those who ask at the same time wait for one answer.
    async fn view(&self) -> Arc<StateView> {
        let mut kept = self.view.lock().await;
        let now = self.clock.elapsed();
        match &*kept {
            Some((at, view)) if now.saturating_sub(*at) < FRESH => view.clone(),
            _ => {
                let view = Arc::new(StateView::read(&self.stores).await);
                *kept = Some((now, view.clone()));
                view
            }
        }
    }

    async fn expose(&self, exposition: &mut Exposition) {
        let view = self.view().await;
        let project = || vec![("project", self.name.clone())];
        exposition.add("d365map_state_readable", project(), Value::Gauge(f64::from(u8::from(view.readable))));
        for (workflow, counts) in self.counts() {
            counts.expose(exposition, &with(project(), "workflow", &workflow));
        }
        let counted: BTreeMap<String, Arc<WorkflowCounts>> = self.counts().into_iter().collect();
        for workflow in &view.workflows {
            let last_good = counted.get(&workflow.name).and_then(|counts| counts.last_good());
            workflow.expose(exposition, &with(project(), "workflow", &workflow.name), last_good);
        }
        for (api, calls) in self.calls().apis {
            let labels = with(project(), "api", api);
            for (outcome, count) in &calls.outcomes {
                exposition.add("d365map_calls", with(labels.clone(), "outcome", outcome), Value::Counter(*count));
            }
            exposition.add("d365map_calls_repeated", labels.clone(), Value::Counter(calls.retries));
            let bounds = LATENCY_BOUNDS.iter().map(|ms| f64::from(*ms) / 1000.0).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(calls.latency.counts).collect();
            exposition.add("d365map_call_duration_seconds", labels, Value::distribution(calls.latency.sum, buckets));
        }
    }
}

/// Labels with one more.
fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

#[cfg(test)]
mod tests;
