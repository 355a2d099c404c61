//! How the reader and the writer of a round wake each other. Everything else they tell each other through the state.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;

/// How the reader and the writer of a round wake each other.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Something was queued: the writer may look.
    queued: Notify,
    /// Something was settled: the reader may go on.
    settled: Notify,
    /// The reader has not ended yet.
    reading: watch::Sender<bool>,
}

impl Default for Signals {
    fn default() -> Signals {
        Signals { queued: Notify::new(), settled: Notify::new(), reading: watch::Sender::new(true) }
    }
}

impl Signals {
    /// Returns the signals of a round that reads nothing while it writes.
    pub fn without_reader() -> Signals {
        let signals = Signals::default();
        signals.end_reading();
        signals
    }

    /// The reader has queued something.
    pub fn queued(&self) {
        self.queued.notify_one();
    }

    /// The writer has settled something.
    pub fn settled(&self) {
        self.settled.notify_one();
    }

    /// The reader will queue nothing more.
    pub fn end_reading(&self) {
        self.reading.send_replace(false);
    }

    /// Whether the reader may queue more.
    pub fn is_reading(&self) -> bool {
        *self.reading.borrow()
    }

    /// Waits until the reader has queued something or has ended; forever if it had ended before.
    pub async fn more(&self) {
        let mut reading = self.reading.subscribe();
        if !*reading.borrow_and_update() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = self.queued.notified() => {}
            _ = reading.changed() => {}
        }
    }

    /// Lets the reader wait until the writer has settled something, for `longest` at most, or until the round is to stop.
    pub async fn room(&self, clock: &Clock, longest: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = self.settled.notified() => {}
            () = clock.sleep(longest) => {}
            () = stop.cancelled() => {}
        }
    }
}
