//! `d365map status`: the state of every workflow.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::output::{print, print_json};
use super::remote::Server;
use super::run::Format;
use super::{Exit, Global};
use crate::app::operate::{self, StatusDocument};
use crate::app::{CommandError, files, runtime};
use crate::connect::SignedIn;
use crate::count::counted;
use crate::printable;
use crate::store::{EventsStatus, FINISHED, Holder, MappingStatus, Phase, Status, Wish, WorkflowRecord, WorkflowState};
use crate::system::SystemId;
use crate::time;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: Server,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the status.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let document: StatusDocument = runtime()?.block_on(async {
        if let Some(remote) = args.server.project(global).await? {
            return remote.get(&["status"], &[]).await;
        }
        let project = files::need_project(global.project.as_deref())?;
        Ok(operate::status(&project).await?.document(&project))
    })?;
    match args.format {
        Format::Json => print_json(&format!("{}\n", json!(document))),
        Format::Human => {
            let mut text = describe(&document.status, document.process.as_ref());
            for (system, signed_in) in document.sign_ins.iter().flatten() {
                text.push_str(&sign_in_line(system, signed_in, time::now()));
            }
            print(&text);
        }
    }
    Ok(Exit::Clean)
}

/// Who is signed in to a connection, and how long that is good for.
fn sign_in_line(system: &str, signed_in: &Value, now: time::Instant) -> String {
    let text = match serde_json::from_value::<Option<SignedIn>>(signed_in.clone()) {
        Ok(Some(kept)) => {
            let who = kept.account.as_deref().unwrap_or("an account without a name");
            let mfa = if kept.mfa { "" } else { ", without multifactor authentication" };
            format!(
                "signed in as {who}{mfa}, last refreshed {}, expires in {} unless it is refreshed",
                time::format_instant(kept.refreshed),
                counted(kept.days_left(now).max(0), "day")
            )
        }
        Ok(None) => "no account is signed in; run `d365map login partner-center`".to_owned(),
        Err(_) => signed_in["error"].as_str().unwrap_or_default().to_owned(),
    };
    let title = SystemId::ALL.into_iter().find(|id| id.key() == system).map_or(system, |id| id.title());
    format!("{title}: {}\n", printable::indented(&text, 2))
}

fn describe(status: &Status, process: Option<&Holder>) -> String {
    if status.mappings.is_empty() && status.workflows.is_empty() {
        return "nothing has run yet; start with `d365map run`\n".to_owned();
    }
    let mut out = match process {
        Some(holder) => format!("running: {holder}\n"),
        None => "nothing runs now\n".to_owned(),
    };
    let names: BTreeSet<&str> =
        status.mappings.iter().map(|m| m.mapping.as_str()).chain(status.workflows.iter().map(|w| w.name.as_str())).collect();
    for name in names {
        let workflow = status.workflows.iter().find(|w| w.name == name);
        out.push_str(&match workflow {
            Some(w) => head(w),
            None => format!("{name}: {}\n", WorkflowState::Stopped),
        });
        if let Some(mapping) = status.mappings.iter().find(|m| m.mapping == name) {
            out.push_str(&counts(mapping));
        }
        if let Some(w) = workflow {
            out.push_str(&notes(w));
        }
    }
    if let Some(run) = &status.last_run {
        let end = match (&run.outcome, run.ended_at, process) {
            (Some(outcome), Some(at), _) => format!("{outcome} {}", time::format_instant(at)),
            (_, _, Some(_)) => format!("running as process {} on {}", run.pid, run.host),
            (_, _, None) => format!("its process {} on {} ended without a message", run.pid, run.host),
        };
        out.push_str(&format!("last run: {} ({}), started {}, {end}\n", run.id, run.kind, time::format_instant(run.started_at)));
    }
    out
}

/// A workflow's state, since when, and why.
fn head(w: &WorkflowRecord) -> String {
    // In the vendor's words it is STOPPED, which reads as if somebody had stopped it.
    if w.state == WorkflowState::Stopped && w.wish == Wish::Run && w.reason.as_deref() == Some(FINISHED) {
        return format!("{}: finished {}; `d365map run` continues from there\n", w.name, time::format_instant(w.since));
    }
    let mut out = format!("{}: {} since {}\n", w.name, w.state, time::format_instant(w.since));
    let wanted = match (w.wish, w.state) {
        (Wish::Stop, WorkflowState::Running | WorkflowState::Starting) => Some("is being stopped; what is in flight is finished first"),
        (Wish::Stop, WorkflowState::Stopped | WorkflowState::Failed) | (Wish::Run, _) => None,
    };
    for reason in wanted.into_iter().chain(w.reason.as_deref()) {
        out.push_str(&row("why", reason));
    }
    out
}

fn row(name: &str, text: &str) -> String {
    format!("  {name:<12}  {}\n", printable::indented(text, 16))
}

/// Returns the position of an event flow, and the events that the journal did not keep long enough.
fn events_position(events: &EventsStatus) -> String {
    let mut out = match events.read_up_to {
        Some(at) => format!("journal read up to {}", time::format_instant(at)),
        None => "no event of the journal read yet".to_owned(),
    };
    let instant = |at: Option<time::Instant>| at.map_or_else(|| "?".to_owned(), time::format_instant);
    for gap in &events.gaps {
        out.push_str(&format!(
            "\ngap from {} to {}, noticed {}: the journal did not keep these events; exports fill it",
            instant(gap.from),
            instant(gap.until),
            time::format_instant(gap.noticed_at)
        ));
    }
    if events.gone > 0 {
        out.push_str(&format!("\n{} had no contact any more", counted(events.gone, "event")));
    }
    out
}

/// Returns the position of a flow in its source, and its backlog.
fn counts(m: &MappingStatus) -> String {
    let stands = match (&m.cursor, &m.events, &m.pairs) {
        (None, Some(events), _) => events_position(events),
        (None, None, Some(_)) => "follows changes on both sides".to_owned(),
        (None, None, None) => "has not run".to_owned(),
        (Some(c), ..) => {
            let phase = match (c.phase, c.link.is_some()) {
                (Phase::Delta, _) => "follows changes",
                (Phase::Full, true) => "in a full load",
                (Phase::Full, false) => "at the start of a full load",
            };
            let full = m.full_at.map(|at| format!(", all records last read {}", time::format_instant(at))).unwrap_or_default();
            format!("{phase} (since a {} load), last moved {}{full}", c.reason, time::format_instant(c.updated_at))
        }
    };
    let b = &m.backlog;
    let mut out = row("source", &stands);
    let backlog = format!("{:>8}   {} waiting, {} of them postponed, {} in hand", b.total(), b.ready, b.delayed, b.claimed);
    out.push_str(&row("backlog", &backlog));
    for w in &b.waiting_for {
        let waiting =
            format!("{:>8} for records of `{}`, such as {}, which waits for {}", w.records, w.parent, w.example, w.example_parent);
        out.push_str(&row("", &waiting));
    }
    for note in &m.notes {
        out.push_str(&row("note", note));
    }
    out.push_str(&row("dead letters", &format!("{:>8}   {} being retried", m.dead_letters, m.retrying)));
    out.push_str(&match &m.pairs {
        Some(pairs) => row("pairs", &format!("{:>8}   {} with a record on one side only", pairs.linked, pairs.single)),
        None => row("records", &format!("{:>8}   at the target", m.ledger_rows)),
    });
    for table in &m.followed {
        let phase = match table.phase {
            Phase::Delta => "follows changes",
            Phase::Full => "is read completely",
        };
        let text = format!(
            "{} {phase}, {} for {}, last moved {}",
            table.table,
            counted(table.rows, "row"),
            counted(table.records, "record"),
            time::format_instant(table.updated_at)
        );
        out.push_str(&row("followed", &text));
    }
    if let Some(next) = m.due.next {
        let due = format!("{:>8}   to be evaluated again as time passes, the next {}", m.due.records, time::format_instant(next));
        out.push_str(&row("due", &due));
    }
    out
}

/// Its rounds, and what is to be done.
fn notes(w: &WorkflowRecord) -> String {
    let mut out = String::new();
    let last = match (w.round_began, w.round_ended) {
        (Some(began), Some(ended)) if ended >= began => {
            Some(format!("last from {} to {}", time::format_instant(began), time::format_instant(ended)))
        }
        (Some(began), _) if w.state == WorkflowState::Running => Some(format!("since {}", time::format_instant(began))),
        (Some(began), _) => Some(format!("last from {}, not ended", time::format_instant(began))),
        (None, _) => None,
    };
    let next = w.next_round.map(|at| format!("next {}", time::format_instant(at)));
    let rounds: Vec<String> = last.into_iter().chain(next).collect();
    if !rounds.is_empty() {
        out.push_str(&row("rounds", &rounds.join(", ")));
    }
    if w.state == WorkflowState::Failed && w.next_round.is_some() {
        out.push_str(&row("", &format!("`d365map start {}` tries at once", w.name)));
    }
    if let (Some(error), Some(at)) = (&w.last_error, w.error_at)
        && w.reason.as_ref() != Some(error)
    {
        out.push_str(&row("last error", &format!("{}: {error}", time::format_instant(at))));
    }
    if w.replay {
        out.push_str(&row("replay", "asked for: the next start reads all records again"));
    }
    if let Some(due) = &w.restart_due {
        let (name, option) = (&w.name, if w.state == WorkflowState::Running { " --restart" } else { "" });
        out.push_str(&row("RESTART DUE", &format!("{due}; `d365map start {name}{option}` takes it up")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Backlog, Cursor, DueStatus, Reason, RunKind, RunRecord, Totals, Waiting};
    use crate::time::{Instant, parse_instant};

    fn at(time: &str) -> Instant {
        parse_instant(&format!("2026-03-02T{time}Z")).unwrap_or_default()
    }

    fn record(name: &str, state: WorkflowState) -> WorkflowRecord {
        WorkflowRecord {
            name: name.to_owned(),
            wish: Wish::Run,
            request: 0,
            replay: false,
            state,
            since: at("08:00:00"),
            reason: None,
            restart_due: None,
            round_began: None,
            round_ended: None,
            next_round: None,
            last_error: None,
            error_at: None,
        }
    }

    fn mapping(name: &str, backlog: Backlog) -> MappingStatus {
        let cursor = Cursor {
            phase: Phase::Delta,
            reason: Reason::First,
            link: Some("x".to_owned()),
            generation: 1,
            plan_fingerprint: "p".to_owned(),
            updated_at: at("09:59:58"),
        };
        MappingStatus {
            mapping: name.to_owned(),
            cursor: Some(cursor),
            backlog,
            dead_letters: 3,
            retrying: 1,
            full_at: Some(at("02:00:00")),
            due: DueStatus { records: 12, next: Some(at("23:00:00")) },
            ledger_rows: 100_000,
            totals: Totals::default(),
            events: None,
            followed: Vec::new(),
            pairs: None,
            exports: None,
            notes: Vec::new(),
        }
    }

    fn status() -> Status {
        let waiting =
            Waiting { parent: "accounts".to_owned(), records: 2, example: "child".to_owned(), example_parent: "parent".to_owned() };
        let backlog = Backlog {
            ready: 7,
            delayed: 3,
            waiting_for_parents: 2,
            waiting_for: vec![waiting],
            claimed: 8,
            oldest: Some(at("09:00:00")),
            next_due: None,
        };
        let run = RunRecord {
            id: serde_json::from_str("7").expect("a number"),
            kind: RunKind::Watch,
            mappings: vec!["contacts".to_owned()],
            started_at: at("08:00:00"),
            ended_at: None,
            outcome: None,
            counters: serde_json::Value::Null,
            pid: 4711,
            host: "runner".to_owned(),
        };
        Status {
            mappings: vec![mapping("accounts", Backlog::default()), mapping("contacts", backlog)],
            workflows: vec![
                WorkflowRecord {
                    wish: Wish::Stop,
                    reason: Some("stopped by hand; what was in flight is finished".to_owned()),
                    ..record("accounts", WorkflowState::Stopped)
                },
                WorkflowRecord {
                    round_began: Some(at("09:59:55")),
                    round_ended: Some(at("09:59:59")),
                    next_round: Some(at("10:00:59")),
                    last_error: Some("Campaign has failed 25 times in a row".to_owned()),
                    error_at: Some(at("08:30:00")),
                    restart_due: Some("its mapping has changed".to_owned()),
                    replay: true,
                    ..record("contacts", WorkflowState::Running)
                },
                WorkflowRecord {
                    reason: Some("waits for the first round of `contacts`".to_owned()),
                    ..record("contacts.optout", WorkflowState::Starting)
                },
                WorkflowRecord {
                    reason: Some("the journal does not answer".to_owned()),
                    last_error: Some("the journal does not answer".to_owned()),
                    error_at: Some(at("09:59:59")),
                    round_began: Some(at("09:59:58")),
                    round_ended: Some(at("09:59:59")),
                    next_round: Some(at("10:04:59")),
                    ..record("email", WorkflowState::Failed)
                },
            ],
            last_run: Some(run),
        }
    }

    #[test]
    fn each_workflow_shows_its_state_its_backlog_its_rounds_and_what_is_to_be_done() {
        let holder = Holder { pid: Some(4711), host: Some("runner".to_owned()), started_at: Some(at("08:00:00")), trouble: None };
        insta::assert_snapshot!(describe(&status(), Some(&holder)));
    }

    #[test]
    fn for_machines_there_are_the_same_words() {
        insta::assert_json_snapshot!(serde_json::json!({"version": 1, "process": null, "status": status()}));
    }
}
