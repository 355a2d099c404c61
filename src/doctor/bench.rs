//! Where checks of one group are gathered, and what bounds their time.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::{Check, Group, Outcome};

/// The checks of one group so far, and when its time is over.
#[derive(Debug)]
pub struct Bench {
    group: Group,
    checks: Vec<Check>,
    until: Instant,
    limit: Duration,
}

/// The group's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOver;

impl Bench {
    /// A bench whose checks may take this long together.
    pub fn new(group: Group, limit: Duration) -> Bench {
        Bench { group, checks: Vec::new(), until: Instant::now() + limit, limit }
    }

    /// Waits for one step, but not beyond the group's time.
    ///
    /// # Errors
    /// [`TimeOver`].
    pub async fn step<T>(&self, step: impl Future<Output = T>) -> Result<T, TimeOver> {
        tokio::time::timeout_at(self.until, step).await.map_err(|_| TimeOver)
    }

    fn push(&mut self, id: &'static str, subject: impl Into<String>, outcome: Outcome) {
        self.checks.push(Check { id, group: self.group, subject: subject.into(), outcome });
    }

    /// All well.
    pub fn ok(&mut self, id: &'static str, subject: impl Into<String>, detail: impl Into<String>) {
        self.push(id, subject, Outcome::Ok { detail: detail.into() });
    }

    /// Odd, but no hindrance.
    pub fn warn(&mut self, id: &'static str, subject: impl Into<String>, cause: impl Into<String>, mend: impl Into<String>) {
        self.push(id, subject, Outcome::Warning { cause: cause.into(), mend: mend.into() });
    }

    /// Wrong.
    pub fn fail(&mut self, id: &'static str, subject: impl Into<String>, cause: impl Into<String>, mend: impl Into<String>) {
        self.push(id, subject, Outcome::Failed { cause: cause.into(), mend: mend.into() });
    }

    /// Not looked at.
    pub fn skip(&mut self, id: &'static str, subject: impl Into<String>, reason: impl Into<String>) {
        self.push(id, subject, Outcome::Skipped { reason: reason.into() });
    }

    /// Not looked at, these all.
    pub fn skip_all(&mut self, rest: &[(&'static str, &str)], reason: &str) {
        for (id, subject) in rest {
            self.skip(id, *subject, reason);
        }
    }

    /// The group's time is over at this check.
    pub fn over(&mut self, id: &'static str, subject: impl Into<String>) {
        let cause = format!("no answer within {} seconds for all checks of this connection", self.limit.as_secs());
        self.fail(id, subject, cause, "try again when the service is faster, or allow more time with `--timeout SECONDS`");
    }

    /// The checks.
    pub fn done(self) -> Vec<Check> {
        self.checks
    }
}
