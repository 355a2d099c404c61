//! The ports of the SQLite store. Its methods block, so each call runs on a thread for blocking work.

mod control;
mod cursors;
mod dead_letters;
mod events;
mod ledger;
mod notifications;
mod optouts;
mod outbox;
mod pairs;
mod previews;
mod privacy;
mod related;
mod runs;

use super::{StateError, Stores};
use crate::state::Store;

impl From<Store> for Stores {
    fn from(store: Store) -> Stores {
        Stores::of(store)
    }
}

/// Opens an empty store that goes with its last clone.
///
/// # Errors
/// Only when memory runs out.
pub fn in_memory() -> Result<Stores, StateError> {
    Store::in_memory().map(Stores::of)
}

/// Does blocking work off the asynchronous threads. A panic in it becomes an error.
async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store)).await.map_err(|e| StateError::Task(e.to_string()))?
}
