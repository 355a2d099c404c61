//! The types of the plan. What compiles to a plan needs no further check before it runs.
//!
//! A plan is data: versioned, serialisable, the same bytes for the same input. Names are resolved to slots, literals to
//! typed constants, replacements to tables, implicit conversions to steps; every node keeps its place in the mapping file,
//! so that a rejected record points at the line that rejected it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::formula::{Formula, outlive};
use super::lookup::{Lookup, LookupBy, LookupTable};
use super::related::Related;
use crate::steps::{CalendarUnit, Operation};
pub use crate::syntax::ast::{Mode, Relation, TextTest, Way};
use crate::system::SystemId;
pub use crate::value::{Const, Fit};

/// The version of the plan's format. A runner refuses a plan of another version.
pub const FORMAT: u32 = 9;

/// Everything that the runner executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionPlan {
    /// [`FORMAT`] of the compiler that made it.
    pub format: u32,
    /// The mapping files, by their paths with `/` relative to the project; [`At::file`] counts in this list.
    pub files: Vec<String>,
    /// The tables that values are looked up in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Arc<LookupTable>>,
    /// The flows from Dynamics to Campaign, in order of dependence, then of name.
    pub ingress: Vec<IngressFlow>,
    /// Opt-outs, in every direction but `disabled`, by name of their mapping.
    pub optouts: Vec<OptoutFlow>,
    /// Marketing events from Campaign to Dynamics, by name.
    pub events: Vec<EventFlow>,
    /// Two-way mappings, by name.
    pub two_way: Vec<TwoWayFlow>,
}

/// How opt-outs move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Nothing moves.
    Disabled,
    /// Dynamics is the source.
    D365ToCampaign,
    /// Campaign is the source.
    CampaignToD365,
    /// The later change wins; where that is not decided, an opt-out does.
    Bidirectional,
}

/// The opt-outs of one mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptoutFlow {
    /// The mapping whose records it concerns.
    pub mapping: String,
    /// The block.
    pub at: At,
    /// Any but [`Direction::Disabled`].
    pub direction: Direction,
    /// The pairs, in the order of the file.
    pub pairs: Vec<OptoutPair>,
}

/// One pair of opt-out fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptoutPair {
    /// The line.
    pub at: At,
    /// The property of the Dynamics record.
    pub source: String,
    /// The attribute of the profile, by its name on the wire.
    pub target: String,
    /// Whether `true` on one side is `false` on the other.
    pub inverted: bool,
    /// What the values of the property mean, if it is not true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Box<Meaning>>,
}

/// Which values of a property say that a person has opted out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// How the property is read.
    pub kind: SlotKind,
    /// For every value whether the person has opted out: every outcome is true or false.
    pub cases: Replacement,
    /// What is written for an opt-out of Campaign; `None` if nothing is written to Dynamics.
    pub opted_out: Option<Written>,
    /// What is written for a consent of Campaign.
    pub opted_in: Option<Written>,
}

/// A value that Dynamics gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// This value.
    Constant(Const),
    /// The time of the run.
    Now,
}

/// Marketing events on the timeline of a Dynamics table's records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFlow {
    /// The block's name.
    pub name: String,
    /// The block's head.
    pub at: At,
    /// The table on whose timeline they appear, `d365.contact`.
    pub table: String,
    /// The types that are sent.
    pub types: Vec<EventType>,
    /// The table of activities of each of these types, in their order.
    pub activities: Vec<ActivityTable>,
    /// What is written to these tables, in the order of the file.
    pub columns: Vec<EventColumn>,
    /// Whether activities are completed, which closes them.
    pub completed: bool,
}

/// Where events of one type are written to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityTable {
    /// The type.
    pub kind: EventType,
    /// The line; the block's head for the default table.
    pub at: At,
    /// The table's logical name.
    pub table: String,
    /// The subject of the follow-up task that an event of this type makes, if it makes one.
    pub task: Option<Vec<EventPiece>>,
}

/// One column of the tables of activities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventColumn {
    /// The line; the block's head for a default one.
    pub at: At,
    /// The column's logical name.
    pub column: String,
    /// What it holds: one field of the event as it is, or text. Not written if no field in it has a value.
    pub value: Vec<EventPiece>,
}

/// A piece of a column's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventPiece {
    /// Text as it is.
    Text(String),
    /// A field of the event.
    Field(EventField),
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventField {
    /// `send`, `open`, `click`, `bounce`.
    Type,
    /// The campaign's label, or its name if it has none.
    Campaign,
    /// The campaign's own name.
    CampaignId,
    /// The delivery's label, or its name if it has none.
    Delivery,
    /// The delivery's own name.
    DeliveryId,
    /// When it happened.
    Date,
    /// The page that shows the message.
    MirrorPage,
    /// The address that was opened; of clicks alone.
    Url,
    /// Campaign's words for a failure; of bounces alone.
    Reason,
}

impl EventField {
    /// All of them, with their names in mapping files.
    pub const ALL: [(EventField, &'static str); 9] = [
        (EventField::Type, "type"),
        (EventField::Campaign, "campaign"),
        (EventField::CampaignId, "campaignId"),
        (EventField::Delivery, "delivery"),
        (EventField::DeliveryId, "deliveryId"),
        (EventField::Date, "date"),
        (EventField::MirrorPage, "mirrorPage"),
        (EventField::Url, "url"),
        (EventField::Reason, "reason"),
    ];

    /// The field's name in mapping files.
    pub fn name(self) -> &'static str {
        EventField::ALL.iter().find(|(field, _)| *field == self).map_or("", |(_, name)| name)
    }

    /// The field of a name.
    pub fn from_name(name: &str) -> Option<EventField> {
        EventField::ALL.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }
}

impl EventType {
    /// All types.
    pub const ALL: [EventType; 4] = [EventType::Send, EventType::Open, EventType::Click, EventType::Bounce];

    /// The type's name in mapping files.
    pub fn name(self) -> &'static str {
        match self {
            EventType::Send => "send",
            EventType::Open => "open",
            EventType::Click => "click",
            EventType::Bounce => "bounce",
        }
    }

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<EventType> {
        EventType::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A type of marketing event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventType {
    /// An email was sent.
    Send,
    /// It was opened.
    Open,
    /// A link in it was clicked.
    Click,
    /// It came back permanently.
    Bounce,
}

/// A two-way mapping, such as referrals and opportunities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoWayFlow {
    /// The mapping's name.
    pub name: String,
    /// The mapping's head.
    pub at: At,
    /// The table on the left of the arrow.
    pub left: Side,
    /// The table on the right of the arrow.
    pub right: Side,
    /// Programs over the left side's slots; they write the right side. The key comes first.
    pub forward: Vec<FieldProgram>,
    /// Programs over the right side's slots; they write the left side.
    pub backward: Vec<FieldProgram>,
    /// The records that lookups of the right side point to.
    pub links: Vec<LinkedRecord>,
    /// The lists of the left side whose items are rows that point to the record of the right side.
    pub rows: Vec<LinkedRows>,
    /// The conditions on a record of the left side.
    pub filter: Option<Condition>,
    /// Which referrals take part.
    pub scope: Scope,
    /// What happens where both sides have changed.
    pub conflicts: Conflicts,
    /// Whether the names on the right side get a mark that tells whether the two are in step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_mark: bool,
}

/// One side of a two-way mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The table's name, `partner.referral`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// The property that identifies the record of the other side.
    pub key: String,
    /// The fields that are needed. A dotted wire name names nested objects.
    pub slots: Vec<Slot>,
}

/// The record that a lookup of the right side points to.
///
/// What of it goes to the left side is among [`TwoWayFlow::backward`]: its fields are slots of the right side below the navigation property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedRecord {
    /// The lookup in its block.
    pub at: At,
    /// The lookup's logical name.
    pub column: String,
    /// The navigation property that reads and writes it.
    pub navigation: String,
    /// The table that it leads to, `d365.account`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// Whether the table has active and inactive records; only active ones are found.
    pub active: bool,
    /// The columns by which a record is found.
    pub by: Vec<String>,
    /// Programs over the left side's slots; they write a record that is created, and give the values of `by`.
    pub fields: Vec<FieldProgram>,
    /// The columns of it that are read.
    pub select: Vec<String>,
    /// What happens if no record is found.
    pub otherwise: Otherwise,
}

/// What happens if the record of a lookup is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// It is created.
    Create,
    /// The lookup stays as it is.
    Null,
    /// The pair becomes a dead letter.
    Reject,
}

/// A list of the left side whose items are rows of a table that point to the record of the right side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedRows {
    /// The list in its block.
    pub at: At,
    /// The path of the list.
    pub list: Vec<String>,
    /// The table of the rows, `d365.new_solution`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// The property of a row with the id of the right side's record.
    pub lookup: String,
    /// The navigation property that writes it.
    pub navigation: String,
    /// The property that identifies an item.
    pub item_key: String,
    /// The property that identifies a row among those of a record.
    pub row_key: String,
    /// The fields of an item.
    pub items: Vec<Slot>,
    /// The fields of a row.
    pub rows: Vec<Slot>,
    /// Programs over the items' slots, the key first; empty if no rows are written.
    pub forward: Vec<FieldProgram>,
    /// Programs over the rows' slots, the key first; empty if no items are written.
    pub backward: Vec<FieldProgram>,
}

/// Which referrals take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every referral.
    #[default]
    All,
    /// Co-sell opportunities only.
    CoSell,
}

/// What happens where both sides have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflicts {
    /// The later change wins.
    #[default]
    Newest,
    /// The left side wins.
    Left,
    /// The right side wins.
    Right,
    /// Neither side is written: a person decides.
    Report,
}

/// A place in a mapping file. Lines and columns count from 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// Index into [`ExecutionPlan::files`].
    pub file: u32,
    /// The first line.
    pub line: u32,
    /// The first column.
    pub column: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// One mapping: from a Dynamics table to a Campaign resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressFlow {
    /// The mapping's name.
    pub name: String,
    /// The mapping's head.
    pub at: At,
    /// What is read.
    pub source: SourceQuery,
    /// What is read through lookups.
    #[serde(default, skip_serializing_if = "Related::is_empty")]
    pub related: Related,
    /// What is written.
    pub target: TargetResource,
    /// The conditions under which a record goes to the target; `None` for every record.
    pub filter: Option<Condition>,
    /// The program that makes the target's key.
    pub key: FieldProgram,
    /// The fields by which a record of the target is found that does not have the key yet, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopt: Vec<AdoptBy>,
    /// The programs of the other target fields, in the order of the file.
    pub fields: Vec<FieldProgram>,
    /// What happens on deletes, to filtered and to rejected records.
    pub policy: Policy,
    /// Mappings whose records must be written before those of this one.
    pub depends_on: Vec<String>,
}

/// A field by which a record of the target is found that does not have the key yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptBy {
    /// The field in the mapping file.
    pub at: At,
    /// The attribute of the target, which the flow writes.
    pub attribute: String,
}

/// What a flow reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceQuery {
    /// The table's name, `d365.contact`.
    pub table: String,
    /// The entity set in the URL, `contacts`.
    pub collection: String,
    /// The slot of the primary key.
    pub primary_key: u32,
    /// Whether changes are read by delta links.
    pub change_tracking: bool,
    /// The fields that are needed, each once: what is selected, and the slot of its value during evaluation.
    pub slots: Vec<Slot>,
}

/// The system of a table's name: `d365` of `d365.contact`.
fn system_of(table: &str) -> Option<SystemId> {
    SystemId::from_name(table.split_once('.')?.0)
}

/// The name of a table within its system: `contact` of `d365.contact`.
fn name_within(table: &str) -> &str {
    table.split_once('.').map_or(table, |(_, name)| name)
}

impl Side {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

impl LinkedRecord {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }

    /// The property of the right side's record with the id that the lookup holds.
    pub fn property(&self) -> String {
        format!("_{}_value", self.column)
    }
}

impl LinkedRows {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

impl TargetResource {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

impl IngressFlow {
    /// What identifies the records of the target: the field, and the text of its values if they are not those of a column alone. Records that
    /// were written with another one cannot be found.
    pub fn key_identity(&self) -> String {
        let path = self.key.path.join(".");
        match &self.key.source {
            Source::Template(pieces) => {
                let text: String = pieces.iter().map(|piece| if let Piece::Text(text) = piece { text.as_str() } else { "{…}" }).collect();
                format!("{path} as \"{text}\"")
            }
            _ => path,
        }
    }

    /// Whether the key of a record can change, since it does not come from the primary key.
    pub fn keys_may_change(&self) -> bool {
        let is_primary = |read: &Read| read.slot == self.source.primary_key;
        match &self.key.source {
            Source::Field(read) => !is_primary(read),
            // A fixed text around the primary key.
            Source::Template(pieces) => !pieces.iter().all(|piece| match piece {
                Piece::Text(_) => true,
                Piece::Field(read) => is_primary(read),
            }),
            _ => true,
        }
    }
}

impl SourceQuery {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }

    /// The property with a record's id.
    pub fn primary_property(&self) -> &str {
        self.slots.get(self.primary_key as usize).map_or("", |slot| slot.wire.as_str())
    }

    /// The `$select` list: columns, without what is returned next to them.
    pub fn select(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::with_capacity(self.slots.len());
        for slot in self.slots.iter().filter(|slot| !slot.related) {
            let column = slot.wire.split_once('@').map_or(slot.wire.as_str(), |(column, _)| column);
            if !columns.iter().any(|c| c == column) {
                columns.push(column.to_owned());
            }
        }
        columns
    }

    /// Whether something is read that is not in the columns: the name of the record that a lookup points to, or its table.
    pub fn annotations(&self) -> bool {
        self.slots.iter().any(|slot| !slot.related && slot.is_annotation())
    }
}

/// The annotation with a value as people read it: of a lookup the name of the record that it points to (Dataverse Web API:
/// formatted values).
pub const FORMATTED_VALUE: &str = "OData.Community.Display.V1.FormattedValue";

/// The annotation with the table that a lookup of several tables points to (Dataverse Web API: lookup property data).
pub const LOOKUP_TABLE: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";

impl Slot {
    /// Whether it is next to a column rather than in it.
    pub fn is_annotation(&self) -> bool {
        self.wire.contains('@')
    }
}

/// One source field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The field's name in mapping files.
    pub field: String,
    /// The property's name in a record: `_parentcustomerid_value` for a lookup.
    pub wire: String,
    /// How its value is decoded.
    pub kind: SlotKind,
    /// Whether it is a column of the row that a lookup points to, and no property of the record itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub related: bool,
    /// Where the field is first used.
    pub at: At,
}

/// How a value of the source is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// `true`, `false`
    Boolean,
    /// A whole number; options too.
    Integer,
    /// An exact decimal number.
    Decimal,
    /// A 64-bit floating-point number.
    Double,
    /// Text; several options (`"1,9"`) too.
    Text,
    /// `1990-05-06`
    Date,
    /// `2023-04-07T21:59:01Z`
    Instant,
    /// A wall-clock time of no zone.
    Local,
    /// A GUID, in lower case.
    Guid,
}

/// What a flow writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetResource {
    /// The table's name, `campaign.profile`.
    pub table: String,
    /// The resource in the URL, `profile`.
    pub collection: String,
}

/// The program of one target field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldProgram {
    /// The entry in the mapping file.
    pub at: At,
    /// The target field's path, by the names on the wire.
    pub path: Vec<String>,
    /// Where the value comes from.
    pub source: Source,
    /// What is done to it, in order; implicit conversions are last.
    pub steps: Vec<Step>,
    /// What the target admits; checked at the very end, against records that break their own schema.
    pub fit: Fit,
    /// `@initial`: written on create, on the initial load and on replay only.
    pub initial: bool,
    /// Written only when the record is created: an opt-out that a separate flow keeps up to date from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_only: bool,
    /// `@present`: an empty value leaves the target as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// The value is the key of a record that the target has, and the field links to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_to: Option<LinkTo>,
}

/// A link to a record that the target has already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTo {
    /// The table's name, `campaign.orgUnitBase`.
    pub table: String,
    /// The resource in the URL.
    pub collection: String,
    /// The attribute with the key.
    pub key: String,
    /// What happens if there is no such record.
    pub absent: KeyAbsent,
}

impl LinkTo {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

/// What happens if the target has no record of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAbsent {
    /// The record becomes a dead letter.
    Reject,
    /// The link is empty.
    Null,
    /// The link leads to the record of this key.
    Default(String),
}

impl FieldProgram {
    /// The slots of the source columns that the value comes from, each once, in the order in which they are read.
    pub fn columns(&self) -> Vec<u32> {
        let mut columns = Vec::new();
        self.source.columns(&mut columns);
        columns_of_steps(&self.steps, &mut columns);
        let mut seen = std::collections::BTreeSet::new();
        columns.retain(|slot| seen.insert(*slot));
        columns
    }

    /// Whether the field can have a value although a source column that it reads is empty: it has a default, a replacement that
    /// may have a case for an empty value, or reads several columns.
    pub fn outlives_its_columns(&self) -> bool {
        let replaces = match &self.source {
            Source::Field(read) => read.replace.is_some(),
            Source::Case(_) | Source::Lookup(_) => true,
            Source::Formula(formula) => formula.outlives_its_columns(),
            Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().any(|read| outlive(&read.steps)),
            Source::Constant(_) | Source::Template(_) => false,
        };
        let steps = outlive(&self.steps);
        match self.columns().len() {
            0 => false,
            1 => replaces || steps,
            _ => true,
        }
    }

    /// What happens while the record is not at the target that the field links to; `None` if the field is not a link.
    pub fn link_absent(&self) -> Option<LinkAbsent> {
        self.steps.iter().rev().find_map(|step| match &step.op {
            Op::Link { absent, .. } => Some(*absent),
            _ => None,
        })
    }

    /// The mapping whose record the field links to, if it is a link.
    pub fn link(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match &step.op {
            Op::Link { mapping, .. } => Some(mapping.as_str()),
            _ => None,
        })
    }
}

impl Source {
    /// Adds the slots of the source columns that the value comes from.
    fn columns(&self, columns: &mut Vec<u32>) {
        match self {
            Source::Field(read) => read.columns(columns),
            Source::Constant(_) => {}
            Source::Template(template) => pieces(template, columns),
            Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().for_each(|read| read.columns(columns)),
            Source::Lookup(lookup) => lookup.keys.iter().for_each(|read| read.columns(columns)),
            Source::Case(branches) => {
                for branch in branches {
                    if let Some(condition) = &branch.condition {
                        condition.reads(columns);
                    }
                    if let BranchResult::Value { source, steps, .. } = &branch.result {
                        source.columns(columns);
                        columns_of_steps(steps, columns);
                    }
                }
            }
            Source::Formula(formula) => {
                formula.term.reads().iter().for_each(|read| read.columns(columns));
                columns_of_steps(&formula.steps, columns);
            }
        }
    }
}

fn pieces(pieces: &[Piece], columns: &mut Vec<u32>) {
    for piece in pieces {
        if let Piece::Field(read) = piece {
            read.columns(columns);
        }
    }
}

fn columns_of_steps(steps: &[Step], columns: &mut Vec<u32>) {
    for step in steps {
        match &step.op {
            Op::Coalesce(reads) => reads.iter().for_each(|read| read.columns(columns)),
            Op::Concat(concat) => pieces(concat, columns),
            Op::PhoneIn(phone) => phone.country.columns(columns),
            Op::LocalIn(local) => local.zone.columns(columns),
            Op::Elapsed(Elapsed { until: Until::Field(read), .. }) => read.columns(columns),
            _ => {}
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// One field.
    Field(Read),
    /// Always the same.
    Constant(Const),
    /// Text with fields in it; empty where every field in it is.
    Template(Vec<Piece>),
    /// The first of several fields that has a value.
    Coalesce(Vec<Read>),
    /// The fields that have a value, with this text between them.
    Join {
        /// The text between two values.
        separator: String,
        /// The fields.
        reads: Vec<Read>,
    },
    /// The result of the first branch whose condition is true.
    Case(Vec<Branch>),
    /// Arithmetic over fields.
    Formula(Formula),
    /// The value of a table's row.
    Lookup(Box<LookupBy>),
}

/// A branch of a `case`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its line.
    pub at: At,
    /// The condition; `None` for every record. The last branch has none.
    pub condition: Option<Condition>,
    /// What the field gets.
    pub result: BranchResult,
}

/// What a branch of a `case` gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchResult {
    /// A value.
    Value {
        /// Where it comes from.
        source: Box<Source>,
        /// What is done to it, in order.
        steps: Vec<Step>,
        /// `@present`: an empty value leaves the target as it is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        present: bool,
    },
    /// The record is rejected.
    Reject,
    /// The target's field is left as it is.
    Unchanged,
    /// The branches before cover every value that the schema knows for this slot: an empty value stays empty, and the record is rejected
    /// for another value.
    Uncovered(u32),
}

/// A slot, read through the replacement that applies to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Index into [`SourceQuery::slots`].
    pub slot: u32,
    /// The replacement, typed for this use.
    pub replace: Option<Replacement>,
    /// For several chosen options read by their labels: the label of each number.
    pub labels: Option<Vec<(i64, String)>>,
    /// What is done to the value, in order, if it is an argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Read {
    /// A slot as it is.
    pub fn plain(slot: u32) -> Read {
        Read { slot, replace: None, labels: None, steps: Vec::new() }
    }

    /// Adds the slots that it reads, those of its steps among them.
    pub(super) fn columns(&self, columns: &mut Vec<u32>) {
        columns.push(self.slot);
        columns_of_steps(&self.steps, columns);
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// As it is.
    Text(String),
    /// A field's value as text.
    Field(Read),
}

/// A table of values and their outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The `replace` block, or the entry whose picklist is read by its labels.
    pub at: At,
    /// Values with their own outcome.
    pub entries: Vec<(Const, Outcome)>,
    /// Comparisons, with their outcomes, for values without their own outcome: the first one that is true decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<(Test, Outcome)>,
    /// The outcome for a missing value.
    pub null: Outcome,
    /// The outcome for any other value.
    pub otherwise: Outcome,
    /// Whether it is the labels of an option set rather than a table of the file's author.
    pub labels: bool,
}

/// The outcome of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// This value takes its place.
    Value(Const),
    /// It stays as it is.
    Keep,
    /// The record is rejected; the arm says so.
    Reject(At),
    /// The schema does not know the value: the record is rejected.
    Unknown,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step in the mapping file; for an implicit conversion the whole entry.
    pub at: At,
    /// What is done.
    pub op: Op,
    /// What happens if it fails; `None` for a step that cannot fail.
    pub on_failure: Option<OnFailure>,
}

/// What a step does. Every step but `default`, [`Op::Coalesce`] and [`Op::Map`] leaves an empty value empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// The first of these that has a value, if there is none.
    Coalesce(Vec<Read>),
    /// A day's midnight in UTC.
    Midnight,
    /// Puts texts and fields after the value.
    Concat(Vec<Piece>),
    /// A phone number in E.164, by the country that a field contains.
    PhoneIn(PhoneIn),
    /// The local time in a zone, by the zone that a field contains.
    LocalIn(LocalIn),
    /// The whole years, months or days from the value to another day.
    Elapsed(Elapsed),
    /// The labels of several chosen options with this text between them.
    Labels {
        /// What is between two of them.
        separator: String,
        /// The label of each number.
        entries: Vec<(i64, String)>,
        /// Whether the labels are in the order of the entries; otherwise they are in that of the value.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sorted: bool,
    },
    /// A table of values.
    Map(Replacement),
    /// The value of the row of a table whose key is the value.
    Lookup(Lookup),
    /// True becomes false and the other way round.
    Not,
    /// The key of a record that another mapping writes.
    Link {
        /// The mapping.
        mapping: String,
        /// For a lookup that can point to several tables: which of them the mapping reads. A reference to a record of another
        /// table is not a link.
        table: Option<TableOf>,
        /// What happens while the other record is not at the target.
        #[serde(default, skip_serializing_if = "LinkAbsent::is_wait")]
        absent: LinkAbsent,
    },
    /// A step whose file has all of it. In JSON it has the form of [`Operation`].
    #[serde(untagged)]
    Step(Operation),
}

/// What happens to a link while the record that it points to is not at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkAbsent {
    /// The record waits for the other one.
    #[default]
    Wait,
    /// The record is written, and its link is empty.
    Null,
    /// The record is written, and its link follows.
    Later,
}

impl LinkAbsent {
    fn is_wait(&self) -> bool {
        *self == LinkAbsent::Wait
    }
}

/// Where the country of a phone number comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneIn {
    /// The field with an ISO 3166-1 alpha-2 code.
    pub country: Read,
    /// The country if that field is empty.
    pub otherwise: Option<String>,
}

/// Where the time zone of an instant comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalIn {
    /// The field with the zone's IANA or Windows name.
    pub zone: Read,
    /// The zone if that field is empty.
    pub otherwise: Option<String>,
}

/// What is counted from the value on, and to which day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elapsed {
    /// Years, months or days.
    pub unit: CalendarUnit,
    /// To which day.
    pub until: Until,
}

/// The day to which years, months or days are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// The day of the run, in UTC.
    Today,
    /// The day in a field. If the field is empty, so is the result.
    Field(Read),
}

/// The table that a lookup is to point to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOf {
    /// The slot of the lookup's table.
    pub slot: u32,
    /// The table's logical name.
    pub name: String,
}

/// What happens where a step fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The field becomes empty.
    Null,
    /// This value continues.
    Default(Const),
    /// The value before the step continues.
    Keep,
    /// The record is rejected.
    Reject,
}

/// A condition of a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Its place.
    pub at: At,
    /// Whether its result is negated.
    pub negated: bool,
    /// What is asked.
    pub kind: ConditionKind,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// All or any of several conditions.
    Group {
        /// All or any.
        mode: Mode,
        /// The conditions.
        conditions: Vec<Condition>,
    },
    /// A test of one slot; every test but `Empty` is false for a missing value.
    Test {
        /// The slot.
        slot: u32,
        /// The test.
        test: Test,
    },
}

/// A test of one value. Text is compared without regard to case, as Dataverse does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// There is a value. Text of only white space does not count.
    Present,
    /// The value is empty.
    Empty,
    /// A comparison with a constant.
    Relation(Relation, Const),
    /// A comparison with the value of another slot; false if that is missing.
    Field(Relation, u32),
    /// Equal to one of these.
    In(Vec<Const>),
    /// From the first to the second, both included.
    Between(Const, Const),
    /// An instant at most this many seconds before the run.
    Within(u64),
    /// A comparison with a point in time that the run decides.
    Relative {
        /// The comparison.
        relation: Relation,
        /// What the offset is counted from.
        base: RelativeBase,
        /// The offset in seconds.
        offset: i64,
    },
    /// A comparison of text.
    Text(TextTest, String),
    /// A match anywhere in the text, unless the expression is anchored.
    Matches(String),
    /// The option is among several chosen ones.
    HasOption(i64),
}

/// What an offset in a comparison is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelativeBase {
    /// The time of the run.
    Now,
    /// The midnight (UTC) before the run.
    Today,
}

/// What happens on deletes, to filtered and to rejected records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What a delete in Dynamics does.
    pub deletes: Deletes,
    /// What happens to a target record whose source no longer passes the filter.
    pub filtered_out: FilteredOut,
    /// What a picklist's value is.
    pub picklists: Picklists,
    /// What happens to a record that cannot be mapped.
    pub rejected: Rejected,
    /// How often all records are compared with the source, in seconds; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<u64>,
    /// Whether all records are evaluated once a day, since values depend on the day.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refresh_daily: bool,
}

/// What a delete in Dynamics does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletes {
    /// Nothing.
    #[default]
    Ignore,
    /// It deletes the target record.
    Propagate,
}

/// What happens to a target record whose source no longer passes the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilteredOut {
    /// It stays as it was written last.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
}

/// What a picklist's value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Picklists {
    /// Its number.
    #[default]
    Values,
    /// Its label.
    Labels,
}

/// What happens to a record that cannot be mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// It is kept aside, with the reason.
    #[default]
    DeadLetter,
    /// The run stops before it.
    Stop,
}
