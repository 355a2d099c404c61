//! Records and lists of profiles, and the resource's metadata, as JSON.

use serde_json::{Map, Value as Json, json};

use super::Campaign;
use super::fields::{Field, Kind};
use super::store::{Profile, Profiles};
use crate::emulator::net;
use crate::time::format_instant_campaign;

/// Which of the two endpoints is spoken to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Endpoint {
    /// `profileAndServices`: standard attributes only.
    Standard,
    /// `profileAndServicesExt`: custom attributes and identification keys too.
    Extended,
}

impl Endpoint {
    pub(super) fn name(self) -> &'static str {
        match self {
            Endpoint::Standard => "profileAndServices",
            Endpoint::Extended => "profileAndServicesExt",
        }
    }

    pub(super) fn custom(self) -> bool {
        self == Endpoint::Extended
    }
}

/// Sealing domain of list positions.
const LINE: u64 = 2;
/// One filter of a list.
type Test<'a> = Box<dyn Fn(u64, &Profile) -> bool + 'a>;

/// Lines of a list when `_lineCount` is not given. [K]
const LINES: usize = 25;

impl Campaign {
    pub(super) fn resource(&self, endpoint: Endpoint) -> String {
        format!("{}/campaign/{}/profile", self.site.base, endpoint.name())
    }

    pub(super) fn href(&self, endpoint: Endpoint, pkey: &str) -> String {
        format!("{}/{pkey}", self.resource(endpoint))
    }

    /// The value of an attribute of the resource itself.
    pub(super) fn attribute(&self, profiles: &Profiles, endpoint: Endpoint, id: u64, profile: &Profile, index: u16, field: &Field) -> Json {
        let text = |name: &str| profiles.fields.find(name).map_or("", |index| profile.text(index));
        let instant = |millis: i64| json!(chrono::DateTime::from_timestamp_millis(millis).map(format_instant_campaign));
        match field.name.as_str() {
            "PKey" => json!(profiles.pkey(id)),
            "created" => instant(profile.created),
            "lastModified" => instant(profile.modified),
            "domain" => json!(text("email").split_once('@').map_or("", |(_, domain)| domain)),
            "title" => json!(title(text("firstName"), text("lastName"), text("email"))),
            "cryptedId" => json!(profiles.seal(3, id)[1..]),
            "age" => json!(age(profiles, profile)),
            "location" => {
                let parts = profiles.fields.list.iter().enumerate().filter(|(_, field)| field.within == Some("location"));
                Json::Object(parts.map(|(part, field)| (field.name.clone(), field.write(profile.cell(part as u16)))).collect())
            }
            "postalAddress" => postal(&text),
            _ if field.kind == Kind::Collection => json!({"href": format!("{}/{}/", self.href(endpoint, &profiles.pkey(id)), field.name)}),
            _ => field.write(profile.cell(index)),
        }
    }

    /// A whole record.
    pub(super) fn record(&self, profiles: &Profiles, endpoint: Endpoint, id: u64, profile: &Profile) -> Map<String, Json> {
        let mut record = Map::new();
        for (index, field) in profiles.fields.top(endpoint.custom()) {
            // Links that point nowhere are left out. [K]
            if field.kind != Kind::Link {
                record.insert(field.name.clone(), self.attribute(profiles, endpoint, id, profile, index, field));
            }
        }
        record.insert("href".to_owned(), json!(self.href(endpoint, &profiles.pkey(id))));
        record
    }

    /// A list: `{"content","next"?,"count","serverSidePagination"}`.
    pub(super) fn list(
        &self,
        profiles: &Profiles,
        endpoint: Endpoint,
        filters: &[&str],
        column: Option<u16>,
        query: &[(String, String)],
    ) -> Result<Json, (u16, String)> {
        let option = |name: &str| query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let lines = match option("_lineCount") {
            None => LINES,
            Some(text) => text.parse::<usize>().ok().filter(|lines| *lines > 0).ok_or((400, format!("'{text}' is no _lineCount")))?,
        };
        let start = match option("_lineStart") {
            None => None,
            Some(text) => {
                Some(profiles.unseal(LINE, text).ok_or((400, format!("'{text}' is no _lineStart: follow `next` as it was given")))?)
            }
        };
        let mut tests: Vec<Test<'_>> = Vec::new();
        for filter in filters {
            match *filter {
                "byEmail" => {
                    let email = option("email").ok_or((400, "the filter byEmail needs the parameter 'email'".to_owned()))?;
                    let ids = profiles.by_email(email);
                    tests.push(Box::new(move |id, _| ids.contains(&id)));
                }
                "byText" => {
                    let wanted = option("text").ok_or((400, "the filter byText needs the parameter 'text'".to_owned()))?.to_lowercase();
                    let fields: Vec<u16> =
                        ["firstName", "lastName", "email"].iter().filter_map(|name| profiles.fields.find(name)).collect();
                    tests
                        .push(Box::new(move |_, profile| fields.iter().any(|field| profile.text(*field).to_lowercase().contains(&wanted))));
                }
                other => return Err((500, format!("unknown filter {other}"))),
            }
        }
        let matches = |id: u64, profile: &Profile| tests.iter().all(|test| test(id, profile));
        // A filter by address has its candidates at hand; everything else walks the table from where the page begins.
        let candidates: Option<&[u64]> = match (filters.contains(&"byEmail"), option("email")) {
            (true, Some(email)) => Some(profiles.by_email(email)),
            _ => None,
        };
        let mut page: Vec<u64> = Vec::new();
        let mut more = None;
        if let Some(order) = option("_order") {
            let (name, descending) = order.split_once(' ').map_or((order, false), |(name, direction)| (name, direction.trim() == "desc"));
            let field = profiles
                .fields
                .find(name)
                .filter(|field| profiles.fields.at(*field).sortable)
                .ok_or((400, format!("the list cannot be ordered by '{name}'")))?;
            let mut sorted: Vec<(u64, &Profile)> =
                profiles.rows.iter().map(|(id, profile)| (*id, profile)).filter(|(id, profile)| matches(*id, profile)).collect();
            sorted.sort_by(|(a, x), (b, y)| {
                let order = sort_key(name, field, x).cmp(&sort_key(name, field, y));
                (if descending { order.reverse() } else { order }).then(a.cmp(b))
            });
            let from = start.unwrap_or(0) as usize;
            page.extend(sorted.iter().skip(from).take(lines).map(|(id, _)| *id));
            if sorted.len() > from.saturating_add(lines) {
                more = Some((from + lines) as u64);
            }
        } else {
            let from = start.map_or(0, |last| last.saturating_add(1));
            let walk: Box<dyn Iterator<Item = u64>> = match candidates {
                Some(ids) => Box::new(ids.iter().copied().filter(move |id| *id >= from)),
                None => Box::new(profiles.rows.range(from..).map(|(id, _)| *id)),
            };
            for id in walk {
                if !profiles.rows.get(&id).is_some_and(|profile| matches(id, profile)) {
                    continue;
                }
                if page.len() == lines {
                    more = page.last().copied();
                    break;
                }
                page.push(id);
            }
        }
        // Tables beyond the threshold give no `next` unless pagination is forced. [D]
        let big = profiles.rows.len() > self.site.big_table && option("_forcePagination") != Some("true");
        let content: Vec<Json> = (page.iter())
            .filter_map(|id| profiles.rows.get(id).map(|profile| (*id, profile)))
            .map(|(id, profile)| match column {
                None => Json::Object(self.record(profiles, endpoint, id, profile)),
                Some(index) => {
                    let field = profiles.fields.at(index);
                    let pkey = profiles.pkey(id);
                    json!({"PKey": pkey, "href": self.href(endpoint, &pkey), &field.name: self.attribute(profiles, endpoint, id, profile, index, field)})
                }
            })
            .collect();
        let mut path = self.resource(endpoint);
        for filter in filters {
            path.push('/');
            path.push_str(filter);
        }
        let kept: Vec<String> = query
            .iter()
            .filter(|(name, _)| name != "_lineStart" && name != "_lineCount")
            .map(|(name, value)| format!("{name}={}", net::encode(value)))
            .collect();
        let mut list = json!({"content": content, "serverSidePagination": true});
        let mut count = format!("{path}/_count");
        if !kept.is_empty() {
            count.push('?');
            count.push_str(&kept.join("&"));
        }
        list["count"] = json!({"href": count});
        if let Some(position) = more.filter(|_| !big) {
            let mut next = path;
            if let Some(column) = column {
                next.push('/');
                next.push_str(&profiles.fields.at(column).name);
            }
            next.push_str(&format!("?_lineCount={lines}&_lineStart={}", profiles.seal(LINE, position)));
            for part in kept {
                next.push('&');
                next.push_str(&part);
            }
            list["next"] = json!({"href": next});
        }
        Ok(list)
    }

    /// `GET resourceType/profile`.
    pub(super) fn metadata(&self, profiles: &Profiles, endpoint: Endpoint) -> Json {
        let base = format!("{}/campaign/{}", self.site.base, endpoint.name());
        let mut content = Map::new();
        for (_, field) in profiles.fields.top(endpoint.custom()) {
            let mut entry = json!({
                "apiName": field.name,
                "label": field.label,
                "type": field.kind.name(),
                "dataPolicy": field.policy.as_deref().unwrap_or("none"),
                "category": if field.custom { "extended" } else { "standard" },
                "resType": if matches!(field.kind, Kind::Link | Kind::Collection | Kind::Item) { "resource" } else { "attribute" },
                "sortable": field.sortable,
            });
            if let Some(target) = &field.target {
                entry["resTarget"] = json!(target);
            }
            if field.kind == Kind::Enumeration {
                entry["values"] =
                    field.values.iter().map(|(label, name, stored)| json!({"label": label, "name": name, "value": stored})).collect();
            }
            content.insert(field.name.clone(), entry);
        }
        json!({
            "content": content,
            "data": {"href": format!("{base}/profile")},
            "filters": {"href": format!("{base}/profile/_filters")},
            "help": "Profiles: the persons that messages are sent to",
            "href": format!("{base}/resourceType/profile"),
            "label": "Profile",
            "name": "profile",
            "schema": "nms:recipient",
            "type": "item",
        })
    }
}

fn sort_key(name: &str, field: u16, profile: &Profile) -> (i64, String) {
    use super::fields::Cell;
    match name {
        "created" => (profile.created, String::new()),
        "lastModified" => (profile.modified, String::new()),
        _ => match profile.cell(field) {
            None => (i64::MIN, String::new()),
            Some(Cell::Text(text)) => (0, text.to_lowercase()),
            Some(Cell::Int(value) | Cell::Time(value)) => (*value, String::new()),
            Some(Cell::Day(day)) => (i64::from(chrono::Datelike::num_days_from_ce(day)), String::new()),
            Some(Cell::Bool(value)) => (i64::from(*value), String::new()),
            Some(Cell::Choice(value)) => (i64::from(*value), String::new()),
            Some(Cell::Number(value)) => (i64::try_from(value.round()).unwrap_or(i64::MAX), String::new()),
        },
    }
}

fn title(first: &str, last: &str, email: &str) -> String {
    let name = [first, last].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    if email.is_empty() { name } else { format!("{name} ({email})").trim_start().to_owned() }
}

/// The age in full years.
fn age(profiles: &Profiles, profile: &Profile) -> u32 {
    let birth = profiles.fields.find("birthDate").and_then(|index| profile.cell(index));
    match birth {
        Some(super::fields::Cell::Day(day)) => crate::time::now().date_naive().years_since(*day).unwrap_or(0),
        _ => 0,
    }
}

/// The address laid out in lines, derived from the name and `location`. [K]
fn postal<'a>(text: &impl Fn(&str) -> &'a str) -> Json {
    let name = [text("firstName"), text("lastName")].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let city =
        [text("location.zipCode"), text("location.city")].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let lines = [
        name.as_str(),
        text("location.address1"),
        text("location.address2"),
        text("location.address3"),
        text("location.address4"),
        city.as_str(),
    ];
    let serialized = lines.iter().filter(|line| !line.is_empty()).copied().collect::<Vec<_>>().join("\n");
    json!({
        "line1": lines[0], "line2": lines[1], "line3": lines[2], "line4": lines[3], "line5": lines[4], "line6": lines[5],
        "serialized": serialized,
    })
}
