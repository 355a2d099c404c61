//! Findings for machines.

use d365map::diagnostics::render::{Format, Style, render};

use super::support::compiled;

const TEXT: &str = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  firstnmae -> firstName\n  lastname -> lastName | truncate(60)\n  middlename -> lastName\n}\n";

fn as_format(format: Format) -> String {
    let compiled = compiled(TEXT);
    render(&compiled.diagnostics, &compiled.sources, format, Style::PLAIN)
}

#[test]
fn json_is_one_object_with_a_version_and_places() {
    insta::assert_snapshot!(as_format(Format::Json));
}

#[test]
fn github_is_one_command_per_finding_with_its_separators_escaped() {
    insta::assert_snapshot!(as_format(Format::Github));
}

#[test]
fn sarif_names_its_rules_and_places() {
    let log: serde_json::Value = serde_json::from_str(&as_format(Format::Sarif)).expect("JSON");
    let run = &log["runs"][0];
    assert_eq!(log["version"], "2.1.0");
    for result in run["results"].as_array().expect("results") {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().expect("an index") as usize];
        assert_eq!(rule["id"], result["ruleId"]);
    }
    insta::assert_json_snapshot!(run["results"]);
}

#[test]
fn people_see_the_line_the_cause_and_the_remedy() {
    insta::assert_snapshot!(as_format(Format::Human));
}
