//! `d365map serve`: watches projects, and shows and steers them in a browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::output::{note, print};
use super::signals::stop_on_signals;
use super::{Exit, Global};
use crate::app::files::FilesError;
use crate::app::{CommandError, server_runtime};
use crate::project::Project;
use crate::run::Clock;
use crate::serve::access::{Access, AccessConfig, AccessError, ApiClient};
use crate::serve::{RunnerOptions, Runners, Served, Site, TlsFiles, TlsListener, answer_requests};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Projects: their folders, or their project files. Without one, the project here or in the folders above.
    #[arg(value_name = "PATH")]
    projects: Vec<PathBuf>,
    /// The address and port to listen on; port 0 takes a free one. Without it, `serve: listen:` of the first project, or 127.0.0.1:8070.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
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
    let access = Access::new(access_config(&project, listen)?).map_err(refused)?;
    let site = Arc::new(Site { projects, access: access.clone() });
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
    let stop = CancellationToken::new();
    runtime.block_on(async { stop_on_signals(stop.clone()) });
    let options = RunnerOptions { ignore_drift: args.ignore_drift, ignore_limits: args.ignore_limits };
    let runners = Runners::start(site.projects.values().cloned(), &options, |_| Vec::new())?;
    print(&format!("open this link in a browser; it can be used once:\n  {}\n", access.link(address.port())));
    let served = match listener {
        Listening::Plain(listener) => runtime.block_on(answer_requests(listener, site, stop.clone())),
        Listening::Tls(listener) => runtime.block_on(answer_requests(listener, site, stop.clone())),
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

/// Who may do what, from the first project; the secrets of API clients are fetched.
fn access_config(project: &Project, listen: SocketAddr) -> Result<AccessConfig, CommandError> {
    let serve = &project.serve;
    let mut clients = Vec::new();
    for client in &serve.clients {
        let token = client.token.resolve(&project.root).map_err(|error| CommandError::usage(error).context("serve.clients"))?;
        clients.push(ApiClient { name: client.name.clone(), token, role: client.role });
    }
    Ok(AccessConfig {
        public_url: serve.public_url.clone(),
        tls: serve.tls.is_some(),
        behind_proxy: serve.behind_proxy,
        clients,
        ..AccessConfig::local(listen, Clock::default())
    })
}

fn refused(error: AccessError) -> CommandError {
    let hint = error.hint();
    let error = CommandError::usage(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
