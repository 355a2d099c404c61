//! `$filter` as far as lists of referrals have it: comparisons, `and`, `or`, parentheses, nested paths, GUIDs quoted or bare. [D]

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::referral::canonical_name;

/// A condition.
#[derive(Debug, PartialEq)]
pub(super) enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Compare { path: Vec<String>, operator: Operator, value: Literal },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    /// Quoted text, or a bare GUID or date.
    Text(String),
}

/// The deepest nesting of parentheses.
const DEEPEST: usize = 50;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Quoted(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
            }
            '(' | ')' => {
                chars.next();
                tokens.push(if c == '(' { Token::Open } else { Token::Close });
            }
            '\'' => {
                chars.next();
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.peek() == Some(&'\'') => {
                            chars.next();
                            quoted.push('\'');
                        }
                        Some('\'') => break,
                        Some(c) => quoted.push(c),
                        None => return Err("a text has no closing quotation mark".to_owned()),
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            _ => {
                let mut word = String::new();
                while let Some(&c) = chars.peek() {
                    if matches!(c, ' ' | '\t' | '(' | ')' | '\'') {
                        break;
                    }
                    word.push(c);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn word(&mut self, wanted: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted))).is_some()
    }

    fn either(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.both(depth)?;
        while self.word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, String> {
        let mut left = self.one(depth)?;
        while self.word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, String> {
        if depth > DEEPEST {
            return Err("the parentheses are nested too deeply".to_owned());
        }
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.either(depth + 1)?;
                if self.tokens.next() == Some(Token::Close) { Ok(inner) } else { Err("a parenthesis is not closed".to_owned()) }
            }
            Some(Token::Word(path)) => {
                let operator = match self.tokens.next() {
                    Some(Token::Word(word)) => word,
                    _ => return Err(format!("an operator is missing after {path}")),
                };
                let operator = match operator.as_str() {
                    "eq" => Operator::Eq,
                    "ne" => Operator::Ne,
                    "gt" => Operator::Gt,
                    "ge" => Operator::Ge,
                    "lt" => Operator::Lt,
                    "le" => Operator::Le,
                    _ => return Err(format!("{operator} is not a supported operator")),
                };
                let value = match self.tokens.next() {
                    Some(Token::Quoted(text)) => Literal::Text(text),
                    Some(Token::Word(word)) => literal(&word)?,
                    _ => return Err(format!("a value is missing after {path}")),
                };
                let path = path.split('/').map(|part| canonical_name(part).to_owned()).collect();
                Ok(Filter::Compare { path, operator, value })
            }
            _ => Err("a condition is missing".to_owned()),
        }
    }
}

fn literal(word: &str) -> Result<Literal, String> {
    match word {
        "null" => return Ok(Literal::Null),
        "true" => return Ok(Literal::Bool(true)),
        "false" => return Ok(Literal::Bool(false)),
        _ => {}
    }
    if uuid::Uuid::parse_str(word).is_ok() || crate::time::parse_instant(word).is_some() || crate::time::parse_date(word).is_some() {
        return Ok(Literal::Text(word.to_owned()));
    }
    word.parse().map(Literal::Number).map_err(|_| format!("{word} is not a value: put texts in single quotation marks"))
}

impl Filter {
    /// Reads a filter; the error is what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Filter, String> {
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable() };
        let filter = parser.either(0)?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(_) => Err("something follows the last condition".to_owned()),
        }
    }

    /// The paths that the filter uses.
    pub(super) fn paths(&self) -> Vec<&[String]> {
        match self {
            Filter::And(left, right) | Filter::Or(left, right) => [left.paths(), right.paths()].concat(),
            Filter::Compare { path, .. } => vec![path],
        }
    }

    pub(super) fn matches(&self, body: &Json) -> bool {
        match self {
            Filter::And(left, right) => left.matches(body) && right.matches(body),
            Filter::Or(left, right) => left.matches(body) || right.matches(body),
            // The contacts of the team. [D: an older list of what can be filtered]
            Filter::Compare { path, operator, value } if path.len() == 1 && path[0] == "email" => {
                body["team"].as_array().is_some_and(|team| team.iter().any(|member| compare(&member["email"], *operator, value)))
            }
            Filter::Compare { path, operator, value } => {
                let field = path.iter().try_fold(body, |inner, name| inner.get(name)).unwrap_or(&Json::Null);
                compare(field, *operator, value)
            }
        }
    }
}

fn compare(field: &Json, operator: Operator, literal: &Literal) -> bool {
    let order = match (field, literal) {
        (Json::Null, Literal::Null) => Some(Ordering::Equal),
        (Json::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Json::Number(a), Literal::Number(b)) => a.as_f64().and_then(|a| a.partial_cmp(b)),
        (Json::String(a), Literal::Text(b)) => Some(order(a, b)),
        _ => None,
    };
    match operator {
        Operator::Eq => order == Some(Ordering::Equal),
        Operator::Ne => order != Some(Ordering::Equal),
        Operator::Gt => order == Some(Ordering::Greater),
        Operator::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Operator::Lt => order == Some(Ordering::Less),
        Operator::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

/// Dates in their order, GUIDs without regard to case, other texts as they are.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    let instant = |text: &str| crate::time::parse_instant(text).or_else(|| crate::time::parse_date(text).map(crate::time::midnight));
    if let (Some(a), Some(b)) = (instant(a), instant(b)) {
        return a.cmp(&b);
    }
    if uuid::Uuid::parse_str(a).is_ok() && uuid::Uuid::parse_str(b).is_ok() {
        return a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
    }
    a.cmp(b)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_select_by_nested_fields_dates_and_guids() {
        let body = json!({
            "engagementId": "0e000000-0000-4000-8000-00000000000a", "status": "New", "favorite": false, "name": "O'Brien",
            "updatedDateTime": "2024-01-01T10:00:00.5Z", "details": {"dealValue": 500}, "closedDateTime": null,
            "customerProfile": {"address": {"country": "US"}}, "team": [{"email": "a@b.example"}],
        });
        for (text, wanted) in [
            ("engagementId eq 0E000000-0000-4000-8000-00000000000A", true),
            ("engagementId eq '0e000000-0000-4000-8000-00000000000a'", true),
            ("status eq 'New' and customerProfile/address/country eq 'US'", true),
            ("status eq 'Closed' or (status eq 'New' and details/dealValue gt 100)", true),
            ("status eq 'Closed' or status eq 'New' and details/dealValue lt 100", false),
            ("updatedDateTime ge 2024-01-01T10:00:00.5000000Z", true),
            ("updatedDateTime gt '2024-01-01T11:00:00.5+01:00'", false),
            ("name eq 'O''Brien'", true),
            ("closedDateTime eq null", true),
            ("favorite ne true", true),
            ("Status ne 'Closed'", true),
            ("email eq 'a@b.example'", true),
        ] {
            assert_eq!(Filter::parse(text).unwrap().matches(&body), wanted, "{text}");
        }
        for text in ["", "status", "status eq", "status eq New", "status has 'x'", "(status eq 'New'", "status eq 'New' x", "a eq 'x"] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
