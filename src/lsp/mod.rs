//! The language server: `d365map lsp`, over standard input and output.
//!
//! [`server`] is the loop; [`documents`] keeps what editors have open over what lies on disk and compiles it. What names mean, completion
//! and hovers are in `assist`, which the editor of `serve` uses as well. The other features are here, one file each: [`navigate`]
//! (definition, references, rename, symbols), [`tokens`], [`hints`], [`actions`], [`folding`]. [`finding`] translates between bytes and the
//! columns of the protocol.

mod actions;
mod documents;
mod finding;
mod folding;
mod hints;
mod navigate;
mod server;
mod tokens;
mod transport;

pub use server::run;
