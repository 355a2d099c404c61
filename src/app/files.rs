//! Mapping files on disk: which ones are meant, to which project each belongs, what is in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::check::{self, Compiled, Input, TableFile, TableFiles};
use crate::diagnostics::render::{Format, Style, render};
use crate::diagnostics::{Code, Diagnostic, FileProblem, Levels, Sources, Span};
use crate::project::{Project, ProjectError};
use crate::schema::{Catalogue, SchemaFolder};
use crate::sheets;
use crate::syntax::{self, MAX_FILE_BYTES};

/// The ending of mapping files.
const ENDING: &str = "d365map";

/// Why files could not be read: usage or I/O, exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder that is not there or cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder without a mapping file.
    #[error("{}: no *.{ENDING} file in this folder. Write one, or start with `d365map init`", path.display())]
    NoMappings {
        /// The folder.
        path: PathBuf,
    },
    /// The project file cannot be used.
    #[error(transparent)]
    Project(ProjectError),
    /// No project and no path.
    #[error("no d365map.yaml here or in the folders above. Make one with `d365map init`, or name the files: `d365map check FILE…`")]
    NoProject,
    /// Files of several projects, where those of one are needed.
    #[error("the files belong to several projects; compile one project at a time")]
    SeveralProjects,
    /// The project file or a schema file is faulty.
    #[error("{}", problems_text(.0, Style::PLAIN))]
    Problems(Vec<FileProblem>),
}

impl FilesError {
    /// The error for a terminal of this style: faults of files with their excerpts.
    pub fn text(&self, style: Style) -> String {
        match self {
            FilesError::Problems(problems) => problems_text(problems, style),
            other => other.to_string(),
        }
    }
}

impl From<ProjectError> for FilesError {
    fn from(error: ProjectError) -> FilesError {
        match error {
            ProjectError::Invalid(problems) => FilesError::Problems(problems),
            other => FilesError::Project(other),
        }
    }
}

/// Files that are compiled together: those of one project, or of one folder without a project.
#[derive(Clone, Debug)]
pub struct Group {
    /// The project's schemas over the built-in ones.
    pub catalogue: Catalogue,
    /// The files, sorted by name.
    pub inputs: Vec<Input>,
    /// Where each of them lies.
    pub paths: Vec<PathBuf>,
    /// The files of the tables that they declare.
    pub tables: TableFiles,
    /// How many of them were asked for; those behind are there because these include them.
    pub asked: usize,
    /// The severities that the project sets.
    pub levels: Levels,
    /// The project, if the files belong to one.
    pub project: Option<Project>,
}

impl Group {
    /// `root`: what the files include lies in this folder, whatever links lead there. A file with a mapping can come from somebody else, and
    /// findings quote what they are about, so nothing else is read: `include "/proc/self/environ"` would print the environment.
    fn new(root: &Path, catalogue: Catalogue, project: Option<Project>, files: Vec<(PathBuf, Input)>) -> Result<Group, FilesError> {
        let levels = project.as_ref().map(|p| p.lint.clone()).unwrap_or_default();
        let asked = files.len();
        let (paths, inputs): (Vec<PathBuf>, Vec<Input>) = files.into_iter().unzip();
        let mut group = Group { catalogue, inputs, paths, tables: TableFiles::new(), asked, levels, project };
        group.follow(root, 0)?;
        Ok(group)
    }

    /// Adds what the files from one on include, what these include, and the tables of all of them.
    fn follow(&mut self, root: &Path, from: usize) -> Result<(), FilesError> {
        let mut at = from;
        while at < self.inputs.len() {
            self.add_needed(root, at)?;
            at += 1;
        }
        Ok(())
    }

    /// Adds what a file includes, and its tables.
    fn add_needed(&mut self, root: &Path, at: usize) -> Result<(), FilesError> {
        // Of a file that is too large, only the first bytes are looked at.
        let (text, _) = syntax::decode(self.inputs[at].bytes.clone());
        for included in check::included_paths(&text) {
            let Some(name) = check::included_name(&self.inputs[at].name, &included) else { continue };
            // A file that is not there, is not the project's or is not a mapping file is reported where it is included (D118).
            if self.inputs.iter().any(|i| i.name == name) {
                continue;
            }
            if let Some(real) = included_file(root, &self.paths[at], &included) {
                self.inputs.push(read(&real, name)?);
                self.paths.push(self.paths[at].parent().unwrap_or(Path::new("")).join(&included));
            }
        }
        for table in check::table_paths(&text) {
            let Some(name) = check::included_name(&self.inputs[at].name, &table) else { continue };
            if !self.tables.contains_key(&name) {
                self.tables.extend(table_file(root, &self.paths[at], &table).map(|file| (name, file)));
            }
        }
        Ok(())
    }

    /// Takes another text for a file of a project, as if it were on disk.
    ///
    /// # Errors
    /// A file that the text includes cannot be read.
    pub fn replace(&mut self, at: usize, bytes: Vec<u8>) -> Result<(), FilesError> {
        let root = self.project.as_ref().map_or_else(PathBuf::new, |project| project.root.clone());
        let before = self.inputs.len();
        self.inputs[at].bytes = bytes;
        self.add_needed(&root, at)?;
        self.follow(&root, before)
    }

    /// Compiles the group.
    pub fn compile(self) -> Compiled {
        let Group { catalogue, inputs, tables, asked, levels, .. } = self;
        let mut compiled = check::compile_project(inputs, &tables, &catalogue, &levels);
        // A file that others include as well is not idle for being included by few of them.
        let idle = |d: &Diagnostic| matches!(d.code, Code::D801 | Code::D802 | Code::D814 | Code::D815) && d.span.file.0 as usize >= asked;
        compiled.diagnostics.retain(|d| !idle(d));
        compiled
    }
}

/// Problems of YAML files as text for people.
fn problems_text(problems: &[FileProblem], style: Style) -> String {
    let mut sources = Sources::default();
    let diagnostics: Vec<Diagnostic> = problems
        .iter()
        .map(|p| {
            let file = sources.add(display(&p.path), p.text.clone());
            Diagnostic::new(Code::D113, Span::new(file, p.span.clone()), p.message.clone(), p.label.clone()).maybe_help(p.help.clone())
        })
        .collect();
    render(&diagnostics, &sources, Format::Human, style)
}

/// A path for people: with `/`, relative to the current folder where it lies below it.
pub fn display(path: &Path) -> String {
    let current = std::env::current_dir().unwrap_or_default();
    let shown = path.strip_prefix(&current).unwrap_or(path);
    shown.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/").replace("//", "/")
}

/// The project that `--project` names or that lies above the current folder.
pub fn project(explicit: Option<&Path>) -> Result<Option<Project>, FilesError> {
    let here = std::env::current_dir().map_err(|source| FilesError::Io { path: PathBuf::from("."), source })?;
    Ok(Project::find(&here, explicit)?)
}

/// The project that `--project` names or that lies above the current folder.
///
/// # Errors
///
/// [`FilesError::NoProject`] if there is none.
pub fn need_project(explicit: Option<&Path>) -> Result<Project, FilesError> {
    project(explicit)?.ok_or(FilesError::NoProject)
}

/// The files that are compiled to one plan: those that the paths name, which must be of one project, or without paths the project's.
///
/// # Errors
///
/// [`FilesError`].
pub fn one_group(paths: &[PathBuf], explicit: Option<&Path>) -> Result<Group, FilesError> {
    if paths.is_empty() {
        return of_project(need_project(explicit)?);
    }
    let mut groups = of_paths(paths, explicit)?;
    match (groups.pop(), groups.is_empty()) {
        (Some(group), true) => Ok(group),
        _ => Err(FilesError::SeveralProjects),
    }
}

/// The mapping files of a project, by names relative to its folder, so that a plan has the same bytes wherever it is made.
pub fn of_project(project: Project) -> Result<Group, FilesError> {
    let folder = project.mappings.clone();
    let mut paths = Vec::new();
    collect(&folder, &mut paths)?;
    if paths.is_empty() {
        return Err(FilesError::NoMappings { path: folder });
    }
    let root = project.root.clone();
    let name = |path: &Path| display(path.strip_prefix(&root).unwrap_or(path));
    let inputs = paths.iter().map(|p| Ok((p.clone(), read(&own(&root, p)?, name(p))?))).collect::<Result<_, FilesError>>()?;
    Group::new(&root, catalogue(Some(&project))?, Some(project), inputs)
}

/// A project, or a folder without one, that has no mapping files yet.
///
/// # Errors
///
/// [`FilesError`] if the schemas cannot be read.
pub fn without_files(project: Option<Project>) -> Result<Group, FilesError> {
    let root = project.as_ref().map_or_else(PathBuf::new, |project| project.root.clone());
    Group::new(&root, catalogue(project.as_ref())?, project, Vec::new())
}

/// A file that does not have to exist yet, as it would be at this path: what it includes and its tables are found from there.
///
/// # Errors
///
/// [`FilesError`] if the schemas cannot be read.
pub fn as_if_at(path: &Path, bytes: Vec<u8>, project: Option<&Project>) -> Result<Group, FilesError> {
    let absolute = std::path::absolute(path).map_err(|source| FilesError::Io { path: path.to_path_buf(), source })?;
    let here = std::env::current_dir().ok().filter(|here| absolute.starts_with(here));
    let folder = absolute.parent().unwrap_or(&absolute).to_path_buf();
    let inside = project.filter(|project| absolute.starts_with(&project.root));
    let root = inside.map_or_else(|| here.unwrap_or(folder), |project| project.root.clone());
    let name = display(absolute.strip_prefix(&root).unwrap_or(&absolute));
    Group::new(&root, catalogue(project)?, project.cloned(), vec![(absolute, Input { name, bytes })])
}

/// The files that the given paths name, grouped by the projects that they lie in.
pub fn of_paths(paths: &[PathBuf], explicit: Option<&Path>) -> Result<Vec<Group>, FilesError> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        collect(path, &mut files)?;
        if files.len() == before {
            return Err(FilesError::NoMappings { path: path.clone() });
        }
    }
    files.sort();
    files.dedup();
    // By project, or by folder: files of unrelated folders need not agree. A folder is never both, since a file in a
    // project's folder belongs to the project.
    let mut groups: BTreeMap<PathBuf, Gathered> = BTreeMap::new();
    for file in files {
        let absolute = std::path::absolute(&file).map_err(|source| FilesError::Io { path: file.clone(), source })?;
        let folder = absolute.parent().unwrap_or(&absolute).to_path_buf();
        let project = Project::find(&folder, explicit)?;
        // Without a project, what belongs together is below the current folder, or beside the file.
        let here = std::env::current_dir().ok().filter(|here| absolute.starts_with(here));
        let root = project.as_ref().map_or_else(|| here.unwrap_or_else(|| folder.clone()), |p| p.root.clone());
        let key = project.as_ref().map_or(folder, |p| p.root.clone());
        let input = read(&own(&root, &file)?, display(&file))?;
        groups.entry(key).or_insert_with(|| Gathered { project, root, inputs: Vec::new() }).inputs.push((file, input));
    }
    let group = |Gathered { project, root, inputs }| Group::new(&root, catalogue(project.as_ref())?, project, inputs);
    groups.into_values().map(group).collect()
}

/// Files of one project or folder on their way to a group.
struct Gathered {
    project: Option<Project>,
    root: PathBuf,
    inputs: Vec<(PathBuf, Input)>,
}

/// What the paths of a command name; without paths the project's mapping folder.
pub fn asked(paths: &[PathBuf], explicit: Option<&Path>) -> Result<Vec<Group>, FilesError> {
    if paths.is_empty() { of_project(need_project(explicit)?).map(|group| vec![group]) } else { of_paths(paths, explicit) }
}

/// The built-in schemas, overlaid by those of a project.
pub fn catalogue(project: Option<&Project>) -> Result<Catalogue, FilesError> {
    match project {
        Some(project) => Catalogue::with_folder(SchemaFolder::of(project)).map_err(FilesError::Problems),
        None => Ok(Catalogue::builtin().clone()),
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    let io = |source| FilesError::Io { path: path.to_path_buf(), source };
    let kind = std::fs::metadata(path).map_err(io)?;
    // What is neither a file nor a folder is an error when it is read.
    if !kind.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let mut entries = std::fs::read_dir(path).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // A link to a folder is not followed: it could form a cycle.
        let kind = entry.file_type().map_err(|source| FilesError::Io { path: path.clone(), source })?;
        if kind.is_dir() && !hidden {
            collect(&path, files)?;
        } else if !kind.is_dir() && path.extension().is_some_and(|e| e == ENDING) {
            files.push(path);
        }
    }
    Ok(())
}

/// The resolved path of a file that a mapping file includes; `None` unless it is a mapping file below `root`, whatever links lead to it.
pub fn included_file(root: &Path, from: &Path, included: &str) -> Option<PathBuf> {
    let path = from.parent().unwrap_or(Path::new("")).join(included);
    let fits = |path: &Path| path.extension().is_some_and(|e| e == ENDING);
    let real = crate::disk::within(root, &path).ok()?;
    (!Path::new(included).is_absolute() && fits(&path) && fits(&real) && real.is_file()).then_some(real)
}

/// The file of a table that a mapping file declares; `None` if there is no such file. It is read only if it is below `root`, whatever links
/// lead to it, and named as a table is: a mapping file from somebody else must not print files of the machine.
fn table_file(root: &Path, from: &Path, table: &str) -> Option<TableFile> {
    let path = from.parent().unwrap_or(Path::new("")).join(table);
    Some(match table_path(root, from, table) {
        Ok(real) => match crate::disk::read(&real, sheets::MAX_BYTES) {
            Ok(bytes) => TableFile::Bytes(bytes.into()),
            Err(error) => TableFile::Unreadable(error.to_string()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return None,
        Err(error) => TableFile::Unreadable(error.to_string()),
    })
}

/// The resolved path of the file of a table.
///
/// # Errors
///
/// There is no such file, it is outside of `root`, or its name does not end as that of a table.
pub fn table_path(root: &Path, from: &Path, table: &str) -> std::io::Result<PathBuf> {
    let path = from.parent().unwrap_or(Path::new("")).join(table);
    let fits = |path: &Path| {
        path.extension().and_then(|e| e.to_str()).is_some_and(|e| sheets::ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(e)))
    };
    if Path::new(table).is_absolute() {
        return Err(std::io::Error::other("an absolute path; the path is relative to the folder of the mapping file"));
    }
    let real = crate::disk::within(root, &path)?;
    if fits(&path) && fits(&real) { Ok(real) } else { Err(std::io::Error::other(sheets::TableError::Ending.to_string())) }
}

/// The resolved path of a mapping file: a link must lead to a mapping file of the same project.
fn own(root: &Path, path: &Path) -> Result<PathBuf, FilesError> {
    let io = |source| FilesError::Io { path: path.to_path_buf(), source };
    let linked = std::fs::symlink_metadata(path).map_err(io)?.is_symlink();
    // A file that is named on the command line may be anywhere; where a link leads was decided by whoever made the link.
    let real = if linked || path.starts_with(root) { crate::disk::within(root, path).map_err(io)? } else { path.to_path_buf() };
    if linked && real.extension().is_none_or(|e| e != ENDING) {
        return Err(io(std::io::Error::other(format!("the link leads to a file that is not a mapping file (*.{ENDING})"))));
    }
    Ok(real)
}

/// Writes a mapping file that was read. A link to another mapping file of the project stays a link: that file is written.
pub fn overwrite(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    crate::disk::write(&path.canonicalize()?, bytes, crate::disk::Access::Shared)
}

/// Reads a file; of one that is too large just enough to say so.
fn read(path: &Path, name: String) -> Result<Input, FilesError> {
    use std::io::Read;
    let io = |source| FilesError::Io { path: path.to_path_buf(), source };
    let file = crate::disk::open_regular(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(Input { name, bytes })
}
