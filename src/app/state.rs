//! The state of a project: the one place above the stores that knows where it is kept.

use crate::project::Project;
use crate::store::{Access, Holder, Status, StoreError, Stores, in_memory, open as open_store, run_in_progress as running};

/// Opens the store of a project.
///
/// # Errors
/// As [`crate::store::open`].
pub async fn open(project: &Project, access: Access) -> Result<Stores, StoreError> {
    open_store(&project.state, access).await
}

/// Opens the store of a project for reading; `None` if nothing has run yet.
///
/// # Errors
/// As [`crate::store::open`], but for [`StoreError::NotFound`].
pub async fn open_if_any(project: &Project) -> Result<Option<Stores>, StoreError> {
    match open(project, Access::Read).await {
        Err(StoreError::NotFound { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// Opens the store of a project for reading; an empty one if nothing has run yet. For what changes nothing.
///
/// # Errors
/// As [`open_if_any`].
pub async fn open_or_empty(project: &Project) -> Result<Stores, StoreError> {
    match open_if_any(project).await? {
        Some(stores) => Ok(stores),
        None => in_memory(),
    }
}

/// Opens the store of a project for reading; `None` if nothing has run yet, or not since the last upgrade.
///
/// # Errors
/// As [`open_if_any`], but for [`StoreError::OlderFormat`].
pub async fn open_if_current(project: &Project) -> Result<Option<Stores>, StoreError> {
    match open_if_any(project).await {
        Err(StoreError::OlderFormat { .. }) => Ok(None),
        other => other,
    }
}

/// Returns the state of all workflows of a project.
///
/// # Errors
/// As [`crate::store::open`], for reading.
pub async fn status(project: &Project) -> Result<Status, StoreError> {
    open(project, Access::Read).await?.control.status().await
}

/// Returns the process that runs the project now, if there is one.
///
/// # Errors
/// As [`crate::store::run_in_progress`].
pub async fn run_in_progress(project: &Project) -> Result<Option<Holder>, StoreError> {
    running(&project.state).await
}
