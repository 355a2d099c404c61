//! Notifications in the SQLite store.

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Notification, Notifications, StoreError, WaitingNotification};
use crate::time::Instant;

#[async_trait]
impl Notifications for Store {
    async fn take_notification(&self, notification: Notification, received: Instant) -> Result<bool, StoreError> {
        blocking(self, move |store| store.take_notification(&notification, received)).await
    }

    async fn waiting_notifications(&self, limit: usize) -> Result<Vec<WaitingNotification>, StoreError> {
        blocking(self, move |store| store.waiting_notifications(limit)).await
    }

    async fn settle_notifications(&self, seqs: &[i64], handled: Instant) -> Result<u64, StoreError> {
        let seqs = seqs.to_vec();
        blocking(self, move |store| store.settle_notifications(&seqs, handled)).await
    }

    async fn prune_notifications(&self, before: Instant) -> Result<u64, StoreError> {
        blocking(self, move |store| store.prune_notifications(before)).await
    }
}
