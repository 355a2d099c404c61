//! What the store says of the workflows, for gauges.

use super::exposition::{Exposition, Labels, Value};
use super::with;
use crate::store::{Backlog, Status, StoreError, Stores, WorkflowRecord, WorkflowState};
use crate::time::Instant;

/// What the store said at one moment.
#[derive(Default)]
pub(super) struct StateView {
    /// The store could be read. If not, the rest is empty.
    pub readable: bool,
    pub workflows: Vec<WorkflowView>,
}

/// What the store says of a workflow.
pub(super) struct WorkflowView {
    pub name: String,
    record: Option<WorkflowRecord>,
    backlog: Backlog,
    dead_letters: u64,
    /// Changes of a mass change that need approval.
    held: u64,
    /// No new exports come.
    stale: bool,
    /// Differences of opt-outs that need approval.
    differences: u64,
}

impl StateView {
    /// Asks the store.
    pub async fn read(stores: &Stores) -> StateView {
        match read(stores).await {
            Ok(workflows) => StateView { readable: true, workflows },
            Err(error) => {
                tracing::warn!(%error, "the state could not be read for the metrics");
                StateView::default()
            }
        }
    }
}

async fn read(stores: &Stores) -> Result<Vec<WorkflowView>, StoreError> {
    let Status { mappings, workflows, .. } = stores.control.status().await?;
    let mut views: Vec<WorkflowView> = Vec::new();
    for mapping in mappings {
        let held = stores.outbox.mass_change(&mapping.mapping).await?;
        // An emptied field counts once for each record, as a deletion does.
        let held = held.map_or(0, |h| h.deleted + h.filtered + h.unseen + h.emptied.iter().map(|field| field.records).sum::<u64>());
        views.push(WorkflowView {
            record: None,
            held,
            stale: mapping.exports.is_some(),
            differences: stores.optouts.held_operations(&mapping.mapping).await?,
            backlog: mapping.backlog,
            dead_letters: mapping.dead_letters,
            name: mapping.mapping,
        });
    }
    for record in workflows {
        match views.iter_mut().find(|view| view.name == record.name) {
            Some(view) => view.record = Some(record),
            None => views.push(WorkflowView {
                name: record.name.clone(),
                record: Some(record),
                backlog: Backlog::default(),
                dead_letters: 0,
                held: 0,
                stale: false,
                differences: 0,
            }),
        }
    }
    Ok(views)
}

impl WorkflowView {
    /// `last_good`: when this process saw the last round end that was successful.
    pub fn expose(&self, exposition: &mut Exposition, labels: &Labels, last_good: Option<Instant>) {
        let mut gauge = |name: &'static str, label: Option<(&'static str, &'static str)>, value: f64| {
            let labels = match label {
                Some((name, value)) => with(labels.clone(), name, value),
                None => labels.clone(),
            };
            exposition.add(name, labels, Value::Gauge(value));
        };
        let Backlog { delayed, waiting_for_parents, claimed, .. } = self.backlog;
        for (state, count) in
            [("queued", self.backlog.due()), ("postponed", delayed), ("waiting_for_link", waiting_for_parents), ("in_progress", claimed)]
        {
            gauge("d365map_backlog_operations", Some(("state", state)), count as f64);
        }
        let oldest = self.backlog.oldest.map_or(0.0, seconds);
        gauge("d365map_backlog_oldest_timestamp_seconds", None, oldest);
        gauge("d365map_dead_letters", None, self.dead_letters as f64);
        gauge("d365map_mass_change_held", None, self.held as f64);
        gauge("d365map_exports_stale", None, f64::from(u8::from(self.stale)));
        gauge("d365map_opt_out_differences", None, self.differences as f64);
        if let Some(record) = &self.record {
            for state in [WorkflowState::Running, WorkflowState::Starting, WorkflowState::Stopped, WorkflowState::Failed] {
                let is = f64::from(u8::from(record.state == state));
                gauge("d365map_workflow_state", Some(("state", word(state))), is);
            }
            gauge("d365map_workflow_restart_due", None, f64::from(u8::from(record.restart_due.is_some())));
        }
        // A failed round is one whose end is that of an error.
        let ended = self.record.as_ref().and_then(|r| r.round_ended.filter(|ended| r.error_at.is_none_or(|error| error < *ended)));
        gauge("d365map_last_good_round_timestamp_seconds", None, last_good.max(ended).map_or(0.0, seconds));
    }
}

fn word(state: WorkflowState) -> &'static str {
    match state {
        WorkflowState::Running => "running",
        WorkflowState::Starting => "starting",
        WorkflowState::Stopped => "stopped",
        WorkflowState::Failed => "failed",
    }
}

/// Seconds since 1970, as Prometheus has times.
fn seconds(at: Instant) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}
