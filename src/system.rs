//! The systems that d365map joins. [`SystemId`] is the one name for them, from mapping files to the state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SystemId {
    /// Dynamics 365, by the Dataverse Web API.
    D365,
    /// Adobe Campaign Standard, by its REST API.
    Campaign,
    /// Microsoft Partner Center, by its referrals API.
    Partner,
}

impl SystemId {
    /// Every system, in the order in which they are listed to people.
    pub const ALL: [SystemId; 3] = [SystemId::D365, SystemId::Campaign, SystemId::Partner];

    /// The word that mapping files use: `d365`, `campaign`, `partner`.
    pub fn name(self) -> &'static str {
        match self {
            SystemId::D365 => "d365",
            SystemId::Campaign => "campaign",
            SystemId::Partner => "partner",
        }
    }

    /// Reads the word that mapping files use.
    pub fn from_name(name: &str) -> Option<SystemId> {
        SystemId::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The key of the project file that says how the system is reached, and by which the state knows it.
    pub fn key(self) -> &'static str {
        match self {
            SystemId::D365 => "dynamics",
            SystemId::Campaign => "campaign",
            SystemId::Partner => "partner-center",
        }
    }

    /// Reads the key of the project file.
    pub fn from_key(key: &str) -> Option<SystemId> {
        SystemId::ALL.into_iter().find(|system| system.key() == key)
    }

    /// The name of its API in logs, statistics and budgets.
    pub fn api(self) -> &'static str {
        match self {
            SystemId::D365 => "dataverse",
            SystemId::Campaign => "campaign",
            SystemId::Partner => "partner-center",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            SystemId::D365 => "Dynamics 365",
            SystemId::Campaign => "Campaign",
            SystemId::Partner => "Partner Center",
        }
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
