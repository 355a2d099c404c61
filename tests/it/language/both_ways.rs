//! Mappings in both directions: their tests, and what is said of their lines.

use d365map::testing::{Outcome, Report, run};

use super::support::{codes, compiled, rendered};

const MAPPING: &str = "\
mapping referrals: partner.referral <-> d365.opportunity {
  key id <-> msft_microsoftpartnercenterreferralidentifier

  name -> name | truncate(300)
  name <- name
  details.dealValue       <-> estimatedvalue
  details.closingDateTime ->  estimatedclosedate | date
  details.notes           <-  description
  customerProfile.name    ->  emailaddress | email or reject | truncate(100)

  status <- statecode | map { Open => \"Active\"; Won => \"Closed\"; Lost => \"Closed\" }

  filter all { status != New }
  options { scope co-sell }
}
";

/// What each test of a text ends with, the differences as `field: expected, actual`.
fn outcomes(tests: &str) -> Vec<String> {
    let text = format!("{MAPPING}\n{tests}");
    let compiled = compiled(&text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(&text));
    let plan = compiled.plan.expect("a plan");
    let Report { ran, .. } = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    let text = |outcome: &Outcome| match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(all) => all.iter().map(|d| format!("{}: {}, {}", d.field, d.expected, d.actual)).collect::<Vec<_>>().join("; "),
    };
    ran.iter().map(|ran| text(&ran.outcome)).collect()
}

fn outcome(given: &str, expect: &str) -> String {
    outcomes(&format!("test referrals \"one\" {{\n  given {given}\n  expect {expect}\n}}\n")).remove(0)
}

#[test]
fn a_test_of_either_direction_gets_what_that_direction_writes() {
    let deal = "partner { id: \"0F8FAD5B-D9CB-469F-A165-70867728950E\", name: \"Deal\", status: Active, details.dealValue: 50000.00, \
                details.closingDateTime: 2026-11-14T10:00:00Z, customerProfile.name: \"a@Contoso.com\" }";
    for expected in [
        "d365 { name: \"Deal\", estimatedvalue: 50000, estimatedclosedate: 2026-11-14, emailaddress: \"a@contoso.com\" }",
        "d365 { msft_microsoftpartnercenterreferralidentifier: \"0f8fad5b-d9cb-469f-a165-70867728950e\" }",
        "{ name: \"Deal\" }",
        "d365 { description absent, statecode absent }",
    ] {
        assert_eq!(outcome(deal, expected), "passed", "{expected}");
    }
    let opportunity = "d365 { name: \"Deal\", estimatedvalue: 1.5, description: \"text\", statecode: Won }";
    for expected in [
        "partner { name: \"Deal\", details.dealValue: 1.50, details.notes: \"text\", status: Closed }",
        "partner { status: \"Closed\", details.closingDateTime absent, customerProfile.name absent }",
    ] {
        assert_eq!(outcome(opportunity, expected), "passed", "{expected}");
    }
}

#[test]
fn a_difference_names_the_field_with_what_came() {
    assert_eq!(outcome("d365 { statecode: Lost }", "partner { status: Active }"), "status: \"Active\", \"Closed\"");
    assert_eq!(outcome("d365 { description: \"a\" }", "partner { details.notes absent }"), "details.notes: absent, \"a\"");
    assert_eq!(outcome("d365 { description: \"a\" }", "partner { details.notes: null }"), "details.notes: null, \"a\"");
    assert_eq!(outcome("partner { status: New }", "d365 { name: null }"), ": a record of d365.opportunity, filtered");
}

#[test]
fn the_filter_the_scope_and_a_rejection_decide_as_in_a_run() {
    assert_eq!(outcome("partner { status: New }", "filtered"), "passed");
    assert_eq!(outcome("partner { status: Active, qualification: Direct }", "filtered"), "passed");
    assert_eq!(outcome("partner { status: Active, qualification: SalesQualified }", "d365 { name: null }"), "passed");
    assert_eq!(outcome("partner { status: Active, customerProfile.name: \"Contoso\" }", "rejected \"D901\""), "passed");
    assert_eq!(outcome("partner { status: Active }", "rejected"), ": rejected, a record of d365.opportunity");
    assert_eq!(outcome("d365 { statecode: Open }", "filtered"), ": filtered, a record of partner.referral");
}

#[test]
fn coverage_is_counted_for_each_direction() {
    let tests = "test referrals \"one\" {\n  given d365 { name: \"Deal\", statecode: Won }\n  expect partner { name: \"Deal\" }\n}\n\
                 test referrals \"two\" {\n  given partner { status: New }\n  expect filtered\n}\n";
    let text = format!("{MAPPING}\n{tests}");
    let compiled = compiled(&text);
    let plan = compiled.plan.expect("a plan");
    let report = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    let shown: Vec<_> = report.coverage.mappings.iter().map(|m| (m.mapping.as_str(), m.lines(), m.arms(), m.filter())).collect();
    assert_eq!(
        shown,
        [("referrals -> d365.opportunity", (0, 5), (0, 0), Some((1, 2))), ("referrals -> partner.referral", (2, 4), (1, 3), None)]
    );
    let unreached = |place: usize| report.coverage.mappings[place].unreached().into_iter().map(|u| u.what).collect::<Vec<_>>();
    assert!(unreached(0).contains(&"no record passes the filter".to_owned()), "{:?}", unreached(0));
    assert!(unreached(1).contains(&"`details.dealValue` never has a value".to_owned()), "{:?}", unreached(1));
    assert!(unreached(1).contains(&"the arm `0` is never used".to_owned()), "{:?}", unreached(1));
}

#[test]
fn a_one_way_test_can_name_its_systems_and_expect_that_a_field_is_not_written() {
    let mapping = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    let test = "test contacts \"one\" {\n  given d365 { lastname: \"L\" }\n  expect campaign { lastName: \"L\", firstName absent }\n}\n";
    let text = format!("{mapping}{test}");
    let compiled = compiled(&text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(&text));
    let plan = compiled.plan.expect("a plan");
    let report = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    assert_eq!(report.ran[0].outcome, Outcome::Passed);
    assert_eq!(codes(&text.replace("given d365", "given campaign")), ["D122"]);
}

#[test]
fn the_shipped_mapping_passes_its_tests_which_reach_both_directions() {
    let text = include_str!("../../../mappings/referrals.d365map");
    let compiled = compiled(text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(text));
    let plan = compiled.plan.expect("a plan");
    let report = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    for ran in &report.ran {
        assert_eq!(ran.outcome, Outcome::Passed, "{}", ran.case.title);
    }
    assert!(report.coverage.mappings.iter().all(|m| m.unreached().is_empty()), "{:?}", report.coverage);
}
