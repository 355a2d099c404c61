//! What the tests of a mapping reach: entries that had a value, arms that were taken, both ways of the filter.

use crate::eval::{ArmUse, Evaluated};
use crate::plan::{At, IngressFlow, constant};

/// What the tests reach in all mappings of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// By name.
    pub mappings: Vec<MappingCoverage>,
}

/// What the tests of one mapping reach.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingCoverage {
    /// The mapping.
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
        let lines = std::iter::once(&flow.key).chain(&flow.fields).map(|f| (f.at, f.path.join("."), false)).collect();
        let filter = flow.filter.as_ref().map(|f| (f.at, [false; 2]));
        MappingCoverage { mapping: flow.name.clone(), lines, arms: Vec::new(), filter }
    }

    pub(super) fn count(&mut self, result: &Evaluated<'_, '_>) {
        let kept = !matches!(result, Evaluated::Filtered { .. });
        if let Some((_, seen)) = &mut self.filter {
            seen[usize::from(kept)] = true;
        }
        if let Evaluated::Mapped(mapped) = result {
            if let Some(key) = self.lines.first_mut() {
                key.2 = true;
            }
            for (line, field) in self.lines.iter_mut().skip(1).zip(mapped.fields()) {
                line.2 |= !field.value.is_null();
            }
        }
    }

    pub(super) fn finish(mut self, arms: Vec<ArmUse>) -> MappingCoverage {
        // A table that several entries use is one table.
        for arm in arms {
            match self.arms.iter_mut().find(|a| a.at == arm.at && a.value == arm.value) {
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

    /// Ways of the filter: (reached, all); none where there is no filter.
    pub fn filter(&self) -> Option<(usize, usize)> {
        self.filter.map(|(_, seen)| (seen.iter().filter(|s| **s).count(), 2))
    }

    /// What no test reaches, in the order of the file.
    pub fn unreached(&self) -> Vec<Unreached> {
        let lines =
            self.lines.iter().filter(|l| !l.2).map(|(at, name, _)| Unreached { at: *at, what: format!("`{name}` never has a value") });
        let arms = self.arms.iter().filter(|a| !a.used).map(|arm| {
            let value = match &arm.value {
                None => "else".to_owned(),
                Some(value) => constant(value),
            };
            Unreached { at: arm.at, what: format!("the arm `{value}` is never used") }
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
