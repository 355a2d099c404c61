//! Events: which activity an email event becomes, and what its columns get.

use serde::{Deserialize, Serialize};

use super::place::At;
use super::query::system_of;
use crate::system::SystemId;

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

impl EventFlow {
    /// The system on whose timelines they appear; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }
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
