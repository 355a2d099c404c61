//! Tables and fields: from names in a file to entries of the catalogue.

use std::sync::Arc;

use super::Context;
use super::through::{self, Fault, Through};
use super::types::{Ty, Typed, fit_of, list};
use crate::diagnostics::{Code, Diagnostic, Near, Safety, near};
use crate::plan::{At, FieldProgram, Fit, Op, Read, Source, Step};
use crate::schema::{Field, FieldType, SystemId, Table, TableId};
use crate::syntax::ast::{Path, TableName};

/// Finds a table; reports an unknown system or table.
pub(super) fn table(name: &TableName, context: &mut Context<'_>) -> Option<Arc<Table>> {
    let Some(system) = SystemId::from_name(&name.system.text) else {
        let systems = SystemId::ALL.map(SystemId::name);
        // Names by which people call the systems.
        let meant = match name.system.text.to_lowercase().as_str() {
            "dynamics" | "dynamics365" | "crm" | "dataverse" => Some(Near::guess("d365")),
            "adobe" | "acs" | "adobecampaign" => Some(Near::guess("campaign")),
            _ => near(&name.system.text, systems),
        };
        let diagnostic =
            Diagnostic::new(Code::D101, name.system.span, format!("there is no system `{}`", name.system.text), "unknown system").meant(
                meant,
                name.system.span,
                || format!("the systems are {}", list(systems, 5)),
            );
        context.report(diagnostic);
        return None;
    };
    let id = TableId::new(system, name.table.text.clone());
    if let Some(table) = context.catalogue.get(&id) {
        return Some(table.clone());
    }
    let known: Vec<String> = context.catalogue.tables().filter(|t| t.id.system == system).map(|t| t.id.name.clone()).collect();
    let diagnostic = Diagnostic::new(Code::D102, name.table.span, format!("no schema is known for `{id}`"), "unknown table");
    context.report(match near(&id.name, known.iter().map(String::as_str)) {
        Some(Near { text, safety }) => {
            diagnostic.help(format!("did you mean `{system}.{text}`?")).fix(safety, format!("write `{text}`"), name.table.span, text)
        }
        None => diagnostic.help(format!("fetch its fields with `d365map schema pull {id}`, or describe it in a file of the schema folder")),
    });
    None
}

/// A source field: the name that identifies it, the schema's entry and its type.
#[derive(Clone)]
pub(super) struct SourceField {
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) typed: Typed,
    /// The lookups that point to it, if it is a column of another record.
    pub(super) through: Option<Through>,
}

impl SourceField {
    /// The name on the wire. That of a nested field has dots.
    pub(super) fn wire(&self, table: &Table) -> String {
        if let Some(through) = &self.through {
            return through.wire(&self.field);
        }
        let names: Vec<&str> = self.name.split('.').collect();
        table.wire_path(&names).map_or_else(|| self.name.clone(), |(wire, _)| wire)
    }
}

/// Finds a field of the source table and checks that its value can be read.
pub(super) fn source_field(path: &Path, table: &Table, context: &mut Context<'_>) -> Option<SourceField> {
    let (field, through) = match through::resolve(path, table, context.catalogue) {
        Some(Ok((through, field))) => (field, Some(through)),
        Some(Err(Fault::Found(diagnostic))) => {
            context.report(*diagnostic);
            return None;
        }
        Some(Err(Fault::Unknown(part, other))) => {
            let alone = Path { span: part.span, parts: vec![part] };
            context.report(unknown_field(Code::D103, &alone, other.as_deref().unwrap_or(table)));
            return None;
        }
        None => match table.field(&path.names()) {
            Some(field) => (field.clone(), None),
            None => {
                context.report(unknown_field(Code::D103, path, table));
                return None;
            }
        },
    };
    let field = &field;
    if !field.readable {
        context.report(
            Diagnostic::new(
                Code::D105,
                path.span,
                format!("`{}` cannot be read", path.text()),
                "the service does not return the value of this field",
            )
            .help(
                "map another field that contains the value. If column security protects it, add the application user to a field security \
                 profile that allows reading, then run `d365map schema pull`",
            ),
        );
        return None;
    }
    let Some(ty) = Ty::of_source(field) else {
        context.report(not_a_value(path, field));
        return None;
    };
    deprecated(path, field, context);
    // The primary key and the state are always there; everything else may be null, whatever a form demands.
    let name = through.as_ref().map_or_else(|| canonical(path, table), |through| through.name(field));
    let never_null = through.is_none() && (name == table.primary_key || field.vendor_type == "State");
    Some(SourceField { name, field: field.clone(), typed: Typed::new(ty, !never_null), through })
}

/// A target field: its path by the names on the wire, what it admits, and whether it must have a value.
pub(super) struct TargetField {
    pub(super) path: Vec<String>,
    pub(super) fit: Fit,
    pub(super) required: bool,
    pub(super) field: Field,
}

impl TargetField {
    /// The program that writes one column to this field, by these operations. It has no flags and no `or`.
    pub(super) fn written_from(self, at: At, slot: u32, ops: impl IntoIterator<Item = Op>) -> FieldProgram {
        FieldProgram {
            at,
            path: self.path,
            source: Source::Field(Read::plain(slot)),
            steps: ops.into_iter().map(|op| Step { at, op, on_failure: None }).collect(),
            fit: self.fit,
            initial: false,
            create_only: false,
            present: false,
            link_to: None,
        }
    }
}

/// Finds a field of the target table and checks that it can be written.
pub(super) fn target_field(path: &Path, table: &Table, initial: bool, context: &mut Context<'_>) -> Option<TargetField> {
    let mut wire = Vec::new();
    let mut found = None;
    for end in 1..=path.parts.len() {
        match table.field(&path.names()[..end]) {
            Some(field) => {
                wire.extend(field.wire.as_deref().unwrap_or(&field.name).split('.').map(str::to_owned));
                found = Some(field);
            }
            None => {
                context.report(unknown_field(Code::D104, path, table));
                return None;
            }
        }
    }
    let field = found?;
    if matches!(field.ty, FieldType::Collection { .. } | FieldType::Item(_) | FieldType::Lookup { .. }) {
        context.report(not_a_value(path, field));
        return None;
    }
    deprecated(path, field, context);
    // A field that can be set only once is written by an `@initial` mapping.
    let writable = field.updatable || (initial && field.creatable);
    let fit = match &field.ty {
        // Which field identifies the other record is known once the link's mapping is.
        FieldType::Link { .. } => Some(Fit::Link { key: String::new() }),
        ty => fit_of(ty),
    };
    let Some(fit) = fit.filter(|_| writable) else {
        let help = if field.creatable {
            "it can be set when a record is created, not later: write `@initial` at the end of the entry"
        } else {
            "the system computes it: remove the entry, or write to another field"
        };
        context
            .report(Diagnostic::new(Code::D106, path.span, format!("`{}` cannot be written", path.text()), "read-only field").help(help));
        return None;
    };
    Some(TargetField { path: wire, fit, required: field.required, field: field.clone() })
}

fn not_a_value(path: &Path, field: &Field) -> Diagnostic {
    let (what, help) = match &field.ty {
        FieldType::Item(inner) => {
            let first = inner.keys().next().map_or("…", String::as_str);
            ("contains other fields", format!("name one of them: `{}.{first}`", path.text()))
        }
        FieldType::Collection { .. } => {
            ("contains many records", "a mapping writes one record; map the other table in a separate mapping".to_owned())
        }
        FieldType::Link { .. } | FieldType::Lookup { .. } => (
            "refers to another record",
            "name a field with a single value; to write a link, use `lookup -> link | link MAPPING`".to_owned(),
        ),
        FieldType::Boolean { .. }
        | FieldType::Integer { .. }
        | FieldType::Decimal { .. }
        | FieldType::Double
        | FieldType::Text { .. }
        | FieldType::Date
        | FieldType::DateTime
        | FieldType::LocalDateTime
        | FieldType::Guid
        | FieldType::Choice(_)
        | FieldType::MultiChoice(_)
        | FieldType::Enumeration(_)
        | FieldType::Unsupported => ("does not have a single value", "map another field".to_owned()),
    };
    Diagnostic::new(
        Code::D114,
        path.span,
        format!("`{}` {what}", path.text()),
        format!("{} does not have a single value", field.vendor_type),
    )
    .help(help)
}

/// All fields of a table with dotted names for nested ones, aliases too.
fn dotted_names(table: &Table) -> Vec<String> {
    let mut names = Vec::new();
    for field in table.fields.values() {
        names.push(field.name.clone());
        names.extend(field.aliases.iter().cloned());
        if let FieldType::Item(inner) = &field.ty {
            names.extend(inner.keys().map(|k| format!("{}.{k}", field.name)));
        }
    }
    names
}

/// The field's own names along a path, dotted, whatever alias the path uses.
fn canonical(path: &Path, table: &Table) -> String {
    let names = path.names();
    let parts = (1..=names.len()).filter_map(|end| table.field(&names[..end])).map(|f| f.name.as_str());
    parts.collect::<Vec<_>>().join(".")
}

fn deprecated(path: &Path, field: &Field, context: &mut Context<'_>) {
    if let Some(instead) = &field.deprecated {
        context.report(
            Diagnostic::new(Code::D808, path.span, format!("`{}` is deprecated", path.text()), "will be removed").help(instead.clone()),
        );
    }
}

pub(super) fn unknown_field(code: Code, path: &Path, table: &Table) -> Diagnostic {
    let name = path.text();
    let names = dotted_names(table);
    // `city` for `location.city`: the last part alone is often what an author remembers.
    let by_last = || {
        let same = |n: &&String| n.contains('.') && n.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(&name));
        names.iter().find(same).map(Near::guess)
    };
    if let Some(diagnostic) = through_a_lookup(code, path, table) {
        return diagnostic;
    }
    if let Some(near) = through::near_lookup(path, table) {
        return Diagnostic::new(code, path.span, format!("`{}` has no field `{}`", table.id, path.parts[0].text), "unknown field").meant(
            Some(near),
            path.span,
            String::new,
        );
    }
    let near = near(&name, names.iter().map(String::as_str));
    let near = match near {
        Some(near) if near.safety == Safety::Safe => Some(near),
        near => by_table(path, table).or_else(|| by_label(&name, table)).or_else(|| in_german(&name, table)).or(near).or_else(by_last),
    };
    Diagnostic::new(code, path.span, format!("`{}` has no field `{name}`", table.id), "unknown field").meant(near, path.span, || {
        format!(
            "see the fields with `d365map schema show {id}`; to add custom fields, run `d365map schema pull {id}` or write a schema file",
            id = table.id
        )
    })
}

/// `contact.lastname` for `lastname`.
fn by_table(path: &Path, table: &Table) -> Option<Near> {
    let (first, rest) = path.parts.split_first()?;
    let names: Vec<&str> = rest.iter().map(|part| part.text.as_str()).collect();
    let found = !names.is_empty() && first.text.eq_ignore_ascii_case(&table.id.name) && table.field(&names).is_some();
    found.then(|| Near::guess(names.join(".")))
}

/// The field that people know by a label, such as `Business Phone`; without the part before a colon too, such as `Address 1: City`.
fn by_label(name: &str, table: &Table) -> Option<Near> {
    let same = |label: &str| label.trim().to_lowercase() == name.to_lowercase();
    let labelled = |field: &&Field, whole: bool| {
        field.label.as_deref().is_some_and(|label| same(if whole { label } else { label.rsplit(": ").next().unwrap_or(label) }))
    };
    // A label that two fields have names neither.
    let one = |whole: bool| {
        let mut fields = table.fields.values().filter(|field| labelled(field, whole));
        fields.next().filter(|_| fields.next().is_none())
    };
    let first = || table.fields.values().find(|field| labelled(field, false));
    one(true).or_else(|| one(false)).or_else(first).map(|field| Near::guess(field.name.clone()))
}

/// A field of the record that a lookup points to, as the target.
fn through_a_lookup(code: Code, path: &Path, table: &Table) -> Option<Diagnostic> {
    let [lookup, inner] = path.parts.as_slice() else { return None };
    let field = table.field(&[lookup.text.as_str()]).filter(|field| matches!(field.ty, FieldType::Lookup { .. }))?;
    let name = &field.name;
    Some(
        Diagnostic::new(
            code,
            path.span,
            format!("`{}` is a field of another record, and cannot be written through `{name}`", path.text()),
            format!("`{name}` points to the record that has `{}`", inner.text),
        )
        .help("write to a field of this table; map the fields of the other record in a mapping of its table"),
    )
}

/// The field of a person that a German form calls by this name.
fn in_german(name: &str, table: &Table) -> Option<Near> {
    let names: &[&str] = match name.to_lowercase().as_str() {
        "vorname" => &["firstname", "firstName"],
        "nachname" | "familienname" => &["lastname", "lastName"],
        "anrede" => &["salutation"],
        "e-mail" | "e-mail-adresse" | "mail" => &["emailaddress1", "email"],
        "telefon" | "telefonnummer" => &["telephone1", "phone"],
        "mobiltelefon" | "handy" | "mobil" => &["mobilephone", "mobilePhone"],
        "geburtsdatum" | "geburtstag" => &["birthdate", "birthDate"],
        "geschlecht" => &["gendercode", "gender"],
        "straße" | "strasse" => &["address1_line1", "location.address1"],
        "plz" | "postleitzahl" => &["address1_postalcode", "location.zipCode"],
        "ort" | "stadt" => &["address1_city", "location.city"],
        "land" => &["address1_country"],
        _ => return None,
    };
    let known = |name: &&&str| table.field(&name.split('.').collect::<Vec<_>>()).is_some();
    names.iter().find(known).map(|name| Near::guess(*name))
}
