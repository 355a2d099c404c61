//! All integration tests in one binary, so that the crate is linked once.

mod connect;
mod connect_emulator;
mod connect_server;
mod emulator;
mod state;
mod state_model;
mod state_speed;
mod state_support;
