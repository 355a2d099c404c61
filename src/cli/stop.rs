//! `d365map stop`: workflows finish what is in flight and rest until they are started again.

use super::start::{Which, wish};
use super::{Exit, Global};
use crate::app::CommandError;
use crate::store::Wish;

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
}

/// Stops workflows.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    wish(&args.which, Wish::Stop, false, global)
}
