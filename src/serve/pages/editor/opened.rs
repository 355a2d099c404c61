//! A mapping file that is edited, with those that it is compiled with.

use std::path::Path;

use crate::app::AppError;
use crate::app::files::{self, FilesError, Group};
use crate::check::Compiled;
use crate::diagnostics::FileId;
use crate::plan::fingerprint;
use crate::project::Project;
use crate::serve::answer::Failure;
use crate::syntax;

/// The largest file that can be edited: as a form it must not be larger than what the server accepts, three bytes for each at worst.
const MOST_BYTES: usize = 600 * 1024;

/// A mapping file as it is on disk.
pub(super) struct Opened {
    /// Its name: the path from the project's folder, with `/`.
    pub(super) name: String,
    /// Its text, with `\n` at the end of lines.
    pub(super) text: String,
    /// Tells versions of the file apart.
    pub(super) mark: String,
    /// Whether its lines end with `\r\n`.
    crlf: bool,
    /// All files of the project.
    pub(super) group: Group,
    /// Its number in the group.
    pub(super) index: usize,
}

/// What a save came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// The file has another text now.
    Written,
    /// It had this text.
    Same,
}

impl Opened {
    /// Reads a file of a project. Only a name that is in the list of the project's mapping files is one: what else a name says, such as
    /// `..`, leads nowhere.
    pub(super) fn on_disk(project: &Project, name: &str) -> Result<Opened, Failure> {
        let group = files::of_project(project.clone()).map_err(AppError::from)?;
        let missing = || Failure::not_found(format!("the project has no mapping file `{name}`"));
        let index = group.inputs.iter().position(|input| input.name == name).ok_or_else(missing)?;
        let bytes = group.inputs[index].bytes.clone();
        if bytes.len() > MOST_BYTES {
            return Err(Failure::bad_request(format!("`{name}` is larger than {} KiB, and cannot be edited here", MOST_BYTES / 1024)));
        }
        let mark = fingerprint(&bytes);
        let (text, fault) = syntax::decode(bytes);
        if fault.is_some() {
            return Err(Failure::bad_request(format!("`{name}` is not UTF-8 text, and cannot be edited here")));
        }
        let crlf = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
        Ok(Opened { name: name.to_owned(), text: text.replace("\r\n", "\n"), mark, crlf, group, index })
    }

    /// The number of the file in what is compiled.
    pub(super) fn id(&self) -> FileId {
        FileId(u32::try_from(self.index).unwrap_or(u32::MAX))
    }

    /// Compiles the project with another text of the file.
    pub(super) fn compile(&self, text: &str) -> Result<Compiled, AppError> {
        let mut group = self.group.clone();
        group.replace(self.index, text.as_bytes().to_vec())?;
        Ok(group.compile())
    }

    /// Writes the file as a whole, with the line ends that it has.
    pub(super) fn write(&self, text: &str) -> Result<Saved, FilesError> {
        if text == self.text {
            return Ok(Saved::Same);
        }
        let path: &Path = &self.group.paths[self.index];
        let text = if self.crlf { text.replace('\n', "\r\n") } else { text.to_owned() };
        let io = |source| FilesError::Io { path: path.to_path_buf(), source };
        if text.len() > MOST_BYTES {
            let kib = MOST_BYTES / 1024;
            return Err(io(std::io::Error::other(format!("the text is larger than {kib} KiB; split it into two files"))));
        }
        files::overwrite(path, text.as_bytes()).map_err(io)?;
        Ok(Saved::Written)
    }
}
