//! Operations made ready to run.

use std::borrow::Cow;

use crate::value::{Const, Value};

/// What a step does to a value. Its arguments are part of a plan.
pub trait Operate {
    /// Makes the operation ready: compiles expressions, finds time zones.
    fn ready(&self) -> Result<Ready<'_>, NotReady>;

    /// The step as an author writes it, for the plan in words.
    fn written(&self) -> String;

    /// The value instead of an empty one. Every other step leaves an empty value empty.
    fn instead_of_empty(&self) -> Option<&Const> {
        None
    }
}

/// An operation that cannot be made ready: its plan was changed by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady(pub String);

/// A step did not work on this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub &'static str);

/// A value of a type that the checker has excluded.
pub const OTHER_TYPE: Failed = Failed("the value is of another type");

type Run<'p> = dyn for<'a> Fn(Value<'a>) -> Result<Value<'a>, Failed> + Send + Sync + 'p;

/// An operation made ready once for all records.
pub struct Ready<'p>(Box<Run<'p>>);

impl<'p> Ready<'p> {
    /// An operation on values.
    pub fn new(run: impl for<'a> Fn(Value<'a>) -> Result<Value<'a>, Failed> + Send + Sync + 'p) -> Ready<'p> {
        Ready(Box::new(run))
    }

    /// An operation from text to text that cannot fail.
    pub fn text(run: impl for<'t> Fn(&'t str) -> Cow<'t, str> + Send + Sync + 'p) -> Ready<'p> {
        Ready::new(move |value| match value {
            Value::Text(text) => Ok(Value::Text(on_text(text, &run))),
            _ => Err(OTHER_TYPE),
        })
    }

    /// Applies the operation to a value that is not empty.
    pub fn run<'a>(&self, value: Value<'a>) -> Result<Value<'a>, Failed> {
        (self.0)(value)
    }
}

impl std::fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ready")
    }
}

/// A text as a value.
pub fn owned<'a>(text: String) -> Value<'a> {
    Value::Text(Cow::Owned(text))
}

/// Applies an operation without copying what is borrowed.
fn on_text<'a>(text: Cow<'a, str>, operation: impl for<'t> Fn(&'t str) -> Cow<'t, str>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => operation(text),
        Cow::Owned(text) => match operation(&text) {
            Cow::Borrowed(part) if part.len() == text.len() => Cow::Owned(text),
            other => Cow::Owned(other.into_owned()),
        },
    }
}
