//! Notifications of a system's webhooks: which resource changed, and when. They wait until the resource was read, and are remembered after
//! it, since the same notification can be delivered again.

use rusqlite::params;

use super::store::Store;
use super::types::{instant, millis};
use crate::store::{Notification, StoreError, WaitingNotification};
use crate::time::Instant;

impl Store {
    /// Adds a notification. Returns whether it is new.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_notification(&self, notification: &Notification, received: Instant) -> Result<bool, StoreError> {
        self.write("store a notification", |tx| {
            let Notification { event, resource, changed } = notification;
            let added = tx
                .conn
                .prepare_cached("INSERT OR IGNORE INTO notification (event, resource, changed, received_at) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![event, resource, changed, millis(received)])?;
            Ok(added > 0)
        })
    }

    /// Returns the first `limit` notifications that wait, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn waiting_notifications(&self, limit: usize) -> Result<Vec<WaitingNotification>, StoreError> {
        self.read("read notifications", |conn, _| {
            let mut statement = conn.prepare_cached(
                "SELECT seq, event, resource, changed, received_at FROM notification WHERE handled_at IS NULL ORDER BY seq LIMIT ?1",
            )?;
            let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                let notification = Notification { event: row.get(1)?, resource: row.get(2)?, changed: row.get(3)? };
                Ok(WaitingNotification { seq: row.get(0)?, notification, received: instant(row.get(4)?) })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Marks notifications as handled. Returns how many wait now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle_notifications(&self, seqs: &[i64], handled: Instant) -> Result<u64, StoreError> {
        self.write("settle notifications", |tx| {
            let mut statement = tx.conn.prepare_cached("UPDATE notification SET handled_at = ?2 WHERE seq = ?1 AND handled_at IS NULL")?;
            for seq in seqs {
                statement.execute(params![seq, millis(handled)])?;
            }
            let waiting: i64 = tx.conn.query_row("SELECT COUNT(*) FROM notification WHERE handled_at IS NULL", [], |row| row.get(0))?;
            Ok(waiting.unsigned_abs())
        })
    }

    /// Forgets notifications that were handled before an instant. Returns how many.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prune_notifications(&self, before: Instant) -> Result<u64, StoreError> {
        self.write("forget old notifications", |tx| {
            let gone = tx.conn.execute("DELETE FROM notification WHERE handled_at < ?1", [millis(before)])?;
            Ok(gone as u64)
        })
    }
}
