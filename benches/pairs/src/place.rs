//! The emulators, and a signed-in project with the shipped mapping.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Result;

pub struct Place {
    binary: PathBuf,
    folder: PathBuf,
    emulators: Child,
    pub addresses: Value,
    client: reqwest::Client,
    token: String,
}

/// Calls since the last question.
pub struct Calls {
    pub dynamics: u64,
    pub partner: u64,
    pub all: u64,
}

impl Place {
    pub async fn start(binary: &Path) -> Result<Place> {
        let folder = std::env::temp_dir().join(format!("d365map-pairs-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("mappings"))?;
        // No deals from the start.
        std::fs::write(folder.join("seed.json"), "{}")?;
        let mut emulators = Command::new(binary)
            .args(["emulate", "--format", "json", "--contacts", "0", "--partner-center", "--seed"])
            .arg(folder.join("seed.json"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(emulators.stdout.take().ok_or("no output")?).read_line(&mut line).await?;
        let addresses: Value = serde_json::from_str(&line)?;
        let text = |path: &str| addresses.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mapping = include_str!("../../../mappings/referrals.d365map").replace("scope co-sell", "scope all");
        // The tests of the mapping are about co-sell deals.
        let mapping = mapping.split("\ntest ").next().unwrap_or_default();
        std::fs::write(folder.join("mappings/referrals.d365map"), mapping)?;
        let project = format!(
            "version: 1
connections:
  dynamics:
    url: {}
    token-url: {}
    client-id: {}
    client-secret: {{ env: D365MAP_DYNAMICS_SECRET }}
  partner-center:
    url: {}
    webhooks-url: {}
    authority: {}
    tenant: {}
    client-id: {}
limits:
  concurrency: 8
",
            text("/dataverse/url"),
            text("/dataverse/token_url"),
            text("/dataverse/client_id"),
            text("/partner/url"),
            text("/partner/webhooks_url"),
            text("/partner/url"),
            text("/partner/tenant"),
            text("/partner/public_client_id"),
        );
        std::fs::write(folder.join("d365map.yaml"), project)?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut certificates = String::new();
        for name in ["root", "issuer"] {
            let url = format!("{}/partner/pki/{name}.pem", text("/admin/url"));
            certificates.push_str(&client.get(url).send().await?.error_for_status()?.text().await?);
        }
        std::fs::write(folder.join("root.pem"), certificates)?;
        let scope = format!("{}/.default", text("/dataverse/url"));
        let (id, secret) = (text("/dataverse/other/client_id"), text("/dataverse/other/client_secret"));
        let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &secret), ("scope", &scope)];
        let answer: Value = client.post(text("/dataverse/token_url")).form(&form).send().await?.json().await?;
        let token = answer["access_token"].as_str().ok_or("no token")?.to_owned();
        let place = Place { binary: binary.to_owned(), folder, emulators, addresses, client, token };
        place.output(&["login", "partner-center"]).await?;
        Ok(place)
    }

    pub async fn stop(mut self) {
        self.emulators.kill().await.ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }

    /// Adds lines to the project file.
    pub fn add_to_project(&self, anchor: &str, lines: &str) -> Result<()> {
        let path = self.folder.join("d365map.yaml");
        let text = std::fs::read_to_string(&path)?.replace(anchor, &format!("{lines}{anchor}"));
        Ok(std::fs::write(path, text)?)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let secret = self.addresses["dataverse"]["client_secret"].as_str().unwrap_or_default();
        command
            .args(words)
            .current_dir(&self.folder)
            .env("D365MAP_DYNAMICS_SECRET", secret)
            .env("XDG_STATE_HOME", self.folder.join("state"));
        // The certificates of the emulator are from its own authority.
        command.env("SSL_CERT_FILE", self.folder.join("root.pem"));
        command.kill_on_drop(true);
        command
    }

    pub async fn output(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            return Err(format!("{words:?}: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(text)
    }

    pub async fn run(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.output(&["run", "--quiet", "--ignore-drift", "--format", "json"]).await?)?)
    }

    pub async fn dynamics(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let url = format!("{}/api/data/v9.2/{path}", self.addresses["dataverse"]["url"].as_str().unwrap_or_default());
        let mut request = self.client.request(method, &url).bearer_auth(&self.token).header("Prefer", "odata.maxpagesize=5000");
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request, &url).await
    }

    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let url = format!("{}/{path}", self.addresses["admin"]["url"].as_str().unwrap_or_default());
        answer(self.client.request(method, &url).json(&body), &url).await
    }

    /// All rows of a table.
    pub async fn rows(&self, query: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut path = query.to_owned();
        loop {
            let mut page = self.dynamics(Method::GET, &path, None).await?;
            rows.append(page["value"].as_array_mut().ok_or("a page without rows")?);
            match page["@odata.nextLink"].as_str().and_then(|next| next.split_once("/v9.2/")) {
                Some((_, next)) => path = next.to_owned(),
                None => return Ok(rows),
            }
        }
    }

    pub async fn referrals(&self) -> Result<Vec<Value>> {
        let all = self.admin(Method::GET, "partner/referrals", json!({})).await?;
        Ok(all.as_array().ok_or("no list of referrals")?.clone())
    }

    pub async fn writes(&self) -> Result<Calls> {
        let stats = self.admin(Method::GET, "stats", json!({})).await?;
        self.admin(Method::POST, "reset-stats", json!({})).await?;
        let count = |api: &str, what: &str| stats["apis"][api][what].as_u64().unwrap_or_default();
        let all = stats["apis"].as_object().map(|apis| apis.keys().map(|api| count(api, "total")).sum()).unwrap_or_default();
        Ok(Calls { dynamics: count("dataverse", "writes"), partner: count("referrals", "writes"), all })
    }
}

async fn answer(request: reqwest::RequestBuilder, url: &str) -> Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{url}: {status} {text}").into());
    }
    Ok(serde_json::from_str(&text).unwrap_or_default())
}
