//! What editors read: the JSON Schemas of d365map's YAML files, and the line by which a file names its own.
//!
//! A project has its schemas with it, so that editors need no network and always show the keys of the version that wrote them.

use std::path::Path;

use crate::{project, schema};

/// A format of YAML files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The project file, d365map.yaml.
    Project,
    /// Schema files, one for each table.
    Table,
}

/// The beginning of the line by which a YAML file names its JSON Schema. The YAML language server (VS Code, Neovim, Helix …) and
/// JetBrains' editors know it.
const EDITOR_LINE: &str = "# yaml-language-server: $schema=";

impl Format {
    /// All formats.
    pub const ALL: [Format; 2] = [Format::Project, Format::Table];

    /// The JSON Schema, as text.
    pub fn json_schema(self) -> String {
        let schema = match self {
            Format::Project => project::json_schema(),
            Format::Table => schema::file::json_schema(),
        };
        format!("{schema:#}\n")
    }

    /// The name of its file, in the folder `json` of a project's schema folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Format::Project => "project.json",
            Format::Table => "table.json",
        }
    }
}

/// The first line of a project file whose schema folder is `schemas`.
pub fn project_line() -> String {
    format!("{EDITOR_LINE}schemas/json/{}\n", Format::Project.file_name())
}

/// The first line of a schema file: that of the file that it takes the place of, or, if there is none, one that names the JSON Schema in
/// the schema folder, if that is there.
pub fn table_line(folder: &Path, before: Option<&str>) -> String {
    let name = Format::Table.file_name();
    match before {
        Some(text) => text.split_inclusive('\n').next().filter(|line| line.starts_with(EDITOR_LINE)).unwrap_or_default().to_owned(),
        None if folder.join("json").join(name).is_file() => format!("{EDITOR_LINE}json/{name}\n"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_file_keeps_its_line_for_editors_and_a_new_one_gets_it_where_the_json_schema_is() {
        let folder = tempfile::tempdir().unwrap();
        let line = "# yaml-language-server: $schema=../table.json\n";
        assert_eq!(table_line(folder.path(), Some(&format!("{line}version: 1\n"))), line);
        assert_eq!(table_line(folder.path(), Some("# mine\nversion: 1\n")), "");
        assert_eq!(table_line(folder.path(), None), "");
        std::fs::create_dir(folder.path().join("json")).unwrap();
        std::fs::write(folder.path().join("json/table.json"), "{}").unwrap();
        assert_eq!(table_line(folder.path(), None), "# yaml-language-server: $schema=json/table.json\n");
    }
}
