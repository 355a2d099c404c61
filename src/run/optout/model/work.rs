//! The flow's work on the person: what may happen next to each of its requests.

use super::super::rule::Step;
use super::game::Game;
use super::world::{Answer, Flaw, Late, Limit, Work, World};
use super::{FLAG, at};
use crate::store::{Flags, Person};

impl Game {
    /// All that may happen next in the flow's work on the person. The last is the one in which nothing goes wrong.
    pub(super) fn work(&self, world: &World, next: &mut Vec<World>) {
        let Some(work) = &world.work else {
            // The flow reads first and writes then.
            let reading = self.slow && (world.asked.is_some() || world.held_profile.is_some() || world.held_contact.is_some());
            if !reading && self.rule.is_due(&world.stored) {
                let mut person = world.stored.clone();
                self.rule.spend(&mut person);
                let begun = Work { person, looked: false, owed: world.stored.owed, sent: self.sent(world), answer: None };
                next.push(World { work: Some(begun), ..world.clone() });
            }
            return;
        };
        if let Some(answer) = &work.answer {
            let mut done = world.clone();
            self.answer(&mut done, Work { answer: None, ..work.clone() }, answer.clone());
            next.push(done);
            return;
        }
        let mut person = work.person.clone();
        match self.rule.step(&person, work.looked) {
            Step::Done => {
                let mut done = world.clone();
                // What the mapping has added since the work began stays.
                person.owed = world.stored.owed & (person.owed | !work.owed);
                person.keep_born(&world.stored);
                done.stored = person;
                done.work = None;
                next.push(done);
            }
            Step::AskDynamics => {
                next.push(self.carried_out(world.clone(), work.clone(), Answer::Contact(self.contact(world))));
            }
            Step::AskCampaign => {
                let sent = if self.slow { work.sent } else { world.now };
                next.push(self.carried_out(world.clone(), work.clone(), Answer::Profile(self.profile(world, sent))));
            }
            Step::WriteCampaign { .. } if !world.c_exists => {
                next.push(self.carried_out(world.clone(), work.clone(), Answer::Profile(None)));
            }
            Step::WriteCampaign { raise, lower } => self.write_campaign(world, work, raise, lower, next),
            Step::WriteDynamics { raise, lower } => self.write_dynamics(world, work, raise, lower, next),
        }
    }

    /// When a request is sent that is sent now. It is not used if answers come immediately.
    fn sent(&self, world: &World) -> i64 {
        if self.slow { world.now } else { 0 }
    }

    /// A service has carried out a request: its answer comes at once, or later.
    fn carried_out(&self, mut world: World, work: Work, answer: Answer) -> World {
        if self.slow {
            world.work = Some(Work { answer: Some(answer), ..work });
        } else {
            self.answer(&mut world, work, answer);
        }
        world
    }

    /// An answer has come.
    fn answer(&self, world: &mut World, mut work: Work, answer: Answer) {
        match answer {
            Answer::Profile(Some(sight)) => {
                let sight = self.answered(world, sight);
                self.see_profile(&mut work.person, &sight);
                work.looked = true;
            }
            Answer::Profile(None) => {
                self.rule.profile_missing(&mut work.person);
                work.looked = true;
            }
            Answer::Contact(contact) => self.rule.contact_seen(&mut work.person, contact),
            Answer::WrittenToCampaign { raise, lower } => {
                let no_later = work.person.profile.as_ref().map(|profile| profile.no_later);
                self.rule.campaign_written(&mut work.person, raise, lower, at(world.now));
                if let (Some(profile), Some(before), Some(Flaw::OwnWritesAreOurs)) = (&mut work.person.profile, no_later, self.flaw) {
                    profile.no_later = before;
                }
            }
            Answer::WrittenToDynamics { raise, lower } => {
                let sent = if self.slow { work.sent } else { world.now };
                self.rule.dynamics_written(&mut work.person, raise, lower, at(sent));
            }
        }
        work.sent = self.sent(world);
        world.work = Some(work);
    }

    /// The world after a kill.
    fn killed(&self, world: &World) -> World {
        let mut killed = world.clone();
        killed.kills -= 1;
        self.kill(&mut killed);
        killed
    }

    /// The person as an intention is stored: what the mapping has added since the work began stays.
    fn noted(&self, world: &World, person: &Person) -> Person {
        let mut noted = Person { owed: world.stored.owed, ..person.clone() };
        if noted.born != world.stored.born {
            (noted.newborn, noted.born) = (world.stored.newborn, world.stored.born);
        }
        if self.flaw == Some(Flaw::BeginsAgain) {
            noted.newborn = FLAG;
            noted.profile = None;
        }
        noted
    }

    fn write_campaign(&self, world: &World, work: &Work, raise: Flags, lower: Flags, next: &mut Vec<World>) {
        let mut done = world.clone();
        let mut work = work.clone();
        let out = lower.is_empty();
        if !out {
            // The intention is on disk before a consent is sent.
            work.person.lifting = work.person.lifting | lower;
            done.stored = self.noted(world, &work.person);
        }
        let late = self.late && world.late.is_none() && (out || self.beyond == Some(Limit::LateConsent));
        if world.kills > 0 {
            let killed = self.killed(&done);
            if late {
                next.push(World { late: Some(Late::Campaign { out }), ..killed.clone() });
            }
            if !out {
                next.push(killed);
            }
        }
        self.set_campaign(&mut done, out);
        done.writes += 1;
        if world.kills > 0 {
            next.push(self.killed(&done));
        }
        if !out {
            // The answer is lost, and the flow goes on from what it knows.
            let mut lost = done.clone();
            lost.stored = self.noted(world, &work.person);
            lost.work = None;
            next.push(lost);
        }
        next.push(self.carried_out(done, work, Answer::WrittenToCampaign { raise, lower }));
    }

    fn write_dynamics(&self, world: &World, work: &Work, raise: Flags, lower: Flags, next: &mut Vec<World>) {
        let mut done = world.clone();
        let mut work = work.clone();
        work.person.raising = work.person.raising | raise;
        work.person.lowering = work.person.lowering | lower;
        // The intention is on disk before anything is sent.
        done.stored = Person { owed: world.stored.owed, ..work.person.clone() };
        let version = work.person.contact.as_ref().and_then(|c| c.version.clone()).unwrap();
        if world.kills > 0 {
            let killed = self.killed(&done);
            if self.late && killed.late.is_none() {
                let late = Late::Dynamics { out: !raise.is_empty(), version: version.clone() };
                next.push(World { late: Some(late), ..killed.clone() });
            }
            next.push(killed);
        }
        if version != world.d_version.to_string() && self.flaw != Some(Flaw::NoVersion) {
            // Refused: somebody was faster. The contact is read.
            next.push(self.carried_out(done, work, Answer::Contact(self.contact(world))));
            return;
        }
        self.set_dynamics(&mut done, !raise.is_empty(), true);
        done.writes += 1;
        if world.kills > 0 {
            next.push(self.killed(&done));
        }
        // The answer was lost, and the request sent again: now it is refused, for our own write.
        let seen = self.contact(&done);
        next.push(self.carried_out(done.clone(), work.clone(), Answer::Contact(seen)));
        next.push(self.carried_out(done, work, Answer::WrittenToDynamics { raise, lower }));
    }
}
