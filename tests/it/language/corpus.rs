//! The golden corpus: files that compile, with their plan, and files that do not, with their findings.

use std::path::Path;

use d365map::plan::{ExecutionPlan, FORMAT, describe};

use super::support::{compiled, rendered};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file of the corpus")
}

#[test]
fn accepted_files_compile_cleanly_to_the_plan_as_reviewed() {
    let mut unclean = String::new();
    insta::glob!("../../corpus/accepted", "*.d365map", |path| {
        let text = read(path);
        let compiled = compiled(&text);
        match compiled.plan.filter(|_| compiled.diagnostics.is_empty()) {
            Some(plan) => insta::assert_snapshot!(describe(&plan)),
            None => unclean.push_str(&format!("{}\n{}\n", path.display(), rendered(&text))),
        }
    });
    assert!(unclean.is_empty(), "{unclean}");
}

#[test]
fn the_corpus_is_as_large_as_it_should_be() {
    let count = |folder: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
        std::fs::read_dir(folder).expect("a folder").flatten().filter(|e| e.path().extension().is_some_and(|x| x == "d365map")).count()
    };
    assert!(count("accepted") >= 35 && count("rejected") >= 150, "{} accepted, {} rejected", count("accepted"), count("rejected"));
}

#[test]
fn rejected_files_give_the_findings_as_reviewed() {
    let mut compiles = Vec::new();
    insta::glob!("../../corpus/rejected", "*.d365map", |path| {
        let text = read(path);
        if compiled(&text).plan.is_some() {
            compiles.push(path.display().to_string());
        }
        insta::assert_snapshot!(rendered(&text));
    });
    assert!(compiles.is_empty(), "{compiles:?}");
}

#[test]
fn a_plan_survives_being_written_and_read_to_the_byte() {
    insta::glob!("../../corpus/accepted", "*.d365map", |path| {
        let plan = compiled(&read(path)).plan.expect("an accepted file");
        let text = plan.to_json();
        let again = ExecutionPlan::from_json(&text).expect("a plan that was just written");
        assert_eq!(again, plan);
        assert_eq!(again.to_json(), text);
    });
}

/// Another form is another fingerprint of every mapping that has the step, and so a full load of its table.
#[test]
fn every_step_keeps_its_form_in_plans() {
    let sources =
        ["nickname", "createdon", "birthdate", "new_meeting", "creditlimit", "new_weight", "numberofchildren", "new_drinks", "gendercode"];
    let mut text = String::new();
    for sample in d365map::steps::STEPS.iter().flat_map(|step| step.samples).filter(|sample| !sample.contains('{')) {
        text.push_str(&format!("{sample}\n"));
        let mut forms = std::collections::BTreeSet::new();
        for (source, target) in sources.iter().flat_map(|s| ["cusNote", "cusCreditLimit", "cusPoints", "cusSince"].map(|t| (s, t))) {
            for or in ["", " or null"] {
                let plan = compiled(&super::support::whole(&format!("{source} -> {target} | {sample}{or}"))).plan;
                let steps = plan.into_iter().flat_map(|plan| plan.ingress[0].fields[0].steps.clone());
                forms.extend(steps.map(|step| format!("  {}\n", serde_json::to_string(&step.op).expect("a step as JSON"))));
            }
        }
        text.extend(forms);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    insta::glob!("../../corpus/accepted", "*.d365map", |path| {
        let text = read(path);
        let plan = || compiled(&text).plan.expect("an accepted file").to_json();
        assert_eq!(plan(), plan());
    });
}

#[test]
fn an_added_comment_keeps_the_fingerprint_of_a_flow_and_an_added_step_does_not() {
    let fingerprint = |entries: &str| super::support::plan(entries).ingress[0].fingerprint();
    let plain = fingerprint("lastname -> lastName");
    assert_eq!(plain, fingerprint("# why\n\nlastname   -> lastName"));
    assert_ne!(plain, fingerprint("lastname -> lastName | trim"));
}

#[test]
fn a_plan_of_another_format_or_changed_by_hand_is_refused_with_a_reason() {
    let good = super::support::plan("lastname -> lastName").to_json();
    let error = |text: &str| ExecutionPlan::from_json(text).expect_err("a faulty plan").to_string();
    assert!(error(&good.replace(&format!("\"format\": {FORMAT}"), "\"format\": 99")).contains("format 99"));
    assert!(error(&good.replace("\"slot\": 1", "\"slot\": 77")).contains("slot 77"));
    assert!(error("{").contains("not a plan"));
    assert!(error(&good.replace("\"ingress\"", "\"egress\"")).contains("not a plan"));
}
