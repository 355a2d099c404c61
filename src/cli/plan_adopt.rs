//! `d365map plan --adopt`: which records of the target a run would take over.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{print, print_json};
use super::signals::stop_on_signals;
use super::{Exit, Global};
use crate::app::{CommandError, files, options, runtime, services, state};
use crate::count::counted;
use crate::plan::ExecutionPlan;
use crate::printable::inline;
use crate::run::{DryAdoption, DryFlow, Pace, dry_run_of_adoptions};

/// Searches, and prints what was found.
pub(super) fn run(plan: ExecutionPlan, json: bool, values: bool, global: &Global) -> Result<Exit, CommandError> {
    let names: Vec<String> = plan.ingress.iter().filter(|flow| !flow.adopt.is_empty()).map(|flow| flow.name.clone()).collect();
    if names.is_empty() {
        return Err(CommandError::usage("no mapping has an `adopt` line").hint("write one after the key, such as `adopt by email`"));
    }
    let project = files::project(global.project.as_deref())?.ok_or_else(|| CommandError::from(files::FilesError::NoProject))?;
    let plan = Arc::new(plan);
    let options = options::of_project(&project, Pace::Once, names.clone());
    let (http, clients) = services::of_plan(&project, &plan, Some(&names), None)?;
    let mut flows = runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        let stores = state::open_or_empty(&project).await?;
        Ok::<_, CommandError>(dry_run_of_adoptions(&plan, &clients, &stores, &options, &stop).await?)
    })?;
    if !values {
        flows.iter_mut().flat_map(|flow| &mut flow.adoptions).for_each(|adoption| adoption.value = None);
    }
    if json {
        print_json(&format!("{}\n", serde_json::json!({"version": 1, "adopt": flows.iter().map(document).collect::<Vec<_>>()})));
    } else {
        print(&flows.iter().map(describe).collect::<String>());
        say!("nothing was written; `d365map run` does it ({})", http.stats());
    }
    let ambiguous = flows.iter().any(|flow| flow.ambiguous.unwrap_or(0) > 0);
    Ok(if ambiguous { Exit::Findings } else { Exit::Clean })
}

fn document(flow: &DryFlow) -> serde_json::Value {
    json!({
        "mapping": flow.mapping,
        "read": flow.read,
        "adopt": flow.adopt,
        "create": flow.create,
        "ambiguous": flow.ambiguous,
        "rejected": flow.rejected,
        "records": flow.adoptions,
    })
}

fn describe(flow: &DryFlow) -> String {
    let (adopt, ambiguous) = (flow.adopt.unwrap_or(0), flow.ambiguous.unwrap_or(0));
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "{}: {} read", flow.mapping, counted(flow.read, "record"));
    let _ = writeln!(out, "  ~ adopt      {adopt:>8}   Campaign has one record without a key");
    let _ = writeln!(out, "  + create     {:>8}   Campaign has none", flow.create);
    let _ = writeln!(out, "  ! ambiguous  {ambiguous:>8}   Campaign has several: a run makes them dead letters");
    for DryAdoption { id, by, value, records, more } in &flow.adoptions {
        let sign = if *records == 1 && !more { '~' } else { '!' };
        let value = value.as_ref().map(|value| format!(" `{}`", inline(value))).unwrap_or_default();
        let count = match (*records, *more) {
            (1, false) => String::new(),
            (0, _) => ": too many records".to_owned(),
            (count, true) => format!(": more than {}", counted(count as u64, "record")),
            (count, false) => format!(": {}", counted(count as u64, "record")),
        };
        let _ = writeln!(out, "  {sign} {} by {by}{value}{count}", inline(id));
    }
    out
}
