//! What all readers of exports share: how far each file was read, and files that are skipped because they cannot be read.

use super::{Context, RunError};
use crate::connect::sftp::{Consumed, Position, SftpError};
use crate::engine::events::{Note, Problem, RunEvent};
use crate::store::ExportMark;

/// Words for the summary.
/// The code under which a summary shows what cannot be read of an export.
pub(super) const UNREADABLE: &str = "unreadable";

/// Returns how far each file was read, in the form in which the reader expects it.
pub(super) fn consumed(marks: Vec<ExportMark>) -> Vec<Consumed> {
    // Our own JSON. If it is damaged, the file is read again, which changes nothing.
    let position = |mark: &ExportMark| serde_json::from_str::<Position>(&mark.position).ok();
    marks
        .into_iter()
        .filter_map(|mark| Some(Consumed { position: position(&mark)?, name: mark.name, size: mark.size, modified: mark.modified }))
        .collect()
}

/// The files that a round skips because they cannot be read. They keep no other file from being read.
#[derive(Debug, Default)]
pub(super) struct Skipped(Vec<(String, String)>);

impl Skipped {
    /// Counts a file that cannot be read. Warns of it once in the life of a process: the file may stay on the server for years.
    pub(super) fn add(&mut self, context: &Context, flow: &str, file: &str, error: &SftpError) {
        self.0.push((file.to_owned(), error.to_string()));
        if !context.memory.note_unreadable(file) {
            return;
        }
        tracing::warn!(flow, file, %error, "an export cannot be read and is skipped; the other files are read");
        context.emit(RunEvent::Rejected(1));
        context.emit(RunEvent::Noted(Note::UnreadableFiles, 1));
        context.emit(RunEvent::Problem(Problem {
            place: file,
            field: "",
            code: UNREADABLE,
            message: &error.to_string(),
            record: "the whole file",
        }));
    }

    /// Notes in the state which files were skipped, for `status`.
    ///
    /// # Errors
    /// [`RunError::State`].
    pub(super) async fn note(self, context: &Context, flow: &str) -> Result<(), RunError> {
        Ok(context.stores.cursors.note_skipped_exports(flow, &self.0).await?)
    }
}
