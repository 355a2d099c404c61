//! A dry run of a mapping: what would be written, found out without changing anything.
//!
//! Reads on from where the workflow is, into a copy of its state, by the code of the run; so deletions at the end of a full load,
//! the guard against mass changes, and renamed mappings come out as in a run. Neither the state nor a service is changed; a delta
//! link can be read any number of times.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::adopt_dry::{DryAdoption, Searches};
use super::due;
use super::paging::{AT_ONCE, explained};
use super::reader::{Evaluation, Rows, after_page, compared_before, must_restart, note_rejections, request};
use super::related::{Following, RelatedValues};
use crate::connect::{ConnectError, Trail};
use crate::count::counted;
use crate::engine::events::Emitter;
use crate::eval::Evaluator;
use crate::plan::{ExecutionPlan, IngressFlow, Policy, Rejected};
use crate::printable::inline;
use crate::run::counters::FlowCounters;
use crate::run::summary::RejectionSummary;
use crate::run::{Options, RunError, Services};
use crate::store::{Comparison, DueCommit, Judged, MassChange, PageCommit, PageOutcome, Phase, QueuedChange, Reason, RunKind, Stores};
use std::sync::Arc;

/// Records of each kind that are named; the counts are of all.
const EXAMPLES: usize = 10;

/// What a run would do in one flow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DryFlow {
    /// The mapping.
    pub mapping: String,
    /// The name under which the state has it, if it was renamed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Whether everything would be read, or the changes since the last run.
    pub full_load: bool,
    /// Source records read.
    pub read: u64,
    /// Of them, records that were not changed: the answer of the filter has changed because time has passed, or a record that they point to
    /// has changed.
    pub due: u64,
    /// Would be created.
    pub create: u64,
    /// Would be adopted: the target has the record already, without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<u64>,
    /// Would become dead letters, since several records could be adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambiguous: Option<u64>,
    /// What would be adopted or is ambiguous; some of it, unless all was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adoptions: Vec<DryAdoption>,
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
    /// Changes that would be held until they are approved, and are not among those above. None of them would be written.
    pub held: u64,
    /// Why they would be held: what they would do. Its counts are of records.
    pub mass_change: Option<MassChange>,
    /// They are held already: nothing would be read until they are approved.
    pub held_already: bool,
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

/// Reads a round into a copy of the flow's state.
pub(in crate::run) async fn dry_flow(
    plan: &ExecutionPlan,
    flow: &IngressFlow,
    services: &Services,
    copy: &Stores,
    options: &Options,
    stop: &CancellationToken,
    listed: usize,
) -> Result<DryFlow, RunError> {
    let (name, fingerprint) = (&flow.name, flow.fingerprint());
    let source = services.source(flow)?;
    let (run, _) = copy.runs.start_run(RunKind::Once, std::slice::from_ref(name), Duration::ZERO).await?;
    let key = flow.key_identity();
    if let Some(before) = copy.cursors.note_key_attribute(name, &key).await? {
        return Err(RunError::KeyChanged { name: name.clone(), before, now: key });
    }
    let waiting = copy.outbox.backlog_size(name).await?;
    copy.control.take_replay(name, &fingerprint).await?;
    let mut cursor = copy.cursors.cursor_or_first(name, &fingerprint).await?;
    if must_restart(flow, &*source, &cursor, &fingerprint).is_some() {
        cursor = copy.cursors.restart(name, Reason::Resync, &fingerprint).await?;
    }
    let mut dry = DryFlow { mapping: name.clone(), full_load: cursor.phase == Phase::Full, waiting, ..DryFlow::default() };
    if let Some(change) = copy.outbox.mass_change(name).await? {
        (dry.held, dry.mass_change, dry.held_already) = (copy.previews.held_changes(name).await?, Some(change), true);
        return Ok(dry);
    }
    let now = options.clock.now();
    if let Some(before) = compared_before(flow, now)
        && copy.cursors.begin_comparison(name, &fingerprint, before).await?
    {
        cursor = copy.cursors.cursor_or_first(name, &fingerprint).await?;
        dry.full_load = true;
    }
    // With `rejected stop` a run would end at the first record that is rejected; a dry run tells of all.
    let flow = &IngressFlow { policy: Policy { rejected: Rejected::DeadLetter, ..flow.policy }, ..flow.clone() };
    let evaluator = Evaluator::new(flow)?;
    let following = Following { flow, source: &*source, stores: copy, options, stop };
    if dry.full_load && flow.policy.reconcile.is_some() {
        following.restart().await?;
    }
    following.follow(now).await?;
    let mut searches = match flow.adopt.is_empty() {
        true => None,
        false => Some(Searches::new(flow, services.target(flow)?, options.concurrency, listed)),
    };
    let since = copy.previews.last_change().await?;
    let (mut counters, mut trail, mut unnamed) = (Arc::new(FlowCounters::default()), Trail::default(), false);
    loop {
        if stop.is_cancelled() {
            break;
        }
        let request = request(flow, &*source, cursor.link.as_ref(), options.page_size);
        let fetched = source.page(&request).await;
        let page = match fetched.and_then(|page| page.follow(source.system(), &request, &mut trail).map(|()| page)) {
            Ok(page) => page,
            Err(ConnectError::DeltaExpired { .. }) if !dry.full_load => {
                dry = DryFlow { mapping: name.clone(), full_load: true, waiting, ..DryFlow::default() };
                (counters, trail) = (Arc::new(FlowCounters::default()), Trail::default());
                searches.as_mut().into_iter().for_each(Searches::restart);
                cursor = copy.cursors.restart(name, Reason::Resync, &fingerprint).await?;
                continue;
            }
            Err(error) => return Err(explained(name, flow.source.name(), &request, error)),
        };
        let values = RelatedValues::of(flow, &*source, copy, page.records()).await?;
        let rows = Rows::of_page(plan, flow, &evaluator, &page, values.as_ref(), now);
        let evaluation = rows.evaluation(plan, flow, &*copy.privacy).await?;
        note_rejections(plan, flow, &Emitter::to(counters.clone()), &evaluation);
        let Evaluation { changes, times, unusable, .. } = evaluation;
        unnamed |= !unusable.is_empty();
        let over = page.next.is_none();
        let to = after_page(flow, page, unnamed);
        let guard = Some(options.mass_limits);
        let commit = PageCommit { run, mapping: name.clone(), from: cursor.clone(), changes, rewrite: false, times, guard, to };
        let outcome = copy.cursors.commit_page(commit).await?;
        if let Some(next) = &outcome.cursor {
            cursor = next.clone();
        }
        dry.add(outcome, unusable.len() as u64);
        dry.note_queued(copy, since, over, searches.as_mut()).await?;
        if over {
            break;
        }
    }
    // As a run does after the changes.
    while dry.mass_change.is_none() && !stop.is_cancelled() {
        let ids = copy.cursors.due_records(name, now, AT_ONCE).await?;
        if ids.is_empty() {
            break;
        }
        dry.due += ids.len() as u64;
        let fetched = due::fetch(&*source, flow, &ids).await?;
        let texts = fetched.iter().filter_map(|(_, record)| record.as_deref().map(RawValue::get));
        let values = RelatedValues::of(flow, &*source, copy, texts).await?;
        let records = fetched.iter().map(|(id, record)| (id.as_str(), record.as_deref()));
        let rows = Rows::of_records(plan, flow, &evaluator, records, values.as_ref(), now);
        let evaluation = rows.evaluation(plan, flow, &*copy.privacy).await?;
        note_rejections(plan, flow, &Emitter::to(counters.clone()), &evaluation);
        let Evaluation { changes, times, .. } = evaluation;
        let commit = DueCommit { run, mapping: name.clone(), records: ids, changes, times };
        let outcome = copy.cursors.store_due(commit).await?;
        dry.add(outcome, 0);
    }
    if dry.due > 0 {
        if let Judged::Held(change) = copy.outbox.judge_held(name, options.mass_limits).await? {
            dry.mass_change = Some(change);
        }
        dry.note_queued(copy, since, true, searches.as_mut()).await?;
    }
    dry.held = copy.previews.held_changes(name).await?;
    dry.rejections = counters.rejections();
    if let Some(Searches { adopt, ambiguous, found, .. }) = searches {
        (dry.adopt, dry.ambiguous, dry.adoptions) = (Some(adopt), Some(ambiguous), found);
    }
    Ok(dry)
}

impl DryFlow {
    /// Notes the operations that the copy has queued since a change.
    async fn note_queued(&mut self, copy: &Stores, since: i64, over: bool, mut searches: Option<&mut Searches>) -> Result<(), RunError> {
        loop {
            let mut queued = copy.previews.take_queued(&self.mapping, since, over).await?;
            if queued.is_empty() {
                return Ok(());
            }
            if let Some(searches) = &mut searches {
                queued = searches.of(queued).await?;
            }
            queued.into_iter().for_each(|change| self.note(change));
        }
    }

    fn add(&mut self, outcome: PageOutcome, unusable: u64) {
        self.read += outcome.records + unusable;
        self.unchanged += outcome.unchanged;
        self.filtered_out += outcome.filtered_out;
        self.rejected += outcome.rejected + unusable;
        self.mass_change = outcome.mass_change;
    }

    fn note(&mut self, change: QueuedChange) {
        let (operation, fields) = match change.upsert {
            None => ("delete", Vec::new()),
            Some(Comparison::New) => ("create", Vec::new()),
            Some(Comparison::Changed(fields)) => ("update", fields),
            Some(Comparison::Unchanged) => {
                self.unchanged += 1;
                return;
            }
        };
        *match operation {
            "delete" => &mut self.delete,
            "create" => &mut self.create,
            _ => &mut self.update,
        } += 1;
        fields.iter().for_each(|f| *self.changed_fields.entry(f.clone()).or_default() += 1);
        if self.examples.iter().filter(|e| e.operation == operation).count() < EXAMPLES {
            self.examples.push(DryExample { operation, key: change.key, fields });
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        if let Some(before) = &self.renamed_from {
            let _ = writeln!(out, "{}: would continue with the state of `{before}`, its earlier name", self.mapping);
        }
        if self.held_already {
            let _ = writeln!(out, "{}: would read nothing until held changes are approved", self.mapping);
        } else {
            let what = if self.full_load { "everything" } else { "the changes since the last run" };
            let _ = writeln!(out, "{}: would read {what}: {}", self.mapping, counted(self.read, "record"));
            if self.due > 0 {
                let _ = writeln!(out, "    due        {:>8}   because of the time, or of records that they point to", self.due);
            }
            let _ = writeln!(out, "  + create     {:>8}", self.create);
            if let (Some(adopt), Some(ambiguous)) = (self.adopt, self.ambiguous) {
                let _ = writeln!(out, "  ~ adopt      {adopt:>8}   the target has them without a key");
                let _ = writeln!(out, "  ! ambiguous  {ambiguous:>8}   the target has several of each without a key");
            }
            let _ = writeln!(out, "  ~ update     {:>8}", self.update);
            let _ = writeln!(out, "  - delete     {:>8}", self.delete);
            let _ = writeln!(out, "    unchanged  {:>8}", self.unchanged);
            let _ = writeln!(out, "    filtered   {:>8}", self.filtered_out);
            let _ = writeln!(out, "    rejected   {:>8}", self.rejected);
        }
        self.rejections.iter().for_each(|r| out.push_str(&format!("      {r}\n")));
        if let Some(change) = &self.mass_change {
            let _ = writeln!(out, "  ! held       {:>8}   {}", self.held, change.approval(&self.mapping));
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
            let _ = writeln!(out, "  {sign} {} {}", inline(&e.key), e.fields.join(", "));
        }
        out
    }
}
