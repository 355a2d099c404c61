//! `doctor`: whether everything that a run needs is there, and how to fix what is not.
//!
//! Checks are data: each has a name that stays, a group, a subject and an outcome with cause and remedy. One file per family
//! makes them; nothing here prints, and nothing here writes to a service. Each service is examined from the outside in
//! (address, connection, clock, token, user, tables), and where a step fails, those behind it are left out with the reason,
//! so that one cause gives one failure.

pub mod address;
mod bench;
pub mod campaign;
pub mod dynamics;
pub mod local;
pub mod needs;
pub mod partner_center;
mod privileges;
pub mod reach;
mod render;
pub mod secret;
pub mod sftp;
mod token;

use serde::Serialize;

pub use bench::Bench;
pub use needs::Needs;
pub use render::{human, json};

/// What a check belongs to; the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The project's files.
    Project,
    /// This machine: state, disk, clock.
    Machine,
    /// The connection to Dynamics 365.
    Dynamics,
    /// The connection to Campaign.
    Campaign,
    /// The connection to Campaign's SFTP server.
    Sftp,
    /// The connection to Partner Center.
    #[serde(rename = "partner-center")]
    PartnerCenter,
}

impl Group {
    /// Every group in its order.
    pub const ALL: [Group; 6] = [Group::Project, Group::Machine, Group::Dynamics, Group::Campaign, Group::Sftp, Group::PartnerCenter];

    /// What people read above its checks.
    pub fn title(self) -> &'static str {
        match self {
            Group::Project => "Project",
            Group::Machine => "This machine",
            Group::Dynamics => "Dynamics 365",
            Group::Campaign => "Adobe Campaign",
            Group::Sftp => "Campaign's SFTP server",
            Group::PartnerCenter => "Partner Center",
        }
    }
}

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum Outcome {
    /// All well.
    Ok {
        /// What was found.
        detail: String,
    },
    /// A run still works, or the check has no clear result.
    Warning {
        /// What is odd.
        cause: String,
        /// What to do about it.
        mend: String,
    },
    /// A run would fail.
    Failed {
        /// What is wrong.
        cause: String,
        /// What to do about it.
        mend: String,
    },
    /// Not looked at.
    Skipped {
        /// Why not.
        reason: String,
    },
}

/// Why a client could not be made: the reason for which the checks that need it are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl Unusable {
    /// For this reason.
    pub fn because(reason: impl ToString) -> Unusable {
        Unusable(reason.to_string())
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which stays the same from version to version: `dynamics.token`.
    pub id: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// What was looked at, for people: `token`, `read d365.contact`.
    pub subject: String,
    /// How it came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How many checks came out in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All well.
    pub ok: usize,
    /// Odd.
    pub warnings: usize,
    /// Wrong.
    pub failed: usize,
    /// Not looked at.
    pub skipped: usize,
}

/// Counts checks by their outcome.
pub fn tally(checks: &[Check]) -> Tally {
    let mut tally = Tally::default();
    for check in checks {
        match check.outcome {
            Outcome::Ok { .. } => tally.ok += 1,
            Outcome::Warning { .. } => tally.warnings += 1,
            Outcome::Failed { .. } => tally.failed += 1,
            Outcome::Skipped { .. } => tally.skipped += 1,
        }
    }
    tally
}
