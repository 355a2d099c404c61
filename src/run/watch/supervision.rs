//! What a watch gets from outside: plans, schedules, and what happens beside the workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Upkeep;
use super::settings::Settings;
use crate::plan::ExecutionPlan;
use crate::run::{Services, Workflow};
use crate::time::schedule::Schedule;

/// Why a workflow cannot start by the files as they are, or with the services as they are; shown as the reason of its failure.
pub type PlanSourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where workflows get their plan from when they start. The methods block.
pub trait PlanSource: Send + Sync {
    /// A mark of the mapping files as they are: another mark, other files. Cheap.
    fn mark(&self) -> u64;

    /// Compiles the files as they are.
    ///
    /// # Errors
    /// For people: what is wrong with the files.
    fn load(&self) -> Result<Arc<ExecutionPlan>, PlanSourceError>;

    /// Makes sure that the services still fit the plan of a workflow that is about to start, and gives what it is to talk to.
    ///
    /// # Errors
    /// For people: what does not fit, or which secret cannot be read.
    fn services(&self, plan: &ExecutionPlan, workflow: &Workflow) -> Result<Services, PlanSourceError>;
}

/// What a watch needs beside what every run needs.
pub struct Supervision {
    /// Where workflows get their plan from when they are started again.
    pub source: Arc<dyn PlanSource>,
    /// When the rounds of workflows begin; those without a schedule have the interval of [`crate::run::Pace::Watch`].
    pub schedules: BTreeMap<String, Schedule>,
    /// What happens once a day beside the workflows.
    pub upkeep: Vec<Arc<dyn Upkeep>>,
    /// Is notified when a webhook told something: then the rounds of two-way mappings do not wait for their time.
    pub news: Option<Arc<Notify>>,
    /// Gives settings that have changed.
    pub settings: Option<tokio::sync::watch::Receiver<Settings>>,
}

impl Supervision {
    /// One plan that never changes, and the same schedule for all.
    pub fn fixed(plan: Arc<ExecutionPlan>, services: Services) -> Supervision {
        Supervision {
            source: Arc::new(Fixed { plan, services }),
            schedules: BTreeMap::new(),
            upkeep: Vec::new(),
            news: None,
            settings: None,
        }
    }
}

struct Fixed {
    plan: Arc<ExecutionPlan>,
    services: Services,
}

impl PlanSource for Fixed {
    fn mark(&self) -> u64 {
        0
    }

    fn load(&self) -> Result<Arc<ExecutionPlan>, PlanSourceError> {
        Ok(self.plan.clone())
    }

    fn services(&self, _: &ExecutionPlan, _: &Workflow) -> Result<Services, PlanSourceError> {
        Ok(self.services.clone())
    }
}
