//! What a mapping does with records that its source deletes, filters out or rejects.

use serde::{Deserialize, Serialize};

/// What happens on deletes, to filtered and to rejected records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What a delete in Dynamics does.
    pub deletes: Deletes,
    /// What happens to a target record whose source no longer passes the filter.
    pub filtered_out: FilteredOut,
    /// What a picklist's value is.
    pub picklists: Picklists,
    /// What happens to a record that cannot be mapped.
    pub rejected: Rejected,
    /// How often all records are compared with the source, in seconds; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<u64>,
    /// Whether all records are evaluated once a day, since values depend on the day.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh_daily: bool,
}

/// What a delete in Dynamics does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletes {
    /// Nothing.
    #[default]
    Ignore,
    /// It deletes the target record.
    Propagate,
}

/// What happens to a target record whose source no longer passes the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilteredOut {
    /// It stays as it was written last.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
}

/// What a picklist's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Picklists {
    /// Its number.
    #[default]
    Values,
    /// Its label.
    Labels,
}

/// What happens to a record that cannot be mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// It is kept aside, with the reason.
    #[default]
    DeadLetter,
    /// The run stops before it.
    Stop,
}
