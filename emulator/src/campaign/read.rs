//! Records and lists as JSON.

use serde_json::{Map, Value as Json, json};

use super::fields::{Cell, Field, Kind};
use super::filter::{Condition, Filter};
use super::store::{CRYPTED, LINE, Reach, Resource, Row, World};
use super::subscriptions::SUBSCRIPTION;
use super::{Campaign, Fail};
use crate::net;
use crate::time::format_instant_campaign;

/// Which endpoint is spoken to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Endpoint {
    /// `profileAndServices`: standard attributes only.
    Standard,
    /// `profileAndServicesExt`: custom attributes and identification keys too, and custom resources linked to the profile.
    Extended,
    /// `customResources`: the custom resources that are not linked to the profile.
    Custom,
}

impl Endpoint {
    pub(super) fn parse(name: &str) -> Option<Endpoint> {
        match name {
            "profileAndServices" => Some(Endpoint::Standard),
            "profileAndServicesExt" => Some(Endpoint::Extended),
            "customResources" => Some(Endpoint::Custom),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Endpoint::Standard => "profileAndServices",
            Endpoint::Extended => "profileAndServicesExt",
            Endpoint::Custom => "customResources",
        }
    }

    pub(super) fn custom(self) -> bool {
        self != Endpoint::Standard
    }

    /// Whether a resource is found here. [D]
    pub(super) fn serves(self, resource: &Resource) -> bool {
        match resource.reach {
            Reach::BuiltIn => self != Endpoint::Custom,
            Reach::Linked => self == Endpoint::Extended,
            Reach::Free => self == Endpoint::Custom,
            Reach::Owned => false,
        }
    }
}

/// Lines of a list when `_lineCount` is not given. [D]
const LINES: usize = 25;

/// What a list is taken from.
#[derive(Clone, Copy, Default)]
pub(super) struct Of<'a> {
    /// The filters of the address.
    pub(super) filters: &'a [&'a str],
    /// The one attribute that is asked for.
    pub(super) column: Option<u16>,
    /// Only the records whose link leads to this one, and the address of that list.
    pub(super) owner: Option<(u16, u64, &'a str)>,
}

impl Campaign {
    fn resource_href(&self, world: &World, resource: usize, endpoint: Endpoint) -> String {
        format!("{}/campaign/{}/{}", self.site.base, endpoint.name(), world.resources[resource].name)
    }

    pub(super) fn href(&self, world: &World, resource: usize, endpoint: Endpoint, pkey: &str) -> String {
        format!("{}/{pkey}", self.resource_href(world, resource, endpoint))
    }

    /// The value of an attribute of the resource itself.
    pub(super) fn attribute(&self, world: &World, number: usize, endpoint: Endpoint, id: u64, row: &Row, index: u16) -> Json {
        let resource = &world.resources[number];
        let field = resource.fields.at(index);
        let text = |name: &str| resource.fields.find(name).map_or("", |index| row.text(index));
        let instant = |millis: i64| json!(chrono::DateTime::from_timestamp_millis(millis).map(format_instant_campaign));
        match field.kind {
            Kind::Collection => {
                return json!({"href": format!("{}/{}/", self.href(world, number, endpoint, &world.nested_pkey(number, id)), field.name)});
            }
            Kind::Link => return self.link_json(world, number, endpoint, row, index).unwrap_or(Json::Null),
            Kind::String | Kind::Integer | Kind::Number | Kind::Boolean | Kind::Date | Kind::Datetime | Kind::Enumeration | Kind::Item => {}
        }
        match (number, field.name.as_str()) {
            (_, "PKey") => json!(world.pkey(number, id)),
            (_, "created") => instant(row.created),
            (_, "lastModified") => instant(row.modified),
            (_, "title") => json!(title(resource, row)),
            (0, "domain") => json!(text("email").split_once('@').map_or("", |(_, domain)| domain)),
            (0, "cryptedId") => json!(world.seal(CRYPTED, id)[1..]),
            (0, "age") => json!(age(resource, row)),
            (0, "location") => {
                let parts = resource.fields.list.iter().enumerate().filter(|(_, field)| field.within == Some("location"));
                Json::Object(parts.map(|(part, field)| (field.name.clone(), field.write(row.cell(part as u16)))).collect())
            }
            (0, "postalAddress") => postal(&text),
            _ => field.write(row.cell(index)),
        }
    }

    /// A link that leads somewhere: the other record's PKey, title and address. [D: `PKey`, `title`]
    fn link_json(&self, world: &World, number: usize, endpoint: Endpoint, row: &Row, index: u16) -> Option<Json> {
        let (target, id) = world.target(number, index, row).filter(|(target, id)| world.visible(*target, *id))?;
        let other = &world.resources[target];
        let pkey = world.pkey(target, id);
        let href = self.href(world, target, endpoint, &pkey);
        Some(json!({"PKey": pkey, "href": href, "title": title(other, other.rows.get(&id)?)}))
    }

    /// A whole record.
    pub(super) fn record(&self, world: &World, number: usize, endpoint: Endpoint, id: u64, row: &Row) -> Map<String, Json> {
        let mut record = Map::new();
        for (index, field) in world.resources[number].fields.top(endpoint.custom()) {
            let value = self.attribute(world, number, endpoint, id, row, index);
            // Links that lead nowhere are left out. [K]
            if field.kind != Kind::Link || !value.is_null() {
                record.insert(field.name.clone(), value);
            }
        }
        record.insert("href".to_owned(), json!(self.href(world, number, endpoint, &world.pkey(number, id))));
        record
    }

    /// What the filters of an address ask for; `None` if one of them is not a filter of the resource.
    fn conditions<'a>(&self, resource: &'a Resource, filters: &[&str], query: &'a [(String, String)]) -> Result<Vec<Condition<'a>>, Fail> {
        let mut conditions = Vec::new();
        for name in filters {
            let filter = resource.filters.iter().find(|filter| filter.name == *name);
            let filter = filter.ok_or_else(|| (500, format!("unknown filter {name}")))?;
            conditions.extend(filter.conditions(resource, query).map_err(|why| (self.site.refusal_status, why))?);
        }
        Ok(conditions)
    }

    /// `…/_count`: how many records the filters let through.
    pub(super) fn count(&self, world: &World, number: usize, of: Of<'_>, query: &[(String, String)]) -> Result<usize, Fail> {
        let resource = &world.resources[number];
        let conditions = self.conditions(resource, of.filters, query)?;
        Ok(resource.rows.iter().filter(|(id, row)| matches(world, number, of, &conditions, **id, row)).count())
    }

    /// A list: `{"content","next"?,"count","serverSidePagination"}`.
    pub(super) fn list(
        &self,
        world: &World,
        number: usize,
        endpoint: Endpoint,
        of: Of<'_>,
        query: &[(String, String)],
    ) -> Result<Json, Fail> {
        let refused = |why: String| (self.site.refusal_status, why);
        let resource = &world.resources[number];
        let option = |name: &str| query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let lines = match option("_lineCount") {
            None => LINES,
            Some(text) => {
                text.parse::<usize>().ok().filter(|lines| *lines > 0).ok_or_else(|| refused(format!("'{text}' is not a _lineCount")))?
            }
        };
        let start = match option("_lineStart") {
            None => None,
            Some(text) => Some(
                world.unseal(LINE, text).ok_or_else(|| refused(format!("'{text}' is not a _lineStart: follow `next` as it was given")))?,
            ),
        };
        let conditions = self.conditions(resource, of.filters, query)?;
        let fits = |id: u64, row: &Row| matches(world, number, of, &conditions, id, row);
        // A filter by a text has its candidates at hand; everything else walks the table from where the page begins.
        let equal = resource.filters.iter().filter(|filter| of.filters.contains(&filter.name.as_str())).filter_map(Filter::equal_to);
        let candidates = equal.filter_map(|(parameter, field)| resource.by_text(field, option(parameter)?)).next();
        let owned = of.owner.filter(|_| resource.reach == Reach::Owned).map(|(via, owner, _)| resource.owned_by(via, owner));
        let candidates = candidates.or(owned);
        let mut page: Vec<u64> = Vec::new();
        let mut more = None;
        if let Some(order) = option("_order") {
            let (name, descending) = order.split_once(' ').map_or((order, false), |(name, direction)| (name, direction.trim() == "desc"));
            let field = (resource.fields.find(name))
                .filter(|field| resource.fields.at(*field).sortable)
                .ok_or_else(|| refused(format!("the list cannot be ordered by '{name}'")))?;
            let mut sorted: Vec<(u64, &Row)> =
                resource.rows.iter().map(|(id, row)| (*id, row)).filter(|(id, row)| fits(*id, row)).collect();
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
                Some(ids) => Box::new(ids.into_iter().filter(move |id| *id >= from)),
                None => Box::new(resource.rows.range(from..).map(|(id, _)| *id)),
            };
            for id in walk {
                if !resource.rows.get(&id).is_some_and(|row| fits(id, row)) {
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
        let big = resource.rows.len() > self.site.big_table && option("_forcePagination") != Some("true");
        let content: Vec<Json> = (page.iter())
            .filter_map(|id| resource.rows.get(id).map(|row| (*id, row)))
            .map(|(id, row)| match of.column {
                None => Json::Object(match of.owner {
                    Some((_, _, list)) if resource.name == SUBSCRIPTION => self.subscription(world, endpoint, id, row, list),
                    Some(_) | None => self.record(world, number, endpoint, id, row),
                }),
                // A column is a list of plain values. [D]
                Some(index) => self.attribute(world, number, endpoint, id, row, index),
            })
            .collect();
        let mut path = of.owner.map_or_else(|| self.resource_href(world, number, endpoint), |(_, _, href)| href.to_owned());
        for filter in of.filters {
            path.push('/');
            path.push_str(filter);
        }
        let kept: Vec<String> = query
            .iter()
            .filter(|(name, _)| name != "_lineStart" && name != "_lineCount")
            .map(|(name, value)| format!("{name}={}", net::encode(value)))
            .collect();
        // The count's address carries a position as well. [D]
        let mut count = format!("{path}/_count?");
        for part in &kept {
            count.push_str(part);
            count.push('&');
        }
        count.push_str(&format!("_lineStart={}", net::encode(&world.seal(LINE, start.unwrap_or(0)))));
        let mut list = json!({"content": content, "count": {"href": count}, "serverSidePagination": true});
        if let Some(position) = more.filter(|_| !big) {
            let mut next = path;
            if let Some(column) = of.column {
                next.push('/');
                next.push_str(&resource.fields.at(column).name);
            }
            next.push_str(&format!("?_lineCount={lines}&_lineStart={}", net::encode(&world.seal(LINE, position))));
            for part in kept {
                next.push('&');
                next.push_str(&part);
            }
            list["next"] = json!({"href": next});
        }
        Ok(list)
    }
}

fn matches(world: &World, number: usize, of: Of<'_>, conditions: &[Condition<'_>], id: u64, row: &Row) -> bool {
    let owned = of.owner.is_none_or(|(via, owner, _)| world.target(number, via, row).is_some_and(|(_, id)| id == owner));
    owned && world.visible(number, id) && conditions.iter().all(|condition| condition.holds(&world.resources[number], row))
}

fn sort_key(name: &str, field: u16, row: &Row) -> (i64, String) {
    match name {
        "created" => (row.created, String::new()),
        "lastModified" => (row.modified, String::new()),
        _ => match row.cell(field) {
            None | Some(Cell::Link(_)) => (i64::MIN, String::new()),
            Some(Cell::Text(text)) => (0, text.to_lowercase()),
            Some(Cell::Int(value) | Cell::Time(value)) => (*value, String::new()),
            Some(Cell::Day(day)) => (i64::from(chrono::Datelike::num_days_from_ce(day)), String::new()),
            Some(Cell::Bool(value)) => (i64::from(*value), String::new()),
            Some(Cell::Choice(value)) => (i64::from(*value), String::new()),
            Some(Cell::Number(value)) => (i64::try_from(value.round()).unwrap_or(i64::MAX), String::new()),
        },
    }
}

/// What people see of a record: a profile's name and address; of others the label and the key.
pub(super) fn title(resource: &Resource, row: &Row) -> String {
    let text = |name: &str| resource.fields.find(name).map_or("", |index| row.text(index));
    let (name, key) = if resource.name == "profile" {
        let name = [text("firstName"), text("lastName")].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
        (name, text("email").to_owned())
    } else {
        let key = resource.address_key().and_then(|key| row.cell(key).map(|cell| cell.key_text(resource.fields.at(key))));
        (text("label").to_owned(), key.unwrap_or_default())
    };
    if key.is_empty() { name } else { format!("{name} ({key})").trim_start().to_owned() }
}

/// The age in full years.
fn age(resource: &Resource, row: &Row) -> u32 {
    match resource.fields.find("birthDate").and_then(|index| row.cell(index)) {
        Some(Cell::Day(day)) => crate::time::now().date_naive().years_since(*day).unwrap_or(0),
        _ => 0,
    }
}

/// The address laid out in lines, derived from the name and `location`. Names and the layout as in a published answer [C]: the last
/// name in capitals, and six lines whether filled or not.
fn postal<'a>(text: &impl Fn(&str) -> &'a str) -> Json {
    let joined = |parts: [&str; 2]| parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let lines = [
        joined([text("firstName"), &text("lastName").to_uppercase()]),
        text("location.address1").to_owned(),
        text("location.address2").to_owned(),
        text("location.address3").to_owned(),
        text("location.address4").to_owned(),
        joined([text("location.zipCode"), text("location.city")]),
    ];
    let serialized = lines.join("\n");
    json!({
        "addrDefined": lines[1..].iter().any(|line| !line.is_empty()), "addrErrorCount": 0, "addrLastCheck": "", "addrQuality": "0",
        "line1": lines[0], "line2": lines[1], "line3": lines[2], "line4": lines[3], "line5": lines[4], "line6": lines[5],
        "serialized": serialized,
    })
}

/// Whether an attribute can be listed as a column.
pub(super) fn is_column(field: &Field, endpoint: Endpoint) -> bool {
    field.within.is_none() && !matches!(field.kind, Kind::Link | Kind::Collection) && (!field.custom || endpoint.custom())
}
