//! Reading tables: columns by many names, rows with their numbers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::project::FileProblem;
use crate::yaml;

/// What a table lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Source, target, steps.
    Fields,
    /// Field, value, value.
    Replacements,
    /// Field, comparison, value.
    Filters,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The file's name.
    pub file: String,
    /// What it lists.
    pub kind: Kind,
    /// In order.
    pub rows: Vec<Row>,
}

/// A row; its cells by the names that this module gives the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As a spreadsheet counts, the heading being row 1.
    pub number: usize,
    /// Without the empty ones.
    pub cells: BTreeMap<&'static str, String>,
}

impl Row {
    /// A cell; the empty text where there is none.
    pub fn cell(&self, column: &str) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }
}

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
    /// The columns tell no kind of table.
    #[error(
        "{file}: the columns are {found}, which make no table. Field mappings have a source and a target, replacements a field, an existing and a new value, filters a field and a comparison; `--kind` says which is meant"
    )]
    Columns {
        /// The file.
        file: String,
        /// The headings.
        found: String,
    },
    /// A faulty YAML file.
    #[error("{}: {}{}", .0.path.display(), .0.message, .0.help.as_ref().map(|h| format!(". {h}")).unwrap_or_default())]
    Yaml(Box<FileProblem>),
}

/// The names that people give a column, in small letters without blanks and signs.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        "source",
        &[
            "source",
            "sourcefield",
            "d365field",
            "dynamicsfield",
            "dynamicsattribute",
            "d365attribute",
            "dynamics365field",
            "dynamics365attribute",
            "from",
            "microsoftdynamics365field",
        ],
    ),
    (
        "target",
        &["target", "targetfield", "campaignfield", "campaignattribute", "adobecampaignfield", "acsfield", "to", "adobecampaignattribute"],
    ),
    ("steps", &["steps", "transformation", "transformations", "transform", "rule"]),
    ("default", &["default", "defaultvalue"]),
    ("updates", &["applyupdates", "updates", "update"]),
    ("key", &["key", "iskey"]),
    ("comment", &["comment", "comments", "note", "notes", "remark", "remarks", "description"]),
    ("field", &["field", "attribute", "column", "fieldname"]),
    ("old", &["existingvalue", "oldvalue", "fromvalue", "value", "sourcevalue", "old", "existing"]),
    ("new", &["newvalue", "tovalue", "replacement", "targetvalue", "new", "replacewith"]),
    ("comparison", &["comparison", "operator", "condition", "compare"]),
    ("join", &["andor", "join", "logic", "connector", "group"]),
];

fn column(heading: &str) -> Option<&'static str> {
    let plain: String = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    COLUMNS.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(name, _)| *name)
}

/// Which table the columns make.
fn kind(columns: &[Option<&str>]) -> Option<Kind> {
    let has = |name: &str| columns.contains(&Some(name));
    if has("source") && has("target") {
        Some(Kind::Fields)
    } else if has("comparison") && (has("field") || has("source")) {
        Some(Kind::Filters)
    } else if has("old") && has("new") && (has("field") || has("source")) {
        Some(Kind::Replacements)
    } else {
        None
    }
}

/// Reads the tables of a file: one of CSV, up to three of YAML.
///
/// # Errors
///
/// [`TableError`].
pub fn read(path: &Path, file: &str, bytes: &[u8], wanted: Option<Kind>) -> Result<Vec<Table>, TableError> {
    let text = decode(bytes);
    if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
        return of_yaml(path, file, &text);
    }
    of_csv(file, &text, wanted).map(|t| vec![t])
}

/// UTF-8 with or without a byte order mark; what is none is taken for the encoding that spreadsheets on Windows save.
fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

fn of_csv(file: &str, text: &str, wanted: Option<Kind>) -> Result<Table, TableError> {
    let fault = |e: csv::Error| TableError::Csv { file: file.to_owned(), reason: e.to_string() };
    // The separator is the sign that the heading has most of.
    let heading = text.lines().next().unwrap_or_default();
    let separator =
        [b',', b';', b'\t'].into_iter().max_by_key(|s| (heading.bytes().filter(|b| b == s).count(), *s == b',')).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let headings = reader.headers().map_err(fault)?.clone();
    let mut columns: Vec<Option<&'static str>> = headings.iter().map(column).collect();
    let unknown =
        || TableError::Columns { file: file.to_owned(), found: headings.iter().map(|h| format!("`{h}`")).collect::<Vec<_>>().join(", ") };
    let kind = wanted.or_else(|| kind(&columns)).ok_or_else(unknown)?;
    rename(&mut columns, kind);
    let mut rows = Vec::new();
    for (i, record) in reader.records().enumerate() {
        let record = record.map_err(fault)?;
        let cells =
            columns.iter().zip(&record).filter_map(|(c, cell)| Some(((*c)?, cell.trim().to_owned()))).filter(|(_, c)| !c.is_empty());
        let cells: BTreeMap<&'static str, String> = cells.collect();
        if !cells.is_empty() {
            rows.push(Row { number: i + 2, cells });
        }
    }
    Ok(Table { file: file.to_owned(), kind, rows })
}

/// In replacements and filters the source is the field; in filters the value is what is compared with.
fn rename(columns: &mut [Option<&'static str>], kind: Kind) {
    for column in columns.iter_mut() {
        *column = match (kind, *column) {
            (Kind::Replacements | Kind::Filters, Some("source")) => Some("field"),
            (Kind::Filters, Some("old" | "target" | "new")) => Some("value"),
            (Kind::Replacements, Some("target")) => Some("new"),
            (Kind::Fields, Some("field")) => Some("source"),
            (_, other) => other,
        };
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    fields: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    replacements: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    filters: Vec<BTreeMap<String, String>>,
}

fn of_yaml(path: &Path, file: &str, text: &str) -> Result<Vec<Table>, TableError> {
    let document: Document = yaml::from_str(path, &text.into()).map_err(TableError::Yaml)?;
    let mut tables = Vec::new();
    for (kind, rows) in [(Kind::Fields, document.fields), (Kind::Replacements, document.replacements), (Kind::Filters, document.filters)] {
        if rows.is_empty() {
            continue;
        }
        let mut found = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            let mut cells = BTreeMap::new();
            for (heading, cell) in row {
                let mut column = [column(&heading)];
                rename(&mut column, kind);
                match column {
                    [Some(name)] if !cell.trim().is_empty() => {
                        cells.insert(name, cell.trim().to_owned());
                    }
                    [Some(_)] => {}
                    [None] => return Err(TableError::Columns { file: file.to_owned(), found: format!("`{heading}` among others") }),
                }
            }
            found.push(Row { number: i + 1, cells });
        }
        tables.push(Table { file: file.to_owned(), kind, rows: found });
    }
    Ok(tables)
}
