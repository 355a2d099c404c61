//! How many rows a request carries: the size grows while the service answers quickly and halves when it cannot cope.
//!
//! A pure type: the caller measures the time by the run's clock and says what became of each request.

use std::time::Duration;

/// Rows in the first request.
pub(crate) const FIRST: usize = 100;
/// Rows in the largest request. Dataverse Web API, *Use bulk operation messages*, recommends 100 to 1,000.
pub(crate) const MOST: usize = 1000;
/// A request is quick if it took at most this part of the time limit. Twice the rows then take at most half of the limit.
const QUICK: u32 = 4;
/// Full, quick requests in a row after which a size that failed is tried again.
const FORGIVEN_AFTER: u32 = 16;

/// The number of rows of the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSize {
    rows: usize,
    /// A request with this number of rows failed, so the size stays below it.
    too_many: Option<usize>,
    /// Full, quick requests since that number failed.
    quick: u32,
}

impl Default for BatchSize {
    fn default() -> BatchSize {
        BatchSize { rows: FIRST, too_many: None, quick: 0 }
    }
}

impl BatchSize {
    /// Returns how many rows the next request may carry: 1 to [`MOST`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns whether a full, quick request would make the next one larger. Until then, further requests of this size tell nothing new.
    pub fn grows(&self) -> bool {
        let larger = self.larger();
        larger > self.rows && self.too_many.is_none_or(|too_many| larger < too_many)
    }

    fn larger(&self) -> usize {
        (self.rows * 2).min(MOST)
    }

    /// Notes that the service carried out a request with this many rows within this time. `limit` is the time after which a request fails.
    pub fn carried_out(&mut self, rows: usize, took: Duration, limit: Duration) {
        // A smaller one says nothing about the size, nor does one that was sent before the size grew.
        if rows < self.rows || took.saturating_mul(QUICK) > limit {
            return;
        }
        if self.too_many.is_some() {
            self.quick += 1;
        }
        if self.quick >= FORGIVEN_AFTER {
            (self.too_many, self.quick) = (None, 0);
        }
        if self.grows() {
            self.rows = self.larger();
        }
    }

    /// Notes that a request with this many rows was too much: it was refused for its size, no answer came in time, or the service was
    /// unavailable. Requests of the same size that fail together halve it once.
    pub fn failed(&mut self, rows: usize) {
        let rows = rows.clamp(1, MOST);
        self.too_many = Some(self.too_many.map_or(rows, |too_many| too_many.min(rows)));
        self.quick = 0;
        self.rows = self.rows.min((rows / 2).max(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);
    const SOON: Duration = Duration::from_secs(2);

    #[test]
    fn a_size_doubles_up_to_1000_rows_while_full_requests_are_quick() {
        let mut size = BatchSize::default();
        let mut sizes = vec![size.rows()];
        while size.grows() {
            size.carried_out(size.rows(), SOON, LIMIT);
            sizes.push(size.rows());
        }
        assert_eq!(sizes, [100, 200, 400, 800, 1000]);
    }

    #[test]
    fn a_request_that_is_slow_or_not_full_keeps_the_size() {
        let mut size = BatchSize::default();
        size.carried_out(100, Duration::from_secs(31), LIMIT);
        size.carried_out(99, SOON, LIMIT);
        assert_eq!(size, BatchSize::default());
        size.carried_out(100, Duration::from_secs(30), LIMIT);
        assert_eq!(size.rows(), 200);
    }

    #[test]
    fn requests_of_one_size_that_fail_together_halve_it_once() {
        let mut size = BatchSize { rows: 800, ..BatchSize::default() };
        for _ in 0..8 {
            size.failed(800);
        }
        assert_eq!(size.rows(), 400);
        size.failed(400);
        assert_eq!(size.rows(), 200);
    }

    #[test]
    fn a_size_that_failed_is_tried_again_only_after_many_quick_requests() {
        let mut size = BatchSize { rows: 400, ..BatchSize::default() };
        size.failed(400);
        assert!(!size.grows());
        for _ in 1..FORGIVEN_AFTER {
            size.carried_out(200, SOON, LIMIT);
            assert_eq!(size.rows(), 200);
        }
        size.carried_out(200, SOON, LIMIT);
        assert_eq!(size.rows(), 400);
    }

    #[test]
    fn a_size_never_falls_below_one_row() {
        let mut size = BatchSize::default();
        for _ in 0..20 {
            size.failed(size.rows());
        }
        assert_eq!(size.rows(), 1);
    }

    proptest! {
        #[test]
        fn whatever_happens_a_size_stays_within_its_bounds_and_below_what_failed(events in proptest::collection::vec((any::<bool>(), 0_usize..2000, 0_u64..200), 0..200)) {
            let mut size = BatchSize::default();
            for (fails, rows, seconds) in events {
                let before = size.rows();
                if fails {
                    size.failed(rows);
                    prop_assert!(size.rows() <= before && (rows == 0 || size.rows() <= (rows / 2).max(1)));
                } else {
                    size.carried_out(rows, Duration::from_secs(seconds), LIMIT);
                    prop_assert!(size.rows() == before || size.rows() == (before * 2).min(MOST));
                }
                prop_assert!((1..=MOST).contains(&size.rows()));
                prop_assert!(size.too_many.is_none_or(|too_many| size.rows() < too_many || size.rows() == 1));
            }
        }

        #[test]
        fn a_service_with_a_limit_of_rows_soon_receives_more_than_half_of_them(capacity in 2_usize..2000) {
            let mut size = BatchSize::default();
            let mut requests = 0;
            while requests < 30 {
                let rows = size.rows();
                if rows > capacity { size.failed(rows) } else { size.carried_out(rows, SOON, LIMIT) }
                requests += 1;
            }
            let able = capacity.min(MOST);
            prop_assert!(size.rows() * 4 > able && size.rows() <= able * 2, "{size:?} for {capacity}");
        }
    }
}
