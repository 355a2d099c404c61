//! What changed between two versions of a table, for the summary of a pull.

use std::fmt;

use indexmap::IndexMap;

use super::model::{Field, FieldType, Table};
use super::show::describe;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A field that the older version did not have.
    Added(String),
    /// A field that is gone.
    Removed(String),
    /// A field that is described in another way.
    Changed {
        /// The field.
        field: String,
        /// As it was described.
        before: String,
        /// As it is described now.
        after: String,
    },
    /// Something about the table itself.
    Table(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added(field) => write!(f, "+ {field}"),
            Change::Removed(field) => write!(f, "- {field}"),
            Change::Changed { field, before, after } if before == after => write!(f, "~ {field}: options, labels or targets"),
            Change::Changed { field, before, after } => write!(f, "~ {field}: {before} -> {after}"),
            Change::Table(what) => write!(f, "~ {what}"),
        }
    }
}

/// The differences in what a mapping could notice; the origin of a fact does not count.
pub fn diff(before: &Table, after: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    let facts = [
        ("label", before.label == after.label),
        ("collection", before.collection == after.collection),
        ("primary key", before.primary_key == after.primary_key),
        ("primary name", before.primary_name == after.primary_name),
        ("change tracking", before.change_tracking == after.change_tracking),
        ("alternate keys", before.alternate_keys == after.alternate_keys),
    ];
    changes.extend(facts.into_iter().filter(|(_, same)| !same).map(|(what, _)| Change::Table(what.to_owned())));
    fields("", &before.fields, &after.fields, &mut changes);
    changes
}

fn fields(prefix: &str, before: &IndexMap<String, Field>, after: &IndexMap<String, Field>, changes: &mut Vec<Change>) {
    for (name, field) in after {
        let path = format!("{prefix}{name}");
        let Some(old) = before.get(name) else {
            changes.push(Change::Added(path));
            continue;
        };
        if let (FieldType::Item(old), FieldType::Item(new)) = (&old.ty, &field.ty) {
            fields(&format!("{path}."), old, new, changes);
        } else if (Field { provenance: old.provenance, ..field.clone() }) != *old {
            changes.push(Change::Changed { field: path, before: describe(old), after: describe(field) });
        }
    }
    changes.extend(before.keys().filter(|name| !after.contains_key(*name)).map(|name| Change::Removed(format!("{prefix}{name}"))));
}
