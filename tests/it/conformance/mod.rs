//! What every store must do, whatever is behind its ports: rules one by one, and random histories against a model.
//!
//! A rule is a function that gets a store and asks through the ports only. [`rules!`] makes a test of it for each store; another store
//! is one more factory.

mod alerts;
mod answers;
mod audit;
mod links;
mod model;
mod notifications;
mod pages;
mod pairs;
mod persons;
mod related;
mod samples;

use std::future::Future;
use std::path::{Path, PathBuf};

use d365map::store::sqlite::db::Store;
use d365map::store::{Stores, in_memory};
use tokio::runtime::Runtime;

use crate::state_support::{TempFile, temp_file};

/// A store of one kind, as a process sees it that can die and start again.
pub trait Factory {
    /// Opens the store for a run. What was opened before is closed.
    fn open(&mut self) -> Stores;

    /// How many rows the ledger and the outbox have, counted without the store; `None` if that is not possible.
    fn rows(&self) -> Option<(u64, u64)>;
}

/// Makes an empty store.
pub type New = fn() -> Box<dyn Factory>;

/// One SQLite file.
pub struct OnDisk {
    path: PathBuf,
    /// Is removed with the factory.
    _file: Option<TempFile>,
}

impl OnDisk {
    /// A file that exists, or is to be made.
    pub fn at(path: &Path) -> OnDisk {
        OnDisk { path: path.to_owned(), _file: None }
    }
}

impl Factory for OnDisk {
    fn open(&mut self) -> Stores {
        Store::open_for_run(&self.path).unwrap().into()
    }

    fn rows(&self) -> Option<(u64, u64)> {
        let raw = rusqlite::Connection::open(&self.path).unwrap();
        let counts = "SELECT (SELECT COUNT(*) FROM ledger), (SELECT COUNT(*) FROM outbox)";
        let (ledger, outbox): (i64, i64) = raw.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        Some((ledger.unsigned_abs(), outbox.unsigned_abs()))
    }
}

/// SQLite in memory. It has no other process: a run that dies leaves the store open.
struct InMemory(Stores);

impl Factory for InMemory {
    fn open(&mut self) -> Stores {
        self.0.clone()
    }

    fn rows(&self) -> Option<(u64, u64)> {
        None
    }
}

pub fn on_disk() -> Box<dyn Factory> {
    let file = temp_file();
    Box::new(OnDisk { path: file.path.clone(), _file: Some(file) })
}

pub fn only_in_memory() -> Box<dyn Factory> {
    Box::new(InMemory(in_memory().unwrap()))
}

/// Waits for the answer of a port.
pub fn wait<T>(call: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(call))
}

/// Makes a test of each rule for each store.
macro_rules! rules {
    ($($rule:ident,)+) => {
        mod on_disk {
            $(#[test] fn $rule() { super::$rule(crate::conformance::on_disk) })+
        }

        mod in_memory {
            $(#[test] fn $rule() { super::$rule(crate::conformance::only_in_memory) })+
        }
    };
}
pub(crate) use rules;
