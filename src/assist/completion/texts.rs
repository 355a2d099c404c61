//! Completion within texts and comments: placeholders, files, options, time zones, countries, and codes that can be allowed.

use std::path::Path;

use lsp_types::{CompletionItem, CompletionItemKind};

use super::items::{fields, item};
use super::lookups::through_lookups;
use super::{Place, at_place, constants, tables};
use crate::assist::group::Group;
use crate::diagnostics::{Code, Severity};
use crate::steps::{countries, time_zones};

/// The codes of warnings, after `# allow(`.
pub(super) fn in_comment(before: &str, after: &str) -> Vec<CompletionItem> {
    let typed = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    if !typed.trim_end().ends_with("allow(") {
        return Vec::new();
    }
    let end = if after.starts_with(')') { "" } else { "): " };
    let warnings = Code::ALL.iter().filter(|code| code.severity() == Severity::Warning);
    warnings
        .map(|code| CompletionItem {
            insert_text: Some(format!("{code}{end}")),
            ..item(code.name(), CompletionItemKind::CONSTANT, code.title())
        })
        .collect()
}

/// What a text can have at the cursor. `start`: where the text begins.
pub(super) fn in_text(group: &Group, file: usize, start: usize, offset: usize, place: &Place<'_>) -> Vec<CompletionItem> {
    let text = &group.files[file].text;
    let content = text.get(start + 1..offset).unwrap_or_default();
    let mappings = place.blocks.first().is_some_and(|block| block.header.first() == Some(&"mapping"));
    if let Some(typed) = placeholder(content).filter(|_| mappings) {
        return placeholders(typed, text.get(offset..).unwrap_or_default(), group, place);
    }
    match place.entry.as_slice() {
        ["include"] => files(group, file),
        entry => match argument(entry) {
            Some(("phone", _)) => countries().map(|country| item(country, CompletionItemKind::ENUM_MEMBER, "country")).collect(),
            Some(("date", 0) | ("datetime" | "local", 0 | 1) | ("format", 1)) => {
                time_zones().map(|zone| item(zone, CompletionItemKind::ENUM_MEMBER, "time zone")).collect()
            }
            Some(_) => Vec::new(),
            None => options(group, place),
        },
    }
}

/// What is typed of a placeholder, after its brace.
fn placeholder(content: &str) -> Option<&str> {
    let open = content.rfind('{')?;
    let escaped = content[..open].chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
    let typed = &content[open + 1..];
    (!escaped && !typed.contains('}')).then_some(typed)
}

fn placeholders(typed: &str, after: &str, group: &Group, place: &Place<'_>) -> Vec<CompletionItem> {
    let tables = tables(place, group);
    let table = if place.entry.contains(&"<-") { tables.target } else { tables.source };
    let parent: Vec<&str> = match typed.rsplit_once('.') {
        Some((parent, _)) => parent.split('.').flat_map(|part| [part, "."]).collect(),
        None => Vec::new(),
    };
    let mut all = through_lookups(&parent, &[], &tables).unwrap_or_else(|| fields(&parent, table, |field| field.readable));
    if parent.is_empty() {
        all.extend(constants(group));
    }
    let end = if after.starts_with('}') { "" } else { "}" };
    // The name of a table is followed by that of its column.
    for one in all.iter_mut().filter(|one| one.kind != Some(CompletionItemKind::STRUCT)) {
        let name = one.insert_text.as_ref().unwrap_or(&one.label);
        // What is already typed of `$name` stays.
        let name = if typed.starts_with('$') { name.trim_start_matches('$') } else { name };
        one.insert_text = Some(format!("{name}{end}"));
    }
    all
}

/// The other files of the project, relative to the folder of this one.
fn files(group: &Group, file: usize) -> Vec<CompletionItem> {
    let path = |index: usize| crate::assist::group::path_of(&group.files[index].uri);
    let Some(folder) = path(file).and_then(|path| path.parent().map(Path::to_path_buf)) else { return Vec::new() };
    let others = (0..group.files.len()).filter(|other| *other != file).filter_map(path);
    others.map(|other| item(relative(&folder, &other), CompletionItemKind::FILE, "")).collect()
}

/// A path relative to a folder, with `/`.
fn relative(folder: &Path, path: &Path) -> String {
    let shared = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = path.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The step or function whose argument is being typed, and the number of the argument.
fn argument<'t>(entry: &[&'t str]) -> Option<(&'t str, usize)> {
    let open = entry.iter().rposition(|word| *word == "(")?;
    let name = entry.get(open.checked_sub(1)?)?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && *name != "in";
    let inside = &entry[open + 1..];
    (is_name && !inside.contains(&")")).then(|| (*name, inside.iter().filter(|word| **word == ",").count()))
}

/// The options that are allowed here, without the quotes that are already typed.
fn options(group: &Group, place: &Place<'_>) -> Vec<CompletionItem> {
    let options = at_place(group, place).into_iter().filter(|item| item.kind == Some(CompletionItemKind::ENUM_MEMBER));
    options.map(|item| CompletionItem { label: item.label.trim_matches('"').to_owned(), insert_text: None, ..item }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_open_until_its_brace_is_closed() {
        assert_eq!(placeholder("Dear {first"), Some("first"));
        assert_eq!(placeholder("{a} and {"), Some(""));
        assert_eq!(placeholder("{a}"), None);
        assert_eq!(placeholder("\\{a"), None);
    }

    #[test]
    fn paths_are_relative_to_the_folder_of_the_file() {
        let folder = Path::new("/project/mappings");
        assert_eq!(relative(folder, Path::new("/project/mappings/shared/words.d365map")), "shared/words.d365map");
        assert_eq!(relative(folder, Path::new("/project/words.d365map")), "../words.d365map");
    }
}
