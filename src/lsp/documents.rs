//! What editors have open, over what lies on disk: the files of one project or folder are compiled together.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types::Uri;

use crate::app::files::{self, FilesError};
use crate::assist::Encoding;
pub(super) use crate::assist::{Group, Source};
use crate::assist::{path_of, uri_of};
use crate::check::TableFiles;
use crate::project::Project;
use crate::schema::Catalogue;

/// Documents by their addresses.
pub(super) struct Documents {
    open: HashMap<String, Arc<str>>,
    pub(super) encoding: Encoding,
}

impl Documents {
    pub(super) fn new(encoding: Encoding) -> Documents {
        Documents { open: HashMap::new(), encoding }
    }

    pub(super) fn set(&mut self, uri: &Uri, text: String) {
        self.open.insert(uri.as_str().to_owned(), text.into());
    }

    pub(super) fn close(&mut self, uri: &Uri) {
        self.open.remove(uri.as_str());
    }

    pub(super) fn text(&self, uri: &Uri) -> Option<Arc<str>> {
        self.open.get(uri.as_str()).cloned()
    }

    /// Every open document.
    pub(super) fn uris(&self) -> Vec<Uri> {
        self.open.keys().filter_map(|u| u.parse().ok()).collect()
    }

    /// The group that a document belongs to, compiled. A document that is not a file is a group by itself.
    pub(super) fn group(&self, uri: &Uri) -> Group {
        let mut problem = None;
        let loaded = path_of(uri).and_then(|path| match load(&path) {
            Ok(loaded) => Some(loaded),
            Err(error) => {
                problem = Some(error.to_string());
                None
            }
        });
        let root = loaded.as_ref().and_then(|group| group.project.as_ref()).map(|project| project.root.clone());
        let (mut texts, catalogue, levels, tables) = match loaded {
            Some(group) => {
                let files = group.inputs.into_iter().zip(group.paths).filter_map(|(input, path)| {
                    let address = uri_of(&std::path::absolute(&path).ok()?)?;
                    Some((address.as_str().to_owned(), (input.name, String::from_utf8_lossy(&input.bytes).into_owned())))
                });
                (files.collect::<BTreeMap<_, _>>(), group.catalogue, group.levels, group.tables)
            }
            None => (BTreeMap::new(), Catalogue::builtin().clone(), crate::diagnostics::Levels::new(), TableFiles::new()),
        };
        for (address, (_, text)) in &mut texts {
            if let Some(open) = self.open.get(address) {
                *text = open.to_string();
            }
        }
        // A document that is not on disk yet.
        if !texts.contains_key(uri.as_str())
            && let Some(text) = self.text(uri)
        {
            let within = path_of(uri).and_then(|path| Some(files::display(path.strip_prefix(root?).ok()?)));
            let name = within.unwrap_or_else(|| uri.as_str().rsplit('/').next().unwrap_or_default().to_owned());
            texts.insert(uri.as_str().to_owned(), (name, text.to_string()));
        }
        let texts = texts.into_iter().filter_map(|(address, (name, text))| Some((address.parse().ok()?, name, text)));
        Group { problem, ..Group::of(texts, &tables, catalogue, &levels, self.encoding) }
    }
}

/// The group of a file on disk: its project's, or its folder's.
fn load(path: &Path) -> Result<files::Group, FilesError> {
    let folder = path.parent().unwrap_or(path);
    match Project::find(folder, None)? {
        // The first mapping file may not be saved yet.
        Some(project) if path.starts_with(&project.mappings) => match files::of_project(project.clone()) {
            Err(FilesError::NoMappings { .. }) => files::without_files(Some(project)),
            Err(FilesError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => files::without_files(Some(project)),
            result => result,
        },
        project => {
            let beside = match std::fs::read_dir(folder) {
                Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(source) => return Err(FilesError::Io { path: folder.to_path_buf(), source }),
            };
            let beside: Vec<PathBuf> =
                beside.into_iter().filter(|p| p.extension().is_some_and(|e| e == "d365map") && p.is_file()).collect();
            if beside.is_empty() {
                return files::without_files(project);
            }
            files::of_paths(&beside, None)?.pop().ok_or_else(|| FilesError::NoMappings { path: folder.to_path_buf() })
        }
    }
}
