//! Cells as pieces of a mapping file.

use crate::diagnostics::{Diagnostics, FileId};
use crate::schema::FieldType;
use crate::syntax::ast::{ArmFrom, Entry, File, Source};
use crate::syntax::{self, is_forbidden};

pub(super) fn yes(cell: &str) -> bool {
    matches!(cell.to_lowercase().as_str(), "yes" | "y" | "true" | "x" | "1" | "on")
}

pub(super) fn no(cell: &str) -> bool {
    matches!(cell.to_lowercase().as_str(), "no" | "n" | "false" | "0" | "off")
}

pub(super) fn plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn quoted(text: &str) -> String {
    let escaped =
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t").replace('{', "\\{").replace('}', "\\}");
    // A carriage return belongs to a line break; no other control character can be in a string of the language (D012).
    format!("\"{}\"", escaped.replace(is_forbidden, ""))
}

/// A name as a mapping file writes it.
pub(super) fn spelled(path: &str) -> String {
    path.split('.')
        .map(|p| if plain(p) { p.to_owned() } else { format!("`{}`", p.replace(is_forbidden, "")) })
        .collect::<Vec<_>>()
        .join(".")
}

/// Steps as a mapping file separates them. Between steps, tables have commas, semicolons or line breaks; within parentheses, braces and
/// quotation marks these belong to the step.
pub(super) fn steps(cell: &str) -> String {
    // As the language has them.
    if reads(&format!("a -> b | {cell}")) {
        return cell.to_owned();
    }
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in cell.chars() {
        // Text programs turn quotation marks round.
        let c = if matches!(c, '“' | '”' | '„' | '‟') { '"' } else { c };
        match c {
            '"' if !escaped => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' | '}' | ']' if !quoted => depth = depth.saturating_sub(1),
            ',' | ';' | '\n' | '|' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// The lines as those of a mapping; `None` if a mapping cannot contain them.
fn parsed(lines: &str) -> Option<File> {
    let mut diagnostics = Diagnostics::default();
    let file = syntax::parse(FileId(0), &format!("mapping a: d365.contact -> campaign.profile {{\n{lines}\n}}\n"), &mut diagnostics);
    diagnostics.is_empty().then_some(file)
}

/// Whether a mapping can contain the lines.
pub(super) fn reads(lines: &str) -> bool {
    parsed(lines).is_some()
}

/// Whether a cell is a source of the language that is not a field: a literal, a text with fields, a function, a `case`, a formula.
pub(super) fn is_source(cell: &str) -> bool {
    let file = parsed(&format!("{cell} -> a"));
    let entries = file.as_ref().and_then(|file| file.mappings.first()).map_or(&[][..], |mapping| &mapping.entries);
    matches!(entries, [Entry::Field(field)] if !matches!(field.source, Source::Field(_)))
}

/// Whether a cell is a comparison as in a case of the language: `< 18`, `in (1, 2)`.
pub(super) fn is_comparison(cell: &str) -> bool {
    let file = parsed(&format!("replace a {{ {cell} => 1 }}"));
    let entries = file.as_ref().and_then(|file| file.mappings.first()).map_or(&[][..], |mapping| &mapping.entries);
    let [Entry::Replace(replace)] = entries else { return false };
    matches!(replace.arms.as_slice(), [arm] if matches!(arm.from, Some(ArmFrom::Test { .. })))
}

/// Whether a cell is a text of the language in its quotation marks.
pub(super) fn is_text(cell: &str) -> bool {
    cell.len() > 1 && cell.starts_with('"') && cell.ends_with('"') && is_source(cell)
}

/// A cell as a value of a field of this type, which is not a date.
pub(super) fn value(cell: &str, ty: Option<&FieldType>) -> String {
    match ty {
        Some(FieldType::Boolean { .. }) if yes(cell) => "true".to_owned(),
        Some(FieldType::Boolean { .. }) if no(cell) => "false".to_owned(),
        Some(FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_))
            if plain(cell) && !matches!(cell, "true" | "false" | "null") =>
        {
            cell.to_owned()
        }
        Some(FieldType::Choice(_) | FieldType::MultiChoice(_)) if cell.parse::<i64>().is_ok() => cell.to_owned(),
        Some(FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double)
            if cell.parse::<rust_decimal::Decimal>().is_ok() =>
        {
            cell.to_owned()
        }
        // What a number looks like is one where nothing says otherwise.
        None if cell.parse::<i64>().is_ok() => cell.to_owned(),
        _ => quoted(cell),
    }
}
