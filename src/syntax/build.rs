//! The parser's pairs to our own tree.
//!
//! The grammar guarantees the shape of every pair; if a part is missing nevertheless, the entry is left out and
//! reported instead of a panic.

use std::collections::BTreeSet;
use std::ops::Range;

use pest::iterators::{Pair, Pairs};

use super::ast::*;
use super::explain::Context;
use super::literal::{self, Fault, Piece as StringPiece};
use super::parse::Rule;
use super::scan::{Piece, Scan, visible_length};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, FileId, Safety, Span};

/// How deep arguments with steps may be within each other.
const DEEPEST_ARGUMENT: usize = 6;

/// Steps whose first argument is a regular expression.
const EXPRESSIONS: [&str; 3] = ["matches", "extract", "replace_matches"];

/// Builds the tree of one piece of a file.
pub(super) struct Builder<'a> {
    pub(super) file: FileId,
    pub(super) piece: &'a Piece,
    pub(super) reported: &'a [Range<usize>],
    pub(super) diagnostics: &'a mut Diagnostics,
    /// The `;` between values that the findings of their entries already replace, as places in the file.
    pub(super) answered: BTreeSet<usize>,
    /// All `;` between values, which the parser reads as commas.
    pub(super) separators: &'a [usize],
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: FileId, piece: &'a Piece, scan: &'a Scan, diagnostics: &'a mut Diagnostics) -> Builder<'a> {
        Builder { file, piece, reported: &scan.reported, diagnostics, answered: BTreeSet::new(), separators: &scan.separators }
    }

    /// A range of the piece as a span of the file; what was added at the piece's end lies at its last byte.
    pub(super) fn range_span(&self, range: Range<usize>) -> Span {
        let clamp = |n: usize| self.piece.start + n.min(self.piece.length);
        Span::new(self.file, clamp(range.start)..clamp(range.end))
    }

    pub(super) fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let start = pair.as_span().start();
        self.range_span(start..start + visible_length(pair.as_str()))
    }

    pub(super) fn unreadable(&mut self, error: &pest::error::Error<Rule>) {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        let span = self.range_span(at..at + 1);
        self.diagnostics.push(
            Diagnostic::new(Code::D008, span, "this text cannot be read", "the parser stopped here").help("simplify this part of the file"),
        );
    }

    pub(super) fn file(&mut self, pairs: Pairs<'_, Rule>, tree: &mut File) {
        for pair in pairs.flat_map(Pair::into_inner) {
            match pair.as_rule() {
                Rule::mapping => {
                    let mapping = self.mapping(pair);
                    tree.mappings.extend(mapping);
                }
                Rule::bad_item => {
                    tree.unread_items = true;
                    self.bad(&pair, Context::Item);
                }
                _ => self.item(pair, tree),
            }
        }
    }

    fn mapping(&mut self, pair: Pair<'_, Rule>) -> Option<Mapping> {
        let span = self.span(&pair);
        let mut head = None;
        let mut entries = Vec::new();
        let (mut unread_key, mut unread_entries) = (false, false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::mapping_head => head = self.head(part),
                Rule::bad_head => self.bad(&part, Context::Head),
                Rule::body => {
                    let mut inner = part.into_inner().peekable();
                    while let Some(entry) = inner.next() {
                        if let Some(second) = inner.next_if(|second| self.is_divided(&entry, second)) {
                            unread_entries = true;
                            self.divided(&entry, &second);
                            continue;
                        }
                        unread_key |= entry.as_rule() == Rule::bad_entry
                            && entry
                                .as_str()
                                .trim_start_matches(['-', ' '])
                                .strip_prefix("key")
                                .is_some_and(|rest| rest.starts_with([' ', '\t', ':', '=']));
                        let is_key = entry.as_rule() == Rule::key;
                        let built = self.entry(entry);
                        unread_key |= is_key && built.is_none();
                        unread_entries |= built.is_none();
                        entries.extend(built);
                    }
                }
                _ => {}
            }
        }
        Some(Mapping { span, head, entries, unread_key, unread_entries })
    }

    fn head(&mut self, pair: Pair<'_, Rule>) -> Option<Head> {
        let mut inner = pair.into_inner().filter(|p| matches!(p.as_rule(), Rule::name | Rule::table | Rule::way));
        let name = self.ident(&inner.next()?.into_inner().next()?);
        let source = self.table(inner.next()?)?;
        let (way, way_span) = self.way(&inner.next()?);
        let target = self.table(inner.next()?)?;
        Some(Head { name, source, way, way_span, target })
    }

    pub(super) fn table(&mut self, pair: Pair<'_, Rule>) -> Option<TableName> {
        let span = self.span(&pair);
        let mut inner = pair.into_inner();
        let system = self.ident(&inner.next()?);
        let table = self.ident(&inner.next()?);
        Some(TableName { system, table, span })
    }

    fn entry(&mut self, pair: Pair<'_, Rule>) -> Option<Entry> {
        match pair.as_rule() {
            Rule::key => self.key(pair).map(Entry::Key),
            Rule::adopt => Some(Entry::Adopt(self.adopt(pair))),
            Rule::field => self.field(pair).map(Entry::Field),
            Rule::replace => self.replace(pair).map(Entry::Replace),
            Rule::filter => self.filter(pair).map(Entry::Filter),
            Rule::options => self.options(pair).map(Entry::Options),
            Rule::linked => self.linked(pair).map(Entry::Linked),
            Rule::when => self.when(pair).map(Entry::When),
            _ => {
                let labelled = self.labelled(&pair);
                if labelled.is_none() {
                    self.bad(&pair, Context::Entry);
                }
                labelled.map(Entry::Field)
            }
        }
    }

    pub(super) fn ident(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { text: pair.as_str().trim_matches('`').to_owned(), span: self.span(pair) }
    }

    pub(super) fn path(&self, pair: Pair<'_, Rule>) -> Path {
        let span = self.span(&pair);
        Path { parts: pair.into_inner().map(|p| self.ident(&p)).collect(), span }
    }

    fn way(&self, pair: &Pair<'_, Rule>) -> (Way, Span) {
        let way = match pair.as_str().trim_end() {
            "<->" => Way::Both,
            "<-" => Way::Backward,
            _ => Way::Forward,
        };
        (way, self.span(pair))
    }

    pub(super) fn key(&mut self, pair: Pair<'_, Rule>) -> Option<Key> {
        let span = self.span(&pair);
        let (mut paths, mut around, mut way) = (Vec::new(), None, (Way::Forward, span));
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => paths.push(self.path(part)),
                Rule::string => {
                    let (field, text) = self.key_text(&part)?;
                    paths.push(field);
                    around = Some(text);
                }
                Rule::way => way = self.way(&part),
                _ => {}
            }
        }
        let mut paths = paths.into_iter();
        let (way, way_span) = way;
        Some(Key { span, source: paths.next()?, around, way, way_span, target: paths.next()? })
    }

    /// The one field of a key that is a text, and the text around it.
    fn key_text(&mut self, pair: &Pair<'_, Rule>) -> Option<(Path, Around)> {
        let source = self.template(pair)?;
        let span = source.span();
        let (mut before, mut after, mut field, mut whole) = (String::new(), String::new(), None, true);
        if let Source::Template(template) = source {
            for part in template.parts {
                match (part, &field) {
                    (TemplatePart::Text(text), None) => before.push_str(&text),
                    (TemplatePart::Text(text), Some(_)) => after.push_str(&text),
                    (TemplatePart::Field(path), None) => field = Some(path),
                    (TemplatePart::Field(_), Some(_)) | (TemplatePart::Constant(_), _) => whole = false,
                }
            }
        }
        let found = field.filter(|_| whole);
        if found.is_none() {
            self.diagnostics.push(
                Diagnostic::new(Code::D502, span, "a text that is a key contains one field", "expected one field in braces")
                    .help("write a fixed text and the primary key: `key \"lead-{leadid}\" -> externalId`"),
            );
        }
        Some((found?, Around { span, before, after }))
    }

    fn adopt(&mut self, pair: Pair<'_, Rule>) -> Adopt {
        let span = self.span(&pair);
        Adopt { span, fields: pair.into_inner().filter(|part| part.as_rule() == Rule::path).map(|part| self.path(part)).collect() }
    }

    pub(super) fn field(&mut self, pair: Pair<'_, Rule>) -> Option<FieldMapping> {
        let span = self.span(&pair);
        let (mut source, mut target, mut way) = (None, None, None);
        let (mut steps, mut flags, mut turned) = (Vec::new(), Vec::new(), false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::source => source = Some(self.source(part.into_inner().next()?)?),
                // Of these, a formula is also allowed before the arrow.
                Rule::formula | Rule::call | Rule::literal => {
                    turned = target.is_some();
                    source = Some(self.source(part)?);
                }
                Rule::path => target = Some(self.path(part)),
                Rule::way | Rule::backward => way = Some(self.way(&part)),
                Rule::pipe_step => {
                    let step = part.into_inner().find(|p| p.as_rule() == Rule::step)?;
                    steps.push(self.step(step)?);
                }
                Rule::flag => flags.push(self.ident(&part.into_inner().next()?)),
                _ => {}
            }
        }
        let (way, way_span) = way?;
        Some(FieldMapping { span, source: source?, way, way_span, target: target?, turned, steps, flags })
    }

    pub(super) fn source(&mut self, pair: Pair<'_, Rule>) -> Option<Source> {
        match pair.as_rule() {
            Rule::call => {
                let span = self.span(&pair);
                let mut inner = pair.into_inner();
                let name = self.ident(&inner.next()?);
                let arguments = self.arguments(inner.next()?)?;
                let or = match inner.next() {
                    Some(or) => Some(self.or_clause(or)?),
                    None => None,
                };
                Some(Source::Call(Call { span, name, arguments, or, table: None }))
            }
            Rule::path => Some(Source::Field(self.path(pair))),
            Rule::case => self.case(pair).map(Source::Case),
            Rule::formula => self.formula(pair).map(Source::Formula),
            _ => {
                let inner = pair.into_inner().next()?;
                if inner.as_rule() != Rule::string {
                    return self.literal(inner).map(Source::Literal);
                }
                self.template(&inner)
            }
        }
    }

    /// A string as the source of a mapping: a template, or a literal where it has no placeholder.
    fn template(&mut self, pair: &Pair<'_, Rule>) -> Option<Source> {
        let span = self.span(pair);
        let pieces = self.or_fault(pair, Code::D012, literal::string(pair.as_str(), true))?;
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                StringPiece::Text(text) => parts.push(TemplatePart::Text(text)),
                StringPiece::Placeholder(name, range) => {
                    let start = pair.as_span().start() + range.start;
                    parts.push(match name.strip_prefix('$') {
                        Some(constant) if is_plain_name(constant) => {
                            let span = self.range_span(start..start + name.len());
                            TemplatePart::Constant(Literal { span, value: LiteralValue::Constant(constant.to_owned()) })
                        }
                        _ => TemplatePart::Field(self.placeholder(&name, start)?),
                    });
                }
            }
        }
        match parts.as_slice() {
            [TemplatePart::Text(text)] => Some(Source::Literal(Literal { span, value: LiteralValue::Text(text.clone()) })),
            _ => Some(Source::Template(Template { span, parts })),
        }
    }

    fn placeholder(&mut self, name: &str, start: usize) -> Option<Path> {
        let span = self.range_span(start..start + name.len());
        let mut parts = Vec::new();
        let mut at = start;
        for part in name.split('.') {
            let trimmed = part.trim();
            let from = at + (part.len() - part.trim_start().len());
            if !is_plain_name(trimmed) {
                self.diagnostics.push(
                    Diagnostic::new(
                        Code::D012,
                        span,
                        "a placeholder contains the name of one field",
                        format!("`{name}` is not the name of a field"),
                    )
                    .help("write {fieldname}; use steps for the rest: \"{firstname}\" -> … | trim. Write a brace as \\{"),
                );
                return None;
            }
            parts.push(Ident { text: trimmed.to_owned(), span: self.range_span(from..from + trimmed.len()) });
            at += part.len() + 1;
        }
        Some(Path { parts, span })
    }

    pub(super) fn or_fault<T>(&mut self, pair: &Pair<'_, Rule>, code: Code, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                let start = pair.as_span().start();
                let span = self.range_span(start + fault.range.start..start + fault.range.end);
                let label = format!("`{}`", pair.as_str().get(fault.range).unwrap_or_default());
                let mut diagnostic = Diagnostic::new(code, span, fault.message, label).help(fault.help);
                if let Some(instead) = fault.instead {
                    let whole = self.range_span(start..start + pair.as_str().trim_end().len());
                    diagnostic = diagnostic.fix(Safety::Safe, format!("write `{instead}`"), whole, instead);
                }
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// The literal in a token pair (`string`, `integer`, …).
    pub(super) fn literal(&mut self, pair: Pair<'_, Rule>) -> Option<Literal> {
        let span = self.span(&pair);
        let text = pair.as_str().trim_end();
        let value = match pair.as_rule() {
            Rule::string => {
                let pieces = self.or_fault(&pair, Code::D012, literal::string(text, false))?;
                let texts = pieces.into_iter().map(|p| match p {
                    StringPiece::Text(text) | StringPiece::Placeholder(text, _) => text,
                });
                LiteralValue::Text(texts.collect())
            }
            Rule::integer => self.or_fault(&pair, Code::D011, literal::integer(text))?,
            Rule::amount if !text.contains('.') => self.or_fault(&pair, Code::D011, literal::integer(text))?,
            Rule::amount | Rule::decimal => self.or_fault(&pair, Code::D011, literal::decimal(text))?,
            Rule::date => self.or_fault(&pair, Code::D011, literal::date(text))?,
            Rule::instant => self.or_fault(&pair, Code::D011, literal::instant(text))?,
            Rule::duration => self.or_fault(&pair, Code::D011, literal::duration(text))?,
            Rule::boolean => LiteralValue::Boolean(text == "true"),
            Rule::constant => LiteralValue::Constant(text.trim_start_matches('$').to_owned()),
            _ => LiteralValue::Null,
        };
        Some(Literal { span, value })
    }

    /// A `value`, `operand` or `argument` pair: a literal, a path, a moment.
    pub(super) fn value(&mut self, pair: Pair<'_, Rule>) -> Option<Value> {
        let inner = pair.into_inner().next()?;
        match inner.as_rule() {
            Rule::path => Some(Value::Word(self.path(inner))),
            Rule::moment => self.moment(inner).map(Value::Moment),
            _ => self.literal(inner.into_inner().next()?).map(Value::Literal),
        }
    }

    fn moment(&mut self, pair: Pair<'_, Rule>) -> Option<Moment> {
        let span = self.span(&pair);
        let (mut base, mut offset) = (None, 0);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::kw_now => base = Some(MomentBase::Now),
                Rule::kw_today => base = Some(MomentBase::Today),
                Rule::offset => {
                    let mut inner = part.into_inner();
                    let negative = inner.next()?.as_str().trim_end() == "-";
                    let LiteralValue::Duration(seconds) = self.literal(inner.next()?)?.value else { return None };
                    let seconds = i64::try_from(seconds).ok()?;
                    offset = if negative { -seconds } else { seconds };
                }
                _ => base = Some(MomentBase::Fixed(self.literal(part)?)),
            }
        }
        Some(Moment { span, base: base?, offset })
    }

    fn arguments(&mut self, pair: Pair<'_, Rule>) -> Option<Vec<Argument>> {
        let arguments = pair.into_inner().filter(|p| p.as_rule() == Rule::argument);
        arguments.map(|argument| self.argument(argument)).collect()
    }

    fn argument(&mut self, pair: Pair<'_, Rule>) -> Option<Argument> {
        let span = self.span(&pair);
        let mut parts = pair.clone().into_inner();
        let inner = parts.next()?;
        let steps: Vec<Pair<'_, Rule>> = parts.filter(|part| part.as_rule() == Rule::step).collect();
        if !steps.is_empty() {
            let steps = steps.into_iter().map(|step| self.step(step)).collect::<Option<_>>()?;
            let argument = Argument::Piped(self.path(inner), steps);
            if argument.depth() > DEEPEST_ARGUMENT {
                let message = format!("arguments with steps are nested more than {DEEPEST_ARGUMENT} deep");
                self.diagnostics.push(Diagnostic::new(Code::D004, span, message, "too deep").help("write fewer steps within arguments"));
                return None;
            }
            return Some(argument);
        }
        if inner.as_rule() == Rule::period {
            let (months, seconds) = self.or_fault(&inner, Code::D011, literal::period(inner.as_str().trim_end()))?;
            return Some(Argument::Period(Period { span: self.span(&inner), months, seconds }));
        }
        match self.value(pair)? {
            Value::Literal(literal) => Some(Argument::Literal(literal)),
            Value::Word(path) => Some(Argument::Path(path)),
            Value::Moment(_) => None,
        }
    }

    /// The arguments of a step that takes a regular expression as its first one.
    fn patterns(&mut self, pair: Pair<'_, Rule>) -> Option<Vec<Argument>> {
        let mut arguments = Vec::new();
        for (index, argument) in pair.into_inner().filter(|p| p.as_rule() == Rule::argument).enumerate() {
            let token = argument.clone().into_inner().next()?.into_inner().next();
            match token.filter(|t| index == 0 && t.as_rule() == Rule::string) {
                Some(token) => {
                    let value = LiteralValue::Text(self.or_fault(&token, Code::D012, literal::pattern(token.as_str().trim_end()))?);
                    arguments.push(Argument::Literal(Literal { span: self.span(&token), value }));
                }
                None => arguments.push(self.argument(argument)?),
            }
        }
        Some(arguments)
    }

    pub(super) fn step(&mut self, pair: Pair<'_, Rule>) -> Option<Step> {
        let span = self.span(&pair);
        let (mut name, mut arguments, mut operand, mut or) = (None, None, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::map_table | Rule::link_to | Rule::lookup_in => {
                    let (word, what) = self.operand(part)?;
                    name = Some(word);
                    operand = Some(what);
                }
                Rule::arguments if name.as_ref().is_some_and(|n: &Ident| EXPRESSIONS.contains(&n.text.as_str())) => {
                    arguments = Some(self.patterns(part)?);
                }
                Rule::arguments => arguments = Some(self.arguments(part)?),
                Rule::or_clause => or = Some(self.or_clause(part)?),
                _ => {}
            }
        }
        Some(Step { span, name: name?, arguments, operand, or })
    }

    /// A `map_table`, `link_to` or `lookup_in` pair: the step's name and what follows it.
    fn operand(&mut self, pair: Pair<'_, Rule>) -> Option<(Ident, Operand)> {
        let whole = self.span(&pair);
        let link = pair.as_rule() == Rule::link_to;
        let (mut word, mut operand, mut opened) = (None, None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => match &mut operand {
                    Some(Operand::LinkTo { by, .. }) => *by = Some(self.path(part)),
                    _ => operand = Some(Operand::Lookup { column: self.path(part), table: None }),
                },
                Rule::table => operand = Some(Operand::LinkTo { table: self.table(part)?, by: None }),
                Rule::kw_map | Rule::kw_link | Rule::kw_lookup => word = Some(self.ident(&part)),
                Rule::name => {
                    let name = self.ident(&part.into_inner().next()?);
                    operand = Some(if link { Operand::Link(name) } else { Operand::Shared(name) });
                }
                Rule::open => opened = Some(self.span(&part).end.saturating_sub(1)),
                Rule::arms => {
                    let (arms, unread_arms) = self.arms(part);
                    let span = Span { start: opened.unwrap_or(whole.start), ..whole };
                    operand = Some(Operand::Table { span, arms, unread_arms });
                }
                _ => {}
            }
        }
        Some((word?, operand?))
    }

    pub(super) fn or_clause(&mut self, pair: Pair<'_, Rule>) -> Option<Or> {
        let span = self.span(&pair);
        let choice = pair.into_inner().find(|p| matches!(p.as_rule(), Rule::or_default | Rule::ident))?;
        if choice.as_rule() == Rule::or_default {
            let literal = choice.into_inner().find(|p| p.as_rule() == Rule::literal)?.into_inner().next()?;
            let literal = self.literal(literal)?;
            return Some(Or { span, kind: OrKind::Default(literal) });
        }
        let kind = match choice.as_str() {
            "null" => OrKind::Null,
            "keep" => OrKind::Keep,
            "reject" => OrKind::Reject,
            "later" => OrKind::Later,
            other => {
                let help = match other {
                    "default" => "write the value in parentheses: or default(\"none\")",
                    "empty" | "blank" | "none" | "nothing" | "clear" => "write `or null`: it empties the field",
                    "skip" | "ignore" => "`or null` empties the field; with `or reject`, the record becomes a dead letter",
                    "fail" | "error" | "stop" => "write `or reject`; `options { rejected stop }` stops the run at such a record",
                    _ => "write `or null`, `or default(value)`, `or keep` or `or reject`",
                };
                self.diagnostics.push(
                    Diagnostic::new(
                        Code::D008,
                        self.span(&choice),
                        format!("`{other}` is not allowed after `or`"),
                        "expected null, default(…), keep or reject",
                    )
                    .help(help),
                );
                return None;
            }
        };
        Some(Or { span, kind })
    }

    /// The name within a pair.
    pub(super) fn name_in(&self, pair: Pair<'_, Rule>) -> Option<Ident> {
        let name = pair.into_inner().find(|p| p.as_rule() == Rule::name)?;
        Some(self.ident(&name.into_inner().next()?))
    }

    fn options(&mut self, pair: Pair<'_, Rule>) -> Option<Options> {
        let span = self.span(&pair);
        let settings = pair.into_inner().find(|p| p.as_rule() == Rule::settings)?;
        Some(Options { span, settings: self.settings(settings, Context::Setting) })
    }

    pub(super) fn setting(&mut self, pair: Pair<'_, Rule>) -> Option<Setting> {
        let span = self.span(&pair);
        let mut words = pair.into_inner();
        let (name, value) = (words.next()?, words.next()?);
        if value.as_rule() == Rule::every {
            let mut every = value.into_inner();
            let value = self.ident(&every.next()?);
            let LiteralValue::Duration(seconds) = self.literal(every.next()?)?.value else { return None };
            return Some(Setting { span, name: self.ident(&name), value, every: Some(seconds) });
        }
        Some(Setting { span, name: self.ident(&name), value: self.ident(&value), every: None })
    }

    pub(super) fn settings(&mut self, pair: Pair<'_, Rule>, context: Context) -> Vec<Setting> {
        let mut settings = Vec::new();
        for part in pair.into_inner() {
            if part.as_rule() == Rule::setting {
                settings.extend(self.setting(part));
            } else {
                self.bad(&part, context);
            }
        }
        settings
    }
}

/// Whether a name needs no back-ticks.
fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
