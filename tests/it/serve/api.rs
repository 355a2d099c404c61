//! The JSON API over HTTP. Every answer is held against the description in `docs/openapi.json`.

use d365map::serve::access::Role;
use d365map::serve::table;
use d365map::store::DeadLetterFilter;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, NAME, Serving};
use crate::flow::support::{World, ada, id, small_text};

fn description() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the description")).expect("JSON")
}

/// The operation of a path, as the description has it.
fn operation<'d>(description: &'d Value, method: &Method, path: &str) -> Option<&'d Value> {
    let path = path.split('?').next()?.strip_prefix("/api/v1")?;
    let fits = |template: &str| {
        let (parts, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        parts.len() == given.len() && parts.iter().zip(&given).all(|(part, given)| part == given || part.starts_with('{'))
    };
    let paths = description["paths"].as_object()?;
    let method = method.as_str().to_lowercase();
    let exact = paths.get(path).and_then(|methods| methods.get(&method));
    exact.or_else(|| paths.iter().filter(|(template, _)| fits(template)).find_map(|(_, methods)| methods.get(&method)))
}

/// Holds an answer against the description.
fn check(method: &Method, path: &str, answer: &Answer) {
    let description = description();
    let operation = operation(&description, method, path).unwrap_or_else(|| panic!("{method} {path} is not described"));
    let responses = &operation["responses"];
    let status = answer.status.as_u16().to_string();
    let response = responses.get(&status).unwrap_or(&responses["default"]);
    let media = if answer.status.is_success() { "application/json" } else { "application/problem+json" };
    assert_eq!(answer.header("content-type"), media, "{method} {path}: {}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
    let mut schema = response["content"][media]["schema"].clone();
    assert!(schema.is_object(), "{method} {path}: {status} is not described");
    schema["components"] = description["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let document = answer.json();
    let faults: Vec<String> = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{method} {path}: {faults:?}\n{}", answer.body);
}

/// Asks the API, and holds the answer against the description.
async fn ask(serving: &Serving, role: Role, method: Method, path: &str, body: Option<Value>) -> Answer {
    let path = format!("/api/v1{path}");
    let answer = serving.ask(role, method.clone(), &path, body).await;
    check(&method, &path, &answer);
    answer
}

async fn read(serving: &Serving, role: Role, path: &str) -> Value {
    let answer = ask(serving, role, Method::GET, path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

async fn post(serving: &Serving, path: &str, body: Option<Value>) -> (u16, Value) {
    let answer = ask(serving, Role::Operator, Method::POST, path, body).await;
    (answer.status.as_u16(), answer.json())
}

fn below(path: &str) -> String {
    format!("/projects/{NAME}{path}")
}

pub async fn serving(world: World) -> Serving {
    Serving::start(world, &[("contacts.d365map", &small_text(""))]).await
}

/// A watched project with two dead letters, which Campaign has caused: of contact 1, then of contact 2.
pub async fn with_dead_letters() -> Serving {
    let mut serving = serving(World::empty().await).await;
    serving.watch();
    // Two answers that are the same are not both believed, so each has its own status.
    for (contact, status) in [(1, 400), (2, 422)] {
        let fault = json!({"kind": "status", "status": status, "api": "campaign", "method": "POST", "path": "profile"});
        serving.world.admin("fail-next", fault).await;
        serving.world.create(contact, ada()).await;
        let letters = serving.served().stores().await.expect("the state opens").dead_letters;
        let began = std::time::Instant::now();
        while letters.dead_letters(&DeadLetterFilter::default(), 0, 10).await.expect("the state can be read").len() < contact as usize {
            let problem = serving.served().now().problem;
            assert!(began.elapsed().as_secs() < 60, "there is no dead letter of contact {contact}: {problem:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    serving
}

#[test]
fn the_description_has_every_route_of_the_api_and_no_other() {
    let description = description();
    let mut routes: Vec<String> = table()
        .iter()
        .filter_map(|route| route.path.strip_prefix("/api/v1").map(|path| format!("{} {path}", route.method.as_str().to_lowercase())))
        .collect();
    let paths = description["paths"].as_object().expect("paths");
    let mut described: Vec<String> =
        paths.iter().flat_map(|(path, methods)| methods.as_object().expect("methods").keys().map(move |m| format!("{m} {path}"))).collect();
    routes.sort();
    described.sort();
    assert_eq!(routes, described);
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let description = description();
    let mut waiting = vec![&description];
    let mut found = 0;
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    found += 1;
                    assert!(description.pointer(&reference[1..]).is_some(), "{reference}");
                }
                waiting.extend(members.values());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    assert!(found > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_has_never_run_can_be_asked_about_everything() {
    let serving = serving(World::empty().await).await;
    let projects = read(&serving, Role::Viewer, "/projects").await;
    assert_eq!(projects["projects"], json!([{"name": NAME, "running": false, "problem": null}]));
    assert_eq!(read(&serving, Role::Viewer, "/openapi.json").await, description());
    assert_eq!(read(&serving, Role::Viewer, &below("/status")).await["status"]["workflows"], json!([]));
    for (path, member) in [("/workflows", "workflows"), ("/runs", "runs"), ("/dead-letters", "dead_letters"), ("/opt-outs", "opt_outs")] {
        assert_eq!(read(&serving, Role::Viewer, &below(path)).await[member], json!([]), "{path}");
    }
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_stopped_started_restarted_and_replayed_by_a_program() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    let mut serving = serving(world).await;
    serving.watch();
    serving.until("contacts", "at rest", |w| w["record"]["state"] == "RUNNING" && !w["record"]["round_ended"].is_null()).await;
    let workflow = |action: &str| below(&format!("/workflows/contacts/{action}"));
    let (status, told) = post(&serving, &workflow("stop"), None).await;
    assert_eq!((status, &told["changed"], told["process"].is_object()), (202, &json!(true), true));
    serving.state("contacts", "STOPPED").await;
    let (status, told) = post(&serving, &workflow("stop"), None).await;
    assert_eq!((status, &told["changed"]), (202, &json!(false)), "to wish what is so already changes nothing");
    assert_eq!(post(&serving, &workflow("start"), None).await.0, 202);
    let running = serving.state("contacts", "RUNNING").await;
    assert_eq!((&running["planned"], &running["replayable"], &running["held"]), (&json!(true), &json!(true), &Value::Null));
    assert_eq!(post(&serving, &workflow("restart"), None).await.1["changed"], json!(true));
    assert_eq!(post(&serving, &workflow("replay"), Some(json!({"ignore_limits": false}))).await.0, 202);
    serving.until("contacts", "replayed", |w| w["record"]["replay"] == json!(false)).await;
    let runs = read(&serving, Role::Viewer, &below("/runs?limit=1")).await;
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(read(&serving, Role::Viewer, "/projects").await["projects"][0]["running"], json!(true));
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_a_problem_document_that_says_what_to_do() {
    let serving = serving(World::empty().await).await;
    let (status, problem) = post(&serving, &below("/workflows/contatcs/start"), None).await;
    assert_eq!(status, 404);
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("did you mean `contacts`?")), "{problem}");
    assert_eq!(post(&serving, "/projects/other/workflows/contacts/start", None).await.0, 404);
    assert_eq!(post(&serving, &below("/workflows/contacts/approve-mass-change"), None).await.0, 409);
    let approval = serving.ask(Role::Admin, Method::POST, &format!("/api/v1{}", below("/opt-outs/contacts.optout/approve")), None).await;
    assert_eq!(approval.status.as_u16(), 404, "opt-outs are decided about where a comparison is shown");
    let (status, problem) = post(&serving, &below("/dead-letters/retry"), Some(json!({}))).await;
    assert_eq!(status, 400);
    assert!(problem["hints"][0].as_str().is_some_and(|text| text.contains("`ids`")), "{problem}");
    assert_eq!(post(&serving, &below("/dead-letters/drop"), Some(json!({"id": 7}))).await.0, 400, "a member that is misspelled");
    assert_eq!(post(&serving, &below("/dead-letters/drop"), Some(json!({"ids": [7]}))).await.0, 400);
    for path in ["/dead-letters/7", "/dead-letters/x"] {
        assert_eq!(ask(&serving, Role::Viewer, Method::GET, &below(path), None).await.status, 404);
    }
    assert_eq!(ask(&serving, Role::Viewer, Method::GET, &below("/runs?limit=many"), None).await.status, 400);
    let unknown = serving.ask(Role::Viewer, Method::GET, "/api/v1/nothing", None).await;
    assert_eq!((unknown.status.as_u16(), unknown.header("content-type")), (404, "application/problem+json"));
    let other = serving.ask(Role::Admin, Method::PUT, &format!("/api/v1{}", below("/status")), None).await;
    assert_eq!((other.status.as_u16(), other.header("content-type")), (405, "application/problem+json"));
    let form =
        [("authorization", "Bearer operator-0123456789abcdef0123456789abcdef"), ("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/api/v1{}", below("/dead-letters/retry"));
    assert_eq!(serving.send(Method::POST, &path, &form, "all=true").await.status, 415);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_paged_and_show_values_only_to_those_who_may_see_them() {
    let serving = with_dead_letters().await;
    let first = read(&serving, Role::Viewer, &below("/dead-letters?limit=1")).await;
    let letter = &first["dead_letters"][0];
    assert_eq!((&first["values"], &letter["source_id"], &letter["status"]), (&json!(false), &json!(id(1)), &json!(400)));
    let hidden = ["key", "request", "response"].map(|member| &letter[member]);
    assert_eq!((hidden, &letter["message"]), ([&Value::Null; 3], &json!("")));
    let next = first["next"].as_i64().expect("another page");
    let second = read(&serving, Role::Viewer, &below(&format!("/dead-letters?limit=1&after={next}"))).await;
    assert_eq!((&second["dead_letters"][0]["source_id"], &second["next"]), (&json!(id(2)), &Value::Null));
    assert_eq!(read(&serving, Role::Viewer, &below("/dead-letters?mapping=other")).await["dead_letters"], json!([]));

    for path in ["/dead-letters?values=true".to_owned(), format!("/dead-letters/{next}?values=true")] {
        let refused = ask(&serving, Role::Viewer, Method::GET, &below(&path), None).await;
        assert_eq!(refused.status, 403, "{path}");
        let shown = read(&serving, Role::Operator, &below(&path)).await;
        let letter = shown.get("dead_letter").unwrap_or(&shown["dead_letters"][0]);
        assert!(letter["request"].as_str().is_some_and(|text| text.contains("Lovelace")), "{shown}");
    }
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_retried_and_dropped_by_a_program() {
    let serving = with_dead_letters().await;
    let numbers: Vec<Value> = read(&serving, Role::Viewer, &below("/dead-letters")).await["dead_letters"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|letter| letter["id"].clone())
        .collect();
    assert_eq!(
        post(&serving, &below("/dead-letters/drop"), Some(json!({"ids": [numbers[0]]}))).await,
        (200, json!({"version": 1, "count": 1}))
    );
    assert_eq!(post(&serving, &below("/dead-letters/retry"), Some(json!({"mapping": "contacts"}))).await.1["count"], json!(1));
    let began = std::time::Instant::now();
    while read(&serving, Role::Viewer, &below("/dead-letters")).await["dead_letters"] != json!([]) {
        assert!(began.elapsed().as_secs() < 60, "the retry never succeeds");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(serving.world.profile(2).await.is_some() && serving.world.profile(1).await.is_none());
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_paged_and_filtered_for_a_program_of_an_administrator() {
    let serving = serving(World::empty().await).await;
    for number in [7, 9] {
        assert_eq!(post(&serving, &below("/dead-letters/drop"), Some(json!({"ids": [number]}))).await.0, 400);
    }
    for role in [Role::Viewer, Role::Operator] {
        assert_eq!(ask(&serving, role, Method::GET, &below("/audit"), None).await.status, 403, "{}", role.name());
    }
    let objects = |document: &Value| -> Vec<String> {
        let entries = document["entries"].as_array().expect("a list");
        entries.iter().map(|entry| entry["object"].as_str().expect("a text").to_owned()).collect()
    };
    let first = read(&serving, Role::Admin, &below("/audit?action=drop&limit=1")).await;
    let entry = &first["entries"][0];
    assert_eq!((&entry["who"], &entry["role"], &entry["result"]), (&json!("the operator"), &json!("operator"), &json!("failed")));
    assert_eq!(objects(&first), ["dead letters 9"]);
    let next = first["next"].as_i64().expect("another page");
    let second = read(&serving, Role::Admin, &below(&format!("/audit?action=drop&limit=1&before={next}"))).await;
    assert_eq!((objects(&second), &second["next"]), (vec!["dead letters 7".to_owned()], &Value::Null));
    let refused = read(&serving, Role::Admin, &below("/audit?who=the%20viewer")).await;
    assert_eq!((objects(&refused).len(), &refused["entries"][0]["result"]), (1, &json!("refused")));
    assert_eq!(objects(&read(&serving, Role::Admin, &below("/audit?who=other")).await), Vec::<String>::new());
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_changes_nothing_and_a_session_needs_its_csrf_token() {
    let serving = serving(World::empty().await).await;
    for route in table().iter().filter(|route| route.path.starts_with("/api/v1") && route.method == Method::POST) {
        let path = route.path.replace("{project}", NAME).replace("{name}", "contacts");
        let answer = serving.ask(Role::Viewer, Method::POST, &path, None).await;
        assert_eq!(answer.status, 403, "{path}");
        check(&Method::POST, &path, &answer);
        let answer = serving.send(Method::POST, &path, &[], "").await;
        assert_eq!(answer.status, 401, "{path}");
        check(&Method::POST, &path, &answer);
    }
    let cookie = serving.sign_in().await;
    let path = format!("/api/v1{}", below("/dead-letters/retry"));
    assert_eq!(serving.send(Method::POST, &path, &[("cookie", &cookie)], "").await.status, 403);
    assert_eq!(serving.send(Method::GET, "/api/v1/projects", &[("cookie", &cookie)], "").await.status, 200);
    serving.end().await;
}
