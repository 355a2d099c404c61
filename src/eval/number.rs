//! Numbers of records. Money never passes through a floating-point number.

use rust_decimal::Decimal;

/// A decimal number as JSON writes it, with or without exponent.
pub fn parse(text: &str) -> Option<Decimal> {
    if text.bytes().any(|b| matches!(b, b'e' | b'E')) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
}

/// The number without zeros at its end, as [`Decimal::normalize`] gives it; faster for numbers of up to 18 digits.
pub fn normalized(number: Decimal) -> Decimal {
    let mut scale = number.scale();
    match i64::try_from(number.mantissa()) {
        Ok(0) => Decimal::ZERO,
        Ok(_) if scale == 0 => number,
        Ok(mut digits) => {
            while scale > 0 && digits % 10 == 0 {
                digits /= 10;
                scale -= 1;
            }
            Decimal::new(digits, scale)
        }
        Err(_) => number.normalize(),
    }
}

/// Whether the number is at least `min` and at most `max`; as the library compares them, faster for numbers of up to 18 digits.
pub fn within(number: Decimal, min: Decimal, max: Decimal) -> bool {
    // Bounds have no decimals, nearly always.
    match (i64::try_from(number.mantissa()), i64::try_from(min.mantissa()), i64::try_from(max.mantissa())) {
        (Ok(digits), Ok(least), Ok(most)) if min.scale() == 0 && max.scale() == 0 && number.scale() <= 18 => {
            let unit = 10_i128.pow(number.scale());
            let digits = i128::from(digits);
            i128::from(least) * unit <= digits && digits <= i128::from(most) * unit
        }
        _ => min <= number && number <= max,
    }
}

/// Appends the number as JSON has it, without zeros at its end and without an exponent.
pub fn push(number: Decimal, out: &mut String) {
    use std::fmt::Write;

    let number = normalized(number);
    let scale = number.scale() as usize;
    match u64::try_from(number.mantissa().unsigned_abs()) {
        Ok(digits) => {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(digits);
            if number.is_sign_negative() {
                out.push('-');
            }
            match digits.len().checked_sub(scale) {
                Some(whole) if whole > 0 => {
                    out.push_str(&digits[..whole]);
                    if scale > 0 {
                        out.push('.');
                        out.push_str(&digits[whole..]);
                    }
                }
                _ => {
                    out.push_str("0.");
                    out.extend(std::iter::repeat_n('0', scale - digits.len()));
                    out.push_str(digits);
                }
            }
        }
        Err(_) => {
            // A text can always be written to.
            let _ = write!(out, "{number}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(parse("20000.0000").map(|d| d.to_string()), Some("20000.0000".to_owned()));
        assert_eq!(parse("922337203685477.5807").map(|d| d.to_string()), Some("922337203685477.5807".to_owned()));
        assert_eq!(parse("1e3"), Some(Decimal::from(1000)));
        assert_eq!(parse("x"), None);
    }

    proptest! {
        #[test]
        fn bounds_are_compared_as_the_library_does(
            number in (-2_000_i64..2_000, 0_u32..3), min in (-20_i64..20, 0_u32..2), max in (-20_i64..20, 0_u32..2)
        ) {
            let [number, min, max] = [number, min, max].map(|(digits, scale)| Decimal::new(digits, scale));
            prop_assert_eq!(within(number, min, max), min <= number && number <= max);
        }

        #[test]
        fn numbers_are_normalized_and_written_as_the_library_does(
            digits in prop_oneof![any::<i64>().prop_map(i128::from), -1_000_000_i128..1_000_000, -(1_i128 << 95)..(1_i128 << 95)],
            zeros in 0_u32..4,
            scale in 0_u32..=28,
        ) {
            let digits = digits.saturating_mul(10_i128.pow(zeros));
            let Ok(number) = Decimal::try_from_i128_with_scale(digits, scale) else { return Ok(()) };
            prop_assert_eq!(normalized(number).unpack(), number.normalize().unpack());
            let mut text = String::new();
            push(number, &mut text);
            prop_assert_eq!(text, number.normalize().to_string());
        }
    }
}
