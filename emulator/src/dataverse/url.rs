//! Reads resource paths, keys and query options of the Web API.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::error::{Fail, Result};
use super::table::{Column, Type};
use super::value::Value;
use crate::net;
use crate::time::{parse_date, parse_instant};

/// A literal of a key or a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Guid(Uuid),
    Day(chrono::NaiveDate),
    Time(i64),
}

impl Literal {
    pub(super) fn edm(&self) -> &'static str {
        match self {
            Literal::Null => "<null>",
            Literal::Bool(_) => "Edm.Boolean",
            Literal::Number(value) if value.is_integer() => "Edm.Int32",
            Literal::Number(_) => "Edm.Decimal",
            Literal::Text(_) => "Edm.String",
            Literal::Guid(_) => "Edm.Guid",
            Literal::Day(_) => "Edm.Date",
            Literal::Time(_) => "Edm.DateTimeOffset",
        }
    }

    /// An unquoted literal.
    pub(super) fn bare(text: &str) -> Option<Literal> {
        match text {
            "null" => return Some(Literal::Null),
            "true" => return Some(Literal::Bool(true)),
            "false" => return Some(Literal::Bool(false)),
            _ => {}
        }
        if text.len() == 36
            && let Ok(id) = Uuid::try_parse(text)
        {
            return Some(Literal::Guid(id));
        }
        if let Some(day) = parse_date(text) {
            return Some(Literal::Day(day));
        }
        if let Some(at) = parse_instant(text) {
            return Some(Literal::Time(at.timestamp()));
        }
        text.parse().ok().map(Literal::Number)
    }

    /// The literal as a value of a column; `None` when the types do not go together.
    pub(super) fn to_value(&self, column: &Column) -> Option<Value> {
        Some(match (column.kind, self) {
            (_, Literal::Null) => Value::Null,
            (Type::Boolean, Literal::Bool(value)) => Value::Bool(*value),
            (Type::String | Type::Memo | Type::EntityName | Type::MultiSelect, Literal::Text(text)) => Value::text(text),
            (Type::Integer | Type::BigInt | Type::Picklist | Type::State | Type::Status, Literal::Number(number))
                if number.is_integer() =>
            {
                Value::Int(i64::try_from(*number).ok()?)
            }
            (Type::Decimal | Type::Money, Literal::Number(number)) => Value::Dec(*number),
            (Type::Double, Literal::Number(number)) => Value::Float(f64::try_from(*number).ok()?),
            (Type::Uniqueidentifier | Type::Lookup | Type::Customer | Type::Owner, Literal::Guid(id)) => Value::Id((*id).into()),
            (Type::DateTime, Literal::Day(day)) if column.is_date_only() => Value::Day(*day),
            (Type::DateTime, Literal::Day(day)) => Value::Time(crate::time::midnight(*day).timestamp()),
            (Type::DateTime, Literal::Time(at)) if !column.is_date_only() => Value::Time(*at),
            _ => return None,
        })
    }
}

/// How one row is named in a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowKey {
    Id(Uuid),
    Alternate(Vec<(String, Literal)>),
}

/// A path segment: a name and perhaps a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) key: Option<RowKey>,
    /// The segment as it was sent, for `OData-EntityId`.
    pub(super) raw: String,
}

/// Splits a path below the service root into segments.
pub(super) fn segments(path: &str) -> Result<Vec<Segment>> {
    path.split('/').filter(|part| !part.is_empty()).map(segment).collect()
}

/// Reads one segment, still with its percent escapes.
pub(super) fn segment(raw: &str) -> Result<Segment> {
    let bad = |what: &str| Fail::query(format!("Bad Request - Error in query syntax: {what}."));
    let text = net::decode(raw).ok_or_else(|| bad("the path is not UTF-8"))?;
    let Some(open) = text.find('(') else {
        return Ok(Segment { name: text, key: None, raw: raw.to_owned() });
    };
    let inner = text[open + 1..].strip_suffix(')').ok_or_else(|| bad("a parenthesis is not closed"))?;
    let name = text[..open].to_owned();
    if let Ok(id) = Uuid::try_parse(inner.trim())
        && inner.trim().len() == 36
    {
        return Ok(Segment { name, key: Some(RowKey::Id(id)), raw: raw.to_owned() });
    }
    let mut parts = Vec::new();
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        let equals = rest.find('=').ok_or_else(|| bad("a key needs the form column=value"))?;
        let column = rest[..equals].trim().to_owned();
        rest = rest[equals + 1..].trim_start();
        let literal;
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, after) = quoted_text(quoted).ok_or_else(|| bad("a quoted key value is not closed"))?;
            // Dataverse Web API, "Alternate keys": values with these characters do not work in GET, PATCH and upsert. [D; the answer's shape is assumed]
            if value.contains(['/', '<', '>', '*', '%', '&', ':', '\\', '?', '+']) {
                return Err(Fail::new(400, "0x0", "A potentially dangerous Request.Path value was detected from the client."));
            }
            literal = Literal::Text(value);
            rest = after.trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let value = rest[..end].trim();
            literal = Literal::bare(value).ok_or_else(|| bad(&format!("'{value}' is not a key value")))?;
            rest = rest[end..].trim_start();
        }
        parts.push((column, literal));
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => {}
            None => return Err(bad("key values are separated by commas")),
        }
    }
    if parts.is_empty() {
        return Err(bad("empty key"));
    }
    Ok(Segment { name, key: Some(RowKey::Alternate(parts)), raw: raw.to_owned() })
}

/// Reads up to the closing quote; a doubled quote stands for one. Returns the text and what follows.
pub(super) fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(next) => {
                value.push('\'');
                rest = next;
            }
            None => return Some((value, rest)),
        }
    }
}

/// The system query options of a request. Option names are case-sensitive.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) select: Option<Vec<String>>,
    pub(super) filter: Option<String>,
    pub(super) orderby: Option<String>,
    pub(super) expand: Option<String>,
    pub(super) top: Option<usize>,
    pub(super) count: bool,
    pub(super) skiptoken: Option<String>,
    pub(super) deltatoken: Option<String>,
    /// The query as sent, without the skip token: what a next link repeats.
    pub(super) raw: String,
    /// What the query asks, however it is written: options decoded and sorted, without the skip token. A next link may come back
    /// with other escapes or in another order than it was given.
    pub(super) meaning: String,
}

/// A query as sent, without an option, whose name may be escaped.
pub(super) fn without(raw: &str, option: &str) -> String {
    let is = |part: &str| net::decode(part.split_once('=').map_or(part, |(name, _)| name)).is_some_and(|name| name == option);
    raw.split('&').filter(|part| !part.is_empty() && !is(part)).collect::<Vec<_>>().join("&")
}

const KNOWN: [&str; 8] = ["$select", "$filter", "$orderby", "$expand", "$top", "$count", "$skiptoken", "$deltatoken"];

impl Options {
    pub(super) fn parse(raw: Option<&str>) -> Result<Options> {
        let mut options = Options::default();
        let mut aliases = Vec::new();
        let pairs = net::query(raw).ok_or_else(|| Fail::query("The query string is not UTF-8."))?;
        for (name, value) in &pairs {
            if let Some(alias) = name.strip_prefix('@') {
                aliases.push((format!("@{alias}"), value.clone()));
            }
        }
        // `@p10` before `@p1`, which is a part of it.
        aliases.sort_by_key(|(alias, _)| std::cmp::Reverse(alias.len()));
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &pairs {
            let Some(known) = KNOWN.iter().find(|known| **known == name) else {
                // Other ways of asking, which would be skipped in silence.
                if matches!(name.as_str(), "$apply" | "fetchXml" | "sql" | "savedQuery" | "userQuery") {
                    return Err(Fail::not_emulated(&format!("the query parameter {name}")));
                }
                if name.starts_with('$') {
                    let hint = match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                        Some(known) => format!(" Query option names are case-sensitive: '{known}'."),
                        None => String::new(),
                    };
                    return Err(Fail::query(format!("The query parameter {name} is not supported.{hint}")));
                }
                continue;
            };
            if seen.contains(known) {
                return Err(Fail::query(format!(
                    "Query option '{known}' was specified more than once, but it must be specified at most once."
                )));
            }
            seen.push(known);
            match *known {
                "$select" => options.select = Some(value.split(',').map(|part| part.trim().to_owned()).collect()),
                "$filter" => {
                    let mut text = value.clone();
                    for (alias, value) in &aliases {
                        text = text.replace(alias.as_str(), value);
                    }
                    options.filter = Some(text);
                }
                "$orderby" => options.orderby = Some(value.clone()),
                "$expand" => options.expand = Some(value.clone()),
                "$top" => {
                    let top = value.parse().map_err(|_| {
                        Fail::query(format!("Invalid value '{value}' for $top query option found. The $top query option requires a non-negative integer value."))
                    })?;
                    options.top = Some(top);
                }
                "$count" => {
                    options.count = match value.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => {
                            return Err(Fail::query(format!(
                                "Invalid value '{value}' for $count query option found. Valid values are 'true' or 'false'."
                            )));
                        }
                    }
                }
                "$skiptoken" => options.skiptoken = Some(value.clone()),
                _ => options.deltatoken = Some(value.clone()),
            }
        }
        options.raw = without(raw.unwrap_or(""), "$skiptoken");
        let mut asked: Vec<String> =
            pairs.iter().filter(|(name, _)| name != "$skiptoken").map(|(name, value)| format!("{name}={value}")).collect();
        asked.sort_unstable();
        options.meaning = asked.join("&");
        Ok(options)
    }
}

/// What a client asked for by `Prefer`, in one header or several.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefer {
    pub(super) representation: bool,
    pub(super) page: Option<usize>,
    annotations: Vec<String>,
    pub(super) track: bool,
    pub(super) continue_on_error: bool,
    /// The honored preferences, for `Preference-Applied`.
    pub(super) applied: Vec<String>,
}

impl Prefer {
    pub(super) fn parse(headers: &axum::http::HeaderMap) -> Prefer {
        let mut prefer = Prefer::default();
        for header in headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()) {
            for part in split_unquoted(header) {
                let (name, value) = part.split_once('=').map_or((part, ""), |(name, value)| (name.trim(), value.trim().trim_matches('"')));
                match name {
                    "return" if value == "representation" => prefer.representation = true,
                    "odata.maxpagesize" => match value.parse() {
                        Ok(size) if size > 0 => prefer.page = Some(size),
                        _ => continue,
                    },
                    "odata.include-annotations" => prefer.annotations = value.split(',').map(|name| name.trim().to_owned()).collect(),
                    "odata.track-changes" => prefer.track = true,
                    "odata.continue-on-error" => prefer.continue_on_error = value != "false",
                    _ => continue,
                }
                prefer.applied.push(part.to_owned());
            }
        }
        prefer
    }

    /// Whether an annotation was asked for; `*` stands for any rest of a name.
    pub(super) fn wants(&self, annotation: &str) -> bool {
        self.annotations.iter().any(|pattern| match pattern.split_once('*') {
            Some((head, tail)) => annotation.starts_with(head) && annotation.ends_with(tail),
            None => pattern == annotation,
        })
    }
}

fn split_unquoted(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_joined_and_repeated() {
        let mut headers = axum::http::HeaderMap::new();
        headers.append("Prefer", "odata.maxpagesize=3,odata.include-annotations=\"a.b,Microsoft.*\"".parse().unwrap());
        headers.append("Prefer", "odata.track-changes".parse().unwrap());
        let prefer = Prefer::parse(&headers);
        assert_eq!(prefer.page, Some(3));
        assert!(prefer.track && prefer.wants("a.b") && prefer.wants("Microsoft.Dynamics.CRM.lookuplogicalname") && !prefer.wants("c"));
        assert_eq!(prefer.applied.len(), 3);
    }

    #[test]
    fn keys_are_ids_or_columns_with_values() {
        let id = "c0000000-0000-4000-8000-000000000001";
        assert_eq!(segment(&format!("contacts({id})")).unwrap().key, Some(RowKey::Id(Uuid::try_parse(id).unwrap())));
        let key = segment("contacts(emailaddress1='o''brien%20x',importsequencenumber=12)").unwrap().key;
        let expected = vec![
            ("emailaddress1".to_owned(), Literal::Text("o'brien x".into())),
            ("importsequencenumber".to_owned(), Literal::Number(12.into())),
        ];
        assert_eq!(key, Some(RowKey::Alternate(expected)));
        assert!(segment("contacts(emailaddress1='a%2Bb')").is_err(), "a plus sign breaks access by key");
        assert!(segment("contacts(").is_err());
        assert!(segment("contacts()").is_err());
    }

    #[test]
    fn option_names_are_case_sensitive_and_known() {
        assert!(Options::parse(Some("$Select=a")).unwrap_err().message.contains("case-sensitive"));
        assert!(Options::parse(Some("$skip=5")).is_err());
        assert_eq!(Options::parse(Some("$apply=groupby((lastname))")).unwrap_err().status, 501);
        let one = Options::parse(Some("%24select=a%2Cb&$count=true&%24skiptoken=x")).unwrap();
        let other = Options::parse(Some("$count=true&$select=a,b")).unwrap();
        assert_eq!(one.meaning, other.meaning);
        assert_eq!(one.raw, "%24select=a%2Cb&$count=true");
        assert_eq!(Options::parse(Some("$select=a,%20b&x=1")).unwrap().select, Some(vec!["a".into(), "b".into()]));
    }
}
