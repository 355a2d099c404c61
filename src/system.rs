//! The systems that d365map joins. [`SystemId`] is the one name for them, from mapping files to the state.
//!
//! Everything that differs from system to system and is only words or yes and no is in the list below; the connectors are in
//! `src/systems`. To add a system, add it here and give it a folder there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is known of a system without connecting to it.
struct Description {
    /// The word that mapping files use.
    name: &'static str,
    /// The key of the project file that says how the system is reached, and by which the state knows it.
    key: &'static str,
    /// The name of its API in logs, statistics and budgets.
    api: &'static str,
    /// Its name for people.
    title: &'static str,
    /// Its names in running text, in small letters.
    also_called: &'static [&'static str],
    /// Its schemas name types as Dataverse does.
    dataverse_types: bool,
    /// Its service describes its tables.
    metadata: bool,
    /// It tells what has changed since an earlier reading.
    change_tracking: bool,
    /// A mapping with `->` can read from it.
    source: bool,
    /// A mapping with `->` can write to it.
    target: bool,
}

macro_rules! systems {
    ($($(#[doc = $doc:literal])* $(#[cfg($cfg:meta)])? $id:ident { $($description:tt)* })*) => {
        /// A system.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum SystemId {
            $($(#[doc = $doc])* $(#[cfg($cfg)])? $id,)*
        }

        impl SystemId {
            /// Every system, in the order in which they are listed to people.
            pub const ALL: [SystemId; { [$($(#[cfg($cfg)])? (),)*].len() }] = [$($(#[cfg($cfg)])? SystemId::$id,)*];

            fn description(self) -> &'static Description {
                match self {
                    $($(#[cfg($cfg)])? SystemId::$id => &Description { $($description)* },)*
                }
            }
        }
    };
}

systems! {
    /// Dynamics 365, by the Dataverse Web API.
    D365 {
        name: "d365",
        key: "dynamics",
        api: "dataverse",
        title: "Dynamics 365",
        also_called: &["d365", "dynamics", "dataverse", "crm"],
        dataverse_types: true,
        metadata: true,
        change_tracking: true,
        source: true,
        target: false,
    }
    /// Adobe Campaign Standard, by its REST API.
    Campaign {
        name: "campaign",
        key: "campaign",
        api: "campaign",
        title: "Campaign",
        also_called: &["campaign", "adobe", "acs"],
        dataverse_types: false,
        metadata: true,
        change_tracking: false,
        source: false,
        target: true,
    }
    /// Microsoft Partner Center, by its referrals API.
    Partner {
        name: "partner",
        key: "partner-center",
        api: "partner-center",
        title: "Partner Center",
        also_called: &["partner"],
        dataverse_types: false,
        metadata: false,
        change_tracking: false,
        source: false,
        target: false,
    }
    /// Records in memory: a system for tests, which shows that one is added without changes elsewhere.
    #[cfg(test)]
    Memory {
        name: "memory",
        key: "memory",
        api: "memory",
        title: "Memory",
        also_called: &["memory"],
        dataverse_types: false,
        metadata: false,
        change_tracking: true,
        source: true,
        target: true,
    }
}

impl SystemId {
    /// The word that mapping files use: `d365`, `campaign`, `partner`.
    pub fn name(self) -> &'static str {
        self.description().name
    }

    /// Reads the word that mapping files use.
    pub fn from_name(name: &str) -> Option<SystemId> {
        SystemId::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The key of the project file that says how the system is reached, and by which the state knows it.
    pub fn key(self) -> &'static str {
        self.description().key
    }

    /// Reads the key of the project file.
    pub fn from_key(key: &str) -> Option<SystemId> {
        SystemId::ALL.into_iter().find(|system| system.key() == key)
    }

    /// The name of its API in logs, statistics and budgets.
    pub fn api(self) -> &'static str {
        self.description().api
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        self.description().title
    }

    /// Its names in running text, in small letters.
    pub(crate) fn also_called(self) -> &'static [&'static str] {
        self.description().also_called
    }

    /// Whether its schemas name types as Dataverse does.
    pub(crate) fn has_dataverse_types(self) -> bool {
        self.description().dataverse_types
    }

    /// Whether its service describes its tables.
    pub(crate) fn has_metadata(self) -> bool {
        self.description().metadata
    }

    /// Whether it tells what has changed since an earlier reading.
    pub(crate) fn tracks_changes(self) -> bool {
        self.description().change_tracking
    }

    /// Whether a mapping with `->` can go from here to there.
    pub(crate) fn leads_to(self, target: SystemId) -> bool {
        self != target && self.description().source && target.description().target
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
