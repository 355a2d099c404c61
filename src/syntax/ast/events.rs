//! Event blocks.

use super::field::FieldMapping;
use super::mapping::Setting;
use super::name::{Ident, TableName};
use crate::diagnostics::Span;

/// `events NAME: campaign.email -> d365.contact { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// Where the events come from.
    pub source: TableName,
    /// On whose timeline they appear.
    pub target: TableName,
    /// Each type with `on` or `off`, and the block's other settings.
    pub settings: Vec<Setting>,
    /// Which table each type is written to, which column holds what, and follow-up tasks: `send -> TABLE`, `campaign -> COLUMN`,
    /// `"text" -> task.bounce`.
    pub fields: Vec<FieldMapping>,
}
