//! The client over real HTTP against answers that a test writes down one by one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::patch::{Change, Verb};
use super::reading::Index;
use super::referral::Referral;
use super::*;
use crate::connect::http::TokenSource;
use crate::connect::{ConnectError, Credential, Http, HttpConfig};
use crate::engine::policy::{self, Action, Scope};
use crate::systems::{PageRequest, Payload, Query, RecordKey, Row, Source, Table, Target, Written};

/// A request as the stand-in saw it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) address: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Method and path, with the query as it is meant.
    pub(super) fn line(&self) -> String {
        let address = percent_encoding::percent_decode_str(&self.address).decode_utf8_lossy().into_owned();
        format!("{} {}", self.method, address)
    }
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Response>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A service that gives the prepared answers, in their order.
pub(super) struct StandIn {
    script: Script,
    pub(super) url: url::Url,
}

impl StandIn {
    pub(super) async fn start() -> StandIn {
        async fn answer(State(script): State<Script>, request: Request) -> Response {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let address = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            if address == "/token" {
                return Response::new(Body::from(r#"{"access_token":"token-1","expires_in":3600}"#));
            }
            let body = String::from_utf8(body.to_vec()).unwrap();
            script.asked.lock().unwrap().push(Asked { method: parts.method.to_string(), address, headers: parts.headers, body });
            script.answers.lock().unwrap().pop_front().expect("a request that the test did not expect")
        }
        let script = Script::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        StandIn { script, url }
    }

    pub(super) fn answer(&self, status: u16, headers: &[(&str, &str)], body: impl ToString) {
        let mut response = Response::builder().status(status).header("content-type", "application/json").header("request-id", "r-1");
        // As answers of a service, no two are alike: those would be taken for one that came twice.
        response = response.header("timestamp", uuid::Uuid::new_v4().to_string());
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.script.answers.lock().unwrap().push_back(response.body(Body::from(body.to_string())).unwrap());
    }

    /// What was asked since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        assert!(self.script.answers.lock().unwrap().is_empty(), "an answer was not asked for");
        std::mem::take(&mut self.script.asked.lock().unwrap())
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }

    pub(super) fn http(&self) -> Http {
        let (backoff_min, backoff_max) = (Duration::from_millis(1), Duration::from_millis(5));
        Http::new(HttpConfig { backoff_min, backoff_max, attempts: 3, ..HttpConfig::default() }).unwrap()
    }

    pub(super) fn tokens(&self, http: &Http) -> Arc<TokenSource> {
        let credential = Credential::from(SecretString::from("secret"));
        Arc::new(TokenSource::new(http.clone(), self.url.join("token").unwrap(), "client", credential, "scope"))
    }

    fn client(&self) -> PartnerCenter {
        let http = self.http();
        let tokens = self.tokens(&http);
        PartnerCenter::new(http, &self.url, tokens).unwrap()
    }
}

const LIST: &str = "/v1.0/engagements/referrals";
const TABLE: Table<'static> = Table { name: "referral", collection: "referrals" };

fn referral(id: &str, etag: u32, updated: &str) -> Value {
    json!({"id": id, "eTag": format!("\"{etag}\""), "name": id, "updatedDateTime": updated, "createdDateTime": "2026-01-01T00:00:00Z",
           "externalReferenceId": format!("crm-{id}"), "engagementId": "e1", "links": {"self": {"uri": "x"}}})
}

fn list(referrals: &[Value], next: Option<&str>) -> Value {
    match next {
        Some(next) => json!({"value": referrals, "@odata.nextLink": next}),
        None => json!({"value": referrals}),
    }
}

#[tokio::test]
async fn each_call_has_the_token_a_unique_id_and_no_cookie() {
    let service = StandIn::start().await;
    let client = service.client();
    for _ in 0..2 {
        service.answer(200, &[], referral("r1", 1, "2026-01-02T00:00:00Z"));
        client.referral("r1").await.unwrap().unwrap();
    }
    let asked = service.asked();
    assert_eq!(asked[0].line(), format!("GET {LIST}/r1"));
    assert_eq!((asked[0].header("authorization"), asked[0].header("accept")), (Some("Bearer token-1"), Some("application/json")));
    let id = |n: usize| asked[n].header("client-request-id").and_then(|id| uuid::Uuid::parse_str(id).ok()).expect("a GUID");
    assert_ne!(id(0), id(1));
}

#[tokio::test]
async fn a_referral_without_a_version_in_its_body_has_that_of_the_header() {
    let service = StandIn::start().await;
    service.answer(200, &[("etag", "\"h-1\"")], json!({"id": "r1"}));
    assert_eq!(service.client().referral("r1").await.unwrap().unwrap().etag(), Some("\"h-1\""));
}

#[tokio::test]
async fn a_page_is_followed_by_the_query_of_its_link_at_the_configured_host() {
    let service = StandIn::start().await;
    let client = service.client();
    service.answer(
        200,
        &[],
        list(&[referral("r1", 1, "2026-01-02T00:00:00Z")], Some("http://evil.example/v1.0/referrals?$skiptoken=a%2Bb#f")),
    );
    let page = client.list(&ListQuery { filter: Some("status eq 'New'".to_owned()), order: Some("updatedDateTime asc") }).await.unwrap();
    service.answer(200, &[], list(&[], None));
    assert!(client.page(&page.next.unwrap()).await.unwrap().next.is_none());
    assert_eq!(
        service.lines(),
        [format!("GET {LIST}?$filter=status eq 'New'&$orderby=updatedDateTime asc"), format!("GET {LIST}?$skiptoken=a+b")]
    );
    service.answer(200, &[], list(&[], Some("https://api.partner.microsoft.com/v1.0/referrals")));
    assert!(matches!(client.list(&ListQuery::default()).await, Err(ConnectError::Protocol { .. })));
}

#[tokio::test]
async fn links_to_the_next_page_that_form_a_cycle_are_an_error() {
    let service = StandIn::start().await;
    for _ in 0..2 {
        service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T00:00:00Z")], Some("http://x/?$skiptoken=1")));
    }
    assert!(matches!(service.client().engagement("e1").await, Err(ConnectError::Protocol { .. })));
}

#[tokio::test]
async fn the_referrals_of_an_engagement_are_those_with_its_id_whatever_their_links_say() {
    let service = StandIn::start().await;
    let mut other = referral("r2", 1, "2026-01-02T00:00:00Z");
    other["engagementId"] = json!("e2");
    service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T00:00:00Z"), other], None));
    let found = service.client().engagement("e1").await.unwrap();
    assert_eq!(found.iter().map(|referral| referral.id()).collect::<Vec<_>>(), ["r1"]);
    assert_eq!(service.lines(), [format!("GET {LIST}?$filter=engagementId eq 'e1'")]);
}

#[tokio::test]
async fn a_change_is_sent_as_a_json_patch_under_the_version_as_it_came() {
    let service = StandIn::start().await;
    service.answer(204, &[], "");
    let change = Change { op: Verb::Replace, path: "/name".to_owned(), value: "B".into() };
    service.client().patch("r1", &[change], Some("\"84-00\"")).await.unwrap().unwrap();
    let asked = service.asked();
    assert_eq!((asked[0].header("if-match"), asked[0].header("content-type")), (Some("\"84-00\""), Some("application/json")));
    assert_eq!(asked[0].body, r#"[{"op":"replace","path":"/name","value":"B"}]"#);
}

#[tokio::test]
async fn a_referral_that_is_replaced_is_sent_whole_without_its_links() {
    let service = StandIn::start().await;
    let client = service.client();
    let mut body = referral("r1", 7, "2026-01-02T00:00:00Z");
    body["@odata.context"] = json!("c");
    body["unknown"] = json!({"a": 1});
    service.answer(200, &[], &body);
    let read = client.referral("r1").await.unwrap().unwrap();
    service.answer(200, &[], &body);
    client.replace(&read).await.unwrap().unwrap();
    let put = service.asked().pop().unwrap();
    let sent: Value = serde_json::from_str(&put.body).unwrap();
    assert_eq!((put.line(), put.header("if-match")), (format!("PUT {LIST}/r1"), Some("\"7\"")));
    assert_eq!(
        (&sent["unknown"]["a"], &sent["eTag"], sent.get("links"), sent.get("@odata.context")),
        (&json!(1), &json!("\"7\""), None, None)
    );
    let without = Referral::of(tree::Node::read(br#"{"id":"r1"}"#).unwrap()).unwrap();
    assert!(matches!(client.replace(&without).await, Err(ConnectError::Rejected { .. })));
}

#[tokio::test]
async fn an_error_means_for_the_work_what_the_service_means() {
    let nothing = json!({"error": {"code": "x", "message": "m"}});
    for (status, headers, body, sent, action) in [
        (400, vec![], nothing.clone(), 1, Action::Reject),
        (412, vec![], json!({"error": {"code": "preconditionFailed", "message": "m"}}), 1, Action::Reject),
        (423, vec![], nothing.clone(), 1, Action::Retry { uncertain: false }),
        (429, vec![("retry-after", "0")], nothing.clone(), 3, Action::Retry { uncertain: false }),
        (429, vec![], json!(""), 3, Action::Retry { uncertain: false }),
        (503, vec![("retry-after", "0")], json!(""), 3, Action::Retry { uncertain: false }),
        (503, vec![], nothing.clone(), 3, Action::Retry { uncertain: false }),
        (401, vec![], nothing.clone(), 2, Action::Stop),
    ] {
        let service = StandIn::start().await;
        for _ in 0..sent {
            service.answer(status, &headers, &body);
        }
        let error = service.client().patch("r1", &[], Some("\"1\"")).await.unwrap_err();
        assert_eq!(service.asked().len(), sent, "{status}");
        assert_eq!(policy::action(&error, Scope::Record), action, "{status}: {error}");
        assert_eq!(matches!(error, ConnectError::Changed { .. }), status == 412, "{status}");
        assert!(error.to_string().contains("request id r-1"), "{error}");
    }
}

fn key(value: &str) -> RecordKey<'_> {
    RecordKey { table: TABLE, attribute: "id", value }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_known_again_and_not_taken_for_one_of_another() {
    let service = StandIn::start().await;
    let changed = |etag, name: &str| {
        let mut body = referral("r1", etag, "2026-01-02T00:00:00Z");
        body["name"] = json!(name);
        body
    };
    service.answer(200, &[], changed(1, "A"));
    // A gateway gives up, but the change was made; sent again, it finds its own version.
    service.answer(504, &[], "");
    service.answer(412, &[], json!({"error": {"code": "preconditionFailed"}}));
    service.answer(200, &[], changed(2, "B"));
    let written = service.client().update(key("r1"), r#"{"name":"B"}"#.into(), Some("\"1\"")).await.unwrap();
    assert_eq!(written, Written::Done);
    service.asked();
}

#[tokio::test]
async fn a_change_without_a_version_is_made_again_on_what_another_changed() {
    let service = StandIn::start().await;
    service.answer(200, &[], referral("r1", 1, "2026-01-02T00:00:00Z"));
    service.answer(412, &[], json!({"error": {"code": "preconditionFailed"}}));
    service.answer(200, &[], referral("r1", 2, "2026-01-02T00:00:00Z"));
    service.answer(204, &[], "");
    let written = service.client().update(key("r1"), r#"{"name":"B"}"#.into(), None).await.unwrap();
    assert_eq!(written, Written::Done);
    let asked = service.asked();
    assert_eq!([asked[1].header("if-match"), asked[3].header("if-match")], [Some("\"1\""), Some("\"2\"")]);
}

#[tokio::test]
async fn an_update_that_changes_nothing_costs_no_write() {
    let service = StandIn::start().await;
    service.answer(200, &[], referral("r1", 1, "2026-01-02T00:00:00Z"));
    assert_eq!(service.client().update(key("r1"), r#"{"name":"r1"}"#.into(), None).await.unwrap(), Written::Done);
    assert_eq!(service.lines(), [format!("GET {LIST}/r1")]);
}

const BODY: &str = r#"{"externalReferenceId":"crm-1","name":"A","details":{"dealValue":1.10}}"#;

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_looked_for_by_its_external_reference_before_another_is_sent() {
    let service = StandIn::start().await;
    let client = service.client();
    let mut made = referral("r9", 1, "2026-01-03T00:00:00Z");
    made["externalReferenceId"] = json!("crm-1");
    made["createdDateTime"] = json!("2026-01-03T00:00:00Z");
    service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T12:00:00Z")], None));
    service.answer(504, &[], "");
    service.answer(200, &[], list(&[made, referral("r1", 1, "2026-01-02T12:00:00Z")], None));
    client.create_by(BODY).await.unwrap();
    let asked = service.asked();
    assert_eq!(asked[1].body, BODY);
    assert_eq!(asked[2].line(), format!("GET {LIST}?$orderby=createdDateTime desc"));
}

#[tokio::test]
async fn a_lost_create_that_is_not_found_in_its_time_window_is_reported_as_unknown() {
    let service = StandIn::start().await;
    let mut older = referral("r9", 1, "2026-01-01T00:00:00Z");
    older["externalReferenceId"] = json!("crm-1");
    service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T12:00:00Z")], None));
    service.answer(504, &[], "");
    // Created before the window: not the one that was sent.
    service.answer(200, &[], list(&[older], Some("http://h/?$skiptoken=1")));
    let error = service.client().create_by(BODY).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    service.asked();
}

#[tokio::test]
async fn a_search_reads_nothing_again_at_once_and_little_soon_after() {
    let service = StandIn::start().await;
    let client = service.client();
    let by = RecordKey { attribute: "externalReferenceId", ..key("crm-none") };
    let answer = || service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T00:00:00Z")], None));
    let began = std::time::Instant::now();
    let at = |seconds: u64| began + Duration::from_secs(seconds);
    let mut index = Index::default();
    for seconds in [0, 2, 61] {
        answer();
        index.refresh_at(&client, at(seconds)).await.unwrap();
        // Within a second the answer is the same.
        index.refresh_at(&client, at(seconds)).await.unwrap();
    }
    let since = |time: &str| format!("GET {LIST}?$filter=updatedDateTime ge {time}&$orderby=updatedDateTime asc");
    let whole = format!("GET {LIST}?$orderby=updatedDateTime asc");
    assert_eq!(service.lines(), [whole, since("2026-01-01T23:59:50Z"), since("2026-01-01T23:50:00Z")]);
    answer();
    assert_eq!((client.find(by, "id").await.unwrap(), client.find(by, "id").await.unwrap()), (None, None));
    assert_eq!(service.lines().len(), 1, "one reading for both");
}

#[tokio::test]
async fn a_referral_that_has_got_another_reference_since_the_list_was_read_is_not_found_by_the_old_one() {
    let service = StandIn::start().await;
    let client = service.client();
    let by = RecordKey { attribute: "externalReferenceId", ..key("crm-1") };
    let with = |reference: &str| {
        let mut referral = referral("r1", 1, "2026-01-02T00:00:00Z");
        referral["externalReferenceId"] = json!(reference);
        referral
    };
    service.answer(200, &[], list(&[with("crm-1")], None));
    service.answer(200, &[], with("crm-2"));
    assert_eq!(client.find(by, "id").await.unwrap(), None);
    // It is known by the new one, without another reading.
    service.answer(200, &[], with("crm-2"));
    let by = RecordKey { attribute: "externalReferenceId", ..key("crm-2") };
    assert_eq!(client.find(by, "id").await.unwrap().as_deref(), Some("r1"));
}

fn query() -> Query {
    Query { collection: "referrals".to_owned(), primary_key: "id".to_owned(), ..Query::default() }
}

fn ids(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .map(|row| match row {
            Row::Changed(record) => serde_json::from_str::<Value>(record.get()).unwrap()["id"].as_str().unwrap().to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_reading_goes_on_from_the_last_time_that_it_saw_and_leaves_out_what_it_has_read() {
    let service = StandIn::start().await;
    let client = service.client();
    let (one, two, three) = ("2026-01-02T00:00:00.0000001Z", "2026-01-02T00:00:00.0000002Z", "2026-01-02T00:00:00.0000003Z");
    service.answer(200, &[], list(&[referral("r1", 1, one), referral("r2", 1, two)], Some("http://h/?$skiptoken=1")));
    let page = client.page_of(PageRequest::First { query: query(), track_changes: true, page_size: 100 }).await;
    assert_eq!(ids(&page.rows), ["r1", "r2"]);
    // r1 was changed meanwhile and has moved to the end.
    service.answer(200, &[], list(&[referral("r2", 1, two), referral("r3", 1, two), referral("r1", 2, three)], None));
    let page = client.page_of(PageRequest::Follow { cursor: page.next.unwrap(), query: query(), page_size: 100 }).await;
    assert_eq!(ids(&page.rows), ["r3", "r1"]);
    assert!(page.next.is_none());
    // Later: the overlap brings all of them again, and one that became visible late.
    service.answer(200, &[], list(&[referral("r2", 1, two), referral("r3", 1, two), referral("r1", 2, three)], None));
    let follow = PageRequest::Follow { cursor: page.changes.unwrap(), query: query(), page_size: 100 };
    let nothing = client.page_of(follow.clone()).await;
    assert!(nothing.rows.is_empty());
    service.answer(
        200,
        &[],
        list(&[referral("r4", 1, one), referral("r2", 1, two), referral("r3", 1, two), referral("r1", 2, three)], None),
    );
    let page = client.page_of(follow).await;
    assert_eq!(ids(&page.rows), ["r4"]);
    assert_eq!(
        service.lines(),
        [
            format!("GET {LIST}?$orderby=updatedDateTime asc"),
            format!("GET {LIST}?$filter=updatedDateTime ge {two}&$orderby=updatedDateTime asc"),
            format!("GET {LIST}?$filter=updatedDateTime ge 2026-01-01T23:50:00Z&$orderby=updatedDateTime asc"),
            format!("GET {LIST}?$filter=updatedDateTime ge 2026-01-01T23:50:00Z&$orderby=updatedDateTime asc"),
        ]
    );
}

#[tokio::test]
async fn a_whole_page_of_one_time_is_followed_by_its_link() {
    let service = StandIn::start().await;
    let client = service.client();
    let at = "2026-01-02T00:00:00Z";
    service.answer(200, &[], list(&[referral("r1", 1, at), referral("r2", 1, at)], Some("http://h/?$skiptoken=1")));
    let page = client.page_of(PageRequest::First { query: query(), track_changes: true, page_size: 100 }).await;
    service.answer(200, &[], list(&[referral("r1", 1, at), referral("r2", 1, at)], Some("http://h/?$skiptoken=2")));
    service.answer(200, &[], list(&[referral("r3", 1, at)], None));
    let page = client.page_of(PageRequest::Follow { cursor: page.next.unwrap(), query: query(), page_size: 100 }).await;
    assert_eq!(ids(&page.rows), ["r3"]);
}

#[tokio::test]
async fn referrals_that_come_in_another_order_than_was_asked_for_are_an_error() {
    let service = StandIn::start().await;
    service.answer(200, &[], list(&[referral("r1", 1, "2026-01-02T00:00:01Z"), referral("r2", 1, "2026-01-02T00:00:00Z")], None));
    let request = PageRequest::First { query: query(), track_changes: true, page_size: 100 };
    assert!(Source::page(&service.client(), &request).await.is_err());
}

impl PartnerCenter {
    async fn page_of(&self, request: PageRequest) -> crate::systems::Page {
        Source::page(self, &request).await.unwrap()
    }

    async fn create_by(&self, body: &str) -> Result<(), ConnectError> {
        Target::create(self, TABLE, "externalReferenceId", Payload::from(body)).await
    }
}
