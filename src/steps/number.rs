//! `number`: text as a number.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::shared::ready::{Failed, OTHER_TYPE};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::value::{Fit, Ty, Value, exact_in_double};

/// The step.
pub const STEP: Step = Step {
    name: "number",
    usage: "number, or number(\",\") for a decimal comma",
    summary: "text as a number",
    rows: &[
        Row {
            signature: "`number`, `number(\",\")`",
            takes: "text",
            gives: "a number; with a decimal comma. Groups of three digits with one separator (`1.234,50`, `1 234,50`, `1'234,50`) are understood. Fails for everything else (`19.99` with a decimal comma, `0,123` with a point, `5-`, `1e3`, `12 EUR`), and for a number that the target cannot hold",
        },
    ],
    samples: &["number", "number(\",\")"],
    rule: Rule::Call(check),
};

/// The numbers that a text may be if the target sets no bounds: eighteen digits, ten of them after the point.
const UNBOUNDED: (i64, u32) = (99_999_999, 10);

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParseNumber {
    /// The character before the decimals.
    point: char,
    /// Digits after the point that are allowed.
    scale: u32,
    /// What the target holds.
    bounds: (Decimal, Decimal),
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let what = "expected the decimal separator: \".\" or \",\"";
    let point = if call.has_arguments() {
        match call.one_text(what)? {
            "." => '.',
            "," => ',',
            _ => return Err(Wrong::arguments(what)),
        }
    } else {
        '.'
    };
    if !matches!(call.input.ty, Ty::Text { .. } | Ty::Words(_)) {
        return Err(Wrong::ty("text", "remove the step: the value is not text"));
    }
    let (scale, (min, max)) = match call.fit {
        Fit::Integer { min, max } => (0, (Decimal::from(*min), Decimal::from(*max))),
        Fit::Decimal { scale, min, max } => (*scale, (*min, *max)),
        // Nine digits on either side of the point, so that the fifteen of a float are not exceeded by much: what
        // is beyond fails.
        Fit::Double => (6, exact_in_double(6)),
        Fit::Boolean | Fit::Text { .. } | Fit::Date | Fit::Instant | Fit::Enumeration(_) | Fit::Options(_) | Fit::Link { .. } => {
            let bound = Decimal::from(UNBOUNDED.0);
            (UNBOUNDED.1, (-bound, bound))
        }
    };
    let output = call.typed(Ty::Decimal { scale, min, max });
    let why = format!("the text may not be a number from {} to {} with up to {scale} decimals", min.normalize(), max.normalize());
    Ok(Checked::fallible(Operation::ParseNumber(ParseNumber { point, scale, bounds: (min, max) }), output, why))
}

impl Operate for ParseNumber {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Text(text) => parse_number(&text, self.point, self.scale, &self.bounds),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        format!("number(\"{}\")", self.point)
    }
}

/// A number as people write it, see [`read`], within what the target holds.
fn parse_number<'a>(text: &str, point: char, scale: u32, bounds: &(Decimal, Decimal)) -> Result<Value<'a>, Failed> {
    let value = read(text, point).ok_or(Failed("the text is not a number"))?;
    if value.normalize().scale() > scale {
        return Err(Failed("the number has more decimals than the target can hold"));
    }
    if value < bounds.0 || bounds.1 < value {
        return Err(Failed("the number is outside the range of the target"));
    }
    Ok(Value::Decimal(value))
}

/// A number as people write it: an optional sign, digits, and decimals after `point`, which is `.` or `,`.
///
/// Digits may be in groups of three if one separator is used throughout: the other of `.` and `,`, a space, or an apostrophe. A
/// number in groups does not begin with 0: `0,123` means a decimal comma. Everything else is not a number: signs at the end,
/// exponents, units, digits of other scripts.
fn read(text: &str, point: char) -> Option<Decimal> {
    let text = text.trim();
    let (negative, body) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = match body.split_once(point) {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (body, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if decimals.is_some_and(|d| !digits(d)) {
        return None;
    }
    let other = if point == ',' { '.' } else { ',' };
    let is_separator = |c: char| c == other || matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\'' | '\u{2019}');
    let mut plain = String::with_capacity(text.len() + 1);
    if negative {
        plain.push('-');
    }
    match whole.chars().find(|c| is_separator(*c)) {
        Some(separator) => {
            for (i, group) in whole.split(separator).enumerate() {
                let right = if i == 0 { (1..=3).contains(&group.len()) && !group.starts_with('0') } else { group.len() == 3 };
                if !right || !digits(group) {
                    return None;
                }
                plain.push_str(group);
            }
        }
        // `.5` is half: nothing else can be meant.
        None if whole.is_empty() && decimals.is_some() => plain.push('0'),
        None if digits(whole) => plain.push_str(whole),
        None => return None,
    }
    if let Some(decimals) = decimals {
        plain.push('.');
        plain.push_str(decimals);
    }
    Decimal::from_str_exact(&plain).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::shared::trial::{check_for, output, run, text, up_to};

    #[test]
    fn a_number_in_groups_is_read_only_if_every_group_is_right() {
        let as_text = |text: &str, point| read(text, point).map(|d| d.to_string());
        for (text, point, number) in [
            ("1.234.567,50", ',', "1234567.50"),
            ("1,234.5", '.', "1234.5"),
            ("1 234", '.', "1234"),
            ("1\u{202f}234,5", ',', "1234.5"),
            ("1'234.5", '.', "1234.5"),
            (" -12,5 ", ',', "-12.5"),
            ("+7", '.', "7"),
            (".5", '.', "0.5"),
            ("007", '.', "7"),
        ] {
            assert_eq!(as_text(text, point).as_deref(), Some(number), "{text}");
        }
        for (text, point) in [
            ("19.99", ','),
            ("0.5", ','),
            ("0,123", '.'),
            ("01.02.2024", ','),
            ("12,34", '.'),
            ("1.234,567.8", ','),
            ("1 234.567", ','),
            ("1,23,456", '.'),
            ("1234,567", '.'),
            ("1.2.3", '.'),
            ("5-", '.'),
            ("- 5", '.'),
            ("--5", '.'),
            ("(5)", '.'),
            ("5.", '.'),
            ("1e3", '.'),
            ("1_000", '.'),
            ("12 EUR", '.'),
            ("\u{ff11}", '.'),
            ("", '.'),
            (".", '.'),
            ("-", '.'),
        ] {
            assert_eq!(as_text(text, point), None, "{text}");
        }
    }

    /// A number in groups of three, with the separators of a locale.
    fn grouped(number: i64, cents: u8, separator: &str, point: char) -> String {
        let digits = number.unsigned_abs().to_string();
        let mut out = String::new();
        for (i, c) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push_str(separator);
            }
            out.push(c);
        }
        let sign = if number < 0 { "-" } else { "" };
        format!("{sign}{out}{point}{cents:02}")
    }

    proptest! {
        #[test]
        fn a_number_that_is_written_is_read_back_and_a_changed_separator_never_changes_it(
            number in any::<i32>(),
            cents in 0_u8..100,
            separator in prop::sample::select(vec!["", ".", " ", "\u{a0}", "'"]),
            at in any::<prop::sample::Index>(),
            put in prop::sample::select(vec!["", ".", ",", " ", "'", "-", "+", "e", "x"]),
            remove in any::<bool>(),
        ) {
            let number = i64::from(number);
            let text = grouped(number, cents, separator, ',');
            let unsigned = Decimal::new(number.abs() * 100 + i64::from(cents), 2);
            let expected = if number < 0 { -unsigned } else { unsigned };
            prop_assert_eq!(read(&text, ','), Some(expected));
            // Another character between two digits, or a character that is not a digit taken away.
            let places: Vec<usize> = text.char_indices().map(|(i, _)| i).collect();
            let place = places[at.index(places.len())];
            let mut other = text.clone();
            let taken = other[place..].chars().next().expect("a character");
            if remove && !taken.is_ascii_digit() && taken != ',' && taken != '-' {
                other.replace_range(place..place + taken.len_utf8(), put);
            } else if put != "," && !(place == 0 && put == "-") {
                other.insert_str(place, put);
            }
            if let Some(found) = read(&other, ',') {
                prop_assert_eq!(found, expected, "{} from {}", other, text);
            }
        }
    }

    #[test]
    fn a_number_of_a_text_is_bounded_by_the_target() {
        let fit = Fit::Integer { min: 0, max: 100 };
        let checked = check_for(&STEP, &[text(",")], up_to(10), &fit);
        assert_eq!(output(&checked), (Ty::Decimal { scale: 0, min: Decimal::ZERO, max: 100.into() }, true));
        assert_eq!(run(&checked, Value::Text("42".into())), Ok(Value::Decimal(42.into())));
        for text in ["101", "1,5", "-1", "x"] {
            assert!(run(&checked, Value::Text(text.into())).is_err(), "{text}");
        }
        assert!(check_for(&STEP, &[text(";")], up_to(10), &fit).is_err());
    }
}
