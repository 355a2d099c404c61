//! The model of the mappings, written from the documentation: what each target record must be for what is in Dynamics. It uses no code
//! of d365map.
//!
//! The runner sees the rows of Dynamics at unpredictable moments. So where the result depends on what it saw (a record that left
//! the filter and is kept, a rejected record, a record whose parent is missing), every version since the last checkpoint is allowed, and
//! nothing else. Everywhere else there is exactly one right record.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::people::{BEFORE, Kind, PAIRS, People, Record, Row};
use crate::project::{Direction, Options};

/// A difference between the model and the services.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// `record`, `link`, `delete`, `opt-out lost`, `opt-outs disagree`, `event` …
    pub class: &'static str,
    /// The record that the story is about.
    pub id: String,
    pub text: String,
}

/// What the mapping makes of a version.
#[derive(Clone, Debug)]
enum Evaluated {
    /// The filter keeps it out.
    Out,
    /// A step rejects it, or Campaign refuses it.
    Refused(&'static str),
    Target(Target),
}

#[derive(Clone, Debug)]
struct Target {
    fields: BTreeMap<&'static str, Value>,
    /// Fields marked `@initial`.
    initial: (&'static str, Value),
    /// The link's field and the parent's id.
    link: (&'static str, Option<String>),
}

fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or("").to_owned()
}

fn evaluate(kind: Kind, row: &Row) -> Evaluated {
    let parent = row.get(kind.lookup().0).and_then(Value::as_str).map(str::to_owned);
    match kind {
        Kind::Account => {
            if row["active"] != true {
                return Evaluated::Out;
            }
            Evaluated::Target(Target {
                fields: BTreeMap::from([
                    ("cusName", json!(text(row, "name"))),
                    ("cusNumber", json!(text(row, "accountnumber"))),
                    ("cusWebsite", json!(text(row, "websiteurl").trim().to_lowercase())),
                ]),
                initial: ("", Value::Null),
                link: ("cusParent", parent),
            })
        }
        Kind::Contact => {
            if row["active"] != true {
                return Evaluated::Out;
            }
            let phone = match text(row, "telephone1") {
                empty if empty.is_empty() => String::new(),
                number if number.starts_with("030 ") => format!("+4930{}", &number[4..]),
                _ => return Evaluated::Refused("its telephone number is not valid"),
            };
            let email = text(row, "emailaddress1").trim().to_lowercase();
            if email.matches('@').count() > 1 {
                return Evaluated::Refused("Campaign refuses its address");
            }
            Evaluated::Target(Target {
                fields: BTreeMap::from([
                    ("firstName", json!(text(row, "firstname").trim().chars().take(30).collect::<String>())),
                    ("lastName", json!(text(row, "lastname"))),
                    ("email", json!(email)),
                    ("phone", json!(phone)),
                ]),
                initial: ("location.city", json!(text(row, "address1_city"))),
                link: ("cusAccount", parent),
            })
        }
        Kind::Order => {
            let status = match row["new_status"].as_i64() {
                Some(1) => "Open",
                Some(2) => "Delivered",
                _ => return Evaluated::Out,
            };
            Evaluated::Target(Target {
                fields: BTreeMap::from([
                    ("cusNumber", json!(text(row, "new_name"))),
                    ("cusTotal", json!(row["new_total"].as_f64().unwrap_or(0.0))),
                    ("cusStatus", json!(status)),
                ]),
                initial: ("cusNote", json!(text(row, "new_note").trim())),
                link: ("cusBuyer", parent),
            })
        }
    }
}

/// A field of a record of Campaign; numbers are compared as floating-point numbers, an empty link is `null`.
fn field(record: &Value, path: &str) -> Value {
    let mut value = record;
    for part in path.split('.') {
        value = &value[part];
    }
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap_or(0.0)),
        other => other.clone(),
    }
}

fn link_of(record: &Value, name: &str) -> Option<String> {
    record[name].as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Everything that both services hold.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Rows of Dynamics by kind and id.
    pub rows: BTreeMap<Kind, BTreeMap<String, Value>>,
    /// Records of Campaign by kind and key.
    pub targets: BTreeMap<Kind, BTreeMap<String, Value>>,
    /// Profiles that are not the integration's.
    pub strangers: Vec<Value>,
    /// Two records with the same key.
    pub doubles: Vec<String>,
    /// Activities: table, row.
    pub activities: Vec<(&'static str, Value)>,
    /// Dead letters: mapping, record, code and message.
    pub dead_letters: Vec<(String, String, String)>,
}

/// Whether a target record is there, and whether that is certain to be known to the runner.
#[derive(Clone, Copy, PartialEq)]
enum Presence {
    Present,
    Absent,
    Unsure,
}

/// How strictly `@initial` fields are compared.
#[derive(Clone, Copy, PartialEq)]
pub enum Initial {
    /// Any value since the checkpoint.
    Any,
    /// After a replay: the present value.
    Exact,
}

fn leaves(kind: Kind, options: Options) -> bool {
    match kind {
        Kind::Account => true,
        Kind::Contact => options.contacts_leave,
        Kind::Order => false,
    }
}

fn deleted(kind: Kind, options: Options) -> bool {
    kind != Kind::Order || options.orders_deleted
}

/// Compares everything. The result is empty when the services are as the model says.
pub fn compare(people: &People, found: &Found, options: Options, initial: Initial) -> Vec<Divergence> {
    let mut out = Vec::new();
    rows_of_dynamics(people, found, &mut out);
    let mut presence = BTreeMap::new();
    for record in people.records.values() {
        let id = record.id();
        let actual = found.targets.get(&record.kind).and_then(|targets| targets.get(&id));
        let parent = |id: &str| presence.get(id).copied().unwrap_or(Presence::Absent);
        let (divergence, sure) = target(record, actual, options, initial, parent);
        // What links to a divergent record is not judged: it would tell the same story again.
        let sure = sure && divergence.is_none();
        out.extend(divergence.map(|(class, text)| Divergence { class, id: id.clone(), text }));
        presence.insert(
            id.clone(),
            match (actual, sure) {
                (None, _) => Presence::Absent,
                (Some(_), true) => Presence::Present,
                (Some(_), false) => Presence::Unsure,
            },
        );
        if record.kind == Kind::Contact {
            opt_outs(record, found, options, &mut out);
            let broken = !record.was_steady(leaves(record.kind, options)) || record.deleted_in_campaign || record.base_target.is_none();
            if let (Some(name), Some(actual), false) = (&record.middle_name, actual, broken)
                && actual["middleName"] != name.as_str()
            {
                let text = format!("marketing wrote middleName `{name}`, which no mapping writes; it is {}", actual["middleName"]);
                out.push(Divergence { class: "foreign field", id: id.clone(), text });
            }
        }
        dead_letter(record, found, &presence, &mut out);
    }
    for (kind, targets) in &found.targets {
        for id in targets.keys().filter(|id| !people.records.values().any(|r| r.kind == *kind && &r.id() == *id)) {
            out.push(Divergence { class: "record", id: id.clone(), text: format!("a {} that no row explains", kind.resource()) });
        }
    }
    for double in &found.doubles {
        out.push(Divergence { class: "double", id: double.clone(), text: "two records with the same key".to_owned() });
    }
    if let Some(before) = &people.strangers
        && *before != found.strangers
    {
        let text = format!("profiles that are not the integration's have changed: {before:?}, now {:?}", found.strangers);
        out.push(Divergence { class: "stranger", id: String::new(), text });
    }
    events(people, found, &mut out);
    for (mapping, id, text) in &found.dead_letters {
        let known = Kind::ALL.iter().any(|kind| kind.mapping() == mapping);
        if !known {
            out.push(Divergence { class: "dead letter", id: id.clone(), text: format!("of `{mapping}`: {text}") });
        }
    }
    out
}

/// The rows of Dynamics are as people left them: the runner writes flags and activities, and nothing else.
fn rows_of_dynamics(people: &People, found: &Found, out: &mut Vec<Divergence>) {
    for record in people.records.values() {
        let id = record.id();
        let actual = found.rows.get(&record.kind).and_then(|rows| rows.get(&id));
        let (lookup, value, ..) = record.kind.lookup();
        let text = match (record.current(), actual) {
            (None, None) => continue,
            (Some(row), Some(actual)) => {
                let differs = row.iter().find(|(column, expected)| {
                    let actual = match column.as_str() {
                        "active" if record.kind == Kind::Order => return false,
                        "active" => json!(actual["statecode"] == 0),
                        column if column == lookup => actual[value].clone(),
                        column => match &actual[column] {
                            Value::Number(number) => json!(number.as_f64()),
                            other => other.clone(),
                        },
                    };
                    let expected = expected.as_f64().map_or_else(|| (*expected).clone(), |number| json!(number));
                    actual != expected
                });
                match differs {
                    Some((column, expected)) => format!("the row's `{column}` should be {expected}: {actual}"),
                    None => continue,
                }
            }
            (Some(_), None) => "the row is gone".to_owned(),
            (None, Some(_)) => "the row is there again".to_owned(),
        };
        out.push(Divergence { class: "row of Dynamics", id, text });
    }
}

/// Whether the target record is right, and whether the ledger must have it as it is now.
fn target(
    record: &Record,
    actual: Option<&Value>,
    options: Options,
    initial: Initial,
    parent: impl Fn(&str) -> Presence,
) -> (Option<(&'static str, String)>, bool) {
    let kind = record.kind;
    let now = record.current().map(|row| evaluate(kind, row));
    let must_be_absent = match &now {
        None => deleted(kind, options),
        Some(Evaluated::Out) => leaves(kind, options),
        Some(_) => false,
    };
    // A profile that was there before the first run is the integration's once it has written it, and not earlier.
    let untouched = actual.is_some_and(|actual| actual["lastName"] == BEFORE);
    if must_be_absent {
        if untouched {
            return (None, false);
        }
        let text = actual.map(|actual| ("delete", format!("it should be deleted in Campaign and is {}", brief(kind, actual))));
        return (text, true);
    }
    if let Some(Evaluated::Target(expected)) = &now
        && expected.link.1.as_deref().is_none_or(|id| parent(id) == Presence::Present)
    {
        let Some(actual) = actual else {
            return (Some(("record", format!("it is missing in Campaign; expected {:?}", expected.fields))), true);
        };
        if let Some((name, value)) = expected.fields.iter().find(|(name, value)| field(actual, name) != **value) {
            return (Some(("record", format!("`{name}` should be {value}: {}", brief(kind, actual)))), true);
        }
        if link_of(actual, expected.link.0) != expected.link.1 {
            let text = format!("`{}` should lead to {:?}: {}", expected.link.0, expected.link.1, brief(kind, actual));
            return (Some(("link", text)), true);
        }
        let name = expected.initial.0;
        let right = name.is_empty()
            || field(actual, name) == expected.initial.1
            || initial == Initial::Any && initials(record).contains(&field(actual, name));
        if !right {
            let text = format!("`{name}` (@initial) should be {}: {}", expected.initial.1, brief(kind, actual));
            return (Some(("initial", text)), true);
        }
        return (None, true);
    }
    let may_be_absent = record.base_target.is_none()
        || record.deleted_in_campaign
        || record.versions.iter().any(|version| match version {
            None => deleted(kind, options),
            Some(row) => leaves(kind, options) && matches!(evaluate(kind, row), Evaluated::Out),
        });
    let Some(actual) = actual else {
        let text = (!may_be_absent).then(|| ("record", "it should be kept in Campaign as it was, and is missing".to_owned()));
        return (text, false);
    };
    let as_version = record.versions.iter().flatten().any(|row| match evaluate(kind, row) {
        Evaluated::Target(target) => {
            let link = link_of(actual, target.link.0);
            target.fields.iter().all(|(name, value)| field(actual, name) == *value) && (link.is_none() || link == target.link.1)
        }
        Evaluated::Out | Evaluated::Refused(_) => false,
    });
    let as_before = record.base_target.as_ref().is_some_and(|base| {
        base.as_object().is_some_and(|base| {
            base.iter().all(|(name, value)| {
                let mapped = MAPPED.contains(&name.as_str());
                !mapped || actual[name] == *value || LINKS.contains(&name.as_str()) && link_of(actual, name).is_none()
            })
        })
    });
    if as_version || as_before {
        if untouched {
            return (None, false);
        }
        let sure = matches!(now, Some(Evaluated::Target(_) | Evaluated::Out) | None);
        return (None, sure && !matches!(now, Some(Evaluated::Target(_))));
    }
    (Some(("record", format!("it should be as one of its earlier versions: {}", brief(kind, actual)))), false)
}

const MAPPED: [&str; 12] = [
    "cusName",
    "cusNumber",
    "cusWebsite",
    "cusParent",
    "firstName",
    "lastName",
    "email",
    "phone",
    "cusAccount",
    "cusTotal",
    "cusStatus",
    "cusBuyer",
];
const LINKS: [&str; 3] = ["cusParent", "cusAccount", "cusBuyer"];

/// The values that an `@initial` field may have had at the record's creation.
fn initials(record: &Record) -> Vec<Value> {
    let name = match record.kind {
        Kind::Account => return Vec::new(),
        Kind::Contact => "location.city",
        Kind::Order => "cusNote",
    };
    // Campaign has empty text where a profile that is older than the integration was made without the field.
    let before = record.base_target.as_ref().map(|base| match field(base, name) {
        Value::Null => json!(""),
        value => value,
    });
    let versions = record.versions.iter().flatten().filter_map(|row| match evaluate(record.kind, row) {
        Evaluated::Target(target) => Some(target.initial.1),
        Evaluated::Out | Evaluated::Refused(_) => None,
    });
    before.into_iter().chain(versions).collect()
}

/// The mapped fields of a record, for a message.
fn brief(kind: Kind, record: &Value) -> String {
    let names: &[&str] = match kind {
        Kind::Account => &["cusName", "cusNumber", "cusWebsite", "cusParent"],
        Kind::Contact => &["firstName", "lastName", "email", "phone", "cusAccount", "blackListEmail", "blackListPhone", "blackList"],
        Kind::Order => &["cusNumber", "cusTotal", "cusStatus", "cusBuyer", "cusNote"],
    };
    let shown: BTreeMap<&str, &Value> = names.iter().map(|name| (*name, &record[*name])).collect();
    json!(shown).to_string()
}

/// Opt-outs, as docs/optout.md has them.
fn opt_outs(record: &Record, found: &Found, options: Options, out: &mut Vec<Divergence>) {
    let id = record.id();
    let row = found.rows.get(&Kind::Contact).and_then(|rows| rows.get(&id));
    let profile = found.targets.get(&Kind::Contact).and_then(|targets| targets.get(&id));
    // Without the contact there is nothing to compare with; the profile is deleted with it.
    let Some(row) = row else { return };
    let steady = record.was_steady(leaves(Kind::Contact, options)) && !record.deleted_in_campaign;
    for (said, (flag, consent, attribute)) in record.said.iter().zip(PAIRS) {
        let dynamics = (row[flag] == true) != consent;
        let campaign = profile.map(|profile| profile[attribute] == true);
        let last_dynamics = said.in_dynamics.last();
        let last_campaign = said.in_campaign.last();
        let dynamics_no = last_dynamics.map_or(said.base_dynamics, |word| word.out);
        let since = last_dynamics.map_or(0, |word| word.moment);
        let campaign_no =
            !record.deleted_in_campaign && last_campaign.map_or(said.base_campaign == Some(true), |word| word.out && word.sure);
        let consent_in_campaign = said.in_campaign.iter().any(|word| !word.out && word.moment > since);
        let consent_in_dynamics = said.in_dynamics.iter().any(|word| !word.out);
        let mut problem = |class: &'static str, text: &str| {
            let text = format!("{flag}/{attribute}: {text}; opted out in Dynamics: {dynamics}, in Campaign: {campaign:?}; {said:?}");
            out.push(Divergence { class, id: id.clone(), text });
        };
        if !said.ever_out && (dynamics || campaign == Some(true)) {
            problem("opt-out invented", "nobody has ever said no");
            continue;
        }
        match options.direction {
            Direction::Both => {
                if campaign.is_some_and(|campaign| campaign != dynamics) {
                    problem("opt-outs disagree", "both sides should say the same");
                }
                if (campaign_no || dynamics_no && !consent_in_campaign) && (!dynamics || campaign == Some(false)) {
                    problem("opt-out lost", "a no was said last");
                }
            }
            Direction::ToCampaign => {
                if dynamics != dynamics_no {
                    problem("opt-out in Dynamics changed", "nothing goes to Dynamics");
                }
                if (dynamics_no && !consent_in_campaign || campaign_no && !consent_in_dynamics) && campaign == Some(false) {
                    problem("opt-out lost", "a no was said last");
                }
            }
            Direction::ToDynamics => {
                let consents = said.in_campaign.iter().any(|word| !word.out);
                let changed = said.base_campaign == Some(false) && campaign_no && last_campaign.is_some();
                if !dynamics && (changed && !consent_in_dynamics || dynamics_no && !consents) {
                    problem("opt-out lost", "a no was said last");
                }
                if campaign == Some(false) && campaign_no {
                    problem("opt-out lost", "a no was said in Campaign");
                }
                unchanged(said, campaign, steady && record.base_target.is_some(), &mut problem);
            }
            Direction::Disabled => {
                if dynamics != dynamics_no {
                    problem("opt-out in Dynamics changed", "nothing goes to Dynamics");
                }
                unchanged(said, campaign, steady && record.base_target.is_some(), &mut problem);
            }
        }
    }
}

/// Nothing writes opt-outs to a profile that is there.
fn unchanged(said: &crate::people::Said, campaign: Option<bool>, steady: bool, problem: &mut impl FnMut(&'static str, &str)) {
    if let (true, Some(base), Some(campaign)) = (steady, said.base_campaign, campaign) {
        let expected = said.in_campaign.last().map_or(base, |word| word.out);
        if campaign != expected {
            problem("opt-out in Campaign changed", "nothing goes to an existing profile");
        }
    }
}

/// Dead letters are there for those records that cannot be written, and for no other.
fn dead_letter(record: &Record, found: &Found, presence: &BTreeMap<String, Presence>, out: &mut Vec<Divergence>) {
    let id = record.id();
    let letter = found.dead_letters.iter().find(|(mapping, source, _)| mapping == record.kind.mapping() && *source == id);
    let reason = record.current().and_then(|row| match evaluate(record.kind, row) {
        Evaluated::Refused(reason) => Some((reason, row)),
        Evaluated::Out | Evaluated::Target(_) => None,
    });
    match (letter, reason) {
        (Some((_, _, text)), None) => out.push(Divergence { class: "dead letter", id, text: format!("nothing explains it: {text}") }),
        (None, Some((reason, row))) => {
            // A record whose parent is missing waits, and was not tried.
            let parent = row.get(record.kind.lookup().0).and_then(Value::as_str);
            if parent.is_none_or(|parent| presence.get(parent) == Some(&Presence::Present)) {
                out.push(Divergence { class: "dead letter", id, text: format!("there is none, although {reason}") });
            }
        }
        _ => {}
    }
}

/// Each event is one activity, and one task for a click.
fn events(people: &People, found: &Found, out: &mut Vec<Divergence>) {
    let mut count: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for (table, row) in &found.activities {
        let subject = row["subject"].as_str().unwrap_or("").to_owned();
        *count.entry((table, subject.clone())).or_default() += 1;
        let number = subject.rsplit("DM").next().and_then(|number| number.parse::<u32>().ok());
        let event = number.and_then(|number| people.events.get(&number));
        let id = event.map(|(contact, _)| Kind::Contact.id(*contact));
        if id.is_none() || row["_regardingobjectid_value"].as_str() != id.as_deref() {
            let text = format!("{table}: an activity that no event explains: {subject} regarding {}", row["_regardingobjectid_value"]);
            out.push(Divergence { class: "event", id: id.unwrap_or_default(), text });
        } else if *table != "task" && row["statecode"] != 1 {
            out.push(Divergence { class: "event", id: id.unwrap_or_default(), text: format!("{table}: {subject} is not completed") });
        }
    }
    for (number, (contact, kind)) in &people.events {
        let ever_deleted = people.records.get(&(Kind::Contact, *contact)).is_none_or(|record| record.ever_deleted);
        let mut check = |table: &str, subject: String| {
            let times = count.iter().find(|((t, s), _)| *t == table && *s == subject).map_or(0, |(_, times)| *times);
            if times > 1 || times == 0 && !ever_deleted {
                let text = format!("{table}: {subject} is there {times} times");
                out.push(Divergence { class: "event", id: Kind::Contact.id(*contact), text });
            }
        };
        check(&format!("adobe_email{kind}"), format!("{kind}: DM{number}"));
        if *kind == "click" {
            check("task", format!("Call: clicked in DM{number}"));
        }
    }
}

/// Whether the body of a write has fields marked `@initial` and nothing else.
pub fn is_initial_only(body: &str) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_str(body) else { return false };
    let only = |value: &Value, name: &str| value.as_object().is_some_and(|parts| parts.keys().all(|part| part == name));
    !fields.is_empty() && fields.iter().all(|(name, value)| name == "cusNote" || name == "location" && only(value, "city"))
}

/// A checkpoint: what is there now is what the next comparison starts from.
pub fn checkpoint(people: &mut People, found: &Found) {
    people.strangers = Some(found.strangers.clone());
    for record in people.records.values_mut() {
        let id = record.id();
        let target = found.targets.get(&record.kind).and_then(|targets| targets.get(&id)).cloned();
        let row = found.rows.get(&record.kind).and_then(|rows| rows.get(&id));
        let last = record.versions.last().cloned().flatten();
        // What passed the filter and waits for a parent is written when the parent comes, though the record has left the filter since,
        // or was deleted where deletes are ignored.
        let is_there = |id: &String| found.targets.values().any(|targets| targets.contains_key(id));
        let waits = |row: &Row| match evaluate(record.kind, row) {
            Evaluated::Target(target) => target.link.1.as_ref().is_some_and(|id| !is_there(id)),
            Evaluated::Out | Evaluated::Refused(_) => false,
        };
        let left = last.as_ref().is_none_or(|row| !matches!(evaluate(record.kind, row), Evaluated::Target(_)));
        record.versions.retain(|version| left && version.as_ref().is_some_and(waits));
        record.versions.push(last);
        record.deleted_in_campaign = false;
        if record.kind == Kind::Contact {
            for (said, (flag, consent, attribute)) in record.said.iter_mut().zip(PAIRS) {
                said.base_dynamics = row.is_some_and(|row| (row[flag] == true) != consent);
                // Of a profile that the mapping deleted, what was said before is still known.
                let known = said.base_campaign;
                let last = said.in_campaign.last().map(|word| word.out);
                said.base_campaign = match &target {
                    Some(target) => Some(target[attribute] == true),
                    None => last.or(known),
                };
                said.in_dynamics.clear();
                said.in_campaign.clear();
            }
        }
        record.base_target = target;
    }
}
