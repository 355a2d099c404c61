//! How many calls had the MFA claim: the report of the partner's own applications. Names of the counts [D], their envelope [K].

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::Response;
use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use super::error::json_response;
use crate::lock;

/// The path of the report, on the host of the webhooks. [D]
pub(super) const PATH: &str = "/v1/applicationmfaadoptionstatus";

#[derive(Clone, Copy, Default)]
struct Count {
    compliant: u64,
    total: u64,
}

/// Calls by day and application.
#[derive(Default)]
pub(super) struct Adoption(Mutex<BTreeMap<(NaiveDate, String), Count>>);

impl Adoption {
    pub(super) fn count(&self, day: NaiveDate, client: &str, mfa: bool) {
        let mut counts = lock(&self.0);
        let count = counts.entry((day, client.to_owned())).or_default();
        count.total += 1;
        count.compliant += u64::from(mfa);
    }

    pub(super) fn report(&self) -> Response<Body> {
        let counts = lock(&self.0);
        let item = |((day, client), count): (&(NaiveDate, String), &Count)| {
            json!({
                "date": format!("{day}T00:00:00Z"),
                "applicationId": client,
                "mfaCompliantRequestCount": count.compliant,
                "totalRequestCount": count.total,
            })
        };
        let items: Vec<Json> = counts.iter().map(item).collect();
        json_response(200, &json!({"totalCount": items.len(), "items": items, "attributes": {"objectType": "Collection"}}))
    }
}
