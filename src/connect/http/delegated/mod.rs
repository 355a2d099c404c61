//! Delegated access: tokens of a person who has signed in once, kept alive by a refresh token.
//!
//! One refresh token serves all audiences of one sign-in. Each use of it may bring a new one, which is written to the token file before the
//! access token that came with it is used: whatever ends the process, the file has a refresh token that the service accepts. A lock
//! beside the file lets only one process at a time use the refresh token.
//!
//! Sources: RFC 6749, 6; Microsoft identity platform, *Refresh tokens*, *Authorization code flow*; Partner Center, *Partner Center
//! authentication* (multifactor authentication is enforced on every call of an app with a user). That the claim `amr` of an access token
//! holds `mfa` after multifactor authentication is assumed.

mod claims;
mod file;
mod grant;
mod login;
mod loopback;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use tokio::sync::Mutex;
use url::Url;

pub use claims::Claims;
pub use file::SignedIn;
pub use login::LoginError;

use self::grant::{Granted, TokenService};
use super::bearer::{Pending, Token, Tokens};
use super::client::Http;
use super::credential::Credential;
use super::slot::Slot;
use crate::connect::error::ConnectError;
use crate::time::{self, Instant};

/// What Partner Center says in the body of an answer with status 401 if the token has no valid claim of multifactor authentication.
const NO_MFA: &str = "900421";
/// How long a process waits for another one that is using the refresh token.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks whether the other one has finished.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// A refresh token that is not used for this long is no longer accepted. Microsoft identity platform, *Refresh tokens*.
const ROLLING_LIFE_DAYS: i64 = 90;

/// How a person signs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignInMethod {
    /// A code that the person enters on any device (RFC 8628).
    #[default]
    DeviceCode,
    /// The browser of this machine (RFC 8252: authorization code with PKCE).
    AuthorizationCode,
}

impl SignInMethod {
    /// Its name in project files and token files.
    pub fn name(self) -> &'static str {
        match self {
            SignInMethod::DeviceCode => "device-code",
            SignInMethod::AuthorizationCode => "authorization-code",
        }
    }
}

/// The app and the directory that a person signs in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInConfig {
    /// The token service: `https://login.microsoftonline.com`.
    pub authority: Url,
    /// The directory: its id or one of its domains.
    pub tenant: String,
    /// The app registration's client id.
    pub client_id: String,
    /// How `d365map login` asks the person to sign in, if the command does not say it.
    pub method: SignInMethod,
    /// Refuse a token without multifactor authentication before the first call.
    pub require_mfa: bool,
    /// The command that signs in: `d365map login partner-center`. It is the remedy of errors.
    pub command: &'static str,
}

/// Where a refresh token is kept.
#[derive(Clone)]
pub enum RefreshToken {
    /// In a token file that `d365map login` writes.
    File(PathBuf),
    /// Somewhere else. A new refresh token of the service is kept for the rest of the process only.
    Given(SecretString),
}

/// What shows the token service that the app and its user are who they say.
#[derive(Clone)]
pub struct DelegatedCredential {
    /// The app's own secret or certificate; none for a public client.
    pub client: Option<Credential>,
    /// The user's refresh token.
    pub refresh: RefreshToken,
}

/// Shows no secret.
impl fmt::Debug for DelegatedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = match &self.refresh {
            RefreshToken::File(path) => Some(path),
            RefreshToken::Given(_) => None,
        };
        f.debug_struct("DelegatedCredential").field("client", &self.client).field("file", &file).finish_non_exhaustive()
    }
}

/// The access of one app with one signed-in person. Clones share tokens and locks.
#[derive(Clone)]
pub struct Delegated(Arc<Inner>);

struct Inner {
    service: TokenService,
    config: SignInConfig,
    refresh: RefreshToken,
    /// One use of the refresh token at a time in this process; holds the newest one if there is no file for it.
    turn: Mutex<Option<SecretString>>,
}

/// Shows the address alone.
impl fmt::Debug for Delegated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delegated").field("service", &self.0.service).finish_non_exhaustive()
    }
}

/// What the use of a refresh token brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// What the access token says of the sign-in.
    pub claims: Claims,
}

impl Delegated {
    /// Checks the configuration; makes no call and reads no file.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new(http: Http, config: SignInConfig, credential: DelegatedCredential) -> Result<Self, ConnectError> {
        let DelegatedCredential { client, refresh } = credential;
        let service = TokenService::new(http, &config, client)?;
        Ok(Self(Arc::new(Inner { service, config, refresh, turn: Mutex::default() })))
    }

    /// A source of tokens for one audience, such as `https://api.partner.microsoft.com`.
    pub(crate) fn tokens(&self, audience: &str) -> DelegatedTokens {
        DelegatedTokens { access: self.clone(), audience: audience.to_owned(), slot: Slot::default() }
    }

    /// Uses the refresh token for one audience, and says what the access token is good for.
    ///
    /// # Errors
    /// [`ConnectError::SignIn`] if a person must sign in again; others as they come.
    pub async fn refresh(&self, audience: &str) -> Result<Refreshed, ConnectError> {
        let granted = self.use_refresh_token(audience, time::now()).await?;
        Ok(Refreshed { claims: granted.claims })
    }

    /// Uses the refresh token unless it was used within the last day, so that it does not expire while nothing else needs it. Returns
    /// whether it was used.
    ///
    /// # Errors
    /// As [`Delegated::refresh`].
    pub async fn keep_alive(&self, audience: &str, now: Instant) -> Result<bool, ConnectError> {
        if let RefreshToken::File(_) = &self.0.refresh
            && self.signed_in()?.is_some_and(|kept| now - kept.refreshed < TimeDelta::days(1))
        {
            return Ok(false);
        }
        self.use_refresh_token(audience, now).await.map(|_| true)
    }

    /// What the token file says; `None` if no account is signed in, or if the refresh token is not in a file.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the file cannot be used.
    pub fn signed_in(&self) -> Result<Option<SignedIn>, ConnectError> {
        match &self.0.refresh {
            RefreshToken::File(path) => Ok(file::read(path)?.map(|kept| kept.about)),
            RefreshToken::Given(_) => Ok(None),
        }
    }

    /// The token file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.0.refresh {
            RefreshToken::File(path) => Some(path),
            RefreshToken::Given(_) => None,
        }
    }

    /// Exchanges the refresh token for an access token to one audience.
    async fn use_refresh_token(&self, audience: &str, now: Instant) -> Result<Granted, ConnectError> {
        let inner = &self.0;
        let mut newest = inner.turn.lock().await;
        let granted = match &inner.refresh {
            RefreshToken::Given(first) => {
                let token = newest.as_ref().unwrap_or(first);
                let granted = inner.service.refresh(token, audience).await?;
                if let Some(token) = &granted.refresh {
                    *newest = Some(token.clone());
                }
                granted
            }
            RefreshToken::File(path) => {
                let _lock = self.lock(path).await?;
                // Read under the lock: another process may have put a newer one there.
                let mut kept =
                    file::read(path)?.ok_or_else(|| self.sign_in(format!("no account is signed in: {} is missing", path.display())))?;
                kept.about.expect(&inner.config, path)?;
                let granted = inner.service.refresh(&kept.refresh_token, audience).await?;
                if let Some(token) = &granted.refresh {
                    kept.refresh_token = token.clone();
                }
                kept.about.refreshed = now;
                kept.about.learn(&granted.claims);
                // Before the access token is used: from now on the service may refuse the old refresh token.
                file::write(path, &kept)?;
                granted
            }
        };
        self.expect_mfa(&granted.claims)?;
        Ok(granted)
    }

    /// Refuses a sign-in without multifactor authentication, if the configuration asks for it.
    fn expect_mfa(&self, claims: &Claims) -> Result<(), ConnectError> {
        if claims.mfa || !self.0.config.require_mfa {
            return Ok(());
        }
        let problem = "the sign-in had no multifactor authentication (the claim `amr` of the access token does not contain `mfa`), and \
                       Partner Center refuses every call without it";
        Err(self.sign_in(problem))
    }

    async fn lock(&self, path: &Path) -> Result<std::fs::File, ConnectError> {
        file::prepare(path)?;
        let lock = file::lock_path(path);
        let mut waited = Duration::ZERO;
        loop {
            if let Some(held) = crate::disk::try_lock(&lock).map_err(|error| file::unusable(&lock, &error))? {
                return Ok(held);
            }
            if waited >= LOCK_PATIENCE {
                return Err(self.0.service.busy(&format!("another process holds {} for more than a minute", lock.display())));
            }
            tokio::time::sleep(LOCK_LOOK).await;
            waited += LOCK_LOOK;
        }
    }

    fn sign_in(&self, problem: impl Into<String>) -> ConnectError {
        ConnectError::SignIn { problem: problem.into(), remedy: grant::remedy(self.0.config.command) }
    }
}

/// A source of tokens for one audience.
pub(crate) struct DelegatedTokens {
    access: Delegated,
    audience: String,
    slot: Slot,
}

impl fmt::Debug for DelegatedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegatedTokens").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl DelegatedTokens {
    async fn ask(&self) -> Result<(HeaderValue, Duration), ConnectError> {
        let granted = self.access.use_refresh_token(&self.audience, time::now()).await?;
        Ok((granted.header, granted.life))
    }
}

impl Tokens for DelegatedTokens {
    fn get(&self) -> Pending<'_, Result<Token, ConnectError>> {
        Box::pin(self.slot.current(|| self.ask()))
    }

    fn refused<'a>(&'a self, token: &'a Token) -> Pending<'a, ()> {
        Box::pin(self.slot.forget(token))
    }

    fn lasting(&self, body: &[u8]) -> Option<ConnectError> {
        let text = String::from_utf8_lossy(body);
        names_code(&text, NO_MFA).then(|| {
            self.access
                .sign_in(format!("Partner Center refused the token: it has no valid claim of multifactor authentication (error {NO_MFA})"))
        })
    }
}

/// Whether a text has a code that is not a part of a longer number.
fn names_code(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        !digit(text[..at].chars().next_back()) && !digit(text[at + code.len()..].chars().next())
    })
}
