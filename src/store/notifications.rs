//! Notifications of a system's webhooks.

use async_trait::async_trait;

use super::{Notification, StateError, WaitingNotification};
use crate::time::Instant;

/// Notifications of a system's webhooks. A notification says that a resource has changed, and nothing of how: whoever handles it reads the
/// resource. So the order in which notifications come has no meaning, and to handle one twice does no harm.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Adds a notification that was received at an instant. Returns whether it is new: one with the same event, resource and time of
    /// change is known as long as it waits and, after it was handled, until it is pruned.
    async fn take_notification(&self, notification: Notification, received: Instant) -> Result<bool, StateError>;

    /// Returns up to `limit` notifications that wait, the one that was received first at the beginning.
    async fn waiting_notifications(&self, limit: usize) -> Result<Vec<WaitingNotification>, StateError>;

    /// Marks notifications as handled. Numbers that are not known, or were handled before, are skipped. Returns how many wait now.
    async fn settle_notifications(&self, seqs: &[i64], handled: Instant) -> Result<u64, StateError>;

    /// Forgets notifications that were handled before an instant; those that wait stay. Returns how many.
    async fn prune_notifications(&self, before: Instant) -> Result<u64, StateError>;
}
