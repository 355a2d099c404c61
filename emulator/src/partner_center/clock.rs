//! The clock of the Partner Center emulator, which can be moved: invitations expire and refresh tokens age in a test's moment.

use std::sync::Mutex;

use chrono::{TimeDelta, Timelike as _};

use crate::lock;
use crate::time::{self, Instant};

/// The machine's clock and how far the emulator's is ahead of it.
#[derive(Default)]
pub(super) struct Clock(Mutex<State>);

#[derive(Default)]
struct State {
    ahead: TimeDelta,
    /// The last time stamp that was given out.
    last: Option<Instant>,
}

impl Clock {
    pub(super) fn now(&self) -> Instant {
        time::now() + lock(&self.0).ahead
    }

    /// A time stamp for a write: later than every one before it, in steps of 100 nanoseconds.
    pub(super) fn stamp(&self) -> Instant {
        let mut state = lock(&self.0);
        let now = time::now() + state.ahead;
        let now = now.with_nanosecond(now.nanosecond() / 100 * 100).unwrap_or(now);
        let at = state.last.map_or(now, |last| now.max(last + TimeDelta::nanoseconds(100)));
        state.last = Some(at);
        at
    }

    /// Moves the clock.
    pub(super) fn advance(&self, by: TimeDelta) {
        lock(&self.0).ahead += by;
    }

    /// Sets the clock.
    pub(super) fn set(&self, to: Instant) {
        let mut state = lock(&self.0);
        state.ahead = to - time::now();
        state.last = None;
    }
}

/// Writes an instant as Partner Center does: up to seven digits after the second, without zeros at the end.
pub(super) fn format(at: Instant) -> String {
    let text = format!("{}.{:07}", at.format("%Y-%m-%dT%H:%M:%S"), at.nanosecond() / 100);
    format!("{}Z", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Writes an instant as events have it: seven digits and an offset.
pub(super) fn format_offset(at: Instant) -> String {
    format!("{}.{:07}+00:00", at.format("%Y-%m-%dT%H:%M:%S"), at.nanosecond() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_is_later_than_the_one_before_it() {
        let clock = Clock::default();
        let stamps: Vec<_> = (0..100).map(|_| clock.stamp()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn an_instant_has_up_to_seven_digits_after_the_second() {
        let at = |text: &str| time::parse_instant(text).unwrap();
        assert_eq!(format(at("2022-02-28T17:27:47.8754901Z")), "2022-02-28T17:27:47.8754901Z");
        assert_eq!(format(at("2022-02-28T17:27:47.5Z")), "2022-02-28T17:27:47.5Z");
        assert_eq!(format(at("2022-02-28T17:27:40Z")), "2022-02-28T17:27:40Z");
    }
}
