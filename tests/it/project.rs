//! The project file: what is read, what is refused, and what `init` writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use d365map::connect::sftp::{CsvFormat, DeliveryLogColumns, ExportFiles, HostKey, LogColumns, OptOutColumns, OptOutLayout};
use d365map::diagnostics::FileProblem;
use d365map::project::{ClientSettings, EntraCredential, FILE_NAME, Limits, Project, ProjectError, Role, SecretRef, template};
use d365map::system::SystemId;
use d365map::time::schedule::When;

fn load(text: &str) -> Result<Project, Vec<FileProblem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, text).unwrap();
    Project::load(&path).map_err(|error| match error {
        ProjectError::Invalid(problems) => problems,
        error @ (ProjectError::Io { .. } | ProjectError::Linked { .. }) => panic!("{error}"),
    })
}

/// Marked text, message and help of each fault.
fn faults(text: &str) -> Vec<(String, String, String)> {
    let problems = load(text).unwrap_err();
    problems.iter().map(|p| (text[p.span.clone()].to_owned(), p.message.clone(), p.help.clone().unwrap_or_default())).collect()
}

fn dynamics(lines: &str) -> String {
    format!(
        "version: 1\nconnections:\n  dynamics:\n    url: https://contoso.crm4.dynamics.com\n    tenant: contoso.onmicrosoft.com\n    client-id: abc\n{lines}"
    )
}

#[test]
fn the_least_file_has_defaults() {
    let project = load("version: 1\n").unwrap();
    assert_eq!(project.limits, Limits::default());
    assert_eq!((project.mappings, project.schemas), (project.root.join("mappings"), project.root.join("schemas")));
    assert_eq!(project.state, project.root.join(".d365map/state.db"));
    assert!(project.connections.dynamics.is_none() && project.connections.campaign.is_none());
}

#[test]
fn the_language_of_labels_is_a_code_or_a_culture() {
    let of = |more: &str| {
        load(&dynamics(&format!("    client-secret: {{ env: A }}\n{more}"))).map(|p| p.connections.dynamics.unwrap().label_language)
    };
    for (more, expected) in [("", None), ("    label-language: 1031\n", Some(1031)), ("    label-language: de-DE\n", Some(1031))] {
        assert_eq!(of(more).unwrap(), expected, "{more}");
    }
    let found = faults(&dynamics("    client-secret: { env: A }\n    label-language: de-DD\n"));
    assert_eq!(found, [("de-DD".to_owned(), "`de-DD` is not a language".to_owned(), "did you mean `de-DE`?".to_owned())]);
    assert!(of("    label-language: 0\n").is_err());
}

#[test]
fn a_links_form_is_one_of_three_and_the_documented_one_by_default() {
    use d365map::systems::campaign::LinkForm;
    let text = |more: &str| {
        format!("version: 1\nconnections:\n  campaign: {{ organization: contoso, client-id: b, client-secret: {{ env: B }}{more} }}\n")
    };
    let form = |more: &str| load(&text(more)).map(|p| p.connections.campaign.unwrap().config.link_form);
    for (more, expected) in [
        ("", LinkForm::PKey),
        (", link-form: pkey", LinkForm::PKey),
        (", link-form: key", LinkForm::Key),
        (", link-form: href", LinkForm::Href),
    ] {
        assert_eq!(form(more).unwrap(), expected, "{more}");
    }
    let problems = form(", link-form: id").unwrap_err();
    assert!(problems[0].help.as_ref().is_some_and(|h| h.contains("pkey")), "{problems:?}");
}

#[test]
fn a_full_file_is_read() {
    let project = load(
        "version: 1\nmappings: maps\nstate: /var/lib/d365map.db\nconnections:
  dynamics: { url: 'https://contoso.crm4.dynamics.com/', tenant: t, client-id: a, client-secret: { env: A_SECRET } }
  campaign: { organization: contoso, client-id: b, client-secret: { command: [pass, show, b] }, scope: 'openid,x', api: profileAndServices }
limits: { page-size: 5000, concurrency: 1, backlog-high-water: 5000, attempts: 20, request-timeout-seconds: 5, watch-interval-seconds: 30 }\n",
    )
    .unwrap();
    assert_eq!((project.mappings, project.state.to_str()), (project.root.join("maps"), Some("/var/lib/d365map.db")));
    let dynamics = project.connections.dynamics.unwrap();
    assert_eq!(
        (dynamics.config.url.as_str(), dynamics.config.credential),
        ("https://contoso.crm4.dynamics.com/", EntraCredential::Secret(SecretRef::Env("A_SECRET".into())))
    );
    let campaign = project.connections.campaign.unwrap();
    assert_eq!(
        (campaign.config.url.as_str(), campaign.config.scope.as_str(), campaign.config.api.as_str()),
        ("https://mc.adobe.io/contoso", "openid,x", "profileAndServices")
    );
    assert_eq!(project.limits.request_timeout, Duration::from_secs(5));
    assert_eq!((project.limits.page_size, project.limits.attempts), (5000, 20));
}

#[test]
fn an_unknown_key_is_a_fault_with_a_suggestion_wherever_it_is() {
    for (text, key, near) in [
        ("version: 1\nmapings: a\n", "mapings", "mappings"),
        ("version: 1\nlimits:\n  page_size: 3\n", "page_size", "page-size"),
        (&dynamics("    clientsecret: { env: A }\n"), "clientsecret", "client-secret"),
    ] {
        assert_eq!(faults(text), [(key.into(), format!("unknown key `{key}`"), format!("did you mean `{near}`?"))]);
    }
}

#[test]
fn a_secret_in_the_file_is_a_fault_that_explains_the_three_ways_and_shows_nothing_of_it() {
    for secret in ["hunter2-secret", "\"hunter2 x\"", "123456789", "[hunter2]", "|\n      hunter2", "true"] {
        let text = dynamics(&format!("    client-secret: {secret}\n"));
        let problems = load(&text).unwrap_err();
        let problem = &problems[0];
        assert_eq!(problem.message, "a secret must not be written in the project file", "{secret}");
        let help = problem.help.as_deref().unwrap();
        assert!(["env", "file", "command"].iter().all(|way| help.contains(way)), "{help}");
        // Of a block of lines the first one is marked, below the key.
        let line = text[..text.find("client-secret").unwrap()].matches('\n').count() + 1;
        assert_eq!(problem.line_column().0, line + usize::from(secret.starts_with('|')), "{secret}");
        let everything = format!("{problem} {problem:?}");
        assert!(!everything.contains("hunter2") && !everything.contains("123456789"), "{everything}");
    }
}

#[test]
fn a_secret_does_not_show_in_the_excerpt_of_another_fault_either() {
    let text = dynamics("    client-secret: hunter2\n    nonsense: 1\n").replace("    client-id: abc\n", "    bad: 1\n");
    let problems = load(&text).unwrap_err();
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
    let problems = load(&dynamics("    client-secret: { env: hunter2-is-no-name }\n")).unwrap_err();
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
}

#[test]
fn a_reference_to_a_secret_names_one_place() {
    let message = |reference: &str| load(&dynamics(&format!("    client-secret: {reference}\n"))).unwrap_err()[0].message.clone();
    assert_eq!(message("{ env: A, file: b }"), "a secret has one place");
    assert_eq!(message("{}"), "the secret has no reference");
    assert_eq!(message("{ enf: A }"), "a secret is referred to by `env`, `file` or `command`");
    assert_eq!(message("{ env: hunter2-is-no-name }"), "this is not the name of an environment variable");
    assert_eq!(message("{ command: [] }"), "the command has no program");
    assert_eq!(message("{ command: pass show x }"), "a command is run without a shell");
}

#[test]
fn http_is_for_this_machine_alone() {
    let url = |url: &str| load(&dynamics("    client-secret: { env: A }\n").replace("https://contoso.crm4.dynamics.com", url));
    for fine in ["http://127.0.0.1:4100", "http://localhost:1", "http://[::1]:2", "https://contoso.crm.dynamics.com"] {
        assert!(url(fine).is_ok(), "{fine}");
    }
    let message = |u: &str| url(u).unwrap_err()[0].message.clone();
    assert_eq!(message("http://contoso.crm4.dynamics.com"), "a secret would be sent over the network unencrypted");
    assert_eq!(message("http://127.0.0.1.example.com"), "a secret would be sent over the network unencrypted");
    assert_eq!(message("ftp://x"), "an address with the scheme `ftp` is not supported here");
    assert_eq!(message("contoso"), "this is not an address: relative URL without a base");
    assert_eq!(message("https://a:b@c.example"), "an address must not contain a user or a password");
    assert_eq!(message("https://contoso.crm4.dynamics.com/api/data/v9.2"), "the address of Dynamics is that of the environment alone");
}

#[test]
fn campaign_needs_an_organization_by_itself_or_in_the_address() {
    let campaign =
        |lines: &str| load(&format!("version: 1\nconnections:\n  campaign:\n    client-id: a\n    client-secret: {{ env: A }}\n{lines}"));
    let url = |lines: &str| campaign(lines).unwrap().connections.campaign.unwrap().config.url.to_string();
    assert_eq!(url("    organization: contoso\n"), "https://mc.adobe.io/contoso");
    assert_eq!(url("    url: http://127.0.0.1:5/contoso\n"), "http://127.0.0.1:5/contoso");
    assert_eq!(url("    url: http://127.0.0.1:5/contoso\n    organization: contoso\n"), "http://127.0.0.1:5/contoso");
    let message = |lines: &str| campaign(lines).unwrap_err()[0].message.clone();
    assert_eq!(message(""), "the connection to Campaign names no organization");
    assert_eq!(message("    url: https://mc.adobe.io/contoso/campaign\n"), "the address of Campaign ends with the organization");
    assert_eq!(message("    organization: a/b\n"), "this is not an organization's id");
}

#[test]
fn limits_have_ranges_and_all_faults_come_at_once() {
    let found = faults("version: 1\nlimits:\n  page-size: 5001\n  concurrency: 0\n  attempts: -1\n");
    assert_eq!(
        found.iter().map(|(place, message, _)| (place.as_str(), message.as_str())).collect::<Vec<_>>(),
        [("5001", "`page-size` is out of range"), ("0", "`concurrency` is out of range"), ("-1", "`attempts` is out of range"),]
    );
    assert_eq!(found[0].2, "write a number from 1 to 5000; the default is 1000");
    assert_eq!(faults("version: 1\nlimits: { backlog-high-water: 500 }\n")[0].1, "the backlog is smaller than a page");
}

#[test]
fn a_project_is_found_from_any_folder_below_it_or_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(folder.path().join(FILE_NAME), "version: 1\n").unwrap();
    for (start, explicit) in
        [(deep.as_path(), None), (Path::new("/"), Some(folder.path().join(FILE_NAME))), (Path::new("/"), Some(folder.path().to_path_buf()))]
    {
        assert_eq!(Project::find(start, explicit.as_deref()).unwrap().unwrap().root, folder.path());
    }
    let missing = Project::find(&deep, Some(&deep.join("none.yaml"))).unwrap_err();
    assert!(matches!(&missing, ProjectError::Io { .. }));
    assert!(missing.to_string().contains("d365map init"), "{missing}");
}

// ---------------------------------------------------------------------------------------------------------------------
// init

fn init(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_d365map")).arg("init").args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn init_makes_a_project_that_loads_and_says_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(folder.path(), &["crm"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("cd crm && d365map check"));
    let root = folder.path().join("crm");
    let project = Project::find(&root, None).unwrap().unwrap();
    assert_eq!(project.limits, Limits::default());
    assert!(project.mappings.join("contacts.d365map").is_file() && project.schemas.is_dir());
    assert_eq!(std::fs::read_to_string(root.join(".gitignore")).unwrap(), ".d365map/\nsecrets/\n");
}

#[test]
fn init_writes_over_nothing_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("mappings")).unwrap();
    let mapping = folder.path().join("mappings/contacts.d365map");
    std::fs::write(&mapping, "mine").unwrap();
    std::fs::write(folder.path().join(".gitignore"), "target\n/.d365map").unwrap();
    let output = init(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--force"));
    assert_eq!(std::fs::read_to_string(&mapping).unwrap(), "mine");
    assert!(!folder.path().join(FILE_NAME).exists(), "all or nothing");
    assert!(init(folder.path(), &["--force"]).status.success());
    assert_eq!(std::fs::read_to_string(&mapping).unwrap(), template::starter());
    assert_eq!(std::fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "target\n/.d365map\nsecrets/\n");
}

#[test]
fn init_pins_the_line_ends_of_mapping_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".gitattributes"), "*.png binary").unwrap();
    assert!(init(folder.path(), &[]).status.success());
    let attributes = std::fs::read_to_string(folder.path().join(".gitattributes")).unwrap();
    assert_eq!(attributes, "*.png binary\n*.d365map text eol=lf\n");
}

#[test]
fn the_first_mapping_deletes_nothing_and_is_the_shipped_one_otherwise() {
    use d365map::check::{Input, compile};
    use d365map::plan::{Deletes, FilteredOut};
    let flow = |text: &str| {
        let input = Input { name: "a.d365map".to_owned(), bytes: text.as_bytes().to_vec() };
        compile(vec![input], d365map::schema::Catalogue::builtin()).plan.expect("a plan").ingress.remove(0)
    };
    let (shipped, starter) = (flow(template::MAPPING), flow(&template::starter()));
    assert_eq!((starter.policy.deletes, starter.policy.filtered_out), (Deletes::Ignore, FilteredOut::Keep));
    assert_eq!((starter.fields, starter.filter), (shipped.fields, shipped.filter));
    assert!(template::starter().contains("deletes propagate"), "the comment says how to delete");
}

/// Runs a command of the binary and returns its status, standard output and standard error.
fn d365map(folder: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_d365map")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_new_project_is_in_form_without_findings_and_its_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    assert!(init(folder.path(), &[]).status.success());
    for arguments in [&["fmt", "--check"][..], &["check"], &["test"]] {
        let (status, out, error) = d365map(folder.path(), arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {out}{error}");
    }
    let (_, _, error) = d365map(folder.path(), &["test"]);
    assert!(error.contains('2'), "both tests run: {error}");
}

#[test]
fn the_workflow_for_ci_lies_at_the_root_of_the_repository_and_its_calls_are_accepted() {
    use clap::Parser as _;
    for (service, file) in [("github", ".github/workflows/d365map.yml"), ("gitlab", ".gitlab-ci.yml"), ("azure", "azure-pipelines.yml")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        assert!(init(folder.path(), &["crm", "--ci", service]).status.success());
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let document: serde_json::Value =
            d365map::yaml::from_str(std::path::Path::new(file), &text.as_str().into()).unwrap_or_else(|e| panic!("{e:?}"));
        assert!(document.is_object() && !text.contains('@') || text.contains("actions/checkout@") || text.contains("Cache@"), "{text}");
        assert!(!text.contains("@mappings@") && !text.contains("@version@"), "{text}");
        let calls: Vec<&str> = text.lines().map(str::trim).filter(|l| l.starts_with("d365map ")).collect();
        assert_eq!(calls.len(), 3, "{text}");
        for call in calls {
            let words = call.split([' ']).take_while(|w| !matches!(*w, ">" | "||"));
            assert!(call.contains("crm/mappings"), "{call}");
            d365map::cli::Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{call}: {e}"));
        }
        assert_eq!(init(folder.path(), &["other", "--ci", service]).status.code(), Some(2), "the workflow is not overwritten");
        assert!(!folder.path().join("other").exists());
    }
}

#[test]
fn a_folder_with_a_space_is_quoted_in_the_workflow() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".git")).unwrap();
    assert!(init(folder.path(), &["our crm", "--ci", "gitlab"]).status.success());
    let text = std::fs::read_to_string(folder.path().join(".gitlab-ci.yml")).unwrap();
    assert!(text.contains("d365map fmt --check --diff 'our crm/mappings'"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_for_the_emulators_runs_at_once() {
    let config = d365map_emulator::Config {
        contacts: 20,
        seed_text: Some(d365map_emulator::SAMPLE_SEED.to_owned()),
        ..d365map_emulator::Config::default()
    };
    let emulators = d365map_emulator::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    assert!(init(&root, &["--emulated"]).status.success());
    // The ports of the file are fixed ones; here they are those of this test.
    let file = root.join(FILE_NAME);
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = text
        .replace("http://127.0.0.1:8365", &emulators.dataverse_url())
        .replace("http://127.0.0.1:8366/emulated-org", &emulators.campaign_url())
        .replace("http://127.0.0.1:8366/ims/token/v3", &emulators.campaign_token_url());
    assert!(!moved.contains(":8365") && !moved.contains(":8366"), "{moved}");
    std::fs::write(&file, moved).unwrap();
    let (status, out, error) = tokio::task::spawn_blocking(move || d365map(&root, &["run"])).await.unwrap();
    assert_eq!(status, Some(0), "{out}{error}");
    assert!(out.contains("read             20"), "{out}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("secrets/campaign")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "only the owner can read a secret");
    }
}

#[test]
fn what_emulate_prints_is_a_project_file_and_project_ports_listens_there() {
    use std::io::{BufRead as _, BufReader};
    /// Starts the emulators and reads what they print, to the line that ends it.
    fn emulate(folder: &std::path::Path, more: &[&str]) -> (std::process::Child, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_d365map"))
            .args(["emulate", "--contacts", "0"])
            .args(more)
            .current_dir(folder)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut text = String::new();
        for line in lines {
            text.push_str(&line);
            text.push('\n');
            if line.contains("Ctrl-C") {
                break;
            }
        }
        (child, text)
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut child, printed) = emulate(folder.path(), &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    let file = folder.path().join(FILE_NAME);
    std::fs::write(&file, format!("version: 1\n{printed}")).unwrap();
    let project = Project::load(&file).unwrap_or_else(|e| panic!("{e}\n{printed}"));
    let connections = project.connections;
    assert!(connections.dynamics.is_some() && connections.campaign.is_some_and(|c| c.journal.is_some()), "{printed}");
    // The ports have just been given back, so the same ones can be listened at.
    let (mut child, again) = emulate(folder.path(), &["--project-ports"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let section = |text: &str| text.lines().take_while(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n");
    assert_eq!(section(&again), section(&printed));
}

/// The template with its keys taken out of their comments: all of them, or just those of one line.
pub fn uncommented(just: Option<usize>) -> (String, usize) {
    let key = regex::Regex::new(r"^( *)#((?:  ){0,2}[a-z][a-z-]*:.*)$").unwrap();
    let mut count = 0;
    let lines = template::PROJECT.lines().enumerate().map(|(number, line)| match key.captures(line) {
        Some(parts) if just.is_none_or(|just| just == number) => {
            count += 1;
            format!("{}{}\n", &parts[1], &parts[2])
        }
        Some(_) | None => format!("{line}\n"),
    });
    let text = lines.collect();
    (text, count)
}

#[test]
fn every_key_that_is_commented_out_in_the_template_is_valid() {
    let (text, count) = uncommented(None);
    assert_eq!(count, 49);
    let project = load(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    assert!(project.connections.dynamics.is_some() && project.connections.campaign.is_some_and(|c| c.sftp.is_some()));
    assert_eq!(project.limits, Limits::default(), "the template shows the defaults");
    assert_eq!((project.mappings, project.schemas, project.state), {
        let defaults = Project::defaults(&project.root);
        (defaults.mappings, defaults.schemas, defaults.state)
    });
    // Each limit and each folder by itself too.
    for number in 0..template::PROJECT.lines().count() {
        let (text, count) = uncommented(Some(number));
        let alone = count == 1 && !template::PROJECT.lines().nth(number).unwrap().contains("#  ");
        if alone && !text.contains("\n  dynamics:\n") && !text.contains("\n  campaign:\n") {
            assert!(load(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn every_key_of_the_project_file_is_in_its_page() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/project-file.md"));
    let key = regex::Regex::new(r"^ *#? *([a-z][a-z-]*):").unwrap();
    for line in template::PROJECT.lines() {
        if let Some(found) = key.captures(line) {
            assert!(page.contains(&format!("`{}`", &found[1])), "{} is not described", &found[1]);
        }
    }
}

#[test]
fn dynamics_takes_a_secret_or_a_certificate_and_not_both() {
    let certificate = "    client-certificate: { certificate: d.pem, private-key: { file: d.key }, signature: rs256 }\n";
    let project = load(&dynamics(certificate)).unwrap();
    let expected = EntraCredential::Certificate { certificate: "d.pem".into(), private_key: SecretRef::File("d.key".into()), rs256: true };
    assert_eq!(project.connections.dynamics.unwrap().config.credential, expected);
    let fault = |lines: &str| load(&dynamics(lines)).unwrap_err()[0].to_string();
    assert!(fault("").contains("has no credential"), "{}", fault(""));
    assert!(fault(&format!("{certificate}    client-secret: {{ env: A }}\n")).contains("a secret and a certificate"));
    assert!(fault(&certificate.replace("rs256", "HS256")).contains("not a signature of an assertion"));
    let literal = fault(&certificate.replace("{ file: d.key }", "hunter2"));
    assert!(literal.contains("must not be written in the project file") && !literal.contains("hunter2"), "{literal}");
}

#[test]
fn a_private_key_has_more_than_one_line_and_a_secret_has_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n").unwrap();
    let reference = SecretRef::File("key".into());
    assert!(reference.resolve_key(folder.path()).is_ok());
    assert!(reference.resolve(folder.path()).unwrap_err().to_string().contains("more than one line"));
}

#[test]
fn a_service_account_and_budgets_are_read_with_their_ranges() {
    let text = "version: 1\nconnections:\n  campaign:\n    organization: contoso\n    client-id: a\n    client-secret: { env: A }\n    service-account: \
                { organization-id: o@AdobeOrg, technical-account: t@techacct.adobe.com, private-key: { env: K } }\nlimits:\n  requests-per-second: { \
                campaign: 10 }\n  requests-per-day: { dynamics: 40000 }\n";
    let project = load(text).unwrap();
    let account = project.connections.campaign.unwrap().config.credential.service_account.unwrap();
    assert_eq!((account.organization_id.as_str(), account.metascopes), ("o@AdobeOrg", vec!["ent_campaign_sdk".to_owned()]));
    assert_eq!(project.limits.requests_per_second, BTreeMap::from([(SystemId::Campaign, 10)]));
    assert_eq!(project.limits.requests_per_day, BTreeMap::from([(SystemId::D365, 40_000)]));
    let fault = load(&text.replace("campaign: 10", "campaign: 0")).unwrap_err()[0].to_string();
    assert!(fault.contains("out of range"), "{fault}");
}

#[test]
fn an_sftp_server_has_a_user_with_a_key_and_a_known_host_key() {
    let file = |lines: &str| {
        format!(
            "version: 1\nconnections:\n  campaign:\n    organization: contoso\n    client-id: a\n    client-secret: {{ env: A }}\n    sftp:\n      host: \
             contoso.campaign.adobe.com\n      user: contoso\n{lines}"
        )
    };
    let key = "      key: { file: sftp.key }\n";
    let known = "      known-hosts: known_hosts\n";
    let sftp = |lines: &str| load(&file(lines)).unwrap().connections.campaign.unwrap().sftp.unwrap().config;
    let plain = sftp(&format!("{key}{known}"));
    assert_eq!((plain.host.as_str(), plain.port, plain.exports.as_str()), ("contoso.campaign.adobe.com", 22, "d365_loads/exports"));
    assert_eq!((plain.key, plain.passphrase, plain.logs), (SecretRef::File("sftp.key".into()), None, None));
    assert_eq!(plain.host_key, HostKey::KnownHosts("known_hosts".into()));
    let print = format!("SHA256:{}", "a".repeat(43));
    let full = sftp(&format!(
        "{key}      passphrase: {{ env: P }}\n      host-key: {print}\n      port: 2222\n      exports: out\n      logs: in/logs\n"
    ));
    assert_eq!((full.port, full.exports.as_str(), full.logs.as_deref()), (2222, "out", Some("in/logs")));
    assert_eq!((full.passphrase, full.host_key), (Some(SecretRef::Env("P".into())), HostKey::Fingerprint(print.clone())));

    let fault = |lines: &str| load(&file(lines)).unwrap_err()[0].to_string();
    assert!(fault(key).contains("the key of the SFTP server is not configured"), "{}", fault(key));
    assert!(fault(&format!("{key}{known}      host-key: {print}\n")).contains("given twice"));
    assert!(fault(&format!("{key}      host-key: 16:27:ac\n")).contains("not the fingerprint"));
    assert!(fault(&format!("{key}{known}      port: 70000\n")).contains("not a port"));
    for secret in ["key: hunter2\n", "key: { file: k }\n      passphrase: hunter2\n"] {
        let problems = load(&file(&format!("      {secret}{known}"))).unwrap_err();
        let everything = format!("{problems:?}");
        assert!(problems[0].message.contains("must not be written in the project file") && !everything.contains("hunter2"), "{everything}");
    }
}

#[test]
fn schedules_say_when_in_one_way_and_their_faults_are_all_told() {
    let text = "version: 1\nschedules:\n  contacts: { every: 90s, days: [mon, Friday], between: 22:00-06:00, zone: Europe/Vienna }\n  email: { at: [14:30, 02:00] }\n";
    let project = load(text).unwrap();
    let contacts = &project.schedules["contacts"];
    assert_eq!((&contacts.when, contacts.days.len()), (&When::Every(Duration::from_secs(90)), 2));
    assert_eq!((contacts.zone.name(), contacts.between.is_some()), ("Europe/Vienna", true));
    let When::At(times) = &project.schedules["email"].when else { panic!("times") };
    assert_eq!(times.iter().map(ToString::to_string).collect::<Vec<_>>(), ["02:00:00", "14:30:00"]);

    for (fault, expected) in [
        ("a: {}", "does not say when"),
        ("a: { every: 5m, at: [02:00] }", "an interval or times of the day"),
        ("a: { every: 8d }", "`8d` is not an interval"),
        ("a: { every: 0s }", "`0s` is not an interval"),
        ("a: { at: [24:30] }", "`24:30` is not a time of the day"),
        ("a: { every: 5m, days: [someday] }", "`someday` is not a day of the week"),
        ("a: { every: 5m, between: 06:00-06:00 }", "is not a range of hours"),
        ("a: { every: 5m, zone: Mars/Phobos }", "`Mars/Phobos` is not a time zone"),
        ("a: { at: [02:00], between: 01:00-03:00 }", "cannot be combined with hours"),
        ("a: { every: 5m }\n  a: { every: 6m }", "written twice"),
    ] {
        let problems = load(&format!("version: 1\nschedules:\n  {fault}\n")).unwrap_err();
        assert!(problems[0].to_string().contains(expected), "{fault}: {}", problems[0]);
    }
}

#[test]
fn the_exports_that_are_read_have_files_columns_and_words() {
    let file = |lines: &str| {
        format!(
            "version: 1\nconnections:\n  campaign:\n    organization: contoso\n    client-id: a\n    client-secret: {{ env: A }}\n    sftp:\n      host: \
             contoso.campaign.adobe.com\n      user: contoso\n      key: {{ file: k }}\n      known-hosts: h\n{lines}"
        )
    };
    let kinds = |lines: &str| load(&file(lines)).unwrap().connections.campaign.unwrap().sftp.unwrap().files;
    assert_eq!(kinds(""), ExportFiles::default());
    let all = kinds(
        "      deliveries:\n        files: delivery_*.csv\n        delimiter: \";\"\n        times: utc\n        columns: { id: broadLogId, status: state, mirror-page: page }\n        \
         words: { sent: [Gesendet], hard: [\"2\", permanent] }\n      tracking:\n        files: tracking_*.csv\n        delimiter: tab\n        header: [logId, externalId, \
         eventDate, type]\n        columns: { type: art, url: link }\n      opt-outs:\n        files: optout_*.csv\n        changed-suffix: LastModified\n",
    );
    let deliveries = all.deliveries.unwrap();
    assert_eq!((deliveries.pattern.as_str(), deliveries.format), ("delivery_*.csv", CsvFormat { delimiter: b';', ..CsvFormat::default() }));
    let log = LogColumns { id: "broadLogId".into(), mirror_page: "page".into(), zoneless_is_utc: true, ..LogColumns::default() };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (sent, hard) = (words(&["Gesendet"]), words(&["2", "permanent"]));
    let expected = DeliveryLogColumns { log, status: "state".into(), sent, hard, ..DeliveryLogColumns::default() };
    assert_eq!(deliveries.columns, expected, "what is left out has the connector's default");
    let tracking = all.tracking.unwrap();
    assert_eq!((tracking.format.delimiter, tracking.format.columns.map(|h| h.len())), (b'\t', Some(4)));
    assert_eq!((tracking.columns.kind.as_str(), tracking.columns.url.as_str()), ("art", "link"));
    assert_eq!(all.opt_outs.unwrap().columns.layout, OptOutLayout::Wide { suffix: "LastModified".to_owned() });
    let plain = kinds("      opt-outs: { files: o_*.csv }\n").opt_outs.unwrap();
    assert_eq!((plain.pattern.as_str(), plain.format, plain.columns), ("o_*.csv", CsvFormat::default(), OptOutColumns::default()));

    let fault = |lines: &str| load(&file(lines)).unwrap_err()[0].to_string();
    for (lines, expected) in [
        ("      opt-outs: {}\n", "files"),
        ("      deliveries: { files: in/d.csv }\n", "must not have a folder"),
        ("      deliveries: { files: d.csv, delimiter: \";;\" }\n", "not one character"),
        ("      deliveries: { files: d.csv, quote: \",\" }\n", "same character"),
        ("      tracking: { files: t.csv, times: cet }\n", "not a time zone"),
        ("      opt-outs: { files: o.csv, changed-suffix: X, columns: { at: y } }\n", "one profile per line"),
        ("      tracking: { files: t.csv, columns: { stauts: x } }\n", "stauts"),
    ] {
        assert!(fault(lines).contains(expected), "{lines}: {}", fault(lines));
    }
}

#[test]
fn a_journal_has_the_address_of_its_registration_and_an_organization() {
    let file = |lines: &str| {
        format!(
            "version: 1\nconnections:\n  campaign:\n    organization: contoso\n    client-id: a\n    client-secret: {{ env: A }}\n    journal:\n{lines}"
        )
    };
    let url = "      url: https://events.adobe.io/events/organizations/1/integrations/2/3\n";
    let org = "      ims-organization: 0123ABCD@AdobeOrg\n";
    let text = file(&format!("{url}{org}      fields: {{ external-id: profile.crmId, type: kind }}\n"));
    let journal = load(&text).unwrap().connections.campaign.unwrap().journal.unwrap();
    assert_eq!((journal.url.path(), journal.scope), ("/events/organizations/1/integrations/2/3", None));
    assert_eq!(
        (journal.fields.external_id.as_str(), journal.fields.kind.as_str(), journal.fields.at.as_str()),
        ("profile.crmId", "kind", "data.eventDate")
    );
    let fault = |lines: &str| load(&file(lines)).unwrap_err()[0].to_string();
    assert!(fault(&format!("      url: https://events.adobe.io\n{org}")).contains("no registration"));
    assert!(fault(&format!("{url}      ims-organization: contoso\n")).contains("not the id of an Adobe organization"));
}

fn serve(lines: &str) -> String {
    format!("version: 1\nserve:\n{lines}")
}

#[test]
fn without_a_section_pages_are_for_this_machine_alone() {
    let settings = load("version: 1\n").unwrap().serve;
    assert!(settings.listen.ip().is_loopback() && settings.listen.port() == 8070);
    assert!(!settings.edit && !settings.behind_proxy && settings.sign_in.is_none() && settings.clients.is_empty());
}

#[test]
fn a_service_to_sign_in_with_and_clients_are_read() {
    let settings = load(&serve(
        "  listen: 0.0.0.0:8070
  public-url: https://sync.contoso.com
  tls: { certificate: certs/server.pem, key: { file: secrets/server.key } }
  edit: true
  sign-in:
    issuer: https://login.microsoftonline.com/6c9f6b4e-0000-4000-8000-000000000000/v2.0
    client-id: abc
    client-secret: { env: A }
    roles-claim: realm_access.roles
    operator: [ops, helpdesk]
    admin: [admins]
  clients:
    - { name: ci, token: { env: B }, role: operator }
",
    ))
    .unwrap()
    .serve;
    assert!(settings.edit && settings.tls.is_some_and(|tls| tls.certificate == Path::new("certs/server.pem")));
    let sign_in = settings.sign_in.unwrap();
    assert_eq!((sign_in.roles_claim.as_str(), sign_in.name_claim.as_str()), ("realm_access.roles", "preferred_username"));
    assert_eq!(sign_in.scopes, ["openid", "profile"]);
    let texts = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let expected = [(Role::Viewer, texts(&[])), (Role::Operator, texts(&["ops", "helpdesk"])), (Role::Admin, texts(&["admins"]))];
    assert_eq!(sign_in.roles, expected);
    assert_eq!(settings.clients, [ClientSettings { name: "ci".to_owned(), token: SecretRef::Env("B".to_owned()), role: Role::Operator }]);
}

#[test]
fn pages_beyond_this_machine_need_encryption_and_a_service_to_sign_in_with() {
    let messages = |lines: &str| faults(&serve(lines)).into_iter().map(|(marked, message, _)| (marked, message)).collect::<Vec<_>>();
    let of = |marked: &str, message: &str| (marked.to_owned(), message.to_owned());
    let open = "other machines can reach this address, and everything would be sent unencrypted";
    let unknown = "other machines can reach this address, but no service to sign in with is configured";
    for address in ["0.0.0.0:8070", "192.0.2.1:80", "\"[::]:8070\""] {
        let found = messages(&format!("  listen: {address}\n"));
        assert_eq!(found.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>(), [open, unknown], "{address}");
    }
    assert_eq!(messages("  listen: 0.0.0.0:8070\n  behind-proxy: true\n"), [of("0.0.0.0:8070", unknown)]);
    let sign_in = "  sign-in: { issuer: https://id.contoso.com, client-id: a, admin: [b] }\n";
    assert_eq!(messages(&format!("  listen: 0.0.0.0:8070\n  public-url: https://a\n{sign_in}")), [of("0.0.0.0:8070", open)]);
    let nowhere = "the service does not know where to send people back to";
    assert_eq!(messages(&format!("  listen: 127.0.0.1:8070\n{sign_in}")), [of("https://id.contoso.com", nowhere)]);
    assert!(load(&serve("  listen: 127.0.0.2:8070\n")).is_ok());
}

#[test]
fn a_sign_in_that_would_let_in_strangers_or_no_one_is_refused() {
    let messages = |sign_in: &str| {
        let lines = format!("  public-url: https://sync.contoso.com\n  sign-in: {{ client-id: a, {sign_in} }}\n");
        faults(&serve(&lines)).into_iter().map(|(_, message, _)| message).collect::<Vec<_>>()
    };
    assert_eq!(
        messages("issuer: https://login.microsoftonline.com/common/v2.0, admin: [b]"),
        ["this issuer is not one directory, so people of any organization could sign in"]
    );
    assert_eq!(messages("issuer: https://id.contoso.com"), ["no value of a claim gives a role, so no person could do anything"]);
    assert_eq!(messages("issuer: http://id.contoso.com, admin: [b]"), ["a secret would be sent over the network unencrypted"]);
    assert_eq!(messages("issuer: https://id.contoso.com, admin: [b], scopes: [email]"), ["the scope `openid` is missing"]);
    assert_eq!(
        faults(&serve("  public-url: https://contoso.com/sync\n")),
        [("https://contoso.com/sync".to_owned(), "the pages cannot be below a path".to_owned(), "write `https://contoso.com`".to_owned())]
    );
    let same = "  clients:\n    - { name: ci, token: { env: A }, role: viewer }\n    - { name: ci, token: { env: B }, role: viewer }\n";
    assert_eq!(faults(&serve(same)).into_iter().map(|(_, message, _)| message).collect::<Vec<_>>(), ["two clients have the same name"]);
}
