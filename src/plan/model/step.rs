//! The steps of a program, and what happens if one of them fails.

use serde::{Deserialize, Serialize};

use super::condition::Test;
use super::place::At;
use crate::plan::lookup::Lookup;
use crate::steps::{CalendarUnit, Operation};
use crate::value::Const;

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step in the mapping file; for an implicit conversion the whole entry.
    pub at: At,
    /// What is done.
    pub op: Op,
    /// What happens if it fails; `None` for a step that cannot fail.
    pub on_failure: Option<OnFailure>,
}

/// What a step does. Every step but `default`, [`Op::Coalesce`] and [`Op::Map`] leaves an empty value empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// The first of these that has a value, if there is none.
    Coalesce(Vec<Read>),
    /// A day's midnight in UTC.
    Midnight,
    /// Puts texts and fields after the value.
    Concat(Vec<Piece>),
    /// A phone number in E.164, by the country that a field contains.
    PhoneIn(PhoneIn),
    /// The local time in a zone, by the zone that a field contains.
    LocalIn(LocalIn),
    /// The whole years, months or days from the value to another day.
    Elapsed(Elapsed),
    /// The labels of several chosen options with this text between them.
    Labels {
        /// What is between two of them.
        separator: String,
        /// The label of each number.
        entries: Vec<(i64, String)>,
        /// Whether the labels are in the order of the entries; otherwise they are in that of the value.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sorted: bool,
    },
    /// A table of values.
    Map(Replacement),
    /// The value of the row of a table whose key is the value.
    Lookup(Lookup),
    /// True becomes false and the other way round.
    Not,
    /// The key of a record that another mapping writes.
    Link {
        /// The mapping.
        mapping: String,
        /// For a lookup that can point to several tables: which of them the mapping reads. A reference to a record of another
        /// table is not a link.
        table: Option<TableOf>,
        /// What happens while the other record is not at the target.
        #[serde(default, skip_serializing_if = "LinkAbsent::is_wait")]
        absent: LinkAbsent,
    },
    /// A step whose file has all of it. In JSON it has the form of [`Operation`].
    #[serde(untagged)]
    Step(Operation),
}

/// What happens to a link while the record that it points to is not at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkAbsent {
    /// The record waits for the other one.
    #[default]
    Wait,
    /// The record is written, and its link is empty.
    Null,
    /// The record is written, and its link follows.
    Later,
}

impl LinkAbsent {
    fn is_wait(&self) -> bool {
        *self == LinkAbsent::Wait
    }
}

/// Where the country of a phone number comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneIn {
    /// The field with an ISO 3166-1 alpha-2 code.
    pub country: Read,
    /// The country if that field is empty.
    pub otherwise: Option<String>,
}

/// Where the time zone of an instant comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalIn {
    /// The field with the zone's IANA or Windows name.
    pub zone: Read,
    /// The zone if that field is empty.
    pub otherwise: Option<String>,
}

/// What is counted from the value on, and to which day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elapsed {
    /// Years, months or days.
    pub unit: CalendarUnit,
    /// To which day.
    pub until: Until,
}

/// The day to which years, months or days are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// The day of the run, in UTC.
    Today,
    /// The day in a field. If the field is empty, so is the result.
    Field(Read),
}

/// The table that a lookup is to point to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOf {
    /// The slot of the lookup's table.
    pub slot: u32,
    /// The table's logical name.
    pub name: String,
}

/// What happens where a step fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The field becomes empty.
    Null,
    /// This value continues.
    Default(Const),
    /// The value before the step continues.
    Keep,
    /// The record is rejected.
    Reject,
}

pub(super) fn pieces(pieces: &[Piece], columns: &mut Vec<u32>) {
    for piece in pieces {
        if let Piece::Field(read) = piece {
            read.columns(columns);
        }
    }
}

/// A slot, read through the replacement that applies to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Index into [`SourceQuery::slots`].
    pub slot: u32,
    /// The replacement, typed for this use.
    pub replace: Option<Replacement>,
    /// For several chosen options read by their labels: the label of each number.
    pub labels: Option<Vec<(i64, String)>>,
    /// What is done to the value, in order, if it is an argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

impl Read {
    /// A slot as it is.
    pub fn plain(slot: u32) -> Read {
        Read { slot, replace: None, labels: None, steps: Vec::new() }
    }

    /// Adds the slots that it reads, those of its steps among them.
    pub(super) fn columns(&self, columns: &mut Vec<u32>) {
        columns.push(self.slot);
        columns_of_steps(&self.steps, columns);
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// As it is.
    Text(String),
    /// A field's value as text.
    Field(Read),
}

/// A table of values and their outcomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The `replace` block, or the entry whose picklist is read by its labels.
    pub at: At,
    /// Values with their own outcome.
    pub entries: Vec<(Const, Outcome)>,
    /// Comparisons, with their outcomes, for values without their own outcome: the first one that is true decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<(Test, Outcome)>,
    /// The outcome for a missing value.
    pub null: Outcome,
    /// The outcome for any other value.
    pub otherwise: Outcome,
    /// Whether it is the labels of an option set rather than a table of the file's author.
    pub labels: bool,
}

/// The outcome of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// This value takes its place.
    Value(Const),
    /// It stays as it is.
    Keep,
    /// The record is rejected; the arm says so.
    Reject(At),
    /// The schema does not know the value: the record is rejected.
    Unknown,
}

pub(super) fn columns_of_steps(steps: &[Step], columns: &mut Vec<u32>) {
    for step in steps {
        match &step.op {
            Op::Coalesce(reads) => reads.iter().for_each(|read| read.columns(columns)),
            Op::Concat(concat) => pieces(concat, columns),
            Op::PhoneIn(phone) => phone.country.columns(columns),
            Op::LocalIn(local) => local.zone.columns(columns),
            Op::Elapsed(Elapsed { until: Until::Field(read), .. }) => read.columns(columns),
            _ => {}
        }
    }
}
