//! Checks that what people read is plain English: comments, strings and function names in Rust files, and the documents.
//!
//! `tests/voice/phrases.tsv` lists the phrases that a native technical writer would not use, each with what to write instead.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Folders and files that the linter reads.
const READ: &[&str] = &["src", "emulator", "xtask", "tests", "docs", "README.md", "CHANGELOG.md", "ARCHITECTURE.md"];

struct Phrases {
    /// Any of them: most files have none.
    any: Regex,
    list: Vec<BannedPhrase>,
}

struct BannedPhrase {
    pattern: Regex,
    /// Longer expressions that contain the phrase and are good English.
    allowed: Option<Regex>,
    advice: String,
}

struct Finding {
    path: String,
    line: usize,
    phrase: String,
    advice: String,
}

#[test]
fn no_text_uses_a_phrase_of_the_list() {
    let phrases = read_phrases();
    let findings = files().iter().flat_map(|path| findings_in(path, &phrases)).map(|finding| describe(&finding)).collect::<Vec<_>>();
    assert!(findings.is_empty(), "{} phrases to rewrite:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn a_phrase_is_found_in_comments_strings_and_function_names_only() {
    let phrases = read_phrases();
    let found = |text: &str| search(&prose_of_rust(text), &phrases).into_iter().map(|(line, phrase, _)| (line, phrase)).collect::<Vec<_>>();
    let one = |line: usize, phrase: &str| vec![(line, phrase.to_owned())];

    assert_eq!(found("// read it\n// anew\n"), one(2, "anew"));
    assert_eq!(found("/// a key of its\n/// own\n"), one(1, "of its own"));
    assert_eq!(found("let a = \"once \\\n  more\";"), one(1, "once more"));
    assert_eq!(found("let a = r#\"it \"stands\" here\"#;"), one(1, "stands"));
    assert_eq!(found("fn a_name_stands_first() {}"), one(1, "stands"));
    assert_eq!(found("let stands = '\"'; anew(stands, '\\'');"), []);
    assert_eq!(found("// a stand-in; there is no record; it is no longer used"), []);
}

fn read_phrases() -> Phrases {
    let lines = read_lines("tests/voice/phrases.tsv");
    let any = lines.iter().filter_map(|line| line.split('\t').next()).collect::<Vec<_>>().join("|");
    let list = lines
        .iter()
        .map(|line| {
            let mut columns = line.split('\t');
            let pattern = whole_words(columns.next().unwrap_or_default());
            let advice = columns.next().unwrap_or_else(|| panic!("`{line}` does not say what to write instead")).to_owned();
            BannedPhrase { pattern, allowed: columns.next().map(expression), advice }
        })
        .collect();
    Phrases { any: whole_words(&any), list }
}

/// Matches whole words. Every expression ignores case, and its spaces match the end of a line too.
fn whole_words(pattern: &str) -> Regex {
    expression(&format!(r"\b(?:{pattern})\b"))
}

fn expression(pattern: &str) -> Regex {
    let pattern = pattern.replace(' ', r"\s+");
    RegexBuilder::new(&pattern).case_insensitive(true).unicode(false).build().expect("a regular expression")
}

/// Returns the lines of a list, without comments and empty lines.
fn read_lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(ROOT).join(path)).expect(path);
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn files() -> Vec<String> {
    let mut files = Vec::new();
    READ.iter().for_each(|path| collect(path, &mut files));
    files.sort();
    assert!(files.len() > 500, "only {} files were found", files.len());
    files
}

fn collect(path: &str, files: &mut Vec<String>) {
    let full = Path::new(ROOT).join(path);
    if full.is_dir() {
        let names = fs::read_dir(&full).expect(path).map(|entry| entry.expect(path).file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "target" && name != "node_modules").for_each(|name| collect(&format!("{path}/{name}"), files));
    // This file must name the phrases. Markdown is read only where it documents the product.
    } else if path != "tests/it/voice.rs" && (path.ends_with(".rs") || path.ends_with(".md") && !path.starts_with("tests/")) {
        files.push(path.to_owned());
    }
}

fn findings_in(path: &str, phrases: &Phrases) -> Vec<Finding> {
    let text = fs::read_to_string(Path::new(ROOT).join(path)).expect(path);
    let prose = if path.ends_with(".rs") { prose_of_rust(&text) } else { text };
    let found = search(&prose, phrases).into_iter();
    found.map(|(line, phrase, advice)| Finding { path: path.to_owned(), line, phrase, advice: advice.to_owned() }).collect()
}

/// Returns line, phrase and advice for each occurrence.
fn search<'a>(prose: &str, phrases: &'a Phrases) -> Vec<(usize, String, &'a str)> {
    let mut found = Vec::new();
    if !phrases.any.is_match(prose) {
        return found;
    }
    for phrase in &phrases.list {
        let allowed = phrase.allowed.iter().flat_map(|allowed| allowed.find_iter(prose)).map(|found| found.range()).collect::<Vec<_>>();
        for hit in phrase.pattern.find_iter(prose) {
            if !allowed.iter().any(|range| range.start < hit.end() && hit.start() < range.end) {
                let line = prose[..hit.start()].matches('\n').count() + 1;
                found.push((line, hit.as_str().split_whitespace().collect::<Vec<_>>().join(" "), phrase.advice.as_str()));
            }
        }
    }
    found
}

fn describe(finding: &Finding) -> String {
    format!("{}:{}: \"{}\": write {}", finding.path, finding.line, finding.phrase, finding.advice)
}

/// Comments, strings, characters and the names of functions.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r###"(?s)(?P<line>//[/!]?[^\n]*)|(?P<block>/\*.*?\*/)|(?P<raw>\br(?:"[^"]*"|#".*?"#|##".*?"##))|(?P<string>"(?:\\.|[^"\\])*")"###,
        r#"|(?P<char>'(?:\\[^\n]|[^'\\\n])')|\bfn (?P<name>\w+)"#,
    ))
    .expect("a regular expression")
});

/// Replaces code with semicolons, so that comments, strings and the words of function names are left, on the same lines.
fn prose_of_rust(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut end = 0;
    for found in TOKEN.captures_iter(text) {
        let whole = found.get(0).expect("the whole match");
        prose.extend(text[end..whole.start()].chars().map(hide_code));
        end = whole.end();
        if let Some(name) = found.name("name") {
            prose.push(';');
            prose.push_str(&name.as_str().replace('_', " "));
        } else if let Some(line) = found.name("line") {
            prose.push_str(line.as_str().trim_start_matches(['/', '!']));
        } else if found.name("char").is_none() {
            prose.push_str(&whole.as_str().replace("\\\n", " \n"));
        }
    }
    prose.extend(text[end..].chars().map(hide_code));
    prose
}

fn hide_code(char: char) -> char {
    if char.is_whitespace() { char } else { ';' }
}
