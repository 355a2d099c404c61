//! From an error to what is kept of it in a dead letter, in a summary and in logs.

use regex::Regex;
use serde_json::Value;

use crate::connect::ConnectError;
use crate::engine::events::{Emitter, Problem, RunEvent};
use crate::engine::policy::{self, Doubt};
use crate::eval::Rejection;
use crate::plan::{At, ExecutionPlan, IngressFlow};
use crate::printable::one_line;
use crate::store::{Failure, Place};

/// A place of the plan as the state keeps it.
pub(super) fn place(plan: &ExecutionPlan, at: At) -> Place {
    Place { file: plan.files.get(at.file as usize).cloned().unwrap_or_default(), line: at.line, column: at.column }
}

/// Tells of a row that does not say which record it is about, and counts it. `at` is the flow's head.
pub(super) fn nameless(events: &Emitter, plan: &ExecutionPlan, at: At, problem: &str) {
    events.emit(RunEvent::Problem(Problem {
        place: &plan.place(at),
        field: "",
        code: "D904",
        message: problem,
        record: "a row without an id",
    }));
    events.emit(RunEvent::Rejected(1));
}

/// A record that could not be mapped.
pub(super) fn of_rejection(plan: &ExecutionPlan, rejection: &Rejection) -> Failure {
    Failure {
        code: rejection.code.to_owned(),
        message: rejection.message.clone(),
        field: Some(rejection.field.clone()).filter(|field| !field.is_empty()),
        place: Some(place(plan, rejection.at)),
        ..Failure::default()
    }
}

/// A record that the target refused.
pub(super) fn of_error(plan: &ExecutionPlan, flow: &IngressFlow, error: &ConnectError, request: Option<String>) -> Failure {
    let message = match error.call() {
        Some(_) if policy::doubt(error) == Some(Doubt::Stranger) => format!("The answer did not come from Campaign. {error}"),
        Some(call) => {
            let status = call.status.map_or("nothing".to_owned(), |s| s.to_string());
            format!("Campaign answered {status}: {}", call.message.as_deref().unwrap_or("no reason given"))
        }
        None => error.to_string(),
    };
    let blamed = blamed_field(flow, &message);
    let code = error.vendor_code().filter(|c| !c.is_empty()).map_or("D906".to_owned(), str::to_owned);
    Failure {
        code,
        message,
        field: blamed.map(|f| f.path.join(".")),
        place: Some(place(plan, blamed.map_or(flow.at, |f| f.at))),
        request,
        status: error.status(),
        response: error.response_body().map(str::to_owned),
    }
}

/// A service's words for a summary and for logs, which hold no data of persons: what they quote of the record is left out.
/// The whole message stays in the dead letter.
pub(super) fn impersonal(flow: &IngressFlow, failure: &Failure) -> String {
    let names: Vec<&str> = flow.fields.iter().chain([&flow.key]).flat_map(|f| &f.path).map(String::as_str).collect();
    let mut values = Vec::new();
    if let Some(request) = failure.request.as_deref().and_then(|r| serde_json::from_str::<Value>(r).ok()) {
        texts(&request, &mut values);
    }
    // Longer ones first: one may lie within another.
    values.sort_by_key(|v| std::cmp::Reverse(v.len()));
    let mut message = unquoted(&failure.message, &names);
    for value in values {
        // The service may have changed the case before it looked.
        if let Ok(pattern) = Regex::new(&format!("(?i){}", regex::escape(&value))) {
            message = pattern.replace_all(&message, "…").into_owned();
        }
    }
    let words: Vec<&str> = message.split(' ').map(|word| if word.contains('@') { "…" } else { word }).collect();
    words.join(" ")
}

/// Shorter values are found in every other word.
const SHORTEST: usize = 3;

/// The texts in a document, without its names.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        // A message is on one line, and so is what it quotes.
        Value::String(text) if text.trim().chars().count() >= SHORTEST => into.push(one_line(text).into_owned()),
        Value::Array(items) => items.iter().for_each(|v| texts(v, into)),
        Value::Object(fields) => fields.values().for_each(|v| texts(v, into)),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Without text in quotation marks, unless it is the name of a field.
fn unquoted(message: &str, names: &[&str]) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let mark = rest[at..].chars().next().unwrap_or('"');
        let inner = &rest[at + 1..];
        // An apostrophe within a word opens nothing.
        let within = mark == '\'' && rest[..at].ends_with(char::is_alphanumeric);
        let Some(end) = inner.find(mark).filter(|_| !within) else {
            out.push_str(&rest[..=at]);
            rest = inner;
            continue;
        };
        let quoted = &inner[..end];
        let kept = quoted.is_empty() || names.contains(&quoted);
        out.push_str(&rest[..=at]);
        out.push_str(if kept { quoted } else { "…" });
        out.push(mark);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    out
}

/// The field whose name the service's message has as a word, so that the dead letter can point at its line.
fn blamed_field<'f>(flow: &'f IngressFlow, message: &str) -> Option<&'f crate::plan::FieldProgram> {
    let words: Vec<&str> = message.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    flow.fields.iter().find(|f| f.path.last().is_some_and(|name| words.contains(&name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_quotes_of_a_record_is_left_out_and_names_of_fields_stay() {
        let names = ["email", "firstName"];
        for (message, expected) in [
            ("'ada.example.com' is not valid for email", "'…' is not valid for email"),
            ("The value \"Ada\" of 'firstName' is too long", "The value \"…\" of 'firstName' is too long"),
            ("it's the customer's address", "it's the customer's address"),
            ("an 'open quotation", "an 'open quotation"),
        ] {
            assert_eq!(unquoted(message, &names), expected);
        }
    }

    #[test]
    fn texts_of_a_request_are_its_values() {
        let mut found = Vec::new();
        texts(
            &serde_json::json!({"firstName": " Ada ", "location": {"city": "London\r\nSE1"}, "gender": "f", "n": 1815, "x": null}),
            &mut found,
        );
        assert_eq!(found, ["Ada", "London SE1"]);
    }
}
