//! Faithful local stand-ins for Dataverse, Campaign and their token endpoints.
//!
//! They are written from the vendors' documentation alone and share no types with the connectors: a third party that checks what it
//! is sent and answers in the documented shapes. They are reached over HTTP, on loopback ports, and can be made to misbehave as
//! networks and services do.

#![warn(missing_docs, unreachable_pub)]

mod addresses;
mod admin;
mod campaign;
mod config;
mod data;
mod dataverse;
mod faults;
mod journal;
mod net;
mod partner_center;
mod seed;
mod stats;
mod time;
mod tokens;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{Request, Response, StatusCode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::addresses::{Addresses, Credentials, credentials};
use self::campaign::Campaign;
pub use self::campaign::{LinkForms, TechnicalAccount};
pub use self::config::Config;
use self::dataverse::limits::{Limits, Protection};
use self::dataverse::setup::Setup;
use self::dataverse::{Call, Dataverse};
use self::faults::{Fault, Faults, Limit};
use self::journal::Journal;
use self::net::{Answer, Door, Dribble, Line};
use self::partner_center::PartnerCenter;
pub use self::partner_center::{
    DeviceSignIn, PartnerCenterConfig, PartnerCredentials, PartnerUser, SellerAction, SellerScript, SellerStep,
};
use self::seed::Seed;
use self::stats::{Api, Outcome, Stats};
pub use self::tokens::Client;

/// The largest body a request may have.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

// A panic while a lock was held leaves the data as it was before or after one change of one row; the emulator goes on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A seed to begin with: the custom attributes and the tables of activities that the shipped mappings write, and two profiles that are not the integration's.
pub const SAMPLE_SEED: &str = include_str!("sample.seed.json");

/// The tenant of the emulated directory.
pub(crate) const TENANT: &str = "7e2f1c3a-0000-4000-8000-00000000d365";
/// The organization of the emulated instance.
pub(crate) const ORGANIZATION: &str = "emulated-org";

/// Everything behind the ports.
struct App {
    dataverse: Dataverse,
    campaign: Campaign,
    journal: Journal,
    partner: Option<PartnerCenter>,
    faults: Faults,
    stats: Stats,
    latency: Duration,
    data: Option<data::Data>,
    held: Mutex<Vec<Held>>,
}

/// A request that a gateway keeps.
struct Held {
    side: Side,
    request: Request<bytes::Bytes>,
}

impl App {
    /// How many requests gateways keep.
    fn held(&self) -> usize {
        lock(&self.held).len()
    }

    /// Lets the requests go that gateways keep, in the order in which they came; gives the status of each.
    fn release(&self) -> Vec<u16> {
        let held = std::mem::take(&mut *lock(&self.held));
        let statuses = held.into_iter().map(|Held { side, request }| {
            let (parts, body) = request.into_parts();
            let call =
                Call { method: &parts.method, path: parts.uri.path(), query: parts.uri.query(), headers: &parts.headers, body: &body };
            let answer = match side {
                Side::Dataverse => {
                    let arrival = self.dataverse.arrive(Api::Dataverse, &parts.headers);
                    arrival.as_ref().map(|arrival| self.dataverse.answer(&call, arrival, &[]))
                }
                Side::Campaign => Some(self.campaign.answer(&call, &self.faults)),
                Side::Journal => Some(self.journal.answer(&call, &self.campaign.tokens, &self.faults)),
                Side::Referrals if PartnerCenter::is_sign_in_path(call.path) => self.partner.as_ref().map(|partner| partner.sign_in(&call)),
                Side::Referrals => self.partner.as_ref().map(|partner| partner.answer(Api::Referrals, &call, &self.faults)),
                Side::Webhooks => self.partner.as_ref().map(|partner| partner.answer(Api::Webhooks, &call, &self.faults)),
            };
            answer.map_or(0, |answer| answer.response.status().as_u16())
        });
        let statuses = statuses.collect();
        self.keep();
        statuses
    }

    /// Keeps what changed, when there is a folder for it.
    fn keep(&self) {
        if let Some(data) = &self.data
            && let Err(error) = data.save(&self.dataverse, &self.campaign)
        {
            tracing::error!(%error, "the emulators' state is not kept");
        }
    }
}

/// The emulators at work. Dropping it stops them without waiting.
pub struct Running {
    addresses: Addresses,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    partner_root: Option<String>,
}

impl std::ops::Deref for Running {
    type Target = Addresses;

    fn deref(&self) -> &Addresses {
        &self.addresses
    }
}

impl Running {
    /// What to log in with.
    pub fn credentials(&self) -> Credentials {
        credentials()
    }

    /// The root certificate (PEM) of the signatures of Partner Center's webhooks, if it is started. The server from which the signing
    /// certificate is fetched has the same root.
    pub fn partner_root_certificate(&self) -> Option<&str> {
        self.partner_root.as_deref()
    }

    /// Stops: requests in flight are answered, for a second at most.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for mut server in std::mem::take(&mut self.servers) {
            if tokio::time::timeout(Duration::from_secs(1), &mut server).await.is_err() {
                server.abort();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        for server in &self.servers {
            server.abort();
        }
    }
}

/// A port on which a service cannot listen; the inner error of the one that [`start`] returns.
#[derive(Debug, thiserror::Error)]
#[error("port {port} for {service} cannot be used: {source}")]
pub struct PortError {
    /// Which of the emulated services.
    pub service: &'static str,
    /// The port that was asked for.
    pub port: u16,
    /// The system's reason.
    source: io::Error,
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The largest seed, in bytes: a hundred thousand records.
pub const MAX_SEED_BYTES: u64 = 256 * 1024 * 1024;

/// Starts the emulators on loopback ports.
///
/// # Errors
/// When a port cannot be bound (with a [`PortError`] inside), or when the seed is not valid.
pub async fn start(config: Config) -> io::Result<Running> {
    let in_seed = |text: String| invalid(format!("{}: {text}", config.seed_name));
    let seed = config.seed_text.as_deref().map_or_else(|| Ok(Seed::default()), Seed::parse);
    let seed = seed.map_err(in_seed)?;
    let bind =
        async |service, port| Door::bind(port).await.map_err(|source| io::Error::new(source.kind(), PortError { service, port, source }));
    let doors = [
        bind("Dataverse", config.dataverse_port).await?,
        bind("Campaign", config.campaign_port).await?,
        bind("the admin interface", config.admin_port).await?,
        bind("the journal", config.journal_port).await?,
    ];
    let ports = [doors[0].port()?, doors[1].port()?, doors[2].port()?, doors[3].port()?];
    let partner_doors = match &config.partner_center {
        None => None,
        Some(partner) => {
            let referrals = bind("the referrals API", partner.referrals_port).await?;
            let webhooks = bind("the webhooks API", partner.webhooks_port).await?;
            Some([referrals, webhooks, bind("the certificates", partner.certificates_port).await?])
        }
    };
    let partner = match &partner_doors {
        None => None,
        Some([referrals, webhooks, certificates]) => Some([referrals.port()?, webhooks.port()?, certificates.port()?]),
    };
    let data = config.data.as_deref().map(data::Data::open).transpose().map_err(invalid)?;
    let app = Arc::new(build(&config, seed, ports, partner, data).map_err(in_seed)?);

    let stop = CancellationToken::new();
    let [dataverse, campaign, admin, journal] = doors;
    let mut servers = vec![
        serve(dataverse, Router::new().fallback(to_dataverse).with_state(Arc::clone(&app)), stop.clone()),
        serve(campaign, Router::new().fallback(to_campaign).with_state(Arc::clone(&app)), stop.clone()),
        serve(journal, Router::new().fallback(to_journal).with_state(Arc::clone(&app)), stop.clone()),
        serve(admin, admin::router(Arc::clone(&app)), stop.clone()),
    ];
    let mut partner_root = None;
    if let (Some([referrals, webhooks, certificates]), Some(center)) = (partner_doors, &app.partner) {
        partner_root = Some(center.root_pem().to_owned());
        servers.push(serve(referrals, Router::new().fallback(to_referrals).with_state(Arc::clone(&app)), stop.clone()));
        servers.push(serve(webhooks, Router::new().fallback(to_webhooks).with_state(Arc::clone(&app)), stop.clone()));
        let door = center.certificates(certificates.plain())?;
        servers.push(serve_certificates(door, Router::new().fallback(to_certificates).with_state(Arc::clone(&app)), stop.clone()));
    }
    let public = config.dataverse_public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
    let [dataverse, campaign, admin, journal] = ports;
    Ok(Running { addresses: Addresses { dataverse, campaign, admin, journal, public, partner }, stop, servers, partner_root })
}

fn build(config: &Config, mut seed: Seed, ports: [u16; 4], partner: Option<[u16; 3]>, data: Option<data::Data>) -> Result<App, String> {
    let credentials = credentials();
    let clients = vec![credentials.dataverse, credentials.dataverse_other];

    let mut tables = dataverse::table::standard()?;
    for (name, extra) in &mut seed.dataverse.tables {
        let (columns, keys) = (std::mem::take(&mut extra.columns), std::mem::take(&mut extra.keys));
        if let Some(new) = extra.new.take() {
            if tables.iter().any(|table| table.name() == name) {
                return Err(format!("table `{name}` is there already: leave `new` out"));
            }
            let code = 10_000 + tables.len() as i64;
            tables.push(dataverse::define::build(name, new, columns, keys, code)?);
        } else {
            let table = tables.iter_mut().find(|table| table.name() == name);
            table.ok_or_else(|| format!("no table `{name}`; give it `new` with its schema name to make it"))?.extend(columns, keys)?;
        }
        let table = tables.iter_mut().find(|table| table.name() == name).ok_or_else(|| format!("no table `{name}`"))?;
        if let Some(tracking) = extra.tracking {
            table.set_tracking(tracking);
        }
        if let Some(bulk) = extra.bulk {
            table.set_bulk(bulk);
        }
        if let Some(most) = extra.max_targets {
            table.set_max_targets(most);
        }
        if let Some(state) = extra.state_on_create {
            table.set_state_on_create(state);
        }
    }
    let base = match &config.dataverse_public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://127.0.0.1:{}", ports[0]),
    };
    let site = dataverse::Site {
        root: format!("{base}/api/data/v9.2"),
        base,
        tenant: TENANT.to_owned(),
        page_cap: config.page_cap.max(1),
        retention: config.delta_retention,
        expired_status: config.expired_delta_status,
        clock: dataverse::setup::Clock::default(),
        nested_change_set_error: config.nested_change_set_error,
        expand_links: config.expand_links,
        refuse_null_bind: config.refuse_null_bind,
        inactive_read_only: config.inactive_read_only,
    };
    let users: Vec<_> = clients.iter().map(|client| client.user).collect();
    let kept = data.as_ref().map_or(Ok(None), |data| data.organization(users.clone()))?;
    let fresh = kept.is_none();
    let mut store = kept.unwrap_or_else(|| dataverse::store::Store::new(tables, users));
    if data.is_some() {
        store.keep();
    }
    let limit = match (config.throttle, config.service_protection) {
        (Some(requests), _) => Some(Limit { requests, window: Duration::from_secs(1) }),
        (None, Some((requests, window))) => Some(Limit { requests, window }),
        (None, None) => None,
    };
    let limits = Limits { requests: limit, execution: config.max_execution, concurrency: config.max_concurrency };
    let dataverse = Dataverse::new(site, clients, config.token_lifetime, store, Protection::new(config.servers, limits));
    if let Some(pem) = &config.certificate {
        dataverse.set_up(&Setup::certificate(pem))?;
    }
    for setup in &seed.dataverse.setup {
        dataverse.set_up(setup).map_err(|why| format!("dataverse, setup: {why}"))?;
    }
    if fresh {
        dataverse.populate(seed.dataverse.contacts.unwrap_or(0) + config.contacts, config.random_seed)?;
    }
    for (table, extra) in seed.dataverse.tables.iter().filter(|_| fresh) {
        for (index, row) in extra.rows.iter().enumerate() {
            dataverse.seed(table, row.get()).map_err(|why| format!("table `{table}`, row {}: {why}", index + 1))?;
        }
    }

    let partner = match (&config.partner_center, partner) {
        (Some(settings), Some([referrals, webhooks, certificates])) => {
            let site = partner_center::Site {
                referrals: format!("http://127.0.0.1:{referrals}"),
                webhooks: format!("http://127.0.0.1:{webhooks}"),
                certificates: format!("https://127.0.0.1:{certificates}"),
                token_lifetime: chrono::TimeDelta::from_std(config.token_lifetime).map_err(|error| error.to_string())?,
            };
            Some(PartnerCenter::new(site, settings.clone(), std::mem::take(&mut seed.partner))?)
        }
        (_, _) => None,
    };

    let mut config = config.clone();
    seed.campaign.settle(&mut config);
    let mut world = seed.campaign.world(config.random_seed)?;
    let known = data.as_ref().map_or(Ok(false), |data| data.instance(&mut world))?;
    if data.is_some() {
        world.keep();
    }
    let site = campaign::Site {
        base: format!("http://127.0.0.1:{}/{ORGANIZATION}", ports[1]),
        ims: format!("http://127.0.0.1:{}", ports[1]),
        organization: ORGANIZATION.to_owned(),
        duplicate_status: config.duplicate_status,
        refusal_status: config.refusal_status,
        missing_status: config.missing_status,
        big_table: config.big_table_threshold,
        lower_email: config.lower_email,
        smart_case: config.smart_case,
        strip_phone: config.strip_phone,
        cut_overlong: config.cut_overlong,
        strict_content_type: config.strict_content_type,
        link_forms: config.link_forms,
        retry_after: config.campaign_retry_after,
    };
    let journal = Journal::new(credentials.campaign_account.organization.clone(), credentials.campaign.id.clone(), seed.journal)
        .map_err(|why| format!("journal: {why}"))?;
    let account = TechnicalAccount { keys: config.jwt_keys.clone(), ..credentials.campaign_account };
    let campaign = Campaign::new(site, vec![credentials.campaign], config.token_lifetime, account, world)?;
    if !known {
        seed.campaign.fill(&campaign)?;
    }

    let faults = Faults::new(config.fail_rate, config.random_seed, limit);
    let app = App {
        dataverse,
        campaign,
        journal,
        partner,
        faults,
        stats: Stats::default(),
        latency: config.latency,
        data,
        held: Mutex::default(),
    };
    if let Some(data) = &app.data {
        data.save(&app.dataverse, &app.campaign)?;
    }
    Ok(app)
}

fn serve(door: Door, router: Router, stop: CancellationToken) -> JoinHandle<()> {
    let service = router.into_make_service_with_connect_info::<Line>();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(door, service).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "an emulator's server ended");
        }
    })
}

fn serve_certificates(door: partner_center::TlsDoor, router: Router, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(door, router).with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%error, "the server of certificates ended");
        }
    })
}

#[derive(Clone, Copy)]
enum Side {
    Dataverse,
    Campaign,
    Journal,
    Referrals,
    Webhooks,
}

async fn to_dataverse(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: Request<Body>) -> Response<Body> {
    handle(&app, Side::Dataverse, &line, request).await
}

async fn to_campaign(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: Request<Body>) -> Response<Body> {
    handle(&app, Side::Campaign, &line, request).await
}

async fn to_journal(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: Request<Body>) -> Response<Body> {
    handle(&app, Side::Journal, &line, request).await
}

async fn to_referrals(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: Request<Body>) -> Response<Body> {
    handle(&app, Side::Referrals, &line, request).await
}

async fn to_webhooks(State(app): State<Arc<App>>, ConnectInfo(line): ConnectInfo<Line>, request: Request<Body>) -> Response<Body> {
    handle(&app, Side::Webhooks, &line, request).await
}

async fn to_certificates(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    let found = app.partner.as_ref().and_then(|partner| partner.certificate(request.uri().path()));
    found.unwrap_or_else(|| net::empty(StatusCode::NOT_FOUND))
}

/// One request: latency, trouble, the service itself, the count.
async fn handle(app: &App, side: Side, line: &Line, request: Request<Body>) -> Response<Body> {
    let mut response = process(app, side, line, request).await;
    match side {
        Side::Dataverse => app.dataverse.stamp(&mut response),
        Side::Campaign | Side::Journal | Side::Referrals | Side::Webhooks => {}
    }
    response
}

async fn process(app: &App, side: Side, line: &Line, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let api = match side {
        Side::Dataverse if Dataverse::is_token_path(path) => Api::DataverseToken,
        Side::Dataverse => Api::Dataverse,
        Side::Campaign if Campaign::is_token_path(path) => Api::CampaignToken,
        Side::Campaign => Api::Campaign,
        Side::Journal => Api::Journal,
        Side::Referrals if PartnerCenter::is_sign_in_path(path) => Api::PartnerToken,
        Side::Referrals => Api::Referrals,
        Side::Webhooks => Api::Webhooks,
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        app.stats.record(api, &parts.method, "too long".to_owned(), Outcome::Status(413));
        return net::empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    // Limits count from the arrival to the answer.
    let arrival = app.dataverse.arrive(api, &parts.headers);
    if !app.latency.is_zero() {
        tokio::time::sleep(app.latency).await;
    }
    let (fault, of_parts) = match app.faults.next(api, &parts.method, path) {
        None if api == Api::Dataverse && path.ends_with("/$batch") && app.faults.are_ordered() => {
            Dataverse::faults_of_batch(&app.faults, path, &parts.headers, &body)
        }
        fault => (fault, Vec::new()),
    };
    match &fault {
        Some(Fault::Reset) => {
            app.stats.record(api, &parts.method, "fault".to_owned(), Outcome::Reset);
            line.reset();
            return net::empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Some(Fault::Held) => {
            app.stats.record(api, &parts.method, "fault".to_owned(), Outcome::Reset);
            line.close();
            lock(&app.held).push(Held { side, request: Request::from_parts(parts, body) });
            return net::empty(StatusCode::INTERNAL_SERVER_ERROR);
        }
        Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::ExpiredPkeys) => app.campaign.expire_pkeys(),
        Some(Fault::LostAnswer | Fault::CutBody | Fault::SlowBody(_) | Fault::Duplicate | Fault::RepeatedAnswer) | None => {}
        Some(fault @ (Fault::Status { .. } | Fault::Throttle { .. } | Fault::Unauthorized | Fault::Html { .. })) => {
            let response = match side {
                Side::Dataverse => app.dataverse.fault(fault),
                // The same gateway, and its words.
                Side::Campaign | Side::Journal => app.campaign.fault(fault),
                Side::Referrals | Side::Webhooks => app.partner.as_ref().and_then(|partner| partner.fault(api, fault)),
            };
            let response = response.unwrap_or_else(|| net::empty(StatusCode::INTERNAL_SERVER_ERROR));
            app.stats.record(api, &parts.method, "fault".to_owned(), Outcome::Status(response.status().as_u16()));
            return response;
        }
    }
    let call = Call { method: &parts.method, path, query: parts.uri.query(), headers: &parts.headers, body: &body };
    let serve = || match (api, &arrival) {
        (Api::DataverseToken, _) => app.dataverse.token(&call),
        (Api::Dataverse, Some(arrival)) => app.dataverse.answer(&call, arrival, &of_parts),
        // Not reached: every request to that API has arrived.
        (Api::Dataverse, None) => Answer::new("unknown", net::empty(StatusCode::INTERNAL_SERVER_ERROR)),
        (Api::CampaignToken, _) => app.campaign.token(&call),
        (Api::Campaign, _) => app.campaign.answer(&call, &app.faults),
        (Api::Journal, _) => app.journal.answer(&call, &app.campaign.tokens, &app.faults),
        (Api::Referrals | Api::PartnerToken | Api::Webhooks, _) => match &app.partner {
            Some(partner) if api == Api::PartnerToken => partner.sign_in(&call),
            Some(partner) => partner.answer(api, &call, &app.faults),
            // Not reached: its ports are open only if it is started.
            None => Answer::new("unknown", net::empty(StatusCode::INTERNAL_SERVER_ERROR)),
        },
    };
    if fault == Some(Fault::Duplicate) {
        let Answer { route, response, operations } = serve();
        app.stats.operations(api, operations);
        app.stats.record(api, &parts.method, route, Outcome::Status(response.status().as_u16()));
    }
    let Answer { route, response, operations } = serve();
    app.stats.operations(api, operations);
    if api == Api::Dataverse {
        tokio::time::sleep(app.dataverse.work(operations)).await;
    }
    if parts.method != axum::http::Method::GET {
        app.keep();
    }
    if fault == Some(Fault::LostAnswer) {
        app.stats.record(api, &parts.method, route, Outcome::Lost);
        line.close();
        return response;
    }
    app.stats.record(api, &parts.method, route, Outcome::Status(response.status().as_u16()));
    match fault {
        Some(Fault::CutBody) => Dribble::cut(response, line),
        Some(Fault::SlowBody(pause)) => Dribble::slow(response, pause),
        Some(Fault::RepeatedAnswer) => {
            line.repeat();
            response
        }
        Some(
            Fault::Status { .. }
            | Fault::Throttle { .. }
            | Fault::Unauthorized
            | Fault::Reset
            | Fault::LostAnswer
            | Fault::Held
            | Fault::Html { .. }
            | Fault::Slow(_)
            | Fault::Duplicate
            | Fault::ExpiredPkeys,
        )
        | None => response,
    }
}
