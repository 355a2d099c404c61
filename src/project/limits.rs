//! The section `limits`: what bounds a run.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Limits;
use super::reader::{Ranged, Reader};
use crate::system::SystemId;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct LimitsDoc {
    /// Records in a page of Dataverse. Default: 1000.
    page_size: Option<Ranged<1, 5000>>,
    /// Requests to one host at the same time, at most. Default: 8.
    concurrency: Option<Ranged<1, 52>>,
    /// Operations waiting in the outbox at which reading pauses; at least `page-size`. Default: 20000.
    backlog_high_water: Option<Ranged<100, 10_000_000>>,
    /// The share in percent of the records above which `mass-change-count` changes need approval. 100 switches the guard off, except
    /// for a source that returns nothing. Default: 20.
    mass_change_percent: Option<Ranged<1, 100>>,
    /// As many deletions, or records in which a field would become empty, need approval. Default: 100.
    mass_change_count: Option<Ranged<1, 10_000_000>>,
    /// The older name of `mass-change-percent`.
    #[schemars(extend("deprecated" = true))]
    mass_delete_percent: Option<Ranged<1, 100>>,
    /// Tries of one request, the first one included. Default: 6.
    attempts: Option<Ranged<1, 20>>,
    /// Time for one request with its answer, in seconds. Default: 120.
    request_timeout_seconds: Option<Ranged<1, 600>>,
    /// From the end of one round of `run --watch` to the beginning of the next, in seconds. Default: 60.
    watch_interval_seconds: Option<Ranged<1, 86_400>>,
    /// Requests per second for each service. Default: unlimited.
    requests_per_second: Option<PerSystemDoc<Ranged<1, 1000>>>,
    /// Requests per day of UTC for each service. Default: unlimited.
    requests_per_day: Option<PerSystemDoc<Ranged<1, 1_000_000_000>>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PerSystemDoc<T> {
    /// Dynamics 365.
    dynamics: Option<T>,
    /// Adobe Campaign.
    campaign: Option<T>,
    /// Partner Center.
    partner_center: Option<T>,
}

impl Reader<'_> {
    pub(super) fn limits(&mut self, doc: &LimitsDoc) -> Limits {
        let defaults = Limits::default();
        let requests_per_second = self.per_system("requests-per-second", doc.requests_per_second.as_ref(), 1000);
        let requests_per_day = self.per_system("requests-per-day", doc.requests_per_day.as_ref(), 40_000);
        let (percent, percent_key) = match &doc.mass_change_percent {
            Some(given) => (Some(given), "mass-change-percent"),
            None => (doc.mass_delete_percent.as_ref(), "mass-delete-percent"),
        };
        let (timeout, interval) = (defaults.request_timeout.as_secs(), defaults.watch_interval.as_secs());
        let limits = Limits {
            requests_per_second,
            requests_per_day,
            page_size: self.ranged("page-size", doc.page_size.as_ref(), defaults.page_size, "records"),
            concurrency: self.ranged("concurrency", doc.concurrency.as_ref(), defaults.concurrency, "requests"),
            backlog_high_water: self.ranged(
                "backlog-high-water",
                doc.backlog_high_water.as_ref(),
                defaults.backlog_high_water,
                "operations",
            ),
            mass_change_percent: self.ranged(percent_key, percent, defaults.mass_change_percent, "percent"),
            mass_change_count: self.ranged("mass-change-count", doc.mass_change_count.as_ref(), defaults.mass_change_count, "records"),
            attempts: self.ranged("attempts", doc.attempts.as_ref(), defaults.attempts, "tries"),
            request_timeout: Duration::from_secs(self.ranged(
                "request-timeout-seconds",
                doc.request_timeout_seconds.as_ref(),
                timeout,
                "seconds",
            )),
            watch_interval: Duration::from_secs(self.ranged(
                "watch-interval-seconds",
                doc.watch_interval_seconds.as_ref(),
                interval,
                "seconds",
            )),
        };
        if limits.backlog_high_water < u64::from(limits.page_size)
            && let Some(given) = doc.backlog_high_water.as_ref().map(|g| &g.0).or(doc.page_size.as_ref().map(|g| &g.0))
        {
            self.problem(
                &given.span,
                "the backlog is smaller than a page",
                format!("a page has {} records", limits.page_size),
                "make `backlog-high-water` at least as large as `page-size`",
            );
        }
        limits
    }

    fn per_system<T, const MIN: i64, const MAX: i64>(
        &mut self,
        key: &str,
        doc: Option<&PerSystemDoc<Ranged<MIN, MAX>>>,
        default: T,
    ) -> BTreeMap<SystemId, T>
    where
        T: TryFrom<i64> + Display + Copy,
    {
        let Some(PerSystemDoc { dynamics, campaign, partner_center }) = doc else { return BTreeMap::new() };
        let given = [(SystemId::D365, dynamics), (SystemId::Campaign, campaign), (SystemId::Partner, partner_center)];
        let given = given.into_iter().filter(|(_, number)| number.is_some());
        given.map(|(system, number)| (system, self.ranged(key, number.as_ref(), default, "requests"))).collect()
    }
}
