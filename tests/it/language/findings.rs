//! Findings about what compiles elsewhere and is rarely meant: words without quotes, conditions that say nothing together, ids in texts.

use d365map::app::fixed;
use d365map::diagnostics::{Code, Safety};
use d365map::format::format;
use d365map::plan::describe;
use d365map::testing::Outcome;

use super::support::{codes, compiled, map, plan, rendered, whole};

/// The codes of entries.
fn found(entries: &str) -> Vec<&'static str> {
    codes(&whole(entries))
}

/// The text after the fixes of one round.
fn after_fixes(entries: &str) -> String {
    let text = whole(entries);
    fixed(&text, 0, &compiled(&text).diagnostics, Safety::Unsafe).0
}

// ------------------------------------------------------------------------------------------- words without quotes

#[test]
fn a_result_of_a_case_without_quotes_is_not_a_text() {
    for entry in [
        "jobtitle -> middleName | map { \"a\" => firstname; else => \"x\" }",
        "jobtitle -> middleName | map { \"a\" => \"x\"; else => rejectt }",
        "jobtitle -> middleName | map { null => unknown; else => \"x\" }",
        "jobtitle -> middleName | map { \"a\" => alpha; else => keep } | truncate(30)",
        "gendercode -> middleName\nreplace gendercode { Male => man; else => \"other\" }",
        "\"{gendercode}!\" -> middleName | truncate(30)\nreplace gendercode { Male => man; else => \"other\" }",
    ] {
        assert_eq!(found(entry), ["D310"], "{entry}\n{}", rendered(&whole(entry)));
    }
}

#[test]
fn a_word_without_quotes_stays_the_value_of_an_enumeration() {
    let entry = "jobtitle -> gender | map { \"m\" => male; else => unknown }";
    assert_eq!(map(entry, serde_json::json!({ "jobtitle": "m" }))["gender"], "male");
    let with_a_step = "jobtitle -> gender | map { \"m\" => male; else => female; null => null } | default(\"unknown\")";
    assert_eq!(found(with_a_step), Vec::<&str>::new(), "{}", rendered(&whole(with_a_step)));
    assert_eq!(found("gendercode -> gender\nreplace gendercode { Male => male; else => unknwn; null => unknown }"), ["D306"]);
}

#[test]
fn the_fix_puts_quotes_unless_a_keyword_is_near() {
    let quoted = after_fixes("jobtitle -> middleName | map { \"a\" => alpha; else => \"x\" }");
    assert!(quoted.contains("\"a\" => \"alpha\""), "{quoted}");
    let keyword = after_fixes("jobtitle -> middleName | map { \"a\" => \"x\"; else => rejectt }");
    assert!(keyword.contains("else => reject }"), "{keyword}");
    for word in ["default", "otherwise", "esle"] {
        let left = after_fixes(&format!("jobtitle -> middleName | map {{ \"a\" => \"x\"; {word} => \"y\" }}"));
        assert!(left.contains("; else => \"y\""), "{left}");
    }
    let left = after_fixes("jobtitle -> middleName | map { chief => \"x\"; else => \"y\" }");
    assert!(left.contains("{ \"chief\" => \"x\""), "{left}");
}

#[test]
fn a_test_of_a_rejection_gives_texts_in_quotes_too() {
    let mapping = "mapping contacts: d365.contact -> campaign.profile { key contactid -> externalId; lastname -> lastName }\n";
    let test = |value: &str| format!("{mapping}test contacts \"t\" {{\n  given {{ lastname: {value} }}\n  expect rejected\n}}\n");
    assert_eq!(codes(&test("Lovelace")), ["D122"]);
    assert_eq!(codes(&test("\"Lovelace\"")), Vec::<&str>::new());
}

// ---------------------------------------------------------------------------------------------------- conditions

#[test]
fn conditions_of_which_no_record_meets_both_are_found() {
    for conditions in [
        "numberofchildren > 3; numberofchildren < 2",
        "numberofchildren > 3; numberofchildren < 4",
        "numberofchildren >= 3; all { numberofchildren <= 2 }",
        "numberofchildren between 5 and 9; numberofchildren < 5",
        "numberofchildren = 5; numberofchildren > 5",
        "numberofchildren in (1, 2); numberofchildren > 2",
        "numberofchildren in (1, 2); numberofchildren in (3, 4)",
        "creditlimit < 1.50; creditlimit > 1.5",
        "creditlimit >= 1.5; creditlimit < 1.5",
        "createdon > 2024-01-01; createdon < 2020-01-01",
        "statecode = Active; statecode = Inactive",
        "statecode = Active; statecode != 0",
        "statecode = Active; not statecode in (Active)",
        "statecode != Active; statecode != Inactive",
        "gendercode != Male; gendercode != Female",
        "jobtitle = \"CEO\"; jobtitle != \"ceo\"",
    ] {
        let entries = format!("lastname -> lastName\nfilter all {{ {conditions} }}");
        assert_eq!(found(&entries), ["D407"], "{}", rendered(&whole(&entries)));
    }
}

#[test]
fn conditions_that_some_record_meets_are_not_reported() {
    for conditions in [
        "numberofchildren > 3; numberofchildren < 5",
        "numberofchildren >= 3; numberofchildren <= 3",
        "numberofchildren in (1, 2); numberofchildren > 1",
        "creditlimit > 1.5; creditlimit < 1.6",
        "statecode = Active; statecode = 0",
        "not gendercode = Male; not gendercode = Female",
        "jobtitle = \"CEO\"; jobtitle = \"ceo\"",
        "not numberofchildren > 3; numberofchildren < 9",
        "any { numberofchildren > 3; numberofchildren < 2 }",
        "any { gendercode = Male; gendercode = Female }",
    ] {
        let entries = format!("lastname -> lastName\nfilter all {{ {conditions} }}");
        assert_eq!(found(&entries), Vec::<&str>::new(), "{}", rendered(&whole(&entries)));
    }
}

#[test]
fn conditions_of_which_one_is_always_true_are_found() {
    for conditions in [
        "statecode = Active; statecode = Inactive",
        "statecode = Active; lastname is present; any { statecode = 1 }",
        "statecode != Active; statecode != Inactive",
        "statecode = Active; not statecode = Active",
        "gendercode = Male; not gendercode = Male",
        "gendercode = Male; gendercode = Female; gendercode is empty",
        "jobtitle = \"x\"; jobtitle != \"x\"; jobtitle is empty",
    ] {
        let entries = format!("lastname -> lastName\nfilter any {{ {conditions} }}");
        assert_eq!(found(&entries), ["D407"], "{}", rendered(&whole(&entries)));
    }
}

// ------------------------------------------------------------------------------------------------- ids and numbers

#[test]
fn the_id_of_a_lookup_in_a_text_is_a_warning_unless_it_is_meant() {
    for entry in [
        "parentcustomerid -> cusNote",
        "\"{lastname} of {parentcustomerid}\" -> cusNote",
        "concat(lastname, \" \", parentcustomerid) -> cusNote",
        "join(\", \", lastname, parentcustomerid) -> cusNote",
        "coalesce(parentcustomerid, ownerid) -> cusNote",
    ] {
        assert_eq!(found(entry), ["D217"], "{}", rendered(&whole(entry)));
    }
    assert_eq!(found("parentcustomerid -> cusNote | string"), Vec::<&str>::new());
    assert_eq!(found("contactid -> cusNote"), Vec::<&str>::new());
}

#[test]
fn numbers_of_options_in_a_longer_text_are_a_warning() {
    for entry in ["\"{lastname}: {new_drinks}\" -> cusNote", "concat(lastname, gendercode) -> cusNote", "new_drinks -> cusNote"] {
        assert_eq!(found(entry), ["D215"], "{}", rendered(&whole(entry)));
        assert_eq!(found(&format!("{entry}\noptions {{ picklists labels }}")), Vec::<&str>::new());
    }
}

#[test]
fn a_number_that_does_not_fit_is_rounded_to_the_most_decimals_that_do() {
    let help = |entry: &str| {
        let compiled = compiled(&whole(entry));
        compiled.diagnostics.iter().find(|d| d.code == Code::D203).and_then(|d| d.help.clone()).unwrap_or_default()
    };
    // Twelve decimals up to 100,000,000,000: twelve digits before the point leave three.
    let rate = help("exchangerate -> cusCreditLimit");
    assert!(rate.contains("`| round(3)` fits for every number") && rate.contains("`| round(12) or null`"), "{rate}");
    assert!(rate.contains("beyond 999.999999999999"), "{rate}");
    for step in ["round(3)", "round(12) or null"] {
        assert_eq!(found(&format!("exchangerate -> cusCreditLimit | {step} @present")), Vec::<&str>::new(), "{step}");
    }
    assert!(!found("exchangerate -> cusCreditLimit | round(4)").is_empty());
    let points = help("exchangerate -> cusPoints");
    assert!(points.contains("`| round(0) or null`") && points.contains("from -2147483648 to 2147483647"), "{points}");
}

// --------------------------------------------------------------------------------------------------- lists and tests

#[test]
fn a_list_in_parentheses_can_continue_over_several_lines() {
    let entries = "coalesce(\n  telephone1, # first\n  home2\n) -> phone | truncate(\n  32\n)\n\
                   filter all {\n  numberofchildren in (\n    1, 2\n    , 3\n  )\n  lastname is present\n}";
    let text = whole(entries);
    assert_eq!(codes(&text), Vec::<&str>::new(), "{}", rendered(&text));
    assert_eq!(plan(entries).ingress[0].fields.len(), 1);
    let formatted = format(&text).expect("a text that follows the grammar");
    assert!(formatted.contains("    numberofchildren in (\n      1, 2,\n      3\n    )\n"), "{formatted}");
    assert!(
        formatted.contains("  # first\n  coalesce(\n    telephone1,\n    home2\n  ) -> phone\n    | truncate(\n      32\n    )\n"),
        "{formatted}"
    );
    assert_eq!(format(&formatted).as_ref(), Some(&formatted));
}

#[test]
fn a_fault_in_a_list_over_several_lines_is_one_finding() {
    let text = whole("filter all {\n  numberofchildren in (\n    1,\n    ?,\n    3\n  )\n}\nlastname -> lastName");
    assert_eq!(compiled(&text).diagnostics.len(), 1, "{}", rendered(&text));
    let open = whole("lastname -> lastName | truncate(30\nfirstname -> firstName | truncate(20)");
    assert_eq!(compiled(&open).diagnostics.len(), 1, "{}", rendered(&open));
}

#[test]
fn a_test_gives_the_id_and_the_name_of_a_lookup() {
    let id = "11111111-2222-4333-8444-555555555555";
    let text = format!(
        "mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  parentcustomerid -> cusNote | label\n  \
         parentcustomerid -> cusDisplayName | string\n  options {{ reconcile every 7d }}\n}}\n\
         test contacts \"both\" {{\n  given {{ parentcustomerid: \"{id}\", parentcustomerid: \"Contoso\" }}\n  \
         expect {{ cusNote: \"Contoso\", cusDisplayName: \"{id}\" }}\n}}\n"
    );
    let compiled = compiled(&text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(&text));
    let plan = compiled.plan.expect("a plan");
    let report = d365map::testing::run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    assert!(report.ran.iter().all(|ran| ran.outcome == Outcome::Passed), "{:?}", report.ran);
    let twice = text.replace("parentcustomerid: \"Contoso\"", "parentcustomerid: \"Contoso\", parentcustomerid: \"Fabrikam\"");
    assert_eq!(codes(&twice), ["D122"]);
}

#[test]
fn the_printed_plan_says_that_the_label_of_a_lookup_is_written() {
    let text = describe(&plan("parentcustomerid -> cusNote | label | upper\noptions { reconcile every 7d }"));
    assert!(text.contains("cusNote    <- parentcustomerid | label | upper"), "{text}");
}

#[test]
fn an_invisible_character_that_reorders_text_is_a_warning_wherever_it_is() {
    for (entries, count) in [
        ("# a \u{202e} comment\nlastname -> lastName", 1),
        ("lastname -> lastName # one \u{200f}\nfirstname -> middleName | truncate(30) # two \u{61c}", 2),
        ("lastname -> lastName # Zürich, שלום", 0),
    ] {
        let text = whole(entries);
        let compiled = compiled(&text);
        assert_eq!(compiled.diagnostics.iter().filter(|d| d.code == Code::D013).count(), count, "{}", rendered(&text));
        assert_eq!(compiled.diagnostics.len(), count, "{}", rendered(&text));
        assert!(compiled.plan.is_some());
    }
    // In a string it is an error, which is reported once.
    assert_eq!(codes(&whole("\"\u{2066}crm\u{2069}\" -> salutation")), ["D012"]);
    let fixed = after_fixes("# a \u{202e} comment\nlastname -> lastName");
    assert!(fixed.contains("# a  comment"), "{fixed}");
}
