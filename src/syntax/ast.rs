//! The syntax tree: the content of a file, with a span at every node and with no name resolved.
//!
//! Nothing outside [`super::parse`] sees the parser's own types, so that another parser could replace it.

mod formula;

use rust_decimal::Decimal;

use crate::diagnostics::Span;
use crate::time::{Date, Instant};

pub use formula::{Expression, ExpressionKind, Formula, Operator};

/// One file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// The mappings in order.
    pub mappings: Vec<Mapping>,
    /// `let` constants.
    pub constants: Vec<Constant>,
    /// Replacement tables that several mappings use.
    pub tables: Vec<SharedTable>,
    /// Tables that values are looked up in.
    pub lookups: Vec<LookupTable>,
    /// Files whose constants and tables are used here.
    pub includes: Vec<Include>,
    /// Test blocks.
    pub tests: Vec<TestBlock>,
    /// Opt-out blocks.
    pub optouts: Vec<Optout>,
    /// Event blocks.
    pub events: Vec<Events>,
    /// An item that could not be read: what the file leaves out is not known.
    pub unread_items: bool,
}

impl File {
    /// Whether the file contains anything.
    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
            && self.constants.is_empty()
            && self.tables.is_empty()
            && self.lookups.is_empty()
            && self.includes.is_empty()
            && self.tests.is_empty()
            && self.optouts.is_empty()
            && self.events.is_empty()
    }
}

/// `let NAME = LITERAL`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The whole.
    pub span: Span,
    /// The name, without the `$` of its uses.
    pub name: Ident,
    /// The value.
    pub value: Literal,
}

/// `replace NAME { … }` outside of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedTable {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// The arms in order.
    pub arms: Vec<Arm>,
    /// An arm that could not be read.
    pub unread_arms: bool,
}

/// `table NAME from "path" { key column }`: rows of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct LookupTable {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// The file's path, relative to this file's folder, with `/`.
    pub path: Literal,
    /// The sheet of a workbook.
    pub sheet: Option<Literal>,
    /// Every `key` line in order; there is one.
    pub keys: Vec<TableKey>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `key column, column` of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableKey {
    /// The whole.
    pub span: Span,
    /// The columns in order.
    pub columns: Vec<Ident>,
}

/// `include "path"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// The whole.
    pub span: Span,
    /// The path, relative to this file's folder, with `/`.
    pub path: Literal,
}

/// `optout NAME { direction …; a <-> b }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optout {
    /// The whole.
    pub span: Span,
    /// The mapping whose records it concerns.
    pub mapping: Ident,
    /// Every `direction` in order; one is allowed.
    pub directions: Vec<Setting>,
    /// The pairs of fields.
    pub pairs: Vec<OptoutPair>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `donotemail <-> denyListEmail`, optionally with `not` before the second, or with cases.
#[derive(Clone, Debug, PartialEq)]
pub struct OptoutPair {
    /// The whole.
    pub span: Span,
    /// The field in Dynamics.
    pub source: Path,
    /// Whether the two say opposite things.
    pub inverted: bool,
    /// The attribute in Campaign.
    pub target: Path,
    /// What each value of the field means.
    pub cases: Option<Cases>,
}

/// `{ Given => in; else => out }` of an opt-out pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// The whole, with its braces.
    pub span: Span,
    /// The cases, whose results are the words `in` and `out`.
    pub arms: Vec<Arm>,
    /// A case that could not be read.
    pub unread: bool,
}

/// `events NAME: campaign.email -> d365.contact { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// The whole.
    pub span: Span,
    /// The name.
    pub name: Ident,
    /// Where the events come from.
    pub source: TableName,
    /// On whose timeline they appear.
    pub target: TableName,
    /// Each type with `on` or `off`, and the block's other settings.
    pub settings: Vec<Setting>,
    /// Which table each type is written to, which column holds what, and follow-up tasks: `send -> TABLE`, `campaign -> COLUMN`,
    /// `"text" -> task.bounce`.
    pub fields: Vec<FieldMapping>,
}

/// `test NAME "title" { given { … } expect … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TestBlock {
    /// The whole.
    pub span: Span,
    /// The mapping that is tested.
    pub mapping: Ident,
    /// What the test shows.
    pub title: Literal,
    /// Every clause in order.
    pub clauses: Vec<Clause>,
    /// A clause that could not be read.
    pub unread: bool,
}

/// A clause of a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// `given { field: value }`, or `given SYSTEM { … }`: the record.
    Given {
        /// The whole.
        span: Span,
        /// The system whose record it is.
        system: Option<Ident>,
        /// The fields of the record.
        values: Vec<Assignment>,
    },
    /// `now 2024-01-31`: the time of the run.
    Clock {
        /// The whole.
        span: Span,
        /// A date or an instant.
        at: Literal,
    },
    /// `expect …`.
    Expect {
        /// The whole.
        span: Span,
        /// The system that gets what is expected.
        system: Option<Ident>,
        /// What should happen to the record.
        kind: Expectation,
    },
}

/// What should happen to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// It is mapped, and these fields have these values.
    Mapped(Vec<Assignment>),
    /// The filter keeps it out.
    Filtered,
    /// It is rejected, optionally with this code.
    Rejected(Option<Literal>),
}

/// `field: value`, `field absent`, or `list { field: value … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The whole.
    pub span: Span,
    /// The field.
    pub field: Path,
    /// What it has.
    pub value: Assigned,
}

/// What a test gives or expects of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Assigned {
    /// `field: value`.
    Value(Value),
    /// `field absent`.
    Absent,
    /// `list { … }`: one item of a list.
    Item(Vec<Assignment>),
}

/// The way of a mapping, a key or an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `->`
    Forward,
    /// `<-`
    Backward,
    /// `<->`
    Both,
}

impl Way {
    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Way::Forward => "->",
            Way::Backward => "<-",
            Way::Both => "<->",
        }
    }
}

/// A name with its place; back-ticks are taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Its place.
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
    #[cfg(any(test, feature = "internals"))]
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
    /// Name and tables; `None` if they could not be read (and a diagnostic says so).
    pub head: Option<Head>,
    /// What is between the braces, in order.
    pub entries: Vec<Entry>,
    /// A key that could not be read: a missing key need not be reported as well.
    pub unread_key: bool,
    /// An entry that could not be read: what the mapping leaves out is not known.
    pub unread_entries: bool,
}

impl Mapping {
    /// Every key in order; there should be one.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Key(key) => Some(key),
            Entry::Adopt(_)
            | Entry::Field(_)
            | Entry::Replace(_)
            | Entry::Filter(_)
            | Entry::Options(_)
            | Entry::Linked(_)
            | Entry::When(_) => None,
        })
    }

    /// Every field mapping, those within `when` blocks among them.
    pub fn fields(&self) -> impl Iterator<Item = &FieldMapping> {
        self.entries.iter().flat_map(|entry| {
            let (one, blocks): (Option<&FieldMapping>, &[WhenBlock]) = match entry {
                Entry::Field(field) => (Some(field), &[]),
                Entry::When(when) => (None, &when.blocks),
                Entry::Key(_) | Entry::Adopt(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Options(_) | Entry::Linked(_) => {
                    (None, &[])
                }
            };
            one.into_iter().chain(blocks.iter().flat_map(|block| &block.fields))
        })
    }
}

/// `NAME: SOURCE -> TARGET`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The mapping's name.
    pub name: Ident,
    /// The table that is read.
    pub source: TableName,
    /// `->`, or `<->` where each system writes to the other.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
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
    /// `adopt by A or B`.
    Adopt(Adopt),
    /// `A -> B | step …`.
    Field(FieldMapping),
    /// `replace A { … }`.
    Replace(Replace),
    /// `filter all { … }`.
    Filter(Filter),
    /// `options { … }`.
    Options(Options),
    /// `link A: TABLE by B or create { … }`, `rows A: TABLE by B { … }`.
    Linked(Linked),
    /// `when CONDITION { … }`.
    When(When),
}

impl Entry {
    /// The whole entry.
    pub fn span(&self) -> Span {
        match self {
            Entry::Key(key) => key.span,
            Entry::Adopt(adopt) => adopt.span,
            Entry::Field(field) => field.span,
            Entry::Replace(replace) => replace.span,
            Entry::Filter(filter) => filter.span,
            Entry::Options(options) => options.span,
            Entry::Linked(linked) => linked.span,
            Entry::When(when) => when.span,
        }
    }
}

/// What a block of linked records is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkedKind {
    /// `link COLUMN: TABLE by A, B or create { … }`: the one record that a lookup points to.
    Record,
    /// `rows LIST: TABLE by COLUMN { … }`: the items of a list, each of which is a row that points to the record.
    Rows,
}

impl LinkedKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            LinkedKind::Record => "link",
            LinkedKind::Rows => "rows",
        }
    }
}

/// A block of linked records.
#[derive(Clone, Debug, PartialEq)]
pub struct Linked {
    /// The whole.
    pub span: Span,
    /// What it is about.
    pub kind: LinkedKind,
    /// The keyword.
    pub keyword: Span,
    /// The lookup that points to the record, or the list with the items.
    pub path: Path,
    /// The table of the linked records.
    pub table: TableName,
    /// The columns by which a record is found, or the one lookup that points back.
    pub by: Vec<Path>,
    /// What happens if no record is found.
    pub or: Option<Ident>,
    /// Every `key` in order; rows have one.
    pub keys: Vec<Key>,
    /// The field mappings.
    pub fields: Vec<FieldMapping>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `key A -> B`.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The whole.
    pub span: Span,
    /// The primary key of the source table.
    pub source: Path,
    /// The text around the source: `"lead-{leadid}"`.
    pub around: Option<Around>,
    /// The arrow.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
    /// The field that identifies the target record.
    pub target: Path,
}

/// The fixed text of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// The string with its quotes.
    pub span: Span,
    /// What is before the field.
    pub before: String,
    /// What is after it.
    pub after: String,
}

/// `adopt by A or B`: records of the target that do not have the key yet are found by these fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopt {
    /// The whole.
    pub span: Span,
    /// The target's fields, in the order in which they are tried.
    pub fields: Vec<Path>,
}

/// `SOURCE -> TARGET | step … @flag`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMapping {
    /// The whole.
    pub span: Span,
    /// Where the value comes from.
    pub source: Source,
    /// The arrow.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
    /// The field that is written.
    pub target: Path,
    /// Whether the source, which is then not a field, is to the right of the arrow: `field <- "text"`.
    pub turned: bool,
    /// What is done to the value, in order.
    pub steps: Vec<Step>,
    /// `@initial`, `@present`.
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
    /// The result of the first condition that is true.
    Case(Case),
    /// Arithmetic over fields.
    Formula(Formula),
}

impl Source {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Source::Field(path) => path.span,
            Source::Literal(literal) => literal.span,
            Source::Template(template) => template.span,
            Source::Call(call) => call.span,
            Source::Case(case) => case.span,
            Source::Formula(formula) => formula.span,
        }
    }
}

/// `case { CONDITION => RESULT … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The whole.
    pub span: Span,
    /// The branches in order.
    pub branches: Vec<Branch>,
    /// A branch that could not be read.
    pub unread_branches: bool,
}

/// `CONDITION => RESULT | step …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The whole.
    pub span: Span,
    /// `None` for `else`.
    pub condition: Option<Condition>,
    /// What it gives; the bare word `reject` is an outcome.
    pub result: Source,
    /// What is done to the result, in order.
    pub steps: Vec<Step>,
}

impl Case {
    /// How many groups and `case` blocks are within each other, this one included. In a plan, a `case` takes as many levels as two
    /// groups.
    pub fn depth(&self) -> usize {
        let of_branch = |branch: &Branch| {
            let result = match &branch.result {
                Source::Case(case) => case.depth(),
                Source::Formula(formula) => formula.root.depth(),
                Source::Field(_) | Source::Literal(_) | Source::Template(_) | Source::Call(_) => 0,
            };
            branch.condition.as_ref().map_or(0, Condition::depth).max(result)
        };
        2 + self.branches.iter().map(of_branch).max().unwrap_or(0)
    }
}

/// `when CONDITION { … } else { … }`: field mappings that depend on a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// The whole.
    pub span: Span,
    /// The blocks in order.
    pub blocks: Vec<WhenBlock>,
}

/// One block of field mappings.
#[derive(Clone, Debug, PartialEq)]
pub struct WhenBlock {
    /// From `when` or `else` to the closing brace.
    pub span: Span,
    /// `None` for `else`.
    pub condition: Option<Condition>,
    /// The field mappings in order.
    pub fields: Vec<FieldMapping>,
    /// A field mapping that could not be read.
    pub unread_fields: bool,
}

/// `NAME(argument, …)`, for a lookup possibly with `or …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The whole.
    pub span: Span,
    /// The function.
    pub name: Ident,
    /// What is in the parentheses.
    pub arguments: Vec<Argument>,
    /// `or …`
    pub or: Option<Or>,
    /// Of a lookup the number of its table, once the checker has found it.
    pub table: Option<usize>,
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
    /// `{$name}`.
    Constant(Literal),
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name, arguments and `or`.
    pub span: Span,
    /// The step's name.
    pub name: Ident,
    /// What is in parentheses; `None` if there are none.
    pub arguments: Option<Vec<Argument>>,
    /// What follows the name of `map`, `link` and `lookup`.
    pub operand: Option<Operand>,
    /// `or …`.
    pub or: Option<Or>,
}

/// What follows the name of `map`, `link` and `lookup`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `map { … }`
    Table {
        /// From the opening to the closing brace.
        span: Span,
        /// The arms in order.
        arms: Vec<Arm>,
        /// An arm that could not be read.
        unread_arms: bool,
    },
    /// `map NAME`: a shared table.
    Shared(Ident),
    /// `link NAME`: a mapping.
    Link(Ident),
    /// `link SYSTEM.TABLE by FIELD`: a table whose records are there already.
    LinkTo {
        /// The table.
        table: TableName,
        /// The field with the key.
        by: Option<Path>,
    },
    /// `lookup TABLE.COLUMN`.
    Lookup {
        /// The table and its column.
        column: Path,
        /// The number of the table, once the checker has found it.
        table: Option<usize>,
    },
}

/// An argument of a step or function.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A literal.
    Literal(Literal),
    /// A field, or a bare word.
    Path(Path),
    /// A field through steps: `telephone1 | phone("DE") or null`.
    Piped(Path, Vec<Step>),
    /// `6 months`, `-90d`
    Period(Period),
}

/// A period of the calendar: `6 months`, `-90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The whole.
    pub span: Span,
    /// How many months; negative for earlier.
    pub months: i32,
    /// How many seconds in addition; negative for earlier.
    pub seconds: i64,
}

impl Argument {
    /// The field that it reads, and the steps after it.
    pub fn field(&self) -> Option<(&Path, &[Step])> {
        match self {
            Argument::Path(path) => Some((path, &[])),
            Argument::Piped(path, steps) => Some((path, steps)),
            Argument::Literal(_) | Argument::Period(_) => None,
        }
    }

    /// How many arguments with steps are within each other, this one included.
    pub fn depth(&self) -> usize {
        let Argument::Piped(_, steps) = self else { return 0 };
        1 + steps.iter().flat_map(|step| step.arguments.iter().flatten()).map(Argument::depth).max().unwrap_or(0)
    }

    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Argument::Literal(l) => l.span,
            Argument::Path(p) => p.span,
            Argument::Piped(path, steps) => steps.last().map_or(path.span, |step| path.span.to(step.span)),
            Argument::Period(p) => p.span,
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
    /// The link is written when the record that it points to exists.
    Later,
}

/// A literal with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Its place.
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
    /// `$name`: a constant that `let` declares. The checker replaces it with its value first.
    Constant(String),
}

/// `replace FIELD { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replace {
    /// The whole.
    pub span: Span,
    /// The source field.
    pub field: Path,
    /// The shared table that is used instead of cases.
    pub shared: Option<Ident>,
    /// The arms in order.
    pub arms: Vec<Arm>,
    /// An arm that could not be read: what the block leaves out is not known.
    pub unread_arms: bool,
}

/// `value => value`; in a two-way mapping also `value <=> value`, and `value <= value`, which is `value => value` reversed.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The whole.
    pub span: Span,
    /// `None` for `else`.
    pub from: Option<ArmFrom>,
    /// Whether the case applies from left to right, from right to left (then `from` is on the right), or both ways.
    pub way: Way,
    /// The result; the bare words `keep` and `reject` are outcomes.
    pub to: Value,
}

/// What is before the arrow of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmFrom {
    /// A value.
    Value(Value),
    /// A comparison, such as `< 18` or `starts with "10"`.
    Test {
        /// The whole.
        span: Span,
        /// The comparison.
        test: Test,
    },
}

impl ArmFrom {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            ArmFrom::Value(value) => value.span(),
            ArmFrom::Test { span, .. } => *span,
        }
    }
}

/// A literal or a bare word (an option's label, an enumeration's name).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A literal.
    Literal(Literal),
    /// A bare word.
    Word(Path),
    /// A point in time that the run decides, or a date with an offset. Only in comparisons.
    Moment(Moment),
}

/// `now`, `today`, or a date, with an offset: `now - 30d`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The whole.
    pub span: Span,
    /// What the offset is counted from.
    pub base: MomentBase,
    /// The offset, in seconds.
    pub offset: i64,
}

/// What an offset is counted from.
#[derive(Clone, Debug, PartialEq)]
pub enum MomentBase {
    /// The time of the run.
    Now,
    /// The midnight (UTC) before the run.
    Today,
    /// A date or an instant.
    Fixed(Literal),
}

impl Value {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Value::Literal(l) => l.span,
            Value::Word(p) => p.span,
            Value::Moment(m) => m.span,
        }
    }
}

/// How the conditions of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every condition must be true.
    All,
    /// One condition must be true.
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
    /// A condition that could not be read: the group is not empty, even if it seems to be.
    pub unread_conditions: bool,
}

impl Group {
    /// How many groups are within each other, this one included.
    pub fn depth(&self) -> usize {
        1 + self.conditions.iter().map(Condition::depth).max().unwrap_or(0)
    }
}

impl Condition {
    /// How many groups are within each other.
    pub fn depth(&self) -> usize {
        match &self.kind {
            ConditionKind::Group(group) => group.depth(),
            ConditionKind::Test { .. } => 0,
        }
    }
}

/// One condition, which can be negated.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The whole.
    pub span: Span,
    /// Whether an odd number of `not` precedes it.
    pub negated: bool,
    /// What is asked.
    pub kind: ConditionKind,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionKind {
    /// Nested conditions.
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
    /// `= value` and similar comparisons
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

/// `name value`, or `name every 7d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The whole.
    pub span: Span,
    /// The option.
    pub name: Ident,
    /// Its value; the word `every` of an interval.
    pub value: Ident,
    /// How often, in seconds, if the value is an interval.
    pub every: Option<u64>,
}
