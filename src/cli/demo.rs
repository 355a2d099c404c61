//! `d365map demo`: the whole way in a few seconds, against local stand-ins for the services.
//!
//! Starts the emulators, makes a project of the mappings that are shipped, runs the first full load, lets people work in
//! both systems (contacts are changed, persons opt out on either side, a newsletter is sent, opened, clicked and returned),
//! runs again, and shows what happened. Then deals travel between Partner Center and Dynamics, each way. Nothing outside a temporary
//! folder is touched.

mod referrals;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::output::{print, print_json};
use super::run::Format;
use super::{Exit, Global, emulated};
use crate::app::{CommandError, ErrorKind, options, server_runtime, services, state};
use crate::check::{Input, compile};
use crate::diagnostics::render::{Format as Rendering, Style, render};
use crate::disk;
use crate::plan::ExecutionPlan;
use crate::project::{FILE_NAME, Project, template};
use crate::run::{Pace, Publisher, Summary, run as execute};
use crate::schema::Catalogue;
use crate::store::{Access, DeadLetterFilter};
use crate::time;
use d365map_emulator::{Config, DeviceSignIn, PartnerCenterConfig, Running, start};

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
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let folder = Folder::new();
    let failed = |error: DemoError| CommandError::new(ErrorKind::Bug, format!("the demonstration failed: {error}"));
    let text = server_runtime()?.block_on(demo(args, global.quiet, &folder.0)).map_err(failed)?;
    if args.format == Format::Json {
        print_json(&text)
    } else {
        print(&text)
    }
    Ok(Exit::Clean)
}

/// Any error of a demonstration, which needs only this machine.
type DemoError = Box<dyn std::error::Error + Send + Sync>;

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
struct DemoRun {
    title: &'static str,
    summary: Summary,
    calls: crate::connect::CallStats,
}

/// The runs of the demonstration.
const RUNS: [&str; 3] = ["First full load", "After changes on both sides", "Again, without changes"];

/// What happens between the first run and the second.
const CHANGES: &str =
    "Between the first two runs: in Dynamics, 5 contacts are created, 20 changed, 1 gets a malformed email address, 1 is deleted,
1 deactivated, and 1 opts out of emails. In Campaign, another one opts out, and a newsletter is sent, opened, clicked, and bounces.
";

async fn demo(args: &Args, quiet: bool, folder: &Path) -> Result<String, DemoError> {
    let say = |text: &str| {
        if args.format == Format::Human && !quiet {
            say!("{text}");
        }
    };
    let config = Config {
        contacts: args.contacts,
        seed_text: Some(without_referrals(d365map_emulator::SAMPLE_SEED)?),
        // No user has to confirm the sign-in.
        partner_center: Some(PartnerCenterConfig {
            device_sign_in: DeviceSignIn::AfterPolls(0),
            device_interval: Duration::ZERO,
            ..PartnerCenterConfig::default()
        }),
        ..Config::default()
    };
    let emulators = start(config).await.map_err(|e| format!("the emulators could not be started: {e}"))?;
    say(&format!("The services run on this machine, with {} sample contacts.", args.contacts));
    let project = project(&emulators, folder)?;
    let plan = Arc::new(shipped_plan(&template::SHIPPED)?);
    let stores = state::open(&project, Access::Run).await?;

    let mut runs = Vec::new();
    let mut example = Vec::new();
    for title in RUNS {
        if runs.len() == 1 {
            example = self::example(&emulators, &plan).await?;
            change(&emulators).await?;
        }
        say(&format!("Run {} of {} …", runs.len() + 1, RUNS.len()));
        let (http, services) = services::of_plan(&project, &plan, None, Some(&services::spent_today(&stores).await?))?;
        let mut options = options::of_project(&project, Pace::Once, Vec::new());
        // Profiles are listed each time: the demonstration does not last an hour.
        options.optouts.list_every = Duration::ZERO;
        // One deletion among few contacts is expected here.
        options.mass_limits = crate::store::MassLimits::unlimited();
        let summary = execute(plan.clone(), services, stores.clone(), options, Publisher::default(), CancellationToken::new()).await?;
        runs.push(DemoRun { title, summary, calls: http.stats() });
    }
    let letters = stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 10).await?;
    drop(stores);
    let referrals = referrals::demo(&emulators, &folder.join("referrals"), say).await?;
    emulators.stop().await;
    Ok(match args.format {
        Format::Human => {
            let example = if example.is_empty() {
                String::new()
            } else {
                format!("\n{}", show::side_by_side(["A contact in Dynamics 365", "Its profile in Campaign"], &example))
            };
            let numbers = show::numbers(&runs, &letters);
            let referrals = referrals.text();
            format!("{example}\n{CHANGES}\n{numbers}\n{referrals}\nStart your project with `d365map init`.\n")
        }
        Format::Json => {
            format!("{}\n", json!({"version": 1, "runs": runs_json(&runs), "dead_letters": letters, "referrals": referrals.json()}))
        }
    })
}

/// What the runs did, for programs.
fn runs_json(runs: &[DemoRun]) -> Vec<Value> {
    runs.iter().map(|run| json!({"title": run.title, "summary": run.summary, "calls": run.calls})).collect()
}

/// A seed without the referrals in it: the demonstration makes its own.
fn without_referrals(seed: &str) -> Result<String, DemoError> {
    let mut seed: Value = serde_json::from_str(seed)?;
    if let Value::Object(parts) = &mut seed {
        parts.remove("partner");
    }
    Ok(seed.to_string())
}

/// A contact and its profile after the first run: of the first hundred the one that shows most.
async fn example(emulators: &Running, plan: &ExecutionPlan) -> Result<Vec<show::Pair>, DemoError> {
    let Some(flow) = plan.ingress.first() else { return Ok(Vec::new()) };
    let sales = Sales::log_in(emulators).await?;
    let path = format!("{}?$select={}&$top=100", flow.source.collection, flow.source.select().join(","));
    let contacts = sales.send(reqwest::Method::GET, &path, None).await?;
    let profiles = admin(emulators, reqwest::Method::GET, "dump/profiles", Value::Null).await?;
    let key = |contact: &Value| contact.get(&flow.source.slots[flow.source.primary_key as usize].wire).cloned();
    let mut best: Option<(usize, Vec<show::Pair>)> = None;
    for contact in contacts["value"].as_array().into_iter().flatten() {
        let profile = profiles.as_array().into_iter().flatten().find(|profile| profile.get(&flow.key.path[0]) == key(contact).as_ref());
        let Some(pairs) = profile.map(|profile| show::pairs(flow, contact, profile)) else { continue };
        if let Some(interest) = show::interest(&pairs)
            && best.as_ref().is_none_or(|(most, _)| interest > *most)
        {
            best = Some((interest, pairs));
        }
    }
    Ok(best.map(|(_, pairs)| pairs).unwrap_or_default())
}

/// Writes a file of a project.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), DemoError> {
    let path = folder.join(name);
    let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    let written = parent.and_then(|()| disk::write(&path, text.as_bytes(), disk::Access::Shared));
    written.map_err(|error| format!("{}: {error}", path.display()).into())
}

/// A project against the emulators, with the mappings that are shipped.
fn project(emulators: &Running, folder: &Path) -> Result<Project, DemoError> {
    for (name, text) in template::SHIPPED {
        write(folder, name, text)?;
    }
    emulated::write_secrets(folder).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
    let connections = emulated::connections(emulators, emulated::IN_FILES);
    write(folder, FILE_NAME, &format!("version: 1\n{connections}limits:\n  page-size: 500\n"))?;
    Ok(Project::load(&folder.join(FILE_NAME))?)
}

/// The plan of mappings that are shipped, against the built-in schemas.
fn shipped_plan(files: &[(&str, &str)]) -> Result<ExecutionPlan, DemoError> {
    let inputs = files.iter().map(|(name, text)| Input { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() });
    let compiled = compile(inputs.collect(), Catalogue::builtin());
    let findings = || render(&compiled.diagnostics, &compiled.sources, Rendering::Human, Style::PLAIN);
    compiled.plan.ok_or_else(|| format!("the shipped mappings have errors\n{}", findings()).into())
}

/// What happens between two runs: in Dynamics through its own Web API and under another user than the integration's, in
/// Campaign as its own screens and its sending do it.
async fn change(emulators: &Running) -> Result<(), DemoError> {
    let sales = Sales::log_in(emulators).await?;
    let chosen = "statecode eq 0 and contains(emailaddress1,'@') and not endswith(emailaddress1,'@example.invalid') and lastname ne null and donotemail ne true";
    let listed = sales.send(reqwest::Method::GET, &format!("contacts?$select=contactid&$filter={chosen}&$top=25"), None).await?;
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
            23 => sales.send(reqwest::Method::PATCH, &path, Some(json!({"donotemail": true}))).await?,
            24 => admin(emulators, reqwest::Method::PATCH, &format!("campaign/rows/profile/{id}"), json!({"blackListEmail": true})).await?,
            _ => sales.send(reqwest::Method::PATCH, &path, Some(json!({"middlename": format!("M. {i}"), "address1_city": "Graz"}))).await?,
        };
    }
    if let [_, _, _, reader, stranger, ..] = ids.as_slice() {
        admin(emulators, reqwest::Method::POST, "journal/events", newsletter(reader, stranger)).await?;
    }
    Ok(())
}

/// A newsletter that one person opened and clicked in, and that another's mail server sent back.
fn newsletter(reader: &str, lost: &str) -> Value {
    let sent = time::now() - chrono::TimeDelta::minutes(5);
    let event = |log: u32, kind: &str, contact: &str, more: Value| {
        let date = time::format_instant(sent + chrono::TimeDelta::seconds(i64::from(log)));
        let mut data = json!({
            "logId": log.to_string(), "externalId": contact, "eventDate": date, "deliveryId": "DM42", "deliveryLabel": "Newsletter",
            "campaignId": "CMP7", "campaignLabel": "Spring", "mirrorPage": format!("https://mirror.example/{log}"),
        });
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        json!({"id": uuid::Uuid::new_v4(), "type": kind, "data": data})
    };
    json!([
        event(1, "send", reader, json!({})),
        event(2, "send", lost, json!({})),
        event(3, "bounce", lost, json!({"failureType": "hard", "failureReason": "User unknown"})),
        event(4, "open", reader, json!({})),
        event(5, "click", reader, json!({"url": "https://www.example.com/offer"})),
    ])
}

/// Something that people do in a service, by the emulators' own interface.
async fn admin(emulators: &Running, method: reqwest::Method, path: &str, body: Value) -> Result<Value, DemoError> {
    let url = format!("{}/{path}", emulators.admin_url().trim_end_matches('/'));
    let answer = reqwest::Client::new().request(method.clone(), &url).json(&body).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if status.is_success() {
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    } else {
        Err(format!("{method} {path}: {status} {text}").into())
    }
}

/// A client of Dataverse that is not the integration.
struct Sales {
    client: reqwest::Client,
    root: String,
    token: String,
}

impl Sales {
    async fn log_in(emulators: &Running) -> Result<Sales, DemoError> {
        let client = reqwest::Client::new();
        let user = &emulators.credentials().dataverse_other;
        let scope = format!("{}/.default", emulators.dataverse_url().trim_end_matches('/'));
        let form = [("grant_type", "client_credentials"), ("client_id", &user.id), ("client_secret", &user.secret), ("scope", &scope)];
        let answer = client.post(emulators.dataverse_token_url()).form(&form).send().await?;
        let body: Value = answer.json().await?;
        let token = body["access_token"].as_str().ok_or("the emulator gave no token")?.to_owned();
        let root = format!("{}/api/data/v9.2/", emulators.dataverse_url().trim_end_matches('/'));
        Ok(Sales { client, root, token })
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, DemoError> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.root)).bearer_auth(&self.token);
        request = request.header("Prefer", format!("odata.include-annotations=\"{}\"", crate::plan::FORMATTED_VALUE));
        request = request.header("OData-Version", "4.0").header("OData-MaxVersion", "4.0").header("Accept", "application/json");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            return Err(format!("{method} {path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
