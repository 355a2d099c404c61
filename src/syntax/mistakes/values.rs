//! Mistakes in values: quotes, dates, numbers, durations, commas and comments.

use super::conditions::duration;
use super::{Mistake, Write, unquoted};
use crate::diagnostics::Safety::{Safe, Unsafe};
use crate::syntax::faulty::Context::{Arm, Assignment, Branch, Clause, Condition, Entry, Item, Setting};

pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        contexts: &[Item, Entry, Arm, Branch, Condition, Assignment],
        pattern: r"(?P<at>'[^'\n]*')",
        write: Write::By(|p| {
            let text = unquoted(p.get("at"))?;
            (!text.contains(['\\', '{', '}', '"'])).then(|| format!("\"{text}\""))
        }),
        safety: Safe,
        message: "a text is written in double quotes",
        label: "single quotes",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry, Arm, Branch, Condition, Assignment],
        pattern: r"(?P<at>'[^'\n]*')",
        write: Write::Unknown,
        safety: Unsafe,
        message: "a text is written in double quotes",
        label: "single quotes",
        help: "write \"…\"; in the text, write `\\\"` for a quote and `\\{` for a brace",
    },
    Mistake {
        contexts: &[Item, Entry, Arm, Branch, Condition, Setting],
        pattern: r"^\s*(?P<at>//|--|/\*)",
        write: Write::By(|p| (p.get("at") == "//").then(|| "#".to_owned())),
        safety: Safe,
        message: "a comment begins with `#`",
        label: "not a comment here",
        help: "write `# …`",
    },
    Mistake {
        contexts: &[Item, Entry, Arm, Branch, Condition, Setting],
        pattern: r"^\s*(?P<at>--|/\*)",
        write: Write::Unknown,
        safety: Safe,
        message: "a comment begins with `#`",
        label: "not a comment here",
        help: "write `# …`",
    },
    Mistake {
        contexts: &[Entry, Arm, Branch, Condition, Setting],
        pattern: r"(?P<at>//)",
        write: Write::As("#"),
        safety: Safe,
        message: "a comment begins with `#`",
        label: "not a comment here",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Entry, Arm, Branch, Condition, Setting],
        pattern: r"(?P<at>/\*)",
        write: Write::Unknown,
        safety: Safe,
        message: "a comment begins with `#`",
        label: "not a comment here",
        help: "write `# …`",
    },
    Mistake {
        contexts: &[Entry, Arm, Branch, Condition, Setting],
        pattern: r"(?P<at>,)\s*$",
        write: Write::As(""),
        safety: Safe,
        message: "entries are not separated by commas",
        label: "remove this comma",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Clause, Assignment, Arm],
        pattern: r"(?P<at>\b(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4}))\b",
        write: Write::By(|p| day(p.get("y"), p.get("m"), p.get("d"))),
        safety: Unsafe,
        message: "a date is written year-month-day",
        label: "not a date",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Clause, Assignment, Arm],
        pattern: r"(?P<at>\b(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4}))\b",
        write: Write::By(|p| {
            let (a, b): (u8, u8) = (p.get("a").parse().ok()?, p.get("b").parse().ok()?);
            match (a, b) {
                _ if a == b || a > 12 => day(p.get("y"), p.get("b"), p.get("a")),
                _ if b > 12 => day(p.get("y"), p.get("a"), p.get("b")),
                _ => None,
            }
        }),
        safety: Unsafe,
        message: "a date is written year-month-day",
        label: "not a date",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Clause, Assignment, Arm],
        pattern: r"(?P<at>\b(?P<y>\d{4})[./-](?P<m>\d{1,2})[./-](?P<d>\d{1,2}))\b",
        write: Write::By(|p| day(p.get("y"), p.get("m"), p.get("d"))),
        safety: Safe,
        message: "a date is written year-month-day, with two digits for month and day",
        label: "not a date",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Clause, Assignment, Arm],
        pattern: r"(?P<at>\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4})\b",
        write: Write::Unknown,
        safety: Unsafe,
        message: "a date is written year-month-day",
        label: "not a date",
        help: "write the year with four digits, the month and the day, such as `2024-01-31`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm, Assignment],
        pattern: r"(?:(?:[=<>:]|\band\b|\bbetween\b)\s*-?)(?P<at>\d{1,3}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+|(?:,\d{3}){2,}|(?:,\d{3})+\.\d+|(?:['’ ]\d{3})+(?:[.,]\d+)?|\d*,\d+))\b",
        write: Write::By(|p| {
            let number = number(p.get("at"))?;
            let whole = p.text.get(p.captures.get(0)?.range())?;
            Some(format!("{}{number}", whole.strip_suffix(p.get("at"))?))
        }),
        safety: Unsafe,
        message: "a number has a decimal point and no thousands separators",
        label: "not a number",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Arm],
        pattern: r"(?P<a>[=<>]\s*-?\d[\d.]*)(?P<at>\s*(?:EUR|USD|CHF|GBP|Euros?|euros?|Dollars?|dollars?|[€$£%]|pcs|kg|km|percent|Prozent))",
        write: Write::As("<a>"),
        safety: Unsafe,
        message: "a number is written without a unit",
        label: "remove this",
        help: "write `{line}`",
    },
    Mistake {
        contexts: &[Condition, Branch, Setting],
        pattern: r"(?P<before>[+-]|\bwithin\b|\bevery\b)\s*(?P<at>(?P<n>\d+)\s*(?P<u>(?i:years?|months?|weeks?|days?|hours?|hrs?|minutes?|min|tage?|wochen?|monate?|jahre?|stunden?)|y|w))\b",
        write: Write::By(|p| Some(format!("{} {}", p.get("before"), duration(p.get("n"), p.get("u"))?))),
        safety: Safe,
        message: "a duration is written in days, hours or minutes",
        label: "not a duration",
        help: "write `{line}`",
    },
];

/// A day as the language writes it, if there is one.
fn day(year: &str, month: &str, day: &str) -> Option<String> {
    let text = format!("{year}-{month:0>2}-{day:0>2}");
    crate::time::parse_date(&text).map(|_| text)
}

/// A number with separators as the language writes it. Nothing if it can be read in two ways.
fn number(text: &str) -> Option<String> {
    let (points, commas) = (text.matches('.').count(), text.matches(',').count());
    let plain = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    match (points, commas) {
        (2.., 0) | (0, 2..) | (0, 0) => Some(plain(text)),
        (1.., 1) if text.rfind(',') > text.rfind('.') => text.rsplit_once(',').map(|(whole, part)| format!("{}.{part}", plain(whole))),
        (1, 1..) => text.rsplit_once('.').map(|(whole, part)| format!("{}.{part}", plain(whole))),
        (0, 1) => {
            let (whole, part) = text.split_once(',')?;
            (part.len() != 3).then(|| format!("{}.{part}", plain(whole)))
        }
        _ => None,
    }
}
