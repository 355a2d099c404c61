//! `$expand`: related rows within a row, and references between rows by `$ref`.
//!
//! A single-valued property gives an object or null, a collection an array and its own `@odata.nextLink`. [D]

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use uuid::Uuid;

use super::Site;
use super::error::{Fail, Result};
use super::filter::{Filter, Path, compare, order_by};
use super::read::{JSON, Notes, View, find, write_properties};
use super::relate::{self, Single};
use super::store::{Row, Store};
use super::url::RowKey;
use super::value::write_text;
use crate::net;

/// The most expanded properties of one request. [D]
const MOST: usize = 15;

#[derive(Clone, Copy, Debug)]
enum To {
    One(Single),
    /// The table of the rows and their lookup.
    Many(usize, u16),
}

impl To {
    fn table(self) -> usize {
        match self {
            To::One(single) => single.table,
            To::Many(table, _) => table,
        }
    }
}

/// One expanded navigation property.
pub(super) struct Expand {
    nav: String,
    to: To,
    view: View,
    filter: Option<Filter>,
    order: Vec<(Path, bool)>,
    top: Option<usize>,
    inner: Vec<Expand>,
    /// Only `@odata.id`.
    reference: bool,
    /// The inner options as sent, for the collection's link.
    raw: String,
}

/// Splits at a separator outside of parentheses and quotes.
fn split(text: &str, separator: char) -> Result<Vec<&str>> {
    let (mut parts, mut depth, mut quoted, mut start) = (Vec::new(), 0usize, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.checked_sub(1).ok_or_else(|| Fail::query("Syntax error in $expand."))?,
            _ if c == separator && depth == 0 && !quoted => {
                parts.push(text[start..at].trim());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if depth > 0 || quoted {
        return Err(Fail::query("Syntax error in $expand."));
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

impl Expand {
    /// Reads `$expand` of a table's rows.
    pub(super) fn parse(text: &str, store: &Store, table: usize) -> Result<Vec<Expand>> {
        let mut count = 0;
        parse(text, store, table, 0, &mut count)
    }

    /// The part in a context URL: `primarycontactid(fullname)`.
    pub(super) fn context(&self) -> String {
        let list = self.view.context.trim_start_matches('(').trim_end_matches(')');
        format!("{}({list})", self.nav)
    }
}

fn parse(text: &str, store: &Store, table: usize, depth: usize, count: &mut usize) -> Result<Vec<Expand>> {
    if depth > 4 {
        return Err(Fail::query("The request includes a $expand path which is too deep."));
    }
    let description = &store.tables[table].table;
    let mut items = Vec::new();
    for part in split(text, ',')? {
        *count += 1;
        if *count > MOST {
            return Err(Fail::query(format!("The number of $expand segments exceeds the limit of {MOST}.")));
        }
        let (name, options) = match part.split_once('(') {
            None => (part, ""),
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(|| Fail::query("Syntax error in $expand."))?),
        };
        let (nav, reference) = name.strip_suffix("/$ref").map_or((name, false), |nav| (nav, true));
        let to = match (relate::single(store, table, nav), relate::collection(store, table, nav)) {
            (Some(single), _) => To::One(single),
            (None, Some((child, lookup))) => To::Many(child, lookup),
            (None, None) => return Err(Fail::no_property(nav, &description.entity())),
        };
        if reference && matches!(to, To::Many(..)) {
            // [D: only on single-valued properties]
            return Err(Fail::query(format!("The $expand of '{nav}/$ref' is not supported on a collection-valued navigation property.")));
        }
        let inner_table = to.table();
        let mut item = Expand {
            nav: nav.to_owned(),
            to,
            view: View::new(&store.tables[inner_table].table, None)?,
            filter: None,
            order: Vec::new(),
            top: None,
            inner: Vec::new(),
            reference,
            raw: options.split(';').map(str::trim).collect::<Vec<_>>().join("&"),
        };
        for option in split(options, ';')?.into_iter().filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| Fail::query("Syntax error in $expand."))?;
            match (name.trim(), to) {
                ("$select", _) => {
                    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
                    item.view = View::new(&store.tables[inner_table].table, Some(&names))?;
                }
                ("$expand", _) => item.inner = parse(value, store, inner_table, depth + 1, count)?,
                ("$filter", To::Many(..)) => item.filter = Some(Filter::parse(value, store, inner_table)?),
                ("$orderby", To::Many(..)) => item.order = order_by(value, store, inner_table)?,
                ("$top", To::Many(..)) => item.top = Some(value.trim().parse().map_err(|_| Fail::query("Syntax error in $expand."))?),
                // `$skip`, `$count`, `$search`, `$levels`, and what narrows a collection on a single row. [D]
                (other, _) => return Err(Fail::query(format!("The query option '{other}' is not supported within $expand of '{nav}'."))),
            }
        }
        items.push(item);
    }
    Ok(items)
}

/// Appends the expanded properties of a row, each behind a comma.
pub(super) fn write(out: &mut String, site: &Site, store: &Store, (table, id, row): (usize, Uuid, &Row), items: &[Expand], notes: Notes) {
    for item in items {
        let _ = write!(out, ",\"{}\":", item.nav);
        let object = |out: &mut String, table: usize, id: Uuid, row: &Row| {
            out.push('{');
            write_properties(out, store, table, id, row, &item.view, notes);
            write(out, site, store, (table, id, row), &item.inner, notes);
            out.push('}');
        };
        match item.to {
            To::One(single) => {
                let target = relate::target(store, table, id, row, single);
                let found = target.and_then(|id| Some((id, store.tables[single.table].rows.get(&id)?)));
                match found {
                    None => out.push_str("null"),
                    Some((id, _)) if item.reference => {
                        let _ = write!(out, "{{\"@odata.id\":\"{}/{}({id})\"}}", site.root, store.tables[single.table].table.set);
                    }
                    Some((id, row)) => object(out, single.table, id, row),
                }
            }
            To::Many(child, lookup) => {
                let mut rows: Vec<(Uuid, &Row)> = relate::pointing_here(store, child, lookup, table, id)
                    .filter(|(id, row)| item.filter.as_ref().is_none_or(|filter| filter.matches(store, child, *id, row)))
                    .collect();
                rows.sort_by(|a, b| compare(store, child, &item.order, *a, *b));
                out.push('[');
                for (at, (id, row)) in rows.into_iter().take(item.top.unwrap_or(site.page_cap)).enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    object(out, child, id, row);
                }
                out.push(']');
                if site.expand_links {
                    let separator = if item.raw.is_empty() { "" } else { "?" };
                    let link = format!("{}/{}({id})/{}{separator}{}", site.root, store.tables[table].table.set, item.nav, item.raw);
                    let _ = write!(out, ",\"{}@odata.nextLink\":", item.nav);
                    write_text(out, &link);
                }
            }
        }
    }
}

/// Where a path goes on from a row.
pub(super) enum Step {
    Column,
    One(Single),
    Many(usize, u16),
}

/// What a name behind a row's key is.
pub(super) fn step(store: &Store, table: usize, name: &str) -> Result<Step> {
    if let Some(single) = relate::single(store, table, name) {
        return Ok(Step::One(single));
    }
    if let Some((child, lookup)) = relate::collection(store, table, name) {
        return Ok(Step::Many(child, lookup));
    }
    if store.tables[table].table.property(name).is_some() || store.tables[table].table.column(name).is_some() {
        return Ok(Step::Column);
    }
    Err(Fail::no_segment(name))
}

/// The row that a row's lookup points to.
pub(super) fn follow(store: &Store, table: usize, key: &RowKey, single: Single) -> Result<Option<Uuid>> {
    let id = find(store, table, key)?.existing(&store.tables[table].table)?;
    Ok(store.tables[table].rows.get(&id).and_then(|row| relate::target(store, table, id, row, single)))
}

/// `GET set(key)/nav/$ref`.
pub(super) fn references(site: &Site, store: &Store, table: usize, key: &RowKey, name: &str) -> Result<Response<Body>> {
    let link = |table: usize, id: Uuid| format!("{}/{}({id})", site.root, store.tables[table].table.set);
    let text = match step(store, table, name)? {
        Step::Column => return Err(Fail::no_segment("$ref")),
        Step::One(single) => match follow(store, table, key, single)? {
            None => return Ok(net::empty(StatusCode::NO_CONTENT)),
            Some(id) => serde_json::json!({"@odata.context": format!("{}/$metadata#$ref", site.root), "@odata.id": link(single.table, id)}),
        },
        Step::Many(child, lookup) => {
            let id = find(store, table, key)?.existing(&store.tables[table].table)?;
            let rows = relate::pointing_here(store, child, lookup, table, id);
            let value: Vec<_> = rows.map(|(id, _)| serde_json::json!({"@odata.id": link(child, id)})).collect();
            serde_json::json!({"@odata.context": format!("{}/$metadata#Collection($ref)", site.root), "value": value})
        }
    };
    Ok(net::body(StatusCode::OK, JSON, text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_outside_of_parentheses_and_quotes() {
        assert_eq!(split("a($select=b,c;$expand=d(x,y)),e", ',').unwrap(), ["a($select=b,c;$expand=d(x,y))", "e"]);
        assert_eq!(split("$filter=a eq ';';$top=1", ';').unwrap(), ["$filter=a eq ';'", "$top=1"]);
        assert!(split("a(", ',').is_err() && split("a)", ',').is_err() && split("'", ',').is_err());
    }
}
