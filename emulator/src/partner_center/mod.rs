//! The emulated Partner Center: referrals (co-sell), its webhooks, and the sign-in service in front of both.
//!
//! Sources: Microsoft's documentation of the referrals API and of Partner Center's webhooks [D]; public payloads and exports of
//! organizations that use them [O]. Where these are silent the emulator had to choose: [I] for what follows from them, [K] for the rest.
//! Most choices are settings (`settings.rs`).

mod admin;
mod adoption;
mod clock;
mod delivery;
mod error;
mod filter;
mod list;
mod login;
mod patch;
mod referral;
pub(super) mod seed;
mod seller;
mod settings;
mod signing;
mod store;
mod tls;
mod tokens;
mod transitions;
mod webhooks;

use std::sync::{Mutex, RwLock};
use std::time::Instant as Moment;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use chrono::TimeDelta;
use serde_json::Value as Json;

pub(super) use self::admin::routes;
use self::adoption::Adoption;
use self::clock::Clock;
use self::delivery::Deliveries;
use self::error::{Host, Problem, Result, json_response};
use self::referral::render;
pub use self::settings::{DeviceSignIn, PartnerCenterConfig, PartnerCredentials, PartnerUser, SellerAction, SellerScript, SellerStep};
use self::signing::Chain;
use self::store::{Actor, Referral, State, Viewer};
pub(super) use self::tls::TlsDoor;
use self::tokens::{Role, Tokens, User};
use self::webhooks::Webhooks;
use super::dataverse::Call;
use super::faults::{Fault, Faults, Refusal};
use super::net::{self, Answer};
use super::stats::Api;
use super::{TENANT, lock};

/// The audience of the referrals API. [D]
const REFERRALS: &str = "https://api.partner.microsoft.com";
/// The audience of the webhooks API. [D]
const WEBHOOKS: &str = "https://api.partnercenter.microsoft.com";
/// The path of the referrals. [D]
const PATH: &str = "/v1.0/engagements/referrals";
/// The path in the address of an event's resource, on the host of the webhooks. [D]
const ALIAS: &str = "/engagements/v1/referrals";

/// Where the emulator is reached.
pub(super) struct Site {
    /// `http://127.0.0.1:port`: the referrals API and the sign-in service.
    pub(super) referrals: String,
    /// `http://127.0.0.1:port`: the webhooks API.
    pub(super) webhooks: String,
    /// `https://127.0.0.1:port`: the certificates.
    pub(super) certificates: String,
    pub(super) token_lifetime: TimeDelta,
}

/// The emulator.
pub(super) struct PartnerCenter {
    site: Site,
    settings: PartnerCenterConfig,
    people: PartnerCredentials,
    users: RwLock<Vec<User>>,
    clock: Clock,
    tokens: Tokens,
    state: Mutex<State>,
    webhooks: Mutex<Webhooks>,
    deliveries: Deliveries,
    adoption: Adoption,
    chain: Chain,
    /// Whether interactive sign-ins put `mfa` into the tokens from now on.
    mfa: Mutex<bool>,
    /// Whether the next authorization is denied.
    deny_next: Mutex<bool>,
    /// How many polls of device codes are answered `slow_down`.
    slow_down: Mutex<u32>,
}

/// The emulator's own, well-known accounts and applications.
pub(super) fn credentials() -> PartnerCredentials {
    let user = |name: &str, password: &str| PartnerUser { name: name.to_owned(), password: password.to_owned() };
    PartnerCredentials {
        tenant: TENANT.to_owned(),
        public_client: "d365d365-0000-4000-8000-000000000003".to_owned(),
        client: "d365d365-0000-4000-8000-000000000004".to_owned(),
        client_secret: "emulator-partner-secret".to_owned(),
        admin: user("referrals.admin@partner.example", "emulator-admin-password"),
        user: user("seller@partner.example", "emulator-seller-password"),
        referrals_audience: REFERRALS.to_owned(),
        webhooks_audience: WEBHOOKS.to_owned(),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Who calls, after the checks of the token.
struct Caller {
    /// None for an application on its own.
    viewer: Option<Viewer>,
    name: String,
    client: String,
    mfa: bool,
}

impl PartnerCenter {
    pub(super) fn new(site: Site, settings: PartnerCenterConfig, seed: seed::PartnerSeed) -> std::result::Result<PartnerCenter, String> {
        let people = credentials();
        let known = |number: u128, user: &PartnerUser, role| User {
            oid: uuid::Uuid::from_u128(0x0a1d_0000_0000_4000_8000_0000_0000_0000 + number),
            upn: user.name.clone(),
            password: user.password.clone(),
            role,
        };
        let mut users = vec![known(1, &people.admin, Role::ReferralsAdmin), known(2, &people.user, Role::ReferralsUser)];
        for (number, user) in seed.users.iter().enumerate() {
            users.push(known(
                number as u128 + 3,
                &PartnerUser { name: user.name.clone(), password: user.password.clone().unwrap_or_default() },
                user.role,
            ));
        }
        let mfa = Mutex::new(settings.mfa_at_sign_in);
        let of = |name: &str| format!("{}/pki/{name}.cer", site.webhooks);
        let chain = Chain::make(&of("issuer"), &of("foreign-issuer")).map_err(|error| error.to_string())?;
        let deliveries = Deliveries::new(&settings);
        let center = PartnerCenter {
            site,
            settings,
            people,
            users: RwLock::new(users),
            clock: Clock::default(),
            tokens: Tokens::default(),
            state: Mutex::default(),
            webhooks: Mutex::default(),
            deliveries,
            adoption: Adoption::default(),
            chain,
            mfa,
            deny_next: Mutex::default(),
            slow_down: Mutex::default(),
        };
        center.plant(seed)?;
        Ok(center)
    }

    /// The listener from which certificates are fetched.
    pub(super) fn certificates(&self, listener: tokio::net::TcpListener) -> std::io::Result<TlsDoor> {
        TlsDoor::new(listener, &self.chain)
    }

    /// The root of the certificates with which deliveries are signed, as PEM.
    pub(super) fn root_pem(&self) -> &str {
        &self.chain.root_pem
    }

    /// Whether the sign-in service answers this path of the referrals port.
    pub(super) fn is_sign_in_path(path: &str) -> bool {
        login::is_path(path)
    }

    /// Ends every access token at once.
    pub(super) fn expire_tokens(&self) {
        self.tokens.expire_all();
    }

    fn mfa_at_sign_in(&self) -> bool {
        *lock(&self.mfa)
    }

    /// A fault in the shape of the API.
    pub(super) fn fault(&self, api: Api, fault: &Fault) -> Option<Response<Body>> {
        let host = if api == Api::Webhooks { Host::Webhooks } else { Host::Referrals };
        let problem = match fault {
            Fault::Status { status, code, retry_after } => {
                let known = match status {
                    500 => "generalException",
                    503 => "serviceNotAvailable",
                    _ => "invalidRequest",
                };
                let problem = Problem::new(*status, code.as_deref().unwrap_or(known), "The service is temporarily unavailable.");
                Problem { retry_after: *retry_after, ..problem }
            }
            Fault::Throttle { code, retry_after } => {
                let problem = Problem::new(429, code.as_deref().unwrap_or("activityLimitReached"), "Too many requests.");
                Problem { retry_after: *retry_after, ..problem }
            }
            Fault::Unauthorized => Problem::new(401, "unauthenticated", "The token is not valid."),
            Fault::Html { status } => return Some(net::page(*status, "<html><body>Service temporarily unavailable</body></html>")),
            Fault::Reset
            | Fault::LostAnswer
            | Fault::Held
            | Fault::Slow(_)
            | Fault::CutBody
            | Fault::SlowBody(_)
            | Fault::Duplicate
            | Fault::RepeatedAnswer
            | Fault::ExpiredPkeys => return None,
        };
        Some(problem.response(host, &self.settings))
    }

    /// Answers a request to one of the two APIs.
    pub(super) fn answer(&self, api: Api, call: &Call<'_>, faults: &Faults) -> Answer {
        self.tick();
        let host = if api == Api::Webhooks { Host::Webhooks } else { Host::Referrals };
        if host == Host::Webhooks
            && let Some(response) = self.certificate(call.path)
        {
            return Answer::new("certificate", response);
        }
        let mut mfa = None;
        let (route, result) = match self.caller(host, call) {
            Err(problem) => ("unauthorized", Err(problem)),
            Ok(caller) => {
                if caller.viewer.is_some() {
                    mfa = Some(caller.mfa);
                    self.adoption.count(self.clock.now().date_naive(), &caller.client, caller.mfa);
                }
                match self.admit(&caller, api, faults) {
                    Err(problem) => ("unauthorized", Err(problem)),
                    Ok(()) => self.route(host, call, &caller),
                }
            }
        };
        let mut response = result.unwrap_or_else(|problem| problem.response(host, &self.settings));
        self.stamp(&mut response, call, mfa);
        Answer::new(route, response)
    }

    fn caller(&self, host: Host, call: &Call<'_>) -> Result<Caller> {
        let refused = |text: &str| Problem::new(401, "unauthenticated", text);
        let access = self.tokens.check(header(call.headers, "authorization"), self.clock.now());
        let Some(access) = access else { return Err(refused("The token is missing, unknown or expired.")) };
        let (audience, own) = match host {
            Host::Referrals => (REFERRALS, &self.site.referrals),
            Host::Webhooks => (WEBHOOKS, &self.site.webhooks),
        };
        if access.audience != audience && access.audience != *own {
            return Err(refused(&format!("The token is for {}, and not for {audience}.", access.audience)));
        }
        let users = super::read(&self.users);
        let user = access.session.user.and_then(|index| users.get(index));
        let name = user.map_or_else(|| access.session.client.clone(), |user| user.upn.clone());
        Ok(Caller { viewer: user.map(Viewer::new), name, client: access.session.client, mfa: access.session.mfa })
    }

    fn admit(&self, caller: &Caller, api: Api, faults: &Faults) -> Result<()> {
        if caller.viewer.is_some() && self.settings.require_mfa && !caller.mfa {
            let text = "The token has no valid claim of multi-factor authentication.";
            let inner = ("900421".to_owned(), text.to_owned());
            return Err(Problem { inner: Some(Box::new(inner)), ..Problem::new(401, "unauthenticated", text) });
        }
        faults.admit(api, &caller.name, Moment::now()).map_err(|Refusal { retry_after, .. }| Problem {
            retry_after: Some(retry_after),
            ..Problem::new(429, "activityLimitReached", "Too many requests.")
        })
    }

    /// The headers of every answer. [D]
    fn stamp(&self, response: &mut Response<Body>, call: &Call<'_>, mfa: Option<bool>) {
        let new = || uuid::Uuid::new_v4().to_string();
        let given = |name: &str| header(call.headers, name).map(str::to_owned);
        net::set(response, "request-id", &new());
        net::set(response, "client-request-id", &given("client-request-id").unwrap_or_else(new));
        net::set(response, "ms-correlationid", &given("ms-correlationid").unwrap_or_else(new));
        net::set(response, "ms-requestid", &given("ms-requestid").unwrap_or_else(new));
        net::set(response, "x-locale", "en-US");
        net::set(response, "timestamp", &clock::format(self.clock.now()));
        net::set(response, "x-ms-ags-diagnostic", r#"{"ServerInfo":{"DataCenter":"Emulated","Slice":"SliceC","Ring":"1"}}"#);
        if let Some(mfa) = mfa
            && let Ok(name) = axum::http::HeaderName::try_from(self.settings.mfa_header.as_str())
        {
            response.headers_mut().insert(name, axum::http::HeaderValue::from_static(if mfa { "true" } else { "false" }));
        }
    }

    fn route(&self, host: Host, call: &Call<'_>, caller: &Caller) -> (&'static str, Result<Response<Body>>) {
        if host == Host::Webhooks && Self::is_registration(call.path) {
            return self.registration(call);
        }
        if host == Host::Webhooks && call.path == adoption::PATH {
            return ("mfa-adoption", Ok(self.adoption.report()));
        }
        let path = call.path.strip_suffix('/').unwrap_or(call.path);
        let rest = match host {
            Host::Referrals => path.strip_prefix(PATH).or_else(|| path.strip_prefix(ALIAS)),
            Host::Webhooks => path.strip_prefix(ALIAS),
        };
        let Some(rest) = rest else { return ("unknown", Err(Problem::missing("The resource does not exist."))) };
        let Some(viewer) = &caller.viewer else {
            return ("forbidden", Err(Problem::forbidden("Referrals need a user: an application alone has no access.")));
        };
        let alias = path.starts_with(ALIAS);
        match (call.method, rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'))) {
            (&Method::GET, Some(id)) => ("referrals(id)", self.get(id, viewer)),
            (_, _) if alias => ("unknown", Err(Problem::method())),
            (&Method::GET, None) if rest.is_empty() => ("referrals", self.list(call.query, viewer)),
            (&Method::POST, None) if rest.is_empty() => ("referrals", self.create(call, viewer)),
            (&Method::PATCH, Some(id)) => ("referrals(id)", self.patch(id, call, viewer)),
            (&Method::PUT, Some(id)) => ("referrals(id)", self.put(id, call, viewer)),
            (_, Some(_)) => ("referrals(id)", Err(Problem::method())),
            (_, None) if rest.is_empty() => ("referrals", Err(Problem::method())),
            (_, None) => ("unknown", Err(Problem::missing("The resource does not exist."))),
        }
    }

    fn shown(&self, status: u16, referral: &Referral) -> Response<Body> {
        let root = format!("{}{PATH}", self.site.referrals);
        let mut body = render(&referral.body, &root, self.settings.escape_names);
        body["@odata.context"] = Json::String(format!("{root}/$metadata#Referrals/$entity"));
        let mut response = json_response(status, &body);
        net::set(&mut response, "etag", referral.etag());
        response
    }

    fn get(&self, id: &str, viewer: &Viewer) -> Result<Response<Body>> {
        let state = lock(&self.state);
        let referral = state.find(id)?;
        if !viewer.sees(referral) {
            return Err(Problem::forbidden("The referral is not in the scope of the user."));
        }
        Ok(self.shown(200, referral))
    }

    fn writer(viewer: &Viewer) -> Result<()> {
        if viewer.may_write() { Ok(()) } else { Err(Problem::forbidden("Only a Referrals admin can create and change referrals.")) }
    }

    fn body(call: &Call<'_>) -> Result<Json> {
        is_json(call)?;
        serde_json::from_slice(call.body).map_err(|error| Problem::invalid(format!("The body is not valid JSON: {error}.")))
    }

    fn create(&self, call: &Call<'_>, viewer: &Viewer) -> Result<Response<Body>> {
        Self::writer(viewer)?;
        let body = Self::body(call)?;
        let mut state = lock(&self.state);
        let id = state.create(&body, Actor::Partner, self.clock.stamp(), &self.settings)?;
        let answer = self.shown(self.settings.create_status, state.find(&id)?);
        drop(state);
        self.tick();
        Ok(answer)
    }

    /// Checks `If-Match`, if it is there.
    fn matches(call: &Call<'_>, referral: &Referral) -> Result<()> {
        match header(call.headers, "if-match") {
            None | Some("*") => Ok(()),
            Some(etag) if etag == referral.etag() => Ok(()),
            Some(_) => Err(Problem::stale()),
        }
    }

    fn patch(&self, id: &str, call: &Call<'_>, viewer: &Viewer) -> Result<Response<Body>> {
        Self::writer(viewer)?;
        is_json(call)?;
        let operations = patch::parse(call.body)?;
        let mut state = lock(&self.state);
        Self::matches(call, state.find(id)?)?;
        state.patch(id, operations, Actor::Partner, self.clock.stamp(), &self.settings)?;
        let preferences = call.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let with_body = preferences.into_iter().any(|value| value.trim().eq_ignore_ascii_case("return=representation"));
        let referral = state.find(id)?;
        let answer = if with_body {
            let mut response = self.shown(200, referral);
            net::set(&mut response, "preference-applied", "return=representation");
            response
        } else {
            let mut response = net::empty(StatusCode::NO_CONTENT);
            net::set(&mut response, "etag", referral.etag());
            response
        };
        drop(state);
        self.tick();
        Ok(answer)
    }

    fn put(&self, id: &str, call: &Call<'_>, viewer: &Viewer) -> Result<Response<Body>> {
        Self::writer(viewer)?;
        let body = Self::body(call)?;
        let mut state = lock(&self.state);
        let referral = state.find(id)?;
        if header(call.headers, "if-match").is_none() {
            return Err(Problem::new(self.settings.missing_if_match_status, "invalidRequest", "The header If-Match is required."));
        }
        Self::matches(call, referral)?;
        state.put(id, &body, Actor::Partner, self.clock.stamp(), &self.settings)?;
        let answer = self.shown(200, state.find(id)?);
        drop(state);
        self.tick();
        Ok(answer)
    }
}

/// Checks the type of a body. [D: `application/json` for JSON Patch too; its own type is taken as well]
fn is_json(call: &Call<'_>) -> Result<()> {
    let content_type = header(call.headers, "content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if matches!(essence, "application/json" | "application/json-patch+json") {
        return Ok(());
    }
    Err(Problem::new(415, "invalidRequest", "The content type of the request is not supported. Use application/json."))
}
