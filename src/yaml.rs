//! YAML, behind which the YAML library stays hidden.
//!
//! Everything that is read is strict: a key twice, an unknown key, a value of another type are faults with a place and a
//! remedy ([`FileProblem`]). Budgets of the library bound depth and aliases, and [`MAX_BYTES`] bounds the size, so that
//! no file can exhaust the stack or the memory.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_saphyr::{Error, Location};

use crate::diagnostics::{FileProblem, nearest};

/// Larger files are refused: the schema of a table with every option is a hundredth of this.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Parts a fault's message from its remedy in the text of an error that passes through serde.
const SEPARATOR: char = '\u{1f}';

/// A value and its range of bytes in the text.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<T>, D::Error> {
        let inner = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        Ok(Spanned { value: inner.value, span: range(&inner.referenced) })
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The entries of a mapping in the file's order, with the places of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<V>(pub Vec<(Spanned<String>, V)>);

impl<V> Default for Map<V> {
    fn default() -> Map<V> {
        Map(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Map<V>, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Map<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys with values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Map<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Map(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<V: JsonSchema> JsonSchema for Map<V> {
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", V::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// The JSON Schema of what `T` is read from, for editors: draft 7, which all of them know.
pub fn schema_of<T: JsonSchema>() -> serde_json::Value {
    SchemaSettings::draft07().for_deserialize().into_generator().into_root_schema_for::<T>().to_value()
}

/// An error for a hand-written `Deserialize`, with what to write instead.
pub fn custom<E: serde::de::Error>(message: impl fmt::Display, help: impl fmt::Display) -> E {
    E::custom(format_args!("{message}{SEPARATOR}{help}"))
}

/// Reads a whole file as UTF-8 text of bounded size; a byte-order mark is skipped.
pub fn read(path: &Path) -> Result<Arc<str>, Box<FileProblem>> {
    let bytes = crate::disk::read(path, MAX_BYTES).map_err(|e| Box::new(FileProblem::unreadable(path, e, None)))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text))),
        Err(e) => {
            // The lossy text has the same bytes up to the fault.
            let at = e.utf8_error().valid_up_to();
            let text: Arc<str> = Arc::from(String::from_utf8_lossy(e.as_bytes()).as_ref());
            let problem = FileProblem::new(path, &text, at..at + 3, "the file is not UTF-8 text");
            Err(Box::new(problem.label("this byte belongs to no character").help("save the file as UTF-8")))
        }
    }
}

/// Reads a value from YAML text.
///
/// # Errors
///
/// The first fault, with its place: not YAML, a key that is unknown, missing or written twice, a value of another type.
pub fn from_str<T: DeserializeOwned>(path: &Path, text: &Arc<str>) -> Result<T, Box<FileProblem>> {
    // Comments that the library keeps count against its budgets: a page of them would be refused.
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        emit_comments: false,
    };
    serde_saphyr::from_str_with_options::<T>(text, options).map_err(|error| Box::new(problem(path, text, &error)))
}

/// Reads a value from YAML text that may have as many nodes as a table of many rows, within the same limits of depth and size.
///
/// # Errors
///
/// As [`from_str`].
pub fn rows_from_str<T: DeserializeOwned>(path: &Path, text: &Arc<str>) -> Result<T, Box<FileProblem>> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        emit_comments: false,
        budget: serde_saphyr::budget! { max_events: 12_000_000, max_nodes: 6_000_000 },
    };
    serde_saphyr::from_str_with_options::<T>(text, options).map_err(|error| Box::new(problem(path, text, &error)))
}

fn range(location: &Location) -> Range<usize> {
    let span = location.span();
    let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    match (number(span.byte_offset()), number(span.byte_len())) {
        (Some(start), Some(length)) => start..start.saturating_add(length),
        (Some(start), None) => start..start,
        (None, _) => 0..0,
    }
}

/// The place of an error. Where the library knows line and column only, they are turned into bytes.
fn place(text: &str, location: Option<Location>) -> Range<usize> {
    let Some(location) = location else { return 0..0 };
    if location.span().byte_offset().is_some() {
        return range(&location);
    }
    let Some(line) = usize::try_from(location.line()).ok().and_then(|l| l.checked_sub(1)) else { return 0..0 };
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
    let rest = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let offset = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    start + offset..start + offset
}

fn choices(name: &str, expected: &[&'static str], what: &str) -> String {
    match nearest(name, expected.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{what}: {}", expected.join(", ")),
    }
}

fn problem(path: &Path, text: &Arc<str>, error: &Error) -> FileProblem {
    let error = error.without_snippet();
    let span = place(text, error.location());
    let at = |message: String| FileProblem::new(path, text, span.clone(), message);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            at(format!("unknown key `{field}`")).label("this key is not allowed here").help(choices(field, expected, "the keys here are"))
        }
        Error::SerdeMissingField { field, .. } => {
            at(format!("the key `{field}` is missing")).label("missing here").help(format!("add `{field}: …`"))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            at(format!("`{variant}` is not allowed here")).label("not one of the values").help(choices(variant, expected, "the values are"))
        }
        Error::DuplicateMappingKey { key, .. } => at(match key {
            Some(key) => format!("the key `{key}` is written twice"),
            None => "a key is written twice".to_owned(),
        })
        .label("the second time")
        .help("keep one of the two"),
        Error::SerdeInvalidType { unexpected, expected, .. } | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            at(format!("expected {expected}, found {unexpected}")).label(format!("not {expected}"))
        }
        Error::InvalidScalar { ty, .. } => at(format!("expected {}", type_name(ty))).label(format!("not {}", type_name(ty))),
        Error::InvalidBooleanStrict { .. } => at("expected true or false".to_owned()).label("neither `true` nor `false`"),
        Error::NullIntoString { .. } => at("expected a text, found nothing".to_owned()).help("write a value, or leave the key out"),
        Error::Message { msg, .. } => match msg.split_once(SEPARATOR) {
            Some((message, help)) => at(message.to_owned()).label("here").help(help),
            None => at(msg.clone()).label("here"),
        },
        Error::Eof { .. } if text.trim().is_empty() => at("the file is empty".to_owned()),
        Error::AliasError { error, .. } => problem(path, text, error),
        Error::Unexpected { expected, .. } => at(format!("expected {}", shape(expected))).label(format!("not {}", shape(expected))),
        Error::MultipleDocuments { .. } => at("the file holds more than one document".to_owned())
            .label("the second one")
            .help("leave out the line `---` and what follows it"),
        // The library's own words for what is not YAML at all, without the place, which is marked.
        other => {
            let words = other.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            at(format!("this cannot be read as YAML: {words}")).label("here")
        }
    }
}

fn shape(yaml: &str) -> &str {
    match yaml {
        "mapping start" => "keys with values",
        "sequence start" => "a list",
        "scalar" | "string scalar" => "a single value",
        other => other,
    }
}

fn type_name(rust: &str) -> &str {
    match rust {
        "bool" => "true or false",
        "i8" | "i16" | "i32" | "i64" | "i128" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "u128" => "a whole number that is not negative",
        "f32" | "f64" => "a number",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Doc {
        page_size: Spanned<u32>,
        #[serde(default)]
        names: Map<Spanned<String>>,
    }

    fn read_doc(text: &str) -> Result<Doc, Box<FileProblem>> {
        from_str(Path::new("x.yaml"), &Arc::from(text))
    }

    fn fault(text: &str) -> (String, String, Option<String>) {
        let problem = read_doc(text).unwrap_err();
        (text[problem.span.clone()].to_owned(), problem.message, problem.help)
    }

    #[test]
    fn values_and_keys_know_their_places() {
        let text = "page-size: 12\nnames:\n  ä: one\n  3: \"two\"\n";
        let doc = read_doc(text).unwrap();
        assert_eq!(&text[doc.page_size.span.clone()], "12");
        let places: Vec<_> =
            doc.names.0.iter().map(|(k, v)| (&text[k.span.clone()], k.value.as_str(), &text[v.span.clone()], v.value.as_str())).collect();
        assert_eq!(places, [("ä", "ä", "one", "one"), ("3", "3", "\"two\"", "two")]);
    }

    #[test]
    fn an_unknown_key_is_a_fault_with_a_suggestion() {
        let (place, message, help) = fault("page-size: 1\npage-sise: 2\n");
        assert_eq!((place.as_str(), message.as_str()), ("page-sise", "unknown key `page-sise`"));
        assert_eq!(help.as_deref(), Some("did you mean `page-size`?"));
    }

    #[test]
    fn a_key_that_is_written_twice_is_a_fault() {
        let (place, message, _) = fault("page-size: 1\npage-size: 2\n");
        assert_eq!((place.as_str(), message.as_str()), ("page-size", "the key `page-size` is written twice"));
    }

    #[test]
    fn a_value_of_another_type_and_a_missing_key_are_faults() {
        let (place, message, _) = fault("page-size: many\n");
        assert_eq!((place.as_str(), message.as_str()), ("many", "expected a whole number that is not negative"));
        assert_eq!(fault("names: {}\n").1, "the key `page-size` is missing");
        assert_eq!(fault("").1, "the file is empty");
    }

    #[test]
    fn comments_may_be_of_any_number_and_length() {
        let lines: String = (0..30_000).map(|n| format!("# A line of a comment, number {n}.\n")).collect();
        assert!(lines.len() > 1_000_000);
        let indented = lines.replace("# ", "  # ");
        let line = format!("# {}\n", "long ".repeat(200_000));
        for comment in [&lines, &indented, &line] {
            let text = format!("{comment}page-size: 12\n{comment}names:\n{comment}  a: one # here\n{comment}  b: two\n{comment}");
            let doc = read_doc(&text).unwrap();
            let values: Vec<_> = doc.names.0.iter().map(|(k, v)| (&text[k.span.clone()], v.value.as_str())).collect();
            assert_eq!(values, [("a", "one"), ("b", "two")]);
            assert_eq!(fault(&format!("{text}  b: three\n")).1, "the key `b` is written twice");
            assert_eq!(
                rows_from_str::<Vec<u32>>(Path::new("x.yaml"), &Arc::from(format!("- 1\n{comment}- 2\n{comment}"))).unwrap(),
                [1, 2]
            );
        }
    }

    #[test]
    fn a_deep_file_is_a_fault_and_not_a_crash() {
        for open in ["[", "{a: "] {
            assert!(read_doc(&open.repeat(10_000)).is_err());
        }
        let block: String = (0..5_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(read_doc(&block).is_err());
    }
}
