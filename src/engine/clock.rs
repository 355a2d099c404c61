//! The clock of a run: what time it is, and how long to wait. Everything in `run` and `engine` asks it, so that a test can move time.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use chrono::TimeDelta;
use tokio::sync::watch;

use crate::time::{self, Instant};

/// The clock of a run. Clones are the same clock.
///
/// It follows the machine's clock, or does not move if a test created it with [`Clock::stopped`]. [`Clock::advance`] moves both kinds, and
/// ends the waits that are over then.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// When the clock was made, by the machine's monotonic clock.
    made: Moment,
    /// The time that a stopped clock shows at first.
    stands_at: Option<Instant>,
    /// How far it was moved.
    ahead: watch::Sender<TimeDelta>,
    /// How many wait for it.
    sleepers: watch::Sender<usize>,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::of(None)
    }
}

impl Clock {
    fn of(stands_at: Option<Instant>) -> Clock {
        let (ahead, sleepers) = (watch::Sender::new(TimeDelta::zero()), watch::Sender::new(0));
        Clock(Arc::new(Inner { made: Moment::now(), stands_at, ahead, sleepers }))
    }

    /// Returns a clock that shows one time until it is moved.
    #[cfg(any(test, feature = "internals"))]
    pub fn stopped(at: Instant) -> Clock {
        Clock::of(Some(at))
    }

    fn ahead(&self) -> TimeDelta {
        *self.0.ahead.borrow()
    }

    /// Returns the present instant.
    pub fn now(&self) -> Instant {
        self.0.stands_at.unwrap_or_else(time::now) + self.ahead()
    }

    /// Returns the present instant as a time since the clock was made. It does not jump when the machine's clock is set.
    pub fn elapsed(&self) -> Duration {
        let ahead = self.ahead();
        let machine = if self.0.stands_at.is_some() { Duration::ZERO } else { self.0.made.elapsed() };
        match ahead.to_std() {
            Ok(forward) => machine.saturating_add(forward),
            Err(_) => machine.saturating_sub(ahead.abs().to_std().unwrap_or_default()),
        }
    }

    /// Moves the clock.
    #[cfg(any(test, feature = "internals"))]
    pub fn advance(&self, by: TimeDelta) {
        self.0.ahead.send_modify(|ahead| *ahead += by);
    }

    /// Waits.
    pub async fn sleep(&self, wait: Duration) {
        let mut moved = self.0.ahead.subscribe();
        let Some(end) = self.elapsed().checked_add(wait) else { return std::future::pending().await };
        let _sleeper = Sleeper::new(&self.0.sleepers);
        loop {
            let left = end.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            // The sender lives as long as the clock: an error cannot come.
            if self.0.stands_at.is_some() {
                let _ = moved.changed().await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep(left) => {}
                    _ = moved.changed() => {}
                }
            }
        }
    }

    /// Waits until an instant of this clock.
    pub async fn sleep_until(&self, at: Instant) {
        self.sleep((at - self.now()).to_std().unwrap_or_default()).await;
    }

    /// Waits until somebody waits for the clock. A test can move it then.
    #[cfg(test)]
    pub(crate) async fn is_awaited(&self) {
        let _ = self.0.sleepers.subscribe().wait_for(|sleepers| *sleepers > 0).await;
    }
}

/// Counts one who waits, as long as it waits.
struct Sleeper<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeper<'a> {
    fn new(sleepers: &'a watch::Sender<usize>) -> Sleeper<'a> {
        sleepers.send_modify(|n| *n += 1);
        Sleeper(sleepers)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Instant {
        time::parse_instant("2024-05-01T12:00:00Z").expect("an instant")
    }

    #[tokio::test]
    async fn a_wait_on_a_stopped_clock_ends_when_the_clock_was_moved_far_enough() {
        let clock = Clock::stopped(noon());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3600)).await }
        });
        clock.is_awaited().await;
        clock.advance(TimeDelta::minutes(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(TimeDelta::minutes(1));
        sleeper.await.expect("it ends");
        assert_eq!(clock.now(), noon() + TimeDelta::hours(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
    }

    #[tokio::test]
    async fn a_wait_on_a_clock_that_goes_ends_early_when_the_clock_is_moved() {
        let clock = Clock::default();
        let before = clock.now();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(before + TimeDelta::days(1)).await }
        });
        clock.is_awaited().await;
        clock.advance(TimeDelta::days(2));
        sleeper.await.expect("it ends");
        assert!(clock.now() >= before + TimeDelta::days(2) && clock.elapsed() >= Duration::from_secs(2 * 86_400));
    }

    #[tokio::test]
    async fn a_wait_for_the_past_ends_at_once() {
        let clock = Clock::stopped(noon());
        clock.sleep_until(noon() - TimeDelta::hours(1)).await;
        clock.advance(TimeDelta::hours(-1));
        assert_eq!((clock.now(), clock.elapsed()), (noon() - TimeDelta::hours(1), Duration::ZERO));
    }
}
