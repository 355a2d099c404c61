//! From the services' metadata documents to tables. Pure: the documents are fetched by somebody else.
//!
//! Tolerant of what is missing, since services differ by version; strict on what contradicts itself, since a wrong schema
//! is worse than none.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde_json::Value;

use super::model::{
    AlternateKey, Choice, ChoiceSet, Derived, EnumValue, Field, FieldType, LookupTarget, Provenance, SystemId, Table, TableId,
};
use super::words::{Kind, decimal_range, integer_range};

/// What the Dataverse Web API says about a table (`EntityDefinitions(LogicalName='…')` and what hangs on it). Lists are
/// arrays or the whole answers that hold them in `value`.
#[derive(Clone, Debug, Default)]
pub struct DataverseDocuments {
    /// The definition itself: `LogicalName`, `EntitySetName`, `PrimaryIdAttribute`, …
    pub definition: Value,
    /// `…/Attributes`: what all types have in common.
    pub attributes: Value,
    /// `…/Attributes/Microsoft.Dynamics.CRM.<type>AttributeMetadata` by type: `String`, `Picklist`, … with option sets expanded.
    pub subtypes: BTreeMap<String, Value>,
    /// `…/ManyToOneRelationships`: the source of navigation properties' names.
    pub many_to_one: Value,
    /// `…/Keys`, or null where the definition holds them.
    pub keys: Value,
    /// The language of labels, as a Windows language code (LCID); `None` for the language of the user that pulls.
    pub language: Option<u32>,
    /// The columns under column security, each with whether the application user may read it; `None` if that is not known.
    pub secured: BTreeMap<String, Option<bool>>,
}

/// A table, and what could not be known about it.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The table.
    pub table: Table,
    /// For people: unknown types, keys that are not active yet.
    pub notes: Vec<String>,
}

/// Why documents make no table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullError {
    /// Something without which there is no table.
    #[error("the metadata of {table} lacks {what}. The service may be of another version, or the answer was cut short")]
    Missing {
        /// The table asked for.
        table: String,
        /// The property.
        what: String,
    },
    /// Something that cannot be.
    #[error("the metadata of {table} is contradictory: {what}")]
    Nonsense {
        /// The table asked for.
        table: String,
        /// What is wrong.
        what: String,
    },
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
}

/// A list, or an answer that holds one.
fn list(value: &Value) -> &[Value] {
    value.as_array().or_else(|| value.get("value").and_then(Value::as_array)).map_or(&[], Vec::as_slice)
}

fn number<T: std::str::FromStr>(value: Option<&Value>) -> Option<T> {
    match value? {
        // By its own digits; no float lies between.
        Value::Number(n) => n.to_string().parse().ok(),
        Value::String(s) => s.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn decimal(value: Option<&Value>) -> Option<Decimal> {
    let value = value?;
    number(Some(value)).or_else(|| Decimal::from_scientific(&value.to_string()).ok())
}

/// A whole number, also where the JSON writes it as `2147483647.0`.
fn whole(value: Option<&Value>) -> Option<i64> {
    number(value).or_else(|| decimal(value).filter(Decimal::is_integer).and_then(|d| d.normalize().to_string().parse().ok()))
}

/// The label in the language of the project (`prefer_language` puts it there), else in that of the user that pulls, which is the
/// organization's unless the user chose another; else the first. Dataverse writes formatted values in that language too, so `label` of an option and of a lookup agree.
fn label(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let localized = list(value.get("LocalizedLabels").unwrap_or(&Value::Null));
    let of_user = value.get("UserLocalizedLabel").filter(|l| l.get("Label").is_some_and(Value::is_string));
    let found = of_user.or_else(|| localized.first())?;
    text(found, "Label").map(str::to_owned)
}

/// One attribute: the common properties, and those of its type.
struct Attribute<'a> {
    common: &'a Value,
    own: Option<&'a Value>,
}

impl<'a> Attribute<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        let present = |v: &'a Value| v.get(key).filter(|v| !v.is_null());
        self.own.and_then(present).or_else(|| present(self.common))
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str).filter(|t| !t.is_empty())
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// Whether the Web API gives the attribute: names of lookups and labels of options come as annotations instead.
    fn offered(&self) -> bool {
        let odata = self.flag("IsValidODataAttribute").unwrap_or_else(|| self.text("AttributeOf").is_none());
        odata && self.flag("IsValidForRead").unwrap_or(true)
    }

    fn options(&self) -> Arc<ChoiceSet> {
        let set = ["OptionSet", "GlobalOptionSet"]
            .into_iter()
            .filter_map(|key| self.get(key))
            .find(|set| !list(set.get("Options").unwrap_or(&Value::Null)).is_empty());
        let options = set.map_or(&[][..], |set| list(set.get("Options").unwrap_or(&Value::Null)));
        let option = |o: &Value| {
            let value = whole(o.get("Value"))?;
            Some(Choice { value, label: label(o.get("Label")).unwrap_or_else(|| value.to_string()) })
        };
        Arc::new(ChoiceSet { options: options.iter().filter_map(option).collect() })
    }
}

/// A table of Dataverse from its metadata.
///
/// # Errors
///
/// The definition has no name, set or primary key; the primary key is not among the attributes; a name appears twice.
pub fn dataverse(documents: &DataverseDocuments) -> Result<Pulled, PullError> {
    let Some(language) = documents.language else { return dataverse_table(documents, Vec::new()) };
    let mut documents = documents.clone();
    let mut untranslated = 0;
    let DataverseDocuments { definition, attributes, subtypes, .. } = &mut documents;
    for document in [definition, attributes].into_iter().chain(subtypes.values_mut()) {
        untranslated += prefer_language(document, language, false);
    }
    let mut notes = Vec::new();
    if untranslated > 0 {
        let labels = if untranslated == 1 { "1 option label has".to_owned() } else { format!("{untranslated} option labels have") };
        notes.push(format!("{labels} no translation into language {language}: the label in the user's language is used instead"));
    }
    dataverse_table(&documents, notes)
}

/// Makes the label of one language the one that is taken, everywhere in a document. Returns how many labels of options do not have it.
fn prefer_language(document: &mut Value, language: u32, in_options: bool) -> usize {
    match document {
        Value::Array(items) => items.iter_mut().map(|item| prefer_language(item, language, in_options)).sum(),
        Value::Object(object) => {
            let labels = object.get("LocalizedLabels").map(|labels| list(labels).to_vec());
            if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
                let is_of = |label: &&Value| number::<u32>(label.get("LanguageCode")) == Some(language) && text(label, "Label").is_some();
                let Some(found) = labels.iter().find(is_of) else { return usize::from(in_options) };
                object.insert("UserLocalizedLabel".to_owned(), found.clone());
                return 0;
            }
            // Options have descriptions too, which are not used.
            let inner = object.iter_mut().filter(|(key, _)| *key != "Description");
            inner
                .map(|(key, value)| {
                    let option = in_options || matches!(key.as_str(), "Options" | "TrueOption" | "FalseOption");
                    prefer_language(value, language, option)
                })
                .sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn dataverse_table(documents: &DataverseDocuments, mut notes: Vec<String>) -> Result<Pulled, PullError> {
    let definition = &documents.definition;
    let name = text(definition, "LogicalName")
        .ok_or_else(|| PullError::Missing { table: "a table".to_owned(), what: "LogicalName".to_owned() })?;
    let missing = |what: &str| PullError::Missing { table: name.to_owned(), what: what.to_owned() };
    let nonsense = |what: String| PullError::Nonsense { table: name.to_owned(), what };
    let own: BTreeMap<(&str, &str), &Value> = (documents.subtypes.iter())
        .flat_map(|(subtype, answer)| list(answer).iter().map(move |a| (subtype.as_str(), a)))
        .filter_map(|(subtype, a)| Some(((subtype.trim_end_matches("AttributeMetadata"), text(a, "LogicalName")?), a)))
        .collect();
    let mut fields: IndexMap<String, Field> = IndexMap::new();
    let mut attributes: Vec<(&str, &Value)> =
        list(&documents.attributes).iter().filter_map(|a| Some((text(a, "LogicalName")?, a))).collect();
    if attributes.is_empty() {
        return Err(missing("Attributes"));
    }
    // The service's order is not fixed; a file that is committed needs one.
    attributes.sort_by_key(|(logical, _)| *logical);
    for (logical, common) in attributes {
        let vendor = vendor_type(common).ok_or_else(|| missing(&format!("AttributeType of {logical}")))?;
        let subtype = match vendor.as_str() {
            "Customer" | "Owner" | "PartyList" => "Lookup",
            other => other,
        };
        let attribute = Attribute { common, own: own.get(&(subtype, logical)).copied() };
        if !attribute.offered() {
            continue;
        }
        let relations = list(&documents.many_to_one);
        let ty = dataverse_type(logical, &vendor, &attribute, relations, &mut notes);
        let mut field = dataverse_field(logical, vendor, ty, &attribute);
        match documents.secured.get(logical) {
            Some(Some(true)) | None => {}
            Some(Some(false)) => {
                field.readable = false;
                notes.push(format!(
                    "{logical}: column security hides it from the application user, so Dynamics 365 sends it as empty for every record; add the user \
                     to a field security profile that allows reading"
                ));
            }
            Some(None) => notes.push(format!("{logical}: it is secured, and d365map may not ask whether the application user can read it")),
        }
        if fields.insert(logical.to_owned(), field).is_some() {
            return Err(nonsense(format!("the attribute {logical} appears twice")));
        }
    }
    let primary_key = text(definition, "PrimaryIdAttribute").ok_or_else(|| missing("PrimaryIdAttribute"))?;
    if !fields.contains_key(primary_key) {
        return Err(nonsense(format!("the primary key {primary_key} is not among the attributes")));
    }
    let keys = if documents.keys.is_null() { definition.get("Keys").unwrap_or(&Value::Null) } else { &documents.keys };
    let mut alternate_keys: Vec<AlternateKey> = Vec::new();
    for key in list(keys) {
        let key_name = text(key, "LogicalName").or_else(|| text(key, "SchemaName")).unwrap_or("key").to_owned();
        let parts: Vec<String> =
            list(key.get("KeyAttributes").unwrap_or(&Value::Null)).iter().filter_map(|p| p.as_str().map(str::to_owned)).collect();
        match text(key, "EntityKeyIndexStatus") {
            Some("Active") | None => {}
            Some(status) => {
                notes.push(format!("the alternate key {key_name} is left out: its index is {status}, and only an active one can be used"));
                continue;
            }
        }
        if let Some(stranger) = parts.iter().find(|p| !fields.contains_key(*p)) {
            return Err(nonsense(format!("the alternate key {key_name} names {stranger}, which is not among the attributes")));
        }
        if !parts.is_empty() {
            alternate_keys.push(AlternateKey { name: key_name, fields: parts });
        }
    }
    alternate_keys.sort_by(|a, b| a.name.cmp(&b.name));
    let table = Table {
        id: TableId::new(SystemId::D365, name),
        label: label(definition.get("DisplayName"))
            .or_else(|| text(definition, "SchemaName").map(str::to_owned))
            .unwrap_or_else(|| name.to_owned()),
        collection: text(definition, "EntitySetName").ok_or_else(|| missing("EntitySetName"))?.to_owned(),
        primary_key: primary_key.to_owned(),
        primary_name: text(definition, "PrimaryNameAttribute").filter(|n| fields.contains_key(*n)).map(str::to_owned),
        change_tracking: definition.get("ChangeTrackingEnabled").and_then(Value::as_bool),
        alternate_keys,
        fields,
    };
    Ok(Pulled { table, notes })
}

/// The vendor's word: `AttributeType`, save that what is called Virtual there has its name in `AttributeTypeName`.
fn vendor_type(attribute: &Value) -> Option<String> {
    let named =
        attribute.get("AttributeTypeName").and_then(|n| text(n, "Value").or(n.as_str())).map(|n| n.trim_end_matches("Type").to_owned());
    match text(attribute, "AttributeType") {
        Some("Virtual") | None => named.or_else(|| text(attribute, "AttributeType").map(str::to_owned)),
        Some(plain) => Some(plain.to_owned()),
    }
}

fn dataverse_type(logical: &str, vendor: &str, attribute: &Attribute<'_>, relations: &[Value], notes: &mut Vec<String>) -> FieldType {
    let range = |kind| {
        let (lowest, highest) = integer_range(kind);
        // A range beyond the type's own is cut to it.
        let min = whole(attribute.get("MinValue")).unwrap_or(lowest).clamp(lowest, highest);
        let max = whole(attribute.get("MaxValue")).unwrap_or(highest).clamp(lowest, highest);
        FieldType::Integer { min, max: max.max(min) }
    };
    let exact = |kind| {
        let (scale, lowest, highest) = decimal_range(kind);
        FieldType::Decimal {
            scale: number(attribute.get("Precision")).unwrap_or(scale).min(Decimal::MAX_SCALE),
            min: decimal(attribute.get("MinValue")).unwrap_or(lowest),
            max: decimal(attribute.get("MaxValue")).unwrap_or(highest),
        }
    };
    match vendor {
        "String" | "Memo" => FieldType::Text { max: number(attribute.get("MaxLength")).filter(|max| *max > 0) },
        "EntityName" => FieldType::Text { max: None },
        "Integer" => range(Kind::Integer),
        "BigInt" => range(Kind::BigInt),
        "Decimal" => exact(Kind::Decimal),
        "Money" => exact(Kind::Money),
        "Double" => FieldType::Double,
        "Boolean" => {
            let set = attribute.get("OptionSet");
            let side = |key: &str| set.and_then(|s| s.get(key)).and_then(|o| label(o.get("Label")));
            FieldType::Boolean { labels: side("FalseOption").zip(side("TrueOption")) }
        }
        // `Format=DateOnly` alone changes what forms show, not what the API sends.
        "DateTime" => match attribute.get("DateTimeBehavior").and_then(|b| text(b, "Value").or(b.as_str())) {
            Some("DateOnly") => FieldType::Date,
            Some("TimeZoneIndependent") => FieldType::LocalDateTime,
            Some("UserLocal") | None => FieldType::DateTime,
            Some(other) => {
                notes.push(format!("{logical}: the behavior {other} of a date is not known; taken as an instant"));
                FieldType::DateTime
            }
        },
        "Uniqueidentifier" => FieldType::Guid,
        "Picklist" | "State" | "Status" => FieldType::Choice(attribute.options()),
        "MultiSelectPicklist" => FieldType::MultiChoice(attribute.options()),
        "Lookup" | "Customer" | "Owner" => FieldType::Lookup { targets: targets(logical, attribute, relations) },
        "PartyList" | "Image" | "File" | "ManagedProperty" | "Virtual" | "CalendarRules" => FieldType::Unsupported,
        other => {
            notes.push(format!("{logical}: the type {other} is not known; the field cannot be mapped"));
            FieldType::Unsupported
        }
    }
}

/// The tables that a lookup points to. Navigation properties come from the relationships alone: their spelling follows no rule.
fn targets(logical: &str, attribute: &Attribute<'_>, relations: &[Value]) -> Vec<LookupTarget> {
    let of_field: Vec<(&str, &str)> = (relations.iter())
        .filter(|r| text(r, "ReferencingAttribute") == Some(logical))
        .filter_map(|r| Some((text(r, "ReferencedEntity")?, text(r, "ReferencingEntityNavigationPropertyName")?)))
        .collect();
    let declared = list(attribute.get("Targets").unwrap_or(&Value::Null)).iter().filter_map(Value::as_str);
    let mut targets: Vec<LookupTarget> = declared.map(|table| LookupTarget { table: table.to_owned(), navigation: None }).collect();
    if targets.is_empty() {
        // Without the type's own properties the relationships are all that is known.
        targets.extend(of_field.iter().map(|(table, _)| LookupTarget { table: (*table).to_owned(), navigation: None }));
    }
    for target in &mut targets {
        // An owner is written by one property, whether user or team: the relationship leads to their common table `owner`.
        let found =
            of_field.iter().find(|(table, _)| *table == target.table).or_else(|| of_field.iter().find(|(table, _)| *table == "owner"));
        target.navigation = found.map(|(_, navigation)| (*navigation).to_owned());
    }
    targets
}

fn dataverse_field(logical: &str, vendor: String, ty: FieldType, attribute: &Attribute<'_>) -> Field {
    let creatable = attribute.flag("IsValidForCreate").unwrap_or(true);
    let level = attribute.get("RequiredLevel").and_then(|l| text(l, "Value").or(l.as_str()));
    // ApplicationRequired is a matter of forms; the API refuses a record for SystemRequired alone, and fills the
    // primary key, the owner and the state by itself.
    let filled =
        attribute.flag("IsPrimaryId") == Some(true) || matches!(vendor.as_str(), "Uniqueidentifier" | "Owner" | "State" | "Status");
    Field {
        name: logical.to_owned(),
        // Microsoft writes it into the display name; the metadata has no property for it.
        deprecated: label(attribute.get("DisplayName"))
            .filter(|l| l.to_lowercase().contains("(deprecated)"))
            .map(|_| "its label says so, choose another field".to_owned()),
        label: label(attribute.get("DisplayName")),
        ty,
        required: level == Some("SystemRequired") && creatable && !filled,
        vendor_type: vendor,
        readable: true,
        creatable,
        updatable: attribute.flag("IsValidForUpdate").unwrap_or(true),
        aliases: Vec::new(),
        wire: None,
        provenance: Provenance::Pulled,
        derived: whole(attribute.get("SourceType")).and_then(Derived::of_source_type),
    }
}

/// A resource of Campaign from `resourceType/<resource>`.
///
/// The metadata tells no lengths, parts of items or read-only attributes: for attributes that `known` has they are taken
/// from there, for others no length is known.
///
/// # Errors
///
/// There are no attributes, or two with one name.
pub fn campaign(resource: &str, document: &Value, known: Option<&Table>) -> Result<Pulled, PullError> {
    let content = document.get("content").and_then(Value::as_object).filter(|c| !c.is_empty());
    let content = content.ok_or_else(|| PullError::Missing { table: resource.to_owned(), what: "content".to_owned() })?;
    let mut notes = Vec::new();
    let mut fields = IndexMap::new();
    for (name, entry) in content {
        let field = campaign_field(name, entry, known.map(|k| &k.fields), "", &mut notes);
        let name = field.name.clone();
        if fields.insert(name.clone(), field).is_some() {
            return Err(PullError::Nonsense { table: resource.to_owned(), what: format!("the attribute {name} appears twice") });
        }
    }
    // The document's order is the service's; the built-in order comes first, new attributes after it, by name.
    let order = |name: &str| known.and_then(|k| k.fields.get_index_of(name)).unwrap_or(usize::MAX);
    fields.sort_by(|a, _, b, _| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
    let primary_key = "PKey".to_owned();
    if !fields.contains_key(&primary_key) {
        // Every record has it, whether the metadata lists it or not.
        let field = known.and_then(|k| k.fields.get(&primary_key)).cloned().unwrap_or_else(|| key_field(&primary_key));
        fields.shift_insert(0, primary_key.clone(), field);
    }
    let alternate_keys = known
        .map(|k| k.alternate_keys.clone())
        .unwrap_or_default()
        .into_iter()
        .filter(|k| k.fields.iter().all(|f| fields.contains_key(f)))
        .collect();
    let table = Table {
        id: TableId::new(SystemId::Campaign, resource),
        label: text(document, "label").unwrap_or(resource).to_owned(),
        collection: text(document, "name").unwrap_or(resource).to_owned(),
        primary_key,
        primary_name: known.and_then(|k| k.primary_name.clone()).filter(|n| fields.contains_key(n)),
        change_tracking: None,
        alternate_keys,
        fields,
    };
    Ok(Pulled { table, notes })
}

/// Keeps what metadata does not tell as the table's file has it: lengths that are not told, and of Campaign nested fields, which
/// fields are required, and the keys. So what was written into a file by hand outlives the next pull.
pub fn keep_what_metadata_lacks(table: &mut Table, known: &Table) {
    let campaign = table.id.system == SystemId::Campaign;
    for (name, field) in &mut table.fields {
        let Some(old) = known.fields.get(name) else { continue };
        let kept = match (&field.ty, &old.ty) {
            (FieldType::Text { max: None }, FieldType::Text { .. }) => true,
            (FieldType::Item(_), FieldType::Item(_)) => campaign,
            _ => false,
        };
        if kept {
            field.ty = old.ty.clone();
        }
        if campaign {
            field.required = old.required;
        }
    }
    if campaign {
        // Campaign tells no keys. The file has the final say over the built-in table: by the names of keys.
        let fields = &table.fields;
        let own: Vec<AlternateKey> =
            known.alternate_keys.iter().filter(|k| k.fields.iter().all(|f| fields.contains_key(f))).cloned().collect();
        table.alternate_keys.retain(|k| own.iter().all(|o| o.name != k.name));
        table.alternate_keys.extend(own);
        table.alternate_keys.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

fn key_field(name: &str) -> Field {
    Field {
        name: name.to_owned(),
        label: None,
        ty: FieldType::Text { max: None },
        vendor_type: "string".to_owned(),
        required: false,
        readable: true,
        creatable: false,
        updatable: false,
        aliases: Vec::new(),
        wire: None,
        provenance: Provenance::Assumed,
        deprecated: None,
        derived: None,
    }
}

fn campaign_field(key: &str, entry: &Value, known: Option<&IndexMap<String, Field>>, prefix: &str, notes: &mut Vec<String>) -> Field {
    let name = text(entry, "apiName").unwrap_or(key);
    let known = known.and_then(|k| k.get(name));
    let path = format!("{prefix}{name}");
    let vendor = text(entry, "type").map_or_else(|| known.map_or("string", |k| k.vendor_type.as_str()).to_owned(), str::to_owned);
    let ty = campaign_type(&path, &vendor, entry, known, notes);
    // Lists of other records are written at those records.
    let own = !matches!(ty, FieldType::Collection { .. });
    let read_only = ["readOnly", "isReadOnly", "computed"].iter().any(|k| entry.get(*k).and_then(Value::as_bool) == Some(true));
    Field {
        name: name.to_owned(),
        label: text(entry, "label").map(str::to_owned).or_else(|| known.and_then(|k| k.label.clone())),
        ty,
        required: known.is_some_and(|k| k.required) || entry.get("required").and_then(Value::as_bool) == Some(true),
        vendor_type: vendor,
        readable: true,
        creatable: !read_only && known.map_or(own, |k| k.creatable),
        updatable: !read_only && known.map_or(own, |k| k.updatable),
        aliases: known.map(|k| k.aliases.clone()).unwrap_or_default(),
        wire: known.and_then(|k| k.wire.clone()),
        provenance: Provenance::Pulled,
        deprecated: known.and_then(|k| k.deprecated.clone()),
        derived: None,
    }
}

fn campaign_type(path: &str, vendor: &str, entry: &Value, known: Option<&Field>, notes: &mut Vec<String>) -> FieldType {
    let before = known.map(|k| &k.ty);
    let target = || text(entry, "resTarget").map(str::to_owned);
    match vendor {
        "string" | "memo" | "html" | "CDATA" => {
            let told = ["length", "maxLength"].into_iter().find_map(|k| number::<u32>(entry.get(k))).filter(|max| *max > 0);
            let remembered = if let Some(FieldType::Text { max }) = before { *max } else { None };
            // An enumeration can be listed as the string that it is stored in.
            if entry.get("values").is_some_and(|v| v.is_array() || v.is_object()) {
                return FieldType::Enumeration(values(entry));
            }
            FieldType::Text { max: told.or(remembered) }
        }
        "boolean" => FieldType::Boolean { labels: None },
        "byte" => FieldType::Integer { min: i64::from(i8::MIN), max: i64::from(i8::MAX) },
        "short" => FieldType::Integer { min: i64::from(i16::MIN), max: i64::from(i16::MAX) },
        "integer" | "long" => FieldType::Integer { min: i64::from(i32::MIN), max: i64::from(i32::MAX) },
        "int64" => FieldType::Integer { min: i64::MIN, max: i64::MAX },
        "number" | "float" | "double" => FieldType::Double,
        // `created` and `lastModified` are listed as date and sent as instants.
        "date" if matches!(before, Some(FieldType::DateTime)) => FieldType::DateTime,
        "date" => FieldType::Date,
        "datetime" | "datetimetz" => FieldType::DateTime,
        "datetimenotz" => FieldType::LocalDateTime,
        "uuid" => FieldType::Guid,
        "enumeration" => {
            let told = values(entry);
            match before {
                Some(FieldType::Enumeration(remembered)) if told.is_empty() => FieldType::Enumeration(remembered.clone()),
                Some(_) | None => FieldType::Enumeration(told),
            }
        }
        "link" => FieldType::Link { target: target() },
        "collection" => FieldType::Collection { target: target() },
        "item" => {
            let remembered = if let Some(FieldType::Item(fields)) = before { Some(fields) } else { None };
            match entry.get("content").and_then(Value::as_object) {
                Some(content) => {
                    let inner = content.iter().map(|(key, entry)| campaign_field(key, entry, remembered, &format!("{path}."), notes));
                    FieldType::Item(inner.map(|f| (f.name.clone(), f)).collect())
                }
                None => FieldType::Item(remembered.cloned().unwrap_or_default()),
            }
        }
        other => {
            notes.push(format!("{path}: the type {other} is not known; taken as text of unknown length"));
            FieldType::Text { max: None }
        }
    }
}

/// The values of an enumeration: a list of objects, or an object by name. A mark for an invalid value is not a value.
fn values(entry: &Value) -> Arc<[EnumValue]> {
    let stored = |v: &Value| match v.get("value") {
        Some(Value::String(s)) => Some(s.clone()),
        Some(Value::Number(n)) => Some(n.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    let value = |name: &str, v: &Value| EnumValue {
        name: name.to_owned(),
        label: text(v, "label").or(v.as_str()).unwrap_or(name).to_owned(),
        stored: stored(v),
    };
    let named: Vec<EnumValue> = match entry.get("values") {
        Some(Value::Array(list)) => {
            list.iter().filter_map(|v| Some(value(text(v, "name").or_else(|| text(v, "apiName")).or(v.as_str())?, v))).collect()
        }
        Some(Value::Object(map)) => map.iter().map(|(name, v)| value(name, v)).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    };
    named.into_iter().filter(|v| v.name != "__Invalid_value__").collect()
}
