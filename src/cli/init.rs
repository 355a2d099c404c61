//! `d365map init`: a project to begin with.

use std::path::{Path, PathBuf};

use super::output::print;
use super::{Exit, Global, emulated};
use crate::app::{CommandError, editors, files};
use crate::disk;
use crate::project::{FILE_NAME, template};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder. It is created if it does not exist.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Also write a workflow that checks the mappings, for this service.
    #[arg(long, value_enum, value_name = "SERVICE")]
    ci: Option<template::Ci>,
    /// Fill in the connections for the emulators on this machine, so that the project runs at once.
    #[arg(long)]
    emulated: bool,
    /// Overwrite existing files.
    #[arg(long)]
    force: bool,
}

/// Why a project was not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is in the way.
    #[error("{} already exists; nothing was written. Use --force to overwrite it", .0.display())]
    Exists(PathBuf),
    /// A file or folder cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Makes the project and says what comes next.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let written = init(args).map_err(CommandError::usage)?;
    if !global.quiet {
        say(args, &written);
    }
    Ok(Exit::Clean)
}

fn say(args: &Args, written: &[PathBuf]) {
    let mut out = String::new();
    let enter = if args.dir == Path::new(".") { String::new() } else { format!("cd {} && ", args.dir.display()) };
    for path in written {
        out.push_str(&format!("wrote {}\n", files::display(path)));
    }
    let steps: &[(&str, &str)] = if args.emulated {
        &[
            ("d365map emulate --project-ports", "starts both services on this machine; leave it running"),
            ("d365map run", "in a second terminal: writes the emulated contacts to the emulated Campaign"),
        ]
    } else {
        &[
            ("d365map check", "checks the mapping files against the built-in schemas, offline"),
            ("d365map test", "runs their tests, offline"),
            ("d365map schema pull", "fetches your own fields from both services, after you have filled in the connections in d365map.yaml"),
        ]
    };
    out.push_str("\nNext:\n");
    for (command, what) in steps {
        out.push_str(&format!("  {enter}{command:<width$}  {what}\n", width = steps.iter().map(|(c, _)| c.len()).max().unwrap_or(0)));
    }
    if let Some(ci) = args.ci {
        out.push_str(&format!("Before the first run in CI, set the variable D365MAP_REPOSITORY, as {} says.\n", ci.path()));
    }
    print(&out);
}

/// Writes the project's files; returns what was written, in order. Either all files can be written or none is touched.
fn init(args: &Args) -> Result<Vec<PathBuf>, InitError> {
    let dir = &args.dir;
    let project = if args.emulated { emulated_project() } else { template::PROJECT.to_owned() };
    let mut files = vec![
        (dir.join(FILE_NAME), editors::project_line() + &project),
        (dir.join("mappings").join("contacts.d365map"), template::starter()),
        (dir.join("mappings").join("contacts.tests.d365map"), template::TESTS.to_owned()),
    ];
    // They are in the schema folder of a new project, so that the line at the top of each YAML file leads to them.
    let schemas = dir.join("schemas").join("json");
    files.extend(editors::Format::ALL.map(|format| (schemas.join(format.file_name()), format.json_schema())));
    if let Some(ci) = args.ci {
        let (repository, below) = repository(dir);
        files.push((repository.join(ci.path()), ci.workflow(&shell_word(&below.join("mappings")))));
    }
    if !args.force
        && let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok())
    {
        return Err(InitError::Exists(path.clone()));
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| InitError::Io { path, source }
    };
    for folder in files.iter().filter_map(|(path, _)| path.parent()) {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    let mut written = Vec::new();
    for (path, text) in files {
        disk::write(&path, text.as_bytes(), disk::Access::Shared).map_err(io(&path))?;
        written.push(path);
    }
    if args.emulated {
        emulated::write_secrets(dir).map_err(|(path, source)| InitError::Io { path, source })?;
    }
    written.extend(add_lines(&dir.join(".gitignore"), &template::IGNORED)?);
    written.extend(add_lines(&dir.join(".gitattributes"), &template::ATTRIBUTES)?);
    Ok(written)
}

/// The project file for the emulators.
fn emulated_project() -> String {
    let connections = emulated::connections(&emulated::PORTS.addresses(), emulated::IN_FILES);
    format!(
        "# A project that runs against the emulators on this machine: start them with `d365map emulate --project-ports`.\n\
         # `d365map init` without `--emulated` writes a project file for your own systems. Every key: docs/project-file.md\n\
         version: 1\n\n{connections}"
    )
}

/// The root of the Git repository that a folder lies in, and the way from there to the folder; the folder itself if there is none.
fn repository(dir: &Path) -> (PathBuf, PathBuf) {
    let none = (dir.to_owned(), PathBuf::new());
    let Ok(absolute) = std::path::absolute(dir).map(|p| p.components().collect::<PathBuf>()) else { return none };
    let root = absolute.ancestors().find(|folder| folder.join(".git").exists());
    match root.and_then(|root| Some((root, absolute.strip_prefix(root).ok()?))) {
        Some((root, below)) if !below.as_os_str().is_empty() => (root.to_owned(), below.to_owned()),
        _ => none,
    }
}

/// A path with `/`, quoted for a POSIX shell if it needs to be.
fn shell_word(path: &Path) -> String {
    let text = path.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Adds the lines that a file lacks, `.gitignore` for example; returns the path if something was added.
fn add_lines(path: &Path, lines: &[&str]) -> Result<Option<PathBuf>, InitError> {
    let io = |source| InitError::Io { path: path.to_owned(), source };
    let mut text = match disk::read_text(path, disk::SMALL) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(io(e)),
    };
    // `/secrets` and `secrets/` mean the same folder.
    let plain = |line: &str| line.trim().trim_start_matches('/').trim_end_matches('/').to_owned();
    let missing: Vec<&str> = lines.iter().copied().filter(|line| !text.lines().any(|l| plain(l) == plain(line))).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in missing {
        text.push_str(line);
        text.push('\n');
    }
    disk::write(path, text.as_bytes(), disk::Access::Shared).map_err(io)?;
    Ok(Some(path.to_owned()))
}
