//! What handlers take and give: the project and the caller of a request, and failures.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::Redirect;

use super::access::{Caller, Right};
pub use super::failure::{Failure, blocking};
use super::site::{Served, Site};
use crate::store::AuditResult;

/// A project and who asks about it.
#[derive(Clone)]
pub struct At {
    /// What all requests share.
    pub site: Arc<Site>,
    /// The project.
    pub served: Arc<Served>,
    /// Who asks.
    pub caller: Caller,
}

impl At {
    /// The address of a page of the project: `path` begins with `/`, or is empty for the overview.
    pub fn path(&self, path: &str) -> String {
        format!("/p/{}{path}", self.served.name)
    }

    /// Back to a page of the project.
    pub fn back(&self, path: &str) -> Redirect {
        Redirect::to(&self.path(path))
    }

    /// Notes what the caller did, and whether it was done.
    pub async fn audit<T>(&self, action: &str, object: &str, result: &Result<T, Failure>) {
        let ended = if result.is_ok() { AuditResult::Done } else { AuditResult::Failed };
        self.site.access.auditor().note(&self.caller, Some(&self.served.name), action, object, ended).await;
    }

    /// Notes that the caller is about to see personal data: `object` names what it is in.
    ///
    /// # Errors
    /// It cannot be noted, so nothing is to be shown.
    pub async fn audit_view(&self, object: &str) -> Result<(), Failure> {
        if self.site.access.auditor().note_view(&self.caller, &self.served.name, object).await {
            return Ok(());
        }
        let failure = Failure::busy("values are not shown, because the audit log cannot be written");
        Err(failure.hint("The log of the server has the reason."))
    }

    /// Whether the caller may do this here.
    pub fn may(&self, right: Right) -> bool {
        self.caller.may(right)
    }
}

impl FromRequestParts<Arc<Site>> for At {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<At, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| Failure::bug("no caller"))?;
        let params = RawPathParams::from_request_parts(parts, site).await.map_err(|_| Failure::not_found("there is no such page"))?;
        let name = params.iter().find(|(name, _)| *name == "project").map(|(_, value)| value);
        let served = name.and_then(|name| site.projects.get(name)).cloned();
        let served = served.ok_or_else(|| Failure::not_found("there is no such project"))?;
        Ok(At { site: site.clone(), served, caller })
    }
}
