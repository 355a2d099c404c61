//! What a system has sent to a person, and what the person did with it.

use std::fmt;

use async_trait::async_trait;
use url::Url;

use crate::connect::ConnectError;
use crate::time::Instant;

/// Something that happened to a person. It has no id that could be kept, so it is known again by its values.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// The channel: `email`.
    pub category: String,
    /// What people read: `Send via email`.
    pub label: String,
    /// When it happened; empty if the service's text is not an instant.
    pub date: Option<Instant>,
    /// The message as it was sent, if the system has it.
    pub mirror_page: Option<MirrorPage>,
}

/// Where a message can be seen as it was sent: an address of the system's interface, which is good for a call now and is not to be kept.
#[derive(Clone)]
pub struct MirrorPage(pub(super) Url);

impl fmt::Debug for MirrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MirrorPage")
    }
}

/// A system that keeps what it has sent to persons. The contract is held by [`super::conformance`].
#[async_trait]
pub trait History: Send + Sync {
    /// Returns what happened to a person, who is named by a key of ours; `None` if there is no such person. `lines` is the number of
    /// entries in a page.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn history(&self, person: &str, lines: u32) -> Result<Option<Vec<HistoryEntry>>, ConnectError>;

    /// Returns the address under which people can see a message as it was sent; `None` if the system gives none.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn mirror_page(&self, page: &MirrorPage) -> Result<Option<String>, ConnectError>;
}
