//! Completion in formulas, and of what follows `or`.

use lsp_types::{CompletionItem, CompletionItemKind};

use super::Tables;
use super::items::{fields, item, snippet, words};
use crate::assist::group::Group;
use crate::schema::{Field, FieldType};
use crate::steps::FORMULA_FUNCTIONS;

/// What is allowed in a formula, after its equals sign.
pub(super) fn formula(calculation: &[&str], tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    match calculation {
        [] | [.., "+" | "-" | "*" | "/" | "(" | ","] => {
            let number = |f: &Field| f.readable && matches!(f.ty, FieldType::Integer { .. } | FieldType::Decimal { .. });
            let mut all = fields(&[], tables.source, number);
            all.extend(FORMULA_FUNCTIONS.iter().map(|f| snippet(f.name, &format!("{}($0)", f.name), f.summary)));
            all.extend(constants(group));
            all
        }
        [.., "or"] => outcomes(false),
        [.., "."] => fields(calculation, tables.source, |f| f.readable),
        _ => words(&["+", "-", "*", "/", "or", "->"]),
    }
}

pub(super) fn constants(group: &Group) -> impl Iterator<Item = CompletionItem> {
    let constants = group.files.iter().flat_map(|f| &f.tree.constants);
    constants.map(|c| item(format!("${}", c.name.text), CompletionItemKind::CONSTANT, "constant"))
}

/// What follows `or`; `keep` only where there is a value to keep.
pub(super) fn outcomes(keep: bool) -> Vec<CompletionItem> {
    let mut all = vec![
        item("null", CompletionItemKind::VALUE, "the field becomes empty"),
        snippet("default", "default($0)", "this value is written"),
        item("keep", CompletionItemKind::VALUE, "the value before the step"),
        item("reject", CompletionItemKind::VALUE, "the record is kept aside"),
    ];
    all.retain(|outcome| keep || outcome.label != "keep");
    all
}
