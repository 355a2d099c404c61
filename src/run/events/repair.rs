//! Repair: one contact's timeline, compared with Campaign's marketing history.
//!
//! History names its events by values alone (time and label; no delivery, no id), so what is there is known by type and time, within a
//! tolerance. It is for single contacts: three calls and more for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::event::Event;
use super::{Shared, source, writer};
use crate::connect::ConnectError;
use crate::engine::events::Emitter;
use crate::plan::{EventField, EventFlow, EventPiece, EventType, ExecutionPlan};
use crate::run::calls::Sides;
use crate::run::workflow::{Kind, selected};
use crate::run::{Context, FlowCounters, Options, RunError, Services};
use crate::store::{EventMark, RunKind, RunOutcome, Stores};
use crate::systems::{HistoryEntry, Timeline};
use crate::time::{self, Instant, parse_instant};

/// Two times that are further apart are two events.
const TOLERANCE: i64 = 60_000;
/// What happened later may still be on its way by the journal.
const ON_ITS_WAY: TimeDelta = TimeDelta::hours(1);
/// Entries of history in a page.
const PAGE: u32 = 500;

/// What a repair found and did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Repair {
    /// The block.
    pub flow: String,
    /// Whether Campaign has a profile of that key.
    pub profile: bool,
    /// Entries of history, by type; others are skipped.
    pub history: BTreeMap<&'static str, u64>,
    /// Entries of types that are switched off or not carried, or too young to tell.
    pub passed_over: u64,
    /// On the timeline already, or known and not written yet: what waits, and dead letters.
    pub there: u64,
    /// Missing on the timeline.
    pub missing: u64,
    /// Activities made.
    pub created: u64,
    /// Events of the flow that still wait.
    pub backlog: u64,
}

/// Compares a contact's timeline with history and makes what is missing; with `dry`, only compares. The store must be open for running.
///
/// # Errors
/// [`RunError::UnknownMapping`] for a block that is not there; [`RunError::Service`] for a key that is not a contact's id, and as the services answer.
pub async fn repair_events(
    plan: Arc<ExecutionPlan>,
    services: Services,
    stores: Stores,
    options: Options,
    key: &str,
    dry: bool,
) -> Result<Vec<Repair>, RunError> {
    let config =
        |problem: &str, remedy: &str| RunError::Service(ConnectError::Config { problem: problem.to_owned(), remedy: remedy.to_owned() });
    let contact = Uuid::try_parse(key.trim())
        .map_err(|_| config("this is not a contact's id", "give the contact's GUID, which is the profile's externalId"))?;
    let flows: Vec<_> = selected(&plan, options.mappings.as_deref())?.into_iter().filter(|w| w.kind == Kind::Events).collect();
    if flows.is_empty() {
        return Err(config(
            "there is no event block to repair for",
            "write one: `events email: campaign.email -> d365.contact { send on }`",
        ));
    }
    let names: Vec<String> = flows.iter().map(|f| f.name.clone()).collect();
    crate::run::check_environment(&services, &stores).await?;
    // Beginning a run also recovers what an interrupted one had in progress.
    let (run, _) = stores.runs.start_run(RunKind::Once, &names, services.lifetime_after_kill()).await?;
    let mut repairs = Vec::new();
    let mut result = Ok(());
    for flow in &flows {
        let (plan, services, stores, options) = (plan.clone(), services.clone(), stores.clone(), options.clone());
        let counters = Arc::new(FlowCounters::default());
        let (memory, events) = (options.memories.workflow(&flow.name), Emitter::to(counters.clone()));
        let context = Context { plan, services, stores, run, options, stop: CancellationToken::new(), events, memory };
        match repair(context, flow.index, contact, dry).await {
            Ok(repair) => repairs.push(Repair { created: counters.created.get(), ..repair }),
            Err(error) => result = result.and(Err(error)),
        }
    }
    let outcome = if result.is_ok() { RunOutcome::Completed } else { RunOutcome::Failed };
    stores.runs.end_run(run, outcome, serde_json::to_value(&repairs).unwrap_or_default()).await?;
    result.map(|()| repairs)
}

async fn repair(context: Context, index: usize, contact: Uuid, dry: bool) -> Result<Repair, RunError> {
    let shared = Arc::new(Shared::new(context, index));
    shared.signals.end_reading();
    let name = shared.flow().name.clone();
    let mut repair = Repair { flow: name.clone(), ..Repair::default() };
    if !dry {
        // What waits goes first, so that the timeline has it.
        writer::write(shared.clone()).await?;
    }
    let (services, key) = (&shared.context.services, contact.to_string());
    let (history, timeline) = (services.history(Sides::DYNAMICS_AND_CAMPAIGN.target)?, services.timeline(shared.flow())?);
    let Some(all) = history.history(&key, PAGE).await? else { return Ok(repair) };
    repair.profile = true;
    let mut entries: BTreeMap<EventType, Vec<(Instant, HistoryEntry)>> = BTreeMap::new();
    let newest = shared.context.now() - ON_ITS_WAY;
    for entry in all {
        match (kind_of(&entry), entry.date) {
            (Some(kind), Some(at)) if shared.flow().types.contains(&kind) && at <= newest && time::fits_dynamics(at) => {
                *repair.history.entry(kind.name()).or_default() += 1;
                entries.entry(kind).or_default().push((at, entry));
            }
            _ => repair.passed_over += 1,
        }
    }
    // What is postponed or refused comes later, under its own id.
    let unwritten = shared.context.stores.events.unwritten_events_of(&name, &key).await?;
    let mut missing = Vec::new();
    for (kind, mut entries) in entries {
        let mut there = activities(&*timeline, shared.flow(), kind, contact).await?;
        for waiting in unwritten.iter().filter(|waiting| waiting.kind == kind.name()) {
            if let (Ok(id), Ok(event)) = (Uuid::try_parse(&waiting.activity), serde_json::from_str::<Event>(&waiting.payload)) {
                // Its activity may exist without being completed: it still counts.
                there.entry(id).or_insert(event.at);
            }
        }
        let mut there: Vec<i64> = there.into_values().collect();
        there.sort_unstable();
        entries.sort_by_key(|(at, _)| *at);
        let times: Vec<i64> = entries.iter().map(|(at, _)| at.timestamp_millis()).collect();
        let found = matched(&times, there);
        for ((at, entry), found) in entries.into_iter().zip(found) {
            if found {
                repair.there += 1;
                continue;
            }
            repair.missing += 1;
            let mirror_page = match &entry.mirror_page {
                Some(page) if !dry => history.mirror_page(page).await?,
                Some(_) | None => None,
            };
            missing.push(Event {
                kind,
                contact,
                at: at.timestamp_millis(),
                delivery: None,
                delivery_label: None,
                campaign: None,
                // The one text that history has.
                campaign_label: Some(entry.label).filter(|label| !label.is_empty()),
                mirror_page,
                url: None,
                reason: None,
                log: None,
            });
        }
    }
    if !dry {
        source::take(&shared, missing, EventMark::None).await?;
        writer::write(shared.clone()).await?;
    }
    repair.backlog = shared.context.stores.outbox.backlog_size(&name).await?;
    Ok(repair)
}

/// The type of an entry of history. Assumed: the label contains the word; documented is one for a send, `Send via email`. A bounce is skipped, since
/// history does not say whether it is hard.
fn kind_of(entry: &HistoryEntry) -> Option<EventType> {
    if !entry.category.eq_ignore_ascii_case("email") {
        return None;
    }
    let label = entry.label.to_ascii_lowercase();
    if label.contains("click") {
        Some(EventType::Click)
    } else if label.contains("open") {
        Some(EventType::Open)
    } else if label.contains("bounce") || label.contains("fail") {
        None
    } else if label.contains("send") || label.contains("sent") {
        Some(EventType::Send)
    } else {
        None
    }
}

/// The times of a contact's activities of one type, in milliseconds, by their ids.
async fn activities(timeline: &dyn Timeline, flow: &EventFlow, kind: EventType, contact: Uuid) -> Result<BTreeMap<Uuid, i64>, RunError> {
    let date = flow.columns.iter().find(|c| c.value == [EventPiece::Field(EventField::Date)]).map(|c| c.column.as_str());
    let (Some(date), Some(activity)) = (date, flow.activities.iter().find(|a| a.kind == kind)) else {
        return Err(RunError::Service(ConnectError::Config {
            problem: "the event block writes no date, which is needed to recognize an activity".to_owned(),
            remedy: "write it to a column: `date -> actualend`".to_owned(),
        }));
    };
    let table = timeline.activity_table(&activity.table).await?;
    let found = timeline.on_timeline(&table, contact, date).await?;
    let time = |text: Option<String>| text.as_deref().and_then(parse_instant).map(|at| at.timestamp_millis());
    Ok(found.into_iter().filter_map(|(id, text)| Some((id, time(text)?))).collect())
}

/// For each of the sorted `entries` whether one of the sorted `there` is it; each of these is one entry at most.
fn matched(entries: &[i64], there: Vec<i64>) -> Vec<bool> {
    let mut there = there.into_iter().peekable();
    entries
        .iter()
        .map(|at| {
            while there.next_if(|t| *t < at - TOLERANCE).is_some() {}
            there.next_if(|t| *t <= at + TOLERANCE).is_some()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_stands_for_one_entry_of_history_within_a_minute() {
        assert_eq!(matched(&[0, 100_000, 500_000], vec![30_000, 101_000]), [true, true, false]);
        assert_eq!(matched(&[0, 1_000], vec![500]), [true, false], "two sends within a second are two");
        assert_eq!(matched(&[500_000], vec![0, 100_000, 560_000]), [true]);
        assert_eq!(matched(&[500_000], vec![560_001]), [false]);
    }
}
