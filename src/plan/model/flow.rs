//! The flow of a mapping: what is read, which programs run on it, and what is written.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::place::At;
use super::policy::Policy;
use super::program::{FieldProgram, Source};
use super::query::{SourceQuery, name_within, system_of};
use super::step::{Piece, Read};
use crate::plan::related::Related;
use crate::system::SystemId;

/// One mapping: from a Dynamics table to a Campaign resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressFlow {
    /// The mapping's name.
    pub name: String,
    /// The mapping's head.
    pub at: At,
    /// What is read.
    pub source: SourceQuery,
    /// What is read through lookups.
    #[serde(default, skip_serializing_if = "Related::is_empty")]
    pub related: Related,
    /// What is written.
    pub target: TargetResource,
    /// The conditions under which a record goes to the target; `None` for every record.
    pub filter: Option<Condition>,
    /// The program that makes the target's key.
    pub key: FieldProgram,
    /// The fields by which a record of the target is found that does not have the key yet, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<AdoptBy>,
    /// The programs of the other target fields, in the order of the file.
    pub fields: Vec<FieldProgram>,
    /// What happens on deletes, to filtered and to rejected records.
    pub policy: Policy,
    /// Mappings whose records must be written before those of this one.
    pub depends_on: Vec<String>,
}

/// A field by which a record of the target is found that does not have the key yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptBy {
    /// The field in the mapping file.
    pub at: At,
    /// The attribute of the target, which the flow writes.
    pub attribute: String,
}

impl TargetResource {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

impl IngressFlow {
    /// What identifies the records of the target: the field, and the text of its values if they are not those of a column alone. Records that
    /// were written with another one cannot be found.
    pub fn key_identity(&self) -> String {
        let path = self.key.path.join(".");
        match &self.key.source {
            Source::Template(pieces) => {
                let text: String = pieces.iter().map(|piece| if let Piece::Text(text) = piece { text.as_str() } else { "{…}" }).collect();
                format!("{path} as \"{text}\"")
            }
            _ => path,
        }
    }

    /// Whether the key of a record can change, since it does not come from the primary key.
    pub fn keys_may_change(&self) -> bool {
        let is_primary = |read: &Read| read.slot == self.source.primary_key;
        match &self.key.source {
            Source::Field(read) => !is_primary(read),
            // A fixed text around the primary key.
            Source::Template(pieces) => !pieces.iter().all(|piece| match piece {
                Piece::Text(_) => true,
                Piece::Field(read) => is_primary(read),
            }),
            _ => true,
        }
    }
}

/// What a flow writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetResource {
    /// The table's name, `campaign.profile`.
    pub table: String,
    /// The resource in the URL, `profile`.
    pub collection: String,
}
