//! The list of steps and functions, for messages, editors and the document's tests.

/// A step or function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// Its name.
    pub name: &'static str,
    /// How it is written, with sample arguments.
    pub usage: &'static str,
    /// What it does, in one sentence without a full stop.
    pub summary: &'static str,
}

const fn step(name: &'static str, usage: &'static str, summary: &'static str) -> StepInfo {
    StepInfo { name, usage, summary }
}

/// The steps of the language.
pub const STEPS: &[StepInfo] = &[
    step("trim", "trim", "takes white space off both ends"),
    step("lower", "lower", "lower case, letter for letter"),
    step("upper", "upper", "upper case, letter for letter"),
    step("title", "title", "a capital at the beginning of each word"),
    step("truncate", "truncate(30)", "at most this many characters; cuts no character in two"),
    step("pad", "pad(8, \"0\")", "fills up to a length, in front; with `right` behind"),
    step("replace_text", "replace_text(\"a\", \"b\")", "one text becomes another wherever it occurs"),
    step("matches", "matches(\"^[A-Z]{2}$\")", "fails where the text does not match the expression"),
    step("digits", "digits", "keeps the digits only"),
    step("phone", "phone(\"DE\")", "a phone number in E.164; the country is for numbers without a country code"),
    step("email", "email", "checks an e-mail address and puts its domain in lower case"),
    step("substring", "substring(1, 3)", "a part: from which character, at most how many"),
    step("split", "split(\"-\", 1)", "one piece of a text that something separates"),
    step("concat", "concat(\" \", lastname)", "puts texts and fields behind the value"),
    step("hash", "hash(sha256)", "a fingerprint of the text"),
    step("string", "string", "the value as text"),
    step("round", "round(2)", "so many decimals, half away from zero"),
    step("number", "number, or number(\",\") for a decimal comma", "text as a number"),
    step("integer", "integer", "text or another number as a whole number"),
    step("boolean", "boolean", "yes, no, true, false, 1, 0 as true or false"),
    step(
        "date",
        "date, date(\"Europe/Vienna\") for the day in a zone, or date(\"dd.MM.yyyy\") for text",
        "the day of a date with time, in UTC or a time zone; text as a day",
    ),
    step(
        "datetime",
        "datetime(\"Europe/Berlin\"), or datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Berlin\") for text",
        "a day, a time without a zone or text as an instant, by a time zone",
    ),
    step(
        "format",
        "format(\"dd.MM.yyyy\"), or format(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")",
        "a date as text, an instant in UTC or a time zone",
    ),
    step("default", "default(\"none\")", "the value where there is none"),
    step("coalesce", "coalesce(telephone1, telephone2)", "the first of these fields that has a value, where there is none"),
    step("join", "join(\", \")", "the numbers of several options with a text between them"),
    step("label", "label, or label(\", \") for several options", "the label of an option, the name of the record that a lookup points to"),
    step("value", "value", "the number of an option"),
    step("map", "map { a => b; else => keep }", "what each value becomes; or the name of a shared replacement"),
    step("link", "link accounts", "the record that another mapping makes of the one a lookup points to"),
];

/// The functions that can stand where a field could.
pub const FUNCTIONS: &[StepInfo] = &[
    step("coalesce", "coalesce(telephone1, telephone2)", "the first of these fields that has a value"),
    step("concat", "concat(firstname, \" \", lastname)", "texts and fields one behind the other"),
    step("join", "join(\", \", address1_city, address1_country)", "the fields that have a value, with a text between them"),
];
