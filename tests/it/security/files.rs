//! Mapping files from somebody else: what they name, what they hold, how long their lines are.

use std::path::Path;
use std::process::{Command, Stdio};

use d365map::printable::is_hidden;

const HEAD: &str = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n";

/// Standard output and standard error of a command, and its status.
fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_d365map"));
    let output =
        command.current_dir(folder).args(args).env("D365MAP_SECRET_OF_CI", "s3cr3t-0f-ci").stdin(Stdio::null()).output().expect("a run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

fn project(mapping: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    std::fs::write(folder.path().join("d365map.yaml"), "version: 1\n").expect("a file");
    std::fs::write(folder.path().join("mappings/contacts.d365map"), mapping).expect("a file");
    folder
}

#[test]
fn what_is_outside_of_the_project_is_neither_read_nor_quoted() {
    let outside = tempfile::tempdir().expect("a folder");
    for name in ["token", "other.d365map"] {
        std::fs::write(outside.path().join(name), "s3cr3t-0f-ci = {").expect("a file");
    }
    let absolute = outside.path().join("other.d365map").display().to_string();
    let relative = format!("{}{absolute}", "../".repeat(20).trim_end_matches('/'));
    for path in
        ["/proc/self/environ", "../../../../../../../../../proc/self/environ", &absolute, &relative, "link.d365map", ".env", "/dev/zero"]
    {
        let folder = project(&format!("include \"{path}\"\n{HEAD}}}\n"));
        std::fs::write(folder.path().join("mappings/.env"), "s3cr3t-0f-ci").expect("a file");
        let commands: [&[&str]; 5] = [&["check"], &["check", "mappings/contacts.d365map"], &["plan"], &["compile"], &["test"]];
        for args in commands {
            let (status, out, error) = run(folder.path(), args);
            assert!(status == 1 || status == 2, "{path} {args:?}: {status}");
            assert!(!format!("{out}{error}").contains("s3cr3t"), "{path} {args:?}: {out}{error}");
        }
    }
    #[cfg(unix)]
    for target in
        ["/proc/self/environ".to_owned(), absolute.clone(), outside.path().join("token").display().to_string(), "/dev/zero".to_owned()]
    {
        let folder = project(&format!("{HEAD}}}\n"));
        std::os::unix::fs::symlink(&target, folder.path().join("mappings/linked.d365map")).expect("a link");
        for args in [&["check"][..], &["check", "mappings/linked.d365map"], &["fmt", "--diff"], &["export"]] {
            let (status, out, error) = run(folder.path(), args);
            assert_eq!(status, 2, "{target} {args:?}: {out}{error}");
            assert!(!format!("{out}{error}").contains("s3cr3t"), "{target} {args:?}: {out}{error}");
        }
    }
}

#[test]
fn hostile_text_reaches_no_output_as_it_is() {
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\r::error file=a::b ##[error]c";
    let text = format!(
        "# {hostile}\n{HEAD}  `{hostile}` -> firstName\n  \"{hostile}\" -> middleName\n  # ::error::d\n    ::error file=x,line=1::e\n}}\ntest contacts \"{hostile}\" {{ given {{ lastname: \"{hostile}\" }} expect {{ lastName: \"x\" }} }}\n"
    );
    let folder = project(&text);
    let sound: String = text.lines().filter(|l| !l.contains('`') && !l.starts_with("    ::")).map(|l| format!("{l}\n")).collect();
    let other = project(&sound);
    let commands: [&[&str]; 10] = [
        &["check"],
        &["check", "--format", "github"],
        &["check", "--format", "junit"],
        &["check", "--format", "json"],
        &["check", "--format", "sarif"],
        &["fmt", "--diff"],
        &["export"],
        &["export", "--format", "html"],
        &["plan"],
        &["test"],
    ];
    for args in commands {
        for folder in [&folder, &other] {
            let (_, out, error) = run(folder.path(), args);
            for (stream, text) in [("out", &out), ("error", &error)] {
                let found = text.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t'));
                assert_eq!(found, None, "{args:?} {stream}: {text:?}");
                let ours = |line: &str| args.contains(&"github") && line.contains(" file=mappings/contacts.d365map,line=");
                let command = text.lines().find(|l| l.trim_start().starts_with("::") && !ours(l));
                assert_eq!(command, None, "{args:?} {stream}: {text}");
                let machine = args.iter().any(|a| ["github", "json", "sarif"].contains(a));
                assert!(machine || !text.contains("##[error]"), "{args:?} {stream}: {text}");
            }
        }
    }
}

#[test]
fn a_finding_beyond_column_65535_is_shown_in_every_format() {
    let wide = " ".repeat(70_000);
    let folder = project(&format!("{HEAD}{wide}firstnmae -> firstName; nicknmae -> middleName\n}}\n"));
    for args in [&["check"][..], &["plan"], &["compile"], &["test"], &["check", "--format", "junit"], &["check", "--format", "github"]] {
        let (status, out, error) = run(folder.path(), args);
        assert!(status == 1 || status == 2, "{args:?}: {status} {error}");
        let said = format!("{out}{error}");
        assert!(said.contains("firstnmae") && said.lines().all(|l| l.len() < 2000), "{args:?}: {said}");
    }
    let (_, out, _) = run(folder.path(), &["check"]);
    assert!(out.contains("contacts.d365map:4:70001"), "{out}");
    std::fs::write(folder.path().join("d365map.yaml"), format!("version: 1\nlimits: {{{wide}page-sise: 3}}\n")).expect("a file");
    let (status, _, error) = run(folder.path(), &["check"]);
    assert!(status == 2 && error.contains("page-sise"), "{status} {error}");
}

#[test]
fn people_see_a_hundred_findings_of_a_file_and_how_many_there_are() {
    let lines: String = (0..250).map(|n| format!("  unknown{n} -> firstName\n")).collect();
    let folder = project(&format!("{HEAD}{lines}}}\n"));
    let shown = |args: &[&str]| {
        let (status, out, _) = run(folder.path(), args);
        assert_eq!(status, 1);
        // For people, each finding begins with its code alone on a line.
        let of_people = out.lines().filter(|l| l.len() == 4 && l.starts_with('D')).count();
        (if of_people > 0 { of_people } else { out.matches("\"D103\"").count() }, out)
    };
    let (count, out) = shown(&["check"]);
    assert!(count <= 100 && out.contains(" more findings; `d365map check --max-findings 0` shows all"), "{count}");
    assert!(shown(&["check", "--max-findings", "0"]).0 >= 250);
    assert_eq!(shown(&["check", "--max-findings", "3"]).0, 3);
    assert_eq!(shown(&["check", "--format", "json"]).0, 250);
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_leaves_no_core_dump() {
    use std::io::{BufRead, BufReader, Write};
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_d365map")).arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a start");
    let mut input = child.stdin.take().expect("its input");
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#;
    write!(input, "Content-Length: {}\r\n\r\n{hello}", hello.len()).expect("a message");
    // It has begun when it answers.
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("an answer");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("its limits");
    let core: Vec<&str> = limits.lines().filter(|l| l.starts_with("Max core file size")).flat_map(str::split_whitespace).collect();
    drop(input);
    child.wait().expect("its end");
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
}
