//! `$batch`: many requests in one, with change sets that are carried out as a whole or not at all.
//!
//! Sources: Dataverse Web API, *Execute batch operations*; OData 4.0, part 1, 11.7 (multipart/mixed; the JSON form is 4.01 and
//! not supported). Every line ends with CRLF and every part with an empty line: without it the service finds its stream not readable.

use std::fmt::Write as _;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::bulk::{self, Bulk, Target};
use super::key::{Entity, RowKey};
use super::write::{Condition, id_in, version};
use super::{Dataverse, name};
use crate::connect::ConnectError;
use crate::connect::http::{Expect, Repeat, Request, refusal};

/// The service's limit of requests in a batch.
pub const LARGEST_BATCH: usize = 1000;

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    method: Method,
    /// Below the service root, encoded; or `$1` for what an earlier request of the change set has made.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
    /// For how many requests it counts in the service's daily limit.
    weight: u64,
}

impl Operation {
    /// Makes a row; `body` is a JSON object. A lookup to a row that the change set's request `n` makes is bound to `"$n"`.
    pub fn create(entity: &Entity, body: impl Into<String>) -> Self {
        Self { method: Method::POST, path: name(&entity.set), headers: Vec::new(), body: Some(body.into()), weight: 1 }
    }

    /// Writes a row; none where a value of the key would break an address (see [`Dataverse::write`]).
    pub fn write(entity: &Entity, key: &RowKey, body: impl Into<String>, condition: &Condition) -> Option<Self> {
        let headers = match condition {
            Condition::Any => Vec::new(),
            Condition::Exists => vec![("If-Match", "*".to_owned())],
            Condition::Absent => vec![("If-None-Match", "*".to_owned())],
            Condition::Version(version) => vec![("If-Match", version.clone())],
        };
        let path = format!("{}{}", name(&entity.set), key.segment()?);
        Some(Self { method: Method::PATCH, path, headers, body: Some(body.into()), weight: 1 })
    }

    /// Deletes a row; none where a value of the key would break an address.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn delete(entity: &Entity, key: &RowKey) -> Option<Self> {
        let path = format!("{}{}", name(&entity.set), key.segment()?);
        Some(Self { method: Method::DELETE, path, headers: Vec::new(), body: None, weight: 1 })
    }

    /// Reads a row; not allowed in a change set.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn get(entity: &Entity, key: &RowKey, select: &[String]) -> Option<Self> {
        let options = super::query(&[("$select", &super::names(select))]);
        let mark = if options.is_empty() { "" } else { "?" };
        let path = format!("{}{}{mark}{options}", name(&entity.set), key.segment()?);
        Some(Self { method: Method::GET, path, headers: Vec::new(), body: None, weight: 1 })
    }

    /// Reads whatever is at a path below the service root; not allowed in a change set.
    pub(super) fn read(path: &str, options: &str) -> Self {
        Self { method: Method::GET, path: format!("{path}?{options}"), headers: Vec::new(), body: None, weight: 1 }
    }

    /// Changes the row that the change set's request `reference` (from 1) makes.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn change_made(reference: usize, body: impl Into<String>) -> Self {
        Self { method: Method::PATCH, path: format!("${reference}"), headers: Vec::new(), body: Some(body.into()), weight: 1 }
    }

    /// Writes rows of one table in one request of CreateMultiple, UpdateMultiple or UpsertMultiple: all of them or none.
    ///
    /// That a batch may contain these requests is not documented explicitly; Microsoft's own client for Python sends such batches.
    ///
    /// # Errors
    /// [`ConnectError::Config`] for a row without a key that the request can use.
    pub fn bulk(entity: &Entity, bulk: Bulk, targets: &[Target]) -> Result<Self, ConnectError> {
        let rows = targets.iter().map(|target| bulk::written(entity, bulk, target)).collect::<Result<Vec<_>, _>>()?;
        let body = Some(bulk::body(rows.iter().map(String::as_str)));
        Ok(Self { method: Method::POST, path: bulk::path(entity, bulk), headers: Vec::new(), body, weight: targets.len() as u64 })
    }

    fn repeat(&self) -> Repeat {
        if self.method == Method::POST { Repeat::Never } else { Repeat::Safe }
    }
}

/// One part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A request by itself.
    Single(Operation),
    /// Requests that are carried out as a whole or not at all.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "rows that are written together"))]
    ChangeSet(Vec<Operation>),
}

impl Part {
    fn operations(&self) -> &[Operation] {
        match self {
            Self::Single(operation) => std::slice::from_ref(operation),
            Self::ChangeSet(operations) => operations,
        }
    }
}

/// The answer to one request of a batch, with status 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The id of the row that was written, where the answer names it.
    pub id: Option<Uuid>,
    /// The row's version, where the answer names it.
    pub version: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// What became of one part.
#[derive(Debug, Clone)]
pub enum PartOutcome {
    /// Its requests' answers, in their order; one for a request by itself.
    Done(Vec<Answer>),
    /// It failed. Of a change set nothing was kept.
    Failed {
        /// Which request of a change set failed (from 0), where the service told.
        #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "what two-way flows read"))]
        at: Option<usize>,
        /// Why.
        error: ConnectError,
    },
    /// It was not begun, since an earlier one failed.
    NotBegun,
}

impl Dataverse {
    /// Sends a batch. Without `go_on` it ends with the first part that fails; what came before stays done.
    ///
    /// # Errors
    /// [`ConnectError::Config`] for a batch that the service would refuse as a whole: more than 1000 requests, a reading in a change
    /// set. [`ConnectError::OutcomeUnknown`] when the answer was not seen and a request makes rows under ids of the service's.
    /// Others as they come; what befalls single parts is in their outcomes.
    pub async fn batch(&self, parts: &[Part], go_on: bool) -> Result<Vec<PartOutcome>, ConnectError> {
        let count: usize = parts.iter().map(|p| p.operations().len()).sum();
        if count > LARGEST_BATCH {
            return Err(ConnectError::config(
                format!("dataverse: a batch of {count} requests"),
                format!("send {LARGEST_BATCH} at most in one; small batches in parallel are faster"),
            ));
        }
        for part in parts {
            if let Part::ChangeSet(operations) = part
                && (operations.is_empty() || operations.iter().any(|o| o.method == Method::GET))
            {
                return Err(ConnectError::config(
                    "dataverse: a change set is empty or reads",
                    "a change set must have one or more writes, and no reads",
                ));
            }
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let boundary = format!("batch_{}", Uuid::new_v4().simple());
        let path = self.0.root.path().to_owned();
        let text = written(parts, &boundary, &path);
        let more = if go_on { vec![(HeaderName::from_static("prefer"), "odata.continue-on-error".to_owned())] } else { Vec::new() };
        let mut request = self.change(Method::POST, self.url("$batch", "")?, Some(&text), more)?;
        let kind = HeaderValue::try_from(format!("multipart/mixed; boundary=\"{boundary}\""));
        request.headers.insert(CONTENT_TYPE, kind.map_err(|_| ConnectError::config("dataverse: the batch has no boundary", "try again"))?);
        request.headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("multipart/mixed, application/json"));
        let request = Request {
            repeat: if parts.iter().flat_map(|p| p.operations()).all(|o| o.repeat() == Repeat::Safe) {
                Repeat::Safe
            } else {
                Repeat::Never
            },
            expect: Expect::Multipart,
            weight: parts.iter().flat_map(|p| p.operations()).map(|o| o.weight).sum(),
            kind: "$batch",
            ..request
        };
        let reply = self.0.http.exchange(&request).await?;
        let kind = reply.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let found = multipart(kind, &reply.body)
            .map_err(|problem| request.protocol(format!("the batch's answer {problem}: check that no proxy changes answers")))?;
        Ok(outcomes(&request, parts, &found))
    }
}

/// The body of a batch.
fn written(parts: &[Part], boundary: &str, root: &str) -> String {
    let mut text = String::new();
    // Content-IDs are told apart within the whole batch, references reach within a change set: so they begin at 1 in each.
    for (number, part) in parts.iter().enumerate() {
        let _ = write!(text, "--{boundary}\r\n");
        match part {
            Part::Single(operation) => write_operation(&mut text, operation, None, root),
            Part::ChangeSet(operations) => {
                let set = format!("changeset_{number}_{boundary}");
                let _ = write!(text, "Content-Type: multipart/mixed; boundary=\"{set}\"\r\n\r\n");
                for (at, operation) in operations.iter().enumerate() {
                    let _ = write!(text, "--{set}\r\n");
                    write_operation(&mut text, operation, Some(at + 1), root);
                }
                let _ = write!(text, "--{set}--\r\n\r\n");
            }
        }
    }
    let _ = write!(text, "--{boundary}--\r\n");
    text
}

fn write_operation(text: &mut String, operation: &Operation, id: Option<usize>, root: &str) {
    text.push_str("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = id {
        let _ = write!(text, "Content-ID: {id}\r\n");
    }
    let path = if operation.path.starts_with('$') { operation.path.clone() } else { format!("{root}{}", operation.path) };
    let _ = write!(text, "\r\n{} {path} HTTP/1.1\r\n", operation.method);
    text.push_str("Accept: application/json\r\n");
    for (name, value) in &operation.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if let Some(body) = &operation.body {
        // A body may have several lines; the boundary ends it.
        let _ = write!(text, "Content-Type: application/json; type=entry\r\n\r\n{body}\r\n");
    } else {
        text.push_str("\r\n\r\n");
    }
}

/// A part of an answer.
#[derive(Debug)]
enum Piece {
    Answer { id: Option<usize>, status: u16, headers: HeaderMap, body: Bytes },
    Set(Vec<Piece>),
}

/// Takes a multipart body apart.
fn multipart(content_type: &str, body: &[u8]) -> Result<Vec<Piece>, String> {
    let boundary = boundary(content_type).ok_or("names no boundary")?;
    let mut pieces = Vec::new();
    for part in split(body, &boundary).ok_or("does not end with its boundary")? {
        let (headers, rest) = headers(part).ok_or("has a part without headers")?;
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if kind.to_ascii_lowercase().starts_with("multipart/mixed") {
            pieces.push(Piece::Set(multipart(&kind, rest)?));
            continue;
        }
        let id = headers.get("content-id").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
        let mut parsed = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut parsed);
        let length = match response.parse(rest) {
            Ok(httparse::Status::Complete(length)) => length,
            // An answer without a body may lack the empty line after its headers.
            Ok(httparse::Status::Partial) | Err(_) => return Err("has a part that is not an answer".to_owned()),
        };
        let status = response.code.ok_or("has a part without a status")?;
        let mut inner = HeaderMap::new();
        for header in response.headers.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(header.name), HeaderValue::from_bytes(header.value)) {
                inner.insert(name, value);
            }
        }
        let id = id.or_else(|| inner.get("content-id").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok()));
        pieces.push(Piece::Answer { id, status, headers: inner, body: Bytes::copy_from_slice(rest[length..].trim_ascii()) });
    }
    Ok(pieces)
}

fn boundary(content_type: &str) -> Option<String> {
    let at = content_type.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = &content_type[at..];
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([';', ' ']).next()?,
    };
    (!value.is_empty()).then(|| value.to_owned())
}

/// The parts between the lines of a boundary.
fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut begin: Option<usize> = None;
    let mut at = 0;
    while at < body.len() {
        let end = body[at..].iter().position(|b| *b == b'\n').map_or(body.len(), |n| at + n + 1);
        let line = body[at..end].trim_ascii_end();
        let closing = line.strip_prefix(mark.as_bytes()).map(|rest| rest == b"--");
        if line == mark.as_bytes() || closing == Some(true) {
            if let Some(begin) = begin {
                parts.push(&body[begin..at]);
            }
            if closing == Some(true) {
                return Some(parts);
            }
            begin = Some(end);
        }
        at = end;
    }
    None
}

/// The headers of a part, and what comes after them.
fn headers(part: &[u8]) -> Option<(HeaderMap, &[u8])> {
    let mut parsed = [httparse::EMPTY_HEADER; 32];
    let (length, found) = match httparse::parse_headers(part, &mut parsed) {
        Ok(httparse::Status::Complete(found)) => found,
        Ok(httparse::Status::Partial) | Err(_) => return None,
    };
    let mut map = HeaderMap::new();
    for header in found {
        map.insert(HeaderName::try_from(header.name).ok()?, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((map, &part[length..]))
}

/// What the answers say of the parts. A batch that ended early has fewer answers than parts.
fn outcomes(request: &Request<'_>, parts: &[Part], found: &[Piece]) -> Vec<PartOutcome> {
    let mut found = found.iter();
    parts
        .iter()
        .map(|part| {
            let Some(piece) = found.next() else { return PartOutcome::NotBegun };
            let operations = part.operations();
            let pieces = match piece {
                Piece::Set(pieces) => pieces.as_slice(),
                Piece::Answer { .. } => std::slice::from_ref(piece),
            };
            let mut answers = Vec::new();
            for (n, piece) in pieces.iter().enumerate() {
                let Piece::Answer { id, status, headers, body } = piece else {
                    return PartOutcome::Failed { at: None, error: request.protocol("the batch's answer has a set within a set") };
                };
                let at = id.and_then(|id| id.checked_sub(1)).filter(|at| *at < operations.len());
                if !(200..300).contains(status) {
                    let repeat = operations.get(at.unwrap_or(n)).map_or(Repeat::Safe, Operation::repeat);
                    let at = matches!(part, Part::ChangeSet(_)).then_some(at).flatten();
                    return PartOutcome::Failed { at, error: refusal(request, repeat, *status, headers, body.clone()) };
                }
                let entity = ["odata-entityid", "location"].iter().find_map(|name| id_in(headers.get(*name)?.to_str().ok()?));
                answers.push((at.unwrap_or(n), Answer { status: *status, id: entity, version: version(headers), body: body.clone() }));
            }
            if answers.len() != operations.len() {
                let problem = format!("the batch's answer has {} answers to {} requests", answers.len(), operations.len());
                return PartOutcome::Failed { at: None, error: request.protocol(problem) };
            }
            answers.sort_by_key(|(at, _)| *at);
            PartOutcome::Done(answers.into_iter().map(|(_, answer)| answer).collect())
        })
        .collect()
}
