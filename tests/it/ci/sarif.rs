//! SARIF against the schema that OASIS publishes, and what the schema cannot say.

use std::collections::BTreeSet;

use d365map::check::Compiled;
use d365map::diagnostics::Code;
use d365map::diagnostics::render::{Format, Style, render};
use serde_json::Value;

use super::project;
use crate::language::support::{compiled, whole};

fn sarif(compiled: &Compiled) -> Value {
    serde_json::from_str(&render(&compiled.diagnostics, &compiled.sources, Format::Sarif, Style::PLAIN)).expect("JSON")
}

fn validator() -> jsonschema::Validator {
    let published = include_str!("../data/sarif-schema-2.1.0.json");
    // Two of its patterns have a bracket too many, which strict readers of expressions refuse; later editions have this instead.
    let wrong = r"^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$";
    assert!(published.contains(wrong));
    let schema: Value = serde_json::from_str(&published.replace(wrong, "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$")).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema")
}

fn faults(log: &Value) -> Vec<String> {
    validator().iter_errors(log).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn results(log: &Value) -> &Vec<Value> {
    log["runs"][0]["results"].as_array().expect("results")
}

#[test]
fn the_log_follows_the_published_schema() {
    assert_eq!(faults(&sarif(&project::faulty())), Vec::<String>::new());
    assert_eq!(faults(&sarif(&project::clean())), Vec::<String>::new());
}

#[test]
fn the_log_of_every_code_follows_the_published_schema() {
    let wrong = |code: &Code| Some(code.page().split_once("```d365map wrong\n")?.1.split_once("\n```")?.0);
    let validator = validator();
    for text in Code::ALL.iter().filter_map(wrong) {
        let log = sarif(&compiled(&whole(text)));
        let faults: Vec<String> = validator.iter_errors(&log).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(faults.is_empty() && !results(&log).is_empty(), "{text}\n{faults:#?}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_sarif() {
    let mut log = sarif(&project::faulty());
    log["runs"][0]["results"][0]["level"] = "fatal".into();
    log["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "a b%".into();
    log["runs"][0]["results"][2]["surplus"] = true.into();
    assert_eq!(faults(&log).len(), 3, "{:?}", faults(&log));
}

#[test]
fn without_findings_the_list_of_results_is_there_and_empty() {
    let log = sarif(&project::clean());
    assert!(results(&log).is_empty());
    assert_eq!(log["runs"][0]["invocations"][0]["exitCode"], 0);
    assert_eq!(log["runs"][0]["artifacts"][0]["location"]["uri"], "mappings/contacts.d365map");
}

#[test]
fn every_rule_says_what_it_is_and_every_result_names_its_rule() {
    let log = sarif(&project::faulty());
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), Code::ALL.len());
    let names: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["name"].as_str()).collect();
    assert_eq!(names.len(), rules.len(), "each rule has a different name");
    assert!(
        names.iter().all(|n| n.starts_with(|c: char| c.is_ascii_uppercase()) && n.chars().all(|c| c.is_ascii_alphanumeric())),
        "{names:?}"
    );
    assert!(names.contains("TextMayBeTooLongForTheTarget"), "{names:?}");
    // An address is named only if the project has one.
    let address = [env!("CARGO_PKG_HOMEPAGE"), env!("CARGO_PKG_REPOSITORY")].into_iter().find(|address| !address.is_empty());
    assert_eq!(log["runs"][0]["tool"]["driver"]["informationUri"].as_str(), address);
    for rule in rules {
        let text = |key: &str| rule[key]["text"].as_str().unwrap_or_default().to_owned();
        assert!(!text("shortDescription").is_empty() && !text("fullDescription").is_empty(), "{rule:#}");
        assert!(rule["help"]["markdown"].as_str().is_some_and(|m| m.contains("## ")), "{rule:#}");
        assert!(rule.get("helpUri").is_none());
    }
    for result in results(&log) {
        let rule = &rules[result["ruleIndex"].as_u64().expect("an index") as usize];
        assert_eq!(rule["id"], result["ruleId"]);
    }
}

#[test]
fn addresses_are_relative_to_the_root_and_percent_encoded() {
    let log = sarif(&project::faulty());
    let artifacts = log["runs"][0]["artifacts"].as_array().expect("artifacts");
    assert_eq!(artifacts[0]["location"]["uri"], "mappings/Kontakte%20f%C3%BCr%20100%25.d365map");
    for result in results(&log) {
        let at = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(at["uriBaseId"], "%SRCROOT%");
        assert_eq!(artifacts[at["index"].as_u64().expect("an index") as usize]["location"]["uri"], at["uri"]);
    }
}

#[test]
fn columns_count_characters_and_byte_offsets_say_the_same_place() {
    let compiled = project::faulty();
    let log = sarif(&compiled);
    assert_eq!(log["runs"][0]["columnKind"], "unicodeCodePoints");
    let result = results(&log).iter().find(|r| r["ruleId"] == "D107").expect("the misspelt step");
    let region = &result["locations"][0]["physicalLocation"]["region"];
    let number = |key: &str| region[key].as_u64().expect("a number") as usize;
    let (_, file) = compiled.sources.iter().next().expect("a file");
    let line = file.text.lines().nth(number("startLine") - 1).expect("the line");
    let by_column: String = line.chars().skip(number("startColumn") - 1).take(number("endColumn") - number("startColumn")).collect();
    assert_eq!(by_column, "truncat");
    assert_eq!(&file.text[number("byteOffset")..number("byteOffset") + number("byteLength")], "truncat");
}

#[test]
fn fixes_hold_the_edits_that_check_fix_makes() {
    let log = sarif(&project::faulty());
    let result = results(&log).iter().find(|r| r["ruleId"] == "D103").expect("the misspelt field");
    let change = &result["fixes"][0]["artifactChanges"][0];
    assert_eq!(change["replacements"][0]["insertedContent"]["text"], "firstname");
    assert_eq!(change["replacements"][0]["deletedRegion"]["startLine"], 3);
    assert_eq!(change["artifactLocation"]["uri"], result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]);
}

#[test]
fn related_places_name_their_file_and_say_why() {
    let log = sarif(&project::faulty());
    let elsewhere = results(&log).iter().flat_map(|r| {
        let own = r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        r["relatedLocations"].as_array().into_iter().flatten().filter(move |l| l["physicalLocation"]["artifactLocation"]["uri"] != own)
    });
    let texts: Vec<&str> = elsewhere.filter_map(|l| l["message"]["text"].as_str()).collect();
    assert!(!texts.is_empty() && texts.iter().all(|t| !t.is_empty()), "{texts:?}");
}

/// The fingerprint of every finding with its code.
fn fingerprints(log: &Value) -> BTreeSet<(String, String)> {
    let one = |r: &Value| (r["ruleId"].to_string(), r["partialFingerprints"]["d365mapCodeAndLine/v1"].to_string());
    results(log).iter().map(one).collect()
}

#[test]
fn a_fingerprint_is_unique_and_survives_lines_that_are_added_above() {
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastnmae -> lastName\n  fristname -> firstName\n  lastnmae -> lastName\n}\n";
    let log_of = |text: String| {
        let input = d365map::check::Input { name: "a.d365map".to_owned(), bytes: text.into_bytes() };
        sarif(&d365map::check::compile(vec![input], d365map::schema::Catalogue::builtin()))
    };
    let before = log_of(text.to_owned());
    let after = log_of(format!("# A comment.\n\n{text}"));
    assert_eq!(fingerprints(&before).len(), results(&before).len(), "{:?}", fingerprints(&before));
    assert_eq!(fingerprints(&before), fingerprints(&after));
}
