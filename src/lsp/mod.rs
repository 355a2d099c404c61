//! The language server: `d365map lsp`, over standard input and output.
//!
//! [`server`] is the loop; [`documents`] keeps what editors have open over what lies on disk and compiles it; [`marks`]
//! says what each name in a file stands for. On these rest the features, one file each: [`completion`], [`hover`],
//! [`navigate`] (definition, references, rename, symbols), [`tokens`], [`hints`], [`actions`], [`folding`]; [`words`] says what options and flags mean. [`finding`] and [`position`] translates
//! between bytes and the columns of the protocol.

mod actions;
mod completion;
mod documents;
mod finding;
mod folding;
mod hints;
mod hover;
mod marks;
mod navigate;
mod position;
mod server;
mod tokens;
mod transport;
mod words;

pub use server::run;
