//! The documents of the API that no command prints, and what requests may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::{AuditRecord, DeadLetter, Holder, MassChange, OptoutState, RunRecord, WorkflowRecord};
use crate::time::Instant;

/// The version of all documents. It goes up if a document changes in a way that could break a program that reads it.
pub const VERSION: u32 = 1;

/// Why a request was not carried out (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong.
    pub detail: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// The projects of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProjectsDocument {
    /// The version of the document.
    pub version: u32,
    /// The projects, by name.
    pub projects: Vec<ProjectDocument>,
}

/// A project of a server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ProjectDocument {
    /// The name in addresses.
    pub name: String,
    /// Whether its workflows are being watched.
    pub running: bool,
    /// Why they are not.
    pub problem: Option<String>,
}

/// The workflows of a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowsDocument {
    /// The version of the document.
    pub version: u32,
    /// The process that runs the project now.
    pub process: Option<Holder>,
    /// The workflows, those of the mapping files first.
    pub workflows: Vec<WorkflowDocument>,
}

/// A workflow of a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowDocument {
    /// The name.
    pub name: String,
    /// Whether the running plan has it.
    pub planned: bool,
    /// Whether it is a mapping that can be replayed.
    pub replayable: bool,
    /// Its state, and what is wanted of it; null if it has never run.
    pub record: Option<WorkflowRecord>,
    /// What it holds for approval.
    pub held: Option<MassChange>,
}

/// What came of a wish to start or stop a workflow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WishDocument {
    /// The version of the document.
    pub version: u32,
    /// The workflow.
    pub workflow: String,
    /// Whether the wish changes anything.
    pub changed: bool,
    /// When the wish was noted, by the server's clock.
    pub asked: Instant,
    /// The process that carries it out; null if nothing runs now.
    pub process: Option<Holder>,
}

/// How many were affected.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CountDocument {
    /// The version of the document.
    pub version: u32,
    /// The number.
    pub count: u64,
}

/// A page of dead letters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettersDocument {
    /// The version of the document.
    pub version: u32,
    /// Whether values of records are shown. Without them, keys, requests, answers and messages of services are left out.
    pub values: bool,
    /// The dead letters, in the order of their numbers.
    pub dead_letters: Vec<DeadLetter>,
    /// What `after` is for the next page; null on the last one.
    pub next: Option<i64>,
}

/// A dead letter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetterDocument {
    /// The version of the document.
    pub version: u32,
    /// Whether values of the record are shown.
    pub values: bool,
    /// The dead letter.
    pub dead_letter: DeadLetter,
}

/// The last runs of a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunsDocument {
    /// The version of the document.
    pub version: u32,
    /// The runs, the newest first.
    pub runs: Vec<RunRecord>,
}

/// A page of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditDocument {
    /// The version of the document.
    pub version: u32,
    /// The entries, the newest first.
    pub entries: Vec<AuditRecord>,
    /// What `before` is for the next page; null on the last one.
    pub next: Option<i64>,
}

/// The opt-outs of a project.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OptOutsDocument {
    /// The version of the document.
    pub version: u32,
    /// The workflows of opt-outs.
    pub opt_outs: Vec<OptOutDocument>,
}

/// A workflow of opt-outs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OptOutDocument {
    /// The name of the workflow.
    pub workflow: String,
    /// The mapping that it belongs to.
    pub mapping: String,
    /// The direction, as the mapping file has it.
    pub direction: String,
    /// How far it has come; null before its first round.
    pub state: Option<OptoutState>,
    /// Persons whose differences wait for approval.
    pub held: u64,
}

/// Which page of a list is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeadLettersQuery {
    /// Of this mapping.
    pub mapping: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// With numbers above this one: `next` of the page before.
    pub after: i64,
    /// The maximum number of dead letters in the answer: 100 unless another number is given, 1000 at most.
    pub limit: Option<u16>,
    /// Show values of records. Needs the role operator, and is noted in the audit log.
    pub values: bool,
}

/// Which page of the audit log is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuditQuery {
    /// Of exactly this person or client. An empty text means requests without a session or token.
    pub who: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// With numbers below this one: `next` of the page before.
    pub before: Option<i64>,
    /// The maximum number of entries in the answer: 100 unless another number is given, 1000 at most.
    pub limit: Option<u16>,
}

/// Whether values are shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValuesQuery {
    /// Show values of the record. Needs the role operator, and is noted in the audit log.
    pub values: bool,
}

/// How much of a list is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitQuery {
    /// The maximum number of entries in the answer: 100 unless another number is given, 1000 at most.
    pub limit: Option<u16>,
}

/// How a replay begins.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayChoice {
    /// Replay 2,000,000 records or more too.
    pub ignore_limits: bool,
}

/// Which dead letters are meant. At least one of the members must say so; those that are given hold together.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterChoice {
    /// With these numbers.
    pub ids: Option<Vec<i64>>,
    /// Of this mapping.
    pub mapping: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// All of them.
    pub all: bool,
}
