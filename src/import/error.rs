//! Why a table cannot be read.

use crate::diagnostics::FileProblem;

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not a table of CSV.
    #[error("{file}: {reason}. Save the sheet as CSV (UTF-8)")]
    Csv {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A workbook that cannot be read, with what to do.
    #[error("{file}: {reason}")]
    Workbook {
        /// The file.
        file: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The columns tell no kind of table.
    #[error(
        "{file}: no row of headings was found; the first row is {found}. Field mappings have a source and a target, replacements a field, an existing and a new value, filters a field and a comparison. Name the headings with `--columns source=\"CRM field\"`, and what the table lists with `--kind`"
    )]
    Columns {
        /// The file.
        file: String,
        /// The first row that has text.
        found: String,
    },
    /// A faulty YAML file.
    #[error("{}: {}{}", .0.path.display(), .0.message, .0.help.as_ref().map(|h| format!(". {h}")).unwrap_or_default())]
    Yaml(Box<FileProblem>),
}
