//! The wire: messages with a header, over standard input and output.
//!
//! The library's own transport allocates what a header announces, so that `Content-Length: 99999999999999` ends the process. Here a
//! message has a limit, and memory is taken as bytes arrive.

use std::io::{BufRead, Error, ErrorKind, Read, Result};
use std::thread::JoinHandle;

use crossbeam_channel::bounded;
use lsp_server::{Connection, Message};

/// The longest message: a mapping file of the largest size, every byte of it escaped in JSON.
const MAX_MESSAGE: u64 = 64 * 1024 * 1024;
/// The longest line of a header.
const MAX_HEADER_LINE: u64 = 4096;
/// The most lines of a header.
const MAX_HEADER_LINES: usize = 32;

/// The threads that read and write.
pub(super) struct Threads {
    reader: JoinHandle<Result<()>>,
    writer: JoinHandle<Result<()>>,
}

impl Threads {
    /// Waits for what is still to be written, and, unless the session ended well, says what was wrong with the input.
    ///
    /// # Errors
    ///
    /// The input is not a sequence of messages, or the output cannot be written.
    pub(super) fn join(self, ended: bool) -> Result<()> {
        let died = |_| Error::other("a thread of the language server has ended unexpectedly");
        // The reader of a session that the client has not ended may wait for input forever.
        if !ended || self.reader.is_finished() {
            self.reader.join().map_err(died)??;
        }
        self.writer.join().map_err(died)?
    }
}

/// A connection over standard input and output.
pub(super) fn stdio() -> (Connection, Threads) {
    let (sender, to_write) = bounded::<Message>(0);
    let (read, receiver) = bounded::<Message>(0);
    let writer = std::thread::spawn(move || {
        let mut out = std::io::stdout().lock();
        to_write.into_iter().try_for_each(|message| message.write(&mut out))
    });
    let reader = std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while let Some(message) = read_message(&mut input)? {
            let exit = matches!(&message, Message::Notification(n) if n.method == "exit");
            if read.send(message).is_err() || exit {
                break;
            }
        }
        Ok(())
    });
    (Connection { sender, receiver }, Threads { reader, writer })
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidData, what.into())
}

/// The next message; `None` at the end of the input.
fn read_message(input: &mut impl BufRead) -> Result<Option<Message>> {
    let mut length: Option<u64> = None;
    for _ in 0..MAX_HEADER_LINES {
        let mut line = Vec::new();
        input.by_ref().take(MAX_HEADER_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\n") else { return Err(invalid("the header of a message is not complete")) };
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        if line.is_empty() {
            let length = length.ok_or_else(|| invalid("a message has no Content-Length"))?;
            let mut body = Vec::new();
            if input.by_ref().take(length).read_to_end(&mut body)? as u64 != length {
                return Err(invalid("the input ends within a message"));
            }
            // The fault of the text is not repeated: it may quote a document.
            return serde_json::from_slice(&body).map(Some).map_err(|_| invalid("a message is not JSON-RPC"));
        }
        let Some((name, value)) = line.split_once(':') else { return Err(invalid("a line of a message's header has no colon")) };
        if name.trim().eq_ignore_ascii_case("Content-Length") {
            let bytes: u64 = value.trim().parse().map_err(|_| invalid("the Content-Length of a message is not a number"))?;
            if bytes > MAX_MESSAGE {
                let limit = MAX_MESSAGE / 1024 / 1024;
                return Err(invalid(format!("a message has {bytes} bytes by its Content-Length; at most {limit} MiB are read")));
            }
            length = Some(bytes);
        }
    }
    Err(invalid("the header of a message has too many lines"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_one_after_the_other() {
        let body = r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let text = format!("Content-Length: {0}\r\n\r\n{body}content-length:{0}\r\nX: y\r\n\r\n{body}", body.len());
        let mut input = text.as_bytes();
        for _ in 0..2 {
            assert!(matches!(read_message(&mut input).unwrap(), Some(Message::Notification(n)) if n.method == "exit"));
        }
        assert!(read_message(&mut input).unwrap().is_none());
    }

    #[test]
    fn what_is_not_a_message_is_rejected_with_a_reason_and_without_using_memory() {
        for (text, reason) in [
            ("Content-Length: 99999999999999\r\n\r\n{}", "99999999999999 bytes"),
            ("Content-Length: 99999999999999999999999\r\n\r\n{}", "not a number"),
            ("Content-Length: -1\r\n\r\n", "not a number"),
            ("Content-Length: 60000000\r\n\r\n{}", "ends within"),
            ("X: 1\r\n\r\n", "no Content-Length"),
            ("Content-Length: 2\r\n\r\n[]", "not JSON-RPC"),
            ("GET / HTTP/1.1\r\n", "no colon"),
        ] {
            let error = read_message(&mut text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert!(read_message(&mut "a: b\r\n".repeat(100).as_bytes()).is_err());
        assert!(read_message(&mut "a".repeat(100_000).as_bytes()).is_err());
    }
}
