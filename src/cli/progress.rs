//! The progress line of long commands: on a terminal only, on standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Counters;

/// A line that shows the counts of a run until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Starts the line; shows nothing if standard error is not a terminal or `quiet` is set.
    pub fn start(counters: Arc<Counters>, quiet: bool) -> Progress {
        let bar = if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        let line = bar.clone();
        let task = tokio::spawn(async move {
            let began = std::time::Instant::now();
            loop {
                let read = counters.total(|f| f.read.get());
                let written = counters.total(|f| f.created.get() + f.updated.get() + f.deleted.get());
                let backlog = counters.total(|f| f.backlog.get());
                let errors = counters.total(|f| f.rejected.get() + f.failed.get());
                let seconds = began.elapsed().as_secs_f64().max(0.001);
                let rate = written as f64 / seconds;
                let left = if rate > 1.0 && backlog > 0 {
                    format!(", about {:.0} s for the backlog", backlog as f64 / rate)
                } else {
                    String::new()
                };
                let due = match counters.restarts_due.get() {
                    0 => String::new(),
                    due => format!(", RESTART DUE for {due} (`d365map status`)"),
                };
                line.set_message(format!("{read} read, {written} written ({rate:.0}/s), {backlog} waiting{left}, {errors} errors{due}"));
                line.tick();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Progress { bar, task }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
