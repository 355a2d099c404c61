//! Two-way mappings: referrals of Partner Center and opportunities in Dynamics 365 are kept in step.
//!
//! ```text
//! referrals (watermark) ────┐                          ┌─▶ referral: under the version that was compared
//! webhooks ─────────────────┼─▶ state: look at ─▶ the ─┤
//! opportunities (tracking) ─┘   this pair        rule  └─▶ opportunity: under the version that was compared
//! ```
//!
//! A round takes what webhooks told (`notifications.rs`), and reads (`reader.rs`): what either side tells is queued as "look at this pair",
//! each page with its cursor in one transaction. Then each pair is worked at (`work.rs`): both records are read, `rule.rs` decides, which does no I/O, and what it decides is
//! written under the versions that were compared. `fields.rs` says what a record shows of the fields of the mapping,
//! `requirements.rs` what a system requires of a record, `audit.rs` what the opportunity tells people, `values.rs` when two
//! values mean the same. `dry.rs` does a round without writing. `model.rs` checks the rule exhaustively.

mod audit;
mod dry;
mod fields;
#[cfg(test)]
mod flows;
mod linked;
mod lists;
#[cfg(test)]
mod model;
mod notifications;
mod reader;
mod rehearsal;
mod requirements;
mod rows;
mod rule;
mod siblings;
mod trouble;
mod values;
mod work;

use std::sync::Arc;

pub(super) use dry::dry_run;
pub use dry::{DryPairExample, DryPairs, DryTable};

use super::calls::CallKind;
use super::{Context, RunError};
use crate::engine::refusals::Denials;
use crate::plan::{self, Conflicts, TwoWayFlow};
use crate::store::{Fingerprinter, PairSide};
use crate::systems::{Query, RecordKey, Source, Table, Target};
use fields::{Fields, Reading};
use linked::FoundRecords;
use reader::Part;
use rule::{Policy, Rule};

/// One of the two systems.
struct System {
    source: Arc<dyn Source>,
    target: Arc<dyn Target>,
    query: Query,
}

/// What the parts of a round share.
struct Shared {
    context: Context,
    index: usize,
    fields: Fields,
    rule: Rule,
    printer: Fingerprinter,
    left: System,
    right: System,
    /// The records that lookups were found to lead to in this round.
    found: FoundRecords,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
}

impl Shared {
    async fn new(context: Context, index: usize) -> Result<Shared, RunError> {
        let flow = &context.plan.two_way[index];
        let fields = Fields::of(flow);
        let policy = match flow.conflicts {
            Conflicts::Newest => Policy::Newest,
            Conflicts::Left => Policy::Left,
            Conflicts::Right => Policy::Right,
            Conflicts::Report => Policy::Report,
        };
        let rule = Rule {
            ways: fields.list.iter().map(|field| field.way).collect(),
            piecewise: fields.list.iter().map(|field| field.list.is_some()).collect(),
            policy,
            state: fields.state(flow),
        };
        let (source, target) = context.services.side(&flow.left)?;
        let query = Query {
            collection: flow.left.collection.clone(),
            primary_key: flow.left.primary_key.clone(),
            select: flow.left.slots.iter().map(|slot| slot.wire.clone()).collect(),
            ..Query::default()
        };
        let left = System { source, target, query };
        let (source, target) = context.services.side(&flow.right)?;
        let query = Query {
            collection: flow.right.collection.clone(),
            primary_key: flow.right.primary_key.clone(),
            select: fields.right_columns(flow),
            expand: flow
                .links
                .iter()
                .filter(|link| !link.select.is_empty())
                .map(|link| (link.navigation.clone(), link.select.clone()))
                .collect(),
            labels: false,
        };
        let right = System { source, target, query };
        let printer = context.stores.pairs.fingerprinter().await?;
        Ok(Shared { index, fields, rule, printer, left, right, found: FoundRecords::default(), denials: Denials::default(), context })
    }

    fn flow(&self) -> &TwoWayFlow {
        &self.context.plan.two_way[self.index]
    }

    fn reading(&self) -> Reading<'_> {
        Reading { flow: self.flow(), fields: &self.fields, printer: self.printer, now: self.context.now() }
    }

    fn name(&self) -> &str {
        &self.flow().name
    }

    fn system(&self, side: PairSide) -> &System {
        match side {
            PairSide::Left => &self.left,
            PairSide::Right => &self.right,
        }
    }

    fn table(&self, side: PairSide) -> Table<'_> {
        let side = match side {
            PairSide::Left => &self.flow().left,
            PairSide::Right => &self.flow().right,
        };
        Table { name: side.name(), collection: &side.collection }
    }

    /// A record by its id.
    fn key<'a>(&'a self, side: PairSide, id: &'a str) -> RecordKey<'a> {
        RecordKey { table: self.table(side), attribute: &self.system(side).query.primary_key, value: id }
    }

    /// Which mapping is read, so that both sides are read again when it changes.
    fn fingerprint(&self) -> String {
        plan::fingerprint(self.flow())
    }
}

/// Takes what webhooks told, reads what both sides tell, and brings the pairs in step.
pub(super) async fn round(context: Context, index: usize) -> Result<(), RunError> {
    let shared = Arc::new(Shared::new(context, index).await?);
    notifications::take(&shared).await?;
    for part in Part::all(shared.flow()) {
        reader::read(&shared, part).await?;
    }
    work::work(&shared).await
}
