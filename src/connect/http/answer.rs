//! Reads what a service says in an error body, whatever its shape.
//!
//! Dataverse: `{"error":{"code","message"}}` (Dataverse Web API: *Compose HTTP requests and handle errors*). Token services:
//! `{"error","error_description"}` (RFC 6749, 5.2). Campaign: `{"error_code","message"}` from its gateway, `{"code","message"}`
//! from the application (Campaign Standard: *Troubleshooting*). Partner Center: `{"error":{"code","message","innerError":{"code",…}}}`, and
//! `{"code","description"}` for webhooks. That a duplicate key is recognizable by the words of the
//! message is assumed: Campaign documents no code for it.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::retry::Body;
use crate::printable;

/// A service's own words, on one line and without characters that a terminal obeys: they become part of our messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

/// Codes by which a service says that a record's version is another: Dataverse's ConcurrencyVersionMismatch, and those of Partner Center.
const CHANGED_CODES: [&str; 4] = ["0x80060882", "-2147088254", "preconditionFailed", "resourceModified"];
/// Codes by which Dataverse says that a key is taken: DuplicateRecordEntityKey and DuplicateRecord.
const DUPLICATE_CODES: [&str; 4] = ["0x80060892", "-2147088238", "0x80040237", "-2147220937"];
/// Words by which a service says that a key is taken.
const DUPLICATE_WORDS: [&str; 4] = ["already exist", "duplicate key", "duplicate record", "not unique"];

/// Campaign's words for any failure it has no words for, a wrong address among them. They do not say that a write was refused.
const CATCH_ALL: &str = "something went wrong";

/// Reads an error body. Anything other than an error document gives [`Body::Mute`].
pub(super) fn read(body: &[u8]) -> (Said, Body) {
    let value = serde_json::from_slice::<Value>(strip_bom(body)).ok();
    let inner = value.as_ref().map(inner_codes).unwrap_or_default();
    let Some(said) = value.as_ref().and_then(said) else { return (Said::default(), Body::Mute) };
    let message = said.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let code = said.code.as_deref().unwrap_or_default();
    let kind = if DUPLICATE_CODES.iter().any(|c| c.eq_ignore_ascii_case(code)) || DUPLICATE_WORDS.iter().any(|w| message.contains(w)) {
        Body::Duplicate
    } else if CHANGED_CODES.iter().any(|c| c.eq_ignore_ascii_case(code))
        || inner.iter().any(|code| CHANGED_CODES.iter().any(|c| c.eq_ignore_ascii_case(code)))
    {
        Body::Changed
    } else if message.contains(CATCH_ALL) {
        Body::Mute
    } else {
        Body::Error
    };
    (said, kind)
}

fn said(value: &Value) -> Option<Said> {
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => Some(printable::one_line(text).into_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    let said = match value.get("error") {
        Some(Value::Object(error)) => Said { code: text(error.get("code")), message: text(error.get("message")) },
        Some(Value::String(error)) => {
            let message = text(value.get("error_description")).or_else(|| text(value.get("message")));
            let code = message.as_deref().and_then(aadsts).map_or_else(|| printable::one_line(error).into_owned(), str::to_owned);
            Said { code: Some(code), message }
        }
        _ => Said {
            code: text(value.get("error_code")).or_else(|| text(value.get("code"))),
            message: text(value.get("message")).or_else(|| text(value.get("description"))),
        },
    };
    (said.code.is_some() || said.message.is_some()).then_some(said)
}

/// The codes of the errors within an error, which say more than the one around them. Both spellings of the property occur.
fn inner_codes(value: &Value) -> Vec<&str> {
    const DEPTH: usize = 10;
    let mut codes = Vec::new();
    let mut error = value.get("error");
    for _ in 0..DEPTH {
        error = error.and_then(|error| error.get("innerError").or_else(|| error.get("innererror")));
        let Some(inner) = error else { break };
        codes.extend(inner.get("code").and_then(Value::as_str));
    }
    codes
}

/// The code at the start of an Entra ID message: `AADSTS7000215: Invalid client secret…`.
fn aadsts(message: &str) -> Option<&str> {
    let digits = message.strip_prefix("AADSTS")?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| &message[.."AADSTS".len() + digits])
}

/// Without the byte order mark that Dataverse may put before a text.
pub(super) fn strip_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// Whether an answer is a page for people. A sign-in page may come with any content type, so its first characters count too.
pub(super) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let declared = headers.get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let start = strip_bom(body).trim_ascii_start();
    declared.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
        || [&b"<!doctype"[..], b"<html"].iter().any(|tag| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag))
}

/// The id under which the service keeps the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-ms-service-request-id", "req_id", "x-ms-request-id", "x-request-id", "request-id", "ms-correlationid", "ms-requestid"]
        .iter()
        .find_map(|name| headers.get(*name))
        .and_then(|value| value.to_str().ok())
        .map(|id| id.chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str) -> (Option<String>, Option<String>, Body) {
        let (said, kind) = read(body.as_bytes());
        (said.code, said.message, kind)
    }

    #[test]
    fn every_services_error_shape_is_read() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            parts(r#"{"error":{"code":"0x80040217","message":"contact With Id = x Does Not Exist"}}"#),
            (some("0x80040217"), some("contact With Id = x Does Not Exist"), Body::Error)
        );
        assert_eq!(
            parts(r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret","error_codes":[7000215]}"#),
            (some("AADSTS7000215"), some("AADSTS7000215: Invalid secret"), Body::Error)
        );
        assert_eq!(
            parts(r#"{"error":"invalid_scope","error_description":"no such scope"}"#),
            (some("invalid_scope"), some("no such scope"), Body::Error)
        );
        assert_eq!(
            parts(
                r#"{"error":{"code":"preconditionFailed","message":"m","innerError":{"code":"other","innererror":{"code":"resourceModified"}}}}"#
            ),
            (some("preconditionFailed"), some("m"), Body::Changed)
        );
        assert_eq!(
            parts(r#"{"error":{"code":"x","message":"m","innerError":{"code":"other","innererror":{"code":"resourceModified"}}}}"#).2,
            Body::Changed
        );
        assert_eq!(parts(r#"{"code":"400102","description":"d","data":[],"source":"s"}"#), (some("400102"), some("d"), Body::Error));
        assert_eq!(
            parts(r#"{"error_code":"401013","message":"Oauth token is not valid"}"#),
            (some("401013"), some("Oauth token is not valid"), Body::Error)
        );
        assert_eq!(
            parts(r#"{"code":500,"message":"Oops. Something went wrong. Check your URI and try again."}"#),
            (some("500"), some("Oops. Something went wrong. Check your URI and try again."), Body::Mute)
        );
    }

    #[test]
    fn a_taken_key_is_recognized_by_code_in_any_case_or_by_words() {
        assert_eq!(parts(r#"{"error":{"code":"0X80060892","message":"Entity Key violated."}}"#).2, Body::Duplicate);
        assert_eq!(parts(r#"{"error_code":"500","message":"A profile with this externalId Already Exists"}"#).2, Body::Duplicate);
    }

    #[test]
    fn what_is_not_an_error_document_says_nothing() {
        for body in ["", "<html><body>502</body></html>", "{", "{}", "[]", "null", r#"{"value":[]}"#, "upstream timed out"] {
            assert_eq!(parts(body), (None, None, Body::Mute), "{body}");
        }
    }

    #[test]
    fn a_page_for_people_is_seen_by_its_type_or_its_start() {
        let mut headers = HeaderMap::new();
        assert!(is_html(&headers, b"\r\n <!DOCTYPE html><html>"));
        assert!(is_html(&headers, b"<HTML>"));
        assert!(!is_html(&headers, b"{\"a\":\"<html>\"}"));
        assert!(!is_html(&headers, b""));
        headers.insert("content-type", "Text/HTML; charset=utf-8".parse().unwrap());
        assert!(is_html(&headers, b""));
    }
}
