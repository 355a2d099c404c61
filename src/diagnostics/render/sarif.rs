//! SARIF 2.1.0 (OASIS), the parts that code-scanning services read.

use serde_json::{Value, json};

use super::json::severity_word;
use crate::diagnostics::{Code, Diagnostic, Sources, Span};

fn location(span: Span, sources: &Sources, text: Option<&str>) -> Value {
    let (name, start) = sources.locate(span);
    let end = sources.get(span.file).map_or(start, |f| f.position(span.end));
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(name) },
            "region": {
                "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column,
                "byteOffset": span.start, "byteLength": span.end - span.start
            }
        }
    });
    if let Some(text) = text {
        location["message"] = json!({ "text": text });
    }
    location
}

/// A relative path as a URI reference.
fn uri(path: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(path, KEEP).to_string()
}

/// All findings as one SARIF log with one run; the rules are all codes of the registry.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": { "text": code.title() },
                "help": { "text": code.page(), "markdown": code.page() },
                "defaultConfiguration": { "level": severity_word(code.severity()) }
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|d| {
            let text = match &d.help {
                Some(help) => format!("{}: {}. {help}", d.message, d.label),
                None => format!("{}: {}", d.message, d.label),
            };
            let mut result = json!({
                "ruleId": d.code.name(),
                "ruleIndex": Code::ALL.iter().position(|c| *c == d.code),
                "level": severity_word(d.severity()),
                "message": { "text": text },
                "locations": [location(d.span, sources, None)]
            });
            if !d.related.is_empty() {
                let related: Vec<Value> = d.related.iter().map(|(span, label)| location(*span, sources, Some(label))).collect();
                result["relatedLocations"] = Value::Array(related);
            }
            result
        })
        .collect();
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "d365map", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results
        }]
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}
