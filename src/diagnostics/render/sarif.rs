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

/// The same for a finding that moved with its line.
fn fingerprint(finding: &Diagnostic, sources: &Sources) -> String {
    use std::hash::Hasher;
    let text = sources.get(finding.span.file).map_or("", |f| &*f.text);
    let start = (finding.span.start as usize).min(text.len());
    let line_start = text.get(..start).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
    let line = text.get(line_start..).and_then(|t| t.lines().next()).unwrap_or_default();
    // The keys are constants: this tells findings apart, it keeps no secret.
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(0x6669_6e64, 0x696e_6773);
    hasher.write(finding.code.name().as_bytes());
    hasher.write(line.trim().as_bytes());
    format!("{:016x}", hasher.finish())
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
            // Services follow a finding from run to run by this: its code and the text of its line, not the line's number.
            let print = fingerprint(d, sources);
            result["partialFingerprints"] = json!({ "primaryLocationLineHash": print });
            if let Some(fix) = &d.fix {
                let changes: Vec<Value> = fix
                    .edits
                    .iter()
                    .map(|edit| {
                        let place = location(edit.span, sources, None);
                        json!({
                            "artifactLocation": place["physicalLocation"]["artifactLocation"],
                            "replacements": [{ "deletedRegion": place["physicalLocation"]["region"], "insertedContent": { "text": edit.text } }]
                        })
                    })
                    .collect();
                result["fixes"] = json!([{ "description": { "text": fix.title }, "artifactChanges": changes }]);
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
            "artifacts": sources.iter().map(|(_, f)| json!({ "location": { "uri": uri(&f.name) }, "sourceLanguage": "d365map" })).collect::<Vec<_>>(),
            "invocations": [{ "executionSuccessful": true }],
            "results": results
        }]
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}
