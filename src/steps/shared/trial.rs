//! Tries a step in the tests of its file, without a mapping file.

use super::call::{Argument, Call, Checked, Wrong};
use super::ready::{Failed, Operate};
use crate::steps::{Operation, Step};
use crate::value::{Const, Fit, Ty, Typed, Value};

/// A text as an argument.
pub fn text(text: &str) -> Argument {
    Argument::Constant(Const::Text(text.to_owned()))
}

/// A whole number as an argument.
pub fn number(number: i64) -> Argument {
    Argument::Constant(Const::Integer(number))
}

/// A bare word as an argument.
pub fn word(word: &str) -> Argument {
    Argument::Word(word.to_owned())
}

/// The type of a text of at most this many UTF-16 code units.
pub fn up_to(max: u32) -> Ty {
    Ty::Text { max: Some(max) }
}

/// Checks a call on a value that is never empty, for a text field of any length.
pub fn check(step: &'static Step, arguments: &[Argument], input: Ty) -> Result<Checked, Wrong> {
    check_for(step, arguments, input, &Fit::Text { max: None })
}

/// Checks a call for a target field of a type. Without arguments it has no parentheses.
pub fn check_for(step: &'static Step, arguments: &[Argument], input: Ty, fit: &Fit) -> Result<Checked, Wrong> {
    let input = Typed::new(input, false);
    step.check(&mut Call::new((!arguments.is_empty()).then_some(arguments), &input, fit, true))
}

/// What a checked call makes of a value, by its operation as it is read back from a plan.
pub fn run<'a>(checked: &Result<Checked, Wrong>, value: Value<'a>) -> Result<Value<'a>, Failed> {
    let Ok(Checked { operation: Some(operation), .. }) = checked else { panic!("{checked:?} has no operation") };
    let json = serde_json::to_string(operation).expect("an operation as JSON");
    let read: Operation = serde_json::from_str(&json).expect("an operation from JSON");
    assert_eq!(read, *operation, "{json}");
    read.ready().expect("an operation of a checked call").run(value)
}

/// What a checked call makes of a text; `None` if it fails.
pub fn run_text(checked: &Result<Checked, Wrong>, text: &str) -> Option<String> {
    run(checked, Value::Text(text.into())).ok()?.into_text().map(Into::into)
}

/// The type after a checked call, and whether the call can fail.
pub fn output(checked: &Result<Checked, Wrong>) -> (Ty, bool) {
    let Ok(checked) = checked else { panic!("{checked:?}") };
    (checked.output.ty.clone(), checked.fallible.is_some())
}
