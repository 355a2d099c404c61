//! Rows under ids of ours: made many at once, all or none, and looked for by their ids.
//!
//! A row's id may be given when it is made (Dataverse Web API: *Create a table row*); making it twice is refused, with 412
//! `0x80040237` by the documents. So a request whose answer was not seen is followed by a read of which rows exist.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::bulk::{Bulk, Target, written};
use super::key::Entity;
use super::page::{PageRequest, Query, Row};
use super::{Dataverse, together};
use crate::connect::{ConnectError, Trail};

impl Dataverse {
    /// Makes rows in one request of CreateMultiple: all of them or none.
    ///
    /// # Errors
    /// [`ConnectError`]; it does not name the row. After [`ConnectError::OutcomeUnknown`] ask which are there.
    pub async fn create_all(&self, entity: &Entity, targets: &[Target]) -> Result<(), ConnectError> {
        let bodies = targets.iter().map(|target| written(entity, Bulk::Create, target)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<(usize, &str)> = bodies.iter().map(String::as_str).enumerate().collect();
        let made = self.bulk_request(entity, Bulk::Create, &rows).await?;
        if together::is_about(targets, &made) { Ok(()) } else { Err(together::other_rows()) }
    }

    /// Which of these rows are there, each with one of its whole numbers if that was asked for (`statecode`).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn existing(&self, entity: &Entity, ids: &[Uuid], number: Option<&str>) -> Result<HashMap<Uuid, Option<i64>>, ConnectError> {
        let select: Vec<String> = std::iter::once(entity.primary_id.as_str()).chain(number).map(str::to_owned).collect();
        let number = |row: &RawValue| {
            let row: Value = serde_json::from_str(row.get()).unwrap_or_default();
            number.and_then(|column| row.get(column)).and_then(Value::as_i64)
        };
        let rows = self.rows(&entity.set, &entity.primary_id, ids, &select, false).await?;
        Ok(rows.into_iter().map(|(id, row)| (id, number(&row))).collect())
    }

    /// Returns rows by their ids, as the service wrote them. One that is missing does not exist, may not be read by this user, or does
    /// not say its id: ask for it with [`Dataverse::retrieve_expanded`] to tell these apart.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn rows(
        &self,
        set: &str,
        primary_id: &str,
        ids: &[Uuid],
        select: &[String],
        annotations: bool,
    ) -> Result<HashMap<Uuid, Box<RawValue>>, ConnectError> {
        /// An address has 32,768 characters at most; an id takes some 45 of them, encoded, and the names of the columns need room too.
        const AT_ONCE: usize = 400;
        let mut found = HashMap::new();
        for ids in ids.chunks(AT_ONCE) {
            let values: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
            let filter = format!("Microsoft.Dynamics.CRM.In(PropertyName='{primary_id}',PropertyValues=[{}])", values.join(","));
            let query = Query { annotations, ..Query::of(set, select.to_vec(), 5000).filtered(filter) };
            for row in self.all(query).await? {
                let id = crate::json::properties(row.get())
                    .and_then(|properties| properties.get(primary_id).and_then(|id| serde_json::from_str::<Uuid>(id.get()).ok()));
                if let Some(id) = id {
                    found.insert(id, row);
                }
            }
        }
        Ok(found)
    }

    /// Returns all rows of a query that is not tracked, as the service wrote them.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn all(&self, query: Query) -> Result<Vec<Box<RawValue>>, ConnectError> {
        let page_size = query.page_size;
        let mut request = PageRequest::First(query);
        let mut trail = Trail::default();
        let mut rows = Vec::new();
        loop {
            let page = self.page(&request).await?;
            page.follow(&request, &mut trail)?;
            rows.extend(page.rows.into_iter().filter_map(|row| match row {
                Row::Changed(row) => Some(row),
                Row::Deleted { .. } | Row::Unusable { .. } => None,
            }));
            match page.next {
                Some(link) => request = PageRequest::Follow { link, page_size },
                None => return Ok(rows),
            }
        }
    }
}
