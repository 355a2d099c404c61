//! The steps that make one field fit another, and what a value is after some steps, as completion proposes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use super::entry::Checker;
use super::mismatch::rounding;
use super::names;
use super::types::{Mismatch, Ty, convert, fit_of};
use crate::diagnostics::{Diagnostics, Sources};
use crate::plan::{Fit, Policy};
use crate::schema::{Catalogue, Field, Table};
use crate::syntax;

/// Returns the steps to write after a target so that a source fits it, such as ` | truncate(30)`: empty if it fits as it is, `None` if
/// only an author can decide.
pub fn fitting_steps(from: &Field, to: &Field) -> Option<String> {
    let (ty, fit) = (Ty::of_source(from)?, fit_of(&to.ty)?);
    let step = match (convert(&ty, &fit), &ty, &fit) {
        (Ok(_), ..) => return Some(String::new()),
        (Err(Mismatch::TooLong(_, max)), ..) => format!("truncate({max})"),
        (Err(_), Ty::Text { .. }, Fit::Date) => "date or null".to_owned(),
        (Err(_), Ty::Text { .. }, Fit::Integer { .. }) => "integer or null".to_owned(),
        (Err(_), Ty::Text { .. }, Fit::Decimal { .. } | Fit::Double) => "number or null".to_owned(),
        (Err(_), Ty::Text { .. }, Fit::Boolean) => "boolean or null".to_owned(),
        (Err(_), Ty::Instant, Fit::Date) => "date".to_owned(),
        (Err(_), ty, fit) => rounding(ty, fit)?,
    };
    Some(format!(" | {step}"))
}

/// Returns the types that a step can take after an entry such as `firstname -> cusNote | trim`, in the words of the steps' documentation; `None` if
/// its value has no known type.
pub fn taken_after(entry: &str, source: &Table, target: &Table, catalogue: &Catalogue) -> Option<&'static [&'static str]> {
    taken(&type_of(entry, source, target, catalogue)?)
}

fn type_of(entry: &str, source: &Table, target: &Table, catalogue: &Catalogue) -> Option<Ty> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let text = format!("mapping completion: {} -> {} {{\n{entry}\n}}\n", source.id, target.id);
    let id = sources.add("completion", text.as_str());
    let file = syntax::parse(id, &text, &mut diagnostics);
    let field = file.mappings.first()?.fields().next()?;
    let mut context =
        Context { catalogue, sources: &sources, diagnostics: &mut diagnostics, mappings: BTreeMap::new(), tables: Default::default() };
    let into = names::target_field(&field.target, target, true, &mut context)?;
    let mut checker = Checker::new("completion", Arc::new(source.clone()), Arc::new(target.clone()), Policy::default());
    Some(checker.piped(field, Some(&into), false, &mut context)?.typed.ty)
}

/// The types of a value, in the words of the steps' documentation.
fn taken(ty: &Ty) -> Option<&'static [&'static str]> {
    Some(match ty {
        Ty::Null => return None,
        Ty::Text { .. } | Ty::Words(_) => &["text"],
        Ty::Integer { .. } => &["a number", "numbers", "whole numbers", "whole and exact numbers"],
        Ty::Decimal { .. } => &["a number", "numbers", "whole and exact numbers"],
        Ty::Double => &["a number", "numbers"],
        Ty::Date => &["a date", "a day"],
        Ty::Instant => &["a date", "a date with time", "an instant"],
        Ty::Local => &["a date", "a time without a zone"],
        Ty::Guid => &["a GUID"],
        Ty::Boolean => &["true or false"],
        Ty::Choice(_) => &["options"],
        Ty::Options(_) => &["options", "several options"],
    })
}
