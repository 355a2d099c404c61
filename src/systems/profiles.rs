//! Profiles of persons with their opt-outs: lists of them, and their subscriptions to services.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::target::{RecordKey, Target, Written};
use crate::connect::ConnectError;
use crate::system::SystemId;
use crate::time::Instant;

/// Only profiles that changed since an instant, by a filter that the system has under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedSince<'a> {
    /// The filter's name in addresses: `byLastModified`.
    pub filter: &'a str,
    /// Its parameter.
    pub parameter: &'a str,
    /// The instant.
    pub since: Instant,
}

/// The pages of a list of profiles, one call each.
#[async_trait]
pub trait ProfilePages: Send {
    /// Returns the profiles of the next page; `None` after the last one. After an error the same page may be asked for again.
    ///
    /// # Errors
    /// [`ConnectError::Protocol`] if the pages will not come to an end. Others as they come.
    async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError>;
}

/// A system with profiles of persons, which are written as records of a target. The contract is held by [`super::conformance`].
#[async_trait]
pub trait Profiles: Target {
    /// Lists profiles, those that others have made among them.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn list(
        &self,
        collection: &str,
        changed: Option<ChangedSince<'_>>,
        page_size: u32,
    ) -> Result<Box<dyn ProfilePages>, ConnectError>;

    /// Whether the system has a filter with this one parameter. It is asked once, and after a question that failed only with `again`.
    async fn has_filter(&self, collection: &str, filter: &str, parameter: &str, again: bool) -> bool;
}

/// A profile with its subscriptions at one time, for the calls that follow at once: it has addresses, and is not to be kept.
pub struct SubscribedProfile {
    /// The profile, without what belongs to the system alone.
    pub profile: Value,
    /// The names of the services.
    pub services: BTreeSet<String>,
    /// Where the list of its subscriptions is.
    pub(super) list: Url,
    /// The name of a service with the address of the subscription to it.
    pub(super) entries: Vec<(String, Url)>,
}

/// Shows no address and no profile.
impl fmt::Debug for SubscribedProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribedProfile").field("services", &self.services).finish_non_exhaustive()
    }
}

/// A system whose profiles subscribe to services. The contract is held by [`super::conformance`].
#[async_trait]
pub trait Subscriptions: Send + Sync {
    /// The names of all services.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn services(&self) -> Result<BTreeSet<String>, ConnectError>;

    /// Returns a profile with its subscriptions; `None` if there is no such profile.
    ///
    /// # Errors
    /// [`ConnectError::Rejected`] if the answers do not say to which services the profile is subscribed. Others as they come.
    async fn subscriptions(&self, profile: RecordKey<'_>) -> Result<Option<SubscribedProfile>, ConnectError>;

    /// Subscribes a profile to a service, by its name. [`Written::Missing`]: the profile is gone, or its addresses have expired.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if there is no such service. [`ConnectError::OutcomeUnknown`] if the answer was not seen: the request is
    /// not repeated. Others as they come.
    async fn subscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError>;

    /// Ends the subscription of a profile to a service. [`Written::Missing`] if it has none, or none any more.
    ///
    /// # Errors
    /// [`ConnectError::OutcomeUnknown`] if the answer was not seen. Others as they come.
    async fn unsubscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError>;
}

/// A system has no service with this name. `place`: where the mapping file names it.
pub fn no_service(system: SystemId, name: &str, place: Option<String>) -> ConnectError {
    let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
    let title = system.title();
    ConnectError::config(
        format!("{}: there is no service with the name `{name}`{place}", system.api()),
        format!(
            "`d365map doctor` shows the names of the services; write one of them in the opt-out block, or create the service in {title}"
        ),
    )
}
