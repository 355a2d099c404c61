//! The shape of schema files as they are written: every key, without its meaning.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::model::{Derived, LookupTarget, Provenance, SystemId};
use super::words::WORDS;
use crate::yaml::{Map, Spanned};

/// A table of Dynamics 365, Adobe Campaign or Partner Center, as d365map knows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "Schema file of d365map")]
pub(super) struct FileDoc {
    /// The version of the format: 1.
    pub(super) version: Spanned<u32>,
    /// System and table, such as d365.contact or campaign.profile.
    #[schemars(with = "TableName")]
    pub(super) table: Spanned<String>,
    /// `built-in`: this file adds to the built-in table. Without this key it describes the whole table.
    #[schemars(extend("enum" = ["built-in", null]))]
    pub(super) extends: Option<Spanned<String>>,
    /// The name of the table for people.
    pub(super) label: Option<String>,
    /// The name in addresses: the entity set of Dataverse, the resource of Campaign.
    pub(super) collection: Option<Spanned<String>>,
    /// The field that identifies a record.
    pub(super) primary_key: Option<Spanned<String>>,
    /// The field that names a record to people.
    pub(super) primary_name: Option<Spanned<String>>,
    /// Whether Dataverse tracks the changes of the table.
    pub(super) change_tracking: Option<bool>,
    /// Keys by name with their fields; for Campaign the custom key.
    #[serde(default)]
    pub(super) alternate_keys: Option<Map<Vec<Spanned<String>>>>,
    /// Where the facts come from, of all fields that do not say their own.
    pub(super) provenance: Option<Provenance>,
    /// The fields by name.
    #[serde(default)]
    pub(super) fields: Option<Map<FieldDoc>>,
}

/// A field of a table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(rename = "Field")]
pub(super) struct FieldDoc {
    /// What the field holds.
    #[serde(rename = "type")]
    #[schemars(with = "Option<TypeWord>")]
    pub(super) ty: Option<Spanned<String>>,
    /// The vendor's own word, where it is another than the type implies.
    pub(super) vendor_type: Option<String>,
    /// The name of the field for people.
    pub(super) label: Option<String>,
    /// The length of a text in UTF-16 units, or the highest number.
    #[schemars(with = "Option<Bound>")]
    pub(super) max: Option<Spanned<String>>,
    /// The lowest number.
    #[schemars(with = "Option<Bound>")]
    pub(super) min: Option<Spanned<String>>,
    /// Digits after the point, for decimal and money.
    pub(super) scale: Option<Spanned<u32>>,
    /// The labels of false and true.
    pub(super) labels: Option<BooleanLabels>,
    /// The options of a picklist: labels by number.
    pub(super) options: Option<Map<String>>,
    /// The values of an enumeration: labels by API name, or `{ label: …, stored: … }` with what the database keeps.
    pub(super) values: Option<Map<ValueDoc>>,
    /// The tables that a lookup leads to: navigation property by table, or a list of tables.
    pub(super) targets: Option<Targets>,
    /// The resource that a link or collection leads to.
    pub(super) target: Option<String>,
    /// The nested fields of an item.
    pub(super) fields: Option<Map<FieldDoc>>,
    /// Whether the service refuses a record without the field.
    pub(super) required: Option<bool>,
    /// `false`: the API does not return the field.
    pub(super) readable: Option<bool>,
    /// `false`: the API does not accept the field when a record is created.
    pub(super) creatable: Option<bool>,
    /// `false`: the API does not accept the field when a record is updated.
    pub(super) updatable: Option<bool>,
    /// `true` for `creatable: false` and `updatable: false`.
    pub(super) read_only: Option<bool>,
    /// Other names by which mappings may refer to the field.
    pub(super) aliases: Option<Vec<String>>,
    /// The path of the value in an answer below the field that holds this one, if it is not the name: `team.0` is the first item of `team`.
    pub(super) wire: Option<String>,
    /// Where the facts about the field come from.
    pub(super) provenance: Option<Provenance>,
    /// Why the field should not be used any more.
    pub(super) deprecated: Option<String>,
    /// How Dynamics 365 computes the column: its value changes without a change notice.
    #[schemars(with = "Option<DerivedWord>")]
    pub(super) derived: Option<Spanned<String>>,
}

/// System and table.
struct TableName;
/// The word for a type.
struct TypeWord;
/// A number, or a number as text.
struct Bound;
/// How a column is computed.
struct DerivedWord;

/// The JSON Schema of a type that stands for the text of a value.
macro_rules! json_schema_of {
    ($name:ident, $schema:expr) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

json_schema_of!(TableName, {
    let systems = SystemId::ALL.map(SystemId::name).join("|");
    json_schema!({ "type": "string", "pattern": format!("^({systems})\\..+$") })
});
json_schema_of!(TypeWord, {
    let words: BTreeSet<&str> = WORDS.iter().map(|word| word.word).collect();
    json_schema!({ "type": "string", "enum": words })
});
json_schema_of!(Bound, json_schema!({ "type": ["number", "string"] }));
json_schema_of!(DerivedWord, json_schema!({ "type": "string", "enum": Derived::ALL.map(Derived::name) }));
json_schema_of!(
    ValueDoc,
    json_schema!({
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "label": { "type": "string" }, "stored": { "type": ["string", "number", "null"] } },
                "required": ["label"],
                "additionalProperties": false,
            },
        ],
    })
);
json_schema_of!(
    Targets,
    json_schema!({
        "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "null"] } },
            { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
        ],
    })
);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BooleanLabels {
    #[serde(rename = "false")]
    pub(super) no: String,
    #[serde(rename = "true")]
    pub(super) yes: String,
}

/// `male: Male` or `male: { label: Male, stored: 1 }`.
#[derive(Debug)]
pub(super) struct ValueDoc {
    pub(super) label: String,
    pub(super) stored: Option<String>,
}

impl<'de> Deserialize<'de> for ValueDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ValueDoc, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            label: String,
            stored: Option<String>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ValueDoc;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a label as text, or { label: …, stored: … }")
            }
            fn visit_str<E: serde::de::Error>(self, label: &str) -> Result<ValueDoc, E> {
                Ok(ValueDoc { label: label.to_owned(), stored: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<ValueDoc, A::Error> {
                let Long { label, stored } = Long::deserialize(MapAccessDeserializer::new(access))?;
                Ok(ValueDoc { label, stored })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `{ account: parentcustomerid_account }`, or `[account]` where the navigation property is not known.
#[derive(Debug)]
pub(super) struct Targets(pub(super) Vec<LookupTarget>);

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Targets, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Targets;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("{ table: navigation property, … } or [table, …]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Targets, A::Error> {
                let mut targets = Vec::new();
                while let Some((table, navigation)) = access.next_entry()? {
                    targets.push(LookupTarget { table, navigation });
                }
                Ok(Targets(targets))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Targets, A::Error> {
                let mut targets: Vec<LookupTarget> = Vec::new();
                while let Some(table) = access.next_element::<String>()? {
                    if targets.iter().any(|t| t.table == table) {
                        return Err(A::Error::custom(format_args!("`{table}` is listed twice")));
                    }
                    targets.push(LookupTarget { table, navigation: None });
                }
                Ok(Targets(targets))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
