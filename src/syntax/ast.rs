//! The syntax tree: what stands in a file, with a span at every node and nothing resolved.
//!
//! Nothing outside [`super::parse`] sees the parser's own types, so that another parser could take its place.

use rust_decimal::Decimal;

use crate::diagnostics::Span;
use crate::time::{Date, Instant};

/// One file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// The mappings in order.
    pub mappings: Vec<Mapping>,
}

/// A name with its place; back-ticks are taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// `a.b.c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// At least one name.
    pub parts: Vec<Ident>,
    /// The whole.
    pub span: Span,
}

impl Path {
    /// The parts as texts.
    pub fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|p| p.text.as_str()).collect()
    }

    /// The parts joined by dots.
    pub fn text(&self) -> String {
        self.names().join(".")
    }

    /// The name, where there is just one.
    pub fn single(&self) -> Option<&Ident> {
        match self.parts.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// `mapping NAME: SOURCE -> TARGET { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// From the keyword to the closing brace.
    pub span: Span,
    /// Name and tables; `None` where they could not be read (and a diagnostic says so).
    pub head: Option<Head>,
    /// What stands between the braces, in order.
    pub entries: Vec<Entry>,
    /// A key that could not be read: that there is none need not be said as well.
    pub unread_key: bool,
}

/// `NAME: SOURCE -> TARGET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The mapping's name.
    pub name: Ident,
    /// The table that is read.
    pub source: TableName,
    /// The table that is written.
    pub target: TableName,
}

/// `system.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The system's word.
    pub system: Ident,
    /// The table's name there.
    pub table: Ident,
    /// The whole.
    pub span: Span,
}

/// One entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// `key A -> B`.
    Key(Key),
    /// `A -> B | step …`.
    Field(FieldMapping),
    /// `replace A { … }`.
    Replace(Replace),
    /// `filter all { … }`.
    Filter(Filter),
    /// `options { … }`.
    Options(Options),
}

/// `key A -> B`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The whole.
    pub span: Span,
    /// The source table's primary key.
    pub source: Path,
    /// The target's identifying field.
    pub target: Path,
}

/// `SOURCE -> TARGET | step … @flag`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMapping {
    /// The whole.
    pub span: Span,
    /// Where the value comes from.
    pub source: Source,
    /// The field that is written.
    pub target: Path,
    /// What is done to the value, in order.
    pub steps: Vec<Step>,
    /// `@initial`.
    pub flags: Vec<Ident>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A field.
    Field(Path),
    /// A literal.
    Literal(Literal),
    /// A string with at least one `{field}` in it.
    Template(Template),
    /// A function over fields.
    Call(Call),
}

/// `NAME(argument, …)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The whole.
    pub span: Span,
    /// The function.
    pub name: Ident,
    /// What stands in the parentheses.
    pub arguments: Vec<Argument>,
}

/// A string with placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The string with its quotes.
    pub span: Span,
    /// Texts and fields in order.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(String),
    /// `{field}`.
    Field(Path),
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name, arguments and `or`.
    pub span: Span,
    /// The step's name.
    pub name: Ident,
    /// What stands in parentheses; `None` where there are none.
    pub arguments: Option<Vec<Argument>>,
    /// `or …`.
    pub or: Option<Or>,
}

/// An argument of a step or function.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A literal.
    Literal(Literal),
    /// A field, or a bare word.
    Path(Path),
}

impl Argument {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Argument::Literal(l) => l.span,
            Argument::Path(p) => p.span,
        }
    }
}

/// What happens where a step fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Or {
    /// From `or` on.
    pub span: Span,
    /// The choice.
    pub kind: OrKind,
}

/// The choices after `or`.
#[derive(Clone, Debug, PartialEq)]
pub enum OrKind {
    /// The field becomes empty.
    Null,
    /// This value is written.
    Default(Literal),
    /// The value stays as it was before the step.
    Keep,
    /// The record is rejected.
    Reject,
}

/// A literal with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: LiteralValue,
}

/// The kinds of literals.
#[derive(Clone, Debug, PartialEq)]
pub enum LiteralValue {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// `42`
    Integer(i64),
    /// `4.2`
    Decimal(Decimal),
    /// `"text"`, without placeholders
    Text(String),
    /// `2024-01-31`
    Date(Date),
    /// `2024-01-31T10:00:00Z`
    Instant(Instant),
    /// `30d`, `12h`, `5m`, in seconds
    Duration(u64),
}

/// `replace FIELD { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replace {
    /// The whole.
    pub span: Span,
    /// The source field.
    pub field: Path,
    /// The arms in order.
    pub arms: Vec<Arm>,
    /// An arm that could not be read: what the block leaves out is not known.
    pub unread_arms: bool,
}

/// `value => value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The whole.
    pub span: Span,
    /// `None` for `else`.
    pub from: Option<Value>,
    /// The result; the bare words `keep` and `reject` are outcomes.
    pub to: Value,
}

/// A literal or a bare word (an option's label, an enumeration's name).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A literal.
    Literal(Literal),
    /// A bare word.
    Word(Path),
}

impl Value {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Value::Literal(l) => l.span,
            Value::Word(p) => p.span,
        }
    }
}

/// How the conditions of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every condition must hold.
    All,
    /// One condition must hold.
    Any,
}

/// `filter all { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The whole.
    pub span: Span,
    /// Its conditions.
    pub group: Group,
}

/// `all { … }` or `any { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The whole.
    pub span: Span,
    /// How the conditions are joined.
    pub mode: Mode,
    /// The conditions in order.
    pub conditions: Vec<Condition>,
    /// A condition that could not be read: the group is not empty, whatever it seems.
    pub unread_conditions: bool,
}

/// One condition, perhaps negated.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The whole.
    pub span: Span,
    /// Whether an odd number of `not` stands before it.
    pub negated: bool,
    /// What is asked.
    pub kind: ConditionKind,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionKind {
    /// Conditions of their own.
    Group(Group),
    /// A test of one field.
    Test {
        /// The field.
        field: Path,
        /// The test.
        test: Test,
    },
}

/// A test of one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `is present`
    Present,
    /// `is empty`
    Empty,
    /// `= value` and its like
    Relation(Relation, Value),
    /// `in (…)`
    In(Vec<Value>),
    /// `between a and b`, both included
    Between(Value, Value),
    /// `changed within 30d`, in seconds
    Within(Literal),
    /// `contains`, `starts with`, `ends with`
    Text(TextTest, Value),
    /// `matches "regex"`
    Matches(Literal),
}

/// `=`, `!=`, `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
        }
    }
}

/// Tests of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextTest {
    /// `contains`
    Contains,
    /// `starts with`
    StartsWith,
    /// `ends with`
    EndsWith,
}

impl TextTest {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            TextTest::Contains => "contains",
            TextTest::StartsWith => "starts with",
            TextTest::EndsWith => "ends with",
        }
    }
}

/// `options { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The whole.
    pub span: Span,
    /// The settings in order.
    pub settings: Vec<Setting>,
}

/// `name value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The whole.
    pub span: Span,
    /// The option.
    pub name: Ident,
    /// Its value.
    pub value: Ident,
}
