//! What the tests of flows have for emulators.

#[path = "../it/flow/support.rs"]
pub mod support;
