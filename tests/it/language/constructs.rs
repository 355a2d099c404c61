//! The constructs beyond a plain mapping: what each means for a record and for the plan.

use d365map::check::Compiled;
use d365map::diagnostics::render::{Format, Style, render};
use d365map::plan::{Direction, EventType, Fit, Op, Scope};
use serde_json::json;

use super::support::{codes, codes_with, compiled, compiled_files, map, plan, rendered, whole};

const CONTACTS: &str = "mapping contacts: d365.contact -> campaign.profile { key contactid -> externalId; lastname -> lastName }\n";

fn clean(compiled: &Compiled) {
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    assert!(compiled.diagnostics.is_empty(), "{findings}");
}

fn names(compiled: &Compiled) -> Vec<&'static str> {
    compiled.diagnostics.iter().map(|d| d.code.name()).collect()
}

// ------------------------------------------------------------------------------------------------------- steps

#[test]
fn text_steps_do_what_the_document_says() {
    let one = |steps: &str, value: &str| map(&format!("jobtitle -> cusNote {steps}"), json!({ "jobtitle": value }))["cusNote"].clone();
    assert_eq!(one("| title", "chief of o'neil GMBH"), "Chief Of O'neil Gmbh");
    assert_eq!(one("| pad(5, \"0\")", "42"), "00042");
    assert_eq!(one("| pad(5, \" \", right)", "42"), "42   ");
    assert_eq!(one("| replace_text(\"-\", \"/\")", "a-b-c"), "a/b/c");
    assert_eq!(one("| digits", "+49 (0)30 / 12"), "4903012");
    assert_eq!(one("| digits", "none"), json!(null));
    assert_eq!(one("| substring(2, 3)", "abcdef"), "bcd");
    assert_eq!(one("| substring(9, 3)", "abcdef"), json!(null));
    assert_eq!(one("| split(\"-\", 2)", "a-b-c"), "b");
    assert_eq!(one("| split(\"-\", 4)", "a-b-c"), json!(null));
    assert_eq!(one("| concat(\" \", lastname, \"!\")", "Dr."), "Dr. !");
    assert_eq!(one("| hash(sha256)", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(one("| matches(\"^[A-Z]{2}\\\\d$\") or null", "AB1"), "AB1");
    assert_eq!(one("| matches(\"^[A-Z]{2}\\\\d$\") or default(\"?\")", "ab1"), "?");
}

#[test]
fn a_phone_number_is_written_in_e164_and_other_text_fails() {
    let one = |value: &str| map("telephone1 -> phone | phone(\"DE\") or null", json!({ "telephone1": value }))["phone"].clone();
    assert_eq!(one("030 901820"), "+4930901820");
    assert_eq!(one("+44 20 7031 3000"), "+442070313000");
    assert_eq!(one("12"), json!(null));
    assert_eq!(one("call me"), json!(null));
}

#[test]
fn an_email_address_is_checked_and_its_domain_folded() {
    let one = |value: &str| map("emailaddress1 -> email | email or null", json!({ "emailaddress1": value }))["email"].clone();
    assert_eq!(one(" Ada.Lovelace@EXAMPLE.Com "), "Ada.Lovelace@example.com");
    for wrong in ["ada", "ada@", "@example.com", "ada@example", "a b@example.com", "Ada <ada@example.com>"] {
        assert_eq!(one(wrong), json!(null), "{wrong}");
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    let one = |step: &str, value: &str| {
        map(&format!("jobtitle -> cusCreditLimit | {step}"), json!({ "jobtitle": value }))["cusCreditLimit"].clone()
    };
    assert_eq!(one("number or null", "1,234.5"), json!(1234.5));
    assert_eq!(one("number(\",\") or null", "1.234,5"), json!(1234.5));
    assert_eq!(one("number(\",\") or null", "1 234,50"), json!(1234.5));
    assert_eq!(one("number or null", "12 apples"), json!(null));
    let whole = |value: &str| map("jobtitle -> cusPoints | integer or null", json!({ "jobtitle": value }))["cusPoints"].clone();
    assert_eq!(whole(" 42 "), json!(42));
    assert_eq!(whole("4.2"), json!(null));
    assert_eq!(whole("99999999999"), json!(null), "outside the target's range");
    let yes = |value: &str| map("jobtitle -> isExternal | boolean or null", json!({ "jobtitle": value }))["isExternal"].clone();
    assert_eq!((yes("Yes"), yes("0"), yes("perhaps")), (json!(true), json!(false), json!(null)));
}

#[test]
fn dates_go_through_zones_and_patterns() {
    let meeting = |value: &str| {
        map("new_meeting -> cusSince | datetime(\"Europe/Berlin\") or null", json!({ "new_meeting": value }))["cusSince"].clone()
    };
    assert_eq!(meeting("2024-07-01T10:00:00Z"), "2024-07-01 08:00:00.000Z");
    assert_eq!(meeting("2024-03-31T02:30:00Z"), json!(null), "the clocks skip this time");
    assert_eq!(meeting("2024-10-27T02:30:00Z"), "2024-10-27 00:30:00.000Z", "the first of two");
    let text = map("createdon -> cusNote | format(\"dd.MM.yyyy HH:mm\")", json!({ "createdon": "2024-01-31T10:05:00Z" }));
    assert_eq!(text["cusNote"], "31.01.2024 10:05");
    let day = map("birthdate -> cusNote | format(\"d.M.yy\")", json!({ "birthdate": "1990-05-06" }));
    assert_eq!(day["cusNote"], "6.5.90");
}

#[test]
fn options_are_read_by_label_or_number_whatever_the_mapping_says() {
    let one = |entries: &str| map(entries, json!({ "gendercode": 2, "new_drinks": "1,9" }));
    assert_eq!(one("gendercode -> cusOrigin | label")["cusOrigin"], "Female");
    assert_eq!(one("gendercode -> cusPoints | value\noptions { picklists labels }")["cusPoints"], json!(2));
    assert_eq!(one("new_drinks -> cusNote | label(\" + \")")["cusNote"], "Tea + Coffee");
    assert_eq!(one("new_drinks -> cusNote | join(\"/\")")["cusNote"], "1/9");
}

#[test]
fn a_table_of_an_entry_replaces_values_for_that_entry_only() {
    let out = map(
        "gendercode -> gender | map { Male => male; Female => female; null => unknown; else => unknown }\ngendercode -> cusPoints",
        json!({ "gendercode": 2 }),
    );
    assert_eq!((out["gender"].clone(), out["cusPoints"].clone()), (json!("female"), json!(2)));
    let empty = map("gendercode -> gender | map { Male => male; Female => female; null => unknown; else => unknown }", json!({}));
    assert_eq!(empty["gender"], "unknown");
}

#[test]
fn functions_put_fields_together() {
    let record = json!({ "firstname": "Ada", "address1_city": "London", "address1_country": "", "address2_city": null });
    assert_eq!(map("concat(firstname, \" \", lastname) -> cusNote", record.clone())["cusNote"], "Ada ");
    assert_eq!(map("join(\", \", firstname, address1_country, address2_city, address1_city) -> cusNote", record)["cusNote"], "Ada, London");
}

// ------------------------------------------------------------------------------------------------------ filters

#[test]
fn dates_in_filters_are_counted_from_the_run_or_from_a_day() {
    // The runs of these tests are at 2026-11-21T12:00Z.
    let kept = |condition: &str, record: serde_json::Value| {
        map(&format!("lastname -> lastName\nfilter all {{ {condition} }}"), record) != "filtered"
    };
    let created = |at: &str| json!({ "createdon": at });
    assert!(kept("createdon >= now - 2d", created("2026-11-19T12:00:00Z")));
    assert!(!kept("createdon >= now - 2d", created("2026-11-19T11:59:59Z")));
    assert!(kept("createdon >= today - 2d", created("2026-11-19T00:00:00Z")));
    assert!(kept("createdon < 2020-01-01 + 30d", created("2020-01-30T23:00:00Z")));
    assert!(!kept("createdon < 2020-01-01 + 30d", created("2020-01-31T00:00:00Z")));
    assert!(kept("birthdate between today - 1d and today", json!({ "birthdate": "2026-11-20" })));
    assert!(!kept("birthdate between today - 1d and today", json!({ "birthdate": "2026-11-22" })));
    assert!(kept("not createdon >= now - 2d", json!({})), "a missing date is not recent");
}

// ------------------------------------------------------------------------------------------------- declarations

#[test]
fn constants_and_shared_tables_can_be_used_in_files_that_include_them() {
    let shared = "let origin = \"crm\"\nlet most = 5\nreplace genders { Male => \"m\"; Female => \"f\"; else => \"x\" }\n";
    let main = "include \"shared/words.d365map\"\n\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  \
                $origin -> cusOrigin\n  \"{$origin}-{lastname}\" -> cusNote | truncate($most)\n  gendercode -> cusDisplayName\n  \
                replace gendercode with genders\n  gendercode -> salutation | concat(\"!\")\n}\n";
    let both = compiled_files(&[("mappings/a.d365map", main), ("mappings/shared/words.d365map", shared)]);
    clean(&both);
    let alone = compiled_files(&[("mappings/a.d365map", main), ("mappings/other.d365map", shared)]);
    assert!(names(&alone).contains(&"D118"), "{:?}", names(&alone));
}

#[test]
fn an_include_of_which_nothing_is_used_is_a_warning() {
    let files = compiled_files(&[("a.d365map", &format!("include \"b.d365map\"\n{CONTACTS}")), ("b.d365map", "let x = 1\n")]);
    assert_eq!(names(&files), ["D803", "D801"]);
}

#[test]
fn two_mappings_can_use_one_table() {
    let text = "replace yes_no { true => \"yes\"; false => \"no\" }\nmapping contacts: d365.contact -> campaign.profile {\n  \
                key contactid -> externalId\n  donotemail -> cusOrigin | map yes_no\n  donotphone -> cusNote\n  replace donotphone with yes_no\n}";
    clean(&compiled(text));
}

// -------------------------------------------------------------------------------------------------------- links

const ACCOUNTS: &str = "mapping accounts: d365.account -> campaign.cusAccount { key accountid -> cusAccountId; name -> cusName }\n";

#[test]
fn parents_come_before_children_in_the_plan() {
    let text = format!(
        "mapping a_items: d365.new_item -> campaign.cusItem {{ key new_itemid -> cusItemId; new_order -> cusOrder | link orders }}\n{ACCOUNTS}\
         mapping orders: d365.new_order -> campaign.cusOrder {{ key new_orderid -> cusOrderId; new_account -> cusAccount | link accounts }}"
    );
    let compiled = compiled(&text);
    clean(&compiled);
    let plan = compiled.plan.expect("a clean file");
    let order: Vec<&str> = plan.ingress.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(order, ["accounts", "orders", "a_items"]);
    assert_eq!(plan.ingress[1].depends_on, ["accounts"]);
    let link = &plan.ingress[1].fields[0];
    assert_eq!(link.fit, Fit::Link { key: "cusAccountId".to_owned() });
    assert!(matches!(&link.steps[0].op, Op::Link { mapping, .. } if mapping == "accounts"));
}

#[test]
fn a_record_can_refer_to_another_record_of_its_table() {
    let text = ACCOUNTS.replace("name -> cusName", "name -> cusName; parentaccountid -> cusParent | link accounts");
    let compiled = compiled(&text);
    clean(&compiled);
    assert!(compiled.plan.expect("a clean file").ingress[0].depends_on.is_empty());
}

#[test]
fn a_mapping_has_five_links_and_no_more() {
    let links = |n: usize| {
        let lines: String = (0..n).map(|i| format!("  new_link{i} -> cusLink{i} | link accounts\n")).collect();
        format!("{ACCOUNTS}mapping orders: d365.new_order -> campaign.cusOrder {{\n  key new_orderid -> cusOrderId\n{lines}}}")
    };
    let catalogue = super::support::with_links(6);
    let codes = |n| super::support::codes_with(&links(n), &catalogue);
    assert_eq!(codes(5), Vec::<&str>::new());
    assert_eq!(codes(6), ["D703"]);
}

#[test]
fn a_custom_entity_has_fifty_columns_and_no_more() {
    let columns = |n: usize| {
        let lines: String = (0..n).map(|i| format!("  \"{i}\" -> cusColumn{i}\n")).collect();
        format!("mapping accounts: d365.account -> campaign.cusAccount {{\n  key accountid -> cusAccountId\n{lines}}}")
    };
    let catalogue = super::support::with_columns(60);
    assert_eq!(super::support::codes_with(&columns(49), &catalogue), Vec::<&str>::new());
    assert_eq!(super::support::codes_with(&columns(50), &catalogue), ["D702"]);
}

#[test]
fn twenty_custom_entities_are_mapped_and_no_more() {
    let text = |n: usize| -> String {
        let one = |i| format!("mapping m{i}: d365.new_e{i} -> campaign.cusE{i} {{ key new_eid -> cusEId; new_name -> cusName }}\n");
        (0..n).map(one).collect::<String>() + CONTACTS
    };
    let catalogue = super::support::with_entities(21);
    assert_eq!(super::support::codes_with(&text(20), &catalogue), Vec::<&str>::new());
    assert_eq!(super::support::codes_with(&text(21), &catalogue), ["D701"]);
}

// ----------------------------------------------------------------------------------------- opt-out, events, ways

#[test]
fn a_profile_begins_with_its_opt_outs_and_an_empty_consent_is_an_opt_out() {
    let text = format!(
        "{CONTACTS}optout contacts {{\n  direction d365-to-campaign\n  donotemail <-> denyListEmail\n  followemail <-> not denyListFax\n}}"
    );
    let out = |record| map(&text, record);
    let full = out(json!({ "donotemail": true, "followemail": true }));
    assert_eq!((full["blackListEmail"].clone(), full["blackListFax"].clone()), (json!(true), json!(false)));
    let empty = out(json!({}));
    assert_eq!((empty["blackListEmail"].clone(), empty["blackListFax"].clone()), (json!(false), json!(true)));
}

#[test]
fn opt_outs_are_a_separate_workflow_in_every_direction() {
    let directions = [
        ("bidirectional", Direction::Bidirectional),
        ("campaign-to-d365", Direction::CampaignToD365),
        ("d365-to-campaign", Direction::D365ToCampaign),
    ];
    for (word, direction) in directions {
        let text = format!("{CONTACTS}optout contacts {{ direction {word}; donotemail <-> denyListEmail; followemail <-> not denyList }}");
        let plan = plan(&text);
        let written: Vec<_> = plan.ingress[0].fields.iter().map(|f| (f.path.join("."), f.create_only)).collect();
        let expected = [("lastName", false), ("blackListEmail", true), ("blackList", true)].map(|(path, create)| (path.to_owned(), create));
        assert_eq!(written, expected, "the mapping writes them when it makes a profile, and never again");
        assert_eq!(plan.optouts[0].direction, direction);
        let pairs: Vec<_> = plan.optouts[0].pairs.iter().map(|p| (p.source.as_str(), p.inverted, p.target.as_str())).collect();
        assert_eq!(pairs, [("donotemail", false, "blackListEmail"), ("followemail", true, "blackList")]);
    }
    assert!(plan(&format!("{CONTACTS}optout contacts {{ direction disabled; donotemail <-> denyListEmail }}")).optouts.is_empty());
}

#[test]
fn an_opt_out_without_a_block_is_a_separate_workflow_unless_it_is_fixed_or_written_once() {
    let of = |entry: &str| {
        let text = CONTACTS.replace("lastname -> lastName", &format!("lastname -> lastName\n  {entry}"));
        let plan = plan(&text);
        let pair = plan.optouts.first().map(|flow| (flow.direction, flow.pairs[0].source.clone(), flow.pairs[0].inverted));
        let field = plan.ingress[0].fields.iter().find(|f| f.path == ["blackListEmail"]).expect("the field");
        (pair, field.create_only, field.initial)
    };
    let pair = |source: &str, inverted| Some((Direction::D365ToCampaign, source.to_owned(), inverted));
    assert_eq!(of("donotemail -> denyListEmail"), (pair("donotemail", false), true, false));
    assert_eq!(of("donotemail -> denyListEmail | default(false)").0, pair("donotemail", false));
    assert_eq!(of("donotemail -> denyListEmail @initial"), (None, true, false));
    assert_eq!(of("true -> denyListEmail"), (None, false, false));
    assert_eq!(of("false -> denyListEmail"), (None, true, false));
    let computed = CONTACTS.replace(
        "lastname -> lastName",
        "lastname -> lastName\n  gendercode -> denyListEmail | map { Male => true; else => false; null => false }",
    );
    assert!(codes(&computed).contains(&"D602"), "{:?}", codes(&computed));
}

#[test]
fn a_contact_mapping_that_deletes_profiles_needs_an_opt_out_block() {
    let deleting = |option: &str| CONTACTS.replace("lastname -> lastName", &format!("lastname -> lastName\n  options {{ {option} }}"));
    for option in ["deletes propagate", "filtered-out delete"] {
        assert_eq!(codes(&deleting(option)), ["D610"], "{option}");
        let block = "optout contacts { direction bidirectional; donotemail <-> denyListEmail }";
        assert_eq!(codes(&format!("{}{block}", deleting(option))), Vec::<&str>::new(), "{option}");
    }
    assert_eq!(codes(&deleting("deletes ignore; filtered-out keep")), Vec::<&str>::new());
}

#[test]
fn each_type_of_event_is_switched_on_its_own() {
    let plan = plan(&format!("{CONTACTS}events email: campaign.email -> d365.contact {{ send on; bounce on; click off }}"));
    assert_eq!(plan.events[0].types, [EventType::Send, EventType::Bounce]);
    assert!(codes("events email: campaign.mail -> d365.contact { opened on }").starts_with(&["D112", "D108"]));
}

#[test]
fn referrals_go_both_ways_and_each_way_is_checked() {
    let text = "mapping referrals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n  \
                details.closingDateTime -> estimatedclosedate | date\n  details.notes <- description\n  \
                customerProfile.name -> name | truncate(300)\n  name <- name\n  options { scope co-sell; conflicts newest }\n}";
    let compiled = compiled(text);
    clean(&compiled);
    let plan = compiled.plan.expect("a clean file");
    let flow = &plan.two_way[0];
    assert_eq!(flow.scope, Scope::CoSell);
    let path = |p: &d365map::plan::FieldProgram| p.path.join(".");
    assert_eq!(
        flow.forward.iter().map(path).collect::<Vec<_>>(),
        ["msft_microsoftpartnercenterreferralidentifier", "estimatedclosedate", "name"]
    );
    assert_eq!(flow.backward.iter().map(path).collect::<Vec<_>>(), ["details.notes", "name"]);
    // Text of unknown length does not fit into 300 characters, whichever way it is written.
    assert!(rendered(&text.replace("name <- name", "name <-> name")).contains("D111"));
    assert!(codes(&text.replace("customerProfile.name -> name | truncate(300)", "customerProfile.name -> name")).contains(&"D201"));
}

// ----------------------------------------------------------------------------------------------- allow comments

#[test]
fn an_allow_applies_to_its_entry_and_no_other() {
    let warned = "familystatuscode -> salutation\nreplace familystatuscode { Single => \"S\" }";
    assert_eq!(codes(&super::support::whole(warned)), ["D304"]);
    let above = warned.replace("replace", "# allow(D304): the others stay\nreplace");
    assert_eq!(codes(&super::support::whole(&above)), Vec::<&str>::new());
    let behind = warned.replace("{ Single => \"S\" }", "{ # allow(d304): the others stay\n  Single => \"S\"\n}");
    assert_eq!(codes(&super::support::whole(&behind)), Vec::<&str>::new());
    let elsewhere = format!("# allow(D304): not here\n{warned}");
    assert_eq!(codes(&super::support::whole(&elsewhere)), ["D805", "D304"]);
}

#[test]
fn a_project_sets_how_much_a_warning_weighs_and_cannot_silence_an_error() {
    use d365map::check::{Input, compile_with};
    use d365map::diagnostics::{Code, Level, Levels, Severity};
    let text = super::support::whole("familystatuscode -> salutation\nreplace familystatuscode { Single => \"S\" }\nlastname -> lastNam");
    let with = |level| {
        let input = Input { name: "a.d365map".to_owned(), bytes: text.clone().into_bytes() };
        let levels = Levels::from([(Code::D304, level), (Code::D104, Level::Off)]);
        compile_with(vec![input], super::support::catalogue(), &levels).diagnostics
    };
    let found = |level| with(level).iter().map(|d| (d.code, d.severity)).collect::<Vec<_>>();
    assert_eq!(found(Level::Error), [(Code::D304, Severity::Error), (Code::D104, Severity::Error)]);
    assert_eq!(found(Level::Off), [(Code::D104, Severity::Error)]);
}

#[test]
fn reconcile_takes_an_interval_between_an_hour_and_ten_years() {
    let plan = plan("lastname -> lastName\noptions { reconcile every 7d }");
    assert_eq!(plan.ingress[0].policy.reconcile, Some(7 * 86_400));
    for wrong in ["reconcile every", "reconcile never", "reconcile every 59m", "reconcile every 3651d", "deletes every 7d"] {
        assert_eq!(codes(&whole(&format!("lastname -> lastName\noptions {{ {wrong} }}"))), ["D108"], "{wrong}");
    }
    assert_eq!(codes(&whole("lastname -> lastName\noptions { reconcile every 7d; reconcile every 8d }")), ["D115"]);
}

#[test]
fn a_column_without_change_notices_is_a_warning_once_and_none_with_a_comparison() {
    let entries = "lastname -> lastName\nparentcustomerid -> cusOrigin | label | truncate(20)\nparentcustomerid -> cusNote | label";
    let found = compiled(&whole(entries)).diagnostics;
    assert_eq!(found.iter().map(|d| d.code.name()).collect::<Vec<_>>(), ["D126"]);
    assert!(codes(&whole(&format!("{entries}\noptions {{ reconcile every 1h }}"))).is_empty());
    // A filter reads it too, and the id of a lookup is stored in the record itself.
    assert!(codes(&whole("parentcustomerid -> cusNote | string")).is_empty());
    for derived in d365map::schema::Derived::ALL {
        let mut catalogue = d365map::schema::Catalogue::builtin().clone();
        let id = d365map::schema::TableId::new(d365map::schema::SystemId::D365, "contact");
        let mut table = catalogue.get(&id).expect("contacts").as_ref().clone();
        table.fields["creditlimit"].derived = Some(derived);
        catalogue.insert(table);
        let text = whole("lastname -> lastName\nfilter all { creditlimit > 5 }");
        assert_eq!(codes_with(&text, &catalogue), ["D126"], "{}", derived.name());
    }
}
