//! The token file: the refresh token of one sign-in, and when and by whom it was made. Its owner alone may read it.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::claims::Claims;
use super::{ROLLING_LIFE_DAYS, SignInConfig};
use crate::connect::error::ConnectError;
use crate::disk::{self, Access};
use crate::time::Instant;

/// The version of the file's format.
const VERSION: u32 = 1;
/// No token file is longer.
const LARGEST: u64 = 64 * 1024;

/// What a token file says of a sign-in, beside the refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignedIn {
    /// The token service.
    pub authority: String,
    /// The directory, as the project file names it.
    pub tenant: String,
    /// The app.
    pub client_id: String,
    /// How the person signed in: `device-code` or `authorization-code`.
    pub method: String,
    /// The person's user name.
    pub account: Option<String>,
    /// The id of the person's directory.
    pub account_tenant: Option<String>,
    /// Whether the last access token had the claim of multifactor authentication.
    pub mfa: bool,
    /// When the person signed in.
    pub obtained: Instant,
    /// When the refresh token was used last.
    pub refreshed: Instant,
}

impl SignedIn {
    /// Reads what a token file says of its sign-in; `None` if there is no file.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the file cannot be used.
    pub fn read(path: &Path) -> Result<Option<SignedIn>, ConnectError> {
        Ok(read(path)?.map(|kept| kept.about))
    }

    /// A sign-in to this app at this time.
    pub(super) fn new(config: &SignInConfig, method: &str, now: Instant) -> SignedIn {
        SignedIn {
            authority: config.authority.as_str().trim_end_matches('/').to_owned(),
            tenant: config.tenant.clone(),
            client_id: config.client_id.clone(),
            method: method.to_owned(),
            account: None,
            account_tenant: None,
            mfa: false,
            obtained: now,
            refreshed: now,
        }
    }

    /// Takes over what an access token says.
    pub(super) fn learn(&mut self, claims: &Claims) {
        self.mfa = claims.mfa;
        if claims.account.is_some() {
            self.account.clone_from(&claims.account);
        }
        if claims.tenant.is_some() {
            self.account_tenant.clone_from(&claims.tenant);
        }
    }

    /// Refuses a sign-in that was made for another app or directory.
    pub(super) fn expect(&self, config: &SignInConfig, path: &Path) -> Result<(), ConnectError> {
        let wanted = SignedIn::new(config, "", self.obtained);
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if same(&self.authority, &wanted.authority) && same(&self.tenant, &wanted.tenant) && same(&self.client_id, &wanted.client_id) {
            return Ok(());
        }
        Err(ConnectError::SignIn {
            problem: format!(
                "the token file {} is for the app {} of the directory {}, and the project names the app {} of the directory {}",
                path.display(),
                self.client_id,
                self.tenant,
                wanted.client_id,
                wanted.tenant
            ),
            remedy: super::grant::remedy(config.command),
        })
    }

    /// The days since the refresh token was used last.
    pub fn idle_days(&self, now: Instant) -> i64 {
        (now - self.refreshed).num_days().max(0)
    }

    /// The days after which the refresh token is no longer accepted unless it is used.
    pub fn days_left(&self, now: Instant) -> i64 {
        ROLLING_LIFE_DAYS - self.idle_days(now)
    }
}

/// The content of a token file.
pub(super) struct Kept {
    pub(super) about: SignedIn,
    pub(super) refresh_token: SecretString,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document<T> {
    version: u32,
    #[serde(flatten)]
    about: SignedIn,
    refresh_token: T,
}

/// Reads a token file; `None` if there is none.
///
/// # Errors
/// [`ConnectError::Config`] if it cannot be read, others can read it, or it is not a token file.
pub(super) fn read(path: &Path) -> Result<Option<Kept>, ConnectError> {
    let bytes = match disk::read_private(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    // The library's error is not shown: it may quote what it read.
    let wrong = |problem: &str| {
        ConnectError::config(
            format!("the token file {} {problem}", path.display()),
            "remove the file, and sign in again with `d365map login`",
        )
    };
    let document: Document<String> = serde_json::from_slice(&bytes).map_err(|_| wrong("is not a token file of d365map"))?;
    if document.version != VERSION {
        return Err(wrong("was written by a newer version of d365map"));
    }
    Ok(Some(Kept { about: document.about, refresh_token: document.refresh_token.into() }))
}

/// Writes a token file as a whole, readable by its owner alone.
///
/// # Errors
/// [`ConnectError::Config`] if it cannot be written.
pub(super) fn write(path: &Path, kept: &Kept) -> Result<(), ConnectError> {
    let document = Document { version: VERSION, about: kept.about.clone(), refresh_token: kept.refresh_token.expose_secret() };
    let mut text = serde_json::to_string_pretty(&document).map_err(|error| unusable(path, &Error::other(error)))?;
    text.push('\n');
    prepare(path)?;
    disk::write(path, text.as_bytes(), Access::Private).map_err(|error| unusable(path, &error))
}

/// Removes a token file. Returns whether there was one.
///
/// # Errors
/// [`ConnectError::Config`] if it cannot be removed.
pub(super) fn remove(path: &Path) -> Result<bool, ConnectError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Creates the folder of a token file.
pub(super) fn prepare(path: &Path) -> Result<(), ConnectError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => disk::create_private_folder(folder).map_err(|error| unusable(folder, &error)),
        Some(_) | None => Ok(()),
    }
}

/// The lock beside a token file.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The error of a file that cannot be used, with how to fix it.
pub(super) fn unusable(path: &Path, error: &Error) -> ConnectError {
    let remedy = if error.kind() == ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        format!("run `chmod 600 {}`. If others may have read it, sign in again, and revoke the old sign-in in Entra ID", path.display())
    } else {
        "check the folder and its permissions, or name another file as `token-file`".to_owned()
    };
    ConnectError::config(format!("the token file {}: {error}", path.display()), remedy)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::connect::http::delegated::SignInMethod;

    fn config() -> SignInConfig {
        SignInConfig {
            authority: "https://login.microsoftonline.com".parse().unwrap(),
            tenant: "contoso.com".to_owned(),
            client_id: "app".to_owned(),
            method: SignInMethod::DeviceCode,
            require_mfa: true,
            command: "d365map login partner-center",
        }
    }

    fn noon() -> Instant {
        crate::time::parse_instant("2026-05-01T12:00:00Z").unwrap()
    }

    fn kept() -> Kept {
        Kept { about: SignedIn::new(&config(), "device-code", noon()), refresh_token: "s3cr3t".into() }
    }

    #[test]
    fn a_token_file_comes_back_as_written_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/deep/tokens.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, &kept()).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let back = read(&path).unwrap().unwrap();
        assert_eq!(back.about, kept().about);
        assert_eq!(back.refresh_token.expose_secret(), "s3cr3t");
    }

    #[test]
    fn a_token_file_that_others_can_read_is_refused_with_the_command_that_fixes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        write(&path, &kept()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).err().unwrap().to_string();
        assert!(error.contains("other users can read the file") && error.contains(&format!("chmod 600 {}", path.display())), "{error}");
    }

    #[test]
    fn what_is_not_a_token_file_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        for text in ["hunter2", "{\"refresh-token\": \"hunter2\"}"] {
            disk::write(&path, text.as_bytes(), Access::Private).unwrap();
            let error = read(&path).err().unwrap().to_string();
            assert!(error.contains("is not a token file") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_token_file_of_another_app_is_not_used() {
        let path = Path::new("tokens.json");
        let about = kept().about;
        assert!(about.expect(&config(), path).is_ok());
        let others = [
            SignInConfig { client_id: "other".to_owned(), ..config() },
            SignInConfig { tenant: "fabrikam.com".to_owned(), ..config() },
            SignInConfig { authority: "http://127.0.0.1:1".parse().unwrap(), ..config() },
        ];
        for other in others {
            assert!(matches!(about.expect(&other, path), Err(ConnectError::SignIn { .. })), "{other:?}");
        }
    }

    #[test]
    fn the_age_counts_from_the_last_use_of_the_refresh_token() {
        let about = kept().about;
        assert_eq!((about.idle_days(noon()), about.days_left(noon())), (0, 90));
        let later = noon() + chrono::TimeDelta::days(30);
        assert_eq!((about.idle_days(later), about.days_left(later)), (30, 60));
        assert_eq!(about.idle_days(noon() - chrono::TimeDelta::days(1)), 0);
    }
}
