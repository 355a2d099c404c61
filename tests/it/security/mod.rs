//! What `docs/security.md` promises.

mod files;
mod full_run;
mod hostile;
pub mod scan;
mod wire;

#[test]
fn every_test_named_by_the_page_on_security_exists() {
    const PAGE: &str = include_str!("../../../docs/security.md");
    fn gather(folder: &std::path::Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                gather(&entry.path(), text);
            } else if entry.path().extension().is_some_and(|e| e == "rs") {
                text.push_str(&std::fs::read_to_string(entry.path()).expect("a file"));
            }
        }
    }
    let mut code = String::new();
    for folder in ["src", "emulator/src", "tests"] {
        gather(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut code);
    }
    let rows: Vec<_> = PAGE.lines().filter(|l| l.starts_with("| ") && !l.ends_with("| Tests |")).collect();
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names: Vec<_> = last.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}
