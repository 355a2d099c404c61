//! `d365map schema show|pull`: what is known of the tables, and fetching it from the services.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{Exit, Global};
use crate::app::editors::Format;
use crate::app::files::{self, FilesError};
use crate::app::metadata::{Status, connect, pull};
use crate::app::operate::{compare_schemas, tables_in_use};
use crate::app::{AppError, CommandError, ErrorKind, drift};
use crate::count::counted;
use crate::diagnostics::nearest;
use crate::project::Project;
use crate::schema::{Catalogue, SchemaFolder, SystemId, TableId, file_of, node, show, write};

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
    /// Print the JSON Schema of a file format, by which editors complete keys and mark mistakes.
    Json {
        /// The file format.
        #[arg(value_enum, value_name = "FORMAT")]
        format: Format,
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
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    match &args.action {
        Action::Show { table, format } => show_table(table.as_deref(), *format, global),
        Action::Pull { tables, force, dry_run } => pull_tables(tables, *force, *dry_run, global),
        Action::Json { format } => Ok(print(&format.json_schema(), Shape::Json)),
        Action::Diff { tables, format } => diff_tables(tables, *format, global),
    }
}

/// The project of a command that needs one.
fn need_project(global: &Global) -> Result<Project, CommandError> {
    let missing = || CommandError::usage("no d365map.yaml here or in the folders above. Make one with `d365map init`");
    files::project(global.project.as_deref())?.ok_or_else(missing)
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
fn parse(name: &str, catalogue: &Catalogue) -> Result<TableId, CommandError> {
    let known: Vec<String> = catalogue.tables().map(|t| t.id.to_string()).collect();
    TableId::parse(name).ok_or_else(|| unknown(name, &known))
}

fn unknown(name: &str, known: &[String]) -> CommandError {
    // `contact` alone is a table's name too.
    let alone = known.iter().find(|k| k.split_once('.').is_some_and(|(_, table)| table.eq_ignore_ascii_case(name)));
    CommandError::usage(match alone.map(String::as_str).or_else(|| nearest(name, known.iter().map(String::as_str))) {
        Some(near) => format!("there is no table `{name}`. Did you mean {near}?"),
        None => format!("there is no table `{name}`. The tables are: {}. Others come in by `d365map schema pull TABLE`", known.join(", ")),
    })
}

fn show_table(name: Option<&str>, format: Shape, global: &Global) -> Result<Exit, CommandError> {
    let catalogue = files::catalogue(files::project(global.project.as_deref())?.as_ref())?;
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

fn list(catalogue: &Catalogue, format: Shape) -> Result<String, CommandError> {
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

fn json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| CommandError::new(ErrorKind::Bug, e))
}

fn pull_tables(names: &[String], force: bool, dry_run: bool, global: &Global) -> Result<Exit, CommandError> {
    let project = need_project(global)?;
    let (tables, by_hand) = if names.is_empty() {
        wanted(&project, force)?
    } else {
        let named = names.iter().map(|name| parse(name, Catalogue::builtin())).collect::<Result<BTreeSet<_>, _>>()?;
        (named, Vec::new())
    };
    let source = connect(&project)?;
    let outcome = pull(source.as_ref(), &tables, SchemaFolder::of(&project), force, dry_run).map_err(AppError::from)?;
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

fn diff_tables(names: &[String], format: DiffShape, global: &Global) -> Result<Exit, CommandError> {
    let project = need_project(global)?;
    let drift = if names.is_empty() {
        compare_schemas(&project)?
    } else {
        let group = files::of_project(project.clone())?;
        let tables = names.iter().map(|name| parse(name, &group.catalogue)).collect::<Result<BTreeSet<_>, _>>()?;
        drift::of_group(connect(&project)?.as_ref(), group, &tables)?
    };
    match format {
        DiffShape::Human => super::output::print_styled(&drift.text(super::output::stdout_style())),
        DiffShape::Json => super::output::print_json(&format!("{:#}\n", drift.json())),
    };
    if !global.quiet {
        let verdict = match (drift.is_none(), drift.is_breaking()) {
            (true, _) => "the committed schemas are those of the services",
            (false, true) => "a run would refuse to start: change the mappings or the services, then `d365map schema pull`",
            (false, false) => "no mapping is touched; `d365map schema pull` updates the committed schemas",
        };
        say!("{verdict}");
    }
    Ok(if drift.is_none() { Exit::Clean } else { Exit::Findings })
}

/// Returns the tables that a pull without names is for: those that the mappings use and those of the schema folder; contacts
/// and profiles in a project that has neither yet. Built-in tables that nothing uses are left out: an environment without the
/// Sales app, for example, does not have `opportunity`. The second part lists the files that were written by hand, which a pull
/// leaves as they are unless it is forced.
fn wanted(project: &Project, force: bool) -> Result<(BTreeSet<TableId>, Vec<PathBuf>), CommandError> {
    let folder = SchemaFolder::of(project);
    let own = files::catalogue(Some(project))?;
    let mut tables = match files::of_project(project.clone()) {
        Ok(group) => tables_in_use(&group),
        Err(FilesError::NoMappings { .. }) => BTreeSet::new(),
        Err(error) => return Err(error.into()),
    };
    let mut by_hand = Vec::new();
    for id in own.tables().map(|t| &t.id).filter(|t| t.system.has_metadata()) {
        match file_of(folder, id).map_err(|e| CommandError::file(folder.path.display(), e))? {
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
        tables.extend([TableId::new(SystemId::D365, "contact"), TableId::new(SystemId::Campaign, "profile")]);
    }
    Ok((tables, by_hand))
}
