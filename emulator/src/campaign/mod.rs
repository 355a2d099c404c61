//! The emulated Campaign Standard instance: token service, profiles and other resources, metadata, marketing history.
//!
//! Written from the product's API documentation. [D] documented, [C] seen in answers that others published, [K] assumed where the
//! documents are silent; what is assumed and matters can be configured.

pub(super) mod admin;
pub(super) mod fields;
pub(super) mod filter;
pub(super) mod history;
pub(super) mod keep;
mod metadata;
mod read;
pub(super) mod seed;
pub(super) mod store;
pub(super) mod subscriptions;
mod token;
mod write;

use std::sync::RwLock;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value as Json, json};

use self::fields::{Kind, Policies};
use self::read::{Endpoint, Of};
use self::store::{TYPE, World};
use self::subscriptions::SUBSCRIPTIONS;
use self::token::Binding;
pub use self::token::TechnicalAccount;
pub use self::write::LinkForms;
use super::dataverse::Call;
use super::faults::{Fault, Faults, Refusal};
use super::net::{self, Answer};
use super::tokens::{Client, Refused, Tokens};

const JSON: &str = "application/json;charset=utf-8";

/// What answers need to know of the instance.
pub(super) struct Site {
    /// `http://127.0.0.1:port/<organization>`
    pub(super) base: String,
    /// The token service's origin.
    pub(super) ims: String,
    pub(super) organization: String,
    /// The status of a create whose key is taken. [K]
    pub(super) duplicate_status: u16,
    /// The status of a refused body or parameter. [K]
    pub(super) refusal_status: u16,
    /// The status for a record that is not there. [K]
    pub(super) missing_status: u16,
    /// Rows beyond which lists give no `next` without `_forcePagination` (option XtkBigTableThreshold).
    pub(super) big_table: usize,
    pub(super) lower_email: bool,
    pub(super) smart_case: bool,
    pub(super) strip_phone: bool,
    pub(super) cut_overlong: bool,
    pub(super) strict_content_type: bool,
    pub(super) link_forms: LinkForms,
    /// Whether the gateway's 429 says how long to wait. [K]
    pub(super) retry_after: bool,
}

/// The instance.
pub(super) struct Campaign {
    site: Site,
    clients: Vec<Client>,
    pub(super) tokens: Tokens,
    account: TechnicalAccount,
    /// What the service account's assertions are checked with.
    bindings: RwLock<Vec<Binding>>,
    pub(super) world: RwLock<World>,
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

/// A record that is not there; its status is set when it is answered, see [`Site::missing_status`].
fn missing(resource: &str, key: &str) -> Fail {
    // The words for an invalid PKey are in the vendor's tests of its client. [C]
    if key.starts_with('@') {
        return (404, format!("'{key}' is not a valid constant"));
    }
    (404, format!("The {resource} '{key}' does not exist."))
}

impl Campaign {
    pub(super) fn new(
        site: Site,
        clients: Vec<Client>,
        token_lifetime: Duration,
        account: TechnicalAccount,
        world: World,
    ) -> Result<Campaign, String> {
        let bindings = account.keys.iter().map(|pem| Binding::read(pem)).collect::<Result<Vec<_>, _>>()?;
        let tokens = Tokens::new(token_lifetime);
        Ok(Campaign { site, clients, tokens, account, bindings: RwLock::new(bindings), world: RwLock::new(world) })
    }

    /// No PKey that was given out until now is known any more.
    pub(super) fn expire_pkeys(&self) {
        super::write(&self.world).epoch += 1;
    }

    fn policies(&self) -> Policies {
        let site = &self.site;
        Policies {
            lower_email: site.lower_email,
            smart_case: site.smart_case,
            strip_phone: site.strip_phone,
            cut_overlong: site.cut_overlong,
        }
    }

    /// An ordered or random fault in this API's error shape; `None` for those that are not an answer.
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
            Fault::Throttle { code, retry_after } => Some(throttled(code.as_deref(), *retry_after)),
            Fault::Unauthorized => Some(refuse(401, "401013", "Oauth token is not valid")),
            Fault::Html { status } => Some(net::page(*status, "<html><body>Service temporarily unavailable</body></html>")),
            Fault::Reset
            | Fault::LostAnswer
            | Fault::Slow(_)
            | Fault::CutBody
            | Fault::SlowBody(_)
            | Fault::Duplicate
            | Fault::Held
            | Fault::RepeatedAnswer
            | Fault::ExpiredPkeys => None,
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
            return Answer::new("throttled", throttled(None, Some(retry_after).filter(|_| self.site.retry_after)));
        }
        let mut parts = call.path.trim_start_matches('/').split('/').filter(|part| !part.is_empty());
        if parts.next() != Some(self.site.organization.as_str()) {
            return Answer::new("forbidden", refuse(403, "403023", "Profile is not valid"));
        }
        let below: Option<Vec<String>> = parts.map(net::decode).collect();
        let Some(below) = below else { return Answer::new("unknown", oops()) };
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        let ["campaign", endpoint, path @ ..] = below.as_slice() else { return Answer::new("unknown", oops()) };
        let Some(endpoint) = Endpoint::parse(endpoint) else { return Answer::new("unknown", oops()) };
        let Some(query) = net::query(call.query) else { return Answer::new("unknown", oops()) };
        let mut route = String::from("unknown");
        let response = match self.route(call, endpoint, path, &query, &mut route) {
            Ok(Some(response)) => response,
            Ok(None) => oops(),
            Err((status, message)) => {
                let status = if status == 404 { self.site.missing_status } else { status };
                refuse(status, &status.to_string(), &message)
            }
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
        let read = |route: &mut String, name: &str| {
            *route = name.to_owned();
            super::read(&self.world)
        };
        match (method, path) {
            ("GET", []) => {
                let world = read(route, "resources");
                return Ok(Some(ok(StatusCode::OK, &self.directory(&world, endpoint))));
            }
            ("GET", ["resourceType", pkey, "filters"]) => {
                let world = read(route, "resourceType/filters");
                let number = world.unseal(TYPE, pkey).map(|number| number as usize);
                let number = number.filter(|number| world.resources.get(*number).is_some_and(|resource| endpoint.serves(resource)));
                return Ok(number.map(|number| ok(StatusCode::OK, &self.filters(&world, number, endpoint))));
            }
            ("GET", ["resourceType", "history"]) if endpoint == Endpoint::Standard => {
                let world = read(route, "resourceType/history");
                return Ok(Some(ok(StatusCode::OK, &self.history_metadata(&world))));
            }
            ("GET", ["history", path @ ..]) if endpoint == Endpoint::Standard => return self.history(path, query, route),
            _ => {}
        }
        let metadata = match path {
            ["resourceType", name] | [name, "metadata"] => Some(*name),
            _ => None,
        };
        let Some(name) = metadata.or_else(|| path.first().copied()).map(|name| name.strip_suffix(".json").unwrap_or(name)) else {
            return Ok(None);
        };
        let number = {
            let world = super::read(&self.world);
            world.number(name).filter(|number| endpoint.serves(&world.resources[*number]))
        };
        let Some(number) = number else { return Ok(None) };
        if metadata.is_some() {
            if method != "GET" {
                return Ok(None);
            }
            let world = read(route, &format!("resourceType/{name}"));
            return Ok(Some(ok(StatusCode::OK, &self.metadata(&world, number, endpoint))));
        }
        // The vendor's own client writes the slash between two filters as `%2F`. [C] In a key it stays a part of the key. [K]
        let is_filters = |part: &str| part.contains('/') && self.is_list(number, endpoint, &part.split('/').collect::<Vec<_>>());
        let rest: Vec<&str> =
            (path[1..].iter()).flat_map(|part| if is_filters(part) { part.split('/').collect() } else { vec![*part] }).collect();
        match (method, rest.as_slice()) {
            ("POST", []) => {
                *route = name.to_owned();
                self.create(call, number, endpoint).map(Some)
            }
            ("GET", []) => {
                let world = read(route, name);
                let list = self.list(&world, number, endpoint, Of::default(), query)?;
                Ok(Some(ok(StatusCode::OK, &list)))
            }
            ("GET", parts) if self.is_list(number, endpoint, parts) => {
                let world = super::read(&self.world);
                let resource = &world.resources[number];
                let count = parts.last() == Some(&"_count");
                let column = parts.last().and_then(|part| resource.fields.find(part));
                let filters = if count || column.is_some() { &parts[..parts.len() - 1] } else { parts };
                let of = Of { filters, column, owner: None };
                *route = match (count, column) {
                    (true, _) => format!("{name}/{}_count", filters.join("/")),
                    (false, Some(_)) => format!("{name}/attribute"),
                    (false, None) => format!("{name}/{}", filters.join("/")),
                };
                let answer = if count {
                    json!({"count": self.count(&world, number, of, query)?})
                } else {
                    self.list(&world, number, endpoint, of, query)?
                };
                Ok(Some(ok(StatusCode::OK, &answer)))
            }
            (_, [key, more @ ..]) => {
                let by_pkey = key.starts_with('@');
                if !by_pkey && endpoint == Endpoint::Standard {
                    // Identification keys belong to the extended resource. [D]
                    return Ok(None);
                }
                *route = format!("{name}/{}", if by_pkey { "PKey" } else { "key" });
                // A key is not an address of linked records: they are reached by the addresses of an answer. [D]
                if let ([SUBSCRIPTIONS, rest @ ..], true) = (more, by_pkey) {
                    *route = format!("{name}/{SUBSCRIPTIONS}{}", if rest.is_empty() { "" } else { "/PKey" });
                    return self.subscriptions(call, endpoint, (number, key), rest, query);
                }
                match (method, more) {
                    ("PATCH", []) => self.update(call, number, endpoint, key).map(Some),
                    ("DELETE", []) => self.delete(number, key).map(Some),
                    ("GET", more) => self.one(endpoint, number, key, more, query, route),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Whether what follows the resource in an address is filters, a column, or a count, and no record.
    fn is_list(&self, number: usize, endpoint: Endpoint, parts: &[&str]) -> bool {
        let world = super::read(&self.world);
        let resource = &world.resources[number];
        let is_filter = |part: &str| resource.filters.iter().any(|filter| filter.name == part);
        let Some((last, first)) = parts.split_last() else { return false };
        let is_column = || resource.fields.find(last).is_some_and(|index| read::is_column(resource.fields.at(index), endpoint));
        first.iter().all(|part| is_filter(part)) && (is_filter(last) || *last == "_count" || is_column())
    }

    /// A record, one of its attributes, or what lies behind a link or a collection of it.
    fn one(
        &self,
        endpoint: Endpoint,
        number: usize,
        key: &str,
        more: &[&str],
        query: &[(String, String)],
        route: &mut String,
    ) -> Result<Option<Response<Body>>, Fail> {
        let world = super::read(&self.world);
        let resource = &world.resources[number];
        let id = world.find(number, key).ok_or_else(|| missing(&resource.name, key))?;
        let Some(row) = resource.rows.get(&id) else { return Ok(None) };
        let [name, rest @ ..] = more else {
            return Ok(Some(ok(StatusCode::OK, &Json::Object(self.record(&world, number, endpoint, id, row)))));
        };
        route.push_str("/attribute");
        let index = resource.fields.find(name).filter(|index| {
            let field = resource.fields.at(*index);
            field.within.is_none() && (endpoint.custom() || !field.custom)
        });
        let Some(index) = index else { return Ok(None) };
        let field = resource.fields.at(index);
        // A key is not an address of linked records: they are reached by the addresses of an answer. [D]
        if matches!(field.kind, Kind::Link | Kind::Collection) && !key.starts_with('@') {
            return Ok(None);
        }
        match (field.kind, rest) {
            (Kind::Collection, [] | ["_count"]) => {
                let target = field.target.as_deref().and_then(|target| world.number(target));
                let (Some(target), Some(via)) = (target, field.via.as_deref()) else {
                    let none = json!({"content": [], "serverSidePagination": true});
                    return Ok(rest.is_empty().then(|| ok(StatusCode::OK, &none)));
                };
                let Some(via) = world.resources[target].fields.find(via) else { return Ok(None) };
                let href = format!("{}/{}", self.href(&world, number, endpoint, &world.nested_pkey(number, id)), field.name);
                let of = Of { owner: Some((via, id, &href)), ..Of::default() };
                let answer = if rest.is_empty() {
                    self.list(&world, target, endpoint, of, query)?
                } else {
                    json!({"count": self.count(&world, target, of, query)?})
                };
                Ok(Some(ok(StatusCode::OK, &answer)))
            }
            (_, []) => Ok(Some(ok(StatusCode::OK, &self.attribute(&world, number, endpoint, id, row, index)))),
            _ => Ok(None),
        }
    }

    /// All records of a resource sorted by key, hidden ones too, without PKeys and addresses; links by the other record's key.
    /// `system` adds the instants.
    pub(super) fn dump(&self, resource: &str, system: bool) -> Option<Json> {
        let world = super::read(&self.world);
        let number = world.number(resource)?;
        let resource = &world.resources[number];
        let mut items: Vec<(String, String, Json)> = resource
            .rows
            .iter()
            .map(|(id, row)| {
                let mut record = self.record(&world, number, Endpoint::Extended, *id, row);
                for (index, field) in resource.fields.top(true) {
                    match field.kind {
                        Kind::Collection => drop(record.remove(&field.name)),
                        Kind::Link => {
                            if let Some((target, id)) = world.target(number, index, row) {
                                let target = &world.resources[target];
                                let key =
                                    target.address_key().and_then(|key| Some((target.fields.at(key), target.rows.get(&id)?.cell(key)?)));
                                record.insert(field.name.clone(), json!(key.map(|(field, cell)| cell.key_text(field))));
                            }
                        }
                        Kind::String
                        | Kind::Integer
                        | Kind::Number
                        | Kind::Boolean
                        | Kind::Date
                        | Kind::Datetime
                        | Kind::Enumeration
                        | Kind::Item => {}
                    }
                }
                for name in ["PKey", "href", "cryptedId", "age"] {
                    record.remove(name);
                }
                if !system {
                    record.remove("created");
                    record.remove("lastModified");
                }
                if !world.visible(number, *id) {
                    record.insert("hidden".to_owned(), json!(true));
                }
                let key = resource.keys.first().and_then(|key| resource.key_of(key, row)).unwrap_or_default();
                let record = Json::Object(record);
                (key.into(), record.to_string(), record)
            })
            .collect();
        items.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        Some(Json::Array(items.into_iter().map(|(_, _, record)| record).collect()))
    }
}

/// The gateway's answer to too many requests. [K]
fn throttled(code: Option<&str>, retry_after: Option<u64>) -> Response<Body> {
    let mut response = refuse(429, code.unwrap_or("429050"), "Too many requests");
    if let Some(seconds) = retry_after {
        net::set(&mut response, "retry-after", &seconds.to_string());
    }
    response
}
