//! A dry run of a two-way mapping: what would be written on both sides, found out without changing anything.
//!
//! The round of a run works on a copy of the state and on two systems whose writes stay in memory (`rehearsal.rs`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::reader::{self, Part};
use super::rehearsal::{Change, Operation, Rehearsal};
use super::work::{BUSY, CLAIM_PER_CALL};
use super::{Shared, System};
use crate::count::counted;
use crate::engine::events::Emitter;
use crate::engine::pump::Handler;
use crate::plan::{ExecutionPlan, TwoWayFlow};
use crate::printable::inline;
use crate::run::counters::FlowCounters;
use crate::run::summary::RejectionSummary;
use crate::run::{Context, Options, RunError, Services};
use crate::store::{PairSide, RunKind, Stores};

/// Records of each table and operation that are named; the counts are of all.
const EXAMPLES: usize = 10;

/// What a run would do in a two-way mapping.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryPairs {
    /// The mapping.
    pub mapping: String,
    /// The name under which the state has it, if it was renamed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Whether everything would be read, or the changes since the last run.
    pub full_load: bool,
    /// Records read on both sides.
    pub read: u64,
    /// What would be written, by table.
    pub tables: BTreeMap<String, DryTable>,
    /// Pairs and records that are in step.
    pub unchanged: u64,
    /// Records that take no part.
    pub filtered_out: u64,
    /// Pairs that would become dead letters.
    pub failed: u64,
    /// Pairs that a service did not answer about; a run would try again.
    pub postponed: u64,
    /// Pairs of earlier runs that wait.
    pub waiting: u64,
    /// Some of the records that would be written.
    pub examples: Vec<DryPairExample>,
    /// Dead letters by line, field and code.
    pub rejections: Vec<RejectionSummary>,
}

/// What would be written to a table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryTable {
    /// Records that would be created.
    pub create: u64,
    /// Records that would be updated, each counted once for each write.
    pub update: u64,
    /// Rows of lists that would be deleted.
    pub delete: u64,
    /// How many updates would write each property.
    pub changed_fields: BTreeMap<String, u64>,
}

/// A record that would be written.
#[derive(Clone, Debug, Serialize)]
pub struct DryPairExample {
    /// `create`, `update`, `delete`.
    pub operation: &'static str,
    /// The table.
    pub table: String,
    /// The record's id; of one that would be created, the key that it would get.
    pub key: String,
    /// The properties that would be written.
    pub fields: Vec<String>,
}

/// Finds out what a run would write. `copy` is a copy of what the state has of the mapping.
///
/// # Errors
/// [`RunError`], as a run would end with it.
pub(in crate::run) async fn dry_run(
    plan: &Arc<ExecutionPlan>,
    index: usize,
    services: &Services,
    copy: Stores,
    options: &Options,
    stop: &CancellationToken,
) -> Result<DryPairs, RunError> {
    let Some(flow) = plan.two_way.get(index) else { return Ok(DryPairs::default()) };
    let name = &flow.name;
    let (run, _) = copy.runs.start_run(RunKind::Once, std::slice::from_ref(name), Duration::ZERO).await?;
    let waiting = copy.outbox.backlog_size(name).await?;
    let counters = Arc::new(FlowCounters::default());
    let context = Context {
        plan: plan.clone(),
        services: services.clone(),
        stores: copy,
        run,
        options: options.clone(),
        stop: stop.child_token(),
        events: Emitter::to(counters.clone()),
        memory: options.memories.workflow(name),
    };
    let mut shared = Shared::new(context, index).await?;
    let (left, right) = (rehearsed(flow, &mut shared.left), rehearsed(flow, &mut shared.right));
    let fingerprint = shared.fingerprint();
    let full_load = shared.context.stores.pairs.pair_cursor(name, PairSide::Left, &fingerprint).await?.is_none();
    let shared = Arc::new(shared);
    for part in Part::all(flow) {
        reader::read(&shared, part).await?;
    }
    let postponed = work(&shared).await?;
    let mut dry = DryPairs {
        mapping: name.clone(),
        full_load,
        read: counters.read.get(),
        unchanged: counters.unchanged.get(),
        filtered_out: counters.filtered_out.get(),
        failed: counters.failed.get(),
        postponed,
        waiting,
        rejections: counters.rejections(),
        ..DryPairs::default()
    };
    left.changes().into_iter().chain(right.changes()).for_each(|change| dry.note(change));
    Ok(dry)
}

/// Works on what can be done now, without waiting for what is postponed. Returns how many pairs are postponed.
async fn work(shared: &Arc<Shared>) -> Result<u64, RunError> {
    let context = &shared.context;
    let at_once = context.options.concurrency.max(1);
    let (pairs, fields) = (&context.stores.pairs, &shared.fields.names);
    while !context.stop.is_cancelled() {
        // What another worker had in its hands was settled with the workers before.
        let now = context.now() + BUSY;
        let mut claimed = pairs.claim_pairs(context.run, shared.name(), fields, at_once * CLAIM_PER_CALL, now).await?.into_iter();
        let mut workers = JoinSet::new();
        let mut ends = Vec::new();
        loop {
            while workers.len() < at_once
                && let Some(pair) = claimed.next()
            {
                workers.spawn(shared.clone().carry_out(pair));
            }
            let Some(outcome) = workers.join_next().await else { break };
            let outcome = outcome??;
            if let Some(error) = outcome.end {
                return Err(error);
            }
            ends.extend(outcome.answers);
        }
        if ends.is_empty() {
            break;
        }
        pairs.settle_pairs(context.run, shared.name(), fields, ends).await?;
    }
    Ok(context.stores.outbox.backlog_size(shared.name()).await?)
}

/// Lets a system rehearse.
fn rehearsed(flow: &TwoWayFlow, system: &mut System) -> Arc<Rehearsal> {
    let rehearsal = Rehearsal::of(flow, system.source.clone(), system.target.clone());
    (system.source, system.target) = (rehearsal.clone(), rehearsal.clone());
    rehearsal
}

impl DryPairs {
    fn note(&mut self, change: Change) {
        let table = self.tables.entry(change.table.clone()).or_default();
        let operation = match change.operation {
            Operation::Create => {
                table.create += 1;
                "create"
            }
            Operation::Update => {
                table.update += 1;
                change.fields.iter().for_each(|field| *table.changed_fields.entry(field.clone()).or_default() += 1);
                "update"
            }
            Operation::Delete => {
                table.delete += 1;
                "delete"
            }
        };
        let Change { table, key, fields, .. } = change;
        let alike = |example: &&DryPairExample| example.operation == operation && example.table == table;
        if self.examples.iter().filter(alike).count() < EXAMPLES {
            let fields = if operation == "update" { fields } else { Vec::new() };
            self.examples.push(DryPairExample { operation, table, key, fields });
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        if let Some(before) = &self.renamed_from {
            let _ = writeln!(out, "{}: would continue with the state of `{before}`, its earlier name", self.mapping);
        }
        let what = if self.full_load { "everything" } else { "the changes since the last run" };
        let _ = writeln!(out, "{}: would read {what}: {}", self.mapping, counted(self.read, "record"));
        for (name, table) in &self.tables {
            let _ = writeln!(out, "  {name}");
            let counts = [("+ create", table.create), ("~ update", table.update), ("- delete", table.delete)];
            for (operation, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                let _ = writeln!(out, "    {operation}   {count:>8}");
            }
        }
        let _ = writeln!(out, "    unchanged  {:>8}", self.unchanged);
        let _ = writeln!(out, "    filtered   {:>8}", self.filtered_out);
        let _ = writeln!(out, "    dead letter{:>8}", self.failed);
        self.rejections.iter().for_each(|r| out.push_str(&format!("      {r}\n")));
        if self.postponed > 0 {
            let _ = writeln!(out, "    postponed  {:>8}   a service did not answer as expected; a run tries again", self.postponed);
        }
        if self.waiting > 0 {
            let _ = writeln!(out, "    waiting    {:>8}   from earlier runs", self.waiting);
        }
        for example in &self.examples {
            let sign = match example.operation {
                "create" => '+',
                "delete" => '-',
                _ => '~',
            };
            let line = format!("  {sign} {} {} {}", example.table, inline(&example.key), example.fields.join(", "));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}
