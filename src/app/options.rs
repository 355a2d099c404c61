//! From the project file to the options of a run.

use crate::project::Project;
use crate::run::{ChangedProfiles, Options, OptoutSettings, Pace};
use crate::store::MassLimits;

/// The options of a run over these mappings, or over all if none is named.
pub fn of_project(project: &Project, pace: Pace, mappings: Vec<String>) -> Options {
    Options {
        pace,
        mappings: (!mappings.is_empty()).then_some(mappings),
        page_size: project.limits.page_size,
        concurrency: project.limits.concurrency,
        backlog_high_water: project.limits.backlog_high_water,
        mass_limits: MassLimits { count: project.limits.mass_change_count, percent: project.limits.mass_change_percent },
        optouts: optouts(project, false),
        memories: crate::run::Memories::default(),
        clock: crate::run::Clock::default(),
    }
}

/// How a project has its opt-outs read. `accept`: differences are approved in advance.
pub fn optouts(project: &Project, accept: bool) -> OptoutSettings {
    let reading = &project.optouts;
    let changed = reading.changed_profiles.clone();
    OptoutSettings {
        changed_profiles: changed.map(|(filter, parameter)| ChangedProfiles { filter, parameter }),
        list_every: reading.list_every,
        clock_tolerance: reading.clock_tolerance,
        exports_stale_after: reading.exports_stale_after,
        accept,
        ..OptoutSettings::default()
    }
}
