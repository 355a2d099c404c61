//! The systems whose records are moved, each in a separate folder, on the HTTP layer of [`crate::connect`].
//!
//! A system is a [`Source`], a [`Target`] or both, and may have more: a [`Timeline`] of each person, a [`History`] of what it has sent,
//! [`Profiles`] with opt-outs and [`Subscriptions`]. What moves records knows systems only by these traits and by [`SystemId`];
//! [`Systems`] holds those that a project connects to.

pub mod campaign;
#[cfg(test)]
pub(crate) mod conformance;
pub mod dataverse;
mod history;
#[cfg(test)]
mod memory;
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for two-way flows"))]
pub mod partner_center;
mod profiles;
mod source;
mod target;
mod timeline;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use history::{History, HistoryEntry, MirrorPage};
pub use profiles::{ChangedSince, ProfilePages, Profiles, SubscribedProfile, Subscriptions, no_service};
pub use source::{Cursor, Page, PageRequest, Query, Row, Source, SourceCapabilities};
pub use target::{Found, Link, Linked, Match, Matches, Missing, Payload, RecordKey, Search, Table, Target, TargetCapabilities, Written};
pub use timeline::{Activity, ActivityBatch, ActivityColumn, ActivityState, ActivityTable, ActivityWrites, BatchOutcome, Timeline};

use crate::connect::ConnectError;
use crate::system::SystemId;

/// A connection to a system.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Which environment it leads to, so that no state is used for another one.
    ///
    /// # Errors
    /// [`ConnectError`] if the system has to be asked.
    async fn environment(&self) -> Result<Environment, ConnectError>;

    /// The system as a source, if it can be one.
    fn source(&self) -> Option<Arc<dyn Source>>;

    /// The system as a target, if it can be one.
    fn target(&self) -> Option<Arc<dyn Target>>;

    /// The id of the user as whom the connection writes, as records name the user who changed them; `None` if they name none.
    ///
    /// # Errors
    /// [`ConnectError`] if the system has to be asked.
    async fn user(&self) -> Result<Option<String>, ConnectError> {
        Ok(None)
    }

    /// The timelines of persons, if the system has any.
    fn timeline(&self) -> Option<Arc<dyn Timeline>> {
        None
    }

    /// What the system has sent to persons, if it keeps that.
    fn history(&self) -> Option<Arc<dyn History>> {
        None
    }

    /// The profiles of persons, if the system has any.
    fn profiles(&self) -> Option<Arc<dyn Profiles>> {
        None
    }

    /// The subscriptions of profiles to services, if the system has any.
    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        None
    }
}

/// The environment of a system that a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its address.
    pub address: String,
    /// The organization that it says it belongs to, if it does.
    pub organization: Option<String>,
}

/// The systems that a project connects to.
#[derive(Clone, Default)]
pub struct Systems(BTreeMap<SystemId, Arc<dyn Connection>>);

impl Systems {
    /// The same with one more system.
    #[must_use]
    pub fn with(mut self, system: SystemId, connection: impl Connection + 'static) -> Systems {
        self.0.insert(system, Arc::new(connection));
        self
    }

    /// The connection to a system.
    pub fn get(&self, system: SystemId) -> Option<&Arc<dyn Connection>> {
        self.0.get(&system)
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = (SystemId, &Arc<dyn Connection>)> {
        self.0.iter().map(|(system, connection)| (*system, connection))
    }
}
