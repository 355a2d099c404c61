//! The part of a seed file that is about Partner Center.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value as Json;

use super::PartnerCenter;
use super::store::Actor;
use super::tokens::Role;
use crate::lock;

/// People and referrals at the start.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartnerSeed {
    /// People besides the two that are always there.
    #[serde(default)]
    pub(super) users: Vec<UserSeed>,
    /// Bodies as in a `POST`; `id`, `engagementId`, `status`, `substatus`, `direction` and `trackingInfo` can be in them.
    #[serde(default)]
    referrals: Vec<Json>,
    /// Referrals that are made up, for tests of paging and speed.
    #[serde(default)]
    generate: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserSeed {
    pub(super) name: String,
    #[serde(default)]
    pub(super) password: Option<String>,
    pub(super) role: Role,
}

impl PartnerCenter {
    /// Puts the referrals of a seed into the service. They raise no events.
    pub(super) fn plant(&self, seed: PartnerSeed) -> Result<(), String> {
        let mut state = lock(&self.state);
        // A seed is older than everything that follows, but not so old that invitations are close to their end.
        let start = self.clock.now() - TimeDelta::hours(1);
        let given = seed.referrals.into_iter().map(|referral| (referral, "referral"));
        let made = (1..=seed.generate).map(|number| (made_up(number), "generated referral"));
        for (index, (referral, what)) in given.chain(made).enumerate() {
            let at = start + TimeDelta::milliseconds(i64::try_from(index).unwrap_or(0));
            state
                .create(&referral, Actor::Microsoft, at, &self.settings)
                .map_err(|problem| format!("partner, {what} {}: {}", index + 1, problem.message))?;
        }
        state.events.clear();
        Ok(())
    }
}

fn made_up(number: usize) -> Json {
    serde_json::json!({
        "id": format!("9e000000-0000-4000-8000-{number:012}"),
        "engagementId": format!("e9000000-0000-4000-8000-{number:012}"),
        "name": format!("Opportunity {number}"),
        "type": "Independent",
        "qualification": "SalesQualified",
        "status": "Active",
        "substatus": "Accepted",
        "direction": "Outgoing",
        "customerProfile": {"name": format!("Customer {number}"), "address": {"country": "US", "postalCode": format!("{:05}", number % 100_000)}},
        "consent": {"consentToContact": true},
        "details": {"dealValue": number * 100, "currency": "USD"},
    })
}
