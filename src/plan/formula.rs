//! Formulas in the plan.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{LookupBy, OnFailure, Op, Read, Step};
use crate::steps::Operate;
pub use crate::syntax::ast::Operator;

/// The digits after the point that a quotient has at most.
pub const QUOTIENT_SCALE: u32 = 10;

/// Arithmetic with exact decimals. If an operand is missing, so is the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formula {
    /// What is calculated.
    pub term: Term,
    /// Whether the result is a whole number.
    pub whole: bool,
    /// What is done to the result, in order, if the calculation does not fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What happens if the calculation fails; `None` for a formula that cannot fail.
    pub on_failure: Option<OnFailure>,
}

/// A part of a formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Term {
    /// A field.
    Field(Read),
    /// A number.
    Number(Decimal),
    /// The number with the other sign.
    Negative(Box<Term>),
    /// The number without its sign.
    Absolute(Box<Term>),
    /// Numbers with operators between them, calculated from left to right.
    Chain {
        /// The first operand.
        first: Box<Term>,
        /// The others.
        rest: Vec<TermPart>,
    },
    /// The first that has a value. Those after it are not calculated.
    Coalesce(Vec<Term>),
    /// The least.
    Min(Vec<Term>),
    /// The greatest.
    Max(Vec<Term>),
    /// The number in the row of a table. It is missing if no row has these keys.
    Lookup(Box<LookupBy>),
}

/// An operator and the operand after it. A quotient is rounded to [`QUOTIENT_SCALE`] digits, half away from zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermPart {
    /// The operator.
    pub operator: Operator,
    /// The operand.
    pub term: Term,
}

impl Formula {
    /// Whether it can have a value although a field that it reads is empty.
    pub(super) fn outlives_its_columns(&self) -> bool {
        let reads = self.term.reads();
        self.term.has_coalesce() || reads.iter().any(|read| read.replace.is_some()) || outlive(&self.steps)
    }
}

/// Whether one of the steps can give a value instead of an empty one.
pub(super) fn outlive(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.op {
        Op::Map(_) => true,
        Op::Step(operation) => operation.instead_of_empty().is_some(),
        Op::Coalesce(_)
        | Op::Midnight
        | Op::Concat(_)
        | Op::PhoneIn(_)
        | Op::LocalIn(_)
        | Op::Elapsed(_)
        | Op::Labels { .. }
        | Op::Lookup(_)
        | Op::Not
        | Op::Link { .. } => false,
    })
}

impl Term {
    /// The parts directly below it.
    fn parts(&self) -> Vec<&Term> {
        match self {
            Term::Field(_) | Term::Number(_) | Term::Lookup(_) => Vec::new(),
            Term::Negative(inner) | Term::Absolute(inner) => vec![inner],
            Term::Chain { first, rest } => std::iter::once(&**first).chain(rest.iter().map(|part| &part.term)).collect(),
            Term::Coalesce(terms) | Term::Min(terms) | Term::Max(terms) => terms.iter().collect(),
        }
    }

    /// Every field in it.
    pub fn reads(&self) -> Vec<&Read> {
        match self {
            Term::Field(read) => vec![read],
            Term::Lookup(by) => by.keys.iter().collect(),
            term => term.parts().into_iter().flat_map(Term::reads).collect(),
        }
    }

    /// Visits every lookup in it.
    pub(super) fn lookups_mut(&mut self, each: &mut dyn FnMut(&mut LookupBy)) {
        match self {
            Term::Lookup(by) => each(by),
            Term::Field(_) | Term::Number(_) => {}
            Term::Negative(inner) | Term::Absolute(inner) => inner.lookups_mut(each),
            Term::Chain { first, rest } => {
                first.lookups_mut(each);
                rest.iter_mut().for_each(|part| part.term.lookups_mut(each));
            }
            Term::Coalesce(terms) | Term::Min(terms) | Term::Max(terms) => terms.iter_mut().for_each(|term| term.lookups_mut(each)),
        }
    }

    fn has_coalesce(&self) -> bool {
        matches!(self, Term::Coalesce(_)) || self.parts().into_iter().any(Term::has_coalesce)
    }
}
