//! How many rows tables have, beyond the 5000 at which other counts stop.
//!
//! Source: Dataverse Web API, *RetrieveTotalRecordCount Function*: the numbers come from a snapshot of the last 24 hours.

use std::collections::BTreeMap;

use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::{Dataverse, NAME};
use crate::connect::ConnectError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    entity_record_count_collection: Counts,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    keys: Vec<String>,
    values: Vec<u64>,
}

impl Dataverse {
    /// How many rows each of these tables has, by its logical name; no older than 24 hours. One call.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::Protocol`] where a table is left out of the answer.
    pub async fn total_records(&self, tables: &[String]) -> Result<BTreeMap<String, u64>, ConnectError> {
        let list: Vec<String> = tables.iter().map(|t| format!("'{}'", t.replace('\'', "''"))).collect();
        let list = format!("[{}]", list.join(","));
        // A parameter alias, so that no name has to fit into the path.
        let query = format!("@names={}", utf8_percent_encode(&list, NAME));
        let url = self.url("RetrieveTotalRecordCount(EntityNames=@names)", &query)?;
        let answer: Answer = self.get(url.clone()).await?;
        let Counts { keys, values } = answer.entity_record_count_collection;
        let counts: BTreeMap<String, u64> = keys.into_iter().zip(values).collect();
        match tables.iter().find(|t| !counts.contains_key(*t)) {
            None => Ok(counts),
            Some(table) => Err(self.request(url, None)?.protocol(format!("the answer has no count of `{table}`"))),
        }
    }
}
