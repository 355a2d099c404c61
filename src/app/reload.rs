//! A changed project file while a watch goes on: schedules and limits of the work take effect, the rest needs a restart.

use std::fmt::Debug;
use std::time::Duration;

use tokio::sync::watch;

use super::options;
use crate::project::{Limits, Project, ProjectError};
use crate::run::{Options, Pace, Settings};
use crate::store::MassLimits;

/// What the command line says, and no file changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fixed {
    /// The interval between rounds.
    pub interval: Option<Duration>,
    /// Mass changes pass.
    pub unlimited: bool,
}

/// Reads a project file again.
pub struct Reloader {
    /// The settings that the watch uses.
    running: Project,
    fixed: Fixed,
    sender: watch::Sender<Settings>,
}

impl Reloader {
    /// A reloader for a project, and what its watch has to listen to.
    pub fn new(project: &Project, fixed: Fixed) -> (Reloader, watch::Receiver<Settings>) {
        let (sender, receiver) = watch::channel(settings(project, fixed));
        (Reloader { running: project.clone(), fixed, sender }, receiver)
    }

    /// Reads the file, and hands on what can change. Returns the project with the settings that are in use now, and the keys that have
    /// changed and need a restart.
    ///
    /// # Errors
    /// The file has mistakes; then nothing changes.
    pub fn reload(&mut self) -> Result<(Project, Vec<&'static str>), ProjectError> {
        let read = Project::load(&self.running.file)?;
        let keys = needs_restart(&self.running, &read);
        self.sender.send_replace(settings(&read, self.fixed));
        Ok((in_use(&self.running, read), keys))
    }

    /// As [`Reloader::reload`], with what came of it in the log. Returns the project with the settings that are in use now; `None` if the
    /// file has mistakes.
    pub fn reload_and_log(&mut self) -> Option<Project> {
        let project = self.running.name();
        match self.reload() {
            Ok((read, keys)) => {
                let keys = keys.join(", ");
                if keys.is_empty() {
                    tracing::warn!(project, "the project file was read again");
                } else {
                    tracing::warn!(project, keys, "the project file was read again; changes of `keys` take effect after a restart");
                }
                Some(read)
            }
            Err(error) => {
                tracing::error!(project, %error, "the project file was read again and has mistakes; the earlier settings stay");
                None
            }
        }
    }
}

/// The project with the settings that are in use: those of the file that can change, and those of the start for the rest.
fn in_use(running: &Project, read: Project) -> Project {
    let limits = Limits {
        requests_per_second: running.limits.requests_per_second.clone(),
        requests_per_day: running.limits.requests_per_day.clone(),
        attempts: running.limits.attempts,
        request_timeout: running.limits.request_timeout,
        ..read.limits
    };
    Project { limits, schedules: read.schedules, optouts: read.optouts, ..running.clone() }
}

/// The settings that a watch can take up.
fn settings(project: &Project, fixed: Fixed) -> Settings {
    let interval = fixed.interval.unwrap_or(project.limits.watch_interval);
    let Options { page_size, concurrency, backlog_high_water, mass_limits, optouts, .. } =
        options::of_project(project, Pace::Watch { interval }, Vec::new());
    let mass_limits = if fixed.unlimited { MassLimits::unlimited() } else { mass_limits };
    Settings { interval, schedules: project.schedules.clone(), page_size, concurrency, backlog_high_water, mass_limits, optouts }
}

/// The keys whose change needs a restart: what connections and the HTTP layer were made of.
fn needs_restart(running: &Project, read: &Project) -> Vec<&'static str> {
    // The types of connectors cannot be compared, but all of them show all that they have; of secrets they have references only.
    fn differ(one: &impl Debug, other: &impl Debug) -> bool {
        format!("{one:?}") != format!("{other:?}")
    }
    let (before, after) = (&running.limits, &read.limits);
    [
        ("mappings", running.mappings != read.mappings),
        ("schemas", running.schemas != read.schemas),
        ("state", running.state != read.state),
        ("connections", differ(&running.connections, &read.connections)),
        // The HTTP layer keeps to the number with which it was made.
        ("limits.concurrency", after.concurrency > before.concurrency),
        ("limits.requests-per-second", before.requests_per_second != after.requests_per_second),
        ("limits.requests-per-day", before.requests_per_day != after.requests_per_day),
        ("limits.attempts", before.attempts != after.attempts),
        ("limits.request-timeout-seconds", before.request_timeout != after.request_timeout),
        ("serve", differ(&running.serve, &read.serve)),
        ("notify", running.notify != read.notify),
        ("lint", differ(&running.lint, &read.lint)),
    ]
    .into_iter()
    .filter_map(|(key, changed)| changed.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\nlimits:\n  page-size: 500\n  concurrency: 8\n  attempts: 3\nschedules:\n  contacts: { every: 60s }\n";

    #[test]
    fn schedules_and_limits_of_the_work_take_effect_and_the_rest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d365map.yaml");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write(FILE);
        let project = Project::load(&file).unwrap();
        let (mut reloader, receiver) = Reloader::new(&project, Fixed::default());
        assert!(reloader.reload().unwrap().1.is_empty());
        write(
            &FILE
                .replace("500", "200")
                .replace("60s", "90s")
                .replace("attempts: 3", "attempts: 4")
                .replace("concurrency: 8", "concurrency: 4"),
        );
        assert_eq!(reloader.reload().unwrap().1, ["limits.attempts"]);
        let settings = receiver.borrow().clone();
        assert_eq!((settings.page_size, settings.concurrency), (200, 4));
        assert_ne!(settings.schedules["contacts"], project.schedules["contacts"]);
        // Still to be restarted for, until it is.
        write(&FILE.replace("attempts: 3", "attempts: 4").replace("concurrency: 8", "concurrency: 16"));
        assert_eq!(reloader.reload().unwrap().1, ["limits.concurrency", "limits.attempts"]);
        write(&format!(
            "{FILE}connections:\n  dynamics:\n    url: https://a.crm.dynamics.com\n    tenant: t\n    client-id: c\n    client-secret: {{ env: A }}\n"
        ));
        assert_eq!(reloader.reload().unwrap().1, ["connections"]);
    }

    #[test]
    fn a_file_with_mistakes_changes_nothing_and_the_command_line_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("d365map.yaml");
        std::fs::write(&file, FILE).unwrap();
        let fixed = Fixed { interval: Some(Duration::from_secs(7)), unlimited: true };
        let (mut reloader, mut receiver) = Reloader::new(&Project::load(&file).unwrap(), fixed);
        std::fs::write(&file, FILE.replace("500", "many")).unwrap();
        assert!(reloader.reload().is_err() && !receiver.has_changed().unwrap());
        std::fs::write(&file, format!("{FILE}  accounts: {{ every: 5m }}\n")).unwrap();
        reloader.reload().unwrap();
        let settings = receiver.borrow_and_update().clone();
        assert_eq!((settings.interval, settings.mass_limits), (Duration::from_secs(7), MassLimits::unlimited()));
        assert_eq!(settings.schedules.len(), 2);
    }
}
