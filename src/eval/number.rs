//! Operations on numbers. Money never passes through a floating-point number.

use rust_decimal::{Decimal, RoundingStrategy};

/// Rounds half away from zero, as invoices do.
pub fn round(value: Decimal, scale: u32) -> Decimal {
    value.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
}

/// A decimal number as JSON writes it, with or without exponent.
pub fn parse(text: &str) -> Option<Decimal> {
    if text.bytes().any(|b| matches!(b, b'e' | b'E')) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
}

/// A number as people write it: an optional sign, digits, and decimals after `point`, which is `.` or `,`.
///
/// Digits may be in groups of three if one separator is used throughout: the other of `.` and `,`, a space, or an apostrophe. A
/// number in groups does not begin with 0: `0,123` means a decimal comma. Everything else is not a number: signs at the end,
/// exponents, units, digits of other scripts.
pub fn written(text: &str, point: char) -> Option<Decimal> {
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

    #[test]
    fn a_number_in_groups_is_read_only_if_every_group_is_right() {
        let read = |text: &str, point| written(text, point).map(|d| d.to_string());
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
            assert_eq!(read(text, point).as_deref(), Some(number), "{text}");
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
            assert_eq!(read(text, point), None, "{text}");
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
            prop_assert_eq!(written(&text, ','), Some(expected));
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
            if let Some(read) = written(&other, ',') {
                prop_assert_eq!(read, expected, "{} from {}", other, text);
            }
        }
    }

    #[test]
    fn half_goes_away_from_zero() {
        assert_eq!(round(Decimal::new(2345, 3), 2), Decimal::new(235, 2));
        assert_eq!(round(Decimal::new(-2345, 3), 2), Decimal::new(-235, 2));
    }

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(parse("20000.0000").map(|d| d.to_string()), Some("20000.0000".to_owned()));
        assert_eq!(parse("922337203685477.5807").map(|d| d.to_string()), Some("922337203685477.5807".to_owned()));
        assert_eq!(parse("1e3"), Some(Decimal::from(1000)));
        assert_eq!(parse("x"), None);
    }
}
