//! `case` and `when`: the values that records get, held against an evaluator of the tests, and what the checker says of them.

use d365map::diagnostics::Safety;
use d365map::eval::{Evaluated, Evaluator};
use d365map::format::format;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::conditions::{Record, Wanted, condition, record};
use super::support::{codes, compiled, map, plan, rendered, whole};

/// What a field gets in the tests.
#[derive(Clone, Debug)]
enum Result {
    Leaf(&'static str),
    Reject,
    Case(Vec<(Wanted, Result)>, Box<Result>),
}

/// What is written to a field.
#[derive(Clone, Debug, PartialEq)]
enum Became {
    Value(Json),
    Rejected,
    Unchanged,
}

const LEAVES: &[&str] = &[
    "\"fixed\"",
    "null",
    "lastname",
    "\"{firstname} x\"",
    "numberofchildren",
    "coalesce(firstname, lastname)",
    "lastname | upper",
    "firstname | default(\"none\")",
];

fn leaf(text: &str, r: &Record) -> Json {
    let some = |t: &Option<String>| t.clone().filter(|t| !t.trim().is_empty());
    let (first, last) = (some(&r.first), some(&r.last));
    let value = match text {
        "\"fixed\"" => Some("fixed".to_owned()),
        "null" => None,
        "lastname" => last,
        "\"{firstname} x\"" => first.map(|t| format!("{t} x")),
        "numberofchildren" => r.children.map(|n| n.to_string()),
        "coalesce(firstname, lastname)" => first.or(last),
        "lastname | upper" => last.map(|t| t.to_uppercase()),
        "firstname | default(\"none\")" => Some(first.unwrap_or_else(|| "none".to_owned())),
        other => panic!("the tests do not know `{other}`"),
    };
    value.map_or(Json::Null, Json::from)
}

impl Result {
    fn of(&self, r: &Record) -> Became {
        match self {
            Result::Leaf(text) => Became::Value(leaf(text, r)),
            Result::Reject => Became::Rejected,
            Result::Case(branches, otherwise) => {
                branches.iter().find(|(condition, _)| condition.holds(r)).map_or(&**otherwise, |(_, result)| result).of(r)
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Result::Leaf(text) => (*text).to_owned(),
            Result::Reject => "reject".to_owned(),
            Result::Case(branches, otherwise) => {
                let lines: Vec<String> =
                    branches.iter().map(|(condition, result)| format!("{} => {}\n", condition.text(), result.text())).collect();
                format!("case {{\n{}else => {}\n}}", lines.concat(), otherwise.text())
            }
        }
    }
}

fn case() -> impl Strategy<Value = Result> {
    let leaf = prop_oneof![8 => prop::sample::select(LEAVES).prop_map(Result::Leaf), 1 => Just(Result::Reject)];
    let inner = leaf.clone().prop_recursive(2, 6, 2, |inner| {
        (prop::collection::vec((condition(), inner.clone()), 1..3), inner)
            .prop_map(|(branches, otherwise)| Result::Case(branches, Box::new(otherwise)))
    });
    (prop::collection::vec((condition(), inner.clone()), 1..3), inner)
        .prop_map(|(branches, otherwise)| Result::Case(branches, Box::new(otherwise)))
}

/// What is written to `cusNote`.
fn became(evaluator: &Evaluator<'_>, record: &Record) -> Became {
    let (text, now) = (record.json(), d365map::time::parse_instant("2026-11-21T12:00:00Z").expect("an instant"));
    match evaluator.evaluate(&text, now) {
        Evaluated::Rejected(rejection) => {
            assert_eq!(rejection.code, "D902", "{}", rejection.message);
            Became::Rejected
        }
        Evaluated::Filtered { .. } => panic!("there is no filter"),
        Evaluated::Mapped(mapped) => {
            let mut out = String::new();
            mapped.write_json(&mut out);
            let whole: Json = serde_json::from_str(&out).expect("the evaluator writes JSON");
            let field = mapped.fields().find(|f| f.path == "cusNote").expect("the field");
            assert_eq!(field.unchanged, whole.get("cusNote").is_none());
            whole.get("cusNote").map_or(Became::Unchanged, |value| Became::Value(value.clone()))
        }
    }
}

/// The form of a text is a form, and says the same.
fn keeps_its_form(text: &str) {
    let formatted = format(text).unwrap_or_else(|| panic!("no form\n{text}"));
    assert_eq!(format(&formatted).as_deref(), Some(formatted.as_str()), "{text}");
    let fingerprint = |text: &str| compiled(text).plan.unwrap_or_else(|| panic!("{}", rendered(text))).ingress[0].fingerprint();
    assert_eq!(fingerprint(&formatted), fingerprint(text), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_case_gives_the_result_of_the_first_condition_that_is_true(
        case in case(), upper in any::<bool>(), records in prop::collection::vec(record(), 8),
    ) {
        let steps = if upper { " | upper" } else { "" };
        let text = whole(&format!("{} -> cusNote{steps}", case.text()));
        let result = compiled(&text);
        // A generated branch that no record reaches is an error, and gives no plan.
        let unreached = result.diagnostics.iter().any(|d| d.code.name() == "D312");
        let other = result.diagnostics.iter().any(|d| !matches!(d.code.name(), "D312" | "D407" | "D408" | "D214"));
        prop_assert!(!other || (upper && result.plan.is_none()), "{}", rendered(&text));
        prop_assume!(!unreached && result.plan.is_some());
        let plan = result.plan.expect("a plan");
        let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
        for record in records {
            let wanted = match case.of(&record) {
                Became::Value(Json::String(text)) if upper => Became::Value(text.to_uppercase().into()),
                other => other,
            };
            prop_assert_eq!(became(&evaluator, &record), wanted, "{}\n{}", text, record.json());
        }
        keeps_its_form(&text);
        let again = d365map::plan::ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read");
        prop_assert_eq!(&again, &plan);
    }

    #[test]
    fn a_when_writes_the_first_block_whose_condition_is_true_or_leaves_the_field(
        first in condition(), second in prop::option::of(condition()), results in prop::collection::vec(prop::option::of(prop::sample::select(LEAVES)), 3),
        has_else in any::<bool>(), records in prop::collection::vec(record(), 8),
    ) {
        prop_assume!(results.iter().any(Option::is_some));
        let block = |result: Option<&str>| result.map_or_else(|| "{ \"x\" -> cusOrigin }".to_owned(), |r| {
            let (source, steps) = r.split_once(" | ").map_or((r, String::new()), |(source, steps)| (source, format!(" | {steps}")));
            format!("{{ {source} -> cusNote{steps}; \"x\" -> cusOrigin }}")
        });
        let mut conditions = vec![(first.clone(), results[0])];
        let mut text = format!("when {} {}", first.text(), block(results[0]));
        if let Some(second) = &second {
            text.push_str(&format!(" else when {} {}", second.text(), block(results[1])));
            conditions.push((second.clone(), results[1]));
        }
        if has_else {
            text.push_str(&format!("\nelse {}", block(results[2])));
        }
        let text = whole(&text);
        prop_assume!(text.contains("cusNote"));
        let result = compiled(&text);
        let other = result.diagnostics.iter().any(|d| !matches!(d.code.name(), "D312" | "D313" | "D407" | "D408" | "D214"));
        prop_assert!(!other, "{}", rendered(&text));
        prop_assume!(result.plan.is_some());
        let plan = result.plan.expect("a plan");
        let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
        for record in records {
            let taken = conditions.iter().find(|(condition, _)| condition.holds(&record)).map_or(if has_else { results[2] } else { None }, |(_, result)| *result);
            let wanted = taken.map_or(Became::Unchanged, |text| Became::Value(leaf(text, &record)));
            prop_assert_eq!(became(&evaluator, &record), wanted, "{}\n{}", text, record.json());
        }
        keeps_its_form(&text);
    }
}

// ------------------------------------------------------------------------------------------------------- values

const SALUTATION: &str = "case {\n  gendercode = Male and familystatuscode = Married => \"Herr\"\n  gendercode = Female => \"Frau\"\n  else => null\n} -> salutation";

#[test]
fn the_first_condition_that_is_true_wins() {
    let one = |record: Json| map(SALUTATION, record)["salutation"].clone();
    assert_eq!(one(json!({ "gendercode": 1, "familystatuscode": 2 })), "Herr");
    assert_eq!(one(json!({ "gendercode": 1, "familystatuscode": 1 })), json!(null));
    assert_eq!(one(json!({ "gendercode": 2 })), "Frau");
    assert_eq!(one(json!({})), json!(null));
}

#[test]
fn steps_follow_a_case_and_work_on_every_result() {
    let text = "case { numberofchildren > 1 => lastname; else => \"none\" } -> cusOrigin | upper | truncate(3)";
    assert_eq!(map(text, json!({ "lastname": "abcdef", "numberofchildren": 2 }))["cusOrigin"], "ABC");
    assert_eq!(map(text, json!({ "lastname": "abcdef" }))["cusOrigin"], "NON");
    let numbers = "case { lastname is present => numberofchildren; else => 2.5 } -> cusNote | round(1) | string";
    assert_eq!(map(numbers, json!({ "lastname": "x", "numberofchildren": 2 }))["cusNote"], "2");
    assert_eq!(map(numbers, json!({}))["cusNote"], "2.5");
    let dates = "case { lastname is present => birthdate; else => createdon } -> cusNote | format(\"dd.MM.yyyy HH:mm\")";
    assert_eq!(map(dates, json!({ "lastname": "x", "birthdate": "2024-01-31" }))["cusNote"], "31.01.2024 00:00");
}

#[test]
fn a_word_as_a_result_is_a_value_of_the_target_or_a_field() {
    let text = "case { gendercode = Male => male; gendercode = Female => female; else => unknown } -> gender";
    assert_eq!(map(text, json!({ "gendercode": 2 }))["gender"], "female");
    assert_eq!(map(text, json!({}))["gender"], "unknown");
    assert_eq!(codes(&whole("case { gendercode = Male => Herr; else => null } -> salutation")), ["D310"]);
    assert_eq!(codes(&whole("case { gendercode = Male => lastnam; else => null } -> salutation")), ["D103"]);
}

#[test]
fn a_case_can_reject_a_record() {
    let text = "case { donotemail = true => reject; else => lastname } -> lastName";
    assert_eq!(map(text, json!({ "donotemail": true })), "D902 lastName line 3: the `case` says to reject this record");
    assert_eq!(map(text, json!({ "lastname": "x" }))["lastName"], "x");
}

#[test]
fn all_options_need_no_else_an_empty_field_stays_empty_and_an_unknown_option_is_rejected() {
    let text = "case { gendercode = Male => \"m\"; gendercode in (Female) => \"f\" } -> cusOrigin";
    assert_eq!(codes(&whole(text)), [""; 0]);
    assert_eq!(map(text, json!({ "gendercode": 2 }))["cusOrigin"], "f");
    assert_eq!(map(text, json!({}))["cusOrigin"], json!(null));
    assert!(map(text, json!({ "gendercode": 9 })).as_str().expect("a rejection").starts_with("D903 cusOrigin"));
    assert_eq!(codes(&whole("case { donotemail = true => 1; donotemail = false => 2 } -> cusPoints @present")), [""; 0]);
    assert_eq!(codes(&whole("case { donotemail = true => 1 } -> cusPoints")), ["D315"]);
    // What may stay empty does not go into a required field.
    assert_eq!(codes(&whole("case { gendercode = Male => \"m\"; gendercode = Female => \"f\" } -> cusRequired")), ["D205"]);
    assert_eq!(
        codes(&whole("case { gendercode = Male => \"m\"; gendercode = Female => \"f\"; gendercode is empty => \"?\" } -> cusRequired")),
        [""; 0]
    );
}

#[test]
fn each_result_is_checked_against_the_target_at_its_own_place() {
    let text = whole(
        "case {\n  gendercode = Male => lastname\n  gendercode = Female => \"much too long for twenty\"\n  else => createdon\n} -> cusOrigin",
    );
    let found: Vec<(&str, String)> = compiled(&text).diagnostics.iter().map(|d| (d.code.name(), text[d.span.range()].to_owned())).collect();
    assert_eq!(
        found,
        [("D201", "lastname".to_owned()), ("D211", "\"much too long for twenty\"".to_owned()), ("D201", "createdon".to_owned())]
    );
    assert_eq!(codes(&whole("case { donotemail = true => lastname; else => null } -> cusRequired")), ["D205"]);
    assert_eq!(codes(&whole("case { donotemail = true => lastname; else => 5 } -> cusNote | upper")), ["D208"]);
    assert_eq!(codes(&whole("case { donotemail = true => lastname; else => lastname } -> cusNote | round(2) or null")), ["D208"]);
}

#[test]
fn a_branch_is_never_reached_if_those_before_it_take_its_records() {
    let one = |branches: &str| codes(&whole(&format!("case {{ {branches}; else => 0 }} -> cusPoints")));
    for branches in [
        "numberofchildren > 0 => 1; numberofchildren >= 3 => 2",
        "numberofchildren < 18 => 1; numberofchildren between 3 and 17 => 2",
        "numberofchildren < 18 => 1; numberofchildren = 5 and lastname is present => 2",
        "gendercode in (Male, Female) => 1; gendercode = Male => 2",
        "lastname is present => 1; lastname starts with \"a\" => 2",
        "lastname starts with \"a\" or firstname = \"x\" => 1; lastname = \"Ab\" => 2",
        "numberofchildren = 1 => 1; numberofchildren = 2 => 2; numberofchildren in (1, 2) => 3",
    ] {
        assert_eq!(one(branches), ["D312"], "{branches}");
    }
    for branches in [
        "numberofchildren >= 3 => 1; numberofchildren > 0 => 2",
        "numberofchildren < 18 => 1; numberofchildren between 3 and 18 => 2",
        "numberofchildren < 18 and lastname is present => 1; numberofchildren = 5 => 2",
        "not numberofchildren = 5 => 1; numberofchildren = 5 => 2",
        "lastname starts with \"a\" => 1; lastname contains \"a\" => 2",
        "gendercode = Male => 1; gendercode = Female => 2",
    ] {
        assert_eq!(one(branches), [""; 0], "{branches}");
    }
    assert_eq!(
        codes(&whole("case { donotemail = true => 1; donotemail != true => 2; donotemail is empty => 3; else => 4 } -> cusPoints")),
        [""; 0]
    );
    assert_eq!(
        codes(&whole("case { donotemail = true => 1; donotemail = false => 2; donotemail is empty => 3; else => 4 } -> cusPoints")),
        ["D312"]
    );
}

#[test]
fn the_fix_of_a_case_without_else_adds_it() {
    for text in
        ["case { numberofchildren > 2 => \"large\" } -> cusOrigin", "case {\n  numberofchildren > 2 => \"large\" # why\n} -> cusOrigin"]
    {
        let text = whole(text);
        let (fixed, _) = d365map::app::fixed(&text, 0, &compiled(&text).diagnostics, Safety::Unsafe);
        assert_eq!(codes(&fixed), [""; 0], "{fixed}");
        assert!(fixed.contains("else => null"), "{fixed}");
    }
}

#[test]
fn a_value_that_depends_on_the_time_is_due_when_its_condition_changes() {
    let plan = plan("case { createdon changed within 2d => \"new\"; else => \"old\" } -> cusOrigin");
    let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
    let at = |text: &str| d365map::time::parse_instant(text).expect("an instant");
    let record = json!({ "contactid": "8f1d0000-0000-4000-8000-000000000001", "createdon": "2026-11-20T12:00:00Z" }).to_string();
    let value = |now| match evaluator.evaluate_until(&record, now) {
        (Evaluated::Mapped(mapped), until) => (mapped.fields().next().expect("a field").json(), until),
        (other, _) => panic!("{other:?}"),
    };
    let (before, until) = value(at("2026-11-21T12:00:00Z"));
    assert_eq!((before.as_str(), until.filter), ("\"new\"", None));
    let due = until.values.expect("an instant");
    assert_eq!(due, at("2026-11-22T12:00:00.000000001Z"));
    assert_eq!(value(due).0, "\"old\"");
    assert_eq!(value(due).1.values, None);
}

// --------------------------------------------------------------------------------------------------------- when

#[test]
fn a_field_that_a_branch_does_not_write_is_left_as_it_is() {
    let text = "when donotemail = false {\n  emailaddress1 -> email\n  \"yes\" -> cusOrigin\n} else {\n  \"no\" -> cusOrigin\n}";
    assert_eq!(codes(&whole(text)), ["D313"]);
    let free = map(text, json!({ "donotemail": false, "emailaddress1": "a@b.example" }));
    assert_eq!((free["email"].clone(), free["cusOrigin"].clone()), (json!("a@b.example"), json!("yes")));
    let kept = map(text, json!({ "donotemail": true, "emailaddress1": "a@b.example" }));
    assert_eq!(kept, json!({ "cusOrigin": "no" }));
}

#[test]
fn a_required_field_is_written_in_every_branch() {
    assert_eq!(codes(&whole("when donotemail = false { \"x\" -> cusRequired }")), ["D205"]);
    assert_eq!(codes(&whole("when donotemail = false { \"x\" -> cusRequired } else { \"y\" -> cusRequired }")), [""; 0]);
}

#[test]
fn a_target_is_written_once_inside_and_outside_of_a_when() {
    let doubled = "lastname -> lastName\nwhen donotemail = false { firstname -> lastName } else { lastname -> lastName }";
    assert_eq!(codes(&whole(doubled)), ["D111"]);
    assert_eq!(
        codes(&whole("when donotemail = false { firstname -> lastName; lastname -> lastName } else { null -> lastName }")),
        ["D111"]
    );
    let flags = "when donotemail = false { firstname -> cusNote @initial } else { lastname -> cusNote }";
    assert_eq!(codes(&whole(flags)), ["D108"]);
}

#[test]
fn an_allow_is_above_a_branch_or_a_field_mapping_of_a_when() {
    let text = "when donotemail = false {\n  # allow(D313): the address of before is right\n  emailaddress1 -> email\n}";
    assert_eq!(codes(&whole(text)), [""; 0]);
}

#[test]
fn the_form_of_a_when_keeps_its_else_at_the_brace() {
    let text = whole(
        "when   donotemail=false and(lastname is present)\n{\nfirstname->cusNote|upper\n}\nelse when numberofchildren>1 { null->cusNote }\nelse\n{\nnull->cusNote # why\n}",
    );
    let formatted = format(&text).expect("a form");
    let wanted = "  when donotemail = false and (lastname is present) {\n    firstname -> cusNote | upper\n  } else when numberofchildren > 1 {\n    null -> cusNote\n  } else {\n    null -> cusNote  # why\n  }\n";
    assert!(formatted.contains(wanted), "{formatted}");
    keeps_its_form(&text);
}

#[test]
fn a_two_way_mapping_has_cases_that_do_not_depend_on_the_time_and_no_when() {
    let one = |line: &str| {
        codes(&format!(
            "mapping deals: partner.referral <-> d365.opportunity {{\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n  {line}\n}}\n"
        ))
    };
    assert_eq!(one("case { details.dealValue > 100 => \"big\"; else => \"small\" } -> description"), [""; 0]);
    assert_eq!(one("case { details.closingDateTime > now => \"open\"; else => \"past\" } -> description"), ["D209"]);
    assert_eq!(one("description <- case { details.dealValue > 100 => \"big\"; else => \"small\" }"), ["D009"]);
    assert_eq!(one("when details.dealValue > 100 { \"big\" -> description }"), ["D509"]);
}

// ---------------------------------------------------------------------------------- comparisons in replacements

/// A case of a replacement, and whether it takes a value.
type Case<T> = (&'static str, fn(T) -> bool);
type TextCase = (&'static str, fn(&str) -> bool);

/// The cases of a replacement of a number.
const NUMBERS: &[Case<i64>] = &[
    ("< 2", |n| n < 2),
    ("<= 5", |n| n <= 5),
    ("> 8", |n| n > 8),
    (">= 6", |n| n >= 6),
    ("!= 4", |n| n != 4),
    ("between 2 and 4", |n| (2..=4).contains(&n)),
    ("in (3, 7)", |n| n == 3 || n == 7),
    ("5", |n| n == 5),
    ("0", |n| n == 0),
];

/// As [`NUMBERS`], for a text. Comparisons pay no regard to case; values do.
const TEXTS: &[TextCase] = &[
    ("starts with \"a\"", |t| t.to_lowercase().starts_with('a')),
    ("ends with \"b\"", |t| t.to_lowercase().ends_with('b')),
    ("contains \"ab\"", |t| t.to_lowercase().contains("ab")),
    ("matches \"^[A-Z]+$\"", |t| !t.is_empty() && t.chars().all(|c| c.is_ascii_uppercase())),
    ("in (\"x\", \"ab\")", |t| t == "x" || t == "ab"),
    ("\"A\"", |t| t == "A"),
];

/// The result of the first case that takes a value: `c` with its number.
fn first<T: Copy>(cases: &[usize], all: &[Case<T>], value: T) -> String {
    cases.iter().find(|case| all[**case].1(value)).map_or_else(|| "other".to_owned(), |case| format!("c{case}"))
}

fn table<T>(cases: &[usize], all: &[Case<T>]) -> String {
    let lines: Vec<String> = cases.iter().map(|case| format!("{} => \"c{case}\"; ", all[*case].0)).collect();
    format!("{{ {}null => \"none\"; else => \"other\" }}", lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_first_case_of_a_replacement_that_takes_a_value_decides(
        numbers in prop::sample::subsequence((0..NUMBERS.len()).collect::<Vec<_>>(), 1..5).prop_shuffle(),
        texts in prop::sample::subsequence((0..TEXTS.len()).collect::<Vec<_>>(), 1..5).prop_shuffle(),
    ) {
        let text = whole(&format!(
            "numberofchildren -> cusOrigin\nreplace numberofchildren {}\nlastname -> cusNote | map {}", table(&numbers, NUMBERS), table(&texts, TEXTS)
        ));
        let result = compiled(&text);
        let other = result.diagnostics.iter().any(|d| !matches!(d.code.name(), "D303" | "D314"));
        prop_assert!(!other, "{}", rendered(&text));
        prop_assume!(result.plan.is_some());
        let plan = result.plan.expect("a plan");
        let evaluator = Evaluator::new(&plan.ingress[0]).expect("a compiled plan");
        let values = [None, Some("a"), Some("A"), Some("ab"), Some("AB"), Some("x"), Some("X"), Some("b"), Some("xab"), Some("cd")];
        for (n, value) in (-1..9).zip(values) {
            let record = Record { children: Some(n), last: value.map(str::to_owned), ..Record::default() };
            let wanted = value.map_or_else(|| "none".to_owned(), |value| first(&texts, TEXTS, value));
            prop_assert_eq!(became(&evaluator, &record), Became::Value(wanted.into()), "{} {:?}", text, value);
            let json = record.json();
            let now = d365map::time::parse_instant("2026-11-21T12:00:00Z").expect("an instant");
            let Evaluated::Mapped(mapped) = evaluator.evaluate(&json, now) else { panic!("not mapped") };
            let number = mapped.fields().find(|f| f.path == "cusOrigin").expect("the field").json();
            prop_assert_eq!(number, format!("\"{}\"", first(&numbers, NUMBERS, n)), "{} {}", text, n);
        }
        keeps_its_form(&text);
    }
}

#[test]
fn a_case_that_a_comparison_before_it_takes_is_an_error() {
    let one = |cases: &str| codes(&whole(&format!("numberofchildren -> cusOrigin | map {{ {cases}; else => \"e\" }}")));
    assert_eq!(one("< 3 => \"a\"; 2 => \"b\""), ["D314"]);
    assert_eq!(one("< 3 => \"a\"; between 0 and 2 => \"b\""), ["D314"]);
    assert_eq!(one("< 3 => \"a\"; in (2, 5) => \"b\""), ["D314"]);
    assert_eq!(one("2 => \"a\"; in (2, 5) => \"b\""), ["D303"]);
    assert_eq!(one("2 => \"a\"; < 3 => \"b\"; < 5 => \"c\""), [""; 0]);
    assert_eq!(one("between 5 and 3 => \"a\""), ["D406"]);
    assert_eq!(one("> now => \"a\""), ["D402"]);
    assert_eq!(codes(&whole("lastname -> cusNote | map { < 3 => \"a\"; else => \"b\" }")), ["D402"]);
    assert_eq!(codes(&whole("createdon -> cusNote | map { > now - 3d => \"a\"; else => \"b\" }")), ["D402"]);
    assert_eq!(codes(&whole("lastname -> cusNote | map { matches \"(\" => \"a\"; else => \"b\" }")), ["D403"]);
}

#[test]
fn a_comparison_keeps_values_or_rejects_them_as_a_value_does() {
    let text = "numberofchildren -> cusPoints | map { < 0 => reject; > 10 => 10; else => keep }";
    assert_eq!(map(text, json!({ "numberofchildren": 12 }))["cusPoints"], 10);
    assert_eq!(map(text, json!({ "numberofchildren": 7 }))["cusPoints"], 7);
    assert_eq!(map(text, json!({ "numberofchildren": -1 })), "D902 cusPoints line 3: the replacement says to reject this value");
    let drinks = "new_drinks -> cusNote | map { contains Tea => \"tea\"; else => \"other\" }";
    assert_eq!(map(drinks, json!({ "new_drinks": "1,9" }))["cusNote"], "tea");
    assert_eq!(map(drinks, json!({ "new_drinks": "9" }))["cusNote"], "other");
}
