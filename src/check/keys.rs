//! Keys: each mapping has one, from the source's primary key to a field that identifies a target record.

use super::Context;
use super::names::{source_field, target_field};
use super::through;
use super::types::{Ty, convert, length, list};
use crate::diagnostics::{Code, Diagnostic, Safety, Span};
use crate::plan::{FieldProgram, Piece, Read, Source};
use crate::schema::{FieldType, SystemId, Table, TableId};
use crate::syntax::ast::{Key, Mapping};

/// Checks the key of a mapping. `slot` gives the slot of a source field.
pub(super) fn check(
    mapping: &Mapping,
    head: Span,
    source: &Table,
    target: &Table,
    context: &mut Context<'_>,
    mut slot: impl FnMut(&str, Span, &mut Context<'_>) -> Option<u32>,
) -> Option<FieldProgram> {
    let keys: Vec<&Key> = mapping.keys().collect();
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
        if of_profiles || !is_key_type(&from.field.ty) {
            let why = match of_profiles {
                true if finds_profiles(source, target) => "opt-outs and events find a profile by the primary key of the contact",
                true => "a profile has the primary key of its record in its key",
                false => "not the primary key",
            };
            let right = match to.path.join(".") {
                name if identifying.contains(&name.as_str()) => name,
                name => identifying.first().map_or(name, |known| (*known).to_owned()),
            };
            // Another mapping into the same table keeps its records apart by a text.
            let own = mapping.head.as_ref().map_or("", |head| head.name.text.as_str());
            let shared = context.mappings.iter().any(|(name, other)| name != own && other.target.as_ref() == Some(&target.id));
            let line = match shared && !finds_profiles(source, target) {
                true => with_text(own, &source.primary_key, &right),
                false => format!("key {} -> {right}", source.primary_key),
            };
            context.report(
                Diagnostic::new(Code::D502, key.source.span, format!("`{}` is not the primary key of `{}`", from.name, source.id), why)
                    .help(format!("write `{line}`")),
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
    if let (Some(around), true) = (&key.around, finds_profiles(source, target)) {
        context.report(
            Diagnostic::new(
                Code::D502,
                around.span,
                "the key of a contact's profile is the contact's primary key alone",
                "opt-outs and events find a profile by the primary key of the contact",
            )
            .help(format!("write `key {} -> {target_name}`", source.primary_key)),
        );
        return None;
    }
    let at = context.at(key.span);
    let ty = match &key.around {
        Some(around) => {
            let fixed = length(&around.before).saturating_add(length(&around.after));
            Ty::Text { max: key_length(&from.typed.ty).map(|own| own.saturating_add(fixed)) }
        }
        None => from.typed.ty.clone(),
    };
    let ops = match convert(&ty, &to.fit) {
        Ok(ops) => ops,
        Err(_) => {
            context.report(
                Diagnostic::new(
                    Code::D503,
                    key.target.span,
                    format!("`{target_name}` cannot hold {}", ty.describe()),
                    "cannot hold the key",
                )
                .help(match ty.text_length() {
                    Some(Some(longest)) => format!("the key must be a text field of at least {longest} characters"),
                    Some(None) | None => "the key must be a text field that can hold every value".to_owned(),
                }),
            );
            return None;
        }
    };
    let slot = slot(&from.name, key.source.span, context)?;
    let program = to.written_from(at, slot, ops);
    Some(match &key.around {
        Some(around) => {
            let fixed = |text: &str| (!text.is_empty()).then(|| Piece::Text(text.to_owned()));
            let pieces = fixed(&around.before).into_iter().chain([Piece::Field(Read::plain(slot))]).chain(fixed(&around.after));
            FieldProgram { source: Source::Template(pieces.collect()), ..program }
        }
        None => program,
    })
}

/// Whether opt-outs and events look for the records of a mapping by their keys.
fn finds_profiles(source: &Table, target: &Table) -> bool {
    source.id == TableId::new(SystemId::D365, "contact") && target.id == TableId::new(SystemId::Campaign, "profile")
}

/// How long the value of a key is at most, as text.
fn key_length(ty: &Ty) -> Option<u32> {
    match ty {
        Ty::Guid => Some(GUID_LENGTH),
        Ty::Integer { .. } => Some(20),
        ty => ty.text_length().flatten(),
    }
}

/// A GUID as text: 32 digits and 4 hyphens.
const GUID_LENGTH: u32 = 36;

/// What the keys of a mapping look like: a fixed text around a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyShape {
    before: String,
    after: String,
    /// The length of the value, if all have the same.
    length: Option<u32>,
    /// How the mapping can have a text in its key.
    texted: Option<Texted>,
}

/// The fields of a key that can have a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Texted {
    source: String,
    target: String,
    /// The length of the field's values, if all have the same.
    length: Option<u32>,
    /// How long the text can be, so that the target holds the whole key.
    longest: u32,
}

/// A fixed text as services compare it: some without regard to case, and some without the white space at the ends of the whole key.
fn folded(text: &str) -> String {
    crate::unicode::nfc(text).to_lowercase()
}

impl KeyShape {
    /// The shape of a mapping's key; `None` if it has none.
    pub(super) fn of(mapping: &Mapping, source: Option<&Table>, target: Option<&Table>) -> Option<KeyShape> {
        let key = mapping.keys().next()?;
        let field = source.and_then(|table| table.field(&key.source.names()));
        let (before, after) = key.around.as_ref().map(|around| (folded(&around.before), folded(&around.after))).unwrap_or_default();
        let (before, after) = (before.trim_start().to_owned(), after.trim_end().to_owned());
        let texted = source.zip(target).filter(|(source, target)| !finds_profiles(source, target)).and_then(|(source, table)| {
            let of_profiles = table.id == TableId::new(SystemId::Campaign, "profile");
            let fits = field.is_some_and(|field| field.name == source.primary_key || (is_key_type(&field.ty) && !of_profiles));
            let field = if fits { field? } else { source.fields.get(&source.primary_key)? };
            let identifying = identifying_fields(table);
            let own = key.target.text();
            let target = if identifying.contains(&own.as_str()) { own } else { (*identifying.first()?).to_owned() };
            let holds = match table.field(&target.split('.').collect::<Vec<_>>()).map(|field| &field.ty) {
                Some(FieldType::Text { max }) => max.unwrap_or(u32::MAX),
                _ => return None,
            };
            let own = match &field.ty {
                FieldType::Text { max } => (*max)?,
                ty => Ty::of_source(field).and_then(|typed| key_length(&typed)).or(fixed_length(ty))?,
            };
            let longest = holds.checked_sub(own)?;
            Some(Texted { source: field.name.clone(), target, length: fixed_length(&field.ty), longest })
        });
        Some(KeyShape { before, after, length: field.and_then(|field| fixed_length(&field.ty)), texted })
    }

    /// The line of a key with a fixed text before its field, if it can have one, and its shape.
    fn with_text(&self, text: &str) -> Option<(String, KeyShape)> {
        let texted = self.texted.as_ref().filter(|texted| length(text) < texted.longest)?;
        let before = folded(&format!("{text}-"));
        let shape = KeyShape { before, after: String::new(), length: texted.length, texted: None };
        Some((with_text(text, &texted.source, &texted.target), shape))
    }

    /// How two mappings can have keys that are never the same: the line of the key of each mapping that must change. The mappings are given by
    /// their names and shapes; rather the first one changes.
    pub(super) fn kept_apart<'n>(one: (&'n str, &KeyShape), other: (&'n str, &KeyShape)) -> Option<Vec<(&'n str, String)>> {
        let (own, theirs) = (one.1.with_text(one.0), other.1.with_text(other.0));
        if let Some((line, _)) = own.as_ref().filter(|(_, shape)| shape.is_disjoint_from(other.1)) {
            return Some(vec![(one.0, line.clone())]);
        }
        if let Some((line, _)) = theirs.as_ref().filter(|(_, shape)| shape.is_disjoint_from(one.1)) {
            return Some(vec![(other.0, line.clone())]);
        }
        let (own, theirs) = own.zip(theirs).filter(|(own, theirs)| own.1.is_disjoint_from(&theirs.1))?;
        Some(vec![(one.0, own.0), (other.0, theirs.0)])
    }

    /// Whether no record can have a key of both shapes.
    pub(super) fn is_disjoint_from(&self, other: &KeyShape) -> bool {
        let apart = |a: &str, b: &str| !a.starts_with(b) && !b.starts_with(a);
        let reversed = |text: &str| text.chars().rev().collect::<String>();
        let whole = |shape: &KeyShape| Some(shape.length? + length(&shape.before) + length(&shape.after));
        apart(&self.before, &other.before)
            || apart(&reversed(&self.after), &reversed(&other.after))
            || whole(self).zip(whole(other)).is_some_and(|(a, b)| a != b)
    }
}

/// The length of a field's values as text, if all have the same.
fn fixed_length(ty: &FieldType) -> Option<u32> {
    matches!(ty, FieldType::Guid).then_some(GUID_LENGTH)
}

/// Reports a text around a key that has none: in a two-way mapping both sides keep the value as it is.
pub(super) fn no_text(key: &Key, context: &mut Context<'_>) -> Option<()> {
    let Some(around) = &key.around else { return Some(()) };
    let field = key.source.text();
    context.report(
        Diagnostic::new(Code::D502, around.span, "this key cannot have a text around its field", "both sides keep the value as it is")
            .help(format!("write `key {field} {} {}`", key.way.sign(), key.target.text()))
            .fix(Safety::Unsafe, format!("write `{field}`"), around.span, field.clone()),
    );
    None
}

/// Whether a field that is not the primary key can be a key by its type.
fn is_key_type(ty: &FieldType) -> bool {
    matches!(ty, FieldType::Text { .. } | FieldType::Integer { .. } | FieldType::Guid)
}

/// The line of a key with a fixed text before its field.
fn with_text(text: &str, source: &str, target: &str) -> String {
    format!("key \"{text}-{{{source}}}\" -> {target}")
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
