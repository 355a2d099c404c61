//! From metadata documents to tables: the emulators' answers, and documents that lack parts or contradict themselves.

use std::collections::BTreeMap;

use d365map::schema::pull::{DataverseDocuments, PullError, campaign, dataverse};
use d365map::schema::{Catalogue, Change, Derived, Field, FieldType, LookupTarget, Provenance, SystemId, Table, TableId, diff, write};
use reqwest::Method;
use serde_json::{Value, json};

use crate::emulator::{Bench, ok};

const TYPES: [&str; 14] = [
    "String",
    "Memo",
    "Integer",
    "BigInt",
    "Decimal",
    "Double",
    "Money",
    "DateTime",
    "Lookup",
    "Picklist",
    "State",
    "Status",
    "Boolean",
    "MultiSelectPicklist",
];

fn builtin(system: SystemId, name: &str) -> &'static Table {
    Catalogue::builtin().get(&TableId::new(system, name)).unwrap()
}

async fn documents(bench: &Bench, attribute: &str) -> DataverseDocuments {
    let root = "EntityDefinitions(LogicalName='contact')";
    let mut subtypes = BTreeMap::new();
    for name in TYPES {
        let expand = if ["Picklist", "State", "Status", "Boolean", "MultiSelectPicklist"].contains(&name) {
            "?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"
        } else {
            ""
        };
        subtypes
            .insert(name.to_owned(), bench.get(&format!("{root}/Attributes/Microsoft.Dynamics.CRM.{name}AttributeMetadata{expand}")).await);
    }
    DataverseDocuments {
        definition: bench.get(root).await,
        attributes: bench.get(&format!("{root}/Attributes{attribute}")).await,
        subtypes,
        many_to_one: bench.get(&format!("{root}/ManyToOneRelationships")).await,
        language: None,
        secured: BTreeMap::new(),
        keys: bench.get(&format!("{root}/Keys")).await,
    }
}

/// What a pull says of the fields that are built in, as if it were documented.
fn known_part(pulled: &Table, known: &Table) -> Table {
    let mut table = pulled.clone();
    table.fields.retain(|name, _| known.fields.contains_key(name));
    for (name, field) in &mut table.fields {
        field.provenance = known.fields[name].provenance;
    }
    table
}

#[tokio::test]
async fn a_pull_of_the_contact_table_agrees_with_the_built_in_one_and_brings_the_own_columns() {
    let seed = json!({"dataverse": {"tables": {"contact": {"columns": [
        {"name": "new_loyalty", "schema": "new_Loyalty", "type": "String", "label": "Loyalty", "length": 5},
    ]}}}});
    let bench = Bench::seeded(seed).await;
    let pulled = dataverse(&documents(&bench, "").await).unwrap();
    assert!(pulled.notes.is_empty(), "{:?}", pulled.notes);
    let own = &pulled.table.fields["new_loyalty"];
    assert_eq!((&own.ty, own.label.as_deref(), own.provenance), (&FieldType::Text { max: Some(5) }, Some("Loyalty"), Provenance::Pulled));
    let known = builtin(SystemId::D365, "contact");
    assert_eq!(diff(known, &known_part(&pulled.table, known)), []);
}

#[tokio::test]
async fn properties_that_were_not_selected_are_done_without() {
    let bench = Bench::new().await;
    let select = "?$select=LogicalName,AttributeType,AttributeTypeName,IsValidForCreate,IsValidForUpdate,IsValidForRead,IsPrimaryId,RequiredLevel,AttributeOf";
    let mut documents = documents(&bench, select).await;
    // The answers to casts may be narrow too; here they are wide, which must not matter.
    for attribute in documents.subtypes.values_mut().flat_map(|v| v["value"].as_array_mut().unwrap()) {
        attribute.as_object_mut().unwrap().retain(|key, _| key != "IsValidODataAttribute" && key != "DisplayName");
    }
    let pulled = dataverse(&documents).unwrap().table;
    assert!(!pulled.fields.contains_key("accountidname"), "a shadow attribute has AttributeOf");
    assert_eq!(pulled.fields["firstname"].label, None);
    assert_eq!(pulled.fields["firstname"].ty, FieldType::Text { max: Some(50) });
}

#[tokio::test]
async fn a_pull_of_the_profile_agrees_with_the_built_in_one_and_adds_no_lengths() {
    let bench = Bench::new().await;
    let document = ok(bench.ac(Method::GET, "profileAndServicesExt/resourceType/profile")).await;
    let known = builtin(SystemId::Campaign, "profile");
    let pulled = campaign("profile", &document, Some(known)).unwrap();
    assert!(pulled.notes.is_empty(), "{:?}", pulled.notes);
    let ours = known_part(&pulled.table, known);
    let unlike: Vec<Change> =
        diff(known, &ours).into_iter().filter(|c| !matches!(c, Change::Changed { before, after, .. } if before == after)).collect();
    assert_eq!(unlike, []);
    assert_eq!(ours.fields["firstName"].ty, FieldType::Text { max: Some(30) }, "the length is remembered");
    assert_eq!(ours.fields["blackListEmail"].aliases, ["denyListEmail"]);
    assert!(ours.field(&["location", "city"]).is_some());
}

/// The least that makes a table.
fn least() -> DataverseDocuments {
    DataverseDocuments {
        definition: json!({"LogicalName": "new_thing", "EntitySetName": "new_things", "PrimaryIdAttribute": "new_thingid", "PrimaryNameAttribute": "new_name"}),
        attributes: json!([{"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"}]),
        ..DataverseDocuments::default()
    }
}

#[test]
fn the_least_document_makes_a_table() {
    let table = dataverse(&least()).unwrap().table;
    assert_eq!((table.collection.as_str(), table.change_tracking, table.primary_name), ("new_things", None, None));
}

#[test]
fn without_its_key_or_set_there_is_no_table() {
    let mut documents = least();
    documents.definition["EntitySetName"] = Value::Null;
    assert_eq!(dataverse(&documents).unwrap_err(), PullError::Missing { table: "new_thing".into(), what: "EntitySetName".into() });
    let mut documents = least();
    documents.attributes = json!([{"LogicalName": "new_name", "AttributeType": "String"}]);
    assert!(matches!(dataverse(&documents), Err(PullError::Nonsense { .. })));
    let mut documents = least();
    documents.attributes = Value::Null;
    assert!(matches!(dataverse(&documents), Err(PullError::Missing { .. })));
    let mut documents = least();
    documents.attributes = json!([{"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"}, {"LogicalName": "new_thingid", "AttributeType": "String"}]);
    assert!(matches!(dataverse(&documents), Err(PullError::Nonsense { .. })));
}

#[test]
fn just_active_alternate_keys_can_be_used() {
    let mut documents = least();
    documents.keys = json!([
        {"LogicalName": "new_b", "KeyAttributes": ["new_thingid"], "EntityKeyIndexStatus": "Active"},
        {"LogicalName": "new_a", "KeyAttributes": ["new_thingid"], "EntityKeyIndexStatus": "Pending"},
    ]);
    let pulled = dataverse(&documents).unwrap();
    assert_eq!(pulled.table.alternate_keys.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["new_b"]);
    assert!(pulled.notes[0].contains("new_a"), "{:?}", pulled.notes);
}

#[test]
fn just_what_the_service_enforces_is_required() {
    let mut documents = least();
    let column = |name: &str, ty: &str, level: &str| json!({"LogicalName": name, "AttributeType": ty, "RequiredLevel": {"Value": level}, "IsValidForCreate": true});
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier", "RequiredLevel": {"Value": "SystemRequired"}, "IsPrimaryId": true},
        column("a", "String", "SystemRequired"),
        column("b", "String", "ApplicationRequired"),
        column("c", "Owner", "SystemRequired"),
    ]);
    let table = dataverse(&documents).unwrap().table;
    assert_eq!(table.fields.values().filter(|f| f.required).map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn navigation_properties_come_from_the_relationships_with_their_case() {
    let mut documents = least();
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"},
        {"LogicalName": "new_regarding", "AttributeType": "Lookup"},
    ]);
    documents.subtypes.insert("Lookup".into(), json!({"value": [{"LogicalName": "new_regarding", "Targets": ["contact", "account"]}]}));
    documents.many_to_one = json!([{"ReferencingAttribute": "new_regarding", "ReferencedEntity": "contact", "ReferencingEntityNavigationPropertyName": "new_Regarding_contact"}]);
    let table = dataverse(&documents).unwrap().table;
    let target = |table: &str, navigation: Option<&str>| LookupTarget { table: table.into(), navigation: navigation.map(str::to_owned) };
    assert_eq!(
        table.fields["new_regarding"].ty,
        FieldType::Lookup { targets: vec![target("contact", Some("new_Regarding_contact")), target("account", None)] }
    );
}

#[test]
fn a_number_from_metadata_passes_through_no_float() {
    let mut documents = least();
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"},
        {"LogicalName": "rate", "AttributeType": "Decimal", "Precision": 10},
    ]);
    let cast = serde_json::from_str(r#"{"value": [{"LogicalName": "rate", "MinValue": 1E-10, "MaxValue": 100000000000.0}]}"#).unwrap();
    documents.subtypes.insert("Decimal".into(), cast);
    let table = dataverse(&documents).unwrap().table;
    assert_eq!(
        table.fields["rate"].ty,
        FieldType::Decimal { scale: 10, min: "0.0000000001".parse().unwrap(), max: 100_000_000_000_i64.into() }
    );
}

#[test]
fn unknown_types_are_noted_and_never_guessed() {
    let mut documents = least();
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"},
        {"LogicalName": "odd", "AttributeType": "Hologram"},
    ]);
    let pulled = dataverse(&documents).unwrap();
    assert_eq!(pulled.table.fields["odd"].ty, FieldType::Unsupported);
    assert!(pulled.notes[0].contains("Hologram"));
    let pulled = campaign("thing", &json!({"content": {"odd": {"type": "hologram"}}}), None).unwrap();
    assert_eq!(pulled.table.fields["odd"].ty, FieldType::Text { max: None });
    assert!(pulled.notes[0].contains("hologram"));
}

#[test]
fn a_custom_resource_is_read_without_any_built_in_one() {
    let document = json!({"name": "cusAccount", "label": "Account", "content": {
        "cusName": {"apiName": "cusName", "type": "string", "label": "Name"},
        "cusSize": {"apiName": "cusSize", "type": "enumeration", "values": {"s": {"label": "Small", "value": 1}, "__Invalid_value__": {"label": "INVALID VALUE"}}},
        "profiles": {"apiName": "profiles", "type": "collection", "resTarget": "profile"},
    }});
    let table = campaign("cusAccount", &document, None).unwrap().table;
    assert_eq!(table.fields.keys().map(String::as_str).collect::<Vec<_>>(), ["PKey", "cusName", "cusSize", "profiles"]);
    assert_eq!(table.fields["cusName"].ty, FieldType::Text { max: None });
    let FieldType::Enumeration(values) = &table.fields["cusSize"].ty else { panic!("no enumeration") };
    assert_eq!((values.len(), values[0].stored.as_deref()), (1, Some("1")));
    assert!(!table.fields["profiles"].creatable);
    assert!(matches!(campaign("x", &json!({"content": {}}), None), Err(PullError::Missing { .. })));
    assert!(matches!(campaign("x", &json!({"error_code": "403023"}), None), Err(PullError::Missing { .. })));
}

#[test]
fn computed_columns_are_marked_by_their_source_type() {
    let mut documents = least();
    let column = |name: &str, source: Value| json!({"LogicalName": name, "AttributeType": "Integer", "SourceType": source});
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier", "SourceType": null},
        column("simple", json!(0)), column("calculated", json!(1)), column("rollup", json!(2)), column("formula", json!(3)), column("prompt", json!(4)),
    ]);
    let table = dataverse(&documents).unwrap().table;
    for field in table.fields.values() {
        let expected = Derived::ALL.into_iter().find(|d| d.name() == field.name);
        assert_eq!(field.derived, expected, "{}", field.name);
    }
    let text = write(&table);
    assert!(text.contains("derived: rollup"), "{text}");
    let before =
        Table { fields: table.fields.iter().map(|(n, f)| (n.clone(), Field { derived: None, ..f.clone() })).collect(), ..table.clone() };
    let changes: Vec<String> = diff(&before, &table).iter().map(ToString::to_string).collect();
    assert!(changes.contains(&"~ rollup: Integer -> Integer, rollup".to_owned()), "{changes:?}");
}

#[test]
fn labels_are_those_of_the_wanted_language_where_it_has_them() {
    let label = |labels: &[(u32, &str)]| {
        let of = |(code, text): &(u32, &str)| json!({"Label": text, "LanguageCode": code});
        json!({"LocalizedLabels": labels.iter().map(of).collect::<Vec<_>>(), "UserLocalizedLabel": labels.first().map(of)})
    };
    let mut documents = least();
    documents.attributes = json!([
        {"LogicalName": "new_thingid", "AttributeType": "Uniqueidentifier"},
        {"LogicalName": "new_kind", "AttributeType": "Picklist", "DisplayName": label(&[(1033, "Kind"), (1031, "Art")])},
    ]);
    documents.subtypes.insert(
        "Picklist".to_owned(),
        json!([{"LogicalName": "new_kind", "OptionSet": {"Options": [
            {"Value": 1, "Label": label(&[(1033, "One"), (1031, "Eins")]), "Description": label(&[(1033, "The first")])},
            {"Value": 2, "Label": label(&[(1033, "Two")])},
        ]}}]),
    );
    let pulled = |language| {
        let documents = DataverseDocuments { language, ..documents.clone() };
        let pulled = dataverse(&documents).unwrap();
        let field = &pulled.table.fields["new_kind"];
        let FieldType::Choice(set) = &field.ty else { panic!("{field:?}") };
        let labels: Vec<String> = set.options.iter().map(|o| o.label.clone()).collect();
        (field.label.clone().unwrap(), labels, pulled.notes)
    };
    let (name, labels, notes) = pulled(None);
    assert_eq!((name.as_str(), labels, notes.len()), ("Kind", vec!["One".to_owned(), "Two".to_owned()], 0));
    let (name, labels, notes) = pulled(Some(1031));
    assert_eq!((name.as_str(), labels), ("Art", vec!["Eins".to_owned(), "Two".to_owned()]));
    assert_eq!(notes, ["1 option label has no translation into language 1031: the label in the user's language is used instead"]);
}
