//! Where a watching process gets its plan from when a workflow is started again: the mapping files on disk, or one plan file.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::plan::{self, read_plan};
use super::{AppError, drift, files, services};
use crate::check::{included_paths, table_paths};
use crate::connect::Http;
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::{Kind, PlanSource, PlanSourceError, Services, Workflow};
use crate::syntax::MAX_FILE_BYTES;
use crate::system::SystemId;

/// Files looked at for a mark, at most: a folder by mistake of the whole disk must not keep the process busy.
const MOST_FILES: usize = 100_000;

/// Told of each workflow that is started again, with the plan that it runs by from then on.
pub type Started = Arc<dyn Fn(&Workflow, &ExecutionPlan) + Send + Sync>;

/// The files of a project.
pub struct FilesOnDisk {
    /// The project as the process was started with; its connections and limits stay until the process starts again.
    pub project: Project,
    /// The plan file, where the process was started with one.
    pub plan: Option<PathBuf>,
    /// What workflows talk to.
    pub services: Services,
    /// The layer below it, for what a workflow needs that the others did not.
    pub http: Http,
    /// Whether to start on a breaking drift too.
    pub ignore_drift: bool,
    /// Told of each workflow that is started again.
    pub started: Option<Started>,
}

impl PlanSource for FilesOnDisk {
    fn mark(&self) -> u64 {
        match &self.plan {
            Some(plan) => mark_of_files(BTreeSet::from([plan.clone()])),
            None => FilesOnDisk::mark_of(&self.project),
        }
    }

    fn load(&self) -> Result<Arc<ExecutionPlan>, PlanSourceError> {
        let mut plan = match &self.plan {
            Some(path) => read_plan(path).map_err(AppError::from)?,
            None => plan::of_project(&self.project)?,
        };
        plan::leave_out_two_way(&self.project, &mut plan);
        Ok(Arc::new(plan))
    }

    fn services(&self, plan: &ExecutionPlan, workflow: &Workflow) -> Result<Services, PlanSourceError> {
        if !self.ignore_drift {
            self.refuse_drift(&only(plan, workflow))?;
        }
        let mut services = self.services.clone();
        if services.systems.get(SystemId::Campaign).is_none() && workflow.kind != Kind::TwoWay {
            services = services::with_campaign(&self.project, self.http.clone(), services)?;
        }
        if services.exports.is_none() && !matches!(workflow.kind, Kind::Ingress | Kind::TwoWay) {
            services.exports = services::exports(&self.project)?;
        }
        if services.journal.is_none() && workflow.kind == Kind::Events {
            services.journal = services::journal(&self.project, self.http.clone())?;
        }
        if workflow.kind == Kind::TwoWay && services.systems.get(SystemId::Partner).is_none() {
            services = services::with_partner_center(&self.project, self.http.clone(), services)?;
        }
        if let Some(started) = &self.started {
            started(workflow, plan);
        }
        Ok(services)
    }
}

/// A mark of files as they are.
fn mark_of_files(files: BTreeSet<PathBuf>) -> u64 {
    let mut hasher = siphasher::sip::SipHasher13::new();
    for file in files {
        hasher.write(file.to_string_lossy().as_bytes());
        // One that is not there any more, or cannot be seen, is another state of things too.
        if let Ok(data) = std::fs::metadata(&file) {
            hasher.write_u64(data.len());
            let changed = data.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            hasher.write_u128(changed.as_nanos());
        }
    }
    hasher.finish()
}

impl FilesOnDisk {
    /// A mark of a project's mapping and schema files as they are: another mark, other files.
    pub fn mark_of(project: &Project) -> u64 {
        let mut files = BTreeSet::new();
        gather(&project.mappings, &mut files);
        // The mapping files may include files of other folders of the project.
        for file in files.clone() {
            includes(&project.root, &file, &mut files);
        }
        gather(&project.schemas, &mut files);
        mark_of_files(files)
    }

    /// As at the start of a run, for the tables of one workflow.
    fn refuse_drift(&self, plan: &ExecutionPlan) -> Result<(), AppError> {
        let group = match &self.plan {
            None => files::of_project(self.project.clone()).map(Some).map_err(AppError::from),
            Some(_) => Ok(None),
        };
        drift::refuse(&self.project, group, plan)
    }
}

/// A plan of one workflow.
fn only(plan: &ExecutionPlan, workflow: &Workflow) -> ExecutionPlan {
    let mut plan = plan.clone();
    let of_optout = plan.optouts.get(workflow.index).map(|o| o.mapping.clone()).filter(|_| workflow.kind == Kind::Optout);
    let wanted = of_optout.unwrap_or_else(|| workflow.name.clone());
    plan.ingress.retain(|f| f.name == wanted);
    plan.optouts.retain(|f| f.mapping == wanted);
    plan.events.retain(|f| f.name == wanted);
    plan.two_way.retain(|f| f.name == wanted);
    plan
}

/// The files that a mapping file includes or reads tables from, and those of what it includes.
fn includes(root: &Path, file: &Path, files: &mut BTreeSet<PathBuf>) {
    // What cannot be read is reported when the plan is made, not here.
    let Ok(text) = crate::disk::within(root, file).and_then(|real| crate::disk::read_text(&real, MAX_FILE_BYTES as u64)) else { return };
    for table in table_paths(&text) {
        if let (true, Ok(path)) = (files.len() < MOST_FILES, files::table_path(root, file, &table)) {
            files.insert(path);
        }
    }
    for included in included_paths(&text) {
        // Resolved, in one spelling: files that include each other come to an end.
        let Some(path) = files::included_file(root, file, &included) else { continue };
        if files.len() < MOST_FILES && files.insert(path.clone()) {
            includes(root, &path, files);
        }
    }
}

fn gather(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if files.len() >= MOST_FILES {
            return;
        }
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !hidden => gather(&entry.path(), files),
            Ok(kind) if !kind.is_dir() && !hidden => drop(files.insert(entry.path())),
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_tables_belong_to_the_files_that_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("mappings")).unwrap();
        let file = folder.path().join("mappings/a.d365map");
        std::fs::write(
            &file,
            "table a from \"../a.csv\" { key k }; table b from \"b.txt\" { key k }\n  table c from \"c.yaml\" { key k }\n",
        )
        .unwrap();
        for name in ["a.csv", "mappings/b.txt", "mappings/c.yaml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut files = BTreeSet::new();
        includes(folder.path(), &file, &mut files);
        let names: BTreeSet<_> = files.iter().filter_map(|f| f.file_name()).collect();
        assert_eq!(names, ["a.csv", "c.yaml"].map(std::ffi::OsStr::new).into());
    }

    #[test]
    fn files_that_are_included_from_elsewhere_belong_to_the_files_that_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("mappings/a.d365map", "include \"../shared/words.d365map\"\n");
        write("shared/words.d365map", "include \"more.d365map\"\n");
        write("shared/more.d365map", "# a cycle does no harm\ninclude \"words.d365map\"\n");
        let mut files = BTreeSet::new();
        gather(&folder.path().join("mappings"), &mut files);
        for file in files.clone() {
            includes(folder.path(), &file, &mut files);
        }
        let names: BTreeSet<_> = files.iter().filter_map(|f| f.file_name()).collect();
        assert_eq!(names, ["a.d365map", "more.d365map", "words.d365map"].map(std::ffi::OsStr::new).into());
    }
}
