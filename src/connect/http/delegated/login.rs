//! Signs a person in: with a device code, or in the browser of this machine.
//!
//! Sources: RFC 8628; Microsoft identity platform, *Device authorization grant*, *Authorization code flow*; RFC 7636 (PKCE).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::file::{self, Kept, SignedIn};
use super::grant::{Granted, oauth_error};
use super::loopback::{Answer, Loopback, LoopbackError};
use super::{Delegated, RefreshToken, SignInMethod};
use crate::connect::error::ConnectError;
use crate::connect::http::bearer::Pending;
use crate::connect::http::retry::Repeat;
use crate::time;

/// The pause between two polls if the service does not state one. RFC 8628, 3.2.
const INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause, whatever the service states.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// By how much `slow_down` lengthens the pause. RFC 8628, 3.5.
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// How a caller waits, so that tests need not.
pub(crate) type Wait<'a> = &'a (dyn Fn(Duration) -> Pending<'static, ()> + Send + Sync);

/// Why no account is signed in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The project keeps the refresh token elsewhere.
    #[error(
        "the project names a `refresh-token` for this connection, and d365map cannot write there: remove it from d365map.yaml to sign in \
         with this command"
    )]
    NoTokenFile,
    /// The person declined.
    #[error("the sign-in was declined")]
    Declined,
    /// No person signed in within the time.
    #[error("no one signed in within the time: run the command again")]
    Expired,
    /// The sign-in had no multifactor authentication.
    #[error(
        "{} signed in without multifactor authentication, and Partner Center refuses every call without it. Set up multifactor \
         authentication for this account, or a conditional access policy that asks for it, and run the command again. Nothing was stored",
        account.as_deref().unwrap_or("the account")
    )]
    NoMfa {
        /// Who signed in.
        account: Option<String>,
    },
    /// The service gave no refresh token.
    #[error("the token service gave no refresh token: check that the app may use the permission `offline_access`")]
    NoRefreshToken,
    /// The token service refused in the browser.
    #[error("the token service refused the sign-in: {0}")]
    Refused(String),
    /// The answer of the browser is not usable.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// A request failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A sign-in with a device code that has begun.
pub struct DeviceSignIn {
    /// Where the person enters the code.
    pub address: String,
    /// The code.
    pub user_code: String,
    /// How long the code is good for.
    pub expires_in: Duration,
    device_code: SecretString,
    interval: Duration,
    audience: String,
}

/// A sign-in in the browser that has begun.
pub struct BrowserSignIn {
    /// The address that the browser opens.
    pub address: Url,
    loopback: Loopback,
    verifier: SecretString,
    audience: String,
}

impl Delegated {
    /// Asks for a device code.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn begin_device(&self, audience: &str) -> Result<DeviceSignIn, LoginError> {
        self.expect_file()?;
        let begun = self.0.service.device_code(audience).await?;
        Ok(DeviceSignIn {
            address: begun.address,
            user_code: begun.user_code,
            expires_in: begun.expires_in,
            device_code: begun.device_code,
            interval: begun.interval.unwrap_or(INTERVAL).max(SHORTEST_INTERVAL),
            audience: audience.to_owned(),
        })
    }

    /// Waits until the person has signed in on any device, and stores the sign-in.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn finish_device(&self, begun: DeviceSignIn) -> Result<SignedIn, LoginError> {
        self.poll(begun, &|pause| Box::pin(tokio::time::sleep(pause))).await
    }

    /// As [`Delegated::finish_device`], with another way to wait.
    pub(super) async fn poll(&self, begun: DeviceSignIn, wait: Wait<'_>) -> Result<SignedIn, LoginError> {
        let DeviceSignIn { device_code, expires_in, mut interval, audience, .. } = begun;
        let scope = super::grant::scope(&audience);
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code.expose_secret()),
            ("scope", scope.as_str()),
        ];
        let mut waited = Duration::ZERO;
        while waited < expires_in {
            wait(interval).await;
            waited += interval;
            let error = match self.0.service.grant(&fields, Repeat::Safe).await {
                Ok(granted) => return self.accept(granted, SignInMethod::DeviceCode).await,
                Err(error) => error,
            };
            match error.call().and_then(oauth_error).as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => interval += SLOW_DOWN,
                Some("authorization_declined" | "access_denied") => return Err(LoginError::Declined),
                Some("expired_token" | "code_expired") => return Err(LoginError::Expired),
                // RFC 8628, 3.5: a client that meets a time-out polls less often.
                _ if error.is_transient() => interval *= 2,
                _ => return Err(self.0.service.explained(error).into()),
            }
        }
        Err(LoginError::Expired)
    }

    /// Opens a port on this machine for the browser's answer.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn begin_browser(&self, audience: &str) -> Result<BrowserSignIn, LoginError> {
        self.expect_file()?;
        let (verifier, state) = (random(), random());
        let loopback = Loopback::open(state.clone()).await?;
        let mut address = self.0.service.authorize_url.clone();
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.0.config.client_id)
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", &loopback.redirect_uri())
            .append_pair("response_mode", "query")
            .append_pair("scope", &super::grant::scope(audience))
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge(&verifier))
            .append_pair("code_challenge_method", "S256")
            .append_pair("prompt", "select_account");
        Ok(BrowserSignIn { address, loopback, verifier: verifier.into(), audience: audience.to_owned() })
    }

    /// Waits for the browser's answer, and stores the sign-in.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn finish_browser(&self, begun: BrowserSignIn, patience: Duration) -> Result<SignedIn, LoginError> {
        let BrowserSignIn { loopback, verifier, audience, .. } = begun;
        let redirect = loopback.redirect_uri();
        let answer = tokio::time::timeout(patience, loopback.answer()).await.map_err(|_| LoginError::Expired)??;
        let code = match answer {
            Answer::Code(code) => code,
            Answer::Refused { error, .. } if error == "access_denied" => return Err(LoginError::Declined),
            Answer::Refused { error, description } => {
                return Err(LoginError::Refused(if description.is_empty() { error } else { description }));
            }
        };
        let scope = super::grant::scope(&audience);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", verifier.expose_secret()),
            ("scope", scope.as_str()),
        ];
        // A code works once.
        let granted = self.0.service.grant(&fields, Repeat::Never).await.map_err(|error| self.0.service.explained(error))?;
        self.accept(granted, SignInMethod::AuthorizationCode).await
    }

    /// Removes the token file. Returns whether there was one.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn sign_out(&self) -> Result<bool, LoginError> {
        let path = self.expect_file()?;
        if !path.exists() {
            return Ok(false);
        }
        let _lock = self.lock(path).await?;
        file::remove(path).map_err(LoginError::from)
    }

    fn expect_file(&self) -> Result<&std::path::Path, LoginError> {
        match &self.0.refresh {
            RefreshToken::File(path) => Ok(path),
            RefreshToken::Given(_) => Err(LoginError::NoTokenFile),
        }
    }

    /// Stores what a sign-in brought. An earlier sign-in stays if the new one cannot be used.
    async fn accept(&self, granted: Granted, method: SignInMethod) -> Result<SignedIn, LoginError> {
        let path = self.expect_file()?;
        if self.0.config.require_mfa && !granted.claims.mfa {
            return Err(LoginError::NoMfa { account: granted.claims.account });
        }
        let refresh_token = granted.refresh.ok_or(LoginError::NoRefreshToken)?;
        let mut about = SignedIn::new(&self.0.config, method.name(), time::now());
        about.learn(&granted.claims);
        let _lock = self.lock(path).await?;
        file::write(path, &Kept { about: about.clone(), refresh_token })?;
        Ok(about)
    }
}

/// 256 random bits, in characters that are allowed in a verifier of PKCE and in an address.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The challenge of a verifier: `S256`. RFC 7636, 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_example_in_rfc_7636() {
        assert_eq!(challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_43_allowed_characters_and_is_never_the_same() {
        let (a, b) = (random(), random());
        assert_ne!(a, b);
        assert_eq!(a.len(), 43);
        assert!(a.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')), "{a}");
    }
}
