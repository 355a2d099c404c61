//! The results of tests, and what they reach.

use maud::{Markup, html};

use crate::count::{counted, noun_for};
use crate::serve::access::Right;
use crate::serve::answer::At;
use crate::serve::files::{Files, TestedCase};
use crate::serve::pages::frame;
use crate::serve::pages::parts::instant;
use crate::testing::{Difference, MappingCoverage};

/// The results of a mapping in few words.
pub(super) fn short(files: &Files, name: &str) -> Markup {
    let all = files.compiled.tests.iter().filter(|case| case.mapping == name).count();
    let failed = |cases: &[TestedCase]| cases.iter().filter(|case| case.mapping == name && !case.differences.is_empty()).count();
    html! {
        @match files.tested() {
            _ if all == 0 => span.quiet { "none" },
            None => { (all) " " span.quiet { "not run" } }
            Some(tested) => @match failed(&tested.cases) {
                0 => { (all) " " span.badge.good { "passed" } }
                failed => { (all) " " span.badge.bad { (failed) " failed" } }
            },
        }
    }
}

/// The button that runs the tests.
pub(super) fn form(at: &At, files: &Files, mapping: Option<&str>) -> Markup {
    html! {
        @if at.may(Right::Operate) && !files.compiled.tests.is_empty() && files.plan.is_some() && files.tested().is_none() {
            form.actions method="post" action=(at.path("/test-mappings")) {
                (frame::csrf(at))
                @if let Some(mapping) = mapping { input type="hidden" name="mapping" value=(mapping); }
                button { "Run the tests" }
            }
        }
    }
}

/// The tests of a mapping with their results.
pub(super) fn shown(at: &At, files: &Files, name: &str) -> Markup {
    let all = files.compiled.tests.iter().filter(|case| case.mapping == name).count();
    html! {
        h2 #tests { "Tests" }
        @match files.tested() {
            _ if all == 0 => p { "The files have no test of it." },
            None => { p { (counted(all, "test")) ", not run since the files have changed." } (form(at, files, Some(name))) }
            Some(tested) => {
                p.quiet { "Run " (instant(tested.at)) " UTC. The results are kept until the files change." }
                ul.plain.tests { @for case in tested.cases.iter().filter(|case| case.mapping == name) { (result(case)) } }
                @for coverage in tested.coverage.mappings.iter().filter(|coverage| is_of(coverage, name)) { (reached(files, coverage)) }
            }
        }
    }
}

/// Whether a coverage is that of a mapping: `deals`, or `deals to d365.opportunity` for one direction.
fn is_of(coverage: &MappingCoverage, name: &str) -> bool {
    let rest = coverage.mapping.strip_prefix(name);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn result(case: &TestedCase) -> Markup {
    html! {
        li {
            @if case.differences.is_empty() { span.badge.good { "passed" } } @else { span.badge.bad { "failed" } }
            " " (case.title) " " span.quiet { (case.place) }
            @if !case.differences.is_empty() {
                ul { @for difference in &case.differences { li { (differs(difference)) } } }
            }
        }
    }
}

fn differs(difference: &Difference) -> Markup {
    html! {
        @if !difference.field.is_empty() { (difference.field) ": " }
        "expected " code.delete { (difference.expected) } ", is " code.insert { (difference.actual) }
        @if let Some(reason) = &difference.reason { div.quiet { (reason) } }
    }
}

fn reached(files: &Files, coverage: &MappingCoverage) -> Markup {
    let (lines, cases) = (coverage.lines(), coverage.arms());
    let unreached = coverage.unreached();
    let place = |at| files.compiled.plan.as_ref().map(|plan| plan.place(at)).unwrap_or_default();
    html! {
        h3 { "Reached by tests: " (coverage.mapping) }
        p {
            (lines.0) " of " (counted(lines.1, "line"))
            @if cases.1 > 0 { ", " (cases.0) " of " (counted(cases.1, "case")) }
            @if let Some((ways, of)) = coverage.filter() { ", " (ways) " of " (of) " ways of the filter" }
            "."
        }
        @if !unreached.is_empty() {
            details {
                summary { (unreached.len()) " " (noun_for(unreached.len(), "place")) " not reached" }
                ul { @for one in &unreached { li { code { (place(one.at)) } " " (one.what) } } }
            }
        }
    }
}
