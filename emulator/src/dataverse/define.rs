//! New tables and columns: from a seed, and from the Web API's metadata requests.
//!
//! A new table has what every table of its kind has (owner, state, dates, versions), an activity its inherited columns too. A lookup
//! gets a navigation property per target by the rules of naming: the schema name of a custom lookup, the target as a suffix where
//! there are several, and on activities the activity's own name at the end. [D/C]

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::{Fail, Result};
use super::store::{Rows, Store};
use super::table::{Choice, Column, Key, KeyStatus, Relation, Table, Type};

/// The parts of a new table that a seed gives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTable {
    /// As in `new_Membership`; the logical name is the same in lower case.
    pub(super) schema: String,
    /// The entity set; the logical name and `s` when absent.
    #[serde(default)]
    pub(super) set: Option<String>,
    /// The column of the primary name; `prefix_name` when absent, `subject` of an activity.
    #[serde(default)]
    pub(super) title: Option<String>,
    #[serde(default)]
    pub(super) label: Option<String>,
    #[serde(default)]
    pub(super) labels: Option<String>,
    #[serde(default)]
    pub(super) activity: bool,
    /// Whether it is a standard table of the service that this emulator does not bring: no prefix, no `IsCustomEntity`.
    #[serde(default)]
    pub(super) standard: bool,
    /// Relationships that are not named by the rules.
    #[serde(default)]
    pub(super) relations: Vec<Relation>,
}

/// The most tables: cells hold the number of the table they point to.
const MOST: usize = 250;

fn columns(text: &str) -> std::result::Result<Vec<Column>, String> {
    serde_json::from_str(text).map_err(|error| format!("embedded columns: {error}"))
}

fn column(description: Json) -> std::result::Result<Column, String> {
    serde_json::from_value(description).map_err(|error| format!("a column's description: {error}"))
}

/// A name's publisher prefix: `new` of `new_x`.
fn prefix(name: &str) -> &str {
    name.split_once('_').map_or("new", |(prefix, _)| prefix)
}

/// Builds a table without rows. `code` is its object type code.
pub(crate) fn build(name: &str, new: NewTable, mut own: Vec<Column>, keys: Vec<Key>, code: i64) -> std::result::Result<Table, String> {
    if !new.schema.eq_ignore_ascii_case(name) || name.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(format!("table `{name}`: its logical name is its schema name `{}` in lower case", new.schema));
    }
    if !new.standard && !name.contains('_') {
        return Err(format!("table `{name}`: a custom table is named with its publisher's prefix, as in `new_{name}`"));
    }
    let id = if new.activity { "activityid".to_owned() } else { format!("{name}id") };
    let title = match &new.title {
        Some(title) => title.clone(),
        None if new.activity => "subject".to_owned(),
        None if new.standard => "name".to_owned(),
        None => format!("{}_name", prefix(name)),
    };
    for column in &mut own {
        if column.schema.is_empty() {
            column.schema.clone_from(&column.name);
        }
    }
    let mut all = columns(include_str!("custom.columns.json"))?;
    all.extend(columns(if new.activity { include_str!("activity.columns.json") } else { include_str!("state.columns.json") })?);
    let id_schema = if new.activity { "ActivityId".to_owned() } else { format!("{}Id", new.schema) };
    all.push(column(json!({"name": id, "schema": id_schema, "type": "Uniqueidentifier", "label": new.label.clone().unwrap_or_else(|| new.schema.clone()),
        "flags": "cro", "required": "SystemRequired"}))?);
    if !all.iter().chain(&own).any(|column| column.name == title) {
        all.push(column(
            json!({"name": title, "schema": title, "type": "String", "label": "Name", "flags": "curox", "length": 100, "format": "Text",
            "required": "ApplicationRequired"}),
        )?);
    }
    let money: Vec<(String, String)> =
        own.iter().filter(|column| column.kind == Type::Money).map(|column| (column.name.clone(), column.schema.clone())).collect();
    if !money.is_empty() {
        all.push(column(json!({"name": "transactioncurrencyid", "schema": "TransactionCurrencyId", "type": "Lookup", "label": "Currency", "flags": "curo",
            "targets": ["transactioncurrency"]}))?);
        all.push(column(json!({"name": "exchangerate", "schema": "ExchangeRate", "type": "Decimal", "label": "Exchange Rate", "flags": "ro", "precision": 12}))?);
        for (name, schema) in money {
            all.push(column(
                json!({"name": format!("{name}_base"), "schema": format!("{schema}_Base"), "type": "Money", "label": "Base", "flags": "ro",
                "precision": 4}),
            )?);
        }
    }
    // A column given takes the place of the one that comes by itself.
    all.retain(|column| !own.iter().any(|other| other.name == column.name));
    all.extend(own);
    let mut table = Table {
        name: name.to_owned(),
        set: new.set.unwrap_or_else(|| plural(name)),
        id,
        title,
        label: new.label.clone().unwrap_or_else(|| new.schema.clone()),
        labels: new.labels.or(new.label.map(|label| format!("{label}s"))).unwrap_or_else(|| format!("{}s", new.schema)),
        schema: new.schema,
        code,
        columns: all,
        many_to_one: new.relations,
        keys,
        activity: new.activity,
        custom: !new.standard,
        ..Table::empty()
    };
    relate(&mut table, true);
    table.finish()?;
    Ok(table)
}

/// The entity set's name as the service makes it. [K: the rule; the name is always read from metadata]
fn plural(name: &str) -> String {
    if let Some(stem) = name.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        format!("{stem}ies")
    } else if name.ends_with(['s', 'x', 'z']) || name.ends_with("ch") || name.ends_with("sh") {
        format!("{name}es")
    } else {
        format!("{name}s")
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Gives each lookup without a relationship one per target; with `all`, those of the system too. (A standard table has lookups that
/// clients cannot go along.)
pub(super) fn relate(table: &mut Table, all: bool) {
    for column in table.columns.iter().filter(|column| column.kind.is_lookup() && (all || column.has('x'))) {
        if table.many_to_one.iter().any(|relation| relation.column == column.name) {
            continue;
        }
        let base = if column.has('x') { &column.schema } else { &column.name };
        let suffix = if table.activity { format!("_{}", table.name) } else { String::new() };
        let targets: Vec<&str> = match column.kind {
            Type::Owner => vec!["owner"],
            Type::Customer => vec!["account", "contact"],
            _ => column.targets.iter().map(String::as_str).collect(),
        };
        let several = targets.len() > 1 || (table.activity && column.name == "regardingobjectid");
        for target in targets {
            let schema = match (column.name.as_str(), table.custom) {
                ("regardingobjectid", true) => format!("{target}_{}s", table.schema),
                ("regardingobjectid", false) => format!("{}_{}s", capital(target), table.schema),
                _ => format!("{}_{}_{target}", table.name, column.name),
            };
            table.many_to_one.push(Relation {
                schema,
                column: column.name.clone(),
                table: target.to_owned(),
                key: format!("{target}id"),
                nav: if several { format!("{base}_{target}{suffix}") } else { format!("{base}{suffix}") },
                back: None,
            });
        }
    }
}

impl Store {
    /// Adds a table.
    pub(super) fn add_table(&mut self, table: Table) -> Result<usize> {
        if self.by_name(&table.name).is_some() || self.by_set(&table.set).is_some() {
            return Err(Fail::new(
                400,
                "0x80047013",
                format!("An entity with the specified name {} already exists. Specify a unique name.", table.name),
            ));
        }
        if self.tables.len() >= MOST {
            return Err(Fail::not_emulated("more tables"));
        }
        self.tables.push(Rows::new(table));
        self.defined = true;
        super::messages::fill(self)?;
        Ok(self.tables.len() - 1)
    }

    /// Removes a table with its rows, and the lookups that point to it.
    pub(super) fn drop_table(&mut self, table: usize) -> Result<()> {
        let name = self.tables[table].table.name.clone();
        let pointed = self.tables.iter().enumerate().find(|(index, rows)| {
            *index != table && !rows.table.dropped && rows.table.many_to_one.iter().any(|relation| relation.table == name)
        });
        if let Some((_, rows)) = pointed {
            let text = format!("The entity {name} cannot be deleted: it is referenced by a relationship of {}.", rows.table.name);
            return Err(Fail::new(400, "0x8004f01f", text));
        }
        let definition = Table { dropped: true, ..self.tables[table].table.clone() };
        self.tables[table] = Rows::new(definition);
        self.defined = true;
        super::messages::fill(self)
    }
}

fn text<'a>(json: &'a Json, name: &str) -> Option<&'a str> {
    json.get(name).and_then(Json::as_str)
}

fn label(json: &Json, name: &str) -> Option<String> {
    json.get(name)?.get("LocalizedLabels")?.as_array()?.first().and_then(|label| text(label, "Label")).map(str::to_owned)
}

fn schema_of(json: &Json) -> Result<String> {
    let schema = text(json, "SchemaName").unwrap_or_default();
    let plain = schema.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && schema.starts_with(|c: char| c.is_ascii_alphabetic());
    if !plain || !schema.contains('_') {
        return Err(Fail::new(
            400,
            "0x8004701d",
            format!(
                "The name '{schema}' is not valid: a custom name consists of letters, digits and underscores and begins with a publisher's prefix."
            ),
        ));
    }
    Ok(schema.to_owned())
}

/// The type that a metadata object is of, with or without the prefix of the creating action's classes.
fn kind_of(json: &Json) -> Result<Type> {
    let name = text(json, "@odata.type").unwrap_or_default().trim_start_matches('#');
    let name = name.strip_prefix("Microsoft.Dynamics.CRM.").unwrap_or(name);
    let name = name.strip_prefix("Complex").unwrap_or(name);
    Ok(match name {
        "StringAttributeMetadata" => Type::String,
        "MemoAttributeMetadata" => Type::Memo,
        "IntegerAttributeMetadata" => Type::Integer,
        "BigIntAttributeMetadata" => Type::BigInt,
        "DecimalAttributeMetadata" => Type::Decimal,
        "MoneyAttributeMetadata" => Type::Money,
        "DoubleAttributeMetadata" => Type::Double,
        "BooleanAttributeMetadata" => Type::Boolean,
        "PicklistAttributeMetadata" => Type::Picklist,
        "MultiSelectPicklistAttributeMetadata" => Type::MultiSelect,
        "DateTimeAttributeMetadata" => Type::DateTime,
        "LookupAttributeMetadata" => Type::Lookup,
        "FileAttributeMetadata" => Type::File,
        "ImageAttributeMetadata" => Type::Image,
        _ => return Err(Fail::payload("Attributes", format!("'{name}' is not the type of a column that can be created"))),
    })
}

fn choices(set: &Json, kind: Type) -> Vec<Choice> {
    let choice = |option: &Json, value: Option<i64>| {
        Some(Choice { value: value.or_else(|| option.get("Value").and_then(Json::as_i64))?, label: label(option, "Label"), other: None })
    };
    if kind == Type::Boolean {
        let side = |name: &str, value| set.get(name).and_then(|option| choice(option, Some(value)));
        return [side("FalseOption", 0), side("TrueOption", 1)].into_iter().flatten().collect();
    }
    set.get("Options")
        .and_then(Json::as_array)
        .map_or_else(Vec::new, |options| options.iter().filter_map(|option| choice(option, None)).collect())
}

/// Takes over what a metadata object says of a column.
fn take_over(column: &mut Column, json: &Json) -> Result<()> {
    if let Some(label) = label(json, "DisplayName") {
        column.label = Some(label);
    }
    if let Some(level) = json.get("RequiredLevel").and_then(|level| level.get("Value")) {
        let level = level.as_str().ok_or_else(|| Fail::payload("Attributes", "'RequiredLevel' needs a text as its 'Value'"))?;
        column.required = Some(level.to_owned()).filter(|level| level != "None");
    }
    let number = |name: &str| json.get(name).and_then(Json::as_f64);
    column.length = json.get("MaxLength").and_then(Json::as_u64).map(|length| length as usize).or(column.length);
    column.min = number("MinValue").or(column.min);
    column.max = number("MaxValue").or(column.max);
    column.precision = json.get("Precision").and_then(Json::as_u64).map(|places| places as u32).or(column.precision);
    let format = json.get("FormatName").and_then(|format| text(format, "Value")).or(text(json, "Format"));
    column.format = format.map(str::to_owned).or(column.format.take());
    if let Some(behavior) = json.get("DateTimeBehavior").and_then(|behavior| text(behavior, "Value")) {
        column.behavior = Some(behavior.to_owned());
    }
    if let Some(set) = json.get("OptionSet") {
        let found = choices(set, column.kind);
        if !found.is_empty() {
            column.options = found;
        }
    }
    Ok(())
}

/// Reads a new column from a metadata object.
fn column_from(json: &Json) -> Result<Column> {
    let schema = schema_of(json)?;
    let kind = kind_of(json)?;
    let mut made = column(json!({"name": schema.to_lowercase(), "schema": schema, "type": "String"}))
        .map_err(|error| Fail::payload("Attributes", error))?;
    made.kind = kind;
    if matches!(kind, Type::String | Type::Memo) {
        made.length = Some(100);
    }
    if kind == Type::Boolean {
        made.default = Some(0);
        made.options = vec![
            Choice { value: 0, label: Some("No".to_owned()), other: None },
            Choice { value: 1, label: Some("Yes".to_owned()), other: None },
        ];
    }
    take_over(&mut made, json)?;
    Ok(made)
}

/// Makes a table from an `EntityMetadata` or `ComplexEntityMetadata`.
pub(super) fn create_table(store: &mut Store, json: &Json) -> Result<usize> {
    let schema = schema_of(json)?;
    let name = schema.to_lowercase();
    let mut title = None;
    let mut own = Vec::new();
    for attribute in json.get("Attributes").and_then(Json::as_array).into_iter().flatten() {
        let column = column_from(attribute)?;
        if attribute.get("IsPrimaryName").and_then(Json::as_bool) == Some(true) {
            title = Some(column.name.clone());
        }
        own.push(column);
    }
    let new = NewTable {
        schema,
        title,
        label: label(json, "DisplayName"),
        labels: label(json, "DisplayCollectionName"),
        activity: json.get("IsActivity").and_then(Json::as_bool).unwrap_or(false),
        set: text(json, "EntitySetName").map(str::to_owned),
        ..NewTable::default()
    };
    let code = 10_000 + store.tables.len() as i64;
    let mut table = build(&name, new, own, Vec::new(), code).map_err(|error| Fail::new(400, "0x80040203", error))?;
    table.tracking = json.get("ChangeTrackingEnabled").and_then(Json::as_bool).unwrap_or(false);
    store.add_table(table)
}

/// Changes a table by a whole `EntityMetadata`: its labels and whether its changes are tracked. [D: table definitions are updated by PUT of
/// all of it; what the emulator does not keep of a definition is skipped]
pub(super) fn update_table(store: &mut Store, table: usize, json: &Json) -> Result<()> {
    let mut definition = store.tables[table].table.clone();
    if text(json, "SchemaName").is_some_and(|schema| !schema.eq_ignore_ascii_case(&definition.name)) {
        return Err(Fail::new(400, "0x80044150", format!("The schema name of the entity {} cannot be changed.", definition.name)));
    }
    if let Some(label) = label(json, "DisplayName") {
        definition.label = label;
    }
    if let Some(labels) = label(json, "DisplayCollectionName") {
        definition.labels = labels;
    }
    if let Some(tracking) = json.get("ChangeTrackingEnabled").and_then(Json::as_bool) {
        definition.tracking = tracking;
    }
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(())
}

/// Adds a column from an `AttributeMetadata`; its index in the new definition's order is not kept.
pub(super) fn create_column(store: &mut Store, table: usize, json: &Json) -> Result<String> {
    let column = column_from(json)?;
    let name = column.name.clone();
    let mut definition = store.tables[table].table.clone();
    if definition.column(&name).is_some() {
        return Err(Fail::new(
            400,
            "0x80044153",
            format!("An attribute with the specified name {name} already exists for entity with id {}", definition.name),
        ));
    }
    definition.columns.push(column);
    relate(&mut definition, false);
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(name)
}

fn finish(definition: &mut Table) -> Result<()> {
    definition.finish().map_err(|error| Fail::new(400, "0x80040203", error))
}

/// Changes a column by a whole `AttributeMetadata`. [D: column definitions are updated by PUT of all of it]
pub(super) fn update_column(store: &mut Store, table: usize, name: &str, json: &Json) -> Result<()> {
    let mut definition = store.tables[table].table.clone();
    let column = definition.columns.iter_mut().find(|column| column.name == name).ok_or_else(|| Fail::no_segment(name))?;
    if kind_of(json)? != column.kind {
        return Err(Fail::new(400, "0x80044152", format!("The type of the attribute {name} cannot be changed.")));
    }
    take_over(column, json)?;
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(())
}

/// Removes a custom column with its values.
pub(super) fn delete_column(store: &mut Store, table: usize, name: &str) -> Result<()> {
    let mut definition = store.tables[table].table.clone();
    let custom = definition.columns.iter().any(|column| column.name == name && column.has('x'));
    let used = definition.keys.iter().any(|key| key.columns.iter().any(|column| column == name)) || definition.title == name;
    if !custom || used {
        return Err(Fail::new(
            400,
            "0x8004f01f",
            format!("The attribute {name} cannot be deleted: it is part of the system, of a key, or the primary name."),
        ));
    }
    definition.columns.retain(|column| column.name != name);
    definition.many_to_one.retain(|relation| relation.column != name);
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(())
}

/// Declares an alternate key. Its index is built at once: `Active`, or `Failed` when values are not unique.
pub(super) fn create_key(store: &mut Store, table: usize, json: &Json) -> Result<String> {
    let schema = schema_of(json)?;
    let columns: Option<Vec<String>> = json
        .get("KeyAttributes")
        .and_then(Json::as_array)
        .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_lowercase)).collect());
    let columns = columns
        .filter(|columns| (1..=16).contains(&columns.len()))
        .ok_or_else(|| Fail::new(400, "0x80060890", "A key has 1 to 16 attributes."))?;
    let mut definition = store.tables[table].table.clone();
    for name in &columns {
        let kind = definition.column(name).map(|index| definition.at(index).kind);
        let fits = matches!(
            kind,
            Some(Type::String | Type::Integer | Type::Decimal | Type::DateTime | Type::Lookup | Type::Customer | Type::Picklist)
        );
        if !fits {
            return Err(Fail::new(400, "0x80060890", format!("The attribute {name} of {} cannot be part of a key.", definition.name)));
        }
    }
    let name = schema.to_lowercase();
    if definition.keys.len() >= 10 || definition.keys.iter().any(|key| key.name.eq_ignore_ascii_case(&name)) {
        return Err(Fail::new(400, "0x80060890", format!("A key of the name {schema} exists, or there are ten keys already.")));
    }
    definition.keys.push(Key { name: schema, columns, status: KeyStatus::Active, indexes: Vec::new() });
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(name)
}

/// Takes a key away.
pub(super) fn delete_key(store: &mut Store, table: usize, at: usize) -> Result<()> {
    let mut definition = store.tables[table].table.clone();
    definition.keys.remove(at);
    finish(&mut definition)?;
    store.redefine(table, definition);
    Ok(())
}

/// Makes a one-to-many relationship with its lookup. Returns the relationship's schema name.
pub(super) fn create_relationship(store: &mut Store, json: &Json) -> Result<String> {
    let kind = text(json, "@odata.type").unwrap_or_default();
    if kind.ends_with("ManyToManyRelationshipMetadata") {
        return Err(Fail::not_emulated("many-to-many relationships"));
    }
    let schema = schema_of(json)?;
    let known = |name: &str| -> Result<usize> {
        let logical = text(json, name).unwrap_or_default();
        store.by_name(logical).ok_or_else(|| Fail::new(400, "0x80040217", format!("Could not find an entity with name {logical}.")))
    };
    let (from, to) = (known("ReferencingEntity")?, known("ReferencedEntity")?);
    let lookup = json.get("Lookup").ok_or_else(|| Fail::payload("RelationshipDefinitions", "the relationship needs its 'Lookup'"))?;
    let mut column = column_from(lookup)?;
    let target = &store.tables[to].table;
    column.targets = vec![target.name.clone()];
    let (name, key) = (target.name.clone(), target.id.clone());
    let mut definition = store.tables[from].table.clone();
    if definition.column(&column.name).is_some() || definition.many_to_one.iter().any(|relation| relation.schema == schema) {
        return Err(Fail::new(400, "0x80044153", format!("The relationship {schema} or its lookup {} exists already.", column.name)));
    }
    let suffix = if definition.activity { format!("_{}", definition.name) } else { String::new() };
    definition.many_to_one.push(Relation {
        schema: schema.clone(),
        column: column.name.clone(),
        table: name,
        key,
        nav: text(json, "ReferencingEntityNavigationPropertyName").map_or_else(|| format!("{}{suffix}", column.schema), str::to_owned),
        back: text(json, "ReferencedEntityNavigationPropertyName").map(str::to_owned),
    });
    definition.columns.push(column);
    finish(&mut definition)?;
    store.redefine(from, definition);
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, new: NewTable, own: &str) -> Table {
        build(name, new, columns(own).unwrap(), Vec::new(), 10_001).unwrap()
    }

    fn navs(table: &Table, column: &str) -> Vec<String> {
        table.many_to_one.iter().filter(|relation| relation.column == column).map(|relation| relation.nav.clone()).collect()
    }

    #[test]
    fn navigation_properties_are_named_by_schema_name_target_and_activity() {
        let lookups = r#"[{"name": "new_sponsorid", "schema": "new_SponsorId", "type": "Lookup", "targets": ["contact"]},
            {"name": "new_payerid", "schema": "new_PayerId", "type": "Customer"}]"#;
        let plain = table("new_membership", NewTable { schema: "new_Membership".into(), ..NewTable::default() }, lookups);
        assert_eq!((plain.set.as_str(), plain.id.as_str(), plain.title.as_str()), ("new_memberships", "new_membershipid", "new_name"));
        assert_eq!(navs(&plain, "new_sponsorid"), ["new_SponsorId"]);
        assert_eq!(navs(&plain, "new_payerid"), ["new_PayerId_account", "new_PayerId_contact"]);
        assert_eq!(navs(&plain, "ownerid"), ["ownerid"]);
        let activity = table("new_mailing", NewTable { schema: "new_Mailing".into(), activity: true, ..NewTable::default() }, lookups);
        assert_eq!((activity.id.as_str(), activity.title.as_str()), ("activityid", "subject"));
        assert_eq!(
            navs(&activity, "regardingobjectid"),
            ["regardingobjectid_account_new_mailing", "regardingobjectid_contact_new_mailing"]
        );
        assert_eq!(navs(&activity, "new_sponsorid"), ["new_SponsorId_new_mailing"]);
    }

    #[test]
    fn sets_are_plurals() {
        assert_eq!(
            ["new_box", "new_city", "new_day", "sample_example"].map(plural),
            ["new_boxes", "new_cities", "new_days", "sample_examples"]
        );
    }

    #[test]
    fn a_custom_table_needs_a_prefix_and_its_own_name() {
        let build =
            |name: &str, schema: &str| build(name, NewTable { schema: schema.into(), ..NewTable::default() }, Vec::new(), Vec::new(), 1);
        assert!(build("membership", "Membership").unwrap_err().contains("prefix"));
        assert!(build("new_a", "new_B").unwrap_err().contains("lower case"));
    }
}
