//! Which messages a table has: the rows of `sdkmessage` and `sdkmessagefilter`, where clients ask for support of bulk messages.
//!
//! `UpsertMultiple` is never listed: it is there where `CreateMultiple` and `UpdateMultiple` are. [D]

use uuid::Uuid;

use super::error::Result;
use super::store::{Changes, Store};
use super::value::Value;
use crate::net::mix;

const PLAIN: [&str; 6] = ["Create", "Update", "Delete", "Retrieve", "RetrieveMultiple", "Upsert"];
const BULK: [&str; 2] = ["CreateMultiple", "UpdateMultiple"];

/// The same id for the same name in every organization.
fn id(name: &str) -> Uuid {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    Uuid::from_u64_pair(mix(hash), mix(hash ^ 0x3c3c))
}

/// Makes the rows say what the tables' definitions say.
pub(super) fn fill(store: &mut Store) -> Result<()> {
    let (Some(messages), Some(filters)) = (store.by_name("sdkmessage"), store.by_name("sdkmessagefilter")) else { return Ok(()) };
    let changes = |store: &Store, table: usize, values: Vec<(&str, Value)>| -> Changes {
        values.into_iter().filter_map(|(name, value)| Some((store.tables[table].table.column(name)?, value))).collect()
    };
    for name in PLAIN.iter().chain(&BULK) {
        if !store.tables[messages].rows.contains_key(&id(name)) {
            let values = changes(store, messages, vec![("name", Value::text(name))]);
            store.insert(messages, id(name), values, 0, 0)?;
        }
    }
    let mut wanted = Vec::new();
    for rows in store.tables.iter().filter(|rows| !rows.table.read_only && !rows.table.dropped) {
        let bulk: &[&str] = if rows.table.bulk { &BULK } else { &[] };
        wanted.extend(PLAIN.iter().chain(bulk).map(|message| (rows.table.name.clone(), *message)));
    }
    let ids: Vec<Uuid> = wanted.iter().map(|(table, message)| id(&format!("{table} {message}"))).collect();
    let stale: Vec<Uuid> = store.tables[filters].rows.keys().filter(|row| !ids.contains(row)).copied().collect();
    for row in stale {
        store.delete(filters, row)?;
    }
    for ((table, message), row) in wanted.iter().zip(ids) {
        if !store.tables[filters].rows.contains_key(&row) {
            let values =
                vec![("primaryobjecttypecode", Value::text(table)), ("sdkmessageid", Value::Link(messages as u8, id(message).into()))];
            let values = changes(store, filters, values);
            store.insert(filters, row, values, 0, 0)?;
        }
    }
    Ok(())
}
