//! What is under `deploy/`: the metrics that dashboards and alerts ask for exist, with the labels that they use.

use std::collections::BTreeSet;
use std::path::Path;

use d365map::serve::metrics::{Kind, METRICS, Metric};
use regex::Regex;
use serde_json::Value;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of a metric's series.
fn series(metric: &Metric) -> Vec<String> {
    let suffixes: &[&str] = match metric.kind {
        Kind::Counter => &["_total"],
        Kind::Gauge => &[""],
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::Info => &["_info"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", metric.name)).collect()
}

/// Checks the expressions in a text; returns the metrics that they use.
fn check(expressions: &str) -> BTreeSet<&'static str> {
    let used = Regex::new(r#"\b(d365map_\w+)(?:\{([^}]*)\})?"#).unwrap();
    let label = Regex::new(r#"(\w+)\s*(?:=~|!~|!=|=)\s*\\?""#).unwrap();
    let mut found = BTreeSet::new();
    for captures in used.captures_iter(expressions) {
        let name = &captures[1];
        let metric = METRICS.iter().find(|metric| series(metric).iter().any(|series| series == name));
        let metric = metric.unwrap_or_else(|| panic!("`{name}` is not a series of `/metrics`"));
        for given in captures.get(2).iter().flat_map(|labels| label.captures_iter(labels.as_str())) {
            assert!(metric.labels.contains(&&given[1]) || &given[1] == "instance", "`{name}` has no label `{}`", &given[1]);
        }
        found.insert(metric.name);
    }
    found
}

#[test]
fn alerts_use_metrics_that_exist_and_each_alert_is_tested() {
    let rules = text("prometheus/alerts.yml");
    assert!(check(&rules).len() > 8);
    let tests = text("prometheus/alerts.test.yml");
    check(&tests);
    let alert = Regex::new(r"- alert: (\w+)").unwrap();
    for alert in alert.captures_iter(&rules) {
        let [silent, fires] = ["exp_alerts: \\[\\]", "exp_alerts:\n"].map(|end| format!(r"alertname: {}\n\s+{end}", &alert[1]));
        for case in [silent, fires] {
            assert!(Regex::new(&case).unwrap().is_match(&tests), "`{}` has no test that it fires, or none that it does not", &alert[1]);
        }
    }
}

#[test]
fn the_dashboard_uses_metrics_that_exist_and_nearly_all_of_them() {
    let text = text("grafana/d365map.json");
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let expressions: Vec<&str> =
        panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()).map(|target| target["expr"].as_str().unwrap()).collect();
    let used = check(&expressions.join("\n"));
    check(&text.replace("\\\"", "\""));
    let left_out: Vec<&str> = METRICS.iter().map(|metric| metric.name).filter(|name| !used.contains(name)).collect();
    // The version is an annotation; the others are alerts, or of one kind of workflow.
    let expected = ["d365map_build", "d365map_pages_read", "d365map_notes", "d365map_workflow_restart_due", "d365map_exports_stale"];
    assert_eq!(left_out, expected);
}

#[test]
fn the_service_and_the_container_run_a_command_that_exists_without_rights() {
    let unit = text("systemd/d365map.service");
    for line in
        ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="]
    {
        assert!(unit.lines().any(|given| given == line), "{line}");
    }
    let file = text("container/Containerfile");
    for line in ["FROM scratch", "USER 65532:65532"] {
        assert!(file.lines().any(|given| given == line), "{line}");
    }
    // Nothing comes from the network but the base image, its packages and the crates of Cargo.lock.
    assert!(file.contains("cargo build --release --locked") && !file.contains("curl") && !file.contains("wget") && !file.contains("ADD "));
    let pod = text("kubernetes/d365map.yaml");
    for part in ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "type: Recreate", "path: /healthz", "path: /readyz"] {
        assert!(pod.contains(part), "{part}");
    }
}

#[test]
fn the_project_of_the_kubernetes_example_is_valid() {
    let pod = text("kubernetes/d365map.yaml");
    let (_, rest) = pod.split_once("  d365map.yaml: |\n").unwrap();
    let lines = rest.lines().take_while(|line| line.starts_with("    "));
    let project: String = lines.map(|line| format!("{}\n", &line[4..])).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d365map.yaml");
    std::fs::write(&file, project).unwrap();
    let project = d365map::project::Project::load(&file).unwrap_or_else(|error| panic!("{error}"));
    assert!(project.connections.dynamics.is_some() && project.state.starts_with("/state"));
    let port = project.serve.listen.port();
    for place in [pod, text("container/Containerfile")] {
        assert!(place.contains(&port.to_string()));
    }
}
