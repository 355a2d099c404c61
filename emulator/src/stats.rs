//! Counts of the requests served, for tests that assert how many calls a run needs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::lock;

/// Which of the emulated services a request went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Api {
    Dataverse,
    DataverseToken,
    Campaign,
    CampaignToken,
    Journal,
    Referrals,
    PartnerToken,
    Webhooks,
}

impl Api {
    pub(super) const ALL: [Api; 8] = [
        Api::Dataverse,
        Api::DataverseToken,
        Api::Campaign,
        Api::CampaignToken,
        Api::Journal,
        Api::Referrals,
        Api::PartnerToken,
        Api::Webhooks,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Api::Dataverse => "dataverse",
            Api::DataverseToken => "dataverse-token",
            Api::Campaign => "campaign",
            Api::CampaignToken => "campaign-token",
            Api::Journal => "journal",
            Api::Referrals => "referrals",
            Api::PartnerToken => "partner-token",
            Api::Webhooks => "webhooks",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Answered with this status.
    Status(u16),
    /// The connection was dropped before the service acted.
    Reset,
    /// The service acted, and its answer was dropped.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Get,
    Write(&'static str),
}

#[derive(Default)]
pub(super) struct Stats {
    counts: Mutex<BTreeMap<(Api, Verb, String, Outcome), u64>>,
    /// What the services' entitlements count: each row of a bulk message and each part of a batch for itself.
    operations: Mutex<BTreeMap<Api, u64>>,
}

fn verb(method: &axum::http::Method) -> Verb {
    match method.as_str() {
        "POST" => Verb::Write("POST"),
        "PATCH" => Verb::Write("PATCH"),
        "PUT" => Verb::Write("PUT"),
        "DELETE" => Verb::Write("DELETE"),
        "GET" => Verb::Get,
        _ => Verb::Write("OTHER"),
    }
}

impl Stats {
    pub(super) fn record(&self, api: Api, method: &axum::http::Method, route: String, outcome: Outcome) {
        *lock(&self.counts).entry((api, verb(method), route, outcome)).or_default() += 1;
    }

    /// Counts the operations that a request stands for.
    pub(super) fn operations(&self, api: Api, count: u64) {
        *lock(&self.operations).entry(api).or_default() += count;
    }

    pub(super) fn reset(&self) {
        lock(&self.operations).clear();
        lock(&self.counts).clear();
    }

    /// `{"total", "apis": {name: {"total","reads","writes"}}, "requests": [{"api","method","route","status"|"dropped","count"}], "operations": {name: n}}`.
    pub(super) fn to_json(&self) -> Value {
        let counts = lock(&self.counts);
        let mut totals: BTreeMap<&'static str, (u64, u64)> = Api::ALL.iter().map(|api| (api.name(), (0, 0))).collect();
        let mut requests = Vec::with_capacity(counts.len());
        for ((api, verb, route, outcome), count) in counts.iter() {
            let total = totals.entry(api.name()).or_default();
            let method = match verb {
                Verb::Get => {
                    total.0 += count;
                    "GET"
                }
                Verb::Write(method) => {
                    total.1 += count;
                    method
                }
            };
            let mut entry = json!({"api": api.name(), "method": method, "route": route, "count": count});
            match outcome {
                Outcome::Status(status) => entry["status"] = json!(status),
                Outcome::Reset => entry["dropped"] = json!("before"),
                Outcome::Lost => entry["dropped"] = json!("after"),
            }
            requests.push(entry);
        }
        let apis: serde_json::Map<String, Value> = totals
            .iter()
            .map(|(name, (reads, writes))| (name.to_string(), json!({"total": reads + writes, "reads": reads, "writes": writes})))
            .collect();
        let total: u64 = totals.values().map(|(reads, writes)| reads + writes).sum();
        let operations: serde_json::Map<String, Value> =
            lock(&self.operations).iter().map(|(api, count)| (api.name().to_owned(), json!(count))).collect();
        json!({"total": total, "apis": apis, "requests": requests, "operations": operations})
    }
}
