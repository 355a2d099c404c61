//! Values that an author writes for a field (in a filter, in a replacement): labels, numbers and words to constants.

use uuid::Uuid;

use super::types::list;
use crate::diagnostics::{Code, Diagnostic, Near, Safety, Span, near, nearest};
use crate::plan::Const;
use crate::schema::{Choice, ChoiceSet, Field, FieldType};
use crate::syntax::ast::{LiteralValue, Value};
use crate::time;
use crate::unicode::{same, same_but_for_case};

/// Why a field cannot have a value: what is written, and what to write instead.
#[derive(Debug)]
pub(super) struct Unfit {
    label: String,
    help: String,
    /// What was meant, as it is written in a file.
    meant: Option<Near>,
    /// The code of the finding, if it is not that of the value's place.
    code: Option<Code>,
}

impl Unfit {
    /// The finding at the value's place.
    pub(super) fn diagnostic(self, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::new(self.code.unwrap_or(code), span, message, self.label).help(self.help);
        match self.meant {
            Some(Near { text, safety }) => diagnostic.fix(safety, format!("write `{text}`"), span, text),
            None => diagnostic,
        }
    }
}

fn unfit(label: impl Into<String>, help: impl Into<String>) -> Unfit {
    Unfit { label: label.into(), help: help.into(), meant: None, code: None }
}

/// A value as a constant in the field's own representation. `null` is left to the caller.
pub(super) fn resolve(value: &Value, field: &Field) -> Result<Const, Unfit> {
    match &field.ty {
        FieldType::Choice(set) | FieldType::MultiChoice(set) => option(value, field, set),
        FieldType::Boolean { labels } => boolean(value, field, labels.as_ref()),
        FieldType::Integer { .. } => match value {
            Value::Literal(l) => match l.value {
                LiteralValue::Integer(n) => Ok(Const::Integer(n)),
                _ => Err(expected_without_quotes(value, field, "a whole number such as 42")),
            },
            Value::Word(_) | Value::Moment(_) => Err(expected(field, "a whole number such as 42")),
        },
        FieldType::Decimal { .. } | FieldType::Double => match value {
            Value::Literal(l) => match l.value {
                LiteralValue::Integer(n) => Ok(Const::Decimal(n.into())),
                LiteralValue::Decimal(d) => Ok(Const::Decimal(d)),
                _ => Err(expected_without_quotes(value, field, "a number such as 42 or 4.2")),
            },
            Value::Word(_) | Value::Moment(_) => Err(expected(field, "a number such as 42 or 4.2")),
        },
        FieldType::Text { .. } | FieldType::Unsupported => match value {
            Value::Literal(l) => match &l.value {
                LiteralValue::Text(text) => Ok(Const::Text(text.clone())),
                _ => Err(expected(field, "text in double quotes")),
            },
            Value::Moment(_) => Err(expected(field, "text in double quotes")),
            Value::Word(path) => {
                let unfit = unfit(
                    format!("`{}` is a word without quotes", path.text()),
                    format!("`{}` contains text: write \"{}\"", field.name, path.text()),
                );
                // The word may also be a misspelled keyword, such as `default` for `else`.
                Err(Unfit { meant: Some(Near::guess(format!("\"{}\"", path.text()))), ..unfit })
            }
        },
        FieldType::Date => match value {
            Value::Literal(l) => match l.value {
                LiteralValue::Date(date) => Ok(Const::Date(date)),
                _ => Err(expected_without_quotes(value, field, "a date such as 2024-01-31")),
            },
            Value::Word(_) | Value::Moment(_) => Err(expected(field, "a date such as 2024-01-31")),
        },
        FieldType::DateTime | FieldType::LocalDateTime => match value {
            Value::Literal(l) => match l.value {
                LiteralValue::Date(date) => Ok(Const::Instant(time::midnight(date))),
                LiteralValue::Instant(instant) => Ok(Const::Instant(instant)),
                _ => Err(expected_without_quotes(
                    value,
                    field,
                    "a date (2024-01-31, its midnight in UTC) or an instant (2024-01-31T10:00:00Z)",
                )),
            },
            Value::Word(_) | Value::Moment(_) => Err(expected(field, "a date or an instant, such as 2024-01-31T10:00:00Z")),
        },
        FieldType::Guid | FieldType::Lookup { .. } => {
            let text = match value {
                Value::Literal(l) => match &l.value {
                    LiteralValue::Text(text) => Some(text),
                    _ => None,
                },
                Value::Word(_) | Value::Moment(_) => None,
            };
            let guid = text.and_then(|t| Uuid::parse_str(t.trim_matches(['{', '}'])).ok());
            guid.map(|g| Const::Text(g.hyphenated().to_string())).ok_or_else(|| expected(field, "a GUID in quotes"))
        }
        FieldType::Enumeration(values) => {
            let word = text_of(value).ok_or_else(|| expected(field, "a name of its enumeration"))?;
            match values.iter().find(|v| same(&v.name, &word)) {
                Some(v) => Ok(Const::Text(v.name.clone())),
                None => Err(unknown(&word, field, &values.iter().map(|v| v.name.as_str()).collect::<Vec<_>>())),
            }
        }
        FieldType::Link { .. } | FieldType::Collection { .. } | FieldType::Item(_) => {
            Err(expected(field, "nothing: it does not have a single value"))
        }
    }
}

fn expected(field: &Field, what: &str) -> Unfit {
    unfit(format!("not a value of `{}` ({})", field.name, field.vendor_type), format!("`{}` is compared with {what}", field.name))
}

/// The same for a value in quotes that is one without them.
fn expected_without_quotes(value: &Value, field: &Field, what: &str) -> Unfit {
    let unfit = expected(field, what);
    let Some(text) = text_of(value).filter(|_| matches!(value, Value::Literal(_))) else { return unfit };
    let number = matches!(field.ty, FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double);
    let right = match number {
        true => {
            text.parse::<i64>().is_ok() || (!matches!(field.ty, FieldType::Integer { .. }) && text.parse::<rust_decimal::Decimal>().is_ok())
        }
        false => time::parse_date(&text).is_some() || time::parse_instant(&text).is_some(),
    };
    match right {
        true => Unfit { help: format!("write `{text}` without quotes"), meant: Some(Near { text, safety: Safety::Safe }), ..unfit },
        false => unfit,
    }
}

/// A bare word or a string as text.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Moment(_) => None,
        Value::Word(path) => Some(path.text()),
        Value::Literal(l) => match &l.value {
            LiteralValue::Text(text) => Some(text.clone()),
            _ => None,
        },
    }
}

/// How an author writes an option: its label, in quotes where it is more than one word.
fn spelled(option: &Choice) -> String {
    let plain =
        option.label.starts_with(|c: char| c.is_ascii_alphabetic()) && option.label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { option.label.clone() } else { format!("\"{}\"", option.label) }
}

/// The options of a set for people: `1 (Male)`.
pub(super) fn options_text<'a>(options: impl IntoIterator<Item = &'a Choice>) -> String {
    let texts: Vec<String> = options.into_iter().map(|o| format!("{} ({})", o.value, o.label)).collect();
    list(texts.iter().map(String::as_str), 8)
}

fn option(value: &Value, field: &Field, set: &ChoiceSet) -> Result<Const, Unfit> {
    if let Value::Literal(l) = value
        && let LiteralValue::Integer(n) = l.value
    {
        return match set.by_value(n) {
            Some(_) => Ok(Const::Integer(n)),
            None => Err(unfit(format!("`{}` has no option {n}", field.name), format!("its options are {}", options_text(&set.options)))),
        };
    }
    let Some(word) = text_of(value) else {
        return Err(unfit(format!("not an option of `{}`", field.name), format!("its options are {}", options_text(&set.options))));
    };
    match set.by_label(&word).as_slice() {
        [option] => Ok(Const::Integer(option.value)),
        [first, ..] => {
            let several = set.by_label(&word);
            let numbers: Vec<String> = several.iter().map(|o| o.value.to_string()).collect();
            let label = format!("`{}` has {} options with this label", field.name, several.len());
            let help = format!("write the number of the option that you mean, such as `{}`: they are {}", first.value, numbers.join(", "));
            Err(Unfit { code: Some(Code::D125), ..unfit(label, help) })
        }
        [] => {
            let labels: Vec<&str> = set.options.iter().map(|o| o.label.as_str()).collect();
            let near = nearest(&word, labels.iter().copied()).filter(|near| is_a_slip(&word, near));
            let meant = near.and_then(|near| set.by_label(near).first().copied()).map(spelled).map(Near::guess);
            let help = match &meant {
                Some(near) => format!("did you mean `{}`?", near.text),
                None => format!("its options are {}", options_text(&set.options)),
            };
            Err(Unfit { label: format!("`{}` has no option `{word}`", field.name), help, meant, code: None })
        }
    }
}

/// Whether a value is probably a typing mistake. Values are short and often opposites: `Female` is two letters from `Male`,
/// and neither may become the other by itself.
fn is_a_slip(written: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(&written.to_lowercase(), &known.to_lowercase()) <= 1
}

fn boolean(value: &Value, field: &Field, labels: Option<&(String, String)>) -> Result<Const, Unfit> {
    if let Value::Literal(l) = value
        && let LiteralValue::Boolean(b) = l.value
    {
        return Ok(Const::Boolean(b));
    }
    let by_label = text_of(value).and_then(|word| {
        let (no, yes) = labels?;
        // Labels that read the same for both values name neither.
        match (same_but_for_case(&word, no), same_but_for_case(&word, yes)) {
            (true, false) => Some(false),
            (false, true) => Some(true),
            _ => None,
        }
    });
    by_label.map(Const::Boolean).ok_or_else(|| {
        let help = match labels {
            Some((no, yes)) => format!("write `true` (\"{yes}\") or `false` (\"{no}\")"),
            None => "write `true` or `false`".to_owned(),
        };
        // The ways in which other systems write the two.
        let word = match value {
            Value::Literal(l) if l.value == LiteralValue::Integer(1) => "yes".to_owned(),
            Value::Literal(l) if l.value == LiteralValue::Integer(0) => "no".to_owned(),
            other => text_of(other).unwrap_or_default().to_lowercase(),
        };
        let meant = match word.as_str() {
            "true" | "false" => Some(Near { text: word, safety: Safety::Safe }),
            // For a field such as `donotemail`, "yes" can stand for either value.
            "yes" | "on" | "y" => Some(Near::guess("true")),
            "no" | "off" | "n" => Some(Near::guess("false")),
            _ => None,
        };
        Unfit { label: format!("`{}` is true or false", field.name), help, meant, code: None }
    })
}

fn unknown(word: &str, field: &Field, names: &[&str]) -> Unfit {
    let meant = near(word, names.iter().copied()).filter(|near| is_a_slip(word, &near.text));
    let help = match &meant {
        Some(near) => format!("did you mean `{}`?", near.text),
        None => format!("its values are {}", list(names.iter().copied(), 8)),
    };
    Unfit { label: format!("`{}` has no value `{word}`", field.name), help, meant, code: None }
}
