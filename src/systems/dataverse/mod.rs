//! Dataverse over its Web API: pages with change tracking, single rows, counts, table definitions; writes one by one, in bulk and
//! in batches.
//!
//! Sources: Dataverse Web API, *Query data* (paging, `Prefer`), *Use change tracking to synchronize data* (delta links,
//! deleted rows), *Compose HTTP requests and handle errors* (headers, error codes), *Query table definitions*.

mod batch;
mod bulk;
mod closing;
mod key;
mod metadata;
mod navigation;
mod outline;
mod page;
mod probe;
mod rows;
mod seam;
mod timeline;
mod together;
mod total;
pub mod value;
mod write;

pub use batch::{Answer, LARGEST_BATCH, Operation, Part, PartOutcome};
pub use bulk::{Bulk, BulkSupport, ROWS_PER_REQUEST, RowResult, Target};
pub use key::{Entity, KeyValue, RowKey, text_literal};
pub use metadata::EntityMetadata;
pub use navigation::{Lookups, Member, formatted, points_to};
pub use page::{Page, PageRequest, Query, Row};
pub use write::{Condition, Outcome};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;
use uuid::Uuid;

use crate::connect::http::{Http, Request, TokenSource, origin, service_url};
use crate::connect::{ConnectError, Credential};
use crate::json as lenient;

const API: &str = "dataverse";
const ROOT: &str = "api/data/v9.2/";
/// Everything but what a name or a list of names is made of.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');
/// Labels of choices, names and tables of lookups, beside the values.
const ANNOTATIONS: &str = "odata.include-annotations=\"*\"";

/// A connection to one environment. `C` is the credential, or where it is kept.
#[derive(Debug, Clone)]
pub struct DataverseConfig<C = Credential> {
    /// The environment's root: `https://org.crm4.dynamics.com/`, without a path.
    pub url: Url,
    /// Where tokens come from; see [`entra_token_url`].
    pub token_url: Url,
    /// The app registration's client id.
    pub client_id: String,
    /// What the app registration shows: a client secret or a certificate.
    pub credential: C,
}

impl<C> DataverseConfig<C> {
    /// The same with another credential, such as the one that was kept where the first one says.
    pub fn with_credential<D>(&self, credential: D) -> DataverseConfig<D> {
        let DataverseConfig { url, token_url, client_id, .. } = self;
        DataverseConfig { url: url.clone(), token_url: token_url.clone(), client_id: client_id.clone(), credential }
    }
}

/// The token address of an Entra ID tenant, given by its id or one of its domains.
///
/// # Errors
/// [`ConnectError::Config`] when the text cannot be a tenant.
pub fn entra_token_url(tenant: &str) -> Result<Url, ConnectError> {
    let wrong = || ConnectError::config(format!("`{tenant}` is not a tenant"), "give the directory's id (a GUID) or one of its domains");
    let plausible =
        tenant.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') && tenant.chars().any(|c| c.is_ascii_alphanumeric());
    if !plausible {
        return Err(wrong());
    }
    Url::parse(&format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")).map_err(|_| wrong())
}

/// A client of one environment; clones share the token and the connections.
#[derive(Clone)]
pub struct Dataverse(Arc<Inner>);

struct Inner {
    http: Http,
    /// The service root, with a slash at its end.
    root: Url,
    token: TokenSource,
}

impl fmt::Debug for Dataverse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataverse").field("root", &self.0.root.as_str()).finish_non_exhaustive()
    }
}

/// Who the client is to the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WhoAmI {
    /// The application user.
    pub user_id: Uuid,
    /// Its business unit.
    pub business_unit_id: Uuid,
    /// The environment's organization.
    pub organization_id: Uuid,
}

impl Dataverse {
    /// Checks the configuration; makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new(http: Http, config: DataverseConfig) -> Result<Self, ConnectError> {
        service_url(API, "url", &config.url)?;
        service_url(API, "token-url", &config.token_url)?;
        if config.url.path() != "/" {
            return Err(ConnectError::config(
                format!("dataverse: `url` has the path {}", config.url.path()),
                format!("give the environment's root alone: {}/", origin(&config.url)),
            ));
        }
        let wrong =
            |_| ConnectError::config("dataverse: `url` cannot carry a path", "give the environment's root: https://org.crm.dynamics.com/");
        let root = config.url.join(ROOT).map_err(wrong)?;
        // The scope is the root without its slash: one slash too many is another resource to Entra ID.
        let scope = format!("{}/.default", origin(&config.url));
        let token = TokenSource::new(http.clone(), config.token_url, &config.client_id, config.credential, &scope);
        Ok(Self(Arc::new(Inner { http, root, token })))
    }

    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        self.0.http.config().request_timeout
    }

    /// One row by its id, as the service wrote it; none when there is no such row.
    ///
    /// # Errors
    /// As [`Self::retrieve_expanded`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn retrieve(&self, set: &str, id: Uuid, select: &[String]) -> Result<Option<Box<RawValue>>, ConnectError> {
        self.retrieve_expanded(set, id, select, "", false).await
    }

    /// One row by its id, as the service wrote it, with the rows that lookups lead to (`$expand`, not encoded) and with annotations where
    /// asked for; none when there is no such row.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::NotFound`] only when the table itself is unknown.
    pub async fn retrieve_expanded(
        &self,
        set: &str,
        id: Uuid,
        select: &[String],
        expand: &str,
        annotations: bool,
    ) -> Result<Option<Box<RawValue>>, ConnectError> {
        let select = names(select);
        let expand = name(expand);
        let url = self.url(&format!("{}({id})", name(set)), &query(&[("$select", &select), ("$expand", &expand)]))?;
        let request = self.request(url, annotations.then(|| ANNOTATIONS.to_owned()))?;
        match self.0.http.send(&request).await {
            Ok(body) => {
                let row: Box<RawValue> = json(&request, &body)?;
                // The primary key comes whatever is selected (Dataverse Web API, *Retrieve a row*): without it this is another
                // request's answer.
                if !row.get().to_ascii_lowercase().contains(&id.to_string()) {
                    return Err(request.unavailable("the answer is about another row"));
                }
                Ok(Some(row))
            }
            // An unknown table answers 404 too, with another code.
            Err(error) if write::no_row(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One row by its id or an alternate key, with its annotations where asked for; none when there is no such row.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::NotFound`] only when the table itself is unknown.
    pub async fn row(&self, entity: &Entity, key: &RowKey, select: &[String], annotations: bool) -> Result<Option<Value>, ConnectError> {
        let segment = match key.segment() {
            Some(segment) => segment,
            None => match self.find(entity, key).await? {
                Some(id) => format!("({id})"),
                None => return Ok(None),
            },
        };
        let url = self.url(&format!("{}{segment}", name(&entity.set)), &query(&[("$select", &names(select))]))?;
        let request = self.request(url, annotations.then(|| ANNOTATIONS.to_owned()))?;
        match self.0.http.send(&request).await {
            Ok(body) => json(&request, &body).map(Some),
            Err(error) if write::no_row(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many rows a table has, as far as the service counts: it stops at 5000.
    ///
    /// # Errors
    /// [`ConnectError`].
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub async fn count(&self, set: &str) -> Result<u64, ConnectError> {
        let request = self.request(self.url(&format!("{}/$count", name(set)), "")?, None)?;
        let body = self.0.http.send(&request).await?;
        // Plain text, which may begin with a byte order mark.
        let text = std::str::from_utf8(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body)).unwrap_or_default();
        text.trim().parse().map_err(|_| request.protocol("the count is not a number: check the connection's `url`"))
    }

    /// The environment's address, without a slash at its end.
    pub fn address(&self) -> String {
        origin(&self.0.root)
    }

    /// Who the client is: the cheapest call that proves address, token and user.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn who_am_i(&self) -> Result<WhoAmI, ConnectError> {
        self.get(self.url("WhoAmI", "")?).await
    }

    async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, ConnectError> {
        let request = self.request(url, None)?;
        let body = self.0.http.send(&request).await?;
        json(&request, &body)
    }

    fn url(&self, path: &str, query: &str) -> Result<Url, ConnectError> {
        let wrong = |_| ConnectError::config(format!("dataverse: `{path}` is not a path"), "check the table's entity set name");
        let mut url = Url::parse(&format!("{}{path}", self.0.root)).map_err(wrong)?;
        url.set_query((!query.is_empty()).then_some(query));
        Ok(url)
    }

    fn request(&self, url: Url, prefer: Option<String>) -> Result<Request<'_>, ConnectError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"));
        headers.insert(HeaderName::from_static("odata-maxversion"), HeaderValue::from_static("4.0"));
        // The literal word: keeps caches on the way from answering.
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("null"));
        if let Some(prefer) = prefer {
            let wrong = |_| ConnectError::config("dataverse: the preferences cannot be used in a header", "check the page size");
            headers.insert(HeaderName::from_static("prefer"), HeaderValue::try_from(prefer).map_err(wrong)?);
        }
        Ok(Request { headers, token: Some(&self.0.token), ..Request::new(API, Method::GET, url) })
    }
}

fn name(text: &str) -> String {
    utf8_percent_encode(text, NAME).to_string()
}

fn names(texts: &[String]) -> String {
    texts.iter().map(|t| name(t)).collect::<Vec<_>>().join(",")
}

/// Query options whose values are encoded already; empty ones are left out.
fn query(options: &[(&str, &str)]) -> String {
    options.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&")
}

fn json<T: DeserializeOwned>(request: &Request<'_>, body: &Bytes) -> Result<T, ConnectError> {
    lenient::read(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)).map_err(|e| bad_json(request, &e))
}

/// The position, and not serde's text: that may quote the data.
fn bad_json(request: &Request<'_>, error: &serde_json::Error) -> ConnectError {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "is not of the promised shape",
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => "is not JSON",
    };
    request.protocol(format!(
        "the answer {kind} (line {}, column {}): check the connection's `url`, and that no proxy changes answers",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::connect::HttpConfig;

    fn new(url: &str) -> Result<Dataverse, ConnectError> {
        let config = DataverseConfig {
            url: url.parse().unwrap(),
            token_url: entra_token_url("contoso.onmicrosoft.com").unwrap(),
            client_id: "id".into(),
            credential: SecretString::from("s3cr3t").into(),
        };
        assert!(!format!("{config:?}").contains("s3cr3t"));
        Dataverse::new(Http::new(HttpConfig::default()).unwrap(), config)
    }

    #[test]
    fn the_url_is_an_environments_root() {
        let dataverse = new("https://o.crm4.dynamics.com").unwrap();
        assert!(!format!("{dataverse:?}").contains("s3cr3t"));
        assert_eq!(dataverse.url("contacts", "a=b").unwrap().as_str(), "https://o.crm4.dynamics.com/api/data/v9.2/contacts?a=b");
        let error = new("https://o.crm4.dynamics.com/api/data/v9.2/").unwrap_err();
        assert!(error.to_string().contains("https://o.crm4.dynamics.com/"), "{error}");
        assert!(matches!(new("http://o.crm4.dynamics.com"), Err(ConnectError::Config { .. })));
    }

    #[test]
    fn a_tenant_is_an_id_or_a_domain() {
        assert!(entra_token_url("8b87af7d-8647-4dc7-8df4-5f69a2011bb5").is_ok());
        for wrong in ["", "..", "a/b", "a b", "https://x"] {
            assert!(entra_token_url(wrong).is_err(), "{wrong}");
        }
    }
}
