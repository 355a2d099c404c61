//! What the list of steps (`src/steps`) is written into. A test of the product includes this file and compares (`tests/it/generated.rs`).

use std::fmt::Write;

use d365map::steps::{FORMULA_FUNCTIONS, FUNCTIONS, STEPS};

/// A file of the repository with a generated part.
pub struct Generated {
    /// From the root of the repository on.
    pub path: &'static str,
    /// Returns the file with its part written again; an error if the part is not found.
    pub write: fn(&str) -> Result<String, String>,
}

/// All of them.
pub const FILES: &[Generated] = &[
    Generated { path: "docs/language.md", write: language },
    Generated { path: "docs/codes/D107.md", write: unknown_step },
    Generated { path: "editors/vscode/syntaxes/d365map.tmLanguage.json", write: text_mate },
    Generated { path: "editors/neovim/syntax/d365map.vim", write: vim },
    Generated { path: "fuzz/d365map.dict", write: dictionary },
    Generated { path: "docs/openapi.json", write: description },
];

const BEGIN: &str = "<!-- steps: written by `cargo xtask generate` from src/steps -->\n";
const END: &str = "<!-- end of steps -->";

/// Puts a text between two marks.
fn between(file: &str, begin: &str, end: &str, text: &str) -> Result<String, String> {
    let at = file.find(begin).ok_or_else(|| format!("there is no line `{}`", begin.trim_end()))? + begin.len();
    let length = file[at..].find(end).ok_or_else(|| format!("nothing ends the part that begins with `{}`", begin.trim_end()))?;
    Ok(format!("{}{text}{}", &file[..at], &file[at + length..]))
}

/// The table of the language document.
fn language(file: &str) -> Result<String, String> {
    let mut table = "| step | takes | gives |\n|---|---|---|\n".to_owned();
    for row in STEPS.iter().flat_map(|step| step.rows) {
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(table, "| {} | {} | {} |", row.signature, row.takes, row.gives);
    }
    between(file, BEGIN, END, &table)
}

/// The names in the page of the code for an unknown step.
fn unknown_step(file: &str) -> Result<String, String> {
    let names = |steps: &[d365map::steps::Step]| {
        let names: Vec<String> = steps.iter().map(|step| format!("`{}`", step.name)).collect();
        names.split_last().map_or_else(String::new, |(last, others)| format!("{} and {last}", others.join(", ")))
    };
    let text =
        format!("The steps are {}; the functions are {}, and in formulas {}.\n", names(STEPS), names(FUNCTIONS), names(FORMULA_FUNCTIONS));
    between(file, BEGIN, END, &text)
}

/// Steps for which the TextMate grammar has separate rules, because they take more than arguments in parentheses.
const OWN_RULES: [&str; 6] = ["matches", "extract", "replace_matches", "map", "lookup", "link"];

/// The words behind a bar in the TextMate grammar.
fn text_mate(file: &str) -> Result<String, String> {
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).filter(|name| !OWN_RULES.contains(name)).collect();
    let begin = r"(\\|)\\s*(";
    let mut out = String::with_capacity(file.len());
    let (mut rest, mut found) = (file, 0);
    while let Some(at) = rest.find(begin).map(|at| at + begin.len()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // Other rules have the same beginning.
        if rest.starts_with("trim|") {
            let end = rest.find(')').ok_or("a list of steps does not end")?;
            out.push_str(&names.join("|"));
            rest = &rest[end..];
            found += 1;
        }
    }
    out.push_str(rest);
    if found == 2 { Ok(out) } else { Err(format!("2 lists of steps were expected, {found} were found")) }
}

/// The functions in Vim's syntax; what follows a bar is a step there, whatever its name.
fn vim(file: &str) -> Result<String, String> {
    let mut names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    names.extend(FORMULA_FUNCTIONS.iter().map(|function| function.name).filter(|name| FUNCTIONS.iter().all(|f| f.name != *name)));
    between(file, r"syntax match d365mapStep /\<\%(", r"\)\ze\s*(/", &names.join(r"\|"))
}

/// The description of the API, with its members in order.
fn description(_: &str) -> Result<String, String> {
    serde_json::to_string_pretty(&d365map::serve::openapi()).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// The samples of the steps, and the functions of formulas, as words of libFuzzer's dictionary, at its end.
fn dictionary(file: &str) -> Result<String, String> {
    let begin = "# steps: written by `cargo xtask generate` from src/steps\n";
    let at = file.find(begin).ok_or_else(|| format!("there is no line `{}`", begin.trim_end()))? + begin.len();
    let mut out = file[..at].to_owned();
    let formulas = FORMULA_FUNCTIONS.iter().map(|function| function.usage);
    for sample in STEPS.iter().flat_map(|step| step.samples).copied().chain(formulas) {
        let mut word = String::new();
        for byte in sample.bytes() {
            match byte {
                b'"' | b'\\' => word.extend(['\\', char::from(byte)]),
                b' '..=b'~' => word.push(char::from(byte)),
                // The dictionary's notation of other bytes.
                _ => {
                    let _ = write!(word, "\\x{byte:02x}");
                }
            }
        }
        let _ = writeln!(out, "\"{word}\"");
    }
    Ok(out)
}
