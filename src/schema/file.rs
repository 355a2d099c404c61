//! Schema files: reading them, alone or on top of a table that is already known.
//!
//! One format for built-in, pulled and hand-written tables. A file either describes a table wholly or, with
//! `extends: built-in`, says only what is added or different; it never takes anything away.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry;
use rust_decimal::Decimal;

use super::doc::{FieldDoc, FileDoc};
use super::model::{AlternateKey, Choice, ChoiceSet, Derived, EnumValue, Field, FieldType, Provenance, SystemId, Table, TableId};
use super::words::{Kind, Word, decimal_range, integer_range};
use crate::diagnostics::FileProblem;
use crate::diagnostics::nearest;
use crate::yaml::{self, Map, Spanned};

/// The version of the format that this program reads and writes.
pub const VERSION: u32 = 1;

/// The JSON Schema of schema files, for editors.
pub fn json_schema() -> serde_json::Value {
    yaml::schema_of::<FileDoc>()
}

/// What the first lines of a file say: enough to know where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The table.
    pub table: TableId,
    /// The bytes in which the table is named.
    pub span: Range<usize>,
    /// Whether the file only adds to the built-in table: such files are written by hand.
    pub extends: bool,
}

/// A file that is parsed but not yet laid on anything.
pub struct Parsed<'a> {
    doc: FileDoc,
    path: &'a Path,
    text: &'a Arc<str>,
    /// Which table, and whether on top of the built-in one.
    pub heading: Heading,
}

/// Reads a file's syntax and heading.
///
/// # Errors
///
/// The first fault of the YAML, or all faults of the heading.
pub fn parse<'a>(path: &'a Path, text: &'a Arc<str>) -> Result<Parsed<'a>, Vec<FileProblem>> {
    let doc: FileDoc = yaml::from_str(path, text).map_err(|p| vec![*p])?;
    let mut problems = Vec::new();
    if doc.version.value != VERSION {
        problems.push(
            FileProblem::new(path, text, doc.version.span.clone(), format!("version {} of the format is not known", doc.version.value))
                .label(format!("this program reads version {VERSION}"))
                .help(if doc.version.value > VERSION { "use a newer d365map" } else { "write `version: 1`" }),
        );
    }
    if let Some(extends) = &doc.extends
        && extends.value != "built-in"
    {
        problems.push(
            FileProblem::new(path, text, extends.span.clone(), format!("`{}` cannot be extended", extends.value))
                .help("write `extends: built-in`, or leave it out and describe the whole table"),
        );
    }
    let table = TableId::parse(&doc.table.value);
    if table.is_none() {
        let names = SystemId::ALL.map(SystemId::name).join(", ");
        problems.push(
            FileProblem::new(path, text, doc.table.span.clone(), format!("`{}` is not the name of a table", doc.table.value))
                .label("not system.table")
                .help(format!("write a system ({names}), a dot and the table: `d365.contact`")),
        );
    }
    match table {
        Some(table) if problems.is_empty() => {
            let heading = Heading { table, span: doc.table.span.clone(), extends: doc.extends.is_some() };
            Ok(Parsed { doc, path, text, heading })
        }
        Some(_) | None => Err(problems),
    }
}

/// Reads a file that describes a table wholly.
///
/// # Errors
///
/// Every fault, with its place.
pub fn read(path: &Path, text: &Arc<str>) -> Result<Table, Vec<FileProblem>> {
    parse(path, text)?.table(None)
}

impl Parsed<'_> {
    /// The table: `builtin` is what `extends: built-in` means here, where there is such a table.
    ///
    /// # Errors
    ///
    /// Every fault, with its place.
    pub fn table(&self, builtin: Option<&Table>) -> Result<Table, Vec<FileProblem>> {
        let mut reader = Reader {
            path: self.path,
            text: self.text,
            system: self.heading.table.system,
            default: self.doc.provenance.unwrap_or(Provenance::Declared),
            problems: Vec::new(),
        };
        let table = reader.table(&self.doc, &self.heading, builtin);
        match table {
            Some(table) if reader.problems.is_empty() => Ok(table),
            Some(_) | None => Err(reader.problems),
        }
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a Arc<str>,
    system: SystemId,
    default: Provenance,
    problems: Vec<FileProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>, help: impl Into<String>) {
        let (label, help) = (label.into(), help.into());
        let problem = FileProblem::new(self.path, self.text, span.clone(), message).label(label);
        self.problems.push(if help.is_empty() { problem } else { problem.help(help) });
    }

    fn table(&mut self, doc: &FileDoc, heading: &Heading, builtin: Option<&Table>) -> Option<Table> {
        let base = if heading.extends { builtin } else { None };
        if let Some(extends) = &doc.extends
            && base.is_none()
        {
            let message = format!("there is no built-in table {} to extend", heading.table);
            self.problem(
                &extends.span,
                message,
                "nothing to build on",
                "leave `extends` out and describe the whole table, or fetch it with `d365map schema pull`",
            );
            return None;
        }
        let mut table = base.cloned().unwrap_or_else(|| Table {
            id: heading.table.clone(),
            label: heading.table.name.clone(),
            collection: String::new(),
            primary_key: String::new(),
            primary_name: None,
            change_tracking: None,
            alternate_keys: Vec::new(),
            fields: IndexMap::new(),
        });
        if let Some(label) = &doc.label {
            table.label.clone_from(label);
        }
        if doc.change_tracking.is_some() {
            table.change_tracking = doc.change_tracking;
        }
        for (value, slot, key) in
            [(&doc.collection, &mut table.collection, "collection"), (&doc.primary_key, &mut table.primary_key, "primary-key")]
        {
            match value {
                Some(value) if !value.value.is_empty() => slot.clone_from(&value.value),
                Some(Spanned { span, .. }) => self.problem(span, format!("`{key}` is empty"), "", ""),
                None if base.is_some() => {}
                None => self.problem(
                    &heading.span,
                    format!("the key `{key}` is missing"),
                    "this table has none",
                    format!("add `{key}: …`, or `extends: built-in` to add to the built-in table"),
                ),
            }
        }
        if let Some(name) = &doc.primary_name {
            table.primary_name = Some(name.value.clone());
        }
        match &doc.fields {
            Some(fields) => self.fields(fields, &mut table.fields),
            None if base.is_some() => {}
            None => self.problem(
                &heading.span,
                "the key `fields` is missing",
                "this table has no fields",
                "add `fields:` and the fields below it",
            ),
        }
        for (name, fields) in doc.alternate_keys.iter().flat_map(|keys| &keys.0) {
            let key = AlternateKey { name: name.value.clone(), fields: fields.iter().map(|f| f.value.clone()).collect() };
            if key.fields.is_empty() {
                self.problem(
                    &name.span,
                    format!("the key `{}` has no fields", key.name),
                    "",
                    "list the fields that identify a record: `[emailaddress1]`",
                );
            }
            match table.alternate_keys.iter_mut().find(|k| k.name == key.name) {
                Some(known) => *known = key,
                None => table.alternate_keys.push(key),
            }
        }
        self.references(doc, heading, &table);
        Some(table)
    }

    /// Keys and names must be fields of the table.
    fn references(&mut self, doc: &FileDoc, heading: &Heading, table: &Table) {
        if doc.fields.is_none() && table.fields.is_empty() {
            return;
        }
        let named = [(&doc.primary_key, Some(&table.primary_key)), (&doc.primary_name, table.primary_name.as_ref())];
        let singles =
            named.into_iter().filter_map(|(value, name)| Some((value.as_ref().map_or(&heading.span, |v| &v.span), name?.as_str())));
        let keys = doc.alternate_keys.iter().flat_map(|k| &k.0).flat_map(|(_, fields)| fields).map(|f| (&f.span, f.value.as_str()));
        let missing: Vec<_> = singles
            .chain(keys)
            .filter(|(_, name)| !name.is_empty() && !table.fields.contains_key(*name))
            .map(|(s, n)| (s.clone(), n.to_owned()))
            .collect();
        for (span, name) in missing {
            let help = match nearest(&name, table.fields.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it below `fields`".to_owned(),
            };
            self.problem(&span, format!("the table has no field `{name}`"), "not a field", help);
        }
    }

    fn fields(&mut self, docs: &Map<FieldDoc>, fields: &mut IndexMap<String, Field>) {
        for (name, doc) in &docs.0 {
            if name.value.is_empty() || name.value.contains('.') {
                let help = "write a nested field below `fields` of a field of type item";
                self.problem(&name.span, format!("`{}` cannot be a field's name", name.value), "a name has no dot and is not empty", help);
                continue;
            }
            match fields.entry(name.value.clone()) {
                Entry::Occupied(mut known) => {
                    if let Some(field) = self.field(name, doc, Some(known.get())) {
                        known.insert(field);
                    }
                }
                Entry::Vacant(free) => {
                    if let Some(field) = self.field(name, doc, None) {
                        free.insert(field);
                    }
                }
            }
        }
        let mut seen: HashSet<&str> = fields.keys().map(String::as_str).collect();
        let twice: Vec<(String, String)> = (fields.values())
            .flat_map(|f| f.aliases.iter().map(move |alias| (f, alias)))
            .filter(|(_, alias)| !seen.insert(alias))
            .map(|(f, alias)| (f.name.clone(), alias.clone()))
            .collect();
        for (field, alias) in twice {
            let span = docs.0.iter().find(|(name, _)| name.value == field).or(docs.0.first()).map_or(0..0, |(name, _)| name.span.clone());
            self.problem(
                &span,
                format!("the alias `{alias}` of `{field}` is taken"),
                "another field has this name or alias",
                "choose another alias",
            );
        }
    }

    fn field(&mut self, name: &Spanned<String>, doc: &FieldDoc, base: Option<&Field>) -> Option<Field> {
        let word = match (&doc.ty, base) {
            (Some(ty), _) => Word::find(&ty.value, self.system).or_else(|| {
                self.unknown_type(ty);
                None
            })?,
            (None, Some(base)) => Word::for_type(&base.ty, &base.vendor_type, self.system),
            (None, None) => {
                self.problem(
                    &name.span,
                    format!("the field `{}` has no type", name.value),
                    "a new field",
                    "add `type: …`, such as `type: string`",
                );
                return None;
            }
        };
        self.strangers(name, doc, word);
        // What the field was before counts as long as it is of the same type.
        let old = base
            .map(|b| (&b.ty, Word::for_type(&b.ty, &b.vendor_type, self.system)))
            .filter(|(_, w)| w.word == word.word)
            .map(|(ty, _)| ty);
        let ty = self.ty(name, doc, word, old)?;
        let vendor_type = match (&doc.vendor_type, &doc.ty, base) {
            (Some(vendor), _, _) => vendor.clone(),
            (None, None, Some(base)) => base.vendor_type.clone(),
            (None, _, _) => word.vendor(self.system).to_owned(),
        };
        if doc.read_only.is_some() && (doc.creatable.is_some() || doc.updatable.is_some()) {
            self.problem(
                &name.span,
                "`read-only` cannot be combined with `creatable` or `updatable`",
                "says the same thing twice",
                "`read-only: true` means `creatable: false` and `updatable: false`; keep one spelling",
            );
        }
        let writable = doc.read_only.map(|read_only| !read_only);
        let mut aliases = base.map(|b| b.aliases.clone()).unwrap_or_default();
        for alias in doc.aliases.iter().flatten() {
            if !aliases.contains(alias) {
                aliases.push(alias.clone());
            }
        }
        Some(Field {
            name: name.value.clone(),
            label: doc.label.clone().or_else(|| base.and_then(|b| b.label.clone())),
            ty,
            vendor_type,
            required: doc.required.unwrap_or(base.is_some_and(|b| b.required)),
            readable: doc.readable.unwrap_or(base.is_none_or(|b| b.readable)),
            creatable: doc.creatable.or(writable).unwrap_or(base.is_none_or(|b| b.creatable)),
            updatable: doc.updatable.or(writable).unwrap_or(base.is_none_or(|b| b.updatable)),
            aliases,
            wire: doc.wire.clone().or_else(|| base.and_then(|b| b.wire.clone())),
            provenance: doc.provenance.unwrap_or(self.default),
            deprecated: doc.deprecated.clone().or_else(|| base.and_then(|b| b.deprecated.clone())),
            derived: match &doc.derived {
                Some(word) => self.derived(word),
                None => base.and_then(|b| b.derived),
            },
        })
    }

    fn derived(&mut self, word: &Spanned<String>) -> Option<Derived> {
        let found = Derived::ALL.into_iter().find(|derived| derived.name() == word.value);
        if found.is_none() {
            let message = format!("`{}` is not a way to compute a column", word.value);
            self.problem(&word.span, message, "unknown word", "write `calculated`, `rollup` or `formula`, or leave the key out");
        }
        found
    }

    fn unknown_type(&mut self, ty: &Spanned<String>) {
        let words: Vec<&str> = Word::of(self.system).map(|w| w.word).collect();
        let elsewhere = super::words::WORDS.iter().any(|w| w.word == ty.value);
        let (message, label) = if elsewhere {
            (format!("{} has no fields of type `{}`", self.system, ty.value), "a type of another system")
        } else {
            (format!("`{}` is not a type", ty.value), "not a type")
        };
        let help = match nearest(&ty.value, words.iter().copied()) {
            Some(near) if !elsewhere => format!("did you mean `{near}`?"),
            Some(_) | None => format!("the types of {} are: {}", self.system, words.join(", ")),
        };
        self.problem(&ty.span, message, label, help);
    }

    /// Keys that mean nothing for the type.
    fn strangers(&mut self, name: &Spanned<String>, doc: &FieldDoc, word: &Word) {
        let given = [
            ("max", doc.max.is_some()),
            ("min", doc.min.is_some()),
            ("scale", doc.scale.is_some()),
            ("labels", doc.labels.is_some()),
            ("options", doc.options.is_some()),
            ("values", doc.values.is_some()),
            ("targets", doc.targets.is_some()),
            ("target", doc.target.is_some()),
            ("fields", doc.fields.is_some()),
        ];
        let allowed = word.kind.keys();
        for (key, _) in given.into_iter().filter(|(key, given)| *given && !allowed.contains(key)) {
            let help = match allowed {
                [] => format!("a field of type {} needs no more than its type", word.word),
                [..] => format!("a field of type {} can have: {}", word.word, allowed.join(", ")),
            };
            self.problem(&name.span, format!("`{key}` means nothing for `{}`", name.value), format!("of type {}", word.word), help);
        }
    }

    fn number<T: std::str::FromStr>(&mut self, value: Option<&Spanned<String>>, old: T, what: &str) -> T {
        let Some(value) = value else { return old };
        value.value.parse().unwrap_or_else(|_| {
            self.problem(&value.span, format!("`{}` is not {what}", value.value), format!("not {what}"), "");
            old
        })
    }

    fn ty(&mut self, name: &Spanned<String>, doc: &FieldDoc, word: &Word, old: Option<&FieldType>) -> Option<FieldType> {
        Some(match word.kind {
            Kind::Boolean => {
                let before = if let Some(FieldType::Boolean { labels }) = old { labels.clone() } else { None };
                FieldType::Boolean { labels: doc.labels.as_ref().map(|l| (l.no.clone(), l.yes.clone())).or(before) }
            }
            Kind::Integer | Kind::BigInt => {
                let (min, max) = if let Some(FieldType::Integer { min, max }) = old { (*min, *max) } else { integer_range(word.kind) };
                let min = self.number(doc.min.as_ref(), min, "a whole number");
                let max = self.number(doc.max.as_ref(), max, "a whole number");
                let (lowest, highest) = integer_range(word.kind);
                if min < lowest || max > highest {
                    self.problem(
                        &name.span,
                        format!("the range {min} to {max} of `{}` is beyond {}", name.value, word.word),
                        format!("{lowest} to {highest} at most"),
                        "write `type: bigint`",
                    );
                }
                self.ordered(name, min <= max, &min, &max);
                FieldType::Integer { min, max }
            }
            Kind::Decimal | Kind::Money => {
                let (scale, min, max) =
                    if let Some(FieldType::Decimal { scale, min, max }) = old { (*scale, *min, *max) } else { decimal_range(word.kind) };
                let scale = match &doc.scale {
                    Some(given) if given.value > Decimal::MAX_SCALE => {
                        self.problem(
                            &given.span,
                            format!("a scale of {} is too large", given.value),
                            format!("at most {}", Decimal::MAX_SCALE),
                            "",
                        );
                        scale
                    }
                    Some(given) => given.value,
                    None => scale,
                };
                let min = self.number(doc.min.as_ref(), min, "a decimal number");
                let max = self.number(doc.max.as_ref(), max, "a decimal number");
                self.ordered(name, min <= max, &min, &max);
                FieldType::Decimal { scale, min, max }
            }
            Kind::Double => FieldType::Double,
            Kind::Text => {
                let before = if let Some(FieldType::Text { max }) = old { *max } else { None };
                let max = match &doc.max {
                    Some(given) => match given.value.parse::<u32>() {
                        Ok(max) if max > 0 => Some(max),
                        Ok(_) | Err(_) => {
                            self.problem(
                                &given.span,
                                format!("`{}` is not a length", given.value),
                                "not a count of characters from 1",
                                "leave `max` out where the length is not known",
                            );
                            before
                        }
                    },
                    None => before,
                };
                FieldType::Text { max }
            }
            Kind::Date => FieldType::Date,
            Kind::DateTime => FieldType::DateTime,
            Kind::LocalDateTime => FieldType::LocalDateTime,
            Kind::Guid => FieldType::Guid,
            Kind::Choice => {
                let before = if let Some(FieldType::Choice(set)) = old { set.options.clone() } else { Vec::new() };
                FieldType::Choice(Arc::new(ChoiceSet { options: self.options(doc, before) }))
            }
            Kind::MultiChoice => {
                let before = if let Some(FieldType::MultiChoice(set)) = old { set.options.clone() } else { Vec::new() };
                FieldType::MultiChoice(Arc::new(ChoiceSet { options: self.options(doc, before) }))
            }
            Kind::Enumeration => {
                let mut values = if let Some(FieldType::Enumeration(values)) = old { values.to_vec() } else { Vec::new() };
                for (key, value) in doc.values.iter().flat_map(|v| &v.0) {
                    let value = EnumValue { name: key.value.clone(), label: value.label.clone(), stored: value.stored.clone() };
                    match values.iter_mut().find(|v| v.name == value.name) {
                        Some(known) => *known = value,
                        None => values.push(value),
                    }
                }
                FieldType::Enumeration(values.into())
            }
            Kind::Lookup => {
                let mut targets = if let Some(FieldType::Lookup { targets }) = old { targets.clone() } else { Vec::new() };
                for target in doc.targets.iter().flat_map(|t| &t.0) {
                    match targets.iter_mut().find(|t| t.table == target.table) {
                        Some(known) => *known = target.clone(),
                        None => targets.push(target.clone()),
                    }
                }
                FieldType::Lookup { targets }
            }
            Kind::Link => {
                let before = if let Some(FieldType::Link { target }) = old { target.clone() } else { None };
                FieldType::Link { target: doc.target.clone().or(before) }
            }
            Kind::Collection => {
                let before = if let Some(FieldType::Collection { target }) = old { target.clone() } else { None };
                FieldType::Collection { target: doc.target.clone().or(before) }
            }
            Kind::Item => {
                let mut fields = if let Some(FieldType::Item(fields)) = old { fields.clone() } else { IndexMap::new() };
                if let Some(docs) = &doc.fields {
                    self.fields(docs, &mut fields);
                }
                FieldType::Item(fields)
            }
            Kind::Unsupported => FieldType::Unsupported,
        })
    }

    fn ordered(&mut self, name: &Spanned<String>, ordered: bool, min: &dyn std::fmt::Display, max: &dyn std::fmt::Display) {
        if !ordered {
            self.problem(&name.span, format!("`min` {min} of `{}` is above `max` {max}", name.value), "no number fits", "swap the two");
        }
    }

    fn options(&mut self, doc: &FieldDoc, mut options: Vec<Choice>) -> Vec<Choice> {
        for (key, label) in doc.options.iter().flat_map(|o| &o.0) {
            let Ok(value) = key.value.parse::<i64>() else {
                let help = "an option is written as number: label, as in `1: Male`";
                self.problem(&key.span, format!("`{}` is not the number of an option", key.value), "not a number", help);
                continue;
            };
            let option = Choice { value, label: label.clone() };
            match options.iter_mut().find(|o| o.value == value) {
                Some(known) => *known = option,
                None => options.push(option),
            }
        }
        options
    }
}
