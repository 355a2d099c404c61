//! Signing in, out, and what `doctor` and `status` say of it, as commands against the emulator.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use d365map_emulator::{Config, DeviceSignIn, PartnerCenterConfig, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// The emulator, a project that leads to it, and the state directory of a user.
pub(super) struct Place {
    pub(super) running: Running,
    pub(super) project: TempDir,
    state: TempDir,
}

pub(super) fn settings() -> PartnerCenterConfig {
    PartnerCenterConfig { device_interval: Duration::ZERO, device_sign_in: DeviceSignIn::AfterPolls(0), ..PartnerCenterConfig::default() }
}

impl Place {
    async fn new(settings: PartnerCenterConfig) -> Place {
        Place::with(Config { partner_center: Some(settings), ..Config::default() }).await
    }

    pub(super) async fn with(config: Config) -> Place {
        let running = start(config).await.expect("the emulators start");
        let people = running.credentials().partner;
        let (referrals, webhooks) = (running.referrals_url().unwrap(), running.webhooks_url().unwrap());
        let project = tempfile::tempdir().unwrap();
        let text = format!(
            "version: 1\nconnections:\n  partner-center:\n    tenant: {}\n    client-id: {}\n    authority: {referrals}\n    url: {referrals}\n    webhooks-url: {webhooks}\n",
            people.tenant, people.public_client
        );
        std::fs::write(project.path().join("d365map.yaml"), text).unwrap();
        Place { running, project, state: tempfile::tempdir().unwrap() }
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_d365map"));
        command.args(args).current_dir(self.project.path()).env("XDG_STATE_HOME", self.state.path()).kill_on_drop(true);
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command
    }

    /// Exit status, standard output, standard error.
    async fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().await.expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    pub(super) async fn sign_in(&self) {
        let (status, out, error) = self.run(&["login", "partner-center"]).await;
        assert_eq!(status, 0, "{out}{error}");
    }

    /// The only token file.
    fn file(&self) -> PathBuf {
        let folder = self.state.path().join("d365map/partner-center");
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|e| e == "json")).expect("a token file")
    }

    async fn admin(&self, path: &str, body: Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("{}/{path}", self.running.admin_url())).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Exit status and the outcome of each check of `doctor`.
    async fn doctor(&self) -> (i32, Value) {
        let (status, out, error) = self.run(&["doctor", "--connection", "partner-center", "--format", "json"]).await;
        assert_eq!(error, "");
        (status, serde_json::from_str(&out).expect("JSON"))
    }
}

/// The check of a name.
fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_signs_in_and_doctor_status_and_logout_know_of_it() {
    let place = Place::new(settings()).await;
    let (_, out, _) = place.run(&["status"]).await;
    assert!(out.contains("Partner Center: no account is signed in; run `d365map login partner-center`"), "{out}");
    let (status, report) = place.doctor().await;
    assert_eq!((status, check(&report, "partner-center.sign-in")["cause"].as_str()), (1, Some("no account is signed in")));

    let (status, out, error) = place.run(&["login", "partner-center"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert!(error.contains("To sign in, open http") && error.contains("enter the code"), "{error}");
    assert!(out.starts_with("signed in to Partner Center as referrals.admin@partner.example, with multifactor authentication"), "{out}");
    assert!(out.contains("valid for the referrals API and the webhooks API"), "{out}");

    let (status, report) = place.doctor().await;
    for id in ["partner-center.sign-in", "partner-center.mfa", "partner-center.referrals"] {
        assert_eq!(check(&report, id)["outcome"], "ok", "{report}");
    }
    assert_eq!(status, 0, "{report}");
    let (_, out, _) = place.run(&["status", "--format", "json"]).await;
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["sign_ins"]["partner-center"]["account"], "referrals.admin@partner.example");
    assert!(!out.contains("refresh-token"), "{out}");

    let (status, out, _) = place.run(&["logout", "partner-center"]).await;
    assert!(status == 0 && out.contains("the token file was removed"), "{out}");
    let (status, out, _) = place.run(&["logout", "partner-center"]).await;
    assert!(status == 0 && out.contains("no account was signed in"), "{out}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_token_file_is_its_owners_alone_and_one_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(settings()).await;
    place.sign_in().await;
    let path = place.file();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, report) = place.doctor().await;
    let sign_in = check(&report, "partner-center.sign-in");
    assert_eq!((status, sign_in["outcome"].as_str()), (1, Some("failed")));
    assert!(sign_in["mend"].as_str().unwrap().contains(&format!("chmod 600 {}", path.display())), "{sign_in}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_signs_in_by_an_address_of_this_machine() {
    let place = Place::new(settings()).await;
    let mut child = place.command(&["login", "partner-center", "--browser"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the address comes");
        if line.starts_with("http") {
            break line;
        }
    };
    // As a browser does: it follows the redirect to this machine.
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = browser.get(address).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("You can close this window"), "{page}");
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read_to_string(place.file()).unwrap().contains("\"method\": \"authorization-code\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_without_mfa_is_refused_and_stores_nothing() {
    let place = Place::new(PartnerCenterConfig { mfa_at_sign_in: false, ..settings() }).await;
    let (status, out, error) = place.run(&["login", "partner-center"]).await;
    assert_eq!((status, out.as_str()), (2, ""), "{error}");
    assert!(error.contains("without multifactor authentication") && error.contains("Nothing was stored"), "{error}");
    assert!(!place.state.path().join("d365map").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_sign_in_is_reported_with_the_command_that_signs_in() {
    let place = Place::new(settings()).await;
    place.sign_in().await;
    place.admin("partner/revoke", json!({})).await;
    let (status, report) = place.doctor().await;
    let found = check(&report, "partner-center.mfa");
    assert_eq!((status, found["outcome"].as_str()), (1, Some("failed")));
    assert!(found["mend"].as_str().unwrap().contains("d365map login partner-center"), "{found}");
    assert_eq!(check(&report, "partner-center.referrals")["outcome"], "skipped");
    place.sign_in().await;
    assert_eq!(place.doctor().await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_at_the_same_time_use_each_refresh_token_once() {
    let place = Place::new(PartnerCenterConfig { single_use_refresh: true, ..settings() }).await;
    place.sign_in().await;
    let (a, b, c) = tokio::join!(place.doctor(), place.doctor(), place.doctor());
    for (status, report) in [a, b, c] {
        assert_eq!(status, 0, "{report}");
    }
}
