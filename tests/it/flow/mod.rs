//! Flows over real HTTP against the emulators: what must be at the target after what happened at the source.

mod beside;
mod contacts;
mod kill;
mod links;
mod load;
mod privacy;
mod replay;
pub mod support;
mod trouble;
mod watch;
