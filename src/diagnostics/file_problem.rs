//! What is wrong in a file that people write: the place, the cause, the remedy.
//!
//! Used by the project file and by schema files alike; the command line renders it with everything else.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One fault in one file.
///
/// `text` is what may be shown of the file: for a project file the values of secrets are masked in it, byte for byte,
/// so that `span` fits both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// Its text, for the excerpt; empty where the file could not be read.
    pub text: Arc<str>,
    /// The bytes of `text` that are meant.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What is wrong with just the marked place; may be empty.
    pub label: String,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl FileProblem {
    /// A fault at a place. The span is cut to the text, so that it can always be shown.
    pub fn new(path: &Path, text: &Arc<str>, span: Range<usize>, message: impl Into<String>) -> FileProblem {
        let floor = |at: usize| {
            let mut at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        let end = floor(span.end).max(start);
        FileProblem {
            path: path.to_path_buf(),
            text: text.clone(),
            span: start..end,
            message: message.into(),
            label: String::new(),
            help: None,
        }
    }

    /// A file that could not be read at all.
    pub fn unreadable(path: &Path, cause: impl fmt::Display, help: Option<&str>) -> FileProblem {
        let problem = FileProblem::new(path, &Arc::from(""), 0..0, format!("the file cannot be read: {cause}"));
        FileProblem { help: help.map(str::to_owned), ..problem }
    }

    /// Says what is wrong with the marked place.
    pub fn label(self, label: impl Into<String>) -> FileProblem {
        FileProblem { label: label.into(), ..self }
    }

    /// Says what to do instead.
    pub fn help(self, help: impl Into<String>) -> FileProblem {
        FileProblem { help: Some(help.into()), ..self }
    }

    /// Line and column of the beginning of the marked place, both from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.text.get(..self.span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if !self.text.is_empty() {
            let (line, column) = self.line_column();
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.label.is_empty() {
            write!(f, " ({})", self.label)?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FileProblem {}
