//! `adopt by` and links by key: what they can name, and their part of the plan.

use d365map::plan::describe;

use super::support::{codes, compiled, rendered};

fn mapping(lines: &str) -> String {
    format!("mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  {lines}\n}}\n")
}

#[test]
fn a_mapping_adopts_by_texts_that_it_writes_in_the_order_in_which_they_are_named() {
    let text = mapping("adopt by email or mobilePhone\n  emailaddress1 -> email\n  mobilephone -> mobilePhone | truncate(32)");
    let plan = compiled(&text).plan.unwrap_or_else(|| panic!("{}", rendered(&text)));
    assert_eq!(plan.ingress[0].adopt.iter().map(|by| by.attribute.as_str()).collect::<Vec<_>>(), ["email", "mobilePhone"]);
    let described = describe(&plan);
    assert!(described.contains("adopt   a record without a key that is found by email, then by mobilePhone"), "{described}");
    assert!(described.contains("1 for a created and 1 for each search before that"), "{described}");
    assert_eq!(d365map::plan::ExecutionPlan::from_json(&plan.to_json()).expect("the plan is read"), plan);
}

#[test]
fn what_cannot_be_searched_by_is_an_error_at_its_name() {
    for (lines, code) in [
        ("adopt by email\n  lastname -> lastName", "D540"),
        ("adopt by externalId\n  lastname -> lastName", "D540"),
        ("adopt by email or email\n  emailaddress1 -> email", "D540"),
        ("adopt by email\n  \"x@example.com\" -> email", "D540"),
        ("adopt by gender\n  \"male\" -> gender", "D540"),
        ("adopt by location.city\n  address1_city -> location.city | truncate(50)", "D540"),
        ("adopt by emial\n  emailaddress1 -> email", "D104"),
        ("adopt by email\n  adopt by email\n  emailaddress1 -> email", "D115"),
    ] {
        let text = mapping(lines);
        assert_eq!(codes(&text), [code], "{}", rendered(&text));
    }
}

#[test]
fn adopt_is_a_name_of_a_field_where_an_arrow_follows() {
    let text = mapping("adopt -> lastName");
    assert_eq!(codes(&text), ["D103"], "{}", rendered(&text));
}

#[test]
fn without_an_adopt_line_a_plan_does_not_mention_it_so_mappings_keep_their_fingerprint() {
    let plan = compiled(&mapping("lastname -> lastName")).plan.expect("a plan");
    assert!(!plan.to_json().contains("adopt"));
}

#[test]
fn a_link_by_key_names_a_table_to_which_the_field_leads_and_says_what_happens_without_a_record() {
    for (line, code) in [
        ("address1_county -> orgUnit | link campaign.orgUnitBase or reject", ""),
        ("address1_county -> orgUnit | lower | link campaign.orgUnitBase by name or null @present", ""),
        ("\"all\" -> orgUnit | link campaign.orgUnitBase or default(\"all\")", ""),
        ("address1_county -> orgUnit | link campaign.orgUnitBase", "D206"),
        ("address1_county -> orgUnit | link campaign.orgUnitBase or later", "D213"),
        ("address1_county -> orgUnit | link campaign.orgUnitBase or keep", "D213"),
        ("address1_county -> orgUnit | link campaign.orgUnitBase or default(true)", "D213"),
        ("address1_county -> orgUnit | link campaign.orgUnitBase by label or null", "D542"),
        ("address1_county -> orgUnit | link campaign.cusAccount or null", "D542"),
        ("address1_county -> lastName | link campaign.orgUnitBase or null", "D542"),
        ("address1_county -> orgUnit | link campaign.orgUnitBase or null | trim", "D542"),
        ("address1_county -> orgUnit | link campaign.orgUnitsBase or null", "D102"),
        ("address1_line1 -> orgUnit | link campaign.orgUnitBase or null", "D201"),
    ] {
        let text = mapping(line);
        assert_eq!(codes(&text), if code.is_empty() { vec![] } else { vec![code] }, "{line}: {}", rendered(&text));
    }
    let plan = compiled(&mapping("address1_county -> orgUnit | link campaign.orgUnitBase or default(\"all\")")).plan.expect("a plan");
    let described = describe(&plan);
    assert!(described.contains("orgUnit    <- address1_county | link campaign.orgUnitBase by name or default(\"all\")"), "{described}");
}
