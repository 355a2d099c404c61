//! Workflows: the parts of a plan that are started, stopped and shown by themselves, and the order in which they go.

use std::collections::BTreeMap;

use tracing::field::Empty;
use tracing::{Instrument, trace_span};

use super::{Context, RunError, binding, events, ingress, optout, two_way};
use crate::plan::{self, ExecutionPlan};

/// What a workflow moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records of a Dynamics table to a Campaign resource.
    Ingress,
    /// Opt-outs between contacts and profiles, where Campaign is a source.
    Optout,
    /// Marketing events to timelines.
    Events,
    /// Records that are kept in step both ways.
    TwoWay,
}

/// A part of a plan that runs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflow {
    /// How it is named in commands and in the state: the mapping's name; `NAME.optout` for a mapping's opt-outs, `NAME.topics` for its topics; the name of
    /// an `events` block or of a two-way mapping.
    pub name: String,
    /// What it moves.
    pub kind: Kind,
    /// Its place in the plan's list of that kind.
    pub index: usize,
}

impl Workflow {
    /// Reads all that there is and writes it; ends early where the context's `stop` is cancelled.
    pub(super) async fn round(&self, context: Context) -> Result<(), RunError> {
        let span = trace_span!(target: "d365map::span", "round", workflow = self.name, outcome = Empty, otel.status_code = Empty);
        let result = self.go(context).instrument(span.clone()).await;
        span.record("outcome", if result.is_ok() { "ok" } else { "failed" });
        if result.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        result
    }

    async fn go(&self, context: Context) -> Result<(), RunError> {
        binding::bind(&context.services, &context.stores).await?;
        let freed = context.stores.runs.free_flow(&self.name).await?;
        if freed > 0 {
            tracing::warn!(workflow = self.name, operations = freed, "what an earlier round left in its hands waits again");
        }
        match self.kind {
            Kind::Ingress => ingress::round(context, self.index).await,
            Kind::Optout => optout::round(context, self.index).await,
            Kind::Events => events::round(context, self.index).await,
            Kind::TwoWay => two_way::round(context, self.index).await,
        }
    }
}

impl Workflow {
    /// A fingerprint of what it does by a plan, for noticing that its mapping has changed.
    pub fn fingerprint(&self, plan: &ExecutionPlan) -> String {
        match self.kind {
            Kind::Ingress => plan.ingress.get(self.index).map(plan::fingerprint),
            // Which records take part, and under which key, is the mapping's.
            Kind::Optout => plan.optouts.get(self.index).map(|f| plan::fingerprint(&(f, plan.flow(&f.mapping)))),
            Kind::Events => plan.events.get(self.index).map(plan::fingerprint),
            Kind::TwoWay => plan.two_way.get(self.index).map(plan::fingerprint),
        }
        .unwrap_or_default()
    }

    /// The workflows whose records must be there before this one's first round.
    pub(super) fn parents<'p>(&self, plan: &'p ExecutionPlan) -> Vec<&'p str> {
        match self.kind {
            Kind::Ingress => plan.ingress.get(self.index).map(|f| f.depends_on.iter().map(String::as_str).collect()),
            Kind::Optout => plan.optouts.get(self.index).map(|f| vec![f.mapping.as_str()]),
            Kind::Events => plan
                .events
                .get(self.index)
                .map(|e| plan.ingress.iter().filter(|f| f.source.table == e.table).map(|f| f.name.as_str()).collect()),
            Kind::TwoWay => None,
        }
        .unwrap_or_default()
    }
}

/// The workflows of a plan: ingress in order of dependence, then opt-outs, then events, then two-way mappings.
pub fn workflows(plan: &ExecutionPlan) -> Vec<Workflow> {
    let ingress = plan.ingress.iter().enumerate().map(|(index, f)| Workflow { name: f.name.clone(), kind: Kind::Ingress, index });
    let optouts = plan.optouts.iter().enumerate().map(|(index, f)| Workflow { name: optout::name_of(f), kind: Kind::Optout, index });
    let events = plan.events.iter().enumerate().map(|(index, f)| Workflow { name: f.name.clone(), kind: Kind::Events, index });
    let two_way = plan.two_way.iter().enumerate().map(|(index, f)| Workflow { name: f.name.clone(), kind: Kind::TwoWay, index });
    ingress.chain(optouts).chain(events).chain(two_way).collect()
}

/// The workflows that are wanted, all where `None`.
pub(super) fn selected(plan: &ExecutionPlan, wanted: Option<&[String]>) -> Result<Vec<Workflow>, RunError> {
    let all = workflows(plan);
    let Some(wanted) = wanted else { return Ok(all) };
    let unknown = |name: &str| RunError::UnknownMapping {
        name: name.to_owned(),
        known: all.iter().map(|f| format!("`{}`", f.name)).collect::<Vec<_>>().join(", "),
    };
    if let Some(name) = wanted.iter().find(|name| !all.iter().any(|f| f.name == **name)) {
        return Err(unknown(name));
    }
    Ok(all.iter().filter(|f| wanted.contains(&f.name)).cloned().collect())
}

/// What may go on at the same time: parents before their children, opt-outs and events when the records are there.
pub(super) fn stages(plan: &ExecutionPlan, flows: &[Workflow]) -> Vec<Vec<Workflow>> {
    // The plan has its ingress flows in order of dependence, so one pass finds each flow's level.
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    for flow in &plan.ingress {
        let level = flow.depends_on.iter().filter_map(|parent| levels.get(parent.as_str())).map(|l| l + 1).max().unwrap_or(0);
        levels.insert(&flow.name, level);
    }
    let mut stages: BTreeMap<usize, Vec<Workflow>> = BTreeMap::new();
    for flow in flows {
        let stage = match flow.kind {
            Kind::Ingress => levels.get(flow.name.as_str()).copied().unwrap_or(0),
            Kind::Optout | Kind::Events | Kind::TwoWay => usize::MAX,
        };
        stages.entry(stage).or_default().push(flow.clone());
    }
    stages.into_values().collect()
}
