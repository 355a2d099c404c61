//! The steps of the language, one file each: signature, documentation, examples and, for a step from text to text without arguments, its
//! type rule and its evaluation. A new step of that kind is a file here and its name in the list below; `cargo xtask generate` then
//! writes it into the documents, the grammars of editors and the dictionary for fuzzing.
//!
//! The type rules of the other steps are in `check/steps`, their evaluation on values that are not text in `eval/steps.rs`.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod letters;

pub use letters::comparable;
pub use lower::lower;
pub use pad::pad;
pub use replace_text::replace;
pub use split::piece;
pub use substring::substring;
pub use title::title;
pub use truncate::truncate;
pub use upper::upper;

/// Declares the files of the steps and lists them.
macro_rules! steps {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// The steps of the language, in the order of the documents.
        pub const STEPS: &[Step] = &[$($name::STEP),*];
    };
}

steps! {
    trim,
    collapse,
    lower,
    upper,
    title,
    truncate,
    pad,
    replace_text,
    slug,
    matches,
    digits,
    phone,
    email,
    substring,
    split,
    concat,
    hash,
    string,
    round,
    number,
    integer,
    boolean,
    date,
    datetime,
    format,
    default,
    coalesce,
    join,
    label,
    value,
    map,
    link,
}

/// A step or function.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How it is written, with sample arguments.
    pub usage: &'static str,
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
    /// Its rows of the table in docs/language.md.
    pub rows: &'static [Row],
    /// Calls with arguments of every kind. Tests try each of them on every type; fuzzing puts them together.
    pub samples: &'static [&'static str],
    /// What it does, for a step from text to text without arguments.
    pub text: Option<Text>,
}

/// A row of the documentation, in Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// How the step is written.
    pub signature: &'static str,
    /// What it applies to.
    pub takes: &'static str,
    /// What comes out.
    pub gives: &'static str,
}

/// A step from text to text.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The evaluation. It borrows what it leaves as it is.
    pub apply: for<'t> fn(&'t str) -> Cow<'t, str>,
    /// The type rule: the greatest length in UTF-16 code units after the step, from that before it; `None` is unlimited.
    pub longest: fn(Option<u32>) -> Option<u32>,
    /// Whether a text that is not empty can become empty.
    pub may_leave_nothing: bool,
}

/// A step from text to text as plans have it: by its name.
#[derive(Clone, Copy)]
pub struct TextStep {
    step: &'static Step,
    text: Text,
}

impl TextStep {
    /// The step of this name, if it is one from text to text.
    pub fn named(name: &str) -> Option<TextStep> {
        let step = STEPS.iter().find(|step| step.name == name)?;
        Some(TextStep { step, text: step.text? })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.step.name
    }

    /// What it does.
    pub fn rule(self) -> Text {
        self.text
    }
}

impl std::fmt::Debug for TextStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.step.name)
    }
}

impl PartialEq for TextStep {
    fn eq(&self, other: &TextStep) -> bool {
        self.step.name == other.step.name
    }
}

impl Serialize for TextStep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.step.name)
    }
}

impl<'de> Deserialize<'de> for TextStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextStep, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        TextStep::named(&name).ok_or_else(|| de::Error::custom(format_args!("there is no step `{name}`")))
    }
}

const fn function(name: &'static str, usage: &'static str, summary: &'static str) -> Step {
    Step { name, usage, summary, rows: &[], samples: &[], text: None }
}

/// The functions that can stand where a field could.
pub const FUNCTIONS: &[Step] = &[
    function("coalesce", "coalesce(telephone1, telephone2)", "the first of these fields that has a value"),
    function("concat", "concat(firstname, \" \", lastname)", "texts and fields one behind the other"),
    function("join", "join(\", \", address1_city, address1_country)", "the fields that have a value, with a text between them"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn each_step_has_its_file_its_documentation_and_its_samples() {
        for step in STEPS {
            assert!(!step.rows.is_empty(), "{} is not documented", step.name);
            assert!(step.rows.iter().all(|row| row.signature.contains(&format!("`{}", step.name))), "{}", step.name);
            assert!(step.samples.iter().all(|call| call.starts_with(step.name)), "{}", step.name);
            // `link` needs another mapping.
            assert!(!step.samples.is_empty() || step.name == "link", "{} has no sample", step.name);
            assert_eq!(STEPS.iter().filter(|other| other.name == step.name).count(), 1, "{} is listed twice", step.name);
        }
    }

    #[test]
    fn a_step_from_text_to_text_is_its_name_in_a_plan() {
        for step in STEPS {
            let Some(named) = TextStep::named(step.name) else { continue };
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(json, format!("{:?}", step.name));
            assert_eq!(serde_json::from_str::<TextStep>(&json).unwrap(), named);
        }
        assert!(serde_json::from_str::<TextStep>("\"truncate\"").is_err());
    }

    proptest! {
        #[test]
        fn a_step_from_text_to_text_keeps_to_its_type_rule(text in "(\\PC|[ \t\n'a-zA-Z0-9-]|e\u{301}|\u{958}|İ|ß){0,30}") {
            for step in STEPS {
                let Some(rule) = step.text else { continue };
                let out = (rule.apply)(&text);
                let most = (rule.longest)(u32::try_from(units(&text)).ok());
                prop_assert!(most.is_none_or(|most| units(&out) <= most as usize), "{} made {:?} longer: {:?}", step.name, text, out);
                let emptied = crate::unicode::is_blank(&out) && !crate::unicode::is_blank(&text);
                prop_assert!(rule.may_leave_nothing || !emptied, "{} emptied {:?}", step.name, text);
            }
        }

        #[test]
        fn looking_for_a_text_makes_nothing_longer(text in "(\\PC|e\u{301}|\u{958}){0,20}", from in "[a-z]|\u{e9}|e\u{301}", index in 0_usize..3) {
            prop_assert!(units(&replace(&text, &from, "")) <= units(&text));
            prop_assert!(units(&piece(&text, &from, index)) <= units(&text));
        }

        #[test]
        fn no_part_of_a_text_is_longer_than_was_asked_for(text in "\\PC{0,40}", most in 0_u32..30) {
            prop_assert!(units(substring(&text, most / 2, most)) <= most as usize);
            prop_assert!(units(&pad(&text, most, '0', true)) <= units(&text).max(most as usize));
            let cut = truncate(&text, most);
            prop_assert!(units(cut) <= most as usize);
            prop_assert!(text.starts_with(cut));
        }
    }
}
