//! The body of a write: dotted paths and JSON texts to one nested object.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

/// A tree of values; texts are kept as they are, so that no number is read and written again.
#[derive(Serialize)]
#[serde(untagged)]
enum Node<'a> {
    Value(&'a RawValue),
    Object(IndexMap<&'a str, Node<'a>>),
}

/// One JSON object of dotted paths. Of a path that is both a value and a parent of others the later counts; a plan has no
/// such pair.
pub(super) fn nest<'a>(fields: impl IntoIterator<Item = (&'a str, &'a RawValue)>) -> String {
    let mut root = IndexMap::new();
    for (path, value) in fields {
        insert(&mut root, path, value);
    }
    // Texts that are JSON already and names: this cannot fail.
    serde_json::to_string(&root).unwrap_or_default()
}

fn insert<'a>(object: &mut IndexMap<&'a str, Node<'a>>, path: &'a str, value: &'a RawValue) {
    match path.split_once('.') {
        None => {
            object.insert(path, Node::Value(value));
        }
        Some((first, rest)) => {
            let node = object.entry(first).or_insert_with(|| Node::Object(IndexMap::new()));
            if let Node::Value(_) = node {
                *node = Node::Object(IndexMap::new());
            }
            if let Node::Object(inner) = node {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_paths_become_nested_objects_and_numbers_keep_their_digits() {
        let raw = |t: &str| RawValue::from_string(t.to_owned()).unwrap();
        let (a, b, c) = (raw("\"x\""), raw("20000.0000000000000000001"), raw("null"));
        let body = nest([("firstName", &*a), ("location.zip", &*b), ("location.city", &*c)]);
        assert_eq!(body, r#"{"firstName":"x","location":{"zip":20000.0000000000000000001,"city":null}}"#);
    }
}
