//! `d365map init`: a project to begin with.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Exit, Global};
use crate::project::{FILE_NAME, template};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder; it is made where it does not exist.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Write over files that are there already.
    #[arg(long)]
    force: bool,
}

/// Why a project was not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file is in the way.
    #[error("{} is there already; nothing was written. Use --force to write over it", .0.display())]
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
pub fn run(args: &Args, global: &Global) -> Exit {
    match init(&args.dir, args.force) {
        Ok(written) => {
            if !global.quiet {
                say(&args.dir, &written);
            }
            Exit::Clean
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Failure
        }
    }
}

fn say(dir: &Path, written: &[PathBuf]) {
    let mut out = std::io::stdout().lock();
    let enter = if dir == Path::new(".") { String::new() } else { format!("cd {} && ", dir.display()) };
    for path in written {
        // A closed pipe is no reason to fail: the files are written.
        let _ = writeln!(out, "wrote {}", path.display());
    }
    let _ = writeln!(
        out,
        "\nNext:\n  {enter}d365map check        checks the mapping files against the built-in schemas, offline\n  \
         then open {FILE_NAME}, fill in the connections, and type\n  {enter}d365map schema pull  fetches your own fields from both services"
    );
}

/// Writes the project's files; what was written, in order. Either all files can be written or none is touched.
pub fn init(dir: &Path, force: bool) -> Result<Vec<PathBuf>, InitError> {
    let files = [(dir.join(FILE_NAME), template::PROJECT), (dir.join("mappings").join("contacts.d365map"), template::MAPPING)];
    if !force && let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(InitError::Exists(path.clone()));
    }
    for folder in ["mappings", "schemas"] {
        let path = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(|source| InitError::Io { path, source })?;
    }
    let mut written = Vec::new();
    for (path, text) in files {
        std::fs::write(&path, text).map_err(|source| InitError::Io { path: path.clone(), source })?;
        written.push(path);
    }
    // A folder without files is lost on the way through version control.
    let keep = dir.join("schemas").join(".gitkeep");
    std::fs::write(&keep, "").map_err(|source| InitError::Io { path: keep.clone(), source })?;
    if let Some(path) = ignore(dir)? {
        written.push(path);
    }
    Ok(written)
}

/// Adds to .gitignore what it lacks; the file, where something was added.
fn ignore(dir: &Path) -> Result<Option<PathBuf>, InitError> {
    let path = dir.join(".gitignore");
    let io = |source| InitError::Io { path: path.clone(), source };
    let mut text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(io(e)),
    };
    let has =
        |text: &str, line: &str| text.lines().any(|l| l.trim().trim_start_matches('/').trim_end_matches('/') == line.trim_end_matches('/'));
    let missing: Vec<&str> = template::IGNORED.into_iter().filter(|line| !has(&text, line)).collect();
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
    std::fs::write(&path, text).map_err(io)?;
    Ok(Some(path))
}
