//! The fields of a two-way mapping, and what a record shows of them.

use super::rows::{self, List};
use super::rule::{FieldValue, FieldWay, LeftSight, RightSight};
use super::values::{Body, Fault, is_empty, mean_same, quoted, without_mark};
use crate::eval::{EvalError, Flat, Programs, in_scope, raw_at};
use crate::plan::{FieldProgram, LinkedRecord, Otherwise, Side, TwoWayFlow};
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
    /// The place of the lookup that it sets.
    pub(super) link: Option<usize>,
    /// The place of the list that it is.
    pub(super) list: Option<usize>,
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
    /// Where people find the referral.
    pub(super) link: Option<&'static str>,
    /// Whether it is open, won or lost.
    pub(super) state: Option<&'static str>,
}

impl Columns {
    /// The columns that are read whatever the mapping says.
    fn own(self) -> impl Iterator<Item = &'static str> {
        [self.gate, self.audit, self.state].into_iter().flatten()
    }

    /// The columns that belong to the one with the referral's id: those of Microsoft's co-sell solution.
    fn beside(table: &str, key: &str) -> Columns {
        let state = (table == "opportunity").then_some("statecode");
        match key {
            "msft_microsoftpartnercenterreferralidentifier" => Columns {
                gate: Some("msft_microsoftpartnercenterreferralsync"),
                audit: Some("msft_microsoftpartnercenterreferralsyncaudit"),
                link: Some("msft_microsoftpartnercenterreferrallink"),
                state,
            },
            _ => Columns { gate: None, audit: None, link: None, state },
        }
    }
}

/// The fields of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) list: Vec<Field>,
    pub(super) names: Vec<String>,
    pub(super) columns: Columns,
    /// Whether the mapping reads what the part of somebody else in a deal says.
    pub(super) reads_siblings: bool,
}

/// What a record shows.
#[derive(Clone, Debug)]
pub(super) struct Record {
    raw: String,
    flat: Flat,
    /// For each field, the result of the program that reads this side.
    pub(super) results: Vec<Option<String>>,
    /// For each lookup, the values of the record that it is to lead to; of the left side.
    pub(super) linked: Vec<Vec<String>>,
    /// Each list.
    pub(super) lists: Vec<List>,
}

impl Record {
    /// The record as JSON.
    pub(super) fn raw(&self) -> &str {
        &self.raw
    }

    /// A text of the record; none if it has no such text.
    pub(super) fn text(&self, property: &str) -> Option<String> {
        text_at(&self.raw, property)
    }

    /// The JSON text at a path.
    fn at(&self, path: &[String]) -> Option<String> {
        raw_at(&self.raw, &path.join("."))
    }
}

/// What a body gets for a link of a record.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// The link's place.
    pub(super) link: usize,
    /// The other record's id.
    pub(super) id: String,
}

fn wires<'p>(side: &'p Side, program: &FieldProgram) -> Vec<&'p str> {
    program.columns().into_iter().filter_map(|slot| side.slots.get(slot as usize)).map(|slot| slot.wire.as_str()).collect()
}

impl Fields {
    pub(super) fn of(flow: &TwoWayFlow) -> Fields {
        let mut list = Vec::new();
        // Fixed values are written when the left record is created, and never compared.
        let mut taken: Vec<bool> = flow.backward.iter().map(|program| program.create_only).collect();
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
            list.push(Field { name, way, forward: Some(forward), backward: back, link: None, list: None });
        }
        for (place, back) in flow.backward.iter().enumerate().filter(|(place, _)| !taken[*place]) {
            let name = format!("<- {}", back.path.join("."));
            list.push(Field { name, way: FieldWay::ToLeft, forward: None, backward: Some(place), link: None, list: None });
        }
        for (place, link) in flow.links.iter().enumerate().filter(|(_, link)| !link.fields.is_empty()) {
            let name = format!("-> {}", link.column);
            list.push(Field { name, way: FieldWay::ToRight, forward: None, backward: None, link: Some(place), list: None });
        }
        for (place, rows) in flow.rows.iter().enumerate() {
            let (way, sign) = match (rows.forward.is_empty(), rows.backward.is_empty()) {
                (false, true) => (FieldWay::ToRight, "->"),
                (true, false) => (FieldWay::ToLeft, "<-"),
                _ => (FieldWay::Both, "<->"),
            };
            let name = format!("{} {sign} {}", rows.list.join("."), rows.table);
            list.push(Field { name, way, forward: None, backward: None, link: None, list: Some(place) });
        }
        let names = list.iter().map(|field| field.name.clone()).collect();
        let reads_siblings = flow.left.slots.iter().any(|slot| slot.wire.starts_with("microsoft."));
        Fields { list, names, reads_siblings, columns: Columns::beside(flow.right.name(), &flow.right.key) }
    }

    /// The field that closes records: the one that writes the right side's state.
    pub(super) fn state(&self, flow: &TwoWayFlow) -> Option<usize> {
        let state = self.columns.state?;
        let writes = |field: &Field| field.forward.and_then(|place| flow.forward.get(place)).is_some_and(|program| program.path == [state]);
        self.list.iter().position(writes)
    }

    /// The columns of the right side that are read.
    pub(super) fn right_columns(&self, flow: &TwoWayFlow) -> Vec<String> {
        let read = flow.right.slots.iter().map(|slot| slot.wire.split('@').next().unwrap_or_default());
        let written = flow.forward.iter().filter(|program| program.path.len() == 1).map(|program| program.path[0].as_str());
        let lookups: Vec<String> = flow.links.iter().map(LinkedRecord::property).collect();
        let own = [flow.right.primary_key.as_str(), flow.right.key.as_str(), "createdon", "modifiedon"]
            .into_iter()
            .chain(self.columns.own().map(|column| -> &str { column }));
        let mut columns: Vec<String> = Vec::new();
        let name = flow.check_mark.then_some("name");
        // What has a dot is of another record.
        let own = own.chain(name).chain(lookups.iter().map(String::as_str));
        for column in own.chain(read).chain(written).filter(|column| !column.contains(['@', '.'])) {
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
        let linked = self.flow.links.iter().flat_map(|link| &link.fields);
        Programs::new(&self.flow.left.slots, self.flow.forward.iter().chain(linked), self.flow.filter.as_ref(), self.flow.at)
    }

    fn backward(&self) -> Result<Programs<'a>, EvalError> {
        Programs::new(&self.flow.right.slots, self.flow.backward.iter(), None, self.flow.at)
    }

    fn results(&self, values: &[String], place: impl Fn(&Field) -> Option<usize>) -> Vec<Option<String>> {
        self.fields.list.iter().map(|field| place(field).and_then(|place| values.get(place).cloned())).collect()
    }

    /// The values of the records that lookups are to lead to, from the results of all programs over the left side.
    fn linked(&self, values: &[String]) -> Vec<Vec<String>> {
        let mut values = values.iter().skip(self.flow.forward.len());
        self.flow.links.iter().map(|link| values.by_ref().take(link.fields.len()).cloned().collect()).collect()
    }

    /// Adds what is shown of lookups and lists to the results of fields.
    fn with_lists(&self, results: &mut [Option<String>], linked: &[Vec<String>], lists: &[List]) {
        for (field, result) in self.fields.list.iter().zip(results) {
            if let Some((link, values)) = field.link.and_then(|link| self.flow.links.get(link).zip(linked.get(link))) {
                let values: Option<Vec<String>> =
                    link.sought(values).map(|sought| sought.into_iter().map(|(_, value)| value.clone()).collect());
                *result = Some(values.map_or_else(|| "null".to_owned(), |values| format!("[{}]", values.join(","))));
            }
            if let Some(list) = field.list.and_then(|list| lists.get(list)) {
                *result = list.shown();
            }
        }
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
        let mut results = self.results(&values, |field| field.forward);
        let linked = self.linked(&values);
        let lists = self.flow.rows.iter().map(|rows| List::of_items(rows, raw, self.now)).collect::<Result<Vec<_>, _>>()?;
        self.with_lists(&mut results, &linked, &lists);
        let changed = seconds(raw, "updatedDateTime");
        let sight = LeftSight {
            id: text_at(raw, &self.flow.left.primary_key).unwrap_or_default().to_ascii_lowercase(),
            version: version(raw, PairSide::Left),
            changed,
            untouched: changed == seconds(raw, "createdDateTime"),
            closed: text_at(raw, "status").is_some_and(|status| status.eq_ignore_ascii_case("Closed")),
            admitted: admitted && in_scope(raw, self.flow.scope),
            crm_id: text_at(raw, CRM_ID).map(|id| id.trim().to_ascii_lowercase()).filter(|id| !id.is_empty()),
            values: self.seen(&results),
        };
        Ok((Record { raw: raw.to_owned(), flat, results, linked, lists }, sight))
    }

    /// Reads a record of the right side. `rows`: for each list the rows that lead to it.
    pub(super) fn right(&self, raw: &str, rows: &[Vec<String>]) -> Result<(Record, RightSight), Fault> {
        let raw = without_marks(raw);
        let programs = self.backward()?;
        let flat = programs.flat(&raw);
        let (_, values) = programs.run(&flat, self.now)?;
        let mut results = self.results(&values, |field| field.backward);
        let empty = Vec::new();
        let rows = self.flow.rows.iter().enumerate().map(|(place, list)| List::of_rows(list, rows.get(place).unwrap_or(&empty), self.now));
        let lists = rows.collect::<Result<Vec<_>, _>>()?;
        self.with_lists(&mut results, &[], &lists);
        let changed = seconds(&raw, "modifiedon");
        let sight = RightSight {
            id: text_at(&raw, &self.flow.right.primary_key).unwrap_or_default().to_ascii_lowercase(),
            version: version(&raw, PairSide::Right),
            changed,
            untouched: changed == seconds(&raw, "createdon"),
            gate: self.fields.columns.gate.map(|gate| raw_at(&raw, gate).as_deref() == Some("true")),
            identifier: identifier(self.flow, &raw),
            closed: self
                .fields
                .columns
                .state
                .and_then(|state| raw_at(&raw, state))
                .is_some_and(|state| matches!(state.as_str(), "1" | "2")),
            values: self.seen(&results),
        };
        Ok((Record { raw, flat, results, linked: Vec::new(), lists }, sight))
    }

    /// Whether both records hold the same value in a field.
    pub(super) fn same(&self, place: usize, left: &Record, right: &Record) -> bool {
        let Some(field) = self.fields.list.get(place) else { return true };
        if let Some(link) = field.link {
            return self.flow.links.get(link).zip(left.linked.get(link)).is_none_or(|(link, values)| leads(link, values, right));
        }
        if let Some(list) = field.list {
            let lists = left.lists.get(list).zip(right.lists.get(list));
            return self.flow.rows.get(list).zip(lists).is_none_or(|(rows, (left, right))| rows::same(rows, left, right));
        }
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
        bound: &[Bound],
        body: &mut Body,
    ) -> Result<Vec<Option<FieldValue>>, Fault> {
        let program = |field: &Field| field.forward.and_then(|place| self.flow.forward.get(place));
        let mut flat = self.filled(fields, left, right, program, body);
        for bound in bound {
            let Some(link) = self.flow.links.get(bound.link) else { continue };
            body.set_text(&format!("{}@odata.bind", link.navigation), &format!("/{}({})", link.collection, bound.id));
            flat.retain(|name, _| !name.strip_prefix(&link.navigation).is_some_and(|rest| rest.starts_with('.')));
            for (program, value) in link.fields.iter().zip(left.linked.get(bound.link).into_iter().flatten()) {
                flat.insert(format!("{}.{}", link.navigation, program.path.join(".")), value.clone());
            }
        }
        let mut expected = self.expected(&self.backward()?, &flat, |field| field.backward);
        for &place in fields {
            let Some(list) = self.fields.list.get(place).and_then(|field| field.list) else { continue };
            let (Some(rows), Some(from)) = (self.flow.rows.get(list), left.lists.get(list)) else { continue };
            let to = right.and_then(|right| right.lists.get(list));
            let shown = rows::expected(from, &rows.forward, to, (&rows.rows, &rows.backward, rows.at), self.now);
            self.put_list(&mut expected, place, shown);
        }
        Ok(expected)
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
        let mut expected = self.expected(&self.forward()?, &flat, |field| field.forward);
        for &place in fields {
            let Some(list) = self.fields.list.get(place).and_then(|field| field.list) else { continue };
            let (Some(rows), Some(from)) = (self.flow.rows.get(list), right.lists.get(list)) else { continue };
            let to = left.and_then(|left| left.lists.get(list));
            body.set(&rows.list, rows::items_of(rows, from, to));
            let shown = rows::expected(from, &rows.backward, to, (&rows.items, &rows.forward, rows.at), self.now);
            self.put_list(&mut expected, place, shown);
        }
        Ok(expected)
    }

    /// Adds to a body what is written only when the left record is created.
    pub(super) fn fixed(&self, right: &Record, body: &mut Body) -> Result<(), Fault> {
        let (_, values) = self.backward()?.run(&right.flat, self.now)?;
        for (program, json) in self.flow.backward.iter().zip(values).filter(|(program, _)| program.create_only) {
            body.set(&program.path, json);
        }
        Ok(())
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
                body.set_item(&program.path, json.clone(), |list| to.and_then(|to| to.at(list)));
            }
        }
        flat
    }

    /// Puts what is shown of a list.
    fn put_list(&self, expected: &mut [Option<FieldValue>], place: usize, shown: Option<String>) {
        if let (Some(value), Some(name)) = (expected.get_mut(place), self.fields.names.get(place)) {
            *value = shown.map(|json| FieldValue { print: self.printer.print(name, &json), empty: is_empty(&json) });
        }
    }

    /// What a record with these values shows; nothing if that is not known, which only makes a lost answer look like a change.
    fn expected(&self, programs: &Programs<'_>, flat: &Flat, place: impl Fn(&Field) -> Option<usize>) -> Vec<Option<FieldValue>> {
        match programs.run(flat, self.now) {
            Ok((_, values)) => self.seen(&self.results(&values, place)),
            Err(_) => vec![None; self.fields.list.len()],
        }
    }
}

/// Whether a lookup of the right record leads where it should. One that creates records is set once: what is changed later in Partner
/// Center about a customer does not move the opportunity to another account.
fn leads(link: &LinkedRecord, values: &[String], right: &Record) -> bool {
    let Some(sought) = link.sought(values) else { return true };
    let set = right.at(&[link.property()]).is_some_and(|id| !is_empty(&id));
    if link.otherwise == Otherwise::Create || !set {
        return set;
    }
    let alike = |(column, value): &(&str, &String)| {
        let held = right.at(&[link.navigation.clone(), (*column).to_owned()]);
        // Dynamics 365 finds texts whatever their case.
        let (value, held) = (value.to_lowercase(), held.map(|held| held.to_lowercase()));
        mean_same(Some(&value), held.as_deref())
    };
    sought.iter().all(alike)
}

impl LinkedRecord {
    /// The values by which a record is found, from the results of all programs; none if all are empty.
    pub(super) fn sought<'v>(&self, values: &'v [String]) -> Option<Vec<(&str, &'v String)>> {
        let value = |column: &String| self.fields.iter().zip(values).find(|(program, _)| program.path == [column.clone()]);
        let sought: Vec<(&str, &String)> =
            self.by.iter().filter_map(|column| value(column).map(|(_, value)| (column.as_str(), value))).collect();
        sought.iter().any(|(_, value)| !is_empty(value)).then_some(sought)
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
