//! What CI systems and shells are given: reports by their schemas, hooks and documents whose commands exist.

use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use d365map::cli::Cli;
use d365map::diagnostics::render::{Format, Style, render};
use serde_json::Value;

use crate::language::support::{compiled, whole};

fn sarif(text: &str) -> Value {
    let compiled = compiled(text);
    serde_json::from_str(&render(&compiled.diagnostics, &compiled.sources, Format::Sarif, Style::PLAIN)).expect("JSON")
}

#[test]
fn sarif_follows_its_published_schema() {
    // One pattern of the published schema has a lone bracket, which only JavaScript takes for a character.
    let text = include_str!("../data/sarif-2.1.0.json").replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut texts: Vec<String> = d365map::diagnostics::Code::ALL
        .iter()
        .filter_map(|c| Some(c.page().split_once("```d365map wrong\n")?.1.split_once("\n```")?.0.to_owned()))
        .map(|t| whole(&t))
        .collect();
    texts.push(whole("lastname -> lastName"));
    texts.push(whole("\"é😀\" -> lastNam # ü"));
    for text in texts {
        let log = sarif(&text);
        let faults: Vec<String> = validator.iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty(), "{text}\n{faults:#?}");
    }
    // The validator does find faults.
    let mut wrong = sarif(&whole("lastname -> lastNam"));
    wrong["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn a_sarif_finding_carries_its_fix_and_a_print_that_does_not_move_with_the_line() {
    let one = sarif(&whole("lastname -> lastNam"));
    let moved = sarif(&whole("\n\nlastname -> lastNam"));
    let result = |log: &Value| log["runs"][0]["results"][0].clone();
    assert_eq!(result(&one)["partialFingerprints"], result(&moved)["partialFingerprints"]);
    assert_ne!(result(&one)["locations"], result(&moved)["locations"]);
    let replacement = &result(&one)["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert_eq!(replacement["insertedContent"]["text"], "lastName");
    assert_eq!(replacement["deletedRegion"], result(&one)["locations"][0]["physicalLocation"]["region"]);
}

/// Elements of an XML text with their attributes, in order.
fn elements(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().expect("well-formed XML") {
            quick_xml::events::Event::Start(e) | quick_xml::events::Event::Empty(e) => {
                let attributes = e.attributes().map(|a| {
                    let a = a.expect("an attribute");
                    let value = quick_xml::escape::unescape(&a.value).expect("escaped").into_owned();
                    (a.key.as_ref().to_owned(), value)
                });
                found.push((e.name().as_ref().to_owned(), attributes.collect()));
            }
            quick_xml::events::Event::Eof => return found,
            _ => {}
        }
    }
}

#[test]
fn junit_counts_what_it_holds_and_escapes_what_it_shows() {
    let compiled = compiled(&whole("\"<&>\" -> lastNam\nlastname -> lastName | truncate(99)"));
    let xml = render(&compiled.diagnostics, &compiled.sources, Format::Junit, Style::PLAIN);
    let elements = elements(&xml);
    let names: Vec<&str> = elements.iter().map(|e| e.0.as_str()).collect();
    assert_eq!(names, ["testsuites", "testsuite", "testcase", "failure", "testcase", "failure"]);
    let get = |i: usize, key: &str| elements[i].1.iter().find(|a| a.0 == key).map(|a| a.1.as_str());
    for i in [0, 1] {
        assert_eq!((get(i, "tests"), get(i, "failures"), get(i, "errors")), (Some("2"), Some("2"), Some("0")));
    }
    assert_eq!((get(2, "name"), get(2, "classname"), get(2, "line")), (Some("D104 line 3"), Some("mappings/test.d365map"), Some("3")));
    assert_eq!((get(3, "type"), get(5, "type")), (Some("error"), Some("warning")));
    let clean = super::language::support::compiled(&whole("lastname -> lastName"));
    let xml = render(&clean.diagnostics, &clean.sources, Format::Junit, Style::PLAIN);
    assert!(xml.contains("name=\"no findings\"") && xml.contains("failures=\"0\""), "{xml}");
}

#[test]
fn every_shell_gets_a_script_and_every_command_a_manual_page() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_d365map")).args(args).output().expect("it runs");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("dead-letters"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("d365map.bash");
    std::fs::write(&script, run(&["completions", "bash"]).stdout).expect("a file");
    assert!(Command::new("bash").arg("-n").arg(&script).status().expect("bash").success());
    assert!(run(&["man", "--out", &folder.path().to_string_lossy()]).status.success());
    for command in Cli::command().get_subcommands() {
        let page = folder.path().join(format!("d365map-{}.1", command.get_name()));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{text}");
    }
}

fn is_a_call(line: &str) -> Result<(), String> {
    let words = line.split_whitespace().take_while(|w| !matches!(*w, ">" | "#" | "|" | "&&"));
    match Cli::command().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{line}\n{error}")),
    }
}

#[test]
fn the_hooks_call_commands_that_exist() {
    let hooks: Vec<std::collections::BTreeMap<String, Value>> =
        d365map::yaml::from_str(Path::new(".pre-commit-hooks.yaml"), &std::sync::Arc::from(include_str!("../../.pre-commit-hooks.yaml")))
            .expect("YAML");
    assert_eq!(hooks.len(), 3);
    for hook in hooks {
        let entry = hook["entry"].as_str().expect("an entry");
        is_a_call(&format!("{entry} a.d365map b.d365map")).unwrap_or_else(|e| panic!("{e}"));
        let files = regex::Regex::new(hook["files"].as_str().expect("a pattern")).expect("an expression");
        assert!(files.is_match("mappings/a.d365map") && !files.is_match("a.d365map.bak"));
    }
}

#[test]
fn every_command_in_the_documents_exists() {
    let mut count = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder.join("docs")).expect("a folder").flatten().map(|e| e.path()).collect();
    files.extend([folder.join("README.md"), folder.join("examples/contacts/README.md")]);
    for file in files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&file).expect("a document");
        let inline = regex::Regex::new(r"`(d365map [a-z][^`…|\n]*)`").expect("a constant pattern");
        let lines = regex::Regex::new(r"(?m)^(?:\$ |\s*-\s(?:run:\s)?)?(d365map [a-z][^\n…]*)$").expect("a constant pattern");
        let text = text.replace("d365map right", "").replace("d365map wrong", "");
        for found in inline.captures_iter(&text).chain(lines.captures_iter(&text)) {
            let call = found.get(1).expect("a group").as_str();
            // Placeholders in capitals and braces are shown, not typed.
            let plain: Vec<String> =
                call.split_whitespace().map(|w| if w.chars().any(char::is_uppercase) { w.to_lowercase() } else { w.to_owned() }).collect();
            let plain = plain.join(" ").replace(['[', ']'], "");
            is_a_call(&plain).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}
