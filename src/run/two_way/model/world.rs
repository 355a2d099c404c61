//! The small world: records of both systems, what is stored of them, and what happens without a rule.

use super::super::rule::{FieldValue, FieldWay, Look, Reason, Rule, Work};
use crate::store::Pair;

/// Two fields.
pub(super) const FIELDS: usize = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) values: [u8; FIELDS],
    /// The number of the record of the other system that it names.
    pub(super) other: Option<usize>,
    pub(super) closed: bool,
    pub(super) gate: bool,
    pub(super) version: u8,
    pub(super) changed: u8,
    /// A notice of it is still to come.
    pub(super) news: bool,
    pub(super) gone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) lefts: Vec<Record>,
    pub(super) rights: Vec<Record>,
    pub(super) pairs: Vec<Pair>,
    pub(super) work: Option<Work>,
    /// Acts of people, and deaths of the process, that are still to come.
    pub(super) acts: u8,
    pub(super) kills: u8,
    pub(super) now: u8,
    /// What people said last of each field, by side.
    pub(super) said: [[Option<u8>; FIELDS]; 2],
    /// Writes of the flow since the last act of people or death.
    pub(super) writes: u8,
    /// Fields that are in conflict by what the last piece of work found.
    pub(super) conflicts: Vec<usize>,
    pub(super) stuck: Option<Reason>,
}

/// What the first field of the right record holds when a write that goes piece by piece was broken off.
pub(super) const PART: u8 = 8;

/// What a system puts into a field of a record that is created.
pub(super) const DEFAULT: u8 = 7;

pub(super) fn left_id(number: usize) -> String {
    format!("L{number}")
}

pub(super) fn right_id(number: usize) -> String {
    format!("R{number}")
}

pub(super) fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

pub(super) fn values(record: &Record, ways: &[FieldWay], reader: FieldWay) -> Vec<Option<FieldValue>> {
    let one = |field: usize| FieldValue { print: u64::from(record.values[field]) + 1, empty: record.values[field] == 0 };
    (0..FIELDS).map(|field| (ways[field] == reader || ways[field] == FieldWay::Both).then(|| one(field))).collect()
}

/// A notice of a record arrives; `false` if there is none.
pub(super) fn tell(world: &mut World, left: bool, record: usize) -> bool {
    let target = if left { &mut world.lefts[record] } else { &mut world.rights[record] };
    if !std::mem::replace(&mut target.news, false) {
        return false;
    }
    let version = Some(target.version.to_string());
    let id = if left { left_id(record) } else { right_id(record) };
    let gone = target.gone;
    let ours = |pair: &&mut Pair| if left { pair.left.as_ref() == Some(&id) } else { pair.right.as_ref() == Some(&id) };
    match world.pairs.iter_mut().find(ours) {
        Some(pair) => {
            let known = if left { &pair.left_version } else { &pair.right_version };
            if gone || *known != version {
                *(if left { &mut pair.look_left } else { &mut pair.look_right }) = true;
            }
        }
        None => {
            let number = world.pairs.iter().map(|pair| pair.number).max().unwrap_or(0) + 1;
            let (left, right) = if left { (Some(id), None) } else { (None, Some(id)) };
            world.pairs.push(Pair { number, look_left: left.is_some(), look_right: right.is_some(), left, right, ..Pair::default() });
        }
    }
    true
}

/// Begins with the first pair that is to be looked at; `false` if there is none.
pub(super) fn claim(world: &mut World) -> bool {
    let Some(pair) = world.pairs.iter_mut().find(|pair| pair.look_left || pair.look_right) else { return false };
    world.work = Some(Work { pair: pair.clone(), left: Look::Unread, right: Look::Unread, searched: false });
    (pair.look_left, pair.look_right) = (false, false);
    true
}

/// The process dies: what it worked at is looked at again.
pub(super) fn give_back(world: &mut World) {
    let Some(work) = world.work.take() else { return };
    if let Some(pair) = world.pairs.iter_mut().find(|pair| pair.number == work.pair.number) {
        (pair.look_left, pair.look_right) = (true, true);
    }
}

/// Two records become a pair; the rows of both become one. `true`: the work goes on.
pub(super) fn join(world: &mut World, work: &mut Work, left: &str, right: &str) -> bool {
    Rule::joined(work, left, right);
    let number = work.pair.number;
    let other = |pair: &Pair| pair.number != number && (pair.left.as_deref() == Some(left) || pair.right.as_deref() == Some(right));
    let keeps =
        |pair: &Pair| pair.left.is_some() && pair.right.is_some() || !pair.left_prints.is_empty() && work.pair.left_prints.is_empty();
    if world.pairs.iter().any(|pair| other(pair) && keeps(pair)) {
        // The other row is a pair already, or knows what was sent: it is looked at.
        world.pairs.retain(|pair| pair.number != number);
        let known = world.pairs.iter_mut().find(|pair| other(pair)).unwrap();
        (known.left, known.right) = (Some(left.to_owned()), Some(right.to_owned()));
        (known.look_left, known.look_right) = (true, true);
        return false;
    }
    let swallowed = world.pairs.iter().any(&other);
    world.pairs.retain(|pair| !other(pair));
    let known = world.pairs.iter_mut().find(|pair| pair.number == number).unwrap();
    if swallowed {
        // What was reported for the other row is still to be checked.
        (known.look_left, known.look_right) = (true, true);
    }
    (known.left, known.right) = (Some(left.to_owned()), Some(right.to_owned()));
    true
}
