//! Steps inside arguments: each chain has the meaning that it has after a source.

use d365map::check::Compiled;
use d365map::plan::{ExecutionPlan, describe};
use d365map::schema::FieldType;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};

use super::soundness::{KEY, after_fixes, catalogue, compiled, evaluate, runner, value};
use super::support::{codes, map, plan, rendered, whole};

#[test]
fn the_first_field_that_has_a_value_after_its_steps_counts() {
    let phone = "coalesce(telephone1 | phone(\"DE\") or null, mobilephone | trim) -> cusNote";
    assert_eq!(map(phone, json!({"telephone1": "030 901820", "mobilephone": "1"}))["cusNote"], "+4930901820");
    assert_eq!(map(phone, json!({"telephone1": "none", "mobilephone": " 1 "}))["cusNote"], "1");
    assert_eq!(map(phone, json!({"telephone1": "none"}))["cusNote"], Value::Null);
    let rejecting = phone.replace("or null", "or reject");
    assert!(map(&rejecting, json!({"telephone1": "none", "mobilephone": "1"})).to_string().contains("D901"));
    // What is not needed does not fail.
    let second = "coalesce(mobilephone, telephone1 | phone(\"DE\") or reject) -> cusNote";
    assert_eq!(map(second, json!({"telephone1": "none", "mobilephone": "1"}))["cusNote"], "1");
    let step = "firstname -> cusNote | coalesce(nickname | truncate(2), lastname | upper)";
    assert_eq!(map(step, json!({"nickname": "Ada"}))["cusNote"], "Ad");
    assert_eq!(map(step, json!({"lastname": "Byron"}))["cusNote"], "BYRON");
}

#[test]
fn concat_and_join_take_steps_too() {
    let person = json!({"firstname": "Ada", "lastname": "Byron", "gendercode": 2, "createdon": "2024-05-06T22:30:00Z"});
    for (entry, result) in [
        ("concat(firstname | upper, \" \", lastname | truncate(2)) -> cusNote", "ADA By"),
        ("join(\"/\", gendercode | label, lastname | lower) -> cusNote", "Female/byron"),
        ("join(\"/\", createdon | date(\"Europe/Berlin\") | format(\"dd.MM.\"), firstname) -> cusNote", "07.05./Ada"),
        ("firstname -> cusNote | concat(\"-\", lastname | substring(2, 3))", "Ada-yro"),
        ("coalesce(nickname | default(\"?\"), firstname) -> cusNote", "?"),
        ("coalesce(gendercode | map { Male => \"m\"; Female => \"w\"; else => null }, firstname) -> cusNote", "w"),
    ] {
        assert_eq!(map(entry, person.clone())["cusNote"], result, "{entry}\n{}", rendered(&whole(entry)));
    }
}

#[test]
fn a_chain_in_an_argument_is_checked_as_after_a_source() {
    for (entry, code) in [
        ("coalesce(telephone1 | phone(\"DE\"), mobilephone) -> cusNote", "D206"),
        ("coalesce(telephone1 | trim or null, mobilephone) -> cusNote", "D207"),
        ("coalesce(telephone1 | round(2), mobilephone) -> cusNote", "D208"),
        ("coalesce(telephone1 | nothing, mobilephone) -> cusNote", "D107"),
        ("coalesce(telephone1, numberofchildren | years(today)) -> cusNote", "D208"),
        ("coalesce(telephone1 | truncate(500), mobilephone) -> cusNote", "D214"),
        ("coalesce(firstname | prefix(\"a long prefix \"), nickname) -> middleName", "D201"),
        ("mobilephone -> cusNote | truncate(telephone1 | trim)", "D209"),
        ("telephone1 -> cusNote | phone(address1_country | trim) or null", "D209"),
        ("coalesce(firstname | coalesce(lastnme), nickname) -> cusNote", "D103"),
        ("coalesce(birthdate | years(today), numberofchildren) -> cusPoints | default(0)", "D127"),
    ] {
        assert_eq!(codes(&whole(entry)), [code], "{entry}\n{}", rendered(&whole(entry)));
    }
}

#[test]
fn nested_arguments_have_a_limit_and_survive_in_the_plan() {
    let nested = |depth: usize| {
        format!(
            "coalesce({}nickname{}, lastname) -> cusNote",
            "firstname | coalesce(".repeat(depth - 1),
            " | lower)".repeat(depth - 1).replacen(" | lower)", " | trim)", 1)
        )
    };
    let deepest = plan(&nested(6));
    assert_eq!(ExecutionPlan::from_json(&deepest.to_json()).expect("a plan"), deepest);
    assert_eq!(codes(&whole(&nested(9))), ["D004"]);
    let text = describe(&plan("coalesce(firstname | trim | upper, nickname) -> cusNote"));
    assert!(text.contains("coalesce(firstname | trim | upper, nickname)"), "{text}");
}

#[test]
fn generated_chains_in_arguments_give_what_they_give_after_a_source() {
    let types = [
        FieldType::Text { max: Some(12) },
        FieldType::Integer { min: -20, max: 300 },
        FieldType::Decimal { scale: 2, min: (-5).into(), max: 100.into() },
        FieldType::DateTime,
        FieldType::Boolean { labels: None },
    ];
    let steps: Vec<&str> =
        d365map::steps::STEPS.iter().flat_map(|step| step.samples).copied().filter(|s| !s.contains("nickname")).collect();
    let chain = (prop::sample::select(steps), prop::sample::select(vec!["", "", " or null", " or reject"]));
    let chains =
        prop::collection::vec(chain, 1..3).prop_map(|steps| steps.iter().map(|(step, or)| format!(" | {step}{or}")).collect::<String>());
    let target = FieldType::Text { max: None };
    let (mut runner, mut compared) = (runner(11), 0);
    for round in 0..900 {
        let ty = &types[round % types.len()];
        let catalogue = catalogue(ty, &target, false);
        let whole = |entry: &str| format!("mapping m: d365.thing -> campaign.thing {{\n  key id -> key\n  {entry}\n}}\n");
        let clean = |compiled: Compiled| compiled.diagnostics.is_empty().then_some(compiled);
        let mapped = |entry: &str| clean(compiled(&whole(entry), &catalogue));
        // The chain after a source, with what can be fixed of it.
        let chained = |field: &str, chain: &str| {
            let (text, compiled) = after_fixes(whole(&format!("{field} -> x{chain}")), &catalogue);
            let chain = text.lines().nth(2)?.split_once("-> x")?.1.to_owned();
            Some((chain, clean(compiled)?))
        };
        let (first, second) =
            (chains.new_tree(&mut runner).expect("steps").current(), chains.new_tree(&mut runner).expect("steps").current());
        let (Some((first, one)), Some((second, two))) = (chained("a", &first), chained("b", &second)) else { continue };
        let entry = format!("join(\"\", a{first}, b{second}) -> x");
        let Some(both) = mapped(&entry) else { continue };
        let coalesced = mapped(&format!("coalesce(a{first}, b{second}) -> x"));
        let values = (value(ty), value(ty));
        for _ in 0..6 {
            let (a, b) = values.new_tree(&mut runner).expect("values").current();
            let record = format!("{{\"id\":\"{KEY}\",\"a\":{a},\"b\":{b}}}");
            let (left, right) = (evaluate(&one, &record), evaluate(&two, &record));
            let code = |result: Result<String, String>| result.map_err(|error| error[..4].to_owned());
            let text = |json: &str| serde_json::from_str::<Option<String>>(json).expect("a text").unwrap_or_default();
            let joined = match (code(left), code(right)) {
                (Err(error), _) => Err(error),
                (Ok(left), right) => {
                    if let Some(coalesced) = &coalesced {
                        let expected = if left == "null" { right.clone() } else { Ok(left.clone()) };
                        assert_eq!(code(evaluate(coalesced, &record)), expected, "coalesce {entry}\n{record}");
                    }
                    right.map(|right| text(&left) + &text(&right))
                }
            };
            let found = code(evaluate(&both, &record)).map(|found| text(&found));
            assert_eq!(found, joined, "{entry}\n{record}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn steps_in_arguments_have_one_form() {
    let form = |text: &str| d365map::format::format(&whole(text)).expect("a form");
    let formed = form("coalesce( telephone1|phone( \"DE\" )or null,mobilephone|trim )->phone|truncate( 32 )");
    assert!(formed.contains("  coalesce(telephone1 | phone(\"DE\") or null, mobilephone | trim) -> phone | truncate(32)\n"), "{formed}");
    assert_eq!(form(&formed), formed);
}
