//! Settings that change while a watch goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Supervisor;
use super::entry::Phase;
use crate::run::OptoutSettings;
use crate::store::{MassLimits, WorkflowNote};
use crate::time::schedule::Schedule;

/// What can change while a watch goes on. A round that is under way keeps what it began with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From the end of one round to the beginning of the next, for workflows without a schedule.
    pub interval: Duration,
    /// When the rounds of workflows begin.
    pub schedules: BTreeMap<String, Schedule>,
    /// Records in a page.
    pub page_size: u32,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Operations waiting at which reading pauses.
    pub backlog_high_water: u64,
    /// How many deletions, or fields that become empty, need approval.
    pub mass_limits: MassLimits,
    /// How opt-outs are read and compared.
    pub optouts: OptoutSettings,
}

/// The next settings; never, if there is nothing that could change them.
pub(super) async fn changed(settings: &mut Option<tokio::sync::watch::Receiver<Settings>>) -> Settings {
    if let Some(receiver) = settings
        && receiver.changed().await.is_ok()
    {
        return receiver.borrow_and_update().clone();
    }
    std::future::pending().await
}

impl Supervisor {
    /// Takes up settings. A workflow whose schedule has changed and that waits for its round has it by the new schedule.
    pub(super) async fn take_settings(&mut self, settings: Settings) {
        let before: Vec<Schedule> = self.entries.iter().map(|entry| self.schedule(&entry.name)).collect();
        let Settings { interval, schedules, page_size, concurrency, backlog_high_water, mass_limits, optouts } = settings;
        self.interval = interval;
        self.supervision.schedules = schedules;
        let accept = self.options.optouts.accept;
        (self.options.page_size, self.options.concurrency) = (page_size, concurrency);
        (self.options.backlog_high_water, self.options.mass_limits) = (backlog_high_water, mass_limits);
        self.options.optouts = OptoutSettings { accept, ..optouts };
        let now = self.options.clock.now();
        for (at, before) in before.into_iter().enumerate() {
            let entry = &self.entries[at];
            let schedule = self.schedule(&entry.name);
            // After a failure the back-off counts, and a round that is due is not put back.
            if schedule == before || entry.failures > 0 || !matches!(entry.phase, Phase::Waiting { until } if until > self.moment_now()) {
                continue;
            }
            let next = if entry.settled { schedule.next(now) } else { schedule.first(now) };
            let (name, until) = (entry.name.clone(), self.moment(next));
            self.entries[at].phase = Phase::Waiting { until };
            self.note(&name, WorkflowNote::Waiting { next }).await;
        }
    }
}
