//! Values through lookups: what they mean for a record, and for the plan.

use d365map::plan::ExecutionPlan;
use serde_json::json;

use super::support::{codes, compiled, map, plan, rendered, whole};

fn codes_of(entries: &str) -> Vec<&'static str> {
    codes(&whole(&format!("lastname -> lastName\n{entries}")))
}

#[test]
fn a_column_of_another_record_is_read_in_every_place_where_a_field_name_is_allowed() {
    let record = json!({
        "lastname": "Lovelace", "owninguser.fullname": "Ann Owner", "owninguser.domainname": "ann@contoso.com",
        "parentcustomerid.account.numberofemployees": 7, "parentcustomerid.account.revenue": 12.5,
    });
    let one = |entries: &str, field: &str| map(entries, record.clone())[field].clone();
    assert_eq!(one("owninguser.fullname -> cusNote | upper", "cusNote"), "ANN OWNER");
    assert_eq!(one("\"by {owninguser.fullname}\" -> cusNote", "cusNote"), "by Ann Owner");
    assert_eq!(one("coalesce(nickname, owninguser.fullname) -> cusNote", "cusNote"), "Ann Owner");
    assert_eq!(one("join(\", \", lastname, owninguser.fullname | upper) -> cusNote", "cusNote"), "Lovelace, ANN OWNER");
    assert_eq!(one("nickname -> cusNote | coalesce(owninguser.fullname)", "cusNote"), "Ann Owner");
    assert_eq!(one("= parentcustomerid.account.numberofemployees * 2 -> cusCreditLimit", "cusCreditLimit"), json!(14));
    assert_eq!(one("parentcustomerid.account.revenue -> cusNote", "cusNote"), "12.5");
    let case = "case { owninguser.domainname ends with \"@contoso.com\" => owninguser.fullname; else => null } -> cusNote";
    assert_eq!(one(case, "cusNote"), "Ann Owner");
    let when = "when owninguser.fullname = \"Ann Owner\" { \"hers\" -> cusNote } else { \"other\" -> cusNote }";
    assert_eq!(one(when, "cusNote"), "hers");
    let filtered = |condition: &str| map(&format!("lastname -> lastName\nfilter all {{ {condition} }}"), record.clone()) == "filtered";
    assert!(!filtered("owninguser.fullname is present") && filtered("owninguser.fullname is empty"));
    assert!(!filtered("parentcustomerid.account.numberofemployees between 5 and 9"));
    assert!(filtered("lastname = owninguser.fullname") && !filtered("not owninguser.fullname = lastname"));
}

#[test]
fn options_lengths_and_labels_are_those_of_the_other_table() {
    assert_eq!(codes_of("owninguser.fullname -> firstName"), ["D201"]);
    assert_eq!(codes_of("owninguser.fullname -> firstName | truncate(30)"), [""; 0]);
    assert_eq!(map("masterid.gendercode -> cusNote | label", json!({"masterid.gendercode": 2}))["cusNote"], "Female");
    let labels = "masterid.gendercode -> cusNote\noptions { picklists labels }";
    assert_eq!(map(labels, json!({"masterid.gendercode": 1}))["cusNote"], "Male");
    let replaced = "masterid.gendercode -> cusNote\nreplace masterid.gendercode { Male => \"M\"; Female => \"F\"; else => null }";
    assert_eq!(map(replaced, json!({"masterid.gendercode": 2}))["cusNote"], "F");
    let name = "masterid._parentcustomerid_value@OData.Community.Display.V1.FormattedValue";
    let entry = "masterid.parentcustomerid -> cusNote | label\noptions { reconcile every 7d }";
    assert_eq!(map(entry, json!({name: "Contoso"}))["cusNote"], "Contoso");
    assert_eq!(map("lastname -> lastName\nfilter all { masterid.gendercode = Male }", json!({"masterid.gendercode": 2})), "filtered");
}

#[test]
fn a_value_through_a_lookup_can_always_be_empty() {
    assert_eq!(map("masterid.contactid -> cusNote | string", json!({}))["cusNote"], json!(null));
    assert_eq!(
        codes_of("masterid.statecode -> cusPoints @present"),
        [""; 0],
        "the state of a record is never empty, but there may be none"
    );
    assert_eq!(codes_of("case { masterid.statecode = Active => \"a\"; masterid.statecode = Inactive => \"i\" } -> cusNote"), [""; 0]);
}

#[test]
fn a_plan_names_the_tables_that_are_followed_and_selects_only_the_records_own_columns() {
    let plan = plan(
        "lastname -> lastName
owninguser.fullname -> cusNote
masterid.parentcustomerid.account.name -> cusDisplayName | truncate(100)
parentcustomerid.account.accountnumber -> cusOrigin",
    );
    let flow = &plan.ingress[0];
    let mut select = flow.source.select();
    select.sort();
    assert_eq!(select, ["_masterid_value", "_owninguser_value", "_parentcustomerid_value", "contactid", "lastname"]);
    assert!(flow.source.annotations(), "the table of a customer is an annotation");
    let tables: Vec<_> = flow.related.tables.iter().map(|t| (t.table.as_str(), t.select(), t.annotations())).collect();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        tables,
        [
            ("d365.systemuser", names(&["systemuserid", "fullname"]), false),
            ("d365.contact", names(&["contactid", "_parentcustomerid_value"]), true),
            ("d365.account", names(&["accountid", "accountnumber", "name"]), false),
        ]
    );
    let paths: Vec<_> = flow.related.lookups.iter().map(|l| (l.path.as_str(), l.behind, l.table)).collect();
    assert_eq!(
        paths,
        [
            ("owninguser", None, 0),
            ("masterid", None, 1),
            ("masterid.parentcustomerid.account", Some(1), 2),
            ("parentcustomerid.account", None, 2)
        ]
    );
    let text = plan.to_json();
    assert_eq!(ExecutionPlan::from_json(&text).expect("a plan"), plan);
    let damaged = text.replace("\"behind\": 1", "\"behind\": 9");
    assert!(damaged != text && ExecutionPlan::from_json(&damaged).is_err());
}

#[test]
fn only_a_mapping_that_reads_through_lookups_changes_its_fingerprint_by_what_it_reads_there() {
    let of = |entries: &str| plan(entries).ingress[0].clone();
    let (one, other) = (of("owninguser.fullname -> cusNote"), of("owninguser.firstname -> cusNote"));
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_ne!(one.related.tables[0].fingerprint(), other.related.tables[0].fingerprint());
    let turned = of("masterid.lastname -> cusNote\nmasterid.firstname -> cusOrigin | truncate(20)");
    let order = of("masterid.firstname -> cusOrigin | truncate(20)\nmasterid.lastname -> cusNote");
    assert_eq!(turned.related.tables[0].fingerprint(), order.related.tables[0].fingerprint(), "the order of the lines does not matter");
    assert!(!plan("lastname -> lastName").to_json().contains("related"));
}

#[test]
fn a_path_that_leads_nowhere_is_an_error_that_says_what_to_write() {
    for (entry, code, says) in [
        ("owninguser.fullnam -> cusNote", "D103", "did you mean `fullname`"),
        ("ownnguser.fullname -> cusNote", "D103", "did you mean `owninguser.fullname`"),
        ("parentcustomerid_account.name -> cusNote", "D103", "did you mean `parentcustomerid.account.name`"),
        ("parentcustomerid.contact.name -> cusNote", "D103", "write `parentcustomerid.account.name`"),
        ("lastname.fullname -> cusNote", "D128", "is not a lookup"),
        ("parentcustomerid.name -> cusNote", "D129", "did you mean `parentcustomerid.account.name`"),
        ("parentcustomerid.fullname -> cusNote", "D129", "did you mean `parentcustomerid.contact.fullname`"),
        ("parentcustomerid.statecode -> cusNote", "D129", "`parentcustomerid.account.COLUMN`"),
        ("parentcustomerid.account -> cusNote", "D129", "`parentcustomerid.account.COLUMN`"),
        ("owninguser.systemuser.fullname -> cusNote", "D129", "did you mean `owninguser.fullname`"),
        ("masterid.masterid.masterid.lastname -> cusNote", "D130", "more than 2 lookups"),
        ("owningteam.name -> cusNote", "D131", "d365map schema pull d365.team"),
    ] {
        let text = whole(&format!("lastname -> lastName\n{entry}"));
        let shown = rendered(&text);
        assert_eq!(codes(&text), [code], "{shown}");
        assert!(shown.contains(says), "{shown}");
    }
}

#[test]
fn keys_opt_outs_and_two_way_mappings_take_only_columns_of_the_record_itself() {
    let key = "mapping accounts: d365.account -> campaign.cusAccount { key primarycontactid.lastname -> cusAccountId; name -> cusName }";
    assert_eq!(codes(key), ["D132"]);
    let optout = "mapping contacts: d365.contact -> campaign.profile { key contactid -> externalId; lastname -> lastName }
optout contacts { direction bidirectional; masterid.donotemail <-> denyListEmail }";
    assert_eq!(codes(optout), ["D132"]);
    let two_way = "mapping referrals: partner.referral <-> d365.opportunity {
  key id <-> msft_microsoftpartnercenterreferralidentifier
  name <- name | truncate(10)
  details.notes <- parentaccountid.name
}";
    assert!(codes(two_way).contains(&"D132"), "{}", rendered(two_way));
}

#[test]
fn a_test_gives_the_columns_of_other_records_by_their_paths() {
    let text = "mapping contacts: d365.contact -> campaign.profile { key contactid -> externalId; owninguser.fullname -> cusNote }
test contacts \"the owner\" { given { owninguser.fullname: \"Ann\" }; expect { cusNote: \"Ann\" } }
test contacts \"nobody\" { given { lastname: \"x\" }; expect { cusNote: null } }
test contacts \"too long\" { given { owninguser.nothing: \"Ann\" }; expect { cusNote: \"Ann\" } }";
    let found = compiled(text);
    let codes: Vec<&str> = found.diagnostics.iter().map(|d| d.code.name()).collect();
    assert_eq!(codes, ["D811", "D103"], "{}", rendered(text));
    let record = |n: usize| found.tests[n].record.clone();
    assert!(record(0).contains("\"owninguser.fullname\":\"Ann\""), "{}", record(0));
}
