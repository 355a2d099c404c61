//! JSON whose numbers keep their digits, so that no amount passes a floating-point number on its way from one side to the other.

use std::cmp::Ordering;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value.
#[derive(Debug, Clone, Default)]
pub enum Node {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order in which it was written.
    Object(IndexMap<String, Node>),
}

/// Numbers are equal if their values are; objects are equal whatever the order of their properties.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::Null, Node::Null) => true,
            (Node::Bool(a), Node::Bool(b)) => a == b,
            (Node::Number(a), Node::Number(b)) => match (decimal(a), decimal(b)) {
                (Some(a), Some(b)) => a.cmp(&b) == Ordering::Equal,
                _ => a == b,
            },
            (Node::Text(a), Node::Text(b)) => a == b,
            (Node::List(a), Node::List(b)) => a == b,
            (Node::Object(a), Node::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// The value of a number or of a text that is one, without a floating-point number; `None` if it has more digits than an amount has.
pub fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_scientific(text).ok())
}

impl Node {
    /// Reads JSON, with U+FFFD for halves of surrogate pairs.
    ///
    /// # Errors
    /// Those of serde_json.
    pub fn read(body: &[u8]) -> Result<Node, serde_json::Error> {
        crate::json::read(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))
    }

    fn of(raw: &RawValue) -> Result<Node, serde_json::Error> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let properties: IndexMap<String, &RawValue> = serde_json::from_str(text)?;
                Node::Object(properties.into_iter().map(|(name, value)| Ok((name, Node::of(value)?))).collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Node::List(items.into_iter().map(Node::of).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Node::Text(serde_json::from_str(text)?),
            Some(b't') => Node::Bool(true),
            Some(b'f') => Node::Bool(false),
            Some(b'n') | None => Node::Null,
            Some(_) => Node::Number(text.to_owned()),
        })
    }

    /// The value at a path of properties and, in lists, of positions: `["details", "requirements", "solutions", "0"]`.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| match node {
            Node::Object(properties) => properties.get(*name),
            Node::List(items) => items.get(name.parse::<usize>().ok()?),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
        })
    }

    /// The same, to change it.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Node> {
        path.iter().try_fold(self, |node, name| match node {
            Node::Object(properties) => properties.get_mut(*name),
            Node::List(items) => items.get_mut(name.parse::<usize>().ok()?),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) => None,
        })
    }

    /// The text at a path, unless it is empty.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        match self.at(path) {
            Some(Node::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The items of a list at a path; none if something else is there.
    pub fn items(&self, path: &[&str]) -> &[Node] {
        match self.at(path) {
            Some(Node::List(items)) => items,
            _ => &[],
        }
    }

    /// Puts the values of another one over this one: objects are joined, everything else is replaced.
    pub fn merge(&mut self, over: Node) {
        match (self, over) {
            (Node::Object(properties), Node::Object(over)) => {
                for (name, value) in over {
                    match properties.get_mut(&name) {
                        Some(old) => old.merge(value),
                        None => {
                            properties.insert(name, value);
                        }
                    }
                }
            }
            (old, new) => *old = new,
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

/// For comparisons: a number with more digits than fit a floating-point number loses them.
impl From<&Node> for Value {
    fn from(node: &Node) -> Value {
        match node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            Node::Text(text) => Value::String(text.clone()),
            Node::List(items) => Value::Array(items.iter().map(Value::from).collect()),
            Node::Object(properties) => Value::Object(properties.iter().map(|(name, value)| (name.clone(), value.into())).collect()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Node::of(&raw).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Number(text) => RawValue::from_string(text.clone()).map_err(S::Error::custom)?.serialize(serializer),
            Node::Text(text) => serializer.serialize_str(text),
            Node::List(items) => serializer.collect_seq(items),
            Node::Object(properties) => serializer.collect_map(properties),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        Node::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_read_is_written_with_the_same_digits_and_in_the_same_order() {
        let text = r#"{"b":[1234567890123456.10,null,true,false,"ü\n"],"a":{"z":-1.5e3,"y":{}},"c":[]}"#;
        assert_eq!(serde_json::to_string(&node(text)).unwrap(), text);
    }

    #[test]
    fn numbers_are_equal_by_value_and_texts_are_not_numbers() {
        assert_eq!(node("50000"), node("5.0e4"));
        assert_eq!(node("50000.10"), node("50000.1"));
        assert_ne!(node("50000.10"), node("50000.11"));
        assert_ne!(node("9007199254740993"), node("9007199254740992"));
        assert_ne!(node("1"), node("\"1\""));
    }

    #[test]
    fn objects_are_joined_and_lists_are_replaced() {
        let mut body = node(r#"{"details":{"notes":"n","dealValue":1,"list":[1,2]},"name":"a"}"#);
        body.merge(node(r#"{"details":{"dealValue":2,"list":[3]},"status":"New"}"#));
        assert_eq!(body, node(r#"{"details":{"notes":"n","dealValue":2,"list":[3]},"name":"a","status":"New"}"#));
    }
}
