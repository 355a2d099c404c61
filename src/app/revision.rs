//! A project as it was at a revision of its Git repository. Git itself reads the repository: every machine that has one has Git.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::files::{self, FilesError, Group};
use crate::disk::{self, Access};
use crate::project::Project;

/// Files that a mapping is made of; others are not read.
const ENDINGS: &[&str] = &["d365map", "yaml", "yml", "json", "csv", "xlsx"];

/// Why a revision cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Git is not installed.
    #[error("Git cannot be started: {0}. To compare with a revision, install Git; to compare with a compiled plan, name its file")]
    NoGit(std::io::Error),
    /// Neither a file nor a revision.
    #[error("`{name}` is neither a compiled plan nor a revision of the Git repository in {}", root.display())]
    Unknown {
        /// What was asked for.
        name: String,
        /// The project's folder.
        root: PathBuf,
    },
    /// Git failed.
    #[error("`git {command}` failed: {message}")]
    Git {
        /// The command.
        command: String,
        /// What it said.
        message: String,
    },
    /// The revision has no such project.
    #[error("revision `{name}` has no d365map.yaml in {}", root.display())]
    NoProject {
        /// The revision.
        name: String,
        /// The project's folder.
        root: PathBuf,
    },
    /// The files of the revision cannot be stored for a moment.
    #[error("a file of the revision cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// The files of the revision cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
}

fn git(root: &Path, words: &[&str]) -> Result<Vec<u8>, RevisionError> {
    let output = Command::new("git").arg("-C").arg(root).args(words).output().map_err(RevisionError::NoGit)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RevisionError::Git { command: words.first().copied().unwrap_or_default().to_owned(), message })
}

/// Reads the mapping files of a project as they were at a revision. The folder that is returned holds them as long as it lives.
///
/// # Errors
/// [`RevisionError`].
pub fn at(project: &Project, name: &str) -> Result<(tempfile::TempDir, Group), RevisionError> {
    let root = &project.root;
    let commit = format!("{name}^{{commit}}");
    let commit = match git(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]) {
        Ok(hash) => String::from_utf8_lossy(&hash).trim().to_owned(),
        Err(RevisionError::Git { .. }) => return Err(RevisionError::Unknown { name: name.to_owned(), root: root.clone() }),
        Err(other) => return Err(other),
    };
    let listed = git(root, &["ls-tree", "-r", "-z", "--name-only", &commit, "--", "."])?;
    let folder = tempfile::tempdir()?;
    for path in listed.split(|byte| *byte == 0).filter_map(|path| std::str::from_utf8(path).ok()).filter(|path| !path.is_empty()) {
        let relative = Path::new(path);
        let wanted = relative.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e));
        // Git lists what is outside of the folder with `..`, which `-- .` rules out.
        if !wanted || relative.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            continue;
        }
        let to = folder.path().join(relative);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        disk::write(&to, &git(root, &["cat-file", "blob", &format!("{commit}:./{path}")])?, Access::Private)?;
    }
    let no_project = || RevisionError::NoProject { name: name.to_owned(), root: root.clone() };
    if !folder.path().join(crate::project::FILE_NAME).is_file() {
        return Err(no_project());
    }
    let before = files::project(Some(&folder.path().join(crate::project::FILE_NAME)))?.ok_or_else(no_project)?;
    Ok((folder, files::of_project(before)?))
}
