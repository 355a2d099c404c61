//! The mapping files of a project as they are on disk: compiled once for all pages, and again when they change.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::situation::Situation;
use crate::app::files::{self, FilesError};
use crate::app::plan::leave_out_two_way;
use crate::app::source::FilesOnDisk;
use crate::app::{AppError, CommandError, ErrorKind};
use crate::check::Compiled;
use crate::diagnostics::{Diagnostics, FileId, Severity};
use crate::plan::ExecutionPlan;
use crate::plan::changes::{WorkflowChange, changes};
use crate::project::Project;
use crate::report::{Document, collect};
use crate::syntax;
use crate::testing::{self, Coverage, Difference, Outcome};
use crate::time::{self, Instant};

/// The mapping files of a project as they are on disk.
pub struct Files {
    mark: u64,
    project: Arc<Project>,
    /// What came of them.
    pub compiled: Compiled,
    /// Their plan without what a watch leaves out; none if they have errors.
    pub plan: Option<ExecutionPlan>,
    /// What they say, in tables.
    pub document: Document,
    tested: OnceLock<Tested>,
}

/// The results of the tests of a project.
#[derive(Clone, Debug)]
pub struct Tested {
    /// When they ran.
    pub at: Instant,
    /// In the order of the files.
    pub cases: Vec<TestedCase>,
    /// What they reach in each mapping.
    pub coverage: Coverage,
}

/// The result of a test.
#[derive(Clone, Debug)]
pub struct TestedCase {
    /// The mapping.
    pub mapping: String,
    /// What the test shows.
    pub title: String,
    /// Its file and line.
    pub place: String,
    /// What differs; nothing if it passed.
    pub differences: Vec<Difference>,
}

impl Files {
    /// The files as they are now: those that are known if nothing has changed since they were read. Blocks.
    ///
    /// # Errors
    /// A file or the schemas cannot be read. Errors in mapping files are part of the result.
    pub fn current(known: Option<Arc<Files>>, project: &Arc<Project>) -> Result<Arc<Files>, AppError> {
        match known {
            Some(files) if Arc::ptr_eq(&files.project, project) && files.mark == FilesOnDisk::mark_of(project) => Ok(files),
            _ => Files::read(project).map(Arc::new),
        }
    }

    fn read(project: &Arc<Project>) -> Result<Files, AppError> {
        // Before the files are read: a change in the meantime is seen the next time.
        let mark = FilesOnDisk::mark_of(project);
        let group = match files::of_project(Project::clone(project)) {
            Err(FilesError::NoMappings { .. }) => files::without_files(Some(Project::clone(project)))?,
            result => result?,
        };
        let mut document = Document::default();
        for input in &group.inputs {
            let (text, _) = syntax::decode(input.bytes.clone());
            let tree = syntax::parse(FileId(0), &text, &mut Diagnostics::default());
            document.sections.extend(collect(&input.name, &text, &tree, &group.catalogue).sections);
        }
        let compiled = group.compile();
        let mut plan = compiled.plan.clone();
        if let Some(plan) = &mut plan {
            leave_out_two_way(project, plan);
        }
        Ok(Files { mark, project: project.clone(), compiled, plan, document, tested: OnceLock::new() })
    }

    /// How many errors and warnings the files have.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
        (errors, self.compiled.diagnostics.len() - errors)
    }

    /// The results of the tests, if they ran since the files have changed.
    pub fn tested(&self) -> Option<&Tested> {
        self.tested.get()
    }

    /// Runs the tests, unless they ran since the files have changed. Takes a while.
    ///
    /// # Errors
    /// The files have errors.
    pub fn test(&self) -> Result<&Tested, CommandError> {
        if let Some(tested) = self.tested.get() {
            return Ok(tested);
        }
        let plan =
            self.compiled.plan.as_ref().ok_or_else(|| CommandError::findings("no test was run, since the mapping files have errors"))?;
        let at = time::now();
        let report = testing::run(plan, self.compiled.tests.iter(), at).map_err(|e| CommandError::new(ErrorKind::Bug, e))?;
        let cases = report.ran.into_iter().map(|ran| {
            let (file, position) = self.compiled.sources.locate(ran.case.span);
            let differences = match ran.outcome {
                Outcome::Passed => Vec::new(),
                Outcome::Failed(differences) => differences,
            };
            let place = format!("{file}:{}", position.line);
            TestedCase { mapping: ran.case.mapping.clone(), title: ran.case.title.clone(), place, differences }
        });
        let tested = Tested { at, cases: cases.collect(), coverage: report.coverage };
        Ok(self.tested.get_or_init(|| tested))
    }

    /// What differs between the plans that workflows run by and the files. `records` are the numbers of records by workflow.
    pub fn differences(&self, now: &Situation, records: &BTreeMap<String, u64>) -> Vec<WorkflowChange> {
        let (Some(running), Some(new)) = (&now.plan, &self.plan) else { return Vec::new() };
        let of = |old: &ExecutionPlan| changes(old, new, records, self.project.limits.page_size).workflows;
        let mut all = of(running);
        all.retain(|change| !now.started.contains_key(&change.name));
        for (name, plan) in &now.started {
            all.extend(of(plan).into_iter().filter(|change| change.name == *name));
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::changes::{ChangeKind, Effect};

    const TEXT: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | truncate(30)
}
";

    fn read(folder: &std::path::Path, text: &str) -> Files {
        std::fs::create_dir_all(folder.join("mappings")).unwrap();
        std::fs::write(folder.join("mappings/contacts.d365map"), text).unwrap();
        Files::read(&Arc::new(Project::defaults(folder))).unwrap()
    }

    #[test]
    fn what_differs_is_found_by_the_plan_that_each_workflow_runs_by() {
        let folder = tempfile::tempdir().unwrap();
        let before = read(folder.path(), TEXT);
        let running = Arc::new(before.plan.clone().unwrap());
        let mut now =
            Situation { project: before.project.clone(), plan: Some(running), started: BTreeMap::new(), http: None, problem: None };
        let records = BTreeMap::from([("contacts".to_owned(), 2_500)]);
        assert_eq!(before.differences(&now, &records), []);
        let after = read(folder.path(), &TEXT.replace("30", "20"));
        let changes = after.differences(&now, &records);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.change, change.effect, change.read_calls), (ChangeKind::Changed, Effect::ReadAgain, Some(3)));
        assert!(change.lines().iter().any(|line| line.starts_with("- ") && line.contains("30")), "{:?}", change.lines());
        // It was started again by the new files.
        now.started.insert("contacts".to_owned(), Arc::new(after.plan.clone().unwrap()));
        assert_eq!(after.differences(&now, &records), []);
        assert_eq!(before.differences(&now, &records).len(), 1);
    }

    #[test]
    fn files_with_errors_have_findings_and_no_plan_and_their_tests_do_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let files = read(folder.path(), &TEXT.replace("firstname", "nothing"));
        assert_eq!(files.counts().0, 1);
        assert!(files.plan.is_none() && files.test().is_err() && files.tested().is_none());
        assert_eq!(files.document.sections.len(), 1);
    }
}
