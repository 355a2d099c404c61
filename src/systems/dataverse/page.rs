//! Pages of a table: the first, those its links lead to, and what a delta link brings.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;
use uuid::Uuid;

use super::{API, Dataverse, bad_json, name, names, query};
use crate::connect::http::origin;
use crate::connect::trail::{Trail, hash_of};
use crate::connect::{Call, ConnectError};
use crate::systems::source::Cursor;

/// The service's page size limit.
const LARGEST_PAGE: u32 = 5000;
/// ExpiredVersionStamp. Also raised when the table's definition has changed.
const EXPIRED: [&str; 2] = ["0x80044352", "-2147204270"];
/// Its message, for answers without the code.
const EXPIRED_WORDS: &str = "version stamp associated with the client has expired";
/// Mark a link on our side only, since a fragment is not sent: the page it came with was asked for with these preferences, and
/// the pages after it must be asked for with the same.
const TRACKED: &str = "track-changes";
const ANNOTATED: &str = "annotations";

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
    /// The first page of a query.
    First(Query),
    /// The page a link leads to.
    Follow {
        /// A [`Page::next`] or [`Page::delta`].
        link: Cursor,
        /// Rows per page, 1 to 5000; the same as for the first page.
        page_size: u32,
    },
}

/// Which rows of a table are wanted, and what of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The entity set: `contacts`.
    pub set: String,
    /// The columns; empty asks for all.
    pub select: Vec<String>,
    /// `$filter`, as OData has it and not encoded; see [`super::text_literal`].
    pub filter: Option<String>,
    /// `$orderby`.
    pub order: Option<String>,
    /// `$expand`, inner options included.
    pub expand: Option<String>,
    /// Rows per page, 1 to 5000.
    pub page_size: u32,
    /// Whether the last page is to bring a delta link. Allows no filter, order and expand (Dataverse, *Use change tracking*).
    pub track_changes: bool,
    /// Whether labels of choices, and tables of lookups, are to come beside the values; see [`super::formatted`].
    pub annotations: bool,
}

impl Query {
    /// All rows of a table, in an order of the service's.
    pub fn of(set: impl Into<String>, select: Vec<String>, page_size: u32) -> Self {
        Self { set: set.into(), select, page_size, ..Self::default() }
    }

    /// With change tracking.
    #[must_use]
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn tracked(self) -> Self {
        Self { track_changes: true, ..self }
    }

    /// With a filter.
    #[must_use]
    pub fn filtered(self, filter: impl Into<String>) -> Self {
        Self { filter: Some(filter.into()), ..self }
    }

    /// Refused here, since the service's refusal costs a call and names no remedy.
    fn checked(&self) -> Result<(), ConnectError> {
        if self.track_changes
            && let Some(option) = [(&self.filter, "$filter"), (&self.order, "$orderby"), (&self.expand, "$expand")]
                .into_iter()
                .find_map(|(given, name)| given.as_ref().map(|_| name))
        {
            return Err(ConnectError::config(
                format!("dataverse: `{option}` cannot be combined with change tracking"),
                "read without change tracking, or look at the rows here",
            ));
        }
        Ok(())
    }

    fn options(&self) -> String {
        let encoded = |text: &Option<String>| text.as_deref().map(name).unwrap_or_default();
        query(&[
            ("$select", &names(&self.select)),
            ("$filter", &encoded(&self.filter)),
            ("$orderby", &encoded(&self.order)),
            ("$expand", &encoded(&self.expand)),
        ])
    }
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// Its rows in the service's order.
    pub rows: Vec<Row>,
    /// Where the next page is; none on the last.
    pub next: Option<Cursor>,
    /// A hash of its rows: two pages with the same rows are alike.
    pub content: u64,
    /// Where the changes from now on are; on the last page of a tracked reading. A service that leaves it out means: keep the old one.
    pub delta: Option<Cursor>,
}

/// A row of a page.
#[derive(Debug)]
pub enum Row {
    /// A row that is there, new or changed: its JSON as the service wrote it.
    Changed(Box<RawValue>),
    /// A row that is gone.
    Deleted {
        /// Its id.
        id: Uuid,
        /// `deleted`, or `changed` for one that left the result.
        reason: String,
    },
    /// A row that does not say which record it is about. The others of the page are not worse for it.
    Unusable {
        /// What is wrong with it; holds nothing of its content.
        problem: &'static str,
    },
}

impl Page {
    /// Takes the page into what a reading has followed; `request` is what brought it.
    ///
    /// # Errors
    /// [`ConnectError::Protocol`] where the pages will not come to an end.
    pub fn follow(&self, request: &PageRequest, trail: &mut Trail) -> Result<(), ConnectError> {
        let Some(next) = &self.next else { return Ok(()) };
        let from = match request {
            PageRequest::First(_) => None,
            PageRequest::Follow { link, .. } => Some(link.as_str()),
        };
        trail.step(from, next.as_str(), self.rows.len(), self.content).map_err(|problem| ConnectError::Protocol {
            call: Box::new(Call { api: API, method: "GET".to_owned(), url: bare(next.as_str()).to_owned(), ..Call::default() }),
            problem: format!(
                "{problem}: the read was stopped; check that no proxy is in between, then read from the beginning with `d365map replay`"
            ),
        })
    }
}

/// The collection that a link leads to: the last segment of its path.
pub(super) fn leads_to(link: &Cursor) -> Option<String> {
    Url::parse(bare(link.as_str())).ok().as_ref().and_then(collection_of)
}

/// An address without its query and fragment.
fn bare(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}

/// The last segment of a path: the collection of a page's address.
fn collection_of(url: &Url) -> Option<String> {
    let last = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
    Some(percent_decode_str(last).decode_utf8_lossy().into_owned())
}

/// The collection that a context names: `…/$metadata#contacts(fullname)`; none where it names something else.
fn collection_in(context: &str) -> Option<&str> {
    let (_, rest) = context.split_once("$metadata#")?;
    let name = rest.split(['(', '/']).next().unwrap_or_default();
    (!name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then_some(name)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "@odata.context", borrow, default)]
    context: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    #[serde(rename = "@odata.nextLink", borrow, default)]
    next: Option<Cow<'a, str>>,
    #[serde(rename = "@odata.deltaLink", borrow, default)]
    delta: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Tombstone<'a> {
    #[serde(rename = "@odata.context", borrow, default)]
    context: Option<Cow<'a, str>>,
    #[serde(rename = "@odata.etag", default)]
    etag: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

impl Dataverse {
    /// Reads a page.
    ///
    /// # Errors
    /// [`ConnectError::DeltaExpired`] when a link is too old or the table's definition has changed since: read from the
    /// first page again. [`ConnectError::ForeignLink`] when a link, followed or received, leads to another service. Others as they come.
    pub async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        let (url, page_size, marks, followed) = match request {
            PageRequest::First(query) => {
                query.checked()?;
                let marks = [(query.track_changes, TRACKED), (query.annotations, ANNOTATED)];
                let marks: Vec<_> = marks.into_iter().filter_map(|(set, mark)| set.then_some(mark)).collect();
                (self.url(&name(&query.set), &query.options())?, query.page_size, marks, false)
            }
            PageRequest::Follow { link, page_size } => {
                let (bare, marks) = link.as_str().split_once('#').unwrap_or((link.as_str(), ""));
                (self.own(bare)?, *page_size, marks.split(',').filter(|m| !m.is_empty()).collect(), true)
            }
        };
        let mut prefer = format!("odata.maxpagesize={}", page_size.clamp(1, LARGEST_PAGE));
        if marks.contains(&TRACKED) {
            prefer.push_str(",odata.track-changes");
        }
        if marks.contains(&ANNOTATED) {
            prefer.push_str(",odata.include-annotations=\"*\"");
        }
        let request = self.request(url, Some(prefer))?;
        let body = match self.0.http.send(&request).await {
            Err(error) if followed && expired(&error) => {
                let call = error.call().cloned().unwrap_or_default();
                return Err(ConnectError::DeltaExpired { call: Box::new(call) });
            }
            other => other?,
        };
        let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
        let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|e| bad_json(&request, &e))?;
        let asked = collection_of(&request.url);
        // Whose answer it is: one that came twice on a connection may be another request's.
        if let (Some(context), Some(asked)) = (envelope.context.as_deref().and_then(collection_in), asked.as_deref())
            && context != asked
        {
            return Err(request.unavailable(&format!("the answer is a page of `{context}`, and not of `{asked}`")));
        }
        let content = hash_of(envelope.value.iter().map(|raw| raw.get()).collect::<Vec<_>>());
        let rows: Vec<Row> = envelope.value.into_iter().map(row).collect();
        let link = |text: Option<Cow<'_, str>>, marks: &[&str]| match text.filter(|t| !t.is_empty()).map(|t| resolved(t, &request.url)) {
            // Checked before it is kept: a foreign link must not come back from the state in a later run.
            Some(text) => {
                let found = collection_of(&self.own(&text)?);
                if found != asked {
                    let name = |collection: &Option<String>| collection.clone().unwrap_or_default();
                    let problem =
                        format!("a link of the page leads to `{}` instead of `{}`: it was not followed", name(&found), name(&asked));
                    return Err(request.protocol(format!("{problem}; check that no proxy changes answers")));
                }
                Ok(Some(Cursor::from(if marks.is_empty() { text } else { format!("{text}#{}", marks.join(",")) })))
            }
            None => Ok(None),
        };
        // Following a delta link asks for tracking by itself.
        let untracked: Vec<_> = marks.iter().copied().filter(|m| *m != TRACKED).collect();
        Ok(Page { rows, content, next: link(envelope.next, &marks)?, delta: link(envelope.delta, &untracked)? })
    }

    /// A link as an address, when it leads to this service.
    fn own(&self, link: &str) -> Result<Url, ConnectError> {
        let root = &self.0.root;
        let foreign = |found: String| ConnectError::ForeignLink { api: API, found, expected: root.to_string() };
        let url = Url::parse(link).map_err(|_| foreign("no address".to_owned()))?;
        let same =
            url.origin() == root.origin() && url.username().is_empty() && url.password().is_none() && url.path().starts_with("/api/data/");
        if same { Ok(url) } else { Err(foreign(origin(&url))) }
    }
}

/// A link with where it leads. Dataverse's are absolute and stay as they are; OData allows relative ones too (OData JSON 4.0, 4.5.5).
fn resolved(link: Cow<'_, str>, request: &Url) -> String {
    match Url::parse(&link) {
        Err(url::ParseError::RelativeUrlWithoutBase) => request.join(&link).map(String::from).unwrap_or_default(),
        Ok(_) | Err(_) => link.into_owned(),
    }
}

fn expired(error: &ConnectError) -> bool {
    let Some(call) = error.call().filter(|c| c.status.is_some_and(|s| (400..500).contains(&s))) else { return false };
    call.status == Some(410)
        || call.code.as_deref().is_some_and(|code| EXPIRED.iter().any(|e| e.eq_ignore_ascii_case(code)))
        || call.message.as_deref().is_some_and(|message| message.to_ascii_lowercase().contains(EXPIRED_WORDS))
}

fn row(raw: &RawValue) -> Row {
    let text = raw.get();
    if !text.starts_with('{') {
        return Row::Unusable { problem: "a row is not an object" };
    }
    // A row is looked into only when its text could be a tombstone's; a column's content may contain the same words.
    if (text.contains("$deletedEntity") || text.contains("\"reason\""))
        && let Ok(Tombstone { context, etag, id, reason }) = serde_json::from_str(text)
    {
        let marked = context.is_some_and(|c| c.ends_with("$deletedEntity"));
        let id = id.and_then(|raw| serde_json::from_str::<Uuid>(raw.get()).ok());
        // Without the context a tombstone is known by having a reason and no version.
        if marked || (reason.is_some() && id.is_some() && etag.is_none()) {
            return match id {
                Some(id) => Row::Deleted { id, reason: reason.map_or_else(|| "deleted".to_owned(), Cow::into_owned) },
                None => Row::Unusable { problem: "a deleted row has no readable id; `d365map replay` detects what was deleted" },
            };
        }
    }
    Row::Changed(raw.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::connect::{Http, HttpConfig};
    use crate::systems::dataverse::{DataverseConfig, entra_token_url};

    fn parse(text: &str) -> Row {
        row(serde_json::from_str::<&RawValue>(text).unwrap())
    }

    #[test]
    fn a_tombstone_is_known_by_its_context_or_its_reason() {
        let id = "4d9e5e49-2a5b-4d6c-9f0a-0b5c1d2e3f40";
        for (text, why) in [
            (
                format!(
                    r#"{{"@odata.context":"https://h/api/data/v9.2/$metadata#contacts/$deletedEntity","id":"{id}","reason":"deleted"}}"#
                ),
                "deleted",
            ),
            (format!(r#"{{"@odata.context":"https://h/$metadata#contacts/$deletedEntity","id":"{id}"}}"#), "deleted"),
            (format!(r#"{{"id":"{id}","reason":"changed"}}"#), "changed"),
        ] {
            let Row::Deleted { id: found, reason } = parse(&text) else { panic!("{text}") };
            assert_eq!((found.to_string().as_str(), reason.as_str()), (id, why));
        }
    }

    #[test]
    fn a_row_that_merely_speaks_of_deletion_is_a_row() {
        for text in [
            r#"{"@odata.etag":"W/\"1\"","reason":"left","description":"$deletedEntity"}"#,
            r#"{"@odata.etag":"W/\"1\"","id":"4d9e5e49-2a5b-4d6c-9f0a-0b5c1d2e3f40","reason":"left"}"#,
            r#"{"@odata.etag":"W/\"1\"","reason":7,"note":"\"reason\""}"#,
        ] {
            assert!(matches!(parse(text), Row::Changed(_)), "{text}");
        }
    }

    #[test]
    fn a_rows_numbers_keep_their_digits() {
        let text = r#"{"creditlimit":20000.0000,"versionnumber":9007199254740993,"big":1e400}"#;
        let Row::Changed(raw) = parse(text) else { panic!() };
        assert_eq!(raw.get(), text);
    }

    #[test]
    fn a_tombstone_without_a_usable_id_and_a_row_that_is_not_an_object_cost_themselves() {
        let tombstone = |rest: &str| format!(r#"{{"@odata.context":"https://h/$metadata#contacts/$deletedEntity"{rest}}}"#);
        for rest in [r#","reason":"deleted""#, r#","id":7"#, r#","id":null"#, r#","id":"x\ud83d""#, r#","id":["a"]"#, r#","id":"no guid""#]
        {
            assert!(matches!(parse(&tombstone(rest)), Row::Unusable { .. }), "{rest}");
        }
        assert!(matches!(parse("7"), Row::Unusable { .. }));
        let text = r#"{"value":[{"lastname":"cut \ud83d"},{"n":1e999},{"d":[[[[]]]]},null]}"#;
        let envelope: Envelope<'_> = serde_json::from_str(text).unwrap();
        let rows: Vec<Row> = envelope.value.into_iter().map(row).collect();
        assert!(matches!(rows[..], [Row::Changed(_), Row::Changed(_), Row::Changed(_), Row::Unusable { .. }]));
    }

    #[test]
    fn a_link_and_a_context_name_their_collection() {
        let link = Cursor::from("https://o.crm4.dynamics.com/api/data/v9.2/contacts?$skiptoken=1#track-changes".to_owned());
        assert_eq!(leads_to(&link).as_deref(), Some("contacts"));
        for (context, name) in [
            ("https://h/api/data/v9.2/$metadata#contacts(fullname,_a_value)", Some("contacts")),
            ("https://h/api/data/v9.2/$metadata#contacts/$delta", Some("contacts")),
            ("https://h/api/data/v9.2/$metadata#contacts", Some("contacts")),
            ("https://h/api/data/v9.2/$metadata#Collection(Edm.String)", Some("Collection")),
            ("https://h/api/data/v9.2/$metadata", None),
        ] {
            assert_eq!(collection_in(context), name, "{context}");
        }
    }

    #[test]
    fn a_relative_link_leads_on_from_the_request_and_an_absolute_one_stays_as_it_is() {
        let request = "https://o.crm4.dynamics.com/api/data/v9.2/contacts?$select=a".parse().unwrap();
        for (link, to) in [
            ("contacts?$skiptoken=50", "https://o.crm4.dynamics.com/api/data/v9.2/contacts?$skiptoken=50"),
            ("/api/data/v9.2/contacts?$skiptoken=50", "https://o.crm4.dynamics.com/api/data/v9.2/contacts?$skiptoken=50"),
            // Still another host, and refused as such.
            ("//evil.example/api/data/v9.2/contacts", "https://evil.example/api/data/v9.2/contacts"),
            ("HTTPS://o.crm4.dynamics.com/api/%7E?$a=%2f", "HTTPS://o.crm4.dynamics.com/api/%7E?$a=%2f"),
        ] {
            assert_eq!(resolved(link.into(), &request), to);
        }
    }

    #[test]
    fn only_links_to_the_configured_service_are_followed() {
        let config = DataverseConfig {
            url: "https://o.crm4.dynamics.com".parse().unwrap(),
            token_url: entra_token_url("t").unwrap(),
            client_id: "id".into(),
            credential: SecretString::from("s").into(),
        };
        let dataverse = Dataverse::new(Http::new(HttpConfig::default()).unwrap(), config).unwrap();
        let good = "https://o.crm4.dynamics.com/api/data/v9.2/contacts?$select=a&$skiptoken=%253Ccookie%2520x%253D%2522%2522%252F%253E";
        assert_eq!(dataverse.own(good).unwrap().as_str(), good);
        for wrong in [
            "https://evil.example/api/data/v9.2/contacts",
            "https://o.crm4.dynamics.com.evil.example/api/data/v9.2/contacts",
            "https://o.crm4.dynamics.com@evil.example/api/data/v9.2/contacts",
            "https://u:p@o.crm4.dynamics.com/api/data/v9.2/contacts",
            "http://o.crm4.dynamics.com/api/data/v9.2/contacts",
            "https://o.crm4.dynamics.com:444/api/data/v9.2/contacts",
            "https://o.crm4.dynamics.com/elsewhere",
            "https://o.crm4.dynamics.com/api/data/../../elsewhere",
            "//evil.example/api/data/v9.2/contacts",
            "contacts?$skiptoken=1",
            "",
        ] {
            let error = dataverse.own(wrong).unwrap_err();
            assert!(matches!(error, ConnectError::ForeignLink { .. }), "{wrong}");
            assert!(!error.to_string().contains("u:p"));
        }
    }

    #[test]
    fn an_expired_delta_is_known_by_code_message_or_status_and_only_on_a_4xx() {
        let error = |status: u16, code: &str, message: &str| ConnectError::Rejected {
            call: Box::new(Call { status: Some(status), code: Some(code.into()), message: Some(message.into()), ..Call::default() }),
        };
        assert!(expired(&error(400, "0x80044352", "")));
        assert!(expired(&error(404, "0X80044352", "")));
        assert!(expired(&error(400, "", "Version stamp associated with the client has EXPIRED. Please perform a full sync.")));
        assert!(expired(&error(410, "", "")));
        assert!(!expired(&error(400, "0x80060888", "no such column")));
        assert!(!expired(&error(500, "0x80044352", "")));
    }
}
