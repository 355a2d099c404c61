//! Lists: filtered, ordered, counted, and followed page by page.
//!
//! Source: Campaign Standard API, *Filtering*, *Pagination*, *Sorting*, *Counting*. A list of a table of more than 100,000 records
//! (option `XtkBigTableThreshold`) has no `next` unless `_forcePagination=true` is asked for, and ends silently: so it is
//! always asked for, and a first page that is full and the last is held against the count.

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::record::Key;
use super::{Campaign, Place, extend_query, href, scrub};
use crate::connect::ConnectError;
use crate::json;
use crate::time::{Instant, format_instant_campaign};

/// Records of a page where the caller names no number. The service's own default is 25.
const LINES: u32 = 200;

/// Pages in a row that may be empty though more are to come.
const EMPTY_PAGES: u32 = 1000;

/// A filter with its parameters: `byEmail?email=…`. Filters of an organization's own are defined in Campaign; their parameters are
/// often called `<name>_parameter`.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    name: String,
    parameters: Vec<(String, String)>,
}

/// Shows no value: it may be personal data.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Filter").field("name", &self.name).field("parameters", &names).finish()
    }
}

impl Filter {
    /// A filter by its name in addresses (`byEmail`), without parameters.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), parameters: Vec::new() }
    }

    /// With a parameter.
    #[must_use]
    pub fn with(mut self, parameter: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((parameter.into(), value.into()));
        self
    }

    /// With an instant as parameter, as Campaign writes it: for incremental reads by a filter on `lastModified`, which must be
    /// defined in Campaign: the product has none.
    #[must_use]
    pub fn since(self, parameter: impl Into<String>, instant: Instant) -> Self {
        self.with(parameter, format_instant_campaign(instant))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Which records are wanted, and how.
#[derive(Debug, Clone, Default)]
pub struct Query {
    filters: Vec<Filter>,
    order: Option<String>,
    lines: Option<u32>,
}

impl Query {
    /// All records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that this filter lets through as well.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(filter);
        self
    }

    /// By an attribute that metadata says is sortable.
    #[must_use]
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn order(mut self, attribute: &str, descending: bool) -> Self {
        self.order = Some(format!("{attribute} {}", if descending { "desc" } else { "asc" }));
        self
    }

    /// Number of records per page; 1 at least.
    #[must_use]
    pub fn lines(mut self, lines: u32) -> Self {
        self.lines = Some(lines.max(1));
        self
    }
}

#[derive(Deserialize)]
struct Envelope {
    content: Vec<Box<RawValue>>,
    #[serde(default)]
    next: Option<Value>,
    #[serde(default)]
    count: Option<Value>,
}

/// The pages of a list, one call each. After an error the same page may be asked for again.
pub struct Pages {
    campaign: Campaign,
    next: Option<Url>,
    lines: usize,
    /// The addresses followed, as hashes, so that a circle is seen.
    followed: HashSet<u64>,
    /// Pages in a row that brought nothing.
    empty: u32,
}

/// Shows no address: they hold values of filters and PKeys.
impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("pages", &self.followed.len()).field("more", &self.next.is_some()).finish_non_exhaustive()
    }
}

impl Pages {
    pub(super) fn of(campaign: &Campaign, mut url: Url, lines: Option<u32>) -> Self {
        let lines = lines.unwrap_or(LINES);
        let text = lines.to_string();
        extend_query(&mut url, [("_lineCount", text.as_str()), ("_forcePagination", "true")]);
        Self { campaign: campaign.clone(), next: Some(url), lines: lines as usize, followed: HashSet::new(), empty: 0 }
    }

    /// From a page on whose address an earlier page gave.
    pub(super) fn from(campaign: &Campaign, url: Url, lines: u32) -> Self {
        // It is not the first page: that one alone tells whether the service cut the list off.
        let followed = HashSet::from([hash(&url)]);
        Self { campaign: campaign.clone(), next: Some(url), lines: lines as usize, followed, empty: 0 }
    }

    /// Where the next page is; none after the last one.
    pub(super) fn next_address(&self) -> Option<&Url> {
        self.next.as_ref()
    }

    /// No page at all.
    pub(super) fn none(campaign: &Campaign) -> Self {
        Self { campaign: campaign.clone(), next: None, lines: 0, followed: HashSet::new(), empty: 0 }
    }

    /// The records of the next page, without PKeys and addresses; none after the last one.
    ///
    /// # Errors
    /// [`ConnectError::ForeignLink`] when a page leads elsewhere. [`ConnectError::Protocol`] when the pages form a cycle, or
    /// when the service ends the list though it has more. Others as they come.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        let page = self.raw().await?;
        Ok(page.map(|mut records| {
            records.iter_mut().for_each(scrub);
            records
        }))
    }

    /// The next page as the service gives it.
    pub(super) async fn raw(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        let Some(url) = self.next.clone() else { return Ok(None) };
        let campaign = &self.campaign;
        let page: Envelope = campaign.read(url.clone()).await?;
        let fault = |problem: &str| {
            let request = campaign.request(reqwest::Method::GET, url.clone(), None);
            Err(super::without_pkeys(request.protocol(problem)))
        };
        let next = href(page.next.as_ref()).map(|link| campaign.own(link)).transpose()?;
        if let Some(next) = &next
            && (next == &url || self.followed.contains(&hash(next)))
        {
            return fault("the pages of the list form a cycle: the read was stopped");
        }
        if let Some(next) = &next
            && place_of(next, &campaign.0.root) != place_of(&url, &campaign.0.root)
        {
            return fault("the list leads to another resource: the link was not followed; check that no proxy changes answers");
        }
        self.empty = if page.content.is_empty() { self.empty + 1 } else { 0 };
        if next.is_some() && self.empty >= EMPTY_PAGES {
            return fault("1000 pages of the list in a row brought nothing: the read was stopped");
        }
        if next.is_none() && self.followed.is_empty() && page.content.len() >= self.lines {
            // Either the list happens to end here, or it was cut off.
            if let Some(count) = href(page.count.as_ref()) {
                let count = campaign.counted(count).await?;
                if count > page.content.len() as u64 {
                    return fault(
                        "the service ends the list though it has more records: its option XtkBigTableThreshold asks for pages, and \
                         `_forcePagination` had no effect",
                    );
                }
            }
        }
        self.followed.insert(hash(&url));
        self.next = next;
        Ok(Some(page.content.iter().filter_map(|raw| record(raw)).collect()))
    }

    /// All records that are left, for short lists.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn all(mut self) -> Result<Vec<Value>, ConnectError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// A record of a list; none where it is not an object. What of it cannot be read is left out: one record of a stranger must not keep
/// all others from being read.
fn record(raw: &RawValue) -> Option<Value> {
    let read = json::readable(raw.get());
    match &read {
        Some((_, false)) => {}
        Some((fields, true)) => {
            // Only a key that is an id: others may name a person.
            let id = fields.get("externalId").and_then(Value::as_str).and_then(|key| key.parse::<uuid::Uuid>().ok());
            tracing::warn!(id = id.map(tracing::field::display), "values of a record in Campaign cannot be read; they are left out");
        }
        None => tracing::warn!("a record of a list in Campaign cannot be read; it is left out"),
    }
    read.map(|(fields, _)| Value::Object(fields))
}

/// What an address reads: the resource, and the record within it where it names one. The endpoint may be written in two ways, and
/// filters in any order.
fn place_of(url: &Url, root: &Url) -> (Option<String>, Option<String>) {
    let path = url.path().strip_prefix(root.path()).unwrap_or_default();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).skip(1).map(str::to_owned);
    let resource = segments.next();
    (resource, segments.next().filter(|segment| segment.starts_with('@') || segment.starts_with("%40")))
}

fn hash(url: &Url) -> u64 {
    let mut hasher = DefaultHasher::new();
    url.as_str().hash(&mut hasher);
    hasher.finish()
}

impl Campaign {
    /// The records that a query asks for.
    ///
    /// # Errors
    /// [`ConnectError::Rejected`] when a name in it cannot be used in an address. Those of the question which endpoint has the resource.
    pub async fn list(&self, resource: &str, query: &Query) -> Result<Pages, ConnectError> {
        let url = self.queried(&self.place(resource).await?, &query.filters, query.order.as_deref())?;
        Ok(Pages::of(self, url, query.lines))
    }

    /// How many records a query asks for. Two calls: the address of the count is in a page.
    ///
    /// # Errors
    /// [`ConnectError`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn count(&self, resource: &str, query: &Query) -> Result<u64, ConnectError> {
        let mut url = self.queried(&self.place(resource).await?, &query.filters, None)?;
        extend_query(&mut url, [("_lineCount", "1"), ("_forcePagination", "true")]);
        let page: Envelope = self.read(url.clone()).await?;
        match href(page.count.as_ref()) {
            Some(link) => self.counted(link).await,
            None if page.next.is_none() => Ok(page.content.len() as u64),
            None => {
                let request = self.request(reqwest::Method::GET, url, None);
                Err(super::without_pkeys(request.protocol("the list has no `count`: its records cannot be counted")))
            }
        }
    }

    /// Returns the records of a collection of a record (`subscriptions`), by the address that the record gives for it; empty if there
    /// is no such record.
    ///
    /// # Errors
    /// [`ConnectError`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn collection<'k>(
        &self,
        resource: &str,
        key: impl Into<Key<'k>>,
        name: &str,
        lines: Option<u32>,
    ) -> Result<Option<Pages>, ConnectError> {
        let found = self.linked_address(&self.place(resource).await?, key.into(), name).await?;
        Ok(found.map(|address| match address {
            Some(url) => Pages::of(self, url, lines),
            None => Pages::none(self),
        }))
    }

    /// Up to `lines` records that a filter lets through, as the service gives them.
    pub(super) async fn matching(&self, place: &Place<'_>, filter: &Filter, lines: u32) -> Result<Vec<Map<String, Value>>, ConnectError> {
        let mut url = self.queried(place, std::slice::from_ref(filter), None)?;
        let lines = lines.to_string();
        extend_query(&mut url, [("_lineCount", lines.as_str())]);
        let page: Envelope = self.read(url).await?;
        Ok(page.content.iter().filter_map(|raw| json::readable(raw.get())).map(|(fields, _)| fields).collect())
    }

    fn queried(&self, place: &Place<'_>, filters: &[Filter], order: Option<&str>) -> Result<Url, ConnectError> {
        let path = [&*place.api, place.resource].into_iter().chain(filters.iter().map(|filter| filter.name.as_str()));
        let parameters = filters.iter().flat_map(|filter| filter.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        self.address(path, parameters.chain(order.map(|order| ("_order", order))))
    }

    async fn counted(&self, link: &str) -> Result<u64, ConnectError> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        Ok(self.read::<Count>(self.own(link)?).await?.count)
    }
}
