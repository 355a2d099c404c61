//! The body of a write: dotted paths and JSON texts to one nested object, and the links to other records in it.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Shared;
use super::ended::{Ended, Tally};
use crate::connect::ConnectError;
use crate::connect::campaign::{Key, Link, Linked, Payload, Target};
use crate::plan::{Fit, IngressFlow};
use crate::run::RunError;
use crate::run::optout::kept_attributes;
use crate::state::{ClaimedField, ClaimedOp, Destination};

/// The body of a write.
pub(super) struct Request {
    /// As it is sent; may hold a PKey.
    pub sent: Payload,
    /// As it may be kept: links by the other record's key.
    pub shown: String,
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
    let key = to_raw_value(&op.key).map_err(|e| broken(e.to_string()))?;
    let key_path = flow.key.path.join(".");
    // A field without a value need not be sent to a record that has none.
    let fields: Vec<&ClaimedField> = op.write_set(create).filter(|f| !create || f.value.get() != "null").collect();
    let kept: Vec<&str> = kept_attributes(op.kept).collect();
    let own = fields.iter().filter(|f| f.link.is_none() && !kept.contains(&&*f.path));
    let mut plain: Vec<(&str, &RawValue)> = own.map(|f| (&*f.path, &*f.value)).collect();
    // What an earlier profile of this contact had when it was deleted, whatever the contact says.
    plain.extend(kept.iter().map(|name| (*name, RawValue::TRUE)));
    if create {
        plain.insert(0, (key_path.as_str(), &*key));
    }
    let mut links = Vec::new();
    for (field, link) in fields.iter().filter_map(|f| Some((f, f.link.as_ref()?))) {
        let parent = shared.context.plan.flow(&link.mapping);
        let parent =
            parent.ok_or_else(|| broken(format!("the plan has no mapping `{}`, to which `{}` links", link.mapping, field.path)))?;
        let to = match &link.to {
            Destination::Nowhere => None,
            Destination::Record { key, .. } => {
                Some(Target { resource: &parent.target.collection, attribute: attribute(flow, &field.path), key: Key::from(key.as_str()) })
            }
            Destination::Absent { source_id } => return Err(waits(op, &link.mapping, source_id, false).into()),
        };
        links.push(Link { name: &field.path, to });
    }
    let body = nest(plain.iter().copied());
    if links.is_empty() {
        return Ok(Request { sent: Payload::from(&body), shown: body });
    }
    let shown: Vec<(&str, Box<RawValue>)> = links.iter().filter_map(|link| Some((link.name, by_key(link)?))).collect();
    let shown = nest(plain.iter().copied().chain(shown.iter().map(|(path, value)| (*path, &**value))));
    match shared.context.services.campaign.linked(&body, &links).await {
        Ok(Linked::Ready(sent)) => Ok(Request { sent, shown }),
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

/// The attribute by which the record is identified that a field links to.
fn attribute<'f>(flow: &'f IngressFlow, path: &str) -> &'f str {
    let field = flow.fields.iter().find(|f| f.path.join(".") == path);
    match field.map(|f| &f.fit) {
        Some(Fit::Link { key }) => key,
        _ => "",
    }
}

/// A link's value with the other record's key, as the assumed form writes it; `null` for none.
fn by_key(link: &Link<'_>) -> Option<Box<RawValue>> {
    match link.to {
        None => Some(RawValue::NULL.to_owned()),
        Some(Target { attribute, key: Key::Value(key), .. }) => to_raw_value(&serde_json::json!({ attribute: key })).ok(),
        Some(Target { key: Key::Filter(_) | Key::Identity { .. }, .. }) => None,
    }
}

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
