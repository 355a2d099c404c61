//! An event's payload: which of its fields says what. Assumed throughout and settable: no public document shows what Campaign sends.

use serde_json::Value;

use crate::connect::sftp::Delivery;
use crate::time::{Instant, parse_instant};

/// How the payload's fields are called, with dots for nested ones, and which words stand for what. Words are compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFields {
    /// The log's own id, the same as in exported logs.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// The profile's `externalId`.
    pub external_id: String,
    /// When it happened.
    pub at: String,
    /// The delivery's name.
    pub delivery: String,
    /// The delivery's label.
    pub delivery_label: String,
    /// The campaign's name.
    pub campaign: String,
    /// The campaign's label.
    pub campaign_label: String,
    /// The mirror page.
    pub mirror_page: String,
    /// The address that was opened.
    pub url: String,
    /// How a message failed.
    pub failure_type: String,
    /// Campaign's words for a failure.
    pub failure_reason: String,
}

impl Default for JournalFields {
    fn default() -> Self {
        let data = |name: &str| format!("data.{name}");
        Self {
            id: data("logId"),
            kind: "type".to_owned(),
            external_id: data("externalId"),
            at: data("eventDate"),
            delivery: data("deliveryId"),
            delivery_label: data("deliveryLabel"),
            campaign: data("campaignId"),
            campaign_label: data("campaignLabel"),
            mirror_page: data("mirrorPage"),
            url: data("url"),
            failure_type: data("failureType"),
            failure_reason: data("failureReason"),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalKind {
    /// A message was sent.
    Send,
    /// It was opened.
    Open,
    /// A link in it was.
    Click,
    /// It came back permanently.
    HardBounce,
    /// It came back for now, or the payload does not say how: the integration carries just hard bounces.
    OtherBounce,
    /// Something that is not carried: a message to another channel, an opt-out.
    Other,
}

/// An event, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEvent {
    /// The log's own id, where the payload has it.
    pub log_id: Option<String>,
    /// The profile's `externalId`.
    pub external_id: Option<String>,
    /// What happened.
    pub kind: JournalKind,
    /// When.
    pub at: Instant,
    /// Of what delivery.
    pub delivery: Delivery,
    /// The page that shows the message.
    pub mirror_page: Option<String>,
    /// The address that was opened.
    pub url: Option<String>,
    /// Campaign's words for a failure.
    pub reason: Option<String>,
}

/// An entry that cannot be read. Its text shows nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No JSON object.
    #[error("the event is not a JSON object")]
    Shape,
    /// A needed field is not there.
    #[error("the event has no `{field}`: name the field that holds it in `connections.campaign.journal.fields`")]
    Missing {
        /// The field's name.
        field: String,
    },
    /// No instant.
    #[error("`{field}` of the event is not an instant, such as 2019-09-25T23:20:35Z")]
    Instant {
        /// The field's name.
        field: String,
    },
}

impl JournalFields {
    pub(super) fn read(&self, text: &str) -> Result<JournalEvent, Unreadable> {
        let event: Value = serde_json::from_str(text).map_err(|_| Unreadable::Shape)?;
        if !event.is_object() {
            return Err(Unreadable::Shape);
        }
        let needed = |field: &str| self::text(&event, field).ok_or_else(|| Unreadable::Missing { field: field.to_owned() });
        let kind = self.kind_of(&needed(&self.kind)?, &event);
        let at = needed(&self.at)?;
        let at = parse_instant(&at).ok_or_else(|| Unreadable::Instant { field: self.at.clone() })?;
        let optional = |field: &str| self::text(&event, field);
        Ok(JournalEvent {
            log_id: optional(&self.id),
            external_id: optional(&self.external_id),
            kind,
            at,
            delivery: Delivery {
                id: optional(&self.delivery),
                label: optional(&self.delivery_label),
                campaign_id: optional(&self.campaign),
                campaign_label: optional(&self.campaign_label),
            },
            mirror_page: optional(&self.mirror_page),
            url: optional(&self.url),
            reason: optional(&self.failure_reason),
        })
    }

    /// The last word of a type counts, so that `com.adobe.campaign.email.open` is an `open`.
    fn kind_of(&self, kind: &str, event: &Value) -> JournalKind {
        let word = kind.rsplit(['.', ':', '/', ' ', '_']).next().unwrap_or(kind).to_ascii_lowercase();
        match word.as_str() {
            "send" | "sent" => JournalKind::Send,
            "open" | "opened" => JournalKind::Open,
            "click" | "clicked" => JournalKind::Click,
            "bounce" | "bounced" => match text(event, &self.failure_type) {
                // The words and the number of Campaign's enumeration, as in exports. Assumed.
                Some(how) if how.eq_ignore_ascii_case("hard") || how == "2" => JournalKind::HardBounce,
                Some(_) | None => JournalKind::OtherBounce,
            },
            _ => JournalKind::Other,
        }
    }
}

/// A field's text by its dotted name; a name that itself contains dots comes before nested ones.
fn text(event: &Value, path: &str) -> Option<String> {
    let value = event.get(path).or_else(|| path.split('.').try_fold(event, |value, name| value.get(name)))?;
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_by_the_names_that_a_project_gives() {
        let fields =
            JournalFields { external_id: "profile.crm".into(), kind: "what".into(), at: "when".into(), ..JournalFields::default() };
        let text = r#"{"what": "com.adobe.campaign.email.Click", "when": "2026-01-02 03:04:05.000Z", "profile": {"crm": "c1"}, "data": {"logId": 7, "url": "https://x"}}"#;
        let event = fields.read(text).unwrap();
        assert_eq!((event.kind, event.log_id.as_deref(), event.external_id.as_deref()), (JournalKind::Click, Some("7"), Some("c1")));
        assert_eq!(event.url.as_deref(), Some("https://x"));
    }

    #[test]
    fn a_bounce_is_hard_only_where_the_payload_says_so() {
        let kind = |extra: &str| {
            let text = format!(r#"{{"type": "bounce", "data": {{"eventDate": "2026-01-02T03:04:05Z"{extra}}}}}"#);
            JournalFields::default().read(&text).unwrap().kind
        };
        assert_eq!(kind(r#", "failureType": "Hard""#), JournalKind::HardBounce);
        assert_eq!(kind(r#", "failureType": 2"#), JournalKind::HardBounce);
        assert_eq!(kind(r#", "failureType": "soft""#), JournalKind::OtherBounce);
        assert_eq!(kind(""), JournalKind::OtherBounce);
    }

    #[test]
    fn what_cannot_be_read_names_the_field_and_shows_no_value() {
        let read = |text: &str| JournalFields::default().read(text).unwrap_err().to_string();
        assert!(read(r#"{"type": "open", "data": {}}"#).contains("data.eventDate"));
        let text = read(r#"{"type": "open", "data": {"eventDate": "ann@example.com"}}"#);
        assert!(text.contains("not an instant") && !text.contains("ann"), "{text}");
        assert_eq!(read("[]"), Unreadable::Shape.to_string());
    }
}
