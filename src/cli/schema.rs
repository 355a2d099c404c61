//! `d365map schema show|pull`: what is known of the tables, and fetching it from the services.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::files::{self, FilesError};
use super::{Exit, Global};
use crate::connect::ConnectError;
use crate::count::counted;
use crate::diagnostics::render::{Format, Style, render};
use crate::diagnostics::{Code, Diagnostic, Sources, Span, nearest};
use crate::disk;
use crate::project::{FileProblem, Project, ProjectError};
use crate::schema::pull::{self, DataverseDocuments, PullError, Pulled};
use crate::schema::{Catalogue, Change, SchemaFolder, System, Table, TableId, diff, file_of, node, show, write};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print what is known of a table; without a table, list the tables.
    Show {
        /// The table, such as d365.contact.
        table: Option<String>,
        /// How to print it; yaml is the format of schema files.
        #[arg(long, value_enum, default_value_t = Shape::Human)]
        format: Shape,
    },
    /// Fetch tables from the services into the project's schema folder.
    Pull {
        /// The tables. The default is every table that the mappings use and every table of the schema folder.
        tables: Vec<String>,
        /// Write over a file that was written by hand (`extends: built-in`).
        #[arg(long)]
        force: bool,
        /// Report what would change, and write nothing; status 1 where something would.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what has changed in the services since the schemas were committed, and which lines of the mappings it breaks.
    Diff {
        /// The tables; without them those that the project's mappings use.
        tables: Vec<String>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t = DiffShape::Human)]
        format: DiffShape,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiffShape {
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    Human,
    Json,
    Yaml,
}

/// Runs the subcommand.
pub fn run(args: &Args, global: &Global) -> Exit {
    let done = match &args.action {
        Action::Show { table, format } => show_table(table.as_deref(), *format, global),
        Action::Pull { tables, force, dry_run } => pull_tables(tables, *force, *dry_run, global),
        Action::Diff { tables, format } => diff_tables(tables, *format, global),
    };
    done.unwrap_or_else(|message| {
        say!("error: {}", message.trim_start_matches("error: "));
        Exit::Failure
    })
}

/// The project of the call, where there is one.
fn project(global: &Global) -> Result<Option<Project>, String> {
    let here = std::env::current_dir().map_err(|e| format!("the current folder: {e}"))?;
    Project::find(&here, global.project.as_deref()).map_err(|error| match error {
        ProjectError::Invalid(problems) => problems_text(&problems),
        ProjectError::Io { .. } | ProjectError::Linked { .. } => error.to_string(),
    })
}

fn problems_text(problems: &[FileProblem]) -> String {
    let mut sources = Sources::default();
    let diagnostics: Vec<Diagnostic> = (problems.iter())
        .map(|p| {
            let file = sources.add(p.path.display().to_string(), p.text.clone());
            Diagnostic::new(Code::D113, Span::new(file, p.span.clone()), p.message.clone(), p.label.clone()).maybe_help(p.help.clone())
        })
        .collect();
    render(&diagnostics, &sources, Format::Human, Style { color: std::io::stderr().is_terminal(), width: 100 })
}

/// Prints in the form that was asked for.
fn print(text: &str, format: Shape) -> Exit {
    match format {
        Shape::Human => super::output::print(text),
        Shape::Yaml => super::output::print_file(text),
        Shape::Json => super::output::print_json(text),
    }
    Exit::Clean
}

/// Finds a table by the name that was typed, or says which one may be meant.
fn parse(name: &str, catalogue: &Catalogue) -> Result<TableId, String> {
    let known: Vec<String> = catalogue.tables().map(|t| t.id.to_string()).collect();
    TableId::parse(name).ok_or_else(|| unknown(name, &known))
}

fn unknown(name: &str, known: &[String]) -> String {
    // `contact` alone is a table's name too.
    let alone = known.iter().find(|k| k.split_once('.').is_some_and(|(_, table)| table.eq_ignore_ascii_case(name)));
    match alone.map(String::as_str).or_else(|| nearest(name, known.iter().map(String::as_str))) {
        Some(near) => format!("there is no table `{name}`. Did you mean {near}?"),
        None => format!("there is no table `{name}`. The tables are: {}. Others come in by `d365map schema pull TABLE`", known.join(", ")),
    }
}

fn show_table(name: Option<&str>, format: Shape, global: &Global) -> Result<Exit, String> {
    let catalogue = match project(global)? {
        Some(project) => Catalogue::with_folder(SchemaFolder::of(&project)).map_err(|problems| problems_text(&problems))?,
        None => Catalogue::builtin().clone(),
    };
    let Some(name) = name else { return Ok(print(&list(&catalogue, format)?, format)) };
    let known: Vec<String> = catalogue.tables().map(|t| t.id.to_string()).collect();
    let table = TableId::parse(name).and_then(|id| catalogue.get(&id)).ok_or_else(|| unknown(name, &known))?;
    let text = match format {
        Shape::Human => show(table),
        Shape::Yaml => write(table),
        Shape::Json => json(&node(table))?,
    };
    Ok(print(&text, format))
}

fn list(catalogue: &Catalogue, format: Shape) -> Result<String, String> {
    let width = catalogue.tables().map(|t| t.id.to_string().len()).max().unwrap_or(0);
    Ok(match format {
        Shape::Human => catalogue
            .tables()
            .map(|t| format!("{:width$}  {} ({})\n", t.id.to_string(), t.label, counted(t.fields.len(), "field")))
            .collect(),
        Shape::Yaml => catalogue.tables().map(|t| format!("- {}\n", t.id)).collect(),
        Shape::Json => json(&catalogue.tables().map(|t| t.id.to_string()).collect::<Vec<_>>())?,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// Why the metadata of one table could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The service does not have the table: other tables are not affected.
    #[error("{0}")]
    NoSuchTable(String),
    /// The service, its configuration or the network: the other tables would fail too.
    #[error("{0}")]
    Service(String),
}

impl From<ConnectError> for SourceError {
    fn from(error: ConnectError) -> SourceError {
        match error {
            ConnectError::NotFound { .. } => SourceError::NoSuchTable(error.to_string()),
            other => SourceError::Service(other.to_string()),
        }
    }
}

/// Where metadata documents come from: the connectors, or files in a test.
pub trait Source {
    /// Returns what the Dataverse Web API says about a table.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, SourceError>;

    /// Returns `resourceType/<resource>` of Campaign.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    fn campaign(&self, resource: &str) -> Result<Value, SourceError>;
}

/// The services of a project. Each is connected when a table of it is asked for, so that one system's tables can be pulled
/// without credentials for the other.
struct Services {
    project: Project,
    runtime: tokio::runtime::Runtime,
}

impl Source for Services {
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, SourceError> {
        let client = super::services::http(&self.project).and_then(|http| super::services::dataverse(&self.project, http));
        let client = client.map_err(SourceError::Service)?;
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

    fn campaign(&self, resource: &str) -> Result<Value, SourceError> {
        let client = super::services::http(&self.project).and_then(|http| super::services::campaign(&self.project, http));
        Ok(self.runtime.block_on(client.map_err(SourceError::Service)?.resource_metadata(resource))?)
    }
}

/// The services of a project.
///
/// # Errors
///
/// For people: what is missing.
pub fn connect(project: &Project) -> Result<Box<dyn Source>, String> {
    Ok(Box::new(Services { project: project.clone(), runtime: super::run::runtime()? }))
}

fn pull_tables(names: &[String], force: bool, dry_run: bool, global: &Global) -> Result<Exit, String> {
    let Some(project) = project(global)? else {
        return Err("no d365map.yaml here or in the folders above. Make one with `d365map init`".to_owned());
    };
    let (tables, by_hand) = if names.is_empty() {
        wanted(&project, force)?
    } else {
        let named = names.iter().map(|name| parse(name, Catalogue::builtin())).collect::<Result<BTreeSet<_>, _>>()?;
        (named, Vec::new())
    };
    let source = connect(&project)?;
    let outcome = pull(source.as_ref(), &tables, SchemaFolder::of(&project), force, dry_run).map_err(|e| e.to_string())?;
    let mut text = String::new();
    for pulled in &outcome {
        text.push_str(&pulled.summary(dry_run, global.quiet));
    }
    if !global.quiet {
        for path in by_hand {
            text.push_str(&format!("{}: not pulled, because it was written by hand (`extends: built-in`)\n", files::display(&path)));
        }
    }
    super::output::print(&text);
    let missing = outcome.iter().any(|p| p.status == Status::Missing);
    let changed = outcome.iter().any(|p| p.status != Status::Unchanged);
    Ok(if missing || (dry_run && changed) { Exit::Findings } else { Exit::Clean })
}

/// The tables that mapping files name in their heads. Files with faults count too: a pull may be what repairs them.
fn used(group: &files::Group) -> BTreeSet<TableId> {
    let heads = |text: &str| {
        let mut ignored = crate::diagnostics::Diagnostics::default();
        let file = crate::syntax::parse(crate::diagnostics::FileId(0), text, &mut ignored);
        let names = file.mappings.into_iter().filter_map(|m| m.head).flat_map(|h| [h.source, h.target]);
        names.filter_map(|t| TableId::parse(&format!("{}.{}", t.system.text, t.table.text))).collect::<Vec<_>>()
    };
    let named = group.inputs.iter().flat_map(|i| heads(&String::from_utf8_lossy(&i.bytes)));
    named.filter(|t| t.system != System::Partner).collect()
}

fn diff_tables(names: &[String], format: DiffShape, global: &Global) -> Result<Exit, String> {
    let Some(project) = project(global)? else {
        return Err("no d365map.yaml here or in the folders above. Make one with `d365map init`".to_owned());
    };
    let group = super::files::of_project(project.clone(), super::output::stdout_style()).map_err(|e| e.to_string())?;
    let tables = if names.is_empty() {
        used(&group).into_iter().filter(|t| group.catalogue.get(t).is_some()).collect()
    } else {
        names.iter().map(|name| parse(name, &group.catalogue)).collect::<Result<BTreeSet<_>, _>>()?
    };
    let source = connect(&project)?;
    let drift = super::drift::of_group(source.as_ref(), group, &tables)?;
    match format {
        DiffShape::Human => super::output::print_styled(&drift.text(super::output::stdout_style())),
        DiffShape::Json => super::output::print_json(&format!("{:#}\n", drift.json())),
    };
    if !global.quiet {
        let verdict = match (drift.is_none(), drift.is_breaking()) {
            (true, _) => "the committed schemas are those of the services",
            (false, true) => "a run would refuse to start: change the mappings or the services, then `d365map schema pull`",
            (false, false) => "no mapping is touched; `d365map schema pull` takes the changes over",
        };
        say!("{verdict}");
    }
    Ok(if drift.is_none() { Exit::Clean } else { Exit::Findings })
}

/// Returns the tables that a pull without names is for: those that the mappings use and those of the schema folder; contacts
/// and profiles in a project that has neither yet. Built-in tables that nothing uses are left out: an environment without the
/// Sales app, for example, does not have `opportunity`. The second part lists the files that were written by hand, which a pull
/// leaves as they are unless it is forced.
fn wanted(project: &Project, force: bool) -> Result<(BTreeSet<TableId>, Vec<PathBuf>), String> {
    let folder = SchemaFolder::of(project);
    let own = Catalogue::with_folder(folder).map_err(|problems| problems_text(&problems))?;
    let mut tables = match files::of_project(project.clone(), Style::PLAIN) {
        Ok(group) => used(&group),
        Err(FilesError::NoMappings { .. }) => BTreeSet::new(),
        Err(error) => return Err(error.to_string()),
    };
    let mut by_hand = Vec::new();
    for id in own.tables().map(|t| &t.id).filter(|t| t.system != System::Partner) {
        match file_of(folder, id).map_err(|e| format!("{}: {e}", folder.path.display()))? {
            Some((path, heading)) if heading.extends && !force => {
                tables.remove(id);
                by_hand.push(path);
            }
            Some(_) => {
                tables.insert(id.clone());
            }
            None => {}
        }
    }
    if tables.is_empty() && by_hand.is_empty() {
        tables.extend([TableId::new(System::D365, "contact"), TableId::new(System::Campaign, "profile")]);
    }
    Ok((tables, by_hand))
}

/// Why a pull ended. Files that are named in no error were not touched by the failed step.
#[derive(Debug, thiserror::Error)]
pub enum SchemaPullError {
    /// The service.
    #[error("{table}: {source}")]
    Source {
        /// The table.
        table: TableId,
        /// What the connector says.
        source: SourceError,
    },
    /// The documents make no table.
    #[error(transparent)]
    Documents(#[from] PullError),
    /// The file was written by hand and would be lost.
    #[error("{} was written by hand (`extends: built-in`). A pull brings your own fields by itself: remove the file, or use --force to write over it", .0.display())]
    ByHand(PathBuf),
    /// A system without metadata.
    #[error("{0}: tables of this system cannot be pulled")]
    NoMetadata(TableId),
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
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
    fn summary(&self, dry_run: bool, quiet: bool) -> String {
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
/// [`SchemaPullError`].
pub fn pull(
    source: &dyn Source,
    tables: &BTreeSet<TableId>,
    folder: SchemaFolder<'_>,
    force: bool,
    dry_run: bool,
) -> Result<Vec<Outcome>, SchemaPullError> {
    let mut planned = Vec::new();
    for id in tables {
        let (path, before) = before(folder, id, force)?;
        let known = before.as_ref().and_then(|(_, table)| table.clone());
        let Pulled { table, notes } = match fetch(source, id, known.as_ref()) {
            Ok(pulled) => pulled,
            Err(SchemaPullError::Source { source: SourceError::NoSuchTable(message), .. }) => {
                let outcome = Outcome { table: id.clone(), path, status: Status::Missing, changes: Vec::new(), notes: vec![message] };
                planned.push((outcome, String::new()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = write(&table);
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
        written.map_err(|source| SchemaPullError::Io { path: outcome.path.clone(), source })?;
    }
    Ok(planned.into_iter().map(|(outcome, _)| outcome).collect())
}

/// The file that a table is to be written to, with its text and table where there is one.
#[expect(clippy::type_complexity, reason = "used once")]
fn before(folder: SchemaFolder<'_>, id: &TableId, force: bool) -> Result<(PathBuf, Option<(String, Option<Table>)>), SchemaPullError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SchemaPullError::Io { path, source }
    };
    let (path, heading) = match file_of(folder, id).map_err(io(folder.path))? {
        Some((path, heading)) => (path, Some(heading)),
        None => (folder.path.join(format!("{id}.yaml")), None),
    };
    if heading.is_some_and(|h| h.extends) && !force {
        return Err(SchemaPullError::ByHand(path));
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
/// [`SchemaPullError`].
pub fn fetch(source: &dyn Source, id: &TableId, known: Option<&Table>) -> Result<Pulled, SchemaPullError> {
    let failed = |source| SchemaPullError::Source { table: id.clone(), source };
    let builtin = Catalogue::builtin().get(id).map(AsRef::as_ref);
    let mut pulled = match id.system {
        System::D365 => pull::dataverse(&source.dataverse(&id.name).map_err(failed)?)?,
        System::Campaign => pull::campaign(&id.name, &source.campaign(&id.name).map_err(failed)?, builtin)?,
        System::Partner => return Err(SchemaPullError::NoMetadata(id.clone())),
    };
    if let Some(known) = known {
        pull::keep_what_metadata_lacks(&mut pulled.table, known);
    }
    Ok(pulled)
}
