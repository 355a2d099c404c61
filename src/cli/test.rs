//! `d365map test [PATH…]`: runs the test blocks.

use std::fmt::Write;
use std::path::PathBuf;

use super::output::{print_file, print_json, print_styled, say_styled, stderr_style, stdout_style};
use super::{Exit, Global};
use crate::app::{CommandError, ErrorKind, files};
use crate::check::{Compiled, TestCase};
use crate::count::counted;
use crate::diagnostics::Severity;
use crate::diagnostics::render::{self, Style, junit, render};
use crate::printable;
use crate::testing::{self, Coverage, Difference, Outcome, Ran};
use crate::time;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders; without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// Run the tests whose mapping or title contains this text.
    #[arg(long)]
    filter: Option<String>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Say which lines, arms and ways of filters no test reaches.
    #[arg(long)]
    coverage: bool,
}

/// The formats of an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// JUnit's XML, for the test reports of CI services.
    Junit,
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    left_out: usize,
}

/// Runs and prints.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let groups = files::asked(&args.paths, global.project.as_deref())?;
    let now = time::now();
    let mut totals = Totals::default();
    let mut out = String::new();
    let mut documents = Vec::new();
    let mut suites = junit::Suites { name: "d365map test".to_owned(), suites: Vec::new() };
    for group in groups {
        let compiled = group.compile();
        let errors: Vec<_> = compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).cloned().collect();
        let Some(plan) = &compiled.plan else {
            say_styled(&render(&errors, &compiled.sources, render::Format::Human, stderr_style()));
            return Err(CommandError::usage("no test was run, since there are errors"));
        };
        let wanted = |case: &&TestCase| args.filter.as_ref().is_none_or(|f| case.mapping.contains(f) || case.title.contains(f.as_str()));
        let report = testing::run(plan, compiled.tests.iter().filter(wanted), now).map_err(|e| CommandError::new(ErrorKind::Bug, e))?;
        totals.left_out += compiled.tests.len() - report.ran.len();
        for ran in &report.ran {
            match ran.outcome {
                Outcome::Passed => totals.passed += 1,
                Outcome::Failed(_) => totals.failed += 1,
            }
        }
        match args.format {
            Format::Human => {
                report.ran.iter().for_each(|r| human(r, &compiled, stdout_style(), &mut out));
                if args.coverage {
                    coverage(&report.coverage, plan, &mut out);
                }
            }
            Format::Json => documents.extend(report.ran.iter().map(|r| json(r, &compiled))),
            Format::Junit => report.ran.iter().for_each(|r| add_case(r, &compiled, &mut suites)),
        }
    }
    if args.format == Format::Json {
        let document = serde_json::json!({
            "version": 1, "passed": totals.passed, "failed": totals.failed, "leftOut": totals.left_out, "tests": documents,
        });
        let _ = writeln!(out, "{document:#}");
    }
    if args.format == Format::Junit {
        out.push_str(&junit::write(&suites));
    }
    match args.format {
        Format::Human => print_styled(&out),
        Format::Json => print_json(&out),
        Format::Junit => print_file(&out),
    }
    if !global.quiet {
        let left_out = if totals.left_out > 0 { format!(", {} left out by --filter", totals.left_out) } else { String::new() };
        say!("{} passed, {} failed{left_out}", totals.passed, totals.failed);
    }
    Ok(if totals.failed > 0 { Exit::Findings } else { Exit::Clean })
}

// Writing into a String cannot fail, here and below.

fn human(ran: &Ran<'_>, compiled: &Compiled, style: Style, out: &mut String) {
    let (red, green, end) = if style.color { ("\u{1b}[31m", "\u{1b}[32m", "\u{1b}[0m") } else { ("", "", "") };
    let case = ran.case;
    // What tests hold must not look like a color of ours.
    let (mapping, title) = (printable::inline(&case.mapping), printable::inline(&case.title));
    match &ran.outcome {
        Outcome::Passed => {
            let _ = writeln!(out, "{green}ok{end}      {mapping} \"{title}\"");
        }
        Outcome::Failed(differences) => {
            let (file, position) = compiled.sources.locate(case.expected_span);
            let _ = writeln!(out, "{red}FAILED{end}  {mapping} \"{title}\"");
            let _ = writeln!(out, "        {file}:{}:{}", position.line, position.column);
            for Difference { field, expected, actual, reason } in differences {
                let (field, expected, actual) = (printable::inline(field), printable::block(expected), printable::block(actual));
                let name = if field.is_empty() { String::new() } else { format!("{field}: ") };
                let _ = writeln!(out, "        {red}- {name}{expected}{end}");
                let _ = writeln!(out, "        {green}+ {name}{actual}{end}");
                if let Some(reason) = reason {
                    let _ = writeln!(out, "          {}", printable::block(reason));
                }
            }
        }
    }
}

fn json(ran: &Ran<'_>, compiled: &Compiled) -> serde_json::Value {
    let case = ran.case;
    let (file, position) = compiled.sources.locate(case.span);
    let differences: Vec<serde_json::Value> = match &ran.outcome {
        Outcome::Passed => Vec::new(),
        Outcome::Failed(differences) => {
            let one =
                |d: &Difference| serde_json::json!({ "field": d.field, "expected": d.expected, "actual": d.actual, "reason": d.reason });
            differences.iter().map(one).collect()
        }
    };
    serde_json::json!({
        "mapping": case.mapping, "title": case.title, "file": file, "line": position.line,
        "outcome": if differences.is_empty() { "passed" } else { "failed" }, "differences": differences,
    })
}

/// A test as a case in the suite of its mapping. Of tests with one title (D809) the later ones get a number, since services know a case by its name.
fn add_case(ran: &Ran<'_>, compiled: &Compiled, suites: &mut junit::Suites) {
    let case = ran.case;
    let (file, position) = compiled.sources.locate(case.span);
    let outcome = match &ran.outcome {
        Outcome::Passed => junit::Outcome::Passed,
        Outcome::Failed(differences) => {
            let one = |d: &Difference| match d.field.as_str() {
                "" => format!("expected {}, came {}", d.expected, d.actual),
                field => format!("{field}: expected {}, came {}", d.expected, d.actual),
            };
            let mut text = String::new();
            human(ran, compiled, Style::PLAIN, &mut text);
            let message = differences.iter().map(one).collect::<Vec<_>>().join("; ");
            junit::Outcome::Failed(junit::Trouble { message, kind: "difference".to_owned(), text })
        }
    };
    let at = suites.suites.iter().position(|s| s.name == case.mapping).unwrap_or_else(|| {
        suites.suites.push(junit::Suite { name: case.mapping.clone(), ..junit::Suite::default() });
        suites.suites.len() - 1
    });
    let cases = &mut suites.suites[at].cases;
    let taken = |name: &str| cases.iter().any(|c| c.name == name);
    let mut name = case.title.clone();
    let mut number = 1;
    while taken(&name) {
        number += 1;
        name = format!("{} ({number})", case.title);
    }
    let class = junit::class_of(&case.mapping);
    cases.push(junit::Case { name, class, outcome, file: Some(file.to_owned()), line: Some(position.line), time: None, output: None });
}

fn coverage(coverage: &Coverage, plan: &crate::plan::ExecutionPlan, out: &mut String) {
    for mapping in &coverage.mappings {
        let (lines, arms) = (mapping.lines(), mapping.arms());
        let filter = mapping.filter().map(|(n, of)| format!(", {n} of {of} ways of the filter")).unwrap_or_default();
        let _ = writeln!(
            out,
            "\n{}: {} of {}, {} of {}{filter}",
            mapping.mapping,
            lines.0,
            counted(lines.1, "line"),
            arms.0,
            counted(arms.1, "arm")
        );
        for unreached in mapping.unreached() {
            let _ = writeln!(out, "  {}  {}", plan.place(unreached.at), unreached.what);
        }
    }
}
