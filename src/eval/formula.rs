//! Formulas on one record: exact decimals.

use rust_decimal::Decimal;

use super::EvalError;
use super::lookup::ReadyLookup;
use super::number::normalized;
use super::program::{Fault, ReadyRead, Table};
use super::steps::ReadyStep;
use crate::plan::{At, Formula, OnFailure, Operator, QUOTIENT_SCALE, Term, TermPart};
use crate::time::Instant;
use crate::value::Value;

/// A formula made ready.
#[derive(Debug)]
pub(super) struct ReadyFormula<'p> {
    term: ReadyTerm<'p>,
    whole: bool,
    steps: Vec<ReadyStep<'p>>,
    on_failure: Option<&'p OnFailure>,
}

#[derive(Debug)]
enum ReadyTerm<'p> {
    Field(Box<ReadyRead<'p>>),
    Number(Decimal),
    Negative(Box<ReadyTerm<'p>>),
    Absolute(Box<ReadyTerm<'p>>),
    Chain(Box<ReadyTerm<'p>>, Vec<(Operator, ReadyTerm<'p>)>),
    Coalesce(Vec<ReadyTerm<'p>>),
    Min(Vec<ReadyTerm<'p>>),
    Max(Vec<ReadyTerm<'p>>),
    Lookup(Box<ReadyLookup<'p>>),
}

/// Why a formula has no result.
enum Stop {
    Fault(Fault),
    Failed(&'static str),
}

impl<'p> ReadyFormula<'p> {
    pub(super) fn new(formula: &'p Formula) -> Result<ReadyFormula<'p>, EvalError> {
        Ok(ReadyFormula {
            term: ReadyTerm::new(&formula.term)?,
            whole: formula.whole,
            steps: formula.steps.iter().map(ReadyStep::new).collect::<Result<_, _>>()?,
            on_failure: formula.on_failure.as_ref(),
        })
    }

    /// Every table of the formula and of its steps.
    pub(super) fn tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        self.term.tables_mut(each);
        for step in &mut self.steps {
            step.tables_mut(each);
        }
    }

    pub(super) fn run<'a>(&self, slots: &[Value<'a>], now: Instant, at: At) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut value = match self.term.value(slots, now, at) {
            Ok(None) => Value::Null,
            Ok(Some(number)) if self.whole => match i64::try_from(number) {
                Ok(whole) if number.is_integer() => Value::Integer(whole),
                _ => return Err(Fault::new("D903", at, "the result is not a whole number; its schema promised otherwise")),
            },
            Ok(Some(number)) => Value::Decimal(normalized(number)),
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Failed(why)) => {
                return match self.on_failure {
                    Some(OnFailure::Null | OnFailure::Keep) => Ok(Value::Null),
                    Some(OnFailure::Default(constant)) => Ok(Value::of(constant)),
                    Some(OnFailure::Reject) => Err(Fault::new("D901", at, why)),
                    None => Err(Fault::new("D903", at, format!("{why}; its schema promised otherwise"))),
                };
            }
        };
        for step in &self.steps {
            value = step.run(value, slots, now)?;
        }
        Ok(value)
    }
}

impl<'p> ReadyTerm<'p> {
    fn new(term: &'p Term) -> Result<ReadyTerm<'p>, EvalError> {
        let boxed = |term: &'p Term| Ok(Box::new(ReadyTerm::new(term)?));
        let all = |terms: &'p [Term]| terms.iter().map(ReadyTerm::new).collect::<Result<Vec<_>, EvalError>>();
        Ok(match term {
            Term::Field(read) => ReadyTerm::Field(Box::new(ReadyRead::new(read)?)),
            Term::Number(number) => ReadyTerm::Number(*number),
            Term::Negative(inner) => ReadyTerm::Negative(boxed(inner)?),
            Term::Absolute(inner) => ReadyTerm::Absolute(boxed(inner)?),
            Term::Chain { first, rest } => {
                let ready = |part: &'p TermPart| Ok((part.operator, ReadyTerm::new(&part.term)?));
                ReadyTerm::Chain(boxed(first)?, rest.iter().map(ready).collect::<Result<_, EvalError>>()?)
            }
            Term::Coalesce(terms) => ReadyTerm::Coalesce(all(terms)?),
            Term::Min(terms) => ReadyTerm::Min(all(terms)?),
            Term::Max(terms) => ReadyTerm::Max(all(terms)?),
            Term::Lookup(by) => ReadyTerm::Lookup(Box::new(ReadyLookup::new(by)?)),
        })
    }

    fn tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        match self {
            ReadyTerm::Field(read) => read.tables_mut(each),
            ReadyTerm::Number(_) => {}
            ReadyTerm::Lookup(lookup) => lookup.keys.iter_mut().for_each(|key| key.tables_mut(each)),
            ReadyTerm::Negative(inner) | ReadyTerm::Absolute(inner) => inner.tables_mut(each),
            ReadyTerm::Chain(first, rest) => {
                first.tables_mut(each);
                rest.iter_mut().for_each(|(_, term)| term.tables_mut(each));
            }
            ReadyTerm::Coalesce(terms) | ReadyTerm::Min(terms) | ReadyTerm::Max(terms) => {
                terms.iter_mut().for_each(|term| term.tables_mut(each));
            }
        }
    }

    /// The number; `None` if an operand is missing.
    fn value(&self, slots: &[Value<'_>], now: Instant, at: At) -> Result<Option<Decimal>, Stop> {
        Ok(match self {
            ReadyTerm::Number(number) => Some(*number),
            ReadyTerm::Field(read) => number(&read.value(slots, now, at).map_err(Stop::Fault)?)?,
            ReadyTerm::Lookup(lookup) => number(&lookup.run(slots, now).map_err(Stop::Fault)?)?,
            ReadyTerm::Negative(inner) => inner.value(slots, now, at)?.map(|n| -n),
            ReadyTerm::Absolute(inner) => inner.value(slots, now, at)?.map(|n| n.abs()),
            ReadyTerm::Chain(first, rest) => {
                let mut left = first.value(slots, now, at)?;
                for (operator, term) in rest {
                    // Every operand is calculated: what fails in it does so whether or not another one is missing.
                    let right = term.value(slots, now, at)?;
                    left = match left.zip(right) {
                        Some((left, right)) => Some(calculate(*operator, left, right)?),
                        None => None,
                    };
                }
                left
            }
            ReadyTerm::Coalesce(terms) => {
                for term in terms {
                    if let Some(number) = term.value(slots, now, at)? {
                        return Ok(Some(number));
                    }
                }
                None
            }
            ReadyTerm::Min(terms) => all(terms, slots, now, at)?.and_then(|numbers| numbers.into_iter().min()),
            ReadyTerm::Max(terms) => all(terms, slots, now, at)?.and_then(|numbers| numbers.into_iter().max()),
        })
    }
}

fn number(value: &Value<'_>) -> Result<Option<Decimal>, Stop> {
    Ok(match value {
        Value::Null => None,
        Value::Integer(n) => Some((*n).into()),
        Value::Decimal(d) => Some(normalized(*d)),
        _ => return Err(Stop::Failed("the value is not a number")),
    })
}

/// The numbers of all terms; `None` if one is missing.
fn all(terms: &[ReadyTerm<'_>], slots: &[Value<'_>], now: Instant, at: At) -> Result<Option<Vec<Decimal>>, Stop> {
    let numbers: Vec<Option<Decimal>> = terms.iter().map(|term| term.value(slots, now, at)).collect::<Result<_, _>>()?;
    Ok(numbers.into_iter().collect())
}

fn calculate(operator: Operator, left: Decimal, right: Decimal) -> Result<Decimal, Stop> {
    let (result, decimals) = match operator {
        Operator::Add => (left.checked_add(right), left.scale().max(right.scale())),
        Operator::Subtract => (left.checked_sub(right), left.scale().max(right.scale())),
        Operator::Multiply => (left.checked_mul(right), left.scale() + right.scale()),
        Operator::Divide if right.is_zero() => return Err(Stop::Failed("the formula divides by zero")),
        Operator::Divide => (quotient(left, right), 0),
    };
    // The library rounds what it cannot hold. Such a result has fewer decimals than an exact one.
    let exact = |result: &Decimal| result.scale() >= decimals || left.is_zero() || right.is_zero() || result.is_zero();
    result.filter(exact).ok_or(Stop::Failed("the result has more than 28 digits"))
}

/// The quotient with [`QUOTIENT_SCALE`] decimals, rounded half away from zero. `None` if a number has more than 28 digits, or if the
/// divisor is zero.
pub(crate) fn quotient(left: Decimal, right: Decimal) -> Option<Decimal> {
    // The division of the library rounds to 28 digits first, so that a second rounding could go the wrong way.
    let scale = left.scale().max(right.scale());
    let aligned = |number: Decimal| number.mantissa().unsigned_abs().checked_mul(10_u128.checked_pow(scale - number.scale())?);
    let divisor = aligned(right)?;
    let dividend = aligned(left)?.checked_mul(10_u128.pow(QUOTIENT_SCALE))?;
    let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    // The rest is less than the divisor, which is less than half of what the type holds unless it has more digits than are allowed.
    let rounded = if rest.checked_mul(2)? >= divisor { whole + 1 } else { whole };
    let unsigned = Decimal::try_from_i128_with_scale(i128::try_from(rounded).ok()?, QUOTIENT_SCALE).ok()?.normalize();
    let negative = left.is_sign_negative() != right.is_sign_negative() && !unsigned.is_zero();
    Some(if negative { -unsigned } else { unsigned })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::quotient;

    fn divided(left: &str, right: &str) -> Option<String> {
        let number = |text: &str| Decimal::from_str_exact(text).expect("a number");
        quotient(number(left), number(right)).map(|number| number.to_string())
    }

    #[test]
    fn a_quotient_has_ten_decimals_and_is_rounded_half_away_from_zero() {
        for (left, right, result) in [
            ("10", "4", "2.5"),
            ("-10", "3", "-3.3333333333"),
            ("2", "-3", "-0.6666666667"),
            ("0.0000000001", "2", "0.0000000001"),
            ("-0.0000000001", "2", "-0.0000000001"),
            ("0.0000000001", "-3", "0"),
            ("0", "-3", "0"),
            ("1000000000000000000", "0.5", "2000000000000000000"),
            // The quotient is 0.49999… of the last decimal; rounded to 28 digits first, it would be a half.
            ("0.0000000001", "2.000000000000000000000000001", "0"),
        ] {
            assert_eq!(divided(left, right).as_deref(), Some(result), "{left} / {right}");
        }
        assert_eq!(divided("1", "0"), None);
        assert_eq!(divided("79228162514264337593543950335", "0.0000000001"), None);
    }
}
