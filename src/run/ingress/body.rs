//! The body of a write: dotted paths and JSON texts to one nested object, and the links to other records in it.

use serde_json::Value;

use super::Shared;
use super::ended::{Ended, Tally};
use crate::connect::ConnectError;
use crate::json;
use crate::plan::{ExecutionPlan, FieldProgram, Fit, IngressFlow, KeyAbsent, LinkTo};
use crate::run::optout::kept_attributes;
use crate::run::{RunError, failure};
use crate::store::{ClaimedField, ClaimedOp, Destination, Failure};
use crate::systems::{Link, Linked, Payload, RecordKey, Table};

/// The body of a write.
pub(super) struct Request {
    /// As it is sent; may hold a PKey.
    pub sent: Payload,
    /// As it may be kept, where that is not what is sent: links by the other record's key.
    shown: Option<String>,
    /// Links by key that lead somewhere else than their values say, since the target has no record of that key.
    pub replaced: Vec<String>,
}

impl Request {
    /// The body as it may be kept.
    pub fn into_shown(self) -> String {
        self.shown.unwrap_or_else(|| self.sent.to_text())
    }
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A record that is made.
    Create,
    /// A record that is there and has the key.
    Update,
    /// A record that is there and gets the key.
    Adopt,
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
    /// The target has no record of a key to which it links.
    NoRecord(Box<Failure>),
}

impl From<Ended> for NoBody {
    fn from(ended: Ended) -> NoBody {
        NoBody::Ended(Box::new(ended))
    }
}

/// The body for an operation: of a record to be made all fields that have a value and the key, of one that is there those that differ, and
/// of one that gets the key all of them. How the operation ends instead, where a record that it links to is not at the target, or could not be
/// looked up.
pub(super) async fn of(shared: &Shared, op: &ClaimedOp, purpose: Purpose) -> Result<Request, NoBody> {
    let broken = |what: String| NoBody::from(Ended::Abort(op.released(), RunError::Task(what)));
    let flow = shared.flow();
    let mut key = String::with_capacity(op.key.len() + 2);
    json::push_string(&mut key, &op.key);
    // A field without a value need not be sent to a record that has none.
    let fields: Vec<&ClaimedField> = match purpose {
        Purpose::Create => op.write_set(true).filter(|f| f.value.get() != "null").collect(),
        Purpose::Update => op.write_set(false).collect(),
        Purpose::Adopt => op.adopt_set().collect(),
    };
    let kept: Vec<&str> = kept_attributes(op.kept).collect();
    // A link by key is a value for the state, and a link for the target.
    let by_keys: Vec<ByKey<'_>> = fields.iter().filter_map(|f| ByKey::of(flow, f)).collect();
    let own = fields.iter().filter(|f| f.link.is_none() && !kept.contains(&&*f.path) && !by_keys.iter().any(|link| link.path == &*f.path));
    let mut plain: Vec<(&str, &str)> = own.map(|f| (&*f.path, f.value.get())).collect();
    // What an earlier profile of this contact had when it was deleted, whatever the contact says.
    plain.extend(kept.iter().map(|name| (*name, "true")));
    if purpose != Purpose::Update {
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
        links.push(Link { name: &field.path, to, lasting: false });
    }
    links.extend(by_keys.iter().map(ByKey::link));
    let body = nest(plain.iter().copied());
    if links.is_empty() {
        return Ok(Request { sent: Payload::from(body), shown: None, replaced: Vec::new() });
    }
    let mut replaced: Vec<String> = Vec::new();
    loop {
        let shown: Vec<(&str, String)> = links.iter().filter_map(|link| Some((link.name, by_key(link)?))).collect();
        let shown = nest(plain.iter().copied().chain(shown.iter().map(|(path, value)| (*path, value.as_str()))));
        let link = match shared.target.linked(&body, &links).await {
            Ok(Linked::Ready(sent)) => return Ok(Request { sent, shown: Some(shown), replaced }),
            Ok(Linked::Absent { link }) => link,
            Err(error) => return Err(NoBody::LookUpFailed { error, shown }),
        };
        if let Some(missing) = by_keys.iter().find(|by| by.path == link) {
            let to = missing.instead(replaced.contains(&link)).ok_or_else(|| missing.failure(&shared.context.plan, shown))?;
            links.iter_mut().filter(|known| known.name == link).for_each(|known| known.to = to);
            replaced.push(link);
            continue;
        }
        let gone = fields.iter().find(|f| *f.path == *link).and_then(|f| f.link.as_ref());
        return Err(match gone.and_then(|l| Some((l, l.to.source_id()?))) {
            Some((link, source_id)) => waits(op, &link.mapping, source_id, true).into(),
            None => broken(format!("there is no link `{link}`")),
        });
    }
}

/// A link to a record that the target has already.
struct ByKey<'a> {
    path: &'a str,
    program: &'a FieldProgram,
    to: &'a LinkTo,
    /// The key; `None` for an empty link.
    key: Option<String>,
}

impl<'a> ByKey<'a> {
    fn of(flow: &'a IngressFlow, field: &'a ClaimedField) -> Option<ByKey<'a>> {
        if flow.fields.iter().all(|program| program.link_to.is_none()) {
            return None;
        }
        let program = flow.fields.iter().find(|program| program.path.join(".") == *field.path)?;
        let key = match serde_json::from_str(field.value.get()) {
            Ok(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
            Ok(Value::Number(number)) => Some(number.to_string()),
            Ok(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | Err(_) => None,
        };
        Some(ByKey { path: &field.path, program, to: program.link_to.as_ref()?, key })
    }

    fn record<'k>(&'k self, key: &'k str) -> RecordKey<'k> {
        RecordKey { table: Table { name: self.to.name(), collection: &self.to.collection }, attribute: &self.to.key, value: key }
    }

    fn link(&self) -> Link<'_> {
        Link { name: self.path, to: self.key.as_deref().map(|key| self.record(key)), lasting: true }
    }

    /// Where it leads if there is no record of its key; `None` if the record cannot be written then. `tried`: that one is missing too.
    #[allow(clippy::option_option)]
    fn instead(&self, tried: bool) -> Option<Option<RecordKey<'_>>> {
        match &self.to.absent {
            KeyAbsent::Null => Some(None),
            KeyAbsent::Default(key) if !tried => Some(Some(self.record(key))),
            KeyAbsent::Reject | KeyAbsent::Default(_) => None,
        }
    }

    fn failure(&self, plan: &ExecutionPlan, request: String) -> NoBody {
        let LinkTo { table, key, absent, .. } = self.to;
        let which = match absent {
            KeyAbsent::Default(_) => "neither a record of this key nor of the one in `or default(…)`",
            KeyAbsent::Reject | KeyAbsent::Null => "no record of this key",
        };
        NoBody::NoRecord(Box::new(Failure {
            code: "D908".to_owned(),
            message: format!(
                "`{table}` has {which}, to which `{}` is to link by `{key}`. Create it in Campaign or change the value; then run \
                 `d365map dead-letters retry`",
                self.path
            ),
            field: Some(self.path.to_owned()),
            place: Some(failure::place(plan, self.program.at)),
            request: Some(request),
            ..Failure::default()
        }))
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
