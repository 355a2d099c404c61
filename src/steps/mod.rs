//! The steps of the language, one file each: signature, documentation, samples, type rule, evaluation and tests. A new step is a file here
//! and its line in the list below; `cargo xtask generate` then writes it into the documents, the grammars of editors and the dictionary for
//! fuzzing. [`shared`] has what several steps use.
//!
//! Some steps have only their documentation here: `coalesce`, `concat`, `years`, `months` and `days` read other fields, `map` and `label` make
//! tables, `lookup` needs one of a file, and `link` makes one mapping depend on another. The checker and the evaluator have the rest of them.

use serde::{Deserialize, Serialize};

use crate::value::Const;

mod shared;

pub use default::default_to;
pub use local::{check_instant, local_in};
pub use lower::lower;
pub use phone::{E164, countries, in_country as phone_in, is_country};
pub use shared::call::{Argument, Call, Checked, Period, Wrong};
pub use shared::elapsed::{CalendarUnit, day_of};
pub use shared::ready::{Failed, NotReady, Operate, Ready};
pub use shared::text_step::{Text, TextStep};
pub use shared::zone::{check_zone, time_zones};

/// Declares the files of the steps, lists them, and makes one type of all their operations. A step that is more than a text without
/// arguments names its operations; `(arguments)` follows an operation that has some. The name of an operation is its name in plans.
macro_rules! steps {
    ($($name:ident $(: $($operation:ident $(($arguments:ident))?)|+)?),* $(,)?) => {
        $(mod $name;)*

        /// The steps of the language, in the order of the documents.
        pub const STEPS: &[Step] = &[$($name::STEP),*];

        /// What a step does to a value.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Operation {
            $($($(
                #[doc = concat!("An operation of `", stringify!($name), "`.")]
                $operation $((#[doc = concat!("Its ", stringify!($arguments), ".")] $name::$operation))?,
            )+)?)*
            /// A step from text to text without arguments, by its name.
            #[serde(untagged)]
            Text(TextStep),
        }

        impl Operation {
            fn operate(&self) -> &dyn Operate {
                match self {
                    $($($(
                        Operation::$operation $(($arguments))? => steps!(@operate $name $operation $($arguments)?),
                    )+)?)*
                    Operation::Text(step) => step,
                }
            }
        }
    };
    (@operate $name:ident $operation:ident) => { &$name::$operation };
    (@operate $name:ident $operation:ident $arguments:ident) => { $arguments };
}

steps! {
    trim,
    collapse,
    strip_control,
    strip_html,
    normalize,
    lower,
    upper,
    title: Title | TitleNames,
    truncate: Truncate(arguments),
    pad: Pad(arguments),
    prefix: Prefix(arguments),
    suffix: Suffix(arguments),
    replace_text: ReplaceText(arguments),
    replace_matches: ReplaceMatches(arguments),
    slug,
    matches: Matches(arguments),
    extract: Extract(arguments),
    digits,
    phone: Phone(arguments),
    email: Email,
    substring: Substring(arguments),
    split: Split(arguments),
    concat,
    hash: Sha256,
    string: ToText,
    round: Round(arguments),
    number: ParseNumber(arguments),
    integer: ToInteger(arguments),
    boolean: ToBoolean,
    date: ParseDate(arguments) | DayOfInstant(arguments),
    datetime: Zoned(arguments),
    local: LocalTime(arguments),
    shift: Shift(arguments),
    years,
    months,
    days,
    format: FormatDate(arguments),
    default: Default(arguments),
    coalesce,
    join: Join(arguments),
    label,
    value,
    map,
    lookup,
    link,
}

impl Operate for Operation {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        self.operate().ready()
    }

    fn written(&self) -> String {
        self.operate().written()
    }

    fn instead_of_empty(&self) -> Option<&Const> {
        self.operate().instead_of_empty()
    }
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
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "`cargo xtask generate` writes it into the documentation"))]
    pub samples: &'static [&'static str],
    /// How a call of it is checked.
    pub rule: Rule,
}

impl Step {
    /// Checks a call by the step's own rule. A step of [`Rule::Checker`] has none, and nothing passes it.
    pub fn check(&'static self, call: &mut Call<'_>) -> Result<Checked, Wrong> {
        match self.rule {
            Rule::Text(text) => TextStep::new(self, text).check(call),
            Rule::Call(rule) => rule(call),
            Rule::Checker => Err(Wrong::arguments("the checker has no rule for this step")),
        }
    }
}

/// How a call of a step is checked.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// From text to text without arguments.
    Text(Text),
    /// By a function that gets the call with the type before it.
    Call(fn(&mut Call<'_>) -> Result<Checked, Wrong>),
    /// By the checker, since it needs other fields, a table or another mapping.
    Checker,
}

/// A row of the documentation, in Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// How the step is written.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "`cargo xtask generate` writes it into the documentation"))]
    pub signature: &'static str,
    /// What it applies to.
    pub takes: &'static str,
    /// What comes out.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "`cargo xtask generate` writes it into the documentation"))]
    pub gives: &'static str,
}

const fn function(name: &'static str, usage: &'static str, summary: &'static str) -> Step {
    Step { name, usage, summary, rows: &[], samples: &[], rule: Rule::Checker }
}

/// The functions that can be used instead of a field.
pub const FUNCTIONS: &[Step] = &[
    function("coalesce", "coalesce(telephone1, telephone2)", "the first of these fields that has a value"),
    function("concat", "concat(firstname, \" \", lastname)", "texts and fields in sequence"),
    function("join", "join(\", \", address1_city, address1_country)", "the fields that have a value, with a text between them"),
    function(
        "lookup",
        "lookup(salutations.text, gendercode, new_language)",
        "a value from a row of a table, found by the values of several fields",
    ),
];

/// The functions of formulas. They calculate with numbers.
pub const FORMULA_FUNCTIONS: &[Step] = &[
    function("coalesce", "coalesce(a, 0)", "the first of these numbers that has a value"),
    function("min", "min(a, 100)", "the least of these numbers"),
    function("max", "max(a, 1)", "the greatest of these numbers"),
    function("abs", "abs(a)", "the number without its sign"),
    function("lookup", "lookup(weights.points, code)", "the number in the row of a table, empty if there is no such row"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::pad::pad;
    use super::replace_text::replace;
    use super::split::piece;
    use super::substring::substring;
    use super::truncate::truncate;
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
            // `link` needs another mapping, and `lookup` a table.
            assert!(!step.samples.is_empty() || ["link", "lookup"].contains(&step.name), "{} has no sample", step.name);
            assert_eq!(STEPS.iter().filter(|other| other.name == step.name).count(), 1, "{} is listed twice", step.name);
        }
    }

    proptest! {
        #[test]
        fn a_step_from_text_to_text_keeps_to_its_type_rule(text in "(\\PC|[ \t\n'a-zA-Z0-9-]|e\u{301}|\u{958}|İ|ß){0,30}") {
            for step in STEPS {
                let Rule::Text(rule) = step.rule else { continue };
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
