//! Tables of files: the values that records get, held against a search of the tests that reads the rows one by one, and what the checker says.

use d365map::check::{Compiled, TableFile, TableFiles};
use d365map::diagnostics::render::{Format, Style, render};
use d365map::eval::{Evaluated, Evaluator};
use d365map::format::format;
use d365map::plan::{ExecutionPlan, PlanError, describe};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::support::{compiled, compiled_with_tables, map, plan, rendered, whole};

const NOW: &str = "2026-11-21T12:00:00Z";

fn said(compiled: &Compiled) -> String {
    render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN)
}

fn codes(compiled: &Compiled) -> Vec<&'static str> {
    compiled.diagnostics.iter().map(|d| d.code.name()).collect()
}

/// A whole file with a table `t` of these rows.
fn with_table(key: &str, entries: &str) -> String {
    format!(
        "table t from \"t.csv\" {{ key {key} }}\n\nmapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {entries}\n}}\n"
    )
}

/// The result of a record: its target record without the key, or the code of its rejection.
fn became(plan: &ExecutionPlan, record: &Json) -> Result<Json, String> {
    let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
    let now = d365map::time::parse_instant(NOW).expect("an instant");
    let mut record = record.clone();
    record["contactid"] = "8f1d0000-0000-4000-8000-000000000001".into();
    match evaluator.evaluate(&record.to_string(), now) {
        Evaluated::Mapped(mapped) => {
            let mut out = String::new();
            mapped.write_json(&mut out);
            let mut value: Json = serde_json::from_str(&out).expect("the evaluator writes JSON");
            value.as_object_mut().expect("an object").remove("externalId");
            Ok(value)
        }
        Evaluated::Filtered { .. } => panic!("there is no filter"),
        Evaluated::Rejected(rejection) => Err(rejection.code.to_owned()),
    }
}

fn looked_up(rows: &str, key: &str, entries: &str, record: Json) -> Result<Json, String> {
    let compiled = compiled_with_tables(&with_table(key, entries), &[("t.csv", rows)]);
    let plan = compiled.plan.as_ref().unwrap_or_else(|| panic!("{}", said(&compiled)));
    became(plan, &record)
}

// ------------------------------------------------------------------------------------- against a search of the tests

/// A row of a generated table: its keys and its value.
type Row = (Vec<&'static str>, Option<&'static str>);

const KEYS: &[&str] = &["a", "A", "é", "e\u{301}x", "1", "01", "x  y", "x y"];
const NUMBERS: &[&str] = &["0", "1", "-1", "2", "40"];
const VALUES: &[&str] = &["one", "Two", "3", "4.50", "long text with spaces", "ß"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Or {
    Null,
    Default,
    Keep,
    Reject,
}

impl Or {
    fn text(self) -> &'static str {
        match self {
            Or::Null => "or null",
            Or::Default => "or default(\"none\")",
            Or::Keep => "or keep",
            Or::Reject => "or reject",
        }
    }
}

/// What a lookup gives; `Err` if the record is rejected.
fn search(rows: &[Row], keys: &[Option<String>], or: Or, is_step: bool) -> Result<Json, String> {
    if is_step && keys[0].is_none() {
        return Ok(Json::Null);
    }
    // Texts are compared in one form, as everywhere in the language.
    let form = |text: &str| text.replace("e\u{301}", "é");
    let found = rows.iter().find(|(own, _)| own.iter().zip(keys).all(|(own, key)| key.as_ref().is_some_and(|key| form(own) == form(key))));
    match (found, or) {
        (Some((_, value)), _) => Ok(value.map_or(Json::Null, Json::from)),
        (None, Or::Null) => Ok(Json::Null),
        (None, Or::Default) => Ok("none".into()),
        (None, Or::Keep) => Ok(keys[0].clone().into()),
        (None, Or::Reject) => Err("D901".to_owned()),
    }
}

fn or(is_step: bool) -> impl Strategy<Value = Or> {
    prop::sample::select(if is_step { vec![Or::Null, Or::Default, Or::Keep, Or::Reject] } else { vec![Or::Null, Or::Default, Or::Reject] })
}

fn value() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.9, prop::sample::select(VALUES))
}

/// The table as a file: in CSV, or in YAML.
fn file(columns: &[&str], rows: &[Row], yaml: bool) -> (&'static str, String) {
    if yaml {
        let item = |(keys, value): &Row| {
            let cells = columns.iter().zip(keys).map(|(column, key)| format!("{column}: {}", json!(key)));
            let value = value.map_or("v: ~".to_owned(), |value| format!("v: {}", json!(value)));
            format!("- {{ {}, {value} }}\n", cells.collect::<Vec<_>>().join(", "))
        };
        return ("t.yaml", rows.iter().map(item).collect());
    }
    let row = |(keys, value): &Row| format!("\"{}\",{}\n", keys.join("\",\""), value.unwrap_or_default());
    ("t.csv", format!("{},v\n{}", columns.join(","), rows.iter().map(row).collect::<String>()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_lookup_by_one_key_gives_what_a_search_of_the_rows_gives(
        keys in prop::sample::subsequence(KEYS, 1..=8), values in prop::collection::vec(value(), 8), yaml in any::<bool>(),
        is_step in any::<bool>(), step in or(true), call in or(false), records in prop::collection::vec(prop::option::of(prop::sample::select(KEYS)), 6),
    ) {
        let rows: Vec<Row> = keys.iter().zip(&values).map(|(key, value)| (vec![*key], *value)).collect();
        let or = if is_step { step } else { call };
        let (name, text) = file(&["k"], &rows, yaml);
        let entry = if is_step { format!("nickname -> cusNote | lookup t.v {}", or.text()) } else { format!("lookup(t.v, nickname) {} -> cusNote", or.text()) };
        let mapping = with_table("k", &entry).replace("t.csv", name);
        let compiled = compiled_with_tables(&mapping, &[(name, &text)]);
        // Keys that differ only in case or spaces are a warning, and no more.
        prop_assert!(codes(&compiled).iter().all(|code| *code == "D328"), "{}", said(&compiled));
        let plan = compiled.plan.expect("warnings leave a plan");
        let again = ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read");
        prop_assert_eq!(&again, &plan);
        for record in records {
            let key = record.map(str::to_owned);
            let wanted = search(&rows, std::slice::from_ref(&key), or, is_step).map(|value| json!({ "cusNote": value }));
            for plan in [&plan, &again] {
                prop_assert_eq!(became(plan, &json!({ "nickname": key })), wanted.clone(), "{}\n{}\n{:?}", mapping, text, key);
            }
        }
    }

    #[test]
    fn a_lookup_by_two_keys_gives_what_a_search_of_the_rows_gives(
        cells in prop::collection::btree_map((prop::sample::select(KEYS), prop::sample::select(NUMBERS)), value(), 1..12),
        or in or(false), records in prop::collection::vec((prop::option::of(prop::sample::select(KEYS)), prop::option::of(-1_i64..4)), 8),
    ) {
        let rows: Vec<Row> = cells.iter().map(|((text, number), value)| (vec![*text, *number], *value)).collect();
        let (name, text) = file(&["k", "n"], &rows, false);
        let mapping = with_table("k, n", &format!("lookup(t.v, nickname, numberofchildren) {} -> cusNote", or.text()));
        let compiled = compiled_with_tables(&mapping, &[(name, &text)]);
        prop_assert!(codes(&compiled).iter().all(|code| *code == "D328"), "{}", said(&compiled));
        let plan = compiled.plan.expect("warnings leave a plan");
        for (nickname, children) in records {
            let keys = [nickname.map(str::to_owned), children.map(|n| n.to_string())];
            let wanted = search(&rows, &keys, or, false).map(|value| json!({ "cusNote": value }));
            prop_assert_eq!(became(&plan, &json!({ "nickname": nickname, "numberofchildren": children })), wanted, "{}\n{}", mapping, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_lookup_in_a_formula_is_the_number_of_the_row_and_empty_without_one(
        keys in prop::sample::subsequence(KEYS, 1..=8), points in prop::collection::vec(prop::option::weighted(0.8, -200_i64..900), 8),
        records in prop::collection::vec((prop::option::of(prop::sample::select(KEYS)), prop::option::of(0_i64..50)), 6),
    ) {
        // An empty cell, and no row, leave the first result empty; the second has another number then.
        prop_assume!(points[..keys.len()].iter().any(Option::is_some));
        let quarters = |n: i64| format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 4, n.abs() % 4 * 25);
        let rows: String = keys.iter().zip(&points).map(|(key, n)| format!("\"{key}\",{}\n", n.map(quarters).unwrap_or_default())).collect();
        let entries = "= lookup(t.points, nickname) * 4 + numberofchildren | string -> cusNote\n  \
                       = coalesce(lookup(t.points, nickname), 7) * 4 | string -> middleName";
        let compiled = compiled_with_tables(&with_table("k", entries), &[("t.csv", &format!("k,points\n{rows}"))]);
        prop_assert!(codes(&compiled).iter().all(|code| *code == "D328"), "{}", said(&compiled));
        let plan = compiled.plan.expect("warnings leave a plan");
        let again = ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read");
        let form = |text: &str| text.replace("e\u{301}", "é");
        for (key, children) in records {
            let found = key.and_then(|key| keys.iter().zip(&points).find(|(own, _)| form(own) == form(key))).and_then(|(_, n)| *n);
            let wanted = json!({
                "cusNote": found.zip(children).map(|(n, children)| (n + children).to_string()),
                "middleName": found.unwrap_or(28).to_string(),
            });
            for plan in [&plan, &again] {
                let record = json!({ "nickname": key, "numberofchildren": children });
                prop_assert_eq!(became(plan, &record), Ok(wanted.clone()), "{}\n{:?}", rows, key);
            }
        }
    }
}

#[test]
fn a_formula_looks_up_numbers_only_and_names_a_column_and_fields() {
    let compile = |entry: &str| compiled_with_tables(&with_table("k", entry), &[("t.csv", "k,v,n\na,x,1\nb,y,2\n")]);
    for (entry, code) in [
        ("= lookup(t.v, nickname) + 1 -> cusPoints", "D218"),
        ("= lookup(t.n) + 1 -> cusPoints", "D209"),
        ("= lookup(t.n, nickname, lastname) + 1 -> cusPoints", "D209"),
        ("= lookup(t.n, numberofchildren + 1) + 1 -> cusPoints", "D209"),
        ("= lookup(t.m, nickname) + 1 -> cusPoints", "D323"),
        ("= lookup(u.n, nickname) + 1 -> cusPoints", "D116"),
        ("= lookup(t.n, nicknam) + 1 -> cusPoints", "D103"),
    ] {
        let compiled = compile(entry);
        assert!(codes(&compiled).contains(&code), "{entry}: {}", said(&compiled));
    }
    // What the target can hold follows from the rows.
    let within = compile("= coalesce(lookup(t.n, nickname), 0) * 2 -> cusPoints");
    assert!(within.plan.is_some(), "{}", said(&within));
}

// --------------------------------------------------------------------------------------------------------- types

#[test]
fn an_option_is_found_by_its_number_and_by_its_label() {
    let entry = "gendercode -> salutation | lookup t.v";
    for rows in ["k,v\n1,Herr\n2,Frau\n", "k,v\nmale,Herr\n2,Frau\n", "k,v\nMale,Herr\nFEMALE,Frau\n"] {
        assert_eq!(looked_up(rows, "k", entry, json!({ "gendercode": 2 })), Ok(json!({ "salutation": "Frau" })), "{rows}");
        assert_eq!(looked_up(rows, "k", entry, json!({})), Ok(json!({ "salutation": null })), "{rows}");
        // An option that the schema does not have.
        assert_eq!(looked_up(rows, "k", entry, json!({ "gendercode": 9 })), Err("D903".to_owned()), "{rows}");
    }
    // What the mapping writes of picklists makes no difference.
    let labels = "gendercode -> salutation | lookup t.v\n  options { picklists labels }";
    assert_eq!(looked_up("k,v\n1,Herr\n2,Frau\n", "k", labels, json!({ "gendercode": 1 })), Ok(json!({ "salutation": "Herr" })));
}

#[test]
fn keys_are_compared_in_the_type_of_the_field() {
    let found = |rows: &str, field: &str, value: Json| {
        looked_up(rows, "k", &format!("{field} -> cusNote | lookup t.v or null"), json!({ field: value }))
    };
    let note = |text: &str| Ok(json!({ "cusNote": text }));
    assert_eq!(found("k,v\n2,two\n", "numberofchildren", 2.into()), note("two"));
    assert_eq!(found("k,v\n12.50,x\n", "creditlimit", json!(12.5)), note("x"));
    assert_eq!(found("k,v\n2000-02-29,x\n", "birthdate", "2000-02-29".into()), note("x"));
    assert_eq!(found("k,v\n007,x\n", "nickname", "007".into()), note("x"));
    let guid = "8F1D0000-0000-4000-8000-0000000000AA";
    assert_eq!(found(&format!("k,v\n{{{guid}}},x\n"), "parentcustomerid", Json::Null), Ok(json!({ "cusNote": null })));
    let sure = looked_up("k,v\nyes,stop\n0,go\n", "k", "donotemail -> cusNote | lookup t.v", json!({ "donotemail": false }));
    assert_eq!(sure, note("go"), "both values have a row, so that nothing can fail");
}

#[test]
fn the_type_of_a_column_is_that_of_all_of_its_values() {
    let is = |rows: &str, target: &str, record: Json| looked_up(rows, "k", &format!("nickname -> {target} | lookup t.v or null"), record);
    assert_eq!(is("k,v\na,7\nb,-2\n", "cusPoints", json!({ "nickname": "b" })), Ok(json!({ "cusPoints": -2 })));
    assert_eq!(is("k,v\na,7.25\nb,3\n", "cusCreditLimit", json!({ "nickname": "a" })), Ok(json!({ "cusCreditLimit": 7.25 })));
    assert_eq!(is("k,v\na,1.50\nb,007\n", "cusNote", json!({ "nickname": "a" })), Ok(json!({ "cusNote": "1.50" })), "as it is written");
    assert_eq!(is("k,v\na,2000-01-31\n", "birthDate", json!({ "nickname": "a" })), Ok(json!({ "birthDate": "2000-01-31" })));
    assert_eq!(is("k,v\na,male\n", "gender", json!({ "nickname": "a" })), Ok(json!({ "gender": "male" })));
    let steps =
        looked_up("k,v\na,7\n", "k", "nickname -> cusNote | lookup t.v or null | string | pad(3, \"0\")", json!({ "nickname": "a" }));
    assert_eq!(steps, Ok(json!({ "cusNote": "007" })));
}

#[test]
fn values_that_do_not_fit_the_target_are_named_with_their_rows() {
    let said = |rows: &str, target: &str| {
        let compiled = compiled_with_tables(&with_table("k", &format!("nickname -> {target} | lookup t.v or null")), &[("t.csv", rows)]);
        assert_eq!(codes(&compiled), ["D327"], "{}", said(&compiled));
        compiled.diagnostics[0].label.clone()
    };
    assert_eq!(said("k,v\na,male\nb,man\n", "gender"), "row 3: `man` is not one of its values");
    assert_eq!(said("k,v\na,123456789012345678901\n", "cusOrigin"), "row 2: `123456789012345678901` has 21 characters, but only 20 fit");
    assert!(
        said("k,v\na,99999999999\nb,x\nc,1.5\nd,y\ne,z\n", "cusPoints")
            .starts_with("row 3: `x` is not a whole number; row 4: `1.5` is not a whole number; row 5")
    );
    assert!(said("k,v\na,99999999999\n", "cusPoints").contains("is not between -2147483648 and 2147483647"));
    assert!(said("k,v\na,31.12.2024\n", "birthDate").contains("`31.12.2024` is not a day"));
}

#[test]
fn a_lookup_says_what_happens_without_a_row_exactly_if_there_may_be_none() {
    let codes_of = |rows: &str, entry: &str| codes(&compiled_with_tables(&with_table("k", entry), &[("t.csv", rows)]));
    let both = "k,v\nMale,Herr\nFemale,Frau\n";
    assert_eq!(codes_of(both, "gendercode -> salutation | lookup t.v"), [""; 0]);
    assert_eq!(codes_of(both, "gendercode -> salutation | lookup t.v or null"), ["D207"]);
    assert_eq!(codes_of("k,v\nMale,Herr\n", "gendercode -> salutation | lookup t.v"), ["D206"]);
    assert_eq!(codes_of(both, "nickname -> salutation | lookup t.v"), ["D206"]);
    // No row has an empty key, and the function is asked for one too.
    assert_eq!(codes_of(both, "lookup(t.v, gendercode) -> salutation"), ["D206"]);
    assert_eq!(codes_of(both, "lookup(t.v, gendercode) or keep -> salutation"), ["D213"]);
    assert_eq!(codes_of(both, "lookup(t.v, statecode) or null -> salutation"), ["D325"]);
    assert_eq!(codes_of("k,v\nActive,a\nInactive,b\n", "lookup(t.v, statecode) -> salutation"), [""; 0]);
    assert_eq!(codes_of("k,v\nActive,a\n", "lookup(t.v, statecode) -> salutation"), ["D206"]);
    assert_eq!(codes_of(both, "coalesce(firstname, lastname) or null -> salutation | truncate(10)"), ["D814", "D207"]);
}

#[test]
fn a_lookup_is_a_result_of_a_case_and_is_allowed_in_a_when() {
    let entry = "case { gendercode = Male => lookup(t.v, nickname) or default(\"?\"); else => lastname | lookup t.v or keep } -> cusNote";
    let rows = "k,v\na,one\n";
    assert_eq!(looked_up(rows, "k", entry, json!({ "gendercode": 1, "nickname": "a" })), Ok(json!({ "cusNote": "one" })));
    assert_eq!(looked_up(rows, "k", entry, json!({ "gendercode": 1 })), Ok(json!({ "cusNote": "?" })));
    assert_eq!(looked_up(rows, "k", entry, json!({ "lastname": "z" })), Ok(json!({ "cusNote": "z" })));
    let when = "when donotemail = true { lookup(t.v, nickname) or null -> cusNote } else { \"x\" -> cusNote }";
    assert_eq!(looked_up(rows, "k", when, json!({ "donotemail": true, "nickname": "a" })), Ok(json!({ "cusNote": "one" })));
}

// ------------------------------------------------------------------------------------------------------ findings

#[test]
fn faulty_declarations_are_named_with_the_place_in_the_file() {
    let labels = |rows: &str| {
        let compiled = compiled_with_tables(&with_table("k", "nickname -> cusNote | lookup t.v or null"), &[("t.csv", rows)]);
        compiled.diagnostics.iter().map(|d| format!("{} {}", d.code, d.label)).collect::<Vec<_>>()
    };
    assert_eq!(labels("k,v\na,1\n,2\n\nb,3\n ,4\n"), ["D322 row 3: no value; row 6: no value"]);
    assert_eq!(labels("k,v\na,1\nb,2\na,3\n"), ["D324 row 4: `a`, as row 2"]);
    assert_eq!(labels("k,v\nA,1\na,2\nx  y,3\nX y,4\n"), ["D328 row 3: `a`, as row 2; row 5: `X y`, as row 4"]);
    assert_eq!(
        labels("k,v\na,1,2\n"),
        ["D322 row 2, column 3: a value in a column without a name; a value with a separator in it must be in quotes"]
    );
    assert_eq!(labels("v\na\n"), ["D323 not in the first row of mappings/t.csv"]);
    assert_eq!(labels(""), ["D321 the file is empty"]);
    let not_text = "k,v\na,1\n";
    let files: TableFiles = [("mappings/t.csv".to_owned(), TableFile::Bytes([not_text.as_bytes(), b"\xe4\n"].concat().into()))].into();
    let input = d365map::check::Input {
        name: "mappings/a.d365map".to_owned(),
        bytes: with_table("k", "nickname -> cusNote | lookup t.v or null").into_bytes(),
    };
    let found = d365map::check::compile_project(vec![input], &files, super::support::catalogue(), &Default::default());
    assert_eq!((codes(&found), found.diagnostics[0].label.as_str()), (vec!["D321"], "line 3 is not UTF-8 text"));
}

#[test]
fn two_ways_to_write_one_option_are_one_key() {
    let compiled = compiled_with_tables(
        &with_table("k", "gendercode -> salutation | lookup t.v or null"),
        &[("t.csv", "k,v\n1,Herr\n2,Frau\nMale,Mr\n")],
    );
    assert_eq!(codes(&compiled), ["D324"]);
    assert_eq!(compiled.diagnostics[0].label, "row 4: `Male`, as row 2");
}

#[test]
fn an_unknown_table_and_a_wrong_use_say_what_to_write() {
    let text = |entry: &str| said(&compiled_with_tables(&with_table("k", entry), &[("t.csv", "k,v\na,1\n")]));
    for (entry, code, words) in [
        ("nickname -> cusNote | lookup tt.v or null", "D116", "there is no table `tt`"),
        ("nickname -> cusNote | lookup t or null", "D323", "write the table and one column of it: `t.v`"),
        ("nickname -> cusNote | lookup t.v.x or null", "D323", "expected TABLE.COLUMN"),
        ("nickname -> cusNote | lookup(t.v) or null", "D209", "expected a table and its column"),
        ("lookup(t.v, nickname, lastname) or null -> cusNote", "D209", "the table has one key column: k"),
        ("lookup(t.v) or null -> cusNote", "D209", "expected the fields by which a row is found"),
        ("lookup(t.v, \"a\") or null -> cusNote", "D209", "expected a field"),
        ("createdon -> cusNote | lookup t.v or null", "D325", "take the day with a step"),
        ("new_weight -> cusNote | lookup t.v or null", "D325", "round(0)"),
        ("new_drinks -> cusNote | lookup t.v or null", "D325", "label"),
        ("numberofchildren -> cusNote | lookup t.v or null", "D325", "row 2: `a` is not a whole number"),
    ] {
        let said = text(entry);
        assert!(said.contains(code) && said.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{entry}\n{said}");
    }
}

#[test]
fn a_sheet_of_a_workbook_is_a_table() {
    let text = |sheet: &str, entry: &str| {
        format!(
            "# allow(D815): for others\ntable book from \"tables/book.xlsx\"{sheet} {{ key code }}\nmapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {entry}\n}}\n"
        )
    };
    let points = text(" sheet \"Names\"", "nickname -> cusCreditLimit | lookup book.points or null");
    assert_eq!(map(&points, json!({ "nickname": "b" })), json!({ "cusCreditLimit": 12.5 }));
    let label = |text: &str| {
        compiled(text)
            .diagnostics
            .iter()
            .filter(|d| d.code.name() != "D805")
            .map(|d| format!("{} {}", d.code, d.label))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let entry = "nickname -> cusPoints | lookup book.points or null";
    assert!(label(&text(" sheet \"names\"", entry)).starts_with("D327 row 4: `12.5` is not a whole number"), "{}", label(&text("", entry)));
    assert!(label(&text("", entry)).starts_with("D321 the workbook has several sheets: `Names`, `Other`"), "{}", label(&text("", entry)));
    assert!(label(&text(" sheet \"Nothing\"", entry)).starts_with("D321 the workbook has no sheet `Nothing`"));
    let csv = text(" sheet \"Names\"", entry).replace("book.xlsx", "industries.csv");
    assert!(label(&csv).starts_with("D321 only a workbook (.xlsx) has sheets"), "{}", label(&csv));
}

#[test]
fn tables_are_known_in_files_that_include_their_file() {
    let tables = "table t from \"t.csv\" { key k }\n";
    let main = "include \"shared/tables.d365map\"\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  nickname -> cusNote | lookup t.v or null\n}\n";
    let input = |name: &str, text: &str| d365map::check::Input { name: name.to_owned(), bytes: text.as_bytes().to_vec() };
    let files: TableFiles = [("mappings/shared/t.csv".to_owned(), TableFile::Bytes(b"k,v\na,1\n".as_slice().into()))].into();
    let inputs = vec![input("mappings/a.d365map", main), input("mappings/shared/tables.d365map", tables)];
    let compiled = d365map::check::compile_project(inputs, &files, super::support::catalogue(), &Default::default());
    assert!(compiled.diagnostics.is_empty() && compiled.plan.is_some(), "{}", said(&compiled));
}

#[test]
fn an_allow_above_a_table_applies_to_its_findings() {
    let text = format!("# allow(D815, D328): as others need it\n{}", with_table("k", "nickname -> cusNote | lookup t.v or null"));
    let compiled = compiled_with_tables(&text, &[("t.csv", "k,v,w\na,1,2\nA,3,4\n")]);
    assert!(compiled.diagnostics.is_empty(), "{}", said(&compiled));
}

// ---------------------------------------------------------------------------------------------------------- plan

#[test]
fn a_changed_row_is_a_changed_mapping_and_another_table_or_column_is_not() {
    let fingerprint = |rows: &str, before: &str, entries: &str| {
        let text = format!("{before}{}", with_table("k", entries));
        let compiled = compiled_with_tables(&text, &[("t.csv", rows), ("other.csv", "k,v\n1,2\n")]);
        compiled.plan.unwrap_or_else(|| panic!("no plan\n{text}")).ingress[0].fingerprint()
    };
    let entry = "nickname -> cusNote | lookup t.v or null";
    let one = fingerprint("k,v,w\na,1,x\nb,2,y\n", "", entry);
    assert_eq!(one, fingerprint("w,k,v\nx,a,1\nz,b,2\n", "# why\n", entry));
    assert_ne!(one, fingerprint("k,v,w\na,1,x\nb,3,y\n", "", entry));
    assert_ne!(one, fingerprint("k,v,w\na,1,x\nc,2,y\n", "", entry));
    assert_ne!(one, fingerprint("k,v,w\na,1,x\n", "", entry));
    // Another table before it in the plan.
    let accounts = "table other from \"other.csv\" { key k }\nmapping accounts: d365.account -> campaign.cusAccount {\n  key accountid -> cusAccountId\n  \
                    name -> cusName | lookup other.v or null | string\n}\n";
    let compiled = compiled_with_tables(
        &format!("{accounts}{}", with_table("k", entry)),
        &[("t.csv", "k,v\na,1\nb,2\n"), ("other.csv", "k,v\nz,2\n")],
    );
    let plan = compiled.plan.as_ref().unwrap_or_else(|| panic!("{}", said(&compiled)));
    assert_eq!(one, plan.flow("contacts").expect("the flow").fingerprint());
}

#[test]
fn a_table_is_in_the_plan_once_whatever_number_of_fields_use_it() {
    let entries = "nickname -> cusNote | lookup t.v or null\n  lastname -> cusOrigin | lookup t.v or null\n  lookup(t.w, nickname) or null -> cusDisplayName\n  gendercode -> salutation";
    let compiled = compiled_with_tables(&with_table("k", entries), &[("t.csv", "k,v,w\na,1,x\n")]);
    let plan = compiled.plan.unwrap_or_else(|| panic!("no plan"));
    assert_eq!((plan.tables.len(), plan.tables[0].columns.len(), plan.tables[0].keys.len()), (1, 2, 1));
    let text = describe(&plan);
    assert!(text.contains("table t: 1 row of mappings/t.csv"), "{text}");
    assert!(text.contains("nickname | lookup t.v (rows ") && text.contains("lookup(t.w, nickname) (rows "), "{text}");
}

#[test]
fn a_plan_with_a_damaged_table_is_refused() {
    let plan = compiled_with_tables(&with_table("k", "nickname -> cusNote | lookup t.v or null"), &[("t.csv", "k,v\na,x\nb,y\n")])
        .plan
        .expect("a plan");
    let text = plan.to_json();
    let refused = |text: String, words: &str| match ExecutionPlan::from_json(&text) {
        Err(PlanError::Damaged(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(ExecutionPlan::from_json(&text).expect("whole"), plan);
    refused(text.replace("\"column_index\": 0", "\"column_index\": 7"), "has no column 7");
    refused(text.replace("\"table_index\": 0", "\"table_index\": 3"), "the table 3");
    let mut tree: Json = serde_json::from_str(&text).expect("JSON");
    tree["tables"][0]["columns"][0]["cells"]["texts"] = json!(["x"]);
    refused(tree.to_string(), "not equally long");
}

#[test]
fn a_table_keeps_its_form_and_a_lookup_too() {
    let text = "table t from \"t.csv\" sheet \"x\" { key a,b }\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  nickname -> cusNote|lookup t . v or   keep\n  lookup( t.v ,nickname ) or default( \"x\" )->cusOrigin\n}\n";
    let formatted = format(text).expect("a form");
    assert_eq!(
        formatted,
        "table t from \"t.csv\" sheet \"x\" {\n  key a, b\n}\n\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  nickname                              -> cusNote | lookup t.v or keep\n  lookup(t.v, nickname) or default(\"x\") -> cusOrigin\n}\n"
    );
    assert_eq!(format(&formatted).as_deref(), Some(formatted.as_str()));
}

#[test]
fn a_test_block_sees_the_values_of_tables() {
    let text = format!(
        "{}\ntest contacts \"a name\" {{\n  given {{ nickname: \"a\" }}\n  expect {{ cusNote: \"one\" }}\n}}\n",
        with_table("k", "nickname -> cusNote | lookup t.v or null")
    );
    let compiled = compiled_with_tables(&text, &[("t.csv", "k,v\na,one\n")]);
    assert!(compiled.diagnostics.is_empty() && compiled.tests.len() == 1, "{}", said(&compiled));
    let plan = compiled.plan.expect("a plan");
    let report = d365map::testing::run(&plan, compiled.tests.iter(), d365map::time::parse_instant(NOW).expect("an instant"))
        .expect("a compiled plan");
    assert!(report.ran.iter().all(|ran| ran.outcome == d365map::testing::Outcome::Passed), "{report:?}");
}

/// As large as the language allows. A square of the number of rows would take hours; other work on the machine is allowed for.
#[test]
fn a_hundred_thousand_rows_are_checked_and_looked_up_in_linear_time() {
    let rows: String = (0..100_000).map(|n| format!("K{n:06},Label of {n}\n")).collect();
    let entries = "nickname -> cusNote | lookup t.v or null\n  lastname -> cusDisplayName | lookup t.v or keep";
    let begun = std::time::Instant::now();
    let compiled = compiled_with_tables(&with_table("k", entries), &[("t.csv", &format!("k,v\n{rows}"))]);
    let plan = compiled.plan.unwrap_or_else(|| panic!("no plan"));
    for n in (0..100_000).step_by(9_973) {
        let wanted = Ok(json!({ "cusNote": format!("Label of {n}"), "cusDisplayName": null }));
        assert_eq!(became(&plan, &json!({ "nickname": format!("K{n:06}") })), wanted);
    }
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
}

#[test]
fn the_tables_of_the_tests_give_what_their_mappings_say() {
    let text = "table industries from \"tables/industries.csv\" { key code }\n";
    let mapping = |entry: &str| {
        format!("{text}mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {entry}\n}}\n")
    };
    let entry = mapping("nickname -> cusNote | lookup industries.label or keep");
    assert_eq!(map(&entry, json!({ "nickname": "C10" })), json!({ "cusNote": "Food and drink" }));
    assert_eq!(map(&entry, json!({ "nickname": "Z" })), json!({ "cusNote": "Z" }));
    assert!(plan(&entry).tables.len() == 1 && compiled(&whole(&entry)).tables[0].rows == 4, "{}", rendered(&entry));
}
