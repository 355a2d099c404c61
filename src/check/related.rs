//! Values through lookups: the slots of columns of other records, and what is followed for them.

use super::Context;
use super::entry::{Checker, kind_of};
use super::names::SourceField;
use super::through::{self, Through};
use super::types::{Ty, Typed};
use crate::diagnostics::Span;
use crate::plan::{LOOKUP_TABLE, Related, RelatedLookup, RelatedTable, Slot, SlotKind};
use crate::schema::{Field, SystemId, Table};
use crate::syntax::ast::Path;

impl Checker<'_> {
    /// The column that a path names: the record's own, or one of another record. Reports nothing.
    pub(super) fn column(&self, path: &Path, context: &Context<'_>) -> Option<Field> {
        match through::resolve(path, &self.source, context.catalogue) {
            Some(found) => found.ok().map(|(_, field)| field),
            None => self.source.field(&path.names()).cloned(),
        }
    }

    /// The slot of a column of another record, or of an annotation of it.
    pub(super) fn related_slot(
        &mut self,
        source: &SourceField,
        through: &Through,
        annotation: Option<&str>,
        span: Span,
        context: &mut Context<'_>,
    ) -> u32 {
        if self.related.is_none() {
            context.report(through::only_own(&source.name, "this mapping", span));
            // Nothing is made of it.
            return 0;
        }
        let beside = annotation.map(|annotation| format!("@{annotation}")).unwrap_or_default();
        let wire = format!("{}{beside}", through.wire(&source.field));
        let index = if annotation.is_some() { &wire } else { &source.name };
        if let Some(slot) = self.index.get(index) {
            return *slot;
        }
        match annotation {
            Some(annotation) => self.name_is_elsewhere(source, annotation, span, context),
            None => self.derived(source, span, context),
        }
        self.follow(through, &format!("{}{beside}", source.field.wire_name(SystemId::D365)), span, context);
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let kind = if annotation.is_some() { SlotKind::Text } else { kind_of(&source.field) };
        self.index.insert(index.clone(), slot);
        self.related_fields.insert(source.name.clone(), source.field.clone());
        self.slots.push(Slot { field: source.name.clone(), wire, kind, related: true, at: context.at(span) });
        slot
    }

    /// Notes the lookups that point to a column, and what is needed of the rows on the way.
    fn follow(&mut self, through: &Through, column: &str, span: Span, context: &mut Context<'_>) {
        let at = context.at(span);
        let mut behind: Option<u32> = None;
        for hop in through.hops() {
            let property = hop.lookup.wire_name(SystemId::D365);
            match behind.and_then(|behind| self.related.as_ref()?.lookups.get(behind as usize).map(|lookup| lookup.table)) {
                // The record itself tells where it leads.
                None => {
                    let (name, field) = (hop.lookup.name.clone(), hop.lookup.clone());
                    let typed = Typed::new(Ty::Guid, true);
                    let own = SourceField { name, field, typed, through: None };
                    self.slot(&own, span, context);
                    if hop.several {
                        self.beside(&own, LOOKUP_TABLE, span, context);
                    }
                }
                Some(table) => {
                    self.keep(table, &property);
                    if hop.several {
                        self.keep(table, &format!("{property}@{LOOKUP_TABLE}"));
                    }
                }
            }
            let Some(related) = &mut self.related else { return };
            let known = related.lookups.iter().position(|lookup| lookup.path == hop.path);
            let place = known.unwrap_or_else(|| {
                let table = table_of(related, &hop.table);
                let (path, several) = (hop.path.clone(), hop.several);
                related.lookups.push(RelatedLookup { at, path, behind, property, several, table });
                related.lookups.len() - 1
            });
            behind = u32::try_from(place).ok();
        }
        if let Some(table) = behind.and_then(|behind| self.related.as_ref()?.lookups.get(behind as usize).map(|lookup| lookup.table)) {
            self.keep(table, column);
        }
    }

    /// Keeps a column of a table, in the order of the names: another order of the lines is not another mapping.
    fn keep(&mut self, table: u32, column: &str) {
        let Some(table) = self.related.as_mut().and_then(|related| related.tables.get_mut(table as usize)) else { return };
        if column != table.primary_key
            && let Err(place) = table.columns.binary_search_by(|known| known.as_str().cmp(column))
        {
            table.columns.insert(place, column.to_owned());
        }
    }
}

/// The place of a table among those that are followed.
fn table_of(related: &mut Related, table: &Table) -> u32 {
    let name = table.id.to_string();
    let place = related.tables.iter().position(|known| known.table == name).unwrap_or_else(|| {
        related.tables.push(RelatedTable {
            table: name,
            collection: table.collection.clone(),
            primary_key: table.primary_key.clone(),
            columns: Vec::new(),
        });
        related.tables.len() - 1
    });
    u32::try_from(place).unwrap_or(u32::MAX)
}
