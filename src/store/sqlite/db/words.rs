//! The function by which statements ask whether a text mentions a person.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use crate::store::mentions;

/// Gives a connection the function `mentions(text, words)`: 1 if the text has the words as [`mentions`] finds them, 0 if not and for a
/// missing text.
pub(super) fn register(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("mentions", 2, flags, |context| {
        let (text, words) = (context.get_raw(0), context.get_raw(1));
        // Neither blobs nor numbers are texts.
        Ok(match (text.as_str(), words.as_str()) {
            (Ok(text), Ok(words)) => mentions(text, words),
            _ => false,
        })
    })
}
