//! The values of a table's column: their type, and whether each of them fits the target.

use std::collections::HashSet;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Content, Declared, faults, shown};
use crate::check::Context;
use crate::check::replace::Expect;
use crate::check::types::{Ty, Typed, exact_in_double, length, list};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Cells, Fit};
use crate::schema::{Choice, ChoiceSet};
use crate::syntax::ast::Path;
use crate::time::Date;

/// A column with more different texts than this is a text of a length, and not one of its texts.
const MOST_WORDS: usize = 1_000;

/// What the cells of a column are in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellKind {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
}

/// A whole number as it is written without a sign or zeros that say nothing: `007` is a text.
pub(super) fn integer(cell: &str) -> Option<i64> {
    is_number(cell, false).then(|| cell.parse().ok()).flatten()
}

/// An exact decimal number of at most 28 digits.
pub(super) fn decimal(cell: &str) -> Option<Decimal> {
    if !is_number(cell, true) || cell.bytes().filter(u8::is_ascii_digit).count() > 28 {
        return None;
    }
    Decimal::from_str_exact(cell).ok()
}

fn is_number(cell: &str, decimals: bool) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(|f| decimals && all(f))
}

pub(super) fn boolean(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn date(cell: &str) -> Option<Date> {
    (cell.len() == 10).then(|| cell.parse().ok()).flatten()
}

/// The kind that fits every cell of a column: whole numbers, numbers, or text.
fn natural(content: &Content, column: usize) -> CellKind {
    let mut kind = CellKind::Integer;
    let mut any = false;
    for cell in content.cells(column).filter(|cell| !cell.is_empty()) {
        any = true;
        kind = match kind {
            CellKind::Integer if integer(cell).is_some() => CellKind::Integer,
            CellKind::Integer | CellKind::Decimal if decimal(cell).is_some() => CellKind::Decimal,
            _ => return CellKind::Text,
        };
    }
    if any { kind } else { CellKind::Text }
}

/// What the cells are for a target, if they go straight into it.
fn for_target(fit: &Fit, natural: CellKind) -> CellKind {
    match fit {
        // As they are written: `1.50` stays `1.50`.
        Fit::Text { .. } | Fit::Enumeration(_) => CellKind::Text,
        Fit::Integer { .. } | Fit::Options(_) => CellKind::Integer,
        Fit::Decimal { .. } | Fit::Double if natural == CellKind::Integer => CellKind::Integer,
        Fit::Decimal { .. } | Fit::Double => CellKind::Decimal,
        Fit::Boolean => CellKind::Boolean,
        Fit::Date | Fit::Instant => CellKind::Date,
        Fit::Link { .. } => natural,
    }
}

/// The cells of a column and their type. Every value is checked against the target that it goes straight into.
pub(super) fn column(
    content: &Content,
    at: usize,
    path: &Path,
    declared: &Declared,
    expect: &Expect<'_>,
    context: &mut Context<'_>,
) -> Option<(CellKind, Cells, Typed)> {
    let natural = natural(content, at);
    let fit = match expect {
        Expect::Target(fit, target) => Some((*fit, *target)),
        Expect::Any(_) => None,
    };
    let kind = fit.map_or(natural, |(fit, _)| for_target(fit, natural));
    let mut wrong = Vec::new();
    let cells = read(kind, content, at, &mut wrong);
    if let (Some((fit, _)), true) = (fit, wrong.is_empty()) {
        unfit(&cells, fit, content, at, &mut wrong);
    }
    if !wrong.is_empty() {
        let target = fit.map_or("the target", |(_, target)| target);
        let message = format!("values of `{}` do not fit `{target}`", path.text());
        context.report(
            Diagnostic::new(Code::D327, path.span, message, faults(&wrong, content))
                .related(declared.name.span, format!("the table, read from {}", declared.file))
                .help(remedy(fit.map(|(fit, _)| fit))),
        );
        return None;
    }
    let typed = typed(&cells, fit.map(|(fit, _)| fit));
    Some((kind, cells, typed))
}

/// The cells as values of a kind. Cells that are not such values are noted.
fn read(kind: CellKind, content: &Content, at: usize, wrong: &mut Vec<(usize, String)>) -> Cells {
    fn all<T>(
        content: &Content,
        at: usize,
        what: &str,
        wrong: &mut Vec<(usize, String)>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<Option<T>> {
        let one = |(row, cell): (usize, &str)| {
            if cell.is_empty() {
                return None;
            }
            let value = read(cell);
            if value.is_none() {
                wrong.push((row, format!("{} is not {what}", shown(cell))));
            }
            value
        };
        content.cells(at).enumerate().map(one).collect()
    }
    match kind {
        CellKind::Text => Cells::Texts(all(content, at, "a text", wrong, |cell| Some(cell.into()))),
        CellKind::Integer => Cells::Integers(all(content, at, "a whole number", wrong, integer)),
        CellKind::Decimal => Cells::Decimals(all(content, at, "a number", wrong, decimal)),
        CellKind::Boolean => Cells::Booleans(all(content, at, "true or false", wrong, boolean)),
        CellKind::Date => Cells::Dates(all(content, at, "a day such as 2024-01-31", wrong, date)),
    }
}

/// Notes the values that a target does not admit.
fn unfit(cells: &Cells, fit: &Fit, content: &Content, at: usize, wrong: &mut Vec<(usize, String)>) {
    let raw = |row: usize| shown(content.sheet.rows.get(row).and_then(|row| row.cells.get(at)).map_or("", String::as_str));
    let mut note = |row: usize, why: String| wrong.push((row, format!("{} {why}", raw(row))));
    match (cells, fit) {
        (Cells::Texts(cells), Fit::Text { max: Some(max) }) => {
            for (row, cell) in cells.iter().enumerate() {
                let long = cell.as_ref().map_or(0, |text| length(text));
                if long > *max {
                    note(row, format!("has {long} characters, but only {max} fit"));
                }
            }
        }
        (Cells::Texts(cells), Fit::Enumeration(names)) => {
            let names: HashSet<&str> = names.iter().map(String::as_str).collect();
            for (row, cell) in cells.iter().enumerate() {
                if cell.as_ref().is_some_and(|text| !names.contains(&**text)) {
                    note(row, "is not one of its values".to_owned());
                }
            }
        }
        (Cells::Integers(cells), Fit::Options(options)) => {
            for (row, cell) in cells.iter().enumerate() {
                if cell.is_some_and(|n| !options.contains(&n)) {
                    note(row, "is not the number of an option".to_owned());
                }
            }
        }
        (Cells::Integers(_) | Cells::Decimals(_), _) => {
            let number = |row: usize| match cells {
                Cells::Integers(cells) => cells[row].map(Decimal::from),
                Cells::Decimals(cells) => cells[row],
                _ => None,
            };
            for row in 0..cells.row_count() {
                let Some(n) = number(row) else { continue };
                let (low, high, scale) = match fit {
                    Fit::Integer { min, max } => (Decimal::from(*min), Decimal::from(*max), 0),
                    Fit::Decimal { scale, min, max } => (*min, *max, *scale),
                    Fit::Double => {
                        let (low, high) = exact_in_double(n.scale());
                        (low, high, 28)
                    }
                    _ => continue,
                };
                if n < low || high < n {
                    note(row, format!("is not between {} and {}", low.normalize(), high.normalize()));
                } else if n.normalize().scale() > scale {
                    note(row, format!("has more than {scale} decimals"));
                }
            }
        }
        _ => {}
    }
}

fn remedy(fit: Option<&Fit>) -> String {
    match fit {
        Some(Fit::Text { max: Some(max) }) => {
            format!("shorten the values in the file, or add `| truncate({max})` after the lookup")
        }
        Some(Fit::Enumeration(names)) => format!(
            "correct the file, or write what each value becomes: `| map {{ … }}` after the lookup; its values are {}",
            list(names.iter().map(String::as_str), 8)
        ),
        Some(Fit::Date | Fit::Instant) => {
            "correct the file, or read the text as a date: `| date(\"dd.MM.yyyy\") or null` after the lookup".to_owned()
        }
        Some(Fit::Integer { .. } | Fit::Decimal { .. } | Fit::Double) => {
            "correct the file, or convert the values with a step after the lookup: `| round(0)`, `| number(\",\") or null`".to_owned()
        }
        _ => "correct the file".to_owned(),
    }
}

/// The type of the values.
fn typed(cells: &Cells, fit: Option<&Fit>) -> Typed {
    fn range<T: Copy + Ord>(cells: &[Option<T>]) -> Option<(T, T)> {
        let values = || cells.iter().flatten().copied();
        Some((values().min()?, values().max()?))
    }
    let ty = match cells {
        Cells::Texts(cells) => {
            let mut seen: HashSet<&str> = HashSet::new();
            let words: Vec<&str> =
                cells.iter().flatten().map(|text| &**text).filter(|text| seen.insert(*text)).take(MOST_WORDS + 1).collect();
            match words.len() {
                0 => Ty::Null,
                n if n <= MOST_WORDS => Ty::Words(words.into_iter().map(str::to_owned).collect()),
                _ => Ty::Text { max: cells.iter().flatten().map(|text| length(text)).max() },
            }
        }
        Cells::Integers(cells) => match (range(cells), fit) {
            (None, _) => Ty::Null,
            // Each number is that of an option.
            (Some(_), Some(Fit::Options(_))) => {
                let mut numbers: Vec<i64> = cells.iter().flatten().copied().collect();
                numbers.sort_unstable();
                numbers.dedup();
                let options = numbers.into_iter().map(|value| Choice { value, label: value.to_string() }).collect();
                Ty::Choice(Arc::new(ChoiceSet { options }))
            }
            (Some((min, max)), _) => Ty::Integer { min, max },
        },
        Cells::Decimals(cells) => match range(cells) {
            None => Ty::Null,
            Some((min, max)) => Ty::Decimal { scale: cells.iter().flatten().map(|n| n.normalize().scale()).max().unwrap_or(0), min, max },
        },
        Cells::Booleans(cells) => range(cells).map_or(Ty::Null, |_| Ty::Boolean),
        Cells::Dates(cells) => range(cells).map_or(Ty::Null, |_| Ty::Date),
    };
    let empty = match cells {
        Cells::Texts(cells) => cells.iter().any(Option::is_none),
        Cells::Integers(cells) => cells.iter().any(Option::is_none),
        Cells::Decimals(cells) => cells.iter().any(Option::is_none),
        Cells::Booleans(cells) => cells.iter().any(Option::is_none),
        Cells::Dates(cells) => cells.iter().any(Option::is_none),
    };
    Typed::new(ty, empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_loses_nothing_as_one() {
        assert_eq!(["0", "-7", "42"].map(integer), [Some(0), Some(-7), Some(42)]);
        assert_eq!(["007", "+1", "-", "", "1.0", "1e3", " 1", "99999999999999999999"].map(integer), [None; 8]);
        assert_eq!(decimal("1.50"), Some(Decimal::new(150, 2)));
        assert_eq!(["1.", ".5", "00.5", "1,5", "1e3", "12345678901234567890123456789"].map(decimal), [None; 6]);
    }
}
