//! The project in `examples/referrals`, by the commands of its README.

use std::path::{Path, PathBuf};

use d365map_emulator::Config;
use reqwest::Method;
use serde_json::Value;

use super::deal::IDENTIFIER;
use super::sign_in::{Place, settings};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/referrals")
}

/// The lines in the code blocks of the README, without comments.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(example().join("README.md")).unwrap();
    let blocks = text.split("```\n").skip(1).step_by(2);
    let line = |line: &str| line.split("   #").next().unwrap_or_default().trim().to_owned();
    blocks.flat_map(str::lines).map(line).collect()
}

/// A copy of the project whose connections lead to emulators on other ports.
async fn place() -> Place {
    let seed = std::fs::read_to_string(example().join("emulated.seed.json")).unwrap();
    let place = Place::with(Config { contacts: 0, seed_text: Some(seed), partner_center: Some(settings()), ..Config::default() }).await;
    let (running, root) = (&place.running, place.project.path());
    std::fs::create_dir(root.join("mappings")).unwrap();
    for name in ["d365map.yaml", "mappings/referrals.d365map"] {
        std::fs::copy(example().join(name), root.join(name)).unwrap();
    }
    let mut text = std::fs::read_to_string(example().join("emulated.yaml")).unwrap();
    for (port, url) in
        [("8365", running.dataverse_url()), ("8368", running.referrals_url().unwrap()), ("8369", running.webhooks_url().unwrap())]
    {
        text = text.replace(&format!("http://127.0.0.1:{port}"), &url);
    }
    assert!(!text.contains("127.0.0.1:83"), "{text}");
    std::fs::write(root.join("emulated.yaml"), text).unwrap();
    place
}

/// Carries out a command of the README, and returns what it prints.
async fn carry_out(place: &Place, line: &str) -> String {
    if let Some(rest) = line.strip_prefix("curl ") {
        let (method, rest) = rest.strip_prefix("-X PATCH ").map_or((Method::GET, rest), |rest| (Method::PATCH, rest));
        let (path, body) = rest.split_once(" -d ").unwrap_or((rest, ""));
        let url = path.replace("$ADMIN", place.running.admin_url().trim_end_matches('/'));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.request(method, url).body(body.trim_matches('\'').to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{line}: {}", answer.status());
        return answer.text().await.unwrap();
    }
    let arguments: Vec<&str> = line.strip_prefix("d365map ").unwrap_or_else(|| panic!("not a command: {line}")).split(' ').collect();
    let mut command = place.command(&arguments);
    let output = command.env("D365MAP_DYNAMICS_SECRET", "emulator-dataverse-secret").output().await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{line}: {text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_example_keep_both_sides_in_step() {
    let place = place().await;
    let mut printed = Vec::new();
    for line in commands() {
        if !["cd ", "export ", "d365map emulate "].iter().any(|other| line.starts_with(other)) {
            printed.push((line.clone(), carry_out(&place, &line).await));
        }
    }
    let runs: Vec<&String> = printed.iter().filter(|(line, _)| line.starts_with("d365map run")).map(|(_, text)| text).collect();
    assert_eq!(runs.len(), 4);
    assert!(runs[3].contains("updated           0"), "{}", runs[3]);
    assert!(place.project.path().join(".d365map/partner-center.json").exists(), "the sign-in is kept in the project");

    let list = async |line: &str| match serde_json::from_str(&carry_out(&place, line).await) {
        Ok(Value::Array(records)) => records,
        other => panic!("not a list: {other:?}"),
    };
    let (referrals, opportunities) = (list("curl $ADMIN/partner/referrals").await, list("curl $ADMIN/dump/table/opportunity").await);
    assert_eq!((referrals.len(), opportunities.len()), (2, 2));
    for referral in &referrals {
        let own = opportunities.iter().find(|opportunity| opportunity[IDENTIFIER] == referral["id"]).expect("its opportunity");
        assert_eq!(referral["externalReferenceId"], own["opportunityid"]);
        assert_eq!(referral["details"]["dealValue"].as_f64(), own["estimatedvalue"].as_f64());
        let ours = own["opportunityid"] == "0b000000-0000-4000-8000-000000000001";
        assert_eq!(
            (referral["status"] == "Closed", referral["details"]["dealValue"].as_f64()),
            (ours, Some(if ours { 25_000.0 } else { 65_000.0 }))
        );
    }
}
