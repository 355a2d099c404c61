//! JUnit's XML, which every CI service shows beside a merge request: a small model of it, and the findings in it.
//!
//! JUnit has no standard, only readers; what is written here is what GitLab, Jenkins, Azure and CircleCI have in common:
//!
//! - **A suite per mapping file, a case per finding.** The services list failed cases and count them, so one case per file would
//!   hide all findings of a file in one line. A file without findings is one passed case, so that it is seen to have been checked
//!   and a finding that is fixed shows as such.
//! - **A case is recognised from run to run by class and name** (GitLab: "newly failed", Jenkins: the age of a failure). So the name
//!   holds the code and the sentence but no line number, which every edit above would change. GitLab drops all but the first of cases
//!   with one name and class; a second finding with one sentence gets `(2)`.
//! - **The class is `d365map.` and the file**, dots in it replaced: Jenkins treats what is before the last dot as a package.
//! - **A warning is a failure too**, of type `warning`: the exit status is 1 for both, and a passing report next to a failed job would be
//!   confusing.
//! - **`file` and `line`** are in each case: GitLab and CircleCI link to them, others ignore them. (Only the validating xunit plugin
//!   of Jenkins refuses them; its usual junit step does not validate.)
//!
//! The model serves `d365map test` too, with a suite per mapping and a case per test block.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use indexmap::IndexMap;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::json::severity_word;
use super::{Limit, Style, human};
use crate::diagnostics::{Diagnostic, Sources};
use crate::printable;

/// A whole report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suites {
    /// What was run: `d365map check`.
    pub name: String,
    /// The suites, in the order in which they are shown.
    pub suites: Vec<Suite>,
}

/// The cases of one file, or of one mapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// The name shown above the cases.
    pub name: String,
    /// The file, as a path with `/`.
    pub file: Option<String>,
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The name; with the class it is what a service knows the case by from run to run.
    pub name: String,
    /// The class, see [`class_of`].
    pub class: String,
    /// How it went.
    pub outcome: Outcome,
    /// The file, as a path with `/`.
    pub file: Option<String>,
    /// The line, counted from one.
    pub line: Option<u32>,
    /// How long it took; not written where it means nothing.
    pub time: Option<Duration>,
    /// What there is to read beside the outcome.
    pub output: Option<String>,
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "the model of a report has all outcomes of the format"))]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should: a finding, a difference.
    Failed(Trouble),
    /// It could not be run.
    Errored(Trouble),
    /// It was left out, and why.
    Skipped(String),
}

/// What the report says about a case that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One line.
    pub message: String,
    /// The kind, in a word: `error`, `warning`, `difference`.
    pub kind: String,
    /// All there is to say, with its line breaks.
    pub text: String,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Suite {
    fn counts(&self) -> Counts {
        self.cases.iter().fold(Counts { tests: self.cases.len(), ..Counts::default() }, |mut counts, case| {
            match case.outcome {
                Outcome::Passed => {}
                Outcome::Failed(_) => counts.failures += 1,
                Outcome::Errored(_) => counts.errors += 1,
                Outcome::Skipped(_) => counts.skipped += 1,
            }
            counts
        })
    }

    /// The time of all cases, where one of them has a time.
    fn time(&self) -> Option<Duration> {
        self.cases.iter().filter_map(|c| c.time).reduce(|a, b| a + b)
    }
}

/// The class of the cases of a file or a mapping: `mappings/contacts.d365map` is `d365map.mappings/contacts`.
pub fn class_of(file: &str) -> String {
    format!("d365map.{}", file.strip_suffix(".d365map").unwrap_or(file).replace('.', "_"))
}

/// The report as an XML document.
pub fn write(report: &Suites) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory cannot fail. If it did, readers would notice the empty report.
    match document(&mut writer, report) {
        Ok(()) => String::from_utf8(writer.into_inner()).unwrap_or_default() + "\n",
        Err(_) => String::new(),
    }
}

type Xml = Writer<Vec<u8>>;

fn document(xml: &mut Xml, report: &Suites) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let sum = report.suites.iter().map(Suite::counts).fold(Counts::default(), |a, b| Counts {
        tests: a.tests + b.tests,
        failures: a.failures + b.failures,
        errors: a.errors + b.errors,
        skipped: a.skipped + b.skipped,
    });
    let mut attributes = vec![("name", report.name.clone())];
    attributes.extend([("tests", sum.tests.to_string()), ("failures", sum.failures.to_string()), ("errors", sum.errors.to_string())]);
    attributes.extend(report.suites.iter().filter_map(Suite::time).reduce(|a, b| a + b).map(|t| ("time", seconds(t))));
    element(xml, "testsuites", &attributes, |xml| report.suites.iter().try_for_each(|s| suite(xml, s)))
}

fn suite(xml: &mut Xml, suite: &Suite) -> io::Result<()> {
    let counts = suite.counts();
    let mut attributes = vec![("name", suite.name.clone())];
    attributes.extend(suite.file.clone().map(|f| ("file", f)));
    attributes.extend([
        ("tests", counts.tests.to_string()),
        ("failures", counts.failures.to_string()),
        ("errors", counts.errors.to_string()),
        ("skipped", counts.skipped.to_string()),
    ]);
    attributes.extend(suite.time().map(|t| ("time", seconds(t))));
    element(xml, "testsuite", &attributes, |xml| suite.cases.iter().try_for_each(|c| case(xml, c)))
}

fn case(xml: &mut Xml, case: &Case) -> io::Result<()> {
    let mut attributes = vec![("name", case.name.clone()), ("classname", case.class.clone())];
    attributes.extend(case.file.clone().map(|f| ("file", f)));
    attributes.extend(case.line.map(|l| ("line", l.to_string())));
    attributes.extend(case.time.map(|t| ("time", seconds(t))));
    element(xml, "testcase", &attributes, |xml| {
        match &case.outcome {
            Outcome::Passed => {}
            Outcome::Failed(what) => trouble(xml, "failure", what)?,
            Outcome::Errored(what) => trouble(xml, "error", what)?,
            Outcome::Skipped(why) => element(xml, "skipped", &[("message", why.clone())], |_| Ok(()))?,
        }
        case.output.iter().try_for_each(|text| text_element(xml, "system-out", &[], text))
    })
}

fn trouble(xml: &mut Xml, name: &str, what: &Trouble) -> io::Result<()> {
    text_element(xml, name, &[("message", what.message.clone()), ("type", what.kind.clone())], &what.text)
}

fn element(
    xml: &mut Xml,
    name: &str,
    attributes: &[(&'static str, String)],
    inside: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    let attributes = attributes.iter().map(|(key, value)| (*key, allowed(value)));
    xml.create_element(name).with_attributes(attributes).write_inner_content(inside).map(|_| ())
}

fn text_element(xml: &mut Xml, name: &str, attributes: &[(&'static str, String)], text: &str) -> io::Result<()> {
    let attributes = attributes.iter().map(|(key, value)| (*key, allowed(value)));
    xml.create_element(name).with_attributes(attributes).write_text_content(BytesText::new(&allowed(text))).map(|_| ())
}

/// Seconds with three decimals, a point and no sign of thousands, as all readers understand.
fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Control characters are escaped, as in every report. The noncharacters U+FFFE and U+FFFF cannot occur in XML 1.0, not even
/// escaped ("Extensible Markup Language 1.0", production 2), and one of them would make the report unreadable as a whole; a
/// replacement character takes their place.
fn allowed(text: &str) -> Cow<'_, str> {
    let text = printable::block(text);
    let fits = |c: char| !matches!(c, '\u{FFFE}' | '\u{FFFF}');
    if text.chars().all(fits) { text } else { Cow::Owned(text.chars().map(|c| if fits(c) { c } else { '\u{FFFD}' }).collect()) }
}

/// The findings as a report, with a suite for every mapping file.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    // One file can be in two groups of files that are compiled together; it is still one suite.
    let mut suites: IndexMap<&str, Suite> = sources
        .iter()
        .map(|(_, f)| (f.name.as_str(), Suite { name: f.name.clone(), file: Some(f.name.clone()), cases: Vec::new() }))
        .collect();
    let mut seen: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for diagnostic in diagnostics {
        let (file, at) = sources.locate(diagnostic.span);
        let sentence = format!("{}: {}", diagnostic.code, diagnostic.message);
        let times = seen.entry((file, sentence.clone())).or_default();
        *times += 1;
        let name = if *times == 1 { sentence } else { format!("{sentence} ({times})") };
        let outcome = Outcome::Failed(Trouble {
            message: format!("{file}:{}:{}: {}", at.line, at.column, diagnostic.message),
            kind: severity_word(diagnostic.severity()).to_owned(),
            text: human::render(std::slice::from_ref(diagnostic), sources, Style::PLAIN, Limit::NONE),
        });
        let found = Case { outcome, line: Some(at.line), ..case_of(file, name) };
        let suite = suites.entry(file);
        suite.or_insert_with(|| Suite { name: file.to_owned(), ..Suite::default() }).cases.push(found);
    }
    for suite in suites.values_mut().filter(|s| s.cases.is_empty()) {
        suite.cases.push(case_of(&suite.name, "no findings".to_owned()));
    }
    write(&Suites { name: "d365map check".to_owned(), suites: suites.into_values().collect() })
}

/// A passed case of a file.
fn case_of(file: &str, name: String) -> Case {
    Case { name, class: class_of(file), outcome: Outcome::Passed, file: Some(file.to_owned()), line: None, time: None, output: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_dot_so_that_its_package_is_the_tool() {
        assert_eq!(class_of("mappings/v1.2/contacts.d365map"), "d365map.mappings/v1_2/contacts");
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_escaped_or_replaced_and_all_others_kept() {
        assert_eq!(allowed("a\u{0}b\u{1B}[0m\u{FFFF}\r"), "a\\u{0}b\\u{1b}[0m\u{FFFD}\\r");
        assert_eq!(allowed("ä\t\n\u{1F600}"), "ä\t\n\u{1F600}");
    }
}
