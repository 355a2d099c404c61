//! Paths through lookups: `owninguser.internalemailaddress`, and `parentcustomerid.account.industrycode` for a lookup of several tables.

use std::sync::Arc;

use super::types::list;
use crate::diagnostics::{Code, Diagnostic, Near, Span, near};
use crate::schema::{Catalogue, Field, FieldType, LookupTarget, SystemId, Table, TableId};
use crate::syntax::ast::{Ident, Path};

/// The greatest number of lookups on the way to a column.
const MOST_LOOKUPS: usize = 2;

/// The lookups that point to a column of another record, the record's own first; at least one.
#[derive(Clone)]
pub(super) struct Through(Vec<Hop>);

/// A lookup on the way.
#[derive(Clone)]
pub(super) struct Hop {
    pub(super) lookup: Field,
    /// The path up to here, by the fields' own names, with the table if there are several.
    pub(super) path: String,
    pub(super) several: bool,
    /// The table that it points to.
    pub(super) table: Arc<Table>,
}

/// Why a path points nowhere.
pub(super) enum Fault {
    /// What to report.
    Found(Box<Diagnostic>),
    /// A table does not have a field of this name; without a table, it is the record's own.
    Unknown(Ident, Option<Arc<Table>>),
}

impl From<Diagnostic> for Fault {
    fn from(diagnostic: Diagnostic) -> Fault {
        Fault::Found(Box::new(diagnostic))
    }
}

impl Through {
    /// The path of a column, by the fields' own names.
    pub(super) fn name(&self, field: &Field) -> String {
        format!("{}.{}", self.path(), field.name)
    }

    /// The property of the record in which the evaluator finds a column.
    pub(super) fn wire(&self, field: &Field) -> String {
        format!("{}.{}", self.path(), field.wire_name(SystemId::D365))
    }

    /// The lookups.
    pub(super) fn hops(&self) -> &[Hop] {
        &self.0
    }

    fn path(&self) -> &str {
        self.0.last().map_or("", |hop| &hop.path)
    }
}

/// Whether a path leads through a lookup of the table, whatever is wrong with the rest of it.
pub(super) fn leads(path: &Path, table: &Table) -> bool {
    table.id.system == SystemId::D365
        && path.parts.len() > 1
        && table.field(&[&path.parts[0].text]).is_some_and(|field| matches!(field.ty, FieldType::Lookup { .. }))
}

/// Finds the column that a path points to through lookups; `None` if it does not begin with a column of the table and a dot.
pub(super) fn resolve(path: &Path, table: &Table, catalogue: &Catalogue) -> Option<Result<(Through, Field), Fault>> {
    let first = path.parts.first().filter(|_| table.id.system == SystemId::D365 && path.parts.len() > 1)?;
    table.field(&[&first.text])?;
    Some(walk(path, table, catalogue))
}

fn walk(path: &Path, source: &Table, catalogue: &Catalogue) -> Result<(Through, Field), Fault> {
    let mut hops: Vec<Hop> = Vec::new();
    let mut parts = path.parts.as_slice();
    while let Some((part, rest)) = parts.split_first() {
        let table = hops.last().map_or(source, |hop| &*hop.table);
        let Some(field) = table.field(&[&part.text]) else { return Err(unknown(part, hops.last(), catalogue)) };
        let field = field.clone();
        if rest.is_empty() {
            return Ok((Through(hops), field));
        }
        let FieldType::Lookup { targets } = &field.ty else { return Err(not_a_lookup(part, &field, path).into()) };
        if hops.len() == MOST_LOOKUPS {
            return Err(too_deep(path, part).into());
        }
        let before = hops.last().map(|hop| format!("{}.", hop.path)).unwrap_or_default();
        let way = Way { part, field: &field, before: &before };
        let (target, rest) = target(&way, targets, rest, path, catalogue)?;
        let several = targets.len() > 1;
        let own = format!("{before}{}", field.name);
        let hop_path = if several { format!("{own}.{target}") } else { own };
        let id = TableId::new(SystemId::D365, target.to_owned());
        let Some(table) = catalogue.get(&id) else { return Err(no_schema(part, &id).into()) };
        let table = table.clone();
        hops.push(Hop { lookup: field, path: hop_path, several, table });
        parts = rest;
    }
    // A path has a part at least, and its last one ends the loop.
    let last = Ident { text: path.text(), span: path.span };
    Err(Fault::Unknown(last, None))
}

/// A lookup in a path.
struct Way<'w> {
    part: &'w Ident,
    field: &'w Field,
    /// What comes before it in the path, with a dot at the end.
    before: &'w str,
}

/// The table that a lookup points to, and the rest of the path.
fn target<'t, 'p>(
    way: &Way<'_>,
    targets: &'t [LookupTarget],
    rest: &'p [Ident],
    path: &Path,
    catalogue: &Catalogue,
) -> Result<(&'t str, &'p [Ident]), Fault> {
    let Way { part, field, before } = way;
    let named = rest.first().and_then(|next| targets.iter().find(|target| target.table == next.text));
    let tables = || list(targets.iter().map(|target| target.table.as_str()), 5);
    let rest_text = |rest: &[Ident]| rest.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(".");
    match (targets, named) {
        ([], _) => Err(Diagnostic::new(
            Code::D131,
            part.span,
            format!("the schema does not say which table `{}` points to", field.name),
            "a lookup of unknown tables",
        )
        .help("fetch the table of this mapping again with `d365map schema pull`, or add `targets` to the column in the schema file")
        .into()),
        ([only], None) => Ok((&only.table, rest)),
        ([only], Some(_)) => {
            // Taken for the table only if the table has no such column.
            let column = catalogue.get(&TableId::new(SystemId::D365, only.table.clone())).and_then(|t| t.field(&[&rest[0].text]));
            if column.is_some() || rest.len() == 1 {
                return Ok((&only.table, rest));
            }
            let text = format!("{before}{}.{}", part.text, rest_text(&rest[1..]));
            let message = format!("`{}` points to `{}` only, so the table is not named", field.name, only.table);
            Err(Diagnostic::new(Code::D129, path.span, message, "a lookup of one table")
                .meant(Some(Near::guess(text)), path.span, String::new)
                .into())
        }
        (_, Some(target)) if rest.len() > 1 => Ok((&target.table, &rest[1..])),
        (_, named) => {
            let has = |target: &&LookupTarget| {
                let table = catalogue.get(&TableId::new(SystemId::D365, target.table.clone()));
                rest.first().zip(table).is_some_and(|(next, table)| table.field(&[&next.text]).is_some())
            };
            let mut having = targets.iter().filter(has);
            let one = having.next().filter(|_| named.is_none() && having.next().is_none());
            let meant = one.map(|target| Near::guess(format!("{before}{}.{}.{}", part.text, target.table, rest_text(rest))));
            let diagnostic = match named {
                Some(target) => Diagnostic::new(
                    Code::D129,
                    path.span,
                    format!("`{}` names a table, but no column of it", path.text()),
                    format!("a row of `{}`", target.table),
                ),
                None => Diagnostic::new(
                    Code::D129,
                    path.span,
                    format!("`{}` can point to several tables", field.name),
                    format!("to {}", tables()),
                ),
            };
            let example = targets.first().map_or("", |target| &target.table);
            Err(diagnostic
                .meant(meant, path.span, || format!("name the table and the column: `{before}{}.{example}.COLUMN`", part.text))
                .into())
        }
    }
}

fn unknown(part: &Ident, hop: Option<&Hop>, catalogue: &Catalogue) -> Fault {
    // Perhaps another table of the lookup has it.
    if let Some(hop) = hop.filter(|hop| hop.several)
        && let FieldType::Lookup { targets } = &hop.lookup.ty
    {
        let has = |target: &&LookupTarget| {
            let other = catalogue.get(&TableId::new(SystemId::D365, target.table.clone()));
            other.is_some_and(|other| other.id != hop.table.id && other.field(&[&part.text]).is_some())
        };
        if let Some(target) = targets.iter().find(has) {
            let message = format!("`{}` has no field `{}`", hop.table.id, part.text);
            return Diagnostic::new(Code::D103, part.span, message, "unknown field")
                .help(format!("`d365.{0}` has it: write `{1}.{0}.{2}`", target.table, hop.lookup.name, part.text))
                .into();
        }
    }
    Fault::Unknown(part.clone(), hop.map(|hop| hop.table.clone()))
}

fn not_a_lookup(part: &Ident, field: &Field, path: &Path) -> Diagnostic {
    Diagnostic::new(
        Code::D128,
        path.span,
        format!("`{}` is not a lookup, so nothing can be read through it", part.text),
        format!("{} holds a value", field.vendor_type),
    )
    .help(format!("write `{}` for the value itself; before a dot, write a lookup, such as `owninguser.fullname`", part.text))
}

fn too_deep(path: &Path, part: &Ident) -> Diagnostic {
    Diagnostic::new(
        Code::D130,
        path.span,
        format!("`{}` leads through more than {MOST_LOOKUPS} lookups", path.text()),
        format!("`{}` is lookup number {}", part.text, MOST_LOOKUPS + 1),
    )
    .help("map the record in between in a separate mapping, or copy the value into a column that is nearer")
}

fn no_schema(part: &Ident, id: &TableId) -> Diagnostic {
    Diagnostic::new(
        Code::D131,
        part.span,
        format!("`{}` points to `{id}`, and no schema is known for that table", part.text),
        "a table without a schema",
    )
    .help(format!("fetch its columns with `d365map schema pull {id}`"))
}

/// The finding for a column of another record where only the record's own columns can be used.
pub(super) fn only_own(name: &str, place: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::D132, span, format!("`{name}` cannot be used in {place}"), "a column of another record")
        .help("use a column of the record itself; columns of other records can be read in mappings from Dynamics 365 to Campaign only")
}

/// A lookup that was probably meant by the first part of a path, with the rest of the path.
pub(super) fn near_lookup(path: &Path, table: &Table) -> Option<Near> {
    let (first, rest) = path.parts.split_first().filter(|(_, rest)| !rest.is_empty() && table.id.system == SystemId::D365)?;
    let lookups = || {
        table.fields.values().filter_map(|field| match &field.ty {
            FieldType::Lookup { targets } => Some((field, targets)),
            _ => None,
        })
    };
    let rest: Vec<&str> = rest.iter().map(|part| part.text.as_str()).collect();
    let rest = rest.join(".");
    // The navigation property of the Web API: `parentcustomerid_account`.
    for (field, targets) in lookups() {
        let by = |target: &&LookupTarget| target.navigation.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&first.text));
        if let Some(target) = targets.iter().find(by).filter(|_| field.name != first.text) {
            let table = if targets.len() > 1 { format!("{}.", target.table) } else { String::new() };
            return Some(Near::guess(format!("{}.{table}{rest}", field.name)));
        }
    }
    if first.text == table.id.name {
        return None;
    }
    near(&first.text, lookups().map(|(field, _)| field.name.as_str())).map(|near| near.written(|name| format!("{name}.{rest}")))
}
