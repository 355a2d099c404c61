//! What the demonstration prints for people: one contact beside its profile, then what each run did.

use serde_json::Value;

use super::DemoRun;
use crate::plan::{FieldProgram, IngressFlow, Piece, Read, SlotKind, Source};
use crate::state::DeadLetter;

/// The demonstration fits on a screen: more fields are not shown.
const MOST: usize = 14;

/// Longer values are cut when they are shown.
const WIDEST: usize = 38;

/// One field of the example on both sides: its name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    from: (String, String),
    to: (String, String),
}

/// The fields of a contact and of its profile that the mapping connects, without those that the contact does not have.
pub fn pairs(flow: &IngressFlow, contact: &Value, profile: &Value) -> Vec<Pair> {
    let pair = |program: &FieldProgram| {
        let mut from: Vec<(&str, String)> = reads(&program.source)
            .into_iter()
            .filter_map(|read| Some((flow.source.slots.get(read.slot as usize)?.field.as_str(), source_value(flow, read, contact))))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        if matches!(program.source, Source::Coalesce(_)) {
            from.truncate(1);
        }
        let (names, values): (Vec<&str>, Vec<String>) = from.into_iter().unzip();
        let written = program.path.iter().try_fold(profile, |at, name| at.get(name)).map(text).unwrap_or_default();
        Pair { from: (names.join(", "), values.join(" ")), to: (program.path.join("."), written) }
    };
    // Opt-outs have a workflow of their own, whose numbers follow.
    let all = std::iter::once(&flow.key).chain(flow.fields.iter().filter(|program| !program.create_only)).map(pair);
    all.filter(|p| !p.from.1.is_empty()).take(MOST).collect()
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
        Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().collect(),
        Source::Constant(_) => Vec::new(),
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
fn source_value(flow: &IngressFlow, read: &Read, contact: &Value) -> String {
    let Some(slot) = flow.source.slots.get(read.slot as usize) else { return String::new() };
    let label = format!("{}@{}", slot.wire, crate::plan::FORMATTED_VALUE);
    match (slot.kind, contact.get(&label)) {
        (SlotKind::Integer, Some(label)) => text(label),
        _ => contact.get(&slot.wire).map(text).unwrap_or_default(),
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

/// The contact and its profile, side by side.
pub fn side_by_side(pairs: &[Pair]) -> String {
    let rows: Vec<[String; 4]> = pairs
        .iter()
        .map(|p| [p.from.0.clone(), shown(&p.from.1), p.to.0.clone(), shown(&p.to.1)].map(|cell| cell.trim_end().to_owned()))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (width(0), width(1), width(2));
    let left = a + 2 + b;
    let mut out = format!("{:<left$}      {}\n", "A contact in Dynamics 365", "Its profile in Campaign");
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
        let calls = |api: &str| run.calls.api(api).calls;
        let seconds = run.summary.milliseconds as f64 / 1000.0;
        out.push_str(&format!(
            "{}: {seconds:.1} s, {} calls to Campaign, {} to Dynamics\n",
            run.title,
            calls("campaign"),
            calls("dataverse")
        ));
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
