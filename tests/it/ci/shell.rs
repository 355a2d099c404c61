//! Completion scripts and manual pages: whole, and readable by the programs that read them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory;
use d365map::cli::Cli;

fn run(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_d365map")).args(args).current_dir(folder).output().expect("the command runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Every subcommand, at every depth, as the words that call it.
fn subcommands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands().filter(|s| !s.is_hide_set() && s.get_name() != "help") {
            let words = [words, &[sub.get_name().to_owned()]].concat();
            all.push(words.clone());
            below(sub, &words, all);
        }
    }
    let mut all = Vec::new();
    below(&Cli::command(), &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    all
}

#[test]
fn the_definition_of_the_arguments_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn each_shell_gets_a_script_that_knows_every_subcommand() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(folder.path(), &["completions", shell]);
        for words in subcommands() {
            assert!(script.contains(&words[words.len() - 1]), "{shell} does not know {words:?}");
        }
        assert!(script.contains("quiet"), "{shell} does not know options");
        // The others complete names only.
        if ["bash", "fish", "zsh"].contains(&shell) {
            assert!(script.contains("junit"), "{shell} does not know the values of --format");
        }
    }
}

/// Runs a reader over a file. A reader that is not installed is an error where it is required, and said where it is not.
fn read_by(program: &str, args: &[&str], file: &Path, required: bool) -> Option<Output> {
    match Command::new(program).args(args).arg(file).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
            eprintln!("{program} is not installed: its reading of {} is not tested", file.display());
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn clean(program: &str, output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{program}: {errors}");
}

#[test]
fn shells_can_read_their_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shell, required) in [("bash", true), ("zsh", false), ("fish", false)] {
        let file = folder.path().join(shell);
        std::fs::write(&file, run(folder.path(), &["completions", shell])).expect("a file");
        if let Some(output) = read_by(shell, &["-n"], &file, required) {
            clean(shell, &output);
        }
    }
}

#[test]
fn there_is_a_manual_page_for_every_subcommand_and_each_has_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["man", "--out", "man/man1"]);
    let written: BTreeSet<String> = std::fs::read_dir(folder.path().join("man/man1"))
        .expect("the folder")
        .map(|e| e.expect("a page").file_name().to_string_lossy().into_owned())
        .collect();
    let mut expected: BTreeSet<String> = subcommands().iter().map(|w| format!("d365map-{}.1", w.join("-"))).collect();
    expected.insert("d365map.1".to_owned());
    assert_eq!(written, expected);
    for name in &written {
        let path = folder.path().join("man/man1").join(name);
        let text = std::fs::read_to_string(&path).expect("a page");
        let title = name.trim_end_matches(".1");
        let (header, parts): (Vec<&str>, Vec<&str>) =
            (text.lines().filter(|l| l.starts_with(".TH ")).collect(), text.lines().filter_map(|l| l.strip_prefix(".SH ")).collect());
        let right = format!(".TH {title} 1 \"\" \"d365map {}\" \"d365map manual\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(header, [right], "{name}");
        for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\""] {
            assert!(parts.contains(&part), "{name} has no {part}: {parts:?}");
        }
        // groff says what it does not understand; where there is none, the structure above is what is tested.
        if let Some(output) = read_by("groff", &["-man", "-Tutf8", "-wall", "-z"], &path, false) {
            clean("groff", &output);
        }
        // mandoc is stricter: it also warns of macros without effect. The pages have no date, so that the same program makes the same bytes.
        if let Some(output) = read_by("mandoc", &["-T", "lint", "-W", "warning"], &path, false) {
            let said = String::from_utf8_lossy(&output.stdout);
            let warnings: Vec<&str> = said.lines().filter(|line| !line.contains("WARNING: missing date")).collect();
            assert!(warnings.is_empty(), "mandoc: {}", warnings.join("\n"));
        }
    }
    assert_eq!(run(folder.path(), &["man"]), std::fs::read_to_string(folder.path().join("man/man1/d365map.1")).expect("a page"));
}
