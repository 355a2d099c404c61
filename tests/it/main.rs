//! All integration tests in one binary, so that the crate is linked once.

mod state;
mod state_model;
mod state_speed;
mod state_support;
mod emulator;
