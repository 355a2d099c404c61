//! `d365map lsp`: the language server.

use super::Exit;
use super::output::fail;

/// Serves until the editor says goodbye; status 1 where it goes away without.
pub fn run() -> Exit {
    match crate::lsp::run() {
        Ok(true) => Exit::Clean,
        Ok(false) => Exit::Findings,
        Err(error) => fail(&format!("the editor's messages cannot be read: {error}")),
    }
}
