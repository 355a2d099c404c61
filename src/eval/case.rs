//! The branches of a `case`, made ready to run.

use std::cell::RefCell;
use std::collections::HashSet;

use super::EvalError;
use super::filter::Ready;
use super::program::{Arm, ArmUse, Fault, Piped};
use crate::plan::{At, Branch, BranchResult};
use crate::time::Instant;
use crate::value::Value;

/// A `case`: the first branch whose condition is true gives the value.
#[derive(Debug)]
pub(super) struct ReadyCase<'p> {
    branches: Vec<ReadyBranch<'p>>,
    /// Which branches were taken; only while a test counts them.
    taken: Option<RefCell<HashSet<usize>>>,
}

#[derive(Debug)]
struct ReadyBranch<'p> {
    at: At,
    /// `None` for every record.
    condition: Option<Ready>,
    result: ReadyResult<'p>,
}

#[derive(Debug)]
enum ReadyResult<'p> {
    /// The value, and whether an empty one leaves the target as it is.
    Value(Box<Piped<'p>>, bool),
    Reject,
    Unchanged,
    /// Only for values of this slot that its schema does not know.
    Uncovered(usize),
}

impl<'p> ReadyCase<'p> {
    pub(super) fn new(branches: &'p [Branch]) -> Result<ReadyCase<'p>, EvalError> {
        let ready = |branch: &'p Branch| -> Result<ReadyBranch<'p>, EvalError> {
            let result = match &branch.result {
                BranchResult::Value { source, steps, present } => {
                    ReadyResult::Value(Box::new(Piped::new(branch.at, source, steps)?), *present)
                }
                BranchResult::Reject => ReadyResult::Reject,
                BranchResult::Unchanged => ReadyResult::Unchanged,
                BranchResult::Uncovered(slot) => ReadyResult::Uncovered(*slot as usize),
            };
            Ok(ReadyBranch { at: branch.at, condition: branch.condition.as_ref().map(Ready::new).transpose()?, result })
        };
        Ok(ReadyCase { branches: branches.iter().map(ready).collect::<Result<_, EvalError>>()?, taken: None })
    }

    /// The value for a record; `None` if the target is left as it is.
    pub(super) fn run<'a>(&self, slots: &[Value<'a>], now: Instant) -> Result<Option<Value<'a>>, Fault>
    where
        'p: 'a,
    {
        let holds = |branch: &ReadyBranch<'p>| branch.condition.as_ref().is_none_or(|condition| condition.holds(slots, now));
        let Some((at, branch)) = self.branches.iter().enumerate().find(|(_, branch)| holds(branch)) else {
            // The last branch of a compiled plan has no condition.
            return Ok(Some(Value::Null));
        };
        if let Some(taken) = &self.taken {
            taken.borrow_mut().insert(at);
        }
        match &branch.result {
            ReadyResult::Value(piped, present) => Ok(piped.run(slots, now)?.filter(|value| !present || !value.is_null())),
            ReadyResult::Reject => Err(Fault::new("D902", branch.at, "the `case` says to reject this record")),
            ReadyResult::Unchanged => Ok(None),
            ReadyResult::Uncovered(slot) => match slots.get(*slot) {
                None | Some(Value::Null) => Ok(Some(Value::Null)),
                Some(_) => Err(Fault::new("D903", branch.at, "the option set in the schema has no such option; pull the schema again")),
            },
        }
    }

    /// The first instant after `now` at which one of the conditions changes its answer for a record.
    pub(super) fn next_change(&self, slots: &[Value<'_>], now: Instant) -> Option<Instant> {
        let of_branch = |branch: &ReadyBranch<'p>| {
            let own = branch.condition.as_ref().and_then(|condition| condition.next_change(slots, now));
            let within = match &branch.result {
                ReadyResult::Value(piped, _) => piped.next_change(slots, now),
                ReadyResult::Reject | ReadyResult::Unchanged | ReadyResult::Uncovered(_) => None,
            };
            own.into_iter().chain(within).min()
        };
        self.branches.iter().filter_map(of_branch).min()
    }

    /// Begins to count which branches are taken.
    pub(super) fn count(&mut self) {
        self.taken = Some(RefCell::default());
        self.results_mut().for_each(Piped::count);
    }

    /// The branches that an author wrote, each with whether it was taken.
    pub(super) fn arms(&mut self, arms: &mut Vec<ArmUse>) {
        if let Some(taken) = &self.taken {
            let taken = taken.borrow();
            for (i, branch) in self.branches.iter().enumerate() {
                let written = match branch.result {
                    ReadyResult::Value(..) | ReadyResult::Reject => true,
                    ReadyResult::Unchanged => branch.condition.is_some(),
                    ReadyResult::Uncovered(_) => false,
                };
                if written {
                    arms.push(ArmUse { at: branch.at, what: Arm::Branch, used: taken.contains(&i) });
                }
            }
        }
        self.results_mut().for_each(|piped| piped.arms(arms));
    }

    fn results_mut(&mut self) -> impl Iterator<Item = &mut Piped<'p>> {
        self.branches.iter_mut().filter_map(|branch| match &mut branch.result {
            ReadyResult::Value(piped, _) => Some(piped.as_mut()),
            ReadyResult::Reject | ReadyResult::Unchanged | ReadyResult::Uncovered(_) => None,
        })
    }
}
