//! The referrals, and every change of them, whoever makes it.

use chrono::TimeDelta;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::clock;
use super::error::{Problem, Result};
use super::patch::{self, Operation};
use super::referral::{READ_ONLY, asks_for_help, canonical, fill, targets_microsoft, template, text, unescape_names, validate};
use super::settings::PartnerCenterConfig;
use super::tokens::{Role, User};
use super::transitions;
use crate::net;
use crate::time::Instant;

/// The organization of the emulated partner.
const ORGANIZATION_ID: &str = "0a000000-0000-4000-8000-00000000000a";
const ORGANIZATION_NAME: &str = "Emulated Partner";
const MPN_ID: &str = "1234567";

/// A deal registration needs this time between creation and the win. [D]
const REGISTRATION_AFTER: TimeDelta = TimeDelta::hours(72);

/// A referral.
#[derive(Clone, Debug)]
pub(super) struct Referral {
    /// As the service keeps it: names of fields as it writes them, all fields there.
    pub(super) body: Json,
    /// Whether it is Microsoft's part of an engagement: the seller decides on it.
    pub(super) microsoft: bool,
    pub(super) created: Instant,
    /// When it expires unless somebody answers.
    pub(super) expires: Option<Instant>,
    /// How many steps of the seller's script are done.
    pub(super) steps: usize,
}

impl Referral {
    pub(super) fn id(&self) -> &str {
        text(&self.body, &["id"]).unwrap_or_default()
    }

    pub(super) fn engagement(&self) -> &str {
        text(&self.body, &["engagementId"]).unwrap_or_default()
    }

    pub(super) fn etag(&self) -> &str {
        text(&self.body, &["eTag"]).unwrap_or_default()
    }

    pub(super) fn phase(&self) -> transitions::Phase<'_> {
        (text(&self.body, &["status"]).unwrap_or("None"), text(&self.body, &["substatus"]).unwrap_or("None"))
    }
}

/// Who looks at referrals.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    role: Role,
    email: String,
}

impl Viewer {
    pub(super) fn new(user: &User) -> Viewer {
        Viewer { role: user.role, email: user.upn.clone() }
    }

    /// A Referrals user sees the referrals whose team has the person. [D]
    pub(super) fn sees(&self, referral: &Referral) -> bool {
        let member = |member: &Json| member["email"].as_str().is_some_and(|email| email.eq_ignore_ascii_case(&self.email));
        match self.role {
            Role::ReferralsAdmin => true,
            Role::ReferralsUser => referral.body["team"].as_array().is_some_and(|team| team.iter().any(member)),
            Role::None => false,
        }
    }

    pub(super) fn may_write(&self) -> bool {
        self.role == Role::ReferralsAdmin
    }
}

/// Who makes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// The partner: by the API, or a person in Partner Center.
    Partner,
    /// Microsoft: the seller, or the service itself.
    Microsoft,
}

/// What happened to a referral, for webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) id: String,
    pub(super) at: Instant,
}

/// The state of the service.
#[derive(Default)]
pub(super) struct State {
    /// By id, in the order of creation.
    pub(super) referrals: IndexMap<String, Referral>,
    /// What has happened and is not yet published.
    pub(super) events: Vec<Event>,
    writes: u64,
}

impl State {
    fn etag(&mut self, at: Instant) -> String {
        self.writes += 1;
        let first = net::mix(self.writes ^ at.timestamp() as u64) as u32;
        format!("\"{first:08x}-0000-0100-0000-{:08x}0000\"", at.timestamp() as u32)
    }

    pub(super) fn find(&self, id: &str) -> Result<&Referral> {
        let found = self.referrals.get(&id.to_ascii_lowercase());
        found.ok_or_else(|| Problem::missing(format!("The referral '{id}' does not exist.")))
    }

    fn raise(&mut self, referral: &Referral, created: bool, at: Instant) {
        let name = match (referral.microsoft, created) {
            (false, true) => "referral-created",
            (false, false) => "referral-updated",
            (true, true) => "related-referral-created",
            (true, false) => "related-referral-updated",
        };
        self.events.push(Event { name, id: referral.id().to_owned(), at });
    }

    /// Creates a referral. `Actor::Microsoft` sends it to the partner.
    pub(super) fn create(&mut self, input: &Json, actor: Actor, at: Instant, settings: &PartnerCenterConfig) -> Result<String> {
        if !input.is_object() {
            return Err(Problem::invalid("The body must be an object."));
        }
        let mut body = canonical(input)?;
        for part in ["type", "customerProfile", "consent", "details"] {
            if body[part].is_null() {
                return Err(Problem::invalid(format!("{part} is missing.")));
            }
        }
        let engagement = match text(&body, &["engagementId"]).filter(|id| !id.is_empty()) {
            None => uuid::Uuid::new_v4().to_string(),
            Some(id) => {
                let id = id.to_ascii_lowercase();
                if actor == Actor::Partner && !self.referrals.values().any(|referral| referral.engagement() == id) {
                    return Err(Problem::invalid(format!("The engagement '{id}' does not exist.")));
                }
                id
            }
        };
        // A seed may say which id a referral has.
        let given = text(&body, &["id"]).filter(|_| actor == Actor::Microsoft).map(str::to_ascii_lowercase);
        let id = given.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        if let Some(fields) = body.as_object_mut() {
            let kept = |name: &&&str| actor == Actor::Partner || !matches!(**name, "direction" | "trackingInfo" | "organizationName");
            READ_ONLY.iter().filter(kept).for_each(|name| drop(fields.remove(*name)));
        }
        let stated = !body["direction"].is_null();
        fill(&mut body, template());
        unescape_names(&mut body);
        validate(&mut body, settings.check_co_sell && actor == Actor::Partner)?;

        let microsoft = targets_microsoft(&body);
        if body["organizationName"].is_null() {
            body["organizationName"] = json!(ORGANIZATION_NAME);
        }
        body["id"] = json!(id);
        body["engagementId"] = json!(engagement);
        body["organizationId"] = json!(ORGANIZATION_ID);
        if body["mpnId"].is_null() {
            body["mpnId"] = json!(MPN_ID);
        }
        let stamp = clock::format(at);
        body["createdDateTime"] = json!(stamp);
        let mut expires = None;
        match (actor, microsoft) {
            (Actor::Partner, false) => {
                // A deal that the partner creates begins as accepted, whatever the body says. [D]
                body["status"] = json!("Active");
                body["substatus"] = json!("Accepted");
                body["acceptedDateTime"] = json!(stamp);
                body["direction"] = json!("Outgoing");
            }
            (Actor::Partner, true) => {
                body["status"] = json!("New");
                body["substatus"] = json!("Pending");
                body["direction"] = json!("Outgoing");
                expires = TimeDelta::from_std(settings.answer_within).ok().map(|within| at + within);
            }
            (Actor::Microsoft, _) => {
                let phase = (text(&body, &["status"]).unwrap_or("New"), text(&body, &["substatus"]).unwrap_or("Pending"));
                transitions::check(phase, phase, false).map_err(Problem::invalid)?;
                let (accepted, closed) = (phase.0 != "New", phase.0 == "Closed");
                if !accepted {
                    expires = TimeDelta::from_std(settings.answer_within).ok().map(|within| at + within);
                }
                if body["direction"].is_null() || !stated {
                    body["direction"] = json!(if microsoft { "Outgoing" } else { "Incoming" });
                }
                if accepted {
                    body["acceptedDateTime"] = json!(stamp);
                }
                if closed {
                    body["closedDateTime"] = json!(stamp);
                }
                if body["inviteContext"]["invitedBy"]["organizationId"].is_null() {
                    body["inviteContext"]["invitedBy"] = json!({"organizationId": "msft", "organizationName": "Microsoft"});
                }
            }
        }
        if actor == Actor::Partner && body["inviteContext"]["invitedBy"]["organizationId"].is_null() {
            body["inviteContext"]["invitedBy"] = json!({"organizationId": ORGANIZATION_ID, "organizationName": ORGANIZATION_NAME});
        }
        body["expirationDateTime"] = json!(expires.map(clock::format));
        body["updatedDateTime"] = json!(stamp);
        body["eTag"] = json!(self.etag(at));
        if self.referrals.contains_key(&id) {
            return Err(Problem::new(409, "invalidRequest", format!("The referral '{id}' exists already.")));
        }
        let referral = Referral { body, microsoft, created: at, expires, steps: 0 };
        self.raise(&referral, true, at);
        self.referrals.insert(id.clone(), referral);
        Ok(id)
    }

    /// Changes a referral by JSON Patch.
    pub(super) fn patch(
        &mut self,
        id: &str,
        operations: Vec<Operation>,
        actor: Actor,
        at: Instant,
        settings: &PartnerCenterConfig,
    ) -> Result<()> {
        let registrations = patch::only_registrations(&operations) && !operations.is_empty();
        self.change(id, actor, at, settings, registrations, |body| patch::apply(body, operations))
    }

    /// Replaces a referral. What the service writes itself stays.
    pub(super) fn put(&mut self, id: &str, input: &Json, actor: Actor, at: Instant, settings: &PartnerCenterConfig) -> Result<()> {
        let mut new = canonical(input)?;
        if !new.is_object() {
            return Err(Problem::invalid("The body must be an object."));
        }
        for (name, path) in [("id", id)] {
            if new[name].as_str().is_some_and(|given| !given.eq_ignore_ascii_case(path)) {
                return Err(Problem::invalid("The id of the body is not that of the address."));
            }
        }
        self.change(id, actor, at, settings, false, |body| {
            for name in READ_ONLY.iter().chain(["registrations", "mpnId"].iter()) {
                new[*name] = body[*name].clone();
            }
            for name in ["status", "substatus", "type"] {
                if new[name].is_null() {
                    new[name] = body[name].clone();
                }
            }
            for part in ["customerProfile", "consent", "details"] {
                if new[part].is_null() {
                    return Err(Problem::invalid(format!("{part} is missing.")));
                }
            }
            *body = new;
            fill(body, template());
            Ok(())
        })
    }

    /// Changes a referral under the rules of the service, and raises the event.
    pub(super) fn change(
        &mut self,
        id: &str,
        actor: Actor,
        at: Instant,
        settings: &PartnerCenterConfig,
        registrations: bool,
        work: impl FnOnce(&mut Json) -> Result<()>,
    ) -> Result<()> {
        let old = self.find(id)?.clone();
        if actor == Actor::Partner && old.microsoft {
            return Err(Problem::forbidden("The referral belongs to Microsoft."));
        }
        if registrations {
            self.may_register(&old, settings)?;
        } else if transitions::is_final(old.phase()) {
            return Err(Problem::illegal(format!("The referral is closed ({}) and cannot be changed.", old.phase().1)));
        }
        let mut referral = old.clone();
        work(&mut referral.body)?;
        let body = &mut referral.body;
        unescape_names(body);
        validate(body, settings.check_co_sell && actor == Actor::Partner)?;
        one_way(&old.body, body)?;
        register(&old.body, body, at);
        let stamp = clock::format(at);
        let (from, to) = (old.phase(), (text(body, &["status"]).unwrap_or("None"), text(body, &["substatus"]).unwrap_or("None")));
        transitions::check(from, to, settings.close_only_from_active).map_err(Problem::illegal)?;
        let (accepted, closed) = (from.0 != "Active" && to.0 == "Active", from.0 != "Closed" && to.0 == "Closed");
        if accepted {
            body["acceptedDateTime"] = json!(stamp);
        }
        if closed {
            body["closedDateTime"] = json!(stamp);
        }
        if accepted || closed {
            body["expirationDateTime"] = Json::Null;
            referral.expires = None;
        }
        referral.body["updatedDateTime"] = json!(stamp);
        referral.body["eTag"] = json!(self.etag(at));
        self.raise(&referral, false, at);
        self.referrals.insert(referral.id().to_owned(), referral);
        Ok(())
    }

    /// Whether a deal can be registered: it was won, 72 hours or more after its creation; a co-sell deal also needs Microsoft's yes. [D]
    fn may_register(&self, referral: &Referral, settings: &PartnerCenterConfig) -> Result<()> {
        if !settings.check_registrations {
            return Ok(());
        }
        if referral.phase() != ("Closed", "Won") {
            return Err(Problem::illegal("A deal can be registered when it is won."));
        }
        let closed = text(&referral.body, &["closedDateTime"]).and_then(crate::time::parse_instant);
        if closed.is_none_or(|closed| closed - referral.created < REGISTRATION_AFTER) {
            return Err(Problem::illegal("A deal can be registered when it was won at least 72 hours after its creation."));
        }
        let siblings = self.referrals.values().filter(|other| other.microsoft && other.engagement() == referral.engagement());
        let agreed = |sibling: &Referral| matches!(sibling.phase(), ("Active", _) | ("Closed", "Won"));
        if asks_for_help(&referral.body) && !siblings.into_iter().any(agreed) {
            return Err(Problem::illegal("A co-sell deal can be registered when Microsoft has accepted it."));
        }
        Ok(())
    }
}

/// Refuses the way back from co-sell to partner-led and from partner-led to private. [D]
fn one_way(old: &Json, new: &Json) -> Result<()> {
    let shared = |body: &Json| body["consent"]["consentToShareReferralWithMicrosoftSellers"] == true;
    let back = |what: &str| Err(Problem::illegal(format!("{what} cannot be taken back.")));
    if text(old, &["type"]) == Some("Shared") && text(new, &["type"]) != Some("Shared") {
        return back("The type Shared");
    }
    if shared(old) && !shared(new) {
        return back("consentToShareReferralWithMicrosoftSellers");
    }
    if asks_for_help(old) && !asks_for_help(new) {
        return back("The request for help");
    }
    Ok(())
}

/// Completes deal registrations that were added. [O]
fn register(old: &Json, new: &mut Json, at: Instant) {
    let before = old["registrations"].as_array().map_or(0, Vec::len);
    let Some(list) = new["registrations"].as_array_mut() else { return };
    let added = list.len() > before;
    for registration in list.iter_mut().filter(|registration| registration["id"].is_null() && registration.is_object()) {
        registration["id"] = json!(uuid::Uuid::new_v4());
        registration["registrationDateTime"] = json!(clock::format(at));
        registration["status"] = json!("ReviewPending");
        registration["statusReason"] = Json::Null;
        registration["statusHistory"] = json!({
            "reviewPendingDateTime": clock::format(at), "actionRequiredDateTime": null, "passedDateTime": null,
            "failedDateTime": null, "approvedDateTime": null,
        });
    }
    if added {
        new["registrationStatus"] = json!("ReviewPending");
    }
}
