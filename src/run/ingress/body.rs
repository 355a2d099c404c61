//! The body of a write: dotted paths and JSON texts to one nested object, and the links to other records in it.

use super::Shared;
use super::ended::{Ended, Tally};
use crate::connect::ConnectError;
use crate::json;
use crate::plan::{Fit, IngressFlow};
use crate::run::RunError;
use crate::run::optout::kept_attributes;
use crate::store::{ClaimedField, ClaimedOp, Destination};
use crate::systems::{Link, Linked, Payload, RecordKey, Table};

/// The body of a write.
pub(super) struct Request {
    /// As it is sent; may hold a PKey.
    pub sent: Payload,
    /// As it may be kept, where that is not what is sent: links by the other record's key.
    shown: Option<String>,
}

impl Request {
    /// The body as it may be kept.
    pub fn into_shown(self) -> String {
        self.shown.unwrap_or_else(|| self.sent.to_text())
    }
}

/// Why an operation has no body.
pub(super) enum NoBody {
    /// The operation ends without a write, such as one that waits for the record that it links to.
    Ended(Box<Ended>),
    /// A record that it links to could not be looked up.
    LookUpFailed {
        /// What Campaign answered.
        error: ConnectError,
        /// The body as it may be kept.
        shown: String,
    },
}

impl From<Ended> for NoBody {
    fn from(ended: Ended) -> NoBody {
        NoBody::Ended(Box::new(ended))
    }
}

/// The body for an operation: of a record to be made (`create`) all fields that have a value and the key, of one that is there
/// those that differ. How the operation ends instead, where a record that it links to is not at the target, or could not be
/// looked up.
pub(super) async fn of(shared: &Shared, op: &ClaimedOp, create: bool) -> Result<Request, NoBody> {
    let broken = |what: String| NoBody::from(Ended::Abort(op.released(), RunError::Task(what)));
    let flow = shared.flow();
    let mut key = String::with_capacity(op.key.len() + 2);
    json::push_string(&mut key, &op.key);
    // A field without a value need not be sent to a record that has none.
    let fields: Vec<&ClaimedField> = op.write_set(create).filter(|f| !create || f.value.get() != "null").collect();
    let kept: Vec<&str> = kept_attributes(op.kept).collect();
    let own = fields.iter().filter(|f| f.link.is_none() && !kept.contains(&&*f.path));
    let mut plain: Vec<(&str, &str)> = own.map(|f| (&*f.path, f.value.get())).collect();
    // What an earlier profile of this contact had when it was deleted, whatever the contact says.
    plain.extend(kept.iter().map(|name| (*name, "true")));
    if create {
        plain.insert(0, (&shared.key, key.as_str()));
    }
    let mut links = Vec::new();
    for (field, link) in fields.iter().filter_map(|f| Some((f, f.link.as_ref()?))) {
        let parent = shared.context.plan.flow(&link.mapping);
        let parent =
            parent.ok_or_else(|| broken(format!("the plan has no mapping `{}`, to which `{}` links", link.mapping, field.path)))?;
        let to = match &link.to {
            Destination::Nowhere => None,
            Destination::Record { key, .. } => {
                Some(RecordKey { table: table(parent), attribute: attribute(flow, &field.path), value: key })
            }
            Destination::Absent { source_id } => return Err(waits(op, &link.mapping, source_id, false).into()),
        };
        links.push(Link { name: &field.path, to });
    }
    let body = nest(plain.iter().copied());
    if links.is_empty() {
        return Ok(Request { sent: Payload::from(body), shown: None });
    }
    let shown: Vec<(&str, String)> = links.iter().filter_map(|link| Some((link.name, by_key(link)?))).collect();
    let shown = nest(plain.iter().copied().chain(shown.iter().map(|(path, value)| (*path, value.as_str()))));
    match shared.target.linked(&body, &links).await {
        Ok(Linked::Ready(sent)) => Ok(Request { sent, shown: Some(shown) }),
        Ok(Linked::Absent { link }) => {
            let gone = fields.iter().find(|f| *f.path == *link).and_then(|f| f.link.as_ref());
            match gone.and_then(|l| Some((l, l.to.source_id()?))) {
                Some((link, source_id)) => Err(waits(op, &link.mapping, source_id, true).into()),
                None => Err(broken(format!("there is no link `{link}`"))),
            }
        }
        Err(error) => Err(NoBody::LookUpFailed { error, shown }),
    }
}

fn waits(op: &ClaimedOp, mapping: &str, source_id: &str, gone: bool) -> Ended {
    Ended::Settle(op.unlinked(mapping, source_id, gone), Tally::Waits)
}

/// The table that a flow writes.
pub(super) fn table(flow: &IngressFlow) -> Table<'_> {
    Table { name: flow.target.name(), collection: &flow.target.collection }
}

/// The attribute by which the record is identified that a field links to.
fn attribute<'f>(flow: &'f IngressFlow, path: &str) -> &'f str {
    let field = flow.fields.iter().find(|f| f.path.join(".") == path);
    match field.map(|f| &f.fit) {
        Some(Fit::Link { key }) => key,
        _ => "",
    }
}

/// A link's value with the other record's key, as the assumed form writes it; `null` for none.
fn by_key(link: &Link<'_>) -> Option<String> {
    match link.to {
        None => Some("null".to_owned()),
        Some(RecordKey { attribute, value, .. }) => Some(serde_json::json!({ attribute: value }).to_string()),
    }
}

/// A tree of JSON texts, kept as they are, so that no number is read and written again.
enum Node<'a> {
    Value(&'a str),
    Object(Members<'a>),
}

/// The members of an object in their order. They are few, so one is found by looking at each.
type Members<'a> = Vec<(&'a str, Node<'a>)>;

/// One JSON object of dotted paths and JSON texts. Of a path that is both a value and a parent of others the later counts; a plan has
/// no such pair.
pub(super) fn nest<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut root = Members::with_capacity(24);
    for (path, value) in fields {
        insert(&mut root, path, value);
    }
    let mut body = String::with_capacity(1024);
    write(&root, &mut body);
    body
}

fn write(object: &[(&str, Node<'_>)], body: &mut String) {
    let mut separator = '{';
    for (name, node) in object {
        body.push(separator);
        separator = ',';
        json::push_string(body, name);
        body.push(':');
        match node {
            Node::Value(text) => body.push_str(text),
            Node::Object(inner) => write(inner, body),
        }
    }
    body.push_str(if object.is_empty() { "{}" } else { "}" });
}

fn insert<'a>(object: &mut Members<'a>, path: &'a str, value: &'a str) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let at = object.iter().position(|(have, _)| *have == name).unwrap_or_else(|| {
        object.push((name, Node::Value("null")));
        object.len() - 1
    });
    let node = &mut object[at].1;
    match rest {
        None => *node = Node::Value(value),
        Some(rest) => {
            if let Node::Value(_) = node {
                *node = Node::Object(Members::new());
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
        let body = nest([("firstName", "\"x\""), ("location.zip", "20000.0000000000000000001"), ("location.city", "null")]);
        assert_eq!(body, r#"{"firstName":"x","location":{"zip":20000.0000000000000000001,"city":null}}"#);
    }
}
