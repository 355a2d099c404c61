//! A gateway between the runner and the services. It passes requests on, delays them beyond the life of their sender, loses, cuts
//! and repeats answers, and answers by itself.
//!
//! It reads each request in full before it decides, so a delayed request reaches the service even if the runner was killed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::dice::Dice;

/// The longest time in milliseconds for which a write is held. It is longer than the runner's request timeout (`project.rs`), so the
/// gateway also delivers requests that their sender gave up. It is below twice the timeout: the runner lets such a record rest for one
/// more timeout, and that no gateway holds a request for longer is its documented assumption.
const LONGEST_HOLD: u64 = 3600;

/// What happens to a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Pass,
    /// It is delivered later, whether or not its sender is still alive.
    Hold(Duration),
    /// The connection ends before anything is delivered.
    Reset,
    /// It is carried out, and the answer does not arrive.
    LoseAnswer,
    /// It is carried out, and half of the answer arrives.
    CutAnswer,
    /// It is carried out, and the bytes of the answer come twice.
    RepeatAnswer,
    /// It is carried out twice, and the second answer arrives.
    SendTwice,
    /// A page for people instead of an answer; nothing is carried out.
    Html(u16),
    /// Something else with status 200; nothing is carried out.
    Odd(&'static str),
    /// A status without a page; nothing is carried out.
    Status(u16),
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Fate::Pass => "passed",
            Fate::Hold(_) => "held",
            Fate::Reset => "reset",
            Fate::LoseAnswer => "lost answer",
            Fate::CutAnswer => "cut answer",
            Fate::RepeatAnswer => "repeated answer",
            Fate::SendTwice => "sent twice",
            Fate::Html(_) => "HTML page",
            Fate::Odd(_) => "odd 200",
            Fate::Status(401) => "401",
            Fate::Status(429) => "429",
            Fate::Status(_) => "503",
        }
    }
}

/// A wrong answer or request on purpose, to show that the comparison finds divergences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    /// A name on its way to Campaign becomes another one.
    ChangeName,
    /// A deletion is confirmed and not carried out.
    SwallowDelete,
    /// An opt-out on its way to Campaign becomes a consent, and each later answer shows the opt-out: without that, the runner would see the
    /// consent and write the opt-out again.
    ConsentForOptOut,
    /// An activity on its way to Dynamics gets the subject of another event.
    ChangeEvent,
}

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub struct Service {
    pub name: &'static str,
    /// The port of the emulator.
    pub port: u16,
}

/// The state that all connections share.
pub struct Gateway {
    trouble: AtomicBool,
    lie: Mutex<Option<Lie>>,
    /// The key of the profile whose opt-out became a consent.
    hidden: Mutex<Option<String>>,
    dice: Mutex<Dice>,
    /// Requests that are still to be answered in the same way.
    burst: Mutex<Option<(Fate, u32)>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    /// Requests that are being held or carried out.
    in_flight: AtomicUsize,
    /// The last write that is being held: its address and its body.
    held: Mutex<Option<String>>,
    holds: Notify,
    /// The writes that have come since they were taken last.
    writes: Mutex<Vec<Write>>,
    log: Mutex<std::fs::File>,
    began: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request as it came.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn is_write(&self) -> bool {
        self.method != "GET" && !self.target.contains("token")
    }

    fn is_token(&self) -> bool {
        self.target.contains("/token") || self.target.contains("/ims/")
    }
}

/// A write that came to the gateway.
#[derive(Clone, Debug)]
pub struct Write {
    /// Service, method and address.
    pub request: String,
    pub body: String,
}

impl std::fmt::Display for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.request, self.body)
    }
}

/// An answer in full.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, content_type: &str, body: &[u8]) -> Answer {
        Answer { status, headers: vec![("Content-Type".to_owned(), content_type.to_owned())], body: body.to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} OK\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if self.status != 204 {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }
}

impl Gateway {
    /// A gateway whose decisions come from the dice; it writes a line for each request to the log.
    pub fn new(dice: Dice, log: std::fs::File) -> Arc<Gateway> {
        Arc::new(Gateway {
            trouble: AtomicBool::new(false),
            lie: Mutex::new(None),
            hidden: Mutex::new(None),
            dice: Mutex::new(dice),
            burst: Mutex::new(None),
            counts: Mutex::new(BTreeMap::new()),
            in_flight: AtomicUsize::new(0),
            held: Mutex::new(None),
            holds: Notify::new(),
            writes: Mutex::default(),
            log: Mutex::new(log),
            began: Instant::now(),
        })
    }

    /// Turns trouble on or off. What is under way goes on.
    pub fn set_trouble(&self, on: bool) {
        self.trouble.store(on, Ordering::SeqCst);
        *lock(&self.burst) = None;
    }

    pub fn set_lie(&self, lie: Option<Lie>) {
        *lock(&self.lie) = lie;
    }

    /// How many requests met which fault.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// Whether every request has been delivered or dropped.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) == 0
    }

    /// Waits until a write is being held, and returns its address and body.
    pub async fn held_write(&self, at_most: Duration) -> Option<String> {
        tokio::time::timeout(at_most, self.holds.notified()).await.ok()?;
        lock(&self.held).clone()
    }

    /// The writes that have come since the last call.
    pub fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut lock(&self.writes))
    }

    /// Writes a line to the log.
    pub fn note(&self, text: &str) {
        let _ = writeln!(lock(&self.log), "{:9.3} {text}", self.began.elapsed().as_secs_f64());
    }

    /// Answers connections until the listener's task is ended.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, service: Service) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            tokio::spawn(Arc::clone(&self).connection(stream, service.clone()));
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream, service: Service) {
        let mut buffer = Vec::new();
        while let Some(mut request) = read_request(&mut stream, &mut buffer).await {
            // The service, too, sees the address by which it was called; the emulator of Campaign writes its own into links.
            request.headers.retain(|(name, _)| {
                !matches!(&*name.to_ascii_lowercase(), "connection" | "accept-encoding" | "content-length" | "transfer-encoding" | "expect")
            });
            let host = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.clone());
            let fate = self.decide(&request);
            *lock(&self.counts).entry(fate.name()).or_default() += 1;
            let (done, answer) = tokio::sync::oneshot::channel();
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            // A separate task: it continues when the runner's connection is gone.
            tokio::spawn(Arc::clone(&self).carry_out(request, service.clone(), host, fate, done));
            let Ok(answer) = answer.await else { return };
            let bytes = answer.bytes();
            let written = match fate {
                Fate::LoseAnswer | Fate::Reset => return,
                Fate::CutAnswer => {
                    let _ = stream.write_all(&bytes[..bytes.len() - (answer.body.len() / 2).max(1)]).await;
                    return;
                }
                Fate::RepeatAnswer => stream.write_all(&[bytes.as_slice(), bytes.as_slice()].concat()).await,
                _ => stream.write_all(&bytes).await,
            };
            if written.is_err() {
                return;
            }
        }
    }

    /// Delivers a request as decided, and hands its answer on.
    async fn carry_out(
        self: Arc<Self>,
        mut request: Request,
        service: Service,
        host: Option<String>,
        fate: Fate,
        done: tokio::sync::oneshot::Sender<Answer>,
    ) {
        let what = format!("{} {} {}", service.name, request.method, request.target);
        let sent = String::from_utf8_lossy(&request.body[..request.body.len().min(1500)]).into_owned();
        self.note(&format!("-> {what} [{fate:?}] {}", if request.is_token() { "" } else { &sent }));
        if request.is_write() {
            lock(&self.writes).push(Write { request: what.clone(), body: sent.clone() });
        }
        let answer = match fate {
            Fate::Reset => None,
            Fate::Html(status) => {
                let mut answer =
                    Answer::new(status, "text/html; charset=utf-8", b"<!DOCTYPE html><html><body><h1>Maintenance</h1></body></html>");
                if status == 302 {
                    answer.headers.push(("Location".to_owned(), "http://127.0.0.1:9/sign-in".to_owned()));
                }
                Some(answer)
            }
            Fate::Odd(body) => {
                Some(Answer::new(200, if body.is_empty() { "application/octet-stream" } else { "text/plain" }, body.as_bytes()))
            }
            Fate::Status(status) => {
                let mut answer = Answer::new(status, "text/plain", b"gateway");
                if status != 401 {
                    answer.headers.push(("Retry-After".to_owned(), "1".to_owned()));
                }
                Some(answer)
            }
            _ => {
                if let Fate::Hold(time) = fate {
                    if request.is_write() {
                        *lock(&self.held) = Some(format!("{} {sent}", request.target));
                        self.holds.notify_waiters();
                    }
                    tokio::time::sleep(time).await;
                }
                match self.lie(&mut request) {
                    Some(answer) => Some(answer),
                    None => {
                        if let Fate::SendTwice = fate {
                            let _ = forward(&request, service.port).await;
                        }
                        forward(&request, service.port).await
                    }
                }
            }
        };
        match answer {
            Some(mut answer) => {
                self.hide_consent(&mut answer);
                self.note(&format!("<- {what} {} {}", answer.status, if done.is_closed() { "(its sender is gone)" } else { "" }));
                if let (Some(host), "campaign") = (host, service.name) {
                    let body = String::from_utf8_lossy(&answer.body).replace(&format!("127.0.0.1:{}", service.port), &host);
                    answer.body = body.into_bytes();
                }
                let _ = done.send(answer);
            }
            None => self.note(&format!("<- {what} nothing")),
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    fn decide(&self, request: &Request) -> Fate {
        if !self.trouble.load(Ordering::SeqCst) {
            return Fate::Pass;
        }
        let mut burst = lock(&self.burst);
        if let Some((fate, left)) = *burst {
            *burst = (left > 1).then_some((fate, left - 1));
            return fate;
        }
        let mut dice = lock(&self.dice);
        if dice.percent(1) {
            let fate = dice.pick(&[
                Fate::Status(401),
                Fate::Status(429),
                Fate::Status(503),
                Fate::Html(200),
                Fate::Html(302),
                Fate::Html(400),
                Fate::Html(403),
                Fate::Html(404),
                Fate::Html(503),
            ]);
            *burst = Some((fate, 1 + dice.below(7) as u32));
            return fate;
        }
        let hold = dice.millis(50, LONGEST_HOLD);
        let odd = dice.pick(&["", "OK", "{}", "\u{0}\u{1}binary", "[]", "{\"value\": true}"]);
        let page = Fate::Html(dice.pick(&[200, 302, 400, 403, 404, 500, 502]));
        let status = Fate::Status(dice.pick(&[401, 429, 503]));
        if request.is_write() {
            dice.weighted(&[
                (800, Fate::Pass),
                (60, Fate::Hold(hold)),
                (25, Fate::LoseAnswer),
                (15, Fate::CutAnswer),
                (20, Fate::RepeatAnswer),
                (10, Fate::SendTwice),
                (10, Fate::Reset),
                (15, page),
                (15, Fate::Odd(odd)),
                (15, status),
            ])
        } else {
            dice.weighted(&[
                (900, Fate::Pass),
                (20, Fate::Hold(hold)),
                (8, Fate::LoseAnswer),
                (12, Fate::CutAnswer),
                (20, Fate::RepeatAnswer),
                (8, Fate::Reset),
                (10, page),
                (10, Fate::Odd(odd)),
                (10, status),
            ])
        }
    }

    /// Tells the lie that was ordered, once.
    fn lie(&self, request: &mut Request) -> Option<Answer> {
        let mut order = lock(&self.lie);
        let lie = (*order)?;
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let (from, to) = match lie {
            Lie::SwallowDelete => {
                if request.method != "DELETE" {
                    return None;
                }
                *order = None;
                return Some(Answer { status: 204, headers: Vec::new(), body: Vec::new() });
            }
            Lie::ChangeEvent => ("send: DM1\"", "send: DM9\""),
            Lie::ChangeName => ("\"lastName\":\"", "\"lastName\":\"Not "),
            Lie::ConsentForOptOut => ("\"blackListEmail\":true", "\"blackListEmail\":false"),
        };
        if !text.contains(from) {
            return None;
        }
        request.body = text.replacen(from, to, 1).into_bytes();
        if lie == Lie::ConsentForOptOut {
            *lock(&self.hidden) = request.target.rsplit('/').next().map(str::to_owned);
        }
        *order = None;
        None
    }

    /// Shows the opt-out that became a consent as if it had been written.
    fn hide_consent(&self, answer: &mut Answer) {
        fn show(value: &mut Value, key: &str) {
            match value {
                Value::Object(fields) => {
                    if fields.get("externalId").is_some_and(|id| id == key) {
                        fields.insert("blackListEmail".to_owned(), Value::Bool(true));
                    }
                    fields.values_mut().for_each(|value| show(value, key));
                }
                Value::Array(items) => items.iter_mut().for_each(|item| show(item, key)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let Some(key) = lock(&self.hidden).clone() else { return };
        if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) {
            show(&mut body, &key);
            answer.body = body.to_string().into_bytes();
        }
    }
}

/// Delivers a request on a separate connection; `None` if the service does not answer.
async fn forward(request: &Request, port: u16) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let mut out = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    for (name, value) in &request.headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("Content-Length: {}\r\nConnection: close\r\n\r\n", request.body.len()).as_bytes());
    out.extend_from_slice(&request.body);
    stream.write_all(&out).await.ok()?;
    let mut bytes = Vec::new();
    // The emulator breaks connections on purpose: what came until then is looked at below.
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    if read.is_err() {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(&bytes).ok()? else { return None };
    let mut kept = Vec::new();
    let mut chunked = false;
    let mut announced = None;
    for header in head.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        match &*header.name.to_ascii_lowercase() {
            "content-length" => announced = value.parse::<usize>().ok(),
            "transfer-encoding" => chunked = true,
            "connection" => {}
            _ => kept.push((header.name.to_owned(), value)),
        }
    }
    let status = head.code?;
    let mut body = bytes[length..].to_vec();
    if chunked {
        body = dechunk(&body)?;
    }
    match announced {
        Some(announced) if body.len() < announced => return None,
        // A repeated answer of the emulator: the gateway passes one on. It has its own way to repeat.
        Some(announced) => body.truncate(announced),
        None => {}
    }
    Some(Answer { status, headers: kept, body })
}

fn dechunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let httparse::Status::Complete((start, length)) = httparse::parse_chunk_size(bytes).ok()? else { return None };
        let length = usize::try_from(length).ok()?;
        if length == 0 {
            return Some(out);
        }
        out.extend_from_slice(bytes.get(start..start + length)?);
        bytes = bytes.get(start + length + 2..)?;
    }
}

/// Reads one request; `None` when the peer is gone.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some((request, length)) = parse_request(buffer)? {
            buffer.drain(..length);
            return Some(request);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The request at the beginning of the buffer and its length; `Some(None)` if it is not complete, `None` if it cannot be read.
fn parse_request(buffer: &[u8]) -> Option<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Some(None),
        Err(_) => return None,
    };
    let headers: Vec<(String, String)> =
        head.headers.iter().map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned())).collect();
    let find = |name: &str| headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let rest = &buffer[length..];
    let (body, taken) = if find("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        if !rest.ends_with(b"0\r\n\r\n") {
            return Some(None);
        }
        (dechunk(rest)?, rest.len())
    } else {
        let announced = find("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        if rest.len() < announced {
            return Some(None);
        }
        (rest[..announced].to_vec(), announced)
    };
    let request = Request { method: head.method?.to_owned(), target: head.path?.to_owned(), headers, body };
    Some(Some((request, length + taken)))
}
