//! Replacements: a table of values for one source field, checked once against the field and again for each use, against
//! what the use needs.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Context;
use super::covers;
use super::filter;
use super::mismatch::fit_mismatch;
use super::types::{Ty, Typed, constant, convert, convert_constant, list};
use super::values::{options_text, resolve};
use crate::diagnostics::{Code, Diagnostic, Near, Safety, Span};
use crate::plan::{At, Const, Fit, Op, Outcome, Relation, Replacement, Test};
use crate::schema::{Choice, ChoiceSet, FieldType};
use crate::syntax::ast::{self, ArmFrom, Literal, LiteralValue, Replace, Value, Way};

use super::names::SourceField;

/// A replacement whose left sides are checked.
pub(super) struct CheckedReplace {
    pub(super) span: Span,
    at: At,
    entries: Vec<(Const, Arm)>,
    /// Comparisons, in order.
    tests: Vec<(Test, Arm)>,
    null: Option<Arm>,
    otherwise: Option<Arm>,
    /// Options without an arm, where there is no `else` either.
    pub(super) left_out: Vec<String>,
    /// Whether every value that the field can have has an arm.
    covered: bool,
}

impl CheckedReplace {
    /// Whether there is no case for an empty value, and none for every other value that the field can have.
    pub(super) fn open(&self, nullable: bool) -> (bool, bool) {
        (nullable && self.null.is_none(), self.otherwise.is_none() && !self.covered)
    }
}

/// The right side of an arm.
#[derive(Clone)]
struct Arm {
    span: Span,
    result: ArmResult,
    /// Whether the result is a word without quotes, which only an option or a value of an enumeration can be.
    bare: bool,
}

#[derive(Clone)]
enum ArmResult {
    Value(LiteralValue),
    Keep,
    Reject,
}

/// Checks the left sides of a replacement against its field.
pub(super) fn check(replace: &Replace, source: &SourceField, context: &mut Context<'_>) -> Option<CheckedReplace> {
    check_arms(&replace.arms, replace.unread_arms, replace.span, source, false, context)
}

/// Checks the left sides of a table of arms. `whole`: every value needs a case, also if the result is the value itself.
pub(super) fn check_arms(
    arms: &[ast::Arm],
    unread: bool,
    span: Span,
    source: &SourceField,
    whole: bool,
    context: &mut Context<'_>,
) -> Option<CheckedReplace> {
    let mut checked = CheckedReplace {
        span,
        at: context.at(span),
        entries: Vec::new(),
        tests: Vec::new(),
        null: None,
        otherwise: None,
        left_out: Vec::new(),
        covered: false,
    };
    // Constants have no order and no hash; their text serves.
    let mut places: HashMap<String, Span> = HashMap::new();
    let (mut null_at, mut else_at): (Option<Span>, Option<Span>) = (None, None);
    let mut faulty = unread;
    let mut idle: Vec<Span> = Vec::new();
    let mut tests: Vec<(Test, Span)> = Vec::new();
    for arm in arms {
        if arm.way != Way::Forward {
            faulty = true;
            context.report(
                Diagnostic::new(Code::D510, arm.span, "this case is not allowed here", "allowed only in an entry with `<->`")
                    .help("write `value => value`; `<=>` and `<=` are for `field <-> field | map { … }` in a two-way mapping"),
            );
            continue;
        }
        let result = result(&arm.to);
        let bare = matches!(arm.to, Value::Word(_)) && matches!(result, ArmResult::Value(_));
        let right = Arm { span: arm.to.span(), result, bare };
        let twice = |first: Span, what: &str| {
            Diagnostic::new(Code::D303, arm.span, format!("{what} is replaced twice"), "never reached")
                .related(first, "replaced here")
                .help("remove one of the two")
        };
        match &arm.from {
            None => match else_at {
                Some(first) => context.report(twice(first, "`else`")),
                None => {
                    else_at = Some(arm.span);
                    checked.otherwise = Some(right);
                }
            },
            // Text that is empty or only white space is not a value, so its case is that of `null`.
            Some(ArmFrom::Value(Value::Literal(Literal { value, .. }))) if constant(value) == Const::Null => match null_at {
                Some(first) => context.report(twice(first, "`null`")),
                None => {
                    null_at = Some(arm.span);
                    checked.null = Some(right);
                }
            },
            Some(from) => {
                let values: &[Value] = match from {
                    ArmFrom::Value(value) => std::slice::from_ref(value),
                    // A list is the same as a case for each of its values.
                    ArmFrom::Test { test: ast::Test::In(values), .. } => values,
                    ArmFrom::Test { test: ast::Test::Relation(Relation::Equal, value), .. } => std::slice::from_ref(value),
                    ArmFrom::Test { span, test } => {
                        match filter::against_constants(test, source, *span, context) {
                            Some(test) => {
                                covered(&test, &tests, arm.span, context);
                                tests.push((test.clone(), arm.span));
                                checked.tests.push((test, right));
                            }
                            None => faulty = true,
                        }
                        continue;
                    }
                };
                if values.is_empty() {
                    faulty = true;
                    context.report(
                        Diagnostic::new(Code::D405, from.span(), "this list has no value", "nothing between the parentheses")
                            .help("write the values: `in (1, 2)`"),
                    );
                }
                for value in values {
                    match resolve(value, &source.field).map(comparable) {
                        Ok(key) => match places.get(&format!("{key:?}")) {
                            Some(first) => context.report(twice(*first, "this value")),
                            None => {
                                covered(&Test::Relation(Relation::Equal, key.clone()), &tests, value.span(), context);
                                places.insert(format!("{key:?}"), arm.span);
                                if gives_the_same(&key, &right, source) {
                                    idle.push(arm.span);
                                }
                                checked.entries.push((key, right.clone()));
                            }
                        },
                        Err(unfit) => {
                            faulty = true;
                            let message = format!("`{}` cannot have this value", source.name);
                            context.report(keyword_or(unfit.diagnostic(Code::D302, value.span(), message), value));
                        }
                    }
                }
            }
        }
    }
    // Beside an `else`, such an arm is an exception from it.
    for span in idle.into_iter().filter(|_| else_at.is_none() && !whole) {
        context.report(
            Diagnostic::new(Code::D307, span, "this case changes nothing", "results in the same value")
                .help("remove it: without an `else`, every other value stays as it is"),
        );
    }
    if let Some(span) = null_at.filter(|_| !source.typed.nullable) {
        context.report(
            Diagnostic::new(Code::D308, span, "this case is never reached", format!("`{}` always has a value", source.name))
                .help("remove it"),
        );
    }
    coverage(&mut checked, source, faulty, else_at, context);
    (!faulty).then_some(checked)
}

/// Notes which values of an option set or of a field that is true or false have a case.
fn coverage(checked: &mut CheckedReplace, source: &SourceField, faulty: bool, else_at: Option<Span>, context: &mut Context<'_>) {
    let keys: BTreeSet<i64> = checked
        .entries
        .iter()
        .filter_map(|(k, _)| match k {
            Const::Integer(n) => Some(*n),
            Const::Boolean(b) => Some(i64::from(*b)),
            Const::Null | Const::Decimal(_) | Const::Text(_) | Const::Date(_) | Const::Instant(_) => None,
        })
        .collect();
    match &source.field.ty {
        FieldType::Choice(set) => {
            let missing: Vec<_> = set.options.iter().filter(|o| !keys.contains(&o.value)).collect();
            // With an `else`, the mapping says what happens to options that are added later.
            checked.covered = missing.is_empty() && checked.otherwise.is_none();
            // A misspelled option is already reported; to report it as missing too would not help.
            if checked.otherwise.is_none() && !faulty {
                checked.left_out = missing.into_iter().map(|o| options_text([o]).replace('`', "")).collect();
            }
        }
        FieldType::Enumeration(values) => {
            let has = |name: &str| checked.entries.iter().any(|(key, _)| *key == Const::Text(name.to_owned()));
            checked.covered = checked.otherwise.is_none() && values.iter().all(|value| has(&value.name));
        }
        FieldType::Boolean { .. } => {
            checked.covered = keys.len() == 2;
            if checked.covered
                && let Some(span) = else_at
            {
                context.report(
                    Diagnostic::new(Code::D308, span, "this case is never reached", "both true and false have a case")
                        .help("remove it; to replace an empty value, write the case `null`"),
                );
            }
        }
        _ => {}
    }
}

/// Reports a case whose values an earlier comparison takes.
fn covered(test: &Test, before: &[(Test, Span)], span: Span, context: &mut Context<'_>) {
    if let Some((_, first)) = before.iter().find(|(before, _)| covers::narrower(test, before)) {
        context.report(
            Diagnostic::new(Code::D314, span, "this case is never reached", "an earlier comparison covers its values")
                .related(*first, "its values are covered here")
                .help("remove the case, or put it before the comparison"),
        );
    }
}

/// The words with which other languages begin the case for all other values.
const ELSE: [&str; 7] = ["default", "otherwise", "other", "others", "any", "rest", "_"];

/// The words with which other languages write an empty value.
const NULL: [&str; 5] = ["empty", "blank", "none", "missing", "nil"];

/// The finding about the left side of a case, which proposes a keyword if the word looks like one.
fn keyword_or(diagnostic: Diagnostic, value: &Value) -> Diagnostic {
    let Value::Word(path) = value else { return diagnostic };
    let word = path.text();
    let keyword = match word.to_lowercase() {
        word if ELSE.contains(&word.as_str()) => Some("else"),
        word if NULL.contains(&word.as_str()) => Some("null"),
        word => near_keyword(&word, &["else", "null"]),
    };
    match keyword {
        Some(keyword) => diagnostic.meant(Some(Near::guess(keyword)), path.span, String::new),
        None => diagnostic,
    }
}

/// The keyword that differs from a word by one letter.
fn near_keyword(word: &str, keywords: &[&'static str]) -> Option<&'static str> {
    let word = word.to_lowercase();
    keywords.iter().copied().find(|keyword| strsim::damerau_levenshtein(&word, keyword) <= 1)
}

/// Reports a result that is a word without quotes, if no option or value of an enumeration can be meant.
fn report_bare(arm: &Arm, text: &str, context: &mut Context<'_>) {
    let keyword = near_keyword(text, &["keep", "reject", "null", "true", "false"]).map(Near::guess);
    let diagnostic = Diagnostic::new(Code::D310, arm.span, format!("`{text}` is a word without quotes"), "expected a value");
    let quoted = format!("\"{text}\"");
    let diagnostic = match keyword {
        Some(near) => diagnostic.meant(Some(near), arm.span, String::new),
        None => diagnostic.help(format!("if you mean the text, write {quoted}; the result of a case cannot be a field")).fix(
            Safety::Unsafe,
            format!("write {quoted}"),
            arm.span,
            quoted,
        ),
    };
    context.report(diagnostic);
}

/// A constant in the form in which replacements compare it: text in normalization form C.
fn comparable(key: Const) -> Const {
    match key {
        Const::Text(text) => Const::Text(crate::unicode::nfc(&text).into_owned()),
        key => key,
    }
}

/// Whether a case results in the same value.
fn gives_the_same(key: &Const, right: &Arm, source: &SourceField) -> bool {
    match &right.result {
        ArmResult::Value(value) => constant(value) == *key && !matches!(source.field.ty, FieldType::Choice(_)),
        ArmResult::Keep | ArmResult::Reject => false,
    }
}

fn result(value: &Value) -> ArmResult {
    match value {
        Value::Word(path) => match path.text().as_str() {
            "keep" => ArmResult::Keep,
            "reject" => ArmResult::Reject,
            word => ArmResult::Value(LiteralValue::Text(word.to_owned())),
        },
        Value::Literal(l) => ArmResult::Value(l.value.clone()),
        // The grammar has no moments here.
        Value::Moment(_) => ArmResult::Value(LiteralValue::Null),
    }
}

/// What a use of a replaced field needs: the values must fit the target directly, or they go through steps first.
pub(super) enum Expect<'f> {
    /// Straight into the target.
    Target(&'f Fit, &'f str),
    /// Into steps or a text; the field that is written in the end, if the value can reach it unchanged.
    Any(Option<&'f Fit>),
}

impl Expect<'_> {
    /// Whether a word without quotes can be a result here.
    fn admits_bare(&self, word: &str) -> bool {
        match self {
            // What is not a text does not fit such a target with quotes either, and that is reported.
            Expect::Target(fit, _) => !matches!(fit, Fit::Text { .. }),
            Expect::Any(Some(Fit::Enumeration(names))) => names.iter().any(|name| name == word),
            Expect::Any(_) => false,
        }
    }
}

/// A replacement typed for one use.
pub(super) struct Applied {
    pub(super) replacement: Replacement,
    pub(super) typed: Typed,
    /// Conversions that kept values need; constants have them already.
    pub(super) conversions: Option<Vec<Op>>,
}

/// Types a replacement for one use. `labels` is the option set where picklists are read by their labels.
pub(super) fn apply(
    checked: &CheckedReplace,
    source: &Typed,
    labels: Option<&ChoiceSet>,
    expect: &Expect<'_>,
    entry: Span,
    context: &mut Context<'_>,
) -> Option<Applied> {
    let at = checked.at;
    let kept = |key: Option<&Const>| match (labels, key) {
        (Some(set), Some(Const::Integer(n))) => set.by_value(*n).map(|o| Ty::Words(vec![o.label.clone()])),
        (Some(set), _) => {
            let done = |value: i64| checked.entries.iter().any(|(k, _)| *k == Const::Integer(value));
            Some(Ty::Words(set.options.iter().filter(|o| !done(o.value)).map(|o| o.label.clone()).collect()))
        }
        // Words that have a case do not stay as they are.
        (None, None) if matches!(source.ty, Ty::Words(_)) => {
            let Ty::Words(words) = &source.ty else { return None };
            let done = |word: &String| checked.entries.iter().any(|(key, _)| *key == Const::Text(word.clone()));
            Some(Ty::Words(words.iter().filter(|word| !done(word)).cloned().collect()))
        }
        (None, _) => Some(source.ty.clone()),
    };

    let of_tests = checked.tests.iter().map(|(_, arm)| arm);
    let arms = checked.entries.iter().map(|(_, arm)| arm).chain(of_tests).chain(&checked.null).chain(&checked.otherwise);
    let mut bare = false;
    for arm in arms.filter(|arm| arm.bare) {
        if let ArmResult::Value(LiteralValue::Text(text)) = &arm.result
            && !expect.admits_bare(text)
        {
            bare = true;
            report_bare(arm, text, context);
        }
    }
    if bare {
        return None;
    }
    let mut uses: Vec<(Span, Ty, bool)> = Vec::new();
    let mut nullable = false;
    let mut outcome = |arm: &Arm, key: Option<&Const>| -> Outcome {
        match &arm.result {
            ArmResult::Reject => Outcome::Reject(context.at(arm.span)),
            ArmResult::Keep => {
                if key == Some(&Const::Null) {
                    nullable |= source.nullable;
                } else if let Some(ty) = kept(key) {
                    uses.push((arm.span, ty, true));
                }
                match (labels, key) {
                    (Some(set), Some(Const::Integer(n))) => set.by_value(*n).map_or(Outcome::Unknown, |o| Outcome::Value(label_of(o))),
                    _ => Outcome::Keep,
                }
            }
            ArmResult::Value(value) if constant(value) == Const::Null => {
                nullable = true;
                Outcome::Value(Const::Null)
            }
            ArmResult::Value(value) => {
                uses.push((arm.span, Ty::of_literal(value), false));
                Outcome::Value(constant(value))
            }
        }
    };

    let mut entries: Vec<(Const, Outcome)> = checked.entries.iter().map(|(k, arm)| (k.clone(), outcome(arm, Some(k)))).collect();
    let mut tests: Vec<(Test, Outcome)> = checked.tests.iter().map(|(test, arm)| (test.clone(), outcome(arm, None))).collect();
    let null = match &checked.null {
        Some(arm) => outcome(arm, Some(&Const::Null)),
        None => Outcome::Keep,
    };
    let mut otherwise = match (&checked.otherwise, checked.covered) {
        (Some(arm), false) => outcome(arm, None),
        // Every value has its arm: another one can come only from a schema that has changed.
        (Some(_) | None, true) => Outcome::Unknown,
        (None, false) => Outcome::Keep,
    };
    nullable |= labels.is_some_and(|set| set.options.iter().any(|o| label_of(o) == Const::Null));
    if checked.null.is_none() {
        nullable |= source.nullable;
    }
    if checked.otherwise.is_none() && !checked.covered {
        uses.extend(kept(None).map(|ty| (checked.span, ty, true)));
    }
    if let (Some(set), Outcome::Keep) = (labels, &otherwise) {
        for option in &set.options {
            let key = Const::Integer(option.value);
            if !checked.entries.iter().any(|(k, _)| *k == key) {
                entries.push((key, Outcome::Value(label_of(option))));
            }
        }
        otherwise = Outcome::Unknown;
    }

    match expect {
        Expect::Target(fit, target) => {
            let mut conversions = Vec::new();
            let mut faulty = false;
            for (span, ty, is_kept) in &uses {
                match convert(ty, fit) {
                    Ok(ops) if *is_kept => conversions = ops,
                    Ok(_) => {}
                    Err(_) if *is_kept && *span == checked.span => {
                        faulty = true;
                        report_left_out(checked, ty, entry, target, context);
                    }
                    Err(mismatch) => {
                        faulty = true;
                        let (_, message, label, help) = fit_mismatch(&mismatch, ty, fit, target);
                        context.report(
                            Diagnostic::new(Code::D306, *span, message, label).related(entry, "replaced for this field mapping").help(help),
                        );
                    }
                }
            }
            if faulty {
                return None;
            }
            let fixed = |value: &mut Outcome| {
                if let Outcome::Value(constant) = value {
                    let ty = type_of(constant);
                    if let Ok(ops) = convert(&ty, fit) {
                        *constant = convert_constant(constant.clone(), &ops);
                    }
                }
            };
            entries.iter_mut().for_each(|(_, o)| fixed(o));
            tests.iter_mut().for_each(|(_, o)| fixed(o));
            let (mut null, mut otherwise) = (null, otherwise);
            fixed(&mut null);
            fixed(&mut otherwise);
            let ty = uses.first().map_or(Ty::Null, |u| u.1.clone());
            let replacement = Replacement { at, entries, tests, null, otherwise, labels: false };
            Some(Applied { replacement, typed: Typed::new(ty, nullable), conversions: Some(conversions) })
        }
        Expect::Any(_) => {
            let ty = joined(&uses, entry, context)?;
            Some(Applied {
                replacement: Replacement { at, entries, tests, null, otherwise, labels: false },
                typed: Typed::new(ty, nullable),
                conversions: None,
            })
        }
    }
}

/// The one type of all results, for steps that follow. Words are gathered in one go: joined one by one, a table of many arms
/// would take the square of their number.
fn joined(uses: &[(Span, Ty, bool)], entry: Span, context: &mut Context<'_>) -> Option<Ty> {
    let mut ty = Ty::Null;
    let mut words: Vec<String> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for (span, one, _) in uses {
        // One word stands for all where it is asked whether types go together.
        let before = ty.join(&words.first().map_or(Ty::Null, |w| Ty::Words(vec![w.clone()])));
        let Some(before) = before.filter(|b| b.join(one).is_some()) else {
            let beside = if words.is_empty() { ty.describe() } else { Ty::Words(words.clone()).describe() };
            context.report(
                Diagnostic::new(
                    Code::D306,
                    *span,
                    "the results of this replacement have different types",
                    format!("{} beside {beside}", one.describe()),
                )
                .related(entry, "the steps of this field mapping need a single type")
                .help("write results of the same type; if values that stay as they are have another type, add `else`"),
            );
            return None;
        };
        match one {
            Ty::Words(more) => words.extend(more.iter().filter(|w| seen.insert(w.as_str())).cloned()),
            other if words.is_empty() => ty = before.join(other)?,
            other => ty = ty.join(other)?,
        }
    }
    if words.is_empty() { Some(ty) } else { ty.join(&Ty::Words(words)) }
}

/// Values without an arm would reach a target that cannot hold them.
fn report_left_out(checked: &CheckedReplace, ty: &Ty, entry: Span, target: &str, context: &mut Context<'_>) {
    let left_out =
        if checked.left_out.is_empty() { "other values".to_owned() } else { list(checked.left_out.iter().map(String::as_str), 8) };
    context.report(
        Diagnostic::new(
            Code::D212,
            checked.span,
            format!("values without a case in this replacement do not fit `{target}`"),
            format!("no case for {left_out}, which stay {}", ty.describe()),
        )
        .related(entry, "replaced for this field mapping")
        .help("add a case for each of them, or `else => …`"),
    );
}

/// The type of a constant that came from a literal.
fn type_of(value: &Const) -> Ty {
    match value {
        Const::Null => Ty::Null,
        Const::Boolean(_) => Ty::Boolean,
        Const::Integer(n) => Ty::Integer { min: *n, max: *n },
        Const::Decimal(d) => Ty::Decimal { scale: d.scale(), min: *d, max: *d },
        Const::Text(text) => Ty::Words(vec![text.clone()]),
        Const::Date(_) => Ty::Date,
        Const::Instant(_) => Ty::Instant,
    }
}

/// An option's label as a constant; no value for an option without a label.
fn label_of(option: &Choice) -> Const {
    constant(&LiteralValue::Text(option.label.clone()))
}

/// The table that reads a picklist by its labels if no replacement applies.
pub(super) fn labels_of(set: &ChoiceSet, at: At) -> Replacement {
    let entries = set.options.iter().map(|o| (Const::Integer(o.value), Outcome::Value(label_of(o))));
    Replacement { at, entries: entries.collect(), tests: Vec::new(), null: Outcome::Keep, otherwise: Outcome::Unknown, labels: true }
}
