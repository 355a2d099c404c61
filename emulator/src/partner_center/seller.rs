//! What happens by itself: invitations expire, and a scripted Microsoft seller answers them. Both use the virtual clock.

use chrono::TimeDelta;
use serde_json::json;

use super::PartnerCenter;
use super::error::{Problem, Result};
use super::settings::SellerAction;
use super::store::{Actor, State};
use crate::lock;
use crate::time::Instant;

impl PartnerCenter {
    /// Does what is due at this moment.
    pub(super) fn tick(&self) {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let due: Vec<(String, SellerAction)> = state
            .referrals
            .values()
            .filter_map(|referral| {
                let step = self.settings.seller.steps.get(referral.steps).filter(|_| referral.microsoft);
                if let Some(step) = step.filter(|step| referral.created + TimeDelta::hours(i64::from(step.hours)) <= now) {
                    return Some((referral.id().to_owned(), step.action));
                }
                let late = referral.expires.is_some_and(|at| at <= now) && referral.phase().0 == "New";
                late.then(|| (referral.id().to_owned(), SellerAction::Expire))
            })
            .collect();
        let more = !due.is_empty();
        for (id, action) in due {
            // A step that the state of the referral does not allow is skipped.
            let _ = self.carry_out(&mut state, &id, action, None);
            if let Some(referral) = state.referrals.get_mut(&id) {
                referral.steps += 1;
                if action == SellerAction::Expire {
                    referral.expires = None;
                }
            }
        }
        let events = std::mem::take(&mut state.events);
        drop(state);
        self.publish(events);
        if more {
            self.tick();
        }
    }

    /// The seller acts on Microsoft's part of an engagement, which is given by the id of any of its referrals.
    pub(super) fn seller(&self, id: &str, action: SellerAction, msx: Option<&str>) -> Result<String> {
        let mut state = lock(&self.state);
        let engagement = match state.find(id) {
            Ok(referral) if referral.microsoft => None,
            Ok(referral) => Some(referral.engagement().to_owned()),
            Err(_) => Some(id.to_ascii_lowercase()),
        };
        let target = match engagement {
            None => id.to_ascii_lowercase(),
            Some(engagement) => {
                let sibling = state.referrals.values().find(|referral| referral.microsoft && referral.engagement() == engagement);
                sibling
                    .map(|sibling| sibling.id().to_owned())
                    .ok_or_else(|| Problem::missing("Microsoft has no part in this engagement."))?
            }
        };
        self.carry_out(&mut state, &target, action, msx)?;
        Ok(target)
    }

    fn carry_out(&self, state: &mut State, id: &str, action: SellerAction, msx: Option<&str>) -> Result<()> {
        let (status, substatus) = match action {
            SellerAction::Accept => ("Active", "Accepted"),
            SellerAction::Decline => ("Closed", "Declined"),
            SellerAction::Expire => ("Closed", "Expired"),
            SellerAction::Win => ("Closed", "Won"),
            SellerAction::Lose => ("Closed", "Lost"),
        };
        let at: Instant = self.clock.stamp();
        state.change(id, Actor::Microsoft, at, &self.settings, false, |body| {
            body["status"] = json!(status);
            body["substatus"] = json!(substatus);
            if action == SellerAction::Accept {
                let number = crate::net::mix(at.timestamp_micros() as u64) % 1_000_000_000;
                body["trackingInfo"]["microsoftMsxId"] = json!(msx.map_or_else(|| format!("7-{number:09}"), str::to_owned));
            }
            Ok(())
        })
    }
}
