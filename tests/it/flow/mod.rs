//! Flows over real HTTP against the emulators: what must be at the target after what happened at the source.

mod beside;
mod contacts;
pub mod events;
mod events_sources;
mod kill;
mod links;
mod load;
pub mod support;
mod trouble;
mod watch;
