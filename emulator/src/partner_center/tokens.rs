//! What the sign-in service has issued: access tokens, refresh tokens, authorization codes and device codes.
//!
//! Access tokens are signed JWTs, so that a client can read their claims; the emulator itself looks them up.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::json;

use super::signing;
use crate::lock;
use crate::time::Instant;

/// What a person may do with referrals. [D]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// Sees and changes everything.
    ReferralsAdmin,
    /// Reads the referrals whose team has the person's e-mail address.
    ReferralsUser,
    /// Has no role in referrals.
    None,
}

/// A person in the partner's tenant.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) oid: uuid::Uuid,
    /// The user principal name; it is also the e-mail address.
    pub(super) upn: String,
    pub(super) password: String,
    pub(super) role: Role,
}

/// What a sign-in gives: who, for which application, and whether MFA was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The index of the user; none for an application on its own.
    pub(super) user: Option<usize>,
    pub(super) client: String,
    pub(super) mfa: bool,
}

/// An access token that was issued.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) session: Session,
    pub(super) audience: String,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Refresh {
    session: Session,
    born: Instant,
    used: bool,
    revoked: bool,
}

/// An authorization code that waits to be redeemed.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) session: Session,
    pub(super) redirect: String,
    pub(super) challenge: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) offline: bool,
    pub(super) until: Instant,
}

/// Where the sign-in of a device code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    /// A person has signed in.
    SignedIn(usize),
    Declined,
}

/// A device code.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) client: String,
    pub(super) user_code: String,
    pub(super) resource: Option<String>,
    pub(super) offline: bool,
    pub(super) until: Instant,
    pub(super) polls: u32,
    pub(super) last_poll: Option<Instant>,
    pub(super) progress: Progress,
}

/// Why a refresh token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dead {
    Unknown,
    Expired,
    Revoked,
    Used,
}

#[derive(Default)]
struct State {
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
}

/// Everything that was issued.
#[derive(Default)]
pub(super) struct Tokens(Mutex<State>);

/// A text that cannot be guessed.
pub(super) fn secret(prefix: &str) -> String {
    format!("{prefix}.{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

impl Tokens {
    /// A new access token, as a JWT.
    pub(super) fn access(
        &self,
        tenant: &str,
        user: Option<&User>,
        session: &Session,
        audience: &str,
        now: Instant,
        lifetime: TimeDelta,
    ) -> String {
        let until = now + lifetime;
        let mut claims = json!({
            "aud": audience,
            "iss": format!("https://sts.windows.net/{tenant}/"),
            "iat": now.timestamp(),
            "nbf": now.timestamp(),
            "exp": until.timestamp(),
            "appid": session.client,
            "tid": tenant,
            "uti": uuid::Uuid::new_v4().simple().to_string(),
            "ver": "1.0",
        });
        match user {
            Some(user) => {
                claims["oid"] = json!(user.oid);
                claims["sub"] = json!(user.oid.simple().to_string());
                claims["upn"] = json!(user.upn);
                claims["unique_name"] = json!(user.upn);
                claims["scp"] = json!("user_impersonation");
                claims["amr"] = if session.mfa { json!(["pwd", "mfa"]) } else { json!(["pwd"]) };
            }
            None => {
                claims["oid"] = json!(session.client);
                claims["sub"] = json!(session.client);
                claims["idtyp"] = json!("app");
            }
        }
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"typ": "JWT", "alg": "RS256", "kid": "emulated"}));
        let signed = format!("{head}.{}", part(claims));
        let signature = URL_SAFE_NO_PAD.encode(signing::sign(signed.as_bytes()));
        let token = format!("{signed}.{signature}");
        let mut state = lock(&self.0);
        if state.access.len() >= 4096 {
            state.access.retain(|_, access| access.until > now);
        }
        state.access.insert(token.clone(), Access { session: session.clone(), audience: audience.to_owned(), until });
        token
    }

    /// The access token behind an `Authorization` header, if it is alive.
    pub(super) fn check(&self, authorization: Option<&str>, now: Instant) -> Option<Access> {
        let (scheme, token) = authorization?.split_once(' ')?;
        let access = lock(&self.0).access.get(token.trim()).cloned()?;
        (scheme.eq_ignore_ascii_case("bearer") && access.until > now).then_some(access)
    }

    pub(super) fn refresh(&self, session: &Session, now: Instant) -> String {
        let token = secret("0.emulated");
        lock(&self.0).refresh.insert(token.clone(), Refresh { session: session.clone(), born: now, used: false, revoked: false });
        token
    }

    /// Whose refresh token it is.
    pub(super) fn redeem(
        &self,
        token: &str,
        client: &str,
        now: Instant,
        lifetime: TimeDelta,
        single_use: bool,
    ) -> std::result::Result<Session, Dead> {
        let mut state = lock(&self.0);
        let refresh = state.refresh.get_mut(token).filter(|refresh| refresh.session.client == client).ok_or(Dead::Unknown)?;
        if refresh.revoked {
            return Err(Dead::Revoked);
        }
        if now - refresh.born >= lifetime {
            return Err(Dead::Expired);
        }
        if single_use && refresh.used {
            return Err(Dead::Used);
        }
        refresh.used = true;
        Ok(refresh.session.clone())
    }

    /// Revokes the refresh tokens of a user, or all; returns how many.
    pub(super) fn revoke(&self, user: Option<usize>) -> usize {
        let mut state = lock(&self.0);
        let alive = state.refresh.values_mut().filter(|refresh| !refresh.revoked && (user.is_none() || refresh.session.user == user));
        alive.map(|refresh| refresh.revoked = true).count()
    }

    /// Ends every access token at once.
    pub(super) fn expire_all(&self) {
        lock(&self.0).access.clear();
    }

    pub(super) fn put_code(&self, code: Code) -> String {
        let text = secret("1.code");
        lock(&self.0).codes.insert(text.clone(), code);
        text
    }

    /// Takes a code: it works once.
    pub(super) fn take_code(&self, text: &str) -> Option<Code> {
        lock(&self.0).codes.remove(text)
    }

    pub(super) fn put_device(&self, device: Device) -> String {
        let text = secret("device");
        lock(&self.0).devices.insert(text.clone(), device);
        text
    }

    /// Works on a device code; the code is removed if the work says so.
    pub(super) fn device<T>(&self, text: &str, work: impl FnOnce(Option<&mut Device>) -> (T, bool)) -> T {
        let mut state = lock(&self.0);
        let (result, done) = work(state.devices.get_mut(text));
        if done {
            state.devices.remove(text);
        }
        result
    }

    /// Sets the progress of a device code by the code that the person types in; without one, of all that wait.
    pub(super) fn settle_device(&self, user_code: Option<&str>, progress: &Progress, until: Option<Instant>) -> usize {
        let mut state = lock(&self.0);
        let wanted = |device: &&mut Device| user_code.is_none_or(|code| device.user_code.eq_ignore_ascii_case(code));
        let settle = |device: &mut Device| {
            device.progress = progress.clone();
            device.until = until.unwrap_or(device.until);
        };
        state.devices.values_mut().filter(wanted).map(settle).count()
    }
}
