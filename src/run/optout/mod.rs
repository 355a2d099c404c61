//! Opt-outs between contacts and profiles, in every direction. They never travel with a record: what is wrong with another field, a
//! filter, a link or a record that waits concerns the mapping, and not this workflow.
//!
//! ```text
//! contacts (delta) ─┐                        ┌─▶ profile, by key
//! profiles ─────────┼─▶ state ─▶ the rule ─▶ ┤
//! exports (SFTP) ───┘   (rows, marks, queue) └─▶ contact: under the version that was compared
//! ```
//!
//! A round reads first (`contacts.rs`, `profiles.rs`, `exports.rs`), each page with its mark in one transaction, and writes then
//! (`work.rs`); never both at once, so that what was read is not older than what was written. What is read and what follows from
//! it is judged by `rule.rs`, which does no I/O. While not both sides have been read in full nothing is decided; what they
//! disagree about at first needs approval (`report.rs`). `delete.rs` keeps what a profile has that a mapping deletes.

mod contacts;
mod delete;
mod dry;
mod exports;
#[cfg(test)]
mod model;
mod profiles;
mod report;
mod rule;
mod sight;
mod topics;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

pub(super) use delete::{keep_before_delete, kept_attributes};
pub use dry::dry_run;
pub use report::{AttributeReport, Reconciliation, ReportLine};
pub(super) use topics::announce as announce_topics;

use super::calls::CallKind;
use super::{Context, Options, RunError, Services};
use crate::connect::sftp::OptOut;
use crate::count::counted;
use crate::engine::events::{Note, Publisher, RunEvent};
use crate::engine::refusals::Denials;
use crate::plan::{self, Direction, ExecutionPlan, IngressFlow, OptoutFlow, OptoutPair};
use crate::store::{self, Approval, Cursor, Flags, OptOuts, OptoutIntake, OptoutStage, OptoutState, Person, RunKind, StoreError, Stores};
use crate::systems::{Profiles, Query, RecordKey, Source, Subscriptions, Table, Target};
use rule::Rule;

/// Persons that are looked through at once.
const CHUNK: usize = 1000;

/// How opt-outs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptoutSettings {
    /// A filter of Campaign's that gives the profiles changed since an instant; without one all profiles are listed.
    pub changed_profiles: Option<ChangedProfiles>,
    /// How often all profiles are listed where there is no such filter.
    pub list_every: Duration,
    /// How often the subscriptions of contacts with an opt-out of a topic are read again: each costs two requests.
    pub review_every: Duration,
    /// By how much the clocks of this machine and of the services may differ. A consent in Campaign counts as newer than a
    /// change in Dynamics only by more than this.
    pub clock_tolerance: Duration,
    /// The age of the newest export at which the exports have ceased.
    pub exports_stale_after: Duration,
    /// Write what the two sides disagree about at first without being asked.
    pub accept: bool,
}

/// A filter on the time of a profile's last change. The product has none: it is defined in Campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedProfiles {
    /// Its name in addresses: `byLastModified`.
    pub filter: String,
    /// Its parameter: `lastModified_parameter`.
    pub parameter: String,
}

impl Default for OptoutSettings {
    fn default() -> OptoutSettings {
        OptoutSettings {
            changed_profiles: None,
            list_every: Duration::from_secs(3600),
            review_every: Duration::from_secs(24 * 3600),
            clock_tolerance: Duration::from_secs(5),
            exports_stale_after: Duration::from_secs(26 * 3600),
            accept: false,
        }
    }
}

/// The name of the workflow of a mapping's opt-outs.
pub(super) fn name_of(flow: &OptoutFlow) -> String {
    flow.workflow()
}

/// What the parts of a flow share.
struct Shared {
    context: Context,
    /// Where contacts are read.
    source: Arc<dyn Source>,
    /// Where contacts are written.
    contacts: Arc<dyn Target>,
    /// Where profiles are read and written.
    profiles: Arc<dyn Profiles>,
    /// Where subscriptions are, in a workflow of topics.
    subscriptions: Option<Arc<dyn Subscriptions>>,
    index: usize,
    name: String,
    rule: Rule,
    /// The name of the table of contacts.
    table: String,
    /// What is read of contacts.
    query: Query,
    /// The name of the table of profiles.
    profile: String,
    /// Its name in addresses.
    resource: String,
    /// The attribute that is the profiles' key.
    key_attribute: String,
    /// Whether Dynamics tells changes.
    tracked: bool,
    /// The user as whom we write contacts, by whom our own writes are known.
    user: Option<String>,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
    /// The place of each pair.
    flags: Vec<Flags>,
}

/// How far a workflow had come when its round began.
type Begun = (OptoutState, Cursor);

impl Shared {
    /// Begins the workflow, or goes on with it.
    async fn begin(context: Context, index: usize) -> Result<(Arc<Shared>, Begun), RunError> {
        let flow = &context.plan.optouts[index];
        let user = context.services.user(ingress_of(&context.plan, flow)?).await?;
        let optouts = &*context.stores.optouts;
        let (begun, flags) = if flow.topics {
            let (state, cursor, flags) = topics::begin(optouts, flow).await?;
            ((state, cursor), flags)
        } else {
            (optouts.begin_optouts(&name_of(flow), &fingerprint(flow)).await?, flow.pairs.iter().map(flag_of).collect())
        };
        Ok((Arc::new(Shared::of(context, index, user, flags)?), begun))
    }

    fn of(context: Context, index: usize, user: Option<String>, flags: Vec<Flags>) -> Result<Shared, RunError> {
        let flow = &context.plan.optouts[index];
        let ingress = ingress_of(&context.plan, flow)?;
        let source = &ingress.source;
        let primary = source.slots.get(source.primary_key as usize).map_or("contactid", |s| s.wire.as_str());
        let mut select = vec![primary.to_owned(), "modifiedon".to_owned(), "_modifiedby_value".to_owned()];
        select.push("_masterid_value".to_owned());
        select.extend(flow.pairs.iter().map(|pair| pair.source.clone()));
        let query =
            Query { collection: source.collection.clone(), primary_key: primary.to_owned(), select, labels: false, expand: Vec::new() };
        let services = &context.services;
        Ok(Shared {
            source: services.source(ingress)?,
            contacts: services.opt_outs_back(ingress)?,
            profiles: services.profiles(ingress)?,
            subscriptions: if flow.topics { Some(services.subscriptions(ingress)?) } else { None },
            name: name_of(flow),
            rule: rule_of(flow, &flags, &context.options),
            table: source.name().to_owned(),
            query,
            profile: ingress.target.name().to_owned(),
            resource: ingress.target.collection.clone(),
            key_attribute: ingress.key.path.join("."),
            tracked: source.change_tracking,
            user,
            denials: Denials::default(),
            flags,
            index,
            context,
        })
    }

    /// The contact with an id.
    fn contact<'s>(&'s self, id: &'s str) -> RecordKey<'s> {
        let table = Table { name: &self.table, collection: &self.query.collection };
        RecordKey { table, attribute: &self.query.primary_key, value: id }
    }

    /// The profile of the contact with an id. A profile with another key is not believed: it would be another person's.
    fn profile<'s>(&'s self, id: &'s str) -> RecordKey<'s> {
        let table = Table { name: &self.profile, collection: &self.resource };
        RecordKey { table, attribute: &self.key_attribute, value: id }
    }

    fn flow(&self) -> &OptoutFlow {
        &self.context.plan.optouts[self.index]
    }

    fn stopped(&self) -> bool {
        self.context.stop.is_cancelled()
    }

    /// Which fields are compared, so that another choice is noticed.
    fn fingerprint(&self) -> String {
        fingerprint(self.flow())
    }

    /// The pairs by their places.
    fn pairs(&self) -> BTreeMap<Flags, &OptoutPair> {
        self.flags.iter().copied().zip(&self.flow().pairs).collect()
    }
}

/// Which fields are compared, and which way they go.
fn fingerprint(flow: &OptoutFlow) -> String {
    let pairs: Vec<String> = flow
        .pairs
        .iter()
        .map(|p| {
            let sign = if p.inverted { "<!>" } else { "<>" };
            let meaning = p.meaning.as_ref().map(|meaning| format!("#{}", plan::fingerprint(&meaning.cases))).unwrap_or_default();
            format!("{}{sign}{}{meaning}", p.source, p.target)
        })
        .collect();
    format!("{:?} {}", flow.direction, pairs.join(" "))
}

/// Notes what is to become of the differences that the two sides of a mapping's opt-outs have at first: they are written, or, in a
/// workflow from Dynamics to Campaign, left as they are.
///
/// # Errors
/// When the state cannot be written.
pub async fn decide_reconciliation(stores: &Stores, plan: &ExecutionPlan, mapping: &str, approval: Approval) -> Result<(), StoreError> {
    for flow in plan.optouts.iter().filter(|flow| flow.mapping == mapping) {
        let name = name_of(flow);
        if flow.topics {
            topics::begin(&*stores.optouts, flow).await?;
        } else {
            stores.optouts.begin_optouts(&name, &fingerprint(flow)).await?;
        }
        stores.optouts.decide_optouts(&name, approval).await?;
    }
    Ok(())
}

fn rule_of(flow: &OptoutFlow, flags: &[Flags], options: &Options) -> Rule {
    Rule {
        direction: flow.direction,
        pairs: flags.iter().copied().collect(),
        tolerance: TimeDelta::from_std(options.optouts.clock_tolerance).unwrap_or(TimeDelta::MAX),
    }
}

fn ingress_of<'p>(plan: &'p ExecutionPlan, flow: &OptoutFlow) -> Result<&'p IngressFlow, RunError> {
    plan.flow(&flow.mapping).ok_or_else(|| RunError::UnknownMapping {
        name: flow.mapping.clone(),
        known: plan.ingress.iter().map(|f| format!("`{}`", f.name)).collect::<Vec<_>>().join(", "),
    })
}

/// The attribute of a pair; none where Campaign has no opt-out of that name, which the compiler refuses.
fn flag_of(pair: &OptoutPair) -> Flags {
    OptOut::from_name(&pair.target).map_or(Flags::NONE, flag)
}

/// The place of an attribute among the eight.
fn flag(attribute: OptOut) -> Flags {
    OptOut::ALL.iter().position(|a| *a == attribute).map_or(Flags::NONE, Flags::of)
}

/// Reads both sides and writes what follows.
pub(super) async fn round(context: Context, index: usize) -> Result<(), RunError> {
    let (shared, begun) = Shared::begin(context, index).await?;
    if shared.flow().topics {
        return topics_round(&shared, begun).await;
    }
    let exported = read(&shared, begun).await?;
    if live(&shared).await? && !shared.stopped() {
        work::work(&shared).await?;
    }
    // If the server of exports fails, opt-outs are still read in Campaign itself.
    exported
}

/// A round of topics. What is held is known when the subscriptions have been read, so an approval is carried out after that.
async fn topics_round(shared: &Arc<Shared>, begun: Begun) -> Result<(), RunError> {
    topics::check_services(shared).await?;
    contacts::read(shared, begun).await?;
    profiles::read(shared).await?;
    let Some(state) = shared.optouts().optout_state(&shared.name).await? else { return Ok(()) };
    if shared.stopped() || !go_live(shared, &state).await? {
        return Ok(());
    }
    work::work(shared).await?;
    if !shared.stopped() && judge_held(shared, &state).await? {
        work::work(shared).await?;
    }
    Ok(())
}

/// Reads contacts, profiles and exports. The inner error is that of the exports.
async fn read(shared: &Arc<Shared>, begun: Begun) -> Result<Result<(), RunError>, RunError> {
    contacts::read(shared, begun).await?;
    profiles::read(shared).await?;
    Ok(if shared.stopped() { Ok(()) } else { exports::read(shared).await })
}

/// Whether the flow may write. Ends the baseline when both sides have been read in full.
async fn live(shared: &Arc<Shared>) -> Result<bool, RunError> {
    let Some(state) = shared.optouts().optout_state(&shared.name).await? else { return Ok(false) };
    if shared.rule.direction == Direction::D365ToCampaign {
        return live_towards_campaign(shared, &state).await;
    }
    if state.stage == OptoutStage::Live {
        return Ok(true);
    }
    if state.listed_at.is_none() || state.contacts_at.is_none() {
        return Ok(false);
    }
    let report = report::of(shared).await?;
    let accepted = state.accepted_at.is_some() || shared.context.options.optouts.accept || report.writes() == 0;
    if state.stage == OptoutStage::Baseline {
        queue_all(shared, !accepted).await?;
    }
    if accepted {
        shared.optouts().set_optout_stage(&shared.name, OptoutStage::Live, None).await?;
        return Ok(true);
    }
    let note = format!(
        "the two sides disagree about {} of {}; nothing is written until you approve it: `d365map optout reconcile` shows \
         what would be written and why, and `d365map optout reconcile --accept {}` approves it",
        counted(report.writes(), "opt-out"),
        counted(report.disagreeing, "contact"),
        shared.flow().mapping
    );
    tracing::warn!(flow = shared.name, "{note}");
    shared.optouts().set_optout_stage(&shared.name, OptoutStage::Held, Some(&note)).await?;
    let waiting = shared.context.stores.outbox.backlog_size(&shared.name).await?;
    shared.context.note_backlog(waiting);
    shared.context.emit(RunEvent::Noted(Note::OptOutDifferences, waiting));
    Ok(false)
}

/// Whether a flow from Dynamics to Campaign may write. Opt-outs never need approval; those that only Campaign had when they were first seen are held,
/// and lifted only if somebody approves it.
async fn live_towards_campaign(shared: &Arc<Shared>, state: &OptoutState) -> Result<bool, RunError> {
    if !go_live(shared, state).await? {
        return Ok(false);
    }
    judge_held(shared, state).await?;
    Ok(true)
}

/// Whether both sides have been read in full, so that a flow from Dynamics to Campaign may write.
async fn go_live(shared: &Arc<Shared>, state: &OptoutState) -> Result<bool, RunError> {
    if state.stage != OptoutStage::Live {
        if state.listed_at.is_none() || state.contacts_at.is_none() {
            return Ok(false);
        }
        queue_all(shared, false).await?;
        shared.optouts().set_optout_stage(&shared.name, OptoutStage::Live, None).await?;
    }
    Ok(true)
}

/// Carries out what was decided about opt-outs that are held, and says how many there are. Gives whether something was decided.
async fn judge_held(shared: &Arc<Shared>, state: &OptoutState) -> Result<bool, RunError> {
    let mut held = shared.optouts().held_optouts(&shared.name).await?;
    let accepted = shared.context.options.optouts.accept.then_some(Approval::Write);
    let approval = accepted.filter(|_| held > 0).or(state.approval);
    if let Some(approval) = approval {
        shared.optouts().carry_out_approval(&shared.name, approval).await?;
        held = 0;
    }
    let note = (held > 0).then(|| {
        if shared.flow().topics {
            return format!(
                "{1} of {0} are not subscribed to a topic although the contact consents, and it is not known which side is the later one; they \
                 stay so. `d365map optout reconcile --keep {0}` confirms that, `d365map optout reconcile --accept {0}` subscribes them",
                shared.flow().mapping,
                counted(held, "profile")
            );
        }
        format!(
            "opt-outs of {1} are missing in Dynamics, and it is not known which side is the later one; these opt-outs stay. \
             `d365map optout reconcile --keep {0}` confirms that, `d365map optout reconcile --accept {0}` lifts them",
            shared.flow().mapping,
            counted(held, "profile")
        )
    });
    if let Some(note) = &note {
        tracing::warn!(flow = shared.name, "{note}");
        shared.context.emit(RunEvent::Noted(Note::OptOutsToDecide, held));
    }
    if note != state.note {
        shared.optouts().set_optout_stage(&shared.name, OptoutStage::Live, note.as_deref()).await?;
    }
    Ok(approval.is_some())
}

/// Queues every person about whom there is something to do.
async fn queue_all(shared: &Arc<Shared>, held: bool) -> Result<(), RunError> {
    let mut after = String::new();
    loop {
        let rule = shared.rule;
        let due = Box::new(move |person: &Person| rule.is_due(person));
        let (last, _) = shared.optouts().queue_optouts(&shared.name, &after, CHUNK, held, due).await?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

impl Shared {
    fn optouts(&self) -> &dyn OptOuts {
        &*self.context.stores.optouts
    }

    /// Counts a stored page of either side.
    fn count_page(&self, outcome: &OptoutIntake) {
        let events = &self.context.events;
        events.emit(RunEvent::PagesRead(1));
        events.emit(RunEvent::Read(outcome.records));
        events.emit(RunEvent::Unchanged(outcome.unchanged));
        events.emit(RunEvent::Forgotten(outcome.forgotten));
        self.context.note_backlog(outcome.backlog);
    }
}

/// Reads both sides of a flow and tells what they disagree about and what a run would write; writes nothing anywhere, and asks
/// nothing of the state. The name is that of the mapping; without one, all flows of opt-outs.
///
/// # Errors
/// [`RunError`].
pub async fn reconcile(
    plan: &Arc<ExecutionPlan>,
    services: &Services,
    options: &Options,
    mapping: Option<&str>,
    stop: &CancellationToken,
) -> Result<Vec<Reconciliation>, RunError> {
    if let Some(name) = mapping
        && !plan.optouts.iter().any(|flow| flow.mapping == name)
    {
        let known = plan.optouts.iter().map(|f| format!("`{}`", f.mapping)).collect::<Vec<_>>().join(", ");
        return Err(RunError::UnknownMapping { name: name.to_owned(), known });
    }
    let mut reports = Vec::new();
    for (index, _) in plan.optouts.iter().enumerate().filter(|(_, f)| mapping.is_none_or(|name| f.mapping == name)) {
        reports.push(compare(plan, services, options, index, store::in_memory()?, stop).await?);
    }
    Ok(reports)
}

/// Reads both sides of a flow into a separate store, and compares what is known then.
async fn compare(
    plan: &Arc<ExecutionPlan>,
    services: &Services,
    options: &Options,
    index: usize,
    stores: Stores,
    stop: &CancellationToken,
) -> Result<Reconciliation, RunError> {
    let name = plan.optouts.get(index).map(name_of).unwrap_or_default();
    let (run, _) = stores.runs.start_run(RunKind::Once, std::slice::from_ref(&name), Duration::ZERO).await?;
    let context = Context {
        plan: plan.clone(),
        services: services.clone(),
        stores,
        run,
        // A reading pauses to write when too much waits: here nothing is ever written.
        options: Options { backlog_high_water: u64::MAX, ..options.clone() },
        stop: stop.child_token(),
        events: Publisher::default().workflow(&name),
        memory: options.memories.workflow(&name),
    };
    let (shared, begun) = Shared::begin(context, index).await?;
    if shared.flow().topics {
        topics::check_services(&shared).await?;
        contacts::read(&shared, begun).await?;
        profiles::read(&shared).await?;
        topics::look_at_all(&shared).await?;
    } else {
        read(&shared, begun).await??;
    }
    report::of(&shared).await
}
