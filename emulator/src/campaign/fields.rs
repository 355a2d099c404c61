//! The attributes of resources, standard and custom, and the values they hold.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::time::{format_instant_campaign, parse_date, parse_instant};

/// Attribute types as the resource's metadata names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    String,
    Integer,
    Number,
    Boolean,
    Date,
    Datetime,
    Enumeration,
    Link,
    Collection,
    Item,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Datetime => "datetime",
            Kind::Enumeration => "enumeration",
            Kind::Link => "link",
            Kind::Collection => "collection",
            Kind::Item => "item",
        }
    }
}

/// How many records a link must lead to (Campaign Standard: *Defining links with other resources*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Cardinality {
    /// The link may be empty.
    #[default]
    #[serde(rename = "0..1")]
    Optional,
    /// A record whose link leads nowhere is hidden. [D, rules of the Dynamics integration]
    #[serde(rename = "1")]
    One,
}

/// What happens to a link to a record that is not there. Not documented for the REST API. [K]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unknown {
    /// The write is refused.
    Refuse,
    /// The write is accepted; the link leads nowhere until a record of that key is made.
    Accept,
}

/// One attribute.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Field {
    pub(super) name: String,
    #[serde(default)]
    pub(super) label: String,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// Characters.
    #[serde(default)]
    pub(super) length: Option<usize>,
    /// The resource that a link or a collection leads to.
    #[serde(default)]
    pub(super) target: Option<String>,
    /// Of a collection: the link by which the records of `target` lead back here.
    #[serde(default)]
    pub(super) via: Option<String>,
    #[serde(default)]
    pub(super) cardinality: Cardinality,
    /// By default refused for `0..1` and accepted for `1`.
    #[serde(default)]
    pub(super) unknown: Option<Unknown>,
    /// Label, name in the API, stored value.
    #[serde(default)]
    pub(super) values: Vec<(String, String, Json)>,
    #[serde(default)]
    pub(super) policy: Option<String>,
    #[serde(default)]
    pub(super) readonly: bool,
    #[serde(default)]
    pub(super) sortable: bool,
    #[serde(skip)]
    pub(super) custom: bool,
    /// The item this attribute is a part of.
    #[serde(skip)]
    pub(super) within: Option<&'static str>,
}

/// The parts of `location`. The documents name the item and not its parts; the names are in answers that others published [C],
/// the lengths are assumed [K].
const LOCATION: [(&str, usize); 8] = [
    ("address1", 80),
    ("address2", 80),
    ("address3", 80),
    ("address4", 80),
    ("city", 50),
    ("zipCode", 15),
    ("stateCode", 2),
    ("countryCode", 2),
];

/// A stored value; an attribute without one has its type's empty value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Cell {
    Text(Box<str>),
    Int(i64),
    Number(Decimal),
    Bool(bool),
    Day(NaiveDate),
    /// Milliseconds since 1970.
    Time(i64),
    /// The index of an enumeration's value.
    Choice(u16),
    Link(To),
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum To {
    Row(u64),
    /// A key of which there is no record yet.
    Key(Box<str>),
}

impl Cell {
    /// The value as a part of an identification key; links are not part of one.
    pub(super) fn key_text(&self, field: &Field) -> String {
        match self {
            Cell::Text(text) => text.to_string(),
            Cell::Int(value) => value.to_string(),
            Cell::Number(value) => value.to_string(),
            Cell::Bool(value) => value.to_string(),
            Cell::Day(day) => day.to_string(),
            Cell::Time(millis) => chrono::DateTime::from_timestamp_millis(*millis).map(format_instant_campaign).unwrap_or_default(),
            Cell::Choice(index) => field.values.get(usize::from(*index)).map_or(String::new(), |(_, name, _)| name.clone()),
            Cell::Link(_) => String::new(),
        }
    }
}

/// What happens to values on their way in, where the documents leave it open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policies {
    pub(super) lower_email: bool,
    pub(super) smart_case: bool,
    pub(super) strip_phone: bool,
    pub(super) cut_overlong: bool,
}

/// The description of the resource.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(super) list: Vec<Field>,
    by_name: HashMap<String, u16>,
}

/// A refused value, and why.
pub(super) type Refused = String;

impl Fields {
    /// The attributes of `profile`: the documented ones and those of an extension.
    pub(crate) fn profile(custom: Vec<Field>) -> Result<Fields, String> {
        let mut list: Vec<Field> =
            serde_json::from_str(include_str!("profile.json")).map_err(|error| format!("embedded profile description: {error}"))?;
        for mut field in custom {
            if list.iter().any(|other| other.name == field.name) {
                return Err(format!("the profile has an attribute `{}` already", field.name));
            }
            // `orgUnit` is the one extension that comes with a name of the vendor's own. [D]
            if !field.name.starts_with("cus") && field.name != "orgUnit" {
                return Err(format!("attribute `{}`: the name of a custom attribute begins with `cus`", field.name));
            }
            if field.kind == Kind::Item {
                return Err(format!("attribute `{}`: a custom attribute is a plain value, a link or a collection", field.name));
            }
            field.custom = true;
            list.push(field);
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        for (name, length) in LOCATION {
            list.push(Field { length: Some(length), within: Some("location"), ..Field::plain(name, Kind::String) });
        }
        Fields::index(list)
    }

    /// The attributes of a resource of an organization's own, and those that every resource has.
    /// `own`: the resource is an organization's own, not the product's.
    pub(crate) fn custom(given: Vec<Field>, own: bool) -> Result<Fields, String> {
        let mut list = vec![
            Field { readonly: true, ..Field::plain("PKey", Kind::String) },
            Field { readonly: true, sortable: true, ..Field::plain("created", Kind::Date) },
            Field { readonly: true, sortable: true, ..Field::plain("lastModified", Kind::Date) },
            Field { readonly: true, ..Field::plain("title", Kind::String) },
        ];
        for mut field in given {
            if list.iter().any(|other| other.name == field.name) {
                return Err(format!("the attribute `{}` is there already", field.name));
            }
            if field.kind == Kind::Item {
                return Err(format!("attribute `{}`: an attribute is a plain value, a link or a collection", field.name));
            }
            field.custom = own;
            list.push(field);
        }
        Fields::index(list)
    }

    fn index(mut list: Vec<Field>) -> Result<Fields, String> {
        for field in &mut list {
            if field.label.is_empty() {
                field.label.clone_from(&field.name);
            }
            if matches!(field.kind, Kind::Link) && field.target.is_none() {
                return Err(format!("attribute `{}`: a link needs a `target`", field.name));
            }
        }
        let by_name = list.iter().enumerate().map(|(index, field)| (field.path(), index as u16)).collect();
        Ok(Fields { list, by_name })
    }

    pub(super) fn at(&self, index: u16) -> &Field {
        &self.list[usize::from(index)]
    }

    /// By name; parts of an item as `location.city`.
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        self.by_name.get(name).copied()
    }

    /// The attributes of the resource itself.
    pub(super) fn top(&self, custom: bool) -> impl Iterator<Item = (u16, &Field)> {
        self.list
            .iter()
            .enumerate()
            .filter(move |(_, field)| field.within.is_none() && (custom || !field.custom))
            .map(|(i, field)| (i as u16, field))
    }
}

impl Field {
    fn plain(name: &str, kind: Kind) -> Field {
        Field {
            name: name.to_owned(),
            label: String::new(),
            kind,
            length: None,
            target: None,
            via: None,
            cardinality: Cardinality::Optional,
            unknown: None,
            values: Vec::new(),
            policy: None,
            readonly: false,
            sortable: false,
            custom: false,
            within: None,
        }
    }

    /// The name by which [`Fields::find`] finds it: `location.city` for a part of an item.
    pub(super) fn path(&self) -> String {
        self.within.map_or_else(|| self.name.clone(), |item| format!("{item}.{}", self.name))
    }

    /// What happens to a link to a record that is not there.
    pub(super) fn unknown(&self) -> Unknown {
        self.unknown.unwrap_or(match self.cardinality {
            Cardinality::Optional => Unknown::Refuse,
            Cardinality::One => Unknown::Accept,
        })
    }

    /// Reads a value sent by a client; `None` empties the attribute.
    pub(super) fn read(&self, raw: &str, policies: Policies) -> Result<Option<Cell>, Refused> {
        if raw == "null" {
            return Ok(None);
        }
        let mistyped = |wanted: &str| format!("attribute '{}' needs {wanted}, not {raw}", self.name);
        let text = |wanted: &str| serde_json::from_str::<String>(raw).map_err(|_| mistyped(wanted));
        match self.kind {
            Kind::String => {
                let mut text = self.transform(text("a string")?, policies)?;
                if let (Some(length), true) = (self.length, policies.cut_overlong) {
                    text = text.chars().take(length).collect();
                }
                if let Some(length) = self.length
                    && text.chars().count() > length
                {
                    return Err(format!(
                        "the value of attribute '{}' has {} characters, more than the {length} allowed",
                        self.name,
                        text.chars().count()
                    ));
                }
                Ok((!text.is_empty()).then(|| Cell::Text(text.into())))
            }
            Kind::Integer => raw.parse().map(|value| Some(Cell::Int(value))).map_err(|_| mistyped("an integer")),
            Kind::Number => raw
                .parse::<Decimal>()
                .or_else(|_| Decimal::from_scientific(raw))
                .map(|value| Some(Cell::Number(value.normalize())))
                .map_err(|_| mistyped("a number")),
            Kind::Boolean => match raw {
                "true" => Ok(Some(Cell::Bool(true))),
                "false" => Ok(Some(Cell::Bool(false))),
                _ => Err(mistyped("true or false")),
            },
            Kind::Date => {
                let text = text("a date (yyyy-mm-dd)")?;
                if text.is_empty() {
                    return Ok(None);
                }
                parse_date(&text).map(|day| Some(Cell::Day(day))).ok_or_else(|| mistyped("a date (yyyy-mm-dd)"))
            }
            Kind::Datetime => {
                let text = text("an instant (yyyy-mm-dd hh:mm:ss.sssZ)")?;
                if text.is_empty() {
                    return Ok(None);
                }
                let at = parse_instant(&text).ok_or_else(|| mistyped("an instant (yyyy-mm-dd hh:mm:ss.sssZ)"))?;
                Ok(Some(Cell::Time(at.timestamp_millis())))
            }
            Kind::Enumeration => {
                let text = text("the name of a value")?;
                match self.values.iter().position(|(_, name, _)| *name == text) {
                    Some(index) => Ok(Some(Cell::Choice(index as u16))),
                    None => {
                        let names: Vec<&str> = self.values.iter().map(|(_, name, _)| name.as_str()).collect();
                        Err(format!("'{text}' is not a value of attribute '{}': {}", self.name, names.join(", ")))
                    }
                }
            }
            Kind::Link | Kind::Collection | Kind::Item => Err(format!("attribute '{}' cannot be written as a value", self.name)),
        }
    }

    /// The data policy's change of a value on write. That it transforms is documented; how, is assumed. [K]
    fn transform(&self, text: String, policies: Policies) -> Result<String, Refused> {
        match self.policy.as_deref() {
            Some("email") => {
                let trimmed = text.trim();
                if trimmed.is_empty() {
                    return Ok(String::new());
                }
                let valid =
                    trimmed.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
                if !valid || trimmed.contains(char::is_whitespace) {
                    return Err(format!("'{trimmed}' is not an e-mail address (attribute '{}')", self.name));
                }
                Ok(if policies.lower_email { trimmed.to_lowercase() } else { trimmed.to_owned() })
            }
            Some("smartCase") if policies.smart_case => {
                let mut out = String::with_capacity(text.len());
                let mut start = true;
                for c in text.chars() {
                    if start {
                        out.extend(c.to_uppercase())
                    } else {
                        out.extend(c.to_lowercase())
                    }
                    start = !c.is_alphabetic();
                }
                Ok(out)
            }
            Some("phone") if policies.strip_phone => Ok(text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()),
            Some("upperCase") => Ok(text.to_uppercase()),
            Some("lowerCase") => Ok(text.to_lowercase()),
            Some(_) | None => Ok(text),
        }
    }

    /// The value as the API writes it.
    pub(super) fn write(&self, cell: Option<&Cell>) -> Json {
        match cell {
            Some(Cell::Text(text)) => json!(&**text),
            Some(Cell::Int(value)) => json!(value),
            // The digits as they were sent.
            Some(Cell::Number(value)) => serde_json::from_str(&value.to_string()).unwrap_or(Json::Null),
            Some(Cell::Bool(value)) => json!(value),
            Some(Cell::Day(day)) => json!(day.to_string()),
            Some(Cell::Time(millis)) => json!(chrono::DateTime::from_timestamp_millis(*millis).map(format_instant_campaign)),
            Some(Cell::Choice(index)) => self.values.get(usize::from(*index)).map_or(Json::Null, |(_, name, _)| json!(name)),
            Some(Cell::Link(_)) => Json::Null,
            // Empty values: the documents show empty strings, false and zero; a published answer has an empty text for a missing date. [C]
            None => match self.kind {
                Kind::String | Kind::Date | Kind::Datetime => json!(""),
                Kind::Integer | Kind::Number => json!(0),
                Kind::Boolean => json!(false),
                Kind::Enumeration => {
                    (self.values.iter().find(|(_, _, stored)| *stored == json!(0))).map_or(Json::Null, |(_, name, _)| json!(name))
                }
                Kind::Link | Kind::Collection | Kind::Item => Json::Null,
            },
        }
    }
}
