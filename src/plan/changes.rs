//! What differs between two plans, and what the change costs: which workflows read their records again, and how many records they may write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::{ExecutionPlan, IngressFlow, fingerprint, print};
use crate::count::counted;

/// What happened to a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Only the new plan has it.
    Added,
    /// Only the old plan has it.
    Removed,
    /// Both have it, and it does something else now.
    Changed,
}

/// What a run does because of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// All records are read again, and those that come out otherwise are written.
    ReadAgain,
    /// All records are read for the first time.
    FirstLoad,
    /// The run refuses: the records of the target have the old key.
    KeyChanged,
    /// What is written next is written by the new plan; nothing is read again.
    FromNowOn,
    /// The workflow is no longer run; what it has written stays.
    NoLongerRun,
}

/// One workflow that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkflowChange {
    /// Its name; opt-outs are `MAPPING.optout`, topics `MAPPING.topics`.
    pub name: String,
    /// Its name in the old plan, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// What happened to it.
    pub change: ChangeKind,
    /// What a run does because of it.
    pub effect: Effect,
    /// What it no longer does, as `plan` writes it.
    pub before: Vec<String>,
    /// What it does instead, or in addition.
    pub after: Vec<String>,
    /// How many records it has; none if that is not known.
    pub records: Option<u64>,
    /// Requests that read all of them; none if their number is not known.
    pub read_calls: Option<u64>,
    /// Records that may be written, at most.
    pub writes_at_most: Option<u64>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// All workflows that differ, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanChanges {
    /// By name.
    pub workflows: Vec<WorkflowChange>,
    /// How many workflows are the same.
    pub unchanged: usize,
}

/// A workflow as it is compared.
struct Compared {
    /// Tells versions apart.
    fingerprint: String,
    text: String,
    kind: Compares,
    /// What it reads and writes: a run continues with the state of a workflow that has another name now.
    tables: String,
    key: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compares {
    Records,
    Pairs,
    OptOuts,
    Events,
}

fn workflows(plan: &ExecutionPlan) -> BTreeMap<String, Compared> {
    let mut all = BTreeMap::new();
    for flow in &plan.ingress {
        let tables = format!("{} -> {}", flow.source.table, flow.target.collection);
        let (fingerprint, text) = (IngressFlow::fingerprint(flow), print::flow_text(plan, flow));
        all.insert(flow.name.clone(), Compared { fingerprint, text, kind: Compares::Records, tables, key: flow.key_identity() });
    }
    for flow in &plan.optouts {
        let (fingerprint, text) = (fingerprint(flow), print::optout_text(plan, flow));
        let compared = Compared { fingerprint, text, kind: Compares::OptOuts, tables: String::new(), key: String::new() };
        all.insert(flow.workflow(), compared);
    }
    for flow in &plan.events {
        let (fingerprint, text) = (fingerprint(flow), print::events_text(plan, flow));
        let tables = format!("events -> {}", flow.table);
        all.insert(flow.name.clone(), Compared { fingerprint, text, kind: Compares::Events, tables, key: String::new() });
    }
    for flow in &plan.two_way {
        let (fingerprint, text) = (fingerprint(flow), print::two_way_text(plan, flow));
        let tables = format!("{} <-> {}", flow.left.table, flow.right.table);
        all.insert(flow.name.clone(), Compared { fingerprint, text, kind: Compares::Pairs, tables, key: flow.right.key.clone() });
    }
    all
}

/// The old name of a workflow that is new: that of the only one that is gone and read and wrote the same.
fn old_name<'o>(name: &str, old: &'o BTreeMap<String, Compared>, new: &BTreeMap<String, Compared>) -> Option<&'o str> {
    let after = new.get(name).filter(|after| !old.contains_key(name) && !after.tables.is_empty())?;
    let mut gone = old.iter().filter(|(old, before)| !new.contains_key(*old) && before.tables == after.tables && before.key == after.key);
    let (before, _) = gone.next()?;
    gone.next().is_none().then_some(before.as_str())
}

/// Compares two plans. `records` are the numbers of records by workflow, as far as they are known; `page_size` the records in a page.
pub fn changes(old: &ExecutionPlan, new: &ExecutionPlan, records: &BTreeMap<String, u64>, page_size: u32) -> PlanChanges {
    let (old, new) = (workflows(old), workflows(new));
    let renamed: BTreeMap<&str, &str> = new.keys().filter_map(|name| Some((name.as_str(), old_name(name, &old, &new)?))).collect();
    let gone = old.keys().filter(|name| !new.contains_key(*name) && !renamed.values().any(|was| was == name));
    let names: BTreeSet<&str> = new.keys().chain(gone).map(String::as_str).collect();
    let mut found = PlanChanges::default();
    for name in names {
        let renamed_from = renamed.get(name).copied();
        let (before, after) = (old.get(renamed_from.unwrap_or(name)), new.get(name));
        let (change, effect) = match (before, after) {
            (Some(before), Some(after)) if before.fingerprint == after.fingerprint && before.text == after.text => {
                found.unchanged += 1;
                continue;
            }
            (Some(before), Some(after)) => (ChangeKind::Changed, effect(before, after)),
            (None, Some(after)) if after.kind == Compares::Events => (ChangeKind::Added, Effect::FromNowOn),
            (None, _) => (ChangeKind::Added, Effect::FirstLoad),
            (Some(_), None) => (ChangeKind::Removed, Effect::NoLongerRun),
        };
        let text = |side: Option<&Compared>| side.map(|side| side.text.clone()).unwrap_or_default();
        let (removed, added, lines) = difference(&text(before), &text(after));
        let known = records.get(name).or_else(|| records.get(renamed_from?)).copied();
        let known = known.filter(|_| matches!(effect, Effect::ReadAgain | Effect::FirstLoad));
        found.workflows.push(WorkflowChange {
            name: name.to_owned(),
            renamed_from: renamed_from.map(str::to_owned),
            change,
            effect,
            records: known,
            read_calls: known.map(|n| n.div_ceil(u64::from(page_size.max(1))).max(1)),
            writes_at_most: known,
            before: removed,
            after: added,
            lines,
        });
    }
    found
}

fn effect(before: &Compared, after: &Compared) -> Effect {
    match after.kind {
        Compares::Records | Compares::Pairs if before.key != after.key => Effect::KeyChanged,
        Compares::Records | Compares::Pairs | Compares::OptOuts if before.fingerprint != after.fingerprint => Effect::ReadAgain,
        Compares::Records | Compares::Pairs | Compares::OptOuts | Compares::Events => Effect::FromNowOn,
    }
}

/// The lines that only the old and only the new text has, and both with their signs.
fn difference(before: &str, after: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut removed, mut added, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    // Columns are as wide as the longest name, which does not count as a difference.
    let plain = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect::<String>();
    let (before, after) = (plain(before), plain(after));
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let line = change.value().trim_end().to_owned();
        match change.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => {
                lines.push(format!("- {line}"));
                removed.push(line);
            }
            ChangeTag::Insert => {
                lines.push(format!("+ {line}"));
                added.push(line);
            }
        }
    }
    (removed, added, lines)
}

impl WorkflowChange {
    /// The lines that differ, each after `- ` or `+ `, in the order of the texts.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    fn cost(&self) -> String {
        let (name, records) = (&self.name, self.records.map(|n| counted(n, "record")));
        let calls = self.read_calls.map(|n| counted(n, "request"));
        match (self.effect, records, calls) {
            (Effect::ReadAgain, Some(records), Some(calls)) => {
                format!("all records are read again: {records} in {calls}; those whose values differ are written, {records} at most")
            }
            (Effect::ReadAgain, ..) => {
                format!("all records are read again, and those whose values differ are written; for the cost, add `--records {name}=N`")
            }
            (Effect::FirstLoad, Some(records), Some(calls)) => format!("first load: {records} in {calls}, {records} to write at most"),
            (Effect::FirstLoad, ..) => format!("first load; for the cost, add `--records {name}=N`"),
            (Effect::KeyChanged, ..) => {
                format!(
                    "a run refuses the new key: the records that exist have the old one. Give the mapping another name, or run `d365map state drop {name}` to start over"
                )
            }
            (Effect::FromNowOn, ..) => "nothing is read again: what comes from now on is written this way".to_owned(),
            (Effect::NoLongerRun, ..) => "it is no longer run; what it has written stays".to_owned(),
        }
    }
}

impl PlanChanges {
    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for workflow in &self.workflows {
            let change = match workflow.change {
                ChangeKind::Added => "added",
                ChangeKind::Removed => "removed",
                ChangeKind::Changed => "changed",
            };
            // Writing into a String cannot fail, here and below.
            let _ = match &workflow.renamed_from {
                Some(before) => {
                    writeln!(out, "{}: {change}; it was called `{before}`, and continues with the state of that name", workflow.name)
                }
                None => writeln!(out, "{}: {change}", workflow.name),
            };
            if workflow.change == ChangeKind::Changed {
                for line in &workflow.lines {
                    let _ = writeln!(out, "  {line}");
                }
            }
            let _ = writeln!(out, "  => {}", workflow.cost());
        }
        let same = counted(self.unchanged, "workflow");
        let _ = match self.workflows.is_empty() {
            true => writeln!(out, "no differences in {same}"),
            false => writeln!(out, "{} changed, {} unchanged", counted(self.workflows.len(), "workflow"), self.unchanged),
        };
        out
    }
}
