//! The files for editors other than VS Code (its tests are in `editors/vscode`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use d365map::cli::Cli;
use regex::Regex;

fn editors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("editors")
}

fn text(path: &str) -> String {
    let path = editors().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_editor_starts_a_command_that_exists() {
    let servers = [
        ("neovim/lsp/d365map.lua", r#"cmd = \{ "(\w+)", "(\w+)" \}"#),
        ("helix/languages.toml", r#"(?s)\[language-server\.d365map\]\ncommand = "(\w+)"\nargs = \["(\w+)"\]"#),
        ("vscode/package.json", r#""default": "(d365map)"()"#),
    ];
    for (file, pattern) in servers {
        let text = text(file);
        let found = Regex::new(pattern).expect("an expression").captures(&text).unwrap_or_else(|| panic!("{file} starts nothing"));
        assert_eq!(&found[1], "d365map", "{file}");
        let words: Vec<&str> = found.iter().skip(1).flatten().map(|m| m.as_str()).filter(|w| !w.is_empty()).collect();
        let words = if words.len() == 1 { vec![words[0], "lsp"] } else { words };
        Cli::command().try_get_matches_from(words).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
    let helix = text("helix/languages.toml");
    let formatter = Regex::new(r#"formatter = \{ command = "d365map", args = \[([^\]]*)\] \}"#).expect("an expression");
    let args = formatter.captures(&helix).expect("a formatter")[1].replace(['"', ','], "");
    Cli::command().try_get_matches_from(["d365map"].into_iter().chain(args.split_whitespace())).expect("the formatter");
}

/// What Vim shows for each word of a line: the group of its first sign.
const LINES: &[(&str, &[(&str, &str)])] = &[
    ("mapping contacts: d365.contact -> campaign.profile {", &[("mapping", "d365mapBlock"), ("contacts", ""), ("->", "d365mapArrow")]),
    ("  key contactid -> externalId # why", &[("key", "d365mapBlock"), ("contactid", ""), ("# why", "d365mapComment")]),
    ("  key -> `odd name` @initial", &[("key", ""), ("`odd", "d365mapQuoted"), ("@initial", "d365mapFlag")]),
    ("  jobtitle -> birthDate | date(\"dd.MM\") or null", &[("date", "d365mapStep"), ("dd", "d365mapString"), ("or", "d365mapWord")]),
    (
        "  \"{firstname} \\\" # x\" -> target",
        &[("{first", "d365mapField"), ("\\\"", "d365mapEscape"), ("# x", "d365mapString"), ("target", "")],
    ),
    ("  coalesce(a, $b) <-> c", &[("coalesce", "d365mapStep"), ("$b", "d365mapName"), ("<->", "d365mapArrow")]),
    (
        "  filter all { a in (1, -2.5); b is present; not c starts with \"x\" }",
        &[
            ("filter", "d365mapBlock"),
            ("all", "d365mapWord"),
            ("in", "d365mapWord"),
            ("-2.5", "d365mapNumber"),
            ("is", "d365mapWord"),
            ("not", "d365mapWord"),
            ("starts", "d365mapWord"),
        ],
    ),
    (
        "    created between 2020-01-31 and now - 30d",
        &[
            ("between", "d365mapWord"),
            ("-01-31", "d365mapNumber"),
            ("and", "d365mapWord"),
            ("now", "d365mapConstant"),
            ("30d", "d365mapNumber"),
        ],
    ),
    ("    at >= 2020-01-31T10:00:00Z", &[("T10:00:00Z", "d365mapNumber")]),
    (
        "  replace gender { Male => male; else => keep }",
        &[("replace", "d365mapBlock"), ("=>", "d365mapArrow"), ("male", ""), ("else", "d365mapWord"), ("keep", "d365mapOutcome")],
    ),
    ("  case { a = 1 or b = 2 => \"x\"", &[("case", "d365mapWord"), ("or", "d365mapWord"), ("=>", "d365mapArrow")]),
    ("  when donotemail = false {", &[("when", "d365mapBlock"), ("false", "d365mapConstant")]),
    ("  } else when x is empty {", &[("else", "d365mapWord"), ("is", "d365mapWord")]),
    ("  replace gender with shared", &[("with", "d365mapWord"), ("shared", "")]),
    ("  reconcile every 7d", &[("every", "d365mapWord"), ("7d", "d365mapNumber")]),
    ("# allow(D304): why", &[("# allow", "d365mapAllow"), ("why", "d365mapComment")]),
    ("let origin = \"crm\"; include \"a\"", &[("let", "d365mapInclude"), ("include", "d365mapInclude")]),
    (
        "table names from \"a.xlsx\" sheet \"b\" { key code }",
        &[
            ("table", "d365mapBlock"),
            ("names", ""),
            ("from", "d365mapWord"),
            ("sheet", "d365mapWord"),
            ("\"b", "d365mapString"),
            ("key", "d365mapBlock"),
        ],
    ),
    ("  a -> b | lookup names.label or keep", &[("lookup", "d365mapStep"), ("names", ""), ("or", "d365mapWord")]),
    ("  lookup(names.label, a) or null -> b", &[("lookup", "d365mapStep"), ("or", "d365mapWord")]),
    ("  expect rejected \"D901\"", &[("expect", "d365mapBlock"), ("rejected", "d365mapOutcome")]),
    ("  expect d365 { absent: 1, name absent }", &[("expect", "d365mapBlock"), ("absent: 1", ""), ("absent }", "d365mapOutcome")]),
];

#[test]
fn vim_shows_each_word_as_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.d365map");
    let mut script = format!(
        "set nocompatible\nsyntax on\nedit {}\nsource {}\nlet s:out = []\n",
        file.display(),
        editors().join("neovim/syntax/d365map.vim").display()
    );
    let mut expected = Vec::new();
    for (number, (line, words)) in LINES.iter().enumerate() {
        for (word, group) in *words {
            let column = line.find(word).unwrap_or_else(|| panic!("{word} in {line}")) + 1;
            script.push_str(&format!("call add(s:out, synIDattr(synID({}, {column}, 1), 'name'))\n", number + 1));
            expected.push(format!("{word}: {group}"));
        }
    }
    script.push_str(&format!("call writefile(s:out, '{}')\nqall!\n", folder.path().join("out").display()));
    std::fs::write(&file, LINES.iter().map(|(line, _)| format!("{line}\n")).collect::<String>()).expect("a file");
    std::fs::write(folder.path().join("script.vim"), script).expect("a file");
    let run = Command::new("vim").args(["-Nesu", "NONE", "-S"]).arg(folder.path().join("script.vim")).stdin(Stdio::null()).output();
    match run {
        Ok(_) => {
            let shown = std::fs::read_to_string(folder.path().join("out")).expect("Vim reads the syntax without a fault");
            let words = LINES.iter().flat_map(|(_, words)| *words).map(|(word, _)| word);
            let shown: Vec<String> = words.zip(shown.lines()).map(|(word, group)| format!("{word}: {group}")).collect();
            assert_eq!(shown, expected);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("vim is not installed: its reading of the syntax file is not tested")
        }
        Err(error) => panic!("vim: {error}"),
    }
}

#[test]
fn the_syntax_of_vim_knows_every_word_of_the_grammar() {
    let syntax = text("neovim/syntax/d365map.vim");
    let grammar = include_str!("../../../grammar/d365map.pest");
    let words: Vec<String> =
        Regex::new(r#"(?m)^kw_\w+\s*=\s*@\{ "(\w+)""#).expect("an expression").captures_iter(grammar).map(|c| c[1].to_owned()).collect();
    assert!(words.len() > 30);
    // Steps are known by the bar before them.
    for word in words.iter().filter(|w| !["map", "link"].contains(&w.as_str())) {
        let known = Regex::new(&format!(r"\b(?:zs)?{word}\b")).expect("an expression");
        assert!(known.is_match(&syntax), "{word}");
    }
}
