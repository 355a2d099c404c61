//! What the documents and the hooks call is what the command accepts: each command line in them is parsed by the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;
use clap::error::ErrorKind;
use d365map::cli::Cli;
use regex::Regex;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fenced blocks of a page with their marks.
fn blocks(page: &str) -> Vec<(String, String)> {
    let block = Regex::new(r"(?ms)^```(\w*)[^\n]*\n(.*?)^```$").expect("an expression");
    block.captures_iter(page).map(|c| (c[1].to_owned(), c[2].to_owned())).collect()
}

/// Every call of the command in a page: in blocks from `d365map` to the end of the call, in the text what is in back-ticks.
fn calls(page: &str) -> Vec<String> {
    let mut calls = Vec::new();
    let in_block = Regex::new(r"(?m)(?:^|[-:|&$] |\|\| )\s*(d365map [a-z][^\n]*)").expect("an expression");
    for (_, block) in blocks(page).iter().filter(|(mark, _)| mark != "d365map") {
        calls.extend(in_block.captures_iter(block).map(|c| c[1].to_owned()));
    }
    let fenced = Regex::new(r"(?ms)^```.*?^```$").expect("an expression");
    let in_text = Regex::new(r"`(d365map [^`]+)`").expect("an expression");
    let prose = fenced.replace_all(page, "");
    calls.extend(in_text.captures_iter(&prose).map(|c| c[1].to_owned()));
    // What the shell does with the call is not the command's: redirections, `||`, comments.
    let rest = Regex::new(r"\s*(?:>|\|\||&&|;|\s#).*$").expect("an expression");
    calls.iter().map(|c| rest.replace(c, "").into_owned()).collect()
}

fn accepted(call: &str, more: &[&str]) -> Result<(), String> {
    let words = call.split_whitespace().map(|w| w.trim_matches(['"', '\''])).chain(more.iter().copied());
    Cli::command().try_get_matches_from(words).map(|_| ()).map_err(|e| format!("{call}: {e}"))
}

#[test]
fn every_call_in_the_page_on_ci_is_accepted() {
    let page = text("docs/ci.md");
    let calls = calls(&page);
    let wrong: Vec<String> = calls.iter().filter_map(|c| accepted(c, &[]).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for command in ["fmt", "check", "test", "explain", "completions", "man"] {
        assert!(calls.iter().any(|c| c.starts_with(&format!("d365map {command}"))), "the page has no `d365map {command}`: {calls:#?}");
    }
    // None is skipped: each mention with a subcommand behind it is one that was parsed.
    let mentions =
        Regex::new(r"d365map (?:init|fmt|check|test|schema|explain|completions|man)\b").expect("an expression").find_iter(&page).count();
    assert_eq!(calls.len(), mentions, "{calls:#?}");
}

#[test]
fn every_call_in_every_document_is_accepted() {
    let mut files: Vec<_> = ["docs", "examples", "editors"].iter().flat_map(|folder| pages(&root().join(folder))).collect();
    files.extend([root().join("README.md"), root().join("ARCHITECTURE.md")]);
    let mut count = 0;
    for file in files {
        let page = std::fs::read_to_string(&file).expect("a page");
        for call in calls(&page).iter().filter(|c| !c.contains('…')) {
            // What stands for something is in capitals, what may be left out in brackets.
            let typed = call.replace(['[', ']'], "").replace("NAME=VALUE", "a=b");
            let result = Cli::command().try_get_matches_from(typed.split_whitespace().map(|w| w.trim_matches('"')));
            // A command that is only named may lack its arguments.
            let named = |e: &clap::Error| {
                matches!(e.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
            };
            if let Err(error) = result.map(|_| ()).or_else(|e| if named(&e) { Ok(()) } else { Err(e) }) {
                panic!("{}: {call}: {error}", file.display());
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

fn pages(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let found = entries.map(|e| e.expect("an entry").path()).filter(|p| p.file_name().is_some_and(|n| n != "node_modules"));
    found.flat_map(|p| if p.is_dir() { pages(&p) } else { vec![p] }).filter(|p| p.extension().is_some_and(|e| e == "md")).collect()
}

#[test]
fn a_call_that_does_not_exist_is_noticed() {
    let page = "```yaml\nrun: d365map check --formt sarif a > b\n```\nand `d365map tset`";
    let calls = calls(page);
    assert_eq!(calls, ["d365map check --formt sarif a", "d365map tset"]);
    assert!(calls.iter().all(|c| accepted(c, &[]).is_err()));
}

#[test]
fn the_samples_are_yaml_and_their_hooks_exist() {
    let hooks: Vec<Value> = serde_saphyr::from_str(&text(".pre-commit-hooks.yaml")).expect("YAML");
    let ids: Vec<&str> = hooks.iter().filter_map(|h| h["id"].as_str()).collect();
    let samples: Vec<Value> = blocks(&text("docs/ci.md"))
        .iter()
        .filter(|(mark, _)| mark == "yaml")
        .map(|(_, block)| serde_saphyr::from_str(block).unwrap_or_else(|e| panic!("{e}\n{block}")))
        .collect();
    assert!(samples.len() >= 4);
    let used: Vec<Value> = samples
        .iter()
        .flat_map(|s| s["repos"].as_array().cloned().unwrap_or_default())
        .flat_map(|r| r["hooks"].as_array().cloned().unwrap_or_default())
        .collect();
    assert!(!used.is_empty());
    for hook in used {
        let id = hook["id"].as_str().expect("an id");
        assert!(ids.contains(&id), "there is no hook {id}");
        let args: Vec<&str> = hook["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let entry = hooks.iter().find(|h| h["id"] == id).and_then(|h| h["entry"].as_str()).expect("an entry");
        accepted(entry, &args).expect("the arguments of the sample");
    }
}

#[test]
fn every_hook_calls_what_the_command_accepts_for_files_that_it_is_about() {
    let hooks: Vec<Value> = serde_saphyr::from_str(&text(".pre-commit-hooks.yaml")).expect("YAML");
    let ids: Vec<&str> = hooks.iter().filter_map(|h| h["id"].as_str()).collect();
    assert_eq!(ids, ["d365map-check", "d365map-fmt", "d365map-test"]);
    for hook in &hooks {
        for key in ["id", "name", "description", "entry", "language", "files"] {
            assert!(hook[key].as_str().is_some_and(|v| !v.is_empty()), "{hook:#} has no {key}");
        }
        assert!(["rust", "system"].contains(&hook["language"].as_str().expect("a language")));
        let passes_files = hook["pass_filenames"].as_bool().unwrap_or(true);
        let files: &[&str] = if passes_files { &["mappings/a.d365map", "b.d365map"] } else { &[] };
        accepted(hook["entry"].as_str().expect("an entry"), files).expect("the entry");
        let pattern = Regex::new(hook["files"].as_str().expect("a pattern")).expect("an expression");
        assert!(pattern.is_match("mappings/contacts.d365map"));
        assert!(!pattern.is_match("docs/contacts.d365map.md") && !pattern.is_match("notes.yaml"));
        // A hook that looks at the whole project is woken by all that the project is made of, and no other by what it cannot read.
        assert_eq!(pattern.is_match("crm/d365map.yaml"), !passes_files);
        assert_eq!(pattern.is_match("schemas/campaign.profile.yaml"), !passes_files);
    }
}
