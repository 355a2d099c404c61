//! The process that runs on a store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{Instant, format_instant};

/// The process that holds the run lock, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The process number; none if it is not known.
    pub pid: Option<u32>,
    /// The machine's name.
    pub host: Option<String>,
    /// Since when.
    pub started_at: Option<Instant>,
    /// What keeps it from writing the store; it cannot say so there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// What keeps a process from writing its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// Since when.
    pub since: Instant,
    /// The error.
    pub reason: String,
}

impl Holder {
    /// A process of which nothing is known.
    pub(super) fn unknown() -> Self {
        Holder { pid: None, host: None, started_at: None, trouble: None }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => write!(f, "another process")?,
        }
        if let Some(host) = &self.host {
            write!(f, " on {host}")?;
        }
        if let Some(started_at) = self.started_at {
            write!(f, " since {}", format_instant(started_at))?;
        }
        Ok(())
    }
}
