//! Projects: the list of them, their state, their runs, and their audit log.

use std::sync::Arc;

use axum::extract::State;

use super::documents::{AuditDocument, AuditQuery, LimitQuery, ProjectDocument, ProjectsDocument, RunsDocument, VERSION};
use super::exchange::{Answer, Asked, Document, Given};
use crate::app::operate::{self, StatusDocument};
use crate::serve::access::Right;
use crate::serve::site::Site;
use crate::store::AuditFilter;

/// Entries of a list unless another number is asked for.
pub const USUAL: u16 = 100;
/// Entries of a list at most.
pub const MOST: u16 = 1000;

/// Lists the projects.
pub async fn list(State(site): State<Arc<Site>>) -> Document<ProjectsDocument> {
    let of = |name: &String, served: &crate::serve::Served| {
        let now = served.now();
        ProjectDocument { name: name.clone(), running: now.plan.is_some() && now.problem.is_none(), problem: now.problem }
    };
    Document::of(ProjectsDocument { version: VERSION, projects: site.projects.iter().map(|(name, served)| of(name, served)).collect() })
}

/// Returns the state of a project.
pub async fn status(Asked(at): Asked) -> Answer<StatusDocument> {
    let project = at.served.project();
    let mut document = operate::status(&project).await?.document(&project);
    if !at.may(Right::ShowValues) {
        document.hide_accounts();
    }
    Ok(Document::of(document))
}

/// Lists the last runs of a project.
pub async fn runs(Asked(at): Asked, Given(query): Given<LimitQuery>) -> Answer<RunsDocument> {
    let runs = at.served.stores().await?.runs;
    let limit = usize::from(query.limit.unwrap_or(USUAL).min(MOST));
    Ok(Document::of(RunsDocument { version: VERSION, runs: runs.runs(limit).await? }))
}

/// Lists entries of the audit log.
pub async fn audit(Asked(at): Asked, Given(query): Given<AuditQuery>) -> Answer<AuditDocument> {
    let audit = at.served.stores().await?.audit;
    let limit = usize::from(query.limit.unwrap_or(USUAL).min(MOST));
    let filter = AuditFilter { who: query.who, action: query.action };
    let mut entries = audit.audit(&filter, query.before, limit + 1).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|record| record.id);
    Ok(Document::of(AuditDocument { version: VERSION, entries, next }))
}
