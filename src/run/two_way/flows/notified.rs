//! Notifications: over HTTP with the emulated Partner Center, and those that a process leaves when it dies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use d365map_emulator::{PartnerCenterConfig, Running};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::service::{Service, World};
use super::{Bench, deal, options, plan};
use crate::app::webhook::{self, Served, WebhookError};
use crate::disk::{self, Access};
use crate::project::{FILE_NAME, Project};
use crate::run::{Clock, Pace, Publisher, Receiver, RunError, RunEvent, Services, Subscriber, Summary, Supervision, watch};
use crate::store::{Notification, Stores, WorkflowState, in_memory};
use crate::system::SystemId;
use crate::systems::conformance::{partner_center_of, partner_token};
use crate::systems::partner_center::PartnerCenter;
use crate::systems::partner_center::tree::Node;
use crate::systems::{Source, Systems};

/// Far more than a test's time, so that a round before it is due to a notification.
const INTERVAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Counts the rounds.
#[derive(Clone, Default)]
struct Rounds(Arc<AtomicU64>);

impl Subscriber for Rounds {
    fn workflow(&self, _: &str) -> Arc<dyn Receiver> {
        Arc::new(self.clone())
    }
}

impl Receiver for Rounds {
    fn receive(&self, event: &RunEvent<'_>) {
        if matches!(event, RunEvent::RoundBegan { .. }) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A watch on a clock that goes on only while a test waits.
struct Watch {
    stores: Stores,
    clock: Clock,
    rounds: Rounds,
    stop: CancellationToken,
    task: JoinHandle<Result<Summary, RunError>>,
}

impl Watch {
    fn start(services: &Services, stores: &Stores, clock: &Clock, news: Arc<Notify>) -> Watch {
        let plan = plan("newest");
        let supervision = Supervision { news: Some(news), ..Supervision::fixed(plan.clone(), services.clone()) };
        let (rounds, stop) = (Rounds::default(), CancellationToken::new());
        let options = options(Pace::Watch { interval: INTERVAL }, clock.clone());
        let events = Publisher::to(Arc::new(rounds.clone()));
        let task = tokio::spawn(watch(plan, services.clone(), stores.clone(), options, events, stop.clone(), supervision));
        Watch { stores: stores.clone(), clock: clock.clone(), rounds, stop, task }
    }

    /// Lets time go on until a condition holds.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..10_000 {
            if holds().await {
                assert!(self.clock.elapsed() < INTERVAL, "{what}: not before the next round by time");
                return;
            }
            assert!(!self.task.is_finished(), "{what}: the watch has ended");
            self.clock.is_awaited().await;
            self.clock.advance(TimeDelta::milliseconds(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{what}: it never holds: {:?}", self.stores.control.workflows().await);
    }

    /// Waits until no notification waits and no round goes on or is about to begin.
    async fn rest(&self) {
        let mut quiet = 0;
        self.until("rest", async || {
            let waiting = self.stores.notifications.waiting_notifications(1).await.unwrap();
            let records = self.stores.control.workflows().await.unwrap();
            let far = self.clock.now() + TimeDelta::days(1);
            let rests = |state, next: Option<crate::time::Instant>| state == WorkflowState::Running && next.is_some_and(|next| next > far);
            let rests = records.iter().any(|record| rests(record.state, record.next_round));
            quiet = if rests && waiting.is_empty() { quiet + 1 } else { 0 };
            quiet > 10
        })
        .await;
    }

    fn rounds(&self) -> u64 {
        self.rounds.0.load(Ordering::SeqCst)
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// The emulated Partner Center with a registered receiver, and opportunities in memory.
struct Hooked {
    emulators: Running,
    partner: PartnerCenter,
    dynamics: Service,
    services: Services,
    stores: Stores,
    clock: Clock,
    served: Served,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

fn put(path: &Path, text: &str) {
    disk::write(path, text.as_bytes(), Access::Shared).unwrap();
}

fn project(folder: &tempfile::TempDir, lines: &str) -> Project {
    let text = format!(
        "version: 1\nconnections:\n  partner-center:\n    tenant: contoso.onmicrosoft.com\n    client-id: app\n    webhook:\n{lines}"
    );
    let path = folder.path().join(FILE_NAME);
    put(&path, &text);
    Project::load(&path).unwrap()
}

impl Hooked {
    async fn new() -> Hooked {
        let settings = PartnerCenterConfig {
            certificate_over_http: true,
            delivery_backoff: Duration::from_millis(1),
            ..PartnerCenterConfig::default()
        };
        let (emulators, partner) = partner_center_of(settings).await;
        let world = Arc::new(World::default());
        world.lives.store(i64::MAX, Ordering::SeqCst);
        let dynamics = Service::dynamics(world);
        let systems = Systems::default().with(SystemId::Partner, partner.clone()).with(SystemId::D365, dynamics.clone());
        let services = Services::new(systems);
        let (stores, clock) = (in_memory().unwrap(), Clock::stopped(crate::time::now()));

        let folder = tempfile::tempdir().unwrap();
        // Deliveries are signed by a certificate of an issuing authority, which is below the root.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let issuer = format!("{}/partner/pki/issuer.pem", emulators.admin_url().trim_end_matches('/'));
        let issuer = client.get(issuer).send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
        let trusted = format!("{}\n{issuer}", emulators.partner_root_certificate().unwrap());
        put(&folder.path().join("trusted.pem"), &trusted);
        let hosts: Vec<String> = [emulators.referrals_url(), emulators.webhooks_url()]
            .into_iter()
            .flatten()
            .map(|url| url::Url::parse(&url).unwrap())
            .map(|url| format!("\"{}:{}\"", url.host_str().unwrap(), url.port().unwrap()))
            .collect();
        let lines = format!(
            "      url: https://integration.example/hooks/partner\n      listen: 127.0.0.1:0\n      trusted-certificates: trusted.pem\n      \
             certificate-hosts: [{}]\n",
            hosts.join(", ")
        );
        let bound = webhook::bind(&project(&folder, &lines), &plan("newest"), None).unwrap().unwrap();
        let url = format!("http://{}/hooks/partner", bound.address().unwrap());
        let served = bound.serve(stores.notifications.clone(), clock.clone()).unwrap();

        let token = partner_token(&emulators, "https://api.partnercenter.microsoft.com").await;
        let events = ["referral-created", "referral-updated", "related-referral-created", "related-referral-updated"];
        let body = json!({"WebhookUrl": url, "WebhookEvents": events, "SignatureTokenToMsSignatureHeader": true});
        let registration = format!("{}/webhooks/v1/registration", emulators.webhooks_url().unwrap());
        let answer = client.post(registration).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        Hooked { emulators, partner, dynamics, services, stores, clock, served, client, _folder: folder }
    }

    fn watch(&self) -> Watch {
        Watch::start(&self.services, &self.stores, &self.clock, self.served.news())
    }

    async fn create(&self, name: &str) -> String {
        let consent = json!({
            "consentToToShareInfoWithOthers": true,
            "consentToContact": true,
            "consentToShareReferralWithMicrosoftSellers": false,
            "consentToMicrosoftToContactSpecificPartners": false,
        });
        let referral = json!({
            "name": name,
            "type": "Independent",
            "qualification": "SalesQualified",
            "customerProfile": {"name": "Contoso", "address": {"country": "US"}},
            "consent": consent,
            "details": {"dealValue": 500, "currency": "USD", "closingDateTime": "2030-01-01T00:00:00Z"},
        });
        let body = Node::read(referral.to_string().as_bytes()).unwrap();
        self.partner.create(&body).await.unwrap().unwrap().id().to_owned()
    }

    /// A person changes a referral in Partner Center.
    async fn change(&self, id: &str, fields: &Value) {
        let url = format!("{}/partner/referrals/{id}", self.emulators.admin_url().trim_end_matches('/'));
        let answer = self.client.patch(url).json(fields).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn deliveries(&self) -> Vec<Value> {
        let url = format!("{}/partner/deliveries", self.emulators.admin_url().trim_end_matches('/'));
        let answer: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        answer.as_array().cloned().unwrap_or_default()
    }

    /// Waits until all that was sent was delivered, and the watch rests.
    async fn settled(&self, watch: &Watch) {
        watch.until("delivered", async || self.deliveries().await.iter().all(|delivery| delivery["state"] == "delivered")).await;
        watch.rest().await;
    }

    fn names(&self) -> Vec<Value> {
        self.dynamics.records().values().map(|opportunity| opportunity["name"].clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_partner_center_reaches_the_opportunity_by_its_notification_and_a_duplicate_writes_nothing() {
    let bench = Hooked::new().await;
    let watch = bench.watch();
    watch.rest().await;
    // A referral that is new, a change, and a change of which the notification comes twice.
    let id = bench.create("Contoso").await;
    watch.until("created", async || bench.names() == ["Contoso"]).await;
    bench.settled(&watch).await;
    let before = bench.dynamics.counts();
    bench.change(&id, &json!({"name": "Fabrikam"})).await;
    watch.until("changed", async || bench.names() == ["Fabrikam"]).await;
    bench.settled(&watch).await;
    let url = format!("{}/partner/webhook-faults", bench.emulators.admin_url().trim_end_matches('/'));
    bench.client.post(url).json(&json!({"kind": "duplicate"})).send().await.unwrap().error_for_status().unwrap();
    bench.change(&id, &json!({"name": "Adventure Works"})).await;
    watch.until("changed again", async || bench.names() == ["Adventure Works"]).await;
    bench.settled(&watch).await;
    let after = bench.dynamics.counts();
    assert_eq!((after.creates, after.updates - before.updates), (before.creates, 2));
    watch.end().await;
    bench.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_referrals_of_a_deal_are_found_and_an_unknown_one_has_none() {
    let bench = Hooked::new().await;
    let ours = bench.create("Contoso").await;
    assert!(bench.partner.related(&ours).await.unwrap().is_empty());
    assert!(bench.partner.related("00000000-0000-4000-8000-000000000000").await.unwrap().is_empty());
    bench.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_of_microsofts_part_of_a_deal_causes_a_check_of_ours_and_begins_nothing() {
    let bench = Bench::new();
    let of_the_deal = || {
        let mut referral = deal("Contoso", 500);
        referral["engagementId"] = json!("e1");
        referral
    };
    let ours = bench.partner.add(&of_the_deal());
    bench.run().await.unwrap();
    let microsofts = bench.partner.untold(|partner| {
        partner.set(&ours, &json!({"name": "Fabrikam"}));
        partner.add(&of_the_deal())
    });
    let notified = notification(&microsofts, "related-referral-updated", 0);
    bench.stores.notifications.take_notification(notified, bench.clock.now()).await.unwrap();
    bench.run().await.unwrap();
    let names: Vec<Value> = bench.dynamics.records().values().map(|opportunity| opportunity["name"].clone()).collect();
    assert_eq!(names, ["Fabrikam"]);
}

fn notification(id: &str, event: &str, second: usize) -> Notification {
    let changed = format!("2026-06-01T11:00:00.{second:09}Z");
    Notification { event: event.to_owned(), resource: id.to_ascii_uppercase(), changed }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_notifications_make_one_round() {
    let bench = Bench::new();
    let referral = bench.partner.add(&deal("Contoso", 500));
    let news = Arc::new(Notify::new());
    let watch = Watch::start(&bench.services, &bench.stores, &bench.clock, news.clone());
    watch.rest().await;
    let rounds = watch.rounds();
    bench.partner.untold(|partner| partner.set(&referral, &json!({"name": "Fabrikam"})));
    for number in 0..100 {
        let taken = bench.stores.notifications.take_notification(notification(&referral, "referral-updated", number), bench.clock.now());
        taken.await.unwrap();
        news.notify_one();
        tokio::task::yield_now().await;
    }
    watch.until("changed", async || bench.dynamics.records().values().all(|opportunity| opportunity["name"] == "Fabrikam")).await;
    watch.rest().await;
    assert_eq!(watch.rounds(), rounds + 1);
    watch.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_was_stored_before_the_process_died_is_worked_at_by_the_next_run() {
    // The process dies before anything was done, and in each of the calls that follow.
    for lives in 1..=5 {
        let bench = Bench::new();
        let referral = bench.partner.add(&deal("Contoso", 500));
        bench.run().await.unwrap();
        bench.partner.untold(|partner| partner.set(&referral, &json!({"name": "Fabrikam"})));
        let notified = notification(&referral, "referral-updated", 0);
        bench.stores.notifications.take_notification(notified.clone(), bench.clock.now()).await.unwrap();
        bench.partner.0.lives.store(lives, Ordering::SeqCst);
        bench.run().await;
        bench.partner.0.lives.store(i64::MAX, Ordering::SeqCst);
        bench.run().await.unwrap();
        let id = bench.dynamics.records().pop_first().unwrap().0;
        assert_eq!(bench.opportunity(&id)["name"], json!("Fabrikam"), "{lives}");
        assert!(bench.stores.notifications.waiting_notifications(1).await.unwrap().is_empty());
        // It is known for 30 days.
        assert!(!bench.stores.notifications.take_notification(notified.clone(), bench.clock.now()).await.unwrap());
        bench.clock.advance(TimeDelta::days(31));
        bench.stores.notifications.take_notification(notification(&referral, "referral-updated", 1), bench.clock.now()).await.unwrap();
        bench.run().await.unwrap();
        assert!(bench.stores.notifications.take_notification(notified, bench.clock.now()).await.unwrap());
    }
}

#[test]
fn an_address_that_is_taken_and_missing_certificates_are_errors_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("root.pem"), "no certificate");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let bind = |lines: &str| webhook::bind(&project(&folder, lines), &plan("newest"), None);
    assert!(bind("      url: https://integration.example/hook\n").unwrap().is_none(), "it does not listen");
    assert!(matches!(bind("      listen: 127.0.0.1:0\n"), Err(WebhookError::NoTrust)));
    let listen = |address: &str, file: &str| bind(&format!("      listen: {address}\n      trusted-certificates: {file}\n"));
    assert!(matches!(listen("127.0.0.1:0", "missing.pem"), Err(WebhookError::Unreadable { .. })));
    assert!(matches!(listen("127.0.0.1:0", "root.pem"), Err(WebhookError::Trust { .. })));
    let key = rcgen::KeyPair::generate().unwrap();
    let root = rcgen::CertificateParams::new(vec!["root.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    put(&folder.path().join("root.pem"), &root.pem());
    let error = listen(&address.to_string(), "root.pem").unwrap_err();
    assert!(matches!(error, WebhookError::Taken(at) if at == address), "{error}");
    assert!(error.hint().is_some());
    // Workflows that are not two-way mappings need no address.
    let webhook = project(&folder, &format!("      listen: {address}\n      trusted-certificates: root.pem\n"));
    assert!(webhook::bind(&webhook, &plan("newest"), Some(&["others".to_owned()])).unwrap().is_none());
}
