//! An exhaustive check of the rule on a small world: one person, one opt-out, both services, people who change their minds on
//! either side, readings that are late, exports that come whenever they like and again, lost answers, and kills between any two
//! instructions of the flow. Every reachable state is visited; from every one of them the flow, left alone, must come to rest.
//!
//! What is asked of each:
//!
//! 1. *Agreement*: in a few rounds both services say the same.
//! 2. *No opt-out is lost*: where somebody said "no" in Campaign and nobody there took it back, the end is an opt-out; where
//!    somebody said "no" in Dynamics last, the end is an opt-out, unless a consent in Campaign is strictly newer.
//! 3. *Rest*: then nothing is written any more, however often everything is read and exported again; and the writes until then
//!    are few.
//! 4. *Consent comes through*: given in Campaign while everything is at rest, it reaches Dynamics.
//! 5. *Our own writes beat nobody*: while Dynamics is silent, Campaign's last word is the end, whatever we wrote on the way.
//! 6. *Campaign is never lowered* by the flow: the model has no such write, and the rule no such step.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::rule::{ContactSight, ProfileSight, Rule, Step};
use crate::plan::Direction;
use crate::state::{Flags, Person};
use crate::time::Instant;

/// The most writes that follow an act of people, whatever else happens: each of two views that are out of date may cause some.
const WRITES: u8 = 8;
const FLAG: Flags = Flags::of(1);

fn at(second: i64) -> Instant {
    Instant::from_timestamp(second, 0).unwrap()
}

fn flags(out: bool) -> Flags {
    if out { FLAG } else { Flags::NONE }
}

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The flag of the contact is set.
    Dynamics(bool),
    /// Another field of the contact is changed.
    Touch,
    /// The attribute of the profile is set.
    Campaign(bool),
    /// The profile is deleted and made anew by somebody.
    Anew,
}

const ACTS: [Act; 6] = [Act::Dynamics(true), Act::Dynamics(false), Act::Touch, Act::Campaign(true), Act::Campaign(false), Act::Anew];

/// A write that was sent by a process that is dead, and that may still arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Late {
    Campaign,
    Dynamics { out: bool, version: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    /// Seconds, by Campaign's clock and ours.
    now: i64,
    // Dynamics.
    d_out: bool,
    d_modified: i64,
    d_by_us: bool,
    d_version: u32,
    // Campaign, and what its export would say of it.
    c_out: bool,
    c_made: i64,
    c_changed: i64,
    exports: Vec<(bool, i64)>,
    // The flow's durable state.
    stored: Person,
    /// From which change on the filtered list is asked for.
    mark: i64,
    // The flow's memory, which a kill empties.
    held_contact: Option<ContactSight>,
    held_profile: Option<ProfileSight>,
    work: Option<(Person, bool)>,
    late: Option<Late>,
    // What people said last on each side, and when; the last consent in Campaign.
    said_no_in_dynamics: Option<i64>,
    said_no_in_campaign: bool,
    consent: Option<i64>,
    /// Nobody in Dynamics has said or done anything, and there was no opt-out there.
    silent: bool,
    // What is left of the story.
    acts: u8,
    ticks: u8,
    kills: u8,
    writes: u8,
}

impl World {
    /// Versions are compared and nothing else: they are numbered anew, so that worlds that differ in their numbers are one.
    fn number_versions(&mut self) {
        let mut versions: Vec<&mut String> = Vec::new();
        versions.extend(self.stored.contact.as_mut().and_then(|c| c.version.as_mut()));
        versions.extend(self.held_contact.as_mut().and_then(|c| c.version.as_mut()));
        versions.extend(self.work.as_mut().and_then(|(person, _)| person.contact.as_mut()?.version.as_mut()));
        if let Some(Late::Dynamics { version, .. }) = &mut self.late {
            versions.push(version);
        }
        let mut numbers: Vec<u32> = versions.iter().map(|v| v.parse().unwrap()).chain([self.d_version]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let renamed = |old: u32| u32::try_from(numbers.binary_search(&old).unwrap()).unwrap() + 1;
        for version in versions {
            *version = renamed(version.parse().unwrap()).to_string();
        }
        self.d_version = renamed(self.d_version);
    }
}

/// A flow that is built wrongly, to see that the check would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Dynamics is written whatever version it has.
    NoVersion,
    /// A consent is taken to be as new as the reading that found it.
    TimeOfReading,
    /// Our own writes are not known again.
    OwnWritesCount,
    /// A profile made anew is taken for the one before.
    NoCreated,
    /// A listing dates the profiles that it did not bring too.
    DatedByListing,
    /// The mark of a reading of changes moves with each of its pages.
    MarkOfPage,
}

/// What a world is played by.
struct Game {
    flaw: Option<Flaw>,
    rule: Rule,
    /// Dynamics' clock minus Campaign's, in seconds.
    skew: i64,
    exports: bool,
    anew: bool,
    late: bool,
    /// Readings of profiles bring those that changed since a mark; each may break off before the page with this profile.
    filter: bool,
    /// Views may be taken in after newer ones, and while something is written. The flow itself reads first and writes then.
    stale: bool,
}

impl Game {
    fn start(&self, d_out: bool, c_out: bool, acts: u8, ticks: u8, kills: u8) -> World {
        World {
            now: 10,
            d_out,
            d_modified: 10 + self.skew,
            d_by_us: false,
            d_version: 1,
            c_out,
            c_made: 10,
            c_changed: 10,
            exports: Vec::new(),
            stored: Person::default(),
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
        }
    }

    fn profile(&self, world: &World) -> ProfileSight {
        let created = (self.flaw != Some(Flaw::NoCreated)).then(|| at(world.c_made));
        ProfileSight { out: flags(world.c_out), created, at: at(world.now) }
    }

    fn act(&self, world: &mut World, act: Act) {
        match act {
            Act::Dynamics(out) => {
                self.set_dynamics(world, out, false);
                world.silent = false;
                world.said_no_in_dynamics = out.then_some(world.now);
            }
            Act::Touch => {
                self.set_dynamics(world, world.d_out, false);
                world.silent = false;
            }
            Act::Campaign(out) => {
                self.set_campaign(world, out);
                world.said_no_in_campaign = out;
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
        }
        world.writes = 0;
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
            Some(Late::Campaign) => self.set_campaign(world, true),
            Some(Late::Dynamics { out, version }) if version == world.d_version.to_string() => self.set_dynamics(world, out, true),
            Some(Late::Dynamics { .. }) | None => {}
        }
    }

    fn kill(&self, world: &mut World) {
        world.held_contact = None;
        world.held_profile = None;
        world.work = None;
    }

    fn take_in_contact(&self, world: &mut World, sight: ContactSight) {
        self.rule.contact_seen(&mut world.stored, sight);
    }

    fn take_in_profile(&self, world: &mut World, sight: &ProfileSight) {
        if let (Some(profile), Some(Flaw::TimeOfReading)) = (&mut world.stored.profile, self.flaw) {
            profile.seen = sight.at;
        }
        self.rule.profile_seen(&mut world.stored, sight);
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
        let Some((person, looked)) = &world.work else {
            if self.rule.is_due(&world.stored) {
                let mut begun = world.clone();
                begun.work = Some((world.stored.clone(), false));
                next.push(begun);
            }
            return;
        };
        let mut done = world.clone();
        let mut person = person.clone();
        match self.rule.step(&person, *looked) {
            Step::Done => {
                done.stored = person;
                done.work = None;
                next.push(done);
            }
            Step::AskDynamics => {
                self.rule.contact_seen(&mut person, self.contact(world));
                done.work = Some((person, *looked));
                next.push(done);
            }
            Step::AskCampaign => {
                self.rule.profile_seen(&mut person, &self.profile(world));
                done.work = Some((person, true));
                next.push(done);
            }
            Step::WriteCampaign(raised) => {
                if self.late && world.kills > 0 && world.late.is_none() {
                    let mut killed = world.clone();
                    killed.late = Some(Late::Campaign);
                    killed.kills -= 1;
                    self.kill(&mut killed);
                    next.push(killed);
                }
                self.set_campaign(&mut done, true);
                done.writes += 1;
                if world.kills > 0 {
                    let mut lost = done.clone();
                    lost.kills -= 1;
                    self.kill(&mut lost);
                    next.push(lost);
                }
                self.rule.campaign_written(&mut person, raised);
                done.work = Some((person, *looked));
                next.push(done);
            }
            Step::WriteDynamics { raise, lower } => {
                person.raising = person.raising | raise;
                person.lowering = person.lowering | lower;
                // The intention is on disk before anything is sent.
                done.stored = person.clone();
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
                    done.work = Some((person, *looked));
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
                again.work = Some((refused, *looked));
                next.push(again);
                self.rule.dynamics_written(&mut person, raise, lower);
                done.work = Some((person, *looked));
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
            for act in ACTS.into_iter().filter(|act| self.anew || *act != Act::Anew) {
                // A profile is not made anew in the second in which it was made.
                if act == Act::Anew && world.now == world.c_made {
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
        self.work(world, &mut next);
        next
    }

    /// The flow left alone: whole rounds, until one writes nothing and changes nothing. Gives the writes and rounds it took.
    fn rest(&self, world: &mut World, exports: bool) -> (u32, u32) {
        self.kill(world);
        self.arrive(world);
        let (mut writes, mut rounds) = (0, 0);
        loop {
            let before = (world.d_version, world.c_out, world.d_out);
            world.now += 1;
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
            if before == (world.d_version, world.c_out, world.d_out) {
                return (writes, rounds);
            }
            assert!(rounds < 6, "the flow does not come to rest: {world:?}");
        }
    }

    fn must_be_out(world: &World) -> bool {
        let no_in_dynamics = world.said_no_in_dynamics.is_some_and(|no| world.consent.is_none_or(|consent| consent <= no));
        world.said_no_in_campaign || no_in_dynamics
    }

    fn check(&self, from: &World) {
        for exports in [true, false] {
            let mut world = from.clone();
            let (writes, _) = self.rest(&mut world, exports);
            assert_eq!(world.d_out, world.c_out, "the services disagree in the end of {from:?}\n{world:?}");
            assert!(world.d_out || !Self::must_be_out(from), "an opt-out is lost from {from:?}\n{world:?}");
            let beaten = world.d_out && from.silent && !from.said_no_in_campaign && !self.anew && !self.stale;
            assert!(!beaten, "a consent is beaten by our own writes from {from:?}\n{world:?}");
            assert!(writes <= 3, "{writes} writes until rest from {from:?}");
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
    fn explore(&self, acts: u8, ticks: u8, kills: u8) -> usize {
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

fn game() -> Game {
    let rule = Rule { direction: Direction::Bidirectional, pairs: FLAG, tolerance: TimeDelta::zero() };
    Game { flaw: None, rule, skew: 0, exports: false, anew: false, late: false, filter: false, stale: true }
}

fn explored(what: &str, game: &Game, acts: u8, ticks: u8, kills: u8) {
    let began = std::time::Instant::now();
    let states = game.explore(acts, ticks, kills);
    println!("{what}: {states} states in {:?}", began.elapsed());
    assert!(states > 1_000, "{what}: {states} states are no world");
}

#[test]
fn whatever_people_do_and_however_late_it_is_seen_the_services_agree_and_no_opt_out_is_lost() {
    explored("two acts", &game(), 2, 1, 0);
}

#[test]
fn exports_that_come_late_twice_and_out_of_order_lose_no_opt_out() {
    explored("exports", &Game { exports: true, ..game() }, 2, 0, 0);
}

#[test]
fn kills_and_requests_that_arrive_after_them_lose_no_opt_out() {
    explored("kills", &Game { late: true, ..game() }, 1, 1, 1);
}

#[test]
fn while_dynamics_is_silent_campaigns_last_word_is_the_end_whatever_we_wrote_on_the_way() {
    explored("silent", &Game { stale: false, late: true, exports: true, ..game() }, 2, 1, 1);
}

#[test]
fn a_profile_made_anew_is_no_consent_whenever_it_happens() {
    explored("anew", &Game { anew: true, ..game() }, 2, 1, 0);
}

#[test]
fn clocks_that_differ_within_the_tolerance_lose_no_opt_out() {
    for skew in [-1, 1] {
        let rule = Rule { tolerance: TimeDelta::seconds(1), ..game().rule };
        explored("skew", &Game { rule, skew, ..game() }, 2, 1, 0);
    }
}

#[test]
fn readings_of_changes_that_break_off_lose_no_opt_out() {
    explored("filter", &Game { filter: true, stale: false, ..game() }, 2, 1, 1);
}

#[test]
fn a_flow_that_is_built_wrongly_is_found_out() {
    let flaws = [Flaw::NoVersion, Flaw::TimeOfReading, Flaw::OwnWritesCount, Flaw::NoCreated, Flaw::DatedByListing, Flaw::MarkOfPage];
    for flaw in flaws {
        let stale = flaw != Flaw::OwnWritesCount;
        let game = Game { flaw: Some(flaw), anew: flaw == Flaw::NoCreated, filter: flaw == Flaw::MarkOfPage, stale, ..game() };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| game.explore(2, 1, 0)));
        assert!(found.is_err(), "{flaw:?} goes unseen");
    }
}
