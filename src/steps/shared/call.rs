//! A call of a step in a mapping file, as the type rule of the step sees it.

use std::ops::RangeInclusive;

use crate::steps::Operation;
use crate::unicode::is_blank;
use crate::value::{Const, Fit, Ty, Typed};

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A literal.
    Constant(Const),
    /// A period, which is not a value of any field.
    Period(Period),
    /// A bare word: `right`.
    Word(String),
}

/// Months and seconds, each negative for an earlier time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// How many months.
    pub months: i32,
    /// How many seconds in addition.
    pub seconds: i64,
}

/// What is wrong with a call. Nothing comes out of such a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Wrong {
    /// An argument.
    Argument {
        /// Which one, from 0; the step's name is meant if there is no such argument.
        index: usize,
        /// What is expected.
        label: String,
    },
    /// The first argument is not a regular expression.
    Expression {
        /// Why.
        label: String,
    },
    /// The type of the value before the step.
    Type {
        /// What the step takes.
        takes: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// The argument has another type than the value before the step, and the result would be one of the two.
    Mixture(Ty),
}

impl Wrong {
    /// The arguments as a whole: points to the first one, or to the name if there is none.
    pub fn arguments(label: impl Into<String>) -> Wrong {
        Wrong::argument(0, label)
    }

    /// One argument, counted from 0.
    pub fn argument(index: usize, label: impl Into<String>) -> Wrong {
        Wrong::Argument { index, label: label.into() }
    }

    /// The type of the value before the step.
    pub fn ty(takes: &'static str, help: &'static str) -> Wrong {
        Wrong::Type { takes, help }
    }
}

/// A call whose arguments and input are right.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// What is done; `None` if nothing is.
    pub operation: Option<Operation>,
    /// The type after the step.
    pub output: Typed,
    /// Why the step can fail; `None` if it cannot.
    pub fallible: Option<String>,
}

impl Checked {
    /// A step that cannot fail.
    pub fn sure(operation: Operation, output: Typed) -> Checked {
        Checked { operation: Some(operation), output, fallible: None }
    }

    /// A step that can fail.
    pub fn fallible(operation: Operation, output: Typed, why: impl Into<String>) -> Checked {
        Checked { operation: Some(operation), output, fallible: Some(why.into()) }
    }
}

/// A call of a step.
#[derive(Debug)]
pub struct Call<'c> {
    /// What the parentheses hold; `None` without parentheses.
    arguments: Option<&'c [Argument]>,
    /// The type of the value before the step.
    pub input: &'c Typed,
    /// What the target field admits.
    pub fit: &'c Fit,
    /// Whether it is the first step of its field mapping.
    pub first: bool,
    /// Why the step has no effect, if it has none.
    without_effect: Vec<String>,
}

impl<'c> Call<'c> {
    /// A call.
    pub fn new(arguments: Option<&'c [Argument]>, input: &'c Typed, fit: &'c Fit, first: bool) -> Call<'c> {
        Call { arguments, input, fit, first, without_effect: Vec::new() }
    }

    /// Says that the step has no effect here.
    pub fn no_effect(&mut self, why: impl Into<String>) {
        self.without_effect.push(why.into());
    }

    /// Why the step has no effect; empty if it has one.
    pub fn into_without_effect(self) -> Vec<String> {
        self.without_effect
    }

    /// Whether there are parentheses, even with nothing in them.
    pub fn has_arguments(&self) -> bool {
        self.arguments.is_some()
    }

    /// The arguments.
    pub fn arguments(&self) -> &'c [Argument] {
        self.arguments.unwrap_or_default()
    }

    /// Checks that there are no parentheses.
    pub fn no_arguments(&self) -> Result<(), Wrong> {
        if self.has_arguments() { Err(Wrong::arguments("this step takes no arguments")) } else { Ok(()) }
    }

    /// The only argument, a literal. A period counts as one: `Ok(None)`.
    pub fn one_literal(&self, what: &str) -> Result<Option<&'c Const>, Wrong> {
        match self.arguments() {
            [Argument::Constant(constant)] => Ok(Some(constant)),
            [Argument::Period(_)] => Ok(None),
            _ => Err(Wrong::arguments(what)),
        }
    }

    /// The only argument, a text.
    pub fn one_text(&self, what: &str) -> Result<&'c str, Wrong> {
        match self.one_literal(what)? {
            Some(Const::Text(text)) => Ok(text),
            _ => Err(Wrong::arguments(what)),
        }
    }

    /// The only argument, a number in a range.
    pub fn one_number(&self, range: RangeInclusive<u32>, what: &str) -> Result<u32, Wrong> {
        let number = self.one_literal(what)?.and_then(|constant| in_range(constant, range));
        number.ok_or_else(|| Wrong::arguments(what))
    }

    /// An argument that is a number in a range.
    pub fn number_at(&self, index: usize, range: RangeInclusive<u32>, what: &str) -> Result<u32, Wrong> {
        match self.arguments().get(index) {
            Some(Argument::Constant(constant)) => in_range(constant, range).ok_or_else(|| Wrong::argument(index, what)),
            Some(Argument::Period(_) | Argument::Word(_)) => Err(Wrong::argument(index, what)),
            None => Err(Wrong::arguments(what)),
        }
    }

    /// An argument that is a text.
    pub fn text_at(&self, index: usize, what: &str) -> Result<&'c str, Wrong> {
        match self.arguments().get(index) {
            Some(Argument::Constant(Const::Text(text))) => Ok(text),
            Some(_) => Err(Wrong::argument(index, what)),
            None => Err(Wrong::arguments(what)),
        }
    }

    /// Checks that there are no more than this many arguments.
    pub fn at_most(&self, count: usize) -> Result<(), Wrong> {
        if self.arguments().len() > count { Err(Wrong::argument(count, "one argument too many")) } else { Ok(()) }
    }

    /// The type of a text after an operation: of known words the words after it, of any other text the longest length.
    pub fn text(&self, on_word: impl Fn(&str) -> String, on_length: impl Fn(Option<u32>) -> Option<u32>) -> Result<Ty, Wrong> {
        match &self.input.ty {
            Ty::Text { max } => Ok(Ty::Text { max: on_length(*max) }),
            Ty::Words(words) => Ok(Ty::Words(words.iter().map(|w| on_word(w)).collect())),
            Ty::Null
            | Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_) => Err(Wrong::ty("text", "remove the step, or convert the value to text first: `| string`")),
        }
    }

    /// Checks that the value before the step is text, which a step leaves as it is.
    pub fn same_text(&self) -> Result<Ty, Wrong> {
        self.text(str::to_owned, |max| max)
    }

    /// What is wrong with a step on options that has something else before it.
    pub fn not_an_option(&self) -> Wrong {
        let help = if self.first {
            "the field has no options, or a `replace` block gives them other values already: remove the step"
        } else {
            "put the step first, directly behind the target"
        };
        Wrong::ty("a field with options", help)
    }

    /// Checks that the value before the step is a day, an instant or a local time.
    pub fn moment(&self) -> Result<(), Wrong> {
        if matches!(self.input.ty, Ty::Date | Ty::Instant | Ty::Local) {
            return Ok(());
        }
        Err(Wrong::ty("a date", "remove the step, or read the text as a date first: `| date(\"…\") or null`"))
    }

    /// A type that is empty after the step if it was empty before it.
    pub fn typed(&self, ty: Ty) -> Typed {
        Typed::new(ty, self.input.nullable)
    }

    /// A step that cannot fail, but can leave a text that is empty, which is not a value. Of known words, those that are left are known too.
    pub fn perhaps_empty(&self, operation: Operation, ty: Ty) -> Checked {
        let output = match ty {
            Ty::Words(words) => {
                let before = words.len();
                let words: Vec<String> = words.into_iter().filter(|w| !is_blank(w)).collect();
                let nullable = self.input.nullable || words.len() < before;
                Typed::new(if words.is_empty() { Ty::Null } else { Ty::Words(words) }, nullable)
            }
            other => Typed::new(other, true),
        };
        Checked::sure(operation, output)
    }

    /// A step that leaves its input as it is.
    pub fn unchanged(&self) -> Checked {
        Checked { operation: None, output: self.input.clone(), fallible: None }
    }
}

fn in_range(constant: &Const, range: RangeInclusive<u32>) -> Option<u32> {
    match constant {
        Const::Integer(n) => u32::try_from(*n).ok().filter(|n| range.contains(n)),
        _ => None,
    }
}
