//! Opt-outs of fields that are not true or false: what their values mean, held against a search of the cases, and what the checker says.

use d365map::diagnostics::render::{Format, Style, render};
use d365map::eval::{opt_out_value, opted_out};
use d365map::format::format;
use d365map::plan::{ExecutionPlan, describe};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::support::{compiled, plan};

fn with_pair(direction: &str, pair: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  lastname -> lastName\n}}\n\n\
         optout contacts {{\n  direction {direction}\n  {pair}\n}}\n"
    )
}

/// The options of `preferredcontactmethodcode`, and one that the schema does not have.
const OPTIONS: [(i64, &str); 6] = [(1, "Any"), (2, "Email"), (3, "Phone"), (4, "Fax"), (5, "Mail"), (9, "")];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn an_option_means_what_its_case_says_and_an_unknown_one_what_else_says_or_an_opt_out(
        named in prop::collection::vec((0_usize..5, any::<bool>(), any::<bool>()), 0..6), null in any::<bool>(), otherwise in prop::option::of(any::<bool>()),
    ) {
        // The first case of an option counts here; two are an error.
        let mut seen = std::collections::BTreeSet::new();
        let named: Vec<_> = named.into_iter().filter(|(option, ..)| seen.insert(*option)).collect();
        let word = |out: bool| if out { "out" } else { "in" };
        let mut cases: Vec<String> = named
            .iter()
            .map(|(option, out, by_number)| {
                let (number, label) = OPTIONS[*option];
                format!("{} => {}", if *by_number { number.to_string() } else { label.to_owned() }, word(*out))
            })
            .collect();
        cases.push(format!("null => {}", word(null)));
        cases.extend(otherwise.map(|out| format!("else => {}", word(out))));
        let text = with_pair("d365-to-campaign", &format!("preferredcontactmethodcode <-> denyListEmail {{ {} }}", cases.join("; ")));
        let compiled = compiled(&text);
        let whole = otherwise.is_some() || named.len() == 5;
        if !whole {
            prop_assert_eq!(compiled.diagnostics.iter().map(|d| d.code.name()).collect::<Vec<_>>(), ["D611"], "{}", text);
            return Ok(());
        }
        let said = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
        let plan = compiled.plan.unwrap_or_else(|| panic!("{text}\n{said}"));
        let again = ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read");
        prop_assert_eq!(&again, &plan);
        let meaning = again.optouts[0].pairs[0].meaning.as_ref().expect("the pair has cases");
        for (number, _) in OPTIONS {
            let case = named.iter().find(|(option, ..)| OPTIONS[*option].0 == number).map(|(_, out, _)| *out);
            let wanted = case.or(otherwise).unwrap_or(true);
            prop_assert_eq!(opted_out(meaning, Some(&json!(number))), wanted, "{} of {}", number, text);
        }
        prop_assert_eq!(opted_out(meaning, Some(&Json::Null)), null);
        prop_assert_eq!(opted_out(meaning, None), null);
        prop_assert!(meaning.opted_out.is_none() && meaning.opted_in.is_none(), "nothing is written to Dynamics");
    }
}

#[test]
fn dynamics_gets_the_first_value_of_the_file_for_an_opt_out_and_for_a_consent() {
    let now = d365map::time::parse_instant("2026-11-30T10:11:12Z").expect("an instant");
    for (pair, out, consent) in [
        ("preferredcontactmethodcode <-> denyListEmail { Phone => out; Email => in; null => in; else => out }", "3", "2"),
        ("preferredcontactmethodcode <-> denyListEmail { in (Fax, Mail) => out; null => in; Email => in; else => out }", "4", "null"),
        ("birthdate <-> denyListEmail { null => in; else => out }", "\"2026-11-30\"", "null"),
        ("lastonholdtime <-> denyListEmail { else => in; null => out }", "null", "\"2026-11-30T10:11:12Z\""),
        ("nickname <-> denyListEmail { \"stop\" => out; \"go\" => in; null => in; else => in }", "\"stop\"", "\"go\""),
        ("numberofchildren <-> denyListEmail { 0 => in; 1 => out; null => in; else => out }", "1", "0"),
        ("donotemail <-> denyListEmail { true => out; false => in; null => out }", "true", "false"),
    ] {
        assert!(compiled(&with_pair("bidirectional", pair)).diagnostics.is_empty(), "{pair}");
        let plan = plan(&with_pair("bidirectional", pair));
        let meaning = plan.optouts[0].pairs[0].meaning.as_ref().expect("the pair has cases");
        assert_eq!(opt_out_value(meaning, true, now).as_deref(), Some(out), "{pair}");
        assert_eq!(opt_out_value(meaning, false, now).as_deref(), Some(consent), "{pair}");
        // What is written means what was to be written.
        let read = |text: &str| serde_json::from_str(text).expect("JSON");
        assert!(opted_out(meaning, Some(&read(out))) && !opted_out(meaning, Some(&read(consent))), "{pair}");
    }
}

#[test]
fn cases_that_leave_something_open_are_errors_that_say_what_to_write() {
    for (pair, code, message) in [
        ("preferredcontactmethodcode <-> denyListEmail", "D602", "{ 1 => in; 2 => out; null => in; else => in }"),
        ("birthdate <-> denyListEmail", "D602", "{ null => in; else => out }"),
        ("parentcustomerid <-> denyListEmail { null => in; else => out }", "D602", "true or false"),
        ("birthdate <-> denyListFax { > 2020-01-01 => in; null => in; else => out }", "D612", "add a case with a value: `VALUE => out`"),
        ("merged <-> denyListFax", "D612", "use a field that can be written"),
        ("birthdate <-> denyListFax { 2026-11-30 => in; null => in; else => out }", "D612", "add a case with a value: `VALUE => out`"),
        ("fullname <-> denyListFax { \"x\" => out; \"y\" => in; null => in; else => in }", "D612", "use a field that can be written"),
        ("numberofchildren <-> denyListFax { 99999999999 => out; 1 => in; null => in; else => in }", "D612", "`VALUE => out`"),
        ("preferredcontactmethodcode <-> denyListEmail { Phone => out; else => in }", "D611", "add `null => in`"),
        ("preferredcontactmethodcode <-> denyListEmail { Phone => yes; null => in; else => in }", "D611", "write `out` if"),
        ("preferredcontactmethodcode <-> denyListEmail { Phone => keep; null => in; else => in }", "D611", "write `out` if"),
        ("preferredcontactmethodcode <-> not denyListEmail { Phone => out; null => in; else => in }", "D611", "remove the `not`"),
        ("preferredcontactmethodcode <-> denyListEmail { Phon => out; null => in; else => in }", "D302", "Phone"),
        ("preferredcontactmethodcode <-> denyListEmail { Phone => out; Phone => in; null => in; else => in }", "D303", "remove one"),
        (
            "preferredcontactmethodcode <-> denyListEmail { Phone => out; null => out; else => in }",
            "D612",
            "add a case with a value: `VALUE => in`",
        ),
    ] {
        let compiled = compiled(&with_pair("bidirectional", pair));
        let said = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
        assert_eq!(compiled.diagnostics.iter().map(|d| d.code.name()).collect::<Vec<_>>(), [code], "{pair}\n{said}");
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "").contains(message), "{pair}\n{said}");
    }
    let fixed = compiled(&with_pair("d365-to-campaign", "preferredcontactmethodcode <-> denyListEmail { Phone => out }"));
    let fix = fixed.diagnostics[0].fix.as_ref().expect("the missing cases can be added");
    assert_eq!(fix.edits.len(), 1);
}

#[test]
fn cases_of_opt_outs_keep_their_form_and_are_printed_with_the_plan() {
    let text = with_pair(
        "bidirectional",
        "familystatuscode <-> denyListFax { Single => in; Married => out; null => in; else => out }  # a remark",
    );
    assert_eq!(format(&text).expect("a form"), text);
    let printed = describe(&plan(&text));
    assert!(
        printed
            .contains("familystatuscode <-> blackListFax {1 => in; 2 => out; null => in; else => out}, writes 2 for `out` and 1 for `in`"),
        "{printed}"
    );
}

#[test]
fn a_profile_begins_with_what_the_cases_say() {
    let text = with_pair("bidirectional", "familystatuscode <-> denyListFax { Single => in; Married => out; null => in; else => out }")
        + "\ntest contacts \"married\" {\n  given { lastname: \"A\", familystatuscode: Married }\n  expect { blackListFax: true }\n}\n\n\
           test contacts \"empty\" {\n  given { lastname: \"A\" }\n  expect { blackListFax: false }\n}\n";
    let compiled = compiled(&text);
    assert!(compiled.plan.is_some(), "{}", render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN));
    let report =
        d365map::testing::run(compiled.plan.as_ref().unwrap(), compiled.tests.iter(), d365map::time::now()).expect("a compiled plan");
    assert_eq!(report.ran.iter().map(|ran| &ran.outcome).collect::<Vec<_>>(), [&d365map::testing::Outcome::Passed; 2], "{report:?}");
}
