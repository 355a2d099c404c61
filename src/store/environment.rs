//! The services that a store belongs to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::system::SystemId;

/// The systems of a state: of Dynamics 365 the organization's root and its id; of Campaign the address of its API with the instance's
/// path, and the IMS organization if the project names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Environment(pub BTreeMap<SystemId, Side>);

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The address, without a slash at the end.
    pub address: String,
    /// The organization.
    pub organization: Option<String>,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.organization {
            Some(organization) => write!(f, "{} (organization {organization})", self.address),
            None => f.write_str(&self.address),
        }
    }
}
