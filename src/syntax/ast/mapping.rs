//! Mappings: head, key, entries, options.

use super::condition::Filter;
use super::field::{FieldMapping, When, WhenBlock};
use super::name::{Ident, Path, TableName};
use super::replace::Replace;
use super::way::Way;
use crate::diagnostics::Span;

/// `mapping NAME: SOURCE -> TARGET { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// From the keyword to the closing brace.
    pub span: Span,
    /// Name and tables; `None` if they could not be read (and a diagnostic says so).
    pub head: Option<Head>,
    /// What is between the braces, in order.
    pub entries: Vec<Entry>,
    /// A key that could not be read: a missing key need not be reported as well.
    pub unread_key: bool,
    /// An entry that could not be read: what the mapping leaves out is not known.
    pub unread_entries: bool,
}

impl Mapping {
    /// Every key in order; there should be one.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Key(key) => Some(key),
            Entry::Adopt(_)
            | Entry::Field(_)
            | Entry::Replace(_)
            | Entry::Filter(_)
            | Entry::Options(_)
            | Entry::Linked(_)
            | Entry::When(_) => None,
        })
    }

    /// Every field mapping, those within `when` blocks among them.
    pub fn fields(&self) -> impl Iterator<Item = &FieldMapping> {
        self.entries.iter().flat_map(|entry| {
            let (one, blocks): (Option<&FieldMapping>, &[WhenBlock]) = match entry {
                Entry::Field(field) => (Some(field), &[]),
                Entry::When(when) => (None, &when.blocks),
                Entry::Key(_) | Entry::Adopt(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Options(_) | Entry::Linked(_) => {
                    (None, &[])
                }
            };
            one.into_iter().chain(blocks.iter().flat_map(|block| &block.fields))
        })
    }
}

/// `NAME: SOURCE -> TARGET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The mapping's name.
    pub name: Ident,
    /// The table that is read.
    pub source: TableName,
    /// `->`, or `<->` where each system writes to the other.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
    /// The table that is written.
    pub target: TableName,
}

/// One entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// `key A -> B`.
    Key(Key),
    /// `adopt by A or B`.
    Adopt(Adopt),
    /// `A -> B | step …`.
    Field(FieldMapping),
    /// `replace A { … }`.
    Replace(Replace),
    /// `filter all { … }`.
    Filter(Filter),
    /// `options { … }`.
    Options(Options),
    /// `link A: TABLE by B or create { … }`, `rows A: TABLE by B { … }`.
    Linked(Linked),
    /// `when CONDITION { … }`.
    When(When),
}

impl Entry {
    /// The whole entry.
    pub fn span(&self) -> Span {
        match self {
            Entry::Key(key) => key.span,
            Entry::Adopt(adopt) => adopt.span,
            Entry::Field(field) => field.span,
            Entry::Replace(replace) => replace.span,
            Entry::Filter(filter) => filter.span,
            Entry::Options(options) => options.span,
            Entry::Linked(linked) => linked.span,
            Entry::When(when) => when.span,
        }
    }
}

/// What a block of linked records is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedKind {
    /// `link COLUMN: TABLE by A, B or create { … }`: the one record that a lookup points to.
    Record,
    /// `rows LIST: TABLE by COLUMN { … }`: the items of a list, each of which is a row that points to the record.
    Rows,
}

impl LinkedKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            LinkedKind::Record => "link",
            LinkedKind::Rows => "rows",
        }
    }
}

/// A block of linked records.
#[derive(Clone, Debug, PartialEq)]
pub struct Linked {
    /// The whole.
    pub span: Span,
    /// What it is about.
    pub kind: LinkedKind,
    /// The keyword.
    pub keyword: Span,
    /// The lookup that points to the record, or the list with the items.
    pub path: Path,
    /// The table of the linked records.
    pub table: TableName,
    /// The columns by which a record is found, or the one lookup that points back.
    pub by: Vec<Path>,
    /// What happens if no record is found.
    pub or: Option<Ident>,
    /// Every `key` in order; rows have one.
    pub keys: Vec<Key>,
    /// The field mappings.
    pub fields: Vec<FieldMapping>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `key A -> B`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The whole.
    pub span: Span,
    /// The primary key of the source table.
    pub source: Path,
    /// The text around the source: `"lead-{leadid}"`.
    pub around: Option<Around>,
    /// The arrow.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
    /// The field that identifies the target record.
    pub target: Path,
}

/// The fixed text of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// The string with its quotes.
    pub span: Span,
    /// What is before the field.
    pub before: String,
    /// What is after it.
    pub after: String,
}

/// `adopt by A or B`: records of the target that do not have the key yet are found by these fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopt {
    /// The whole.
    pub span: Span,
    /// The target's fields, in the order in which they are tried.
    pub fields: Vec<Path>,
}

/// `options { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The whole.
    pub span: Span,
    /// The settings in order.
    pub settings: Vec<Setting>,
}

/// `name value`, or `name every 7d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The whole.
    pub span: Span,
    /// The option.
    pub name: Ident,
    /// Its value; the word `every` of an interval.
    pub value: Ident,
    /// How often, in seconds, if the value is an interval.
    pub every: Option<u64>,
}
