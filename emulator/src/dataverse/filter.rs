//! `$filter` and `$orderby`: a part of OData's expressions, evaluated on rows.
//!
//! Comparison of text is without regard to case. [D] A null satisfies no comparison but `eq null` and `ne` with something else
//! (assumed: the service's "not equal" includes rows without a value). Beside the comparisons there are paths over single-valued
//! navigation properties, `any` and `all` over collections, and the service's own query functions.

use std::borrow::Cow;
use std::cmp::Ordering;

use uuid::Uuid;

use super::error::{Fail, Result};
use super::relate::{self, Single};
use super::store::{Row, Store};
use super::table::{Column, Type};
use super::url::{Literal, quoted_text};
use super::value::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Text {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Debug)]
enum Operand {
    Path(Path),
    Literal(Value),
}

/// A column of the row, or of the row that one of its lookups points to.
#[derive(Clone, Debug)]
pub(super) struct Path {
    hop: Option<Single>,
    column: u16,
}

/// A parsed filter.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Compare(Comparison),
    Text(TextTest),
    Flag(Path),
    /// `In`; with `true`, `NotIn`.
    In(Path, Vec<Value>, bool),
    /// `Between`, both ends included; with `true`, `NotBetween`.
    Between(Path, Value, Value, bool),
    /// `ContainValues` of a multi-select column; with `true`, `DoesNotContainValues`.
    Contain(Path, Vec<i64>, bool),
    /// `any`, or with `true` `all`, over the rows that point here: the table, its lookup, what must hold of them.
    Lambda(usize, u16, Option<Box<Filter>>, bool),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

#[derive(Clone, Debug)]
pub(super) struct Comparison {
    path: Path,
    compare: Compare,
    with: Operand,
}

#[derive(Clone, Debug)]
pub(super) struct TextTest {
    function: Text,
    path: Path,
    part: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Equals,
    OpenList,
    CloseList,
    Quoted(String),
    Word(String),
}

const MAX_DEPTH: usize = 64;
const FUNCTIONS: &str = "Microsoft.Dynamics.CRM.";

fn syntax(text: &str) -> Fail {
    Fail::query(format!("Syntax error in $filter: {text}."))
}

fn mark(first: char) -> Option<Token> {
    Some(match first {
        '(' => Token::Open,
        ')' => Token::Close,
        ',' => Token::Comma,
        '=' => Token::Equals,
        '[' => Token::OpenList,
        ']' => Token::CloseList,
        _ => return None,
    })
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(token) = mark(first) {
            tokens.push(token);
            rest = rest[1..].trim_start();
        } else if first == '\'' || first == '"' {
            // Lists of the query functions are quoted either way.
            let (value, after) = if first == '\'' {
                quoted_text(&rest[1..]).ok_or_else(|| syntax("there is an unterminated string literal"))?
            } else {
                let (value, after) = rest[1..].split_once('"').ok_or_else(|| syntax("there is an unterminated string literal"))?;
                (value.to_owned(), after)
            };
            tokens.push(Token::Quoted(value));
            rest = after.trim_start();
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == '\'' || c == '"' || mark(c).is_some()).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(tokens)
}

impl Path {
    /// Reads `column` or `navigation/column`.
    fn parse(name: &str, store: &Store, table: usize) -> Result<Path> {
        let description = &store.tables[table].table;
        let (hop, table, column) = match name.split_once('/') {
            None => (None, table, name),
            Some((nav, column)) => {
                let hop = relate::single(store, table, nav).ok_or_else(|| Fail::no_property(nav, &description.entity()))?;
                (Some(hop), hop.table, column)
            }
        };
        let description = &store.tables[table].table;
        let column = description.property(column).ok_or_else(|| Fail::no_property(column, &description.entity()))?;
        Ok(Path { hop, column })
    }

    fn column<'a>(&self, store: &'a Store, table: usize) -> &'a Column {
        store.tables[self.hop.map_or(table, |hop| hop.table)].table.at(self.column)
    }

    fn value<'a>(&self, store: &'a Store, table: usize, id: Uuid, row: &'a Row) -> Option<Cow<'a, Value>> {
        match self.hop {
            None => store.value(table, id, row, self.column),
            Some(hop) => {
                let id = relate::target(store, table, id, row, hop)?;
                store.value(hop.table, id, store.tables[hop.table].rows.get(&id)?, self.column)
            }
        }
    }
}

impl Filter {
    pub(super) fn parse(text: &str, store: &Store, table: usize) -> Result<Filter> {
        let mut parser = Parser { store, table, variable: None, tokens: tokens(text)?, at: 0 };
        let filter = parser.or(0)?;
        match parser.next() {
            None => Ok(filter),
            Some(token) => Err(syntax(&format!("unexpected {token:?}"))),
        }
    }

    pub(super) fn matches(&self, store: &Store, table: usize, id: Uuid, row: &Row) -> bool {
        let same = |a: &Value, b: &Value| order(a, b) == Ordering::Equal;
        match self {
            Filter::And(a, b) => a.matches(store, table, id, row) && b.matches(store, table, id, row),
            Filter::Or(a, b) => a.matches(store, table, id, row) || b.matches(store, table, id, row),
            Filter::Not(inner) => !inner.matches(store, table, id, row),
            Filter::Flag(path) => matches!(path.value(store, table, id, row).as_deref(), Some(Value::Bool(true))),
            Filter::In(path, values, negated) => match path.value(store, table, id, row).as_deref() {
                Some(value) => values.iter().any(|other| same(value, other)) != *negated,
                None => *negated,
            },
            Filter::Between(path, from, to, negated) => match path.value(store, table, id, row).as_deref() {
                Some(value) => (order(value, from).is_ge() && order(value, to).is_le()) != *negated,
                None => *negated,
            },
            Filter::Contain(path, wanted, negated) => match path.value(store, table, id, row).as_deref() {
                Some(Value::Text(text)) => {
                    let has = |value: &i64| text.split(',').any(|item| item.trim().parse() == Ok(*value));
                    wanted.iter().any(has) != *negated
                }
                _ => *negated,
            },
            Filter::Lambda(child, lookup, inner, all) => {
                let mut related = relate::pointing_here(store, *child, *lookup, table, id);
                let holds = |(id, row): (Uuid, &Row)| inner.as_ref().is_none_or(|inner| inner.matches(store, *child, id, row));
                if *all { related.all(holds) } else { related.any(holds) }
            }
            Filter::Text(TextTest { function, path, part }) => match path.value(store, table, id, row).as_deref() {
                Some(Value::Text(text)) => {
                    let text = text.to_lowercase();
                    match function {
                        Text::Contains => text.contains(part.as_str()),
                        Text::StartsWith => text.starts_with(part.as_str()),
                        Text::EndsWith => text.ends_with(part.as_str()),
                    }
                }
                _ => false,
            },
            Filter::Compare(Comparison { path, compare, with }) => {
                let left = path.value(store, table, id, row);
                let right = match with {
                    Operand::Path(path) => path.value(store, table, id, row),
                    Operand::Literal(value) => (!value.is_null()).then_some(Cow::Borrowed(value)),
                };
                match (left.as_deref(), right.as_deref()) {
                    (None, None) => *compare == Compare::Eq,
                    (None, Some(_)) | (Some(_), None) => *compare == Compare::Ne,
                    (Some(left), Some(right)) => {
                        let order = order(left, right);
                        match compare {
                            Compare::Eq => order == Ordering::Equal,
                            Compare::Ne => order != Ordering::Equal,
                            Compare::Gt => order == Ordering::Greater,
                            Compare::Ge => order != Ordering::Less,
                            Compare::Lt => order == Ordering::Less,
                            Compare::Le => order != Ordering::Greater,
                        }
                    }
                }
            }
        }
    }
}

/// The order of two values of one type; text without regard to case.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Dec(a), Value::Dec(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (Value::Day(a), Value::Day(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Id(a) | Value::Link(_, a), Value::Id(b) | Value::Link(_, b)) => a.cmp(b),
        // Operands were checked to be of one type when the filter was read.
        _ => Ordering::Less,
    }
}

/// The order of two values, nulls first.
pub(super) fn order_nulls_first(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => order(a, b),
    }
}

struct Parser<'a> {
    store: &'a Store,
    table: usize,
    /// The name before the colon of a lambda, within it.
    variable: Option<String>,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<()> {
        match self.next() {
            Some(found) if found == *token => Ok(()),
            found => Err(syntax(&format!("expected {token:?}, found {found:?}"))),
        }
    }

    fn or(&mut self, depth: usize) -> Result<Filter> {
        let mut left = self.and(depth)?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Result<Filter> {
        let mut left = self.term(depth)?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn path(&self, name: &str) -> Result<Path> {
        let name = match &self.variable {
            None => name,
            Some(variable) => name
                .strip_prefix(variable.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .ok_or_else(|| syntax(&format!("'{name}' does not begin with '{variable}/'")))?,
        };
        Path::parse(name, self.store, self.table)
    }

    fn term(&mut self, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(syntax("the recursion limit was exceeded"));
        }
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.term(depth + 1)?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.or(depth + 1)?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Some(Token::Word(word)) => {
                let function = match word.as_str() {
                    "contains" => Some(Text::Contains),
                    "startswith" => Some(Text::StartsWith),
                    "endswith" => Some(Text::EndsWith),
                    _ => None,
                };
                if let Some(function) = function {
                    return self.text_function(function);
                }
                if self.peek() == Some(&Token::Open) {
                    if let Some(name) = word.strip_prefix(FUNCTIONS) {
                        return self.query_function(name);
                    }
                    if let Some((nav, all)) =
                        word.strip_suffix("/any").map(|nav| (nav, false)).or(word.strip_suffix("/all").map(|nav| (nav, true)))
                    {
                        return self.lambda(nav, all, depth);
                    }
                    return Err(Fail::not_emulated(&format!("the filter function {word}")));
                }
                let path = self.path(&word)?;
                self.comparison(path)
            }
            found => Err(syntax(&format!("unexpected {found:?}"))),
        }
    }

    /// `nav/any(o:o/column eq 1)`, `nav/any()`.
    fn lambda(&mut self, nav: &str, all: bool, depth: usize) -> Result<Filter> {
        if self.variable.is_some() {
            return Err(Fail::not_emulated("a lambda within a lambda"));
        }
        let entity = self.store.tables[self.table].table.entity();
        let (child, lookup) = relate::collection(self.store, self.table, nav).ok_or_else(|| Fail::no_property(nav, &entity))?;
        self.expect(&Token::Open)?;
        if self.peek() == Some(&Token::Close) && !all {
            self.at += 1;
            return Ok(Filter::Lambda(child, lookup, None, all));
        }
        let Some(Token::Word(word)) = self.peek().cloned() else { return Err(syntax("a lambda needs a variable")) };
        let (variable, rest) = word.split_once(':').ok_or_else(|| syntax("a lambda needs a variable and a colon"))?;
        if rest.is_empty() {
            self.at += 1;
        } else if let Some(token) = self.tokens.get_mut(self.at) {
            *token = Token::Word(rest.to_owned());
        }
        let outer = std::mem::replace(&mut self.table, child);
        self.variable = Some(variable.to_owned());
        let inner = self.or(depth + 1);
        self.table = outer;
        self.variable = None;
        self.expect(&Token::Close)?;
        Ok(Filter::Lambda(child, lookup, Some(Box::new(inner?)), all))
    }

    fn text_function(&mut self, function: Text) -> Result<Filter> {
        self.expect(&Token::Open)?;
        let Some(Token::Word(name)) = self.next() else { return Err(syntax("a function needs a column")) };
        let path = self.path(&name)?;
        self.expect(&Token::Comma)?;
        let Some(Token::Quoted(part)) = self.next() else { return Err(syntax("a function needs a quoted text")) };
        self.expect(&Token::Close)?;
        Ok(Filter::Text(TextTest { function, path, part: part.to_lowercase() }))
    }

    /// `Microsoft.Dynamics.CRM.In(PropertyName='statecode',PropertyValues=['0','1'])` and its kin.
    fn query_function(&mut self, name: &str) -> Result<Filter> {
        self.expect(&Token::Open)?;
        let (mut property, mut values) = (None, Vec::new());
        loop {
            let Some(Token::Word(argument)) = self.next() else { return Err(syntax("a query function needs named arguments")) };
            self.expect(&Token::Equals)?;
            let mut items = Vec::new();
            let list = self.peek() == Some(&Token::OpenList);
            self.at += usize::from(list);
            loop {
                match self.next() {
                    Some(Token::Quoted(text) | Token::Word(text)) => items.push(text),
                    Some(Token::CloseList) if list && items.is_empty() => break,
                    found => return Err(syntax(&format!("expected a value, found {found:?}"))),
                }
                match self.peek() {
                    Some(Token::Comma) if list => self.at += 1,
                    Some(Token::CloseList) if list => {
                        self.at += 1;
                        break;
                    }
                    _ if !list => break,
                    found => return Err(syntax(&format!("expected a list's end, found {found:?}"))),
                }
            }
            match argument.as_str() {
                "PropertyName" => property = items.into_iter().next(),
                "PropertyValue" | "PropertyValues" => values = items,
                _ => return Err(syntax(&format!("unknown argument '{argument}'"))),
            }
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => break,
                found => return Err(syntax(&format!("unexpected {found:?}"))),
            }
        }
        let property = property.ok_or_else(|| syntax("the query function needs PropertyName"))?;
        // Names here are columns' logical names; a lookup's is taken, too.
        let description = &self.store.tables[self.table].table;
        let logical = description.column(&property).map(|index| description.at(index).property.clone());
        let path = self.path(logical.as_deref().unwrap_or(&property))?;
        let column = path.column(self.store, self.table);
        let value = |text: &String| -> Result<Value> {
            let literal = match column.kind {
                Type::String | Type::Memo | Type::EntityName | Type::MultiSelect => Some(Literal::Text(text.clone())),
                _ => Literal::bare(text),
            };
            let value = literal.and_then(|literal| literal.to_value(column));
            value.ok_or_else(|| Fail::query(format!("'{text}' is not a value of '{property}'.")))
        };
        let typed: Result<Vec<Value>> = values.iter().map(value).collect();
        match name {
            "In" | "NotIn" => Ok(Filter::In(path, typed?, name == "NotIn")),
            "Between" | "NotBetween" => {
                let mut typed = typed?.into_iter();
                match (typed.next(), typed.next(), typed.next()) {
                    (Some(from), Some(to), None) => Ok(Filter::Between(path, from, to, name == "NotBetween")),
                    _ => Err(Fail::query(format!("{name} needs two values."))),
                }
            }
            "ContainValues" | "DoesNotContainValues" => {
                let numbers: std::result::Result<Vec<i64>, _> = values.iter().map(|text| text.parse()).collect();
                let numbers = numbers.map_err(|_| Fail::query(format!("{name} needs numbers.")))?;
                Ok(Filter::Contain(path, numbers, name == "DoesNotContainValues"))
            }
            "On" | "OnOrAfter" | "OnOrBefore" | "LastXDays" | "NextXDays" | "LastXHours" | "OlderThanXDays" => {
                let first = values.first().ok_or_else(|| Fail::query(format!("{name} needs a value.")))?;
                moment(name, first, column, path)
            }
            _ => Err(Fail::not_emulated(&format!("the query function {FUNCTIONS}{name}"))),
        }
    }

    fn comparison(&mut self, path: Path) -> Result<Filter> {
        let column = path.column(self.store, self.table);
        let compare = match self.peek() {
            Some(Token::Word(word)) => match word.as_str() {
                "eq" => Some(Compare::Eq),
                "ne" => Some(Compare::Ne),
                "gt" => Some(Compare::Gt),
                "ge" => Some(Compare::Ge),
                "lt" => Some(Compare::Lt),
                "le" => Some(Compare::Le),
                _ => None,
            },
            _ => None,
        };
        let Some(compare) = compare else {
            if column.kind == Type::Boolean {
                return Ok(Filter::Flag(path));
            }
            return Err(syntax("expected a comparison"));
        };
        self.at += 1;
        let literal = match self.next() {
            Some(Token::Quoted(text)) => Literal::Text(text),
            Some(Token::Word(word)) => match Literal::bare(&word) {
                Some(literal) => literal,
                None => {
                    let with = self.path(&word)?;
                    if with.column(self.store, self.table).kind != column.kind {
                        return Err(Fail::query("A binary operator with incompatible types was detected."));
                    }
                    return Ok(Filter::Compare(Comparison { path, compare, with: Operand::Path(with) }));
                }
            },
            found => return Err(syntax(&format!("expected a value, found {found:?}"))),
        };
        let value = literal.to_value(column).ok_or_else(|| {
            Fail::query(format!(
                "A binary operator with incompatible types was detected. Found operand types '{}' and '{}' for the property '{}'.",
                super::metadata::edm(column),
                literal.edm(),
                column.property
            ))
        })?;
        Ok(Filter::Compare(Comparison { path, compare, with: Operand::Literal(value) }))
    }
}

/// The functions of days: whole days of UTC, for the emulator's user has no other time zone. [K]
fn moment(name: &str, text: &str, column: &Column, path: Path) -> Result<Filter> {
    const DAY: i64 = 86_400;
    if column.kind != Type::DateTime {
        return Err(Fail::query(format!("{name} needs a column of dates.")));
    }
    let now = crate::time::now().timestamp();
    let today = now - now.rem_euclid(DAY);
    let count = || text.parse::<i64>().ok().filter(|count| (1..=1_000_000).contains(count));
    let day = || {
        let at = crate::time::parse_date(text).map(|day| crate::time::midnight(day).timestamp());
        at.or_else(|| crate::time::parse_instant(text).map(|at| at.timestamp() - at.timestamp().rem_euclid(DAY)))
    };
    let (from, to) = match name {
        "On" => day().map(|day| (day, day + DAY - 1)),
        "OnOrAfter" => day().map(|day| (day, i64::MAX)),
        "OnOrBefore" => day().map(|day| (i64::MIN, day + DAY - 1)),
        "LastXDays" => count().map(|days| (today - days * DAY, now)),
        "NextXDays" => count().map(|days| (now, today + (days + 1) * DAY - 1)),
        "LastXHours" => count().map(|hours| (now - hours * 3600, now)),
        _ => count().map(|days| (i64::MIN, today - days * DAY - 1)),
    }
    .ok_or_else(|| Fail::query(format!("'{text}' is not a value for {name}.")))?;
    let edge = |at: i64| match column.is_date_only() {
        true => Value::Day(super::value::instant(at.clamp(-60_000_000_000, 250_000_000_000)).date_naive()),
        false => Value::Time(at),
    };
    Ok(Filter::Between(path, edge(from), edge(to), false))
}

/// Reads `$orderby`: columns and whether each is descending.
pub(super) fn order_by(text: &str, store: &Store, table: usize) -> Result<Vec<(Path, bool)>> {
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let name = words.next().ok_or_else(|| Fail::query("Syntax error in $orderby."))?;
            let path = Path::parse(name, store, table)?;
            match (words.next(), words.next()) {
                (None | Some("asc"), None) => Ok((path, false)),
                (Some("desc"), None) => Ok((path, true)),
                _ => Err(Fail::query("Syntax error in $orderby.")),
            }
        })
        .collect()
}

/// The order of two rows by a list of columns, then by id.
pub(super) fn compare(store: &Store, table: usize, order: &[(Path, bool)], a: (Uuid, &Row), b: (Uuid, &Row)) -> Ordering {
    for (path, descending) in order {
        let (x, y) = (path.value(store, table, a.0, a.1), path.value(store, table, b.0, b.1));
        let found = order_nulls_first(x.as_deref(), y.as_deref());
        let found = if *descending { found.reverse() } else { found };
        if found.is_ne() {
            return found;
        }
    }
    a.0.cmp(&b.0)
}
