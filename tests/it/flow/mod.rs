//! Flows over real HTTP against the emulators: what must be at the target after what happened at the source.

mod bad_items;
mod beside;
mod contacts;
mod due;
mod entities;
pub mod events;
mod events_bulk;
mod events_sources;
mod identity;
mod kill;
mod links;
mod load;
mod mass;
mod matrix;
mod optout;
mod optout_apart;
mod optout_exports;
mod optout_readings;
mod optout_stories;
mod privacy;
mod repeated;
mod replay;
mod rewriting;
mod run_events;
pub mod support;
mod trouble;
mod watch;
