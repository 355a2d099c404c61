//! The shape of schema files, as it stands in them: every key, nothing of what it means.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::model::{LookupTarget, Provenance};
use crate::yaml::{Map, Spanned};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FileDoc {
    pub(super) version: Spanned<u32>,
    pub(super) table: Spanned<String>,
    pub(super) extends: Option<Spanned<String>>,
    pub(super) label: Option<String>,
    pub(super) collection: Option<Spanned<String>>,
    pub(super) primary_key: Option<Spanned<String>>,
    pub(super) primary_name: Option<Spanned<String>>,
    pub(super) change_tracking: Option<bool>,
    #[serde(default)]
    pub(super) alternate_keys: Option<Map<Vec<Spanned<String>>>>,
    pub(super) provenance: Option<Provenance>,
    #[serde(default)]
    pub(super) fields: Option<Map<FieldDoc>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct FieldDoc {
    #[serde(rename = "type")]
    pub(super) ty: Option<Spanned<String>>,
    pub(super) vendor_type: Option<String>,
    pub(super) label: Option<String>,
    pub(super) max: Option<Spanned<String>>,
    pub(super) min: Option<Spanned<String>>,
    pub(super) scale: Option<Spanned<u32>>,
    pub(super) labels: Option<BooleanLabels>,
    pub(super) options: Option<Map<String>>,
    pub(super) values: Option<Map<ValueDoc>>,
    pub(super) targets: Option<Targets>,
    pub(super) target: Option<String>,
    pub(super) fields: Option<Map<FieldDoc>>,
    pub(super) required: Option<bool>,
    pub(super) readable: Option<bool>,
    pub(super) creatable: Option<bool>,
    pub(super) updatable: Option<bool>,
    pub(super) read_only: Option<bool>,
    pub(super) aliases: Option<Vec<String>>,
    pub(super) provenance: Option<Provenance>,
    pub(super) deprecated: Option<String>,
    pub(super) derived: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
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
