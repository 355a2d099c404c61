//! The keys of a table against the types of the fields that they are compared with.

use std::sync::Arc;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::values::{boolean, date, decimal, integer};
use super::{Content, Declared, faults, load, shown};
use crate::check::Context;
use crate::check::types::Ty;
use crate::diagnostics::{Code, Diagnostic, Span, nearest};
use crate::plan::{Cells, Column, Const, LookupTable};
use crate::schema::ChoiceSet;
use crate::unicode::nfc;

/// The most combinations of values for which a row is looked for, to find out whether a lookup can fail.
const MOST_COMBINATIONS: usize = 10_000;

/// What a key column is compared with.
pub(in crate::check) struct Key<'k> {
    /// The field, or the step.
    pub(in crate::check) span: Span,
    /// In words: `` `gendercode` ``, or `the value`.
    pub(in crate::check) what: String,
    pub(in crate::check) ty: &'k Ty,
    /// Whether an empty value is looked up too, for which there is no row.
    pub(in crate::check) nullable: bool,
}

/// How the cells of a key column are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum KeyKind {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    Guid,
    /// By the number of an option; a cell has the number or the label.
    Choice(Arc<ChoiceSet>),
}

/// How each key column is compared.
pub(super) fn kinds(keys: &[Key<'_>], content: &Content, table: &str, context: &mut Context<'_>) -> Option<Vec<KeyKind>> {
    let mut kinds = Some(Vec::new());
    for (key, (column, declared)) in keys.iter().zip(&content.keys) {
        let name = content.sheet.columns.get(*column).map_or("", String::as_str);
        match kind(key.ty) {
            Ok(kind) => kinds.iter_mut().for_each(|kinds| kinds.push(kind.clone())),
            Err(help) => {
                kinds = None;
                let message = format!("{} cannot be compared with the key `{name}` of the table `{table}`", key.what);
                context.report(Diagnostic::new(Code::D325, key.span, message, key.ty.describe()).related(*declared, "the key").help(help));
            }
        }
    }
    kinds
}

fn kind(ty: &Ty) -> Result<KeyKind, &'static str> {
    Ok(match ty {
        Ty::Text { .. } | Ty::Words(_) => KeyKind::Text,
        Ty::Integer { .. } => KeyKind::Integer,
        Ty::Decimal { .. } => KeyKind::Decimal,
        Ty::Boolean => KeyKind::Boolean,
        Ty::Date => KeyKind::Date,
        Ty::Guid => KeyKind::Guid,
        Ty::Choice(set) => KeyKind::Choice(set.clone()),
        Ty::Double => return Err("convert it to an exact number with a step before `lookup`: `| round(0) | lookup …`"),
        Ty::Instant | Ty::Local => return Err("take the day with a step before `lookup`: `| date | lookup …`"),
        Ty::Options(_) => return Err("several options cannot be looked up: use `| label(\", \")` for their labels"),
        Ty::Null => return Err("the value is always empty: look up another field"),
    })
}

/// The table with its keys as they are compared.
pub(super) fn lower(
    declared: &Declared,
    content: &Content,
    kinds: &[KeyKind],
    keys: &[Key<'_>],
    context: &mut Context<'_>,
) -> Option<LookupTable> {
    let mut columns = Vec::new();
    let mut whole = true;
    for ((kind, key), (column, span)) in kinds.iter().zip(keys).zip(&content.keys) {
        let name = content.sheet.columns.get(*column).cloned().unwrap_or_default();
        match cells(kind, content, *column) {
            Ok(cells) => columns.push(Column { name, cells }),
            Err(wrong) => {
                whole = false;
                let message = format!("keys of the table `{}` do not fit {}, {}", declared.name.text, key.what, key.ty.describe());
                let help = match kind {
                    KeyKind::Choice(_) => "write the number or the label of an option; remove rows for options that do not exist",
                    KeyKind::Text => "correct the file",
                    _ => "correct the file, or convert the value to text before the lookup: `| string | lookup …`",
                };
                context.report(
                    Diagnostic::new(Code::D325, key.span, message, faults(&wrong, content))
                        .related(*span, format!("the key, read from {}", declared.file))
                        .help(help),
                );
            }
        }
    }
    whole.then_some(())?;
    let at = context.at(declared.name.span);
    match LookupTable::new(declared.name.text.clone(), at, declared.file.clone(), columns) {
        Ok(table) => Some(table),
        Err(twice) => {
            // Texts that are the same are reported with the declaration: these are two ways to write one value.
            let named = |(row, first): &(usize, usize)| {
                let key: Vec<String> = content.keys.iter().filter_map(|(column, _)| content.cells(*column).nth(*row).map(shown)).collect();
                (*row, format!("{}, as {}", key.join(", "), content.place(*first)))
            };
            let rows = faults(&twice.iter().take(1_000).map(named).collect::<Vec<_>>(), content);
            let span = content.keys.first().map_or(declared.name.span, |(_, span)| *span);
            let used = keys.first().map_or(span, |key| key.span);
            context.report(load::repeated(span, &declared.file, &rows).related(used, "compared with this"));
            None
        }
    }
}

/// The cells of a key column; or the rows that do not fit.
fn cells(kind: &KeyKind, content: &Content, column: usize) -> Result<Cells, Vec<(usize, String)>> {
    fn all<T>(content: &Content, column: usize, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<Option<T>>, Vec<(usize, String)>> {
        let (mut cells, mut wrong) = (Vec::with_capacity(content.sheet.rows.len()), Vec::new());
        for (row, cell) in content.cells(column).enumerate() {
            match read(cell) {
                Ok(value) => cells.push(Some(value)),
                Err(why) => wrong.push((row, why)),
            }
        }
        if wrong.is_empty() { Ok(cells) } else { Err(wrong) }
    }
    let not = |cell: &str, what: &str| format!("{} is not {what}", shown(cell));
    Ok(match kind {
        KeyKind::Text => Cells::Texts(all(content, column, |cell| Ok(nfc(cell).into()))?),
        KeyKind::Guid => Cells::Texts(all(content, column, |cell| {
            let guid = Uuid::parse_str(cell.trim_matches(['{', '}'])).map_err(|_| not(cell, "a GUID"))?;
            Ok(guid.hyphenated().to_string().into())
        })?),
        KeyKind::Integer => Cells::Integers(all(content, column, |cell| integer(cell).ok_or_else(|| not(cell, "a whole number")))?),
        KeyKind::Decimal => Cells::Decimals(all(content, column, |cell| decimal(cell).ok_or_else(|| not(cell, "a number")))?),
        KeyKind::Boolean => Cells::Booleans(all(content, column, |cell| boolean(cell).ok_or_else(|| not(cell, "true or false")))?),
        KeyKind::Date => Cells::Dates(all(content, column, |cell| date(cell).ok_or_else(|| not(cell, "a day such as 2024-01-31")))?),
        KeyKind::Choice(set) => Cells::Integers(all(content, column, |cell| option(cell, set))?),
    })
}

/// The option that a cell names: by its number, or else by its label.
fn option(cell: &str, set: &ChoiceSet) -> Result<i64, String> {
    if let Some(option) = integer(cell).and_then(|number| set.by_value(number)) {
        return Ok(option.value);
    }
    match set.by_label(cell).as_slice() {
        [one] => Ok(one.value),
        [] => {
            let near = nearest(cell, set.options.iter().map(|option| option.label.as_str()));
            let near = near.map(|label| format!(" (did you mean `{label}`?)")).unwrap_or_default();
            Err(format!("{} is neither the number nor the label of an option{near}", shown(cell)))
        }
        several => {
            let numbers: Vec<String> = several.iter().map(|option| option.value.to_string()).collect();
            Err(format!("{} is the label of several options: write a number ({})", shown(cell), numbers.join(", ")))
        }
    }
}

/// Why there may be no row for the values of the keys; `None` if there is one for each.
pub(super) fn missing(keys: &[Key<'_>], table: &LookupTable, name: &str) -> Option<String> {
    if let Some(key) = keys.iter().find(|key| key.nullable) {
        return Some(format!("{} may be empty, and no row has an empty key", key.what));
    }
    let unknown = || Some(format!("the table `{name}` may have no row for the value"));
    let mut combinations: Vec<Vec<Const>> = vec![Vec::new()];
    for key in keys {
        let Some(values) = domain(key.ty) else { return unknown() };
        if combinations.len().saturating_mul(values.len()) > MOST_COMBINATIONS {
            return unknown();
        }
        let with =
            |before: &Vec<Const>| values.iter().map(|value| [before.as_slice(), std::slice::from_ref(value)].concat()).collect::<Vec<_>>();
        combinations = combinations.iter().flat_map(with).collect();
    }
    let absent: Vec<&Vec<Const>> = combinations.iter().filter(|keys| table.find_constants(keys).is_none()).collect();
    let (first, more) = (absent.first()?, absent.len() - 1);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let shown: Vec<String> = first.iter().zip(keys).map(|(value, key)| value_text(value, key.ty)).collect();
    Some(format!("the table `{name}` has no row for {}{more}", shown.join(", ")))
}

/// Every value of a type, if there are few.
fn domain(ty: &Ty) -> Option<Vec<Const>> {
    Some(match ty {
        Ty::Boolean => vec![Const::Boolean(false), Const::Boolean(true)],
        Ty::Choice(set) => set.options.iter().map(|option| Const::Integer(option.value)).collect(),
        Ty::Words(words) if words.len() <= MOST_COMBINATIONS => words.iter().cloned().map(Const::Text).collect(),
        Ty::Integer { min, max } => {
            let count = max.checked_sub(*min).and_then(|n| usize::try_from(n).ok()).filter(|n| *n < MOST_COMBINATIONS)?;
            (0..=count).filter_map(|n| min.checked_add(i64::try_from(n).ok()?)).map(Const::Integer).collect()
        }
        Ty::Decimal { min, max, .. } if min == max => vec![Const::Decimal(Decimal::normalize(min))],
        _ => return None,
    })
}

fn value_text(value: &Const, ty: &Ty) -> String {
    match (value, ty) {
        (Const::Integer(n), Ty::Choice(set)) => {
            set.by_value(*n).map_or_else(|| n.to_string(), |option| format!("{} ({})", option.value, option.label))
        }
        (value, _) => crate::plan::constant(value),
    }
}
