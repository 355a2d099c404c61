//! A project that is served: emulators, a folder with its files, the server on a free port, and programs and people who ask it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use d365map::run::Clock;
use d365map::serve::access::{Access, AccessConfig, ApiClient, Auditor, Role};
use d365map::serve::{RunnerOptions, Runners, Served, Site, answer_requests};
use d365map::store::Audit;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::flow::support::World;

/// The name of the project in addresses: that of its folder.
pub const NAME: &str = "contoso";

/// A served project.
pub struct Serving {
    pub world: World,
    pub site: Arc<Site>,
    pub address: SocketAddr,
    client: Client,
    runners: Option<Runners>,
    stop: CancellationToken,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The token of the API client of a role.
pub fn token(role: Role) -> String {
    format!("{}-0123456789abcdef0123456789abcdef", role.name())
}

impl Serving {
    /// Serves a project with these mapping files, which is not watched yet.
    pub async fn start(world: World, mappings: &[(&str, &str)]) -> Serving {
        write_project(&world, mappings);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut config = AccessConfig::local(address, Clock::default());
        let client = |role: Role| ApiClient { name: format!("the {}", role.name()), token: SecretString::from(token(role)), role };
        config.clients = Role::ALL.into_iter().map(client).collect();
        let projects = Served::load(&[folder(&world)]).expect("a project");
        let logs = projects.iter().map(|(name, served)| (name.clone(), served.clone() as Arc<dyn Audit>));
        config.auditor = Auditor::new(Clock::default(), logs);
        let access = Access::new(config).expect("a safe configuration");
        let stop = CancellationToken::new();
        let site = Arc::new(Site { projects, access, metrics: Arc::default(), stop: stop.clone() });
        tokio::spawn(answer_requests(listener, site.clone()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        Serving { world, site, address, client, runners: None, stop }
    }

    /// Begins to watch the project.
    pub fn watch(&mut self) {
        let options = RunnerOptions::default();
        self.runners = Some(Runners::start(self.site.projects.values().cloned(), &options, &self.site.metrics).expect("a thread"));
    }

    /// Ends the watch and the server.
    pub async fn end(mut self) {
        self.stop.cancel();
        if let Some(runners) = self.runners.take() {
            tokio::task::spawn_blocking(move || runners.end()).await.expect("no panic");
        }
    }

    /// The folder of the project.
    pub fn folder(&self) -> PathBuf {
        folder(&self.world)
    }

    /// The project as the server has it.
    pub fn served(&self) -> &Arc<Served> {
        &self.site.projects[NAME]
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A fresh one-time link.
    pub fn link(&self) -> String {
        self.site.access.link(self.address.port())
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.client.request(method, self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        Answer { status: answer.status(), headers: answer.headers().clone(), body: answer.text().await.expect("a text") }
    }

    /// Opens a stream of events, which is read in pieces.
    pub async fn stream(&self, path: &str, cookie: &str) -> reqwest::Response {
        let answer = self.client.get(self.url(path)).header("cookie", cookie).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer
    }

    /// Sends a request as the API client of a role.
    pub async fn ask(&self, role: Role, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {}", token(role));
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send(method, path, &headers, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    /// Signs in by a link. Returns the header with the cookie of the session.
    pub async fn sign_in(&self) -> String {
        let link = self.link();
        let path = link.strip_prefix(&self.url("")).unwrap_or_else(|| panic!("{link}")).to_owned();
        let answer = self.send(Method::GET, &path, &[], "").await;
        let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        assert!(cookie.starts_with("__Host-d365map="), "{answer:?}");
        cookie
    }

    /// Waits until a workflow is as expected, by what the API says of it.
    pub async fn until(&self, name: &str, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/projects/{NAME}/workflows");
        let began = Instant::now();
        loop {
            let workflows = self.ask(Role::Viewer, Method::GET, &path, None).await.json();
            let found = workflows["workflows"].as_array().into_iter().flatten().find(|w| w["name"] == name);
            match found {
                Some(workflow) if expected(workflow) => return workflow.clone(),
                found => {
                    let problem = &self.served().now().problem;
                    assert!(began.elapsed() < Duration::from_secs(60), "`{name}` is never {what}: {found:?}, {problem:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a workflow is in a state.
    pub async fn state(&self, name: &str, state: &str) -> Value {
        self.until(name, state, |workflow| workflow["record"]["state"] == state).await
    }
}

fn folder(world: &World) -> PathBuf {
    world.folder.path().join(NAME)
}

/// A project folder with its secrets in files: the server is in the process of the test.
fn write_project(world: &World, mappings: &[(&str, &str)]) {
    let credentials = world.emulators.credentials();
    let yaml = format!(
        "version: 1\nconnections:\n  dynamics:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ file: secrets/dynamics }}\n  \
         campaign:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ file: secrets/campaign }}\n    scope: {}\n\
         limits:\n  page-size: 50\n  request-timeout-seconds: 3\n  watch-interval-seconds: 1\n",
        world.emulators.dataverse_url(),
        world.emulators.dataverse_token_url(),
        credentials.dataverse.id,
        world.emulators.campaign_url(),
        world.emulators.campaign_token_url(),
        credentials.campaign.id,
        credentials.campaign_scope,
    );
    let folder = folder(world);
    for sub in ["mappings", "secrets"] {
        std::fs::create_dir_all(folder.join(sub)).expect("a folder");
    }
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("d365map.yaml", &yaml);
    for (name, secret) in [("secrets/dynamics", &credentials.dataverse.secret), ("secrets/campaign", &credentials.campaign.secret)] {
        write(name, secret);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).expect("a mode");
        }
    }
    for (name, text) in mappings {
        write(&format!("mappings/{name}"), text);
    }
}
