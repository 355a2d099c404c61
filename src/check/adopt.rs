//! `adopt by …`: the fields by which a record of the target is found that does not have the key yet.

use super::Context;
use super::names;
use super::types::list;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{AdoptBy, FieldProgram, Fit, Source};
use crate::schema::Table;
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
        let texts = fields.iter().filter(|f| f.path.len() == 1 && matches!(f.fit, Fit::Text { .. }) && !is_constant(f));
        let texts: Vec<&str> = texts.map(|f| f.path[0].as_str()).collect();
        let help = match texts.as_slice() {
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
        let help =
            format!("add a line for it, such as `emailaddress1 -> {name}`: the value that is searched for is the one that is written");
        context.report(unfit(format!("this mapping does not write `{name}`"), "its value is not known", help));
        return None;
    };
    if is_constant(program) {
        let help = "name a field whose value tells one record from the others, such as `email`".to_owned();
        context.report(unfit(format!("`{name}` has the same value in every record"), "does not tell records apart", help));
        return None;
    }
    Some(AdoptBy { at: context.at(path.span), attribute: found.path.join(".") })
}

fn is_constant(program: &FieldProgram) -> bool {
    matches!(program.source, Source::Constant(_))
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
