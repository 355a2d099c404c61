//! One event, whatever source it came from: what it says, what tells it apart, under which id its activity is made.
//!
//! Where a source gives the log's own id, that and the type are the event's identity: a delivery log's row is a send, and may become a
//! bounce later. Where it does not, the values are: type, contact, delivery, second, address. Both are kept (see the state), so that the same event
//! from a source with ids and from one without is one event, in either order; two events with different ids are two, although a mail
//! client may open a message twice within a second. The sources agree on a log's id as far as their columns and fields are chosen so:
//! assumed for the journal, whose payload no document shows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::connect::journal::{JournalEvent, JournalKind};
use crate::connect::sftp::{Delivery, DeliveryLog, DeliveryOutcome, TrackingKind, TrackingLog};
use crate::plan::{EventField, EventPiece, EventType};
use crate::store::NewEvent;
use crate::time::{self, Instant, format_instant};
use crate::unicode::without_controls;

/// What is written of an event, as it waits in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) kind: EventType,
    pub(super) contact: Uuid,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivery: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delivery_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) campaign: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) campaign_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mirror_page: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The log's own id; needed for the identity alone.
    #[serde(skip)]
    pub(super) log: Option<String>,
}

/// An event that is not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// Of a type that is switched off, or that is not used here: soft bounces, other channels.
    Type,
    /// Of a profile that the integration did not make: its externalId is not a contact's id.
    Foreign,
    /// At a time that Dynamics 365 cannot hold, so that the activity would be rejected.
    Time,
}

/// The problem with an event that is [`Passed::Time`].
pub(super) const TIME: &str = "the time of the event is before 1753-01-01 or after 9999-12-30: Dynamics 365 cannot hold it";

/// What a source says of one event.
struct Said {
    log: Option<String>,
    external_id: Option<String>,
    at: Instant,
    delivery: Delivery,
    mirror_page: Option<String>,
    url: Option<String>,
    reason: Option<String>,
}

impl Event {
    fn new(kind: EventType, said: Said) -> Result<Event, Passed> {
        let contact = said.external_id.as_deref().and_then(|id| Uuid::try_parse(id.trim()).ok()).filter(|id| !id.is_nil());
        let Delivery { id, label, campaign_id, campaign_label } = said.delivery;
        let contact = contact.ok_or(Passed::Foreign)?;
        if !time::fits_dynamics(said.at) {
            return Err(Passed::Time);
        }
        Ok(Event {
            kind,
            contact,
            at: said.at.timestamp_millis(),
            delivery: id,
            delivery_label: label,
            campaign: campaign_id,
            campaign_label,
            mirror_page: said.mirror_page,
            url: said.url.filter(|_| kind == EventType::Click),
            reason: said.reason.filter(|_| kind == EventType::Bounce),
            log: said.log,
        })
    }

    pub(super) fn of_journal(event: JournalEvent) -> Result<Event, Passed> {
        let kind = match event.kind {
            JournalKind::Send => EventType::Send,
            JournalKind::Open => EventType::Open,
            JournalKind::Click => EventType::Click,
            JournalKind::HardBounce => EventType::Bounce,
            JournalKind::OtherBounce | JournalKind::Other => return Err(Passed::Type),
        };
        let JournalEvent { log_id: log, external_id, at, delivery, mirror_page, url, reason, .. } = event;
        Event::new(kind, Said { log, external_id, at, delivery, mirror_page, url, reason })
    }

    pub(super) fn of_delivery(line: DeliveryLog) -> Result<Event, Passed> {
        let (kind, reason) = match line.outcome {
            DeliveryOutcome::Sent => (EventType::Send, None),
            DeliveryOutcome::HardBounce { reason } => (EventType::Bounce, reason),
            DeliveryOutcome::OtherFailure { .. } => return Err(Passed::Type),
        };
        let DeliveryLog { id, external_id, at, delivery, mirror_page, .. } = line;
        Event::new(kind, Said { log: Some(id), external_id, at, delivery, mirror_page, url: None, reason })
    }

    pub(super) fn of_tracking(line: TrackingLog) -> Result<Event, Passed> {
        let kind = match line.kind {
            TrackingKind::Open => EventType::Open,
            TrackingKind::Click => EventType::Click,
        };
        let TrackingLog { id, external_id, at, delivery, mirror_page, url, .. } = line;
        Event::new(kind, Said { log: Some(id), external_id, at, delivery, mirror_page, url, reason: None })
    }

    /// As the state takes it in. `flow` is the first name of the flow (`Control::origin`), so that a renamed block writes no event
    /// again.
    pub(super) fn to_new(&self, flow: &str) -> NewEvent {
        let log_key = self.log.as_ref().map(|log| format!("{}\u{1f}{log}", self.kind.name()));
        let value_key = self.value_key();
        let identity = log_key.as_ref().unwrap_or(&value_key);
        NewEvent {
            activity: activity_id(flow, identity).to_string(),
            contact: self.contact.to_string(),
            kind: self.kind.name().to_owned(),
            payload: serde_json::to_string(self).unwrap_or_default(),
            log_key,
            value_key,
        }
    }

    fn value_key(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let delivery = self.delivery.clone().unwrap_or_else(|| text(&self.delivery_label));
        // Seconds: sources may write an instant with more digits or fewer.
        let second = self.at.div_euclid(1000);
        format!("{}\u{1f}{}\u{1f}{delivery}\u{1f}{second}\u{1f}{}", self.kind.name(), self.contact, text(&self.url))
    }

    /// The text of a column; none where no field in it has a value. A date is written as OData has it. Control characters are removed:
    /// Dynamics 365 rejects a text that has one.
    pub(super) fn text(&self, pieces: &[EventPiece]) -> Option<String> {
        let mut out = String::new();
        let (mut fields, mut filled) = (0, 0);
        for piece in pieces {
            match piece {
                EventPiece::Text(text) => out.push_str(text),
                EventPiece::Field(field) => {
                    fields += 1;
                    if let Some(value) = self.field(*field) {
                        filled += 1;
                        out.push_str(&value);
                    }
                }
            }
        }
        let out = without_controls(Cow::Owned(out));
        let out = out.trim();
        (!out.is_empty() && (fields == 0 || filled > 0)).then(|| out.to_owned())
    }

    fn field(&self, field: EventField) -> Option<String> {
        match field {
            EventField::Type => Some(self.kind.name().to_owned()),
            EventField::Campaign => self.campaign_label.clone().or_else(|| self.campaign.clone()),
            EventField::CampaignId => self.campaign.clone().or_else(|| self.campaign_label.clone()),
            EventField::Delivery => self.delivery_label.clone().or_else(|| self.delivery.clone()),
            EventField::DeliveryId => self.delivery.clone().or_else(|| self.delivery_label.clone()),
            EventField::Date => chrono::DateTime::from_timestamp_millis(self.at).map(format_instant),
            EventField::MirrorPage => self.mirror_page.clone(),
            EventField::Url => self.url.clone(),
            EventField::Reason => self.reason.clone(),
        }
    }
}

/// An activity's id: the same for the same event of the same flow, on every machine and after every loss of the state. A GUID of version 8
/// (RFC 9562), from SHA-256.
fn activity_id(flow: &str, identity: &str) -> Uuid {
    named("activity", &format!("{flow}\u{1f}{identity}"))
}

/// The id of the task that follows on an activity.
pub(super) fn task_id(activity: Uuid) -> Uuid {
    named("task", &activity.to_string())
}

fn named(what: &str, name: &str) -> Uuid {
    let digest = Sha256::new().chain_update("d365map\u{1f}").chain_update(what).chain_update("\u{1f}").chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_instant;

    fn event(log: Option<&str>) -> Event {
        let said = Said {
            log: log.map(str::to_owned),
            external_id: Some("{8F1D0000-0000-4000-8000-000000000001}".to_owned()),
            at: parse_instant("2026-01-02T03:04:05.678Z").unwrap(),
            delivery: Delivery { id: Some("DM1".into()), label: None, campaign_id: None, campaign_label: Some("Spring".into()) },
            mirror_page: None,
            url: Some("https://x".into()),
            reason: Some("gone".into()),
        };
        Event::new(EventType::Open, said).unwrap()
    }

    #[test]
    fn an_activitys_id_follows_from_the_flow_the_type_and_the_log() {
        let id = |e: &Event, flow: &str| e.to_new(flow).activity;
        assert_eq!(id(&event(Some("7")), "email"), id(&event(Some("7")), "email"));
        assert_ne!(id(&event(Some("7")), "email"), id(&event(Some("8")), "email"));
        assert_ne!(id(&event(Some("7")), "email"), id(&event(Some("7")), "other"));
        let bounce = Event { kind: EventType::Bounce, ..event(Some("7")) };
        assert_ne!(id(&event(Some("7")), "email"), id(&bounce, "email"));
        // Kept for all time: another derivation would double every activity.
        assert_eq!(id(&event(Some("7")), "email"), activity_id("email", "open\u{1f}7").to_string());
        assert_eq!(Uuid::try_parse(&id(&event(Some("7")), "email")).unwrap().get_version_num(), 8);
    }

    #[test]
    fn values_tell_events_apart_by_the_second_and_not_by_its_parts() {
        let later = Event { at: event(None).at + 300, ..event(None) };
        assert_eq!(later.to_new("f").value_key, event(None).to_new("f").value_key);
        let next = Event { at: event(None).at + 1000, ..event(None) };
        assert_ne!(next.to_new("f").activity, event(None).to_new("f").activity);
    }

    fn opened(external_id: Option<&str>, at: &str) -> Result<(), Passed> {
        let line = TrackingLog {
            id: "1".into(),
            external_id: external_id.map(str::to_owned),
            kind: TrackingKind::Open,
            at: parse_instant(at).unwrap(),
            delivery: Delivery::default(),
            mirror_page: None,
            url: None,
        };
        Event::of_tracking(line).map(|_| ())
    }

    #[test]
    fn a_time_that_dynamics_cannot_hold_rejects_the_event() {
        let at = |at: &str| opened(Some("8F1D0000-0000-4000-8000-000000000001"), at);
        assert_eq!(at("0001-01-01T00:00:00Z"), Err(Passed::Time));
        assert_eq!(at("1752-12-31T23:59:59Z"), Err(Passed::Time));
        assert_eq!(at("1753-01-01T00:00:00Z"), Ok(()));
        assert_eq!(at("9999-12-30T23:59:59.999Z"), Ok(()));
        assert_eq!(at("9999-12-31T00:00:00Z"), Err(Passed::Time));
        assert_eq!(opened(Some("shop-17"), "0001-01-01T00:00:00Z"), Err(Passed::Foreign));
    }

    #[test]
    fn control_characters_are_removed_from_what_is_written() {
        let odd = Event { delivery_label: Some("a\u{0}b\u{b}c\u{ffff}".into()), campaign_label: Some("\u{0}".into()), ..event(None) };
        assert_eq!(odd.text(&[EventPiece::Field(EventField::Delivery)]).as_deref(), Some("abc"));
        assert_eq!(odd.text(&[EventPiece::Field(EventField::Campaign)]), None);
    }

    #[test]
    fn an_external_id_that_is_not_a_contacts_id_is_of_a_stranger() {
        let foreign = |id: Option<&str>| opened(id, "2026-01-02T03:04:05Z");
        for id in [None, Some("shop-17"), Some("00000000-0000-0000-0000-000000000000")] {
            assert_eq!(foreign(id), Err(Passed::Foreign), "{id:?}");
        }
        assert_eq!(foreign(Some("8F1D0000-0000-4000-8000-000000000001")), Ok(()));
    }

    #[test]
    fn a_text_takes_labels_before_names_and_is_left_out_where_nothing_is_in_it() {
        let event = event(Some("1"));
        let text = |field| event.text(&[EventPiece::Field(field)]);
        assert_eq!(text(EventField::Campaign).as_deref(), Some("Spring"));
        assert_eq!(text(EventField::Delivery).as_deref(), Some("DM1"));
        assert_eq!(text(EventField::MirrorPage), None);
        assert_eq!((text(EventField::Url), text(EventField::Reason)), (None, None), "an open has neither");
        let subject = [EventPiece::Field(EventField::CampaignId), EventPiece::Text(" ".into()), EventPiece::Field(EventField::DeliveryId)];
        assert_eq!(event.text(&subject).as_deref(), Some("Spring DM1"));
        assert_eq!(event.text(&[EventPiece::Text("mirror: ".into()), EventPiece::Field(EventField::MirrorPage)]), None);
        assert_eq!(text(EventField::Date).as_deref(), Some("2026-01-02T03:04:05Z"), "Dataverse keeps whole seconds");
        let kept: Event = serde_json::from_str(&event.to_new("f").payload).unwrap();
        assert_eq!(kept, Event { log: None, ..event });
    }
}
