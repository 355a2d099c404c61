//! What reading the pages of a mapping and of a table that it follows have in common.

use crate::connect::ConnectError;
use crate::run::RunError;
use crate::systems::PageRequest;

/// Attempts at reading a page, beyond those of the HTTP layer, before the round fails.
pub(super) const ATTEMPTS: u32 = 3;

/// Records that are fetched by their ids and evaluated together.
pub(super) const AT_ONCE: usize = 200;

/// The error of a page of a mapping, or of a table that it follows. That change tracking is off is said in plain words of the service's (Dataverse Web API: change tracking
/// must be enabled for the table); that these words name it is assumed.
pub(super) fn explained(mapping: &str, table: &str, request: &PageRequest, error: ConnectError) -> RunError {
    let message = error.call().and_then(|call| call.message.clone()).unwrap_or_default();
    match (request, &error) {
        (PageRequest::First { track_changes: true, .. }, ConnectError::Rejected { .. })
            if message.to_ascii_lowercase().replace(['-', ' '], "").contains("changetracking") =>
        {
            RunError::Untracked { name: mapping.to_owned(), table: table.to_owned(), message }
        }
        _ => error.into(),
    }
}
