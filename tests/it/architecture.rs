//! Who may import whom (ARCHITECTURE.md).

use std::path::Path;

/// For each folder, the folders of the crate that its code may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("syntax", &["diagnostics", "time"]),
    ("diagnostics", &["count", "printable"]),
    ("schema", &["diagnostics", "disk", "printable", "project", "unicode", "yaml"]),
    ("plan", &["count", "syntax", "time"]),
    ("eval", &["json", "plan", "time", "unicode"]),
    ("app", &["check", "connect", "count", "diagnostics", "disk", "plan", "project", "run", "schema", "state", "syntax", "time", "yaml"]),
    ("lsp", &["app", "check", "count", "diagnostics", "format", "project", "schema", "syntax"]),
    ("import", &["check", "diagnostics", "format", "schema", "syntax", "time", "yaml"]),
    ("report", &["printable", "schema", "syntax"]),
    ("format", &["diagnostics", "syntax"]),
    ("testing", &["check", "eval", "plan", "time"]),
    ("check", &["count", "diagnostics", "eval", "plan", "schema", "syntax", "time", "unicode"]),
    ("connect", &["count", "disk", "json", "printable", "time"]),
    ("state", &["count", "time", "unicode"]),
    ("run", &["connect", "count", "eval", "json", "plan", "printable", "state", "time", "unicode"]),
    ("emulator", &["disk", "time"]),
    ("project", &["diagnostics", "disk", "time", "yaml"]),
    ("doctor", &["connect", "count", "plan", "printable", "project", "state", "time"]),
];

fn sources(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the crate").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            files.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn data_flows_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for (folder, allowed) in MAY_USE {
        let mut files = Vec::new();
        sources(&root.join(folder), &mut files);
        assert!(!files.is_empty(), "{folder} has no file");
        for (path, text) in files {
            for (number, line) in text.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for part in line.split("crate::").skip(1) {
                    let name: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() && name != *folder && !allowed.contains(&name.as_str()) {
                        found.push(format!("{path}:{}: {folder} uses {name}", number + 1));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_libraries_behind_a_module_of_their_own_stay_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for (path, text) in files {
        let used = |name: &str| text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains(name));
        if !path.ends_with("yaml.rs") {
            assert!(!used("serde_saphyr::"), "{path} uses the YAML library");
        }
        if !path.ends_with("unicode.rs") {
            assert!(!used("icu_normalizer::") && !used("icu_segmenter::"), "{path} uses the Unicode libraries");
        }
        if !path.contains("/syntax/") {
            assert!(!used("pest::"), "{path} uses the parser library");
        }
    }
}

/// Files of `src` that open files by other means than `disk`, each with its reason.
const OPEN_FILES: &[(&str, &str)] = &[
    ("src/disk.rs", "it is the helper"),
    ("src/state/place.rs", "the state file and its lock are opened for writing, follow no link and are kept open"),
    ("src/state/lock.rs", "the name of the machine is a file of /proc, which `disk` refuses"),
    ("src/doctor/local.rs", "the trial whether a folder can be written to creates a file and removes it"),
];

#[test]
fn files_are_opened_and_written_by_one_helper() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let ways =
        ["fs::read(", "fs::read_to_string(", "File::open", "fs::write(", "fs::rename(", "fs::copy(", "File::create", "OpenOptions::new"];
    let mut used = Vec::new();
    let mut found = Vec::new();
    for (path, text) in files {
        let name = Path::new(&path).strip_prefix(env!("CARGO_MANIFEST_DIR")).map(|p| p.display().to_string()).unwrap_or_default();
        // Tests prepare their files as they like; they are at the end of a file.
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") || !ways.iter().any(|way| line.contains(way)) {
                continue;
            }
            if OPEN_FILES.iter().any(|(exception, _)| *exception == name) {
                used.push(name.clone());
            } else {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "use `disk` instead:\n{}", found.join("\n"));
    for (exception, reason) in OPEN_FILES {
        assert!(used.iter().any(|name| name == exception), "{exception} is no longer an exception ({reason}): remove it from the list");
    }
}
