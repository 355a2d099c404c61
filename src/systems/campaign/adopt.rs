//! Records that have no key of ours yet: found by an attribute, and given a key.
//!
//! Source: Campaign Standard API, *Filtering*: a profile is found by `byEmail?email=…`; other filters are defined in Campaign, and the
//! documents' examples call the parameter of such a filter `<name>_parameter`. *Updating profiles*: a PATCH to the PKey changes
//! attributes. Assumed, since the documents do not say it: that the filter for the attribute `mobilePhone` is called `byMobilePhone`, that
//! an identification key which is empty can be set by a PATCH (one that has a value cannot be changed, which is documented), and that a
//! key which another record has is refused there as it is in a POST. [K]

use reqwest::Method;
use serde_json::{Map, Value};

use super::record::{documented, is_another, is_identified, shown};
use super::{API, Campaign, Filter, Key, Place};
use crate::connect::ConnectError;
use crate::systems::target::{Match, Matches, Payload, RecordKey, Search, Written};

/// The filter that the product has itself, and its parameter.
const BY_EMAIL: (&str, &str, &str) = ("profile", "byEmail", "email");

impl Campaign {
    /// Finds records by an attribute, of which the resource has a filter.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if there is no such filter. [`ConnectError::Protocol`] if the records do not show the attribute or the key.
    pub async fn search(&self, search: Search<'_>) -> Result<Matches, ConnectError> {
        let resource = search.table.collection;
        let place = self.place(resource).await?;
        let filter = self.filter_by(resource, &place, search.by).await?.with_value(search.value.trim());
        // One more than asked for tells whether there are more.
        let lines = u32::try_from(search.most.saturating_add(1)).unwrap_or(u32::MAX);
        let records = self.matching(&place, &filter, lines).await?;
        let more = records.len() > search.most;
        let mut found = Vec::with_capacity(records.len().min(search.most));
        for record in records.into_iter().take(search.most) {
            found.extend(self.found(&place, &search, &record)?);
        }
        Ok(Matches { records: found, more })
    }

    /// A record of a search; `None` if it has another value than was searched for.
    fn found(&self, place: &Place<'_>, search: &Search<'_>, record: &Map<String, Value>) -> Result<Option<Match>, ConnectError> {
        // Nothing may be taken to have no key only because the answer does not show it.
        let missing = |what: &str| {
            ConnectError::config(
                format!("{API}: a search of `{}` returned a record without its {what}", place.resource),
                "check that the technical account may read this attribute, or remove the `adopt` line",
            )
        };
        let value = record.get(search.by).ok_or_else(|| missing(&format!("attribute `{}`", search.by)))?;
        if !is_identified(Some(value), search.value) {
            return Ok(None);
        }
        let key = record.get(search.key).ok_or_else(|| missing(&format!("key `{}`", search.key)))?;
        let key = shown(key).filter(|key| !key.trim().is_empty());
        let address = record.get("href").and_then(Value::as_str).ok_or_else(|| missing("address"))?;
        self.own(address)?;
        Ok(Some(Match { key, address: address.to_owned() }))
    }

    /// Looks for the filter that [`Self::search`] needs; returns its name.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if there is no such filter.
    pub async fn look_filter(&self, resource: &str, by: &str) -> Result<String, ConnectError> {
        let place = self.place(resource).await?;
        Ok(self.filter_by(resource, &place, by).await?.name)
    }

    /// The filter that finds records by an attribute.
    async fn filter_by(&self, resource: &str, place: &Place<'_>, by: &str) -> Result<FilterBy, ConnectError> {
        let (profile, by_email, email) = BY_EMAIL;
        if (place.resource, by) == (profile, email) {
            return Ok(FilterBy { name: by_email.to_owned(), parameter: email.to_owned() });
        }
        let mut letters = by.chars();
        let name: String = std::iter::once("by".to_owned())
            .chain(letters.next().map(|first| first.to_uppercase().collect()))
            .chain([letters.collect()])
            .collect();
        let filters = self.known_filters(resource).await?;
        for parameter in [by.to_owned(), format!("{by}_parameter")] {
            if filters.iter().any(|filter| filter.name == name && filter.parameters == [parameter.as_str()]) {
                return Ok(FilterBy { name, parameter });
            }
        }
        Err(ConnectError::config(
            format!("{API}: `{resource}` has no filter `{name}` with the one parameter `{by}_parameter`, so `adopt by {by}` cannot search"),
            format!(
                "extend the resource in Campaign by a filter `{name}` that compares `{by}` with a parameter, or remove `{by}` from the \
                 `adopt` line"
            ),
        ))
    }

    /// Changes a record that [`Self::search`] has found; `body` has the key of `record`. An answer that names another record is not
    /// believed.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn adopt(&self, found: &Match, record: RecordKey<'_>, body: Payload) -> Result<Written, ConnectError> {
        let key = Key::from(record);
        let url = self.own(&found.address)?;
        let own = |answer: &[u8]| documented(answer, Some(record.attribute)).is_some_and(|told| !is_another(&told, key));
        self.write(self.request(Method::PATCH, url, Some(body.0)), key, own).await
    }
}

/// A filter and its parameter.
struct FilterBy {
    name: String,
    parameter: String,
}

impl FilterBy {
    fn with_value(self, value: &str) -> Filter {
        Filter::new(self.name).with(self.parameter, value)
    }
}
