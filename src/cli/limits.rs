//! The integration's documented limits on how much is read at once, held before a run begins.

use std::collections::{BTreeMap, BTreeSet};

use super::services;
use crate::count::{counted, grouped};
use crate::diagnostics::Code;
use crate::plan::{ExecutionPlan, IngressFlow};
use crate::project::Project;
use crate::state::{Phase, Reason, StateError, Store};

/// A replay is refused while the backlog or the table has as many records (the vendor's documentation of the integration).
const REPLAY: u64 = 2_000_000;
/// An initial load is refused where the tables have more records together (the same).
const INITIAL: u64 = 15_000_000;

/// The logical name of a flow's table: `contact` of `d365.contact`.
pub fn logical_name(flow: &IngressFlow) -> String {
    flow.source.table.split_once('.').map_or(flow.source.table.as_str(), |(_, name)| name).to_owned()
}

/// How many records tables have, by their logical names, as Dataverse counted them in the last 24 hours.
///
/// # Errors
/// For people: why it cannot be asked.
pub fn counts(project: &Project, tables: &BTreeSet<String>) -> Result<BTreeMap<String, u64>, String> {
    let http = services::http(project)?;
    let dataverse = services::dataverse(project, http)?;
    let tables: Vec<String> = tables.iter().cloned().collect();
    super::run::runtime()?.block_on(dataverse.total_records(&tables)).map_err(|e| e.to_string())
}

/// Refuses a replay of too many records.
///
/// # Errors
/// For people: what is too much, or why it cannot be found out.
pub fn refuse_replay(project: &Project, flow: &IngressFlow) -> Result<(), String> {
    let backlog = match Store::open_read(&project.state).and_then(|s| s.backlog_size(&flow.name)) {
        Ok(backlog) => backlog,
        Err(StateError::NotFound { .. } | StateError::OlderFormat { .. }) => 0,
        Err(error) => return Err(error.to_string()),
    };
    let refused = |what: String| {
        let limit = grouped(REPLAY);
        format!(
            "{}: {what}; a replay is for less than {limit}. Nothing was changed. `d365map explain {}` says why; `--ignore-limits` replays all the same",
            Code::D705,
            Code::D705
        )
    };
    if backlog >= REPLAY {
        return Err(refused(format!("the backlog of `{}` has {}", flow.name, counted(backlog, "operation"))));
    }
    let table = logical_name(flow);
    let counts = counts(project, &BTreeSet::from([table.clone()])).map_err(|e| {
        format!("the number of records in {} was not found out: {e}\n`--ignore-limits` replays without asking", flow.source.table)
    })?;
    let count = counts.get(&table).copied().unwrap_or_default();
    if count >= REPLAY {
        return Err(refused(format!("{} has {}", flow.source.table, counted(count, "record"))));
    }
    Ok(())
}

/// Refuses an initial load of too many records. Asks only where there is one.
///
/// # Errors
/// For people: what is too much. That the service does not count is none: an initial load must not hang on that.
pub fn refuse_initial(project: &Project, plan: &ExecutionPlan, mappings: Option<&[String]>, quiet: bool) -> Result<(), String> {
    let store = match Store::open_read(&project.state) {
        Ok(store) => Some(store),
        Err(StateError::NotFound { .. } | StateError::OlderFormat { .. }) => None,
        Err(error) => return Err(error.to_string()),
    };
    let mut tables = BTreeSet::new();
    for flow in plan.ingress.iter().filter(|f| mappings.is_none_or(|m| m.contains(&f.name))) {
        let cursor = match &store {
            Some(store) => store.cursor(&flow.name).map_err(|e| e.to_string())?,
            None => None,
        };
        // One that was interrupted is let go on.
        if cursor.is_none_or(|c| c.phase == Phase::Full && c.reason == Reason::First && c.link.is_none()) {
            tables.insert(logical_name(flow));
        }
    }
    if tables.is_empty() {
        return Ok(());
    }
    let counts = match counts(project, &tables) {
        Ok(counts) => counts,
        Err(error) => {
            if !quiet {
                say!("warning: the number of records to load was not found out: {error}");
            }
            return Ok(());
        }
    };
    let sum: u64 = counts.values().fold(0, |sum, n| sum.saturating_add(*n));
    if sum <= INITIAL {
        return Ok(());
    }
    let of: Vec<String> = counts.iter().map(|(table, count)| format!("{table} {}", grouped(*count))).collect();
    Err(format!(
        "{}: {} records are to be loaded for the first time ({}), and the integration is for {} at most. Nothing was read. `d365map explain {}` says more; `--ignore-limits` loads all the same",
        Code::D706,
        grouped(sum),
        of.join(", "),
        grouped(INITIAL),
        Code::D706
    ))
}
