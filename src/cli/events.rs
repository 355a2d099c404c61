//! `d365map events repair KEY`: one contact's timeline, compared with Campaign's marketing history and made whole.

use std::sync::Arc;

use serde_json::json;

use super::output::{print, print_json};
use super::prepare::{Prepared, prepare};
use super::run::Format;
use super::{Exit, Global};
use crate::app::{CommandError, options, runtime, services, state};
use crate::count::counted;
use crate::run::{Pace, Repair, repair_events};
use crate::store::Access;

/// Arguments of `events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make the activities that marketing history has and a contact's timeline lacks.
    Repair {
        /// The contact's id, which is the profile's externalId.
        key: String,
        /// Only for these event blocks.
        #[arg(long = "mapping", value_name = "NAME")]
        mappings: Vec<String>,
        /// Say what is missing, and write nothing.
        #[arg(long)]
        dry_run: bool,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Does what was asked.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let Action::Repair { key, mappings, dry_run, format } = &args.action;
    let Prepared { project, plan, .. } = prepare(None, global)?;
    let options = options::of_project(&project, Pace::Once, mappings.clone());
    let repairs = runtime()?.block_on(async {
        let stores = state::open(&project, Access::Run).await?;
        let spent = services::spent_today(&stores).await?;
        let (_, services) = services::of_plan(&project, &plan, Some(&[]), Some(&spent))?;
        Ok::<_, CommandError>(repair_events(Arc::clone(&plan), services, stores, options, key, *dry_run).await?)
    })?;
    match format {
        Format::Human => print(&repairs.iter().map(|r| describe(r, *dry_run)).collect::<String>()),
        Format::Json => print_json(&format!("{}\n", json!({"version": 1, "dry_run": dry_run, "repairs": repairs}))),
    }
    let open = repairs.iter().any(|r| !r.profile || r.backlog > 0);
    Ok(if open { Exit::Findings } else { Exit::Clean })
}

fn describe(repair: &Repair, dry: bool) -> String {
    if !repair.profile {
        return format!("{}: Campaign has no profile of this key\n", repair.flow);
    }
    let history: Vec<String> = repair.history.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let history = if history.is_empty() { "nothing that is carried".to_owned() } else { history.join(", ") };
    let done = if dry { "would be made".to_owned() } else { format!("{} made", repair.created) };
    let mut out = format!("{}: history has {history}; on the timeline {}, missing {}, {done}\n", repair.flow, repair.there, repair.missing);
    if repair.passed_over > 0 {
        out.push_str(&format!("  skipped: {} of other types or of the last hour\n", counted(repair.passed_over, "entry")));
    }
    if repair.backlog > 0 {
        out.push_str(&format!("  {} waiting; run again\n", counted(repair.backlog, "event")));
    }
    out
}
