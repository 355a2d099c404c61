//! Reading referrals in the order of their last change, from a place on. The service gives no change tracking, so the place is a time.
//!
//! A page that is asked for by a link could leave out a referral: one that is changed during the reading moves to the end of the order, and
//! those after it move up. So each page is asked for by the time of the last referral before it, and those that were read are left out by
//! their fingerprints. Between two readings the times overlap by [`OVERLAP`], since a change can become visible later than its time
//! says. That it becomes visible within this time is assumed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant as Moment};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::PartnerCenter;
use super::client::ListQuery;
use super::referral::Referral;
use super::tree::Node;
use crate::connect::ConnectError;
use crate::time::{Instant, format_instant, parse_instant};

/// How far a reading goes back before the last change of the reading before it.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);
/// How far a question of [`Index`] goes back that follows another one closely. With the whole overlap, the first load of many deals would read
/// all that it has created itself again for each of them.
const NEAR: TimeDelta = TimeDelta::seconds(10);
/// How often the index reads the whole overlap.
const WHOLE_EVERY: Duration = Duration::from_secs(60);

/// How old the index may be for a question. What others create in this time can be overlooked by a question that is asked just before it,
/// too; a create of ours whose answer was lost is asked for later than this after it can take effect ([`PartnerCenter::request_lifetime`]).
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// A place in a reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Changes from this time on are asked for, as the service wrote the time; all if it is missing.
    from: Option<String>,
    /// The newest change that was read.
    mark: Option<Instant>,
    /// The fingerprints of what was read of the last time: when it was changed, in microseconds since 1970, and a hash of id and version.
    recent: Vec<(i64, u64)>,
}

/// What a part of a reading brought.
#[derive(Debug)]
pub(super) struct Part {
    /// Referrals, or what is not one.
    pub(super) referrals: Vec<Result<Referral, Node>>,
    /// Where the reading goes on.
    pub(super) place: Place,
    /// Whether there is more. If not, the place is where the next reading begins.
    pub(super) more: bool,
}

/// When a referral was last changed, as it was written and as an instant.
fn changed(referral: &Result<Referral, Node>) -> Option<(&str, Instant)> {
    let body = match referral {
        Ok(referral) => referral.body(),
        Err(node) => node,
    };
    let text = body.text(&["updatedDateTime"]).or_else(|| body.text(&["createdDateTime"]))?;
    Some((text, parse_instant(text)?))
}

/// A fingerprint that is the same in every build of this program.
fn fingerprint(referral: &Result<Referral, Node>) -> u64 {
    let mut hasher = SipHasher13::new();
    match referral {
        Ok(referral) => (referral.id(), referral.etag(), referral.updated_text()).hash(&mut hasher),
        Err(node) => serde_json::to_string(node).unwrap_or_default().hash(&mut hasher),
    }
    hasher.finish()
}

impl Place {
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn read(text: &str) -> Option<Place> {
        serde_json::from_str(text).ok()
    }

    /// When the newest change was made that can have been overlooked.
    pub(super) fn since(&self) -> Option<Instant> {
        self.mark.map(|mark| mark - OVERLAP)
    }

    /// Begins the next reading this far before the newest change that was read.
    fn go_back(&mut self, by: TimeDelta) {
        if let Some(mark) = self.mark {
            self.from = Some(format_instant(mark - by));
        }
    }

    /// Forgets fingerprints that no later page can bring again.
    fn prune(&mut self) {
        let Some(since) = self.since() else { return };
        let from = self.from.as_deref().and_then(parse_instant).unwrap_or(since);
        // Another reading may go back to `since` again.
        let least = from.min(since).timestamp_micros();
        self.recent.retain(|(at, _)| *at >= least);
    }

    fn query(&self) -> ListQuery {
        let filter = self.from.as_ref().map(|from| format!("updatedDateTime ge {from}"));
        ListQuery { filter, order: Some("updatedDateTime asc") }
    }
}

impl PartnerCenter {
    /// Reads up to `size` referrals from a place on.
    pub(super) async fn read_from(&self, place: &Place, size: usize) -> Result<Part, ConnectError> {
        let mut place = place.clone();
        let mut known: HashSet<u64> = place.recent.iter().map(|(_, fingerprint)| *fingerprint).collect();
        let mut referrals = Vec::new();
        let mut page = self.list(&place.query()).await?;
        loop {
            let mut last: Option<(String, Instant)> = None;
            for referral in page.referrals {
                let when = changed(&referral).map(|(text, at)| (text.to_owned(), at));
                if let (Some((_, before)), Some((_, at))) = (&last, &when)
                    && at < before
                {
                    return Err(self.disorder());
                }
                let fingerprint = fingerprint(&referral);
                if known.contains(&fingerprint) {
                    last = when.or(last);
                    continue;
                }
                if referrals.len() == size.max(1) {
                    if let Some((text, _)) = last {
                        place.from = Some(text);
                    }
                    place.prune();
                    return Ok(Part { referrals, place, more: true });
                }
                last = when.or(last);
                let at = last.as_ref().map(|(_, at)| *at);
                place.mark = place.mark.max(at);
                place.recent.push((at.map_or(0, |at| at.timestamp_micros()), fingerprint));
                known.insert(fingerprint);
                referrals.push(referral);
            }
            let Some(next) = page.next else {
                place.from = place.since().map(format_instant);
                place.prune();
                return Ok(Part { referrals, place, more: false });
            };
            let from = place.from.as_deref().and_then(parse_instant);
            match last {
                Some((text, at)) if from.is_none_or(|from| at > from) => {
                    place.from = Some(text);
                    if !referrals.is_empty() {
                        place.prune();
                        return Ok(Part { referrals, place, more: true });
                    }
                    page = self.list(&place.query()).await?;
                }
                // A whole page of one time: there is no later time to ask for.
                _ => page = self.page(&next).await?,
            }
        }
    }

    fn disorder(&self) -> ConnectError {
        self.refused("the referrals did not come in the order of `updatedDateTime` that was asked for: changes could be overlooked")
    }
}

/// Which referral has which external reference. The service has no documented filter on it, so all are read once, and what has changed since
/// is read before a question, unless that was done just before ([`FRESH`]).
#[derive(Debug, Default)]
pub(super) struct Index {
    place: Place,
    /// When it was last read.
    read: Option<Moment>,
    /// When the whole overlap was read.
    whole: Option<Moment>,
    /// The ids by external reference, the oldest referral first.
    ids: HashMap<String, BTreeSet<(String, String)>>,
    /// The reverse, by id.
    references: HashMap<String, (String, String)>,
}

impl Index {
    /// Reads what has changed, if that was not done just before.
    pub(super) async fn refresh(&mut self, service: &PartnerCenter) -> Result<(), ConnectError> {
        self.refresh_at(service, Moment::now()).await
    }

    /// The same, by another clock.
    pub(super) async fn refresh_at(&mut self, service: &PartnerCenter, began: Moment) -> Result<(), ConnectError> {
        let within = |last: Option<Moment>, time: Duration| last.is_some_and(|last| began.duration_since(last) < time);
        if within(self.read, FRESH) {
            return Ok(());
        }
        let near = within(self.whole, WHOLE_EVERY);
        self.place.go_back(if near { NEAR } else { OVERLAP });
        loop {
            let part = service.read_from(&self.place, usize::MAX).await?;
            part.referrals.iter().flatten().for_each(|referral| self.learn(referral));
            self.place = part.place;
            if !part.more {
                self.read = Some(began);
                if !near {
                    self.whole = Some(began);
                }
                return Ok(());
            }
        }
    }

    /// Records a referral.
    pub(super) fn learn(&mut self, referral: &Referral) {
        let id = referral.id().to_owned();
        if let Some((reference, created)) = self.references.remove(&id)
            && let Some(ids) = self.ids.get_mut(&reference)
        {
            ids.remove(&(created, id.clone()));
        }
        if let Some(reference) = referral.external_reference() {
            let created = referral.body().text(&["createdDateTime"]).unwrap_or_default().to_owned();
            self.ids.entry(reference.to_owned()).or_default().insert((created.clone(), id.clone()));
            self.references.insert(id, (reference.to_owned(), created));
        }
    }

    /// The id of the oldest referral with an external reference.
    pub(super) fn id(&self, reference: &str) -> Option<String> {
        self.ids.get(reference)?.first().map(|(_, id)| id.clone())
    }

    /// When the newest change was made that the index can have overlooked.
    pub(super) fn since(&self) -> Option<Instant> {
        self.place.since()
    }
}
