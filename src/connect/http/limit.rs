//! How many requests go to one host at once, and when a host is left alone.
//!
//! Dataverse counts per user and web server, so a 429 to one worker holds for all of them: the whole host rests.
//! Source: Dataverse, *Service protection API limits*.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The hosts talked to, by scheme, name and port.
#[derive(Debug)]
pub(super) struct Hosts {
    concurrency: usize,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl Hosts {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { concurrency: concurrency.clamp(1, Semaphore::MAX_PERMITS), hosts: Mutex::default() }
    }

    pub(super) fn get(&self, origin: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(origin) {
            return Arc::clone(host);
        }
        let host = Arc::new(Host { permits: Arc::new(Semaphore::new(self.concurrency)), rests_until: Mutex::new(None) });
        hosts.insert(origin.to_owned(), Arc::clone(&host));
        host
    }
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    permits: Arc<Semaphore>,
    rests_until: Mutex<Option<Instant>>,
}

impl Host {
    /// Waits until the host does not rest and a request may go. The permit is held while the request is under way.
    pub(super) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            self.rested().await;
            // The semaphore is never closed; without a permit the request would simply go unlimited.
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
            // A rest may have begun while this one waited for its turn.
            if self.rest().is_none() {
                return permit;
            }
        }
    }

    /// Lets the host rest for at least `wait` from now.
    pub(super) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        *rests = Some(rests.map_or(until, |earlier| earlier.max(until)));
    }

    fn rest(&self) -> Option<Instant> {
        let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.is_some_and(|until| until <= Instant::now()) {
            *rests = None;
        }
        *rests
    }

    async fn rested(&self) {
        while let Some(until) = self.rest() {
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_resting_host_lets_nobody_in_before_the_longest_wait_is_over() {
        let host = Hosts::new(4).get("h");
        host.pause(Duration::from_millis(80));
        host.pause(Duration::from_millis(5));
        let start = Instant::now();
        let _permit = host.enter().await;
        assert!(start.elapsed() >= Duration::from_millis(75), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn no_more_requests_than_allowed_are_under_way() {
        let hosts = Hosts::new(2);
        let (a, b) = (hosts.get("h").enter().await, hosts.get("h").enter().await);
        let third = tokio::time::timeout(Duration::from_millis(20), hosts.get("h").enter()).await;
        assert!(third.is_err());
        drop((a, b));
        assert!(tokio::time::timeout(Duration::from_secs(5), hosts.get("h").enter()).await.is_ok());
    }
}
