//! The steps that make one field fit another, as completion proposes them.

use super::mismatch::rounding;
use super::types::{Mismatch, Ty, convert, fit_of};
use crate::plan::Fit;
use crate::schema::Field;

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
