//! What the state holds of a person, and the end of it.

use crate::app::CommandError;
use crate::printable::inline;
use crate::store::{Privacy, Traces};

/// Shorter texts are found everywhere.
const SHORTEST: usize = 3;

/// A GUID in braces or as a URN, as other tools show it, in the form that the state has; anything else as it is. Thirty-two digits
/// without hyphens may be a key of somebody's own.
pub fn person_key(key: &str) -> String {
    let key = key.trim();
    match uuid::Uuid::parse_str(key) {
        Ok(id) if key.len() != 32 => id.hyphenated().to_string(),
        Ok(_) | Err(_) => key.to_owned(),
    }
}

/// Makes sure that a text is long enough to look for.
///
/// # Errors
/// It is not.
pub fn long_enough(key: &str) -> Result<(), CommandError> {
    if key.chars().count() < SHORTEST {
        return Err(CommandError::usage(format!("`{}` is too short to look for; name an id, a key or an e-mail address", inline(key))));
    }
    Ok(())
}

/// Every trace of a person.
///
/// # Errors
/// The text is too short, or the state cannot be read.
pub async fn trace(privacy: &dyn Privacy, key: &str) -> Result<Traces, CommandError> {
    long_enough(key)?;
    Ok(privacy.trace(key).await?)
}

/// Makes sure that a person is named in a way by which a record can be forgotten: an email address can be in the records of several.
///
/// # Errors
/// It is neither an id nor a key.
pub fn can_be_forgotten(key: &str, traces: &Traces) -> Result<(), CommandError> {
    let is_id = key.len() == 36 && uuid::Uuid::parse_str(key).is_ok();
    let of_key = traces.found.iter().any(|t| t.columns.iter().any(|c| matches!(*c, "source_id" | "key" | "contact")));
    if is_id || of_key {
        return Ok(());
    }
    let records: Vec<&str> = traces.records.iter().map(String::as_str).collect();
    Err(CommandError::usage(match records.as_slice() {
        [] => format!("`{}` is neither an id nor a key that the state knows; name the contact by its id", inline(key)),
        _ => format!(
            "`{}` is neither an id nor a key; it was found in what belongs to {}. Forget records one by one, by their ids",
            inline(key),
            inline(&records.join(", "))
        ),
    }))
}

/// Whether what somebody typed to confirm is what is to be forgotten.
pub fn is_confirmed(typed: &str, key: &str) -> bool {
    person_key(typed).eq_ignore_ascii_case(key)
}

/// The error for a person who is not forgotten.
pub fn not_forgotten(key: &str) -> CommandError {
    CommandError::usage(format!("{} is not forgotten; name the id under which it was", inline(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Trace;

    const ID: &str = "8f1d0000-0000-4000-8000-000000000001";

    #[test]
    fn an_id_is_known_however_other_tools_write_it() {
        for written in [ID, " {8F1D0000-0000-4000-8000-000000000001} ", "urn:uuid:8f1d0000-0000-4000-8000-000000000001"] {
            assert_eq!(person_key(written), ID, "{written}");
        }
        assert_eq!(person_key("8f1d0000000040008000000000000001"), "8f1d0000000040008000000000000001");
        assert_eq!(person_key(" ada@example.com "), "ada@example.com");
    }

    #[test]
    fn only_an_id_or_a_key_is_forgotten() {
        let of = |column| {
            let row = Trace { table: "outbox", what: "a row", mapping: None, row: "1".to_owned(), record: None, columns: vec![column] };
            Traces { found: vec![row], ..Traces::default() }
        };
        assert!(can_be_forgotten(ID, &Traces::default()).is_ok());
        assert!(can_be_forgotten("4711", &of("key")).is_ok());
        assert!(can_be_forgotten("ada@example.com", &of("payload")).is_err());
        assert!(can_be_forgotten("4711", &Traces::default()).is_err());
    }

    #[test]
    fn a_confirmation_is_the_same_id_in_any_case() {
        assert!(is_confirmed(" 8F1D0000-0000-4000-8000-000000000001", ID) && is_confirmed("{8f1d0000-0000-4000-8000-000000000001}", ID));
        assert!(!is_confirmed("", ID) && !is_confirmed("yes", ID) && !is_confirmed("8f1d0000-0000-4000-8000-000000000002", ID));
    }
}
