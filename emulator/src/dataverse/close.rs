//! `WinOpportunity` and `LoseOpportunity`, by which an opportunity is closed.
//!
//! Sources: Dataverse Web API, *Use Web API actions* (the sample of `WinOpportunity`), *WinOpportunity*, *LoseOpportunity*. [D] is
//! documented, [K] is known from experience, [A] is assumed.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::Value as Json;
use uuid::Uuid;

use super::error::{Fail, Result};
use super::payload::refer;
use super::setup::Operation;
use super::store::{Changes, Store};
use super::value::Value;
use super::write::Writer;
use crate::net;

/// The table that both messages are about.
pub(super) const OPPORTUNITY: &str = "opportunity";

/// The state that a message leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    Won = 1,
    Lost = 2,
}

impl Closing {
    pub(super) fn named(name: &str) -> Option<Closing> {
        match name {
            "WinOpportunity" => Some(Closing::Won),
            "LoseOpportunity" => Some(Closing::Lost),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Closing::Won => "WinOpportunity",
            Closing::Lost => "LoseOpportunity",
        }
    }
}

/// The state of a row, if it is a closed opportunity.
pub(super) fn closed_state(store: &Store, table: usize, id: Uuid) -> Option<i64> {
    let rows = &store.tables[table];
    if rows.table.name != OPPORTUNITY {
        return None;
    }
    let (state, row) = (rows.table.column("statecode")?, rows.rows.get(&id)?);
    match store.value(table, id, row, state).as_deref() {
        Some(Value::Int(state @ (1 | 2))) => Some(*state),
        _ => None,
    }
}

/// An opportunity becomes Won or Lost by the messages only, and takes no other change until it is open again. [D: the messages; A: code
/// and text of the refusals]
pub(super) fn check(store: &Store, table: usize, id: Uuid, changes: &Changes) -> Result<()> {
    let description = &store.tables[table].table;
    if description.name != OPPORTUNITY {
        return Ok(());
    }
    let state = description.column("statecode");
    let given = changes.iter().find_map(|(column, value)| match value {
        Value::Int(value) if Some(*column) == state => Some(*value),
        _ => None,
    });
    let current = closed_state(store, table, id);
    match given {
        Some(closing @ (1 | 2)) if current != Some(closing) => {
            let name = if closing == 1 { "WinOpportunity" } else { "LoseOpportunity" };
            Err(Fail::new(400, "0x80048408", format!("An opportunity is closed with the {name} message.")))
        }
        None | Some(1 | 2) if current.is_some() => {
            Err(Fail::new(400, "0x80043500", "The opportunity is closed and cannot be changed until it is reopened."))
        }
        _ => Ok(()),
    }
}

impl Writer<'_> {
    /// `POST WinOpportunity` and `POST LoseOpportunity`: `{"Status": 3, "OpportunityClose": {"opportunityid@odata.bind": …}}`. [D]
    pub(super) fn close(&self, store: &mut Store, closing: Closing, body: &[u8]) -> Result<Response<Body>> {
        let action = closing.name();
        let wrong = |what: &str| Fail::payload(action, what);
        let body: Json = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
        let close = body.get("OpportunityClose").filter(|close| close.is_object());
        let close = close.ok_or_else(|| wrong("the parameter 'OpportunityClose' is missing"))?;
        let link = close.get("opportunityid@odata.bind").and_then(Json::as_str);
        let link = link.ok_or_else(|| wrong("'OpportunityClose' needs 'opportunityid@odata.bind'"))?;
        let status = body.get("Status").and_then(Json::as_i64).ok_or_else(|| wrong("the parameter 'Status' is missing"))?;
        let (table, id) = refer(store, action, link, self.references)?;
        let description = &store.tables[table].table;
        if description.name != OPPORTUNITY {
            return Err(wrong("'opportunityid' leads to another table"));
        }
        self.rights.may(Operation::Write, description)?;
        // A closed one cannot be closed again. [K; A: code and text]
        if closed_state(store, table, id).is_some() {
            return Err(Fail::new(400, "0x80048002", "This opportunity has already been closed."));
        }
        let column = |name: &str| description.column(name).ok_or_else(|| Fail::not_emulated("opportunities without this column"));
        let (state_column, status_column) = (column("statecode")?, column("statuscode")?);
        let belongs = description.at(status_column).choice(status).and_then(|choice| choice.other) == Some(closing as i64);
        if !belongs {
            let state = if closing == Closing::Won { "Won" } else { "Lost" };
            let text = format!("{status} is not a valid status code for state code {state} on {OPPORTUNITY}.");
            return Err(Fail::new(400, "0x80048408", text));
        }
        let now = self.site.now();
        let mut changes: Changes = vec![(state_column, Value::Int(closing as i64)), (status_column, Value::Int(status))];
        // The day of closing, and the revenue that the activity names or that was estimated. [K]
        if let (Some(column), Some(moment)) = (description.column("actualclosedate"), chrono::DateTime::from_timestamp(now, 0)) {
            changes.push((column, Value::Day(moment.date_naive())));
        }
        if closing == Closing::Won
            && let (Some(to), Some(from)) = (description.column("actualvalue"), description.column("estimatedvalue"))
            && let Some(row) = store.tables[table].rows.get(&id)
            && let Some(value) = store.value(table, id, row, from)
        {
            changes.push((to, value.into_owned()));
        }
        store.update(table, id, changes, self.user, now)?;
        Ok(net::empty(StatusCode::NO_CONTENT))
    }
}
