//! A table's definition: the table, its columns with what their types add, its lookups and its alternate keys.
//!
//! Source: Dataverse Web API, *Query table definitions* and *Query table definitions using the Web API* (common columns
//! come in one request, what a type adds needs a cast, one request per type).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

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
}

const DEFINITION: &str = "LogicalName,SchemaName,EntitySetName,PrimaryIdAttribute,PrimaryNameAttribute,ChangeTrackingEnabled,IsActivity,\
                          IsCustomEntity,IsOptimisticConcurrencyEnabled,ObjectTypeCode,DisplayName";
const ATTRIBUTE: &str = "LogicalName,SchemaName,AttributeType,AttributeTypeName,IsValidForCreate,IsValidForUpdate,IsValidForRead,IsPrimaryId,\
                         RequiredLevel,AttributeOf,IsLogical,IsValidODataAttribute,DisplayName";
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
        Ok(EntityMetadata { definition, attributes, casts, many_to_one, keys })
    }

    pub(super) async fn list(&self, path: &str, select: &str, expand: &str) -> Result<Vec<Value>, ConnectError> {
        let list: List = self.get(self.url(path, &query(&[("$select", select), ("$expand", expand)]))?).await?;
        Ok(list.value)
    }
}
