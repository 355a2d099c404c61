//! Before a mapping deletes a profile: Campaign may have the only copy of an opt-out, so it is read and on disk here before the profile
//! goes. It is brought to the contact if that still exists, and the profile that is made if the contact comes back begins with it.

use super::{flag_of, ingress_of, name_of, profiles, rule_of, topics};
use crate::connect::ConnectError;
use crate::run::{Context, RunError};
use crate::store::{Flags, Person};
use crate::systems::{RecordKey, SubscribedProfile, Table};

/// Reads a profile that a mapping is about to delete, and keeps its opt-outs. Does nothing for mappings without opt-outs. The inner error
/// is Campaign's: then the profile must not be deleted yet.
pub(in crate::run) async fn keep_before_delete(
    context: &Context,
    mapping: &str,
    resource: &str,
    key: &str,
) -> Result<Result<(), ConnectError>, RunError> {
    let mut flows = context.plan.optouts.iter().filter(|flow| flow.mapping == mapping);
    let (Some(flow), Some(id)) = (flows.next(), profiles::contact_of(key)) else { return Ok(Ok(())) };
    let has_topics = flow.topics || flows.any(|flow| flow.topics);
    let at = context.now();
    let ingress = ingress_of(&context.plan, flow)?;
    let attribute = ingress.key.path.join(".");
    // Another profile's answer would keep another person's opt-outs.
    let table = Table { name: ingress.target.name(), collection: resource };
    let record = RecordKey { table, attribute: &attribute, value: key };
    let read = if has_topics {
        let found = context.services.subscriptions(ingress)?.subscriptions(record).await;
        found.map(|found| found.map(|found| (found.profile.clone(), Some(found))))
    } else {
        context.services.profiles(ingress)?.get(record).await.map(|found| found.map(|found| (found.record, None)))
    };
    let (profile, subscriptions) = match read {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Ok(())),
        Err(error) => return Ok(Err(error)),
    };
    let sight = profiles::sight(&profile, at, context.now());
    let out = sight.out;
    let flags: Vec<Flags> = flow.pairs.iter().map(flag_of).collect();
    let rule = rule_of(flow, &flags, &context.options);
    let is_attributes = !flow.topics;
    let after = move |known: Option<Person>| {
        let mut person = known.unwrap_or_default();
        // A block of topics alone has no workflow that could bring attributes to the contact. They are kept anyway.
        if is_attributes {
            rule.profile_deleted(&mut person, &sight);
        }
        let due = is_attributes && rule.is_due(&person);
        (person, due)
    };
    context.stores.optouts.keep_optouts(mapping, &name_of(flow), &id, out, Box::new(after)).await?;
    if let Some(subscriptions) = subscriptions {
        keep_topics(context, mapping, &id, &subscriptions, at).await?;
    }
    Ok(Ok(()))
}

/// Keeps the topics that somebody has opted out of in a profile, so that a profile that is made again does not begin with them.
async fn keep_topics(
    context: &Context,
    mapping: &str,
    id: &str,
    subscriptions: &SubscribedProfile,
    at: crate::time::Instant,
) -> Result<(), RunError> {
    let Some(flow) = topics::of_mapping(context, mapping) else { return Ok(()) };
    let (_, _, flags) = topics::begin(&*context.stores.optouts, flow).await?;
    let sight = topics::sight(flow, &flags, subscriptions, (at, context.now()));
    let rule = rule_of(flow, &flags, &context.options);
    let after = move |known: Option<Person>| match known {
        Some(mut person) => {
            let out = rule.topics_deleted(&mut person, &sight);
            (Some(person), out)
        }
        None => (None, sight.out),
    };
    Ok(context.stores.optouts.keep_topics(&name_of(flow), id, Box::new(after)).await?)
}

/// The attributes with which a profile begins because an earlier profile of the same contact had them, by their names on the wire.
pub(in crate::run) fn kept_attributes(kept: Flags) -> impl Iterator<Item = &'static str> {
    profiles::names(kept)
}
