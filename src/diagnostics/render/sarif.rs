//! SARIF 2.1.0 (OASIS), with what code-scanning services read of it.
//!
//! - Addresses are relative to the folder in which the command was called and carry `%SRCROOT%`, the name that services give to the
//!   root of the repository; a file outside of it has an absolute `file:` address.
//! - Columns count characters (`unicodeCodePoints`), as everywhere in this tool; the byte offsets say the same for those that count otherwise.
//! - A finding is recognised from run to run by `partialFingerprints`: its code and its line's text, not the line's number. The key is
//!   our own: GitHub's upload action adds its `primaryLocationLineHash` itself and complains of one that it would compute otherwise.
//! - Rules hold their page as Markdown and say everything in it, so no address of a web page is needed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Limit;
use super::json::severity_word;
use crate::count::{counted, grouped};
use crate::diagnostics::{Code, Diagnostic, Severity, Sources, Span};

/// The base of relative addresses, by the name that code-scanning services know.
const ROOT: &str = "%SRCROOT%";

/// A file's place in the list of artifacts.
fn artifact_location(span: Span, sources: &Sources) -> Value {
    let (name, _) = sources.locate(span);
    let mut location = place(name);
    if sources.get(span.file).is_some() {
        location["index"] = json!(span.file.0);
    }
    location
}

fn region(span: Span, sources: &Sources) -> Value {
    let (_, start) = sources.locate(span);
    let end = sources.get(span.file).map_or(start, |f| f.position(span.end));
    json!({
        "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column,
        "byteOffset": span.start, "byteLength": span.end.saturating_sub(span.start)
    })
}

fn location(span: Span, sources: &Sources) -> Value {
    json!({ "physicalLocation": { "artifactLocation": artifact_location(span, sources), "region": region(span, sources) } })
}

/// The address of a path with `/`, with its base where it is relative.
fn place(path: &str) -> Value {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(path, KEEP);
    let drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|c: char| c.is_ascii_alphabetic());
    if drive {
        // RFC 8089, appendix E.2: the colon of a drive is not escaped.
        json!({ "uri": format!("file:///{encoded}").replacen("%3A", ":", 1) })
    } else if path.starts_with('/') {
        json!({ "uri": format!("file://{encoded}") })
    } else {
        json!({ "uri": encoded.to_string(), "uriBaseId": ROOT })
    }
}

/// Every code as a rule, in the order of the registry: a rule's index is its code's.
fn rules() -> Vec<Value> {
    let rule = |code: &Code| {
        let page = code.page();
        let body = page.split_once("\n\n").map_or(page, |(_, rest)| rest);
        let first = body.split("\n\n").next().unwrap_or(body).replace('\n', " ");
        json!({
            "id": code.name(),
            "name": rule_name(code.title()),
            "shortDescription": { "text": code.title() },
            "fullDescription": { "text": first.trim() },
            "help": { "text": page, "markdown": page },
            "defaultConfiguration": { "level": severity_word(code.severity()) },
            "properties": {
                "tags": [family(*code)],
                "precision": "very-high",
                "problem.severity": severity_word(code.severity())
            }
        })
    };
    Code::ALL.iter().map(rule).collect()
}

/// A title as the name of a rule, which SARIF asks to be an identifier in Pascal case (2.1.0, 3.49.7): "text may be too long for the
/// target" becomes `TextMayBeTooLongForTheTarget`.
fn rule_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric() && c != '\'').map(|word| word.replace('\'', ""));
    let capital = |word: String| {
        let mut signs = word.chars();
        signs.next().map(|first| first.to_uppercase().chain(signs).collect::<String>()).unwrap_or_default()
    };
    words.map(capital).collect()
}

/// What the first digit of a code stands for, as services show it beside a finding.
fn family(code: Code) -> &'static str {
    match code.name().as_bytes().get(1) {
        Some(b'0') => "syntax",
        Some(b'1') => "names and schema",
        Some(b'2') => "types and loss",
        Some(b'3') => "replacements",
        Some(b'4') => "filters",
        Some(b'5') => "keys, links and order",
        Some(b'6') => "opt-out and privacy",
        Some(b'7') => "limits",
        Some(b'8') => "style",
        _ => "records",
    }
}

/// GitHub's code scanning takes 25,000 results of a run and refuses the whole report beyond that (GitHub, "SARIF support for code
/// scanning", limits).
const MOST_RESULTS: usize = 25_000;

/// What of a very long line is hashed, before and after the finding.
const HASHED: usize = 2048;

/// Code and line, hashed; findings with one code on lines of one text are told apart by their order.
fn fingerprint(diagnostic: &Diagnostic, sources: &Sources, seen: &mut BTreeMap<String, usize>) -> String {
    let line = sources.get(diagnostic.span.file).map_or(Cow::Borrowed(""), |f| {
        let at = (diagnostic.span.start as usize).min(f.text.len());
        let line = f.line_range(f.line_at(at));
        let bytes = &f.text.as_bytes()[line.clone()];
        let at = at - line.start;
        let near = at.saturating_sub(HASHED)..(at + HASHED).min(bytes.len());
        String::from_utf8_lossy(if bytes.len() <= 2 * HASHED { bytes } else { &bytes[near] })
    });
    let (file, _) = sources.locate(diagnostic.span);
    let digest = Sha256::digest(format!("{}\n{file}\n{}", diagnostic.code, line.trim()));
    let short: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    let times = seen.entry(short.clone()).or_default();
    *times += 1;
    format!("{short}:{times}")
}

/// The edits that fix a finding, by file.
fn fixes(diagnostic: &Diagnostic, sources: &Sources) -> Option<Value> {
    let fix = diagnostic.fix.as_ref()?;
    let mut files: BTreeMap<u32, (Value, Vec<Value>)> = BTreeMap::new();
    for edit in &fix.edits {
        let (_, replacements) = files.entry(edit.span.file.0).or_insert_with(|| (artifact_location(edit.span, sources), Vec::new()));
        replacements.push(json!({ "deletedRegion": region(edit.span, sources), "insertedContent": { "text": edit.text } }));
    }
    let changes: Vec<Value> =
        files.into_values().map(|(at, replacements)| json!({ "artifactLocation": at, "replacements": replacements })).collect();
    (!changes.is_empty()).then(|| json!([{ "description": { "text": fix.title }, "artifactChanges": changes }]))
}

fn result(diagnostic: &Diagnostic, sources: &Sources, seen: &mut BTreeMap<String, usize>) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}: {}. {help}", diagnostic.message, diagnostic.label),
        None => format!("{}: {}", diagnostic.message, diagnostic.label),
    };
    let mut result = json!({
        "ruleId": diagnostic.code.name(),
        "ruleIndex": Code::ALL.iter().position(|c| *c == diagnostic.code),
        "level": severity_word(diagnostic.severity()),
        "message": { "text": text },
        "locations": [location(diagnostic.span, sources)],
        "partialFingerprints": { "d365mapCodeAndLine/v1": fingerprint(diagnostic, sources, seen) }
    });
    if !diagnostic.related.is_empty() {
        let related = diagnostic.related.iter().enumerate().map(|(id, (span, label))| {
            let mut location = location(*span, sources);
            location["id"] = json!(id);
            location["message"] = json!({ "text": label });
            location
        });
        result["relatedLocations"] = related.collect();
    }
    if let Some(fixes) = fixes(diagnostic, sources) {
        result["fixes"] = fixes;
    }
    result
}

/// Says that a report does not hold all findings.
pub fn left_out(count: usize) -> String {
    format!(
        "the report holds {} findings, errors before warnings, and leaves out {}: code scanning refuses a report with more",
        grouped(MOST_RESULTS),
        grouped(count)
    )
}

/// How many of `count` findings a report does not hold.
pub fn beyond_limit(count: usize) -> usize {
    count.saturating_sub(MOST_RESULTS)
}

/// All findings as one SARIF log with one run; the rules are all codes of the registry.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut seen = BTreeMap::new();
    let shown = Limit::at_most(MOST_RESULTS).choose(diagnostics, |_| ());
    let results: Vec<Value> =
        diagnostics.iter().zip(&shown).filter(|(_, shown)| **shown).map(|(d, _)| result(d, sources, &mut seen)).collect();
    let left = diagnostics.len() - results.len();
    let notes: Vec<Value> = (left > 0).then(|| json!({ "level": "warning", "message": { "text": left_out(left) } })).into_iter().collect();
    let artifacts: Vec<Value> = sources
        .iter()
        .map(|(_, f)| {
            json!({
                "location": place(&f.name), "length": f.text.len(), "encoding": "UTF-8", "mimeType": "text/plain",
                "sourceLanguage": "d365map", "roles": ["analysisTarget"]
            })
        })
        .collect();
    let errors = diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
    let mut driver = json!({
        "name": "d365map",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": rules()
    });
    // Where the program comes from, if Cargo.toml says so.
    if let Some(address) = [env!("CARGO_PKG_HOMEPAGE"), env!("CARGO_PKG_REPOSITORY")].into_iter().find(|address| !address.is_empty()) {
        driver["informationUri"] = json!(address);
    }
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            // Findings are a result of the check, not a failure of it.
            "invocations": [{
                "executionSuccessful": true,
                "exitCode": u8::from(!diagnostics.is_empty()),
                "exitCodeDescription": format!("{}, {}", counted(errors, "error"), counted(diagnostics.len() - errors, "warning")),
                "toolExecutionNotifications": notes
            }],
            "originalUriBaseIds": {
                ROOT: { "description": { "text": "the folder in which the command was called: the root of the repository" } }
            },
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results
        }]
    });
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_default();
    text.push('\n');
    text
}
