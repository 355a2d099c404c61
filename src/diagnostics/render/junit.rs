//! JUnit XML, as GitLab, Jenkins and others read it: one suite for each file, one case for each finding, and one that
//! passes for a file without any, so that a report never looks as if nothing had been checked. Errors and warnings are
//! failures both, as the exit status says; the type tells them apart.

use std::collections::BTreeMap;

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};

use super::json::severity_word;
use crate::diagnostics::{Diagnostic, Sources};

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In order.
    pub suites: Vec<Suite>,
}

/// What belongs together, such as the cases of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// In order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The class that reports show before the name.
    pub class: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// Why it failed; `None` where it passed.
    pub failure: Option<Failure>,
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In one line.
    pub message: String,
    /// A word, such as the severity.
    pub kind: String,
    /// In full.
    pub text: String,
}

impl Report {
    /// The report as XML.
    pub fn xml(&self) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing into a vector cannot fail.
        let _ = self.write(&mut writer);
        let body = String::from_utf8(writer.into_inner()).unwrap_or_default();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}\n")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let count = |suites: &[Suite]| {
            let cases = || suites.iter().flat_map(|s| &s.cases);
            (cases().count().to_string(), cases().filter(|c| c.failure.is_some()).count().to_string())
        };
        let (tests, failures) = count(&self.suites);
        let root = writer.create_element("testsuites").with_attributes([
            ("name", "d365map"),
            ("tests", &*tests),
            ("failures", &*failures),
            ("errors", "0"),
        ]);
        root.write_inner_content(|writer| {
            for suite in &self.suites {
                let (tests, failures) = count(std::slice::from_ref(suite));
                let attributes = [
                    ("name", plain(&suite.name)),
                    ("tests", tests),
                    ("failures", failures),
                    ("errors", "0".into()),
                    ("skipped", "0".into()),
                ];
                let element = writer.create_element("testsuite").with_attributes(attributes.iter().map(|(k, v)| (*k, v.as_str())));
                element.write_inner_content(|writer| suite.cases.iter().try_for_each(|case| case.write(writer)))?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl Case {
    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let line = self.line.to_string();
        let attributes = [
            ("name", plain(&self.name)),
            ("classname", plain(&self.class)),
            ("file", plain(&self.file)),
            ("line", line),
            ("time", "0".into()),
        ];
        let element = writer.create_element("testcase").with_attributes(attributes.iter().map(|(k, v)| (*k, v.as_str())));
        match &self.failure {
            None => element.write_empty()?,
            Some(failure) => element.write_inner_content(|writer| {
                let (message, kind) = (plain(&failure.message), plain(&failure.kind));
                let element = writer.create_element("failure").with_attributes([("message", &*message), ("type", &*kind)]);
                element.write_inner_content(|writer| writer.write_event(Event::Text(BytesText::new(&plain(&failure.text)))))?;
                Ok(())
            })?,
        };
        Ok(())
    }
}

/// Without the control characters that XML cannot hold.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The findings of all files as a report.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut by_file: BTreeMap<u32, Vec<&Diagnostic>> = BTreeMap::new();
    for finding in diagnostics {
        by_file.entry(finding.span.file.0).or_default().push(finding);
    }
    let suites = sources.iter().map(|(id, file)| {
        let case = |name: String, line: u32, failure: Option<Failure>| Case {
            name,
            class: file.name.clone(),
            file: file.name.clone(),
            line,
            failure,
        };
        let cases = match by_file.get(&id.0) {
            None => vec![case("no findings".to_owned(), 1, None)],
            Some(findings) => findings
                .iter()
                .map(|d| {
                    let at = file.position(d.span.start);
                    let help = d.help.as_ref().map(|h| format!("\nhelp: {h}")).unwrap_or_default();
                    let text = format!("{}:{}:{}\n{}: {}{help}", file.name, at.line, at.column, d.message, d.label);
                    let failure = Failure { message: d.message.clone(), kind: severity_word(d.severity()).to_owned(), text };
                    case(format!("{} line {}", d.code, at.line), at.line, Some(failure))
                })
                .collect(),
        };
        Suite { name: file.name.clone(), cases }
    });
    Report { suites: suites.collect() }.xml()
}
