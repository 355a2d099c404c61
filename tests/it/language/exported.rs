//! Tables that `export` writes: `import` reads them back to the same mapping.

use std::path::Path;

use d365map::check::{Compiled, Input, compile_project};
use d365map::diagnostics::render::{Format, Style, render};
use d365map::diagnostics::{Diagnostics, FileId, Levels};
use d365map::import::{Reading, heading, import, read};
use d365map::plan::changes::changes;
use d365map::report::{Parsed, Sheets, csv, tables, xlsx};
use d365map::schema::TableId;
use d365map::syntax::{ast, parse};
use proptest::prelude::*;

use super::support::{catalogue, compiled, table_files, whole};

fn tree(text: &str) -> ast::File {
    let mut diagnostics = Diagnostics::default();
    let file = parse(FileId(0), text, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{text}");
    file
}

fn exported(name: &str, text: &str) -> Sheets {
    tables(name, &[Parsed { text, file: &tree(text) }], catalogue()).expect("the mapping")
}

/// The text of the mapping that the tables make, and what `import` had to say.
fn imported(tables: &[d365map::import::Table]) -> (String, Vec<String>) {
    let (name, source, target) = heading(tables).expect("the tables say what they map");
    let table = |name: &str| catalogue().get(&TableId::parse(name).expect("a table")).expect("a known table").clone();
    let imported = import(&name, &table(&source), &table(&target), tables, None);
    (imported.text, imported.notes.into_iter().map(|note| format!("{}: {}", note.place, note.text)).collect())
}

/// Exports a mapping as CSV and as a workbook, and reads both.
fn returned(name: &str, text: &str) -> (String, Vec<String>) {
    let sheets = exported(name, text);
    let mut of_csv = Vec::new();
    for sheet in &sheets.sheets {
        let file = format!("{}.csv", sheet.name);
        of_csv.extend(read(Path::new(&file), &file, &csv(sheet).expect("CSV"), &Reading::default()).expect("a table").tables);
    }
    let workbook = xlsx(&sheets).expect("a workbook");
    let of_workbook = read(Path::new("a.xlsx"), "a.xlsx", &workbook, &Reading::default()).expect("tables").tables;
    let (csv, workbook) = (imported(&of_csv), imported(&of_workbook));
    assert_eq!(csv.0, workbook.0, "CSV and the workbook make the same mapping");
    csv
}

fn compile_file(text: &str) -> Compiled {
    let input = Input { name: "mappings/test.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    compile_project(vec![input], table_files(), catalogue(), &Levels::new())
}

/// The text with one mapping, its opt-outs and the tables of files in the form in which they came back.
fn replaced(name: &str, text: &str, with: &str) -> String {
    let file = tree(text);
    let mut cut: Vec<_> = file.lookups.iter().map(|table| table.span.range()).collect();
    cut.extend(file.mappings.iter().filter(|m| m.head.as_ref().is_some_and(|head| head.name.text == name)).map(|m| m.span.range()));
    cut.extend(file.optouts.iter().filter(|block| block.mapping.text == name).map(|block| block.span.range()));
    cut.sort_by_key(|range| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    cut.into_iter().for_each(|range| text.replace_range(range, ""));
    format!("{text}\n{with}")
}

fn comes_back(text: &str) -> usize {
    let before = compiled(text);
    let Some(plan) = &before.plan else { panic!("{text}\n{}", render(&before.diagnostics, &before.sources, Format::Human, Style::PLAIN)) };
    let mut count = 0;
    for mapping in tree(text).mappings {
        let name = mapping.head.expect("a head").name.text;
        if exported(&name, text).left_out.iter().any(|what| what.starts_with("the block")) {
            continue;
        }
        let (again, notes) = returned(&name, text);
        let notes: Vec<_> = notes.iter().filter(|note| note.contains("left as a comment")).collect();
        assert!(notes.is_empty(), "{text}\n{again}\n{notes:?}");
        let after = compile_file(&replaced(&name, text, &again));
        let said = render(&after.diagnostics, &after.sources, Format::Human, Style::PLAIN);
        let Some(other) = &after.plan else { panic!("{text}\n{again}\n{said}") };
        let changes = changes(plan, other, &Default::default(), 5_000);
        assert!(changes.workflows.is_empty(), "{text}\n{again}\n{}", changes.describe());
        count += 1;
    }
    count
}

#[test]
fn every_mapping_of_the_documents_and_the_shipped_ones_come_back_the_same() {
    let mut count = 0;
    for page in [
        include_str!("../../../docs/language.md"),
        include_str!("../../../docs/cheat-sheet.md"),
        include_str!("../../../docs/contacts.md"),
        include_str!("../../../docs/custom-entities.md"),
    ] {
        for part in page.split("```d365map").skip(1) {
            let (_, body) = part.split_once('\n').expect("a fenced block");
            count += comes_back(&whole(body.split("\n```").next().expect("an end of the block")));
        }
    }
    let contacts = include_str!("../../../mappings/contacts.d365map");
    count += comes_back(contacts) + comes_back(&format!("{contacts}\n{}", include_str!("../../../mappings/optout.d365map")));
    count += comes_back(
        "replace yes_no { true => \"yes\"; false => \"no\" }\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  \
         donotphone -> fax | map yes_no\n  followemail -> salutation\n  replace followemail with yes_no\n  \
         case { gendercode = Male => donotfax | map yes_no; else => null } -> middleName\n  \
         coalesce(donotemail | map yes_no, nickname) -> cusNote\n}\n",
    );
    assert!(count >= 35, "only {count} mappings came back");
}

/// Texts that a spreadsheet or `import` could take for something else.
const HARD: &[&str] = &[
    "null",
    "*",
    "else",
    "keep",
    "yes",
    "TRUE",
    " a",
    "a ",
    "  ",
    "a  b",
    "=1+1",
    "+49",
    "-",
    "@x",
    "'a",
    "'=a",
    "12",
    "012",
    "1.50",
    "2024-01-31",
    "31.12.2024",
    "< 18",
    "in (1)",
    "starts with",
    "a\"b",
    "\"a\"",
    "„a“",
    "a;b",
    "a,b",
    "a|b",
    "a\nb",
    "a\\b",
    "{a}",
    "ä",
    "(empty)",
    "$a",
    "#a",
];

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('{', "\\{").replace('}', "\\}");
    format!("\"{escaped}\"")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn hard_texts_in_cases_filters_and_sources_come_back_the_same(
        keys in prop::sample::subsequence(HARD, 1..5), values in prop::collection::vec(prop::sample::select(HARD), 5), fixed in prop::sample::select(HARD),
        compared in prop::sample::select(HARD), contained in prop::sample::select(HARD), any in any::<bool>(),
    ) {
        // A case for white space only is that of an empty value, and some values are as long as the target allows.
        let keys: Vec<&str> = keys.into_iter().filter(|key| !key.trim().is_empty()).collect();
        prop_assume!(!keys.is_empty() && !fixed.trim().is_empty() && !compared.trim().is_empty() && !contained.trim().is_empty());
        let cases: String = keys.iter().zip(&values).map(|(key, value)| format!("    {} => {}\n", quoted(key), quoted(value))).collect();
        let mode = if any { "any" } else { "all" };
        let text = format!(
            "mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {} -> cusNote\n  \
             jobtitle -> middleName | truncate(20)\n  nickname -> cusDisplayName | map {{ {} => \"x\"; else => null }}\n\n  \
             replace jobtitle {{\n{cases}    else => \"none\"\n  }}\n\n  \
             filter {mode} {{\n    nickname = {}\n    jobtitle contains {}\n    not any {{ lastname is empty; firstname != {} }}\n  }}\n}}\n",
            quoted(fixed), quoted(keys[0]), quoted(compared), quoted(contained), quoted(compared)
        );
        let compiled = compiled(&text);
        prop_assume!(compiled.plan.is_some());
        prop_assert_eq!(comes_back(&text), 1);
    }
}

#[test]
fn a_cell_of_csv_that_would_run_as_a_formula_begins_with_an_apostrophe_and_one_of_a_workbook_is_text() {
    let text = whole("= numberofchildren * 2 -> cusPoints\n\"@x\" -> cusNote");
    let sheets = exported("contacts", &text);
    let written = String::from_utf8(csv(&sheets.sheets[0]).expect("CSV")).expect("UTF-8");
    assert!(written.contains("'= numberofchildren * 2,"), "{written}");
    let cells = written.lines().skip(1).flat_map(|line| line.split(','));
    assert!(cells.into_iter().all(|cell| !cell.starts_with(['=', '+', '-', '@']) || cell.starts_with("->")), "{written}");
    let bytes = xlsx(&sheets).expect("a workbook");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip");
    let mut sheet = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("xl/worksheets/sheet1.xml").expect("a sheet"), &mut sheet).expect("text");
    assert!(!sheet.contains("<f>"), "no cell is a formula");
}

#[test]
fn what_tables_cannot_hold_is_named() {
    let text = whole("firstname -> firstName | truncate(30)")
        + "\ntest contacts \"a name\" {\n  given { firstname: \"A\" }\n  expect { firstName: \"A\" }\n}\n";
    assert_eq!(exported("contacts", &text).left_out, ["the test \"a name\""]);
}

/// A file with every kind of entry.
const EVERYTHING: &str = "table codes from \"tables/salutations.csv\" { key gender, language }

mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  adopt by email

  firstname -> firstName | trim
    | truncate(30)
  emailaddress1 -> email | lower
  gendercode -> gender
  jobtitle -> middleName | truncate(20)
  familystatuscode -> salutation

  when statecode = Active {
    nickname -> cusNote
    lastname -> lastName
  } else when lastname is present {
    lastname -> lastName
  } else {
    nickname -> lastName
  }

  replace gendercode {
    Male => male
    Female => female
    else => unknown
  }

  replace familystatuscode { Single => \"S\"; Married => \"M\" }

  filter all {
    statecode = Active
    any {
      lastname is present
      not firstname = \"x\"
    }
  }

  options {
    deletes propagate
    filtered-out keep
  }
}

optout contacts {
  direction bidirectional
  donotemail <-> denyListEmail
  preferredcontactmethodcode <-> denyListFax {
    Email => in
    else => out
  }
}
";

#[test]
fn a_comment_above_a_line_or_at_its_end_comes_back_wherever_the_line_is() {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let above = if line.trim().is_empty() { String::new() } else { format!("# above {number} -\n") };
        let end = if line.trim().is_empty() { String::new() } else { format!(" # end {number} -") };
        // Some comments are separated from the line below them.
        let apart = if number % 5 == 0 { format!("\n# apart {number} -\n\n") } else { String::new() };
        text.push_str(&format!("{apart}{above}{line}{end}\n"));
    }
    let (again, notes) = returned("contacts", &text);
    assert!(notes.is_empty(), "{notes:?}");
    let left_out = exported("contacts", &text).left_out.join("\n");
    for comment in text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment.trim()) {
        assert!(again.contains(&format!("# {comment}")) || left_out.contains(comment), "`{comment}` is lost:\n{again}\n{left_out}");
        assert!(again.matches(comment).count() < 2, "`{comment}` is there twice:\n{again}");
    }
    assert_eq!(left_out, "", "every comment has a place");
    let wordless =
        |text: &str| text.lines().map(|line| line.split('#').next().unwrap_or_default().trim_end()).collect::<Vec<_>>().join("\n");
    let (plain, _) = returned("contacts", EVERYTHING);
    let compact = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(compact(&wordless(&again)), compact(&plain), "comments change nothing else");
    // A second time, nothing changes but empty lines.
    assert_eq!(compact(&returned("contacts", &again).0), compact(&again));
}

#[test]
fn a_warning_that_is_allowed_stays_allowed() {
    for line in [
        "  familystatuscode -> salutation",
        "  replace familystatuscode",
        "  filter all",
        "  key contactid",
        "mapping contacts",
        "optout contacts",
    ] {
        let allow = "# allow(D304): other options stay as they are\n";
        let text = EVERYTHING.replacen(line, &format!("{allow}{line}"), 1);
        let codes = |text: &str| compile_file(text).diagnostics.iter().map(|finding| finding.code.name()).collect::<Vec<_>>();
        let (again, _) = returned("contacts", &text);
        assert_eq!(codes(&again), codes(&text), "{again}");
    }
}

#[test]
fn comments_of_what_the_tables_replace_are_named() {
    let text = "# where it comes from\nlet origin = \"crm\"\n\n".to_owned()
        + &whole("$origin -> salutation\nlastname -> lastName")
        + "\n# the end\n";
    assert_eq!(exported("contacts", &text).left_out, ["the comment `# where it comes from`", "the comment `# the end`"]);
}
