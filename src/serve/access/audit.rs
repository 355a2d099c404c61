//! The audit log: every action of a person or a client, and every view of personal data, in the state of its project and as one line of
//! the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::caller::Caller;
use crate::project::Role;
use crate::run::Clock;
use crate::store::{Audit, AuditEntry, AuditResult};

/// The target of what is traced about who did what: in the log as JSON, each is one line.
pub const AUDIT: &str = "d365map::audit";

/// The longest text that an entry keeps: names come from services to sign in with, and from requests.
const LONGEST: usize = 200;

/// Writes the audit log. Clones are the same.
#[derive(Clone)]
pub struct Auditor(Arc<Inner>);

struct Inner {
    clock: Clock,
    projects: BTreeMap<String, Arc<dyn Audit>>,
}

/// Who does something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor<'a> {
    pub(super) name: &'a str,
    pub(super) role: Option<Role>,
    pub(super) from: Option<IpAddr>,
}

impl Auditor {
    /// An auditor that writes into the stores of projects, by their names.
    pub fn new(clock: Clock, projects: impl IntoIterator<Item = (String, Arc<dyn Audit>)>) -> Auditor {
        Auditor(Arc::new(Inner { clock, projects: projects.into_iter().collect() }))
    }

    /// Notes what a caller did. Without a project it is noted in all of them.
    ///
    /// `object` must not have data of a person: the number of a dead letter, the name of a workflow, `a person`. An entry that cannot be
    /// stored is in the log with the reason; what was done is not undone.
    pub async fn note(&self, caller: &Caller, project: Option<&str>, action: &str, object: &str, result: AuditResult) {
        let actor = Actor { name: &caller.name, role: Some(caller.role), from: caller.from };
        self.note_actor(actor, project, action, object, result).await;
    }

    /// Notes that a caller is about to see personal data. Returns whether that is on record: without it, nothing is to be shown.
    pub async fn note_view(&self, caller: &Caller, project: &str, object: &str) -> bool {
        let actor = Actor { name: &caller.name, role: Some(caller.role), from: caller.from };
        self.note_actor(actor, Some(project), "show-values", object, AuditResult::Done).await
    }

    /// Returns whether the entry was stored, in every project that it is for.
    pub(super) async fn note_actor(
        &self,
        actor: Actor<'_>,
        project: Option<&str>,
        action: &str,
        object: &str,
        result: AuditResult,
    ) -> bool {
        let entry = AuditEntry {
            at: self.0.clock.now(),
            who: short(actor.name),
            role: actor.role.map(|role| role.name().to_owned()),
            action: action.to_owned(),
            object: short(object),
            result,
            from: actor.from.map(|address| address.to_string()),
        };
        tracing::info!(
            target: AUDIT,
            who = entry.who,
            role = entry.role,
            project,
            action,
            object = entry.object,
            result = entry.result.as_str(),
            from = entry.from,
            "audit"
        );
        let stores = self.0.projects.iter().filter(|(name, _)| project.is_none_or(|project| project == name.as_str()));
        let (mut stored, mut failed) = (false, false);
        for (name, store) in stores {
            match store.note_audit(entry.clone()).await {
                Ok(()) => stored = true,
                Err(error) => {
                    failed = true;
                    tracing::error!(project = name, %error, "an entry of the audit log cannot be stored");
                }
            }
        }
        stored && !failed
    }
}

/// The beginning of a text, without control characters. What is left out leaves a sign.
fn short(text: &str) -> String {
    let mut shown = text.chars().filter(|c| !crate::printable::is_hidden(*c));
    let mut short: String = shown.by_ref().take(LONGEST).collect();
    if shown.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}
