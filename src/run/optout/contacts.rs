//! The Dynamics side: contacts by change tracking, with a cursor of the flow's own.

use std::sync::Arc;

use serde_json::Value;

use super::rule::ContactSight;
use super::{Begun, Shared, sight};
use crate::connect::{ConnectError, Trail};
use crate::json;
use crate::run::paging::next_page;
use crate::run::{RunError, failure};
use crate::store::{Cursor, CursorMove, Fate, Mark, OptoutStage, Reason, Sightings, Unseen};
use crate::systems::{self, PageRequest, Row};

/// What a page says of a contact.
enum Sight {
    Seen(ContactSight),
    Gone,
}

/// Reads contacts until the round is over.
pub(super) async fn read(shared: &Arc<Shared>, (state, mut cursor): Begun) -> Result<(), RunError> {
    let pairs = shared.fingerprint();
    // After the first listing every profile is known that was there: the profile of a contact that comes later has not been read.
    let listed = state.listed_at.is_some();
    // The round has met a row that does not say which record it is about.
    let mut unnamed = false;
    let mut trail = Trail::default();
    loop {
        if shared.stopped() {
            return Ok(());
        }
        let size = shared.context.options.page_size;
        let query = shared.query.clone();
        let request = match &cursor.link {
            Some(link) => PageRequest::Follow { cursor: systems::Cursor::from(link.clone()), query, page_size: size },
            None => PageRequest::First { query, track_changes: shared.tracked, page_size: size },
        };
        let Some(fetched) = next_page(&*shared.source, &request, &mut trail, &shared.context.stop).await else { return Ok(()) };
        let page = match fetched {
            Ok(page) => page,
            Err(ConnectError::DeltaExpired { .. }) => {
                tracing::warn!(flow = shared.name, "the change-tracking token has expired: reading all contacts again");
                let to = CursorMove::Restart { reason: Reason::Resync, plan_fingerprint: pairs.clone() };
                let mark = Mark::Contacts { from: cursor, to };
                shared.optouts().store_optouts(&shared.name, Sightings::none(), mark).await?;
                cursor = moved(shared, &pairs).await?;
                trail = Trail::default();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut sights = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            match row {
                Row::Changed(record) => match read_contact(shared, record.get()) {
                    Some(sight) => sights.push(sight),
                    None => skipped(shared, "the record has no readable id", &mut unnamed),
                },
                Row::Unusable { problem } => skipped(shared, problem, &mut unnamed),
                // Also one that has merely become invisible to us: what cannot be read cannot be compared.
                Row::Deleted { id, .. } => sights.push((id.clone(), Sight::Gone)),
            }
        }
        let over = page.next.is_none();
        let to = match page.next {
            Some(link) => CursorMove::Next(link.into()),
            // What was not seen may be what had no id.
            None => {
                let unseen = if unnamed { Unseen::Keep } else { Unseen::Delete };
                CursorMove::RoundEnd { link: page.changes.map(Into::into), unseen }
            }
        };
        let mark = Mark::Contacts { from: cursor, to };
        let (rule, topics) = (shared.rule, shared.flow().topics);
        let sightings = Sightings::new(sights, move |known, sight| {
            let Sight::Seen(sight) = sight else { return Fate::Drop };
            let before = known.clone();
            let mut person = known.unwrap_or_default();
            let out_before = before.as_ref().and_then(|p| p.contact.as_ref()).map(|c| c.out);
            let news = out_before != Some(sight.out);
            let any = !(sight.out & rule.pairs).is_empty();
            rule.contact_seen(&mut person, sight);
            person.look |= listed && news && (any || (topics && out_before.is_none())) && person.profile.is_none();
            if before.as_ref() == Some(&person) {
                return Fate::Leave;
            }
            let due = rule.is_due(&person);
            Fate::Keep { person: Box::new(person), due }
        });
        let outcome = shared.optouts().store_optouts(&shared.name, sightings, mark).await?;
        shared.count_page(&outcome);
        if over {
            return Ok(());
        }
        if outcome.backlog >= shared.context.options.backlog_high_water && state.stage == OptoutStage::Live {
            super::work::work(shared).await?;
        }
        cursor = moved(shared, &pairs).await?;
    }
}

async fn moved(shared: &Arc<Shared>, pairs: &str) -> Result<Cursor, RunError> {
    Ok(shared.context.stores.cursors.cursor_or_first(&shared.name, pairs).await?)
}

/// A contact as a page has it; none where it does not say whose it is.
fn read_contact(shared: &Shared, text: &str) -> Option<(String, Sight)> {
    let (record, _) = json::readable(text)?;
    let record = Value::Object(record);
    let id = record.get(&shared.query.primary_key).and_then(Value::as_str).filter(|id| !id.is_empty())?;
    Some((id.to_ascii_lowercase(), Sight::Seen(sight::of(shared, &record))))
}

/// Counts a row that does not say whose it is.
fn skipped(shared: &Shared, problem: &str, unnamed: &mut bool) {
    tracing::warn!(flow = shared.name, problem, "a row does not say which contact it is about; it is skipped");
    failure::nameless(&shared.context.events, &shared.context.plan, shared.flow().at, problem);
    *unnamed = true;
}
