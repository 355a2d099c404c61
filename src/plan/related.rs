//! Values through lookups in a plan: which tables are followed beside the mapping's own, and how a record points to their rows.
//!
//! The evaluator sees one record: what it reads of other rows is in it as further properties, whose names begin with the path of the
//! lookup (`owninguser.internalemailaddress`).

use serde::{Deserialize, Serialize};

use super::{At, LOOKUP_TABLE};

/// What a mapping reads through lookups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Related {
    /// The tables, each once.
    pub tables: Vec<RelatedTable>,
    /// The lookups that point to rows of them; one of a record comes before those of the row that it points to.
    pub lookups: Vec<RelatedLookup>,
}

/// A table whose rows are kept for a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelatedTable {
    /// The table's name, `d365.account`.
    pub table: String,
    /// The entity set in the URL, `accounts`.
    pub collection: String,
    /// The property with a row's id.
    pub primary_key: String,
    /// The properties that are kept, in the order of their names; annotations too.
    pub columns: Vec<String>,
}

/// A lookup that points to a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelatedLookup {
    /// Where it is used first.
    pub at: At,
    /// Its path as it is written: `owninguser`, or `parentcustomerid.account` if it may point to several tables.
    pub path: String,
    /// The lookup whose row has this one; none if the record itself has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u32>,
    /// The property with the id of the row.
    pub property: String,
    /// Whether it may point to several tables: then only rows of this one count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub several: bool,
    /// The table, by its place in [`Related::tables`].
    pub table: u32,
}

impl Related {
    /// Whether the mapping reads only its own records.
    pub fn is_empty(&self) -> bool {
        self.lookups.is_empty()
    }

    /// The table of a lookup; a plan that was read has one.
    pub fn table_of(&self, lookup: &RelatedLookup) -> Option<&RelatedTable> {
        self.tables.get(lookup.table as usize)
    }

    /// Whether every lookup names a table, and a lookup before it.
    pub(super) fn holds_together(&self) -> bool {
        let known = |(at, lookup): (usize, &RelatedLookup)| {
            (lookup.table as usize) < self.tables.len() && lookup.behind.is_none_or(|behind| (behind as usize) < at)
        };
        self.lookups.iter().enumerate().all(known)
    }
}

impl RelatedTable {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        self.table.split_once('.').map_or(&self.table, |(_, name)| name)
    }

    /// The `$select` list: the primary key and the columns, without annotations.
    pub fn select(&self) -> Vec<String> {
        let mut select = vec![self.primary_key.clone()];
        for column in &self.columns {
            let column = column.split_once('@').map_or(column.as_str(), |(column, _)| column);
            if !select.iter().any(|known| known == column) {
                select.push(column.to_owned());
            }
        }
        select
    }

    /// Whether annotations of columns are kept.
    pub fn annotations(&self) -> bool {
        self.columns.iter().any(|column| column.contains('@'))
    }

    /// A fingerprint of what is kept: with another one, all rows are read again.
    pub fn fingerprint(&self) -> String {
        super::fingerprint(self)
    }
}

impl RelatedLookup {
    /// The property with the table that the lookup points to, if it may point to several.
    pub fn table_property(&self) -> Option<String> {
        self.several.then(|| format!("{}@{LOOKUP_TABLE}", self.property))
    }
}
