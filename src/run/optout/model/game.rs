//! The game: what may happen next in a world. What must hold of each is in `claims.rs`, the flow's work on a person in `work.rs`.

use std::collections::HashSet;

use super::super::rule::{ContactSight, ProfileSight, Rule};
use super::world::{ACTS, Act, Flaw, Late, Limit, World};
use super::{FLAG, WRITES, at, flags};
use crate::plan::Direction;
use crate::store::{Flags, Person};

/// What a world is played by.
pub(super) struct Game {
    pub(super) flaw: Option<Flaw>,
    pub(super) rule: Rule,
    /// Dynamics' clock minus Campaign's, in seconds.
    pub(super) skew: i64,
    pub(super) exports: bool,
    pub(super) anew: bool,
    pub(super) late: bool,
    /// Readings of profiles bring those that changed since a mark; each may break off before the page with this profile.
    pub(super) filter: bool,
    /// Contacts leave the filter and come back, and their records are held back; the mapping deletes their profiles and makes them.
    pub(super) mapping: bool,
    /// Views may be stored after newer ones, and while something is written. The flow itself reads first and writes then.
    pub(super) stale: bool,
    /// Requests, what the services do about them, and answers are three moments.
    pub(super) slow: bool,
    /// The opt-out is a topic: a profile begins with it, Campaign shows no time of it, and what the mapping makes begins with the consent.
    pub(super) topic: bool,
    /// What is asked for although no client can give it.
    pub(super) beyond: Option<Limit>,
    /// How much happens: acts of people, seconds, kills of the flow.
    pub(super) acts: u8,
    pub(super) ticks: u8,
    pub(super) kills: u8,
}

impl Game {
    fn start(&self, d_out: bool, c_out: bool) -> World {
        World {
            now: 10,
            d_out,
            d_modified: 10 + self.skew,
            d_by_us: false,
            d_version: 1,
            wanted: true,
            held_back: false,
            c_exists: true,
            c_out,
            c_made: 10,
            c_changed: 10,
            exports: Vec::new(),
            stored: Person::default(),
            kept: false,
            mark: 0,
            held_contact: None,
            held_profile: None,
            asked: None,
            deleting: false,
            work: None,
            late: None,
            said_no_in_dynamics: d_out.then_some(10),
            said_no_in_campaign: c_out,
            consent: None,
            unread_consent: false,
            unread_lift: false,
            silent: !d_out,
            acts: self.acts,
            ticks: self.ticks,
            kills: self.kills,
            writes: 0,
        }
    }

    pub(super) fn contact(&self, world: &World) -> ContactSight {
        ContactSight {
            out: flags(world.d_out),
            modified: at(world.d_modified),
            by_us: world.d_by_us && self.flaw != Some(Flaw::OwnWritesCount),
            version: Some(world.d_version.to_string()),
            master: None,
        }
    }

    /// The profile as a request shows it that was sent at `sent` and is answered at once; none if there is no profile.
    pub(super) fn profile(&self, world: &World, sent: i64) -> Option<ProfileSight> {
        let created = (self.flaw != Some(Flaw::NoCreated)).then(|| at(world.c_made));
        world.c_exists.then(|| ProfileSight {
            out: flags(world.c_out),
            created,
            at: at(sent),
            answered: at(world.now),
            modified: (!self.topic).then(|| at(world.c_changed)),
        })
    }

    /// A sight as it is known when its answer has come.
    pub(super) fn answered(&self, world: &World, sight: ProfileSight) -> ProfileSight {
        let answered = if self.flaw == Some(Flaw::TimeOfRequest) { sight.at } else { at(world.now) };
        ProfileSight { answered, ..sight }
    }

    /// Whether something counts that no client can see or protect.
    fn counts(&self, limit: Limit) -> bool {
        self.beyond == Some(limit)
    }

    pub(super) fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Dynamics(out) => {
                // Where Dynamics is the one source, a change to a consent takes back what Campaign has at that time.
                if self.towards_campaign() && !out && (world.d_out || self.moves_consent(world)) {
                    world.said_no_in_campaign = false;
                }
                world.unread_lift = self.remembers() && !out && (world.d_out || world.unread_lift);
                self.set_dynamics(world, out, false);
                world.silent = false;
                world.said_no_in_dynamics = out.then_some(world.now);
            }
            Act::Touch => {
                if self.moves_consent(world) {
                    world.said_no_in_campaign = false;
                }
                self.set_dynamics(world, world.d_out, false);
                world.silent = false;
            }
            Act::Campaign(out) => {
                let known_out = world.knows(|person| {
                    // A profile that was just made is known to have it.
                    person.newborn.has(FLAG) || person.profile.as_ref().is_some_and(|profile| profile.out.has(FLAG))
                });
                let seen = world.said_no_in_campaign
                    || if world.deleting {
                        self.counts(Limit::LookToDelete)
                    } else if !self.towards_campaign() {
                        true
                    } else if world.c_out {
                        self.counts(Limit::Repeated)
                    } else {
                        !(world.unread_consent && known_out) || self.counts(Limit::TwoChanges)
                    };
                world.said_no_in_campaign = out && seen;
                world.unread_consent = self.remembers() && !out && (world.c_out || world.unread_consent);
                self.set_campaign(world, out);
                if !out {
                    world.consent = Some(world.now);
                }
            }
            Act::Anew => {
                // A profile that is created again expresses no choice: neither the old one's values nor a consent.
                world.c_out = false;
                world.c_made = world.now;
                world.c_changed = world.now;
                world.said_no_in_campaign = false;
                world.exports.clear();
            }
            Act::Filter => {
                world.wanted = !world.wanted;
                self.set_dynamics(world, world.d_out, false);
                world.silent = false;
            }
            Act::HoldBack => {
                world.held_back = !world.held_back;
                self.set_dynamics(world, world.d_out, false);
                world.silent = false;
            }
        }
        world.writes = 0;
    }

    /// Whether a change of the contact counts as the time of a consent that was given before. The record's time is all that Dynamics tells, so it
    /// does as long as the consent has not been read.
    fn moves_consent(&self, world: &World) -> bool {
        let known_out = world.knows(|person| person.contact.as_ref().is_some_and(|contact| contact.out.has(FLAG)));
        world.unread_lift && known_out && !self.counts(Limit::TimeOfRecord)
    }

    /// Whether it matters what was not read yet: three acts of people are the fewest that a reader can take for one.
    fn remembers(&self) -> bool {
        (self.acts > 2 || self.topic) && self.towards_campaign()
    }

    pub(super) fn towards_campaign(&self) -> bool {
        self.rule.direction == Direction::D365ToCampaign
    }

    /// The mapping's work on the profile: all that may happen next. The last is the one in which nothing goes wrong.
    fn mapping(&self, world: &World, next: &mut Vec<World>) {
        if world.deleting {
            let mut deleted = world.clone();
            (deleted.c_exists, deleted.c_out, deleted.deleting) = (false, false, false);
            deleted.exports.clear();
            if self.flaw == Some(Flaw::KeepsAfterwards) {
                self.keep(&mut deleted, world);
                // Killed between the two.
                let mut killed = World { stored: world.stored.clone(), kept: world.kept, ..deleted.clone() };
                if world.kills > 0 {
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    next.push(killed);
                }
            }
            next.push(deleted);
            return;
        }
        if !world.wanted && world.c_exists {
            let mut looked = world.clone();
            looked.deleting = true;
            if !matches!(self.flaw, Some(Flaw::BlindDelete | Flaw::KeepsAfterwards)) {
                self.keep(&mut looked, world);
            }
            if world.kills > 0 {
                // Killed between the two.
                let mut killed = looked.clone();
                killed.kills -= 1;
                self.kill(&mut killed);
                next.push(killed);
            }
            next.push(looked);
        }
        if world.wanted && !world.c_exists && !world.held_back {
            // What the mapping read of the contact may be old: a record may have waited for a link or an answer.
            for out in [false, world.d_out] {
                let mut made = world.clone();
                made.c_exists = true;
                made.c_out = out || world.kept || self.topic;
                (made.c_made, made.c_changed) = (world.now, world.now);
                if world.kills > 0 {
                    // Killed before the answer: what was kept stays.
                    let mut killed = made.clone();
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    next.push(killed);
                }
                if self.topic {
                    let kept = flags(world.kept && self.flaw != Some(Flaw::ForgetsKept));
                    let born = world.stored.born + 1;
                    made.stored.be_born(kept, born);
                    made.stored.look = true;
                }
                made.kept = false;
                next.push(made);
            }
        }
    }

    /// The mapping keeps what the profile has before it deletes it.
    fn keep(&self, world: &mut World, seen: &World) {
        if let Some(sight) = self.profile(seen, seen.now) {
            if self.topic {
                world.kept = self.rule.topics_deleted(&mut world.stored, &sight).has(FLAG);
            } else {
                self.rule.profile_deleted(&mut world.stored, &sight);
                world.kept = seen.c_out;
            }
        }
    }

    /// The mapping left alone.
    pub(super) fn map(&self, world: &mut World) {
        loop {
            let mut next = Vec::new();
            self.mapping(&World { kills: 0, ..world.clone() }, &mut next);
            match next.pop() {
                Some(mapped) => *world = mapped,
                None => return,
            }
        }
    }

    pub(super) fn set_dynamics(&self, world: &mut World, out: bool, by_us: bool) {
        world.d_out = out;
        world.d_modified = world.now + self.skew;
        world.d_by_us = by_us;
        world.d_version += 1;
    }

    pub(super) fn set_campaign(&self, world: &mut World, out: bool) {
        if world.c_out != out && self.exports && !world.exports.contains(&(out, world.now)) {
            // Their order is nothing: each may come at any time.
            world.exports.push((out, world.now));
            world.exports.sort_unstable();
        }
        world.c_out = out;
        world.c_changed = world.now;
    }

    pub(super) fn arrive(&self, world: &mut World) {
        match world.late.take() {
            Some(Late::Campaign { out }) if world.c_exists => self.set_campaign(world, out),
            Some(Late::Dynamics { out, version }) if version == world.d_version.to_string() => self.set_dynamics(world, out, true),
            Some(Late::Campaign { .. } | Late::Dynamics { .. }) | None => {}
        }
    }

    pub(super) fn kill(&self, world: &mut World) {
        world.held_contact = None;
        world.held_profile = None;
        world.asked = None;
        world.deleting = false;
        world.work = None;
    }

    pub(super) fn store_contact(&self, world: &mut World, sight: ContactSight) {
        if self.flaw == Some(Flaw::WithTheRecord) && world.held_back {
            return;
        }
        let consent = world.stored.contact.as_ref().is_some_and(|known| !(known.out & !sight.out).is_empty());
        self.rule.contact_seen(&mut world.stored, sight);
        if consent && self.flaw == Some(Flaw::LiftsUnseen) {
            world.stored.fresh = FLAG;
        }
        self.lift(world);
    }

    fn lift(&self, world: &mut World) {
        if self.flaw == Some(Flaw::LiftsAtFirstSight) {
            world.stored.fresh = world.stored.fresh | world.stored.held;
        }
    }

    pub(super) fn store_profile(&self, world: &mut World, sight: &ProfileSight) {
        if let (Some(profile), Some(Flaw::TimeOfReading)) = (&mut world.stored.profile, self.flaw) {
            profile.seen = sight.at;
        }
        let sight = self.answered(world, sight.clone());
        self.see_profile(&mut world.stored, &sight);
        self.lift(world);
    }

    /// The rule's view of a profile, or that of a flow that is built wrongly.
    pub(super) fn see_profile(&self, person: &mut Person, sight: &ProfileSight) {
        if self.flaw == Some(Flaw::LiftsAgain) {
            person.lifting = Flags::NONE;
        }
        self.rule.profile_seen(person, sight);
    }

    /// A list of all profiles that lacks this one.
    fn list_without(&self, world: &mut World) {
        if let (Some(profile), Some(Flaw::DatedByListing)) = (&mut world.stored.profile, self.flaw) {
            profile.seen = profile.seen.max(at(world.now));
        }
    }

    /// A reading of the profiles that changed; `complete`: it reaches the page with this one.
    pub(super) fn read_changes(&self, world: &mut World, complete: bool) {
        if complete && world.c_changed >= world.mark {
            self.read_profile(world);
        }
        if complete || self.flaw == Some(Flaw::MarkOfPage) {
            world.mark = world.now;
        }
    }

    /// A reading of the profile that is answered at once.
    pub(super) fn read_profile(&self, world: &mut World) {
        if let Some(sight) = self.profile(world, world.now) {
            world.unread_consent = false;
            self.store_profile(world, &sight);
        }
    }

    /// A reading of the contact that is answered at once.
    pub(super) fn read_contact(&self, world: &mut World) {
        world.unread_lift = false;
        self.store_contact(world, self.contact(world));
    }

    /// All that may happen next.
    fn next(&self, world: &World) -> Vec<World> {
        let mut next = Vec::new();
        let mut with = |change: &dyn Fn(&mut World)| {
            let mut changed = world.clone();
            change(&mut changed);
            next.push(changed);
        };
        if world.acts > 0 {
            for act in ACTS {
                let may = match act {
                    Act::Dynamics(_) | Act::Touch => true,
                    Act::Campaign(_) => world.c_exists,
                    // A profile is not created again in the second in which it was created.
                    Act::Anew => self.anew && world.c_exists && world.now != world.c_made,
                    Act::Filter | Act::HoldBack => self.mapping,
                };
                if !may {
                    continue;
                }
                with(&|w| {
                    w.acts -= 1;
                    self.act(w, act);
                });
            }
        }
        if world.ticks > 0 {
            with(&|w| {
                w.ticks -= 1;
                w.now += 1;
            });
        }
        if world.late.is_some() {
            with(&|w| self.arrive(w));
        }
        if world.work.is_none() {
            self.read(world, &mut with);
        }
        if self.mapping {
            self.mapping(world, &mut next);
        }
        self.work(world, &mut next);
        next
    }

    /// The flow's readings: all that may happen next.
    fn read(&self, world: &World, with: &mut impl FnMut(&dyn Fn(&mut World))) {
        let held = self.stale || self.slow;
        let known = world.stored.contact.as_ref().and_then(|c| c.version.as_deref());
        match &world.held_contact {
            // A row that has not changed is not sent again; that it may be is checked at rest.
            None if self.flaw == Some(Flaw::WithTheRecord) && world.held_back => {}
            None if known == Some(&*world.d_version.to_string()) => {}
            None if !held => with(&|w| self.read_contact(w)),
            None => with(&|w| w.held_contact = Some(self.contact(w))),
            Some(sight) => with(&|w| {
                self.store_contact(w, sight.clone());
                w.held_contact = None;
            }),
        }
        // Rightly it changes nothing.
        if self.flaw == Some(Flaw::DatedByListing) {
            with(&|w| self.list_without(w));
        }
        match (&world.held_profile, world.asked) {
            (Some(sight), _) => with(&|w| {
                self.store_profile(w, sight);
                w.held_profile = None;
            }),
            (None, None) if self.filter => {
                with(&|w| self.read_changes(w, true));
                with(&|w| self.read_changes(w, false));
            }
            (None, None) if self.slow => with(&|w| w.asked = Some(w.now)),
            (None, None) if !self.stale => with(&|w| self.read_profile(w)),
            (None, sent) => with(&|w| {
                w.held_profile = self.profile(w, sent.unwrap_or(w.now));
                w.asked = None;
            }),
        }
        for (value, second) in &world.exports {
            with(&|w| {
                self.rule.exported(&mut w.stored, FLAG, *value, at(*second), at(w.now));
            });
        }
    }

    /// The world after a story, one act a second, that began when the flow knew both sides: Dynamics with an opt-out, Campaign with it too
    /// if the story needs that. If it is about a deletion, the mapping had looked at the profile before the story, and deletes it after.
    pub(super) fn told(&self, story: &[Option<Act>]) -> World {
        let deleting = self.counts(Limit::LookToDelete);
        let mut world = self.start(true, !deleting && !self.counts(Limit::TimeOfRecord));
        self.read_contact(&mut world);
        self.read_profile(&mut world);
        world.deleting = deleting;
        for act in story {
            world.now += 1;
            match act {
                Some(act) => self.act(&mut world, *act),
                None => {
                    let out = world.c_out;
                    self.set_campaign(&mut world, out);
                }
            }
        }
        if deleting {
            self.map(&mut world);
        }
        world.number_versions();
        world
    }

    /// Visits every state that can be reached, and gives how many there are.
    pub(super) fn explore(&self) -> usize {
        let mut seen: HashSet<World> = HashSet::new();
        let mut checked: HashSet<World> = HashSet::new();
        let mut open = Vec::new();
        for (d_out, c_out) in [(false, false), (true, false), (false, true), (true, true)] {
            open.push(self.start(d_out, c_out));
        }
        while let Some(mut world) = open.pop() {
            assert!(world.writes <= WRITES, "more and more is written: {world:?}");
            world.number_versions();
            if seen.contains(&world) {
                continue;
            }
            // What else may happen is nothing to the flow left alone, nor what it has in memory if it was killed before.
            let mut bare = World { acts: 0, ticks: 0, kills: 0, writes: 0, ..world.clone() };
            if !self.slow {
                self.kill(&mut bare);
            }
            if !checked.contains(&bare) {
                self.check(&bare);
                checked.insert(bare);
            }
            open.extend(self.next(&world));
            seen.insert(world);
        }
        seen.len()
    }
}
