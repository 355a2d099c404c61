//! Tables of consultants into mapping files: workbooks, titles, directions, dates, and files that are not what they seem.

use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use d365map::check::{Input, compile};
use d365map::import::{DateOrder, Headings, Imported, Reading, TableError, import, read};
use d365map::schema::{Catalogue, TableId};
use zip::write::SimpleFileOptions;

fn run(args: &[&str]) -> (i32, String, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_d365map")).args(args).current_dir(root).output().expect("it runs");
    (status.code().unwrap_or(-1), String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

fn table(name: &str) -> std::sync::Arc<d365map::schema::Table> {
    Catalogue::builtin().get(&TableId::parse(name).expect("a name")).expect("built in").clone()
}

fn imported_with(text: &str, reading: &Reading) -> Imported {
    let found = read(Path::new("a.csv"), "a.csv", text.as_bytes(), reading).expect("a table");
    import("contacts", &table("d365.contact"), &table("campaign.profile"), &found.tables, reading.dates)
}

/// The entries of one table of CSV, without the head, the key and empty lines.
fn entries(text: &str) -> Vec<String> {
    lines(&imported_with(text, &Reading::default()))
}

fn lines(imported: &Imported) -> Vec<String> {
    let inner =
        imported.text.lines().map(str::trim).filter(|l| !l.is_empty() && *l != "}" && !l.starts_with("mapping ") && !l.starts_with("key "));
    // One space between words, whatever the alignment.
    inner.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_formula_is_taken_over_as_it_is() {
    let text = "source,target,steps\n= 100 / numberofchildren,cusPoints,round(0) or null\n= 5 +,cusOrigin,\n";
    let found = entries(text);
    assert_eq!(found[0], "= 100 / numberofchildren -> cusPoints | round(0) or null", "{found:?}");
    assert!(found[1].starts_with("# TODO"), "{found:?}");
}

const WORKBOOK: &str = "tests/data/import/contacts.xlsx";

#[test]
fn a_workbook_with_titles_merged_cells_dates_and_directions_becomes_one_mapping() {
    let (status, out, error) = run(&["import", WORKBOOK]);
    assert_eq!(status, 1, "{error}");
    insta::assert_snapshot!(format!("{out}----\n{error}"));
}

#[test]
fn a_hidden_sheet_is_read_only_when_it_is_named() {
    let (_, out, error) = run(&["import", WORKBOOK, "--sheet", "old"]);
    assert!(out.contains("lastname -> middleName") && !out.contains("firstName"), "{out}{error}");
    let (status, _, error) = run(&["import", WORKBOOK, "--sheet", "Nosuch"]);
    assert!(status == 2 && error.contains("no sheet `Nosuch`") && error.contains("`Fields`") && error.contains("`Old`"), "{error}");
    let (status, _, error) = run(&["import", WORKBOOK, "--sheet", "Overview"]);
    assert!(status == 2 && error.contains("no row of headings") && error.contains("--columns"), "{error}");
}

fn reason(name: &str, bytes: &[u8]) -> String {
    match read(Path::new(name), name, bytes, &Reading::default()) {
        Err(error @ TableError::Workbook { .. }) => error.to_string(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_file_that_is_not_a_workbook_is_refused_with_what_to_do() {
    assert!(reason("a.xlsx", b"Source,Target\n").contains("not an .xlsx workbook"));
    assert!(reason("a.xlsx", b"").contains("not an .xlsx workbook"));
    let old = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, 0, 0];
    assert!(reason("a.xls", &old).contains("without a password"));
    assert!(reason("a.csv", &old).contains("without a password"));
    let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(WORKBOOK)).expect("the workbook");
    assert!(reason("a.xlsx", &whole[..whole.len() / 2]).contains("save it as .xlsx again"));
    assert!(reason("a.zip", &archive(&[("a.txt", b"no workbook")])).contains("save it as .xlsx again"));
    // Each byte of the archive's directory may be damaged: an error, and no panic.
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xFF;
        let _ = read(Path::new("a.xlsx"), "a.xlsx", &damaged, &Reading::default());
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).expect("a file");
        writer.write_all(content).expect("its content");
    }
    writer.finish().expect("an archive").into_inner()
}

/// A workbook of one sheet with this XML.
fn workbook(sheet: &str) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    archive(&[
        ("_rels/.rels", format!("<Relationships xmlns=\"{package}\"><Relationship Id=\"r\" Type=\"{relations}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>").as_bytes()),
        ("xl/_rels/workbook.xml.rels", format!("<Relationships xmlns=\"{package}\"><Relationship Id=\"r1\" Type=\"{relations}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>").as_bytes()),
        ("xl/workbook.xml", format!("<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>").as_bytes()),
        ("xl/worksheets/sheet1.xml", format!("<worksheet xmlns=\"{main}\"><sheetData>{sheet}</sheetData></worksheet>").as_bytes()),
    ])
}

fn cell(at: &str, text: &str) -> String {
    format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

#[test]
fn a_small_archive_that_unpacks_to_a_large_workbook_is_refused() {
    let bomb = workbook(&" ".repeat(40 * 1024 * 1024));
    assert!(bomb.len() < 1024 * 1024);
    assert!(reason("a.xlsx", &bomb).contains("larger than 32 MiB when it is unpacked"));
}

#[test]
fn a_sheet_takes_memory_by_its_cells_and_not_by_their_places() {
    let rows = format!(
        "<row r=\"1\">{}{}</row><row r=\"2\">{}{}</row><row r=\"1048576\">{}</row>",
        cell("A1", "Source"),
        cell("XFD1", "Target"),
        cell("A2", "lastname"),
        cell("XFD2", "lastName"),
        cell("XFC1048576", "far away")
    );
    let found = read(Path::new("a.xlsx"), "a.xlsx", &workbook(&rows), &Reading::default()).expect("a table");
    assert_eq!(found.tables[0].rows.len(), 1);
    assert_eq!(found.tables[0].rows[0].cell("target"), "lastName");
}

#[test]
fn titles_before_the_headings_and_a_declared_separator_are_skipped() {
    let wanted = ["lastname -> lastName"];
    assert_eq!(entries("Contacts, version 2;;\n;;\nSource;Target;Notes\nlastname;lastName;\n"), wanted);
    assert_eq!(entries("sep=;\nSource;Target\nlastname;lastName\n"), wanted);
    // Headings of two rows: the systems, and below them what is said of each.
    assert_eq!(entries("Dynamics 365,,Adobe Campaign\nField,Type,Attribute\nlastname,Text,lastName\n"), wanted);
    // A row of fields is not a row of headings, even if the fields are called so.
    assert_eq!(entries("Dynamics 365,Adobe Campaign\nname,name\n"), ["name -> name"]);
    let numbers = imported_with("Title,\nSource,Target\nlastname,\n", &Reading::default());
    assert_eq!(numbers.notes.last().expect("a note").place, "a.csv row 3");
}

#[test]
fn the_author_can_name_the_headings() {
    let mut headings = Headings::default();
    headings.add("source=Feld im CRM").expect("a role");
    headings.add("target = Feld (ACS)").expect("a role");
    let reading = Reading { headings, ..Reading::default() };
    // What is named counts before what is guessed.
    let imported = imported_with("Source,Feld im CRM,Feld (ACS),Steps\nignored,lastname,lastName,trim\n", &reading);
    assert_eq!(lines(&imported), ["lastname -> lastName | trim"]);
    let (status, _, error) = run(&["import", "examples/import/fields.csv", "--columns", "steps=Rules of ours"]);
    assert!(status == 2 && error.contains("`Rules of ours`") && error.contains("--columns"), "{error}");
    let (status, _, error) = run(&["import", "examples/import/fields.csv", "--columns", "sauce=a"]);
    assert!(status == 2 && error.contains("`sauce` is not a role") && error.contains("source, target, direction"), "{error}");
    let (status, _, error) = run(&["import", "examples/import/fields.csv", "--columns", "source"]);
    assert!(status == 2 && error.contains("not ROLE=HEADING"), "{error}");
}

#[test]
fn steps_are_separated_by_commas_semicolons_and_line_breaks_outside_of_parentheses_and_quotes() {
    let entry = |steps: &str| entries(&format!("Source,Target,Steps\nlastname,lastName,\"{}\"\n", steps.replace('"', "\"\""))).remove(0);
    assert_eq!(entry("trim, upper"), "lastname -> lastName | trim | upper");
    assert_eq!(entry("trim;\nupper |"), "lastname -> lastName | trim | upper");
    assert_eq!(entry("replace(\",\", \";\"), trim"), "lastname -> lastName | replace(\",\", \";\") | trim");
    assert_eq!(entry("default(“a, b”), trim"), "lastname -> lastName | default(\"a, b\") | trim");
}

#[test]
fn a_direction_that_the_mapping_cannot_take_leaves_the_row_as_a_comment() {
    let left = |direction: &str| entries(&format!("Source,Direction,Target\nlastname,{direction},lastName\n")).remove(0);
    assert_eq!(left("D365 -> Campaign"), "lastname -> lastName");
    assert!(left("<-").contains("only writes to campaign.profile"), "{}", left("<-"));
    assert!(left("both").contains("goes both ways"), "{}", left("both"));
    assert!(left("maybe").contains("`maybe` is not known: write ->, <- or <->"), "{}", left("maybe"));
    // The arrow between columns in the other order.
    assert_eq!(entries("Target,<-,Source\nlastName,<-,lastname\n"), ["lastname -> lastName"]);
}

#[test]
fn opt_outs_that_go_to_dynamics_too_become_a_block_that_compiles() {
    let imported = imported_with(
        "Source,Direction,Target,Steps\ncontactid,,externalId,\nlastname,,lastName,\ndonotemail,both,denyListEmail,\nfollowemail,both,denyList,not\n",
        &Reading::default(),
    );
    assert_eq!(
        lines(&imported),
        [
            "lastname -> lastName",
            "optout contacts {",
            "direction bidirectional",
            "donotemail <-> denyListEmail",
            "followemail <-> not denyList"
        ]
    );
    let compiled = compile(vec![Input { name: "a".to_owned(), bytes: imported.text.into_bytes() }], Catalogue::builtin());
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
}

#[test]
fn a_mapping_of_referrals_takes_all_directions() {
    let found = read(
        Path::new("a.csv"),
        "a.csv",
        b"Source,Direction,Target,Key\nid,both,msft_microsoftpartnercenterreferralidentifier,yes\ndetails.dealValue,both,estimatedvalue,\ndetails.notes,<-,description,\n",
        &Reading::default(),
    )
    .expect("a table");
    let imported = import("referrals", &table("partner.referral"), &table("d365.opportunity"), &found.tables, None);
    assert!(
        imported.text.starts_with(
            "mapping referrals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n"
        ),
        "{}",
        imported.text
    );
    assert_eq!(lines(&imported), ["details.dealValue <-> estimatedvalue", "details.notes <- description"]);
}

#[test]
fn local_dates_are_read_by_the_order_that_the_table_or_the_author_says() {
    let filter = |dates: &str, order: Option<DateOrder>| {
        let rows: String = dates.split(' ').map(|d| format!("birthdate,after,{d}\n")).collect();
        let reading = Reading { dates: order, ..Reading::default() };
        lines(&imported_with(&format!("Field,Operator,Value\n{rows}"), &reading))
            .into_iter()
            .filter(|l| l.contains("birthdate"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        filter("31.12.2024 03/04/2020 25/12/2000", None),
        ["birthdate > 2024-12-31", "birthdate > 2020-04-03", "birthdate > 2000-12-25"]
    );
    assert_eq!(filter("12/25/2000 03/04/2020", None), ["birthdate > 2000-12-25", "birthdate > 2020-03-04"]);
    assert_eq!(filter("03/04/2020", Some(DateOrder::Mdy)), ["birthdate > 2020-03-04"]);
    let [left] = &*filter("03/04/2020", None) else { panic!("one row") };
    assert!(left.starts_with("# TODO") && left.contains("may be 2020-04-03 or 2020-03-04") && left.contains("--dates dmy"), "{left}");
    let [a, b, c] = &*filter("25/12/2000 12/25/2000 03/04/2020", None) else { panic!("three rows") };
    assert!(a.ends_with("2000-12-25") && b.ends_with("2000-12-25") && c.contains("TODO"), "{c}");
}
