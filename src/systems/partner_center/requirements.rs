//! What Partner Center requires of a deal, so that it is known before the call what the deal does not have.
//!
//! Sources: Partner Center REST, *Create a referral* (type, customer, consent, details); Microsoft Learn, *Manage co-sell opportunities*
//! and *Co-sell connector for Dynamics 365 CRM* (a solution before a deal is shared; for co-sell a customer contact, consent and a member
//! of the team). Inferred: that help is asked for by `inviteContext.assistanceRequestCode`, and that a deal of the type `Shared` is one of
//! co-sell. The service may require more: then it refuses the call.

use super::tree::Node;
use crate::systems::target::Missing;

const SOLUTION: Missing = Missing { field: "details.requirements.solutions", name: "a solution" };
const CONSENT_TO_SHARE: &str = "consentToShareReferralWithMicrosoftSellers";

/// The kinds of deals, each with the requirements of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deal {
    Private,
    /// Microsoft's sellers see it.
    PartnerLed,
    /// Microsoft's help is asked for.
    CoSell,
}

impl Deal {
    fn of(body: &Node) -> Deal {
        let help = body.text(&["inviteContext", "assistanceRequestCode"]).is_some_and(|code| !code.eq_ignore_ascii_case("Unknown"));
        let shared = body.text(&["type"]).is_some_and(|kind| kind.eq_ignore_ascii_case("Shared"));
        match body.at(&["consent", CONSENT_TO_SHARE]) {
            _ if help || shared => Deal::CoSell,
            Some(Node::Bool(true)) => Deal::PartnerLed,
            _ => Deal::Private,
        }
    }
}

/// What a referral does not have that is created with this body or, if it exists, changed by it. What it did not have before is left out.
pub(super) fn missing(before: Option<&Node>, body: Node) -> Vec<Missing> {
    let Some(before) = before else { return of_new(&body) };
    let mut after = before.clone();
    after.merge(body);
    let known = of_sharing(before);
    of_sharing(&after).into_iter().filter(|missing| !known.contains(missing)).collect()
}

/// What a referral that is to be created does not have.
fn of_new(body: &Node) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut require = |met: bool, field, name| {
        if !met {
            missing.push(Missing { field, name });
        }
    };
    let text = |path: &[&str]| body.text(path).is_some_and(|text| !text.trim().is_empty());
    let object = |name: &str| matches!(body.at(&[name]), Some(Node::Object(properties)) if !properties.is_empty());
    require(text(&["type"]), "type", "the type of the deal");
    require(text(&["customerProfile", "name"]), "customerProfile.name", "the customer's name");
    let country = body.text(&["customerProfile", "address", "country"]);
    let country = country.is_some_and(|code| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic()));
    require(country, "customerProfile.address.country", "the customer's country as an ISO 3166-1 code of two letters");
    require(object("consent"), "consent", "the customer's consent");
    require(object("details"), "details", "the details of the deal");
    missing.extend(of_sharing(body));
    missing
}

/// What a referral does not have that is shared with Microsoft.
fn of_sharing(body: &Node) -> Vec<Missing> {
    let (deal, mut missing) = (Deal::of(body), Vec::new());
    if deal >= Deal::PartnerLed && body.items(&["details", "requirements", "solutions"]).is_empty() {
        missing.push(SOLUTION);
    }
    if deal < Deal::CoSell {
        return missing;
    }
    if !matches!(body.at(&["consent", CONSENT_TO_SHARE]), Some(Node::Bool(true))) {
        missing.push(Missing {
            field: "consent.consentToShareReferralWithMicrosoftSellers",
            name: "the consent to share the deal with Microsoft's sellers",
        });
    }
    missing.extend(of_people(body.items(&["customerProfile", "team"]), CONTACT));
    if !body.items(&["team"]).iter().any(is_complete) {
        missing.push(Missing { field: "owner", name: "a member of your team with first name, last name, phone number, and email address" });
    }
    missing
}

const PERSON: [&str; 4] = ["firstName", "lastName", "phoneNumber", "email"];
const CONTACT: [Missing; 4] = [
    Missing { field: "customerProfile.contact.firstName", name: "the first name of the customer's contact" },
    Missing { field: "customerProfile.contact.lastName", name: "the last name of the customer's contact" },
    Missing { field: "customerProfile.contact.phoneNumber", name: "the phone number of the customer's contact" },
    Missing { field: "customerProfile.contact.email", name: "the email address of the customer's contact" },
];

fn has(person: &Node, property: &str) -> bool {
    person.text(&[property]).is_some_and(|text| !text.trim().is_empty())
}

fn is_complete(person: &Node) -> bool {
    PERSON.iter().all(|property| has(person, property))
}

/// What the first person lacks, unless another one is complete.
fn of_people(people: &[Node], of: [Missing; 4]) -> Vec<Missing> {
    if people.iter().any(is_complete) {
        return Vec::new();
    }
    let first = people.first();
    PERSON.iter().zip(of).filter(|(property, _)| !first.is_some_and(|person| has(person, property))).map(|(_, missing)| missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> serde_json::Value {
        let person = serde_json::json!({"firstName": "Ana", "lastName": "Bell", "phoneNumber": "+1 555", "email": "a@contoso.com"});
        serde_json::json!({
            "type": "Shared",
            "customerProfile": {"name": "Contoso", "address": {"country": "US"}, "team": [person]},
            "consent": {"consentToShareReferralWithMicrosoftSellers": true},
            "details": {"dealValue": 1, "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
            "team": [person],
            "inviteContext": {"assistanceRequestCode": "GeneralOrOther"},
        })
    }

    fn node(value: &serde_json::Value) -> Node {
        Node::read(value.to_string().as_bytes()).unwrap()
    }

    fn missing(change: impl FnOnce(&mut serde_json::Value)) -> Vec<&'static str> {
        let mut body = complete();
        change(&mut body);
        super::missing(None, node(&body)).iter().map(|missing| missing.field).collect()
    }

    #[test]
    fn a_change_is_asked_only_for_what_it_makes_necessary() {
        let mut before = complete();
        before["type"] = "Independent".into();
        before["inviteContext"] = serde_json::Value::Null;
        before["team"] = serde_json::json!([]);
        before["details"]["requirements"] = serde_json::Value::Null;
        let changed = |body: serde_json::Value| {
            super::missing(Some(&node(&before)), node(&body)).iter().map(|missing| missing.field).collect::<Vec<_>>()
        };
        // It was shared without a solution, by whomever.
        assert_eq!(changed(serde_json::json!({"substatus": "Won"})), [""; 0]);
        assert_eq!(changed(serde_json::json!({"inviteContext": {"assistanceRequestCode": "GeneralOrOther"}})), ["owner"]);
        assert_eq!(changed(serde_json::json!({"inviteContext": {"assistanceRequestCode": "Unknown"}})), [""; 0]);
        assert_eq!(changed(serde_json::json!({"customerProfile": {"name": null}})), [""; 0], "left to the service");
    }

    #[test]
    fn a_deal_that_has_everything_lacks_nothing() {
        assert_eq!(missing(|_| {}), [""; 0]);
    }

    #[test]
    fn every_deal_needs_a_type_a_customer_with_a_country_consent_and_details() {
        for (pointer, field) in [
            ("/customerProfile/name", "customerProfile.name"),
            ("/customerProfile/address/country", "customerProfile.address.country"),
            ("/customerProfile/address", "customerProfile.address.country"),
        ] {
            assert_eq!(missing(|body| *body.pointer_mut(pointer).unwrap() = serde_json::Value::Null), [field], "{pointer}");
        }
        for country in ["", "United States", "USA", "1A"] {
            let set = |body: &mut serde_json::Value| body["customerProfile"]["address"]["country"] = country.into();
            assert_eq!(missing(set), ["customerProfile.address.country"], "{country}");
        }
        let bare = |body: &mut serde_json::Value| *body = serde_json::json!({"name": "Deal"});
        assert_eq!(missing(bare), ["type", "customerProfile.name", "customerProfile.address.country", "consent", "details"]);
    }

    #[test]
    fn a_deal_that_microsoft_sees_needs_a_solution_and_a_private_one_does_not() {
        let independent = |share: bool| {
            move |body: &mut serde_json::Value| {
                body["type"] = "Independent".into();
                body["inviteContext"]["assistanceRequestCode"] = "Unknown".into();
                body["consent"]["consentToShareReferralWithMicrosoftSellers"] = share.into();
                body["details"]["requirements"]["solutions"] = serde_json::json!([]);
                body["customerProfile"]["team"] = serde_json::json!([]);
                body["team"] = serde_json::json!([]);
            }
        };
        assert_eq!(missing(independent(true)), ["details.requirements.solutions"]);
        assert_eq!(missing(independent(false)), [""; 0]);
    }

    #[test]
    fn co_sell_needs_a_solution_consent_a_contact_and_a_member_of_the_team() {
        for kind in ["Shared", "Independent"] {
            // Help is asked for, so the type makes no difference.
            let set = |body: &mut serde_json::Value| body["type"] = kind.into();
            assert_eq!(missing(set), [""; 0]);
            let none = |body: &mut serde_json::Value| {
                set(body);
                body["consent"]["consentToShareReferralWithMicrosoftSellers"] = false.into();
                body["details"]["requirements"] = serde_json::Value::Null;
                body["customerProfile"]["team"] = serde_json::json!([{"firstName": "Ana", "email": " "}]);
                body["team"] = serde_json::json!([{"email": "b@partner.com"}]);
            };
            let expected = [
                "details.requirements.solutions",
                "consent.consentToShareReferralWithMicrosoftSellers",
                "customerProfile.contact.lastName",
                "customerProfile.contact.phoneNumber",
                "customerProfile.contact.email",
                "owner",
            ];
            assert_eq!(missing(none), expected, "{kind}");
        }
        let second = |body: &mut serde_json::Value| {
            let person = body["team"][0].clone();
            body["customerProfile"]["team"] = serde_json::json!([{"firstName": "Ana"}, person]);
        };
        assert_eq!(missing(second), [""; 0], "one complete contact is enough");
    }
}
