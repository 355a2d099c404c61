//! Where records come from: pages of a table, in full or since the last reading, and single records.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::value::RawValue;

use crate::connect::{Call, ConnectError, Trail};
use crate::system::SystemId;

/// A place in a reading of pages. Opaque to all but the system that gave it; kept in the state as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

impl Cursor {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wanted of the records of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The table's name in the system's addresses: `contacts`.
    pub collection: String,
    /// The property with a record's id: `contactid`.
    pub primary_key: String,
    /// The properties that are needed, the primary key among them.
    pub select: Vec<String>,
    /// Whether labels of options, and tables of lookups, are to come beside the values, where the system has such.
    pub labels: bool,
    /// Records that lookups lead to, within the record: the property of each and what is needed of it. Only [`Source::retrieve`] gives
    /// them.
    pub expand: Vec<(String, Vec<String>)>,
}

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageRequest {
    /// The first page of all records.
    First {
        /// What is wanted of them.
        query: Query,
        /// Whether the last page is to bring a cursor to the changes after it. Only for systems with
        /// [`SourceCapabilities::change_tracking`].
        track_changes: bool,
        /// Records in a page at most.
        page_size: u32,
    },
    /// The page that a cursor leads to.
    Follow {
        /// A [`Page::next`] or [`Page::changes`].
        cursor: Cursor,
        /// The query of the first page. A system whose cursors hold it does not need it.
        query: Query,
        /// Records in a page at most; the same as for the first page.
        page_size: u32,
    },
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// Its records in the system's order.
    pub rows: Vec<Row>,
    /// Where the next page is; none on the last.
    pub next: Option<Cursor>,
    /// Where the changes from now on are; on the last page of a tracked reading. If it is missing there, the old one still holds.
    pub changes: Option<Cursor>,
    /// A hash of its records: two pages with the same records are alike.
    pub content: u64,
}

/// A record of a page.
#[derive(Debug)]
pub enum Row {
    /// A record that is there, new or changed: its JSON object.
    Changed(Box<RawValue>),
    /// A record that is gone.
    Deleted {
        /// Its id.
        id: String,
        /// It has left the result of the query, but still exists.
        left_result: bool,
    },
    /// A row that does not say which record it is about. The others of the page are not worse for it.
    Unusable {
        /// What is wrong with it; holds nothing of its content.
        problem: &'static str,
    },
}

impl Page {
    /// The texts of the records that are there.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| match row {
            Row::Changed(record) => Some(record.get()),
            Row::Deleted { .. } | Row::Unusable { .. } => None,
        })
    }

    /// Takes the page into what a reading has followed; `request` is what brought it.
    ///
    /// # Errors
    /// [`ConnectError::Protocol`] if the pages will not come to an end.
    pub fn follow(&self, system: SystemId, request: &PageRequest, trail: &mut Trail) -> Result<(), ConnectError> {
        let Some(next) = &self.next else { return Ok(()) };
        let from = match request {
            PageRequest::First { .. } => None,
            PageRequest::Follow { cursor, .. } => Some(cursor.as_str()),
        };
        trail.step(from, next.as_str(), self.rows.len(), self.content).map_err(|problem| {
            let url = next.as_str().split(['?', '#']).next().unwrap_or_default().to_owned();
            ConnectError::Protocol {
                call: Box::new(Call { api: system.api(), method: "GET".to_owned(), url, ..Call::default() }),
                problem: format!(
                    "{problem}: the read was stopped; check that no proxy is in between, then read from the beginning with `d365map replay`"
                ),
            }
        })
    }
}

/// What a system can do as a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceCapabilities {
    /// It tells what has changed since an earlier reading, by a cursor. Otherwise every reading is a full one.
    pub change_tracking: bool,
    /// Among the changes it tells deletions. Otherwise only a full reading shows that a record is gone.
    pub deletes: bool,
}

/// A system that records are read from. The contract is held by [`super::conformance`].
#[async_trait]
pub trait Source: Send + Sync {
    /// The system.
    fn system(&self) -> SystemId;

    /// What it can do.
    fn capabilities(&self) -> SourceCapabilities;

    /// Reads a page. Reading the same page again gives the same records as they are then.
    ///
    /// # Errors
    /// [`ConnectError::DeltaExpired`] if a cursor is too old: read from the first page again. Others as they come.
    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError>;

    /// Returns a record by its id as it is now; `None` if there is none.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn retrieve(&self, query: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError>;

    /// Returns records by their ids. One that is missing in the answer may still exist: only [`Source::retrieve`] is certain.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn retrieve_many(&self, query: &Query, ids: &[String]) -> Result<HashMap<String, Box<RawValue>>, ConnectError> {
        let mut found = HashMap::with_capacity(ids.len());
        for id in ids {
            if let Some(record) = self.retrieve(query, id).await? {
                found.insert(id.clone(), record);
            }
        }
        Ok(found)
    }

    /// Returns the records of a table whose lookup leads to a record. `lookup` is the property with the id.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the system has no lookups. Others as they come.
    async fn children(&self, _query: &Query, lookup: &str, _id: &str) -> Result<Vec<Box<RawValue>>, ConnectError> {
        Err(ConnectError::config(format!("{}: records are not found by `{lookup}`", self.system()), "read them by their ids"))
    }

    /// Returns the ids of the other records of the deal that a record belongs to; none if the system does not group records so.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn related(&self, _id: &str) -> Result<Vec<String>, ConnectError> {
        Ok(Vec::new())
    }

    /// Whether a record is the part that somebody else has in a deal: one of [`Source::related`], and not ours. Makes no call.
    fn is_of_another(&self, _record: &str) -> bool {
        false
    }

    /// Returns the address of a record for people, if it has one. Makes no call.
    fn page_for_people(&self, _id: &str) -> Option<String> {
        None
    }

    /// Whether a text can be the id of a record. [`Source::retrieve`] is asked for no other.
    fn is_id(&self, text: &str) -> bool {
        !text.is_empty()
    }

    /// The table that a cursor leads to, as [`Query::collection`] names it, if the cursor says so.
    fn collection_of(&self, cursor: &Cursor) -> Option<String>;
}
