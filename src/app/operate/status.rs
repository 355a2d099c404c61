//! The state of all workflows, as it is to be shown beside the process that runs them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{sign_in, state};
use crate::project::Project;
use crate::store::{Holder, Status, StoreError};
use crate::system::SystemId;

/// The state of a project.
#[derive(Debug)]
pub struct ProjectStatus {
    /// The process that runs it now.
    pub process: Option<Holder>,
    /// The state of its workflows; empty if nothing has run yet.
    pub status: Status,
}

/// The state of a project for programs: what `status --format json` prints, and the API returns.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StatusDocument {
    /// The version of the document.
    pub version: u32,
    /// The process that runs the project now.
    pub process: Option<Holder>,
    /// The state of its workflows.
    pub status: Status,
    /// Who is signed in to the connections that accept calls only in the name of a person, by the connection's name; null if no account
    /// is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_ins: Option<BTreeMap<String, Value>>,
}

impl StatusDocument {
    /// Leaves out the names of accounts.
    pub fn hide_accounts(&mut self) {
        for shown in self.sign_ins.iter_mut().flat_map(BTreeMap::values_mut) {
            if let Some(account) = shown.get_mut("account") {
                *account = Value::Null;
            }
        }
    }
}

/// Returns the state of a project.
///
/// # Errors
/// The state cannot be read.
pub async fn status(project: &Project) -> Result<ProjectStatus, StoreError> {
    let process = state::run_in_progress(project).await?;
    let mut status = match state::status(project).await {
        Ok(status) => status,
        Err(StoreError::NotFound { .. }) => Status { mappings: Vec::new(), workflows: Vec::new(), last_run: None },
        Err(error) => return Err(error),
    };
    let runs = process.as_ref().filter(|holder| status.is_of(holder));
    status.workflows = status.workflows.into_iter().map(|w| w.shown(runs)).collect();
    Ok(ProjectStatus { process, status })
}

impl ProjectStatus {
    /// The state for programs.
    pub fn document(self, project: &Project) -> StatusDocument {
        let sign_ins = sign_in::signed_in(project).map(|signed_in| {
            let shown = signed_in.map_or_else(|error| json!({ "error": error.to_string() }), |kept| json!(kept));
            BTreeMap::from([(SystemId::Partner.key().to_owned(), shown)])
        });
        StatusDocument { version: 1, process: self.process, status: self.status, sign_ins }
    }
}
