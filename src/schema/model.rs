//! The types of the catalogue: what a table is, what a field is, what a field can hold.
//!
//! These types say what the checker and the planner need, in one vocabulary for all systems; the vendor's own type
//! name is kept beside it for people. Names on the wire that differ from the field's name (`_parentcustomerid_value`)
//! are derived here, in one place.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::system::SystemId;
pub use crate::value::{Choice, ChoiceSet};

/// A table's name as mapping files write it: `d365.contact`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId {
    /// The system that holds the table.
    pub system: SystemId,
    /// The table's logical name there: `contact`, `profile`.
    pub name: String,
}

impl TableId {
    /// A table's name from its two parts.
    pub fn new(system: SystemId, name: impl Into<String>) -> TableId {
        TableId { system, name: name.into() }
    }

    /// Reads `system.table`; `None` where the system is unknown or a part is missing.
    pub fn parse(text: &str) -> Option<TableId> {
        let (system, name) = text.split_once('.')?;
        (!name.is_empty()).then_some(())?;
        Some(TableId::new(SystemId::from_name(system)?, name))
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.system, self.name)
    }
}

impl Serialize for TableId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TableId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TableId, D::Error> {
        let text = String::deserialize(deserializer)?;
        TableId::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a table name such as d365.contact")))
    }
}

/// One table of one system.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its name.
    pub id: TableId,
    /// What people call it.
    pub label: String,
    /// The name in a URL: the entity set (`contacts`) or the resource (`profile`).
    pub collection: String,
    /// The field that identifies a record: `contactid`, `PKey`.
    pub primary_key: String,
    /// The field that names a record to people.
    pub primary_name: Option<String>,
    /// Whether change tracking is on (Dataverse); `None` where unknown or without meaning.
    pub change_tracking: Option<bool>,
    /// Sets of fields that identify a record beside the primary key: Dataverse's alternate keys, Campaign's custom key.
    pub alternate_keys: Vec<AlternateKey>,
    /// The fields by name, in the order in which they are listed.
    pub fields: IndexMap<String, Field>,
}

impl Table {
    /// Finds a field by its dotted path, also by an alias of one of its parts (`denyListEmail` for `blackListEmail`).
    pub fn field(&self, path: &[&str]) -> Option<&Field> {
        let (first, rest) = path.split_first()?;
        let mut field = find(&self.fields, first)?;
        for part in rest {
            match &field.ty {
                FieldType::Item(inner) => field = find(inner, part)?,
                _ => return None,
            }
        }
        Some(field)
    }
}

impl Table {
    /// The path of a field's value in a record, and its name with the names of the fields that hold it.
    pub fn wire_path(&self, path: &[&str]) -> Option<(String, String)> {
        let fields = (1..=path.len()).map(|end| self.field(&path[..end])).collect::<Option<Vec<_>>>()?;
        let wire: Vec<String> = fields.iter().map(|field| field.wire_name(self.id.system)).collect();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        Some((wire.join("."), names.join(".")))
    }

    /// The table that describes the items of a list, if the field at a path is one.
    pub fn items(&self, path: &[&str]) -> Option<TableId> {
        match &self.field(path)?.ty {
            FieldType::Collection { target: Some(target) } => Some(TableId::new(self.id.system, target.clone())),
            _ => None,
        }
    }
}

fn find<'a>(fields: &'a IndexMap<String, Field>, name: &str) -> Option<&'a Field> {
    fields.get(name).or_else(|| fields.values().find(|f| f.aliases.iter().any(|a| a == name)))
}

/// Fields that together identify a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternateKey {
    /// The key's name in the system.
    pub name: String,
    /// The fields that it consists of.
    pub fields: Vec<String>,
}

/// One field of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name in the system, which is its name in mapping files.
    pub name: String,
    /// What people call it, where that is known.
    pub label: Option<String>,
    /// What it can hold.
    pub ty: FieldType,
    /// The vendor's own word for the type: `Picklist`, `Money`, `enumeration`.
    pub vendor_type: String,
    /// Whether the system refuses a record without a value here.
    pub required: bool,
    /// Whether the API gives the field.
    pub readable: bool,
    /// Whether a value can be set when a record is created.
    pub creatable: bool,
    /// Whether a value can be changed afterwards.
    pub updatable: bool,
    /// Other names of the same field: `denyListEmail` for `blackListEmail`.
    pub aliases: Vec<String>,
    /// The path of the value below the field that holds this one, if it is not the name: `team.0` is the first item of `team`.
    pub wire: Option<String>,
    /// How sure the catalogue is of this entry.
    pub provenance: Provenance,
    /// What to use instead, where the system is going to remove the field.
    pub deprecated: Option<String>,
    /// How the system computes the value, where it does: then the value changes without a change of the record.
    pub derived: Option<Derived>,
}

/// How Dynamics 365 computes a column's value (Dataverse, *AttributeMetadata.SourceType*). Neither `modifiedon` nor change tracking
/// tell of a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Derived {
    /// By a classic calculation, whenever the record is read.
    Calculated,
    /// By a job that runs every hour or every day.
    Rollup,
    /// By a Power Fx formula, whenever the record is read.
    Formula,
}

impl Derived {
    /// All of them.
    pub const ALL: [Derived; 3] = [Derived::Calculated, Derived::Rollup, Derived::Formula];

    /// Returns the word of schema files.
    pub fn name(self) -> &'static str {
        match self {
            Derived::Calculated => "calculated",
            Derived::Rollup => "rollup",
            Derived::Formula => "formula",
        }
    }

    /// Returns the kind of a `SourceType`. 0 is a simple column, and 4 a prompt column, whose value is stored in the record.
    pub fn of_source_type(number: i64) -> Option<Derived> {
        match number {
            1 => Some(Derived::Calculated),
            2 => Some(Derived::Rollup),
            3 => Some(Derived::Formula),
            _ => None,
        }
    }
}

impl Field {
    /// The property in a JSON record: `_parentcustomerid_value` for a Dataverse lookup, else the field's own name.
    pub fn wire_name(&self, system: SystemId) -> String {
        match (&self.ty, system) {
            (FieldType::Lookup { .. }, SystemId::D365) => format!("_{}_value", self.name),
            _ => self.wire.clone().unwrap_or_else(|| self.name.clone()),
        }
    }
}

/// Where the facts about a field come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Stated by the vendor's documentation or metadata.
    Documented,
    /// General knowledge, not confirmed; to be replaced by a pull.
    Assumed,
    /// Read from the live service.
    Pulled,
    /// Written by hand in a schema file.
    Declared,
}

/// What a field can hold, in one vocabulary for all systems.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldType {
    /// True or false.
    Boolean {
        /// The labels of false and true, where the system has them (Dataverse).
        labels: Option<(String, String)>,
    },
    /// A whole number.
    Integer {
        /// The lowest.
        min: i64,
        /// The highest.
        max: i64,
    },
    /// A decimal number. Money too.
    Decimal {
        /// The most digits after the point.
        scale: u32,
        /// The lowest.
        min: Decimal,
        /// The highest.
        max: Decimal,
    },
    /// A binary floating-point number of 64 bits.
    Double,
    /// Text.
    Text {
        /// The length in UTF-16 code units, the smaller of the two readings of a vendor's "length"; `None` where it is not known.
        max: Option<u32>,
    },
    /// A day without a time.
    Date,
    /// An instant.
    DateTime,
    /// A wall-clock time of no zone (Dataverse's TimeZoneIndependent).
    LocalDateTime,
    /// A GUID.
    Guid,
    /// One of a set of numbered options: Picklist, State, Status.
    Choice(Arc<ChoiceSet>),
    /// Several of a set of numbered options.
    MultiChoice(Arc<ChoiceSet>),
    /// One of a set of named values (Campaign).
    Enumeration(Arc<[EnumValue]>),
    /// A reference to a record of one of several tables (Dataverse): Lookup, Customer, Owner.
    Lookup {
        /// The tables.
        targets: Vec<LookupTarget>,
    },
    /// A reference to a record of another resource (Campaign).
    Link {
        /// The resource, where it is known.
        target: Option<String>,
    },
    /// Many records of another resource (Campaign).
    Collection {
        /// The resource, where it is known.
        target: Option<String>,
    },
    /// Nested fields.
    Item(IndexMap<String, Field>),
    /// A type that carries no value a mapping could use (files, images, party lists).
    Unsupported,
}

/// One named value of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// The name on the wire: `male`.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What the database keeps (`1`); for information, never sent.
    pub stored: Option<String>,
}

/// One table that a lookup can point to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTarget {
    /// The table's logical name.
    pub table: String,
    /// The navigation property that writes it (case-sensitive); `None` where the metadata has none.
    pub navigation: Option<String>,
}
