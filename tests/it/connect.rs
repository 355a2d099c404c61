//! The connectors over real HTTP: what they send, and what they make of what comes back.

use std::time::{Duration, Instant};

use d365map::connect::{ConnectError, Http, HttpConfig, Trail};
use d365map::systems::Cursor;
use d365map::systems::campaign::{Campaign, CampaignConfig, Key, Written};
use d365map::systems::dataverse::{Condition, Dataverse, DataverseConfig, Entity, Page, PageRequest, Query, Row, RowKey};
use secrecy::SecretString;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::connect_server::{Reply, Seen, Server, at_once, closed_port, raw_server, scripted_server};

const SECRET: &str = "s3cr3t+/%";
const EMPTY_PAGE: &str = r#"{"value":[]}"#;
/// What Campaign answers to a write.
const RECORD: &str = r#"{"PKey":"@p","href":"h"}"#;

fn quick() -> HttpConfig {
    HttpConfig {
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(10),
        attempts: 4,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        retry_after_cap: Duration::from_secs(5),
        concurrency_per_host: 32,
        max_response_bytes: 64 * 1024,
        ..HttpConfig::default()
    }
}

fn dataverse_at(url: &Url, token_url: Url, config: HttpConfig) -> (Dataverse, Http) {
    let http = Http::new(config).unwrap();
    let config = DataverseConfig { url: url.clone(), token_url, client_id: "client".into(), credential: SecretString::from(SECRET).into() };
    (Dataverse::new(http.clone(), config).unwrap(), http)
}

fn dataverse(server: &Server) -> Dataverse {
    dataverse_at(&server.url, server.token_url(), quick()).0
}

fn campaign_at(url: &Url, token_url: Url, config: HttpConfig) -> (Campaign, Http) {
    let http = Http::new(config).unwrap();
    let config = CampaignConfig {
        token_url,
        ..CampaignConfig::new(url.join("org").unwrap(), "client", SecretString::from(SECRET), "openid,campaign")
    };
    (Campaign::new(http.clone(), config).unwrap(), http)
}

fn campaign(server: &Server) -> Campaign {
    campaign_at(&server.url, server.token_url(), quick()).0
}

fn first() -> PageRequest {
    PageRequest::First(Query::of("contacts", vec!["firstname".into(), "_ownerid_value".into()], 2).tracked())
}

fn follow(link: impl Into<Cursor>) -> PageRequest {
    PageRequest::Follow { link: link.into(), page_size: 2 }
}

async fn read(dataverse: &Dataverse) -> Result<Page, ConnectError> {
    dataverse.page(&first()).await
}

// Requests and answers of Dataverse.

#[tokio::test]
async fn every_page_of_a_reading_is_asked_for_with_the_same_preferences_and_its_link_as_it_is() {
    const QUERY: &str = "$select=firstname&$skiptoken=%253Ccookie%2520istracking%253d%2522True%2522%252F%253E";
    const DELTA: &str = "$select=firstname&$deltatoken=919042%2108%2f22%2f2017%2008%3a10%3a44";
    let server = Server::with_tokens(|seen, n| {
        let root = format!("http://{}/api/data/v9.2/contacts", seen.header("host").unwrap());
        Reply::json(
            200,
            match n {
                1 => json!({"value": [{"firstname": "a"}, {"firstname": "b"}], "@odata.nextLink": format!("{root}?{QUERY}")}),
                2 => json!({"value": [{"firstname": "c"}], "@odata.deltaLink": format!("{root}?{DELTA}")}),
                _ => json!({"value": []}),
            }
            .to_string(),
        )
    })
    .await;
    let dataverse = dataverse(&server);
    let one = read(&dataverse).await.unwrap();
    assert!(one.rows.len() == 2 && one.delta.is_none());
    // As it is when kept in the state in between.
    let link: String = one.next.unwrap().into();
    let two = dataverse.page(&follow(link)).await.unwrap();
    assert!(two.rows.len() == 1 && two.next.is_none());
    let three = dataverse.page(&follow(two.delta.unwrap())).await.unwrap();
    // A service that names no new delta link means: keep the old one.
    assert!(three.rows.is_empty() && three.delta.is_none());

    let calls = server.calls();
    assert_eq!(calls[0].target, "/api/data/v9.2/contacts?$select=firstname,_ownerid_value");
    assert_eq!(calls[1].target, format!("/api/data/v9.2/contacts?{QUERY}"));
    assert_eq!(calls[2].target, format!("/api/data/v9.2/contacts?{DELTA}"));
    for call in &calls[..2] {
        assert_eq!(call.header("prefer"), Some("odata.maxpagesize=2,odata.track-changes"));
    }
    assert_eq!(calls[2].header("prefer"), Some("odata.maxpagesize=2"));
    for call in &calls {
        assert_eq!(call.header("accept"), Some("application/json"));
        assert_eq!(call.header("odata-version"), Some("4.0"));
        assert_eq!(call.header("odata-maxversion"), Some("4.0"));
        assert_eq!(call.header("if-none-match"), Some("null"));
        assert_eq!(call.header("authorization"), Some("Bearer t1"));
    }
}

#[tokio::test]
async fn tombstones_are_distinguished_from_rows_and_rows_keep_their_text() {
    let id = Uuid::from_u128(7);
    let row = r#"{"@odata.etag":"W/\"915244\"","creditlimit":20000.0000,"versionnumber":9007199254740993}"#;
    let body = format!(
        r#"{{"@odata.context":"x","value":[{row},{{"@odata.context":"https://h/$metadata#contacts/$deletedEntity","id":"{id}","reason":"deleted"}}]}}"#
    );
    let server = Server::with_tokens(move |_, _| Reply::json(200, body.clone())).await;
    let page = read(&dataverse(&server)).await.unwrap();
    let [Row::Changed(raw), Row::Deleted { id: gone, reason }] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!(raw.get(), row);
    assert_eq!((*gone, reason.as_str()), (id, "deleted"));
}

#[tokio::test]
async fn an_expired_delta_link_is_known_by_status_400_with_its_code_and_by_410() {
    let server = Server::with_tokens(|_, n| match n {
        1 => Reply::json(400, r#"{"error":{"code":"0X80044352","message":"Version stamp associated with the client has expired."}}"#),
        2 => Reply::empty(410),
        _ => Reply::json(400, r#"{"error":{"code":"0x80060888","message":"Could not find a property named 'x'."}}"#),
    })
    .await;
    let dataverse = dataverse(&server);
    let link = || follow(format!("{}api/data/v9.2/contacts?$deltatoken=1", server.url));
    for _ in 0..2 {
        let error = dataverse.page(&link()).await.unwrap_err();
        assert!(matches!(error, ConnectError::DeltaExpired { .. }), "{error}");
    }
    let error = dataverse.page(&link()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_link_to_another_host_is_refused_before_anything_is_sent_there() {
    let stranger = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE)).await;
    let foreign = format!("{}api/data/v9.2/contacts?$skiptoken=secret", stranger.url);
    let body = json!({"value": [], "@odata.nextLink": foreign}).to_string();
    let server = Server::with_tokens(move |_, _| Reply::json(200, body.clone())).await;
    let dataverse = dataverse(&server);
    for error in [read(&dataverse).await.unwrap_err(), dataverse.page(&follow(foreign)).await.unwrap_err()] {
        assert!(matches!(error, ConnectError::ForeignLink { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!((stranger.calls().len(), server.calls().len()), (0, 1));
}

#[tokio::test]
async fn a_missing_row_gives_no_row_and_a_missing_table_is_an_error() {
    let server = Server::with_tokens(|_, n| match n {
        1 => Reply::json(200, r#"{"firstname":"a","contactid":"00000000-0000-0000-0000-000000000001"}"#),
        2 => Reply::json(404, r#"{"error":{"code":"0x80040217","message":"contact With Id = x Does Not Exist"}}"#),
        _ => Reply::json(404, r#"{"error":{"code":"0x8006088a","message":"Resource not found for the segment 'ontacts'."}}"#),
    })
    .await;
    let dataverse = dataverse(&server);
    let select = ["firstname".to_owned()];
    let mut results = Vec::new();
    for _ in 0..3 {
        results.push(dataverse.retrieve("contacts", Uuid::from_u128(1), &select).await);
    }
    assert_eq!(
        results[0].as_ref().unwrap().as_ref().unwrap().get(),
        r#"{"firstname":"a","contactid":"00000000-0000-0000-0000-000000000001"}"#
    );
    assert!(results[1].as_ref().unwrap().is_none());
    assert!(matches!(results[2], Err(ConnectError::NotFound { .. })));
    assert_eq!(server.calls()[0].target, "/api/data/v9.2/contacts(00000000-0000-0000-0000-000000000001)?$select=firstname");
}

#[tokio::test]
async fn a_count_is_read_past_its_byte_order_mark() {
    let server = Server::with_tokens(|_, n| Reply {
        headers: vec![("content-type", "text/plain".into())],
        ..Reply::json(200, ["\u{feff}42", "many"][n - 1])
    })
    .await;
    let dataverse = dataverse(&server);
    assert_eq!(dataverse.count("contacts").await.unwrap(), 42);
    assert!(matches!(dataverse.count("contacts").await, Err(ConnectError::Protocol { .. })));
    assert_eq!(server.calls()[0].target, "/api/data/v9.2/contacts/$count");
}

#[tokio::test]
async fn who_am_i_gives_the_three_ids() {
    let server = Server::with_tokens(|_, _| {
        let id = |n| Uuid::from_u128(n).to_string();
        Reply::json(200, json!({"@odata.context": "x", "BusinessUnitId": id(1), "UserId": id(2), "OrganizationId": id(3)}).to_string())
    })
    .await;
    let who = dataverse(&server).who_am_i().await.unwrap();
    assert_eq!((who.business_unit_id.as_u128(), who.user_id.as_u128(), who.organization_id.as_u128()), (1, 2, 3));
}

#[tokio::test]
async fn a_tables_definition_is_read_with_one_request_per_type() {
    let server = Server::with_tokens(|seen, _| {
        let body = match seen.target.split_once('?').unwrap().0.rsplit_once('/').unwrap().1 {
            "EntityDefinitions(LogicalName=%27contact%27)" | "EntityDefinitions(LogicalName='contact')" => {
                json!({"LogicalName": "contact", "Keys": [{"KeyAttributes": ["employeeid"]}]})
            }
            last => json!({"value": [{"LogicalName": last}]}),
        };
        Reply::json(200, body.to_string())
    })
    .await;
    let metadata = dataverse(&server).entity_metadata("contact").await.unwrap();
    assert_eq!(metadata.definition, json!({"LogicalName": "contact"}));
    assert_eq!(metadata.keys, [json!({"KeyAttributes": ["employeeid"]})]);
    assert_eq!(metadata.attributes, [json!({"LogicalName": "Attributes"})]);
    assert_eq!(metadata.many_to_one, [json!({"LogicalName": "ManyToOneRelationships"})]);
    assert_eq!(metadata.casts.len(), 14);
    for (kind, attributes) in &metadata.casts {
        assert_eq!(attributes, &[json!({"LogicalName": format!("Microsoft.Dynamics.CRM.{kind}AttributeMetadata")})]);
    }
    assert_eq!(server.calls().len(), 17);
}

// Requests and answers of Campaign.

#[tokio::test]
async fn campaign_is_written_to_by_the_custom_key_as_one_path_segment() {
    const ROOT: &str = "/org/campaign/profileAndServicesExt/profile";
    let server = Server::with_tokens(|seen, _| match seen.method.as_str() {
        "POST" => Reply::json(201, r#"{"PKey":"@secret"}"#),
        "GET" => Reply::json(200, r#"{"PKey":"@secret","externalId":"a"}"#),
        "PATCH" => Reply::json(200, r#"{"PKey":"@secret"}"#),
        _ => Reply::empty(204),
    })
    .await;
    let campaign = campaign(&server);
    let key = "a/b+c%d'e";
    campaign.create("profile", None, r#"{"externalId":"a"}"#).await.unwrap();
    assert_eq!(campaign.update("profile", key, r#"{"firstName":"b"}"#).await.unwrap(), Written::Done);
    // The PKey is Campaign's own and goes no further.
    assert_eq!(campaign.get("profile", key).await.unwrap().unwrap(), serde_json::json!({"externalId": "a"}));
    assert_eq!(campaign.delete("profile", key).await.unwrap(), Written::Done);
    campaign.resource_metadata("profile").await.unwrap();

    let calls = server.calls();
    let sent: Vec<_> = calls.iter().map(|c| (c.method.as_str(), c.target.as_str(), c.body.as_str())).collect();
    let keyed = format!("{ROOT}/a%2Fb%2Bc%25d%27e");
    assert_eq!(
        sent,
        [
            ("POST", ROOT, r#"{"externalId":"a"}"#),
            ("PATCH", keyed.as_str(), r#"{"firstName":"b"}"#),
            ("GET", &keyed, ""),
            ("DELETE", &keyed, ""),
            ("GET", "/org/campaign/profileAndServicesExt/resourceType/profile", ""),
        ]
    );
    for call in &calls {
        assert_eq!(call.header("x-api-key"), Some("client"));
        assert_eq!(call.header("authorization"), Some("Bearer t1"));
        assert_eq!(call.header("cache-control"), Some("no-cache"));
        assert_eq!(call.header("content-type"), (!call.body.is_empty()).then_some("application/json;charset=utf-8"));
    }
}

#[tokio::test]
async fn a_missing_record_is_reported_as_missing_but_a_page_for_people_with_404_is_a_fault() {
    let server =
        Server::with_tokens(
            |_, n| if n <= 3 { Reply::json(404, r#"{"error_code":"404000","message":"not found"}"#) } else { Reply::html(404) },
        )
        .await;
    let campaign = campaign(&server);
    assert!(campaign.get("profile", "a").await.unwrap().is_none());
    assert_eq!(campaign.update("profile", "a", "{}").await.unwrap(), Written::Missing);
    assert_eq!(campaign.delete("profile", "a").await.unwrap(), Written::Missing);
    assert!(matches!(campaign.delete("profile", "a").await, Err(ConnectError::Protocol { .. })));
}

#[tokio::test]
async fn a_refusal_keeps_the_services_code_message_and_body() {
    let body = r#"{"error_code":"400100","message":"The value of firstName is too long"}"#;
    let server = Server::with_tokens(move |_, _| Reply::json(400, body).with("x-request-id", "r-9")).await;
    let error = campaign(&server).update("profile", "a", "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }));
    assert_eq!((error.status(), error.vendor_code(), error.response_body()), (Some(400), Some("400100"), Some(body)));
    let text = error.to_string();
    assert!(text.contains("firstName is too long") && text.contains("r-9"), "{text}");
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn an_error_body_is_cut_at_64_kib() {
    let server = Server::with_tokens(|_, _| Reply::json(400, "x".repeat(200_000))).await;
    let error = campaign(&server).update("profile", "a", "{}").await.unwrap_err();
    assert_eq!(error.response_body().map(str::len), Some(64 * 1024));
}

// Tokens.

#[tokio::test]
async fn a_token_is_asked_for_by_client_credentials_with_each_services_scope() {
    let server = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE)).await;
    read(&dataverse(&server)).await.unwrap();
    campaign(&server).get("profile", "a").await.unwrap();
    let form = |seen: &Seen| url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect::<Vec<_>>();
    let expected = |scope: &str| {
        [("grant_type", "client_credentials"), ("client_id", "client"), ("client_secret", SECRET), ("scope", scope)]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let tokens = server.tokens();
    assert_eq!(form(&tokens[0]), expected(&format!("{}.default", server.url)));
    assert_eq!(form(&tokens[1]), expected("openid,campaign"));
    for token in tokens {
        assert_eq!((token.method.as_str(), token.header("content-type")), ("POST", Some("application/x-www-form-urlencoded")));
        assert!(token.header("authorization").is_none());
    }
}

#[tokio::test]
async fn callers_at_once_share_one_request_for_a_token() {
    let server =
        Server::start(
            |seen, n| {
                if seen.is_token() { Reply::token(n, 3600).after(Duration::from_millis(50)) } else { Reply::json(200, EMPTY_PAGE) }
            },
        )
        .await;
    let dataverse = dataverse(&server);
    let results = at_once(20, || {
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await.is_ok() }
    })
    .await;
    assert!(results.iter().all(|ok| *ok));
    assert_eq!((server.tokens().len(), server.calls().len()), (1, 20));
}

#[tokio::test]
async fn callers_at_once_share_one_refusal_of_a_token_with_its_remedy() {
    let server = Server::start(|_, _| {
        let error = json!({"error": "invalid_client", "error_description": "AADSTS7000222: The provided client secret keys are expired.", "trace_id": "x"});
        Reply::json(401, error.to_string()).after(Duration::from_millis(100))
    })
    .await;
    let dataverse = dataverse(&server);
    let errors = at_once(20, || {
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await.unwrap_err() }
    })
    .await;
    for error in errors {
        assert!(matches!(error, ConnectError::Token { .. }), "{error}");
        assert_eq!(error.vendor_code(), Some("AADSTS7000222"));
        let text = format!("{error} {error:?}");
        assert!(text.contains("has expired") && !text.contains(SECRET), "{text}");
    }
    assert_eq!((server.tokens().len(), server.calls().len()), (1, 0));
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires() {
    let server = Server::start(
        |seen, n| if seen.is_token() { Reply::token(n, if n == 1 { 2 } else { 3600 }) } else { Reply::json(200, EMPTY_PAGE) },
    )
    .await;
    let dataverse = dataverse(&server);
    read(&dataverse).await.unwrap();
    // Counted from here, the token is at least that old, however slow the machine is.
    tokio::time::sleep(Duration::from_millis(1550)).await;
    read(&dataverse).await.unwrap();
    read(&dataverse).await.unwrap();
    let used: Vec<_> = server.calls().iter().map(|c| c.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(used, ["Bearer t1", "Bearer t2", "Bearer t2"]);
    assert_eq!(server.tokens().len(), 2);
}

#[tokio::test]
async fn an_old_token_is_used_while_a_new_one_is_not_available() {
    let server = Server::start(|seen, n| match (seen.is_token(), n) {
        (true, 1) => Reply::token(1, 4),
        (true, _) => Reply::empty(503),
        (false, _) => Reply::json(200, EMPTY_PAGE),
    })
    .await;
    let dataverse = dataverse(&server);
    read(&dataverse).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3050)).await;
    read(&dataverse).await.unwrap();
    assert!(server.tokens().len() > 1);
    assert_eq!(server.calls()[1].header("authorization"), Some("Bearer t1"));
}

#[tokio::test]
async fn a_401_is_answered_by_one_fresh_token_shared_by_all() {
    let server = Server::with_tokens(|seen, _| {
        if seen.header("authorization") == Some("Bearer t1") {
            Reply::empty(401).after(Duration::from_millis(100))
        } else {
            Reply::json(200, EMPTY_PAGE)
        }
    })
    .await;
    let dataverse = dataverse(&server);
    let results = at_once(10, || {
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await.is_ok() }
    })
    .await;
    assert!(results.iter().all(|ok| *ok));
    assert_eq!((server.tokens().len(), server.calls().len()), (2, 20));
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_ends_the_call() {
    let server = Server::with_tokens(|_, _| Reply::json(401, r#"{"error_code":"401013","message":"Oauth token is not valid"}"#)).await;
    let error = campaign(&server).create("profile", None, "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::Unauthorized { .. }), "{error}");
    assert_eq!((error.vendor_code(), server.tokens().len(), server.calls().len()), (Some("401013"), 2, 2));
}

#[tokio::test]
async fn the_token_is_read_again_for_each_attempt() {
    let server = Server::start(|seen, n| match (seen.is_token(), n) {
        (true, n) => Reply::token(n, if n == 1 { 1 } else { 3600 }),
        (false, 1) => Reply::empty(503).with("retry-after", "1"),
        (false, _) => Reply::json(200, EMPTY_PAGE),
    })
    .await;
    read(&dataverse(&server)).await.unwrap();
    assert_eq!(server.calls()[1].header("authorization"), Some("Bearer t2"));
}

// Repetition.

#[tokio::test]
async fn a_429_lets_the_whole_host_rest_for_as_long_as_it_asks() {
    let server = Server::with_tokens(|_, n| {
        if n == 1 {
            Reply::json(429, r#"{"error":{"code":"0x80072322","message":"Number of requests exceeded the limit"}}"#)
                .with("retry-after", "1")
        } else {
            Reply::json(200, EMPTY_PAGE)
        }
    })
    .await;
    let (dataverse, http) = dataverse_at(&server.url, server.token_url(), quick());
    let throttled = tokio::spawn({
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await.map(drop) }
    });
    while !http.stats().api("dataverse").outcomes.contains_key("throttled") {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Another worker, which got no such answer, waits as well.
    read(&dataverse).await.unwrap();
    throttled.await.unwrap().unwrap();
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    for call in &calls[1..] {
        let waited = call.at - calls[0].at;
        assert!(waited >= Duration::from_millis(990), "{waited:?}");
    }
}

#[tokio::test]
async fn a_429_without_end_is_throttled_after_all_attempts() {
    let server = Server::with_tokens(|_, _| Reply::empty(429)).await;
    let error = campaign(&server).create("profile", None, "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::Throttled { .. }) && error.is_transient(), "{error}");
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn a_retry_after_beyond_the_cap_ends_the_call_and_names_the_wait() {
    for status in [429, 503] {
        let server = Server::with_tokens(move |_, _| Reply::empty(status).with("retry-after", "86400")).await;
        let (dataverse, _) =
            dataverse_at(&server.url, server.token_url(), HttpConfig { retry_after_cap: Duration::from_millis(50), ..quick() });
        let start = Instant::now();
        let error = read(&dataverse).await.unwrap_err();
        assert!(error.is_transient() && start.elapsed() < Duration::from_secs(5), "{error}");
        assert_eq!(error.to_string().contains("86400"), status == 429, "{error}");
        assert_eq!(server.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_503_is_retried_also_for_a_create_and_counted() {
    let server = Server::with_tokens(|_, n| if n < 3 { Reply::empty(503) } else { Reply::json(201, RECORD) }).await;
    let (campaign, http) = campaign_at(&server.url, server.token_url(), quick());
    campaign.create("profile", None, "{}").await.unwrap();
    let stats = http.stats();
    assert_eq!((server.calls().len(), stats.api("campaign").calls, stats.api("campaign").retries), (3, 3, 2));
    assert_eq!((stats.api("campaign").outcomes["unavailable"], stats.api("campaign").outcomes["ok"]), (2, 1));
    assert_eq!((stats.api("token").calls, stats.api("campaign").methods["POST"]), (1, 3));
}

#[tokio::test]
async fn a_503_without_end_is_unavailable_after_all_attempts() {
    let server = Server::with_tokens(|_, _| Reply::html(503)).await;
    let error = read(&dataverse(&server)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
    assert_eq!((error.status(), server.calls().len()), (Some(503), 4));
}

#[tokio::test]
async fn a_500_is_retried_for_an_update_by_key_and_a_502_or_504_is_not_since_it_may_still_be_carried_out() {
    for status in [500, 502, 504] {
        let server = Server::with_tokens(move |_, n| match n {
            1 => Reply::json(status, r#"{"code":500,"message":"deadlock"}"#),
            _ => Reply::json(200, RECORD),
        })
        .await;
        let result = campaign(&server).update("profile", "a", "{}").await;
        if status == 500 {
            assert_eq!(result.unwrap(), Written::Done);
            assert_eq!(server.calls().len(), 2);
        } else {
            let error = result.unwrap_err();
            assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{status}: {error}");
            assert_eq!(server.calls().len(), 1, "{status}");
        }
    }
}

#[tokio::test]
async fn a_delete_that_is_answered_200_without_a_body_is_done_only_if_the_record_is_gone() {
    for is_gone in [true, false] {
        let server = Server::with_tokens(move |seen, _| match seen.method.as_str() {
            "DELETE" => Reply::empty(200),
            _ if is_gone => Reply::json(404, r#"{"error_code":"404","message":"gone"}"#),
            _ => Reply::json(200, r#"{"PKey":"@p","externalId":"a"}"#),
        })
        .await;
        let result = campaign(&server).delete("profile", "a").await;
        if is_gone {
            assert_eq!(result.unwrap(), Written::Done);
        } else {
            assert!(matches!(result, Err(ConnectError::OutcomeUnknown { .. })), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_is_answered_by_anything_but_the_documented_form_is_of_unknown_outcome() {
    let odd: [(&str, Reply); 5] = [
        ("text", Reply { body: "OK".into(), ..Reply::empty(200).with("content-type", "text/plain") }),
        ("empty", Reply::empty(200)),
        ("binary", Reply { body: vec![0, 255, 1].into(), ..Reply::empty(200) }),
        ("another document", Reply::json(200, r#"{"status":"ok"}"#)),
        ("a list", Reply::json(200, r#"[{"PKey":"@p"}]"#)),
    ];
    for (what, reply) in odd {
        let server = Server::with_tokens(move |_, _| reply.clone()).await;
        let campaign = campaign(&server);
        let mut errors =
            vec![campaign.create("profile", None, "{}").await.unwrap_err(), campaign.update("profile", "a", "{}").await.unwrap_err()];
        errors.push(campaign.delete("profile", "a").await.unwrap_err());
        for error in errors {
            assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{what}: {error}");
        }
        let row = dataverse(&server);
        let entity = Entity::new("contacts", "contact", "contactid");
        let key = RowKey::Id(Uuid::from_u128(7));
        for condition in [Condition::Any, Condition::Exists, Condition::Version("W/\"1\"".to_owned())] {
            let error = row.write(&entity, &key, "{}", &condition).await.unwrap_err();
            assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_about_another_record_is_not_believed() {
    let other = r#"{"PKey":"@p","href":"h","externalId":"another"}"#;
    let server = Server::with_tokens(move |_, _| Reply::json(200, other)).await;
    let client = campaign(&server);
    let error = client.create("profile", Some("externalId"), r#"{"externalId":"mine"}"#).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    let identity = |value| Key::Identity { attribute: "externalId", value };
    let error = client.get("profile", identity("mine")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
    // Data policies may have changed the case.
    assert!(client.get("profile", identity("ANOTHER")).await.unwrap().is_some());
    let id = Uuid::from_u128(7);
    let error = dataverse(&server).retrieve("contacts", id, &[]).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
    let accounts = r##"{"@odata.context":"https://h/api/data/v9.2/$metadata#accounts(name)","value":[]}"##;
    let server = Server::with_tokens(move |_, _| Reply::json(200, accounts)).await;
    let error = read(&dataverse(&server)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }) && error.to_string().contains("accounts"), "{error}");
}

#[tokio::test]
async fn a_web_page_is_not_the_services_word_on_a_record_whatever_its_status() {
    for status in [200, 400, 401, 403, 404, 409, 410, 412, 413, 422] {
        let server = Server::with_tokens(move |_, _| Reply::html(status)).await;
        let campaign = campaign(&server);
        for answer in [campaign.get("profile", "a").await.map(|_| ()), campaign.update("profile", "a", r#"{"x":1}"#).await.map(|_| ())] {
            assert!(matches!(answer, Err(ConnectError::Protocol { .. })), "{status}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_one_create_that_comes_again_for_the_next_is_found_and_so_is_another_records() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let answer = |key: &str| {
        let body = format!(r#"{{"PKey":"@{key}","href":"h","externalId":"{key}"}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    // The copy of the first create's answer comes for the second; on the next connection, another record's for an update.
    let (url, served) = scripted_server(move |connection, request| match (connection, request) {
        (0, 0 | 1) => answer("a"),
        (1, 0) => answer("x"),
        (_, _) => answer("c"),
    })
    .await;
    let (campaign, _) = campaign_at(&url, tokens.token_url(), quick());
    let create = async |key: &str| campaign.create("profile", None, format!(r#"{{"externalId":"{key}"}}"#)).await;
    create("a").await.unwrap();
    assert!(matches!(create("b").await, Err(ConnectError::OutcomeUnknown { .. })));
    let identity = |value| Key::Identity { attribute: "externalId", value };
    let update = async |key| campaign.update("profile", identity(key), r#"{"x":1}"#).await;
    assert!(matches!(update("c").await, Err(ConnectError::OutcomeUnknown { .. })));
    assert_eq!(update("c").await.unwrap(), Written::Done);
    assert_eq!(*served.lock().unwrap(), [(0, 0), (0, 1), (1, 0), (2, 0)], "each time the connection is left");
}

#[tokio::test]
async fn an_answer_that_comes_twice_is_not_taken_for_the_next_requests_and_its_connection_is_left() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let answer = |key: &str| {
        let body = format!(r#"{{"PKey":"@{key}","href":"h"}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    // On the first connection the second copy of an answer comes when the next request is there: no earlier look could find it.
    let (url, served) = scripted_server(move |connection, request| match (connection, request) {
        (0, 0) => answer("a"),
        (0, 1) => answer("a") + &answer("b"),
        (0, _) => answer("c"),
        (_, _) => answer("d"),
    })
    .await;
    let (campaign, _) = campaign_at(&url, tokens.token_url(), quick());
    assert_eq!(campaign.update("profile", "a", r#"{"x":1}"#).await.unwrap(), Written::Done);
    let error = campaign.update("profile", "b", r#"{"x":1}"#).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    assert!(error.to_string().contains("came again"), "{error}");
    assert_eq!(campaign.update("profile", "c", r#"{"x":1}"#).await.unwrap(), Written::Done);
    assert_eq!(*served.lock().unwrap(), [(0, 0), (0, 1), (1, 0)]);
}

#[tokio::test]
async fn a_delete_is_the_last_request_on_its_connection() {
    let server = Server::with_tokens(|_, _| Reply::empty(204)).await;
    let campaign = campaign(&server);
    for key in ["a", "b", "c"] {
        assert_eq!(campaign.delete("profile", key).await.unwrap(), Written::Done);
    }
    assert!(server.calls().iter().all(|call| call.header("connection") == Some("close")));
}

#[tokio::test]
async fn a_link_to_another_table_is_refused_and_pages_that_form_a_cycle_end() {
    let server = Server::with_tokens(|seen, _| {
        let root = format!("http://{}/api/data/v9.2", seen.header("host").unwrap());
        Reply::json(200, json!({"value": [], "@odata.nextLink": format!("{root}/accounts?$skiptoken=1")}).to_string())
    })
    .await;
    let error = read(&dataverse(&server)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }) && error.to_string().contains("`accounts`"), "{error}");
    // A circle of two, with other rows on each page.
    let server = Server::with_tokens(|seen, n| {
        let root = format!("http://{}/api/data/v9.2", seen.header("host").unwrap());
        Reply::json(200, json!({"value": [{"n": n}], "@odata.nextLink": format!("{root}/contacts?$skiptoken={}", n % 2)}).to_string())
    })
    .await;
    let dataverse = dataverse(&server);
    let (mut request, mut trail) = (first(), Trail::default());
    let error = loop {
        let page = dataverse.page(&request).await.unwrap();
        if let Err(error) = page.follow(&request, &mut trail) {
            break error;
        }
        request = follow(page.next.unwrap());
    };
    assert!(error.to_string().contains("cycle") && error.to_string().contains("replay"), "{error}");
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_call_at_once_with_the_fix() {
    let port = crate::doctor::tls::server(crate::doctor::tls::certificate("localhost", (2020, 2090), None)).await;
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (dataverse, http) = dataverse_at(&Url::parse(&format!("https://localhost:{port}")).unwrap(), tokens.token_url(), quick());
    let error = read(&dataverse).await.unwrap_err();
    assert!(matches!(error, ConnectError::Config { .. }) && !error.is_transient(), "{error}");
    assert!(error.to_string().contains("does not trust the certificate") && error.to_string().contains("SSL_CERT_FILE"), "{error}");
    assert_eq!(http.stats().api("dataverse").calls, 1);
}

#[tokio::test]
async fn a_create_answered_500_by_the_service_was_refused_and_is_not_repeated() {
    let server = Server::with_tokens(|_, n| match n {
        1 => Reply::json(500, r#"{"code":500,"message":"A field is missing"}"#),
        2 => Reply::json(500, r#"{"code":500,"message":"A record with this key already exists"}"#),
        3 => Reply::json(500, r#"{"code":500,"message":"Oops. Something went wrong. Check your URI and try again."}"#),
        _ => Reply::html(500),
    })
    .await;
    let campaign = campaign(&server);
    let mut errors = Vec::new();
    for _ in 0..4 {
        errors.push(campaign.create("profile", None, "{}").await.unwrap_err());
    }
    assert!(matches!(errors[0], ConnectError::Rejected { .. }), "{}", errors[0]);
    assert!(matches!(errors[1], ConnectError::Duplicate { .. }), "{}", errors[1]);
    assert!(matches!(errors[2], ConnectError::OutcomeUnknown { .. }), "{}", errors[2]);
    assert!(matches!(errors[3], ConnectError::OutcomeUnknown { .. }), "{}", errors[3]);
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_of_unknown_outcome_and_sent_exactly_once() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (url, count) = raw_server("").await;
    let (campaign, _) = campaign_at(&url, tokens.token_url(), quick());
    let error = campaign.create("profile", None, r#"{"externalId":"a"}"#).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }) && error.is_transient(), "{error}");
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_create_that_times_out_is_of_unknown_outcome_and_sent_exactly_once() {
    let server = Server::with_tokens(|_, _| Reply::empty(201).after(Duration::from_secs(5))).await;
    let (campaign, _) = campaign_at(&server.url, server.token_url(), HttpConfig { request_timeout: Duration::from_millis(300), ..quick() });
    let error = campaign.create("profile", None, "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_create_whose_body_is_lost_is_of_unknown_outcome_and_sent_exactly_once() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (url, count) = raw_server("HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"PKey").await;
    let (campaign, _) = campaign_at(&url, tokens.token_url(), quick());
    let error = campaign.create("profile", None, "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(*count.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_repeated_and_an_update_is_not_since_it_may_still_be_carried_out() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (url, count) = raw_server("").await;
    let (campaign, _) = campaign_at(&url, tokens.token_url(), quick());
    let error = campaign.update("profile", "a", "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(*count.lock().unwrap(), 1);
    let (url, count) = raw_server("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"value\":[").await;
    let (dataverse, _) = dataverse_at(&url, tokens.token_url(), quick());
    let error = read(&dataverse).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
    assert_eq!(*count.lock().unwrap(), 4);
}

#[tokio::test]
async fn a_create_that_could_not_connect_is_repeated_and_had_no_effect() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (campaign, http) = campaign_at(&closed_port().await, tokens.token_url(), quick());
    let error = campaign.create("profile", None, "{}").await.unwrap_err();
    assert!(matches!(error, ConnectError::Unavailable { .. }), "{error}");
    assert_eq!(http.stats().api("campaign").calls, 4);
}

#[tokio::test]
async fn no_more_requests_than_configured_are_under_way_to_a_host() {
    let server = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE).after(Duration::from_millis(60))).await;
    let (dataverse, _) = dataverse_at(&server.url, server.token_url(), HttpConfig { concurrency_per_host: 2, ..quick() });
    at_once(6, || {
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await.unwrap() }
    })
    .await;
    let calls = server.calls();
    // The third can only have come after one of the first two was answered.
    for n in 2..6 {
        let apart = calls[n].at - calls[n - 2].at;
        assert!(apart >= Duration::from_millis(55), "{apart:?}");
    }
}

// Answers that make no sense.

#[tokio::test]
async fn an_html_page_in_place_of_json_is_named_as_a_sign_in_page_and_not_taken_for_success() {
    let server = Server::with_tokens(|_, _| Reply::html(200)).await;
    for error in [read(&dataverse(&server)).await.unwrap_err(), campaign(&server).create("profile", None, "{}").await.unwrap_err()] {
        assert!(matches!(error, ConnectError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains("sign-in page"), "{error}");
    }
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn a_redirect_is_refused_and_no_token_goes_along() {
    let stranger = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE)).await;
    let to = format!("{}api/data/v9.2/contacts?secret=1", stranger.url);
    let server = Server::with_tokens(move |_, _| Reply::empty(302).with("location", to.clone())).await;
    let error = read(&dataverse(&server)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(stranger.url.as_str().trim_end_matches('/')) && !text.contains("secret"), "{text}");
    assert_eq!((stranger.calls().len(), server.calls().len()), (0, 1));
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_with_or_without_a_declared_length() {
    let server = Server::with_tokens(|_, _| Reply::json(200, format!(r#"{{"value":["{}"]}}"#, "x".repeat(100_000)))).await;
    let error = read(&dataverse(&server)).await.unwrap_err();
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    let long: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}", " ".repeat(100_000)).into_boxed_str());
    let (url, _) = raw_server(long).await;
    let error = read(&dataverse_at(&url, server.token_url(), quick()).0).await.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}

/// `{"value":[` + 100,000 spaces + `]}`, in gzip.
const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 177, 17, 0, 16, 16, 0, 176, 85, 220, 143, 97, 21, 167, 80, 232, 190, 165, 113, 118, 183,
    134, 34, 201, 137, 61, 114, 205, 168, 173, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 223, 234, 247, 1, 189, 241, 19, 93, 172, 134, 1, 0,
];

#[tokio::test]
async fn compressed_answers_are_read_and_the_limit_counts_what_comes_out() {
    let reply = |name| Reply { body: GZIP.into(), ..Reply::json(200, "") }.with("content-encoding", name);
    let server = Server::with_tokens(move |_, n| reply(if n == 1 { "gzip" } else { "x-gzip" })).await;
    let (dataverse, _) = dataverse_at(&server.url, server.token_url(), HttpConfig { max_response_bytes: 200_000, ..quick() });
    assert!(read(&dataverse).await.unwrap().rows.is_empty());
    assert!(read(&dataverse).await.unwrap().rows.is_empty());
    assert!(server.calls()[0].header("accept-encoding").unwrap().contains("gzip"));
    let (dataverse, _) = dataverse_at(&server.url, server.token_url(), quick());
    assert!(read(&dataverse).await.unwrap_err().to_string().contains("longer than 65536 bytes"));
}

#[tokio::test]
async fn a_byte_order_mark_before_a_document_is_skipped() {
    let server = Server::start(|seen, _| match (seen.is_token(), seen.method.as_str()) {
        (true, _) => Reply::json(200, "\u{feff}{\"token_type\":\"Bearer\",\"expires_in\":3600,\"access_token\":\"t\"}"),
        (false, "GET") => Reply::json(200, format!("\u{feff}{EMPTY_PAGE}")),
        (false, _) => Reply::json(200, format!("\u{feff}{RECORD}")),
    })
    .await;
    assert!(read(&dataverse(&server)).await.unwrap().rows.is_empty());
    assert_eq!(campaign(&server).update("profile", "a", "{}").await.unwrap(), Written::Done);
}

#[tokio::test]
async fn bad_json_is_a_fault_that_does_not_quote_the_data() {
    let server = Server::with_tokens(|_, n| {
        Reply::json(200, [r#"{"value":[{"a":"person@example.org""#, r#"{"value":"person@example.org"}"#, "{}"][n - 1])
    })
    .await;
    let dataverse = dataverse(&server);
    for _ in 0..3 {
        let error = read(&dataverse).await.unwrap_err();
        assert!(matches!(error, ConnectError::Protocol { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("person"), "{error}");
    }
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let server = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE).with("set-cookie", "ARRAffinity=1; path=/")).await;
    let dataverse = dataverse(&server);
    read(&dataverse).await.unwrap();
    read(&dataverse).await.unwrap();
    assert!(server.calls().iter().all(|c| c.header("cookie").is_none()));
}

#[test]
fn every_test_named_by_the_page_on_reliability_exists() {
    const PAGE: &str = include_str!("../../docs/reliability.md");
    let mut sources = String::new();
    let mut folders = vec![
        std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        concat!(env!("CARGO_MANIFEST_DIR"), "/emulator/src").into(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it").into(),
    ];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let rows: Vec<_> = PAGE.lines().filter(|l| l.starts_with("| ")).filter(|l| !l.ends_with("| Tests |")).collect();
    assert!(rows.len() > 30, "{}", rows.len());
    for row in rows {
        // The last column.
        let names: Vec<_> = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "no such test: {name}");
        }
    }
}
