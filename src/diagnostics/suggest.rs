//! "Did you mean …": the nearest of the names that would have been right.

use super::Safety;

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

/// A name that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The name, as it is written in a file.
    pub text: String,
    /// [`Safety::Safe`] if just the letter case is different and no other name has the same letters.
    pub safety: Safety,
}

impl Near {
    /// A name that is not just a spelling of what was written.
    pub fn guess(text: impl Into<String>) -> Near {
        Near { text: text.into(), safety: Safety::Unsafe }
    }

    /// The same name, written in another way: with quotes, with a prefix.
    #[must_use]
    pub fn written(self, as_text: impl FnOnce(&str) -> String) -> Near {
        Near { text: as_text(&self.text), ..self }
    }
}

/// The candidate that was probably meant, see [`nearest`], and whether that is more than a guess.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<Near> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let folded = name.to_lowercase();
    let mut same = candidates.iter().filter(|c| c.to_lowercase() == folded);
    match same.next() {
        Some(one) if same.all(|other| other == one) => Some(Near { text: (*one).to_owned(), safety: Safety::Safe }),
        _ => nearest(name, candidates).map(Near::guess),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_difference_of_letter_case_is_more_than_a_guess() {
        let safety = |name, candidates: &[&'static str]| near(name, candidates.iter().copied()).map(|n| (n.text, n.safety));
        assert_eq!(safety("FirstName", &["firstname", "lastname"]), Some(("firstname".to_owned(), Safety::Safe)));
        assert_eq!(safety("firstnmae", &["firstname", "lastname"]), Some(("firstname".to_owned(), Safety::Unsafe)));
        // Campaign tells names apart by letter case.
        assert_eq!(safety("CUSNAME", &["cusName", "cusname"]).map(|n| n.1), Some(Safety::Unsafe));
        assert_eq!(safety("birthdate", &["firstname"]), None);
    }

    #[test]
    fn a_typing_mistake_and_a_difference_in_case_are_suggested_and_another_word_is_not() {
        let names = ["firstname", "lastname", "emailaddress1"];
        assert_eq!(nearest("firstnmae", names), Some("firstname"));
        assert_eq!(nearest("FirstName", names), Some("firstname"));
        assert_eq!(nearest("emailaddress", names), Some("emailaddress1"));
        assert_eq!(nearest("birthdate", names), None);
    }
}
