//! Deliveries to the webhook: signed, repeated when they fail, and troubled by order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::clock;
use super::settings::PartnerCenterConfig;
use super::signing;
use super::store::Event;
use crate::lock;
use crate::time::Instant;

/// The body of a delivery. [D]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payload<'a> {
    event_name: &'a str,
    resource_uri: &'a str,
    resource_name: &'a str,
    audit_uri: Option<&'a str>,
    resource_change_utc_date: String,
}

/// Where deliveries go and how they are signed.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) url: String,
    /// Whether the signature is in `x-ms-signature` and not in `Authorization`.
    pub(super) ms_signature: bool,
    pub(super) certificate_url: String,
    pub(super) foreign_certificate_url: String,
}

/// What goes wrong with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// It comes twice.
    Duplicate,
    /// It comes after the next one.
    Reorder,
    /// It never comes.
    Drop,
    /// Its signature is that of another body.
    WrongSignature,
    /// Its certificate comes from an untrusted authority.
    ForeignCertificate,
    /// Its signature is missing.
    NoSignature,
    /// It comes late.
    Delay,
}

/// The body of `POST /partner/webhook-faults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    kind: Kind,
    /// The name of the event; any when absent.
    #[serde(default)]
    event: Option<String>,
    /// How many matching deliveries are troubled.
    #[serde(default = "one")]
    count: u32,
    /// How many matching deliveries pass first.
    #[serde(default)]
    skip: u32,
    /// Milliseconds, for `delay`.
    #[serde(default)]
    delay: u64,
}

fn one() -> u32 {
    1
}

/// One attempt, as the result of a validation shows it. [D]
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The name of the status, such as `OK`; empty without an answer.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) at: Instant,
}

/// A delivery and what became of it.
#[derive(Clone, Debug)]
struct Record {
    event: String,
    resource: String,
    attempts: Vec<Attempt>,
    state: &'static str,
}

/// A delivery that waits to be sent.
struct Parcel {
    record: usize,
    body: Vec<u8>,
    destination: Destination,
    fault: Option<(Kind, Duration)>,
}

#[derive(Default)]
struct Desk {
    records: Vec<Record>,
    orders: Vec<Order>,
    /// What waits for the next delivery to go first.
    held: Vec<Parcel>,
}

/// Everything that is delivered.
pub(super) struct Deliveries {
    desk: Arc<Mutex<Desk>>,
    /// Ends the pause before the next attempt.
    hurry: Arc<Notify>,
    stop: CancellationToken,
    _guard: DropGuard,
    attempts: u32,
    backoff: Duration,
    client: Result<reqwest::Client, String>,
}

impl Deliveries {
    pub(super) fn new(settings: &PartnerCenterConfig) -> Deliveries {
        let stop = CancellationToken::new();
        Deliveries {
            desk: Arc::default(),
            hurry: Arc::default(),
            _guard: stop.clone().drop_guard(),
            stop,
            attempts: settings.delivery_attempts.max(1),
            backoff: settings.delivery_backoff,
            client: client(settings),
        }
    }

    /// Sends an event; returns the number of its delivery.
    pub(super) fn send(&self, event: &Event, resource: &str, resource_name: &str, destination: &Destination) -> usize {
        let payload = Payload {
            event_name: event.name,
            resource_uri: resource,
            resource_name,
            audit_uri: None,
            resource_change_utc_date: clock::format_offset(event.at),
        };
        let body = serde_json::to_vec(&payload).unwrap_or_default();
        let mut desk = lock(&self.desk);
        let record = desk.records.len();
        desk.records.push(Record { event: event.name.to_owned(), resource: resource.to_owned(), attempts: Vec::new(), state: "waiting" });
        let fault = desk.fault(event.name);
        let parcel = Parcel { record, body, destination: destination.clone(), fault };
        match fault {
            Some((Kind::Drop, _)) => desk.records[record].state = "dropped",
            Some((Kind::Reorder, _)) => {
                desk.records[record].state = "held";
                desk.held.push(parcel);
            }
            Some((Kind::Duplicate | Kind::WrongSignature | Kind::ForeignCertificate | Kind::NoSignature | Kind::Delay, _)) | None => {
                let held = std::mem::take(&mut desk.held);
                self.dispatch(parcel, held);
            }
        }
        record
    }

    /// Sends what waits for another delivery.
    pub(super) fn release(&self) {
        let mut held = std::mem::take(&mut lock(&self.desk).held).into_iter();
        if let Some(first) = held.next() {
            self.dispatch(first, held.collect());
        }
    }

    fn dispatch(&self, first: Parcel, then: Vec<Parcel>) {
        let (desk, hurry, stop) = (Arc::clone(&self.desk), Arc::clone(&self.hurry), self.stop.clone());
        let (attempts, backoff, client) = (self.attempts, self.backoff, self.client.clone());
        tokio::spawn(async move {
            let work = async {
                for parcel in std::iter::once(first).chain(then) {
                    deliver(&desk, &hurry, &client, parcel, attempts, backoff).await;
                }
            };
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Ends the pauses between attempts.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    pub(super) fn order(&self, order: Order) {
        lock(&self.desk).orders.push(order);
    }

    pub(super) fn clear_orders(&self) {
        lock(&self.desk).orders.clear();
    }

    /// The attempts of a delivery, and whether it has ended.
    pub(super) fn attempts(&self, record: usize) -> (Vec<Attempt>, bool) {
        let desk = lock(&self.desk);
        desk.records.get(record).map_or_else(Default::default, |record| (record.attempts.clone(), record.state != "waiting"))
    }

    pub(super) fn to_json(&self) -> Json {
        let show = |record: &Record| {
            let attempts: Vec<_> = record.attempts.iter().map(|attempt| json!(attempt.code)).collect();
            json!({"event": record.event, "resource": record.resource, "state": record.state, "attempts": attempts})
        };
        lock(&self.desk).records.iter().map(show).collect()
    }
}

impl Desk {
    fn fault(&mut self, event: &str) -> Option<(Kind, Duration)> {
        let index = self.orders.iter().position(|order| order.event.as_deref().is_none_or(|wanted| wanted == event))?;
        let order = &mut self.orders[index];
        if order.skip > 0 {
            order.skip -= 1;
            return None;
        }
        let fault = (order.kind, Duration::from_millis(order.delay));
        order.count = order.count.saturating_sub(1);
        if order.count == 0 {
            self.orders.remove(index);
        }
        Some(fault)
    }
}

fn client(settings: &PartnerCenterConfig) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(settings.delivery_timeout)
        .user_agent("PartnerCenterWebhooks");
    if let Some(pem) = &settings.delivery_root {
        let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| error.to_string())?;
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(|error| error.to_string())
}

/// Attempts until the webhook answers with a status of success, or until all attempts are used.
async fn deliver(
    desk: &Mutex<Desk>,
    hurry: &Notify,
    client: &Result<reqwest::Client, String>,
    parcel: Parcel,
    attempts: u32,
    backoff: Duration,
) {
    if let Some((Kind::Delay, delay)) = parcel.fault {
        tokio::time::sleep(delay).await;
    }
    let mut pause = backoff;
    for number in 1..=attempts {
        let (attempt, success) = attempt(client, &parcel).await;
        if success && matches!(parcel.fault, Some((Kind::Duplicate, _))) {
            // The answer to the copy counts for nothing.
            let _ = self::attempt(client, &parcel).await;
        }
        let done = success || number == attempts;
        {
            let mut desk = lock(desk);
            if let Some(record) = desk.records.get_mut(parcel.record) {
                record.attempts.push(attempt);
                record.state = match (success, done) {
                    (true, _) => "delivered",
                    (false, true) => "given-up",
                    (false, false) => "waiting",
                };
            }
        }
        if done {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hurry.notified() => {}
        }
        pause = pause.saturating_mul(2);
    }
}

async fn attempt(client: &Result<reqwest::Client, String>, parcel: &Parcel) -> (Attempt, bool) {
    let failed = |message: String| (Attempt { code: String::new(), message, at: crate::time::now() }, false);
    let client = match client {
        Ok(client) => client,
        Err(error) => return failed(error.clone()),
    };
    let Parcel { body, destination, fault, .. } = parcel;
    let fault = fault.map(|(kind, _)| kind);
    let signature = if fault == Some(Kind::WrongSignature) { signing::sign(b"another body") } else { signing::sign(body) };
    let signature = format!("Signature {}", STANDARD.encode(signature));
    let foreign = fault == Some(Kind::ForeignCertificate);
    let certificate = if foreign { &destination.foreign_certificate_url } else { &destination.certificate_url };
    let mut request = client
        .post(&destination.url)
        .header("content-type", "application/json")
        .header("x-ms-certificate-url", certificate)
        .header("x-ms-signature-algorithm", "rsa-sha256");
    if fault != Some(Kind::NoSignature) {
        request = request.header(if destination.ms_signature { "x-ms-signature" } else { "authorization" }, signature);
    }
    match request.body(body.clone()).send().await {
        Ok(answer) => {
            let status = answer.status();
            let code = status.canonical_reason().unwrap_or("Unknown").replace(' ', "");
            (Attempt { code, message: String::new(), at: crate::time::now() }, status.is_success())
        }
        Err(error) => failed(error.to_string()),
    }
}
