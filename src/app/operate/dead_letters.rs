//! What to do with records that were not written.

use crate::app::CommandError;
use crate::store::{DeadLetterFilter, DeadLetters};

/// Queues a new attempt for each of the dead letters that are meant. Returns their number.
///
/// # Errors
/// A number that no dead letter has: then nothing is changed. Or the state cannot be written.
pub async fn retry(letters: &dyn DeadLetters, filter: &DeadLetterFilter) -> Result<u64, CommandError> {
    all_known(letters, filter).await?;
    Ok(letters.retry_dead_letters(filter).await?)
}

/// Removes the dead letters that are meant. Returns their number.
///
/// # Errors
/// As [`retry`].
pub async fn drop(letters: &dyn DeadLetters, filter: &DeadLetterFilter) -> Result<u64, CommandError> {
    all_known(letters, filter).await?;
    Ok(letters.drop_dead_letters(filter).await?)
}

async fn all_known(letters: &dyn DeadLetters, filter: &DeadLetterFilter) -> Result<(), CommandError> {
    for id in filter.ids.iter().flatten() {
        if letters.dead_letter(*id).await?.is_none() {
            let text = format!("there is no dead letter {id}, and nothing was changed; see `d365map dead-letters list`");
            return Err(CommandError::usage(text));
        }
    }
    Ok(())
}
