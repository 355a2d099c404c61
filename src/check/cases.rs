//! Test blocks: the record that is given, as the source would send it, and what is expected of it.

mod expected;
mod given;
mod lowered;
mod model;

use super::{Context, MappingInfo};
use crate::diagnostics::{Code, Diagnostic, Span, near};
use crate::syntax::ast::{Assigned, Assignment, Clause, Expectation, Ident, Literal, LiteralValue, TestBlock, Way};
use crate::time;

use expected::{expected_lists, mapped};
use given::{given_items, record};
use lowered::cannot;

pub(super) use lowered::Flows;
pub use model::{Expected, ExpectedField, ExpectedList, ExpectedRecord, GivenItem, TestCase};

/// The direction that a test is about, from the system that `given` names.
fn way(
    block: &TestBlock,
    info: &MappingInfo,
    given: (Option<&Ident>, Span),
    expect: Option<&Ident>,
    context: &mut Context<'_>,
) -> Option<Way> {
    let (left, right) = (info.source.as_ref()?.system, info.target.as_ref()?.system);
    let name = &block.mapping.text;
    let way = match given.0 {
        Some(word) if info.two_way && word.text == right.name() => Way::Backward,
        Some(word) if word.text == left.name() => Way::Forward,
        None if !info.two_way => Way::Forward,
        Some(word) => {
            let help = if info.two_way {
                format!(
                    "write `given {left} {{ … }}` for a record of {}, or `given {right} {{ … }}` for a record of {}",
                    left.title(),
                    right.title()
                )
            } else {
                format!("write `given {{ … }}`: `{name}` reads records of {} only", left.title())
            };
            let message = format!("`{name}` does not read records of `{}`", word.text);
            context.report(cannot(word.span, message, "not a system that this mapping reads", &help));
            return None;
        }
        None => {
            let message = format!("`{name}` is a two-way mapping, but this test does not say which direction it tests");
            let help = format!(
                "write `given {left} {{ … }}` to test what is written to {}, or `given {right} {{ … }}` to test what is written to {}",
                right.title(),
                left.title()
            );
            context.report(cannot(given.1, message, "expected the system of the record", &help));
            return None;
        }
    };
    let to = if way == Way::Forward { right } else { left };
    match expect {
        Some(word) if word.text != to.name() => {
            let message = format!("the record of this test is written to {}, not to `{}`", to.title(), word.text);
            context.report(cannot(word.span, message, "not the target system", &format!("write `expect {to} {{ … }}`")));
            None
        }
        _ => Some(way),
    }
}

/// The clauses of a test block, one of each kind, with their places.
struct Clauses<'b> {
    /// The values, the system that is named, and the place.
    given: (&'b [Assignment], Option<&'b Ident>, Span),
    clock: Option<&'b Literal>,
    /// What is expected, the system that is named, and the place.
    expect: (&'b Expectation, Option<&'b Ident>, Span),
}

/// The clauses of a test block, if it has what a test needs.
fn clauses<'b>(block: &'b TestBlock, context: &mut Context<'_>) -> Option<Clauses<'b>> {
    let (mut given, mut clock, mut expect) = (None, None, None);
    for clause in &block.clauses {
        let (span, first, what) = match clause {
            Clause::Given { span, system, values } => (*span, given.replace((values, system, *span)).map(|(.., s)| s), "given"),
            Clause::Clock { span, at } => (*span, clock.replace((at, *span)).map(|(_, s)| s), "now"),
            Clause::Expect { span, system, kind } => (*span, expect.replace((kind, system, *span)).map(|(.., s)| s), "expect"),
        };
        if let Some(first) = first {
            let diagnostic = cannot(span, format!("this test has two clauses `{what}`"), "the second one", "put both into one");
            context.report(diagnostic.related(first, "the first one"));
        }
    }
    if block.unread {
        return None;
    }
    let Some((kind, to, expected_span)) = expect else {
        context.report(cannot(
            block.title.span,
            "this test expects nothing".to_owned(),
            "no `expect`",
            "write `expect { field: value }`, `expect filtered` or `expect rejected`",
        ));
        return None;
    };
    let Some((values, from, given_span)) = given else {
        context.report(cannot(block.title.span, "this test gives no record".to_owned(), "no `given`", "write `given { field: value }`"));
        return None;
    };
    Some(Clauses { given: (values, from.as_ref(), given_span), clock: clock.map(|(at, _)| at), expect: (kind, to.as_ref(), expected_span) })
}

/// The code that a test expects its record to be rejected under.
fn rejection(code: &Literal, context: &mut Context<'_>) -> Option<Expected> {
    match &code.value {
        LiteralValue::Text(text) if Code::from_name(text).is_some_and(|c| c.name().starts_with("D9")) => {
            Some(Expected::Rejected(Some(text.to_uppercase())))
        }
        _ => {
            context.report(cannot(
                code.span,
                "this is not the code of a rejection".to_owned(),
                "unknown code of a rejection",
                "the codes are D901 to D906: `d365map explain` lists them; or omit the code",
            ));
            None
        }
    }
}

/// Checks a test block against the tables of its mapping.
pub(super) fn check(block: &TestBlock, flows: &Flows<'_>, context: &mut Context<'_>) -> Option<TestCase> {
    let Some(info) = context.mappings.get(&block.mapping.text).cloned() else {
        let names: Vec<String> = context.mappings.keys().cloned().collect();
        let diagnostic =
            Diagnostic::new(Code::D121, block.mapping.span, format!("there is no mapping `{}`", block.mapping.text), "unknown mapping")
                .meant(near(&block.mapping.text, names.iter().map(String::as_str)), block.mapping.span, || {
                    "a test names the mapping that it tests: `test contacts \"what it shows\" { … }`".to_owned()
                });
        context.report(diagnostic);
        return None;
    };
    let Clauses { given: (values, from, given_span), clock, expect: (kind, to, expected_span) } = clauses(block, context)?;
    let way = way(block, &info, (from, given_span), to, context)?;
    let (source, target) = (context.catalogue.get(info.source.as_ref()?)?.clone(), context.catalogue.get(info.target.as_ref()?)?.clone());
    let (source, target) = if way == Way::Backward { (target, source) } else { (source, target) };
    let flow = flows.get(&block.mapping.text, way);
    let may_be_wrong = matches!(kind, Expectation::Rejected(_));
    let (values, items): (Vec<&Assignment>, Vec<&Assignment>) = values.iter().partition(|a| !matches!(a.value, Assigned::Item(_)));
    let record = record(&values, &source, may_be_wrong, flow, context);
    let items = given_items(&items, &source, may_be_wrong, flow, context);
    let now = match clock.map(|at| &at.value) {
        Some(LiteralValue::Date(date)) => Some(time::midnight(*date)),
        Some(LiteralValue::Instant(instant)) => Some(*instant),
        _ => None,
    };
    if now.is_none() && flow.is_some_and(|flow| flow.asks_the_time) {
        context.report(
            Diagnostic::new(
                Code::D804,
                block.title.span,
                "this test depends on the day on which it is run",
                "what the mapping writes depends on the time",
            )
            .help("set the time of the test: `now 2024-01-31`"),
        );
    }
    let expected = match kind {
        Expectation::Filtered => Some(Expected::Filtered),
        Expectation::Rejected(None) => Some(Expected::Rejected(None)),
        Expectation::Rejected(Some(code)) => rejection(code, context),
        Expectation::Mapped(values) => {
            let (lists, fields) = expected_lists(values, &target, flow, context);
            let fields = mapped(&fields, &target, flow, context);
            lists.zip(fields).map(|(lists, fields)| Expected::Mapped(ExpectedRecord { fields, lists }))
        }
    };
    let LiteralValue::Text(title) = &block.title.value else { return None };
    Some(TestCase {
        mapping: block.mapping.text.clone(),
        backward: way == Way::Backward,
        title: title.clone(),
        span: block.span,
        record: record?,
        items: items?,
        now,
        expected: expected?,
        expected_span,
    })
}
