//! Findings about what compiles elsewhere and is rarely meant.

use d365map::diagnostics::Code;

use super::support::{codes, compiled, rendered, whole};

/// The codes of entries.
fn found(entries: &str) -> Vec<&'static str> {
    codes(&whole(entries))
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
fn conditions_of_which_one_always_holds_are_found() {
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
        assert_eq!(found(&format!("exchangerate -> cusCreditLimit | {step}")), Vec::<&str>::new(), "{step}");
    }
    assert!(!found("exchangerate -> cusCreditLimit | round(4)").is_empty());
    let points = help("exchangerate -> cusPoints");
    assert!(points.contains("`| round(0) or null`") && points.contains("from -2147483648 to 2147483647"), "{points}");
}
