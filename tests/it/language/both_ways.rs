//! Two-way mappings: their tests, and the findings about their lines.

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

  type      <- \"Shared\"
  substatus <- statecode | map { Open => Accepted; Won => Won; Lost => Lost }

  filter all { status != New }
  options { scope co-sell }
}
";

/// How a test ended, the differences as `field: expected, actual`.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Failed(all) => all.iter().map(|d| format!("{}: {}, {}", d.field, d.expected, d.actual)).collect::<Vec<_>>().join("; "),
    }
}

/// What each test of a text ends with.
fn outcomes(tests: &str) -> Vec<String> {
    let text = format!("{MAPPING}\n{tests}");
    let compiled = compiled(&text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(&text));
    let plan = compiled.plan.expect("a plan");
    let Report { ran, .. } = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    ran.iter().map(|ran| shown(&ran.outcome)).collect()
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
        "partner { name: \"Deal\", details.dealValue: 1.50, details.notes: \"text\", substatus: Won }",
        "partner { substatus: \"Won\", type: Shared, details.closingDateTime absent, customerProfile.name absent }",
    ] {
        assert_eq!(outcome(opportunity, expected), "passed", "{expected}");
    }
}

#[test]
fn a_difference_names_the_field_with_the_actual_value() {
    assert_eq!(outcome("d365 { statecode: Lost }", "partner { substatus: Won }"), "substatus: \"Won\", \"Lost\"");
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
        [("referrals -> d365.opportunity", (0, 5), (0, 0), Some((1, 2))), ("referrals -> partner.referral", (3, 5), (1, 3), None)]
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

/// The codes that lines of a mapping give, each once.
fn found(lines: &str) -> Vec<&'static str> {
    codes(&with(lines))
}

fn with(lines: &str) -> String {
    format!(
        "let currency = \"EUR\"\nmapping referrals: partner.referral <-> d365.opportunity {{\n  \
         key id <-> msft_microsoftpartnercenterreferralidentifier\n  details.currency <- $currency\n  {}\n}}\n",
        lines.replace('\n', "\n  ")
    )
}

#[test]
fn every_source_is_allowed_right_of_an_arrow_to_the_left_and_its_type_and_length_are_checked() {
    for line in [
        "type <- \"Shared\"",
        "details.notes <- \"{name}: {customerneed}\"",
        "name <- coalesce(name, emailaddress)",
        "details.dealValue <- 5",
        "details.closingDateTime <- 2026-11-14",
        "details.notes <- \"a\" | upper",
        "details.notes <- null",
    ] {
        assert_eq!(found(line), Vec::<&str>::new(), "{}", rendered(&with(line)));
    }
    for (line, code) in [
        ("customerProfile.address.country <- \"Germany\"", "D211"),
        ("type <- \"Common\"", "D211"),
        ("details.dealValue <- \"five\"", "D211"),
        ("customerProfile.address.country <- \"{name}\"", "D201"),
        ("name <- coalesce(nmae, emailaddress)", "D103"),
        ("id <- \"a\"", "D106"),
        ("\"a\" <- name", "D509"),
    ] {
        assert_eq!(found(line), [code], "{}", rendered(&with(line)));
    }
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastName <- \"x\"\n}\n";
    assert_eq!(codes(text), ["D510"]);
}

#[test]
fn a_fixed_value_is_for_the_creation_and_a_text_with_fields_for_every_change() {
    let plan = compiled(&with("details.notes <- \"{name}\"\ntype <- \"Shared\"")).plan.expect("a plan");
    let create_only: Vec<(String, bool)> = plan.two_way[0].backward.iter().map(|p| (p.path.join("."), p.create_only)).collect();
    let shown: Vec<(&str, bool)> = create_only.iter().map(|(path, only)| (path.as_str(), *only)).collect();
    assert_eq!(shown, [("details.currency", true), ("details.notes", false), ("type", true)]);
}

const STATES: &str = "substatus <-> statecode | map {\n  Accepted <=> Open\n  Won <=> Won\n  Lost <=> Lost\n  Declined => Lost\n  \
                      Expired => Lost\n  else => Open\n}";

#[test]
fn a_table_for_both_ways_gives_the_options_of_either_side() {
    assert_eq!(found(STATES), Vec::<&str>::new(), "{}", rendered(&with(STATES)));
    let tests = "test referrals \"a\" {\n  given partner { substatus: Declined }\n  expect d365 { statecode: Lost }\n}\n\
                 test referrals \"b\" {\n  given partner { substatus: Received }\n  expect d365 { statecode: 0 }\n}\n\
                 test referrals \"c\" {\n  given d365 { statecode: Won }\n  expect partner { substatus: Won, details.currency: \"EUR\" }\n}\n";
    let text = format!("{}{tests}", with(STATES));
    let compiled = compiled(&text);
    assert!(compiled.diagnostics.is_empty(), "{}", rendered(&text));
    let plan = compiled.plan.expect("a plan");
    let report = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    assert!(report.ran.iter().all(|ran| ran.outcome == Outcome::Passed), "{:?}", report.ran);
    let formatted = d365map::format::format(&text).expect("a text that follows the grammar");
    assert!(formatted.contains("    Accepted <=> Open\n"), "{formatted}");
    assert_eq!(codes(&formatted), Vec::<&str>::new());
}

#[test]
fn each_direction_of_a_table_must_be_complete_and_one_to_one() {
    for (changed, to, code) in [
        // Another value of the right field would have no case.
        ("Lost <=> Lost", "Lost => Lost", "D212"),
        // Another value of the left field would have none.
        ("else => Open", "", "D212"),
        ("Declined => Lost", "Declined <=> Lost", "D311"),
        ("Declined => Lost", "Lost <=> Lost", "D311"),
        ("else => Open", "else <=> Open", "D311"),
        ("Won <=> Won", "Wom <=> Won", "D302"),
        ("Won <=> Won", "Won <=> Wom", "D302"),
    ] {
        let lines = STATES.replace(changed, to);
        assert!(found(&lines).contains(&code), "{to}: {}", rendered(&with(&lines)));
    }
    let with_else = STATES.replace("Lost <=> Lost", "Lost => Lost; Lost <= else");
    assert_eq!(found(&with_else), Vec::<&str>::new(), "{}", rendered(&with(&with_else)));
    assert_eq!(found("substatus <- statecode | map { Open <=> Accepted; else => Lost }"), ["D510"]);
}

#[test]
fn a_table_to_the_right_takes_the_labels_of_options() {
    let line = "status -> msft_microsoftpartnercenterhelp | map { Closed => \"General or other\"; else => null }";
    assert_eq!(found(line), Vec::<&str>::new(), "{}", rendered(&with(line)));
    assert_eq!(found(&line.replace("General", "Generel")), ["D302"]);
}

#[test]
fn only_what_partner_center_accepts_is_written_as_the_status_of_a_deal() {
    let status = "status <- statecode | map { Open => Active; Won => Closed; Lost => Closed }";
    let substatus = |won: &str| format!("substatus <- statecode | map {{ Open => Accepted; Won => {won}; Lost => Lost }}");
    for (lines, codes) in [
        (status.to_owned(), &["D511"][..]),
        (substatus("Won"), &[]),
        (substatus("None"), &["D512"]),
        (substatus("Pending"), &["D513"]),
        (format!("{status}\n{}", substatus("Won")), &[]),
        (format!("{status}\n{}", substatus("Expired")), &[]),
        (format!("{status}\n{}", substatus("Received")), &["D512"]),
        // The two read different fields: whether they go together is not known, but `Accepted` goes with none of these.
        ("status <- \"Closed\"\nsubstatus <- \"Won\"".to_owned(), &[]),
        ("status <- \"Closed\"\nsubstatus <- \"Accepted\"".to_owned(), &["D512"]),
        ("status <- \"New\"\nsubstatus <- \"Pending\"".to_owned(), &["D513"]),
        (format!("{status}\nsubstatus <- \"Accepted\""), &["D512"]),
    ] {
        assert_eq!(found(&lines), codes, "{}", rendered(&with(&lines)));
    }
    // Every row of the documented table, and nothing else.
    for (status, substatus) in [("New", "Pending"), ("New", "Received"), ("Active", "Accepted"), ("Closed", "Won"), ("Closed", "Declined")]
    {
        let lines = format!("status <- \"{status}\"\nsubstatus <- \"{substatus}\"");
        assert!(!found(&lines).contains(&"D512"), "{lines}");
    }
}

const LISTS: &str = "\
mapping referrals: partner.referral <-> d365.opportunity {
  key id <-> msft_microsoftpartnercenterreferralidentifier
  name -> name | truncate(100)

  rows details.requirements.solutions: d365.msft_microsoftpartnercentersolution by msft_opportunityid {
    key id <-> msft_solutionid
    name -> msft_name | upper | truncate(100)
    name <- msft_name
  }
}
";

/// What a test of the items of a list ends with, or what the compiler says about it.
fn of_lists(given: &str, expect: &str) -> String {
    let text = format!("{LISTS}\ntest referrals \"one\" {{\n  given {given}\n  expect {expect}\n}}\n");
    let compiled = compiled(&text);
    if let Some(first) = compiled.diagnostics.iter().find(|d| d.code.name() != "D201") {
        return first.message.clone();
    }
    let plan = compiled.plan.unwrap_or_else(|| panic!("{}", rendered(&text)));
    let report = run(&plan, compiled.tests.iter(), d365map::time::now()).expect("a plan that can be run");
    shown(&report.ran[0].outcome)
}

#[test]
fn a_test_gives_and_expects_the_items_of_a_list_in_either_direction() {
    let list = "details.requirements.solutions";
    let table = "msft_microsoftpartnercentersolution";
    let two = format!("partner {{\n    {list} {{ id: \"S1\", name: \"Backup\" }}\n    {list} {{ id: \"S2\" }}\n    name: \"x\"\n  }}");
    let cases = [
        (
            two.clone(),
            format!("d365 {{ {table} {{ msft_solutionid: \"S1\", msft_name: \"BACKUP\" }}; {table} {{ msft_name: null }} }}"),
            "passed",
        ),
        (two.clone(), "d365 { name: \"x\" }".to_owned(), "passed"),
        (two.clone(), format!("d365 {{ {table} {{ msft_solutionid: \"S1\" }} }}"), "msft_microsoftpartnercentersolution: 1 item, 2 items"),
        (
            two.clone(),
            format!("d365 {{ {table} {{ msft_name: \"Backup\" }}, {table} {{ msft_solutionid: \"S2\" }} }}"),
            "msft_microsoftpartnercentersolution 1: msft_name: \"Backup\", \"BACKUP\"",
        ),
        (two.clone(), format!("d365 {{ {table} absent }}"), "msft_microsoftpartnercentersolution: 0 items, 2 items"),
        ("partner { name: \"x\" }".to_owned(), format!("d365 {{ {table} absent }}"), "passed"),
        (
            format!("partner {{ {list} {{ id: \"S1\", name: \"a\" }}, {list} {{ id: \"S1\", name: \"b\" }} }}"),
            format!("d365 {{ {table} {{ msft_name: \"A\" }} }}"),
            "passed",
        ),
        (
            format!("d365 {{ {table} {{ msft_solutionid: \"S1\", msft_name: \"Backup\" }} }}"),
            format!("partner {{ {list} {{ id: \"S1\", name: \"Backup\" }} }}"),
            "passed",
        ),
        (
            format!("partner {{ {list} {{ name: \"a\" }} }}"),
            "d365 { name: null }".to_owned(),
            "this item of `details.requirements.solutions` has no `id`",
        ),
        ("partner { tags { id: \"a\" } }".to_owned(), "d365 { name: null }".to_owned(), "`tags` is not a list of this mapping"),
        (two.clone(), "d365 { name { msft_name: \"a\" } }".to_owned(), "`name` is not a list of this mapping"),
    ];
    for (given, expect, outcome) in cases {
        assert_eq!(of_lists(&given, &expect), outcome, "{given} {expect}");
    }
}
