//! `$batch`: many operations in one request, change sets in one transaction.
//!
//! The format is OData 4.0's multipart one. [D] The whole body is read before anything is done, so that a malformed batch does
//! nothing. [K] Operations run one after another; the first failure ends the batch with that operation's status unless
//! `Prefer: odata.continue-on-error` was sent, and a change set is done as a whole or not at all. [D]

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use uuid::Uuid;

use super::error::{Fail, Result};
use super::store::Store;
use super::url::Prefer;
use super::{Access, Call, Dataverse, Operations};
use crate::faults::{Fault, Faults};
use crate::net;
use crate::stats::Api;

/// Dataverse Web API, *Execute batch operations*: the most requests in one batch. [D]
const MAX_OPERATIONS: usize = 1000;
/// The longest URL inside a batch. [D]
const MAX_URL: usize = 65_536;

/// What `$1` stands for: the entities that a change set's operations made, by Content-ID.
pub(super) type References = HashMap<String, String>;

/// Goes with an answer: the entity that was written, relative to the service root.
#[derive(Clone, Debug)]
pub(super) struct Entity(pub(super) String);

/// One operation of a batch.
#[derive(Debug)]
struct Operation {
    content_id: Option<String>,
    method: Method,
    /// As in the request line.
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Item {
    One(Operation),
    ChangeSet(Vec<Operation>),
}

fn malformed(text: impl Into<String>) -> Fail {
    Fail::new(400, "0x0", text)
}

/// The error of a batch whose last line ends are missing. [D: troubleshooting of Web API client errors; C: when]
fn unreadable() -> Fail {
    Fail::new(
        400,
        "0x80048d19",
        "Error identified in Payload provided by the user for Entity :'', For more information on this error please follow this help link \
         https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : System.ArgumentException: Stream was not readable.",
    )
}

/// The boundary in a `Content-Type` of `multipart/mixed`.
fn boundary(content_type: &str) -> Result<String> {
    let mut parts = content_type.split(';');
    if !parts.next().unwrap_or("").trim().eq_ignore_ascii_case("multipart/mixed") {
        return Err(malformed("The batch request must have 'multipart/mixed' as the media type in the 'Content-Type' header."));
    }
    for part in parts {
        if let Some((name, value)) = part.split_once('=')
            && name.trim().eq_ignore_ascii_case("boundary")
        {
            let value = value.trim().trim_matches('"');
            // RFC 2046: 1 to 70 characters.
            if (1..=70).contains(&value.len()) {
                return Ok(value.to_owned());
            }
        }
    }
    Err(malformed("The batch request must have a boundary specification in the 'Content-Type' header."))
}

/// Splits a multipart body. Every delimiter is a separate line, including the closing one.
fn split<'a>(text: &'a str, boundary: &str) -> Result<Vec<&'a str>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map(|length| at + length + 1);
        let line = &text[at..end.unwrap_or(text.len())];
        let bare = line.trim_end_matches(['\r', '\n']);
        let closing = bare.trim_end().strip_prefix(&delimiter).is_some_and(|rest| rest == "--");
        if bare.trim_end() == delimiter || closing {
            if let Some(start) = start {
                // The line end before a delimiter belongs to the delimiter.
                parts.push(&text[start..at]);
            }
            if closing {
                return if end.is_some() { Ok(parts) } else { Err(unreadable()) };
            }
            start = Some(end.unwrap_or(text.len()));
        }
        let Some(end) = end else { break };
        at = end;
    }
    Err(unreadable())
}

/// Splits the headers from what follows the empty line.
fn headers(part: &str) -> Result<(HeaderMap, &str)> {
    let mut map = HeaderMap::new();
    let mut rest = part;
    loop {
        let end = rest.find('\n').ok_or_else(unreadable)?;
        // A request without a body may end with two bare line feeds. [D: troubleshooting of Web API client errors]
        if end == 0 && rest[1..].trim_matches(['\r', '\n']).is_empty() {
            return Ok((map, ""));
        }
        let line = rest[..end].strip_suffix('\r').ok_or_else(|| malformed("Lines of a batch end with CRLF."))?;
        rest = &rest[end + 1..];
        if line.is_empty() {
            return Ok((map, rest));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| {
            malformed(format!(
                "The message header '{line}' is invalid. The header value must be of the format '<header name>: <header value>'."
            ))
        })?;
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        let value = HeaderValue::from_str(value.trim());
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(malformed(format!("The message header '{line}' is invalid.")));
        };
        map.append(name, value);
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Reads an `application/http` part.
fn operation(part_headers: &HeaderMap, content: &str) -> Result<Operation> {
    if !text_of(part_headers, "content-type").trim().to_ascii_lowercase().starts_with("application/http") {
        return Err(malformed("A part of a batch has 'application/http' or 'multipart/mixed' as its 'Content-Type'."));
    }
    if !text_of(part_headers, "content-transfer-encoding").eq_ignore_ascii_case("binary") {
        return Err(malformed("A part of a batch has the header 'Content-Transfer-Encoding: binary'."));
    }
    let end = content.find('\n').ok_or_else(unreadable)?;
    let last = !content[end..].is_empty() && content[end..].trim_matches('\n').is_empty() && content.len() - end >= 2;
    let line = content[..end].strip_suffix('\r').or_else(|| last.then_some(&content[..end]));
    let line = line.ok_or_else(|| malformed("Lines of a batch end with CRLF."))?;
    let bad_line = || malformed(format!("The request line '{line}' of a batch part is invalid: it has the form 'METHOD URL HTTP/1.1'."));
    let (method, rest) = line.split_once(' ').ok_or_else(bad_line)?;
    let (url, version) = rest.rsplit_once(' ').ok_or_else(bad_line)?;
    if version != "HTTP/1.1" {
        return Err(bad_line());
    }
    if url.len() > MAX_URL {
        return Err(malformed(format!("The URL of a batch part is longer than {MAX_URL} characters.")));
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad_line())?;
    // The empty line that ends the headers may be the one before the delimiter when there is no body.
    let (headers, body) = headers(&content[end + 1..])?;
    let body = body.strip_suffix("\r\n").unwrap_or(body);
    let content_id = part_headers.get("content-id").or_else(|| headers.get("content-id"));
    let content_id = content_id.and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Operation { content_id, method, url: url.trim().to_owned(), headers, body: body.as_bytes().to_vec() })
}

fn change_set(text: &str, boundary: &str) -> Result<Vec<Operation>> {
    let mut operations: Vec<Operation> = Vec::new();
    for part in split(text, boundary)? {
        let (part_headers, content) = headers(part)?;
        let operation = operation(&part_headers, content)?;
        if !matches!(operation.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            return Err(malformed(format!(
                "An invalid HTTP method '{}' was detected for a request in a change set. Requests in change sets only support the HTTP methods 'POST', 'PUT', \
                 'DELETE', and 'PATCH'.",
                operation.method
            )));
        }
        let Some(id) = &operation.content_id else {
            return Err(malformed("The header with name 'Content-ID' was not present in the header collection of the batch operation."));
        };
        if operations.iter().any(|other| other.content_id.as_ref() == Some(id)) {
            return Err(malformed(format!(
                "The content ID '{id}' was found more than once in the same change set. Content IDs have to be unique across all operations of a change set."
            )));
        }
        operations.push(operation);
    }
    Ok(operations)
}

fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Item>> {
    let boundary_text = boundary(content_type)?;
    let text = std::str::from_utf8(body).map_err(|_| malformed("The batch is not UTF-8."))?;
    // Lines that end with a bare line feed are accepted if two of them end the whole batch. [C: the clients `dataverse-api` and others send
    // such batches; Microsoft's "Execute batch operations" has the two line ends for those who cannot write CRLF]
    let text = if text.ends_with("\n\n") { Cow::Owned(text.replace("\r\n", "\n").replace('\n', "\r\n")) } else { Cow::Borrowed(text) };
    let text = text.as_ref();
    let mut items = Vec::new();
    let mut count = 0;
    for part in split(text, &boundary_text)? {
        let (part_headers, content) = headers(part)?;
        let kind = text_of(&part_headers, "content-type");
        if kind.trim().to_ascii_lowercase().starts_with("multipart/mixed") {
            let operations = change_set(content, &boundary(kind)?)?;
            count += operations.len();
            items.push(Item::ChangeSet(operations));
        } else {
            items.push(Item::One(operation(&part_headers, content)?));
            count += 1;
        }
        if count > MAX_OPERATIONS {
            return Err(malformed(format!(
                "The current batch message contains too many parts. A maximum number of '{MAX_OPERATIONS}' query operations and change sets are allowed \
                 in a batch message."
            )));
        }
    }
    Ok(items)
}

/// The path and query of an operation's URL: absolute, from the host's root, or relative to the service root.
fn target(url: &str, root: &str, references: Option<&References>) -> Result<(String, Option<String>)> {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query.to_owned())));
    let path = match path.strip_prefix("http://").or_else(|| path.strip_prefix("https://")) {
        Some(rest) => rest.find('/').map_or(String::from("/"), |at| rest[at..].to_owned()),
        None if path.starts_with('/') => path.to_owned(),
        None => format!("{root}/{path}"),
    };
    // `$1` and `/$1` stand for the entity that an earlier operation of the change set made; `$batch`, `$metadata` do not.
    let below = path.strip_prefix(root).unwrap_or(&path).trim_start_matches('/');
    let Some(name) = below.strip_prefix('$').filter(|name| name.starts_with(|c: char| c.is_ascii_digit())) else {
        return Ok((path, query));
    };
    let (id, rest) = name.split_once('/').map_or((name, String::new()), |(id, rest)| (id, format!("/{rest}")));
    let entity = resolve(references, &format!("${id}"))?;
    Ok((format!("{root}/{entity}{rest}"), query))
}

/// The entity behind `$1`.
pub(super) fn resolve<'a>(references: Option<&'a References>, name: &str) -> Result<&'a str> {
    let Some(references) = references else { return Err(Fail::no_segment(name)) };
    let entity = name.strip_prefix('$').and_then(|id| references.get(id));
    entity.map(String::as_str).ok_or_else(|| malformed(format!("Content-ID Reference: '{name}' does not exist in the batch context.")))
}

/// Writes an operation's answer as a part.
fn write_part(out: &mut Vec<u8>, boundary: &str, content_id: Option<&str>, response: Response<Body>) {
    let mut head = format!("--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = content_id {
        let _ = write!(head, "Content-ID: {id}\r\n");
    }
    let (parts, body) = response.into_parts();
    let reason = parts.status.canonical_reason().unwrap_or("Unknown");
    let _ = write!(head, "\r\nHTTP/1.1 {} {reason}\r\n", parts.status.as_u16());
    // Header names as the documents print them.
    let shown = [
        ("content-type", "Content-Type"),
        ("etag", "ETag"),
        ("location", "Location"),
        ("odata-entityid", "OData-EntityId"),
        ("odata-version", "OData-Version"),
        ("preference-applied", "Preference-Applied"),
        ("req_id", "REQ_ID"),
        ("retry-after", "Retry-After"),
    ];
    for (name, shown) in shown {
        let value = text_of(&parts.headers, name);
        if !value.is_empty() {
            let _ = write!(head, "{shown}: {value}\r\n");
        }
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(&net::whole(body));
    out.extend_from_slice(b"\r\n");
}

/// The answer to a batch that cannot be read.
fn unreadable_batch(fail: &Fail) -> Response<Body> {
    let outer = format!("batchresponse_{}", Uuid::new_v4());
    let mut out = Vec::new();
    write_part(&mut out, &outer, None, fail.response());
    out.extend_from_slice(format!("--{outer}--\r\n").as_bytes());
    let mut response = Response::new(Body::from(out));
    *response.status_mut() = StatusCode::from_u16(fail.status).unwrap_or(StatusCode::BAD_REQUEST);
    net::set(&mut response, "content-type", &format!("multipart/mixed; boundary={outer}"));
    response
}

/// An operation that runs within a change set, and what `$1` stands for in it.
struct Within<'a> {
    store: &'a mut Store,
    references: &'a References,
}

impl Dataverse {
    /// The faults that were ordered for requests within a batch: one that befalls the whole batch, or those of its parts, in their order.
    /// An answer with a status is that of the part; a batch that is throttled or whose answer is lost is so as a whole. [K]
    pub(crate) fn faults_of_batch(faults: &Faults, path: &str, headers: &HeaderMap, body: &[u8]) -> (Option<Fault>, Vec<Option<Fault>>) {
        let items = parse(text_of(headers, "content-type"), body).unwrap_or_default();
        let operations = items.into_iter().flat_map(|item| match item {
            Item::One(operation) => vec![operation],
            Item::ChangeSet(operations) => operations,
        });
        let mut of_parts = Vec::new();
        for operation in operations {
            let below = operation.url.split('?').next().unwrap_or_default();
            match faults.of_part(Api::Dataverse, path, &operation.method, below) {
                fault @ (Some(Fault::Status { .. }) | None) => of_parts.push(fault),
                whole => return (whole, Vec::new()),
            }
        }
        (None, of_parts)
    }

    /// Runs one operation of a batch, with the batch's own credentials.
    fn operate(&self, outer: &Call<'_>, operation: &Operation, client: usize, within: Option<Within<'_>>) -> Response<Body> {
        let root = self.site.path();
        let references = within.as_ref().map(|within| within.references);
        let run = || -> Result<Response<Body>> {
            let (path, query) = target(&operation.url, root, references)?;
            let mut headers = operation.headers.clone();
            // What the batch says of the protocol holds for its parts. [K]
            for name in ["odata-version", "odata-maxversion", "accept"] {
                if let Some(value) = outer.headers.get(name).filter(|_| !headers.contains_key(name)) {
                    headers.insert(name, value.clone());
                }
            }
            let call = Call { method: &operation.method, path: &path, query: query.as_deref(), headers: &headers, body: &operation.body };
            if path.ends_with("/$batch") {
                return Err(malformed("A batch can't contain other batch requests."));
            }
            match within {
                Some(Within { store, references }) => self.route(&call, client, &mut String::new(), &mut Access::Held(store, references)),
                None => self.route(&call, client, &mut String::new(), &mut Access::Lock(&self.store)),
            }
        };
        let mut response = run().unwrap_or_else(|fail| fail.response());
        net::set(&mut response, "odata-version", "4.0");
        if response.status().as_u16() >= 400 {
            net::set(&mut response, "req_id", &Uuid::new_v4().to_string());
        }
        response
    }

    /// Runs a change set: the answers of all operations, or the one that failed.
    fn change_set(&self, outer: &Call<'_>, operations: &[Operation], client: usize) -> (Vec<(String, Response<Body>)>, bool) {
        let mut store = crate::write(&self.store);
        let store = &mut *store;
        let mark = store.mark();
        let mut references = References::new();
        let mut answers = Vec::with_capacity(operations.len());
        for operation in operations {
            let id = operation.content_id.clone().unwrap_or_default();
            let response = self.operate(outer, operation, client, Some(Within { store, references: &references }));
            if response.status().as_u16() >= 400 {
                store.rollback(mark);
                return (vec![(id, response)], false);
            }
            if let Some(Entity(entity)) = response.extensions().get() {
                references.insert(id.clone(), entity.clone());
            }
            answers.push((id, response));
        }
        store.commit();
        (answers, true)
    }

    /// `POST $batch`. Returns the number of operations run, too.
    pub(super) fn batch(&self, call: &Call<'_>, client: usize, faults: &[Option<Fault>]) -> (Response<Body>, u64) {
        let items = match parse(text_of(call.headers, "content-type"), call.body) {
            Ok(items) => items,
            // A batch that cannot be read is answered in the form of a batch, with the error as its one part. [C] What is not at at at at at at at at at at at at a
            // multipart message at all has no such form.
            Err(fail) if boundary(text_of(call.headers, "content-type")).is_err() => return (fail.response(), 1),
            Err(fail) => return (unreadable_batch(&fail), 1),
        };
        let prefer = Prefer::parse(call.headers);
        let outer = format!("batchresponse_{}", Uuid::new_v4());
        let mut out = Vec::new();
        let mut status = StatusCode::OK;
        let mut count = 0;
        let mut faults = faults.iter();
        for item in items {
            let failed = match item {
                Item::One(operation) => {
                    let fault = faults.next().and_then(Option::as_ref).and_then(|fault| self.fault(fault));
                    let response = fault.unwrap_or_else(|| self.operate(call, &operation, client, None));
                    count += response.extensions().get().map_or(1, |Operations(count)| *count);
                    let failed = Some(response.status()).filter(|status| status.as_u16() >= 400);
                    write_part(&mut out, &outer, operation.content_id.as_deref(), response);
                    failed
                }
                Item::ChangeSet(operations) => {
                    count += operations.len() as u64;
                    // A fault of one of them is the set's.
                    let fault = operations.iter().filter_map(|_| faults.next()).flatten().find_map(|fault| self.fault(fault));
                    let (answers, done) = match fault {
                        Some(response) => (vec![(operations[0].content_id.clone().unwrap_or_default(), response)], false),
                        None => self.change_set(call, &operations, client),
                    };
                    let failed = answers.first().map(|(_, response)| response.status()).filter(|_| !done);
                    // The failed set's one answer is in the response of that set, as the service's OData library writes
                    // it, or directly in the batch. [C]
                    if done || self.site.nested_change_set_error {
                        let inner = format!("changesetresponse_{}", Uuid::new_v4());
                        let head = format!("--{outer}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n");
                        out.extend_from_slice(head.as_bytes());
                        for (id, response) in answers {
                            write_part(&mut out, &inner, Some(&id), response);
                        }
                        out.extend_from_slice(format!("--{inner}--\r\n").as_bytes());
                    } else {
                        for (id, response) in answers {
                            write_part(&mut out, &outer, Some(&id), response);
                        }
                    }
                    failed
                }
            };
            if let Some(failed) = failed
                && !prefer.continue_on_error
            {
                status = failed;
                break;
            }
        }
        out.extend_from_slice(format!("--{outer}--\r\n").as_bytes());
        let mut response = Response::new(Body::from(out));
        *response.status_mut() = status;
        net::set(&mut response, "content-type", &format!("multipart/mixed; boundary={outer}"));
        super::read::apply(&mut response, &prefer);
        (response, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nGET /api/data/v9.2/contacts?$filter=a eq 'b c' HTTP/1.1\r\n\r\n--b--\r\n";

    #[test]
    fn a_request_line_may_hold_blanks_in_its_url() {
        let items = parse("multipart/mixed; boundary=\"b\"", ONE.as_bytes()).unwrap();
        let [Item::One(operation)] = items.as_slice() else { panic!("{items:?}") };
        assert_eq!(operation.url, "/api/data/v9.2/contacts?$filter=a eq 'b c'");
        assert!(operation.body.is_empty());
    }

    #[test]
    fn a_missing_last_line_end_makes_the_stream_unreadable() {
        for cut in [ONE.trim_end().to_owned(), ONE.replace("HTTP/1.1\r\n\r\n", "HTTP/1.1\r\n"), ONE.replace("--b--\r\n", "")] {
            let fail = parse("multipart/mixed;boundary=b", cut.as_bytes()).unwrap_err();
            assert!(fail.message.contains("Stream was not readable"), "{cut:?}: {}", fail.message);
        }
        let two = ONE.replace("HTTP/1.1\r\n\r\n--b--\r\n", "HTTP/1.1\r\n\n--b--\n\n");
        assert_eq!(parse("multipart/mixed;boundary=b", two.as_bytes()).unwrap().len(), 1, "two line feeds end a batch");
        let bare = ONE.replace("\r\n", "\n");
        assert!(parse("multipart/mixed;boundary=b", bare.as_bytes()).unwrap_err().message.contains("CRLF"));
        assert_eq!(parse("multipart/mixed;boundary=b", format!("{bare}\n").as_bytes()).unwrap().len(), 1, "two line feeds end it");
    }

    #[test]
    fn only_multipart_is_a_batch() {
        assert!(parse("application/json", b"{}").unwrap_err().message.contains("multipart/mixed"));
        assert!(parse("multipart/mixed", b"").unwrap_err().message.contains("boundary"));
    }

    #[test]
    fn a_change_set_takes_writes_with_distinct_content_ids() {
        let set = |parts: &[(&str, &str)]| {
            let mut text = String::from("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n");
            for (id, line) in parts {
                let _ = write!(
                    text,
                    "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{id}\r\n{line} HTTP/1.1\r\n\r\n"
                );
            }
            text.push_str("--c--\r\n\r\n--b--\r\n");
            parse("multipart/mixed; boundary=b", text.as_bytes())
        };
        assert!(matches!(set(&[("Content-ID: 1\r\n", "DELETE $1")]).unwrap().as_slice(), [Item::ChangeSet(_)]));
        assert!(set(&[("Content-ID: 1\r\n", "GET contacts")]).unwrap_err().message.contains("'GET'"));
        assert!(set(&[("", "DELETE $1")]).unwrap_err().message.contains("Content-ID"));
        assert!(
            set(&[("Content-ID: 1\r\n", "DELETE a"), ("Content-ID: 1\r\n", "DELETE b")]).unwrap_err().message.contains("more than once")
        );
    }

    #[test]
    fn references_stand_for_entities_of_the_same_change_set() {
        let known = References::from([("1".to_owned(), "contacts(x)".to_owned())]);
        let root = "/api/data/v9.2";
        for url in ["$1", "/$1", "/api/data/v9.2/$1"] {
            assert_eq!(target(url, root, Some(&known)).unwrap().0, "/api/data/v9.2/contacts(x)", "{url}");
        }
        assert_eq!(target("$1/nav/$ref", root, Some(&known)).unwrap().0, "/api/data/v9.2/contacts(x)/nav/$ref");
        let fail = target("$2", root, Some(&known)).unwrap_err();
        assert_eq!((fail.status, fail.message.as_str()), (400, "Content-ID Reference: '$2' does not exist in the batch context."));
        assert_eq!(target("$1", root, None).unwrap_err().message, "Resource not found for the segment '$1'.");
        assert_eq!(target("https://org.crm.dynamics.com/api/data/v9.2/contacts?$top=1", root, None).unwrap().1.as_deref(), Some("$top=1"));
    }
}
