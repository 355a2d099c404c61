//! The state of all workflows, as it is to be shown beside the process that runs them.

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
    /// The state for programs: what `status --format json` prints, and the API returns.
    pub fn document(&self, project: &Project) -> Value {
        let mut document = json!({"version": 1, "process": self.process, "status": self.status});
        if let Some(signed_in) = sign_in::signed_in(project) {
            let shown = signed_in.map_or_else(|error| json!({ "error": error.to_string() }), |kept| json!(kept));
            document["sign_ins"] = json!({ SystemId::Partner.key(): shown });
        }
        document
    }
}
