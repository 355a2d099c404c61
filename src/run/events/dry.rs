//! A dry run of events: what would be made, found out without writing anything and without moving a mark.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::event::{Event, Passed};
use crate::connect::Trail;
use crate::connect::journal::{self, Reading};
use crate::connect::sftp::{DeliveryLog, Export, ExportReader, Files, Record, Sftp, SftpError, TrackingLog};
use crate::count::counted;
use crate::engine::events::Note;
use crate::plan::{EventFlow, ExecutionPlan};
use crate::run::exports::consumed;
use crate::run::summary::words;
use crate::run::workflow::{Kind, Workflow};
use crate::run::{Options, RunError, Services};
use crate::store::{NewEvent, Recognition, Stores};

/// What a run would do in one flow of events.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryEvents {
    /// The block.
    pub flow: String,
    /// Events read.
    pub read: u64,
    /// Activities that would be made, by type.
    pub create: BTreeMap<&'static str, u64>,
    /// Stored before, or read twice.
    pub known: u64,
    /// Of types that are not carried.
    pub filtered_out: u64,
    /// Of profiles that are not the integration's.
    pub foreign: u64,
    /// Of persons who were forgotten.
    pub forgotten: u64,
    /// Cannot be read.
    pub rejected: u64,
    /// Events of earlier runs that still wait and would be written too.
    pub waiting: u64,
    /// The journal does not keep the last position any more.
    pub gap: bool,
}

struct Dry<'a> {
    flow: &'a EventFlow,
    /// The flow's name in the state.
    name: &'a str,
    stores: &'a Stores,
    options: &'a Options,
    stop: &'a CancellationToken,
    found: DryEvents,
    /// What tells the events of this run apart.
    met: HashSet<String>,
}

/// Finds out what a run would make. `known` says under which names the state has the workflows.
pub(in crate::run) async fn dry_run(
    plan: &ExecutionPlan,
    flows: &[Workflow],
    services: &Services,
    stores: &Stores,
    known: &Recognition,
    options: &Options,
    stop: &CancellationToken,
) -> Result<Vec<DryEvents>, RunError> {
    let mut all = Vec::new();
    for workflow in flows.iter().filter(|w| w.kind == Kind::Events) {
        let flow = &plan.events[workflow.index];
        let name = known.name_in_state(&flow.name);
        let found = DryEvents { flow: flow.name.clone(), waiting: stores.outbox.backlog_size(name).await?, ..DryEvents::default() };
        let mut dry = Dry { flow, name, stores, options, stop, found, met: HashSet::new() };
        dry.journal(services).await?;
        if let Some(sftp) = &services.exports {
            if let Some(files) = &services.files.deliveries {
                dry.exports::<DeliveryLog>(sftp, files, Event::of_delivery).await?;
            }
            if let Some(files) = &services.files.tracking {
                dry.exports::<TrackingLog>(sftp, files, Event::of_tracking).await?;
            }
        }
        all.push(dry.found);
    }
    Ok(all)
}

impl Dry<'_> {
    async fn journal(&mut self, services: &Services) -> Result<(), RunError> {
        let Some(journal) = &services.journal else { return Ok(()) };
        let mut link = self.stores.events.journal_cursor(self.name).await?.link;
        let mut trail = Trail::default();
        while !self.stop.is_cancelled() {
            match journal.read(link.as_deref(), self.options.page_size).await? {
                Reading::Events { entries, .. } if entries.is_empty() => return Ok(()),
                Reading::Events { entries, next } => {
                    journal::follow(&mut trail, link.as_deref(), &next, &entries).map_err(RunError::Journal)?;
                    let read = entries.len() as u64;
                    let good: Vec<_> = entries.into_iter().filter_map(|e| e.event.ok()).collect();
                    self.found.rejected += read - good.len() as u64;
                    self.found.read += read;
                    self.note(good.into_iter().map(Event::of_journal).collect()).await?;
                    link = Some(next);
                }
                Reading::Quiet { .. } => return Ok(()),
                Reading::Gone if self.found.gap => return Ok(()),
                Reading::Gone => {
                    self.found.gap = true;
                    (link, trail) = (None, Trail::default());
                }
            }
        }
        Ok(())
    }

    async fn exports<R: Record>(
        &mut self,
        sftp: &Sftp,
        files: &Files<R::Columns>,
        event_of: fn(R) -> Result<Event, Passed>,
    ) -> Result<(), RunError> {
        let marks = self.stores.cursors.exports(self.name).await?;
        for export in sftp.settled(&files.pattern, &consumed(marks)).await? {
            let open = async |export: &Export| sftp.read::<R>(export, files.format.clone(), files.columns.clone()).await;
            let opened = match open(&export).await {
                Err(SftpError::Replaced { .. }) => open(&Export { from: None, ..export.clone() }).await,
                other => other,
            };
            let read = match opened {
                Ok(reader) => self.export(reader, event_of).await,
                Err(error) => Err(error.into()),
            };
            match read {
                Err(RunError::Sftp(error)) if error.is_of_the_file() => {
                    tracing::warn!(file = export.file.name, %error, "an export cannot be read and is skipped; the other files are read");
                    self.found.rejected += 1;
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn export<R: Record>(&mut self, mut reader: ExportReader<R>, event_of: fn(R) -> Result<Event, Passed>) -> Result<(), RunError> {
        while !self.stop.is_cancelled()
            && let Some(batch) = reader.next_batch(self.options.page_size as usize).await?
        {
            self.found.read += (batch.records.len() + batch.bad.len()) as u64;
            self.found.rejected += batch.bad.len() as u64;
            self.note(batch.records.into_iter().map(|(_, record)| event_of(record)).collect()).await?;
        }
        Ok(())
    }

    async fn note(&mut self, events: Vec<Result<Event, Passed>>) -> Result<(), RunError> {
        let origin = self.stores.control.origin(self.name).await?;
        let contacts = events.iter().flatten().map(|event| event.contact.to_string()).collect();
        let forgotten = self.stores.privacy.forgotten_among(contacts).await?;
        let mut new: Vec<(&'static str, NewEvent)> = Vec::new();
        for event in events {
            match event {
                Ok(event) if self.flow.types.contains(&event.kind) => {
                    if forgotten.contains(&event.contact.to_string()) {
                        self.found.forgotten += 1;
                    } else {
                        new.push((event.kind.name(), event.to_new(&origin)));
                    }
                }
                Ok(_) | Err(Passed::Type) => self.found.filtered_out += 1,
                Err(Passed::Foreign) => self.found.foreign += 1,
                Err(Passed::Time) => self.found.rejected += 1,
            }
        }
        let list: Vec<NewEvent> = new.iter().map(|(_, event)| event.clone()).collect();
        let unseen = self.stores.events.unseen_events(self.name, list).await?;
        for ((kind, event), unseen) in new.into_iter().zip(unseen) {
            // As the state does: an id's own mark, or that of the values for an event without one.
            let values = format!("values\u{1f}{}", event.value_key);
            let without_log = format!("alone\u{1f}{}", event.value_key);
            let met = match &event.log_key {
                Some(log) => !self.met.insert(format!("log\u{1f}{log}")) || self.met.remove(&without_log),
                None => self.met.contains(&values) || !self.met.insert(without_log),
            };
            self.met.insert(values);
            if unseen && !met {
                *self.found.create.entry(kind).or_default() += 1;
            } else {
                self.found.known += 1;
            }
        }
        Ok(())
    }
}

impl DryEvents {
    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{}: would read {}", self.flow, counted(self.read, "event"));
        for (kind, count) in &self.create {
            let _ = writeln!(out, "  + {kind:<10} {count:>8}");
        }
        let others = [
            (self.known, "stored before"),
            (self.filtered_out, "of types that are not carried"),
            (self.foreign, words(Note::ForeignProfiles)),
            (self.forgotten, words(Note::ForgottenPersons)),
            (self.rejected, "cannot be read, or have a time that Dynamics 365 cannot hold"),
            (self.waiting, "events of earlier runs that wait"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            let _ = writeln!(out, "  {count:>21}   {what}");
        }
        if self.gap {
            let _ = writeln!(
                out,
                "  the journal does not keep the last position any more: events since then come from exports, if they have them"
            );
        }
        out
    }
}
