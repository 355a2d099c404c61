//! Records that lookups of the right side lead to: found by their values, or created.

use std::collections::HashMap;

use serde_json::Value;
use tokio::sync::Mutex;

use super::fields::{Bound, Record};
use super::rows::row_id;
use super::values::{Body, is_empty};
use super::work::{Break, Job};
use crate::connect::ConnectError;
use crate::plan::{LinkedRecord, Otherwise};
use crate::run::calls::CallKind;
use crate::systems::{Payload, Table};

/// What was found in a round: ids by link and values. Found one at a time, so that two deals of one customer do not both create it.
#[derive(Default)]
pub(super) struct FoundRecords(Mutex<HashMap<Sought, Option<String>>>);

/// The place of a link, and the values by which its record is found.
type Sought = (usize, Vec<String>);

/// Records kept in [`FoundRecords`]; beyond it every lookup is a call.
const KEPT: usize = 10_000;

impl Job<'_> {
    /// Finds or creates the records that these fields link to.
    pub(super) async fn bound(&self, fields: &[usize], left: &Record) -> Result<Vec<Bound>, Break> {
        let mut bound = Vec::new();
        for place in fields {
            let Some(link) = self.shared.fields.list.get(*place).and_then(|field| field.link) else { continue };
            let (Some(record), Some(values)) = (self.shared.flow().links.get(link), left.linked.get(link)) else { continue };
            if let Some(id) = self.linked_record(link, record, values).await? {
                bound.push(Bound { link, id });
            }
        }
        Ok(bound)
    }

    async fn linked_record(&self, place: usize, link: &LinkedRecord, values: &[String]) -> Result<Option<String>, Break> {
        let Some(sought) = link.sought(values) else { return Ok(None) };
        let key = (place, sought.iter().map(|(_, value)| (*value).clone()).collect::<Vec<_>>());
        let mut known = self.shared.found.0.lock().await;
        if let Some(id) = known.get(&key) {
            return Ok(id.clone());
        }
        let table = Table { name: link.name(), collection: &link.collection };
        let mut wanted: Vec<(&str, Value)> =
            sought.iter().map(|(column, value)| (*column, serde_json::from_str(value).unwrap_or_default())).collect();
        if link.active {
            wanted.push(("statecode", Value::from(0)));
        }
        let target = &self.shared.right.target;
        let mut found = self.answer(CallKind::Look, None, target.find_by(table, &link.primary_key, &wanted).await)?;
        let id = match (found.len(), link.otherwise) {
            (1, _) => found.pop(),
            (0, Otherwise::Null) => None,
            (0, Otherwise::Create) => {
                let parts: Vec<&str> = key.1.iter().map(String::as_str).collect();
                let id = row_id(&self.shared.printer, &link.table, &parts);
                self.create_linked(link, table, values, &id).await?;
                Some(id)
            }
            (0, Otherwise::Reject) => return Err(self.no_record(link)),
            _ => return Err(self.several_records(link)),
        };
        if known.len() < KEPT {
            known.insert(key, id.clone());
        }
        Ok(id)
    }

    async fn create_linked(&self, link: &LinkedRecord, table: Table<'_>, values: &[String], id: &str) -> Result<(), Break> {
        let mut body = Body::default();
        body.set_text(&link.primary_key, id);
        for (program, value) in link.fields.iter().zip(values).filter(|(_, value)| !is_empty(value)) {
            body.set(&program.path, value.clone());
        }
        let body = body.to_json();
        match self.shared.right.target.create(table, &link.primary_key, Payload::from(&body)).await {
            // An earlier request of ours made it.
            Err(ConnectError::Duplicate { .. }) => Ok(()),
            answer => self.answer(CallKind::Create, Some(body), answer),
        }
    }

    fn no_record(&self, link: &LinkedRecord) -> Break {
        let message = format!(
            "No record of `{}` has the values of `{}` that the {} has. Create it in Dynamics 365, or write `or null` to leave `{}` as it is",
            link.table,
            link.by.join("`, `"),
            self.shared.flow().left.name(),
            link.column
        );
        self.ends("no-linked-record", message, &link.column)
    }

    fn several_records(&self, link: &LinkedRecord) -> Break {
        let message = format!(
            "Several records of `{}` have the values of `{}` that the {} has, so it is not clear to which one `{}` should lead. Merge them, \
             or set the lookup of the opportunity and its \"Referral Identifier\" by hand",
            link.table,
            link.by.join("`, `"),
            self.shared.flow().left.name(),
            link.column
        );
        self.ends("several-linked-records", message, &link.column)
    }
}
