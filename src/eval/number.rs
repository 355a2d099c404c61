//! Numbers of records. Money never passes through a floating-point number.

use rust_decimal::Decimal;

/// A decimal number as JSON writes it, with or without exponent.
pub fn parse(text: &str) -> Option<Decimal> {
    if text.bytes().any(|b| matches!(b, b'e' | b'E')) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(parse("20000.0000").map(|d| d.to_string()), Some("20000.0000".to_owned()));
        assert_eq!(parse("922337203685477.5807").map(|d| d.to_string()), Some("922337203685477.5807".to_owned()));
        assert_eq!(parse("1e3"), Some(Decimal::from(1000)));
        assert_eq!(parse("x"), None);
    }
}
