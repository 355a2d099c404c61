//! Completion, in half-typed text too: the words of the entry before the cursor decide what is allowed there, together with
//! the blocks around it, not from the tree, which has nothing if an entry cannot be read yet.

mod blocks;
mod conditions;
mod entries;
mod formula;
mod items;
mod lookups;
mod texts;

use lsp_types::{CompletionItem, CompletionTextEdit, TextEdit};

use self::blocks::{clauses, event_lines, optout, settings, table_lines, top, values};
use self::conditions::{arms, conditions};
use self::entries::{branches, entries};
use self::formula::constants;
use self::items::dotted;
use self::lookups::through_lookups;
use super::group::Group;
use super::marks::Sides;
use super::place::{Place, in_values, place};
use crate::check::{INGRESS, TWO_WAY};
use crate::schema::{Catalogue, SystemId, Table, TableId};
use crate::syntax::ast::{Mapping, Way};

/// The table of an item of a list in a test: the items of the list that its block names, or the rows of the table.
fn list_in_test<'g>(place: &Place<'_>, tables: &Tables<'g>, group: &'g Group) -> Option<&'g Table> {
    let [.., clause, list] = place.blocks.as_slice() else { return None };
    let record = tables.named(&clause.header)?;
    let names = dotted(&list.header);
    let of_rows = || group.catalogue.get(&TableId::new(record.id.system, *names.first()?));
    group.catalogue.items(record, &names).or_else(of_rows).map(AsRef::as_ref)
}

/// The tables of the mapping that the cursor is in, or that its block names.
struct Tables<'g> {
    catalogue: &'g Catalogue,
    source: Option<&'g Table>,
    target: Option<&'g Table>,
    mapping: Option<&'g Mapping>,
}

impl<'g> Tables<'g> {
    /// The table of a clause of a test: `given`, `given partner`.
    fn named(&self, clause: &[&str]) -> Option<&'g Table> {
        let otherwise = if clause.first() == Some(&"given") { self.source } else { self.target };
        Sides { source: self.source, target: self.target }.of(clause.get(1).copied(), otherwise)
    }

    /// The systems of a two-way mapping.
    fn systems(&self) -> Vec<&'static str> {
        let tables = [self.source, self.target].into_iter().flatten().filter(|_| self.two_way());
        tables.map(|table| table.id.system.name()).collect()
    }

    /// Whether the mapping goes both ways, as far as its tables show.
    fn two_way(&self) -> bool {
        let by_head = self.mapping.and_then(|m| m.head.as_ref()).is_some_and(|head| head.way == Way::Both);
        by_head || self.source.is_some_and(|table| table.id.system == SystemId::Partner)
    }
}

/// The tables between which the lines of the innermost block go.
fn tables<'g>(place: &Place<'_>, group: &'g Group) -> Tables<'g> {
    let mut tables = outer_tables(place, group);
    for block in place.blocks.iter().skip(1) {
        if let [keyword @ ("link" | "rows"), words @ ..] = block.header.as_slice() {
            let (path, table) = linked(words, group);
            if *keyword == "rows" {
                tables.source = tables.source.and_then(|source| group.catalogue.items(source, &dotted(path)).map(AsRef::as_ref));
            }
            tables.target = table;
        }
    }
    tables
}

/// The path of a block of linked records, and its table: `A . B : d365 . account by …`.
fn linked<'t, 'g>(words: &'t [&'t str], group: &'g Group) -> (&'t [&'t str], Option<&'g Table>) {
    let colon = words.iter().position(|word| *word == ":").unwrap_or(words.len());
    let table = match words.get(colon + 1..) {
        Some([system, ".", name, ..]) => SystemId::from_name(system).map(|system| TableId::new(system, *name)),
        _ => None,
    };
    (&words[..colon], table.and_then(|table| group.catalogue.get(&table)).map(AsRef::as_ref))
}

fn outer_tables<'g>(place: &Place<'_>, group: &'g Group) -> Tables<'g> {
    let catalogue = &group.catalogue;
    let none = Tables { catalogue, source: None, target: None, mapping: None };
    let Some(outer) = place.blocks.first() else { return none };
    let mappings = || group.files.iter().flat_map(|f| &f.tree.mappings);
    let by_name = |name: &str| mappings().find(|m| m.head.as_ref().is_some_and(|h| h.name.text == name));
    match outer.header.as_slice() {
        // mapping NAME : a . b -> c . d
        ["mapping", name, ":", a, ".", b, _, c, ".", d] => {
            let table =
                |system: &str, name: &str| group.catalogue.get(&TableId::new(SystemId::from_name(system)?, name)).map(AsRef::as_ref);
            Tables { catalogue, source: table(a, b), target: table(c, d), mapping: by_name(name) }
        }
        ["optout" | "test", name, ..] => match by_name(name) {
            Some(mapping) => {
                let sides = super::marks::sides(mapping, &group.catalogue);
                Tables { catalogue, source: sides.source, target: sides.target, mapping: Some(mapping) }
            }
            None => none,
        },
        _ => none,
    }
}

/// What is allowed at a byte of a file.
pub fn of(group: &Group, file: usize, offset: usize) -> Vec<CompletionItem> {
    let text = &group.files[file].text;
    let offset = offset.min(text.len());
    let place = place(text, offset);
    if let Some(start) = place.comment {
        return texts::in_comment(text.get(start..offset).unwrap_or_default(), text.get(offset..).unwrap_or_default());
    }
    if let Some(start) = place.text {
        return texts::in_text(group, file, start, offset, &place);
    }
    // `$` and the beginning of a name.
    let name = text[..offset].rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|at| text[*at..].starts_with('$'));
    if let Some(at) = name {
        let range = group.files[file].lines.range(at..offset);
        let edit = |new_text: &str| CompletionTextEdit::Edit(TextEdit { range, new_text: new_text.to_owned() });
        return constants(group).map(|item| CompletionItem { text_edit: Some(edit(&item.label)), ..item }).collect();
    }
    at_place(group, &place)
}

/// What is allowed where the words of an entry end.
fn at_place(group: &Group, place: &Place<'_>) -> Vec<CompletionItem> {
    let tables = tables(place, group);
    let entry = place.entry.as_slice();
    let last = entry.last().copied().unwrap_or_default();
    let header: &[&str] = place.blocks.last().map_or(&[], |b| b.header.as_slice());
    if let Some(found) = through_lookups(entry, header, &tables) {
        return found;
    }
    let word = header.first().copied().unwrap_or_default();
    match (place.blocks.len(), word) {
        (0, _) => top(entry, group),
        (_, "table") => table_lines(entry, header.get(1).copied(), group),
        (_, "options") => settings(entry, if tables.source.is_some_and(|t| t.id.system == SystemId::Partner) { TWO_WAY } else { INGRESS }),
        (_, "events") => event_lines(entry),
        (_, "optout") => optout(entry, &tables),
        (_, "test") => clauses(entry, &tables),
        (_, "given" | "expect") => values(entry, tables.named(header), &tables, group),
        _ if in_values(place) => values(entry, list_in_test(place, &tables, group), &tables, group),
        // A block of conditions, and that of a `case`, whose conditions have results.
        (_, "filter" | "all" | "any" | "not") => conditions(entry, &tables),
        (_, "when" | "else") => entries(entry, last, &tables, group),
        _ if matches!(header.last(), Some(&("all" | "any"))) => conditions(entry, &tables),
        _ if header.last() == Some(&"case") => branches(entry, last, &tables, group),
        (_, "replace") => arms(entry, header.get(1).copied(), None, &tables),
        // The block of a `map` step.
        (depth, _) if depth > 1 && header.last() == Some(&"map") => {
            // `field -> target | map`
            let target = header.iter().position(|w| matches!(*w, "->" | "<->")).and_then(|at| header[at + 1..].split(|w| *w == "|").next());
            arms(entry, header.first().copied(), target, &tables)
        }
        (_, "mapping" | "link" | "rows") => entries(entry, last, &tables, group),
        (_, _) => Vec::new(),
    }
}
