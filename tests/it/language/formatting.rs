//! The one canonical form: it keeps the meaning and the comments, and formatting it again changes nothing.

use std::path::Path;

use d365map::diagnostics::{Diagnostics, FileId};
use d365map::format::format;
use d365map::syntax::{self, TokenKind, tokens};
use proptest::prelude::*;

use super::support::whole;

/// The tree of a text without its places.
fn tree(text: &str) -> String {
    let mut diagnostics = Diagnostics::default();
    let tree = syntax::parse(FileId(0), text, &mut diagnostics);
    let all = format!("{tree:?}");
    let spans = regex::Regex::new(r"Span \{ file: FileId\(0\), start: \d+, end: \d+ \}").expect("a constant pattern");
    spans.replace_all(&all, "_").into_owned()
}

fn comments(text: &str) -> Vec<String> {
    let mut comments: Vec<String> = tokens(text).iter().filter(|t| t.kind == TokenKind::Comment).map(|t| t.text(text).to_owned()).collect();
    comments.sort();
    comments
}

fn holds(text: &str) -> Result<String, String> {
    let once = format(text).ok_or_else(|| format!("no form for\n{text}"))?;
    if tree(&once) != tree(text) {
        return Err(format!("another meaning:\n{text}\n---\n{once}"));
    }
    if comments(&once) != comments(text) {
        return Err(format!("other comments:\n{text}\n---\n{once}"));
    }
    let twice = format(&once).ok_or_else(|| format!("no form for its own form\n{once}"))?;
    if twice != once {
        return Err(format!("not its own form:\n{once}\n---\n{twice}"));
    }
    let mostly_crlf = text.matches("\r\n").count() * 2 > text.matches('\n').count();
    let line_ends = if mostly_crlf { "\r\n" } else { "\n" };
    if once.replace(line_ends, "").contains(['\r', '\n']) {
        return Err(format!("other line ends:\n{once:?}"));
    }
    let once = once.replace("\r\n", "\n");
    if once.lines().any(|l| l.ends_with(' ')) || once.contains("\n\n\n") {
        return Err(format!("not tidy:\n{once}"));
    }
    Ok(once)
}

#[test]
fn our_own_files_are_in_form() {
    for folder in ["mappings", "examples", "tests/corpus/accepted"] {
        let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(std::fs::read_dir(&path).expect("a folder").flatten().map(|e| e.path()));
            } else if path.extension().is_some_and(|e| e == "d365map") {
                // A few files of the corpus are there for not being in form.
                let ragged = ["byte-order-mark", "windows-line-ends", "everything-on-one-line", "steps-over-several-lines"];
                if path.file_stem().is_some_and(|s| ragged.iter().any(|r| s == *r)) {
                    holds(&std::fs::read_to_string(&path).expect("a file")).expect("a form");
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a file");
                assert_eq!(holds(&text).expect("a form"), text, "{}", path.display());
            }
        }
    }
}

#[test]
fn the_examples_of_all_pages_have_a_form_with_the_same_meaning() {
    for code in d365map::diagnostics::Code::ALL {
        for part in code.page().split("```d365map ").skip(1) {
            let (_, body) = part.split_once('\n').expect("a fenced block");
            let text = whole(body.split("\n```").next().expect("an end"));
            let mut diagnostics = Diagnostics::default();
            syntax::parse(FileId(0), &text, &mut diagnostics);
            let empty = diagnostics.iter().all(|d| d.code == d365map::diagnostics::Code::D003);
            if empty {
                holds(&text).unwrap_or_else(|e| panic!("{code}: {e}"));
            } else {
                assert_eq!(format(&text), None, "{code}: a faulty file is left alone");
            }
        }
    }
}

#[test]
fn a_ragged_file_becomes_as_reviewed() {
    let ragged = include_str!("../../data/ragged.d365map");
    insta::assert_snapshot!(holds(ragged).expect("a form"));
}

#[test]
fn line_ends_stay_as_most_lines_have_them_and_the_byte_order_mark_goes() {
    let out = format("\u{FEFF}mapping a: d365.contact -> campaign.profile {\r\n key contactid->externalId # why\r\n}").expect("a form");
    assert_eq!(out, "mapping a: d365.contact -> campaign.profile {\r\n  key contactid -> externalId  # why\r\n}\r\n");
    // One line that came from another machine does not change the file.
    let mixed = out.replacen("\r\n", "\n", 1);
    assert_eq!(format(&mixed).expect("a form"), out);
    assert_eq!(format(&mixed.replacen("\r\n", "\n", 1)).expect("a form"), out.replace("\r\n", "\n"));
}

/// Entries that a generated mapping consists of.
fn entry() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "lastname",
        "`odd name`",
        "emailaddress1",
        "\"{firstname} {lastname}\"",
        "coalesce(a,b)",
        "42",
        "-4.5",
        "\"a # b\"",
        "$c",
    ]);
    let target = prop::sample::select(vec!["lastName", "location.city", "email", "`x y`"]);
    let step = prop::sample::select(vec![
        "trim",
        "truncate( 30 )",
        "default( \"a;b\" )",
        "round(2) or null",
        "number(\",\")or default( -1 )",
        "map {1=>a;else=>keep}",
        "map shared",
        "link accounts",
        "map {\n 1 => \"x\" # c\n\n\n else => null }",
        "replace_text(\"a\",\"b\")",
        "pad(3,\"0\",right)",
    ]);
    let flag = prop::sample::select(vec!["", "", " @initial"]);
    let way = prop::sample::select(vec!["->", "<->", "<-"]);
    let field = (name, way, target, prop::collection::vec((step, prop::sample::select(vec!["|", "\n|", " | ", "\n\n  | "])), 0..4), flag)
        .prop_map(|(n, w, t, steps, f)| {
            let steps: String = steps.into_iter().map(|(s, bar)| format!("{bar}{s}")).collect();
            format!("{n} {w}{t}{steps}{f}")
        });
    let condition = prop::sample::select(vec![
        "statecode=Active",
        "createdon>= now -30d",
        "createdon < today+1d",
        "x in(1,-2, \"c\")",
        "not a is present",
        "b between -5 and -3",
        "c matches \"^#;$\"",
        "d changed within 12h",
        "any{a=1;b=2}",
        "not all {\n a is empty\n}",
        "e >= 2020-01-01 - 5d",
        "f starts  with \"x\"",
    ]);
    prop_oneof![
        6 => field,
        1 => Just("key a->b".to_owned()),
        1 => Just("replace g with shared".to_owned()),
        1 => prop::collection::vec((prop::sample::select(vec!["1", "\"a\"", "Male", "null", "else", "-1"]), prop::sample::select(vec!["x", "null", "keep", "true", "\"y\""])), 0..4)
            .prop_map(|arms| format!("replace f{{{}}}", arms.into_iter().map(|(a, b)| format!("{a}=>{b}")).collect::<Vec<_>>().join(";"))),
        1 => prop::collection::vec(condition, 0..4).prop_map(|c| format!("filter all {{\n{}\n}}", c.join("\n"))),
        1 => Just("options{deletes propagate;filtered-out   keep\n\n\n  picklists labels}".to_owned()),
    ]
}

fn item() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec!["\n", ";", "\n\n\n", " # a comment\n", "\n  # above\n", "\n\n# apart\n\n", ";;\n"]);
    let body = prop::collection::vec((entry(), separator), 0..7)
        .prop_map(|entries| entries.into_iter().map(|(e, s)| format!("{e}{s}")).collect::<String>());
    prop_oneof![
        4 => (prop::sample::select(vec![" {", "{ # open\n", "\n{\n"]), body).prop_map(|(open, body)| format!("mapping m:d365.contact->campaign.profile{open}{body}}}")),
        1 => Just("let  c=\"x\"\n".to_owned()),
        1 => Just("include   \"a/b.d365map\"\n".to_owned()),
        1 => Just("replace shared {a=>b\n\n# why\nelse=>keep}".to_owned()),
        1 => Just("optout m{direction   bidirectional;donotemail<->not denyList # x\n}".to_owned()),
        1 => Just("events e:campaign.email->d365.contact{send on;bounce  off}".to_owned()),
        1 => Just("test m \"t # t\"{now 2024-01-31;given{a:1,b:\"x\";c:-2\nd:null};expect{e:true}}".to_owned()),
        1 => Just("test m \"u\" {\ngiven { # c\n a:1 }\nexpect rejected \"D901\"}".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_form_means_the_same_keeps_all_comments_and_is_its_own_form(
        items in prop::collection::vec((item(), prop::sample::select(vec!["\n", "\n\n\n", " # end\n", "\n# between\n"])), 0..5),
        windows in any::<bool>(),
    ) {
        let mut text: String = items.into_iter().map(|(i, s)| format!("{i}{s}")).collect();
        if windows {
            text = text.replace('\n', "\r\n");
        }
        if let Err(error) = holds(&text) {
            return Err(TestCaseError::fail(error));
        }
    }
}
