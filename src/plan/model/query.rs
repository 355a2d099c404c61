//! What is read of a source table: the query, and the slots that its columns fill.

use serde::{Deserialize, Serialize};

use super::place::At;
use crate::system::SystemId;

/// What a flow reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceQuery {
    /// The table's name, `d365.contact`.
    pub table: String,
    /// The entity set in the URL, `contacts`.
    pub collection: String,
    /// The slot of the primary key.
    pub primary_key: u32,
    /// Whether changes are read by delta links.
    pub change_tracking: bool,
    /// The fields that are needed, each once: what is selected, and the slot of its value during evaluation.
    pub slots: Vec<Slot>,
}

/// The system of a table's name: `d365` of `d365.contact`.
pub(super) fn system_of(table: &str) -> Option<SystemId> {
    SystemId::from_name(table.split_once('.')?.0)
}

/// The name of a table within its system: `contact` of `d365.contact`.
pub(super) fn name_within(table: &str) -> &str {
    table.split_once('.').map_or(table, |(_, name)| name)
}

impl SourceQuery {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }

    /// The property with a record's id.
    pub fn primary_property(&self) -> &str {
        self.slots.get(self.primary_key as usize).map_or("", |slot| slot.wire.as_str())
    }

    /// The `$select` list: columns, without what is returned next to them.
    pub fn select(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::with_capacity(self.slots.len());
        for slot in self.slots.iter().filter(|slot| !slot.related) {
            let column = slot.wire.split_once('@').map_or(slot.wire.as_str(), |(column, _)| column);
            if !columns.iter().any(|c| c == column) {
                columns.push(column.to_owned());
            }
        }
        columns
    }

    /// Whether something is read that is not in the columns: the name of the record that a lookup points to, or its table.
    pub fn annotations(&self) -> bool {
        self.slots.iter().any(|slot| !slot.related && slot.is_annotation())
    }
}

/// The annotation with a value as people read it: of a lookup the name of the record that it points to (Dataverse Web API:
/// formatted values).
pub const FORMATTED_VALUE: &str = "OData.Community.Display.V1.FormattedValue";

/// The annotation with the table that a lookup of several tables points to (Dataverse Web API: lookup property data).
pub const LOOKUP_TABLE: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";

impl Slot {
    /// Whether it is next to a column rather than in it.
    pub fn is_annotation(&self) -> bool {
        self.wire.contains('@')
    }
}

/// One source field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The field's name in mapping files.
    pub field: String,
    /// The property's name in a record: `_parentcustomerid_value` for a lookup.
    pub wire: String,
    /// How its value is decoded.
    pub kind: SlotKind,
    /// Whether it is a column of the row that a lookup points to, and no property of the record itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub related: bool,
    /// Where the field is first used.
    pub at: At,
}

/// How a value of the source is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// `true`, `false`
    Boolean,
    /// A whole number; options too.
    Integer,
    /// An exact decimal number.
    Decimal,
    /// A 64-bit floating-point number.
    Double,
    /// Text; several options (`"1,9"`) too.
    Text,
    /// `1990-05-06`
    Date,
    /// `2023-04-07T21:59:01Z`
    Instant,
    /// A wall-clock time of no zone.
    Local,
    /// A GUID, in lower case.
    Guid,
}
