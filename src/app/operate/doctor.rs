//! The checks of `doctor`: what a run needs and whether it is there. Reads only, wherever it looks.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use secrecy::SecretString;

use crate::app::plan::{ADD_A_SOURCE, without_source};
use crate::app::{drift, files, metadata, runtime, services, sign_in, state};
use crate::connect::sftp::Sftp;
use crate::connect::{Credential, Http, HttpConfig};
use crate::count::counted;
use crate::diagnostics::Severity;
use crate::doctor::{Bench, Check, Group, Needs, Outcome, Unusable, campaign, dynamics, local, partner_center, secret, sftp};
use crate::plan::ExecutionPlan;
use crate::project::{
    CampaignConnection, DynamicsConnection, EntraCredential, PartnerCenterConnection, Project, RefreshTokenPlace, SecretError, SecretRef,
    SftpConnection,
};
use crate::system::SystemId;
use crate::systems::campaign::Campaign;
use crate::time;

/// The connections that can be examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examined {
    /// The connection to Dynamics 365.
    Dynamics,
    /// The connection to Campaign.
    Campaign,
    /// The connection to Campaign's SFTP server.
    Sftp,
    /// The connection to Partner Center.
    PartnerCenter,
}

/// What is examined.
#[derive(Clone, Debug)]
pub struct Examiner {
    /// These connections; if it is empty, every connection of the project.
    pub connections: Vec<Examined>,
    /// How long the checks of one connection may take together.
    pub limit: Duration,
}

/// The longest that one request may take; several must fit into the time of a connection.
const REQUEST: Duration = Duration::from_secs(15);

/// All checks, and whether there was a project to examine. `file` is the project file; without it, the one here or in the folders above.
/// Blocks.
pub fn examine(file: Option<&Path>, examiner: &Examiner) -> (Vec<Check>, bool) {
    let limit = examiner.limit;
    let mut bench = Bench::new(Group::Project, limit);
    let project = match files::project(file) {
        Ok(Some(project)) => project,
        Ok(None) => {
            bench.fail(
                "project.file",
                "project file",
                "there is no d365map.yaml here or in the folders above",
                "go to the project's folder, name the file with --project FILE, or start a project with `d365map init`",
            );
            return (bench.done(), false);
        }
        Err(error) => {
            bench.fail("project.file", "project file", error.to_string(), "fix the file; docs/project-file.md lists every key");
            return (bench.done(), false);
        }
    };
    bench.ok("project.file", "project file", files::display(&project.root.join(crate::project::FILE_NAME)));
    let (group, plan) = mappings(&mut bench, &project);
    let needs = plan.as_ref().map(Needs::of).unwrap_or_default();
    connections(&mut bench, examiner, &project, &needs);

    let runtime = runtime();
    let mut machine = Bench::new(Group::Machine, limit);
    let stored = runtime.as_ref().ok().map(|runtime| {
        runtime.block_on(async { local::Found { status: state::status(&project).await, running: state::run_in_progress(&project).await } })
    });
    local::examine(&mut machine, &project.state, stored);

    let found = match runtime {
        Ok(runtime) => {
            let found = services(examiner, &project, &needs, limit, &runtime);
            // Does not wait for a check that hangs.
            runtime.shutdown_background();
            found
        }
        Err(error) => {
            bench.fail("project.runtime", "runtime", error.to_string(), "close other programs");
            Vec::new()
        }
    };
    schemas(&mut bench, examiner, &project, group.zip(plan).map(|(group, plan)| (group, plan, &needs)), &found, limit);

    let mut checks = bench.done();
    checks.extend(machine.done());
    checks.extend(found);
    (checks, true)
}

/// Compiles the mappings: what they need is asked for.
fn mappings(bench: &mut Bench, project: &Project) -> (Option<files::Group>, Option<ExecutionPlan>) {
    let (id, subject) = ("project.mappings", "mappings");
    if !project.mappings.exists() {
        bench.warn(
            id,
            subject,
            format!("there is no folder {}", files::display(&project.mappings)),
            "`d365map init` writes a first mapping; until then tables and resources are not examined",
        );
        return (None, None);
    }
    let group = match files::of_project(project.clone()) {
        Ok(group) => group,
        Err(error @ files::FilesError::NoMappings { .. }) => {
            bench.warn(id, subject, error.to_string(), "until then tables and resources are not examined");
            return (None, None);
        }
        Err(error) => {
            bench.fail(id, subject, error.to_string(), "`d365map check` shows the place");
            return (None, None);
        }
    };
    let compiled = group.clone().compile();
    let errors = compiled.diagnostics.iter().filter(|d| d.severity() == Severity::Error).count();
    let Some(plan) = compiled.plan else {
        bench.fail(
            id,
            subject,
            format!("{}; tables and resources are not examined", counted(errors, "error")),
            "`d365map check` shows them and what to write instead",
        );
        return (None, None);
    };
    let flows = plan.ingress.len() + plan.optouts.len() + plan.events.len() + plan.two_way.len();
    bench.ok(id, subject, counted(flows, "flow"));
    for flow in without_source(project, &plan) {
        bench.fail(
            "project.events",
            format!("events {flow}"),
            "the project names no source of events: none is moved, and nothing fails",
            ADD_A_SOURCE,
        );
    }
    (Some(group), Some(plan))
}

/// Whether the project has the connections that are asked for, or those that its mappings need. The SFTP server is needed only if it is
/// asked for.
fn connections(bench: &mut Bench, examiner: &Examiner, project: &Project, needs: &Needs) {
    let (id, subject) = ("project.connections", "connections");
    let (dynamics, campaign, partner) =
        (project.connections.dynamics.is_some(), project.connections.campaign.as_ref(), project.connections.partner_center.is_some());
    let needed = |name: Examined, system: SystemId| match (examiner.connections.is_empty(), needs.systems.is_empty()) {
        (false, _) => examiner.connections.contains(&name),
        (true, false) => needs.systems.contains(&system),
        // No mapping tells: referrals do without Campaign.
        (true, true) => system == SystemId::D365 || (system == SystemId::Campaign && !partner),
    };
    let have = [
        ("dynamics", dynamics, needed(Examined::Dynamics, SystemId::D365), asked(examiner, Examined::Dynamics)),
        ("campaign", campaign.is_some(), needed(Examined::Campaign, SystemId::Campaign), asked(examiner, Examined::Campaign)),
        (
            "campaign.sftp",
            campaign.is_some_and(|c| c.sftp.is_some()),
            examiner.connections.contains(&Examined::Sftp),
            asked(examiner, Examined::Sftp),
        ),
        ("partner-center", partner, needed(Examined::PartnerCenter, SystemId::Partner), asked(examiner, Examined::PartnerCenter)),
    ];
    let missing: Vec<&str> = have.iter().filter(|(_, there, needed, _)| *needed && !there).map(|(name, ..)| *name).collect();
    if missing.is_empty() {
        let there = have.iter().filter(|(_, there, needed, asked)| *there && (*needed || *asked));
        bench.ok(id, subject, there.map(|(name, ..)| *name).collect::<Vec<_>>().join(", "));
    } else {
        bench.fail(
            id,
            subject,
            format!("the project has no connection {}", missing.join(" and no connection ")),
            "add it under `connections:`; docs/project-file.md shows its keys",
        );
    }
}

fn asked(examiner: &Examiner, name: Examined) -> bool {
    examiner.connections.is_empty() || examiner.connections.contains(&name)
}

/// All services, at the same time.
fn services(examiner: &Examiner, project: &Project, needs: &Needs, limit: Duration, runtime: &tokio::runtime::Runtime) -> Vec<Check> {
    let request = REQUEST.min(limit);
    let config = HttpConfig {
        connect_timeout: request,
        request_timeout: request,
        attempts: 1,
        retry_after_cap: Duration::from_secs(1),
        ..HttpConfig::default()
    };
    let http = match Http::new(config) {
        Ok(http) => http,
        Err(error) => {
            let mut bench = Bench::new(Group::Machine, limit);
            bench.fail(
                "machine.tls",
                "certificates",
                error.to_string(),
                "install the system's root certificates (Debian: ca-certificates)",
            );
            return bench.done();
        }
    };
    // Secrets come first and one after the other: a password manager may ask for its own password.
    let to_dynamics =
        project.connections.dynamics.as_ref().filter(|_| asked(examiner, Examined::Dynamics)).map(|c| (c, of_dynamics(c, &project.root)));
    let to_campaign =
        project.connections.campaign.as_ref().filter(|_| asked(examiner, Examined::Campaign)).map(|c| (c, of_campaign(c, &project.root)));
    let sftp = project.connections.campaign.as_ref().and_then(|c| c.sftp.as_ref());
    let to_sftp = sftp.filter(|_| asked(examiner, Examined::Sftp)).map(|c| (c, of_sftp(c, &project.root)));
    let partner = project.connections.partner_center.as_ref().filter(|_| asked(examiner, Examined::PartnerCenter));
    let to_partner = partner.map(|c| (c, of_partner_center(c, &project.root)));
    runtime.block_on(async {
        let one = async {
            match to_dynamics {
                Some((connection, secrets)) => to_dynamics_365(project, connection, &http, needs, limit, secrets).await,
                None => Vec::new(),
            }
        };
        let two = async {
            match to_campaign {
                Some((connection, secrets)) => to_adobe_campaign(project, connection, &http, needs, limit, secrets).await,
                None => Vec::new(),
            }
        };
        let three = async {
            match to_sftp {
                Some((connection, secrets)) => to_the_sftp_server(project, connection, limit, secrets).await,
                None => Vec::new(),
            }
        };
        let four = async {
            match to_partner {
                Some((connection, secrets)) => to_partner_center(project, connection, &http, limit, secrets).await,
                None => Vec::new(),
            }
        };
        let (mut all, two, three, four) = tokio::join!(one, two, three, four);
        all.extend(two);
        all.extend(three);
        all.extend(four);
        all
    })
}

/// A secret that a connection needs, and what came of fetching it.
struct Needed<'a> {
    subject: &'static str,
    reference: &'a SecretRef,
    used: secret::Use,
    fetched: Result<SecretString, SecretError>,
}

fn of_dynamics<'a>(connection: &'a DynamicsConnection, root: &Path) -> Vec<Needed<'a>> {
    vec![of_entra(&connection.config.credential, root)]
}

fn of_partner_center<'a>(connection: &'a PartnerCenterConnection, root: &Path) -> Vec<Needed<'a>> {
    let credential = &connection.config.credential;
    let mut needed: Vec<Needed<'_>> = credential.client.iter().map(|client| of_entra(client, root)).collect();
    if let RefreshTokenPlace::Given(reference) = &credential.refresh_token {
        needed.push(Needed { subject: "refresh token", reference, used: secret::Use::Other, fetched: reference.resolve(root) });
    }
    needed
}

fn of_entra<'a>(credential: &'a EntraCredential, root: &Path) -> Needed<'a> {
    match credential {
        EntraCredential::Secret(reference) => {
            Needed { subject: "secret", reference, used: secret::Use::Entra, fetched: reference.resolve(root) }
        }
        EntraCredential::Certificate { private_key: reference, .. } => {
            Needed { subject: "private key", reference, used: secret::Use::Key, fetched: reference.resolve_key(root) }
        }
    }
}

fn of_campaign<'a>(connection: &'a CampaignConnection, root: &Path) -> Vec<Needed<'a>> {
    let reference = &connection.config.credential.client_secret;
    let mut needed = vec![Needed { subject: "secret", reference, used: secret::Use::Other, fetched: reference.resolve(root) }];
    if let Some(account) = &connection.config.credential.service_account {
        let reference = &account.private_key;
        needed.push(Needed { subject: "private key", reference, used: secret::Use::Key, fetched: reference.resolve_key(root) });
    }
    needed
}

fn of_sftp<'a>(connection: &'a SftpConnection, root: &Path) -> Vec<Needed<'a>> {
    let reference = &connection.config.key;
    let mut needed = vec![Needed { subject: "private key", reference, used: secret::Use::Key, fetched: reference.resolve_key(root) }];
    if let Some(reference) = &connection.config.passphrase {
        needed.push(Needed { subject: "passphrase", reference, used: secret::Use::Other, fetched: reference.resolve(root) });
    }
    needed
}

/// Says how fetching the secrets went; all of them in their order, or none.
fn secrets(bench: &mut Bench, id: &'static str, needed: Vec<Needed<'_>>, root: &Path) -> Option<Vec<SecretString>> {
    let checked: Vec<Option<SecretString>> =
        needed.into_iter().map(|n| secret::check(bench, id, n.subject, n.reference, root, n.fetched, n.used)).collect();
    checked.into_iter().collect()
}

async fn to_dynamics_365(
    project: &Project,
    connection: &DynamicsConnection,
    http: &Http,
    needs: &Needs,
    limit: Duration,
    needed: Vec<Needed<'_>>,
) -> Vec<Check> {
    let mut bench = Bench::new(Group::Dynamics, limit);
    let secret = secrets(&mut bench, "dynamics.secret", needed, &project.root).and_then(|mut all| all.pop());
    let credential = match (&connection.config.credential, secret) {
        (_, None) => Err(Unusable::because(NO_SECRET)),
        (EntraCredential::Secret(_), Some(secret)) => Ok(Credential::Secret(secret)),
        (EntraCredential::Certificate { certificate, rs256, .. }, Some(key)) => {
            match services::client_certificate(&project.root.join(certificate), &key, *rs256) {
                Ok(certificate) => {
                    dynamics::certificate(&mut bench, certificate.not_after(), time::now());
                    Ok(Credential::Certificate(certificate))
                }
                Err(error) => {
                    let (cause, fix) = error.parts();
                    let fix = fix.unwrap_or_else(|| "use the certificate and its key, both in PEM format".to_owned());
                    bench.fail("dynamics.certificate", "certificate", cause, fix);
                    Err(Unusable::because("the certificate cannot be used"))
                }
            }
        }
    };
    let client = credential.and_then(|c| services::dataverse_with(project, http.clone(), c).map_err(Unusable::because));
    let at = dynamics::Connection {
        url: &connection.config.url,
        tenant: connection.tenant.as_deref(),
        token_url: &connection.config.token_url,
        own_token_url: connection.own_token_url,
        client_id: &connection.config.client_id,
        concurrency: project.limits.concurrency,
    };
    dynamics::examine(&mut bench, http, &at, client.as_ref(), needs).await;
    bench.done()
}

async fn to_adobe_campaign(
    project: &Project,
    connection: &CampaignConnection,
    http: &Http,
    needs: &Needs,
    limit: Duration,
    needed: Vec<Needed<'_>>,
) -> Vec<Check> {
    let mut bench = Bench::new(Group::Campaign, limit);
    let mut fetched = secrets(&mut bench, "campaign.secret", needed, &project.root).unwrap_or_default().into_iter();
    let credential = match (fetched.next(), fetched.next()) {
        (None, _) => Err(Unusable::because(NO_SECRET)),
        (Some(secret), key) => services::campaign_credential(connection, secret, key.as_ref()).map_err(|error| {
            let (cause, fix) = error.parts();
            bench.fail(
                "campaign.secret",
                "service account",
                cause,
                fix.as_deref().unwrap_or("use the key as the console created it, in PEM format"),
            );
            Unusable::because(error)
        }),
    };
    let config = &connection.config;
    let client = credential.and_then(|c| Campaign::new(http.clone(), config.with_credential(c)).map_err(Unusable::because));
    let at = campaign::Connection { url: &config.url, token_url: &config.token_url, client_id: &config.client_id, api: &config.api };
    campaign::examine(&mut bench, http, &at, client.as_ref(), needs).await;
    if connection.journal.is_some() {
        match services::journal(project, http.clone()) {
            Ok(client) => campaign::journal(&mut bench, client.as_ref()).await,
            Err(error) => campaign::no_journal(&mut bench, error.parts()),
        }
    }
    bench.done()
}

async fn to_partner_center(
    project: &Project,
    connection: &PartnerCenterConnection,
    http: &Http,
    limit: Duration,
    needed: Vec<Needed<'_>>,
) -> Vec<Check> {
    let mut bench = Bench::new(Group::PartnerCenter, limit);
    let account = match secrets(&mut bench, "partner-center.secret", needed, &project.root) {
        None => Err(Unusable::because(NO_SECRET)),
        Some(_) => sign_in::account_with(project, http.clone()).map_err(|error| {
            let (cause, fix) = error.parts();
            bench.fail("partner-center.credential", "credential", cause, fix.as_deref().unwrap_or("docs/project-file.md shows the keys"));
            Unusable::because(error)
        }),
    };
    partner_center::examine(&mut bench, account.as_ref(), &connection.config.sign_in.client_id).await;
    bench.done()
}

async fn to_the_sftp_server(project: &Project, connection: &SftpConnection, limit: Duration, needed: Vec<Needed<'_>>) -> Vec<Check> {
    let mut bench = Bench::new(Group::Sftp, limit);
    let Some(mut secrets) = secrets(&mut bench, "sftp.secret", needed, &project.root).map(Vec::into_iter) else {
        bench.skip("sftp.connection", "connection", NO_SECRET);
        return bench.done();
    };
    let (key, passphrase) = (secrets.next().unwrap_or_default(), secrets.next());
    let mut config = services::sftp_config(project, connection, key, passphrase);
    config.connect_timeout = REQUEST.min(limit);
    config.request_timeout = REQUEST.min(limit);
    config.attempts = 1;
    match Sftp::new(config) {
        Ok(client) => sftp::examine(&mut bench, &client).await,
        Err(error) => {
            let (cause, mend) = sftp::parted(&error);
            bench.fail("sftp.key", "private key", cause, mend);
            bench.skip("sftp.connection", "connection", "the key cannot be used");
        }
    }
    bench.done()
}

const NO_SECRET: &str = "the secret cannot be read";

/// Compares the committed schemas with those of the services, as a run does before it begins.
fn schemas(
    bench: &mut Bench,
    examiner: &Examiner,
    project: &Project,
    compiled: Option<(files::Group, ExecutionPlan, &Needs)>,
    found: &[Check],
    limit: Duration,
) {
    let (id, subject) = ("project.schemas", "schemas");
    let Some((group, plan, needs)) = compiled else {
        bench.skip(id, subject, "no mapping was compiled");
        return;
    };
    if !examiner.connections.is_empty() {
        bench.skip(id, subject, "just one connection is examined");
        return;
    }
    let well = |id: &str| found.iter().any(|c| c.id == id && matches!(c.outcome, Outcome::Ok { .. }));
    let answers = [(SystemId::D365, "dynamics.user"), (SystemId::Campaign, "campaign.access")];
    if answers.iter().any(|(system, check)| needs.systems.contains(system) && !well(check)) {
        bench.skip(id, subject, "not all services answer");
        return;
    }
    let (sender, receiver) = mpsc::channel();
    let project = project.clone();
    // On a separate thread, which is abandoned when the time is over.
    std::thread::spawn(move || {
        let drift = metadata::connect(&project).and_then(|source| drift::of_group(source.as_ref(), group, &drift::tables_of(&plan)));
        // The receiver is gone when the time is over.
        let _ = sender.send(drift);
    });
    match receiver.recv_timeout(limit) {
        Err(_) => bench.fail(
            id,
            subject,
            format!("the services did not return their schemas within {} seconds", limit.as_secs()),
            "try again when the services are faster, or allow more time with `--timeout SECONDS`",
        ),
        Ok(Err(error)) => bench.warn(id, subject, format!("not compared: {error}"), "fix what fails below, then try again"),
        Ok(Ok(drift)) if drift.is_breaking() => bench.fail(
            id,
            subject,
            breaking(&drift),
            "`d365map schema diff` shows the lines; after they are changed, `d365map schema pull` updates the committed schemas",
        ),
        Ok(Ok(drift)) if drift.is_none() => bench.ok(id, subject, "every field that the mappings use is as committed"),
        Ok(Ok(drift)) => bench.ok(
            id,
            subject,
            format!("{} changed in the services without touching a mapping; `d365map schema diff` shows it", tables(drift.tables.len())),
        ),
    }
}

fn breaking(drift: &drift::Drift) -> String {
    let messages = drift.breaking.iter().map(|d| d.message.clone()).chain(drift.places.iter().cloned());
    let all: Vec<String> = messages.collect();
    let more = if all.len() > 3 { format!(", and {} more", all.len() - 3) } else { String::new() };
    format!("the services have changed in a way that breaks the mappings: {}{more}", all[..all.len().min(3)].join("; "))
}

fn tables(count: usize) -> String {
    if count == 1 { "one table has".to_owned() } else { format!("{count} tables have") }
}
