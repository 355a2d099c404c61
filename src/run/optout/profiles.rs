//! The Campaign side: profiles in pages, those that changed where Campaign has a filter for that, else all of them now and then.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use super::rule::ProfileSight;
use super::sight::instant;
use super::{ChangedProfiles, Shared, topics};
use crate::connect::sftp::OptOut;
use crate::run::RunError;
use crate::store::{Fate, Flags, Mark, OptoutState, Sightings};
use crate::systems::ChangedSince;
use crate::time::Instant;

/// How far behind the latest change that was seen a reading of changes begins: what is committed late is not missed. [K]
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// The filter that docs/optout.md describes, and its parameter.
const CHANGED_FILTER: (&str, &str) = ("byLastModified", "lastModified_parameter");
/// How often all profiles are listed beside a filter that was found and not configured: its results are not confirmed.
const LISTING_BESIDE_FOUND_FILTER: Duration = Duration::from_secs(24 * 3600);
/// The pause after a listing, as a multiple of the time that it took: listing takes 2 % of the time at most.
const LISTING_PAUSE: u32 = 50;
/// The longest pause that the size alone gives.
const LONGEST_LISTING_PAUSE: Duration = Duration::from_secs(3600);

/// Reads profiles, where it is time to.
pub(super) async fn read(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(state) = shared.optouts().optout_state(&shared.name).await? else { return Ok(()) };
    let began = shared.context.now();
    let changed = match next_reading(shared, &state, began).await {
        Reading::Nothing => return Ok(()),
        Reading::All => None,
        Reading::Changed(filter, high) => Some((filter, high - OVERLAP)),
    };
    let full = changed.is_none();
    let changed = changed.as_ref();
    let changed = changed.map(|(by, since)| ChangedSince { filter: &by.filter, parameter: &by.parameter, since: *since });
    let listed = shared.context.options.clock.elapsed();
    let mut high_water = None;
    let mut pages = shared.profiles.list(&shared.resource, changed, shared.context.options.page_size).await?;
    loop {
        // Before the request: what the page says held then or later.
        let at = shared.context.now();
        let page = tokio::select! {
            page = pages.next() => page?,
            () = shared.context.stop.cancelled() => return Ok(()),
        };
        let answered = shared.context.now();
        let Some(profiles) = page else { break };
        if shared.flow().topics {
            let keys: Vec<(String, ())> = profiles.iter().filter_map(|profile| Some((key_of(profile)?, ()))).collect();
            let pairs = shared.rule.pairs;
            let sightings = Sightings::new(keys, move |known, ()| topics::listed(known, pairs));
            let outcome = shared.optouts().store_optouts(&shared.name, sightings, Mark::Profiles).await?;
            shared.count_page(&outcome);
            continue;
        }
        high_water = high_water.max(profiles.iter().filter_map(|p| instant(p, "lastModified")).max());
        let sights: Vec<(String, ProfileSight)> = profiles.iter().filter_map(|p| Some((key_of(p)?, sight(p, at, answered)))).collect();
        let rule = shared.rule;
        let sightings = Sightings::new(sights, move |known, sight| {
            let before = known.clone();
            let mut person = known.unwrap_or_default();
            rule.profile_seen(&mut person, &sight);
            if before.as_ref().is_some_and(|before| same_but_seen(before, &person)) {
                return Fate::Same { seen: sight.at };
            }
            let due = rule.is_due(&person);
            Fate::Keep { person: Box::new(person), due }
        });
        let outcome = shared.optouts().store_optouts(&shared.name, sightings, Mark::Profiles).await?;
        shared.count_page(&outcome);
    }
    if full {
        let took = shared.context.options.clock.elapsed().saturating_sub(listed);
        shared.context.memory.note_listing(took);
    }
    let high_water = mark(high_water, began, shared.rule.tolerance);
    Ok(shared.optouts().end_poll(&shared.name, began, full, high_water).await?)
}

/// How far a complete reading reaches: up to the latest change that it brought, but not beyond its beginning, since a profile may have
/// changed again after its page was read. Both clocks may differ by the tolerance.
///
/// It is kept in memory until the reading is complete. One that breaks off begins again at the old mark: a later page may hold an older
/// change, and a list that is asked for again need not have the same pages.
fn mark(latest: Option<Instant>, began: Instant, tolerance: TimeDelta) -> Option<Instant> {
    latest.map(|latest| latest.min(began - tolerance))
}

/// What is read of profiles in a round.
enum Reading {
    /// It is not time to list all of them again, and no filter gives those that changed.
    Nothing,
    All,
    /// Those that this filter gives, changed since about that time.
    Changed(ChangedProfiles, Instant),
}

async fn next_reading(shared: &Shared, state: &OptoutState, now: Instant) -> Reading {
    let settings = &shared.context.options.optouts;
    let is_topics = shared.flow().topics;
    // No filter shows whose subscriptions have changed.
    let configured = settings.changed_profiles.clone().filter(|_| !is_topics);
    // A clock that was set back must not keep the flow from listing.
    let listed = state.full_at.filter(|_| state.listed_at.is_some());
    let listed_within = |pause: Duration| {
        let pause = TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX);
        listed.is_some_and(|at| now - at >= TimeDelta::zero() && now - at < pause)
    };
    if is_topics {
        return if listed_within(settings.list_every.max(settings.review_every)) { Reading::Nothing } else { Reading::All };
    }
    let filter_alone = configured.is_some() || listed_within(LISTING_BESIDE_FOUND_FILTER);
    let resting = configured.is_none() && listed_within(settings.list_every.max(listing_pause(shared)));
    let filter = match configured {
        Some(configured) => Some(configured),
        None => found_filter(shared, !resting).await,
    };
    match (filter, listed.and(state.high_water)) {
        (Some(filter), Some(high)) if filter_alone => Reading::Changed(filter, high),
        _ if resting => Reading::Nothing,
        _ => Reading::All,
    }
}

/// The pause after a listing of all profiles, so that it takes a small share of the time however many there are. Only in a watch:
/// a run that goes through once has no listing before.
fn listing_pause(shared: &Shared) -> Duration {
    pause_after(shared.context.memory.listing())
}

fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(LISTING_PAUSE).min(LONGEST_LISTING_PAUSE)
}

/// The filter that the documentation describes, if Campaign has it although the project does not name it.
async fn found_filter(shared: &Shared, again: bool) -> Option<ChangedProfiles> {
    let (filter, parameter) = CHANGED_FILTER;
    let found = shared.profiles.has_filter(&shared.resource, filter, parameter, again).await;
    found.then(|| ChangedProfiles { filter: filter.to_owned(), parameter: parameter.to_owned() })
}

fn same_but_seen(before: &crate::store::Person, after: &crate::store::Person) -> bool {
    let mut after = after.clone();
    if let (Some(before), Some(profile)) = (&before.profile, &mut after.profile) {
        profile.seen = before.seen;
    }
    *before == after
}

/// The contact that a profile belongs to by its key; none of one that others have made.
fn key_of(profile: &Value) -> Option<String> {
    contact_of(profile.get("externalId").and_then(Value::as_str)?)
}

/// The contact of a profile's key. A contact's id is a GUID, and no other key can be one's. Keys are written in small letters and with nothing
/// around them, and writes address them so: a key in another form is another profile's.
pub(super) fn contact_of(key: &str) -> Option<String> {
    Uuid::parse_str(key).ok().map(|id| id.to_string()).filter(|id| id == key)
}

/// What a profile says. `at`: when it was asked for; `answered`: when the answer had come; both by our clock.
pub(super) fn sight(profile: &Value, at: Instant, answered: Instant) -> ProfileSight {
    let out = OptOut::ALL.into_iter().filter(|attribute| match profile.get(attribute.rest_name()) {
        Some(Value::Bool(value)) => *value,
        // Assumed: an instance may write a boolean otherwise, as exports do. A missing attribute is false.
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true") || text == "1",
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    });
    let (created, modified) = (instant(profile, "created"), instant(profile, "lastModified"));
    ProfileSight { out: out.map(super::flag).collect::<Flags>(), created, at, answered, modified }
}

/// The attributes of a profile by their names on the wire.
pub(super) fn names(flags: Flags) -> impl Iterator<Item = &'static str> {
    OptOut::ALL.into_iter().filter(move |attribute| flags.has(super::flag(*attribute))).map(OptOut::rest_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_in_the_form_that_writes_address_is_a_contacts() {
        let id = "c0000000-0000-4000-8000-00000000000a";
        assert_eq!(contact_of(id).as_deref(), Some(id));
        for other in [&id.to_uppercase(), &format!("{{{id}}}"), &id.replace('-', ""), &format!("urn:uuid:{id}"), "shop-1", ""] {
            assert_eq!(contact_of(other), None, "{other}");
        }
    }
    #[test]
    fn a_listing_takes_two_percent_of_the_time_and_is_made_every_hour_however_long_it_takes() {
        let pauses = [0, 1, 60, 72, 73, 36_000, u64::MAX].map(|seconds| pause_after(Duration::from_secs(seconds)).as_secs());
        assert_eq!(pauses, [0, 50, 3_000, 3_600, 3_600, 3_600, 3_600]);
    }

    #[test]
    fn a_mark_is_not_behind_the_latest_change_nor_after_the_beginning_of_the_reading() {
        let at = |second| Instant::from_timestamp(second, 0).unwrap();
        let mark = |latest| mark(latest, at(1_000), TimeDelta::seconds(5));
        assert_eq!((mark(Some(at(900))), mark(Some(at(1_200))), mark(None)), (Some(at(900)), Some(at(995)), None));
    }
}
