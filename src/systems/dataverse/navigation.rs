//! Lookups: by which navigation property each is written, for each table it may point to.
//!
//! A lookup's logical name does not name it in a body: its navigation property does, which is case-sensitive, differs for each
//! table of a polymorphic lookup, and has a suffix on custom activities. Only the table's relationships tell it (Dataverse Web API,
//! *Associate table rows on create*; *Web API navigation properties*).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::key::{Entity, RowKey};
use super::metadata::EntityMetadata;
use crate::connect::ConnectError;

/// The lookups of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookups {
    table: String,
    /// By lookup, then by the table it points to: the navigation property.
    navigation: BTreeMap<String, BTreeMap<String, String>>,
}

/// A member of a body: its name and its value.
pub type Member = (String, Value);

impl Lookups {
    /// The lookups by a table's definition.
    pub fn of(metadata: &EntityMetadata) -> Self {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
        let mut navigation: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for relation in &metadata.many_to_one {
            let (Some(lookup), Some(target), Some(property)) = (
                text(relation, "ReferencingAttribute"),
                text(relation, "ReferencedEntity"),
                text(relation, "ReferencingEntityNavigationPropertyName"),
            ) else {
                continue;
            };
            navigation.entry(lookup).or_default().insert(target, property);
        }
        let table = text(&metadata.definition, "LogicalName").unwrap_or_default();
        Self { table, navigation }
    }

    /// The navigation property of a lookup to a table, both by logical name.
    ///
    /// # Errors
    /// [`ConnectError::Config`], with what there is, when the table has no such lookup or it does not point there.
    pub fn property(&self, lookup: &str, target: &str) -> Result<&str, ConnectError> {
        let targets = self.navigation.get(lookup).ok_or_else(|| {
            let known: Vec<_> = self.navigation.keys().map(String::as_str).collect();
            ConnectError::config(
                format!("dataverse: {} has no lookup `{lookup}`", self.table),
                format!("use one of its lookups by logical name: {}", known.join(", ")),
            )
        })?;
        targets.get(target).map(String::as_str).ok_or_else(|| {
            let known: Vec<_> = targets.keys().map(String::as_str).collect();
            ConnectError::config(
                format!("dataverse: the lookup `{lookup}` of {} does not point to {target}", self.table),
                format!("it points to {}", known.join(", ")),
            )
        })
    }

    /// What makes a lookup point to a row: `"parentcustomerid_account@odata.bind": "/accounts(…)"`.
    ///
    /// # Errors
    /// [`ConnectError::Config`] as [`Lookups::property`], and for a key whose value would break an address.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn bind(&self, lookup: &str, target: &Entity, key: &RowKey) -> Result<Member, ConnectError> {
        let property = self.property(lookup, &target.logical_name)?;
        let segment = key.segment().ok_or_else(|| {
            ConnectError::config(
                format!("dataverse: a value of the key to {} cannot be used in an address", target.logical_name),
                "find the row's id by its key first",
            )
        })?;
        Ok((format!("{property}@odata.bind"), json!(format!("/{}{segment}", target.set))))
    }

    /// What makes a lookup point nowhere. A polymorphic one is cleared by the property of any of its tables.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when the table has no such lookup.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn clear(&self, lookup: &str) -> Result<Member, ConnectError> {
        let property = match self.navigation.get(lookup).and_then(|targets| targets.values().next()) {
            Some(property) => property,
            None => self.property(lookup, "")?,
        };
        Ok((format!("{property}@odata.bind"), Value::Null))
    }
}

/// The row that a lookup of a row points to: the column `_<lookup>_value`, and its table where annotations were asked for.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub fn points_to(row: &Value, lookup: &str) -> Option<(Uuid, Option<String>)> {
    let column = format!("_{lookup}_value");
    let id = row.get(&column)?.as_str()?.parse().ok()?;
    let table = row.get(format!("{column}@Microsoft.Dynamics.CRM.lookuplogicalname")).and_then(Value::as_str).map(str::to_owned);
    Some((id, table))
}

/// The label of a choice, the name of a lookup's row, or a number or date as the user reads it; where annotations were asked for.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub fn formatted<'a>(row: &'a Value, column: &str) -> Option<&'a str> {
    row.get(format!("{column}@OData.Community.Display.V1.FormattedValue"))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups() -> Lookups {
        let relation = |lookup: &str, target: &str, property: &str| json!({"ReferencingAttribute": lookup, "ReferencedEntity": target, "ReferencingEntityNavigationPropertyName": property});
        Lookups::of(&EntityMetadata {
            definition: json!({"LogicalName": "contact"}),
            attributes: Vec::new(),
            casts: BTreeMap::new(),
            many_to_one: vec![
                relation("parentcustomerid", "account", "parentcustomerid_account"),
                relation("parentcustomerid", "contact", "parentcustomerid_contact"),
                relation("new_regionid", "new_region", "new_RegionId"),
                json!({"ReferencingAttribute": "half", "ReferencedEntity": "account"}),
            ],
            secured: BTreeMap::new(),
            keys: Vec::new(),
        })
    }

    #[test]
    fn a_lookup_is_bound_by_the_navigation_property_of_the_table_it_points_to() {
        let (lookups, id) = (lookups(), Uuid::from_u128(1));
        let account = Entity::new("accounts", "account", "accountid");
        let (name, value) = lookups.bind("parentcustomerid", &account, &id.into()).unwrap();
        assert_eq!((name.as_str(), value), ("parentcustomerid_account@odata.bind", json!(format!("/accounts({id})"))));
        let region = Entity::new("new_regions", "new_region", "new_regionid");
        assert_eq!(lookups.bind("new_regionid", &region, &id.into()).unwrap().0, "new_RegionId@odata.bind");
        assert_eq!(lookups.clear("parentcustomerid").unwrap(), ("parentcustomerid_account@odata.bind".to_owned(), Value::Null));
    }

    #[test]
    fn a_wrong_lookup_or_target_is_reported_with_the_valid_ones() {
        let lookups = lookups();
        let text = lookups.property("parentcustomerid", "lead").unwrap_err().to_string();
        assert!(text.contains("does not point to lead") && text.contains("account, contact"), "{text}");
        let text = lookups.clear("new_RegionId").unwrap_err().to_string();
        assert!(text.contains("new_regionid, parentcustomerid"), "{text}");
    }

    #[test]
    fn labels_and_tables_of_lookups_are_read_from_annotations() {
        let id = Uuid::from_u128(1);
        let row = json!({
            "statecode@OData.Community.Display.V1.FormattedValue": "Active", "statecode": 0,
            "_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname": "team", "_ownerid_value": id,
        });
        assert_eq!(formatted(&row, "statecode"), Some("Active"));
        assert_eq!(formatted(&row, "gendercode"), None);
        assert_eq!(points_to(&row, "ownerid"), Some((id, Some("team".to_owned()))));
    }
}
