//! Opt-outs per topic: what the language says, and what the plan, the formatter and tables make of it.

use d365map::diagnostics::render::{Format, Style, render};
use d365map::format::format;
use d365map::plan::{Direction, ExecutionPlan, describe};

use super::support::compiled;

fn with_pairs(direction: &str, pairs: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  lastname -> lastName\n}}\n\n\
         optout contacts {{\n  direction {direction}\n  {pairs}\n}}\n"
    )
}

/// The codes that a text is reported with, and the plan.
fn checked(text: &str) -> (Vec<&'static str>, Option<ExecutionPlan>) {
    let compiled = compiled(text);
    (compiled.diagnostics.iter().map(|d| d.code.name()).collect(), compiled.plan)
}

fn planned(text: &str) -> ExecutionPlan {
    let compiled = compiled(text);
    let said = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    compiled.plan.unwrap_or_else(|| panic!("{text}\n{said}"))
}

#[test]
fn topics_are_a_workflow_beside_that_of_the_attributes() {
    let text = with_pairs(
        "d365-to-campaign",
        "donotphone <-> denyListPhone\n  followemail <-> subscription \"SVC1\"\n  donotemail <-> not subscription \"Weekly news\"",
    );
    let plan = planned(&text);
    let names: Vec<String> = plan.optouts.iter().map(|flow| flow.workflow()).collect();
    assert_eq!(names, ["contacts.optout", "contacts.topics"]);
    let topics = &plan.optouts[1];
    assert_eq!((topics.topics, topics.direction), (true, Direction::D365ToCampaign));
    // To be subscribed is the consent.
    let out: Vec<[bool; 2]> = topics.pairs.iter().map(|pair| [false, true].map(|value| topics.is_opt_out(pair, value))).collect();
    assert_eq!(out, [[true, false], [false, true]]);
    assert!(plan.ingress[0].fields.iter().all(|field| field.path != ["SVC1"]), "the record does not carry topics");
    let shown = describe(&plan);
    for line in [
        "topics of contacts: Dynamics to Campaign",
        "followemail <-> subscription \"SVC1\"",
        "donotemail <-> not subscription \"Weekly news\"",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(ExecutionPlan::from_json(&plan.to_json()).expect("a plan that can be read"), plan);
}

#[test]
fn a_block_of_topics_alone_is_one_workflow_and_a_disabled_one_has_no_workflow() {
    let pair = "followemail <-> subscription \"SVC1\"";
    let names = |text: &str| planned(text).optouts.iter().map(|flow| flow.workflow()).collect::<Vec<_>>();
    assert_eq!(names(&with_pairs("d365-to-campaign", pair)), ["contacts.topics"]);
    assert!(names(&with_pairs("disabled", pair)).is_empty());
}

#[test]
fn a_plan_file_whose_topics_go_another_way_is_refused() {
    let plan = planned(&with_pairs("d365-to-campaign", "followemail <-> subscription \"SVC1\""));
    let text = plan.to_json().replace("\"direction\": \"d365-to-campaign\"", "\"direction\": \"bidirectional\"");
    assert!(ExecutionPlan::from_json(&text).is_err());
}

#[test]
fn what_is_wrong_with_a_topic_is_said_by_its_code() {
    let to = "d365-to-campaign";
    let many: Vec<String> = (0..33).map(|n| format!("donotemail <-> subscription \"S{n}\"")).collect();
    for (direction, pairs, codes) in [
        (to, "followemail <-> subscription \"SVC1\"", vec![]),
        ("bidirectional", "followemail <-> subscription \"SVC1\"", vec!["D613"]),
        ("campaign-to-d365", "followemail <-> not subscription \"SVC1\"", vec!["D613"]),
        (to, "followemail <-> subscription \"\"", vec!["D614"]),
        (to, "followemail <-> subscription \"SVC1 \"", vec!["D614"]),
        (to, "followemail <-> subscription \"SVC1\"; donotemail <-> not subscription \"SVC1\"", vec!["D605"]),
        (to, "followemail <-> subscription \"SVC1\"; followemail <-> subscription \"SVC2\"", vec!["D605"]),
        (to, "lastname <-> subscription \"SVC1\"", vec!["D602"]),
        (to, "preferredcontactmethodcode <-> subscription \"SVC1\" { Email => in }", vec!["D611"]),
        (to, "preferredcontactmethodcode <-> subscription \"SVC1\" { Email => in; null => out; else => out }", vec![]),
        (to, "nosuchfield <-> subscription \"SVC1\"", vec!["D103"]),
    ] {
        let (found, _) = checked(&with_pairs(direction, pairs));
        assert!(found.iter().all(|code| codes.contains(code)) && found.is_empty() == codes.is_empty(), "{pairs}: {found:?}");
    }
    let (found, _) = checked(&with_pairs(to, &many.join("\n  ")));
    assert!(found.contains(&"D614"), "{found:?}");
}

#[test]
fn a_field_may_still_be_called_subscription_and_the_form_is_one() {
    let text = with_pairs("d365-to-campaign", "followemail<->subscription   \"SVC1\"\n  donotemail <->not subscription\"SVC2\" # news");
    let formatted = format(&text).expect("it can be formatted");
    assert!(
        formatted.contains("  followemail <-> subscription \"SVC1\"\n  donotemail  <-> not subscription \"SVC2\"  # news\n"),
        "{formatted}"
    );
    // Without a text it is a name like others.
    let (found, _) = checked(&with_pairs("d365-to-campaign", "followemail <-> subscription"));
    assert!(!found.is_empty() && !found.contains(&"D614"), "{found:?}");
}
