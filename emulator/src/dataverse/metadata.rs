//! `EntityDefinitions`: what `schema pull` and other discovery reads.
//!
//! Base properties come without a cast, a type's own only with one (`/Attributes/Microsoft.Dynamics.CRM.StringAttributeMetadata`),
//! option sets only when expanded; `MetadataId` is always there. [D]

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::Site;
use super::documented;
use super::error::{Fail, Result};
use super::read::JSON;
use super::store::Store;
use super::table::{Column, Key, Relation, Table, Type};
use super::url::{Literal, RowKey, Segment};
use crate::net;

/// The OData type of a column.
pub(super) fn edm(column: &Column) -> &'static str {
    match column.kind {
        Type::String | Type::Memo | Type::EntityName | Type::MultiSelect | Type::Virtual => "Edm.String",
        Type::Integer | Type::Picklist | Type::State | Type::Status => "Edm.Int32",
        Type::BigInt => "Edm.Int64",
        Type::Decimal | Type::Money => "Edm.Decimal",
        Type::Double => "Edm.Double",
        Type::Boolean => "Edm.Boolean",
        Type::DateTime if column.is_date_only() => "Edm.Date",
        Type::DateTime => "Edm.DateTimeOffset",
        Type::Uniqueidentifier | Type::Lookup | Type::Customer | Type::Owner => "Edm.Guid",
        Type::Image | Type::File => "Edm.Binary",
    }
}

/// `AttributeType`, `AttributeTypeName` and the derived metadata type.
fn type_names(kind: Type) -> (&'static str, &'static str, &'static str) {
    match kind {
        Type::String => ("String", "StringType", "StringAttributeMetadata"),
        Type::Memo => ("Memo", "MemoType", "MemoAttributeMetadata"),
        Type::Integer => ("Integer", "IntegerType", "IntegerAttributeMetadata"),
        Type::BigInt => ("BigInt", "BigIntType", "BigIntAttributeMetadata"),
        Type::Decimal => ("Decimal", "DecimalType", "DecimalAttributeMetadata"),
        Type::Money => ("Money", "MoneyType", "MoneyAttributeMetadata"),
        Type::Double => ("Double", "DoubleType", "DoubleAttributeMetadata"),
        Type::Boolean => ("Boolean", "BooleanType", "BooleanAttributeMetadata"),
        Type::Picklist => ("Picklist", "PicklistType", "PicklistAttributeMetadata"),
        Type::State => ("State", "StateType", "StateAttributeMetadata"),
        Type::Status => ("Status", "StatusType", "StatusAttributeMetadata"),
        Type::MultiSelect => ("Virtual", "MultiSelectPicklistType", "MultiSelectPicklistAttributeMetadata"),
        Type::DateTime => ("DateTime", "DateTimeType", "DateTimeAttributeMetadata"),
        Type::Uniqueidentifier => ("Uniqueidentifier", "UniqueidentifierType", "UniqueIdentifierAttributeMetadata"),
        Type::Lookup => ("Lookup", "LookupType", "LookupAttributeMetadata"),
        Type::Customer => ("Customer", "CustomerType", "LookupAttributeMetadata"),
        Type::Owner => ("Owner", "OwnerType", "LookupAttributeMetadata"),
        Type::EntityName => ("EntityName", "EntityNameType", "EntityNameAttributeMetadata"),
        Type::Image => ("Virtual", "ImageType", "ImageAttributeMetadata"),
        Type::File => ("Virtual", "FileType", "FileAttributeMetadata"),
        Type::Virtual => ("Virtual", "VirtualType", "AttributeMetadata"),
    }
}

const CASTS: [&str; 18] = [
    "StringAttributeMetadata",
    "MemoAttributeMetadata",
    "IntegerAttributeMetadata",
    "BigIntAttributeMetadata",
    "DecimalAttributeMetadata",
    "MoneyAttributeMetadata",
    "DoubleAttributeMetadata",
    "BooleanAttributeMetadata",
    "PicklistAttributeMetadata",
    "StateAttributeMetadata",
    "StatusAttributeMetadata",
    "MultiSelectPicklistAttributeMetadata",
    "DateTimeAttributeMetadata",
    "UniqueIdentifierAttributeMetadata",
    "LookupAttributeMetadata",
    "EntityNameAttributeMetadata",
    "ImageAttributeMetadata",
    "FileAttributeMetadata",
];

/// A stable id for a piece of metadata.
pub(super) fn metadata_id(path: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in path.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let (a, b) = (net::mix(hash), net::mix(hash ^ 0x5555));
    uuid::Builder::from_random_bytes(((u128::from(a) << 64) | u128::from(b)).to_be_bytes()).into_uuid().to_string()
}

fn label(text: Option<&str>) -> Json {
    match text {
        None => json!({"LocalizedLabels": [], "UserLocalizedLabel": null}),
        Some(text) => {
            let label =
                json!({"Label": text, "LanguageCode": 1033, "IsManaged": true, "MetadataId": metadata_id(text), "HasChanged": null});
            json!({"LocalizedLabels": [label], "UserLocalizedLabel": label})
        }
    }
}

pub(super) fn managed(value: bool) -> Json {
    json!({"Value": value, "CanBeChanged": true, "ManagedPropertyLogicalName": "canmodifyadditionalsettings"})
}

pub(super) fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(map) => map,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
    }
}

/// `RetrievePrincipalAttributePrivileges`: what a user may do with secured columns; those without an entry are closed to it. 4 stands for
/// allowed, 0 for not. [D] Field security is the same for all application users here.
pub(super) fn attribute_privileges(site: &Site, store: &Store) -> Response<Body> {
    let of = |table: &Table| {
        let secured = table.columns.iter().filter(|column| column.has('s') && !column.has('h'));
        let privilege = |column: &Column| json!({"AttributeId": metadata_id(&format!("{}.{}", table.name, column.name)), "CanCreate": 0, "CanRead": 4, "CanUpdate": 0});
        secured.map(privilege).collect::<Vec<_>>()
    };
    let all: Vec<Json> = store.tables.iter().filter(|rows| !rows.table.dropped).flat_map(|rows| of(&rows.table)).collect();
    let context = "Microsoft.Dynamics.CRM.RetrievePrincipalAttributePrivilegesResponse";
    respond(site, context, object(json!({ "AttributePrivileges": all })))
}

/// The properties every attribute has.
fn base(table: &Table, column: &Column) -> Map<String, Json> {
    let (kind, type_name, _) = type_names(column.kind);
    let mut map = documented::attribute(column);
    map.append(&mut object(json!({
        "AttributeOf": column.of,
        "AttributeType": kind,
        "AttributeTypeName": {"Value": type_name},
        "ColumnNumber": table.column(&column.name).map_or(0, |index| index + 1),
        "Description": label(None),
        "DisplayName": label(column.label.as_deref()),
        "EntityLogicalName": table.name,
        "IsCustomAttribute": column.has('x'),
        "IsLogical": column.has('l'),
        "IsManaged": !column.has('x'),
        "IsPrimaryId": column.name == table.id,
        "IsPrimaryName": column.name == table.title,
        "IsSecured": column.has('s'),
        "IsValidForCreate": column.has('c'),
        "IsValidForRead": column.has('r'),
        "IsValidForUpdate": column.has('u'),
        "IsValidODataAttribute": column.has('o'),
        "LogicalName": column.name,
        "MetadataId": metadata_id(&format!("{}.{}", table.name, column.name)),
        "RequiredLevel": {"Value": column.required.as_deref().unwrap_or("None"), "CanBeChanged": true, "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings"},
        "SchemaName": column.schema,
    })));
    map
}

/// The properties of the derived type.
fn own(column: &Column) -> Map<String, Json> {
    let text_format = || json!({"Value": column.format.as_deref().unwrap_or("Text")});
    let whole = |value: Option<f64>| value.map(|value| value as i64);
    object(match column.kind {
        Type::String | Type::Memo => {
            json!({"MaxLength": column.length, "Format": column.format, "FormatName": text_format(), "ImeMode": "Auto"})
        }
        Type::Integer => {
            json!({"MinValue": whole(column.min), "MaxValue": whole(column.max), "Format": column.format.as_deref().unwrap_or("None")})
        }
        Type::BigInt => json!({"MinValue": i64::MIN, "MaxValue": i64::MAX}),
        Type::Decimal | Type::Double => json!({"MinValue": column.min, "MaxValue": column.max, "Precision": column.precision}),
        Type::Money => json!({
            "MinValue": column.min, "MaxValue": column.max, "Precision": column.precision, "PrecisionSource": 2,
            "IsBaseCurrency": column.name.ends_with("_base"),
        }),
        Type::DateTime => json!({
            "Format": column.format.as_deref().unwrap_or("DateAndTime"),
            "DateTimeBehavior": {"Value": column.behavior.as_deref().unwrap_or("UserLocal")},
            "CanChangeDateTimeBehavior": managed(false),
        }),
        Type::Lookup | Type::Customer | Type::Owner => json!({"Targets": column.targets, "Format": "None"}),
        Type::Boolean => json!({"DefaultValue": column.default == Some(1)}),
        Type::Picklist | Type::State | Type::Status | Type::MultiSelect => json!({"DefaultFormValue": column.default.unwrap_or(-1)}),
        Type::File => json!({"MaxSizeInKB": 32_768}),
        Type::Uniqueidentifier | Type::EntityName | Type::Image | Type::Virtual => json!({}),
    })
}

fn option_set(column: &Column) -> Json {
    let option = |choice: &super::table::Choice| {
        let mut option = json!({
            "Value": choice.value, "Label": label(choice.label.as_deref()), "Description": label(None), "Color": null, "IsManaged": true,
            "ExternalValue": "", "ParentValues": [], "MetadataId": null, "HasChanged": null,
        });
        if column.kind == Type::State {
            option["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StateOptionMetadata");
            option["DefaultStatus"] = json!(choice.other);
        } else if column.kind == Type::Status {
            option["@odata.type"] = json!("#Microsoft.Dynamics.CRM.StatusOptionMetadata");
            option["State"] = json!(choice.other);
        }
        option
    };
    let kind = match column.kind {
        Type::Boolean => "Boolean",
        Type::State => "State",
        Type::Status => "Status",
        Type::Picklist | Type::MultiSelect => "Picklist",
        // Not reached: the other types have no options.
        Type::String
        | Type::Memo
        | Type::Integer
        | Type::BigInt
        | Type::Decimal
        | Type::Money
        | Type::Double
        | Type::DateTime
        | Type::Uniqueidentifier
        | Type::Lookup
        | Type::Customer
        | Type::Owner
        | Type::EntityName
        | Type::Image
        | Type::File
        | Type::Virtual => return Json::Null,
    };
    let name = column.optionset.clone().unwrap_or_else(|| column.name.clone());
    let mut set = json!({
        "MetadataId": metadata_id(&format!("optionset {name}")), "Name": name, "IsGlobal": column.global, "IsCustomOptionSet": column.has('x'),
        "IsManaged": true, "OptionSetType": kind, "DisplayName": label(column.label.as_deref()), "Description": label(None),
    });
    if column.kind == Type::Boolean {
        let find = |value| column.choice(value).map(option).unwrap_or(Json::Null);
        set["FalseOption"] = find(0);
        set["TrueOption"] = find(1);
    } else {
        set["Options"] = column.options.iter().map(option).collect();
    }
    set
}

pub(super) fn entity(table: &Table) -> Map<String, Json> {
    let mut map = documented::entity(table);
    map.append(&mut object(json!({
        "ActivityTypeMask": i32::from(table.activity),
        "CanChangeTrackingBeEnabled": managed(true),
        "ChangeTrackingEnabled": table.tracking,
        "CollectionSchemaName": format!("{}s", table.schema),
        "Description": label(None),
        "DisplayCollectionName": label(Some(&table.labels)),
        "DisplayName": label(Some(&table.label)),
        "EntitySetName": table.set,
        "HasChanged": null,
        "IsActivity": table.activity,
        "IsAvailableOffline": table.activity,
        "IsCustomEntity": table.custom,
        "IsManaged": !table.custom,
        "IsPrivate": false,
        "IsOptimisticConcurrencyEnabled": true,
        "LogicalCollectionName": table.set,
        "LogicalName": table.name,
        "MetadataId": metadata_id(&table.name),
        "ObjectTypeCode": table.code,
        "OwnershipType": "UserOwned",
        "PrimaryIdAttribute": table.id,
        "PrimaryNameAttribute": table.title,
        "SchemaName": table.schema,
        "TableType": "Standard",
    })));
    map
}

fn key(table: &Table, key: &Key) -> Map<String, Json> {
    object(json!({
        "LogicalName": key.name.to_lowercase(), "SchemaName": key.name, "EntityLogicalName": table.name, "KeyAttributes": key.columns,
        "EntityKeyIndexStatus": key.status, "DisplayName": label(Some(&key.name)), "IsManaged": false,
        "MetadataId": metadata_id(&format!("{} key {}", table.name, key.name.to_lowercase())),
    }))
}

pub(super) fn relation(table: &Table, relation: &Relation) -> Map<String, Json> {
    object(json!({
        "SchemaName": relation.schema, "RelationshipType": "OneToManyRelationship", "ReferencedEntity": relation.table,
        "ReferencedAttribute": relation.key, "ReferencingEntity": table.name, "ReferencingAttribute": relation.column,
        "ReferencedEntityNavigationPropertyName": super::relate::collection_name(relation), "ReferencingEntityNavigationPropertyName": relation.nav,
        "IsCustomRelationship": table.column(&relation.column).is_some_and(|index| table.at(index).has('x')), "IsManaged": !table.custom, "MetadataId": metadata_id(&relation.schema),
    }))
}

/// The query options that metadata knows.
pub(super) struct Query {
    pub(super) select: Option<Vec<String>>,
    expand: Vec<(String, Option<Vec<String>>)>,
    filter: Option<String>,
    count: bool,
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

impl Query {
    /// Whether an object meets the filter.
    pub(super) fn passes(&self, map: &Map<String, Json>, type_name: &str) -> Result<bool> {
        self.filter.as_deref().map_or(Ok(true), |filter| passes(map, filter, type_name))
    }

    pub(super) fn parse(raw: Option<&str>) -> Result<Query> {
        let mut query = Query { select: None, expand: Vec::new(), filter: None, count: false };
        for (name, value) in net::query(raw).ok_or_else(|| Fail::query("The query string is not UTF-8."))? {
            match name.as_str() {
                "$select" => query.select = Some(names(&value)),
                "$filter" => query.filter = Some(value),
                "$count" => query.count = value == "true",
                "$expand" => {
                    let mut rest = value.trim();
                    while !rest.is_empty() {
                        let end = rest.find(['(', ',']).unwrap_or(rest.len());
                        let name = rest[..end].trim().to_owned();
                        let mut inner = None;
                        rest = &rest[end..];
                        if let Some(open) = rest.strip_prefix('(') {
                            let (text, after) = open.split_once(')').ok_or_else(|| Fail::query("Syntax error in $expand."))?;
                            let select =
                                text.trim().strip_prefix("$select=").ok_or_else(|| Fail::not_emulated("this option inside $expand"))?;
                            inner = Some(names(select));
                            rest = after;
                        }
                        query.expand.push((name, inner));
                        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                    }
                }
                _ if name.starts_with('$') => return Err(Fail::query(format!("The query parameter {name} is not supported."))),
                _ => {}
            }
        }
        Ok(query)
    }
}

/// Keeps the selected properties; `MetadataId` always stays.
pub(super) fn project(mut map: Map<String, Json>, select: Option<&[String]>, type_name: &str) -> Result<Map<String, Json>> {
    let Some(select) = select else { return Ok(map) };
    let mut kept = Map::new();
    if let Some(kind) = map.remove("@odata.type") {
        kept.insert("@odata.type".to_owned(), kind);
    }
    for name in select {
        let value = map.get(name).cloned().ok_or_else(|| Fail::no_property(name, &format!("Microsoft.Dynamics.CRM.{type_name}")))?;
        kept.insert(name.clone(), value);
    }
    if let Some(id) = map.remove("MetadataId") {
        kept.insert("MetadataId".to_owned(), id);
    }
    Ok(kept)
}

/// `X eq literal`, joined by `and`; enumerations as `Microsoft.Dynamics.CRM.Type'Member'`, managed properties as `X/Value`.
fn passes(map: &Map<String, Json>, filter: &str, type_name: &str) -> Result<bool> {
    for part in filter.split(" and ") {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        if part.starts_with("startswith") || part.starts_with("contains") {
            return Err(Fail::new(501, "0x8006088a", "The filter function is not supported on metadata."));
        }
        let (path, wanted, equal) = match (part.split_once(" eq "), part.split_once(" ne ")) {
            (Some((path, wanted)), _) => (path, wanted, true),
            (None, Some((path, wanted))) => (path, wanted, false),
            (None, None) => return Err(Fail::query(format!("Syntax error in $filter: '{part}'."))),
        };
        let mut value = &Json::Null;
        for (depth, step) in path.trim().split('/').enumerate() {
            let next = if depth == 0 { map.get(step) } else { value.get(step) };
            value = next.ok_or_else(|| Fail::no_property(path.trim(), &format!("Microsoft.Dynamics.CRM.{type_name}")))?;
        }
        let wanted = wanted.trim();
        let wanted = match wanted.split_once('\'') {
            Some((_, quoted)) => Json::String(quoted.trim_end_matches('\'').to_owned()),
            None => serde_json::from_str(wanted).map_err(|_| Fail::query(format!("Syntax error in $filter: '{wanted}'.")))?,
        };
        if (*value == wanted) != equal {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn respond(site: &Site, context: &str, mut map: Map<String, Json>) -> Response<Body> {
    let mut out = Map::new();
    out.insert("@odata.context".to_owned(), json!(format!("{}/$metadata#{context}", site.root)));
    out.append(&mut map);
    net::body(StatusCode::OK, JSON, Json::Object(out).to_string())
}

pub(super) fn list(site: &Site, context: &str, items: Vec<Map<String, Json>>) -> Response<Body> {
    let value = Json::Array(items.into_iter().map(Json::Object).collect());
    respond(site, context, [("value".to_owned(), value)].into_iter().collect())
}

fn expand_attributes(column: &Column, map: &mut Map<String, Json>, expand: &[(String, Option<Vec<String>>)], cast: bool) -> Result<()> {
    let has_options = matches!(column.kind, Type::Boolean | Type::Picklist | Type::State | Type::Status | Type::MultiSelect);
    for (name, select) in expand {
        let global = match name.as_str() {
            "OptionSet" => false,
            "GlobalOptionSet" => true,
            _ => return Err(Fail::no_property(name, "Microsoft.Dynamics.CRM.AttributeMetadata")),
        };
        if !cast || !has_options {
            return Err(Fail::no_property(name, "Microsoft.Dynamics.CRM.AttributeMetadata"));
        }
        // A global set is given as both; a local one leaves GlobalOptionSet empty. [K]
        let set = if global && !column.global { Json::Null } else { option_set(column) };
        let set = match (set, select) {
            (Json::Object(map), Some(select)) => Json::Object(project(map, Some(select), "OptionSetMetadata")?),
            (set, _) => set,
        };
        map.insert(name.clone(), set);
    }
    Ok(())
}

/// The value of a key of one named part.
pub(super) fn named<'a>(key: Option<&'a RowKey>, part: &str) -> Option<&'a str> {
    match key {
        Some(RowKey::Alternate(parts)) => match parts.as_slice() {
            [(name, Literal::Text(value))] if name == part => Some(value),
            _ => None,
        },
        Some(RowKey::Id(_)) | None => None,
    }
}

/// The `MetadataId` in a key.
pub(super) fn guid_of(key: Option<&RowKey>) -> Option<String> {
    match key {
        Some(RowKey::Id(id)) => Some(id.to_string()),
        Some(RowKey::Alternate(parts)) => match parts.as_slice() {
            [(name, Literal::Guid(id))] if name == "MetadataId" => Some(id.to_string()),
            _ => None,
        },
        None => None,
    }
}

/// The table that a key of `EntityDefinitions` names.
pub(super) fn table_at(store: &Store, key: Option<&RowKey>) -> Option<usize> {
    if let Some(name) = named(key, "LogicalName") {
        return store.by_name(name);
    }
    let id = guid_of(key)?;
    store.tables.iter().position(|rows| !rows.table.dropped && metadata_id(&rows.table.name) == id)
}

/// The column that a key of `Attributes` names.
pub(super) fn column_at(table: &Table, key: Option<&RowKey>) -> Option<u16> {
    if let Some(name) = named(key, "LogicalName") {
        return table.column(name);
    }
    let id = guid_of(key)?;
    let at = table.columns.iter().position(|column| metadata_id(&format!("{}.{}", table.name, column.name)) == id)?;
    u16::try_from(at).ok()
}

/// The alternate key that a key of `Keys` names.
pub(super) fn key_at(table: &Table, at: Option<&RowKey>) -> Option<usize> {
    let name = named(at, "LogicalName");
    let id = guid_of(at);
    table.keys.iter().position(|key| {
        let logical = key.name.to_lowercase();
        name == Some(logical.as_str()) || id.as_deref() == Some(metadata_id(&format!("{} key {logical}", table.name)).as_str())
    })
}

pub(super) fn missing_entity(raw: &str) -> Fail {
    Fail::new(404, "0x80060888", format!("Could not find an entity with the specified key: {raw}"))
}

pub(super) fn missing_attribute(raw: &str) -> Fail {
    Fail::new(404, "0x80060888", format!("Could not find an attribute with the specified key: {raw}"))
}

/// Everything there is to say of a column, options included.
pub(super) fn full(table: &Table, column: &Column) -> Map<String, Json> {
    let (_, _, derived) = type_names(column.kind);
    let mut map = object(json!({"@odata.type": format!("#Microsoft.Dynamics.CRM.{derived}")}));
    map.append(&mut base(table, column));
    map.append(&mut own(column));
    match option_set(column) {
        Json::Null => {}
        set => drop(map.insert("OptionSet".to_owned(), set)),
    }
    map
}

/// Answers everything under `EntityDefinitions`.
pub(super) fn get(site: &Site, store: &Store, segments: &[Segment], raw: Option<&str>) -> Result<Response<Body>> {
    let query = Query::parse(raw)?;
    let Some(first) = segments.first() else { return Err(Fail::no_segment("")) };
    if first.key.is_none() {
        if let Some(next) = segments.get(1) {
            return Err(Fail::no_segment(&next.name));
        }
        let mut items = Vec::new();
        for rows in store.tables.iter().filter(|rows| !rows.table.dropped) {
            let map = entity(&rows.table);
            if query.passes(&map, "EntityMetadata")? {
                items.push(expanded(store, &rows.table, map, &query)?);
            }
        }
        let count = query.count.then(|| ("@odata.count".to_owned(), json!(items.len())));
        let value = Json::Array(items.into_iter().map(Json::Object).collect());
        return Ok(respond(site, "EntityDefinitions", count.into_iter().chain([("value".to_owned(), value)]).collect()));
    }
    let table = table_at(store, first.key.as_ref()).ok_or_else(|| missing_entity(&first.raw))?;
    let table = &store.tables[table].table;
    let name = &table.name;
    let Some(second) = segments.get(1) else {
        return Ok(respond(site, "EntityDefinitions/$entity", expanded(store, table, entity(table), &query)?));
    };
    match second.name.as_str() {
        "Attributes" => attributes(site, table, second, &segments[2..], &query),
        "Keys" if second.key.is_some() => {
            let missing = || Fail::new(404, "0x80060888", format!("Could not find a key with the specified key: {}", second.raw));
            let at = key_at(table, second.key.as_ref()).ok_or_else(missing)?;
            let map = project(key(table, &table.keys[at]), query.select.as_deref(), "EntityKeyMetadata")?;
            Ok(respond(site, &format!("EntityDefinitions('{name}')/Keys/$entity"), map))
        }
        "Keys" => {
            let items: Result<Vec<_>> =
                table.keys.iter().map(|item| project(key(table, item), query.select.as_deref(), "EntityKeyMetadata")).collect();
            Ok(list(site, &format!("EntityDefinitions('{name}')/Keys"), items?))
        }
        "ManyToOneRelationships" => {
            let mut items = Vec::new();
            for item in &table.many_to_one {
                let map = relation(table, item);
                if query.passes(&map, "OneToManyRelationshipMetadata")? {
                    items.push(project(map, query.select.as_deref(), "OneToManyRelationshipMetadata")?);
                }
            }
            Ok(list(site, &format!("EntityDefinitions('{name}')/ManyToOneRelationships"), items))
        }
        "OneToManyRelationships" => {
            let mut items = Vec::new();
            for map in one_to_many(store, table) {
                if query.passes(&map, "OneToManyRelationshipMetadata")? {
                    items.push(project(map, query.select.as_deref(), "OneToManyRelationshipMetadata")?);
                }
            }
            Ok(list(site, &format!("EntityDefinitions('{name}')/OneToManyRelationships"), items))
        }
        // There are none here.
        "ManyToManyRelationships" => Ok(list(site, &format!("EntityDefinitions('{name}')/ManyToManyRelationships"), Vec::new())),
        other => Err(Fail::no_segment(other)),
    }
}

/// The relationships of other tables' lookups that point to a table.
fn one_to_many(store: &Store, table: &Table) -> Vec<Map<String, Json>> {
    let tables = store.tables.iter().map(|rows| &rows.table).filter(|other| !other.dropped);
    tables
        .flat_map(|other| other.many_to_one.iter().filter(|item| item.table == table.name).map(move |item| relation(other, item)))
        .collect()
}

fn expanded(store: &Store, table: &Table, map: Map<String, Json>, query: &Query) -> Result<Map<String, Json>> {
    let mut map = project(map, query.select.as_deref(), "EntityMetadata")?;
    for (name, select) in &query.expand {
        let select = select.as_deref();
        let items: Result<Vec<Map<String, Json>>> = match name.as_str() {
            "Attributes" => table.columns.iter().map(|column| project(base(table, column), select, "AttributeMetadata")).collect(),
            "Keys" => table.keys.iter().map(|item| project(key(table, item), select, "EntityKeyMetadata")).collect(),
            "ManyToOneRelationships" => {
                table.many_to_one.iter().map(|item| project(relation(table, item), select, "OneToManyRelationshipMetadata")).collect()
            }
            "OneToManyRelationships" => {
                one_to_many(store, table).into_iter().map(|map| project(map, select, "OneToManyRelationshipMetadata")).collect()
            }
            "ManyToManyRelationships" => Ok(Vec::new()),
            _ => return Err(Fail::no_property(name, "Microsoft.Dynamics.CRM.EntityMetadata")),
        };
        map.insert(name.clone(), Json::Array(items?.into_iter().map(Json::Object).collect()));
    }
    Ok(map)
}

fn attributes(site: &Site, table: &Table, segment: &Segment, rest: &[Segment], query: &Query) -> Result<Response<Body>> {
    let cast = match rest {
        [] => None,
        [cast] => {
            let name = cast.name.strip_prefix("Microsoft.Dynamics.CRM.").ok_or_else(|| Fail::no_segment(&cast.name))?;
            Some(*CASTS.iter().find(|known| **known == name).ok_or_else(|| Fail::no_segment(&cast.name))?)
        }
        [_, more, ..] => return Err(Fail::no_segment(&more.name)),
    };
    let type_name = cast.unwrap_or("AttributeMetadata");
    let build = |column: &Column| -> Result<Option<Map<String, Json>>> {
        let (_, _, derived) = type_names(column.kind);
        if cast.is_some_and(|cast| cast != derived) {
            return Ok(None);
        }
        let mut map = base(table, column);
        if cast.is_some() {
            map.append(&mut own(column));
        } else if derived != "AttributeMetadata" {
            let mut typed: Map<String, Json> =
                [("@odata.type".to_owned(), json!(format!("#Microsoft.Dynamics.CRM.{derived}")))].into_iter().collect();
            // Without `$select` the service writes the whole derived object.
            if query.select.is_none() {
                map.append(&mut own(column));
            }
            typed.append(&mut map);
            map = typed;
        }
        if !query.passes(&map, type_name)? {
            return Ok(None);
        }
        let mut map = project(map, query.select.as_deref(), type_name)?;
        expand_attributes(column, &mut map, &query.expand, cast.is_some())?;
        Ok(Some(map))
    };
    let cast_path = cast.map_or(String::new(), |cast| format!("/Microsoft.Dynamics.CRM.{cast}"));
    let context = format!("EntityDefinitions('{}')/Attributes{cast_path}", table.name);
    if segment.key.is_some() {
        let missing = || missing_attribute(&segment.raw);
        let map = build(table.at(column_at(table, segment.key.as_ref()).ok_or_else(missing)?))?.ok_or_else(missing)?;
        return Ok(respond(site, &format!("{context}/$entity"), map));
    }
    let mut items = Vec::new();
    for column in &table.columns {
        items.extend(build(column)?);
    }
    Ok(list(site, &context, items))
}
