//! The reader of a flow: page by page from the source, evaluated, into the state.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::value::RawValue;

use super::paging::{ATTEMPTS, explained};
use super::related::{Following, RelatedValues};
use super::{Shared, due};
use crate::connect::{ConnectError, Trail};
use crate::engine::events::{Emitter, Problem, RunEvent};
use crate::eval::{Evaluated, Evaluator, Rejection, ValidUntil};
use crate::plan::{Deletes, ExecutionPlan, FilteredOut, IngressFlow, LinkAbsent, Rejected};
use crate::run::paging::next_page;
use crate::run::{RunError, failure};
use crate::store::{
    Absence, Change, Claim, Cursor, CursorMove, Failure, IfAbsent, Lease, MassChange, Outline, PageCommit, PageOutcome, PageTimes,
    Partition, Payload, Privacy, Reason, RelatedUses, StoreError, Unseen,
};
use crate::systems::{Cursor as SourceCursor, Page, PageRequest, Query, Row, Source};
use crate::time::{self, Instant};

/// Reads until the round is over: the last page of a full load, or of the changes.
pub(super) async fn read(shared: &Shared) -> Result<(), RunError> {
    let flow = shared.flow();
    // Exclusive, since its scratch space is not shared between threads.
    let mut evaluator = Evaluator::new(flow)?;
    let partition = Partition::of(&flow.name);
    let fingerprint = flow.fingerprint();
    let (cursors, key) = (&shared.context.stores.cursors, flow.key_identity());
    if let Some(before) = cursors.note_key_attribute(&flow.name, &key).await? {
        return Err(RunError::KeyChanged { name: flow.name.clone(), before, now: key });
    }
    refuse_held(shared, &fingerprint).await?;
    begin_comparison(shared, &fingerprint).await?;
    if !following(shared).follow(shared.context.now()).await? {
        return Ok(());
    }
    let mut unnamed = false;
    let mut trail = Trail::default();
    loop {
        if !room(shared).await? {
            return Ok(());
        }
        match cursors.claim_page(shared.context.run, &partition, &fingerprint, shared.context.now()).await? {
            Claim::Cancelled => return Ok(()),
            Claim::Taken => return Err(RunError::Taken { name: flow.name.clone() }),
            Claim::Later(at) => {
                tokio::select! {
                    () = shared.context.options.clock.sleep_until(at) => {}
                    () = shared.context.stop.cancelled() => return Ok(()),
                }
            }
            Claim::Page(lease) => {
                if page(shared, &mut evaluator, lease, &fingerprint, &mut unnamed, &mut trail).await? == Round::Over {
                    // After the changes: what they have brought or deleted need not be fetched again.
                    due::read(shared, &mut evaluator).await?;
                    shared.round_over.store(true, Ordering::Release);
                    return Ok(());
                }
            }
        }
    }
}

/// What following other tables needs.
fn following(shared: &Shared) -> Following<'_> {
    let context = &shared.context;
    Following { flow: shared.flow(), source: &*shared.source, stores: &context.stores, options: &context.options, stop: &context.stop }
}

/// Reads nothing while changes need approval: what is read now would be judged together with them. With another mapping
/// everything is read again, and what was held is moot.
async fn refuse_held(shared: &Shared, fingerprint: &str) -> Result<(), RunError> {
    let (stores, flow) = (&shared.context.stores, shared.flow());
    if stores.cursors.cursor(&flow.name).await?.is_none_or(|cursor| cursor.plan_fingerprint != fingerprint) {
        return Ok(());
    }
    stores.outbox.mass_change(&flow.name).await?.map_or(Ok(()), |change| Err(mass_change(flow, change)))
}

/// The last instant at which a full load may have been complete for a comparison to be due now; `None` if the flow has none.
pub(super) fn compared_before(flow: &IngressFlow, now: Instant) -> Option<Instant> {
    let every = flow.policy.reconcile.and_then(|every| i64::try_from(every).ok()).and_then(TimeDelta::try_seconds);
    let every = every.and_then(|every| now.checked_sub_signed(every));
    // Values of the day: what was complete before the last midnight in UTC shows another day.
    let daily = flow.policy.refresh_daily.then(|| time::midnight(now.date_naive()));
    every.max(daily)
}

/// Goes back to the beginning of a full load if the comparison of `reconcile every …` or the evaluation of `refresh daily` is due. After the check for changes that need
/// approval: a full load drops what is held.
async fn begin_comparison(shared: &Shared, fingerprint: &str) -> Result<(), RunError> {
    let flow = shared.flow();
    let Some(before) = compared_before(flow, shared.context.now()) else { return Ok(()) };
    if shared.context.stores.cursors.begin_comparison(&flow.name, fingerprint, before).await? {
        // Columns of other tables may change as silently as the record's own.
        if flow.policy.reconcile.is_some() {
            following(shared).restart().await?;
        }
        tracing::info!(mapping = flow.name, "comparing all records with Dynamics 365: `reconcile every` or `refresh daily` is due");
    }
    Ok(())
}

/// The error of changes that need approval.
pub(super) fn mass_change(flow: &IngressFlow, change: MassChange) -> RunError {
    RunError::State(StoreError::MassChange { mapping: flow.name.clone(), change: Box::new(change) })
}

#[derive(PartialEq, Eq)]
enum Round {
    GoesOn,
    Over,
}

/// Waits until the backlog has room for another page; `false` where the run is to stop.
pub(super) async fn room(shared: &Shared) -> Result<bool, RunError> {
    loop {
        if shared.context.stop.is_cancelled() {
            return Ok(false);
        }
        // What waits for other records goes when those come, which may be on a page still to be read: it does not stop the
        // reading. There is one such operation per record at most, on disk and not in memory.
        let (outbox, name) = (&shared.context.stores.outbox, &shared.flow().name);
        let (backlog, waiting) = (outbox.backlog_size(name).await?, outbox.waiting_size(name).await?);
        shared.context.note_backlog(backlog);
        if backlog.saturating_sub(waiting) < shared.context.options.backlog_high_water {
            return Ok(true);
        }
        // If the writer has nothing to settle for a while, the mark is looked at again.
        shared.signals.room(&shared.context.options.clock, Duration::from_millis(200), &shared.context.stop).await;
    }
}

/// Reads a page and takes it in. `unnamed`: the round has met a row that does not say which record it is about.
async fn page(
    shared: &Shared,
    evaluator: &mut Evaluator<'_>,
    lease: Lease,
    fingerprint: &str,
    unnamed: &mut bool,
    trail: &mut Trail,
) -> Result<Round, RunError> {
    let flow = shared.flow();
    let commit = |changes, times, to| PageCommit {
        run: shared.context.run,
        mapping: flow.name.clone(),
        from: lease.cursor.clone(),
        changes,
        rewrite: false,
        times,
        guard: Some(shared.context.options.mass_limits),
        to,
    };

    if let Some(reason) = must_restart(flow, &*shared.source, &lease.cursor, fingerprint) {
        tracing::info!(mapping = flow.name, "{reason}: reading everything again");
        let restart = commit(
            Vec::new(),
            PageTimes::default(),
            CursorMove::Restart { reason: Reason::Resync, plan_fingerprint: fingerprint.to_owned() },
        );
        shared.context.stores.cursors.checkpoint(lease, restart).await?;
        return Ok(Round::GoesOn);
    }

    let request = request(flow, &*shared.source, lease.cursor.link.as_ref(), shared.context.options.page_size);
    let Some(fetched) = next_page(&*shared.source, &request, trail, &shared.context.stop).await else {
        shared.context.stores.cursors.reschedule(lease, shared.context.now(), "stopped").await?;
        return Ok(Round::Over);
    };
    let page = match fetched {
        Ok(page) => page,
        Err(ConnectError::DeltaExpired { .. }) => {
            tracing::warn!(mapping = flow.name, "the change-tracking token has expired: reading everything again");
            *trail = Trail::default();
            let restart = commit(
                Vec::new(),
                PageTimes::default(),
                CursorMove::Restart { reason: Reason::Resync, plan_fingerprint: fingerprint.to_owned() },
            );
            shared.context.stores.cursors.checkpoint(lease, restart).await?;
            return Ok(Round::GoesOn);
        }
        Err(error) => {
            // Then the round fails, also in a watch: its state shows the outage, and the time of the next attempt.
            let again = error.is_transient() && lease.attempts + 1 < ATTEMPTS;
            let wait = if again { TimeDelta::seconds(2 << lease.attempts.min(6)) } else { TimeDelta::zero() };
            shared.context.stores.cursors.reschedule(lease, shared.context.now() + wait, &error.to_string()).await?;
            return if again { Ok(Round::GoesOn) } else { Err(explained(&flow.name, flow.source.name(), &request, error)) };
        }
    };

    let (plan, privacy) = (&shared.context.plan, &*shared.context.stores.privacy);
    let values = RelatedValues::of(flow, &*shared.source, &shared.context.stores, page.records()).await;
    let evaluation = match values {
        Ok(values) => {
            let rows = Rows::of_page(plan, flow, evaluator, &page, values.as_ref(), shared.context.now());
            rows.evaluation(plan, flow, privacy).await
        }
        Err(error) => Err(error),
    };
    let evaluation = match evaluation {
        Ok(evaluated) => evaluated,
        Err(error) => {
            shared.context.stores.cursors.reschedule(lease, shared.context.now(), &error.to_string()).await?;
            return Err(error);
        }
    };
    note_rejections(plan, flow, &shared.context.events, &evaluation);
    let Evaluation { changes, times, unusable, .. } = evaluation;
    *unnamed |= !unusable.is_empty();
    let round = if page.next.is_some() { Round::GoesOn } else { Round::Over };
    let to = after_page(flow, page, *unnamed);
    let page = commit(changes, times, to);
    let outcome = shared.context.stores.cursors.checkpoint(lease, page).await?;
    shared.context.emit(RunEvent::PagesRead(1));
    count(shared, &outcome);
    if let Some(change) = outcome.mass_change {
        return Err(mass_change(flow, change));
    }
    Ok(round)
}

/// Why everything is to be read again from a cursor, if it is.
pub(super) fn must_restart(flow: &IngressFlow, source: &dyn Source, cursor: &Cursor, fingerprint: &str) -> Option<&'static str> {
    // A link of another table is never kept, but an older version may have kept one.
    let strays = |link: &String| source.collection_of(&SourceCursor::from(link.clone())).is_some_and(|to| to != flow.source.collection);
    if cursor.plan_fingerprint != fingerprint {
        // A link has the fields of its query baked in: another plan needs another full load. Records that come out the same cost
        // no call.
        Some("the mapping has changed since the last run")
    } else if cursor.link.as_ref().is_some_and(strays) {
        Some("the kept link leads to another table")
    } else {
        None
    }
}

/// What is wanted of a flow's records.
pub(super) fn query(flow: &IngressFlow) -> Query {
    Query {
        collection: flow.source.collection.clone(),
        primary_key: flow.source.primary_property().to_owned(),
        select: flow.source.select(),
        labels: flow.source.annotations(),
        expand: Vec::new(),
    }
}

/// What is asked of the source: the page that a cursor leads to, or the first page of a full load.
pub(super) fn request(flow: &IngressFlow, source: &dyn Source, link: Option<&String>, page_size: u32) -> PageRequest {
    match link {
        Some(link) => PageRequest::Follow { cursor: SourceCursor::from(link.clone()), query: query(flow), page_size },
        None => PageRequest::First {
            query: query(flow),
            track_changes: flow.source.change_tracking && source.capabilities().change_tracking,
            page_size,
        },
    }
}

/// Where the flow goes on after a page. `unnamed`: the round has met a row that does not say which record it is about.
pub(super) fn after_page(flow: &IngressFlow, page: Page, unnamed: bool) -> CursorMove {
    let Some(link) = page.next else {
        let unseen = match flow.policy.deletes {
            // What was not seen may be what had no id.
            _ if unnamed => Unseen::Keep,
            Deletes::Propagate => Unseen::Delete,
            Deletes::Ignore => Unseen::Keep,
        };
        return CursorMove::RoundEnd { link: page.changes.map(Into::into), unseen };
    };
    CursorMove::Next(link.into())
}

/// Counts the records of a page that are rejected, and the rows that do not say which record they are about.
pub(super) fn note_rejections(plan: &ExecutionPlan, flow: &IngressFlow, events: &Emitter, evaluation: &Evaluation) {
    let Evaluation { changes, unusable, forgotten, .. } = evaluation;
    for change in changes {
        if let Change::Reject { source_id, failure, .. } = change
            && !forgotten.contains(source_id)
        {
            let at = failure.place.as_ref().map(|p| format!("{}:{}:{}", p.file, p.line, p.column)).unwrap_or_default();
            events.emit(RunEvent::Problem(Problem {
                place: &at,
                field: failure.field.as_deref().unwrap_or_default(),
                code: &failure.code,
                message: &failure.message,
                record: source_id,
            }));
        }
    }
    for problem in unusable {
        tracing::warn!(mapping = flow.name, problem, "a row does not say which record it is about; it is skipped");
        failure::nameless(events, plan, flow.at, problem);
    }
    events.emit(RunEvent::Read(unusable.len() as u64));
}

/// Rows without a usable id at which a page without any usable row is refused: then it is not one row, but what is asked for.
const UNUSABLE_PAGE: usize = 10;

/// Counts what was read, and lets the writer look at it.
pub(super) fn count(shared: &Shared, outcome: &PageOutcome) {
    let events = &shared.context.events;
    events.emit(RunEvent::Read(outcome.records));
    events.emit(RunEvent::Unchanged(outcome.unchanged));
    events.emit(RunEvent::FilteredOut(outcome.filtered_out));
    events.emit(RunEvent::Rejected(outcome.rejected));
    events.emit(RunEvent::Forgotten(outcome.forgotten));
    events.emit(RunEvent::DeletedWithoutEffect(outcome.deletes_unknown + outcome.deletes_ignored));
    shared.context.note_backlog(outcome.backlog);
    shared.signals.queued();
}

/// What the rows of a page come to.
pub(super) struct Evaluation {
    pub(super) changes: Vec<Change>,
    pub(super) times: PageTimes,
    /// What is wrong with the rows that do not say which record they are about.
    pub(super) unusable: Vec<String>,
    /// The rejected records whose persons were forgotten.
    forgotten: HashSet<String>,
}

/// What each of several records comes to, before it is known which persons were forgotten.
pub(super) struct Rows {
    rows: Vec<Result<Timed, RunError>>,
    /// When they were evaluated.
    at: Instant,
    /// With which rows of other tables.
    uses: Option<RelatedUses>,
}

impl Rows {
    /// Evaluates the rows of a page, with the values that their lookups point to.
    pub(super) fn of_page(
        plan: &ExecutionPlan,
        flow: &IngressFlow,
        evaluator: &Evaluator<'_>,
        page: &Page,
        values: Option<&RelatedValues<'_>>,
        now: Instant,
    ) -> Rows {
        let outline = outline(flow);
        let mut uses = values.map(RelatedValues::no_uses);
        let row = |row: &Row| match row {
            Row::Changed(record) => {
                let record = with_values(record.get(), None, values, &mut uses);
                evaluate(plan, flow, evaluator, &outline, &record, now)
            }
            Row::Deleted { id, left_result } => {
                if let Some(uses) = &mut uses {
                    uses.records.insert(id.clone(), BTreeSet::new());
                }
                // To the target, leaving the result is the same as a filter.
                let why = if *left_result { Absence::FilteredOut } else { Absence::Deleted };
                Ok((Change::Absent { source_id: id.clone(), why, remove: removes(flow, why) }, None))
            }
            Row::Unusable { problem } => Err(RunError::Nameless { place: plan.place(flow.at), message: (*problem).to_owned() }),
        };
        let rows = page.rows.iter().map(row).collect();
        Rows { rows, at: now, uses }
    }

    /// Evaluates records that were asked for by their ids; `None` for one that Dynamics does not have any more.
    pub(super) fn of_records<'r>(
        plan: &ExecutionPlan,
        flow: &IngressFlow,
        evaluator: &Evaluator<'_>,
        records: impl IntoIterator<Item = (&'r str, Option<&'r RawValue>)>,
        values: Option<&RelatedValues<'_>>,
        now: Instant,
    ) -> Rows {
        let outline = outline(flow);
        let mut uses = values.map(RelatedValues::no_uses);
        let row = |(id, record): (&str, Option<&RawValue>)| {
            let record = record.map(|record| with_values(record.get(), Some(id), values, &mut uses));
            if let (None, Some(uses)) = (&record, &mut uses) {
                uses.records.insert(id.to_owned(), BTreeSet::new());
            }
            evaluate_known(plan, flow, evaluator, &outline, id, record.as_deref(), now)
        };
        let rows = records.into_iter().map(row).collect();
        Rows { rows, at: now, uses }
    }

    /// Returns what is to be committed. Asks the store once, and only if records are rejected.
    ///
    /// # Errors
    /// The first error of a record, except of a forgotten person: that never stops a mapping with `rejected stop`, and is passed on without
    /// being stored. [`RunError::Nameless`] if no row says which record it is about.
    pub(super) async fn evaluation(self, plan: &ExecutionPlan, flow: &IngressFlow, privacy: &dyn Privacy) -> Result<Evaluation, RunError> {
        let rejected = self.rows.iter().filter_map(|row| match row {
            Ok((Change::Reject { source_id, .. }, _)) | Err(RunError::Rejected { source_id, .. }) => Some(source_id.clone()),
            _ => None,
        });
        let rejected: Vec<String> = rejected.collect();
        let forgotten = if rejected.is_empty() { HashSet::new() } else { privacy.forgotten_among(rejected).await? };
        let times = PageTimes { at: Some(self.at), uses: self.uses, ..PageTimes::default() };
        let mut evaluation = Evaluation { changes: Vec::with_capacity(self.rows.len()), times, unusable: Vec::new(), forgotten };
        for row in self.rows {
            let (change, due) = match row {
                Err(RunError::Nameless { message, .. }) => {
                    evaluation.unusable.push(message);
                    continue;
                }
                Err(RunError::Rejected { source_id, .. }) if evaluation.forgotten.contains(&source_id) => {
                    (Change::Reject { source_id, key: None, failure: Failure::default() }, None)
                }
                row => row?,
            };
            evaluation.times.note(change.source_id(), due);
            evaluation.changes.push(change);
        }
        match evaluation.unusable.first() {
            Some(message) if evaluation.changes.is_empty() && evaluation.unusable.len() >= UNUSABLE_PAGE => {
                Err(RunError::Nameless { place: plan.place(flow.at), message: message.clone() })
            }
            _ => Ok(evaluation),
        }
    }

    /// As [`Rows::evaluation`], of one record.
    ///
    /// # Errors
    /// As [`Rows::evaluation`].
    pub(super) async fn one(
        self,
        plan: &ExecutionPlan,
        flow: &IngressFlow,
        privacy: &dyn Privacy,
    ) -> Result<(Change, PageTimes), RunError> {
        let Evaluation { mut changes, times, .. } = self.evaluation(plan, flow, privacy).await?;
        let change = changes.pop().ok_or_else(|| RunError::Task("a record came to nothing".to_owned()))?;
        Ok((change, times))
    }
}

/// A record's text with the values that its lookups point to, which are noted under its id.
fn with_values<'r>(record: &'r str, id: Option<&str>, values: Option<&RelatedValues<'_>>, uses: &mut Option<RelatedUses>) -> Cow<'r, str> {
    let (Some(values), Some(uses)) = (values, uses) else { return Cow::Borrowed(record) };
    let (text, used) = values.put_into(record);
    if let Some(id) = id.map(str::to_owned).or_else(|| values.id_of(record)) {
        uses.records.insert(id, used);
    }
    text
}

/// Whether a record that does not belong at the target (any more) is deleted there.
pub(super) fn removes(flow: &IngressFlow, why: Absence) -> bool {
    match why {
        Absence::Deleted => flow.policy.deletes == Deletes::Propagate,
        Absence::FilteredOut => flow.policy.filtered_out == FilteredOut::Delete,
    }
}

/// What the payloads of a flow's records have in common.
pub fn outline(flow: &IngressFlow) -> Arc<Outline> {
    let mut outline = Outline::with_capacity(flow.fields.len());
    for field in &flow.fields {
        let absent = match field.link_absent() {
            None | Some(LinkAbsent::Wait) => IfAbsent::Wait,
            Some(LinkAbsent::Null) => IfAbsent::Null,
            Some(LinkAbsent::Later) => IfAbsent::Later,
        };
        outline.push(field.path.join(".").into(), field.initial, field.create_only, field.link().map(|link| (link.into(), absent)));
    }
    Arc::new(outline)
}

/// A change, and the instant at which its record is to be evaluated again even if it does not change.
pub(super) type Timed = (Change, Option<Instant>);

/// Evaluates a record that was asked for by its id; `None` if Dynamics does not have it any more.
fn evaluate_known(
    plan: &ExecutionPlan,
    flow: &IngressFlow,
    evaluator: &Evaluator<'_>,
    outline: &Arc<Outline>,
    id: &str,
    record: Option<&str>,
    now: Instant,
) -> Result<Timed, RunError> {
    let Some(record) = record else {
        let why = Absence::Deleted;
        return Ok((Change::Absent { source_id: id.to_owned(), why, remove: removes(flow, why) }, None));
    };
    match evaluate(plan, flow, evaluator, outline, record, now) {
        Err(RunError::Nameless { message, .. }) => {
            let place = Some(failure::place(plan, flow.at));
            let failure = Failure { code: "D904".to_owned(), message, place, ..Failure::default() };
            Ok((Change::Reject { source_id: id.to_owned(), key: None, failure }, None))
        }
        other => other,
    }
}

/// When a record must be evaluated again. `until`: until when the filter's answer and the values hold. A record that passes
/// is not due for the filter with `filtered-out keep`: when it leaves the filter, nothing happens; and if it comes back without having
/// been changed, the target has its values. The values of a record that does not pass do not matter.
fn due(flow: &IngressFlow, passes: bool, until: ValidUntil) -> Option<Instant> {
    let filter = until.filter.filter(|_| !passes || flow.policy.filtered_out == FilteredOut::Delete);
    let values = until.values.filter(|_| passes);
    filter.into_iter().chain(values).min()
}

/// What one source record comes to.
pub(super) fn evaluate(
    plan: &ExecutionPlan,
    flow: &IngressFlow,
    evaluator: &Evaluator<'_>,
    outline: &Arc<Outline>,
    record: &str,
    now: Instant,
) -> Result<Timed, RunError> {
    let (evaluated, until) = evaluator.evaluate_until(record, now);
    match evaluated {
        Evaluated::Mapped(mapped) => {
            // A field without a value is left alone at the target.
            let payload = outline.payload(mapped.fields(), |field, text| {
                if field.unchanged {
                    return None;
                }
                field.write_json(text);
                Some(field.filled)
            });
            let (source_id, key) = (mapped.source_id.into_owned(), mapped.key.into_owned());
            let change = if flow.keys_may_change() {
                Change::Rekeyed { source_id, key, payload, remove: removes(flow, Absence::Deleted) }
            } else {
                Change::Upsert { source_id, key, payload }
            };
            Ok((change, due(flow, true, until)))
        }
        Evaluated::Filtered { source_id } => {
            let why = Absence::FilteredOut;
            let change = Change::Absent { source_id: source_id.into_owned(), why, remove: removes(flow, why) };
            Ok((change, due(flow, false, until)))
        }
        Evaluated::Rejected(rejection) => Ok((rejected(plan, flow, rejection)?, due(flow, true, until))),
    }
}

/// What a run puts into the outbox for a record that passes the filter. For measurements of what a run does.
///
/// # Errors
/// When the record is rejected with `rejected stop`, or has no id.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for tests and benchmarks"))]
pub fn payload(
    plan: &ExecutionPlan,
    evaluator: &Evaluator<'_>,
    outline: &Arc<Outline>,
    record: &str,
    now: Instant,
) -> Result<Option<Payload>, RunError> {
    let flow = evaluator.flow();
    let (change, _) = evaluate(plan, flow, evaluator, outline, record, now)?;
    Ok(match change {
        Change::Upsert { payload, .. } | Change::Rekeyed { payload, .. } => Some(payload),
        Change::Absent { .. } | Change::Reject { .. } => None,
    })
}

fn rejected(plan: &ExecutionPlan, flow: &IngressFlow, rejection: Rejection) -> Result<Change, RunError> {
    let place = plan.place(rejection.at);
    let Some(source_id) = rejection.source_id.clone() else {
        return Err(RunError::Nameless { place, message: rejection.message });
    };
    match flow.policy.rejected {
        Rejected::Stop => Err(RunError::Rejected { place, source_id, code: rejection.code, message: rejection.message }),
        Rejected::DeadLetter => Ok(Change::Reject { failure: failure::of_rejection(plan, &rejection), source_id, key: None }),
    }
}
