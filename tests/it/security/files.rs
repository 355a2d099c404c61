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

/// A table is read only if it is a regular file of the project with the ending of one.
#[cfg(target_os = "linux")]
#[test]
fn tables_outside_of_the_project_and_what_is_not_a_file_are_findings() {
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret.csv"), "code,label\ns3cr3t-0f-ci,x\ns3cr3t-0f-ci,y\n").expect("a file");
    let absolute = outside.path().join("secret.csv").display().to_string();
    let relative = format!("{}{absolute}", "../".repeat(20).trim_end_matches('/'));
    for (path, words) in [
        ("/proc/self/environ", "cannot be read"),
        (absolute.as_str(), "cannot be read"),
        (relative.as_str(), "outside of the project folder"),
        ("link.csv", "leads out of the project folder"),
        ("inner.csv", "must end in"),
        (".env", "must end in"),
        ("pipe.csv", "not a regular file"),
        ("folder.csv", "not a regular file"),
        ("large.csv", "larger than 32 MiB"),
        ("nothing.csv", "there is no file"),
    ] {
        let folder =
            project(&format!("table t from \"{path}\" {{ key code }}\n{HEAD}  nickname -> middleName | lookup t.label or null\n}}\n"));
        let at = |name: &str| folder.path().join("mappings").join(name);
        std::os::unix::fs::symlink(&absolute, at("link.csv")).expect("a link");
        std::fs::write(at(".env"), "s3cr3t-0f-ci").expect("a file");
        std::os::unix::fs::symlink(".env", at("inner.csv")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.csv"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a pipe");
        std::fs::create_dir(at("folder.csv")).expect("a folder");
        std::fs::File::create(at("large.csv")).expect("a file").set_len(1 << 40).expect("a sparse file of a terabyte");
        for args in [&["check"][..], &["check", "mappings/contacts.d365map"], &["plan"]] {
            let (status, out, error) = run(folder.path(), args);
            let said = format!("{out}{error}").replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(matches!(status, 1 | 2) && said.contains("D321") && said.contains(words), "{path} {args:?}: {status} {said}");
            assert!(!said.contains("s3cr3t"), "{path} {args:?}: {said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn folders_schema_files_and_the_project_file_stay_within_the_project() {
    use std::os::unix::fs::symlink;
    const SCHEMA: &str = "version: 1\ntable: campaign.profile\nextends: built-in\nfields:\n  s3cr3t-0f-ci: { type: strng }\n";
    let outside = tempfile::tempdir().expect("a folder");
    let at = |name: &str| outside.path().join(name);
    for name in ["mappings", "schemas"] {
        std::fs::create_dir(at(name)).expect("a folder");
    }
    std::fs::write(at("mappings/contacts.d365map"), format!("{HEAD}  s3cr3t-0f-ci\n}}\n")).expect("a file");
    std::fs::write(at("schemas/campaign.profile.yaml"), SCHEMA).expect("a file");
    std::fs::write(at("token.yaml"), "s3cr3t-0f-ci: x\n").expect("a file");
    let refused = |folder: &Path, what: &str, words: &[&str]| {
        for args in [&["check"][..], &["plan"], &["schema", "show"], &["status"], &["check", "mappings/contacts.d365map"], &["doctor"]] {
            let (status, out, error) = run(folder, args);
            // As one line: sentences are wrapped, and paths are of any length.
            let said = format!("{out}{error}").replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(status, 2, "{what} {args:?}: {said}");
            assert!(words.iter().all(|word| said.contains(word)) && !said.contains("s3cr3t"), "{what} {args:?}: {said}");
        }
    };
    for key in ["mappings", "schemas"] {
        // By the key, by a link that the key names, and by a link in place of the default folder.
        let direct = project(&format!("{HEAD}}}\n"));
        std::fs::write(direct.path().join("d365map.yaml"), format!("version: 1\n{key}: {}\n", at(key).display())).expect("a file");
        refused(direct.path(), key, &["d365map.yaml:2:", key, "outside of the project folder", "move it into the project folder"]);
        let linked = project(&format!("{HEAD}}}\n"));
        symlink(at(key), linked.path().join("link")).expect("a link");
        std::fs::write(linked.path().join("d365map.yaml"), format!("version: 1\n{key}: link\n")).expect("a file");
        refused(linked.path(), key, &["d365map.yaml:2:", "outside of the project folder"]);
    }
    let default = project(&format!("{HEAD}}}\n"));
    symlink(at("schemas"), default.path().join("schemas")).expect("a link");
    refused(default.path(), "schemas", &["`schemas`", "outside of the project folder"]);

    // A single schema file is read by fewer commands.
    let single = project(&format!("{HEAD}}}\n"));
    std::fs::create_dir(single.path().join("schemas")).expect("a folder");
    symlink(at("schemas/campaign.profile.yaml"), single.path().join("schemas/campaign.profile.yaml")).expect("a link");
    for args in [&["check"][..], &["plan"], &["schema", "show"], &["compile"]] {
        let (status, out, error) = run(single.path(), args);
        assert_eq!(status, 2, "{args:?}: {out}{error}");
        let said = error.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("leads out of the project folder") && said.contains("copy the file into the project"), "{args:?}: {error}");
        assert!(!error.contains("s3cr3t"), "{args:?}: {error}");
    }

    // A project file that is a link elsewhere is refused, also as an argument, unless the file itself is named.
    let project_link = project(&format!("{HEAD}}}\n"));
    std::fs::remove_file(project_link.path().join("d365map.yaml")).expect("a removal");
    symlink(at("token.yaml"), project_link.path().join("d365map.yaml")).expect("a link");
    refused(project_link.path(), "d365map.yaml", &["symbolic link that leads out of its folder", "--project"]);
    let argument = project_link.path().join("d365map.yaml").display().to_string();
    let (status, _, error) = run(outside.path(), &["--project", &argument, "check"]);
    assert!(status == 2 && error.contains("leads out of its folder") && !error.contains("s3cr3t"), "{status} {error}");
    let own = project(&format!("{HEAD}}}\n"));
    let named = own.path().join("d365map.yaml").display().to_string();
    let (status, out, error) = run(outside.path(), &["--project", &named, "check"]);
    assert_eq!(status, 0, "a file that is named defines its own folder: {out}{error}");
}

#[cfg(unix)]
#[test]
fn a_link_that_stays_within_the_project_is_followed() {
    use std::os::unix::fs::symlink;
    let folder = project(&format!("{HEAD}  firstname -> firstName | truncate(30)\n}}\n"));
    let at = |name: &str| folder.path().join(name);
    std::fs::rename(at("mappings"), at("shared")).expect("a move");
    symlink("shared", at("mappings")).expect("a link");
    std::fs::rename(at("d365map.yaml"), at("settings.yaml")).expect("a move");
    symlink("settings.yaml", at("d365map.yaml")).expect("a link");
    let (status, out, error) = run(folder.path(), &["check"]);
    assert_eq!(status, 0, "{out}{error}");
}

/// A pipe, a device, a folder, a file of the kernel and one that is too large, as a command finds them.
#[cfg(target_os = "linux")]
#[test]
fn what_is_not_a_regular_file_of_a_sensible_size_is_an_error_at_once() {
    let folder = project(&format!("{HEAD}}}\n"));
    let at = |name: &str| folder.path().join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("a pipe");
    let large = std::fs::File::create(at("large")).expect("a file");
    large.set_len(1 << 40).expect("a sparse file of a terabyte");
    std::fs::create_dir(at("folder")).expect("a folder");
    std::fs::write(at("fields.csv"), "source,target\nlastname,lastName\n").expect("a file");
    let connections = |certificate: &str, key: &str, hosts: &str| {
        format!(
            "version: 1\nconnections:\n  dynamics:\n    url: http://127.0.0.1:9\n    token-url: http://127.0.0.1:9/t\n    client-id: a\n    client-certificate: {{ certificate: {certificate}, private-key: {{ file: {key} }} }}\n  campaign:\n    url: http://127.0.0.1:9/o\n    client-id: a\n    client-secret: {{ env: D365MAP_SECRET_OF_CI }}\n    sftp: {{ host: 127.0.0.1, user: u, key: {{ file: {key} }}, known-hosts: {hosts} }}\n"
        )
    };
    for (name, words) in [
        ("pipe", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("folder", "not a regular file"),
        ("/proc/self/environ", "not a regular file"),
        ("large", "larger than"),
    ] {
        let refused = |what: &str, args: &[&str]| {
            let (status, out, error) = run(folder.path(), args);
            assert!(matches!(status, 1 | 2) && format!("{out}{error}").contains(words), "{what} {name} {args:?}: {status} {out}{error}");
        };
        refused("a table", &["import", name]);
        // A folder is one of mapping files, and a file that is too large is a finding (D002).
        if !matches!(name, "large" | "folder") {
            refused("a plan", &["plan", name]);
            refused("a mapping file", &["check", name]);
        }
        refused("a seed", &["emulate", "--seed", name]);
        refused("a certificate", &["emulate", "--certificate", name]);
        // A log may have any size, and a folder of logs is searched.
        if !matches!(name, "large" | "folder") {
            refused("a log", &["privacy", "report", "ada@example.com", "--log", name]);
        }
        // The project's own files: secrets have a separate error for one that is too large.
        std::fs::write(at("d365map.yaml"), connections(name, "fields.csv", "fields.csv")).expect("a file");
        refused("a client certificate", &["schema", "pull", "d365.contact"]);
        if name != "large" {
            std::fs::write(at("d365map.yaml"), connections("fields.csv", name, "fields.csv")).expect("a file");
            refused("a key", &["schema", "pull", "d365.contact"]);
        }
        std::fs::write(at("d365map.yaml"), "version: 1\n").expect("a file");
        if name.starts_with('/') {
            continue;
        }
        // In the project's folders, where a link would be refused for leading elsewhere.
        for place in ["mappings/x.d365map", "schemas/x.yaml"] {
            std::fs::create_dir_all(at("schemas")).expect("a folder");
            std::fs::rename(at(name), at(place)).expect("a move");
            if name != "folder" {
                // A mapping file that is too large is a finding (D002).
                let words = if name == "large" && place.starts_with("mappings") { "D002" } else { words };
                let (status, out, error) = run(folder.path(), &["check"]);
                assert!(matches!(status, 1 | 2) && format!("{out}{error}").contains(words), "{place} {name}: {status} {out}{error}");
            }
            std::fs::rename(at(place), at(name)).expect("a move");
        }
        std::fs::rename(at("d365map.yaml"), at("kept")).expect("a move");
        std::fs::rename(at(name), at("d365map.yaml")).expect("a move");
        if name != "folder" {
            refused("a project file", &["check"]);
        }
        std::fs::rename(at("d365map.yaml"), at(name)).expect("a move");
        std::fs::rename(at("kept"), at("d365map.yaml")).expect("a move");
    }
}

#[cfg(unix)]
#[test]
fn written_files_replace_links_and_plans_are_private() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = project(&format!("{HEAD}}}\n"));
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("victim"), "kept").expect("a file");
    symlink(at("victim"), at("plan.json")).expect("a link");
    symlink(at("victim"), at("doc.md")).expect("a link");
    for args in [&["compile", "-o", "plan.json"][..], &["export", "-o", "doc.md"]] {
        let (status, out, error) = run(folder.path(), args);
        assert_eq!(status, 0, "{args:?}: {out}{error}");
    }
    assert_eq!(std::fs::read_to_string(at("victim")).expect("a file"), "kept", "whoever made the link does not decide what is overwritten");
    let mode = |name: &str| at(name).symlink_metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode("plan.json"), 0o600);
    let (status, _, error) = run(folder.path(), &["compile", "-o", "/dev/null"]);
    assert!(status == 2 && error.contains("not a regular file"), "{status} {error}");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().contains(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn hostile_text_reaches_no_output_as_it_is() {
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\r::error file=a::b ##[error]c";
    let text = format!(
        "# {hostile}\n{HEAD}  `{hostile}` -> firstName\n  \"{hostile}\" -> middleName | truncate(30)\n  # ::error::d\n    ::error file=x,line=1::e\n}}\ntest contacts \"{hostile}\" {{\n  given {{ lastname: \"{hostile}\" }}\n  expect {{ lastName: \"x\" }}\n}}\n"
    );
    let faulty = project(&text);
    let sound: String = text.lines().filter(|l| !l.contains('`') && !l.starts_with("    ::")).map(|l| format!("{l}\n")).collect();
    // Strings cannot have these characters (D012), comments can; what else is hostile stays in both.
    let literal = |text: &str| -> String { text.chars().filter(|c| !is_hidden(*c)).collect() };
    let sound: String = sound.lines().map(|l| if l.starts_with('#') { format!("{l}\n") } else { literal(l) + "\n" }).collect();
    let other = project(&sound);
    assert_eq!(run(other.path(), &["plan"]).0, 0, "{sound}");
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
        for folder in [&faulty, &other] {
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
