//! Opt-outs per topic: subscriptions of a profile to services of Campaign, where not to be subscribed is the opt-out.
//!
//! They are a separate workflow beside that of the attributes, with the same rule, and go from Dynamics to Campaign only. What differs:
//!
//! * A list of profiles does not show subscriptions, and no list shows when one ended. So the listing only says whose subscriptions are to be
//!   read, each with two requests (`work.rs`): at first everybody's who has a profile, then once a day those of contacts with an opt-out.
//! * A subscription does not change the profile, so its `lastModified` says nothing. The time of the answer counts.
//! * Each is begun and ended by a separate request.
//! * A profile that the mapping has just made is subscribed to nothing; the transaction that stores the answer to its create notes
//!   that ([`announce`] has the state ready for it before the mapping's first write).

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::rule::ProfileSight;
use super::sight::instant;
use super::{CHUNK, Shared, fingerprint, name_of};
use crate::connect::ConnectError;
use crate::plan::OptoutFlow;
use crate::run::{Context, RunError};
use crate::store::{Cursor, Fate, Flags, Mark, OptOuts, OptoutState, Person, Sightings, StoreError};
use crate::systems::{SubscribedProfile, Subscriptions, Written, no_service};
use crate::time::Instant;

/// Begins the workflow, or goes on with it. Also gives the place of each pair.
pub(super) async fn begin(optouts: &dyn OptOuts, flow: &OptoutFlow) -> Result<(OptoutState, Cursor, Vec<Flags>), StoreError> {
    let services = flow.pairs.iter().map(|pair| pair.target.clone()).collect();
    optouts.begin_topics(&name_of(flow), &fingerprint(flow), services).await
}

/// Before a mapping writes: from now on the state notes which profiles it makes, if it has topics.
pub(in crate::run) async fn announce(context: &Context, mapping: &str) -> Result<(), RunError> {
    if let Some(flow) = of_mapping(context, mapping) {
        begin(&*context.stores.optouts, flow).await?;
    }
    Ok(())
}

/// The topics of a mapping.
pub(super) fn of_mapping<'c>(context: &'c Context, mapping: &str) -> Option<&'c OptoutFlow> {
    context.plan.optouts.iter().find(|flow| flow.topics && flow.mapping == mapping)
}

/// Whether Campaign has the services. A name that it does not have would be taken for a topic without subscribers. In a watch they are
/// listed as seldom as profiles are.
pub(super) async fn check_services(shared: &Shared) -> Result<(), RunError> {
    let Some(subscriptions) = &shared.subscriptions else { return Ok(()) };
    let (now, fingerprint) = (shared.context.options.clock.elapsed(), shared.fingerprint());
    let pause = shared.context.options.optouts.list_every;
    if shared.context.memory.services(&fingerprint).is_some_and(|listed| now.saturating_sub(listed) < pause) {
        return Ok(());
    }
    let known = subscriptions.services().await?;
    let missing = shared.flow().pairs.iter().find(|pair| !known.contains(&pair.target));
    match missing {
        None => {
            shared.context.memory.note_services(fingerprint, now);
            Ok(())
        }
        Some(pair) => Err(no_service(shared.profiles.system(), &pair.target, Some(shared.context.plan.place(pair.at).to_string())).into()),
    }
}

/// What a profile says, by its subscriptions. `at`: when it was asked for; `answered`: when the answer had come; both by our clock.
pub(super) fn sight(flow: &OptoutFlow, flags: &[Flags], found: &SubscribedProfile, (at, answered): (Instant, Instant)) -> ProfileSight {
    let created = instant(&found.profile, "created");
    let out = flow.pairs.iter().zip(flags).filter(|(pair, _)| !found.services.contains(&pair.target)).map(|(_, flag)| *flag);
    ProfileSight { out: out.collect(), created, at, answered, modified: None }
}

/// Reads the profile of a contact with its subscriptions.
pub(super) async fn look(
    shared: &Shared,
    subscriptions: &dyn Subscriptions,
    id: &str,
) -> Result<Option<(ProfileSight, SubscribedProfile)>, ConnectError> {
    let at = shared.context.now();
    let Some(found) = subscriptions.subscriptions(shared.profile(id)).await? else { return Ok(None) };
    let sight = sight(shared.flow(), &shared.flags, &found, (at, shared.context.now()));
    Ok(Some((sight, found)))
}

/// Subscribes a profile to a service, or ends its subscription (`out`).
pub(super) async fn write(
    subscriptions: &dyn Subscriptions,
    profile: &SubscribedProfile,
    service: &str,
    out: bool,
) -> Result<Written, ConnectError> {
    if out { subscriptions.unsubscribe(profile, service).await } else { subscriptions.subscribe(profile, service).await }
}

/// What a write is about, for people.
pub(super) fn body(service: Option<&str>, out: bool) -> String {
    json!({ "service": service, "subscribed": !out }).to_string()
}

/// Whether an error shows that a request to subscribe was not carried out, and will not be.
pub(super) fn had_no_effect(error: &ConnectError) -> bool {
    !matches!(error, ConnectError::OutcomeUnknown { .. } | ConnectError::Protocol { .. } | ConnectError::Forbidden { .. })
}

/// Whose subscriptions a listing of profiles makes the workflow read: those of contacts that it knows, if they were not read before or
/// if the contact has an opt-out.
pub(super) fn listed(known: Option<Person>, pairs: Flags) -> Fate {
    let Some(mut person) = known else { return Fate::Leave };
    let Some(contact) = &person.contact else { return Fate::Leave };
    if person.look || (person.profile.is_some() && (contact.out & pairs).is_empty()) {
        return Fate::Leave;
    }
    person.look = true;
    Fate::Keep { person: Box::new(person), due: true }
}

/// Reads the subscriptions of everybody who is to be read, and writes nothing: for a comparison.
pub(super) async fn look_at_all(shared: &Arc<Shared>) -> Result<(), RunError> {
    let Some(subscriptions) = &shared.subscriptions else { return Ok(()) };
    let mut after = String::new();
    loop {
        let page = shared.optouts().optouts(&shared.name, &after, CHUNK).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.clone();
        let mut due = page.into_iter().filter(|(_, person)| person.look || !person.newborn.is_empty()).map(|(id, _)| id);
        let (mut looks, mut sights) = (JoinSet::new(), Vec::new());
        loop {
            while looks.len() < shared.context.options.concurrency.max(1)
                && let Some(id) = due.next()
            {
                let (shared, subscriptions) = (shared.clone(), subscriptions.clone());
                looks.spawn(async move { (look(&shared, &*subscriptions, &id).await, id) });
            }
            let Some(looked) = looks.join_next().await else { break };
            let (found, id) = looked.map_err(|error| RunError::Task(error.to_string()))?;
            if shared.stopped() {
                return Ok(());
            }
            sights.push((id, found?.map(|(sight, _)| sight)));
        }
        let rule = shared.rule;
        let sightings = Sightings::new(sights, move |known, sight| {
            let mut person = known.unwrap_or_default();
            match sight {
                Some(sight) => rule.profile_seen(&mut person, &sight),
                None => rule.profile_missing(&mut person),
            }
            let due = rule.is_due(&person);
            Fate::Keep { person: Box::new(person), due }
        });
        shared.optouts().store_optouts(&shared.name, sightings, Mark::Profiles).await?;
    }
}
