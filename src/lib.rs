//! d365map: a mapping language for Dynamics 365 and Adobe Campaign Standard, its compiler and its runner.
//!
//! The modules follow the way a mapping file travels:
//! [`syntax`] reads the text, [`schema`] knows the tables on both sides, [`check`] resolves names and types,
//! [`steps`] has one file for each step of a pipeline, [`plan`] is the typed result, [`testing`] runs the test blocks of the files, [`format`] puts them into one form, `lsp` serves editors, [`eval`] runs it on one record, [`connect`] talks to the services,
//! [`state`] keeps what must survive, [`run`] moves the data. The package `d365map-emulator` stands in for the services and is
//! reached over HTTP only.

#![warn(missing_docs)]

pub mod app;
pub mod check;
pub mod cli;
pub mod connect;
mod count;
pub mod diagnostics;
mod disk;
mod doctor;
mod engine;
pub mod eval;
pub mod format;
pub mod import;
mod json;
mod lsp;
pub mod plan;
pub mod printable;
pub mod project;
pub mod report;
pub mod run;
pub mod schema;
pub mod state;
pub mod steps;
pub mod syntax;
pub mod system;
pub mod systems;
pub mod testing;
pub mod time;
mod unicode;
pub mod yaml;
