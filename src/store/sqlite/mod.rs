//! The ports of the SQLite store. Its methods block, so each call runs on a thread for blocking work.

mod alerts;
mod audit;
mod control;
mod cursors;
pub mod db;
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
mod samples;
mod usage;

use std::path::Path;

use db::Store;

use super::{Access, Holder, StoreError, Stores};

impl From<Store> for Stores {
    fn from(store: Store) -> Stores {
        Stores::of(store)
    }
}

/// Opens the store in a state file.
///
/// # Errors
/// [`StoreError::NotFound`] and [`StoreError::OlderFormat`] for reading only; [`StoreError::InUse`] for a run only; if the file cannot be
/// opened, is not a state file, or is newer than this program.
pub async fn open(path: &Path, access: Access) -> Result<Stores, StoreError> {
    let path = path.to_owned();
    let opened = off_the_threads(move || match access {
        Access::Run => Store::open_for_run(&path),
        Access::Write => Store::open(&path),
        Access::Read => Store::open_read(&path),
    });
    opened.await.map(Stores::of)
}

/// Returns the process that runs on a state file now, if there is one. Changes nothing.
///
/// # Errors
/// If the lock file exists and cannot be opened or locked.
pub async fn run_in_progress(path: &Path) -> Result<Option<Holder>, StoreError> {
    let path = path.to_owned();
    off_the_threads(move || db::run_in_progress(&path)).await
}

/// Opens an empty store that goes with its last clone.
///
/// # Errors
/// Only when memory runs out.
pub fn in_memory() -> Result<Stores, StoreError> {
    Store::in_memory().map(Stores::of)
}

/// Does blocking work off the asynchronous threads. A panic in it becomes an error.
async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    off_the_threads(move || work(&store)).await
}

async fn off_the_threads<T: Send + 'static>(work: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| StoreError::Task(e.to_string()))?
}
