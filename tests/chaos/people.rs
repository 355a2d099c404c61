//! What people do on both sides, and the record of it: every version of every row, and every word about an opt-out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::dice::Dice;
use crate::services::Services;

/// The columns of a row that the mappings read, with the ids of lookups; `active` is the state.
pub type Row = Map<String, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Account,
    Contact,
    Order,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Account, Kind::Contact, Kind::Order];

    pub fn table(self) -> &'static str {
        match self {
            Kind::Account => "account",
            Kind::Contact => "contact",
            Kind::Order => "new_order",
        }
    }

    pub fn mapping(self) -> &'static str {
        match self {
            Kind::Account => "accounts",
            Kind::Contact => "contacts",
            Kind::Order => "orders",
        }
    }

    pub fn resource(self) -> &'static str {
        match self {
            Kind::Account => "cusAccount",
            Kind::Contact => "profile",
            Kind::Order => "cusOrder",
        }
    }

    pub fn primary_key(self) -> &'static str {
        match self {
            Kind::Account => "accountid",
            Kind::Contact => "contactid",
            Kind::Order => "new_orderid",
        }
    }

    pub fn target_key(self) -> &'static str {
        match self {
            Kind::Account => "cusAccountId",
            Kind::Contact => "externalId",
            Kind::Order => "cusOrderId",
        }
    }

    /// The lookup's column in the row, as an answer has it, its navigation property, and the kind that it points to.
    pub fn lookup(self) -> (&'static str, &'static str, &'static str, Kind) {
        match self {
            Kind::Account => ("new_parent", "_new_parent_value", "new_Parent@odata.bind", Kind::Account),
            Kind::Contact => ("parentcustomerid", "_parentcustomerid_value", "parentcustomerid_account@odata.bind", Kind::Account),
            Kind::Order => ("new_buyer", "_new_buyer_value", "new_Buyer@odata.bind", Kind::Contact),
        }
    }

    fn set(self) -> &'static str {
        match self {
            Kind::Account => "accounts",
            Kind::Contact => "contacts",
            Kind::Order => "new_orders",
        }
    }

    pub fn id(self, number: usize) -> String {
        let letter = match self {
            Kind::Account => 'a',
            Kind::Contact => 'c',
            Kind::Order => 'e',
        };
        format!("{letter}0000000-0000-4000-8000-{number:012}")
    }
}

/// The pairs of opt-outs: flag in Dynamics, whether it says consent, attribute in Campaign.
pub const PAIRS: [(&str, bool, &str); 3] =
    [("donotemail", false, "blackListEmail"), ("donotphone", false, "blackListPhone"), ("followemail", true, "blackList")];

/// The last name of the profiles that Campaign has before the first run.
pub const BEFORE: &str = "Before";

/// What somebody said about an opt-out.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The number of the action.
    pub moment: u32,
    pub out: bool,
    /// Said in Campaign while no deletion of the profile could be under way.
    pub sure: bool,
}

/// What was said about one opt-out of one person since the last checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub base_dynamics: bool,
    pub base_campaign: Option<bool>,
    pub in_dynamics: Vec<Word>,
    pub in_campaign: Vec<Word>,
    /// Whether anybody said no in this trial.
    pub ever_out: bool,
}

/// A row of Dynamics with its history since the last checkpoint.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub number: usize,
    /// The version at the checkpoint, and those after it; `None`: the row does not exist.
    pub versions: Vec<Option<Row>>,
    /// The target record at the checkpoint.
    pub base_target: Option<Value>,
    /// Whether the row was deleted at any time of the trial.
    pub ever_deleted: bool,
    /// Whether somebody deleted the target record in Campaign since the checkpoint.
    pub deleted_in_campaign: bool,
    /// For contacts, in the order of [`PAIRS`].
    pub said: [Said; 3],
    /// A value that marketing wrote to an attribute that no mapping writes.
    pub middle_name: Option<String>,
}

impl Record {
    pub fn id(&self) -> String {
        self.kind.id(self.number)
    }

    pub fn current(&self) -> Option<&Row> {
        self.versions.last().and_then(Option::as_ref)
    }

    /// Whether the row existed all the time since the checkpoint and, if `leaves`, was active all the time.
    pub fn was_steady(&self, leaves: bool) -> bool {
        self.versions.iter().all(|version| version.as_ref().is_some_and(|row| !leaves || row["active"] == true))
    }
}

/// Everything that people have done.
pub struct People {
    pub records: BTreeMap<(Kind, usize), Record>,
    /// Events by the number in their subject: contact, type.
    pub events: BTreeMap<u32, (usize, &'static str)>,
    /// Profiles that are not the integration's, as they were at the last checkpoint.
    pub strangers: Option<Vec<Value>>,
    pub changes: u64,
    contacts_leave: bool,
    /// The number of the last action.
    pub moment: u32,
    next: BTreeMap<Kind, usize>,
    last_event: Option<Value>,
    /// Lines for the story of a divergence: record id, text.
    pub diary: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Act {
    NewAccount,
    NewContact,
    NewOrder,
    Rename(Kind),
    Email,
    Phone,
    City,
    Note,
    Move(Kind),
    State(Kind),
    Total,
    Delete(Kind),
    Restore(Kind),
    OptOutInDynamics,
    OptOutInCampaign,
    MiddleName,
    DeleteInCampaign(Kind),
    Event,
    EventAgain,
}

const ACTS: [(u32, Act); 29] = [
    (1, Act::NewAccount),
    (3, Act::NewContact),
    (4, Act::NewOrder),
    (5, Act::Rename(Kind::Account)),
    (12, Act::Rename(Kind::Contact)),
    (5, Act::Rename(Kind::Order)),
    (5, Act::Email),
    (5, Act::Phone),
    (4, Act::City),
    (3, Act::Note),
    (3, Act::Move(Kind::Account)),
    (6, Act::Move(Kind::Contact)),
    (5, Act::Move(Kind::Order)),
    (7, Act::State(Kind::Account)),
    (9, Act::State(Kind::Contact)),
    (4, Act::State(Kind::Order)),
    (3, Act::Total),
    (1, Act::Delete(Kind::Account)),
    (3, Act::Delete(Kind::Contact)),
    (2, Act::Delete(Kind::Order)),
    (2, Act::Restore(Kind::Account)),
    (4, Act::Restore(Kind::Contact)),
    (12, Act::OptOutInDynamics),
    (12, Act::OptOutInCampaign),
    (3, Act::MiddleName),
    (1, Act::DeleteInCampaign(Kind::Account)),
    (1, Act::DeleteInCampaign(Kind::Contact)),
    (9, Act::Event),
    (2, Act::EventAgain),
];

impl People {
    pub fn new(contacts_leave: bool) -> People {
        People {
            records: BTreeMap::new(),
            events: BTreeMap::new(),
            strangers: None,
            changes: 0,
            contacts_leave,
            moment: 0,
            next: BTreeMap::new(),
            last_event: None,
            diary: Vec::new(),
        }
    }

    fn tell(&mut self, id: &str, text: String) {
        self.diary.push((id.to_owned(), format!("{} #{}: {text}", chrono::Utc::now().format("%H:%M:%S%.3f"), self.moment)));
    }

    /// The number of an existing row, or of any that exists no more.
    fn some(&self, dice: &mut Dice, kind: Kind, exists: bool) -> Option<usize> {
        let of: Vec<usize> =
            self.records.values().filter(|r| r.kind == kind && r.current().is_some() == exists).map(|record| record.number).collect();
        (!of.is_empty()).then(|| dice.pick(&of))
    }

    /// The world before the first run: accounts, contacts, orders, and profiles that Campaign already has.
    pub async fn settle_in(&mut self, dice: &mut Dice, services: &mut Services) -> Result<(), String> {
        for _ in 0..5 {
            self.create(dice, services, Kind::Account, None).await?;
        }
        for _ in 0..12 {
            self.create(dice, services, Kind::Contact, None).await?;
        }
        for _ in 0..8 {
            self.create(dice, services, Kind::Order, None).await?;
        }
        // Some profiles are older than the integration, with opt-outs that only they have.
        for number in 1..=4 {
            let outs: Vec<bool> = PAIRS.iter().map(|_| dice.percent(40)).collect();
            let mut body = json!({"externalId": Kind::Contact.id(number), "lastName": BEFORE});
            for (out, (_, _, attribute)) in outs.iter().zip(PAIRS) {
                body[attribute] = json!(out);
            }
            services.send("POST", "campaign/rows/profile", &body).await?;
            self.tell(&Kind::Contact.id(number), format!("has a profile with opt-outs {outs:?} before the first run"));
            if let Some(record) = self.records.get_mut(&(Kind::Contact, number)) {
                record.base_target = Some(body);
                for (said, out) in record.said.iter_mut().zip(outs) {
                    said.base_campaign = Some(out);
                    said.ever_out |= out;
                }
            }
        }
        for record in self.records.values_mut() {
            record.versions.remove(0);
        }
        Ok(())
    }

    /// One action. It is a no-op where nothing fits, so that the decisions do not depend on timing.
    pub async fn act(&mut self, dice: &mut Dice, services: &mut Services) -> Result<(), String> {
        self.moment += 1;
        self.changes += 1;
        match dice.weighted(&ACTS) {
            Act::NewAccount => self.create(dice, services, Kind::Account, None).await,
            Act::NewContact => self.create(dice, services, Kind::Contact, None).await,
            Act::NewOrder => self.create(dice, services, Kind::Order, None).await,
            Act::Restore(kind) => match self.some(dice, kind, false) {
                Some(number) => self.create(dice, services, kind, Some(number)).await,
                None => Ok(()),
            },
            Act::Rename(kind) => {
                let Some(number) = self.some(dice, kind, true) else { return Ok(()) };
                self.rename(services, kind, number).await
            }
            Act::Email => {
                let value = match dice.below(8) {
                    0 => json!(format!("bad@@{}.example", self.moment)),
                    1 => Value::Null,
                    _ => json!(format!("  Person{}@Example.COM ", self.moment)),
                };
                self.change(dice, services, Kind::Contact, "emailaddress1", value).await
            }
            Act::Phone => {
                let value = match dice.below(6) {
                    0 => json!("call me"),
                    1 => Value::Null,
                    _ => json!(format!("030 123{:05}", self.moment)),
                };
                self.change(dice, services, Kind::Contact, "telephone1", value).await
            }
            Act::City => self.change(dice, services, Kind::Contact, "address1_city", json!(format!("City {}", self.moment))).await,
            Act::Note => self.change(dice, services, Kind::Order, "new_note", json!(format!(" Note {} ", self.moment))).await,
            Act::Total => {
                let total = dice.below(100_000) as f64 / 100.0;
                self.change(dice, services, Kind::Order, "new_total", json!(total)).await
            }
            Act::Move(kind) => {
                let (column, _, _, to) = kind.lookup();
                let Some(number) = self.some(dice, kind, true) else { return Ok(()) };
                let parent = self.some(dice, to, true).filter(|parent| !dice.percent(15) && (kind != Kind::Account || *parent < number));
                self.update(services, kind, number, column, parent.map_or(Value::Null, |parent| json!(to.id(parent)))).await
            }
            Act::State(kind) => {
                let Some(number) = self.some(dice, kind, true) else { return Ok(()) };
                let row = self.records[&(kind, number)].current().cloned().unwrap_or_default();
                let status = dice.pick(&[1, 2, 3]);
                match kind {
                    Kind::Order => self.update(services, kind, number, "new_status", json!(status)).await,
                    // Most of what is inactive becomes active again.
                    _ => self.update(services, kind, number, "active", json!(row["active"] != true)).await,
                }
            }
            Act::Delete(kind) => {
                let Some(number) = self.some(dice, kind, true) else { return Ok(()) };
                let clears = dice.percent(70);
                self.delete(services, kind, number, clears).await
            }
            Act::OptOutInDynamics => {
                let pair = dice.below(PAIRS.len());
                let out = dice.percent(60);
                let Some(number) = self.some(dice, Kind::Contact, true) else { return Ok(()) };
                let (column, consent, _) = PAIRS[pair];
                services.send("PATCH", &format!("rows/contact/{}", Kind::Contact.id(number)), &json!({column: out != consent})).await?;
                self.tell(&Kind::Contact.id(number), format!("Dynamics: {column} is {}", out != consent));
                let moment = self.moment;
                if let Some(record) = self.records.get_mut(&(Kind::Contact, number)) {
                    let said = &mut record.said[pair];
                    said.in_dynamics.push(Word { moment, out, sure: true });
                    said.ever_out |= out;
                }
                Ok(())
            }
            Act::OptOutInCampaign => {
                let pair = dice.below(PAIRS.len());
                let out = dice.percent(60);
                let Some(number) = self.some(dice, Kind::Contact, true) else { return Ok(()) };
                let attribute = PAIRS[pair].2;
                let path = format!("campaign/rows/profile/{}", Kind::Contact.id(number));
                let there = services.send("PATCH", &path, &json!({attribute: out})).await.is_ok();
                if there {
                    self.tell(&Kind::Contact.id(number), format!("Campaign: {attribute} is {out}"));
                    let (moment, leaves) = (self.moment, self.contacts_leave);
                    if let Some(record) = self.records.get_mut(&(Kind::Contact, number)) {
                        let sure = record.was_steady(leaves) && !record.deleted_in_campaign;
                        let said = &mut record.said[pair];
                        said.in_campaign.push(Word { moment, out, sure });
                        said.ever_out |= out;
                    }
                }
                Ok(())
            }
            Act::MiddleName => {
                let Some(number) = self.some(dice, Kind::Contact, true) else { return Ok(()) };
                let value = format!("M{}", self.moment);
                let path = format!("campaign/rows/profile/{}", Kind::Contact.id(number));
                if services.send("PATCH", &path, &json!({"middleName": value})).await.is_ok() {
                    self.tell(&Kind::Contact.id(number), format!("Campaign: middleName is {value}"));
                    if let Some(record) = self.records.get_mut(&(Kind::Contact, number)) {
                        record.middle_name = Some(value);
                    }
                }
                Ok(())
            }
            Act::DeleteInCampaign(kind) => {
                let Some(number) = self.some(dice, kind, true) else { return Ok(()) };
                let path = format!("campaign/rows/{}/{}", kind.resource(), kind.id(number));
                if services.send("DELETE", &path, &Value::Null).await.is_ok() {
                    self.tell(&kind.id(number), "Campaign: somebody deletes it".to_owned());
                    if let Some(record) = self.records.get_mut(&(kind, number)) {
                        record.deleted_in_campaign = true;
                        record.middle_name = None;
                    }
                }
                Ok(())
            }
            Act::Event => self.event(dice, services).await,
            Act::EventAgain => match self.last_event.clone() {
                Some(event) => services.add_events(vec![event]).await,
                None => Ok(()),
            },
        }
    }

    async fn create(&mut self, dice: &mut Dice, services: &mut Services, kind: Kind, number: Option<usize>) -> Result<(), String> {
        let number = number.unwrap_or_else(|| {
            let next = self.next.entry(kind).or_insert(1);
            *next += 1;
            *next - 1
        });
        let (column, _, navigation, to) = kind.lookup();
        let parent = self.some(dice, to, true).filter(|parent| dice.percent(80) && (kind != Kind::Account || *parent < number));
        let m = self.moment;
        let mut row: Row = match kind {
            Kind::Account => json!({"name": format!("Account {number} v{m}"), "accountnumber": format!("K-{number}"), "websiteurl": format!(" HTTPS://Site-{number}.Example "), "active": true}),
            Kind::Contact => json!({
                "firstname": if number % 3 == 0 { format!(" First {number} {}", "x".repeat(30)) } else { format!("First {number}") },
                "lastname": format!("Last {number} v{m}"),
                "emailaddress1": format!("Person{number}@Example.COM"),
                "telephone1": format!("030 999{number:05}"),
                "address1_city": format!("City of {number}"),
                "active": true,
            }),
            Kind::Order => json!({"new_name": format!("O-{number} v{m}"), "new_total": 10.5, "new_status": 1, "new_note": format!("Note of {number}"), "active": true}),
        }
        .as_object()
        .cloned()
        .unwrap_or_default();
        let mut body = Value::Object(row.clone());
        body.as_object_mut().map(|body| body.remove("active"));
        body[kind.primary_key()] = json!(kind.id(number));
        row.insert(column.to_owned(), parent.map_or(Value::Null, |parent| json!(to.id(parent))));
        if let Some(parent) = parent {
            body[navigation] = json!(format!("/{}({})", to.set(), to.id(parent)));
        }
        let mut outs = [false; 3];
        if kind == Kind::Contact {
            for (out, (flag, consent, _)) in outs.iter_mut().zip(PAIRS) {
                *out = dice.percent(25);
                body[flag] = json!(*out != consent);
            }
        }
        services.send("POST", &format!("rows/{}", kind.table()), &body).await?;
        self.tell(&kind.id(number), format!("Dynamics: created {body}"));
        let moment = self.moment;
        let record = self.records.entry((kind, number)).or_insert_with(|| Record {
            kind,
            number,
            versions: vec![None],
            base_target: None,
            ever_deleted: false,
            deleted_in_campaign: false,
            said: Default::default(),
            middle_name: None,
        });
        record.versions.push(Some(row));
        for (said, out) in record.said.iter_mut().zip(outs) {
            if out {
                said.in_dynamics.push(Word { moment, out, sure: true });
                said.ever_out = true;
            }
        }
        Ok(())
    }

    /// Gives a row another name.
    pub async fn rename(&mut self, services: &Services, kind: Kind, number: usize) -> Result<(), String> {
        let m = self.moment;
        match kind {
            Kind::Account => self.update(services, kind, number, "name", json!(format!("Account {number} v{m}"))).await,
            Kind::Contact => self.update(services, kind, number, "lastname", json!(format!("Last {number} v{m}"))).await,
            Kind::Order => self.update(services, kind, number, "new_name", json!(format!("O-{number} v{m}"))).await,
        }
    }

    async fn change(&mut self, dice: &mut Dice, services: &Services, kind: Kind, column: &str, value: Value) -> Result<(), String> {
        match self.some(dice, kind, true) {
            Some(number) => self.update(services, kind, number, column, value).await,
            None => Ok(()),
        }
    }

    /// Changes one column of a row.
    pub async fn update(&mut self, services: &Services, kind: Kind, number: usize, column: &str, value: Value) -> Result<(), String> {
        let (lookup, _, navigation, to) = kind.lookup();
        let body = if column == "active" {
            json!({"statecode": i32::from(value != true)})
        } else if column == lookup {
            json!({navigation: value.as_str().map(|id| format!("/{}({id})", to.set()))})
        } else {
            json!({column: value})
        };
        services.send("PATCH", &format!("rows/{}/{}", kind.table(), kind.id(number)), &body).await?;
        self.tell(&kind.id(number), format!("Dynamics: {body}"));
        if let Some(record) = self.records.get_mut(&(kind, number)) {
            let mut row = record.current().cloned().unwrap_or_default();
            row.insert(column.to_owned(), value);
            record.versions.push(Some(row));
        }
        Ok(())
    }

    /// Deletes a row; before that `clears` the lookups that point to it, as Dynamics does for most relationships.
    async fn delete(&mut self, services: &Services, kind: Kind, number: usize, clears: bool) -> Result<(), String> {
        let id = kind.id(number);
        if clears {
            let children: Vec<(Kind, usize)> = self
                .records
                .values()
                .filter(|child| {
                    child.kind.lookup().3 == kind && child.current().is_some_and(|row| row[child.kind.lookup().0] == id.as_str())
                })
                .map(|child| (child.kind, child.number))
                .collect();
            for (child, number) in children {
                self.update(services, child, number, child.lookup().0, Value::Null).await?;
            }
        }
        services.send("DELETE", &format!("rows/{}/{id}", kind.table()), &Value::Null).await?;
        self.tell(&id, "Dynamics: deleted".to_owned());
        if let Some(record) = self.records.get_mut(&(kind, number)) {
            record.versions.push(None);
            record.ever_deleted = true;
            record.middle_name = None;
            for said in &mut record.said {
                // What was said in the row is gone with it.
                said.in_dynamics.clear();
                said.base_dynamics = false;
            }
        }
        Ok(())
    }

    async fn event(&mut self, dice: &mut Dice, services: &mut Services) -> Result<(), String> {
        let kind = dice.pick(&["send", "send", "click", "bounce"]);
        match self.some(dice, Kind::Contact, true) {
            Some(number) => self.event_of(services, number, kind).await,
            None => Ok(()),
        }
    }

    /// Campaign's journal has an event of a contact.
    pub async fn event_of(&mut self, services: &mut Services, number: usize, kind: &'static str) -> Result<(), String> {
        let moment = self.moment;
        let mut data = json!({
            "logId": moment.to_string(), "externalId": Kind::Contact.id(number), "eventDate": "2026-01-12 09:00:00.000Z",
            "deliveryId": format!("DM{moment}"), "deliveryLabel": format!("Delivery {moment}"),
            "campaignId": "CMP1", "campaignLabel": "Winter",
        });
        match kind {
            "click" => data["url"] = json!("https://www.example.com/offer"),
            "bounce" => {
                data["failureType"] = json!("hard");
                data["failureReason"] = json!("User unknown");
            }
            _ => {}
        }
        let event = json!({"id": format!("e7e70000-0000-4000-8000-{moment:012}"), "type": kind, "data": data});
        services.add_events(vec![event.clone()]).await?;
        self.tell(&Kind::Contact.id(number), format!("journal: {kind} DM{moment}"));
        self.events.insert(moment, (number, kind));
        self.last_event = Some(event);
        Ok(())
    }

    /// Somebody who has not opted out of emails on either side does so in Dynamics.
    pub async fn opt_out_in_dynamics(&mut self, services: &Services) -> Result<(), String> {
        self.moment += 1;
        let moment = self.moment;
        let willing = self.records.values_mut().find(|r| r.kind == Kind::Contact && r.current().is_some() && !r.said[0].ever_out);
        let record = willing.ok_or("everybody has opted out")?;
        let path = format!("rows/contact/{}", record.id());
        record.said[0].in_dynamics.push(Word { moment, out: true, sure: true });
        record.said[0].ever_out = true;
        services.send("PATCH", &path, &json!({PAIRS[0].0: true})).await
    }

    /// Changes the rows whose target records somebody deleted in Campaign, so that the runner has a reason to write them again.
    pub async fn touch_deleted_in_campaign(&mut self, services: &Services) -> Result<(), String> {
        self.moment += 1;
        let gone: Vec<(Kind, usize)> =
            self.records.values().filter(|r| r.deleted_in_campaign && r.current().is_some()).map(|r| (r.kind, r.number)).collect();
        for (kind, number) in gone {
            self.rename(services, kind, number).await?;
        }
        Ok(())
    }

    /// The record that a request names, by the id in its address or body.
    pub fn named_in(&self, request: &str) -> Option<(Kind, usize)> {
        self.records.values().find(|record| record.current().is_some() && request.contains(&record.id())).map(|r| (r.kind, r.number))
    }
}
