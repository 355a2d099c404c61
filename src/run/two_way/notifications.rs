//! Notifications: what a webhook told between the readings becomes "look at this referral".

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::Shared;
use super::siblings::of_the_same_deal;
use crate::run::RunError;
use crate::store::{PairNotice, PairSide, WaitingNotification};
use crate::system::SystemId;

/// Notifications that are taken at once.
const BATCH: usize = 500;
/// How long a notification is known after it was handled. A delivery that comes again within this time leads to nothing.
const KNOWN: TimeDelta = TimeDelta::days(30);
/// What the names of events begin with that are about another referral of the same deal.
const RELATED: &str = "related-";

/// Queues the referrals that notifications name, and marks these as handled when that is on disk. A process that ends in between does
/// both again, which does no harm: a pair waits once.
pub(super) async fn take(shared: &Shared) -> Result<(), RunError> {
    let notifications = &shared.context.stores.notifications;
    let mut handled = false;
    while !shared.context.stop.is_cancelled() {
        let waiting = notifications.waiting_notifications(BATCH).await?;
        if waiting.is_empty() {
            break;
        }
        let notices = notices(shared, &waiting).await?;
        for workflow in workflows(shared).await? {
            let intake = shared.context.stores.pairs.take_pairs(&workflow, PairSide::Left, notices.clone(), None).await?;
            if workflow == shared.name() {
                shared.context.note_backlog(intake.backlog);
            }
        }
        let seqs: Vec<i64> = waiting.iter().map(|waiting| waiting.seq).collect();
        notifications.settle_notifications(&seqs, shared.context.now()).await?;
        handled = true;
    }
    if handled {
        notifications.prune_notifications(shared.context.now() - KNOWN).await?;
    }
    Ok(())
}

/// The workflows that look at a referral: this one, and the other two-way mappings that have run before. One that has not run yet reads
/// all referrals first.
async fn workflows(shared: &Shared) -> Result<Vec<String>, RunError> {
    let of_partner = |workflow: &&crate::plan::TwoWayFlow| workflow.left.system() == Some(SystemId::Partner);
    let flows = &shared.context.plan.two_way;
    let mut names: Vec<String> = flows.iter().filter(of_partner).map(|flow| flow.name.clone()).collect();
    if names.iter().any(|name| name != shared.name()) {
        let known = shared.context.stores.control.workflows().await?;
        names.retain(|name| name == shared.name() || known.iter().any(|workflow| workflow.name == *name));
    }
    Ok(names)
}

/// The referrals to look at, each once. Which of them take part is decided when they are read.
async fn notices(shared: &Shared, waiting: &[WaitingNotification]) -> Result<Vec<PairNotice>, RunError> {
    let mut begins: BTreeMap<String, bool> = BTreeMap::new();
    for notification in waiting.iter().map(|waiting| &waiting.notification) {
        // Of a deal, Microsoft and each partner have a referral. The one of somebody else begins nothing: ours does.
        let ours = !notification.event.starts_with(RELATED);
        let id = notification.resource.to_ascii_lowercase();
        if !ours && !begins.contains_key(&id) {
            for other in of_the_same_deal(shared, &notification.resource).await? {
                begins.insert(other.to_ascii_lowercase(), true);
            }
        }
        *begins.entry(id).or_default() |= ours;
    }
    Ok(begins.into_iter().map(|(id, begins)| PairNotice { id, version: None, begins }).collect())
}
