//! The emulated Campaign Standard instance: IMS token endpoint, profiles and their metadata.
//!
//! Written from the product's API documentation. [D] documented, [K] assumed where the documents are silent; what is assumed and
//! matters can be configured.

pub(super) mod fields;
mod read;
pub(super) mod store;

use std::sync::RwLock;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use self::fields::{Kind, Policies};
use self::read::Endpoint;
use self::store::{Changes, Profiles};
use super::dataverse::Call;
use super::faults::{Fault, Faults, Refusal};
use super::net::{self, Answer};
use super::tokens::{Client, Refused, Tokens};

const JSON: &str = "application/json;charset=utf-8";

/// What answers need to know of the instance.
pub(super) struct Site {
    /// `http://127.0.0.1:port/<organisation>`
    pub(super) base: String,
    pub(super) organization: String,
    /// The status of a create whose key is taken. [K]
    pub(super) duplicate_status: u16,
    /// Rows beyond which lists give no `next` without `_forcePagination` (option XtkBigTableThreshold).
    pub(super) big_table: usize,
    pub(super) lower_email: bool,
    pub(super) smart_case: bool,
}

/// The instance.
pub(super) struct Campaign {
    pub(super) site: Site,
    pub(super) clients: Vec<Client>,
    pub(super) tokens: Tokens,
    pub(super) profiles: RwLock<Profiles>,
}

/// A refused request: status and message.
type Fail = (u16, String);

fn refuse(status: u16, code: &str, message: &str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    net::body(status, JSON, json!({"error_code": code, "message": message}).to_string())
}

/// The documented answer to a URI that leads nowhere.
fn oops() -> Response<Body> {
    net::body(
        StatusCode::INTERNAL_SERVER_ERROR,
        JSON,
        json!({"code": 500, "message": "Oops. Something went wrong. Check your URI and try again."}).to_string(),
    )
}

fn ok(status: StatusCode, value: &Json) -> Response<Body> {
    net::body(status, JSON, value.to_string())
}

fn missing(key: &str) -> Fail {
    (404, format!("The profile '{key}' does not exist."))
}

impl Campaign {
    pub(super) fn new(site: Site, clients: Vec<Client>, token_lifetime: Duration, profiles: Profiles) -> Campaign {
        Campaign { site, clients, tokens: Tokens::new(token_lifetime), profiles: RwLock::new(profiles) }
    }

    pub(super) fn is_token_path(path: &str) -> bool {
        path == "/ims/token/v3"
    }

    fn policies(&self) -> Policies {
        Policies { lower_email: self.site.lower_email, smart_case: self.site.smart_case }
    }

    /// Adobe's token endpoint, OAuth server-to-server. The error bodies are assumed. [K]
    pub(super) fn token(&self, call: &Call<'_>) -> Answer {
        let refused = |status: StatusCode, error: &str, text: &str| {
            Answer::new("token", net::body(status, JSON, json!({"error": error, "error_description": text}).to_string()))
        };
        if call.method != Method::POST {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use POST");
        }
        let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        let form = std::str::from_utf8(call.body).ok().filter(|_| content_type.starts_with("application/x-www-form-urlencoded"));
        let form = form.and_then(|text| net::query(Some(text))).unwrap_or_default();
        let field = |name: &str| form.iter().find(|(other, value)| other == name && !value.is_empty()).map(|(_, value)| value.as_str());
        match field("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "unsupported grant_type"),
            None => return refused(StatusCode::BAD_REQUEST, "invalid_request", "missing grant_type parameter"),
        }
        let Some(client) = field("client_id").and_then(|id| self.clients.iter().position(|client| client.id == id)) else {
            return refused(StatusCode::BAD_REQUEST, "invalid_client", "invalid client_id parameter");
        };
        if field("client_secret") != Some(self.clients[client].secret.as_str()) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", "invalid client_secret parameter");
        }
        if field("scope").is_none() {
            return refused(StatusCode::BAD_REQUEST, "invalid_scope", "missing scope parameter");
        }
        let (token, seconds) = self.tokens.issue(client, Instant::now());
        Answer::new("token", ok(StatusCode::OK, &json!({"access_token": token, "token_type": "bearer", "expires_in": seconds})))
    }

    /// An ordered or random fault in this API's error shape; `None` for those that are no answer.
    pub(super) fn fault(&self, fault: &Fault) -> Option<Response<Body>> {
        match fault {
            Fault::Status { status: 500, code: None, retry_after: None } => Some(oops()),
            Fault::Status { status, code, retry_after } => {
                let mut response = refuse(*status, code.as_deref().unwrap_or(&status.to_string()), "The service is unavailable.");
                if let Some(seconds) = retry_after {
                    net::set(&mut response, "retry-after", &seconds.to_string());
                }
                Some(response)
            }
            Fault::Throttle { code, retry_after } => Some(throttled(code.as_deref(), retry_after.unwrap_or(1))),
            Fault::Unauthorized => Some(refuse(401, "401013", "Oauth token is not valid")),
            Fault::Html => {
                Some(net::body(StatusCode::OK, "text/html; charset=utf-8", "<html><body>Service temporarily unavailable</body></html>"))
            }
            Fault::Reset
            | Fault::LostAnswer
            | Fault::Slow(_)
            | Fault::CutBody
            | Fault::SlowBody(_)
            | Fault::Duplicate
            | Fault::RepeatedAnswer => None,
        }
    }

    /// Answers a request to the API.
    pub(super) fn answer(&self, call: &Call<'_>, faults: &Faults) -> Answer {
        let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
        let client = match self.tokens.check(header("authorization"), Instant::now()) {
            Ok(client) => client,
            Err(Refused::Missing) => return Answer::new("unauthorized", refuse(401, "401010", "Oauth token is missing.")),
            Err(Refused::Unknown | Refused::Expired) => {
                return Answer::new("unauthorized", refuse(401, "401013", "Oauth token is not valid"));
            }
        };
        // The gateway's answers to a missing or wrong key are assumed. [K]
        match header("x-api-key") {
            None => return Answer::new("forbidden", refuse(403, "403000", "Api Key is required")),
            Some(key) if key != self.clients[client].id => return Answer::new("forbidden", refuse(403, "403003", "Api Key is invalid")),
            Some(_) => {}
        }
        if let Err(Refusal { retry_after, .. }) = faults.admit(super::stats::Api::Campaign, &self.clients[client].id, Instant::now()) {
            return Answer::new("throttled", throttled(None, retry_after));
        }
        let mut parts = call.path.trim_start_matches('/').split('/').filter(|part| !part.is_empty());
        if parts.next() != Some(self.site.organization.as_str()) {
            return Answer::new("forbidden", refuse(403, "403023", "Profile is not valid"));
        }
        let below: Option<Vec<String>> = parts.map(net::decode).collect();
        let Some(below) = below else { return Answer::new("unknown", oops()) };
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        let endpoint = match below.as_slice() {
            ["campaign", "profileAndServices", ..] => Endpoint::Standard,
            ["campaign", "profileAndServicesExt", ..] => Endpoint::Extended,
            _ => return Answer::new("unknown", oops()),
        };
        let Some(query) = net::query(call.query) else { return Answer::new("unknown", oops()) };
        let mut route = String::from("unknown");
        let response = match self.route(call, endpoint, &below[2..], &query, &mut route) {
            Ok(Some(response)) => response,
            Ok(None) => oops(),
            Err((status, message)) => refuse(status, &status.to_string(), &message),
        };
        Answer::new(route, response)
    }

    fn route(
        &self,
        call: &Call<'_>,
        endpoint: Endpoint,
        path: &[&str],
        query: &[(String, String)],
        route: &mut String,
    ) -> Result<Option<Response<Body>>, Fail> {
        let method = call.method.as_str();
        match path {
            ["resourceType", resource] if matches!(*resource, "profile" | "profile.json") && method == "GET" => {
                *route = "resourceType/profile".to_owned();
                return Ok(Some(ok(StatusCode::OK, &self.metadata(&super::read(&self.profiles), endpoint))));
            }
            ["profile" | "profile.json", ..] => {}
            _ => return Ok(None),
        }
        let rest = &path[1..];
        match (method, rest) {
            ("POST", []) => {
                *route = "profile".to_owned();
                self.create(call, endpoint).map(Some)
            }
            ("GET", []) => {
                *route = "profile".to_owned();
                let list = self.list(&super::read(&self.profiles), endpoint, &[], None, query)?;
                Ok(Some(ok(StatusCode::OK, &list)))
            }
            ("GET", ["_filters"]) => {
                *route = "profile/_filters".to_owned();
                let filters = json!({"content": {
                    "byEmail": {"data": "/profile/byEmail", "fields": {"email": {"type": "string"}}},
                    "byText": {"data": "/profile/byText", "fields": {"text": {"type": "string"}}},
                }});
                Ok(Some(ok(StatusCode::OK, &filters)))
            }
            ("GET", filters) if filters.iter().all(|part| is_filter(part) || *part == "_count") => {
                let count = filters.last() == Some(&"_count");
                let filters: Vec<&str> = filters.iter().filter(|part| **part != "_count").copied().collect();
                *route = format!("profile/{}{}", filters.join("/"), if count { "_count" } else { "" });
                let profiles = super::read(&self.profiles);
                if count {
                    let every: Vec<(String, String)> = (query.iter().filter(|(name, _)| !name.starts_with('_')).cloned())
                        .chain([("_lineCount".to_owned(), usize::MAX.to_string())])
                        .collect();
                    let total = if filters.is_empty() {
                        profiles.rows.len()
                    } else {
                        let list = self.list(&profiles, endpoint, &filters, None, &every)?;
                        list["content"].as_array().map_or(0, Vec::len)
                    };
                    return Ok(Some(ok(StatusCode::OK, &json!({"count": total}))));
                }
                Ok(Some(ok(StatusCode::OK, &self.list(&profiles, endpoint, &filters, None, query)?)))
            }
            ("GET", [name]) if self.column(endpoint, name).is_some() => {
                *route = "profile/attribute".to_owned();
                let list = self.list(&super::read(&self.profiles), endpoint, &[], self.column(endpoint, name), query)?;
                Ok(Some(ok(StatusCode::OK, &list)))
            }
            (_, [key, more @ ..]) => {
                let by_pkey = key.starts_with('@');
                if !by_pkey && endpoint == Endpoint::Standard {
                    // Identification keys belong to the extended resource. [D]
                    return Ok(None);
                }
                *route = (if by_pkey { "profile/PKey" } else { "profile/key" }).to_owned();
                match (method, more) {
                    ("GET", []) => {
                        let profiles = super::read(&self.profiles);
                        let id = find(&profiles, key).ok_or_else(|| missing(key))?;
                        Ok(profiles
                            .rows
                            .get(&id)
                            .map(|profile| ok(StatusCode::OK, &Json::Object(self.record(&profiles, endpoint, id, profile)))))
                    }
                    ("GET", [name]) => {
                        route.push_str("/attribute");
                        let profiles = super::read(&self.profiles);
                        let id = find(&profiles, key).ok_or_else(|| missing(key))?;
                        let Some(index) = profiles.fields.find(name).filter(|index| profiles.fields.at(*index).within.is_none()) else {
                            return Ok(None);
                        };
                        let field = profiles.fields.at(index);
                        if field.custom && !endpoint.custom() {
                            return Ok(None);
                        }
                        if field.kind == Kind::Collection {
                            // A key is no URI for nested links: those are reached by the href of an answer. [D]
                            if !by_pkey {
                                return Ok(None);
                            }
                            return Ok(Some(ok(StatusCode::OK, &json!({"content": [], "serverSidePagination": true}))));
                        }
                        Ok(profiles
                            .rows
                            .get(&id)
                            .map(|profile| ok(StatusCode::OK, &self.attribute(&profiles, endpoint, id, profile, index, field))))
                    }
                    ("PATCH", []) => self.update(call, endpoint, key).map(Some),
                    ("DELETE", []) => {
                        let mut profiles = super::write(&self.profiles);
                        let id = find(&profiles, key).ok_or_else(|| missing(key))?;
                        profiles.delete(id);
                        Ok(Some(net::empty(StatusCode::NO_CONTENT)))
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn column(&self, endpoint: Endpoint, name: &str) -> Option<u16> {
        let profiles = super::read(&self.profiles);
        profiles.fields.find(name).filter(|index| {
            let field = profiles.fields.at(*index);
            field.within.is_none() && !matches!(field.kind, Kind::Link | Kind::Collection) && (!field.custom || endpoint.custom())
        })
    }

    fn payload(&self, call: &Call<'_>, profiles: &Profiles, endpoint: Endpoint) -> Result<Changes, Fail> {
        let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        if content_type.split(';').next().is_none_or(|mime| !mime.trim().eq_ignore_ascii_case("application/json")) {
            return Err((415, format!("The content type '{content_type}' is not supported; send application/json.")));
        }
        self.changes(call.body, profiles, endpoint)
    }

    fn changes(&self, body: &[u8], profiles: &Profiles, endpoint: Endpoint) -> Result<Changes, Fail> {
        let given: IndexMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(|error| (400, format!("The body is no JSON object: {error}")))?;
        let mut changes = Changes::with_capacity(given.len());
        for (name, raw) in &given {
            let index = (profiles.fields.find(name)).filter(|index| {
                let field = profiles.fields.at(*index);
                field.within.is_none() && (!field.custom || endpoint.custom())
            });
            let index = index.ok_or_else(|| (400, format!("Unknown attribute '{name}' of resource 'profile'.")))?;
            let field = profiles.fields.at(index);
            if field.readonly {
                return Err((400, format!("The attribute '{name}' is read-only.")));
            }
            if field.kind == Kind::Item {
                let parts: Option<IndexMap<String, Box<RawValue>>> =
                    serde_json::from_str(raw.get()).map_err(|_| (400, format!("The attribute '{name}' needs an object.")))?;
                for (part, raw) in parts.unwrap_or_default() {
                    let path = format!("{name}.{part}");
                    let index =
                        profiles.fields.find(&path).ok_or_else(|| (400, format!("Unknown attribute '{path}' of resource 'profile'.")))?;
                    let cell = profiles.fields.at(index).read(raw.get(), self.policies()).map_err(|why| (400, why))?;
                    changes.push((index, cell));
                }
                continue;
            }
            let cell = field.read(raw.get(), self.policies()).map_err(|why| (400, why))?;
            changes.push((index, cell));
        }
        Ok(changes)
    }

    /// Creates a profile from a seed.
    pub(super) fn seed(&self, body: &str) -> Result<(), String> {
        let mut profiles = super::write(&self.profiles);
        let changes = self.changes(body.as_bytes(), &profiles, Endpoint::Extended).map_err(|(_, why)| why)?;
        profiles.insert(changes, crate::time::now().timestamp_millis()).map_err(|key| format!("the key '{key}' is taken")).map(drop)
    }

    fn create(&self, call: &Call<'_>, endpoint: Endpoint) -> Result<Response<Body>, Fail> {
        let mut profiles = super::write(&self.profiles);
        let changes = self.payload(call, &profiles, endpoint)?;
        let id = profiles
            .insert(changes, crate::time::now().timestamp_millis())
            .map_err(|key| (self.site.duplicate_status, format!("A profile with the key '{key}' already exists.")))?;
        let record = profiles.rows.get(&id).map(|profile| self.record(&profiles, endpoint, id, profile)).unwrap_or_default();
        Ok(ok(StatusCode::CREATED, &Json::Object(record)))
    }

    fn update(&self, call: &Call<'_>, endpoint: Endpoint, key: &str) -> Result<Response<Body>, Fail> {
        let mut profiles = super::write(&self.profiles);
        let id = find(&profiles, key).ok_or_else(|| missing(key))?;
        let changes = self.payload(call, &profiles, endpoint)?;
        let old = profiles.rows.get(&id).map(|profile| profile.text(profiles.key).to_owned()).unwrap_or_default();
        for (field, cell) in &changes {
            // The identification key cannot be changed. [D] Sending the value it has is let pass. [K]
            let same = match cell {
                Some(fields::Cell::Text(text)) => **text == *old,
                Some(_) => false,
                None => old.is_empty(),
            };
            if *field == profiles.key && !same {
                return Err((400, format!("The key '{}' cannot be changed.", profiles.fields.at(profiles.key).name)));
            }
        }
        profiles.update(id, changes, crate::time::now().timestamp_millis());
        let pkey = profiles.pkey(id);
        Ok(ok(StatusCode::OK, &json!({"PKey": pkey, "href": self.href(endpoint, &pkey)})))
    }

    /// All profiles sorted by key, without PKeys; `system` adds the instants.
    pub(super) fn dump(&self, system: bool) -> Json {
        let profiles = super::read(&self.profiles);
        let mut items: Vec<(String, String, Json)> = profiles
            .rows
            .iter()
            .map(|(id, profile)| {
                let mut record = self.record(&profiles, Endpoint::Extended, *id, profile);
                let collections =
                    profiles.fields.top(true).filter(|(_, field)| field.kind == Kind::Collection).map(|(_, field)| field.name.as_str());
                for name in collections.chain(["PKey", "href", "cryptedId", "age"]) {
                    record.remove(name);
                }
                if !system {
                    record.remove("created");
                    record.remove("lastModified");
                }
                let record = Json::Object(record);
                (profile.text(profiles.key).to_owned(), record.to_string(), record)
            })
            .collect();
        items.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        Json::Array(items.into_iter().map(|(_, _, record)| record).collect())
    }
}

fn is_filter(part: &str) -> bool {
    matches!(part, "byEmail" | "byText")
}

fn find(profiles: &Profiles, key: &str) -> Option<u64> {
    if key.starts_with('@') { profiles.by_pkey(key) } else { profiles.by_key(key) }
}

/// The gateway's answer to too many requests. [K]
fn throttled(code: Option<&str>, retry_after: u64) -> Response<Body> {
    let mut response = refuse(429, code.unwrap_or("429050"), "Too many requests");
    net::set(&mut response, "retry-after", &retry_after.to_string());
    response
}
