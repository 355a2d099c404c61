//! `$batch` and the bulk messages of the emulated Dataverse.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, refused};

const THIRD_ID: &str = "c0000000-0000-4000-8000-000000000003";
const ACCOUNT: &str = "a0000000-0000-4000-8000-000000000001";

/// One operation as a part, with the boundary that begins it.
fn part(boundary: &str, content_id: Option<u32>, line: &str, headers: &str, body: Option<Value>) -> String {
    let id = content_id.map_or(String::new(), |id| format!("Content-ID: {id}\r\n"));
    let head = format!(
        "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{id}\r\n{line} HTTP/1.1\r\n{headers}"
    );
    match body {
        Some(body) => format!("{head}Content-Type: application/json; type=entry\r\n\r\n{body}\r\n"),
        None => format!("{head}\r\n"),
    }
}

fn change_set(parts: &[String]) -> String {
    format!("--b\r\nContent-Type: multipart/mixed; boundary=\"c\"\r\n\r\n{}--c--\r\n\r\n", parts.concat())
}

struct Sent {
    status: u16,
    content_type: String,
    text: String,
}

impl Sent {
    fn statuses(&self) -> Vec<u16> {
        self.text.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).filter_map(|line| line[..3].parse().ok()).collect()
    }
}

async fn send(bench: &Bench, parts: &[String], prefer: &str) -> Sent {
    let mut request = bench.dv(Method::POST, "$batch").header("Content-Type", "multipart/mixed; boundary=\"b\"");
    if !prefer.is_empty() {
        request = request.header("Prefer", prefer);
    }
    let answer = request.body(format!("{}--b--\r\n", parts.concat())).send().await.unwrap();
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    Sent { status: answer.status().as_u16(), content_type, text: answer.text().await.unwrap() }
}

async fn names(bench: &Bench) -> Vec<String> {
    let rows = bench.look("dump/contacts").await;
    rows.as_array().unwrap().iter().map(|row| row["lastname"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_batch_answers_each_part_in_order_in_the_documented_shape() {
    let bench = Bench::new().await;
    let root = format!("{}/api/data/v9.2", bench.running.dataverse_url());
    let parts = [
        part("b", None, "POST /api/data/v9.2/contacts", "", Some(json!({"contactid": ID, "lastname": "Ä"}))),
        part("b", None, &format!("GET {root}/contacts?$select=lastname&$filter=lastname eq 'ä'"), "Accept: application/json\r\n", None),
        part("b", None, &format!("PATCH contacts({ID})"), "If-Match: *\r\n", Some(json!({"lastname": "B"}))),
        part("b", None, &format!("DELETE /api/data/v9.2/contacts({ID})"), "", None),
    ];
    let sent = send(&bench, &parts, "").await;
    assert_eq!((sent.status, sent.statuses()), (200, vec![204, 200, 204, 204]), "{}", sent.text);
    let boundary = sent.content_type.strip_prefix("multipart/mixed; boundary=batchresponse_").expect("a boundary");
    assert!(sent.text.ends_with(&format!("--batchresponse_{boundary}--\r\n")));
    let first = format!(
        "--batchresponse_{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 204 No Content\r\nLocation: \
         {root}/contacts({ID})\r\nOData-EntityId: {root}/contacts({ID})\r\nOData-Version: 4.0\r\n\r\n\r\n--batchresponse_"
    );
    assert!(sent.text.starts_with(&first), "{}", sent.text);
    assert!(sent.text.contains("\"lastname\":\"Ä\""), "{}", sent.text);
    assert_eq!(bench.look("dump/contacts").await, json!([]));
    assert_eq!(bench.look("stats").await["operations"]["dataverse"], 4);
}

#[tokio::test]
async fn a_batch_stops_at_the_first_failure_with_its_status_unless_told_to_go_on() {
    let bench = Bench::new().await;
    let parts = || {
        [
            part("b", None, "POST contacts", "", Some(json!({"lastname": "before"}))),
            part("b", None, "POST contacts", "", Some(json!({"lastname": "x".repeat(51)}))),
            part("b", None, "POST contacts", "", Some(json!({"lastname": "after"}))),
        ]
    };
    let sent = send(&bench, &parts(), "").await;
    assert_eq!((sent.status, sent.statuses()), (400, vec![204, 400]));
    assert!(sent.text.contains("REQ_ID: ") && sent.text.contains("exceeded the maximum allowed length of '50'"), "{}", sent.text);
    assert_eq!(names(&bench).await, ["before"], "what came before stays");
    let sent = send(&bench, &parts(), "odata.continue-on-error").await;
    assert_eq!((sent.status, sent.statuses()), (200, vec![204, 400, 204]));
    assert_eq!(names(&bench).await.len(), 3);
}

#[tokio::test]
async fn a_change_set_is_done_as_a_whole_or_not_at_all() {
    let bench = Bench::new().await;
    bench.contact(OTHER_ID, json!({"lastname": "old"})).await;
    bench.contact(THIRD_ID, json!({"lastname": "doomed"})).await;
    let before = bench.look("dump/contacts?system=true").await;
    let set = |last: Value| {
        change_set(&[
            part("c", Some(1), "POST contacts", "", Some(json!({"contactid": ID, "lastname": "new"}))),
            part("c", Some(2), &format!("PATCH contacts({OTHER_ID})"), "", Some(json!({"lastname": "changed"}))),
            part("c", Some(3), &format!("DELETE contacts({THIRD_ID})"), "", None),
            part("c", Some(4), "POST contacts", "", Some(last)),
        ])
    };
    let sent = send(&bench, &[set(json!({"nosuch": 1}))], "").await;
    assert_eq!((sent.status, sent.statuses()), (400, vec![400]), "{}", sent.text);
    assert!(sent.text.contains("boundary=changesetresponse_") && sent.text.contains("Content-ID: 4\r\n"), "{}", sent.text);
    assert_eq!(bench.look("dump/contacts?system=true").await, before);
    // Going on after errors is between sets, never within one.
    let after = part("b", None, "POST contacts", "", Some(json!({"lastname": "after"})));
    let sent = send(&bench, &[set(json!({"nosuch": 1})), after], "odata.continue-on-error").await;
    assert_eq!((sent.status, sent.statuses()), (200, vec![400, 204]));
    let sent = send(&bench, &[set(json!({"lastname": "last"}))], "").await;
    assert_eq!((sent.status, sent.statuses()), (200, vec![204; 4]));
    for id in 1..=4 {
        assert!(sent.text.contains(&format!("Content-ID: {id}\r\n")), "{}", sent.text);
    }
    let mut names = names(&bench).await;
    names.sort();
    assert_eq!(names, ["after", "changed", "last", "new"]);
}

#[tokio::test]
async fn a_rolled_back_change_set_leaves_no_trace_in_a_delta() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let page = super::ok(bench.dv(Method::GET, "contacts?$select=lastname").header("Prefer", "odata.track-changes")).await;
    let link = page["@odata.deltaLink"].as_str().unwrap().to_owned();
    let set = change_set(&[
        part("c", Some(1), &format!("DELETE contacts({ID})"), "", None),
        part("c", Some(2), &format!("PATCH contacts({ID})"), "If-Match: *\r\n", Some(json!({"lastname": "B"}))),
    ]);
    assert_eq!(send(&bench, &[set], "").await.statuses(), [404]);
    assert_eq!(bench.get(&link).await["value"], json!([]));
}

#[tokio::test]
async fn content_ids_stand_for_rows_in_urls_and_binds_of_the_same_change_set() {
    let bench = Bench::new().await;
    let set = change_set(&[
        part("c", Some(1), "POST accounts", "", Some(json!({"accountid": ACCOUNT, "name": "Adatum"}))),
        part("c", Some(2), "POST contacts", "", Some(json!({"contactid": ID, "parentcustomerid_account@odata.bind": "$1"}))),
        part("c", Some(3), "PATCH $2", "If-Match: *\r\n", Some(json!({"lastname": "bound"}))),
        part("c", Some(4), "PATCH /api/data/v9.2/$1", "", Some(json!({"name": "Adatum 2"}))),
    ]);
    let sent = send(&bench, &[set], "").await;
    assert_eq!(sent.statuses(), [204; 4], "{}", sent.text);
    let row = bench.get(&format!("contacts({ID})?$select=lastname,_parentcustomerid_value")).await;
    assert_eq!((&row["lastname"], &row["_parentcustomerid_value"]), (&json!("bound"), &json!(ACCOUNT)));
    let forward = change_set(&[
        part("c", Some(1), "POST contacts", "", Some(json!({"parentcustomerid_account@odata.bind": "$2"}))),
        part("c", Some(2), "POST accounts", "", Some(json!({"name": "late"}))),
    ]);
    let sent = send(&bench, &[forward], "").await;
    assert_eq!(sent.status, 400);
    assert!(sent.text.contains("Content-ID Reference: '$2' does not exist in the batch context."), "{}", sent.text);
    let outside = part("b", None, "PATCH $1", "", Some(json!({"lastname": "x"})));
    let sent = send(&bench, &[outside], "").await;
    assert!(sent.status == 404 && sent.text.contains("Resource not found for the segment '$1'"), "{}", sent.text);
}

#[tokio::test]
async fn a_malformed_batch_does_nothing() {
    let bench = Bench::new().await;
    let create = part("b", None, "POST contacts", "", Some(json!({"lastname": "A"})));
    let too_many: Vec<String> = (0..1001).map(|_| part("b", None, "DELETE contacts(x)", "", None)).collect();
    let cases = [
        (vec![create.clone(), change_set(&[part("c", Some(1), "GET contacts", "", None)])], "method 'GET'"),
        (vec![create.clone(), change_set(&[part("c", None, "DELETE contacts", "", None)])], "Content-ID"),
        (vec![create.clone(), create.replace("Content-Transfer-Encoding: binary\r\n", "")], "Content-Transfer-Encoding"),
        (too_many, "too many parts"),
    ];
    for (parts, text) in cases {
        let sent = send(&bench, &parts, "odata.continue-on-error").await;
        assert!(sent.status == 400 && sent.text.contains(text), "{text}: {}", sent.text);
    }
    let json = bench.dv(Method::POST, "$batch").json(&json!({"requests": []}));
    assert_eq!(refused(json).await.0, 400);
    let cut = bench.dv(Method::POST, "$batch").header("Content-Type", "multipart/mixed; boundary=b").body(format!("{create}--b--"));
    let answer = cut.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    // An unreadable batch is answered in the form of a batch, with one part.
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("multipart/mixed; boundary=batchresponse_"));
    let text = answer.text().await.unwrap();
    assert!(text.starts_with("--batchresponse_") && text.contains("HTTP/1.1 400 Bad Request"), "{text}");
    assert!(text.contains("Stream was not readable"), "{text}");
    assert_eq!(bench.look("dump/contacts").await, json!([]));
    let nested = part("b", None, "POST $batch", "", Some(json!({})));
    assert!(send(&bench, &[nested], "").await.text.contains("can't contain other batch requests"));
}

fn targets(rows: &[Value]) -> Value {
    let typed = rows.iter().map(|row| {
        let mut row = row.clone();
        row["@odata.type"] = json!("Microsoft.Dynamics.CRM.contact");
        row
    });
    json!({"Targets": typed.collect::<Vec<_>>()})
}

fn keyed() -> Value {
    json!({"dataverse": {"tables": {
        "contact": {"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]},
        "account": {"bulk": false},
    }}})
}

fn bulk(bench: &Bench, message: &str, body: &Value) -> reqwest::RequestBuilder {
    bench.dv(Method::POST, &format!("contacts/Microsoft.Dynamics.CRM.{message}")).json(body)
}

#[tokio::test]
async fn create_multiple_gives_the_ids_in_the_order_of_its_targets() {
    let bench = Bench::new().await;
    let body = targets(&[json!({"contactid": OTHER_ID, "lastname": "A"}), json!({"lastname": "B"}), json!({"contactid": ID})]);
    let answer = super::ok(bulk(&bench, "CreateMultiple", &body)).await;
    assert!(answer["@odata.context"].as_str().unwrap().ends_with("$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"));
    let ids = answer["Ids"].as_array().unwrap();
    assert_eq!((ids.len(), &ids[0], &ids[2]), (3, &json!(OTHER_ID), &json!(ID)));
    assert_eq!(bench.look("stats").await["operations"]["dataverse"], 3, "each row counts");
}

#[tokio::test]
async fn a_bulk_message_is_all_or_nothing_and_does_not_name_the_row() {
    let bench = Bench::seeded(keyed()).await;
    bench.contact(ID, json!({"lastname": "A", "employeeid": "1"})).await;
    let before = bench.look("dump/contacts?system=true").await;
    let good = json!({"lastname": "B", "employeeid": "2"});
    let cases = [
        ("CreateMultiple", json!({"contactid": ID, "lastname": "C"}), 412, "Cannot insert duplicate key."),
        ("CreateMultiple", json!({"employeeid": "1"}), 412, "Entity Key new_byemployee violated"),
        ("CreateMultiple", json!({"lastname": "x".repeat(51)}), 400, "'lastname' attribute of the 'contact'"),
    ];
    for (message, bad, status, text) in cases {
        let (found, _, said) = refused(bulk(&bench, message, &targets(&[good.clone(), bad]))).await;
        assert!(found == status && said.contains(text), "{message}: {found} {said}");
    }
    let change = json!({"contactid": ID, "lastname": "changed"});
    let unknown = json!({"contactid": OTHER_ID, "lastname": "D"});
    let (status, _, said) = refused(bulk(&bench, "UpdateMultiple", &targets(&[change.clone(), unknown]))).await;
    assert_eq!((status, said), (404, format!("Contact With Ids = {OTHER_ID} Do Not Exist")));
    assert_eq!(bench.look("dump/contacts?system=true").await, before);
}

#[tokio::test]
async fn every_target_needs_its_type_and_all_are_of_the_set() {
    let bench = Bench::seeded(keyed()).await;
    assert_eq!(refused(bulk(&bench, "CreateMultiple", &json!({"Targets": [{"lastname": "A"}]}))).await.1, "0x80048d19");
    let other = json!({"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "A"}]});
    assert_eq!(refused(bulk(&bench, "CreateMultiple", &other)).await.0, 400);
    assert_eq!(refused(bulk(&bench, "CreateMultiple", &json!({"Targets": []}))).await.0, 400);
    let (status, _, said) = refused(bulk(&bench, "DeleteMultiple", &targets(&[json!({"contactid": ID})]))).await;
    assert_eq!((status, said.as_str()), (400, "DeleteMultiple has not yet been implemented."));
    assert_eq!(refused(bulk(&bench, "NoSuch", &json!({}))).await.0, 404);
}

#[tokio::test]
async fn update_multiple_takes_the_first_of_duplicates_and_only_primary_keys() {
    let bench = Bench::seeded(keyed()).await;
    bench.contact(ID, json!({"lastname": "A", "employeeid": "1"})).await;
    let body = targets(&[json!({"contactid": ID, "lastname": "first"}), json!({"contactid": ID, "lastname": "second"})]);
    assert_eq!(bulk(&bench, "UpdateMultiple", &body).send().await.unwrap().status(), 204);
    assert_eq!(names(&bench).await, ["first"]);
    let by_key = targets(&[json!({"@odata.id": "contacts(employeeid='1')", "lastname": "x"})]);
    assert_eq!(refused(bulk(&bench, "UpdateMultiple", &by_key)).await.0, 400);
}

#[tokio::test]
async fn upsert_multiple_uses_key_or_id_and_refuses_duplicates() {
    let bench = Bench::seeded(keyed()).await;
    bench.contact(ID, json!({"lastname": "A", "employeeid": "1"})).await;
    let body = targets(&[
        json!({"@odata.id": "contacts(employeeid='1')", "lastname": "updated"}),
        json!({"@odata.id": "contacts(employeeid='2')", "lastname": "created"}),
        json!({"contactid": OTHER_ID, "lastname": "by id"}),
    ]);
    let answer = bulk(&bench, "UpsertMultiple", &body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (204, ""));
    assert_eq!(bench.get("contacts(employeeid='2')?$select=lastname").await["lastname"], "created");
    let before = bench.look("dump/contacts?system=true").await;
    let row = |key: &str, name: &str| json!({"@odata.id": format!("contacts(employeeid='{key}')"), "lastname": name});
    assert!(refused(bulk(&bench, "UpsertMultiple", &targets(&[row("9", "x"), row("9", "y")]))).await.0 >= 400);
    // The key's column in the body, too: refused where a row would be created, let pass where it exists.
    let twice = |key: &str| targets(&[json!({"@odata.id": format!("contacts(employeeid='{key}')"), "employeeid": key, "lastname": "z"})]);
    assert_eq!(refused(bulk(&bench, "UpsertMultiple", &twice("9"))).await.1, "0x80040216");
    let absolute = targets(&[json!({"@odata.id": format!("{}/api/data/v9.2/contacts(employeeid='1')", bench.running.dataverse_url())})]);
    assert_eq!(refused(bulk(&bench, "UpsertMultiple", &absolute)).await.1, "0x80048d19");
    assert_eq!(bench.look("dump/contacts?system=true").await, before);
    assert_eq!(bulk(&bench, "UpsertMultiple", &twice("1")).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn support_of_bulk_messages_can_be_asked_for() {
    let bench = Bench::seeded(keyed()).await;
    let ask = |message: &str, table: &str| {
        format!(
            "sdkmessagefilters?$select=sdkmessagefilterid&$filter=sdkmessageid/name eq @m and primaryobjecttypecode eq @t&@m='{message}'&@t='{table}'"
        )
    };
    for (message, table, rows) in [
        ("CreateMultiple", "contact", 1),
        ("UpdateMultiple", "contact", 1),
        ("UpsertMultiple", "contact", 0),
        ("CreateMultiple", "account", 0),
        ("Create", "account", 1),
    ] {
        let page = bench.get(&ask(message, table)).await;
        assert_eq!(page["value"].as_array().unwrap().len(), rows, "{message} {table}");
    }
    let accounts = bench.dv(Method::POST, "accounts/Microsoft.Dynamics.CRM.CreateMultiple").json(&json!({"Targets": []}));
    assert!(refused(accounts).await.2.contains("'CreateMultiple' method does not support entities of type 'account'"));
    assert_eq!(refused(bench.dv(Method::DELETE, "sdkmessages(00000000-0000-4000-8000-000000000001)")).await.0, 405);
}

#[tokio::test]
async fn a_table_takes_as_many_targets_as_it_is_set_to() {
    let bench = Bench::new().await;
    bench.admin("table", json!({"table": "contact", "max_targets": 1})).await;
    let two = targets(&[json!({"lastname": "A"}), json!({"lastname": "B"})]);
    let (status, code, _) = refused(bulk(&bench, "CreateMultiple", &two)).await;
    assert_eq!((status, code.as_str()), (413, "0x8004418a"));
    bench.admin("table", json!({"table": "contact", "max_targets": 0})).await;
    super::ok(bulk(&bench, "CreateMultiple", &two)).await;
}

#[tokio::test]
async fn a_state_in_a_create_is_refused_ignored_dropped_or_kept_as_the_table_is_set_to() {
    let bench = Bench::new().await;
    let closed = json!({"contactid": ID, "lastname": "A", "statecode": 1, "statuscode": 2});
    let state = async || bench.get(&format!("contacts({ID})?$select=statecode")).await["statecode"].clone();
    assert_eq!(refused(bench.dv(Method::POST, "contacts").json(&closed)).await.0, 400, "it is not valid for create");
    bench.admin("table", json!({"table": "contact", "state_on_create": "ignored"})).await;
    assert_eq!(refused(bench.dv(Method::POST, "contacts").json(&closed)).await.1, "0x80048408");
    for (behavior, kept) in [("dropped", 0), ("kept", 1)] {
        bench.admin("table", json!({"table": "contact", "state_on_create": behavior})).await;
        assert_eq!(bench.dv(Method::POST, "contacts").json(&closed).send().await.unwrap().status(), 204, "{behavior}");
        assert_eq!(state().await, kept, "{behavior}");
        let gone = bench.dv(Method::DELETE, &format!("contacts({ID})")).send().await.unwrap();
        assert_eq!(gone.status(), 204);
    }
    let attributes = bench.get("EntityDefinitions(LogicalName='contact')/Attributes?$select=LogicalName,IsValidForCreate").await;
    let column = attributes["value"].as_array().unwrap().iter().find(|column| column["LogicalName"] == "statecode").unwrap();
    assert_eq!(column["IsValidForCreate"], true, "the definition says that it may be there");
}

#[tokio::test]
async fn a_fault_that_is_ordered_for_a_request_finds_it_within_a_batch() {
    let bench = Bench::new().await;
    let create = |id: &str| part("b", None, "POST /api/data/v9.2/contacts", "", Some(json!({"contactid": id, "lastname": "A"})));
    bench.admin("fail-next", json!({"api": "dataverse", "kind": "status", "status": 503, "path": "contacts", "skip": 1})).await;
    let sent = send(&bench, &[create(ID), create(OTHER_ID), create(THIRD_ID)], "").await;
    assert_eq!((sent.status, sent.statuses()), (503, vec![204, 503]), "{}", sent.text);
    assert_eq!(names(&bench).await.len(), 1);
}

#[tokio::test]
async fn filters_reach_over_lookups_and_collections_and_know_the_query_functions() {
    let bench = Bench::new().await;
    let account = bench.dv(Method::POST, "accounts").json(&json!({"accountid": ACCOUNT, "name": "Adatum"}));
    assert_eq!(account.send().await.unwrap().status(), 204);
    let bound = format!("accounts({ACCOUNT})");
    bench
        .contact(ID, json!({"lastname": "A", "gendercode": 1, "birthdate": "1980-10-24", "parentcustomerid_account@odata.bind": bound}))
        .await;
    bench.contact(OTHER_ID, json!({"lastname": "B", "gendercode": 2})).await;
    let cases = [
        ("parentcustomerid_account/name eq 'adatum'", vec![ID]),
        ("parentcustomerid_account/name eq null", vec![OTHER_ID]),
        ("Microsoft.Dynamics.CRM.In(PropertyName='gendercode',PropertyValues=['2'])", vec![OTHER_ID]),
        ("Microsoft.Dynamics.CRM.NotIn(PropertyName='lastname',PropertyValues=['b','c'])", vec![ID]),
        ("Microsoft.Dynamics.CRM.Between(PropertyName='birthdate',PropertyValues=['1980-01-01','1980-12-31'])", vec![ID]),
        ("Microsoft.Dynamics.CRM.LastXDays(PropertyName='createdon',PropertyValue=2)", vec![ID, OTHER_ID]),
        ("Microsoft.Dynamics.CRM.OlderThanXDays(PropertyName='createdon',PropertyValue=2)", vec![]),
    ];
    for (filter, expected) in cases {
        let page = super::ok(bench.dv(Method::GET, "contacts").query(&[("$select", "lastname"), ("$filter", filter)])).await;
        let ids: Vec<&str> = page["value"].as_array().unwrap().iter().filter_map(|row| row["contactid"].as_str()).collect();
        assert_eq!(ids, expected, "{filter}");
    }
    for (filter, count) in [
        ("contact_customer_accounts/any(c:c/lastname eq 'a')", 1),
        ("contact_customer_accounts/any(c: c/lastname eq 'b')", 0),
        ("contact_customer_accounts/any()", 1),
        ("contact_customer_accounts/all(c:c/gendercode eq 1)", 1),
    ] {
        let page = super::ok(bench.dv(Method::GET, "accounts").query(&[("$filter", filter)])).await;
        assert_eq!(page["value"].as_array().unwrap().len(), count, "{filter}");
    }
    assert_eq!(refused(bench.dv(Method::GET, "contacts").query(&[("$filter", "ParentCustomerId_account/name eq 'a'")])).await.0, 400);
}
