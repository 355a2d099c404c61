//! `d365map stop`: workflows finish what is in flight and rest until they are started again.

use super::start::{Which, wish};
use super::{Exit, Global};
use crate::state::Wish;

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// Stops workflows.
pub fn run(args: &Args, global: &Global) -> Exit {
    wish(&args.which, Wish::Stop, false, global)
}
