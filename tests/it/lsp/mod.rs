//! The language server, by whole sessions of a client over its standard streams.

mod client;
mod places;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use client::Client;

const FILE: &str = "let origin = \"crm\"

mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname  -> firstName | truncate(30)
  gendercode -> gender
  $origin    -> salutation

  replace gendercode {
    null => male
    else => unknown
  }
  filter all { statecode = Active }
}

test contacts \"a name\" {
  given { firstname: \"Ada\" }
  expect { firstName: \"Ada\" }
}
";

/// A folder with one file, opened in a session.
struct Session {
    folder: tempfile::TempDir,
    client: Client,
    uri: String,
    text: String,
}

impl Session {
    fn new(text: &str) -> Session {
        Session::with(text, &["utf-16"])
    }

    fn with(text: &str, encodings: &[&str]) -> Session {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.d365map");
        std::fs::write(&path, text).expect("a file");
        let uri = address(&path);
        let mut client = Client::start(folder.path(), encodings);
        client.open(&uri, text);
        Session { folder, client, uri, text: text.to_owned() }
    }

    /// The position of a mark `§` in a text; without it, of the n-th occurrence's beginning.
    fn position(&self, needle: &str) -> Value {
        let at = self.text.find(&needle.replace('§', "")).unwrap_or_else(|| panic!("{needle} is not in the text"));
        position(&self.text, at + needle.find('§').unwrap_or(0))
    }

    fn at(&mut self, method: &str, needle: &str) -> Value {
        let params = json!({ "textDocument": { "uri": self.uri }, "position": self.position(needle) });
        self.client.request(method, params)
    }

    /// The labels that are offered at `§` in a text that replaces the file's.
    fn offered(&mut self, text: &str) -> Vec<String> {
        let at = text.find('§').expect("a cursor");
        let plain = text.replace('§', "");
        self.client.change(&self.uri, &plain);
        let params = json!({ "textDocument": { "uri": self.uri }, "position": position(&plain, at) });
        let items = self.client.request("textDocument/completion", params);
        items.as_array().expect("a list").iter().map(|i| i["label"].as_str().expect("a label").to_owned()).collect()
    }
}

fn address(path: &Path) -> String {
    url::Url::from_file_path(path).expect("a full path").to_string()
}

fn position(text: &str, at: usize) -> Value {
    let before = &text[..at];
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count();
    json!({ "line": line, "character": column })
}

fn codes(findings: &Value) -> Vec<&str> {
    findings.as_array().expect("a list").iter().map(|d| d["code"].as_str().expect("a code")).collect()
}

#[test]
fn findings_come_as_one_types_and_go_when_they_are_fixed_or_closed() {
    let mut s = Session::new(FILE);
    assert_eq!(s.client.findings(&s.uri), json!([]));
    let wrong = FILE.replace("firstname  ->", "firstnmae  ->");
    s.client.change(&s.uri, &wrong);
    let found = s.client.findings(&s.uri);
    assert_eq!(codes(&found), ["D103"]);
    assert_eq!(found[0]["range"], json!({ "start": { "line": 4, "character": 2 }, "end": { "line": 4, "character": 11 } }));
    assert!(found[0]["message"].as_str().is_some_and(|m| m.contains("did you mean `firstname`?")));
    // An edit of a range instead of the whole text.
    let range = json!({ "start": { "line": 4, "character": 8 }, "end": { "line": 4, "character": 10 } });
    s.client.notify(
        "textDocument/didChange",
        json!({ "textDocument": { "uri": s.uri, "version": 3 }, "contentChanges": [{ "range": range, "text": "am" }] }),
    );
    assert_eq!(s.client.findings(&s.uri), json!([]));
    s.client.change(&s.uri, "mapping");
    assert_eq!(codes(&s.client.findings(&s.uri)), ["D008"]);
    s.client.notify("textDocument/didClose", json!({ "textDocument": { "uri": s.uri } }));
    assert_eq!(s.client.findings(&s.uri), json!([]));
    assert_eq!(s.client.stop(), 0);
}

#[test]
fn findings_of_included_files_use_what_the_editor_has_open() {
    let mut s = Session::new(
        "include \"words.d365map\"\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  $origin -> salutation\n}\n",
    );
    assert_eq!(codes(&s.client.settled(&s.uri)), ["D118", "D116"]);
    let other = s.folder.path().join("words.d365map");
    std::fs::write(&other, "let other = 1\n").expect("a file");
    s.client.open(&address(&other), "let origin = \"crm\"\n");
    s.client.settled(&address(&other));
    s.client.notify("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert_eq!(s.client.settled(&s.uri), json!([]));
}

#[test]
fn tables_of_files_are_completed_explained_found_and_read_again_when_they_change() {
    let text = "table names from \"names.csv\" { key code }\n\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  nickname -> middleName | lookup names.text or null\n}\n";
    let mut s = Session::new(text);
    assert_eq!(codes(&s.client.settled(&s.uri)), ["D321"]);
    std::fs::write(s.folder.path().join("names.csv"), "code,text\na,Ada\n").expect("a file");
    s.client.notify("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert_eq!(s.client.settled(&s.uri), json!([]));
    let hover = s.at("textDocument/hover", "lookup na§mes")["contents"]["value"].as_str().expect("a text").to_owned();
    assert!(hover.contains("1 row of `names.csv`") && hover.contains("`code`: key"), "{hover}");
    assert!(s.at("textDocument/hover", "names.te§xt")["contents"]["value"].as_str().is_some_and(|t| t.starts_with("column `text`")));
    for place in ["lookup na§mes", "names.te§xt"] {
        let found = s.at("textDocument/definition", place);
        assert_eq!(found[0]["range"]["start"], json!({ "line": 0, "character": 6 }), "{place}: {found}");
    }
    let head = "table names from \"names.csv\" { key code }\nmapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n";
    let offered = |s: &mut Session, line: &str| s.offered(&format!("{head}  {line}\n}}"));
    assert_eq!(offered(&mut s, "nickname -> middleName | lookup §"), ["names"]);
    assert_eq!(offered(&mut s, "nickname -> middleName | lookup names.§"), ["code", "text"]);
    assert_eq!(offered(&mut s, "lookup(names.§"), ["code", "text"]);
    assert!(offered(&mut s, "lookup(names.text, §").contains(&"nickname".to_owned()));
    assert_eq!(s.offered("table names from \"names.csv\" { key § }"), ["code", "text"]);
    assert_eq!(s.client.stop(), 0);
}

#[test]
fn completion_knows_what_is_allowed_at_each_place() {
    let mut s = Session::new(FILE);
    let head = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n";
    let has = |list: &[String], wanted: &[&str]| wanted.iter().all(|w| list.iter().any(|l| l == w));
    let mut at = |text: String, wanted: &[&str], unwanted: &[&str]| {
        let list = s.offered(&text);
        assert!(has(&list, wanted), "{text}\n{list:?}");
        assert!(unwanted.iter().all(|u| !list.iter().any(|l| l == u)), "{text}\n{list:?}");
    };
    at("§".into(), &["mapping", "test", "let"], &["firstname"]);
    at("mapping a: §".into(), &["d365", "campaign"], &[]);
    at("mapping a: d365.§".into(), &["contact", "opportunity"], &["profile"]);
    at("mapping a: d365.contact -> campaign.§".into(), &["profile"], &["contact"]);
    at(format!("{head}  §\n}}"), &["firstname", "replace", "coalesce"], &["firstName"]);
    at(format!("{head}  first§\n}}"), &["firstname"], &["firstName"]);
    at(format!("{head}  firstname -> §\n}}"), &["firstName", "location"], &["firstname", "age"]);
    at(format!("{head}  address1_city -> location.§\n}}"), &["city", "countryCode"], &["firstName"]);
    at(format!("{head}  firstname -> firstName | §\n}}"), &["trim", "truncate", "phone"], &["firstName"]);
    at(format!("{head}  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or §\n}}"), &["null", "reject"], &[]);
    at(format!("{head}  firstname -> firstName | truncate(30) @§\n}}"), &["initial", "present"], &[]);
    at(format!("{head}  gendercode -> gender\n  replace gendercode {{\n    §\n  }}\n}}"), &["Male", "Female", "else"], &["male"]);
    at(format!("{head}  gendercode -> gender\n  replace gendercode {{\n    Male => §\n  }}\n}}"), &["male", "unknown", "keep"], &["Male"]);
    at(format!("{head}  gendercode -> gender | map {{ Male => male; § }}\n}}"), &["Female", "null"], &[]);
    at(format!("{head}  filter all {{\n    §\n  }}\n}}"), &["statecode", "not", "any"], &["firstName"]);
    at(format!("{head}  filter all {{\n    statecode = §\n  }}\n}}"), &["Active", "Inactive"], &["true"]);
    at(format!("{head}  filter all {{\n    createdon §\n  }}\n}}"), &[">=", "changed within"], &["contains"]);
    at(format!("{head}  filter all {{\n    statecode = Active §\n  }}\n}}"), &["and", "or"], &["statecode"]);
    at(format!("{head}  filter all {{\n    statecode = Active and §\n  }}\n}}"), &["gendercode", "not"], &["and"]);
    at(format!("{head}  filter all {{\n    createdon between now - 3d and now or (lastname §\n  }}\n}}"), &["starts with"], &[">="]);
    at(format!("{head}  filter all {{\n    lastname = §\n  }}\n}}"), &["firstname"], &["lastname", "birthdate"]);
    at(format!("{head}  case {{\n    §\n  }} -> salutation\n}}"), &["gendercode", "else", "any"], &["key"]);
    at(format!("{head}  case {{\n    gendercode = §\n  }} -> salutation\n}}"), &["Male"], &["key"]);
    at(format!("{head}  case {{\n    gendercode = Male => §\n  }} -> salutation\n}}"), &["firstname", "null", "reject"], &["key", "Male"]);
    at(format!("{head}  when §\n}}"), &["gendercode", "not"], &["key"]);
    at(format!("{head}  when donotemail = true {{\n    §\n  }}\n}}"), &["firstname", "coalesce"], &["firstName"]);
    at(format!("{head}  numberofchildren -> salutation | map {{ § }}\n}}"), &["else"], &["key"]);
    at(
        format!("{head}  numberofchildren -> salutation\n  replace numberofchildren {{ § }}\n}}"),
        &["else", "between", "<"],
        &["is present"],
    );
    at(format!("{head}  = §\n}}"), &["numberofchildren", "min"], &["firstname", "concat", "key"]);
    at(format!("{head}  = numberofchildren * (2 + §\n}}"), &["creditlimit", "abs"], &["lastname"]);
    at(format!("{head}  = numberofchildren §\n}}"), &["*", "or"], &["creditlimit"]);
    at(format!("{head}  = 2 / numberofchildren or §\n}}"), &["null", "reject"], &["keep"]);
    at(format!("{head}  = 2 / 3 | §\n}}"), &["round"], &["firstname"]);
    at(format!("{head}  = 2 / 3 -> §\n}}"), &["firstName"], &["firstname"]);
    at(format!("{head}  case {{\n    gendercode = Male => = §\n  }} -> salutation\n}}"), &["creditlimit", "max"], &["key"]);
    // A list goes on in the next line; a parenthesis that is not closed yet takes nothing from the entries below it.
    at(format!("{head}  filter all {{\n    gendercode in (\n      Male,\n      §\n    )\n  }}\n}}"), &["Female"], &["statecode"]);
    at(format!("{head}  coalesce(\n    firstname,\n    §\n  ) -> firstName\n}}"), &["nickname"], &["replace"]);
    at(format!("{head}  firstname -> firstName | truncate(30\n  §\n}}"), &["firstname", "replace"], &[]);
    at(format!("{head}  options {{\n    §\n  }}\n}}"), &["deletes", "picklists"], &["scope"]);
    at(format!("{head}  options {{\n    deletes §\n  }}\n}}"), &["ignore", "propagate"], &["keep"]);
    at(format!("{head}}}\ntest §"), &["contacts"], &[]);
    at(format!("{head}}}\ntest contacts \"x\" {{\n  given {{ gendercode: § }}\n}}"), &["Male"], &["male"]);
    at(format!("{head}}}\ntest contacts \"x\" {{\n  expect {{ gender: § }}\n}}"), &["male"], &["Male"]);
    let two_way = "mapping deals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n}\n";
    at(format!("{two_way}test deals \"x\" {{\n  given §\n}}"), &["partner", "d365"], &["filtered", "campaign"]);
    at(format!("{two_way}test deals \"x\" {{\n  given d365 {{ § }}\n}}"), &["estimatedvalue"], &["details"]);
    at(format!("{two_way}test deals \"x\" {{\n  expect partner {{ status: § }}\n}}"), &["Closed"], &["Won"]);
    at(format!("{head}}}\noptout contacts {{\n  donotemail <-> §\n}}"), &["denyListEmail", "not"], &["firstName"]);
    at(format!("{head}}}\noptout contacts {{\n  direction §\n}}"), &["bidirectional"], &[]);
    at(format!("{head}  # a comment §\n}}"), &[], &["firstname"]);
}

#[test]
fn a_step_is_offered_for_the_type_that_the_value_has_there() {
    let mut s = Session::new(FILE);
    let head = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n";
    let mut at = |entry: &str, wanted: &[&str], unwanted: &[&str]| {
        let text = format!("{head}  {entry}\n}}");
        let list = s.offered(&text);
        assert!(wanted.iter().all(|w| list.iter().any(|l| l == w)), "{text}\n{list:?}");
        assert!(unwanted.iter().all(|u| !list.iter().any(|l| l == u)), "{text}\n{list:?}");
    };
    at("jobtitle -> lastName | trim | §", &["truncate", "number"], &["round", "join", "local"]);
    at("jobtitle -> lastName | integer or null | §", &["round", "default"], &["trim", "truncate"]);
    at("birthdate -> lastName | format(\"yyyy\") | §", &["truncate"], &["format", "round"]);
    at("jobtitle -> birthDate | date(\"dd.MM.yyyy\") or null | §", &["format"], &["trim", "upper"]);
    at("createdon -> lastName | local(\"Europe/Vienna\") | §", &["format"], &["trim", "local"]);
    // The values of a function, a text, a `case` and an argument have types too.
    at("coalesce(firstname, nickname) -> lastName | §", &["truncate"], &["round", "local"]);
    at("\"{firstname} {lastname}\" -> lastName | §", &["truncate"], &["round", "local"]);
    at("= numberofchildren * 2 -> lastName | §", &["round"], &["trim", "local"]);
    at("coalesce(birthdate | §", &["format"], &["trim", "round"]);
    at("coalesce(firstname | trim | §", &["upper"], &["round", "local"]);
    at("case {\n    statecode = Active => firstname | trim | §\n    else => null\n  } -> lastName", &["upper"], &["round"]);
    // If the type is not known, all steps are offered.
    at("jobtitle -> lastName | map somewhere | §", &["trim", "round"], &[]);
}

#[test]
fn completion_in_a_mapping_of_both_directions_knows_linked_records_and_lists() {
    let mut s = Session::new(FILE);
    let head = "mapping deals: partner.referral <-> d365.opportunity {\n  key id <-> msft_microsoftpartnercenterreferralidentifier\n";
    let has = |list: &[String], wanted: &[&str]| wanted.iter().all(|w| list.iter().any(|l| l == w));
    let mut at = |text: String, wanted: &[&str], unwanted: &[&str]| {
        let list = s.offered(&text);
        assert!(has(&list, wanted), "{text}\n{list:?}");
        assert!(unwanted.iter().all(|u| !list.iter().any(|l| l == u)), "{text}\n{list:?}");
    };
    at(format!("{head}  §\n}}"), &["name", "link", "rows"], &["estimatedvalue"]);
    at(format!("{head}  name <- §\n}}"), &["name", "description"], &["customerProfile"]);
    at(format!("{head}  name <-> §\n}}"), &["name", "description"], &["customerProfile"]);
    at(format!("{head}  link §\n}}"), &["parentaccountid"], &["name", "customerProfile"]);
    at(format!("{head}  link parentaccountid: §\n}}"), &["d365"], &["campaign"]);
    at(format!("{head}  link parentaccountid: d365.§\n}}"), &["account", "systemuser"], &["profile"]);
    at(format!("{head}  link parentaccountid: d365.account §\n}}"), &["by"], &[]);
    at(format!("{head}  link parentaccountid: d365.account by §\n}}"), &["name", "address1_postalcode"], &["estimatedvalue"]);
    at(format!("{head}  link parentaccountid: d365.account by name, §\n}}"), &["address1_postalcode"], &["estimatedvalue"]);
    at(format!("{head}  link parentaccountid: d365.account by name or §\n}}"), &["create", "null", "reject"], &["keep"]);
    let link = format!("{head}  link parentaccountid: d365.account by name or create {{\n");
    at(format!("{link}    §\n  }}\n}}"), &["customerProfile"], &["address1_city"]);
    at(format!("{link}    customerProfile.name -> §\n  }}\n}}"), &["name", "address1_city"], &["estimatedvalue", "customerProfile"]);
    at(format!("{link}    customerProfile.name <- §\n  }}\n}}"), &["name", "address1_city"], &["estimatedvalue"]);
    let rows = format!("{head}  rows details.requirements.solutions: d365.msft_microsoftpartnercentersolution by ");
    at(format!("{rows}§\n}}"), &["msft_opportunityid"], &["msft_name"]);
    at(format!("{rows}msft_opportunityid {{\n    §\n  }}\n}}"), &["id", "name", "key"], &["customerProfile", "estimatedvalue"]);
    at(format!("{rows}msft_opportunityid {{\n    name -> §\n  }}\n}}"), &["msft_name"], &["estimatedvalue"]);
    let test = format!("{head}}}\ntest deals \"one\" {{\n  ");
    let solutions = "details.requirements.solutions";
    at(format!("{test}given partner {{ {solutions} {{ §"), &["id", "name"], &["customerProfile"]);
    at(format!("{test}expect d365 {{ msft_microsoftpartnercentersolution {{ §"), &["msft_name"], &["estimatedvalue"]);
    at(format!("{head}  status <-> statecode | map {{ Active <=> § }}\n}}"), &["Open", "Won"], &[]);
}

#[test]
fn completion_shows_label_and_type_of_a_field() {
    let mut s = Session::new(FILE);
    let params = json!({ "textDocument": { "uri": s.uri }, "position": s.position("§firstname  ->") });
    let items = s.client.request("textDocument/completion", params);
    let item = items.as_array().expect("a list").iter().find(|i| i["label"] == "emailaddress1").expect("the field").clone();
    assert_eq!(item["detail"], "Email: text(100)");
}

#[test]
fn hover_says_what_a_name_is() {
    let mut s = Session::new(FILE);
    let mut text = |needle: &str| s.at("textDocument/hover", needle)["contents"]["value"].as_str().unwrap_or("nothing").to_owned();
    let shown = [
        text("first§name  ->"),
        text("-> fir§stName"),
        text("gender§code -> gender"),
        text("trun§cate"),
        text("cont§acts: d365"),
        text("$ori§gin    ->"),
        text("campaign.prof§ile"),
        text("fil§ter all"),
    ];
    insta::assert_snapshot!(shown.join("\n----\n"));
}

#[test]
fn definition_and_references_lead_to_declarations_and_uses() {
    let mut s = Session::new(FILE);
    let lines = |found: &Value| -> Vec<i64> {
        found.as_array().expect("a list").iter().map(|l| l["range"]["start"]["line"].as_i64().expect("a line")).collect()
    };
    let found = s.at("textDocument/definition", "test cont§acts");
    assert_eq!(lines(&found), [2]);
    let found = s.at("textDocument/definition", "$ori§gin    ->");
    assert_eq!(lines(&found), [0]);
    // A field's declaration is the block that replaces it.
    let found = s.at("textDocument/definition", "gender§code -> gender");
    assert_eq!(lines(&found), [8]);
    let params =
        json!({ "textDocument": { "uri": s.uri }, "position": s.position("cont§acts: d365"), "context": { "includeDeclaration": true } });
    assert_eq!(lines(&s.client.request("textDocument/references", params)), [2, 15]);
    let params =
        json!({ "textDocument": { "uri": s.uri }, "position": s.position("first§name  ->"), "context": { "includeDeclaration": false } });
    assert_eq!(lines(&s.client.request("textDocument/references", params)), [4, 16]);
}

#[test]
fn a_name_of_ours_is_changed_everywhere_and_one_of_a_system_is_not() {
    let mut s = Session::new(FILE);
    let range = s.at("textDocument/prepareRename", "$ori§gin    ->");
    assert_eq!(range["placeholder"], "origin");
    let params = json!({ "textDocument": { "uri": s.uri }, "position": s.position("cont§acts: d365"), "newName": "people" });
    let edits = s.client.request("textDocument/rename", params)["changes"][&s.uri].clone();
    let mut text = FILE.to_owned();
    for edit in edits.as_array().expect("a list").iter().rev() {
        let line = edit["range"]["start"]["line"].as_u64().expect("a line") as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let column = |end: &str| edit["range"][end]["character"].as_u64().expect("a column") as usize;
        text.replace_range(start + column("start")..start + column("end"), edit["newText"].as_str().expect("a text"));
    }
    assert_eq!(text, FILE.replace("mapping contacts", "mapping people").replace("test contacts", "test people"));
    let params = json!({ "textDocument": { "uri": s.uri }, "position": s.position("first§name  ->"), "newName": "x" });
    let answer = s.client.answer("textDocument/rename", params);
    assert!(answer["error"]["message"].as_str().is_some_and(|m| m.contains("belongs to that system")), "{answer}");
    let params = json!({ "textDocument": { "uri": s.uri }, "position": s.position("cont§acts: d365"), "newName": "not a name" });
    assert!(s.client.answer("textDocument/rename", params).get("error").is_some());
}

#[test]
fn the_outline_lists_blocks_with_their_entries() {
    let mut s = Session::new(FILE);
    let symbols = s.client.request("textDocument/documentSymbol", json!({ "textDocument": { "uri": s.uri } }));
    let names: Vec<&str> = symbols.as_array().expect("a list").iter().filter_map(|n| n["name"].as_str()).collect();
    assert_eq!(names, ["origin", "contacts", "test contacts \"a name\""]);
    let children: Vec<&str> = symbols[1]["children"].as_array().expect("a list").iter().filter_map(|n| n["name"].as_str()).collect();
    assert_eq!(children, ["key externalId", "firstName", "gender", "salutation", "replace gendercode", "filter"]);
}

#[test]
fn formatting_gives_the_form_of_the_command() {
    let mut s = Session::new(&FILE.replace("  firstname  ->", "firstname->"));
    let params = json!({ "textDocument": { "uri": s.uri }, "options": { "tabSize": 2, "insertSpaces": true } });
    let edits = s.client.request("textDocument/formatting", params);
    assert_eq!(edits[0]["newText"].as_str(), d365map::format::format(&s.text).as_deref());
    s.client.change(&s.uri, "mapping a {");
    let params = json!({ "textDocument": { "uri": s.uri }, "options": { "tabSize": 2, "insertSpaces": true } });
    assert_eq!(s.client.request("textDocument/formatting", params), Value::Null, "a faulty file is left alone");
}

#[test]
fn code_actions_fix_or_allow_a_finding() {
    let text = format!("let other = 1\n{}", FILE.replace("firstname  ->", "firstnmae  ->"));
    let mut s = Session::new(&text);
    let everything = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let params = json!({ "textDocument": { "uri": s.uri }, "range": everything, "context": { "diagnostics": [] } });
    let actions = s.client.request("textDocument/codeAction", params);
    let titles: Vec<&str> = actions.as_array().expect("a list").iter().filter_map(|a| a["title"].as_str()).collect();
    assert_eq!(titles, ["allow D801 here", "write `firstname`"]);
    let edit = |i: usize| actions[i]["edit"]["changes"][&s.uri][0]["newText"].clone();
    assert_eq!((edit(0), edit(1)), (json!("# allow(D801): reason\n"), json!("firstname")));
}

#[test]
fn semantic_tokens_and_hints_follow_what_names_stand_for() {
    let mut s = Session::new(FILE);
    let data = s.client.request("textDocument/semanticTokens/full", json!({ "textDocument": { "uri": s.uri } }))["data"].clone();
    let numbers: Vec<u64> = data.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    let lines: Vec<&str> = FILE.lines().collect();
    let (mut line, mut column, mut shown) = (0, 0, String::new());
    for token in numbers.chunks(5) {
        let [down, right, length, kind, declares] = *token else { panic!("five numbers each") };
        column = if down == 0 { column + right } else { right };
        line += down;
        let word = &lines[line as usize][column as usize..(column + length) as usize];
        let kind = ["keyword", "string", "number", "comment", "operator", "property", "function", "type", "class", "variable", "enum"]
            [kind as usize];
        shown.push_str(&format!("{}:{} {kind}{} {word}\n", line + 1, column + 1, if declares == 1 { " declared" } else { "" }));
    }
    insta::assert_snapshot!(shown);
    let range = json!({ "start": { "line": 4, "character": 0 }, "end": { "line": 4, "character": 99 } });
    let hints = s.client.request("textDocument/inlayHint", json!({ "textDocument": { "uri": s.uri }, "range": range }));
    let labels: Vec<&str> = hints.as_array().expect("a list").iter().filter_map(|h| h["label"].as_str()).collect();
    assert_eq!(labels, [": text(50)", ": text(30)"]);
}

#[test]
fn columns_are_utf_16_unless_the_client_offers_bytes() {
    let text = "mapping contacts: d365.contact -> campaign.profile {\r\n  key contactid -> externalId\r\n  \"😀é\" -> lastNam # x\r\n}\r\n";
    for (encodings, column) in [(&["utf-16"][..], 11), (&["utf-8", "utf-16"][..], 14)] {
        let mut s = Session::with(text, encodings);
        let found = s.client.findings(&s.uri);
        assert_eq!(found[0]["range"]["start"], json!({ "line": 2, "character": column }), "{encodings:?}");
    }
}

#[test]
fn after_any_edits_the_findings_are_those_of_the_command() {
    let mut s = Session::new(FILE);
    let mut text = FILE.to_owned();
    // A small local generator: the same edits in every run.
    let mut seed = 42_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as usize) % below.max(1)
    };
    let pieces = ["", "x", " ", "\n", "{", "}", "\"", "->", "firstname", "é", "😀", "# c\n", "| trim", ";", "or null", "`"];
    for _ in 0..200 {
        let boundaries: Vec<usize> = (0..=text.len()).filter(|i| text.is_char_boundary(*i)).collect();
        let from = random(boundaries.len());
        let to = (from + random(6)).min(boundaries.len() - 1);
        let (start, end) = (boundaries[from], boundaries[to]);
        let piece = pieces[random(pieces.len())];
        let range = json!({ "start": position(&text, start), "end": position(&text, end) });
        s.client.notify(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": s.uri, "version": 2 }, "contentChanges": [{ "range": range, "text": piece }] }),
        );
        text.replace_range(start..end, piece);
    }
    let findings = s.client.settled(&s.uri);
    std::fs::write(s.folder.path().join("a.d365map"), &text).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_d365map"))
        .args(["check", "--format", "json", "a.d365map"])
        .current_dir(s.folder.path())
        .output()
        .expect("it runs");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected: Vec<&str> = document["diagnostics"].as_array().expect("a list").iter().filter_map(|d| d["code"].as_str()).collect();
    assert_eq!(codes(&findings), expected, "{text}");
    assert!(!expected.is_empty());
}

#[test]
fn unknown_requests_and_wrong_parameters_are_refused_and_the_session_goes_on() {
    let mut s = Session::new(FILE);
    assert_eq!(s.client.answer("textDocument/moniker", json!({}))["error"]["code"], -32601);
    assert_eq!(s.client.answer("textDocument/hover", json!({ "x": 1 }))["error"]["code"], -32602);
    let missing = json!({ "textDocument": { "uri": "file:///nowhere/b.d365map" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(s.client.answer("textDocument/hover", missing)["error"]["code"], -32602);
    s.client.notify("textDocument/didChange", json!({ "nonsense": true }));
    assert_eq!(s.client.settled(&s.uri), json!([]));
    assert_eq!(s.client.stop(), 0);
}

#[test]
fn the_exit_status_says_whether_the_session_ended_in_order() {
    assert_eq!(Session::new(FILE).client.stop(), 0);
    assert_eq!(Session::new(FILE).client.vanish(), 1);
    let mut s = Session::new(FILE);
    s.client.notify("exit", Value::Null);
    assert_eq!(s.client.vanish(), 1);
}

#[test]
fn after_a_lookup_the_columns_of_its_record_or_the_names_of_its_tables_are_offered() {
    let mut s = Session::new(FILE);
    let head = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n";
    let mut offered = |line: &str| s.offered(&format!("{head}  {line}\n}}\n"));
    let has = |list: &[String], name: &str| list.iter().any(|label| label == name);
    let users = offered("owninguser.§");
    assert!(has(&users, "internalemailaddress") && !has(&users, "emailaddress1"), "{users:?}");
    assert_eq!(offered("parentcustomerid.§"), ["account", "contact"]);
    assert!(has(&offered("parentcustomerid.account.§"), "accountnumber"));
    assert!(has(&offered("masterid.owninguser.§"), "domainname"));
    assert!(has(&offered("nickname -> middleName | coalesce(owninguser.§"), "domainname"));
    assert!(has(&offered("filter all { owninguser.§ }"), "domainname"));
    assert!(has(&offered("filter all { parentcustomerid.account.statecode § }"), "="));
    assert!(has(&offered("filter all { parentcustomerid.account.statecode = § }"), "Active"));
    assert!(has(&offered("case { owninguser.§"), "domainname"));
    assert!(has(&offered("= parentcustomerid.account.§"), "accountnumber"));
    assert!(has(&offered("\"by {owninguser.§}\" -> middleName"), "domainname"));
    assert!(offered("lastname.§").is_empty());
}

#[test]
fn the_names_of_a_path_through_lookups_say_what_they_stand_for() {
    let mut s = Session::new(
        "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  parentcustomerid.account.accountnumber -> middleName\n}\n",
    );
    let mut hover = |needle: &str| s.at("textDocument/hover", needle)["contents"]["value"].as_str().unwrap_or_default().to_owned();
    assert!(hover("parentcustomerid").contains("`d365.contact.parentcustomerid`"));
    assert!(hover("account.accountnumber").contains("`d365.account`"));
    assert!(hover("accountnumber").contains("`d365.account.accountnumber`") && hover("accountnumber").contains("text(20)"));
}
