//! d365map: a mapping language for Dynamics 365 and Adobe Campaign Standard, its compiler and its runner.
//!
//! The modules follow the way a mapping file travels:
//! [`syntax`] reads the text, [`schema`] knows the tables on both sides, [`check`] resolves names and types,
//! [`steps`] has one file for each step of a pipeline, [`plan`] is the typed result, [`testing`] runs the test blocks of the files, [`format`] puts them into one form, `lsp` serves editors, [`eval`] runs it on one record, [`connect`] talks to the services,
//! [`store`] keeps what must survive, [`run`] moves the data. The package `d365map-emulator` stands in for the services and is
//! reached over HTTP only.

#![warn(missing_docs)]
// Modules hand on what their tests need.
#![cfg_attr(not(feature = "internals"), allow(unused_imports))]

pub mod cli;

mod assist;
mod bytes;
mod count;
mod disk;
mod doctor;
mod engine;
mod json;
mod lsp;
mod unicode;
mod value;

// The tests, benchmarks and tasks of this repository see these modules; to everyone else the library is the command. So the compiler
// finds what nothing uses. Each is declared twice, since rustfmt does not format files whose modules a macro declares.
#[cfg(not(feature = "internals"))]
mod app;
#[cfg(feature = "internals")]
pub mod app;
#[cfg(not(feature = "internals"))]
mod check;
#[cfg(feature = "internals")]
pub mod check;
#[cfg(not(feature = "internals"))]
mod connect;
#[cfg(feature = "internals")]
pub mod connect;
#[cfg(not(feature = "internals"))]
mod diagnostics;
#[cfg(feature = "internals")]
pub mod diagnostics;
#[cfg(not(feature = "internals"))]
mod eval;
#[cfg(feature = "internals")]
pub mod eval;
#[cfg(not(feature = "internals"))]
mod format;
#[cfg(feature = "internals")]
pub mod format;
#[cfg(not(feature = "internals"))]
mod import;
#[cfg(feature = "internals")]
pub mod import;
#[cfg(not(feature = "internals"))]
#[expect(dead_code, reason = "for two-way flows")]
mod ingest;
#[cfg(feature = "internals")]
pub mod ingest;
#[cfg(not(feature = "internals"))]
mod plan;
#[cfg(feature = "internals")]
pub mod plan;
#[cfg(not(feature = "internals"))]
mod printable;
#[cfg(feature = "internals")]
pub mod printable;
#[cfg(not(feature = "internals"))]
mod project;
#[cfg(feature = "internals")]
pub mod project;
#[cfg(not(feature = "internals"))]
mod report;
#[cfg(feature = "internals")]
pub mod report;
#[cfg(not(feature = "internals"))]
mod run;
#[cfg(feature = "internals")]
pub mod run;
#[cfg(not(feature = "internals"))]
mod schema;
#[cfg(feature = "internals")]
pub mod schema;
#[cfg(not(feature = "internals"))]
mod serve;
#[cfg(feature = "internals")]
pub mod serve;
#[cfg(not(feature = "internals"))]
mod sheets;
#[cfg(feature = "internals")]
pub mod sheets;
#[cfg(not(feature = "internals"))]
mod steps;
#[cfg(feature = "internals")]
pub mod steps;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(feature = "internals")]
pub mod store;
#[cfg(not(feature = "internals"))]
mod syntax;
#[cfg(feature = "internals")]
pub mod syntax;
#[cfg(not(feature = "internals"))]
mod system;
#[cfg(feature = "internals")]
pub mod system;
#[cfg(not(feature = "internals"))]
mod systems;
#[cfg(feature = "internals")]
pub mod systems;
#[cfg(not(feature = "internals"))]
mod testing;
#[cfg(feature = "internals")]
pub mod testing;
#[cfg(not(feature = "internals"))]
mod time;
#[cfg(feature = "internals")]
pub mod time;
#[cfg(not(feature = "internals"))]
mod transitions;
#[cfg(feature = "internals")]
pub mod transitions;
#[cfg(not(feature = "internals"))]
mod yaml;
#[cfg(feature = "internals")]
pub mod yaml;
