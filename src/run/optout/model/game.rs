//! The game: what may happen next in a world, and what must hold of each.

use std::collections::HashSet;

use super::super::rule::{ContactSight, ProfileSight, Rule, Step};
use super::world::{ACTS, Act, Flaw, Late, World};
use super::{FLAG, WRITES, at, flags};
use crate::plan::Direction;
use crate::state::Person;

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
    /// Views may be taken in after newer ones, and while something is written. The flow itself reads first and writes then.
    pub(super) stale: bool,
}

impl Game {
    fn start(&self, d_out: bool, c_out: bool, acts: u8, ticks: u8, kills: u8) -> World {
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
            work: None,
            late: None,
            said_no_in_dynamics: d_out.then_some(10),
            said_no_in_campaign: c_out,
            consent: None,
            silent: !d_out,
            acts,
            ticks,
            kills,
            writes: 0,
        }
    }

    fn contact(&self, world: &World) -> ContactSight {
        ContactSight {
            out: flags(world.d_out),
            modified: at(world.d_modified),
            by_us: world.d_by_us && self.flaw != Some(Flaw::OwnWritesCount),
            version: Some(world.d_version.to_string()),
            master: None,
        }
    }

    fn profile(&self, world: &World) -> ProfileSight {
        let created = (self.flaw != Some(Flaw::NoCreated)).then(|| at(world.c_made));
        ProfileSight { out: flags(world.c_out), created, at: at(world.now), untouched: world.c_changed == world.c_made }
    }

    fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Dynamics(out) => {
                // Where Dynamics is the one source, a change to a consent takes back what Campaign has at that time.
                if self.towards_campaign() && world.d_out && !out {
                    world.said_no_in_campaign = false;
                }
                self.set_dynamics(world, out, false);
                world.silent = false;
                world.said_no_in_dynamics = out.then_some(world.now);
            }
            Act::Touch => {
                self.set_dynamics(world, world.d_out, false);
                world.silent = false;
            }
            Act::Campaign(out) => {
                // Where Dynamics is the one source, Campaign's time is not known: saying no again changes nothing there, and what we are
                // about to write there counts as Dynamics' word.
                let unheard = self.towards_campaign() && (world.c_out || self.raises(world));
                world.said_no_in_campaign = out && (world.said_no_in_campaign || !unheard);
                self.set_campaign(world, out);
                if !out {
                    world.consent = Some(world.now);
                }
            }
            Act::Anew => {
                // A profile made anew carries nobody's will: not what the old one had, and no consent.
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

    fn towards_campaign(&self) -> bool {
        self.rule.direction == Direction::D365ToCampaign
    }

    /// Whether the flow is about to write an opt-out to Campaign.
    fn raises(&self, world: &World) -> bool {
        let persons = std::iter::once(&world.stored).chain(world.work.as_ref().map(|(person, ..)| person));
        persons.into_iter().any(|person| !self.rule.decide(person).raise_campaign.is_empty())
    }

    /// The mapping's work on the profile: all that may happen next. The last is the one in which nothing goes wrong.
    fn mapping(&self, world: &World, next: &mut Vec<World>) {
        if !world.wanted && world.c_exists {
            let mut kept = world.clone();
            if self.flaw != Some(Flaw::BlindDelete) {
                self.rule.profile_deleted(&mut kept.stored, &self.profile(world));
                kept.kept = world.c_out;
            }
            let delete = |world: &World| {
                let mut deleted = world.clone();
                (deleted.c_exists, deleted.c_out) = (false, false);
                deleted.exports.clear();
                deleted
            };
            if world.kills > 0 {
                // Killed between the two.
                let mut killed = if self.flaw == Some(Flaw::KeepsAfterwards) { delete(world) } else { kept.clone() };
                killed.kills -= 1;
                self.kill(&mut killed);
                next.push(killed);
            }
            next.push(delete(&kept));
        }
        if world.wanted && !world.c_exists && !world.held_back {
            // What the mapping read of the contact may be old: a record may have waited for a link or an answer.
            for out in [false, world.d_out] {
                let mut made = world.clone();
                made.c_exists = true;
                made.c_out = out || world.kept;
                (made.c_made, made.c_changed) = (world.now, world.now);
                if world.kills > 0 {
                    // Killed before the answer: what was kept stays.
                    let mut killed = made.clone();
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    next.push(killed);
                }
                made.kept = false;
                next.push(made);
            }
        }
    }

    /// The mapping left alone.
    fn map(&self, world: &mut World) {
        let mut next = Vec::new();
        self.mapping(&World { kills: 0, ..world.clone() }, &mut next);
        if let Some(mapped) = next.pop() {
            *world = mapped;
        }
    }

    fn set_dynamics(&self, world: &mut World, out: bool, by_us: bool) {
        world.d_out = out;
        world.d_modified = world.now + self.skew;
        world.d_by_us = by_us;
        world.d_version += 1;
    }

    fn set_campaign(&self, world: &mut World, out: bool) {
        if world.c_out != out && self.exports && !world.exports.contains(&(out, world.now)) {
            // Their order is nothing: each may come at any time.
            world.exports.push((out, world.now));
            world.exports.sort_unstable();
        }
        world.c_out = out;
        world.c_changed = world.now;
    }

    fn arrive(&self, world: &mut World) {
        match world.late.take() {
            Some(Late::Campaign) if world.c_exists => self.set_campaign(world, true),
            Some(Late::Dynamics { out, version }) if version == world.d_version.to_string() => self.set_dynamics(world, out, true),
            Some(Late::Campaign | Late::Dynamics { .. }) | None => {}
        }
    }

    fn kill(&self, world: &mut World) {
        world.held_contact = None;
        world.held_profile = None;
        world.work = None;
    }

    fn take_in_contact(&self, world: &mut World, sight: ContactSight) {
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

    fn take_in_profile(&self, world: &mut World, sight: &ProfileSight) {
        if !world.c_exists {
            return;
        }
        if let (Some(profile), Some(Flaw::TimeOfReading)) = (&mut world.stored.profile, self.flaw) {
            profile.seen = sight.at;
        }
        self.rule.profile_seen(&mut world.stored, sight);
        self.lift(world);
    }

    /// A list of all profiles that lacks this one.
    fn list_without(&self, world: &mut World) {
        if let (Some(profile), Some(Flaw::DatedByListing)) = (&mut world.stored.profile, self.flaw) {
            profile.seen = profile.seen.max(at(world.now));
        }
    }

    /// A reading of the profiles that changed; `complete`: it reaches the page with this one.
    fn read_changes(&self, world: &mut World, complete: bool) {
        if complete && world.c_changed >= world.mark {
            let sight = self.profile(world);
            self.take_in_profile(world, &sight);
        }
        if complete || self.flaw == Some(Flaw::MarkOfPage) {
            world.mark = world.now;
        }
    }

    /// All that may happen next in the flow's work on the person.
    fn work(&self, world: &World, next: &mut Vec<World>) {
        let Some((person, looked, owed)) = &world.work else {
            if self.rule.is_due(&world.stored) {
                let mut begun = world.clone();
                let mut person = world.stored.clone();
                self.rule.spend(&mut person);
                begun.work = Some((person, false, world.stored.owed));
                next.push(begun);
            }
            return;
        };
        let mut done = world.clone();
        let mut person = person.clone();
        match self.rule.step(&person, *looked) {
            Step::Done => {
                // What the mapping has added since the work began stays.
                person.owed = world.stored.owed & (person.owed | !*owed);
                done.stored = person;
                done.work = None;
                next.push(done);
            }
            Step::AskDynamics => {
                self.rule.contact_seen(&mut person, self.contact(world));
                done.work = Some((person, *looked, *owed));
                next.push(done);
            }
            Step::AskCampaign => {
                if world.c_exists {
                    self.rule.profile_seen(&mut person, &self.profile(world));
                } else {
                    self.rule.profile_missing(&mut person);
                }
                done.work = Some((person, true, *owed));
                next.push(done);
            }
            Step::WriteCampaign { .. } if !world.c_exists => {
                self.rule.profile_missing(&mut person);
                done.work = Some((person, *looked, *owed));
                next.push(done);
            }
            Step::WriteCampaign { raise, lower } => {
                // A consent that arrives late is left out: no condition protects it (docs/optout.md).
                if self.late && lower.is_empty() && world.kills > 0 && world.late.is_none() {
                    let mut killed = world.clone();
                    killed.late = Some(Late::Campaign);
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    next.push(killed);
                }
                self.set_campaign(&mut done, lower.is_empty());
                done.writes += 1;
                if world.kills > 0 {
                    let mut lost = done.clone();
                    lost.kills -= 1;
                    self.kill(&mut lost);
                    next.push(lost);
                }
                self.rule.campaign_written(&mut person, raise, lower);
                done.work = Some((person, *looked, *owed));
                next.push(done);
            }
            Step::WriteDynamics { raise, lower } => {
                person.raising = person.raising | raise;
                person.lowering = person.lowering | lower;
                // The intention is on disk before anything is sent.
                done.stored = Person { owed: world.stored.owed, ..person.clone() };
                let version = person.contact.as_ref().and_then(|c| c.version.clone()).unwrap();
                if world.kills > 0 {
                    let mut killed = done.clone();
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    if self.late && killed.late.is_none() {
                        let mut late = killed.clone();
                        late.late = Some(Late::Dynamics { out: !raise.is_empty(), version: version.clone() });
                        next.push(late);
                    }
                    next.push(killed);
                }
                if version != world.d_version.to_string() && self.flaw != Some(Flaw::NoVersion) {
                    // Refused: somebody was faster. The contact is read.
                    self.rule.contact_seen(&mut person, self.contact(world));
                    done.work = Some((person, *looked, *owed));
                    next.push(done);
                    return;
                }
                self.set_dynamics(&mut done, !raise.is_empty(), true);
                done.writes += 1;
                if world.kills > 0 {
                    let mut lost = done.clone();
                    lost.kills -= 1;
                    self.kill(&mut lost);
                    next.push(lost);
                }
                // The answer was lost, and the request sent again: now it is refused, for our own write.
                let mut again = done.clone();
                let mut refused = person.clone();
                self.rule.contact_seen(&mut refused, self.contact(&again));
                again.work = Some((refused, *looked, *owed));
                next.push(again);
                self.rule.dynamics_written(&mut person, raise, lower, at(world.now));
                done.work = Some((person, *looked, *owed));
                next.push(done);
            }
        }
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
                    // A profile is not made anew in the second in which it was made.
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
            let known = world.stored.contact.as_ref().and_then(|c| c.version.as_deref());
            match &world.held_contact {
                // A row that has not changed is not sent again; that it may be is checked at rest.
                None if self.flaw == Some(Flaw::WithTheRecord) && world.held_back => {}
                None if known == Some(&*world.d_version.to_string()) => {}
                None if !self.stale => with(&|w| self.take_in_contact(w, self.contact(w))),
                None => with(&|w| w.held_contact = Some(self.contact(w))),
                Some(sight) => with(&|w| {
                    self.take_in_contact(w, sight.clone());
                    w.held_contact = None;
                }),
            }
            // Rightly it changes nothing.
            if self.flaw == Some(Flaw::DatedByListing) {
                with(&|w| self.list_without(w));
            }
            match &world.held_profile {
                None if self.filter => {
                    with(&|w| self.read_changes(w, true));
                    with(&|w| self.read_changes(w, false));
                }
                None if !self.stale => with(&|w| {
                    let sight = self.profile(w);
                    self.take_in_profile(w, &sight);
                }),
                None => with(&|w| w.held_profile = Some(self.profile(w))),
                Some(sight) => with(&|w| {
                    self.take_in_profile(w, sight);
                    w.held_profile = None;
                }),
            }
            for (value, second) in &world.exports {
                with(&|w| {
                    self.rule.exported(&mut w.stored, FLAG, *value, at(*second), at(w.now));
                });
            }
        }
        if self.mapping {
            self.mapping(world, &mut next);
        }
        self.work(world, &mut next);
        next
    }

    /// The flow left alone: whole rounds, until one writes nothing and changes nothing. Gives the writes and rounds it took.
    fn rest(&self, world: &mut World, exports: bool) -> (u32, u32) {
        self.kill(world);
        self.arrive(world);
        let (mut writes, mut rounds) = (0, 0);
        loop {
            let before = (world.d_version, world.c_exists, world.c_out, world.d_out);
            world.now += 1;
            self.map(world);
            self.take_in_contact(world, self.contact(world));
            if self.filter {
                self.read_changes(world, true);
            } else {
                self.take_in_profile(world, &self.profile(world));
            }
            if exports {
                for (value, second) in world.exports.clone().into_iter().rev() {
                    self.rule.exported(&mut world.stored, FLAG, value, at(second), at(world.now));
                }
            }
            let mut steps = 0;
            while world.work.is_some() || self.rule.is_due(&world.stored) {
                let mut next = Vec::new();
                world.writes = 0;
                world.kills = 0;
                self.work(world, &mut next);
                // The last is the one in which nothing goes wrong.
                *world = next.pop().unwrap();
                writes += u32::from(world.writes);
                steps += 1;
                assert!(steps < 20, "work on one person does not end: {world:?}");
            }
            rounds += 1;
            if before == (world.d_version, world.c_exists, world.c_out, world.d_out) {
                return (writes, rounds);
            }
            assert!(rounds < 6, "the flow does not come to rest: {world:?}");
        }
    }

    fn must_be_out(world: &World) -> bool {
        let no_in_dynamics = world.said_no_in_dynamics.is_some_and(|no| world.consent.is_none_or(|consent| consent <= no));
        world.said_no_in_campaign || no_in_dynamics
    }

    /// The flow left alone, and then the contact back in the filter with nothing to hold it back.
    fn rest_with_profile(&self, world: &mut World, exports: bool) -> u32 {
        let (mut writes, _) = self.rest(world, exports);
        if !world.wanted || world.held_back {
            if !world.wanted {
                let there = world.d_out || world.kept;
                assert!(there || !Self::must_be_out(world), "an opt-out is neither with the contact nor kept for its return: {world:?}");
            }
            (world.wanted, world.held_back) = (true, false);
            self.set_dynamics(world, world.d_out, false);
            writes += self.rest(world, exports).0;
        }
        writes
    }

    /// Where Dynamics is the one source.
    fn check_towards_campaign(&self, from: &World) {
        let mut world = from.clone();
        let writes = self.rest_with_profile(&mut world, false);
        assert!(world.c_out || !world.d_out, "an opt-out of Dynamics is not in Campaign in the end of {from:?}\n{world:?}");
        assert!(world.c_out || !from.said_no_in_campaign, "an opt-out of Campaign is lost from {from:?}\n{world:?}");
        assert!(!world.d_by_us, "Dynamics is written from {from:?}");
        assert!(writes <= 3, "{writes} writes until rest from {from:?}");
        let (writes, rounds) = self.rest(&mut world, false);
        assert_eq!((writes, rounds), (0, 1), "no rest from {from:?}");
        if world.d_out {
            world.now += 1;
            self.act(&mut world, Act::Dynamics(false));
            let (writes, _) = self.rest(&mut world, false);
            assert_eq!((world.c_out, writes), (false, 1), "a consent of Dynamics does not come through: {from:?}\n{world:?}");
        }
    }

    fn check(&self, from: &World) {
        if self.towards_campaign() {
            return self.check_towards_campaign(from);
        }
        for exports in [true, false] {
            let mut world = from.clone();
            let writes = self.rest_with_profile(&mut world, exports);
            assert_eq!(world.d_out, world.c_out, "the services disagree in the end of {from:?}\n{world:?}");
            assert!(world.d_out || !Self::must_be_out(from), "an opt-out is lost from {from:?}\n{world:?}");
            let beaten = world.d_out && from.silent && !from.said_no_in_campaign && !self.anew && !self.stale && !self.mapping;
            assert!(!beaten, "a consent is beaten by our own writes from {from:?}\n{world:?}");
            assert!(writes <= 3 + 2 * u32::from(self.mapping), "{writes} writes until rest from {from:?}");
            // Whatever was not delivered comes now, and again.
            let settled = (world.d_version, world.c_out);
            let (writes, rounds) = self.rest(&mut world, true);
            assert_eq!(world.d_out, world.c_out, "late exports part the services: {from:?}");
            assert!(world.d_out || !Self::must_be_out(from), "an opt-out is lost to late exports from {from:?}");
            if exports {
                assert_eq!((writes, rounds, settled), (0, 1, (world.d_version, world.c_out)), "no rest from {from:?}");
            }
            if world.d_out {
                let pause = 1 + 2 * self.rule.tolerance.num_seconds() + self.skew.abs();
                for _ in 0..2 {
                    world.now += pause;
                    self.rest(&mut world, exports);
                }
                // A reading of changes does not bring a profile again that has not changed: if the contact was changed after the profile
                // was read, a consent that a reading finds may be the earlier word.
                let (contact, profile) = (&world.stored.contact, &world.stored.profile);
                let dated = contact.as_ref().zip(profile.as_ref()).is_some_and(|(contact, profile)| profile.seen > contact.changed);
                if self.filter && !dated {
                    continue;
                }
                world.now += pause;
                self.act(&mut world, Act::Campaign(false));
                world.now += pause;
                let (writes, _) = self.rest(&mut world, exports);
                assert_eq!((world.d_out, world.c_out, writes), (false, false, 1), "a consent does not come through: {from:?}\n{world:?}");
            }
        }
    }

    /// Visits every state that can be reached, and gives how many there are.
    pub(super) fn explore(&self, acts: u8, ticks: u8, kills: u8) -> usize {
        let mut seen: HashSet<World> = HashSet::new();
        let mut checked: HashSet<World> = HashSet::new();
        let mut open = Vec::new();
        for (d_out, c_out) in [(false, false), (true, false), (false, true), (true, true)] {
            open.push(self.start(d_out, c_out, acts, ticks, kills));
        }
        while let Some(mut world) = open.pop() {
            assert!(world.writes <= WRITES, "more and more is written: {world:?}");
            world.number_versions();
            if seen.contains(&world) {
                continue;
            }
            // What the flow has in memory and what else may happen is nothing to the flow left alone after a kill.
            let mut bare = World { acts: 0, ticks: 0, kills: 0, writes: 0, ..world.clone() };
            self.kill(&mut bare);
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
