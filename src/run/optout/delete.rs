//! Before a mapping deletes a profile: Campaign may have the only copy of an opt-out, so it is read and on disk here before the profile
//! goes. It is brought to the contact if that still exists, and the profile that is made if the contact comes back begins with it.

use super::{name_of, profiles, rule_of};
use crate::connect::ConnectError;
use crate::run::{Context, RunError};
use crate::store::{Flags, Person};
use crate::systems::campaign::Key;

/// Reads a profile that a mapping is about to delete, and keeps its opt-outs. Does nothing for mappings without opt-outs. The inner error
/// is Campaign's: then the profile must not be deleted yet.
pub(in crate::run) async fn keep_before_delete(
    context: &Context,
    mapping: &str,
    resource: &str,
    key: &str,
) -> Result<Result<(), ConnectError>, RunError> {
    let flow = context.plan.optouts.iter().find(|flow| flow.mapping == mapping);
    let (Some(flow), Some(id)) = (flow, profiles::contact_of(key)) else { return Ok(Ok(())) };
    let at = context.now();
    let attribute = context.plan.flow(mapping).map(|flow| flow.key.path.join(".")).unwrap_or_default();
    // Another profile's answer would keep another person's opt-outs.
    let identity = Key::Identity { attribute: &attribute, value: key };
    let profile = match context.services.campaign()?.get(resource, identity).await {
        Ok(Some(profile)) => profile,
        Ok(None) => return Ok(Ok(())),
        Err(error) => return Ok(Err(error)),
    };
    let sight = profiles::sight(&profile, at, context.now());
    let rule = rule_of(flow, &context.options);
    let out = sight.out;
    let after = move |known: Option<Person>| {
        let mut person = known.unwrap_or_default();
        rule.profile_deleted(&mut person, &sight);
        let due = rule.is_due(&person);
        (person, due)
    };
    context.stores.optouts.keep_optouts(mapping, &name_of(flow), &id, out, Box::new(after)).await?;
    Ok(Ok(()))
}

/// The attributes with which a profile begins because an earlier profile of the same contact had them, by their names on the wire.
pub(in crate::run) fn kept_attributes(kept: Flags) -> impl Iterator<Item = &'static str> {
    profiles::names(kept)
}
