//! The one-time link that is printed on the terminal: whoever sees the terminal can read the state file anyway.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::secret::{self, Digest};
use crate::run::Clock;

/// How long a link can be used.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The link that can be used at present, if there is one.
pub(super) struct Links {
    clock: Clock,
    current: Mutex<Option<Link>>,
}

struct Link {
    token: Digest,
    made: Duration,
}

impl Links {
    pub(super) fn new(clock: Clock) -> Links {
        Links { clock, current: Mutex::default() }
    }

    /// Makes a link and returns its token. The link before it cannot be used any more.
    pub(super) fn make(&self) -> String {
        let token = secret::token();
        let link = Link { token: Digest::of(&token), made: self.clock.elapsed() };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        token
    }

    /// Uses a link. It works once; another token leaves it as it is.
    pub(super) fn take(&self, token: &str) -> bool {
        let given = Digest::of(token);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let matches = current.as_ref().is_some_and(|link| link.token.matches(&given));
        let link = if matches { current.take() } else { None };
        link.is_some_and(|link| self.clock.elapsed().saturating_sub(link.made) < LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn links() -> (Links, Clock) {
        let clock = Clock::stopped(crate::time::parse_instant("2024-05-01T12:00:00Z").expect("an instant"));
        (Links::new(clock.clone()), clock)
    }

    #[test]
    fn a_link_works_once_and_a_wrong_token_does_not_use_it_up() {
        let (links, _) = links();
        assert!(!links.take(""));
        let token = links.make();
        assert!(!links.take("x") && !links.take("") && !links.take(&token[1..]));
        assert!(links.take(&token));
        assert!(!links.take(&token));
    }

    #[test]
    fn a_link_works_for_fifteen_minutes_or_until_the_next_one_is_made() {
        let (links, clock) = links();
        let late = links.make();
        clock.advance(TimeDelta::minutes(15));
        assert!(!links.take(&late));
        let in_time = links.make();
        clock.advance(TimeDelta::seconds(15 * 60 - 1));
        assert!(links.take(&in_time));
        let (first, second) = (links.make(), links.make());
        assert!(!links.take(&first) && links.take(&second));
    }
}
