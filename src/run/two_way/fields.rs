//! The fields of a two-way mapping, and what a record shows of them.

use super::rule::{FieldValue, FieldWay, LeftSight, RightSight};
use super::values::{Body, is_empty, mean_same, quoted, without_mark};
use crate::eval::{EvalError, Flat, Programs, Rejection, in_scope, raw_at};
use crate::plan::{FieldProgram, Side, TwoWayFlow};
use crate::store::{Fingerprinter, PairSide};
use crate::time::{self, Instant};

/// One field: the programs of the lines that are about the same two properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name in the state and in messages.
    pub(super) name: String,
    pub(super) way: FieldWay,
    /// The place of its program among those that write the right side.
    pub(super) forward: Option<usize>,
    /// The place of its program among those that write the left side.
    pub(super) backward: Option<usize>,
}

/// The property of a referral with the id of the record in the customer's CRM (Partner Center: *referral resources*).
pub(super) const CRM_ID: &str = "externalReferenceId";

/// Columns beside the one with the referral's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Whether the opportunity takes part.
    pub(super) gate: Option<&'static str>,
    /// What happened to it, for people.
    pub(super) audit: Option<&'static str>,
}

impl Columns {
    /// The columns that belong to the one with the referral's id: those of Microsoft's co-sell solution.
    fn beside(key: &str) -> Columns {
        match key {
            "msft_microsoftpartnercenterreferralidentifier" => Columns {
                gate: Some("msft_microsoftpartnercenterreferralsync"),
                audit: Some("msft_microsoftpartnercenterreferralsyncaudit"),
            },
            _ => Columns { gate: None, audit: None },
        }
    }
}

/// The fields of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) list: Vec<Field>,
    pub(super) names: Vec<String>,
    pub(super) columns: Columns,
}

/// What a record shows.
#[derive(Clone, Debug)]
pub(super) struct Record {
    raw: String,
    flat: Flat,
    /// For each field, the result of the program that reads this side.
    pub(super) results: Vec<Option<String>>,
}

impl Record {
    /// The JSON text at a path.
    fn at(&self, path: &[String]) -> Option<String> {
        raw_at(&self.raw, &path.join("."))
    }
}

fn wires<'p>(side: &'p Side, program: &FieldProgram) -> Vec<&'p str> {
    program.columns().into_iter().filter_map(|slot| side.slots.get(slot as usize)).map(|slot| slot.wire.as_str()).collect()
}

impl Fields {
    pub(super) fn of(flow: &TwoWayFlow) -> Fields {
        let mut list = Vec::new();
        let mut taken = vec![false; flow.backward.len()];
        // The first one writes the key.
        for (forward, there) in flow.forward.iter().enumerate().skip(1) {
            let to = there.path.join(".");
            let back = flow.backward.iter().enumerate().position(|(place, back)| {
                let mutual =
                    wires(&flow.left, there).contains(&back.path.join(".").as_str()) && wires(&flow.right, back).contains(&to.as_str());
                !taken[place] && (back.at == there.at || mutual)
            });
            if let Some(place) = back {
                taken[place] = true;
            }
            let name = back.map_or_else(|| format!("-> {to}"), |place| format!("{} <-> {to}", flow.backward[place].path.join(".")));
            let way = if back.is_some() { FieldWay::Both } else { FieldWay::ToRight };
            list.push(Field { name, way, forward: Some(forward), backward: back });
        }
        for (place, back) in flow.backward.iter().enumerate().filter(|(place, _)| !taken[*place]) {
            list.push(Field { name: format!("<- {}", back.path.join(".")), way: FieldWay::ToLeft, forward: None, backward: Some(place) });
        }
        let names = list.iter().map(|field| field.name.clone()).collect();
        Fields { list, names, columns: Columns::beside(&flow.right.key) }
    }

    /// The columns of the right side that are read.
    pub(super) fn right_columns(&self, flow: &TwoWayFlow) -> Vec<String> {
        let read = flow.right.slots.iter().map(|slot| slot.wire.split('@').next().unwrap_or_default());
        let written = flow.forward.iter().filter(|program| program.path.len() == 1).map(|program| program.path[0].as_str());
        let own = [flow.right.primary_key.as_str(), flow.right.key.as_str(), "modifiedon"].into_iter().chain(self.columns.gate);
        let mut columns: Vec<String> = Vec::new();
        for column in own.chain(read).chain(written).filter(|column| !column.contains('@')) {
            if !columns.iter().any(|known| known == column) {
                columns.push(column.to_owned());
            }
        }
        columns
    }
}

/// How records of a mapping are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) flow: &'a TwoWayFlow,
    pub(super) fields: &'a Fields,
    pub(super) printer: Fingerprinter,
    pub(super) now: Instant,
}

impl<'a> Reading<'a> {
    fn forward(&self) -> Result<Programs<'a>, EvalError> {
        Programs::new(&self.flow.left.slots, self.flow.forward.iter(), self.flow.filter.as_ref(), self.flow.at)
    }

    fn backward(&self) -> Result<Programs<'a>, EvalError> {
        Programs::new(&self.flow.right.slots, self.flow.backward.iter(), None, self.flow.at)
    }

    fn results(&self, values: &[String], place: impl Fn(&Field) -> Option<usize>) -> Vec<Option<String>> {
        self.fields.list.iter().map(|field| place(field).and_then(|place| values.get(place).cloned())).collect()
    }

    fn seen(&self, results: &[Option<String>]) -> Vec<Option<FieldValue>> {
        let value = |name: &str, json: &str| FieldValue { print: self.printer.print(name, json), empty: is_empty(json) };
        self.fields.names.iter().zip(results).map(|(name, json)| json.as_ref().map(|json| value(name, json))).collect()
    }

    /// Reads a record of the left side.
    pub(super) fn left(&self, raw: &str) -> Result<(Record, LeftSight), Fault> {
        let programs = self.forward()?;
        let flat = programs.flat(raw);
        let (admitted, values) = programs.run(&flat, self.now)?;
        let results = self.results(&values, |field| field.forward);
        let sight = LeftSight {
            id: text_at(raw, &self.flow.left.primary_key).unwrap_or_default().to_ascii_lowercase(),
            version: version(raw, PairSide::Left),
            changed: seconds(raw, "updatedDateTime"),
            closed: text_at(raw, "status").is_some_and(|status| status.eq_ignore_ascii_case("Closed")),
            admitted: admitted && in_scope(raw, self.flow.scope),
            crm_id: text_at(raw, CRM_ID).map(|id| id.trim().to_ascii_lowercase()).filter(|id| !id.is_empty()),
            values: self.seen(&results),
        };
        Ok((Record { raw: raw.to_owned(), flat, results }, sight))
    }

    /// Reads a record of the right side.
    pub(super) fn right(&self, raw: &str) -> Result<(Record, RightSight), Fault> {
        let raw = without_marks(raw);
        let programs = self.backward()?;
        let flat = programs.flat(&raw);
        let (_, values) = programs.run(&flat, self.now)?;
        let results = self.results(&values, |field| field.backward);
        let sight = RightSight {
            id: text_at(&raw, &self.flow.right.primary_key).unwrap_or_default().to_ascii_lowercase(),
            version: version(&raw, PairSide::Right),
            changed: seconds(&raw, "modifiedon"),
            gate: self.fields.columns.gate.map(|gate| raw_at(&raw, gate).as_deref() == Some("true")),
            identifier: identifier(self.flow, &raw),
            values: self.seen(&results),
        };
        Ok((Record { raw, flat, results }, sight))
    }

    /// Whether both records hold the same value in a field.
    pub(super) fn same(&self, place: usize, left: &Record, right: &Record) -> bool {
        let Some(field) = self.fields.list.get(place) else { return true };
        let equal = |from: &Record, program: Option<&FieldProgram>, to: &Record| match (from.results.get(place), program) {
            (Some(Some(result)), Some(program)) => mean_same(Some(result), to.at(&program.path).as_deref()),
            _ => false,
        };
        let there = field.forward.and_then(|forward| self.flow.forward.get(forward));
        let back = field.backward.and_then(|backward| self.flow.backward.get(backward));
        equal(left, there, right) || equal(right, back, left)
    }

    /// Adds fields of the left record to a body for the right side. Returns what the right record shows when it has them.
    pub(super) fn to_right(
        self,
        fields: &[usize],
        left: &Record,
        right: Option<&Record>,
        body: &mut Body,
    ) -> Result<Vec<Option<FieldValue>>, Fault> {
        let program = |field: &Field| field.forward.and_then(|place| self.flow.forward.get(place));
        let flat = self.filled(fields, left, right, program, body);
        Ok(self.expected(&self.backward()?, &flat, |field| field.backward))
    }

    /// Adds fields of the right record to a body for the left side. Returns what the left record shows when it has them.
    pub(super) fn to_left(
        self,
        fields: &[usize],
        right: &Record,
        left: Option<&Record>,
        body: &mut Body,
    ) -> Result<Vec<Option<FieldValue>>, Fault> {
        let program = |field: &Field| field.backward.and_then(|place| self.flow.backward.get(place));
        let flat = self.filled(fields, right, left, program, body);
        Ok(self.expected(&self.forward()?, &flat, |field| field.forward))
    }

    /// Adds fields to a body, and to what the record has that gets them.
    fn filled(
        &self,
        fields: &[usize],
        from: &Record,
        to: Option<&Record>,
        program: impl Fn(&Field) -> Option<&'a FieldProgram>,
        body: &mut Body,
    ) -> Flat {
        let mut flat = to.map(|to| to.flat.clone()).unwrap_or_default();
        for &place in fields {
            let program = self.fields.list.get(place).and_then(&program);
            if let (Some(program), Some(Some(json))) = (program, from.results.get(place)) {
                flat.insert(program.path.join("."), json.clone());
                body.set(&program.path, json.clone());
            }
        }
        flat
    }

    /// What a record with these values shows; nothing where that cannot be told, which only makes a lost answer look like a change.
    fn expected(&self, programs: &Programs<'_>, flat: &Flat, place: impl Fn(&Field) -> Option<usize>) -> Vec<Option<FieldValue>> {
        match programs.run(flat, self.now) {
            Ok((_, values)) => self.seen(&self.results(&values, place)),
            Err(_) => vec![None; self.fields.list.len()],
        }
    }
}

/// Why a record cannot be compared.
pub(super) enum Fault {
    /// The record.
    Record(Rejection),
    /// The plan.
    Plan(EvalError),
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        Fault::Record(rejection)
    }
}

impl From<EvalError> for Fault {
    fn from(error: EvalError) -> Fault {
        Fault::Plan(error)
    }
}

/// A text of a record; none if it has no such text.
pub(super) fn text_at(raw: &str, path: &str) -> Option<String> {
    raw_at(raw, path).and_then(|json| serde_json::from_str(&json).ok())
}

/// The version of a record: an ETag with its quotation marks.
pub(super) fn version(raw: &str, side: PairSide) -> Option<String> {
    // Not `raw_at`: the name has a dot.
    let properties = crate::json::properties(raw)?;
    let names = match side {
        PairSide::Left => ["eTag", "@odata.etag"],
        PairSide::Right => ["@odata.etag", "eTag"],
    };
    names.iter().find_map(|name| properties.get(*name).and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// The id of the left record that a right one names.
pub(super) fn identifier(flow: &TwoWayFlow, raw: &str) -> Option<String> {
    text_at(raw, &flow.right.key).map(|id| id.trim().to_ascii_lowercase()).filter(|id| !id.is_empty())
}

/// The record's own time of change, in whole seconds: Dynamics 365 shows no more.
fn seconds(raw: &str, property: &str) -> i64 {
    text_at(raw, property).and_then(|text| time::parse_instant(&text)).map_or(0, |instant| instant.timestamp())
}

/// A right record whose name has no marks.
fn without_marks(raw: &str) -> String {
    let Some(name) = text_at(raw, "name") else { return raw.to_owned() };
    let plain = without_mark(&name);
    if plain == name {
        return raw.to_owned();
    }
    let Some(properties) = crate::json::properties(raw) else { return raw.to_owned() };
    let value = |name: &str, json: &str| format!("{}:{}", quoted(name), if name == "name" { quoted(plain) } else { json.to_owned() });
    let fields: Vec<String> = properties.iter().map(|(name, json)| value(name, json.get())).collect();
    format!("{{{}}}", fields.join(","))
}
