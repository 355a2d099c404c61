//! The port on this machine to which the browser brings the answer of the token service (RFC 8252, 7.3).
//!
//! It listens on loopback addresses only, takes one answer, and ends. Other requests of a browser, such as for an icon, are answered
//! with 404.

use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use crate::printable;

/// The longest head of a request that is read, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a connection may take to send its request. Browsers open some that they never use.
const REQUEST: Duration = Duration::from_secs(10);

/// Why the browser brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// No port.
    #[error("no port of this machine could be opened: {0}")]
    Port(#[from] std::io::Error),
    /// The answer does not belong to this sign-in.
    #[error("the browser brought the answer to another sign-in (its `state` differs): run the command again")]
    OtherSignIn,
}

/// What the browser brought.
#[derive(Debug)]
pub(super) enum Answer {
    /// The code to exchange for tokens.
    Code(SecretString),
    /// The service refused.
    Refused {
        /// The code of the error.
        error: String,
        /// Its description.
        description: String,
    },
}

/// An open port.
#[derive(Debug)]
pub(super) struct Loopback {
    listeners: Vec<TcpListener>,
    port: u16,
    state: String,
}

impl Loopback {
    /// Opens any free port of 127.0.0.1, and the same of `::1` if it is free, since `localhost` can be either.
    pub(super) async fn open(state: String) -> Result<Loopback, LoopbackError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mut listeners = vec![listener];
        listeners.extend(TcpListener::bind(("::1", port)).await.ok());
        Ok(Loopback { listeners, port, state })
    }

    /// The address to which the token service sends the browser. Entra ID accepts any port of a registered `http://localhost`.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits for the answer.
    pub(super) async fn answer(self) -> Result<Answer, LoopbackError> {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listeners) => accepted,
                Some(done) = connections.join_next() => {
                    match done {
                        Ok(Some(answer)) => return answer,
                        // An unused connection, or a request for something else.
                        Ok(None) | Err(_) => continue,
                    }
                }
            };
            if let Ok(stream) = accepted {
                let state = self.state.clone();
                connections.spawn(async move { tokio::time::timeout(REQUEST, serve(stream, &state)).await.ok().flatten() });
            }
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> std::io::Result<TcpStream> {
    match listeners {
        [one, two] => tokio::select! {
            accepted = one.accept() => accepted,
            accepted = two.accept() => accepted,
        },
        [one, ..] => one.accept().await,
        [] => std::future::pending().await,
    }
    .map(|(stream, _)| stream)
}

/// Reads one request and answers it. `None` if it is not the token service's answer.
async fn serve(mut stream: TcpStream, state: &str) -> Option<Result<Answer, LoopbackError>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 2048];
        let read = stream.read(&mut part).await.ok()?;
        if read == 0 || head.len() > LONGEST_HEAD {
            return None;
        }
        head.extend_from_slice(&part[..read]);
    }
    let found = understand(&head, state);
    let (status, text) = match &found {
        Some(Ok(Answer::Code(_))) => ("200 OK", "The sign-in has arrived. You can close this window and go back to the terminal."),
        Some(Ok(Answer::Refused { .. })) => ("200 OK", "The sign-in was refused. You can close this window; the terminal says why."),
        Some(Err(_)) => ("400 Bad Request", "This answer belongs to another sign-in. You can close this window."),
        None => ("404 Not Found", "There is nothing here."),
    };
    let page = format!("<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>d365map</title><p>{text}</p></html>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    // Whether the page arrives does not matter to the sign-in.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
    found
}

/// What the head of a request brings.
fn understand(head: &[u8], state: &str) -> Option<Result<Answer, LoopbackError>> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    let url = Url::parse("http://localhost").ok()?.join(request.path?).ok()?;
    if request.method != Some("GET") || url.path() != "/" {
        return None;
    }
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let (code, error) = (value("code"), value("error"));
    if code.is_none() && error.is_none() {
        return None;
    }
    if value("state").as_deref() != Some(state) {
        return Some(Err(LoopbackError::OtherSignIn));
    }
    let line = |text: String| printable::one_line(&text).into_owned();
    Some(Ok(match (code, error) {
        (_, Some(error)) => Answer::Refused { error: line(error), description: line(value("error_description").unwrap_or_default()) },
        (code, None) => Answer::Code(code.unwrap_or_default().into()),
    }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Sends a request and gives the status line of the answer.
    async fn send(port: u16, target: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn an_icon_and_an_unused_connection_do_not_end_the_wait_and_the_answer_does() {
        let loopback = Loopback::open("s1".to_owned()).await.unwrap();
        let port = loopback.port;
        let task = tokio::spawn(loopback.answer());
        let _unused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert_eq!(send(port, "/favicon.ico").await, "HTTP/1.1 404 Not Found");
        assert_eq!(send(port, "/").await, "HTTP/1.1 404 Not Found");
        assert_eq!(send(port, "/?code=c%2F1&state=s1").await, "HTTP/1.1 200 OK");
        let Answer::Code(code) = task.await.unwrap().unwrap() else { panic!("a code") };
        assert_eq!(code.expose_secret(), "c/1");
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the port is closed");
    }

    #[tokio::test]
    async fn an_answer_with_another_state_ends_the_sign_in() {
        for query in ["/?code=c&state=other", "/?code=c"] {
            let loopback = Loopback::open("s1".to_owned()).await.unwrap();
            let port = loopback.port;
            let task = tokio::spawn(loopback.answer());
            assert_eq!(send(port, query).await, "HTTP/1.1 400 Bad Request");
            assert!(matches!(task.await.unwrap(), Err(LoopbackError::OtherSignIn)));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_reported_in_the_words_of_the_service_on_one_line() {
        let loopback = Loopback::open("s1".to_owned()).await.unwrap();
        let port = loopback.port;
        let task = tokio::spawn(loopback.answer());
        send(port, "/?error=server_error&error_description=AADSTS1%0Atwo&state=s1").await;
        let Answer::Refused { error, description } = task.await.unwrap().unwrap() else { panic!("a refusal") };
        assert_eq!(error, "server_error");
        assert!(description.starts_with("AADSTS1") && !description.contains('\n'), "{description}");
    }
}
