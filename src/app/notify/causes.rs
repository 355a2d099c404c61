//! What needs a person now: by the state, by the calls of the HTTP layer, and by the credentials of the project.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::board::{Cause, Look, key};
use crate::app::sign_in;
use crate::connect::{CallStats, Http, certificate_expiry};
use crate::count::counted;
use crate::project::{EntraCredential, Notify, NotifyEvent, Project};
use crate::run::Clock;
use crate::store::{Status, StoreError, Stores, Wish, WorkflowRecord};
use crate::time::{self, Instant};

/// A service limits requests as long as its last rejection for that reason is not older. It may ask for a pause of five minutes.
const LIMITED: TimeDelta = TimeDelta::minutes(6);
/// A workflow whose next attempt is this far away waits for a person: what may pass is tried more often.
const AFTER_A_PERSON: TimeDelta = TimeDelta::minutes(10);
/// How often files with credentials are read.
const CREDENTIALS: TimeDelta = TimeDelta::hours(1);
/// The events of a workflow whose rounds fail.
const FAILURES: [NotifyEvent; 2] = [NotifyEvent::WorkflowFailed, NotifyEvent::WorkflowStopped];

/// Looks for causes.
pub(super) struct Causes {
    project: Project,
    settings: Notify,
    stores: Stores,
    http: Http,
    /// When the process began: what the state says of workflows before that is not of this process.
    began: Instant,
    /// How often each API was limited at the last check, and when that changed.
    limited: BTreeMap<&'static str, (u64, Option<Instant>)>,
    /// When credentials expire, and when their files were read.
    credentials: Option<(Instant, Vec<(String, Instant)>)>,
}

impl Causes {
    pub fn new(project: Project, settings: Notify, stores: Stores, http: Http, clock: Clock) -> Causes {
        Causes { project, settings, stores, http, began: clock.now(), limited: BTreeMap::new(), credentials: None }
    }

    /// Looks for all causes of the events that people want to know of.
    pub async fn look(&mut self, now: Instant) -> Result<Look, StoreError> {
        let mut look = Look::default();
        let status = self.stores.control.status().await?;
        self.workflows(&status, &mut look);
        for mapping in &status.mappings {
            if self.stores.outbox.mass_change(&mapping.mapping).await?.is_some() {
                let summary = format!("The workflow `{}` holds a mass change until it is approved.", mapping.mapping);
                look.add(NotifyEvent::MassChange, &mapping.mapping, summary);
            }
        }
        self.limited(self.http.stats(), now, &mut look);
        self.expiring(now, &mut look);
        look.causes.retain(|cause| self.settings.events.contains(&cause.event));
        Ok(look)
    }

    fn workflows(&self, status: &Status, look: &mut Look) {
        for record in &status.workflows {
            let name = &record.name;
            match self.failing(record) {
                None => look.unknown.extend(FAILURES.map(|event| key(event, name))),
                Some(None) => {}
                Some(Some(failed_at)) => {
                    let reason = record.last_error.as_deref().unwrap_or("the reason is not known");
                    // While it is tried, the time of the next attempt is not known.
                    let waits = record.next_round.map(|next| next - failed_at >= AFTER_A_PERSON);
                    match waits {
                        Some(true) => {
                            let summary = format!("The workflow `{name}` cannot continue until somebody acts: {reason}");
                            look.add(NotifyEvent::WorkflowStopped, name, summary);
                        }
                        Some(false) => {
                            let summary = format!("The workflow `{name}` fails, and is tried again: {reason}");
                            look.lasting(NotifyEvent::WorkflowFailed, name, summary, self.settings.failed_after);
                        }
                        None => look.unknown.extend(FAILURES.map(|event| key(event, name))),
                    }
                }
            }
        }
        for mapping in &status.mappings {
            let name = &mapping.mapping;
            if let Some(warning) = &mapping.exports {
                look.add(NotifyEvent::ExportsCeased, name, format!("The workflow `{name}`: {warning}"));
            }
            if mapping.dead_letters >= self.settings.dead_letters {
                let letters = counted(mapping.dead_letters, "dead letter");
                look.add(NotifyEvent::DeadLetters, name, format!("The workflow `{name}` has {letters}."));
            }
        }
    }

    /// When the last round of a workflow failed; the inner `None` if it did not, the outer one if this process has not ended one.
    fn failing(&self, record: &WorkflowRecord) -> Option<Option<Instant>> {
        if record.wish == Wish::Stop {
            return Some(None);
        }
        let ended = record.round_ended.filter(|at| *at >= self.began)?;
        Some(record.error_at.filter(|at| *at >= ended))
    }

    fn limited(&mut self, stats: CallStats, now: Instant, look: &mut Look) {
        for (api, calls) in stats.apis {
            let count = calls.outcomes.get("throttled").copied().unwrap_or_default();
            let (before, last) = self.limited.entry(api).or_default();
            if count > *before {
                (*before, *last) = (count, Some(now));
            }
            if last.is_some_and(|at| now - at < LIMITED) {
                let minutes = self.settings.throttled_after.as_secs() / 60;
                let summary = format!("`{api}` has limited requests for {} or longer.", counted(minutes, "minute"));
                look.lasting(NotifyEvent::Throttled, api, summary, self.settings.throttled_after);
            }
        }
        if now - self.began < LIMITED {
            let apis = ["dataverse", "campaign", "partner-center", "token"];
            look.unknown.extend(apis.map(|api| key(NotifyEvent::Throttled, api)));
        }
    }

    fn expiring(&mut self, now: Instant, look: &mut Look) {
        if self.credentials.as_ref().is_none_or(|(read, _)| now - *read >= CREDENTIALS) {
            self.credentials = Some((now, expiries(&self.project)));
        }
        let before = TimeDelta::from_std(self.settings.credential_before).unwrap_or_default();
        for (what, expires) in self.credentials.iter().flat_map(|(_, all)| all) {
            if *expires - now < before {
                let summary = format!("The {what} expires at {}.", time::format_instant(*expires));
                look.add(NotifyEvent::CredentialExpires, what, summary);
            }
        }
    }
}

impl Look {
    fn add(&mut self, event: NotifyEvent, subject: &str, summary: String) {
        self.lasting(event, subject, summary, Duration::ZERO);
    }

    fn lasting(&mut self, event: NotifyEvent, subject: &str, summary: String, hold: Duration) {
        let hold = TimeDelta::from_std(hold).unwrap_or_default();
        self.causes.push(Cause { event, subject: subject.to_owned(), summary, hold });
    }
}

/// The credentials whose end is known, each with that end.
fn expiries(project: &Project) -> Vec<(String, Instant)> {
    let connections = &project.connections;
    let dynamics = connections.dynamics.as_ref().map(|connection| &connection.config.credential);
    let partner_center = connections.partner_center.as_ref().and_then(|connection| connection.config.credential.client.as_ref());
    let mut found = Vec::new();
    for (name, credential) in [("dynamics", dynamics), ("partner-center", partner_center)] {
        let Some(EntraCredential::Certificate { certificate, .. }) = credential else { continue };
        // A file that cannot be read is an error of the workflows, which need it.
        let pem = crate::disk::read_text(&project.root.join(certificate), crate::disk::SMALL);
        if let Some(expires) = pem.ok().and_then(|pem| certificate_expiry(&pem)) {
            found.push((format!("certificate of the connection {name}"), expires));
        }
    }
    if let Some(Ok(Some(signed_in))) = sign_in::signed_in(project) {
        let used = signed_in.refreshed;
        found.push(("sign-in to Partner Center".to_owned(), used + TimeDelta::days(signed_in.days_left(used))));
    }
    found
}
