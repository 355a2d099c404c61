//! "Did you mean …": the nearest of the names that would have been right.

/// The candidate nearest to `name`, if one is near enough to be meant; upper and lower case count little.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    let length = folded.chars().count();
    if length > 100 {
        return None; // no name is that long, and the distance is quadratic
    }
    // One slip in a short name, about a third of the letters in a long one.
    let limit = (length / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&folded, &other);
            let prefix = length >= 4 && other.starts_with(&folded);
            (distance <= limit || prefix).then_some((distance.min(if prefix { limit } else { distance }), candidate))
        })
        .min_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_a_difference_of_case_are_suggested_and_a_stranger_is_not() {
        let names = ["firstname", "lastname", "emailaddress1"];
        assert_eq!(nearest("firstnmae", names), Some("firstname"));
        assert_eq!(nearest("FirstName", names), Some("firstname"));
        assert_eq!(nearest("emailaddress", names), Some("emailaddress1"));
        assert_eq!(nearest("birthdate", names), None);
    }
}
