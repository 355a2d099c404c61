//! The rule of two-way mappings: pure, no I/O, no clock. What is stored of a pair and what both sides show comes in, the next step comes
//! out.
//!
//! A pair is a record of the left side (a referral) and its record of the right side (an opportunity). For each field and side a
//! fingerprint is stored of the value that the side had when both sides last agreed. A side has *changed* a field if its fingerprint is
//! another one now.
//!
//! * Only one side has changed the field: its value goes to the other side.
//! * Both have changed it and hold the same value: only the fingerprints move. So a write whose answer was lost ends in agreement without
//!   a second write.
//! * Both have changed it and the values differ: a conflict, which the policy decides. At equal times the left side is the newer one.
//! * Nothing is stored of the field (the records have just met, or the mapping has a new line): a value beats an empty field; two
//!   different values are a conflict.
//!
//! What follows from the design, and what `model.rs` checks exhaustively:
//!
//! * Before a write goes out, what it sends is stored. If its answer is not seen, what the record shows then is known to be ours, and does
//!   not count as a change of that side.
//! * A write goes out under the version that was compared. If the record has another version, it is read and decided again.
//! * What is written back (the id of the opportunity to the referral, the id of the referral to the opportunity) is not remembered as work:
//!   it follows from what both records show. So a crash between two writes is completed by the next check.
//! * Before a record is created, the other system is asked whether it has one already.
//! * What a system puts into a record that is created there by itself (a default) does not go back through a field that goes one way,
//!   as long as the record has not been changed.
//! * Nothing is sent to a closed referral. What the opportunity would have sent is noted and dropped.

use crate::store::{Pair, PairSide};

/// Which way a field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FieldWay {
    ToRight,
    ToLeft,
    Both,
}

/// Who wins if both sides have changed a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Policy {
    /// The record that changed later; at equal times the left one.
    Newest,
    Left,
    Right,
    /// Neither: a person decides.
    Report,
}

/// What a side shows of a field: the result of the program that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FieldValue {
    pub(super) print: u64,
    pub(super) empty: bool,
}

/// A record of the left side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeftSight {
    pub(super) id: String,
    pub(super) version: Option<String>,
    /// The record's own time of change, in whole seconds.
    pub(super) changed: i64,
    /// It is as it was created.
    pub(super) untouched: bool,
    /// It can never change again.
    pub(super) closed: bool,
    /// The mapping's filter and scope let it in.
    pub(super) admitted: bool,
    /// The id of the right side's record that it names.
    pub(super) crm_id: Option<String>,
    /// For each field; none for a field that is only written here.
    pub(super) values: Vec<Option<FieldValue>>,
}

/// A record of the right side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RightSight {
    pub(super) id: String,
    pub(super) version: Option<String>,
    pub(super) changed: i64,
    /// It is as it was created.
    pub(super) untouched: bool,
    /// Whether the column that lets it take part is set. `None`: there is no such column.
    pub(super) gate: Option<bool>,
    /// The id of the left side's record that it names.
    pub(super) identifier: Option<String>,
    /// It is closed: nothing is sent to it.
    pub(super) closed: bool,
    pub(super) values: Vec<Option<FieldValue>>,
}

/// What is known of a record in this piece of work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Look<S> {
    #[default]
    Unread,
    Missing,
    Found(S),
}

impl<S> Look<S> {
    fn found(&self) -> Option<&S> {
        match self {
            Look::Found(sight) => Some(sight),
            Look::Unread | Look::Missing => None,
        }
    }
}

/// A piece of work on a pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) pair: Pair,
    pub(super) left: Look<LeftSight>,
    pub(super) right: Look<RightSight>,
    /// The other system was asked for a record that names this one.
    pub(super) searched: bool,
}

/// What is written to one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SideWrite {
    /// The fields, by their places.
    pub(super) fields: Vec<usize>,
    /// The id of the other side's record as well.
    pub(super) identity: bool,
}

impl SideWrite {
    fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.identity
    }
}

/// Why a pair cannot be kept in step until a person acts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    /// The left record names a right record that does not exist.
    UnknownCrmId(String),
    /// The left record names a right record that belongs to another left record.
    CrmIdTaken(String),
    /// The right record names a left record that does not exist.
    UnknownIdentifier(String),
    /// The right record names a left record that belongs to another right record.
    IdentifierTaken(String),
    /// A record of the pair was deleted.
    Deleted(PairSide),
}

/// What to do next about a pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    ReadLeft(String),
    ReadRight(String),
    /// Ask the left system for a record that names this right one.
    FindLeft,
    /// Ask the right system for a record that names this left one.
    FindRight,
    /// Store that the two records that were read are a pair.
    Join {
        left: String,
        right: String,
    },
    CreateLeft,
    CreateRight,
    WriteLeft(SideWrite),
    WriteRight(SideWrite),
    /// Nothing is left to do, but for fields that need a decision.
    Done {
        conflicts: Vec<usize>,
    },
    /// The right record was taken out by a person; what changes meanwhile waits.
    Paused,
    /// The record takes no part.
    Forget,
    /// A person must act.
    Stuck(Reason),
}

/// What happens to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Nothing,
    /// Only what is stored moves.
    Note,
    ToRight,
    ToLeft,
    Conflict,
}

/// A side of a field against what is stored of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    No,
    Yes,
    /// It is what an earlier attempt sent, of which it is not known whether it was stored.
    Ours,
    /// Nothing is stored.
    New {
        empty: bool,
    },
}

fn change(stored: Option<u64>, sent: Option<u64>, now: Option<FieldValue>) -> Change {
    match (stored, now) {
        (_, None) => Change::No,
        (_, Some(now)) if sent == Some(now.print) => Change::Ours,
        (Some(stored), Some(now)) if stored == now.print => Change::No,
        (Some(_), Some(_)) => Change::Yes,
        (None, Some(now)) => Change::New { empty: now.empty },
    }
}

fn at(prints: &[Option<u64>], field: usize) -> Option<u64> {
    prints.get(field).copied().flatten()
}

fn value(values: &[Option<FieldValue>], field: usize) -> Option<FieldValue> {
    values.get(field).copied().flatten()
}

/// The fields and the policy of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) ways: Vec<FieldWay>,
    /// Which fields are written to the right side piece by piece, by several calls.
    pub(super) piecewise: Vec<bool>,
    pub(super) policy: Policy,
    /// The field that closes records.
    pub(super) state: Option<usize>,
}

impl Rule {
    /// What to do next. `same` says whether both records hold the same value in a field; it is asked only if both were read.
    pub(super) fn next(&self, work: &Work, same: &dyn Fn(usize) -> bool) -> Step {
        match (&work.pair.left, &work.pair.right) {
            (Some(left), Some(right)) => self.linked(work, left, right, same),
            (Some(left), None) => left_alone(work, left),
            (None, Some(right)) => right_alone(work, right),
            (None, None) => Step::Forget,
        }
    }

    fn linked(&self, work: &Work, left_id: &str, right_id: &str, same: &dyn Fn(usize) -> bool) -> Step {
        let Work { pair, left, right, .. } = work;
        match (left, right) {
            (Look::Missing, _) => return Step::Stuck(Reason::Deleted(PairSide::Left)),
            (_, Look::Missing) => return Step::Stuck(Reason::Deleted(PairSide::Right)),
            (Look::Unread, _) if pair.look_left => return Step::ReadLeft(left_id.to_owned()),
            (_, Look::Unread) if pair.look_right => return Step::ReadRight(right_id.to_owned()),
            (Look::Unread, Look::Unread) => return Step::Done { conflicts: Vec::new() },
            // One side was read: the other one is needed only if something is different there.
            (Look::Found(seen), Look::Unread) if self.is_quiet(pair, &pair.left_prints, &seen.values) && names(&seen.crm_id, right_id) => {
                return Step::Done { conflicts: Vec::new() };
            }
            (Look::Unread, Look::Found(seen))
                if self.is_quiet(pair, &pair.right_prints, &seen.values) && names(&seen.identifier, left_id) =>
            {
                return Step::Done { conflicts: Vec::new() };
            }
            (Look::Unread, Look::Found(_)) => return Step::ReadLeft(left_id.to_owned()),
            (Look::Found(_), Look::Unread) => return Step::ReadRight(right_id.to_owned()),
            (Look::Found(_), Look::Found(_)) => {}
        }
        let (Some(left), Some(right)) = (left.found(), right.found()) else { return Step::Done { conflicts: Vec::new() } };
        if let Some(named) = left.crm_id.as_ref().filter(|named| *named != right_id) {
            return Step::Stuck(Reason::CrmIdTaken(named.clone()));
        }
        if let Some(named) = right.identifier.as_ref().filter(|named| *named != left_id) {
            return Step::Stuck(Reason::IdentifierTaken(named.clone()));
        }
        // A right record that does not name the left one has just been joined: the left one lets it in.
        if right.gate == Some(false) && right.identifier.is_some() {
            return Step::Paused;
        }
        let mut to_right = SideWrite { fields: Vec::new(), identity: right.identifier.is_none() && !right.closed };
        let mut to_left = SideWrite { fields: Vec::new(), identity: left.crm_id.is_none() && !left.closed };
        let mut conflicts = Vec::new();
        for field in 0..self.ways.len() {
            match self.verdict(field, pair, left, right, same) {
                Verdict::Nothing | Verdict::Note => {}
                Verdict::ToRight => to_right.fields.push(field),
                Verdict::ToLeft => to_left.fields.push(field),
                Verdict::Conflict => conflicts.push(field),
            }
        }
        if !to_right.is_empty() {
            Step::WriteRight(to_right)
        } else if !to_left.is_empty() {
            Step::WriteLeft(to_left)
        } else {
            Step::Done { conflicts }
        }
    }

    /// Whether a side shows what is stored of it, and nothing was sent whose answer was not seen.
    fn is_quiet(&self, pair: &Pair, stored: &[Option<u64>], values: &[Option<FieldValue>]) -> bool {
        let sent = pair.left_sent.iter().chain(&pair.right_sent).any(Option::is_some);
        !sent && (0..self.ways.len()).all(|field| change(at(stored, field), None, value(values, field)) == Change::No)
    }

    fn verdict(&self, field: usize, pair: &Pair, left: &LeftSight, right: &RightSight, same: &dyn Fn(usize) -> bool) -> Verdict {
        let (sent_left, sent_right) = (at(&pair.left_sent, field), at(&pair.right_sent, field));
        let from_left = change(at(&pair.left_prints, field), sent_left, value(&left.values, field));
        // What an earlier attempt has begun to write to the right side is completed, and does not count as a change.
        let unfinished =
            self.is_piecewise(field) && sent_right.is_some_and(|sent| value(&right.values, field).is_some_and(|now| now.print != sent));
        let from_right = match value(&right.values, field) {
            _ if unfinished => Change::No,
            now => change(at(&pair.right_prints, field), sent_right, now),
        };
        let way = self.ways.get(field).copied().unwrap_or(FieldWay::Both);
        let relevant = match way {
            FieldWay::ToRight => from_left != Change::No || sent_right.is_some(),
            FieldWay::ToLeft => from_right != Change::No || sent_left.is_some(),
            FieldWay::Both => unfinished || from_left != Change::No || from_right != Change::No,
        };
        if !relevant {
            return Verdict::Nothing;
        }
        if same(field) {
            return Verdict::Note;
        }
        // What a system put into a record that we have just created there is not a user's change.
        let created = pair.create_until.is_some() && !self.is_piecewise(field);
        let verdict = match (way, from_left, from_right) {
            (FieldWay::ToRight, Change::New { .. }, _) if created && left.untouched => Verdict::Note,
            (FieldWay::ToLeft, _, Change::New { .. }) if created && right.untouched => Verdict::Note,
            // Where two records meet, an empty field takes nothing away.
            (FieldWay::ToRight, Change::New { empty: true }, _) | (FieldWay::ToLeft, _, Change::New { empty: true }) => Verdict::Note,
            (FieldWay::ToRight, ..) => Verdict::ToRight,
            (FieldWay::ToLeft, ..) => Verdict::ToLeft,
            // A side that has what it was sent by an earlier attempt: the other one is the one that people may have changed since.
            (FieldWay::Both, Change::Ours, Change::No | Change::Yes | Change::New { .. }) => Verdict::ToLeft,
            (FieldWay::Both, _, Change::No | Change::Ours) => Verdict::ToRight,
            (FieldWay::Both, Change::No, _) => Verdict::ToLeft,
            (FieldWay::Both, Change::New { empty: false }, Change::New { empty: true }) => Verdict::ToRight,
            (FieldWay::Both, Change::New { empty: true }, Change::New { empty: false }) => Verdict::ToLeft,
            (FieldWay::Both, ..) => match self.policy {
                Policy::Left => Verdict::ToRight,
                Policy::Right => Verdict::ToLeft,
                Policy::Newest if left.changed >= right.changed => Verdict::ToRight,
                Policy::Newest => Verdict::ToLeft,
                Policy::Report => Verdict::Conflict,
            },
        };
        let joins = matches!(from_right, Change::New { .. });
        self.between_closed(field, way, verdict, (left.closed, right.closed), joins)
    }

    /// What a verdict becomes if records are closed, since closed records do not change.
    fn between_closed(&self, field: usize, way: FieldWay, verdict: Verdict, closed: (bool, bool), joins: bool) -> Verdict {
        let mutual = self.state == Some(field) && way == FieldWay::Both;
        match (verdict, closed) {
            // Closed with two results: a person must reopen the right record.
            (Verdict::ToLeft | Verdict::ToRight, (true, true)) if mutual => Verdict::Conflict,
            // The record that is open follows the one that is closed; a right record that people reopened stays open.
            (Verdict::ToLeft, (true, false)) if mutual && joins => Verdict::ToRight,
            (Verdict::ToRight, (false, true)) if mutual => Verdict::ToLeft,
            (Verdict::ToLeft, (true, _)) | (Verdict::ToRight, (_, true)) => Verdict::Note,
            (verdict, _) => verdict,
        }
    }

    /// The two records are a pair from now on.
    pub(super) fn joined(work: &mut Work, left: &str, right: &str) {
        work.pair.left = Some(left.to_owned());
        work.pair.right = Some(right.to_owned());
    }

    /// What is to be stored before a write goes out: what the right record shows if the write takes effect. `expected`: its fields then.
    pub(super) fn sends_right(work: &mut Work, write: &SideWrite, expected: &[Option<FieldValue>]) {
        let Some(left) = work.left.found() else { return };
        for &field in &write.fields {
            let print = value(expected, field).or(value(&left.values, field)).map(|value| value.print);
            put(&mut work.pair.right_sent, field, print);
            put(&mut work.pair.left_sent, field, None);
        }
    }

    /// Nothing of a write took effect, since the right record had another version. `before`: what was sent before. A field that goes piece by
    /// piece must not look begun; of others it makes no difference.
    pub(super) fn refused_right(&self, work: &mut Work, write: &SideWrite, before: &[Option<u64>]) {
        for &field in write.fields.iter().filter(|field| self.is_piecewise(**field)) {
            put(&mut work.pair.right_sent, field, at(before, field));
        }
    }

    /// The same of the left record.
    pub(super) fn sends_left(work: &mut Work, write: &SideWrite, expected: &[Option<FieldValue>]) {
        let Some(right) = work.right.found() else { return };
        for &field in &write.fields {
            let print = value(expected, field).or(value(&right.values, field)).map(|value| value.print);
            put(&mut work.pair.left_sent, field, print);
            put(&mut work.pair.right_sent, field, None);
        }
    }

    /// What is to be stored before the right record is created: what both sides have if it takes effect. If it does not, no record is found,
    /// and the next attempt stores it again.
    pub(super) fn creates_right(&self, work: &mut Work, expected: &[Option<FieldValue>]) {
        if let Some(left) = work.left.found() {
            note(&mut work.pair, &self.created_right(), &left.values, expected);
        }
    }

    /// The same of the left record.
    pub(super) fn creates_left(&self, work: &mut Work, expected: &[Option<FieldValue>]) {
        if let Some(right) = work.right.found() {
            note(&mut work.pair, &self.going(FieldWay::ToLeft), expected, &right.values);
        }
    }

    /// The right record was created with all fields that go there; `kept` is the record as the system has it now.
    pub(super) fn right_created(&self, work: &mut Work, kept: RightSight) {
        let write = SideWrite { fields: self.created_right(), identity: true };
        Rule::right_written(work, &write, kept);
    }

    /// The left record was created with all fields that go there; `kept` is the record as the system has it now.
    pub(super) fn left_created(&self, work: &mut Work, kept: LeftSight) {
        let write = SideWrite { fields: self.going(FieldWay::ToLeft), identity: true };
        Rule::left_written(work, &write, kept);
    }

    /// The fields that go one way, those that go both ways among them.
    pub(super) fn going(&self, way: FieldWay) -> Vec<usize> {
        (0..self.ways.len()).filter(|field| self.ways[*field] == way || self.ways[*field] == FieldWay::Both).collect()
    }

    /// The fields that a right record is created with. What is written piece by piece follows.
    pub(super) fn created_right(&self) -> Vec<usize> {
        let mut fields = self.going(FieldWay::ToRight);
        fields.retain(|field| !self.is_piecewise(*field));
        fields
    }

    fn is_piecewise(&self, field: usize) -> bool {
        self.piecewise.get(field).copied().unwrap_or(false)
    }

    /// Fields went to the right record; `kept` is the record as the system has it now.
    pub(super) fn right_written(work: &mut Work, write: &SideWrite, kept: RightSight) {
        if let Some(left) = work.left.found() {
            note(&mut work.pair, &write.fields, &left.values, &kept.values);
        }
        work.right = Look::Found(kept);
    }

    /// Fields went to the left record; `kept` is the record as the system has it now.
    pub(super) fn left_written(work: &mut Work, write: &SideWrite, kept: LeftSight) {
        if let Some(right) = work.right.found() {
            note(&mut work.pair, &write.fields, &kept.values, &right.values);
        }
        work.left = Look::Found(kept);
    }

    /// What is to be stored when the work is done: the versions, and the fingerprints of all fields that are in step.
    pub(super) fn settled(&self, work: Work, conflicts: &[usize]) -> Pair {
        let Work { mut pair, left, right, .. } = work;
        let (left, right) = (left.found(), right.found());
        if let (Some(left), Some(right)) = (left, right) {
            let fields: Vec<usize> = (0..self.ways.len()).filter(|field| !conflicts.contains(field)).collect();
            note(&mut pair, &fields, &left.values, &right.values);
        }
        if let Some(left) = left {
            pair.left_version.clone_from(&left.version);
        }
        if let Some(right) = right {
            pair.right_version.clone_from(&right.version);
        }
        pair.create_until = None;
        pair
    }
}

fn names(named: &Option<String>, id: &str) -> bool {
    named.as_deref() == Some(id)
}

fn put(prints: &mut Vec<Option<u64>>, field: usize, print: Option<u64>) {
    if prints.len() <= field {
        prints.resize(field + 1, None);
    }
    prints[field] = print;
}

/// Both sides agree on these fields.
fn note(pair: &mut Pair, fields: &[usize], left: &[Option<FieldValue>], right: &[Option<FieldValue>]) {
    for &field in fields {
        put(&mut pair.left_prints, field, value(left, field).map(|value| value.print));
        put(&mut pair.right_prints, field, value(right, field).map(|value| value.print));
        put(&mut pair.left_sent, field, None);
        put(&mut pair.right_sent, field, None);
    }
}

/// Whether a create was sent whose answer was not seen.
fn is_begun(pair: &Pair) -> bool {
    pair.left_prints.iter().chain(&pair.right_prints).any(Option::is_some)
}

/// A left record without a right one.
fn left_alone(work: &Work, id: &str) -> Step {
    let left = match &work.left {
        Look::Unread => return Step::ReadLeft(id.to_owned()),
        Look::Missing => return Step::Forget,
        Look::Found(left) => left,
    };
    if !left.admitted && !is_begun(&work.pair) {
        return Step::Forget;
    }
    let join = |right: &RightSight| Step::Join { left: id.to_owned(), right: right.id.clone() };
    match (&left.crm_id, &work.right) {
        (Some(named), Look::Unread) => Step::ReadRight(named.clone()),
        (Some(named), Look::Missing) => Step::Stuck(Reason::UnknownCrmId(named.clone())),
        (Some(named), Look::Found(right)) => match &right.identifier {
            Some(other) if other != id => Step::Stuck(Reason::CrmIdTaken(named.clone())),
            Some(_) | None => join(right),
        },
        (None, Look::Found(right)) => join(right),
        (None, Look::Unread | Look::Missing) if !work.searched => Step::FindRight,
        (None, Look::Unread | Look::Missing) if left.closed || !left.admitted => Step::Forget,
        (None, Look::Unread | Look::Missing) => Step::CreateRight,
    }
}

/// A right record without a left one.
fn right_alone(work: &Work, id: &str) -> Step {
    let right = match &work.right {
        Look::Unread => return Step::ReadRight(id.to_owned()),
        Look::Missing => return Step::Forget,
        Look::Found(right) => right,
    };
    let join = |left: &LeftSight| Step::Join { left: left.id.clone(), right: id.to_owned() };
    match (&right.identifier, &work.left) {
        (Some(named), Look::Unread) => Step::ReadLeft(named.clone()),
        (Some(named), Look::Missing) => Step::Stuck(Reason::UnknownIdentifier(named.clone())),
        (Some(named), Look::Found(left)) => match &left.crm_id {
            Some(other) if other != id => Step::Stuck(Reason::IdentifierTaken(named.clone())),
            Some(_) | None => join(left),
        },
        (None, _) if right.gate != Some(true) && !is_begun(&work.pair) => Step::Forget,
        (None, Look::Found(left)) => join(left),
        (None, Look::Unread | Look::Missing) if !work.searched => Step::FindLeft,
        (None, Look::Unread | Look::Missing) if right.gate != Some(true) => Step::Forget,
        (None, Look::Unread | Look::Missing) => Step::CreateLeft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_records_of_which_one_is_closed_the_other_follows_and_two_results_are_a_conflict() {
        use Verdict::{Conflict, Note, ToLeft, ToRight};
        let rule = Rule { ways: vec![FieldWay::Both; 2], piecewise: Vec::new(), policy: Policy::Newest, state: Some(0) };
        // The field that closes, closed on the left and on the right, whether the two just met, what the rule says, what happens to it.
        for (state, closed, joins, verdict, expected) in [
            (true, (true, false), false, ToRight, ToRight),
            (true, (true, false), true, ToLeft, ToRight),
            (true, (true, false), false, ToLeft, Note),
            (true, (false, true), false, ToRight, ToLeft),
            (true, (false, true), false, ToLeft, ToLeft),
            (true, (true, true), false, ToRight, Conflict),
            (true, (true, true), false, ToLeft, Conflict),
            (false, (true, true), false, ToRight, Note),
            (false, (true, false), false, ToRight, ToRight),
            (false, (true, false), true, ToLeft, Note),
            (false, (false, true), false, ToRight, Note),
            (false, (false, true), false, ToLeft, ToLeft),
            (false, (false, false), false, Conflict, Conflict),
        ] {
            let found = rule.between_closed(usize::from(!state), FieldWay::Both, verdict, closed, joins);
            assert!(found == expected, "{state} {closed:?} {joins}");
        }
    }
}
