//! JSON Patch (RFC 6902) as far as the referrals API has it: `add` and `replace`. [D]

use serde_json::Value as Json;

use super::error::{Problem, Result};
use super::referral::{READ_ONLY, canonical, canonical_name};

/// One operation of a document, with the names of the path as the service writes them.
#[derive(Debug, PartialEq)]
pub(super) struct Operation {
    add: bool,
    path: Vec<String>,
    value: Json,
}

/// Reads a document.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Operation>> {
    let document: Json = serde_json::from_slice(body).map_err(|error| Problem::invalid(format!("The body is not valid JSON: {error}.")))?;
    let Json::Array(items) = document else { return Err(Problem::invalid("The body must be an array of operations (JSON Patch).")) };
    items.iter().map(operation).collect()
}

fn operation(item: &Json) -> Result<Operation> {
    let add = match item["op"].as_str() {
        Some("add") => true,
        Some("replace") => false,
        _ => return Err(Problem::invalid(format!("The operation {} is not supported. Use add or replace.", item["op"]))),
    };
    let Some(path) = item["path"].as_str().and_then(|path| path.strip_prefix('/')) else {
        return Err(Problem::invalid("An operation needs a path that begins with a slash."));
    };
    let Some(value) = item.get("value") else { return Err(Problem::invalid("An operation needs a value.")) };
    let path: Vec<String> = path.split('/').map(|part| canonical_name(&part.replace("~1", "/").replace("~0", "~")).to_owned()).collect();
    if path.first().is_some_and(|first| READ_ONLY.contains(&first.as_str())) {
        return Err(Problem::invalid(format!("/{} is read-only.", path.join("/"))));
    }
    Ok(Operation { add, path, value: canonical(value)? })
}

/// Whether all operations are about deal registrations, which a deal that was won still takes.
pub(super) fn only_registrations(operations: &[Operation]) -> bool {
    operations.iter().all(|operation| operation.path.first().is_some_and(|first| first == "registrations"))
}

/// Carries out the operations; the body is of no use after an error.
pub(super) fn apply(body: &mut Json, operations: Vec<Operation>) -> Result<()> {
    operations.into_iter().try_for_each(|operation| one(body, operation))
}

fn one(body: &mut Json, operation: Operation) -> Result<()> {
    let Operation { add, path, value } = operation;
    let shown = || format!("/{}", path.join("/"));
    let missing = || Problem::invalid(format!("The path {} does not exist.", shown()));
    let Some((last, parents)) = path.split_last() else { return Err(missing()) };
    let mut parent = body;
    for part in parents {
        parent = match parent {
            Json::Object(fields) => fields.get_mut(part),
            Json::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get_mut(at)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        }
        .ok_or_else(missing)?;
    }
    match parent {
        Json::Object(fields) => {
            if !add && !fields.contains_key(last) {
                return Err(missing());
            }
            fields.insert(last.clone(), value);
        }
        Json::Array(items) if add && last == "-" => items.push(value),
        Json::Array(items) => {
            let at: usize = last.parse().map_err(|_| missing())?;
            if add && at <= items.len() {
                items.insert(at, value);
            } else {
                *items.get_mut(at).filter(|_| !add).ok_or_else(missing)? = value;
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return Err(missing()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(body: Json, document: Json) -> Result<Json> {
        let mut body = body;
        apply(&mut body, parse(document.to_string().as_bytes())?)?;
        Ok(body)
    }

    #[test]
    fn add_and_replace_reach_into_objects_and_lists() {
        let body = json!({"name": "a", "team": [{"email": "x"}], "details": {"notes": null}});
        let document = json!([
            {"op": "replace", "path": "/Details/Notes", "value": "n"},
            {"op": "add", "path": "/team/-", "value": {"Email": "y"}},
            {"op": "replace", "path": "/team/0/email", "value": "z"},
            {"op": "add", "path": "/team/0", "value": {"email": "first"}},
        ]);
        let wanted = json!({"name": "a", "team": [{"email": "first"}, {"email": "z"}, {"email": "y"}], "details": {"notes": "n"}});
        assert_eq!(patched(body, document).unwrap(), wanted);
    }

    #[test]
    fn other_operations_and_paths_that_do_not_exist_are_refused() {
        let body = || json!({"name": "a", "team": []});
        for op in ["remove", "test", "move", "copy"] {
            assert!(patched(body(), json!([{"op": op, "path": "/name", "value": 1}])).is_err(), "{op}");
        }
        for path in ["/nothing", "/team/0", "/team/-", "/name/x", "name", "/id", "/eTag"] {
            assert!(patched(body(), json!([{"op": "replace", "path": path, "value": 1}])).is_err(), "{path}");
        }
        assert!(patched(body(), json!({"name": "b"})).is_err() && patched(body(), json!([{"op": "add", "path": "/name"}])).is_err());
    }
}
