//! Event blocks: which marketing events appear on the timeline, in which tables and columns.
//!
//! The names of the tables and columns are a project's own. Those that a block does not give are our own guess at the shape of the vendor's
//! AppSource solution, whose logical names no public document contains: the activities *Adobe Campaign Email Send*, *Open*, *URL Click* and
//! *Bounce*, with campaign name, delivery name, date, mirror page URL and tracking URL (documented).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::{self, EVENTS};
use super::types::list;
use super::{Context, names};
use crate::diagnostics::{Code, Diagnostic, Safety, Span, near};
use crate::plan::{ActivityTable, EventColumn, EventField, EventFlow, EventPiece, EventType};
use crate::schema::{FieldType, SystemId, Table, TableId};
use crate::syntax::ast::{Events, FieldMapping, LiteralValue, Path, Source, TableName, TemplatePart, Way};

/// The table of a type that no entry names. Assumed, see above.
fn default_table(kind: EventType) -> &'static str {
    match kind {
        EventType::Send => "adobe_emailsend",
        EventType::Open => "adobe_emailopen",
        EventType::Click => "adobe_emailclick",
        EventType::Bounce => "adobe_emailbounce",
    }
}

/// The columns of a block that names none. Assumed, see above.
const DEFAULT_COLUMNS: [(&str, EventField); 6] = [
    ("actualend", EventField::Date),
    ("adobe_campaignname", EventField::Campaign),
    ("adobe_deliveryname", EventField::Delivery),
    ("adobe_eventdate", EventField::Date),
    ("adobe_mirrorpageurl", EventField::MirrorPage),
    ("adobe_trackingurl", EventField::Url),
];

/// The subject if no entry writes one: campaign and delivery by their own names (documented).
fn default_subject() -> Vec<EventPiece> {
    vec![EventPiece::Field(EventField::CampaignId), EventPiece::Text(" ".to_owned()), EventPiece::Field(EventField::DeliveryId)]
}

/// What the entries of a block say, with their places.
#[derive(Default)]
struct Entries {
    tables: BTreeMap<EventType, (Span, String)>,
    tasks: BTreeMap<EventType, (Span, Vec<EventPiece>)>,
    columns: Vec<(Path, Vec<EventPiece>, Span)>,
}

/// Checks an event block. Campaign's emails are not a table of a schema, so their name is checked here.
pub(super) fn check(block: &Events, context: &mut Context<'_>) -> Option<EventFlow> {
    fn words(name: &TableName) -> (&str, &str) {
        (&name.system.text, &name.table.text)
    }
    let from = words(&block.source);
    if (from, words(&block.target)) == (("d365", "contact"), ("campaign", "email")) {
        let both = block.source.span.to(block.target.span);
        context.report(
            Diagnostic::new(Code::D112, both, "events go from Campaign to Dynamics", "the tables are in the wrong order")
                .help(format!("write `events {}: campaign.email -> d365.contact {{`", block.name.text))
                .fix(Safety::Unsafe, "swap the tables", both, "campaign.email -> d365.contact"),
        );
        return None;
    }
    if from != ("campaign", "email") {
        context.report(
            Diagnostic::new(Code::D112, block.source.span, "events are those of Campaign's emails", "not a source of events")
                .help("write `campaign.email -> d365.contact`")
                .fix(Safety::Unsafe, "write `campaign.email`", block.source.span, "campaign.email"),
        );
    }
    let target = names::table(&block.target, context);
    let chosen = options::chosen(block.settings.iter(), EVENTS, context);
    let entries = entries(block, context);
    let target = target?;
    if target.id != TableId::new(SystemId::D365, "contact") {
        context.report(
            Diagnostic::new(Code::D112, block.target.span, "events appear on the timeline of contacts", "not a target of events")
                .help("write `campaign.email -> d365.contact`")
                .fix(Safety::Unsafe, "write `d365.contact`", block.target.span, "d365.contact"),
        );
        return None;
    }
    let mut types: Vec<EventType> =
        chosen.iter().filter(|(_, value)| *value == "on").filter_map(|(name, _)| EventType::from_name(name)).collect();
    types.sort();
    types.dedup();
    let completed = !chosen.contains(&("completed", "off"));
    known_tables(&types, &entries, context);
    let at = context.at(block.name.span.to(block.target.span));
    let activities = types.iter().map(|kind| ActivityTable {
        kind: *kind,
        at: entries.tables.get(kind).map_or(at, |(span, _)| context.at(*span)),
        table: entries.tables.get(kind).map_or_else(|| default_table(*kind).to_owned(), |(_, table)| table.clone()),
        task: entries.tasks.get(kind).map(|(_, text)| text.clone()),
    });
    let activities = activities.collect();
    let mut columns: Vec<EventColumn> = if entries.columns.is_empty() {
        DEFAULT_COLUMNS
            .iter()
            .map(|(column, field)| EventColumn { at, column: (*column).to_owned(), value: vec![EventPiece::Field(*field)] })
            .collect()
    } else {
        let own = entries.columns.into_iter();
        own.map(|(path, value, span)| EventColumn { at: context.at(span), column: path.text(), value }).collect()
    };
    if !columns.iter().any(|c| c.column == "subject") {
        columns.insert(0, EventColumn { at, column: "subject".to_owned(), value: default_subject() });
    }
    Some(EventFlow { name: block.name.text.clone(), at, table: target.id.to_string(), types, activities, columns, completed })
}

fn cannot(span: Span, message: impl Into<String>, label: &str) -> Diagnostic {
    Diagnostic::new(Code::D123, span, message, label)
}

fn entries(block: &Events, context: &mut Context<'_>) -> Entries {
    let mut entries = Entries::default();
    for field in &block.fields {
        if field.way != Way::Forward {
            context.report(cannot(field.way_span, "events go from Campaign to Dynamics", "not allowed in this direction").fix(
                Safety::Unsafe,
                "write `->`",
                field.way_span,
                "->",
            ));
            continue;
        }
        let behind = field.steps.first().map(|s| s.span).or_else(|| field.flags.first().map(|f| f.span));
        if let Some(span) = behind {
            context.report(
                cannot(span, "a field of an event cannot have steps", "not here")
                    .help("remove it; texts are cut to the length of their column automatically"),
            );
            continue;
        }
        entry(field, &mut entries, context);
    }
    entries
}

fn entry(field: &FieldMapping, entries: &mut Entries, context: &mut Context<'_>) {
    let twice = |first: Span, context: &mut Context<'_>| {
        context.report(
            Diagnostic::new(Code::D115, field.span, "this column is written twice", "the second time")
                .related(first, "the first time")
                .help("keep one of the two"),
        );
    };
    // `send -> TABLE`
    if let Source::Field(path) = &field.source
        && let [name] = path.names().as_slice()
        && let Some(kind) = EventType::from_name(name)
    {
        if field.target.parts.len() != 1 {
            context.report(cannot(field.target.span, "a type is written to a table", "not the logical name of a table"));
            return;
        }
        match entries.tables.get(&kind) {
            Some((first, _)) => twice(*first, context),
            None => drop(entries.tables.insert(kind, (field.target.span, field.target.text()))),
        }
        return;
    }
    let Some(value) = value(&field.source, context) else { return };
    match field.target.names().as_slice() {
        // `"text" -> task.bounce`
        ["task", name] => match EventType::from_name(name).filter(|k| matches!(k, EventType::Click | EventType::Bounce)) {
            Some(kind) => match entries.tasks.get(&kind) {
                Some((first, _)) => twice(*first, context),
                None => drop(entries.tasks.insert(kind, (field.span, value))),
            },
            None => context.report(
                cannot(field.target.span, format!("`{name}` cannot have a task"), "not a type that can have tasks")
                    .help("only a click and a bounce can have one: `task.click`, `task.bounce`"),
            ),
        },
        [_] => match entries.columns.iter().find(|(path, _, _)| path.text() == field.target.text()) {
            Some((_, _, first)) => twice(*first, context),
            None => entries.columns.push((field.target.clone(), value, field.span)),
        },
        _ => context.report(
            cannot(field.target.span, format!("`{}` is not a column", field.target.text()), "not the logical name of a column")
                .help("write a column of the activities, or `task.click` and `task.bounce`"),
        ),
    }
}

/// What a column holds.
fn value(source: &Source, context: &mut Context<'_>) -> Option<Vec<EventPiece>> {
    let mut of_event = |path: &Path| match EventField::from_name(&path.text()) {
        Some(field) => Some(EventPiece::Field(field)),
        None => {
            let known = || EventField::ALL.iter().map(|(_, name)| *name);
            let text = path.text();
            let diagnostic =
                cannot(path.span, format!("an event has no `{text}`"), "unknown")
                    .meant(near(&text, known()), path.span, || format!("an event has {}", list(known(), 12)));
            context.report(diagnostic);
            None
        }
    };
    match source {
        Source::Field(path) => Some(vec![of_event(path)?]),
        Source::Literal(literal) => match &literal.value {
            LiteralValue::Text(text) => Some(vec![EventPiece::Text(text.clone())]),
            _ => {
                context.report(
                    cannot(literal.span, "only a field of the event or a text can be written", "no text").help("write it in double quotes"),
                );
                None
            }
        },
        Source::Template(template) => template
            .parts
            .iter()
            .map(|part| match part {
                TemplatePart::Text(text) => Some(EventPiece::Text(text.clone())),
                TemplatePart::Constant(literal) => match &literal.value {
                    LiteralValue::Text(text) => Some(EventPiece::Text(text.clone())),
                    _ => None,
                },
                TemplatePart::Field(path) => of_event(path),
            })
            .collect(),
        Source::Formula(formula) => {
            context.report(
                cannot(formula.span, "only a field of the event or a text can be written", "a formula")
                    .help("write a text with fields: `\"{campaign} {delivery}\"`"),
            );
            None
        }
        Source::Call(call) => {
            context.report(
                cannot(call.span, "only a field of the event or a text can be written", "a function")
                    .help("write a text with fields: `\"{campaign} {delivery}\"`"),
            );
            None
        }
        Source::Case(case) => {
            context.report(
                cannot(case.span, "only a field of the event or a text can be written", "a `case`")
                    .help("write a text with fields: `\"{campaign} {delivery}\"`"),
            );
            None
        }
    }
}

/// Compares columns with the tables that the catalogue knows. A table that a block names and no schema describes is reported. The default
/// tables, which no schema describes until they are pulled, are not.
fn known_tables(types: &[EventType], entries: &Entries, context: &mut Context<'_>) {
    for kind in types {
        let named = entries.tables.get(kind);
        let name = named.map_or(default_table(*kind), |(_, name)| name.as_str());
        let id = TableId::new(SystemId::D365, name);
        let Some(table) = context.catalogue.get(&id).cloned() else {
            if let Some((span, _)) = named {
                context.report(
                    Diagnostic::new(Code::D124, *span, format!("no schema is known for `{id}`"), "not checked").help(format!(
                        "fetch its columns with `d365map schema pull {id}`; until then, only the service finds a wrong column"
                    )),
                );
            }
            continue;
        };
        for (path, value, span) in &entries.columns {
            // What only clicks or bounces have is not written to the others.
            let only = |field, of| value.contains(&EventPiece::Field(field)) && *kind != of;
            if !only(EventField::Url, EventType::Click) && !only(EventField::Reason, EventType::Bounce) {
                column(path, value, *span, &table, context);
            }
        }
    }
}

fn column(path: &Path, value: &[EventPiece], span: Span, table: &Arc<Table>, context: &mut Context<'_>) {
    let Some(field) = table.field(&path.names()) else {
        context.report(names::unknown_field(Code::D104, path, table));
        return;
    };
    let date = *value == [EventPiece::Field(EventField::Date)];
    let fits = match &field.ty {
        FieldType::Text { .. } => true,
        FieldType::DateTime => date,
        FieldType::Boolean { .. }
        | FieldType::Integer { .. }
        | FieldType::Decimal { .. }
        | FieldType::Double
        | FieldType::Date
        | FieldType::LocalDateTime
        | FieldType::Guid
        | FieldType::Choice(_)
        | FieldType::MultiChoice(_)
        | FieldType::Enumeration(_)
        | FieldType::Lookup { .. }
        | FieldType::Link { .. }
        | FieldType::Collection { .. }
        | FieldType::Item(_)
        | FieldType::Unsupported => false,
    };
    if !fits || !field.creatable {
        let what = if field.creatable { format!("is of the type {}", field.vendor_type) } else { "cannot be written".to_owned() };
        context.report(
            cannot(span, format!("`{}` of `{}` {what}", path.text(), table.id), "does not fit")
                .help("events are written to text columns; their date can also be written to a column with date and time"),
        );
    }
}
