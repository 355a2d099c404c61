//! Names of fields, paths and tables.

use crate::diagnostics::Span;

/// A name with its place; back-ticks are taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `a.b.c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// At least one name.
    pub parts: Vec<Ident>,
    /// The whole.
    pub span: Span,
}

impl Path {
    /// The parts as texts.
    pub fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|p| p.text.as_str()).collect()
    }

    /// The parts joined by dots.
    pub fn text(&self) -> String {
        self.names().join(".")
    }

    /// The name, where there is just one.
    #[cfg(any(test, feature = "internals"))]
    pub fn single(&self) -> Option<&Ident> {
        match self.parts.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// `system.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The system's word.
    pub system: Ident,
    /// The table's name there.
    pub table: Ident,
    /// The whole.
    pub span: Span,
}
