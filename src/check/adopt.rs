//! `adopt by …`: the fields by which a record of the target is found that does not have the key yet.

use super::Context;
use super::names;
use super::types::list;
use crate::diagnostics::{Code, Diagnostic, FileId, Span};
use crate::plan::{
    AdoptBy, At, BranchResult, Const, FieldProgram, Fit, OnFailure, Op, Outcome, Piece, Read, Replacement, Source, Step, Term,
};
use crate::schema::Table;
use crate::steps::Operate;
use crate::syntax::ast::{Adopt, Entry, Mapping, Path};

/// Checks the fields; `None` if one of them is faulty. `key` and `fields` are what the mapping writes.
pub(super) fn check(
    mapping: &Mapping,
    target: &Table,
    key: &FieldProgram,
    fields: &[FieldProgram],
    context: &mut Context<'_>,
) -> Option<Vec<AdoptBy>> {
    let mut entries = entries(mapping);
    let Some(first) = entries.next() else { return Some(Vec::new()) };
    for extra in entries {
        context.report(
            Diagnostic::new(Code::D115, extra.span, "this mapping has two `adopt` lines", "the second one")
                .related(first.span, "the first one")
                .help("put the fields of both into one line, in the order in which they are tried: `adopt by email or mobilePhone`"),
        );
    }
    let mut found: Vec<(AdoptBy, Span)> = Vec::new();
    let mut complete = true;
    for path in &first.fields {
        let Some(by) = field(path, target, key, fields, context) else {
            complete = false;
            continue;
        };
        if let Some((_, span)) = found.iter().find(|(known, _)| known.attribute == by.attribute) {
            let diagnostic = Diagnostic::new(Code::D540, path.span, format!("`{}` is named twice", path.text()), "the second time");
            context.report(diagnostic.related(*span, "the first time").help("remove one of the two"));
            complete = false;
            continue;
        }
        found.push((by, path.span));
    }
    complete.then(|| found.into_iter().map(|(by, _)| by).collect())
}

fn field(path: &Path, target: &Table, key: &FieldProgram, fields: &[FieldProgram], context: &mut Context<'_>) -> Option<AdoptBy> {
    let found = names::target_field(path, target, true, context)?;
    let name = path.text();
    let unfit = |what: String, label: &str, help: String| Diagnostic::new(Code::D540, path.span, what, label).help(help);
    let fit = matches!(found.fit, Fit::Text { .. } | Fit::Integer { .. });
    if !fit || found.path.len() > 1 {
        let help = match others(&found.path, key, fields).as_slice() {
            [] => "name a text field of the record itself, such as `email`, and map it".to_owned(),
            texts => format!("name a text field of the record itself that this mapping writes: {}", list(texts.iter().copied(), 4)),
        };
        context.report(unfit(
            format!("Campaign cannot be searched by `{name}`"),
            "not a text or a whole number of the record itself",
            help,
        ));
        return None;
    }
    if found.path == key.path {
        let help =
            format!("records that have the key are found without `adopt`: remove `{name}`, and name a field that identifies the others");
        context.report(unfit(format!("`{name}` is the key of this mapping"), "the records to adopt have no value here", help));
        return None;
    }
    let Some(program) = fields.iter().find(|f| f.path == found.path) else {
        let line = match name.as_str() {
            "email" => "such as `emailaddress1 -> email`".to_owned(),
            "mobilePhone" => "such as `mobilephone -> mobilePhone`".to_owned(),
            _ => format!("`FIELD -> {name}`"),
        };
        let help = format!("add a line for it, {line}: the value that is searched for is the one that is written");
        context.report(unfit(format!("this mapping does not write `{name}`"), "its value is not known", help));
        return None;
    };
    let named = || match others(&found.path, key, fields).as_slice() {
        [] => String::new(),
        texts => format!(", or name another field that this mapping writes: {}", list(texts.iter().copied(), 4)),
    };
    if matches!(program.source, Source::Constant(_)) {
        let help = format!("write a field of the source that tells one record from the others to `{name}`{}", named());
        context.report(unfit(format!("`{name}` has the same value in every record"), "does not tell records apart", help));
        return None;
    }
    if let Some(at) = constant_of(program) {
        let help = format!("let the field be empty instead: remove the constant from the line of `{name}`{}", named());
        let span = Span { file: FileId(at.file), start: at.start, end: at.end };
        context.report(
            unfit(
                format!("`{name}` can get a constant, and a record that another person has could be adopted for it"),
                "its value does not always come from the record",
                help,
            )
            .related(span, "the constant is written here"),
        );
        return None;
    }
    Some(AdoptBy { at: context.at(path.span), attribute: found.path.join(".") })
}

/// The other fields that the mapping writes and Campaign can be searched by.
fn others<'f>(rejected: &[String], key: &FieldProgram, fields: &'f [FieldProgram]) -> Vec<&'f str> {
    let fits = |f: &&FieldProgram| {
        f.path.len() == 1
            && matches!(f.fit, Fit::Text { .. })
            && f.path != rejected
            && f.path != key.path
            && f.link_to.is_none()
            && constant_of(f).is_none()
    };
    fields.iter().filter(fits).map(|f| f.path[0].as_str()).collect()
}

/// Where the value of a field can come from a constant of the mapping: what is written instead of an empty value, of one that a step cannot
/// read, or of an option. A text that is replaced with another one still comes from the record.
fn constant_of(program: &FieldProgram) -> Option<At> {
    of_value(&program.source, &program.steps, program.at)
}

fn of_value(source: &Source, steps: &[Step], at: At) -> Option<At> {
    of_source(source, at).or_else(|| of_steps(steps))
}

fn of_source(source: &Source, at: At) -> Option<At> {
    match source {
        Source::Constant(Const::Null) => None,
        Source::Constant(_) => Some(at),
        Source::Field(read) => of_read(read),
        Source::Coalesce(reads) => reads.iter().find_map(of_read),
        // With one value of the record, the whole is not a constant.
        Source::Join { reads, .. } => all(reads.iter()),
        Source::Template(pieces) => all(pieces.iter().filter_map(|piece| match piece {
            Piece::Field(read) => Some(read),
            Piece::Text(_) => None,
        })),
        Source::Case(branches) => branches.iter().find_map(|branch| match &branch.result {
            BranchResult::Value { source, steps, .. } => of_value(source, steps, branch.at),
            BranchResult::Reject | BranchResult::Unchanged | BranchResult::Uncovered(_) => None,
        }),
        Source::Formula(formula) => {
            of_term(&formula.term, at).or_else(|| of_failure(formula.on_failure.as_ref(), at)).or_else(|| of_steps(&formula.steps))
        }
        Source::Lookup(lookup) => of_failure(lookup.on_failure.as_ref(), lookup.at),
    }
}

/// The constant of the first of several values, if all of them can be constants.
fn all<'r>(reads: impl Iterator<Item = &'r Read>) -> Option<At> {
    let found: Option<Vec<At>> = reads.map(of_read).collect();
    found?.into_iter().next()
}

fn of_read(read: &Read) -> Option<At> {
    read.replace.as_ref().and_then(of_replacement).or_else(|| of_steps(&read.steps))
}

fn of_steps(steps: &[Step]) -> Option<At> {
    steps.iter().find_map(|step| {
        let op = match &step.op {
            Op::Map(replacement) => of_replacement(replacement),
            Op::Coalesce(reads) => reads.iter().find_map(of_read),
            Op::Step(operation) => operation.instead_of_empty().filter(|value| **value != Const::Null).map(|_| step.at),
            Op::Midnight
            | Op::Concat(_)
            | Op::PhoneIn(_)
            | Op::LocalIn(_)
            | Op::Elapsed(_)
            | Op::Labels { .. }
            | Op::Lookup(_)
            | Op::Not
            | Op::Link { .. } => None,
        };
        op.or_else(|| of_failure(step.on_failure.as_ref(), step.at))
    })
}

fn of_failure(on_failure: Option<&OnFailure>, at: At) -> Option<At> {
    matches!(on_failure, Some(OnFailure::Default(value)) if *value != Const::Null).then_some(at)
}

fn of_replacement(replacement: &Replacement) -> Option<At> {
    let constant = |outcome: &Outcome| matches!(outcome, Outcome::Value(value) if *value != Const::Null);
    let of_text = |value: &Const| matches!(value, Const::Text(_));
    let found = constant(&replacement.null)
        || constant(&replacement.otherwise)
        || replacement.tests.iter().any(|(_, outcome)| constant(outcome))
        || replacement.entries.iter().any(|(value, outcome)| !of_text(value) && constant(outcome));
    found.then_some(replacement.at)
}

fn of_term(term: &Term, at: At) -> Option<At> {
    match term {
        Term::Number(_) => Some(at),
        Term::Field(read) => of_read(read),
        Term::Negative(inner) | Term::Absolute(inner) => of_term(inner, at),
        Term::Chain { first, rest } => {
            let parts: Option<Vec<At>> =
                std::iter::once(&**first).chain(rest.iter().map(|part| &part.term)).map(|t| of_term(t, at)).collect();
            parts?.into_iter().next()
        }
        Term::Coalesce(terms) | Term::Min(terms) | Term::Max(terms) => terms.iter().find_map(|term| of_term(term, at)),
        Term::Lookup(lookup) => of_failure(lookup.on_failure.as_ref(), at),
    }
}

fn entries(mapping: &Mapping) -> impl Iterator<Item = &Adopt> {
    mapping.entries.iter().filter_map(|entry| match entry {
        Entry::Adopt(adopt) => Some(adopt),
        Entry::Key(_) | Entry::Field(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Options(_) | Entry::Linked(_) | Entry::When(_) => {
            None
        }
    })
}

/// Reports the line in a mapping in both directions.
pub(super) fn refuse(mapping: &Mapping, context: &mut Context<'_>) {
    for entry in entries(mapping) {
        context.report(
            Diagnostic::new(Code::D541, entry.span, "`adopt` is not possible in a mapping in both directions", "not allowed here").help(
                "remove the line: a referral and its opportunity find each other by their key; a `link` block finds records by other columns",
            ),
        );
    }
}
