//! The files that are compiled together, as an editor sees them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::Uri;

use super::position::{Encoding, Lines};
use crate::check::{self, Compiled, Input, TableFiles};
use crate::diagnostics::{Diagnostics, FileId, Levels};
use crate::schema::Catalogue;
use crate::syntax::{self, ast::File};

/// One file of a group as the editor sees it.
pub struct Source {
    pub uri: Uri,
    pub text: Arc<str>,
    /// Where its lines begin.
    pub lines: Lines,
    /// Parsed with the group's number of the file, without replacing constants: as it is written.
    pub tree: File,
}

/// The files that are compiled together, and what came of it.
pub struct Group {
    pub files: Vec<Source>,
    pub compiled: Compiled,
    pub catalogue: Catalogue,
    /// Why the project or its schemas cannot be read; the built-in tables are used then.
    pub problem: Option<String>,
}

impl Group {
    /// Compiles files: each with its address, its name and its text.
    pub fn of(
        texts: impl Iterator<Item = (Uri, String, String)>,
        tables: &TableFiles,
        catalogue: Catalogue,
        levels: &Levels,
        encoding: Encoding,
    ) -> Group {
        let (mut files, mut inputs) = (Vec::new(), Vec::new());
        for (i, (uri, name, text)) in texts.enumerate() {
            let mut diagnostics = Diagnostics::default();
            let id = FileId(u32::try_from(i).unwrap_or(u32::MAX));
            let tree = if text.len() <= syntax::MAX_FILE_BYTES { syntax::parse(id, &text, &mut diagnostics) } else { File::default() };
            inputs.push(Input { name, bytes: text.clone().into_bytes() });
            let text: Arc<str> = text.into();
            files.push(Source { uri, lines: Lines::new(text.clone(), encoding), text, tree });
        }
        let compiled = check::compile_project(inputs, tables, &catalogue, levels);
        Group { files, compiled, catalogue, problem: None }
    }

    /// The number of a file.
    pub fn index(&self, uri: &Uri) -> Option<usize> {
        self.files.iter().position(|f| f.uri == *uri)
    }
}

/// The path of an address; `None` for documents that are not files.
pub fn path_of(uri: &Uri) -> Option<PathBuf> {
    url::Url::parse(uri.as_str()).ok()?.to_file_path().ok()
}

/// The address of a path, as the editor writes it where it has the file open.
pub fn uri_of(path: &Path) -> Option<Uri> {
    url::Url::from_file_path(path).ok()?.as_str().parse().ok()
}
