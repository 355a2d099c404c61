//! Notifies people of what needs them: a watch looks every few seconds for causes (`causes.rs`), a board decides which of them are news
//! (`board.rs`), and messages go to a command, a webhook or both (`send.rs`).
//!
//! A cause leads to one message, and its end to another one. Which causes people were notified of is in the state, so that a restart does
//! not notify them again. A message that cannot be delivered is tried again until it can, or until its cause is over.

mod board;
mod causes;
mod send;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::board::Board;
use self::causes::Causes;
pub use self::send::Channels;
use crate::connect::{ConnectError, Http};
use crate::project::{Project, SecretError};
use crate::run::Clock;
use crate::store::Stores;

/// From one check for causes to the next.
const LOOK: Duration = Duration::from_secs(15);

/// Why people cannot be notified.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A secret could not be fetched.
    #[error("{at}: {source}")]
    Secret {
        /// The key of the project file.
        at: &'static str,
        /// Why.
        source: SecretError,
    },
    /// The client of the webhook cannot be made.
    #[error("notify.webhook: {0}")]
    Webhook(#[from] ConnectError),
}

/// Notifies people while a watch goes on.
pub struct Notifier {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Notifier {
    /// Begins, if the project asks for it; must be called within a runtime. `name` is the project's in messages, `http` and `clock` are those
    /// of the watch.
    pub fn start(project: &Project, name: &str, channels: Channels, stores: Stores, http: Http, clock: Clock) -> Option<Notifier> {
        let settings = project.notify.clone()?;
        let causes = Causes::new(project.clone(), settings, stores.clone(), http, clock.clone());
        let (stop, name) = (CancellationToken::new(), name.to_owned());
        let task = tokio::spawn(work(name, causes, channels, stores, clock, stop.clone()));
        Some(Notifier { stop, task })
    }

    /// Ends. A message that is being sent is given up, and sent again after the restart.
    pub async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "notifications ended unexpectedly");
        }
    }
}

async fn work(name: String, mut causes: Causes, channels: Channels, stores: Stores, clock: Clock, stop: CancellationToken) {
    let mut board: Option<Board> = None;
    while !stop.is_cancelled() {
        if let Err(error) = round(&name, &mut board, &mut causes, &channels, &stores, &clock, &stop).await {
            tracing::warn!(%error, "the state could not be read or written for notifications; it is tried again");
        }
        tokio::select! {
            () = clock.sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn round(
    name: &str,
    board: &mut Option<Board>,
    causes: &mut Causes,
    channels: &Channels,
    stores: &Stores,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<(), crate::store::StoreError> {
    let board = match board {
        Some(board) => board,
        None => board.insert(Board::new(stores.alerts.alerts().await?, channels.count())),
    };
    let now = clock.now();
    board.update(causes.look(now).await?, now);
    for delivery in board.due(now) {
        for channel in 0..channels.count() {
            if !delivery.is_left(channel) {
                continue;
            }
            let message = delivery.message(name, now);
            let sent = tokio::select! {
                sent = channels.send(channel, &message) => sent,
                // A command that takes long does not keep the process from ending. What was not delivered is delivered after the restart.
                () = stop.cancelled() => return Ok(()),
            };
            match sent {
                Ok(()) => board.sent(&delivery, channel),
                Err(error) => {
                    let (cause, how) = (delivery.cause(), channels.name(channel));
                    tracing::warn!(cause, how, %error, "a notification could not be delivered; it is tried again");
                    board.failed(&delivery, now);
                }
            }
        }
    }
    for (cause, since) in board.told() {
        stores.alerts.note_alert(&cause, since).await?;
        board.noted(&cause);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
