//! Reading: one row, a set page by page, counts, and the two phases of change tracking.

use std::fmt::Write as _;
use std::ops::Bound::{Excluded, Unbounded};

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use uuid::Uuid;

use super::Site;
use super::change::{
    Cookie, Position, check_mark, delta, delta_token, fingerprint, link, malformed_delta_token, parse_delta_token, tracking_allows,
};
use super::error::{Fail, Result};
use super::expand::{self, Expand};
use super::filter::{Filter, compare, order_by};
use super::store::{Changes, Row, Store};
use super::table::{Derived, KeyStatus, Table, Type};
use super::url::{Options, Prefer, RowKey};
use super::value::{self, write_text};
use crate::net;

pub(super) const JSON: &str = "application/json; odata.metadata=minimal";
/// Dataverse Web API: counts stop at this number. [D]
const COUNT_CAP: usize = 5000;

const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";
const LOOKUP_TABLE: &str = "Microsoft.Dynamics.CRM.lookuplogicalname";
const LOOKUP_NAV: &str = "Microsoft.Dynamics.CRM.associatednavigationproperty";

/// The columns of an answer.
pub(super) struct View {
    pub(super) columns: Vec<u16>,
    /// The list in the context URL, with its parentheses; empty without `$select`.
    pub(super) context: String,
}

impl View {
    pub(super) fn new(table: &Table, select: Option<&[String]>) -> Result<View> {
        let Some(names) = select else {
            let columns =
                (0..table.columns.len() as u16).filter(|index| table.at(*index).is_readable() && table.at(*index).kind != Type::Image);
            return Ok(View { columns: columns.collect(), context: String::new() });
        };
        let mut columns: Vec<u16> = Vec::with_capacity(names.len() + 2);
        for name in names {
            let column = table.property(name).ok_or_else(|| Fail::no_property(name, &table.entity()))?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let context = format!("({})", names.join(","));
        // Money brings its currency, a part of an address the composed address, and the primary key comes always. [D]
        let mut more: Vec<u16> = Vec::new();
        for index in &columns {
            let column = table.at(*index);
            if column.kind == Type::Money {
                more.extend(table.column("transactioncurrencyid"));
            }
            for (composite, other) in table.columns.iter().enumerate() {
                if let Derived::Composite(parts) = &other.derived
                    && parts.contains(index)
                {
                    more.push(composite as u16);
                }
            }
        }
        more.extend(table.column(&table.id));
        for column in more {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        Ok(View { columns, context })
    }
}

/// Which annotations go with the values.
#[derive(Clone, Copy)]
pub(super) struct Notes {
    formatted: bool,
    table: bool,
    nav: bool,
    total: bool,
}

impl Notes {
    pub(super) fn new(prefer: &Prefer) -> Notes {
        Notes {
            formatted: prefer.wants(FORMATTED),
            table: prefer.wants(LOOKUP_TABLE),
            nav: prefer.wants(LOOKUP_NAV),
            total: prefer.wants("Microsoft.Dynamics.CRM.totalrecordcount"),
        }
    }

    fn any(self) -> bool {
        self.formatted || self.table || self.nav
    }
}

/// Appends the properties of a row, etag first; an annotation comes before the property it describes.
pub(super) fn write_properties(out: &mut String, store: &Store, table: usize, id: Uuid, row: &Row, view: &View, notes: Notes) {
    let description = &store.tables[table].table;
    let _ = write!(out, "\"@odata.etag\":\"W/\\\"{}\\\"\"", row.version);
    for index in &view.columns {
        let column = description.at(*index);
        out.push(',');
        // Without the right to read a secured column, null comes as for an empty one. [D]
        let Some(value) = store.value(table, id, row, *index).filter(|_| !column.has('h')) else {
            let _ = write!(out, "\"{}\":null", column.property);
            continue;
        };
        if notes.any() {
            if notes.formatted {
                let text = match &*value {
                    value::Value::Link(target, id) => store.title(usize::from(*target), (*id).into()),
                    value => value::formatted(column, value),
                };
                if let Some(text) = text {
                    let _ = write!(out, "\"{}@{FORMATTED}\":", column.property);
                    write_text(out, &text);
                    out.push(',');
                }
            }
            if let value::Value::Link(target, _) = &*value {
                let target = &store.tables[usize::from(*target)].table.name;
                let relation = (description.many_to_one.iter())
                    .find(|relation| relation.column == column.name && (relation.table == *target || relation.table == "owner"));
                if let Some(relation) = relation.filter(|_| notes.nav) {
                    let _ = write!(out, "\"{}@{LOOKUP_NAV}\":\"{}\",", column.property, relation.nav);
                }
                if notes.table {
                    let _ = write!(out, "\"{}@{LOOKUP_TABLE}\":\"{target}\",", column.property);
                }
            }
        }
        let _ = write!(out, "\"{}\":", column.property);
        value::write_json(out, column, &value);
    }
}

/// The row a key names, or the values it would have.
pub(super) struct Found {
    pub(super) id: Option<Uuid>,
    /// The id a create would take, when the key is an id.
    pub(super) wanted: Option<Uuid>,
    pub(super) key: Changes,
}

impl Found {
    /// The row, or the error for a key of this sort.
    pub(super) fn existing(&self, table: &Table) -> Result<Uuid> {
        match (self.id, self.wanted) {
            (Some(id), _) => Ok(id),
            (None, Some(id)) => Err(Fail::not_found(&table.name, id)),
            (None, None) => Err(Fail::no_key(&table.name)),
        }
    }
}

/// Looks a key up.
pub(super) fn find(store: &Store, table: usize, key: &RowKey) -> Result<Found> {
    let rows = &store.tables[table];
    let by_id = |id: Uuid| Found { id: rows.rows.contains_key(&id).then_some(id), wanted: Some(id), key: Vec::new() };
    let parts = match key {
        RowKey::Id(id) => return Ok(by_id(*id)),
        RowKey::Alternate(parts) => parts,
    };
    if let [(name, super::url::Literal::Guid(id))] = parts.as_slice()
        && *name == rows.table.id
    {
        return Ok(by_id(*id));
    }
    let undeclared = || {
        Fail::new(
            400,
            "0x80060888",
            format!(
                "The key in the request URI is not valid for resource '{}'. Ensure that the names and number of key properties match the declared \
                 or alternate key properties for the resource '{}'.",
                rows.table.entity(),
                rows.table.entity()
            ),
        )
    };
    let mut given: Changes = Vec::new();
    for (name, literal) in parts {
        let index = (rows.table.columns.iter()).position(|column| column.property == *name).ok_or_else(undeclared)? as u16;
        let value = literal.to_value(rows.table.at(index)).filter(|value| !value.is_null()).ok_or_else(undeclared)?;
        given.push((index, value));
    }
    let (at, key) = (rows.table.keys.iter().enumerate())
        .find(|(_, key)| key.indexes.len() == given.len() && key.indexes.iter().all(|index| given.iter().any(|(other, _)| other == index)))
        .filter(|(_, key)| key.status == KeyStatus::Active)
        .ok_or_else(undeclared)?;
    let texts: Vec<String> = (key.indexes.iter())
        .filter_map(|index| given.iter().find(|(other, _)| other == index).and_then(|(_, value)| super::store::key_text(value)))
        .collect();
    Ok(Found { id: store.by_key(table, at, &texts), wanted: None, key: given })
}

/// `GET set(key)`.
pub(super) fn one(
    site: &Site,
    store: &Store,
    table: usize,
    key: &RowKey,
    options: &Options,
    prefer: &Prefer,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let description = &store.tables[table].table;
    let view = View::new(description, options.select.as_deref())?;
    let expand = options.expand.as_deref().map_or(Ok(Vec::new()), |text| Expand::parse(text, store, table))?;
    let id = find(store, table, key)?.existing(description)?;
    let row = &store.tables[table].rows[&id];
    let etag = format!("W/\"{}\"", row.version);
    let notes = Notes::new(prefer);
    // A conditional read is honored unless annotations or related rows were asked for. [D]
    let same = headers.get("if-none-match").and_then(|value| value.to_str().ok()) == Some(etag.as_str());
    if same && !notes.any() && expand.is_empty() {
        return Ok(net::empty(StatusCode::NOT_MODIFIED));
    }
    let mut response = net::body(StatusCode::OK, JSON, entity(site, store, (table, id), &view, &expand, notes));
    net::set(&mut response, "etag", &etag);
    Ok(response)
}

/// The list of columns and expanded properties in a context URL.
fn context(view: &View, expand: &[Expand]) -> String {
    if expand.is_empty() {
        return view.context.clone();
    }
    let columns = view.context.trim_start_matches('(').trim_end_matches(')');
    let parts: Vec<String> =
        Some(columns.to_owned()).filter(|text| !text.is_empty()).into_iter().chain(expand.iter().map(Expand::context)).collect();
    format!("({})", parts.join(","))
}

/// A row as the body of an answer.
pub(super) fn entity(site: &Site, store: &Store, (table, id): (usize, Uuid), view: &View, expand: &[Expand], notes: Notes) -> String {
    let rows = &store.tables[table];
    let context = context(view, expand);
    let mut out = format!("{{\"@odata.context\":\"{}/$metadata#{}{context}/$entity\",", site.root, rows.table.set);
    if let Some(row) = rows.rows.get(&id) {
        write_properties(&mut out, store, table, id, row, view, notes);
        expand::write(&mut out, site, store, (table, id, row), expand, notes);
    }
    out.push('}');
    out
}

/// `GET set(key)/column`: one value.
pub(super) fn property(site: &Site, store: &Store, table: usize, key: &RowKey, name: &str) -> Result<Response<Body>> {
    let description = &store.tables[table].table;
    let column = description.property(name).ok_or_else(|| Fail::no_segment(name))?;
    let id = find(store, table, key)?.existing(description)?;
    let row = &store.tables[table].rows[&id];
    let Some(value) = store.value(table, id, row, column).filter(|_| !description.at(column).has('h')) else {
        return Ok(net::empty(StatusCode::NO_CONTENT));
    };
    let mut out = format!("{{\"@odata.context\":\"{}/$metadata#{}({id})/{name}\",\"value\":", site.root, description.set);
    value::write_json(&mut out, description.at(column), &value);
    out.push('}');
    Ok(net::body(StatusCode::OK, JSON, out))
}

/// Rows to choose from: a set, or those that point to one row.
pub(super) struct Scope {
    /// The path in links, below the service root.
    pub(super) path: String,
    /// The lookup that points to a table's row.
    pub(super) pointing: Option<(u16, usize, Uuid)>,
}

/// `GET set`: a page of rows or of changes. `GET set(key)/nav`: the rows of a collection.
pub(super) fn set(site: &Site, store: &Store, table: usize, scope: &Scope, options: &Options, prefer: &Prefer) -> Result<Response<Body>> {
    let rows = &store.tables[table];
    let description = &rows.table;
    let query = fingerprint(&scope.path, &options.meaning);
    let cookie = match &options.skiptoken {
        None => None,
        Some(token) => Some(
            Cookie::parse(token)
                .filter(|cookie| cookie.query == query)
                .ok_or_else(|| Fail::query("Malformed XML in the Paging Cookie: follow @odata.nextLink as it was given."))?,
        ),
    };
    let view = View::new(description, options.select.as_deref())?;
    let notes = Notes::new(prefer);
    let page = prefer.page.unwrap_or(site.page_cap).min(site.page_cap);
    if let Some(token) = &options.deltatoken {
        let mut response = delta(site, store, table, options, (token, cookie), (&view, notes, page))?;
        apply(&mut response, prefer);
        return Ok(response);
    }
    let tracking = cookie.as_ref().map_or(prefer.track, |cookie| cookie.tracking);
    if tracking {
        tracking_allows(options)?;
        if !description.tracking {
            return Err(Fail::query(format!("Change tracking is not enabled for the entity '{}'.", description.name)));
        }
    }
    // The delta starts where the full load started, so that what changes between its pages is reported again, not lost.
    let mark = cookie.as_ref().map_or((store.version, site.now()), |cookie| cookie.mark);
    let expand = options.expand.as_deref().map_or(Ok(Vec::new()), |text| Expand::parse(text, store, table))?;
    let filter = options.filter.as_deref().map(|text| Filter::parse(text, store, table)).transpose()?;
    let points = |id: &Uuid, row: &Row| match scope.pointing {
        None => true,
        Some((lookup, target, wanted)) => {
            let single = super::relate::Single { lookup, table: target };
            super::relate::target(store, table, *id, row, single) == Some(wanted)
        }
    };
    let matches = |id: &Uuid, row: &Row| points(id, row) && filter.as_ref().is_none_or(|filter| filter.matches(store, table, *id, row));
    // `$top` with a page size is ignored. [D]
    let top = if prefer.page.is_some() { None } else { options.top };
    let take = top.map_or(page, |top| top.min(page));

    let mut out = format!("{{\"@odata.context\":\"{}/$metadata#{}{}\"", site.root, description.set, context(&view, &expand));
    if options.count {
        let total = rows.rows.iter().filter(|(id, row)| matches(id, row)).take(COUNT_CAP + 1).count();
        let _ = write!(out, ",\"@odata.count\":{}", total.min(COUNT_CAP));
        if notes.total {
            let over = total > COUNT_CAP;
            let _ = write!(out, ",\"@Microsoft.Dynamics.CRM.totalrecordcount\":{}", total.min(COUNT_CAP));
            let _ = write!(out, ",\"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded\":{over}");
        }
    } else if notes.total {
        out.push_str(",\"@Microsoft.Dynamics.CRM.totalrecordcount\":-1,\"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded\":false");
    }
    out.push_str(",\"value\":[");
    let mut written = 0;
    let mut emit = |out: &mut String, id: Uuid, row: &Row| {
        if written > 0 {
            out.push(',');
        }
        out.push('{');
        write_properties(out, store, table, id, row, &view, notes);
        expand::write(out, site, store, (table, id, row), &expand, notes);
        out.push('}');
        written += 1;
    };
    let next = if let Some(order) = options.orderby.as_deref().map(|text| order_by(text, store, table)).transpose()? {
        let mut sorted: Vec<(&Uuid, &Row)> = rows.rows.iter().filter(|(id, row)| matches(id, row)).collect();
        sorted.sort_by(|(a, row_a), (b, row_b)| compare(store, table, &order, (**a, row_a), (**b, row_b)));
        let start = match cookie.as_ref().map(|cookie| cookie.position) {
            Some(Position::Offset(at)) => at,
            Some(Position::After(_) | Position::Changed(_) | Position::Deleted(_)) | None => 0,
        };
        for (id, row) in sorted.iter().skip(start).take(take) {
            emit(&mut out, **id, row);
        }
        (sorted.len() > start + take).then_some(Position::Offset(start + take))
    } else {
        let start = match cookie.as_ref().map(|cookie| cookie.position) {
            Some(Position::After(id)) => Excluded(id),
            Some(Position::Offset(_) | Position::Changed(_) | Position::Deleted(_)) | None => Unbounded,
        };
        let mut last = None;
        let mut more = false;
        for (id, row) in rows.rows.range((start, Unbounded)).filter(|(id, row)| matches(id, row)) {
            if last.map_or(0, |(count, _)| count) == take {
                more = true;
                break;
            }
            emit(&mut out, *id, row);
            last = Some((last.map_or(1, |(count, _)| count + 1), *id));
        }
        last.filter(|_| more).map(|(_, id)| Position::After(id))
    };
    out.push(']');
    match next.filter(|_| top.is_none()) {
        Some(position) => {
            let page = cookie.as_ref().map_or(1, |cookie| cookie.page + 1);
            let cookie = Cookie { page, tracking, position, mark, query };
            out.push_str(",\"@odata.nextLink\":");
            write_text(&mut out, &link(site, &scope.path, &options.raw, &format!("$skiptoken={}", cookie.to_link(&description.id))));
        }
        None if tracking => {
            out.push_str(",\"@odata.deltaLink\":");
            write_text(&mut out, &link(site, &scope.path, &options.raw, &format!("$deltatoken={}", delta_token(mark))));
        }
        None => {}
    }
    out.push('}');
    let mut response = net::body(StatusCode::OK, JSON, out);
    apply(&mut response, prefer);
    Ok(response)
}

/// Names the honored preferences.
pub(super) fn apply(response: &mut Response<Body>, prefer: &Prefer) {
    if !prefer.applied.is_empty() {
        net::set(response, "preference-applied", &prefer.applied.join(", "));
    }
}

/// `GET set/$count`: a number as text, behind a byte order mark, as the service sends it.
pub(super) fn count(site: &Site, store: &Store, table: usize, options: &Options) -> Result<Response<Body>> {
    let rows = &store.tables[table];
    let total = match &options.deltatoken {
        Some(token) => {
            let since = parse_delta_token(token).ok_or_else(|| malformed_delta_token(token))?;
            check_mark(site, store, table, since)?;
            let newer = (Excluded(since.0), Unbounded);
            rows.by_version.range(newer).count() + rows.gone.range(newer).count()
        }
        None => {
            let filter = options.filter.as_deref().map(|text| Filter::parse(text, store, table)).transpose()?;
            let matching =
                rows.rows.iter().filter(|(id, row)| filter.as_ref().is_none_or(|filter| filter.matches(store, table, **id, row)));
            matching.take(COUNT_CAP).count()
        }
    };
    Ok(net::body(StatusCode::OK, "text/plain", format!("\u{feff}{total}")))
}

/// Every row of a table with its non-null values, sorted by id: a state to compare with another.
pub(super) fn dump(store: &Store, table: usize, system: bool) -> String {
    let rows = &store.tables[table];
    let hidden = |column: &super::table::Column| {
        !system
            && matches!(
                column.derived,
                Derived::Version | Derived::CreatedOn | Derived::ModifiedOn | Derived::CreatedBy | Derived::ModifiedBy
            )
    };
    let mut out = String::from("[");
    for (id, row) in &rows.rows {
        out.push_str(if out.len() > 1 { ",\n{" } else { "{" });
        let start = out.len();
        for (index, column) in rows.table.columns.iter().enumerate() {
            if !column.is_readable() || hidden(column) {
                continue;
            }
            let Some(value) = store.value(table, *id, row, index as u16) else { continue };
            if out.len() > start {
                out.push(',');
            }
            let _ = write!(out, "\"{}\":", column.property);
            value::write_json(&mut out, column, &value);
        }
        out.push('}');
    }
    out.push(']');
    out
}
