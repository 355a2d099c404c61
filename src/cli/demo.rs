//! `d365map demo`: the whole way in a few seconds, against local stand-ins for both services.
//!
//! Starts the emulators, compiles the embedded contact mapping, runs the first full load, lets a salesperson change some
//! contacts in Dynamics, runs again, and says what happened. Nothing outside a temporary folder is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::output::{fail, print};
use super::run::{Format, runtime};
use super::{Exit, Global};
use crate::check::{Input, compile};
use crate::connect::campaign::{Campaign, CampaignConfig};
use crate::connect::dataverse::{Dataverse, DataverseConfig};
use crate::connect::{Http, HttpConfig};
use crate::diagnostics::render::{Format as Rendering, Style, render};
use crate::emulator::{Config, Running, start};
use crate::plan::ExecutionPlan;
use crate::project::template;
use crate::run::{Counters, Options, Pace, Services, Summary, run as execute};
use crate::schema::Catalogue;
use crate::state::{DeadLetterFilter, Store};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Sample contacts in Dynamics.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    contacts: usize,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the demonstration.
pub fn run(args: &Args, global: &Global) -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let folder = Folder::new();
    match runtime.block_on(demo(args, global.quiet, &folder.0)) {
        Ok(text) => {
            print(&text);
            Exit::Clean
        }
        Err(error) => fail(&format!("the demonstration failed: {error}")),
    }
}

/// A folder for the state that goes with the demonstration.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        Folder(std::env::temp_dir().join(format!("d365map-demo-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What one run did.
struct Step {
    title: &'static str,
    summary: Summary,
    calls: crate::connect::CallStats,
}

async fn demo(args: &Args, quiet: bool, folder: &Path) -> Result<String, String> {
    let say = |text: &str| {
        if args.format == Format::Human && !quiet {
            eprintln!("{text}");
        }
    };
    let config = Config { contacts: args.contacts, seed_text: Some(crate::emulator::SAMPLE_SEED.to_owned()), ..Config::default() };
    let emulators = start(config).await.map_err(|e| format!("the emulators could not be started: {e}"))?;
    say(&format!("Dataverse emulator at {}, Campaign emulator at {}", emulators.dataverse_url(), emulators.campaign_url()));
    let plan = Arc::new(embedded_plan()?);
    say("compiled mappings/contacts.d365map (`d365map plan` shows what it does)");
    let store = Store::open_for_run(&folder.join("state.db")).map_err(|e| e.to_string())?;

    let mut steps = Vec::new();
    for title in ["first full load", "after changes in Dynamics", "once more, nothing has changed"] {
        if steps.len() == 1 {
            say("a salesperson changes contacts in Dynamics: 5 new, 20 changed, 1 with a broken e-mail address, 1 deleted, 1 deactivated");
            change_contacts(&emulators).await?;
        }
        say(&format!("running: {title}"));
        let (http, services) = services(&emulators)?;
        let options = Options {
            pace: Pace::Once,
            mappings: None,
            page_size: 500,
            concurrency: 8,
            backlog_high_water: 20_000,
            mass_delete_percent: None,
            optouts: crate::run::OptoutSettings::default(),
        };
        let counters = Arc::new(Counters::default());
        let summary =
            execute(plan.clone(), services, store.clone(), options, counters, CancellationToken::new()).await.map_err(|e| e.to_string())?;
        steps.push(Step { title, summary, calls: http.stats() });
    }
    let letters = store.dead_letters(&DeadLetterFilter::default(), 0, 10).map_err(|e| e.to_string())?;
    drop(store);
    emulators.stop().await;
    Ok(match args.format {
        Format::Human => {
            let mut out = String::new();
            for step in &steps {
                out.push_str(&format!("\n== {} ==\n{}", step.title, super::run::describe(&step.summary, &step.calls)));
            }
            out.push_str(&format!("\ndead letters: {}\n", letters.len()));
            for letter in &letters {
                out.push_str(&format!("  {}: {}\n", letter.source_id, letter.failure.message));
            }
            out.push_str("\nBegin a project of your own with `d365map init`.\n");
            out
        }
        Format::Json => {
            let runs: Vec<Value> = steps.iter().map(|s| json!({"title": s.title, "summary": s.summary, "calls": s.calls})).collect();
            format!("{}\n", json!({"version": 1, "runs": runs, "dead_letters": letters}))
        }
    })
}

/// The plan of the embedded mapping against the built-in schemas.
pub fn embedded_plan() -> Result<ExecutionPlan, String> {
    let input = Input { name: "mappings/contacts.d365map".to_owned(), bytes: template::MAPPING.as_bytes().to_vec() };
    let compiled = compile(vec![input], Catalogue::builtin());
    let findings = || render(&compiled.diagnostics, &compiled.sources, Rendering::Human, Style::PLAIN);
    compiled.plan.ok_or_else(|| format!("the embedded mapping has errors\n{}", findings()))
}

fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|e| format!("{text}: {e}"))
}

fn services(emulators: &Running) -> Result<(Http, Services), String> {
    let http = Http::new(HttpConfig { backoff_min: Duration::from_millis(20), ..HttpConfig::default() }).map_err(|e| e.to_string())?;
    let credentials = emulators.credentials();
    let dataverse = DataverseConfig {
        url: url(&emulators.dataverse_url())?,
        token_url: url(&emulators.dataverse_token_url())?,
        client_id: credentials.dataverse.id.clone(),
        credential: SecretString::from(credentials.dataverse.secret.clone()).into(),
    };
    let scope = credentials.campaign_scope.clone();
    let campaign = CampaignConfig::new(
        url(&emulators.campaign_url())?,
        credentials.campaign.id.clone(),
        SecretString::from(credentials.campaign.secret.clone()),
        scope,
    );
    let campaign = CampaignConfig { token_url: url(&emulators.campaign_token_url())?, ..campaign };
    let services = Services {
        dataverse: Dataverse::new(http.clone(), dataverse).map_err(|e| e.to_string())?,
        campaign: Campaign::new(http.clone(), campaign).map_err(|e| e.to_string())?,
        exports: None,
        files: crate::connect::sftp::ExportFiles::default(),
        journal: None,
    };
    Ok((http, services))
}

/// What happens in Dynamics between two runs, through its own Web API and under another user than the integration's.
async fn change_contacts(emulators: &Running) -> Result<(), String> {
    let sales = Sales::log_in(emulators).await?;
    let listed = sales
        .send(reqwest::Method::GET, "contacts?$select=contactid&$filter=statecode eq 0 and contains(emailaddress1,'@')&$top=23", None)
        .await?;
    let ids: Vec<String> =
        listed["value"].as_array().into_iter().flatten().filter_map(|c| c["contactid"].as_str().map(str::to_owned)).collect();
    for i in 0..5 {
        let body = json!({"firstname": "Nova", "lastname": format!("Neumann-{i}"), "emailaddress1": format!("NOVA.{i}@Example.org"), "gendercode": 2});
        sales.send(reqwest::Method::POST, "contacts", Some(body)).await?;
    }
    for (i, id) in ids.iter().enumerate() {
        let path = format!("contacts({id})");
        match i {
            0 => sales.send(reqwest::Method::DELETE, &path, None).await?,
            1 => sales.send(reqwest::Method::PATCH, &path, Some(json!({"statecode": 1, "statuscode": 2}))).await?,
            2 => sales.send(reqwest::Method::PATCH, &path, Some(json!({"emailaddress1": "ada at example.org"}))).await?,
            _ => sales.send(reqwest::Method::PATCH, &path, Some(json!({"middlename": format!("M. {i}"), "address1_city": "Graz"}))).await?,
        };
    }
    Ok(())
}

/// A client of Dataverse that is not the integration.
struct Sales {
    client: reqwest::Client,
    root: String,
    token: String,
}

impl Sales {
    async fn log_in(emulators: &Running) -> Result<Sales, String> {
        let client = reqwest::Client::new();
        let user = &emulators.credentials().dataverse_other;
        let scope = format!("{}/.default", emulators.dataverse_url().trim_end_matches('/'));
        let form = [("grant_type", "client_credentials"), ("client_id", &user.id), ("client_secret", &user.secret), ("scope", &scope)];
        let answer = client.post(emulators.dataverse_token_url()).form(&form).send().await.map_err(|e| e.to_string())?;
        let body: Value = answer.json().await.map_err(|e| e.to_string())?;
        let token = body["access_token"].as_str().ok_or("the emulator gave no token")?.to_owned();
        let root = format!("{}/api/data/v9.2/", emulators.dataverse_url().trim_end_matches('/'));
        Ok(Sales { client, root, token })
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.root)).bearer_auth(&self.token);
        request = request.header("OData-Version", "4.0").header("OData-MaxVersion", "4.0").header("Accept", "application/json");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("{method} {path}: {status} {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
