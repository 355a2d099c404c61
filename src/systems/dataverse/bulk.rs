//! CreateMultiple, UpdateMultiple, UpsertMultiple: many rows of one table in one request, which is one transaction.
//!
//! An error rolls the whole request back and does not name the row, so a request that fails is halved until only that row is
//! left. Source: Dataverse Web API, *Use bulk operation messages*. Elastic tables, whose rows succeed one by one, report their
//! failures in annotations whose spelling is not documented; they are halved too, and a row that was written is written again.

use std::collections::{HashSet, VecDeque};

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::key::{Entity, RowKey};
use super::write::{Condition, Outcome, join};
use super::{Dataverse, json, name, query};
use crate::connect::ConnectError;
use crate::connect::http::{Expect, Repeat, Request};

/// Rows in one request where the caller has no reason for another number. The documents recommend 100 to 1000.
pub const ROWS_PER_REQUEST: usize = 100;

/// What is done with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulk {
    /// Make them.
    Create,
    /// Change them; they are named by their ids.
    Update,
    /// Make or change them; they are named by their ids or an alternate key.
    Upsert,
}

impl Bulk {
    fn message(self) -> &'static str {
        match self {
            Self::Create => "CreateMultiple",
            Self::Update => "UpdateMultiple",
            Self::Upsert => "UpsertMultiple",
        }
    }
}

/// A row of a bulk operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which row; not needed to make one, where it chooses the id.
    pub key: Option<RowKey>,
    /// A JSON object of its columns, without those of the key.
    pub fields: String,
}

/// What became of a row: its id where the service told (rows that were made).
pub type RowResult = Result<Option<Uuid>, ConnectError>;

/// Which bulk operations a table has. UpsertMultiple is not listed by the service: a table that has the other two has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkSupport {
    /// CreateMultiple.
    pub create: bool,
    /// UpdateMultiple.
    pub update: bool,
}

impl BulkSupport {
    /// Whether the table has an operation.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
    pub fn has(self, bulk: Bulk) -> bool {
        match bulk {
            Bulk::Create => self.create,
            Bulk::Update => self.update,
            Bulk::Upsert => self.create && self.update,
        }
    }
}

/// The options of the question whether a table has an operation: the answer is not empty then.
pub(super) fn support_filter(bulk: Bulk, logical_name: &str) -> String {
    let filter = format!("sdkmessageid/name eq '{}' and primaryobjecttypecode eq '{logical_name}'", bulk.message());
    query(&[("$select", "sdkmessagefilterid"), ("$filter", &name(&filter))])
}

/// The answer to CreateMultiple.
#[derive(Deserialize)]
pub(super) struct Ids {
    /// In the order of the request.
    #[serde(rename = "Ids", default)]
    pub(super) ids: Vec<Uuid>,
}

/// The path of a request, below the service root.
pub(super) fn path(entity: &Entity, bulk: Bulk) -> String {
    format!("{}/Microsoft.Dynamics.CRM.{}", name(&entity.set), bulk.message())
}

/// The body of a request for these rows.
pub(super) fn body<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("{\"Targets\":[");
    for (n, row) in rows.enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(row);
    }
    text.push_str("]}");
    text
}

/// Whether an error says that the request was too large: it had too many rows for the time of a statement, or too many bytes.
pub(super) fn is_too_much(error: &ConnectError) -> bool {
    let code = error.vendor_code();
    error.status() == Some(413) || code.is_some_and(|code| TOO_MUCH.iter().any(|t| t.eq_ignore_ascii_case(code)))
}

/// What an error of a whole request means for its rows.
enum Meaning {
    /// One of them is faulty: halve.
    ARow,
    /// All of them, and those to come.
    All,
    /// The rows of this request; others may fare better.
    These,
    /// One of them or all: halve, until too many requests in a row are refused so.
    OneOrAll,
}

/// Requests in a row that are denied, or answered by something else, after which it is not about single rows. Finding one of 1,000 rows
/// takes fewer.
const REFUSED_IN_A_ROW: u32 = 12;

/// Too much for one request: SQL time-out, and a body that is too long.
const TOO_MUCH: [&str; 4] = ["0x80044151", "-2147204783", "0x8004418a", "-2147204726"];

fn meaning(error: &ConnectError, bulk: Bulk) -> Meaning {
    match error {
        ConnectError::Forbidden { .. } => Meaning::OneOrAll,
        // Whatever answered may have passed the request on; a create must not be sent again without a lookup.
        ConnectError::Protocol { .. } if bulk != Bulk::Create => Meaning::OneOrAll,
        ConnectError::Rejected { .. } | ConnectError::Duplicate { .. } | ConnectError::NotFound { .. } | ConnectError::Changed { .. } => {
            Meaning::ARow
        }
        ConnectError::Unavailable { .. } if is_too_much(error) => Meaning::ARow,
        ConnectError::Unavailable { .. } | ConnectError::OutcomeUnknown { .. } | ConnectError::Protocol { .. } => Meaning::These,
        ConnectError::Throttled { .. }
        | ConnectError::Unauthorized { .. }
        | ConnectError::DeltaExpired { .. }
        | ConnectError::BudgetSpent { .. }
        | ConnectError::ForeignLink { .. }
        | ConnectError::Token { .. }
        | ConnectError::SignIn { .. }
        | ConnectError::Config { .. } => Meaning::All,
    }
}

impl Dataverse {
    /// Which bulk operations a table has.
    ///
    /// # Errors
    /// [`ConnectError`].
    #[cfg(any(test, feature = "internals"))]
    pub async fn bulk_support(&self, entity: &Entity) -> Result<BulkSupport, ConnectError> {
        let mut support = BulkSupport::default();
        for (bulk, found) in [(Bulk::Create, &mut support.create), (Bulk::Update, &mut support.update)] {
            let options = support_filter(bulk, &entity.logical_name);
            let answer: Value = self.get(self.url("sdkmessagefilters", &options)?).await?;
            *found = answer.get("value").and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
        }
        Ok(support)
    }

    /// Writes rows, `rows_per_request` at once, and tells for each what became of it, in their order. A row that is refused
    /// costs none of the others: a request that fails is halved down to it. A row that comes twice is written twice, in order.
    ///
    /// Rows whose alternate key would break an address are upserted one by one.
    pub async fn bulk(&self, entity: &Entity, bulk: Bulk, targets: &[Target], rows_per_request: usize) -> Vec<RowResult> {
        let mut results: Vec<Option<RowResult>> = Vec::new();
        results.resize_with(targets.len(), || None);
        let mut queue: VecDeque<Vec<(usize, &str)>> = VecDeque::new();
        let mut alone = Vec::new();
        let bodies: Vec<Result<String, ConnectError>> = targets.iter().map(|target| written(entity, bulk, target)).collect();
        for group in apart(bulk, targets, &mut alone) {
            // A row that cannot be written down fails by itself, before anything is sent.
            let mut good = Vec::new();
            for row in group {
                match &bodies[row] {
                    Ok(body) => good.push((row, body.as_str())),
                    Err(error) => results[row] = Some(Err(error.clone())),
                }
            }
            queue.extend(good.chunks(rows_per_request.max(1)).map(<[_]>::to_vec));
        }
        let mut end: Option<ConnectError> = None;
        let mut refused = 0;
        while let Some(rows) = queue.pop_front() {
            if let Some(error) = &end {
                rows.iter().for_each(|(row, _)| results[*row] = Some(Err(error.clone())));
                continue;
            }
            match self.bulk_request(entity, bulk, &rows).await {
                Ok(ids) => {
                    refused = 0;
                    rows.iter().enumerate().for_each(|(n, (row, _))| results[*row] = Some(Ok(ids.get(n).copied())));
                }
                Err(error) => match meaning(&error, bulk) {
                    Meaning::OneOrAll if refused + 1 >= REFUSED_IN_A_ROW => {
                        rows.iter().for_each(|(row, _)| results[*row] = Some(Err(error.clone())));
                        end = Some(error);
                    }
                    meaning @ (Meaning::ARow | Meaning::OneOrAll) if rows.len() > 1 => {
                        refused += u32::from(matches!(meaning, Meaning::OneOrAll));
                        let (first, second) = rows.split_at(rows.len() / 2);
                        // In front, the first half first: the order of rows is kept.
                        queue.push_front(second.to_vec());
                        queue.push_front(first.to_vec());
                    }
                    meaning @ (Meaning::ARow | Meaning::These | Meaning::OneOrAll) => {
                        refused += u32::from(matches!(meaning, Meaning::OneOrAll));
                        rows.iter().for_each(|(row, _)| results[*row] = Some(Err(error.clone())));
                    }
                    Meaning::All => {
                        rows.iter().for_each(|(row, _)| results[*row] = Some(Err(error.clone())));
                        end = Some(error);
                    }
                },
            }
        }
        for row in alone {
            let result = match (&end, &targets[row].key) {
                (Some(error), _) => Err(error.clone()),
                (None, Some(key)) => self.write(entity, key, &targets[row].fields, &Condition::Any).await.map(|outcome| match outcome {
                    Outcome::Created { id } | Outcome::Updated { id } => id,
                    Outcome::Written | Outcome::Missing | Outcome::Exists => None,
                }),
                (None, None) => Err(unnamed(entity, bulk)),
            };
            results[row] = Some(result);
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(unnamed(entity, bulk)))).collect()
    }

    pub(super) async fn bulk_request(&self, entity: &Entity, bulk: Bulk, rows: &[(usize, &str)]) -> Result<Vec<Uuid>, ConnectError> {
        let count = rows.len();
        let body = body(rows.iter().map(|(_, body)| *body));
        let url = self.url(&path(entity, bulk), "")?;
        let request = self.change(Method::POST, url, Some(&body), Vec::new())?;
        // Rows that are named by id or key come out the same when they come twice.
        let repeat = if bulk == Bulk::Create { Repeat::Never } else { Repeat::Safe };
        let expect = if bulk == Bulk::Create { Expect::Body } else { Expect::Status };
        let request = Request { repeat, expect, weight: count as u64, kind: bulk.message(), ..request };
        let reply = self.0.http.exchange(&request).await?;
        if bulk != Bulk::Create {
            return if reply.status == 204 && reply.body.is_empty() {
                Ok(Vec::new())
            } else {
                Err(request.unknown("something else came in place of the documented answer: check proxies between d365map and the service"))
            };
        }
        let Ids { ids } = json(&request, &reply.body)?;
        if ids.len() == count { Ok(ids) } else { Err(request.protocol(format!("the answer has {} ids for {count} rows", ids.len()))) }
    }
}

fn unnamed(entity: &Entity, bulk: Bulk) -> ConnectError {
    ConnectError::config(
        format!("dataverse: a row for {} of {} has no key that names it there", bulk.message(), entity.logical_name),
        match bulk {
            Bulk::Update => "give its id; UpdateMultiple takes no alternate keys",
            Bulk::Create | Bulk::Upsert => "give its id or the values of an alternate key",
        },
    )
}

/// Groups of rows that one request may contain: a row that comes twice would be ignored (update) or refused (upsert).
/// Rows that must be written alone are put into `alone`.
fn apart(bulk: Bulk, targets: &[Target], alone: &mut Vec<usize>) -> Vec<Vec<usize>> {
    let mut groups: Vec<(HashSet<String>, Vec<usize>)> = vec![Default::default()];
    for (row, target) in targets.iter().enumerate() {
        let address = match (&target.key, bulk) {
            (None, _) => String::new(),
            (Some(key), _) => match key.segment() {
                Some(segment) => segment,
                None if bulk == Bulk::Upsert => {
                    alone.push(row);
                    continue;
                }
                None => String::new(),
            },
        };
        // The first group that has it not; its later ones come after, in order.
        let last = groups.iter().rposition(|(seen, _)| !address.is_empty() && seen.contains(&address));
        let at = last.map_or(0, |last| last + 1);
        if at == groups.len() {
            groups.push(Default::default());
        }
        if !address.is_empty() {
            groups[at].0.insert(address);
        }
        groups[at].1.push(row);
    }
    groups.into_iter().map(|(_, rows)| rows).filter(|rows| !rows.is_empty()).collect()
}

/// A row as the request has it: its type, what names it, its columns.
pub(super) fn written(entity: &Entity, bulk: Bulk, target: &Target) -> Result<String, ConnectError> {
    let mut text = format!("{{\"@odata.type\":\"Microsoft.Dynamics.CRM.{}\",", entity.logical_name);
    match (&target.key, bulk) {
        (Some(RowKey::Id(id)), _) => text.push_str(&format!("{}:\"{id}\",", Value::from(entity.primary_id.as_str()))),
        (Some(key @ RowKey::Alternate(_)), Bulk::Upsert) => {
            let segment = key.segment().ok_or_else(|| unnamed(entity, bulk))?;
            text.push_str(&format!("\"@odata.id\":{},", Value::from(format!("{}{segment}", entity.set))));
        }
        (None, Bulk::Create) => {}
        (Some(RowKey::Alternate(_)), Bulk::Create | Bulk::Update) | (None, Bulk::Update | Bulk::Upsert) => {
            return Err(unnamed(entity, bulk));
        }
    }
    Ok(join(text, &target.fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::dataverse::KeyValue;

    fn id(n: u128) -> Target {
        Target { key: Some(RowKey::Id(Uuid::from_u128(n))), fields: "{}".into() }
    }

    fn email(text: &str) -> Target {
        let key = RowKey::Alternate(vec![("emailaddress1".into(), KeyValue::Text(text.into()))]);
        Target { key: Some(key), fields: r#"{"firstname": "a"}"#.into() }
    }

    #[test]
    fn a_row_that_comes_again_goes_into_a_later_request() {
        let mut alone = Vec::new();
        let groups = apart(Bulk::Update, &[id(1), id(2), id(1), id(3), id(1)], &mut alone);
        assert_eq!(groups, [vec![0, 1, 3], vec![2], vec![4]]);
        assert!(alone.is_empty());
    }

    #[test]
    fn a_key_that_would_break_an_address_is_written_alone() {
        let mut alone = Vec::new();
        assert_eq!(apart(Bulk::Upsert, &[email("a@b.c"), email("a+x@b.c")], &mut alone), [vec![0]]);
        assert_eq!(alone, [1]);
    }

    #[test]
    fn a_target_names_its_type_and_its_row_and_an_update_takes_no_alternate_key() {
        let entity = Entity::new("contacts", "contact", "contactid");
        assert_eq!(
            written(&entity, Bulk::Upsert, &email("a@b.c")).unwrap(),
            r#"{"@odata.type":"Microsoft.Dynamics.CRM.contact","@odata.id":"contacts(emailaddress1='a%40b.c')","firstname": "a"}"#
        );
        let update = written(&entity, Bulk::Update, &id(1)).unwrap();
        assert_eq!(update, r#"{"@odata.type":"Microsoft.Dynamics.CRM.contact","contactid":"00000000-0000-0000-0000-000000000001"}"#);
        assert!(matches!(written(&entity, Bulk::Update, &email("a@b.c")), Err(ConnectError::Config { .. })));
    }
}
