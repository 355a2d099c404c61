//! Which mappings write a table. A table of Dynamics may be read into several tables of Campaign, and several tables into one if their keys are
//! never the same; each mapping has its own state. The tables of a mapping in both directions are in no other.

use std::collections::BTreeMap;

use super::Context;
use super::keys::KeyShape;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::schema::{SystemId, TableId};
use crate::syntax::ast::{Head, Mapping, TableName, Way};

/// A mapping that reads or writes a table.
struct Owner<'f> {
    /// The table in its head.
    span: Span,
    name: &'f str,
    way: Way,
    shape: Option<KeyShape>,
}

/// What a mapping does with a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Reads,
    Writes,
}

/// The mappings so far, by table and role.
#[derive(Default)]
pub(super) struct Owners<'f>(BTreeMap<(TableId, Role), Vec<Owner<'f>>>);

impl<'f> Owners<'f> {
    /// Adds a mapping, and reports a table that another one must have alone.
    pub(super) fn add(&mut self, mapping: &'f Mapping, head: &'f Head, context: &mut Context<'_>) {
        let id = |table: &TableName| Some(TableId::new(SystemId::from_name(&table.system.text)?, table.table.text.clone()));
        let schema = |table: &TableName| id(table).and_then(|id| context.catalogue.get(&id)).map(AsRef::as_ref);
        let shape = KeyShape::of(mapping, schema(&head.source), schema(&head.target));
        for (table, own) in [(&head.source, Role::Reads), (&head.target, Role::Writes)] {
            let Some(id) = id(table) else { continue };
            // A two-way mapping reads and writes both tables.
            let roles = if head.way == Way::Forward { vec![own] } else { vec![Role::Reads, Role::Writes] };
            let owner = || Owner { span: table.span, name: &head.name.text, way: head.way, shape: shape.clone() };
            let before = roles.iter().flat_map(|role| self.0.get(&(id.clone(), *role)).into_iter().flatten().map(|known| (*role, known)));
            match before.into_iter().find(|(role, known)| !owner().goes_with(known, *role)) {
                Some((_, first)) => context.report(mapped_twice(&id, &owner(), first, own)),
                None => roles.iter().for_each(|role| self.0.entry((id.clone(), *role)).or_default().push(owner())),
            }
        }
    }
}

impl Owner<'_> {
    /// Whether both mappings can have the table: several may read it, and write it if no two of their records can have the same key.
    fn goes_with(&self, other: &Owner<'_>, role: Role) -> bool {
        let apart = || self.shape.as_ref().zip(other.shape.as_ref()).is_some_and(|(own, other)| own.is_disjoint_from(other));
        self.way == Way::Forward && other.way == Way::Forward && (role == Role::Reads || apart())
    }
}

fn mapped_twice(id: &TableId, owner: &Owner<'_>, first: &Owner<'_>, role: Role) -> Diagnostic {
    let one_way = role == Role::Writes && owner.way == Way::Forward;
    let shapes = owner.shape.as_ref().zip(first.shape.as_ref()).filter(|_| one_way);
    let lines = shapes.and_then(|(own, other)| KeyShape::kept_apart((owner.name, own), (first.name, other)));
    let help = match lines.as_deref() {
        Some([(name, line)]) => {
            let which = if *name == owner.name { "one of them".to_owned() } else { format!("`{name}`") };
            format!(
                "put the fields of both into one mapping; if they write different records, give {which} a key with a fixed text: `{line}`"
            )
        }
        Some([(name, line), (other, second)]) => {
            format!(
                "put the fields of both into one mapping; if they write different records, give both keys a fixed text: `{line}` in `{name}`, \
                 and `{second}` in `{other}`"
            )
        }
        _ => "a table is written by one mapping: put the fields of both into it".to_owned(),
    };
    Diagnostic::new(Code::D110, owner.span, format!("`{id}` is mapped twice"), "mapped here again")
        .related(first.span, format!("mapped here by `{}`", first.name))
        .help(help)
}
