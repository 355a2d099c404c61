//! The integration's documented limits on how much is read at once, held before a run begins.

use std::collections::{BTreeMap, BTreeSet};

use super::error::LimitError;
use super::{AppError, runtime, services, state};
use crate::count::{counted, grouped};
use crate::plan::{ExecutionPlan, IngressFlow};
use crate::project::Project;
use crate::store::{Phase, Reason, StoreError};

/// A replay is refused while the backlog or the table has as many records (the vendor's documentation of the integration).
const REPLAY: u64 = 2_000_000;
/// An initial load is refused where the tables have more records together (the same).
const INITIAL: u64 = 15_000_000;

/// The logical name of a flow's table: `contact` of `d365.contact`.
pub fn logical_name(flow: &IngressFlow) -> String {
    flow.source.name().to_owned()
}

/// What is known of a first load.
#[derive(Debug)]
pub enum FirstLoad {
    /// There is none, or it is within the limits.
    Fits,
    /// The service does not count: the load must not depend on that.
    Unknown(AppError),
}

/// How many records tables have, by their logical names, as Dataverse counted them in the last 24 hours.
///
/// # Errors
/// The service cannot be asked.
pub fn counts(project: &Project, tables: &BTreeSet<String>) -> Result<BTreeMap<String, u64>, AppError> {
    let http = services::http(project)?;
    let dataverse = services::dataverse(project, http)?;
    let tables: Vec<String> = tables.iter().cloned().collect();
    Ok(runtime()?.block_on(dataverse.total_records(&tables))?)
}

/// Refuses a replay of too many records.
///
/// # Errors
/// [`LimitError`], or the state cannot be read.
pub fn refuse_replay(project: &Project, flow: &IngressFlow) -> Result<(), AppError> {
    let backlog = runtime()?.block_on(async {
        match state::open_if_current(project).await? {
            Some(stores) => stores.outbox.backlog_size(&flow.name).await,
            None => Ok(0),
        }
    })?;
    if backlog >= REPLAY {
        let what = format!("the backlog of `{}` has {}", flow.name, counted(backlog, "operation"));
        return Err(LimitError::Replay { what, limit: REPLAY }.into());
    }
    let table = logical_name(flow);
    let counts = counts(project, &BTreeSet::from([table.clone()]))
        .map_err(|source| LimitError::ReplayUnknown { table: flow.source.table.clone(), source: Box::new(source) })?;
    let count = counts.get(&table).copied().unwrap_or_default();
    if count >= REPLAY {
        return Err(LimitError::Replay { what: format!("{} has {}", flow.source.table, counted(count, "record")), limit: REPLAY }.into());
    }
    Ok(())
}

/// Refuses a first load of too many records. Asks the service only if there is such a load.
///
/// # Errors
/// [`LimitError::Initial`], or the state cannot be read.
pub fn refuse_initial(project: &Project, plan: &ExecutionPlan, mappings: Option<&[String]>) -> Result<FirstLoad, AppError> {
    let tables = runtime()?.block_on(first_loads(project, plan, mappings))?;
    if tables.is_empty() {
        return Ok(FirstLoad::Fits);
    }
    let counts = match counts(project, &tables) {
        Ok(counts) => counts,
        Err(error) => return Ok(FirstLoad::Unknown(error)),
    };
    let records: u64 = counts.values().fold(0, |sum, n| sum.saturating_add(*n));
    if records <= INITIAL {
        return Ok(FirstLoad::Fits);
    }
    let tables: Vec<String> = counts.iter().map(|(table, count)| format!("{table} {}", grouped(*count))).collect();
    Err(LimitError::Initial { records, tables: tables.join(", "), limit: INITIAL }.into())
}

/// The tables that mappings read in full for the first time. A load that was interrupted may continue.
async fn first_loads(project: &Project, plan: &ExecutionPlan, mappings: Option<&[String]>) -> Result<BTreeSet<String>, StoreError> {
    let stores = state::open_if_current(project).await?;
    let mut tables = BTreeSet::new();
    for flow in plan.ingress.iter().filter(|f| mappings.is_none_or(|m| m.contains(&f.name))) {
        let cursor = match &stores {
            Some(stores) => stores.cursors.cursor(&flow.name).await?,
            None => None,
        };
        if cursor.is_none_or(|c| c.phase == Phase::Full && c.reason == Reason::First && c.link.is_none()) {
            tables.insert(logical_name(flow));
        }
    }
    Ok(tables)
}
