//! What a plan costs: calls by the vendor's documented rule beside our own, requests, and time under the limits. Pure arithmetic.
//!
//! The vendor counts *engine calls* in Campaign: an insert is one, a delete is one, an update is two, or one where nothing has
//! changed (its documentation of the integration, best practices). Here an insert, an update and a delete are one call each, and a
//! record whose result is the same as what was last written is not one.

use crate::count::{counted, grouped};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::{Direction, ExecutionPlan};

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// What bounds a run, and what is assumed of the services.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// Records in a page of Dataverse.
    pub page_size: u32,
    /// Rows in a bulk request to Dataverse.
    pub bulk_size: u32,
    /// Requests to one host at the same time.
    pub concurrency: usize,
    /// Assumed: from the beginning of a request to the end of its answer, in milliseconds.
    pub latency_milliseconds: u64,
    /// Requests to Dataverse in a second, where bounded.
    pub dynamics_per_second: Option<u32>,
    /// Requests to Campaign in a second, where bounded.
    pub campaign_per_second: Option<u32>,
    /// Requests to Dataverse in a day, where bounded; each row of a bulk request counts.
    pub dynamics_per_day: Option<u64>,
    /// Requests to Campaign in a day, where bounded.
    pub campaign_per_day: Option<u64>,
}

/// What workflows cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// By workflow, in the plan's order.
    pub workflows: Vec<WorkflowEstimate>,
    /// All first loads together, since they share the limits.
    pub first_load: Step,
    /// What it rests on.
    pub pace: Pace,
}

/// What one workflow costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkflowEstimate {
    /// Its name.
    pub name: String,
    /// Where its records come from, where they go to.
    pub route: String,
    /// How many records or events there are, if the number is known.
    pub records: Option<u64>,
    /// What happens to them.
    pub steps: Vec<Step>,
}

/// What is done to all records, and what that costs at most: a record that the filter keeps out costs no write.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What.
    pub what: String,
    /// Engine calls in Campaign by the vendor's rule; none if that says nothing.
    pub vendor_engine_calls: Option<u64>,
    /// Calls to Campaign here.
    pub campaign_calls: u64,
    /// Requests to Dataverse here.
    pub dataverse_requests: u64,
    /// Of a day's budget of Dataverse: each row of a bulk request counts.
    pub dataverse_entitlement: u64,
    /// How long it takes under the limits.
    pub seconds: f64,
}

impl Pace {
    fn step(&self, what: &str, vendor: Option<u64>, campaign: u64, requests: u64, entitlement: u64) -> Step {
        let rate = |per_second: Option<u32>| {
            let bearable = self.concurrency.max(1) as f64 / Duration::from_millis(self.latency_milliseconds.max(1)).as_secs_f64();
            per_second.map_or(bearable, |limit| bearable.min(f64::from(limit)))
        };
        let time = |calls: u64, counted: u64, per_second: Option<u32>, per_day: Option<u64>| {
            let moving = calls as f64 / rate(per_second);
            // A day's budget that is spent before the day is over waits for the next day.
            let waiting = per_day.map_or(0.0, |limit| {
                let full_days = counted.saturating_sub(1) / limit.max(1);
                let rest = counted.saturating_sub(full_days.saturating_mul(limit));
                full_days as f64 * DAY + moving * rest as f64 / counted.max(1) as f64
            });
            moving.max(waiting)
        };
        // Reading and writing continue side by side: the slower one counts.
        let seconds = time(campaign, campaign, self.campaign_per_second, self.campaign_per_day).max(time(
            requests,
            entitlement,
            self.dynamics_per_second,
            self.dynamics_per_day,
        ));
        Step {
            what: what.to_owned(),
            vendor_engine_calls: vendor,
            campaign_calls: campaign,
            dataverse_requests: requests,
            dataverse_entitlement: entitlement,
            seconds,
        }
    }
}

/// Returns what a plan costs, if its workflows have these numbers of records. Tables that a mapping follows beside its own are counted under
/// their names.
pub fn estimate(plan: &ExecutionPlan, records: &BTreeMap<String, u64>, pace: Pace) -> Estimate {
    let mut workflows = Vec::new();
    let (mut vendor, mut campaign, mut requests, mut entitlement) = (0, 0, 0, 0);
    for flow in &plan.ingress {
        let count = records.get(&flow.name).copied();
        let pages_of = |n: u64| n.div_ceil(u64::from(pace.page_size.max(1))).max(1);
        let mut steps = count.map_or_else(Vec::new, |n| {
            let pages = pages_of(n);
            // Each record may be searched for by every field of `adopt`.
            let first = n.saturating_mul(1 + flow.adopt.len() as u64);
            vendor += n;
            campaign += first;
            requests += pages;
            entitlement += pages;
            vec![
                pace.step("first load, all created", Some(n), first, pages, pages),
                pace.step("all changed", Some(n.saturating_mul(2)), n, pages, pages),
                pace.step("replay, nothing changed", Some(n), 0, pages, pages),
                pace.step("all deleted", Some(n), n, pages, pages),
            ]
        });
        // Tables that are followed are read once, before the first load; then a request with each round.
        for table in flow.related.tables.iter().filter(|_| count.is_some()) {
            if let Some(n) = records.get(&table.table) {
                let pages = pages_of(*n);
                requests += pages;
                entitlement += pages;
                steps.push(pace.step(&format!("read {}", table.table), Some(0), 0, pages, pages));
            }
        }
        workflows.push(WorkflowEstimate {
            name: flow.name.clone(),
            route: format!("{} -> {}", flow.source.table, flow.target.table),
            records: count,
            steps,
        });
    }
    for flow in &plan.optouts {
        let name = flow.workflow();
        // At most: a consent that is the same on both sides is not written. Towards Campaign it is part of an update, or one.
        let count = records.get(&name).copied();
        let steps = count.map_or_else(Vec::new, |n| {
            // A topic: the profile and its subscriptions are read, and each subscription is a request.
            let calls = if flow.topics { n * (2 + flow.pairs.len() as u64) } else { n };
            // One request for each contact, under the version that was compared.
            let mut steps = vec![pace.step("all changed in Dynamics", None, calls, 0, 0)];
            if flow.direction != Direction::D365ToCampaign {
                steps.push(pace.step("all changed in Campaign", None, 0, n, n));
            }
            steps
        });
        workflows.push(WorkflowEstimate {
            name,
            route: format!("{} of {}", if flow.topics { "topics" } else { "opt-outs" }, flow.mapping),
            records: count,
            steps,
        });
    }
    for flow in &plan.events {
        let count = records.get(&flow.name).copied();
        let steps = count.map_or_else(Vec::new, |n| {
            // Made by one bulk request, completed by another; a third makes the tasks. At most: not every type has one.
            let tasks = flow.activities.iter().any(|a| a.task.is_some());
            let times = 1 + u64::from(flow.completed) + u64::from(tasks);
            let bulks = n.div_ceil(u64::from(pace.bulk_size.max(1))) * times;
            vec![pace.step("all created", None, 0, bulks, n * times)]
        });
        workflows.push(WorkflowEstimate { name: flow.name.clone(), route: format!("events -> {}", flow.table), records: count, steps });
    }
    let first_load = pace.step("first loads together", Some(vendor), campaign, requests, entitlement);
    Estimate { workflows, first_load, pace }
}

impl Estimate {
    /// For people.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail, here and below.
        for workflow in &self.workflows {
            let _ = match workflow.records {
                Some(records) => writeln!(out, "{}: {}, {}", workflow.name, workflow.route, counted(records, "record")),
                None => writeln!(out, "{0}: {1}, of unknown number; `--records {0}=N` says how many", workflow.name, workflow.route),
            };
            if workflow.steps.is_empty() {
                continue;
            }
            let _ = writeln!(out, "  {:<26}{:>16}{:>16}{:>16}   time", "", "engine (vendor)", "Campaign", "Dataverse");
            workflow.steps.iter().for_each(|step| line(&mut out, step));
        }
        if self.first_load.campaign_calls > 0 && self.workflows.iter().filter(|w| w.records.is_some()).count() > 1 {
            line(&mut out, &self.first_load);
        }
        let pace = &self.pace;
        let bound = |limit: Option<u64>, unit: &str| limit.map_or_else(String::new, |n| format!(", {} a {unit}", grouped(n)));
        let _ = writeln!(
            out,
            "assumed: {} ms for a request, {} at the same time; Dataverse: pages of {}, bulks of {}{}{}; Campaign: one record a call{}{}",
            pace.latency_milliseconds,
            pace.concurrency,
            pace.page_size,
            pace.bulk_size,
            bound(pace.dynamics_per_second.map(u64::from), "second"),
            bound(pace.dynamics_per_day, "day"),
            bound(pace.campaign_per_second.map(u64::from), "second"),
            bound(pace.campaign_per_day, "day"),
        );
        out
    }
}

fn line(out: &mut String, step: &Step) {
    let vendor = step.vendor_engine_calls.map_or_else(|| "-".to_owned(), grouped);
    let _ = writeln!(
        out,
        "  {:<26}{vendor:>16}{:>16}{:>16}   {}",
        step.what,
        grouped(step.campaign_calls),
        grouped(step.dataverse_requests),
        duration(step.seconds)
    );
}

/// A duration in its two largest units: `2 h 46 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole % 86_400 / 3600, whole % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => two(minutes, "min", whole % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

fn two(large: u64, of: &str, small: u64, than: &str) -> String {
    if small == 0 { format!("{large} {of}") } else { format!("{large} {of} {small} {than}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        page_size: 1000,
        bulk_size: 100,
        concurrency: 8,
        latency_milliseconds: 200,
        dynamics_per_second: None,
        campaign_per_second: None,
        dynamics_per_day: None,
        campaign_per_day: None,
    };

    #[test]
    fn time_is_that_of_the_tightest_limit() {
        let seconds = |pace: Pace| pace.step("", None, 100_000, 100, 100).seconds;
        assert_eq!(seconds(PACE), 2500.0, "8 at the same time with 200 ms each are 40 a second");
        assert_eq!(seconds(Pace { campaign_per_second: Some(10), ..PACE }), 10_000.0);
        assert_eq!(seconds(Pace { campaign_per_second: Some(1000), ..PACE }), 2500.0);
        assert_eq!(seconds(Pace { campaign_per_day: Some(40_000), ..PACE }), 2.0 * DAY + 500.0, "the rest on the third day");
        assert_eq!(seconds(Pace { campaign_per_day: Some(100_000), ..PACE }), 2500.0);
        assert_eq!(seconds(Pace { dynamics_per_second: Some(1), latency_milliseconds: 0, ..PACE }), 100.0);
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, text) in [(0.0, "0 s"), (59.2, "1 min"), (3599.0, "59 min 59 s"), (9960.0, "2 h 46 min"), (200_000.0, "2 d 7 h")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
