//! Formulas: what they give, what is wrong with them, and their form.

use d365map::check::{Input, compile};
use d365map::plan::{ExecutionPlan, describe};
use serde_json::{Value, json};

use super::support::{catalogue, codes, compiled, map, plan, rendered, whole};

fn points(formula: &str, record: Value) -> Value {
    map(&format!("{formula} -> cusPoints"), record)["cusPoints"].clone()
}

fn note(formula: &str, record: Value) -> Value {
    map(&format!("{formula} -> cusNote"), record)["cusNote"].clone()
}

#[test]
fn operators_bind_as_in_arithmetic() {
    let three = || json!({"numberofchildren": 3, "creditlimit": 10.25});
    for (formula, result) in [
        ("= 2 + 3 * 4", "14"),
        ("= (2 + 3) * 4", "20"),
        ("= 20 - 5 - 3", "12"),
        ("= 20-5-3", "12"),
        ("= 7 / 2 / 2", "1.75"),
        ("= 12 / 4 * 3", "9"),
        ("= -numberofchildren + 1", "-2"),
        ("= 2 * -numberofchildren", "-6"),
        ("= -(numberofchildren - 5) - -1", "3"),
        ("= numberofchildren - 5", "-2"),
        ("= numberofchildren -5", "-2"),
        ("= creditlimit * numberofchildren", "30.75"),
        ("= creditlimit / 3", "3.4166666667"),
        ("= creditlimit - 10.25", "0"),
        ("= 0.00 + 5 - 0.50 * 2", "4"),
        ("= abs(numberofchildren - 5)", "2"),
        ("= max(numberofchildren, creditlimit, 0.5)", "10.25"),
        ("= min(numberofchildren, creditlimit, 0.5)", "0.5"),
        ("= (\n  numberofchildren\n  + 2 *\n  (3)\n)", "9"),
        ("= max(\n  numberofchildren,\n  4\n)", "4"),
    ] {
        assert_eq!(note(formula, three()), result, "{formula}");
    }
}

#[test]
fn a_missing_operand_makes_the_whole_missing_and_coalesce_has_a_value_for_it() {
    assert_eq!(points("= min(numberofchildren, 10) * 5", json!({"numberofchildren": null})), Value::Null);
    assert_eq!(points("= min(numberofchildren, 10) * 5", json!({"numberofchildren": 99})), 50);
    assert_eq!(points("= min(coalesce(numberofchildren, 2), 10) * 5", json!({})), 10);
    assert_eq!(codes(&whole("= coalesce(numberofchildren, 0) -> cusPoints | default(1)")), ["D214"]);
    // A missing dividend is not divided.
    assert_eq!(note("= creditlimit / numberofchildren or reject", json!({"numberofchildren": 0})), Value::Null);
}

#[test]
fn a_division_by_what_can_be_zero_says_what_happens_then() {
    let entry = "= 12 / numberofchildren";
    assert_eq!(codes(&whole(&format!("{entry} -> cusNote"))), ["D220"]);
    assert_eq!(note(&format!("{entry} or null"), json!({"numberofchildren": 0})), Value::Null);
    assert_eq!(note(&format!("{entry} or default(0)"), json!({"numberofchildren": 0})), "0");
    assert_eq!(note(&format!("{entry} or null"), json!({"numberofchildren": 5})), "2.4");
    let rejected = map(&format!("{entry} or reject -> cusNote"), json!({"numberofchildren": 0}));
    assert!(rejected.to_string().contains("D901"), "{rejected}");
    assert_eq!(codes(&whole("= 12 / 5 or null -> cusNote")), ["D207"]);
    assert_eq!(codes(&whole("= 12 / (numberofchildren + 1) -> cusNote")), Vec::<&str>::new());
    assert_eq!(codes(&whole("= 12 / max(numberofchildren, 1) -> cusNote")), Vec::<&str>::new());
    assert_eq!(codes(&whole("= 12 / (2 - 2) or null -> cusNote")), ["D220"]);
    assert_eq!(codes(&whole("= 12 / numberofchildren or keep -> cusNote")), ["D213"]);
    assert_eq!(codes(&whole("= 12 / numberofchildren or default(\"?\") -> cusNote")), ["D213"]);
    // What fails is not missing.
    assert_eq!(note("= coalesce(12 / numberofchildren, 7) or default(1)", json!({"numberofchildren": 0})), "1");
}

#[test]
fn the_or_of_a_step_says_what_happens_if_the_division_before_it_fails() {
    let by = |children: i64| json!({"numberofchildren": children, "creditlimit": 10});
    for entry in [
        "= creditlimit / numberofchildren | round(2) or null",
        "= creditlimit / numberofchildren | string | prefix(\"x\") or default(\"none\")",
    ] {
        let out = note(entry, by(0));
        assert_eq!(out, if entry.ends_with("null") { Value::Null } else { json!("none") }, "{entry}");
        assert_ne!(note(entry, by(3)), out, "{entry}");
    }
    assert_eq!(note("= creditlimit / numberofchildren | round(2) or null", by(3)), "3.33");
    // The steps between are skipped, and those after it are not.
    let after = "= 6 / numberofchildren -> cusNote | default(99) | round(0) or null | default(5)";
    assert_eq!(map(after, by(0))["cusNote"], "5");
    assert_eq!(map(after, by(4))["cusNote"], "2");
    // A step that can fail by itself has one `or` for both.
    let both = "= 6 / numberofchildren | round(0) | string | date(\"dd.MM.yyyy\") or default(2020-01-01) -> birthDate";
    assert_eq!(codes(&whole(both)), Vec::<&str>::new(), "{}", rendered(&whole(both)));
    assert_eq!(map(both, by(0))["birthDate"], "2020-01-01");
    assert_eq!(map(both, by(2))["birthDate"], "2020-01-01");
    assert_eq!(codes(&whole("= 6 / numberofchildren | round(2) or keep -> cusNote")), ["D213"]);
    assert_eq!(codes(&whole("= 6 / numberofchildren or null | round(2) or null -> cusNote")), ["D207"]);
    let text = describe(&plan("= creditlimit / numberofchildren | round(2) or null -> cusNote"));
    assert!(text.contains("<- = creditlimit / numberofchildren | round(2) or null |"), "{text}");
}

#[test]
fn a_formula_only_calculates_with_numbers_and_no_digit_is_lost() {
    for (formula, code) in [
        ("= lastname * 2", "D218"),
        ("= new_weight * 2", "D218"),
        ("= gendercode + 1", "D218"),
        ("= donotemail + 1", "D218"),
        ("= createdon - 1", "D218"),
        ("= sum(numberofchildren, 1)", "D107"),
        ("= abs(numberofchildren, 1)", "D209"),
        ("= min()", "D209"),
        ("= creditlimit * creditlimit", "D219"),
        ("= creditlimit / 0.000000000000000001", "D219"),
        ("= numberofchidren + 1", "D103"),
        ("= 1 + $nothing", "D116"),
        ("= 99999999999999999999", "D011"),
    ] {
        assert_eq!(
            codes(&whole(&format!("{formula} -> cusNote"))),
            [code],
            "{formula}\n{}",
            rendered(&whole(&format!("{formula} -> cusNote")))
        );
    }
    // What may not fit the target is an error, as for any other value.
    assert_eq!(codes(&whole("= numberofchildren * 5 -> cusPoints")), ["D203"]);
    assert_eq!(codes(&whole("= min(numberofchildren, 50) / 2 -> cusPoints")), ["D203"]);
    assert_eq!(points("= min(numberofchildren, 50) / 2 | round(0)", json!({"numberofchildren": 5})), 3);
}

#[test]
fn constants_and_replacements_are_numbers_too() {
    let text = "let factor = 3\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  \
                = gendercode * $factor -> cusPoints\n  replace gendercode { Male => 1; Female => 2; else => 0; null => 0 }\n}\n";
    assert_eq!(map(text, json!({"gendercode": 2}))["cusPoints"], 6);
    assert_eq!(map(text, json!({}))["cusPoints"], 0);
    let text = text.replace("let factor = 3", "let factor = \"3\"");
    assert_eq!(codes(&text), ["D218"]);
}

#[test]
fn a_formula_is_a_result_of_a_case_and_a_source_in_a_when() {
    let case = "case { creditlimit > 100 => = creditlimit / 10 | round(1); numberofchildren is present => = 6 / numberofchildren or default(-1); else => 0 } \
                -> cusNote";
    assert_eq!(map(case, json!({"creditlimit": 101}))["cusNote"], "10.1");
    assert_eq!(map(case, json!({"numberofchildren": 0}))["cusNote"], "-1");
    assert_eq!(map(case, json!({}))["cusNote"], "0");
    let when = "when donotemail = true {\n  = 1 + 2 -> cusPoints\n} else {\n  = min(numberofchildren, 9) * 2 -> cusPoints\n}";
    assert_eq!(map(when, json!({"donotemail": true}))["cusPoints"], 3);
    assert_eq!(map(when, json!({"donotemail": false, "numberofchildren": 4}))["cusPoints"], 8);
    // The `or` after the braces belongs to what follows them.
    assert_eq!(codes(&whole("case { donotemail = true => = 6 / numberofchildren; else => 0 } -> cusNote | round(2) or null")), ["D220"]);
}

#[test]
fn a_formula_goes_one_way_in_a_two_way_mapping() {
    let mapping = |line: &str| {
        format!(
            "mapping referrals: partner.referral <-> d365.opportunity {{\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n  name -> name | truncate(300)\n  {line}\n}}\n"
        )
    };
    let left = mapping("details.dealValue <- = estimatedvalue * 1");
    assert_eq!(codes(&left), Vec::<&str>::new(), "{}", rendered(&left));
    let plan = compiled(&left).plan.expect("a plan");
    assert!(describe(&plan).contains("= estimatedvalue * 1"), "{}", describe(&plan));
    assert_eq!(codes(&mapping("= estimatedvalue * 1 <- details.dealValue")), ["D509"]);
    assert_eq!(codes(&mapping("= details.dealValue * 1 <-> estimatedvalue")), ["D509"]);
}

#[test]
fn a_formula_without_its_equals_sign_or_with_another_fault_is_explained() {
    let without = rendered(&whole("numberofchildren * 5 -> cusPoints"));
    assert!(without.contains("a formula begins with `=`"), "{without}");
    let without = rendered(&whole("min(numberofchildren, 3) + 5 -> cusPoints"));
    assert!(without.contains("a formula begins with `=`"), "{without}");
    for faulty in [
        "= -> cusPoints",
        "= 5 + -> cusPoints",
        "= (5 -> cusPoints",
        "= 5 6 -> cusPoints",
        "= min(5,) -> cusPoints",
        "= \"a\" -> cusPoints",
        "= 5 % 3 -> cusPoints",
    ] {
        let found = rendered(&whole(faulty));
        assert!(found.contains("D008") && !found.contains("D009"), "{faulty}\n{found}");
    }
}

#[test]
fn a_long_formula_is_not_a_deep_one_and_a_deep_one_is_refused() {
    let long = format!("= numberofchildren{} -> cusNote", " + 1".repeat(5_000));
    let made = plan(&long);
    assert_eq!(ExecutionPlan::from_json(&made.to_json()).expect("a plan"), made);
    assert_eq!(map(&long, json!({"numberofchildren": 2}))["cusNote"], "5002");
    let nested = |depth: usize| format!("= {}numberofchildren{} -> cusNote", "-(1 + ".repeat(depth), ")".repeat(depth));
    let deepest = plan(&nested(11));
    assert_eq!(ExecutionPlan::from_json(&deepest.to_json()).expect("a plan"), deepest);
    assert_eq!(codes(&whole(&nested(12))), ["D004"]);
    assert_eq!(codes(&whole(&nested(500))), ["D004"]);
    let cases =
        |depth: usize| format!("case {{ donotemail = true => {}; else => 0 }} -> cusNote", nested(depth).replace(" -> cusNote", ""));
    let within = compile(vec![Input { name: "a.d365map".to_owned(), bytes: whole(&cases(10)).into_bytes() }], catalogue());
    let plan = within.plan.expect("a plan");
    assert_eq!(ExecutionPlan::from_json(&plan.to_json()).expect("a plan"), plan);
    assert_eq!(codes(&whole(&cases(11))), ["D004"]);
}

#[test]
fn a_formula_is_printed_with_the_parentheses_that_it_needs() {
    for formula in [
        "= (numberofchildren + 1) * 2 - (3 - 4)",
        "= -(numberofchildren + 1) / 5",
        "= 1 - (2 - 3) - 4",
        "= 12 / (numberofchildren * 2) / 3 or null",
        "= 12 / numberofchildren or null",
        "= abs(min(numberofchildren, 3) - 2)",
    ] {
        let text = describe(&plan(&format!("{formula} -> cusNote")));
        assert!(text.contains(&format!("<- {formula} |")), "{text}");
    }
}

#[test]
fn a_formula_has_one_form() {
    let form = |text: &str| d365map::format::format(&whole(text)).expect("a form");
    for (text, lines) in [
        (
            "=numberofchildren*5+coalesce( numberofchildren,0 )  -> cusPoints",
            "= numberofchildren * 5 + coalesce(numberofchildren, 0) -> cusPoints",
        ),
        ("= numberofchildren -5 -> cusNote", "= numberofchildren - 5 -> cusNote"),
        ("= - numberofchildren - - 5 -> cusNote", "= -numberofchildren - -5 -> cusNote"),
        ("= -( 1+2 )*- (3) -> cusNote", "= -(1 + 2) * -(3) -> cusNote"),
        ("= min( -5,numberofchildren )or default( -1 ) -> cusNote", "= min(-5, numberofchildren) or default(-1) -> cusNote"),
        ("= 6/2|round( 2 ) -> cusNote|default(-1)", "= 6 / 2 | round(2) -> cusNote | default(-1)"),
        (
            "case { numberofchildren between -5 and -1 => =numberofchildren -1; else => null } -> cusNote",
            "case { numberofchildren between -5 and -1 => = numberofchildren - 1; else => null } -> cusNote",
        ),
        ("= (numberofchildren\n -5\n *-2) -> cusNote", "= (\n    numberofchildren\n    - 5\n    * -2\n  ) -> cusNote"),
    ] {
        let formed = form(text);
        assert!(formed.contains(&format!("  {lines}\n")), "{formed}");
        assert_eq!(form(&formed), formed);
    }
}
