//! The exports of opt-out changes on Campaign's SFTP server: they tell when each attribute was changed.
//!
//! Source: the integration's documentation: Campaign's changes are exported once a day by a workflow to `d365_loads/exports`; if that
//! workflow stops, they are missed. Here profiles are read as well, so nothing is missed; what is lost is the exact time.

use std::sync::Arc;

use super::Shared;
use super::profiles::contact_of;
use crate::connect::sftp::{Batch, Export, Files, OptOutChange, OptOutColumns, Sftp, SftpError, freshness};
use crate::engine::events::{Problem, RunEvent};
use crate::run::RunError;
use crate::run::exports::{Skipped, consumed};
use crate::store::{ExportMark, Fate, Mark, Sightings};

/// Lines of an export that are stored at once.
const LINES: usize = 1000;

/// Reads what is new on the server, if there is one and the project says which files to read.
pub(super) async fn read(shared: &Arc<Shared>) -> Result<(), RunError> {
    let services = &shared.context.services;
    let (Some(sftp), Some(files)) = (&services.exports, &services.files.opt_outs) else { return Ok(()) };
    let consumed = consumed(shared.context.stores.cursors.exports(&shared.name).await?);
    let exports = tokio::select! {
        exports = sftp.settled(&files.pattern, &consumed) => exports?,
        () = shared.context.stop.cancelled() => return Ok(()),
    };
    let mut skipped = Skipped::default();
    for export in exports {
        if shared.stopped() {
            return Ok(());
        }
        let read = match file(shared, sftp, files, &export).await {
            // Another file under the same name: from its beginning.
            Err(RunError::Sftp(SftpError::Replaced { .. })) if export.from.is_some() => {
                file(shared, sftp, files, &Export { from: None, ..export.clone() }).await
            }
            other => other,
        };
        match read {
            Err(RunError::Sftp(error)) if error.is_of_the_file() => skipped.add(&shared.context, &shared.name, &export.file.name, &error),
            other => other?,
        }
    }
    if shared.stopped() {
        return Ok(());
    }
    let present = sftp.exports().await?;
    let names: Vec<String> = present.iter().map(|file| file.name.clone()).collect();
    shared.context.stores.cursors.keep_exports(&shared.name, &names).await?;
    let ours: Vec<_> = present.into_iter().filter(|file| files.fits(&file.name)).collect();
    let warning = freshness(&ours, shared.context.now(), shared.context.options.optouts.exports_stale_after).warning();
    if let Some(warning) = &warning {
        tracing::warn!(flow = shared.name, "{warning}");
    }
    shared.optouts().warn_of_exports(&shared.name, warning.as_deref()).await?;
    skipped.note(&shared.context, &shared.name).await
}

/// Reads what is new in a file, or as much of it as there is time for.
async fn file(shared: &Arc<Shared>, sftp: &Sftp, files: &Files<OptOutColumns>, export: &Export) -> Result<(), RunError> {
    let mut reader = sftp.read::<OptOutChange>(export, files.format.clone(), files.columns.clone()).await?;
    loop {
        if shared.stopped() {
            return Ok(());
        }
        let batch = reader.next_batch(LINES).await?;
        let over = batch.is_none();
        let position = batch.as_ref().map_or_else(|| reader.position(), |b| b.position.clone());
        let mark = ExportMark {
            name: export.file.name.clone(),
            size: export.file.size,
            modified: export.file.modified,
            // Numbers and a digest: this cannot fail.
            position: serde_json::to_string(&position).unwrap_or_default(),
        };
        let sights = batch.map_or_else(Vec::new, |batch| of_contacts(shared, &export.file.name, batch));
        let (rule, now) = (shared.rule, shared.context.now());
        let sightings = Sightings::new(sights, move |known, change| {
            let Some(mut person) = known else { return Fate::Leave };
            if !rule.exported(&mut person, super::flag(change.attribute), change.value, change.at, now) {
                return Fate::Leave;
            }
            let due = rule.is_due(&person);
            Fate::Keep { person: Box::new(person), due }
        });
        let outcome = shared.optouts().store_optouts(&shared.name, sightings, Mark::Export(mark)).await?;
        shared.context.emit(RunEvent::Read(outcome.records));
        shared.context.emit(RunEvent::Unchanged(outcome.unchanged));
        if over {
            return Ok(());
        }
    }
}

/// The changes of profiles that belong to contacts; lines that cannot be read are reported.
fn of_contacts(shared: &Shared, file: &str, batch: Batch<OptOutChange>) -> Vec<(String, OptOutChange)> {
    for bad in &batch.bad {
        tracing::warn!(flow = shared.name, "an export has a line that cannot be read: {bad}");
        shared.context.emit(RunEvent::Problem(Problem {
            place: &format!("{}:{}", bad.file, bad.line),
            field: "",
            code: "D906",
            message: &bad.problem,
            record: file,
        }));
        shared.context.emit(RunEvent::Rejected(1));
    }
    // Profiles whose key is not a contact's id do not belong to the integration.
    batch.records.into_iter().filter_map(|(_, change)| Some((contact_of(&change.external_id)?, change))).collect()
}
