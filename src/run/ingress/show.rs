//! Single records with their values: what they are in Dynamics, what the target has, and what a run would write. Changes nothing, and asks
//! the state only which persons were forgotten.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::adopt::{self, Candidate};
use super::due::fetch;
use super::reader::request;
use super::related::RelatedValues;
use crate::eval::{Evaluated, Evaluator, MappedField, raw_at};
use crate::plan::{ExecutionPlan, Fit, IngressFlow};
use crate::printable::inline;
use crate::run::workflow::{self, Kind};
use crate::run::{Options, RunError, Services};
use crate::store::Stores;
use crate::systems::{RecordKey, Row, Source, Table, Target};
use crate::time::Instant;

/// The longest value that is printed, in characters.
const LONGEST: usize = 60;

/// Which records are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Those with these ids.
    Ids(Vec<String>),
    /// The first ones of each mapping.
    Sample(u32),
}

/// A record, and what a run would do with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownRecord {
    /// The mapping.
    pub mapping: String,
    /// The record's id in Dynamics.
    pub id: String,
    /// What happens to it.
    #[serde(flatten)]
    pub result: ShownResult,
}

/// What happens to a record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum ShownResult {
    /// Dynamics has no such record.
    NotFound,
    /// The person was forgotten: nothing is written.
    Forgotten,
    /// The filter keeps it out.
    Filtered {
        /// The place of the filter.
        place: String,
    },
    /// It cannot be mapped.
    Rejected {
        /// The code.
        code: String,
        /// The faulty field.
        field: String,
        /// What is wrong.
        message: String,
        /// The line of the mapping file.
        place: String,
    },
    /// It is mapped.
    Mapped {
        /// The target's key.
        key: String,
        /// Whether a record is created: the target has no such record, and none to adopt.
        create: bool,
        /// The field by which a record without a key is found, which gets the key.
        #[serde(skip_serializing_if = "Option::is_none")]
        adopt: Option<String>,
        /// Its fields.
        fields: Vec<ShownField>,
    },
}

/// A field of the target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownField {
    /// Its path.
    pub field: String,
    /// What it is made of.
    pub sources: Vec<ShownSource>,
    /// What the target has; none if there is no record, or if it is a link, which the target shows in another form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the mapping gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// What a run does with the field.
    pub change: FieldChange,
}

/// What a run does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldChange {
    /// Its value is set or changes.
    Write,
    /// The target has the value.
    Same,
    /// The mapping leaves it as it is.
    Keep,
    /// Not known: a link.
    Unknown,
}

/// A field of the source.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownSource {
    /// Its name in the mapping file.
    pub field: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Records, and what cannot be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShownRecords {
    /// Each record with what a run would do with it.
    pub records: Vec<ShownRecord>,
    /// The two-way mappings that were asked for: a run decides about pairs of records, and not about one.
    pub two_way: Vec<String>,
}

/// Reads records and finds out what a run would do with each.
///
/// # Errors
/// [`RunError`].
pub async fn show(
    plan: &ExecutionPlan,
    services: &Services,
    stores: &Stores,
    options: &Options,
    shown: &Shown,
) -> Result<ShownRecords, RunError> {
    crate::run::check_environment(services, stores).await?;
    let mut records = Vec::new();
    let selected = workflow::selected(plan, options.mappings.as_deref())?;
    let two_way = selected.iter().filter(|workflow| workflow.kind == Kind::TwoWay).map(|workflow| workflow.name.clone()).collect();
    let flows: Vec<&IngressFlow> = selected.iter().filter(|w| w.kind == Kind::Ingress).filter_map(|w| plan.ingress.get(w.index)).collect();
    for flow in flows {
        let (source, target) = (services.source(flow)?, services.target(flow)?);
        let found = read(&*source, flow, shown).await?;
        let ids = found.iter().map(|(id, _)| id.clone()).collect();
        let forgotten = stores.privacy.forgotten_among(ids).await?;
        let evaluator = Evaluator::new(flow)?;
        let mut adopted = HashSet::new();
        let values = RelatedValues::of(flow, &*source, stores, found.iter().filter_map(|(_, record)| record.as_deref())).await?;
        for (id, record) in found {
            let record = record.map(|record| match &values {
                Some(values) => values.put_into(&record).0.into_owned(),
                None => record,
            });
            let result = match record {
                None => ShownResult::NotFound,
                Some(_) if forgotten.contains(&id) => ShownResult::Forgotten,
                Some(record) => {
                    let aim = Aim { plan, flow, target: &*target };
                    aim.outcome_of(&evaluator, &record, options.clock.now(), &mut adopted).await?
                }
            };
            records.push(ShownRecord { mapping: flow.name.clone(), id, result });
        }
    }
    // An id belongs to the records of one table.
    if matches!(shown, Shown::Ids(_)) {
        let known = |id: &str| records.iter().any(|r: &ShownRecord| r.id == id && r.result != ShownResult::NotFound);
        let elsewhere: Vec<bool> = records.iter().map(|r| r.result == ShownResult::NotFound && known(&r.id)).collect();
        let mut elsewhere = elsewhere.into_iter();
        records.retain(|_| !elsewhere.next().unwrap_or(false));
    }
    Ok(ShownRecords { records, two_way })
}

/// The records that are wanted, each with its id; `None` for one that is not there.
async fn read(source: &dyn Source, flow: &IngressFlow, shown: &Shown) -> Result<Vec<(String, Option<String>)>, RunError> {
    match shown {
        Shown::Ids(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| id.to_ascii_lowercase()).collect();
            let mut found = fetch(source, flow, &ids).await?;
            let no_ids = ids.iter().filter(|id| !source.is_id(id)).map(|id| (id.clone(), None));
            found.extend(no_ids.collect::<Vec<_>>());
            Ok(found.into_iter().map(|(id, record)| (id, record.map(|record| record.get().to_owned()))).collect())
        }
        Shown::Sample(records) => {
            let mut request = request(flow, source, None, *records);
            if let crate::systems::PageRequest::First { track_changes, .. } = &mut request {
                *track_changes = false;
            }
            let page = source.page(&request).await?;
            let id = |record: &str| {
                raw_at(record, flow.source.primary_property())
                    .and_then(|json| serde_json::from_str::<String>(&json).ok())
                    .unwrap_or_default()
            };
            let rows = page.rows.iter().take(*records as usize).filter_map(|row| match row {
                Row::Changed(record) => Some((id(record.get()), Some(record.get().to_owned()))),
                Row::Deleted { .. } | Row::Unusable { .. } => None,
            });
            Ok(rows.collect())
        }
    }
}

/// Where records go.
struct Aim<'a> {
    plan: &'a ExecutionPlan,
    flow: &'a IngressFlow,
    target: &'a dyn Target,
}

impl Aim<'_> {
    /// `adopted`: the records of the target that earlier records of this flow would adopt.
    async fn outcome_of(
        &self,
        evaluator: &Evaluator<'_>,
        record: &str,
        now: Instant,
        adopted: &mut HashSet<u64>,
    ) -> Result<ShownResult, RunError> {
        let (plan, flow) = (self.plan, self.flow);
        let mapped = match evaluator.evaluate(record, now) {
            Evaluated::Filtered { .. } => {
                let place = flow.filter.as_ref().map(|filter| plan.place(filter.at)).unwrap_or_default();
                return Ok(ShownResult::Filtered { place });
            }
            Evaluated::Rejected(rejection) => {
                let place = plan.place(rejection.at);
                let (code, field, message) = (rejection.code.to_owned(), rejection.field, rejection.message);
                return Ok(ShownResult::Rejected { code, field, message, place });
            }
            Evaluated::Mapped(mapped) => mapped,
        };
        let key = mapped.key.to_string();
        let attribute = flow.key.path.join(".");
        let table = Table { name: flow.target.name(), collection: &flow.target.collection };
        let there = self.target.get(RecordKey { table, attribute: &attribute, value: &key }).await?.map(|found| found.record);
        let values: BTreeMap<String, String> =
            mapped.fields().filter(|field| !field.unchanged).map(|field| (field.path.to_owned(), field.json())).collect();
        let candidate = match there {
            Some(_) => Candidate::Own,
            None => adopt::find(self.target, flow, &key, |path| values.get(path).map(String::as_str)).await?,
        };
        let (create, adopt) = match candidate {
            Candidate::Own => (false, None),
            Candidate::None => (true, None),
            // Of several records that find the same one, the first gets it.
            Candidate::One { found, by } if adopted.insert(found.identity()) => (false, Some(by.attribute)),
            Candidate::One { .. } => (true, None),
            Candidate::Several { by, count, more } => {
                let failure = adopt::ambiguous(plan, flow, &by, count, more);
                let (field, place) = (failure.field.unwrap_or_default(), plan.place(by.at));
                return Ok(ShownResult::Rejected { code: failure.code, field, message: failure.message, place });
            }
        };
        let fields = mapped.fields().map(|field| shown_field(flow, &field, record, there.as_ref())).collect();
        Ok(ShownResult::Mapped { key, create, adopt, fields })
    }
}

fn shown_field(flow: &IngressFlow, field: &MappedField<'_, '_>, record: &str, there: Option<&Value>) -> ShownField {
    let slots = field.program.columns().into_iter().filter_map(|slot| flow.source.slots.get(slot as usize));
    let value = |json: String| serde_json::from_str(&json).ok();
    let sources = slots.map(|slot| ShownSource { field: slot.field.clone(), value: raw_at(record, &slot.wire).and_then(value) }).collect();
    let after = value(field.json());
    let link = matches!(field.program.fit, Fit::Link { .. });
    let before = there.filter(|_| !link).map(|record| field.program.path.iter().fold(record, |at, name| &at[name.as_str()]).clone());
    let only_first = field.program.initial || field.program.create_only;
    let change = match (&before, there) {
        _ if field.unchanged || (only_first && there.is_some()) => FieldChange::Keep,
        (_, None) => FieldChange::Write,
        (None, Some(_)) => FieldChange::Unknown,
        (Some(before), _) if after.as_ref().is_some_and(|after| are_same(before, after)) => FieldChange::Same,
        (Some(_), _) => FieldChange::Write,
    };
    ShownField { field: field.path.to_owned(), sources, before, after, change }
}

/// Whether two values are the same to Campaign: an empty text is an empty field, and numbers have any number of zeros.
fn are_same(one: &Value, other: &Value) -> bool {
    let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    one == other || (empty(one) && empty(other)) || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

impl ShownRecord {
    /// Takes the values out: names and what happens to them stay.
    pub fn hide_values(&mut self) {
        let ShownResult::Mapped { fields, .. } = &mut self.result else { return };
        for field in fields {
            (field.before, field.after) = (None, None);
            field.sources.iter_mut().for_each(|source| source.value = None);
        }
    }

    /// For people. Without `values`, only names are shown.
    pub fn describe(&self, values: bool) -> String {
        let head = format!("{} {}", self.mapping, inline(&self.id));
        let (key, create, adopt, fields) = match &self.result {
            ShownResult::NotFound => return format!("{head}: there is no such record\n"),
            ShownResult::Forgotten => return format!("{head}: the person was forgotten; nothing is written\n"),
            ShownResult::Filtered { place } => return format!("{head}: filtered out by the filter at {place}\n"),
            ShownResult::Rejected { code, field, message, place } => {
                return format!("{head}: rejected, {code} {field}: {message} ({place})\n");
            }
            ShownResult::Mapped { key, create, adopt, fields } => (key, *create, adopt, fields),
        };
        let writes = fields.iter().filter(|field| matches!(field.change, FieldChange::Write | FieldChange::Unknown)).count();
        let operation = match (adopt, create, writes) {
            (Some(by), ..) => format!("adopt a record that has no key and is found by {by}, as"),
            (None, true, _) => "create".to_owned(),
            (None, false, 0) => "leave as it is".to_owned(),
            (None, false, _) => "update".to_owned(),
        };
        let mut out = format!("{head}: would {operation} {}\n", inline(key));
        let rows: Vec<[String; 4]> = fields.iter().map(|field| field.row(values)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (sources, target) = (width(1), width(2));
        for [sign, source, field, value] in rows {
            let line = format!("  {sign} {source:sources$} -> {field:target$}  {value}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

impl ShownField {
    /// Sign, sources, target, and old and new value.
    fn row(&self, values: bool) -> [String; 4] {
        let source = |source: &ShownSource| match &source.value {
            Some(value) if values => format!("{} {}", source.field, short(value)),
            None if values => format!("{} null", source.field),
            _ => source.field.clone(),
        };
        let sources: Vec<String> = self.sources.iter().map(source).collect();
        let (sign, note) = match self.change {
            FieldChange::Write => ("~", ""),
            FieldChange::Same => (" ", "(same)"),
            FieldChange::Keep => (" ", "(left as it is)"),
            FieldChange::Unknown => ("?", "(link)"),
        };
        let after = self.after.as_ref().map(short);
        let value = match (self.change, values, &self.before, after) {
            (FieldChange::Write, true, Some(before), Some(after)) => format!("{} => {after}", short(before)),
            (FieldChange::Write | FieldChange::Same | FieldChange::Unknown, true, _, Some(after)) => after,
            _ => String::new(),
        };
        let value = format!("{value} {note}").trim().to_owned();
        [sign.to_owned(), sources.join(", "), self.field.clone(), value]
    }
}

/// A value on one line, cut if it is long.
fn short(value: &Value) -> String {
    let text = value.to_string();
    let text = inline(&text);
    if text.chars().count() <= LONGEST {
        return text.into_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}
