//! `d365map emulate`: the emulators by hand, until Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;

use super::{Exit, Global, emulated};
use crate::app::{CommandError, files, server_runtime};
use d365map_emulator::{self as emulator, Config, PartnerCenterConfig, PortError, Running};

/// Arguments of `emulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the services hold at the start: columns, keys, contacts, attributes, profiles (JSON); without it, the custom attributes
    /// and tables of activities of the shipped mappings and two profiles that are not the integration's.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// A folder in which the services' rows, definitions and history are kept over restarts; what it holds goes before seeds and
    /// samples.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Sample contacts to generate.
    #[arg(long, value_name = "N", default_value_t = 100)]
    contacts: usize,
    /// Seed of the sample data and of random failures.
    #[arg(long, value_name = "N", default_value_t = 1)]
    random_seed: u64,
    /// Added to every answer, as in 20ms.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// The share of requests that fail, 0.0 to 1.0.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    fail_rate: f64,
    /// Requests per second and user, above which the answer is 429.
    #[arg(long, value_name = "N")]
    throttle: Option<u32>,
    /// Service protection with the documented numbers: 6000 requests and 20 minutes of execution in 5 minutes, 52 requests at one
    /// time, per user and web server.
    #[arg(long, conflicts_with = "throttle")]
    service_protection: bool,
    /// Web servers of Dataverse, each with its own limits; a client that keeps the affinity cookie stays with one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    servers: u32,
    /// A certificate (PEM) registered for the integration's application, for tokens by assertion.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The address under which clients reach Dataverse, when a proxy in front of it ends TLS.
    #[arg(long, value_name = "URL", value_parser = public_url)]
    dataverse_public_url: Option<String>,
    /// How long access tokens live, as in 60s or 1h.
    #[arg(long, value_name = "TIME", default_value = "3599s", value_parser = duration)]
    token_lifetime: Duration,
    /// How long delta tokens live.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration)]
    delta_retention: Duration,
    /// The largest page of Dataverse.
    #[arg(long, value_name = "ROWS", default_value_t = 5000)]
    page_cap: usize,
    /// Listen at the ports of the project's connections, as far as they lead to this machine.
    #[arg(long)]
    project_ports: bool,
    /// Dataverse's port; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dataverse_port: u16,
    /// Campaign's port; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    campaign_port: u16,
    /// The journal's port; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    journal_port: u16,
    /// The admin interface's port; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    admin_port: u16,
    /// Start Partner Center too: referrals, webhooks and the sign-in service.
    #[arg(long)]
    partner_center: bool,
    /// The port of Partner Center's referrals API and of its sign-in service; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "partner_center")]
    referrals_port: u16,
    /// The port of Partner Center's webhooks API; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "partner_center")]
    webhooks_port: u16,
    /// The port from which Partner Center's signing certificate is fetched; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "partner_center")]
    certificates_port: u16,
    /// How the addresses are printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One line of JSON.
    Json,
}

/// Reads `20ms`, `1.5s`, `5m`, `1h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or("a time needs a unit: ms, s, m, h or d")?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(format!("`{unit}` is not a unit of time: use ms, s, m, h or d")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{number}` is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err("a share is a number from 0.0 to 1.0".to_owned()),
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err("an address without a path is needed, as in https://localhost:8443".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Runs the emulators until the process is asked to end.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let read = |path: &PathBuf| crate::disk::read_text(path, crate::disk::SMALL).map_err(|e| CommandError::file(path.display(), e));
    let certificate = args.certificate.as_ref().map(read).transpose()?;
    let project_ports = project_ports(args, global)?;
    let (seed_name, seed_text) = match &args.seed {
        None => ("sample".to_owned(), emulator::SAMPLE_SEED.to_owned()),
        Some(path) => {
            let failed = |error: std::io::Error| CommandError::usage(format!("the emulators cannot start: {}: {error}", path.display()));
            (path.display().to_string(), crate::disk::read_text(path, emulator::MAX_SEED_BYTES).map_err(failed)?)
        }
    };
    // A port that is given as an option has precedence.
    let port = |given: u16, project: u16| if given == 0 { project } else { given };
    let window = Duration::from_secs(300);
    let config = Config {
        service_protection: args.service_protection.then_some((6000, window)),
        max_execution: args.service_protection.then_some((Duration::from_secs(1200), window)),
        max_concurrency: args.service_protection.then_some(52),
        servers: args.servers,
        certificate,
        dataverse_public_url: args.dataverse_public_url.clone(),
        contacts: args.contacts,
        data: args.data.clone(),
        seed_text: Some(seed_text),
        seed_name,
        latency: args.latency,
        fail_rate: args.fail_rate,
        throttle: args.throttle,
        random_seed: args.random_seed,
        token_lifetime: args.token_lifetime,
        delta_retention: args.delta_retention,
        page_cap: args.page_cap,
        dataverse_port: port(args.dataverse_port, project_ports.dataverse),
        campaign_port: port(args.campaign_port, project_ports.campaign),
        journal_port: port(args.journal_port, project_ports.journal),
        admin_port: args.admin_port,
        partner_center: args.partner_center.then(|| PartnerCenterConfig {
            referrals_port: args.referrals_port,
            webhooks_port: args.webhooks_port,
            certificates_port: args.certificates_port,
            ..PartnerCenterConfig::default()
        }),
        ..Config::default()
    };
    server_runtime()?.block_on(async {
        let failed = |error: std::io::Error| {
            let text = format!("the emulators cannot start: {error}{}", other_port(&error, args));
            CommandError::usage(text)
        };
        let running = emulator::start(config).await.map_err(failed)?;
        // The reader of the line may be gone; that is not a reason to stop.
        let _ = print(&running, args.format, global.quiet);
        ended().await;
        running.stop().await;
        Ok(Exit::Clean)
    })
}

fn print(running: &Running, format: Format, quiet: bool) -> std::io::Result<()> {
    let credentials = running.credentials();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let client = |client: &emulator::Client| json!({"client_id": client.id, "client_secret": client.secret});
            let mut line = json!({
                "dataverse": {"url": running.dataverse_url(), "listen": running.dataverse_listen(), "token_url": running.dataverse_token_url(), "tenant": credentials.tenant,
                    "client_id": credentials.dataverse.id, "client_secret": credentials.dataverse.secret, "other": client(&credentials.dataverse_other)},
                "campaign": {"url": running.campaign_url(), "token_url": running.campaign_token_url(), "organization": credentials.organization,
                    "client_id": credentials.campaign.id, "client_secret": credentials.campaign.secret, "scope": credentials.campaign_scope},
                "journal": {"url": running.journal_url(), "ims_organization": credentials.campaign_account.organization},
                "admin": {"url": running.admin_url()},
            });
            if let (Some(url), Some(webhooks), Some(authority)) =
                (running.referrals_url(), running.webhooks_url(), running.partner_authority_url())
            {
                let people = &credentials.partner;
                let user = |user: &emulator::PartnerUser| json!({"name": user.name, "password": user.password});
                let root = running.partner_root_certificate();
                line["partner"] = json!({"root_certificate": root, "certificates_url": running.partner_certificates_url(), "url": url, "webhooks_url": webhooks, "authority": authority, "tenant": people.tenant,
                    "public_client_id": people.public_client, "client_id": people.client, "client_secret": people.client_secret,
                    "admin": user(&people.admin), "user": user(&people.user)});
            }
            writeln!(out, "{line}")?;
        }
        // The whole output is valid in a project file.
        Format::Human => {
            write!(out, "{}", emulated::connections(running, emulated::IN_ENVIRONMENT))?;
            write!(out, "{}", emulated::partner_center(running).unwrap_or_default())?;
            writeln!(out, "# export D365MAP_DYNAMICS_SECRET={}", credentials.dataverse.secret)?;
            writeln!(out, "# export D365MAP_CAMPAIGN_SECRET={}", credentials.campaign.secret)?;
            writeln!(out, "# Web API: {}/api/data/v9.2/", running.dataverse_url())?;
            writeln!(out, "# Campaign: {}/campaign/", running.campaign_url())?;
            if let Some(url) = running.referrals_url() {
                writeln!(out, "# Partner Center: {url}/v1.0/engagements/referrals")?;
            }
            writeln!(out, "# Admin interface: {}", running.admin_url())?;
            if !quiet {
                writeln!(
                    out,
                    "# Paste the section `connections` into d365map.yaml, and set the two variables in the terminal of `d365map run`."
                )?;
                writeln!(out, "# The secrets belong to the emulators and give access to nothing else. Press Ctrl-C to quit.")?;
            }
        }
    }
    out.flush()
}

/// What to do about a port that another program uses: the option that sets it, or the line of the project file that it comes from.
fn other_port(error: &std::io::Error, args: &Args) -> String {
    let Some(PortError { service, .. }) = error.get_ref().and_then(|inner| inner.downcast_ref()) else { return String::new() };
    let (option, given, key) = match *service {
        "Dataverse" => ("--dataverse-port", args.dataverse_port, "connections.dynamics.url"),
        "Campaign" => ("--campaign-port", args.campaign_port, "connections.campaign.url"),
        "the journal" => ("--journal-port", args.journal_port, "connections.campaign.journal.url"),
        "the referrals API" => ("--referrals-port", args.referrals_port, ""),
        "the webhooks API" => ("--webhooks-port", args.webhooks_port, ""),
        "the certificates" => ("--certificates-port", args.certificates_port, ""),
        _ => ("--admin-port", args.admin_port, ""),
    };
    if given == 0 && args.project_ports && !key.is_empty() {
        return format!(". It is the port of `{key}` in the project file: stop the program that uses it, or change the port there");
    }
    format!(". Choose another port with `{option} PORT`, or leave the option out for a free one")
}

/// The ports that `--project-ports` asks for; 0 without it.
fn project_ports(args: &Args, global: &Global) -> Result<emulated::Ports, CommandError> {
    if !args.project_ports {
        return Ok(emulated::Ports::default());
    }
    let project = files::project(global.project.as_deref())?;
    let ports = project.as_ref().map(emulated::Ports::of).unwrap_or_default();
    if ports == emulated::Ports::default() {
        return Err(CommandError::usage(
            "--project-ports needs a project whose connections lead to this machine, such as http://127.0.0.1:8365. \
             Make one with `d365map init --emulated`",
        ));
    }
    Ok(ports)
}

/// Waits for Ctrl-C or a request to terminate.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_no_path() {
        assert_eq!(public_url("https://localhost:8443/"), Ok("https://localhost:8443".to_owned()));
        assert!(public_url("https://localhost/api").is_err() && public_url("ftp://localhost").is_err() && public_url("localhost").is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_option_that_sets_it() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        for (service, option, key) in [
            ("Dataverse", "--dataverse-port", "`connections.dynamics.url`"),
            ("Campaign", "--campaign-port", "`connections.campaign.url`"),
            ("the journal", "--journal-port", "`connections.campaign.journal.url`"),
            ("the referrals API", "--referrals-port", ""),
            ("the webhooks API", "--webhooks-port", ""),
            ("the certificates", "--certificates-port", ""),
            ("the admin interface", "--admin-port", ""),
        ] {
            let mut config = Config::default();
            match service {
                "Dataverse" => config.dataverse_port = port,
                "Campaign" => config.campaign_port = port,
                "the journal" => config.journal_port = port,
                "the referrals API" => {
                    config.partner_center = Some(PartnerCenterConfig { referrals_port: port, ..PartnerCenterConfig::default() });
                }
                "the webhooks API" => {
                    config.partner_center = Some(PartnerCenterConfig { webhooks_port: port, ..PartnerCenterConfig::default() });
                }
                "the certificates" => {
                    config.partner_center = Some(PartnerCenterConfig { certificates_port: port, ..PartnerCenterConfig::default() });
                }
                _ => config.admin_port = port,
            }
            let error = emulator::start(config).await.err().unwrap();
            assert!(error.to_string().contains(&format!("port {port} for {service} cannot be used")), "{error}");
            let args = |line: &[&str]| Line::parse_from([&["emulate", "--partner-center"], line].concat()).args;
            let number = port.to_string();
            assert!(other_port(&error, &args(&[option, &number])).contains(&format!("`{option} PORT`")), "{service}");
            let of_project = other_port(&error, &args(&["--project-ports"]));
            assert!(of_project.contains(if key.is_empty() { option } else { key }), "{of_project}");
        }
        assert_eq!(other_port(&std::io::Error::other("x"), &Line::parse_from(["emulate"]).args), "");
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert!(duration("20").is_err() && duration("5 parsecs").is_err() && duration("-1s").is_err());
    }
}
