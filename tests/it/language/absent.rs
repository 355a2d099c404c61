//! `@present`: an empty value leaves the target as it is.

use d365map::app::fixed;
use d365map::diagnostics::Safety;
use d365map::format::format;
use d365map::testing::{self, Outcome};
use serde_json::json;

use super::support::{codes, compiled, map, rendered, whole};

#[test]
fn an_empty_value_is_left_out_and_any_other_is_written() {
    let line = "mobilephone -> mobilePhone | phone(\"DE\") or null @present\nlastname -> lastName";
    assert_eq!(map(line, json!({"mobilephone": "030 901820"})), json!({"mobilePhone": "+4930901820", "lastName": null}));
    for empty in [json!(null), json!("  "), json!("not a number")] {
        assert_eq!(map(line, json!({"mobilephone": empty})), json!({"lastName": null}));
    }
    let city = "address1_city -> location.city | truncate(50) @present\naddress1_postalcode -> location.zipCode | truncate(15)";
    assert_eq!(map(city, json!({})), json!({"location": {"zipCode": null}}), "a nested field leaves no trace");
}

#[test]
fn each_branch_of_a_when_has_its_own_flags() {
    let when = "when donotemail = false { emailaddress1 -> email @present } else { null -> email }";
    assert_eq!(map(when, json!({"donotemail": false})), json!({}));
    assert_eq!(map(when, json!({"donotemail": false, "emailaddress1": "a@b"})), json!({"email": "a@b"}));
    assert_eq!(map(when, json!({"donotemail": true, "emailaddress1": "a@b"})), json!({"email": null}));
    assert_eq!(codes(&whole(when)), [""; 0]);
    let case = "case { donotemail = false => emailaddress1; else => emailaddress2 } -> email @present";
    assert_eq!(map(case, json!({"donotemail": true})), json!({}));
}

#[test]
fn a_number_true_or_false_and_an_enumeration_of_numbers_ask_what_to_do_with_an_empty_value() {
    for line in ["numberofchildren -> cusPoints", "donotemail -> isExternal", "nickname -> cusCreditLimit | number or null"] {
        assert_eq!(codes(&whole(line)), ["D221"], "{line}");
        assert_eq!(codes(&whole(&format!("{line} @present"))), [""; 0], "{line}");
    }
    let gender = "gendercode -> gender | map { Male => male; else => female }";
    assert_eq!(codes(&whole(gender)), ["D221"]);
    assert!(rendered(&whole(gender)).contains("Campaign stores `unknown` in `gender`"), "{}", rendered(&whole(gender)));
    for line in [
        "numberofchildren -> cusPoints | default(0)",
        "42 -> cusPoints",
        "null -> cusPoints",
        "firstname -> cusNote",
        "birthdate -> birthDate",
        // An opt-out has its own rules.
        "true -> isExternal",
    ] {
        assert_eq!(codes(&whole(line)), [""; 0], "{line}");
    }
    assert_eq!(codes(&whole("when donotemail = true { numberofchildren -> cusPoints } else { 1 -> cusPoints }")), ["D221"]);
}

#[test]
fn the_fix_adds_the_flag_after_steps_and_flags() {
    for (line, wanted) in [
        ("numberofchildren -> cusPoints", "numberofchildren -> cusPoints @present"),
        ("nickname -> cusPoints | integer or null # why", "nickname -> cusPoints | integer or null @present # why"),
        ("numberofchildren -> cusPoints @initial", "numberofchildren -> cusPoints @initial @present"),
    ] {
        let text = whole(line);
        let (repaired, _) = fixed(&text, 0, &compiled(&text).diagnostics, Safety::Unsafe);
        assert_eq!(repaired, whole(wanted));
        assert_eq!(codes(&repaired), [""; 0]);
    }
    let text = whole("\"crm\" -> salutation @present @initial");
    let (repaired, _) = fixed(&text, 0, &compiled(&text).diagnostics, Safety::Safe);
    assert_eq!(repaired, whole("\"crm\" -> salutation @initial"));
}

#[test]
fn the_flag_keeps_its_form_and_an_unknown_one_is_named() {
    let text = whole("lastname -> lastName @present\nmobilephone -> mobilePhone | truncate(32) @initial   @present");
    let form = format(&text).expect("a form");
    assert!(form.contains("@initial @present") && format(&form).as_deref() == Some(&form), "{form}");
    assert_eq!(codes(&whole("lastname -> lastName @presnt")), ["D108"]);
}

#[test]
fn a_two_way_mapping_has_no_such_flag() {
    let text = "mapping referrals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n  customerProfile.name -> name | truncate(300) @present\n}\n";
    assert!(codes(text).contains(&"D108"), "{}", rendered(text));
}

#[test]
fn a_test_distinguishes_a_field_that_is_left_out_from_one_that_is_emptied() {
    let text = |expected: &str| {
        format!(
            "{}\ntest contacts \"no number\" {{\n  given {{ lastname: \"A\" }}\n  expect {{ {expected} }}\n}}\n",
            whole("lastname -> lastName\nmobilephone -> mobilePhone | truncate(32) @present\nnickname -> salutation | truncate(20)")
        )
    };
    for (expected, passes) in [
        ("mobilePhone absent", true),
        ("mobilePhone: null", false),
        ("salutation: null", true),
        ("salutation absent", false),
        ("lastName absent", false),
    ] {
        let text = text(expected);
        let compiled = compiled(&text);
        let plan = compiled.plan.unwrap_or_else(|| panic!("{}", rendered(&text)));
        let report = testing::run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a compiled plan");
        assert_eq!(report.ran[0].outcome == Outcome::Passed, passes, "{expected}: {:?}", report.ran[0].outcome);
    }
}
