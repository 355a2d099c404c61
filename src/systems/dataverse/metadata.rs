//! A table's definition: the table, its columns with what their types add, its lookups and its alternate keys.
//!
//! Source: Dataverse Web API, *Query table definitions* and *Query table definitions using the Web API* (common columns
//! come in one request, what a type adds needs a cast, one request per type).

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Dataverse, name, query};
use crate::connect::ConnectError;

/// A table's definition, as documents of the service with selected columns.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityMetadata {
    /// The table: names, entity set, primary columns, change tracking.
    pub definition: Value,
    /// Every column, with what all types have in common.
    pub attributes: Vec<Value>,
    /// What a type adds to its columns, by type: `String`, `Picklist`…
    pub casts: BTreeMap<String, Vec<Value>>,
    /// The lookups with their targets and navigation properties.
    pub many_to_one: Vec<Value>,
    /// The alternate keys.
    pub keys: Vec<Value>,
    /// The columns under column security, each with whether the application user may read it; `None` if that could not be asked.
    pub secured: BTreeMap<String, Option<bool>>,
}

const DEFINITION: &str = "LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,ChangeTrackingEnabled,IsActivity,\
                          IsCustomEntity,IsOptimisticConcurrencyEnabled,ObjectTypeCode,DisplayName";
const ATTRIBUTE: &str = "LogicalName,SchemaName,AttributeType,AttributeTypeName,IsValidForCreate,IsValidForUpdate,IsValidForRead,IsPrimaryId,IsSecured,\
                         RequiredLevel,AttributeOf,IsLogical,IsValidODataAttribute,SourceType,DisplayName";
const KEY: &str = "LogicalName,KeyAttributes,EntityKeyIndexStatus";
const MANY_TO_ONE: &str = "SchemaName,ReferencingAttribute,ReferencedEntity,ReferencedAttribute,ReferencingEntityNavigationPropertyName";
/// Choices come with their options, local or global.
const OPTIONS: &str = "OptionSet,GlobalOptionSet";
/// Each type's own columns, and what is expanded.
const CASTS: [(&str, &str, &str); 14] = [
    ("String", "LogicalName,MaxLength", ""),
    ("Memo", "LogicalName,MaxLength", ""),
    ("Integer", "LogicalName,MinValue,MaxValue", ""),
    ("BigInt", "LogicalName,MinValue,MaxValue", ""),
    ("Decimal", "LogicalName,MinValue,MaxValue,Precision", ""),
    ("Double", "LogicalName,MinValue,MaxValue,Precision", ""),
    ("Money", "LogicalName,MinValue,MaxValue,Precision", ""),
    ("DateTime", "LogicalName,DateTimeBehavior,Format", ""),
    ("Lookup", "LogicalName,Targets", ""),
    ("Picklist", "LogicalName", OPTIONS),
    ("State", "LogicalName", OPTIONS),
    ("Status", "LogicalName", OPTIONS),
    ("Boolean", "LogicalName", OPTIONS),
    ("MultiSelectPicklist", "LogicalName", OPTIONS),
];

/// What a user may do with secured columns. Documented: `RetrievePrincipalAttributePrivileges`; 4 is allowed, 0 is not.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Privileges {
    attribute_privileges: Vec<Privilege>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Privilege {
    attribute_id: Uuid,
    can_read: i32,
}

#[derive(Deserialize)]
struct List {
    value: Vec<Value>,
}

impl Dataverse {
    /// Reads a table's definition, in one request per part and type.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] for an unknown table; others as they come.
    pub async fn entity_metadata(&self, logical_name: &str) -> Result<EntityMetadata, ConnectError> {
        let table = format!("EntityDefinitions(LogicalName='{}')", name(&logical_name.replace('\'', "''")));
        let keys = format!("Keys($select={KEY})");
        let mut definition: Value = self.get(self.url(&table, &query(&[("$select", DEFINITION), ("$expand", &keys)]))?).await?;
        let keys = match definition.as_object_mut().and_then(|d| d.remove("Keys")) {
            Some(Value::Array(keys)) => keys,
            _ => Vec::new(),
        };
        let attributes = self.list(&format!("{table}/Attributes"), ATTRIBUTE, "").await?;
        let mut casts = BTreeMap::new();
        for (kind, select, expand) in CASTS {
            let path = format!("{table}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata");
            casts.insert(kind.to_owned(), self.list(&path, select, expand).await?);
        }
        let many_to_one = self.list(&format!("{table}/ManyToOneRelationships"), MANY_TO_ONE, "").await?;
        let secured = self.secured(&attributes).await?;
        Ok(EntityMetadata { definition, attributes, casts, many_to_one, keys, secured })
    }

    /// Asks whether our user may read the secured ones of some columns: Dataverse sends null for those that it may not read.
    async fn secured(&self, attributes: &[Value]) -> Result<BTreeMap<String, Option<bool>>, ConnectError> {
        let text = |attribute: &Value, name: &str| attribute.get(name).and_then(Value::as_str).map(str::to_owned);
        let secured: Vec<(String, Option<Uuid>)> = attributes
            .iter()
            .filter(|attribute| attribute.get("IsSecured").and_then(Value::as_bool) == Some(true))
            .filter_map(|a| Some((text(a, "LogicalName")?, text(a, "MetadataId").and_then(|id| Uuid::parse_str(&id).ok()))))
            .collect();
        if secured.is_empty() {
            return Ok(BTreeMap::new());
        }
        let user = self.who_am_i().await?.user_id;
        let path = format!("systemusers({user})/Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivileges()");
        let readable: Option<HashSet<Uuid>> = match self.get::<Privileges>(self.url(&path, "")?).await {
            Ok(found) => Some(found.attribute_privileges.into_iter().filter(|p| p.can_read > 0).map(|p| p.attribute_id).collect()),
            // Without the right to ask, it is not known.
            Err(ConnectError::Forbidden { .. } | ConnectError::NotFound { .. } | ConnectError::Rejected { .. }) => None,
            Err(error) => return Err(error),
        };
        let may_read = |id: Option<Uuid>| Some(readable.as_ref()?.contains(&id?));
        Ok(secured.into_iter().map(|(name, id)| (name, may_read(id))).collect())
    }

    pub(super) async fn list(&self, path: &str, select: &str, expand: &str) -> Result<Vec<Value>, ConnectError> {
        let list: List = self.get(self.url(path, &query(&[("$select", select), ("$expand", expand)]))?).await?;
        Ok(list.value)
    }
}
