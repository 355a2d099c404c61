//! What a file declares beside mappings: constants, shared replacements, tables, includes.

use super::name::Ident;
use super::replace::Arm;
use super::value::Literal;
use crate::diagnostics::Span;

/// `let NAME = LITERAL`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The whole.
    pub span: Span,
    /// The name, without the `$` of its uses.
    pub name: Ident,
    /// The value.
    pub value: Literal,
}

/// `replace NAME { … }` outside of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedTable {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// The arms in order.
    pub arms: Vec<Arm>,
    /// An arm that could not be read.
    pub unread_arms: bool,
}

/// `table NAME from "path" { key column }`: rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupTable {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// The file's path, relative to this file's folder, with `/`.
    pub path: Literal,
    /// The sheet of a workbook.
    pub sheet: Option<Literal>,
    /// Every `key` line in order; there is one.
    pub keys: Vec<TableKey>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `key column, column` of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableKey {
    /// The whole.
    pub span: Span,
    /// The columns in order.
    pub columns: Vec<Ident>,
}

/// `include "path"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The whole.
    pub span: Span,
    /// The path, relative to this file's folder, with `/`.
    pub path: Literal,
}
