//! Any text compiles to a plan or to an error; the findings render in every format; what they mend is still a text that
//! compiles to a plan or an error.
#![no_main]

use d365map::check::{Input, compile};
use d365map::app::fixed;
use d365map::diagnostics::Safety;
use d365map::diagnostics::Severity;
use d365map::diagnostics::render::{Format, Style, render};
use d365map::schema::Catalogue;
use libfuzzer_sys::fuzz_target;

fn input(text: &str) -> Vec<Input> {
    vec![Input { name: "mappings/a.d365map".to_owned(), bytes: text.as_bytes().to_vec() }]
}

fuzz_target!(|text: &str| {
    let compiled = compile(input(text), Catalogue::builtin());
    let errors = compiled.diagnostics.iter().any(|d| d.severity() == Severity::Error);
    assert_eq!(compiled.plan.is_none(), errors);
    for format in [Format::Human, Format::Json, Format::Github, Format::Sarif] {
        render(&compiled.diagnostics, &compiled.sources, format, Style::PLAIN);
    }
    let (mended, _) = fixed(text, 0, &compiled.diagnostics, Safety::Unsafe);
    if mended != text {
        compile(input(&mended), Catalogue::builtin());
    }
    if let Some(plan) = &compiled.plan {
        d365map::plan::describe(plan);
        let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").unwrap();
        d365map::testing::run(plan, compiled.tests.iter(), now).unwrap();
    }
});
