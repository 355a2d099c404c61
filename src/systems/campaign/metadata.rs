//! What the service says of its resources: attributes, filters, and which resources there are.
//!
//! Source: Campaign Standard API, *Metadata mechanism*, *Filtering*, *Custom resources*.

use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use super::{Campaign, Place, href};
use crate::connect::ConnectError;

/// A resource's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name in addresses: `profile`, `cusTransaction`.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// The table behind it: `nms:recipient`.
    pub schema: String,
    /// Its attributes in the service's order.
    pub attributes: Vec<Attribute>,
}

/// An attribute of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name in records.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What it holds.
    pub kind: AttributeType,
    /// The rule that checks its values or changes them on write (`email`, `smartCase`); none where it does nothing.
    pub data_policy: Option<String>,
    /// The other resource of a link or a collection.
    pub target: Option<String>,
    /// Whether lists can be ordered by it.
    pub sortable: bool,
}

/// What an attribute holds, by metadata's high-level type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeType {
    /// `string`
    Text,
    /// `number`, `integer`, `long`, `float`, `double`
    Number,
    /// `boolean`
    Boolean,
    /// `date`, which instants are listed as, too
    Date,
    /// `datetime`
    Instant,
    /// `enumeration`: written by the names of its values
    Enumeration(Vec<String>),
    /// `link`: one other record
    Link,
    /// `collection`: other records
    Collection,
    /// `item`: nested attributes
    Item,
    /// A type that no document names.
    Other(String),
}

/// A filter of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterType {
    /// As in addresses: `byEmail`.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// Its parameters, from the example of its use.
    pub parameters: Vec<String>,
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn attribute(key: &str, entry: &Value) -> Attribute {
    let name = text(entry, "apiName").unwrap_or_else(|| key.to_owned());
    let kind = match entry.get("type").and_then(Value::as_str).unwrap_or("string") {
        "string" | "memo" | "html" | "CDATA" => AttributeType::Text,
        "number" | "integer" | "byte" | "short" | "long" | "int64" | "float" | "double" => AttributeType::Number,
        "boolean" => AttributeType::Boolean,
        "date" => AttributeType::Date,
        "datetime" | "datetimetz" | "datetimenotz" => AttributeType::Instant,
        "enumeration" => AttributeType::Enumeration(value_names(entry.get("values"))),
        "link" => AttributeType::Link,
        "collection" => AttributeType::Collection,
        "item" => AttributeType::Item,
        other => AttributeType::Other(other.to_owned()),
    };
    Attribute {
        label: text(entry, "label").unwrap_or_else(|| name.clone()),
        kind,
        data_policy: text(entry, "dataPolicy").filter(|policy| policy != "none"),
        target: text(entry, "resTarget"),
        sortable: entry.get("sortable").and_then(Value::as_bool).unwrap_or(false),
        name,
    }
}

/// The values of an enumeration: a list of objects, or an object by name.
fn value_names(values: Option<&Value>) -> Vec<String> {
    match values {
        Some(Value::Array(list)) => list.iter().filter_map(|value| text(value, "name")).collect(),
        Some(Value::Object(named)) => named.keys().cloned().collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => Vec::new(),
    }
}

/// The parameters in `…/byText?text=$value&x=$value`.
fn parameters(data: &str) -> Vec<String> {
    let query = data.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|part| part.split('=').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl Campaign {
    /// The description of a resource as the service gives it, but for the addresses of its filters.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] where the endpoint has no such resource. Others as they come.
    pub async fn resource_metadata(&self, resource: &str) -> Result<Value, ConnectError> {
        let mut document = self.description(&self.place(resource).await?).await?;
        document.remove("filters");
        Ok(Value::Object(document))
    }

    /// The description of a resource.
    ///
    /// # Errors
    /// As [`Self::resource_metadata`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn describe(&self, resource: &str) -> Result<ResourceType, ConnectError> {
        let place = self.place(resource).await?;
        let document = Value::Object(self.description(&place).await?);
        let content = document.get("content").and_then(Value::as_object);
        let name = text(&document, "name").unwrap_or_else(|| place.resource.to_owned());
        Ok(ResourceType {
            label: text(&document, "label").unwrap_or_else(|| name.clone()),
            schema: text(&document, "schema").unwrap_or_default(),
            attributes: content.into_iter().flatten().map(|(key, entry)| attribute(key, entry)).collect(),
            name,
        })
    }

    /// The filters of a resource.
    ///
    /// # Errors
    /// As [`Self::resource_metadata`].
    pub async fn filters(&self, resource: &str) -> Result<Vec<FilterType>, ConnectError> {
        let document = self.description(&self.place(resource).await?).await?;
        let Some(link) = href(document.get("filters")) else { return Ok(Vec::new()) };
        let mut answer: Map<String, Value> = self.read(self.own(link)?).await?;
        // The documents show the filters by name at the top; a list's envelope is tolerated.
        if let Some(Value::Object(content)) = answer.get_mut("content").map(Value::take) {
            answer = content;
        }
        let filters = answer.iter().filter_map(|(name, entry)| {
            let data = entry.get("data")?.as_str()?;
            Some(FilterType {
                name: name.clone(),
                label: text(entry, "label").unwrap_or_else(|| name.clone()),
                parameters: parameters(data),
            })
        });
        Ok(filters.collect())
    }

    /// Whether a resource has a filter of this name with this one parameter. The service is asked once while the client lives;
    /// where that failed, it counts as not having it, and is asked again where `again` is set.
    pub async fn has_filter(&self, resource: &str, filter: &str, parameter: &str, again: bool) -> bool {
        let kept = || self.0.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(resource).cloned();
        let filters = match known {
            Some(Some(filters)) => Some(filters),
            Some(None) if !again => None,
            Some(None) | None => {
                let asked = self.filters(resource).await;
                if let Err(error) = &asked {
                    tracing::debug!(resource, %error, "Campaign did not return the filters of a resource");
                }
                let filters: Option<Arc<[FilterType]>> = asked.ok().map(Into::into);
                kept().insert(resource.to_owned(), filters.clone());
                filters
            }
        };
        filters.is_some_and(|filters| filters.iter().any(|f| f.name == filter && f.parameters == [parameter]))
    }

    /// The filters of a resource. The service is asked once while the client lives, and again after a question that failed.
    ///
    /// # Errors
    /// As [`Self::resource_metadata`].
    pub(super) async fn known_filters(&self, resource: &str) -> Result<Arc<[FilterType]>, ConnectError> {
        let kept = || self.0.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(filters)) = kept().get(resource) {
            return Ok(filters.clone());
        }
        let filters: Arc<[FilterType]> = self.filters(resource).await?.into();
        kept().insert(resource.to_owned(), Some(filters.clone()));
        Ok(filters)
    }

    /// The names of the resources at an endpoint: `profileAndServicesExt`, `customResources`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn resources(&self, api: &str) -> Result<Vec<String>, ConnectError> {
        let answer: Map<String, Value> = self.read(self.address([api], [])?).await?;
        Ok(answer.into_iter().filter(|(_, entry)| entry.is_object()).map(|(name, _)| name).collect())
    }

    async fn description(&self, place: &Place<'_>) -> Result<Map<String, Value>, ConnectError> {
        let url = self.address([&*place.api, "resourceType", place.resource], [])?;
        self.read(url).await.map_err(|error| match error {
            // Said of addresses that lead nowhere, and at times by a gateway in trouble: here the former is the likelier, since the
            // name may be wrong, and nothing is lost by it. [D]
            ConnectError::Unavailable { call } if call.message.as_deref().is_some_and(|m| m.contains("Check your URI")) => {
                ConnectError::NotFound { call }
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filters_parameters_are_read_from_its_example() {
        assert_eq!(parameters("https://h/campaign/profileAndServices/profile/birthday?type=$value&day=$value"), ["type", "day"]);
        assert_eq!(parameters("/profileAndServices/profile/byText?text=$value"), ["text"]);
        assert!(parameters("/profileAndServices/profile/byAll").is_empty());
    }

    #[test]
    fn an_attribute_is_read_with_what_documents_show_and_without_what_is_missing() {
        let link = attribute("buyer", &json!({"apiName": "buyer", "type": "link", "resTarget": "profile", "dataPolicy": "none"}));
        assert_eq!((link.kind, link.target.as_deref(), link.data_policy), (AttributeType::Link, Some("profile"), None));
        let choice = attribute("gender", &json!({"type": "enumeration", "values": [{"name": "unknown", "value": 0}, {"name": "male"}]}));
        assert_eq!(choice.kind, AttributeType::Enumeration(vec!["unknown".to_owned(), "male".to_owned()]));
        let named = attribute("x", &json!({"type": "enumeration", "values": {"a": {"label": "A"}}}));
        assert_eq!(named.kind, AttributeType::Enumeration(vec!["a".to_owned()]));
        assert_eq!(attribute("odd", &json!({"type": "geometry"})).kind, AttributeType::Other("geometry".to_owned()));
        assert_eq!(attribute("bare", &json!({})).label, "bare");
    }
}
