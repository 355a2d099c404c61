//! The JSON Schemas for editors: they accept what the readers accept, refuse what they refuse, and describe every key.

use std::path::{Path, PathBuf};
use std::process::Command;

use d365map::app::editors::Format;
use d365map::project::{FILE_NAME, Project, template};
use serde_json::Value;

use crate::project::uncommented;

fn schema(format: Format) -> Value {
    serde_json::from_str(&format.json_schema()).unwrap()
}

/// The faults of YAML text, by the JSON Schema.
fn faults(format: Format, text: &str) -> Vec<String> {
    // As editors read YAML 1.2, in which `off` and `No` are texts.
    let options = serde_saphyr::options! { strict_booleans: true, emit_comments: false };
    let value: Value = serde_saphyr::from_str_with_options(text, options).unwrap();
    jsonschema::validator_for(&schema(format)).unwrap().iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// Whether the reader of project files accepts a text.
fn is_read(text: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
    Project::load(&folder.path().join(FILE_NAME)).is_ok()
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules" | ".git") {
                yaml_files(&path, found);
            }
        } else if name.ends_with(".yaml") {
            found.push(path);
        }
    }
}

#[test]
fn every_project_file_and_schema_file_of_the_repository_is_valid() {
    let mut files = Vec::new();
    for folder in ["src", "examples", "tests/data/schemas", "tests/chaos"] {
        yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut counts = [0, 0];
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let format = if path.file_name().is_some_and(|name| name == FILE_NAME) {
            Format::Project
        } else if text.lines().any(|line| line.starts_with("table:")) {
            Format::Table
        } else {
            continue;
        };
        counts[usize::from(format == Format::Table)] += 1;
        assert_eq!(faults(format, &text), Vec::<String>::new(), "{}", path.display());
    }
    assert!(counts[0] >= 5 && counts[1] >= 20, "{counts:?}");
    assert_eq!(faults(Format::Project, &uncommented(None).0), Vec::<String>::new());
}

#[test]
fn the_json_schema_of_the_project_file_decides_as_the_reader_does() {
    let campaign = "version: 1\nconnections:\n  campaign:\n    organization: contoso\n    client-id: a\n    client-secret: { env: A }\n";
    let sftp = format!("{campaign}    sftp:\n      host: h\n      user: u\n      key: {{ file: k }}\n      known-hosts: h\n");
    let dynamics = "version: 1\nconnections:\n  dynamics:\n    url: https://contoso.crm4.dynamics.com\n    tenant: t\n    client-id: a\n";
    let cases: Vec<(String, bool)> = [
        ("version: 1\n", true),
        ("mappings: a\n", false),
        ("version: 1\nmapings: a\n", false),
        ("version: 1\nlimits: { page-size: 5000 }\n", true),
        ("version: 1\nlimits: { page-size: 5001 }\n", false),
        ("version: 1\nlimits: { page-size: 0 }\n", false),
        ("version: 1\nlimits: { page-size: many }\n", false),
        ("version: 1\nlimits: { mass-delete-percent: 30 }\n", true),
        ("version: 1\nlimits: { requests-per-second: { dynamics: 20 } }\n", true),
        ("version: 1\nlimits: { requests-per-second: { other: 20 } }\n", false),
        ("version: 1\nopt-outs: { list-every-seconds: 604801 }\n", false),
        ("version: 1\nopt-outs: { changed-profiles: { filter: f } }\n", false),
        ("version: 1\nlint: { D304: error, D807: off }\n", true),
        ("version: 1\nlint: { D304: loud }\n", false),
        ("version: 1\nschedules: { contacts: { every: 60s } }\n", true),
        ("version: 1\nschedules: { contacts: { often: 60s } }\n", false),
    ]
    .into_iter()
    .map(|(text, valid)| (text.to_owned(), valid))
    .chain([
        (format!("{dynamics}    client-secret: {{ env: A }}\n"), true),
        (format!("{dynamics}    client-secret: hush\n"), false),
        (format!("{dynamics}    client-secret: {{ env: A, file: b }}\n"), false),
        (format!("{dynamics}    client-secret: {{ command: [pass, show, a] }}\n"), true),
        (format!("{dynamics}    client-secret: {{ command: pass show a }}\n"), false),
        (format!("{dynamics}    client-certificate: {{ certificate: c, private-key: {{ file: k }}, signature: RS256 }}\n"), true),
        (format!("{dynamics}    client-certificate: {{ certificate: c, private-key: {{ file: k }}, signature: HS256 }}\n"), false),
        (campaign.to_owned(), true),
        (format!("{campaign}    link-form: href\n"), true),
        (format!("{campaign}    link-form: id\n"), false),
        (format!("{campaign}    api: profile\n"), false),
        (format!("{campaign}    journal: {{ url: https://h/1/2, ims-organization: A@AdobeOrg, fields: {{ id: a.b }} }}\n"), true),
        (format!("{campaign}    journal: {{ url: https://h/1/2, ims-organization: A@AdobeOrg, fields: {{ ids: a.b }} }}\n"), false),
        (format!("{sftp}      port: 65535\n"), true),
        (format!("{sftp}      port: 65536\n"), false),
        (format!("{sftp}      deliveries: {{ files: d.csv, columns: {{ status: s }}, words: {{ sent: [a] }} }}\n"), true),
        (format!("{sftp}      tracking: {{ files: t.csv, columns: {{ status: s }} }}\n"), false),
        (format!("{sftp}      opt-outs: {{ files: o.csv, changed-suffix: X }}\n"), true),
        (format!("{sftp}      opt-outs: {{}}\n"), false),
    ])
    .collect();
    for (text, valid) in cases {
        assert_eq!(is_read(&text), valid, "the reader: {text}");
        assert_eq!(faults(Format::Project, &text).is_empty(), valid, "the JSON Schema: {text}{:?}", faults(Format::Project, &text));
    }
}

#[test]
fn the_json_schema_of_schema_files_decides_as_the_reader_does() {
    let table = |fields: &str| {
        format!("version: 1\ntable: d365.new_a\ncollection: new_as\nprimary-key: id\nfields:\n  id: {{ type: guid }}\n  a: {fields}\n")
    };
    for (text, valid) in [
        (table("{ type: string, max: 20 }"), true),
        (table("{ type: money, min: -1.5, max: \"2.5\", scale: 2 }"), true),
        (table("{ type: strin }"), false),
        (table("{ type: string, maximum: 20 }"), false),
        (table("{ type: picklist, options: { 1: One, 2: Two } }"), true),
        (table("{ type: boolean, labels: { false: No, true: Yes } }"), true),
        (table("{ type: boolean, labels: { true: Yes } }"), false),
        (table("{ type: lookup, targets: { account: null } }"), true),
        (table("{ type: lookup, targets: [account, contact] }"), true),
        (table("{ type: lookup, targets: 7 }"), false),
        (table("{ type: string, derived: rollup }"), true),
        (table("{ type: string, derived: somehow }"), false),
        (table("{ type: string, provenance: pulled }"), true),
        (table("{ type: string, provenance: guessed }"), false),
        (table("{ type: string }").replace("d365.", "sap."), false),
    ] {
        let text_of = std::sync::Arc::from(text.as_str());
        assert_eq!(d365map::schema::file::read(Path::new("a.yaml"), &text_of).is_ok(), valid, "the reader: {text}");
        assert_eq!(faults(Format::Table, &text).is_empty(), valid, "the JSON Schema: {text}{:?}", faults(Format::Table, &text));
    }
}

/// Every key below `properties`, with the way to it, that has no description.
fn undescribed(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                if key == "properties" {
                    for (name, property) in value.as_object().unwrap() {
                        if property.get("description").is_none() {
                            found.push(format!("{path}.{name}"));
                        }
                    }
                }
                undescribed(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| undescribed(value, path, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn editors_show_a_description_for_every_key() {
    let mut found = Vec::new();
    undescribed(&schema(Format::Project), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
    undescribed(&schema(Format::Table), "", &mut found);
    found.retain(|path| !path.ends_with(".stored") && !path.ends_with(".label") && !path.contains("BooleanLabels"));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_new_project_has_the_json_schemas_and_its_files_lead_to_them() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["init", "."][..], &["init", "--emulated", "--force", "."]] {
        let output = Command::new(env!("CARGO_BIN_EXE_d365map")).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
        let line = text.lines().next().unwrap();
        let path = line.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(std::fs::read_to_string(folder.path().join(path)).unwrap(), Format::Project.json_schema());
        assert_eq!(faults(Format::Project, &text), Vec::<String>::new(), "{text}");
    }
    let table = std::fs::read_to_string(folder.path().join("schemas/json/table.json")).unwrap();
    assert_eq!(table, Format::Table.json_schema());
    let printed = Command::new(env!("CARGO_BIN_EXE_d365map")).args(["schema", "json", "table"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), table);
    assert!(template::PROJECT.lines().next().is_some_and(|line| line.starts_with('#')), "the template has no line for editors");
}
