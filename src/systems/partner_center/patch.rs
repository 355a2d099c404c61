//! The difference of two referral bodies as a JSON Patch (RFC 6902). The service takes `add` and `replace` only (Partner Center REST, *Patch
//! a referral*), so what is to be emptied is replaced by `null`.

use serde::Serialize;

use super::tree::Node;

/// An operation that the service takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Adds a property, or an item to a list.
    Add,
    /// Replaces a value.
    Replace,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What is done.
    pub op: Verb,
    /// Where: a JSON Pointer (RFC 6901).
    pub path: String,
    /// The new value.
    pub value: Node,
}

/// Lists whose items may be changed one by one: `/registrations/0/…` was seen, for other lists only `/-` is documented.
const BY_POSITION: [&str; 1] = ["/registrations"];

/// The changes that turn one body into the other. A property that is missing and one that is `null` are the same.
pub fn difference(current: &Node, wanted: &Node) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(current, wanted, &mut String::new(), &mut changes);
    complete_state(current, wanted, &mut changes);
    changes
}

/// Status and substatus are sent together, since one alone can be a state that is not allowed.
fn complete_state(current: &Node, wanted: &Node, changes: &mut Vec<Change>) {
    const STATE: [(&str, &str); 2] = [("/status", "status"), ("/substatus", "substatus")];
    if !changes.iter().any(|change| STATE.iter().any(|(path, _)| change.path == *path)) {
        return;
    }
    for (path, name) in STATE {
        if !changes.iter().any(|change| change.path == path)
            && let (Some(_), Some(value @ Node::Text(_))) = (current.at(&[name]), wanted.at(&[name]))
        {
            changes.push(Change { op: Verb::Replace, path: path.to_owned(), value: value.clone() });
        }
    }
}

fn compare(current: &Node, wanted: &Node, path: &mut String, changes: &mut Vec<Change>) {
    if current == wanted {
        return;
    }
    match (current, wanted) {
        (Node::Object(old), Node::Object(new)) => {
            for (name, value) in new {
                match (old.get(name), value) {
                    (None, Node::Null) => {}
                    (None, value) => changes.push(Change { op: Verb::Add, path: child(path, name), value: value.clone() }),
                    (Some(before), value) => below(path, name, |path| compare(before, value, path, changes)),
                }
            }
            for (name, before) in old {
                if !new.contains_key(name) {
                    below(path, name, |path| compare(before, &Node::Null, path, changes));
                }
            }
        }
        (Node::List(old), Node::List(new)) => compare_lists(old, new, path, changes),
        (_, value) => changes.push(Change { op: Verb::Replace, path: path.clone(), value: value.clone() }),
    }
}

fn compare_lists(old: &[Node], new: &[Node], path: &mut String, changes: &mut Vec<Change>) {
    let by_position = BY_POSITION.contains(&path.as_str()) && new.len() >= old.len();
    if by_position {
        for (position, (before, value)) in old.iter().zip(new).enumerate() {
            below(path, &position.to_string(), |path| compare(before, value, path, changes));
        }
    } else if !new.starts_with(old) || old.is_empty() && new.len() > 1 {
        changes.push(Change { op: Verb::Replace, path: path.clone(), value: Node::List(new.to_vec()) });
        return;
    }
    for value in &new[old.len()..] {
        changes.push(Change { op: Verb::Add, path: format!("{path}/-"), value: value.clone() });
    }
}

/// Calls `f` with the path of a property or item.
fn below(path: &mut String, name: &str, f: impl FnOnce(&mut String)) {
    let length = path.len();
    *path = child(path, name);
    f(path);
    path.truncate(length);
}

fn child(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    fn node(text: &str) -> Node {
        Node::read(text.as_bytes()).unwrap()
    }

    fn changes(current: &str, wanted: &str) -> String {
        serde_json::to_string(&difference(&node(current), &node(wanted))).unwrap()
    }

    /// Applies a patch by RFC 6902, in the simplest way.
    fn apply(body: &mut Node, changes: &[Change]) {
        for change in changes {
            let names: Vec<String> = change.path.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let Some((last, parents)) = names.split_last() else {
                *body = change.value.clone();
                continue;
            };
            match (body.at_mut(parents).expect("the parent is there"), change.op) {
                (Node::Object(properties), Verb::Add) => {
                    properties.insert((*last).to_owned(), change.value.clone());
                }
                (Node::Object(properties), Verb::Replace) => {
                    *properties.get_mut(*last).expect("only what is there can be replaced") = change.value.clone();
                }
                (Node::List(items), Verb::Add) if *last == "-" => items.push(change.value.clone()),
                (Node::List(items), Verb::Replace) => items[last.parse::<usize>().unwrap()] = change.value.clone(),
                (parent, _) => panic!("{change:?} in {parent:?}"),
            }
        }
    }

    /// Without properties that are `null`, which are the same as missing ones.
    fn bare(node: &Node) -> Node {
        match node {
            Node::Object(properties) => Node::Object(
                properties
                    .iter()
                    .filter(|(_, value)| !matches!(value, Node::Null))
                    .map(|(name, value)| (name.clone(), bare(value)))
                    .collect(),
            ),
            Node::List(items) => Node::List(items.iter().map(bare).collect()),
            other => other.clone(),
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        let body = r#"{"name":"A","details":{"dealValue":1.00,"notes":null}}"#;
        assert_eq!(changes(body, body), "[]");
        assert_eq!(changes(body, r#"{"details":{"dealValue":1},"name":"A"}"#), "[]");
        assert_eq!(
            changes(body, r#"{"name":"A","details":{"dealValue":2.50,"notes":"n"},"salesStage":"100"}"#),
            r#"[{"op":"replace","path":"/details/dealValue","value":2.50},{"op":"replace","path":"/details/notes","value":"n"},{"op":"add","path":"/salesStage","value":"100"}]"#
        );
    }

    #[test]
    fn what_is_to_be_emptied_is_replaced_by_null_and_nothing_is_removed() {
        assert_eq!(changes(r#"{"a":"x","b":null}"#, "{}"), r#"[{"op":"replace","path":"/a","value":null}]"#);
    }

    #[test]
    fn items_at_the_end_of_a_list_are_added_and_other_changes_replace_the_list() {
        assert_eq!(
            changes(r#"{"team":[{"email":"a"}]}"#, r#"{"team":[{"email":"a"},{"email":"b"}]}"#),
            r#"[{"op":"add","path":"/team/-","value":{"email":"b"}}]"#
        );
        assert_eq!(
            changes(r#"{"team":[{"email":"a"},{"email":"b"}]}"#, r#"{"team":[{"email":"b"}]}"#),
            r#"[{"op":"replace","path":"/team","value":[{"email":"b"}]}]"#
        );
        assert_eq!(changes(r#"{"team":null}"#, r#"{"team":[1]}"#), r#"[{"op":"replace","path":"/team","value":[1]}]"#);
    }

    #[test]
    fn a_deal_registration_is_changed_in_its_place() {
        assert_eq!(
            changes(
                r#"{"registrations":[{"id":"1","status":"A"}]}"#,
                r#"{"registrations":[{"id":"1","status":"B"},{"type":"AzureIPCoSell"}]}"#
            ),
            r#"[{"op":"replace","path":"/registrations/0/status","value":"B"},{"op":"add","path":"/registrations/-","value":{"type":"AzureIPCoSell"}}]"#
        );
    }

    #[test]
    fn status_and_substatus_go_together() {
        assert_eq!(
            changes(r#"{"status":"Closed","substatus":"Won"}"#, r#"{"status":"Closed","substatus":"Lost"}"#),
            r#"[{"op":"replace","path":"/substatus","value":"Lost"},{"op":"replace","path":"/status","value":"Closed"}]"#
        );
    }

    #[test]
    fn names_are_escaped_as_pointers_have_them() {
        assert_eq!(changes("{}", r#"{"a/b~c":1}"#), r#"[{"op":"add","path":"/a~1b~0c","value":1}]"#);
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            (0_u32..4).prop_map(|n| Node::Number(n.to_string())),
            "[ab]{0,2}".prop_map(Node::Text),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
                proptest::collection::vec((any_name(), inner), 0..5)
                    .prop_map(|properties| Node::Object(properties.into_iter().collect::<IndexMap<_, _>>())),
            ]
        })
    }

    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof![Just("status"), Just("substatus"), Just("team"), Just("registrations"), Just("a/b"), Just("c~")].prop_map(str::to_owned)
    }

    fn any_body() -> impl Strategy<Value = Node> {
        proptest::collection::vec((any_name(), any_node()), 0..6)
            .prop_map(|properties| Node::Object(properties.into_iter().collect::<IndexMap<_, _>>()))
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_wanted_body(current in any_body(), wanted in any_body()) {
            let changes = difference(&current, &wanted);
            let mut body = current.clone();
            apply(&mut body, &changes);
            prop_assert_eq!(bare(&body), bare(&wanted));
            // A patch that was applied leaves nothing to do.
            prop_assert!(difference(&body, &wanted).is_empty());
        }
    }
}
