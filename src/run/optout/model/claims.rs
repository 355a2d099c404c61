//! What must hold of each world, once the flow is left alone.

use super::game::Game;
use super::world::{Act, World};
use super::{FLAG, at};

impl Game {
    /// The flow left alone: whole rounds, until one writes nothing and changes nothing. Gives the writes and rounds it took.
    fn rest(&self, world: &mut World, exports: bool) -> (u32, u32) {
        let (mut writes, mut rounds) = (0, 0);
        if self.slow {
            writes += self.finish(world);
        } else {
            self.kill(world);
        }
        self.arrive(world);
        loop {
            let before = (world.d_version, world.c_exists, world.c_out, world.d_out);
            world.now += 1;
            self.map(world);
            self.read_contact(world);
            if self.filter {
                self.read_changes(world, true);
            } else {
                self.read_profile(world);
            }
            if exports {
                for (value, second) in world.exports.clone().into_iter().rev() {
                    self.rule.exported(&mut world.stored, FLAG, value, at(second), at(world.now));
                }
            }
            writes += self.work_alone(world);
            rounds += 1;
            if before == (world.d_version, world.c_exists, world.c_out, world.d_out) {
                return (writes, rounds);
            }
            assert!(rounds < 6, "the flow does not come to rest: {world:?}");
        }
    }

    /// What is under way comes to its end.
    fn finish(&self, world: &mut World) -> u32 {
        if let Some(sight) = world.held_contact.take() {
            self.store_contact(world, sight);
        }
        if let Some(sent) = world.asked.take() {
            world.held_profile = self.profile(world, sent);
        }
        if let Some(sight) = world.held_profile.take() {
            self.store_profile(world, &sight);
        }
        self.work_alone(world)
    }

    /// The flow's work on the person, until there is nothing left to do. Gives the writes.
    fn work_alone(&self, world: &mut World) -> u32 {
        let (mut writes, mut steps) = (0, 0);
        while world.work.is_some() || self.rule.is_due(&world.stored) {
            let mut next = Vec::new();
            world.writes = 0;
            world.kills = 0;
            self.work(world, &mut next);
            // The last is the one in which nothing goes wrong.
            *world = next.pop().unwrap();
            writes += u32::from(world.writes);
            steps += 1;
            assert!(steps < 40, "work on one person does not end: {world:?}");
        }
        writes
    }

    fn must_be_out(world: &World) -> bool {
        let no_in_dynamics = world.said_no_in_dynamics.is_some_and(|no| world.consent.is_none_or(|consent| consent <= no));
        world.said_no_in_campaign || no_in_dynamics
    }

    /// The flow left alone, and then the contact back in the filter with nothing to hold it back.
    fn rest_with_profile(&self, world: &mut World, exports: bool) -> u32 {
        let (mut writes, _) = self.rest(world, exports);
        if self.towards_campaign() && world.wanted && world.held_back && world.c_exists {
            assert!(world.c_out || !world.d_out, "an opt-out of Dynamics is held back with the record: {world:?}");
        }
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
        // A view of the profile before that comes late only makes the flow more careful.
        if self.topic
            && !self.slow
            && !from.c_exists
            && !from.kept
            && !from.d_out
            && !from.said_no_in_campaign
            && from.stored.profile.is_none()
        {
            assert!(!world.c_out, "a new profile does not begin with the contact's consent: {from:?}\n{world:?}");
        }
        assert!(!world.d_by_us, "Dynamics is written from {from:?}");
        assert!(writes <= 3, "{writes} writes until rest from {from:?}");
        let (writes, rounds) = self.rest(&mut world, false);
        assert_eq!((writes, rounds), (0, 1), "no rest from {from:?}");
        if world.d_out {
            world.now += 1 + 2 * self.rule.tolerance.num_seconds() + self.skew.abs();
            self.act(&mut world, Act::Dynamics(false));
            let (writes, _) = self.rest(&mut world, false);
            assert_eq!((world.c_out, writes), (false, 1), "a consent of Dynamics does not come through: {from:?}\n{world:?}");
        }
    }

    pub(super) fn check(&self, from: &World) {
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
}
