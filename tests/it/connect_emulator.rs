//! The connectors against the emulators, which were written from the vendors' documents and share nothing with them.

use std::time::Duration;

use d365map::connect::{ConnectError, Http, HttpConfig};
use d365map::systems::campaign::{Campaign, CampaignConfig, Written};
use d365map::systems::dataverse::{Dataverse, DataverseConfig, PageRequest, Query, Row};
use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::Value;

fn http() -> Http {
    Http::new(HttpConfig {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        attempts: 10,
        ..HttpConfig::default()
    })
    .unwrap()
}

pub fn dataverse(running: &Running, http: &Http) -> Dataverse {
    let client = running.credentials().dataverse;
    let config = DataverseConfig {
        url: running.dataverse_url().parse().unwrap(),
        token_url: running.dataverse_token_url().parse().unwrap(),
        client_id: client.id,
        credential: SecretString::from(client.secret).into(),
    };
    Dataverse::new(http.clone(), config).unwrap()
}

fn campaign_config(running: &Running) -> CampaignConfig {
    let credentials = running.credentials();
    let secret = SecretString::from(credentials.campaign.secret);
    let config = CampaignConfig::new(running.campaign_url().parse().unwrap(), credentials.campaign.id, secret, credentials.campaign_scope);
    CampaignConfig { token_url: running.campaign_token_url().parse().unwrap(), ..config }
}

fn campaign(running: &Running, http: &Http) -> Campaign {
    Campaign::new(http.clone(), campaign_config(running)).unwrap()
}

#[tokio::test]
async fn a_table_is_read_page_by_page_up_to_a_delta_link_that_then_brings_nothing_new() {
    let running = start(Config { contacts: 25, ..Config::default() }).await.unwrap();
    let http = http();
    let dataverse = dataverse(&running, &http);
    dataverse.who_am_i().await.unwrap();
    assert_eq!(dataverse.count("contacts").await.unwrap(), 25);

    let mut request = PageRequest::First(Query::of("contacts", vec!["firstname".into()], 10).tracked());
    let (mut rows, mut pages) = (Vec::new(), 0);
    let delta = loop {
        let page = dataverse.page(&request).await.unwrap();
        rows.extend(page.rows);
        pages += 1;
        match page.next {
            Some(link) => request = PageRequest::Follow { link, page_size: 10 },
            None => break page.delta.unwrap(),
        }
    };
    assert_eq!((rows.len(), pages), (25, 3));
    let changes = dataverse.page(&PageRequest::Follow { link: delta, page_size: 10 }).await.unwrap();
    assert!(changes.rows.is_empty() && changes.next.is_none() && changes.delta.is_some());

    let Row::Changed(raw) = &rows[0] else { panic!("{rows:?}") };
    let row: Value = serde_json::from_str(raw.get()).unwrap();
    let id = row["contactid"].as_str().unwrap().parse().unwrap();
    let one = dataverse.retrieve("contacts", id, &["firstname".to_owned()]).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(one.get()).unwrap()["firstname"], row["firstname"]);
    assert!(dataverse.retrieve("contacts", uuid::Uuid::from_u128(1), &["firstname".to_owned()]).await.unwrap().is_none());
    assert_eq!(http.stats().api("token").calls, 1);
}

#[tokio::test]
async fn a_tables_definition_comes_whole() {
    let running = start(Config::default()).await.unwrap();
    let dataverse = dataverse(&running, &http());
    let metadata = dataverse.entity_metadata("contact").await.unwrap();
    assert_eq!(metadata.definition["EntitySetName"], "contacts");
    assert!(metadata.attributes.len() > 100 && !metadata.many_to_one.is_empty());
    let of = |kind: &str, name: &str| metadata.casts[kind].iter().find(|a| a["LogicalName"] == name).cloned().unwrap();
    assert_eq!(of("String", "firstname")["MaxLength"], 50);
    assert!(of("Picklist", "gendercode")["OptionSet"]["Options"].as_array().is_some_and(|o| o.len() == 2));
    assert!(matches!(dataverse.entity_metadata("nothing").await, Err(ConnectError::NotFound { .. })));
}

#[tokio::test]
async fn a_profile_is_made_read_changed_and_deleted_by_its_custom_key() {
    let running = start(Config::default()).await.unwrap();
    let campaign = campaign(&running, &http());
    let key = "c0000000-0000-4000-8000-000000000001";
    let record = format!(r#"{{"externalId":"{key}","firstName":"Ada"}}"#);
    assert!(campaign.get("profile", key).await.unwrap().is_none());
    assert_eq!(campaign.update("profile", key, r#"{"firstName":"B"}"#).await.unwrap(), Written::Missing);
    campaign.create("profile", None, &record).await.unwrap();
    let again = campaign.create("profile", None, &record).await.unwrap_err();
    assert!(matches!(again, ConnectError::Duplicate { .. }), "{again}");
    assert_eq!(campaign.update("profile", key, r#"{"firstName":"B"}"#).await.unwrap(), Written::Done);
    assert_eq!(campaign.get("profile", key).await.unwrap().unwrap()["firstName"], "B");
    assert!(campaign.resource_metadata("profile").await.unwrap()["content"].is_object());
    assert_eq!(campaign.delete("profile", key).await.unwrap(), Written::Done);
    assert_eq!(campaign.delete("profile", key).await.unwrap(), Written::Missing);
}

#[tokio::test]
async fn a_wrong_secret_is_a_token_error_with_the_services_code() {
    let running = start(Config::default()).await.unwrap();
    let client = running.credentials().dataverse;
    let config = DataverseConfig {
        url: running.dataverse_url().parse().unwrap(),
        token_url: running.dataverse_token_url().parse().unwrap(),
        client_id: client.id,
        credential: SecretString::from("wr0ng").into(),
    };
    let error = Dataverse::new(http(), config).unwrap().who_am_i().await.unwrap_err();
    assert!(matches!(error, ConnectError::Token { .. }), "{error}");
    assert_eq!(error.vendor_code(), Some("AADSTS7000215"));
    let config = CampaignConfig { credential: SecretString::from("wr0ng").into(), ..campaign_config(&running) };
    let error = Campaign::new(http(), config).unwrap().get("profile", "a").await.unwrap_err();
    assert!(matches!(error, ConnectError::Token { .. }), "{error}");
}

#[tokio::test]
async fn updates_come_through_a_network_in_trouble_and_creates_are_never_doubled() {
    let running = start(Config { fail_rate: 0.3, ..Config::default() }).await.unwrap();
    let http = http();
    let campaign = campaign(&running, &http);
    for n in 0..40 {
        let key = format!("k{n}");
        let record = format!(r#"{{"externalId":"{key}"}}"#);
        for _ in 0..20 {
            match campaign.create("profile", None, &record).await {
                Ok(()) => break,
                // The rule for callers: look before sending again.
                Err(ConnectError::OutcomeUnknown { .. }) if campaign.get("profile", &key).await.unwrap().is_some() => break,
                Err(ConnectError::OutcomeUnknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        for _ in 0..20 {
            match campaign.update("profile", &key, r#"{"firstName":"B"}"#).await {
                Ok(written) => {
                    assert_eq!(written, Written::Done);
                    break;
                }
                // Nothing else writes to it here, so it may be sent again immediately.
                Err(ConnectError::OutcomeUnknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(http.stats().api("campaign").retries > 0);
}

#[tokio::test]
async fn a_certificate_signs_in_by_either_signature_and_one_that_is_not_registered_is_reported() {
    use d365map::connect::{ClientCertificate, Credential, Signature};
    let made = || {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), SecretString::from(key.serialize_pem()))
    };
    let ((pem, key), (other_pem, other_key)) = (made(), made());
    let running = start(Config { certificate: Some(pem.clone()), ..Config::default() }).await.unwrap();
    let sign_in = async |pem: &str, key: &SecretString, signature: Signature| {
        let config = DataverseConfig {
            url: running.dataverse_url().parse().unwrap(),
            token_url: running.dataverse_token_url().parse().unwrap(),
            client_id: running.credentials().dataverse.id,
            credential: Credential::Certificate(ClientCertificate::new(pem, key, signature).unwrap()),
        };
        Dataverse::new(http(), config).unwrap().who_am_i().await
    };
    for signature in [Signature::Ps256, Signature::Rs256] {
        sign_in(&pem, &key, signature).await.unwrap();
        let error = sign_in(&other_pem, &other_key, signature).await.unwrap_err();
        assert!(matches!(error, ConnectError::Token { .. }) && error.to_string().contains("AADSTS700027"), "{error}");
    }
}
