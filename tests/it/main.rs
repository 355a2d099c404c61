//! All integration tests in one binary, so that the crate is linked once.

mod architecture;
mod ci;
mod cli;
mod connect;
mod connect_campaign;
mod connect_emulator;
mod connect_journal;
mod connect_pace;
mod connect_server;
mod connect_writes;
mod doctor;
mod emulator;
mod flow;
mod language;
mod lsp;
mod project;
mod schema;
mod security;
mod sftp;
mod state;
mod state_file;
mod state_links;
mod state_model;
mod state_speed;
mod state_support;
mod tables;
