//! `title`: a capital letter at the beginning of each word.

use std::borrow::Cow;

use super::shared::letters::{map_letters, single};
use super::{Argument, Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};

/// The step.
pub const STEP: Step = Step {
    name: "title",
    usage: "title, or title(names)",
    summary: "a capital letter at the beginning of each word",
    rows: &[
        Row {
            signature: "`title`",
            takes: "text",
            gives: "each word with a capital letter at its beginning and lower case after it",
        },
        Row {
            signature: "`title(names)`",
            takes: "text",
            gives: "the same for names of persons: `McDonald`, `O'Neill`, `D'Angelo`, and lower case for the particles of `van der Berg`, `de la Cruz`, `zu Guttenberg` and similar names, if a name follows. `Mac` is not special, because `Mack` and `Macey` are names too",
        },
    ],
    samples: &["title", "title(names)"],
    rule: Rule::Call(check),
};

/// The step without arguments in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Title;

/// The step with `names` in a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct TitleNames;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let (apply, operation): (fn(&str) -> Cow<'_, str>, _) = match call.arguments() {
        [] if !call.has_arguments() => (title, Operation::Title),
        [Argument::Word(word)] if word == "names" => (names, Operation::TitleNames),
        _ => return Err(Wrong::arguments("expected the word `names`, or no parentheses")),
    };
    let ty = call.text(|word| apply(word).into_owned(), |most| most)?;
    Ok(Checked::sure(operation, call.typed(ty)))
}

impl Operate for Title {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(title))
    }

    fn written(&self) -> String {
        "title".to_owned()
    }
}

impl Operate for TitleNames {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::text(names))
    }

    fn written(&self) -> String {
        "title(names)".to_owned()
    }
}

/// The first letter of each word in upper case, the others in lower case, letter for letter. A word is a run of letters,
/// digits and apostrophes.
pub fn title(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        out.push(if inside { single(c, c.to_lowercase()) } else { single(c, c.to_uppercase()) });
        inside = c.is_alphanumeric() || (inside && matches!(c, '\'' | '\u{2019}'));
    }
    Cow::Owned(out)
}

/// Words within names that begin with a small letter if another word follows.
const PARTICLES: [&str; 27] = [
    "af", "av", "da", "das", "de", "degli", "dei", "del", "della", "den", "der", "di", "do", "dos", "du", "e", "het", "ten", "ter", "und",
    "van", "vom", "von", "y", "zu", "zum", "zur",
];

/// The same, but only after one of the others: `de la Cruz`, but `La Fontaine`.
const ARTICLES: [&str; 5] = ["la", "las", "le", "los", "lo"];

/// The names of persons, letter for letter.
fn names(text: &str) -> Cow<'_, str> {
    let titled = title(text);
    let mut out = String::with_capacity(titled.len());
    let mut rest = titled.as_ref();
    let mut after_particle = false;
    while !rest.is_empty() {
        let gap = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let lower = word.to_lowercase();
        let particle = PARTICLES.contains(&lower.as_str()) || (after_particle && ARTICLES.contains(&lower.as_str()));
        after_particle = particle && !tail.trim_start().is_empty();
        match after_particle {
            true => out.push_str(&map_letters(word, |c| single(c, c.to_lowercase()))),
            false => out.push_str(&inner_capitals(word)),
        }
        rest = tail;
    }
    Cow::Owned(out)
}

/// A capital after `Mc` and after one letter with an apostrophe, in each part between hyphens: `McDonald-O'Neill`.
fn inner_capitals(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for part in word.split_inclusive('-') {
        let letters: Vec<char> = part.chars().collect();
        let capital = match letters.as_slice() {
            ['M', 'c', third, _, ..] if third.is_alphabetic() => Some(2),
            [first, '\'' | '\u{2019}', third, fourth, ..] if first.is_alphabetic() && third.is_alphabetic() && fourth.is_alphabetic() => Some(2),
            _ => None,
        };
        out.extend(letters.iter().enumerate().map(|(at, c)| if Some(at) == capital { single(*c, c.to_uppercase()) } else { *c }));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to, word};

    #[test]
    fn a_title_has_a_capital_at_each_word_and_nowhere_else() {
        assert_eq!(title("anna-lena VON der o'neil"), "Anna-Lena Von Der O'neil");
        assert_eq!(title("éLAN ßa"), "Élan ßa");
    }

    #[test]
    fn names_of_persons_keep_their_inner_capitals_and_small_words() {
        for (from, to) in [
            ("ronald MCDONALD", "Ronald McDonald"),
            ("van der berg", "van der Berg"),
            ("VINCENT VAN GOGH", "Vincent van Gogh"),
            ("o'neill", "O'Neill"),
            ("D\u{2019}ANGELO", "D\u{2019}Angelo"),
            ("juan de la CRUZ y garcía", "Juan de la Cruz y García"),
            ("jean de LA FONTAINE", "Jean de la Fontaine"),
            ("LA FONTAINE", "La Fontaine"),
            ("mcdonald-o'hara", "McDonald-O'Hara"),
            ("le", "Le"),
            ("van", "Van"),
            ("mack", "Mack"),
            ("müller-LÜDENSCHEIDT", "Müller-Lüdenscheidt"),
        ] {
            assert_eq!(names(from), to);
        }
    }

    #[test]
    fn it_takes_the_word_names_or_nothing() {
        assert_eq!(output(&check(&STEP, &[], up_to(5))), (up_to(5), false));
        let checked = check(&STEP, &[word("names")], up_to(20));
        assert_eq!(output(&checked), (up_to(20), false));
        assert_eq!(run_text(&checked, "O'NEILL").as_deref(), Some("O'Neill"));
        assert!(check(&STEP, &[word("name")], up_to(5)).is_err());
        assert!(check(&STEP, &[text("names")], up_to(5)).is_err());
    }

    proptest! {
        #[test]
        fn neither_form_makes_a_text_longer_or_empty(text in "(\\PC|[ 'a-zA-Z-]|van |mc|İ|ß){0,30}") {
            for form in [title, names] {
                let out = form(&text);
                prop_assert!(out.encode_utf16().count() <= text.encode_utf16().count(), "{text:?}: {out:?}");
                prop_assert_eq!(crate::unicode::is_blank(&out), crate::unicode::is_blank(&text));
            }
        }
    }
}
