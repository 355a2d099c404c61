//! What has changed in the services since the schemas were committed.

use std::collections::BTreeSet;

use crate::app::drift::{Drift, of_group};
use crate::app::{AppError, files, metadata};
use crate::project::Project;
use crate::schema::TableId;

/// The tables that mapping files name in their heads. Files with faults count too: a pull may be what repairs them.
pub fn tables_in_use(group: &files::Group) -> BTreeSet<TableId> {
    let heads = |text: &str| {
        let mut ignored = crate::diagnostics::Diagnostics::default();
        let file = crate::syntax::parse(crate::diagnostics::FileId(0), text, &mut ignored);
        let names = file.mappings.into_iter().filter_map(|m| m.head).flat_map(|h| [h.source, h.target]);
        names.filter_map(|t| TableId::parse(&format!("{}.{}", t.system.text, t.table.text))).collect::<Vec<_>>()
    };
    let named = group.inputs.iter().flat_map(|i| heads(&String::from_utf8_lossy(&i.bytes)));
    named.filter(|t| t.system.has_metadata()).collect()
}

/// Compares the services with the committed schemas for the tables that a project's mapping files use. Blocks.
///
/// # Errors
/// The files cannot be read, or a service cannot be asked.
pub fn compare_schemas(project: &Project) -> Result<Drift, AppError> {
    let group = files::of_project(project.clone())?;
    let tables = tables_in_use(&group).into_iter().filter(|t| group.catalogue.get(t).is_some()).collect();
    of_group(metadata::connect(project)?.as_ref(), group, &tables)
}
