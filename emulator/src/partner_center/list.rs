//! Lists of referrals: options, order, pages.

use axum::body::Body;
use axum::http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::error::{Problem, Result, json_response};
use super::filter::{self, Filter};
use super::referral::{canonical_name, render, template, text};
use super::store::{Referral, Viewer};
use super::{PATH, PartnerCenter};
use crate::net;

/// A list that was asked for. It is also what an opaque skip token holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Ask {
    filter: Option<String>,
    /// The field, and whether the newest come first.
    order: Option<(String, bool)>,
    select: Option<Vec<Vec<String>>>,
    top: Option<usize>,
    skip: usize,
    no_count: bool,
    /// Order value and id of the last referral on the page before.
    after: Option<(String, String)>,
}

fn number(name: &str, value: &str) -> Result<usize> {
    value.parse().map_err(|_| Problem::invalid(format!("{name} must be a number, and not '{value}'.")))
}

fn path(text: &str) -> Vec<String> {
    text.trim().split('/').map(|part| canonical_name(part).to_owned()).collect()
}

fn known(path: &[String]) -> Result<()> {
    let found = path.iter().try_fold(template(), |value, name| value.get(name)).is_some();
    if found || path == ["email"] {
        return Ok(());
    }
    Err(Problem::invalid(format!("Could not find a property named '{}' on type 'Referral'.", path.join("/"))))
}

impl Ask {
    fn parse(query: Option<&str>) -> Result<Ask> {
        let pairs = net::query(query).ok_or_else(|| Problem::invalid("The query is not valid UTF-8."))?;
        if let Some((_, token)) = pairs.iter().find(|(name, _)| name == "$skiptoken") {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok();
            let ask = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            return ask.ok_or_else(|| Problem::invalid("The skip token is not valid."));
        }
        let mut ask = Ask::default();
        for (name, value) in pairs {
            match name.as_str() {
                "$filter" => ask.filter = Some(value),
                "$orderby" => ask.order = Some(order(&value)?),
                "$select" => {
                    let paths: Vec<_> = value.split(',').map(path).collect();
                    paths.iter().try_for_each(|path| known(path))?;
                    ask.select = Some(paths);
                }
                "$top" => ask.top = Some(number("$top", &value)?),
                "$skip" => ask.skip = number("$skip", &value)?,
                "$count" => match value.as_str() {
                    "true" => ask.no_count = false,
                    "false" => ask.no_count = true,
                    _ => return Err(Problem::invalid("$count must be true or false.")),
                },
                _ if name.starts_with('$') => {
                    return Err(Problem::invalid(format!("The query parameter '{name}' is not supported.")));
                }
                // Parameters without a dollar sign are the client's own. [K]
                _ => {}
            }
        }
        Ok(ask)
    }

    fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn order(text: &str) -> Result<(String, bool)> {
    let (field, direction) = text.trim().split_once(' ').unwrap_or((text.trim(), "asc"));
    let field = canonical_name(field);
    let descending = match direction.trim() {
        "asc" => false,
        "desc" => true,
        _ => return Err(Problem::invalid(format!("'{direction}' is not an order: use asc or desc."))),
    };
    // Documented are these two.
    if !matches!(field, "createdDateTime" | "updatedDateTime") {
        return Err(Problem::invalid(format!("A list cannot be ordered by '{field}'. Use createdDateTime or updatedDateTime.")));
    }
    Ok((field.to_owned(), descending))
}

/// The fields of an answer that were asked for.
fn project(body: &Json, select: &[Vec<String>]) -> Json {
    let mut out = Json::Object(Map::new());
    for path in select {
        let Some(value) = path.iter().try_fold(body, |inner, name| inner.get(name)) else { continue };
        let mut place = &mut out;
        for name in path {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[name.as_str()];
        }
        place.clone_from(value);
    }
    out
}

impl PartnerCenter {
    /// `GET …/referrals`
    pub(super) fn list(&self, query: Option<&str>, viewer: &Viewer) -> Result<Response<Body>> {
        let mut ask = Ask::parse(query)?;
        let filter = ask.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(|why| Problem::invalid(format!("The query specified in the URI is not valid: {why}.")))?;
        filter.iter().flat_map(Filter::paths).try_for_each(known)?;
        let (field, descending) = ask.order.clone().unwrap_or_else(|| ("createdDateTime".to_owned(), false));

        let state = crate::lock(&self.state);
        let visible = |referral: &&Referral| {
            let lead = text(&referral.body, &["type"]) == Some("Independent") && text(&referral.body, &["qualification"]) == Some("Direct");
            viewer.sees(referral)
                && (self.settings.list_marketplace_leads || !lead)
                && filter.as_ref().is_none_or(|filter| filter.matches(&referral.body))
        };
        let mut found: Vec<(String, String, &Referral)> = state
            .referrals
            .values()
            .filter(visible)
            .map(|referral| {
                let of = |name: &str| text(&referral.body, &[name]).unwrap_or_default().to_owned();
                (of(&field), of("id"), referral)
            })
            .collect();
        let compare = |a: &(String, String), b: &(String, String)| {
            let order = filter::order(&a.0, &b.0).then_with(|| a.1.cmp(&b.1));
            if descending { order.reverse() } else { order }
        };
        found.sort_by(|a, b| compare(&(a.0.clone(), a.1.clone()), &(b.0.clone(), b.1.clone())));
        let total = found.len();
        if let Some(after) = &ask.after {
            found.retain(|(value, id, _)| compare(&(value.clone(), id.clone()), after).is_gt());
        }
        let left = ask.top.unwrap_or(usize::MAX);
        let mut rest = found.into_iter().skip(ask.skip);
        let page: Vec<_> = rest.by_ref().take(left.min(self.settings.page_size.max(1))).collect();
        let more = rest.next().is_some() && left > page.len();

        let root = format!("{}{PATH}", self.site.referrals);
        let show = |(_, _, referral): &(String, String, &Referral)| {
            let shown = render(&referral.body, &root, self.settings.escape_names);
            ask.select.as_deref().map_or_else(|| shown.clone(), |select| project(&shown, select))
        };
        let mut body = json!({
            "@odata.context": format!("{root}/$metadata#Referrals"),
            "value": page.iter().map(show).collect::<Vec<_>>(),
        });
        if !ask.no_count {
            body["@odata.count"] = json!(total);
        }
        let last = page.last().map(|(value, id, _)| (value.clone(), id.clone()));
        drop(state);
        if more {
            ask.top = ask.top.map(|top| top - page_len(&body));
            ask.skip = 0;
            ask.after = last;
            // The documents' samples have another path; with it the link leads nowhere.
            let link = if self.settings.odd_next_link { format!("{}/v1.0/referrals", self.site.referrals) } else { root };
            body["@odata.nextLink"] = json!(format!("{link}?$skiptoken={}", ask.token()));
        }
        Ok(json_response(200, &body))
    }
}

fn page_len(body: &Json) -> usize {
    body["value"].as_array().map_or(0, Vec::len)
}
