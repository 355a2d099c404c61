//! Changed mapping files: workflows that run by an earlier plan are due for a restart.

use std::sync::Arc;

use super::Supervisor;
use super::entry::{Phase, Report};
use crate::plan::ExecutionPlan;
use crate::run::workflow::workflows;

impl Supervisor {
    /// Checks the mapping files, unless a check is under way.
    pub(super) fn look_at_files(&mut self) {
        if self.disk.looking {
            return;
        }
        self.disk.looking = true;
        let (source, known) = (self.supervision.source.clone(), self.disk.mark);
        let look = move || {
            let mark = source.mark();
            let found = if known == Some(mark) { Ok(None) } else { source.load().map(Some).map_err(|e| e.to_string()) };
            (Some(mark), found)
        };
        self.off_thread(look, move |looked| {
            let (mark, found) = looked.unwrap_or_else(|ended| (known, Err(ended)));
            Report::Disk(mark, found)
        });
    }

    /// Notes for which workflows a restart is due.
    pub(super) async fn compare(&mut self, found: Result<Option<Arc<ExecutionPlan>>, String>) {
        let found = match found {
            Ok(None) => return,
            Ok(Some(plan)) => Ok(plan),
            Err(reason) => Err(reason),
        };
        // What could not start may start by other files.
        let now = self.moment_now();
        for entry in &mut self.entries {
            if let Phase::Unloaded { until } = &mut entry.phase {
                *until = now;
            }
        }
        for at in 0..self.entries.len() {
            let Some(running) =
                self.entries[at].loaded.as_ref().filter(|_| !matches!(self.entries[at].phase, Phase::Off | Phase::Unloaded { .. }))
            else {
                continue;
            };
            let due = match &found {
                Err(reason) => Some(format!("the mapping files cannot be used, so the earlier plan stays in use: {reason}")),
                Ok(plan) => match workflows(plan).into_iter().find(|w| w.name == running.workflow.name) {
                    None => Some("it is no longer in the mapping files".to_owned()),
                    Some(w) if w.fingerprint(plan) != running.fingerprint => Some("its mapping has changed".to_owned()),
                    Some(_) => None,
                },
            };
            self.set_restart_due(at, due).await;
        }
        if let Ok(plan) = &found
            && self.options.mappings.is_none()
        {
            for new in workflows(plan).iter().filter(|w| !self.entries.iter().any(|e| e.name == w.name)) {
                let reason = "it is new in the mapping files";
                tracing::warn!(workflow = new.name, "a new workflow; `d365map start {}` starts it", new.name);
                if let Err(error) = self.stores.control.note_restart_due(&new.name, Some(reason)).await {
                    tracing::warn!(%error, "the state was not stored");
                }
            }
        }
    }

    pub(super) async fn set_restart_due(&mut self, at: usize, due: Option<String>) {
        let entry = &mut self.entries[at];
        if entry.restart_due == due {
            return;
        }
        entry.restart_due.clone_from(&due);
        let name = entry.name.clone();
        if let Some(reason) = &due {
            tracing::warn!(workflow = name, reason, "a restart is due: `d365map start {name} --restart` uses the present mapping files");
        }
        self.events.restarts_due(self.entries.iter().filter(|e| e.restart_due.is_some()).count() as u64);
        if let Err(error) = self.stores.control.note_restart_due(&name, due.as_deref()).await {
            tracing::warn!(%error, "the state was not stored");
        }
    }
}
