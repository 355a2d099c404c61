//! Names, types, loss and lints: a syntax tree and the schemas become a plan, or diagnostics.
