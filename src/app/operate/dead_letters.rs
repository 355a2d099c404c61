//! What to do with records that were not written.

use crate::app::CommandError;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetters};

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

/// Whether a code is one of d365map's own, whose messages have no values of records.
pub fn is_own(code: &str) -> bool {
    code.strip_prefix('D').is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A dead letter without what can be personal data: the key, what was sent and answered, and the message of a service.
pub fn without_values(mut letter: DeadLetter) -> DeadLetter {
    letter.key = None;
    letter.failure.request = None;
    letter.failure.response = None;
    if !is_own(&letter.failure.code) {
        letter.failure.message = String::new();
    }
    letter
}
