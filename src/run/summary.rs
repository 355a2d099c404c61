//! What a run has done, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::counters::Counters;
use crate::count::counted;
use crate::engine::events::Note;
use crate::printable::inline;
use crate::store::{Recovery, RunId, RunOutcome, Waiting};

/// What a run has done. Counts are of records, unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The run's number.
    pub run: RunId,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it found of a run that was interrupted.
    pub recovery: Recovery,
    /// By flow.
    pub flows: Vec<FlowSummary>,
    /// Workflows that were left out, being stopped by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Workflows that had failed at the end of a watch, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<(String, String)>,
    /// From start to end.
    pub milliseconds: u64,
}

/// What a run has done in one flow.
#[derive(Clone, Debug, Serialize)]
pub struct FlowSummary {
    /// The mapping.
    pub mapping: String,
    /// Source records read, tombstones included.
    pub read: u64,
    /// Pages read.
    pub pages: u64,
    /// Created at the target.
    pub created: u64,
    /// Updated at the target.
    pub updated: u64,
    /// Deleted at the target.
    pub deleted: u64,
    /// Equal to what was last written: no call.
    pub unchanged: u64,
    /// Kept out by the filter.
    pub filtered_out: u64,
    /// Deleted in the source, without effect on the target.
    pub deletes_without_effect: u64,
    /// Not mapped.
    pub rejected: u64,
    /// Refused by the target.
    pub failed: u64,
    /// Postponed attempts.
    pub retried: u64,
    /// Records of forgotten persons, which are not stored.
    pub forgotten: u64,
    /// Operations still waiting.
    pub backlog: u64,
    /// Of them, those that wait for records of other mappings, by mapping.
    pub waiting_for: Vec<Waiting>,
    /// Rejected and refused records by line, field and code.
    pub rejections: Vec<RejectionSummary>,
    /// Counts that only some kinds of flows have, by their words.
    pub notes: BTreeMap<&'static str, u64>,
}

/// Records that failed for one reason at one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectionSummary {
    /// The line of the mapping file: `mappings/contacts.d365map:12:3`.
    pub place: String,
    /// The field.
    pub field: String,
    /// The diagnostic's code, or the service's.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// How many records.
    pub count: u64,
    /// One of them: its id in the source.
    pub example: String,
}

/// For people: `mappings/contacts.d365map:12:3 email: the text is not an e-mail address (D901) 3 records, such as c0…`.
impl std::fmt::Display for RejectionSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, field, code, message, count, example } = self;
        let [place, field, code, message, example] = [place, field, code, message, example].map(|text| inline(text));
        write!(f, "{place} {field}: {message} ({code}) {}, such as {example}", counted(*count, "record"))
    }
}

impl Summary {
    pub(super) fn new(
        run: RunId,
        outcome: RunOutcome,
        recovery: Recovery,
        counters: &Counters,
        names: &[String],
        backlogs: &[(u64, Vec<Waiting>)],
        duration: Duration,
    ) -> Summary {
        let flows = names
            .iter()
            .zip(backlogs)
            .map(|(name, (backlog, waiting_for))| {
                let c = counters.flow(name);
                FlowSummary {
                    mapping: name.clone(),
                    read: c.read.get(),
                    pages: c.pages.get(),
                    created: c.created.get(),
                    updated: c.updated.get(),
                    deleted: c.deleted.get(),
                    unchanged: c.unchanged.get(),
                    filtered_out: c.filtered_out.get(),
                    deletes_without_effect: c.deletes_without_effect.get(),
                    rejected: c.rejected.get(),
                    failed: c.failed.get(),
                    retried: c.retried.get(),
                    forgotten: c.forgotten.get(),
                    backlog: *backlog,
                    waiting_for: waiting_for.clone(),
                    rejections: c.rejections(),
                    notes: c.notes().into_iter().map(|(note, count)| (words(note), count)).collect(),
                }
            })
            .collect();
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Summary { run, outcome, recovery, flows, left_out: Vec::new(), failed: Vec::new(), milliseconds }
    }

    /// Whether something needs attention: rejected or refused records, or operations that still wait.
    pub fn needs_attention(&self) -> bool {
        !self.failed.is_empty() || self.flows.iter().any(|f| f.rejected + f.failed + f.backlog > 0)
    }
}

/// The words for what only some kinds of workflows have.
pub(super) fn words(note: Note) -> &'static str {
    match note {
        Note::Adopted => "of the updated were adopted: they had no key before",
        Note::ContactsGone => "events whose contact was deleted",
        Note::Tasks => "follow-up tasks",
        Note::JournalGaps => "gaps in the journal",
        Note::ForeignProfiles => "events of profiles that are not the integration's",
        Note::ForgottenPersons => "events of persons who were forgotten",
        Note::UnreadableFiles => "export files that cannot be read",
        Note::OptOutDifferences => "differences need approval: `d365map optout reconcile`",
        Note::OptOutsToDecide => "opt-outs that only Campaign has need a decision: `d365map optout reconcile`",
    }
}

impl FlowSummary {
    /// The counts as lines for people, indented by two blanks.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = writeln!(out, "  read       {:>8}   in {}", self.read, counted(self.pages, "page"));
        let _ = writeln!(out, "  created    {:>8}", self.created);
        let _ = writeln!(out, "  updated    {:>8}", self.updated);
        let _ = writeln!(out, "  deleted    {:>8}", self.deleted);
        let _ = writeln!(out, "  unchanged  {:>8}   no call made", self.unchanged);
        let _ = writeln!(out, "  filtered   {:>8}   kept out by the filter", self.filtered_out);
        let _ = writeln!(out, "  rejected   {:>8}", self.rejected + self.failed);
        self.rejections.iter().for_each(|r| out.push_str(&format!("    {r}\n")));
        for (what, count) in &self.notes {
            let _ = writeln!(out, "  {count:>19}   {what}");
        }
        if self.deletes_without_effect > 0 {
            let _ = writeln!(out, "  deletes    {:>8}   without effect on the target", self.deletes_without_effect);
        }
        if self.forgotten > 0 {
            let _ = writeln!(out, "  forgotten  {:>8}   not stored: tombstones of forgotten persons", self.forgotten);
        }
        if self.backlog > 0 {
            let _ = writeln!(out, "  waiting    {:>8}   operations; run again", self.backlog);
        }
        for w in &self.waiting_for {
            let _ = writeln!(
                out,
                "    {:>8} for records of `{}`, such as {}, which waits for {}",
                w.records,
                w.parent,
                inline(&w.example),
                inline(&w.example_parent)
            );
        }
        out
    }
}
