//! Values through lookups: the tables that a mapping follows beside its own, and the kept rows that its records point to.
//!
//! Each table is read before the mapping's own page, by a separate cursor, and what is needed of its rows is kept in the state. A record
//! is evaluated together with the rows that it points to: their columns are put into its text as further properties. A row that is not
//! kept (it was created meanwhile, or may not be read) is asked for by its id.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::paging::{AT_ONCE, ATTEMPTS, explained};
use crate::connect::{ConnectError, Trail};
use crate::json;
use crate::plan::{IngressFlow, Related, RelatedLookup, RelatedTable};
use crate::run::paging::next_page;
use crate::run::{Options, RunError};
use crate::store::{RelatedMove, RelatedPage, RelatedUses, Stores};
use crate::systems::{Cursor as SourceCursor, Page, PageRequest, Query, Row, Source};
use crate::time::Instant;

/// What following needs.
pub(super) struct Following<'f> {
    pub(super) flow: &'f IngressFlow,
    pub(super) source: &'f dyn Source,
    pub(super) stores: &'f Stores,
    pub(super) options: &'f Options,
    pub(super) stop: &'f CancellationToken,
}

impl Following<'_> {
    /// Brings the kept rows of all tables up to date. Returns whether that came to its end: the mapping's own records are evaluated only
    /// after that. Records that point to changed rows are due at `at`.
    ///
    /// # Errors
    /// The error of a page, of the store.
    pub(super) async fn follow(&self, at: Instant) -> Result<bool, RunError> {
        for table in &self.flow.related.tables {
            if !self.follow_table(table, at).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads all tables from the beginning with the next round.
    pub(super) async fn restart(&self) -> Result<(), RunError> {
        for table in &self.flow.related.tables {
            self.stores.related.restart_related(&self.flow.name, &table.table).await?;
        }
        Ok(())
    }

    async fn follow_table(&self, table: &RelatedTable, at: Instant) -> Result<bool, RunError> {
        let (flow, store) = (self.flow, &self.stores.related);
        let mut place = store.related_place(&flow.name, &table.table, &table.fingerprint()).await?;
        let (mut trail, mut attempts) = (Trail::default(), 0);
        loop {
            let request = request(table, self.source, place.link.as_ref(), self.options.page_size);
            let Some(fetched) = next_page(self.source, &request, &mut trail, self.stop).await else { return Ok(false) };
            let page = match fetched {
                Ok(page) => page,
                Err(ConnectError::DeltaExpired { .. }) => {
                    tracing::warn!(
                        mapping = flow.name,
                        table = table.table,
                        "the change-tracking token has expired: reading the table again"
                    );
                    trail = Trail::default();
                    place = store.restart_related(&flow.name, &table.table).await?;
                    continue;
                }
                Err(error) if error.is_transient() && attempts + 1 < ATTEMPTS => {
                    attempts += 1;
                    tokio::select! {
                        () = self.options.clock.sleep(Duration::from_secs(1 << attempts)) => continue,
                        () = self.stop.cancelled() => return Ok(false),
                    }
                }
                Err(error) => return Err(explained(&flow.name, table.name(), &request, error)),
            };
            attempts = 0;
            let rows = rows_of(flow, table, &page);
            let over = page.next.is_none();
            let to = match page.next {
                Some(next) => RelatedMove::Next(next.into()),
                None => RelatedMove::RoundEnd(page.changes.map(Into::into)),
            };
            let (mapping, name) = (flow.name.clone(), table.table.clone());
            let outcome = store.store_related(RelatedPage { mapping, table: name, from: place, rows, to, at }).await?;
            if outcome.affected > 0 {
                let (rows, records) = (outcome.changed, outcome.affected);
                tracing::info!(
                    mapping = flow.name,
                    table = table.table,
                    rows,
                    records,
                    "rows have changed to which records lead: evaluating the records again"
                );
            }
            if over {
                return Ok(true);
            }
            place = outcome.place;
        }
    }
}

fn query(table: &RelatedTable) -> Query {
    Query {
        collection: table.collection.clone(),
        primary_key: table.primary_key.clone(),
        select: table.select(),
        labels: table.annotations(),
        expand: Vec::new(),
    }
}

fn request(table: &RelatedTable, source: &dyn Source, link: Option<&String>, page_size: u32) -> PageRequest {
    // A link of another table is never kept, but a file can be damaged.
    let leads_there = |link: &&String| source.collection_of(&SourceCursor::from((*link).clone())).is_none_or(|to| to == table.collection);
    match link.filter(leads_there) {
        Some(link) => PageRequest::Follow { cursor: SourceCursor::from(link.clone()), query: query(table), page_size },
        None => PageRequest::First { query: query(table), track_changes: source.capabilities().change_tracking, page_size },
    }
}

/// The rows of a page with what is kept of them; `None` for those that are gone.
fn rows_of(flow: &IngressFlow, table: &RelatedTable, page: &Page) -> Vec<(String, Option<String>)> {
    let row = |row: &Row| match row {
        Row::Changed(record) => {
            let found = kept_columns(table, record);
            if found.is_none() {
                tracing::warn!(mapping = flow.name, table = table.table, "a row does not say which record it is about; it is skipped");
            }
            found.map(|(id, columns)| (id, Some(columns)))
        }
        Row::Deleted { id, .. } => Some((id.to_ascii_lowercase(), None)),
        Row::Unusable { problem } => {
            tracing::warn!(mapping = flow.name, table = table.table, problem, "a row does not say which record it is about; it is skipped");
            None
        }
    };
    page.rows.iter().filter_map(row).collect()
}

/// A row's id, and the JSON text of the columns that are kept: the others are not needed, and may say more about a person.
fn kept_columns(table: &RelatedTable, record: &RawValue) -> Option<(String, String)> {
    let repaired = json::without_lone_surrogates(record.get());
    let properties = json::properties(repaired.as_deref().unwrap_or(record.get()))?;
    let id = text_of(properties.get(&table.primary_key)?)?;
    let mut columns = String::from("{");
    // The primary key as well, since a mapping may read it.
    for name in std::iter::once(&table.primary_key).chain(&table.columns) {
        // What has no value is not kept: it is read as empty.
        let Some(value) = properties.get(name).filter(|value| value.get() != "null") else { continue };
        if columns.len() > 1 {
            columns.push(',');
        }
        json::push_string(&mut columns, name);
        columns.push(':');
        columns.push_str(value.get());
    }
    columns.push('}');
    Some((id, columns))
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str::<String>(raw.get()).ok().filter(|id| !id.is_empty()).map(|id| id.to_ascii_lowercase())
}

/// A kept row: its columns with their JSON texts.
type Columns = BTreeMap<String, String>;

/// The rows that records point to.
pub(super) struct RelatedValues<'f> {
    related: &'f Related,
    primary_key: &'f str,
    versions: BTreeMap<String, i64>,
    rows: HashMap<(u32, String), Columns>,
}

impl<'f> RelatedValues<'f> {
    /// The rows that these records point to; `None` if the mapping reads nothing through lookups.
    ///
    /// # Errors
    /// The error of the store, of a row that is asked for.
    pub(super) async fn of(
        flow: &'f IngressFlow,
        source: &dyn Source,
        stores: &Stores,
        records: impl IntoIterator<Item = &str>,
    ) -> Result<Option<RelatedValues<'f>>, RunError> {
        if flow.related.is_empty() {
            return Ok(None);
        }
        let primary_key = flow.source.primary_property();
        let mut found = RelatedValues { related: &flow.related, primary_key, versions: BTreeMap::new(), rows: HashMap::new() };
        let records: Vec<&str> = records.into_iter().collect();
        let mut asked: BTreeSet<(u32, String)> = BTreeSet::new();
        // Once for each level of lookups.
        loop {
            let wanted: BTreeSet<(u32, String)> = records.iter().flat_map(|record| found.ids(record).into_iter().flatten()).collect();
            let wanted: BTreeSet<(u32, String)> = wanted.difference(&asked).cloned().collect();
            if wanted.is_empty() {
                return Ok(Some(found));
            }
            found.read(flow, source, stores, &wanted).await?;
            asked.extend(wanted);
        }
    }

    /// Reads rows: those that are kept, and the others from the source.
    async fn read(
        &mut self,
        flow: &IngressFlow,
        source: &dyn Source,
        stores: &Stores,
        wanted: &BTreeSet<(u32, String)>,
    ) -> Result<(), RunError> {
        let mut by_table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (place, id) in wanted {
            if let Some(table) = self.related.tables.get(*place as usize) {
                by_table.entry(table.table.clone()).or_default().insert(id.clone());
            }
        }
        let kept = stores.related.related_rows(&flow.name, by_table.clone()).await?;
        for (table, version) in kept.versions {
            // Of several reads, the first: what changed after it makes the records due.
            self.versions.entry(table).or_insert(version);
        }
        for (place, table) in (0..).zip(&self.related.tables) {
            let Some(ids) = by_table.get(&table.table) else { continue };
            let mut missing = Vec::new();
            for id in ids {
                match kept.rows.get(&(table.table.clone(), id.clone())) {
                    Some(columns) => drop(self.rows.insert((place, id.clone()), columns_of(columns))),
                    None if source.is_id(id) => missing.push(id.clone()),
                    None => {}
                }
            }
            let forgotten = stores.privacy.forgotten_among(missing.clone()).await?;
            missing.retain(|id| !forgotten.contains(id));
            for ids in missing.chunks(AT_ONCE) {
                let rows = source.retrieve_many(&query(table), ids).await?;
                let rows = rows.into_values().filter_map(|row| kept_columns(table, &row));
                self.rows.extend(rows.map(|(id, columns)| ((place, id), columns_of(&columns))));
            }
        }
        Ok(())
    }

    /// For each lookup, the row that a record points to by it.
    fn ids(&self, record: &str) -> Vec<Option<(u32, String)>> {
        let properties = json::properties(record).unwrap_or_default();
        let mut ids: Vec<Option<(u32, String)>> = Vec::with_capacity(self.related.lookups.len());
        for lookup in &self.related.lookups {
            let id = match lookup.behind {
                None => self.leads_to(lookup, |name| properties.get(name).map(|raw| raw.get())),
                Some(behind) => {
                    let row = ids.get(behind as usize).and_then(|id| self.rows.get(id.as_ref()?));
                    row.and_then(|row| self.leads_to(lookup, |name| row.get(name).map(String::as_str)))
                }
            };
            ids.push(id.map(|id| (lookup.table, id)));
        }
        ids
    }

    fn leads_to<'a>(&self, lookup: &RelatedLookup, property: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let text = |name: &str| serde_json::from_str::<String>(property(name)?).ok();
        if let Some(table) = lookup.table_property()
            && text(&table).as_deref() != self.related.table_of(lookup).map(RelatedTable::name)
        {
            return None;
        }
        text(&lookup.property).filter(|id| !id.is_empty()).map(|id| id.to_ascii_lowercase())
    }

    /// A record's text with the columns of the rows that it points to, and these rows by their tables' names.
    pub(super) fn put_into<'r>(&self, record: &'r str) -> (Cow<'r, str>, BTreeSet<(String, String)>) {
        let (mut more, mut uses) = (String::new(), BTreeSet::new());
        for (lookup, id) in self.related.lookups.iter().zip(self.ids(record)) {
            let Some(id) = id else { continue };
            for (name, value) in self.rows.get(&id).into_iter().flatten() {
                more.push(',');
                json::push_string(&mut more, &format!("{}.{name}", lookup.path));
                more.push(':');
                more.push_str(value);
            }
            if let Some(table) = self.related.table_of(lookup) {
                uses.insert((table.table.clone(), id.1));
            }
        }
        // Only a record that has properties leads anywhere.
        match record.trim_end().strip_suffix('}') {
            Some(open) if !more.is_empty() => (Cow::Owned(format!("{open}{more}}}")), uses),
            _ => (Cow::Borrowed(record), uses),
        }
    }

    /// The id of a record.
    pub(super) fn id_of(&self, record: &str) -> Option<String> {
        json::properties(record)?.get(self.primary_key).and_then(|raw| text_of(raw))
    }

    /// No record, with how often the tables had changed when their rows were read.
    pub(super) fn no_uses(&self) -> RelatedUses {
        RelatedUses { versions: self.versions.clone(), records: BTreeMap::new() }
    }
}

fn columns_of(text: &str) -> Columns {
    json::properties(text).unwrap_or_default().into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect()
}
