//! Fixes: each makes its finding go away, changes nothing else, and is what the help says. `check --fix` applies those that cannot
//! change what a mapping means.

use d365map::app::fixed;
use d365map::diagnostics::{Code, Safety};

use super::support::{codes, compiled, whole};

/// The text after all fixes of one round, and the codes that are left.
fn after_fixes(text: &str) -> (String, Vec<&'static str>) {
    let compiled = compiled(text);
    let (out, _) = fixed(text, 0, &compiled.diagnostics, Safety::Unsafe);
    let left = codes(&out);
    (out, left)
}

fn entry(line: &str) -> String {
    whole(line)
}

#[track_caller]
fn becomes(wrong: &str, right: &str) {
    let (out, left) = after_fixes(&entry(wrong));
    assert_eq!(out, entry(right));
    assert_eq!(left, Vec::<&str>::new(), "{out}");
}

#[test]
fn near_names_are_written_as_they_are_known() {
    becomes("lastnmae -> lastName", "lastname -> lastName");
    becomes("lastname -> lastNam", "lastname -> lastName");
    becomes("lastname -> lastName | trimm", "lastname -> lastName | trim");
    becomes("lastname -> lastName\noptions { picklists lables }", "lastname -> lastName\noptions { picklists labels }");
    becomes("lastname -> lastName\noptions { delets ignore }", "lastname -> lastName\noptions { deletes ignore }");
    becomes("lastname -> lastName\nfilter all { gendercode = Femle }", "lastname -> lastName\nfilter all { gendercode = Female }");
    let file = "mapping contacts: d365.contct -> campain.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    let (out, left) = after_fixes(file);
    assert_eq!(out, file.replace("contct", "contact").replace("campain", "campaign"));
    assert!(left.is_empty());
}

#[test]
fn booleans_are_written_as_the_language_has_them() {
    for word in ["yes", "True", "\"true\"", "1", "on"] {
        becomes(
            &format!("lastname -> lastName\nfilter all {{ followemail = {word} }}"),
            "lastname -> lastName\nfilter all { followemail = true }",
        );
    }
    becomes("lastname -> lastName\nfilter all { followemail = \"NO\" }", "lastname -> lastName\nfilter all { followemail = false }");
}

#[test]
fn backslashes_of_an_expression_are_written_twice() {
    becomes(r#"jobtitle -> cusNote | matches("^\d{2}\.\"$") or null"#, r#"jobtitle -> cusNote | matches("^\\d{2}\\.\"$") or null"#);
    becomes(
        "lastname -> lastName\nfilter all { lastname matches \"^\\w+\" }",
        "lastname -> lastName\nfilter all { lastname matches \"^\\\\w+\" }",
    );
}

#[test]
fn a_missing_or_is_added_and_an_unnecessary_one_is_removed() {
    becomes("jobtitle -> birthDate | date(\"dd.MM.yyyy\")", "jobtitle -> birthDate | date(\"dd.MM.yyyy\") or null");
    becomes("jobtitle -> birthDate | date(\"dd.MM.yyyy\") # why", "jobtitle -> birthDate | date(\"dd.MM.yyyy\") or null # why");
    becomes("lastname -> lastName | trim or null", "lastname -> lastName | trim");
    becomes("lastname -> lastName | trim   or default(\"x\") | lower", "lastname -> lastName | trim | lower");
}

#[test]
fn a_step_without_effect_is_removed_with_its_bar() {
    becomes("lastname -> lastName | truncate(200)", "lastname -> lastName");
    becomes("lastname -> lastName | trim | truncate(200) @initial", "lastname -> lastName | trim @initial");
}

#[test]
fn words_without_quotes_get_them() {
    becomes("lastname -> lastName\nfilter all { lastname = Smith }", "lastname -> lastName\nfilter all { lastname = \"Smith\" }");
}

#[test]
fn the_key_moves_to_the_top_with_its_line() {
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  # names\n  lastname -> lastName\n  key contactid -> externalId # id\n  firstname -> firstName | truncate(30)\n}\n";
    // A comment at its end makes the line more than the entry; it is left to its author.
    assert_eq!(after_fixes(text).0, text);
    let text = text.replace(" # id", "");
    let (out, left) = after_fixes(&text);
    assert_eq!(
        out,
        "mapping contacts: d365.contact -> campaign.profile {\n  # names\n  key contactid -> externalId\n  lastname -> lastName\n  firstname -> firstName | truncate(30)\n}\n"
    );
    assert!(left.is_empty());
}

#[test]
fn symbols_of_other_languages_are_replaced() {
    becomes("lastname -> lastName\nfilter all { statecode == Active }", "lastname -> lastName\nfilter all { statecode = Active }");
    becomes("lastname -> lastName\nfilter all { lastname <> \"x\" }", "lastname -> lastName\nfilter all { lastname != \"x\" }");
    becomes("fax → fax | truncate(32)\nlastname -> lastName", "fax -> fax | truncate(32)\nlastname -> lastName");
    becomes("lastname -> lastName,", "lastname -> lastName");
    becomes("lastname -> lastName\nfilter all { lastname = 'x' }", "lastname -> lastName\nfilter all { lastname = \"x\" }");
    becomes("lastname -> lastName\nfilter all { lastname is not null }", "lastname -> lastName\nfilter all { lastname is present }");
    becomes("lastname -> lastName // why", "lastname -> lastName # why");
}

#[test]
fn two_fixes_of_one_place_are_made_one_after_the_other() {
    let text = entry("lastnmae -> lastNam | trimm or null");
    let (first, _) = after_fixes(&text);
    let (second, left) = after_fixes(&first);
    let (third, done) = after_fixes(&second);
    assert_eq!(third, entry("lastname -> lastName | trim"), "{left:?}");
    assert!(done.is_empty());
}

#[test]
fn habits_of_other_programs_become_entries_of_the_language() {
    for (wrong, right) in [
        ("lastname --> lastName", "lastname -> lastName"),
        ("lastname => lastName", "lastname -> lastName"),
        ("lastname > lastName", "lastname -> lastName"),
        ("lastname to lastName", "lastname -> lastName"),
        ("- lastname -> lastName", "lastname -> lastName"),
        ("1. lastname -> lastName", "lastname -> lastName"),
        ("[lastname] -> lastName", "lastname -> lastName"),
        ("\"lastname\" -> \"lastName\"", "lastname -> lastName"),
        ("contact.lastname -> lastName", "lastname -> lastName"),
        ("Last Name -> lastName", "lastname -> lastName"),
        ("lastname | trim -> lastName", "lastname -> lastName | trim"),
        ("lastname.trim() -> lastName", "lastname -> lastName | trim"),
        ("lastname -> lastName | trim, upper", "lastname -> lastName | trim | upper"),
        ("lastname -> lastName | uppercase", "lastname -> lastName | upper"),
        ("firstname -> firstName | truncate 30", "firstname -> firstName | truncate(30)"),
        ("firstname -> firstName | truncate(\"30\")", "firstname -> firstName | truncate(30)"),
        ("{firstname} {lastname} -> salutation | truncate(20)", "\"{firstname} {lastname}\" -> salutation | truncate(20)"),
        ("firstname & \" \" & lastname -> salutation | truncate(20)", "\"{firstname} {lastname}\" -> salutation | truncate(20)"),
        (
            "if gendercode = Male then \"Mr\" else \"Mrs\" -> salutation",
            "case { gendercode = Male => \"Mr\"; else => \"Mrs\" } -> salutation",
        ),
        ("jobtitle -> birthDate | date(\"dd/mm/yyyy\") or null", "jobtitle -> birthDate | date(\"dd/MM/yyyy\") or null"),
        ("birthdate -> salutation | format(\"YYYY-MM-DD\")", "birthdate -> salutation | format(\"yyyy-MM-dd\")"),
        ("lastname -> lastName\nfilter statecode = Active", "lastname -> lastName\nfilter all { statecode = Active }"),
    ] {
        // With a field mapping before it, the line is the only one that is wrong.
        becomes(&format!("fax -> fax | truncate(32)\n{wrong}"), &format!("fax -> fax | truncate(32)\n{right}"));
    }
    for (wrong, right) in [
        ("createdon > 31.01.2020", "createdon > 2020-01-31"),
        ("createdon >= \"2020-01-01\"", "createdon >= 2020-01-01"),
        ("creditlimit > 1.000,50 EUR", "creditlimit > 1000.50"),
        ("gendercode in Male, Female", "gendercode in (Male, Female)"),
        ("gendercode in (Male; Female)", "gendercode in (Male, Female)"),
        ("gendercode not in (Male)", "not gendercode in (Male)"),
        ("gendercode = Male or Female", "gendercode in (Male, Female)"),
        ("lastname LIKE '%test%'", "lastname contains \"test\""),
        ("modifiedon in last 30 days", "modifiedon changed within 30d"),
        ("modifiedon > now - 1 year", "modifiedon > now - 365d"),
        ("donotemail", "donotemail = true"),
    ] {
        becomes(&format!("lastname -> lastName\nfilter all {{ {wrong} }}"), &format!("lastname -> lastName\nfilter all {{ {right} }}"));
    }
}

/// What a message tells people to type must not lead to another error.
#[test]
fn no_line_that_is_written_right_is_wrong_again() {
    let is_syntax = |code: Code| matches!(code, Code::D008 | Code::D009);
    insta::glob!("../../corpus/rejected", "*.d365map", |path| {
        let text = std::fs::read_to_string(path).expect("a file of the corpus");
        let before = compiled(&text);
        let unfixed = before.diagnostics.iter().filter(|d| is_syntax(d.code) && d.fix.is_none()).count();
        let (out, _) = fixed(&text, 0, &before.diagnostics, Safety::Unsafe);
        let left = compiled(&out).diagnostics.iter().filter(|d| is_syntax(d.code)).count();
        assert!(left <= unfixed, "{}:\n{out}", path.display());
    });
}

/// The text after one round of `check --fix`.
fn safely(text: &str) -> String {
    let text = entry(text);
    fixed(&text, 0, &compiled(&text).diagnostics, Safety::Safe).0
}

#[test]
fn a_safe_fix_changes_letter_case_and_syntax_alone() {
    for (wrong, right) in [
        ("LastName -> lastname", "lastname -> lastName"),
        ("lastname -> lastName | Trim", "lastname -> lastName | trim"),
        ("lastname -> lastName\noptions { Deletes ignore }", "lastname -> lastName\noptions { deletes ignore }"),
        ("lastname -> lastName,", "lastname -> lastName"),
        ("fax → fax | truncate(32)\nlastname -> lastName", "fax -> fax | truncate(32)\nlastname -> lastName"),
        ("lastname -> lastName // why", "lastname -> lastName # why"),
        ("lastname -> lastName\nfilter all { lastname == \"x\" }", "lastname -> lastName\nfilter all { lastname = \"x\" }"),
        ("lastname -> lastName\nfilter all { lastname = 'x' }", "lastname -> lastName\nfilter all { lastname = \"x\" }"),
        ("lastname -> lastName\nfilter all { followemail = True }", "lastname -> lastName\nfilter all { followemail = true }"),
        ("lastname -> lastName | trim or null", "lastname -> lastName | trim"),
        ("lastname -> lastName | truncate(200)", "lastname -> lastName"),
    ] {
        assert_eq!(safely(wrong), entry(right));
    }
}

#[test]
fn what_can_change_the_meaning_is_left_to_a_person() {
    for text in [
        // Another field, if the schema was not pulled or the name is wrong.
        "new_firstname -> firstName | truncate(30)",
        "telephone4 -> phone",
        "parentcustomerid.name -> company",
        "lastnmae -> lastName",
        // `default` was meant as `else`, not as a text.
        "gendercode -> gender\nreplace gendercode { default => null }",
        "lastname -> lastName\nfilter all { lastname = Smith }",
        // The other direction, a value instead of an error, another option.
        "lastname <- lastName",
        "jobtitle -> birthDate | date(\"dd.MM.yyyy\")",
        "lastname -> lastName\nfilter all { gendercode = Femle }",
        "lastname -> lastName\nfilter all { followemail = yes }",
        "lastname -> lastName\nfilter all { lastname is not null }",
        "lastname -> lastName\noptions { deletes propagat }",
        "lastname -> lastName\nfiltre all { lastname is present }",
    ] {
        assert!(!codes(&entry(text)).is_empty(), "{text} is sound");
        assert_eq!(safely(text), entry(text));
    }
}

#[test]
fn ten_thousand_fixes_are_applied_in_one_round() {
    let lines: String = (0..10_000).map(|n| format!("# {n}\nLASTNAME -> lastName,\n")).collect();
    let out = safely(&lines);
    assert!(!out.contains("lastName,"));
}
