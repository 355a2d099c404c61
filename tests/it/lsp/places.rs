//! Completion in texts and comments, ranked fields, hover on options, folding, and files that are not saved yet.

use serde_json::{Value, json};

use super::{FILE, Session, address, codes, position};

const HEAD: &str = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n";

/// The items that are offered at `§`.
fn items(s: &mut Session, text: &str) -> Vec<Value> {
    let at = text.find('§').expect("a cursor");
    let plain = text.replace('§', "");
    s.client.change(&s.uri, &plain);
    let params = json!({ "textDocument": { "uri": s.uri }, "position": position(&plain, at) });
    s.client.request("textDocument/completion", params).as_array().expect("a list").clone()
}

fn named<'i>(items: &'i [Value], label: &str) -> &'i Value {
    items.iter().find(|item| item["label"] == label).unwrap_or_else(|| panic!("{label} is not offered: {items:?}"))
}

#[test]
fn texts_and_comments_offer_what_they_can_have() {
    let mut s = Session::new(FILE);
    let mut at = |text: &str, wanted: &[&str], unwanted: &[&str]| {
        let list = s.offered(text);
        assert!(wanted.iter().all(|w| list.iter().any(|l| l == w)), "{text}\n{list:?}");
        assert!(unwanted.iter().all(|u| !list.iter().any(|l| l == u)), "{text}\n{list:?}");
    };
    at(&format!("let origin = \"crm\"\n{HEAD}  $§\n}}"), &["$origin"], &["firstname"]);
    at(&format!("let origin = \"crm\"\n{HEAD}  lastname -> lastName | default($or§)\n}}"), &["$origin"], &["firstname"]);
    at(&format!("{HEAD}  \"Dear {{§\n}}"), &["firstname", "lastname"], &["firstName", "key"]);
    at(&format!("{HEAD}  \"Dear {{firstname}} {{last§}}\" -> salutation\n}}"), &["lastname"], &[]);
    at(&format!("{HEAD}  \"Dear §\" -> salutation\n}}"), &[], &["lastname"]);
    at(&format!("{HEAD}  lastname -> lastName # allow(§\n}}"), &["D304", "D215"], &["D103"]);
    at(&format!("{HEAD}  lastname -> lastName # a comment §\n}}"), &[], &["D304"]);
    at(&format!("{HEAD}  filter all {{ statecode = \"§\" }}\n}}"), &["Active"], &["firstname"]);
    at(&format!("{HEAD}  createdon -> birthDate | date(\"§\")\n}}"), &["Europe/Vienna"], &["DE"]);
    at(&format!("{HEAD}  createdon -> salutation | format(\"dd.MM.yyyy\", \"§\")\n}}"), &["Europe/Vienna"], &[]);
    at(&format!("{HEAD}  createdon -> salutation | format(\"§\")\n}}"), &[], &["Europe/Vienna"]);
    at(&format!("{HEAD}  telephone1 -> phone | phone(\"§\")\n}}"), &["DE", "AT"], &["Europe/Vienna"]);
    at("let origin = §", &["text", "true"], &["d365"]);
}

#[test]
fn include_offers_the_other_files_of_the_folder() {
    let mut s = Session::new(FILE);
    std::fs::write(s.folder.path().join("words.d365map"), "let other = 1\n").expect("a file");
    assert_eq!(s.offered("include \"§\"\n"), ["words.d365map"]);
}

#[test]
fn a_finished_source_or_target_offers_what_can_follow() {
    let mut s = Session::new(FILE);
    assert_eq!(s.offered(&format!("{HEAD}  firstname §\n}}")), ["->"]);
    assert_eq!(s.offered(&format!("{HEAD}  firstname -> firstName §\n}}")), ["|", "@initial", "@present"]);
    assert_eq!(s.offered(&format!("{HEAD}  firstname -> firstName | trim §\n}}")), ["or", "|", "@initial", "@present"]);
    let two_way = "mapping deals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n";
    assert_eq!(s.offered(&format!("{two_way}  name §\n}}")), ["->", "<-", "<->"]);
    assert_eq!(s.offered(&format!("{two_way}  name -> name §\n}}")), ["|"]);
}

#[test]
fn targets_are_ranked_by_name_and_type_and_come_with_the_steps_that_make_them_fit() {
    let mut s = Session::new(FILE);
    let list = items(&mut s, &format!("{HEAD}  firstname -> §\n}}"));
    let rank = |label: &str| named(&list, label)["sortText"].as_str().expect("a rank").to_owned();
    let best = list.iter().min_by_key(|item| item["sortText"].as_str().map(str::to_owned)).expect("a target");
    assert_eq!(best["label"], "firstName");
    assert!(rank("lastName") < rank("birthDate"), "a text fits another text better than a date");
    assert_eq!(named(&list, "firstName")["insertText"], "firstName | truncate(30)");
    assert_eq!(named(&list, "birthDate")["insertText"], "birthDate | date or null");
    let list = items(&mut s, &format!("{HEAD}  createdon -> §\n}}"));
    assert_eq!(named(&list, "birthDate")["insertText"], "birthDate | date");
}

#[test]
fn steps_are_those_that_take_the_type_of_the_field() {
    let mut s = Session::new(FILE);
    let list = s.offered(&format!("{HEAD}  gendercode -> salutation | §\n}}"));
    assert!(list.contains(&"label".to_owned()) && list.contains(&"default".to_owned()) && !list.contains(&"trim".to_owned()), "{list:?}");
    let list = s.offered(&format!("{HEAD}  createdon -> salutation | §\n}}"));
    assert!(list.contains(&"format".to_owned()) && !list.contains(&"phone".to_owned()), "{list:?}");
    // What a step makes of a value is not known here, so every step is offered after it.
    let list = s.offered(&format!("{HEAD}  createdon -> salutation | format(\"yyyy\") | §\n}}"));
    assert!(list.contains(&"truncate".to_owned()), "{list:?}");
}

#[test]
fn tests_offer_what_the_mapping_reads_and_writes() {
    let mut s = Session::new(FILE);
    let mapping = format!("{HEAD}  firstname -> firstName | truncate(30)\n  filter all {{ statecode = Active }}\n}}\n");
    let given = s.offered(&format!("{mapping}test contacts \"x\" {{\n  given {{ § }}\n}}"));
    assert_eq!(given, ["contactid", "firstname", "statecode"]);
    let expected = s.offered(&format!("{mapping}test contacts \"x\" {{\n  expect {{ § }}\n}}"));
    assert_eq!(expected, ["externalId", "firstName"]);
}

#[test]
fn hover_explains_options_and_flags() {
    let text = format!("{HEAD}  lastname -> lastName @present\n  options {{ deletes propagate }}\n}}\n");
    let mut s = Session::new(&text);
    let mut hover = |needle: &str| s.at("textDocument/hover", needle)["contents"]["value"].as_str().unwrap_or_default().to_owned();
    assert!(hover("@pre§sent").starts_with("`@present`: if the value is empty"));
    assert!(hover("del§etes").starts_with("`deletes`: what happens to the target record"));
    assert!(hover("propa§gate").starts_with("`deletes`:"));
    assert_eq!(hover("->§ lastName"), "");
}

#[test]
fn blocks_and_comments_of_several_lines_can_be_folded() {
    let text = format!("# one\n# two\n{HEAD}  filter all {{\n    statecode = Active\n  }}\n  lastname -> lastName\n}}\n");
    let mut s = Session::new(&text);
    let params = json!({ "textDocument": { "uri": s.uri } });
    let folds = s.client.request("textDocument/foldingRange", params);
    let lines = |fold: &Value| (fold["startLine"].as_u64().expect("a line"), fold["endLine"].as_u64().expect("a line"));
    assert_eq!(folds.as_array().expect("a list").iter().map(lines).collect::<Vec<_>>(), [(0, 1), (2, 7), (4, 5)]);
    assert_eq!(folds[0]["kind"], "comment");
}

#[test]
fn the_first_file_of_a_project_has_its_schemas_before_it_is_saved() {
    let mut s = Session::new(FILE);
    let project = s.folder.path().join("project");
    std::fs::create_dir_all(project.join("schemas")).expect("a folder");
    std::fs::create_dir_all(project.join("mappings")).expect("a folder");
    std::fs::write(project.join("d365map.yaml"), "version: 1\n").expect("a file");
    std::fs::write(
        project.join("schemas/campaign.cusCar.yaml"),
        "version: 1\ntable: campaign.cusCar\nlabel: Car\ncollection: cusCar\nprimary-key: PKey\nalternate-keys: { key: [cusId] }\nfields:\n  PKey: { type: string, read-only: true }\n  cusId: { type: string, max: 36 }\n  cusName: { type: string, max: 200 }\n",
    )
    .expect("a file");
    let uri = address(&project.join("mappings/cars.d365map"));
    s.client.open(&uri, "mapping cars: d365.account -> campaign.cusCar {\n  key accountid -> cusId\n  name -> cusName\n}\n");
    let found = s.client.settled(&uri);
    assert_eq!(codes(&found), [""; 0], "{found}");
}
