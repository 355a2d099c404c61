//! The seed file: what an emulated organization and instance hold at the start. JSON; unknown keys are errors.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::campaign::seed::CampaignSeed;
use super::dataverse::define::NewTable;
use super::dataverse::setup::Setup;
use super::dataverse::table::{Column, Key, StateOnCreate};
use super::journal::JournalSeed;
use super::partner_center::seed::PartnerSeed;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed {
    #[serde(default)]
    pub(super) dataverse: DataverseSeed,
    #[serde(default)]
    pub(super) campaign: CampaignSeed,
    #[serde(default)]
    pub(super) journal: JournalSeed,
    #[serde(default)]
    pub(super) partner: PartnerSeed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataverseSeed {
    /// How many sample contacts to generate, beside the rows given.
    #[serde(default)]
    pub(super) contacts: Option<usize>,
    /// What an administrator has set up, one entry per application.
    #[serde(default)]
    pub(super) setup: Vec<Setup>,
    /// By logical name.
    #[serde(default)]
    pub(super) tables: BTreeMap<String, TableSeed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSeed {
    /// A table that the emulator does not bring.
    #[serde(default)]
    pub(super) new: Option<NewTable>,
    #[serde(default)]
    pub(super) columns: Vec<Column>,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) tracking: Option<bool>,
    /// Whether the table takes `CreateMultiple`, `UpdateMultiple` and `UpsertMultiple`.
    #[serde(default)]
    pub(super) bulk: Option<bool>,
    /// The most rows that one of these messages takes.
    #[serde(default)]
    pub(super) max_targets: Option<usize>,
    /// What happens to a state in a create.
    #[serde(default)]
    pub(super) state_on_create: Option<StateOnCreate>,
    /// Bodies as in a `POST`, which may contain `statecode`.
    #[serde(default)]
    pub(super) rows: Vec<Box<RawValue>>,
}

impl Seed {
    pub(super) fn parse(text: &str) -> Result<Seed, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_of_a_seed_is_an_error() {
        assert!(Seed::parse(r#"{"campaign": {"profile": []}}"#).unwrap_err().contains("unknown field `profile`"));
        assert!(Seed::parse(r#"{"campaign": {"fields": [{"name": "cusX", "type": "string", "len": 3}]}}"#).is_err());
        assert!(Seed::parse("{}").is_ok());
    }
}
