//! Pipelines: each step's arguments, the types that it takes and gives, and whether it can fail.
//!
//! Fallibility depends on types: rounding money to two decimals cannot fail for a decimal target, and can for a
//! floating-point one, which holds fifteen digits. A step that can fail must say what happens then; one that cannot may not.

use rust_decimal::Decimal;

use super::Context;
use super::types::{Ty, Typed, constant, exact_in_double, list};
use crate::diagnostics::{Code, Diagnostic, nearest};
use crate::eval::text::{lower, truncate, upper};
use crate::plan::{Const, DatePart, Fit, OnFailure, Op, Read, Step};
use crate::syntax::ast::{self, Argument, LiteralValue, OrKind, Path};

/// The steps of the language, by name, with their usage.
pub(super) const STEPS: &[(&str, &str)] = &[
    ("trim", "trim"),
    ("lower", "lower"),
    ("upper", "upper"),
    ("truncate", "truncate(30)"),
    ("default", "default(\"none\")"),
    ("coalesce", "coalesce(telephone1, telephone2)"),
    ("round", "round(2)"),
    ("date", "date, or date(\"dd.MM.yyyy\") for text"),
];

/// Reads a field on behalf of a step: its slot and type.
pub(super) type Reader<'r> = dyn FnMut(&Path, &mut Context<'_>) -> Option<(Read, Typed)> + 'r;

/// Checks one step on a value of a type. Gives the step of the plan and the type behind it.
pub(super) fn check(step: &ast::Step, input: &Typed, fit: &Fit, read: &mut Reader<'_>, context: &mut Context<'_>) -> Option<(Step, Typed)> {
    let mut checker = Checker { step, input, fit, context };
    let (op, output, fallible) = match step.name.text.as_str() {
        "trim" => checker.text_step(Op::Trim, |w| w.trim().to_owned())?,
        "lower" => checker.text_step(Op::Lower, |w| lower(w).into_owned())?,
        "upper" => checker.text_step(Op::Upper, |w| upper(w).into_owned())?,
        "truncate" => checker.truncate()?,
        "default" => checker.default()?,
        "coalesce" => checker.coalesce(read)?,
        "round" => checker.round()?,
        "date" => checker.date()?,
        unknown => {
            let help = match nearest(unknown, STEPS.iter().map(|s| s.0)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the steps are {}", list(STEPS.iter().map(|s| s.0), 20)),
            };
            context.report(Diagnostic::new(Code::D107, step.name.span, format!("there is no step `{unknown}`"), "unknown step").help(help));
            return None;
        }
    };
    let (on_failure, output) = checker.outcome(fallible, output)?;
    let at = context.at(step.span);
    Some((Step { at, op, on_failure }, output))
}

struct Checker<'s, 'c, 'd> {
    step: &'s ast::Step,
    input: &'s Typed,
    fit: &'s Fit,
    context: &'c mut Context<'d>,
}

/// The operation, the type behind it, and why it can fail (`None` where it cannot).
type Checked = (Op, Typed, Option<String>);

impl Checker<'_, '_, '_> {
    fn name(&self) -> &str {
        &self.step.name.text
    }

    fn usage(&self) -> &'static str {
        STEPS.iter().find(|s| s.0 == self.step.name.text).map_or("", |s| s.1)
    }

    fn wrong_arguments<T>(&mut self, label: &str) -> Option<T> {
        let span = self.step.arguments.as_ref().and_then(|a| a.first()).map_or(self.step.name.span, Argument::span);
        let diagnostic = Diagnostic::new(Code::D209, span, format!("`{}` has the wrong arguments", self.name()), label)
            .help(format!("write `{}`", self.usage()));
        self.context.report(diagnostic);
        None
    }

    fn no_arguments(&mut self) -> Option<()> {
        match &self.step.arguments {
            None => Some(()),
            Some(_) => self.wrong_arguments("this step takes no arguments"),
        }
    }

    fn one_literal(&mut self, what: &str) -> Option<LiteralValue> {
        match self.step.arguments.as_deref() {
            Some([Argument::Literal(l)]) => Some(l.value.clone()),
            _ => self.wrong_arguments(what),
        }
    }

    fn one_number(&mut self, min: i64, max: i64, what: &str) -> Option<u32> {
        match self.one_literal(what)? {
            LiteralValue::Integer(n) if (min..=max).contains(&n) => u32::try_from(n).ok(),
            _ => self.wrong_arguments(what),
        }
    }

    fn wrong_type<T>(&mut self, takes: &str, help: &str) -> Option<T> {
        let diagnostic = Diagnostic::new(
            Code::D208,
            self.step.name.span,
            format!("`{}` does not apply to {}", self.name(), self.input.ty.describe()),
            format!("takes {takes}"),
        )
        .help(help);
        self.context.report(diagnostic);
        None
    }

    fn no_effect(&mut self, why: impl Into<String>) {
        let diagnostic =
            Diagnostic::new(Code::D214, self.step.span, format!("`{}` has no effect here", self.name()), why).help("remove the step");
        self.context.report(diagnostic);
    }

    /// A step from text to text of at most the same length.
    fn text_step(&mut self, op: Op, on_word: impl Fn(&str) -> String) -> Option<Checked> {
        self.no_arguments()?;
        let ty = match &self.input.ty {
            Ty::Text { max } => Ty::Text { max: *max },
            Ty::Words(words) => Ty::Words(words.iter().map(|w| on_word(w)).collect()),
            Ty::Null
            | Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_) => return self.wrong_type("text", "remove the step, or apply it to a text field"),
        };
        Some((op, Typed::new(ty, self.input.nullable), None))
    }

    fn truncate(&mut self) -> Option<Checked> {
        let most = self.one_number(1, 1_000_000, "expected the greatest length, a number from 1")?;
        let ty = match &self.input.ty {
            Ty::Text { max } => {
                if max.is_some_and(|max| max <= most) {
                    self.no_effect(format!("the value is {} anyway", self.input.ty.describe()));
                }
                Ty::Text { max: Some(max.map_or(most, |m| m.min(most))) }
            }
            Ty::Words(words) => Ty::Words(words.iter().map(|w| truncate(w, most).to_owned()).collect()),
            Ty::Null
            | Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_) => return self.wrong_type("text", "remove the step, or apply it to a text field"),
        };
        Some((Op::Truncate(most), Typed::new(ty, self.input.nullable), None))
    }

    fn default(&mut self) -> Option<Checked> {
        let value = self.one_literal("expected one value")?;
        if matches!(value, LiteralValue::Null | LiteralValue::Duration(_)) {
            return self.wrong_arguments("this is no value that a field could have");
        }
        if !self.input.nullable {
            self.no_effect("the value is never missing");
        }
        let ty = self.join(&Ty::of_literal(&value))?;
        Some((Op::Default(self.constant(&value)), Typed::new(ty, false), None))
    }

    /// A literal in the representation of the value it takes the place of: `default(0)` behind a decimal is a decimal.
    fn constant(&self, value: &LiteralValue) -> Const {
        match (constant(value), &self.input.ty) {
            (Const::Integer(n), Ty::Decimal { .. }) => Const::Decimal(n.into()),
            (value, _) => value,
        }
    }

    fn join(&mut self, other: &Ty) -> Option<Ty> {
        if let Some(ty) = self.input.ty.join(other) {
            return Some(ty);
        }
        let diagnostic = Diagnostic::new(
            Code::D208,
            self.step.span,
            format!("`{}` would mix values of different types", self.name()),
            format!("{} beside {}", other.describe(), self.input.ty.describe()),
        )
        .help("give a value of the same type as the field's");
        self.context.report(diagnostic);
        None
    }

    fn coalesce(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        let arguments = self.step.arguments.as_deref().unwrap_or_default();
        if arguments.is_empty() {
            return self.wrong_arguments("expected one field or more");
        }
        if !self.input.nullable {
            self.no_effect("the value is never missing");
        }
        let mut reads = Vec::new();
        let mut output = self.input.clone();
        for argument in arguments {
            let Argument::Path(path) = argument else {
                return self.wrong_arguments("expected fields; for a fixed value use `default`");
            };
            let (one, typed) = read(path, self.context)?;
            let Some(ty) = output.ty.join(&typed.ty) else {
                let diagnostic = Diagnostic::new(
                    Code::D208,
                    path.span,
                    "`coalesce` would mix values of different types",
                    format!("{} beside {}", typed.ty.describe(), output.ty.describe()),
                )
                .help("name fields of one type");
                self.context.report(diagnostic);
                return None;
            };
            output = Typed::new(ty, output.nullable && typed.nullable);
            reads.push(one);
        }
        Some((Op::Coalesce(reads), output, None))
    }

    fn round(&mut self) -> Option<Checked> {
        let digits = self.one_number(0, 15, "expected the number of decimals, 0 to 15")?;
        // Only a number can be the target of a rounded value that must be bounded; text takes any.
        let bounds = match self.fit {
            Fit::Integer { min, max } => Some((Decimal::from(*min), Decimal::from(*max))),
            Fit::Decimal { min, max, .. } => Some((*min, *max)),
            Fit::Double => Some(exact_in_double(digits)),
            Fit::Boolean | Fit::Text { .. } | Fit::Date | Fit::Instant | Fit::Enumeration(_) => None,
        };
        let (min, max, scale) = match &self.input.ty {
            Ty::Decimal { scale, min, max } => {
                // Rounding may carry the bounds outwards by less than one unit of the last digit kept.
                let round = |d: &Decimal| crate::eval::number::round(*d, digits);
                if *scale <= digits && bounds.is_none_or(|(low, high)| low <= *min && *max <= high) {
                    self.no_effect(format!("the value has at most {scale} decimals anyway"));
                }
                (round(min), round(max), (*scale).min(digits))
            }
            Ty::Integer { min, max } => {
                if bounds.is_none_or(|(low, high)| low <= Decimal::from(*min) && Decimal::from(*max) <= high) {
                    self.no_effect("the value is a whole number anyway");
                }
                (Decimal::from(*min), Decimal::from(*max), 0)
            }
            // A double may exceed every decimal.
            Ty::Double => (Decimal::MIN, Decimal::MAX, digits),
            Ty::Null
            | Ty::Boolean
            | Ty::Text { .. }
            | Ty::Words(_)
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_) => {
                return self.wrong_type("a number", "remove the step, or apply it to a number");
            }
        };
        let fits = bounds.is_none_or(|(low, high)| low <= min && max <= high);
        let double = matches!(self.input.ty, Ty::Double);
        let (min, max) = bounds.map_or((min, max), |(low, high)| (min.max(low), max.min(high)));
        let output = Typed::new(Ty::Decimal { scale, min, max }, self.input.nullable);
        let reason = match (double, fits) {
            (true, _) => Some("a floating-point number may be too large".to_owned()),
            (false, true) => None,
            (false, false) => Some(format!(
                "the field may hold {}, the target takes {} to {}",
                self.input.ty.describe(),
                min.normalize(),
                max.normalize()
            )),
        };
        let bounds = if double || !fits { bounds } else { None };
        Some((Op::Round { scale: digits, bounds }, output, reason))
    }

    fn date(&mut self) -> Option<Checked> {
        let pattern = match self.step.arguments {
            None => None,
            Some(_) => match self.one_literal("expected a pattern in quotes")? {
                LiteralValue::Text(text) => Some(text),
                _ => return self.wrong_arguments("expected a pattern in quotes"),
            },
        };
        let output = Typed::new(Ty::Date, self.input.nullable);
        match (&self.input.ty, pattern) {
            (Ty::Instant | Ty::Local, None) => Some((Op::DayOfInstant, output, None)),
            (Ty::Instant | Ty::Local | Ty::Date, Some(_)) => self.wrong_arguments("a pattern is for text; this value is a date already"),
            (Ty::Date, None) => {
                self.no_effect("the value is a date already");
                Some((Op::DayOfInstant, output, None))
            }
            (Ty::Text { .. } | Ty::Words(_), pattern) => {
                let pattern = pattern.unwrap_or_else(|| "yyyy-MM-dd".to_owned());
                let Some(parts) = date_pattern(&pattern) else {
                    return self.wrong_arguments("a pattern holds a year (yyyy), a month (MM or M) and a day (dd or d), each once");
                };
                Some((Op::ParseDate(parts), output, Some(format!("the text may not be a date written `{pattern}`"))))
            }
            (
                Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_),
                _,
            ) => self.wrong_type("text or a date with time", "remove the step"),
        }
    }

    /// What `or` says, against whether the step can fail.
    fn outcome(&mut self, reason: Option<String>, output: Typed) -> Option<(Option<OnFailure>, Typed)> {
        let or = match (reason, &self.step.or) {
            (None, None) => return Some((None, output)),
            (None, Some(or)) => {
                let diagnostic = Diagnostic::new(Code::D207, or.span, format!("`{}` cannot fail here", self.name()), "this never happens")
                    .help("remove the `or`");
                self.context.report(diagnostic);
                return None;
            }
            (Some(reason), None) => {
                let diagnostic = Diagnostic::new(
                    Code::D206,
                    self.step.span,
                    format!("`{}` can fail, and nothing says what happens then", self.name()),
                    reason,
                )
                .help(format!(
                    "write `{0} or null` (the field becomes empty), `{0} or default(…)`, or `{0} or reject` (the record is kept aside)",
                    self.written()
                ));
                self.context.report(diagnostic);
                return None;
            }
            (Some(_), Some(or)) => or,
        };
        let mut mismatch = |label: String, help: &str| {
            let diagnostic = Diagnostic::new(Code::D213, or.span, "the value that `or` leaves does not fit", label).help(help);
            self.context.report(diagnostic);
        };
        match &or.kind {
            OrKind::Null => Some((Some(OnFailure::Null), Typed::new(output.ty, true))),
            OrKind::Reject => Some((Some(OnFailure::Reject), output)),
            OrKind::Keep => {
                let Some(ty) = output.ty.join(&self.input.ty) else {
                    mismatch(
                        format!("keeps {}, where the step gives {}", self.input.ty.describe(), output.ty.describe()),
                        "write `or null`, `or default(…)` or `or reject`",
                    );
                    return None;
                };
                Some((Some(OnFailure::Keep), Typed::new(ty, output.nullable)))
            }
            OrKind::Default(literal) => {
                let ty = Ty::of_literal(&literal.value);
                let Some(joined) = output.ty.join(&ty).filter(|_| ty != Ty::Null) else {
                    mismatch(format!("{} beside {}", ty.describe(), output.ty.describe()), "give a value of the step's own type");
                    return None;
                };
                let value = match (constant(&literal.value), &output.ty) {
                    (Const::Integer(n), Ty::Decimal { .. }) => Const::Decimal(n.into()),
                    (value, _) => value,
                };
                Some((Some(OnFailure::Default(value)), Typed::new(joined, output.nullable)))
            }
        }
    }

    /// The step as it stands in the file, without its `or`.
    fn written(&self) -> String {
        let mut text = self.name().to_owned();
        if let Some(arguments) = &self.step.arguments {
            let inner: Vec<String> = arguments
                .iter()
                .map(|a| match a {
                    Argument::Literal(l) => match &l.value {
                        LiteralValue::Text(t) => format!("\"{t}\""),
                        LiteralValue::Integer(n) => n.to_string(),
                        _ => "…".to_owned(),
                    },
                    Argument::Path(p) => p.text(),
                })
                .collect();
            text.push_str(&format!("({})", inner.join(", ")));
        }
        text
    }
}

/// A pattern of a day in its parts; `None` where a part is missing, double or unknown.
pub(super) fn date_pattern(pattern: &str) -> Option<Vec<DatePart>> {
    let mut parts: Vec<DatePart> = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(first).len();
        let part = match (first, run) {
            ('y', 4) => DatePart::Year,
            ('M', 2) => DatePart::Month,
            ('M', 1) => DatePart::MonthShort,
            ('d', 2) => DatePart::Day,
            ('d', 1) => DatePart::DayShort,
            (c, _) if c.is_alphanumeric() => return None,
            (_, _) => {
                let end = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
                DatePart::Text(rest[..end].to_owned())
            }
        };
        let length = match &part {
            DatePart::Text(text) => text.len(),
            DatePart::Year | DatePart::Month | DatePart::MonthShort | DatePart::Day | DatePart::DayShort => run,
        };
        parts.push(part);
        rest = &rest[length..];
    }
    let count = |test: fn(&DatePart) -> bool| parts.iter().filter(|p| test(p)).count();
    let complete = count(|p| matches!(p, DatePart::Year)) == 1
        && count(|p| matches!(p, DatePart::Month | DatePart::MonthShort)) == 1
        && count(|p| matches!(p, DatePart::Day | DatePart::DayShort)) == 1;
    complete.then_some(parts)
}
