//! What the tests of a mapping reach: entries that had a value, arms that were taken, both ways of the filter.

use crate::eval::{Arm, ArmUse, Evaluated};
use crate::plan::{At, Condition, FieldProgram, IngressFlow, constant, test_text};

/// What the tests reach in all mappings of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// By name.
    pub mappings: Vec<MappingCoverage>,
}

/// What the tests of one mapping reach.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingCoverage {
    /// The mapping; with the table that gets the records if the mapping goes both ways.
    pub mapping: String,
    /// The entries (key included) with whether a record gave one a value.
    lines: Vec<(At, String, bool)>,
    /// The arms with whether a record took one.
    arms: Vec<ArmUse>,
    filter: Option<(At, [bool; 2])>,
}

/// Something that no test reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreached {
    /// Where.
    pub at: At,
    /// What, as a sentence without a full stop.
    pub what: String,
}

impl MappingCoverage {
    pub(super) fn new(flow: &IngressFlow) -> MappingCoverage {
        MappingCoverage::of(flow.name.clone(), std::iter::once(&flow.key).chain(&flow.fields), flow.filter.as_ref())
    }

    pub(super) fn of<'f>(mapping: String, programs: impl Iterator<Item = &'f FieldProgram>, filter: Option<&Condition>) -> MappingCoverage {
        let lines = programs.map(|f| (f.at, f.path.join("."), false)).collect();
        MappingCoverage { mapping, lines, arms: Vec::new(), filter: filter.map(|f| (f.at, [false; 2])) }
    }

    /// Notes what the filter decided about a record.
    pub(super) fn decided(&mut self, kept: bool) {
        if let Some((_, seen)) = &mut self.filter {
            seen[usize::from(kept)] = true;
        }
    }

    /// Notes which lines had a value.
    pub(super) fn filled(&mut self, lines: impl Iterator<Item = bool>) {
        self.filled_from(0, lines);
    }

    /// Notes which lines had a value, from one line on.
    pub(super) fn filled_from(&mut self, first: usize, lines: impl Iterator<Item = bool>) {
        for (line, filled) in self.lines.iter_mut().skip(first).zip(lines) {
            line.2 |= filled;
        }
    }

    pub(super) fn count(&mut self, result: &Evaluated<'_, '_>) {
        self.decided(!matches!(result, Evaluated::Filtered { .. }));
        if let Evaluated::Mapped(mapped) = result {
            self.filled(std::iter::once(true).chain(mapped.fields().map(|field| !field.value.is_null())));
        }
    }

    pub(super) fn finish(mut self, arms: Vec<ArmUse>) -> MappingCoverage {
        // A table that several entries use is one table.
        for arm in arms {
            match self.arms.iter_mut().find(|a| a.at == arm.at && a.what == arm.what) {
                Some(known) => known.used |= arm.used,
                None => self.arms.push(arm),
            }
        }
        self
    }

    /// Entries: (reached, all).
    pub fn lines(&self) -> (usize, usize) {
        (self.lines.iter().filter(|l| l.2).count(), self.lines.len())
    }

    /// Arms: (reached, all).
    pub fn arms(&self) -> (usize, usize) {
        (self.arms.iter().filter(|a| a.used).count(), self.arms.len())
    }

    /// Ways of the filter: (reached, all); none if there is no filter.
    pub fn filter(&self) -> Option<(usize, usize)> {
        self.filter.map(|(_, seen)| (seen.iter().filter(|s| **s).count(), 2))
    }

    /// What no test reaches, in the order of the file.
    pub fn unreached(&self) -> Vec<Unreached> {
        let lines =
            self.lines.iter().filter(|l| !l.2).map(|(at, name, _)| Unreached { at: *at, what: format!("`{name}` never has a value") });
        let arms = self.arms.iter().filter(|a| !a.used).map(|arm| {
            let what = match &arm.what {
                Arm::Else => "the arm `else` is never used".to_owned(),
                Arm::Value(value) => format!("the arm `{}` is never used", constant(value)),
                Arm::Test(test) => format!("the arm `{}` is never used", test_text(test, &|_| String::new())),
                Arm::Branch => "this branch is never used".to_owned(),
            };
            Unreached { at: arm.at, what }
        });
        let filter = self.filter.into_iter().flat_map(|(at, seen)| {
            let ways = [(seen[0], "no record is kept out by the filter"), (seen[1], "no record passes the filter")];
            ways.into_iter().filter(|(seen, _)| !seen).map(move |(_, what)| Unreached { at, what: what.to_owned() })
        });
        let mut all: Vec<Unreached> = lines.chain(arms).chain(filter).collect();
        all.sort_by_key(|u| (u.at.file, u.at.start));
        all
    }
}
