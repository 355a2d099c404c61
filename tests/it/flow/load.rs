//! Figures of a large load. Ignored: they take minutes. Run them in release:
//!
//! ```text
//! cargo test --release --test it -- --ignored --nocapture a_first_load_of_100000
//! ```

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::support::CONTACTS;

/// The emulators as a separate process, so that their memory is not counted.
pub struct Emulators {
    child: Child,
    line: Value,
}

impl Emulators {
    fn start(contacts: usize) -> Emulators {
        Emulators::with(&["--contacts", &contacts.to_string()])
    }

    pub fn with(args: &[&str]) -> Emulators {
        let mut child = Command::new(env!("CARGO_BIN_EXE_d365map"))
            .args(["emulate", "--format", "json"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the emulators start");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Emulators { child, line: serde_json::from_str(&line).expect("JSON") }
    }

    pub fn text(&self, path: &str) -> &str {
        self.line.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} in {}", self.line))
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Peak memory in KiB, seconds, and the summary of one run of the command.
pub fn run(folder: &std::path::Path, emulators: &Emulators) -> (u64, f64, Value) {
    let began = Instant::now();
    let output = Command::new("/bin/sh")
        .args(["-c", "\"$0\" run --format json --quiet & pid=$!; while kill -0 $pid 2>/dev/null; do grep VmHWM /proc/$pid/status >&2 2>/dev/null; sleep 0.1; done; wait $pid"])
        .arg(env!("CARGO_BIN_EXE_d365map"))
        .current_dir(folder)
        .env("DYNAMICS", emulators.text("/dataverse/client_secret"))
        .env("CAMPAIGN", emulators.text("/campaign/client_secret"))
        .output()
        .expect("the command runs");
    let seconds = began.elapsed().as_secs_f64();
    let error = String::from_utf8_lossy(&output.stderr);
    let peak = error.lines().filter_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).max();
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    (peak.expect("a reading"), seconds, summary)
}

pub fn project(folder: &std::path::Path, e: &Emulators) {
    let yaml = format!(
        "version: 1\nconnections:\n  dynamics:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ env: DYNAMICS }}\n  campaign:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ env: CAMPAIGN }}\n    scope: {}\n",
        e.text("/dataverse/url"),
        e.text("/dataverse/token_url"),
        e.text("/dataverse/client_id"),
        e.text("/campaign/url"),
        e.text("/campaign/token_url"),
        e.text("/campaign/client_id"),
        e.text("/campaign/scope"),
    );
    std::fs::write(folder.join("d365map.yaml"), yaml).expect("a project file");
    std::fs::create_dir_all(folder.join("mappings")).expect("a folder");
    std::fs::write(folder.join("mappings/contacts.d365map"), CONTACTS).expect("a mapping");
}

#[test]
#[ignore = "takes minutes and prints figures; run it in release"]
fn a_first_load_of_100000_contacts_runs_in_bounded_memory_and_a_second_run_makes_no_write_call() {
    let mut peaks = Vec::new();
    for contacts in [20_000, 100_000] {
        let emulators = Emulators::start(contacts);
        let folder = tempfile::tempdir().expect("a folder");
        project(folder.path(), &emulators);
        let (peak, seconds, first) = run(folder.path(), &emulators);
        let flow = &first["summary"]["flows"][0];
        println!(
            "first load of {contacts}: {:.1} s, {:.0} records/s, peak memory {:.1} MiB, created {}, filtered {}, calls {}",
            seconds,
            contacts as f64 / seconds,
            peak as f64 / 1024.0,
            flow["created"],
            flow["filtered_out"],
            first["calls"]["campaign"]["methods"],
        );
        assert_eq!(flow["read"].as_u64(), Some(contacts as u64));
        assert_eq!(flow["backlog"].as_u64(), Some(0));
        let (_, seconds, second) = run(folder.path(), &emulators);
        println!("second run: {seconds:.1} s, calls {}", second["calls"]);
        assert_eq!(first["calls"]["campaign"]["methods"]["POST"], flow["created"], "one call for each record that was created");
        assert_eq!(second["calls"]["dataverse"]["methods"]["GET"], 1);
        assert!(second["calls"]["campaign"].is_null(), "no call to Campaign at all: {}", second["calls"]);
        peaks.push(peak);
    }
    let growth = peaks[1] as f64 / peaks[0] as f64;
    println!("peak memory grows by the factor {growth:.3} from 20,000 to 100,000");
    assert!(growth <= 1.1, "the peak grew by {growth}");
}

/// Which fields of these contacts are changed, on which side.
async fn change(emulators: &Emulators, ids: &[String], path: &str, body: &Value) {
    let client = reqwest::Client::new();
    for id in ids {
        let url = format!("{}/{path}/{id}", emulators.text("/admin/url").trim_end_matches('/'));
        let answer = client.patch(url).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}/{id}: {}", answer.text().await.unwrap_or_default());
    }
}

/// What each flow costs for each record that is created, changed, unchanged; on both sides.
///
/// ```text
/// cargo test --release --test it -- --ignored --nocapture what_records_cost
/// ```
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and prints figures; run it in release"]
async fn what_records_cost_with_opt_outs_in_both_directions() {
    const CONTACTS: usize = 100_000;
    const CHANGED: usize = 1000;
    let emulators = Emulators::start(CONTACTS);
    let folder = tempfile::tempdir().expect("a folder");
    project(folder.path(), &emulators);
    let path = folder.path().join("d365map.yaml");
    let yaml = std::fs::read_to_string(&path).expect("the project file");
    std::fs::write(&path, format!("{yaml}opt-outs:\n  list-every-seconds: 0\n")).expect("the project file");
    let optout = include_str!("../../../mappings/optout.d365map");
    std::fs::write(folder.path().join("mappings/optout.d365map"), optout).expect("a mapping");
    let go = |title: &str| {
        let (peak, seconds, result) = run(folder.path(), &emulators);
        println!("{title}: {seconds:.1} s, peak memory {:.1} MiB, calls {}", peak as f64 / 1024.0, result["calls"]);
        for flow in result["summary"]["flows"].as_array().expect("flows") {
            println!(
                "  {}: read {}, created {}, updated {}, unchanged {}, backlog {}",
                flow["mapping"], flow["read"], flow["created"], flow["updated"], flow["unchanged"], flow["backlog"]
            );
        }
        result
    };
    let first = go("first load");
    assert_eq!(first["calls"]["campaign"]["methods"]["POST"], first["summary"]["flows"][0]["created"], "one call for each");
    let profiles: Value = reqwest::get(format!("{}/dump/profiles", emulators.text("/admin/url").trim_end_matches('/')))
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let ids: Vec<String> = profiles
        .as_array()
        .expect("a list")
        .iter()
        .filter(|p| p["blackListEmail"] != true && p["blackListFax"] != true)
        .filter_map(|p| p["externalId"].as_str().filter(|id| id.len() == 36).map(str::to_owned))
        .collect();
    let unchanged = go("nothing has changed");
    assert!(unchanged["calls"]["campaign"]["methods"].as_object().is_some_and(|m| m.keys().all(|k| k == "GET")), "no write");

    change(&emulators, &ids[..CHANGED], "rows/contact", &serde_json::json!({"middlename": "Q."})).await;
    go("1000 contacts have another middle name");
    change(&emulators, &ids[CHANGED..2 * CHANGED], "rows/contact", &serde_json::json!({"donotemail": true})).await;
    let dynamics = go("1000 opt out in Dynamics");
    assert_eq!(dynamics["calls"]["campaign"]["methods"]["PATCH"], CHANGED);
    change(&emulators, &ids[2 * CHANGED..3 * CHANGED], "campaign/rows/profile", &serde_json::json!({"blackListFax": true})).await;
    let campaign = go("1000 opt out in Campaign");
    assert_eq!(campaign["calls"]["dataverse"]["methods"]["PATCH"], CHANGED);
    let last = go("the writes come back");
    assert!(last["calls"]["dataverse"]["methods"]["PATCH"].is_null() && last["calls"]["campaign"]["methods"]["PATCH"].is_null());
}
