//! The documents tell the truth: each example in them is compiled.

use d365map::check;

use super::support::{compiled, rendered, whole};

#[test]
fn every_example_of_the_language_document_compiles_cleanly() {
    let text = include_str!("../../../docs/language.md");
    let mut count = 0;
    for part in text.split("```d365map").skip(1) {
        let (_, body) = part.split_once('\n').expect("a fenced block");
        let example = body.split("\n```").next().expect("an end of the block");
        let found = compiled(&whole(example));
        assert!(found.diagnostics.is_empty() && found.plan.is_some(), "{}\n{}", example, rendered(&whole(example)));
        count += 1;
    }
    assert!(count >= 16, "only {count} examples were found");
}

#[test]
fn the_examples_of_the_pages_on_flows_to_campaign_compile_cleanly() {
    for text in [include_str!("../../../docs/contacts.md"), include_str!("../../../docs/custom-entities.md")] {
        let mut count = 0;
        for part in text.split("```d365map").skip(1) {
            let (_, body) = part.split_once('\n').expect("a fenced block");
            let example = body.split("\n```").next().expect("an end of the block");
            let found = compiled(example);
            assert!(found.diagnostics.is_empty() && found.plan.is_some(), "{example}\n{}", rendered(example));
            count += 1;
        }
        assert!(count > 0, "no example was found");
    }
}

#[test]
fn the_cheat_sheet_is_one_page_that_holds_the_whole_language_and_its_examples_are_right() {
    let text = include_str!("../../../docs/cheat-sheet.md");
    for part in text.split("```d365map right\n").skip(1) {
        let example = part.split("\n```").next().expect("an end of the block");
        let found = compiled(example);
        assert!(found.diagnostics.is_empty(), "{}", rendered(example));
        let plan = found.plan.expect("a plan");
        let report = d365map::testing::run(&plan, found.tests.iter(), d365map::time::now()).expect("a plan that can be run");
        assert!(report.ran.iter().all(|ran| ran.outcome == d365map::testing::Outcome::Passed), "{:?}", report.ran);
    }
    let words: std::collections::HashSet<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).collect();
    let grammar = include_str!("../../../grammar/d365map.pest");
    let keywords = grammar.lines().filter_map(|line| line.strip_prefix("kw_")?.split_once("@{ \"")?.1.split('"').next());
    let options = [check::INGRESS, check::TWO_WAY, check::EVENTS, check::DIRECTIONS].concat();
    let of_options = options.iter().flat_map(|(name, values)| std::iter::once(*name).chain(values.iter().copied()));
    let steps = d365map::steps::STEPS.iter().map(|step| step.name);
    let functions = d365map::steps::FUNCTIONS.iter().map(|function| function.name);
    let missing: Vec<&str> = keywords.chain(of_options).chain(steps).chain(functions).filter(|word| !words.contains(word)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(text.lines().count() <= 110, "{} lines are more than a page", text.lines().count());
    let long: Vec<&str> = text.lines().filter(|line| !line.starts_with('|') && line.chars().count() > 140).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_example_in_the_readme_compiles_cleanly() {
    let text = include_str!("../../../README.md");
    let example = text.split("```\n").nth(1).expect("the first fenced block");
    assert!(compiled(example).plan.is_some(), "{}", rendered(example));
}

#[test]
fn every_step_and_every_option_is_in_the_language_document() {
    let text = include_str!("../../../docs/language.md");
    let options = [check::INGRESS, check::TWO_WAY, check::EVENTS, check::DIRECTIONS].concat();
    let values = options.iter().flat_map(|(name, values)| std::iter::once(*name).chain(values.iter().copied()));
    for word in values.chain(check::ATTRIBUTES) {
        assert!(text.contains(word), "{word} is not described");
    }
    for step in d365map::steps::STEPS {
        assert!(text.contains(&format!("`{}", step.name)), "the step {} is not described", step.name);
    }
}
