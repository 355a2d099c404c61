//! What comes out of a record.

use d365map::eval::{Evaluated, Evaluator};
use d365map::time;
use serde_json::{Value, json};

use super::support::{codes, map, map_text, plan, whole};

#[test]
fn text_steps_apply_in_order() {
    assert_eq!(
        map("emailaddress1 -> email | trim | lower", json!({"emailaddress1": " ADA@EXAMPLE.COM "})),
        json!({"email": "ada@example.com"})
    );
    assert_eq!(map("lastname -> lastName | upper", json!({"lastname": "Straße é"})), json!({"lastName": "STRAßE É"}));
    assert_eq!(map("firstname -> firstName | truncate(3)", json!({"firstname": "Zoë😀"})), json!({"firstName": "Zoë"}));
}

#[test]
fn an_empty_value_stays_empty_except_with_default_and_coalesce() {
    assert_eq!(map("lastname -> lastName | trim | upper", json!({"lastname": null})), json!({"lastName": null}));
    assert_eq!(map("lastname -> lastName", json!({})), json!({"lastName": null}));
    assert_eq!(map("lastname -> lastName | default(\"none\")", json!({"lastname": null})), json!({"lastName": "none"}));
    assert_eq!(
        map("telephone1 -> phone | coalesce(home2) | truncate(32)", json!({"telephone1": null, "home2": "1"})),
        json!({"phone": "1"})
    );
    assert_eq!(map("coalesce(telephone1, home2) -> phone | truncate(32)", json!({"telephone1": "2", "home2": "1"})), json!({"phone": "2"}));
}

#[test]
fn a_text_with_fields_omits_empty_ones_and_is_empty_if_all_are() {
    let entry = "\"{firstname} {lastname}\" -> cusDisplayName | truncate(100)";
    assert_eq!(map(entry, json!({"firstname": "Ada", "lastname": "L"})), json!({"cusDisplayName": "Ada L"}));
    assert_eq!(map(entry, json!({"firstname": null, "lastname": "L"})), json!({"cusDisplayName": " L"}));
    assert_eq!(map(entry, json!({})), json!({"cusDisplayName": null}));
}

#[test]
fn the_label_of_a_lookup_is_the_name_that_the_source_returns_with_it() {
    let name = "_parentcustomerid_value@OData.Community.Display.V1.FormattedValue";
    let id = "a0000000-0000-4000-8000-000000000001";
    let entry = "parentcustomerid -> cusDisplayName | label | truncate(7)";
    assert_eq!(map(entry, json!({"_parentcustomerid_value": id, name: "Contoso Ltd"})), json!({"cusDisplayName": "Contoso"}));
    assert_eq!(map(entry, json!({"_parentcustomerid_value": null})), json!({"cusDisplayName": null}));
}

#[test]
fn a_customer_is_linked_where_it_is_a_record_of_the_mappings_table() {
    let table = "_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname";
    let id = "a0000000-0000-4000-8000-000000000001";
    let plan = plan(
        "mapping accounts: d365.account -> campaign.cusAccount { key accountid -> cusAccountId; name -> cusName }
mapping contacts: d365.contact -> campaign.profile { key contactid -> externalId; parentcustomerid -> cusAccount | link accounts }",
    );
    let flow = plan.flow("contacts").expect("the flow");
    let mut columns = flow.source.select();
    columns.sort();
    assert_eq!(columns, ["_parentcustomerid_value", "contactid"]);
    assert!(flow.source.annotations());
    let evaluator = Evaluator::new(flow).expect("the plan is right");
    for (other, expected) in [(json!("account"), json!({"cusAccountId": id})), (json!("contact"), Value::Null)] {
        let record = json!({"contactid": "8f1d0000-0000-4000-8000-000000000001", "_parentcustomerid_value": id, table: other}).to_string();
        let Evaluated::Mapped(mapped) = evaluator.evaluate(&record, time::now()) else { panic!("not mapped") };
        let mut out = String::new();
        mapped.write_json(&mut out);
        let out: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(out["cusAccount"], expected);
    }
}

#[test]
fn labels_are_in_the_order_of_the_value_or_of_the_alphabet() {
    let labels = |entry: &str| map(entry, json!({"new_drinks": "1,9"}))["cusNote"].clone();
    assert_eq!(labels("new_drinks -> cusNote | label(\", \")"), "Tea, Coffee");
    assert_eq!(labels("new_drinks -> cusNote | label(\", \", sorted)"), "Coffee, Tea");
    assert_eq!(codes(&whole("new_drinks -> cusNote | label(\", \", upwards)")), ["D209"]);
}

#[test]
fn dates_are_shifted_and_counted_to_the_day_of_the_run_or_of_a_field() {
    // The time of the run is 2026-11-21T12:00:00Z.
    let points = |entry: &str, record| map(&format!("{entry}\noptions {{ refresh daily }}"), record)["cusPoints"].clone();
    assert_eq!(points("birthdate -> cusPoints | years(today)", json!({"birthdate": "1980-11-22"})), 45);
    assert_eq!(points("birthdate -> cusPoints | years(today)", json!({"birthdate": "1980-11-21"})), 46);
    assert_eq!(points("birthdate -> cusPoints | months(today)", json!({"birthdate": "2026-12-31"})), -1);
    assert_eq!(points("birthdate -> cusPoints | years(today)", json!({"birthdate": null})), Value::Null);
    let between = |from: &str, to: Value| points("createdon -> cusPoints | days(modifiedon)", json!({"createdon": from, "modifiedon": to}));
    assert_eq!(between("2024-02-28T23:00:00Z", json!("2024-03-01T01:00:00Z")), 2);
    assert_eq!(between("2024-02-28T23:00:00Z", Value::Null), Value::Null);
    let note = |entry: &str, at: &str| map(entry, json!({"createdon": at, "birthdate": "2024-01-31"}))["cusNote"].clone();
    assert_eq!(note("birthdate -> cusNote | shift(1 month)", ""), "2024-02-29");
    let local = "createdon -> cusNote | local(\"Europe/Berlin\") | shift(-1 day) | format(\"dd.MM.yyyy HH:mm\")";
    assert_eq!(note(local, "2024-01-31T23:30:00Z"), "31.01.2024 00:30");
}

#[test]
fn the_zone_of_a_time_can_come_from_the_record() {
    let entry = "createdon -> cusNote | local(nickname, \"Europe/Berlin\") or null | format(\"dd. HH:mm\")";
    let at = |zone: Value| map(entry, json!({"createdon": "2024-01-31T23:30:00Z", "nickname": zone}))["cusNote"].clone();
    assert_eq!(at(json!("Asia/Tokyo")), "01. 08:30");
    assert_eq!(at(Value::Null), "01. 00:30");
    assert_eq!(at(json!("Tokyo")), Value::Null);
}

#[test]
fn periods_and_days_that_do_not_fit_are_errors() {
    for entry in [
        "createdon -> cusSince | shift(6)",
        "birthdate -> birthDate | shift(3 hours)",
        "createdon -> cusPoints | days(lastname)",
        "createdon -> cusPoints | days(30d)",
        "createdon -> cusNote | local(\"Berlin\")",
        "lastname -> lastName | truncate(6 months)",
    ] {
        assert_eq!(codes(&whole(entry)), ["D209"], "{entry}");
    }
    assert_eq!(codes(&whole("lastname -> lastName | shift(6 months)")), ["D208"]);
    assert_eq!(codes(&whole("birthdate -> birthDate | shift(1001 years)")), ["D011"]);
    assert_eq!(codes(&whole("birthdate -> cusPoints | years(today) @present")), ["D127"]);
    // In a branch of a `case` or of a `when` too.
    let day = "birthdate | years(today) | default(0)";
    assert_eq!(codes(&whole(&format!("case {{ donotemail = true => {day}; else => 0 }} -> cusPoints"))), ["D127"]);
    let when = "when donotemail = true { birthdate -> cusPoints | years(today) | default(0) } else { 0 -> cusPoints }";
    assert_eq!(codes(&whole(when)), ["D127"]);
}

#[test]
fn html_becomes_text_and_text_is_cleaned() {
    let note = |steps: &str, text: &str| map(&format!("description -> cusNote{steps}"), json!({"description": text}))["cusNote"].clone();
    assert_eq!(note(" | strip_html", "<p>Tom &amp; Ada</p><p>x</p>"), "Tom & Ada\nx");
    assert_eq!(note(" | strip_html", "<p> </p>"), Value::Null);
    assert_eq!(note(" | strip_control", "a\r\nb\u{200b}"), "a b");
    assert_eq!(note(" | normalize", "Zoe\u{308}"), "Zo\u{eb}");
    assert_eq!(note(" | title(names)", "RONALD MCDONALD van DER berg"), "Ronald McDonald van der Berg");
}

#[test]
fn a_normalized_text_needs_room_for_three_times_its_length() {
    // 50 characters into 50.
    assert_eq!(codes(&whole("lastname -> lastName | normalize")), ["D201"]);
    assert_eq!(codes(&whole("lastname -> lastName | normalize | truncate(50)")), [""; 0]);
}

#[test]
fn literals_are_the_same_for_every_record() {
    assert_eq!(
        map("\"crm\" -> cusOrigin\ntrue -> blackList\n42 -> cusPoints", json!({})),
        json!({"cusOrigin": "crm", "blackList": true, "cusPoints": 42})
    );
    assert_eq!(map("42 -> cusOrigin", json!({})), json!({"cusOrigin": "42"}));
}

#[test]
fn money_is_rounded_half_away_from_zero_and_keeps_every_digit() {
    let entry = "creditlimit -> cusCreditLimit | round(2) or null";
    let out = |number: &str| {
        map_text(entry, &format!(r#"{{"contactid":"8f1d0000-0000-4000-8000-000000000001","creditlimit":{number}}}"#))["cusCreditLimit"]
            .to_string()
    };
    assert_eq!(out("1234.5650"), "1234.57");
    assert_eq!(out("0.1"), "0.1");
    assert_eq!(out("9999999999999.99"), "9999999999999.99");
    assert_eq!(out("99999999999999.99"), "null");
    assert_eq!(out("null"), "null");
}

#[test]
fn dates_are_read_by_a_pattern_and_taken_from_instants() {
    let entry = "jobtitle -> birthDate | date(\"d.M.yyyy\") or null";
    assert_eq!(map(entry, json!({"jobtitle": "3.11.1980"})), json!({"birthDate": "1980-11-03"}));
    assert_eq!(map(entry, json!({"jobtitle": "31.2.1980"})), json!({"birthDate": null}));
    assert_eq!(map(entry, json!({"jobtitle": "3.11.1980 "})), json!({"birthDate": null}));
    assert_eq!(map("createdon -> birthDate | date", json!({"createdon": "2024-05-06T23:59:01Z"})), json!({"birthDate": "2024-05-06"}));
    assert_eq!(map("createdon -> cusSince", json!({"createdon": "2024-05-06T23:59:01Z"})), json!({"cusSince": "2024-05-06 23:59:01.000Z"}));
    assert_eq!(map("birthdate -> cusSince", json!({"birthdate": "1980-10-24"})), json!({"cusSince": "1980-10-24 00:00:00.000Z"}));
}

#[test]
fn a_day_among_instants_counts_as_midnight() {
    let since = |entry: &str, record| map(entry, record)["cusSince"].clone();
    assert_eq!(since("createdon -> cusSince | default(2020-01-31)", json!({"createdon": null})), "2020-01-31 00:00:00.000Z");
    assert_eq!(since("createdon -> cusSince | coalesce(birthdate)", json!({"birthdate": "1980-10-24"})), "1980-10-24 00:00:00.000Z");
    assert_eq!(
        since("coalesce(birthdate, createdon) -> cusSince", json!({"createdon": "2024-01-01T08:00:00Z"})),
        "2024-01-01 08:00:00.000Z"
    );
}

#[test]
fn every_outcome_of_or_is_what_it_says() {
    let with = |or: &str| map(&format!("jobtitle -> birthDate | date(\"dd.MM.yyyy\") {or}"), json!({"jobtitle": "x"}));
    assert_eq!(with("or null"), json!({"birthDate": null}));
    assert_eq!(with("or default(1900-01-01)"), json!({"birthDate": "1900-01-01"}));
    assert_eq!(map("creditlimit -> cusNote | round(2)", json!({"creditlimit": 1.005})), json!({"cusNote": "1.01"}));
}

#[test]
fn a_step_with_or_reject_rejects_the_record_at_its_line() {
    let entry = "lastname -> lastName\njobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject";
    let out = map(entry, json!({"jobtitle": "x"}));
    assert_eq!(out, "D901 birthDate line 4: the text is not a date in this pattern");
}

#[test]
fn options_are_replaced_by_label_or_number_and_the_rest_by_else() {
    let entry = "gendercode -> gender\nreplace gendercode { Male => male; 2 => female; null => unknown; else => unknown }";
    assert_eq!(map(entry, json!({"gendercode": 1})), json!({"gender": "male"}));
    assert_eq!(map(entry, json!({"gendercode": 2})), json!({"gender": "female"}));
    assert_eq!(map(entry, json!({"gendercode": null})), json!({"gender": "unknown"}));
}

#[test]
fn else_does_not_apply_to_an_empty_value() {
    let entry = "address1_country -> cusNote\nreplace address1_country { \"Germany\" => \"DE\"; else => \"??\" }";
    assert_eq!(map(entry, json!({"address1_country": null})), json!({"cusNote": null}));
    assert_eq!(map(entry, json!({"address1_country": "Germany"})), json!({"cusNote": "DE"}));
    assert_eq!(map(entry, json!({"address1_country": "germany"})), json!({"cusNote": "??"}));
}

#[test]
fn a_replacement_can_reject_a_value() {
    let entry = "gendercode -> gender\nreplace gendercode { 1 => male; 2 => reject; null => unknown }";
    assert_eq!(map(entry, json!({"gendercode": 2})), "D902 gender line 4: the replacement says to reject this value");
}

#[test]
fn a_replacement_applies_in_texts_and_coalesce_too() {
    let entry = "\"{gendercode}/{familystatuscode}\" -> cusNote\nreplace gendercode { 1 => \"m\"; 2 => \"f\"; else => \"x\" }";
    assert_eq!(map(entry, json!({"gendercode": 1, "familystatuscode": 2})), json!({"cusNote": "m/2"}));
}

#[test]
fn picklists_are_read_by_their_labels_where_the_options_say_so() {
    let entry = "familystatuscode -> cusNote\nnew_drinks -> cusDisplayName\noptions { picklists labels }";
    assert_eq!(
        map(entry, json!({"familystatuscode": 2, "new_drinks": "1,9"})),
        json!({"cusNote": "Married", "cusDisplayName": "Tea; Coffee"})
    );
    assert_eq!(map(entry, json!({"familystatuscode": null})), json!({"cusNote": null, "cusDisplayName": null}));
    let entry = "familystatuscode -> cusNote\nreplace familystatuscode { Single => \"alone\"; else => keep }\noptions { picklists labels }";
    assert_eq!(map(entry, json!({"familystatuscode": 1})), json!({"cusNote": "alone"}));
    assert_eq!(map(entry, json!({"familystatuscode": 4})), json!({"cusNote": "Widowed"}));
}

#[test]
fn a_value_that_breaks_its_own_schema_is_rejected_not_written() {
    assert_eq!(
        map("birthdate -> birthDate", json!({"birthdate": "soon"})),
        "D903 birthdate line 3: the value is not a date; pull the schema again"
    );
    let entry = "familystatuscode -> cusNote\noptions { picklists labels }";
    let out = map(entry, json!({"familystatuscode": 99}));
    assert!(out.as_str().is_some_and(|t| t.starts_with("D903 cusNote line 3")), "{out}");
}

#[test]
fn a_text_longer_than_its_schema_says_is_rejected_not_cut() {
    let out = map("lastname -> lastName", json!({"lastname": "x".repeat(61)}));
    assert_eq!(out, "D905 lastName line 3: the text has 61 characters, 50 fit; its schema promised fewer");
}

#[test]
fn a_record_without_a_primary_key_is_rejected() {
    assert!(map_text("lastname -> lastName", "{\"lastname\":\"x\"}").as_str().is_some_and(|t| t.starts_with("D904 ")));
    assert!(map_text("lastname -> lastName", "[1]").as_str().is_some_and(|t| t.starts_with("D903 ")));
    assert!(map_text("lastname -> lastName", "{\"lastname\":").as_str().is_some_and(|t| t.starts_with("D903 ")));
}

#[test]
fn nested_targets_are_one_object_whatever_the_order_of_the_entries() {
    let entry = "address1_city -> location.city | truncate(50)\nlastname -> lastName\naddress1_line1 -> location.address1 | truncate(80)";
    let out = map(entry, json!({"address1_city": "Ulm", "address1_line1": "a", "lastname": "L"}));
    assert_eq!(out, json!({"location": {"city": "Ulm", "address1": "a"}, "lastName": "L"}));
}

#[test]
fn escapes_in_the_incoming_json_are_resolved_and_written_again() {
    let record = r#"{"contactid":"8F1D0000-0000-4000-8000-000000000001","lastname":"a\"\u00e9\n\\"}"#;
    assert_eq!(map_text("lastname -> lastName", record), json!({"lastName": "a\"é\n\\"}));
}

fn kept(condition: &str, record: serde_json::Value) -> bool {
    map(&format!("lastname -> lastName\nfilter all {{ {condition} }}"), record) != "filtered"
}

#[test]
fn comparisons_are_those_of_the_document() {
    let ada = json!({"lastname": "Lovelace", "statecode": 0, "createdon": "2024-06-01T00:00:00Z", "creditlimit": 10.5, "donotemail": false, "new_drinks": "1,9", "numberofchildren": 3});
    for (condition, holds) in [
        ("statecode = Active", true),
        ("statecode != Active", false),
        ("statecode in (Inactive, 0)", true),
        ("lastname = \"LOVELACE\"", true),
        ("lastname in (\"x\", \"lovelace\")", true),
        ("lastname contains \"LACE\"", true),
        ("lastname starts with \"love\"", true),
        ("lastname ends with \"Love\"", false),
        ("lastname matches \"^L.*e$\"", true),
        ("lastname matches \"^l\"", false),
        ("createdon >= 2024-06-01", true),
        ("createdon < 2024-06-01T00:00:00Z", false),
        ("createdon between 2024-01-01 and 2024-06-01", true),
        ("createdon changed within 30d", false),
        ("createdon changed within 1000d", true),
        ("creditlimit > 10", true),
        ("creditlimit <= 10.49", false),
        ("numberofchildren = 3", true),
        ("donotemail = false", true),
        ("donotemail = \"Do Not Allow\"", false),
        ("new_drinks contains Coffee", true),
        ("lastname is present", true),
        ("firstname is empty", true),
        ("not firstname is empty", false),
        ("not not firstname is empty", true),
        ("any { firstname is present; lastname is present }", true),
        ("not any { firstname is present; lastname is present }", false),
        ("all { firstname is present; lastname is present }", false),
    ] {
        assert_eq!(kept(condition, ada.clone()), holds, "{condition}");
    }
}

#[test]
fn a_comparison_with_a_missing_value_is_false_and_its_negation_true() {
    for condition in [
        "lastname = \"x\"",
        "lastname != \"x\"",
        "lastname contains \"x\"",
        "createdon > 2020-01-01",
        "creditlimit between 1 and 2",
        "statecode in (Active, Inactive)",
    ] {
        let missing = json!({"lastname": null, "createdon": null});
        if condition.starts_with("statecode") {
            continue;
        }
        assert!(!kept(condition, missing.clone()), "{condition}");
        assert!(kept(&format!("not {condition}"), missing), "not {condition}");
    }
}

#[test]
fn the_empty_text_counts_as_missing_in_a_filter() {
    assert!(kept("lastname is empty", json!({"lastname": ""})));
    assert!(!kept("lastname is present", json!({"lastname": ""})));
}

#[test]
fn a_lookup_is_read_by_its_property_and_is_a_guid() {
    let account = "0A000000-0000-4000-8000-00000000000A";
    let out = map("parentcustomerid -> cusNote", json!({"_parentcustomerid_value": account}));
    assert_eq!(out, json!({"cusNote": account.to_lowercase()}));
    assert!(kept(&format!("parentcustomerid = \"{account}\""), json!({"_parentcustomerid_value": account.to_lowercase()})));
}

#[test]
fn a_value_that_cannot_be_read_is_named_with_its_record_and_not_the_primary_key() {
    let id = "c0000000-0000-4000-8000-000000000001";
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}";
    let plan = plan(text);
    let evaluator = Evaluator::new(plan.flow("contacts").expect("the flow")).expect("it is ready");
    let deep = "[".repeat(500) + &"]".repeat(500);
    for value in ["\"cut \\ud83d\"", "1e999", "7", &deep] {
        let record = format!("{{\"lastname\":{value},\"contactid\":\"{id}\"}}");
        let Evaluated::Rejected(rejection) = evaluator.evaluate(&record, time::now()) else { panic!("{value}") };
        assert_eq!((rejection.source_id.as_deref(), rejection.field.as_str()), (Some(id), "lastname"), "{value}");
    }
    // What no field needs may be anything.
    let record = format!("{{\"other\":1e999,\"half\":\"\\ude00\",\"deep\":{deep},\"lastname\":\"A\",\"contactid\":\"{id}\"}}");
    assert!(matches!(evaluator.evaluate(&record, time::now()), Evaluated::Mapped(_)));
}

#[test]
fn text_of_only_white_space_is_empty_everywhere() {
    let one = |entry: &str, record: serde_json::Value| map(entry, record)["cusNote"].clone();
    assert_eq!(one("nickname -> cusNote", json!({"nickname": " \t"})), json!(null));
    assert_eq!(one("nickname -> cusNote | default(\"none\")", json!({"nickname": "  "})), "none");
    assert_eq!(one("nickname -> cusNote | replace_text(\"n/a\", \"\") | default(\"none\")", json!({"nickname": "n/a"})), "none");
    assert_eq!(one("nickname -> cusNote | truncate(2) | default(\"none\")", json!({"nickname": "   x"})), "none");
    assert_eq!(one("coalesce(nickname, suffix) -> cusNote", json!({"nickname": " ", "suffix": "Dr"})), "Dr");
    assert_eq!(one("join(\"-\", nickname, suffix) -> cusNote", json!({"nickname": " ", "suffix": "Dr"})), "Dr");
    assert_eq!(one("\"<{nickname}>\" -> cusNote", json!({"nickname": " "})), json!(null));
    assert_eq!(one("nickname -> cusNote\nreplace nickname { null => \"x\"; else => keep }", json!({"nickname": " "})), "x");
    assert_eq!(map("filter all { nickname is empty }", json!({"nickname": " "})), json!({"lastName": null}));
    assert_eq!(map("filter all { nickname != \"x\" }", json!({"nickname": " "})), "filtered");
}

#[test]
fn control_characters_of_a_record_are_removed() {
    assert_eq!(map("nickname -> cusNote", json!({"nickname": "a\u{0}b\u{1b}\tc\r\n"}))["cusNote"], "ab\tc\r\n");
    assert_eq!(map("nickname -> cusNote", json!({"nickname": "\u{0}\u{7f}"}))["cusNote"], json!(null));
}

#[test]
fn texts_are_compared_in_one_form_of_unicode() {
    let entry = "nickname -> cusNote\nreplace nickname { \"Zo\u{eb}\" => \"yes\"; else => \"no\" }";
    assert_eq!(map(entry, json!({"nickname": "Zoe\u{308}"}))["cusNote"], "yes");
    for filter in ["= \"zo\u{eb}\"", "contains \"\u{cb}\"", "ends with \"\u{eb}\"", "matches \"^Zo\u{eb}$\"", "in (\"zoe\u{308}\")"] {
        let kept = map(&format!("filter all {{ nickname {filter} }}"), json!({"nickname": "Zoe\u{308}"}));
        assert_eq!(kept, json!({"lastName": null}), "{filter}");
    }
}

#[test]
fn a_phone_number_is_a_text_with_its_own_length() {
    let one = |text: &str| map("telephone1 -> cusNote | phone(\"DE\") or null", json!({"telephone1": text}))["cusNote"].clone();
    for text in ["030 901820", "+49 (0)30 901820", "030/901820", "(+49) 30 901820", " 030-90-18-20 "] {
        assert_eq!(one(text), "+4930901820", "{text}");
    }
    for text in ["030 901820 (office)", "call 030 901820", "030 901820 ext. 5", "030 901820; 030 901821"] {
        assert_eq!(one(text), json!(null), "{text}");
    }
}

#[test]
fn a_day_and_a_time_are_read_in_a_zone() {
    let record = json!({"createdon": "2000-05-10T22:00:00Z"});
    assert_eq!(map("createdon -> birthDate | date(\"Europe/Vienna\")", record.clone())["birthDate"], "2000-05-11");
    assert_eq!(map("createdon -> birthDate | date(\"W. Europe Standard Time\")", record.clone())["birthDate"], "2000-05-11");
    assert_eq!(map("createdon -> birthDate | date", record.clone())["birthDate"], "2000-05-10");
    let text = map("createdon -> cusNote | format(\"dd.MM.yyyy HH:mm\", \"Asia/Kolkata\")", record);
    assert_eq!(text["cusNote"], "11.05.2000 03:30");
    let at = |text: &str| {
        let entry = "jobtitle -> cusSince | datetime(\"d.M.yyyy H:mm\", \"Europe/Vienna\") or null";
        map(entry, json!({"jobtitle": text}))["cusSince"].clone()
    };
    assert_eq!(at("1.6.2024 9:05"), "2024-06-01 07:05:00.000Z");
    // The clocks show 02:30 twice on the one day, and never on the other.
    assert_eq!(at("27.10.2024 2:30"), "2024-10-27 00:30:00.000Z");
    assert_eq!(at("31.3.2024 2:30"), json!(null));
}

#[test]
fn a_phone_number_takes_its_country_from_a_field() {
    let one = |step: &str, number: &str, country: Option<&str>| {
        let record = json!({"telephone1": number, "address1_country": country});
        map(&format!("telephone1 -> cusNote | {step}"), record)["cusNote"].clone()
    };
    let by_field = "phone(address1_country) or null";
    assert_eq!(one(by_field, "030 901820", Some("DE")), "+4930901820");
    assert_eq!(one(by_field, "01 58858", Some(" at ")), "+43158858");
    assert_eq!(one(by_field, "030 901820", None), json!(null), "no country");
    assert_eq!(one(by_field, "030 901820", Some("Germany")), json!(null), "not a country of ISO 3166");
    assert_eq!(one(by_field, "+49 30 901820", Some("Germany")), "+4930901820", "a country code needs no country");
    assert_eq!(one(by_field, "+49 30 901820 privat", Some("DE")), json!(null), "letters are not digits");
    assert_eq!(one(by_field, "+49 30 901820 ext. 5", Some("DE")), json!(null), "an extension would be lost");
    assert_eq!(one(by_field, "030 901820;ext=5", Some("DE")), json!(null));
    let otherwise = "phone(address1_country, \"DE\") or default(\"?\")";
    assert_eq!(one(otherwise, "030 901820", None), "+4930901820");
    assert_eq!(one(otherwise, "030 901820", Some("Germany")), "?", "the second argument is for an empty field only");
    let replaced =
        "telephone1 -> cusNote | phone(address1_country) or null\nreplace address1_country { \"Austria\" => \"AT\"; else => null }";
    assert_eq!(map(replaced, json!({"telephone1": "01 58858", "address1_country": "Austria"}))["cusNote"], "+43158858");
    assert_eq!(codes(&whole("telephone1 -> cusNote | phone(address1_country)")), ["D206"]);
    for wrong in ["phone(gendercode)", "phone(address1_country, \"Germany\")", "phone(address1_country, \"DE\", \"AT\")"] {
        assert_eq!(codes(&whole(&format!("telephone1 -> cusNote | {wrong} or null"))), ["D209"], "{wrong}");
    }
}

#[test]
fn a_line_more_in_the_file_changes_no_fingerprint_of_the_documents() {
    let mut texts = vec![super::support::whole("jobtitle -> middleName | map { \"a\" => reject; else => \"b\" }")];
    for page in [include_str!("../../../docs/language.md"), include_str!("../../../docs/cheat-sheet.md")] {
        let blocks = page.split("```d365map").skip(1).filter_map(|part| part.split_once('\n')?.1.split("\n```").next());
        texts.extend(blocks.map(super::support::whole));
    }
    for text in texts {
        let (before, after) = (super::support::plan(&text), super::support::plan(&format!("# a remark\n\n{text}")));
        let changes = d365map::plan::changes::changes(&before, &after, &Default::default(), 5_000);
        assert!(changes.workflows.is_empty(), "{text}\n{}", changes.describe());
    }
}
