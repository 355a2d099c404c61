//! Reading: what a side tells has changed since the last round becomes "look at this pair".

use std::sync::Arc;

use super::Shared;
use super::fields::{identifier, text_at, version};
use super::rows::rows_query;
use super::siblings;
use super::values::Fault;
use crate::connect::{ConnectError, Trail};
use crate::engine::events::RunEvent;
use crate::eval::raw_at;
use crate::plan::TwoWayFlow;
use crate::run::paging::next_page;
use crate::run::{RunError, failure};
use crate::store::{PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, StoreError};
use crate::systems::{Cursor, PageRequest, Query, Row, Source};

/// What is read for a two-way mapping.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// The records of a side.
    Side(PairSide),
    /// The rows of a list, by its place.
    Rows(usize),
}

impl Part {
    /// Everything that is read for a mapping, in its order.
    pub(super) fn all(flow: &TwoWayFlow) -> impl Iterator<Item = Part> + use<> {
        let sides = [Part::Side(PairSide::Left), Part::Side(PairSide::Right)];
        sides.into_iter().chain((0..flow.rows.len()).map(Part::Rows))
    }

    fn source(self, shared: &Shared) -> &dyn Source {
        match self {
            Part::Side(side) => shared.system(side).source.as_ref(),
            Part::Rows(_) => shared.right.source.as_ref(),
        }
    }

    fn query(self, shared: &Shared) -> Query {
        match self {
            Part::Side(side) => shared.system(side).query.clone(),
            Part::Rows(list) => shared.flow().rows.get(list).map(rows_query).unwrap_or_default(),
        }
    }

    fn name(self, shared: &Shared) -> String {
        match self {
            Part::Side(side) => side.to_string(),
            Part::Rows(list) => shared.flow().rows.get(list).map(|rows| rows.table.clone()).unwrap_or_default(),
        }
    }

    async fn cursor(self, shared: &Shared, plan: &str) -> Result<Option<String>, StoreError> {
        let pairs = &shared.context.stores.pairs;
        match self {
            Part::Side(side) => pairs.pair_cursor(shared.name(), side, plan).await,
            Part::Rows(_) => pairs.pair_row_cursor(shared.name(), &self.name(shared), plan).await,
        }
    }

    /// Stores a page and how far it was read.
    async fn take(self, shared: &Shared, rows: &[Row], mark: PairMark) -> Result<PairIntake, StoreError> {
        let pairs = &shared.context.stores.pairs;
        match self {
            Part::Side(side) => {
                let notices: Vec<PairNotice> = rows.iter().filter_map(|row| notice(shared, side, row)).collect();
                shared.context.events.emit(RunEvent::Read(notices.len() as u64));
                pairs.take_pairs(shared.name(), side, notices, Some(mark)).await
            }
            Part::Rows(list) => {
                let notices: Vec<PairRowNotice> = rows.iter().filter_map(|row| row_notice(shared, list, row)).collect();
                pairs.take_pair_rows(shared.name(), &self.name(shared), notices, mark).await
            }
        }
    }
}

/// Reads a part until it has told everything.
pub(super) async fn read(shared: &Arc<Shared>, part: Part) -> Result<(), RunError> {
    let source = part.source(shared);
    let plan = shared.fingerprint();
    let mut link = part.cursor(shared, &plan).await?;
    let mut trail = Trail::default();
    loop {
        if shared.context.stop.is_cancelled() {
            return Ok(());
        }
        let (query, page_size) = (part.query(shared), shared.context.options.page_size);
        let request = match &link {
            Some(link) => PageRequest::Follow { cursor: Cursor::from(link.clone()), query, page_size },
            None => PageRequest::First { query, track_changes: source.capabilities().change_tracking, page_size },
        };
        let Some(fetched) = next_page(source, &request, &mut trail, &shared.context.stop).await else { return Ok(()) };
        let page = match fetched {
            Ok(page) => page,
            Err(ConnectError::DeltaExpired { .. }) if link.is_some() => {
                let part_name = part.name(shared);
                tracing::warn!(flow = shared.name(), part = part_name, "the change-tracking token has expired: reading all records again");
                part.take(shared, &[], PairMark { from: link, to: None }).await?;
                (link, trail) = (None, Trail::default());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let events = &shared.context.events;
        events.emit(RunEvent::PagesRead(1));
        // Before the cursor moves, so that a process that ends in between looks again.
        if let Part::Side(PairSide::Left) = part {
            let looks = siblings::looks(shared, &of_others(shared, &page.rows)).await?;
            shared.context.stores.pairs.take_pairs(shared.name(), PairSide::Left, looks, None).await?;
        }
        let over = page.next.is_none();
        // A reading of changes that gives no new cursor keeps the old one.
        let to = page.next.or(page.changes).map(String::from).or_else(|| link.clone());
        let intake = part.take(shared, &page.rows, PairMark { from: link, to: to.clone() }).await?;
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

/// What a row of a list tells: which record it leads to.
fn row_notice(shared: &Shared, list: usize, row: &Row) -> Option<PairRowNotice> {
    let rows = shared.flow().rows.get(list)?;
    match row {
        Row::Changed(record) => {
            let row = text_at(record.get(), &rows.primary_key)?.to_ascii_lowercase();
            Some(PairRowNotice { row, leads_to: text_at(record.get(), &rows.lookup).map(|id| id.to_ascii_lowercase()) })
        }
        Row::Deleted { id, .. } => Some(PairRowNotice { row: id.to_ascii_lowercase(), leads_to: None }),
        Row::Unusable { problem } => {
            tracing::warn!(flow = shared.name(), table = rows.table, problem, "a row does not say which record it is; it is ignored");
            None
        }
    }
}

/// The ids of rows that are the part that somebody else has in a deal.
fn of_others(shared: &Shared, rows: &[Row]) -> Vec<String> {
    let id = |row: &Row| match row {
        Row::Changed(record) if shared.left.source.is_of_another(record.get()) => text_at(record.get(), &shared.left.query.primary_key),
        Row::Changed(_) | Row::Deleted { .. } | Row::Unusable { .. } => None,
    };
    rows.iter().filter_map(id).collect()
}

/// What a row tells; none if it does not say which record it is about.
fn notice(shared: &Shared, side: PairSide, row: &Row) -> Option<PairNotice> {
    let raw = match row {
        Row::Changed(record) => record.get(),
        Row::Deleted { id, .. } => return Some(PairNotice { id: id.to_ascii_lowercase(), version: None, begins: false }),
        Row::Unusable { problem } => {
            skipped(shared, problem);
            return None;
        }
    };
    let Some(id) = text_at(raw, &shared.system(side).query.primary_key).filter(|id| !id.is_empty()) else {
        skipped(shared, "the record has no readable id");
        return None;
    };
    let begins = match side {
        // One that cannot be compared is looked at, which says why.
        PairSide::Left => match shared.reading().left(raw) {
            Ok((_, sight)) => sight.admitted && !shared.left.source.is_of_another(raw),
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
fn skipped(shared: &Shared, problem: &str) {
    tracing::warn!(flow = shared.name(), problem, "a row does not say which record it is about; it is skipped");
    failure::nameless(&shared.context.events, &shared.context.plan, shared.flow().at, problem);
}
