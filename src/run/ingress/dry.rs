//! A dry run: what would be written, found out without writing anything anywhere.
//!
//! Reads from where the flow stands, evaluates, and compares with what was last written. Neither the state nor a service is
//! changed; a delta link can be read as often as one likes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::reader::{evaluate, explained, removes};
use crate::connect::dataverse::{Link, PageRequest, Query, Row};
use crate::connect::{ConnectError, Trail};
use crate::eval::Evaluator;
use crate::plan::{ExecutionPlan, IngressFlow, Rejected};
use crate::run::counters::FlowCounters;
use crate::run::summary::RejectionSummary;
use crate::run::workflow::{self, Kind};
use crate::run::{Options, RunError, Services};
use crate::state::{Absence, Change, Comparison, Phase, Store};
use crate::time;

/// Records of each kind that are named; the counts are of all.
const EXAMPLES: usize = 10;

/// What a run would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryRun {
    /// By flow.
    pub flows: Vec<DryFlow>,
    /// By event block.
    pub events: Vec<crate::run::DryEvents>,
}

/// What a run would do in one flow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryFlow {
    /// The mapping.
    pub mapping: String,
    /// Whether everything would be read, or the changes since the last run.
    pub full_load: bool,
    /// Source records read.
    pub read: u64,
    /// Would be created.
    pub create: u64,
    /// Would be updated.
    pub update: u64,
    /// Would be deleted.
    pub delete: u64,
    /// Equal what was last written.
    pub unchanged: u64,
    /// Kept out by the filter.
    pub filtered_out: u64,
    /// Would be rejected.
    pub rejected: u64,
    /// How many records each target field would change in.
    pub changed_fields: BTreeMap<String, u64>,
    /// Some of the keys that would be created, updated, deleted.
    pub examples: Vec<DryExample>,
    /// Rejected records by line, field and code.
    pub rejections: Vec<RejectionSummary>,
    /// Operations of earlier runs that still wait and would be written too.
    pub waiting: u64,
}

/// One record that would be written.
#[derive(Clone, Debug, Serialize)]
pub struct DryExample {
    /// `create`, `update`, `delete`.
    pub operation: &'static str,
    /// The target's key.
    pub key: String,
    /// The fields that would change.
    pub fields: Vec<String>,
}

/// Finds out what a run would write. `store` is the state as it is, opened for reading; an empty one in memory where there
/// is none yet.
pub async fn dry_run(
    plan: &ExecutionPlan,
    services: &Services,
    store: &Store,
    options: &Options,
    stop: &CancellationToken,
) -> Result<DryRun, RunError> {
    crate::run::check_environment(services, store).await?;
    let mut result = DryRun::default();
    let flows = workflow::selected(plan, options.mappings.as_deref())?;
    for workflow in flows.iter().filter(|w| w.kind == Kind::Ingress) {
        let flow = &plan.ingress[workflow.index];
        result.flows.push(dry_flow(plan, flow, services, store, options, stop).await?);
    }
    result.events = crate::run::events::dry_run(plan, &flows, services, store, options, stop).await?;
    Ok(result)
}

async fn dry_flow(
    plan: &ExecutionPlan,
    flow: &IngressFlow,
    services: &Services,
    store: &Store,
    options: &Options,
    stop: &CancellationToken,
) -> Result<DryFlow, RunError> {
    let evaluator = Evaluator::new(flow)?;
    let paths: Vec<Arc<str>> = flow.fields.iter().map(|f| f.path.join(".").into()).collect();
    let cursor = store.cursor(&flow.name)?.filter(|c| c.plan_fingerprint == flow.fingerprint());
    let full = cursor.as_ref().is_none_or(|c| c.phase == Phase::Full);
    let with_initial =
        cursor.as_ref().is_none_or(crate::state::Cursor::with_initial) && (cursor.is_some() || store.cursor(&flow.name)?.is_none());
    let mut dry = DryFlow { mapping: flow.name.clone(), full_load: full, waiting: store.backlog_size(&flow.name)?, ..DryFlow::default() };
    let rejections = FlowCounters::default();
    let first = || {
        PageRequest::First(Query {
            track_changes: flow.source.change_tracking,
            annotations: flow.source.annotations(),
            ..Query::of(flow.source.collection.clone(), flow.source.select(), options.page_size)
        })
    };
    let mut request = match cursor.as_ref().and_then(|c| c.link.clone()) {
        Some(link) => PageRequest::Follow { link: Link::from(link), page_size: options.page_size },
        None => first(),
    };
    let mut trail = Trail::default();
    loop {
        if stop.is_cancelled() {
            return Ok(dry);
        }
        let fetched = services.dataverse.page(&request).await;
        let page = match fetched.and_then(|page| page.follow(&request, &mut trail).map(|()| page)) {
            Ok(page) => page,
            Err(ConnectError::DeltaExpired { .. }) if !dry.full_load => {
                dry = DryFlow { mapping: flow.name.clone(), full_load: true, waiting: dry.waiting, ..DryFlow::default() };
                request = first();
                trail = Trail::default();
                continue;
            }
            Err(error) => return Err(explained(flow, &request, error)),
        };
        for row in &page.rows {
            dry.read += 1;
            let change = match row {
                Row::Changed(record) => match evaluate(plan, flow, &evaluator, &paths, record.get(), time::now()) {
                    Ok(change) => change,
                    // With `rejected stop` a run would end here; a dry run tells of all such records.
                    Err(RunError::Rejected { place, source_id, code, message }) if flow.policy.rejected == Rejected::Stop => {
                        dry.rejected += 1;
                        rejections.reject(&place, "", code, &message, &source_id);
                        continue;
                    }
                    Err(RunError::Nameless { place, message }) => {
                        dry.rejected += 1;
                        rejections.reject(&place, "", "D904", &message, "a row without an id");
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                Row::Unusable { problem } => {
                    dry.rejected += 1;
                    rejections.reject(&plan.place(flow.at), "", "D904", problem, "a row without an id");
                    continue;
                }
                Row::Deleted { id, .. } => {
                    Change::Absent { source_id: id.to_string(), why: Absence::Deleted, remove: removes(flow, Absence::Deleted) }
                }
            };
            note(&mut dry, &rejections, store, flow, change, with_initial)?;
        }
        match page.next {
            Some(link) => request = PageRequest::Follow { link, page_size: options.page_size },
            None => break,
        }
    }
    dry.rejections = rejections.rejections();
    Ok(dry)
}

fn note(
    dry: &mut DryFlow,
    rejections: &FlowCounters,
    store: &Store,
    flow: &IngressFlow,
    change: Change,
    with_initial: bool,
) -> Result<(), RunError> {
    let mut example = |operation, key: &str, fields: Vec<String>| {
        if dry.examples.iter().filter(|e| e.operation == operation).count() < EXAMPLES {
            dry.examples.push(DryExample { operation, key: key.to_owned(), fields });
        }
    };
    // As a run takes it in: not at all.
    if !matches!(change, Change::Absent { .. }) && store.is_forgotten(change.source_id())? {
        return Ok(());
    }
    match change {
        Change::Upsert { key, payload, .. } => match store.compare(&flow.name, &key, &payload, with_initial)? {
            Comparison::New => {
                example("create", &key, Vec::new());
                dry.create += 1;
            }
            Comparison::Changed(fields) => {
                example("update", &key, fields.clone());
                dry.update += 1;
                fields.into_iter().for_each(|f| *dry.changed_fields.entry(f).or_default() += 1);
            }
            Comparison::Unchanged => dry.unchanged += 1,
        },
        Change::Absent { source_id, why, remove } => {
            if remove {
                for key in store.keys_of(&flow.name, &source_id)? {
                    example("delete", &key, Vec::new());
                    dry.delete += 1;
                }
            }
            dry.filtered_out += u64::from(why == Absence::FilteredOut);
        }
        Change::Reject { source_id, failure, .. } => {
            dry.rejected += 1;
            let at = failure.place.as_ref().map(|p| format!("{}:{}:{}", p.file, p.line, p.column)).unwrap_or_default();
            rejections.reject(&at, failure.field.as_deref().unwrap_or_default(), &failure.code, &failure.message, &source_id);
        }
    }
    Ok(())
}

impl DryFlow {
    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let what = if self.full_load { "everything" } else { "the changes since the last run" };
        let _ = writeln!(out, "{}: would read {what}: {} record{}", self.mapping, self.read, if self.read == 1 { "" } else { "s" });
        let _ = writeln!(out, "  + create     {:>8}", self.create);
        let _ = writeln!(out, "  ~ update     {:>8}", self.update);
        let _ = writeln!(out, "  - delete     {:>8}", self.delete);
        let _ = writeln!(out, "    unchanged  {:>8}", self.unchanged);
        let _ = writeln!(out, "    filtered   {:>8}", self.filtered_out);
        let _ = writeln!(out, "    rejected   {:>8}", self.rejected);
        for r in &self.rejections {
            let _ = writeln!(
                out,
                "      {} {}: {} ({}) {} record{}, such as {}",
                r.place,
                r.field,
                r.message,
                r.code,
                r.count,
                if r.count == 1 { "" } else { "s" },
                r.example
            );
        }
        if self.waiting > 0 {
            let _ = writeln!(out, "    waiting    {:>8}   operations of earlier runs", self.waiting);
        }
        for e in &self.examples {
            let sign = match e.operation {
                "create" => '+',
                "delete" => '-',
                _ => '~',
            };
            let _ = writeln!(out, "  {sign} {} {}", e.key, e.fields.join(", "));
        }
        out
    }
}
