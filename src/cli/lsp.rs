//! `d365map lsp`: the language server.

use super::Exit;
use crate::app::CommandError;

/// Serves until the editor says goodbye; status 1 where it goes away without.
pub fn run() -> Result<Exit, CommandError> {
    Ok(if crate::lsp::run()? { Exit::Clean } else { Exit::Findings })
}
