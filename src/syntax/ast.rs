//! The syntax tree: the content of a file, with a span at every node and with no name resolved.
//!
//! Nothing outside [`super::parse`] sees the parser's own types, so that another parser could replace it.

mod condition;
mod declare;
mod events;
mod field;
mod formula;
mod mapping;
mod name;
mod optout;
mod replace;
mod step;
mod test;
mod value;
mod way;

pub use condition::*;
pub use declare::*;
pub use events::*;
pub use field::*;
pub use formula::{Expression, ExpressionKind, Formula, Operator};
pub use mapping::*;
pub use name::*;
pub use optout::*;
pub use replace::*;
pub use step::*;
pub use test::*;
pub use value::*;
pub use way::*;

/// One file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// The mappings in order.
    pub mappings: Vec<Mapping>,
    /// `let` constants.
    pub constants: Vec<Constant>,
    /// Replacement tables that several mappings use.
    pub tables: Vec<SharedTable>,
    /// Tables that values are looked up in.
    pub lookups: Vec<LookupTable>,
    /// Files whose constants and tables are used here.
    pub includes: Vec<Include>,
    /// Test blocks.
    pub tests: Vec<TestBlock>,
    /// Opt-out blocks.
    pub optouts: Vec<Optout>,
    /// Event blocks.
    pub events: Vec<Events>,
    /// An item that could not be read: what the file leaves out is not known.
    pub unread_items: bool,
}

impl File {
    /// Whether the file contains anything.
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
            && self.constants.is_empty()
            && self.tables.is_empty()
            && self.lookups.is_empty()
            && self.includes.is_empty()
            && self.tests.is_empty()
            && self.optouts.is_empty()
            && self.events.is_empty()
    }
}
