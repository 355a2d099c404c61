//! Each code has a page, a wrong example that is found under it, and a right one that is not; the rendered finding is a
//! snapshot.

use d365map::diagnostics::{Code, Safety};

use super::support::{codes, compiled, rendered, whole};

/// The text of the first fenced block with this mark.
fn block(page: &str, mark: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("```d365map {mark}\n"))?;
    Some(rest.split_once("\n```")?.0.to_owned())
}

/// Codes whose wrong example cannot be in a page; each is shown by the test of this name.
const SHOWN_ELSEWHERE: &[(Code, &str)] = &[
    (Code::D001, "a_file_that_is_not_utf8_is_named_with_its_place"),
    (Code::D002, "a_file_of_ten_megabytes_is_rejected_without_being_parsed"),
    (Code::D013, "an_invisible_character_that_reorders_text_is_a_warning_wherever_it_is"),
    (Code::D113, "a_faulty_schema_file_is_reported_as_d113_and_nothing_is_compiled"),
    (Code::D119, "a_run_refuses_to_start_on_a_breaking_drift_with_the_words_of_schema_diff"),
    (Code::D701, "twenty_custom_entities_are_mapped_and_no_more"),
    (Code::D702, "a_custom_entity_has_fifty_columns_and_no_more"),
    (Code::D703, "a_mapping_has_five_links_and_no_more"),
    (Code::D705, "a_replay_is_refused_where_table_or_backlog_has_two_million_records"),
    (Code::D706, "a_first_load_of_more_than_fifteen_million_records_is_refused"),
    (Code::D803, "an_include_of_which_nothing_is_used_is_a_warning"),
    (Code::D901, "a_step_with_or_reject_rejects_the_record_at_its_line"),
    (Code::D902, "a_replacement_can_reject_a_value"),
    (Code::D903, "a_value_that_breaks_its_own_schema_is_rejected_not_written"),
    (Code::D904, "a_record_without_a_primary_key_is_rejected"),
    (Code::D905, "a_text_longer_than_its_schema_says_is_rejected_not_cut"),
    (Code::D906, "what_campaign_refuses_becomes_a_dead_letter_with_its_line"),
    (Code::D907, "several_profiles_without_a_key_make_a_dead_letter_and_one_that_is_left_is_adopted_by_a_retry"),
    (Code::D908, "a_link_to_a_record_that_campaign_does_not_have_is_rejected_emptied_or_replaced_as_or_says"),
];

/// The tests that show these.
const TESTS: [&str; 9] = [
    include_str!("bad_input.rs"),
    include_str!("findings.rs"),
    include_str!("constructs.rs"),
    include_str!("evaluation.rs"),
    include_str!("../flow/adopt.rs"),
    include_str!("../flow/contacts.rs"),
    include_str!("../flow/link_to.rs"),
    include_str!("../flow/replay.rs"),
    include_str!("../cli.rs"),
];

#[test]
fn every_code_has_a_page_that_says_what_it_is() {
    for code in Code::ALL {
        let page = code.page();
        assert!(page.starts_with(&format!("# {code}: {}\n", code.title())), "{code}: the page's title is not the registry's");
        assert!(page.len() > 150, "{code}: the page says too little");
    }
}

#[test]
fn every_code_has_a_rejected_example_that_is_found_under_it() {
    for code in Code::ALL {
        match block(code.page(), "wrong") {
            Some(wrong) => {
                let found = codes(&whole(&wrong));
                assert!(found.contains(&code.name()), "{code}: the wrong example gives {found:?}\n{}", rendered(&whole(&wrong)));
            }
            None => {
                let (_, test) = SHOWN_ELSEWHERE.iter().find(|(c, _)| c == code).unwrap_or_else(|| panic!("{code} has no rejected example"));
                assert!(TESTS.iter().any(|text| text.contains(&format!("fn {test}("))), "{code}: there is no test {test}");
            }
        }
    }
}

#[test]
fn every_code_has_an_accepted_example() {
    for code in Code::ALL {
        let right = block(code.page(), "right").unwrap_or_else(|| panic!("{code} has no accepted example"));
        let found = compiled(&whole(&right));
        assert!(found.plan.is_some(), "{code}: the right example does not compile\n{}", rendered(&whole(&right)));
        assert!(found.diagnostics.is_empty(), "{code}: the right example is not clean\n{}", rendered(&whole(&right)));
    }
}

#[test]
fn the_findings_of_all_wrong_examples_read_as_reviewed() {
    for code in Code::ALL {
        if let Some(wrong) = block(code.page(), "wrong") {
            insta::with_settings!({ description => whole(&wrong), omit_expression => true, snapshot_path => "../snapshots/codes" }, {
                insta::assert_snapshot!(code.name(), rendered(&whole(&wrong)));
            });
        }
    }
}

/// Entries whose findings have a fix that the pages' examples do not have.
const WITH_A_FIX: &[&str] = &[
    "LASTNAME -> lastName",
    "lastname -> LASTNAME",
    "lastname -> lastName | TRIM",
    "lastname -> lastName\nfilter all { gendercode = female }",
    "lastname -> lastName\nfilter all { lastname is not null }",
    "lastname -> lastName\noptions { delets ignore }",
    "gendercode -> gender\nreplace gendercode { MALE => male; Female => female; null => unknown }",
];

#[test]
fn the_page_of_a_code_with_a_fix_says_whether_the_fix_is_safe() {
    let mut found = std::collections::BTreeMap::<Code, Vec<Safety>>::new();
    let examples = Code::ALL.iter().filter_map(|code| block(code.page(), "wrong"));
    for text in examples.chain(WITH_A_FIX.iter().map(|line| (*line).to_owned())) {
        for finding in compiled(&whole(&text)).diagnostics {
            found.entry(finding.code).or_default().extend(finding.fix.map(|fix| fix.safety));
        }
    }
    found.retain(|_, safeties| !safeties.is_empty());
    assert!(found.len() > 12, "{found:?}");
    for (code, safeties) in found {
        let section = code.page().split_once("\n## Fix\n").map(|(_, section)| section.replace('\n', " ")).unwrap_or_default();
        for safety in safeties {
            let (words, option) = match safety {
                Safety::Safe => ("a safe fix", "`d365map check --fix`"),
                Safety::Unsafe => ("an unsafe fix", "--unsafe-fixes`"),
            };
            assert!(section.contains(words) && section.contains(option), "{code}: the page does not say that it has {words} ({option})");
        }
    }
}
