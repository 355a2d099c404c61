//! `d365map serve`: watches projects, and shows and steers them in a browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::output::{note, print};
use super::signals::stop_on_signals;
use super::{Exit, Global};
use crate::app::{CommandError, server_runtime};
use crate::run::Clock;
use crate::serve::access::{Access, AccessConfig, AccessError};
use crate::serve::{RunnerOptions, Runners, Served, Site, answer_requests};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Projects: their folders, or their project files. Without one, the project here or in the folders above.
    #[arg(value_name = "PATH")]
    projects: Vec<PathBuf>,
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    listen: SocketAddr,
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
    let access = Access::new(AccessConfig::local(args.listen, Clock::default())).map_err(refused)?;
    let site = Arc::new(Site { projects, access: access.clone() });
    let runtime = server_runtime()?;
    let listening = |error| {
        CommandError::usage(format!("{} cannot be used: {error}", args.listen)).hint("choose another port: `--listen 127.0.0.1:8071`")
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind(args.listen)).map_err(listening)?;
    let port = listener.local_addr().map_err(listening)?.port();
    let stop = CancellationToken::new();
    runtime.block_on(async { stop_on_signals(stop.clone()) });
    let options = RunnerOptions { ignore_drift: args.ignore_drift, ignore_limits: args.ignore_limits };
    let runners = Runners::start(site.projects.values().cloned(), &options, |_| Vec::new())?;
    print(&format!("open this link in a browser; it can be used once:\n  {}\n", access.link(port)));
    let served = runtime.block_on(answer_requests(listener, site, stop.clone()));
    stop.cancel();
    runners.end();
    served.map_err(CommandError::usage)?;
    note("stopped");
    Ok(Exit::Clean)
}

fn refused(error: AccessError) -> CommandError {
    let hint = error.hint();
    CommandError::usage(error).hint(hint)
}
