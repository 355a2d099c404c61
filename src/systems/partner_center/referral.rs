//! A referral as the service writes it: what we read of it has a method, and everything else is kept as it came.
//!
//! Sources: Partner Center REST, *Referral resources* and *Get a list of referrals*. What live answers do beside these pages is handled
//! once, when a referral is read: names can come with HTML entities, an amount as a text, and an empty list as an empty object.

use rust_decimal::Decimal;

use super::transitions::{State, Status, Substatus};
use super::tree::{Node, decimal};
use crate::time::{Instant, parse_instant};

/// A referral.
#[derive(Debug, Clone, PartialEq)]
pub struct Referral {
    body: Node,
}

/// Why a JSON document is not a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReferral {
    /// It is not an object.
    #[error("it is not an object")]
    NotAnObject,
    /// It has no id.
    #[error("it has no `id`")]
    NoId,
}

/// The consents that a referral holds. The first key has a doubled word on the wire.
const CONSENTS: [&str; 4] = [
    "consentToToShareInfoWithOthers",
    "consentToContact",
    "consentToShareReferralWithMicrosoftSellers",
    "consentToMicrosoftToContactSpecificPartners",
];
/// Where names are; `*` is each item of a list.
const NAMES: [&[&str]; 9] = [
    &["name"],
    &["organizationName"],
    &["customerProfile", "name"],
    &["customerProfile", "team", "*", "firstName"],
    &["customerProfile", "team", "*", "lastName"],
    &["team", "*", "firstName"],
    &["team", "*", "lastName"],
    &["details", "requirements", "solutions", "*", "name"],
    &["inviteContext", "invitedBy", "organizationName"],
];
/// Lists that an empty object was seen in place of.
const LISTS: [&[&str]; 2] = [&["customerProfile", "ids"], &["registrations"]];

impl Referral {
    /// Takes a document as a referral.
    ///
    /// # Errors
    /// [`NotAReferral`].
    pub fn of(mut body: Node) -> Result<Referral, NotAReferral> {
        if !matches!(body, Node::Object(_)) {
            return Err(NotAReferral::NotAnObject);
        }
        if body.text(&["id"]).is_none() {
            return Err(NotAReferral::NoId);
        }
        normalize(&mut body);
        Ok(Referral { body })
    }

    /// The whole document.
    pub fn body(&self) -> &Node {
        &self.body
    }

    /// The document, to change it.
    pub fn into_body(self) -> Node {
        self.body
    }

    /// The id that Partner Center gave it.
    pub fn id(&self) -> &str {
        self.body.text(&["id"]).unwrap_or_default()
    }

    /// The version, with the quotation marks that belong to it.
    pub fn etag(&self) -> Option<&str> {
        self.body.text(&["eTag"])
    }

    /// The id that it shares with the other referrals of the same deal.
    pub fn engagement_id(&self) -> Option<&str> {
        self.body.text(&["engagementId"])
    }

    /// The id of the opportunity in the customer relationship system.
    pub fn external_reference(&self) -> Option<&str> {
        self.body.text(&["externalReferenceId"])
    }

    /// The name of the deal.
    pub fn name(&self) -> Option<&str> {
        self.body.text(&["name"])
    }

    /// Where the deal is.
    pub fn state(&self) -> State {
        let status = self.body.text(&["status"]).map_or(Status::None, Status::from);
        State { status, substatus: self.body.text(&["substatus"]).map_or(Substatus::None, Substatus::from) }
    }

    /// When it was created; up to seven digits after the second.
    pub fn created(&self) -> Option<Instant> {
        self.body.text(&["createdDateTime"]).and_then(parse_instant)
    }

    /// When it was last changed.
    pub fn updated(&self) -> Option<Instant> {
        self.updated_text().and_then(parse_instant)
    }

    /// The same, as it was written.
    pub fn updated_text(&self) -> Option<&str> {
        self.body.text(&["updatedDateTime"])
    }

    /// The amount of the deal.
    pub fn deal_value(&self) -> Option<Decimal> {
        match self.body.at(&["details", "dealValue"]) {
            Some(Node::Number(text) | Node::Text(text)) => decimal(text),
            _ => None,
        }
    }

    /// Whether a consent is given; `None` if the service does not say.
    pub fn consent(&self, name: &str) -> Option<bool> {
        match self.body.at(&["consent", name]) {
            Some(Node::Bool(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Brings what the service writes in several ways into one.
fn normalize(body: &mut Node) {
    for path in NAMES {
        each(body, path, &mut |node| {
            if let Node::Text(text) = node
                && text.contains('&')
            {
                *text = html_escape::decode_html_entities(text).into_owned();
            }
        });
    }
    for path in LISTS {
        each(body, path, &mut |node| {
            if matches!(node, Node::Object(properties) if properties.is_empty()) {
                *node = Node::List(Vec::new());
            }
        });
    }
    if let Some(value) = body.at_mut(&["details", "dealValue"])
        && let Node::Text(text) = value
        && let Some(amount) = decimal(text)
    {
        *value = Node::Number(amount.to_string());
    }
    // A newer sample writes three of the four keys with a capital letter; answers have small ones.
    if let Some(Node::Object(consent)) = body.at_mut(&["consent"]) {
        let names: Vec<String> = consent.keys().cloned().collect();
        for name in names {
            if let Some(known) = CONSENTS.iter().find(|known| known.eq_ignore_ascii_case(&name) && **known != name)
                && !consent.contains_key(*known)
                && let Some(value) = consent.shift_remove(&name)
            {
                consent.insert((*known).to_owned(), value);
            }
        }
    }
}

fn each(node: &mut Node, path: &[&str], change: &mut dyn FnMut(&mut Node)) {
    match (path, node) {
        ([], node) => change(node),
        (["*", rest @ ..], Node::List(items)) => items.iter_mut().for_each(|item| each(item, rest, change)),
        ([name, rest @ ..], Node::Object(properties)) => {
            if let Some(value) = properties.get_mut(*name) {
                each(value, rest, change);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referral(text: &str) -> Referral {
        Referral::of(Node::read(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn every_property_that_is_not_known_is_kept() {
        let text =
            r#"{"id":"r1","eTag":"\"84-0\"","somethingNew":{"a":[1.10,null]},"lastRunId":{"x":1},"details":{"dealValue":1.10,"other":2}}"#;
        let referral = referral(text);
        assert_eq!(serde_json::to_string(referral.body()).unwrap(), text);
        assert_eq!(referral.etag(), Some("\"84-0\""));
    }

    #[test]
    fn every_property_but_the_id_may_be_missing_or_null() {
        for text in [
            r#"{"id":"r1"}"#,
            r#"{"id":"r1","engagementId":null,"name":null,"eTag":null,"externalReferenceId":null,"status":null,"substatus":null,"createdDateTime":null,
               "updatedDateTime":null,"customerProfile":null,"consent":null,"details":null,"team":null}"#,
            r#"{"id":"r1","externalReferenceId":"","customerProfile":{"ids":{},"team":null,"address":null},"consent":{},"details":{"dealValue":null}}"#,
        ] {
            let referral = referral(text);
            assert_eq!((referral.external_reference(), referral.engagement_id(), referral.name()), (None, None, None));
            assert_eq!((referral.created(), referral.updated(), referral.deal_value()), (None, None, None));
            assert_eq!(referral.state(), State { status: Status::None, substatus: Substatus::None });
        }
        assert_eq!(Referral::of(Node::Null), Err(NotAReferral::NotAnObject));
        assert_eq!(Referral::of(Node::read(br#"{"id":""}"#).unwrap()), Err(NotAReferral::NoId));
    }

    #[test]
    fn seven_digits_after_the_second_are_read() {
        let referral = referral(r#"{"id":"r1","createdDateTime":"2022-02-28T17:27:47.8754901Z","updatedDateTime":"2022-03-01T00:00:00Z"}"#);
        assert_eq!(referral.created().unwrap().timestamp_subsec_nanos(), 875_490_100);
        assert!(referral.created() < referral.updated());
    }

    #[test]
    fn names_come_without_html_entities_and_other_texts_stay() {
        let referral = referral(
            r#"{"id":"r1","name":"R&amp;D &#39;24&quot; &eacute; R&D","customerProfile":{"name":"A &lt; B","team":[{"firstName":"J&#252;rgen"}]},
               "details":{"notes":"&amp;","requirements":{"solutions":[{"name":"S &amp; T"}]}}}"#,
        );
        assert_eq!(referral.name(), Some("R&D '24\" é R&D"));
        assert_eq!(referral.body().text(&["customerProfile", "name"]), Some("A < B"));
        assert_eq!(referral.body().text(&["customerProfile", "team", "0", "firstName"]), Some("Jürgen"));
        assert_eq!(referral.body().text(&["details", "requirements", "solutions", "0", "name"]), Some("S & T"));
        assert_eq!(referral.body().text(&["details", "notes"]), Some("&amp;"));
    }

    #[test]
    fn an_amount_is_a_number_whether_it_comes_as_one_or_as_a_text_and_keeps_its_digits() {
        for (written, amount) in
            [("10000", "10000"), ("\"10000\"", "10000"), ("1234567890123456.78", "1234567890123456.78"), ("1.0E+4", "10000")]
        {
            let referral = referral(&format!(r#"{{"id":"r1","details":{{"dealValue":{written}}}}}"#));
            assert_eq!(referral.deal_value(), Some(amount.parse().unwrap()), "{written}");
            assert!(matches!(referral.body().at(&["details", "dealValue"]), Some(Node::Number(_))), "{written}");
        }
        assert_eq!(referral(r#"{"id":"r1","details":{"dealValue":"a lot"}}"#).deal_value(), None);
    }

    #[test]
    fn consents_are_read_whatever_the_case_of_their_first_letter() {
        let referral = referral(
            r#"{"id":"r1","consent":{"ConsentToToShareInfoWithOthers":true,"consentToContact":false,"ConsentToShareReferralWithMicrosoftSellers":true}}"#,
        );
        assert_eq!(CONSENTS.map(|name| referral.consent(name)), [Some(true), Some(false), Some(true), None]);
    }
}
