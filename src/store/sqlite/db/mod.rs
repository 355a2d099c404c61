//! What must survive: cursors, outbox, ledger, dead letters, runs, in one SQLite file.
//!
//! ```text
//! source page ──commit_page──▶ outbox ──claim──▶ worker ──settle──▶ ledger
//!               (+ cursor)       ▲                   │
//!                                └─ retry / refetch ─┴──▶ dead letters
//! ```
//!
//! [`Store`] is the one writer. Its methods are synchronous and short; the ports in [`crate::store`] call them, which
//! keep them off the asynchronous threads. Each public method that writes is exactly one transaction, and these are
//! the ones the guarantees rest on:
//!
//! * [`Store::commit_page`]: a page's operations, its rejects, its ledger marks and the cursor behind it; at the end of a
//!   full load the sweep of what was not seen as well.
//! * [`Store::claim`]: a batch of operations becomes one run's.
//! * [`Store::settle`]: a batch of answers, with the ledger and the dead letters they change.
//! * [`Store::start_run`]: what a dead run left claimed becomes waiting again, marked uncertain.
//!
//! `docs/state.md` describes the tables and what survives what. The data of a record is held only while it waits
//! (outbox) or has failed (dead letter); the ledger keeps keyed hashes.

mod alerts;
mod audit;
mod copy;
mod cursor;
mod dead_letter;
mod due;
mod environment;
mod error;
mod event_marks;
mod events;
mod exports;
mod fingerprint;
mod forgotten;
mod holdings;
mod identity;
mod kept;
mod key;
mod lease;
mod links;
mod lock;
mod mass;
mod migrate;
mod notifications;
mod optout_persons;
mod optout_work;
mod optouts;
mod outbox;
mod page;
mod pair_rows;
mod pairs;
mod place;
mod preview;
mod privacy;
mod refetch;
mod related;
mod run;
mod samples;
mod settle;
mod status;
mod store;
mod sweep;
mod topics;
mod tx;
mod types;
mod unwritten;
mod usage;
mod words;
mod workflow;

pub use event_marks::REMEMBERED_DAYS;
pub use lock::run_in_progress;
pub use store::Store;
