//! What can happen in the small world, and what must hold of it.

use std::collections::{HashSet, VecDeque};

use super::super::rule::{FieldValue, FieldWay, LeftSight, Look, Policy, RightSight, Rule, SideWrite, Step, Work};
use super::world::{DEFAULT, FIELDS, PART, Record, World, claim, give_back, join, left_id, number, right_id, tell, values};
use crate::store::Pair;

/// The most writes that follow an act of people or a death.
const WRITES: u8 = 4;
/// Steps after which a flow that is left alone must be at rest.
const STEPS: u32 = 100;

#[derive(Clone)]
pub(super) struct Game {
    pub(super) rule: Rule,
    pub(super) start: World,
    /// People may close the referral.
    pub(super) closes: bool,
    /// People may close the opportunity.
    pub(super) wins: bool,
    /// People may switch the gate.
    pub(super) gates: bool,
    /// The right system keeps another value than it was sent.
    pub(super) normalizes: bool,
    /// Records may be deleted by people.
    pub(super) deletes: bool,
    /// A write to the right record can be broken off in the middle.
    pub(super) breaks: bool,
    /// The flow is built wrongly.
    pub(super) flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Writes go out under no version.
    NoVersion,
    /// Nothing is searched for before it is created.
    NoSearch,
    /// Closed records are written to.
    WritesClosed,
    /// What was written is not noted, so that it looks like a change of the other side.
    ForgetsWrites,
    /// What is sent is not stored before.
    NoIntent,
    /// What a write has left unfinished is taken for a change.
    TakesPartsForChanges,
}

impl Game {
    pub(super) fn new(ways: [FieldWay; FIELDS], policy: Policy) -> Game {
        let rule = Rule { ways: ways.to_vec(), piecewise: Vec::new(), policy, state: None };
        let start = World {
            lefts: Vec::new(),
            rights: Vec::new(),
            pairs: Vec::new(),
            work: None,
            acts: 2,
            kills: 1,
            now: 1,
            said: Default::default(),
            writes: 0,
            conflicts: Vec::new(),
            stuck: None,
        };
        Game { rule, start, closes: false, wins: false, gates: false, normalizes: false, deletes: false, breaks: false, flaw: None }
    }

    pub(super) fn acts(mut self, acts: u8) -> Game {
        self.start.acts = acts;
        self
    }

    /// The first field is written to the right record piece by piece, so that a process can die in the middle.
    pub(super) fn piecewise(mut self) -> Game {
        self.rule.piecewise = vec![self.flaw != Some(Flaw::TakesPartsForChanges), false];
        self.breaks = true;
        self
    }

    /// A new referral.
    pub(super) fn with_left(mut self) -> Game {
        self.start.lefts.push(Record { values: [1, 1], news: true, gate: true, ..Record::default() });
        self
    }

    /// A new opportunity.
    pub(super) fn with_right(mut self) -> Game {
        self.start.rights.push(Record { values: [1, 1], news: true, gate: true, ..Record::default() });
        self
    }

    /// A referral and an opportunity that are in step.
    pub(super) fn in_step(self) -> Game {
        let mut game = self.with_left().with_right();
        game.start.lefts[0].other = Some(0);
        game.start.rights[0].other = Some(0);
        let mut world = game.start.clone();
        game.settle_down(&mut world);
        game.start = World { writes: 0, ..world };
        game
    }

    fn left_sight(&self, world: &World, id: &str) -> Look<LeftSight> {
        match world.lefts.get(number(id)).filter(|record| !record.gone) {
            None => Look::Missing,
            Some(record) => Look::Found(LeftSight {
                id: id.to_owned(),
                version: Some(record.version.to_string()),
                changed: i64::from(record.changed),
                untouched: record.version == 0,
                closed: record.closed && self.flaw != Some(Flaw::WritesClosed),
                admitted: true,
                crm_id: record.other.map(right_id),
                values: values(record, &self.rule.ways, FieldWay::ToRight),
            }),
        }
    }

    fn right_sight(&self, world: &World, id: &str) -> Look<RightSight> {
        match world.rights.get(number(id)).filter(|record| !record.gone) {
            None => Look::Missing,
            Some(record) => Look::Found(RightSight {
                id: id.to_owned(),
                version: Some(record.version.to_string()),
                changed: i64::from(record.changed),
                untouched: record.version == 0,
                gate: Some(record.gate),
                identifier: record.other.map(left_id),
                closed: record.closed && self.flaw != Some(Flaw::WritesClosed),
                values: values(record, &self.rule.ways, FieldWay::ToLeft),
            }),
        }
    }

    /// Every state that can come next.
    fn nexts(&self, world: &World) -> Vec<World> {
        let mut nexts = Vec::new();
        if world.acts > 0 {
            self.acts_of_people(world, &mut nexts);
        }
        for (left, count) in [(true, world.lefts.len()), (false, world.rights.len())] {
            for record in 0..count {
                let mut next = world.clone();
                if tell(&mut next, left, record) {
                    nexts.push(next);
                }
            }
        }
        let mut next = world.clone();
        if self.step(&mut next) {
            nexts.push(next);
        }
        if let Some(next) = self.broken_off(world) {
            nexts.push(next);
        }
        if world.kills > 0 && world.work.is_some() {
            let mut next = World { kills: world.kills - 1, writes: 0, ..world.clone() };
            give_back(&mut next);
            nexts.push(next);
        }
        nexts
    }

    /// What a system puts by itself into the fields of a record that go away from it.
    fn defaults(&self, away: FieldWay) -> [u8; FIELDS] {
        std::array::from_fn(|field| if self.rule.ways[field] == away { DEFAULT } else { 0 })
    }

    /// The process dies in the middle of a write to the right record.
    fn broken_off(&self, world: &World) -> Option<World> {
        let mut work = world.work.clone().filter(|_| self.breaks && world.kills > 0)?;
        let (Look::Found(left), Look::Found(right)) = (work.left.clone(), work.right.clone()) else { return None };
        let (version, left, right) = (right.version, number(&left.id), number(&right.id));
        let same = |field: usize| world.lefts[left].values[field] == world.rights[right].values[field];
        let Step::WriteRight(write) = self.rule.next(&work, &same) else { return None };
        if !write.fields.contains(&0) || world.rights[right].gone || version != Some(world.rights[right].version.to_string()) {
            return None;
        }
        let mut next = World { kills: world.kills - 1, writes: 0, ..world.clone() };
        let Look::Found(sight) = work.left.clone() else { return None };
        self.note_sent(&mut next, &mut work, |work| Rule::sends_right(work, &write, &expected(&sight.values, &write)));
        let record = &mut next.rights[right];
        record.values[0] = PART;
        (record.version, record.news) = (record.version + 1, true);
        give_back(&mut next);
        Some(next)
    }

    /// What people can do.
    fn acts_of_people(&self, world: &World, nexts: &mut Vec<World>) {
        let mut act = |left: bool, change: &dyn Fn(&mut Record) -> bool, said: Option<(usize, u8)>| {
            let records = if left { &world.lefts } else { &world.rights };
            for record in 0..records.len() {
                let mut next = World { acts: world.acts - 1, now: world.now + 1, writes: 0, ..world.clone() };
                let now = next.now;
                let target = if left { &mut next.lefts[record] } else { &mut next.rights[record] };
                if target.gone || target.closed || !change(target) {
                    continue;
                }
                (target.version, target.changed, target.news) = (target.version + 1, now, true);
                if let Some((field, value)) = said {
                    next.said[usize::from(!left)][field] = Some(value);
                }
                nexts.push(next);
            }
        };
        for left in [true, false] {
            for field in 0..FIELDS {
                // A field that only comes from the other side is not for people to change.
                let foreign = if left { FieldWay::ToLeft } else { FieldWay::ToRight };
                if self.rule.ways[field] == foreign {
                    continue;
                }
                for value in [1, 2, 3] {
                    // What people change in a list that is half written is overwritten; the documentation says so.
                    let set =
                        |record: &mut Record| record.values[field] != PART && std::mem::replace(&mut record.values[field], value) != value;
                    act(left, &set, Some((field, value)));
                }
            }
        }
        for left in [true, false] {
            if if left { self.closes } else { self.wins } {
                act(left, &|record| !std::mem::replace(&mut record.closed, true), None);
            }
        }
        if self.gates {
            act(
                false,
                &|record| {
                    record.gate = !record.gate;
                    true
                },
                None,
            );
        }
        if self.deletes {
            for left in [true, false] {
                act(left, &|record| !std::mem::replace(&mut record.gone, true), None);
            }
        }
    }

    /// One step of the flow; `false` if there is nothing to do.
    fn step(&self, world: &mut World) -> bool {
        let Some(mut work) = world.work.take() else { return claim(world) };
        let same = |field: usize| match (&work.left, &work.right) {
            (Look::Found(left), Look::Found(right)) => {
                world.lefts[number(&left.id)].values[field] == world.rights[number(&right.id)].values[field]
            }
            _ => false,
        };
        match self.rule.next(&work, &same) {
            Step::ReadLeft(id) => work.left = self.left_sight(world, &id),
            Step::ReadRight(id) => work.right = self.right_sight(world, &id),
            Step::FindRight => {
                let id = number(work.pair.left.as_deref().unwrap());
                let found = world.rights.iter().position(|record| record.other == Some(id) && !record.gone);
                if let Some(found) = found.filter(|_| self.flaw != Some(Flaw::NoSearch)) {
                    work.right = self.right_sight(world, &right_id(found));
                }
                work.searched = true;
            }
            Step::FindLeft => {
                let id = number(work.pair.right.as_deref().unwrap());
                let found = world.lefts.iter().position(|record| record.other == Some(id) && !record.gone);
                if let Some(found) = found.filter(|_| self.flaw != Some(Flaw::NoSearch)) {
                    work.left = self.left_sight(world, &left_id(found));
                }
                work.searched = true;
            }
            Step::Join { left, right } => {
                if !join(world, &mut work, &left, &right) {
                    return true;
                }
            }
            Step::CreateRight => {
                let left = number(work.pair.left.as_deref().unwrap());
                let Look::Found(sight) = work.left.clone() else { unreachable!() };
                let all = SideWrite { fields: self.rule.created_right(), identity: true };
                work.pair.create_until = Some(crate::time::midnight(crate::time::parse_date("2024-01-01").unwrap()));
                self.note_sent(world, &mut work, |work| self.rule.creates_right(work, &expected(&sight.values, &all)));
                let sent = sent(sight.values.as_slice(), &all.fields, self.defaults(FieldWay::ToLeft), self.normalizes);
                world.now += 1;
                let record = Record { values: sent, other: Some(left), gate: true, changed: world.now, news: true, ..Record::default() };
                world.rights.push(record);
                world.writes += 1;
                let Look::Found(kept) = self.right_sight(world, &right_id(world.rights.len() - 1)) else { unreachable!() };
                self.rule.right_created(&mut work, kept);
            }
            Step::CreateLeft => {
                let right = number(work.pair.right.as_deref().unwrap());
                let Look::Found(sight) = work.right.clone() else { unreachable!() };
                let all = SideWrite { fields: self.rule.going(FieldWay::ToLeft), identity: true };
                work.pair.create_until = Some(crate::time::midnight(crate::time::parse_date("2024-01-01").unwrap()));
                self.note_sent(world, &mut work, |work| self.rule.creates_left(work, &expected(&sight.values, &all)));
                let sent = sent(sight.values.as_slice(), &self.rule.going(FieldWay::ToLeft), self.defaults(FieldWay::ToRight), false);
                world.now += 1;
                let record = Record { values: sent, other: Some(right), gate: true, changed: world.now, news: true, ..Record::default() };
                world.lefts.push(record);
                world.writes += 1;
                let Look::Found(kept) = self.left_sight(world, &left_id(world.lefts.len() - 1)) else { unreachable!() };
                self.rule.left_created(&mut work, kept);
            }
            Step::WriteRight(write) => self.write_right(world, &mut work, &write),
            Step::WriteLeft(write) => self.write_left(world, &mut work, &write),
            Step::Done { conflicts } => {
                let pair = self.rule.settled(work, &conflicts);
                world.conflicts = conflicts;
                world.stuck = None;
                let known = world.pairs.iter_mut().find(|known| known.number == pair.number).unwrap();
                *known = Pair { look_left: known.look_left, look_right: known.look_right, ..pair };
                return true;
            }
            Step::Paused => return true,
            Step::Forget => {
                let number = work.pair.number;
                world.pairs.retain(|known| known.number != number || known.look_left || known.look_right);
                return true;
            }
            Step::Stuck(reason) => {
                world.stuck = Some(reason);
                return true;
            }
        }
        world.work = Some(work);
        true
    }

    /// Stores what is about to be sent.
    fn note_sent(&self, world: &mut World, work: &mut Work, sends: impl FnOnce(&mut Work)) {
        if self.flaw == Some(Flaw::NoIntent) {
            return;
        }
        sends(work);
        let known = world.pairs.iter_mut().find(|known| known.number == work.pair.number).unwrap();
        known.left_prints.clone_from(&work.pair.left_prints);
        known.right_prints.clone_from(&work.pair.right_prints);
        known.left_sent.clone_from(&work.pair.left_sent);
        known.right_sent.clone_from(&work.pair.right_sent);
        known.create_until = work.pair.create_until;
    }

    fn write_right(&self, world: &mut World, work: &mut Work, write: &SideWrite) {
        let (Look::Found(left), Look::Found(right)) = (&work.left, &work.right) else { unreachable!() };
        let (left_number, right_number) = (number(&left.id), number(&right.id));
        let left_values = left.values.clone();
        world.now += 1;
        let now = world.now;
        let before = work.pair.right_sent.clone();
        self.note_sent(world, work, |work| Rule::sends_right(work, write, &expected(&left_values, write)));
        let (Look::Found(left), Look::Found(right)) = (&work.left, &work.right) else { unreachable!() };
        let record = &mut world.rights[right_number];
        if right.version != Some(record.version.to_string()) && self.flaw != Some(Flaw::NoVersion) {
            work.right = Look::Unread;
            self.note_sent(world, work, |work| self.rule.refused_right(work, write, &before));
            return;
        }
        if record.gone {
            work.right = Look::Missing;
            return;
        }
        assert!(!record.closed, "a closed opportunity was written");
        record.values = sent(&left.values, &write.fields, record.values, self.normalizes);
        if write.identity {
            (record.other, record.gate) = (Some(left_number), true);
        }
        (record.version, record.changed, record.news) = (record.version + 1, now, true);
        world.writes += 1;
        let Look::Found(kept) = self.right_sight(world, &right_id(right_number)) else { unreachable!() };
        if self.flaw == Some(Flaw::ForgetsWrites) {
            work.right = Look::Found(kept);
        } else {
            Rule::right_written(work, write, kept);
            if self.breaks && write.fields.contains(&0) {
                self.note_sent(world, work, |_| {});
            }
        }
    }

    fn write_left(&self, world: &mut World, work: &mut Work, write: &SideWrite) {
        let (Look::Found(left), Look::Found(right)) = (&work.left, &work.right) else { unreachable!() };
        let (left_number, right_number) = (number(&left.id), number(&right.id));
        let right_values = right.values.clone();
        world.now += 1;
        let now = world.now;
        self.note_sent(world, work, |work| Rule::sends_left(work, write, &expected(&right_values, write)));
        let (Look::Found(left), Look::Found(right)) = (&work.left, &work.right) else { unreachable!() };
        let record = &mut world.lefts[left_number];
        if left.version != Some(record.version.to_string()) && self.flaw != Some(Flaw::NoVersion) {
            work.left = Look::Unread;
            return;
        }
        if record.gone {
            work.left = Look::Missing;
            return;
        }
        assert!(!record.closed, "a closed referral was written");
        record.values = sent(&right.values, &write.fields, record.values, false);
        if write.identity {
            record.other = Some(right_number);
        }
        (record.version, record.changed, record.news) = (record.version + 1, now, true);
        world.writes += 1;
        let Look::Found(kept) = self.left_sight(world, &left_id(left_number)) else { unreachable!() };
        Rule::left_written(work, write, kept);
    }

    /// Tells of everything and lets the flow work until nothing is left to do.
    fn settle_down(&self, world: &mut World) {
        for _ in 0..STEPS {
            let left = (0..world.lefts.len()).find(|record| world.lefts[*record].news);
            let right = (0..world.rights.len()).find(|record| world.rights[*record].news);
            if let Some(record) = left {
                tell(world, true, record);
            } else if let Some(record) = right {
                tell(world, false, record);
            } else if !self.step(world) {
                return;
            }
        }
        panic!("the flow does not come to rest: {world:?}");
    }

    /// What must hold of the state that a flow comes to which is left alone.
    fn check(&self, from: &World) {
        let mut world = from.clone();
        self.settle_down(&mut world);
        let alive = |records: &[Record]| records.iter().filter(|record| !record.gone).count();
        assert!(world.lefts.len() <= 1 && world.rights.len() <= 1, "there are two records of one deal: {from:?} ends as {world:?}");
        if alive(&world.lefts) == 1 && alive(&world.rights) == 1 {
            self.check_values(from, &world);
        }
        // Both sides are reported again, in either order.
        for _ in 0..2 {
            let writes = world.writes;
            world.lefts.iter_mut().chain(&mut world.rights).for_each(|record| {
                record.news = !record.gone;
                // As if the version had been forgotten too.
                record.version += 1;
            });
            self.settle_down(&mut world);
            assert_eq!(world.writes, writes, "a second check writes again: {from:?} ends as {world:?}");
        }
    }

    fn check_values(&self, from: &World, world: &World) {
        let (left, right) = (&world.lefts[0], &world.rights[0]);
        let linked = right.other == Some(0);
        if !right.gate || !linked {
            // Only an opportunity that was taken out before anything was stored of it may stay alone.
            let closed = left.closed || right.closed;
            assert!(self.gates || closed || world.stuck.is_some(), "the records are not a pair: {from:?} ends as {world:?}");
            return;
        }
        assert!(left.other == Some(0) || left.closed, "the referral does not name the opportunity: {from:?} ends as {world:?}");
        for field in 0..FIELDS {
            let [of_left, of_right] = [world.said[0][field], world.said[1][field]];
            let equal = left.values[field] == right.values[field];
            if world.conflicts.contains(&field) {
                let kept = |said: Option<u8>, value: u8| said.is_none_or(|said| said == value);
                let both = kept(of_left, left.values[field]) && kept(of_right, right.values[field]);
                assert!(both, "a side in conflict was written: {from:?} ends as {world:?}");
            }
            // Where two records meet, an empty field takes nothing away.
            let unsaid = match self.rule.ways[field] {
                FieldWay::ToRight => matches!(left.values[field], 0 | DEFAULT),
                FieldWay::ToLeft => matches!(right.values[field], 0 | DEFAULT),
                FieldWay::Both => false,
            };
            let late = (left.closed && of_right.is_some()) || (right.closed && of_left.is_some());
            let excused = unsaid || self.normalizes || world.conflicts.contains(&field) || late;
            assert!(equal || excused, "field {field} differs: {from:?} ends as {world:?}");
            if self.normalizes || left.closed || right.closed {
                continue;
            }
            let expected = match (of_left, of_right) {
                (Some(value), None) | (None, Some(value)) => value,
                _ => continue,
            };
            assert!(
                left.values[field] == expected && right.values[field] == expected,
                "a change of field {field} is lost: {from:?} ends as {world:?}"
            );
        }
    }

    pub(super) fn explore(&self) -> usize {
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([self.start.clone()]);
        while let Some(world) = queue.pop_front() {
            if !seen.insert(world.clone()) {
                continue;
            }
            // What is written after the last act: the records' own values, and what is written back.
            assert!(world.writes <= WRITES, "{} writes, and still no rest: {world:?}", world.writes);
            let news = world.lefts.iter().chain(&world.rights).any(|record| record.news);
            if !news && !self.step(&mut world.clone()) {
                self.check(&world);
            }
            queue.extend(self.nexts(&world));
        }
        seen.len()
    }
}

/// What the other record shows if a write of these values takes effect.
fn expected(source: &[Option<FieldValue>], write: &SideWrite) -> Vec<Option<FieldValue>> {
    (0..FIELDS).map(|field| source[field].filter(|_| write.fields.contains(&field))).collect()
}

/// The values of a record after a write.
fn sent(source: &[Option<FieldValue>], fields: &[usize], before: [u8; FIELDS], normalizes: bool) -> [u8; FIELDS] {
    let mut after = before;
    for &field in fields {
        let value = u8::try_from(source[field].unwrap().print - 1).unwrap();
        after[field] = if normalizes && value == 2 { 9 } else { value };
    }
    after
}
