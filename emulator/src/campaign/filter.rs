//! Filters of lists: the two that every instance has for profiles, and those that an instance defines for itself.
//!
//! Source: Campaign Standard API: *Filtering*; *Calling a resource using a composite identification key*. A filter is a piece of
//! the address (`by<Name>`), its parameters are in the query, several filters are joined by "and".

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::fields::{Cell, Field, Kind};
use super::store::{Resource, Row};
use crate::time::{parse_date, parse_instant};

/// A filter definition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// As in the address: `byEmail`, `byidentification_key`.
    pub(super) name: String,
    #[serde(default)]
    pub(super) label: String,
    pub(super) parameters: Vec<Parameter>,
}

/// A parameter of a filter, which is a condition on attributes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameter {
    pub(super) name: String,
    /// One of them must meet the condition.
    pub(super) fields: Vec<String>,
    #[serde(default)]
    pub(super) operator: Operator,
    /// Whether the condition falls away when the parameter is absent, as one with `enabledIf` does. Otherwise that is an error. [K]
    #[serde(default)]
    pub(super) optional: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operator {
    #[default]
    Equal,
    Contains,
    AtLeast,
    AtMost,
}

impl Filter {
    /// The filters of `profile` that come with the product.
    pub(super) fn of_profile() -> Vec<Filter> {
        let one = |name: &str, label: &str, parameter: &str, fields: &[&str], operator| Filter {
            name: name.to_owned(),
            label: label.to_owned(),
            parameters: vec![Parameter {
                name: parameter.to_owned(),
                fields: fields.iter().map(|field| (*field).to_owned()).collect(),
                operator,
                optional: false,
            }],
        };
        vec![
            one("byEmail", "By email", "email", &["email"], Operator::Equal),
            one("byText", "By name or email", "text", &["firstName", "lastName", "email"], Operator::Contains),
        ]
    }

    /// The parameter and the attribute of a filter that compares one attribute with one parameter.
    pub(super) fn equal_to(&self) -> Option<(&str, &str)> {
        match self.parameters.as_slice() {
            [one] if one.operator == Operator::Equal && !one.optional => match one.fields.as_slice() {
                [field] => Some((&one.name, field)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the attributes that the conditions name are there.
    pub(super) fn check(&self, resource: &Resource) -> Result<(), String> {
        for parameter in &self.parameters {
            for name in &parameter.fields {
                let known = resource.fields.find(name).map(|index| resource.fields.at(index).kind);
                if !known.is_some_and(|kind| !matches!(kind, Kind::Link | Kind::Collection | Kind::Item)) {
                    return Err(format!("filter `{}`: `{name}` is not a plain attribute of `{}`", self.name, resource.name));
                }
            }
        }
        Ok(())
    }

    /// The filter's description. What the documents show of it; how the conditions are written there is cut out of them. [D]
    pub(super) fn describe(&self, pkey: &str, data: &str) -> Json {
        let sample: Vec<String> = self.parameters.iter().map(|parameter| format!("{}=$value", parameter.name)).collect();
        let metadata: Map<String, Json> =
            self.parameters.iter().map(|parameter| (parameter.name.clone(), json!({"name": parameter.name, "type": "string"}))).collect();
        json!({
            "PKey": pkey,
            "category": "99_none",
            "data": format!("{data}{}?{}", self.name, sample.join("&")),
            "formType": "none",
            "fragmentName": "",
            "label": if self.label.is_empty() { &self.name } else { &self.label },
            "metadata": metadata,
        })
    }

    /// The conditions of this filter with the values of a query.
    pub(super) fn conditions<'a>(&'a self, resource: &Resource, query: &'a [(String, String)]) -> Result<Vec<Condition<'a>>, String> {
        let mut conditions = Vec::new();
        for parameter in &self.parameters {
            let value = query.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value.as_str());
            let Some(value) = value else {
                if parameter.optional {
                    continue;
                }
                return Err(format!("the filter {} needs the parameter '{}'", self.name, parameter.name));
            };
            let fields: Vec<u16> = parameter.fields.iter().filter_map(|name| resource.fields.find(name)).collect();
            for field in &fields {
                let field = resource.fields.at(*field);
                if !readable(field, value) {
                    return Err(format!("'{value}' is not a value for the parameter '{}' ({})", parameter.name, field.kind.name()));
                }
            }
            conditions.push(Condition { fields, operator: parameter.operator, value });
        }
        Ok(conditions)
    }
}

/// A condition with its value.
pub(super) struct Condition<'a> {
    fields: Vec<u16>,
    operator: Operator,
    value: &'a str,
}

fn readable(field: &Field, value: &str) -> bool {
    match field.kind {
        Kind::Integer | Kind::Number => value.parse::<Decimal>().is_ok(),
        Kind::Boolean => matches!(value, "true" | "false"),
        Kind::Date | Kind::Datetime => parse_instant(value).is_some() || parse_date(value).is_some(),
        Kind::String | Kind::Enumeration => true,
        Kind::Link | Kind::Collection | Kind::Item => false,
    }
}

impl Condition<'_> {
    pub(super) fn holds(&self, resource: &Resource, row: &Row) -> bool {
        self.fields.iter().any(|index| self.field_holds(resource.fields.at(*index), *index, row))
    }

    fn field_holds(&self, field: &Field, index: u16, row: &Row) -> bool {
        let order = match field.kind {
            Kind::Date | Kind::Datetime => {
                let wanted = parse_instant(self.value).or_else(|| parse_date(self.value).map(crate::time::midnight));
                let Some(wanted) = wanted.map(|at| at.timestamp_millis()) else { return false };
                match millis(field, index, row) {
                    Some(found) => found.cmp(&wanted),
                    None => return false,
                }
            }
            Kind::Integer | Kind::Number => {
                let Ok(wanted) = self.value.parse::<Decimal>() else { return false };
                let found = match row.cell(index) {
                    Some(Cell::Int(value)) => Decimal::from(*value),
                    Some(Cell::Number(value)) => *value,
                    _ => Decimal::ZERO,
                };
                found.cmp(&wanted)
            }
            Kind::Boolean => row.cell(index).map_or("false".to_owned(), |cell| cell.key_text(field)).as_str().cmp(self.value),
            Kind::String | Kind::Enumeration => {
                let found = row.cell(index).map(|cell| cell.key_text(field)).unwrap_or_default();
                if self.operator == Operator::Contains {
                    return found.to_lowercase().contains(&self.value.to_lowercase());
                }
                // An address is compared whatever its case; whether other texts are is not documented. [K]
                if field.policy.as_deref() == Some("email") {
                    found.to_lowercase().cmp(&self.value.to_lowercase())
                } else {
                    found.as_str().cmp(self.value)
                }
            }
            Kind::Link | Kind::Collection | Kind::Item => return false,
        };
        match self.operator {
            Operator::Equal | Operator::Contains => order.is_eq(),
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => order.is_le(),
        }
    }
}

fn millis(field: &Field, index: u16, row: &Row) -> Option<i64> {
    match field.name.as_str() {
        "created" => Some(row.created),
        "lastModified" => Some(row.modified),
        _ => match row.cell(index)? {
            Cell::Time(millis) => Some(*millis),
            Cell::Day(day) => Some(crate::time::midnight(*day).timestamp_millis()),
            _ => None,
        },
    }
}
