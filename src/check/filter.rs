//! Filters: each comparison against its field, and conditions that decide nothing.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use regex::Regex;

use super::Context;
use super::names::{SourceField, source_field};
use super::through;
use super::together::{self, Fact};
use super::types::constant;
use super::values::resolve;
use crate::diagnostics::{Code, Diagnostic, Safety, Span};
use crate::plan::{Condition, ConditionKind, Const, Mode, Relation, RelativeBase, Test};
use crate::schema::{Field, FieldType, Table};
use crate::syntax::ast::{self, Literal, LiteralValue, MomentBase, Value};
use crate::time;

/// Gives the slot of a source field.
pub(super) type Slots<'s> = dyn FnMut(&SourceField, Span, &mut Context<'_>) -> u32 + 's;

/// Checks a filter. `None` if any of its conditions is faulty.
pub(super) fn check(filter: &ast::Filter, source: &Table, slots: &mut Slots<'_>, context: &mut Context<'_>) -> Option<Condition> {
    let mut facts = Vec::new();
    let checked = group(&filter.group, false, source, slots, &mut facts, context);
    together::check(filter.group.mode, &facts, context);
    checked
}

/// Checks a single condition.
pub(super) fn condition_alone(one: &ast::Condition, source: &Table, slots: &mut Slots<'_>, context: &mut Context<'_>) -> Option<Condition> {
    let mut facts = Vec::new();
    let checked = condition(one, Mode::All, source, slots, &mut facts, context);
    together::check(Mode::All, &facts, context);
    checked
}

/// Checks a comparison of a value with constants. `name`: what the value is called in findings.
pub(super) fn against_constants(test: &ast::Test, source: &SourceField, span: Span, context: &mut Context<'_>) -> Option<Test> {
    let tests = Tester { source, name: &source.name, span, others: None, context }.tests(test)?;
    tests.into_iter().next()
}

/// Checks a group. `facts` gets what its conditions say, for the group that they belong to.
fn group(
    group: &ast::Group,
    negated: bool,
    source: &Table,
    slots: &mut Slots<'_>,
    facts: &mut Vec<Fact>,
    context: &mut Context<'_>,
) -> Option<Condition> {
    if group.conditions.is_empty() {
        if group.unread_conditions {
            return None;
        }
        context.report(
            Diagnostic::new(Code::D405, group.span, "this group has no condition", "nothing between the braces")
                .help("write a condition, or remove the block: without a filter, every record is written to the target"),
        );
        return None;
    }
    contradictions(group, context);
    let checked: Vec<Option<Condition>> =
        group.conditions.iter().map(|c| condition(c, group.mode, source, slots, facts, context)).collect();
    let conditions = checked.into_iter().collect::<Option<Vec<_>>>()?;
    Some(Condition { at: context.at(group.span), negated, kind: ConditionKind::Group { mode: group.mode, conditions } })
}

fn condition(
    condition: &ast::Condition,
    mode: Mode,
    source: &Table,
    slots: &mut Slots<'_>,
    facts: &mut Vec<Fact>,
    context: &mut Context<'_>,
) -> Option<Condition> {
    match &condition.kind {
        // A group of the same mode is as good as its conditions without the braces.
        ast::ConditionKind::Group(inner) if inner.mode == mode && !condition.negated => group(inner, false, source, slots, facts, context),
        ast::ConditionKind::Group(inner) => {
            let mut own = Vec::new();
            let checked = group(inner, condition.negated, source, slots, &mut own, context);
            together::check(inner.mode, &own, context);
            checked
        }
        ast::ConditionKind::Test { field, test } => {
            let found = source_field(field, source, context)?;
            let name = field.text();
            let tests =
                Tester { source: &found, name: &name, span: condition.span, others: Some((source, &mut *slots)), context }.tests(test)?;
            if let [test] = tests.as_slice() {
                facts.push(fact(&found, condition, test.clone()));
            }
            let slot = slots(&found, field.span, context);
            let at = context.at(condition.span);
            let mut kinds: Vec<ConditionKind> = tests.into_iter().map(|test| ConditionKind::Test { slot, test }).collect();
            let kind = match kinds.len() {
                1 => kinds.pop()?,
                _ => ConditionKind::Group {
                    mode: Mode::All,
                    conditions: kinds.into_iter().map(|kind| Condition { at, negated: false, kind }).collect(),
                },
            };
            Some(Condition { at, negated: condition.negated, kind })
        }
    }
}

fn fact(source: &SourceField, condition: &ast::Condition, test: Test) -> Fact {
    let values = match &source.field.ty {
        FieldType::Boolean { .. } => Some(2),
        FieldType::Choice(set) => Some(set.options.len()),
        _ => None,
    };
    Fact { name: source.name.clone(), span: condition.span, negated: condition.negated, test, nullable: source.typed.nullable, values }
}

struct Tester<'t, 's, 'c, 'd> {
    source: &'t SourceField,
    name: &'t str,
    span: Span,
    /// The table of the field, whose other fields it can be compared with. `None` if it is compared with constants only.
    others: Option<(&'t Table, &'t mut Slots<'s>)>,
    context: &'c mut Context<'d>,
}

impl Tester<'_, '_, '_, '_> {
    fn field(&self) -> &Field {
        &self.source.field
    }

    /// Whether a word on the right names a field, perhaps one of another record.
    fn is_field(&self, path: &ast::Path) -> bool {
        let named = |table: &Table| table.field(&path.names()).is_some() || through::leads(path, table);
        self.others.as_ref().is_some_and(|(table, _)| named(table))
    }

    /// The tests that must all hold.
    fn tests(&mut self, test: &ast::Test) -> Option<Vec<Test>> {
        let test = match test {
            ast::Test::Present => Some(Test::Present),
            ast::Test::Empty => Some(Test::Empty),
            ast::Test::Relation(relation, value) => self.relation(*relation, value),
            ast::Test::In(values) => self.one_of(values),
            ast::Test::Between(low, high) => return self.between(low, high),
            ast::Test::Within(duration) => self.within(duration),
            ast::Test::Text(test, value) => self.text(*test, value),
            ast::Test::Matches(pattern) => self.matches(pattern),
        };
        test.map(|t| vec![t])
    }

    /// One side of a comparison: a constant, another field, or a point in time that the run decides.
    fn operand(&mut self, value: &Value) -> Option<Operand> {
        let moment = match value {
            Value::Moment(moment) => moment,
            Value::Word(path) if self.is_field(path) => {
                return self.other_field(path, value);
            }
            value => return self.value(value).map(Operand::Fixed),
        };
        if !matches!(self.field().ty, FieldType::Date | FieldType::DateTime) {
            let words = self.source.typed.ty.describe();
            return self
                .no_such_comparison("a moment", format!("only dates and dates with time can be compared like this; the field is {words}"));
        }
        let base = match &moment.base {
            MomentBase::Now | MomentBase::Today if self.others.is_none() => {
                let help = "a replacement has fixed values; write `case { … }`, whose conditions can depend on the time".to_owned();
                return self.no_such_comparison("the time of the run", help);
            }
            MomentBase::Now => RelativeBase::Now,
            MomentBase::Today => RelativeBase::Today,
            MomentBase::Fixed(literal) => {
                let start = match self.value(&Value::Literal(literal.clone()))? {
                    Const::Date(date) => time::midnight(date),
                    Const::Instant(instant) => instant,
                    _ => return None,
                };
                let Some(moment) = chrono::TimeDelta::try_seconds(moment.offset).and_then(|d| start.checked_add_signed(d)) else {
                    return self.no_such_comparison("this date", "the date is outside of the range of the calendar".to_owned());
                };
                return Some(Operand::Fixed(match self.field().ty {
                    FieldType::Date => Const::Date(moment.date_naive()),
                    _ => Const::Instant(moment),
                }));
            }
        };
        Some(Operand::Relative(base, moment.offset))
    }

    /// A word on the right that names a field. An option of the left field comes first; a word that is both is an error.
    fn other_field(&mut self, path: &ast::Path, value: &Value) -> Option<Operand> {
        let word = path.text();
        if resolve(value, self.field()).is_ok() {
            let (name, span) = (self.name, path.span);
            self.context.report(
                Diagnostic::new(Code::D409, span, format!("`{word}` is both an option of `{name}` and a field"), "an option or a field")
                    .help(format!(
                        "for the option, write \"{word}\" in quotes, or its number; for the field, write it on the left: `{word} … {name}`"
                    ))
                    .fix(Safety::Unsafe, "write the option in quotes", span, format!("\"{word}\"")),
            );
            return None;
        }
        let other = source_field(path, self.others.as_ref()?.0, self.context)?;
        if other.name == self.source.name {
            self.context.report(
                Diagnostic::new(Code::D407, self.span, format!("`{word}` is compared with itself"), "always the same value")
                    .help(format!("write `{word} is present` or `{word} is empty`, or name another field")),
            );
        }
        if !comparable(&self.field().ty, &other.field.ty) {
            let help = format!(
                "`{word}` is {}; compare numbers with numbers, dates with dates, text with text, and options with those of the same option set",
                other.typed.ty.describe()
            );
            return self.no_such_comparison(&word, help);
        }
        let (_, slots) = self.others.as_mut()?;
        Some(Operand::Field(slots(&other, path.span, self.context)))
    }

    fn no_such_comparison<T>(&mut self, words: &str, help: String) -> Option<T> {
        self.context.report(
            Diagnostic::new(
                Code::D402,
                self.span,
                format!("`{}` cannot be compared with `{words}`", self.name),
                format!("the field is {}", self.source.typed.ty.describe()),
            )
            .help(help),
        );
        None
    }

    fn value(&mut self, value: &Value) -> Option<Const> {
        if let Value::Literal(Literal { value: literal, span }) = value
            && constant(literal) == Const::Null
        {
            let title = if *literal == LiteralValue::Null {
                "a field cannot be compared with `null`"
            } else {
                "a field cannot be compared with an empty text"
            };
            self.context.report(
                Diagnostic::new(Code::D404, *span, title, "this comparison is never true")
                    .help(format!("write `{0} is present`, or `{0} is empty` for a field without a value", self.name)),
            );
            return None;
        }
        self.resolved(value)
    }

    fn resolved(&mut self, value: &Value) -> Option<Const> {
        match resolve(value, self.field()) {
            Ok(constant) => Some(constant),
            Err(unfit) => {
                self.context.report(unfit.diagnostic(Code::D401, value.span(), format!("`{}` never has this value", self.name)));
                None
            }
        }
    }

    fn ordered(&self) -> bool {
        matches!(
            self.field().ty,
            FieldType::Integer { .. }
                | FieldType::Decimal { .. }
                | FieldType::Double
                | FieldType::Date
                | FieldType::DateTime
                | FieldType::LocalDateTime
        )
    }

    fn relation(&mut self, relation: Relation, value: &Value) -> Option<Test> {
        let equality = matches!(relation, Relation::Equal | Relation::NotEqual);
        if let FieldType::MultiChoice(_) = self.field().ty {
            return self.no_such_comparison(relation.sign(), format!("several options can be chosen: write `{} contains …`", self.name));
        }
        if !equality && !self.ordered() {
            return self.no_such_comparison(relation.sign(), "`<` and `>` are for numbers and dates; use `=`, `!=` or `in (…)`".to_owned());
        }
        Some(related(relation, self.operand(value)?))
    }

    fn one_of(&mut self, values: &[Value]) -> Option<Test> {
        if values.is_empty() {
            self.context.report(
                Diagnostic::new(Code::D405, self.span, "this list has no value", "nothing between the parentheses")
                    .help("write the values: `in (1, 2)`"),
            );
            return None;
        }
        if let FieldType::MultiChoice(_) = self.field().ty {
            return self.no_such_comparison("in", format!("several options can be chosen: write `{} contains …`", self.name));
        }
        let constants: Vec<Option<Const>> = values.iter().map(|v| self.value(v)).collect();
        let constants = constants.into_iter().collect::<Option<Vec<_>>>()?;
        let mut seen: HashMap<String, Span> = HashMap::with_capacity(constants.len());
        for (constant, value) in constants.iter().zip(values) {
            match seen.entry(together::key(constant)) {
                Entry::Vacant(place) => {
                    place.insert(value.span());
                }
                Entry::Occupied(first) => self.context.report(
                    Diagnostic::new(Code::D408, value.span(), "this value is in the list twice", "the second time")
                        .related(*first.get(), "the first time")
                        .help("remove one of the two"),
                ),
            }
        }
        if let FieldType::Choice(set) = &self.field().ty {
            let all = set.options.iter().all(|o| seen.contains_key(&together::key(&Const::Integer(o.value))));
            if all && !self.source.typed.nullable {
                self.context.report(
                    Diagnostic::new(Code::D407, self.span, "this condition is always true", "every option is in the list")
                        .help("remove the condition"),
                );
            }
        }
        Some(Test::In(constants))
    }

    fn between(&mut self, low: &Value, high: &Value) -> Option<Vec<Test>> {
        if !self.ordered() {
            return self.no_such_comparison("between", "`<` and `>` are for numbers and dates; use `=`, `!=` or `in (…)`".to_owned());
        }
        let (from, to) = (self.operand(low), self.operand(high));
        let (from, to) = (from?, to?);
        let nothing = match (&from, &to) {
            (Operand::Fixed(a), Operand::Fixed(b)) => crate::eval::compare_constants(a, b) == Some(std::cmp::Ordering::Greater),
            (Operand::Relative(a, first), Operand::Relative(b, second)) => a == b && first > second,
            (Operand::Fixed(_) | Operand::Relative(..) | Operand::Field(_), _) => false,
        };
        if nothing {
            let span = low.span().to(high.span());
            self.context.report(
                Diagnostic::new(Code::D406, span, "this range contains no value", "the first value is greater than the second")
                    .help("swap the two values"),
            );
            return None;
        }
        Some(match (from, to) {
            (Operand::Fixed(from), Operand::Fixed(to)) => vec![Test::Between(from, to)],
            (from, to) => vec![related(Relation::GreaterOrEqual, from), related(Relation::LessOrEqual, to)],
        })
    }

    fn within(&mut self, duration: &Literal) -> Option<Test> {
        if !matches!(self.field().ty, FieldType::DateTime | FieldType::Date) {
            return self.no_such_comparison("changed within", "use it with a date, such as `modifiedon changed within 30d`".to_owned());
        }
        match duration.value {
            LiteralValue::Duration(seconds) => Some(Test::Within(seconds)),
            _ => {
                self.context.report(
                    Diagnostic::new(Code::D401, duration.span, "`changed within` needs a duration", "not a duration")
                        .help("write days, hours or minutes: 30d, 12h, 5m"),
                );
                None
            }
        }
    }

    fn text(&mut self, test: ast::TextTest, value: &Value) -> Option<Test> {
        match &self.field().ty {
            FieldType::MultiChoice(_) if test == ast::TextTest::Contains => match self.value(value)? {
                Const::Integer(n) => Some(Test::HasOption(n)),
                _ => None,
            },
            // White space may be looked for in a text.
            FieldType::Text { .. } if !matches!(value, Value::Literal(Literal { value: LiteralValue::Null, .. })) => {
                match self.resolved(value)? {
                    Const::Text(text) if text.is_empty() => {
                        let span = value.span();
                        self.context.report(
                            Diagnostic::new(Code::D407, span, "every text contains the empty text", "an empty text")
                                .help(format!("write `{} is present`", self.name)),
                        );
                        Some(Test::Text(test, text))
                    }
                    Const::Text(text) => Some(Test::Text(test, text)),
                    _ => None,
                }
            }
            _ => self.no_such_comparison(test.words(), "this comparison is for text; use `=`, `!=` or `in (…)`".to_owned()),
        }
    }

    fn matches(&mut self, pattern: &Literal) -> Option<Test> {
        if !matches!(self.field().ty, FieldType::Text { .. }) {
            return self.no_such_comparison("matches", "`matches` is for text; use `=`, `!=` or `in (…)`".to_owned());
        }
        let LiteralValue::Text(text) = &pattern.value else { return None };
        match Regex::new(text) {
            Ok(_) => Some(Test::Matches(text.clone())),
            Err(error) => {
                // The last line of the message says what is wrong; the lines above show the expression again.
                let message = error.to_string();
                let reason = message.lines().last().unwrap_or("not a regular expression").trim_start_matches("error: ").to_owned();
                self.context.report(
                    Diagnostic::new(Code::D403, pattern.span, "this regular expression cannot be read", reason)
                        .help("try it in an editor; for plain text, use `contains`, `starts with` or `ends with`"),
                );
                None
            }
        }
    }
}

/// One side of a comparison.
enum Operand {
    Fixed(Const),
    /// Another field, by its slot.
    Field(u32),
    Relative(RelativeBase, i64),
}

fn related(relation: Relation, operand: Operand) -> Test {
    match operand {
        Operand::Fixed(constant) => Test::Relation(relation, constant),
        Operand::Field(slot) => Test::Field(relation, slot),
        Operand::Relative(base, offset) => Test::Relative { relation, base, offset },
    }
}

/// Whether two fields can be compared with each other.
fn comparable(a: &FieldType, b: &FieldType) -> bool {
    use FieldType::{Boolean, Choice, Date, DateTime, Decimal, Double, Guid, Integer, LocalDateTime, Lookup, Text};
    match (a, b) {
        (Integer { .. } | Decimal { .. } | Double, Integer { .. } | Decimal { .. } | Double)
        | (Date | DateTime, Date | DateTime)
        | (LocalDateTime, LocalDateTime)
        | (Text { .. }, Text { .. })
        | (Boolean { .. }, Boolean { .. })
        | (Guid | Lookup { .. }, Guid | Lookup { .. }) => true,
        (Choice(a), Choice(b)) => a == b,
        _ => false,
    }
}

/// Finds conditions of a group that together are always or never true, and repeated ones.
fn contradictions(group: &ast::Group, context: &mut Context<'_>) {
    let mut seen: HashMap<String, Span> = HashMap::new();
    for condition in &group.conditions {
        let Some(text) = context.sources.get(condition.span.file).and_then(|f| f.text.get(condition.span.range())) else { continue };
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(first) = seen.insert(text, condition.span) {
            context.report(
                Diagnostic::new(Code::D408, condition.span, "this condition is in the group twice", "the second time")
                    .related(first, "the first time")
                    .help("remove one of the two"),
            );
        }
    }
    let mut present: BTreeSet<String> = BTreeSet::new();
    let mut empty: BTreeSet<String> = BTreeSet::new();
    for condition in &group.conditions {
        let ast::ConditionKind::Test { field, test } = &condition.kind else { continue };
        let name = field.text();
        let (is_present, is_empty) = match test {
            ast::Test::Present => (!condition.negated, condition.negated),
            ast::Test::Empty => (condition.negated, !condition.negated),
            _ => (false, false),
        };
        let opposite = if is_present { &empty } else { &present };
        if (is_present || is_empty) && opposite.contains(&name) {
            let always = if group.mode == Mode::All { "never" } else { "always" };
            context.report(
                Diagnostic::new(
                    Code::D407,
                    condition.span,
                    format!("this group is {always} true"),
                    format!("`{name}` is either present or empty"),
                )
                .help("remove one of the two conditions"),
            );
        }
        if is_present {
            present.insert(name);
        } else if is_empty {
            empty.insert(name);
        }
    }
}
