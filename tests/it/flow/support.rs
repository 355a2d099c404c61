//! A world for a flow: both emulators, a state file, a plan, and the hands of other people.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use d365map::check::{Input, compile};
use d365map::connect::{BreakerSettings, Http, HttpConfig, RequestLifetime};
use d365map::diagnostics::render::{Format, Style, render};
use d365map::plan::ExecutionPlan;
use d365map::run::{DryRun, FlowSummary, Options, Pace, Publisher, RunError, Services, Summary, dry_run, run};
use d365map::schema::Catalogue;
use d365map::store::sqlite::db::Store;
use d365map::store::{DeadLetter, DeadLetterFilter};
use d365map::system::SystemId;
use d365map::systems::Systems;
use d365map::systems::campaign::{Campaign, CampaignConfig, LinkForm};
use d365map::systems::dataverse::{Dataverse, DataverseConfig};
use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

/// The shipped mapping.
pub const CONTACTS: &str = include_str!("../../../mappings/contacts.d365map");

pub struct World {
    pub emulators: Running,
    pub folder: tempfile::TempDir,
    pub client: reqwest::Client,
    token: String,
    pub options: Options,
    pub http: HttpConfig,
    pub link_form: LinkForm,
    /// Where Campaign is reached, if something is between.
    pub campaign_at: Option<Url>,
}

/// The plan of a mapping against the built-in schemas.
pub fn plan_of(text: &str) -> Arc<ExecutionPlan> {
    let input = Input { name: "mappings/contacts.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
    let compiled = compile(vec![input], Catalogue::builtin());
    let findings = render(&compiled.diagnostics, &compiled.sources, Format::Human, Style::PLAIN);
    Arc::new(compiled.plan.unwrap_or_else(|| panic!("{findings}")))
}

/// A mapping of a few fields with these options.
pub fn small(options: &str) -> Arc<ExecutionPlan> {
    plan_of(&small_text(options))
}

/// Its text.
pub fn small_text(options: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  firstname -> firstName | truncate(30)
  lastname -> lastName
  emailaddress1 -> email
  address1_city -> location.city | truncate(50) @initial
  filter all {{ statecode = Active; not lastname = \"Hidden\" }}
  options {{ {options} }}
}}"
    )
}

/// The n-th contact's id.
pub fn id(n: u32) -> String {
    format!("c0000000-0000-4000-8000-{n:012}")
}

impl World {
    pub async fn new(config: Config) -> World {
        let emulators = start(config).await.expect("the emulators start");
        let client = reqwest::Client::new();
        let user = &emulators.credentials().dataverse_other;
        let scope = format!("{}/.default", emulators.dataverse_url().trim_end_matches('/'));
        let form = [("grant_type", "client_credentials"), ("client_id", &user.id), ("client_secret", &user.secret), ("scope", &scope)];
        let answer: Value =
            client.post(emulators.dataverse_token_url()).form(&form).send().await.expect("an answer").json().await.expect("JSON");
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        World {
            emulators,
            folder: tempfile::tempdir().expect("a folder"),
            client,
            token,
            options: Options {
                pace: Pace::Once,
                mappings: None,
                page_size: 100,
                concurrency: 6,
                backlog_high_water: 10_000,
                mass_limits: d365map::store::MassLimits::default(),
                optouts: d365map::run::OptoutSettings::default(),
                memories: d365map::run::Memories::default(),
                clock: d365map::run::Clock::default(),
            },
            http: HttpConfig {
                backoff_min: Duration::from_millis(5),
                backoff_max: Duration::from_millis(50),
                // The emulators hold no request back.
                request_lifetime: RequestLifetime { after_timeout: Duration::from_millis(300), after_sending: Duration::from_millis(300) },
                // An outage of a test is short, and so are the pauses.
                breaker: BreakerSettings {
                    pause: Duration::from_millis(50),
                    longest_pause: Duration::from_millis(200),
                    ..BreakerSettings::default()
                },
                ..HttpConfig::default()
            },
            link_form: LinkForm::default(),
            campaign_at: None,
        }
    }

    /// A world without contacts.
    pub async fn empty() -> World {
        World::new(Config::default()).await
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// The options of a process that begins: it remembers nothing.
    pub fn options(&self) -> Options {
        Options { memories: d365map::run::Memories::default(), ..self.options.clone() }
    }

    pub fn services(&self) -> (Http, Services) {
        let url = |text: String| Url::parse(&text).expect("an emulator's address");
        let http = Http::new(self.http.clone()).expect("a client");
        let credentials = self.emulators.credentials();
        let dataverse = DataverseConfig {
            url: url(self.emulators.dataverse_url()),
            token_url: url(self.emulators.dataverse_token_url()),
            client_id: credentials.dataverse.id.clone(),
            credential: SecretString::from(credentials.dataverse.secret.clone()).into(),
        };
        let scope = credentials.campaign_scope.clone();
        let campaign = CampaignConfig::new(
            self.campaign_at.clone().unwrap_or_else(|| url(self.emulators.campaign_url())),
            credentials.campaign.id.clone(),
            SecretString::from(credentials.campaign.secret.clone()),
            scope,
        );
        let campaign = CampaignConfig { token_url: url(self.emulators.campaign_token_url()), link_form: self.link_form, ..campaign };
        let dataverse = Dataverse::new(http.clone(), dataverse).expect("a client of Dataverse");
        let campaign = Campaign::new(http.clone(), campaign).expect("a client of Campaign");
        let services = Services::new(Systems::default().with(SystemId::D365, dataverse).with(SystemId::Campaign, campaign));
        (http, services)
    }

    /// Runs once.
    pub async fn try_run(&self, plan: &Arc<ExecutionPlan>) -> Result<Summary, RunError> {
        let store = Store::open_for_run(&self.state()).expect("the state opens");
        let (_, services) = self.services();
        run(plan.clone(), services, store.into(), self.options(), Publisher::default(), CancellationToken::new()).await
    }

    /// Runs once and gives the counts of the one flow.
    pub async fn run(&self, plan: &Arc<ExecutionPlan>) -> FlowSummary {
        self.try_run(plan).await.expect("the run completes").flows.remove(0)
    }

    pub async fn dry(&self, plan: &Arc<ExecutionPlan>) -> DryRun {
        let store = if self.state().exists() { Store::open_read(&self.state()) } else { Store::in_memory() };
        let store = store.expect("the state opens");
        dry_run(plan, &self.services().1, &store.into(), &self.options, &CancellationToken::new()).await.expect("the dry run completes")
    }

    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        Store::open_read(&self.state()).and_then(|s| s.dead_letters(&DeadLetterFilter::default(), 0, 1000)).expect("the state can be read")
    }

    /// Another user of Dynamics does something; a create takes its id from the body.
    pub async fn sales(&self, method: &str, path: &str, body: Value) {
        let url = format!("{}/api/data/v9.2/{path}", self.emulators.dataverse_url().trim_end_matches('/'));
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request =
            self.client.request(method, &url).bearer_auth(&self.token).header("OData-Version", "4.0").header("OData-MaxVersion", "4.0");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {} {}", answer.status(), answer.text().await.unwrap_or_default());
    }

    /// Contact n, with these values beside its id.
    pub async fn create(&self, n: u32, mut values: Value) {
        values["contactid"] = id(n).into();
        self.sales("POST", "contacts", values).await;
    }

    pub async fn update(&self, n: u32, values: Value) {
        self.sales("PATCH", &format!("contacts({})", id(n)), values).await;
    }

    pub async fn delete(&self, n: u32) {
        self.sales("DELETE", &format!("contacts({})", id(n)), Value::Null).await;
    }

    pub async fn admin(&self, path: &str, body: Value) {
        let url = format!("{}/{path}", self.emulators.admin_url().trim_end_matches('/'));
        let answer = self.client.post(&url).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {} {}", answer.status(), answer.text().await.unwrap_or_default());
    }

    pub async fn admin_get(&self, path: &str) -> Value {
        let url = format!("{}/{path}", self.emulators.admin_url().trim_end_matches('/'));
        self.client.get(&url).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// All profiles, sorted, without what the service makes up.
    pub async fn profiles(&self) -> Vec<Value> {
        match self.admin_get("dump/profiles").await {
            Value::Array(profiles) => profiles,
            other => panic!("not a list: {other}"),
        }
    }

    /// The profile of contact n.
    pub async fn profile(&self, n: u32) -> Option<Value> {
        self.profiles().await.into_iter().find(|p| p["externalId"] == id(n).as_str())
    }

    /// Calls that change something in Campaign, since the count was last reset.
    pub async fn campaign_writes(&self) -> u64 {
        self.admin_get("stats").await["apis"]["campaign"]["writes"].as_u64().unwrap_or(0)
    }

    /// Somebody works in Campaign itself.
    pub async fn in_campaign(&self, method: &str, path: &str, body: Value) -> Value {
        let credentials = self.emulators.credentials();
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &*credentials.campaign.id),
            ("client_secret", &*credentials.campaign.secret),
            ("scope", &*credentials.campaign_scope),
        ];
        let token: Value =
            self.client.post(self.emulators.campaign_token_url()).form(&form).send().await.expect("an answer").json().await.expect("JSON");
        let url = format!("{}/campaign/profileAndServicesExt/{path}", self.emulators.campaign_url().trim_end_matches('/'));
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self
            .client
            .request(method, &url)
            .bearer_auth(token["access_token"].as_str().expect("a token"))
            .header("X-Api-Key", &credentials.campaign.id);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A project folder for the command: project file and mapping.
    pub fn project(&self, mapping: &str) {
        let c = self.emulators.credentials();
        let yaml = format!(
            "version: 1\nconnections:\n  dynamics:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ env: TEST_DYNAMICS_SECRET }}\n  campaign:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ env: TEST_CAMPAIGN_SECRET }}\n    scope: {}\nlimits:\n  page-size: 50\n  request-timeout-seconds: 3\n",
            self.emulators.dataverse_url(),
            self.emulators.dataverse_token_url(),
            c.dataverse.id,
            self.emulators.campaign_url(),
            self.emulators.campaign_token_url(),
            c.campaign.id,
            c.campaign_scope,
        );
        let folder = self.folder.path();
        std::fs::write(folder.join("d365map.yaml"), yaml).expect("a project file");
        std::fs::create_dir_all(folder.join("mappings")).expect("a folder");
        std::fs::write(folder.join("mappings/contacts.d365map"), mapping).expect("a mapping");
    }

    /// The command in the project's folder, with its secrets.
    pub fn command(&self, args: &[&str]) -> tokio::process::Command {
        let c = self.emulators.credentials();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("TEST_DYNAMICS_SECRET", &c.dataverse.secret)
            .env("TEST_CAMPAIGN_SECRET", &c.campaign.secret)
            .kill_on_drop(true);
        command
    }

    /// Runs the command: exit status, standard output, standard error.
    pub async fn call(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().await.expect("the command runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}

/// A contact that goes through.
pub fn ada() -> Value {
    json!({"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@example.com", "address1_city": "London"})
}
