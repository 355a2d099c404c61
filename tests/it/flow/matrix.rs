//! Contacts to profiles with all options in all combinations, against a small model of what should be in Campaign.
//!
//! The model knows nothing of the program: it holds what Dynamics has, what Campaign should have, and which profiles are the
//! integration's, and moves the one to the other by the rules of the integration as they are written in `docs/contacts.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::{Publisher, RunError, Services, run};
use d365map::store::sqlite::db::Store;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::support::{World, id, plan_of};

#[derive(Debug, Clone, Copy)]
struct Case {
    propagate_deletes: bool,
    delete_filtered: bool,
    labels: bool,
    stop_at_rejects: bool,
    initial_city: bool,
    /// Inactive contacts are kept out.
    active_only: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Case> {
        (0..64).map(|n: u32| {
            let bit = |place: u32| n >> place & 1 == 1;
            Case {
                propagate_deletes: bit(0),
                delete_filtered: bit(1),
                labels: bit(2),
                stop_at_rejects: bit(3),
                initial_city: bit(4),
                active_only: bit(5),
            }
        })
    }

    fn plan(self) -> Arc<ExecutionPlan> {
        let word = |yes: bool, one: &'static str, other: &'static str| if yes { one } else { other };
        plan_of(&format!(
            "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  emailaddress1 -> email
  familystatuscode -> salutation
  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject
  address1_city -> location.city | truncate(50) {}
  filter all {{ {} not lastname = \"Hidden\" }}
  options {{ deletes {}; filtered-out {}; picklists {}; rejected {} }}
}}",
            word(self.initial_city, "@initial", ""),
            word(self.active_only, "statecode = Active;", ""),
            word(self.propagate_deletes, "propagate", "ignore"),
            word(self.delete_filtered, "delete", "keep"),
            word(self.labels, "labels", "values"),
            word(self.stop_at_rejects, "stop", "dead-letter"),
        ))
    }
}

/// A contact as the model keeps it.
#[derive(Debug, Clone)]
struct Contact {
    lastname: &'static str,
    email: &'static str,
    family: u8,
    job: Option<&'static str>,
    city: &'static str,
    active: bool,
}

/// A profile as far as the mapping writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Profile {
    last_name: String,
    email: String,
    salutation: String,
    birth_date: String,
    city: String,
    /// Not mapped.
    fax: String,
}

struct Model {
    case: Case,
    dynamics: BTreeMap<u32, Contact>,
    /// Touched since the last run that came to its end.
    touched: BTreeSet<u32>,
    campaign: BTreeMap<u32, Profile>,
    ours: BTreeSet<u32>,
    dead: BTreeSet<u32>,
    /// Failed in a first load or replay: the initial fields go with the next good write.
    owed: BTreeSet<u32>,
}

impl Model {
    /// A run: of all records with their initial fields (`load`), of all without (a resync is the same but for that), or of what
    /// was touched. `Err` gives the record that stops the run.
    fn run(&mut self, everything: bool, with_initial: bool) -> Result<(), u32> {
        let mut wanted = std::mem::take(&mut self.touched);
        if everything {
            wanted.extend(self.dynamics.keys().chain(&self.ours).copied());
        }
        if self.case.stop_at_rejects
            && let Some(bad) = wanted.iter().find(|n| self.dynamics.get(n).is_some_and(|c| self.passes(c) && birth_date(c).is_none()))
        {
            let bad = *bad;
            self.touched = wanted;
            return Err(bad);
        }
        for n in wanted {
            let Some(contact) = self.dynamics.get(&n).cloned() else {
                self.dead.remove(&n);
                if self.case.propagate_deletes && self.ours.remove(&n) {
                    self.campaign.remove(&n);
                }
                continue;
            };
            if !self.passes(&contact) {
                self.dead.remove(&n);
                if self.case.delete_filtered && self.ours.remove(&n) {
                    self.campaign.remove(&n);
                }
                continue;
            }
            let born = birth_date(&contact).filter(|_| contact.email.contains('@'));
            let Some(born) = born else {
                self.dead.insert(n);
                if with_initial {
                    self.owed.insert(n);
                }
                continue;
            };
            let is_new = !self.campaign.contains_key(&n);
            let profile = self.campaign.entry(n).or_default();
            profile.last_name = contact.lastname.to_owned();
            profile.email = contact.email.to_owned();
            let family = usize::from(contact.family) - 1;
            profile.salutation = if self.case.labels { ["Single", "Married"][family] } else { ["1", "2"][family] }.to_owned();
            profile.birth_date = born;
            if is_new || with_initial || !self.case.initial_city || self.owed.remove(&n) {
                profile.city = contact.city.to_owned();
            }
            self.owed.remove(&n);
            self.dead.remove(&n);
            self.ours.insert(n);
        }
        Ok(())
    }

    fn passes(&self, contact: &Contact) -> bool {
        (contact.active || !self.case.active_only) && contact.lastname != "Hidden"
    }
}

/// The day in the job title; empty for none, `None` for one that cannot be read.
fn birth_date(contact: &Contact) -> Option<String> {
    let Some(job) = contact.job else { return Some(String::new()) };
    let parts: Vec<&str> = job.split('.').collect();
    match parts[..] {
        [day, month, year] => Some(format!("{year}-{month}-{day}")),
        _ => None,
    }
}

/// Both systems, and the model beside them.
struct Bench {
    world: World,
    services: Services,
    plan: Arc<ExecutionPlan>,
    model: Model,
    foreign: Vec<Value>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Bench {
    async fn new(case: Case) -> Bench {
        let mut world = World::empty().await;
        world.options.page_size = 3;
        // Of the two the first has a contact's id, and so belongs to it; the others are somebody else's.
        world.in_campaign("POST", "profile", json!({"externalId": id(1), "lastName": "Old", "fax": "1"})).await;
        world.in_campaign("POST", "profile", json!({"externalId": "somebody-else", "lastName": "Other", "email": "a@example.com"})).await;
        world.in_campaign("POST", "profile", json!({"lastName": "Nobody", "email": "b@example.com"})).await;
        let foreign = world.profiles().await.into_iter().filter(|p| p["externalId"] != id(1).as_str()).collect();
        let services = world.services().1;
        let before = Profile { last_name: "Old".to_owned(), fax: "1".to_owned(), ..Profile::default() };
        let model = Model {
            case,
            dynamics: BTreeMap::new(),
            touched: BTreeSet::new(),
            campaign: BTreeMap::from([(1, before)]),
            ours: BTreeSet::new(),
            dead: BTreeSet::new(),
            owed: BTreeSet::new(),
        };
        Bench { world, services, plan: case.plan(), model, foreign }
    }

    async fn create(&mut self, n: u32, contact: Contact) {
        self.world
            .create(
                n,
                json!({"lastname": contact.lastname, "emailaddress1": contact.email, "familystatuscode": contact.family,
                    "jobtitle": contact.job, "address1_city": contact.city}),
            )
            .await;
        if !contact.active {
            self.world.update(n, json!({"statecode": 1})).await;
        }
        self.model.touched.insert(n);
        self.model.dynamics.insert(n, contact);
    }

    async fn change(&mut self, n: u32, body: Value, change: impl FnOnce(&mut Contact)) {
        self.world.update(n, body).await;
        change(self.model.dynamics.get_mut(&n).expect("a contact of this number"));
        self.model.touched.insert(n);
    }

    async fn delete(&mut self, n: u32) {
        self.world.delete(n).await;
        self.model.dynamics.remove(&n);
        self.model.touched.insert(n);
    }

    async fn go(&self) -> Result<(), RunError> {
        let store = Store::open_for_run(&self.world.state()).expect("the state opens");
        let stop = CancellationToken::new();
        run(self.plan.clone(), self.services.clone(), store.into(), self.world.options(), Publisher::default(), stop).await.map(drop)
    }

    /// Runs both, and compares.
    async fn step(&mut self, what: &str, everything: bool, with_initial: bool) {
        let case = self.model.case;
        let expected = self.model.run(everything, with_initial);
        match (self.go().await, expected) {
            (Ok(()), Ok(())) => {}
            (Err(RunError::Rejected { source_id, .. }), Err(n)) => {
                assert_eq!(source_id, id(n), "{what}: {case:?}");
                return;
            }
            (found, expected) => panic!("{what}: {case:?}: {found:?} and not {expected:?}"),
        }
        let mut found = BTreeMap::new();
        let mut foreign = Vec::new();
        for profile in self.world.profiles().await {
            match (0..20).find(|n| profile["externalId"] == id(*n).as_str()) {
                Some(n) => {
                    let profile = Profile {
                        last_name: text(&profile["lastName"]),
                        email: text(&profile["email"]),
                        salutation: text(&profile["salutation"]),
                        birth_date: text(&profile["birthDate"]),
                        city: text(&profile["location"]["city"]),
                        fax: text(&profile["fax"]),
                    };
                    found.insert(n, profile);
                }
                None => foreign.push(profile),
            }
        }
        assert_eq!(found, self.model.campaign, "{what}: {case:?}");
        assert_eq!(foreign, self.foreign, "{what}: {case:?}");
        let dead: Vec<String> = self.world.dead_letters().into_iter().map(|d| d.source_id).collect();
        let expected: Vec<String> = self.model.dead.iter().map(|n| id(*n)).collect();
        assert_eq!(BTreeSet::from_iter(dead), BTreeSet::from_iter(expected), "{what}: {case:?}");
    }

    async fn story(mut self) {
        let contact = |n: u32| Contact {
            lastname: ["Able", "Baker", "Charlie", "Dog", "Easy", "Fox", "George", "How"][n as usize % 8],
            email: ["a0@example.com", "a1@example.com", "a2@example.com", "a3@example.com"][n as usize % 4],
            family: (n % 2 + 1) as u8,
            job: n.is_multiple_of(2).then_some("01.02.1980"),
            city: "London",
            active: true,
        };
        for n in [1, 2, 7, 8] {
            self.create(n, contact(n)).await;
        }
        self.create(3, Contact { active: false, ..contact(3) }).await;
        self.create(4, Contact { lastname: "Hidden", ..contact(4) }).await;
        self.create(5, Contact { email: "no address", ..contact(5) }).await;
        self.create(6, Contact { job: Some("soon"), ..contact(6) }).await;
        self.step("the first load", true, true).await;
        self.change(6, json!({"jobtitle": "03.04.1990"}), |c| c.job = Some("03.04.1990")).await;
        // A load that stopped is still the first one.
        let stopped = self.model.case.stop_at_rejects;
        self.step("a rejected record is fixed", stopped, stopped).await;

        self.change(2, json!({"lastname": "Bakerson", "address1_city": "Paris", "jobtitle": null}), |c| {
            (c.lastname, c.city, c.job) = ("Bakerson", "Paris", None);
        })
        .await;
        self.change(7, json!({"statecode": 1}), |c| c.active = false).await;
        // A merge leaves the loser inactive; what else it sets (`merged`, `masterid`) the service alone can set.
        self.change(8, json!({"statecode": 1}), |c| c.active = false).await;
        self.step("an update, a deactivation, a merge", false, false).await;

        self.change(5, json!({"emailaddress1": "five@example.com"}), |c| c.email = "five@example.com").await;
        self.change(3, json!({"statecode": 0}), |c| c.active = true).await;
        self.change(4, json!({"lastname": "Seen"}), |c| c.lastname = "Seen").await;
        self.step("an address is fixed, records come into the filter", false, false).await;

        self.delete(2).await;
        self.change(1, json!({"emailaddress1": "none any more"}), |c| c.email = "none any more").await;
        self.step("a delete, and an address that turns invalid: the old one stays", false, false).await;

        self.change(1, json!({"lastname": "Abel"}), |c| c.lastname = "Abel").await;
        self.delete(7).await;
        self.step("a change of a record whose address is invalid still; a delete of an inactive one", false, false).await;

        self.change(1, json!({"emailaddress1": "one@example.com"}), |c| c.email = "one@example.com").await;
        self.step("the address is fixed: all that has changed goes", false, false).await;

        self.change(3, json!({"lastname": "Hidden"}), |c| c.lastname = "Hidden").await;
        self.change(4, json!({"address1_city": "Rome", "familystatuscode": 2}), |c| (c.city, c.family) = ("Rome", 2)).await;
        self.create(9, contact(9)).await;
        self.delete(9).await;
        self.step("one leaves the filter, one comes and goes between two runs", false, false).await;

        self.change(3, json!({"lastname": "Back", "address1_city": "Oslo"}), |c| (c.lastname, c.city) = ("Back", "Oslo")).await;
        self.step("it comes back", false, false).await;

        self.change(4, json!({"emailaddress1": "bad"}), |c| c.email = "bad").await;
        {
            let store = Store::open_for_run(&self.world.state()).expect("the state opens");
            store.reset_for_replay("contacts", &self.plan.ingress[0].fingerprint()).expect("the replay is noted");
        }
        self.step("a replay, in which one fails", true, true).await;
        self.change(4, json!({"emailaddress1": "four@example.com"}), |c| c.email = "four@example.com").await;
        self.step("what failed in the replay is fixed, and gets its initial fields", false, false).await;

        self.delete(6).await;
        self.change(5, json!({"address1_city": "Kyiv"}), |c| c.city = "Kyiv").await;
        self.world.admin("expire-delta", Value::Null).await;
        self.step("the delta token has expired: a full load without initial fields finds the delete", true, false).await;
        self.step("nothing more to do", false, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_combination_of_options_leaves_in_campaign_what_the_model_says() {
    let mut cases = Case::all();
    let mut stories = JoinSet::new();
    loop {
        while stories.len() < 4
            && let Some(case) = cases.next()
        {
            stories.spawn(async move { Bench::new(case).await.story().await });
        }
        match stories.join_next().await {
            Some(ended) => ended.expect("the story is complete"),
            None => return,
        }
    }
}
