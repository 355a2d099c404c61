//! The sign-in service in front of Partner Center: Entra ID's v1 and v2 endpoints for delegated access.
//!
//! Documented: the addresses, the grants (device code, authorization code with PKCE, refresh token, client credentials, password), the
//! names and types of the fields, the AADSTS codes. A page to sign in is replaced: `/authorize` redirects at once, and device codes
//! get their user as the settings say.

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use base64::Engine as _;
use chrono::TimeDelta;
use serde_json::json;
use sha2::Digest as _;

use super::settings::DeviceSignIn;
use super::tokens::{Code, Dead, Device, Progress, Session};
use super::{PartnerCenter, REFERRALS, WEBHOOKS};
use crate::TENANT;
use crate::dataverse::Call;
use crate::net::{self, Answer};
use crate::tokens::entra_refusal;

/// A refusal of the sign-in service.
struct Refusal {
    status: u16,
    error: &'static str,
    code: u32,
    text: String,
}

type Result<T> = std::result::Result<T, Refusal>;

fn refuse<T>(error: &'static str, code: u32, text: impl Into<String>) -> Result<T> {
    Err(Refusal { status: if error == "invalid_client" { 401 } else { 400 }, error, code, text: text.into() })
}

/// The fields of a form or of a query.
struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str) -> Result<&str> {
        match self.get(name) {
            Some(value) => Ok(value),
            None => refuse("invalid_request", 900144, format!("The request body must contain the following parameter: '{name}'.")),
        }
    }
}

/// The endpoint that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Token,
    DeviceCode,
    Authorize,
    Discovery,
}

/// The tenant, the version of the protocol, and the endpoint.
fn endpoint(path: &str) -> Option<(&str, u8, Endpoint)> {
    let (tenant, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (version, rest) = match rest {
        "v2.0/.well-known/openid-configuration" => return Some((tenant, 2, Endpoint::Discovery)),
        ".well-known/openid-configuration" => return Some((tenant, 1, Endpoint::Discovery)),
        _ => {
            let rest = rest.strip_prefix("oauth2/")?;
            rest.strip_prefix("v2.0/").map_or((1, rest), |rest| (2, rest))
        }
    };
    let endpoint = match rest {
        "token" => Endpoint::Token,
        "devicecode" => Endpoint::DeviceCode,
        "authorize" => Endpoint::Authorize,
        _ => return None,
    };
    Some((tenant, version, endpoint))
}

/// Whether the sign-in service answers this path.
pub(super) fn is_path(path: &str) -> bool {
    path == "/devicelogin" || endpoint(path).is_some()
}

/// A token request that passed the checks of its grant.
struct Granted {
    session: Session,
    resource: String,
    offline: bool,
}

impl PartnerCenter {
    /// Answers a request to the sign-in service.
    pub(crate) fn sign_in(&self, call: &Call<'_>) -> Answer {
        if call.path == "/devicelogin" {
            return Answer::new("devicelogin", self.device_page(call));
        }
        let Some((tenant, version, endpoint)) = endpoint(call.path) else {
            return Answer::new("unknown", net::empty(StatusCode::NOT_FOUND));
        };
        let (route, result) = match endpoint {
            Endpoint::Token => ("token", self.token(call, tenant, version)),
            Endpoint::DeviceCode => ("devicecode", self.device_code(call, tenant, version)),
            Endpoint::Authorize => ("authorize", self.authorize(call, tenant)),
            Endpoint::Discovery => ("discovery", Ok(self.discovery(tenant, version))),
        };
        let mut response = result.unwrap_or_else(|refusal| self.refusal(&refusal));
        net::set(&mut response, "cache-control", "no-store, no-cache");
        Answer::new(route, response)
    }

    fn refusal(&self, refusal: &Refusal) -> Response<Body> {
        let Refusal { status, error, code, text } = refusal;
        super::error::json_response(*status, &entra_refusal(error, *code, text, self.clock.now()))
    }

    fn discovery(&self, tenant: &str, version: u8) -> Response<Body> {
        let folder = if version == 2 { "oauth2/v2.0" } else { "oauth2" };
        let of = |path: &str| format!("{}/{tenant}/{folder}/{path}", self.site.referrals);
        let body = json!({
            "issuer": format!("https://sts.windows.net/{TENANT}/"),
            "token_endpoint": of("token"),
            "device_authorization_endpoint": of("devicecode"),
            "authorization_endpoint": of("authorize"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        super::error::json_response(200, &body)
    }

    /// Reads the form of a POST to one of the tenant's endpoints.
    fn form(&self, call: &Call<'_>, tenant: &str) -> Result<Form> {
        if call.method != Method::POST {
            return Err(Refusal {
                status: 405,
                error: "invalid_request",
                code: 900561,
                text: "The endpoint only accepts POST requests.".to_owned(),
            });
        }
        known_tenant(tenant)?;
        let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        let text = std::str::from_utf8(call.body).ok().filter(|_| content_type.starts_with("application/x-www-form-urlencoded"));
        Ok(Form(text.and_then(|text| net::query(Some(text))).unwrap_or_default()))
    }

    /// Checks the application and its secret: a confidential client always needs it.
    fn client(&self, form: &Form) -> Result<String> {
        let id = form.need("client_id")?;
        let people = &self.people;
        let secret = if id.eq_ignore_ascii_case(&people.public_client) {
            None
        } else if id.eq_ignore_ascii_case(&people.client) {
            Some(people.client_secret.as_str())
        } else {
            return refuse(
                "unauthorized_client",
                700016,
                format!("Application with identifier '{id}' was not found in the directory '{TENANT}'."),
            );
        };
        match (secret, form.get("client_secret")) {
            (None, None) => {}
            (None, Some(_)) => {
                return refuse(
                    "invalid_client",
                    700025,
                    "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
                );
            }
            (Some(_), None) => {
                return refuse(
                    "invalid_client",
                    7000218,
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                );
            }
            (Some(right), Some(given)) if right == given => {}
            (Some(_), Some(_)) => return refuse("invalid_client", 7000215, "Invalid client secret provided."),
        }
        Ok(id.to_ascii_lowercase())
    }

    /// The resource that a request asks for: `resource` in v1, a part of `scope` in v2.
    fn resource(&self, form: &Form, version: u8) -> Result<Option<String>> {
        let asked = match version {
            1 => form.get("resource"),
            _ => form.get("scope").and_then(|scope| {
                let resource = scope.split_ascii_whitespace().find(|part| part.contains("://"))?;
                resource.rsplit_once('/').map(|(resource, _)| resource)
            }),
        };
        let Some(asked) = asked else { return Ok(None) };
        let plain = asked.trim_end_matches('/');
        let known = [REFERRALS, WEBHOOKS, self.site.referrals.as_str(), self.site.webhooks.as_str()];
        if known.contains(&plain) {
            return Ok(Some(plain.to_owned()));
        }
        refuse("invalid_resource", 500011, format!("The resource principal named {asked} was not found in the tenant named {TENANT}."))
    }

    fn token(&self, call: &Call<'_>, tenant: &str, version: u8) -> Result<Response<Body>> {
        let form = self.form(call, tenant)?;
        let grant = form.need("grant_type")?;
        let client = self.client(&form)?;
        let granted = match grant {
            "urn:ietf:params:oauth:grant-type:device_code" | "device_code" => self.by_device(&form, client, version)?,
            "authorization_code" => self.by_code(&form, client, version)?,
            "refresh_token" => self.by_refresh(&form, client, version)?,
            "password" => self.by_password(&form, client, version)?,
            "client_credentials" => self.by_client(&form, client, version)?,
            _ => return refuse("unsupported_grant_type", 70003, "The app requested an unsupported grant type."),
        };
        Ok(self.issue(&granted, version))
    }

    fn issue(&self, granted: &Granted, version: u8) -> Response<Body> {
        let Granted { session, resource, offline } = granted;
        let now = self.clock.now();
        let users = crate::read(&self.users);
        let user = session.user.and_then(|index| users.get(index));
        let access = self.tokens.access(TENANT, user, session, resource, now, self.site.token_lifetime);
        let seconds = self.site.token_lifetime.num_seconds();
        let mut body = if version == 1 {
            // v1 writes its numbers as texts. [D]
            json!({
                "token_type": "Bearer",
                "expires_in": seconds.to_string(),
                "ext_expires_in": seconds.to_string(),
                "expires_on": (now.timestamp() + seconds).to_string(),
                "not_before": now.timestamp().to_string(),
                "resource": resource,
            })
        } else {
            json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds})
        };
        body["access_token"] = json!(access);
        if user.is_some() {
            body["scope"] = json!(if version == 1 { "user_impersonation".to_owned() } else { format!("{resource}/user_impersonation") });
            if *offline {
                body["refresh_token"] = json!(self.tokens.refresh(session, now));
            }
        }
        super::error::json_response(200, &body)
    }

    fn by_refresh(&self, form: &Form, client: String, version: u8) -> Result<Granted> {
        let token = form.need("refresh_token")?;
        let lifetime = TimeDelta::from_std(self.settings.refresh_lifetime).unwrap_or(TimeDelta::MAX);
        let session = match self.tokens.redeem(token, &client, self.clock.now(), lifetime, self.settings.single_use_refresh) {
            Ok(session) => session,
            Err(Dead::Unknown) => return refuse("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid."),
            Err(Dead::Expired) => return refuse("invalid_grant", 700082, "The refresh token has expired due to inactivity."),
            Err(Dead::Revoked) => {
                return refuse(
                    "invalid_grant",
                    50173,
                    "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
                );
            }
            Err(Dead::Used) => {
                return refuse("invalid_grant", 54005, "The refresh token was already redeemed, please retry with a new valid one.");
            }
        };
        let resource = self.resource(form, version)?.unwrap_or_else(|| REFERRALS.to_owned());
        Ok(Granted { session, resource, offline: true })
    }

    fn by_password(&self, form: &Form, client: String, version: u8) -> Result<Granted> {
        let (name, password) = (form.need("username")?, form.need("password")?);
        let resource = self.resource(form, version)?.unwrap_or_else(|| REFERRALS.to_owned());
        let users = crate::read(&self.users);
        let Some(user) = users.iter().position(|user| user.upn.eq_ignore_ascii_case(name) && user.password == password) else {
            return refuse("invalid_grant", 50126, "Error validating credentials due to invalid username or password.");
        };
        if !self.settings.password_grant {
            return refuse(
                "invalid_grant",
                50076,
                "Due to a configuration change made by your administrator, you must use multi-factor authentication to access the resource.",
            );
        }
        Ok(Granted { session: Session { user: Some(user), client, mfa: false }, resource, offline: offline(form, version) })
    }

    fn by_client(&self, form: &Form, client: String, version: u8) -> Result<Granted> {
        if client == self.people.public_client {
            return refuse(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            );
        }
        let Some(resource) = self.resource(form, version)? else {
            form.need(if version == 1 { "resource" } else { "scope" })?;
            return refuse(
                "invalid_scope",
                1002012,
                "Client credential flows must have a scope value with /.default suffixed to the resource identifier.",
            );
        };
        Ok(Granted { session: Session { user: None, client, mfa: false }, resource, offline: false })
    }

    fn by_code(&self, form: &Form, client: String, version: u8) -> Result<Granted> {
        let text = form.need("code")?;
        let invalid = || refuse("invalid_grant", 70000, "The provided value for the 'code' parameter is not valid.");
        let Some(code) = self.tokens.take_code(text) else {
            return refuse("invalid_grant", 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code.");
        };
        if code.until <= self.clock.now() {
            return refuse("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity.");
        }
        if code.session.client != client || form.get("redirect_uri") != Some(code.redirect.as_str()) {
            return invalid();
        }
        match (&code.challenge, form.get("code_verifier")) {
            (None, None) => {}
            (None, Some(_)) => return invalid(),
            (Some(_), None) => return refuse("invalid_grant", 50148, "The code_verifier parameter is missing."),
            (Some(challenge), Some(verifier)) => {
                let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier.as_bytes()));
                if hash != *challenge {
                    return refuse(
                        "invalid_grant",
                        501481,
                        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
                    );
                }
            }
        }
        let resource = self.resource(form, version)?.or(code.resource).unwrap_or_else(|| REFERRALS.to_owned());
        Ok(Granted { session: code.session, resource, offline: code.offline || version == 1 })
    }

    /// Redirects to the application at once: the admin has signed in.
    fn authorize(&self, call: &Call<'_>, tenant: &str) -> Result<Response<Body>> {
        known_tenant(tenant)?;
        let version = if call.path.contains("/v2.0/") { 2 } else { 1 };
        let form = Form(net::query(call.query).unwrap_or_default());
        let client = form.need("client_id")?.to_ascii_lowercase();
        if client != self.people.public_client && client != self.people.client {
            return refuse("unauthorized_client", 700016, format!("Application with identifier '{client}' was not found."));
        }
        let redirect = form.need("redirect_uri")?.to_owned();
        let local = url::Url::parse(&redirect).ok().filter(|url| {
            url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) && url.fragment().is_none()
        });
        let Some(mut target) = local else {
            return refuse("invalid_request", 50011, format!("The redirect URI '{redirect}' does not match those of the application."));
        };
        let state = form.get("state").map(str::to_owned);
        let mut answer = |pairs: &[(&str, &str)]| {
            let mut query = target.query_pairs_mut();
            query.extend_pairs(pairs);
            if let Some(state) = &state {
                query.append_pair("state", state);
            }
            drop(query);
            let mut response = net::empty(StatusCode::FOUND);
            net::set(&mut response, "location", target.as_str());
            response
        };
        if form.get("response_type") != Some("code") {
            return Ok(answer(&[("error", "unsupported_response_type"), ("error_description", "AADSTS70005: use response_type=code.")]));
        }
        let challenge = form.get("code_challenge").map(str::to_owned);
        match (&challenge, form.get("code_challenge_method")) {
            (Some(_), Some("S256")) => {}
            (None, _) if client == self.people.client => {}
            (Some(_), _) => {
                return Ok(answer(&[("error", "invalid_request"), ("error_description", "AADSTS501491: use code_challenge_method=S256.")]));
            }
            (None, _) => {
                return Ok(answer(&[
                    ("error", "invalid_request"),
                    ("error_description", "AADSTS9002325: PKCE is required for a public client."),
                ]));
            }
        }
        let resource = self.resource(&form, version)?;
        let users = crate::read(&self.users);
        let hint = form.get("login_hint");
        let user = users.iter().position(|user| hint.is_none_or(|hint| user.upn.eq_ignore_ascii_case(hint)));
        let denied = std::mem::take(&mut *crate::lock(&self.deny_next));
        let Some(user) = user.filter(|_| !denied) else {
            return Ok(answer(&[
                ("error", "access_denied"),
                ("error_description", "AADSTS65004: User declined to consent to access the app."),
            ]));
        };
        let session = Session { user: Some(user), client, mfa: self.mfa_at_sign_in() };
        let until = self.clock.now() + TimeDelta::minutes(10);
        let code = self.tokens.put_code(Code { session, redirect, challenge, resource, offline: offline(&form, version), until });
        Ok(answer(&[("code", &code)]))
    }

    fn device_code(&self, call: &Call<'_>, tenant: &str, version: u8) -> Result<Response<Body>> {
        let form = self.form(call, tenant)?;
        // The secret of a confidential client is asked for when the code is redeemed.
        let client = form.need("client_id")?.to_ascii_lowercase();
        if client != self.people.public_client && client != self.people.client {
            return refuse("unauthorized_client", 700016, format!("Application with identifier '{client}' was not found."));
        }
        let resource = self.resource(&form, version)?;
        let letters = uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase();
        let user_code: String = letters.chars().take(9).collect();
        let device = Device {
            client,
            user_code: user_code.clone(),
            resource,
            offline: offline(&form, version),
            until: self.clock.now() + TimeDelta::minutes(15),
            polls: 0,
            last_poll: None,
            progress: Progress::Pending,
        };
        let device_code = self.tokens.put_device(device);
        let page = format!("{}/devicelogin", self.site.referrals);
        let message = format!("To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate.");
        let interval = self.settings.device_interval.as_secs();
        let number = |n: u64| if version == 1 { json!(n.to_string()) } else { json!(n) };
        let mut body = json!({"user_code": user_code, "device_code": device_code, "message": message});
        body["expires_in"] = number(900);
        body["interval"] = number(interval);
        body[if version == 1 { "verification_url" } else { "verification_uri" }] = json!(page);
        Ok(super::error::json_response(200, &body))
    }

    fn by_device(&self, form: &Form, client: String, version: u8) -> Result<Granted> {
        let code = match form.get("device_code").or_else(|| form.get("code")) {
            Some(code) => code,
            None => form.need("device_code")?,
        };
        let (expired, unknown) = if version == 1 { ("code_expired", "invalid_grant") } else { ("expired_token", "bad_verification_code") };
        let now = self.clock.now();
        let interval = TimeDelta::from_std(self.settings.device_interval).unwrap_or(TimeDelta::zero());
        let slow = {
            let mut slow = crate::lock(&self.slow_down);
            let now = *slow > 0;
            *slow = slow.saturating_sub(1);
            now
        };
        let mfa = self.mfa_at_sign_in();
        self.tokens.device(code, |device| {
            let Some(device) = device.filter(|device| device.client == client) else {
                return (refuse(unknown, 70000, "The provided value for the input parameter 'device_code' is not valid."), false);
            };
            if device.until <= now {
                return (
                    refuse(
                        expired,
                        70020,
                        "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
                    ),
                    true,
                );
            }
            let early = device.last_poll.is_some_and(|last| now - last < interval);
            device.last_poll = Some(now);
            if early || slow {
                return (refuse("slow_down", 70018, "The client polls too often: wait longer between two requests."), false);
            }
            device.polls += 1;
            if let (DeviceSignIn::AfterPolls(polls), Progress::Pending) = (&self.settings.device_sign_in, &device.progress)
                && device.polls > *polls
            {
                device.progress = Progress::SignedIn(0);
            }
            match device.progress {
                Progress::Pending => {
                    let text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
                    (refuse("authorization_pending", 70016, text), false)
                }
                Progress::Declined => (refuse("authorization_declined", 70017, "The user declined to grant the application access."), true),
                Progress::SignedIn(user) => {
                    let session = Session { user: Some(user), client, mfa };
                    let resource = device.resource.clone().unwrap_or_else(|| REFERRALS.to_owned());
                    (Ok(Granted { session, resource, offline: device.offline }), true)
                }
            }
        })
    }

    /// The page on which a person enters the code of a device. The emulator takes the code from the address.
    fn device_page(&self, call: &Call<'_>) -> Response<Body> {
        let form = Form(net::query(call.query).unwrap_or_default());
        let users = crate::read(&self.users);
        let name = form.get("user");
        let user = users.iter().position(|user| name.is_none_or(|name| user.upn.eq_ignore_ascii_case(name)));
        let settled = match (form.get("code"), user) {
            (Some(code), Some(user)) => self.tokens.settle_device(Some(code), &Progress::SignedIn(user), None) > 0,
            (None, _) | (_, None) => false,
        };
        let text = if settled {
            "<html><body>You have signed in. You may now close this window.</body></html>"
        } else {
            "<html><body><form>Enter the code: <input name=\"code\"> <button>Next</button></form></body></html>"
        };
        net::body(StatusCode::OK, "text/html; charset=utf-8", text)
    }
}

fn known_tenant(tenant: &str) -> Result<()> {
    if tenant == TENANT || matches!(tenant, "common" | "organizations") {
        return Ok(());
    }
    refuse("invalid_request", 90002, format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."))
}

/// Whether the answer has a refresh token: v2 asks for the scope `offline_access`, v1 always gives one. [D]
fn offline(form: &Form, version: u8) -> bool {
    version == 1 || form.get("scope").is_some_and(|scope| scope.split_ascii_whitespace().any(|part| part == "offline_access"))
}
