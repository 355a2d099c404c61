//! What the application user may do, as Dataverse lists it.
//!
//! Sources: Dataverse Web API, *RetrieveUserPrivileges function*, *RolePrivilege complex type*, *PrivilegeDepth*; Dataverse,
//! *Security concepts* (names of privileges). That each entry carries its name, and that roles of teams are in the list, is
//! seen in third parties only.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

/// How far a privilege reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The user's own rows.
    Basic,
    /// Rows of the user's business unit.
    Local,
    /// And of those below it.
    Deep,
    /// All rows.
    Global,
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Depth::Basic => "the user's own rows",
            Depth::Local => "rows of its business unit",
            Depth::Deep => "rows of its business unit and those below",
            Depth::Global => "the whole organization",
        })
    }
}

/// Privileges by name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges(HashMap<String, Depth>);

impl Privileges {
    /// Reads the answer of RetrieveUserPrivileges; `None` where it is no such answer.
    pub fn read(answer: &Value) -> Option<Privileges> {
        let list = answer.get("RolePrivileges")?.as_array()?;
        let mut all = HashMap::new();
        for entry in list {
            let (Some(name), Some(depth)) = (entry.get("PrivilegeName").and_then(Value::as_str), entry.get("Depth").and_then(depth)) else {
                continue;
            };
            let held = all.entry(name.to_ascii_lowercase()).or_insert(depth);
            *held = depth.max(*held);
        }
        // A list without names tells nothing.
        (list.is_empty() || !all.is_empty()).then_some(Privileges(all))
    }

    /// How far a privilege reaches; `None` where the user does not have it.
    pub fn depth(&self, name: &str) -> Option<Depth> {
        self.0.get(&name.to_ascii_lowercase()).copied()
    }
}

/// By name, or by the number behind it.
fn depth(value: &Value) -> Option<Depth> {
    match (value.as_str(), value.as_u64()) {
        (Some("Basic"), _) | (_, Some(0)) => Some(Depth::Basic),
        (Some("Local"), _) | (_, Some(1)) => Some(Depth::Local),
        (Some("Deep"), _) | (_, Some(2)) => Some(Depth::Deep),
        (Some("Global"), _) | (_, Some(3)) => Some(Depth::Global),
        _ => None,
    }
}

/// The privilege that a refusal names: "… is missing prvReadContact privilege …".
pub fn named(message: &str) -> Option<&str> {
    message.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find(|word| word.starts_with("prv") && word.len() > 3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_widest_of_several_roles_counts() {
        let entry = |name: &str, depth: Value| json!({"PrivilegeName": name, "Depth": depth});
        let list = [entry("prvReadContact", json!("Basic")), entry("prvReadContact", json!("Global")), entry("prvWriteContact", json!(1))];
        let all = Privileges::read(&json!({ "RolePrivileges": list })).unwrap();
        assert_eq!(all.depth("PRVREADCONTACT"), Some(Depth::Global));
        assert_eq!(all.depth("prvWriteContact"), Some(Depth::Local));
        assert_eq!(all.depth("prvCreateContact"), None);
    }

    #[test]
    fn an_answer_of_another_shape_says_nothing() {
        assert_eq!(Privileges::read(&json!({"value": []})), None);
        assert_eq!(Privileges::read(&json!({"RolePrivileges": [{"PrivilegeId": "x", "Depth": "Global"}]})), None);
        assert_eq!(Privileges::read(&json!({"RolePrivileges": []})), Some(Privileges::default()));
    }

    #[test]
    fn a_refusal_names_its_privilege() {
        assert_eq!(named("Principal user (Id=1, type=8) is missing prvReadContact privilege (Id=2) on OTC=2"), Some("prvReadContact"));
        assert_eq!(named("no privilege"), None);
    }
}
