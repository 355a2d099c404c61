//! How a row is addressed: by its id or by an alternate key, in a URL or, where a value would break one, by a filter.
//!
//! Sources: Dataverse Web API, *Use an alternate key to reference a record* (form, escapes, characters that are not allowed).

use std::fmt::Write as _;

use percent_encoding::utf8_percent_encode;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::NAME;

/// Characters that break reading and writing by an alternate key, encoded or not (Dataverse, *Define alternate keys*).
const BREAKING: [char; 10] = ['/', '<', '>', '*', '%', '&', ':', '\\', '?', '+'];

/// A table as the API addresses it. All three names come from its definition: none can be derived from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    /// The entity set: `contacts`.
    pub set: String,
    /// The logical name: `contact`.
    pub logical_name: String,
    /// The primary key: `contactid`.
    pub primary_id: String,
}

impl Entity {
    /// A table by its names.
    pub fn new(set: impl Into<String>, logical_name: impl Into<String>, primary_id: impl Into<String>) -> Self {
        Self { set: set.into(), logical_name: logical_name.into(), primary_id: primary_id.into() }
    }
}

/// A value of an alternate key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "all types that a key can have"))]
pub enum KeyValue {
    /// A text.
    Text(String),
    /// An integer or a choice's value.
    Integer(i64),
    /// A decimal.
    Decimal(Decimal),
    /// The row that a lookup points to; the column is `_<lookup>_value`.
    Lookup(Uuid),
    /// An instant or a date, as OData writes it: `2024-01-31T00:00:00Z`.
    Date(String),
}

impl KeyValue {
    /// As OData writes it, not encoded for a URL.
    fn literal(&self) -> String {
        match self {
            Self::Text(text) => text_literal(text),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
            Self::Lookup(id) => id.to_string(),
            Self::Date(date) => date.clone(),
        }
    }

    fn breaks_urls(&self) -> bool {
        match self {
            Self::Text(text) => text.contains(BREAKING) || text.chars().any(char::is_control),
            // The colons of an instant.
            Self::Date(date) => date.contains(BREAKING),
            Self::Integer(_) | Self::Decimal(_) | Self::Lookup(_) => false,
        }
    }
}

/// A text as OData writes it in filters and keys, not encoded for a URL.
pub fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKey {
    /// By its id.
    Id(Uuid),
    /// By the columns of an alternate key and their values.
    Alternate(Vec<(String, KeyValue)>),
}

impl From<Uuid> for RowKey {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl RowKey {
    /// The parentheses of a row's address, encoded; none where a value would break the address.
    pub(super) fn segment(&self) -> Option<String> {
        match self {
            Self::Id(id) => Some(format!("({id})")),
            Self::Alternate(parts) => {
                let mut text = String::from("(");
                for (n, (column, value)) in parts.iter().enumerate() {
                    if value.breaks_urls() {
                        return None;
                    }
                    let comma = if n > 0 { "," } else { "" };
                    // Quotes are written as they are: the service takes `%27` too, proxies on the way may not.
                    let literal = value.literal();
                    let encoded = literal.split('\'').map(|t| utf8_percent_encode(t, NAME).to_string()).collect::<Vec<_>>().join("'");
                    let _ = write!(text, "{comma}{}={encoded}", utf8_percent_encode(column, NAME));
                }
                text.push(')');
                Some(text)
            }
        }
    }

    /// A filter that selects the row, not encoded.
    pub(super) fn filter(&self, primary_id: &str) -> String {
        match self {
            Self::Id(id) => format!("{primary_id} eq {id}"),
            Self::Alternate(parts) => {
                parts.iter().map(|(column, value)| format!("{column} eq {}", value.literal())).collect::<Vec<_>>().join(" and ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> RowKey {
        RowKey::Alternate(vec![("emailaddress1".into(), KeyValue::Text(value.into()))])
    }

    #[test]
    fn a_key_of_several_columns_is_written_as_the_service_documents_it() {
        let key = RowKey::Alternate(vec![
            ("new_code".into(), KeyValue::Text("O'Brien & Söhne".replace('&', "and"))),
            ("new_number".into(), KeyValue::Integer(7)),
            ("_parentcustomerid_value".into(), KeyValue::Lookup(Uuid::from_u128(1))),
            ("new_rate".into(), KeyValue::Decimal("1.50".parse().unwrap())),
        ]);
        assert_eq!(
            key.segment().unwrap(),
            "(new_code='O''Brien%20and%20S%C3%B6hne',new_number=7,_parentcustomerid_value=00000000-0000-0000-0000-000000000001,new_rate=1.50)"
        );
        assert_eq!(
            key.filter("contactid"),
            "new_code eq 'O''Brien and Söhne' and new_number eq 7 and \
             _parentcustomerid_value eq 00000000-0000-0000-0000-000000000001 and new_rate eq 1.50"
        );
    }

    #[test]
    fn a_value_that_breaks_a_url_has_no_address_and_has_a_filter() {
        for value in ["a+b@c.d", "a/b", "a<b", "a>b", "a*b", "50%", "a&b", "a:b", "a\\b", "a?b", "a\nb"] {
            assert_eq!(text(value).segment(), None, "{value}");
        }
        assert_eq!(text("a+b@c.d").filter("contactid"), "emailaddress1 eq 'a+b@c.d'");
        for value in ["ann@example.com", "a b", "a#b", "a=b", "(a,b)", "é"] {
            assert!(text(value).segment().is_some(), "{value}");
        }
        assert_eq!(text("a,b)#").segment().unwrap(), "(emailaddress1='a%2Cb%29%23')");
    }
}
