//! The listening sockets, which can drop a connection without an answer.
//!
//! HTTP servers answer every request. Networks do not: a connection breaks before the service saw the request, or after it
//! acted on it and before its answer arrived. To play both, each accepted stream carries a switch that a handler may throw;
//! from then on nothing is written to the peer and the server gives the connection up.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;
/// Open, and the next answer is written twice.
const REPEAT: u8 = 3;

/// The switch of one connection.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<AtomicU8>);

impl Line {
    /// Ends the connection in good order, without writing the answer.
    pub(super) fn close(&self) {
        self.0.store(CLOSED, Ordering::Release);
    }

    /// Sends the bytes of the next answer twice.
    pub(super) fn repeat(&self) {
        self.0.store(REPEAT, Ordering::Release);
    }

    /// Breaks the connection: the peer sees a reset.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Door>> for Line {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Line(Arc::clone(&stream.io().switch))
    }
}

/// A listener whose streams have the switch.
pub(super) struct Door(TcpListener);

impl Door {
    /// Binds a loopback port; 0 takes a free one.
    pub(super) async fn bind(port: u16) -> io::Result<Door> {
        Ok(Door(TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await?))
    }

    /// The listener itself, without the switch.
    pub(super) fn plain(self) -> TcpListener {
        self.0
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.0.local_addr()?.port())
    }
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    // Small answers must not wait for the peer's acknowledgement of the one before.
                    if stream.set_nodelay(true).is_ok() {
                        return (Wire { stream, switch: Arc::new(AtomicU8::new(OPEN)), copy: Vec::new() }, peer);
                    }
                }
                // Out of descriptors, or a peer that went away while it was being accepted: neither ends the service.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// An accepted connection.
pub(super) struct Wire {
    stream: TcpStream,
    switch: Arc<AtomicU8>,
    /// What was written of an answer that is to be written twice.
    copy: Vec<u8>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.switch.load(Ordering::Acquire) == RESET {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl Wire {
    fn cut(&self) -> Option<io::Error> {
        match self.switch.load(Ordering::Acquire) {
            OPEN | REPEAT => None,
            state => {
                if state == RESET {
                    // With no linger time the kernel sends RST in place of FIN when the socket is dropped.
                    let _ = self.stream.set_zero_linger();
                }
                Some(io::Error::new(io::ErrorKind::ConnectionReset, "the emulator dropped the connection on purpose"))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.cut() {
            Some(error) => Poll::Ready(Err(error)),
            None => {
                let written = Pin::new(&mut self.stream).poll_write(cx, buf);
                if let Poll::Ready(Ok(count)) = &written
                    && self.switch.load(Ordering::Acquire) == REPEAT
                {
                    self.copy.extend_from_slice(&buf[..*count]);
                }
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.cut() {
            Some(error) => Poll::Ready(Err(error)),
            None => {
                // The server flushes when an answer is complete.
                while !self.copy.is_empty() {
                    let wire = &mut *self;
                    match Pin::new(&mut wire.stream).poll_write(cx, &wire.copy) {
                        Poll::Ready(Ok(count)) => drop(wire.copy.drain(..count)),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    }
                    if wire.copy.is_empty() {
                        wire.switch.store(OPEN, Ordering::Release);
                    }
                }
                Pin::new(&mut self.stream).poll_flush(cx)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A body that comes in pieces with a pause before each, and may break off.
pub(super) struct Dribble {
    rest: bytes::Bytes,
    piece: usize,
    pause: Duration,
    timer: Pin<Box<tokio::time::Sleep>>,
    /// The connection to break when half of the body is out.
    cut: Option<(Line, usize)>,
}

impl Dribble {
    /// An answer whose body dribbles.
    pub(super) fn slow(response: Response<Body>, pause: Duration) -> Response<Body> {
        Dribble::wrap(response, pause, None)
    }

    /// An answer that breaks off in the middle of its body.
    pub(super) fn cut(response: Response<Body>, line: &Line) -> Response<Body> {
        Dribble::wrap(response, Duration::from_millis(20), Some(line))
    }

    fn wrap(response: Response<Body>, pause: Duration, cut: Option<&Line>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let rest = whole(body);
        // The length is announced, as with an answer that comes whole.
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(rest.len()));
        let piece = rest.len().div_ceil(10).max(1);
        let cut = cut.map(|line| (line.clone(), rest.len() / 2));
        Response::from_parts(parts, Body::new(Dribble { rest, piece, pause, timer: Box::pin(tokio::time::sleep(pause)), cut }))
    }
}

impl http_body::Body for Dribble {
    type Data = bytes::Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<http_body::Frame<bytes::Bytes>>>> {
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if let Some((line, left)) = &self.cut
            && self.rest.len() <= *left
        {
            line.reset();
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the emulator broke the answer off on purpose"))));
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.piece.min(self.rest.len());
        let piece = self.rest.split_to(length);
        let next = tokio::time::Instant::now() + self.pause;
        self.timer.as_mut().reset(next);
        Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
    }
}

/// What an API gives back: the answer, and the name of the operation for the statistics.
pub(super) struct Answer {
    /// The operation, without ids: `contacts(id)`, `profile/key`.
    pub(super) route: String,
    pub(super) response: Response<Body>,
    /// How many operations it stands for: the parts of a batch, the rows of a bulk message. What an entitlement counts.
    pub(super) operations: u64,
}

impl Answer {
    pub(super) fn new(route: impl Into<String>, response: Response<Body>) -> Answer {
        Answer { route: route.into(), response, operations: 1 }
    }
}

/// An answer with a body of the given type.
pub(super) fn body(status: StatusCode, content_type: &'static str, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A page for people with this status, such as a proxy or a portal gives it; a redirect leads to another host.
pub(super) fn page(status: u16, text: &'static str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = body(status, "text/html; charset=utf-8", text);
    if status.is_redirection() {
        set(&mut response, "location", "https://portal.example/maintenance");
    }
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The bytes of a body that this crate made: they are all there, nothing is waited for.
pub(super) fn whole(body: Body) -> bytes::Bytes {
    let mut reading = std::pin::pin!(axum::body::to_bytes(body, usize::MAX));
    match reading.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Ok(bytes)) => bytes,
        Poll::Ready(Err(_)) | Poll::Pending => bytes::Bytes::new(),
    }
}

/// Sets a header from text that the emulator composed; a value HTTP cannot carry is left out.
pub(super) fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Decodes percent escapes; `None` if the result is not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Splits a query string into decoded pairs, in order. `+` is a space, as in forms.
pub(super) fn query(raw: Option<&str>) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for part in raw.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        pairs.push((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?));
    }
    Some(pairs)
}

/// Escapes a value for the query part of a link.
pub(super) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A well-mixed number for a number; the deterministic source of sample data and identifiers (SplitMix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
