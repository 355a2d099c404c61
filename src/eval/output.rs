//! The order and nesting of a target record's JSON text, worked out once for a flow.

use std::borrow::Cow;

use crate::json;
use crate::plan::{Fit, IngressFlow};
use crate::value::Value;

/// The text of a record. What precedes each value is prepared in advance.
#[derive(Debug)]
pub(super) struct Layout {
    /// In order of writing: the text before the value, and the field (`None` for the key).
    parts: Vec<(String, Option<usize>)>,
    /// For each field that refers to another record: the field that identifies it.
    links: Vec<Option<String>>,
    end: String,
}

/// A tree of the target's names in order of their first appearance.
struct Node<'p> {
    name: &'p str,
    content: Content<'p>,
}

enum Content<'p> {
    Value(Option<usize>),
    Object(Vec<Node<'p>>),
}

impl Layout {
    pub(super) fn new(flow: &IngressFlow) -> Layout {
        Layout::without(flow, &[])
    }

    /// The layout of a record without some of the fields, given by their numbers.
    pub(super) fn without(flow: &IngressFlow, left_out: &[usize]) -> Layout {
        let mut roots = Vec::new();
        insert(&mut roots, &flow.key.path, None);
        for (i, field) in flow.fields.iter().enumerate().filter(|(i, _)| !left_out.contains(i)) {
            insert(&mut roots, &field.path, Some(i));
        }
        let links = flow.fields.iter().map(|f| match &f.fit {
            Fit::Link { key } => Some(key.clone()),
            _ => None,
        });
        let mut layout = Layout { parts: Vec::new(), links: links.collect(), end: String::new() };
        let mut pending = String::new();
        layout.object(&roots, &mut pending);
        layout.end = pending;
        layout
    }

    fn object(&mut self, nodes: &[Node<'_>], pending: &mut String) {
        pending.push('{');
        for (i, node) in nodes.iter().enumerate() {
            if i > 0 {
                pending.push(',');
            }
            json::push_string(pending, node.name);
            pending.push(':');
            match &node.content {
                Content::Value(field) => self.parts.push((std::mem::take(pending), *field)),
                Content::Object(inner) => self.object(inner, pending),
            }
        }
        pending.push('}');
    }

    pub(super) fn write(&self, key: &str, values: &[Value<'_>], out: &mut String) {
        for (before, field) in &self.parts {
            out.push_str(before);
            match field {
                Some(i) => {
                    let value = values.get(*i).unwrap_or(&Value::Null);
                    match self.links.get(*i) {
                        // A link names the other record by its key (assumed; the documentation shows PKey and href).
                        Some(Some(key)) if !value.is_null() => {
                            out.push('{');
                            json::push_string(out, key);
                            out.push(':');
                            value.write_json(out);
                            out.push('}');
                        }
                        _ => value.write_json(out),
                    }
                }
                None => Value::Text(Cow::Borrowed(key)).write_json(out),
            }
        }
        out.push_str(&self.end);
    }
}

fn insert<'p>(nodes: &mut Vec<Node<'p>>, path: &'p [String], field: Option<usize>) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        nodes.push(Node { name: first, content: Content::Value(field) });
        return;
    }
    let position = nodes.iter().position(|n| n.name == first && matches!(n.content, Content::Object(_)));
    let position = position.unwrap_or_else(|| {
        nodes.push(Node { name: first, content: Content::Object(Vec::new()) });
        nodes.len() - 1
    });
    if let Some(Node { content: Content::Object(inner), .. }) = nodes.get_mut(position) {
        insert(inner, rest, field);
    }
}
