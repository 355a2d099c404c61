//! `d365map serve`: watches projects, and shows and steers them in a browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::output::{note, print};
use super::signals::{reload_on_hangup, stop_on_signals};
use super::{Exit, Global};
use crate::app::files::FilesError;
use crate::app::{CommandError, server_runtime, service_manager};
use crate::project::Project;
use crate::run::Clock;
use crate::serve::access::{Access, AccessConfig, AccessError, Auditor};
use crate::serve::{RunnerOptions, Runners, Served, Site, TlsFiles, TlsListener, answer_requests};
use crate::store::Audit;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Projects: their folders, or their project files. Without one, the project here or in the folders above.
    #[arg(value_name = "PATH")]
    projects: Vec<PathBuf>,
    /// The address and port to listen on; port 0 takes a free one. Without it, `serve: listen:` of the first project, or 127.0.0.1:8070.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A proxy in front speaks https and adds X-Forwarded-For, as with `serve: behind-proxy: true`.
    #[arg(long)]
    behind_proxy: bool,
    /// Start even where the services have changed in a way that breaks the mappings. Records may fail or be written wrongly.
    #[arg(long)]
    ignore_drift: bool,
    /// Load more than 15,000,000 records for the first time too.
    #[arg(long)]
    ignore_limits: bool,
}

/// Serves until it is stopped.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let paths = match (args.projects.as_slice(), &global.project) {
        ([], project) => vec![crate::app::files::need_project(project.as_deref())?.root],
        (paths, None) => paths.to_vec(),
        (_, Some(_)) => return Err(CommandError::usage("name the projects either as arguments or by `--project`, not both")),
    };
    let projects = Served::load(&paths).map_err(CommandError::usage)?;
    // What concerns all projects is in the file of the first.
    let first = paths.first().and_then(|path| Project::find(path, Some(path)).transpose()).transpose().map_err(CommandError::usage)?;
    let project = first.ok_or(FilesError::NoProject)?;
    let listen = args.listen.unwrap_or(project.serve.listen);
    let access = access(args, &project, &projects, listen).map_err(refused)?;
    let stop = CancellationToken::new();
    let site = Arc::new(Site { projects, access: access.clone(), metrics: Arc::default(), stop: stop.clone() });
    let runtime = server_runtime()?;
    let listening =
        |error| CommandError::usage(format!("{listen} cannot be used: {error}")).hint("choose another port: `--listen 127.0.0.1:8071`");
    let listener = runtime.block_on(tokio::net::TcpListener::bind(listen)).map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let tls = project.serve.tls.as_ref().map(|tls| TlsFiles {
        root: project.root.clone(),
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
    });
    let listener = match tls {
        Some(files) => Listening::Tls(runtime.block_on(async { TlsListener::new(listener, address, files) }).map_err(CommandError::usage)?),
        None => Listening::Plain(listener),
    };
    let _watchdog = runtime.block_on(async {
        stop_on_signals(stop.clone());
        reload_on_hangup(site.clone(), |site| site.projects.values().for_each(|served| served.reload()));
        service_manager::feed_watchdog()
    });
    let options = RunnerOptions { ignore_drift: args.ignore_drift, ignore_limits: args.ignore_limits };
    let runners = Runners::start(site.projects.values().cloned(), &options, &site.metrics)?;
    runtime.spawn(links_on_request(access.clone(), address.port()));
    // With a service to sign in with, the link is for emergencies: it does not end in the logs of the system at each start.
    match &project.serve.public_url {
        Some(url) if access.has_service() => print(&format!("{url}\n")),
        _ => print(&link_text(&access, address.port())),
    }
    service_manager::ready();
    let served = match listener {
        Listening::Plain(listener) => runtime.block_on(answer_requests(listener, site)),
        Listening::Tls(listener) => runtime.block_on(answer_requests(listener, site)),
    };
    stop.cancel();
    runners.end();
    served.map_err(CommandError::usage)?;
    note("stopped");
    Ok(Exit::Clean)
}

/// A listener, with TLS or without it.
enum Listening {
    Plain(tokio::net::TcpListener),
    Tls(TlsListener),
}

/// Who may do what, from the first project; the secrets are fetched.
fn access(args: &Args, project: &Project, projects: &BTreeMap<String, Arc<Served>>, listen: SocketAddr) -> Result<Access, AccessError> {
    let clock = Clock::default();
    let config = AccessConfig::of_project(&project.serve, &project.root, clock.clone())?;
    let logs = projects.iter().map(|(name, served)| (name.clone(), served.clone() as Arc<dyn Audit>));
    let auditor = Auditor::new(clock, logs);
    Access::new(AccessConfig { listen, behind_proxy: config.behind_proxy || args.behind_proxy, auditor, ..config })
}

/// Prints a new link whenever the process gets the signal USR1.
#[cfg(unix)]
async fn links_on_request(access: Access, port: u16) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut requests) = signal(SignalKind::user_defined1()) else { return };
    while requests.recv().await.is_some() {
        print(&link_text(&access, port));
    }
}

#[cfg(not(unix))]
async fn links_on_request(_: Access, _: u16) {}

fn link_text(access: &Access, port: u16) -> String {
    format!("open this link in a browser on this machine; it can be used once, and for 15 minutes:\n  {}\n", access.link(port))
}

fn refused(error: AccessError) -> CommandError {
    let hint = error.hint();
    let error = CommandError::usage(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
