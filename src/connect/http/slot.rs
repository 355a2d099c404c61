//! Keeps one access token until shortly before it expires. One caller at a time asks for a new one; the others share the result.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::bearer::Token;
use crate::connect::error::ConnectError;

/// How long before its expiry a token is replaced. A quarter of its life where that is shorter.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);
/// The life of a token whose answer does not state it.
const UNSTATED_LIFE: Duration = Duration::from_secs(600);
/// How long an old, still valid token is used when a new one is not available, before the next try.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// No service gives longer lives; keeps arithmetic on instants in range.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A place for one token.
#[derive(Default)]
pub(super) struct Slot {
    kept: Mutex<Kept>,
    /// How many requests for a token have ended, well or not.
    ended: AtomicU64,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    /// The last failure, with the count at its end.
    failure: Option<(u64, ConnectError)>,
}

impl Slot {
    /// Returns the token, or asks for one: `ask` gives the header and the token's life.
    ///
    /// # Errors
    /// The failure of `ask`, also to callers that came while it was under way.
    pub(super) async fn current<F>(&self, ask: impl FnOnce() -> F) -> Result<Token, ConnectError>
    where
        F: Future<Output = Result<(HeaderValue, Duration), ConnectError>>,
    {
        let before = self.ended.load(Ordering::Acquire);
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.token.as_ref().filter(|t| t.refresh_at > Instant::now()) {
            return Ok(token.clone());
        }
        if let Some((at, failure)) = &kept.failure
            && *at > before
        {
            return Err(failure.clone());
        }
        let asked = ask().await;
        let ended = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        match asked {
            Ok((header, life)) => {
                let now = Instant::now();
                let token = Token { header, refresh_at: now + refresh_after(life), expires_at: now + life, number: ended };
                *kept = Kept { token: Some(token.clone()), failure: None };
                Ok(token)
            }
            Err(failure) => {
                if failure.is_transient()
                    && let Some(token) = kept.token.as_mut().filter(|t| !t.expired())
                {
                    token.refresh_at = Instant::now() + TRY_AGAIN;
                    return Ok(token.clone());
                }
                kept.token = None;
                kept.failure = Some((ended, failure.clone()));
                Err(failure)
            }
        }
    }

    /// Forgets a token that was refused, unless another one has taken its place.
    pub(super) async fn forget(&self, token: &Token) {
        let mut kept = self.kept.lock().await;
        if kept.token.as_ref().is_some_and(|t| t.number == token.number) {
            kept.token = None;
        }
    }
}

/// The life that a token service's answer states, as it counts it. Version 1 of Entra ID writes numbers as strings.
pub(super) fn stated_life(answer: &Value) -> Option<f64> {
    match answer.get("expires_in") {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    }
}

/// A life in seconds as it is believed.
pub(super) fn bounded(seconds: Option<f64>) -> Duration {
    seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(UNSTATED_LIFE).min(LONGEST_LIFE)
}

/// How long a token of this life is used.
fn refresh_after(life: Duration) -> Duration {
    life - REFRESH_BEFORE.min(life / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_five_minutes_before_its_end_or_at_three_quarters_of_a_short_life() {
        for (life, used) in [(3599, 3299), (86399, 86099), (1200, 900), (400, 300), (4, 3), (0, 0)] {
            assert_eq!(refresh_after(Duration::from_secs(life)), Duration::from_secs(used));
        }
    }

    #[test]
    fn a_life_is_read_as_a_number_and_as_a_string() {
        for text in [r#"{"expires_in":3600}"#, r#"{"expires_in":"3600"}"#] {
            let answer: Value = serde_json::from_str(text).unwrap();
            assert_eq!(bounded(stated_life(&answer)), Duration::from_secs(3600), "{text}");
        }
        assert_eq!(bounded(stated_life(&Value::Null)), UNSTATED_LIFE);
        assert_eq!(bounded(Some(-1.0)), UNSTATED_LIFE);
        assert_eq!(bounded(Some(1e300)), UNSTATED_LIFE);
    }
}
