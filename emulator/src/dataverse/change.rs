//! Paging tokens and change tracking.
//!
//! A skip token is the service's cookie: XML in XML, escaped twice, to be followed as given. A delta token is a version and the time
//! it was given out. A delta reports the rows whose version is newer, in that order, and then the ids that were deleted since.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::ops::Bound::{Excluded, Included};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use uuid::Uuid;

use super::Site;
use super::error::{Fail, Result};
use super::read::{JSON, Notes, View, write_properties};
use super::store::Store;
use super::url::{Options, without};
use super::value::{self, write_text};
use crate::net;

/// Where a page begins, inside the opaque skip token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cookie {
    pub(super) page: u32,
    pub(super) tracking: bool,
    /// The last row given out: an id, an offset in an ordered set, or a version in a delta.
    pub(super) position: Position,
    /// Change tracking: the version and time the next delta link will carry.
    pub(super) mark: (u64, i64),
    /// The fingerprint of the query; a next link is followed as it was given.
    pub(super) query: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Position {
    After(Uuid),
    Offset(usize),
    Changed(u64),
    Deleted(u64),
}

pub(super) fn fingerprint(set: &str, raw: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (set, raw).hash(&mut hasher);
    hasher.finish()
}

impl Cookie {
    /// The token in the form of a link: XML within XML, escaped twice, like the service's.
    pub(super) fn to_link(&self, key: &str) -> String {
        let (kind, at) = match self.position {
            Position::After(id) => ("a", id.to_string()),
            Position::Offset(at) => ("o", at.to_string()),
            Position::Changed(at) => ("c", at.to_string()),
            Position::Deleted(at) => ("d", at.to_string()),
        };
        let inner = format!(
            "<cookie page=\"{}\"><{key} last=\"{{{at}}}\" kind=\"{kind}\" mark=\"{}!{}\" query=\"{}\" /></cookie>",
            self.page, self.mark.0, self.mark.1, self.query
        );
        let outer = format!(
            "<cookie pagenumber=\"{}\" pagingcookie=\"{}\" istracking=\"{}\" />",
            self.page + 1,
            net::encode(&inner),
            if self.tracking { "True" } else { "False" }
        );
        net::encode(&outer)
    }

    /// Reads a token that was unescaped once, by the query string's decoding.
    pub(super) fn parse(token: &str) -> Option<Cookie> {
        fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
            let start = text.find(&format!(" {name}=\""))? + name.len() + 3;
            text[start..].split_once('"').map(|(value, _)| value)
        }
        let tracking = attribute(token, "istracking")? == "True";
        let escaped = attribute(token, "pagingcookie")?;
        // A client that unescapes the link once too often has spoiled it.
        if escaped.contains('<') {
            return None;
        }
        let inner = net::decode(escaped)?;
        let last = attribute(&inner, "last")?.strip_prefix('{')?.strip_suffix('}')?;
        let position = match attribute(&inner, "kind")? {
            "a" => Position::After(Uuid::try_parse(last).ok()?),
            "o" => Position::Offset(last.parse().ok()?),
            "c" => Position::Changed(last.parse().ok()?),
            "d" => Position::Deleted(last.parse().ok()?),
            _ => return None,
        };
        let (version, at) = attribute(&inner, "mark")?.split_once('!')?;
        Some(Cookie {
            page: attribute(&inner, "page")?.parse().ok()?,
            tracking,
            position,
            mark: (version.parse().ok()?, at.parse().ok()?),
            query: attribute(&inner, "query")?.parse().ok()?,
        })
    }
}

/// `version!MM/dd/yyyy HH:mm:ss`, escaped as in the documentation's example.
pub(super) fn delta_token(mark: (u64, i64)) -> String {
    let at = value::instant(mark.1).format("%m/%d/%Y %H:%M:%S");
    format!("{}!{at}", mark.0).replace('!', "%21").replace('/', "%2f").replace(' ', "%20").replace(':', "%3a")
}

pub(super) fn parse_delta_token(token: &str) -> Option<(u64, i64)> {
    let (version, at) = token.split_once('!')?;
    let at = chrono::NaiveDateTime::parse_from_str(at, "%m/%d/%Y %H:%M:%S").ok()?;
    Some((version.parse().ok()?, at.and_utc().timestamp()))
}

/// A token that was never given out is another error than one that has expired: a full load does not help. The code is
/// InvalidArgument's. [K]
pub(super) fn malformed_delta_token(token: &str) -> Fail {
    Fail::new(400, "0x80040203", format!("The delta token '{token}' is not valid."))
}

pub(super) fn check_mark(site: &Site, store: &Store, table: usize, mark: (u64, i64)) -> Result<()> {
    let expired = mark.0 < store.tables[table].valid_from || site.now() - mark.1 >= site.retention.as_secs().min(i64::MAX as u64) as i64;
    if expired {
        return Err(Fail::new(
            site.expired_status,
            "0x80044352",
            "Version stamp associated with the client has expired. Please perform a full sync.",
        ));
    }
    Ok(())
}

pub(super) fn tracking_allows(options: &Options) -> Result<()> {
    let forbidden = [
        ("$filter", options.filter.is_some()),
        ("$orderby", options.orderby.is_some()),
        ("$expand", options.expand.is_some()),
        ("$top", options.top.is_some()),
    ];
    match forbidden.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Fail::query(format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled."))),
        None => Ok(()),
    }
}

pub(super) fn link(site: &Site, path: &str, raw: &str, token: &str) -> String {
    let separator = if raw.is_empty() { "" } else { "&" };
    format!("{}/{path}?{raw}{separator}{token}", site.root)
}

/// The changes since a token: rows by rising version, then tombstones.
pub(super) fn delta(
    site: &Site,
    store: &Store,
    table: usize,
    options: &Options,
    (token, cookie): (&str, Option<Cookie>),
    (view, notes, page): (&View, Notes, usize),
) -> Result<Response<Body>> {
    tracking_allows(options)?;
    let rows = &store.tables[table];
    let since = parse_delta_token(token).ok_or_else(|| malformed_delta_token(token))?;
    check_mark(site, store, table, since)?;
    // What changes while the client pages has a higher version than this mark, and comes with the next delta.
    let mark = cookie.as_ref().map_or((store.version, site.now()), |cookie| cookie.mark);
    let position = cookie.as_ref().map_or(Position::Changed(since.0), |cookie| cookie.position);
    let mut items = String::new();
    let mut written = 0;
    let mut next = None;
    let mut deleted_from = since.0;
    match position {
        Position::Changed(from) => {
            let mut last = from;
            for (version, id) in rows.by_version.range((Excluded(from), Included(mark.0.max(from)))) {
                if written == page {
                    next = Some(Position::Changed(last));
                    break;
                }
                let Some(row) = rows.rows.get(id) else { continue };
                items.push_str(if written > 0 { ",{" } else { "{" });
                write_properties(&mut items, store, table, *id, row, view, notes);
                items.push('}');
                written += 1;
                last = *version;
            }
        }
        Position::Deleted(from) => deleted_from = from,
        Position::After(_) | Position::Offset(_) => return Err(Fail::query("Malformed XML in the Paging Cookie.")),
    }
    if next.is_none() {
        let mut last = deleted_from;
        for (version, id) in rows.gone.range((Excluded(deleted_from), Included(mark.0.max(deleted_from)))) {
            if written == page {
                next = Some(Position::Deleted(last));
                break;
            }
            let _ = write!(
                items,
                "{}{{\"@odata.context\":\"{}/$metadata#{}/$deletedEntity\",\"id\":\"{id}\",\"reason\":\"deleted\"}}",
                if written > 0 { "," } else { "" },
                site.root,
                rows.table.set
            );
            written += 1;
            last = *version;
        }
    }
    let mut out = format!("{{\"@odata.context\":\"{}/$metadata#{}{}/$delta\",", site.root, rows.table.set, view.context);
    match next {
        Some(position) => {
            let page = cookie.as_ref().map_or(1, |cookie| cookie.page + 1);
            let query = fingerprint(&rows.table.set, &options.meaning);
            let cookie = Cookie { page, tracking: true, position, mark, query };
            out.push_str("\"@odata.nextLink\":");
            write_text(&mut out, &link(site, &rows.table.set, &options.raw, &format!("$skiptoken={}", cookie.to_link(&rows.table.id))));
        }
        None => {
            let raw = without(&options.raw, "$deltatoken");
            out.push_str("\"@odata.deltaLink\":");
            write_text(&mut out, &link(site, &rows.table.set, &raw, &format!("$deltatoken={}", delta_token(mark))));
        }
    }
    let _ = write!(out, ",\"value\":[{items}]}}");
    Ok(net::body(StatusCode::OK, JSON, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paging_cookie_survives_one_decoding_and_not_two() {
        let cookie = Cookie { page: 1, tracking: true, position: Position::After(Uuid::from_u128(7)), mark: (9, 10), query: 11 };
        let once = net::decode(&cookie.to_link("contactid")).unwrap();
        assert_eq!(Cookie::parse(&once), Some(cookie));
        assert_eq!(Cookie::parse(&net::decode(&once).unwrap()), None);
    }

    #[test]
    fn a_delta_token_reads_as_in_the_documentation() {
        let mark = (919042, 1503389444);
        assert_eq!(delta_token(mark), "919042%2108%2f22%2f2017%2008%3a10%3a44");
        assert_eq!(parse_delta_token("919042!08/22/2017 08:10:44"), Some(mark));
        assert_eq!(parse_delta_token("919042"), None);
    }
}
