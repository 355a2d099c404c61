//! The journal's connector against the emulated journal.

use std::time::Duration;

use d365map::connect::journal::{Journal, JournalConfig, JournalFields, JournalKind, Reading};
use d365map::connect::{ConnectError, Http, HttpConfig};
use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::{Value, json};

pub fn journal(running: &Running, http: &Http) -> Journal {
    let credentials = running.credentials();
    let config = JournalConfig {
        url: running.journal_url().parse().unwrap(),
        token_url: running.campaign_token_url().parse().unwrap(),
        client_id: credentials.campaign.id,
        credential: SecretString::from(credentials.campaign.secret).into(),
        scope: credentials.campaign_scope,
        ims_organization: credentials.campaign_account.organization,
        fields: JournalFields::default(),
    };
    Journal::new(http.clone(), config).unwrap()
}

fn http() -> Http {
    let config = HttpConfig { backoff_min: Duration::from_millis(1), backoff_max: Duration::from_millis(10), ..HttpConfig::default() };
    Http::new(config).unwrap()
}

async fn with(seed: Value) -> (Running, Journal) {
    let running = start(Config { seed_text: Some(json!({"journal": seed}).to_string()), ..Config::default() }).await.unwrap();
    let journal = journal(&running, &http());
    (running, journal)
}

async fn admin(running: &Running, path: &str, body: Value) {
    let answer = reqwest::Client::new().post(format!("{}/{path}", running.admin_url())).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test]
async fn the_journal_is_read_along_its_links_and_asked_again_later_when_there_is_nothing_new() {
    let (running, journal) = with(json!({"generate": {"events": 25, "contacts": 3}, "retryAfter": 7})).await;
    let (mut link, mut sizes, mut clicks) = (None::<String>, Vec::new(), 0);
    let quiet = loop {
        match journal.read(link.as_deref(), 10).await.unwrap() {
            Reading::Events { entries, next } => {
                sizes.push(entries.len());
                clicks += entries.iter().filter(|e| e.event.as_ref().unwrap().kind == JournalKind::Click).count();
                link = Some(next);
            }
            Reading::Quiet { next, retry_after } => break (next, retry_after),
            Reading::Gone => panic!("nothing was dropped"),
        }
    };
    assert_eq!((sizes, clicks), (vec![10, 10, 5], 2));
    assert_eq!(quiet, (link.clone(), Duration::from_secs(7)));

    admin(
        &running,
        "journal/events",
        json!([{"type": "open", "data": {"eventDate": "2026-01-02T03:04:05Z", "logId": "x"}}, {"type": "open"}]),
    )
    .await;
    let Reading::Events { entries, .. } = journal.read(link.as_deref(), 10).await.unwrap() else { panic!("two events are new") };
    assert_eq!(entries[0].event.as_ref().unwrap().log_id.as_deref(), Some("x"));
    assert!(entries[1].event.is_err(), "an event without a time costs itself alone");
}

#[tokio::test]
async fn a_position_that_is_kept_no_more_is_gone_and_reading_starts_with_the_oldest_event() {
    let (running, journal) = with(json!({"generate": {"events": 30, "contacts": 3}})).await;
    let Reading::Events { next, .. } = journal.read(None, 10).await.unwrap() else { panic!("thirty events are there") };
    admin(&running, "journal/drop", json!({"count": 15})).await;
    assert!(matches!(journal.read(Some(&next), 10).await.unwrap(), Reading::Gone));
    let Reading::Events { entries, .. } = journal.read(None, 100).await.unwrap() else { panic!("fifteen events are there") };
    assert_eq!((entries.len(), entries[0].event.as_ref().unwrap().log_id.as_deref()), (15, Some("16")));
    admin(&running, "journal/drop", json!({})).await;
    assert!(matches!(journal.read(None, 10).await.unwrap(), Reading::Quiet { next: Some(_), .. }));
}

#[tokio::test]
async fn trouble_is_survived_and_a_stranger_is_refused() {
    let (running, journal) = with(json!({"generate": {"events": 5, "contacts": 3}})).await;
    for fault in [
        json!({"kind": "throttle", "retry_after": 0}),
        json!({"kind": "status", "status": 503}),
        json!({"kind": "lost-answer"}),
        json!({"kind": "unauthorized"}),
        json!({"kind": "cut-body"}),
    ] {
        let mut order = fault.clone();
        order["api"] = "journal".into();
        admin(&running, "fail-next", order).await;
        assert!(matches!(journal.read(None, 10).await, Ok(Reading::Events { .. })), "{fault}");
    }
    let stats: Value = reqwest::get(format!("{}/stats", running.admin_url())).await.unwrap().json().await.unwrap();
    assert!(stats["apis"]["journal"]["reads"].as_u64().unwrap() >= 10, "{stats}");

    let credentials = running.credentials();
    let config = JournalConfig {
        url: running.journal_url().parse().unwrap(),
        token_url: running.campaign_token_url().parse().unwrap(),
        client_id: credentials.campaign.id,
        credential: SecretString::from(credentials.campaign.secret).into(),
        scope: credentials.campaign_scope,
        ims_organization: "FFFF@AdobeOrg".to_owned(),
        fields: JournalFields::default(),
    };
    let stranger = Journal::new(http(), config).unwrap();
    assert!(matches!(stranger.read(None, 10).await, Err(ConnectError::Forbidden { .. })));
}
