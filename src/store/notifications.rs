//! Notifications of a system's webhooks.

use async_trait::async_trait;

use super::StoreError;
use crate::time::Instant;

/// Notifications of a system's webhooks. A notification says that a resource has changed, and nothing of how: whoever handles it reads the
/// resource. So the order in which notifications come has no meaning, and to handle one twice does no harm.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Adds a notification that was received at an instant. Returns whether it is new: one with the same event, resource and time of
    /// change is known as long as it waits and, after it was handled, until it is pruned.
    async fn take_notification(&self, notification: Notification, received: Instant) -> Result<bool, StoreError>;

    /// Returns up to `limit` notifications that wait, the one that was received first at the beginning.
    async fn waiting_notifications(&self, limit: usize) -> Result<Vec<WaitingNotification>, StoreError>;

    /// Marks notifications as handled. Numbers that are not known, or were handled before, are skipped. Returns how many wait now.
    async fn settle_notifications(&self, seqs: &[i64], handled: Instant) -> Result<u64, StoreError>;

    /// Forgets notifications that were handled before an instant; those that wait stay. Returns how many.
    async fn prune_notifications(&self, before: Instant) -> Result<u64, StoreError>;
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Notification {
    /// The event's name: `referral-updated`.
    pub event: String,
    /// The id of the resource that changed.
    pub resource: String,
    /// When it changed, in one spelling.
    pub changed: String,
}

/// A notification that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingNotification {
    /// Its number; a later one has a higher number.
    pub seq: i64,
    /// What it says.
    pub notification: Notification,
    /// When it was received.
    pub received: Instant,
}
