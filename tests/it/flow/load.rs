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

/// The emulators as a process of their own, so that their memory is not counted.
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
