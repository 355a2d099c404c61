//! What the demonstration prints for people: a record beside the one that it became, then what each run did.

use serde::Serialize;
use serde_json::Value;

use super::DemoRun;
use crate::plan::{FieldProgram, IngressFlow, Piece, Read, Slot, SlotKind, Source, TwoWayFlow};
use crate::store::DeadLetter;

/// The demonstration fits on a screen: more fields are not shown.
const MOST: usize = 14;

/// Longer values are cut when they are shown.
const WIDEST: usize = 38;

/// Fields with longer names are not shown.
const LONGEST_NAME: usize = 40;

/// The services whose calls are shown: the name of the API in the statistics, and the name for people.
const SERVICES: [(&str, &str); 3] = [("campaign", "Campaign"), ("partner-center", "Partner Center"), ("dataverse", "Dynamics")];

/// One field of the example on both sides: its name and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    from: (String, String),
    to: (String, String),
}

/// The fields of a contact and of its profile that the mapping connects, without those that the contact does not have.
pub fn pairs(flow: &IngressFlow, contact: &Value, profile: &Value) -> Vec<Pair> {
    // Opt-outs are a separate workflow, whose numbers follow.
    let all = std::iter::once(&flow.key).chain(flow.fields.iter().filter(|program| !program.create_only));
    chosen(all.map(|program| pair(&flow.source.slots, program, contact, profile)))
}

/// The fields of a referral and of its opportunity, and of the records that the opportunity leads to.
pub fn to_opportunity(flow: &TwoWayFlow, referral: &Value, opportunity: &Value) -> Vec<Pair> {
    let own = flow.forward.iter().map(|program| pair(&flow.left.slots, program, referral, opportunity));
    let linked = flow.links.iter().flat_map(|link| {
        link.fields.iter().map(|program| {
            let pair = pair(&flow.left.slots, program, referral, &opportunity[&link.navigation]);
            Pair { to: (format!("{}.{}", link.table.trim_start_matches("d365."), pair.to.0), pair.to.1), ..pair }
        })
    });
    chosen(own.chain(linked))
}

/// The fields of an opportunity and of its referral.
pub fn to_referral(flow: &TwoWayFlow, opportunity: &Value, referral: &Value) -> Vec<Pair> {
    chosen(flow.backward.iter().map(|program| pair(&flow.right.slots, program, opportunity, referral)))
}

/// The pairs that are shown.
fn chosen(pairs: impl Iterator<Item = Pair>) -> Vec<Pair> {
    let fits = |name: &str| name.chars().count() <= LONGEST_NAME;
    pairs.filter(|pair| !pair.from.1.is_empty() && fits(&pair.from.0) && fits(&pair.to.0)).take(MOST).collect()
}

/// A field mapping with the values of both records.
fn pair(slots: &[Slot], program: &FieldProgram, source: &Value, target: &Value) -> Pair {
    let mut from: Vec<(&str, String)> = reads(&program.source)
        .into_iter()
        .filter_map(|read| slots.get(read.slot as usize))
        .map(|slot| (slot.field.as_str(), source_value(slot, source)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    if matches!(program.source, Source::Coalesce(_)) {
        from.truncate(1);
    }
    let (names, values): (Vec<&str>, Vec<String>) = from.into_iter().unzip();
    let written = at(target, program.path.iter().map(String::as_str)).map(text).unwrap_or_default();
    Pair { from: (names.join(", "), values.join(" ")), to: (program.path.join("."), written) }
}

/// The value at a path, which may lead through lists.
fn at<'a>(record: &'a Value, mut path: impl Iterator<Item = &'a str>) -> Option<&'a Value> {
    path.try_fold(record, |at, name| at.get(name).or_else(|| at.get(name.parse::<usize>().ok()?)))
}

/// How much there is to see: fields whose value changes on the way. None if a letter has another width than Latin ones, which the columns
/// do not allow for.
pub fn interest(pairs: &[Pair]) -> Option<usize> {
    let latin = |text: &str| text.chars().all(|c| c < '\u{0250}');
    let fits = pairs.iter().all(|p| latin(&p.from.1) && latin(&p.to.1));
    fits.then(|| pairs.iter().filter(|p| p.from.1 != p.to.1).count() + pairs.len())
}

fn reads(source: &Source) -> Vec<&Read> {
    match source {
        Source::Field(read) => vec![read],
        Source::Lookup(by) => by.keys.iter().collect(),
        Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().collect(),
        Source::Constant(_) | Source::Case(_) => Vec::new(),
        Source::Formula(formula) => formula.term.reads(),
        Source::Template(pieces) => pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Field(read) => Some(read),
                Piece::Text(_) => None,
            })
            .collect(),
    }
}

/// A value as Dynamics shows it: options by their labels.
fn source_value(slot: &Slot, record: &Value) -> String {
    let label = format!("{}@{}", slot.wire, crate::plan::FORMATTED_VALUE);
    match (slot.kind, record.get(&label)) {
        (SlotKind::Integer, Some(label)) => text(label),
        _ => record.get(&slot.wire).or_else(|| at(record, slot.wire.split('.'))).map(text).unwrap_or_default(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as it is shown: in quotes if it begins or ends with a space.
fn shown(value: &str) -> String {
    let value = if value.trim() == value { value.to_owned() } else { format!("\"{value}\"") };
    if value.chars().count() > WIDEST { format!("{}…", value.chars().take(WIDEST - 1).collect::<String>()) } else { value }
}

/// Two records side by side, below their headings.
pub fn side_by_side(headings: [&str; 2], pairs: &[Pair]) -> String {
    let rows: Vec<[String; 4]> = pairs
        .iter()
        .map(|p| [p.from.0.clone(), shown(&p.from.1), p.to.0.clone(), shown(&p.to.1)].map(|cell| cell.trim_end().to_owned()))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    let left = a + 2 + b;
    let [heading, other] = headings;
    let mut out = format!("{heading:<left$}      {other}\n");
    for [from, value, to, written] in &rows {
        let line = format!("{from:<a$}  {value:<b$}  ->  {to:<c$}  {written}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What the runs did: a line for each workflow, below a line for the run.
pub fn numbers(runs: &[DemoRun], letters: &[DeadLetter]) -> String {
    let names = runs.iter().flat_map(|run| &run.summary.flows).map(|flow| flow.mapping.chars().count());
    let width = names.max().unwrap_or(0).max(12);
    let heads = ["read", "created", "updated", "deleted", "unchanged", "filtered", "rejected"];
    let mut out = format!("  {:width$}{}\n", "", heads.map(|head| format!("{head:>11}")).concat());
    for run in runs {
        let seconds = run.summary.milliseconds as f64 / 1000.0;
        let calls: Vec<String> = SERVICES
            .iter()
            .map(|(api, name)| (run.calls.api(api).calls, name))
            .filter(|(calls, _)| *calls > 0)
            .enumerate()
            .map(|(place, (calls, name))| format!("{calls}{} to {name}", if place == 0 { " calls" } else { "" }))
            .collect();
        out.push_str(&format!("{}: {seconds:.1} s, {}\n", run.title, calls.join(", ")));
        for flow in &run.summary.flows {
            let counts =
                [flow.read, flow.created, flow.updated, flow.deleted, flow.unchanged, flow.filtered_out, flow.rejected + flow.failed];
            out.push_str(&format!("  {:width$}{}\n", flow.mapping, counts.map(|count| format!("{count:>11}")).concat()));
        }
        for (name, reason) in &run.summary.failed {
            out.push_str(&format!("  {name} failed: {reason}\n"));
        }
    }
    for letter in letters.iter().take(2) {
        out.push_str(&format!("Kept as a dead letter: contact {}\n  {}\n", letter.source_id, letter.failure.message));
    }
    out
}
