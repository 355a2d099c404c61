//! How many requests an API is sent per second and per day: a token bucket, and a count that starts again at midnight UTC.
//!
//! Sources: Dataverse, *Requests limits and allocations* (requests per 24 hours, each record of a bulk operation counted);
//! Adobe's gateway counts requests per second. Assumed: that a day is a day of UTC; the services do not say.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::connect::error::ConnectError;
use crate::time::{self, day_number};

/// What one API may be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Requests per second; as many may come at once.
    pub per_second: Option<NonZeroU32>,
    /// Requests per day of UTC, each record of a bulk operation counted.
    pub per_day: Option<u64>,
    /// How many of those of today are spent already.
    pub spent_today: u64,
}

/// The budgets by API.
#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<&'static str, Purse>);

#[derive(Debug)]
struct Purse {
    bucket: Option<DefaultDirectRateLimiter>,
    per_day: Option<u64>,
    /// The day since the epoch, and what is spent on it.
    day: Mutex<(i64, u64)>,
}

impl Budgets {
    pub(super) fn new(budgets: &BTreeMap<&'static str, Budget>) -> Self {
        let purse = |budget: &Budget| Purse {
            bucket: budget.per_second.map(|n| RateLimiter::direct(Quota::per_second(n))),
            per_day: budget.per_day,
            day: Mutex::new((day_number(time::now()), budget.spent_today)),
        };
        Self(budgets.iter().map(|(api, budget)| (*api, purse(budget))).collect())
    }

    /// What each API was sent on its last day, earlier runs included: the day since 1970 in UTC, and how much.
    pub(super) fn spent(&self) -> Vec<(&'static str, i64, u64)> {
        let last = |purse: &Purse| *purse.day.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.iter().map(|(api, purse)| (*api, last(purse).0, last(purse).1)).collect()
    }

    /// Takes the price of a request, waiting for the second's share.
    ///
    /// # Errors
    /// [`ConnectError::BudgetSpent`] when the day's share is used up.
    pub(super) async fn pay(&self, api: &'static str, weight: u64) -> Result<(), ConnectError> {
        let Some(purse) = self.0.get(api) else { return Ok(()) };
        purse.spend(api, weight, time::now())?;
        if let Some(bucket) = &purse.bucket {
            bucket.until_ready().await;
        }
        Ok(())
    }
}

impl Purse {
    fn spend(&self, api: &'static str, weight: u64, now: time::Instant) -> Result<(), ConnectError> {
        let mut spent = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let today = day_number(now);
        if spent.0 < today {
            *spent = (today, 0);
        }
        match self.per_day {
            // A bulk operation that begins within the budget may end a little beyond it.
            Some(per_day) if spent.1 >= per_day => {
                let until = chrono::DateTime::from_timestamp((spent.0 + 1) * 86_400, 0).unwrap_or(now);
                Err(ConnectError::BudgetSpent { api, per_day, until })
            }
            Some(_) | None => {
                spent.1 += weight;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(budget: Budget) -> Budgets {
        Budgets::new(&BTreeMap::from([("dataverse", budget)]))
    }

    #[test]
    fn a_days_budget_ends_the_calls_of_that_api_and_starts_again_at_midnight_utc() {
        let budgets = budgets(Budget { per_day: Some(10), spent_today: 0, per_second: None });
        let purse = &budgets.0["dataverse"];
        let at = |text: &str| time::parse_instant(text).unwrap();
        *purse.day.lock().unwrap() = (day_number(at("2026-01-31T23:00:00Z")), 0);
        for weight in [1, 8, 5] {
            purse.spend("dataverse", weight, at("2026-01-31T23:00:00Z")).unwrap();
        }
        let error = purse.spend("dataverse", 1, at("2026-01-31T23:59:59Z")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the budget of 10 requests a day to dataverse is spent; it starts again at 2026-02-01 00:00 UTC: wait, or raise \
             `limits.requests-per-day`"
        );
        purse.spend("dataverse", 1, at("2026-02-01T00:00:00Z")).unwrap();
    }

    #[tokio::test]
    async fn what_is_spent_today_already_counts_and_other_apis_are_free() {
        let budgets = budgets(Budget { per_day: Some(5), spent_today: 5, per_second: None });
        assert!(matches!(budgets.pay("dataverse", 1).await, Err(ConnectError::BudgetSpent { per_day: 5, .. })));
        budgets.pay("campaign", 1).await.unwrap();
    }

    #[tokio::test]
    async fn a_seconds_budget_lets_its_share_through_and_then_one_at_a_time() {
        let budgets = budgets(Budget { per_second: NonZeroU32::new(20), ..Budget::default() });
        let start = std::time::Instant::now();
        for _ in 0..24 {
            budgets.pay("dataverse", 1).await.unwrap();
        }
        let took = start.elapsed().as_millis();
        assert!(took >= 150, "twenty at once and four more at 50 ms each, not {took} ms");
    }
}
