//! What all requests share: the projects with their states.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::failure::{Failure, blocking};
use super::files::Files;
use super::jobs::Jobs;
use super::live::Live;
use super::metrics::Metrics;
use super::situation::Situation;
use crate::app::reload::{Fixed, Reloader};
use crate::app::state;
use crate::project::{Project, ProjectError};
use crate::run::Settings;
use crate::store::{self, Audit, AuditEntry, AuditFilter, AuditRecord, StoreError, Stores};

/// What all requests share.
pub struct Site {
    /// The projects by their names in addresses.
    pub projects: BTreeMap<String, Arc<Served>>,
    /// Who may do what.
    pub access: Access,
    /// What monitoring sees.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server is to stop.
    pub stop: CancellationToken,
}

/// A project that is served.
pub struct Served {
    /// Its name in addresses and on pages.
    pub name: String,
    /// Its project file.
    pub file: PathBuf,
    /// Tells pages that something may have changed.
    pub live: Live,
    /// What takes longer than a request.
    pub(super) jobs: Jobs,
    /// Wakes a runner that waits because the project could not start.
    pub(super) retry: Notify,
    situation: RwLock<Situation>,
    /// The state, opened at the first use and kept open.
    stores: Mutex<Option<(PathBuf, Stores)>>,
    /// Reads the project file again while the project is watched.
    reloader: std::sync::Mutex<Option<Reloader>>,
    /// The mapping files as they were when they were last looked at.
    pub(super) files: Mutex<Option<Arc<Files>>>,
}

/// Why projects cannot be served together.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// A project file cannot be used.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Two projects keep their state in the same file.
    #[error("{} and {} have the same state file; give each project its own: `state: …` in d365map.yaml", first.display(), second.display())]
    SharedState {
        /// A project file.
        first: PathBuf,
        /// Another project file.
        second: PathBuf,
    },
}

impl Served {
    /// The projects of these files or folders, each with its own name: that of its folder, with a number if it is taken.
    ///
    /// # Errors
    /// A project file cannot be used, or two projects share their state.
    pub fn load(paths: &[PathBuf]) -> Result<BTreeMap<String, Arc<Served>>, ServedError> {
        let mut served: BTreeMap<String, Arc<Served>> = BTreeMap::new();
        for path in paths {
            let file = if path.is_dir() { path.join(crate::project::FILE_NAME) } else { path.clone() };
            let project = Project::load(&file)?;
            if let Some(other) = served.values().find(|other| other.now().project.state == project.state) {
                return Err(ServedError::SharedState { first: other.file.clone(), second: file });
            }
            let base = slug(&project.root);
            let name = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") }).find(|name| !served.contains_key(name));
            let name = name.unwrap_or(base);
            served.insert(name.clone(), Arc::new(Served::new(name, file, project)));
        }
        Ok(served)
    }

    fn new(name: String, file: PathBuf, project: Project) -> Served {
        let situation = Situation { project: Arc::new(project), plan: None, started: BTreeMap::new(), http: None, problem: None };
        Served {
            name,
            file,
            live: Live::default(),
            jobs: Jobs::default(),
            retry: Notify::new(),
            situation: RwLock::new(situation),
            stores: Mutex::new(None),
            reloader: std::sync::Mutex::default(),
            files: Mutex::new(None),
        }
    }

    /// How the project is now.
    pub fn now(&self) -> Situation {
        self.situation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how the project is.
    pub(super) fn note(&self, change: impl FnOnce(&mut Situation)) {
        change(&mut self.situation.write().unwrap_or_else(PoisonError::into_inner));
        self.live.changed();
    }

    /// The project file as it was last read.
    pub fn project(&self) -> Arc<Project> {
        self.now().project
    }

    /// The state, for reading and for changes beside the run.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn stores(&self) -> Result<Stores, StoreError> {
        let project = self.project();
        let mut kept = self.stores.lock().await;
        // The project file can name another place when the project starts again.
        if let Some((place, stores)) = &*kept
            && *place == project.state
        {
            return Ok(stores.clone());
        }
        let stores = state::open(&project, store::Access::Write).await?;
        *kept = Some((project.state.clone(), stores.clone()));
        Ok(stores)
    }

    /// The mapping files as they are on disk.
    ///
    /// # Errors
    /// A file or the schemas cannot be read. Errors in mapping files are part of the result.
    pub async fn files(&self) -> Result<Arc<Files>, Failure> {
        let project = self.project();
        let mut kept = self.files.lock().await;
        let known = kept.clone();
        let files = blocking(move || Files::current(known, &project)).await?;
        *kept = Some(files.clone());
        Ok(files)
    }

    /// The watch that begins takes up what [`Served::reload`] finds.
    pub(super) fn begin_reloads(&self, project: &Project) -> watch::Receiver<Settings> {
        let (reloader, settings) = Reloader::new(project, Fixed::default());
        *self.reloader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reloader);
        settings
    }

    /// The watch has ended.
    pub(super) fn end_reloads(&self) {
        *self.reloader.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads the project file again: what can change takes effect, and a project that could not start tries again. Blocks.
    pub fn reload(&self) {
        match &mut *self.reloader.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reloader) => {
                if let Some(project) = reloader.reload_and_log() {
                    self.note(|now| now.project = Arc::new(project));
                }
            }
            None => self.try_again(),
        }
    }

    /// Has a project that could not start try again at once.
    pub fn try_again(&self) {
        self.retry.notify_one();
    }
}

#[async_trait]
impl Audit for Served {
    async fn note_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.stores().await?.audit.note_audit(entry).await
    }

    async fn audit(&self, filter: &AuditFilter, before: Option<i64>, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        self.stores().await?.audit.audit(filter, before, limit).await
    }
}

/// A name for addresses: the folder's, in lower case, with hyphens for what addresses do not take.
fn slug(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "project".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_name_is_a_name_for_addresses() {
        for (folder, name) in
            [("/a/CRM sync", "crm-sync"), ("/a/..x_1", "x_1"), ("/", "project"), ("/ü", "project"), ("/a/Müller & Co.", "m-ller-co")]
        {
            assert_eq!(slug(Path::new(folder)), name, "{folder}");
        }
    }

    #[test]
    fn each_project_has_its_own_name_and_its_own_state() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a/sync", "b/sync"].iter().map(|name| folder.path().join(name)).collect();
        for path in &paths {
            std::fs::create_dir_all(path).unwrap();
            std::fs::write(path.join("d365map.yaml"), "version: 1\n").unwrap();
        }
        let served = Served::load(&paths).unwrap();
        assert_eq!(served.keys().collect::<Vec<_>>(), ["sync", "sync-2"]);
        let twice = Served::load(&[paths[0].clone(), paths[0].join("d365map.yaml")]);
        assert!(matches!(twice, Err(ServedError::SharedState { .. })));
    }
}
