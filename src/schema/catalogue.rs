//! The tables that are known: the built-in ones, overlaid by the files of a project's schema folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::file::{self, Heading};
use super::model::{Table, TableId};
use crate::diagnostics::FileProblem;
use crate::project::Project;
use crate::yaml;

/// The built-in tables, in the format of schema files.
///
/// `d365.contact` holds every attribute of the contact table that the Web API gives, Microsoft's own solutions included;
/// columns that an organization made for itself are not in it. `campaign.profile` holds the documented attributes of the
/// resource; custom fields (`cus…`) are not in it. Both kinds come in by a pull or by a file written by hand.
///
/// `partner.referral` holds the fields of Partner Center's referrals resource as its documentation and published answers show
/// them; `d365.opportunity` the standard columns of an opportunity that such a referral fills, with the two columns that
/// Microsoft's co-sell solution adds. Lengths of the latter are assumed. `partner.solution` is an item of a referral's solutions, and the
/// other tables of Dynamics 365 have the columns that a referral needs of them.
const BUILTIN: [(&str, &str); 10] = [
    ("built-in/d365.contact.yaml", include_str!("builtin/d365.contact.yaml")),
    ("built-in/campaign.profile.yaml", include_str!("builtin/campaign.profile.yaml")),
    ("built-in/campaign.orgUnitBase.yaml", include_str!("builtin/campaign.orgUnitBase.yaml")),
    ("built-in/d365.opportunity.yaml", include_str!("builtin/d365.opportunity.yaml")),
    ("built-in/partner.referral.yaml", include_str!("builtin/partner.referral.yaml")),
    ("built-in/partner.solution.yaml", include_str!("builtin/partner.solution.yaml")),
    ("built-in/d365.account.yaml", include_str!("builtin/d365.account.yaml")),
    ("built-in/d365.systemuser.yaml", include_str!("builtin/d365.systemuser.yaml")),
    ("built-in/d365.transactioncurrency.yaml", include_str!("builtin/d365.transactioncurrency.yaml")),
    ("built-in/d365.msft_microsoftpartnercentersolution.yaml", include_str!("builtin/d365.msft_microsoftpartnercentersolution.yaml")),
];

/// Tables by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableId, Arc<Table>>,
}

impl Catalogue {
    /// The tables that need no file.
    pub fn builtin() -> &'static Catalogue {
        static TABLES: LazyLock<Catalogue> = LazyLock::new(|| {
            let mut catalogue = Catalogue::default();
            for (name, text) in BUILTIN {
                match file::read(Path::new(name), &Arc::from(text)) {
                    Ok(table) => catalogue.insert(table),
                    // Part of the program: a test reads every one of them.
                    Err(problems) => unreachable!("built-in schema: {problems:?}"),
                }
            }
            catalogue
        });
        &TABLES
    }

    /// The built-in tables, overlaid by the files of a folder that is a project by itself.
    ///
    /// # Errors
    ///
    /// As [`Catalogue::with_folder`].
    #[cfg(any(test, feature = "internals"))]
    pub fn with_dir(dir: &Path) -> Result<Catalogue, Vec<FileProblem>> {
        Catalogue::with_folder(SchemaFolder::alone(dir))
    }

    /// The built-in tables, overlaid by the `*.yaml` and `*.yml` files of a folder; a folder that does not exist has none.
    ///
    /// # Errors
    ///
    /// Every fault of every file, sorted by file. A link to a file outside of the project folder is a fault, and the file is not read.
    pub fn with_folder(folder: SchemaFolder<'_>) -> Result<Catalogue, Vec<FileProblem>> {
        let dir = folder.path;
        let mut catalogue = Catalogue::builtin().clone();
        let mut problems = Vec::new();
        let mut known: BTreeMap<TableId, PathBuf> = BTreeMap::new();
        for path in files(dir).map_err(|e| vec![FileProblem::unreadable(dir, e, None)])? {
            let text = match folder.read(&path) {
                Ok(text) => text,
                Err(problem) => {
                    problems.push(*problem);
                    continue;
                }
            };
            let parsed = match file::parse(&path, &text) {
                Ok(parsed) => parsed,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let table = parsed.heading.table.clone();
            if let Some(other) = known.insert(table.clone(), path.clone()) {
                problems.push(
                    FileProblem::new(&path, &text, parsed.heading.span.clone(), format!("two files describe {table}"))
                        .label(format!("the other is {}", other.display()))
                        .help("keep one of the two; what one adds can be moved into the other"),
                );
                continue;
            }
            match parsed.table(Catalogue::builtin().get(&table).map(Arc::as_ref)) {
                Ok(table) => catalogue.insert(table),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(catalogue) } else { Err(problems) }
    }

    /// The table with this name.
    pub fn get(&self, id: &TableId) -> Option<&Arc<Table>> {
        self.tables.get(id)
    }

    /// The table that describes the items of a list, if the field of a table at a path is one.
    pub fn items(&self, table: &Table, path: &[&str]) -> Option<&Arc<Table>> {
        self.get(&table.items(path)?)
    }

    /// Every table, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// Adds a table, in place of one with the same name.
    pub fn insert(&mut self, table: Table) {
        self.tables.insert(table.id.clone(), Arc::new(table));
    }
}

/// A folder of schema files, and the project folder that links in it must not leave. Findings quote schema files, so a link to a file
/// of somebody else would show it.
#[derive(Clone, Copy, Debug)]
pub struct SchemaFolder<'a> {
    /// The folder of the files; it need not exist.
    pub path: &'a Path,
    /// The folder of the project.
    pub root: &'a Path,
}

impl<'a> SchemaFolder<'a> {
    /// The folder of a project.
    pub fn of(project: &'a Project) -> SchemaFolder<'a> {
        SchemaFolder { path: &project.schemas, root: &project.root }
    }

    /// A folder without a project around it.
    #[cfg(any(test, feature = "internals"))]
    pub fn alone(path: &'a Path) -> SchemaFolder<'a> {
        SchemaFolder { path, root: path }
    }

    /// Reads a file of the folder as UTF-8 text.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is a link that leads out of the project.
    pub fn read(self, path: &Path) -> Result<Arc<str>, Box<FileProblem>> {
        crate::disk::within(self.root, path).map_err(|e| {
            let outside = e.raw_os_error().is_none();
            Box::new(FileProblem::unreadable(path, e, outside.then_some("copy the file into the project")))
        })?;
        yaml::read(path)
    }
}

/// The schema files of a folder, by name.
fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        // A pipe or a link that leads nowhere is not skipped: reading it is an error.
        if !hidden && path.extension().is_some_and(|e| e == "yaml" || e == "yml") && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The file of a folder that describes a table, and whether it only extends the built-in one. Faulty files are skipped.
///
/// # Errors
///
/// The folder cannot be read.
pub fn file_of(folder: SchemaFolder<'_>, table: &TableId) -> std::io::Result<Option<(PathBuf, Heading)>> {
    Ok(files(folder.path)?.into_iter().find_map(|path| {
        let text = folder.read(&path).ok()?;
        let heading = file::parse(&path, &text).ok()?.heading.clone();
        (heading.table == *table).then_some((path, heading))
    }))
}
