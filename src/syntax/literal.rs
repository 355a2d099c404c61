//! Literals and strings: from the characters in the file to values.

use std::ops::Range;

use rust_decimal::Decimal;

use super::ast::LiteralValue;
use crate::time;

/// What is wrong with a literal: a range within it, the fault and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes, counted from the literal's start.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// The whole literal as it must be written, where that is certain.
    pub instead: Option<String>,
}

impl Fault {
    fn whole(text: &str, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { range: 0..text.len(), message: message.into(), help: help.into(), instead: None }
    }
}

/// A whole number.
pub fn integer(text: &str) -> Result<LiteralValue, Fault> {
    text.parse().map(LiteralValue::Integer).map_err(|_| {
        Fault::whole(
            text,
            "this number is too large",
            format!("whole numbers go from {} to {}; write a long code as text, in quotes", i64::MIN, i64::MAX),
        )
    })
}

/// A decimal number, exactly as written.
pub fn decimal(text: &str) -> Result<LiteralValue, Fault> {
    Decimal::from_str_exact(text)
        .map(LiteralValue::Decimal)
        .map_err(|_| Fault::whole(text, "this number has too many digits", "a decimal number has at most 28 digits"))
}

/// A day.
pub fn date(text: &str) -> Result<LiteralValue, Fault> {
    time::parse_date(text)
        .map(LiteralValue::Date)
        .ok_or_else(|| Fault::whole(text, "this date does not exist", "write dates as year-month-day: 2024-01-31"))
}

/// An instant.
pub fn instant(text: &str) -> Result<LiteralValue, Fault> {
    time::parse_instant(text).map(LiteralValue::Instant).ok_or_else(|| {
        Fault::whole(text, "this instant does not exist", "write instants as 2024-01-31T10:00:00Z, with Z or an offset such as +01:00")
    })
}

/// A duration, in seconds.
pub fn duration(text: &str) -> Result<LiteralValue, Fault> {
    let fault = || Fault::whole(text, "this duration is too long", "write days, hours or minutes: 30d, 12h, 5m");
    let (digits, unit) = text.split_at(text.len() - 1);
    let seconds: u64 = match unit {
        "d" => 86_400,
        "h" => 3_600,
        _ => 60,
    };
    // A hundred years bound every sensible duration and keep date arithmetic far from its limits.
    let limit = 36_525 * 86_400;
    let total = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).filter(|n| *n <= limit).ok_or_else(fault)?;
    Ok(LiteralValue::Duration(total))
}

/// A period of the calendar, in months and seconds.
pub fn period(text: &str) -> Result<(i32, i64), Fault> {
    let fault = || Fault::whole(text, "this period is too long", "write at most 1000 years: 6 months, 1 year, -90d");
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| fault())?;
    let (months, seconds) = match unit.trim() {
        "years" | "year" => (12, 0),
        "months" | "month" => (1, 0),
        "weeks" | "week" => (0, 7 * 86_400),
        "days" | "day" | "d" => (0, 86_400),
        "hours" | "hour" | "h" => (0, 3_600),
        _ => (0, 60),
    };
    let within = |count: i64, most: i64| number.checked_mul(count).filter(|n| n.abs() <= most).ok_or_else(fault);
    let months = i32::try_from(within(months, 12_000)?).map_err(|_| fault())?;
    Ok((months, within(seconds, 365_250 * 86_400)?))
}

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text, with escapes resolved.
    Text(String),
    /// The inside of `{…}`, with its place in the string.
    Placeholder(String, Range<usize>),
}

/// What must not be in a string as it is: control characters but for a tab, line separators, and characters that change the direction of text
/// over its end ("Trojan Source", CVE-2021-42574: the file would not say what it looks like). Marks such as U+200F stay: Arabic and
/// Hebrew text has them.
pub fn is_forbidden(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The first character that a string must not have.
fn forbidden(quoted: &str) -> Result<(), Fault> {
    let Some((at, c)) = quoted.char_indices().find(|(_, c)| is_forbidden(*c)) else { return Ok(()) };
    let what = if c.is_control() { "control character" } else { "invisible character" };
    Err(Fault {
        range: at..at + c.len_utf8(),
        message: format!("this string contains the {what} U+{:04X}", u32::from(c)),
        help: "remove the character; write a line break as \\n and a tab as \\t".to_owned(),
        instead: None,
    })
}

/// The inside of a string, with escapes resolved and, where `placeholders` says so, `{field}` found.
///
/// Escapes: `\"`, `\\`, `\n`, `\t`, `\{`, `\}`.
pub fn string(quoted: &str, placeholders: bool) -> Result<Vec<Piece>, Fault> {
    forbidden(quoted)?;
    let mut pieces = Vec::new();
    let mut text = String::new();
    let inner_end = quoted.len() - 1;
    let mut chars = quoted[..inner_end].char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('"' | '\\' | '{' | '}'))) => text.push(c),
                other => {
                    let end = other.map_or(at + 1, |(i, c)| i + c.len_utf8());
                    return Err(Fault {
                        range: at..end,
                        message: format!("`{}` is not an escape", &quoted[at..end]),
                        help: "escapes are \\\" \\\\ \\n \\t \\{ \\}; write a backslash as \\\\".to_owned(),
                        instead: None,
                    });
                }
            },
            '{' if placeholders => {
                let Some(length) = quoted[at..inner_end].find('}') else {
                    return Err(Fault {
                        range: at..inner_end,
                        message: "this placeholder is not closed".to_owned(),
                        help: "write the name of a field in braces: \"{firstname} {lastname}\"; write a brace as \\{".to_owned(),
                        instead: None,
                    });
                };
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Placeholder(quoted[at + 1..at + length].to_owned(), at + 1..at + length));
                while chars.next().is_some_and(|(_, c)| c != '}') {}
            }
            c => text.push(c),
        }
    }
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The inside of a string that is a regular expression. Escapes are those of every string, so a backslash of the expression is written twice.
pub fn pattern(quoted: &str) -> Result<String, Fault> {
    let pieces = string(quoted, false).map_err(|fault| {
        let escape = quoted.get(fault.range.clone()).is_some_and(|at| at.starts_with('\\'));
        if !escape {
            return fault;
        }
        let instead = with_double_backslashes(quoted);
        let help = format!("in a regular expression, write each backslash twice: {instead}");
        Fault { help, instead: Some(instead), ..fault }
    })?;
    let texts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) | Piece::Placeholder(text, _) => text,
    });
    Ok(texts.collect())
}

/// An expression in quotes whose backslashes are written once, but for those before quotes, with each of them written twice.
fn with_double_backslashes(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len() + 4);
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (c, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('"') => out.push_str("\\\""),
                Some('\\') => out.push_str("\\\\\\\\"),
                next => {
                    out.push_str("\\\\");
                    out.extend(next);
                }
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_escapes_are_distinguished() {
        let pieces = string(r#""a\{b {c.d}\"""#, true).unwrap();
        assert_eq!(pieces, [Piece::Text("a{b ".into()), Piece::Placeholder("c.d".into(), 7..10), Piece::Text("\"".into())]);
        assert_eq!(string(r#""{c}""#, false).unwrap(), [Piece::Text("{c}".into())]);
        assert_eq!(string(r#""""#, true).unwrap(), [Piece::Text(String::new())]);
    }

    #[test]
    fn control_characters_and_overrides_of_direction_are_faults_and_marks_of_arabic_text_are_not() {
        for (text, name) in [("\"a\u{0}\"", "U+0000"), ("\"a\u{1b}[2J\"", "U+001B"), ("\"a\u{9b}\"", "U+009B"), ("\"a\u{202e}\"", "U+202E")]
        {
            for fault in [string(text, true).unwrap_err(), pattern(text).unwrap_err()] {
                assert!(fault.range.start == 2 && fault.message.contains(name), "{fault:?}");
            }
        }
        for text in ["\"a\tb\"", "\"\u{200f}\u{5d0}\"", "\"\u{200b}é\""] {
            assert!(string(text, true).is_ok() && pattern(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_backslash_of_an_expression_is_written_twice() {
        assert_eq!(pattern(r#""^\\d\\{\"$""#).as_deref(), Ok(r#"^\d\{"$"#));
        let fault = pattern(r#""\"\d\\\n""#).unwrap_err();
        assert_eq!((fault.range, fault.instead.as_deref()), (3..5, Some(r#""\"\\d\\\\\\n""#)));
        assert_eq!(string(r#""\d""#, false).unwrap_err().instead, None);
    }

    #[test]
    fn faults_of_strings_have_a_place() {
        assert_eq!(string(r#""ab\q""#, true).unwrap_err().range, 3..5);
        assert_eq!(string(r#""ab{c""#, true).unwrap_err().range, 3..5);
    }

    #[test]
    fn periods_are_months_and_seconds_and_bounded() {
        for (text, months, seconds) in [
            ("6 months", 6, 0),
            ("-1 year", -12, 0),
            ("-90d", 0, -7_776_000),
            ("2  weeks", 0, 1_209_600),
            ("1 hour", 0, 3_600),
            ("5 minutes", 0, 300),
        ] {
            assert_eq!(period(text), Ok((months, seconds)), "{text}");
        }
        for text in ["1001 years", "12001 months", "-99999999d", "99999999999999999999 days"] {
            assert!(period(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_and_bounded() {
        assert_eq!(duration("30d"), Ok(LiteralValue::Duration(2_592_000)));
        assert_eq!(duration("5m"), Ok(LiteralValue::Duration(300)));
        assert!(duration("99999999999d").is_err());
    }
}
