//! The services' own descriptions of their tables: fetched, compared with the files of the schema folder, written there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::editors;
use super::error::{MetadataError, PullError};
use super::{AppError, runtime, services};
use crate::disk;
use crate::project::Project;
use crate::schema::pull::{self, DataverseDocuments, Pulled};
use crate::schema::{Catalogue, Change, SchemaFolder, SystemId, Table, TableId, diff, file_of, write};

/// Where metadata documents come from: the connectors, or files in a test.
pub trait Source {
    /// Returns what the Dataverse Web API says about a table.
    ///
    /// # Errors
    ///
    /// [`MetadataError`].
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, MetadataError>;

    /// Returns `resourceType/<resource>` of Campaign.
    ///
    /// # Errors
    ///
    /// [`MetadataError`].
    fn campaign(&self, resource: &str) -> Result<Value, MetadataError>;
}

/// The services of a project. Each is connected when a table of it is asked for, so that one system's tables can be pulled
/// without credentials for the other.
struct Services {
    project: Project,
    runtime: tokio::runtime::Runtime,
}

impl Source for Services {
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, MetadataError> {
        let client = services::dataverse(&self.project, services::http(&self.project)?)?;
        let documents = self.runtime.block_on(client.entity_metadata(table))?;
        Ok(DataverseDocuments {
            definition: documents.definition,
            attributes: Value::Array(documents.attributes),
            subtypes: documents.casts.into_iter().map(|(name, list)| (name, Value::Array(list))).collect(),
            many_to_one: Value::Array(documents.many_to_one),
            keys: Value::Array(documents.keys),
            language: self.project.connections.dynamics.as_ref().and_then(|dynamics| dynamics.label_language),
            secured: documents.secured,
        })
    }

    fn campaign(&self, resource: &str) -> Result<Value, MetadataError> {
        let client = services::campaign(&self.project, services::http(&self.project)?)?;
        Ok(self.runtime.block_on(client.resource_metadata(resource))?)
    }
}

/// The services of a project.
///
/// # Errors
///
/// The runtime cannot start.
pub fn connect(project: &Project) -> Result<Box<dyn Source>, AppError> {
    Ok(Box::new(Services { project: project.clone(), runtime: runtime()? }))
}

/// What became of a table's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There was none.
    Created,
    /// It differs.
    Updated,
    /// It is the same, byte for byte.
    Unchanged,
    /// The service does not have the table; a file that describes it stays as it is.
    Missing,
}

/// The result for one table.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The table.
    pub table: TableId,
    /// Its file.
    pub path: PathBuf,
    /// What became of the file.
    pub status: Status,
    /// Against what was known before: the file, or the built-in table.
    pub changes: Vec<Change>,
    /// What could not be known.
    pub notes: Vec<String>,
}

impl Outcome {
    /// The outcome for people, with a line feed at its end.
    pub fn summary(&self, dry_run: bool, quiet: bool) -> String {
        let verb = match (self.status, dry_run) {
            (Status::Created, false) => "created",
            (Status::Updated, false) => "updated",
            (Status::Created, true) => "would create",
            (Status::Updated, true) => "would update",
            (Status::Unchanged, _) => "unchanged",
            // Also where little is wanted: nothing else says that the table was left out.
            (Status::Missing, _) => return format!("{}: not found: {}\n", self.table, self.notes.join("; ")),
        };
        let mut text = format!("{}: {verb} {}\n", self.table, self.path.display());
        if !quiet {
            for change in &self.changes {
                text.push_str(&format!("  {change}\n"));
            }
            for note in &self.notes {
                text.push_str(&format!("  note: {note}\n"));
            }
        }
        text
    }
}

/// Fetches tables and writes their files. Every table is fetched and converted before the first file is written; each file
/// is replaced as a whole. A table that the service does not have is reported among the others ([`Status::Missing`]).
///
/// # Errors
///
/// [`PullError`].
pub fn pull(
    source: &dyn Source,
    tables: &BTreeSet<TableId>,
    folder: SchemaFolder<'_>,
    force: bool,
    dry_run: bool,
) -> Result<Vec<Outcome>, PullError> {
    let mut planned = Vec::new();
    for id in tables {
        let (path, before) = before(folder, id, force)?;
        let known = before.as_ref().and_then(|(_, table)| table.clone());
        let Pulled { table, notes } = match fetch(source, id, known.as_ref()) {
            Ok(pulled) => pulled,
            Err(PullError::Source { source, .. }) if matches!(*source, MetadataError::NoSuchTable(_)) => {
                let message = source.to_string();
                let outcome = Outcome { table: id.clone(), path, status: Status::Missing, changes: Vec::new(), notes: vec![message] };
                planned.push((outcome, String::new()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = editors::table_line(folder.path, before.as_ref().map(|(text, _)| text.as_str())) + &write(&table);
        let status = match &before {
            None => Status::Created,
            Some((old, _)) if *old == text => Status::Unchanged,
            Some(_) => Status::Updated,
        };
        let known = known.or_else(|| Catalogue::builtin().get(id).map(|t| t.as_ref().clone()));
        let changes = known.map(|known| diff(&known, &table)).unwrap_or_default();
        planned.push((Outcome { table: id.clone(), path, status, changes, notes }, text));
    }
    for (outcome, text) in planned.iter().filter(|(outcome, _)| !dry_run && matches!(outcome.status, Status::Created | Status::Updated)) {
        let written = std::fs::create_dir_all(folder.path).and_then(|()| disk::write(&outcome.path, text.as_bytes(), disk::Access::Shared));
        written.map_err(|source| PullError::Io { path: outcome.path.clone(), source })?;
    }
    Ok(planned.into_iter().map(|(outcome, _)| outcome).collect())
}

/// The file that a table is to be written to, with its text and table where there is one.
#[expect(clippy::type_complexity, reason = "used once")]
fn before(folder: SchemaFolder<'_>, id: &TableId, force: bool) -> Result<(PathBuf, Option<(String, Option<Table>)>), PullError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| PullError::Io { path, source }
    };
    let (path, heading) = match file_of(folder, id).map_err(io(folder.path))? {
        Some((path, heading)) => (path, Some(heading)),
        None => (folder.path.join(format!("{id}.yaml")), None),
    };
    if heading.is_some_and(|h| h.extends) && !force {
        return Err(PullError::ByHand(path));
    }
    match disk::within(folder.root, &path).and_then(|real| disk::read_text(&real, crate::yaml::MAX_BYTES)) {
        Ok(text) => {
            let table = crate::schema::file::read(&path, &text.as_str().into()).ok();
            Ok((path, Some((text, table))))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((path, None)),
        Err(e) => Err(io(&path)(e)),
    }
}

/// Reads one table from its service. What the metadata does not tell stays as `known`, the table's file, has it; without a
/// file, as the built-in table has it.
///
/// # Errors
///
/// [`PullError`].
pub fn fetch(source: &dyn Source, id: &TableId, known: Option<&Table>) -> Result<Pulled, PullError> {
    let failed = |source| PullError::Source { table: id.clone(), source: Box::new(source) };
    let builtin = Catalogue::builtin().get(id).map(AsRef::as_ref);
    let mut pulled = match id.system {
        SystemId::D365 => pull::dataverse(&source.dataverse(&id.name).map_err(failed)?)?,
        SystemId::Campaign => pull::campaign(&id.name, &source.campaign(&id.name).map_err(failed)?, builtin)?,
        _ => return Err(PullError::NoMetadata(id.clone())),
    };
    if let Some(known) = known {
        pull::keep_what_metadata_lacks(&mut pulled.table, known);
    }
    Ok(pulled)
}
