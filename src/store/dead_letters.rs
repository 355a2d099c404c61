//! What could not be written.

use async_trait::async_trait;

use super::{DeadLetter, DeadLetterFilter, StateError};

/// What could not be written. Dead letters are made by [`super::Cursors::commit_page`] and by settling. May be used beside a run.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Returns up to `limit` dead letters with numbers above `after`, in the order of their numbers.
    async fn dead_letters(&self, filter: &DeadLetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StateError>;

    /// Returns one dead letter.
    async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, StateError>;

    /// Queues a new attempt for each: an operation that reads the record again, so that an old state never overwrites a newer one. The
    /// dead letter stays, marked, until the attempt has ended. Returns their number.
    async fn retry_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StateError>;

    /// Removes dead letters: their records stay unwritten until they change again. Returns their number.
    async fn drop_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StateError>;
}
