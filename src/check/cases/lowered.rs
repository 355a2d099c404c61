//! What tests need to know of the flows: which fields they read and write, in each direction.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::Context;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{Condition, FieldProgram, IngressFlow, LinkedRecord, LinkedRows, Scope, Slot, TwoWayFlow};
use crate::schema::{Table, TableId};
use crate::syntax::ast::{Assignment, Path, Way};

/// What tests need to know of a flow in one direction.
pub(super) struct Lowered<'f> {
    pub(super) slots: &'f [Slot],
    pub(super) programs: Vec<&'f FieldProgram>,
    /// Whether the result of a record depends on the time of the run.
    pub(super) asks_the_time: bool,
    /// Whether the scope decides by fields that no program reads.
    pub(super) scope: bool,
    /// The records that lookups of the Dynamics 365 side point to.
    pub(super) links: &'f [LinkedRecord],
    /// The lists whose items are rows.
    pub(super) rows: &'f [LinkedRows],
    /// Whether the record is one of the right side.
    pub(super) backward: bool,
}

/// A list that a test gives or expects items of.
pub(super) struct ListOf<'f> {
    pub(super) place: usize,
    pub(super) table: Arc<Table>,
    /// The property that tells items apart.
    pub(super) key: &'f str,
    /// What one item is put through.
    pub(super) item: Lowered<'f>,
}

impl<'f> Lowered<'f> {
    /// The list of a path: by its path on the left side, by the name of the rows' table on the right side. `of`: the record's table,
    /// `given`: whether it is the record that is given.
    pub(super) fn list(&self, path: &Path, of: &Table, given: bool, context: &Context<'_>) -> Option<ListOf<'f>> {
        let of_rows = self.backward == given;
        let wire = of.wire_path(&path.names()).map(|(wire, _)| wire);
        let named = |rows: &LinkedRows| if of_rows { rows.name() == path.text() } else { wire.as_ref() == Some(&rows.list.join(".")) };
        let (place, rows) = self.rows.iter().enumerate().find(|(_, rows)| named(rows))?;
        let table =
            if of_rows { context.catalogue.get(&TableId::parse(&rows.table)?)? } else { context.catalogue.items(of, &path.names())? };
        let (slots, programs) = if self.backward { (&rows.rows, &rows.backward) } else { (&rows.items, &rows.forward) };
        let item = Lowered {
            slots,
            programs: programs.iter().collect(),
            asks_the_time: false,
            scope: false,
            links: &[],
            rows: &[],
            backward: self.backward,
        };
        let key = if of_rows { &rows.row_key } else { &rows.item_key };
        Some(ListOf { place, table: table.clone(), key, item })
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.field == name) || (self.scope && matches!(name, "qualification" | "type"))
    }

    pub(super) fn writes(&self, path: &[String]) -> bool {
        self.programs.iter().any(|program| program.path == path)
    }

    /// The record that a path points to by its first part, a lookup, with the path within it.
    pub(super) fn linked(&self, path: &Path, context: &Context<'_>) -> Option<(&LinkedRecord, Arc<Table>, Path)> {
        let (lookup, rest) = path.parts.split_first().filter(|(_, rest)| !rest.is_empty())?;
        let link = self.links.iter().find(|link| link.column == lookup.text)?;
        let table = context.catalogue.get(&TableId::parse(&link.table)?)?.clone();
        let span = Span { start: rest.first()?.span.start, ..path.span };
        Some((link, table, Path { parts: rest.to_vec(), span }))
    }
}

/// The flows of all mappings without an error, by name and direction.
pub(in crate::check) struct Flows<'f>(BTreeMap<(&'f str, bool), Lowered<'f>>);

impl<'f> Flows<'f> {
    /// The flow of a mapping in one direction, unless the mapping has an error.
    pub(super) fn get<'a>(&'a self, mapping: &'a str, way: Way) -> Option<&'a Lowered<'a>> {
        let flows: &'a Flows<'a> = self;
        flows.0.get(&(mapping, way == Way::Backward))
    }

    pub(in crate::check) fn new(ingress: &'f [IngressFlow], two_way: &'f [TwoWayFlow]) -> Flows<'f> {
        // Asked once for each mapping and not for each of its tests.
        let asks = |filter: &Option<Condition>| filter.as_ref().is_some_and(Condition::asks_the_time);
        let one_way = ingress.iter().map(|flow| {
            let today = flow.fields.iter().any(|field| field.steps_of_today().next().is_some());
            let programs = flow.fields.iter().chain(std::iter::once(&flow.key)).collect();
            let lowered = Lowered {
                slots: &flow.source.slots,
                programs,
                asks_the_time: today || flow.asks_the_time(),
                scope: false,
                links: &[],
                rows: &[],
                backward: false,
            };
            ((flow.name.as_str(), false), lowered)
        });
        let both = two_way.iter().flat_map(|flow| {
            let to_right = Lowered {
                slots: &flow.left.slots,
                programs: flow.forward.iter().collect(),
                asks_the_time: asks(&flow.filter),
                scope: flow.scope != Scope::All,
                links: &flow.links,
                rows: &flow.rows,
                backward: false,
            };
            let to_left = Lowered {
                slots: &flow.right.slots,
                programs: flow.backward.iter().collect(),
                asks_the_time: false,
                scope: false,
                links: &flow.links,
                rows: &flow.rows,
                backward: true,
            };
            [((flow.name.as_str(), false), to_right), ((flow.name.as_str(), true), to_left)]
        });
        Flows(one_way.chain(both).collect())
    }
}

pub(super) fn cannot(span: Span, message: String, label: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::D122, span, message, label).help(help)
}

/// An item of what is not a list of the mapping.
pub(super) fn not_a_list(assignment: &Assignment, flow: &Lowered<'_>, given: bool) -> Diagnostic {
    let name = |rows: &LinkedRows| if flow.backward == given { rows.name().to_owned() } else { rows.list.join(".") };
    let names: Vec<String> = flow.rows.iter().map(name).collect();
    let text = assignment.field.text();
    let help = match names.as_slice() {
        [] => format!("write `{text}: value`; a mapping has lists if it has a `rows` block"),
        names => format!("its lists are `{}`; a field is written `{text}: value`", names.join("`, `")),
    };
    cannot(assignment.field.span, format!("`{text}` is not a list of this mapping"), "not a list", &help)
}
