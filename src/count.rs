//! Numbers as people read them: with commas, and with a noun that fits.

/// A number with a comma between groups of three digits: `2,000,000`.
pub fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun: `1 record`, `2 records`, `0 entries`. `noun` is in the singular; its plural must be regular.
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{} {}", grouped(number), noun_for(number, noun))
}

/// The noun alone, for a number that is written elsewhere: `record` for 1, `records` for any other.
pub fn noun_for(number: impl TryInto<u64>, noun: &str) -> String {
    if number.try_into().is_ok_and(|n| n == 1) {
        return noun.to_owned();
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        Some(_) | None => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped_by_three() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (15_000_000, "15,000,000"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_noun_fits_its_number() {
        let texts = [0_usize, 1, 2, 1000].map(|n| format!("{}, {}, {}", counted(n, "record"), counted(n, "entry"), counted(n, "day")));
        assert_eq!(
            texts,
            [
                "0 records, 0 entries, 0 days",
                "1 record, 1 entry, 1 day",
                "2 records, 2 entries, 2 days",
                "1,000 records, 1,000 entries, 1,000 days"
            ]
        );
    }
}
