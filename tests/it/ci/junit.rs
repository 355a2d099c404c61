//! JUnit's XML, read back and compared with the rules of the schemas that its readers use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use d365map::diagnostics::render::junit::{Case, Outcome, Suite, Suites, Trouble, write};
use d365map::diagnostics::render::{Format, Style, render};
use quick_xml::XmlVersion;
use quick_xml::events::Event;

use super::project;

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn parse(xml: &str) -> Element {
        let mut reader = quick_xml::Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let mut stack = vec![Element::default()];
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Start(e) => stack.push(Element::open(&e)),
                Event::Empty(e) => stack.last_mut().expect("a parent").children.push(Element::open(&e)),
                Event::End(_) => {
                    let done = stack.pop().expect("an element");
                    stack.last_mut().expect("a parent").children.push(done);
                }
                Event::Text(e) => stack.last_mut().expect("a parent").text.push_str(&e.xml_content(XmlVersion::Implicit1_0)),
                Event::GeneralRef(e) => {
                    let name = e.xml_content(XmlVersion::Implicit1_0).into_owned();
                    let named = quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned);
                    let text = named.or_else(|| e.resolve_char_ref().expect("a reference").map(String::from)).expect("a known entity");
                    stack.last_mut().expect("a parent").text.push_str(&text);
                }
                Event::Eof => {
                    let root = stack.pop().expect("the document");
                    assert_eq!((stack.len(), root.children.len()), (0, 1), "one root element");
                    return root.children.into_iter().next().expect("a root");
                }
                Event::CData(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn open(e: &quick_xml::events::BytesStart<'_>) -> Element {
        let attribute = |a: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
            let a = a.expect("an attribute");
            let value = a.normalized_value(XmlVersion::Implicit1_0).expect("a value").into_owned();
            (a.key.as_ref().to_owned(), value)
        };
        Element { name: e.name().as_ref().to_owned(), attributes: e.attributes().map(attribute).collect(), ..Element::default() }
    }

    fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }
}

/// What may be in an element, and what must.
struct Rule {
    element: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    children: &'static [&'static str],
}

/// What the schemas in use agree on (that of Jenkins' xunit plugin, with `file` and `line` of a case as GitLab and CircleCI read them).
const RULES: &[Rule] = &[
    Rule { element: "testsuites", required: &[], optional: &["name", "time", "tests", "failures", "errors"], children: &["testsuite"] },
    Rule {
        element: "testsuite",
        required: &["name", "tests", "failures", "errors"],
        optional: &["skipped", "time", "timestamp", "hostname", "id", "package", "file"],
        children: &["testsuite", "properties", "testcase", "system-out", "system-err"],
    },
    Rule {
        element: "testcase",
        required: &["name"],
        optional: &["classname", "time", "file", "line"],
        children: &["skipped", "error", "failure", "system-out", "system-err"],
    },
    Rule { element: "failure", required: &[], optional: &["type", "message"], children: &[] },
    Rule { element: "error", required: &[], optional: &["type", "message"], children: &[] },
    Rule { element: "skipped", required: &[], optional: &["type", "message"], children: &[] },
    Rule { element: "system-out", required: &[], optional: &[], children: &[] },
];

fn hold(element: &Element) {
    let rule = RULES.iter().find(|r| r.element == element.name);
    let Rule { required, optional, children, .. } = rule.unwrap_or_else(|| panic!("no element <{}> in JUnit", element.name));
    for name in *required {
        assert!(element.attributes.contains_key(*name), "<{}> without {name}", element.name);
    }
    for (name, value) in &element.attributes {
        assert!(required.contains(&name.as_str()) || optional.contains(&name.as_str()), "<{}> has no {name}", element.name);
        if ["tests", "failures", "errors", "skipped", "line"].contains(&name.as_str()) {
            assert!(value.parse::<u32>().is_ok(), "{name}={value:?}");
        }
        if name == "time" {
            let (whole, fraction) = value.split_once('.').expect("a decimal point");
            assert!(whole.parse::<u32>().is_ok() && fraction.len() == 3 && fraction.parse::<u32>().is_ok(), "{name}={value:?}");
        }
    }
    for child in &element.children {
        assert!(children.contains(&child.name.as_str()), "<{}> in <{}>", child.name, element.name);
        hold(child);
    }
    let outcomes = element.children.iter().filter(|c| ["failure", "error", "skipped"].contains(&c.name.as_str())).count();
    assert!(element.name != "testcase" || outcomes <= 1, "a case has one outcome");
    if element.name == "testsuite" {
        let count = |name: &str| element.all("testcase").filter(|c| c.all(name).next().is_some()).count().to_string();
        assert_eq!(element.get("tests"), element.all("testcase").count().to_string());
        assert_eq!(element.get("failures"), count("failure"));
        assert_eq!(element.get("errors"), count("error"));
        assert_eq!(element.get("skipped"), count("skipped"));
        let known: BTreeSet<_> = element.all("testcase").map(|c| (c.get("classname"), c.get("name"))).collect();
        assert_eq!(known.len(), element.all("testcase").count(), "cases with one class and name hide each other");
    }
    if element.name == "testsuites" {
        for name in ["tests", "failures", "errors"] {
            let sum: u32 = element.all("testsuite").map(|s| s.get(name).parse::<u32>().expect("a number")).sum();
            assert_eq!(element.get(name), sum.to_string());
        }
    }
}

fn report(compiled: &d365map::check::Compiled) -> Element {
    let root = Element::parse(&render(&compiled.diagnostics, &compiled.sources, Format::Junit, Style::PLAIN));
    assert_eq!(root.name, "testsuites");
    hold(&root);
    root
}

#[test]
fn every_finding_is_a_failed_case_of_its_file_and_errors_and_warnings_are_told_apart() {
    let compiled = project::faulty();
    let root = report(&compiled);
    assert_eq!(root.get("failures"), compiled.diagnostics.len().to_string());
    let names: Vec<&str> = root.all("testsuite").map(|s| s.get("name")).collect();
    assert_eq!(names, [project::ODD_NAME, "mappings/second.d365map", "mappings/clean.d365map"]);
    let kinds: BTreeSet<&str> =
        root.all("testsuite").flat_map(|s| s.all("testcase")).flat_map(|c| c.all("failure")).map(|f| f.get("type")).collect();
    assert_eq!(kinds, BTreeSet::from(["error", "warning"]));
    let case =
        root.all("testsuite").flat_map(|s| s.all("testcase")).find(|c| c.get("name").starts_with("D107")).expect("the misspelt step");
    assert_eq!((case.get("file"), case.get("line")), (project::ODD_NAME, "4"));
    let text = &case.all("failure").next().expect("a failure").text;
    assert!(text.contains("\"Größe: {lastname} 😀\" -> lastName | truncat(50)") && text.contains("did you mean `truncate`?"), "{text}");
}

#[test]
fn a_file_without_findings_is_one_passed_case() {
    let root = report(&project::clean());
    assert_eq!((root.get("tests"), root.get("failures")), ("1", "0"));
    let case = root.all("testsuite").flat_map(|s| s.all("testcase")).next().expect("a case");
    assert_eq!((case.get("classname"), case.get("name")), ("d365map.mappings/contacts", "no findings"));
    assert!(case.children.is_empty());
}

#[test]
fn the_name_of_a_case_does_not_change_with_the_lines_above() {
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastnmae -> lastName\n  lastnmae -> firstName\n}\n";
    let names = |text: String| -> Vec<String> {
        let input = d365map::check::Input { name: "a.d365map".to_owned(), bytes: text.into_bytes() };
        let root = report(&d365map::check::compile(vec![input], d365map::schema::Catalogue::builtin()));
        root.all("testsuite").flat_map(|s| s.all("testcase")).map(|c| c.get("name").to_owned()).collect()
    };
    let before = names(text.to_owned());
    assert!(before.len() == 2 && before[1] == format!("{} (2)", before[0]), "{before:?}");
    assert_eq!(before, names(format!("# A comment.\n\n{text}")));
}

#[test]
fn a_report_of_every_outcome_keeps_its_text_whatever_it_contains() {
    let nasty = "<b> & \"q\" 'a' ]]> \u{1B}[31m ünï\nline\ttab";
    let trouble = |kind: &str| Trouble { message: nasty.to_owned(), kind: kind.to_owned(), text: nasty.to_owned() };
    let case = |name: &str, outcome| Case {
        name: name.to_owned(),
        class: "d365map.x".to_owned(),
        outcome,
        file: Some("x.d365map".to_owned()),
        line: Some(7),
        time: Some(Duration::from_micros(1500)),
        output: (name == "passed").then(|| nasty.to_owned()),
    };
    let cases = vec![
        case("passed", Outcome::Passed),
        case("failed", Outcome::Failed(trouble("difference"))),
        case("errored", Outcome::Errored(trouble("panic"))),
        case("skipped", Outcome::Skipped(nasty.to_owned())),
    ];
    let report = Suites { name: "d365map test".to_owned(), suites: vec![Suite { name: "x".to_owned(), file: None, cases }] };
    let root = Element::parse(&write(&report));
    hold(&root);
    let suite = root.all("testsuite").next().expect("a suite");
    assert_eq!((suite.get("tests"), suite.get("time"), root.get("time")), ("4", "0.006", "0.006"));
    let kept = nasty.replace('\u{1B}', "\\u{1b}");
    for (name, child) in [("failed", "failure"), ("errored", "error")] {
        let case = suite.all("testcase").find(|c| c.get("name") == name).expect("the case");
        let what = case.all(child).next().expect("what went wrong");
        assert_eq!((what.get("message"), what.text.as_str()), (kept.as_str(), kept.as_str()));
    }
    let case = |name: &str| suite.all("testcase").find(|c| c.get("name") == name).expect("the case");
    assert_eq!(case("passed").all("system-out").next().expect("output").text, kept);
    assert_eq!(case("skipped").all("skipped").next().expect("a reason").get("message"), kept);
}

#[test]
fn each_test_block_is_a_case_of_its_mapping() {
    let folder = tempfile::tempdir().expect("a folder");
    let mapping =
        "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName | upper\n}\n";
    let test = |title: &str, expected: &str| {
        format!("test contacts \"{title}\" {{\n  given {{ lastname: \"a\" }}\n  expect {{ lastName: \"{expected}\" }}\n}}\n")
    };
    let text = format!("{mapping}{}{}", test("large", "A"), test("small <b>", "a"));
    std::fs::write(folder.path().join("a.d365map"), text).expect("a file");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_d365map"))
        .args(["test", "--format", "junit", "a.d365map"])
        .current_dir(folder.path())
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(1));
    let root = Element::parse(&String::from_utf8(output.stdout).expect("UTF-8"));
    hold(&root);
    assert_eq!((root.get("name"), root.get("tests"), root.get("failures")), ("d365map test", "2", "1"));
    assert_eq!(root.all("testsuite").map(|s| s.get("name")).collect::<Vec<_>>(), ["contacts"]);
    let cases: Vec<&Element> = root.all("testsuite").flat_map(|s| s.all("testcase")).collect();
    assert_eq!((cases[0].get("name"), cases[0].get("line"), cases[0].children.len()), ("large", "5", 0));
    let failure = cases[1].all("failure").next().expect("a failure");
    assert_eq!(cases[1].get("name"), "small <b>");
    assert_eq!((failure.get("type"), failure.get("message")), ("difference", "lastName: expected \"a\", came \"A\""));
    assert!(failure.text.contains("a.d365map:11"), "{}", failure.text);
}
