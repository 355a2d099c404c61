//! The sessions of people who have signed in. They are in memory: whoever restarts the service ends them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::secret::{self, Digest};
use crate::project::Role;
use crate::run::Clock;

/// After this time without a request, a session is over.
pub(super) const IDLE: Duration = Duration::from_secs(60 * 60);
/// After this time a session is over whatever happens, and roles are read from a new token.
pub(super) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions at the same time. The one that was unused for longest makes room for a new one.
const MOST: usize = 1000;

/// A session, as a request sees it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) role: Role,
    /// The token of its forms.
    pub(super) csrf: String,
    begun: Duration,
    used: Duration,
}

impl Session {
    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) >= IDLE || now.saturating_sub(self.begun) >= LONGEST
    }
}

/// All sessions, by the hash of their ids.
pub(super) struct Sessions {
    clock: Clock,
    open: Mutex<HashMap<Digest, Session>>,
}

impl Sessions {
    pub(super) fn new(clock: Clock) -> Sessions {
        Sessions { clock, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session and returns its id, which is new: an id that a browser brings along is never taken for it. The session that the
    /// browser had ends.
    pub(super) fn begin(&self, before: Option<Digest>, name: String, role: Role) -> String {
        let now = self.clock.elapsed();
        let id = secret::token();
        let mut open = self.open();
        if let Some(before) = before {
            open.remove(&before);
        }
        if open.len() >= MOST {
            open.retain(|_, session| !session.is_over(now));
        }
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(Digest::of(&id), Session { name, role, csrf: secret::token(), begun: now, used: now });
        id
    }

    /// Returns a session that is not over. That does not count as use.
    pub(super) fn get(&self, id: &Digest) -> Option<Session> {
        let now = self.clock.elapsed();
        let mut open = self.open();
        if open.get(id)?.is_over(now) {
            open.remove(id);
        }
        open.get(id).cloned()
    }

    /// Notes that a session was used.
    pub(super) fn touch(&self, id: &Digest) {
        if let Some(session) = self.open().get_mut(id) {
            session.used = self.clock.elapsed();
        }
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &Digest) {
        self.open().remove(id);
    }

    /// The number of sessions that are kept.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.open().len()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn sessions() -> (Sessions, Clock) {
        let clock = Clock::stopped(crate::time::parse_instant("2024-05-01T12:00:00Z").expect("an instant"));
        (Sessions::new(clock.clone()), clock)
    }

    fn begin(sessions: &Sessions, before: Option<Digest>) -> Digest {
        Digest::of(&sessions.begin(before, "ada".to_owned(), Role::Viewer))
    }

    #[test]
    fn a_session_ends_after_an_hour_without_a_request() {
        let (sessions, clock) = sessions();
        let id = begin(&sessions, None);
        clock.advance(TimeDelta::minutes(59));
        assert!(sessions.get(&id).is_some());
        sessions.touch(&id);
        clock.advance(TimeDelta::minutes(59));
        // It was asked for, but not used.
        assert!(sessions.get(&id).is_some());
        clock.advance(TimeDelta::minutes(1));
        assert!(sessions.get(&id).is_none());
    }

    #[test]
    fn a_session_ends_after_twelve_hours_of_use() {
        let (sessions, clock) = sessions();
        let id = begin(&sessions, None);
        for _ in 0..23 {
            clock.advance(TimeDelta::minutes(30));
            sessions.touch(&id);
            assert!(sessions.get(&id).is_some());
        }
        clock.advance(TimeDelta::minutes(30));
        assert!(sessions.get(&id).is_none());
    }

    #[test]
    fn a_new_session_has_a_new_id_and_a_new_token_and_ends_the_one_before() {
        let (sessions, _) = sessions();
        let first = begin(&sessions, None);
        let token = sessions.get(&first).expect("a session").csrf;
        let second = begin(&sessions, Some(first));
        assert!(first != second && sessions.get(&first).is_none());
        assert_ne!(sessions.get(&second).expect("a session").csrf, token);
        sessions.end(&second);
        assert!(sessions.get(&second).is_none());
    }

    #[test]
    fn the_session_that_was_unused_for_longest_makes_room() {
        let (sessions, clock) = sessions();
        let all: Vec<Digest> = (0..MOST)
            .map(|_| {
                clock.advance(TimeDelta::milliseconds(1));
                begin(&sessions, None)
            })
            .collect();
        clock.advance(TimeDelta::seconds(1));
        sessions.touch(&all[0]);
        begin(&sessions, None);
        assert_eq!(sessions.len(), MOST);
        assert!(sessions.get(&all[0]).is_some() && sessions.get(&all[1]).is_none() && sessions.get(&all[2]).is_some());
    }
}
