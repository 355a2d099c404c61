//! Delegated sign-ins of a project: the account that a connection uses, and keeping it signed in while a watch is idle.

use std::sync::Arc;

use async_trait::async_trait;

use super::services::{self, ServiceError};
use crate::connect::{ConnectError, Http, SignedIn};
use crate::project::{Project, RefreshTokenPlace};
use crate::run::Upkeep;
use crate::systems::partner_center::Account;
use crate::time::Instant;

/// The account that signs in to Partner Center. Makes no call.
pub fn account(project: &Project) -> Result<Account, ServiceError> {
    account_with(project, services::http(project)?)
}

/// As [`account`], on an HTTP layer that is at hand.
pub fn account_with(project: &Project, http: Http) -> Result<Account, ServiceError> {
    Ok(Account::new(http, services::partner_center(project)?)?)
}

/// Who is signed in to Partner Center, for a project with a token file; makes no call. The outer `None` says that the project has no
/// connection with a token file, the inner one that no account is signed in.
pub fn signed_in(project: &Project) -> Option<Result<Option<SignedIn>, ServiceError>> {
    let connection = project.connections.partner_center.as_ref()?;
    if matches!(connection.config.credential.refresh_token, RefreshTokenPlace::Given(_)) {
        return None;
    }
    let read = || Ok(SignedIn::read(&services::token_file(project, connection)?)?);
    Some(read())
}

/// What a watch of a project does once a day: it uses the refresh token of each sign-in, so that none expires.
pub fn upkeep(project: &Project) -> Result<Vec<Arc<dyn Upkeep>>, ServiceError> {
    if project.connections.partner_center.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Arc::new(KeepSignedIn(account(project)?))])
}

/// Keeps the sign-in to Partner Center alive.
struct KeepSignedIn(Account);

#[async_trait]
impl Upkeep for KeepSignedIn {
    fn name(&self) -> &'static str {
        "sign-in to Partner Center"
    }

    async fn keep(&self, now: Instant) -> Result<bool, ConnectError> {
        self.0.access().keep_alive(self.0.referrals_audience(), now).await
    }
}
