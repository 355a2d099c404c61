//! The emulated Dataverse environment: its token endpoint and its Web API.
//!
//! Written from Microsoft's documentation of the Web API. Where a rule is documented the comments say [D], where it is known from
//! third parties only [C], and where the documents are silent and the emulator had to choose [K].

mod assertion;
mod batch;
mod bulk;
mod change;
mod close;
mod counts;
mod csdl;
pub(super) mod define;
mod definitions;
mod documented;
mod error;
mod expand;
mod filter;
pub(super) mod keep;
pub(super) mod limits;
mod messages;
mod metadata;
mod payload;
mod read;
mod relate;
mod route;
mod sample;
pub(super) mod setup;
pub(super) mod store;
pub(super) mod table;
mod token;
mod url;
pub(super) mod value;
mod write;

use std::sync::RwLock;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use self::error::{Fail, Result};
use self::limits::{Admitted, Limits, Protection, Refusal};
use self::setup::{Clock, Conditions, Setup, UserState};
use self::store::Store;
use super::faults::Fault;
use super::net::{self, Answer};
use super::stats::Api;
use super::tokens::{Client, Refused, Tokens};

/// The longest URL outside of a batch. [D]
const MAX_URL: usize = 32_768;

/// What answers need to know of the environment.
#[derive(Clone)]
pub(super) struct Site {
    /// `http://127.0.0.1:port`
    pub(super) base: String,
    /// The service root, without a trailing slash.
    pub(super) root: String,
    pub(super) tenant: String,
    pub(super) page_cap: usize,
    /// How long a delta token lives.
    pub(super) retention: Duration,
    /// The status of an expired delta token; 400 by default, for the service's own was never documented.
    pub(super) expired_status: u16,
    pub(super) clock: Clock,
    /// Whether the error of a failed change set is in the response of that set.
    pub(super) nested_change_set_error: bool,
    /// Whether `null` in `@odata.bind` is refused, as some clients report, or clears the lookup.
    pub(super) refuse_null_bind: bool,
    /// Whether inactive rows are read-only.
    pub(super) inactive_read_only: bool,
    /// Whether every expanded collection comes with a link.
    pub(super) expand_links: bool,
}

/// The rows an operation works on: the environment's, for as long as it takes, or those that a change set holds.
enum Access<'a> {
    Lock(&'a RwLock<Store>),
    Held(&'a mut Store, &'a batch::References),
}

impl Access<'_> {
    fn read<T>(&self, work: impl FnOnce(&Store) -> T) -> T {
        match self {
            Access::Lock(store) => work(&super::read(store)),
            Access::Held(store, _) => work(store),
        }
    }

    /// One operation: all of it or nothing.
    fn write<T>(&mut self, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
        match self {
            Access::Lock(store) => {
                let mut store = super::write(store);
                let done = store.atomically(work);
                store.commit();
                done
            }
            Access::Held(store, _) => store.atomically(work),
        }
    }
}

impl Site {
    /// The path of the service root.
    fn path(&self) -> &str {
        self.root.strip_prefix(&self.base).unwrap_or("")
    }

    /// The site under the version of the Web API in a request's path: links and contexts of an answer name the version that was
    /// asked. The versions 9.0 to 9.2 behave alike. [D]
    fn at(&self, version: &str) -> std::borrow::Cow<'_, Site> {
        let root = format!("{}/api/data/v9.{version}", self.base);
        if root == self.root { std::borrow::Cow::Borrowed(self) } else { std::borrow::Cow::Owned(Site { root, ..self.clone() }) }
    }

    /// Seconds since 1970.
    fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }
}

/// The environment.
pub(super) struct Dataverse {
    pub(super) site: Site,
    pub(super) clients: Vec<Client>,
    pub(super) tokens: Tokens,
    pub(super) store: RwLock<Store>,
    pub(super) protection: Protection,
    conditions: RwLock<Conditions>,
    /// Snapshots of numbers of rows that a test has set.
    pub(super) snapshots: RwLock<counts::Snapshots>,
    assertions: assertion::Seen,
}

/// A request at the door: the server it came to, and whether it is let in.
pub(super) struct Arrival<'a> {
    server: u32,
    admitted: std::result::Result<(usize, Admitted<'a>), Turned>,
}

/// Why a request is not let in.
enum Turned {
    Unknown(Refused),
    Limited(Refusal),
}

/// Goes with an answer: for how many operations the request counts.
#[derive(Clone, Copy, Debug)]
struct Operations(u64);

/// A request with its body read.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Dataverse {
    pub(super) fn new(site: Site, clients: Vec<Client>, token_lifetime: Duration, store: Store, protection: Protection) -> Dataverse {
        Dataverse {
            conditions: RwLock::new(Conditions::new(clients.len())),
            snapshots: RwLock::default(),
            site,
            clients,
            tokens: Tokens::new(token_lifetime),
            store: RwLock::new(store),
            protection,
            assertions: assertion::Seen::default(),
        }
    }

    /// Changes what an administrator sets up.
    pub(super) fn set_up(&self, change: &Setup) -> std::result::Result<(), String> {
        super::write(&self.conditions).apply(change, &self.clients, &self.site.clock)?;
        if let Some(servers) = change.servers {
            self.protection.set_servers(servers);
        }
        Ok(())
    }

    /// What every answer of the environment's hosts bears: their own time, when it is wrong.
    pub(super) fn stamp(&self, response: &mut Response<Body>) {
        if let Some(date) = self.site.clock.date() {
            net::set(response, "date", &date);
        }
    }

    /// Takes a request in: who sends it, at which server, within which limits.
    pub(super) fn arrive(&self, api: Api, headers: &HeaderMap) -> Option<Arrival<'_>> {
        if api != Api::Dataverse {
            return None;
        }
        let now = Instant::now();
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let server = self.protection.server(headers);
        let admitted = match self.tokens.check(authorization, now) {
            Err(why) => Err(Turned::Unknown(why)),
            Ok(client) => match self.protection.admit(client, server, now) {
                Ok(admitted) => Ok((client, admitted)),
                Err(refusal) => Err(Turned::Limited(refusal)),
            },
        };
        Some(Arrival { server, admitted })
    }

    /// Whether the path is the token endpoint's.
    pub(super) fn is_token_path(path: &str) -> bool {
        path.ends_with("/oauth2/v2.0/token") || path.ends_with("/.well-known/openid-configuration")
    }

    pub(super) fn token(&self, call: &Call<'_>) -> Answer {
        Answer::new("token", token::answer(self, call))
    }

    /// An ordered or random fault in this API's error shape; `None` for those that are not an answer.
    pub(super) fn fault(&self, fault: &Fault) -> Option<Response<Body>> {
        match fault {
            Fault::Status { status, code, retry_after } => {
                let (default, message) = match status {
                    503 => ("0x80040216", "The service is unavailable."),
                    _ => ("0x80040216", "An unexpected error occurred."),
                };
                let mut response = Fail::new(*status, code.as_deref().unwrap_or(default), message).response();
                if let Some(seconds) = retry_after {
                    net::set(&mut response, "retry-after", &seconds.to_string());
                }
                Some(response)
            }
            Fault::Throttle { code, retry_after } => {
                let code = code.as_deref().unwrap_or("0x80072322");
                Some(throttled(code, limits::message(code, Limits::default()), retry_after.unwrap_or(1)))
            }
            Fault::Unauthorized => Some(self.unauthorized(Refused::Expired)),
            Fault::Html { status } => {
                let page = "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body>Sign in</body></html>";
                Some(net::page(*status, page))
            }
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

    fn unauthorized(&self, why: Refused) -> Response<Body> {
        let (code, message) = match why {
            Refused::Missing => ("0x80044302", "The request is not authenticated."),
            Refused::Unknown => ("0x80044302", "The access token is not valid."),
            Refused::Expired => ("0x8005F101", "The access token has expired."),
        };
        let mut response = Fail::new(401, code, message).response();
        let challenge =
            format!("Bearer authorization_uri={}/{}/oauth2/authorize, resource_id={}/", self.site.base, self.site.tenant, self.site.base);
        net::set(&mut response, "www-authenticate", &challenge);
        response
    }

    /// Returns how long the service works on this many operations of one request.
    pub(super) fn work(&self, operations: u64) -> Duration {
        super::read(&self.conditions).row_time.saturating_mul(u32::try_from(operations).unwrap_or(u32::MAX))
    }

    /// Answers a request to the API. `faults` befall the parts of a batch.
    pub(super) fn answer(&self, call: &Call<'_>, arrival: &Arrival<'_>, faults: &[Option<Fault>]) -> Answer {
        let mut answer = match &arrival.admitted {
            Ok((client, _)) => self.dispatch(call, *client, faults),
            Err(Turned::Unknown(why)) => Answer::new("unauthorized", self.unauthorized(*why)),
            Err(Turned::Limited(Refusal { code, message, retry_after })) => {
                Answer::new("throttled", throttled(code, message.clone(), *retry_after))
            }
        };
        let response = &mut answer.response;
        net::set(response, "odata-version", "4.0");
        let id = uuid::Uuid::new_v4().to_string();
        net::set(response, "x-ms-service-request-id", &id);
        net::set(response, "req_id", &id);
        // Without `Secure`, which would keep a client from sending it back over loopback HTTP.
        net::set(response, "set-cookie", &format!("{}=server{};Path=/;HttpOnly", limits::COOKIE, arrival.server));
        let hint = super::read(&self.conditions).dop_hint;
        if hint > 0 {
            net::set(response, "x-ms-dop-hint", &hint.to_string());
        }
        if let Ok((_, admitted)) = &arrival.admitted {
            let (requests, time) = admitted.left;
            net::set(response, "x-ms-ratelimit-burst-remaining-xrm-requests", &requests.to_string());
            net::set(response, "x-ms-ratelimit-time-remaining-xrm-requests", &limits::time_left(time));
        }
        answer
    }

    /// Whether the environment takes the application's user.
    fn membership(&self, client: usize) -> Result<()> {
        let user = self.clients[client].user;
        match super::read(&self.conditions).applications[client].user {
            UserState::Enabled => Ok(()),
            UserState::Missing => Err(Fail::new(403, "0x80072560", "The user is not a member of the organization.")),
            // Code and text are assumed. [K]
            UserState::Disabled => {
                Err(Fail::new(403, "0x80040225", format!("The specified user(Id = {user}) is disabled. Consider enabling this user.")))
            }
        }
    }

    fn dispatch(&self, call: &Call<'_>, client: usize, faults: &[Option<Fault>]) -> Answer {
        if let Err(fail) = self.membership(client) {
            return Answer::new("forbidden", fail.response());
        }
        // The bound is documented, the answer is not. [K]
        if call.path.len() + call.query.map_or(0, str::len) > MAX_URL {
            let text = format!("The length of the URL exceeds the maximum of {MAX_URL} characters.");
            return Answer::new("too long", Fail::new(414, "0x80060888", text).response());
        }
        let mut route = String::from("unknown");
        let batch = call.path.strip_prefix("/api/data/v9.").and_then(|rest| rest.split_once('/'));
        if batch.is_some_and(|(version, below)| matches!(version, "0" | "1" | "2") && below == "$batch") && call.method == Method::POST {
            let (response, operations) = self.batch(call, client, faults);
            return Answer { operations, ..Answer::new("$batch", response) };
        }
        let response = self.route(call, client, &mut route, &mut Access::Lock(&self.store)).unwrap_or_else(|fail| fail.response());
        let operations = response.extensions().get().map_or(1, |Operations(count)| *count);
        Answer { operations, ..Answer::new(route, response) }
    }

    fn service_document(site: &Site, access: &Access<'_>) -> Response<Body> {
        let set = |rows: &store::Rows| json!({"name": rows.table.set, "kind": "EntitySet", "url": rows.table.set});
        let sets: Vec<_> = access.read(|store| store.tables.iter().filter(|rows| !rows.table.dropped).map(set).collect());
        let text = json!({"@odata.context": format!("{}/$metadata", site.root), "value": sets}).to_string();
        net::body(StatusCode::OK, read::JSON, text)
    }

    fn who_am_i(&self, site: &Site, client: usize, access: &Access<'_>) -> Response<Body> {
        let text = json!({
            "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse", site.root),
            "BusinessUnitId": access.read(|store| store.business_unit),
            "UserId": self.clients[client].user,
            "OrganizationId": uuid::Uuid::from_u128(0x0a6a_0000_0000_4000_8000_0000_0000_0001),
        });
        net::body(StatusCode::OK, read::JSON, text.to_string())
    }
}

/// Service protection: 429 with one of the three documented codes.
fn throttled(code: &str, message: String, retry_after: u64) -> Response<Body> {
    let mut response = Fail::new(429, code, message).response();
    net::set(&mut response, "retry-after", &retry_after.to_string());
    response
}

impl Dataverse {
    /// Fills in the rows every organization has, and sample contacts.
    pub(super) fn populate(&self, contacts: usize, seed: u64) -> std::result::Result<(), String> {
        let store = &mut *super::write(&self.store);
        let text = |fail: Fail| fail.message;
        let column = |store: &Store, table: usize, name: &str| store.tables[table].table.column(name);
        if let Some(users) = store.by_name("systemuser") {
            for (index, client) in self.clients.iter().enumerate() {
                let (last, email) = if index == 0 { ("d365map", "d365map@example.com") } else { ("Sales", "sales@example.com") };
                let names = [
                    ("firstname", "#"),
                    ("lastname", last),
                    ("domainname", client.id.as_str()),
                    ("internalemailaddress", email),
                    ("address1_telephone1", "+1 425 555 0199"),
                ];
                let changes =
                    names.iter().filter_map(|(name, text)| Some((column(store, users, name)?, value::Value::text(text)))).collect();
                store.insert(users, client.user, changes, 0, sample::created(0)).map_err(text)?;
            }
        }
        if let Some(currencies) = store.by_name("transactioncurrency") {
            let euro = uuid::Uuid::from_u128(store.currency.as_u128() ^ 1);
            for (id, names) in [(store.currency, ["US Dollar", "$", "USD"]), (euro, ["Euro", "€", "EUR"])] {
                let columns = ["currencyname", "currencysymbol", "isocurrencycode"].into_iter().zip(names);
                let changes =
                    columns.filter_map(|(name, text)| Some((column(store, currencies, name)?, value::Value::text(text)))).collect();
                store.insert(currencies, id, changes, 0, sample::created(0)).map_err(text)?;
            }
        }
        messages::fill(store).map_err(text)?;
        store.commit();
        if contacts == 0 {
            return Ok(());
        }
        let (Some(contact), Some(account)) = (store.by_name("contact"), store.by_name("account")) else { return Ok(()) };
        let mut accounts = Vec::new();
        for index in 0..10 {
            let id = sample::id(seed, 1, index);
            let changes = sample::account(&store.tables[account].table, index);
            store.insert(account, id, changes, 0, sample::created(index)).map_err(text)?;
            accounts.push(id);
        }
        for index in 0..contacts {
            let changes = sample::contact(&store.tables[contact].table, seed, index, (account as u8, &accounts));
            store.insert(contact, sample::id(seed, 2, index), changes, 0, sample::created(index)).map_err(text)?;
        }
        store.commit();
        Ok(())
    }

    /// Creates a row from a seed: a body as in a `POST`, which may contain `statecode`.
    pub(super) fn seed(&self, table: &str, body: &str) -> std::result::Result<(), String> {
        let store = &mut *super::write(&self.store);
        let table = store.by_name(table).ok_or_else(|| format!("no table `{table}`"))?;
        let done = write::seed(store, table, body, 0, self.site.now()).map(|_| ()).map_err(|fail| fail.message);
        store.commit();
        done
    }

    /// Ends delta tokens; with a table, as a change of its definition does.
    pub(super) fn expire_delta(&self, table: Option<&str>) -> bool {
        let mut store = super::write(&self.store);
        match table {
            None => store.expire(None),
            Some(name) => match store.by_name(name) {
                Some(index) => store.expire(Some(index)),
                None => return false,
            },
        }
        true
    }

    /// Changes a column's metadata; the table's delta tokens die. [C]
    pub(super) fn alter(&self, change: &super::admin::AlterColumn) -> std::result::Result<(), String> {
        self.redefine(&change.table, |table| table.alter(change))
    }

    /// Adds a column; the table's delta tokens die. [C]
    pub(super) fn add_column(&self, table: &str, column: table::Column) -> std::result::Result<(), String> {
        self.redefine(table, |table| table.extend(vec![column], Vec::new()))
    }

    fn redefine(
        &self,
        name: &str,
        change: impl FnOnce(&mut table::Table) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        let mut store = super::write(&self.store);
        let index = store.by_name(name).ok_or_else(|| format!("no table `{name}`"))?;
        let mut table = store.tables[index].table.clone();
        change(&mut table)?;
        store.redefine(index, table);
        Ok(())
    }

    /// Changes a table's settings. Switching change tracking on or off does not change its definition.
    pub(super) fn change_table(&self, change: &table::TableChange) -> std::result::Result<(), String> {
        let mut store = super::write(&self.store);
        let store = &mut *store;
        let index = store.by_name(&change.table).ok_or_else(|| format!("no table `{}`", change.table))?;
        let rows = &mut store.tables[index];
        for name in change.keys.keys() {
            if !rows.table.keys.iter().any(|key| key.name == *name) {
                return Err(format!("table `{}` has no key `{name}`", change.table));
            }
        }
        for key in &mut rows.table.keys {
            if let Some(status) = change.keys.get(&key.name) {
                key.status = *status;
            }
        }
        rows.index_keys();
        store.defined = true;
        let rows = &mut store.tables[index];
        if let Some(tracking) = change.tracking {
            rows.table.tracking = tracking;
        }
        if let Some(most) = change.max_targets {
            rows.table.set_max_targets(most);
        }
        if let Some(state) = change.state_on_create {
            rows.table.set_state_on_create(state);
        }
        if let Some(bulk) = change.bulk {
            rows.table.bulk = bulk;
            messages::fill(store).map_err(|fail| fail.message)?;
        }
        store.commit();
        Ok(())
    }

    /// Does something with a table's rows as another user than the integration's.
    fn as_another<T>(&self, table: &str, work: impl FnOnce(&mut Store, usize, u8) -> Result<T>) -> std::result::Result<T, String> {
        let mut store = super::write(&self.store);
        let table = store.by_name(table).ok_or_else(|| format!("no table `{table}`"))?;
        let done = store.atomically(|store| work(store, table, 1)).map_err(|fail| fail.message);
        store.commit();
        done
    }

    /// Creates a row as another user.
    pub(super) fn create_row(&self, table: &str, body: &str) -> std::result::Result<uuid::Uuid, String> {
        self.as_another(table, |store, table, user| write::seed(store, table, body, user, self.site.now()))
    }

    /// Changes a row as another user.
    pub(super) fn update_row(&self, table: &str, id: &str, body: &str) -> std::result::Result<(), String> {
        let id = uuid::Uuid::try_parse(id).map_err(|error| error.to_string())?;
        self.as_another(table, |store, table, user| write::change(store, table, id, body, user, self.site.now()))
    }

    /// Merges a contact into another one as another user: the one that is given up becomes inactive and names the one that stays
    /// (Dataverse: *Merge* action). What else a merge does, such as to move related rows, is left out.
    pub(super) fn merge(&self, target: &str, subordinate: &str) -> std::result::Result<(), String> {
        let id = |text: &str| uuid::Uuid::try_parse(text).map_err(|error| error.to_string());
        let (target, subordinate) = (id(target)?, id(subordinate)?);
        self.as_another("contact", |store, table, user| {
            let column = |name: &str| store.tables[table].table.column(name);
            let (Some(master), Some(merged), Some(state), Some(status)) =
                (column("masterid"), column("merged"), column("statecode"), column("statuscode"))
            else {
                return Err(Fail::new(400, "0x80040203", "this table cannot be merged"));
            };
            let changes = vec![
                (master, value::Value::Link(u8::try_from(table).unwrap_or_default(), target.into())),
                (merged, value::Value::Bool(true)),
                (state, value::Value::Int(1)),
                (status, value::Value::Int(2)),
            ];
            store.update(table, subordinate, changes, user, self.site.now()).map(|_| ())
        })
    }

    /// Deletes a row as another user.
    pub(super) fn delete_row(&self, table: &str, id: &str) -> std::result::Result<(), String> {
        let id = uuid::Uuid::try_parse(id).map_err(|error| error.to_string())?;
        self.as_another(table, |store, table, _| store.delete(table, id))
    }

    /// All rows of a table sorted by id; `system` adds versions and instants.
    pub(super) fn dump(&self, table: &str, system: bool) -> Option<String> {
        let store = super::read(&self.store);
        let index = store.by_name(table)?;
        Some(read::dump(&store, index, system))
    }
}
