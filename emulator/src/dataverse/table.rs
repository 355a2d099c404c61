//! What the emulated organization knows of its tables: columns, option sets, lookups, alternate keys.
//!
//! The descriptions are data files beside this module, in a format of the emulator's own, made from the exported metadata of a
//! live organization's contact table. Flags of a column: `c` valid for create, `u` for update, `r` for read, `o` a property of the
//! Web API, `l` logical (stored elsewhere), `x` custom, `s` secured, `h` secured and hidden from the application users.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Column types, by the names metadata gives them; multi-select and image appear there as `Virtual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Type {
    String,
    Memo,
    Integer,
    BigInt,
    Decimal,
    Money,
    Double,
    Boolean,
    Picklist,
    State,
    Status,
    MultiSelect,
    DateTime,
    Uniqueidentifier,
    Lookup,
    Customer,
    Owner,
    EntityName,
    Image,
    File,
    Virtual,
}

impl Type {
    pub(super) fn is_lookup(self) -> bool {
        matches!(self, Type::Lookup | Type::Customer | Type::Owner)
    }
}

/// One option: value, label, and for a state its default status, for a status its state.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "RawChoice", into = "RawChoice")]
pub(crate) struct Choice {
    pub(super) value: i64,
    pub(super) label: Option<String>,
    pub(super) other: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum RawChoice {
    Plain(i64, Option<String>),
    Paired(i64, Option<String>, i64),
}

impl From<Choice> for RawChoice {
    fn from(choice: Choice) -> RawChoice {
        match choice.other {
            Some(other) => RawChoice::Paired(choice.value, choice.label, other),
            None => RawChoice::Plain(choice.value, choice.label),
        }
    }
}

impl From<RawChoice> for Choice {
    fn from(raw: RawChoice) -> Choice {
        match raw {
            RawChoice::Plain(value, label) => Choice { value, label, other: None },
            RawChoice::Paired(value, label, other) => Choice { value, label, other: Some(other) },
        }
    }
}

/// Where a value comes from that is not stored in the row's cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Derived {
    Stored,
    Id,
    Version,
    CreatedOn,
    ModifiedOn,
    CreatedBy,
    ModifiedBy,
    Owner,
    OwningUser,
    BusinessUnit,
    Currency,
    ExchangeRate,
    FullName {
        first: u16,
        last: u16,
    },
    /// The columns of an address, in the order they are laid out.
    Composite(Vec<u16>),
    /// The value in base currency of this money column.
    Base(u16),
}

/// A column.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(super) name: String,
    #[serde(default)]
    pub(super) schema: String,
    #[serde(rename = "type")]
    pub(super) kind: Type,
    #[serde(default)]
    pub(super) label: Option<String>,
    #[serde(default = "custom_flags")]
    pub(super) flags: String,
    #[serde(default)]
    pub(super) required: Option<String>,
    #[serde(default)]
    pub(super) of: Option<String>,
    #[serde(default)]
    pub(super) length: Option<usize>,
    #[serde(default)]
    pub(super) min: Option<f64>,
    #[serde(default)]
    pub(super) max: Option<f64>,
    #[serde(default)]
    pub(super) precision: Option<u32>,
    #[serde(default)]
    pub(super) format: Option<String>,
    #[serde(default)]
    pub(super) behavior: Option<String>,
    #[serde(default)]
    pub(super) targets: Vec<String>,
    #[serde(default)]
    pub(super) optionset: Option<String>,
    #[serde(default)]
    pub(super) global: bool,
    #[serde(default)]
    pub(super) options: Vec<Choice>,
    #[serde(default)]
    pub(super) default: Option<i64>,
    #[serde(skip, default = "stored")]
    pub(super) derived: Derived,
    /// The property's name on the wire: `_x_value` for a lookup.
    #[serde(skip)]
    pub(super) property: String,
}

fn yes() -> bool {
    true
}

fn stored() -> Derived {
    Derived::Stored
}

fn custom_flags() -> String {
    "curox".to_owned()
}

impl Column {
    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    pub(super) fn is_readable(&self) -> bool {
        self.has('r') && self.has('o') && !matches!(self.kind, Type::Virtual | Type::EntityName | Type::File)
    }

    /// The value of a new row that does not set it: a default, or the active state's status.
    pub(super) fn initial(&self) -> Option<i64> {
        let status = || self.options.iter().find(|choice| self.kind == Type::Status && choice.other == Some(0)).map(|choice| choice.value);
        self.default.or_else(status)
    }

    pub(super) fn is_date_only(&self) -> bool {
        self.behavior.as_deref() == Some("DateOnly")
    }

    pub(super) fn choice(&self, value: i64) -> Option<&Choice> {
        self.options.iter().find(|choice| choice.value == value)
    }
}

/// A many-to-one relationship: the navigation property of a lookup for one target.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relation {
    pub(super) schema: String,
    pub(super) column: String,
    pub(super) table: String,
    pub(super) key: String,
    pub(super) nav: String,
    /// The collection on the other table; named as the relationship when absent.
    #[serde(default)]
    pub(super) back: Option<String>,
}

/// An alternate key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    #[serde(default)]
    pub(super) status: KeyStatus,
    #[serde(skip)]
    pub(super) indexes: Vec<u16>,
}

/// A table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) set: String,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) label: String,
    pub(super) labels: String,
    pub(super) code: i64,
    pub(super) tracking: bool,
    /// Whether `CreateMultiple` and its kin take this table; some standard tables lack them. [D]
    #[serde(default = "yes")]
    pub(super) bulk: bool,
    /// The most rows that one of those messages takes; a request with more is too long.
    #[serde(default)]
    pub(super) max_targets: Option<usize>,
    /// What happens to a state that is given when a row is created.
    #[serde(default)]
    pub(super) state_on_create: StateOnCreate,
    /// Whether clients may write its rows.
    #[serde(default)]
    pub(super) read_only: bool,
    #[serde(default)]
    pub(super) activity: bool,
    #[serde(default)]
    pub(super) custom: bool,
    /// A deleted table keeps its place, because cells refer to tables by number; no client sees it.
    #[serde(default)]
    pub(super) dropped: bool,
    pub(super) columns: Vec<Column>,
    pub(super) many_to_one: Vec<Relation>,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    #[serde(skip)]
    pub(super) by_name: HashMap<String, u16>,
    #[serde(skip)]
    pub(super) by_property: HashMap<String, u16>,
}

/// A change of a table's settings; what is absent stays. The body of the admin interface's `table`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableChange {
    pub(super) table: String,
    #[serde(default)]
    pub(super) tracking: Option<bool>,
    #[serde(default)]
    pub(super) bulk: Option<bool>,
    /// 0 lifts the limit.
    #[serde(default)]
    pub(super) max_targets: Option<usize>,
    #[serde(default)]
    pub(super) state_on_create: Option<StateOnCreate>,
    /// Index states of alternate keys, by the key's name.
    #[serde(default)]
    pub(super) keys: std::collections::BTreeMap<String, KeyStatus>,
}

/// What happens to `statecode` in a create. The definition tells whether it is valid for create, which differs by table [C: issue 1276 of
/// verbb/formie: it is for `account`, and not for `contact`]; what the service does with it then is not documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StateOnCreate {
    /// It is not valid for create. [D]
    #[default]
    Refused,
    /// It is ignored, so a status reason of another state than the first is refused. [C: question 65294197 of Stack Overflow]
    Ignored,
    /// State and status reason are ignored. [C: issue 36 of DynamicsValue/fake-xrm-easy, issue 18 of AleksandrRogov/DynamicsWebApi]
    Dropped,
    /// The row has them. [K]
    Kept,
}

/// `EntityKeyIndexStatus`: only an active key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
pub(crate) enum KeyStatus {
    Pending,
    InProgress,
    #[default]
    Active,
    Failed,
}

impl Table {
    /// A table of nothing, to begin from.
    pub(super) fn empty() -> Table {
        Table {
            name: String::new(),
            schema: String::new(),
            set: String::new(),
            id: String::new(),
            title: String::new(),
            label: String::new(),
            labels: String::new(),
            code: 0,
            tracking: false,
            bulk: true,
            max_targets: None,
            state_on_create: StateOnCreate::default(),
            read_only: false,
            activity: false,
            custom: false,
            dropped: false,
            columns: Vec::new(),
            many_to_one: Vec::new(),
            keys: Vec::new(),
            by_name: HashMap::new(),
            by_property: HashMap::new(),
        }
    }

    /// Column by logical name.
    pub(super) fn column(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// Readable column by its property name on the wire.
    pub(super) fn property(&self, name: &str) -> Option<u16> {
        self.by_property.get(name).copied()
    }

    pub(super) fn at(&self, column: u16) -> &Column {
        &self.columns[usize::from(column)]
    }

    /// Changes a column's metadata.
    pub(super) fn alter(&mut self, change: &crate::admin::AlterColumn) -> Result<(), String> {
        let column = self.columns.iter_mut().find(|c| c.name == change.column).ok_or_else(|| format!("no column `{}`", change.column))?;
        if let Some(length) = change.length {
            column.length = Some(length);
        }
        if let Some(option) = change.without_option {
            column.options.retain(|o| o.value != option);
        }
        if let Some(secured) = change.secured {
            use crate::admin::Secured;
            column.flags.retain(|f| !"sh".contains(f));
            column.flags.push_str(match secured {
                Secured::Off => "",
                Secured::Readable => "s",
                Secured::Hidden => "sh",
            });
        }
        if change.remove {
            column.flags.retain(|f| !"rcuo".contains(f));
        }
        Ok(())
    }

    /// Adds a seed's columns and keys. A column without a prefix is one of the service's own, in a table of the service.
    pub(crate) fn extend(&mut self, columns: Vec<Column>, keys: Vec<Key>) -> Result<(), String> {
        for mut column in columns {
            if self.columns.iter().any(|other| other.name == column.name) {
                return Err(format!("table `{}` has a column `{}` already", self.name, column.name));
            }
            // A standard table is brought in outline, so a seed can add the columns that the service's own has.
            let standard = !column.name.contains('_') && !self.name.contains('_');
            if standard {
                column.flags.retain(|flag| flag != 'x');
            }
            if !(standard || column.name.contains('_')) || column.name.chars().any(|c| c.is_ascii_uppercase()) {
                return Err(format!(
                    "column `{}`: a custom column is named in lower case with its publisher's prefix, as in `new_{}`",
                    column.name,
                    column.name.to_lowercase()
                ));
            }
            if column.schema.is_empty() {
                column.schema = column.name.clone();
            }
            self.columns.push(column);
        }
        self.keys.extend(keys);
        super::define::relate(self, false);
        self.finish()
    }

    /// Builds the indexes; to be called after every change of the columns.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.columns.sort_by(|a, b| a.name.cmp(&b.name));
        self.by_name = self.columns.iter().enumerate().map(|(i, column)| (column.name.clone(), i as u16)).collect();
        for index in 0..self.columns.len() {
            let derived = self.derivation(&self.columns[index].name);
            let column = &mut self.columns[index];
            column.derived = derived;
            column.property = if column.kind.is_lookup() { format!("_{}_value", column.name) } else { column.name.clone() };
        }
        self.by_property = (self.columns.iter().enumerate())
            .filter(|(_, column)| column.is_readable())
            .map(|(i, column)| (column.property.clone(), i as u16))
            .collect();
        for index in 0..self.keys.len() {
            let columns: Result<Vec<u16>, String> = (self.keys[index].columns.iter())
                .map(|name| self.column(name).ok_or_else(|| format!("key `{}`: no column `{name}`", self.keys[index].name)))
                .collect();
            self.keys[index].indexes = columns?;
        }
        Ok(())
    }

    fn derivation(&self, name: &str) -> Derived {
        if name == self.id {
            return Derived::Id;
        }
        match name {
            "versionnumber" => Derived::Version,
            "createdon" => Derived::CreatedOn,
            "modifiedon" => Derived::ModifiedOn,
            "createdby" => Derived::CreatedBy,
            "modifiedby" => Derived::ModifiedBy,
            "ownerid" => Derived::Owner,
            "owninguser" => Derived::OwningUser,
            "owningbusinessunit" => Derived::BusinessUnit,
            "transactioncurrencyid" => Derived::Currency,
            "exchangerate" => Derived::ExchangeRate,
            "fullname" => match (self.column("firstname"), self.column("lastname")) {
                (Some(first), Some(last)) => Derived::FullName { first, last },
                _ => Derived::Stored,
            },
            _ => {
                if let Some(prefix) = name.strip_suffix("composite") {
                    let parts = ["line1", "line2", "line3", "city", "stateorprovince", "postalcode", "country"];
                    let columns: Vec<u16> = parts.iter().filter_map(|part| self.column(&format!("{prefix}{part}"))).collect();
                    if !columns.is_empty() {
                        return Derived::Composite(columns);
                    }
                }
                if let Some(money) = name.strip_suffix("_base").and_then(|money| self.column(money)) {
                    return Derived::Base(money);
                }
                Derived::Stored
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sets what happens to a state in a create; the definition of the column says whether it may be there.
    pub(crate) fn set_state_on_create(&mut self, state: StateOnCreate) {
        self.state_on_create = state;
        if let Some(column) = self.columns.iter_mut().find(|column| column.name == "statecode") {
            column.flags.retain(|flag| flag != 'c');
            if state != StateOnCreate::Refused {
                column.flags.push('c');
            }
        }
    }

    pub(crate) fn set_max_targets(&mut self, most: usize) {
        self.max_targets = (most > 0).then_some(most);
    }

    pub(crate) fn set_bulk(&mut self, bulk: bool) {
        self.bulk = bulk;
    }

    pub(crate) fn set_tracking(&mut self, tracking: bool) {
        self.tracking = tracking;
    }

    /// The OData type's name.
    pub(super) fn entity(&self) -> String {
        format!("Microsoft.Dynamics.CRM.{}", self.name)
    }
}

/// The tables every organization of the emulator has.
pub(crate) fn standard() -> Result<Vec<Table>, String> {
    let sources = [
        include_str!("contact.json"),
        include_str!("account.json"),
        include_str!("opportunity.json"),
        include_str!("msft_microsoftpartnercentersolution.json"),
        include_str!("systemuser.json"),
        include_str!("transactioncurrency.json"),
        include_str!("sdkmessage.json"),
        include_str!("sdkmessagefilter.json"),
    ];
    sources
        .iter()
        .map(|source| {
            let mut table: Table = serde_json::from_str(source).map_err(|error| format!("embedded table description: {error}"))?;
            table.finish()?;
            Ok(table)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contact_table_is_complete_and_its_lookups_know_their_navigation_properties() {
        let tables = standard().unwrap();
        let contact = &tables[0];
        assert_eq!(contact.columns.len(), 314);
        assert!(contact.property("emailaddress1").is_some());
        assert!(contact.property("_parentcustomerid_value").is_some());
        assert!(contact.property("parentcustomerid").is_none());
        assert!(contact.property("accountidname").is_none(), "a companion column is not a property of the Web API");
        assert!(contact.many_to_one.iter().any(|relation| relation.nav == "parentcustomerid_account" && relation.table == "account"));
    }
}
