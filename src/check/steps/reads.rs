//! Steps that read other fields.

use super::{Checked, Reader, StepChecker};
use crate::check::source::literal_text;
use crate::check::types::{Ty, Typed, length};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Elapsed, LocalIn, Op, PhoneIn, Piece, Until};
use crate::steps::{CalendarUnit, E164, Wrong, check_instant, check_zone, is_country};
use crate::syntax::ast::{Argument, LiteralValue};

impl StepChecker<'_, '_, '_> {
    pub(super) fn coalesce(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
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
            let Some((path, steps)) = argument.field() else {
                return self.wrong_arguments("expected fields; for a fixed value use `default`");
            };
            let (one, typed) = read(path, steps, self.context)?;
            let Some(ty) = output.ty.join(&typed.ty) else {
                let diagnostic = Diagnostic::new(
                    Code::D208,
                    path.span,
                    "`coalesce` would mix values of different types",
                    format!("{} beside {}", typed.ty.describe(), output.ty.describe()),
                )
                .help("use fields of the same type");
                self.context.report(diagnostic);
                return None;
            };
            output = Typed::new(ty, output.nullable && typed.nullable);
            reads.push(one);
        }
        Some(Checked::sure(Op::Coalesce(reads), output))
    }

    /// `years(today)`, `days(createdon)` and similar steps.
    pub(super) fn elapsed(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        let [Argument::Path(path)] = self.step.arguments.as_deref().unwrap_or_default() else {
            return self.wrong_arguments("expected `today` or a field with a date");
        };
        let unit = CalendarUnit::of_step(self.name())?;
        let is_date = |ty: &Ty| matches!(ty, Ty::Date | Ty::Instant | Ty::Local);
        if !is_date(&self.input.ty) {
            return self.wrong_type("a date", "remove the step, or read the text as a date first: `| date(\"…\") or null`");
        }
        let mut output = Typed::new(unit.output(), self.input.nullable);
        let until = match path.text().as_str() {
            "today" => Until::Today,
            _ => {
                let (one, typed) = read(path, &[], self.context)?;
                if !is_date(&typed.ty) {
                    let label = format!("expected `today` or a field with a date, not {}", typed.ty.describe());
                    return self.wrong_argument(path.span, &label);
                }
                output.nullable |= typed.nullable;
                Until::Field(one)
            }
        };
        Some(Checked::sure(Op::Elapsed(Elapsed { unit, until }), output))
    }

    /// `local(field)` and `local(field, "Europe/Berlin")`: the zone comes from the record.
    pub(super) fn local_in(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        let arguments = self.step.arguments.as_deref().unwrap_or_default();
        let otherwise = match arguments {
            [Argument::Path(_)] => None,
            [Argument::Path(_), Argument::Literal(literal)] => match &literal.value {
                LiteralValue::Text(zone) => match check_zone(zone) {
                    Ok(()) => Some(zone.clone()),
                    Err(Wrong::Argument { label, .. }) => return self.wrong_argument(literal.span, &label),
                    Err(_) => None,
                },
                _ => return self.wrong_argument(literal.span, "expected a time zone in quotes, such as \"Europe/Berlin\""),
            },
            arguments => {
                let span = arguments.get(1).map_or(self.step.span, Argument::span);
                return self.wrong_argument(span, "expected a field with the time zone, optionally followed by a time zone in quotes");
            }
        };
        let Some(Argument::Path(path)) = arguments.first() else { return None };
        if let Err(Wrong::Type { takes, help }) = check_instant(&self.input.ty) {
            return self.wrong_type(takes, help);
        }
        let (zone, typed) = read(path, &[], self.context)?;
        if !matches!(typed.ty, Ty::Text { .. } | Ty::Words(_)) {
            return self.wrong_argument(path.span, "expected a text field that contains the name of a time zone");
        }
        let why = format!("`{}` may not contain the name of a time zone", path.text());
        let output = Typed::new(Ty::Local, self.input.nullable);
        Some(Checked { op: Some(Op::LocalIn(LocalIn { zone, otherwise })), output, fallible: Some(why), settled: None })
    }

    /// `phone(field)` and `phone(field, "DE")`: the country comes from the record.
    pub(super) fn phone_in(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        let arguments = self.step.arguments.as_deref().unwrap_or_default();
        let otherwise = match arguments {
            [Argument::Path(_)] => None,
            [Argument::Path(_), Argument::Literal(literal)] => match &literal.value {
                LiteralValue::Text(code) if is_country(code) => Some(code.clone()),
                _ => {
                    return self
                        .wrong_argument(literal.span, "expected a country of ISO 3166, two capital letters in quotes, such as \"DE\"");
                }
            },
            arguments => {
                let span = arguments.get(1).map_or(self.step.span, Argument::span);
                return self.wrong_argument(span, "expected a field with the country, optionally followed by a country in quotes");
            }
        };
        let Some(Argument::Path(path)) = arguments.first() else { return None };
        if !matches!(self.input.ty, Ty::Text { .. } | Ty::Words(_)) {
            return self.wrong_type("text", "remove the step, or convert the value to text first: `| string`");
        }
        let (country, typed) = read(path, &[], self.context)?;
        if !matches!(typed.ty, Ty::Text { .. } | Ty::Words(_)) {
            return self.wrong_argument(path.span, "expected a text field that contains a country code of two letters (ISO 3166)");
        }
        let why =
            format!("the text may not be a phone number of the country in `{}`, or that field may not contain a country", path.text());
        let output = Typed::new(Ty::Text { max: Some(E164) }, self.input.nullable);
        Some(Checked { op: Some(Op::PhoneIn(PhoneIn { country, otherwise })), output, fallible: Some(why), settled: None })
    }

    pub(super) fn concat(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        if self.arguments().is_empty() {
            return self.wrong_arguments("expected texts and fields");
        }
        let Some(mut longest) = self.input.ty.text_length() else {
            return self.wrong_type("a value that can be written as text", "choose another field");
        };
        let mut pieces = Vec::new();
        for argument in self.step.arguments.as_deref().unwrap_or_default() {
            match argument {
                Argument::Literal(literal) => {
                    if matches!(literal.value, LiteralValue::Null | LiteralValue::Duration(_)) {
                        return self.wrong_argument(literal.span, "this is not a text");
                    }
                    let text = literal_text(&literal.value);
                    longest = longest.map(|n| n.saturating_add(length(&text)));
                    pieces.push(Piece::Text(text));
                }
                Argument::Period(period) => return self.wrong_argument(period.span, "a period is not a text"),
                Argument::Path(path) | Argument::Piped(path, _) => {
                    let steps = argument.field().map_or(&[][..], |(_, steps)| steps);
                    let (one, typed) = read(path, steps, self.context)?;
                    if typed.ty.text_length().is_none() {
                        return self.wrong_argument(argument.span(), "expected a value that can be written as text");
                    }
                    longest = longest.zip(typed.ty.text_length().flatten()).map(|(a, b)| a.saturating_add(b));
                    pieces.push(Piece::Field(one));
                }
            }
        }
        Some(Checked::sure(Op::Concat(pieces), Typed::new(Ty::Text { max: longest }, self.input.nullable)))
    }
}
