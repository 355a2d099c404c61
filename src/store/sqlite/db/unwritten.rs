//! What waits of fields that a mapping does not write any more.
//!
//! A record that waits in the outbox keeps the fields with which it was queued, also when a newer change of it is merged in. If the
//! author takes a field away meanwhile, its values must reach the target no more, and must not be kept either: they are often a
//! person's data, and a reason to take the field away.

use rusqlite::params;

use super::store::Store;
use crate::store::{Payload, StoreError, WrittenPath};

impl Store {
    /// Takes all fields out of a mapping's waiting operations that it does not write any more. A field that was a link to another mapping's
    /// record counts as another field. Returns how many operations had such fields. For the start of a run: nothing of the mapping may be in
    /// a worker's hands.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn drop_unwritten(&self, mapping: &str, written: &[WrittenPath]) -> Result<u64, StoreError> {
        if self.backlog_size(mapping)? == 0 {
            return Ok(0);
        }
        self.write("drop fields that are not written any more", |tx| {
            let id = tx.mapping(mapping)?;
            let mut changed: Vec<(i64, String)> = Vec::new();
            let mut statement = tx.conn.prepare_cached("SELECT seq, coalesce(payload, waited) FROM outbox WHERE mapping = ?1")?;
            let mut rows = statement.query([id])?;
            while let Some(row) = rows.next()? {
                let Some(text) = row.get::<_, Option<String>>(1)? else { continue };
                let payload = Payload::from_json(&text)?;
                let is_written = |path: &str, link: Option<&str>| written.iter().any(|w| w.path == path && w.link.as_deref() == link);
                let kept = || payload.fields().iter().filter(|field| is_written(&field.path, field.link.as_deref()));
                if kept().count() < payload.fields().len() {
                    changed.push((row.get(0)?, Payload::from_fields(kept().cloned()).to_json().into_owned()));
                }
            }
            for (seq, payload) in &changed {
                // It may have waited for the record to which such a field linked; if it waits for another, that is found again.
                tx.conn.prepare_cached("DELETE FROM link_wait WHERE seq = ?1")?.execute([seq])?;
                tx.conn.prepare_cached("UPDATE outbox SET payload = CASE op WHEN 'upsert' THEN ?2 END, waited = CASE op WHEN 'refetch' THEN ?2 END, waits = 0 WHERE seq = ?1")?.execute(params![seq, payload])?;
            }
            Ok(changed.len() as u64)
        })
    }
}
