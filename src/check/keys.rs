//! Keys: each mapping has one, from the source's primary key to a field that identifies a target record.

use super::Context;
use super::names::{source_field, target_field};
use super::through;
use super::types::{Ty, convert, list};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::FieldProgram;
use crate::schema::{FieldType, SystemId, Table, TableId};
use crate::syntax::ast::{Entry, Key, Mapping};

/// Checks the key of a mapping. `slot` gives the slot of a source field.
pub(super) fn check(
    mapping: &Mapping,
    head: Span,
    source: &Table,
    target: &Table,
    context: &mut Context<'_>,
    mut slot: impl FnMut(&str, Span, &mut Context<'_>) -> Option<u32>,
) -> Option<FieldProgram> {
    let keys: Vec<&Key> = mapping
        .entries
        .iter()
        .filter_map(|e| match e {
            Entry::Key(key) => Some(key),
            Entry::Adopt(_)
            | Entry::Field(_)
            | Entry::Replace(_)
            | Entry::Filter(_)
            | Entry::Options(_)
            | Entry::Linked(_)
            | Entry::When(_) => None,
        })
        .collect();
    let identifying = identifying_fields(target);
    let Some(key) = keys.first() else {
        if mapping.unread_key {
            return None;
        }
        let example = identifying.first().copied().unwrap_or("externalId");
        context.report(
            Diagnostic::new(Code::D501, head, "this mapping has no key", "records of the two tables could not be matched")
                .help(format!("begin the mapping with `key {} -> {example}`", source.primary_key)),
        );
        return None;
    };
    for extra in keys.iter().skip(1) {
        context.report(
            Diagnostic::new(Code::D504, extra.span, "this mapping has two keys", "the second one")
                .related(key.span, "the first one")
                .help("keep one of them"),
        );
    }

    let from = source_field(&key.source, source, context);
    let to = target_field(&key.target, target, true, context);
    let (from, to) = (from?, to?);
    if from.through.is_some() {
        context.report(through::only_own(&from.name, "a key", key.source.span));
        return None;
    }
    if from.name != source.primary_key {
        let of_profiles = target.id == TableId::new(SystemId::Campaign, "profile");
        if of_profiles || !matches!(from.typed.ty, Ty::Text { .. } | Ty::Integer { .. } | Ty::Guid) || is_lookup(&from.field.ty) {
            let why =
                if of_profiles { "opt-outs and events find a profile by the primary key of the contact" } else { "not the primary key" };
            let right = match to.path.join(".") {
                name if identifying.contains(&name.as_str()) => name,
                name => identifying.first().map_or(name, |known| (*known).to_owned()),
            };
            context.report(
                Diagnostic::new(Code::D502, key.source.span, format!("`{}` is not the primary key of `{}`", from.name, source.id), why)
                    .help(format!("write `key {} -> {right}`", source.primary_key)),
            );
            return None;
        }
        may_not_be_unique(&from.name, key.source.span, source, context);
    }
    let target_name = to.path.join(".");
    if !identifying.contains(&target_name.as_str()) {
        let help = if identifying.is_empty() {
            format!(
                "the schema of `{}` has no key. Campaign does not report keys: if the resource has an identification key, write \
                 `alternate-keys: {{ key: [{target_name}] }}` into its schema file",
                target.id
            )
        } else {
            format!("records of `{}` are identified by {}", target.id, list(identifying, 4))
        };
        context.report(
            Diagnostic::new(
                Code::D503,
                key.target.span,
                format!("`{target_name}` does not identify a record of `{}`", target.id),
                "not a key",
            )
            .help(help),
        );
        return None;
    }
    let at = context.at(key.span);
    let ops = match convert(&from.typed.ty, &to.fit) {
        Ok(ops) => ops,
        Err(_) => {
            context.report(
                Diagnostic::new(
                    Code::D503,
                    key.target.span,
                    format!("`{target_name}` cannot hold {}", from.typed.ty.describe()),
                    "cannot hold the key",
                )
                .help(match from.typed.ty.text_length() {
                    Some(Some(longest)) => format!("the key must be a text field of at least {longest} characters"),
                    Some(None) | None => "the key must be a text field that can hold every value".to_owned(),
                }),
            );
            return None;
        }
    };
    let slot = slot(&from.name, key.source.span, context)?;
    Some(to.written_from(at, slot, ops))
}

fn is_lookup(ty: &FieldType) -> bool {
    matches!(ty, FieldType::Lookup { .. })
}

/// Warns about a key column that is not unique according to the schema.
fn may_not_be_unique(name: &str, span: Span, source: &Table, context: &mut Context<'_>) {
    let keys = || source.alternate_keys.iter().filter(move |key| key.fields.iter().any(|field| field == name));
    if keys().any(|key| key.fields.len() == 1) {
        return;
    }
    let (what, help) = match keys().next() {
        Some(key) => (
            format!("`{name}` may not be unique in `{}`", source.id),
            format!(
                "the alternate key `{}` consists of {}: only together are they unique",
                key.name,
                list(key.fields.iter().map(String::as_str), 4)
            ),
        ),
        None => (
            format!("the schema has no alternate key of `{}` with only `{name}`", source.id),
            format!(
                "if Dynamics 365 has such a key, run `d365map schema pull {id}`, or write `alternate-keys: {{ {name}: [{name}] }}` into the schema \
                 file; of two records with one value, the one that is read last wins",
                id = source.id
            ),
        ),
    };
    context.report(Diagnostic::new(Code::D514, span, what, "two records may have the same value").help(help));
}

/// The fields that identify a record from outside: keys of one field. Campaign's PKey is not among them, since its
/// documentation forbids to keep it in another system.
pub(super) fn identifying_fields(table: &Table) -> Vec<&str> {
    table.alternate_keys.iter().filter_map(|k| if let [one] = k.fields.as_slice() { Some(one.as_str()) } else { None }).collect()
}
