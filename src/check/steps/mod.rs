//! Pipelines: what the checker says of each step, and what `or` says against whether it can fail.
//!
//! Fallibility depends on types: rounding money to two decimals cannot fail for a decimal target, and can for a
//! floating-point one, which holds fifteen digits. A step that can fail must say what happens then; one that cannot may not.
//! [`crate::steps`] has the type rules. Here are those of the steps that need more than their arguments: [`reads`] has those that read
//! other fields, [`tables`] those that make tables, [`lookup`] the one that needs a table of a file; `links` has `link`.

mod lookup;
mod reads;
mod tables;

pub(super) use lookup::outcome_of_call;

use super::Context;
use super::replace::Expect;
use super::types::{Ty, Typed, constant, list};
use crate::diagnostics::{Code, Diagnostic, Near, Safety, Span, near};
use crate::plan::{Const, Fit, OnFailure, Op, Read, Step};
use crate::steps::{self, Call, Rule, STEPS, Wrong};
use crate::syntax::ast::{self, Argument, Literal, LiteralValue, OrKind, Path};

/// Reads a field for a step, with its own steps: its slot and type.
pub(super) type Reader<'r> = dyn FnMut(&Path, &[ast::Step], &mut Context<'_>) -> Option<(Read, Typed)> + 'r;

/// What surrounds a step.
pub(super) struct Use<'u> {
    /// The value before it.
    pub(super) input: &'u Typed,
    /// What the target admits.
    pub(super) fit: &'u Fit,
    /// Whether it is the first of its entry.
    pub(super) first: bool,
    /// The entry.
    pub(super) entry: Span,
    /// What its result must be.
    pub(super) expect: &'u Expect<'u>,
    /// Whether its `or` also says what happens if a division before it fails.
    pub(super) answers: bool,
}

/// A checked step.
pub(super) struct CheckedStep {
    /// The step of the plan; `None` if nothing is to be done.
    pub(super) step: Option<Step>,
    /// What its `or` says.
    pub(super) on_failure: Option<OnFailure>,
    /// The type after it.
    pub(super) output: Typed,
    /// The conversions that are left to do, where a table has settled that its results fit.
    pub(super) settled: Option<Vec<Op>>,
}

/// Checks one step on a value of a type.
pub(super) fn check(step: &ast::Step, use_: &Use<'_>, read: &mut Reader<'_>, context: &mut Context<'_>) -> Option<CheckedStep> {
    let mut checker = StepChecker { step, use_, input: use_.input, context };
    let checked = match step.name.text.as_str() {
        "coalesce" => checker.coalesce(read)?,
        "concat" => checker.concat(read)?,
        "label" => checker.label()?,
        "map" => checker.map()?,
        "lookup" => checker.lookup()?,
        "local" if matches!(checker.arguments().first(), Some(Argument::Path(_))) => checker.local_in(read)?,
        "years" | "months" | "days" => checker.elapsed(read)?,
        "phone" if matches!(checker.arguments().first(), Some(Argument::Path(_))) => checker.phone_in(read)?,
        name => match STEPS.iter().find(|known| known.name == name && !matches!(known.rule, Rule::Checker)) {
            Some(known) => checker.by_rule(known)?,
            None => return unknown(&step.name, context),
        },
    };
    let Checked { op, output, fallible, settled } = checked;
    let own = fallible.is_some();
    let (on_failure, output) = checker.outcome(fallible, output)?;
    let at = context.at(step.span);
    let step = op.map(|op| Step { at, op, on_failure: on_failure.clone().filter(|_| own) });
    Some(CheckedStep { step, on_failure, output, settled })
}

fn unknown<T>(name: &ast::Ident, context: &mut Context<'_>) -> Option<T> {
    if let "link" | "map" = name.text.as_str() {
        let help = format!("write a name after `{0}`, without parentheses, such as `| {0} accounts`", name.text);
        context.report(
            Diagnostic::new(Code::D107, name.span, format!("`{}` is written without parentheses", name.text), "not like this").help(help),
        );
        return None;
    }
    let names = || STEPS.iter().map(|s| s.name);
    context.report(Diagnostic::new(Code::D107, name.span, format!("there is no step `{}`", name.text), "unknown step").meant(
        known_elsewhere(&name.text).map(Near::guess).or_else(|| near(&name.text, names())),
        name.span,
        || format!("the steps are {}", list(names(), 60)),
    ));
    None
}

/// The help of a step's usage; of several forms, each is a line that can be written.
fn usage_help(usage: &str) -> String {
    match usage.contains(", or ") {
        true => format!("write {usage}"),
        false => format!("write `{usage}`"),
    }
}

/// A pattern of dates with the letters of another language or program, in those of this one.
fn right_pattern(pattern: &str) -> Option<String> {
    let mut right = pattern.replace(['Y', 'J', 'j'], "y").replace(['D', 'T'], "d");
    let date = right.split([' ', 'H', 'h']).next().unwrap_or_default().to_owned();
    if !date.contains('M') && date.contains("mm") {
        right = right.replacen(&date, &date.replacen("mm", "MM", 1), 1);
    }
    right = right.replace("hh", "HH").replace(":MM", ":mm").replace("SS", "ss");
    let known = right.chars().all(|c| !c.is_alphabetic() || matches!(c, 'y' | 'M' | 'd' | 'H' | 'm' | 's'));
    (known && right != pattern && right.contains("yy")).then_some(right)
}

/// The step that has another name in spreadsheets and other languages.
fn known_elsewhere(name: &str) -> Option<&'static str> {
    Some(match name.to_lowercase().replace('_', "").as_str() {
        "uppercase" | "toupper" | "touppercase" | "ucase" | "capitals" | "upcase" => "upper",
        "lowercase" | "tolower" | "tolowercase" | "lcase" | "small" | "downcase" => "lower",
        "proper" | "propercase" | "titlecase" | "capitalize" | "capitalise" | "initcap" => "title",
        "left" | "cut" | "shorten" | "limit" | "max" | "maxlength" | "trunc" | "crop" => "truncate",
        "mid" | "substr" | "slice" => "substring",
        "strip" | "ltrim" | "rtrim" | "clean" => "trim",
        "substitute" | "replace" => "replace_text",
        "ifempty" | "ifnull" | "isnull" | "nvl" | "fallback" | "otherwise" => "default",
        "text" | "tostring" | "str" => "string",
        "todate" | "parsedate" | "datevalue" => "date",
        "int" | "tointeger" => "integer",
        "tonumber" | "float" | "decimal" => "number",
        "bool" | "toboolean" => "boolean",
        "telephone" | "phonenumber" | "e164" => "phone",
        "age" => "years",
        "append" | "add" => "suffix",
        "prepend" => "prefix",
        "lpad" | "rpad" | "padleft" | "zerofill" => "pad",
        "name" => "label",
        "lookup" | "translate" | "switch" => "map",
        _ => return None,
    })
}

/// An argument as type rules see it.
fn argument(argument: &Argument) -> steps::Argument {
    match argument {
        Argument::Literal(literal) => match &literal.value {
            LiteralValue::Duration(seconds) => {
                let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
                steps::Argument::Period(steps::Period { months: 0, seconds })
            }
            // An empty text is a text, though it is not a value.
            LiteralValue::Text(text) => steps::Argument::Constant(Const::Text(text.clone())),
            value => steps::Argument::Constant(constant(value)),
        },
        // Rules that take a word do not support steps: the argument is not one of their words.
        Argument::Path(path) => steps::Argument::Word(path.text()),
        Argument::Piped(path, _) => steps::Argument::Word(format!("{} |", path.text())),
        Argument::Period(period) => steps::Argument::Period(steps::Period { months: period.months, seconds: period.seconds }),
    }
}

struct StepChecker<'s, 'c, 'd> {
    step: &'s ast::Step,
    use_: &'s Use<'s>,
    input: &'s Typed,
    context: &'c mut Context<'d>,
}

/// A step whose arguments and input are right.
struct Checked {
    /// What is done; `None` if nothing is.
    op: Option<Op>,
    output: Typed,
    /// Why it can fail; `None` if it cannot.
    fallible: Option<String>,
    settled: Option<Vec<Op>>,
}

impl Checked {
    fn sure(op: Op, output: Typed) -> Checked {
        Checked { op: Some(op), output, fallible: None, settled: None }
    }
}

impl StepChecker<'_, '_, '_> {
    /// Checks the call by the rule in the step's own file.
    fn by_rule(&mut self, known: &'static steps::Step) -> Option<Checked> {
        self.call(|call| {
            let steps::Checked { operation, output, fallible } = known.check(call)?;
            Ok(Checked { op: operation.map(Op::Step), output, fallible, settled: None })
        })
    }

    /// Checks the call by a rule, and reports what the rule says.
    fn call(&mut self, rule: impl FnOnce(&mut Call<'_>) -> Result<Checked, Wrong>) -> Option<Checked> {
        let arguments: Option<Vec<steps::Argument>> = self.step.arguments.as_ref().map(|list| list.iter().map(argument).collect());
        let mut call = Call::new(arguments.as_deref(), self.input, self.use_.fit, self.use_.first);
        let checked = rule(&mut call);
        for why in call.into_without_effect() {
            self.no_effect(why);
        }
        match checked {
            Ok(checked) => Some(checked),
            Err(Wrong::Argument { index, label }) => {
                let span = self.arguments().get(index).map_or(self.step.name.span, Argument::span);
                self.wrong_argument(span, &label)
            }
            Err(Wrong::Expression { label }) => {
                let span = self.arguments().first().map_or(self.step.span, Argument::span);
                self.context.report(
                    Diagnostic::new(Code::D403, span, "this regular expression cannot be read", label)
                        .help("try it in an editor; for plain text, use `replace_text`, or a filter with `contains`"),
                );
                None
            }
            Err(Wrong::Type { takes, help }) => self.wrong_type(takes, help),
            Err(Wrong::Mixture(other)) => {
                let diagnostic = Diagnostic::new(
                    Code::D208,
                    self.step.span,
                    format!("`{}` would mix values of different types", self.name()),
                    format!("{} beside {}", other.describe(), self.input.ty.describe()),
                )
                .help("write a value of the type that the field has");
                self.context.report(diagnostic);
                None
            }
        }
    }

    fn name(&self) -> &str {
        &self.step.name.text
    }

    fn usage(&self) -> &'static str {
        STEPS.iter().find(|s| s.name == self.step.name.text).map_or("", |s| s.usage)
    }

    fn wrong_argument<T>(&mut self, span: Span, label: &str) -> Option<T> {
        let diagnostic =
            Diagnostic::new(Code::D209, span, format!("`{}` has the wrong arguments", self.name()), label).help(usage_help(self.usage()));
        let argument = self.arguments().iter().find(|argument| argument.span() == span);
        let diagnostic = match argument.and_then(|argument| self.right_argument(argument)) {
            Some(right) => {
                diagnostic.help(format!("write `{}`", self.with(&right))).fix(Safety::Unsafe, format!("write `{right}`"), span, right)
            }
            None => diagnostic,
        };
        self.context.report(diagnostic);
        None
    }

    /// The step with another text instead of one argument, if it has just that one.
    fn with(&self, right: &str) -> String {
        match self.arguments().len() {
            1 => format!("{}({right})", self.name()),
            _ => right.to_owned(),
        }
    }

    /// An argument as it was probably meant: a pattern with the letters of another language, a number in quotes, a text without them.
    fn right_argument(&self, argument: &Argument) -> Option<String> {
        match (self.name(), argument) {
            ("date" | "datetime" | "format", Argument::Literal(Literal { value: LiteralValue::Text(pattern), .. })) => {
                right_pattern(pattern).map(|pattern| format!("\"{pattern}\""))
            }
            ("truncate" | "round" | "pad", Argument::Literal(Literal { value: LiteralValue::Text(number), .. })) => {
                number.parse::<u16>().ok().filter(|n| *n > 0).map(|number| number.to_string())
            }
            ("default" | "prefix" | "suffix", Argument::Path(path)) => Some(format!("\"{}\"", path.text())),
            _ => None,
        }
    }

    fn wrong_arguments<T>(&mut self, label: &str) -> Option<T> {
        let span = self.step.arguments.as_ref().and_then(|a| a.first()).map_or(self.step.name.span, Argument::span);
        self.wrong_argument(span, label)
    }

    fn arguments(&self) -> &[Argument] {
        self.step.arguments.as_deref().unwrap_or_default()
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
        let diagnostic = match self.bar() {
            Some(bar) => diagnostic.fix(Safety::Safe, format!("remove `{}`", self.name()), bar.to(self.step.span), ""),
            None => diagnostic,
        };
        self.context.report(diagnostic);
    }

    /// The bar before the step, with the spaces around it.
    fn bar(&self) -> Option<Span> {
        let span = self.step.span;
        let text = &self.context.sources.get(span.file)?.text;
        let before = text.get(..span.start as usize)?;
        let bar = before.trim_end().strip_suffix('|')?;
        let start = u32::try_from(bar.trim_end_matches([' ', '\t']).len()).ok()?;
        Some(Span { start, end: span.start, ..span })
    }

    /// What `or` says, against whether the step can fail.
    fn outcome(&mut self, reason: Option<String>, output: Typed) -> Option<(Option<OnFailure>, Typed)> {
        let or = match (reason, &self.step.or) {
            (None, None) => return Some((None, output)),
            (None, Some(or)) if !self.use_.answers => {
                let before = self.context.sources.get(or.span.file).and_then(|f| f.text.get(..or.span.start as usize)).unwrap_or_default();
                let start = u32::try_from(before.trim_end().len()).unwrap_or(or.span.start);
                let diagnostic = Diagnostic::new(Code::D207, or.span, format!("`{}` cannot fail here", self.name()), "this never happens")
                    .help("remove the `or`")
                    .fix(Safety::Safe, "remove the `or`", Span { start, ..or.span }, "");
                self.context.report(diagnostic);
                return None;
            }
            (Some(reason), None) => {
                let end = Span { start: self.step.span.end, ..self.step.span };
                let diagnostic = Diagnostic::new(
                    Code::D206,
                    self.step.span,
                    format!("`{}` can fail, but does not say what happens then", self.name()),
                    reason,
                )
                .help(format!(
                    "write `{0} or null` (the field is emptied), `{0} or default(…)`, or `{0} or reject` (the record becomes a dead letter)",
                    self.written()
                ))
                .fix(Safety::Unsafe, "write `or null`", end, " or null");
                self.context.report(diagnostic);
                return None;
            }
            (_, Some(or)) => or,
        };
        let mut mismatch = |label: String, help: &str| {
            let diagnostic = Diagnostic::new(Code::D213, or.span, "the value that `or` leaves does not fit", label).help(help);
            self.context.report(diagnostic);
        };
        match &or.kind {
            OrKind::Null => Some((Some(OnFailure::Null), Typed::new(output.ty, true))),
            OrKind::Reject => Some((Some(OnFailure::Reject), output)),
            OrKind::Keep if self.use_.answers => {
                mismatch("a failed division has no value to keep".to_owned(), "write `or null`, `or default(…)` or `or reject`");
                None
            }
            OrKind::Later => {
                mismatch("only a link can be written later".to_owned(), "write `or null`, `or default(…)` or `or reject`");
                None
            }
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
                    mismatch(
                        format!("{} beside {}", ty.describe(), output.ty.describe()),
                        "write a value of the type that the step returns",
                    );
                    return None;
                };
                Some((Some(OnFailure::Default(output.ty.represent(constant(&literal.value)))), Typed::new(joined, output.nullable)))
            }
        }
    }

    /// The step as it is written in the file, without its `or`.
    fn written(&self) -> String {
        let end = self.step.or.as_ref().map_or(self.step.span.end, |or| or.span.start);
        let text = self.context.sources.get(self.step.span.file).and_then(|f| f.text.get(self.step.span.start as usize..end as usize));
        text.map_or_else(|| self.name().to_owned(), |t| t.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
