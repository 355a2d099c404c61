//! What a watch does once a day beside its workflows, whether they have work or not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::connect::ConnectError;
use crate::engine::clock::Clock;
use crate::time::Instant;

/// How often an upkeep is asked. It knows itself whether a day has passed, also across restarts.
const LOOK: Duration = Duration::from_secs(3600);

/// Something that must happen once a day.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// What it keeps, for the log.
    fn name(&self) -> &'static str;

    /// Does it if it is due at this time. Returns whether it was due.
    ///
    /// # Errors
    /// [`ConnectError`]. It is logged, and tried again after an hour.
    async fn keep(&self, now: Instant) -> Result<bool, ConnectError>;
}

/// Asks all upkeeps hourly until `stop` is cancelled. A failure ends nothing: the workflows that need the sign-in say so themselves.
pub(super) async fn run(all: Vec<Arc<dyn Upkeep>>, clock: Clock, stop: CancellationToken) {
    if all.is_empty() {
        return;
    }
    loop {
        for upkeep in &all {
            let kept = tokio::select! {
                kept = upkeep.keep(clock.now()) => kept,
                () = stop.cancelled() => return,
            };
            match kept {
                Ok(true) => tracing::info!(what = upkeep.name(), "the daily upkeep was done"),
                Ok(false) => {}
                Err(error) => tracing::warn!(what = upkeep.name(), %error, "the daily upkeep failed; it is tried again in an hour"),
            }
        }
        tokio::select! {
            () = clock.sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::TimeDelta;

    use super::*;

    /// Notes when it was asked, and fails the first time.
    #[derive(Default)]
    struct Noting(Mutex<Vec<Instant>>);

    #[async_trait]
    impl Upkeep for Noting {
        fn name(&self) -> &'static str {
            "test"
        }

        async fn keep(&self, now: Instant) -> Result<bool, ConnectError> {
            let mut asked = self.0.lock().unwrap();
            asked.push(now);
            if asked.len() == 1 {
                return Err(ConnectError::SignIn { problem: "p".to_owned(), remedy: "r".to_owned() });
            }
            Ok(true)
        }
    }

    #[tokio::test]
    async fn an_upkeep_is_asked_at_the_start_and_every_hour_and_a_failure_does_not_end_it() {
        let noon = crate::time::parse_instant("2026-05-01T12:00:00Z").unwrap();
        let clock = Clock::stopped(noon);
        let (noting, stop) = (Arc::new(Noting::default()), CancellationToken::new());
        let task = tokio::spawn(run(vec![noting.clone()], clock.clone(), stop.clone()));
        for hour in 1..=3 {
            clock.is_awaited().await;
            assert_eq!(noting.0.lock().unwrap().len(), hour);
            clock.advance(TimeDelta::hours(1));
            while noting.0.lock().unwrap().len() == hour {
                tokio::task::yield_now().await;
            }
        }
        stop.cancel();
        task.await.unwrap();
        let asked = noting.0.lock().unwrap().clone();
        assert_eq!(asked, (0..4).map(|hours| noon + TimeDelta::hours(hours)).collect::<Vec<_>>());
    }
}
