//! How a project is: what its runner notes, and what pages show.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::connect::Http;
use crate::plan::ExecutionPlan;
use crate::project::Project;

/// How a project is at the moment.
#[derive(Clone)]
pub struct Situation {
    /// The project file as it was when it was last read without a fault.
    pub project: Arc<Project>,
    /// The plan that the watch began with; none before it began.
    pub plan: Option<Arc<ExecutionPlan>>,
    /// The plans of workflows that were started again since then, by name.
    pub started: BTreeMap<String, Arc<ExecutionPlan>>,
    /// The HTTP layer of the watch, for its counts of calls.
    pub http: Option<Http>,
    /// Why the project is not watched, if it is not.
    pub problem: Option<String>,
}
