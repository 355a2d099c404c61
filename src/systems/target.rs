//! Where records go: single writes by a key of ours, and many at once.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::connect::{ConnectError, RequestLifetime};
use crate::system::SystemId;

/// A table of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table<'a> {
    /// Its name: `contact`.
    pub name: &'a str,
    /// Its name in the system's addresses: `contacts`.
    pub collection: &'a str,
}

/// A record of a target, named by a key of ours.
#[derive(Debug, Clone, Copy)]
pub struct RecordKey<'a> {
    /// The table.
    pub table: Table<'a>,
    /// The attribute with the key.
    pub attribute: &'a str,
    /// Its value. An answer about a record with another value is not believed.
    pub value: &'a str,
}

/// Whether a write found its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It did, and the write is done.
    Done,
    /// There is no record of that key.
    Missing,
}

/// A record as the target has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The record, without what belongs to the target alone.
    pub record: Value,
    /// Its version, if the target has versions.
    pub version: Option<String>,
}

/// A search for records by one attribute, which need not be a key.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The table.
    pub table: Table<'a>,
    /// The attribute.
    pub by: &'a str,
    /// Its value.
    pub value: &'a str,
    /// The attribute with the key of ours.
    pub key: &'a str,
    /// How many records are returned at most.
    pub most: usize,
}

/// A record that a search has found.
#[derive(Clone, PartialEq, Eq)]
pub struct Match {
    /// The value of the key; `None` if the record has none.
    pub key: Option<String>,
    /// Where the record is, by the target's own id: for the next call, and not to be kept.
    pub(super) address: String,
}

impl Match {
    /// A number that is the same for two matches of one record, for as long as the target's own id of it stays the same.
    pub fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.address.hash(&mut hasher);
        hasher.finish()
    }
}

/// Without the address, which has an id of the target.
impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Match").field("has_key", &self.key.is_some()).finish_non_exhaustive()
    }
}

/// What a search has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches {
    /// The records, in the target's order.
    pub records: Vec<Match>,
    /// There are more than were asked for.
    pub more: bool,
}

/// The body of a write: a JSON object. May hold personal data and ids of the target, and so is not shown.
/// A clone shares the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub(super) Bytes);

impl Payload {
    /// The text.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl From<String> for Payload {
    fn from(body: String) -> Self {
        Self(body.into())
    }
}

impl From<&String> for Payload {
    fn from(body: &String) -> Self {
        Self::from(body.as_str())
    }
}

impl From<&str> for Payload {
    fn from(body: &str) -> Self {
        Self(Bytes::copy_from_slice(body.as_bytes()))
    }
}

/// A link of a record to another one.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The link's attribute.
    pub name: &'a str,
    /// Where it leads; `None` empties it.
    pub to: Option<RecordKey<'a>>,
    /// The other record is not one that we write: many records link to it, and where it is may be remembered for some minutes.
    pub lasting: bool,
}

/// A body with its links, as far as the other records are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// To be sent soon: what links hold may expire.
    Ready(Payload),
    /// The record that this link leads to is not there.
    Absent {
        /// The link's attribute.
        link: String,
    },
}

/// What a system can do as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetCapabilities {
    /// Records in one request of the methods for many; `None` if these make a request for each.
    pub bulk: Option<usize>,
    /// It has versions, and makes a write depend on one.
    pub conditional_write: bool,
    /// Its records can be deleted.
    pub deletes: bool,
    /// Records can be found by an attribute that is not a key, and be given a key.
    pub adopts: bool,
}

/// What a system requires of a record, and what the record does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The field, as a mapping names it.
    pub field: &'static str,
    /// What the field is, in the system's words: `the customer's name`.
    pub name: &'static str,
}

/// A system that records are written to. The contract is held by [`super::conformance`].
///
/// A write whose answer was not seen ends with [`ConnectError::OutcomeUnknown`], and is not repeated by the target itself if that could
/// make a second record.
#[async_trait]
pub trait Target: Send + Sync {
    /// The system.
    fn system(&self) -> SystemId;

    /// What it can do.
    // Not `expect`: a target that passes the question on counts as a use for one check of the compiler, and not for the other.
    #[cfg_attr(not(feature = "internals"), allow(dead_code, reason = "for two-way flows"))]
    fn capabilities(&self) -> TargetCapabilities;

    /// How long a request may still take effect.
    fn request_lifetime(&self) -> RequestLifetime;

    /// Returns a record; `None` if there is none.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError>;

    /// Returns the value of `primary_key` of the record that an attribute and its value name, whether or not the attribute is a key of the
    /// system; `None` if there is none.
    ///
    /// # Errors
    /// [`ConnectError::Protocol`] if several records have the value. Others as they come.
    async fn find(&self, record: RecordKey<'_>, primary_key: &str) -> Result<Option<String>, ConnectError> {
        let found = self.get(record).await?;
        Ok(found.and_then(|found| found.record.get(primary_key).and_then(Value::as_str).map(str::to_owned)))
    }

    /// Returns the ids of records whose attributes have these values (`null`, a text or a whole number): two at most, which is enough to
    /// know whether there is one.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the system finds records by their keys only. Others as they come.
    async fn find_by(&self, table: Table<'_>, _primary_key: &str, _values: &[(&str, Value)]) -> Result<Vec<String>, ConnectError> {
        Err(ConnectError::config(format!("{}: records of `{}` are found by their keys only", self.system(), table.name), "use a key"))
    }

    /// Finds records by an attribute. Letter case and white space at the ends of the value do not matter.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the target cannot be searched by this attribute, with what a person has to do. Others as they come.
    async fn search(&self, search: Search<'_>) -> Result<Matches, ConnectError> {
        let what = format!("{}: records of `{}` are found by their keys only", self.system(), search.table.name);
        Err(ConnectError::config(what, "remove the `adopt` line"))
    }

    /// Changes a record that a search has found, in one write; `body` has the key of `record` among its attributes.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the target cannot do this. Others as those of an update.
    async fn adopt(&self, found: &Match, record: RecordKey<'_>, body: Payload) -> Result<Written, ConnectError> {
        let _ = (found, body);
        Err(ConnectError::config(
            format!("{}: records of `{}` cannot be given a key", self.system(), record.table.name),
            "remove the `adopt` line",
        ))
    }

    /// Creates a record; `body` carries the key in this attribute.
    ///
    /// # Errors
    /// [`ConnectError::Duplicate`] or [`ConnectError::Rejected`] if the key is taken. Others as they come.
    async fn create(&self, table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError>;

    /// Changes attributes of a record; `body` has the changed ones, without the key. With a version, only if the record still has it.
    ///
    /// # Errors
    /// [`ConnectError::Changed`] if the version is another one; [`ConnectError::Config`] if there is a version and the target has none.
    /// Others as they come.
    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError>;

    /// Returns what the system requires, and what a record does not have: one that is created with this body or, with the record as it is
    /// `before`, one that is changed by it. What the record did not have before is not named again. Makes no call.
    fn missing(&self, table: Table<'_>, before: Option<&str>, body: &str) -> Vec<Missing> {
        let _ = (table, before, body);
        Vec::new()
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if records cannot be deleted. Others as they come.
    async fn delete(&self, record: RecordKey<'_>) -> Result<Written, ConnectError>;

    /// Adds links to a body.
    ///
    /// # Errors
    /// [`ConnectError`] of looking the other records up; [`ConnectError::Rejected`] if the body is not a JSON object.
    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError>;

    /// Forgets where the records of lasting links are: a write with them was rejected. Makes no call.
    fn forget_links(&self) {}

    /// Creates records. Gives what became of each, in their order; one that is refused costs none of the others.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for two-way flows"))]
    async fn create_many(&self, table: Table<'_>, attribute: &str, bodies: Vec<Payload>) -> Vec<Result<(), ConnectError>> {
        let mut results = Vec::with_capacity(bodies.len());
        for body in bodies {
            results.push(self.create(table, attribute, body).await);
        }
        results
    }

    /// Changes records. Gives what became of each, in their order; one that is refused costs none of the others.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for two-way flows"))]
    async fn update_many(&self, records: Vec<(RecordKey<'_>, Payload)>) -> Vec<Result<Written, ConnectError>> {
        let mut results = Vec::with_capacity(records.len());
        for (record, body) in records {
            results.push(self.update(record, body, None).await);
        }
        results
    }

    /// Deletes records. Gives what became of each, in their order; one that is refused costs none of the others.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for two-way flows"))]
    async fn delete_many(&self, records: Vec<RecordKey<'_>>) -> Vec<Result<Written, ConnectError>> {
        let mut results = Vec::with_capacity(records.len());
        for record in records {
            results.push(self.delete(record).await);
        }
        results
    }
}
