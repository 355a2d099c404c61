//! A proxy that changes answers on their way, for what no emulator would say.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri, header};
use d365map::connect::Http;
use d365map::run::Services;
use d365map::system::SystemId;
use d365map::systems::Systems;
use d365map::systems::campaign::{Campaign, CampaignConfig};
use d365map::systems::dataverse::{Dataverse, DataverseConfig};
use secrecy::SecretString;
use url::Url;

use super::support::World;

/// A text in answers, and its replacement.
pub type Rules = &'static [(&'static str, &'static str)];
/// The same, to be exchanged later: links that the state keeps name the proxy.
pub type Rewritten = Arc<Mutex<Rules>>;

struct Proxy {
    /// `127.0.0.1:1234` of the service and of the proxy: links and scopes name the address.
    its: String,
    own: String,
    rules: Rewritten,
    client: reqwest::Client,
}

/// Starts a proxy before a service; gives the service's address with that of the proxy in it.
async fn start(service: &str, rules: Rewritten) -> (String, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let own = listener.local_addr().expect("an address").to_string();
    let url = Url::parse(service).expect("an address");
    let its = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    let proxy = Arc::new(Proxy { its: its.clone(), own: own.clone(), rules, client: reqwest::Client::new() });
    let app = axum::Router::new().fallback(pass_on).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (its, own)
}

async fn pass_on(State(proxy): State<Arc<Proxy>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body = String::from_utf8_lossy(&body).replace(&proxy.own, &proxy.its);
    // The scope of a request for a token has the colon encoded.
    let encoded = |address: &str| address.replace(':', "%3A");
    let body = body.replace(&encoded(&proxy.own), &encoded(&proxy.its));
    let mut request = proxy.client.request(method, format!("http://{}{uri}", proxy.its)).body(body);
    for (name, value) in &headers {
        if ![header::HOST, header::ACCEPT_ENCODING, header::CONTENT_LENGTH, header::CONNECTION].contains(name) {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.expect("an answer");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if ![header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION].contains(name) {
            response = response.header(name, value);
        }
    }
    let mut text = answer.text().await.expect("a body").replace(&proxy.its, &proxy.own);
    let rules = *proxy.rules.lock().expect("no panic");
    for (find, put) in rules {
        text = text.replace(find, put);
    }
    response.body(Body::from(text)).expect("an answer")
}

/// The services of a world behind proxies, with the rules of each.
pub async fn services(world: &World) -> (Services, Rewritten, Rewritten) {
    let (dataverse_rules, campaign_rules) = (Rewritten::default(), Rewritten::default());
    let http = Http::new(world.http.clone()).expect("a client");
    let credentials = world.emulators.credentials();
    let (d_its, d_own) = start(&world.emulators.dataverse_url(), dataverse_rules.clone()).await;
    let (c_its, c_own) = start(&world.emulators.campaign_url(), campaign_rules.clone()).await;
    let url = |text: String| {
        let text = text.replace(&d_its, &d_own).replace(&c_its, &c_own);
        Url::parse(&text).expect("an address")
    };
    let dataverse = DataverseConfig {
        url: url(world.emulators.dataverse_url()),
        token_url: url(world.emulators.dataverse_token_url()),
        client_id: credentials.dataverse.id.clone(),
        credential: SecretString::from(credentials.dataverse.secret.clone()).into(),
    };
    let campaign = CampaignConfig::new(
        url(world.emulators.campaign_url()),
        credentials.campaign.id.clone(),
        SecretString::from(credentials.campaign.secret.clone()),
        credentials.campaign_scope.clone(),
    );
    let campaign = CampaignConfig { token_url: url(world.emulators.campaign_token_url()), ..campaign };
    let dataverse = Dataverse::new(http.clone(), dataverse).expect("a client of Dataverse");
    let campaign = Campaign::new(http, campaign).expect("a client of Campaign");
    let services = Services::new(Systems::default().with(SystemId::D365, dataverse).with(SystemId::Campaign, campaign));
    (services, dataverse_rules, campaign_rules)
}
