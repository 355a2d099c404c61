//! Reading: what a side tells has changed since the last round becomes "look at this pair".

use std::sync::Arc;

use super::Shared;
use super::fields::{Fault, identifier, text_at, version};
use crate::connect::{ConnectError, Trail};
use crate::engine::events::RunEvent;
use crate::eval::raw_at;
use crate::run::{RunError, failure};
use crate::store::{PairMark, PairNotice, PairSide};
use crate::systems::{Cursor, PageRequest, Row};

/// Reads a side until it has told everything.
pub(super) async fn read(shared: &Arc<Shared>, side: PairSide) -> Result<(), RunError> {
    let pairs = &shared.context.stores.pairs;
    let system = shared.system(side);
    let plan = shared.fingerprint();
    let mut link = pairs.pair_cursor(shared.name(), side, &plan).await?;
    let mut trail = Trail::default();
    loop {
        if shared.context.stop.is_cancelled() {
            return Ok(());
        }
        let (query, page_size) = (system.query.clone(), shared.context.options.page_size);
        let request = match &link {
            Some(link) => PageRequest::Follow { cursor: Cursor::from(link.clone()), query, page_size },
            None => PageRequest::First { query, track_changes: system.source.capabilities().change_tracking, page_size },
        };
        let fetched = tokio::select! {
            fetched = system.source.page(&request) => fetched,
            () = shared.context.stop.cancelled() => return Ok(()),
        };
        let page = match fetched.and_then(|page| page.follow(system.source.system(), &request, &mut trail).map(|()| page)) {
            Ok(page) => page,
            Err(ConnectError::DeltaExpired { .. }) if link.is_some() => {
                tracing::warn!(flow = shared.name(), %side, "the change-tracking token has expired: reading all records again");
                pairs.take_pairs(shared.name(), side, Vec::new(), Some(PairMark { from: link, to: None })).await?;
                (link, trail) = (None, Trail::default());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let notices: Vec<PairNotice> = page.rows.iter().filter_map(|row| notice(shared, side, row)).collect();
        let events = &shared.context.events;
        events.emit(RunEvent::PagesRead(1));
        events.emit(RunEvent::Read(notices.len() as u64));
        let over = page.next.is_none();
        // A reading of changes that gives no new cursor keeps the old one.
        let to = page.next.or(page.changes).map(String::from).or_else(|| link.clone());
        let intake = pairs.take_pairs(shared.name(), side, notices, Some(PairMark { from: link, to: to.clone() })).await?;
        events.emit(RunEvent::Unchanged(intake.unchanged));
        events.emit(RunEvent::FilteredOut(intake.apart));
        events.emit(RunEvent::Forgotten(intake.forgotten));
        shared.context.note_backlog(intake.backlog);
        link = to;
        if over {
            return Ok(());
        }
    }
}

/// What a row tells; none if it does not say which record it is about.
fn notice(shared: &Shared, side: PairSide, row: &Row) -> Option<PairNotice> {
    let raw = match row {
        Row::Changed(record) => record.get(),
        Row::Deleted { id, .. } => return Some(PairNotice { id: id.to_ascii_lowercase(), version: None, begins: false }),
        Row::Unusable { problem } => {
            passed_over(shared, problem);
            return None;
        }
    };
    let Some(id) = text_at(raw, &shared.system(side).query.primary_key).filter(|id| !id.is_empty()) else {
        passed_over(shared, "the record has no readable id");
        return None;
    };
    let begins = match side {
        // One that cannot be compared is looked at, which says why.
        PairSide::Left => match shared.reading().left(raw) {
            Ok((_, sight)) => sight.admitted,
            Err(Fault::Record(_) | Fault::Plan(_)) => true,
        },
        PairSide::Right => {
            let gate = shared.fields.columns.gate.is_some_and(|gate| raw_at(raw, gate).as_deref() == Some("true"));
            gate || identifier(shared.flow(), raw).is_some()
        }
    };
    Some(PairNotice { id: id.to_ascii_lowercase(), version: version(raw, side), begins })
}

/// Counts a row that does not say which record it is about.
fn passed_over(shared: &Shared, problem: &str) {
    tracing::warn!(flow = shared.name(), problem, "a row does not say which record it is about; it is passed over");
    failure::nameless(&shared.context.events, &shared.context.plan, shared.flow().at, problem);
}
