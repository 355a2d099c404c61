//! The requests to the token service, version 2 of its endpoints, and what its refusals mean.
//!
//! Sources: RFC 6749, 5; Microsoft Entra, *error codes*.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::SignInConfig;
use super::claims::Claims;
use crate::connect::error::{Call, ConnectError};
use crate::connect::http::address::service_url;
use crate::connect::http::answer::strip_bom;
use crate::connect::http::client::Http;
use crate::connect::http::credential::Credential;
use crate::connect::http::request::{Payload, Request};
use crate::connect::http::retry::Repeat;
use crate::connect::http::slot;
use crate::connect::http::token;

/// One field of a form.
pub(super) type Field<'a> = (&'static str, &'a str);

/// The endpoints of one directory, and the app that asks.
pub(super) struct TokenService {
    http: Http,
    token_url: Url,
    device_url: Url,
    pub(super) authorize_url: Url,
    client_id: String,
    client: Option<Credential>,
    command: &'static str,
}

impl fmt::Debug for TokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token_url.as_str())
    }
}

/// An access token with all that came with it.
pub(super) struct Granted {
    pub(super) header: HeaderValue,
    pub(super) life: Duration,
    /// The refresh token that takes the place of the one that was used.
    pub(super) refresh: Option<SecretString>,
    pub(super) claims: Claims,
}

/// A code for a person who signs in on any device.
pub(super) struct DeviceCode {
    pub(super) device_code: SecretString,
    pub(super) user_code: String,
    /// Where the person enters the user code.
    pub(super) address: String,
    /// The pause between two polls.
    pub(super) interval: Option<Duration>,
    pub(super) expires_in: Duration,
}

/// How long a device code is good for if the service does not state it. Entra ID's live for 15 minutes.
const UNSTATED_EXPIRY: Duration = Duration::from_secs(900);
/// The longest time that is believed, in seconds.
const LONGEST_WAIT: u64 = 24 * 3600;

/// The scope of an audience. `offline_access` asks for a refresh token.
pub(super) fn scope(audience: &str) -> String {
    format!("{}/.default offline_access openid", audience.trim_end_matches('/'))
}

/// What to do if a person must sign in.
pub(super) fn remedy(command: &str) -> String {
    format!("sign in: `{command}`")
}

impl TokenService {
    pub(super) fn new(http: Http, config: &SignInConfig, client: Option<Credential>) -> Result<Self, ConnectError> {
        service_url("partner-center", "authority", &config.authority)?;
        let plausible = config.tenant.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
            && config.tenant.chars().any(|c| c.is_ascii_alphanumeric());
        let wrong = || {
            ConnectError::config(format!("`{}` is not a tenant", config.tenant), "give the directory's id (a GUID) or one of its domains")
        };
        if !plausible {
            return Err(wrong());
        }
        let base = config.authority.as_str().trim_end_matches('/');
        let endpoint = |name: &str| Url::parse(&format!("{base}/{}/oauth2/v2.0/{name}", config.tenant)).map_err(|_| wrong());
        let (token_url, device_url, authorize_url) = (endpoint("token")?, endpoint("devicecode")?, endpoint("authorize")?);
        if let Some(secret) = client.as_ref().and_then(Credential::repeatable) {
            http.redactor().keep(&config.client_id, secret);
        }
        Ok(Self { http, token_url, device_url, authorize_url, client_id: config.client_id.clone(), client, command: config.command })
    }

    /// Exchanges a refresh token.
    pub(super) async fn refresh(&self, token: &SecretString, audience: &str) -> Result<Granted, ConnectError> {
        self.http.redactor().pass(token.expose_secret());
        let scope = scope(audience);
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret()), ("scope", scope.as_str())];
        // Entra ID accepts a refresh token more than once, so that a lost answer does no harm.
        self.grant(&fields, Repeat::Safe).await.map_err(|error| self.explained(error))
    }

    /// Asks for tokens. The error is the service's own.
    pub(super) async fn grant(&self, fields: &[Field<'_>], repeat: Repeat) -> Result<Granted, ConnectError> {
        let first = self.form(fields)?;
        // Encoded again for each attempt: an assertion is good for one use.
        let fresh = || self.form(fields).unwrap_or_else(|_| first.clone());
        let request = Request {
            headers: headers(),
            body: Payload::Fresh(&fresh),
            repeat,
            ..Request::new("token", Method::POST, self.token_url.clone())
        };
        let answer = self.http.send(&request).await?;
        let problem = |problem: &str| request.protocol(format!("{problem}: check the connection's `authority`"));
        let value: Value = serde_json::from_slice(strip_bom(&answer)).map_err(|_| problem("the token service's answer is not JSON"))?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let access = text("access_token").ok_or_else(|| problem("the token service's answer has no `access_token`"))?;
        self.http.redactor().pass(access);
        let refresh = text("refresh_token").map(SecretString::from);
        if let Some(token) = &refresh {
            self.http.redactor().pass(token.expose_secret());
        }
        let mut header = HeaderValue::try_from(format!("Bearer {access}")).map_err(|_| problem("the token cannot be sent in a header"))?;
        header.set_sensitive(true);
        Ok(Granted { header, life: slot::bounded(slot::stated_life(&value)), refresh, claims: Claims::read(access) })
    }

    /// Asks for a device code. RFC 8628, 3.1.
    pub(super) async fn device_code(&self, audience: &str) -> Result<DeviceCode, ConnectError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.client_id).append_pair("scope", &scope(audience));
        let body = Payload::Fixed(form.finish().into());
        // An unused code expires.
        let request =
            Request { headers: headers(), body, repeat: Repeat::Safe, ..Request::new("token", Method::POST, self.device_url.clone()) };
        let answer = self.http.send(&request).await.map_err(|error| self.explained(error))?;
        let problem = |problem: &str| request.protocol(format!("{problem}: check the connection's `authority`"));
        let value: Value = serde_json::from_slice(strip_bom(&answer)).map_err(|_| problem("the token service's answer is not JSON"))?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let need = |name: &str| text(name).ok_or_else(|| problem(&format!("the token service's answer has no `{name}`")));
        let seconds = |name: &str| {
            let given = value.get(name)?;
            let number = given.as_u64().or_else(|| given.as_str()?.parse().ok());
            number.map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT)))
        };
        self.http.redactor().pass(need("device_code")?);
        Ok(DeviceCode {
            device_code: need("device_code")?.into(),
            user_code: crate::printable::one_line(need("user_code")?).into_owned(),
            address: crate::printable::one_line(need("verification_uri")?).into_owned(),
            interval: seconds("interval"),
            expires_in: seconds("expires_in").unwrap_or(UNSTATED_EXPIRY),
        })
    }

    /// The form. Not inline: its serializer would keep the request from moving between threads.
    fn form(&self, fields: &[Field<'_>]) -> Result<Bytes, ConnectError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match &self.client {
            Some(credential) => {
                for (name, value) in credential.authentication(&self.token_url, &self.client_id)? {
                    if name == "client_assertion" {
                        self.http.redactor().pass(value.expose_secret());
                    }
                    form.append_pair(name, value.expose_secret());
                }
            }
            None => drop(form.append_pair("client_id", &self.client_id)),
        }
        form.extend_pairs(fields);
        Ok(form.finish().into())
    }

    /// Returns the error of a request that did not get its turn.
    pub(super) fn busy(&self, message: &str) -> ConnectError {
        Request::new("token", Method::POST, self.token_url.clone()).unavailable(message)
    }

    /// A refusal by the token service, with what to do about it.
    pub(super) fn explained(&self, error: ConnectError) -> ConnectError {
        let call = match token::refusal(error) {
            Ok(call) => call,
            Err(other) => return other,
        };
        let code = call.code.as_deref().unwrap_or_default();
        let reason = match oauth_error(&call).as_deref() {
            Some("invalid_grant" | "interaction_required" | "login_required" | "consent_required") => reason(code),
            _ => {
                let remedy = token::remedy(code).to_owned();
                return ConnectError::Token { call, remedy };
            }
        };
        let (reason, consent) = reason;
        let said = call.message.as_deref().map(first_sentence).filter(|said| !said.is_empty()).unwrap_or(code);
        let remedy = if consent {
            "let an administrator consent to the permissions of the app (docs/partner-center.md)".to_owned()
        } else {
            remedy(self.command)
        };
        ConnectError::SignIn { problem: format!("{reason} ({said})"), remedy }
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

/// The error code of RFC 6749 in the body of an answer. Entra ID's own code is in the call.
pub(super) fn oauth_error(call: &Call) -> Option<String> {
    let body: Value = serde_json::from_str(call.body.as_deref()?).ok()?;
    body.get("error")?.as_str().map(str::to_owned)
}

/// Why a person must act, by Entra ID's code; and whether consent is what is missing.
fn reason(code: &str) -> (&'static str, bool) {
    match code {
        "AADSTS65001" | "AADSTS650056" => ("no one has consented to the permissions of the app", true),
        "AADSTS700082" | "AADSTS70043" => ("the sign-in has expired", false),
        "AADSTS50173" | "AADSTS50133" => ("the sign-in ended because the password was changed or reset", false),
        "AADSTS50076" | "AADSTS50079" | "AADSTS50158" => ("the token service asks for multifactor authentication", false),
        "AADSTS50057" | "AADSTS50034" => ("the account is disabled or does not exist any more", false),
        "AADSTS53003" | "AADSTS53000" => ("a conditional access policy blocks the sign-in", false),
        _ => ("the token service does not accept the sign-in any more", false),
    }
}

/// The first sentence or line of a message of Entra ID; ids and times follow it.
fn first_sentence(message: &str) -> &str {
    let end = message.find(" Trace ID:").or_else(|| message.find(['\r', '\n'])).unwrap_or(message.len());
    message[..end].trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::HttpConfig;
    use crate::connect::http::delegated::SignInMethod;

    fn service() -> TokenService {
        let config = SignInConfig {
            authority: "https://login.microsoftonline.com/".parse().unwrap(),
            tenant: "contoso.com".to_owned(),
            client_id: "app".to_owned(),
            method: SignInMethod::DeviceCode,
            require_mfa: true,
            command: "d365map login partner-center",
        };
        TokenService::new(Http::new(HttpConfig::default()).unwrap(), &config, None).unwrap()
    }

    fn refused(error: &str, description: &str) -> ConnectError {
        let body = serde_json::json!({ "error": error, "error_description": description }).to_string();
        let code = description.split(':').next().filter(|code| code.starts_with("AADSTS")).unwrap_or(error);
        let call = Call { code: Some(code.to_owned()), message: Some(description.to_owned()), body: Some(body), ..Call::default() };
        service().explained(ConnectError::Rejected { call: Box::new(call) })
    }

    #[test]
    fn one_scope_asks_for_one_audience_and_a_refresh_token() {
        assert_eq!(scope("https://api.partner.microsoft.com/"), "https://api.partner.microsoft.com/.default offline_access openid");
        assert_eq!(service().token_url.as_str(), "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token");
    }

    #[test]
    fn a_refresh_token_that_is_not_accepted_asks_to_sign_in_and_names_the_command() {
        for (error, description, reason) in [
            ("invalid_grant", "AADSTS700082: The refresh token has expired. Trace ID: x", "the sign-in has expired"),
            ("invalid_grant", "AADSTS50173: The grant was revoked.", "password was changed"),
            ("invalid_grant", "unknown", "does not accept the sign-in any more"),
            ("interaction_required", "AADSTS50076: You must use multifactor.", "asks for multifactor authentication"),
        ] {
            let refused = refused(error, description);
            let text = refused.to_string();
            assert!(matches!(refused, ConnectError::SignIn { .. }), "{text}");
            assert!(text.contains(reason) && text.ends_with("sign in: `d365map login partner-center`"), "{text}");
            assert!(!text.contains("Trace ID"), "{text}");
        }
    }

    #[test]
    fn missing_consent_asks_for_an_administrator() {
        let text = refused("invalid_grant", "AADSTS65001: The user or administrator has not consented").to_string();
        assert!(text.contains("let an administrator consent"), "{text}");
    }

    #[test]
    fn a_client_that_is_not_accepted_is_an_error_of_the_token_service() {
        assert!(matches!(refused("invalid_client", "AADSTS7000215: Invalid secret"), ConnectError::Token { .. }));
    }
}
