//! `d365map schema show|pull`: what is known of the tables, and fetching it from the services.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::{Exit, Global};
use crate::diagnostics::render::{Format, Style, render};
use crate::diagnostics::{Code, Diagnostic, Sources, Span, nearest};
use crate::project::{FileProblem, Project, ProjectError};
use crate::schema::pull::{self, DataverseDocuments, PullError, Pulled};
use crate::schema::{Catalogue, Change, System, Table, TableId, diff, file_of, node, show, write};

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
        /// The tables; without them d365.contact, campaign.profile and every table of the schema folder.
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
        eprintln!("error: {}", message.trim_start_matches("error: "));
        Exit::Failure
    })
}

/// The project of the call, where there is one.
fn project(global: &Global) -> Result<Option<Project>, String> {
    let here = std::env::current_dir().map_err(|e| format!("the current folder: {e}"))?;
    Project::find(&here, global.project.as_deref()).map_err(|error| match error {
        ProjectError::Invalid(problems) => problems_text(&problems),
        ProjectError::Io { .. } => error.to_string(),
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

fn print(text: &str) -> Exit {
    // A reader that has seen enough closes the pipe; that is no failure.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
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
        Some(project) => Catalogue::with_dir(&project.schemas).map_err(|problems| problems_text(&problems))?,
        None => Catalogue::builtin().clone(),
    };
    let Some(name) = name else { return Ok(print(&list(&catalogue, format)?)) };
    let known: Vec<String> = catalogue.tables().map(|t| t.id.to_string()).collect();
    let table = TableId::parse(name).and_then(|id| catalogue.get(&id)).ok_or_else(|| unknown(name, &known))?;
    Ok(print(&match format {
        Shape::Human => show(table),
        Shape::Yaml => write(table),
        Shape::Json => json(&node(table))?,
    }))
}

fn list(catalogue: &Catalogue, format: Shape) -> Result<String, String> {
    let width = catalogue.tables().map(|t| t.id.to_string().len()).max().unwrap_or(0);
    Ok(match format {
        Shape::Human => {
            catalogue.tables().map(|t| format!("{:width$}  {} ({} fields)\n", t.id.to_string(), t.label, t.fields.len())).collect()
        }
        Shape::Yaml => catalogue.tables().map(|t| format!("- {}\n", t.id)).collect(),
        Shape::Json => json(&catalogue.tables().map(|t| t.id.to_string()).collect::<Vec<_>>())?,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// Where metadata documents come from: the connectors, or files in a test.
pub trait Source {
    /// What the Dataverse Web API says about a table.
    ///
    /// # Errors
    ///
    /// For people: what went wrong and what to do.
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, String>;

    /// `resourceType/<resource>` of Campaign.
    ///
    /// # Errors
    ///
    /// For people: what went wrong and what to do.
    fn campaign(&self, resource: &str) -> Result<Value, String>;
}

/// The services of a project. Each is connected when a table of it is asked for, so that one system's tables can be pulled
/// without credentials for the other.
struct Services {
    project: Project,
    runtime: tokio::runtime::Runtime,
}

impl Source for Services {
    fn dataverse(&self, table: &str) -> Result<DataverseDocuments, String> {
        let client = super::services::dataverse(&self.project, super::services::http(&self.project)?)?;
        let documents = self.runtime.block_on(client.entity_metadata(table)).map_err(|e| e.to_string())?;
        Ok(DataverseDocuments {
            definition: documents.definition,
            attributes: Value::Array(documents.attributes),
            subtypes: documents.casts.into_iter().map(|(name, list)| (name, Value::Array(list))).collect(),
            many_to_one: Value::Array(documents.many_to_one),
            keys: Value::Array(documents.keys),
        })
    }

    fn campaign(&self, resource: &str) -> Result<Value, String> {
        let client = super::services::campaign(&self.project, super::services::http(&self.project)?)?;
        self.runtime.block_on(client.resource_metadata(resource)).map_err(|e| e.to_string())
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
    let tables = if names.is_empty() {
        wanted(&project.schemas)?
    } else {
        names.iter().map(|name| parse(name, Catalogue::builtin())).collect::<Result<BTreeSet<_>, _>>()?
    };
    let source = connect(&project)?;
    let outcome = pull(source.as_ref(), &tables, &project.schemas, force, dry_run).map_err(|e| e.to_string())?;
    let mut text = String::new();
    for pulled in &outcome {
        text.push_str(&pulled.summary(dry_run, global.quiet));
    }
    print(&text);
    let changed = outcome.iter().any(|p| p.status != Status::Unchanged);
    Ok(if dry_run && changed { Exit::Findings } else { Exit::Clean })
}

fn diff_tables(names: &[String], format: DiffShape, global: &Global) -> Result<Exit, String> {
    let Some(project) = project(global)? else {
        return Err("no d365map.yaml here or in the folders above. Make one with `d365map init`".to_owned());
    };
    let group = super::files::of_project(project.clone(), super::output::stdout_style()).map_err(|e| e.to_string())?;
    let tables = if names.is_empty() {
        let heads = |text: &str| {
            let mut unheard = crate::diagnostics::Diagnostics::default();
            let file = crate::syntax::parse(crate::diagnostics::FileId(0), text, &mut unheard);
            let names = file.mappings.into_iter().filter_map(|m| m.head).flat_map(|h| [h.source, h.target]);
            names.filter_map(|t| TableId::parse(&format!("{}.{}", t.system.text, t.table.text))).collect::<Vec<_>>()
        };
        let used = group.inputs.iter().flat_map(|i| heads(&String::from_utf8_lossy(&i.bytes)));
        used.filter(|t| t.system != System::Partner && group.catalogue.get(t).is_some()).collect()
    } else {
        names.iter().map(|name| parse(name, &group.catalogue)).collect::<Result<BTreeSet<_>, _>>()?
    };
    let source = connect(&project)?;
    let drift = super::drift::of_group(source.as_ref(), group, &tables)?;
    match format {
        DiffShape::Human => print(&drift.text(super::output::stdout_style())),
        DiffShape::Json => print(&format!("{:#}\n", drift.json())),
    };
    if !global.quiet {
        let verdict = match (drift.is_none(), drift.is_breaking()) {
            (true, _) => "the committed schemas are those of the services",
            (false, true) => "a run would refuse to start: change the mappings or the services, then `d365map schema pull`",
            (false, false) => "no mapping is touched; `d365map schema pull` takes the changes over",
        };
        eprintln!("{verdict}");
    }
    Ok(if drift.is_none() { Exit::Clean } else { Exit::Findings })
}

/// The tables that a pull without names is for.
fn wanted(dir: &Path) -> Result<BTreeSet<TableId>, String> {
    let builtin = Catalogue::builtin().tables().map(|t| t.id.clone());
    let own = Catalogue::with_dir(dir).map_err(|problems| problems_text(&problems))?;
    Ok(builtin.chain(own.tables().map(|t| t.id.clone())).filter(|t| t.system != System::Partner).collect())
}

/// Why a pull ended. Files that are named in no error were not touched by the failed step.
#[derive(Debug, thiserror::Error)]
pub enum SchemaPullError {
    /// The service.
    #[error("{table}: {message}")]
    Source {
        /// The table.
        table: TableId,
        /// What the connector says.
        message: String,
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
/// is replaced as a whole.
///
/// # Errors
///
/// [`SchemaPullError`].
pub fn pull(
    source: &dyn Source,
    tables: &BTreeSet<TableId>,
    dir: &Path,
    force: bool,
    dry_run: bool,
) -> Result<Vec<Outcome>, SchemaPullError> {
    let mut planned = Vec::new();
    for id in tables {
        let (path, before) = before(dir, id, force)?;
        let Pulled { table, notes } = fetch(source, id)?;
        let text = write(&table);
        let status = match &before {
            None => Status::Created,
            Some((old, _)) if *old == text => Status::Unchanged,
            Some(_) => Status::Updated,
        };
        let known = before.and_then(|(_, table)| table).or_else(|| Catalogue::builtin().get(id).map(|t| t.as_ref().clone()));
        let changes = known.map(|known| diff(&known, &table)).unwrap_or_default();
        planned.push((Outcome { table: id.clone(), path, status, changes, notes }, text));
    }
    for (outcome, text) in planned.iter().filter(|(outcome, _)| !dry_run && outcome.status != Status::Unchanged) {
        replace(&outcome.path, text).map_err(|source| SchemaPullError::Io { path: outcome.path.clone(), source })?;
    }
    Ok(planned.into_iter().map(|(outcome, _)| outcome).collect())
}

/// The file that a table is to be written to, with its text and table where there is one.
#[expect(clippy::type_complexity, reason = "used once")]
fn before(dir: &Path, id: &TableId, force: bool) -> Result<(PathBuf, Option<(String, Option<Table>)>), SchemaPullError> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SchemaPullError::Io { path, source }
    };
    let (path, heading) = match file_of(dir, id).map_err(io(dir))? {
        Some((path, heading)) => (path, Some(heading)),
        None => (dir.join(format!("{id}.yaml")), None),
    };
    if heading.is_some_and(|h| h.extends) && !force {
        return Err(SchemaPullError::ByHand(path));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let table = crate::schema::file::read(&path, &text.as_str().into()).ok();
            Ok((path, Some((text, table))))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok((path, None)),
        Err(e) => Err(io(&path)(e)),
    }
}

/// Reads one table from its service.
///
/// # Errors
///
/// [`SchemaPullError`].
pub fn fetch(source: &dyn Source, id: &TableId) -> Result<Pulled, SchemaPullError> {
    let failed = |message| SchemaPullError::Source { table: id.clone(), message };
    match id.system {
        System::D365 => Ok(pull::dataverse(&source.dataverse(&id.name).map_err(failed)?)?),
        System::Campaign => {
            let document = source.campaign(&id.name).map_err(failed)?;
            Ok(pull::campaign(&id.name, &document, Catalogue::builtin().get(id).map(AsRef::as_ref))?)
        }
        System::Partner => Err(SchemaPullError::NoMetadata(id.clone())),
    }
}

/// Replaces a file in one step: whoever reads it sees the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = dir.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
