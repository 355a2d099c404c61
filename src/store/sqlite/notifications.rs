//! Notifications in the SQLite store.

use async_trait::async_trait;

use super::blocking;
use crate::state::Store;
use crate::store::{Notification, Notifications, StateError, WaitingNotification};
use crate::time::Instant;

#[async_trait]
impl Notifications for Store {
    async fn take_notification(&self, notification: Notification, received: Instant) -> Result<bool, StateError> {
        blocking(self, move |store| store.take_notification(&notification, received)).await
    }

    async fn waiting_notifications(&self, limit: usize) -> Result<Vec<WaitingNotification>, StateError> {
        blocking(self, move |store| store.waiting_notifications(limit)).await
    }

    async fn settle_notifications(&self, seqs: &[i64], handled: Instant) -> Result<u64, StateError> {
        let seqs = seqs.to_vec();
        blocking(self, move |store| store.settle_notifications(&seqs, handled)).await
    }

    async fn prune_notifications(&self, before: Instant) -> Result<u64, StateError> {
        blocking(self, move |store| store.prune_notifications(before)).await
    }
}
