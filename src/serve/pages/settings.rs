//! The settings of a project as they are used, each with the key of the project file that sets it. Secrets are not read: what is shown is
//! where they come from.

mod connections;
mod serving;

use std::time::Duration;

use maud::{Markup, html};

use super::page;
use super::parts::prose;
use crate::count::{counted, grouped};
use crate::diagnostics::Level;
use crate::project::{Limits, OptoutReading, Project};
use crate::serve::answer::At;
use crate::system::SystemId;
use crate::time::schedule::Schedule;

/// A group of settings.
struct Section {
    title: &'static str,
    /// What there is to say if there are no settings, or of all of them.
    note: Option<&'static str>,
    rows: Vec<Row>,
}

/// A setting.
struct Row {
    /// Its key in the project file, from the top, with dots.
    key: String,
    value: String,
}

fn row(key: impl Into<String>, value: impl Into<String>) -> Row {
    Row { key: key.into(), value: value.into() }
}

/// Shows the settings.
pub async fn show(at: At) -> Markup {
    let project = at.served.project();
    let sections = sections(&project);
    let content = html! {
        p { "These are the settings that this server works with. They are read from "
            code { (crate::project::FILE_NAME) } " when the project starts, and changed there." }
        @for section in &sections {
            h2 { (section.title) }
            @if let Some(note) = section.note { p { (prose(note)) } }
            @if !section.rows.is_empty() {
                div.wide tabindex="0" role="region" aria-label=(section.title) {
                    table.settings {
                        caption.hidden { (section.title) }
                        thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } } }
                        tbody { @for row in &section.rows { tr { th scope="row" { code { (row.key) } } td { (row.value) } } } }
                    }
                }
            }
        }
    };
    page(&at, "/settings", "Settings", &content)
}

/// All settings of a project.
fn sections(project: &Project) -> Vec<Section> {
    let mut sections = vec![folders(project)];
    sections.extend(connections::sections(&project.connections));
    sections.extend([
        limits(&project.limits),
        schedules(project),
        optouts(&project.optouts),
        serving::section(&project.serve),
        lint(project),
    ]);
    sections
}

fn folders(project: &Project) -> Section {
    let within = |path: &std::path::Path| path.strip_prefix(&project.root).unwrap_or(path).display().to_string();
    let rows =
        vec![row("mappings", within(&project.mappings)), row("schemas", within(&project.schemas)), row("state", within(&project.state))];
    Section { title: "Files", note: None, rows }
}

/// A time as people read it.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0 seconds".to_owned(),
        s if s.is_multiple_of(3600) => counted(s / 3600, "hour"),
        s if s.is_multiple_of(60) => counted(s / 60, "minute"),
        s => counted(s, "second"),
    }
}

fn limits(limits: &Limits) -> Section {
    let mut rows = vec![
        row("limits.page-size", counted(limits.page_size, "record")),
        row("limits.concurrency", counted(limits.concurrency, "request") + " to a host at the same time"),
        row("limits.backlog-high-water", counted(limits.backlog_high_water, "operation")),
        row("limits.mass-change-percent", format!("{} %", limits.mass_change_percent)),
        row("limits.mass-change-count", counted(limits.mass_change_count, "record")),
        row("limits.attempts", grouped(limits.attempts)),
        row("limits.request-timeout-seconds", time(limits.request_timeout)),
        row("limits.watch-interval-seconds", time(limits.watch_interval)),
    ];
    for system in SystemId::ALL {
        let per_second = limits.requests_per_second.get(&system).map_or("unlimited".to_owned(), grouped_of);
        rows.push(row(format!("limits.requests-per-second.{}", system.key()), per_second));
    }
    for system in SystemId::ALL {
        let per_day = limits.requests_per_day.get(&system).map_or("unlimited".to_owned(), grouped_of);
        rows.push(row(format!("limits.requests-per-day.{}", system.key()), per_day));
    }
    Section { title: "Limits", note: None, rows }
}

fn grouped_of<T: Copy + TryInto<u64>>(number: &T) -> String {
    grouped(*number)
}

fn schedules(project: &Project) -> Section {
    let rows: Vec<Row> = project.schedules.iter().map(|(name, schedule)| row(format!("schedules.{name}"), words(schedule))).collect();
    let note = "A workflow without a schedule has the interval `limits.watch-interval-seconds`.";
    Section { title: "Schedules", note: Some(note), rows }
}

/// A schedule in words: `every 5 minutes, mon, tue, 06:00–22:00, Europe/Vienna`.
fn words(schedule: &Schedule) -> String {
    use crate::time::schedule::When;
    let mut words = vec![match &schedule.when {
        When::Every(interval) => format!("every {}", time(*interval)),
        When::At(times) => format!("at {}", times.iter().map(|time| time.format("%H:%M").to_string()).collect::<Vec<_>>().join(", ")),
    }];
    if !schedule.days.is_empty() {
        words.push(schedule.days.iter().map(|day| day.to_string().to_lowercase()).collect::<Vec<_>>().join(", "));
    }
    if let Some((from, to)) = schedule.between {
        words.push(format!("{}–{}", from.format("%H:%M"), to.format("%H:%M")));
    }
    words.push(schedule.zone.name().to_owned());
    words.join("; ")
}

fn optouts(optouts: &OptoutReading) -> Section {
    let filter = match &optouts.changed_profiles {
        Some((filter, parameter)) => format!("{filter} with {parameter}"),
        None => "byLastModified with lastModified_parameter, if Campaign has it".to_owned(),
    };
    let rows = vec![
        row("opt-outs.changed-profiles", filter),
        row("opt-outs.list-every-seconds", time(optouts.list_every)),
        row("opt-outs.clock-tolerance-seconds", time(optouts.clock_tolerance)),
        row("opt-outs.exports-stale-after-hours", time(optouts.exports_stale_after)),
    ];
    Section { title: "Opt-outs", note: None, rows }
}

fn lint(project: &Project) -> Section {
    let rows = project.lint.iter().map(|(code, level)| {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Off => "off",
        };
        row(format!("lint.{code}"), format!("{level}: {}", code.title()))
    });
    Section { title: "Severities", note: Some("The other codes have their own severity."), rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(crate::project::FILE_NAME);
        std::fs::write(&file, text).unwrap();
        let project = Project::load(&file).unwrap();
        (folder, project)
    }

    #[test]
    fn a_setting_has_the_key_of_the_project_file_and_a_secret_the_place_that_it_comes_from() {
        let text = "version: 1
connections:
  dynamics:
    url: https://contoso.crm4.dynamics.com
    tenant: contoso.example
    client-id: app
    client-secret: { env: DYNAMICS_SECRET }
  campaign:
    organization: contoso
    client-id: key
    client-secret: { command: [vault, read, --token=hush] }
limits: { requests-per-second: { campaign: 5 } }
schedules: { contacts: { every: 5m, days: [mon], between: 06:00-22:00, zone: Europe/Vienna } }
lint: { D304: off }
";
        let (_folder, project) = project(text);
        let sections = sections(&project);
        let rows: Vec<(&str, &str)> = sections.iter().flat_map(|s| &s.rows).map(|row| (&*row.key, &*row.value)).collect();
        for expected in [
            ("mappings", "mappings"),
            ("connections.dynamics.url", "https://contoso.crm4.dynamics.com/"),
            ("connections.dynamics.client-secret", "from env:DYNAMICS_SECRET"),
            ("connections.campaign.client-secret", "from command:vault"),
            ("limits.requests-per-second.campaign", "5"),
            ("limits.requests-per-second.dynamics", "unlimited"),
            ("limits.watch-interval-seconds", "1 minute"),
            ("schedules.contacts", "every 5 minutes; mon; 06:00–22:00; Europe/Vienna"),
        ] {
            assert!(rows.contains(&expected), "{expected:?} is not in {rows:?}");
        }
        assert!(rows.iter().any(|(key, value)| *key == "lint.D304" && value.starts_with("off: ")), "{rows:?}");
        assert!(!rows.iter().any(|(_, value)| value.contains("hush")), "{rows:?}");
    }
}
