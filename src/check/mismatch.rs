//! What does not fit a target, in words, with the remedy.

use rust_decimal::{Decimal, RoundingStrategy};

use super::types::{Mismatch, Ty, exact_in_double, list};
use crate::count::counted;
use crate::diagnostics::{Code, nearest};
use crate::plan::Fit;

/// What a target admits, in words.
pub(super) fn fit_text(fit: &Fit) -> String {
    match fit {
        Fit::Boolean => "true or false".to_owned(),
        Fit::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Fit::Decimal { scale, min, max } => {
            format!("a number with up to {} from {} to {}", counted(*scale, "decimal"), min.normalize(), max.normalize())
        }
        Fit::Double => "a floating-point number (15 digits)".to_owned(),
        Fit::Text { max: Some(max) } => format!("holds {}", counted(*max, "character")),
        Fit::Text { max: None } => "text".to_owned(),
        Fit::Date => "a date".to_owned(),
        Fit::Instant => "a date with time".to_owned(),
        Fit::Enumeration(names) => format!("one of {}", list(names.iter().map(String::as_str), 5)),
        Fit::Options(values) => {
            let values: Vec<String> = values.iter().map(i64::to_string).collect();
            format!("an option's number: {}", list(values.iter().map(String::as_str), 5))
        }
        Fit::Link { .. } => "a record of another table".to_owned(),
    }
}

/// The step that makes a number fit with as many decimals as the target can hold, and what it needs if a number is still too large.
/// `None` if the number has few enough decimals already, and may be too large.
pub(super) fn rounding(ty: &Ty, fit: &Fit) -> Option<String> {
    let most = |holds: u32| match ty {
        Ty::Decimal { scale, .. } => (*scale).min(holds),
        _ => holds,
    };
    let fits = |digits: u32| match ty {
        Ty::Decimal { min, max, .. } => {
            let (low, high) = match fit {
                Fit::Integer { min, max } => (Decimal::from(*min), Decimal::from(*max)),
                Fit::Decimal { min, max, .. } => (*min, *max),
                _ => exact_in_double(digits),
            };
            let rounded = |d: &Decimal| d.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
            low <= rounded(min) && rounded(max) <= high
        }
        _ => false,
    };
    let (digits, sure) = match (ty, fit) {
        (Ty::Decimal { .. } | Ty::Double, Fit::Integer { .. }) => (0, fits(0)),
        (Ty::Decimal { .. } | Ty::Double, Fit::Decimal { scale, .. }) => (most(*scale), fits(most(*scale))),
        // The more decimals, the fewer digits are left before the point.
        (Ty::Decimal { .. }, Fit::Double) => match (0..=most(15)).rev().find(|digits| fits(*digits)) {
            Some(digits) => (digits, true),
            None => (0, false),
        },
        (Ty::Integer { .. }, _) => (0, false),
        _ => return None,
    };
    Some(format!("round({digits}){}", if sure { "" } else { " or null" }))
}

/// The numbers that a target holds, in words.
fn range_text(fit: &Fit) -> String {
    match fit {
        Fit::Double => "15 digits, before and after the point together".to_owned(),
        fit => fit_text(fit),
    }
}

/// What is wrong with a value for a target: code, message, label of the value, remedy.
pub(super) fn fit_mismatch(mismatch: &Mismatch, ty: &Ty, fit: &Fit, target: &str) -> (Code, String, String, String) {
    let from = ty.describe();
    match mismatch {
        Mismatch::TooLong(longest, max) => {
            let help = match ty {
                Ty::Text { .. } => format!("shorten it with `| truncate({max})`"),
                Ty::Words(_) => format!("use a text with at most {}", counted(*max, "character")),
                _ => "choose a longer target field".to_owned(),
            };
            let long = longest.map_or("of any length".to_owned(), |n| format!("up to {}", counted(n, "character")));
            (Code::D201, format!("the value may be too long for `{target}`"), format!("{long}, but only {max} fit"), help)
        }
        Mismatch::NumberLoss => {
            let help = match (rounding(ty, fit), ty, fit) {
                (Some(step), Ty::Decimal { scale, .. }, Fit::Double) if *scale <= 15 && step != format!("round({scale})") => format!(
                    "round it on purpose: `| {step}` fits for every number; `| round({scale}) or null` keeps all decimals, and numbers beyond {} \
                     become empty; the target holds {}",
                    exact_in_double(*scale).1,
                    range_text(fit)
                ),
                (Some(step), ..) => format!("round it on purpose: `| {step}`; the target holds {}", range_text(fit)),
                (None, ..) => format!("choose a target that holds such numbers; this one holds {}", range_text(fit)),
            };
            (Code::D203, format!("the number may not fit `{target}`"), from, help)
        }
        Mismatch::TimeLoss => {
            let help = match ty {
                Ty::Local => "take the day: `| date`",
                _ => "take the day in a time zone: `| date(\"Europe/Vienna\")`, or in UTC: `| date`",
            };
            (Code::D204, format!("the time of day would be lost in `{target}`"), from, help.to_owned())
        }
        Mismatch::NotInEnumeration(words) => {
            let names: &[String] = match fit {
                Fit::Enumeration(names) => names,
                _ => &[],
            };
            let near = words.first().and_then(|w| nearest(w, names.iter().map(String::as_str)));
            let help = match near {
                Some(near) if words.len() == 1 => format!("did you mean `{near}`?"),
                None if words.len() == 1 => format!("its values are {}", list(names.iter().map(String::as_str), 8)),
                _ => format!("its values are {}; add a `replace` block", list(names.iter().map(String::as_str), 8)),
            };
            let missing = list(words.iter().map(String::as_str), 5);
            (Code::D212, format!("`{target}` has no value {missing}"), from, help)
        }
        Mismatch::ChoiceToEnumeration => {
            let names: &[String] = match fit {
                Fit::Enumeration(names) => names,
                _ => &[],
            };
            let help = format!(
                "write which value becomes which: `replace FIELD {{ value => {} … else => … }}`",
                names.first().map_or("name", String::as_str)
            );
            (Code::D212, format!("it is not clear which value of `{target}` is meant"), from, help)
        }
        Mismatch::NoZone => (
            Code::D202,
            format!("`{target}` needs an instant, but this time has no zone"),
            from,
            "add the zone: `| datetime(\"Europe/Berlin\") or null`, or take the day: `| date`".to_owned(),
        ),
        Mismatch::Incompatible => {
            let help = match (ty, fit) {
                (_, Fit::Link { .. }) => "write which mapping writes the record: `| link MAPPING`".to_owned(),
                (Ty::Text { .. } | Ty::Words(_), Fit::Date) => "read the text as a date: `| date(\"dd.MM.yyyy\") or null`".to_owned(),
                (Ty::Text { .. } | Ty::Words(_), Fit::Instant) => {
                    "read the text in a time zone: `| datetime(\"Europe/Berlin\") or null`".to_owned()
                }
                (Ty::Text { .. } | Ty::Words(_), Fit::Integer { .. }) => "read the text as a whole number: `| integer or null`".to_owned(),
                (Ty::Text { .. } | Ty::Words(_), Fit::Decimal { .. } | Fit::Double) => {
                    "read the text as a number: `| number or null`, with a decimal comma `| number(\",\") or null`".to_owned()
                }
                (Ty::Text { .. } | Ty::Words(_), Fit::Boolean) => "read the text as yes or no: `| boolean or null`".to_owned(),
                (Ty::Text { .. } | Ty::Words(_), _) => {
                    "choose a text field as the target, or write what each value becomes: `| map { … }`".to_owned()
                }
                (_, Fit::Boolean) => "write which value is true: `replace FIELD { value => true … else => false }`".to_owned(),
                (Ty::Boolean, _) => "write what each value becomes: `replace FIELD { true => … false => … }`".to_owned(),
                _ => "choose another target field, or add a `replace` block".to_owned(),
            };
            (Code::D202, format!("the value does not fit `{target}`"), from, help)
        }
    }
}
