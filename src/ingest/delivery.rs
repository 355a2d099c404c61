//! What a delivery says.

use serde_json::{Map, Value};
use url::Url;

use crate::store::Notification;
use crate::time::parse_instant;

/// The longest id.
const ID_LIMIT: usize = 100;

/// A delivery whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// A referral has changed, or one of the same engagement.
    Change(Notification),
    /// A test, or an event of another kind of resource.
    Other,
}

/// Why a body is not a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotANotification {
    /// It is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// A property is missing, or has another form than is documented.
    #[error("`{0}` is missing or not as documented")]
    Property(&'static str),
}

impl Delivery {
    pub(super) fn read(body: &[u8]) -> Result<Delivery, NotANotification> {
        let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| NotANotification::NotAnObject)?;
        let text = |name: &'static str| {
            let value = body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str());
            value.ok_or(NotANotification::Property(name))
        };
        let event = text("EventName")?.to_ascii_lowercase();
        if !event.starts_with("referral-") && !event.starts_with("related-referral-") {
            return Ok(Delivery::Other);
        }
        let resource = id_of(text("ResourceUri")?).ok_or(NotANotification::Property("ResourceUri"))?;
        let changed = parse_instant(text("ResourceChangeUtcDate")?).ok_or(NotANotification::Property("ResourceChangeUtcDate"))?;
        let changed = changed.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        Ok(Delivery::Change(Notification { event, resource, changed }))
    }
}

/// The id at the end of an address. The rest of the address is not looked at: the resource is read from the configured service.
fn id_of(address: &str) -> Option<String> {
    let path = Url::parse(address).ok()?.path().to_owned();
    let id = path.trim_end_matches('/').rsplit('/').next()?.to_owned();
    let usable = !id.is_empty() && id.len() <= ID_LIMIT && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    usable.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(event: &str, uri: &str, date: &str) -> String {
        serde_json::json!({"EventName": event, "ResourceUri": uri, "ResourceName": "referral", "AuditUri": null, "ResourceChangeUtcDate": date})
            .to_string()
    }

    #[test]
    fn the_id_is_the_last_part_of_the_address_whatever_its_host() {
        for uri in [
            "https://api.partnercenter.microsoft.com/engagements/v1/referrals/1f-2A",
            "http://127.0.0.1/anything/1f-2A/",
            "https://evil.example/x/1f-2A?a=/b#c",
        ] {
            let read = Delivery::read(body("Referral-Updated", uri, "2018-02-17T00:05:39.5485487+00:00").as_bytes()).unwrap();
            let expected = Notification {
                event: "referral-updated".to_owned(),
                resource: "1f-2A".to_owned(),
                changed: "2018-02-17T00:05:39.548548700Z".to_owned(),
            };
            assert_eq!(read, Delivery::Change(expected), "{uri}");
        }
        for uri in ["https://h/", "h", "https://h/..%2Fx", "https://h/a%20b", "https://h/a;b", &format!("https://h/{}", "a".repeat(101))] {
            let read = Delivery::read(body("referral-updated", uri, "2018-02-17T00:05:39Z").as_bytes());
            assert_eq!(read, Err(NotANotification::Property("ResourceUri")), "{uri}");
        }
    }

    #[test]
    fn the_time_of_a_change_has_one_spelling() {
        let changed = |date: &str| match Delivery::read(body("referral-created", "https://h/1", date).as_bytes()) {
            Ok(Delivery::Change(notification)) => notification.changed,
            other => panic!("{other:?}"),
        };
        assert_eq!(changed("2018-02-17T00:05:39.5+00:00"), changed("2018-02-17T01:05:39.5000000+01:00"));
    }

    #[test]
    fn a_test_and_an_event_of_another_resource_need_no_work() {
        for event in ["test-created", "subscription-updated"] {
            assert_eq!(Delivery::read(format!(r#"{{"EventName":"{event}"}}"#).as_bytes()), Ok(Delivery::Other));
        }
    }

    #[test]
    fn what_is_not_a_notification_is_refused() {
        assert_eq!(Delivery::read(b"[]"), Err(NotANotification::NotAnObject));
        assert_eq!(Delivery::read(b"{}"), Err(NotANotification::Property("EventName")));
        assert_eq!(
            Delivery::read(body("referral-updated", "https://h/1", "yesterday").as_bytes()),
            Err(NotANotification::Property("ResourceChangeUtcDate"))
        );
    }
}
