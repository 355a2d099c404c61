//! The sources of events: the journal and the exported logs, each read on from its mark; what they give goes into the state with the
//! next mark, in one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::Shared;
use super::event::{Event, Passed, TIME};
use crate::connect::Trail;
use crate::connect::journal::{self, Entry, Reading};
use crate::connect::sftp::{BadLine, DeliveryLog, Export, Files, Record, Sftp, SftpError, TrackingLog};
use crate::engine::events::{Note, Problem, RunEvent};
use crate::run::exports::{Skipped, UNREADABLE, consumed};
use crate::run::{Pace, RunError};
use crate::store::{EventMark, ExportMark, NewEvent};
use crate::time::{self, Instant};

/// The journal is asked again after this at the latest, whatever it says: an odd number would stop the flow for years.
const LONGEST_QUIET: Duration = Duration::from_secs(60 * 60);

/// Reads all sources. One that fails does not keep the others from being read; the first failure counts.
pub(super) async fn read(shared: &Shared) -> Result<(), RunError> {
    let journal = journal(shared).await;
    let exports = exports(shared).await;
    journal.and(exports)
}

/// Waits until the backlog has room for more; `false` where the run is to stop.
async fn room(shared: &Shared) -> Result<bool, RunError> {
    loop {
        if shared.context.stop.is_cancelled() {
            return Ok(false);
        }
        let backlog = shared.context.stores.outbox.backlog_size(&shared.flow().name).await?;
        shared.context.note_backlog(backlog);
        if backlog.saturating_sub(shared.aside) < shared.context.options.backlog_high_water {
            return Ok(true);
        }
        shared.signals.room(&shared.context.options.clock, Duration::from_millis(500), &shared.context.stop).await;
    }
}

async fn journal(shared: &Shared) -> Result<(), RunError> {
    let Some(journal) = &shared.context.services.journal else { return Ok(()) };
    let cursor = shared.context.stores.events.journal_cursor(&shared.flow().name).await?;
    let watching = matches!(shared.context.options.pace, Pace::Watch { .. });
    let now = shared.context.now();
    // A later time than the longest rest was written while the clock ran ahead.
    let latest = now + TimeDelta::from_std(LONGEST_QUIET).unwrap_or_default();
    if watching && cursor.quiet_until.is_some_and(|at| at > now && at <= latest) {
        return Ok(());
    }
    let mut link = cursor.link;
    let mut restarted = false;
    let mut trail = Trail::default();
    while room(shared).await? {
        match journal.read(link.as_deref(), shared.context.options.page_size).await? {
            // Nothing newer, but without 204; the link still leads on, and the old one becomes too old.
            Reading::Events { entries, next } if entries.is_empty() => {
                take(shared, Vec::new(), EventMark::Journal { link: Some(next), span: None, quiet_until: None }).await?;
                return Ok(());
            }
            Reading::Events { entries, next } => {
                // What a page brought is kept either way; a link that forms a cycle is not.
                let ends = journal::follow(&mut trail, link.as_deref(), &next, &entries);
                let (events, span) = of_entries(shared, entries);
                let kept = if ends.is_ok() { Some(next) } else { link };
                take(shared, events, EventMark::Journal { link: kept.clone(), span, quiet_until: None }).await?;
                ends.map_err(RunError::Journal)?;
                link = kept;
            }
            Reading::Quiet { next, retry_after } => {
                let quiet_until = TimeDelta::from_std(retry_after.min(LONGEST_QUIET)).ok().map(|wait| shared.context.now() + wait);
                take(shared, Vec::new(), EventMark::Journal { link: next, span: None, quiet_until }).await?;
                return Ok(());
            }
            // A service that says so of its oldest position as well would be asked forever.
            Reading::Gone if restarted => return Ok(()),
            Reading::Gone => {
                let gap = shared.context.stores.events.note_event_gap(&shared.flow().name).await?;
                (link, restarted, trail) = (None, true, Trail::default());
                // Told when it was noticed first.
                let Some(gap) = gap else { continue };
                let from = gap.from.map_or_else(|| "an unknown time".to_owned(), time::format_instant);
                tracing::warn!(
                    flow = shared.flow().name,
                    from,
                    "the journal does not keep the last position any more: events since then may be missing, unless exports have them; reading goes on with the oldest event"
                );
                shared.context.emit(RunEvent::Noted(Note::JournalGaps, 1));
            }
        }
    }
    Ok(())
}

/// The events of a page, with the earliest and the latest of their times; those that are not carried are counted.
fn of_entries(shared: &Shared, entries: Vec<Entry>) -> (Vec<Event>, Option<(Instant, Instant)>) {
    let mut span: Option<(Instant, Instant)> = None;
    let mut events = Vec::new();
    for entry in entries {
        shared.context.emit(RunEvent::Read(1));
        match entry.event {
            Ok(event) => {
                let (first, last) = span.unwrap_or((event.at, event.at));
                span = Some((first.min(event.at), last.max(event.at)));
                events.extend(carried(shared, Event::of_journal(event), "journal", &entry.position));
            }
            Err(problem) => {
                shared.context.emit(RunEvent::Rejected(1));
                tracing::warn!(position = entry.position, %problem, "an event of the journal cannot be read");
                shared.context.emit(RunEvent::Problem(Problem {
                    place: "journal",
                    field: "",
                    code: "unreadable",
                    message: &problem.to_string(),
                    record: &entry.position,
                }));
            }
        }
    }
    (events, span)
}

/// Returns the event if it is carried, and counts it otherwise. `source` and `place` say where it was read, for the report of a rejected one.
fn carried(shared: &Shared, event: Result<Event, Passed>, source: &str, place: &str) -> Option<Event> {
    let events = &shared.context.events;
    match event {
        Ok(event) if shared.flow().types.contains(&event.kind) => Some(event),
        Ok(_) | Err(Passed::Type) => {
            events.emit(RunEvent::FilteredOut(1));
            None
        }
        Err(Passed::Foreign) => {
            events.emit(RunEvent::Noted(Note::ForeignProfiles, 1));
            None
        }
        Err(Passed::Time) => {
            events.emit(RunEvent::Rejected(1));
            tracing::warn!(source, place, problem = TIME, "an event cannot be written");
            events.emit(RunEvent::Problem(Problem { place: source, field: "", code: "time", message: TIME, record: place }));
            None
        }
    }
}

/// Puts events into the state, with the mark of their source.
pub(super) async fn take(shared: &Shared, events: Vec<Event>, mark: EventMark) -> Result<u64, RunError> {
    let (stores, name) = (&shared.context.stores, &shared.flow().name);
    let pages = u64::from(!events.is_empty());
    let origin = stores.control.origin(name).await?;
    let events: Vec<NewEvent> = events.iter().map(|e| e.to_new(&origin)).collect();
    let taken = stores.events.take_events(name, events, mark).await?;
    let events = &shared.context.events;
    events.emit(RunEvent::PagesRead(pages));
    events.emit(RunEvent::Unchanged(taken.known));
    events.emit(RunEvent::Noted(Note::ForgottenPersons, taken.forgotten));
    shared.context.note_backlog(taken.backlog);
    if taken.new > 0 {
        shared.signals.queued();
    }
    Ok(taken.new)
}

async fn exports(shared: &Shared) -> Result<(), RunError> {
    let services = &shared.context.services;
    let Some(sftp) = &services.exports else { return Ok(()) };
    if services.files.deliveries.is_none() && services.files.tracking.is_none() {
        return Ok(());
    }
    // What the server has no more need not be remembered.
    let names: Vec<String> = sftp.exports().await?.into_iter().map(|file| file.name).collect();
    shared.context.stores.cursors.keep_exports(&shared.flow().name, &names).await?;
    let mut skipped = Skipped::default();
    if let Some(files) = &services.files.deliveries {
        each::<DeliveryLog>(shared, sftp, files, Event::of_delivery, &mut skipped).await?;
    }
    if let Some(files) = &services.files.tracking {
        each::<TrackingLog>(shared, sftp, files, Event::of_tracking, &mut skipped).await?;
    }
    skipped.note(&shared.context, &shared.flow().name).await
}

async fn each<R: Record>(
    shared: &Shared,
    sftp: &Sftp,
    files: &Files<R::Columns>,
    event_of: fn(R) -> Result<Event, Passed>,
    skipped: &mut Skipped,
) -> Result<(), RunError> {
    let marks = shared.context.stores.cursors.exports(&shared.flow().name).await?;
    for export in sftp.settled(&files.pattern, &consumed(marks)).await? {
        let read = match file(shared, sftp, files, &export, event_of).await {
            // Another file under the same name: from its beginning.
            Err(RunError::Sftp(SftpError::Replaced { .. })) => {
                file(shared, sftp, files, &Export { from: None, ..export.clone() }, event_of).await
            }
            other => other,
        };
        match read {
            Err(RunError::Sftp(error)) if error.is_of_the_file() => {
                skipped.add(&shared.context, &shared.flow().name, &export.file.name, &error);
            }
            other => other?,
        }
    }
    Ok(())
}

async fn file<R: Record>(
    shared: &Shared,
    sftp: &Sftp,
    files: &Files<R::Columns>,
    export: &Export,
    event_of: fn(R) -> Result<Event, Passed>,
) -> Result<(), RunError> {
    let mut reader = sftp.read::<R>(export, files.format.clone(), files.columns.clone()).await?;
    let most = shared.context.options.page_size as usize;
    while room(shared).await? {
        let batch = reader.next_batch(most).await?;
        let ended = batch.is_none();
        let (records, bad, position) = match batch {
            Some(batch) => (batch.records, batch.bad, batch.position),
            None => (Vec::new(), Vec::new(), reader.position()),
        };
        shared.context.emit(RunEvent::Read(records.len() as u64 + bad.len() as u64));
        let source = export.file.name.as_str();
        let events =
            records.into_iter().filter_map(|(line, record)| carried(shared, event_of(record), source, &format!("line {line}"))).collect();
        unreadable(shared, &bad);
        let mark = ExportMark {
            name: export.file.name.clone(),
            size: export.file.size,
            modified: export.file.modified,
            position: serde_json::to_string(&position).unwrap_or_default(),
        };
        take(shared, events, EventMark::Export(mark)).await?;
        if ended {
            return Ok(());
        }
    }
    Ok(())
}

fn unreadable(shared: &Shared, bad: &[BadLine]) {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for line in bad {
        shared.context.emit(RunEvent::Rejected(1));
        *kinds.entry(&line.problem).or_default() += 1;
        shared.context.emit(RunEvent::Problem(Problem {
            place: &line.file,
            field: "",
            code: UNREADABLE,
            message: &line.problem,
            record: &format!("line {}", line.line),
        }));
    }
    for (problem, count) in kinds {
        tracing::warn!(count, problem, file = bad.first().map(|b| b.file.as_str()), "lines of an export cannot be read");
    }
}
