//! The documents tell the truth: each example in them is compiled.

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
    assert!(count >= 7, "only {count} examples were found");
}

#[test]
fn the_example_in_the_readme_compiles_cleanly() {
    let text = include_str!("../../../README.md");
    let example = text.split("```\n").nth(1).expect("the first fenced block");
    assert!(compiled(example).plan.is_some(), "{}", rendered(example));
}

#[test]
fn every_step_and_every_option_stands_in_the_language_document() {
    let text = include_str!("../../../docs/language.md");
    for word in
        ["trim", "lower", "upper", "truncate", "default", "coalesce", "round", "date", "deletes", "filtered-out", "picklists", "rejected"]
    {
        assert!(text.contains(word), "{word} is not described");
    }
}
