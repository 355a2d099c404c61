//! Values as the API has them in JSON, where writing them otherwise would lose something: money and decimals, whose digits no
//! floating-point number keeps, and the three kinds of dates.
//!
//! Source: Dataverse, *Behavior and format of the date and time column*: what a user sees of an instant depends on his time zone,
//! a date alone is `Edm.Date`, and a time without a zone comes and goes as if it were UTC and is never converted.

use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::time::{self, Date, LocalDateTime};

/// A value for a body.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub enum ColumnValue {
    /// No value.
    Null,
    /// Text and memo.
    Text(String),
    /// Yes or no.
    Boolean(bool),
    /// Whole numbers, and the value of a choice.
    Integer(i64),
    /// Decimal numbers and money.
    Decimal(Decimal),
    /// The values of a multi-select choice.
    Choices(Vec<i64>),
    /// A moment (`UserLocal`). Whole seconds: the service keeps no more.
    Instant(time::Instant),
    /// A date (`DateOnly`).
    Date(Date),
    /// A time that is the same everywhere (`TimeZoneIndependent`).
    ZoneIndependent(LocalDateTime),
}

impl ColumnValue {
    /// The value as JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Decimal(value) => value.to_string(),
            // One text, with commas; no choice is an empty value.
            Self::Choices(values) if values.is_empty() => "null".to_owned(),
            Self::Choices(values) => format!("\"{}\"", values.iter().map(i64::to_string).collect::<Vec<_>>().join(",")),
            Self::Instant(at) => format!("\"{}\"", time::format_instant(*at)),
            Self::Date(date) => format!("\"{}\"", date.format("%Y-%m-%d")),
            Self::ZoneIndependent(at) => format!("\"{}\"", time::format_instant(at.and_utc())),
        }
    }
}

/// A body of columns and values.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub fn body<'a>(members: impl IntoIterator<Item = (&'a str, ColumnValue)>) -> String {
    let members: Vec<_> =
        members.into_iter().map(|(name, value)| format!("{}:{}", serde_json::Value::from(name), value.to_json())).collect();
    format!("{{{}}}", members.join(","))
}

/// A number of an answer with all its digits; none when it is no number or has more than 28 of them.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub fn decimal(json: &RawValue) -> Option<Decimal> {
    let text = json.get();
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// The values of a multi-select choice: `"1,9"`; spaces may be between them.
#[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "part of the connector that only tests use yet"))]
pub fn choices(text: &str) -> Option<Vec<i64>> {
    text.split(',').map(|t| t.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn money_keeps_its_digits_both_ways() {
        for text in ["20000.0000", "0.10", "922337203685477.5807", "-1", "100000000000000"] {
            let value = decimal(&raw(text)).unwrap();
            assert_eq!(ColumnValue::Decimal(value).to_json(), text);
        }
        assert_eq!(decimal(&raw("2.5e3")), Some(Decimal::from(2500)));
        assert_eq!(decimal(&raw("\"x\"")), None);
    }

    #[test]
    fn the_three_kinds_of_dates_are_written_each_in_its_form() {
        let at = time::parse_instant("2023-04-07T21:59:01.987Z").unwrap();
        let date = Date::from_ymd_opt(1990, 5, 6).unwrap();
        assert_eq!(ColumnValue::Instant(at).to_json(), "\"2023-04-07T21:59:01Z\"");
        assert_eq!(ColumnValue::Date(date).to_json(), "\"1990-05-06\"");
        let local = date.and_hms_opt(23, 30, 0).unwrap();
        assert_eq!(ColumnValue::ZoneIndependent(local).to_json(), "\"1990-05-06T23:30:00Z\"");
        assert_eq!(time::parse_local("1990-05-06T23:30:00Z"), Some(local));
    }

    #[test]
    fn a_multi_select_choice_is_one_text() {
        assert_eq!(ColumnValue::Choices(vec![1, 9]).to_json(), "\"1,9\"");
        assert_eq!(ColumnValue::Choices(Vec::new()).to_json(), "null");
        assert_eq!(choices("1, 9"), Some(vec![1, 9]));
        assert_eq!(choices("1;9"), None);
    }

    proptest! {
        #[test]
        fn every_body_is_json_with_its_members(text in ".*", number in any::<i64>(), units in any::<i64>(), scale in 0_u32..10) {
            let decimal_value = Decimal::new(units, scale);
            let body = body([
                ("a", ColumnValue::Text(text.clone())),
                ("b\"", ColumnValue::Integer(number)),
                ("c", ColumnValue::Decimal(decimal_value)),
                ("d", ColumnValue::Null),
            ]);
            let read: std::collections::HashMap<String, Box<RawValue>> = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(read["a"].get()).unwrap(), text);
            prop_assert_eq!(read["b\""].get(), number.to_string());
            prop_assert_eq!(decimal(&read["c"]), Some(decimal_value));
            prop_assert_eq!(read["d"].get(), "null");
        }
    }
}
