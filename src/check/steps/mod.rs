//! Pipelines: each step's arguments, the types that it takes and gives, and whether it can fail.
//!
//! Fallibility depends on types: rounding money to two decimals cannot fail for a decimal target, and can for a
//! floating-point one, which holds fifteen digits. A step that can fail must say what happens then; one that cannot may not.
//! [`crate::steps`] lists the steps and has the rules of those from text to text without arguments; [`text`], [`numbers`], [`dates`] and
//! [`tables`] check the others.

mod dates;
mod numbers;
mod tables;
mod text;

use super::Context;
use super::replace::Expect;
use super::types::{Ty, Typed, constant, list};
use crate::diagnostics::{Code, Diagnostic, Safety, Span, near};
use crate::plan::{Const, Fit, OnFailure, Op, Read, Step};
use crate::steps::{STEPS, TextStep};
use crate::syntax::ast::{self, Argument, LiteralValue, OrKind, Path};

/// Reads a field on behalf of a step: its slot and type.
pub(super) type Reader<'r> = dyn FnMut(&Path, &mut Context<'_>) -> Option<(Read, Typed)> + 'r;

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
}

/// A checked step.
pub(super) struct CheckedStep {
    /// The step of the plan; `None` where nothing is to be done.
    pub(super) step: Option<Step>,
    /// The type behind it.
    pub(super) output: Typed,
    /// The conversions that are left to do, where a table has settled that its results fit.
    pub(super) settled: Option<Vec<Op>>,
}

/// Checks one step on a value of a type.
pub(super) fn check(step: &ast::Step, use_: &Use<'_>, read: &mut Reader<'_>, context: &mut Context<'_>) -> Option<CheckedStep> {
    let mut checker = StepChecker { step, use_, input: use_.input, fit: use_.fit, context };
    let checked =
        match step.name.text.as_str() {
            "truncate" => checker.truncate()?,
            "pad" => checker.pad()?,
            "replace_text" => checker.replace_text()?,
            "matches" => checker.matches()?,
            "phone" => checker.phone()?,
            "email" => checker.email()?,
            "substring" => checker.substring()?,
            "split" => checker.split()?,
            "concat" => checker.concat(read)?,
            "hash" => checker.hash()?,
            "string" => checker.string()?,
            "round" => checker.round()?,
            "number" => checker.number()?,
            "integer" => checker.integer()?,
            "boolean" => checker.boolean()?,
            "date" => checker.date()?,
            "datetime" => checker.datetime()?,
            "format" => checker.format()?,
            "default" => checker.default()?,
            "coalesce" => checker.coalesce(read)?,
            "join" => checker.join()?,
            "label" => checker.label()?,
            "value" => checker.value()?,
            "map" => checker.map()?,
            name => match TextStep::named(name) {
                Some(rule) => checker.plain_text(rule)?,
                None => {
                    let names = || STEPS.iter().map(|s| s.name);
                    let diagnostic = Diagnostic::new(Code::D107, step.name.span, format!("there is no step `{name}`"), "unknown step")
                        .meant(near(name, names()), step.name.span, || format!("the steps are {}", list(names(), 40)));
                    context.report(diagnostic);
                    return None;
                }
            },
        };
    let Checked { op, output, fallible, settled } = checked;
    let (on_failure, output) = checker.outcome(fallible, output)?;
    let at = context.at(step.span);
    Some(CheckedStep { step: op.map(|op| Step { at, op, on_failure }), output, settled })
}

struct StepChecker<'s, 'c, 'd> {
    step: &'s ast::Step,
    use_: &'s Use<'s>,
    input: &'s Typed,
    fit: &'s Fit,
    context: &'c mut Context<'d>,
}

/// A step whose arguments and input are right.
struct Checked {
    /// What is done; `None` where nothing is.
    op: Option<Op>,
    output: Typed,
    /// Why it can fail; `None` where it cannot.
    fallible: Option<String>,
    settled: Option<Vec<Op>>,
}

impl Checked {
    fn sure(op: Op, output: Typed) -> Checked {
        Checked { op: Some(op), output, fallible: None, settled: None }
    }

    fn fallible(op: Op, output: Typed, why: impl Into<String>) -> Checked {
        Checked { op: Some(op), output, fallible: Some(why.into()), settled: None }
    }
}

impl StepChecker<'_, '_, '_> {
    fn name(&self) -> &str {
        &self.step.name.text
    }

    fn usage(&self) -> &'static str {
        STEPS.iter().find(|s| s.name == self.step.name.text).map_or("", |s| s.usage)
    }

    fn wrong_argument<T>(&mut self, span: Span, label: &str) -> Option<T> {
        let diagnostic = Diagnostic::new(Code::D209, span, format!("`{}` has the wrong arguments", self.name()), label)
            .help(format!("write `{}`", self.usage()));
        self.context.report(diagnostic);
        None
    }

    fn wrong_arguments<T>(&mut self, label: &str) -> Option<T> {
        let span = self.step.arguments.as_ref().and_then(|a| a.first()).map_or(self.step.name.span, Argument::span);
        self.wrong_argument(span, label)
    }

    fn arguments(&self) -> &[Argument] {
        self.step.arguments.as_deref().unwrap_or_default()
    }

    fn no_arguments(&mut self) -> Option<()> {
        match &self.step.arguments {
            None => Some(()),
            Some(_) => self.wrong_arguments("this step takes no arguments"),
        }
    }

    fn one_literal(&mut self, what: &str) -> Option<LiteralValue> {
        match self.arguments() {
            [Argument::Literal(l)] => Some(l.value.clone()),
            _ => self.wrong_arguments(what),
        }
    }

    fn one_text(&mut self, what: &str) -> Option<String> {
        match self.one_literal(what)? {
            LiteralValue::Text(text) => Some(text),
            _ => self.wrong_arguments(what),
        }
    }

    fn one_number(&mut self, min: i64, max: i64, what: &str) -> Option<u32> {
        match self.one_literal(what)? {
            LiteralValue::Integer(n) if (min..=max).contains(&n) => u32::try_from(n).ok(),
            _ => self.wrong_arguments(what),
        }
    }

    /// An argument that is a number in a range.
    fn number_at(&mut self, index: usize, min: i64, max: i64, what: &str) -> Option<u32> {
        match self.arguments().get(index) {
            Some(Argument::Literal(l)) => match l.value {
                LiteralValue::Integer(n) if (min..=max).contains(&n) => u32::try_from(n).ok(),
                _ => self.wrong_argument(l.span, what),
            },
            Some(Argument::Path(p)) => self.wrong_argument(p.span, what),
            None => self.wrong_arguments(what),
        }
    }

    /// An argument that is a text.
    fn text_at(&mut self, index: usize, what: &str) -> Option<String> {
        match self.arguments().get(index) {
            Some(Argument::Literal(l)) => match &l.value {
                LiteralValue::Text(text) => Some(text.clone()),
                _ => self.wrong_argument(l.span, what),
            },
            Some(Argument::Path(p)) => self.wrong_argument(p.span, what),
            None => self.wrong_arguments(what),
        }
    }

    /// At most so many arguments.
    fn at_most(&mut self, count: usize) -> Option<()> {
        match self.arguments().get(count).map(Argument::span) {
            Some(span) => self.wrong_argument(span, "one argument too many"),
            None => Some(()),
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
        let diagnostic = match self.bar() {
            Some(bar) => diagnostic.fix(Safety::Safe, format!("remove `{}`", self.name()), bar.to(self.step.span), ""),
            None => diagnostic,
        };
        self.context.report(diagnostic);
    }

    /// The bar before the step, with the blanks around it.
    fn bar(&self) -> Option<Span> {
        let span = self.step.span;
        let text = &self.context.sources.get(span.file)?.text;
        let before = text.get(..span.start as usize)?;
        let bar = before.trim_end().strip_suffix('|')?;
        let start = u32::try_from(bar.trim_end_matches([' ', '\t']).len()).ok()?;
        Some(Span { start, end: span.start, ..span })
    }

    fn join_types(&mut self, other: &Ty) -> Option<Ty> {
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

    fn default(&mut self) -> Option<Checked> {
        let value = self.one_literal("expected one value")?;
        if Ty::of_literal(&value) == Ty::Null || matches!(value, LiteralValue::Duration(_)) {
            return self.wrong_arguments("`null`, empty text and durations cannot be used as a default value");
        }
        if !self.input.nullable {
            self.no_effect("the value is never missing");
        }
        let ty = self.join_types(&Ty::of_literal(&value))?;
        Some(Checked::sure(Op::Default(as_input(&value, &self.input.ty)), Typed::new(ty, false)))
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
        Some(Checked::sure(Op::Coalesce(reads), output))
    }

    /// What `or` says, against whether the step can fail.
    fn outcome(&mut self, reason: Option<String>, output: Typed) -> Option<(Option<OnFailure>, Typed)> {
        let or = match (reason, &self.step.or) {
            (None, None) => return Some((None, output)),
            (None, Some(or)) => {
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
                    format!("`{}` can fail, and nothing says what happens then", self.name()),
                    reason,
                )
                .help(format!(
                    "write `{0} or null` (the field becomes empty), `{0} or default(…)`, or `{0} or reject` (the record is kept aside)",
                    self.written()
                ))
                .fix(Safety::Unsafe, "write `or null`", end, " or null");
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
                Some((Some(OnFailure::Default(as_input(&literal.value, &output.ty))), Typed::new(joined, output.nullable)))
            }
        }
    }

    /// The step as it stands in the file, without its `or`.
    fn written(&self) -> String {
        let end = self.step.or.as_ref().map_or(self.step.span.end, |or| or.span.start);
        let text = self.context.sources.get(self.step.span.file).and_then(|f| f.text.get(self.step.span.start as usize..end as usize));
        text.map_or_else(|| self.name().to_owned(), |t| t.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// A literal in the representation of the value it takes the place of: `default(0)` behind a decimal is a decimal.
fn as_input(value: &LiteralValue, ty: &Ty) -> Const {
    match (constant(value), ty) {
        (Const::Integer(n), Ty::Decimal { .. }) => Const::Decimal(n.into()),
        (value, _) => value,
    }
}
