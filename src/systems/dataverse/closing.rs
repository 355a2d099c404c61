//! Opportunities that are closed: `statecode` becomes Won or Lost by a message, and not by a change of the column.
//!
//! Sources: Dataverse Web API, *Use Web API actions* (the sample of `WinOpportunity`), *WinOpportunity*, *LoseOpportunity*, *opportunity*
//! (`statecode`, `statuscode`). Documented: the two messages, their parameters and the answer 204 without a body. Assumed: a message to an
//! opportunity that is closed already is refused, so that it can be sent again after an answer that was not seen; `statecode` cannot be set
//! when a row is created.

use indexmap::IndexMap;
use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::key::{Entity, RowKey};
use super::write::{Condition, Outcome, no_row};
use super::{API, Dataverse, name};
use crate::connect::{Call, ConnectError};

/// The table.
pub(super) const OPPORTUNITY: &str = "opportunity";

/// The state of an opportunity that a message leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Won = 1,
    Lost = 2,
}

impl State {
    fn of(code: i64) -> Option<State> {
        match code {
            1 => Some(State::Won),
            2 => Some(State::Lost),
            _ => None,
        }
    }

    fn action(self) -> &'static str {
        match self {
            State::Won => "WinOpportunity",
            State::Lost => "LoseOpportunity",
        }
    }

    /// The status reason that Dynamics 365 itself comes with: Won, and Canceled.
    fn status(self) -> i64 {
        match self {
            State::Won => 3,
            State::Lost => 4,
        }
    }

    fn subject(self) -> &'static str {
        match self {
            State::Won => "Won in Partner Center",
            State::Lost => "Lost in Partner Center",
        }
    }
}

/// A body, with the state that it asks for apart.
struct Body {
    /// The other columns; `None` if there are none.
    others: Option<String>,
    state: i64,
    /// The status reason.
    status: Option<i64>,
}

impl Body {
    /// `None` if the body asks for no state, or cannot be read: then it is sent as it is.
    fn read(body: &str) -> Option<Body> {
        let mut columns: IndexMap<String, Box<RawValue>> = serde_json::from_str(body).ok()?;
        let number = |raw: &RawValue| raw.get().parse::<i64>().ok();
        let state = number(columns.get("statecode")?)?;
        columns.shift_remove("statecode");
        let status = columns.shift_remove("statuscode").and_then(|raw| number(&raw));
        let others = if columns.is_empty() { None } else { serde_json::to_string(&columns).ok() };
        Some(Body { others, state, status })
    }
}

/// An opportunity as it is.
struct Current {
    id: Uuid,
    version: Option<String>,
    state: Option<i64>,
}

impl Dataverse {
    /// Changes an opportunity. If the body says Won or Lost, the other columns are sent first and the message follows.
    ///
    /// # Errors
    /// As [`Dataverse::write`]. [`ConnectError::OutcomeUnknown`] if the answer to the message was not seen and the opportunity is open:
    /// the message may be sent again.
    pub(super) async fn write_opportunity(
        &self,
        entity: &Entity,
        key: &RowKey,
        body: &str,
        condition: &Condition,
    ) -> Result<Outcome, ConnectError> {
        let closing = Body::read(body).and_then(|parts| State::of(parts.state).map(|state| (state, parts)));
        let Some((state, parts)) = closing else { return self.write(entity, key, body, condition).await };
        let Some(current) = self.current(entity, key).await? else { return Ok(Outcome::Missing) };
        if let Some(others) = parts.others {
            let outcome = self.write(entity, &RowKey::Id(current.id), &others, condition).await?;
            if outcome == Outcome::Missing {
                return Ok(outcome);
            }
        } else if matches!(condition, Condition::Version(version) if current.version.as_ref() != Some(version)) {
            let message = Some("the opportunity has another version".to_owned());
            return Err(ConnectError::Changed { call: Box::new(Call { api: API, message, ..Call::default() }) });
        }
        if current.state == Some(state as i64) {
            return Ok(Outcome::Updated { id: Some(current.id) });
        }
        self.close(entity, current.id, state, parts.status).await
    }

    /// Creates an opportunity, which is open at first.
    ///
    /// # Errors
    /// As [`Dataverse::create`], and those of the message if the body says Won or Lost.
    pub(super) async fn create_opportunity(&self, entity: &Entity, body: &str) -> Result<(), ConnectError> {
        let Some(parts) = Body::read(body) else { return self.create(entity, body).await.map(|_| ()) };
        let id = self.create(entity, &parts.others.unwrap_or_else(|| "{}".to_owned())).await?;
        match State::of(parts.state) {
            Some(state) => self.close(entity, id, state, parts.status).await.map(|_| ()),
            None => Ok(()),
        }
    }

    async fn current(&self, entity: &Entity, key: &RowKey) -> Result<Option<Current>, ConnectError> {
        let select = [entity.primary_id.clone(), "statecode".to_owned()];
        let Some(row) = self.row(entity, key, &select, false).await? else { return Ok(None) };
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let id = text(&entity.primary_id).and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| ConnectError::Protocol {
            call: Box::default(),
            problem: format!("a row has no `{}`: check the table's names", entity.primary_id),
        })?;
        let version = text("@odata.etag").map(str::to_owned);
        Ok(Some(Current { id, version, state: row.get("statecode").and_then(Value::as_i64) }))
    }

    /// Sends the message. One that was refused or whose answer was not seen is done if the opportunity is in that state.
    async fn close(&self, entity: &Entity, id: Uuid, state: State, status: Option<i64>) -> Result<Outcome, ConnectError> {
        let body = serde_json::json!({
            "Status": status.unwrap_or_else(|| state.status()),
            "OpportunityClose": {
                "subject": state.subject(),
                "opportunityid@odata.bind": format!("/{}({id})", name(&entity.set)),
            },
        });
        let request = self.change(Method::POST, self.url(state.action(), "")?, Some(&body.to_string()), Vec::new())?;
        let error = match self.0.http.exchange(&request).await {
            Ok(reply) if matches!(reply.status, 200 | 204) => return Ok(Outcome::Updated { id: Some(id) }),
            Ok(_) => {
                request.unknown("something else came in place of the documented answer: check proxies between d365map and the service")
            }
            Err(error) if no_row(&error) => return Ok(Outcome::Missing),
            Err(error) => error,
        };
        match self.current(entity, &RowKey::Id(id)).await {
            Ok(Some(current)) if current.state == Some(state as i64) => Ok(Outcome::Updated { id: Some(id) }),
            Ok(None) => Ok(Outcome::Missing),
            Ok(Some(_)) | Err(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_body_is_taken_apart_and_the_digits_of_the_rest_are_kept() {
        let body = Body::read(r#"{"estimatedvalue":1234567890123456.10,"statecode":2,"statuscode":5}"#).unwrap();
        assert_eq!((body.others.as_deref(), body.state, body.status), (Some(r#"{"estimatedvalue":1234567890123456.10}"#), 2, Some(5)));
        let body = Body::read(r#"{"statecode":1}"#).unwrap();
        assert_eq!((body.others, body.state, body.status), (None, 1, None));
        assert!(Body::read(r#"{"name":"a","statuscode":5}"#).is_none());
        assert!(Body::read(r#"{"statecode":null}"#).is_none());
        assert!(Body::read("[]").is_none());
    }
}
