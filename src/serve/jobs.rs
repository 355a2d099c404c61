//! Work that takes longer than a request: it reads the services, and its result is kept until the next one of its kind.
//!
//! Each job is done in a separate thread, so that it delays no page and no record. A project has one job of a kind at a time. A job
//! writes nothing, so the end of the process may cut it off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::app::drift::Drift;
use crate::connect::Http;
use crate::doctor::Check;
use crate::plan::ExecutionPlan;
use crate::run::Reconciliation;
use crate::time::{Instant, now};

/// The jobs of a project.
pub struct Jobs {
    /// The comparison of the opt-outs of both sides.
    pub optouts: Job<Comparison>,
    /// The checks of `doctor`.
    pub checks: Job<Vec<Check>>,
    /// The comparison of the schemas with the committed ones.
    pub drift: Job<Drift>,
    stop: CancellationToken,
}

/// What the opt-outs of both sides were compared by, and how they compare.
pub struct Comparison {
    /// The plan, which a decision is noted for.
    pub plan: Arc<ExecutionPlan>,
    /// One report for each opt-out block.
    pub reports: Vec<Reconciliation>,
}

impl Default for Jobs {
    fn default() -> Jobs {
        let stop = CancellationToken::new();
        Jobs { optouts: Job::new(&stop), checks: Job::new(&stop), drift: Job::new(&stop), stop }
    }
}

impl Jobs {
    /// Ends what is being done, and begins nothing more.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// A kind of job. Clones are the same.
pub struct Job<T> {
    state: Arc<Mutex<State<T>>>,
    stop: CancellationToken,
}

/// How a job is at the moment.
pub struct State<T> {
    /// The one that is being done.
    pub running: Option<Running>,
    /// The last one that has ended.
    pub last: Option<Arc<Ended<T>>>,
}

/// A job that is being done.
#[derive(Clone)]
pub struct Running {
    /// Since when.
    pub since: Instant,
    /// Who has started it.
    pub by: String,
    /// The HTTP layer of its calls, if they are counted.
    http: Option<Http>,
}

impl Running {
    /// Calls to services so far, if they are counted.
    pub fn calls(&self) -> Option<u64> {
        self.http.as_ref().map(|http| http.stats().apis.values().map(|api| api.calls).sum())
    }
}

/// A job that has ended.
pub struct Ended<T> {
    /// Differs from that of every other job, also of an earlier process.
    pub id: String,
    /// Who has started it.
    pub by: String,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub at: Instant,
    /// Its result.
    pub result: Result<T, Failure>,
}

/// What a job is given.
pub struct Work<'a> {
    /// Cancelled when the server ends.
    pub stop: &'a CancellationToken,
    count: &'a dyn Fn(Http),
}

impl Work<'_> {
    /// Has the calls of an HTTP layer counted.
    pub fn count(&self, http: Http) {
        (self.count)(http);
    }
}

impl<T> Clone for Job<T> {
    fn clone(&self) -> Job<T> {
        Job { state: self.state.clone(), stop: self.stop.clone() }
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> State<T> {
        State { running: self.running.clone(), last: self.last.clone() }
    }
}

impl<T> Job<T> {
    fn new(stop: &CancellationToken) -> Job<T> {
        Job { state: Arc::new(Mutex::new(State { running: None, last: None })), stop: stop.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the job is now.
    pub fn now(&self) -> State<T> {
        self.state().clone()
    }
}

impl<T: Send + Sync + 'static> Job<T> {
    /// Begins the job. What it says at its end replaces the result before.
    ///
    /// # Errors
    /// It is being done already, the server ends, or the system gives no thread.
    pub fn start<E: Into<Failure>>(&self, by: &str, work: impl FnOnce(&Work<'_>) -> Result<T, E> + Send + 'static) -> Result<(), Failure> {
        let began = now();
        {
            let mut state = self.state();
            if self.stop.is_cancelled() {
                return Err(Failure::busy("the server is stopping"));
            }
            if let Some(running) = &state.running {
                return Err(Failure::conflict(format!("this is being done already; {} has started it", running.by)));
            }
            state.running = Some(Running { since: began, by: by.to_owned(), http: None });
        }
        let (job, by) = (self.clone(), by.to_owned());
        let done = move || {
            let count = |http| {
                if let Some(running) = &mut job.state().running {
                    running.http = Some(http);
                }
            };
            let work = || work(&Work { stop: &job.stop, count: &count }).map_err(Into::into);
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Failure::bug("the work ended without a result")));
            let ended = Ended { id: uuid::Uuid::new_v4().to_string(), by, began, at: now(), result };
            *job.state() = State { running: None, last: Some(Arc::new(ended)) };
        };
        if let Err(error) = std::thread::Builder::new().name("job".to_owned()).spawn(done) {
            self.state().running = None;
            return Err(Failure::busy(format!("the system gives no thread: {error}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Begins a job that ends when the sender is used or dropped.
    fn begin(job: &Job<u32>) -> (std::sync::mpsc::Sender<u32>, Receiver<()>) {
        let (send, receive) = channel::<u32>();
        let (over, ended) = channel();
        let work = move |_: &Work<'_>| {
            let result = receive.recv().map_err(|_| Failure::conflict("cut off"));
            drop(over);
            result
        };
        job.start("ada", work).expect("nothing is being done");
        (send, ended)
    }

    fn wait(job: &Job<u32>) -> Arc<Ended<u32>> {
        loop {
            let State { running, last } = job.now();
            if running.is_none() {
                return last.expect("a result");
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_job_of_a_kind_is_done_at_a_time_and_its_result_is_kept_until_the_next() {
        let jobs = Jobs::default();
        let job = Job::<u32>::new(&jobs.stop);
        let (send, _) = begin(&job);
        assert_eq!(job.now().running.expect("it runs").by, "ada");
        let second = job.start("bob", |_| Ok::<_, Failure>(2)).expect_err("one is being done");
        assert!(second.status.as_u16() == 409 && second.message.contains("ada"), "{second:?}");
        send.send(1).expect("it waits");
        let first = wait(&job);
        assert!(matches!(first.result, Ok(1)) && first.by == "ada");
        job.start("bob", |_| Ok::<_, Failure>(2)).expect("nothing is being done");
        let second = wait(&job);
        assert!(matches!(second.result, Ok(2)) && second.id != first.id);
    }

    #[test]
    fn a_failure_and_a_panic_are_results() {
        let job = Job::<u32>::new(&CancellationToken::new());
        let (send, _) = begin(&job);
        drop(send);
        assert_eq!(wait(&job).result.as_ref().map_err(|failure| &*failure.message), Err("cut off"));
        job.start("ada", |_| -> Result<u32, Failure> { std::panic::resume_unwind(Box::new(())) }).expect("nothing is being done");
        assert_eq!(wait(&job).result.as_ref().map_err(|failure| failure.status.as_u16()), Err(500));
    }

    #[test]
    fn a_server_that_ends_begins_no_job_and_says_so_to_the_one_that_is_being_done() {
        let jobs = Jobs::default();
        let job = Job::<u32>::new(&jobs.stop);
        let (started, begun) = channel();
        let work = move |work: &Work<'_>| {
            started.send(()).expect("somebody waits");
            while !work.stop.is_cancelled() {
                std::thread::yield_now();
            }
            Err(Failure::busy("stopped"))
        };
        job.start("ada", work).expect("nothing is being done");
        begun.recv().expect("it begins");
        jobs.stop();
        assert_eq!(wait(&job).result.as_ref().map_err(|failure| &*failure.message), Err("stopped"));
        assert_eq!(job.start("ada", |_| Ok::<_, Failure>(1)).expect_err("the server ends").status.as_u16(), 503);
    }
}
