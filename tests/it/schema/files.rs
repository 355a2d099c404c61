//! Reading and writing schema files; laying a folder over the built-in tables.

use std::path::Path;
use std::sync::Arc;

use d365map::schema::{
    AlternateKey, Catalogue, Choice, ChoiceSet, EnumValue, Field, FieldType, LookupTarget, Provenance, SystemId, Table, TableId, file,
    show, write,
};
use indexmap::IndexMap;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{faults, read};

const HEAD: &str = "version: 1\ntable: d365.thing\ncollection: things\nprimary-key: thingid\nfields:\n  thingid: { type: guid }\n";

fn with(fields: &str) -> String {
    format!("{HEAD}{fields}")
}

fn contact() -> TableId {
    TableId::new(SystemId::D365, "contact")
}

/// A folder with these files, laid over the built-in tables.
fn overlay(files: &[(&str, &str)]) -> Result<Catalogue, Vec<d365map::diagnostics::FileProblem>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Catalogue::with_dir(folder.path())
}

#[test]
fn every_kind_of_field_can_be_written_by_hand() {
    let text = with(
        "  firstname: { type: string, max: 50, label: First Name }
  gendercode: { type: picklist, label: Gender, options: { 1: Male, 2: Female } }
  parentcustomerid: { type: customer, targets: { account: parentcustomerid_account, contact: parentcustomerid_contact } }
  regarding: { type: lookup, targets: [account] }
  creditlimit: { type: money, scale: 2, min: 0, max: 100000000000000 }
  donotemail: { type: boolean, labels: { false: Allow, true: Do Not Allow } }
  count: { type: integer, min: 0, required: true }
  born: { type: date }
  seen: { type: datetime, read-only: true }
  opens: { type: local-datetime, updatable: false }
  days: { type: multi-picklist, options: { 1: Monday } }
",
    );
    let table = read(&text).unwrap();
    let field = |name: &str| &table.fields[name];
    assert_eq!(field("firstname").ty, FieldType::Text { max: Some(50) });
    assert_eq!((field("firstname").vendor_type.as_str(), field("firstname").provenance), ("String", Provenance::Declared));
    assert_eq!(field("creditlimit").ty, FieldType::Decimal { scale: 2, min: Decimal::ZERO, max: Decimal::from(100_000_000_000_000_i64) });
    assert_eq!(field("donotemail").ty, FieldType::Boolean { labels: Some(("Allow".into(), "Do Not Allow".into())) });
    assert_eq!(field("count").ty, FieldType::Integer { min: 0, max: i64::from(i32::MAX) });
    assert_eq!(field("regarding").ty, FieldType::Lookup { targets: vec![LookupTarget { table: "account".into(), navigation: None }] });
    assert!(field("count").required && !field("seen").creatable && !field("seen").updatable);
    assert!(field("opens").creatable && !field("opens").updatable);
    assert_eq!(field("opens").ty, FieldType::LocalDateTime);

    let text = "version: 1\ntable: campaign.thing\ncollection: thing\nprimary-key: PKey\nfields:
  PKey: { type: string, read-only: true }
  gender: { type: enumeration, values: { unknown: { label: Unspecified, stored: 0 }, male: Male } }
  location: { type: item, fields: { city: { type: string, max: 255 } } }
  cusAccount: { type: link, target: cusAccount, aliases: [account] }
";
    let table = read(text).unwrap();
    assert_eq!(table.field(&["location", "city"]).unwrap().ty, FieldType::Text { max: Some(255) });
    assert_eq!(table.field(&["account"]).unwrap().name, "cusAccount");
    let FieldType::Enumeration(values) = &table.fields["gender"].ty else { panic!("no enumeration") };
    assert_eq!(values[0], EnumValue { name: "unknown".into(), label: "Unspecified".into(), stored: Some("0".into()) });
    assert_eq!(values[1], EnumValue { name: "male".into(), label: "Male".into(), stored: None });
}

#[test]
fn a_misspelt_key_is_a_fault_with_place_and_suggestion() {
    let text = with("  a: { type: string, mx: 50 }\n");
    let found = faults(&text, &read(&text).unwrap_err());
    assert_eq!(found, [("mx".into(), "unknown key `mx`".into(), "did you mean `max`?".into())]);
}

#[test]
fn all_faults_of_a_file_are_reported_at_once() {
    let text = with(
        "  a: { type: strin }
  b: { type: string, options: { 1: One } }
  c: { type: picklist, options: { one: One } }
  d: { type: enumeration, values: { a: A } }
  e: { type: string, max: -5 }
  f: { type: integer, min: 9, max: 3 }
  g: { label: G }
  h.i: { type: string }
",
    );
    let found = faults(&text, &read(&text).unwrap_err());
    let short: Vec<(&str, &str)> = found.iter().map(|(place, message, _)| (place.as_str(), message.as_str())).collect();
    assert_eq!(
        short,
        [
            ("strin", "`strin` is not a type"),
            ("b", "`options` means nothing for `b`"),
            ("one", "`one` is not the number of an option"),
            ("enumeration", "d365 has no fields of type `enumeration`"),
            ("-5", "`-5` is not a length"),
            ("f", "`min` 9 of `f` is above `max` 3"),
            ("g", "the field `g` has no type"),
            ("h.i", "`h.i` cannot be a field's name"),
        ]
    );
    assert_eq!(found[0].2, "did you mean `string`?");
}

#[test]
fn keys_and_names_must_be_fields_of_the_table() {
    let text = with("").replace("primary-key: thingid", "primary-key: thingid\nprimary-name: nam\nalternate-keys: { k: [thingidd] }")
        + "  name: { type: string }\n";
    let found = faults(&text, &read(&text).unwrap_err());
    assert_eq!(found[0], ("nam".into(), "the table has no field `nam`".into(), "did you mean `name`?".into()));
    assert_eq!(found[1], ("thingidd".into(), "the table has no field `thingidd`".into(), "did you mean `thingid`?".into()));
}

#[test]
fn version_table_and_extension_are_checked_before_anything_else() {
    let fault = |text: &str| read(text).unwrap_err()[0].message.clone();
    assert_eq!(fault(&HEAD.replace("version: 1", "version: 2")), "version 2 of the format is not known");
    assert_eq!(fault(&HEAD.replace("d365.thing", "crm.thing")), "`crm.thing` is not the name of a table");
    assert_eq!(fault(&HEAD.replace("collection:", "extends: builtin\ncollection:")), "`builtin` cannot be extended");
    assert_eq!(fault(&HEAD.replace("collection: things\n", "")), "the key `collection` is missing");
    assert_eq!(fault("a: ["), read("a: [").unwrap_err()[0].message, "what is not YAML is a fault too");
}

#[test]
fn an_extending_file_adds_and_overrides_and_takes_nothing_away() {
    let text = "version: 1\ntable: d365.contact\nextends: built-in\nalternate-keys: { key_loyalty: [contoso_loyalty] }\nfields:
  contoso_loyalty: { type: string, max: 12, label: Loyalty number }
  firstname: { max: 30 }
  gendercode: { options: { 2: Woman, 3: Diverse } }
  telephone1: { type: memo, max: 400 }
";
    let catalogue = overlay(&[("mine.yaml", text)]).unwrap();
    let (ours, base) = (catalogue.get(&contact()).unwrap(), Catalogue::builtin().get(&contact()).unwrap());
    assert_eq!(ours.fields.len(), base.fields.len() + 1);
    assert_eq!(ours.fields["firstname"].ty, FieldType::Text { max: Some(30) });
    assert_eq!(ours.fields["firstname"].label, base.fields["firstname"].label);
    assert_eq!(ours.fields["firstname"].provenance, Provenance::Declared);
    let FieldType::Choice(gender) = &ours.fields["gendercode"].ty else { panic!("no choice") };
    let labels: Vec<_> = gender.options.iter().map(|o| (o.value, o.label.as_str())).collect();
    assert_eq!(labels, [(1, "Male"), (2, "Woman"), (3, "Diverse")]);
    assert_eq!(
        (ours.fields["telephone1"].vendor_type.as_str(), &ours.fields["telephone1"].ty),
        ("Memo", &FieldType::Text { max: Some(400) })
    );
    assert_eq!(ours.alternate_keys, [AlternateKey { name: "key_loyalty".into(), fields: vec!["contoso_loyalty".into()] }]);
    assert_eq!(ours.fields["lastname"], base.fields["lastname"]);
}

#[test]
fn a_nested_field_can_be_added_alone() {
    let text = "version: 1\ntable: campaign.profile\nextends: built-in\nfields:\n  location: { fields: { city: { max: 80 }, cusDistrict: { type: string, max: 20 } } }\n";
    let catalogue = overlay(&[("campaign.profile.yaml", text)]).unwrap();
    let profile = catalogue.get(&TableId::new(SystemId::Campaign, "profile")).unwrap();
    assert_eq!(profile.field(&["location", "city"]).unwrap().ty, FieldType::Text { max: Some(80) });
    assert_eq!(profile.field(&["location", "cusDistrict"]).unwrap().ty, FieldType::Text { max: Some(20) });
    assert!(profile.field(&["location", "zipCode"]).is_some());
}

#[test]
fn a_whole_file_replaces_the_built_in_table() {
    let text = "version: 1\ntable: d365.contact\ncollection: contacts\nprimary-key: contactid\nfields: { contactid: { type: guid } }\n";
    let catalogue = overlay(&[("d365.contact.yaml", text)]).unwrap();
    assert_eq!(catalogue.get(&contact()).unwrap().fields.len(), 1);
    assert_eq!(catalogue.tables().count(), Catalogue::builtin().tables().count());
}

#[test]
fn nothing_can_be_extended_that_is_not_built_in() {
    let text = "version: 1\ntable: d365.lead\nextends: built-in\nfields: {}\n";
    let problems = overlay(&[("a.yaml", text)]).unwrap_err();
    assert_eq!(problems[0].message, "there is no built-in table d365.lead to extend");
}

#[test]
fn two_files_for_one_table_are_a_fault_and_faults_of_all_files_come_together() {
    let whole = "version: 1\ntable: d365.contact\nextends: built-in\nfields: {}\n";
    let problems =
        overlay(&[("a.yaml", whole), ("b.yml", whole), ("c.yaml", "version: 1\n"), ("d.yaml", ""), (".e.yaml", "?"), ("f.txt", "?")])
            .unwrap_err();
    let names: Vec<_> = problems.iter().map(|p| (p.path.file_name().unwrap().to_str().unwrap(), p.message.as_str())).collect();
    assert_eq!(
        names,
        [("b.yml", "two files describe d365.contact"), ("c.yaml", "the key `table` is missing"), ("d.yaml", "the file is empty")]
    );
}

#[test]
fn a_folder_that_does_not_exist_has_no_files() {
    assert_eq!(Catalogue::with_dir(Path::new("/nonexistent/schemas")).unwrap().tables().count(), Catalogue::builtin().tables().count());
}

#[test]
fn invalid_utf_8_is_a_fault_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), b"version: 1\nlabel: caf\xe9\n").unwrap();
    let problems = Catalogue::with_dir(folder.path()).unwrap_err();
    assert_eq!((problems[0].message.as_str(), problems[0].line_column()), ("the file is not UTF-8 text", (2, 11)));
}

#[test]
fn a_table_for_people_names_types_lengths_options_and_nested_fields() {
    let text = "version: 1\ntable: campaign.thing\nlabel: Thing\ncollection: thing\nprimary-key: PKey\nalternate-keys: { externalId: [externalId] }\nfields:
  PKey: { type: string, read-only: true }
  externalId: { type: string, max: 100, label: External ID, required: true }
  gender: { type: enumeration, values: { unknown: Unspecified, male: Male } }
  location: { type: item, label: Location, fields: { city: { type: string, max: 50, provenance: assumed } } }
";
    insta::assert_snapshot!(show(&read(text).unwrap()), @r"
    campaign.thing  Thing
      collection       thing
      primary key      PKey
      alternate key    externalId (externalId)
      fields           5

    PKey        string(length unknown)                                      read-only
    externalId  string(100)             External ID                         required
    gender      enumeration
        unknown Unspecified
        male Male
    location    item                    Location
      city      string(50)                                                  assumed
    ");
}

#[test]
fn a_builtin_table_survives_being_written_and_read() {
    for table in Catalogue::builtin().tables() {
        let text = write(table);
        assert_eq!(&read(&text).unwrap(), table.as_ref());
        assert_eq!(write(&read(&text).unwrap()), text);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Any table at all.

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_0-9-]{1,12}"
}

/// Labels: words, what YAML takes for something else, and any characters.
fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z ]{0,12}",
        "[ \"':#\\[\\]{}&*!|>%@,?-]{0,8}",
        any::<String>(),
        prop::sample::select(vec![
            "no",
            "null",
            "~",
            "1",
            "1e3",
            "true",
            "0x1",
            "-",
            "2020-01-01",
            "\u{85}",
            "a: b",
            "a #b",
            " a ",
            "\u{feff}x"
        ])
        .prop_map(str::to_owned)
    ]
}

fn choice() -> impl Strategy<Value = std::sync::Arc<ChoiceSet>> {
    prop::collection::btree_map(-5_i64..1_000_000_000, label(), 0..6).prop_map(|options| {
        std::sync::Arc::new(ChoiceSet { options: options.into_iter().map(|(value, label)| Choice { value, label }).collect() })
    })
}

fn d365_type() -> BoxedStrategy<(FieldType, &'static str)> {
    let vendor = |names: &'static [&'static str]| prop::sample::select(names);
    let lookup = prop::collection::btree_map(name(), prop::option::of(name()), 0..4).prop_map(|targets| FieldType::Lookup {
        targets: targets.into_iter().map(|(table, navigation)| LookupTarget { table, navigation }).collect(),
    });
    let decimal = (0_u32..12, any::<i64>(), any::<i64>(), 0_u32..6).prop_map(|(scale, a, b, s)| FieldType::Decimal {
        scale,
        min: Decimal::new(a.min(b), s),
        max: Decimal::new(a.max(b), s),
    });
    prop_oneof![
        prop::option::of((label(), label())).prop_map(|labels| (FieldType::Boolean { labels }, "Boolean")),
        (any::<i32>(), any::<i32>()).prop_map(|(a, b)| (FieldType::Integer { min: a.min(b).into(), max: a.max(b).into() }, "Integer")),
        (any::<i64>(), any::<i64>()).prop_map(|(a, b)| (FieldType::Integer { min: a.min(b), max: a.max(b) }, "BigInt")),
        (decimal, vendor(&["Decimal", "Money"])),
        (prop::option::of(1_u32..5000).prop_map(|max| FieldType::Text { max }), vendor(&["String", "Memo", "EntityName"])),
        Just((FieldType::Double, "Double")),
        Just((FieldType::Date, "DateTime")),
        Just((FieldType::DateTime, "DateTime")),
        Just((FieldType::LocalDateTime, "DateTime")),
        Just((FieldType::Guid, "Uniqueidentifier")),
        (choice().prop_map(FieldType::Choice), vendor(&["Picklist", "State", "Status"])),
        choice().prop_map(|set| (FieldType::MultiChoice(set), "MultiSelectPicklist")),
        (lookup, vendor(&["Lookup", "Customer", "Owner"])),
        (Just(FieldType::Unsupported), vendor(&["Virtual", "Image", "File", "PartyList"])),
    ]
    .boxed()
}

fn campaign_type() -> BoxedStrategy<(FieldType, &'static str)> {
    let enumeration = prop::collection::btree_map(name(), (label(), prop::option::of(label())), 0..4).prop_map(|values| {
        FieldType::Enumeration(values.into_iter().map(|(name, (label, stored))| EnumValue { name, label, stored }).collect())
    });
    prop_oneof![
        prop::option::of(1_u32..5000).prop_map(|max| (FieldType::Text { max }, "string")),
        Just((FieldType::DateTime, "date")),
        Just((FieldType::Boolean { labels: None }, "boolean")),
        enumeration.prop_map(|ty| (ty, "enumeration")),
        prop::option::of(name()).prop_map(|target| (FieldType::Link { target }, "link")),
        prop::option::of(name()).prop_map(|target| (FieldType::Collection { target }, "collection")),
    ]
    .boxed()
}

fn fields(ty: BoxedStrategy<(FieldType, &'static str)>) -> BoxedStrategy<IndexMap<String, Field>> {
    let provenance = prop::sample::select(vec![Provenance::Documented, Provenance::Assumed, Provenance::Pulled, Provenance::Declared]);
    let rest = (prop::option::of(label()), any::<[bool; 4]>(), prop::option::of(name().prop_map(|n| format!("alias.{n}"))), provenance);
    prop::collection::btree_map(name(), (ty, rest), 1..8)
        .prop_map(|fields| {
            let mut aliases = std::collections::HashSet::new();
            let build = |(name, ((ty, vendor), (label, flags, alias, provenance))): (String, ((FieldType, &str), _))| {
                let (flags, label, provenance): ([bool; 4], Option<String>, Provenance) = (flags, label, provenance);
                let alias: Option<String> = alias;
                let aliases = alias.into_iter().filter(|a| aliases.insert(a.clone())).collect();
                let [required, readable, creatable, updatable] = flags;
                (
                    name.clone(),
                    Field {
                        name,
                        label,
                        ty,
                        vendor_type: vendor.to_owned(),
                        required,
                        readable,
                        creatable,
                        updatable,
                        aliases,
                        wire: readable.then(|| "parts.0".to_owned()),
                        provenance,
                        deprecated: (!required).then(|| "use another field".to_owned()),
                        derived: updatable.then_some(d365map::schema::Derived::Rollup),
                    },
                )
            };
            fields.into_iter().map(build).collect()
        })
        .boxed()
}

fn table() -> impl Strategy<Value = Table> {
    let nested = (fields(campaign_type()), fields(campaign_type()), any::<bool>()).prop_map(|(mut outer, inner, nest)| {
        if nest {
            let mut item = outer[0].clone();
            item.name = "item_with_parts".to_owned();
            item.ty = FieldType::Item(inner);
            item.vendor_type = "item".to_owned();
            item.aliases.clear();
            outer.insert(item.name.clone(), item);
        }
        outer
    });
    let either = prop_oneof![(Just(SystemId::D365), fields(d365_type())), (Just(SystemId::Campaign), nested)];
    (either, name(), label(), prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |((system, fields), name, label, change_tracking, keyed)| {
            let first = fields[0].name.clone();
            let alternate_keys =
                if keyed { vec![AlternateKey { name: "k".into(), fields: fields.keys().cloned().collect() }] } else { Vec::new() };
            Table {
                id: TableId::new(system, name),
                label,
                collection: "things".into(),
                primary_name: change_tracking.map(|_| first.clone()),
                primary_key: first,
                change_tracking,
                alternate_keys,
                fields,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back_the_same(table in table()) {
        let text = write(&table);
        let again = file::read(Path::new("t.yaml"), &Arc::from(text.as_str()));
        prop_assert_eq!(again.map_err(|p| p.iter().map(ToString::to_string).collect::<Vec<_>>()), Ok(table), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(version: 1\n|table: d365.a\n|fields:\n|  a: |\\{ |\\}|type: (string|item|customer)|, |max: |[0-9-]|\n|.){0,40}") {
        let _ = file::read(Path::new("t.yaml"), &Arc::from(text.as_str()));
    }
}
