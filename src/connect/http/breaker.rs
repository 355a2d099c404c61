//! The circuit breaker of one host: a host that fails again and again is left alone, but for one request now and then.
//!
//! Closed, requests pass. After [`Settings::failures`] failures in a row it opens: nothing is sent. When the pause is over, one
//! request goes as a probe; the others wait for what it brings. If it is answered, the circuit closes; if not, it stays open for
//! twice as long, and the attempts that waited count as failed, unsent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row: no connection, no answer in time, a gateway's error. Zero: never.
    pub failures: u32,
    /// The first pause; doubles with each probe that fails.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 20, pause: Duration::from_secs(5), longest_pause: Duration::from_secs(60) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    /// A probe is under way.
    HalfOpen {
        pause: Duration,
    },
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// Failures since the last success.
    failures: u32,
    /// Counts probes that failed.
    reopened: u64,
}

/// The breaker of one host.
#[derive(Debug)]
pub(super) struct Breaker {
    host: String,
    settings: Settings,
    inner: Mutex<Inner>,
    changed: Notify,
}

/// A request may go; says afterwards what came of it.
#[derive(Debug)]
pub(super) struct Ticket {
    breaker: Arc<Breaker>,
    probe: bool,
}

/// The circuit is open: nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// Failures in a row.
    pub(super) failures: u32,
    /// Until the next probe.
    pub(super) wait: Duration,
}

impl Breaker {
    pub(super) fn new(host: &str, settings: Settings) -> Arc<Self> {
        let inner = Mutex::new(Inner { state: State::Closed, failures: 0, reopened: 0 });
        Arc::new(Self { host: host.to_owned(), settings, inner, changed: Notify::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the circuit is open, until a probe has shown how the host is, or to become that probe.
    ///
    /// # Errors
    /// [`Open`] when a probe failed meanwhile.
    pub(super) async fn pass(self: &Arc<Self>) -> Result<Ticket, Open> {
        let seen = {
            let inner = self.inner();
            if matches!(inner.state, State::Closed) {
                return Ok(Ticket { breaker: Arc::clone(self), probe: false });
            }
            inner.reopened
        };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the state is looked at, so that no change is missed.
            changed.as_mut().enable();
            let until = {
                let mut inner = self.inner();
                match inner.state {
                    State::Closed => return Ok(Ticket { breaker: Arc::clone(self), probe: false }),
                    State::Open { until, .. } if inner.reopened != seen => {
                        let wait = until.saturating_duration_since(Instant::now());
                        return Err(Open { failures: inner.failures, wait });
                    }
                    State::Open { until, pause } if until <= Instant::now() => {
                        inner.state = State::HalfOpen { pause };
                        return Ok(Ticket { breaker: Arc::clone(self), probe: true });
                    }
                    State::Open { until, .. } => Some(until),
                    State::HalfOpen { .. } => None,
                }
            };
            match until {
                Some(until) => tokio::select! { () = changed => {}, () = tokio::time::sleep_until(until) => {} },
                None => changed.await,
            }
        }
    }

    /// Whether only a probe is sent at the moment.
    fn is_open(&self) -> bool {
        !matches!(self.inner().state, State::Closed)
    }

    fn report(&self, probe: bool, well: Option<bool>) {
        let mut inner = self.inner();
        match (well, inner.state) {
            (Some(true), State::Closed) => inner.failures = 0,
            // An answer to a request sent before the circuit opened is as good as a probe's.
            (Some(true), State::Open { .. } | State::HalfOpen { .. }) => {
                inner.failures = 0;
                inner.state = State::Closed;
                tracing::info!(host = self.host, "the host answers again");
                self.changed.notify_waiters();
            }
            (Some(false), State::Closed) => {
                inner.failures = inner.failures.saturating_add(1);
                if self.settings.failures > 0 && inner.failures >= self.settings.failures {
                    let pause = self.settings.pause;
                    inner.state = State::Open { until: Instant::now() + pause, pause };
                    tracing::warn!(host = self.host, failures = inner.failures, ?pause, "requests to the host are paused");
                }
            }
            (Some(false), State::HalfOpen { pause }) if probe => {
                let pause = (pause * 2).min(self.settings.longest_pause);
                inner.failures = inner.failures.saturating_add(1);
                inner.state = State::Open { until: Instant::now() + pause, pause };
                inner.reopened += 1;
                tracing::warn!(host = self.host, failures = inner.failures, ?pause, "the host still fails");
                self.changed.notify_waiters();
            }
            // The probe told nothing, or was given up: another may try at once.
            (None, State::HalfOpen { pause }) if probe => {
                inner.state = State::Open { until: Instant::now(), pause };
                self.changed.notify_waiters();
            }
            (Some(false) | None, State::Closed | State::Open { .. } | State::HalfOpen { .. }) => {}
        }
    }
}

impl Ticket {
    /// Whether the request may still go: the circuit has not opened meanwhile, or this is the probe.
    pub(super) fn holds(&self) -> bool {
        self.probe || !self.breaker.is_open()
    }

    /// What came of the request: whether the host is well, or that this tells nothing of it.
    pub(super) fn report(mut self, well: Option<bool>) {
        self.breaker.report(self.probe, well);
        // Reported: nothing is left for the drop to say.
        self.probe = false;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.report(true, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings { failures: 3, pause: Duration::from_millis(20), longest_pause: Duration::from_millis(80) };

    async fn fail(breaker: &Arc<Breaker>, times: u32) {
        for _ in 0..times {
            breaker.pass().await.unwrap().report(Some(false));
        }
    }

    #[tokio::test]
    async fn failures_in_a_row_open_the_circuit_and_a_success_between_them_does_not_let_it() {
        let breaker = Breaker::new("h", SETTINGS);
        fail(&breaker, 2).await;
        breaker.pass().await.unwrap().report(Some(true));
        fail(&breaker, 2).await;
        breaker.pass().await.unwrap().report(None);
        assert!(!breaker.is_open());
        fail(&breaker, 1).await;
        assert!(breaker.is_open());
    }

    #[tokio::test]
    async fn an_open_circuit_lets_one_probe_through_after_its_pause_and_closes_when_it_is_answered() {
        let breaker = Breaker::new("h", SETTINGS);
        fail(&breaker, 3).await;
        let start = Instant::now();
        let probe = breaker.pass().await.unwrap();
        assert!(start.elapsed() >= SETTINGS.pause);
        let other = {
            let breaker = breaker.clone();
            tokio::spawn(async move { breaker.pass().await.map(|t| t.probe) })
        };
        tokio::time::sleep(SETTINGS.pause * 3).await;
        assert!(!other.is_finished(), "the others wait for the probe");
        probe.report(Some(true));
        assert_eq!(other.await.unwrap(), Ok(false));
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn a_probe_that_fails_doubles_the_pause_up_to_the_longest_and_fails_those_that_waited() {
        let breaker = Breaker::new("h", SETTINGS);
        fail(&breaker, 3).await;
        for pause in [40, 80, 80] {
            let probe = breaker.pass().await.unwrap();
            let other = {
                let breaker = breaker.clone();
                tokio::spawn(async move { breaker.pass().await.map(drop) })
            };
            tokio::time::sleep(Duration::from_millis(5)).await;
            probe.report(Some(false));
            let open = other.await.unwrap().unwrap_err();
            let pause = Duration::from_millis(pause);
            assert!(open.wait <= pause && open.wait > pause / 3, "{:?} of {pause:?}", open.wait);
        }
    }

    #[tokio::test]
    async fn a_probe_given_up_leaves_its_place_to_another() {
        let breaker = Breaker::new("h", SETTINGS);
        fail(&breaker, 3).await;
        drop(breaker.pass().await.unwrap());
        // Immediately: if the pause began again, it would be twice as long.
        let again = breaker.pass().await.unwrap();
        assert!(again.probe);
    }

    #[tokio::test]
    async fn a_threshold_of_zero_never_opens() {
        let breaker = Breaker::new("h", Settings { failures: 0, ..SETTINGS });
        fail(&breaker, 100).await;
        assert!(!breaker.is_open());
    }
}
