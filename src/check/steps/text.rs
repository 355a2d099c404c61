//! Steps on text.

use regex::Regex;

use super::{Checked, Reader, StepChecker};
use crate::check::source::literal_text;
use crate::check::types::{Ty, Typed, length};
use crate::diagnostics::Code;
use crate::diagnostics::Diagnostic;
use crate::eval::phone_region;
use crate::plan::{Op, Piece};
use crate::steps::{TextStep, pad, piece as piece_of, replace, substring, truncate};
use crate::syntax::ast::{Argument, LiteralValue};
use crate::unicode::is_blank;

/// The longest number of E.164 with its sign.
const E164: u32 = 16;

impl StepChecker<'_, '_, '_> {
    /// The type of a text after an operation: known words are worked out, for others the longest length is.
    fn on_text(&mut self, on_word: impl Fn(&str) -> String, on_length: impl Fn(Option<u32>) -> Option<u32>) -> Option<Ty> {
        match &self.input.ty {
            Ty::Text { max } => Some(Ty::Text { max: on_length(*max) }),
            Ty::Words(words) => Some(Ty::Words(words.iter().map(|w| on_word(w)).collect())),
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
            | Ty::Options(_) => self.wrong_type("text", "remove the step, or make the value text first: `| string`"),
        }
    }

    /// A text that may be empty after the step, which is not a value. Of known words, those that are left are known too.
    fn perhaps_none(&mut self, op: Op, ty: Ty) -> Checked {
        let output = match ty {
            Ty::Words(words) => {
                let before = words.len();
                let words: Vec<String> = words.into_iter().filter(|w| !is_blank(w)).collect();
                let nullable = self.input.nullable || words.len() < before;
                Typed::new(if words.is_empty() { Ty::Null } else { Ty::Words(words) }, nullable)
            }
            other => Typed::new(other, true),
        };
        Checked::sure(op, output)
    }

    /// A step from text to text without arguments, by the rule in its own file.
    pub(super) fn plain_text(&mut self, step: TextStep) -> Option<Checked> {
        self.no_arguments()?;
        let rule = step.rule();
        let ty = self.on_text(|word| (rule.apply)(word).into_owned(), rule.longest)?;
        if rule.may_leave_nothing {
            return Some(self.perhaps_none(Op::Text(step), ty));
        }
        Some(Checked::sure(Op::Text(step), Typed::new(ty, self.input.nullable)))
    }

    pub(super) fn truncate(&mut self) -> Option<Checked> {
        let most = self.one_number(1, 1_000_000, "expected the greatest length, a number from 1")?;
        if let Ty::Text { max: Some(max) } = self.input.ty
            && max <= most
        {
            self.no_effect(format!("the value is {} anyway", self.input.ty.describe()));
        }
        let ty = self.on_text(|w| truncate(w, most).to_owned(), |max| Some(max.map_or(most, |m| m.min(most))))?;
        // What is cut off may leave only white space, or nothing where the first character alone is too long. Text that is short
        // enough is not cut.
        if let Ty::Text { max: Some(max) } = self.input.ty
            && max <= most
        {
            return Some(Checked::sure(Op::Truncate(most), Typed::new(ty, self.input.nullable)));
        }
        Some(self.perhaps_none(Op::Truncate(most), ty))
    }

    pub(super) fn pad(&mut self) -> Option<Checked> {
        let to = self.number_at(0, 1, 1_000_000, "expected the length, a number from 1")?;
        let with = self.text_at(1, "expected one character in quotes")?;
        let mut letters = with.chars();
        let (Some(with), None) = (letters.next(), letters.next()) else { return self.wrong_arguments("expected one character in quotes") };
        let behind = match self.arguments().get(2) {
            None => false,
            Some(Argument::Path(path)) if path.text() == "right" => true,
            Some(Argument::Path(path)) if path.text() == "left" => false,
            Some(other) => {
                let span = other.span();
                return self.wrong_argument(span, "expected `left` or `right`");
            }
        };
        self.at_most(3)?;
        let ty = self.on_text(|w| pad(w, to, with, behind), |max| max.map(|m| m.max(to)))?;
        Some(Checked::sure(Op::Pad { length: to, with, behind }, Typed::new(ty, self.input.nullable)))
    }

    pub(super) fn replace_text(&mut self) -> Option<Checked> {
        let from = self.text_at(0, "expected the text that is looked for, in quotes")?;
        let to = self.text_at(1, "expected the text that takes its place, in quotes")?;
        self.at_most(2)?;
        if from.is_empty() {
            return self.wrong_arguments("the text that is looked for is empty");
        }
        let (old, new) = (length(&from), length(&to));
        let longest = |max: Option<u32>| {
            let max = max?;
            if new <= old {
                return Some(max);
            }
            // Most of the text may consist of what is looked for.
            let times = max / old;
            Some(times.checked_mul(new)?.checked_add(max % old)?.max(max))
        };
        let ty = self.on_text(|w| replace(w, &from, &to), longest)?;
        Some(self.perhaps_none(Op::ReplaceText { from, to }, ty))
    }

    pub(super) fn matches(&mut self) -> Option<Checked> {
        let pattern = self.one_text("expected a regular expression in quotes")?;
        if let Err(error) = Regex::new(&pattern) {
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or("not a regular expression").trim_start_matches("error: ").to_owned();
            let span = self.arguments().first().map_or(self.step.span, Argument::span);
            self.context.report(
                Diagnostic::new(Code::D403, span, "this regular expression cannot be read", reason)
                    .help("try it in an editor; for plain text use `replace_text`, or a filter with `contains`"),
            );
            return None;
        }
        let ty = self.on_text(str::to_owned, |max| max)?;
        let output = Typed::new(ty, self.input.nullable);
        Some(Checked::fallible(Op::Matches(pattern), output, "the text may not match the expression"))
    }

    pub(super) fn phone(&mut self) -> Option<Checked> {
        let region = match self.step.arguments {
            None => None,
            Some(_) => {
                let code = self.one_text("expected a country's two letters in quotes, such as \"DE\"")?;
                if phone_region(&code).is_none() {
                    return self.wrong_arguments("no country of ISO 3166 with phone numbers; two capital letters, such as \"DE\"");
                }
                Some(code)
            }
        };
        self.on_text(str::to_owned, |max| max)?;
        let output = Typed::new(Ty::Text { max: Some(E164) }, self.input.nullable);
        let why = match &region {
            Some(code) => format!("the text may not be a phone number of {code} or with a country code"),
            None => "the text may not be a phone number with a country code".to_owned(),
        };
        Some(Checked::fallible(Op::Phone { region }, output, why))
    }

    pub(super) fn email(&mut self) -> Option<Checked> {
        self.no_arguments()?;
        let ty = match self.on_text(str::to_owned, |max| max)? {
            // What comes out differs from what goes in, so words are not known any more.
            Ty::Words(words) => Ty::Text { max: words.iter().map(|w| length(w)).max() },
            other => other,
        };
        Some(Checked::fallible(Op::Email, Typed::new(ty, self.input.nullable), "the text may not be an e-mail address"))
    }

    pub(super) fn substring(&mut self) -> Option<Checked> {
        let from = self.number_at(0, 1, 1_000_000, "expected the first character, counted from 1")?;
        let most = self.number_at(1, 1, 1_000_000, "expected the greatest length, a number from 1")?;
        self.at_most(2)?;
        let start = from - 1;
        let ty =
            self.on_text(|w| substring(w, start, most).to_owned(), |max| Some(max.map_or(most, |m| m.saturating_sub(start).min(most))))?;
        Some(self.perhaps_none(Op::Substring { start, length: most }, ty))
    }

    pub(super) fn split(&mut self) -> Option<Checked> {
        let separator = self.text_at(0, "expected the text between the pieces, in quotes")?;
        let piece = self.number_at(1, 1, 1000, "expected which piece, counted from 1")?;
        self.at_most(2)?;
        if separator.is_empty() {
            return self.wrong_arguments("the text between the pieces is empty");
        }
        let index = piece - 1;
        let ty = self.on_text(|w| piece_of(w, &separator, index as usize), |max| max)?;
        Some(self.perhaps_none(Op::Split { separator, index }, ty))
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
                        return self.wrong_argument(literal.span, "this is no text");
                    }
                    let text = literal_text(&literal.value);
                    longest = longest.map(|n| n.saturating_add(length(&text)));
                    pieces.push(Piece::Text(text));
                }
                Argument::Path(path) => {
                    let (one, typed) = read(path, self.context)?;
                    longest = longest.zip(typed.ty.text_length().flatten()).map(|(a, b)| a.saturating_add(b));
                    pieces.push(Piece::Field(one));
                }
            }
        }
        Some(Checked::sure(Op::Concat(pieces), Typed::new(Ty::Text { max: longest }, self.input.nullable)))
    }

    pub(super) fn hash(&mut self) -> Option<Checked> {
        match self.arguments() {
            [Argument::Path(path)] if path.text() == "sha256" => {}
            _ => return self.wrong_arguments("the one kind of hash is `sha256`"),
        }
        self.on_text(str::to_owned, |max| max)?;
        Some(Checked::sure(Op::Sha256, Typed::new(Ty::Text { max: Some(64) }, self.input.nullable)))
    }

    pub(super) fn string(&mut self) -> Option<Checked> {
        self.no_arguments()?;
        if matches!(self.input.ty, Ty::Text { .. } | Ty::Words(_)) {
            self.no_effect("the value is text already");
        }
        let Some(longest) = self.input.ty.text_length() else {
            return self.wrong_type("a value that can be written as text", "choose another field");
        };
        let ty = match &self.input.ty {
            Ty::Words(words) => Ty::Words(words.clone()),
            _ => Ty::Text { max: longest },
        };
        Some(Checked::sure(Op::ToText, Typed::new(ty, self.input.nullable)))
    }
}
