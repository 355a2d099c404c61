//! `$filter` and `$orderby`: a part of OData's expressions, evaluated on rows.
//!
//! Comparison of text is without regard to case. A null satisfies no comparison but `eq null` and `ne` with something else
//! (assumed: the service's "not equal" includes rows without a value).

use std::cmp::Ordering;

use uuid::Uuid;

use super::error::{Fail, Result};
use super::store::{Row, Store};
use super::table::Table;
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
    Column(u16),
    Literal(Value),
}

/// A parsed filter.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Compare(Comparison),
    Text(TextTest),
    Flag(u16),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

#[derive(Clone, Debug)]
pub(super) struct Comparison {
    column: u16,
    compare: Compare,
    with: Operand,
}

#[derive(Clone, Debug)]
pub(super) struct TextTest {
    function: Text,
    column: u16,
    part: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Quoted(String),
    Word(String),
}

const MAX_DEPTH: usize = 64;

fn syntax(text: &str) -> Fail {
    Fail::query(format!("Syntax error in $filter: {text}."))
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let (value, after) = quoted_text(&rest[1..]).ok_or_else(|| syntax("there is an unterminated string literal"))?;
                tokens.push(Token::Quoted(value));
                rest = after.trim_start();
                continue;
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'')).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                rest = rest[end..].trim_start();
                continue;
            }
        }
        rest = rest[1..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    table: &'a Table,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Filter {
    pub(super) fn parse(text: &str, table: &Table) -> Result<Filter> {
        let mut parser = Parser { table, tokens: tokens(text)?.into_iter().peekable() };
        let filter = parser.or(0)?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(token) => Err(syntax(&format!("unexpected {token:?}"))),
        }
    }

    pub(super) fn matches(&self, store: &Store, table: usize, id: Uuid, row: &Row) -> bool {
        match self {
            Filter::And(a, b) => a.matches(store, table, id, row) && b.matches(store, table, id, row),
            Filter::Or(a, b) => a.matches(store, table, id, row) || b.matches(store, table, id, row),
            Filter::Not(inner) => !inner.matches(store, table, id, row),
            Filter::Flag(column) => matches!(store.value(table, id, row, *column).as_deref(), Some(Value::Bool(true))),
            Filter::Text(TextTest { function, column, part }) => match store.value(table, id, row, *column).as_deref() {
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
            Filter::Compare(Comparison { column, compare, with }) => {
                let left = store.value(table, id, row, *column);
                let right = match with {
                    Operand::Column(column) => store.value(table, id, row, *column),
                    Operand::Literal(value) => (!value.is_null()).then_some(std::borrow::Cow::Borrowed(value)),
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

impl Parser<'_> {
    fn word(&mut self, word: &str) -> bool {
        if matches!(self.tokens.peek(), Some(Token::Word(next)) if next == word) {
            self.tokens.next();
            true
        } else {
            false
        }
    }

    fn expect(&mut self, token: &Token) -> Result<()> {
        match self.tokens.next() {
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

    fn column(&mut self, name: &str) -> Result<u16> {
        self.table.property(name).ok_or_else(|| Fail::no_property(name, &self.table.entity()))
    }

    fn term(&mut self, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(syntax("the recursion limit was exceeded"));
        }
        if self.word("not") {
            return Ok(Filter::Not(Box::new(self.term(depth + 1)?)));
        }
        match self.tokens.next() {
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
                if self.tokens.peek() == Some(&Token::Open) {
                    return Err(Fail::not_emulated(&format!("the filter function {word}")));
                }
                let column = self.column(&word)?;
                self.comparison(column)
            }
            found => Err(syntax(&format!("unexpected {found:?}"))),
        }
    }

    fn text_function(&mut self, function: Text) -> Result<Filter> {
        self.expect(&Token::Open)?;
        let Some(Token::Word(name)) = self.tokens.next() else { return Err(syntax("a function needs a column")) };
        let column = self.column(&name)?;
        self.expect(&Token::Comma)?;
        let Some(Token::Quoted(part)) = self.tokens.next() else { return Err(syntax("a function needs a quoted text")) };
        self.expect(&Token::Close)?;
        Ok(Filter::Text(TextTest { function, column, part: part.to_lowercase() }))
    }

    fn comparison(&mut self, column: u16) -> Result<Filter> {
        let compare = match self.tokens.peek() {
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
            if self.table.at(column).kind == super::table::Type::Boolean {
                return Ok(Filter::Flag(column));
            }
            return Err(syntax("expected a comparison"));
        };
        self.tokens.next();
        let literal = match self.tokens.next() {
            Some(Token::Quoted(text)) => Literal::Text(text),
            Some(Token::Word(word)) => match Literal::bare(&word) {
                Some(literal) => literal,
                None => {
                    let with = self.column(&word)?;
                    if self.table.at(with).kind != self.table.at(column).kind {
                        return Err(Fail::query("A binary operator with incompatible types was detected."));
                    }
                    return Ok(Filter::Compare(Comparison { column, compare, with: Operand::Column(with) }));
                }
            },
            found => return Err(syntax(&format!("expected a value, found {found:?}"))),
        };
        let value = literal.to_value(self.table.at(column)).ok_or_else(|| {
            Fail::query(format!(
                "A binary operator with incompatible types was detected. Found operand types '{}' and '{}' for the property '{}'.",
                super::metadata::edm(self.table.at(column)),
                literal.edm(),
                self.table.at(column).property
            ))
        })?;
        Ok(Filter::Compare(Comparison { column, compare, with: Operand::Literal(value) }))
    }
}

/// Reads `$orderby`: columns and whether each is descending.
pub(super) fn order_by(text: &str, table: &Table) -> Result<Vec<(u16, bool)>> {
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let name = words.next().ok_or_else(|| Fail::query("Syntax error in $orderby."))?;
            let column = table.property(name).ok_or_else(|| Fail::no_property(name, &table.entity()))?;
            match (words.next(), words.next()) {
                (None | Some("asc"), None) => Ok((column, false)),
                (Some("desc"), None) => Ok((column, true)),
                _ => Err(Fail::query("Syntax error in $orderby.")),
            }
        })
        .collect()
}
