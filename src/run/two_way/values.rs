//! Values of two systems: whether they mean the same, how they are nested in a body, and what is not part of a name.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::eval::{EvalError, Rejection};
use crate::time::{self, Instant};

/// The marks that the low-code connector puts into the name of an opportunity: a check on success, a cross on failure (Microsoft Learn:
/// *Co-sell connector for Dynamics 365 CRM*; which characters is not documented).
const MARKS: [char; 12] = ['✓', '✔', '✅', '☑', '✗', '✘', '✕', '✖', '❌', '❎', '\u{fe0f}', '\u{fe0e}'];

/// A name without the marks before and after it.
pub(super) fn without_mark(name: &str) -> &str {
    let trimmed = name.trim_matches(|c: char| MARKS.contains(&c) || c.is_whitespace());
    if trimmed.chars().count() == name.trim().chars().count() { name } else { trimmed }
}

/// Why a record cannot be compared.
pub(super) enum Fault {
    /// The record.
    Record(Rejection),
    /// The plan.
    Plan(EvalError),
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        Fault::Record(rejection)
    }
}

impl From<EvalError> for Fault {
    fn from(error: EvalError) -> Fault {
        Fault::Plan(error)
    }
}

enum Meaning<'t> {
    Empty,
    Boolean(bool),
    Number(Decimal),
    Instant(Instant),
    Text(Cow<'t, str>),
    /// A list or an object.
    Other(&'t str),
}

fn meaning(json: Option<&str>) -> Meaning<'_> {
    let Some(json) = json.map(str::trim) else { return Meaning::Empty };
    match json {
        "null" | "\"\"" | "" => Meaning::Empty,
        "true" => Meaning::Boolean(true),
        "false" => Meaning::Boolean(false),
        _ if json.starts_with('"') => {
            let Ok(text) = serde_json::from_str::<String>(json) else { return Meaning::Other(json) };
            let day = || time::parse_date(&text).map(time::midnight);
            match time::parse_instant(&text).or_else(day) {
                Some(instant) => Meaning::Instant(instant),
                None => Meaning::Text(Cow::Owned(text)),
            }
        }
        _ => json.parse().or_else(|_| Decimal::from_scientific(json)).map_or(Meaning::Other(json), Meaning::Number),
    }
}

/// Whether two values, given as JSON text, mean the same: decimals by value, instants by time, and an empty text like a missing value.
pub(super) fn mean_same(a: Option<&str>, b: Option<&str>) -> bool {
    match (meaning(a), meaning(b)) {
        (Meaning::Empty, Meaning::Empty) => true,
        (Meaning::Boolean(a), Meaning::Boolean(b)) => a == b,
        (Meaning::Number(a), Meaning::Number(b)) => a == b,
        (Meaning::Instant(a), Meaning::Instant(b)) => a == b,
        // Partner Center takes and shows amounts as texts too.
        (Meaning::Number(number), Meaning::Text(text)) | (Meaning::Text(text), Meaning::Number(number)) => {
            text.trim().parse::<Decimal>().is_ok_and(|text| text == number)
        }
        (Meaning::Text(a), Meaning::Text(b)) => a == b,
        (Meaning::Other(a), Meaning::Other(b)) => a == b,
        _ => false,
    }
}

/// Whether a value is empty.
pub(super) fn is_empty(json: &str) -> bool {
    matches!(meaning(Some(json)), Meaning::Empty)
}

/// The body of a write. Values stay the texts that they are, so that numbers keep their digits.
#[derive(Default)]
pub(super) struct Body(Vec<(String, Node)>);

enum Node {
    Value(String),
    Object(Body),
}

impl Body {
    /// Sets the value at a path.
    pub(super) fn set(&mut self, path: &[String], json: String) {
        let Some((first, rest)) = path.split_first() else { return };
        let place = self.0.iter().position(|(name, _)| name == first);
        if rest.is_empty() {
            match place {
                Some(place) => self.0[place].1 = Node::Value(json),
                None => self.0.push((first.clone(), Node::Value(json))),
            }
            return;
        }
        let place = place.unwrap_or_else(|| {
            self.0.push((first.clone(), Node::Object(Body::default())));
            self.0.len() - 1
        });
        if let Node::Value(_) = self.0[place].1 {
            self.0[place].1 = Node::Object(Body::default());
        }
        if let Node::Object(inner) = &mut self.0[place].1 {
            inner.set(rest, json);
        }
    }

    /// Reads an object, so that parts of it can be set.
    pub(super) fn read(raw: &str) -> Body {
        let Some(properties) = crate::json::properties(raw) else { return Body::default() };
        let node =
            |json: &str| if json.trim_start().starts_with('{') { Node::Object(Body::read(json)) } else { Node::Value(json.to_owned()) };
        Body(properties.into_iter().map(|(name, value)| (name, node(value.get()))).collect())
    }

    /// Sets a value in a list at a path with a number: the list of `held`, if it is not in the body yet, with this one value changed.
    pub(super) fn set_item(&mut self, path: &[String], json: String, held: impl Fn(&[String]) -> Option<String>) {
        let Some(place) = path.iter().position(|part| part.parse::<usize>().is_ok()) else { return self.set(path, json) };
        let (list, rest) = path.split_at(place);
        let current = self.at(list).or_else(|| held(list));
        let items = current.and_then(|list| serde_json::from_str::<Vec<Box<RawValue>>>(&list).ok()).unwrap_or_default();
        let mut items: Vec<Body> = items.iter().map(|item| Body::read(item.get())).collect();
        let number = rest[0].parse::<usize>().unwrap_or_default();
        items.resize_with(items.len().max(number + 1), Body::default);
        items[number].set(&rest[1..], json);
        let items: Vec<String> = items.iter().map(Body::to_json).collect();
        self.set(list, format!("[{}]", items.join(",")));
    }

    /// The value at a path.
    fn at(&self, path: &[String]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        match &self.0.iter().find(|(name, _)| name == first)?.1 {
            Node::Value(json) if rest.is_empty() => Some(json.clone()),
            Node::Object(inner) if rest.is_empty() => Some(inner.to_json()),
            Node::Object(inner) => inner.at(rest),
            Node::Value(_) => None,
        }
    }

    /// Whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a property to a text.
    pub(super) fn set_text(&mut self, name: &str, text: &str) {
        self.set(&[name.to_owned()], quoted(text));
    }

    /// The text that a property is set to.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (_, node) = self.0.iter().find(|(known, _)| known == name)?;
        match node {
            Node::Value(json) => serde_json::from_str(json).ok(),
            Node::Object(_) => None,
        }
    }

    /// The body as JSON.
    pub(super) fn to_json(&self) -> String {
        let fields: Vec<String> = self
            .0
            .iter()
            .map(|(name, node)| {
                let value = match node {
                    Node::Value(json) => json.clone(),
                    Node::Object(inner) => inner.to_json(),
                };
                format!("{}:{value}", quoted(name))
            })
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    // A text can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_mean_the_same_whatever_their_notation() {
        for (a, b) in [
            (Some("50000"), Some("50000.00")),
            (Some("\"50000\""), Some("50000.0")),
            (Some("5e4"), Some("50000")),
            (Some("\"2024-11-14\""), Some("\"2024-11-14T00:00:00Z\"")),
            (Some("\"2024-11-14T01:00:00+01:00\""), Some("\"2024-11-14T00:00:00.0000000Z\"")),
            (Some("\"\""), None),
            (Some("null"), None),
            (Some("\"a\\u00e9\""), Some("\"aé\"")),
        ] {
            assert!(mean_same(a, b) && mean_same(b, a), "{a:?} {b:?}");
        }
        for (a, b) in [(Some("1"), Some("2")), (Some("\"a\""), Some("\"A\"")), (Some("0"), None), (Some("true"), Some("\"true\""))] {
            assert!(!mean_same(a, b) && !mean_same(b, a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_mark_before_or_after_a_name_is_not_part_of_it_and_other_spaces_are() {
        for (name, expected) in [
            ("✔ Deal", "Deal"),
            ("Deal ✅", "Deal"),
            ("❌ Deal", "Deal"),
            ("✔️ Deal", "Deal"),
            (" Deal ", " Deal "),
            ("A ✔ B", "A ✔ B"),
            ("✔", ""),
        ] {
            assert_eq!(without_mark(name), expected);
        }
    }

    #[test]
    fn a_body_is_nested_and_keeps_the_digits_of_numbers() {
        let mut body = Body::default();
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        body.set(&path("details.dealValue"), "1234567890123456789.10".to_owned());
        body.set(&path("name"), "\"a\"".to_owned());
        body.set(&path("details.notes"), "null".to_owned());
        body.set_text("name", "b\"");
        assert_eq!(body.to_json(), r#"{"details":{"dealValue":1234567890123456789.10,"notes":null},"name":"b\""}"#);
    }
}
