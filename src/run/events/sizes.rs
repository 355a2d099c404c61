//! How many rows the requests of a round carry, by the kind of the call: each table and operation has a separate size.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connect::ConnectError;
use crate::engine::clock::Clock;
use crate::plan::EventType;
use crate::run::calls::CallKind;
use crate::run::memory::Memory;
use crate::systems::Timeline;

/// The time that Dynamics 365 gives a request at least (Dataverse, *Use bulk operation messages*: time-outs of two to four minutes).
const SERVICE_LIMIT: Duration = Duration::from_secs(120);

/// The sizes, and which types have a batch under way.
pub(super) struct BatchSizes {
    clock: Clock,
    timeline: Arc<dyn Timeline>,
    /// The time after which a request fails.
    limit: Duration,
    /// Keeps the sizes from round to round of a watch.
    memory: Arc<Memory>,
    /// Batches of a type that were handed out and have not ended.
    underway: Mutex<HashMap<EventType, usize>>,
}

impl BatchSizes {
    pub(super) fn new(clock: Clock, timeline: Arc<dyn Timeline>, memory: Arc<Memory>) -> BatchSizes {
        let limit = timeline.request_timeout().min(SERVICE_LIMIT);
        BatchSizes { clock, timeline, limit, memory, underway: Mutex::default() }
    }

    /// Whether an error says that a request was too large.
    pub(super) fn is_too_large(&self, error: &ConnectError) -> bool {
        self.timeline.is_too_large(error)
    }

    fn underway(&self) -> MutexGuard<'_, HashMap<EventType, usize>> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rows of the next request.
    pub(super) fn rows(&self, call: CallKind) -> usize {
        self.memory.batch_size(call, |size| size.rows())
    }

    /// The time at which a request begins, for [`BatchSizes::ended`].
    pub(super) fn begin(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Notes what became of a request with this many rows. An error that is not about the size or the time says nothing here.
    pub(super) fn ended(&self, call: CallKind, rows: usize, begun: Duration, error: Option<&ConnectError>) {
        match error {
            None => {
                let took = self.clock.elapsed().saturating_sub(begun);
                self.memory.batch_size(call, |size| size.carried_out(rows, took, self.limit));
            }
            Some(error)
                if self.is_too_large(error) || matches!(error, ConnectError::Unavailable { .. } | ConnectError::OutcomeUnknown { .. }) =>
            {
                self.too_many(call, rows);
            }
            Some(_) => {}
        }
    }

    /// Notes that this many rows were refused and then passed in smaller requests.
    pub(super) fn too_many(&self, call: CallKind, rows: usize) {
        self.memory.batch_size(call, |size| size.failed(rows));
    }

    /// Returns the rows of the next batch of a type, of which this many events wait; `None` if they wait until a batch of the type that is
    /// under way was answered. One goes out at once if none is under way. Beside others only full ones go, since the next one is larger
    /// for what it waits, and only if the size does not grow, since others of the same size tell nothing new.
    pub(super) fn hand_out(&self, kind: EventType, waiting: usize) -> Option<usize> {
        let size = self.memory.batch_size(CallKind::Activities(kind), |size| *size);
        let mut underway = self.underway();
        let underway = underway.entry(kind).or_default();
        if waiting == 0 || (*underway > 0 && (size.grows() || waiting < size.rows())) {
            return None;
        }
        *underway += 1;
        Some(size.rows().min(waiting))
    }

    /// A batch of a type has ended.
    pub(super) fn came_back(&self, kind: EventType) {
        if let Some(underway) = self.underway().get_mut(&kind) {
            *underway = underway.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::connect::{Call, Http, HttpConfig};
    use crate::time;

    const CALL: CallKind = CallKind::Activities(EventType::Open);

    /// Dynamics 365, whose errors say what was too much; nothing is sent to it.
    fn timeline() -> Arc<dyn Timeline> {
        let config = HttpConfig { request_timeout: Duration::from_secs(60), ..HttpConfig::default() };
        Arc::new(crate::systems::conformance::unreachable_dataverse(Http::new(config).expect("a client")))
    }

    fn sizes() -> BatchSizes {
        let noon = time::parse_instant("2024-05-01T12:00:00Z").expect("an instant");
        BatchSizes::new(Clock::stopped(noon), timeline(), Arc::default())
    }

    #[test]
    fn the_time_of_a_request_is_that_of_the_runs_clock() {
        let sizes = sizes();
        let begun = sizes.begin();
        sizes.clock.advance(TimeDelta::seconds(16));
        sizes.ended(CALL, 100, begun, None);
        assert_eq!(sizes.rows(CALL), 100, "more than a quarter of the time-out");
        let begun = sizes.begin();
        sizes.clock.advance(TimeDelta::seconds(15));
        sizes.ended(CALL, 100, begun, None);
        assert_eq!((sizes.rows(CALL), sizes.rows(CallKind::Completing(EventType::Open))), (200, 100));
    }

    #[test]
    fn what_is_about_size_or_time_halves_a_size_and_a_refused_row_does_not() {
        let call = |code: &str| Box::new(Call { code: Some(code.to_owned()), ..Call::default() });
        let size_after = |error: ConnectError| {
            let sizes = sizes();
            sizes.ended(CALL, 100, Duration::ZERO, Some(&error));
            sizes.rows(CALL)
        };
        for error in [
            ConnectError::Unavailable { call: call("") },
            ConnectError::OutcomeUnknown { call: call("") },
            ConnectError::Rejected { call: call("0x80044151") },
            ConnectError::Rejected { call: call("0x8004418A") },
        ] {
            assert_eq!(size_after(error.clone()), 50, "{error:?}");
        }
        for error in [
            ConnectError::Rejected { call: call("0x80044331") },
            ConnectError::Throttled { call: call("0x80072322"), retry_after: None },
            ConnectError::Forbidden { call: call("0x80040220") },
        ] {
            assert_eq!(size_after(error.clone()), 100, "{error:?}");
        }
    }

    #[test]
    fn sizes_are_kept_for_the_next_round() {
        let memory = Arc::<Memory>::default();
        let round = || BatchSizes::new(Clock::default(), timeline(), memory.clone());
        round().too_many(CALL, 100);
        assert_eq!(round().rows(CALL), 50);
    }

    #[test]
    fn while_a_size_grows_one_batch_of_its_type_is_under_way() {
        let sizes = sizes();
        assert_eq!(sizes.hand_out(EventType::Open, 250), Some(100));
        assert_eq!((sizes.hand_out(EventType::Open, 150), sizes.hand_out(EventType::Send, 30)), (None, Some(30)));
        sizes.came_back(EventType::Open);
        assert_eq!((sizes.hand_out(EventType::Open, 0), sizes.hand_out(EventType::Open, 150)), (None, Some(100)));
    }

    #[test]
    fn batches_of_a_type_that_go_out_beside_others_are_full() {
        let sizes = sizes();
        sizes.too_many(CALL, 100);
        let waiting = [120, 70, 20].map(|waiting| sizes.hand_out(EventType::Open, waiting));
        assert_eq!(waiting, [Some(50), Some(50), None]);
        sizes.came_back(EventType::Open);
        assert_eq!(sizes.hand_out(EventType::Open, 20), None);
        sizes.came_back(EventType::Open);
        assert_eq!(sizes.hand_out(EventType::Open, 20), Some(20), "none is under way");
    }
}
