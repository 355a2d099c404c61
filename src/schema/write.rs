//! Schema files: writing them. The same table gives the same bytes, and reading them gives the same table.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::file::VERSION;
use super::model::{ChoiceSet, Field, FieldType, Provenance, SystemId, Table};
use super::words::{Kind, Word, decimal_range, integer_range};

/// The maximum length of one line; longer mappings are spread over several.
const WIDTH: usize = 120;

/// A tree between the table and its text: YAML and JSON are written from it.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number, which JSON gets as text: no float lies between.
    Number(Decimal),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Keys with values in order.
    Map(Vec<(String, Node)>),
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Int(value) => serializer.serialize_i64(*value),
            Node::Number(value) => serializer.collect_str(value),
            Node::Text(text) => serializer.serialize_str(text),
            Node::List(values) => serializer.collect_seq(values),
            Node::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// A table as a schema file.
pub fn write(table: &Table) -> String {
    let mut out = String::new();
    block(&node(table), 0, &mut out);
    out
}

/// A table as a tree, in the shape of a schema file.
pub fn node(table: &Table) -> Node {
    let text = |text: &str| Node::Text(text.to_owned());
    let mut entries = vec![("version".to_owned(), Node::Int(i64::from(VERSION))), ("table".to_owned(), Node::Text(table.id.to_string()))];
    entries.push(("label".to_owned(), text(&table.label)));
    entries.push(("collection".to_owned(), text(&table.collection)));
    entries.push(("primary-key".to_owned(), text(&table.primary_key)));
    entries.extend(table.primary_name.iter().map(|name| ("primary-name".to_owned(), text(name))));
    entries.extend(table.change_tracking.map(|on| ("change-tracking".to_owned(), Node::Bool(on))));
    if !table.alternate_keys.is_empty() {
        let keys = table.alternate_keys.iter().map(|k| (k.name.clone(), Node::List(k.fields.iter().map(|f| text(f)).collect())));
        entries.push(("alternate-keys".to_owned(), Node::Map(keys.collect())));
    }
    let common = common_provenance(&table.fields);
    if common != Provenance::Declared {
        entries.push(("provenance".to_owned(), text(provenance(common))));
    }
    entries.push(("fields".to_owned(), fields(&table.fields, table.id.system, common)));
    Node::Map(entries)
}

/// The provenance of most fields, so that few have to say their own.
fn common_provenance(fields: &IndexMap<String, Field>) -> Provenance {
    let count = |p: Provenance| fields.values().filter(|f| f.provenance == p).count();
    // Of equals the last one counts.
    [Provenance::Assumed, Provenance::Documented, Provenance::Pulled, Provenance::Declared]
        .into_iter()
        .max_by_key(|p| count(*p))
        .unwrap_or(Provenance::Declared)
}

fn provenance(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Documented => "documented",
        Provenance::Assumed => "assumed",
        Provenance::Pulled => "pulled",
        Provenance::Declared => "declared",
    }
}

fn fields(fields: &IndexMap<String, Field>, system: SystemId, common: Provenance) -> Node {
    Node::Map(fields.iter().map(|(name, field)| (name.clone(), self::field(field, system, common))).collect())
}

fn field(field: &Field, system: SystemId, common: Provenance) -> Node {
    let text = |text: &str| Node::Text(text.to_owned());
    let word = Word::for_type(&field.ty, &field.vendor_type, system);
    let mut entries = vec![("type", text(word.word))];
    if field.vendor_type != word.vendor(system) {
        entries.push(("vendor-type", text(&field.vendor_type)));
    }
    type_entries(field, word.kind, &mut entries);
    entries.extend(field.label.iter().map(|label| ("label", text(label))));
    if field.required {
        entries.push(("required", Node::Bool(true)));
    }
    if !field.readable {
        entries.push(("readable", Node::Bool(false)));
    }
    match (field.creatable, field.updatable) {
        (true, true) => {}
        (false, false) => entries.push(("read-only", Node::Bool(true))),
        (true, false) => entries.push(("updatable", Node::Bool(false))),
        (false, true) => entries.push(("creatable", Node::Bool(false))),
    }
    if !field.aliases.is_empty() {
        entries.push(("aliases", Node::List(field.aliases.iter().map(|a| text(a)).collect())));
    }
    if let Some(wire) = &field.wire {
        entries.push(("wire", text(wire)));
    }
    if field.provenance != common {
        entries.push(("provenance", text(provenance(field.provenance))));
    }
    if let Some(instead) = &field.deprecated {
        entries.push(("deprecated", text(instead)));
    }
    if let Some(derived) = field.derived {
        entries.push(("derived", text(derived.name())));
    }
    if let FieldType::Item(inner) = &field.ty {
        entries.push(("fields", fields(inner, system, common)));
    }
    Node::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn type_entries(field: &Field, kind: Kind, entries: &mut Vec<(&'static str, Node)>) {
    let text = |text: &str| Node::Text(text.to_owned());
    match &field.ty {
        FieldType::Boolean { labels } => entries.extend(
            labels.iter().map(|(no, yes)| ("labels", Node::Map(vec![("false".to_owned(), text(no)), ("true".to_owned(), text(yes))]))),
        ),
        FieldType::Integer { min, max } => {
            let (lowest, highest) = integer_range(kind);
            entries.extend((*min != lowest).then_some(("min", Node::Int(*min))));
            entries.extend((*max != highest).then_some(("max", Node::Int(*max))));
        }
        FieldType::Decimal { scale, min, max } => {
            let (_, lowest, highest) = decimal_range(kind);
            entries.push(("scale", Node::Int(i64::from(*scale))));
            entries.extend((*min != lowest).then_some(("min", Node::Number(*min))));
            entries.extend((*max != highest).then_some(("max", Node::Number(*max))));
        }
        FieldType::Text { max } => entries.extend(max.map(|max| ("max", Node::Int(i64::from(max))))),
        FieldType::Choice(set) | FieldType::MultiChoice(set) => entries.push(("options", options(set))),
        FieldType::Enumeration(values) => {
            let value = |v: &super::model::EnumValue| match &v.stored {
                Some(stored) => Node::Map(vec![("label".to_owned(), text(&v.label)), ("stored".to_owned(), text(stored))]),
                None => text(&v.label),
            };
            entries.push(("values", Node::Map(values.iter().map(|v| (v.name.clone(), value(v))).collect())));
        }
        FieldType::Lookup { targets } => {
            let navigation = |n: &Option<String>| n.as_deref().map_or(Node::Null, text);
            entries.push(("targets", Node::Map(targets.iter().map(|t| (t.table.clone(), navigation(&t.navigation))).collect())));
        }
        FieldType::Link { target } | FieldType::Collection { target } => entries.extend(target.iter().map(|t| ("target", text(t)))),
        FieldType::Double
        | FieldType::Date
        | FieldType::DateTime
        | FieldType::LocalDateTime
        | FieldType::Guid
        | FieldType::Item(_)
        | FieldType::Unsupported => {}
    }
}

fn options(set: &ChoiceSet) -> Node {
    Node::Map(set.options.iter().map(|o| (o.value.to_string(), Node::Text(o.label.clone()))).collect())
}

/// Writes a mapping at an indentation: one entry on each line, short values beside their keys.
fn block(node: &Node, indent: usize, out: &mut String) {
    let Node::Map(entries) = node else {
        out.push_str(&flow(node));
        out.push('\n');
        return;
    };
    for (name, value) in entries {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(&key(name));
        out.push(':');
        let inline = flow(value);
        let spread = matches!(value, Node::Map(inner) if !inner.is_empty());
        // The list of fields is spread in any case, so that two versions of a file differ in just the lines that changed.
        if spread && (name == "fields" || indent + name.len() + 2 + inline.chars().count() > WIDTH) {
            out.push('\n');
            block(value, indent + 2, out);
        } else {
            out.push(' ');
            out.push_str(&inline);
            out.push('\n');
        }
    }
}

fn flow(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Number(value) => value.to_string(),
        Node::Text(text) => scalar(text),
        Node::List(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Node::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Node::Map(entries) => {
            format!(
                "{{ {} }}",
                entries.iter().map(|(name, value)| format!("{}: {}", key(name), flow(value))).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn key(name: &str) -> String {
    let number = name.strip_prefix('-').unwrap_or(name);
    let plain_number = !number.is_empty() && number.len() < 19 && number.bytes().all(|b| b.is_ascii_digit());
    if plain_number || name == "true" || name == "false" { name.to_owned() } else { scalar(name) }
}

/// Text without quotes where no reader of YAML could take it for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_alphabetic())
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '(' | ')' | '-' | '\''))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Not printable, a line break to YAML, or a character that a terminal obeys.
            c if crate::printable::is_hidden(c) || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            // `##[error]` is a command of a CI service, wherever it is in a line that `schema show` prints.
            '#' if text.contains("##") => out.push_str("\\u0023"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
